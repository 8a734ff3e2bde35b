//! The rows of the store and the types they stand for. One kind, one form of name, one type.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use super::account::{
    Account, CO_ADMINISTRATORS_MAX, CloudState, CloudSubscription, Member, Person, Phase, SignUp, TRUSTED_ISSUERS_MAX, TrustedIssuer,
};
use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::delegation::offer::{RegistrationAssignment, RegistrationDefinition};
use crate::ids::{
    ActivationId, AssignmentId, DefinitionId, OperationId, PrincipalId, RoleAssignmentId, RoleId, SessionId, SubscriptionId, TenantId,
};
use crate::json;
use crate::store::{ObjectKey, Write};

/// Something that is kept at run time.
#[derive(Debug, Clone)]
pub enum Entity {
    /// A tenant that signed up.
    Account(Account),
    /// A request to activate an eligible role, and what became of it.
    Activation(Activation),
    /// An offer bound to a scope.
    Assignment(RegistrationAssignment),
    /// What an account has of the private cloud.
    CloudSubscription(CloudSubscription),
    /// An offer.
    Definition(RegistrationDefinition),
    /// A template that was deployed.
    Deployment(Deployment),
    /// Something that happened to a delegation.
    Event(DelegationEvent),
    /// A change under way.
    Operation(StartedOperation),
    /// A role of a principal in the tenant that owns the scope.
    RoleAssignment(RoleAssignment),
    /// A sign-up under way.
    SignUp(Box<SignUp>),
    /// What was noticed about a delegation as time went by.
    Tenure(Tenure),
    /// How far a webhook has come.
    WebhookCursor(WebhookCursor),
}

/// What the name of a row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `account`, `{tenant}`.
    Account(TenantId),
    /// `activation`, `{subscription}/{id}`.
    Activation(SubscriptionId, ActivationId),
    /// `registration_assignment`, `{scope in lower case}/{id}`.
    Assignment(SubscriptionId, Box<str>, AssignmentId),
    /// `cloud_subscription`, `{subscription}`.
    CloudSubscription(SubscriptionId),
    /// `registration_definition`, `{subscription}/{id}`.
    Definition(SubscriptionId, DefinitionId),
    /// `deployment`, `{scope in lower case}/{name in lower case}`.
    Deployment(SubscriptionId, Box<str>),
    /// `event`, a name that sorts by time.
    Event(Box<str>),
    /// `operation`, `{id}`.
    Operation(OperationId),
    /// `role_assignment`, `{subscription}/{id}`.
    RoleAssignment(SubscriptionId, RoleAssignmentId),
    /// `sign_up`, `{subscription}`.
    SignUp(SubscriptionId),
    /// `tenure`, named as the assignment is.
    Tenure(SubscriptionId, Box<str>, AssignmentId),
    /// `webhook_cursor`, the webhook's name.
    WebhookCursor(Box<str>),
}

/// A request to activate an eligible role. Source: Privileged Identity Management, role assignment schedule requests, 2020-10-01.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// The last segment of its id.
    pub name: ActivationId,
    /// Where the role is to be active: the eligible scope, or below it.
    #[serde(with = "as_text")]
    pub scope: Scope,
    /// The subscription that `scope` lies in.
    pub subscription: SubscriptionId,
    /// The assignment that makes the caller eligible: its scope and name.
    pub assignment: AssignmentId,
    /// Who asked, and gets the role.
    pub principal: PrincipalId,
    /// The display name of who asked.
    pub principal_name: Arc<str>,
    /// The principal that the offer names: the same, or a group that it is in.
    pub eligible: crate::ids::ObjectId,
    /// The role.
    pub role: RoleId,
    /// Why.
    pub justification: Box<str>,
    /// The ticket that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Ticket>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// First moment in force.
    pub from: Timestamp,
    /// First moment no longer in force.
    pub until: Timestamp,
    /// Who has to agree: one of each stage. Nobody has to when it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// What became of it.
    pub status: ActivationStatus,
}

/// One tenant's part of an approval: its first approver who speaks decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// The last segment of its id.
    pub name: ActivationId,
    /// Who may decide: users and groups of one tenant.
    pub approvers: Vec<PrincipalId>,
    /// What was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
}

/// A template that was deployed, and what became of it. Source: Deployments, 2021-04-01.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The last segment of its id, as it was sent.
    pub name: Box<str>,
    /// A subscription or a resource group.
    #[serde(with = "as_text")]
    pub scope: Scope,
    /// The subscription that `scope` is or lies in.
    pub subscription: SubscriptionId,
    /// The last segment of the URL that its end is polled at.
    pub operation: OperationId,
    /// Joins the records of its parts.
    pub correlation_id: Box<str>,
    /// Who deployed it.
    pub caller: PrincipalId,
    /// `Incremental`.
    pub mode: Box<str>,
    /// Where Azure would keep it.
    pub location: Box<str>,
    /// When it began.
    pub started_at: Timestamp,
    /// When the gateway that carries it out was last known to do so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What became of it.
    pub state: DeploymentState,
    /// `{name: {type, value}}`, without secure values.
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// `{name: {type, value}}`, without secure values.
    pub outputs: serde_json::Map<String, serde_json::Value>,
    /// Its parts, in the order in which they were asked for.
    pub resources: Vec<DeployedResource>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<serde_json::Value>,
}

/// One part of a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeployedResource {
    /// Full resource id.
    pub id: Box<str>,
    /// Resource type.
    pub kind: Box<str>,
    /// What became of it.
    pub state: DeploymentState,
    /// Why it failed: `{code, message}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<serde_json::Value>,
}

/// What became of a deployment or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// Ended before all of it was asked for: somebody wanted that, or the gateway was stopped.
    Canceled,
    /// A part was refused or failed.
    Failed,
    /// It has begun.
    Running,
    /// All of it is there.
    Succeeded,
}

/// A ticket of another system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Its number there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<Box<str>>,
    /// The system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<Box<str>>,
}

/// What became of a request to activate a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivationStatus {
    /// Taken back before anybody decided.
    Canceled,
    /// An approver said no.
    Denied,
    /// In force in its time.
    Granted,
    /// An approver has to decide.
    PendingApproval,
    /// Ended before its time.
    Revoked,
}

/// The decision of an approver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Who decided.
    pub by: PrincipalId,
    /// The display name.
    pub by_name: Box<str>,
    /// Whether the answer was yes.
    pub approved: bool,
    /// When.
    pub at: Timestamp,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub justification: Option<Box<str>>,
}

/// A role of a principal inside the tenant that owns the scope. Source: Role assignments, 2022-04-01.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleAssignment {
    /// The last segment of its id.
    pub name: RoleAssignmentId,
    /// Where.
    #[serde(with = "as_text")]
    pub scope: Scope,
    /// The subscription that `scope` is or lies in.
    pub subscription: SubscriptionId,
    /// Who: a principal of the tenant that owns the subscription.
    pub principal: PrincipalId,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal_kind: Option<super::PrincipalKind>,
    /// What it may do.
    pub role: RoleId,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Box<str>>,
    /// The managed identity that a managing tenant made this for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegated_managed_identity: Option<Box<str>>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it.
    pub created_by: PrincipalId,
}

/// A long-running operation that the gateway itself carries out: the change is in the store, and the operation has succeeded
/// once no node can decide without it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedOperation {
    /// The last segment of its URL.
    pub id: OperationId,
    /// Who started it, and may poll it to the end.
    pub starter: PrincipalId,
    /// Whose subscription it changes.
    pub customer: TenantId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// What it makes, replaces or removes: a full resource id.
    pub resource: Box<str>,
    /// Whether the resource is gone afterwards.
    pub removes: bool,
    /// When it was started.
    pub started_at: Timestamp,
}

/// What happened to a delegation. Source: Azure Lighthouse, tenant activity log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelegationEvent {
    /// The name of its row, which sorts by time.
    pub name: Box<str>,
    /// What happened.
    pub what: EventKind,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub caller: PrincipalId,
    /// The caller's display name.
    pub caller_name: Box<str>,
    /// The tenant that owns the scope.
    pub customer: TenantId,
    /// The service provider.
    pub managing_tenant: TenantId,
    /// The subscription.
    pub subscription: SubscriptionId,
    /// The delegated scope.
    #[serde(with = "as_text")]
    pub scope: Scope,
    /// The assignment's full resource id.
    pub delegation: Box<str>,
    /// The offer's name.
    pub offer: Arc<str>,
    /// The request that did it.
    pub correlation_id: Box<str>,
    /// Principals of the managing tenant that the offer names.
    pub principals: Vec<crate::ids::ObjectId>,
}

/// What can happen to a delegation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Nobody used it for as long as its offer says: what it grants at any time counts no more.
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

/// What the gateway noticed about a delegation as time went by. It counts while neither the delegation nor its offer was written since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenure {
    /// The scope of the assignment.
    #[serde(with = "as_text")]
    pub scope: Scope,
    /// The name of the assignment.
    pub assignment: AssignmentId,
    /// When it last permitted something, to the hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
    /// Since when it counts no more for want of use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lapsed_at: Option<Timestamp>,
    /// The date of the review that was told of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_told: Option<Timestamp>,
}

/// Up to where the events of delegations were delivered to a webhook, and which gateway delivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookCursor {
    /// Its name.
    pub webhook: Box<str>,
    /// The revision of the last event that was delivered, or the one that the webhook began at.
    pub revision: u64,
    /// The name of that event; those of one revision are delivered in the order of their names.
    #[serde(default)]
    pub event: Box<str>,
    /// The run of the gateway that delivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<SessionId>,
    /// Until when no other one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
}

/// A row that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEntity {
    /// The body does not have the form of its kind.
    #[error("its body is not of this kind: {0}")]
    Body(String),
    /// The kind is unknown: a newer version wrote it.
    #[error("this version does not know its kind")]
    Kind,
    /// The name does not have the form of its kind.
    #[error("its name is not of this kind")]
    Name,
}

const ACCOUNT: &str = "account";
const ACTIVATION: &str = "activation";
const ASSIGNMENT: &str = "registration_assignment";
const CLOUD_SUBSCRIPTION: &str = "cloud_subscription";
const DEFINITION: &str = "registration_definition";
const DEPLOYMENT: &str = "deployment";
const EVENT: &str = "event";
const OPERATION: &str = "operation";
const ROLE_ASSIGNMENT: &str = "role_assignment";
const SIGN_UP: &str = "sign_up";
const TENURE: &str = "tenure";
const WEBHOOK_CURSOR: &str = "webhook_cursor";

impl Entity {
    pub(super) fn read(key: &ObjectKey, body: &str) -> Result<Self, NotAnEntity> {
        fn parse<T: serde::de::DeserializeOwned>(body: &str) -> Result<T, NotAnEntity> {
            serde_json::from_str(body).map_err(|cause| NotAnEntity::Body(cause.to_string()))
        }
        match &*key.kind {
            ACCOUNT => parse(body).map(Self::Account),
            ACTIVATION => parse(body).map(Self::Activation),
            ASSIGNMENT => parse(body).map(Self::Assignment),
            CLOUD_SUBSCRIPTION => parse(body).map(Self::CloudSubscription),
            DEFINITION => parse(body).map(Self::Definition),
            DEPLOYMENT => parse(body).map(Self::Deployment),
            EVENT => parse(body).map(Self::Event),
            OPERATION => parse(body).map(Self::Operation),
            ROLE_ASSIGNMENT => parse(body).map(Self::RoleAssignment),
            SIGN_UP => parse(body).map(|sign_up| Self::SignUp(Box::new(sign_up))),
            TENURE => parse(body).map(Self::Tenure),
            WEBHOOK_CURSOR => parse(body).map(Self::WebhookCursor),
            _ => Err(NotAnEntity::Kind),
        }
    }

    /// The subscription it lies in; none for what belongs to the gateway as a whole.
    #[must_use]
    pub fn subscription(&self) -> Option<SubscriptionId> {
        match self {
            Self::Activation(activation) => Some(activation.subscription),
            Self::Assignment(assignment) => assignment.scope.subscription_id(),
            Self::CloudSubscription(cloud) => Some(cloud.id),
            Self::Definition(definition) => Some(definition.subscription),
            Self::Deployment(deployment) => Some(deployment.subscription),
            Self::RoleAssignment(assignment) => Some(assignment.subscription),
            Self::Tenure(tenure) => tenure.scope.subscription_id(),
            // A sign-up belongs to no subscription yet: it must change nothing in one.
            Self::Account(_) | Self::Event(_) | Self::Operation(_) | Self::SignUp(_) | Self::WebhookCursor(_) => None,
        }
    }

    /// What its row is called.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        match self {
            Self::Account(account) => account_key(account.id),
            Self::Activation(activation) => activation_key(activation.subscription, activation.name),
            Self::Assignment(assignment) => assignment_key(&assignment.scope, assignment.name),
            Self::CloudSubscription(cloud) => cloud_subscription_key(cloud.id),
            Self::Definition(definition) => definition_key(definition.subscription, definition.name),
            Self::Deployment(deployment) => deployment_key(&deployment.scope, &deployment.name),
            Self::Event(event) => key(EVENT, event.name.clone()),
            Self::Operation(operation) => operation_key(operation.id),
            Self::RoleAssignment(assignment) => role_assignment_key(assignment.subscription, assignment.name),
            Self::SignUp(sign_up) => sign_up_key(sign_up.subscription.id),
            Self::Tenure(tenure) => tenure_key(&tenure.scope, tenure.assignment),
            Self::WebhookCursor(cursor) => key(WEBHOOK_CURSOR, cursor.webhook.clone()),
        }
    }

    /// The row that keeps it.
    #[must_use]
    pub fn into_write(self) -> Write {
        let body = match &self {
            Self::Account(account) => json::text(account),
            Self::Activation(activation) => json::text(activation),
            Self::Assignment(assignment) => json::text(assignment),
            Self::CloudSubscription(cloud) => json::text(cloud),
            Self::Definition(definition) => json::text(definition),
            Self::Deployment(deployment) => json::text(deployment),
            Self::Event(event) => json::text(event),
            Self::Operation(operation) => json::text(operation),
            Self::RoleAssignment(assignment) => json::text(assignment),
            Self::SignUp(sign_up) => json::text(sign_up),
            Self::Tenure(tenure) => json::text(tenure),
            Self::WebhookCursor(cursor) => json::text(cursor),
        };
        Write { key: self.key(), body: Some(body.into()) }
    }
}

/// The row of an account.
#[must_use]
pub fn account_key(id: TenantId) -> ObjectKey {
    key(ACCOUNT, id.to_string().into())
}

/// The row of a subscription of the private cloud.
#[must_use]
pub fn cloud_subscription_key(id: SubscriptionId) -> ObjectKey {
    key(CLOUD_SUBSCRIPTION, id.to_string().into())
}

/// The row of a sign-up, by the subscription to come.
#[must_use]
pub fn sign_up_key(id: SubscriptionId) -> ObjectKey {
    key(SIGN_UP, id.to_string().into())
}

/// The row of an activation.
#[must_use]
pub fn activation_key(subscription: SubscriptionId, name: ActivationId) -> ObjectKey {
    key(ACTIVATION, format!("{subscription}/{name}").into())
}

/// The row of a role assignment.
#[must_use]
pub fn role_assignment_key(subscription: SubscriptionId, name: RoleAssignmentId) -> ObjectKey {
    key(ROLE_ASSIGNMENT, format!("{subscription}/{name}").into())
}

/// The row of an assignment.
#[must_use]
pub fn assignment_key(scope: &Scope, name: AssignmentId) -> ObjectKey {
    key(ASSIGNMENT, format!("{}/{name}", scope.to_string().to_ascii_lowercase()).into())
}

/// The row of what was noticed about a delegation.
#[must_use]
pub fn tenure_key(scope: &Scope, assignment: AssignmentId) -> ObjectKey {
    key(TENURE, assignment_key(scope, assignment).name)
}

/// The row of a definition.
#[must_use]
pub fn definition_key(subscription: SubscriptionId, name: DefinitionId) -> ObjectKey {
    key(DEFINITION, format!("{subscription}/{name}").into())
}

/// The row of a deployment; names are compared without case.
#[must_use]
pub fn deployment_key(scope: &Scope, name: &str) -> ObjectKey {
    key(DEPLOYMENT, format!("{scope}/{name}").to_ascii_lowercase().into())
}

/// The row of an operation.
#[must_use]
pub fn operation_key(id: OperationId) -> ObjectKey {
    key(OPERATION, id.to_string().into())
}

/// The row of an event.
#[must_use]
pub fn event_key(name: &str) -> ObjectKey {
    key(EVENT, name.into())
}

/// A row that is no more.
#[must_use]
pub const fn removal(key: ObjectKey) -> Write {
    Write { key, body: None }
}

fn key(kind: &str, name: Box<str>) -> ObjectKey {
    ObjectKey { kind: kind.into(), name }
}

impl Kind {
    pub(super) fn of(key: &ObjectKey) -> Result<Self, NotAnEntity> {
        match &*key.kind {
            ACCOUNT => key.name.parse().map(Self::Account).or(Err(NotAnEntity::Name)),
            CLOUD_SUBSCRIPTION => key.name.parse().map(Self::CloudSubscription).or(Err(NotAnEntity::Name)),
            SIGN_UP => key.name.parse().map(Self::SignUp).or(Err(NotAnEntity::Name)),
            ACTIVATION => in_subscription(&key.name).map(|(subscription, id)| Self::Activation(subscription, id)),
            ASSIGNMENT => assignment(&key.name).map(|(subscription, scope, id)| Self::Assignment(subscription, scope, id)),
            TENURE => assignment(&key.name).map(|(subscription, scope, id)| Self::Tenure(subscription, scope, id)),
            DEFINITION => in_subscription(&key.name).map(|(subscription, id)| Self::Definition(subscription, id)),
            ROLE_ASSIGNMENT => in_subscription(&key.name).map(|(subscription, id)| Self::RoleAssignment(subscription, id)),
            DEPLOYMENT => deployment(&key.name),
            EVENT => Ok(Self::Event(key.name.clone())),
            OPERATION => key.name.parse().map(Self::Operation).or(Err(NotAnEntity::Name)),
            WEBHOOK_CURSOR => Ok(Self::WebhookCursor(key.name.clone())),
            _ => Err(NotAnEntity::Kind),
        }
    }
}

fn assignment(name: &str) -> Result<(SubscriptionId, Box<str>, AssignmentId), NotAnEntity> {
    let (scope, id) = name.rsplit_once('/').ok_or(NotAnEntity::Name)?;
    let subscription = Scope::parse(scope).ok().and_then(|scope| scope.subscription_id());
    Ok((subscription.ok_or(NotAnEntity::Name)?, scope.into(), id.parse().or(Err(NotAnEntity::Name))?))
}

fn deployment(name: &str) -> Result<Kind, NotAnEntity> {
    let (scope, _) = name.rsplit_once('/').ok_or(NotAnEntity::Name)?;
    let subscription = Scope::parse(scope).ok().and_then(|scope| scope.subscription_id());
    Ok(Kind::Deployment(subscription.ok_or(NotAnEntity::Name)?, name.into()))
}

/// `{subscription}/{id}`.
fn in_subscription<I: std::str::FromStr>(name: &str) -> Result<(SubscriptionId, I), NotAnEntity> {
    let (subscription, id) = name.split_once('/').ok_or(NotAnEntity::Name)?;
    Ok((subscription.parse().or(Err(NotAnEntity::Name))?, id.parse().or(Err(NotAnEntity::Name))?))
}

/// A scope as its resource id.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::arm::scope::Scope;

    pub(super) fn serialize<S: Serializer>(scope: &Scope, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(scope)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Scope, D::Error> {
        Scope::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
