//! Offers, assignments and eligible roles in one form, whether they were agreed at run time or are declared in policy files.

use std::sync::Arc;

use uuid::Uuid;

use super::{Delegation, Directory, MarketplaceOffer};
use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::delegation::SourceLocation;
use crate::delegation::offer::{
    Approver, Authorization, DefinitionKey, EligibleAuthorization, JustInTimePolicy, MarketplaceDefinition, Mfa, RegistrationAssignment,
    RegistrationDefinition, Term,
};
use crate::ids::{AssignmentId, DefinitionId, ObjectId, PrincipalId, SubscriptionId, TenantId};
use crate::store::Revision;

/// Where an object is kept.
#[derive(Debug, Clone)]
pub enum Kept {
    /// In the store, since this revision.
    Agreed(Revision),
    /// In a policy file.
    Declared(SourceLocation),
}

/// An object and where it is kept.
#[derive(Debug, Clone)]
pub struct Shown<T> {
    /// The object.
    pub body: Arc<T>,
    /// Where it is kept.
    pub kept: Kept,
}

/// All offers of a subscription: those agreed by id, then those declared in the order of the files.
#[must_use]
pub fn definitions(directory: &Directory, subscription: SubscriptionId) -> Vec<Shown<RegistrationDefinition>> {
    let held = directory.registry().holdings(subscription);
    let agreed = held.iter().flat_map(|held| held.definitions.values());
    let agreed = agreed.map(|one| Shown { body: Arc::clone(&one.body), kept: Kept::Agreed(one.revision) });
    let mut shown: Vec<_> = agreed.collect();
    for delegation in declared(directory, subscription) {
        let definition = declared_definition(directory, subscription, delegation);
        if shown.iter().all(|known| known.body.name != definition.name) {
            shown.push(Shown { body: Arc::new(definition), kept: Kept::Declared(delegation.defined_at.clone()) });
        }
    }
    shown
}

/// All assignments in a subscription.
#[must_use]
pub fn assignments(directory: &Directory, subscription: SubscriptionId) -> Vec<Shown<RegistrationAssignment>> {
    let held = directory.registry().holdings(subscription);
    let agreed = held.iter().flat_map(|held| held.assignments.values());
    let agreed = agreed.map(|one| Shown { body: Arc::clone(&one.body), kept: Kept::Agreed(one.revision) });
    let declared = declared(directory, subscription).map(|delegation| Shown {
        body: Arc::new(declared_assignment(subscription, delegation)),
        kept: Kept::Declared(delegation.defined_at.clone()),
    });
    agreed.chain(declared).collect()
}

/// What the policy files say about an assignment that they declare; none for one that was agreed at run time.
#[must_use]
pub fn declaration<'d>(
    directory: &'d Directory,
    subscription: SubscriptionId,
    assignment: &Shown<RegistrationAssignment>,
) -> Option<&'d Delegation> {
    let Kept::Declared(location) = &assignment.kept else { return None };
    declared(directory, subscription).find(|one| one.defined_at == *location && *one.scope == assignment.body.scope)
}

/// A role that a principal of the managing tenant may activate.
#[derive(Debug, Clone)]
pub struct Eligibility {
    /// Stays the same while the authorization does: the `roleEligibilitySchedules` name.
    pub id: Uuid,
    /// Where it can be activated, and below.
    pub assignment: Arc<RegistrationAssignment>,
    /// The offer that says so.
    pub definition: Arc<RegistrationDefinition>,
    /// Who, which role, and how.
    pub authorization: EligibleAuthorization,
}

/// All eligible roles in a subscription.
#[must_use]
pub fn eligibilities(directory: &Directory, subscription: SubscriptionId) -> Vec<Eligibility> {
    let definitions = definitions(directory, subscription);
    let of = |assignment: Arc<RegistrationAssignment>| {
        let definition =
            definitions.iter().find(|known| known.body.name == assignment.definition.name).map(|known| Arc::clone(&known.body));
        let each = definition.into_iter().flat_map(|definition| {
            definition.eligible.clone().into_iter().map(move |authorization| (Arc::clone(&definition), authorization))
        });
        let each = each.map(move |(definition, authorization)| {
            let text = format!("{}|{}|{}", assignment.name, authorization.principal, authorization.role);
            let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes());
            Eligibility { id, assignment: Arc::clone(&assignment), definition, authorization }
        });
        each.collect::<Vec<_>>()
    };
    assignments(directory, subscription).into_iter().flat_map(|one| of(one.body)).collect()
}

fn declared(directory: &Directory, subscription: SubscriptionId) -> impl Iterator<Item = &Delegation> {
    let places = directory.declared.places.get(&subscription).map_or(&[][..], Box::as_ref);
    places.iter().filter_map(|place| directory.delegations().get(*place))
}

/// An id that stays the same while the entry in the file does.
fn name(kind: &str, subscription: SubscriptionId, delegation: &Delegation, scope: Option<&Scope>) -> [u8; 16] {
    let scope = scope.map(|scope| scope.to_string().to_ascii_lowercase()).unwrap_or_default();
    let text = format!("{kind}|{subscription}|{}|{}|{scope}", delegation.managing_tenant, delegation.offer);
    *Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes()).as_bytes()
}

fn declared_assignment(subscription: SubscriptionId, delegation: &Delegation) -> RegistrationAssignment {
    RegistrationAssignment {
        scope: Scope::clone(&delegation.scope),
        name: AssignmentId::from_bytes(name("assignment", subscription, delegation, Some(&delegation.scope))),
        definition: DefinitionKey { subscription, name: DefinitionId::from_bytes(name("definition", subscription, delegation, None)) },
        created_at: Timestamp::UNIX_EPOCH,
        created_by: nobody(delegation.customer),
    }
}

fn declared_definition(directory: &Directory, subscription: SubscriptionId, delegation: &Delegation) -> RegistrationDefinition {
    let (authorizations, eligible) = as_offered(directory, &delegation.authorizations);
    RegistrationDefinition {
        subscription,
        name: DefinitionId::from_bytes(name("definition", subscription, delegation, None)),
        offer_name: Arc::clone(&delegation.offer),
        description: None,
        managing_tenant: delegation.managing_tenant,
        authorizations,
        eligible,
        plan: None,
        term: Term::default(),
        created_at: Timestamp::UNIX_EPOCH,
        created_by: nobody(delegation.customer),
        updated_at: Timestamp::UNIX_EPOCH,
        updated_by: nobody(delegation.customer),
    }
}

/// Files do not say who wrote them, nor when.
const fn nobody(tenant: TenantId) -> PrincipalId {
    PrincipalId { tenant, object: ObjectId::from_bytes([0; 16]) }
}

/// A plan with its authorizations as an offer has them.
#[must_use]
pub fn marketplace_definition(directory: &Directory, offer: &MarketplaceOffer) -> MarketplaceDefinition {
    let (authorizations, eligible) = as_offered(directory, &offer.authorizations);
    MarketplaceDefinition { plan: offer.plan.clone(), managing_tenant: offer.managing_tenant, authorizations, eligible }
}

fn as_offered(directory: &Directory, written: &[super::Authorization]) -> (Vec<Authorization>, Vec<EligibleAuthorization>) {
    let mut authorizations = Vec::new();
    let mut eligible = Vec::new();
    for one in written {
        let Some(role) = directory.roles().role(one.role).map(crate::delegation::roles::Role::id) else { continue };
        let display_name = Some(Arc::clone(&one.origin.principal_name));
        match &one.on_request {
            None => authorizations.push(Authorization { principal: one.principal.object, display_name, role, delegated_roles: Vec::new() }),
            Some(on_request) => eligible.push(EligibleAuthorization {
                principal: one.principal.object,
                display_name,
                role,
                policy: JustInTimePolicy {
                    mfa: Mfa::None,
                    duration_max: on_request.duration_max,
                    approvers: on_request.approvers.iter().map(|who| Approver { principal: who.object, display_name: None }).collect(),
                    customer_approvers: Vec::new(),
                },
            }),
        }
    }
    (authorizations, eligible)
}
