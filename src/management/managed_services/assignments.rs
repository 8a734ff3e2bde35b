//! `registrationAssignments`.

use hyper::StatusCode;
use serde_json::Value;

use super::definitions::{allowed_manager, bound, refer, refuse_declared};
use super::{Call, OwnAnswer, OwnError, sizes};
use crate::delegation::offer::{self, AssignmentContext, Document, ProvisioningState, RegistrationAssignment, RegistrationDefinition};
use crate::directory::Directory;
use crate::directory::entity::{self, Entity, EventKind};
use crate::directory::shown::{self, Kept, Shown};
use crate::ids::{AssignmentId, OperationId, SubscriptionId};
use crate::management::{pages::paged, room};
use crate::pipeline::Basis;
use crate::store::Write;

/// Assignments in one subscription.
const ASSIGNMENTS_MAX: usize = 4_000;

impl Call<'_> {
    pub(super) fn assignments(&self) -> Result<OwnAnswer, OwnError> {
        let (subscription, _) = self.place()?;
        let filter = self.filter()?;
        let directory = &self.desk.context.directory;
        let definitions = shown::definitions(directory, subscription);
        let definition_of =
            |one: &Shown<RegistrationAssignment>| definitions.iter().find(|known| known.body.name == one.body.definition.name);
        let mut shown = self.visible_assignments(subscription);
        shown.retain(|one| filter.as_ref().is_none_or(|filter| definition_of(one).is_some_and(|known| filter.matches(&known.body))));
        let show = |one: &Shown<RegistrationAssignment>| self.show_assignment(one, definition_of(one).filter(|_| self.expands()));
        paged(self.request, shown, |one| one.body.id(), show)
    }

    /// The assignments at and below the request's scope that the caller may read.
    pub(super) fn visible_assignments(&self, subscription: SubscriptionId) -> Vec<Shown<RegistrationAssignment>> {
        let mut shown = shown::assignments(&self.desk.context.directory, subscription);
        shown.retain(|one| self.request.scope.covers(&one.body.scope));
        if let Basis::GrantsBelow { scopes, .. } = &self.request.basis {
            shown.retain(|one| scopes.iter().any(|scope| scope.covers(&one.body.scope)));
        }
        shown
    }

    pub(super) fn assignment(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let (subscription, _) = self.place()?;
        let directory = &self.desk.context.directory;
        let found = self.find_assignment(directory, subscription, name)?;
        let definition =
            shown::definitions(directory, subscription).into_iter().find(|known| known.body.name == found.body.definition.name);
        Ok(OwnAnswer::ok(self.show_assignment(&found, definition.as_ref().filter(|_| self.expands()))))
    }

    fn find_assignment(
        &self,
        directory: &Directory,
        subscription: SubscriptionId,
        name: &str,
    ) -> Result<Shown<RegistrationAssignment>, OwnError> {
        let name: AssignmentId = name.parse().map_err(|_cause| self.not_found())?;
        let mut all = shown::assignments(directory, subscription).into_iter();
        all.find(|one| one.body.name == name && one.body.scope == self.request.scope).ok_or_else(|| self.not_found())
    }

    fn expands(&self) -> bool {
        self.query_value("$expandRegistrationDefinition").is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn show_assignment(&self, one: &Shown<RegistrationAssignment>, definition: Option<&Shown<RegistrationDefinition>>) -> Value {
        let state = match one.kept {
            Kept::Agreed(revision) => self.state_of(revision),
            Kept::Declared(_) => ProvisioningState::Succeeded,
        };
        self.render_assignment(&one.body, state, definition.map(|known| &*known.body))
    }

    fn render_assignment(
        &self,
        assignment: &RegistrationAssignment,
        state: ProvisioningState,
        definition: Option<&RegistrationDefinition>,
    ) -> Value {
        let home = self.request.place.map_or(self.request.caller.principal.tenant, |(_, customer)| customer);
        self.view(home, |view| assignment.to_arm(view, state, definition))
    }

    pub(super) async fn put_assignment(&self, name: &str, body: &Value) -> Result<OwnAnswer, OwnError> {
        let (subscription, _) = self.place()?;
        let name: AssignmentId = super::name(Document::Assignment, name)?;
        let previous = self.find_assignment(&self.desk.context.directory, subscription, &name.to_string()).ok();
        let context = AssignmentContext {
            scope: &self.request.scope,
            name,
            previous: previous.as_ref().map(|one| &*one.body),
            now: self.now(),
            caller: self.request.caller.principal,
        };
        let assignment = offer::assignment_from(body, &context)?;
        let changed = self.desk.change(self.request, |directory| self.plan_assignment(directory, subscription, &assignment)).await?;
        let (operation, is_new) = changed.value;
        let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
        Ok(self.started(status, Some(self.render_assignment(&assignment, ProvisioningState::Creating, None)), operation, false))
    }

    fn plan_assignment(
        &self,
        directory: &Directory,
        subscription: SubscriptionId,
        assignment: &RegistrationAssignment,
    ) -> Result<(Vec<Write>, (OperationId, bool)), OwnError> {
        let known = shown::assignments(directory, subscription).into_iter();
        let known = known.into_iter().find(|one| one.body.name == assignment.name && one.body.scope == assignment.scope);
        refuse_declared(known.as_ref())?;
        let definition = shown::definitions(directory, subscription).into_iter().find(|one| one.body.key() == assignment.definition);
        refuse_declared(definition.as_ref())?;
        let definition = definition.map(|one| one.body);
        let bound = bound(directory.registry().holdings(subscription).map(AsRef::as_ref));
        let bound_count = bound.len();
        offer::check_assignment(assignment, definition.as_deref(), &refer(&bound))?;
        let definition = definition.ok_or_else(|| self.not_found())?;
        if known.is_none() {
            room(bound_count, "registration assignments", ASSIGNMENTS_MAX)?;
        }
        sizes::check_assignment(assignment, &definition, directory.registry().holdings(subscription).map(AsRef::as_ref))?;
        let (_, customer) = self.place()?;
        allowed_manager(directory, customer, &definition)?;
        let operation = self.operation(&assignment.id(), false)?;
        let id = operation.id;
        let mut writes = vec![
            Entity::Event(self.event(EventKind::Registered, assignment, &definition)).into_write(),
            Entity::Operation(operation).into_write(),
            Entity::Assignment(assignment.clone()).into_write(),
        ];
        writes.extend(self.left_by(directory, subscription, known.as_ref(), assignment));
        writes.extend(self.forgotten(directory, writes.len()));
        Ok((writes, (id, known.is_none())))
    }

    /// An assignment that goes to another offer leaves the one before: its managing tenant is told.
    fn left_by(
        &self,
        directory: &Directory,
        subscription: SubscriptionId,
        known: Option<&Shown<RegistrationAssignment>>,
        assignment: &RegistrationAssignment,
    ) -> Option<Write> {
        let before = known.filter(|known| known.body.definition != assignment.definition)?;
        let definition = shown::definitions(directory, subscription).into_iter().find(|one| one.body.key() == before.body.definition)?;
        Some(Entity::Event(self.event(EventKind::Unregistered, &before.body, &definition.body)).into_write())
    }

    pub(super) async fn delete_assignment(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let (subscription, _) = self.place()?;
        let changed = self.desk.change(self.request, |directory| self.plan_removal(directory, subscription, name)).await?;
        Ok(match changed.value {
            Some(operation) => self.started(StatusCode::ACCEPTED, None, operation, true),
            None => OwnAnswer::empty(StatusCode::NO_CONTENT),
        })
    }

    /// A managing tenant may leave; what it leaves is its own. Another's is to it as if it were not there.
    fn refuse_anothers(&self, directory: &Directory, subscription: SubscriptionId, found: &RegistrationAssignment) -> Result<(), OwnError> {
        let (_, customer) = self.place()?;
        let caller = self.request.caller.principal.tenant;
        let offer = shown::definitions(directory, subscription).into_iter().find(|one| one.body.key() == found.definition);
        let own = caller == customer || offer.is_some_and(|offer| offer.body.managing_tenant == caller);
        if own { Ok(()) } else { Err(self.not_found()) }
    }

    fn plan_removal(
        &self,
        directory: &Directory,
        subscription: SubscriptionId,
        name: &str,
    ) -> Result<(Vec<Write>, Option<OperationId>), OwnError> {
        let Ok(found) = self.find_assignment(directory, subscription, name) else { return Ok((Vec::new(), None)) };
        refuse_declared(Some(&found))?;
        self.refuse_anothers(directory, subscription, &found.body)?;
        let operation = self.operation(&found.body.id(), true)?;
        let id = operation.id;
        let mut writes =
            vec![entity::removal(entity::assignment_key(&found.body.scope, found.body.name)), Entity::Operation(operation).into_write()];
        let held = directory.registry().holdings(subscription);
        if let Some(definition) = held.and_then(|held| held.definitions.get(&found.body.definition.name)) {
            writes.push(Entity::Event(self.event(EventKind::Unregistered, &found.body, &definition.body)).into_write());
        }
        writes.extend(self.forgotten(directory, writes.len()));
        Ok((writes, Some(id)))
    }
}
