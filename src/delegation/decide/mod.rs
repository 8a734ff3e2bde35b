//! The decision: the one evaluator behind gateway, command line and what-if.
//!
//! Deny assignments come first; then each action needs one grant in force that covers the scope and whose role permits the
//! action. What is not permitted is denied. Nothing here allocates when the answer is yes.

mod explain;
mod views;

use std::sync::Arc;

use super::roles::RoleCatalogue;
use super::{DenyAssignment, Grant, Origin, RoleIndex, SourceLocation};
use crate::arm::action::Action;
use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::ids::PrincipalId;

pub use views::{Considered, nearest, permissions, scopes_below};

/// So many grants are read from the first to the last: a processor fetches those ahead of time, and what a search jumps to it does not.
const READ_THROUGH_MAX: usize = 32;

/// What is asked: may any of these principals do all of this here, now?
#[derive(Debug, Clone, Copy)]
pub struct Question<'q> {
    /// The caller and the groups it is in, all of one tenant, sorted.
    pub principals: &'q [PrincipalId],
    /// All of them are needed; a question without actions is denied.
    pub actions: &'q [Action],
    /// Where.
    pub scope: &'q Scope,
    /// When.
    pub now: Timestamp,
}

/// The answer.
#[derive(Debug, Clone)]
pub enum Decision<'g> {
    /// No, and why.
    Deny(DenyReason),
    /// Yes.
    Permit {
        /// The evidence: the grant that permits the first of the actions.
        grant: &'g Grant,
    },
}

/// Why something is denied. The variants are in the order in which they are looked for, not sorted: the first that holds is
/// the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DenyReason {
    /// A deny assignment matches: no grant helps.
    #[error("the deny assignment `{name}` forbids `{action}` here")]
    DenyAssignment {
        /// Its display name.
        name: Arc<str>,
        /// The forbidden action.
        action: Action,
        /// Where the policy says so.
        defined_at: SourceLocation,
    },
    /// The caller's tenant holds no grant in this subscription or group at all.
    #[error("nothing is delegated to the caller's tenant here")]
    NoDelegation,
    /// The caller's tenant holds grants in the subscription, but none that covers the scope.
    #[error("what is delegated to the caller's tenant does not cover this scope")]
    ScopeNotCovered,
    /// Every grant of the caller's tenant that covers the scope is suspended.
    #[error("the delegation is suspended")]
    Suspended {
        /// One of them.
        origin: Arc<Origin>,
    },
    /// Every grant of the caller's tenant that covers the scope has ended.
    #[error("the delegation ended at {until}")]
    Expired {
        /// When the last of them ended.
        until: Timestamp,
        /// That grant.
        origin: Arc<Origin>,
    },
    /// Others of the caller's tenant hold grants that cover the scope, the caller and its groups do not.
    #[error("neither the caller nor a group it is in holds a grant here")]
    OtherPrincipals {
        /// Whose grants they are, by the names the policy gives them; at most a few.
        holders: Vec<Arc<str>>,
    },
    /// The caller's roles permit the action only under a condition, and conditions are not evaluated.
    #[error("a role permits `{action}` only under a condition, which is not evaluated")]
    Condition {
        /// The action.
        action: Action,
        /// The role with the condition.
        role: RoleIndex,
        /// Why the caller holds it.
        origin: Arc<Origin>,
    },
    /// No role of the caller's that covers the scope permits the action.
    #[error("no role that the caller holds here permits `{action}`")]
    ActionMissing {
        /// The first action that is missing.
        action: Action,
        /// What the caller holds here, in no order; at most a few.
        held: Vec<RoleIndex>,
    },
    /// An eligible role would permit the action once it is activated.
    #[error("the role that permits `{action}` is eligible and not active")]
    NotActive {
        /// The action.
        action: Action,
        /// The eligible role.
        role: RoleIndex,
        /// Why the caller may activate it.
        origin: Arc<Origin>,
    },
    /// The grant that would permit the action is not in force yet.
    #[error("the grant that permits `{action}` begins at {from}")]
    NotStarted {
        /// The action.
        action: Action,
        /// When it begins.
        from: Timestamp,
        /// That grant.
        origin: Arc<Origin>,
    },
    /// The grant that would permit the action has ended, while others are in force.
    #[error("the grant that permitted `{action}` ended at {until}")]
    GrantExpired {
        /// The action.
        action: Action,
        /// When it ended.
        until: Timestamp,
        /// That grant.
        origin: Arc<Origin>,
    },
    /// Nobody used the delegation for so long that the grant that would permit the action counts no more.
    #[error("nobody used the delegation for as long as its offer allows; it ended at {since}")]
    Unused {
        /// When it ended.
        since: Timestamp,
        /// That grant.
        origin: Arc<Origin>,
    },
    /// The grant that would permit the action is suspended, while others are in force.
    #[error("the grant that permits `{action}` is suspended")]
    GrantSuspended {
        /// The action.
        action: Action,
        /// That grant.
        origin: Arc<Origin>,
    },
}

impl DenyReason {
    /// The stable name of the reason, in records, metrics, error bodies and documents. The part before the dot is the check
    /// that failed.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::DenyAssignment { .. } => "role.deny_assignment",
            Self::NoDelegation | Self::ScopeNotCovered => "delegation.none",
            Self::Suspended { .. } | Self::GrantSuspended { .. } => "delegation.suspended",
            Self::Expired { .. } | Self::GrantExpired { .. } => "delegation.expired",
            Self::Unused { .. } => "delegation.unused",
            Self::OtherPrincipals { .. } => "role.principal",
            Self::Condition { .. } => "role.condition",
            Self::ActionMissing { .. } => "role.action_missing",
            Self::NotActive { .. } | Self::NotStarted { .. } => "role.not_active",
        }
    }
}

/// Decides one question. `grants` are sorted by principal.
#[must_use]
pub fn decide<'g>(grants: &'g [Grant], denies: &[DenyAssignment], roles: &RoleCatalogue, question: &Question<'_>) -> Decision<'g> {
    if let Some(reason) = denied(denies, question) {
        return Decision::Deny(reason);
    }
    let mut evidence = None;
    for action in question.actions {
        let Some(grant) = permitting(grants, roles, question, action) else {
            return Decision::Deny(explain::explain(grants, roles, question, action));
        };
        evidence = evidence.or(Some(grant));
    }
    evidence.map_or(Decision::Deny(DenyReason::NoDelegation), |grant| Decision::Permit { grant })
}

fn denied(denies: &[DenyAssignment], question: &Question<'_>) -> Option<DenyReason> {
    let mut binding = denies.iter().filter(|deny| binds(deny, question.principals) && deny.scope.covers(question.scope));
    binding.find_map(|deny| {
        let action = question.actions.iter().find(|action| deny.actions.permits(action))?;
        Some(DenyReason::DenyAssignment { name: Arc::clone(&deny.name), action: action.clone(), defined_at: deny.defined_at.clone() })
    })
}

fn binds(deny: &DenyAssignment, principals: &[PrincipalId]) -> bool {
    !deny.excluded.iter().any(|excluded| principals.contains(excluded))
}

fn permitting<'g>(grants: &'g [Grant], roles: &RoleCatalogue, question: &Question<'_>, action: &Action) -> Option<&'g Grant> {
    let granting = roles.granting(action);
    let permits = |grant: &&Grant| {
        granting.contains(grant.role)
            && grant.window.contains(question.now)
            && grant.scope.covers(question.scope)
            && !roles.constrains(grant, action)
            && grant.is_held_by(question.principals)
    };
    given(grants, question.principals).find(permits)
}

/// The grants that these principals hold.
fn held<'g>(grants: &'g [Grant], principals: &[PrincipalId]) -> impl Iterator<Item = &'g Grant> {
    given(grants, principals).filter(|grant| grant.is_held_by(principals))
}

/// The grants to these principals, in the order of the grants; one through a group that the caller has left among them.
fn given<'g>(grants: &'g [Grant], principals: &[PrincipalId]) -> impl Iterator<Item = &'g Grant> {
    let (read, searched) = if grants.len() <= READ_THROUGH_MAX { (grants, &[][..]) } else { (&[][..], grants) };
    let found = principals.iter().flat_map(move |principal| {
        let start = searched.partition_point(|grant| grant.principal < *principal);
        searched.iter().skip(start).take_while(move |grant| grant.principal == *principal)
    });
    read.iter().filter(|grant| principals.binary_search(&grant.principal).is_ok()).chain(found)
}

#[cfg(test)]
mod tests;
