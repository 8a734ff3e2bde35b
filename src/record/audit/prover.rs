//! From the lines of a folder to the proof of one record.

use std::collections::{BTreeMap, BTreeSet};

use super::hash::Hash;
use super::head::{HeadKind, SignedHead};
use super::inclusion::InclusionProof;
use super::key::PublicKey;
use super::line::{Linked, Log};
use super::tree::Tree;
use super::verify::read_key_line;
use crate::ids::RequestId;

/// Why a record cannot be proven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoProof {
    /// The lines are not those that the head was signed for.
    #[error("the log of {log} is damaged; `steward audit verify` says where")]
    Damaged {
        /// Whose.
        log: Log,
    },
    /// Nothing begins with it.
    #[error("no record begins with `{prefix}`, or none in that log")]
    None {
        /// As given.
        prefix: String,
    },
    /// More than one begins with it.
    #[error("{count} records begin with `{prefix}`; give more of the id")]
    Several {
        /// As given.
        prefix: String,
        /// How many.
        count: usize,
    },
    /// Heads come every few seconds.
    #[error("no head covers record {seq} of {log} yet; ask again in some seconds")]
    Unsealed {
        /// Whose log.
        log: Log,
        /// Its number.
        seq: u64,
    },
}

/// A record's number in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Whose log.
    pub log: Log,
    /// Its number there.
    pub seq: u64,
}

/// Finds a record by the beginning of its id.
#[derive(Debug)]
pub struct Finder {
    prefix: String,
    found: Vec<(RequestId, Target)>,
}

impl Finder {
    /// `prefix` is in lower case.
    #[must_use]
    pub const fn new(prefix: String) -> Self {
        Self { prefix, found: Vec::new() }
    }

    /// The next line of the folder.
    pub fn line(&mut self, line: &[u8]) {
        let Ok(linked) = Linked::parse(line) else { return };
        if let Some(id) = linked.id().filter(|id| id.to_string().starts_with(&self.prefix)) {
            self.found.extend(linked.links.iter().map(|link| (id, Target { log: link.tenant, seq: link.seq })));
        }
    }

    /// The only record found: in this log, or in the one of the tenant it was done in.
    ///
    /// # Errors
    /// When there is none or more than one.
    pub fn finish(self, log: Option<Log>) -> Result<Target, NoProof> {
        let ids: BTreeSet<RequestId> = self.found.iter().map(|(id, _)| *id).collect();
        if ids.len() > 1 {
            return Err(NoProof::Several { prefix: self.prefix, count: ids.len() });
        }
        let fitting = self.found.iter().map(|(_, target)| *target).find(|target| log.is_none_or(|log| log == target.log));
        fitting.ok_or(NoProof::None { prefix: self.prefix })
    }
}

/// Collects what the proof of a record needs.
#[derive(Debug)]
pub struct Prover {
    target: Target,
    record: Option<Vec<u8>>,
    hashes: BTreeMap<u64, Hash>,
    gone: Tree,
    head: Option<SignedHead>,
    keys: Vec<PublicKey>,
}

impl Prover {
    /// For this record.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self { target, record: None, hashes: BTreeMap::new(), gone: Tree::default(), head: None, keys: Vec::new() }
    }

    /// The next line of the folder.
    pub fn line(&mut self, line: &[u8]) {
        if let Some(key) = read_key_line(line) {
            self.keys.push(key);
        } else if let Ok(head) = SignedHead::parse(line) {
            self.head(head);
        } else if let Ok(linked) = Linked::parse(line)
            && let Some(link) = linked.links.iter().find(|link| link.tenant == self.target.log)
        {
            self.hashes.insert(link.seq, linked.hash_of(link));
            if link.seq == self.target.seq {
                self.record = Some(linked.line_of(link));
            }
        }
    }

    fn head(&mut self, signed: SignedHead) {
        let head = &signed.head;
        if head.tenant != self.target.log || signed.check(&self.keys).is_err() {
            return;
        }
        match head.kind {
            HeadKind::Cut if head.seq > self.gone.size() => self.gone = head.tree().unwrap_or_default(),
            HeadKind::Head if self.head.as_ref().is_none_or(|known| known.head.seq < head.seq) => self.head = Some(signed),
            HeadKind::Cut | HeadKind::Head => {}
        }
    }

    /// The proof from the record to the newest head of its log.
    ///
    /// # Errors
    /// When no head covers the record, or the lines are not those that it was signed for.
    pub fn finish(self) -> Result<InclusionProof, NoProof> {
        let Target { log, seq } = self.target;
        let head = self.head.filter(|head| head.head.seq >= seq).ok_or(NoProof::Unsealed { log, seq })?;
        let damaged = || NoProof::Damaged { log };
        let record = self.record.ok_or_else(damaged)?;
        let lines: Vec<Hash> = self.hashes.range(self.gone.size() + 1..=head.head.seq).map(|(_, hash)| *hash).collect();
        let key = self.keys.iter().find(|key| key.id() == head.head.key).ok_or_else(damaged)?;
        let proof = InclusionProof::new(&record, seq, &self.gone, &lines, &head, key).ok();
        proof.filter(|proof| proof.verify(std::slice::from_ref(key)).is_ok()).ok_or_else(damaged)
    }
}
