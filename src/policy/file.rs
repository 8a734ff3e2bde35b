//! What a policy file may hold: one type per table, with the keys as they are written.
//!
//! Nothing is checked here beyond shape. References are names until `compile` resolves them, so that every mistake of an
//! entry is found and not only the first. The JSON Schema is made from these types, their comments included.

use std::borrow::Cow;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, de};

use crate::clock::Timestamp;
use crate::directory::{PlanService, PlanVisibility, SignUpMode, SignatureAlgorithm, SubscriptionState};
use crate::ids::{ObjectId, SubscriptionId, TenantId};

/// A value and the bytes of the file it was read from.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Bytes of the file, from and until.
    pub range: Range<usize>,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { range: spanned.span(), value: spanned.into_inner() })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A policy file of Steward. Every file of the folder may hold any of these tables; all files together are one set.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Policies")]
#[expect(dead_code, reason = "describes a whole file for the JSON Schema; files are read table by table, see `parse`")]
pub struct PolicyFile {
    /// Who issues tokens, and how they are verified.
    #[serde(default)]
    issuer: Vec<Issuer>,
    /// Customers and service providers.
    #[serde(default)]
    tenant: Vec<Tenant>,
    /// Management groups of a tenant.
    #[serde(default)]
    management_group: Vec<ManagementGroup>,
    /// Subscriptions, each in its home tenant.
    #[serde(default)]
    subscription: Vec<Subscription>,
    /// People.
    #[serde(default)]
    user: Vec<User>,
    /// Applications and managed identities.
    #[serde(default)]
    service_principal: Vec<ServicePrincipal>,
    /// Security groups.
    #[serde(default)]
    group: Vec<Group>,
    /// What a tenant's own principals may do.
    #[serde(default)]
    role_assignment: Vec<RoleAssignment>,
    /// What nobody may do, whatever else was granted.
    #[serde(default)]
    deny_assignment: Vec<DenyAssignment>,
    /// What a managing tenant's principals may do in a customer's scopes.
    #[serde(default)]
    delegation: Vec<Delegation>,
    /// Which managing tenants a customer's subscriptions may be delegated to.
    #[serde(default)]
    onboarding: Vec<Onboarding>,
    /// Plans of service providers that customers can take as they are.
    #[serde(default)]
    marketplace_offer: Vec<MarketplaceOffer>,
    /// Hosts that belong to a resource and not to the resource manager.
    #[serde(default)]
    data_plane: Vec<DataPlane>,
    /// The private cloud of this gateway, at most one.
    #[serde(default)]
    private_cloud: Vec<PrivateCloud>,
    /// What can be signed up for in the private cloud.
    #[serde(default)]
    plan: Vec<Plan>,
    /// What can be added to a plan.
    #[serde(default)]
    add_on: Vec<AddOn>,
}

/// Who issues tokens for one or more tenants.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Issuer {
    /// The name that tenants refer to it by.
    pub key: At<String>,
    /// Where its public keys come from.
    pub kind: At<IssuerKind>,
    /// `discovery`: the `OpenID` configuration document; `jwks`: the key set. `https`, or `http` to loopback. May contain `{tenant}`.
    pub url: Option<At<String>>,
    /// `file`: the JSON Web Key Set, relative to the policy folder.
    pub path: Option<At<String>>,
    /// Accepted values of `iss`, compared whole. May contain `{tenant}`, which stands for the id of the tenant.
    #[serde(default)]
    pub names: Vec<At<String>>,
    /// Where clients are told to sign in. May contain `{tenant}`.
    pub authority: Option<At<String>>,
    /// Signature algorithms accepted; RS256 when absent.
    pub algorithms: Option<At<Vec<Algorithm>>>,
    /// Seconds that its clock may differ from ours: 0 to 60, 30 when absent.
    pub leeway_s: Option<At<i64>>,
}

/// Where an issuer's public keys come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IssuerKind {
    /// The issuer that `steward demo` runs in the same process. It knows its own addresses.
    Demo,
    /// An `OpenID` configuration document.
    Discovery,
    /// A key set in a file.
    File,
    /// A key set behind a URL.
    Jwks,
}

/// A signature algorithm, by its JOSE name.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSASSA-PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
}

impl From<Algorithm> for SignatureAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Es256 => Self::Es256,
            Algorithm::EdDsa => Self::EdDsa,
            Algorithm::Ps256 => Self::Ps256,
            Algorithm::Rs256 => Self::Rs256,
        }
    }
}

/// A directory: a customer, a service provider, or both.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Tenant {
    /// The name that other tables refer to it by.
    pub key: At<String>,
    /// `tid`.
    #[schemars(with = "TenantId")]
    pub id: At<String>,
    /// Display name.
    pub name: String,
    /// Verified domains; the first is the default one.
    #[serde(default)]
    pub domains: Vec<At<String>>,
    /// Key of the issuer of its tokens. Without one nobody of the tenant can sign in.
    pub issuer: Option<At<String>>,
    /// Whether its callers are refused and nothing in it is reachable.
    #[serde(default)]
    pub suspended: bool,
}

/// A management group.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ManagementGroup {
    /// `/providers/Microsoft.Management/managementGroups/{name}`, unique in the whole set.
    pub name: At<String>,
    /// The tenant that owns it.
    pub tenant: At<String>,
    /// Name of the management group above; the root of the tenant when absent.
    pub parent: Option<At<String>>,
}

/// A subscription.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Subscription {
    /// `/subscriptions/{id}`.
    #[schemars(with = "SubscriptionId")]
    pub id: At<String>,
    /// Display name, by which scopes refer to it.
    pub name: At<String>,
    /// The home tenant: the customer.
    pub tenant: At<String>,
    /// Name of the management group it is in; the root of the tenant when absent.
    pub management_group: Option<At<String>>,
    /// Whether it accepts writes; `Enabled` when absent.
    pub state: Option<SubscriptionState>,
}

/// A person.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct User {
    /// The name that other tables refer to the user by, unique in the tenant.
    pub key: At<String>,
    /// `oid`.
    #[schemars(with = "ObjectId")]
    pub object_id: At<String>,
    /// The home tenant.
    pub tenant: At<String>,
    /// Display name; the key when absent.
    pub name: Option<At<String>>,
    /// What the person signs in with, such as `deniz@ostra.example`.
    pub user_principal_name: Option<At<String>>,
    /// Groups of the same tenant that the user is in.
    #[serde(default)]
    pub groups: Vec<At<String>>,
}

/// An application or managed identity.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ServicePrincipal {
    /// The name that other tables refer to it by, unique in the tenant.
    pub key: At<String>,
    /// `oid`: the object id of the service principal, which is not that of the application.
    #[schemars(with = "ObjectId")]
    pub object_id: At<String>,
    /// The home tenant.
    pub tenant: At<String>,
    /// Display name; the key when absent.
    pub name: Option<At<String>>,
    /// Groups of the same tenant that it is in.
    #[serde(default)]
    pub groups: Vec<At<String>>,
}

/// A security group.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Group {
    /// The name that other tables refer to it by, unique in the tenant.
    pub key: At<String>,
    /// The object id, as it stands in the claim `groups`.
    #[schemars(with = "ObjectId")]
    pub object_id: At<String>,
    /// The home tenant.
    pub tenant: At<String>,
    /// Display name; the key when absent.
    pub name: Option<At<String>>,
    /// Members: users, service principals and groups of the same tenant.
    #[serde(default)]
    pub members: Vec<At<String>>,
    /// Groups of the same tenant that this group is in.
    #[serde(default)]
    pub groups: Vec<At<String>>,
}

/// A role of a tenant's own principal.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct RoleAssignment {
    /// The principal: key, display name, user principal name or object id, optionally with `user:`, `sp:` or `group:` before it.
    pub who: At<String>,
    /// A built-in role, by name or GUID.
    pub role: At<String>,
    /// `subscription`, `subscription/resource-group`, a management group, `/`, or a full resource id.
    pub scope: At<String>,
    /// The tenant whose root `/` is meant; needed there and nowhere else.
    pub tenant: Option<At<String>>,
}

/// Actions that are denied to everybody but the excluded principals.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DenyAssignment {
    /// What a refused caller is told denied the request.
    pub name: String,
    /// Patterns of denied actions; `*` stands for any run of characters.
    pub actions: At<Vec<At<String>>>,
    /// Patterns taken out of them again.
    #[serde(default)]
    pub not_actions: Vec<At<String>>,
    /// `subscription`, `subscription/resource-group` or a full resource id.
    pub scope: At<String>,
    /// Whom it does not bind: principals of the scope's tenant, or `tenant/principal`.
    #[serde(default)]
    pub excluded: Vec<At<String>>,
}

/// An offer that is bound to one or more scopes of a customer.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Delegation {
    /// Name of the offer, unique on a scope.
    pub offer: At<String>,
    /// The service provider's tenant.
    pub managing_tenant: At<String>,
    /// Subscriptions or resource groups (`subscription/resource-group`) of one customer.
    pub scopes: At<Vec<At<String>>>,
    /// Whether all of it is out of force until somebody resumes it.
    #[serde(default)]
    pub suspended: bool,
    /// Who may do what.
    #[serde(default)]
    pub authorization: Vec<At<Authorization>>,
}

/// A role for a principal of the managing tenant.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Authorization {
    /// The principal: key, display name, user principal name or object id, optionally with `user:`, `sp:` or `group:` before it.
    pub who: At<String>,
    /// A built-in role that can be delegated, by name or GUID.
    pub role: At<String>,
    /// First moment in force.
    pub from: Option<At<Moment>>,
    /// First moment no longer in force.
    pub until: Option<At<Moment>>,
    /// Present for a role that is not in force until it is activated.
    pub on_request: Option<At<OnRequest>>,
    /// Whether it is out of force until somebody resumes it.
    #[serde(default)]
    pub suspended: bool,
}

/// How a role on request is activated.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct OnRequest {
    /// Longest activation: `30m` to `8h`, `8h` when absent.
    pub max: Option<At<String>>,
    /// Users or groups of the managing tenant of whom one must agree, at most ten. Without any, nobody has to.
    #[serde(default)]
    pub approvers: Vec<At<String>>,
}

/// The only managing tenants that a customer's subscriptions may be delegated to. Without an entry, any may be named.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Onboarding {
    /// The customer.
    pub tenant: At<String>,
    /// Keys or ids of tenants; ids of tenants that no file lists are accepted. An empty list allows nobody.
    pub managing_tenants: At<Vec<At<String>>>,
}

/// A plan that a service provider offers: `{publisher}.{product}.{plan}.{version}`.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct MarketplaceOffer {
    /// Id of the publisher.
    pub publisher: At<String>,
    /// Code of the product, which ends in `-preview` where it is one.
    pub product: At<String>,
    /// Name of the plan.
    pub plan: At<String>,
    /// Version of the plan, such as `1.0.2`.
    pub version: At<String>,
    /// The service provider's tenant.
    pub managing_tenant: At<String>,
    /// The only tenants that see the plan and can take it; everybody when absent.
    pub private_to: Option<At<Vec<At<String>>>>,
    /// Who may do what.
    #[serde(default)]
    pub authorization: Vec<At<PlanAuthorization>>,
}

/// A role for a principal of the managing tenant.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PlanAuthorization {
    /// The principal: key, display name, user principal name or object id, optionally with `user:`, `sp:` or `group:` before it.
    pub who: At<String>,
    /// A built-in role that can be delegated, by name or GUID.
    pub role: At<String>,
    /// Present for a role that is not in force until it is activated.
    pub on_request: Option<At<OnRequest>>,
}

/// A rule for hosts that belong to a resource, such as `blob.core.windows.net`. Requests to them are refused.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DataPlane {
    /// The hosts below this name.
    pub suffix: Option<At<String>>,
    /// A regular expression over the whole host, from `^` to `$`.
    pub pattern: Option<At<String>>,
    /// What is behind these hosts, for the message.
    pub service: String,
    /// What to do instead, for the message.
    pub hint: Option<String>,
}

/// The private cloud of this gateway.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PrivateCloud {
    /// A subscription, by name or id: from here its operator sees stamps, all tenants and machines of nobody.
    pub subscription: At<String>,
    /// Who can sign up.
    pub sign_up: SignUpMode,
    /// Subscriptions that can be signed up for, together: 1 to 100000, 1000 when absent.
    pub tenants_max: Option<At<i64>>,
}

/// What can be signed up for in the private cloud.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Plan {
    /// The name that add-ons and subscriptions refer to it by.
    pub key: At<String>,
    /// Display name.
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Who sees it.
    pub visibility: PlanVisibility,
    /// Codes with which it can be taken where one is needed, each of 8 to 128 characters.
    #[serde(default)]
    pub invitation_codes: Vec<At<String>>,
    /// What it opens.
    #[serde(default)]
    pub services: Vec<PlanService>,
    /// Clouds of the fabric, by name, compared without case: the resource groups of a tenant.
    pub clouds: At<Vec<At<String>>>,
    /// Logical networks, by name.
    #[serde(default)]
    pub networks: Vec<At<String>>,
    /// Templates, by name.
    #[serde(default)]
    pub templates: Vec<At<String>>,
    /// How much can be used; what is absent is not limited.
    pub quota: Option<Quota>,
}

/// What can be added to a plan.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct AddOn {
    /// The name that subscriptions refer to it by.
    pub key: At<String>,
    /// Display name.
    pub name: String,
    /// Keys of the plans that it can be added to.
    pub plans: At<Vec<At<String>>>,
    /// What it opens besides.
    #[serde(default)]
    pub services: Vec<PlanService>,
    /// How much it gives besides; what is absent stays as the plan has it.
    pub quota: Option<Quota>,
}

/// How much can be used.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Quota {
    /// Machines.
    pub virtual_machines: Option<At<i64>>,
    /// Processors of all machines.
    pub cores: Option<At<i64>>,
    /// Memory of all machines in MiB.
    pub memory_mb: Option<At<i64>>,
    /// Disks of all machines in GiB.
    pub storage_gb: Option<At<i64>>,
}

/// A date (midnight in UTC) or a date and time with an offset, as TOML writes them, without quotes.
#[derive(Debug, Clone, Copy)]
pub struct Moment(pub Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = toml::value::Datetime::deserialize(deserializer)?;
        let text = match (written.date, written.time, written.offset) {
            (Some(date), None, None) => format!("{date}T00:00:00Z"),
            (Some(_), Some(_), Some(_)) => written.to_string(),
            _ => return Err(de::Error::custom(format!("`{written}` needs a date and an offset, such as 2027-06-30T12:00:00Z"))),
        };
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

impl JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "anyOf": [{ "format": "date" }, { "format": "date-time" }] })
    }
}

/// The JSON Schema of a policy file.
#[must_use]
pub fn json_schema() -> Schema {
    schemars::schema_for!(PolicyFile)
}
