//! HTTP clients over TLS that do as they are told, and nothing by themselves.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Method, Request, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use steward::tls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// No answer may take longer than this on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Client {
    address: SocketAddr,
    authority: String,
    config: Arc<ClientConfig>,
}

/// One request. Nothing is added to it but `Host`.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// One answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

pub fn call(method: &str, target: impl Into<String>) -> Call {
    Call { method: method.parse().unwrap(), target: target.into(), headers: Vec::new(), body: Bytes::new() }
}

pub fn get(target: impl Into<String>) -> Call {
    call("GET", target)
}

impl Call {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    pub fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into();
        self.header(CONTENT_TYPE.as_str(), "application/json")
    }

    pub fn request(self, host: Option<&str>) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(self.method).uri(self.target);
        let names_host = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        if let Some(host) = host.filter(|_| !names_host) {
            request = request.header(HOST, host);
        }
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(self.body)).unwrap()
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|cause| panic!("{cause}: {} {:?}", self.status, self.body))
    }

    /// `403 AuthorizationFailed role.action`: what a refusal comes down to.
    pub fn told(&self) -> String {
        let body = serde_json::from_slice::<Value>(&self.body).unwrap_or_default();
        let code = body["error"]["code"].as_str().unwrap_or_default();
        let reason = body["error"]["additionalInfo"][0]["info"]["reason"].as_str().unwrap_or_default();
        format!("{} {code} {reason}", self.status.as_u16()).trim_end().to_owned()
    }

    pub fn request_id(&self) -> &str {
        self.header("x-ms-request-id")
    }
}

impl Client {
    /// A client of `https://localhost:PORT` that trusts the certificates in this file.
    pub fn new(base: &str, ca: &Path) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in tls::read_chain(ca).unwrap() {
            roots.add(certificate).unwrap();
        }
        let builder = ClientConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions().unwrap();
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        let authority = base.rsplit('/').next().unwrap().to_owned();
        let port: u16 = authority.rsplit(':').next().unwrap().parse().unwrap();
        Self { address: SocketAddr::from(([127, 0, 0, 1], port)), authority, config: Arc::new(config) }
    }

    /// `localhost:PORT`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// A TLS connection; `name` is the server name it asks for. The certificate must be good for `localhost`, and is not
    /// looked at under any other name.
    pub async fn connect(&self, name: &str, alpn: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = ClientConfig::clone(&self.config);
        if name != "localhost" {
            config.dangerous().set_certificate_verifier(Arc::new(Unseen));
        }
        config.alpn_protocols = vec![alpn.to_vec()];
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name.to_owned()).unwrap(), stream).await
    }

    /// Sends over HTTP/1.1, on a connection of its own.
    pub async fn send(&self, call: Call) -> Answer {
        self.send_named("localhost", call).await
    }

    /// The same with another server name in the TLS handshake.
    pub async fn send_named(&self, name: &str, call: Call) -> Answer {
        let answered = timeout(PATIENCE, self.try_send(name, call.clone())).await.expect("an answer in time");
        answered.unwrap_or_else(|why| panic!("{} {}: {why}", call.method, call.target))
    }

    /// The same; an error when there is no whole answer.
    pub async fn try_send(&self, name: &str, call: Call) -> Result<Answer, String> {
        let stream = self.connect(name, b"http/1.1").await.map_err(|cause| format!("connect: {cause}"))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
        let driver = tokio::spawn(connection);
        let response = sender.send_request(call.request(Some(&self.authority))).await.map_err(told)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(told)?.to_bytes();
        driver.abort();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// Sends bytes as they are, and gives everything that comes until the server closes the connection.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect("localhost", b"http/1.1").await.unwrap();
        let answered = async {
            stream.write_all(bytes).await.unwrap();
            stream.flush().await.unwrap();
            let mut answer = Vec::new();
            // A connection that ends without a farewell of TLS ended all the same; what came before counts.
            let _ended = stream.read_to_end(&mut answer).await.is_ok();
            String::from_utf8(answer).unwrap()
        };
        timeout(PATIENCE, answered).await.expect("the connection is closed in time")
    }

    /// Sends over HTTP/2, on a connection of its own. A target without authority gets this server's.
    pub async fn send_h2(&self, mut call: Call) -> Answer {
        if call.target.starts_with('/') {
            call.target = format!("https://{}{}", self.authority, call.target);
        }
        let exchange = async {
            let stream = self.connect("localhost", b"h2").await.unwrap();
            let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            let driver = tokio::spawn(connection);
            let mut request = call.request(None);
            *request.version_mut() = Version::HTTP_2;
            let (head, body) = sender.send_request(request).await.unwrap().into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            driver.abort();
            Answer { status: head.status, headers: head.headers, body }
        };
        timeout(PATIENCE, exchange).await.expect("an answer in time")
    }
}

/// Lets a test ask for a name that the certificate does not have.
#[derive(Debug)]
struct Unseen;

impl ServerCertVerifier for Unseen {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        tls::provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Asks an `http://` address on loopback, such as the admin listener.
pub async fn plain(base: &str, call: Call) -> Answer {
    let authority = base.trim_start_matches("http://").to_owned();
    let exchange = async {
        let stream = TcpStream::connect(&authority).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(connection);
        let (head, body) = sender.send_request(call.request(Some(&authority))).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        driver.abort();
        Answer { status: head.status, headers: head.headers, body }
    };
    timeout(PATIENCE, exchange).await.expect("an answer in time")
}

/// The whole chain of causes.
fn told(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
