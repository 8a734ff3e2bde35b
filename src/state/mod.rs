//! This node's part of the revision protocol: follows the store, knows how fresh it is, and makes changes.
//!
//! Deciding needs a lease: each time the store was heard, this node has everything up to then, and may decide for a bounded
//! time. A change is planned on the newest snapshot and committed only if nothing was committed in between. Reading the store
//! tells as well how far every other node has come: a change is settled when no node can decide without it any more.

mod lease;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify, watch};
use tokio::time::timeout;

use self::lease::Lease;
use crate::clock::{Clock, Timestamp};
use crate::directory::{ApplyError, Directory, Published, Registry};
use crate::ids::SessionId;
use crate::store::{Change, CommitError, Epoch, Heard, Revision, Store, StoreError, Tail, Write};
use crate::telemetry::{self, Repeats};

/// How often the store is asked without any sign of a change. Source: `docs/decisions/0014`.
const POLL: Duration = Duration::from_millis(250);
/// How often the store is asked how far the other nodes are, while a request waits for them.
const LOOK: Duration = Duration::from_millis(50);
/// How long one question to the store may take.
const ASK_TIME_MAX: Duration = Duration::from_secs(5);
/// How often a change gets its turn; it needs another one only when this node had to read everything again.
const TURNS_MAX: usize = 4;
/// Rounds of reading what came in while reading.
const ROUNDS_MAX: usize = 16;

/// A store that is away fails every change.
static UNKNOWN: Repeats<String> = Repeats::new(|cause, times| tracing::error!(cause, times, "it is not known whether a change was kept"));

/// The run-time state as this node knows it.
#[derive(Debug)]
pub struct State {
    store: Arc<dyn Store>,
    session: SessionId,
    published: Published,
    lease: Lease,
    /// Every node has this revision, or cannot decide.
    fence: watch::Sender<Revision>,
    /// Changes of this node one after the other, so that they do not make each other start again.
    turn: Mutex<()>,
    /// Other nodes made changes before the last one of this node, so the next one takes its turn without trying first.
    is_contended: AtomicBool,
    /// The last question of the follower was not answered.
    is_deaf: AtomicBool,
    /// Reading one after the other.
    reading: Mutex<()>,
    look: Notify,
}

/// A change that is in the store.
#[derive(Debug)]
pub struct Changed<T> {
    /// The revision that holds it.
    pub revision: Revision,
    /// What the plan says about it.
    pub value: T,
}

/// A change that was not made, or of which that is not known.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError<E> {
    /// The plan refuses it.
    #[error("{0}")]
    Refused(E),
    /// Others changed the state faster than this change could be planned.
    #[error("others change the state faster than this change can be made; try again")]
    Busy,
    /// The store cannot be used, and nothing was changed.
    #[error("the store cannot be used now: {0}")]
    Store(#[source] StateError),
    /// The store went away while it was asked to keep the change: it may be there or not.
    #[error("the store went away while the change was made: look whether it is there before trying again")]
    Unknown,
}

/// Whether the store had something that this node lacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    None,
    Some,
}

/// The state cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// What the store holds cannot be taken in.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The store did not answer in time.
    #[error("the store did not answer within {} s", ASK_TIME_MAX.as_secs())]
    Slow,
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl State {
    /// Reads everything and publishes it; afterwards this node may decide. `lease` is how long it may do so without having heard the
    /// store; none for a store that nobody else writes to.
    ///
    /// # Errors
    /// When the store cannot be read, or holds what this program does not understand.
    pub async fn open(store: Arc<dyn Store>, lease: Option<Duration>, published: Published) -> Result<Arc<Self>, StateError> {
        let state = Self {
            lease: Lease::new(lease),
            store,
            session: SessionId::random(),
            published,
            fence: watch::Sender::new(Revision::default()),
            turn: Mutex::default(),
            is_contended: AtomicBool::new(false),
            is_deaf: AtomicBool::new(false),
            reading: Mutex::default(),
            look: Notify::new(),
        };
        state.read_all().await?;
        state.catch_up().await?;
        Ok(Arc::new(state))
    }

    /// Follows the store until `stop` ends. Whoever starts this task awaits its end.
    pub async fn follow(self: Arc<Self>, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut woken = self.store.woken();
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = woken.changed() => {}
                () = self.look.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
            match self.catch_up().await {
                Ok(()) => {
                    if self.is_deaf.swap(false, Ordering::Relaxed) {
                        tracing::info!("the store is followed again");
                    }
                }
                Err(error) => {
                    if !self.is_deaf.swap(true, Ordering::Relaxed) {
                        tracing::error!(cause = telemetry::chain(&error), "the store cannot be followed");
                    }
                }
            }
        }
        if let Err(error) = self.store.leave(self.session).await {
            tracing::warn!(cause = telemetry::chain(&error), "the store was not told that this node ends");
        }
    }

    /// Whether this node has heard the store recently enough to decide.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.lease.holds()
    }

    /// Whether the store answered when it was asked last.
    #[must_use]
    pub fn is_followed(&self) -> bool {
        !self.is_deaf.load(Ordering::Relaxed)
    }

    /// The newest snapshot that this node has.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        self.published.current()
    }

    /// The newest snapshot, and the ones to come.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Directory>> {
        self.published.subscribe()
    }

    /// The store, for questions that are not about the present.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Whether no node can decide without this revision any more. Asks the store when this node does not know yet.
    pub async fn is_settled(&self, revision: Revision) -> bool {
        if *self.fence.borrow() >= revision {
            return true;
        }
        // A failure means that nobody knows; then it is not settled.
        self.catch_up().await.is_ok() && *self.fence.borrow() >= revision
    }

    /// Waits until no node can decide without this revision any more. `false` when the store does not say so in the time that a node
    /// that stopped needs to lose its lease.
    pub async fn settle(&self, revision: Revision) -> bool {
        let settled = async {
            while !self.is_settled(revision).await {
                tokio::time::sleep(LOOK).await;
            }
        };
        timeout(self.lease.bound().saturating_mul(2) + ASK_TIME_MAX, settled).await.is_ok()
    }

    /// The last revision that is settled, as far as this node knows.
    #[must_use]
    pub fn settled(&self) -> Revision {
        *self.fence.borrow()
    }

    /// Waits until this node has a revision. `false` when it did not come in time.
    pub async fn reach(&self, revision: Revision, time_max: Duration) -> bool {
        let mut directory = self.published.subscribe();
        let there = directory.wait_for(|directory| directory.registry().revision() >= revision);
        self.look.notify_one();
        timeout(time_max, there).await.is_ok_and(|found| found.is_ok())
    }

    /// Makes a change: `plan` sees the newest snapshot and says what to write, again when somebody else was faster.
    ///
    /// # Errors
    /// When the plan refuses, or the store does not take it.
    pub async fn change<T: Send, E: Send>(
        &self,
        at: Timestamp,
        mut plan: impl FnMut(&Arc<Directory>) -> Result<(Vec<Write>, T), E> + Send,
    ) -> Result<Changed<T>, ChangeError<E>> {
        let _turn = self.turn.lock().await;
        if !self.is_contended.load(Ordering::Relaxed)
            && let Some(made) = self.change_at_once(at, &mut plan).await?
        {
            return Ok(made);
        }
        for _ in 0..TURNS_MAX {
            let (epoch, base) = self.place();
            if let Some(made) = self.change_in_turn(at, &mut plan).await? {
                return Ok(made);
            }
            self.go_beyond(epoch, base).await.map_err(ChangeError::Store)?;
        }
        Err(ChangeError::Busy)
    }

    /// On what this node has. Nothing when that is not the newest any more.
    async fn change_at_once<T, E>(
        &self,
        at: Timestamp,
        plan: &mut (impl FnMut(&Arc<Directory>) -> Result<(Vec<Write>, T), E> + Send),
    ) -> Result<Option<Changed<T>>, ChangeError<E>> {
        let directory = self.published.current();
        let (epoch, base) = (directory.registry().epoch(), directory.registry().revision());
        let (writes, value) = plan(&directory).map_err(ChangeError::Refused)?;
        if writes.is_empty() {
            // That there is nothing to do is known only of the newest state.
            let _reading = self.reading.lock().await;
            let is_newest = self.hear().await.map_err(ChangeError::Store)? == News::None && self.place() == (epoch, base);
            return Ok(is_newest.then_some(Changed { revision: base, value }));
        }
        match self.store.commit(epoch, base, at, &writes).await {
            Ok(revision) => self.made(&Change { revision, at, writes }, value).map(Some),
            Err(CommitError::Conflict { .. }) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// On what the store has, while other nodes wait: one that is further away from the store, or slower, is always behind them
    /// otherwise. Nothing when this node has to read everything again first.
    async fn change_in_turn<T: Send, E: Send>(
        &self,
        at: Timestamp,
        plan: &mut (impl FnMut(&Arc<Directory>) -> Result<(Vec<Write>, T), E> + Send),
    ) -> Result<Option<Changed<T>>, ChangeError<E>> {
        let (epoch, applied) = self.place();
        let mut planned = None;
        let plan_after = Box::new(|tail| {
            let Tail::Changes(missed) = tail else { return None };
            self.is_contended.store(!missed.is_empty(), Ordering::Relaxed);
            let (base, writes, value) = match self.plan_after(&missed, plan) {
                Ok(made) => made,
                Err(error) => {
                    planned = Some(Err(error));
                    return None;
                }
            };
            planned = Some(Ok(Changed { revision: base, value }));
            (!writes.is_empty()).then_some((base, writes))
        });
        let committed = self.store.commit_in_turn(epoch, applied, at, plan_after).await;
        match (committed, planned.transpose()?) {
            (Ok(Some(change)), Some(planned)) => self.made(&change, planned.value).map(Some),
            (Ok(None), planned) => Ok(planned),
            (Ok(Some(_)), None) | (Err(CommitError::Conflict { .. }), _) => Ok(None),
            (Err(error), _) => Err(self.failed(error)),
        }
    }

    fn plan_after<T, E>(
        &self,
        missed: &[Change],
        plan: &mut impl FnMut(&Arc<Directory>) -> Result<(Vec<Write>, T), E>,
    ) -> Result<(Revision, Vec<Write>, T), ChangeError<E>> {
        missed.iter().try_for_each(|change| self.take(change)).map_err(|error| ChangeError::Store(error.into()))?;
        let directory = self.published.current();
        let (writes, value) = plan(&directory).map_err(ChangeError::Refused)?;
        Ok((directory.registry().revision(), writes, value))
    }

    fn made<T, E>(&self, change: &Change, value: T) -> Result<Changed<T>, ChangeError<E>> {
        self.take(change).map_err(|error| ChangeError::Store(error.into()))?;
        self.look.notify_one();
        Ok(Changed { revision: change.revision, value })
    }

    fn failed<E>(&self, error: CommitError) -> ChangeError<E> {
        match error {
            CommitError::Conflict { .. } => ChangeError::Busy,
            CommitError::Store(error) => ChangeError::Store(error.into()),
            CommitError::Unknown(error) => {
                UNKNOWN.note(telemetry::chain(&error));
                self.look.notify_one();
                ChangeError::Unknown
            }
        }
    }

    /// Takes in everything the store has, and says so to the store.
    async fn catch_up(&self) -> Result<(), StateError> {
        let _reading = self.reading.lock().await;
        for _ in 0..ROUNDS_MAX {
            if self.hear().await? == News::None {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes in what a change could not be made upon, unless that has happened meanwhile.
    async fn go_beyond(&self, epoch: Epoch, base: Revision) -> Result<(), StateError> {
        let _reading = self.reading.lock().await;
        if self.place() == (epoch, base) { self.hear().await.map(drop) } else { Ok(()) }
    }

    /// Asks the store once.
    async fn hear(&self) -> Result<News, StateError> {
        let asked = Clock::since_boot();
        let (epoch, applied) = self.place();
        let heard = timeout(ASK_TIME_MAX, self.store.poll(self.session, epoch, applied)).await;
        let Heard { tail, fence } = heard.or(Err(StateError::Slow))??;
        let news = match tail {
            Tail::Changes(changes) if changes.is_empty() => {
                // What was settled stays so: a node that comes back has to catch up before it decides.
                self.fence.send_if_modified(|known| {
                    let is_newer = *known < fence;
                    *known = fence.max(*known);
                    is_newer
                });
                News::None
            }
            Tail::Changes(changes) => {
                changes.iter().try_for_each(|change| self.take(change))?;
                News::Some
            }
            Tail::Trimmed => {
                self.read_all().await?;
                News::Some
            }
        };
        self.lease.renew(asked);
        Ok(news)
    }

    /// What this node has.
    fn place(&self) -> (Epoch, Revision) {
        let directory = self.published.current();
        (directory.registry().epoch(), directory.registry().revision())
    }

    /// Takes in one change; one that is in already is left alone.
    fn take(&self, change: &Change) -> Result<(), ApplyError> {
        self.published.try_update(|directory| match change.revision <= directory.registry().revision() {
            true => Ok(None),
            false => directory.apply(change).map(Some),
        })
    }

    async fn read_all(&self) -> Result<(), StateError> {
        let snapshot = self.store.snapshot().await?;
        let registry = Registry::from_snapshot(&snapshot)?;
        let epoch = self.published.current().registry().epoch();
        self.published.update(|directory| directory.agreeing(registry.clone()));
        if epoch != registry.epoch() {
            // What was settled in another history says nothing about this one.
            self.fence.send_replace(Revision::default());
        }
        Ok(())
    }
}
