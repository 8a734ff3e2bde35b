//! Decision records: one for every request, allowed or not, made from the evidence its stages left.
//!
//! A record never holds a token, a query, a body or an assertion. The request path hands over the evidence and goes on;
//! one writer thread makes the record, appends it to a segment file and answers searches. The queue to it is bounded, and a
//! full queue makes requests wait. Only a request whose client has left cannot wait: with a full queue its record is lost,
//! and the log says so.

pub mod codes;
mod entry;
mod segments;

use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::{mpsc, oneshot};

use crate::pipeline::Trail;
use crate::rejection::Rejection;

pub use entry::{CheckEntry, Customer, GrantEntry, Policy, PrincipalEntry, Record, Verdict};
pub use segments::SegmentError;
use segments::Segments;

/// Requests that may wait for the writer.
const QUEUE_MAX: usize = 16 * 1024;

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

enum Order {
    Append(Box<Finished>),
    Find { prefix: String, reply: oneshot::Sender<Found> },
    Recent { filter: Filter, reply: oneshot::Sender<Vec<Record>> },
    Flush { reply: oneshot::Sender<()> },
}

/// The handle to the writer. Clones write to the same files.
#[derive(Debug, Clone)]
pub struct Recorder {
    orders: mpsc::Sender<Order>,
}

/// The writer thread; it ends when the last [`Recorder`] is gone.
#[derive(Debug)]
pub struct Writer(JoinHandle<()>);

impl Recorder {
    /// Opens the folder, finds what is there, and starts the writer.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written.
    pub fn open(config: &RecordConfig) -> Result<(Self, Writer), SegmentError> {
        let segments = Segments::open(config)?;
        let (orders, queue) = mpsc::channel(QUEUE_MAX);
        let spawned = std::thread::Builder::new().name("records".to_owned()).spawn(move || write(segments, queue));
        let thread = spawned.map_err(|cause| SegmentError::Io { path: config.folder.clone(), cause })?;
        Ok((Self { orders }, Writer(thread)))
    }

    /// Hands over an ended request; waits while the queue is full.
    pub async fn record(&self, finished: Finished) {
        if self.orders.send(Order::Append(Box::new(finished))).await.is_err() {
            tracing::error!("the record writer is gone; a decision was not recorded");
        }
    }

    /// The same from a place that cannot wait: with a full queue the record is lost, and that is said.
    pub fn record_now(&self, finished: Finished) {
        if self.orders.try_send(Order::Append(Box::new(finished))).is_err() {
            tracing::error!("a decision could not be recorded: the queue is full and its client is gone");
        }
    }

    /// The record whose id begins with `prefix` (hexadecimal, any case).
    pub async fn find(&self, prefix: &str) -> Found {
        let (reply, answer) = oneshot::channel();
        let prefix = prefix.to_ascii_lowercase();
        self.ask(Order::Find { prefix, reply }, answer).await.unwrap_or(Found::None)
    }

    /// The newest records that pass the filter.
    pub async fn recent(&self, filter: Filter) -> Vec<Record> {
        let (reply, answer) = oneshot::channel();
        self.ask(Order::Recent { filter, reply }, answer).await.unwrap_or_default()
    }

    /// Returns when everything handed over before is in the files.
    pub async fn flush(&self) {
        let (reply, answer) = oneshot::channel();
        self.ask(Order::Flush { reply }, answer).await.unwrap_or_default();
    }

    async fn ask<T>(&self, order: Order, answer: oneshot::Receiver<T>) -> Option<T> {
        self.orders.send(order).await.ok()?;
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

fn write(mut segments: Segments, mut queue: mpsc::Receiver<Order>) {
    while let Some(order) = queue.blocking_recv() {
        match order {
            Order::Append(finished) => segments.append(&Record::from(*finished)),
            Order::Find { prefix, reply } => answer(reply, segments.find(&prefix)),
            Order::Recent { filter, reply } => answer(reply, segments.recent(&filter)),
            Order::Flush { reply } => {
                segments.flush();
                answer(reply, ());
            }
        }
        if queue.is_empty() {
            segments.flush();
        }
    }
    segments.flush();
}
