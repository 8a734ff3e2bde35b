//! `steward schema`: prints the JSON Schema of policy files, for editors that complete and check while typing.

use std::io::{self, Write};

use crate::policy::file;

/// Writes the schema, indented, with a newline at its end.
///
/// # Errors
/// When `out` cannot be written.
pub fn run(out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &file::json_schema())?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After a change of the tables: `steward schema > docs/schema/policy.schema.json`, and read the difference.
    #[test]
    fn the_committed_schema_is_that_of_the_types() {
        let mut printed = Vec::new();
        run(&mut printed).unwrap();
        let committed = std::fs::read_to_string("docs/schema/policy.schema.json").unwrap_or_default();
        assert_eq!(String::from_utf8(printed).unwrap(), committed);
    }
}
