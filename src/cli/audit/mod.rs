//! `steward audit`: verify, search, export and prove, offline, from the files.

mod export;
mod prove;
mod search;
mod verify;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::admin_call::demo_here;
use super::serve::CONFIG_FILE;
use super::{Console, Exit, Global, demo};
use crate::config;
use crate::demo::world::FILE;
use crate::record::archive::{Spot, Unreadable, read_folder};
use crate::record::audit::Log;
use crate::telemetry::chain;

/// Attempts to read a folder whose oldest file is removed meanwhile.
const ATTEMPTS_MAX: usize = 5;

/// Environment variable with the folder of the records: no option's own, for it must not stand against a file to verify.
pub(super) const RECORDS: &str = "STEWARD_RECORDS";

/// What to do with the audit.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum AuditCommand {
    /// Find what was deleted, changed or moved
    Verify(VerifyArgs),
    /// Find records
    Search(SearchArgs),
    /// Write the log of one tenant into a file that can be verified alone
    Export(ExportArgs),
    /// Prove that a record is in the log of a tenant
    Prove(ProveArgs),
}

/// Where the records are.
#[derive(Debug, Clone, Args)]
pub(crate) struct Source {
    /// Folder of the records [default: the configuration's, else what `STEWARD_RECORDS` says, else the demo's]
    #[arg(long, value_name = "DIR")]
    records: Option<PathBuf>,
}

/// Arguments of `audit verify`.
#[derive(Debug, Clone, Args)]
pub(crate) struct VerifyArgs {
    /// An export or a proof instead of the folder
    #[arg(conflicts_with = "records")]
    file: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
    /// Only the log of this tenant: its id, or `operator`
    #[arg(long, value_name = "ID")]
    tenant: Option<Log>,
    /// Heads kept elsewhere, such as an earlier export: the records must agree with them too
    #[arg(long, value_name = "FILE")]
    heads: Vec<PathBuf>,
    /// Trust this public key (JWK, or a set of them) and no other [default: the gateway's, if its file is beside the folder and
    /// readable, else what is read beside the heads]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Arguments of `audit search`.
#[derive(Debug, Clone, Args)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    source: Source,
    /// Only the log of this tenant: its id, or `operator`
    #[arg(long, value_name = "ID")]
    tenant: Option<Log>,
    /// Not before this time, RFC 3339
    #[arg(long, value_name = "TIME")]
    since: Option<crate::clock::Timestamp>,
    /// Before this time, RFC 3339
    #[arg(long, value_name = "TIME")]
    until: Option<crate::clock::Timestamp>,
    /// Object id of the caller, or part of the name
    #[arg(long, value_name = "TEXT")]
    principal: Option<String>,
    /// An action, `*` for any characters
    #[arg(long, value_name = "PATTERN")]
    action: Option<String>,
    /// Allowed or denied
    #[arg(long, value_enum)]
    verdict: Option<VerdictArg>,
    /// A reason code, or the beginning of some and `*`
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Text anywhere in the record, in any case
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// The last so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// Allowed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum VerdictArg {
    /// Allowed
    Allow,
    /// Denied
    Deny,
}

/// Arguments of `audit export`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    source: Source,
    /// Whose log: the id of a tenant, or `operator`
    #[arg(long, value_name = "ID")]
    tenant: Log,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `audit prove`.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProveArgs {
    /// Request id, or its first six or more characters
    id: String,
    #[command(flatten)]
    source: Source,
    /// In whose log, when it is in two: the id of a tenant, or `operator`
    #[arg(long, value_name = "ID")]
    tenant: Option<Log>,
}

pub(super) fn run(command: &AuditCommand, global: &Global, console: &mut Console) -> Exit {
    let done = match command {
        AuditCommand::Verify(args) => verify::run(args, global, console),
        AuditCommand::Search(args) => search::run(args, global, console),
        AuditCommand::Export(args) => export::run(args, global, console),
        AuditCommand::Prove(args) => prove::run(args, global, console),
    };
    done.unwrap_or_else(|exit| exit)
}

impl Source {
    fn folder(&self, global: &Global, console: &mut Console) -> Result<PathBuf, Exit> {
        if let Some(folder) = &self.records {
            return Ok(folder.clone());
        }
        if let Some(path) = &global.config {
            return configured(path, console);
        }
        if let Some(folder) = std::env::var_os(RECORDS).filter(|folder| !folder.is_empty()) {
            return Ok(folder.into());
        }
        match Path::new(CONFIG_FILE) {
            path if path.exists() => configured(path, console),
            _ => of_demo(global, console),
        }
    }
}

fn configured(path: &Path, console: &mut Console) -> Result<PathBuf, Exit> {
    config::load(path).map(|config| config.records.folder).map_err(|diagnostics| {
        console.error(format!("`{}` is invalid; name the folder of the records with --records", path.display()));
        console.bytes(diagnostics.render(console.style()).as_bytes());
        Exit::Usage
    })
}

/// The demo's folder, unless another gateway is meant: to verify the records of the wrong one would look like an answer.
fn of_demo(global: &Global, console: &mut Console) -> Result<PathBuf, Exit> {
    let demo = demo_here();
    let meant = global.server.as_deref().map(|server| server.trim_end_matches('/'));
    match (demo, meant) {
        (Some(world), Some(meant)) if world.admin == meant => Ok(world.records),
        (_, Some(meant)) => {
            console.error(format!(
                "where the gateway at {meant} keeps its records is not known: `{}` is not about it; name the folder of the records with --records or {RECORDS}",
                Path::new(demo::FOLDER).join(FILE).display()
            ));
            Err(Exit::Usage)
        }
        (Some(world), None) => Ok(world.records),
        (None, None) => Ok(Path::new(demo::FOLDER).join("records")),
    }
}

/// Reads a folder into something that `begin` makes; again from the beginning when a file was removed under it.
fn gather<T>(folder: &Path, console: &mut Console, begin: impl Fn() -> T, mut line: impl FnMut(&mut T, Spot<'_>)) -> Result<T, Exit> {
    let mut attempts = 0;
    loop {
        let mut gathered = begin();
        attempts += 1;
        match read_folder(folder, |spot| line(&mut gathered, spot)) {
            Ok(()) => return Ok(gathered),
            Err(error) if attempts < ATTEMPTS_MAX && error.cause.kind() == std::io::ErrorKind::NotFound && error.path != folder => {}
            Err(error) => return Err(unreadable(&error, console)),
        }
    }
}

fn unreadable(error: &Unreadable, console: &mut Console) -> Exit {
    console.error(format!("{}; name the folder of the records with --records or {RECORDS}", chain(error)));
    Exit::Usage
}
