//! `customers` and `serviceProviders`: the same delegations, seen from either side.
//!
//! A delegation is shown to whoever may read it on its scope, as in the lists of `Microsoft.ManagedServices`. Everybody else of the
//! managing tenant learns which customers there are and how much they delegated; of the customer's tenant nobody else learns anything.

use std::collections::{BTreeMap, BTreeSet};

use super::delegations::{Bound, bound};
use super::shapes::{List, Offer, Partner};
use super::{Call, OwnAnswer, OwnError, READ_DELEGATIONS, document, is_reachable, item};
use crate::directory::Subscription;
use crate::ids::TenantId;
use crate::management::pages::{self, Left};

const CUSTOMERS: &str = "Steward.Delegation/customers";
/// Each with its delegations, by tenant id; those of one page by name.
const PARTNERS_PER_PAGE: usize = 100;
const SERVICE_PROVIDERS: &str = "Steward.Delegation/serviceProviders";

impl Call<'_> {
    pub(super) fn customers(&self) -> Result<OwnAnswer, OwnError> {
        let last = self.shown_so_far()?;
        let mut owners: BTreeMap<TenantId, Vec<&Subscription>> = BTreeMap::new();
        for subscription in self.directory().reach(self.home()).filter(|found| last.is_none_or(|last| found.tenant > last)) {
            owners.entry(subscription.tenant).or_default().push(subscription);
        }
        let customers =
            owners.into_iter().map(|(tenant, owned)| (tenant, owned.into_iter().flat_map(|one| self.ours(one)).collect::<Vec<_>>()));
        Ok(self.page(CUSTOMERS, customers.filter(|(_, bound)| !bound.is_empty())))
    }

    pub(super) fn customer(&self, tenant: &str) -> Result<OwnAnswer, OwnError> {
        let tenant = tenant.parse().ok();
        self.one(CUSTOMERS, tenant.map(|tenant| (tenant, self.of_customer(tenant))))
    }

    pub(super) fn service_providers(&self) -> Result<OwnAnswer, OwnError> {
        let last = self.shown_so_far()?;
        let providers = self.of_service_providers().into_iter();
        Ok(self.page(SERVICE_PROVIDERS, providers.filter(|(tenant, _)| last.is_none_or(|last| *tenant > last))))
    }

    pub(super) fn service_provider(&self, tenant: &str) -> Result<OwnAnswer, OwnError> {
        let tenant = tenant.parse().ok();
        self.one(SERVICE_PROVIDERS, tenant.and_then(|tenant| self.of_service_providers().remove_entry(&tenant)))
    }

    /// The partner that the page before ended with.
    fn shown_so_far(&self) -> Result<Option<TenantId>, OwnError> {
        pages::shown_so_far(self.request)?.map(|last| last.parse().map_err(|_cause| pages::foreign())).transpose()
    }

    /// As many partners as fit on a page, of those that come by tenant id. On the page they stand by name.
    fn page<'d>(&self, kind: &'static str, partners: impl Iterator<Item = (TenantId, Vec<Bound<'d>>)>) -> OwnAnswer {
        let (mut value, mut left, mut last, mut next_link) = (Vec::new(), Left::default(), None, None);
        for (tenant, bound) in partners {
            let partner = item(kind, tenant, self.partner(tenant, bound));
            if value.len() >= PARTNERS_PER_PAGE || !left.takes(&partner) {
                next_link = last.map(|last: TenantId| pages::next_link(self.request, &pages::token(&last.to_string())));
                break;
            }
            last = Some(tenant);
            value.push(partner);
        }
        value.sort_by(|a, b| a.properties.display_name.cmp(&b.properties.display_name).then(a.name.cmp(&b.name)));
        document(&List { value, next_link })
    }

    /// What one customer delegated to the caller's tenant. Its own subscriptions are looked at, for the caller's may be many more.
    fn of_customer(&self, tenant: TenantId) -> Vec<Bound<'_>> {
        let owned = self.directory().reach(tenant).filter(|found| found.tenant == tenant);
        owned.flat_map(|subscription| self.ours(subscription)).collect()
    }

    /// What is delegated to the caller's tenant in a subscription of somebody else.
    fn ours<'d>(&self, subscription: &'d Subscription) -> Vec<Bound<'d>>
    where
        Self: 'd,
    {
        let directory = self.directory();
        if subscription.tenant == self.home() || !is_reachable(directory, subscription.tenant) {
            return Vec::new();
        }
        bound(directory, subscription).into_iter().filter(|one| one.definition.body.managing_tenant == self.home()).collect()
    }

    /// What the caller's tenant delegated and the caller may read, by managing tenant.
    fn of_service_providers(&self) -> BTreeMap<TenantId, Vec<Bound<'_>>> {
        let directory = self.directory();
        let mut by_tenant: BTreeMap<TenantId, Vec<Bound<'_>>> = BTreeMap::new();
        for subscription in directory.reach(self.home()).filter(|found| found.tenant == self.home()) {
            for one in bound(directory, subscription).into_iter().filter(|one| self.may_read(one)) {
                by_tenant.entry(one.definition.body.managing_tenant).or_default().push(one);
            }
        }
        by_tenant
    }

    fn may_read(&self, one: &Bound<'_>) -> bool {
        self.may(READ_DELEGATIONS, &one.assignment.body.scope)
    }

    fn one(&self, kind: &'static str, found: Option<(TenantId, Vec<Bound<'_>>)>) -> Result<OwnAnswer, OwnError> {
        let (id, bound) = found.filter(|(_, bound)| !bound.is_empty()).ok_or_else(|| self.not_found())?;
        Ok(document(&item(kind, id, self.partner(id, bound))))
    }

    fn partner(&self, tenant: TenantId, mut bound: Vec<Bound<'_>>) -> Partner {
        bound.sort_by_cached_key(|one| (one.subscription_name(), one.assignment.body.scope.to_string()));
        let scopes = |groups: bool| {
            let wanted = bound.iter().filter(|one| one.is_resource_group() == groups);
            wanted.map(|one| one.assignment.body.scope.to_string().to_ascii_lowercase()).collect::<BTreeSet<_>>().len()
        };
        let readable: Vec<&Bound<'_>> = bound.iter().filter(|one| self.may_read(one)).collect();
        let offers = pages::fitting(offers(&readable));
        let delegations = pages::fitting(readable.iter().map(|one| one.describe((self.directory(), self.known()), self.now())));
        Partner {
            tenant_id: tenant,
            display_name: self.tenant_name(tenant),
            complete: delegations.len() == readable.len(),
            offers,
            delegated_subscriptions: scopes(false),
            delegated_resource_groups: scopes(true),
            delegations,
        }
    }
}

fn offers(bound: &[&Bound<'_>]) -> Vec<Offer> {
    let mut offers: Vec<Offer> = bound.iter().map(|one| one.offer()).collect();
    offers.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.registration_definition_id.cmp(&b.registration_definition_id)));
    offers.dedup_by(|a, b| a.registration_definition_id == b.registration_definition_id);
    offers
}
