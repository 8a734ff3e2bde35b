//! Grants that are allowed but probably not what was meant.

use std::collections::HashMap;

use super::Context;
use super::grants::Written;
use crate::delegation::{OriginKind, Window};
use crate::ids::PrincipalId;
use crate::policy::diagnostics::Diagnostic;

type ByPrincipal<'a> = HashMap<PrincipalId, Vec<&'a Written>>;

pub(super) fn check(context: &mut Context<'_>, written: &[Written]) {
    let mut by_principal: ByPrincipal<'_> = HashMap::new();
    for grant in written {
        by_principal.entry(grant.grant.principal).or_default().push(grant);
    }
    shadowed(context, written);
    on_request_without_standing(context, written, &by_principal);
}

/// Warns of grants that another one already includes.
fn shadowed(context: &mut Context<'_>, written: &[Written]) {
    // Only grants of one role to one principal in one subscription can shadow each other, which keeps the lists short.
    let mut alike: HashMap<_, Vec<&Written>> = HashMap::new();
    for grant in written {
        let key = (grant.grant.principal, grant.grant.role, grant.grant.scope.subscription_id(), grant.owner);
        let earlier = alike.entry(key).or_default();
        if let Some((wide, narrow)) = earlier.iter().find_map(|other| order(other, grant)) {
            let diagnostic = Diagnostic::warning("grant.shadowed", "this grant adds nothing");
            context.push(if wide.span == narrow.span {
                diagnostic.at(narrow.span.clone(), "on one of its scopes").help("remove the scope that lies inside another one")
            } else {
                let diagnostic = diagnostic.at(narrow.span.clone(), "not needed");
                diagnostic.with(wide.span.clone(), "the same role for the same principal, as wide or wider").help("remove it")
            });
        }
        earlier.push(grant);
    }
}

fn order<'a>(earlier: &'a Written, later: &'a Written) -> Option<(&'a Written, &'a Written)> {
    if includes(earlier, later) {
        Some((earlier, later))
    } else if includes(later, earlier) {
        Some((later, earlier))
    } else {
        None
    }
}

fn includes(wide: &Written, narrow: &Written) -> bool {
    let in_time = match (wide.grant.window, narrow.grant.window) {
        (Window::Suspended | Window::Unused { .. }, _) | (_, Window::Suspended | Window::Unused { .. }) => false,
        (Window::Standing, _) => true,
        (wide, narrow) => wide == narrow,
    };
    // Two offers may say the same, and what one gives stays when the other ends.
    in_time && wide.grant.origin.kind == narrow.grant.origin.kind && wide.grant.scope.covers(&narrow.grant.scope)
}

/// Warns of roles on request for somebody who cannot even see the scope: then nobody can find what to ask for.
/// Source: Azure Lighthouse, "Create eligible authorizations", a permanent Reader is needed as well.
fn on_request_without_standing(context: &mut Context<'_>, written: &[Written], by_principal: &ByPrincipal<'_>) {
    for eligible in written.iter().filter(|grant| grant.grant.window == Window::Eligible) {
        let principal = eligible.grant.principal;
        let groups = context.people.groups(principal).into_iter().map(|object| PrincipalId { object, ..principal });
        let mut theirs = std::iter::once(principal).chain(groups).filter_map(|id| by_principal.get(&id)).flatten();
        let is_seen = theirs.any(|grant| {
            matches!(grant.grant.window, Window::Standing | Window::Between { .. }) && grant.grant.scope.covers(&eligible.grant.scope)
        });
        if !is_seen && matches!(eligible.grant.origin.kind, OriginKind::Delegation { .. }) {
            let message = format!("{} cannot see the scope before the activation", eligible.grant.origin.principal_name);
            let diagnostic = Diagnostic::warning("jit.reader", message).at(eligible.span.clone(), "on request only");
            context.push(diagnostic.help("add a standing authorization that permits to read"));
        }
    }
}
