//! The backend: pool, deadlines, headers.
