//! What of a folder of records is one tenant's.

use serde::{Deserialize, Serialize};

use super::head::SignedHead;
use super::line::{Linked, Log};
use super::verify::read_key_line;

/// The first line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ExportHeader {
    schema: String,
    pub(super) tenant: Log,
    time: String,
}

/// Takes the lines of a folder and gives those of one log, in their order.
#[derive(Debug, Clone)]
pub struct Export {
    tenant: Log,
    keys: Vec<String>,
    records: u64,
    heads: u64,
}

/// What becomes of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportLine {
    /// It is nothing of the log.
    Foreign,
    /// The line as it stands in the log.
    Own(Vec<u8>),
}

impl ExportHeader {
    pub(super) const SCHEMA: &str = "steward.export/1";
}

impl Export {
    /// Begins an export made at this time, RFC 3339, and gives its first line.
    #[must_use]
    pub fn begin(tenant: Log, time: String) -> (Self, Vec<u8>) {
        let header = ExportHeader { schema: ExportHeader::SCHEMA.to_owned(), tenant, time };
        (Self { tenant, keys: Vec::new(), records: 0, heads: 0 }, crate::json::text(&header).into_bytes())
    }

    /// The next line of the folder.
    pub fn line(&mut self, line: &[u8]) -> ExportLine {
        if let Some(key) = read_key_line(line) {
            let is_new = !self.keys.iter().any(|known| known == key.id());
            return if is_new { self.key(key.id(), line) } else { ExportLine::Foreign };
        }
        if let Ok(head) = SignedHead::parse(line) {
            let is_own = head.head.tenant == self.tenant;
            self.heads += u64::from(is_own);
            return if is_own { ExportLine::Own(head.line) } else { ExportLine::Foreign };
        }
        let Ok(linked) = Linked::parse(line) else { return ExportLine::Foreign };
        match linked.links.iter().find(|link| link.tenant == self.tenant) {
            Some(link) => {
                self.records += 1;
                ExportLine::Own(linked.line_of(link))
            }
            None => ExportLine::Foreign,
        }
    }

    fn key(&mut self, id: &str, line: &[u8]) -> ExportLine {
        self.keys.push(id.to_owned());
        ExportLine::Own(line.to_vec())
    }

    /// Records so far.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Heads so far.
    #[must_use]
    pub const fn heads(&self) -> u64 {
        self.heads
    }

    /// Whether there is nothing of the log.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.records == 0 && self.heads == 0
    }
}
