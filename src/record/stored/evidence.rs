//! What one line is written from: a request that has ended, or what its caller was told of it.

use std::borrow::Cow;

use super::super::audit::Log;
use super::super::entry::{UNKNOWN_TARGET, subscription_in};
use super::super::{Finished, Told};
use crate::delegation::Grant;
use crate::ids::TenantId;
use crate::pipeline::{CheckName, Outcome, ScopeError, ScoredGrant, Trail};
use crate::rejection::Rejection;

/// What is known of a request, as far as one log may hold it.
#[derive(Debug, Clone, Copy)]
pub(in crate::record) struct Evidence<'a> {
    finished: &'a Finished,
    told: Told,
}

impl<'a> Evidence<'a> {
    /// All that is known.
    pub(in crate::record) const fn of(finished: &'a Finished) -> Self {
        Self { finished, told: Told::Everything }
    }

    /// What would be known if there were no such target; see [`Record::without_target`](super::super::Record::without_target).
    pub(in crate::record) const fn without_target(self) -> Self {
        Self { told: Told::NoSuchTarget, ..self }
    }

    /// Whether it is all that is known.
    pub(in crate::record) fn is_whole(&self) -> bool {
        self.told == Told::Everything
    }

    /// What the caller's own tenant may read.
    pub(in crate::record) fn told(&self) -> Told {
        Told::of(self.finished.rejection.as_ref())
    }

    /// The log it belongs to, and the caller's own one where that is another.
    pub(in crate::record) fn logs(&self) -> (Log, Option<Log>) {
        Log::of(self.finished.trail.customer, self.finished.trail.caller.as_deref().map(|caller| caller.principal.tenant))
    }

    pub(in crate::record) fn trail(&self) -> &'a Trail {
        &self.finished.trail
    }

    pub(in crate::record) fn status(&self) -> u16 {
        self.finished.status.as_u16()
    }

    pub(super) fn took_us(&self) -> u64 {
        u64::try_from(self.finished.took.as_micros()).unwrap_or(u64::MAX)
    }

    fn told_all<T>(&self, what: Option<T>) -> Option<T> {
        what.filter(|_| self.told == Told::Everything)
    }

    pub(in crate::record) fn reason(&self) -> Option<&'static str> {
        match self.told {
            Told::Everything => self.finished.rejection.as_ref().map(Rejection::reason),
            Told::NoSuchTarget => Some(UNKNOWN_TARGET),
        }
    }

    pub(super) fn hint(&self) -> Option<&'a str> {
        self.told_all(self.finished.rejection.as_ref().and_then(Rejection::hint))
    }

    pub(super) fn customer(&self) -> Option<TenantId> {
        self.told_all(self.trail().customer)
    }

    pub(super) fn notes(&self) -> &'a [Cow<'static, str>] {
        self.told_all(Some(self.trail().notes.as_slice())).unwrap_or_default()
    }

    /// The grants that the decision looked at.
    pub(super) fn grants(&self) -> &'a [ScoredGrant] {
        self.told_all(Some(self.trail().grants.as_slice())).unwrap_or_default()
    }

    /// The grant that permitted the request, when it is the only one looked at.
    pub(super) fn only_grant(&self) -> Option<&'a Grant> {
        match self.grants() {
            [only] if permits(only) => Some(&only.grant),
            _ => None,
        }
    }

    /// The grant that permitted the request.
    pub(in crate::record) fn used_grant(&self) -> Option<&'a Grant> {
        let is_passed = self.outcome(CheckName::Role) == Outcome::Pass;
        self.grants().iter().find(|scored| is_passed && permits(scored)).map(|scored| &scored.grant)
    }

    pub(in crate::record) fn outcome(&self, check: CheckName) -> Outcome {
        match self.told {
            Told::NoSuchTarget if check == CheckName::Scope => Outcome::Fail,
            Told::NoSuchTarget if check > CheckName::Scope => Outcome::NotReached,
            Told::Everything | Told::NoSuchTarget => self.trail().outcome(check),
        }
    }

    /// Nanoseconds since the check before it.
    pub(super) fn took_ns(&self, check: CheckName) -> Option<u64> {
        self.trail().lap_of(check).0
    }

    /// Why a check failed.
    pub(super) fn failure(&self, check: CheckName) -> Option<Cow<'a, str>> {
        if self.told == Told::NoSuchTarget && check == CheckName::Scope {
            return subscription_in(&self.trail().path).map(|id| ScopeError::Subscription { id, owner: None }.to_string().into());
        }
        self.trail().lap_of(check).1.map(Cow::Borrowed)
    }
}

const fn permits(scored: &ScoredGrant) -> bool {
    scored.principal && scored.scope && scored.action && scored.in_force
}
