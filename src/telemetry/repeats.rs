//! Lines that would flood a log when the same thing happens again and again: the first is written at once, what follows is summed up.
//!
//! A log that is written to a pipe can block who writes it, and a backend that is away fails every request.

use std::fmt;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::clock::Clock;

/// The least time from one line to the next of its kind.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// All kinds that were ever held back: as many as there are in the source.
#[expect(clippy::disallowed_types, reason = "taken once a second, and by each kind once")]
static KINDS: std::sync::Mutex<Vec<&'static dyn HeldBack>> = std::sync::Mutex::new(Vec::new());

/// One kind of line. `T` is what a line says of the last one that it stands for.
#[expect(clippy::disallowed_types, reason = "taken where something failed, for a few steps, never across an await")]
pub struct Repeats<T> {
    write: fn(T, u64),
    heard: std::sync::Mutex<Heard<T>>,
}

/// What was not written yet.
struct Heard<T> {
    times: u64,
    last: Option<T>,
    written: Option<Instant>,
    is_listed: bool,
}

/// A kind that may hold something back.
trait HeldBack: Sync {
    fn catch_up(&self, now: Option<Instant>);
}

/// Writes what was held back and whose time has come: nothing may happen again that would have it written.
pub fn catch_up() {
    write_all(Some(Clock::instant()));
}

/// Writes all that was held back.
pub fn finish() {
    write_all(None);
}

fn write_all(now: Option<Instant>) {
    let kinds = KINDS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    kinds.iter().for_each(|kind| kind.catch_up(now));
}

impl<T> Heard<T> {
    /// Nothing before its time; without a present time, it has come.
    fn take_due(&mut self, now: Option<Instant>) -> Option<(T, u64)> {
        let is_early = now.zip(self.written).is_some_and(|(now, written)| now.saturating_duration_since(written) < LINE_EVERY);
        let last = if is_early { None } else { self.last.take() };
        if last.is_some() {
            self.written = now.or(self.written);
        }
        last.map(|last| (last, std::mem::take(&mut self.times)))
    }
}

impl<T: Send> Repeats<T> {
    /// `write` is given the last of them and how many there were since the line before.
    #[expect(clippy::disallowed_types, reason = "see the type")]
    pub const fn new(write: fn(T, u64)) -> Self {
        Self { write, heard: std::sync::Mutex::new(Heard { times: 0, last: None, written: None, is_listed: false }) }
    }

    /// It happened once more: written at once, or with the next line.
    pub fn note(&'static self, one: T) {
        let now = Clock::instant();
        let (due, is_new) = self.with(|heard| {
            heard.times += 1;
            heard.last = Some(one);
            let due = heard.take_due(Some(now));
            (due, !std::mem::replace(&mut heard.is_listed, true))
        });
        if is_new {
            KINDS.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        }
        self.say(due);
    }

    /// Outside of the lock: writing can take long.
    fn say(&self, due: Option<(T, u64)>) {
        if let Some((last, times)) = due {
            (self.write)(last, times);
        }
    }

    fn with<R>(&self, work: impl FnOnce(&mut Heard<T>) -> R) -> R {
        work(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T: Send> HeldBack for Repeats<T> {
    fn catch_up(&self, now: Option<Instant>) {
        self.say(self.with(|heard| heard.take_due(now)));
    }
}

impl<T> fmt::Debug for Repeats<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repeats").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    type Told = mpsc::Sender<(u32, u64)>;

    /// As if so much time had passed since the last line.
    fn pass(repeats: &Repeats<(Told, u32)>, time: Duration) {
        repeats.with(|heard| heard.written = heard.written.and_then(|written| written.checked_sub(time)));
    }

    #[test]
    fn the_first_is_told_at_once_and_the_others_in_one_line_a_second() {
        let (told, lines) = mpsc::channel();
        let repeats: &'static Repeats<_> =
            Box::leak(Box::new(Repeats::new(|(told, id): (Told, u32), times| told.send((id, times)).unwrap())));
        let lines = || lines.try_iter().collect::<Vec<_>>();
        for id in 1..=500 {
            repeats.note((told.clone(), id));
        }
        pass(repeats, LINE_EVERY / 2);
        catch_up();
        assert_eq!(lines(), [(1, 1)], "the time of the others has not come");
        pass(repeats, LINE_EVERY / 2);
        catch_up();
        catch_up();
        assert_eq!(lines(), [(500, 499)]);
        repeats.note((told.clone(), 501));
        pass(repeats, LINE_EVERY);
        repeats.note((told.clone(), 502));
        pass(repeats, 10 * LINE_EVERY);
        repeats.note((told.clone(), 503));
        assert_eq!(lines(), [(502, 2), (503, 1)]);
        repeats.note((told, 504));
        finish();
        finish();
        assert_eq!(lines(), [(504, 1)], "what is held back at the end is told");
    }
}
