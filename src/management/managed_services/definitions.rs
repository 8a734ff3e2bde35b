//! `registrationDefinitions`.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Value, json};

use super::{Call, OwnAnswer, OwnError};
use crate::clock::Timestamp;
use crate::delegation::offer::{
    self, DefinitionContext, Filter, OfferError, ProvisioningState, RegistrationAssignment, RegistrationDefinition,
};
use crate::directory::entity::{self, Entity, EventKind};
use crate::directory::shown::{self, Kept, Shown};
use crate::directory::{Directory, Holdings};
use crate::ids::{DefinitionId, SubscriptionId};
use crate::pipeline::Basis;

impl Call<'_> {
    pub(super) fn definitions(&self) -> Result<OwnAnswer, OwnError> {
        let (subscription, _) = self.place()?;
        let filter = self.filter()?;
        let directory = &self.desk.context.directory;
        let mut shown = shown::definitions(directory, subscription);
        if !self.request.scope.below().is_empty() || matches!(self.request.basis, Basis::GrantsBelow { .. }) {
            let used: Vec<DefinitionId> = self.visible_assignments(subscription).iter().map(|one| one.body.definition.1).collect();
            shown.retain(|one| used.contains(&one.body.name));
        }
        shown.retain(|one| filter.admits(one.body.managing_tenant));
        let value: Vec<Value> = shown.iter().map(|one| self.show_definition(one)).collect();
        Ok(OwnAnswer::ok(json!({ "value": value })))
    }

    pub(super) fn definition(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let found = self.find_definition(&self.desk.context.directory, name)?;
        Ok(OwnAnswer::ok(self.show_definition(&found)))
    }

    pub(super) fn find_definition(&self, directory: &Directory, name: &str) -> Result<Shown<RegistrationDefinition>, OwnError> {
        let (subscription, _) = self.place()?;
        let name: DefinitionId = name.parse().map_err(|_cause| self.not_found())?;
        let mut all = shown::definitions(directory, subscription).into_iter();
        all.find(|one| one.body.name == name).ok_or_else(|| self.not_found())
    }

    pub(super) fn show_definition(&self, one: &Shown<RegistrationDefinition>) -> Value {
        let state = match one.kept {
            Kept::Agreed(revision) => self.state_of(revision),
            Kept::Declared(_) => ProvisioningState::Succeeded,
        };
        self.render_definition(&one.body, state)
    }

    pub(super) fn render_definition(&self, definition: &RegistrationDefinition, state: ProvisioningState) -> Value {
        let home = self.desk.context.directory.subscription(definition.subscription).map(|subscription| subscription.tenant);
        definition.to_arm(self.version, home, &|tenant| self.tenant_name(tenant), state)
    }

    pub(super) async fn put_definition(&self, name: &str, body: &Value) -> Result<OwnAnswer, OwnError> {
        let (subscription, _) = self.place()?;
        offer::check_definition_scope(&self.request.scope)?;
        let name: DefinitionId = name.parse().map_err(|_cause| OfferError::DefinitionName { name: name.to_owned() })?;
        let changed = self.desk.state.change(self.now(), |directory| self.plan_definition(directory, subscription, name, body)).await?;
        let (definition, operation, is_new) = changed.value;
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        let body = self.render_definition(&definition, ProvisioningState::Creating);
        Ok(self.started(status, Some(body), operation, false))
    }

    fn plan_definition(
        &self,
        directory: &Directory,
        subscription: SubscriptionId,
        name: DefinitionId,
        body: &Value,
    ) -> Result<(Vec<crate::store::Write>, (RegistrationDefinition, crate::ids::OperationId, bool)), OwnError> {
        let shown = shown::definitions(directory, subscription).into_iter().find(|one| one.body.name == name);
        refuse_declared(shown.as_ref())?;
        let home = directory.subscription(subscription).map(|found| found.tenant).ok_or_else(|| self.not_found())?;
        let kind = |tenant, object| directory.principal(crate::ids::PrincipalId { tenant, object }).map(|known| known.kind);
        let context = DefinitionContext {
            subscription,
            home_tenant: home,
            name,
            version: self.version,
            roles: directory.roles(),
            previous: shown.as_ref().map(|one| &*one.body),
            principal_kind: &kind,
            now: self.now(),
            caller: self.request.caller.principal,
        };
        let definition = offer::read_definition(body, &context)?;
        let held = directory.registry().holdings(subscription);
        refuse_clash(held.map(AsRef::as_ref), &definition)?;
        let operation = self.operation(&definition_id(subscription, name), false)?;
        let id = operation.id;
        let events = bound_by(held.map(AsRef::as_ref), name).map(|one| self.event(EventKind::Updated, &one, &definition));
        let mut writes: Vec<_> = events.map(|event| Entity::Event(event).into_write()).collect();
        writes.push(Entity::Operation(operation).into_write());
        writes.push(Entity::Definition(definition.clone()).into_write());
        writes.extend(self.forgotten(directory));
        Ok((writes, (definition, id, shown.is_none())))
    }

    pub(super) async fn delete_definition(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let (subscription, _) = self.place()?;
        let Ok(name) = name.parse::<DefinitionId>() else { return Ok(OwnAnswer::empty(StatusCode::NO_CONTENT)) };
        let changed = self.desk.state.change(self.now(), |directory| {
            let shown = shown::definitions(directory, subscription).into_iter().find(|one| one.body.name == name);
            refuse_declared(shown.as_ref())?;
            if shown.is_none() {
                return Ok((Vec::new(), false));
            }
            let held = directory.registry().holdings(subscription).map(AsRef::as_ref);
            match bound_by(held, name).next() {
                Some(assignment) => Err(OwnError::from(OfferError::DefinitionAssigned { assignment: assignment.id() })),
                None => Ok((vec![entity::removal(entity::definition_key(subscription, name))], true)),
            }
        });
        let gone = changed.await?.value;
        Ok(OwnAnswer::empty(if gone { StatusCode::OK } else { StatusCode::NO_CONTENT }))
    }

    fn filter(&self) -> Result<Filter, OwnError> {
        match self.query_value("$filter") {
            Some(text) => Ok(offer::parse_filter(&text)?),
            None => Ok(Filter::default()),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.desk.context.now
    }
}

/// The assignments of an offer.
pub(super) fn bound_by(held: Option<&Holdings>, name: DefinitionId) -> impl Iterator<Item = Arc<RegistrationAssignment>> {
    let all = held.into_iter().flat_map(|held| held.assignments.values());
    all.filter(move |one| one.body.definition.1 == name).map(|one| Arc::clone(&one.body))
}

/// The full id of an offer.
pub(super) fn definition_id(subscription: SubscriptionId, name: DefinitionId) -> String {
    format!("/subscriptions/{subscription}/providers/Microsoft.ManagedServices/registrationDefinitions/{name}")
}

pub(super) fn refuse_declared<T>(shown: Option<&Shown<T>>) -> Result<(), OwnError> {
    match shown.map(|one| &one.kept) {
        Some(Kept::Declared(at)) => Err(OwnError::Declared { at: at.clone() }),
        Some(Kept::Agreed(_)) | None => Ok(()),
    }
}

/// A renamed offer must not meet another of that name on a scope that both are bound to.
fn refuse_clash(held: Option<&Holdings>, definition: &RegistrationDefinition) -> Result<(), OwnError> {
    for assignment in bound_by(held, definition.name) {
        let others: Vec<_> = super::assignments::neighbours(held, &assignment).collect();
        offer::check_assignment(&assignment, definition, &others)?;
    }
    Ok(())
}
