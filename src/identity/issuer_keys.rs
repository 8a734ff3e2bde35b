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
    use super::super::testing::{HOME, RIVAL, TestKey, issuer, key_set};
    use super::*;
    use crate::directory::{KeySource, SignatureAlgorithm};

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

    fn start() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    /// Ends a load with one key, `a`.
    fn land(mut flight: Flight, now: Timestamp) {
        let json = key_set(&[TestKey::ed25519().jwk("a")]);
        flight.outcome = Ok(KeySet::parse(json.as_bytes(), &[SignatureAlgorithm::EdDsa]).unwrap());
        flight.now = now;
    }

    #[test]
    fn issuers_are_loaded_anew_each_at_its_own_time_in_the_last_fifth_of_ten_minutes() {
        for (first_byte, due_s) in [(0, 600), (51, 576), (255, 480)] {
            let tenant = TenantId::from_bytes([first_byte; 16]);
            let issuer = issuer(tenant, KeySource::File("keys.json".into()));
            let keys = Arc::new(IssuerKeys::new(tenant, issuer, 1, KeyTimes::default()));
            land(keys.take_off_when_due(start()).unwrap(), start());
            let before = later(start(), Duration::from_millis(due_s * 1000 - 1));
            assert!(keys.take_off_when_due(before).is_none(), "{first_byte}");
            assert!(keys.take_off_when_due(later(start(), Duration::from_secs(due_s))).is_some(), "{first_byte}");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_no_keys_from_being_loaded() {
        let keys = keys();
        drop(keys.take_off_when_asked(start()).unwrap());
        assert!(keys.take_off_when_asked(start()).is_none(), "the floor");
        let before = start().checked_sub(Duration::from_secs(1)).unwrap();
        assert!(keys.take_off_when_asked(before).is_some());
    }

    #[test]
    fn keys_count_for_less_than_a_day_after_they_were_loaded() {
        let keys = keys();
        assert!(keys.find("a", start()).is_none());
        land(keys.take_off_when_due(start()).unwrap(), start());
        let after = |by| later(start(), by);
        for (now, counts) in [
            (start(), true),
            (after(Duration::from_nanos(86_399_999_999_999)), true),
            (after(Duration::from_secs(86_400)), false),
            (after(Duration::from_secs(86_401)), false),
        ] {
            assert_eq!(keys.find("a", now).is_some(), counts, "{now}");
        }
        assert!(keys.find("b", start()).is_none());
    }

    #[test]
    fn keys_that_arrive_after_their_issuer_was_retired_do_not_count() {
        let keys = keys();
        let flight = keys.take_off_when_due(start()).unwrap();
        keys.retire();
        land(flight, start());
        assert!(keys.usable(start()).is_none());
        assert_eq!(keys.watch().borrow().loaded_at, None);
    }

    #[test]
    fn whoever_waits_for_keys_can_tell_whether_a_load_is_under_way() {
        let keys = keys();
        let watch = keys.watch();
        assert!(watch.borrow().at_rest());
        let flight = keys.take_off_when_due(start()).unwrap();
        assert!(!watch.borrow().at_rest());
        drop(flight);
        assert!(watch.borrow().at_rest());
    }

    #[test]
    fn keys_serve_an_issuer_of_the_same_names_keys_and_algorithms() {
        let issuer = issuer(HOME, KeySource::File("keys.json".into()));
        let keys = IssuerKeys::new(HOME, issuer.clone(), 7, KeyTimes::default());
        assert_eq!((keys.tenant(), keys.revision()), (HOME, 7));
        let changed = |change: fn(&mut TokenIssuer)| {
            let mut issuer = issuer.clone();
            change(&mut issuer);
            keys.serves(&issuer)
        };
        assert!(changed(|_issuer| {}));
        assert!(changed(|issuer| issuer.leeway_s = 60));
        assert!(!changed(|issuer| issuer.keys = KeySource::File("others.json".into())));
        assert!(!changed(|issuer| issuer.algorithms.push(SignatureAlgorithm::Es256)));
        assert!(!changed(|issuer| issuer.names.push(RIVAL.to_string())));
        assert!(!changed(|issuer| {
            issuer.keys = KeySource::File("others.json".into());
            issuer.algorithms.push(SignatureAlgorithm::Es256);
        }));
    }
}
