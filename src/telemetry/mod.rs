//! Names of metrics and fields.
