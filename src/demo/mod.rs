//! Everything in one process, on this machine only.

pub mod certificates;
