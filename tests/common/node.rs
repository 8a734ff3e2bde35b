//! `steward serve` as a process that is killed, stopped and woken, in a world of one provider and one customer whose key the test holds.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use steward::clock::Clock;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{Answer, Call, PATIENCE, get, plain};
pub use crate::folders::empty_folder;
use crate::signer;

/// The tenant that manages.
pub const PROVIDER: &str = signer::LYNX;
/// The tenant that delegates; [`owner`] owns all of it.
pub const CUSTOMER: &str = signer::MARTEN;

pub const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
pub const VM_CONTRIBUTOR: &str = "9980e02c-c2be-4d73-94e8-173b1dc7cf3c";

/// All records are read at each start: few of them make a start fast, and short segments are closed and removed under the kills.
const RECORD_BYTES_MAX: u64 = 4 << 20;
/// Requests of a caller: these tests are about other limits.
pub const VAST: u32 = 1_000_000_000;
/// The exit code of a gateway that did not reach its store, or whose address others have.
pub const UNREACHABLE: i32 = 5;
/// How often a state that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A GUID of the test's own.
pub fn guid(kind: u16, group: u16, number: u32) -> String {
    format!("{number:08x}-{kind:04x}-4000-8000-{group:012x}")
}

/// `/subscriptions/{id}` of one of the customer's subscriptions.
pub fn subscription(number: u16) -> String {
    format!("/subscriptions/{}", guid(1, 0, number.into()))
}

/// A token of a principal of a tenant.
pub fn token(tenant: &str, object: &str) -> String {
    let mut claims = signer::claims();
    claims["iss"] = format!("https://own.example/{tenant}/").into();
    for (name, value) in [("tid", tenant), ("oid", object), ("sub", object)] {
        claims[name] = value.into();
    }
    signer::signed(&claims)
}

/// A token of who owns the customer's subscriptions.
pub fn owner() -> String {
    token(CUSTOMER, &owner_id())
}

fn owner_id() -> String {
    guid(2, 0, 1)
}

/// The body of a registration definition.
pub fn offer(name: &str, description: &str, authorizations: &Value, eligible: &Value) -> Value {
    json!({ "properties": {
        "registrationDefinitionName": name,
        "description": description,
        "managedByTenantId": PROVIDER,
        "authorizations": authorizations,
        "eligibleAuthorizations": eligible,
    } })
}

fn policies(subscriptions: u16) -> String {
    let mut text = format!(
        "[[issuer]]\nkey = 'own'\nkind = 'file'\npath = 'own-keys.json'\nnames = ['https://own.example/{{tenant}}/']\n\
         authority = 'https://own.example/{{tenant}}'\nalgorithms = ['EdDSA']\n\
         [[tenant]]\nkey = 'provider'\nid = '{PROVIDER}'\nname = 'Provider'\nissuer = 'own'\n\
         [[tenant]]\nkey = 'customer'\nid = '{CUSTOMER}'\nname = 'Customer'\nissuer = 'own'\n\
         [[management_group]]\nname = 'root'\ntenant = 'customer'\n\
         [[role_assignment]]\nwho = '{}'\nrole = 'Owner'\nscope = 'root'\n",
        owner_id()
    );
    for number in 0..subscriptions {
        let id = guid(1, 0, number.into());
        text.push_str(&format!("[[subscription]]\nid = '{id}'\nname = 's{number}'\ntenant = 'customer'\nmanagement_group = 'root'\n"));
    }
    text
}

/// A gateway, running or not. It ends with the test.
#[derive(Debug)]
pub struct Node {
    pub folder: PathBuf,
    pub address: SocketAddr,
    /// What it logs, as `--log` takes it.
    pub logs: &'static str,
    admin: String,
    process: Option<Child>,
}

impl Node {
    /// The files of a gateway that was not started yet.
    pub fn new(name: &str, subscriptions: u16, backend: &str, store: &str) -> Self {
        let folder = empty_folder(name);
        std::fs::create_dir(folder.join("policies")).unwrap();
        std::fs::write(folder.join("policies/world.toml"), policies(subscriptions)).unwrap();
        std::fs::write(folder.join("policies/own-keys.json"), signer::key_set().to_string()).unwrap();
        let [address, admin] = free_addresses();
        let config = format!(
            "[gateway]\nlisten = \"{address}\"\nworkers = 2\ndrain_time_ms_max = 2000\n[admin]\nlisten = \"{admin}\"\n\
             [backend]\nurl = {backend:?}\n[records]\nbytes_max = {RECORD_BYTES_MAX}\n[store]\nurl = {store:?}\n\
             [throttling]\nreads_at_once = {VAST}\nreads_per_s = {VAST}\nwrites_at_once = {VAST}\nwrites_per_s = {VAST}\n\
             deletes_at_once = {VAST}\ndeletes_per_s = {VAST}\n"
        );
        std::fs::write(folder.join("steward.toml"), config).unwrap();
        Self { folder, address, logs: "warn", admin: format!("http://{admin}"), process: None }
    }

    /// Starts the process; it may not serve yet.
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log")).unwrap();
        let mut command = Command::new(program());
        command
            .args(["serve", "--log", self.logs])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.process = Some(command.spawn().unwrap());
    }

    /// Starts the process and waits until it serves.
    pub async fn started(&mut self) {
        self.start();
        self.ready().await;
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().unwrap();
        process.wait().unwrap();
    }

    pub fn signal(&self, name: &str) {
        let id = self.process.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success(), "{name}");
    }

    /// Ends it in order.
    pub async fn terminated(&mut self) {
        self.signal("TERM");
        let mut process = self.process.take().expect("it runs");
        let status = eventually("the gateway ends", async || process.try_wait().unwrap()).await;
        assert!(status.success(), "{status}; {}", self.log());
    }

    /// Waits until it says that it is ready. One that did not reach its database in the time of a start is started again, as a service
    /// manager would.
    pub async fn ready(&mut self) {
        let mut admin = Wire { address: self.admin.trim_start_matches("http://").parse().unwrap(), sender: None };
        eventually("the gateway is ready", async || {
            if let Some(ended) = self.process.as_mut().and_then(|process| process.try_wait().unwrap()) {
                assert_eq!(ended.code(), Some(UNREACHABLE), "the gateway ended: {ended} {}", self.log());
                self.process = None;
                self.start();
            }
            let answer = admin.ask(get("/readyz")).await.ok()?;
            (answer.status == 200).then_some(())
        })
        .await;
    }

    pub async fn admin(&self, call: Call) -> Answer {
        plain(&self.admin, call).await
    }

    /// A connection that is kept.
    pub fn wire(&self) -> Wire {
        Wire { address: self.address, sender: None }
    }

    /// Runs another command of the program in its folder.
    pub fn run(&self, arguments: &[&str]) -> Output {
        Command::new(program()).args(arguments).current_dir(&self.folder).stdin(Stdio::null()).output().unwrap()
    }

    /// What it printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // A stopped process is killed as well; it may have ended by itself.
            let _killed = process.kill().is_ok();
            let _reaped = process.wait().is_ok();
        }
    }
}

/// What became of a request that got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// Nobody can have seen it.
    NotSent,
    /// Somebody may have carried it out.
    Lost,
}

/// One connection to a gateway in clear text, made when it is needed and kept.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Wire {
    /// A connection to another listener than the gateway's own.
    pub const fn to(address: SocketAddr) -> Self {
        Self { address, sender: None }
    }

    pub async fn ask(&mut self, call: Call) -> Result<Answer, Unanswered> {
        let shown = format!("{} {}", call.method, call.target);
        timeout(PATIENCE, self.try_ask(call)).await.unwrap_or_else(|_late| panic!("{shown}: no answer within {PATIENCE:?}"))
    }

    async fn try_ask(&mut self, call: Call) -> Result<Answer, Unanswered> {
        let authority = format!("localhost:{}", self.address.port());
        let mut sender = self.connected().await.ok_or(Unanswered::NotSent)?;
        let answered = sender.send_request(call.request(Some(&authority))).await;
        let response = answered.map_err(|error| if error.is_canceled() { Unanswered::NotSent } else { Unanswered::Lost })?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|_cut| Unanswered::Lost)?.to_bytes();
        self.sender = Some(sender);
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    async fn connected(&mut self) -> Option<SendRequest<Full<Bytes>>> {
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            return Some(sender);
        }
        let stream = TcpStream::connect(self.address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        // It ends when its sender is dropped.
        tokio::spawn(connection);
        Some(sender)
    }
}

/// The path and query of a URL.
pub fn path_of(url: &str) -> String {
    let (_authority, path) = url.split_once("//").unwrap().1.split_once('/').unwrap();
    format!("/{path}")
}

/// Looks until there is something to see.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Clock::instant();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: not within {} s", PATIENCE.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Says what was measured, to whoever runs the test: it is written past the capture of the test harness, which has macros only.
pub fn measured(text: std::fmt::Arguments<'_>) {
    writeln!(std::io::stdout().lock(), "measured: {text}").unwrap();
}

/// A number that makes a run shorter or longer than it is by default.
pub fn setting(name: &str, default: u32) -> u32 {
    let given = std::env::vars().find(|(known, _)| known == name);
    given.map_or(default, |(_, value)| value.parse().unwrap_or_else(|cause| panic!("{name}: {cause}")))
}

/// The program: the one that `STEWARD_BIN` names, such as an optimised one, or that of this build.
pub fn program() -> PathBuf {
    std::env::var_os("STEWARD_BIN").map_or_else(|| env!("CARGO_BIN_EXE_steward").into(), PathBuf::from)
}

/// Two addresses that were free a moment ago.
fn free_addresses() -> [SocketAddr; 2] {
    [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap()).map(|listener| listener.local_addr().unwrap())
}
