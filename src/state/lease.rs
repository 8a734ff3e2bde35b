//! How long this node may decide without having heard the store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;

/// Counts the time since the machine was started: a machine that slept or a process that was stopped finds its lease over.
#[derive(Debug)]
pub(super) struct Lease {
    /// None for a store that nobody else writes to.
    bound: Option<Duration>,
    /// Nanoseconds since the machine was started.
    until_ns: AtomicU64,
}

impl Lease {
    pub(super) const fn new(bound: Option<Duration>) -> Self {
        Self { bound, until_ns: AtomicU64::new(0) }
    }

    /// How long it lasts; nothing for a store of one's own.
    pub(super) fn bound(&self) -> Duration {
        self.bound.unwrap_or_default()
    }

    /// The store was heard; what it said was asked for at `asked`, counted from the start of the machine.
    pub(super) fn renew(&self, asked: Duration) {
        let Some(bound) = self.bound else { return };
        self.until_ns.fetch_max(u64::try_from((asked + bound).as_nanos()).unwrap_or(u64::MAX), Ordering::Release);
    }

    pub(super) fn holds(&self) -> bool {
        self.bound.is_none() || Clock::since_boot() < Duration::from_nanos(self.until_ns.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_counts_from_the_question_and_not_from_the_answer() {
        let lease = Lease::new(Some(Duration::from_secs(60)));
        assert!(!lease.holds(), "nothing was heard yet");
        let asked = Clock::since_boot();
        lease.renew(asked.saturating_sub(Duration::from_secs(61)));
        assert!(!lease.holds(), "the answer took longer than the lease");
        lease.renew(asked);
        assert!(lease.holds());
        assert!(Lease::new(None).holds(), "a store of one's own needs no lease");
    }
}
