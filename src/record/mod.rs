//! Decision records: one for every request, allowed or not, made from the evidence its stages left. What is refused faster than a pace has summaries.
//!
//! A record never holds a token, a query, a body or an assertion. The request path hands over the evidence and goes on;
//! one writer thread makes the record, appends it to a segment file and answers searches. The queue to it is bounded, and a
//! full queue makes requests wait, for a bounded time. After that, and where nobody is left who could wait, the record is lost:
//! counted, said in the log, and the gateway is not ready. What has been carried out is answered all the same
//! (`docs/decisions/0022`). A writer that panics is begun again from its files.

pub mod archive;
pub mod audit;
pub mod codes;

mod chains;
mod entry;
mod health;
mod journal;
mod key_file;
mod ledger;
mod sealer;
mod segments;
mod stored;
mod tally;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::clock::{Clock, Timestamp};
use crate::ids::{RequestId, SubscriptionId};
use crate::pipeline::Trail;
use crate::rejection::Rejection;

use audit::PublicKey;
pub use entry::{CheckEntry, Counted, Customer, GrantEntry, Policy, PrincipalEntry, Record, Told, Verdict};
pub use health::{Health, Loss};
pub use journal::{Journal, SegmentError};
pub use key_file::{KeyFileError, public_key_beside};
pub use ledger::{GrantKey, Uses};
pub use writer::Writer;
use writer::{Question, Queue};

/// Requests that may wait for the writer.
const QUEUE_MAX: usize = 16 * 1024;
/// Questions that may wait for the writer.
const QUESTIONS_MAX: usize = 1024;
/// How long a request that has ended waits for room in the queue; its answer waits with it.
const RECORD_TIME_MAX: Duration = Duration::from_secs(1);
/// How long somebody who asks waits for the writer.
const QUESTION_TIME_MAX: Duration = Duration::from_secs(5);

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
    /// The records, each with how many to skip to begin with it.
    pub records: Vec<(usize, Record)>,
    /// How many to skip to go on, if there may be more.
    pub next: Option<usize>,
}

/// The newest records that pass a filter.
#[derive(Debug, Default)]
pub struct Recent {
    /// The records.
    pub records: Vec<Record>,
    /// Whether all records were looked at that had to be; a search may take only so long.
    pub is_complete: bool,
}

/// Nobody answered a question about records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the decision records cannot be read now")]
pub struct Unanswered;

/// The handle to the writer. Clones write to the same files.
#[derive(Debug, Clone)]
pub struct Recorder {
    finished: mpsc::Sender<Finished>,
    questions: mpsc::Sender<Question>,
    key: Arc<PublicKey>,
    health: Arc<Health>,
}

impl Recorder {
    /// Opens the folder, finds what is there, and starts the writer.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written.
    pub fn open(config: &RecordConfig, clock: Clock) -> Result<(Self, Writer), SegmentError> {
        let health = Arc::new(Health::default());
        let journal = Journal::open_under(config, clock.clone(), Arc::clone(&health))?;
        let key = Arc::new(journal.key().clone());
        let (finished, ended) = mpsc::channel(QUEUE_MAX);
        let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
        let (config, known) = (config.clone(), Arc::clone(&health));
        let again = move || Journal::open_under(&config, clock.clone(), Arc::clone(&known));
        let writer = Writer::start(journal, Queue::new(ended, asked), again, Arc::clone(&health))?;
        Ok((Self { finished, questions, key, health }, writer))
    }

    /// The public key that heads of the audit are checked with.
    #[must_use]
    pub fn audit_key(&self) -> &PublicKey {
        &self.key
    }

    /// How it goes.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Hands over an ended request; waits a little while the queue is full.
    pub async fn record(&self, finished: Finished) {
        match self.finished.try_send(finished) {
            Ok(()) => {}
            Err(TrySendError::Closed(finished)) => self.health.lose(Loss::Writer, Some(finished.trail.id)),
            // Apart, so that a request that need not wait has no room for it.
            Err(TrySendError::Full(finished)) => Box::pin(self.record_later(finished)).await,
        }
    }

    async fn record_later(&self, finished: Finished) {
        let mut waiting = Waiting { health: &self.health, id: finished.trail.id, loss: Some(Loss::ClientGone) };
        if self.health.is_stuck() {
            waiting.loss = Some(Loss::Slow);
            return;
        }
        waiting.loss = match timeout(RECORD_TIME_MAX, self.finished.reserve()).await {
            Ok(Ok(room)) => {
                room.send(finished);
                None
            }
            Ok(Err(_gone)) => Some(Loss::Writer),
            Err(_elapsed) => {
                // Whoever comes next would wait in vain as well.
                self.health.stick();
                Some(Loss::Slow)
            }
        };
    }

    /// The same from a place that cannot wait: with a full queue the record is lost.
    pub fn record_now(&self, finished: Finished) {
        match self.finished.try_send(finished) {
            Ok(()) => {}
            Err(TrySendError::Closed(finished)) => self.health.lose(Loss::Writer, Some(finished.trail.id)),
            Err(TrySendError::Full(finished)) => self.health.lose(Loss::ClientGone, Some(finished.trail.id)),
        }
    }

    /// The record whose id begins with `prefix` (hexadecimal, any case).
    ///
    /// # Errors
    /// When the writer gives no answer in time.
    pub async fn find(&self, prefix: &str) -> Result<Found, Unanswered> {
        let (reply, answer) = oneshot::channel();
        let prefix = prefix.to_ascii_lowercase();
        self.ask(Question::Find { prefix, reply }, answer).await
    }

    /// The newest records that pass the filter.
    ///
    /// # Errors
    /// When the writer gives no answer in time.
    pub async fn recent(&self, filter: Filter) -> Result<Recent, Unanswered> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Recent { filter, reply }, answer).await
    }

    /// What was done in a subscription: a page of it.
    ///
    /// # Errors
    /// When the writer gives no answer in time.
    pub async fn activities(&self, query: ActivityQuery) -> Result<Activities, Unanswered> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Activities { query, reply }, answer).await
    }

    /// When grants were last used.
    ///
    /// # Errors
    /// When the writer gives no answer in time.
    pub async fn uses(&self, keys: Vec<GrantKey>) -> Result<Uses, Unanswered> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Uses { keys, reply }, answer).await
    }

    /// Returns when everything handed over before is in the files.
    ///
    /// # Errors
    /// When the writer gives no answer in time.
    pub async fn flush(&self) -> Result<(), Unanswered> {
        let (reply, answer) = oneshot::channel();
        self.ask(Question::Flush { reply }, answer).await
    }

    /// The answer takes account of every request that was handed over before.
    async fn ask<T>(&self, question: Question, answer: oneshot::Receiver<T>) -> Result<T, Unanswered> {
        let answered = async {
            self.questions.send(question).await.ok()?;
            answer.await.ok()
        };
        timeout(QUESTION_TIME_MAX, answered).await.ok().flatten().ok_or(Unanswered)
    }
}

/// A record that waits for room. Where nobody waits any more, it is lost.
struct Waiting<'a> {
    health: &'a Health,
    id: RequestId,
    loss: Option<Loss>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(loss) = self.loss {
            self.health.lose(loss, Some(self.id));
        }
    }
}

impl std::fmt::Debug for ActivityQuery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActivityQuery").field("subscription", &self.subscription).finish_non_exhaustive()
    }
}
