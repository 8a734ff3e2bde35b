//! `marketplaceRegistrationDefinitions`: the plans that the policy files offer, and definitions made by one.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Call, OwnAnswer, OwnError};
use crate::arm::scope::Anchor;
use crate::delegation::offer::{ManagedServicesVersion, MarketplaceDefinition, RegistrationDefinition};
use crate::directory::{Directory, MarketplaceOffer, shown};
use crate::ids::TenantId;

impl Call<'_> {
    /// The plans that the caller's tenant may see.
    pub(super) fn marketplace(&self) -> OwnAnswer {
        let value: Vec<Value> = self.plans().map(|offer| self.show_plan(offer)).collect();
        OwnAnswer::ok(json!({ "value": value }))
    }

    /// The plan of this identifier, or the newest of those whose identifiers begin with it.
    pub(super) fn marketplace_definition(&self, identifier: &str) -> Result<OwnAnswer, OwnError> {
        let wanted = identifier.to_lowercase();
        let begins = |offer: &&MarketplaceOffer| {
            let full = offer.plan.identifier().to_lowercase();
            full.strip_prefix(&wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let newest = self.plans().filter(begins).max_by_key(|offer| numbers(&offer.plan.version));
        newest.map(|offer| OwnAnswer::ok(self.show_plan(offer))).ok_or_else(|| self.not_found())
    }

    fn plans(&self) -> impl Iterator<Item = &MarketplaceOffer> {
        let tenant = self.request.caller.principal.tenant;
        self.desk.context.directory.marketplace().iter().filter(move |offer| offer.is_for(tenant))
    }

    fn show_plan(&self, offer: &MarketplaceOffer) -> Value {
        let above = match self.request.scope.anchor() {
            Anchor::Tenant => String::new(),
            Anchor::ManagementGroup(_) | Anchor::Subscription(_) => self.request.scope.to_string(),
        };
        shown::marketplace_definition(&self.desk.context.directory, offer).to_arm(self.version, &above)
    }
}

/// `1.10.2` comes after `1.9`.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// The plan that a body names, where its publisher offers any here.
pub(super) fn plan_of(directory: &Directory, customer: TenantId, body: &Value) -> Result<Option<MarketplaceDefinition>, OwnError> {
    let field = |name: &str| body.pointer(&format!("/plan/{name}")).and_then(Value::as_str).unwrap_or_default();
    let [publisher, product, plan, version] = ["publisher", "product", "name", "version"].map(field);
    let same = |known: &str, sent: &str| known.eq_ignore_ascii_case(sent);
    let mut of_publisher = directory.marketplace().iter().filter(|offer| same(&offer.plan.publisher, publisher)).peekable();
    if of_publisher.peek().is_none() {
        return Ok(None);
    }
    let found = of_publisher.find(|offer| {
        let known = &offer.plan;
        offer.is_for(customer) && same(&known.product, product) && same(&known.name, plan) && same(&known.version, version)
    });
    let shown: String = format!("{publisher}.{product}.{plan}.{version}").chars().filter(|c| !c.is_control()).take(256).collect();
    let found = found.ok_or_else(|| OwnError::Plan { problem: format!("`plan`: there is no plan `{shown}` for this customer") })?;
    Ok(Some(shown::marketplace_definition(directory, found)))
}

/// The body with what the plan says where it says nothing itself.
pub(super) fn filled(body: &Value, plan: &MarketplaceDefinition, version: ManagedServicesVersion) -> Value {
    // A version that cannot say what is eligible has to refuse such a plan instead of taking half of it.
    let told = if version.allows_eligible() { version } else { ManagedServicesVersion::V20221001 };
    let offered = plan.to_arm(told, "");
    let mut body = body.clone();
    if let Some(properties) = body.get_mut("properties").and_then(Value::as_object_mut) {
        for name in ["managedByTenantId", "authorizations", "eligibleAuthorizations"] {
            if let Some(value) = offered.pointer(&format!("/properties/{name}"))
                && properties.get(name).is_none_or(Value::is_null)
            {
                properties.insert(name.to_owned(), value.clone());
            }
        }
    }
    body
}

/// What a plan gives is what its publisher offers: nothing more, nothing less.
pub(super) fn check_plan(definition: &RegistrationDefinition, plan: &MarketplaceDefinition) -> Result<(), OwnError> {
    let differs = |member: &str| {
        let problem = format!("`properties.{member}` differs from the plan `{}`; leave it out", plan.plan.identifier());
        Err(OwnError::Plan { problem })
    };
    if definition.managing_tenant != plan.managing_tenant {
        return differs("managedByTenantId");
    }
    let standing = |list: &[crate::delegation::offer::Authorization]| -> BTreeSet<_> {
        list.iter().map(|one| (one.principal, one.role, one.delegated_roles.clone())).collect()
    };
    if standing(&definition.authorizations) != standing(&plan.authorizations) {
        return differs("authorizations");
    }
    let is_offered = definition.eligible.len() == plan.eligible.len()
        && definition.eligible.iter().all(|one| {
            let same = |known: &&crate::delegation::offer::EligibleAuthorization| {
                (known.principal, known.role) == (one.principal, one.role) && known.policy.asks_the_same_as(&one.policy)
            };
            plan.eligible.iter().any(|known| same(&known))
        });
    if is_offered { Ok(()) } else { differs("eligibleAuthorizations") }
}
