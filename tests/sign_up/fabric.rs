//! The fabric: in this process, where it survives the gateway, or in one of its own, which is killed with it.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use steward::clock::Clock;
use steward::demo::certificates::Certificates;
use steward::https::{self, Drained};
use steward::pipeline::AssertionSigner;
use steward::resource_manager::fabric::{Config, Fabric, Seed};
use steward::resource_manager::{Key, Store, Trust};
use steward::service::assertion_key;
use steward::tls::{self, ReloadingCertificate};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::client::{Answer, Call, Client, call, get, plain};
use crate::node::eventually;

const PLACE: &str = "STEWARD_TEST_FABRIC";
/// What a job takes. Moves take none.
const OPERATION_TIME: Duration = Duration::from_millis(20);

/// Where a fabric is and whom it trusts.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Place {
    folder: PathBuf,
    gateway: String,
    address: SocketAddr,
    admin: SocketAddr,
}

/// A fabric that can be started again where it was.
pub struct FabricHost {
    place: Place,
    client: Client,
    runs: Runs,
}

enum Runs {
    Not,
    /// It ends with this value, and is not killed.
    Here(watch::Sender<bool>, JoinSet<()>),
    /// It ends when its input does.
    Apart(Child),
}

#[test]
#[ignore = "the process that `kills` kills"]
fn serves_until_it_is_killed() {
    let place = std::env::vars().find(|(name, _)| name == PLACE).unwrap().1;
    let place: Place = serde_json::from_str(&place).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (_stop, stopped) = watch::channel(false);
    let _servers = runtime.block_on(place.serve(&stopped));
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

impl Place {
    fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    fn signer(&self) -> (Vec<u8>, AssertionSigner) {
        let pkcs8 = assertion_key(&self.folder.join("assertion.key")).unwrap();
        let signer = AssertionSigner::new(&pkcs8, self.gateway.clone(), self.url()).unwrap();
        (pkcs8, signer)
    }

    async fn serve(&self, stopped: &watch::Receiver<bool>) -> JoinSet<()> {
        let (_, signer) = self.signer();
        let key = Key { kid: signer.key_id(), public_key: *signer.public_key() };
        let config = Config {
            trust: Trust { issuer: self.gateway.clone(), audience: self.url(), keys: vec![key] },
            store: Store::File(self.folder.join("fabric.sqlite")),
            seed: Some(Seed::demo()),
            operation_time: OPERATION_TIME,
            clock: Clock::system(),
        };
        let fabric = Fabric::open(config).await.unwrap();
        let certificates = certificates(&self.folder);
        let certificate = ReloadingCertificate::load(&certificates.server, &certificates.server_key).unwrap();
        let tls = tls::server_config(Arc::new(certificate)).unwrap();
        let admin = TcpListener::bind(self.admin).await.unwrap();
        let listener = TcpListener::bind(self.address).await.unwrap();
        let mut servers = JoinSet::new();
        let (served, stop) = (Arc::clone(&fabric), stopped.clone());
        servers.spawn(async move {
            let _drained: Drained = served.run(listener, tls, stop).await;
        });
        let handler = move |request, _connection| {
            let fabric = Arc::clone(&fabric);
            async move { fabric.admin(request).await }
        };
        let stop = stopped.clone();
        servers.spawn(async move {
            let _drained: Drained = https::serve(admin, None, https::Limits::default(), stop, handler).await;
        });
        servers
    }
}

fn certificates(folder: &Path) -> Certificates {
    Certificates::ensure(&folder.join("certs"), Clock::system().now()).unwrap()
}

impl FabricHost {
    /// One that does not run yet, in the folder of the gateway with this base URL.
    pub fn new(folder: &Path, gateway: String) -> Self {
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (one, other) = (free(), free());
        let (address, admin) = (one.local_addr().unwrap(), other.local_addr().unwrap());
        let place = Place { folder: folder.to_owned(), gateway, address, admin };
        let client = Client::new(&place.url(), &certificates(folder).ca);
        Self { place, client, runs: Runs::Not }
    }

    /// What the gateway has to be told.
    pub fn section(&self) -> String {
        format!("[private_cloud]\nfabric_url = {:?}\nfabric_trusted_roots_file = \"certs/ca.pem\"\n", self.place.url())
    }

    pub async fn start_here(&mut self) {
        let (stop, stopped) = watch::channel(false);
        self.runs = Runs::Here(stop, self.place.serve(&stopped).await);
    }

    pub async fn start_apart(&mut self) {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.place.folder.join("fabric.log")).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "fabric::serves_until_it_is_killed", "--ignored"]);
        command.env(PLACE, serde_json::to_string(&self.place).unwrap());
        let child = command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.runs = Runs::Apart(child);
        let admin = self.place.admin;
        eventually("the fabric serves", async || tokio::net::TcpStream::connect(admin).await.ok()).await;
    }

    /// Whether it dies with the gateway.
    pub const fn is_apart(&self) -> bool {
        matches!(self.runs, Runs::Apart(_))
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        let Runs::Apart(mut child) = std::mem::replace(&mut self.runs, Runs::Not) else { panic!("it runs in a process of its own") };
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends it in order.
    pub async fn stop(&mut self) {
        if let Runs::Here(stop, mut servers) = std::mem::replace(&mut self.runs, Runs::Not) {
            stop.send_replace(true);
            while servers.join_next().await.is_some() {}
        }
    }

    pub async fn admin(&self, call: Call) -> Answer {
        plain(&format!("http://{}", self.place.admin), call).await
    }

    /// Orders a fault for one request.
    pub async fn fault(&self, method: &str, prefix: &str, effect: (&str, Value)) {
        let mut fault = json!({ "method": method, "path_prefix": prefix });
        fault[effect.0] = effect.1;
        let answer = self.admin(call("POST", "/mock/fabric/faults").json(&fault)).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
    }

    pub async fn release(&self) {
        assert_eq!(self.admin(call("DELETE", "/mock/fabric/faults")).await.status, 200);
    }

    /// Waits until a request is held.
    pub async fn held(&self) {
        eventually("a request is held by the fabric", async || {
            let told = self.admin(get("/mock/fabric/faults")).await.json();
            told["faults"].as_array().unwrap().iter().any(|fault| fault["held"] == 1).then_some(())
        })
        .await;
    }

    /// The number of the last request, and the paths of what was answered after this number.
    pub async fn journal(&self, method: &str, after: i64) -> (i64, Vec<String>) {
        let told = self.admin(get("/mock/fabric/journal")).await.json();
        let requests = told["requests"].as_array().unwrap();
        let number = |request: &Value| request["number"].as_i64().unwrap();
        let wanted = |request: &&Value| number(request) > after && request["method"] == method && request["status"].is_number();
        let paths = requests.iter().filter(wanted).map(|request| request["path"].as_str().unwrap().to_owned()).collect();
        (requests.last().map_or(-1, number), paths)
    }

    /// Asks as the administrator, over TLS; nothing when it is away.
    pub async fn ask(&self, path: &str) -> Option<Value> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let call = get(format!("{path}?{query}")).bearer(&self.assertion());
        let answer = self.client.try_send("localhost", call).await.ok()?;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        Some(answer.json())
    }

    fn assertion(&self) -> String {
        let (pkcs8, signer) = self.place.signer();
        let now = Clock::system().now().as_second();
        let nobody = "00000000-0000-0000-0000-000000000000";
        let claims = json!({
            "iss": self.place.gateway, "aud": self.place.url(), "sub": nobody, "tid": nobody,
            "act": { "sub": nobody, "tid": nobody, "name": "the test" }, "scp": "/",
            "vmm": { "administrator": {} }, "iat": now, "exp": now + 60,
        });
        let header = json!({ "alg": "EdDSA", "typ": "JWT", "kid": signer.key_id() });
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).unwrap();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(pair.sign(text.as_bytes()).as_ref()))
    }
}

impl Drop for FabricHost {
    fn drop(&mut self) {
        if let Runs::Apart(child) = &mut self.runs {
            let _killed = child.kill().is_ok();
            let _reaped = child.wait().is_ok();
        }
    }
}
