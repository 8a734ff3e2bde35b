//! Documents as answers of the management plane.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::documents::{
    Approver, Authorization, EligibleAuthorization, JustInTimePolicy, MarketplaceDefinition, Plan, RegistrationAssignment,
    RegistrationDefinition, Term,
};
use super::{ASSIGNMENT_TYPE, DEFINITION_TYPE, ManagedServicesVersion};
use crate::clock::Timestamp;
use crate::ids::{PrincipalId, TenantId};

/// How far the making of a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are Azure's and say all there is")]
pub enum ProvisioningState {
    Accepted,
    Canceled,
    Created,
    Creating,
    Deleted,
    Deleting,
    Failed,
    NotSpecified,
    Ready,
    Running,
    Succeeded,
    Updating,
}

impl ProvisioningState {
    /// As it is written in an answer.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::Canceled => "Canceled",
            Self::Created => "Created",
            Self::Creating => "Creating",
            Self::Deleted => "Deleted",
            Self::Deleting => "Deleting",
            Self::Failed => "Failed",
            Self::NotSpecified => "NotSpecified",
            Self::Ready => "Ready",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Updating => "Updating",
        }
    }
}

/// What an answer needs beside the document.
#[derive(Clone, Copy)]
#[expect(missing_debug_implementations, reason = "a function cannot be printed, and nobody prints the rest")]
pub struct ArmView<'a> {
    /// The API version of the request: what it does not know is left out.
    pub version: ManagedServicesVersion,
    /// The tenant that the subscription belongs to now.
    pub home_tenant: TenantId,
    /// The display name of a tenant; without one the member is left out.
    pub tenant_name: &'a dyn Fn(TenantId) -> Option<Arc<str>>,
}

impl RegistrationDefinition {
    /// The definition as a resource.
    #[must_use]
    pub fn to_arm(&self, view: &ArmView<'_>, state: ProvisioningState) -> Value {
        let mut resource = Map::new();
        resource.insert("properties".to_owned(), Value::Object(self.properties(view, state)));
        insert(&mut resource, "plan", self.plan.as_ref().map(plan));
        resource.insert("id".to_owned(), self.key().to_string().into());
        resource.insert("name".to_owned(), self.name.to_string().into());
        resource.insert("type".to_owned(), DEFINITION_TYPE.into());
        resource.insert("systemData".to_owned(), system_data((self.created_at, self.created_by), (self.updated_at, self.updated_by)));
        Value::Object(resource)
    }

    fn properties(&self, view: &ArmView<'_>, state: ProvisioningState) -> Map<String, Value> {
        let name = |tenant| (view.tenant_name)(tenant).map(|name| text(&name));
        let mut properties = Map::new();
        properties.insert("registrationDefinitionName".to_owned(), text(&self.offer_name));
        insert(&mut properties, "description", self.description.as_ref().map(|description| text(description)));
        properties.insert("managedByTenantId".to_owned(), self.managing_tenant.to_string().into());
        insert(&mut properties, "managedByTenantName", name(self.managing_tenant));
        properties.insert("manageeTenantId".to_owned(), view.home_tenant.to_string().into());
        insert(&mut properties, "manageeTenantName", name(view.home_tenant));
        properties.insert("authorizations".to_owned(), self.authorizations.iter().map(authorization).collect());
        if view.version.allows_eligible() && !self.eligible.is_empty() {
            let list = self.eligible.iter().map(|item| eligible(item, view.version)).collect();
            properties.insert("eligibleAuthorizations".to_owned(), list);
        }
        if view.version.is_extended() && !self.term.is_open() {
            properties.insert("term".to_owned(), term(&self.term));
        }
        properties.insert("provisioningState".to_owned(), state.as_str().into());
        properties
    }
}

impl MarketplaceDefinition {
    /// The plan as a resource below `above`, which is empty for the tenant.
    #[must_use]
    pub fn to_arm(&self, version: ManagedServicesVersion, above: &str) -> Value {
        let name = self.plan.identifier();
        let mut properties = Map::new();
        properties.insert("managedByTenantId".to_owned(), self.managing_tenant.to_string().into());
        properties.insert("authorizations".to_owned(), self.authorizations.iter().map(authorization).collect());
        if version.allows_eligible() && !self.eligible.is_empty() {
            let list = self.eligible.iter().map(|item| eligible(item, version)).collect();
            properties.insert("eligibleAuthorizations".to_owned(), list);
        }
        properties.insert("offerDisplayName".to_owned(), text(&self.plan.product));
        properties.insert("publisherDisplayName".to_owned(), text(&self.plan.publisher));
        properties.insert("planDisplayName".to_owned(), text(&self.plan.name));
        json!({
            "properties": properties,
            "plan": plan(&self.plan),
            "id": format!("{above}/providers/{MARKETPLACE_TYPE}/{name}"),
            "name": name,
            "type": MARKETPLACE_TYPE,
        })
    }
}

const MARKETPLACE_TYPE: &str = "Microsoft.ManagedServices/marketplaceRegistrationDefinitions";

impl RegistrationAssignment {
    /// The assignment as a resource, with its definition when `$expandRegistrationDefinition=true` asked for it.
    #[must_use]
    pub fn to_arm(&self, view: &ArmView<'_>, state: ProvisioningState, expanded: Option<&RegistrationDefinition>) -> Value {
        let mut properties = Map::new();
        properties.insert("registrationDefinitionId".to_owned(), self.definition.to_string().into());
        properties.insert("provisioningState".to_owned(), state.as_str().into());
        let expanded = expanded.map(|definition| definition.to_arm(view, ProvisioningState::Succeeded));
        insert(&mut properties, "registrationDefinition", expanded);
        json!({
            "properties": properties,
            "id": self.id(),
            "name": self.name.to_string(),
            "type": ASSIGNMENT_TYPE,
            "systemData": system_data((self.created_at, self.created_by), (self.created_at, self.created_by)),
        })
    }
}

fn insert(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value);
    }
}

fn text(text: &str) -> Value {
    Value::from(text)
}

/// `createdByType` is left out: the documents keep who it was, not what.
fn system_data(created: (Timestamp, PrincipalId), modified: (Timestamp, PrincipalId)) -> Value {
    json!({
        "createdBy": created.1.object.to_string(),
        "createdAt": created.0.to_string(),
        "lastModifiedBy": modified.1.object.to_string(),
        "lastModifiedAt": modified.0.to_string(),
    })
}

fn plan(plan: &Plan) -> Value {
    json!({ "name": &*plan.name, "publisher": &*plan.publisher, "product": &*plan.product, "version": &*plan.version })
}

fn principal(id: impl fmt::Display, display_name: Option<&Arc<str>>) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("principalId".to_owned(), id.to_string().into());
    insert(&mut object, "principalIdDisplayName", display_name.map(|name| text(name)));
    object
}

fn authorization(authorization: &Authorization) -> Value {
    let mut object = principal(authorization.principal, authorization.display_name.as_ref());
    object.insert("roleDefinitionId".to_owned(), authorization.role.to_string().into());
    if !authorization.delegated_roles.is_empty() {
        let ids = authorization.delegated_roles.iter().map(ToString::to_string).collect();
        object.insert("delegatedRoleDefinitionIds".to_owned(), ids);
    }
    Value::Object(object)
}

fn eligible(eligible: &EligibleAuthorization, version: ManagedServicesVersion) -> Value {
    let mut object = principal(eligible.principal, eligible.display_name.as_ref());
    object.insert("roleDefinitionId".to_owned(), eligible.role.to_string().into());
    object.insert("justInTimeAccessPolicy".to_owned(), policy(&eligible.policy, version));
    Value::Object(object)
}

fn policy(policy: &JustInTimePolicy, version: ManagedServicesVersion) -> Value {
    let approver = |approver: &Approver| Value::Object(principal(approver.principal, approver.display_name.as_ref()));
    let mut object = Map::new();
    object.insert("multiFactorAuthProvider".to_owned(), policy.mfa.as_str().into());
    object.insert("maximumActivationDuration".to_owned(), iso_8601(policy.duration_max).into());
    object.insert("managedByTenantApprovers".to_owned(), policy.approvers.iter().map(approver).collect());
    if version.is_extended() && !policy.customer_approvers.is_empty() {
        object.insert("customerApprovers".to_owned(), policy.customer_approvers.iter().map(approver).collect());
    }
    Value::Object(object)
}

/// `PT1H30M`, without parts that are zero.
fn iso_8601(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [(seconds / 3_600, 'H'), (seconds / 60 % 60, 'M'), (seconds % 60, 'S')];
    let written: String = parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if written.is_empty() { "PT0S".to_owned() } else { format!("PT{written}") }
}

fn term(term: &Term) -> Value {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string().into());
    let mut object = Map::new();
    insert(&mut object, "notBefore", time(term.not_before));
    insert(&mut object, "notAfter", time(term.not_after));
    insert(&mut object, "reviewBy", time(term.review_by));
    insert(&mut object, "unusedDays", term.unused_days.map(Value::from));
    Value::Object(object)
}
