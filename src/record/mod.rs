//! Decision records: one for every request, allowed or not, made from the evidence its stages left.
//!
//! A record never holds a token, a query, a body or an assertion. The request path hands over the evidence and goes on;
//! one writer thread makes the record, appends it to a segment file and answers searches. The queue to it is bounded, and a
//! full queue makes requests wait. Only a request whose client has left cannot wait: with a full queue its record is lost,
//! and the log says so.

pub mod archive;
pub mod audit;
pub mod codes;

mod chains;
mod entry;
mod journal;
mod key_file;
mod ledger;
mod sealer;
mod segments;
mod stored;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use tokio::sync::{mpsc, oneshot};

use crate::clock::{Clock, Timestamp};
use crate::ids::SubscriptionId;
use crate::pipeline::Trail;
use crate::rejection::Rejection;

use audit::PublicKey;
pub use entry::{CheckEntry, Customer, GrantEntry, Policy, PrincipalEntry, Record, Told, Verdict};
pub use journal::{Journal, SegmentError};
pub use key_file::{KeyFileError, public_key_beside};
pub use ledger::{GrantKey, Uses};

/// Requests that may wait for the writer.
const QUEUE_MAX: usize = 16 * 1024;
/// Questions that may wait for the writer.
const QUESTIONS_MAX: usize = 1024;
/// The writer takes what came within this time together: requests that end meanwhile need not wake it. A question does.
const BATCH_TIME: Duration = Duration::from_millis(2);

/// Where records are kept and how many.
#[derive(Debug, Clone)]
pub struct RecordConfig {
    /// Folder of the segment files; made when it is missing.
    pub folder: PathBuf,
    /// All segments together; the oldest go first.
    pub bytes_max: u64,
}

/// A request that has ended.
#[derive(Debug)]
pub struct Finished {
    /// What was seen of it.
    pub trail: Box<Trail>,
    /// What the client got.
    pub status: StatusCode,
    /// Why it was refused, if it was.
    pub rejection: Option<Rejection>,
    /// From arrival to the head of the answer.
    pub took: Duration,
}

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only records with this verdict.
    pub verdict: Option<Verdict>,
    /// Only records whose reason code is this, or begins with it when it ends in `*`.
    pub reason: Option<String>,
    /// At most so many, newest first.
    pub limit: usize,
}

/// What a search by id found.
#[derive(Debug)]
pub enum Found {
    /// Nothing in retention begins with it.
    None,
    /// Exactly one.
    One(Box<Record>),
    /// More than one record begins with it.
    Several(usize),
}

/// What was done in one subscription, newest first.
pub struct ActivityQuery {
    /// Where.
    pub subscription: SubscriptionId,
    /// The first moment.
    pub from: Timestamp,
    /// The last moment.
    pub until: Timestamp,
    /// Only after this many of them, as an answer before said.
    pub skip: usize,
    /// Which of them.
    pub wanted: Box<dyn Fn(&Record) -> bool + Send>,
}

/// Some of it.
#[derive(Debug, Default)]
pub struct Activities {
    /// The records.
    pub records: Vec<Record>,
    /// How many to skip to go on, if there may be more.
    pub next: Option<usize>,
}

enum Question {
    Activities { query: ActivityQuery, reply: oneshot::Sender<Activities> },
    Find { prefix: String, reply: oneshot::Sender<Found> },
    Recent { filter: Filter, reply: oneshot::Sender<Vec<Record>> },
    Flush { reply: oneshot::Sender<()> },
    Uses { keys: Vec<GrantKey>, reply: oneshot::Sender<Uses> },
}

/// The handle to the writer. Clones write to the same files.
#[derive(Debug, Clone)]
pub struct Recorder {
    finished: mpsc::Sender<Finished>,
    questions: mpsc::Sender<Question>,
    key: Arc<PublicKey>,
}

/// The writer thread; it ends when the last [`Recorder`] is gone.
#[derive(Debug)]
pub struct Writer(JoinHandle<()>);

impl Recorder {
    /// Opens the folder, finds what is there, and starts the writer.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written.
    pub fn open(config: &RecordConfig, clock: Clock) -> Result<(Self, Writer), SegmentError> {
        let failed = |cause| SegmentError::Io { path: config.folder.clone(), cause };
        let journal = Journal::open(config, clock)?;
        let key = journal.key().clone();
        let (finished, ended) = mpsc::channel(QUEUE_MAX);
        let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
        let timer = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
        let write = move || timer.block_on(write(journal, Queue { ended, asked }));
        let thread = std::thread::Builder::new().name("records".to_owned()).spawn(write).map_err(failed)?;
        Ok((Self { finished, questions, key: Arc::new(key) }, Writer(thread)))
    }

    /// The public key that heads of the audit are checked with.
    #[must_use]
    pub fn audit_key(&self) -> &PublicKey {
        &self.key
    }

    /// Hands over an ended request; waits while the queue is full.
    pub async fn record(&self, finished: Finished) {
        if self.finished.send(finished).await.is_err() {
            tracing::error!("the record writer is gone; a decision was not recorded");
        }
    }

    /// The same from a place that cannot wait: with a full queue the record is lost, and that is said.
    pub fn record_now(&self, finished: Finished) {
        if self.finished.try_send(finished).is_err() {
            tracing::error!("a decision could not be recorded: the queue is full and its client is gone");
        }
    }

    /// The record whose id begins with `prefix` (hexadecimal, any case).
    pub async fn find(&self, prefix: &str) -> Found {
        let (reply, answer) = oneshot::channel();
        let prefix = prefix.to_ascii_lowercase();
        self.ask(Question::Find { prefix, reply }, answer).await.unwrap_or(Found::None)
    }

    /// The newest records that pass the filter.
    pub async fn recent(&self, filter: Filter) -> Vec<Record> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Recent { filter, reply }, answer).await.unwrap_or_default()
    }

    /// What was done in a subscription: a page of it.
    pub async fn activities(&self, query: ActivityQuery) -> Activities {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Activities { query, reply }, answer).await.unwrap_or_default()
    }

    /// When grants were last used; nothing when the writer is gone.
    pub async fn uses(&self, keys: Vec<GrantKey>) -> Option<Uses> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Uses { keys, reply }, answer).await
    }

    /// Returns when everything handed over before is in the files.
    pub async fn flush(&self) {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Flush { reply }, answer).await.unwrap_or_default();
    }

    /// The answer takes account of every request that was handed over before.
    async fn ask<T>(&self, question: Question, answer: oneshot::Receiver<T>) -> Option<T> {
        self.questions.send(question).await.ok()?;
        answer.await.ok()
    }
}

impl Writer {
    /// Waits until everything is written. Drop every [`Recorder`] first, or this waits for ever.
    pub fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the record writer had failed");
        }
    }
}

fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    if reply.send(value).is_err() {
        tracing::debug!("nobody waits for the answer any more");
    }
}

/// What waits for the writer.
struct Queue {
    ended: mpsc::Receiver<Finished>,
    asked: mpsc::Receiver<Question>,
}

/// Why the writer has something to do.
enum Woken {
    Asked(Question),
    /// Heads are due.
    Due,
    /// Nobody can hand over anything any more.
    Done,
    Ended(Finished),
}

/// The thread's work. Waiting ends when heads are due.
async fn write(mut journal: Journal, mut queue: Queue) {
    loop {
        match queue.next(journal.seal_due()).await {
            Woken::Asked(question) => {
                queue.take_all(&mut journal);
                carry_out(&mut journal, question);
            }
            Woken::Due => {}
            Woken::Done => break,
            Woken::Ended(finished) => {
                journal.record(&finished);
                queue.gather(&mut journal).await;
                queue.take_all(&mut journal);
            }
        }
        journal.flush();
        if journal.seal_due().is_some_and(|due| due <= Clock::instant()) {
            journal.seal();
        }
    }
    queue.take_all(&mut journal);
    journal.close();
}

impl Queue {
    async fn next(&mut self, due: Option<Instant>) -> Woken {
        let next = async {
            tokio::select! {
                question = self.asked.recv() => question.map_or(Woken::Done, Woken::Asked),
                finished = self.ended.recv() => finished.map_or(Woken::Done, Woken::Ended),
            }
        };
        match due {
            Some(due) => tokio::time::timeout_at(due.into(), next).await.unwrap_or(Woken::Due),
            None => next.await,
        }
    }

    /// Lets requests come together for a while, and answers questions meanwhile.
    async fn gather(&mut self, journal: &mut Journal) {
        let end = Clock::instant() + BATCH_TIME;
        while Clock::instant() < end {
            let Ok(Some(question)) = tokio::time::timeout_at(end.into(), self.asked.recv()).await else { break };
            self.take_all(journal);
            carry_out(journal, question);
        }
    }

    /// Records what waits now.
    fn take_all(&mut self, journal: &mut Journal) {
        for _ in 0..self.ended.len() {
            let Ok(finished) = self.ended.try_recv() else { break };
            journal.record(&finished);
        }
    }
}

fn carry_out(journal: &mut Journal, question: Question) {
    match question {
        Question::Activities { query, reply } => answer(reply, journal.activities(&query)),
        Question::Find { prefix, reply } => answer(reply, journal.find(&prefix)),
        Question::Recent { filter, reply } => answer(reply, journal.recent(&filter)),
        Question::Flush { reply } => {
            journal.flush();
            answer(reply, ());
        }
        Question::Uses { keys, reply } => answer(reply, journal.uses(&keys)),
    }
}

impl std::fmt::Debug for ActivityQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActivityQuery").field("subscription", &self.subscription).finish_non_exhaustive()
    }
}
