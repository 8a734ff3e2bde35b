//! `changes`: what happened to delegations, each once, to be asked after the revision of the answer before.

use std::collections::HashMap;

use serde::Serialize;

use super::shapes::{Actor, Change, ChangeKind, Changes, Item, Party};
use super::{Call, OwnAnswer, OwnError, READ_DELEGATIONS, document, item};
use crate::arm::scope::{Anchor, Scope};
use crate::directory::entity::{DelegationEvent, EventKind};
use crate::directory::{Acquaintance, Directory, Versioned};
use crate::ids::{PrincipalId, TenantId};
use crate::management::pages::Left;
use crate::store::Revision;

/// Changes of one page, when nobody says how many; and at most. A revision is never split over pages, and
/// does not begin on one that is full.
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
        let events = events_after(self.directory(), after).filter(|event| sight.sees(&event.body));
        let (value, end) = page(events.map(|event| (event.revision, describe(self.known(), event))), top);
        let last = end.unwrap_or_else(|| registry.revision());
        let complete = !registry.forgets_events() || self.kept_of_all().is_none_or(|oldest| after >= oldest);
        let next_link = end.map(|end| self.next_link(end, top));
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

/// Events up to the end of the revision with which there are `top` of them, or the page is full of bytes; and that revision, if there are more.
fn page<T: Serialize>(events: impl Iterator<Item = (Revision, T)>, top: usize) -> (Vec<T>, Option<Revision>) {
    let (mut page, mut left, mut is_full, mut end) = (Vec::new(), Left::default(), false, None);
    for (revision, event) in events {
        is_full = !left.takes(&event) || is_full || page.len() >= top;
        if is_full && end.is_some_and(|end| end != revision) {
            return (page, end);
        }
        end = Some(revision);
        page.push(event);
    }
    (page, None)
}

pub(super) fn describe(known: Acquaintance<'_>, event: &Versioned<DelegationEvent>) -> Item<Change> {
    let DelegationEvent { name, what, at, caller, caller_name, customer, managing_tenant, .. } = &*event.body;
    let party = |tenant: TenantId| Party { tenant_id: tenant, name: known.tenant_name(tenant) };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::pages::PAGE_BYTES_MAX;

    /// What a page has of events of these revisions and lengths, and where it ends.
    #[track_caller]
    fn check(events: &[(u64, usize)], top: usize, expected: (usize, Option<u64>)) {
        let events = events.iter().map(|(revision, length)| (Revision(*revision), "x".repeat(*length - 2)));
        let (shown, end) = page(events, top);
        assert_eq!((shown.len(), end.map(|end| end.0)), expected);
    }

    #[test]
    fn a_page_of_changes_ends_with_a_revision() {
        check(&[], 1, (0, None));
        check(&[(1, 9), (2, 9)], 2, (2, None));
        check(&[(1, 9), (2, 9), (3, 9)], 2, (2, Some(2)));
        check(&[(1, 9), (2, 9), (2, 9), (3, 9)], 2, (3, Some(2)));
        check(&[(1, 9), (1, 9)], 1, (2, None));
    }

    #[test]
    fn a_page_of_changes_that_is_full_of_bytes_ends_with_the_revision_before() {
        const HALF: usize = PAGE_BYTES_MAX / 2;
        check(&[(1, HALF), (2, HALF), (3, 9)], 9, (2, Some(2)));
        check(&[(1, HALF), (2, HALF + 1), (3, 9)], 9, (1, Some(1)));
        check(&[(1, 3 * HALF), (2, 9)], 9, (1, Some(1)));
        // What is of one revision stays together, and what follows waits.
        check(&[(1, HALF), (1, 3 * HALF), (1, 9), (2, 9)], 9, (3, Some(1)));
    }
}
