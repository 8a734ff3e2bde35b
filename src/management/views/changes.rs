//! `changes`: what happened to delegations, each once, to be asked after the revision of the answer before.

use std::collections::HashMap;

use super::shapes::{Actor, Change, ChangeKind, Changes, Item, Party};
use super::{Call, OwnAnswer, OwnError, READ_DELEGATIONS, document, item};
use crate::arm::scope::{Anchor, Scope};
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
        let mut sight = self.sight();
        let (page, more) = page(events_after(self.directory(), after).filter(|event| sight.sees(&event.body)), top);
        let last = page.last().filter(|_| more).map_or_else(|| registry.revision(), |event| event.revision);
        let complete = !registry.forgets_events() || self.kept_of_all().is_none_or(|oldest| after >= oldest);
        let value = page.iter().map(|event| describe(self.directory(), event)).collect();
        let next_link = more.then(|| self.next_link(last, top));
        Ok(document(&Changes { value, after: last.0, epoch, complete, next_link }))
    }

    /// From when on the events of every customer that concerns the caller are all kept: some may have been forgotten before.
    fn kept_of_all(&self) -> Option<Revision> {
        let home = self.home();
        let mut oldest: HashMap<TenantId, Revision> = HashMap::new();
        for event in self.directory().registry().events() {
            if event.body.customer == home || event.body.managing_tenant == home {
                let kept = oldest.entry(event.body.customer).or_insert(event.revision);
                *kept = event.revision.min(*kept);
            }
        }
        oldest.into_values().max()
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, OwnError> {
        let problem = |_cause| OwnError::Parameter { name, problem: "has to be a number".to_owned() };
        self.query_value(name).map(|text| text.parse().map_err(problem)).transpose()
    }

    fn next_link(&self, after: Revision, top: usize) -> String {
        let version = self.query_value("api-version").unwrap_or_default();
        format!("https://{}/providers/{CHANGES}?api-version={version}&after={after}&top={top}", self.request.authority)
    }

    /// Which events the caller sees.
    pub(in crate::management) fn sight(&self) -> Sight<'_> {
        let root = Scope::whole(Anchor::Tenant);
        Sight { call: self, reads_tenant_log: self.may(READ_TENANT_LOG, &root), readable: HashMap::new() }
    }
}

/// Which events one caller sees: those of offers that name it, of scopes that it may read, or of its tenant when it may read the log of
/// that. What was found out about one scope holds for the next event there.
pub(in crate::management) struct Sight<'c> {
    call: &'c Call<'c>,
    reads_tenant_log: bool,
    readable: HashMap<String, bool>,
}

impl Sight<'_> {
    pub(in crate::management) fn sees(&mut self, event: &DelegationEvent) -> bool {
        let home = self.call.home();
        let concerned = event.customer == home || event.managing_tenant == home;
        concerned && (self.reads_tenant_log || self.names_the_caller(event) || self.may_read(&event.scope))
    }

    fn names_the_caller(&self, event: &DelegationEvent) -> bool {
        let home = self.call.home();
        let of_home = |object| PrincipalId { tenant: home, object };
        event.managing_tenant == home && event.principals.iter().any(|object| self.call.principals.contains(&of_home(*object)))
    }

    fn may_read(&mut self, scope: &Scope) -> bool {
        let key = scope.to_string().to_ascii_lowercase();
        *self.readable.entry(key).or_insert_with(|| self.call.may(READ_DELEGATIONS, scope))
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
