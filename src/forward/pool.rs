//! Connections to the backend, kept open between requests. One pool per worker, so that no two threads wait for one lock.
//!
//! Own code and not `hyper-util`'s client because that one costs 0.4 of a bare proxy's CPU per request more (measured:
//! `docs/decisions/0002-workers-and-pool.md`) and does not tell an unsent request from one that was sent.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError};
use std::task::Poll;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::HeaderValue;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustix::io::Errno;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};

use super::body::Outgoing;
use super::intake::{AwaitedHead, Intake};
use super::{BackendConfig, Protocol, authority_of, host_header};
use crate::https::Patience;
use crate::identity::Owner;
use crate::shares::{NoneLeft, Share, Shares};
use crate::tls::{self, RootsError};

/// Idle connections kept; more are closed.
const IDLE_MAX: usize = 256;
/// An idle connection older than this is not trusted to be open any more.
const IDLE_TIME_MAX: Duration = Duration::from_secs(50);
/// How long a connection that was given back may take to be ready for the next request; then another one is taken.
const READY_TIME_MAX: Duration = Duration::from_millis(50);
/// How long a request waits for a free connection when all are in use.
const TURN_TIME_MAX: Duration = Duration::from_secs(1);

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// All connections are in use.
    #[error("all connections are in use")]
    Busy,
    /// This machine gives no further connection; the backend was not asked.
    #[error("this machine has no descriptor, port or memory for a connection to `{authority}`")]
    Exhausted {
        /// Where to.
        authority: String,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// The HTTP preface failed.
    #[error("no HTTP connection")]
    Http(#[source] hyper::Error),
    /// TCP or TLS failed.
    #[error("no connection to `{authority}`")]
    Io {
        /// Where to.
        authority: String,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// The caller's tenant has as many requests there as it may.
    #[error("the share of the caller's tenant, {max} requests, is used up")]
    ShareUsed {
        /// How many that is.
        max: usize,
    },
    /// TCP and TLS took too long.
    #[error("no connection to `{authority}` in time")]
    Slow {
        /// Where to.
        authority: String,
    },
    /// The trusted certificates cannot be read.
    #[error("the trusted roots of the backend cannot be read")]
    Roots(#[source] RootsError),
    /// TLS has no version to offer.
    #[error("TLS to the backend cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The URL is not an origin.
    #[error("backend.url is `{url}`; expected `https://host[:port]`, or `http://127.0.0.1:port`, without a path")]
    Url {
        /// As configured.
        url: String,
    },
}

/// Open connections of one worker.
#[derive(Debug)]
pub struct Pool {
    authority: String,
    host: HeaderValue,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    protocol: Protocol,
    connect_time_max: Duration,
    first_byte_time_max: Duration,
    permits: Arc<Semaphore>,
    shares: Shares,
    #[expect(clippy::disallowed_types, reason = "held for a push or a pop by one worker's tasks, never across an await")]
    idle: std::sync::Mutex<Vec<Idle>>,
    #[expect(clippy::disallowed_types, reason = "held for a clone by one worker's tasks, never across an await")]
    shared: std::sync::Mutex<Option<http2::SendRequest<Outgoing>>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection in use by one request.
#[derive(Debug)]
pub(super) struct Connection {
    sender: Sender,
    /// Whether requests were sent on it before.
    pub(super) reused: bool,
    /// For the head of an answer. One timer for all requests of a connection: moving it on is cheap, and setting a new one is not.
    pub(super) patience: Patience,
    /// Of the caller's tenant, until the answer was read.
    pub(super) share: Option<Share>,
}

#[derive(Debug)]
enum Sender {
    Http1 { sender: http1::SendRequest<Outgoing>, head: Arc<AwaitedHead>, _driver: Driver, _permit: OwnedSemaphorePermit },
    Http2(http2::SendRequest<Outgoing>),
}

/// Owns the task that moves a connection's bytes; the connection ends with it.
#[derive(Debug)]
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A request that got no answer, with the request itself if none of it was sent.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) cause: hyper::Error,
    pub(super) unsent: Option<Request<Outgoing>>,
}

impl Connection {
    /// Sends a request; the future ends with the head of the answer.
    pub(super) fn try_send(&mut self, request: Request<Outgoing>) -> impl Future<Output = Result<Response<Incoming>, Failed>> + use<> {
        let sent = match &mut self.sender {
            Sender::Http1 { sender, head, .. } => {
                head.begin();
                Either::Left((sender.try_send_request(request), Arc::clone(head)))
            }
            Sender::Http2(sender) => Either::Right(sender.try_send_request(request)),
        };
        async move {
            let answered = match sent {
                Either::Left((sent, head)) => {
                    let answered = sent.await;
                    head.end();
                    answered
                }
                Either::Right(sent) => sent.await,
            };
            answered.map_err(|mut failed| {
                let unsent = failed.take_message();
                Failed { cause: failed.into_error(), unsent }
            })
        }
    }
}

enum Either<L, R> {
    Left(L),
    Right(R),
}

impl Pool {
    /// An empty pool for this backend.
    ///
    /// # Errors
    /// When the URL or the trusted certificates cannot be used.
    pub fn new(config: &BackendConfig) -> Result<Self, ConnectError> {
        let bad_url = || ConnectError::Url { url: config.url.clone() };
        let authority = authority_of(&config.url).ok_or_else(bad_url)?;
        let host = host_header(&config.url).ok_or_else(bad_url)?;
        let name = authority.rsplit_once(':').map_or(authority, |(name, _port)| name);
        let tls = match config.url.split_once("://") {
            Some(("https", _)) => {
                let name = ServerName::try_from(name.to_owned()).map_err(|_cause| bad_url())?;
                Some((client_config(config)?, name))
            }
            Some(("http", _)) if is_loopback(name) => None,
            _ => return Err(bad_url()),
        };
        let authority = match (authority.rsplit_once(':'), &tls) {
            (Some(_), _) => authority.to_owned(),
            (None, Some(_)) => format!("{authority}:443"),
            (None, None) => format!("{authority}:80"),
        };
        Ok(Self {
            authority,
            host,
            tls,
            protocol: config.protocol,
            connect_time_max: config.connect_time_max,
            first_byte_time_max: config.first_byte_time_max,
            permits: Arc::new(Semaphore::new(config.connections_max)),
            shares: Shares::of(config.connections_max),
            idle: Default::default(),
            shared: Default::default(),
        })
    }

    pub(super) fn host(&self) -> HeaderValue {
        self.host.clone()
    }

    /// One of the requests that the tenant of this caller may have at the backend.
    pub(super) fn share(&self, owner: Owner) -> Result<Share, ConnectError> {
        self.shares.take(owner).map_err(|none| match none {
            NoneLeft::OfAll => ConnectError::Busy,
            NoneLeft::OfOne { max } => ConnectError::ShareUsed { max },
        })
    }

    /// A connection that is open already, or a new one.
    pub(super) async fn reuse_or_connect(&self) -> Result<Connection, ConnectError> {
        match self.protocol {
            Protocol::Http1 => {
                while let Some(mut connection) = self.pop_idle() {
                    match connection.is_ready_soon().await {
                        Some(true) => return Ok(connection),
                        Some(false) => {}
                        // The others may be no better, and time is short.
                        None => break,
                    }
                }
            }
            Protocol::Http2 => {
                if let Some(mut sender) = self.shared_sender()
                    && sender.ready().await.is_ok()
                {
                    return Ok(self.connection(Sender::Http2(sender), true));
                }
            }
        }
        self.connect().await
    }

    /// A new connection. Boxed, so that requests on an open one do not carry the room of a handshake around.
    pub(super) fn connect(&self) -> Pin<Box<dyn Future<Output = Result<Connection, ConnectError>> + Send + '_>> {
        Box::pin(async {
            let Ok(Ok(permit)) = timeout(TURN_TIME_MAX, Arc::clone(&self.permits).acquire_owned()).await else {
                return Err(ConnectError::Busy);
            };
            match timeout(self.connect_time_max, self.open(permit)).await {
                Ok(opened) => opened,
                Err(_elapsed) => Err(ConnectError::Slow { authority: self.authority.clone() }),
            }
        })
    }

    async fn open(&self, permit: OwnedSemaphorePermit) -> Result<Connection, ConnectError> {
        let io_error = |cause| {
            let authority = self.authority.clone();
            if is_want(&cause) { ConnectError::Exhausted { authority, cause } } else { ConnectError::Io { authority, cause } }
        };
        let stream = TcpStream::connect(&self.authority).await.map_err(io_error)?;
        stream.set_nodelay(true).map_err(io_error)?;
        match &self.tls {
            Some((config, name)) => {
                let stream = TlsConnector::from(Arc::clone(config)).connect(name.clone(), stream).await.map_err(io_error)?;
                self.speak(stream, permit).await
            }
            None => self.speak(stream, permit).await,
        }
    }

    async fn speak<S>(&self, stream: S, permit: OwnedSemaphorePermit) -> Result<Connection, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let head = Arc::<AwaitedHead>::default();
        let io = TokioIo::new(Intake::new(stream, Arc::clone(&head)));
        match self.protocol {
            Protocol::Http1 => {
                let (sender, driver) = http1::Builder::new().handshake(io).await.map_err(ConnectError::Http)?;
                let driver = Driver(tokio::spawn(log_end(driver)));
                Ok(self.connection(Sender::Http1 { sender, head, _driver: driver, _permit: permit }, false))
            }
            Protocol::Http2 => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.timer(TokioTimer::new()).adaptive_window(true);
                let (sender, driver) = builder.handshake(io).await.map_err(ConnectError::Http)?;
                // The connection serves all requests of the worker: it lives until the last sender is gone.
                tokio::spawn(async move {
                    log_end(driver).await;
                    drop(permit);
                });
                *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender.clone());
                Ok(self.connection(Sender::Http2(sender), false))
            }
        }
    }

    const fn connection(&self, sender: Sender, reused: bool) -> Connection {
        Connection { sender, reused, patience: Patience::new(self.first_byte_time_max), share: None }
    }

    /// Takes a connection back whose answer was read to the end.
    pub(super) fn give_back(&self, connection: Connection) {
        let Sender::Http1 { sender, .. } = &connection.sender else { return };
        if sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(Idle { connection: Connection { reused: true, share: None, ..connection }, since: Instant::now() });
        }
    }

    fn pop_idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = idle.pop()?;
        if newest.since.elapsed() < IDLE_TIME_MAX {
            return Some(newest.connection);
        }
        // The list is a stack: when the newest is too old, all of them are.
        idle.clear();
        None
    }

    fn shared_sender(&self) -> Option<http2::SendRequest<Outgoing>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(|sender| !sender.is_closed())
    }
}

impl Connection {
    /// Whether it takes the next request, if that is known soon. A timer is only made where it is not known at once.
    async fn is_ready_soon(&mut self) -> Option<bool> {
        let mut ready = pin!(self.is_ready());
        match poll_fn(|cx| Poll::Ready(ready.as_mut().poll(cx))).await {
            Poll::Ready(is_ready) => Some(is_ready),
            Poll::Pending => timeout(READY_TIME_MAX, ready).await.ok(),
        }
    }

    async fn is_ready(&mut self) -> bool {
        match &mut self.sender {
            Sender::Http1 { sender, .. } => sender.ready().await.is_ok(),
            Sender::Http2(sender) => sender.ready().await.is_ok(),
        }
    }
}

async fn log_end(driver: impl Future<Output = Result<(), hyper::Error>>) {
    if let Err(cause) = driver.await {
        tracing::debug!(%cause, "backend connection ended");
    }
}

/// Whether it says nothing about the other end: this machine has no more of something.
fn is_want(cause: &std::io::Error) -> bool {
    const WANTS: [Errno; 5] = [Errno::ADDRNOTAVAIL, Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    Errno::from_io_error(cause).is_some_and(|errno| WANTS.contains(&errno))
}

fn client_config(config: &BackendConfig) -> Result<Arc<ClientConfig>, ConnectError> {
    let roots = tls::trusted_roots(config.trusted_roots.as_deref()).map_err(ConnectError::Roots)?;
    tls::client_config(roots, Some(alpn(config.protocol))).map_err(ConnectError::Tls)
}

fn alpn(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::Http1 => b"http/1.1",
        Protocol::Http2 => b"h2",
    }
}

fn is_loopback(name: &str) -> bool {
    name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_machine_lacks_is_no_fault_of_the_backend() {
        for (errno, expected) in [(Errno::MFILE, true), (Errno::NFILE, true), (Errno::ADDRNOTAVAIL, true), (Errno::CONNREFUSED, false)] {
            assert_eq!(is_want(&errno.into()), expected, "{errno}");
        }
        assert!(!is_want(&std::io::ErrorKind::UnexpectedEof.into()), "not of the system");
    }
}
