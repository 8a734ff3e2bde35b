//! `kill -9` of gateways and databases while clients write: what was acknowledged is there, and nothing is there in part.
//!
//! `STEWARD_KILLS` and `STEWARD_POSTGRES_KILLS` replace the numbers of kills, `STEWARD_SEED` the seed of all moments and writes.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "helpers outside of test functions, in a test of its own"
)]

#[expect(dead_code, reason = "the same client serves the tests of the gateway, which ask in more ways")]
#[path = "common/client.rs"]
mod client;
#[path = "common/folders.rs"]
mod folders;
#[expect(dead_code, reason = "the same process serves the tests of fleets, which do other things to it")]
#[path = "common/node.rs"]
mod node;
#[expect(dead_code, reason = "the same server serves the tests of the store, which ask for more")]
#[path = "common/postgres.rs"]
mod postgres;
#[path = "common/signer.rs"]
mod signer;

#[path = "durability/history.rs"]
mod history;
#[path = "durability/kills.rs"]
mod kills;
#[path = "durability/writer.rs"]
mod writer;
