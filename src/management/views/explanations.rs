//! `explanations`: the decision record of a request, for those who may read it.
//!
//! A caller reads its own: of grants, those to itself and its groups; of a target that its tenant may not know, nothing. Who may read
//! who has access to a scope, in the tenant that owns it, reads all of what was asked there.

use super::{Call, OwnAnswer, OwnError, READ_ACCESS};
use crate::arm::scope::Scope;
use crate::ids::RequestId;
use crate::pipeline::{CheckName, Outcome, ScopeError};
use crate::record::{Found, Record};

impl Call<'_> {
    pub(super) async fn explanation(&self, id: &str) -> Result<OwnAnswer, OwnError> {
        let id: RequestId = id.parse().map_err(|_cause| self.not_found())?;
        let Found::One(record) = self.desk.recorder.find(&id.to_string()).await else { return Err(self.not_found()) };
        let shown = if self.owns_scope_of(&record) {
            Some(*record)
        } else if self.asked(&record) {
            Some(for_asker(*record))
        } else {
            None
        };
        shown.map(|record| super::document(&record)).ok_or_else(|| self.not_found())
    }

    fn asked(&self, record: &Record) -> bool {
        let caller = self.request.caller.principal;
        record.principal.as_ref().is_some_and(|who| (who.tenant, who.id) == (caller.tenant, caller.object))
    }

    fn owns_scope_of(&self, record: &Record) -> bool {
        let is_home = record.customer.as_ref().is_some_and(|customer| customer.tenant == self.home());
        let scope = record.scope.as_deref().and_then(|scope| Scope::parse(scope).ok());
        is_home && scope.is_some_and(|scope| self.may(READ_ACCESS, &scope))
    }
}

/// What somebody may read of its own request.
pub(super) fn for_asker(mut record: Record) -> Record {
    for check in &mut record.checks {
        check.grants.retain(|grant| grant.principal);
    }
    let failed_at_scope = record.checks.iter().any(|check| check.name == CheckName::Scope && check.outcome == Outcome::Fail);
    if failed_at_scope && record.customer.is_some() { without_target(record) } else { record }
}

/// The record that would have been made if there were no such target.
fn without_target(mut record: Record) -> Record {
    let subscription = record.path.split('/').nth(2).and_then(|id| id.parse().ok());
    let words = subscription.map(|id| ScopeError::Subscription { id, owner: None }.to_string());
    for check in record.checks.iter_mut().filter(|check| check.name == CheckName::Scope) {
        check.seen.clone_from(&words);
    }
    Record { reason: Some("scope.unknown".to_owned()), hint: None, customer: None, notes: Vec::new(), ..record }
}
