//! The demo token issuer.
