//! The fields of a stage are private: none can be written down.

use steward::pipeline::{Authorized, Basis, Scoped};

fn cheat(scoped: Scoped) -> Authorized {
    Authorized { scoped, basis: Basis::Open }
}

fn main() {}
