//! The program as a process: signals, exit codes, reloads and restarts, under load where a request could be lost.
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
#[path = "common/oha.rs"]
mod oha;
#[expect(dead_code, reason = "the same signer serves the tests of the gateway, which need more tenants")]
#[path = "common/signer.rs"]
mod signer;

#[path = "process/load.rs"]
mod load;
#[path = "process/program.rs"]
mod program;

#[path = "process/commands.rs"]
mod commands;
#[path = "process/drain.rs"]
mod drain;
#[path = "process/reload.rs"]
mod reload;
#[path = "process/restart.rs"]
mod restart;
#[path = "process/serving.rs"]
mod serving;
#[path = "process/state.rs"]
mod state;
