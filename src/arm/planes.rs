//! Telling data-plane hosts, which are never reachable through the gateway, from unknown ones.

/// The data-plane hosts of one snapshot.
#[derive(Debug)]
pub struct Planes {}
