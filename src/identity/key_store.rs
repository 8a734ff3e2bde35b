//! The keys of all issuers, kept fresh in the background.

use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::error::{Quoted, TokenError};
use super::fetch::Fetcher;
use super::issuer_keys::{Flight, IssuerKeys, KeyTimes};
use super::issuers::Home;
use super::key_set::{KeySet, VerificationKey};
use crate::clock::{Clock, Timestamp};
use crate::directory::{Directory, KeySource, TokenIssuer};
use crate::https::Stop;
use crate::ids::TenantId;
use crate::telemetry::Repeats;

/// Requests that may wait for a load at the same time; further ones are refused at once.
const WAITERS_MAX: usize = 1024;
/// Loads under way at the same time, over all issuers.
const FLIGHTS_MAX: usize = 16;
/// Loads that requests have asked for and nobody has begun.
const ASKED_MAX: usize = 64;
/// How often it is looked at which keys are due.
const TICK: Duration = Duration::from_secs(1);

/// Anybody can send tokens with keys that nobody has.
static OVERFULL: Repeats<TenantId> =
    Repeats::new(|tenant, times| tracing::warn!(%tenant, times, "keys cannot be asked for: too many loads are waiting"));

/// The keys of all issuers that the directory names. Nothing but the directory and the clock causes a load, except an unknown
/// key of a known issuer, and that at most once per [floor](KeyTimes::refresh_floor).
#[derive(Debug)]
pub struct KeyStore {
    issuers: DashMap<TenantId, Arc<IssuerKeys>, foldhash::fast::RandomState>,
    fetcher: Fetcher,
    clock: Clock,
    times: KeyTimes,
    asked: mpsc::Sender<Flight>,
    waiters: Semaphore,
    flights: Semaphore,
}

/// Where the key came from that verified a token.
#[derive(Debug)]
pub(super) enum KeyOrigin {
    /// The issuer itself holds it: it counts for as long as the issuer is the same.
    Inline,
    /// It was loaded, and counts while it is among these.
    Loaded(Arc<IssuerKeys>),
}

/// How the keys of one issuer stand, for readiness and metrics.
#[derive(Debug, Clone)]
pub struct KeyStatus {
    /// The tenant that the issuer speaks for.
    pub tenant: TenantId,
    /// How many keys verify tokens at present; 0 when the issuer's tokens are refused.
    pub usable_keys: usize,
    /// When they were last loaded.
    pub loaded_at: Option<Timestamp>,
    /// Why the last load failed, if it did.
    pub failure: Option<String>,
}

impl KeyStore {
    /// An empty store and the task that keeps it; unknown keys are looked for only while [`KeyUpkeep::run`] runs.
    #[must_use]
    pub fn new(fetcher: Fetcher, clock: Clock, times: KeyTimes) -> (Arc<Self>, KeyUpkeep) {
        let (asked, asks) = mpsc::channel(ASKED_MAX);
        let store = Arc::new(Self {
            issuers: DashMap::default(),
            fetcher,
            clock,
            times,
            asked,
            waiters: Semaphore::new(WAITERS_MAX),
            flights: Semaphore::new(FLIGHTS_MAX),
        });
        (Arc::clone(&store), KeyUpkeep { store, asks })
    }

    /// Loads the keys of every issuer in the directory and returns when each has been tried once.
    pub async fn warm(self: &Arc<Self>, directory: &Directory) {
        self.follow(directory);
        let mut flights = JoinSet::new();
        self.begin_due(&mut flights);
        while flights.join_next().await.is_some() {}
    }

    /// How the keys of every issuer stand, in no order.
    #[must_use]
    pub fn status(&self) -> Vec<KeyStatus> {
        let now = self.clock.now();
        let all: Vec<_> = self.issuers.iter().map(|entry| Arc::clone(entry.value())).collect();
        all.iter()
            .map(|keys| {
                let usable_keys = keys.usable(now).map_or(0, |set| set.len());
                let state = keys.watch();
                let state = state.borrow();
                let failure = state.failure.as_ref().map(ToString::to_string);
                KeyStatus { tenant: keys.tenant(), usable_keys, loaded_at: state.loaded_at, failure }
            })
            .collect()
    }

    /// The key of this name among those of the issuer, loading them once more if it is not there.
    ///
    /// # Errors
    /// When the issuer has no such key, or none at all that counts.
    pub(super) async fn key(&self, home: &Home<'_>, kid: &str) -> Result<(KeyOrigin, Arc<VerificationKey>), TokenError> {
        if let KeySource::Inline(text) = &home.issuer.keys {
            return self.inline_key(home, text, kid).map(|key| (KeyOrigin::Inline, key));
        }
        let keys = self.issuer_keys(home)?;
        if let Some(key) = keys.find(kid, self.clock.now()) {
            return Ok((KeyOrigin::Loaded(keys), key));
        }
        self.ask_again(&keys).await;
        let now = self.clock.now();
        match keys.find(kid, now) {
            Some(key) => Ok((KeyOrigin::Loaded(keys), key)),
            None => Err(keys.missing(kid, now)),
        }
    }

    /// Nothing is kept: reading a few keys costs less than verifying a signature, and a replaced key is gone at once.
    fn inline_key(&self, home: &Home<'_>, text: &str, kid: &str) -> Result<Arc<VerificationKey>, TokenError> {
        let tenant = home.tenant.id;
        let set = KeySet::parse(text.as_bytes(), &home.issuer.algorithms).map_err(|cause| {
            tracing::debug!(%tenant, %cause, "the keys of an account's issuer cannot be used");
            TokenError::KeysUnavailable { tenant }
        })?;
        let unknown = || TokenError::UnknownKey { kid: Quoted::new(kid), loaded_at: self.clock.now() };
        set.get(kid).cloned().ok_or_else(unknown)
    }

    fn issuer_keys(&self, home: &Home<'_>) -> Result<Arc<IssuerKeys>, TokenError> {
        if let Some(known) = self.issuers.get(&home.tenant.id).filter(|known| known.serves(home.issuer)) {
            return Ok(Arc::clone(&known));
        }
        self.learn(home)
    }

    /// The keys of an issuer that was not known a moment ago; another request may have learnt of it since.
    fn learn(&self, home: &Home<'_>) -> Result<Arc<IssuerKeys>, TokenError> {
        let tenant = home.tenant.id;
        let learnt = || Arc::new(IssuerKeys::new(tenant, home.issuer.clone(), home.revision, self.times));
        match self.issuers.entry(tenant) {
            Entry::Occupied(known) if known.get().serves(home.issuer) => Ok(Arc::clone(known.get())),
            // A request that began under the snapshot before must not bring its issuer back.
            Entry::Occupied(known) if known.get().revision() > home.revision => Err(TokenError::KeysUnavailable { tenant }),
            Entry::Occupied(mut known) => {
                known.get().retire();
                let keys = learnt();
                known.insert(Arc::clone(&keys));
                Ok(keys)
            }
            Entry::Vacant(place) => Ok(Arc::clone(&place.insert(learnt()))),
        }
    }

    async fn ask_again(&self, keys: &Arc<IssuerKeys>) {
        let Ok(_waiting) = self.waiters.try_acquire() else { return };
        let mut state = keys.watch();
        if let Some(flight) = keys.take_off_when_asked(self.clock.now())
            && self.asked.try_send(flight).is_err()
        {
            OVERFULL.note(keys.tenant());
        }
        if timeout(self.times.wait_time_max, state.wait_for(|state| state.at_rest())).await.is_err() {
            tracing::debug!(tenant = %keys.tenant(), "the keys of an issuer did not arrive in time");
        }
    }

    /// Learns the issuers of a new snapshot, and forgets those that it no longer names.
    fn follow(&self, directory: &Directory) {
        for tenant in directory.declared_tenants() {
            let Some(issuer) = tenant.issuers.iter().find(|issuer| is_loaded(issuer)) else { continue };
            if let Err(cause) = self.issuer_keys(&Home { tenant, issuer, revision: directory.revision }) {
                tracing::debug!(tenant = %tenant.id, %cause, "a newer snapshot names another issuer");
            }
        }
        self.issuers.retain(|tenant, keys| {
            let named = directory.tenant(*tenant).is_some_and(|tenant| tenant.issuers.iter().any(is_loaded));
            let kept = named || keys.revision() > directory.revision;
            if !kept {
                keys.retire();
            }
            kept
        });
    }

    fn begin_due(self: &Arc<Self>, flights: &mut JoinSet<()>) {
        let now = self.clock.now();
        for entry in &self.issuers {
            if let Some(flight) = entry.value().take_off_when_due(now) {
                flights.spawn(Arc::clone(self).fly(flight));
            }
        }
    }

    async fn fly(self: Arc<Self>, flight: Flight) {
        // The semaphore is never closed; were it so, the flight would end as abandoned.
        if let Ok(_permit) = self.flights.acquire().await {
            flight.fly(&self.fetcher, &self.clock).await;
        }
    }
}

/// Whether the keys of an issuer are somewhere else and have to be loaded.
const fn is_loaded(issuer: &TokenIssuer) -> bool {
    match issuer.keys {
        KeySource::Discovery(_) | KeySource::KeySetUrl(_) | KeySource::File(_) => true,
        KeySource::Inline(_) => false,
    }
}

/// Keeps a [`KeyStore`] fresh. Its owner awaits [`run`](Self::run).
#[derive(Debug)]
pub struct KeyUpkeep {
    store: Arc<KeyStore>,
    asks: mpsc::Receiver<Flight>,
}

impl KeyUpkeep {
    /// Loads what is due or asked for and follows the directory, until `stop` turns true. Loads under way are then given up. It can be
    /// run again after it panicked.
    pub async fn run(&mut self, mut directories: watch::Receiver<Arc<Directory>>, mut stop: Stop) {
        let mut flights = JoinSet::new();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.follow(&mut directories);
        loop {
            tokio::select! {
                () = stopped(&mut stop) => break,
                Ok(()) = directories.changed() => {
                    self.follow(&mut directories);
                    self.store.begin_due(&mut flights);
                }
                Some(flight) = self.asks.recv() => {
                    flights.spawn(Arc::clone(&self.store).fly(flight));
                }
                Some(_landed) = flights.join_next() => {}
                _ = tick.tick() => self.store.begin_due(&mut flights),
            }
        }
        flights.shutdown().await;
    }

    fn follow(&self, directories: &mut watch::Receiver<Arc<Directory>>) {
        let directory = Arc::clone(&directories.borrow_and_update());
        self.store.follow(&directory);
    }
}

async fn stopped(stop: &mut Stop) {
    // A dropped sender means that the owner is gone, which is a stop as well.
    let _stopped_or_gone = stop.wait_for(|stop| *stop).await.is_ok();
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::RootCertStore;

    use super::super::testing::{HOME, RIVAL, directory, issuer, tenant};
    use super::*;
    use crate::directory::Tenant;

    fn store() -> (Arc<KeyStore>, KeyUpkeep) {
        KeyStore::new(Fetcher::new(RootCertStore::empty()).unwrap(), Clock::system(), KeyTimes::default())
    }

    fn home(keys: KeySource) -> Tenant {
        tenant(HOME, Some(issuer(HOME, keys)))
    }

    fn file(path: &str) -> KeySource {
        KeySource::File(path.into())
    }

    fn named(tenant: &Tenant, revision: u64) -> Home<'_> {
        Home { tenant, issuer: &tenant.issuers[0], revision }
    }

    fn followed(store: &KeyStore) -> Vec<TenantId> {
        let mut tenants: Vec<_> = store.status().iter().map(|status| status.tenant).collect();
        tenants.sort_unstable();
        tenants
    }

    #[test]
    fn requests_that_learn_of_an_issuer_together_share_its_keys() {
        let (store, _upkeep) = store();
        let home = home(file("a.json"));
        let first = store.learn(&named(&home, 1)).unwrap();
        for later in [store.learn(&named(&home, 1)), store.learn(&named(&home, 2)), store.issuer_keys(&named(&home, 1))] {
            assert!(Arc::ptr_eq(&first, &later.unwrap()));
        }
        assert!(first.take_off_when_due(store.clock.now()).is_some(), "they are in use");
    }

    #[test]
    fn a_request_under_an_older_snapshot_does_not_bring_its_issuer_back() {
        let (store, _upkeep) = store();
        let (old, new) = (home(file("old.json")), home(file("new.json")));
        let keys = store.issuer_keys(&named(&new, 5)).unwrap();
        let refused = store.issuer_keys(&named(&old, 4)).unwrap_err();
        assert_eq!(refused, TokenError::KeysUnavailable { tenant: HOME });
        assert!(Arc::ptr_eq(&keys, &store.issuer_keys(&named(&new, 4)).unwrap()));
        for (revision, issuer) in [(5, &old), (6, &new)] {
            let before = store.issuers.get(&HOME).map(|keys| Arc::clone(&keys)).unwrap();
            let after = store.issuer_keys(&named(issuer, revision)).unwrap();
            assert_eq!(after.revision(), revision);
            assert!(before.take_off_when_due(store.clock.now()).is_none(), "what is replaced is retired");
        }
    }

    #[test]
    fn an_issuer_is_forgotten_when_no_newer_snapshot_named_it() {
        for (revision, kept) in [(4, true), (5, false), (6, false)] {
            let (store, _upkeep) = store();
            let home = home(file("a.json"));
            let keys = store.issuer_keys(&named(&home, 5)).unwrap();
            store.follow(&directory(revision, vec![tenant(RIVAL, None)]));
            assert_eq!(followed(&store), if kept { vec![HOME] } else { Vec::new() }, "{revision}");
            assert_eq!(keys.take_off_when_due(store.clock.now()).is_some(), kept, "{revision}");
        }
    }

    #[test]
    fn only_keys_that_are_somewhere_else_are_loaded() {
        let url = || "https://login.example/keys".to_owned();
        let cases = [
            (file("a.json"), vec![HOME]),
            (KeySource::KeySetUrl(url()), vec![HOME]),
            (KeySource::Discovery(url()), vec![HOME]),
            (KeySource::Inline("{}".into()), Vec::new()),
        ];
        for (keys, expected) in cases {
            let (store, _upkeep) = store();
            let shown = format!("{keys:?}");
            store.follow(&directory(1, vec![home(keys)]));
            assert_eq!(followed(&store), expected, "{shown}");
        }
    }

    #[test]
    fn the_upkeep_learns_the_issuers_of_the_newest_snapshot() {
        let (store, upkeep) = store();
        let (sender, mut directories) = watch::channel(Arc::new(directory(1, vec![home(file("a.json"))])));
        upkeep.follow(&mut directories);
        assert_eq!(followed(&store), [HOME]);
        let rival = tenant(RIVAL, Some(issuer(RIVAL, file("b.json"))));
        sender.send_replace(Arc::new(directory(2, vec![home(file("a.json")), rival])));
        upkeep.follow(&mut directories);
        assert_eq!(followed(&store), [HOME, RIVAL]);
        assert!(!directories.has_changed().unwrap(), "it was looked at");
    }
}
