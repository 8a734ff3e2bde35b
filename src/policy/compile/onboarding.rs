//! `[[onboarding]]`: which managing tenants a customer's subscriptions may be delegated to.

use std::collections::HashMap;

use super::Context;
use crate::directory::AllowedManagers;
use crate::ids::TenantId;
use crate::policy::diagnostics::{Diagnostic, Span};
use crate::policy::file::{self, At};
use crate::policy::parse::Entry;

/// By customer.
pub(super) type ManagingTenants = HashMap<TenantId, AllowedManagers, foldhash::fast::RandomState>;

pub(super) fn compile(context: &mut Context<'_>) -> ManagingTenants {
    let parsed = context.parsed;
    let mut lists = ManagingTenants::default();
    let mut first: HashMap<TenantId, Span> = HashMap::new();
    for entry in &parsed.onboarding {
        let managing = entry.body.managing_tenants.value.iter().filter_map(|text| managing_tenant(context, entry, text));
        let managing: Vec<TenantId> = managing.collect();
        let span = entry.at(&entry.body.tenant);
        let Some(customer) = context.tenant(span.clone(), &entry.body.tenant.value) else { continue };
        if let Some(before) = first.get(&customer) {
            let what = format!("the list of managing tenants of {}", context.tenants.display(customer));
            context.duplicate(&what, span, before.clone());
            continue;
        }
        first.insert(customer, span);
        let defined_at = context.location(&entry.span());
        lists.insert(customer, AllowedManagers { tenants: managing, defined_at });
    }
    lists
}

/// A provider may have to be named before it is known here. `None` has been reported.
fn managing_tenant(context: &mut Context<'_>, entry: &Entry<file::Onboarding>, text: &At<String>) -> Option<TenantId> {
    match text.value.parse() {
        Ok(id) => Some(id),
        Err(_not_an_id) => context.tenant(entry.at(text), &text.value),
    }
}

/// Reports a delegation to a tenant that the customer's list does not name.
pub(super) fn refuse_others(
    context: &mut Context<'_>,
    entry: &Entry<file::Delegation>,
    managing_tenant: TenantId,
    allowed: Option<&AllowedManagers>,
) {
    let Some(allowed) = allowed.filter(|allowed| !allowed.tenants.contains(&managing_tenant)) else { return };
    let message = format!("nothing may be delegated to {} here", context.tenants.display(managing_tenant));
    let label = format!("not among the managing tenants of {}:{}", allowed.defined_at.file, allowed.defined_at.line);
    let diagnostic = Diagnostic::error("delegation.managing_tenant", message).at(entry.at(&entry.body.managing_tenant), label);
    context.push(diagnostic.help("add the tenant to managing_tenants of that [[onboarding]], or remove the delegation"));
}
