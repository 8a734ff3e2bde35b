//! Every threat there is, in many forms, over the wire against a running gateway; `docs/threats.md` is made from what was observed.
//!
//! `STEWARD_BLESS=1 cargo test --test threats` writes the page anew.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    unreachable_pub,
    reason = "helpers outside of test functions, in a test of its own"
)]

#[expect(dead_code, reason = "the same tools serve the tests of the gateway, which ask in more ways")]
#[path = "common/mod.rs"]
mod common;

#[expect(dead_code, reason = "the same frames serve the tests of conformance, which hear more")]
#[path = "common/frames.rs"]
mod frames;

#[expect(dead_code, reason = "the same process serves the tests of kills, which do more to it")]
#[path = "common/node.rs"]
mod node;

#[path = "threats/gate.rs"]
mod gate;
#[path = "threats/mint.rs"]
mod mint;
#[path = "threats/table.rs"]
mod table;

#[path = "threats/answers.rs"]
mod answers;
#[path = "threats/rights.rs"]
mod rights;
#[path = "threats/shape.rs"]
mod shape;
#[path = "threats/tokens.rs"]
mod tokens;
#[path = "threats/wire.rs"]
mod wire;

use common::{client, folders, signer};

/// The rows of every module; the page orders them by number.
const THREATS: &[&[table::Threat]] = &[answers::THREATS, rights::THREATS, shape::THREATS, tokens::THREATS, wire::THREATS];
