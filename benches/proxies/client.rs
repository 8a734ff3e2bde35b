//! A client that asks one thing and looks at the whole answer: for what has to hold before anything is timed.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, HandshakeKind, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Outcome;
use crate::scenario::{Ask, Http};
use crate::stage::{NAME, named};

/// Where a client's work is done, for callers that wait.
pub fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// One request.
#[derive(Clone)]
pub struct Call {
    pub ask: Ask,
    pub token: Option<String>,
}

/// An open connection.
pub struct Connection {
    address: SocketAddr,
    tls: bool,
    sender: Sender,
    /// Whether TLS took up an earlier session.
    pub is_resumed: bool,
}

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// With `Some` configuration over TLS.
    pub async fn open(address: SocketAddr, http: Http, tls: Option<Arc<ClientConfig>>) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let is_tls = tls.is_some();
        let Some(config) = tls else {
            return Ok(Self { address, tls: is_tls, sender: Sender::open(stream, http).await?, is_resumed: false });
        };
        let stream = TlsConnector::from(config).connect(ServerName::try_from(NAME)?, stream).await?;
        let is_resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
        Ok(Self { address, tls: is_tls, sender: Sender::open(stream, http).await?, is_resumed })
    }

    pub async fn send(&mut self, call: &Call) -> Outcome<(StatusCode, Bytes)> {
        let body = Full::from(call.ask.body());
        let host = call.ask.host().map_or_else(|| named(self.address), ToOwned::to_owned);
        let target = call.ask.target();
        let mut request = match &self.sender {
            Sender::One(_) => Request::builder().uri(target).header(HOST, host),
            Sender::Two(_) => Request::builder().uri(format!("{}://{host}{target}", if self.tls { "https" } else { "http" })),
        };
        if let Some(token) = &call.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(kind) = call.ask.content_type() {
            request = request.header(CONTENT_TYPE, kind);
        }
        let response = self.sender.send(request.method(call.ask.method()).body(body)?).await?;
        Ok((response.status(), response.into_body().collect().await?.to_bytes()))
    }
}

impl Sender {
    async fn open(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, http: Http) -> Outcome<Self> {
        match http {
            Http::One => {
                let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
                drop(tokio::spawn(driver));
                Ok(Self::One(sender))
            }
            Http::Two(_) => {
                let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
                drop(tokio::spawn(driver));
                Ok(Self::Two(sender))
            }
        }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<hyper::body::Incoming>> {
        match self {
            Self::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Self::Two(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    }
}

/// A configuration that takes the certificate on trust: it was made by this program, a moment ago.
pub fn trusting(http: Http) -> Outcome<Arc<ClientConfig>> {
    Ok(Arc::new(config(http)?))
}

/// One that makes a full handshake each time.
pub fn without_resumption(http: Http) -> Outcome<Arc<ClientConfig>> {
    let mut config = config(http)?;
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn config(http: Http) -> Outcome<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let trust = Arc::new(Trust(Arc::clone(&provider)));
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.dangerous().with_custom_certificate_verifier(trust).with_no_client_auth();
    config.alpn_protocols = vec![if http == Http::One { b"http/1.1".to_vec() } else { b"h2".to_vec() }];
    Ok(config)
}

#[derive(Debug)]
struct Trust(Arc<CryptoProvider>);

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
