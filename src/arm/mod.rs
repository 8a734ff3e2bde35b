//! The words of the management plane: authorities, paths, scopes, actions, error bodies.
//!
//! Pure: no I/O, no clock, no logging, no async. Everything here is a function of its arguments.

pub mod action;
pub mod error;
pub mod links;
pub mod names;
pub mod path;
pub(crate) mod percent;
pub mod planes;
pub mod query;
pub mod scope;
