//! `registrationDefinitions`.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::Value;

use super::{Call, OwnAnswer, OwnError, marketplace, sizes};
use crate::clock::Timestamp;
use crate::delegation::offer::{
    self, Bound, DefinitionContext, DefinitionKey, Document, Filter, PrincipalKind, ProvisioningState, RegistrationAssignment,
    RegistrationDefinition,
};
use crate::directory::entity::{self, Entity, EventKind};
use crate::directory::shown::{self, Kept, Shown};
use crate::directory::{self, Directory, Holdings};
use crate::ids::{DefinitionId, OperationId, PrincipalId, SubscriptionId, TenantId};
use crate::management::{pages::paged, room};
use crate::pipeline::Basis;
use crate::store::Write;

impl Call<'_> {
    pub(super) fn definitions(&self) -> Result<OwnAnswer, OwnError> {
        let (subscription, _) = self.place()?;
        let filter = self.filter()?;
        let directory = &self.desk.context.directory;
        let mut shown = shown::definitions(directory, subscription);
        if !self.request.scope.below().is_empty() || matches!(self.request.basis, Basis::GrantsBelow { .. }) {
            let used: Vec<DefinitionId> = self.visible_assignments(subscription).iter().map(|one| one.body.definition.name).collect();
            shown.retain(|one| used.contains(&one.body.name));
        }
        shown.retain(|one| filter.as_ref().is_none_or(|filter| filter.matches(&one.body)));
        paged(self.request, shown, |one| one.body.key().to_string(), |one| self.show_definition(one))
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
        let home = self.request.place.map_or(definition.managing_tenant, |(_, customer)| customer);
        self.view(home, |view| definition.to_arm(view, state))
    }

    pub(super) async fn put_definition(&self, name: &str, body: &Value) -> Result<OwnAnswer, OwnError> {
        let (subscription, _) = self.place()?;
        offer::check_definition_scope(&self.request.scope)?;
        let name: DefinitionId = super::name(Document::Definition, name)?;
        let changed = self.desk.change(self.request, |directory| self.plan_definition(directory, subscription, name, body)).await?;
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
    ) -> Result<(Vec<Write>, Planned), OwnError> {
        let shown = shown::definitions(directory, subscription).into_iter().find(|one| one.body.name == name);
        refuse_declared(shown.as_ref())?;
        let home = directory.subscription(subscription).map(|found| found.tenant).ok_or_else(|| self.not_found())?;
        // A kind that decides is told by the refusal.
        let known = directory.known_to(self.request.caller.principal.tenant);
        let kind = |tenant, object| known.principal(PrincipalId { tenant, object }).map(|known| kind_of(known.kind));
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
        let plan = marketplace::plan_of(directory, home, body)?;
        let filled = plan.as_ref().map(|plan| marketplace::filled(body, plan, self.version));
        let definition = offer::definition_from(filled.as_ref().unwrap_or(body), &context)?;
        plan.as_ref().map_or(Ok(()), |plan| marketplace::check_plan(&definition, plan))?;
        allowed_manager(directory, home, &definition)?;
        let held = directory.registry().holdings(subscription);
        let bound = bound(held.map(AsRef::as_ref));
        offer::check_definition_update(&definition, &refer(&bound))?;
        if shown.is_none() {
            room(held.map_or(0, |held| held.definitions.len()), "registration definitions", DEFINITIONS_MAX)?;
        }
        sizes::check_definition(&definition, held.map(AsRef::as_ref))?;
        let operation = self.operation(&definition.key().to_string(), false)?;
        let id = operation.id;
        let events = bound_by(held.map(AsRef::as_ref), name).map(|one| self.event(EventKind::Updated, &one, &definition));
        let mut writes: Vec<_> = events.map(|event| Entity::Event(event).into_write()).collect();
        writes.push(Entity::Operation(operation).into_write());
        writes.push(Entity::Definition(definition.clone()).into_write());
        writes.extend(self.forgotten(directory, writes.len()));
        Ok((writes, (definition, id, shown.is_none())))
    }

    pub(super) async fn delete_definition(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let (subscription, _) = self.place()?;
        let Ok(name) = name.parse::<DefinitionId>() else { return Ok(OwnAnswer::empty(StatusCode::NO_CONTENT)) };
        let changed = self.desk.change(self.request, |directory| {
            let shown = shown::definitions(directory, subscription).into_iter().find(|one| one.body.name == name);
            refuse_declared(shown.as_ref())?;
            if shown.is_none() {
                return Ok((Vec::new(), false));
            }
            let held = directory.registry().holdings(subscription).map(AsRef::as_ref);
            let bound: Vec<_> = bound_by(held, name).map(|one| RegistrationAssignment::clone(&one)).collect();
            offer::check_definition_removal(DefinitionKey { subscription, name }, &bound)?;
            Ok::<_, OwnError>((vec![entity::removal(entity::definition_key(subscription, name))], true))
        });
        let gone = changed.await?.value;
        Ok(OwnAnswer::empty(if gone { StatusCode::OK } else { StatusCode::NO_CONTENT }))
    }

    pub(super) fn filter(&self) -> Result<Option<Filter>, OwnError> {
        let filter = self.query_value("$filter").map(|text| offer::parse_filter(&text));
        Ok(filter.transpose()?)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.desk.context.now
    }
}

/// Offers of one subscription.
const DEFINITIONS_MAX: usize = 500;

/// An offer about to be written, the operation that writes it, and whether it is new.
type Planned = (RegistrationDefinition, OperationId, bool);

/// The assignments of an offer.
pub(super) fn bound_by(held: Option<&Holdings>, name: DefinitionId) -> impl Iterator<Item = Arc<RegistrationAssignment>> {
    let all = held.into_iter().flat_map(|held| held.assignments.values());
    all.filter(move |one| one.body.definition.name == name).map(|one| Arc::clone(&one.body))
}

/// All assignments of a subscription that were made at run time, each with its offer.
pub(super) fn bound(held: Option<&Holdings>) -> Vec<(Arc<RegistrationAssignment>, Arc<RegistrationDefinition>)> {
    let all = held.into_iter().flat_map(|held| held.assignments.values().map(move |one| (held, one)));
    let with_offer = all.filter_map(|(held, one)| Some((&one.body, &held.definitions.get(&one.body.definition.name)?.body)));
    with_offer.map(|(assignment, definition)| (Arc::clone(assignment), Arc::clone(definition))).collect()
}

/// The same, as the rules read them.
pub(super) fn refer(bound: &[(Arc<RegistrationAssignment>, Arc<RegistrationDefinition>)]) -> Vec<Bound<'_>> {
    bound.iter().map(|(assignment, definition)| (&**assignment, &**definition)).collect()
}

pub(super) fn refuse_declared<T>(shown: Option<&Shown<T>>) -> Result<(), OwnError> {
    match shown.map(|one| &one.kept) {
        Some(Kept::Declared(at)) => Err(OwnError::Declared { at: at.clone() }),
        Some(Kept::Agreed(_)) | None => Ok(()),
    }
}

/// Whether the customer's policy allows the tenant that the offer names.
pub(super) fn allowed_manager(directory: &Directory, customer: TenantId, definition: &RegistrationDefinition) -> Result<(), OwnError> {
    match directory.onboarding_rule_against(customer, definition.managing_tenant) {
        Some(rule) => Err(OwnError::ManagingTenant { tenant: definition.managing_tenant, at: rule.defined_at.clone() }),
        None => Ok(()),
    }
}

const fn kind_of(kind: directory::PrincipalKind) -> PrincipalKind {
    match kind {
        directory::PrincipalKind::Group => PrincipalKind::Group,
        directory::PrincipalKind::ServicePrincipal => PrincipalKind::ServicePrincipal,
        directory::PrincipalKind::User => PrincipalKind::User,
    }
}
