//! Everything known about tenants, subscriptions, people and grants, as one immutable snapshot.
//!
//! A request takes one `Arc<Directory>` and sees nothing else, so it can never be judged by two policies. A new snapshot
//! replaces the old one as a whole; the holder is a `watch::Receiver<Arc<Directory>>`.

mod account;
mod acquaintance;
mod agreed;
mod delegations;
pub mod entity;
mod issuers;
mod private_cloud;
mod published;
mod registry;
pub mod shown;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::arm::planes::Planes;
use crate::arm::scope::{Anchor, Scope};
use crate::delegation::offer::Plan as MarketplacePlan;
use crate::delegation::roles::RoleCatalogue;
use crate::delegation::{DenyAssignment, Grant, SourceLocation};
use crate::ids::{ObjectId, PrincipalId, SubscriptionId, TenantId};

pub use self::acquaintance::Acquaintance;
pub use self::delegations::{Authorization, Delegation, OnRequest};
use self::entity::{Account, CloudSubscription, SignUp};
pub use self::issuers::IssuerOf;
pub use self::private_cloud::{AddOn, Entitlement, Plan, PlanService, PlanVisibility, PrivateCloud, SignUpMode};
pub use self::published::Published;
pub use self::registry::{ApplyError, EVENTS_KEPT, Holdings, Registry, Touched, Versioned};

/// One snapshot: what the policy files declare, and on top of it what customers and providers agreed at run time.
///
/// Cheap to clone: a changed snapshot shares all that did not change with the one before.
#[derive(Debug, Clone)]
pub struct Directory {
    /// Counts the policy sets of this process, from 1; it is in every decision record.
    pub revision: u64,
    declared: Arc<Declared>,
    registry: Registry,
    /// Who the issuers of the policy files speak for.
    declared_issuers: Arc<DeclaredIssuers>,
    /// Subscriptions in which something was agreed at run time, which hide those that are declared, and those that were signed up for.
    agreed: Map<SubscriptionId, Arc<Subscription>>,
    /// Those of them that were signed up for.
    clouds: Map<SubscriptionId, ()>,
    /// How many run-time assignments bind (managing tenant, customer tenant).
    relations: Map<(TenantId, TenantId), usize>,
    /// Subscriptions by the tenants that own or manage something in them since run time.
    managed: Map<TenantId, Map<SubscriptionId, ()>>,
    /// Tenants that signed up.
    accounts: Map<TenantId, Arc<Tenant>>,
    /// Who the issuers of accounts speak for. More than one tenant means none.
    account_issuers: Map<Box<str>, Vec<TenantId>>,
}

/// Tenants by issuer; `None` where two tenants claim the same one.
type DeclaredIssuers = HashMap<Box<str>, Option<TenantId>, foldhash::fast::RandomState>;

/// A persistent map: a changed copy costs what changed.
type Map<K, V> = rpds::HashTrieMap<K, V, archery::ArcTK, foldhash::fast::RandomState>;

/// What the policy files say. Built by `policy::compile`, never changed afterwards.
#[derive(Debug)]
pub struct Declared {
    pub(crate) revision: u64,
    /// `sha256:` and the hexadecimal digest over the names and contents of the policy files.
    pub(crate) digest: String,
    /// How many files it was made from.
    pub(crate) files: usize,
    pub(crate) roles: Arc<RoleCatalogue>,
    pub(crate) planes: Planes,
    pub(crate) tenants: HashMap<TenantId, Box<Tenant>, foldhash::fast::RandomState>,
    pub(crate) subscriptions: HashMap<SubscriptionId, Arc<Subscription>, foldhash::fast::RandomState>,
    /// Keyed by lower-cased name.
    pub(crate) management_groups: HashMap<Box<str>, ManagementGroup, foldhash::fast::RandomState>,
    pub(crate) principals: HashMap<PrincipalId, Box<Principal>, foldhash::fast::RandomState>,
    pub(crate) delegations: Vec<Delegation>,
    /// (managing tenant, customer tenant) of every delegation, in force or not.
    pub(crate) relations: HashSet<(TenantId, TenantId), foldhash::fast::RandomState>,
    /// Grants on the root of each tenant (`/`), by the tenant that owns it.
    pub(crate) tenant_grants: HashMap<TenantId, Vec<Grant>, foldhash::fast::RandomState>,
    /// Subscriptions that a tenant owns or manages, sorted, without duplicates.
    pub(crate) reach: HashMap<TenantId, Vec<SubscriptionId>, foldhash::fast::RandomState>,
    /// The places in `delegations` of those in each subscription.
    pub(crate) places: HashMap<SubscriptionId, Box<[usize]>, foldhash::fast::RandomState>,
    /// Plans that customers can take, in the order of the files.
    pub(crate) marketplace: Vec<MarketplaceOffer>,
    /// The only managing tenants of a customer, by customer. A customer without an entry may name any.
    pub(crate) onboarding: HashMap<TenantId, AllowedManagers, foldhash::fast::RandomState>,
    pub(crate) private_cloud: Option<PrivateCloud>,
    /// In the order of the files.
    pub(crate) plans: Vec<Plan>,
    /// In the order of the files.
    pub(crate) add_ons: Vec<AddOn>,
}

/// The only tenants that a customer's subscriptions may be delegated to.
#[derive(Debug, Clone)]
pub struct AllowedManagers {
    /// Their ids.
    pub tenants: Vec<TenantId>,
    /// Where the policy says so.
    pub defined_at: SourceLocation,
}

/// A plan that a service provider offers to customers.
#[derive(Debug)]
pub struct MarketplaceOffer {
    /// What it is called.
    pub plan: MarketplacePlan,
    /// The service provider.
    pub managing_tenant: TenantId,
    /// Who may do what.
    pub authorizations: Vec<Authorization>,
    /// The only tenants that see it and can take it; everybody when absent.
    pub private_to: Option<Vec<TenantId>>,
}

impl MarketplaceOffer {
    /// Whether a tenant may see the plan: as a customer, or because it is its own.
    #[must_use]
    pub fn is_for(&self, tenant: TenantId) -> bool {
        tenant == self.managing_tenant || self.private_to.as_ref().is_none_or(|tenants| tenants.contains(&tenant))
    }
}

/// A tenant that Steward knows: a customer, a service provider, or both.
#[derive(Debug)]
pub struct Tenant {
    /// `tid`.
    pub id: TenantId,
    /// The name that policy files refer to it by.
    pub key: Arc<str>,
    /// Display name.
    pub name: Arc<str>,
    /// Verified domains; the first is the default one.
    pub domains: Vec<String>,
    /// Who issues tokens for it: one at most for a tenant of the policy files. A tenant without an issuer can be managed but nobody of it
    /// can sign in.
    pub issuers: Vec<TokenIssuer>,
    /// A suspended tenant's callers are refused, and nothing in it is reachable.
    pub suspended: bool,
    /// Where the policy says so.
    pub defined_at: SourceLocation,
}

/// An authority whose tokens count for a tenant, and the keys it signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenIssuer {
    /// The values of `iss` that are accepted, compared whole; the tenant id is already filled in.
    pub names: Vec<String>,
    /// What a challenge tells a client to sign in at: `https://login.example/{tenant id}`; none for an issuer that nobody vouched for.
    pub authority: Option<String>,
    /// Where its public keys are.
    pub keys: KeySource,
    /// Signature algorithms accepted from it.
    pub algorithms: Vec<SignatureAlgorithm>,
    /// Seconds that clocks may differ, at most 60.
    pub leeway_s: u8,
}

/// Where the public keys of an issuer are found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// An `OpenID` configuration document, whose `jwks_uri` names the keys.
    Discovery(String),
    /// A JSON Web Key Set at this `https` URL.
    KeySetUrl(String),
    /// A JSON Web Key Set in this file.
    File(std::path::PathBuf),
    /// This JSON Web Key Set.
    Inline(Arc<str>),
}

/// Signature algorithms that a tenant's issuer may use. Symmetric ones and `none` do not exist here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum SignatureAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256: the default.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// ECDSA with P-256 and SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

/// A user, group or service principal of some tenant.
#[derive(Debug)]
pub struct Principal {
    /// Tenant and object id.
    pub id: PrincipalId,
    /// The name that policy files refer to it by, unique within its tenant.
    pub key: Arc<str>,
    /// Display name.
    pub name: Arc<str>,
    /// What a user signs in with, such as `deniz@ostra.example`.
    pub user_principal_name: Option<Arc<str>>,
    /// What it is.
    pub kind: PrincipalKind,
    /// The groups it is in, directly or through other groups.
    pub groups: Vec<ObjectId>,
}

/// The kinds of principal a grant may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A security group.
    Group,
    /// An application or managed identity.
    ServicePrincipal,
    /// A person.
    User,
}

/// A subscription and everything granted in it.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// `/subscriptions/{id}`.
    pub id: SubscriptionId,
    /// Display name; policy files refer to the subscription by it.
    pub name: Arc<str>,
    /// The home tenant: the customer.
    pub tenant: TenantId,
    /// Whether it accepts writes.
    pub state: SubscriptionState,
    /// Names of the management groups above it, nearest first.
    pub ancestors: Vec<Box<str>>,
    /// All grants on or below the subscription, those inherited from management groups and the tenant root included,
    /// sorted by principal. Scopes of inherited grants are widened down to the subscription itself.
    pub grants: Vec<Grant>,
    /// System denies: they win over every grant.
    pub denies: Arc<[DenyAssignment]>,
    /// Tenants that hold a delegation on the subscription or one of its groups, in force or not; sorted, without duplicates.
    pub managed_by: Vec<TenantId>,
    /// Those of them that hold one made at run time.
    pub agreed_with: Vec<TenantId>,
    /// Where the policy says so.
    pub defined_at: SourceLocation,
}

/// Whether a subscription accepts writes. Source: Azure subscription states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub enum SubscriptionState {
    /// Reads and deletes only.
    Disabled,
    /// Everything.
    Enabled,
    /// Reads and deletes only.
    PastDue,
    /// Reads and deletes only.
    Warned,
}

/// A management group of one tenant.
#[derive(Debug)]
pub struct ManagementGroup {
    /// Its name: `/providers/Microsoft.Management/managementGroups/{name}`.
    pub name: Box<str>,
    /// The tenant that owns it.
    pub tenant: TenantId,
    /// Grants on it and above it; only principals of `tenant` appear here.
    pub grants: Vec<Grant>,
}

impl Tenant {
    /// The issuer that calls itself so.
    #[must_use]
    pub fn issuer_named(&self, name: &str) -> Option<&TokenIssuer> {
        self.issuers.iter().find(|issuer| issuer.names.iter().any(|known| known == name))
    }

    /// What a challenge tells a client of this tenant to sign in at.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.issuers.iter().find_map(|issuer| issuer.authority.as_deref())
    }
}

impl Directory {
    /// What the files declare and nothing else.
    #[must_use]
    pub fn new(declared: Declared) -> Self {
        Self {
            revision: declared.revision,
            declared_issuers: Arc::new(issuers::declared(&declared)),
            declared: Arc::new(declared),
            registry: Registry::default(),
            agreed: Map::default(),
            clouds: Map::default(),
            relations: Map::default(),
            managed: Map::default(),
            accounts: Map::default(),
            account_issuers: Map::default(),
        }
    }

    /// What the files declare, while nobody shares it.
    #[cfg(test)]
    pub(crate) fn declared_mut(&mut self) -> Option<&mut Declared> {
        Arc::get_mut(&mut self.declared)
    }

    /// `sha256:` and the hexadecimal digest over the names and contents of the policy files.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.declared.digest
    }

    /// How many policy files it was made from.
    #[must_use]
    pub fn files(&self) -> usize {
        self.declared.files
    }

    /// What was agreed at run time.
    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The tenant of this id: one of the policy files, or else an account.
    #[must_use]
    pub fn tenant(&self, id: TenantId) -> Option<&Tenant> {
        let declared = self.declared.tenants.get(&id).map(Box::as_ref);
        declared.or_else(|| if self.accounts.is_empty() { None } else { self.accounts.get(&id).map(Arc::as_ref) })
    }

    /// All tenants, in no order.
    pub fn tenants(&self) -> impl Iterator<Item = &Tenant> {
        self.declared_tenants().chain(self.accounts.values().map(Arc::as_ref))
    }

    /// The tenants of the policy files, in no order.
    pub fn declared_tenants(&self) -> impl Iterator<Item = &Tenant> {
        self.declared.tenants.values().map(Box::as_ref)
    }

    /// The account of this id, unless the policy files declare a tenant of it.
    #[must_use]
    pub fn account(&self, id: TenantId) -> Option<&Account> {
        self.accounts.get(&id)?;
        self.registry.account(id).map(|account| &*account.body)
    }

    /// What was signed up for under this id, unless the policy files declare a subscription of it.
    #[must_use]
    pub fn cloud(&self, id: SubscriptionId) -> Option<&CloudSubscription> {
        self.clouds.get(&id)?;
        Some(&*self.registry.holdings(id)?.cloud.as_ref()?.body)
    }

    /// Everything that was signed up for, in no order.
    pub fn clouds(&self) -> impl Iterator<Item = &CloudSubscription> {
        self.clouds.keys().filter_map(|id| self.cloud(*id))
    }

    /// How many subscriptions were signed up for.
    #[must_use]
    pub fn clouds_len(&self) -> usize {
        self.clouds.size()
    }

    /// The sign-up under way for a subscription to come.
    #[must_use]
    pub fn sign_up(&self, id: SubscriptionId) -> Option<&SignUp> {
        self.registry.sign_up(id).map(|sign_up| &*sign_up.body)
    }

    /// All sign-ups under way, in no order.
    pub fn sign_ups(&self) -> impl Iterator<Item = &SignUp> {
        self.registry.sign_ups().map(|sign_up| &*sign_up.body)
    }

    /// The subscription of this id.
    #[must_use]
    pub fn subscription(&self, id: SubscriptionId) -> Option<&Subscription> {
        let agreed = if self.agreed.is_empty() { None } else { self.agreed.get(&id) };
        agreed.or_else(|| self.declared.subscriptions.get(&id)).map(Arc::as_ref)
    }

    /// All subscriptions, in no order.
    pub fn subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.declared.subscriptions.keys().chain(self.clouds.keys()).filter_map(|id| self.subscription(*id))
    }

    /// The subscriptions of the policy files, in no order.
    pub fn declared_subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.declared.subscriptions.keys().filter_map(|id| self.subscription(*id))
    }

    /// Subscriptions that a tenant owns, or in which something is or was delegated to it; in no order, without duplicates.
    pub fn reach(&self, tenant: TenantId) -> impl Iterator<Item = &Subscription> {
        let declared = self.declared.reach.get(&tenant).map_or(&[][..], Vec::as_slice);
        let is_new = move |id: &&SubscriptionId| declared.binary_search(id).is_err();
        let agreed = self.managed.get(&tenant).into_iter().flat_map(|managed| managed.keys()).filter(is_new);
        declared.iter().chain(agreed).filter_map(|id| self.subscription(*id))
    }

    /// The management group of this name, in any case.
    #[must_use]
    pub fn management_group(&self, name: &str) -> Option<&ManagementGroup> {
        self.declared.management_groups.get(name.to_ascii_lowercase().as_str())
    }

    /// What is known about a principal beyond its id.
    #[must_use]
    pub fn principal(&self, id: PrincipalId) -> Option<&Principal> {
        self.declared.principals.get(&id).map(Box::as_ref)
    }

    /// All principals that the policy lists, in no order.
    pub fn principals(&self) -> impl Iterator<Item = &Principal> {
        self.declared.principals.values().map(Box::as_ref)
    }

    /// The delegations that the policy files declare, in force or not, in the order of the files.
    #[must_use]
    pub fn delegations(&self) -> &[Delegation] {
        &self.declared.delegations
    }

    /// The plans that customers can take, private ones included.
    #[must_use]
    pub fn marketplace(&self) -> &[MarketplaceOffer] {
        &self.declared.marketplace
    }

    /// The list that keeps `customer` from delegating to `managing`, if one does.
    #[must_use]
    pub fn onboarding_rule_against(&self, customer: TenantId, managing: TenantId) -> Option<&AllowedManagers> {
        self.declared.onboarding.get(&customer).filter(|allowed| !allowed.tenants.contains(&managing))
    }

    /// Whether `managing` holds any delegation in `customer`, or is the same tenant. Nobody else may learn what exists there.
    #[must_use]
    pub fn related(&self, managing: TenantId, customer: TenantId) -> bool {
        let pair = (managing, customer);
        managing == customer
            || self.declared.relations.contains(&pair)
            || (!self.relations.is_empty() && self.relations.contains_key(&pair))
    }

    /// The tenant that a place belongs to, if it is a known one below tenants.
    #[must_use]
    pub fn owner(&self, place: &Scope) -> Option<TenantId> {
        match place.anchor() {
            Anchor::Subscription(id) => self.subscription(*id).map(|subscription| subscription.tenant),
            Anchor::ManagementGroup(name) => self.management_group(name).map(|group| group.tenant),
            Anchor::Tenant => None,
        }
    }

    /// Grants on the root of a tenant.
    #[must_use]
    pub fn tenant_grants(&self, id: TenantId) -> &[Grant] {
        self.declared.tenant_grants.get(&id).map_or(&[], Vec::as_slice)
    }

    /// The role definitions of this snapshot.
    #[must_use]
    pub fn roles(&self) -> &RoleCatalogue {
        &self.declared.roles
    }

    /// Which hosts belong to which plane.
    #[must_use]
    pub fn planes(&self) -> &Planes {
        &self.declared.planes
    }
}

#[cfg(test)]
mod tests;
