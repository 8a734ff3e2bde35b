//! A private PostgreSQL server: its own folder, its own port on loopback, gone with the test. It really writes to the disk, and can be
//! killed.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use steward::clock::Clock;

/// For anything the server does.
const DEADLINE: Duration = Duration::from_secs(60);
/// Debian makes it with the package; the server does not run as root.
const ACCOUNT: &str = "postgres";
const PASSWORD: &str = "not-a-secret-of-anyone";

/// A server.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    port: u16,
    settings: Vec<String>,
    server: Option<Server>,
}

/// The server's process, and a shell that ends it when ours does not get there.
#[derive(Debug)]
struct Server {
    postmaster: Child,
    watchdog: Child,
}

/// The cluster of all tests in this process that do nothing to the server itself.
static SHARED: tokio::sync::Mutex<Weak<Cluster>> = tokio::sync::Mutex::const_new(Weak::new());

impl Cluster {
    /// A server that others use too; it ends with its last user.
    pub async fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().await;
        if let Some(cluster) = shared.upgrade() {
            return cluster;
        }
        let cluster = Arc::new(Self::start(&[]));
        *shared = Arc::downgrade(&cluster);
        cluster
    }

    /// A server of one's own, with `name=value` settings.
    pub fn start(settings: &[&str]) -> Self {
        Self::start_in(new_folder(), settings)
    }

    /// The same in a folder from [`new_folder`], for settings that name files in it.
    pub fn start_in(folder: PathBuf, settings: &[&str]) -> Self {
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let mut cluster = Self { port: 0, folder, settings, server: None };
        let password_file = cluster.folder.join("password");
        std::fs::write(&password_file, PASSWORD).unwrap();
        give_to_account(&password_file);
        let mut initdb = as_account(&program("initdb"));
        initdb.arg("--pgdata").arg(cluster.data()).arg("--pwfile").arg(&password_file);
        initdb.args(["--username=steward", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]);
        let done = initdb.current_dir("/").output().unwrap();
        assert!(done.status.success(), "initdb: {}", String::from_utf8_lossy(&done.stderr));
        cluster.start_again();
        cluster
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Makes an empty database. Its URL.
    pub fn database(&self) -> String {
        let name = format!("test_{}", uuid::Uuid::new_v4().simple());
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of a database of this server.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://steward:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Runs statements as the superuser. What they printed, without decoration.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let mut psql = Command::new(program("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]).arg(self.url(database));
        let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(statements.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "{statements}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
    }

    /// Ends all processes of the server as a crash of the machine would: no goodbye, nothing written any more.
    pub fn kill_server(&mut self) {
        let server = self.server.take().expect("the server runs");
        let postmaster = server.postmaster.id();
        // Stopped first, it makes no more of them.
        signal("STOP", &[postmaster]);
        let mut all = children(postmaster);
        all.push(postmaster);
        signal("KILL", &all);
        server.end();
    }

    /// Starts it again on the same port and data.
    pub fn start_again(&mut self) {
        assert!(self.server.is_none(), "the server still runs");
        let until = Clock::instant() + DEADLINE;
        loop {
            // The port of the first start may have been taken by others meanwhile; later ones have to have the same.
            if self.port == 0 || !self.data().join("postmaster.opts").exists() {
                self.port = free_port();
            }
            match self.try_start(until) {
                Ok(server) => return self.server = Some(server),
                // Processes of a killed server take a moment to notice, and until then a new one does not start.
                Err(why) => assert!(Clock::instant() < until, "PostgreSQL does not start: {why}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn try_start(&self, until: Instant) -> Result<Server, String> {
        let log = self.folder.join("log");
        let mut server = Server::guarded(self.postmaster(&log));
        while !self.is_ready() {
            if server.has_ended() || Clock::instant() > until {
                server.end();
                return Err(std::fs::read_to_string(&log).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    fn postmaster(&self, log: &Path) -> Child {
        let mut postgres = as_account(&program("postgres"));
        postgres.arg("-D").arg(self.data()).arg("-k").arg(&self.folder).args(["-p", &self.port.to_string()]);
        let own = ["listen_addresses=127.0.0.1", "fsync=on", "max_connections=200"];
        for setting in own.into_iter().chain(self.settings.iter().map(String::as_str)) {
            postgres.args(["-c", setting]);
        }
        let output = std::fs::File::create(log).unwrap();
        postgres.current_dir("/").stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap()
    }

    fn is_ready(&self) -> bool {
        let asked = Command::new(program("pg_isready")).args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]).status();
        asked.unwrap().success()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.end();
        }
        // A test that fails should say why, and not that its folder is still there.
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

impl Server {
    /// The shell waits for the end of its input, which comes with the end of this process, however it ends.
    fn guarded(postmaster: Child) -> Self {
        let mut watchdog = Command::new("sh");
        watchdog.args(["-c", "read -r _; kill -QUIT \"$0\"", &postmaster.id().to_string()]);
        let watchdog = watchdog.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { postmaster, watchdog }
    }

    fn has_ended(&mut self) -> bool {
        self.postmaster.try_wait().unwrap().is_some()
    }

    /// Ends it at once, if it still runs: the data are thrown away, or were meant to be crashed.
    fn end(mut self) {
        // Not reaped yet, so the number is still that of the server, even if it has ended.
        drop(self.watchdog.stdin.take());
        self.watchdog.wait().unwrap();
        let until = Clock::instant() + DEADLINE;
        while !self.has_ended() {
            if Clock::instant() > until {
                self.postmaster.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn signal(name: &str, processes: &[u32]) {
    let mut kill = Command::new("kill");
    kill.arg("-s").arg(name).args(processes.iter().map(u32::to_string)).stderr(Stdio::null());
    let done = kill.status().unwrap();
    // One of several may have ended by itself.
    assert!(done.success() || processes.len() > 1, "{name} {processes:?}");
}

/// The processes that this one made. Source: proc(5), `/proc/pid/stat`.
fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let is_child = |id: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        after_name.split_whitespace().nth(1) == Some(&parent.to_string())
    };
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_child).collect()
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// A program of the newest version that is installed.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin").join(name))))
        .filter(|(_version, path)| path.exists())
        .collect();
    found.sort();
    let Some((_version, path)) = found.pop() else {
        panic!("these tests need a PostgreSQL server and there is no /usr/lib/postgresql/*/bin/{name}: `apt-get install -y postgresql`")
    };
    path
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

/// A command that does not run as root.
fn as_account(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={ACCOUNT}")).arg(format!("--regid={ACCOUNT}")).arg("--init-groups").arg(program);
    command
}

/// Who owns what the server reads.
fn give_to_account(path: &Path) {
    if !is_root() {
        return;
    }
    let id = |option| {
        let asked = Command::new("id").args([option, ACCOUNT]).output().unwrap();
        let number = String::from_utf8(asked.stdout).unwrap().trim().parse::<u32>();
        number.unwrap_or_else(|_none| panic!("there is no account `{ACCOUNT}`: `apt-get install -y postgresql`"))
    };
    chown(path, Some(id("-u")), Some(id("-g"))).unwrap();
}

/// A folder for a server: that of temporary files, or the system's where the server's account may not go to the former.
pub fn new_folder() -> PathBuf {
    // Short: the path of a socket has a hundred characters.
    let name = format!("stw-pg-{:08x}", uuid::Uuid::new_v4().as_fields().0);
    let make = |parent: &Path| {
        let folder = parent.join(&name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        give_to_account(&folder);
        folder
    };
    let folder = make(&std::env::temp_dir());
    let is_reached = as_account(Path::new("test")).args(["-w".as_ref(), folder.as_os_str()]).status().unwrap().success();
    if is_reached && folder.as_os_str().len() < 80 {
        return folder;
    }
    std::fs::remove_dir(&folder).unwrap();
    make(Path::new("/tmp"))
}

/// Gives a file in the server's folder to the server alone.
pub fn write_for_server(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    give_to_account(path);
}
