//! Keeps the snapshot of a running process equal to its policy files.
//!
//! A changed set replaces the snapshot as a whole; a broken one changes nothing and says so. Editors that rename a new file
//! over the old one, and Kubernetes swapping its `..data` link, look alike here: the folder is read again. What the
//! notifications of the operating system miss, a look at names, lengths and times finds.

use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{self, JoinError};
use tokio::time::{self, MissedTickBehavior};

use super::diagnostics::{Diagnostics, Style};
use super::source::Fingerprint;
use super::{LoadOptions, Loaded, embedded, load, load_texts};
use crate::clock::{Clock, Timestamp};
use crate::directory::{Directory, Published};

/// How long a set is left alone after the first sign of a change: editors and deployments touch several files.
const SETTLE: Duration = Duration::from_millis(100);
/// How often the folder is looked at without any sign.
const POLL: Duration = Duration::from_secs(2);
/// Reloads that may be asked for before the first is answered; one reload answers all of them.
const REQUESTS_MAX: usize = 16;

/// Where the policies of a process are.
#[derive(Debug, Clone)]
pub enum PolicySource {
    /// The demo policies inside the binary. They never change.
    Embedded,
    /// A folder of policy files.
    Folder(PathBuf),
}

/// What became of an attempt to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadOutcome {
    /// A new snapshot is in use.
    Applied,
    /// Something was wrong; the snapshot before stays in use.
    Refused,
    /// The files are the same as before.
    Unchanged,
}

/// The last attempt to load, and all before it.
#[derive(Debug, Clone)]
pub struct LoadStatus {
    /// What became of the last attempt.
    pub outcome: LoadOutcome,
    /// When that was.
    pub at: Timestamp,
    /// The revision in use.
    pub revision: u64,
    /// Snapshots put to use so far, the first included.
    pub applied: u64,
    /// Sets refused so far.
    pub refused: u64,
    /// `7 files, 31 grants, no errors`, of the last attempt that was not refused.
    pub summary: Arc<str>,
    /// What was wrong with the files as they are now, for people; nothing when they are in use.
    pub failure: Option<Arc<str>>,
}

/// The process is ending and does not load any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the policies are not loaded any more because the process is ending")]
pub struct Stopped;

/// The way to the snapshot, for everybody who needs it. Clones share one watcher.
#[derive(Debug, Clone)]
pub struct PolicyHandle {
    published: Published,
    status: watch::Receiver<LoadStatus>,
    requests: mpsc::Sender<oneshot::Sender<LoadStatus>>,
}

impl PolicyHandle {
    /// The snapshot in use, and the ones to come.
    #[must_use]
    pub fn directory(&self) -> watch::Receiver<Arc<Directory>> {
        self.published.subscribe()
    }

    /// The place that the snapshot is published in, for whoever adds to it what was agreed at run time.
    #[must_use]
    pub const fn published(&self) -> &Published {
        &self.published
    }

    /// What became of the last attempt to load, and of the ones to come.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<LoadStatus> {
        self.status.clone()
    }

    /// Loads now, and waits for what becomes of it.
    ///
    /// # Errors
    /// When the watcher has ended.
    pub async fn reload(&self) -> Result<LoadStatus, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.requests.send(answer).await.or(Err(Stopped))?;
        answered.await.or(Err(Stopped))
    }
}

/// Owns the snapshot of a process. [`Watcher::run`] does its work.
#[derive(Debug)]
pub struct Watcher {
    source: PolicySource,
    options: LoadOptions,
    clock: Clock,
    published: Published,
    status: watch::Sender<LoadStatus>,
    requests: mpsc::Receiver<oneshot::Sender<LoadStatus>>,
    fingerprint: Option<Fingerprint>,
}

impl Watcher {
    /// Loads the first snapshot; `options` holds for all later ones, but for time and revision.
    ///
    /// # Errors
    /// With everything that is wrong in the files: a process without a snapshot cannot decide anything.
    pub fn start(source: PolicySource, options: LoadOptions, clock: Clock) -> Result<(Self, PolicyHandle), Diagnostics> {
        let fingerprint = source.fingerprint();
        let options = LoadOptions { now: clock.now(), revision: 1, ..options };
        let loaded = source.load(&options)?;
        let status = LoadStatus {
            outcome: LoadOutcome::Applied,
            at: options.now,
            revision: 1,
            applied: 1,
            refused: 0,
            summary: loaded.warnings.summary().into(),
            failure: None,
        };
        let published = Published::new(loaded.directory);
        let (status_sender, status) = watch::channel(status);
        let (requests_sender, requests) = mpsc::channel(REQUESTS_MAX);
        let watcher = Self { source, options, clock, published: published.clone(), status: status_sender, requests, fingerprint };
        Ok((watcher, PolicyHandle { published, status, requests: requests_sender }))
    }

    /// Reloads on change and on request, until `stop` ends. Whoever starts this task awaits its end. It can be run again after it panicked.
    pub async fn run(&mut self, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let (sign, mut signs) = mpsc::channel(1);
        let mut notifications = self.source.watch(&sign);
        let mut poll = time::interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = &mut stop => return,
                Some(request) = self.requests.recv() => self.answer(request).await,
                Some(()) = signs.recv() => {
                    time::sleep(SETTLE).await;
                    // What came in meanwhile is covered by the load that follows.
                    while signs.try_recv().is_ok() {}
                    self.load_and_report().await;
                }
                _ = poll.tick() => {
                    if self.has_changed().await {
                        // No sign came: the watched folder may itself have been replaced.
                        drop(notifications.take());
                        notifications = self.source.watch(&sign);
                        self.load_and_report().await;
                    }
                }
            }
        }
    }

    /// One load answers everybody who has asked by then.
    async fn answer(&mut self, first: oneshot::Sender<LoadStatus>) {
        let mut waiting = vec![first];
        while let Ok(request) = self.requests.try_recv() {
            waiting.push(request);
        }
        self.load_and_report().await;
        for request in waiting {
            // Whoever asked may have gone away; the reload happened all the same.
            drop(request.send(self.status.borrow().clone()));
        }
    }

    async fn has_changed(&self) -> bool {
        let source = self.source.clone();
        match task::spawn_blocking(move || source.fingerprint()).await {
            Ok(now) => now != self.fingerprint,
            Err(cause) => report_crash(&cause),
        }
    }

    async fn load_and_report(&mut self) {
        let source = self.source.clone();
        let options = LoadOptions { now: self.clock.now(), revision: self.published.current().revision + 1, ..self.options.clone() };
        let at = options.now;
        // The fingerprint is taken first: a change while reading shows as a difference at the next look.
        let attempt = task::spawn_blocking(move || (source.fingerprint(), source.load(&options))).await;
        match attempt {
            Ok((fingerprint, loaded)) => {
                self.fingerprint = fingerprint;
                self.apply(at, loaded);
            }
            Err(cause) => {
                report_crash(&cause);
            }
        }
    }

    fn apply(&self, at: Timestamp, loaded: Result<Loaded, Diagnostics>) {
        match loaded {
            Ok(loaded) if loaded.directory.digest() == self.published.current().digest() => {
                self.report(at, LoadOutcome::Unchanged, &loaded.warnings);
            }
            Ok(loaded) => {
                self.published.update(|current| loaded.directory.agreeing(current.registry().clone()));
                self.report(at, LoadOutcome::Applied, &loaded.warnings);
            }
            Err(diagnostics) => self.report(at, LoadOutcome::Refused, &diagnostics),
        }
    }

    fn report(&self, at: Timestamp, outcome: LoadOutcome, diagnostics: &Diagnostics) {
        let directory = self.published.current();
        let (revision, digest) = (directory.revision, directory.digest());
        let summary = diagnostics.summary();
        match outcome {
            LoadOutcome::Applied => tracing::info!(revision, digest, summary, "policies replaced"),
            LoadOutcome::Refused => tracing::error!(revision, summary, "policies refused; the ones before stay in force"),
            LoadOutcome::Unchanged => tracing::debug!(revision, summary, "policies unchanged"),
        }
        self.status.send_modify(|status| {
            status.outcome = outcome;
            status.at = at;
            status.revision = revision;
            match outcome {
                LoadOutcome::Applied | LoadOutcome::Unchanged => {
                    status.applied += u64::from(outcome == LoadOutcome::Applied);
                    status.summary = summary.into();
                    status.failure = None;
                }
                LoadOutcome::Refused => {
                    status.refused += 1;
                    status.failure = Some(diagnostics.render(Style::default()).into());
                }
            }
        });
    }
}

/// A load that panicked left the snapshot alone; the next change tries again.
fn report_crash(cause: &JoinError) -> bool {
    tracing::error!(%cause, "loading the policies ended without an answer");
    false
}

impl PolicySource {
    fn load(&self, options: &LoadOptions) -> Result<Loaded, Diagnostics> {
        match self {
            Self::Embedded => load_texts("policies".as_ref(), embedded(), options),
            Self::Folder(folder) => load(folder, options),
        }
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        match self {
            Self::Embedded => None,
            Self::Folder(folder) => Some(Fingerprint::of(folder)),
        }
    }

    /// Signs of changes. Without them, such as on some network file systems, the poll remains.
    fn watch(&self, sign: &mpsc::Sender<()>) -> Option<RecommendedWatcher> {
        let Self::Folder(folder) = self else { return None };
        let sign = sign.clone();
        let on_event = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| is_change(event.kind)) {
                match sign.try_send(()) {
                    // A full channel already holds a sign.
                    Ok(()) | Err(TrySendError::Full(()) | TrySendError::Closed(())) => {}
                }
            }
        };
        let watcher = notify::recommended_watcher(on_event).and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        watcher.map_err(|cause| tracing::warn!(%cause, folder = %folder.display(), "changes are found by looking only")).ok()
    }
}

/// Reading is no change; it happens at every load.
const fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => matches!(access, AccessKind::Close(AccessMode::Write)),
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

#[cfg(test)]
mod tests;
