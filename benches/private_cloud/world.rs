//! A gateway with a private cloud of so many machines, and one tenant with a hundred of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use steward::clock::Clock;
use steward::config;
use steward::demo::certificates::Certificates;
use steward::pipeline::{Allowances, AssertionSigner};
use steward::policy::watch::PolicySource;
use steward::resource_manager::fabric::{self, Fabric};
use steward::resource_manager::{Key, Store, Trust};
use steward::service::{Service, Setup, assertion_key};
use steward::tls::{self, ReloadingCertificate};
use tokio::sync::{Mutex, watch};

use crate::client::{Answer, Call, Client, call, get};
use crate::signer;

const MACHINES: usize = 100;
const OWN: &str = "api-version=2026-11-01";
const SCVMM: &str = "api-version=2023-10-07";

/// One connection that stays open, as programs keep it.
struct Line {
    authority: String,
    sender: Mutex<http1::SendRequest<Full<Bytes>>>,
}

impl Line {
    async fn open(client: &Client) -> Self {
        let stream = client.connect("localhost", b"http/1.1").await.unwrap();
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(driver);
        Self { authority: client.authority().to_owned(), sender: Mutex::new(sender) }
    }

    async fn send(&self, call: Call) -> Answer {
        let mut sender = self.sender.lock().await;
        sender.ready().await.unwrap();
        let (head, body) = sender.send_request(call.request(Some(&self.authority))).await.unwrap().into_parts();
        Answer { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
    }
}

pub struct World {
    front: Line,
    gateway: Line,
    tenant: String,
    token: String,
    _service: Service,
    _stop: watch::Sender<bool>,
}

impl World {
    pub async fn start(name: &str, machines: u32) -> Self {
        let folder = std::env::temp_dir().join(format!("steward-bench-{}-{name}", std::process::id()));
        std::fs::create_dir_all(folder.join("policies")).unwrap();
        std::fs::write(folder.join("policies/world.toml"), POLICIES).unwrap();
        let clock = Clock::system();
        let certificates = Certificates::ensure(&folder.join("certs"), clock.now()).unwrap();
        let [gateway, front, fabric, admin] = [(); 4].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let port = |socket: &std::net::TcpListener| socket.local_addr().unwrap().port();
        let url = |socket| format!("https://localhost:{}", port(socket));
        let (gateway_url, front_url, fabric_url) = (url(&gateway), url(&front), url(&fabric));
        let (stop, stopping) = watch::channel(false);
        let key = folder.join("assertion.key");
        run_fabric(&folder, &key, &gateway_url, &fabric_url, fabric, machines, &certificates, stopping, &clock).await;
        let text = format!(
            "[gateway]\nauthorities = [{:?}]\ncertificate_file = {:?}\nkey_file = {:?}\n[backend]\nurl = \"https://localhost:1\"\nassertion_key_file = {key:?}\n\
             [policies]\nfolder = {:?}\n[private_cloud]\nfabric_url = {fabric_url:?}\nfabric_trusted_roots_file = {:?}\nlisten = \"127.0.0.1:{}\"\n\
             authorities = [{:?}]\n",
            authority(&gateway_url),
            certificates.server,
            certificates.server_key,
            folder.join("policies"),
            certificates.ca,
            port(&front),
            authority(&front_url),
        );
        let mut config = config::parse(&folder, "bench", &text).unwrap_or_else(|wrong| panic!("{}", wrong.render(Default::default())));
        config.throttling = Allowances::UNBOUNDED;
        let policies = PolicySource::Folder(folder.join("policies"));
        let setup = Setup { config, gateway, admin, front: Some(front), policies, demo_issuer: None, extra: None, clock };
        let service = Service::start(setup).await.unwrap();
        let gateway = Line::open(&Client::new(&gateway_url, &certificates.ca)).await;
        let front = Line::open(&Client::new(&front_url, &certificates.ca)).await;
        let (tenant, token) = sign_up(&front).await;
        let world = Self { front, gateway, tenant, token, _service: service, _stop: stop };
        world.deploy().await;
        world
    }

    /// A hundred machines, one page.
    pub async fn list(&self, way: &str) {
        let tenant = &self.tenant;
        let (line, call) = match way {
            "odata" => {
                let filter = format!("UserRoleID%20eq%20guid'{tenant}'");
                let path = format!("/SC2012R2/VMM/Microsoft.Management.Odata.svc/VirtualMachines?$filter={filter}&$top={MACHINES}");
                (&self.front, get(path).header("accept", "application/json"))
            }
            _ => (&self.gateway, get(format!("/subscriptions/{tenant}/providers/Microsoft.ScVmm/virtualMachineInstances?{SCVMM}"))),
        };
        let answer = self.send(line, call).await;
        let document = answer.json();
        let found = document.pointer("/d/results").or_else(|| document.get("value")).and_then(Value::as_array).map(Vec::len);
        assert_eq!(found, Some(MACHINES), "{}", answer.told());
    }

    async fn deploy(&self) {
        for number in 0..MACHINES {
            let path = format!(
                "/subscriptions/{}/resourceGroups/cloud-1/providers/Microsoft.HybridCompute/machines/vm-{number}/providers/Microsoft.ScVmm/virtualMachineInstances/default?{SCVMM}",
                self.tenant
            );
            let body = json!({ "properties": { "infrastructureProfile": { "templateId": "ubuntu-24.04" } } });
            let answer = self.send(&self.gateway, call("PUT", path).json(&body)).await;
            assert_eq!(answer.status, 201, "{}", answer.told());
        }
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        let path = format!("/subscriptions/{}/providers/Steward.PrivateCloud/tenants/{}?{OWN}", self.tenant, self.tenant);
        loop {
            let answer = self.send(&self.gateway, get(path.as_str())).await.json();
            if answer.pointer("/properties/used/virtualMachines").and_then(Value::as_u64) == Some(MACHINES as u64) {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "the machines were not made in time: {answer}");
        }
    }

    async fn send(&self, line: &Line, call: Call) -> Answer {
        line.send(call.bearer(&self.token)).await
    }
}

async fn sign_up(front: &Line) -> (String, String) {
    let issuer = json!({ "name": "https://login.bench.example/", "keys": signer::key_set() });
    let administrator = json!({ "name": "Bench", "identity": "bench@bench.example" });
    let account = json!({ "organisation": "Bench", "administrator": administrator, "issuer": issuer, "planId": "bench" });
    let answer = front.send(call("POST", "/accounts").json(&account)).await;
    assert_eq!(answer.status, 201, "{}", answer.told());
    let made = answer.json();
    let text = |pointer: &str| made.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    let mut claims = signer::claims();
    for (name, value) in [
        ("iss", "https://login.bench.example/".to_owned()),
        ("tid", text("/tenantId")),
        ("oid", text("/administrator/objectId")),
        ("upn", "bench@bench.example".to_owned()),
    ] {
        claims[name] = json!(value);
    }
    (text("/subscriptionId"), signer::signed(&claims))
}

#[expect(clippy::too_many_arguments, reason = "each is one thing that a fabric is started with")]
async fn run_fabric(
    folder: &Path,
    key: &Path,
    gateway: &str,
    url: &str,
    socket: std::net::TcpListener,
    machines: u32,
    certificates: &Certificates,
    stop: watch::Receiver<bool>,
    clock: &Clock,
) {
    let signer = AssertionSigner::new(&assertion_key(key).unwrap(), gateway.to_owned(), url.to_owned()).unwrap();
    let keys = vec![Key { kid: signer.key_id(), public_key: *signer.public_key() }];
    let fabric = Fabric::open(fabric::Config {
        trust: Trust { issuer: gateway.to_owned(), audience: url.to_owned(), keys },
        store: Store::File(PathBuf::from(folder).join("fabric.sqlite")),
        seed: Some(fabric::Seed::large(5, machines)),
        operation_time: Duration::from_millis(1),
        clock: clock.clone(),
    });
    let fabric: Arc<Fabric> = fabric.await.unwrap();
    let tls = ReloadingCertificate::load(&certificates.server, &certificates.server_key).unwrap();
    let tls = tls::server_config(Arc::new(tls)).unwrap();
    socket.set_nonblocking(true).unwrap();
    tokio::spawn(fabric.run(tokio::net::TcpListener::from_std(socket).unwrap(), tls, stop));
}

fn authority(url: &str) -> &str {
    url.trim_start_matches("https://")
}

const POLICIES: &str = r#"
[[tenant]]
key = "operator"
id = "0b5c0000-1000-4000-8000-000000000001"
name = "Operator"

[[subscription]]
id = "0b5c0000-5000-4000-8000-000000000001"
name = "fabric"
tenant = "operator"

[[private_cloud]]
subscription = "fabric"
sign_up = "open"

[[plan]]
key = "bench"
name = "Bench"
description = "A hundred machines."
visibility = "public"
services = ["virtual_machines"]
clouds = ["cloud-1"]
templates = ["ubuntu-24.04"]
networks = []
quota = { virtual_machines = 200 }
"#;
