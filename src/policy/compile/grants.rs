//! `[[role_assignment]]`: what a tenant's own principals may do.

use std::sync::Arc;

use super::places::Place;
use super::{Context, Unknown};
use crate::delegation::{Grant, Origin, OriginKind, RoleIndex, Window};
use crate::ids::{RoleId, TenantId};
use crate::policy::diagnostics::{Diagnostic, Span};
use crate::policy::file::RoleAssignment;
use crate::policy::parse::Entry;

/// A grant as somebody wrote it, before it is handed down.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) grant: Grant,
    /// The tenant that owns the scope.
    pub(super) owner: TenantId,
    /// The entry, for later checks.
    pub(super) span: Span,
}

/// Grants for which room is made before they are looked at.
const ROOM_MAX: usize = 1 << 20;

/// The grants of all role assignments, with room for those of delegations.
pub(super) fn assignments(context: &mut Context<'_>) -> Vec<Written> {
    let parsed = context.parsed;
    // What was written may be far more than what is right.
    let mut written = Vec::with_capacity(parsed.grants().min(ROOM_MAX));
    written.extend(parsed.role_assignments.iter().filter_map(|entry| assignment(context, entry)));
    written
}

fn assignment(context: &mut Context<'_>, entry: &Entry<RoleAssignment>) -> Option<Written> {
    let body = &entry.body;
    let role = role(context, entry.at(&body.role), &body.role.value);
    let place = context.place(entry.at(&body.scope), &body.scope.value);
    let owner = place.as_ref().and_then(|place| owner(context, entry, place));
    let who = owner.and_then(|owner| context.principal(owner, entry.at(&body.who), &body.who.value));
    let (role, place, owner, who) = (role?, place?, owner?, who?);
    let origin =
        Origin { kind: OriginKind::RoleAssignment, principal_name: who.name, defined_at: context.location(&entry.span()), through: None };
    let grant = Grant { principal: who.id, role, scope: place.scope, window: Window::Standing.into(), origin: Arc::new(origin) };
    Some(Written { grant, owner, span: entry.span() })
}

/// The tenant that owns the scope: known from the scope, but for `/`.
fn owner(context: &mut Context<'_>, entry: &Entry<RoleAssignment>, place: &Place) -> Option<TenantId> {
    let body = &entry.body;
    let named = match &body.tenant {
        Some(tenant) => Some((context.tenant(entry.at(tenant), &tenant.value)?, entry.at(tenant))),
        None => None,
    };
    match (place.tenant, named) {
        (Some(owner), Some((named, span))) if owner != named => {
            let message = format!("the scope `{}` belongs to {}", body.scope.value, context.tenants.display(owner));
            let diagnostic = Diagnostic::error("role_assignment.tenant", message).at(span, "another tenant");
            context.push(diagnostic.with(entry.at(&body.scope), "because of this scope"));
            None
        }
        (Some(owner), _) => Some(owner),
        (None, Some((named, _))) => Some(named),
        (None, None) => {
            let diagnostic = Diagnostic::error("role_assignment.tenant", "the root `/` of which tenant?");
            context.push(diagnostic.at(entry.at(&body.scope), "every tenant has one").help("add tenant = \"…\""));
            None
        }
    }
}

/// The built-in role of this name or GUID. `None` has been reported.
pub(super) fn role(context: &mut Context<'_>, span: Span, text: &str) -> Option<RoleIndex> {
    let roles = context.roles;
    let by_id = || text.parse::<RoleId>().ok().and_then(|id| roles.by_id(id));
    let role = roles.by_name(text).or_else(by_id);
    if role.is_none() {
        let unknown = Unknown {
            code: "role.unknown",
            noun: "role",
            tables: &[],
            label: "no built-in role has this name or GUID",
            help: "names and GUIDs are those of Azure's built-in roles; custom roles cannot be used",
        };
        context.unknown(&unknown, span, text, || roles.suggest(text));
    }
    role
}
