//! The built binary, started, signalled and awaited.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use steward::clock::Clock;
use steward::demo::world::World;
use tokio::sync::{Mutex, MutexGuard};

use crate::client::{Answer, Call, Client, PATIENCE, plain};
pub use crate::folders::empty_folder;

/// How often a state that is waited for is looked at.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Tests that measure or load the machine run one after the other.
pub async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);
    ALONE.lock().await
}

/// A process that ends with the test.
#[derive(Debug)]
pub struct Running(Child);

/// A demo as a process.
pub struct Demo {
    pub process: Running,
    pub world: World,
    pub client: Client,
    pub folder: PathBuf,
}

impl Running {
    pub fn start(arguments: &[&str], folder: &Path) -> Self {
        // With as few descriptors as a shell gives.
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -S -n 512; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_steward")]);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
        command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        Self(command.spawn().unwrap())
    }

    /// The line of `/proc` about one of its limits.
    pub fn limit(&self, name: &str) -> String {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.0.id())).unwrap();
        limits.lines().find(|line| line.starts_with(name)).unwrap().to_owned()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status().unwrap();
        assert!(sent.success(), "{name}");
    }

    /// Waits for the end of the process.
    pub async fn ended(&mut self) -> ExitStatus {
        until("the process ends", async || self.0.try_wait().unwrap()).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, as most tests want.
        let _killed = self.0.kill().is_ok();
        let _reaped = self.0.wait().is_ok();
    }
}

impl Demo {
    /// A demo in a folder of its own, with a copy of the shipped policies in `policies`.
    pub async fn start(name: &str) -> Self {
        let folder = empty_folder(name);
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies"), &folder.join("policies"));
        Self::start_in(folder).await
    }

    pub async fn start_in(folder: PathBuf) -> Self {
        let description = folder.join("described.json");
        if description.exists() {
            std::fs::remove_file(&description).unwrap();
        }
        let arguments = ["demo", "--unthrottled", "--ports", "auto", "--folder", "state", "--certs", "certs", "--policies", "policies"];
        let process = Running::start(&[&arguments[..], &["--describe", "described.json"]].concat(), &folder);
        let text = until("the demo is described", async || std::fs::read_to_string(&description).ok()).await;
        let world: World = serde_json::from_str(&text).unwrap();
        let client = Client::new(&world.gateway, &world.ca);
        Self { process, world, client, folder }
    }

    pub fn subscription(&self, name: &str) -> String {
        format!("/subscriptions/{}", self.world.subscriptions[name].id)
    }

    /// A token as the command line gives it.
    pub fn token(&self, identity: &str) -> String {
        let output = run(&["token", "--as", identity, "--world", "state/world.json"], &self.folder);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub async fn admin(&self, call: Call) -> Answer {
        plain(&self.world.admin, call).await
    }
}

/// Runs a command to its end.
pub fn run(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_steward")).args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

/// Looks until there is something to see.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Clock::instant();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: not within {} s", PATIENCE.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

pub fn copy(from: &Path, to: &Path) {
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

/// Puts a file in the place of another in one step, as editors and deployments do.
pub fn replace(path: &Path, text: &str) {
    let beside = path.ancestors().nth(2).unwrap().join("replacement.tmp");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

/// Says what was measured: `cargo test --test process -- --nocapture` shows it.
#[expect(clippy::print_stdout, reason = "a measurement is for whoever runs the test")]
pub fn measured(text: std::fmt::Arguments<'_>) {
    println!("{text}");
}
