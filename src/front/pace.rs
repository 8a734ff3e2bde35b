//! How fast something may come, for everybody together: so many at once, and then one in every interval.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::Clock;

/// A bucket that fills by one drop in every interval. Source: the generic cell rate algorithm, ITU-T I.371.
#[derive(Debug)]
pub(super) struct Pace {
    begun: Instant,
    interval: Duration,
    at_once: u32,
    /// When the bucket will be full again, in milliseconds since it was made.
    full_at_ms: AtomicU64,
}

impl Pace {
    /// `at_once`, and then one in every `interval`.
    pub(super) fn new(at_once: u32, interval: Duration) -> Self {
        Self { begun: Clock::instant(), interval, at_once, full_at_ms: AtomicU64::new(0) }
    }

    /// Takes a drop.
    ///
    /// # Errors
    /// With the time to wait when there is none.
    pub(super) fn take(&self) -> Result<(), Duration> {
        self.take_at(Clock::instant())
    }

    fn take_at(&self, now: Instant) -> Result<(), Duration> {
        let now_ms = millis(now.saturating_duration_since(self.begun));
        let (interval_ms, room_ms) = (millis(self.interval), millis(self.interval * self.at_once));
        let next = |full_at_ms: u64| {
            let next = full_at_ms.max(now_ms) + interval_ms;
            (next - now_ms <= room_ms).then_some(next)
        };
        let taken = self.full_at_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        taken.map(drop).map_err(|full_at_ms| Duration::from_millis((full_at_ms + interval_ms).saturating_sub(now_ms + room_ms)))
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_one_in_every_interval() {
        let pace = Pace::new(3, Duration::from_secs(2));
        let at = |seconds| pace.take_at(pace.begun + Duration::from_secs(seconds));
        assert_eq!([at(0), at(0), at(0)], [Ok(()); 3]);
        assert_eq!(at(0), Err(Duration::from_secs(2)));
        assert_eq!(at(1), Err(Duration::from_secs(1)));
        assert_eq!([at(2), at(2)], [Ok(()), Err(Duration::from_secs(2))]);
        assert_eq!([at(60), at(60), at(60)], [Ok(()); 3]);
        assert!(at(60).is_err());
    }
}
