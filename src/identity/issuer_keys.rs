//! The keys of one tenant's issuer, and when they were and may be loaded.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::claims::later;
use super::error::{Quoted, TokenError};
use super::fetch::Fetcher;
use super::key_load::{KeyLoadError, load};
use super::key_set::{KeySet, VerificationKey};
use crate::clock::{Clock, Timestamp};
use crate::directory::TokenIssuer;
use crate::ids::TenantId;

/// When keys are loaded and how long they count.
#[derive(Debug, Clone, Copy)]
pub struct KeyTimes {
    /// From one load to the next; issuers are spread over up to a fifth less.
    pub refresh_every: Duration,
    /// From a failed load to the next.
    pub retry_every: Duration,
    /// A token with an unknown key causes no load sooner than this after the last one began.
    pub refresh_floor: Duration,
    /// How long a request with an unknown key waits for a load.
    pub wait_time_max: Duration,
    /// How long keys count while their issuer cannot be reached.
    pub usable_time_max: Duration,
}

impl Default for KeyTimes {
    fn default() -> Self {
        Self {
            refresh_every: Duration::from_mins(10),
            retry_every: Duration::from_secs(30),
            refresh_floor: Duration::from_secs(10),
            wait_time_max: Duration::from_secs(2),
            usable_time_max: Duration::from_hours(24),
        }
    }
}

/// The keys of one tenant's issuer. Loaded by one [`Flight`] at a time.
#[derive(Debug)]
pub(super) struct IssuerKeys {
    tenant: TenantId,
    issuer: TokenIssuer,
    revision: u64,
    times: KeyTimes,
    state: watch::Sender<State>,
}

/// What is known about the keys at one moment.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) set: Option<Arc<KeySet>>,
    pub(super) loaded_at: Option<Timestamp>,
    pub(super) failure: Option<Arc<KeyLoadError>>,
    attempted_at: Option<Timestamp>,
    in_flight: bool,
    /// The policy names another issuer by now: no key of this one counts any longer.
    retired: bool,
}

impl IssuerKeys {
    pub(super) fn new(tenant: TenantId, issuer: TokenIssuer, revision: u64, times: KeyTimes) -> Self {
        Self { tenant, issuer, revision, times, state: watch::Sender::default() }
    }

    pub(super) const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The snapshot that introduced the issuer.
    pub(super) const fn revision(&self) -> u64 {
        self.revision
    }

    /// Whether `issuer` has the same names, keys and algorithms.
    pub(super) fn serves(&self, issuer: &TokenIssuer) -> bool {
        self.issuer.keys == issuer.keys && self.issuer.algorithms == issuer.algorithms && self.issuer.names == issuer.names
    }

    /// Watches what is known.
    pub(super) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// The key of this name, unless the set is too old to be trusted.
    pub(super) fn find(&self, kid: &str, now: Timestamp) -> Option<Arc<VerificationKey>> {
        self.usable(now)?.get(kid).cloned()
    }

    /// Whether a key that verified a token still counts.
    pub(super) fn holds(&self, key: &Arc<VerificationKey>, now: Timestamp) -> bool {
        self.usable(now).is_some_and(|set| set.holds(key))
    }

    /// The keys that count at `now`.
    pub(super) fn usable(&self, now: Timestamp) -> Option<Arc<KeySet>> {
        let state = self.state.borrow();
        let until = later(state.loaded_at?, self.times.usable_time_max);
        state.set.as_ref().filter(|_set| now < until).cloned()
    }

    /// Why there is no key of this name.
    pub(super) fn missing(&self, kid: &str, now: Timestamp) -> TokenError {
        match (self.usable(now), self.state.borrow().loaded_at) {
            (Some(_set), Some(loaded_at)) => TokenError::UnknownKey { kid: Quoted::new(kid), loaded_at },
            (Some(_) | None, _) => TokenError::KeysUnavailable { tenant: self.tenant },
        }
    }

    /// Begins a load because the last one is long enough ago, if none is under way.
    pub(super) fn take_off_when_due(self: &Arc<Self>, now: Timestamp) -> Option<Flight> {
        // The first byte of the id spreads tenants that were learnt of together.
        let [spread, ..] = *self.tenant.as_bytes();
        let early = self.times.refresh_every / 5 * u32::from(spread) / u32::from(u8::MAX);
        let (refresh, retry) = (self.times.refresh_every.saturating_sub(early), self.times.retry_every);
        self.take_off(now, |state| if state.failure.is_some() { retry } else { refresh })
    }

    /// Begins a load because a token names an unknown key, if the floor permits and none is under way.
    pub(super) fn take_off_when_asked(self: &Arc<Self>, now: Timestamp) -> Option<Flight> {
        self.take_off(now, |_state| self.times.refresh_floor)
    }

    fn take_off(self: &Arc<Self>, now: Timestamp, pause: impl FnOnce(&State) -> Duration) -> Option<Flight> {
        let begun = self.state.send_if_modified(|state| {
            // A clock that was set back must not keep keys from being loaded.
            let rested = state.attempted_at.is_none_or(|at| now < at || now >= later(at, pause(state)));
            let begins = rested && !state.in_flight && !state.retired;
            if begins {
                state.in_flight = true;
                state.attempted_at = Some(now);
            }
            begins
        });
        begun.then(|| Flight { keys: Arc::clone(self), outcome: Err(KeyLoadError::Abandoned), now })
    }

    /// Ends the use of these keys for good, also for tokens that they have verified.
    pub(super) fn retire(&self) {
        self.state.send_modify(|state| *state = State { retired: true, ..State::default() });
    }
}

/// One load under way. However it ends, also by being dropped, what is known says so afterwards.
#[derive(Debug)]
pub(super) struct Flight {
    keys: Arc<IssuerKeys>,
    outcome: Result<KeySet, KeyLoadError>,
    now: Timestamp,
}

impl Flight {
    /// Loads the keys.
    pub(super) async fn fly(mut self, fetcher: &Fetcher, clock: &Clock) {
        self.outcome = load(fetcher, &self.keys.issuer).await;
        self.now = clock.now();
        if let Err(cause) = &self.outcome {
            let cause: &dyn std::error::Error = cause;
            tracing::warn!(tenant = %self.keys.tenant, cause, "keys of an issuer could not be loaded");
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, Err(KeyLoadError::Abandoned));
        self.keys.state.send_modify(|state| {
            state.in_flight = false;
            match outcome {
                Ok(_) if state.retired => {}
                Ok(set) => {
                    state.set = Some(Arc::new(match &state.set {
                        Some(previous) => set.after(previous),
                        None => set,
                    }));
                    state.loaded_at = Some(self.now);
                    state.failure = None;
                }
                Err(cause) => state.failure = Some(Arc::new(cause)),
            }
        });
    }
}

impl State {
    /// Whether no load is under way.
    pub(super) const fn at_rest(&self) -> bool {
        !self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HOME, issuer};
    use super::*;
    use crate::directory::KeySource;

    fn keys() -> Arc<IssuerKeys> {
        Arc::new(IssuerKeys::new(HOME, issuer(HOME, KeySource::File("keys.json".into())), 1, KeyTimes::default()))
    }

    #[test]
    fn one_load_is_under_way_at_a_time_and_the_next_waits_for_the_floor() {
        let (keys, clock) = (keys(), Clock::system());
        let flight = keys.take_off_when_asked(clock.now()).unwrap();
        clock.advance(Duration::from_secs(11));
        assert!(keys.take_off_when_asked(clock.now()).is_none(), "one is under way");
        drop(flight);
        let flight = keys.take_off_when_asked(clock.now()).unwrap();
        drop(flight);
        clock.advance(Duration::from_secs(9));
        assert!(keys.take_off_when_asked(clock.now()).is_none(), "the floor");
        clock.advance(Duration::from_secs(1));
        assert!(keys.take_off_when_asked(clock.now()).is_some());
    }

    #[test]
    fn a_load_that_was_given_up_is_tried_again_and_says_so() {
        let (keys, clock) = (keys(), Clock::system());
        drop(keys.take_off_when_due(clock.now()).unwrap());
        assert_eq!(keys.watch().borrow().failure.as_ref().unwrap().to_string(), "loading was given up");
        clock.advance(Duration::from_secs(29));
        assert!(keys.take_off_when_due(clock.now()).is_none());
        clock.advance(Duration::from_secs(1));
        assert!(keys.take_off_when_due(clock.now()).is_some());
    }

    #[test]
    fn retired_keys_are_never_loaded_again() {
        let (keys, clock) = (keys(), Clock::system());
        keys.retire();
        assert!(keys.take_off_when_due(clock.now()).is_none());
        assert!(keys.take_off_when_asked(clock.now()).is_none());
    }
}
