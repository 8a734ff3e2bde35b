//! The gateway listener.
