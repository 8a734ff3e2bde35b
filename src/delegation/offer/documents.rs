//! The documents, typed. Their serde form is what is stored.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ACTIVATION_MAX, stored};
use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::ids::{AssignmentId, DefinitionId, ObjectId, PrincipalId, RoleId, SubscriptionId, TenantId};

/// An offer: what a service provider's principals would be allowed to do. It grants nothing until it is assigned to a scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationDefinition {
    /// The subscription that the definition lives in; it can be assigned only there.
    pub subscription: SubscriptionId,
    /// Its name in that subscription.
    pub name: DefinitionId,
    /// What people call it; unique among the offers of one scope.
    pub offer_name: Arc<str>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Arc<str>>,
    /// The service provider. It never changes.
    pub managing_tenant: TenantId,
    /// Who may do what at any time.
    #[serde(default)]
    pub authorizations: Vec<Authorization>,
    /// Who may do what after activating it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eligible: Vec<EligibleAuthorization>,
    /// The marketplace plan it was bought with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Term::is_open")]
    pub term: Term,
    /// When it was made.
    #[serde(with = "stored::text")]
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: PrincipalId,
    /// When it was last written.
    #[serde(with = "stored::text")]
    pub updated_at: Timestamp,
    /// Who last wrote it.
    pub updated_by: PrincipalId,
}

/// A role for a principal of the managing tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorization {
    /// User, group or service principal.
    pub principal: ObjectId,
    /// What the offer calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<Arc<str>>,
    /// What it may do.
    pub role: RoleId,
    /// For User Access Administrator, and only for it: the roles it may assign to the customer's managed identities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegated_roles: Vec<RoleId>,
}

/// A role that a principal of the managing tenant has to activate for a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EligibleAuthorization {
    /// User or group; a service principal only by our own API version.
    pub principal: ObjectId,
    /// What the offer calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<Arc<str>>,
    /// What it may do while it is active.
    pub role: RoleId,
    /// What an activation needs.
    #[serde(default)]
    pub policy: JustInTimePolicy,
}

/// What an activation needs and how long it may last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JustInTimePolicy {
    /// Proof of a second factor.
    #[serde(default)]
    pub mfa: Mfa,
    /// Longest activation, from 30 minutes to 8 hours, in whole seconds.
    #[serde(default = "activation_max", rename = "duration_max_s", with = "stored::seconds")]
    pub duration_max: Duration,
    /// Users and groups of the managing tenant of whom one must agree; when empty, nobody has to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<Approver>,
    /// Users and groups of the customer's tenant of whom one must agree as well; when empty, nobody has to. Our own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub customer_approvers: Vec<Approver>,
}

const fn activation_max() -> Duration {
    ACTIVATION_MAX
}

impl Default for JustInTimePolicy {
    fn default() -> Self {
        Self { mfa: Mfa::None, duration_max: ACTIVATION_MAX, approvers: Vec::new(), customer_approvers: Vec::new() }
    }
}

impl JustInTimePolicy {
    /// Whether both ask for the same. Names and order of approvers do not count.
    #[must_use]
    pub fn asks_the_same_as(&self, other: &Self) -> bool {
        let same = |left: &[Approver], right: &[Approver]| ids(left) == ids(right);
        self.mfa == other.mfa
            && self.duration_max == other.duration_max
            && same(&self.approvers, &other.approvers)
            && same(&self.customer_approvers, &other.customer_approvers)
    }
}

fn ids(approvers: &[Approver]) -> Vec<ObjectId> {
    let mut ids: Vec<_> = approvers.iter().map(|approver| approver.principal).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Whether an activation needs a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mfa {
    /// As `Azure` asks for it.
    Azure,
    /// No.
    #[default]
    None,
}

impl Mfa {
    /// As it is written in a body.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Azure => "Azure",
            Self::None => "None",
        }
    }
}

/// A user or group that may agree to an activation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approver {
    /// Its object id.
    pub principal: ObjectId,
    /// What the offer calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<Arc<str>>,
}

/// A marketplace plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Of the plan.
    pub name: Arc<str>,
    /// Id of the publisher.
    pub publisher: Arc<str>,
    /// Code of the product.
    pub product: Arc<str>,
    /// Version of the plan.
    pub version: Arc<str>,
}

impl Plan {
    /// What it is found by: `{publisher}.{product}.{plan}.{version}`.
    #[must_use]
    pub fn identifier(&self) -> String {
        format!("{}.{}.{}.{}", self.publisher, self.product, self.name, self.version)
    }
}

/// A plan with what it authorizes.
#[derive(Debug, Clone)]
pub struct MarketplaceDefinition {
    /// The plan.
    pub plan: Plan,
    /// The service provider.
    pub managing_tenant: TenantId,
    /// Who may do what at any time.
    pub authorizations: Vec<Authorization>,
    /// Who may do what after activating it.
    pub eligible: Vec<EligibleAuthorization>,
}

/// When an offer ends by itself. Our own: Azure's delegations last until somebody removes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Term {
    /// First moment in force.
    #[serde(default, with = "stored::optional_text", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// First moment no longer in force.
    #[serde(default, with = "stored::optional_text", skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// When the customer wants to look at it again.
    #[serde(default, with = "stored::optional_text", skip_serializing_if = "Option::is_none")]
    pub review_by: Option<Timestamp>,
    /// Days without use after which it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused_days: Option<u16>,
}

impl Term {
    /// Whether nothing ends it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

/// A definition bound to a scope: from then on the offer's principals have access there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationAssignment {
    /// A subscription or a resource group.
    #[serde(with = "stored::scope")]
    pub scope: Scope,
    /// Its name on that scope.
    pub name: AssignmentId,
    /// What is bound.
    pub definition: DefinitionKey,
    /// When it was made.
    #[serde(with = "stored::text")]
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: PrincipalId,
}

/// Subscription and name of a definition; prints as its resource id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DefinitionKey {
    /// Where it lives.
    pub subscription: SubscriptionId,
    /// Its name there.
    pub name: DefinitionId,
}

impl fmt::Display for DefinitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/subscriptions/{}/providers/{}/{}", self.subscription, super::DEFINITION_TYPE, self.name)
    }
}

impl RegistrationDefinition {
    /// Its resource id, for keys and for printing.
    #[must_use]
    pub const fn key(&self) -> DefinitionKey {
        DefinitionKey { subscription: self.subscription, name: self.name }
    }
}

impl RegistrationAssignment {
    /// Its resource id: `{scope}/providers/Microsoft.ManagedServices/registrationAssignments/{name}`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/providers/{}/{}", self.scope, super::ASSIGNMENT_TYPE, self.name)
    }
}

/// What a directory knows an object id as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// The registration of an application. It cannot sign in; its service principals can.
    Application,
    /// A security group.
    Group,
    /// A service principal or managed identity.
    ServicePrincipal,
    /// A person.
    User,
}

impl PrincipalKind {
    /// As people say it, with its article.
    #[must_use]
    pub const fn described(self) -> &'static str {
        match self {
            Self::Application => "an application object",
            Self::Group => "a group",
            Self::ServicePrincipal => "a service principal",
            Self::User => "a user",
        }
    }
}
