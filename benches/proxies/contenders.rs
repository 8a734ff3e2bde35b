//! Who is measured, and how each is brought up.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use crate::process::Process;
use crate::stage::{Stage, free_address};
use crate::{Outcome, steward};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Passes on, checks nothing.
    Bare,
    /// The same, and verifies every token.
    Verify,
    Steward,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Verify => "verify",
            Self::Steward => "steward",
        }
    }

    /// Whether it refuses bad tokens.
    pub const fn verifies(self) -> bool {
        !matches!(self, Self::Bare)
    }
}

/// How a contender is to serve.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub tls: bool,
    pub workers: usize,
}

pub struct Contender {
    pub kind: Kind,
    pub address: SocketAddr,
    pub process: Process,
}

impl Contender {
    pub fn start(kind: Kind, stage: &Stage, setup: Setup) -> Outcome<Self> {
        Self::start_below(kind, stage, setup, &[])
    }

    /// Starts it as the argument of another program.
    pub fn start_below(kind: Kind, stage: &Stage, setup: Setup, other: &[&str]) -> Outcome<Self> {
        let address = free_address()?;
        let folder = stage.folder.join(format!("{}-{}", kind.name(), address.port()));
        fs::create_dir_all(&folder)?;
        let command = match kind {
            Kind::Bare => bare(stage, address, setup, false)?,
            Kind::Verify => bare(stage, address, setup, true)?,
            Kind::Steward => steward::command(stage, &folder, address, setup.tls, setup.workers)?,
        };
        let process = Process::start(&below(other, command), &folder.join("log"))?;
        process.wait_for(address)?;
        Ok(Self { kind, address, process })
    }
}

fn below(other: &[&str], command: Command) -> Command {
    let [program, arguments @ ..] = other else { return command };
    let mut outer = Command::new(program);
    outer.args(arguments).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        outer.current_dir(folder);
    }
    outer
}

fn bare(stage: &Stage, address: SocketAddr, setup: Setup, verifies: bool) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bare", &address.to_string(), &stage.origin.to_string(), "--workers", &setup.workers.to_string()]);
    if setup.tls {
        command.arg("--tls").args([&stage.certificate, &stage.key]);
    }
    if verifies {
        command.arg("--verify").arg(&stage.key_set);
    }
    Ok(command)
}
