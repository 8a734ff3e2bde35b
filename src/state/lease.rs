//! How long this node may decide without having heard the store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::Clock;

/// Counts on the monotonic clock only: a machine that sleeps or a process that was stopped finds its lease over.
#[derive(Debug)]
pub(super) struct Lease {
    /// None for a store that nobody else writes to.
    bound: Option<Duration>,
    origin: Instant,
    /// Nanoseconds after `origin`.
    until_ns: AtomicU64,
}

impl Lease {
    pub(super) fn new(bound: Option<Duration>) -> Self {
        Self { bound, origin: Clock::instant(), until_ns: AtomicU64::new(0) }
    }

    /// The store was heard; what it said was asked for at `asked`.
    pub(super) fn renew(&self, asked: Instant) {
        let Some(bound) = self.bound else { return };
        let until = (asked + bound).saturating_duration_since(self.origin);
        self.until_ns.fetch_max(u64::try_from(until.as_nanos()).unwrap_or(u64::MAX), Ordering::Release);
    }

    pub(super) fn holds(&self) -> bool {
        self.bound.is_none()
            || Clock::instant().saturating_duration_since(self.origin) < Duration::from_nanos(self.until_ns.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_counts_from_the_question_and_not_from_the_answer() {
        let lease = Lease::new(Some(Duration::from_secs(60)));
        assert!(!lease.holds(), "nothing was heard yet");
        let asked = Clock::instant();
        lease.renew(asked.checked_sub(Duration::from_secs(61)).unwrap_or(asked));
        assert!(!lease.holds(), "the answer took longer than the lease");
        lease.renew(asked);
        assert!(lease.holds());
        assert!(Lease::new(None).holds(), "a store of one's own needs no lease");
    }
}
