//! How fast something may come: so many at once, and then one in every interval. One bucket for everybody, or one for each of many.

use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock::Clock;

/// How large a bucket is and how fast it fills. Source: the generic cell rate algorithm, ITU-T I.371.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    interval_ns: u64,
    room_ns: u64,
}

impl Rate {
    /// `at_once`, and then one in every `interval`.
    #[must_use]
    pub fn new(at_once: u32, interval: Duration) -> Self {
        let interval_ns = nanos(interval).max(1);
        Self { interval_ns, room_ns: interval_ns.saturating_mul(u64::from(at_once)) }
    }

    /// `at_once`, and then `per_s` in every second.
    #[must_use]
    pub fn per_second(at_once: u32, per_s: u32) -> Self {
        Self::new(at_once, Duration::from_secs(1) / per_s.max(1))
    }

    /// A bucket so many times as large, which fills so many times as fast.
    #[must_use]
    pub fn times(self, factor: u32) -> Self {
        // The room is `at_once` intervals: there are more of them, and each is as much shorter.
        Self { interval_ns: (self.interval_ns / u64::from(factor.max(1))).max(1), room_ns: self.room_ns }
    }

    /// Takes a drop out of a bucket, of which is known when it will be full again; gives how many are left.
    ///
    /// # Errors
    /// With the time to wait when there is none.
    fn take(self, full_at_ns: &AtomicU64, now_ns: u64) -> Result<u32, Duration> {
        let next = |full_at_ns: u64| {
            let next = full_at_ns.max(now_ns).saturating_add(self.interval_ns);
            (next - now_ns <= self.room_ns).then_some(next)
        };
        match full_at_ns.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(before) => {
                let used = before.max(now_ns) + self.interval_ns - now_ns;
                Ok(u32::try_from((self.room_ns - used) / self.interval_ns).unwrap_or(u32::MAX))
            }
            Err(full_at_ns) => {
                let used = full_at_ns.max(now_ns).saturating_add(self.interval_ns) - now_ns;
                Err(Duration::from_nanos(used.saturating_sub(self.room_ns)))
            }
        }
    }
}

/// A bucket for everybody together.
#[derive(Debug)]
pub struct Pace {
    begun: Instant,
    rate: Rate,
    full_at_ns: AtomicU64,
}

impl Pace {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { begun: Clock::instant(), rate, full_at_ns: AtomicU64::new(0) }
    }

    /// Takes a drop.
    ///
    /// # Errors
    /// With the time to wait when there is none.
    pub fn take(&self) -> Result<u32, Duration> {
        self.rate.take(&self.full_at_ns, since(self.begun, Clock::instant()))
    }
}

/// Places of one half of the buckets, 8 bytes each.
const PLACES: usize = 1 << 16;

/// A bucket for each of any number of keys, in bounded room and without a lock.
///
/// Every key has two places, one in each half, found by a hash that nobody outside can foretell, and a drop in one of them is enough: who
/// shares a place with somebody that uses up everything has the other one. Only who shares both gets less than is due to it.
#[derive(Debug)]
pub struct Paces {
    begun: Instant,
    hasher: foldhash::quality::RandomState,
    halves: [Box<[AtomicU64]>; 2],
}

impl Default for Paces {
    fn default() -> Self {
        let half = || std::iter::repeat_with(AtomicU64::default).take(PLACES).collect();
        Self { begun: Clock::instant(), hasher: foldhash::quality::RandomState::default(), halves: [half(), half()] }
    }
}

impl Paces {
    /// Takes a drop out of the bucket of this key; gives how many are left.
    ///
    /// # Errors
    /// With the time to wait when there is none.
    pub fn take(&self, key: &impl Hash, rate: Rate, now: Instant) -> Result<u32, Duration> {
        let now_ns = since(self.begun, now);
        let [a, b, c, d, ..] = self.hasher.hash_one(key).to_le_bytes();
        let take = |half: &[AtomicU64], place: [u8; 2]| {
            // There are as many places as there are values of a place: no other one can be asked for.
            half.get(usize::from(u16::from_le_bytes(place))).map_or(Err(Duration::MAX), |bucket| rate.take(bucket, now_ns))
        };
        let [one, other] = &self.halves;
        match (take(one, [a, b]), take(other, [c, d])) {
            (Ok(one), Ok(other)) => Ok(one.max(other)),
            (Ok(left), Err(_)) | (Err(_), Ok(left)) => Ok(left),
            (Err(one), Err(other)) => Err(one.min(other)),
        }
    }
}

fn since(begun: Instant, now: Instant) -> u64 {
    nanos(now.saturating_duration_since(begun))
}

/// Half of what fits: two of them can be added.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_one_in_every_interval() {
        let (rate, bucket) = (Rate::new(3, Duration::from_secs(2)), AtomicU64::new(0));
        let at = |seconds: u64| rate.take(&bucket, seconds * 1_000_000_000);
        assert_eq!([at(0), at(0), at(0)], [Ok(2), Ok(1), Ok(0)]);
        assert_eq!(at(0), Err(Duration::from_secs(2)));
        assert_eq!(at(1), Err(Duration::from_secs(1)));
        assert_eq!([at(2), at(2)], [Ok(0), Err(Duration::from_secs(2))]);
        assert_eq!([at(60), at(60), at(60)], [Ok(2), Ok(1), Ok(0)]);
        assert!(at(60).is_err());
    }

    #[test]
    fn a_multiple_has_that_many_times_as_much_at_once_and_in_a_second() {
        let (rate, bucket) = (Rate::per_second(10, 5).times(3), AtomicU64::new(0));
        let taken = |now_ns| std::iter::repeat_with(|| rate.take(&bucket, now_ns)).take_while(Result::is_ok).count();
        assert_eq!((taken(0), taken(1_000_000_000), taken(2_000_000_000)), (30, 15, 15));
    }

    #[test]
    fn each_key_has_a_bucket_of_its_own_whatever_others_use_up() {
        let (paces, rate) = (Paces::default(), Rate::per_second(5, 1));
        let taken = |key: u32| std::iter::repeat_with(|| paces.take(&key, rate, paces.begun)).take_while(Result::is_ok).count();
        assert_eq!([taken(0), taken(0)], [5, 0]);
        // A seventh of each half is used up by 10,000 keys; then two of a hundred share both of their places.
        let all: usize = (1..10_000).map(taken).sum();
        assert!(all > 9_800 * 5, "{all} of 50,000");
        let short = (10_000..11_000).filter(|key| taken(*key) < 5).count();
        assert!(short < 100, "{short} of 1,000 got less than is due to them");
    }

    #[test]
    fn what_no_room_is_left_for_is_refused_and_nothing_runs_over() {
        let bucket = AtomicU64::new(0);
        let vast = Rate::per_second(u32::MAX, u32::MAX);
        assert!(vast.take(&bucket, u64::MAX / 4).is_ok());
        assert_eq!(Rate::new(0, Duration::from_secs(1)).take(&AtomicU64::new(0), 7).map_err(|wait| wait.as_secs()), Err(1));
    }
}
