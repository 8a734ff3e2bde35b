//! After the last rule: how many requests of a kind a caller may send to a subscription, and all callers together.
//!
//! Source: Azure Resource Manager, "Understand how Azure Resource Manager throttles requests": token buckets for each subscription, principal
//! and kind; one fifteen times as large for each subscription and kind; and the same for a tenant where no subscription is meant.

use std::time::{Duration, Instant};

use super::authorize::{Authorized, Basis, RuleError};
use super::resolve::{OwnQuestion, Place};
use super::trail::Trail;
use super::{Context, Refused};
use crate::arm::action::Method;
use crate::ids::{PrincipalId, SubscriptionId, TenantId};
use crate::pace::{Paces, Rate};
use crate::rejection::Rejection;

/// What requests are counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// `DELETE`.
    Deletes,
    /// `GET` and `HEAD`.
    Reads,
    /// All others.
    Writes,
}

/// Where requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ground {
    /// In a subscription.
    Subscription(SubscriptionId),
    /// In the caller's own tenant: no subscription is meant.
    Tenant(TenantId),
}

/// How much of each kind a caller may send to one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowances {
    /// Of `DELETE`.
    pub deletes: Allowance,
    /// Of `GET` and `HEAD`.
    pub reads: Allowance,
    /// Of all others.
    pub writes: Allowance,
}

/// So many at once, and then so many in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Requests, 1 and more.
    pub at_once: u32,
    /// Requests, 1 and more.
    pub per_s: u32,
}

/// Why the gateway takes no further request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Overload {
    /// A worker is behind with what it has.
    #[error("the gateway has more to do than it can within 250 ms; ask again in a second")]
    Late,
    /// A worker handles as many as it may.
    #[error("the gateway handles {max} requests at once and no more; ask again in a second")]
    Many {
        /// How many that is.
        max: usize,
    },
    /// Answers are not taken by those who asked for them.
    #[error("no more than {max} bytes of answers may wait at one address beside those of others; read what was asked for, and ask again")]
    Unread {
        /// How many bytes may wait there.
        max: usize,
    },
}

impl Default for Allowances {
    fn default() -> Self {
        Self {
            deletes: Allowance { at_once: 200, per_s: 10 },
            reads: Allowance { at_once: 250, per_s: 25 },
            writes: Allowance { at_once: 200, per_s: 10 },
        }
    }
}

impl Allowances {
    /// More than anybody sends.
    pub const UNBOUNDED: Self = {
        let unbounded = Allowance { at_once: u32::MAX, per_s: u32::MAX };
        Self { deletes: unbounded, reads: unbounded, writes: unbounded }
    };
}

/// How much more all callers together may send to a subscription than one. Source: as above.
const TOGETHER: u32 = 15;

/// Counts requests.
#[derive(Debug, Default)]
pub struct Throttle {
    allowances: Allowances,
    paces: Paces,
}

/// What a caller has left, as answers say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remaining {
    /// Of what.
    pub kind: Counted,
    /// Whether in a subscription, and not in the tenant.
    pub in_subscription: bool,
    /// How many.
    pub left: u32,
}

impl Throttle {
    /// With full buckets of these sizes.
    #[must_use]
    pub fn new(allowances: Allowances) -> Self {
        Self { allowances, paces: Paces::default() }
    }

    fn take(&self, ground: Ground, principal: PrincipalId, kind: Counted, now: Instant) -> Result<Remaining, RuleError> {
        let allowance = match kind {
            Counted::Deletes => self.allowances.deletes,
            Counted::Reads => self.allowances.reads,
            Counted::Writes => self.allowances.writes,
        };
        let rate = Rate::per_second(allowance.at_once, allowance.per_s);
        let used_up = |all: bool| move |wait| RuleError::Throttled { kind, ground, allowance: allowance.of(all), all, wait };
        let left = self.paces.take(&(ground, kind, Some(principal)), rate, now).map_err(used_up(false))?;
        let left_of_all = self.paces.take(&(ground, kind, None::<PrincipalId>), rate.times(TOGETHER), now).map_err(used_up(true))?;
        let in_subscription = matches!(ground, Ground::Subscription(_));
        Ok(Remaining { kind, in_subscription, left: left.min(left_of_all) })
    }
}

impl Allowance {
    const fn of(self, all: bool) -> Self {
        let factor = if all { TOGETHER } else { 1 };
        Self { at_once: self.at_once.saturating_mul(factor), per_s: self.per_s.saturating_mul(factor) }
    }
}

impl Counted {
    fn of(method: Method) -> Self {
        match method {
            Method::Delete => Self::Deletes,
            Method::Get | Method::Head => Self::Reads,
            Method::Patch | Method::Post | Method::Put => Self::Writes,
        }
    }
}

impl std::fmt::Display for Counted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Deletes => "deletes",
            Self::Reads => "reads",
            Self::Writes => "writes",
        })
    }
}

impl std::fmt::Display for Ground {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Subscription(id) => write!(f, "the subscription `{id}`"),
            Self::Tenant(id) => write!(f, "the tenant `{id}`"),
        }
    }
}

impl Authorized {
    /// Counts the request.
    ///
    /// # Errors
    /// When the caller, or all callers together, sent more of the kind to the subscription than is let through.
    pub fn throttle(mut self, context: &Context<'_>) -> Result<Self, Refused> {
        let principal = self.scoped.caller.principal;
        let ground = match (self.scoped.place, &self.basis) {
            // Whoever holds no role there uses up nothing of what the others have.
            (Place::ManagementGroup | Place::Tenant, _) | (Place::Subscription { .. }, Basis::Oneself) => Ground::Tenant(principal.tenant),
            (Place::Subscription { id, .. }, _) => Ground::Subscription(id),
        };
        let request = &mut self.scoped.request;
        match count(&mut request.trail, ground, principal, request.method, context) {
            Ok(()) => Ok(self),
            Err(error) => Err(self.scoped.request.trail.refuse(Rejection::Rule { error })),
        }
    }
}

impl OwnQuestion {
    /// Counts the question.
    ///
    /// # Errors
    /// As for other requests.
    pub fn throttle(mut self, context: &Context<'_>) -> Result<Self, Refused> {
        let principal = self.caller.principal;
        match count(&mut self.trail, Ground::Tenant(principal.tenant), principal, Method::Get, context) {
            Ok(()) => Ok(self),
            Err(error) => Err(self.trail.refuse(Rejection::Rule { error })),
        }
    }
}

fn count(trail: &mut Trail, ground: Ground, principal: PrincipalId, method: Method, context: &Context<'_>) -> Result<(), RuleError> {
    let remaining = context.throttle.take(ground, principal, Counted::of(method), trail.started)?;
    trail.remaining = Some(remaining);
    Ok(())
}

/// Whole seconds, and never none: clients take that for no answer. Measured: azure-core 1.36, `Retry-After: 0`.
#[must_use]
pub fn seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;

    const TENANT: TenantId = TenantId::from_bytes([1; 16]);

    fn principal(object: u8) -> PrincipalId {
        PrincipalId { tenant: TENANT, object: crate::ids::ObjectId::from_bytes([object; 16]) }
    }

    #[test]
    fn a_caller_has_its_own_buckets_for_each_place_and_kind() {
        let (throttle, now) = (Throttle::default(), crate::clock::Clock::instant());
        let ground = Ground::Subscription(SubscriptionId::from_bytes([7; 16]));
        let left = |ground, principal, kind| throttle.take(ground, principal, kind, now).map(|remaining| remaining.left);
        let all: Vec<u32> = (0..250).map(|_| left(ground, principal(1), Counted::Reads).unwrap()).collect();
        assert_eq!((all.first(), all.last()), (Some(&249), Some(&0)));
        let error = left(ground, principal(1), Counted::Reads).unwrap_err();
        assert!(matches!(error, RuleError::Throttled { all: false, wait, .. } if wait == Duration::from_millis(40)), "{error:?}");
        assert_eq!(left(ground, principal(1), Counted::Writes), Ok(199));
        assert_eq!(left(ground, principal(1), Counted::Deletes), Ok(199));
        assert_eq!(left(ground, principal(2), Counted::Reads), Ok(249));
        assert_eq!(left(Ground::Tenant(TENANT), principal(1), Counted::Reads), Ok(249));
    }

    #[test]
    fn all_callers_together_have_fifteen_times_as_much() {
        let (throttle, now) = (Throttle::default(), crate::clock::Clock::instant());
        let ground = Ground::Subscription(SubscriptionId::from_bytes([7; 16]));
        let taken = |object| (0..300).filter(|_| throttle.take(ground, principal(object), Counted::Deletes, now).is_ok()).count();
        assert_eq!((1..=15).map(taken).sum::<usize>(), 15 * 200);
        let error = throttle.take(ground, principal(16), Counted::Deletes, now).unwrap_err();
        assert!(matches!(error, RuleError::Throttled { all: true, .. }), "{error:?}");
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_never_as_none() {
        let told: Vec<u32> = [0, 1, 1000, 1001].into_iter().map(|ms| seconds(Duration::from_millis(ms))).collect();
        assert_eq!(told, [1, 1, 1, 2]);
    }

    #[test]
    fn requests_are_counted_where_their_caller_has_a_role_and_else_in_its_own_tenant() {
        let mut world = World::new();
        let vm = "~/resourceGroups/rg-a/providers/Microsoft.Compute/virtualMachines/vm";
        let once = Allowance { at_once: 1, per_s: 1 };
        for (who, asked, kind, in_subscription) in [
            ("contributor", format!("GET {vm}"), Counted::Reads, true),
            ("contributor", format!("HEAD {vm}"), Counted::Reads, true),
            ("contributor", format!("PUT {vm}"), Counted::Writes, true),
            ("contributor", format!("PATCH {vm}"), Counted::Writes, true),
            ("contributor", format!("POST {vm}/start"), Counted::Writes, true),
            ("contributor", format!("DELETE {vm}"), Counted::Deletes, true),
            ("in-group", "GET ~/resourceGroups".to_owned(), Counted::Reads, true),
            ("nobody", "GET ~/providers/Microsoft.Authorization/roleEligibilitySchedules".to_owned(), Counted::Reads, false),
            ("stranger", "GET /providers".to_owned(), Counted::Reads, false),
        ] {
            world.throttle = Throttle::new(Allowances { deletes: once, reads: once, writes: once });
            let counted = || world.authorize(world.caller(who), &asked).unwrap().throttle(&world.context());
            let remaining = counted().unwrap().scoped.request.trail.remaining;
            assert_eq!(remaining, Some(Remaining { kind, in_subscription, left: 0 }), "{who}: {asked}");
            assert_eq!(counted().unwrap_err().rejection.reason(), "limit.rate", "{who}: {asked}");
        }
    }
}
