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
