//! The writer's thread: makes records of what is handed over, and answers questions. When it panics it is begun again from its files.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout_at;

use super::health::{Health, Loss, Trouble};
use super::journal::{Journal, SegmentError};
use super::ledger::{GrantKey, Uses};
use super::{Activities, ActivityQuery, Filter, Finished, Found, Recent};
use crate::clock::Clock;
use crate::ids::RequestId;
use crate::panics;

/// The writer takes what came within this time together: requests that end meanwhile need not wake it. A question does.
const BATCH_TIME: Duration = Duration::from_millis(2);
/// Before a journal is opened again after a failure: what fails at once must not fail again and again as fast as it can.
const AGAIN_PAUSE: Duration = Duration::from_secs(1);
/// How long the end of a process waits for what is not written yet.
const END_TIME_MAX: Duration = Duration::from_secs(10);
/// How often it looks whether all is written.
const END_LOOK: Duration = Duration::from_millis(2);

/// What the writer is asked.
pub(super) enum Question {
    Activities { query: ActivityQuery, reply: oneshot::Sender<Activities> },
    Find { prefix: String, reply: oneshot::Sender<Found> },
    Flush { reply: oneshot::Sender<()> },
    Recent { filter: Filter, reply: oneshot::Sender<Recent> },
    Uses { keys: Vec<GrantKey>, reply: oneshot::Sender<Uses> },
}

/// The writer thread; it ends when the last [`Recorder`](super::Recorder) is gone.
#[derive(Debug)]
pub struct Writer(JoinHandle<()>);

impl Writer {
    pub(super) fn start(
        journal: Journal,
        queue: Queue,
        again: impl Fn() -> Result<Journal, SegmentError> + Send + 'static,
        health: Arc<Health>,
    ) -> Result<Self, SegmentError> {
        let failed = |cause| SegmentError::Io { path: journal.folder().to_owned(), cause };
        let timer = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(failed)?;
        let folder = journal.folder().to_owned();
        let keep = move || {
            keep(journal, queue, again, &timer, &health);
            health.finish();
        };
        let thread = std::thread::Builder::new().name("records".to_owned()).spawn(keep);
        thread.map(Self).map_err(|cause| SegmentError::Io { path: folder, cause })
    }

    /// Waits until everything is written, unless that takes too long. Drop every [`Recorder`](super::Recorder) first.
    pub fn join(self) {
        let end = Clock::instant() + END_TIME_MAX;
        while !self.0.is_finished() {
            if Clock::instant() >= end {
                return tracing::error!("the disk takes the last decision records too slowly; those that it has not are lost");
            }
            std::thread::sleep(END_LOOK);
        }
        if self.0.join().is_err() {
            tracing::error!("the record writer had failed");
        }
    }
}

/// Writes until nobody can hand over anything any more.
fn keep(mut journal: Journal, mut queue: Queue, again: impl Fn() -> Result<Journal, SegmentError>, timer: &Runtime, health: &Health) {
    loop {
        let folder = journal.folder().to_owned();
        let wrote = panics::contain(|| timer.block_on(write(&mut journal, &mut queue, health)));
        match wrote {
            Ok(Left::Done) => return journal.close(),
            Ok(Left::Broken) => health.begin(Trouble::Writer, &folder, &"the thread that signs heads is gone"),
            Err(panicked) => health.begin(Trouble::Writer, &folder, &panicked),
        }
        health.lose_many(Loss::Writer, queue.in_hand, u64::from(queue.in_hand.take().is_some()));
        health.lose_many(Loss::Writer, None, journal.abandon());
        match begin_again(&queue, &again) {
            Some(next) => journal = next,
            None => return health.lose_many(Loss::Writer, None, queue.ended.len() as u64),
        }
        // What stood in the way of the one before is looked at anew.
        journal.flush();
        health.end(Trouble::Writer);
    }
}

/// Opens the files, as often as it takes. Nothing when nobody waits for that any more.
fn begin_again(queue: &Queue, again: impl Fn() -> Result<Journal, SegmentError>) -> Option<Journal> {
    loop {
        std::thread::sleep(AGAIN_PAUSE);
        // That it does not succeed was said when the trouble began, and readiness says so all the time.
        match panics::contain(&again) {
            Ok(Ok(journal)) => return Some(journal),
            Ok(Err(cause)) => tracing::debug!(cause = crate::telemetry::chain(&cause), "the records cannot be opened yet"),
            Err(panicked) => tracing::debug!(cause = %panicked, "the records cannot be opened yet"),
        }
        // Tried once all the same: what still waits is written then.
        if queue.ended.is_closed() {
            return None;
        }
    }
}

/// Why the writer has stopped.
enum Left {
    /// It cannot go on with this journal.
    Broken,
    /// There is nothing to do any more.
    Done,
}

/// The thread's work. Waiting ends when summaries or heads are due.
async fn write(journal: &mut Journal, queue: &mut Queue, health: &Health) -> Left {
    loop {
        health.rest();
        let woken = queue.next(journal.due()).await;
        health.work();
        match woken {
            Woken::Asked(question) => {
                queue.take_all(journal);
                carry_out(journal, question);
            }
            Woken::Due => {}
            Woken::Done => break,
            Woken::Ended(finished) => {
                queue.take(journal, &finished);
                queue.gather(journal).await;
                queue.take_all(journal);
            }
        }
        journal.flush();
        journal.keep_up(Clock::instant());
        if journal.is_broken() {
            return Left::Broken;
        }
    }
    queue.take_all(journal);
    Left::Done
}

/// What waits for the writer.
pub(super) struct Queue {
    ended: mpsc::Receiver<Finished>,
    asked: mpsc::Receiver<Question>,
    /// The record that is just being made.
    in_hand: Option<RequestId>,
}

/// Why the writer has something to do.
enum Woken {
    Asked(Question),
    /// Summaries or heads are due.
    Due,
    /// Nobody can hand over anything any more.
    Done,
    Ended(Finished),
}

impl Queue {
    pub(super) const fn new(ended: mpsc::Receiver<Finished>, asked: mpsc::Receiver<Question>) -> Self {
        Self { ended, asked, in_hand: None }
    }

    async fn next(&mut self, due: Option<Instant>) -> Woken {
        let next = async {
            tokio::select! {
                question = self.asked.recv() => question.map_or(Woken::Done, Woken::Asked),
                finished = self.ended.recv() => finished.map_or(Woken::Done, Woken::Ended),
            }
        };
        match due {
            Some(due) => timeout_at(due.into(), next).await.unwrap_or(Woken::Due),
            None => next.await,
        }
    }

    /// Lets requests come together for a while, and answers questions meanwhile.
    async fn gather(&mut self, journal: &mut Journal) {
        let end = Clock::instant() + BATCH_TIME;
        while Clock::instant() < end {
            let Ok(Some(question)) = timeout_at(end.into(), self.asked.recv()).await else { break };
            self.take_all(journal);
            carry_out(journal, question);
        }
    }

    /// Records what waits now.
    fn take_all(&mut self, journal: &mut Journal) {
        for _ in 0..self.ended.len() {
            let Ok(finished) = self.ended.try_recv() else { break };
            self.take(journal, &finished);
        }
    }

    fn take(&mut self, journal: &mut Journal, finished: &Finished) {
        self.in_hand = Some(finished.trail.id);
        journal.record(finished);
        self.in_hand = None;
    }
}

fn carry_out(journal: &mut Journal, question: Question) {
    match question {
        Question::Activities { query, reply } => answer(reply, || journal.activities(&query)),
        Question::Find { prefix, reply } => answer(reply, || journal.find(&prefix)),
        Question::Flush { reply } => answer(reply, || {
            journal.flush();
        }),
        Question::Recent { filter, reply } => answer(reply, || journal.recent(&filter)),
        Question::Uses { keys, reply } => answer(reply, || journal.uses(&keys)),
    }
}

/// Looks for an answer while somebody waits for it.
fn answer<T>(reply: oneshot::Sender<T>, look: impl FnOnce() -> T) {
    if reply.is_closed() || reply.send(look()).is_err() {
        tracing::debug!("nobody waits for the answer any more");
    }
}
