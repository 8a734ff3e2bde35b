//! What goes wrong around a gateway under load: nothing is allowed that should not be, no acknowledged write is lost, and it serves again.
//!
//! `STEWARD_BLESS=1 cargo test --test faults` writes the figures into `docs/faults.md`; `STEWARD_FAULTS=disk` runs only those with this in their
//! name; `STEWARD_BIN` names another program.
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
#[expect(dead_code, reason = "the same process serves the tests of kills and fleets, which do other things to it")]
#[path = "common/node.rs"]
mod node;
#[path = "common/oha.rs"]
mod oha;
#[expect(dead_code, reason = "the same server serves the tests of the store, which ask for more")]
#[path = "common/postgres.rs"]
mod postgres;
#[path = "fleet/relay.rs"]
mod relay;
#[path = "common/signer.rs"]
mod signer;

#[path = "faults/gateway.rs"]
mod gateway;
#[path = "faults/injections.rs"]
mod injections;
#[path = "faults/keys.rs"]
mod keys;
#[path = "faults/machine.rs"]
mod machine;
#[path = "faults/page.rs"]
mod page;
#[path = "faults/run.rs"]
mod run;
#[path = "faults/scripted.rs"]
mod scripted;
#[path = "faults/traffic.rs"]
mod traffic;
