//! One log: which of its records are there, in order, and as they were written.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::fault::{Fault, Names, Subject};
use super::{At, LogReport, Odd};
use crate::ids::RequestId;
use crate::record::audit::hash::Hash;
use crate::record::audit::head::HeadKind;
use crate::record::audit::line::{Link, Linked, Log};
use crate::record::audit::tree::Tree;

/// A record in a log.
#[derive(Debug)]
pub(super) struct Entry {
    at: At,
    seq: u64,
    prev: Hash,
    hash: Hash,
    id: Option<RequestId>,
}

/// A head whose signature was checked.
#[derive(Debug)]
pub(super) struct StatedHead {
    pub(super) at: At,
    pub(super) kind: HeadKind,
    pub(super) hash: Hash,
    pub(super) tree: Tree,
    pub(super) time: String,
}

/// What was read of a log, in the order of reading.
#[derive(Debug, Default)]
pub(super) struct LogLines {
    entries: Vec<Entry>,
    pub(super) heads: Vec<StatedHead>,
    /// For lines that do not follow the one before them: what their hash would be if they did.
    repaired: HashMap<At, Hash>,
}

impl Entry {
    pub(super) fn new(at: At, linked: &Linked<'_>, link: &Link) -> Self {
        Self { at, seq: link.seq, prev: link.prev, hash: linked.hash_of(link), id: linked.id() }
    }

    fn subject(&self, tenant: Log, names: &Names<'_>) -> Subject {
        Subject { tenant, seq: self.seq, id: self.id, at: names.place(self.at) }
    }
}

impl LogLines {
    pub(super) fn push(&mut self, entry: Entry, repaired: impl FnOnce(&Hash) -> Hash) {
        let last = self.entries.last().map_or(Hash::ZERO, |last| last.hash);
        if entry.prev != last {
            self.repaired.insert(entry.at, repaired(&last));
        }
        self.entries.push(entry);
    }
}

/// Takes out the lines whose place in a log is not theirs: the line they name as the one before them stands elsewhere, or their
/// place is taken by one that is vouched for.
pub(super) fn take_misplaced(logs: &mut BTreeMap<Log, LogLines>) -> Vec<(At, Option<RequestId>)> {
    if logs.values().all(LogLines::is_unbroken) {
        return Vec::new();
    }
    let known: HashMap<Hash, (Log, u64)> =
        logs.iter().flat_map(|(log, lines)| lines.entries.iter().map(|entry| (entry.hash, (*log, entry.seq)))).collect();
    let mut taken = Vec::new();
    for (log, lines) in logs {
        let places = lines.misplaced(*log, &known);
        let (out, kept) = std::mem::take(&mut lines.entries).into_iter().partition(|entry| places.contains(&entry.at));
        lines.entries = kept;
        taken.extend(out.into_iter().map(|entry: Entry| (entry.at, entry.id)));
    }
    taken
}

/// A record in a log without a head: that is where a record goes whose tenant was changed.
pub(super) struct UnsealedPlace {
    log: Log,
    seq: u64,
    at: At,
    id: Option<RequestId>,
}

/// All of them.
pub(super) fn unsealed(logs: &BTreeMap<Log, LogLines>) -> Vec<UnsealedPlace> {
    let without_head = logs.iter().filter(|(_, lines)| lines.heads.is_empty());
    let places = without_head.flat_map(|(log, lines)| lines.entries.iter().map(|entry| (*log, entry)));
    places.map(|(log, entry)| UnsealedPlace { log, seq: entry.seq, at: entry.at, id: entry.id }).collect()
}

impl LogLines {
    fn removed(&self) -> Option<&StatedHead> {
        self.heads.iter().filter(|head| head.kind == HeadKind::Cut).max_by_key(|head| head.tree.size())
    }

    fn is_unbroken(&self) -> bool {
        let start = self.removed().map_or((0, Hash::ZERO), |cut| (cut.tree.size(), cut.hash));
        let mut before = (self.entries.first().map_or(start.0, |first| first.seq.min(start.0 + 1) - 1), start.1);
        self.entries.iter().enumerate().all(|(at, entry)| {
            let follows = entry.seq == before.0 + 1 && (entry.prev == before.1 || (at == 0 && entry.seq <= start.0));
            before = (entry.seq, entry.hash);
            follows
        })
    }

    /// What others say the hash of a record is.
    fn claims(&self) -> HashMap<u64, Vec<Claim>> {
        let mut claims: HashMap<u64, Vec<Claim>> = HashMap::new();
        for head in &self.heads {
            claims.entry(head.tree.size()).or_default().push(Claim { hash: head.hash, by: Witness::Head });
        }
        for entry in &self.entries {
            claims.entry(entry.seq.saturating_sub(1)).or_default().push(Claim { hash: entry.prev, by: Witness::Next(entry.at) });
        }
        claims
    }

    fn misplaced(&self, log: Log, known: &HashMap<Hash, (Log, u64)>) -> BTreeSet<At> {
        let claims = self.claims();
        let is_claimed = |entry: &&Entry| claims.get(&entry.seq).is_some_and(|claims| claims.iter().any(|claim| claim.hash == entry.hash));
        let follows = |entry: &&Entry| match known.get(&entry.prev) {
            Some(place) => *place == (log, entry.seq.saturating_sub(1)),
            None => entry.prev != Hash::ZERO || entry.seq == 1,
        };
        let mut misplaced = BTreeSet::new();
        let mut of_seq: BTreeMap<u64, &Entry> = BTreeMap::new();
        for entry in &self.entries {
            if !is_claimed(&entry) && !follows(&entry) {
                misplaced.insert(entry.at);
                continue;
            }
            let Some(other) = of_seq.insert(entry.seq, entry) else { continue };
            let rank = |entry: &Entry| (is_claimed(&entry), follows(&entry));
            let worse = if rank(entry) > rank(other) { other } else { entry };
            let better = if rank(entry) > rank(other) { entry } else { other };
            of_seq.insert(entry.seq, better);
            misplaced.insert(worse.at);
        }
        misplaced
    }
}

#[derive(Debug, Clone, Copy)]
struct Claim {
    hash: Hash,
    by: Witness,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Witness {
    Head,
    /// The record after it, which stands here.
    Next(At),
}

/// Looks at one log.
pub(super) fn judge(
    tenant: Log,
    lines: &LogLines,
    odd: &mut [Odd],
    unsealed: &[UnsealedPlace],
    names: &Names<'_>,
) -> (LogReport, Vec<Fault>) {
    let mut judge = Judge::new(tenant, lines, names);
    judge.find_missing(odd, unsealed);
    judge.find_moved();
    judge.find_changed();
    judge.compare_heads();
    (judge.report(), judge.faults)
}

struct Judge<'a> {
    tenant: Log,
    lines: &'a LogLines,
    names: &'a Names<'a>,
    /// What has been removed by retention.
    removed: Option<&'a StatedHead>,
    entries: BTreeMap<u64, &'a Entry>,
    claims: HashMap<u64, Vec<Claim>>,
    changed: BTreeSet<u64>,
    faults: Vec<Fault>,
}

impl<'a> Judge<'a> {
    fn new(tenant: Log, lines: &'a LogLines, names: &'a Names<'a>) -> Self {
        let removed = lines.removed();
        let first = removed.map_or(0, |cut| cut.tree.size()) + 1;
        // Removal is signed first and done afterwards: what is left of it counts as removed.
        let entries = lines.entries.iter().filter(|entry| entry.seq >= first).map(|entry| (entry.seq, entry)).collect();
        Self { tenant, lines, names, removed, entries, claims: lines.claims(), changed: BTreeSet::new(), faults: Vec::new() }
    }

    fn first(&self) -> u64 {
        self.removed.map_or(0, |cut| cut.tree.size()) + 1
    }

    fn last(&self) -> u64 {
        self.entries.keys().next_back().copied().unwrap_or_else(|| self.first() - 1)
    }

    fn sealed(&self) -> Option<&'a StatedHead> {
        self.lines.heads.iter().max_by_key(|head| head.tree.size())
    }

    /// A gap in the numbers. Where lines that belong to no log stand in the gap, they are what is left of the records.
    fn find_missing(&mut self, odd: &mut [Odd], unsealed: &[UnsealedPlace]) {
        let end = self.sealed().map_or(0, |head| head.tree.size()).max(self.last()) + 1;
        let mut expected = self.first();
        let mut after: Option<At> = None;
        let numbers: Vec<(u64, Option<At>)> = self.entries.iter().map(|(seq, entry)| (*seq, Some(entry.at))).chain([(end, None)]).collect();
        for (seq, at) in numbers {
            if seq > expected {
                self.missing(Gap { from: expected, to: seq - 1, after, before: at }, odd, unsealed);
            }
            expected = seq + 1;
            after = at;
        }
    }

    fn missing(&mut self, mut gap: Gap, odd: &mut [Odd], unsealed: &[UnsealedPlace]) {
        let remains: Vec<(At, Option<RequestId>)> = odd
            .iter_mut()
            .filter(|odd| gap.holds(odd.at))
            .map(|odd| {
                odd.is_explained = true;
                (odd.at, odd.id)
            })
            .collect();
        let is_it = |place: &&UnsealedPlace| place.log != self.tenant && place.seq == gap.from && gap.holds(place.at);
        let moved_away = unsealed.iter().filter(is_it).map(|place| (place.at, place.id));
        let remains = if remains.is_empty() { moved_away.collect() } else { remains };
        for (at, id) in remains {
            if gap.from > gap.to {
                break;
            }
            self.faults.push(Fault::Changed(Subject { tenant: self.tenant, seq: gap.from, id, at: self.names.place(at) }));
            gap.from += 1;
        }
        if gap.from <= gap.to {
            let place = |at: Option<At>| at.map(|at| self.names.place(at));
            self.faults.push(Fault::Missing {
                tenant: self.tenant,
                from: gap.from,
                to: gap.to,
                after: place(gap.after),
                before: place(gap.before),
            });
        }
    }

    fn find_moved(&mut self) {
        let kept: Vec<&Entry> = self.lines.entries.iter().filter(|entry| entry.seq >= self.first()).collect();
        for pair in kept.windows(2) {
            let [before, entry] = pair else { continue };
            if entry.seq < before.seq {
                self.faults.push(Fault::Reordered {
                    record: entry.subject(self.tenant, self.names),
                    behind: before.subject(self.tenant, self.names),
                });
            }
        }
    }

    fn find_changed(&mut self) {
        let start = self.removed.map_or(Hash::ZERO, |cut| cut.hash);
        let first = self.first();
        if let Some(entry) = self.entries.get(&first)
            && entry.prev != start
        {
            self.changed.insert(first);
        }
        for (seq, entry) in &self.entries {
            let claims = self.claims.get(seq).map_or(&[][..], Vec::as_slice);
            let (right, wrong): (Vec<Claim>, Vec<Claim>) = claims.iter().partition(|claim| claim.hash == entry.hash);
            if wrong.is_empty() {
                continue;
            }
            let is_next_wrong = !right.is_empty() || self.is_next_repaired(*seq, &wrong);
            self.changed.insert(if is_next_wrong { seq + 1 } else { *seq });
        }
        for seq in &self.changed {
            let Some(entry) = self.entries.get(seq) else { continue };
            self.faults.push(Fault::Changed(entry.subject(self.tenant, self.names)));
        }
    }

    /// Whether the record after this one is as it was written when it names this one: then only its link was changed.
    fn is_next_repaired(&self, seq: u64, wrong: &[Claim]) -> bool {
        let [Claim { by: Witness::Next(at), .. }] = wrong else { return false };
        let Some(repaired) = self.lines.repaired.get(at) else { return false };
        self.claims.get(&(seq + 1)).is_some_and(|claims| claims.iter().any(|claim| claim.hash == *repaired))
    }

    /// Builds the tree from what the lines should be and compares it with every head.
    fn compare_heads(&mut self) {
        let mut heads: Vec<&StatedHead> = self.lines.heads.iter().filter(|head| head.tree.size() >= self.first() - 1).collect();
        heads.sort_by_key(|head| head.tree.size());
        let mut tree = Some(self.removed.map_or_else(Tree::default, |cut| cut.tree.clone()));
        let mut agreed = self.first() - 1;
        for head in heads {
            let to = head.tree.size();
            for seq in agreed + 1..=to {
                tree = tree.zip(self.written(seq)).map(|(mut tree, hash)| {
                    tree.push(&hash);
                    tree
                });
                if tree.is_none() {
                    break;
                }
            }
            if tree.as_ref().is_some_and(|tree| *tree != head.tree) {
                let head = self.names.place(head.at);
                self.faults.push(Fault::Contradicted { tenant: self.tenant, from: agreed.min(to - 1) + 1, to, head });
            }
            tree = Some(head.tree.clone());
            agreed = to;
        }
    }

    /// The hash of the record as it was written, as far as that is known.
    fn written(&self, seq: u64) -> Option<Hash> {
        let claims = self.claims.get(&seq).map_or(&[][..], Vec::as_slice);
        let by_head = claims.iter().find(|claim| claim.by == Witness::Head);
        let by_next = claims.iter().find(|_| !self.changed.contains(&(seq + 1)));
        let own = self.entries.get(&seq).filter(|_| !self.changed.contains(&seq)).map(|entry| entry.hash);
        by_head.map(|claim| claim.hash).or(own).or_else(|| by_next.map(|claim| claim.hash))
    }

    fn report(&self) -> LogReport {
        let sealed = self.sealed();
        LogReport {
            tenant: self.tenant,
            first: self.first(),
            last: self.last(),
            records: self.entries.len() as u64,
            sealed: sealed.map_or(0, |head| head.tree.size()),
            sealed_at: sealed.map(|head| head.time.clone()),
            root: sealed.map(|head| head.tree.root()),
        }
    }
}

struct Gap {
    from: u64,
    to: u64,
    after: Option<At>,
    before: Option<At>,
}

impl Gap {
    fn holds(&self, at: At) -> bool {
        self.after.is_none_or(|after| after < at) && self.before.is_none_or(|before| at < before)
    }
}
