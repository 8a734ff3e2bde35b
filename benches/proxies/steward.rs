//! Steward as a user runs it: the program, a configuration file, a folder of policies; every check on, decision records on.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::stage::{Stage, free_address, named, root};
use crate::world::world;

/// The program: `STEWARD_BIN`, or the one that was built with this benchmark.
pub fn program() -> Outcome<PathBuf> {
    let named = std::env::var_os("STEWARD_BIN").map(PathBuf::from);
    named.or_else(|| option_env!("CARGO_BIN_EXE_steward").map(PathBuf::from)).ok_or_else(|| "STEWARD_BIN names no program".into())
}

/// One caller makes all the load.
const UNTHROTTLED: &str =
    "[throttling]\nreads_at_once = 1000000000\nreads_per_s = 1000000000\nwrites_at_once = 1000000000\nwrites_per_s = 1000000000\n";

/// Writes its files into `folder`, and says how to start it.
pub fn command(stage: &Stage, folder: &Path, listen: SocketAddr, tls: bool, workers: usize) -> Outcome<Command> {
    let policies = folder.join("policies");
    fs::create_dir_all(&policies)?;
    fs::copy(root().join("policies/planes.toml"), policies.join("planes.toml"))?;
    fs::copy(&stage.key_set, policies.join("keys.json"))?;
    fs::write(policies.join("world.toml"), world())?;
    let files = format!("certificate_file = {:?}\nkey_file = {:?}\n", stage.certificate, stage.key);
    let config = format!(
        "[gateway]\nlisten = \"{listen}\"\nauthorities = [\"{}\"]\nworkers = {workers}\n{}\
         [admin]\nlisten = \"{}\"\n[backend]\nurl = \"http://{}\"\n{UNTHROTTLED}",
        named(listen),
        if tls { files.as_str() } else { "" },
        free_address()?,
        stage.origin
    );
    let file = folder.join("steward.toml");
    fs::write(&file, config)?;
    let mut command = Command::new(program()?);
    command.args(["serve", "--config"]).arg(file).current_dir(folder);
    Ok(command)
}
