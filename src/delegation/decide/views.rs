//! Other views of the same grants: the nearest ones to a question, the places below a scope, the caller's own permissions.

use std::cmp::Reverse;

use super::{Question, held};
use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::delegation::roles::{Permission, RoleCatalogue};
use crate::delegation::{DenyAssignment, Grant, RoleIndex};
use crate::ids::{PrincipalId, TenantId};

/// A grant and which of the four conditions it meets. A grant that meets all four permits.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "four independent ticks of one table, each shown on its own")]
pub struct Considered<'g> {
    /// The grant.
    pub grant: &'g Grant,
    /// It is the caller's or one of its groups'.
    pub principal: bool,
    /// It covers the scope.
    pub scope: bool,
    /// Its role permits all actions, and so does the grant.
    pub action: bool,
    /// It is in force.
    pub in_force: bool,
}

impl Considered<'_> {
    /// How many of the four conditions are met.
    #[must_use]
    pub fn score(&self) -> u8 {
        [self.principal, self.scope, self.action, self.in_force].into_iter().map(u8::from).sum()
    }
}

/// At most `max` grants of `tenant`, those that meet the most conditions first. Among equals a grant to the caller comes
/// before one that covers the scope, before one that permits the actions; then the order of `grants` holds.
#[must_use]
pub fn nearest<'g>(
    grants: &'g [Grant],
    roles: &RoleCatalogue,
    question: &Question<'_>,
    tenant: TenantId,
    max: usize,
) -> Vec<Considered<'g>> {
    let granting: Vec<_> = question.actions.iter().map(|action| (roles.granting(action), action)).collect();
    let consider = |grant: &'g Grant| Considered {
        grant,
        principal: grant.is_held_by(question.principals),
        scope: grant.scope.covers(question.scope),
        action: granting.iter().all(|(granting, action)| granting.contains(grant.role) && !roles.constrains(grant, action)),
        in_force: grant.window.contains(question.now),
    };
    let mut considered: Vec<_> = grants.iter().filter(|grant| grant.principal.tenant == tenant).map(consider).collect();
    considered.sort_by_key(|one| Reverse((one.score(), one.principal, one.scope, one.action)));
    considered.truncate(max);
    considered
}

/// The scopes below the question's on which all its actions are permitted now: what a list above the caller's grants shows.
/// A scope inside another is left out, and so is one on which a deny assignment binds the caller. `grants` are sorted by
/// principal.
#[must_use]
pub fn scopes_below<'g>(grants: &'g [Grant], denies: &[DenyAssignment], roles: &RoleCatalogue, question: &Question<'_>) -> Vec<&'g Scope> {
    let below = held(grants, question.principals).map(|grant| &grant.scope).filter(|scope| question.scope.covers(scope));
    let permitted = below.filter(|scope| {
        let here = Question { scope, ..*question };
        super::denied(denies, &here).is_none()
            && !question.actions.is_empty()
            && question.actions.iter().all(|action| super::permitting(grants, roles, &here, action).is_some())
    });
    let mut widest: Vec<&Scope> = Vec::new();
    for scope in permitted {
        if widest.iter().all(|known| !known.covers(scope)) {
            widest.retain(|known| !scope.covers(known));
            widest.push(scope);
        }
    }
    widest
}

/// The permission blocks that principals hold on a scope now, each role once. Blocks with a condition permit nothing and are
/// left out; what a deny assignment takes away again is not.
#[must_use]
pub fn permissions<'r>(
    grants: &[Grant],
    roles: &'r RoleCatalogue,
    principals: &[PrincipalId],
    scope: &Scope,
    now: Timestamp,
) -> Vec<&'r Permission> {
    let in_force = held(grants, principals).filter(|grant| grant.window.contains(now) && grant.scope.covers(scope));
    let mut held: Vec<RoleIndex> = in_force.map(|grant| grant.role).collect();
    held.sort_unstable();
    held.dedup();
    let blocks = held.into_iter().filter_map(|role| roles.role(role)).flat_map(crate::delegation::roles::Role::permissions);
    blocks.filter(|block| block.condition().is_none()).collect()
}
