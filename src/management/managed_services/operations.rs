//! Operations, their URLs, and what is told about a change.

use hyper::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Call, OwnAnswer, OwnError};
use crate::delegation::offer::{RegistrationAssignment, RegistrationDefinition};
use crate::directory::entity::{self, DelegationEvent, EventKind, StartedOperation};
use crate::directory::{Directory, Versioned};
use crate::ids::OperationId;
use crate::store::Write;

/// Operations that are kept; with each new one the oldest beyond that goes.
const OPERATIONS_KEPT: usize = 20_000;

impl Call<'_> {
    pub(super) async fn operation_status(&self, id: &str) -> Result<OwnAnswer, OwnError> {
        let operation = self.find_operation(id)?;
        let done = self.desk.state.is_settled(operation.revision).await;
        let StartedOperation { id, resource, started_at, .. } = &*operation.body;
        let mut status = json!({
            "id": self.request.path.as_str(),
            "name": id,
            "resourceId": resource,
            "status": if done { "Succeeded" } else { "InProgress" },
            "startTime": started_at,
        });
        if let (true, Value::Object(members)) = (done, &mut status) {
            members.insert("endTime".to_owned(), json!(self.now()));
            members.insert("percentComplete".to_owned(), json!(100));
        }
        let answer = OwnAnswer::ok(status);
        Ok(if done { answer } else { answer.with("retry-after", "1") })
    }

    pub(super) async fn operation_result(&self, id: &str) -> Result<OwnAnswer, OwnError> {
        let operation = self.find_operation(id)?;
        if !self.desk.state.is_settled(operation.revision).await {
            return Ok(self.started(StatusCode::ACCEPTED, None, operation.body.id, true));
        }
        Ok(OwnAnswer::empty(if operation.body.removes { StatusCode::NO_CONTENT } else { StatusCode::OK }))
    }

    fn find_operation(&self, id: &str) -> Result<Versioned<StartedOperation>, OwnError> {
        let (subscription, _) = self.place()?;
        let found = id.parse().ok().and_then(|id| self.desk.context.directory.registry().operation(id));
        found.filter(|found| found.body.subscription == subscription).cloned().ok_or_else(|| self.not_found())
    }

    /// A new operation of this request's caller on a resource.
    pub(super) fn operation(&self, resource: &str, removes: bool) -> Result<StartedOperation, OwnError> {
        let (subscription, customer) = self.place()?;
        Ok(StartedOperation {
            id: OperationId::random(),
            starter: self.request.caller.principal,
            customer,
            subscription,
            resource: resource.into(),
            removes,
            started_at: self.now(),
        })
    }

    pub(super) fn operation_link(&self, kind: &str, id: OperationId) -> String {
        let subscription = self.request.place.map(|(subscription, _)| subscription.to_string()).unwrap_or_default();
        let base = format!("https://{}/subscriptions/{subscription}/providers/Microsoft.ManagedServices", self.request.authority);
        format!("{base}/{kind}/{id}?api-version={}&{}", self.version.as_str(), self.desk.since())
    }

    pub(super) fn event(
        &self,
        what: EventKind,
        assignment: &RegistrationAssignment,
        definition: &RegistrationDefinition,
    ) -> DelegationEvent {
        let now = self.now();
        let standing = definition.authorizations.iter().map(|one| one.principal);
        DelegationEvent {
            name: format!("{:020}-{}", now.as_microsecond(), Uuid::new_v4()).into(),
            what,
            at: now,
            caller: self.request.caller.principal,
            caller_name: self.request.caller.name.clone(),
            customer: self.request.place.map(|(_, customer)| customer).unwrap_or(self.request.caller.principal.tenant),
            managing_tenant: definition.managing_tenant,
            subscription: definition.subscription,
            scope: assignment.scope.clone(),
            delegation: assignment.id().into(),
            offer: definition.offer_name.clone(),
            correlation_id: self.request.correlation_id.clone(),
            principals: standing.chain(definition.eligible.iter().map(|one| one.principal)).collect(),
        }
    }

    /// Removals that keep operations and events within their bounds.
    pub(super) fn forgotten(&self, directory: &Directory, coming: usize) -> Vec<Write> {
        let registry = directory.registry();
        let events = registry.events_in_the_way_of(coming);
        let mut gone: Vec<Write> = events.iter().map(|name| entity::removal(entity::event_key(name))).collect();
        if registry.operations_len() >= OPERATIONS_KEPT
            && let Some(oldest) = registry.oldest_operation()
        {
            gone.push(entity::removal(entity::operation_key(oldest)));
        }
        gone
    }

    /// A value of the query, decoded.
    pub(super) fn query_value(&self, name: &str) -> Option<String> {
        crate::arm::query::value(self.request.query.as_deref().unwrap_or_default(), name)
    }
}
