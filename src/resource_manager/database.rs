//! What both mocks keep their state in: rows of JSON in `SQLite`, written by one thread. What was acknowledged survives `kill -9`.
//!
//! It never knows what a row means, and shares nothing with the gateway's own store: a mock may lose its file, the gateway may not.

use std::fmt;
use std::path::PathBuf;
use std::thread::JoinHandle;

use rusqlite::{Connection, params};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};

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
    #[error("the stored {space} `{key}` is not readable; delete the state file to start over")]
    Row {
        /// Which kind of row.
        space: String,
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

/// What is to be done to one row. A space is a kind of rows; keys are unique within it.
#[derive(Debug)]
pub(super) enum Entry {
    Put { space: &'static str, key: String, value: String },
    Remove { space: &'static str, key: String },
}

impl Entry {
    /// The row that holds a value.
    ///
    /// # Errors
    /// When the value does not serialise, which none of the mocks' does.
    pub(super) fn put(space: &'static str, key: &impl ToString, value: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self::Put { space, key: key.to_string(), value: serde_json::to_string(value)? })
    }

    pub(super) fn remove(space: &'static str, key: &impl ToString) -> Self {
        Self::Remove { space, key: key.to_string() }
    }

    fn write(&self, connection: &Connection) -> Result<usize, rusqlite::Error> {
        match self {
            Self::Put { space, key, value } => connection
                .prepare_cached("INSERT OR REPLACE INTO entry (space, key, value) VALUES (?1, ?2, ?3)")?
                .execute(params![space, key, value]),
            Self::Remove { space, key } => {
                connection.prepare_cached("DELETE FROM entry WHERE space = ?1 AND key = ?2")?.execute(params![space, key])
            }
        }
    }
}

/// A row as it was stored.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) space: String,
    pub(super) key: String,
    /// JSON, if this program wrote it.
    pub(super) value: String,
}

/// The schema, one step per version; steps are only ever added. The version is `SQLite`'s `user_version`.
const MIGRATIONS: [&str; 1] = ["CREATE TABLE entry (
    space TEXT NOT NULL,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (space, key)
) WITHOUT ROWID"];

/// The rows, for the one thread that writes them.
#[derive(Debug)]
pub(super) struct Database(Connection);

impl Database {
    /// Opens the state and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened or comes from a later version.
    pub(super) fn open(store: &Store) -> Result<Self, StoreError> {
        let mut connection = match store {
            Store::File(path) => Connection::open(path).map_err(|cause| StoreError::File { path: path.clone(), cause })?,
            Store::Memory => Connection::open_in_memory()?,
        };
        // An acknowledged write is on the disk, not in the kernel's cache.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        migrate(&mut connection)?;
        Ok(Self(connection))
    }

    /// Hands out every row, in the order of spaces and keys.
    ///
    /// # Errors
    /// When the database refuses or the taker does.
    pub(super) fn each(&self, mut take: impl FnMut(Kept) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut select = self.0.prepare("SELECT space, key, value FROM entry ORDER BY space, key")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            take(Kept { space: row.get(0)?, key: row.get(1)?, value: row.get(2)? })?;
        }
        Ok(())
    }

    /// Writes entries one after the other, all or none; when it returns they are on the disk.
    ///
    /// # Errors
    /// When the database refuses.
    pub(super) fn append(&mut self, entries: impl IntoIterator<Item = Entry>) -> Result<(), rusqlite::Error> {
        let transaction = self.0.transaction()?;
        entries.into_iter().try_for_each(|entry| entry.write(&transaction).map(drop))?;
        transaction.commit()
    }

    /// The same in the place of every row there is.
    ///
    /// # Errors
    /// When the database refuses.
    pub(super) fn replace(&mut self, entries: impl IntoIterator<Item = Entry>) -> Result<(), rusqlite::Error> {
        let transaction = self.0.transaction()?;
        transaction.execute("DELETE FROM entry", [])?;
        entries.into_iter().try_for_each(|entry| entry.write(&transaction).map(drop))?;
        transaction.commit()
    }
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

/// Jobs wait behind one another; more than this many wait at the sender.
pub(super) const QUEUE_MAX: usize = 64;

/// The way to the thread that owns the database. Dropping it waits for the thread to close it.
pub(super) struct Queue<J> {
    jobs: Option<mpsc::Sender<J>>,
    thread: Option<JoinHandle<()>>,
}

impl<J: Send + 'static> Queue<J> {
    /// Starts the thread; its work ends with the queue.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(super) fn start(name: &str, work: impl FnOnce(mpsc::Receiver<J>) + Send + 'static) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(queue)).map_err(StoreError::Thread)?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands over a job that carries where its answer goes, and waits for that answer. The job is done even if the caller stops waiting.
    ///
    /// # Errors
    /// When the thread has ended.
    pub(super) async fn ask<A>(&self, job: impl FnOnce(oneshot::Sender<A>) -> J) -> Result<A, WriteError> {
        let (answer, answered) = oneshot::channel();
        let jobs = self.jobs.as_ref().ok_or(WriteError::Ended)?;
        jobs.send(job(answer)).await.ok().ok_or(WriteError::Ended)?;
        answered.await.ok().ok_or(WriteError::Ended)
    }
}

impl<J> fmt::Debug for Queue<J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("thread", &self.thread).finish_non_exhaustive()
    }
}

impl<J> Drop for Queue<J> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // It can only have ended already, by a panic that was reported when it happened.
            let _ended_well = thread.join().is_ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as it was made by hand, before or after this program knew its version.
    fn file(version: u32) -> PathBuf {
        let path = std::env::temp_dir().join(format!("steward-mock-{}.sqlite", uuid::Uuid::new_v4()));
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE entry (space TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (space, key)) WITHOUT ROWID;
                 INSERT INTO entry VALUES ('role', 'b', '{\"n\":2}'), ('role', 'a', '{\"n\":1}'), ('cloud', 'z', '[]');",
            )
            .unwrap();
        connection.pragma_update(None, "user_version", version).unwrap();
        path
    }

    fn rows(database: &Database) -> Vec<String> {
        let mut rows = Vec::new();
        let take = |Kept { space, key, value }| {
            rows.push(format!("{space}/{key} {value}"));
            Ok(())
        };
        database.each(take).unwrap();
        rows
    }

    #[test]
    fn a_file_of_version_one_is_read_and_written() {
        let path = file(1);
        let mut database = Database::open(&Store::File(path.clone())).unwrap();
        assert_eq!(rows(&database), ["cloud/z []", "role/a {\"n\":1}", "role/b {\"n\":2}"]);
        database.append([Entry::remove("role", &"a"), Entry::put("role", &"b", &3).unwrap()]).unwrap();
        drop(database);
        let mut database = Database::open(&Store::File(path.clone())).unwrap();
        assert_eq!(rows(&database), ["cloud/z []", "role/b 3"]);
        database.replace([Entry::put("serial", &7, &"next").unwrap()]).unwrap();
        assert_eq!(rows(&database), ["serial/7 \"next\""]);
        drop(database);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_file_of_a_later_version_is_refused() {
        let path = file(2);
        let refused = Database::open(&Store::File(path.clone()));
        assert!(matches!(refused, Err(StoreError::Newer { found: 2, known: 1 })), "{refused:?}");
        std::fs::remove_file(path).unwrap();
    }
}
