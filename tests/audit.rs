//! Records as an audit: what is done to a file of records is found and named, and nobody reads what is another's.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    reason = "helpers outside of test functions, in a test of its own"
)]

#[path = "common/folders.rs"]
mod folders;
#[path = "audit/world.rs"]
mod world;

#[path = "audit/requests.rs"]
mod requests;

#[path = "audit/commands.rs"]
mod commands;
#[path = "audit/crash.rs"]
mod crash;
#[path = "audit/floods.rs"]
mod floods;
#[path = "audit/losses.rs"]
mod losses;
#[path = "audit/retention.rs"]
mod retention;
#[path = "audit/short_form.rs"]
mod short_form;
#[path = "audit/tampering.rs"]
mod tampering;
