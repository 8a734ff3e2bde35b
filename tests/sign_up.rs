//! `kill -9` of gateways and fabrics while tenants sign up and machines change hands: all of it is there, or none of it.
//!
//! `STEWARD_SIGN_UP_KILLS` replaces the number of kills, `STEWARD_SEED` the seed of all moments.
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
#[path = "common/signer.rs"]
mod signer;

#[path = "sign_up/fabric.rs"]
mod fabric;
#[path = "sign_up/kills.rs"]
mod kills;
#[path = "sign_up/refused.rs"]
mod refused;
#[path = "sign_up/world.rs"]
mod world;
