//! Durable state: objects by key, one counter of revisions, and the changes that led there. Two engines, one trait.
//!
//! **Revisions.** A commit is a compare-and-set on the whole world: it names the revision it was computed from and takes effect only
//! while that is still the newest one. So revisions have no gaps and every world was seen by the one who changed it.
//!
//! **Epochs.** A revision means something within one [`Epoch`] only. Restoring a backup begins another one, so that a reader with a past
//! that no longer happened resynchronises instead of trusting a number.
//!
//! **Lease and fence.** A gateway may decide for [`StoreConfig::lease`] after it *sent* a poll that succeeded and whose tail it has
//! applied, by its own monotonic clock. The store keeps when it heard of each session, by the store's clock. A session that was not heard
//! of for lease and margin has certainly stopped deciding. The fence is the revision that all others have applied. A poll makes its
//! heartbeat visible before it reads the tail: whoever computed a fence without seeing the heartbeat did so before, and everything that
//! fence covers is in the tail. What this trusts: the clock of a PostgreSQL server is not set forward by more than the margin.
//!
//! The store never looks into a body and decides nothing. It never creates an empty world where there should be one that cannot be read.

mod backup;
mod error;
mod history;
mod postgres;
mod rows;
mod sqlite;
mod url;

use std::fmt::{self, Debug};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use self::backup::{Backup, BackupError, Damage, RestoreError, backup, restore, write_backup};
pub use self::error::{CommitError, InvalidWrite, StoreError};
pub use self::url::{NotAStoreUrl, PostgresUrl, StoreUrl};
use crate::clock::Timestamp;
pub use crate::ids::{Epoch, SessionId};

/// Changes that a store answers with at once; a poll that is further behind has to take a snapshot, which is cheaper then.
pub const TAIL_CHANGES_MAX: usize = 10_000;
/// Bytes of changes that a store answers with at once.
pub const TAIL_BYTES_MAX: usize = 64 << 20;
/// Writes of one commit.
pub const WRITES_MAX: usize = 500_000;
/// Bytes of the keys and bodies of one commit: PostgreSQL takes no value beyond 1 GB, and text grows when it is quoted.
pub const COMMIT_BYTES_MAX: usize = 256 << 20;
/// Bytes of a kind, and of a name. PostgreSQL indexes no key beyond 2,704 bytes.
pub const KEY_BYTES_MAX: usize = 1_024;

/// How many commits led to a world. Zero is the empty world.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What names an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Such as `registration_definition`; 1 to [`KEY_BYTES_MAX`] bytes, without NUL.
    pub kind: Box<str>,
    /// A text that only the owner of the kind can read, such as a path; 1 to [`KEY_BYTES_MAX`] bytes, without NUL.
    pub name: Box<str>,
}

/// A new body for an object, or its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Which object.
    pub key: ObjectKey,
    /// JSON text, without NUL; nothing deletes the object, which need not exist.
    pub body: Option<Arc<str>>,
}

/// What one commit wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The revision it led to.
    pub revision: Revision,
    /// When the one who committed says it was.
    pub at: Timestamp,
    /// In the order they were given. Of several writes to one object the last one counts.
    pub writes: Vec<Write>,
}

/// An object as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub key: ObjectKey,
    /// The commit that wrote this body.
    pub revision: Revision,
    /// JSON text.
    pub body: Arc<str>,
}

/// The world at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The history it belongs to.
    pub epoch: Epoch,
    /// The commit that led to it.
    pub revision: Revision,
    /// Every object, by key in byte order.
    pub objects: Vec<Object>,
}

/// What happened after a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// Every change after the revision that was asked for, without a gap.
    Changes(Vec<Change>),
    /// The store cannot tell any more, or never could: the changes were trimmed or are too many, the epoch is another one, or the asker
    /// is ahead of the store. Take a snapshot.
    Trimmed,
}

/// The answer to a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// Everything after what was applied, to the newest revision.
    pub tail: Tail,
    /// Once the asker has applied `tail`, every session that may still be deciding has applied at least this revision. It may be lower
    /// than one heard before: a session that was away, or is new, counts again. Zero when the tail was trimmed.
    pub fence: Revision,
}

/// What a store promises to answer with, or an error.
pub type Answer<'a, T, E = StoreError> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// What to write, given what the asker lacks: the revision that it was computed from and the writes, or nothing.
pub type Plan<'a> = Box<dyn FnOnce(Tail) -> Option<(Revision, Vec<Write>)> + Send + 'a>;

/// Durable state. Clones of the `Arc` around it share everything.
pub trait Store: Send + Sync + Debug {
    /// The whole world at the newest revision.
    fn snapshot(&self) -> Answer<'_, Snapshot>;

    /// Writes to the world at revision `base` of this epoch, all or nothing, durably, and answers with the next revision.
    ///
    /// [`CommitError::Conflict`] when the newest world is another one. [`CommitError::Unknown`] means that the commit may or may not have
    /// happened; only reading tells.
    fn commit<'a>(&'a self, epoch: Epoch, base: Revision, at: Timestamp, writes: &'a [Write]) -> Answer<'a, Revision, CommitError>;

    /// Commits for somebody who was behind: the plan is given the changes after `applied` and says what to write, and nobody else commits
    /// in between. Committers get their turn in the order in which they come. Nothing when the plan writes nothing.
    fn commit_in_turn<'a>(
        &'a self,
        epoch: Epoch,
        applied: Revision,
        at: Timestamp,
        plan: Plan<'a>,
    ) -> Answer<'a, Option<Change>, CommitError> {
        // Enough for an engine that has no other committers.
        Box::pin(async move {
            let tail = self.changes(epoch, applied, TAIL_CHANGES_MAX).await?;
            let Some((base, writes)) = plan(tail) else { return Ok(None) };
            let revision = self.commit(epoch, base, at, &writes).await?;
            Ok(Some(Change { revision, at, writes }))
        })
    }

    /// Records that this session is alive and has applied a revision, and answers with what it lacks. See the module for the order.
    fn poll(&self, session: SessionId, epoch: Epoch, applied: Revision) -> Answer<'_, Heard>;

    /// The session has stopped deciding and holds the fence back no more.
    fn leave(&self, session: SessionId) -> Answer<'_, ()>;

    /// The first changes after a revision, at most `limit` and at most [`TAIL_CHANGES_MAX`], without being a session.
    ///
    /// No changes: there are none after that revision.
    fn changes(&self, epoch: Epoch, after: Revision, limit: usize) -> Answer<'_, Tail>;

    /// Changes its value when somebody may have committed. Never the truth: signals can be lost, and come without a commit.
    fn woken(&self) -> watch::Receiver<u64>;
}

/// What restoring needs of an engine beyond what a gateway may do.
trait Engine: Store {
    /// Replaces everything by this world, whose epoch is a new one.
    fn replace(&self, world: Snapshot, existing: Existing) -> Answer<'_, (), ReplaceError>;
}

/// What becomes of a world when another one is put in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the other one is refused, if anything was ever committed.
    Keep,
    /// It is lost.
    Replace,
}

/// Why a world could not be replaced.
#[derive(Debug)]
enum ReplaceError {
    NotEmpty { revision: Revision },
    Store(StoreError),
}

impl From<StoreError> for ReplaceError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Which store, and how it treats sessions and history.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Where it is.
    pub url: StoreUrl,
    /// File with the password of a server, read for each connection; none for the one in the URL.
    pub password_file: Option<PathBuf>,
    /// PEM file with the roots that a server's certificate may chain to; none for those of the system.
    pub trusted_roots: Option<PathBuf>,
    /// How long a gateway may decide without having heard from the store.
    pub lease: Duration,
    /// What the fence waits beyond that, for clocks that run at different speeds.
    pub margin: Duration,
    /// Changes that are kept; 1 or more.
    pub changes_max: u64,
    /// Bytes of the changes that are kept. The newest change is, however large.
    pub changes_bytes_max: u64,
}

impl StoreConfig {
    /// Two seconds of lease, half a second of margin, 200,000 changes or 1 GiB of them.
    #[must_use]
    pub const fn new(url: StoreUrl) -> Self {
        Self {
            url,
            password_file: None,
            trusted_roots: None,
            lease: Duration::from_secs(2),
            margin: Duration::from_millis(500),
            changes_max: 200_000,
            changes_bytes_max: 1 << 30,
        }
    }
}

/// Opens a store, makes it where there is none, and brings its schema up to date.
///
/// # Errors
/// When it cannot be reached, is held by another process, is damaged, is not ours or was written by a later version.
pub async fn open(config: &StoreConfig) -> Result<Arc<dyn Store>, StoreError> {
    Ok(open_engine(config).await?)
}

/// The world in a store that gateways may be working with. Nothing is made, locked or migrated.
///
/// # Errors
/// As for [`open`], but for the lock; and when its schema is an earlier one.
pub async fn look(config: &StoreConfig) -> Result<Snapshot, StoreError> {
    match &config.url {
        StoreUrl::Sqlite(path) => sqlite::look(path).await,
        StoreUrl::Postgres(url) => postgres::look(url, config).await,
    }
}

async fn open_engine(config: &StoreConfig) -> Result<Arc<dyn Engine>, StoreError> {
    match &config.url {
        StoreUrl::Sqlite(path) => Ok(Arc::new(sqlite::Sqlite::open(path, config).await?)),
        StoreUrl::Postgres(url) => Ok(Arc::new(postgres::Postgres::open(url, config).await?)),
    }
}
