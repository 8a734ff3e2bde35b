//! What customers and providers agreed at run time: the store's rows, typed, as one immutable value.
//!
//! Nothing here decides or writes. [`Registry::apply`] takes one change of the store after the other, without gaps, and says
//! which subscriptions it touched; [`super::agreed`] turns those into grants.

use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

use super::Map;
use super::entity::{
    Account, Activation, CloudSubscription, DelegationEvent, Deployment, Entity, Kind, NotAnEntity, RoleAssignment, SignUp,
    StartedOperation, Tenure, WebhookCursor,
};
use crate::clock::Timestamp;
use crate::delegation::offer::{RegistrationAssignment, RegistrationDefinition};
use crate::ids::{ActivationId, AssignmentId, DefinitionId, OperationId, RoleAssignmentId, SubscriptionId, TenantId};
use crate::store::{Change, Epoch, Object, ObjectKey, Revision, Snapshot};

/// Events that are kept; with each new one the oldest beyond that goes.
pub const EVENTS_KEPT: usize = 50_000;

/// All of it, at one revision of the store.
#[derive(Debug, Clone)]
pub struct Registry {
    epoch: Epoch,
    revision: Revision,
    holdings: Map<SubscriptionId, Arc<Holdings>>,
    operations: Map<OperationId, Versioned<StartedOperation>>,
    /// The same, oldest first.
    operations_by_age: rpds::RedBlackTreeSet<(Revision, OperationId), archery::ArcTK>,
    events: rpds::RedBlackTreeMap<Box<str>, Versioned<DelegationEvent>, archery::ArcTK>,
    /// Names of the same, by the customer they are of.
    events_of: Map<TenantId, rpds::RedBlackTreeSet<Box<str>, archery::ArcTK>>,
    webhooks: Map<Box<str>, Versioned<WebhookCursor>>,
    accounts: Map<TenantId, Versioned<Account>>,
    sign_ups: Map<SubscriptionId, Versioned<SignUp>>,
}

/// What a change touched.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Accounts that are different; sorted, without duplicates.
    pub accounts: Vec<TenantId>,
    /// Subscriptions in which something is different; sorted, without duplicates.
    pub subscriptions: Vec<SubscriptionId>,
}

/// What one write touched.
#[derive(Debug, Clone, Copy)]
enum Place {
    Account(TenantId),
    Nothing,
    Subscription(SubscriptionId),
}

/// A row and the revision that wrote it.
#[derive(Debug)]
pub struct Versioned<T> {
    /// When it was written, in the order of all writes.
    pub revision: Revision,
    /// What was written.
    pub body: Arc<T>,
}

/// Everything that was agreed in one subscription.
#[derive(Debug, Clone, Default)]
pub struct Holdings {
    /// The subscription itself, if it was signed up for.
    pub cloud: Option<Versioned<CloudSubscription>>,
    /// Offers.
    pub definitions: BTreeMap<DefinitionId, Versioned<RegistrationDefinition>>,
    /// Offers bound to a scope, by that scope in lower case and the name.
    pub assignments: BTreeMap<(Box<str>, AssignmentId), Versioned<RegistrationAssignment>>,
    /// Templates that were deployed, by scope and name in lower case.
    pub deployments: BTreeMap<Box<str>, Versioned<Deployment>>,
    /// Requests to activate eligible roles.
    pub activations: BTreeMap<ActivationId, Versioned<Activation>>,
    /// Roles of principals of the tenant that owns the subscription.
    pub role_assignments: BTreeMap<RoleAssignmentId, Versioned<RoleAssignment>>,
    /// What was noticed about delegations as time went by, by the keys of `assignments`.
    pub tenures: BTreeMap<(Box<str>, AssignmentId), Versioned<Tenure>>,
}

/// A change that cannot be taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// It does not follow the one before.
    #[error("the change {found} does not follow revision {applied}")]
    Gap {
        /// What was taken in so far.
        applied: Revision,
        /// What came.
        found: Revision,
    },
    /// A row that this program does not understand, such as one of a newer version. Deciding without it could be wrong.
    #[error("row `{kind}` `{name}` of the store cannot be read: {cause}")]
    Row {
        /// Its kind.
        kind: Box<str>,
        /// Its name.
        name: Box<str>,
        /// Why.
        cause: NotAnEntity,
    },
}

impl Default for Registry {
    /// Nothing yet, of a store that was not read.
    fn default() -> Self {
        Self {
            epoch: Epoch::from_bytes([0; 16]),
            revision: Revision::default(),
            holdings: Map::default(),
            operations: Map::default(),
            operations_by_age: rpds::RedBlackTreeSet::default(),
            events: rpds::RedBlackTreeMap::default(),
            events_of: Map::default(),
            webhooks: Map::default(),
            accounts: Map::default(),
            sign_ups: Map::default(),
        }
    }
}

impl Registry {
    /// What a snapshot of the store holds.
    ///
    /// # Errors
    /// At the first row that cannot be read.
    pub fn from_snapshot(snapshot: &Snapshot) -> Result<Self, ApplyError> {
        let mut registry = Self { epoch: snapshot.epoch, revision: snapshot.revision, ..Self::default() };
        let mut holdings: BTreeMap<SubscriptionId, Holdings> = BTreeMap::new();
        for Object { key, revision, body } in &snapshot.objects {
            let entity = read(key, body)?;
            match entity.subscription() {
                Some(id) => holdings.entry(id).or_default().put(entity, *revision),
                None => registry.put(entity, *revision),
            }
        }
        for (id, held) in holdings {
            registry.holdings.insert_mut(id, Arc::new(held));
        }
        Ok(registry)
    }

    /// The registry after one more change, and where something is different.
    ///
    /// # Errors
    /// When the change does not follow, or holds a row that cannot be read.
    pub fn apply(&self, change: &Change) -> Result<(Self, Touched), ApplyError> {
        if change.revision.0 != self.revision.0 + 1 {
            return Err(ApplyError::Gap { applied: self.revision, found: change.revision });
        }
        let mut next = Self { revision: change.revision, ..self.clone() };
        let mut touched = Touched::default();
        for write in &change.writes {
            let place = match &write.body {
                Some(body) => next.write(read(&write.key, body)?, change.revision),
                None => next.remove(&write.key)?,
            };
            touched.add(place);
        }
        touched.sort();
        Ok((next, touched))
    }

    fn write(&mut self, entity: Entity, revision: Revision) -> Place {
        if let Some(id) = entity.subscription() {
            self.change(id, |held| held.put(entity, revision));
            return Place::Subscription(id);
        }
        let place = if let Entity::Account(account) = &entity { Place::Account(account.id) } else { Place::Nothing };
        self.put(entity, revision);
        place
    }

    fn put(&mut self, entity: Entity, revision: Revision) {
        match entity {
            Entity::Account(account) => self.accounts.insert_mut(account.id, Versioned::new(revision, account)),
            Entity::SignUp(sign_up) => self.sign_ups.insert_mut(sign_up.subscription.id, Versioned::new(revision, *sign_up)),
            Entity::Event(event) => {
                let mut names = self.events_of.get(&event.customer).cloned().unwrap_or_default();
                names.insert_mut(event.name.clone());
                self.events_of.insert_mut(event.customer, names);
                self.events.insert_mut(event.name.clone(), Versioned::new(revision, event));
            }
            Entity::Operation(operation) => {
                let id = operation.id;
                self.forget(id);
                self.operations_by_age.insert_mut((revision, id));
                self.operations.insert_mut(id, Versioned::new(revision, operation));
            }
            Entity::WebhookCursor(cursor) => self.webhooks.insert_mut(cursor.webhook.clone(), Versioned::new(revision, cursor)),
            // These lie in a subscription, always.
            Entity::Activation(_)
            | Entity::Assignment(_)
            | Entity::CloudSubscription(_)
            | Entity::Definition(_)
            | Entity::Deployment(_)
            | Entity::RoleAssignment(_)
            | Entity::Tenure(_) => {}
        }
    }

    fn forget_event(&mut self, name: &str) {
        let Some(customer) = self.events.get(name).map(|event| event.body.customer) else { return };
        self.events.remove_mut(name);
        let mut names = self.events_of.get(&customer).cloned().unwrap_or_default();
        names.remove_mut(name);
        match names.is_empty() {
            true => drop(self.events_of.remove_mut(&customer)),
            false => self.events_of.insert_mut(customer, names),
        }
    }

    fn forget(&mut self, id: OperationId) {
        let Some(revision) = self.operations.get(&id).map(|known| known.revision) else { return };
        self.operations_by_age.remove_mut(&(revision, id));
        self.operations.remove_mut(&id);
    }

    fn remove(&mut self, key: &ObjectKey) -> Result<Place, ApplyError> {
        let unreadable = |cause| ApplyError::Row { kind: key.kind.clone(), name: key.name.clone(), cause };
        let kind = Kind::of(key).map_err(unreadable)?;
        let place = match &kind {
            Kind::Account(id) => Place::Account(*id),
            Kind::Event(_) | Kind::Operation(_) | Kind::SignUp(_) | Kind::WebhookCursor(_) => Place::Nothing,
            Kind::CloudSubscription(id) => Place::Subscription(*id),
            Kind::Activation(id, _) | Kind::Assignment(id, ..) | Kind::Definition(id, _) => Place::Subscription(*id),
            Kind::Deployment(id, _) | Kind::RoleAssignment(id, _) | Kind::Tenure(id, ..) => Place::Subscription(*id),
        };
        match kind {
            Kind::Account(id) => drop(self.accounts.remove_mut(&id)),
            Kind::Event(name) => self.forget_event(&name),
            Kind::Operation(id) => self.forget(id),
            Kind::SignUp(id) => drop(self.sign_ups.remove_mut(&id)),
            Kind::WebhookCursor(name) => drop(self.webhooks.remove_mut(&name)),
            Kind::Activation(id, name) => self.change(id, |held| drop(held.activations.remove(&name))),
            Kind::Assignment(id, scope, name) => self.change(id, |held| drop(held.assignments.remove(&(scope, name)))),
            Kind::CloudSubscription(id) => self.change(id, |held| held.cloud = None),
            Kind::Definition(id, name) => self.change(id, |held| drop(held.definitions.remove(&name))),
            Kind::Deployment(id, name) => self.change(id, |held| drop(held.deployments.remove(&name))),
            Kind::RoleAssignment(id, name) => self.change(id, |held| drop(held.role_assignments.remove(&name))),
            Kind::Tenure(id, scope, name) => self.change(id, |held| drop(held.tenures.remove(&(scope, name)))),
        }
        Ok(place)
    }

    fn change(&mut self, id: SubscriptionId, change: impl FnOnce(&mut Holdings)) {
        let mut held = self.holdings.get(&id).map(|held| Holdings::clone(held)).unwrap_or_default();
        change(&mut held);
        match held.is_empty() {
            true => drop(self.holdings.remove_mut(&id)),
            false => self.holdings.insert_mut(id, Arc::new(held)),
        }
    }

    /// Changes with every restore of the store from a backup.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The last change that is in it.
    #[must_use]
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// What was agreed in a subscription.
    #[must_use]
    pub fn holdings(&self, id: SubscriptionId) -> Option<&Arc<Holdings>> {
        self.holdings.get(&id)
    }

    /// The subscriptions in which anything was agreed, in no order.
    pub fn subscriptions(&self) -> impl Iterator<Item = (SubscriptionId, &Arc<Holdings>)> {
        self.holdings.iter().map(|(id, held)| (*id, held))
    }

    /// A tenant that signed up.
    #[must_use]
    pub fn account(&self, id: TenantId) -> Option<&Versioned<Account>> {
        self.accounts.get(&id)
    }

    /// All tenants that signed up, in no order.
    pub fn accounts(&self) -> impl Iterator<Item = &Versioned<Account>> {
        self.accounts.values()
    }

    /// A sign-up under way, by the subscription to come.
    #[must_use]
    pub fn sign_up(&self, id: SubscriptionId) -> Option<&Versioned<SignUp>> {
        self.sign_ups.get(&id)
    }

    /// All sign-ups under way, in no order.
    pub fn sign_ups(&self) -> impl Iterator<Item = &Versioned<SignUp>> {
        self.sign_ups.values()
    }

    /// A long-running operation that the gateway itself carries out.
    #[must_use]
    pub fn operation(&self, id: OperationId) -> Option<&Versioned<StartedOperation>> {
        self.operations.get(&id)
    }

    /// How many operations are kept.
    #[must_use]
    pub fn operations_len(&self) -> usize {
        self.operations.size()
    }

    /// The one of them that was written first.
    #[must_use]
    pub fn oldest_operation(&self) -> Option<OperationId> {
        self.operations_by_age.first().map(|(_, id)| *id)
    }

    /// What happened to delegations, oldest first.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &Versioned<DelegationEvent>> {
        self.events.values()
    }

    /// The names of the events that make room for so many: the oldest of whichever customer has the most, so that nobody's are pushed out
    /// by somebody else's.
    #[must_use]
    pub fn events_in_the_way_of(&self, coming: usize) -> Vec<Box<str>> {
        let surplus = (self.events_len() + coming).saturating_sub(EVENTS_KEPT);
        if surplus == 0 {
            return Vec::new();
        }
        let mut fullest: BinaryHeap<(usize, TenantId)> = self.events_of.iter().map(|(tenant, names)| (names.size(), *tenant)).collect();
        let mut taken: BTreeMap<TenantId, usize> = BTreeMap::new();
        for _ in 0..surplus {
            let Some((left, tenant)) = fullest.pop() else { break };
            *taken.entry(tenant).or_default() += 1;
            fullest.push((left.saturating_sub(1), tenant));
        }
        let oldest = |(tenant, count): (TenantId, usize)| {
            self.events_of.get(&tenant).into_iter().flat_map(move |names| names.iter().take(count).cloned())
        };
        taken.into_iter().flat_map(oldest).collect()
    }

    /// How far a webhook has come.
    #[must_use]
    pub fn webhook_cursor(&self, name: &str) -> Option<&Versioned<WebhookCursor>> {
        self.webhooks.get(name)
    }

    /// Whether there were so many events that the oldest may have been forgotten.
    #[must_use]
    pub fn forgets_events(&self) -> bool {
        self.events_len() >= EVENTS_KEPT
    }

    /// How many events are kept.
    #[must_use]
    pub fn events_len(&self) -> usize {
        self.events.size()
    }
}

fn read(key: &ObjectKey, body: &str) -> Result<Entity, ApplyError> {
    Entity::read(key, body).map_err(|cause| ApplyError::Row { kind: key.kind.clone(), name: key.name.clone(), cause })
}

impl Holdings {
    fn put(&mut self, entity: Entity, revision: Revision) {
        match entity {
            Entity::Activation(activation) => {
                self.activations.insert(activation.name, Versioned::new(revision, activation));
            }
            Entity::CloudSubscription(cloud) => self.cloud = Some(Versioned::new(revision, cloud)),
            Entity::Deployment(deployment) => {
                let name = super::entity::deployment_key(&deployment.scope, &deployment.name).name;
                self.deployments.insert(name, Versioned::new(revision, deployment));
            }
            Entity::RoleAssignment(assignment) => {
                self.role_assignments.insert(assignment.name, Versioned::new(revision, assignment));
            }
            Entity::Definition(definition) => {
                self.definitions.insert(definition.name, Versioned::new(revision, definition));
            }
            Entity::Assignment(assignment) => {
                let scope = assignment.scope.to_string().to_ascii_lowercase().into();
                self.assignments.insert((scope, assignment.name), Versioned::new(revision, assignment));
            }
            Entity::Tenure(tenure) => {
                let scope = tenure.scope.to_string().to_ascii_lowercase().into();
                self.tenures.insert((scope, tenure.assignment), Versioned::new(revision, tenure));
            }
            // These lie in no subscription.
            Entity::Account(_) | Entity::Event(_) | Entity::Operation(_) | Entity::SignUp(_) | Entity::WebhookCursor(_) => {}
        }
    }

    /// Since when a delegation counts no more because nobody used it. Whoever writes the offer or the delegation again renews it.
    #[must_use]
    pub fn lapsed(&self, assignment: &RegistrationAssignment, definition: &RegistrationDefinition) -> Option<Timestamp> {
        if self.tenures.is_empty() {
            return None;
        }
        let tenure = self.tenures.get(&(assignment.scope.to_string().to_ascii_lowercase().into(), assignment.name))?;
        tenure.body.lapsed_at.filter(|lapsed| assignment.created_at < *lapsed && definition.updated_at < *lapsed)
    }

    fn is_empty(&self) -> bool {
        self.cloud.is_none()
            && self.definitions.is_empty()
            && self.assignments.is_empty()
            && self.activations.is_empty()
            && self.role_assignments.is_empty()
            && self.deployments.is_empty()
            && self.tenures.is_empty()
    }
}

impl Touched {
    fn add(&mut self, place: Place) {
        match place {
            Place::Account(id) => self.accounts.push(id),
            Place::Nothing => {}
            Place::Subscription(id) => self.subscriptions.push(id),
        }
    }

    fn sort(&mut self) {
        self.accounts.sort_unstable();
        self.accounts.dedup();
        self.subscriptions.sort_unstable();
        self.subscriptions.dedup();
    }
}

impl<T> Versioned<T> {
    fn new(revision: Revision, body: T) -> Self {
        Self { revision, body: Arc::new(body) }
    }
}

impl<T> Clone for Versioned<T> {
    fn clone(&self) -> Self {
        Self { revision: self.revision, body: Arc::clone(&self.body) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::directory::entity;

    fn event(customer: u8, number: usize) -> Entity {
        let (guid, tenant) = ("8f2c1a10-0000-4000-8000-000000000001", TenantId::from_bytes([customer; 16]));
        let event = serde_json::json!({
            "name": format!("{number:06}"), "what": "registered", "at": "2026-01-01T00:00:00Z",
            "caller": { "tenant": guid, "object": guid }, "caller_name": "a", "customer": tenant, "managing_tenant": guid,
            "subscription": guid, "scope": format!("/subscriptions/{guid}"), "delegation": "d", "offer": "o", "correlation_id": "c",
            "principals": [],
        });
        Entity::Event(serde_json::from_value(event).unwrap())
    }

    #[test]
    fn whoever_has_the_most_events_makes_room_for_new_ones() {
        let few = (0..10).map(|number| event(1, number));
        let many = (10..EVENTS_KEPT).map(|number| event(2, number));
        let writes = few.chain(many).map(Entity::into_write).collect();
        let change = Change { revision: Revision(1), at: Timestamp::UNIX_EPOCH, writes };
        let (registry, _) = Registry::default().apply(&change).unwrap();
        assert_eq!(registry.events_in_the_way_of(0), [""; 0].map(Box::from));
        assert_eq!(registry.events_in_the_way_of(2), ["000010", "000011"].map(Box::from));
        let writes = registry.events_in_the_way_of(2).iter().map(|name| entity::removal(entity::event_key(name))).collect();
        let (registry, _) = registry.apply(&Change { revision: Revision(2), at: Timestamp::UNIX_EPOCH, writes }).unwrap();
        assert_eq!((registry.events_len(), registry.events_in_the_way_of(2).len()), (EVENTS_KEPT - 2, 0));
    }
}
