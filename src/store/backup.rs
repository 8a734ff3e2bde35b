//! Backup and restore.

/// What restoring does to a store that holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse.
    Keep,
    /// Lose it.
    Replace,
}
