//! Why a question is denied. Only asked after the answer was no.

use std::sync::Arc;

use super::{DenyReason, Question, held};
use crate::arm::action::Action;
use crate::clock::Timestamp;
use crate::delegation::roles::RoleCatalogue;
use crate::delegation::{Grant, Window};

/// How many holders or roles a reason names.
const NAMED_MAX: usize = 8;

/// The first reason that holds, in the order of the checks: the tenant's delegation first, then the caller's role.
pub(super) fn explain(grants: &[Grant], roles: &RoleCatalogue, question: &Question<'_>, action: &Action) -> DenyReason {
    let of_tenant = |grant: &&Grant| question.principals.iter().any(|principal| principal.tenant == grant.principal.tenant);
    let covers = |grant: &&Grant| grant.scope.covers(question.scope);
    let tenant = grants.iter().filter(of_tenant);
    if is_empty(&tenant) {
        return DenyReason::NoDelegation;
    }
    let covering = tenant.filter(covers);
    if is_empty(&covering) {
        return DenyReason::ScopeNotCovered;
    }
    if let Some(reason) = whole_delegation_ended(&covering, question.now) {
        return reason;
    }
    let mine: Vec<&Grant> = held(grants, question.principals).filter(covers).collect();
    if mine.is_empty() {
        return DenyReason::OtherPrincipals { holders: holders(covering) };
    }
    let granting = roles.granting(action);
    let permitting = mine.iter().copied().filter(|grant| granting.contains(grant.role) && !roles.constrains(grant, action));
    if is_empty(&permitting) {
        return no_role(&mine, roles, action);
    }
    not_in_force(&permitting, action, question.now)
        .unwrap_or_else(|| DenyReason::ActionMissing { action: action.clone(), held: held_roles(&mine) })
}

/// Some grants, looked at again rather than collected: nearly always the first one says enough.
trait Grants<'g>: Iterator<Item = &'g Grant> + Clone {}

impl<'g, I: Iterator<Item = &'g Grant> + Clone> Grants<'g> for I {}

fn is_empty<'g>(grants: &impl Grants<'g>) -> bool {
    grants.clone().next().is_none()
}

/// When every grant is over or suspended; an eligible one, or one that is still to come, is not.
fn whole_delegation_ended<'g>(grants: &impl Grants<'g>, now: Timestamp) -> Option<DenyReason> {
    let over = |grant: &Grant| match *grant.window {
        Window::Suspended | Window::Unused { .. } => true,
        Window::Between { until, .. } => until.is_some_and(|until| until <= now),
        Window::Standing | Window::Eligible => false,
    };
    if !grants.clone().all(over) {
        return None;
    }
    let suspended = grants.clone().find(|grant| *grant.window == Window::Suspended);
    match suspended {
        Some(grant) => Some(DenyReason::Suspended { origin: Arc::clone(&grant.origin) }),
        None => unused(grants)
            .or_else(|| last_ended(grants).map(|(until, grant)| DenyReason::Expired { until, origin: Arc::clone(&grant.origin) })),
    }
}

fn unused<'g>(grants: &impl Grants<'g>) -> Option<DenyReason> {
    grants.clone().find_map(|grant| match *grant.window {
        Window::Unused { since } => Some(DenyReason::Unused { since, origin: Arc::clone(&grant.origin) }),
        Window::Between { .. } | Window::Standing | Window::Eligible | Window::Suspended => None,
    })
}

fn last_ended<'g>(grants: &impl Grants<'g>) -> Option<(Timestamp, &'g Grant)> {
    let ends = grants.clone().filter_map(|grant| match *grant.window {
        Window::Between { until, .. } => until.map(|until| (until, grant)),
        Window::Standing | Window::Eligible | Window::Suspended | Window::Unused { .. } => None,
    });
    ends.max_by_key(|(until, _)| *until)
}

fn holders<'g>(grants: impl Grants<'g>) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = grants.map(|grant| Arc::clone(&grant.origin.principal_name)).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(NAMED_MAX);
    names
}

fn no_role(mine: &[&Grant], roles: &RoleCatalogue, action: &Action) -> DenyReason {
    let conditional = |grant: &&&Grant| roles.role(grant.role).is_some_and(|role| role.permits_conditionally(action));
    match mine.iter().find(conditional) {
        Some(grant) => DenyReason::Condition { action: action.clone(), role: grant.role, origin: Arc::clone(&grant.origin) },
        None => DenyReason::ActionMissing { action: action.clone(), held: held_roles(mine) },
    }
}

fn held_roles(grants: &[&Grant]) -> Vec<crate::delegation::RoleIndex> {
    let mut held: Vec<_> = grants.iter().map(|grant| grant.role).collect();
    held.sort_unstable();
    held.dedup();
    held.truncate(NAMED_MAX);
    held
}

/// What the caller can act on comes first: an activation, then waiting, then a renewal. None of the grants is in force.
fn not_in_force<'g>(grants: &impl Grants<'g>, action: &Action, now: Timestamp) -> Option<DenyReason> {
    let origin = |grant: &Grant| Arc::clone(&grant.origin);
    if let Some(grant) = grants.clone().find(|grant| *grant.window == Window::Eligible) {
        return Some(DenyReason::NotActive { action: action.clone(), role: grant.role, origin: origin(grant) });
    }
    let to_come = grants.clone().filter_map(|grant| match *grant.window {
        Window::Between { from: Some(from), until } if until.is_none_or(|until| now < until && from < until) => Some((from, grant)),
        Window::Between { .. } | Window::Standing | Window::Eligible | Window::Suspended | Window::Unused { .. } => None,
    });
    if let Some((from, grant)) = to_come.min_by_key(|(from, _)| *from) {
        return Some(DenyReason::NotStarted { action: action.clone(), from, origin: origin(grant) });
    }
    if let Some(reason) = unused(grants) {
        return Some(reason);
    }
    if let Some((until, grant)) = last_ended(grants) {
        return Some(DenyReason::GrantExpired { action: action.clone(), until, origin: origin(grant) });
    }
    let suspended = grants.clone().find(|grant| *grant.window == Window::Suspended);
    suspended.map(|grant| DenyReason::GrantSuspended { action: action.clone(), origin: origin(grant) })
}
