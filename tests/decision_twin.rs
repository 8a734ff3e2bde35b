//! The engine against a slow twin: random roles, grants, denies and questions; both must always agree.
#![expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "a test panics when it fails; random numbers are folded into small ranges, its texts are ASCII, and the twin is shared"
)]

#[path = "common/twin.rs"]
mod twin;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use twin::{Counts, Dice, compare};

const WORLDS: u32 = 300;
const QUESTIONS: u64 = 60;

#[test]
fn the_engine_and_its_twin_agree_on_random_worlds() {
    let mut runner = TestRunner::new(Config { cases: WORLDS, failure_persistence: None, ..Config::default() });
    let counts = std::cell::RefCell::new(Counts::default());
    let outcome = runner.run(&any::<u64>().no_shrink(), |seed| {
        compare(Dice::Seed(seed), QUESTIONS, &mut counts.borrow_mut());
        Ok(())
    });
    let counts = counts.into_inner();
    let decisions = counts.permitted + counts.denied.values().sum::<u32>();
    println!("{decisions} decisions in {WORLDS} random worlds: {} permitted, denied {:?}", counts.permitted, counts.denied);
    outcome.unwrap_or_else(|failure| panic!("the engine and its twin differ: {failure}"));
    assert!(decisions >= 10_000);
    assert!(counts.permitted > 0 && counts.denied.len() == 9, "every kind of answer is reached: {:?}", counts.denied);
}
