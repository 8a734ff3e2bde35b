//! `steward schema`: prints the JSON Schema of policy files, for editors that complete and check while typing.

use std::io::{self, Write};

use crate::config::ConfigFile;
use crate::policy::file;

/// Writes the schema, indented, with a newline at its end.
///
/// # Errors
/// When `out` cannot be written.
pub fn run(out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &file::json_schema())?;
    out.write_all(b"\n")
}

/// The same for the configuration file.
///
/// # Errors
/// When `out` cannot be written.
pub fn config(out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &schemars::schema_for!(ConfigFile))?;
    out.write_all(b"\n")
}
