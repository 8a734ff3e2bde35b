//! Whether the wall clock has gone steadily for long enough to end something by it: pure.

use std::time::Duration;

use crate::clock::{SignedDuration, Timestamp};

/// The wall clock was set when it went so much further, or less far, than the clock that nobody sets. Time servers put a clock right by less.
const STEP_MIN: SignedDuration = SignedDuration::from_secs(60);
/// Nothing ends before the clock has gone for so long without being set: time for somebody to put it right.
const STEADY_MIN: Duration = Duration::from_secs(3_600);

/// Two clocks at one look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// By the wall clock.
    pub(super) now: Timestamp,
    /// By the one that nobody sets.
    pub(super) uptime: Duration,
}

/// How long the wall clock has gone steadily, as far as was looked.
#[derive(Debug)]
pub(super) struct Steady {
    last: Look,
    since: Duration,
}

/// What a look shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// The clock was set by so much since the last look.
    Step(SignedDuration),
    /// It was not, and not for long enough before.
    Unproven,
    /// It was not for long enough to rely on it.
    Proven,
}

impl Steady {
    /// Nothing is known of the time before.
    pub(super) const fn since(first: Look) -> Self {
        Self { since: first.uptime, last: first }
    }

    /// Looks again.
    pub(super) fn look(&mut self, next: Look) -> Seen {
        let last = std::mem::replace(&mut self.last, next);
        let passed = SignedDuration::try_from(next.uptime.saturating_sub(last.uptime)).unwrap_or(SignedDuration::MAX);
        let step = next.now.duration_since(last.now).saturating_sub(passed);
        if step.abs() >= STEP_MIN {
            self.since = next.uptime;
            return Seen::Step(step);
        }
        if next.uptime.saturating_sub(self.since) >= STEADY_MIN { Seen::Proven } else { Seen::Unproven }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What looks show at seconds of the wall clock and of the other one, after a first look at zero of both.
    #[track_caller]
    fn check(looks: &[(i64, u64, Seen)]) {
        let at = |wall: i64, up: u64| Look { now: Timestamp::from_second(1_800_000_000 + wall).unwrap(), uptime: Duration::from_secs(up) };
        let mut steady = Steady::since(at(0, 0));
        for (wall, up, expected) in looks {
            assert_eq!(steady.look(at(*wall, *up)), *expected, "{wall} {up}");
        }
    }

    #[test]
    fn a_clock_that_goes_is_believed_after_an_hour() {
        check(&[
            (5, 5, Seen::Unproven),
            (3_599, 3_599, Seen::Unproven),
            (3_600, 3_600, Seen::Proven),
            (9_000_000, 9_000_000, Seen::Proven),
        ]);
        // A time server puts it right little by little.
        check(&[(3_659, 3_600, Seen::Proven), (7_200, 7_200, Seen::Proven)]);
    }

    #[test]
    fn a_clock_that_was_set_is_believed_an_hour_later() {
        const YEAR: i64 = 365 * 86_400;
        let ahead = Seen::Step(SignedDuration::from_secs(YEAR));
        check(&[
            (7_200, 7_200, Seen::Proven),
            (YEAR + 7_205, 7_205, ahead),
            (YEAR + 10_804, 10_804, Seen::Unproven),
            (YEAR + 10_805, 10_805, Seen::Proven),
        ]);
        let back = Seen::Step(SignedDuration::from_secs(-YEAR));
        check(&[(YEAR + 5, 5, ahead), (10, 10, back), (3_609, 3_609, Seen::Unproven), (3_610, 3_610, Seen::Proven)]);
        let by = |seconds| Seen::Step(SignedDuration::from_secs(seconds));
        check(&[(65, 5, by(60)), (10, 10, by(-60)), (74, 15, Seen::Unproven), (20, 20, Seen::Unproven)]);
    }
}
