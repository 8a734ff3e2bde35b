//! `explanations`: the decision record of a request, for those who may read it. `explain`: the same for a request that nobody sent.
//!
//! A caller reads its own: of grants, those to itself and its groups; of a target that its tenant may not know, nothing. Who may read
//! who has access to a scope, in the tenant that owns it, reads all of what was asked there.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;

use super::shapes::{Explanation, Refusal};
use super::{Call, OwnAnswer, OwnError, READ_ACCESS, Sent};
use crate::arm::scope::Scope;
use crate::identity::Caller;
use crate::ids::{ObjectId, PrincipalId, RequestId, TenantId};
use crate::management::{self, body};
use crate::pipeline::{CheckName, Foreseen, Outcome, Refused, Supposed, Trail};
use crate::record::{Finished, Found, Record};
use crate::rejection::Rejection;

/// What is asked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Question {
    /// `GET`, `PUT` and so on.
    method: String,
    /// The URL: absolute, or from the path on. With its query, for the API version is checked as well.
    url: String,
    /// Who would send it; the caller where this is absent.
    principal: Option<Who>,
}

/// A principal of some tenant.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Who {
    tenant_id: TenantId,
    object_id: ObjectId,
}

impl Call<'_> {
    pub(super) async fn explanation(&self, id: &str) -> Result<OwnAnswer, OwnError> {
        let id: RequestId = id.parse().map_err(|_cause| self.not_found())?;
        let Found::One(record) = self.desk.recorder.find(&id.to_string()).await? else { return Err(self.not_found()) };
        let shown = if self.owns_scope_of(&record) {
            Some(*record)
        } else if self.asked(&record) {
            Some(for_asker(*record))
        } else {
            None
        };
        shown.map(|record| super::document(&record.told_to(self.known()))).ok_or_else(|| self.not_found())
    }

    pub(super) async fn explain(&self, body: Sent<'_>) -> Result<OwnAnswer, OwnError> {
        let question: Question = body::read_as(body).await?;
        let context = self.desk.context;
        let asked_about = question.principal.map(|who| PrincipalId { tenant: who.tenant_id, object: who.object_id });
        let other = asked_about.filter(|who| *who != self.request.caller.principal);
        let caller = match other {
            Some(who) if self.known().knows(who.tenant) => Arc::new(Caller::supposed(who, &context.directory, context.now)),
            Some(who) => Arc::new(Caller::unknown(who, context.now)),
            None => Arc::clone(&self.request.caller),
        };
        let supposed = Supposed { method: &question.method, url: &question.url, caller };
        let (trail, rejection) = match self.request.foresee(&supposed, context) {
            Foreseen::Asked(question) => {
                let refused = management::answer(&question, &context.directory, context.now).err().map(Rejection::Own);
                (answered(question.trail, refused.as_ref()), refused)
            }
            Foreseen::Permitted(trail) => (trail, None),
            Foreseen::Refused(Refused { rejection, trail }) => (trail, Some(*rejection)),
        };
        if let Some(who) = other {
            self.may_ask_about(who, trail.scope.as_ref())?;
        }
        Ok(super::document(&self.describe(trail, rejection)))
    }

    /// Of a scope that the caller may not know the refusal says the same as of one that it may not read.
    fn may_ask_about(&self, who: PrincipalId, scope: Option<&Scope>) -> Result<(), OwnError> {
        let concerns = |scope: &Scope| who.tenant == self.home() || self.is_home_of(scope);
        match scope {
            Some(scope) if concerns(scope) && self.may(READ_ACCESS, scope) => Ok(()),
            scope => Err(OwnError::Restricted {
                client: self.request.caller.name.to_string(),
                action: READ_ACCESS,
                scope: scope.map_or_else(|| "/".to_owned(), ToString::to_string),
            }),
        }
    }

    fn is_home_of(&self, scope: &Scope) -> bool {
        let subscription = scope.subscription_id().and_then(|id| self.directory().subscription(id));
        subscription.is_some_and(|found| found.tenant == self.home())
    }

    fn describe(&self, trail: Box<Trail>, rejection: Option<Rejection>) -> Explanation {
        let refusal = rejection.as_ref().map(|rejection| {
            let answer = rejection.answer();
            Refusal { status: answer.status.as_u16(), code: answer.code, message: answer.message }
        });
        let record = Record::from(Finished { trail, status: StatusCode::OK, rejection, took: Duration::ZERO });
        let record = if self.owns_scope_of(&record) { record } else { for_asker(record) }.told_to(self.known());
        Explanation {
            outcome: record.outcome,
            reason: record.reason,
            hint: record.hint,
            refusal,
            actions: record.actions,
            scope: record.scope,
            checks: record.checks,
        }
    }

    fn asked(&self, record: &Record) -> bool {
        let caller = self.request.caller.principal;
        record.counted.is_none() && record.principal.as_ref().is_some_and(|who| (who.tenant, who.id) == (caller.tenant, caller.object))
    }

    fn owns_scope_of(&self, record: &Record) -> bool {
        let is_home = record.customer.as_ref().is_some_and(|customer| customer.tenant == self.home());
        let scope = record.scope.as_deref().and_then(|scope| Scope::parse(scope).ok());
        is_home && scope.is_some_and(|scope| self.may(READ_ACCESS, &scope))
    }
}

/// Marks the checks that a question to the gateway itself passes.
fn answered(mut trail: Box<Trail>, refused: Option<&Rejection>) -> Box<Trail> {
    match refused {
        Some(rejection) => trail.fail(rejection),
        None => [CheckName::Delegation, CheckName::Role, CheckName::Rules].into_iter().for_each(|check| trail.pass(check)),
    }
    trail
}

/// What somebody may read of its own request.
pub(super) fn for_asker(mut record: Record) -> Record {
    // Whose logs it is in tells whose scope it is.
    record.chain.clear();
    for check in &mut record.checks {
        check.grants.retain(|grant| grant.principal);
    }
    let failed_at_scope = record.checks.iter().any(|check| check.name == CheckName::Scope && check.outcome == Outcome::Fail);
    if failed_at_scope && record.customer.is_some() { record.without_target() } else { record }
}
