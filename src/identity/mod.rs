//! From a bearer token to a caller.
