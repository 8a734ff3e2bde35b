//! Everything in one process, on this machine only.
