//! What can be asked of many records at once without reading them: when a grant was last used, and what was done in a subscription.
//!
//! Fed where records are made, and from the records that are there at the start. Bounded: what is forgotten for want of room is
//! said, by a later beginning.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::stored::Evidence;
use super::{GrantEntry, Record};
use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::delegation::roles::RoleCatalogue;
use crate::delegation::{Grant, OriginKind};
use crate::ids::{PrincipalId, RequestId, SubscriptionId, TenantId};
use crate::pipeline::{CheckName, Outcome};
use crate::shown::shown;

/// Grants whose last use is remembered. When there are more, the half that was not used for longest goes.
const USES_MAX: usize = 65_536;
/// Activities that are remembered, over all subscriptions; the oldest go first.
const ACTIVITIES_MAX: usize = 200_000;
/// How an action that changes nothing ends, in lower case.
const READ: &str = "/read";

/// A grant, whatever line of a file it stands in today. In the order of holders.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GrantKey {
    principal: PrincipalId,
    /// Display name, in lower case.
    role: Box<str>,
    /// In lower case.
    scope: Box<str>,
    /// Name of the offer.
    delegation: Option<Box<str>>,
}

impl GrantKey {
    /// The key of a grant.
    #[must_use]
    pub fn of(grant: &Grant, roles: &RoleCatalogue) -> Self {
        Self {
            principal: grant.principal,
            role: roles.role(grant.role).map(|role| role.name().to_lowercase().into()).unwrap_or_default(),
            scope: grant.scope.to_string().to_ascii_lowercase().into(),
            delegation: match &grant.origin.kind {
                OriginKind::Delegation { offer, .. } => Some((*shown(offer)).into()),
                OriginKind::RoleAssignment => None,
            },
        }
    }

    /// Who holds it.
    #[must_use]
    pub const fn principal(&self) -> PrincipalId {
        self.principal
    }

    /// The same of a grant that permitted somebody of this tenant something.
    pub(super) fn of_use(tenant: TenantId, grant: &Grant, roles: &RoleCatalogue) -> Self {
        Self { principal: PrincipalId { tenant, object: grant.principal.object }, ..Self::of(grant, roles) }
    }

    /// Only people of the caller's own tenant hold a grant that permits the caller something.
    fn of_entry(record: &Record, entry: &GrantEntry) -> Option<Self> {
        Some(Self {
            principal: PrincipalId { tenant: record.principal.as_ref()?.tenant, object: entry.granted_to_id? },
            role: entry.role.to_lowercase().into(),
            scope: entry.granted_on.to_ascii_lowercase().into(),
            delegation: entry.delegation.as_deref().map(Box::from),
        })
    }
}

/// When grants were last used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uses {
    /// What was used since then is known.
    pub since: Timestamp,
    /// In the order of the question.
    pub last: Vec<Option<Timestamp>>,
}

/// Something that was done, or tried, in a subscription: anything but reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Activity {
    at: Timestamp,
    subscription: SubscriptionId,
    record: RequestId,
}

#[derive(Debug)]
pub(super) struct Ledger {
    since: Timestamp,
    uses: HashMap<GrantKey, Timestamp, foldhash::fast::RandomState>,
    activities: VecDeque<Activity>,
}

impl Ledger {
    /// One that knows nothing from before.
    pub(super) fn new(since: Timestamp) -> Self {
        Self { since, uses: HashMap::default(), activities: VecDeque::new() }
    }

    pub(super) fn note(&mut self, record: &Record) {
        let Ok(at) = record.time.parse::<Timestamp>() else { return };
        self.since = self.since.min(at);
        if let Some(key) = used(record) {
            self.note_use(&key, at);
        }
        if let Some(subscription) = subscription_of_activity(record) {
            self.note_activity(Activity { at, subscription, record: record.id });
        }
    }

    /// The same from what the record is made of; `key` is the one of the grant that is the only one of the request, where it is known.
    pub(super) fn note_evidence(&mut self, evidence: &Evidence<'_>, key: Option<&GrantKey>) {
        let trail = evidence.trail();
        let Ok(at) = Timestamp::from_millisecond(trail.received.as_millisecond()) else { return };
        self.since = self.since.min(at);
        if let Some((grant, caller)) = evidence.used_grant().zip(trail.caller.as_deref()) {
            match key {
                Some(key) => self.note_use(key, at),
                None => self.note_use(&GrantKey::of_use(caller.principal.tenant, grant, trail.directory.roles()), at),
            }
        }
        let is_placed = evidence.outcome(CheckName::Scope) == Outcome::Pass;
        if is_placed && !trail.actions.iter().all(|action| action.key().ends_with(READ)) {
            let subscription = trail.scope.as_ref().and_then(Scope::subscription_id);
            subscription.into_iter().for_each(|subscription| self.note_activity(Activity { at, subscription, record: trail.id }));
        }
    }

    fn note_use(&mut self, key: &GrantKey, at: Timestamp) {
        if let Some(last) = self.uses.get_mut(key) {
            *last = at.max(*last);
            return;
        }
        if self.uses.len() >= USES_MAX {
            self.forget_half();
        }
        self.uses.insert(key.clone(), at);
    }

    fn note_activity(&mut self, activity: Activity) {
        // A record that is in the logs of two tenants has two lines, one after the other.
        if self.activities.back().is_some_and(|last| last.record == activity.record) {
            return;
        }
        if self.activities.len() >= ACTIVITIES_MAX {
            self.activities.pop_front();
        }
        self.activities.push_back(activity);
    }

    fn forget_half(&mut self) {
        let mut times: Vec<Timestamp> = self.uses.values().copied().collect();
        times.sort_unstable();
        let Some(median) = times.get(times.len() / 2).copied() else { return };
        self.uses.retain(|_, last| *last > median);
        self.since = self.since.max(median);
    }

    pub(super) fn uses(&self, keys: &[GrantKey]) -> Uses {
        Uses { since: self.since, last: keys.iter().map(|key| self.uses.get(key).copied()).collect() }
    }

    /// The records of what was done in a subscription between two times, newest first.
    pub(super) fn activities(&self, of: SubscriptionId, from: Timestamp, until: Timestamp) -> impl Iterator<Item = (Timestamp, RequestId)> {
        let matching = move |one: &&Activity| one.subscription == of && from <= one.at && one.at <= until;
        self.activities.iter().rev().filter(matching).map(|one| (one.at, one.record))
    }
}

/// The grant that permitted a request, if one did.
fn used(record: &Record) -> Option<GrantKey> {
    let role = record.checks.iter().find(|check| check.name == CheckName::Role && check.outcome == Outcome::Pass)?;
    let permits = |grant: &&GrantEntry| grant.principal && grant.scope && grant.action && grant.in_force;
    GrantKey::of_entry(record, role.grants.iter().find(permits)?)
}

/// The subscription of a request that was more than reading. What a stranger asked for is nothing that was done there.
fn subscription_of_activity(record: &Record) -> Option<SubscriptionId> {
    let is_placed = record.checks.iter().any(|check| check.name == CheckName::Scope && check.outcome == Outcome::Pass);
    let reads = |action: &String| action.to_ascii_lowercase().ends_with(READ);
    if !is_placed || record.actions.iter().all(reads) {
        return None;
    }
    let mut segments = record.scope.as_deref()?.split('/').skip(1);
    segments.next().filter(|first| first.eq_ignore_ascii_case("subscriptions"))?;
    segments.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(time: &str, id: &str, action: &str) -> Record {
        let grant = serde_json::json!({
            "role": "Contributor", "granted_to": "Operator", "granted_to_id": "00000000-0000-4000-8000-000000000002",
            "granted_on": "/subscriptions/00000000-0000-4000-8000-000000000009", "kind": "standing", "delegation": "Gold",
            "principal": true, "scope": true, "action": true, "in_force": true,
            "defined_at": { "file": "a.toml", "line": 3, "column": 1 },
        });
        serde_json::from_value(serde_json::json!({
            "schema": "steward.record/1", "id": id, "correlation_id": id, "time": time, "outcome": "allow", "status": 200, "took_us": 1,
            "policy": { "version": 1, "digest": "" }, "method": "PUT", "path": "/", "client": "",
            "principal": {
                "id": "00000000-0000-4000-8000-000000000002", "name": "Operator", "tenant": "00000000-0000-4000-8000-000000000001",
                "kind": "user",
            },
            "actions": [action], "scope": "/subscriptions/00000000-0000-4000-8000-000000000009/resourceGroups/rg",
            "checks": [{ "name": "scope", "outcome": "pass" }, { "name": "role", "outcome": "pass", "grants": [grant] }],
        }))
        .unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn id(n: u32) -> String {
        format!("{n:08x}-0000-4000-8000-000000000000")
    }

    const NOON: &str = "2026-11-20T12:00:00.000Z";
    const LATER: &str = "2026-11-20T13:00:00.000Z";

    #[test]
    fn the_last_use_of_a_grant_is_known_since_the_oldest_record() {
        let mut ledger = Ledger::new(at(LATER));
        let key = used(&record(NOON, &id(1), "A.B/c/read")).unwrap();
        assert_eq!(ledger.uses(std::slice::from_ref(&key)), Uses { since: at(LATER), last: vec![None] });
        ledger.note(&record(LATER, &id(2), "A.B/c/read"));
        ledger.note(&record(NOON, &id(1), "A.B/c/read"));
        let other = GrantKey { delegation: None, ..key.clone() };
        assert_eq!(ledger.uses(&[key, other]), Uses { since: at(NOON), last: vec![Some(at(LATER)), None] });
    }

    #[test]
    fn activities_are_what_was_more_than_reading_each_once() {
        let mut ledger = Ledger::new(at(NOON));
        for record in [
            record(NOON, &id(1), "A.B/c/write"),
            record(NOON, &id(1), "A.B/c/write"),
            record(NOON, &id(2), "A.B/c/Read"),
            record(LATER, &id(3), "A.B/c/delete"),
        ] {
            ledger.note(&record);
        }
        let subscription = "00000000-0000-4000-8000-000000000009".parse().unwrap();
        let ids = |from, until| ledger.activities(subscription, at(from), at(until)).map(|(_, id)| id.to_string()).collect::<Vec<_>>();
        assert_eq!(ids(NOON, LATER), [id(3), id(1)]);
        assert_eq!(ids(NOON, NOON), [id(1)]);
        assert_eq!(ledger.activities("00000000-0000-4000-8000-000000000008".parse().unwrap(), at(NOON), at(LATER)).count(), 0);
    }

    #[test]
    fn with_too_many_grants_the_longest_unused_are_forgotten_and_that_is_said() {
        let mut ledger = Ledger::new(at(NOON));
        let key = used(&record(NOON, &id(1), "A.B/c/read")).unwrap();
        for n in 0..USES_MAX as u64 {
            let key = GrantKey { role: n.to_string().into(), ..key.clone() };
            ledger.uses.insert(key, at(NOON) + std::time::Duration::from_secs(n));
        }
        ledger.note(&record(LATER, &id(1), "A.B/c/read"));
        assert!(ledger.uses.len() <= USES_MAX / 2 + 1, "{}", ledger.uses.len());
        let Uses { since, last } = ledger.uses(&[GrantKey { role: "0".into(), ..key }]);
        assert!(since > at(NOON) && last == [None]);
    }
}
