//! `steward audit prove`: a document that proves one record to whoever has the public key.

use super::{ProveArgs, gather};
use crate::cli::{Console, Exit, Global};
use crate::record::audit::{Finder, NoProof, Prover};

/// Characters of an id that a search needs. Source: `ux/CLI.md`, "any unique prefix of 6 or more".
const PREFIX_CHARS_MIN: usize = 6;

pub(super) fn run(args: &ProveArgs, global: &Global, console: &mut Console) -> Result<Exit, Exit> {
    let id = args.id.trim().to_ascii_lowercase();
    if id.len() < PREFIX_CHARS_MIN || !id.chars().all(|c| c.is_ascii_hexdigit() || c == '-') {
        console.error(format!("`{}` is not an id; give at least {PREFIX_CHARS_MIN} characters of one", args.id));
        return Err(Exit::Usage);
    }
    let folder = args.source.folder(global, console)?;
    // The first reading finds the record and its log, the second the lines of that log.
    let finder = gather(&folder, console, || Finder::new(id.clone()), |finder, spot| finder.line(spot.text))?;
    let target = finder.finish(args.tenant).map_err(|error| refused(&error, console))?;
    let prover = gather(&folder, console, || Prover::new(target), |prover, spot| prover.line(spot.text))?;
    let proof = prover.finish().map_err(|error| refused(&error, console))?;
    console.line(serde_json::to_string_pretty(&proof).unwrap_or_default());
    Ok(Exit::Done)
}

fn refused(error: &NoProof, console: &mut Console) -> Exit {
    console.error(error);
    Exit::No
}
