//! What can be wrong, and how it is told.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::At;
use crate::ids::RequestId;
use crate::record::audit::line::Log;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Its name, as it was given.
    pub file: Arc<str>,
    /// From 1.
    pub line: u64,
}

/// A record that something is wrong with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Subject {
    /// In whose log.
    pub tenant: Log,
    /// Its number there.
    pub seq: u64,
    /// Its id, as far as it can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    /// Where it stands.
    pub at: Place,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// The record is not the one that was written.
    Changed(Subject),
    /// The records are in themselves a chain, but not the one that a head was signed for.
    Contradicted {
        /// In whose log.
        tenant: Log,
        /// The first number that may be another.
        from: u64,
        /// The number that the head was signed for.
        to: u64,
        /// The head.
        head: Place,
    },
    /// A head that cannot be believed.
    Head {
        /// Where it stands.
        at: Place,
        /// Why not.
        error: String,
    },
    /// Records are not there.
    Missing {
        /// In whose log.
        tenant: Log,
        /// The first of them.
        from: u64,
        /// The last of them.
        to: u64,
        /// The record before them in the log.
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<Place>,
        /// The record after them; none when the end of the log is cut off.
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<Place>,
    },
    /// A record stands behind one that was written after it.
    Reordered {
        /// The record.
        record: Subject,
        /// The one it stands behind.
        behind: Subject,
    },
    /// A line that belongs to no log.
    Unlinked {
        /// Its id, as far as it can be read.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<RequestId>,
        /// Where it stands.
        at: Place,
    },
}

/// The names of the files that were read.
pub(super) struct Names<'a>(pub(super) &'a [Arc<str>]);

impl Names<'_> {
    pub(super) fn place(&self, at: At) -> Place {
        let file = usize::try_from(at.file).ok().and_then(|file| self.0.get(file));
        Place { file: file.cloned().unwrap_or_else(|| "".into()), line: at.line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) => write!(f, "record {} of {} ({id}, {})", self.seq, self.tenant, self.at),
            None => write!(f, "record {} of {} ({})", self.seq, self.tenant, self.at),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(record) => write!(f, "{record} was changed"),
            Self::Contradicted { tenant, from, to, head } => {
                write!(f, "records {from} to {to} of {tenant} are not those that the head at {head} was signed for")
            }
            Self::Head { at, error } => write!(f, "{error} ({at})"),
            Self::Missing { tenant, from, to, after, before } => {
                match from == to {
                    true => write!(f, "record {from} of {tenant} was deleted")?,
                    false => write!(f, "records {from} to {to} of {tenant} were deleted")?,
                }
                match (after, before) {
                    (Some(after), Some(before)) => write!(f, " between {after} and {before}"),
                    (Some(after), None) => write!(f, " at the end, after {after}"),
                    (None, Some(before)) => write!(f, " before {before}"),
                    (None, None) => f.write_str("; nothing of the log is left"),
                }
            }
            Self::Reordered { record, behind } => write!(f, "{record} was moved: it stands behind {behind}"),
            Self::Unlinked { id: Some(id), at } => write!(f, "the line of {id} ({at}) belongs to no log: it was added or changed"),
            Self::Unlinked { id: None, at } => write!(f, "a line ({at}) belongs to no log: it was added or changed"),
        }
    }
}
