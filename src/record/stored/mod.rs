//! The form in which records stand in files, `steward.record/2`: what a reader can derive is left out, and what many records have
//! alike comes first.
//!
//! A line holds everything that its [`Record`](super::Record) says, and no reference to anything outside of it. Its beginning, which is
//! the same in all records of a caller, its grants and a policy, is made and hashed once: see [`frame`]. Never is a record made in between.

mod evidence;
mod frame;
mod grants;
mod read;
mod text;
mod write;

pub(super) use evidence::Evidence;
pub(super) use frame::Frames;
pub(super) use text::{push_guid, push_hex, push_number};
pub(super) use write::Scribe;

/// The name and version of the form.
const SCHEMA: &str = "steward.record/2";
