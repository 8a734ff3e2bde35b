//! How many bytes of changes are kept.
//!
//! Neither engine keeps a sum, so they are measured: not for each commit, but whenever as much was written as may be too much.

use std::sync::atomic::{AtomicU64, Ordering};

/// Changes are measured each time that this part of their bound was written.
const PARTS: u64 = 64;

/// Changes that one commit deletes for their bytes: it must not take long, however many there are. The next one goes on.
pub(super) const TRIMMED_AT_ONCE: i64 = 256;

/// Deletes what stands before the newest `$3` bytes of changes, the oldest `$2` at most; never the newest change, which is `$1`. The parameters stand
/// in their order: SQLite numbers them by that.
pub(super) const TRIM: &str = "
    DELETE FROM change WHERE revision < $1 AND revision < (SELECT min(revision) FROM change) + $2 AND revision <= (
        SELECT max(revision) FROM (
            SELECT revision, sum(octet_length(writes)) OVER (ORDER BY revision DESC) AS bytes FROM change
        ) AS measured WHERE bytes > $3)";

/// Whether nothing is left to be deleted after a commit that had to measure and deleted so many.
pub(super) fn is_done(trimmed: u64) -> bool {
    trimmed < TRIMMED_AT_ONCE.unsigned_abs()
}

/// What this process has written since it measured. Others of a fleet measure for themselves.
#[derive(Debug)]
pub(super) struct History {
    bytes_max: u64,
    unmeasured: AtomicU64,
}

impl History {
    /// The first commit measures: who knows what an earlier process left.
    pub(super) const fn new(bytes_max: u64) -> Self {
        Self { bytes_max, unmeasured: AtomicU64::new(bytes_max) }
    }

    /// The bound, when a commit of so many bytes has to measure.
    pub(super) fn bound(&self, bytes: usize) -> Option<i64> {
        let unmeasured = self.unmeasured.load(Ordering::Relaxed).saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        (unmeasured >= self.bytes_max / PARTS).then(|| i64::try_from(self.bytes_max).unwrap_or(i64::MAX))
    }

    /// After a commit of so many bytes that has measured and deleted what is too much, or has not.
    pub(super) fn wrote(&self, bytes: usize, is_bounded: bool) {
        if is_bounded {
            self.unmeasured.store(0, Ordering::Relaxed);
        } else {
            self.unmeasured.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_measured_first_and_whenever_a_part_of_their_bound_was_written() {
        let history = History::new(640);
        assert_eq!(history.bound(0), Some(640));
        history.wrote(3, true);
        assert_eq!((history.bound(9), history.bound(10)), (None, Some(640)));
        history.wrote(4, false);
        assert_eq!((history.bound(5), history.bound(6)), (None, Some(640)));
        history.wrote(6, true);
        assert_eq!(history.bound(9), None);
        assert!(is_done(255) && !is_done(256), "there may be more of them");
        assert_eq!(History::new(u64::MAX).bound(1), Some(i64::MAX));
    }
}
