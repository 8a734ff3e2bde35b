//! Where and with what was measured.

use std::fs;
use std::process::Command;

use crate::load::oha_program;
use crate::stage::{kept, root};
use crate::steward;

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Machine {
    /// Day in UTC.
    pub date: String,
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    /// Name and version of everything that took part.
    pub versions: Vec<String>,
}

impl Machine {
    pub fn here() -> Self {
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
        Self {
            date: jiff::Timestamp::now().strftime("%F").to_string(),
            processor: processor.trim_start_matches([' ', '\t', ':']).to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            versions: versions(),
        }
    }
}

fn versions() -> Vec<String> {
    let mut command = Command::new("git");
    command.arg("-C").arg(root()).args(["describe", "--always", "--dirty", "--abbrev=10"]);
    let revision = first_line(&mut command);
    let steward = steward::program().map(|program| first_line(Command::new(program).arg("--version"))).unwrap_or_default();
    let wrk = first_line(Command::new("wrk").arg("-v"));
    vec![
        format!("{steward} (revision {revision})"),
        first_line(Command::new("rustc").arg("--version")),
        locked("hyper"),
        locked("aws-lc-rs"),
        first_line(Command::new("/usr/sbin/haproxy").arg("-v")).split(" - ").next().unwrap_or_default().to_owned(),
        first_line(Command::new("/usr/sbin/nginx").arg("-v")),
        format!(
            "envoy {}",
            first_line(Command::new(kept().join("envoy/bin/envoy")).arg("--version")).rsplit("version: ").next().unwrap_or_default()
        ),
        first_line(Command::new(oha_program()).arg("--version")),
        wrk.split(" [").next().unwrap_or_default().to_owned(),
        first_line(Command::new("valgrind").arg("--version")),
    ]
}

/// The first line that a command says, on either output.
fn first_line(command: &mut Command) -> String {
    let Ok(output) = command.output() else { return format!("{} is missing", command.get_program().to_string_lossy()) };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().find(|line| !line.is_empty()).unwrap_or_default().trim().to_owned()
}

/// A package and its version in `Cargo.lock`.
fn locked(package: &str) -> String {
    let text = fs::read_to_string(root().join("Cargo.lock")).unwrap_or_default();
    let version = text.split_once(&format!("name = \"{package}\"\nversion = \"")).and_then(|(_, rest)| rest.split('"').next());
    format!("{package} {}", version.unwrap_or_default())
}
