//! `changes`: what happened to delegations, each once, to be asked after the revision of the answer before.

use super::shapes::{Actor, Change, ChangeKind, Changes, Item, Party};
use super::{Call, OwnAnswer, OwnError, READ_DELEGATIONS, document, item};
use crate::directory::entity::{DelegationEvent, EventKind};
use crate::directory::{Directory, Versioned};
use crate::ids::{PrincipalId, TenantId};
use crate::store::Revision;

/// Changes of one page, when nobody says how many; and at most. A revision is never split over pages.
const TOP_DEFAULT: usize = 100;
const TOP_MAX: usize = 1_000;

/// What reading the log of a tenant takes, at its root.
const READ_TENANT_LOG: &str = "Microsoft.Insights/eventtypes/values/read";

const CHANGES: &str = "Steward.Delegation/changes";

impl Call<'_> {
    pub(super) fn changes(&self) -> Result<OwnAnswer, OwnError> {
        let registry = self.directory().registry();
        let after = Revision(self.number("after")?.unwrap_or(0));
        let top = self.number("top")?.map_or(TOP_DEFAULT, |top| usize::try_from(top).unwrap_or(TOP_MAX).clamp(1, TOP_MAX));
        let epoch = registry.epoch().to_string();
        if self.query_value("epoch").is_some_and(|wanted| wanted != epoch) {
            let problem = format!("is that of a store that was restored since; begin anew, without `after`, in epoch {epoch}");
            return Err(OwnError::Parameter { name: "epoch", problem });
        }
        let (page, more) = page(events_after(self.directory(), after).filter(|event| self.sees(&event.body)), top);
        let last = page.last().filter(|_| more).map_or_else(|| registry.revision(), |event| event.revision);
        let oldest = registry.events().map(|event| event.revision).min();
        let complete = !registry.forgets_events() || oldest.is_none_or(|oldest| after >= oldest);
        let value = page.iter().map(|event| describe(self.directory(), event)).collect();
        let next_link = more.then(|| self.next_link(last, top));
        Ok(document(&Changes { value, after: last.0, epoch, complete, next_link }))
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, OwnError> {
        let problem = |_cause| OwnError::Parameter { name, problem: "has to be a number".to_owned() };
        self.query_value(name).map(|text| text.parse().map_err(problem)).transpose()
    }

    fn next_link(&self, after: Revision, top: usize) -> String {
        let version = self.query_value("api-version").unwrap_or_default();
        format!("https://{}/providers/{CHANGES}?api-version={version}&after={after}&top={top}", self.request.authority)
    }

    /// Who is named by the offer, who may read there, and who may read the log of the own tenant.
    pub(in crate::management) fn sees(&self, event: &DelegationEvent) -> bool {
        let home = self.home();
        let concerned = event.customer == home || event.managing_tenant == home;
        let named = || {
            let of_home = |object| PrincipalId { tenant: home, object };
            event.managing_tenant == home && event.principals.iter().any(|object| self.principals.contains(&of_home(*object)))
        };
        concerned && (named() || self.may(READ_DELEGATIONS, &event.scope) || self.reads_tenant_log())
    }

    fn reads_tenant_log(&self) -> bool {
        self.may(READ_TENANT_LOG, &crate::arm::scope::Scope::new(crate::arm::scope::Anchor::Tenant, Vec::new()))
    }
}

/// Events after a revision, in the order of their revisions.
pub(in crate::management) fn events_after(directory: &Directory, after: Revision) -> impl Iterator<Item = &Versioned<DelegationEvent>> {
    let mut events: Vec<_> = directory.registry().events().filter(|event| event.revision > after).collect();
    // Names sort by the clocks of the nodes that made them, revisions by what happened.
    events.sort_by_key(|event| event.revision);
    events.into_iter()
}

/// At least `top` events, unless there are fewer, to the end of the last one's revision; and whether there are more.
fn page<'e>(events: impl Iterator<Item = &'e Versioned<DelegationEvent>>, top: usize) -> (Vec<&'e Versioned<DelegationEvent>>, bool) {
    let mut page: Vec<&Versioned<DelegationEvent>> = Vec::new();
    for event in events {
        if page.len() >= top && page.last().is_some_and(|last| last.revision != event.revision) {
            return (page, true);
        }
        page.push(event);
    }
    (page, false)
}

pub(super) fn describe(directory: &Directory, event: &Versioned<DelegationEvent>) -> Item<Change> {
    let DelegationEvent { name, what, at, caller, caller_name, customer, managing_tenant, .. } = &*event.body;
    let party = |tenant: TenantId| Party { tenant_id: tenant, name: directory.tenant(tenant).map(|known| known.name.to_string()) };
    let properties = Change {
        revision: event.revision.0,
        what: match what {
            EventKind::Lapsed => ChangeKind::Lapsed,
            EventKind::Registered => ChangeKind::Registered,
            EventKind::ReviewDue => ChangeKind::ReviewDue,
            EventKind::Unregistered => ChangeKind::Unregistered,
            EventKind::Updated => ChangeKind::Updated,
        },
        at: *at,
        caller: Actor { tenant_id: caller.tenant, object_id: caller.object, name: caller_name.to_string() },
        customer: party(*customer),
        managing_tenant: party(*managing_tenant),
        subscription_id: event.body.subscription,
        scope: event.body.scope.to_string(),
        delegation_id: event.body.delegation.to_string(),
        offer: event.body.offer.to_string(),
        correlation_id: event.body.correlation_id.to_string(),
    };
    item(CHANGES, name, properties)
}
