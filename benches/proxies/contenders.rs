//! Who is measured, how each is brought up, and what has to hold before it is timed.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use hyper::StatusCode;

use crate::client::{Call, Connection, runtime, trusting};
use crate::process::Process;
use crate::scenario::{Ask, Http};
use crate::stage::{Stage, free_address};
use crate::token::{OPERATORS, Wanted, with_bad_signature};
use crate::{Outcome, origin, peers, steward};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// Passes on, checks nothing.
    Bare,
    /// The same, and verifies every token.
    Verify,
    Steward,
    Haproxy,
    Nginx,
    Envoy,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Bare, Self::Verify, Self::Steward, Self::Haproxy, Self::Nginx, Self::Envoy];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Verify => "verify",
            Self::Steward => "steward",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Envoy => "envoy",
        }
    }
}

/// How a contender is to serve.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub tls: bool,
    pub http: Http,
    pub workers: usize,
}

pub struct Contender {
    pub kind: Kind,
    pub address: SocketAddr,
    pub process: Process,
}

impl Contender {
    /// Starts it and has it prove that it passes on what is good and refuses what is not.
    pub fn start(kind: Kind, stage: &Stage, setup: Setup) -> Outcome<Self> {
        Self::start_below(kind, stage, setup, &[])
    }

    /// Starts it as the argument of another program.
    pub fn start_below(kind: Kind, stage: &Stage, setup: Setup, other: &[&str]) -> Outcome<Self> {
        let started = || -> Outcome<Self> {
            let address = free_address()?;
            let folder = stage.folder.join(format!("{}-{}", kind.name(), address.port()));
            fs::create_dir_all(&folder)?;
            let command = match kind {
                Kind::Bare => bare(stage, &folder, address, setup, false)?,
                Kind::Verify => bare(stage, &folder, address, setup, true)?,
                Kind::Steward => steward::command(stage, &folder, address, setup.tls, setup.workers)?,
                Kind::Haproxy => peers::haproxy(stage, &folder, address, setup)?,
                Kind::Nginx => peers::nginx(stage, &folder, address, setup)?,
                Kind::Envoy => peers::envoy(stage, &folder, address, setup)?,
            };
            let process = Process::start(&below(other, command), &folder.join("log"))?;
            process.wait_for(address)?;
            let contender = Self { kind, address, process };
            runtime()?.block_on(contender.prove(stage, setup))?;
            Ok(contender)
        };
        started().map_err(|error| format!("{}: {error}", kind.name()).into())
    }

    async fn prove(&self, stage: &Stage, setup: Setup) -> Outcome<()> {
        let good = Wanted { caller: 0, number: 0, group: OPERATORS, is_expired: false };
        let token = stage.signer.token(good)?;
        let bad = [
            ("no token", None),
            ("a wrong signature", Some(with_bad_signature(&token))),
            ("an expired token", Some(stage.signer.token(Wanted { is_expired: true, ..good })?)),
        ];
        let tls = if setup.tls { Some(trusting(setup.http)?) } else { None };
        let mut connection = Connection::open(self.address, setup.http, tls.clone()).await?;
        let (status, body) = connection.send(&Call { ask: Ask::Get, token: Some(token) }).await?;
        if status != StatusCode::OK || body != origin::answer() {
            return Err(format!("it answered a good token with {status} and {} bytes", body.len()).into());
        }
        for (what, token) in bad {
            // Some close the connection with a refusal.
            let mut connection = Connection::open(self.address, setup.http, tls.clone()).await?;
            let (status, _body) = connection.send(&Call { ask: Ask::Get, token }).await?;
            let is_refused = status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN;
            if is_refused == (self.kind == Kind::Bare) {
                return Err(format!("it answered {what} with {status}").into());
            }
        }
        Ok(())
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

fn bare(stage: &Stage, folder: &Path, address: SocketAddr, setup: Setup, verifies: bool) -> Outcome<Command> {
    // A copy of its own: pages shared with the origin and with this process would count for a part only.
    let program = folder.join("bare");
    fs::copy(std::env::current_exe()?, &program)?;
    let mut command = Command::new(program);
    command.args(["bare", &address.to_string(), &stage.origin.to_string(), "--workers", &setup.workers.to_string()]);
    if setup.tls {
        command.arg("--tls").args([&stage.certificate, &stage.key]);
    }
    if verifies {
        command.arg("--verify").arg(&stage.public_der);
    }
    Ok(command)
}
