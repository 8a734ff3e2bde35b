//! The backend: a connection, a deadline, one request out and at most one answer in.
//!
//! Nothing but an [`Outbound`] can be sent, or an [`Errand`] that the gateway runs for a permitted request or for itself. A request is sent once; it is sent again only when the connection proved to
//! be dead before a byte of it left, or when it is a GET or HEAD and no byte of an answer came. Redirects are not followed.

mod body;
mod document;
mod fabric;
mod form;
mod intake;
mod links;
mod opaque;
mod pool;
mod reply;

use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body as _;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::uri::{InvalidUri, PathAndQuery};
use hyper::{Method, Request, Response};
use tokio::time::Instant;

use crate::arm::action;
use crate::bodies::{Crowded, GatherError, Gathered, Reader};
use crate::https::Patience;
use crate::identity::Owner;
use crate::panics::Panicked;
use crate::pipeline::{Errand, Outbound, Overload};

pub use body::{AnswerBody, BodyFault, Outgoing, RequestBody, Standing};
pub use fabric::{Catalogue, Fabric, FabricError, PAGE, PAGES_MAX};
pub use pool::{ConnectError, Pool};
pub use reply::{Delivered, Delivery, deliver};

/// Where requests go and how long they may take.
#[derive(Debug, Clone)]
pub struct BackendConfig {
    /// `https://host[:port]`, or `http://` on loopback; no path.
    pub url: String,
    /// Certificates that the backend's certificate may chain to, in PEM; those of the system when absent.
    pub trusted_roots: Option<PathBuf>,
    /// What to speak to it.
    pub protocol: Protocol,
    /// For TCP and TLS together.
    pub connect_time_max: Duration,
    /// From the last byte sent to the first byte of the answer. Source: Azure Resource Manager RPC, 60 s.
    pub first_byte_time_max: Duration,
    /// How long the body of a request may be waited for before as much has come as comes in that time at the slowest rate.
    pub body_idle_time_max: Duration,
    /// The same for the body of an answer.
    pub answer_idle_time_max: Duration,
    /// That rate.
    pub body_bytes_per_s_min: u64,
    /// A request body.
    pub body_bytes_max: u64,
    /// A request body that is judged, and so held as a whole.
    pub judged_bytes_max: u64,
    /// How long all of it may take to come.
    pub judged_time_max: Duration,
    /// An answer that has to be read: a list whose links are rewritten. Source: Azure Resource Manager RPC, 8 MB.
    pub answer_bytes_max: usize,
    /// Connections open at once, per worker.
    pub connections_max: usize,
}

impl BackendConfig {
    /// For the body of a request.
    const fn patience(&self) -> Patience {
        Patience::at_rate(self.body_idle_time_max, self.body_bytes_per_s_min)
    }

    const fn answer_patience(&self) -> Patience {
        Patience::at_rate(self.answer_idle_time_max, self.body_bytes_per_s_min)
    }
}

/// What the gateway speaks to the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1, one request at a time on each connection: the cheapest per request.
    #[default]
    Http1,
    /// HTTP/2, all requests of a worker on one connection.
    Http2,
}

/// Why there is no answer to pass on.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The answer had to be read and is larger than that.
    #[error("the resource manager's answer is larger than {max} bytes; ask for less with `$top`")]
    AnswerTooLarge {
        /// The limit, in bytes.
        max: usize,
    },
    /// The request was carried out, and what came back was too much.
    #[error("the request was carried out, and there is no room for its answer; look at what it came to before you send it again")]
    AnswerLost,
    /// The request's body is larger than the gateway accepts.
    #[error("the request body is larger than {max} bytes")]
    BodyTooLarge {
        /// The limit, in bytes.
        max: u64,
    },
    /// The client stopped sending its body.
    #[error("the request body did not arrive in time; nothing was acknowledged, send the request again")]
    BodyTooSlow,
    /// All connections are in use.
    #[error("the gateway has no free connection to the resource manager; try again in a second")]
    Busy,
    /// The caller's tenant has as many requests at the backend as it may.
    #[error(
        "the caller's tenant may have {max} requests at the resource manager beside those of others, and has no fewer; try again when some have ended"
    )]
    ShareUsed {
        /// How many that is.
        max: usize,
    },
    /// The client closed or broke its body.
    #[error("the request body ended early")]
    ClientGone,
    /// No connection came about: nothing was sent.
    #[error("the resource manager could not be reached; the request was not sent")]
    Connect {
        /// The cause, for the log.
        #[source]
        cause: ConnectError,
    },
    /// The connection ended before an answer: the request may have been carried out.
    #[error("the resource manager closed the connection without an answer; the request may have been carried out")]
    Cut {
        /// The cause, for the log.
        #[source]
        cause: hyper::Error,
    },
    /// There is no room for the request's body, or nobody to look into it.
    #[error(transparent)]
    Crowded(#[from] Crowded),
    /// A body that was said to be bytes begins like a document.
    #[error("the request body is said to be bytes and begins like JSON; send it as `application/json`")]
    Document,
    /// This machine gives no further connection: the resource manager was not asked.
    #[error("the gateway has no room for a connection to the resource manager; try again in a second")]
    Exhausted {
        /// The cause, for the log.
        #[source]
        cause: ConnectError,
    },
    /// The gateway ended before the answer: the request may have been carried out.
    #[error("the gateway was stopped before the answer; the request may have been carried out")]
    Stopped,
    /// There is no room for an answer that had to be read.
    #[error(transparent)]
    NoRoom(Overload),
    /// An answer with two lengths, or with a length and a transfer coding.
    #[error("the resource manager's answer has more than one end; the operator has to look at what stands between")]
    Framing,
    /// The backend does not accept the gateway's assertion.
    #[error("the resource manager did not accept the gateway's assertion; the operator has to check its key and audience")]
    Refused,
    /// No answer in time: the request may have been carried out.
    #[error("the resource manager did not answer within {waited_ms} ms; the request may have been carried out")]
    Silent {
        /// How long was waited.
        waited_ms: u128,
    },
    /// An answer that a gateway must not pass on.
    #[error("the resource manager answered with status {status}, which cannot be passed on")]
    Unexpected {
        /// The status.
        status: u16,
    },
    /// A list that is not one.
    #[error("the resource manager's answer is not the JSON that it claims to be")]
    Unreadable,
}

/// Why a request that was permitted came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// What permitted it ended before all of it was sent; what was sent was cut off.
    #[error("what permitted the request ended before all of it was sent")]
    Ended,
    /// There is no answer to pass on.
    #[error(transparent)]
    Failed(#[from] ForwardError),
    /// Whoever looked into the answer panicked.
    #[error(transparent)]
    Panicked(Panicked),
}

impl ForwardError {
    /// Whether it was its client that did not send a body that can be passed on, or did not wait: the backend has no part in it.
    #[must_use]
    pub const fn is_of_the_client(&self) -> bool {
        matches!(self, Self::BodyTooLarge { .. } | Self::BodyTooSlow | Self::ClientGone | Self::Document)
    }

    /// The stable reason code.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::AnswerLost | Self::AnswerTooLarge { .. } => "upstream.answer_too_large",
            Self::BodyTooLarge { .. } => "request.too_large",
            Self::BodyTooSlow => "request.too_slow",
            Self::Busy | Self::Exhausted { .. } => "limit.connections",
            Self::Crowded(Crowded::All) | Self::NoRoom(_) => "limit.overload",
            Self::Crowded(Crowded::Share) | Self::ShareUsed { .. } => "limit.share",
            Self::Document => "request.media_type",
            Self::ClientGone => "request.cut",
            Self::Connect { .. } => "upstream.unreachable",
            Self::Cut { .. } => "upstream.cut",
            Self::Refused => "upstream.refused",
            Self::Stopped => "state.unavailable",
            Self::Silent { .. } => "upstream.timeout",
            Self::Framing | Self::Unexpected { .. } | Self::Unreadable => "upstream.invalid",
        }
    }
}

/// The backend as one worker sees it.
#[derive(Debug)]
pub struct Backend {
    config: BackendConfig,
    pool: Arc<Pool>,
}

impl Backend {
    /// The backend of this configuration, with a pool of its own.
    ///
    /// # Errors
    /// When the URL or the trusted certificates cannot be used.
    pub fn new(config: BackendConfig) -> Result<Self, ConnectError> {
        let pool = Arc::new(Pool::new(&config)?);
        Ok(Self { config, pool })
    }

    /// The origin that links in answers are recognised by.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.config.url
    }

    /// The limits in force.
    #[must_use]
    pub const fn config(&self) -> &BackendConfig {
        &self.config
    }

    /// All of a request's body, for judging it before any of it leaves.
    ///
    /// # Errors
    /// When it is larger than what is judged or than what this backend takes, does not come in time, or ends early; and when there is no room for it.
    pub async fn read(&self, body: RequestBody, reader: &Reader<'_>) -> Result<Bytes, ForwardError> {
        let incoming = match body {
            RequestBody::Client(incoming) => incoming,
            RequestBody::Whole(whole) => return Ok(whole),
        };
        let max = self.config.body_bytes_max.min(self.config.judged_bytes_max);
        let bytes_max = usize::try_from(max).unwrap_or(usize::MAX);
        let gathered = reader.gather(incoming, bytes_max, self.config.patience(), self.config.judged_time_max).await;
        gathered.map(Gathered::into_bytes).map_err(|error| match error {
            GatherError::Crowded(crowded) => crowded.into(),
            GatherError::Cut => ForwardError::ClientGone,
            GatherError::Slow => ForwardError::BodyTooSlow,
            GatherError::TooLarge => ForwardError::BodyTooLarge { max },
        })
    }

    /// Sends the request while it is permitted, and waits for the head of the answer.
    ///
    /// # Errors
    /// When no answer came that could be passed on; the error says whether the request may have been carried out.
    pub async fn send(
        &self,
        request: &Outbound,
        body: RequestBody,
        standing: impl Standing + Clone + 'static,
    ) -> Result<Response<AnswerBody>, SendError> {
        let (body, watch) = Outgoing::new(body, &standing, &self.config);
        let headers = || request.headers();
        let target = request.target().map_err(not_a_target)?;
        let message = Message { method: request.method(), target, headers: &headers, owner: Some(request.caller().owner()) };
        self.transmit(&message, body, &watch, standing).await
    }

    /// Sends what the gateway says in its own words, and waits for the head of the answer.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub async fn run(&self, errand: &Errand) -> Result<Response<AnswerBody>, ForwardError> {
        let headers = || errand.headers().clone();
        let target = errand.target().try_into().map_err(not_a_target)?;
        let message = Message { method: errand.method(), target, headers: &headers, owner: None };
        let (body, watch) = Outgoing::new(RequestBody::Whole(errand.body()), &Unconditional, &self.config);
        match self.transmit(&message, body, &watch, Unconditional).await {
            Ok(answer) => Ok(answer),
            Err(SendError::Failed(error)) => Err(error),
            // Nothing ends what stands without a condition, and nothing looks into the answer.
            Err(SendError::Ended | SendError::Panicked(_)) => Err(ForwardError::ClientGone),
        }
    }

    async fn transmit(
        &self,
        message: &Message<'_>,
        body: Outgoing,
        watch: &body::Watch,
        mut standing: impl Standing,
    ) -> Result<Response<AnswerBody>, SendError> {
        if body.size_hint().lower() > self.config.body_bytes_max {
            return Err(ForwardError::BodyTooLarge { max: self.config.body_bytes_max }.into());
        }
        let repeatable = matches!(message.method, action::Method::Get | action::Method::Head) && body.is_end_stream();
        let mut outgoing = self.head(message, body)?;
        let share = message.owner.map(|owner| self.pool.share(owner)).transpose().map_err(unreachable_backend)?;
        let mut connection = self.pool.reuse_or_connect().await.map_err(unreachable_backend)?;
        loop {
            if !standing.holds() {
                return Err(SendError::Ended);
            }
            let reused = connection.reused;
            let sent = connection.try_send(outgoing);
            let failed = match Self::await_head(sent, watch, &mut connection.patience).await? {
                Ok(response) => {
                    refuse_odd_framing(response.headers())?;
                    connection.share = share;
                    let streamed = |incoming| AnswerBody::streamed(incoming, connection, &self.pool, watch, self.config.answer_patience());
                    return Ok(response.map(streamed));
                }
                Err(failed) => failed,
            };
            outgoing = match failed.unsent {
                Some(unsent) if reused => unsent,
                None if reused && repeatable => self.head(message, Outgoing::empty())?,
                _ => return Err(watch.fault(&self.config).unwrap_or_else(|| ForwardError::Cut { cause: failed.cause }.into())),
            };
            // A pooled connection that the backend closed meanwhile says nothing about the backend: ask it afresh.
            connection = self.pool.connect().await.map_err(unreachable_backend)?;
        }
    }

    fn head(&self, message: &Message<'_>, body: Outgoing) -> Result<Request<Outgoing>, ForwardError> {
        let target = match self.config.protocol {
            Protocol::Http1 => message.target.clone().into(),
            Protocol::Http2 => format!("{}{}", self.config.url, message.target).try_into().map_err(not_a_target)?,
        };
        let mut outgoing = Request::new(body);
        *outgoing.method_mut() = method(message.method);
        *outgoing.uri_mut() = target;
        *outgoing.headers_mut() = (message.headers)();
        if self.config.protocol == Protocol::Http1 {
            outgoing.headers_mut().insert(header::HOST, self.pool.host());
        }
        Ok(outgoing)
    }

    /// Waits for the head, as long as the body goes on moving.
    async fn await_head<F, T>(sent: F, watch: &body::Watch, patience: &mut Patience) -> Result<T, ForwardError>
    where
        F: Future<Output = T>,
    {
        let mut sent = pin!(sent);
        let started = Instant::now();
        let mut moved = watch.moves();
        patience.renew();
        poll_fn(|cx| {
            if let Poll::Ready(answered) = sent.as_mut().poll(cx) {
                return Poll::Ready(Ok(answered));
            }
            while patience.poll_over(cx).is_ready() {
                let before = std::mem::replace(&mut moved, watch.moves());
                if moved == before {
                    return Poll::Ready(Err(ForwardError::Silent { waited_ms: started.elapsed().as_millis() }));
                }
                patience.renew();
            }
            Poll::Pending
        })
        .await
    }
}

/// An answer that two programs may end at two places: it is not passed on, and its connection is not used again.
fn refuse_odd_framing(answer: &HeaderMap) -> Result<(), ForwardError> {
    let mut codings = answer.get_all(header::TRANSFER_ENCODING).iter();
    let is_odd = match (codings.next(), codings.next()) {
        (None, _) => {
            let mut lengths = answer.get_all(header::CONTENT_LENGTH).iter();
            let is_number = |length: &HeaderValue| length.as_bytes().iter().all(u8::is_ascii_digit);
            lengths.next().is_some_and(|first| !is_number(first)) || lengths.next().is_some()
        }
        (Some(coding), None) => answer.contains_key(header::CONTENT_LENGTH) || !coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => true,
    };
    if is_odd { Err(ForwardError::Framing) } else { Ok(()) }
}

/// The head of a request: all of it that does not frame it.
struct Message<'a> {
    method: action::Method,
    target: PathAndQuery,
    /// Made for each attempt: there is hardly ever a second one.
    headers: &'a (dyn Fn() -> HeaderMap + Sync),
    /// Whose share of the connections it takes.
    owner: Option<Owner>,
}

/// What the gateway says for itself needs nobody's leave while it is under way.
#[derive(Debug, Clone, Copy)]
struct Unconditional;

impl Standing for Unconditional {
    fn holds(&mut self) -> bool {
        true
    }
}

fn not_a_target(_cause: InvalidUri) -> ForwardError {
    ForwardError::Unexpected { status: 0 }
}

fn unreachable_backend(cause: ConnectError) -> ForwardError {
    match cause {
        ConnectError::Busy => ForwardError::Busy,
        cause @ ConnectError::Exhausted { .. } => ForwardError::Exhausted { cause },
        ConnectError::ShareUsed { max } => ForwardError::ShareUsed { max },
        cause @ (ConnectError::Http(_)
        | ConnectError::Io { .. }
        | ConnectError::Roots(_)
        | ConnectError::Slow { .. }
        | ConnectError::Tls(_)
        | ConnectError::Url { .. }) => ForwardError::Connect { cause },
    }
}

const fn method(method: action::Method) -> Method {
    match method {
        action::Method::Delete => Method::DELETE,
        action::Method::Get => Method::GET,
        action::Method::Head => Method::HEAD,
        action::Method::Patch => Method::PATCH,
        action::Method::Post => Method::POST,
        action::Method::Put => Method::PUT,
    }
}

/// `host[:port]` of an origin such as `https://localhost:8446`.
fn authority_of(origin: &str) -> Option<&str> {
    origin.split_once("://").map(|(_, authority)| authority).filter(|authority| !authority.contains('/'))
}

fn host_header(origin: &str) -> Option<HeaderValue> {
    authority_of(origin).and_then(|authority| HeaderValue::from_str(authority).ok())
}
