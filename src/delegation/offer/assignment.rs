//! Request bodies of registration assignments, and what may be assigned where.

use serde_json::Value;

use super::documents::{DefinitionKey, RegistrationAssignment, RegistrationDefinition};
use super::error::shown;
use super::json::{self, Node};
use super::{DEFINITION_TYPE, Document, OfferError, Place};
use crate::arm::scope::{Anchor, Scope};
use crate::clock::Timestamp;
use crate::ids::{AssignmentId, PrincipalId, SubscriptionId};

/// What an assignment is read with.
#[derive(Debug)]
pub struct AssignmentContext<'a> {
    /// The scope of the path.
    pub scope: &'a Scope,
    /// The name of the path.
    pub name: AssignmentId,
    /// The assignment that is replaced.
    pub previous: Option<&'a RegistrationAssignment>,
    /// The present time.
    pub now: Timestamp,
    /// Who asks.
    pub caller: PrincipalId,
}

/// An assignment with the definition that it binds.
pub type Bound<'a> = (&'a RegistrationAssignment, &'a RegistrationDefinition);

/// Reads the body of `PUT …/registrationAssignments/{id}`.
///
/// # Errors
/// When the scope is neither a subscription nor a resource group, or the body names no definition. Whether the definition may be
/// assigned there is for [`check_assignment`].
pub fn read_assignment(body: &[u8], context: &AssignmentContext<'_>) -> Result<RegistrationAssignment, OfferError> {
    assignment_from(&json::parse(body)?, context)
}

/// The same for a body that is JSON already, such as a resource of a template.
///
/// # Errors
/// As [`read_assignment`].
pub fn assignment_from(body: &Value, context: &AssignmentContext<'_>) -> Result<RegistrationAssignment, OfferError> {
    check_scope(context.scope)?;
    let properties = Node::root(body, Document::Assignment).required("properties")?;
    let definition = definition_key(&properties.required("registrationDefinitionId")?)?;
    let (created_at, created_by) =
        context.previous.map_or((context.now, context.caller), |previous| (previous.created_at, previous.created_by));
    Ok(RegistrationAssignment { scope: context.scope.clone(), name: context.name, definition, created_at, created_by })
}

fn check_scope(scope: &Scope) -> Result<SubscriptionId, OfferError> {
    let segments: Vec<&str> = scope.segments().collect();
    let is_assignable = match (scope.anchor(), segments.as_slice()) {
        (Anchor::Subscription(_), []) => true,
        (Anchor::Subscription(_), [groups, _]) => groups.eq_ignore_ascii_case("resourceGroups"),
        (Anchor::Tenant | Anchor::ManagementGroup(_) | Anchor::Subscription(_), _) => false,
    };
    let subscription = scope.subscription_id().filter(|_| is_assignable);
    subscription.ok_or_else(|| OfferError::AssignmentScope { scope: shown(&scope.to_string()) })
}

fn definition_key(node: &Node<'_>) -> Result<DefinitionKey, OfferError> {
    let text = node.str()?;
    parse_key(text).ok_or_else(|| OfferError::DefinitionIdMalformed { at: node.at().clone(), text: shown(text) })
}

fn parse_key(text: &str) -> Option<DefinitionKey> {
    let scope = Scope::parse(text).ok()?;
    let segments: Vec<&str> = scope.segments().collect();
    let [providers, namespace, kind, name] = segments.as_slice() else {
        return None;
    };
    let is_definition = providers.eq_ignore_ascii_case("providers") && format!("{namespace}/{kind}").eq_ignore_ascii_case(DEFINITION_TYPE);
    let name = name.parse().ok().filter(|_| is_definition)?;
    Some(DefinitionKey { subscription: scope.subscription_id()?, name })
}

/// Checks whether the definition may be assigned where `assignment` says.
///
/// `definition` is what the assignment names, if it exists; `existing` are the assignments there are, of which those on other scopes
/// do not count, nor the one that is replaced.
///
/// # Errors
/// When there is no such definition, it lives in another subscription, or the scope has an assignment of it or of another
/// definition with the same offer name.
pub fn check_assignment(
    assignment: &RegistrationAssignment,
    definition: Option<&RegistrationDefinition>,
    existing: &[Bound<'_>],
) -> Result<(), OfferError> {
    let at = || Place { document: Document::Assignment, path: "properties.registrationDefinitionId".to_owned() };
    let scope = check_scope(&assignment.scope)?;
    let key = assignment.definition;
    if key.subscription != scope {
        return Err(OfferError::DefinitionElsewhere { at: at(), definition: key.subscription, scope });
    }
    let definition = definition.filter(|definition| definition.key() == key);
    let definition = definition.ok_or_else(|| OfferError::DefinitionNotFound { at: at(), definition: key })?;
    let mut others = existing.iter().filter(|(other, _)| other.scope == assignment.scope && other.name != assignment.name);
    others.try_for_each(|other| check_beside(assignment, definition, other))
}

fn check_beside(assignment: &RegistrationAssignment, definition: &RegistrationDefinition, other: &Bound<'_>) -> Result<(), OfferError> {
    let (there, bound) = other;
    let scope = assignment.scope.to_string();
    if there.definition == assignment.definition {
        return Err(OfferError::AssignedAlready { scope, assignment: there.name, definition: definition.name });
    }
    if is_same_offer(bound, definition) {
        return Err(OfferError::OfferNameTaken { scope, offer: definition.offer_name.to_string(), definition: bound.name });
    }
    Ok(())
}

/// Offers are told apart by people, so by name without case.
fn is_same_offer(left: &RegistrationDefinition, right: &RegistrationDefinition) -> bool {
    left.offer_name.to_lowercase() == right.offer_name.to_lowercase()
}

/// Checks a definition that replaces another one of its key against the assignments there are: its new offer name must not be that of
/// another offer on any scope that it is assigned to.
///
/// # Errors
/// When it is.
pub fn check_definition_update(definition: &RegistrationDefinition, existing: &[Bound<'_>]) -> Result<(), OfferError> {
    let own = existing.iter().filter(|(assignment, _)| assignment.definition == definition.key());
    for (assignment, _) in own {
        let mut others = existing.iter().filter(|(other, _)| other.scope == assignment.scope && other.definition != assignment.definition);
        others.try_for_each(|other| check_beside(assignment, definition, other))?;
    }
    Ok(())
}

/// Checks whether a definition may be deleted.
///
/// # Errors
/// When it is still assigned.
pub fn check_definition_removal(definition: DefinitionKey, existing: &[RegistrationAssignment]) -> Result<(), OfferError> {
    let mut assigned = existing.iter().filter(|assignment| assignment.definition == definition);
    match assigned.next() {
        None => Ok(()),
        Some(first) => {
            let (scope, count) = (first.scope.to_string(), assigned.count() + 1);
            Err(OfferError::DefinitionInUse { definition: definition.name, scope, count })
        }
    }
}
