//! What the answers look like. `openapi` prints their schemas, so the description cannot differ from what is sent.

use schemars::JsonSchema;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::delegation::roles::Exposure;
use crate::directory::PrincipalKind;
use crate::ids::{ObjectId, RoleId, SubscriptionId, TenantId};
use crate::record::{CheckEntry, Verdict};

/// A list, or one page of it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "{T}List")]
pub(super) struct List<T> {
    pub(super) value: Vec<T>,
    /// The next page, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_link: Option<String>,
}

/// An object in the form of every other of the management plane.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "{T}Resource")]
pub(super) struct Item<T> {
    /// Its resource id.
    pub(super) id: String,
    /// The last segment of its id.
    pub(super) name: String,
    /// Its resource type.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) properties: T,
}

/// The other side of delegations: a customer to its provider, a provider to its customer.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Partner {
    pub(super) tenant_id: TenantId,
    /// Its display name, where the gateway knows one.
    pub(super) display_name: Option<String>,
    /// The offers of its delegations, by name: as many as fit.
    pub(super) offers: Vec<Offer>,
    /// Subscriptions that are delegated as a whole.
    pub(super) delegated_subscriptions: usize,
    /// Resource groups that are delegated by themselves.
    pub(super) delegated_resource_groups: usize,
    /// The delegations whose scope the caller may read: as many as fit.
    pub(super) delegations: Vec<Delegation>,
    /// Whether these are all of them. If not, the rest is in the lists of registration assignments of the subscriptions.
    pub(super) complete: bool,
}

/// An offer, as its delegations refer to it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Offer {
    pub(super) name: String,
    /// The resource id of the registration definition.
    pub(super) registration_definition_id: String,
    /// The revision of the store that wrote it, or `file:line` of the policy file that declares it.
    pub(super) version: String,
}

/// An offer bound to a scope.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Delegation {
    /// The resource id of the registration assignment.
    pub(super) id: String,
    /// A subscription or a resource group.
    pub(super) scope: String,
    /// The display name of the subscription.
    pub(super) subscription_name: String,
    /// Name of the offer.
    pub(super) offer: String,
    pub(super) registration_definition_id: String,
    pub(super) kept_in: Kept,
    pub(super) authorizations: Vec<Authorization>,
}

/// Where something is kept, and can be changed.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "place")]
pub(super) enum Kept {
    /// In a policy file of the operator.
    File {
        /// Its path.
        file: String,
        /// Counted from 1.
        line: u32,
    },
    /// In the store, as a resource of this id.
    Store {
        /// Its resource id.
        id: String,
    },
}

/// A role for a principal of the managing tenant.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Authorization {
    pub(super) principal_id: ObjectId,
    pub(super) principal_name: String,
    pub(super) role_definition_id: RoleId,
    pub(super) role_name: String,
    /// Whether it is in force by itself or has to be activated.
    pub(super) kind: AuthorizationKind,
    #[serde(flatten)]
    pub(super) force: Force,
}

/// Whether an authorization is in force by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum AuthorizationKind {
    /// Only after somebody activated it, for a time.
    Eligible,
    /// As long as the delegation is.
    Standing,
}

/// Whether something counts, from when and until when.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Force {
    pub(super) state: ForceState,
    /// The first moment in force; absent where there is no beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(super) from: Option<Timestamp>,
    /// The first moment no longer in force; absent where there is no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(super) until: Option<Timestamp>,
}

/// Whether something counts now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum ForceState {
    /// It can be activated.
    Eligible,
    /// It is over.
    Expired,
    /// It counts.
    InForce,
    /// It has not begun.
    NotStarted,
    /// It counts again when somebody resumes it.
    Suspended,
    /// It counts no more, for nobody used it, until the offer is written again.
    Unused,
}

/// A role definition and whether it can be delegated.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CatalogueRole {
    pub(super) role_name: String,
    pub(super) delegable: bool,
    /// Why it cannot be delegated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<CatalogueReason>,
    /// What it gives beyond management; nothing for most roles.
    pub(super) exposure: Vec<CatalogueExposure>,
}

/// Why a role cannot be delegated.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CatalogueReason {
    /// `owner`, `data_action`, `restricted_action` or `constrained`: the last one can be delegated together with the roles that it may
    /// hand on.
    pub(super) rule: &'static str,
    /// The action at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) action: Option<String>,
    /// The same for people.
    pub(super) message: String,
}

/// What a role gives of one class.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct CatalogueExposure {
    pub(super) class: Exposure,
    /// How many of the known actions of this class the role grants.
    pub(super) actions: usize,
    /// One of them.
    pub(super) example: &'static str,
}

/// Changes of delegations, oldest first.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Changes {
    pub(super) value: Vec<Item<Change>>,
    /// What to ask after next time: everything up to here was considered.
    pub(super) after: u64,
    /// The history that the revisions belong to; another one means that the store was restored, and revisions begin to mean something
    /// else.
    pub(super) epoch: String,
    /// Whether there is nothing between what was asked after and what is here that was forgotten for its age.
    pub(super) complete: bool,
    /// The next page, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_link: Option<String>,
}

/// Something that happened to a delegation.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Change {
    /// The revision of the store that it happened at.
    pub(super) revision: u64,
    pub(super) what: ChangeKind,
    #[schemars(with = "String")]
    pub(super) at: Timestamp,
    pub(super) caller: Actor,
    pub(super) customer: Party,
    pub(super) managing_tenant: Party,
    pub(super) subscription_id: SubscriptionId,
    /// The delegated scope.
    pub(super) scope: String,
    /// The resource id of the registration assignment.
    pub(super) delegation_id: String,
    /// Name of the offer.
    pub(super) offer: String,
    /// Joins it with the request that did it.
    pub(super) correlation_id: String,
}

/// What can happen to a delegation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum ChangeKind {
    /// Nobody used it for as long as its offer says: what it grants at any time counts no more, until the offer is written again.
    Lapsed,
    /// It was made.
    Registered,
    /// The day has come that the customer wanted to look at it again.
    ReviewDue,
    /// It was removed.
    Unregistered,
    /// Its offer was replaced.
    Updated,
}

/// Who did something.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Actor {
    pub(super) tenant_id: TenantId,
    pub(super) object_id: ObjectId,
    /// Display name.
    pub(super) name: String,
}

/// A tenant.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Party {
    pub(super) tenant_id: TenantId,
    /// Display name, where the gateway knows one.
    pub(super) name: Option<String>,
}

/// What would be decided about a request, and why.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explanation {
    /// `allow` or `deny`.
    #[schemars(with = "String")]
    pub(super) outcome: Verdict,
    /// The reason code of the refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    /// The smallest change that would help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
    /// What the client would be answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<Refusal>,
    /// The actions it asks for.
    pub(super) actions: Vec<String>,
    /// The scope it asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scope: Option<String>,
    /// The ten checks, in their order and in the form of a decision record.
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub(super) checks: Vec<CheckEntry>,
}

/// An error answer.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refusal {
    /// HTTP status.
    pub(super) status: u16,
    /// The error code in the body.
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// Who can touch a scope, and through what.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AccessReport {
    /// As asked.
    pub(super) scope: String,
    /// Who owns it.
    pub(super) customer: Party,
    /// What else is left out: nothing, or everything but what the caller's own tenant holds, or the caller itself.
    pub(super) shows: Shows,
    /// What was used since then is known; nothing is known to be unused for longer.
    #[schemars(with = "String")]
    pub(super) used_since: Timestamp,
    pub(super) value: Vec<Access>,
    /// Who may do what was asked about, now; only with `action`. It begins on the page that `value` ends on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) permitted: Option<Vec<Holder>>,
    /// The next page, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_link: Option<String>,
}

/// How much of a report the caller may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Shows {
    /// All of it.
    Everything,
    /// What the caller and its groups hold.
    Oneself,
    /// What people of the caller's tenant hold.
    OwnTenant,
}

/// A role that somebody holds.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Access {
    pub(super) holder: Holder,
    /// Of a group: who is in it, as far as the gateway knows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) members: Vec<Holder>,
    pub(super) role_definition_id: RoleId,
    pub(super) role_name: String,
    pub(super) through: Through,
    /// Name of the offer, where it was delegated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) offer: Option<String>,
    pub(super) kept_in: Kept,
    /// Where the role is held.
    pub(super) scope: String,
    /// Whether it reaches all of the scope that was asked about.
    pub(super) reach: Reach,
    #[serde(flatten)]
    pub(super) force: Force,
    /// When it last permitted something; null: not since `usedSince`.
    #[schemars(with = "Option<String>")]
    pub(super) last_used: Option<Timestamp>,
    /// What the role gives beyond management.
    pub(super) exposure: Vec<Exposure>,
    /// Whether it permits what was asked about, now; only with `action`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) permits: Option<bool>,
}

/// A user, group or service principal.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Holder {
    pub(super) tenant_id: TenantId,
    /// Display name, where the gateway knows one.
    pub(super) tenant_name: Option<String>,
    pub(super) object_id: ObjectId,
    /// Display name; the object id where the gateway knows none.
    pub(super) name: String,
    /// What it is, where the gateway knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<PrincipalKind>,
}

/// How somebody came to hold a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Through {
    /// An eligible role was activated.
    Activation,
    /// The customer delegated it.
    Delegation,
    /// It was assigned inside the tenant that owns the scope.
    RoleAssignment,
}

/// How much of a scope a role reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum Reach {
    /// Something below it.
    Part,
    /// All of it.
    Whole,
}
