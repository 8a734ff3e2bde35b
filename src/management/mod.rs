//! What the gateway answers itself, from its own directory: discovery, tenants, subscriptions, own permissions.
//!
//! Answers hold only what the caller holds a grant on; nothing here asks the backend.

mod discovery;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::arm::query::{ApiVersion, ApiVersionError};
use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::delegation::{Grant, decide};
use crate::directory::{Directory, Subscription};
use crate::identity::Caller;
use crate::ids::{PrincipalId, SubscriptionId, TenantId};
use crate::pipeline::{OwnQuestion, Topic};

pub use discovery::{Discovery, document};

/// Why a question to the gateway has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnError {
    /// `api-version` is missing, doubled or malformed.
    #[error("{0}")]
    ApiVersion(#[from] ApiVersionError),
    /// The caller's tenant may know the subscription, but nothing in it is granted to the caller.
    #[error(
        "the client '{client}' with object id '{object}' does not have authorization to perform action 'Microsoft.Resources/subscriptions/read' over scope '{scope}': nothing there is granted to it or to its groups"
    )]
    NothingGranted {
        /// Display name of the caller.
        client: String,
        /// Object id of the caller.
        object: String,
        /// The scope.
        scope: String,
    },
}

impl OwnError {
    /// The stable reason code.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::ApiVersion(_) => "request.api_version",
            Self::NothingGranted { .. } => "role.principal",
        }
    }
}

/// Answers a question with a JSON document.
///
/// # Errors
/// When nothing of it may be seen by the caller.
pub fn answer(question: &OwnQuestion, directory: &Directory, now: Timestamp) -> Result<Value, OwnError> {
    let caller = &question.caller;
    let view = View { directory, caller, principals: caller.principals(directory).ids().to_vec(), now };
    match &question.topic {
        Topic::Permissions(scope) => Ok(json!({ "value": view.permissions(scope) })),
        Topic::Subscription(id) => view.subscription(*id),
        Topic::Subscriptions => {
            let found = view.subscriptions();
            Ok(json!({ "count": { "type": "Total", "value": found.len() }, "value": found }))
        }
        Topic::Tenants => Ok(json!({ "value": view.tenants() })),
    }
}

/// Checks the version of a question that is answered before anybody is known.
///
/// # Errors
/// When it is missing, doubled or malformed.
pub fn version(query: Option<&str>) -> Result<ApiVersion, OwnError> {
    Ok(ApiVersion::from_query(query.unwrap_or_default())?)
}

/// The directory as one caller may see it.
struct View<'a> {
    directory: &'a Directory,
    caller: &'a Caller,
    principals: Vec<PrincipalId>,
    now: Timestamp,
}

impl View<'_> {
    fn is_granted_in(&self, subscription: &Subscription) -> bool {
        let in_reach = self.directory.tenant(subscription.tenant).is_some_and(|tenant| !tenant.suspended);
        in_reach && subscription.grants.iter().any(|grant| self.holds(grant))
    }

    fn holds(&self, grant: &Grant) -> bool {
        grant.window.contains(self.now) && self.principals.binary_search(&grant.principal).is_ok()
    }

    fn granted(&self) -> Vec<&Subscription> {
        let mut granted: Vec<_> = self.directory.subscriptions().filter(|subscription| self.is_granted_in(subscription)).collect();
        granted.sort_by(|a, b| a.name.cmp(&b.name).then(a.id.cmp(&b.id)));
        granted
    }

    fn subscriptions(&self) -> Vec<Value> {
        self.granted().into_iter().map(describe).collect()
    }

    fn subscription(&self, id: SubscriptionId) -> Result<Value, OwnError> {
        let found = self.directory.subscription(id).filter(|subscription| self.is_granted_in(subscription));
        found.map(describe).ok_or_else(|| OwnError::NothingGranted {
            client: self.caller.name.to_string(),
            object: self.caller.principal.object.to_string(),
            scope: format!("/subscriptions/{id}"),
        })
    }

    fn permissions(&self, scope: &Scope) -> Vec<Value> {
        let grants = scope.subscription_id().and_then(|id| self.directory.subscription(id)).map_or(&[][..], |found| &found.grants);
        let held = decide::permissions(grants, self.directory.roles(), &self.principals, scope, self.now);
        held.into_iter()
            .map(|block| {
                json!({
                    "actions": block.actions().collect::<Vec<_>>(),
                    "notActions": block.not_actions().collect::<Vec<_>>(),
                    "dataActions": [],
                    "notDataActions": [],
                })
            })
            .collect()
    }

    /// The home tenant and those of all subscriptions that the caller can work in.
    fn tenants(&self) -> Vec<Value> {
        let home = self.caller.principal.tenant;
        let managed: BTreeSet<TenantId> = self.granted().iter().map(|subscription| subscription.tenant).collect();
        let others = managed.into_iter().filter(|tenant| *tenant != home).map(|tenant| self.tenant(tenant, "ManagedBy"));
        std::iter::once(self.tenant(home, "Home")).chain(others).collect()
    }

    fn tenant(&self, id: TenantId, category: &str) -> Value {
        let tenant = self.directory.tenant(id);
        let domains = tenant.map(|tenant| tenant.domains.clone()).unwrap_or_default();
        json!({
            "id": format!("/tenants/{id}"),
            "tenantId": id,
            "tenantCategory": category,
            "displayName": tenant.map(|tenant| tenant.name.to_string()),
            "defaultDomain": domains.first(),
            "domains": domains,
            "tenantType": "AAD",
        })
    }
}

/// Source: Subscriptions, Get, 2022-12-01. `tenantId` is the customer's: clients show it as the home tenant.
fn describe(subscription: &Subscription) -> Value {
    let managed_by: Vec<Value> = subscription.managed_by.iter().map(|tenant| json!({ "tenantId": tenant })).collect();
    json!({
        "id": format!("/subscriptions/{}", subscription.id),
        "authorizationSource": "RoleBased",
        "managedByTenants": managed_by,
        "subscriptionId": subscription.id,
        "tenantId": subscription.tenant,
        "displayName": &*subscription.name,
        "state": subscription.state,
        "subscriptionPolicies": { "locationPlacementId": "Internal_2014-09-01", "quotaId": "Internal_2014-09-01", "spendingLimit": "Off" },
    })
}
