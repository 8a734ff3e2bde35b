//! The description of the demo world: `steward.world/1`. Outside tools rely on its form; it grows only by adding.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::accounts::DemoAccounts;
use super::certificates::Certificates;
use crate::delegation::{OriginKind, Window};
use crate::directory::Directory;
use crate::ids::{ClientId, ObjectId, PrincipalId, RoleId, SubscriptionId, TenantId};
use crate::issuer::Kind;

/// Name of the description inside the demo's folder.
pub const FILE: &str = "world.json";

const SCHEMA: &str = "steward.world/1";

/// Where the parts of the demo are.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    pub(super) gateway: String,
    pub(super) authority: String,
    pub(super) backend: String,
    pub(super) fabric: String,
    pub(super) private_cloud: String,
    pub(super) admin: String,
    pub(super) front_listen: SocketAddr,
    pub(super) gateway_listen: SocketAddr,
    pub(super) admin_listen: SocketAddr,
}

impl Addresses {
    pub(super) fn gateway_authority(&self) -> String {
        format!("localhost:{}", self.gateway_listen.port())
    }
}

/// Everything a client of the demo needs to know. It holds secrets: only the owner may read its file.
#[derive(Debug, Serialize, Deserialize)]
pub struct World {
    /// `steward.world/1`.
    pub schema: String,
    /// `https://localhost:8443`.
    pub gateway: String,
    /// `https://localhost:8445`; a tenant id becomes the first segment of its path.
    pub authority: String,
    /// The mock resource manager, which accepts nobody but the gateway.
    pub backend: String,
    /// The fabric of the private cloud, which accepts nobody but the gateway either.
    #[serde(default)]
    pub fabric: String,
    /// `https://localhost:8090`: the private cloud's own interfaces.
    #[serde(default)]
    pub private_cloud: String,
    /// `http://127.0.0.1:8480`.
    pub admin: String,
    /// The certificate to trust.
    pub ca: PathBuf,
    /// The same and the roots of this machine, for clients whose setting replaces all roots.
    pub ca_bundle: PathBuf,
    /// The folder of the decision records.
    pub records: PathBuf,
    /// The process.
    pub pid: u32,
    /// By the names of the policies.
    pub tenants: BTreeMap<String, WorldTenant>,
    /// Who can sign in, and how.
    pub identities: BTreeMap<String, Identity>,
    /// By name.
    pub subscriptions: BTreeMap<String, WorldSubscription>,
    /// What customers delegated.
    pub delegations: Vec<WorldDelegation>,
    /// What tenants' own people hold.
    pub role_assignments: Vec<WorldAssignment>,
}

/// A tenant.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorldTenant {
    /// `tid`.
    pub id: TenantId,
    /// Display name.
    pub name: String,
}

/// Somebody who can sign in.
#[derive(Debug, Serialize, Deserialize)]
pub struct Identity {
    /// Name of the home tenant.
    pub tenant: String,
    /// `oid`.
    pub object_id: ObjectId,
    /// How to sign in.
    #[serde(flatten)]
    pub sign_in: SignIn,
}

/// How somebody signs in.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum SignIn {
    /// With a client secret.
    #[serde(rename = "sp")]
    ServicePrincipal {
        /// Application id.
        client_id: ClientId,
        /// Made on the first run of the demo.
        client_secret: String,
    },
    /// With a password, by device code or directly.
    #[serde(rename = "user")]
    User {
        /// Such as `deniz@ostra.example`.
        username: String,
        /// Made on the first run of the demo.
        password: String,
    },
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ServicePrincipal { .. } => "ServicePrincipal(<secret>)",
            Self::User { .. } => "User(<secret>)",
        })
    }
}

/// A subscription.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorldSubscription {
    /// `/subscriptions/{id}`.
    pub id: SubscriptionId,
    /// Name of the tenant that owns it.
    pub tenant: String,
    /// Display name.
    pub name: String,
}

/// One scope that a customer delegated to one managing tenant.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorldDelegation {
    /// Name of the subscription.
    pub subscription: String,
    /// The one resource group, if not the whole subscription.
    pub resource_group: Option<String>,
    /// Name of the managing tenant.
    pub managed_by: String,
    /// Who may do what.
    pub principals: Vec<WorldPrincipal>,
}

/// One authorization.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorldPrincipal {
    /// Name of the identity; none for a group.
    pub identity: Option<String>,
    /// User, group or service principal.
    pub object_id: ObjectId,
    /// The role.
    pub role: RoleId,
    /// `permanent` or `eligible`.
    pub kind: String,
}

/// One role assignment inside a tenant.
#[derive(Debug, Serialize, Deserialize)]
pub struct WorldAssignment {
    /// Name of the identity; none for a group.
    pub identity: Option<String>,
    /// Resource id.
    pub scope: String,
    /// The role.
    pub role: RoleId,
}

impl World {
    pub(super) fn of(
        directory: &Directory,
        accounts: &DemoAccounts,
        addresses: &Addresses,
        certificates: &Certificates,
        records: &Path,
    ) -> Self {
        let view = View { directory, identities: names(accounts) };
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_cause| path.to_owned());
        Self {
            schema: SCHEMA.to_owned(),
            gateway: addresses.gateway.clone(),
            authority: addresses.authority.clone(),
            backend: addresses.backend.clone(),
            fabric: addresses.fabric.clone(),
            private_cloud: addresses.private_cloud.clone(),
            admin: addresses.admin.clone(),
            ca: absolute(&certificates.ca),
            ca_bundle: absolute(&certificates.bundle),
            records: absolute(records),
            pid: std::process::id(),
            tenants: directory.tenants().map(|it| (it.key.to_string(), WorldTenant { id: it.id, name: it.name.to_string() })).collect(),
            identities: view.identities(accounts),
            subscriptions: view.subscriptions(),
            delegations: view.delegations(),
            role_assignments: view.role_assignments(),
        }
    }

    /// The description as one JSON document.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Maps with text keys and no floats: there is nothing here that JSON could not hold.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

struct View<'a> {
    directory: &'a Directory,
    identities: BTreeMap<PrincipalId, String>,
}

fn names(accounts: &DemoAccounts) -> BTreeMap<PrincipalId, String> {
    accounts.iter().map(|account| (PrincipalId { tenant: account.tenant, object: account.object_id }, account.key.clone())).collect()
}

impl View<'_> {
    fn tenant(&self, id: TenantId) -> String {
        self.directory.tenant(id).map_or_else(|| id.to_string(), |tenant| tenant.key.to_string())
    }

    fn identities(&self, accounts: &DemoAccounts) -> BTreeMap<String, Identity> {
        let identity = |account: &crate::issuer::AccountFile| {
            let secret =
                |secret: &Option<crate::issuer::Secret>| secret.as_ref().map(|secret| secret.expose().to_owned()).unwrap_or_default();
            let sign_in = match account.kind {
                Kind::ServicePrincipal => {
                    SignIn::ServicePrincipal { client_id: account.client_id?, client_secret: secret(&account.client_secret) }
                }
                Kind::User => SignIn::User { username: account.username.clone()?, password: secret(&account.password) },
            };
            Some((account.key.clone(), Identity { tenant: self.tenant(account.tenant), object_id: account.object_id, sign_in }))
        };
        accounts.iter().filter_map(identity).collect()
    }

    fn subscriptions(&self) -> BTreeMap<String, WorldSubscription> {
        let subscription = |it: &crate::directory::Subscription| {
            (it.name.to_string(), WorldSubscription { id: it.id, tenant: self.tenant(it.tenant), name: it.name.to_string() })
        };
        self.directory.subscriptions().map(subscription).collect()
    }

    fn delegations(&self) -> Vec<WorldDelegation> {
        let mut found: BTreeMap<(String, Option<String>, String), Vec<WorldPrincipal>> = BTreeMap::new();
        for subscription in self.directory.subscriptions() {
            for grant in &subscription.grants {
                let OriginKind::Delegation { managing_tenant, .. } = &grant.origin.kind else { continue };
                let Some(role) = self.directory.roles().role(grant.role) else { continue };
                let key =
                    (subscription.name.to_string(), grant.scope.resource_group_name().map(str::to_owned), self.tenant(*managing_tenant));
                found.entry(key).or_default().push(WorldPrincipal {
                    identity: self.identities.get(&grant.principal).cloned(),
                    object_id: grant.principal.object,
                    role: role.id(),
                    kind: if *grant.window == Window::Eligible { "eligible" } else { "permanent" }.to_owned(),
                });
            }
        }
        let delegation = |((subscription, resource_group, managed_by), principals)| WorldDelegation {
            subscription,
            resource_group,
            managed_by,
            principals,
        };
        found.into_iter().map(delegation).collect()
    }

    fn role_assignments(&self) -> Vec<WorldAssignment> {
        let mut found = Vec::new();
        for grant in self.directory.subscriptions().flat_map(|subscription| &subscription.grants) {
            if grant.origin.kind != OriginKind::RoleAssignment {
                continue;
            }
            let Some(role) = self.directory.roles().role(grant.role) else { continue };
            let identity = self.identities.get(&grant.principal).cloned();
            found.push(WorldAssignment { identity, scope: grant.scope.to_string(), role: role.id() });
        }
        found.sort_by(|a, b| a.scope.cmp(&b.scope).then_with(|| a.identity.cmp(&b.identity)));
        found
    }
}
