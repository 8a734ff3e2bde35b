//! Put into the copy of the product: which of its mutants is on.
//!
//! `STEWARD_MUTANT=NUMBER` turns one on; `STEWARD_MUTANTS_REACHED=FILE` appends the numbers of all that are come by.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

const MUTANTS_MAX: usize = 16_384;

enum Mode {
    Off,
    One(usize),
    Record(File),
}

static MODE: LazyLock<Mode> = LazyLock::new(|| {
    if let Some(path) = std::env::var_os("STEWARD_MUTANTS_REACHED") {
        return Mode::Record(OpenOptions::new().create(true).append(true).open(path).expect("the file of what is reached can be written"));
    }
    let one = std::env::var("STEWARD_MUTANT").ok().map(|number| number.parse().expect("STEWARD_MUTANT is a number"));
    one.map_or(Mode::Off, Mode::One)
});

static REACHED: [AtomicBool; MUTANTS_MAX] = [const { AtomicBool::new(false) }; MUTANTS_MAX];

pub fn on(number: usize) -> bool {
    match &*MODE {
        Mode::Off => false,
        Mode::One(one) => *one == number,
        Mode::Record(file) => {
            if !REACHED[number].swap(true, Ordering::Relaxed) {
                (&*file).write_all(format!("{number}\n").as_bytes()).expect("what is reached can be written");
            }
            false
        }
    }
}

/// What a function returns that returns an iterator, or what stands there instead.
#[derive(Clone)]
pub enum Either<A, B> {
    One(A),
    Other(B),
}

impl<A: Iterator<Item = B::Item>, B: Iterator> Iterator for Either<A, B> {
    type Item = B::Item;

    fn next(&mut self) -> Option<B::Item> {
        match self {
            Self::One(one) => one.next(),
            Self::Other(other) => other.next(),
        }
    }
}

/// An iterator of a mutant, which the compiler is to blame where it yields something else than the function.
pub fn of<T, I: Iterator<Item = T>>(mutant: I) -> I {
    mutant
}
