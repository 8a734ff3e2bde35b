//! `steward audit export`: the log of one tenant as a file that can be verified alone, and that holds nothing of others.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{ExportArgs, gather};
use crate::cli::{Console, Exit, Global, Output};
use crate::clock::Clock;
use crate::record::archive::Spot;
use crate::record::audit::{Export, ExportLine};

pub(super) fn run(args: &ExportArgs, global: &Global, console: &mut Console) -> Result<Exit, Exit> {
    let folder = args.source.folder(global, console)?;
    let time = format!("{:.3}", Clock::system().now());
    let part = gather(&folder, console, || Part::begin(args, time.clone()), Part::take)?;
    let export = part.export.clone();
    if export.is_empty() {
        part.discard();
        console.error(format!("there is no log of {} in `{}`", args.tenant, folder.display()));
        return Err(Exit::No);
    }
    part.finish(&args.out).map_err(|cause| {
        console.error(format!("cannot write `{}`: {cause}", args.out.display()));
        Exit::No
    })?;
    let file = args.out.display();
    match global.output {
        Output::Json => console.line(json!({
            "schema": "steward.exported/1", "tenant": args.tenant, "file": args.out,
            "records": export.records(), "heads": export.heads(),
        })),
        Output::Table => console.line(format!(
            "{} records and {} heads of {} are in `{file}`; to check them: steward audit verify {file}",
            export.records(),
            export.heads(),
            args.tenant
        )),
    }
    Ok(Exit::Done)
}

/// The file while it is being written, under another name.
struct Part {
    export: Export,
    path: PathBuf,
    out: io::Result<BufWriter<File>>,
}

impl Part {
    fn begin(args: &ExportArgs, time: String) -> Self {
        let mut path = args.out.clone().into_os_string();
        path.push(".part");
        let path = PathBuf::from(path);
        let (export, first) = Export::begin(args.tenant, time);
        let mut part = Self { export, out: create(&path), path };
        part.write(&first);
        part
    }

    fn take(&mut self, spot: Spot<'_>) {
        match self.export.line(spot.text) {
            ExportLine::Own(line) => self.write(&line),
            ExportLine::Foreign => {}
        }
    }

    /// After the first failure nothing more is written.
    fn write(&mut self, line: &[u8]) {
        if let Ok(out) = &mut self.out
            && let Err(cause) = out.write_all(line).and_then(|()| out.write_all(b"\n"))
        {
            self.out = Err(cause);
        }
    }

    fn finish(self, to: &Path) -> io::Result<()> {
        let file = self.out?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&self.path, to)
    }

    fn discard(self) {
        drop(self.out);
        if let Err(cause) = fs::remove_file(&self.path) {
            tracing::debug!(%cause, "an unfinished export stays");
        }
    }
}

fn create(path: &Path) -> io::Result<BufWriter<File>> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map(BufWriter::new)
}
