//! What both engines share: what may be written, how a change is a text, and when changes follow each other.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::error::InvalidWrite;
use super::{COMMIT_BYTES_MAX, Change, Epoch, Heard, KEY_BYTES_MAX, ObjectKey, Revision, Tail, WRITES_MAX, Write};

/// A write as it is kept in a change. Bodies are kept as texts, so that they come back byte for byte.
#[derive(Serialize)]
struct WriteRow<'a> {
    kind: &'a str,
    name: &'a str,
    body: Option<&'a str>,
}

/// The same as it comes back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptWrite {
    kind: Box<str>,
    name: Box<str>,
    // Without this a missing body would read as a deletion.
    #[serde(deserialize_with = "Deserialize::deserialize")]
    body: Option<Arc<str>>,
}

/// The writes of a change as JSON.
pub(super) fn encode(writes: &[Write]) -> Result<String, serde_json::Error> {
    let rows = writes.iter().map(|Write { key, body }| WriteRow { kind: &key.kind, name: &key.name, body: body.as_deref() });
    serde_json::to_string(&rows.collect::<Vec<_>>())
}

/// The change that was kept.
pub(super) fn change(revision: i64, at: &str, writes: &str) -> Result<Change, Unreadable> {
    let at = at.parse().map_err(|cause| Unreadable::At { revision, cause })?;
    let kept: Vec<KeptWrite> = serde_json::from_str(writes).map_err(|cause| Unreadable::Writes { revision, cause })?;
    let writes = kept.into_iter().map(|KeptWrite { kind, name, body }| Write { key: ObjectKey { kind, name }, body }).collect();
    Ok(Change { revision: self::revision(revision)?, at, writes })
}

/// A revision as engines keep it.
pub(super) fn revision(kept: i64) -> Result<Revision, Unreadable> {
    u64::try_from(kept).map(Revision).map_err(|_cause| Unreadable::Revision { kept })
}

/// The same the other way; nothing is ever kept beyond 2⁶³.
pub(super) fn kept(revision: Revision) -> i64 {
    i64::try_from(revision.0).unwrap_or(i64::MAX)
}

/// A history as engines keep it.
pub(super) fn epoch(kept: &str) -> Result<Epoch, Unreadable> {
    kept.parse().map_err(Unreadable::Epoch)
}

/// A row that this program cannot have written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("the time of change {revision} cannot be read")]
    At {
        revision: i64,
        #[source]
        cause: jiff::Error,
    },
    #[error("the counter holds no epoch")]
    Epoch(#[source] crate::ids::NotAGuid),
    #[error("there is no counter")]
    NoCounter,
    #[error("{kept} is not a revision")]
    Revision { kept: i64 },
    #[error("the writes of change {revision} cannot be read")]
    Writes {
        revision: i64,
        #[source]
        cause: serde_json::Error,
    },
}

/// What stands in the counter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) epoch: Epoch,
    pub(super) revision: Revision,
}

impl Head {
    /// Whether a reader at this place shares our past, so that changes can bring it here.
    pub(super) fn follows(&self, epoch: Epoch, applied: Revision) -> bool {
        self.epoch == epoch && applied <= self.revision
    }

    /// Whether this is the very world that somebody computed a commit from.
    pub(super) fn is(&self, epoch: Epoch, base: Revision) -> bool {
        self.epoch == epoch && self.revision == base
    }
}

/// The changes, if they begin right after `after`, leave nothing out and, where all are wanted, reach `to`.
fn tail(after: Revision, to: Option<Revision>, changes: Vec<Change>) -> Tail {
    let is_gapless = changes.iter().zip(after.0.saturating_add(1)..).all(|(change, expected)| change.revision.0 == expected);
    let last = changes.last().map_or(after, |change| change.revision);
    if is_gapless && to.is_none_or(|to| to == last) { Tail::Changes(changes) } else { Tail::Trimmed }
}

/// The answer to a poll. Changes that were cut to a portion do not reach the head, and count as trimmed.
pub(super) fn heard(head: &Head, epoch: Epoch, applied: Revision, changes: Vec<Change>, fence: Revision) -> Heard {
    let tail = if head.follows(epoch, applied) { tail(applied, Some(head.revision), changes) } else { Tail::Trimmed };
    let fence = if tail == Tail::Trimmed { Revision(0) } else { fence };
    Heard { tail, fence }
}

/// The answer to somebody who reads portions. An empty one says that there is no more, if it was not asked to be empty.
pub(super) fn portion(head: &Head, epoch: Epoch, after: Revision, changes: Vec<Change>, limit: usize) -> Tail {
    let to = (changes.is_empty() && limit > 0).then_some(head.revision);
    if head.follows(epoch, after) { tail(after, to, changes) } else { Tail::Trimmed }
}

/// Refuses what one of the engines could not keep.
pub(super) fn check(writes: &[Write]) -> Result<(), InvalidWrite> {
    let bytes: usize = writes.iter().map(size).sum();
    if writes.len() > WRITES_MAX || bytes > COMMIT_BYTES_MAX {
        return Err(InvalidWrite::TooLarge { writes: writes.len(), bytes });
    }
    writes.iter().try_for_each(|write| check_one(&write.key, write.body.as_deref()))
}

fn size(write: &Write) -> usize {
    write.key.kind.len() + write.key.name.len() + write.body.as_deref().map_or(0, str::len)
}

/// The same for one write.
pub(super) fn check_one(key: &ObjectKey, body: Option<&str>) -> Result<(), InvalidWrite> {
    let is_name = |text: &str| (1..=KEY_BYTES_MAX).contains(&text.len()) && !text.contains('\0');
    if !is_name(&key.kind) || !is_name(&key.name) {
        return Err(InvalidWrite::Key { key: quoted(key) });
    }
    if body.is_some_and(|body| body.contains('\0')) {
        return Err(InvalidWrite::Body { key: quoted(key) });
    }
    Ok(())
}

/// Characters of a key that an error quotes.
const QUOTED_CHARS_MAX: usize = 128;

fn quoted(key: &ObjectKey) -> String {
    key.to_string().escape_debug().take(QUOTED_CHARS_MAX).collect()
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}
