//! The decision engine against its slow twin, in a world that the bytes choose.

use super::twin::{Counts, Dice, compare};

/// Questions about one world: making it takes longer than asking.
const QUESTIONS: u64 = 6;

pub(super) fn run(data: &[u8]) {
    compare(Dice::Bytes(data), QUESTIONS, &mut Counts::default());
}
