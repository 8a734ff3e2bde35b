//! What is due of one delegation at a time: pure.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::Timestamp;
use crate::delegation::offer::{RegistrationAssignment, RegistrationDefinition};
use crate::directory::entity::{self, DelegationEvent, Entity, EventKind, Tenure};
use crate::directory::{Directory, Holdings};
use crate::ids::{AssignmentId, ObjectId, PrincipalId, TenantId};
use crate::store::Write;

/// A later use is written when it is so much later than the one before.
const USE_STEP: Duration = Duration::from_secs(3_600);
/// What other gateways of the store may take to say that they saw a use.
const SLACK: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(86_400);

/// Who did what the gateway did by itself.
const OURSELVES: &str = "Steward";

/// A delegation and what is known of it.
pub(super) struct Bound<'h> {
    pub(super) assignment: &'h Arc<RegistrationAssignment>,
    pub(super) definition: &'h Arc<RegistrationDefinition>,
    pub(super) tenure: Option<&'h Tenure>,
    pub(super) is_lapsed: bool,
}

/// What one look knows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// When the delegation was last used, as far as the records tell.
    pub(super) used: Option<Timestamp>,
    pub(super) now: Timestamp,
    /// Whether the clock can be relied on.
    pub(super) may_end: bool,
}

impl Bound<'_> {
    /// Whether anything becomes due by itself.
    pub(super) fn is_timed(&self) -> bool {
        self.definition.term.review_by.is_some() || self.ends_unused()
    }

    /// Whether it will end if nobody uses it.
    pub(super) fn ends_unused(&self) -> bool {
        self.definition.term.unused_days.is_some() && !self.is_lapsed && !self.definition.authorizations.is_empty()
    }

    /// What there is to write: the event, and that it was told.
    pub(super) fn due(&self, customer: TenantId, known: &Known) -> Vec<Write> {
        let before = self.known();
        let (after, events) = self.noticed(&before, known);
        if after == before {
            return Vec::new();
        }
        let events = events.into_iter().map(|what| Entity::Event(self.event(what, customer, known.now)).into_write());
        events.chain([Entity::Tenure(after).into_write()]).collect()
    }

    fn known(&self) -> Tenure {
        self.tenure.cloned().unwrap_or_else(|| Tenure {
            scope: self.assignment.scope.clone(),
            assignment: self.assignment.name,
            used_at: None,
            lapsed_at: None,
            review_told: None,
        })
    }

    fn noticed(&self, before: &Tenure, known: &Known) -> (Tenure, Vec<EventKind>) {
        let Known { used, now, may_end } = *known;
        let term = self.definition.term;
        let (mut after, mut events) = (before.clone(), Vec::new());
        if term.not_after.is_some_and(|end| end <= now) {
            return (after, events);
        }
        if term.review_by.is_some_and(|due| due <= now && before.review_told != Some(due)) {
            after.review_told = term.review_by;
            events.push(EventKind::ReviewDue);
        }
        let Some(days) = term.unused_days.filter(|_| self.ends_unused()) else { return (after, events) };
        let used = used.max(before.used_at);
        let begun = self.assignment.created_at.max(self.definition.updated_at);
        let last = term.not_before.max(used).map_or(begun, |later| later.max(begun));
        if may_end && last.checked_add(DAY * u32::from(days) + SLACK).is_ok_and(|end| end <= now) {
            after.lapsed_at = Some(now);
            events.push(EventKind::Lapsed);
        } else if used.is_some_and(|used| before.used_at.is_none_or(|known| known.checked_add(USE_STEP).is_ok_and(|next| next <= used))) {
            after.used_at = used;
        }
        (after, events)
    }

    fn event(&self, what: EventKind, customer: TenantId, now: Timestamp) -> DelegationEvent {
        let definition = self.definition;
        let standing = definition.authorizations.iter().map(|one| one.principal);
        DelegationEvent {
            name: format!("{:020}-{}", now.as_microsecond(), Uuid::new_v4()).into(),
            what,
            at: now,
            caller: PrincipalId { tenant: customer, object: ObjectId::from_bytes([0; 16]) },
            caller_name: OURSELVES.into(),
            customer,
            managing_tenant: definition.managing_tenant,
            subscription: definition.subscription,
            scope: self.assignment.scope.clone(),
            delegation: self.assignment.id().into(),
            offer: Arc::clone(&definition.offer_name),
            correlation_id: Uuid::new_v4().to_string().into(),
            principals: standing.chain(definition.eligible.iter().map(|one| one.principal)).collect(),
        }
    }
}

/// What is left of a delegation that is gone, removed.
pub(super) fn leftover(held: &Holdings, key: &(Box<str>, AssignmentId)) -> Vec<Write> {
    let gone = held.tenures.get(key).filter(|_| !held.assignments.contains_key(key));
    gone.map(|known| entity::removal(entity::tenure_key(&known.body.scope, known.body.assignment))).into_iter().collect()
}

/// Removals that make room for so many events.
pub(super) fn forgotten(directory: &Directory, coming: usize) -> Vec<Write> {
    let names = directory.registry().events_in_the_way_of(coming);
    names.iter().map(|name| entity::removal(entity::event_key(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written at the beginning of 2026; reviewed in March, and ended when nobody uses it for 30 days.
    fn delegation(term: &str) -> (Arc<RegistrationAssignment>, Arc<RegistrationDefinition>) {
        let (subscription, name) = ("8f2c1a10-0000-4000-8000-000000000001", "8f2c1a10-0000-4000-8000-000000000002");
        let who = serde_json::json!({ "tenant": name, "object": name });
        let at = "2026-01-01T00:00:00Z";
        let definition = serde_json::json!({
            "subscription": subscription, "name": name, "offer_name": "Gold", "managing_tenant": name,
            "authorizations": [{ "principal": name, "role": name }], "term": serde_json::from_str::<serde_json::Value>(term).unwrap(),
            "created_at": at, "created_by": who, "updated_at": at, "updated_by": who,
        });
        let assignment = serde_json::json!({
            "scope": format!("/subscriptions/{subscription}"), "name": name, "definition": { "subscription": subscription, "name": name },
            "created_at": at, "created_by": who,
        });
        (Arc::new(serde_json::from_value(assignment).unwrap()), Arc::new(serde_json::from_value(definition).unwrap()))
    }

    const TERM: &str = r#"{ "review_by": "2026-03-01T00:00:00Z", "unused_days": 30 }"#;

    fn day(text: &str) -> Timestamp {
        format!("2026-{text}Z").parse().unwrap()
    }

    /// What is told on some days, each with the last use that is known then; what was noticed is kept from one to the next.
    #[track_caller]
    fn check(term: &str, days: &[(&str, Option<&str>, &[EventKind])]) -> Tenure {
        let (assignment, definition) = delegation(term);
        let mut tenure: Option<Tenure> = None;
        for (now, used, expected) in days {
            let is_lapsed = tenure.as_ref().is_some_and(|known| known.lapsed_at.is_some());
            let bound = Bound { assignment: &assignment, definition: &definition, tenure: tenure.as_ref(), is_lapsed };
            let known = Known { used: used.map(day), now: day(now), may_end: true };
            let (after, events) = bound.noticed(&bound.known(), &known);
            assert_eq!(&events, expected, "{now}");
            tenure = Some(after);
        }
        tenure.unwrap()
    }

    #[test]
    fn a_review_is_told_once() {
        let told = check(
            TERM,
            &[
                ("02-28T23:59:59", Some("02-28T00:00:00"), &[]),
                ("03-01T00:00:00", Some("02-28T00:00:00"), &[EventKind::ReviewDue]),
                ("03-01T00:00:05", Some("02-28T00:00:00"), &[]),
            ],
        );
        assert_eq!(told.review_told, Some(day("03-01T00:00:00")));
    }

    #[test]
    fn days_without_use_count_from_the_last_use() {
        let ended = check(
            TERM,
            &[
                ("01-20T00:00:00", Some("01-19T00:00:00"), &[]),
                // It is remembered where the records are not.
                ("02-18T00:09:59", None, &[]),
                ("02-18T00:10:00", None, &[EventKind::Lapsed]),
                ("02-18T00:10:05", Some("02-18T00:00:00"), &[]),
            ],
        );
        assert_eq!((ended.used_at, ended.lapsed_at), (Some(day("01-19T00:00:00")), Some(day("02-18T00:10:00"))));
        check(TERM, &[("01-31T00:09:59", None, &[]), ("01-31T00:10:00", None, &[EventKind::Lapsed])]);
    }

    #[test]
    fn nothing_ends_by_a_clock_that_was_set() {
        let (assignment, definition) = delegation(TERM);
        let bound = Bound { assignment: &assignment, definition: &definition, tenure: None, is_lapsed: false };
        let noticed = |may_end| bound.noticed(&bound.known(), &Known { used: None, now: day("12-01T00:00:00"), may_end });
        assert_eq!(noticed(true).1, [EventKind::ReviewDue, EventKind::Lapsed]);
        let (after, events) = noticed(false);
        assert_eq!((after.lapsed_at, events.as_slice()), (None, &[EventKind::ReviewDue][..]), "to tell of a review takes nothing away");
    }

    #[test]
    fn uses_are_written_by_the_hour() {
        let used = |last| check(TERM, &[("01-02T00:00:00", Some("01-01T10:00:00"), &[]), ("01-02T00:00:00", Some(last), &[])]).used_at;
        assert_eq!(used("01-01T10:59:59"), Some(day("01-01T10:00:00")));
        assert_eq!(used("01-01T11:00:00"), Some(day("01-01T11:00:00")));
    }

    #[test]
    fn what_has_ended_or_not_begun_is_left_alone() {
        let ended = r#"{ "review_by": "2026-03-01T00:00:00Z", "unused_days": 30, "not_after": "2026-03-01T00:00:00Z" }"#;
        check(ended, &[("04-01T00:00:00", None, &[])]);
        let begins = r#"{ "unused_days": 30, "not_before": "2026-03-01T00:00:00Z" }"#;
        check(begins, &[("03-20T00:00:00", None, &[]), ("03-31T00:10:00", None, &[EventKind::Lapsed])]);
    }
}
