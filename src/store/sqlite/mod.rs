//! The embedded engine: one file, one process, two threads.
//!
//! One thread commits, the other one reads, so that a large commit holds up no heartbeat. Each owns its connection and is handed closures
//! over a bounded queue; the async runtime never waits for the disk. Sessions are kept in memory: they are of this process.

mod file;
mod sql;

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use self::file::{Files, Lock, failed, name};
use self::sql::{Committed, Order, Sessions};
use super::history::History;
use super::{
    Answer, CommitError, Engine, Epoch, Existing, Heard, ReplaceError, Revision, SessionId, Snapshot, Store, StoreConfig, StoreError, Tail,
    Write, rows,
};
use crate::clock::Timestamp;

/// Jobs that wait for a thread; the next caller waits before the queue.
const JOBS_MAX: usize = 64;
/// For waiting in the queue and being carried out. A hundred thousand writes take about a second.
const JOB_TIME_MAX: Duration = Duration::from_secs(120);

/// A store in a file.
#[derive(Debug)]
pub(super) struct Sqlite {
    path: PathBuf,
    // Declared before the lock: fields are dropped in this order, and dropping a thread waits for its end.
    writer: Worker<Connection>,
    reader: Worker<Reader>,
    woken: watch::Sender<u64>,
    session_kept: Duration,
    changes_max: u64,
    history: History,
    files: Files,
    _lock: Lock,
}

#[derive(Debug)]
struct Reader {
    connection: Connection,
    sessions: Sessions,
}

impl Sqlite {
    pub(super) async fn open(path: &Path, config: &StoreConfig) -> Result<Self, StoreError> {
        let opened = on_a_thread(path, file::open).await?;
        let thread = |what| {
            move |cause: std::io::Error| StoreError::Failed { store: name(path), cause: format!("no thread to {what}: {cause}").into() }
        };
        Ok(Self {
            path: path.to_owned(),
            writer: Worker::start("store-write", opened.writer).map_err(thread("write"))?,
            reader: Worker::start("store-read", Reader { connection: opened.reader, sessions: Sessions::default() })
                .map_err(thread("read"))?,
            woken: watch::Sender::new(0),
            session_kept: config.lease.saturating_add(config.margin),
            changes_max: config.changes_max.max(1),
            history: History::new(config.changes_bytes_max),
            files: opened.files,
            _lock: opened.lock,
        })
    }

    async fn read<T: Send + 'static>(&self, job: impl FnOnce(&mut Reader) -> sql::Outcome<T> + Send + 'static) -> Result<T, StoreError> {
        let done = self.reader.run(job).await.map_err(|lost| self.lost(lost))?;
        done.map_err(|cause| failed(&self.path, cause))
    }

    fn lost(&self, lost: Lost) -> StoreError {
        match lost {
            Lost::Stopped => StoreError::Stopped,
            Lost::Late => StoreError::Busy { store: name(&self.path), cause: None },
        }
    }

    async fn committed(&self, epoch: Epoch, base: Revision, at: Timestamp, writes: &[Write]) -> Result<Revision, CommitError> {
        rows::check(writes).map_err(StoreError::from)?;
        let text = rows::encode(writes).map_err(|cause| StoreError::Failed { store: name(&self.path), cause: cause.into() })?;
        let (bytes, changes_bytes) = (text.len(), self.history.bound(text.len()));
        let order = Order { epoch, base, at, writes: writes.to_vec(), text, changes_max: self.changes_max, changes_bytes };
        let files = self.files.clone();
        let done = self.writer.run(move |connection| files.still_there().map(|()| sql::commit(connection, &order))).await;
        match done.map_err(|lost| CommitError::Unknown(self.lost(lost)))??.map_err(|cause| failed(&self.path, cause))? {
            Committed::Conflict { head } => Err(CommitError::Conflict { head }),
            Committed::Done(revision, is_bounded) => {
                self.history.wrote(bytes, is_bounded);
                self.woken.send_modify(|times| *times = times.wrapping_add(1));
                Ok(revision)
            }
            // A log whose last write failed may hold the commit all the same after a restart.
            Committed::Unknown(cause) => Err(CommitError::Unknown(failed(&self.path, cause))),
        }
    }
}

impl Store for Sqlite {
    fn snapshot(&self) -> Answer<'_, Snapshot> {
        Box::pin(self.read(|reader| sql::snapshot(&mut reader.connection)))
    }

    fn commit<'a>(&'a self, epoch: Epoch, base: Revision, at: Timestamp, writes: &'a [Write]) -> Answer<'a, Revision, CommitError> {
        Box::pin(self.committed(epoch, base, at, writes))
    }

    fn poll(&self, session: SessionId, epoch: Epoch, applied: Revision) -> Answer<'_, Heard> {
        let kept = self.session_kept;
        Box::pin(async move {
            // Of a file that was removed the state can be read on, and nothing of it be changed: that has to be seen.
            self.files.still_there()?;
            let poll = move |Reader { connection, sessions }: &mut Reader| sql::poll(connection, sessions, (session, epoch, applied), kept);
            self.read(poll).await
        })
    }

    fn leave(&self, session: SessionId) -> Answer<'_, ()> {
        Box::pin(self.read(move |reader| {
            reader.sessions.leave(session);
            Ok(())
        }))
    }

    fn changes(&self, epoch: Epoch, after: Revision, limit: usize) -> Answer<'_, Tail> {
        Box::pin(self.read(move |reader| sql::changes(&mut reader.connection, epoch, after, limit)))
    }

    fn woken(&self) -> watch::Receiver<u64> {
        self.woken.subscribe()
    }
}

impl Engine for Sqlite {
    fn replace(&self, world: Snapshot, existing: Existing) -> Answer<'_, (), ReplaceError> {
        let may_be_full = existing == Existing::Replace;
        Box::pin(async move {
            let done = self.writer.run(move |connection| sql::replace(connection, &world, may_be_full)).await;
            let done = done.map_err(|lost| self.lost(lost))?.map_err(|cause| failed(&self.path, cause))?;
            done.map_err(|revision| ReplaceError::NotEmpty { revision })
        })
    }
}

/// The world in a file that another process may be writing.
pub(super) async fn look(path: &Path) -> Result<Snapshot, StoreError> {
    on_a_thread(path, |path| sql::snapshot(&mut file::open_beside(path)?).map_err(|cause| failed(path, cause))).await
}

async fn on_a_thread<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let path = path.to_owned();
    tokio::task::spawn_blocking(move || work(&path)).await.unwrap_or(Err(StoreError::Stopped))
}

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// A thread that owns something and carries out one job after the other. Dropping it waits for those that were accepted.
#[derive(Debug)]
struct Worker<S> {
    jobs: Option<mpsc::Sender<Job<S>>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone, Copy)]
enum Lost {
    /// Not done in time; it may still be done.
    Late,
    /// The thread is gone.
    Stopped,
}

impl<S: Send + 'static> Worker<S> {
    fn start(name: &str, mut state: S) -> std::io::Result<Self> {
        let (jobs, mut waiting) = mpsc::channel::<Job<S>>(JOBS_MAX);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some(job) = waiting.blocking_recv() {
                job(&mut state);
            }
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    async fn run<T: Send + 'static>(&self, job: impl FnOnce(&mut S) -> T + Send + 'static) -> Result<T, Lost> {
        let jobs = self.jobs.as_ref().ok_or(Lost::Stopped)?;
        let (done, answer) = oneshot::channel();
        let job: Job<S> = Box::new(move |state| {
            if done.send(job(state)).is_err() {
                tracing::debug!("nobody waits for the answer of the store any more");
            }
        });
        let answered = async {
            jobs.send(job).await.map_err(|_gone| Lost::Stopped)?;
            answer.await.map_err(|_gone| Lost::Stopped)
        };
        timeout(JOB_TIME_MAX, answered).await.unwrap_or(Err(Lost::Late))
    }
}

impl<S> Drop for Worker<S> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("a thread of the store ended by a panic");
        }
    }
}
