//! The verifier: reads lines in their order and names what was deleted, changed, moved or added.
//!
//! It believes nothing but signatures. A line is vouched for by the line after it in its log, which holds its hash, and by heads.
//! Lines that had no head yet can be cut off at the end, or the last one changed, without a trace: see `docs/audit.md`.

mod fault;
mod log;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::export::ExportHeader;
use super::hash::Hash;
use super::head::{Head, HeadError, SignedHead};
use super::key::PublicKey;
use super::line::{self, Ending, LineError, Link, Linked, Log, TornNote};
use crate::ids::RequestId;
use log::{Entry, LogLines, StatedHead};

pub use fault::{Fault, Place, Subject};

/// What is known of one log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogReport {
    /// Whose.
    pub tenant: Log,
    /// Number of the first record that should be there: 1, or the one after those that retention removed.
    pub first: u64,
    /// Number of the last record that was there.
    pub last: u64,
    /// Records read.
    pub records: u64,
    /// Number of the last record that a head covers.
    pub sealed: u64,
    /// When that head was signed.
    pub sealed_at: Option<String>,
    /// Its root.
    pub root: Option<Hash>,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Every log of which there is a record or a head.
    pub logs: Vec<LogReport>,
    /// Everything that is wrong.
    pub faults: Vec<Fault>,
    /// Names of the keys that heads were checked with.
    pub keys: Vec<String>,
    /// Whether they were given by whoever verifies; otherwise they were read beside the heads.
    pub keys_given: bool,
    /// Records from before there were links.
    pub unlinked: u64,
    /// Lines that a crash tore and the next start set aside.
    pub torn: u64,
}

/// A line with a public key.
#[derive(Serialize, Deserialize)]
struct KeyLine {
    schema: String,
    key: serde_json::Value,
}

const KEY_SCHEMA: &str = "steward.key/1";

/// A line that is none of those known, and is explained by no note.
#[derive(Debug)]
struct Odd {
    at: At,
    id: Option<RequestId>,
    /// Written before there were links.
    is_early: bool,
    is_explained: bool,
}

/// Where a line stands: number of its file in the order of reading, and its own, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct At {
    file: u32,
    line: u64,
}

/// Reads lines, then reports.
#[derive(Debug, Default)]
pub struct Verifier {
    only: Option<Log>,
    given_keys: Vec<PublicKey>,
    read_keys: Vec<PublicKey>,
    files: Vec<Arc<str>>,
    line: u64,
    heads: Vec<(At, SignedHead)>,
    logs: BTreeMap<Log, LogLines>,
    odd: Vec<Odd>,
    bad_heads: Vec<(At, HeadError)>,
    /// The line read last, if it was none of those known: a note may follow.
    unexplained: Option<Vec<u8>>,
    has_links: bool,
    /// The lines are an export: all of them are of one log.
    is_export: bool,
    /// The lines are of a file that is read for its heads alone.
    is_extra: bool,
    /// Hash of the head's line read last.
    last_head: Option<Hash>,
    torn: u64,
}

impl Verifier {
    /// Verifies the log of one tenant, or all; with these keys, or with those that are read.
    #[must_use]
    pub fn new(only: Option<Log>, keys: Vec<PublicKey>) -> Self {
        Self { only, given_keys: keys, ..Self::default() }
    }

    /// The lines that follow are of this file.
    pub fn file(&mut self, name: &str) {
        self.files.push(name.into());
        self.line = 0;
        self.unexplained = None;
    }

    /// The next line, without its line feed.
    pub fn line(&mut self, line: &[u8], ending: Ending) {
        self.line += 1;
        let at = self.at();
        let before = self.unexplained.take();
        if has_schema(line, Head::SCHEMA) {
            match SignedHead::parse(line) {
                Ok(head) => {
                    self.follow(at, &head);
                    self.heads.push((at, head));
                }
                Err(error) => self.unknown(line, ending, Some(error)),
            }
        } else if let Some(note) = read::<TornNote>(line, TornNote::SCHEMA) {
            self.explained(before, &note);
        } else if let Some(key) = read_key_line(line) {
            self.read_keys.push(key);
        } else if let Some(export) = read::<ExportHeader>(line, ExportHeader::SCHEMA) {
            self.only.get_or_insert(export.tenant);
            self.is_export = true;
        } else {
            self.record(line, ending);
        }
    }

    /// Heads follow one another through all logs. Where they are not all there, in an export, nothing can be said.
    fn follow(&mut self, at: At, signed: &SignedHead) {
        let is_next = self.last_head.is_none_or(|last| last == signed.head.before);
        if !is_next && !self.is_export && !self.is_extra {
            self.bad_heads.push((at, HeadError::Order));
        }
        self.last_head = Some(Hash::of(&signed.line));
    }

    /// The next line of a file that is read for its heads and keys alone.
    pub fn head_line(&mut self, line: &[u8]) {
        self.is_extra = true;
        if has_schema(line, Head::SCHEMA) || has_schema(line, KEY_SCHEMA) {
            self.line(line, Ending::Feed);
        } else {
            self.line += 1;
        }
    }

    fn at(&self) -> At {
        At { file: u32::try_from(self.files.len().saturating_sub(1)).unwrap_or(u32::MAX), line: self.line }
    }

    fn record(&mut self, line: &[u8], ending: Ending) {
        match Linked::parse(line) {
            Ok(linked) if self.is_export && linked.links.iter().any(|link| Some(link.tenant) != self.only) => {
                self.unknown(line, ending, None);
            }
            Ok(linked) => {
                self.has_links = true;
                let at = self.at();
                for link in linked.links.iter().filter(|link| self.only.is_none_or(|only| only == link.tenant)) {
                    self.logs.entry(link.tenant).or_default().push(Entry::new(at, &linked, link), |last| repaired(&linked, link, last));
                }
            }
            Err(LineError::Malformed | LineError::Unlinked) => self.unknown(line, ending, None),
        }
    }

    fn unknown(&mut self, line: &[u8], ending: Ending, head: Option<HeadError>) {
        let at = self.at();
        self.unexplained = Some(line.to_vec());
        if head.is_some() {
            // What was in its place is not known, and one fault is enough.
            self.last_head = None;
        }
        match (ending, head) {
            // It is being written, or a crash tore it and there was no start since.
            (Ending::File, _) => self.torn += 1,
            (Ending::Feed, Some(error)) => self.bad_heads.push((at, error)),
            (Ending::Feed, None) => {
                let is_early = !self.has_links && serde_json::from_slice::<super::super::Record>(line).is_ok();
                self.odd.push(Odd { at, id: line::id_in(line), is_early, is_explained: false });
            }
        }
    }

    fn explained(&mut self, before: Option<Vec<u8>>, note: &TornNote) {
        if !before.is_some_and(|line| note.is_on(&line)) {
            return;
        }
        self.torn += 1;
        let noted = At { line: self.line - 1, ..self.at() };
        self.odd.retain(|odd| odd.at != noted);
        self.bad_heads.retain(|(at, _)| *at != noted);
    }

    /// What was found.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let mut report = Report { torn: self.torn, keys_given: !self.given_keys.is_empty(), ..Report::default() };
        let keys = if self.given_keys.is_empty() { std::mem::take(&mut self.read_keys) } else { std::mem::take(&mut self.given_keys) };
        report.keys = keys.iter().map(|key| key.id().to_owned()).collect();
        report.keys.sort_unstable();
        report.keys.dedup();
        let mut is_before_bad = false;
        for (at, head) in std::mem::take(&mut self.heads) {
            if is_before_bad {
                // What this one follows was changed, and that is said already.
                self.bad_heads.retain(|(bad, error)| *bad != at || *error != HeadError::Order);
            }
            let checked = head.check(&keys);
            is_before_bad = checked.is_err();
            match checked {
                Ok(()) if self.only.is_none_or(|only| only == head.head.tenant) => self.believe(at, head.head),
                Ok(()) => {}
                Err(error) => self.bad_heads.push((at, error)),
            }
        }
        let misplaced = log::take_misplaced(&mut self.logs);
        self.odd.extend(misplaced.into_iter().map(|(at, id)| Odd { at, id, is_early: false, is_explained: false }));
        self.odd.sort_by_key(|odd| odd.at);
        self.odd.dedup_by_key(|odd| odd.at);
        let names = fault::Names(&self.files);
        let unsealed = log::unsealed(&self.logs);
        for (tenant, lines) in &self.logs {
            let (of_log, faults) = log::judge(*tenant, lines, &mut self.odd, &unsealed, &names);
            report.logs.push(of_log);
            report.faults.extend(faults);
        }
        report.faults.extend(self.bad_heads.iter().map(|(at, error)| Fault::Head { at: names.place(*at), error: error.to_string() }));
        let left: Vec<&Odd> = self.odd.iter().filter(|odd| !odd.is_explained).collect();
        report.unlinked = left.iter().filter(|odd| odd.is_early).count() as u64;
        let added = left.iter().filter(|odd| !odd.is_early);
        report.faults.extend(added.map(|odd| Fault::Unlinked { id: odd.id, at: names.place(odd.at) }));
        report
    }

    fn believe(&mut self, at: At, head: Head) {
        if let Ok(tree) = head.tree() {
            let lines = self.logs.entry(head.tenant).or_default();
            lines.heads.push(StatedHead { at, kind: head.kind, hash: head.hash, tree, time: head.time });
        }
    }
}

/// The hash that a line would have if it named `last` as the line before it.
fn repaired(linked: &Linked<'_>, link: &Link, last: &Hash) -> Hash {
    linked.hash_of(&Link { prev: *last, ..*link })
}

fn has_schema(line: &[u8], schema: &str) -> bool {
    let after = line.strip_prefix(br#"{"schema":""#).and_then(|rest| rest.strip_prefix(schema.as_bytes()));
    after.is_some_and(|rest| rest.starts_with(b"\""))
}

fn read<T: for<'de> Deserialize<'de>>(line: &[u8], schema: &str) -> Option<T> {
    has_schema(line, schema).then(|| serde_json::from_slice(line).ok()).flatten()
}

/// The line of a public key, without its line feed.
#[must_use]
pub fn key_line(key: &PublicKey) -> String {
    crate::json::text(&KeyLine { schema: KEY_SCHEMA.to_owned(), key: key.jwk() })
}

/// The key in a line, if it is the line of one.
#[must_use]
pub fn read_key_line(line: &[u8]) -> Option<PublicKey> {
    read::<KeyLine>(line, KEY_SCHEMA).and_then(|line| PublicKey::from_jwk(&line.key).ok())
}
