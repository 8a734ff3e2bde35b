//! Durable state: `SQLite`, written by one thread. What was acknowledged survives `kill -9`.
//!
//! The world is read from here once, at the start; afterwards the store is only written.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use rusqlite::{Connection, params};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::resource::{Resource, Stored};
use super::world::{Change, World};

/// Where state is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// In a file, with its write-ahead log beside it.
    File(PathBuf),
    /// Nowhere: it ends with the process.
    Memory,
}

/// Why state could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its folder is missing, it is not ours to write, or it is no database.
    #[error("the state file `{path}` could not be opened; its folder must exist and be writable")]
    File {
        /// Where it should be.
        path: PathBuf,
        /// What the database says.
        #[source]
        cause: rusqlite::Error,
    },
    /// The file was written by a later version of this program.
    #[error("the state has schema version {found}; this program knows versions up to {known}: use a newer program or another file")]
    Newer {
        /// In the file.
        found: u32,
        /// The last migration of this program.
        known: u32,
    },
    /// A row that this program cannot read.
    #[error("the stored {space:?} `{key}` is not readable; delete the state file to start over")]
    Row {
        /// Which kind of row.
        space: Space,
        /// Its key.
        key: String,
        /// Why; absent when its type is unknown.
        #[source]
        cause: Option<serde_json::Error>,
    },
    /// The database refused.
    #[error("the state could not be opened")]
    Sqlite(#[from] rusqlite::Error),
    /// The operating system gave no thread.
    #[error("the thread that writes the state could not be started")]
    Thread(#[source] std::io::Error),
}

/// The kinds of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Space {
    /// Long-running operations by id.
    Operation,
    /// Registered and unregistered namespaces by subscription and namespace.
    Registration,
    /// Groups and resources by lower-case id.
    Resource,
    /// Subscriptions by id.
    Subscription,
}

/// One stored thing; without a value it is deleted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    space: Space,
    key: String,
    value: Option<serde_json::Value>,
}

impl Space {
    const ALL: [Self; 4] = [Self::Operation, Self::Registration, Self::Resource, Self::Subscription];

    const fn name(self) -> &'static str {
        match self {
            Self::Operation => "operation",
            Self::Registration => "registration",
            Self::Resource => "resource",
            Self::Subscription => "subscription",
        }
    }
}

impl Row {
    /// The row that stores a change.
    ///
    /// # Errors
    /// When the value does not serialise, which no type here does.
    pub(super) fn of(change: &Change) -> Result<Self, serde_json::Error> {
        let (space, key, value) = match change {
            Change::Put(resource) => (Space::Resource, resource.key.to_string(), Some(serde_json::to_value(&resource.stored)?)),
            Change::Remove(key) => (Space::Resource, key.to_string(), None),
            Change::Subscribe(it) => (Space::Subscription, it.id.to_string(), Some(serde_json::to_value(it.as_ref())?)),
            Change::Register(it) => {
                (Space::Registration, format!("{}/{}", it.subscription, it.namespace), Some(serde_json::to_value(it.as_ref())?))
            }
            Change::Begin(it) => (Space::Operation, it.id.to_string(), Some(serde_json::to_value(it.as_ref())?)),
            Change::Forget(id) => (Space::Operation, id.to_string(), None),
        };
        Ok(Self { space, key, value })
    }

    /// The change that a stored row stands for.
    ///
    /// # Errors
    /// When this program did not write it.
    pub(super) fn change(self) -> Result<Change, StoreError> {
        let Self { space, key, value } = self;
        let value = value.unwrap_or_default();
        match space {
            Space::Operation => Ok(Change::Begin(Arc::new(read(space, &key, value)?))),
            Space::Registration => Ok(Change::Register(Arc::new(read(space, &key, value)?))),
            Space::Subscription => Ok(Change::Subscribe(Arc::new(read(space, &key, value)?))),
            Space::Resource => {
                let stored: Stored = read(space, &key, value)?;
                let resource = Resource::new(key.as_str().into(), stored).ok_or(StoreError::Row { space, key, cause: None })?;
                Ok(Change::Put(Arc::new(resource)))
            }
        }
    }
}

fn read<T: DeserializeOwned>(space: Space, key: &str, value: serde_json::Value) -> Result<T, StoreError> {
    serde_json::from_value(value).map_err(|cause| StoreError::Row { space, key: key.to_owned(), cause: Some(cause) })
}

/// The schema, one step per version; steps are only ever added. The version is `SQLite`'s `user_version`.
const MIGRATIONS: [&str; 1] = ["CREATE TABLE entry (
    space TEXT NOT NULL,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (space, key)
) WITHOUT ROWID"];

/// Writes wait behind one another; more than this many wait at the sender.
const QUEUE_MAX: usize = 64;

/// What the writing thread is asked to do.
enum Job {
    /// These rows besides the present ones.
    Append(Vec<Row>),
    /// These rows instead of all present ones.
    Replace(Vec<Row>),
}

type Acknowledge = oneshot::Sender<Result<(), rusqlite::Error>>;

/// The writing end. Dropping it waits for the thread to close the database.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: Option<mpsc::Sender<(Job, Acknowledge)>>,
    thread: Option<JoinHandle<()>>,
}

/// The write did not reach the disk.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("a value could not be serialised")]
    Json(#[from] serde_json::Error),
    #[error("the database refused")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the writing thread has ended")]
    Ended,
}

impl Writer {
    /// Opens the state, brings its schema up to date and reads the world.
    ///
    /// # Errors
    /// When the file cannot be opened or read, or comes from a later version.
    pub(super) fn open(store: &Store) -> Result<(Self, World), StoreError> {
        let mut connection = match store {
            Store::File(path) => Connection::open(path).map_err(|cause| StoreError::File { path: path.clone(), cause })?,
            Store::Memory => Connection::open_in_memory()?,
        };
        // An acknowledged write is on the disk, not in the kernel's cache.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        migrate(&mut connection)?;
        let world = load(&connection)?;
        let (jobs, mut queue) = mpsc::channel::<(Job, Acknowledge)>(QUEUE_MAX);
        let work = move || {
            while let Some((job, acknowledge)) = queue.blocking_recv() {
                // A sender that no longer waits was cancelled; the write stands.
                let _still_waiting = acknowledge.send(write(&mut connection, &job)).is_ok();
            }
        };
        let thread = std::thread::Builder::new().name("mock-state".to_owned()).spawn(work).map_err(StoreError::Thread)?;
        Ok((Self { jobs: Some(jobs), thread: Some(thread) }, world))
    }

    /// Stores changes, all or none; returns when they are on the disk.
    ///
    /// # Errors
    /// When the database refuses or its thread has ended.
    pub(super) async fn append(&self, changes: &[Change]) -> Result<(), WriteError> {
        self.ask(Job::Append(rows(changes)?)).await
    }

    /// Stores changes in the place of everything.
    ///
    /// # Errors
    /// When the database refuses or its thread has ended.
    pub(super) async fn replace(&self, changes: &[Change]) -> Result<(), WriteError> {
        self.ask(Job::Replace(rows(changes)?)).await
    }

    async fn ask(&self, job: Job) -> Result<(), WriteError> {
        let (acknowledge, acknowledged) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(WriteError::Ended)?;
        jobs.send((job, acknowledge)).await.ok().ok_or(WriteError::Ended)?;
        Ok(acknowledged.await.ok().ok_or(WriteError::Ended)??)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // It can only have ended already, by a panic that was reported when it happened.
            let _ended_well = thread.join().is_ok();
        }
    }
}

/// The rows that store these changes.
pub(super) fn rows(changes: &[Change]) -> Result<Vec<Row>, serde_json::Error> {
    changes.iter().map(Row::of).collect()
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut known = 0;
    for (version, step) in (1_u32..).zip(MIGRATIONS) {
        known = version;
        if version <= found {
            continue;
        }
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    if found > known { Err(StoreError::Newer { found, known }) } else { Ok(()) }
}

fn load(connection: &Connection) -> Result<World, StoreError> {
    let mut world = World::default();
    let mut select = connection.prepare("SELECT key, value FROM entry WHERE space = ?1")?;
    for space in Space::ALL {
        let mut rows = select.query(params![space.name()])?;
        while let Some(row) = rows.next()? {
            let (key, value): (String, String) = (row.get(0)?, row.get(1)?);
            let value = serde_json::from_str(&value).map_err(|cause| StoreError::Row { space, key: key.clone(), cause: Some(cause) })?;
            world.apply(Row { space, key, value: Some(value) }.change()?);
        }
    }
    Ok(world)
}

fn write(connection: &mut Connection, job: &Job) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    let rows = match job {
        Job::Append(rows) => rows,
        Job::Replace(rows) => {
            transaction.execute("DELETE FROM entry", [])?;
            rows
        }
    };
    for row in rows {
        match &row.value {
            Some(value) => transaction
                .prepare_cached("INSERT OR REPLACE INTO entry (space, key, value) VALUES (?1, ?2, ?3)")?
                .execute(params![row.space.name(), row.key, value.to_string()])?,
            None => transaction
                .prepare_cached("DELETE FROM entry WHERE space = ?1 AND key = ?2")?
                .execute(params![row.space.name(), row.key])?,
        };
    }
    transaction.commit()
}
