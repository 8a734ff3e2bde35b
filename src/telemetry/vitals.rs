//! How the parts of a running gateway are: what readiness and metrics tell of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// All is well.
    Sound,
    /// Requests are decided and answered as ever; somebody has to look.
    Degraded,
    /// No new requests should be sent here.
    Failed,
}

/// What it means that a task does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Decisions would grow old, or a listener is gone.
    All,
    /// Requests do not depend on it.
    None,
    /// One of all with this name is enough to answer requests.
    One,
}

/// A task that runs as long as the gateway.
#[derive(Debug)]
pub struct Vital {
    /// Its name in metrics and logs, of a fixed set.
    pub name: &'static str,
    need: Need,
    is_up: AtomicBool,
    ends: AtomicU64,
}

impl Vital {
    /// Whether it runs.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Acquire)
    }

    /// How often it ended before its time.
    #[must_use]
    pub fn ends(&self) -> u64 {
        self.ends.load(Ordering::Relaxed)
    }

    /// It ended before its time.
    pub fn end(&self) {
        self.ends.fetch_add(1, Ordering::Relaxed);
        self.is_up.store(false, Ordering::Release);
    }

    /// It runs again.
    pub fn begin_again(&self) {
        self.is_up.store(true, Ordering::Release);
    }
}

/// All tasks of a gateway.
#[derive(Debug, Default)]
#[expect(clippy::disallowed_types, reason = "grows while the gateway starts, and is read when somebody asks how it is")]
pub struct Vitals(std::sync::Mutex<Vec<Arc<Vital>>>);

impl Vitals {
    /// A task that begins now.
    pub fn begin(&self, name: &'static str, need: Need) -> Arc<Vital> {
        let vital = Arc::new(Vital { name, need, is_up: AtomicBool::new(true), ends: AtomicU64::new(0) });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&vital));
        vital
    }

    /// All of them, in the order in which they began.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Vital>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How they are together, and a line about it.
    #[must_use]
    pub fn condition(&self) -> (Condition, String) {
        let all = self.all();
        let is_up = |name| all.iter().any(|vital| vital.name == name && vital.is_up());
        let down: Vec<&Arc<Vital>> = all.iter().filter(|vital| !vital.is_up()).collect();
        let condition = |vital: &&Arc<Vital>| match vital.need {
            Need::All => Condition::Failed,
            Need::None => Condition::Degraded,
            Need::One => {
                if is_up(vital.name) {
                    Condition::Degraded
                } else {
                    Condition::Failed
                }
            }
        };
        match down.iter().map(condition).max() {
            None => (Condition::Sound, format!("{} run", all.len())),
            Some(condition) => {
                let names: Vec<&str> = down.iter().map(|vital| vital.name).collect();
                (condition, format!("{} of {} do not run: {}", down.len(), all.len(), names.join(", ")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_run_counts_as_much_as_it_is_needed() {
        let vitals = Vitals::default();
        let [first, second] = [vitals.begin("worker", Need::One), vitals.begin("worker", Need::One)];
        let (helps, needed) = (vitals.begin("webhook", Need::None), vitals.begin("policies", Need::All));
        assert_eq!(vitals.condition(), (Condition::Sound, "4 run".to_owned()));
        helps.end();
        assert_eq!(vitals.condition(), (Condition::Degraded, "1 of 4 do not run: webhook".to_owned()));
        helps.begin_again();
        first.end();
        assert_eq!(vitals.condition().0, Condition::Degraded);
        second.end();
        assert_eq!(vitals.condition(), (Condition::Failed, "2 of 4 do not run: worker, worker".to_owned()));
        first.begin_again();
        needed.end();
        assert_eq!(vitals.condition().0, Condition::Failed);
        assert_eq!((needed.ends(), helps.ends()), (1, 1));
    }
}
