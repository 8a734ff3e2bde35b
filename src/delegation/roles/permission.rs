//! Permission blocks: what a role definition permits.

use std::sync::Arc;

use super::pattern::{NotAPattern, Pattern};
use crate::arm::action::Action;

/// One permission block: actions minus not-actions. What one block takes out another block, or another role, may still permit.
///
/// Data actions are carried to be shown and to refuse a delegation; nothing here compares them with an action.
#[derive(Debug, Clone, Default)]
pub struct Permission {
    pub(super) actions: Vec<Arc<Pattern>>,
    pub(super) not_actions: Vec<Arc<Pattern>>,
    pub(super) data_actions: Vec<Arc<Pattern>>,
    pub(super) not_data_actions: Vec<Arc<Pattern>>,
    pub(super) condition: Option<Box<str>>,
}

impl Permission {
    /// A block without condition and data actions.
    ///
    /// # Errors
    /// At the first text that is not a pattern of actions.
    pub fn new(actions: &[impl AsRef<str>], not_actions: &[impl AsRef<str>]) -> Result<Self, NotAPattern> {
        Ok(Self { actions: parse_all(actions)?, not_actions: parse_all(not_actions)?, ..Self::default() })
    }

    /// Whether the block permits `action`. A block with a condition permits nothing: conditions are not evaluated here.
    #[must_use]
    pub fn permits(&self, action: &Action) -> bool {
        self.condition.is_none() && self.matches(action)
    }

    /// Whether the block would permit `action` if its condition held. A block without one does not permit conditionally.
    #[must_use]
    pub fn permits_conditionally(&self, action: &Action) -> bool {
        self.condition.is_some() && self.matches(action)
    }

    fn matches(&self, action: &Action) -> bool {
        self.actions.iter().any(|pattern| pattern.covers(action)) && !self.takes_out(action)
    }

    pub(super) fn takes_out(&self, action: &Action) -> bool {
        self.not_actions.iter().any(|pattern| pattern.covers(action))
    }

    /// What is permitted.
    pub fn actions(&self) -> impl ExactSizeIterator<Item = &str> {
        self.actions.iter().map(|pattern| pattern.as_str())
    }

    /// What is taken out of it again.
    pub fn not_actions(&self) -> impl ExactSizeIterator<Item = &str> {
        self.not_actions.iter().map(|pattern| pattern.as_str())
    }

    /// What the role would permit in data planes. Never granted.
    pub fn data_actions(&self) -> impl ExactSizeIterator<Item = &str> {
        self.data_actions.iter().map(|pattern| pattern.as_str())
    }

    /// What is taken out of the data actions again.
    pub fn not_data_actions(&self) -> impl ExactSizeIterator<Item = &str> {
        self.not_data_actions.iter().map(|pattern| pattern.as_str())
    }

    /// The condition under which the block applies.
    #[must_use]
    pub fn condition(&self) -> Option<&str> {
        self.condition.as_deref()
    }
}

fn parse_all(texts: &[impl AsRef<str>]) -> Result<Vec<Arc<Pattern>>, NotAPattern> {
    texts.iter().map(|text| Pattern::parse(text.as_ref()).map(Arc::new)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(permission: &Permission, action: &str, expected: bool) {
        assert_eq!(permission.permits(&action.parse().unwrap()), expected, "{action}");
    }

    #[test]
    fn not_actions_are_taken_out() {
        let block = Permission::new(&["*"], &["Microsoft.Authorization/*/Write"]).unwrap();
        check(&block, "Microsoft.Compute/virtualMachines/write", true);
        check(&block, "Microsoft.Authorization/roleAssignments/write", false);
        check(&block, "Microsoft.Authorization/roleAssignments/read", true);
    }

    #[test]
    fn a_block_with_a_condition_permits_nothing() {
        let mut block = Permission::new(&["*/read"], &[] as &[&str]).unwrap();
        block.condition = Some("@Request[x] StringEquals 'y'".into());
        check(&block, "A.B/c/read", false);
        assert!(block.permits_conditionally(&"A.B/c/read".parse().unwrap()));
        assert!(!block.permits_conditionally(&"A.B/c/write".parse().unwrap()));
    }

    #[test]
    fn a_block_with_a_broken_pattern_is_refused() {
        assert!(Permission::new(&["read all"], &[] as &[&str]).is_err());
    }
}
