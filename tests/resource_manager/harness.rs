//! A resource manager on a port of its own, and a gateway's key to speak to it over TLS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use steward::arm::scope::Scope;
use steward::clock::Clock;
use steward::https::Drained;
use steward::ids::{SubscriptionId, TenantId};
use steward::resource_manager::{Config, Home, Key, ResourceManager, Seed, Store, Trust};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

pub const ALDER: &str = "/subscriptions/0a000000-0000-4000-8000-000000000001";
pub const CEDAR: &str = "/subscriptions/0c000000-0000-4000-8000-000000000001";
pub const DUNE: &str = "/subscriptions/0d000000-0000-4000-8000-000000000001";
pub const CUSTOMER: &str = "11111111-1111-4111-8111-111111111111";
pub const CALLER: &str = "22222222-2222-4222-8222-222222222222";
pub const HOME: &str = "33333333-3333-4333-8333-333333333333";
pub const ISSUER: &str = "https://gateway.test";
pub const BASE: &str = "https://backend.test";
pub const V: &str = "api-version=2024-01-01";

const SEED: &str = r#"
[[subscription]]
name = "alder"
unregistered = ["Microsoft.Quantum"]
[[subscription]]
name = "dune"
state = "Disabled"
[[resource_group]]
subscription = "alder"
name = "rg-Web"
location = "westeurope"
tags = { env = "prod" }
[[resource_group]]
subscription = "cedar"
name = "rg-fleet"
location = "westeurope"
[[resource_group]]
subscription = "dune"
name = "rg-app"
location = "westeurope"
[[generate]]
subscription = "cedar"
resource_group = "rg-fleet"
type = "Microsoft.Compute/disks"
name_prefix = "disk-"
count = 2500
location = "westeurope"
"#;

/// A running resource manager.
pub struct Backend {
    pub manager: Arc<ResourceManager>,
    pub clock: Clock,
    address: SocketAddr,
    connector: TlsConnector,
    stop: watch::Sender<bool>,
    served: JoinHandle<Drained>,
}

/// One answer, its body read.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Status and error code, the way a client sees a refusal.
    pub fn told(&self) -> String {
        let code = self.body["error"]["code"].as_str().unwrap_or_default();
        format!("{} {code}", self.status.as_u16()).trim_end().to_owned()
    }

    pub fn state(&self) -> &str {
        self.body["properties"]["provisioningState"].as_str().unwrap_or_default()
    }

    pub fn names(&self) -> Vec<String> {
        self.body["value"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
    }
}

impl Backend {
    pub async fn start() -> Self {
        Self::start_with(Store::Memory, Duration::from_secs(10)).await
    }

    pub async fn start_with(store: Store, operation_time: Duration) -> Self {
        let clock = Clock::system();
        let home = |id: &str| Home { id: subscription(id), tenant: CUSTOMER.parse::<TenantId>().unwrap() };
        let subscriptions =
            BTreeMap::from([("alder".to_owned(), home(ALDER)), ("cedar".to_owned(), home(CEDAR)), ("dune".to_owned(), home(DUNE))]);
        let public_key = pair(7).public_key().as_ref().try_into().unwrap();
        let config = Config {
            base_url: BASE.to_owned(),
            trust: Trust { issuer: ISSUER.to_owned(), audience: BASE.to_owned(), keys: vec![Key { kid: "k1".to_owned(), public_key }] },
            store,
            seed: Some(Seed { text: SEED.to_owned(), subscriptions }),
            operation_time,
            clock: clock.clone(),
        };
        let manager = ResourceManager::open(config).await.unwrap();
        let (server, connector) = tls();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let served = tokio::spawn(Arc::clone(&manager).run(listener, server, stopped));
        Self { manager, clock, address, connector, stop, served }
    }

    pub async fn stop(self) {
        self.stop.send(true).unwrap();
        assert_eq!(self.served.await.unwrap(), Drained::Clean);
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None, &[]).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, Some(body), &[]).await
    }

    pub async fn post(&self, path: &str) -> Answer {
        self.call("POST", path, None, &[]).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None, &[]).await
    }

    /// A request with an assertion that fits it. `path` may be absolute, and gets an api-version if it has no query.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>, headers: &[(&str, &str)]) -> Answer {
        let scope = path.trim_start_matches(BASE).split('/').take(3).collect::<Vec<_>>().join("/");
        let scope = if Scope::parse(&scope).is_ok_and(|it| it.subscription_id().is_some()) { scope } else { "/".to_owned() };
        let assertion = self.assertion(&claims(&self.clock, &scope));
        let mut all = vec![("authorization", assertion.as_str()), ("x-ms-client-object-id", CALLER), ("x-ms-client-tenant-id", HOME)];
        all.extend(headers);
        self.send(method, path, body.map(|body| body.to_string().into()), &all).await.unwrap()
    }

    pub fn assertion(&self, claims: &Value) -> String {
        signed(7, claims)
    }

    /// A request as it is. `None` when the connection ended before the answer was whole.
    pub async fn send(&self, method: &str, path: &str, body: Option<Bytes>, headers: &[(&str, &str)]) -> Option<Answer> {
        let path = path.trim_start_matches(BASE);
        let path = if path.contains('?') { path.to_owned() } else { format!("{path}?{V}") };
        let stream = TcpStream::connect(self.address).await.unwrap();
        let stream = self.connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(connection);
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
        driver.abort();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Some(Answer { status: head.status, headers: head.headers, body })
    }

    /// An admin call as the gateway's admin listener would pass it on.
    pub async fn admin(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = Request::builder().method(method).uri(path).body(Full::new(body)).unwrap();
        let (head, body) = self.manager.admin(request).await.into_parts();
        (head.status, serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap())
    }

    pub async fn fault(&self, fault: Value) {
        assert_eq!(self.admin("POST", "/mock/faults", fault).await.0, StatusCode::CREATED);
    }
}

/// The claims of an assertion for `scope`, good for five minutes.
pub fn claims(clock: &Clock, scope: &str) -> Value {
    let now = clock.now().as_second();
    json!({
        "iss": ISSUER, "aud": BASE, "sub": CALLER, "tid": CUSTOMER,
        "act": { "sub": CALLER, "tid": HOME, "name": "operator@provider.example" },
        "scp": scope, "iat": now, "exp": now + 300,
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
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    if directory.exists() {
        std::fs::remove_dir_all(&directory).unwrap();
    }
    std::fs::create_dir_all(&directory).unwrap();
    directory.join("state.sqlite")
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn subscription(path: &str) -> SubscriptionId {
    path.rsplit('/').next().unwrap().parse().unwrap()
}

fn tls() -> (Arc<ServerConfig>, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (Arc::new(server), TlsConnector::from(Arc::new(client)))
}
