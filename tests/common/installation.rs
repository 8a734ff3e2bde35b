//! The whole demo in this process, with a few customers more than it ships with.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;
use steward::demo::ports::Ports;
use steward::demo::{Demo, Options};
use steward::issuer::Mint;
use steward::pipeline::Allowances;

use super::client::{Answer, Call, Client, call, get, plain};
pub use super::folders::empty_folder;
use super::signer;

/// Customers whose subscriptions are disabled, frozen, suspended or over.
const MORE: &str = include_str!("more.toml");

/// The demo, reachable by its clients.
pub struct Installation {
    pub demo: Demo,
    pub client: Client,
    pub folder: PathBuf,
}

/// One installation for all tests that leave it as they found it. It lives on a runtime of its own, since each test has another.
pub static SHARED: LazyLock<Installation> = LazyLock::new(|| Installation::lasting("shared"));

impl Installation {
    /// An installation for several tests.
    pub fn lasting(name: &'static str) -> Self {
        let (ready, started) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            ready.send(runtime.block_on(Self::start(name))).unwrap();
            runtime.block_on(std::future::pending::<()>());
        });
        started.recv().unwrap()
    }

    /// A fresh demo in a folder of its own below the target folder.
    pub async fn start(name: &str) -> Self {
        let folder = empty_folder(name);
        let options = Options {
            ports: Ports::Auto,
            folder: folder.join("state"),
            certificates: certificates(),
            policies: Some(policies(&folder.join("policies"))),
            describe: None,
            fresh: false,
            // Many tests ask one installation in the name of the same people.
            throttling: Some(Allowances::UNBOUNDED),
        };
        let demo = Demo::start(&options).await.unwrap();
        let client = Client::new(&demo.world.gateway, &demo.world.ca);
        Self { demo, client, folder }
    }

    /// An access token for Azure Resource Manager.
    pub async fn token(&self, identity: &str) -> String {
        self.mint(identity, "https://management.azure.com/", None, Duration::ZERO).await
    }

    pub async fn mint(&self, identity: &str, audience: &str, lifetime: Option<Duration>, age: Duration) -> String {
        self.demo.issuer().mint(identity, &Mint { audience: audience.to_owned(), lifetime, age }).await.unwrap()
    }

    /// Sends with a token of this identity.
    pub async fn ask(&self, identity: &str, call: Call) -> Answer {
        let token = self.token(identity).await;
        self.client.send(call.bearer(&token)).await
    }

    /// `/subscriptions/{id}` of the subscription with this name.
    pub fn subscription(&self, name: &str) -> String {
        format!("/subscriptions/{}", self.demo.world.subscriptions[name].id)
    }

    /// What the gateway says of the reader to a backend, and what nobody else may say.
    pub fn said_of_the_reader(&self) -> Vec<(&'static str, String)> {
        let world = &self.demo.world;
        let reader = &world.identities["reader"];
        let (tenant, object) = (world.tenants[&reader.tenant].id.to_string(), reader.object_id.to_string());
        vec![
            ("x-ms-client-tenant-id", tenant.clone()),
            ("x-ms-home-tenant-id", tenant),
            ("x-ms-client-object-id", object.clone()),
            ("x-ms-client-principal-id", object),
            ("x-ms-client-principal-name", "Reporting automation".to_owned()),
            ("x-ms-client-principal-type", "Application".to_owned()),
            ("x-ms-client-app-id-acr", "1".to_owned()),
            ("x-ms-client-audience", "https://management.azure.com/".to_owned()),
            ("x-ms-client-authorization-source", "RoleBased".to_owned()),
            ("x-ms-client-ip-address", "127.0.0.1".to_owned()),
        ]
    }

    /// Asks the admin listener.
    pub async fn admin(&self, call: Call) -> Answer {
        plain(&self.demo.world.admin, call).await
    }

    /// The request that reached the mock for this answer, if one did.
    pub async fn forwarded(&self, answer: &Answer) -> Option<Value> {
        let journal = self.admin(get("/mock/requests")).await.json();
        let is_it = |request: &&Value| headers_of(request, "x-ms-arm-request-tracking-id") == [answer.request_id()];
        journal["requests"].as_array().unwrap().iter().find(is_it).cloned()
    }

    /// Orders a fault of the mock.
    pub async fn fault(&self, fault: &Value) {
        let answer = self.admin(call("POST", "/mock/faults").json(fault)).await;
        assert_eq!(answer.status, 201, "{:?}", answer.body);
    }

    /// The decision record of an answer.
    pub async fn record(&self, answer: &Answer) -> Value {
        self.admin(get(format!("/api/records/{}", answer.request_id()))).await.json()
    }
}

/// All values of a header in a journal entry.
pub fn headers_of<'a>(request: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = request["headers"].as_array().unwrap().iter();
    headers.filter(|pair| pair[0] == name).map(|pair| pair[1].as_str().unwrap()).collect()
}

/// Certificates are made once for all tests of this binary: every installation answers to `localhost`.
pub fn certificates() -> PathBuf {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = empty_folder("certs");
        steward::demo::certificates::Certificates::ensure(&folder, steward::clock::Clock::system().now()).unwrap();
        folder
    });
    FOLDER.clone()
}

/// A copy of the policies that ship with the program, and more customers.
pub fn policies(into: &Path) -> PathBuf {
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies"), into);
    std::fs::write(into.join("more.toml"), MORE).unwrap();
    std::fs::write(into.join("own-keys.json"), signer::key_set().to_string()).unwrap();
    into.to_owned()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
