//! The second listener: health, metrics, records.
