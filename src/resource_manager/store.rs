//! What the mock keeps of its world, and the thread that writes it.
//!
//! The world is read from here once, at the start; afterwards the store is only written.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::database::{Database, Entry, Kept, Queue, Store, StoreError, WriteError};
use super::resource::{Resource, Stored};
use super::world::{Change, World};

/// The kinds of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Space {
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

impl From<Row> for Entry {
    fn from(Row { space, key, value }: Row) -> Self {
        match value {
            Some(value) => Self::Put { space: space.name(), key, value: value.to_string() },
            None => Self::Remove { space: space.name(), key },
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
                let resource = Resource::new(key.as_str().into(), stored).ok_or_else(|| unreadable(space, &key, None))?;
                Ok(Change::Put(Arc::new(resource)))
            }
        }
    }
}

fn read<T: DeserializeOwned>(space: Space, key: &str, value: serde_json::Value) -> Result<T, StoreError> {
    serde_json::from_value(value).map_err(|cause| unreadable(space, key, Some(cause)))
}

fn unreadable(space: Space, key: &str, cause: Option<serde_json::Error>) -> StoreError {
    StoreError::Row { space: format!("{space:?}"), key: key.to_owned(), cause }
}

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
pub(super) struct Writer(Queue<(Job, Acknowledge)>);

impl Writer {
    /// Opens the state, brings its schema up to date and reads the world.
    ///
    /// # Errors
    /// When the file cannot be opened or read, or comes from a later version.
    pub(super) fn open(store: &Store) -> Result<(Self, World), StoreError> {
        let database = Database::open(store)?;
        let world = load(&database)?;
        Ok((Self(Queue::start("mock-state", |jobs| run(database, jobs))?), world))
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
        Ok(self.0.ask(|acknowledge| (job, acknowledge)).await??)
    }
}

fn run(mut database: Database, mut jobs: mpsc::Receiver<(Job, Acknowledge)>) {
    while let Some((job, acknowledge)) = jobs.blocking_recv() {
        let written = match job {
            Job::Append(rows) => database.append(rows.into_iter().map(Entry::from)),
            Job::Replace(rows) => database.replace(rows.into_iter().map(Entry::from)),
        };
        // A sender that no longer waits was cancelled; the write stands.
        let _still_waiting = acknowledge.send(written).is_ok();
    }
}

/// The rows that store these changes.
pub(super) fn rows(changes: &[Change]) -> Result<Vec<Row>, serde_json::Error> {
    changes.iter().map(Row::of).collect()
}

fn load(database: &Database) -> Result<World, StoreError> {
    let mut world = World::default();
    database.each(|Kept { space, key, value }| {
        if let Some(space) = Space::ALL.into_iter().find(|known| known.name() == space) {
            let value = serde_json::from_str(&value).map_err(|cause| unreadable(space, &key, Some(cause)))?;
            world.apply(Row { space, key, value: Some(value) }.change()?);
        }
        Ok(())
    })?;
    Ok(world)
}
