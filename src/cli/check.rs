//! `steward check`: finds every mistake of policy files, offline.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::clock::Timestamp;
use crate::policy::diagnostics::{Diagnostics, Style};
use crate::policy::{self, LoadOptions};

/// Every folder is a set that could be used.
pub const EXIT_VALID: u8 = 0;
/// At least one is not.
pub const EXIT_INVALID: u8 = 3;

/// Stands for the demo issuer, whose address is not known before the demo runs.
const ANY_DEMO_ISSUER: &str = "https://localhost";

/// Who reads the output.
#[derive(Debug, Clone, Copy)]
pub enum Format {
    /// Programs: one JSON document per folder and line, schema `steward.check/1`.
    Json,
    /// People.
    Text(Style),
}

/// Checks each folder as a set of its own, and writes all that is wrong to `out`. Returns the exit code.
///
/// # Errors
/// When `out` cannot be written.
pub fn run(folders: &[PathBuf], format: Format, now: Timestamp, out: &mut dyn Write) -> io::Result<u8> {
    let options = LoadOptions::new(now).with_demo_issuer(ANY_DEMO_ISSUER);
    let mut code = EXIT_VALID;
    for folder in folders {
        let diagnostics = match policy::load(folder, &options) {
            Ok(loaded) => loaded.warnings,
            Err(diagnostics) => {
                code = EXIT_INVALID;
                diagnostics
            }
        };
        write(&diagnostics, format, out)?;
    }
    Ok(code)
}

fn write(diagnostics: &Diagnostics, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Json => writeln!(out, "{}", diagnostics.to_json()),
        Format::Text(style) => out.write_all(diagnostics.render(style).as_bytes()),
    }
}
