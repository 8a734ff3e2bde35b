//! `steward backup` and `steward restore`: the state as a file.

use std::path::Path;

use serde_json::json;

use super::serve::{configured, in_runtime};
use super::{Console, Exit, Global, Output, RestoreArgs};
use crate::store::{self, Backup, BackupError, Existing, RestoreError, StoreError};
use crate::telemetry::chain;

pub(super) fn backup(file: &Path, global: &Global, console: &mut Console) -> Exit {
    let config = match configured(global, console) {
        Ok(config) => config.store,
        Err(invalid) => return invalid,
    };
    in_runtime(console, async |console| {
        let taken = async { store::write_backup(store::look(&config).await?, file).await };
        match taken.await {
            Ok(backup) => told("backed up", &backup, global.output, console),
            Err(error) => {
                console.error(chain(&error));
                match error {
                    BackupError::Store(error) => exit(&error),
                    BackupError::Stopped(_) | BackupError::Write(_) => Exit::No,
                }
            }
        }
    })
}

pub(super) fn restore(args: &RestoreArgs, global: &Global, console: &mut Console) -> Exit {
    let config = match configured(global, console) {
        Ok(config) => config.store,
        Err(invalid) => return invalid,
    };
    let existing = if args.replace { Existing::Replace } else { Existing::Keep };
    in_runtime(console, async |console| match store::restore(&config, &args.file, existing).await {
        Ok(backup) => told("restored", &backup, global.output, console),
        Err(error) => {
            console.error(chain(&error));
            match error {
                RestoreError::NotEmpty { .. } => {
                    console.error("add --replace to lose what the store holds");
                    Exit::No
                }
                RestoreError::Store(error) => exit(&error),
                RestoreError::Damaged { .. } | RestoreError::Newer { .. } | RestoreError::Stopped(_) | RestoreError::Unreadable { .. } => {
                    Exit::No
                }
            }
        }
    })
}

const fn exit(error: &StoreError) -> Exit {
    if is_away(error) { Exit::Unreachable } else { Exit::No }
}

/// Whether the store is only not there now.
pub(super) const fn is_away(error: &StoreError) -> bool {
    match error {
        StoreError::Busy { .. } | StoreError::InUse { .. } | StoreError::Unreachable { .. } => true,
        StoreError::Corrupt { .. }
        | StoreError::Failed { .. }
        | StoreError::Foreign { .. }
        | StoreError::Invalid(_)
        | StoreError::Newer { .. }
        | StoreError::Older { .. }
        | StoreError::Refused { .. }
        | StoreError::Stopped => false,
    }
}

fn told(done: &str, backup: &Backup, output: Output, console: &mut Console) -> Exit {
    let Backup { epoch, revision, objects, content_sha256 } = backup;
    match output {
        Output::Json => {
            console.line(json!({ "revision": revision.0, "objects": objects, "epoch": epoch, "contentSha256": content_sha256 }));
        }
        Output::Table => console.line(format_args!("{done} revision {revision} with {objects} objects, content {content_sha256}")),
    }
    Exit::Done
}
