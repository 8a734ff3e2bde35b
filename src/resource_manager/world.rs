//! Everything the resource manager remembers, in memory, ready to be read.
//!
//! The world changes by [`Change`]s only: each is written to the store first and then applied here. Time moves it without a
//! change: what an operation does at its end is worked out from the present time whenever somebody looks.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::ids::{SubscriptionId, TenantId};

use super::operations::Operation;
use super::resource::Resource;
use super::seed::Home;

/// A subscription of the seed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscription {
    pub(super) id: SubscriptionId,
    /// The customer's tenant.
    pub(super) tenant: TenantId,
    pub(super) name: String,
    pub(super) state: SubscriptionState,
}

impl Subscription {
    /// A subscription in good standing.
    pub(super) fn enabled(name: &str, home: Home) -> Self {
        Self { id: home.id, tenant: home.tenant, name: name.to_owned(), state: SubscriptionState::Enabled }
    }
}

/// What the owner of a subscription sees of its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SubscriptionState {
    Disabled,
    Enabled,
    Warned,
}

/// Whether a subscription may use a namespace. Namespaces without one are registered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Registration {
    pub(super) subscription: SubscriptionId,
    /// In lower case.
    pub(super) namespace: String,
    /// Registered from then on; `None`: not registered.
    #[serde(with = "optional_time")]
    pub(super) registered_from: Option<Timestamp>,
}

/// One step from a world to the next.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// A group or resource is there, or different.
    Put(Arc<Resource>),
    /// A group or resource is gone.
    Remove(Arc<str>),
    /// A subscription is there, or different.
    Subscribe(Arc<Subscription>),
    /// A namespace was registered or unregistered.
    Register(Arc<Registration>),
    /// An operation began.
    Begin(Arc<Operation>),
    /// An operation is forgotten.
    Forget(Uuid),
}

/// All state.
#[derive(Debug, Default)]
pub(super) struct World {
    subscriptions: BTreeMap<SubscriptionId, Arc<Subscription>>,
    groups: BTreeMap<Arc<str>, Arc<Resource>>,
    resources: BTreeMap<Arc<str>, Arc<Resource>>,
    registrations: BTreeMap<(SubscriptionId, String), Arc<Registration>>,
    operations: BTreeMap<Uuid, Arc<Operation>>,
    /// When what is being deleted will be gone.
    leaving: BTreeSet<(Timestamp, Arc<str>)>,
    /// When operations end.
    ending: BTreeSet<(Timestamp, Uuid)>,
}

/// How long a finished operation can still be polled.
const OPERATION_KEPT_S: i64 = 3_600;
/// Operations kept at once; the oldest leave first.
const OPERATIONS_MAX: usize = 20_000;

impl World {
    /// Takes a change in.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Put(resource) => self.put(resource),
            Change::Remove(key) => self.remove(&key),
            Change::Subscribe(subscription) => {
                self.subscriptions.insert(subscription.id, subscription);
            }
            Change::Register(registration) => {
                self.registrations.insert((registration.subscription, registration.namespace.clone()), registration);
            }
            Change::Begin(operation) => {
                self.ending.insert((operation.ends, operation.id));
                self.operations.insert(operation.id, operation);
            }
            Change::Forget(id) => {
                if let Some(operation) = self.operations.remove(&id) {
                    self.ending.remove(&(operation.ends, id));
                }
            }
        }
    }

    fn put(&mut self, resource: Arc<Resource>) {
        let key = Arc::clone(&resource.key);
        let leaves_at = resource.leaves_at();
        let map = if resource.is_group() { &mut self.groups } else { &mut self.resources };
        if let Some(at) = map.insert(Arc::clone(&key), resource).and_then(|before| before.leaves_at()) {
            self.leaving.remove(&(at, Arc::clone(&key)));
        }
        if let Some(at) = leaves_at {
            self.leaving.insert((at, key));
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some(gone) = self.groups.remove(key).or_else(|| self.resources.remove(key))
            && let Some(at) = gone.leaves_at()
        {
            self.leaving.remove(&(at, Arc::clone(&gone.key)));
        }
    }

    /// What time has ended by `now`: deleted resources and forgotten operations.
    pub(super) fn overdue(&self, now: Timestamp) -> Vec<Change> {
        let gone = self.leaving.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| Change::Remove(Arc::clone(key)));
        let surplus = self.operations.len().saturating_sub(OPERATIONS_MAX);
        let forgotten = self
            .ending
            .iter()
            .enumerate()
            .take_while(|(place, (at, _))| *place < surplus || at.as_second().saturating_add(OPERATION_KEPT_S) <= now.as_second())
            .map(|(_, (_, id))| Change::Forget(*id));
        gone.chain(forgotten).collect()
    }

    /// The changes that make this world out of an empty one.
    pub(super) fn changes(&self) -> Vec<Change> {
        let subscriptions = self.subscriptions.values().map(|it| Change::Subscribe(Arc::clone(it)));
        let registrations = self.registrations.values().map(|it| Change::Register(Arc::clone(it)));
        let resources = self.groups.values().chain(self.resources.values()).map(|it| Change::Put(Arc::clone(it)));
        let operations = self.operations.values().map(|it| Change::Begin(Arc::clone(it)));
        subscriptions.chain(registrations).chain(resources).chain(operations).collect()
    }

    pub(super) fn subscription(&self, id: SubscriptionId) -> Option<&Arc<Subscription>> {
        self.subscriptions.get(&id)
    }

    pub(super) fn subscriptions_of(&self, tenant: TenantId) -> impl Iterator<Item = &Arc<Subscription>> {
        self.subscriptions.values().filter(move |subscription| subscription.tenant == tenant)
    }

    /// Nothing was ever stored.
    pub(super) fn is_empty(&self) -> bool {
        self.subscriptions.is_empty()
    }

    /// The group or resource of this key that is there at `now`.
    pub(super) fn resource(&self, key: &str, now: Timestamp) -> Option<&Arc<Resource>> {
        self.resources.get(key).or_else(|| self.groups.get(key)).filter(|resource| !resource.is_gone(now))
    }

    /// The groups of a subscription whose keys come after `after`.
    pub(super) fn groups_after(&self, root: &str, after: Option<&str>, now: Timestamp) -> impl Iterator<Item = &Arc<Resource>> {
        below(&self.groups, root, after, now)
    }

    /// The resources below `root` whose keys come after `after`, however deep.
    pub(super) fn resources_after(&self, root: &str, after: Option<&str>, now: Timestamp) -> impl Iterator<Item = &Arc<Resource>> {
        below(&self.resources, root, after, now)
    }

    pub(super) fn registration(&self, subscription: SubscriptionId, namespace: &str) -> Option<&Arc<Registration>> {
        self.registrations.get(&(subscription, namespace.to_ascii_lowercase()))
    }

    pub(super) fn operation(&self, id: Uuid) -> Option<&Arc<Operation>> {
        self.operations.get(&id)
    }
}

fn below<'a>(
    map: &'a BTreeMap<Arc<str>, Arc<Resource>>,
    root: &str,
    after: Option<&str>,
    now: Timestamp,
) -> impl Iterator<Item = &'a Arc<Resource>> + use<'a> {
    let prefix = format!("{root}/");
    let start = after.filter(|after| *after >= prefix.as_str()).unwrap_or(&prefix).to_owned();
    map.range::<str, _>((Bound::Excluded(start.as_str()), Bound::Unbounded))
        .take_while(move |(key, _)| key.starts_with(&prefix))
        .map(|(_, resource)| resource)
        .filter(move |resource| !resource.is_gone(now))
}

/// Times are stored as RFC 3339 text.
pub(super) mod time {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::clock::Timestamp;

    pub(in super::super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The same for a time that may be absent.
mod optional_time {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use crate::clock::Timestamp;

    #[expect(clippy::ref_option, reason = "serde passes the field by reference")]
    pub(super) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse().map_err(de::Error::custom)).transpose()
    }
}
