//! Serving HTTP over TLS or clear text: accept, negotiate, bound, drain. Every listener of the program is one of these.
//!
//! It knows nothing of what is served: the gateway, the admin listener, the demo issuer and the mock resource manager all
//! hand it a function from request to response.

mod ends;
mod framing;
mod idle;
mod patience;
mod peers;
mod rescue;
mod room;
mod streams;
mod turns;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ProtocolVersion, ServerConfig, ServerConnection};

use self::ends::{Begun, Ended, Rest, begins_http2, linger, until_end};
pub use self::framing::AmbiguousFraming;
pub(crate) use self::framing::heads_in;
use self::framing::{Heads, ReadAlong};
use self::idle::Idle;
pub(crate) use self::patience::Patience;
use self::patience::{Impatient, bytes_at_rate};
pub use self::peers::Capacity;
pub(crate) use self::peers::network;
use self::room::Fitted;
use self::streams::{Bounds, Streams, Watched};
use self::turns::Turns;
use crate::telemetry::Repeats;

/// How long anything on a connection may take and how large it may be. Source: `docs/limits.md`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From TCP accept to the end of the TLS handshake.
    pub handshake_time_max: Duration,
    /// From the end of the handshake to the end of the first request's head, and from the first byte of a later one to its end.
    pub head_time_max: Duration,
    /// From an answer to the end of the next request's head, on a connection that is kept open.
    pub keep_alive_time_max: Duration,
    /// How long a peer may take less of what is written to it than comes to in that time at the slowest rate.
    pub write_time_max: Duration,
    /// That rate.
    pub write_bytes_per_s_min: u64,
    /// The head of one request.
    pub head: HeadLimits,
    /// Connections open at once, on all workers of a listener together; more wait in the kernel's queue.
    pub connections_max: usize,
    /// Those of them that one address may have, or one network of 64 bits of IPv6; more are closed at once.
    pub connections_per_address_max: usize,
    /// HTTP/2 streams open at once on one connection.
    pub streams_max: u32,
    /// HTTP/2 streams that a peer may take back in a second, over 10 s, while they are handled or their answers are handed out.
    pub resets_per_s_max: u32,
    /// HTTP/2 streams that a peer took back before they were looked at, held at once; then the connection ends with `ENHANCE_YOUR_CALM`.
    pub pending_resets_max: usize,
    /// HTTP/2 streams that have to be reset because of what the peer sent, in the life of a connection; then it ends.
    pub error_resets_max: usize,
    /// How long requests in flight may take after a drain began.
    pub drain_time_max: Duration,
    /// Where it is counted what the HTTP library refused at its own bounds.
    pub refused: Arc<Refused>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_time_max: Duration::from_secs(5),
            head_time_max: Duration::from_secs(10),
            keep_alive_time_max: Duration::from_secs(75),
            write_time_max: Duration::from_secs(30),
            write_bytes_per_s_min: BYTES_PER_S_MIN,
            head: HeadLimits::default(),
            connections_max: 16 * 1024,
            connections_per_address_max: 8 * 1024,
            streams_max: 100,
            resets_per_s_max: 10,
            pending_resets_max: 20,
            error_resets_max: 100,
            drain_time_max: Duration::from_secs(30),
            refused: Arc::default(),
        }
    }
}

impl Limits {
    const fn streams(&self) -> Bounds {
        Bounds {
            resets_per_s_max: self.resets_per_s_max,
            write_time_max: self.write_time_max,
            write_bytes_min: bytes_at_rate(self.write_time_max, self.write_bytes_per_s_min),
            idle_time_max: self.keep_alive_time_max,
        }
    }
}

/// How large the head of a request may be. The HTTP library refuses some of what is larger; the rest is for whoever handles the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the target, the query included.
    pub target_bytes_max: usize,
    /// Header fields; at most [`FIELDS_MAX`].
    pub fields_max: usize,
    /// Bytes of header fields, names and values with what stands between them.
    pub fields_bytes_max: usize,
}

/// The slowest that a body may move while it is waited for: an eighth of what a bad line of a phone does.
pub const BYTES_PER_S_MIN: u64 = 1024;

/// Header fields that the HTTP library reads without asking for memory for each request.
pub const FIELDS_MAX: usize = 100;

impl Default for HeadLimits {
    fn default() -> Self {
        Self { target_bytes_max: 8 * 1024, fields_max: FIELDS_MAX, fields_bytes_max: 64 * 1024 }
    }
}

/// Requests of HTTP/1.1 that the HTTP library answered by itself and closed the connection: nobody else saw them. Of HTTP/2 it tells nothing.
#[derive(Debug, Default)]
pub struct Refused {
    malformed: AtomicU64,
    too_large: AtomicU64,
}

impl Refused {
    /// That could not be read.
    pub fn malformed(&self) -> u64 {
        self.malformed.load(Ordering::Relaxed)
    }

    /// That were too large to be read.
    pub fn too_large(&self) -> u64 {
        self.too_large.load(Ordering::Relaxed)
    }

    fn count(&self, cause: &hyper::Error) {
        let counter = if cause.is_parse_too_large() { &self.too_large } else { &self.malformed };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the connection tells about a request that arrived on it.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The other end.
    pub peer: SocketAddr,
    /// `None` on clear text.
    pub tls: Option<Tls>,
}

/// What the handshake agreed on.
#[derive(Debug, Clone)]
pub struct Tls {
    /// 1.2 or 1.3.
    pub version: &'static str,
    /// The server name the client asked for; absent when it connected by address.
    pub server_name: Option<Arc<str>>,
}

/// Stands in the extensions of an answer behind which nothing is read from an HTTP/1.1 connection any more: what comes there may be
/// a part of the request that was refused.
#[derive(Debug, Clone, Copy)]
pub struct CloseAfter;

/// How serving came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every accepted request got its answer.
    Clean,
    /// The drain time was over and connections were cut.
    Cut,
}

/// The receiving half of the stop signal: `true` means drain.
pub type Stop = watch::Receiver<bool>;

/// An answer that is being made.
pub trait Answer: Future<Output = Response<<Self as Answer>::Body>> + Send + 'static {
    /// What follows its head.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + From<Bytes> + Unpin + Send + 'static;
}

impl<F, B> Answer for F
where
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + From<Bytes> + Unpin + Send + 'static,
{
    type Body = B;
}

/// Where the connections of a listener find room.
#[derive(Debug)]
pub struct Places {
    capacity: Capacity,
    /// Connections without a request, where they give way to others.
    idle: Option<Arc<Idle>>,
}

impl Places {
    /// Those of one of several workers, which have them together.
    pub const fn shared(capacity: Capacity) -> Self {
        Self { capacity, idle: None }
    }

    /// Where somebody has to be answered however many connections are open: the last place is kept free, and the connection that has been without a
    /// request for the longest time is closed for it.
    pub fn that_give_way(limits: &Limits) -> Self {
        Self { capacity: Capacity::new(limits), idle: Some(Arc::default()) }
    }

    /// A place for one more connection.
    async fn take(&self) -> Option<OwnedSemaphorePermit> {
        let permits = &self.capacity.permits;
        let free = Arc::clone(permits).acquire_owned();
        match &self.idle {
            Some(idle) if permits.available_permits() == 0 => idle.give_way(free).await,
            _ => free.await,
        }
        .ok()
    }
}

/// Serves `handler` on `listener` until `stop` turns true, then lets the requests in flight end.
///
/// After the stop signal new connections are still accepted for [`LAME_TIME`] and every HTTP/1.1 answer says
/// `Connection: close`, so that a request already on its way is answered and not cut. After that time idle connections are
/// closed; one that has just been opened may still bring its first request. Must run inside a tokio runtime; connections
/// are spawned on it and awaited before this returns. A handler that panics ends its request, which is answered 500, and nothing else.
pub async fn serve<H, F>(listener: TcpListener, tls: Option<Arc<ServerConfig>>, limits: Limits, stop: Stop, handler: H) -> Drained
where
    H: Fn(Request<Incoming>, Arc<Connection>) -> F + Clone + Send + Sync + 'static,
    F: Answer,
{
    let places = Places::shared(Capacity::new(&limits));
    serve_in(places, listener, tls, limits, stop, handler).await
}

/// The same with places that are not this listener's own, or that connections have to leave.
pub async fn serve_in<H, F>(
    places: Places,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    limits: Limits,
    stop: Stop,
    handler: H,
) -> Drained
where
    H: Fn(Request<Incoming>, Arc<Connection>) -> F + Clone + Send + Sync + 'static,
    F: Answer,
{
    let drain_time_max = limits.drain_time_max;
    let listening = Arc::new(Listening {
        http1: http1(&limits),
        http2: http2(&limits),
        limits,
        tls: tls.map(|tls| (TlsAcceptor::from(tls), Turns::new(HANDSHAKES_MAX))),
        stop: stop.clone(),
        idle: places.idle.clone(),
    });
    let (close, closing) = watch::channel(false);
    // Every connection holds a sender: when the last one is gone, so are the connections.
    let (open, mut all_closed) = mpsc::channel::<()>(1);
    {
        let mut lame = pin!(lame_duck(stop, &listener));
        loop {
            let next = async {
                let place = places.take().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                // Accepting first empties the queue of the kernel before the listener closes; what stays in it would be reset.
                biased;
                accepted = next => accepted,
                () = lame.as_mut() => break,
            };
            // An accept error concerns one connection or a want of descriptors; the listener itself lives on.
            let Ok((stream, peer)) = accepted.map_err(|cause| REFUSED.note(cause)) else {
                tokio::select! {
                    () = sleep(ACCEPT_ERROR_PAUSE) => continue,
                    () = lame.as_mut() => break,
                }
            };
            let Some(counted) = places.capacity.peers.admit(peer) else {
                tracing::debug!(%peer, "connection closed: its address has as many as it may");
                continue;
            };
            let (listening, handler, closing, open) = (Arc::clone(&listening), handler.clone(), closing.clone(), open.clone());
            let seat = places.idle.as_ref().map(|idle| idle.begin(peer));
            tokio::spawn(async move {
                match seat {
                    None => listening.connection(stream, peer, closing, handler).await,
                    Some(seat) => seat.unless_evicted(Box::pin(listening.connection(stream, peer, closing, handler))).await,
                }
                drop((place, counted, open));
            });
        }
    }
    drop((listener, open));
    close.send_replace(true);
    match timeout(drain_time_max, all_closed.recv()).await {
        Ok(_closed) => Drained::Clean,
        Err(_elapsed) => Drained::Cut,
    }
}

/// How long a stopping listener goes on accepting, so that clients learn of the stop from an answer and not from a reset.
pub const LAME_TIME: Duration = Duration::from_millis(300);

/// Without file descriptors no connection can be accepted until one is free.
static REFUSED: Repeats<std::io::Error> = Repeats::new(|cause, times| tracing::warn!(%cause, times, "a connection could not be accepted"));

/// Keeps a listener that ran out of file descriptors from spinning.
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(10);

/// How long a handshake of TCP that has begun may take to end before the listener closes.
const HANDSHAKE_TIME: Duration = Duration::from_millis(50);

async fn lame_duck(mut stop: Stop, listener: &TcpListener) {
    turned(&mut stop).await;
    sleep(LAME_TIME).await;
    // Whatever comes between the last accept and the close is reset. So nothing may come any more.
    match begin_no_connection(listener) {
        Ok(()) => sleep(HANDSHAKE_TIME).await,
        Err(cause) => tracing::debug!(%cause, "connections that are just being made may be reset"),
    }
}

/// Has the kernel drop the packets that begin a connection: their senders send them again, and find the listener closed or its
/// successor. Connections that have begun still come through.
#[cfg(target_os = "linux")]
fn begin_no_connection(listener: &TcpListener) -> std::io::Result<()> {
    use socket2::SockFilter;
    // Classic BPF over the TCP header. Source: Linux, "Linux Socket Filtering"; RFC 9293, 3.1.
    const LOAD_BYTE: u16 = 0x30;
    const AND: u16 = 0x54;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    let step = |code, k| SockFilter::new(code, 0, 0, k);
    let is_syn = SockFilter::new(JUMP_IF_EQUAL, 0, 1, SYN);
    let filter = [step(LOAD_BYTE, FLAGS), step(AND, SYN | ACK), is_syn, step(RETURN, 0), step(RETURN, u32::MAX)];
    socket2::SockRef::from(listener).attach_filter(&filter)
}

#[cfg(not(target_os = "linux"))]
fn begin_no_connection(_listener: &TcpListener) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// What the kernel holds of an answer and has not sent. What it holds beyond that counts as taken, and a peer that takes little would seem to take
/// nothing for as long as it needs for it.
const UNSENT_BYTES_MAX: u32 = 32 * 1024;

#[cfg(target_os = "linux")]
fn bound_unsent(stream: &TcpStream) -> std::io::Result<()> {
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX)
}

#[cfg(not(target_os = "linux"))]
fn bound_unsent(_stream: &TcpStream) -> std::io::Result<()> {
    Ok(())
}

/// Waits until a signal is given. A dropped sender means that its owner is gone, which is a signal as well.
async fn turned(signal: &mut Stop) {
    drop(signal.wait_for(|given| *given).await);
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.keep_alive_time_max)
        .max_buf_size(READ_BYTES_MAX.max(limits.head.fields_bytes_max));
    builder
}

fn http2(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_pending_accept_reset_streams(limits.pending_resets_max)
        .max_local_error_reset_streams(limits.error_resets_max)
        .max_send_buf_size(SENT_BYTES_MAX)
        .max_header_list_size(u32::try_from(limits.head.fields_bytes_max).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(KEEP_ALIVE_INTERVAL))
        .keep_alive_timeout(KEEP_ALIVE_TIME_MAX);
    builder
}

/// What an HTTP/1.1 connection reads at once, and so the most of a head that is taken in before anybody judges it.
/// An upload costs a third less in pieces of this size than in pieces of 64 KiB.
const READ_BYTES_MAX: usize = 408 * 1024;

/// What is held of an answer on an HTTP/2 stream that the library was handed and the peer did not take.
const SENT_BYTES_MAX: usize = 64 * 1024;

/// Handshakes whose next step is done before everything else on the thread has had a turn; each costs more than most requests do. Others wait,
/// within their time.
const HANDSHAKES_MAX: usize = 4;

/// HTTP/2 peers that vanished without a word are found by a ping this often.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// How long such a ping may stay unanswered.
const KEEP_ALIVE_TIME_MAX: Duration = Duration::from_secs(15);

/// What every connection of one listener shares.
struct Listening {
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
    limits: Limits,
    tls: Option<(TlsAcceptor, Turns)>,
    stop: Stop,
    idle: Option<Arc<Idle>>,
}

impl Listening {
    async fn connection<H, F>(&self, stream: TcpStream, peer: SocketAddr, closing: Stop, handler: H)
    where
        H: Fn(Request<Incoming>, Arc<Connection>) -> F + Clone + Send + Sync + 'static,
        F: Answer,
    {
        if let Err(cause) = stream.set_nodelay(true).and_then(|()| bound_unsent(&stream)) {
            tracing::debug!(%peer, %cause, "connection was gone before it was served");
            return;
        }
        let Some((acceptor, turns)) = &self.tls else {
            let begun = Begun { by: Instant::now() + self.limits.head_time_max, closing };
            return match begun.in_time(begins_http2(&stream)).await {
                Some(Ok(is_http2)) => self.exchanges(stream, is_http2, Connection { peer, tls: None }, begun, handler).await,
                Some(Err(cause)) => tracing::debug!(%peer, %cause, "connection was gone before it was served"),
                None => tracing::debug!(%peer, "connection without a request"),
            };
        };
        match timeout(self.limits.handshake_time_max, turns.take(acceptor.accept(stream))).await {
            Ok(Ok(stream)) => {
                let begun = Begun { by: Instant::now() + self.limits.head_time_max, closing };
                let session = stream.get_ref().1;
                let (tls, is_http2) = (Some(negotiated(session)), session.alpn_protocol() == Some(b"h2"));
                self.exchanges(stream, is_http2, Connection { peer, tls }, begun, handler).await;
            }
            Ok(Err(cause)) => tracing::debug!(%peer, %cause, "no TLS handshake"),
            Err(_elapsed) => tracing::debug!(%peer, "TLS handshake took too long"),
        }
    }

    fn impatient<S>(&self, stream: S) -> Impatient<S> {
        Impatient::new(stream, self.limits.write_time_max, self.limits.write_bytes_per_s_min)
    }

    /// What is said on one connection. Its state is behind pointers: there are many more connections than requests.
    fn exchanges<S, H, F>(
        &self,
        stream: S,
        is_http2: bool,
        connection: Connection,
        begun: Begun,
        handler: H,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Fn(Request<Incoming>, Arc<Connection>) -> F + Clone + Send + Sync + 'static,
        F: Answer,
    {
        let connection = Arc::new(connection);
        let peer = connection.peer;
        let stop = self.stop.clone();
        let idle = self.idle.clone();
        let asked = Arc::new(Notify::new());
        let first_request = Arc::clone(&asked).notified_owned();
        if is_http2 {
            let stream = TokioIo::new(self.impatient(ReadAlong::not(stream)));
            let streams = Arc::new(Streams::new(self.limits.streams()));
            let watched = Arc::clone(&streams);
            let worn_out = move || Arc::clone(&watched).worn_out();
            let service = service_fn(move |request: Request<Incoming>| {
                asked.notify_one();
                let stream = streams.begin();
                let answer = handle(idle.as_ref(), &handler, request, &connection);
                async move { Ok::<_, Infallible>(answer.await.map(|body| Watched::new(body, stream))) }
            });
            let mut served = self.http2.serve_connection(stream, service);
            return Box::pin(async move {
                let _ended = until_end(&mut served, peer, first_request, begun, worn_out).await;
            });
        }
        let heads = Arc::new(Heads::default());
        let stream = self.impatient(ReadAlong::new(stream, Arc::clone(&heads), self.limits.head_time_max));
        let room = Arc::clone(stream.room());
        let stream = TokioIo::new(stream);
        let service = service_fn(move |mut request: Request<Incoming>| {
            asked.notify_one();
            let found = heads.next();
            if let Some(found) = found {
                request.extensions_mut().insert(found);
            }
            // Who is told no in place of 100 need not send its body, and may begin its next request where the body would be.
            let may_hold_back = request.headers().contains_key(header::EXPECT);
            let has_body = !request.body().is_end_stream();
            let answer = handle(idle.as_ref(), &handler, request, &connection);
            let (stop, room) = (stop.clone(), Arc::clone(&room));
            async move {
                let mut response = answer.await;
                if has_body {
                    // The library finds that nobody wants the rest of a body when it looks for more of it. It has to do that first, and take what
                    // is there or give up: only then does the head of the answer say whether the connection ends.
                    tokio::task::yield_now().await;
                }
                let is_in_doubt = found.is_some() || may_hold_back && response.status().is_client_error();
                // Whatever such a request is refused for, nothing behind it can be trusted to be one.
                if is_in_doubt || *stop.borrow() || response.extensions().get::<CloseAfter>().is_some() {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response.map(|body| Fitted::new(body, room)))
            }
        });
        let mut served = self.http1.serve_connection(stream, service);
        let refused = Arc::clone(&self.limits.refused);
        Box::pin(async move {
            let closing = begun.closing.clone();
            let ended = until_end(&mut served, peer, first_request, begun, std::future::pending).await;
            if let Ended::Refused(cause) = &ended {
                refused.count(cause);
            }
            if !matches!(ended, Ended::Left) {
                let stream = served.into_parts().io.into_inner();
                linger(stream, Rest::TAKEN_IN, closing).await;
            }
        })
    }
}

/// Has a request handled. Its connection is not idle until the answer is there. What handles it is large: behind its pointer it is never moved.
fn handle<H, F>(
    idle: Option<&Arc<Idle>>,
    handler: &H,
    request: Request<Incoming>,
    connection: &Arc<Connection>,
) -> impl Future<Output = Response<F::Body>> + Send + use<H, F>
where
    H: Fn(Request<Incoming>, Arc<Connection>) -> F,
    F: Answer,
{
    let asked = idle.map(|idle| idle.asked(connection.peer));
    let answer = rescue::answer(Box::pin(handler(request, Arc::clone(connection))));
    async move {
        let answer = answer.await;
        drop(asked);
        answer
    }
}

fn negotiated(connection: &ServerConnection) -> Tls {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        // The server configuration offers nothing else.
        _ => "1.3",
    };
    Tls { version, server_name: connection.server_name().map(Arc::from) }
}
