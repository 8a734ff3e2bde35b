//! What programs that try out the library with bytes made by chance need of it beyond what everybody may use: `docs/fuzzing.md`.
//!
//! One function that gives a verdict and nothing to act with, hidden from the documentation. A feature of the crate would have every corpus
//! replayed against another build than the one that ships.

use crate::https::AmbiguousFraming;

/// What is found of the heads in bytes that a connection brings in these pieces.
#[must_use]
pub fn heads<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<Option<AmbiguousFraming>> {
    crate::https::heads_in(pieces)
}
