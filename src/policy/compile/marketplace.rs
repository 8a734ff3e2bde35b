//! `[[marketplace_offer]]`: plans of service providers, with their authorizations.

use std::collections::HashMap;

use super::Context;
use super::delegations::Offer;
use crate::delegation::offer::Plan;
use crate::directory::MarketplaceOffer;
use crate::ids::TenantId;
use crate::policy::diagnostics::Span;
use crate::policy::file::{self, At};
use crate::policy::parse::Entry;

pub(super) fn compile(context: &mut Context<'_>) -> Vec<MarketplaceOffer> {
    let parsed = context.parsed;
    let mut offers = Vec::new();
    let mut first: HashMap<String, Span> = HashMap::new();
    for entry in &parsed.marketplace_offers {
        let Some(offer) = offer(context, entry) else { continue };
        let identifier = offer.plan.identifier();
        if let Some(before) = first.get(&identifier.to_lowercase()) {
            context.duplicate(&format!("the plan `{identifier}`"), entry.span(), before.clone());
            continue;
        }
        first.insert(identifier.to_lowercase(), entry.span());
        offers.push(offer);
    }
    offers
}

fn offer(context: &mut Context<'_>, entry: &Entry<file::MarketplaceOffer>) -> Option<MarketplaceOffer> {
    let body = &entry.body;
    let private_to = body.private_to.as_ref().map(|tenants| tenants_of(context, entry, &tenants.value));
    let managing_tenant = context.tenant(entry.at(&body.managing_tenant), &body.managing_tenant.value)?;
    let written: Vec<At<file::Authorization>> = body.authorization.iter().map(as_of_delegation).collect();
    let offer = Offer {
        span: entry.span(),
        table: "marketplace_offer.authorization",
        name: body.plan.value.as_str().into(),
        managing_tenant,
        suspended: false,
        authorizations: &written,
    };
    let authorizations = offer.authorizations(context).into_iter().map(|(authorization, _)| authorization).collect();
    let text = |value: &At<String>| value.value.as_str().into();
    Some(MarketplaceOffer {
        plan: Plan { name: text(&body.plan), publisher: text(&body.publisher), product: text(&body.product), version: text(&body.version) },
        managing_tenant,
        authorizations,
        private_to,
    })
}

fn tenants_of(context: &mut Context<'_>, entry: &Entry<file::MarketplaceOffer>, texts: &[At<String>]) -> Vec<TenantId> {
    texts.iter().filter_map(|text| context.tenant(entry.at(text), &text.value)).collect()
}

/// A plan knows no periods: its authorizations hold as long as what is delegated by it.
fn as_of_delegation(written: &At<file::PlanAuthorization>) -> At<file::Authorization> {
    let file::PlanAuthorization { who, role, on_request } = written.value.clone();
    let value = file::Authorization { who, role, from: None, until: None, on_request, suspended: false };
    At { value, range: written.range.clone() }
}
