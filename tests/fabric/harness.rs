//! A fabric on a port of its own, and a gateway's key to speak to it over TLS.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use steward::clock::Clock;
use steward::https::Drained;
use steward::resource_manager::fabric::{Config, Fabric, Seed};
use steward::resource_manager::{Key, Store, Trust};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

pub const CALLER: &str = "22222222-2222-4222-8222-222222222222";
pub const HOME: &str = "33333333-3333-4333-8333-333333333333";
pub const ISSUER: &str = "https://gateway.test";
pub const BASE: &str = "https://fabric.test";
pub const JUNIPER: &str = "11111111-0000-4000-8000-000000000001";
pub const KELP: &str = "11111111-0000-4000-8000-000000000002";
pub const ANNA: &str = "anna@juniper.example";
pub const KIM: &str = "kim@kelp.example";
/// How long a job takes by the clock that the test moves.
pub const OPERATION_TIME: Duration = Duration::from_secs(10);

/// A running fabric.
pub struct Backend {
    pub fabric: Arc<Fabric>,
    pub clock: Clock,
    address: SocketAddr,
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
    /// Status and error code, the way a client sees a refusal.
    pub fn told(&self) -> String {
        // A job that failed has an error as well, but was not refused.
        let code = if self.status.is_success() { "" } else { self.body["error"]["code"].as_str().unwrap() };
        format!("{} {code}", self.status.as_u16()).trim_end().to_owned()
    }

    pub fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }

    pub fn names(&self) -> Vec<&str> {
        self.body["value"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect()
    }
}

/// In whose name: `None` for the administrator.
pub type As = Option<(&'static str, &'static str)>;
pub const ADMIN: As = None;
pub const AS_ANNA: As = Some((ANNA, JUNIPER));
pub const AS_KIM: As = Some((KIM, KELP));

impl Backend {
    pub async fn start() -> Self {
        Self::start_with(Store::Memory, Seed::demo(), Clock::system()).await
    }

    pub async fn start_with(store: Store, seed: Seed, clock: Clock) -> Self {
        let public_key = pair(7).public_key().as_ref().try_into().unwrap();
        let config = Config {
            trust: Trust { issuer: ISSUER.to_owned(), audience: BASE.to_owned(), keys: vec![Key { kid: "k1".to_owned(), public_key }] },
            store,
            seed: Some(seed),
            operation_time: OPERATION_TIME,
            clock: clock.clone(),
        };
        let fabric = Fabric::open(config).await.unwrap();
        let (server, connector) = tls();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let served = tokio::spawn(Arc::clone(&fabric).run(listener, server, stopped));
        Self { fabric, clock, address, connector, stop, served }
    }

    /// A fabric with the roles of two tenants that may do everything on the north stamp.
    pub async fn with_tenants() -> Self {
        let backend = Self::start().await;
        backend.make_tenants().await;
        backend
    }

    pub async fn make_tenants(&self) {
        for (id, member) in [(JUNIPER, ANNA), (KELP, KIM)] {
            let role = self.role(id, &[member]).await;
            assert_eq!(self.put(ADMIN, &format!("/roles/{id}"), role).await.told(), "201");
        }
    }

    /// A role that may use everything of the north stamp but the bronze cloud.
    pub async fn role(&self, id: &str, members: &[&str]) -> Value {
        json!({
            "id": id, "name": format!("role {id}"), "profile": "TenantAdmin", "members": members,
            "clouds": [self.id("clouds", "north-gold").await], "networks": [self.id("networks", "north-tenants").await],
            "templates": [self.id("templates", "ubuntu-24.04").await],
            "actions": ["Checkpoint", "Create", "Modify", "Remove", "StartStop", "Transfer"],
            "quota": { "virtual_machines": 10, "cores": 20 },
        })
    }

    /// The id of what is called so in a list; the first one of several.
    pub async fn id(&self, list: &str, name: &str) -> String {
        let answer = self.get(ADMIN, &format!("/{list}")).await;
        let found = answer.body["value"].as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap().clone();
        found["id"].as_str().unwrap().to_owned()
    }

    /// What a client sends to have a machine of the seed's small template in the gold cloud.
    pub async fn new_vm(&self, name: &str) -> Value {
        json!({
            "name": name, "cloud": self.id("clouds", "north-gold").await, "template": self.id("templates", "ubuntu-24.04").await,
            "network": self.id("networks", "north-tenants").await, "start": true,
        })
    }

    /// A machine that has been deployed; its id.
    pub async fn deployed(&self, acting: As, name: &str) -> String {
        let begun = self.post(acting, "/vms", self.new_vm(name).await).await;
        assert_eq!(begun.told(), "202", "{begun:?}");
        self.clock.advance(OPERATION_TIME);
        let vm = self.vm(acting, begun.body["vm"]["id"].as_str().unwrap()).await;
        assert_eq!(vm["status"], "Running");
        vm["id"].as_str().unwrap().to_owned()
    }

    pub async fn vm(&self, acting: As, id: &str) -> Value {
        let answer = self.get(acting, &format!("/vms/{id}")).await;
        assert_eq!(answer.told(), "200");
        answer.body
    }

    /// The job of an answer that began one, as it is now.
    pub async fn job(&self, acting: As, begun: &Answer) -> Value {
        let answer = self.get(acting, &format!("/jobs/{}", begun.body["job"]["id"].as_str().unwrap())).await;
        assert_eq!(answer.told(), "200");
        answer.body
    }

    /// Lets a job that was begun run to its end.
    pub async fn finished(&self, acting: As, begun: &Answer) -> Value {
        assert_eq!(begun.told(), "202", "{begun:?}");
        self.clock.advance(OPERATION_TIME);
        self.job(acting, begun).await
    }

    pub async fn turn(&self, host: &str, power: &str) -> Answer {
        let path = format!("/hosts/{}", self.id("hosts", host).await);
        self.call(ADMIN, "PATCH", &path, Some(json!({ "power": power }))).await
    }

    pub async fn stop(self) {
        self.stop.send(true).unwrap();
        assert_eq!(self.served.await.unwrap(), Drained::Clean);
    }

    pub async fn get(&self, acting: As, path: &str) -> Answer {
        self.call(acting, "GET", path, None).await
    }

    pub async fn put(&self, acting: As, path: &str, body: Value) -> Answer {
        self.call(acting, "PUT", path, Some(body)).await
    }

    pub async fn post(&self, acting: As, path: &str, body: Value) -> Answer {
        self.call(acting, "POST", path, Some(body)).await
    }

    pub async fn patch(&self, acting: As, path: &str, body: Value) -> Answer {
        self.call(acting, "PATCH", path, Some(body)).await
    }

    pub async fn delete(&self, acting: As, path: &str) -> Answer {
        self.call(acting, "DELETE", path, None).await
    }

    /// A request with an assertion and headers that fit each other.
    pub async fn call(&self, acting: As, method: &str, path: &str, body: Option<Value>) -> Answer {
        let assertion = signed(7, &claims(&self.clock, acting));
        let mut headers = vec![("authorization", assertion.as_str())];
        if let Some((user, role)) = acting {
            headers.extend([("x-vmm-on-behalf-of-user", user), ("x-vmm-on-behalf-of-user-role", role)]);
        }
        let holder = self.holder(acting, method, path).await;
        headers.extend(holder.as_deref().map(|holder| ("x-vmm-holder", holder)));
        self.send(method, path, body.map(|body| body.to_string().into()), &headers).await.unwrap()
    }

    /// Whose a machine is, for what an administrator does with it.
    async fn holder(&self, acting: As, method: &str, path: &str) -> Option<String> {
        let id = path.strip_prefix("/vms/")?.split('/').next().filter(|_| acting == ADMIN && method != "GET")?;
        let vm = Box::pin(self.get(ADMIN, &format!("/vms/{id}"))).await.body;
        let role = vm["user_role"].as_str().or_else(|| vm["requested_by"].as_str());
        Some(role.unwrap_or("nobody").to_owned())
    }

    /// A request as it is. `None` when the connection ended before the answer was whole.
    pub async fn send(&self, method: &str, path: &str, body: Option<Bytes>, headers: &[(&str, &str)]) -> Option<Answer> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let stream = self.connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let driver = tokio::spawn(connection);
        let _ends_with_the_request = AbortOnDrop(driver);
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path).header(HOST, "localhost");
        if body.is_some() {
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

    /// An HTTP/2 connection, which carries many requests at once.
    pub async fn http2(&self) -> SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let stream = self.connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        // It ends with its last sender.
        drop(tokio::spawn(connection));
        sender
    }

    pub fn get_request(&self, path: &str, assertion: &str) -> Request<Full<Bytes>> {
        let request = Request::get(format!("https://localhost:{}{path}", self.address.port())).header("authorization", assertion);
        request.body(Full::default()).unwrap()
    }

    /// An admin call as the gateway's admin listener would pass it on.
    pub async fn admin(&self, method: &str, path: &str, body: Value) -> Answer {
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = Request::builder().method(method).uri(format!("/mock/fabric/{path}")).body(Full::new(body)).unwrap();
        let (head, body) = self.fabric.admin(request).await.into_parts();
        let body = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        Answer { status: head.status, headers: head.headers, body }
    }

    /// Waits until an admin read satisfies a condition.
    pub async fn until(&self, path: &str, is_met: impl Fn(&Value) -> bool) {
        let met = async {
            while !is_met(&self.admin("GET", path, Value::Null).await.body) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), met).await.unwrap();
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The claims of an assertion, good for five minutes.
pub fn claims(clock: &Clock, acting: As) -> Value {
    let now = clock.now().as_second();
    let vmm = match acting {
        None => json!({ "administrator": {} }),
        Some((user, role)) => json!({ "on_behalf_of": { "user": user, "user_role": role } }),
    };
    json!({
        "iss": ISSUER, "aud": BASE, "sub": CALLER, "act": { "sub": CALLER, "tid": HOME, "name": "operator@provider.example" },
        "vmm": vmm, "iat": now, "exp": now + 300,
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
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("fabric-{test}"));
    if directory.exists() {
        std::fs::remove_dir_all(&directory).unwrap();
    }
    std::fs::create_dir_all(&directory).unwrap();
    directory.join("fabric.sqlite")
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
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
