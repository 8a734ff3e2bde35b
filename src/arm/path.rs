//! The one canonical form of a request path: what is judged is what is forwarded.
