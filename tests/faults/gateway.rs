//! `steward serve` over TLS as a process, in a world of one provider, one customer and one stranger.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal};
use steward::clock::Clock;
use steward::demo::certificates::Certificates;

use crate::client::{Answer, Call, Client, get};
use crate::machine::Machine;
use crate::node::{CUSTOMER, PROVIDER, Unanswered, VAST, Wire, empty_folder, eventually, guid, program};

/// Who owns the customer's subscriptions, reads the first of them, reads it as well by a file of its own, and read the second one once.
pub const OWNER: u16 = 1;
pub const READER: u16 = 2;
pub const OTHER_READER: u16 = 3;
pub const FORMER_READER: u16 = 4;

/// All records are read at each start: few of them make a start fast.
const RECORD_BYTES_MAX: u64 = 4 << 20;
/// As many backend answers are waited for as clients of these tests have patience for.
const BACKEND: &str = "connect_time_ms_max = 1000\nfirst_byte_time_ms_max = 1000\nanswer_idle_time_ms_max = 2000";
/// The customer's subscriptions.
const SUBSCRIPTIONS: u16 = 2;

/// The subscription of somebody who delegates nothing.
pub fn foreign() -> String {
    format!("/subscriptions/{}", guid(1, 1, 0))
}

/// The object id of one of those above.
pub fn principal(number: u16) -> String {
    guid(2, 0, number.into())
}

/// A gateway, running or not. It ends with the test.
#[derive(Debug)]
pub struct Gateway {
    pub folder: PathBuf,
    pub address: SocketAddr,
    pub client: Client,
    pub machine: Machine,
    admin: SocketAddr,
    /// Whether it runs on a machine that can be told things.
    is_told: bool,
    process: Option<Child>,
}

impl Gateway {
    /// The files of a gateway that was not started yet.
    pub fn new(name: &str, backend: SocketAddr, issuer: SocketAddr, store: &str, is_told: bool) -> Self {
        let folder = empty_folder(name);
        std::fs::create_dir(folder.join("policies")).unwrap();
        std::fs::write(folder.join("policies/world.toml"), world(issuer)).unwrap();
        std::fs::write(folder.join("policies/other.toml"), OTHER).unwrap();
        let [old, new] = &*CERTIFICATES;
        let roots = [old, new].map(|made| std::fs::read_to_string(&made.ca).unwrap()).concat();
        std::fs::write(folder.join("roots.pem"), roots).unwrap();
        std::fs::copy(&old.server, folder.join("server.pem")).unwrap();
        std::fs::copy(&old.server_key, folder.join("server.key")).unwrap();
        let [address, admin] = free_addresses();
        let config = format!(
            "[gateway]\nlisten = \"{address}\"\nworkers = 2\ndrain_time_ms_max = 5000\ncertificate_file = \"server.pem\"\n\
             key_file = \"server.key\"\n[admin]\nlisten = \"{admin}\"\n[backend]\nurl = \"http://{backend}\"\n{BACKEND}\n\
             [records]\nbytes_max = {RECORD_BYTES_MAX}\n[store]\nurl = {store:?}\n\
             [throttling]\nreads_at_once = {VAST}\nreads_per_s = {VAST}\nwrites_at_once = {VAST}\nwrites_per_s = {VAST}\n"
        );
        std::fs::write(folder.join("steward.toml"), config).unwrap();
        let client = Client::new(&format!("https://localhost:{}", address.port()), &folder.join("roots.pem"));
        let machine = Machine::new(&folder);
        Self { folder, address, client, machine, admin, is_told, process: None }
    }

    /// Starts the process; it may not serve yet.
    pub fn start(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.join("log")).unwrap();
        let mut command = Command::new(program());
        command.arg("serve").current_dir(&self.folder).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        if self.is_told {
            self.machine.carry(&mut command);
        }
        self.process = Some(command.spawn().unwrap());
    }

    /// Waits until it says that it is ready.
    pub async fn ready(&mut self) {
        eventually("the gateway is ready", async || {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().unwrap());
            assert_eq!(ended, None, "the gateway ended: {}", self.log());
            self.admin(get("/readyz")).await.ok().filter(|answer| answer.status == 200)
        })
        .await;
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.id(), signal).unwrap();
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("it runs");
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        eventually("the gateway ends", async || process.try_wait().unwrap()).await
    }

    /// Leaves it this many file descriptors, or as many as the machine gives.
    pub fn descriptors(&self, most: Option<u64>) {
        let pid = Some(self.id());
        let whole = rustix::process::getrlimit(Resource::Nofile);
        let limit = Rlimit { current: most.or(whole.maximum), maximum: whole.maximum };
        rustix::process::prlimit(pid, Resource::Nofile, limit).unwrap();
    }

    fn id(&self) -> Pid {
        let id = self.process.as_ref().expect("it runs").id();
        Pid::from_raw(id.cast_signed()).unwrap()
    }

    pub async fn admin(&self, call: Call) -> Result<Answer, Unanswered> {
        Wire::to(self.admin).ask(call).await
    }

    /// Runs another command of the program in its folder.
    pub fn run(&self, arguments: &[&str]) -> Output {
        Command::new(program()).args(arguments).current_dir(&self.folder).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs one that has to succeed.
    pub fn done(&self, arguments: &[&str]) {
        let done = self.run(arguments);
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// What it printed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Puts a file in the place of another in one step, as deployments do.
    pub fn replace(&self, name: &str, text: &str) {
        let beside = self.folder.join("replacement.tmp");
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, self.folder.join(name)).unwrap();
    }

    /// The certificate and the key that follow the present ones, as PEM.
    pub fn next_certificate() -> [String; 2] {
        let [_old, new] = &*CERTIFICATES;
        [&new.server, &new.server_key].map(|path| std::fs::read_to_string(path).unwrap())
    }

    /// The certificate that it shows.
    pub async fn shown(&self) -> Option<Vec<u8>> {
        let connected = tokio::time::timeout(Duration::from_secs(1), self.client.connect("localhost", b"http/1.1")).await;
        let stream = connected.ok()?.ok()?;
        Some(stream.get_ref().1.peer_certificates()?.first()?.to_vec())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // A stopped process is killed as well; it may have ended by itself.
            let _killed = process.kill().is_ok();
            let _reaped = process.wait().is_ok();
        }
    }
}

/// Two of different authorities: what is served first, and what replaces it.
static CERTIFICATES: LazyLock<[Certificates; 2]> = LazyLock::new(|| {
    ["old", "new"].map(|name| Certificates::ensure(&empty_folder(&format!("certificates-{name}")), Clock::system().now()).unwrap())
});

fn free_addresses() -> [SocketAddr; 2] {
    [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap()).map(|listener| listener.local_addr().unwrap())
}

/// Gives the other reader what it has.
pub const OTHER: &str = "[[delegation]]\noffer = 'Second look'\nmanaging_tenant = 'provider'\nscopes = ['s1']\n\
     [[delegation.authorization]]\nwho = 'other-reader'\nrole = 'Reader'\n";

fn world(issuer: SocketAddr) -> String {
    let people = [(READER, "reader"), (OTHER_READER, "other-reader"), (FORMER_READER, "former-reader")];
    let people = people
        .map(|(number, key)| format!("[[service_principal]]\nkey = '{key}'\nobject_id = '{}'\ntenant = 'provider'\n", principal(number)));
    let subscriptions: String = (0..SUBSCRIPTIONS)
        .map(|number| {
            let id = guid(1, 0, number.into());
            format!("[[subscription]]\nid = '{id}'\nname = 's{number}'\ntenant = 'customer'\nmanagement_group = 'root'\n")
        })
        .collect();
    format!(
        "[[issuer]]\nkey = 'own'\nkind = 'jwks'\nurl = 'http://{issuer}/keys'\nnames = ['https://own.example/{{tenant}}/']\n\
         authority = 'https://own.example/{{tenant}}'\nalgorithms = ['EdDSA']\n\
         [[tenant]]\nkey = 'provider'\nid = '{PROVIDER}'\nname = 'Provider'\nissuer = 'own'\n\
         [[tenant]]\nkey = 'customer'\nid = '{CUSTOMER}'\nname = 'Customer'\nissuer = 'own'\n\
         [[tenant]]\nkey = 'stranger'\nid = '{}'\nname = 'Stranger'\n\
         [[management_group]]\nname = 'root'\ntenant = 'customer'\n\
         [[role_assignment]]\nwho = '{}'\nrole = 'Owner'\nscope = 'root'\n\
         {}{subscriptions}\
         [[subscription]]\nid = '{}'\nname = 'foreign'\ntenant = 'stranger'\n\
         [[delegation]]\noffer = 'Look'\nmanaging_tenant = 'provider'\nscopes = ['s0']\n\
         [[delegation.authorization]]\nwho = 'reader'\nrole = 'Reader'\n",
        guid(9, 9, 9),
        principal(OWNER),
        people.concat(),
        guid(1, 1, 0),
    )
}
