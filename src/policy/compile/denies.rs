//! `[[deny_assignment]]`: what nobody may do, whatever else was granted.

use std::sync::Arc;

use super::Context;
use crate::arm::scope::Scope;
use crate::delegation::DenyAssignment;
use crate::delegation::roles::{Pattern, Permission};
use crate::policy::diagnostics::Diagnostic;
use crate::policy::file::{self, At};
use crate::policy::parse::Entry;

pub(super) fn compile(context: &mut Context<'_>) -> Vec<DenyAssignment> {
    let parsed = context.parsed;
    parsed.deny_assignments.iter().filter_map(|entry| deny(context, entry)).collect()
}

fn deny(context: &mut Context<'_>, entry: &Entry<file::DenyAssignment>) -> Option<DenyAssignment> {
    let body = &entry.body;
    if body.actions.value.is_empty() {
        let diagnostic = Diagnostic::error("deny_assignment.actions", "this deny assignment denies nothing");
        context.push(diagnostic.at(entry.at(&body.actions), "name actions, or `*` for all"));
    }
    let actions = permission(context, entry);
    let place = context.place(entry.at(&body.scope), &body.scope.value)?;
    let Some(customer) = place.tenant.filter(|_| place.scope.subscription_id().is_some()) else {
        let diagnostic = Diagnostic::error("scope.kind", format!("`{}` cannot carry a deny assignment", body.scope.value));
        context.push(diagnostic.at(entry.at(&body.scope), "not in a subscription").help("write one for each subscription below it"));
        return None;
    };
    let exclude = |who: &At<String>| context.people.resolve_anywhere(context, customer, entry.at(who), &who.value).map(|who| who.id);
    Some(DenyAssignment {
        excluded: body.excluded.iter().filter_map(exclude).collect(),
        name: Arc::from(&*body.name),
        actions: actions?,
        scope: Scope::clone(&place.scope),
        defined_at: context.location(&entry.span()),
    })
}

/// The denied actions. `None` has been reported, each pattern that is none by itself.
fn permission(context: &mut Context<'_>, entry: &Entry<file::DenyAssignment>) -> Option<Permission> {
    let body = &entry.body;
    for written in body.actions.value.iter().chain(&body.not_actions) {
        if let Err(problem) = Pattern::parse(&written.value) {
            context.push(Diagnostic::error("deny_assignment.actions", problem.to_string()).at(entry.at(written), "not a pattern"));
        }
    }
    let texts = |written: &[At<String>]| written.iter().map(|written| written.value.clone()).collect::<Vec<_>>();
    Permission::new(&texts(&body.actions.value), &texts(&body.not_actions)).ok()
}
