//! Several gateways on one PostgreSQL: when a removed delegation is refused, and what a gateway does that does not hear the others.
//!
//! `STEWARD_REVOCATIONS` replaces the number of revocations under load.
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
#[expect(dead_code, reason = "the same process serves the tests of kills, which do more to it")]
#[path = "common/node.rs"]
mod node;
#[path = "common/oha.rs"]
mod oha;
#[expect(dead_code, reason = "the same server serves the tests of the store, which ask for more")]
#[path = "common/postgres.rs"]
mod postgres;
#[path = "common/signer.rs"]
mod signer;

#[path = "fleet/relay.rs"]
mod relay;
#[path = "fleet/several.rs"]
mod several;

#[path = "fleet/away.rs"]
mod away;
#[path = "fleet/documented.rs"]
mod documented;
#[expect(dead_code, reason = "the same receiver serves the tests of the gateway, which look at more of it")]
#[path = "common/receiver.rs"]
mod receiver;
#[path = "fleet/revisions.rs"]
mod revisions;
#[path = "fleet/revocations.rs"]
mod revocations;
#[path = "fleet/stopped.rs"]
mod stopped;
#[path = "fleet/turns.rs"]
mod turns;
#[path = "fleet/webhooks.rs"]
mod webhooks;
