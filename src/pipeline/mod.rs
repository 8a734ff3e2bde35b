//! The stages of a request.
