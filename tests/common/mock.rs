//! What the tests of both mocks share: a gateway's key, the assertions that it signs, and a mock on a port of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use steward::clock::Clock;
use steward::https::Drained;
use steward::resource_manager::{Key, Trust};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::folders::empty_folder;

pub const CALLER: &str = "22222222-2222-4222-8222-222222222222";
pub const HOME: &str = "33333333-3333-4333-8333-333333333333";
const ISSUER: &str = "https://gateway.test";

/// A mock that serves until it is stopped, and the way to it over TLS.
pub struct Serving {
    pub address: SocketAddr,
    connector: TlsConnector,
    stop: watch::Sender<bool>,
    served: JoinHandle<Drained>,
}

/// One answer, its body read.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The answer to an admin call, which always has a body.
    pub async fn of_admin(response: Response<Full<Bytes>>) -> Self {
        let (head, body) = response.into_parts();
        let body = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        Self { status: head.status, headers: head.headers, body }
    }

    pub fn names(&self) -> Vec<String> {
        self.body["value"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
    }
}

impl Serving {
    /// Gives a mock what it serves with.
    pub async fn start<F>(run: impl FnOnce(TcpListener, Arc<ServerConfig>, watch::Receiver<bool>) -> F) -> Self
    where
        F: Future<Output = Drained> + Send + 'static,
    {
        let (server, connector) = tls();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        Self { address, connector, stop, served: tokio::spawn(run(listener, server, stopped)) }
    }

    pub async fn stop(self) {
        self.stop.send(true).unwrap();
        assert_eq!(self.served.await.unwrap(), Drained::Clean);
    }

    /// A connection that offers this protocol.
    pub async fn connect(&self, alpn: &[u8]) -> TokioIo<TlsStream<TcpStream>> {
        let mut config = ClientConfig::clone(self.connector.config());
        config.alpn_protocols = vec![alpn.to_vec()];
        let stream = TcpStream::connect(self.address).await.unwrap();
        TokioIo::new(TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap())
    }

    /// A request as it is; a body is JSON unless the headers say otherwise. `None` when the connection ended before the answer was whole.
    pub async fn send(&self, method: &str, path: &str, body: Option<Bytes>, headers: &[(&str, &str)]) -> Option<Answer> {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(self.connect(b"http/1.1").await).await.unwrap();
        let _ends_with_the_request = AbortOnDrop(tokio::spawn(connection));
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path).header(HOST, "localhost");
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answered = sender.send_request(request.body(Full::new(body.unwrap_or_default())).unwrap()).await;
        let (head, body) = answered.ok()?.into_parts();
        let bytes = body.collect().await.ok()?.to_bytes();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Some(Answer { status: head.status, headers: head.headers, body })
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An admin call as the gateway's admin listener would pass it on; null is no body.
pub fn admin_request(method: &str, path: &str, body: &Value) -> Request<Full<Bytes>> {
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    Request::builder().method(method).uri(path).body(Full::new(body)).unwrap()
}

/// Trust in the gateway's key and in no other.
pub fn trust(audience: &str) -> Trust {
    let public_key = pair(7).public_key().as_ref().try_into().unwrap();
    Trust { issuer: ISSUER.to_owned(), audience: audience.to_owned(), keys: vec![Key { kid: "k1".to_owned(), public_key }] }
}

/// What every assertion claims, good for five minutes.
pub fn claims(clock: &Clock, audience: &str) -> Value {
    let now = clock.now().as_second();
    json!({
        "iss": ISSUER, "aud": audience, "sub": CALLER, "act": { "sub": CALLER, "tid": HOME, "name": "operator@provider.example" },
        "iat": now, "exp": now + 300,
    })
}

/// Signed by the key that this seed makes; the gateway's is 7.
pub fn signed(seed: u8, claims: &Value) -> String {
    let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": "k1" });
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    format!("Bearer {text}.{}", URL_SAFE_NO_PAD.encode(pair(seed).sign(text.as_bytes()).as_ref()))
}

/// A file of its own for each test; what an earlier run left is removed.
pub fn state_file(test: &str) -> PathBuf {
    empty_folder(test).join("state.sqlite")
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn tls() -> (Arc<ServerConfig>, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server), TlsConnector::from(Arc::new(client)))
}
