//! A contender's processes: started, measured by what the kernel knows of them, and ended with whoever holds them.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Outcome;

/// Length of the kernel's unit of CPU time. Source: proc(5), `/proc/pid/stat`; `getconf CLK_TCK` on every Linux.
const TICK: Duration = Duration::from_millis(10);
/// How long a program may take to listen, or to end.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program that is killed when this one ends in whatever way.
    pub fn start(command: &Command, log: &Path) -> Outcome<Self> {
        let file = fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut tied = Command::new("setpriv");
        tied.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
        tied.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(folder) = command.get_current_dir() {
            tied.current_dir(folder);
        }
        let child = tied.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).spawn()?;
        Ok(Self { child, log: log.to_owned() })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it listens there.
    pub fn wait_for(&self, address: SocketAddr) -> Outcome<()> {
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if began.elapsed() > PATIENCE || !Path::new(&format!("/proc/{}/exe", self.id())).exists() {
                return Err(format!("it does not listen on {address}; see {}", self.log.display()).into());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// CPU time of all its threads and children so far, in user and kernel mode.
    pub fn cpu(&self) -> Outcome<Duration> {
        let mut ticks = 0;
        for id in tree(self.id())? {
            let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
            // The name, second and in parentheses, may hold blanks. Source: proc(5): utime is field 14, stime field 15.
            let fields = stat.rsplit_once(") ").map(|(_, fields)| fields.split(' ').skip(11).take(2)).ok_or("unreadable stat")?;
            for field in fields {
                ticks += field.parse::<u32>()?;
            }
        }
        Ok(TICK * ticks)
    }

    /// Asks it to end, and makes it.
    fn end(&mut self) -> Outcome<()> {
        Command::new("kill").args(["-s", "TERM", &self.id().to_string()]).status()?;
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            if began.elapsed() > Duration::from_secs(5) {
                self.child.kill()?;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            eprintln!("a process did not end: {error}");
        }
    }
}

/// Memory of a process and its descendants in bytes; pages that several share are divided among them.
pub fn memory(root: u32) -> Outcome<f64> {
    let mut bytes = 0.0;
    for id in tree(root)? {
        let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup"))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).ok_or("no Pss in smaps_rollup")?;
        bytes += line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0;
    }
    Ok(bytes)
}

/// A process and its descendants.
fn tree(root: u32) -> Outcome<Vec<u32>> {
    let mut found = vec![root];
    let mut looked_at = 0;
    while let Some(id) = found.get(looked_at).copied() {
        looked_at += 1;
        for thread in fs::read_dir(format!("/proc/{id}/task"))? {
            let children = fs::read_to_string(thread?.path().join("children"))?;
            found.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
    }
    Ok(found)
}
