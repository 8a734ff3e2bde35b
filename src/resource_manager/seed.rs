//! What the world holds when it is new: a TOML file of groups, resources and generated fleets.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::clock::Timestamp;
use crate::ids::{SubscriptionId, TenantId};

use super::providers::{LocationRule, Providers, ResourceType};
use super::resource::{Document, Power, Resource, Stored, new_etag};
use super::world::{Change, Registration, Subscription, SubscriptionState};

/// A seed file and the subscriptions that its names stand for.
#[derive(Debug, Clone)]
pub struct Seed {
    /// TOML; its form is documented by the demo's `resources.toml`.
    pub text: String,
    /// Subscriptions by the name that the seed calls them. Those that the seed does not mention are there, but empty.
    pub subscriptions: BTreeMap<String, Home>,
}

/// Where a subscription belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    /// `/subscriptions/{id}`.
    pub id: SubscriptionId,
    /// The customer's tenant.
    pub tenant: TenantId,
}

/// Why a seed could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// Two entries have one id.
    #[error("`{0}` is in the seed twice; remove one")]
    Duplicate(String),
    /// A generated fleet of nothing or of too much.
    #[error("[[generate]] `{prefix}` asks for {count} resources; allowed: 1 to {GENERATED_MAX}")]
    Count {
        /// Its `name_prefix`.
        prefix: String,
        /// Its `count`.
        count: usize,
    },
    /// A group that no `[[resource_group]]` declares.
    #[error("`{resource}` is in the resource group `{group}` of `{subscription}`, which no [[resource_group]] declares")]
    Group {
        /// The resource's name.
        resource: String,
        /// What it names.
        group: String,
        /// Where.
        subscription: String,
    },
    /// A type that needs a location.
    #[error("`{0}` has no location, and its type needs one; add `location = \"westeurope\"`")]
    Location(String),
    /// As many names as type segments are needed.
    #[error("the name `{name}` does not fit the type `{kind}`; give one name per type segment, joined by `/`")]
    Name {
        /// As written.
        name: String,
        /// As written.
        kind: String,
    },
    /// A namespace that does not exist.
    #[error("the namespace `{0}` in `unregistered` is not known")]
    Namespace(String),
    /// A name that stands for no subscription.
    #[error("the subscription `{name}` is not known; known: {known}")]
    Subscription {
        /// As written.
        name: String,
        /// All names, joined.
        known: String,
    },
    /// Not TOML of the expected form.
    #[error("the seed is not readable: {0}")]
    Toml(String),
    /// A type that does not exist.
    #[error("the type `{kind}` of `{name}` is not known")]
    Type {
        /// As written.
        kind: String,
        /// The resource.
        name: String,
    },
}

/// Enough for load tests, few enough to start within a second.
const GENERATED_MAX: usize = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    subscription: Vec<SubscriptionEntry>,
    #[serde(default)]
    resource_group: Vec<GroupEntry>,
    #[serde(default)]
    resource: Vec<ResourceEntry>,
    #[serde(default)]
    generate: Vec<GenerateEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubscriptionEntry {
    name: String,
    #[serde(default = "enabled")]
    state: SubscriptionState,
    #[serde(default)]
    unregistered: Vec<String>,
}

const fn enabled() -> SubscriptionState {
    SubscriptionState::Enabled
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupEntry {
    subscription: String,
    name: String,
    location: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceEntry {
    subscription: String,
    resource_group: String,
    #[serde(rename = "type")]
    kind: String,
    name: String,
    location: Option<String>,
    #[serde(rename = "kind")]
    flavour: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    sku: Option<Map<String, Value>>,
    #[serde(default)]
    properties: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GenerateEntry {
    subscription: String,
    resource_group: String,
    #[serde(rename = "type")]
    kind: String,
    name_prefix: String,
    count: usize,
    location: String,
}

impl Seed {
    /// The changes that make the seed's world out of an empty one.
    ///
    /// # Errors
    /// At the first entry that cannot be used.
    pub(super) fn changes(&self, now: Timestamp) -> Result<Vec<Change>, SeedError> {
        let file: File = toml::from_str(&self.text).map_err(|cause| SeedError::Toml(one_line(&cause.to_string())))?;
        let mut sowing = Sowing { seed: self, now, changes: Vec::new(), keys: HashSet::new() };
        sowing.subscriptions(&file.subscription)?;
        for group in file.resource_group {
            sowing.group(group)?;
        }
        for resource in file.resource {
            sowing.resource(resource)?;
        }
        for fleet in file.generate {
            sowing.fleet(&fleet)?;
        }
        Ok(sowing.changes)
    }

    fn home(&self, name: &str) -> Result<Home, SeedError> {
        let known = || self.subscriptions.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        self.subscriptions.get(name).copied().ok_or_else(|| SeedError::Subscription { name: name.to_owned(), known: known() })
    }
}

/// A seed on its way to become a world.
struct Sowing<'a> {
    seed: &'a Seed,
    now: Timestamp,
    changes: Vec<Change>,
    keys: HashSet<Arc<str>>,
}

impl Sowing<'_> {
    fn subscriptions(&mut self, entries: &[SubscriptionEntry]) -> Result<(), SeedError> {
        for (name, home) in &self.seed.subscriptions {
            let mut subscription = Subscription::enabled(name, *home);
            if let Some(entry) = entries.iter().find(|entry| entry.name == *name) {
                subscription.state = entry.state;
            }
            self.changes.push(Change::Subscribe(Arc::new(subscription)));
        }
        for entry in entries {
            let subscription = self.seed.home(&entry.name)?.id;
            for written in &entry.unregistered {
                let namespace = Providers::built_in().namespace(written).ok_or_else(|| SeedError::Namespace(written.clone()))?;
                let registration = Registration { subscription, namespace: namespace.name.to_ascii_lowercase(), registered_from: None };
                self.changes.push(Change::Register(Arc::new(registration)));
            }
        }
        Ok(())
    }

    fn group(&mut self, entry: GroupEntry) -> Result<(), SeedError> {
        let id = format!("/subscriptions/{}/resourceGroups/{}", self.seed.home(&entry.subscription)?.id, entry.name);
        let kind = known_type("Microsoft.Resources/resourceGroups", &entry.name)?;
        let rest = [("location", entry.location.into()), ("tags", json!(entry.tags))];
        self.put(kind, &id, &entry.name, rest.into_iter().collect::<Vec<_>>(), Map::new())
    }

    fn resource(&mut self, entry: ResourceEntry) -> Result<(), SeedError> {
        let kind = known_type(&entry.kind, &entry.name)?;
        let group = self.group_id(&entry.subscription, &entry.resource_group, &entry.name)?;
        let misfit = || SeedError::Name { name: entry.name.clone(), kind: entry.kind.clone() };
        let mut id = format!("{group}/providers/{}", kind.namespace);
        let (types, names): (Vec<&str>, Vec<&str>) = (kind.name.split('/').collect(), entry.name.split('/').collect());
        if types.len() != names.len() {
            return Err(misfit());
        }
        for (kind, name) in types.iter().zip(&names) {
            id.push_str(&format!("/{kind}/{name}"));
        }
        if kind.location == LocationRule::Required && entry.location.is_none() {
            return Err(SeedError::Location(entry.name));
        }
        let name = names.last().copied().ok_or_else(misfit)?;
        let optional = [
            ("kind", entry.flavour.map(Value::String)),
            ("location", entry.location.map(Value::String)),
            ("tags", kind.has_tags().then(|| json!(entry.tags))),
            ("sku", entry.sku.map(Value::Object)),
        ];
        let rest = optional.into_iter().filter_map(|(member, value)| Some((member, value?))).collect();
        self.put(kind, &id, name, rest, entry.properties)
    }

    fn fleet(&mut self, entry: &GenerateEntry) -> Result<(), SeedError> {
        if !(1..=GENERATED_MAX).contains(&entry.count) {
            return Err(SeedError::Count { prefix: entry.name_prefix.clone(), count: entry.count });
        }
        let kind = known_type(&entry.kind, &entry.name_prefix)?;
        let group = self.group_id(&entry.subscription, &entry.resource_group, &entry.name_prefix)?;
        for number in 1..=entry.count {
            let name = format!("{}{number:05}", entry.name_prefix);
            let id = format!("{group}/providers/{}/{}/{name}", kind.namespace, kind.name);
            let rest = vec![("location", entry.location.clone().into()), ("tags", json!({}))];
            self.put(kind, &id, &name, rest, Map::new())?;
        }
        Ok(())
    }

    fn group_id(&self, subscription: &str, group: &str, resource: &str) -> Result<String, SeedError> {
        let id = format!("/subscriptions/{}/resourceGroups/{group}", self.seed.home(subscription)?.id);
        let missing = || SeedError::Group { resource: resource.to_owned(), group: group.to_owned(), subscription: subscription.to_owned() };
        self.keys.contains(id.to_lowercase().as_str()).then_some(id).ok_or_else(missing)
    }

    fn put(
        &mut self,
        kind: &'static ResourceType,
        id: &str,
        name: &str,
        rest: Vec<(&str, Value)>,
        mut properties: Map<String, Value>,
    ) -> Result<(), SeedError> {
        let key: Arc<str> = id.to_lowercase().into();
        if !self.keys.insert(Arc::clone(&key)) {
            return Err(SeedError::Duplicate(id.to_owned()));
        }
        let etag = new_etag();
        properties.insert("provisioningState".to_owned(), "Succeeded".into());
        let head = [("id", id.into()), ("name", name.into()), ("type", kind.full.as_str().into())];
        let tail = [("properties", Value::Object(properties)), ("etag", etag.as_str().into()), ("systemData", seeded(self.now))];
        let members = head.into_iter().chain(rest).chain(tail);
        let document: Document = members.map(|(member, value)| (member.to_owned(), value)).collect();
        let runs = kind.full == "Microsoft.Compute/virtualMachines";
        let power = runs.then(|| Power { during: "starting".to_owned(), after: "running".to_owned(), at: self.now });
        let stored = Stored { kind: kind.full.clone(), document, etag, pending: None, power };
        let resource = Resource::new(key, stored).ok_or_else(|| unknown_type(&kind.full, name))?;
        self.changes.push(Change::Put(Arc::new(resource)));
        Ok(())
    }
}

fn known_type(kind: &str, name: &str) -> Result<&'static ResourceType, SeedError> {
    Providers::built_in().kind(kind).ok_or_else(|| unknown_type(kind, name))
}

fn unknown_type(kind: &str, name: &str) -> SeedError {
    SeedError::Type { kind: kind.to_owned(), name: name.to_owned() }
}

fn seeded(now: Timestamp) -> Value {
    let now = now.to_string();
    json!({
        "createdBy": "seed", "createdByType": "Application", "createdAt": now,
        "lastModifiedBy": "seed", "lastModifiedByType": "Application", "lastModifiedAt": now,
    })
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(text: &str) -> Result<Vec<Change>, SeedError> {
        let home = Home { id: SubscriptionId::from_bytes([2; 16]), tenant: TenantId::from_bytes([1; 16]) };
        Seed { text: text.to_owned(), subscriptions: BTreeMap::from([("alder-prod".to_owned(), home)]) }.changes(Timestamp::UNIX_EPOCH)
    }

    #[track_caller]
    fn check(text: &str, fragment: &str) {
        let error = changes(text).unwrap_err().to_string();
        assert!(error.contains(fragment), "{error}");
    }

    const GROUP: &str = "[[resource_group]]\nsubscription = 'alder-prod'\nname = 'rg'\nlocation = 'westeurope'\n";

    #[test]
    fn mistakes_are_named() {
        check(
            "[[resource_group]]\nsubscription = 'oak'\nname = 'rg'\nlocation = 'x'",
            "the subscription `oak` is not known; known: alder-prod",
        );
        check("[[resource_groop]]\n", "resource_groop");
        check(&format!("{GROUP}colour = 'red'"), "colour");
        check(&format!("{GROUP}{GROUP}"), "twice");
        check("[[subscription]]\nname = 'alder-prod'\nunregistered = ['Contoso.Rockets']", "`Contoso.Rockets`");
        let resource = |rest: &str| format!("{GROUP}[[resource]]\nsubscription = 'alder-prod'\nresource_group = 'rg'\n{rest}");
        check(&resource("type = 'Microsoft.Compute/rockets'\nname = 'r'"), "the type `Microsoft.Compute/rockets`");
        check(&resource("type = 'Microsoft.Compute/disks'\nname = 'r'"), "no location");
        check(&resource("type = 'Microsoft.Compute/disks'\nname = 'a/b'\nlocation = 'x'"), "does not fit");
        check(&resource("type = 'Microsoft.Compute/disks'\nname = 'd'\nlocation = 'x'").replace("'rg'\ntype", "'other'\ntype"), "`other`");
    }

    #[test]
    fn a_fleet_is_as_large_as_it_says() {
        let text = format!(
            "{GROUP}[[generate]]\nsubscription = 'alder-prod'\nresource_group = 'rg'\ntype = 'Microsoft.Compute/disks'\n\
             name_prefix = 'disk-'\ncount = 2500\nlocation = 'westeurope'"
        );
        // The subscription and the group come first.
        assert_eq!(changes(&text).unwrap().len(), 2_502);
    }
    #[test]
    fn the_demos_seed_can_be_sown() {
        let names = [
            "alder-dev",
            "alder-prod",
            "bramble-core",
            "bramble-lab",
            "cedar-fleet",
            "dune-main",
            "elmwood-main",
            "fjord-core",
            "granite-main",
        ];
        let home = |number: u8| Home { id: SubscriptionId::from_bytes([number; 16]), tenant: TenantId::from_bytes([number; 16]) };
        let subscriptions = names.iter().zip(1..).map(|(name, number)| ((*name).to_owned(), home(number))).collect();
        let seed = Seed { text: include_str!("../demo/resources.toml").to_owned(), subscriptions };
        assert!(seed.changes(Timestamp::UNIX_EPOCH).unwrap().len() > 2_500);
    }
}
