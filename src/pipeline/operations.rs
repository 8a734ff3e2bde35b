//! Where answers sent their clients, and who started which long-running operation: its starter may poll it to the end, with any role there. What the gateway itself carries out
//! may be polled even after the last role is gone: that may be what it removed.

use std::time::Duration;

use dashmap::DashMap;

use crate::arm::action::Method;
use crate::arm::path::CanonicalPath;
use crate::clock::Timestamp;
use crate::ids::PrincipalId;

/// Operations remembered at once; when it is full, ended ones go first, then any.
const OPERATIONS_MAX: usize = 100_000;
/// How long after its last sign of life an operation is remembered.
const REMEMBERED: Duration = Duration::from_hours(24);

/// What an answer sent its client to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Who started it, if it is a long-running operation. Of anything else it is only known that clients come to it with what they know of its place.
    pub starter: Option<PrincipalId>,
    /// Whether the gateway itself carries it out: its end says nothing but that it ended.
    pub(super) is_own: bool,
    forget_at: Timestamp,
}

impl Operation {
    /// An operation of the gateway's own, which knows its starter itself.
    pub(super) const fn own(starter: PrincipalId, now: Timestamp) -> Self {
        Self { starter: Some(starter), is_own: true, forget_at: now }
    }
}

/// The operations this gateway handed out URLs for. Bounded; lost with the process, after which polling needs a grant again.
#[derive(Debug, Default)]
pub struct OperationOwners {
    by_path: DashMap<Box<str>, Operation, foldhash::fast::RandomState>,
}

impl OperationOwners {
    /// Remembers that somebody was given a URL of this canonical path: that of an operation that `starter` started, or of something else.
    pub fn remember(&self, path: &CanonicalPath, starter: Option<PrincipalId>, now: Timestamp) {
        if self.by_path.len() >= OPERATIONS_MAX {
            self.make_room(now);
        }
        let forget_at = now.checked_add(REMEMBERED).unwrap_or(now);
        let operation = Operation { starter, is_own: false, forget_at };
        let mut known = self.by_path.entry(key(path)).or_insert(operation);
        if known.starter.is_none() || known.forget_at <= now {
            *known = operation;
        }
    }

    /// What is known of the place that this path reads.
    #[must_use]
    pub fn find(&self, path: &CanonicalPath, method: Method, now: Timestamp) -> Option<Operation> {
        if !matches!(method, Method::Get | Method::Head) || self.by_path.is_empty() {
            return None;
        }
        self.by_path.get(key(path).as_ref()).map(|found| *found).filter(|operation| now < operation.forget_at)
    }

    fn make_room(&self, now: Timestamp) {
        self.by_path.retain(|_, operation| now < operation.forget_at);
        let excess = self.by_path.len().saturating_sub(OPERATIONS_MAX / 2);
        if self.by_path.len() < OPERATIONS_MAX {
            return;
        }
        let some: Vec<Box<str>> = self.by_path.iter().take(excess).map(|entry| entry.key().clone()).collect();
        for path in some {
            self.by_path.remove(&path);
        }
    }
}

fn key(path: &CanonicalPath) -> Box<str> {
    path.as_str().to_ascii_lowercase().into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ObjectId, TenantId};

    const PATH: &str = "/subscriptions/8f2c1a10-0000-4000-8000-000000000001/providers/Microsoft.Compute/locations/west/operations/1";

    #[test]
    fn the_first_starter_stays_the_owner_for_a_day() {
        let owners = OperationOwners::default();
        let path = CanonicalPath::parse(PATH).unwrap();
        let [first, second] = [1, 2].map(|n| PrincipalId { tenant: TenantId::from_bytes([n; 16]), object: ObjectId::from_bytes([n; 16]) });
        let now = Timestamp::UNIX_EPOCH;
        owners.remember(&path, None, now);
        owners.remember(&path, Some(first), now);
        owners.remember(&path, Some(second), now);
        owners.remember(&path, None, now);
        let much_later = now.checked_add(2 * REMEMBERED).unwrap();
        let again = OperationOwners::default();
        again.remember(&path, Some(first), now);
        again.remember(&path, Some(second), now.checked_add(REMEMBERED).unwrap());
        assert_eq!(
            again.find(&path, Method::Get, much_later - Duration::from_secs(1)).and_then(|operation| operation.starter),
            Some(second)
        );
        let shouted = CanonicalPath::parse(&PATH.to_ascii_uppercase().replace("/SUBSCRIPTIONS", "/subscriptions")).unwrap();
        assert_eq!(owners.find(&shouted, Method::Get, now).and_then(|operation| operation.starter), Some(first));
        assert_eq!(owners.find(&path, Method::Delete, now), None, "an operation is polled, not deleted, by its starter");
        assert_eq!(
            owners.find(&path, Method::Head, now + Duration::from_secs(86_399)).and_then(|operation| operation.starter),
            Some(first)
        );
        assert_eq!(owners.find(&path, Method::Get, now + Duration::from_secs(86_400)), None);
    }

    #[test]
    fn where_no_more_can_be_remembered_ended_ones_go_first_and_then_half_of_all() {
        let owners = OperationOwners::default();
        let starter = PrincipalId { tenant: TenantId::from_bytes([1; 16]), object: ObjectId::from_bytes([1; 16]) };
        let now = Timestamp::UNIX_EPOCH + Duration::from_hours(48);
        let fill = |places: std::ops::Range<u32>, forget_at| {
            for place in places {
                owners.by_path.insert(place.to_string().into(), Operation { starter: Some(starter), is_own: false, forget_at });
            }
        };
        let remember = |name: &str| {
            let path = CanonicalPath::parse(&format!("/{name}")).unwrap();
            owners.remember(&path, Some(starter), now);
            assert!(owners.find(&path, Method::Get, now).is_some(), "{name}");
            owners.by_path.len()
        };
        // As long as there is room, nothing goes.
        fill(0..39_999, now);
        fill(40_000..100_000, now + Duration::from_secs(1));
        assert_eq!(remember("last"), 100_000);
        // What ends now has ended, and what does not is kept.
        assert_eq!(remember("more"), 60_002);
        fill(0..39_998, now + Duration::from_secs(1));
        assert_eq!(remember("most"), 50_001);
    }
}
