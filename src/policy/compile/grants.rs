//! `[[role_assignment]]`: what a tenant's own principals may do.

use std::sync::Arc;

use super::people::{People, Who};
use super::places::{Place, Places};
use super::tenants::Tenants;
use super::{Context, Unknown};
use crate::arm::scope::Anchor;
use crate::delegation::roles::NotDelegable;
use crate::delegation::{Grant, Origin, OriginKind, RoleIndex, Window};
use crate::ids::{RoleId, TenantId};
use crate::policy::diagnostics::{Diagnostic, Span};
use crate::policy::file::{At, RoleAssignment};
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

/// The grants of all role assignments.
pub(super) fn assignments(context: &mut Context<'_>, tenants: &Tenants, people: &People, places: &Places) -> Vec<Written> {
    let parsed = context.parsed;
    parsed.role_assignments.iter().filter_map(|entry| assignment(context, tenants, people, places, entry)).collect()
}

fn assignment(
    context: &mut Context<'_>,
    tenants: &Tenants,
    people: &People,
    places: &Places,
    entry: &Entry<RoleAssignment>,
) -> Option<Written> {
    let body = &entry.body;
    let role = role(context, entry.at(&body.role), &body.role.value);
    let place = places.resolve(context, entry.at(&body.scope), &body.scope.value);
    let owner = place.as_ref().and_then(|place| owner(context, tenants, entry, place));
    let who = owner.and_then(|owner| people.resolve(context, tenants, owner, entry.at(&body.who), &body.who.value));
    let (role, place, owner, who) = (role?, place?, owner?, who?);
    let origin = Origin { kind: OriginKind::RoleAssignment, principal_name: who.name, defined_at: context.location(&entry.span()) };
    let grant = Grant { principal: who.id, role, scope: place.scope, window: Window::Standing, origin: Arc::new(origin) };
    Some(Written { grant, owner, span: entry.span() })
}

/// The tenant that owns the scope: known from the scope, but for `/`.
fn owner(context: &mut Context<'_>, tenants: &Tenants, entry: &Entry<RoleAssignment>, place: &Place) -> Option<TenantId> {
    let body = &entry.body;
    let named = match &body.tenant {
        Some(tenant) => Some((tenants.resolve(context, entry.at(tenant), &tenant.value)?, entry.at(tenant))),
        None => None,
    };
    match (place.tenant, named) {
        (Some(owner), Some((named, span))) if owner != named => {
            let message = format!("the scope `{}` belongs to {}", body.scope.value, tenants.display(owner));
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
    let roles = Arc::clone(&context.roles);
    let by_id = text.parse::<RoleId>().ok().and_then(|id| roles.by_id(id));
    let role = by_id.or_else(|| roles.by_name(text));
    if role.is_none() {
        let unknown = Unknown {
            code: "role.unknown",
            noun: "role",
            tables: &[],
            label: "no built-in role has this name or GUID",
            help: "names and GUIDs are those of Azure's built-in roles; custom roles cannot be used",
        };
        context.unknown(&unknown, span, text, roles.suggest(text));
    }
    role
}

/// A role for a managing tenant's principal: one that may be delegated. `None` has been reported.
pub(super) fn delegable_role(context: &mut Context<'_>, entry_file: usize, role_name: &At<String>, who: &At<String>) -> Option<RoleIndex> {
    let at = |range: &std::ops::Range<usize>| Span { file: entry_file, range: range.clone() };
    let index = role(context, at(&role_name.range), &role_name.value)?;
    let Err(refusal) = context.roles.delegable(index) else { return Some(index) };
    let diagnostic = Diagnostic::error("role.excluded", refusal.to_string()).at(at(&role_name.range), "cannot be delegated");
    let diagnostic = diagnostic.with(at(&who.range), "to this principal");
    context.push(match refusal {
        NotDelegable::Constrained { .. } => diagnostic.help("a policy file has no place for those; choose a role that assigns none"),
        NotDelegable::DataAction { .. } | NotDelegable::Owner { .. } | NotDelegable::Restricted { .. } | NotDelegable::Unknown { .. } => {
            diagnostic.help("choose the role with the fewest actions that are needed")
        }
    });
    None
}

/// The scope of a delegation reaches below one subscription, as a whole or one of its groups.
pub(super) fn is_delegable(place: &Place) -> bool {
    match (place.scope.anchor(), place.scope.below()) {
        (Anchor::Subscription(_), []) => true,
        (Anchor::Subscription(_), [groups, _name]) => groups.eq_ignore_ascii_case("resourceGroups"),
        (Anchor::Subscription(_) | Anchor::ManagementGroup(_) | Anchor::Tenant, _) => false,
    }
}

/// What a principal is called in messages.
pub(super) fn called(who: &Who) -> &str {
    &who.name
}
