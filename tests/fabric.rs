//! The fabric, driven over TLS with a gateway's key: what a gateway sees of each promise.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "helpers outside of test functions, in a test of its own"
)]

#[path = "fabric/connections.rs"]
mod connections;
#[path = "common/folders.rs"]
mod folders;
#[path = "fabric/harness.rs"]
mod harness;
#[path = "fabric/jobs.rs"]
mod jobs;
#[path = "fabric/machines.rs"]
mod machines;
#[path = "common/mock.rs"]
mod mock;
#[path = "fabric/ownership.rs"]
mod ownership;
#[path = "fabric/roles.rs"]
mod roles;
#[path = "fabric/usage.rs"]
mod usage;
