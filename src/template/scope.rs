//! Where and as what a deployment runs: facts that expressions can ask for and that no template contains.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::ids::Place;

/// Where a deployment runs, and facts for `subscription()`, `resourceGroup()`, `tenant()` and `deployment()`.
#[derive(Debug, Clone, Default)]
pub struct DeploymentScope {
    /// Tenant that owns the place.
    pub tenant_id: String,
    /// Its name.
    pub tenant_name: String,
    /// The management group, for a deployment at one.
    pub management_group: Option<String>,
    /// The subscription, for a deployment in one.
    pub subscription: Option<SubscriptionFacts>,
    /// The resource group, for a deployment in one.
    pub resource_group: Option<GroupFacts>,
    /// Name of the deployment.
    pub deployment: String,
    /// Location of the deployment, or of the group it runs in.
    pub location: String,
    /// What `environment()` gives; without it that function is refused.
    pub environment: Option<Value>,
    /// A random id per deployment; `newGuid` is computed from it.
    pub guid_seed: Uuid,
}

/// A subscription.
#[derive(Debug, Clone, Default)]
pub struct SubscriptionFacts {
    /// Its GUID.
    pub id: String,
    /// Its name.
    pub display_name: String,
}

/// A resource group.
#[derive(Debug, Clone, Default)]
pub struct GroupFacts {
    /// Its name.
    pub name: String,
    /// Its location.
    pub location: String,
    /// Its tags: an object or null.
    pub tags: Value,
}

impl DeploymentScope {
    pub(super) fn place(&self) -> Place {
        match (&self.subscription, &self.resource_group, &self.management_group) {
            (Some(subscription), Some(group), _) => Place::Group { subscription: subscription.id.clone(), name: group.name.clone() },
            (Some(subscription), None, _) => Place::Subscription(subscription.id.clone()),
            (None, _, Some(group)) => Place::ManagementGroup(group.clone()),
            (None, _, None) => Place::Tenant,
        }
    }
}

/// What holds for a whole expansion.
#[derive(Debug)]
pub(super) struct World {
    /// Where the outermost deployment runs.
    pub(super) scope: DeploymentScope,
    /// What `utcNow` gives.
    pub(super) now: Timestamp,
}
