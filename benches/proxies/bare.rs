//! The yardstick: a proxy on hyper that passes requests on and checks nothing, as cheap as we know how to make it; and the same with the caller's
//! token verified on every request, without remembering any.
//!
//! One runtime per core, a pool of connections per core without a lock, bodies passed piece by piece, hop-by-hop fields taken out.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::token::{AUDIENCE, ISSUER, KEY_ID};
use crate::{BareArguments, Outcome, listener, stage};

/// Idle connections to the origin that a worker keeps: more than any scenario has.
const IDLE_MAX: usize = 512;

thread_local! {
    static IDLE: RefCell<Vec<SendRequest<Incoming>>> = const { RefCell::new(Vec::new()) };
}

pub fn run(arguments: BareArguments) -> Outcome<()> {
    let BareArguments { listen, origin, workers, tls, verify } = arguments;
    let acceptor = match tls.as_deref() {
        Some([certificate, key]) => Some(TlsAcceptor::from(Arc::new(stage::tls_config(certificate, key)?))),
        _ => None,
    };
    let verifier = verify.map(|path| Verifier::new(&std::fs::read(path)?)).transpose()?.map(Arc::new);
    listener::serve(listen, workers, move |stream| {
        let (acceptor, verifier) = (acceptor.clone(), verifier.clone());
        async move {
            let Some(acceptor) = acceptor else { return serve_http1(stream, origin, verifier).await };
            let Ok(stream) = acceptor.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                serve_http2(stream, origin, verifier).await;
            } else {
                serve_http1(stream, origin, verifier).await;
            }
        }
    })
}

async fn serve_http1(stream: impl AsyncRead + AsyncWrite + Unpin + Send, origin: SocketAddr, verifier: Option<Arc<Verifier>>) {
    let service = service_fn(move |request| exchange(request, origin, verifier.clone()));
    let served = hyper::server::conn::http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(stream), service).await;
    drop(served);
}

async fn serve_http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send, origin: SocketAddr, verifier: Option<Arc<Verifier>>) {
    let service = service_fn(move |request| exchange(request, origin, verifier.clone()));
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    drop(builder.auto_date_header(false).serve_connection(TokioIo::new(stream), service).await);
}

async fn exchange(mut request: Request<Incoming>, origin: SocketAddr, verifier: Option<Arc<Verifier>>) -> Outcome<Response<Answer>> {
    if verifier.is_some_and(|verifier| !verifier.admits(request.headers())) {
        return Ok(status(StatusCode::UNAUTHORIZED));
    }
    if request.version() == Version::HTTP_2 {
        as_http1(&mut request)?;
    }
    strip(request.headers_mut());
    let mut sender = connection(origin).await?;
    let (mut head, body) = sender.send_request(request).await?.into_parts();
    strip(&mut head.headers);
    Ok(Response::from_parts(head, Answer { body: Some(body), sender: Some(sender) }))
}

fn status(status: StatusCode) -> Response<Answer> {
    let mut response = Response::new(Answer { body: None, sender: None });
    *response.status_mut() = status;
    response
}

/// Path and query as target, and the authority as `Host`.
fn as_http1(request: &mut Request<Incoming>) -> Outcome<()> {
    let target = request.uri().path_and_query().cloned().ok_or("a request without a path")?;
    if let Some(authority) = request.uri().authority() {
        let host = HeaderValue::try_from(authority.as_str())?;
        request.headers_mut().insert(header::HOST, host);
    }
    *request.uri_mut() = Uri::from(target);
    *request.version_mut() = Version::HTTP_11;
    Ok(())
}

/// Takes out what concerns one connection only. Source: RFC 9110 §7.6.1.
fn strip(headers: &mut HeaderMap) {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    if let Some(named) = headers.remove(header::CONNECTION) {
        for name in named.to_str().unwrap_or_default().split(',') {
            headers.remove(name.trim());
        }
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, header::TE, header::TRAILER, header::TRANSFER_ENCODING, header::UPGRADE] {
        headers.remove(name);
    }
}

/// One that is open already, or a new one.
async fn connection(origin: SocketAddr) -> Outcome<SendRequest<Incoming>> {
    while let Some(mut sender) = IDLE.with_borrow_mut(Vec::pop) {
        if sender.ready().await.is_ok() {
            return Ok(sender);
        }
    }
    let stream = TcpStream::connect(origin).await?;
    stream.set_nodelay(true)?;
    let (mut sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    drop(tokio::spawn(driver));
    sender.ready().await?;
    Ok(sender)
}

/// The origin's body, whose end makes its connection free.
struct Answer {
    body: Option<Incoming>,
    sender: Option<SendRequest<Incoming>>,
}

impl Answer {
    fn release(&mut self) {
        if let Some(sender) = self.sender.take() {
            IDLE.with_borrow_mut(|idle| {
                if idle.len() < IDLE_MAX {
                    idle.push(sender);
                }
            });
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        let is_over = match &polled {
            Poll::Ready(Some(Ok(_))) => self.is_end_stream(),
            Poll::Ready(None) => true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        if is_over {
            self.release();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

/// Verifies tokens, algorithm, signature, issuer, audience and time, as cheaply as the library allows: the key is parsed once, claims are borrowed.
struct Verifier {
    key: ParsedPublicKey,
}

#[derive(serde::Deserialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
}

#[derive(serde::Deserialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    exp: u64,
    nbf: u64,
}

impl Verifier {
    /// `public_key` is DER. Source: RFC 5280 §4.1, `SubjectPublicKeyInfo`.
    fn new(public_key: &[u8]) -> Outcome<Self> {
        Ok(Self { key: ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key)? })
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        token.and_then(|token| self.verify(token)).is_some()
    }

    fn verify(&self, token: &str) -> Option<()> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let [header, claims, signature] = [header, claims, signature].map(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let header = header?;
        let header: Header<'_> = serde_json::from_slice(&header).ok()?;
        if header.alg != "RS256" || header.kid != KEY_ID {
            return None;
        }
        self.key.verify_sig(signed.as_bytes(), &signature?).ok()?;
        let claims = claims?;
        let claims: Claims<'_> = serde_json::from_slice(&claims).ok()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
        (claims.iss == ISSUER && claims.aud == AUDIENCE && claims.exp > now && claims.nbf <= now).then_some(())
    }
}
