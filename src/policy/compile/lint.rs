//! Grants that are allowed but probably not what was meant.

use std::collections::HashMap;

use super::Context;
use super::grants::Written;
use crate::delegation::{OriginKind, Window};
use crate::ids::PrincipalId;
use crate::policy::diagnostics::Diagnostic;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

pub(super) fn check(context: &mut Context<'_>, written: &[Written]) {
    shadowed(context, written);
    on_request_without_standing(context, written);
}

/// Warns of grants that another one already includes.
fn shadowed(context: &mut Context<'_>, written: &[Written]) {
    // Only grants of one role to one principal in one subscription can shadow each other, which keeps the lists short.
    for mut here in by_place(written) {
        here.sort_by_key(|written| (written.grant.principal, written.grant.role));
        for alike in here.chunk_by(|a, b| a.grant.principal == b.grant.principal && a.grant.role == b.grant.role) {
            for (at, grant) in alike.iter().enumerate() {
                let mut earlier = alike.iter().take(at);
                if let Some((wide, narrow)) = earlier.find_map(|other| order(other, grant)) {
                    warn_shadowed(context, wide, narrow);
                }
            }
        }
    }
}

/// The grants of each subscription, and those of each tenant above its subscriptions, in the order of the files.
fn by_place(written: &[Written]) -> Vec<Vec<&Written>> {
    let mut places: Vec<Vec<&Written>> = Vec::new();
    let mut known: Map<_, usize> = Map::default();
    for grant in written {
        let next = places.len();
        let at = *known.entry((grant.grant.scope.subscription_id(), grant.owner)).or_insert(next);
        match places.get_mut(at) {
            Some(here) => here.push(grant),
            None => places.push(vec![grant]),
        }
    }
    places
}

fn warn_shadowed(context: &mut Context<'_>, wide: &Written, narrow: &Written) {
    let diagnostic = Diagnostic::warning("grant.shadowed", "this grant adds nothing");
    context.push(if wide.span == narrow.span {
        diagnostic.at(narrow.span.clone(), "on one of its scopes").help("remove the scope that lies inside another one")
    } else {
        let diagnostic = diagnostic.at(narrow.span.clone(), "not needed");
        diagnostic.with(wide.span.clone(), "the same role for the same principal, as wide or wider").help("remove it")
    });
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
    let in_time = match (*wide.grant.window, *narrow.grant.window) {
        (Window::Suspended | Window::Unused { .. }, _) | (_, Window::Suspended | Window::Unused { .. }) => false,
        (Window::Standing, _) => true,
        (wide, narrow) => wide == narrow,
    };
    // Two offers may say the same, and what one gives stays when the other ends.
    in_time && wide.grant.origin.kind == narrow.grant.origin.kind && wide.grant.scope.covers(&narrow.grant.scope)
}

/// Warns of roles on request for somebody who cannot even see the scope: then nobody can find what to ask for.
/// Source: Azure Lighthouse, "Create eligible authorizations", a permanent Reader is needed as well.
fn on_request_without_standing(context: &mut Context<'_>, written: &[Written]) {
    let eligible: Vec<_> = written.iter().filter(|grant| *grant.grant.window == Window::Eligible).collect();
    let mut standing: Map<PrincipalId, Vec<&Written>> = Map::default();
    for id in eligible.iter().flat_map(|eligible| who_sees(context, eligible)) {
        standing.entry(id).or_default();
    }
    if standing.is_empty() {
        return;
    }
    for grant in written.iter().filter(|grant| matches!(*grant.grant.window, Window::Standing | Window::Between { .. })) {
        if let Some(theirs) = standing.get_mut(&grant.grant.principal) {
            theirs.push(grant);
        }
    }
    for eligible in eligible {
        let mut theirs = who_sees(context, eligible).into_iter().filter_map(|id| standing.get(&id)).flatten();
        let is_seen = theirs.any(|grant| grant.grant.scope.covers(&eligible.grant.scope));
        if !is_seen && matches!(eligible.grant.origin.kind, OriginKind::Delegation { .. }) {
            let message = format!("{} cannot see the scope before the activation", eligible.grant.origin.principal_name);
            let diagnostic = Diagnostic::warning("jit.reader", message).at(eligible.span.clone(), "on request only");
            context.push(diagnostic.help("add a standing authorization that permits to read"));
        }
    }
}

/// The principal of a grant and the groups it is in.
fn who_sees(context: &Context<'_>, grant: &Written) -> Vec<PrincipalId> {
    let principal = grant.grant.principal;
    let groups = context.people.groups(principal).into_iter().map(|object| PrincipalId { object, ..principal });
    std::iter::once(principal).chain(groups).collect()
}
