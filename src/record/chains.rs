//! How far each log has grown: what the next record of it is linked to.

use std::collections::HashMap;

use super::audit::{Hash, Head, LineHasher, Link, Linked, Linker, Log, Tree};

/// A log's end: about 100 bytes, and 32 for each peak of its tree, of which there are at most 64.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) tree: Tree,
    pub(super) last: Hash,
    /// Records that a head covers.
    sealed: u64,
}

impl Default for Chain {
    fn default() -> Self {
        Self { tree: Tree::default(), last: Hash::ZERO, sealed: 0 }
    }
}

/// All logs.
#[derive(Debug, Default)]
pub(super) struct Chains {
    of_log: HashMap<Log, Chain, foldhash::fast::RandomState>,
    /// Those with records that no head covers yet, each once.
    unsealed: Vec<Log>,
}

/// The state of a log that a head is to be signed for.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) log: Log,
    pub(super) tree: Tree,
    pub(super) last: Hash,
}

/// Records that a file lacks: after these many the numbers are not believed.
const GAP_MAX: u64 = 1_000_000;

impl Chains {
    /// Continues where a head that was checked says the log ended.
    pub(super) fn resume(&mut self, head: &Head) {
        if let Ok(tree) = head.tree() {
            self.of_log.insert(head.tenant, Chain { sealed: tree.size(), tree, last: head.hash });
        }
    }

    /// Appends a record to its logs. `line` ends with the record's JSON without its closing brace, of which `hasher` is the hash; the
    /// rest of the line follows, line feed included.
    pub(super) fn link(&mut self, line: &mut Vec<u8>, hasher: LineHasher, logs: (Log, Option<Log>)) {
        let mut linker = Linker::new(line, hasher);
        self.append(logs.0, &mut linker);
        if let Some(log) = logs.1 {
            self.append(log, &mut linker);
        }
        linker.end();
    }

    fn append(&mut self, log: Log, linker: &mut Linker<'_>) {
        let chain = self.of_log.entry(log).or_default();
        if chain.sealed == chain.tree.size() {
            self.unsealed.push(log);
        }
        chain.last = linker.link(&Link { tenant: log, seq: chain.tree.size() + 1, prev: chain.last });
        chain.tree.push(&chain.last);
    }

    /// Takes in a line that was found in a file. Says whether it is in a log, and whether all logs it is in go on from where they were.
    pub(super) fn find(&mut self, line: &Linked<'_>) -> bool {
        let mut is_intact = true;
        for link in &line.links {
            let chain = self.of_log.entry(link.tenant).or_default();
            if link.seq <= chain.tree.size() {
                continue;
            }
            let gap = link.seq - chain.tree.size() - 1;
            is_intact &= gap == 0 && link.prev == chain.last;
            if gap > GAP_MAX {
                continue;
            }
            if chain.sealed == chain.tree.size() {
                self.unsealed.push(link.tenant);
            }
            // What is missing has no hash. Later heads hold all the same: the verifier goes on from the first one behind the gap.
            (0..gap).for_each(|_| chain.tree.push(&Hash::ZERO));
            chain.last = line.hash_of(link);
            chain.tree.push(&chain.last);
        }
        is_intact
    }

    /// Whether heads cover everything.
    pub(super) fn is_sealed(&self) -> bool {
        self.unsealed.is_empty()
    }

    /// The logs that have grown since the last call.
    pub(super) fn take_unsealed(&mut self) -> Vec<State> {
        let logs = std::mem::take(&mut self.unsealed);
        let state = |log: Log| {
            let chain = self.of_log.get_mut(&log)?;
            chain.sealed = chain.tree.size();
            Some(State { log, tree: chain.tree.clone(), last: chain.last })
        };
        logs.into_iter().filter_map(state).collect()
    }
}
