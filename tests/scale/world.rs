//! Customers with many delegations of resource groups, put into the store as if they had been made by requests.

use std::time::Duration;

use steward::clock::{Clock, Timestamp};
use steward::delegation::offer::{Authorization, DefinitionKey, RegistrationAssignment, RegistrationDefinition, Term};
use steward::directory::entity::{DelegationEvent, Entity, EventKind, StartedOperation};
use steward::ids::{OperationId, PrincipalId};
use steward::store::{self, Revision, StoreConfig, Write};

use crate::node::{PROVIDER, READER, guid};

/// Delegations in one subscription.
pub const IN_SUBSCRIPTION: u16 = 100;
/// Subscriptions of one customer.
const OF_CUSTOMER: u16 = 10;
/// Resource groups that one offer is assigned to.
const OF_OFFER: u16 = 10;
/// What a gateway keeps of operations and events: docs/limits.md.
const OPERATIONS_KEPT: usize = 20_000;
const EVENTS_KEPT: usize = 50_000;
/// Writes of one commit.
const PORTION: usize = 50_000;

/// So many subscriptions.
pub struct World {
    subscriptions: u16,
}

/// The provider's principal that everything is delegated to.
pub fn principal() -> String {
    guid(3, 1, 0)
}

pub fn customer(number: u16) -> String {
    guid(0x10, 1, number.into())
}

/// Who owns the subscriptions of a customer.
pub fn owner(customer: u16) -> String {
    guid(2, 1, customer.into())
}

fn subscription_id(number: u16) -> String {
    guid(1, 1, number.into())
}

pub fn subscription(number: u16) -> String {
    format!("/subscriptions/{}", subscription_id(number))
}

impl World {
    pub const fn new(subscriptions: u16) -> Self {
        Self { subscriptions }
    }

    pub fn delegations(&self) -> u64 {
        u64::from(self.subscriptions) * u64::from(IN_SUBSCRIPTION)
    }

    pub const fn customers(&self) -> u16 {
        self.subscriptions / OF_CUSTOMER
    }

    pub fn policies(&self) -> String {
        let mut text = String::new();
        for number in 0..self.customers() {
            text.push_str(&format!(
                "[[tenant]]\nkey = 'c{number}'\nid = '{}'\nname = 'Customer {number}'\nissuer = 'own'\n\
                 [[management_group]]\nname = 'root-{number}'\ntenant = 'c{number}'\n\
                 [[role_assignment]]\nwho = '{}'\nrole = 'Owner'\nscope = 'root-{number}'\n",
                customer(number),
                owner(number)
            ));
        }
        for number in 0..self.subscriptions {
            let (id, customer) = (subscription_id(number), number / OF_CUSTOMER);
            text.push_str(&format!(
                "[[subscription]]\nid = '{id}'\nname = 'scale-{number}'\ntenant = 'c{customer}'\nmanagement_group = 'root-{customer}'\n"
            ));
        }
        text
    }

    /// Writes everything. How long the commits took.
    pub async fn load(&self, config: &StoreConfig) -> Duration {
        let now = Clock::system().now();
        let mut writes: Vec<Write> = Vec::new();
        let (mut operations, mut events) = (Vec::new(), Vec::new());
        for subscription in 0..self.subscriptions {
            for number in 0..IN_SUBSCRIPTION {
                let definition = definition(subscription, number / OF_OFFER, now);
                let assignment = assignment(&definition, subscription, number, now);
                operations.push(operation(&assignment, &definition, subscription, now));
                events.push(event(&assignment, &definition, events.len(), now));
                writes.push(Entity::Assignment(assignment).into_write());
                if number % OF_OFFER == 0 {
                    writes.push(Entity::Definition(definition).into_write());
                }
            }
        }
        writes.extend(operations.into_iter().take(OPERATIONS_KEPT).map(|one| Entity::Operation(one).into_write()));
        writes.extend(events.into_iter().take(EVENTS_KEPT).map(|one| Entity::Event(one).into_write()));
        let started = Clock::instant();
        let store = store::open(config).await.unwrap();
        let epoch = store.snapshot().await.unwrap().epoch;
        let mut base = Revision(0);
        for portion in writes.chunks(PORTION) {
            base = store.commit(epoch, base, now, portion).await.unwrap();
        }
        started.elapsed()
    }
}

fn maker(subscription: u16) -> PrincipalId {
    let customer_number = subscription / OF_CUSTOMER;
    PrincipalId { tenant: customer(customer_number).parse().unwrap(), object: owner(customer_number).parse().unwrap() }
}

fn definition(subscription: u16, offer: u16, now: Timestamp) -> RegistrationDefinition {
    RegistrationDefinition {
        subscription: subscription_id(subscription).parse().unwrap(),
        name: guid(6, subscription, offer.into()).parse().unwrap(),
        offer_name: format!("Offer {offer}").into(),
        description: Some("As many as there are".into()),
        managing_tenant: PROVIDER.parse().unwrap(),
        authorizations: vec![Authorization {
            principal: principal().parse().unwrap(),
            display_name: Some("Operations".into()),
            role: READER.parse().unwrap(),
            delegated_roles: Vec::new(),
        }],
        eligible: Vec::new(),
        plan: None,
        term: Term::default(),
        created_at: now,
        created_by: maker(subscription),
        updated_at: now,
        updated_by: maker(subscription),
    }
}

fn assignment(definition: &RegistrationDefinition, in_subscription: u16, number: u16, now: Timestamp) -> RegistrationAssignment {
    let group = format!("{}/resourceGroups/rg-{number}", subscription(in_subscription));
    RegistrationAssignment {
        scope: steward::arm::scope::Scope::parse(&group).unwrap(),
        name: guid(5, in_subscription, number.into()).parse().unwrap(),
        definition: DefinitionKey { subscription: definition.subscription, name: definition.name },
        created_at: now,
        created_by: maker(in_subscription),
    }
}

fn operation(
    assignment: &RegistrationAssignment,
    definition: &RegistrationDefinition,
    subscription: u16,
    now: Timestamp,
) -> StartedOperation {
    let starter = maker(subscription);
    StartedOperation {
        id: OperationId::random(),
        starter,
        customer: starter.tenant,
        subscription: definition.subscription,
        resource: assignment.id().into(),
        removes: false,
        started_at: now,
    }
}

fn event(assignment: &RegistrationAssignment, definition: &RegistrationDefinition, number: usize, now: Timestamp) -> DelegationEvent {
    DelegationEvent {
        name: format!("{:020}-{number:08}", now.as_microsecond()).into(),
        what: EventKind::Registered,
        at: now,
        caller: definition.created_by,
        caller_name: "Owner".into(),
        customer: definition.created_by.tenant,
        managing_tenant: definition.managing_tenant,
        subscription: definition.subscription,
        scope: assignment.scope.clone(),
        delegation: assignment.id().into(),
        offer: definition.offer_name.clone(),
        correlation_id: "scale".into(),
        principals: definition.authorizations.iter().map(|one| one.principal).collect(),
    }
}
