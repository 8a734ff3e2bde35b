//! The only reader of time. Everything else is handed a [`Timestamp`] or an [`Instant`], so that tests can move the clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

pub use jiff::{SignedDuration, Timestamp};

/// Wall clock and monotonic clock. Clones share their offsets.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    /// What was let pass, for both clocks.
    passed_ms: Arc<AtomicI64>,
    /// What the wall clock was set by.
    set_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The clock of this machine.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// The present time in UTC.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now_after(self.passed_ms.load(Ordering::Relaxed))
    }

    fn now_after(&self, passed_ms: i64) -> Timestamp {
        let offset_ms = passed_ms.saturating_add(self.set_ms.load(Ordering::Relaxed));
        let now = Timestamp::now();
        now.checked_add(SignedDuration::from_millis(offset_ms)).unwrap_or(now)
    }

    /// A point for measuring spans; never for deciding whether something has expired.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the monotonic clock")]
    pub fn instant() -> Instant {
        Instant::now()
    }

    /// Time since this machine was started, with the time that it slept: what was promised to others for a time ends by this clock.
    #[must_use]
    pub fn since_boot() -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::try_from(time).unwrap_or_default()
    }

    /// The present time, and the time since this machine was started: the two tell whether the wall clock was set.
    #[must_use]
    pub fn both(&self) -> (Timestamp, Duration) {
        let passed_ms = self.passed_ms.load(Ordering::Relaxed);
        (self.now_after(passed_ms), Self::since_boot() + Duration::from_millis(passed_ms.unsigned_abs()))
    }

    /// Lets time pass, for every clone of this clock.
    pub fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.passed_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    /// Sets the wall clock, as somebody may who has the machine, for every clone of this clock: no time passes.
    pub fn step(&self, by: SignedDuration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.set_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}
