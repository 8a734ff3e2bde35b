//! Customers with many delegations of resource groups, put into the store as if they had been made by requests.

use steward::arm::scope::Scope;
use steward::clock::{Clock, Timestamp};
use steward::delegation::offer::{Authorization, DefinitionKey, RegistrationAssignment, RegistrationDefinition, Term};
use steward::directory::entity::{DelegationEvent, Entity, EventKind, StartedOperation};
use steward::ids::{OperationId, PrincipalId};
use steward::store::{self, Revision, StoreConfig};

use crate::node::{PROVIDER, READER, guid};

/// Delegations of one tenant, each of a resource group.
pub const OF_TENANT: u16 = 10;
/// What a gateway keeps of operations and events: docs/limits.md.
const OPERATIONS_KEPT: usize = 20_000;
const EVENTS_KEPT: usize = 50_000;
/// Writes of one commit.
const PORTION: usize = 50_000;

/// So many tenants, with a subscription each.
pub struct World {
    tenants: u16,
}

/// The provider's principal that everything is delegated to.
pub fn principal() -> String {
    guid(3, 1, 0)
}

pub fn tenant(number: u16) -> String {
    guid(0x10, 1, number.into())
}

/// Who owns the subscription of a tenant.
pub fn owner(tenant: u16) -> String {
    guid(2, 1, tenant.into())
}

fn subscription_id(tenant: u16) -> String {
    guid(1, 1, tenant.into())
}

pub fn subscription(tenant: u16) -> String {
    format!("/subscriptions/{}", subscription_id(tenant))
}

impl World {
    pub const fn new(tenants: u16) -> Self {
        Self { tenants }
    }

    pub const fn tenants(&self) -> u16 {
        self.tenants
    }

    pub fn delegations(&self) -> u64 {
        u64::from(self.tenants) * u64::from(OF_TENANT)
    }

    pub fn policies(&self) -> String {
        let one = |number: u16| {
            let (tenant, owner, subscription) = (tenant(number), owner(number), subscription_id(number));
            format!(
                "[[tenant]]\nkey = 't{number}'\nid = '{tenant}'\nname = 'Tenant {number}'\nissuer = 'own'\n\
                 [[management_group]]\nname = 'root-{number}'\ntenant = 't{number}'\n\
                 [[role_assignment]]\nwho = '{owner}'\nrole = 'Owner'\nscope = 'root-{number}'\n\
                 [[subscription]]\nid = '{subscription}'\nname = 'of-{number}'\ntenant = 't{number}'\nmanagement_group = 'root-{number}'\n"
            )
        };
        (0..self.tenants).map(one).collect()
    }

    /// Writes everything.
    pub async fn load(&self, config: &StoreConfig) {
        let now = Clock::system().now();
        let (mut writes, mut operations, mut events) = (Vec::new(), Vec::new(), Vec::new());
        for tenant in 0..self.tenants {
            let definition = definition(tenant, now);
            for number in 0..OF_TENANT {
                let assignment = assignment(&definition, tenant, number, now);
                operations.push(operation(&assignment, tenant, now));
                events.push(event(&assignment, &definition, events.len(), now));
                writes.push(Entity::Assignment(assignment).into_write());
            }
            writes.push(Entity::Definition(definition).into_write());
        }
        writes.extend(operations.into_iter().take(OPERATIONS_KEPT).map(|one| Entity::Operation(one).into_write()));
        writes.extend(events.into_iter().take(EVENTS_KEPT).map(|one| Entity::Event(one).into_write()));
        let store = store::open(config).await.unwrap();
        let epoch = store.snapshot().await.unwrap().epoch;
        let mut base = Revision(0);
        for portion in writes.chunks(PORTION) {
            base = store.commit(epoch, base, now, portion).await.unwrap();
        }
    }
}

fn maker(of_tenant: u16) -> PrincipalId {
    PrincipalId { tenant: tenant(of_tenant).parse().unwrap(), object: owner(of_tenant).parse().unwrap() }
}

fn definition(tenant: u16, now: Timestamp) -> RegistrationDefinition {
    let maker = maker(tenant);
    RegistrationDefinition {
        subscription: subscription_id(tenant).parse().unwrap(),
        name: guid(6, 1, tenant.into()).parse().unwrap(),
        offer_name: "Operations".into(),
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
        created_by: maker,
        updated_at: now,
        updated_by: maker,
    }
}

fn assignment(definition: &RegistrationDefinition, tenant: u16, number: u16, now: Timestamp) -> RegistrationAssignment {
    let group = format!("{}/resourceGroups/rg-{number}", subscription(tenant));
    RegistrationAssignment {
        scope: Scope::parse(&group).unwrap(),
        name: guid(5, tenant, number.into()).parse().unwrap(),
        definition: DefinitionKey { subscription: definition.subscription, name: definition.name },
        created_at: now,
        created_by: maker(tenant),
    }
}

fn operation(assignment: &RegistrationAssignment, tenant: u16, now: Timestamp) -> StartedOperation {
    let starter = maker(tenant);
    StartedOperation {
        id: OperationId::random(),
        starter,
        customer: starter.tenant,
        subscription: assignment.definition.subscription,
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
