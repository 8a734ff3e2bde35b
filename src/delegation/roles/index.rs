//! Which roles grant an action, without looking at every pattern of every role.

use std::collections::HashMap;
use std::sync::Arc;

use super::pattern::Pattern;
use super::{Hasher, Role};
use crate::arm::action::Action;
use crate::delegation::RoleIndex;

/// Roles of a set that are kept as the narrowest: as many as anybody is told.
const NARROWEST_MAX: usize = 3;

/// A set of roles of one catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSet {
    words: Box<[u64]>,
    narrowest: Box<[RoleIndex]>,
}

impl RoleSet {
    /// Some of so many roles.
    pub(super) fn of(roles: usize, some: impl IntoIterator<Item = RoleIndex>) -> Self {
        let mut set = Self::empty(roles);
        some.into_iter().for_each(|role| set.insert(role));
        set
    }

    fn empty(roles: usize) -> Self {
        Self { words: vec![0; roles.div_ceil(64)].into(), narrowest: Box::default() }
    }

    fn insert(&mut self, role: RoleIndex) {
        let (word, bit) = place(role);
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
        }
    }

    /// The same set, with those of it that can be delegated and come first in `ranked`.
    pub(super) fn ranked(mut self, ranked: &[RoleIndex]) -> Self {
        self.narrowest = ranked.iter().copied().filter(|role| self.contains(*role)).take(NARROWEST_MAX).collect();
        self
    }

    /// The roles of the set that can be delegated, the narrowest first; at most three.
    #[must_use]
    pub const fn narrowest(&self) -> &[RoleIndex] {
        &self.narrowest
    }

    /// Whether `role` is in the set.
    #[must_use]
    pub fn contains(&self, role: RoleIndex) -> bool {
        let (word, bit) = place(role);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }
}

fn place(role: RoleIndex) -> (usize, u64) {
    (usize::from(role.0 / 64), 1 << (role.0 % 64))
}

/// Every distinct pattern of actions once, under its provider, with the blocks that use it.
#[derive(Debug)]
pub(super) struct ActionIndex {
    /// Keyed by lower-cased provider.
    by_namespace: HashMap<Box<str>, Vec<Posting>, Hasher>,
    /// Patterns that leave the provider open, such as `*/read`.
    anywhere: Vec<Posting>,
}

#[derive(Debug)]
struct Posting {
    pattern: Arc<Pattern>,
    /// Role and number of the block in it.
    blocks: Vec<(RoleIndex, usize)>,
}

impl ActionIndex {
    /// Blocks with a condition grant nothing and are left out.
    pub(super) fn new(roles: &[Role]) -> Self {
        let mut blocks: HashMap<&Arc<Pattern>, Vec<(RoleIndex, usize)>, Hasher> = HashMap::default();
        for (role, definition) in (0..).map(RoleIndex).zip(roles) {
            let unconditional = definition.permissions.iter().enumerate().filter(|(_, block)| block.condition.is_none());
            for (number, block) in unconditional {
                for pattern in &block.actions {
                    blocks.entry(pattern).or_default().push((role, number));
                }
            }
        }
        let mut index = Self { by_namespace: HashMap::default(), anywhere: Vec::new() };
        for (pattern, blocks) in blocks {
            let posting = Posting { pattern: Arc::clone(pattern), blocks };
            match pattern.namespace() {
                Some(namespace) => index.by_namespace.entry(namespace.into()).or_default().push(posting),
                None => index.anywhere.push(posting),
            }
        }
        index
    }

    pub(super) fn granting(&self, action: &Action, roles: &[Role]) -> RoleSet {
        let namespace = action.key().split('/').next().unwrap_or_default();
        let near = self.by_namespace.get(namespace).map_or(&[][..], Vec::as_slice);
        let covering = near.iter().chain(&self.anywhere).filter(|posting| posting.pattern.covers(action));
        let mut set = RoleSet::empty(roles.len());
        for (role, number) in covering.flat_map(|posting| &posting.blocks) {
            let block = roles.get(usize::from(role.0)).and_then(|role| role.permissions.get(*number));
            if block.is_some_and(|block| !block.takes_out(action)) {
                set.insert(*role);
            }
        }
        set
    }
}
