//! Bodies on their way through: never longer, slower or later than allowed, and without trailers.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::opaque::{Beginning, Verdict};
use super::pool::{Connection, Pool};
use super::{BackendConfig, ForwardError, SendError};
use crate::bodies::poll_data;
use crate::https::Patience;

/// A request body towards the backend.
#[derive(Debug)]
pub struct Outgoing {
    body: RequestBody,
    /// None for a body that ends where it begins.
    standing: Option<Box<dyn Standing>>,
    bytes_left: u64,
    /// None for what is known not to be a document.
    beginning: Option<Beginning>,
    patience: Patience,
    watch: Watch,
}

/// Where the body of a request comes from.
#[derive(Debug)]
pub enum RequestBody {
    /// From a client, piece by piece.
    Client(Incoming),
    /// All of it: it was judged, or the gateway made it.
    Whole(Bytes),
}

impl RequestBody {
    const fn none() -> Self {
        Self::Whole(Bytes::new())
    }

    /// Whether no byte of it is to come.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Client(incoming) => has_come(incoming),
            Self::Whole(whole) => whole.is_empty(),
        }
    }
}

/// Whether what permitted a request still does.
pub trait Standing: std::fmt::Debug + Send + Sync {
    /// Asked before a request leaves and before every piece of its body, the end included: what was taken away meanwhile is cut off.
    fn holds(&mut self) -> bool;
}

/// What the sender of a request can see of its body while it is under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch(Arc<Seen>);

#[derive(Debug, Default)]
struct Seen {
    moves: AtomicU64,
    fault: AtomicU8,
    has_ended: AtomicBool,
}

/// Why a body ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// The peer closed or broke it.
    #[error("the body was cut")]
    Cut,
    /// It was said to be bytes, and begins like a document.
    #[error("the body begins like JSON and is said to be none")]
    Document,
    /// What permitted the request ended.
    #[error("what permitted the request ended before its body")]
    Ended,
    /// Nothing came for too long, or as good as nothing.
    #[error("the body stood still")]
    Idle,
    /// More came than allowed.
    #[error("the body is too large")]
    TooLarge,
}

impl Outgoing {
    pub(super) fn new(body: RequestBody, standing: &(impl Standing + Clone + 'static), config: &BackendConfig) -> (Self, Watch) {
        let watch = Watch::default();
        let (body, standing): (_, Option<Box<dyn Standing>>) = match body {
            RequestBody::Client(incoming) if has_come(&incoming) => (RequestBody::none(), None),
            body @ RequestBody::Client(_) => (body, Some(Box::new(standing.clone()))),
            // It leaves in one piece, right after the head.
            body @ RequestBody::Whole(_) => (body, None),
        };
        let patience = config.patience();
        if body.is_empty() {
            watch.end();
        }
        let body = Self {
            body,
            standing,
            bytes_left: config.body_bytes_max,
            beginning: Some(Beginning::default()),
            patience,
            watch: watch.clone(),
        };
        (body, watch)
    }

    pub(super) fn empty() -> Self {
        Self {
            body: RequestBody::none(),
            standing: None,
            bytes_left: 0,
            beginning: None,
            patience: Patience::new(Duration::ZERO),
            watch: Watch::default(),
        }
    }

    fn fail(&self, fault: BodyFault) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.watch.0.fault.store(fault as u8 + 1, Ordering::Relaxed);
        Poll::Ready(Some(Err(fault)))
    }
}

impl Watch {
    fn end(&self) {
        self.0.has_ended.store(true, Ordering::Relaxed);
    }

    /// Whether all of it was passed on.
    fn has_ended(&self) -> bool {
        self.0.has_ended.load(Ordering::Relaxed)
    }

    /// How many pieces were passed on.
    pub(super) fn moves(&self) -> u64 {
        self.0.moves.load(Ordering::Relaxed)
    }

    /// What went wrong with the client's body, if that is why the request failed.
    pub(super) fn fault(&self, config: &BackendConfig) -> Option<SendError> {
        let error = match self.0.fault.load(Ordering::Relaxed).checked_sub(1)? {
            fault if fault == BodyFault::Ended as u8 => return Some(SendError::Ended),
            fault if fault == BodyFault::Document as u8 => ForwardError::Document,
            fault if fault == BodyFault::TooLarge as u8 => ForwardError::BodyTooLarge { max: config.body_bytes_max },
            fault if fault == BodyFault::Idle as u8 => ForwardError::BodyTooSlow,
            _ => ForwardError::ClientGone,
        };
        Some(SendError::Failed(error))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        let incoming = match &mut this.body {
            RequestBody::Client(incoming) => incoming,
            RequestBody::Whole(whole) if whole.is_empty() => return Poll::Ready(None),
            RequestBody::Whole(whole) => {
                this.watch.end();
                return Poll::Ready(Some(Ok(Frame::data(std::mem::take(whole)))));
            }
        };
        let arrived = match poll_data(incoming, cx) {
            Poll::Ready(arrived) => arrived,
            Poll::Pending => {
                ready!(this.patience.poll_over(cx));
                return this.fail(BodyFault::Idle);
            }
        };
        if this.standing.as_mut().is_some_and(|standing| !standing.holds()) {
            return this.fail(BodyFault::Ended);
        }
        let data = match arrived {
            Some(Ok(data)) => data,
            Some(Err(_cause)) => return this.fail(BodyFault::Cut),
            None => {
                this.body = RequestBody::none();
                this.watch.end();
                return Poll::Ready(None);
            }
        };
        if has_come(incoming) {
            this.watch.end();
        }
        match this.beginning.as_mut().map(|beginning| beginning.look_at(&data)) {
            Some(Verdict::Document) => return this.fail(BodyFault::Document),
            Some(Verdict::Other) => this.beginning = None,
            Some(Verdict::Unknown) | None => {}
        }
        this.patience.moved(data.len() as u64);
        this.watch.0.moves.fetch_add(1, Ordering::Relaxed);
        match this.bytes_left.checked_sub(data.len() as u64) {
            Some(left) => this.bytes_left = left,
            None => return this.fail(BodyFault::TooLarge),
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            RequestBody::Client(incoming) => incoming.is_end_stream(),
            RequestBody::Whole(whole) => whole.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            RequestBody::Client(incoming) => incoming.size_hint(),
            RequestBody::Whole(whole) => SizeHint::with_exact(whole.len() as u64),
        }
    }
}

/// Whether no byte of it is to come: the mark of its end may come by itself, and nobody waits for that.
fn has_come(incoming: &Incoming) -> bool {
    incoming.is_end_stream() || incoming.size_hint().upper() == Some(0)
}

/// The body of an answer to the client.
#[derive(Debug)]
pub struct AnswerBody(Kind);

#[derive(Debug)]
enum Kind {
    Full(Option<Bytes>),
    Streamed(Box<Streamed>),
}

#[derive(Debug)]
struct Streamed {
    /// What was looked at before it is passed on.
    begun: Option<Bytes>,
    incoming: Incoming,
    /// Goes back to the pool when the answer has been read to its exact end, and is closed otherwise.
    connection: Option<Connection>,
    pool: Arc<Pool>,
    /// Of the request: an answer can be there before all of it is sent.
    watch: Watch,
    patience: Patience,
}

impl AnswerBody {
    /// The same, with something else in place of all of it where it is there as a whole.
    pub(crate) fn try_map_whole<E>(self, change: impl FnOnce(Bytes) -> Result<Bytes, E>) -> Result<Self, E> {
        match self.0 {
            Kind::Full(whole) => Ok(Self(Kind::Full(whole.map(change).transpose()?))),
            Kind::Streamed(streamed) => Ok(Self(Kind::Streamed(streamed))),
        }
    }

    /// The same, with what was taken from its beginning put back.
    pub(super) fn begin_with(mut self, begun: Bytes) -> Self {
        match &mut self.0 {
            _ if begun.is_empty() => {}
            // It came in one piece.
            Kind::Full(whole) => *whole = Some(begun),
            Kind::Streamed(streamed) => streamed.begun = Some(begun),
        }
        self
    }

    pub(super) fn streamed(incoming: Incoming, connection: Connection, pool: &Arc<Pool>, watch: &Watch, patience: Patience) -> Self {
        let (pool, watch) = (Arc::clone(pool), watch.clone());
        Self(Kind::Streamed(Box::new(Streamed { begun: None, incoming, connection: Some(connection), pool, watch, patience })))
    }
}

impl From<Bytes> for AnswerBody {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Full((!bytes.is_empty()).then_some(bytes)))
    }
}

impl From<String> for AnswerBody {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl Streamed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if let Some(begun) = self.begun.take() {
            return Poll::Ready(Some(Ok(Frame::data(begun))));
        }
        match poll_data(&mut self.incoming, cx) {
            Poll::Ready(Some(Ok(data))) => {
                self.patience.moved(data.len() as u64);
                // At once: the client may take its time with the last piece, and others wait for the connection.
                if self.incoming.is_end_stream() {
                    self.give_back();
                }
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            // The answer must not look whole: an error here makes the server reset the stream or close the connection.
            Poll::Ready(Some(Err(_cause))) => Poll::Ready(Some(Err(BodyFault::Cut))),
            Poll::Ready(None) => {
                self.give_back();
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(self.patience.poll_over(cx));
                Poll::Ready(Some(Err(BodyFault::Idle)))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let (mut size, begun) = (self.incoming.size_hint(), self.begun.as_ref().map_or(0, |begun| begun.len() as u64));
        if let Some(upper) = size.upper() {
            size.set_upper(upper.saturating_add(begun));
        }
        size.set_lower(size.lower().saturating_add(begun));
        size
    }

    /// A connection on which its request is still being sent is closed: the next one would wait behind a stranger's body.
    fn give_back(&mut self) {
        if let Some(connection) = self.connection.take().filter(|_| self.watch.has_ended()) {
            self.pool.give_back(connection);
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if self.incoming.is_end_stream() {
            self.give_back();
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        match &mut self.0 {
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Streamed(streamed) => streamed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Streamed(streamed) => streamed.begun.is_none() && streamed.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Streamed(streamed) => streamed.size_hint(),
        }
    }
}
