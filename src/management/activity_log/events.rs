//! One event: the fields of Azure Monitor's, and in its properties who did it by tenant, role and delegation.
//!
//! Source: Azure Monitor, Activity Logs, List, 2015-04-01, event data.

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::filter::Facts;
use crate::arm::scope::Scope;
use crate::delegation::SourceLocation;
use crate::directory::entity::{DelegationEvent, EventKind};
use crate::directory::{Acquaintance, Directory, shown};
use crate::ids::{PrincipalId, SubscriptionId};
use crate::pipeline::{CheckName, Outcome};
use crate::record::{GrantEntry, PrincipalEntry, Record};

/// What an event is called by its fields, as `$select` may name them.
pub(super) const FIELDS: [&str; 24] = [
    "authorization",
    "caller",
    "category",
    "claims",
    "correlationId",
    "description",
    "eventDataId",
    "eventName",
    "eventTimestamp",
    "httpRequest",
    "id",
    "level",
    "operationId",
    "operationName",
    "properties",
    "resourceGroupName",
    "resourceId",
    "resourceProviderName",
    "resourceType",
    "status",
    "subStatus",
    "submissionTimestamp",
    "subscriptionId",
    "tenantId",
];

/// The members of a token that tell who it was. Source: Azure Monitor, activity log schema, "claims".
const CLAIM_OBJECT_ID: &str = "http://schemas.microsoft.com/identity/claims/objectidentifier";
const CLAIM_TENANT_ID: &str = "http://schemas.microsoft.com/identity/claims/tenantid";

/// What is known of something that was done in a subscription.
pub(super) struct Done<'e> {
    record: &'e Record,
    principal: &'e PrincipalEntry,
    action: &'e str,
    scope: Scope,
    resource_id: &'e str,
    user_principal_name: Option<String>,
    is_tenant_known: bool,
}

impl<'e> Done<'e> {
    /// Nothing for a record that lacks what every such record has.
    pub(super) fn new(record: &'e Record, known: Acquaintance<'_>) -> Option<Self> {
        let principal = record.principal.as_ref()?;
        let resource_id = record.scope.as_deref()?;
        let person = known.principal(PrincipalId { tenant: principal.tenant, object: principal.id });
        Some(Self {
            record,
            principal,
            action: record.actions.first()?,
            scope: Scope::parse(resource_id).ok()?,
            resource_id,
            is_tenant_known: known.knows(principal.tenant),
            user_principal_name: person.and_then(|person| person.user_principal_name.as_deref()).map(str::to_owned),
        })
    }

    pub(super) const fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        Facts {
            caller: [&self.principal.name, self.caller()],
            correlation_id: &self.record.correlation_id,
            resource_group: self.scope.resource_group_name(),
            resource_id: self.resource_id,
            resource_provider: self.resource_type().0,
            status: self.status(),
        }
    }

    /// The sign-in name of a person, as Azure shows it; the display name of others, for an object id helps nobody who reads it.
    fn caller(&self) -> &str {
        self.user_principal_name.as_deref().unwrap_or(&self.principal.name)
    }

    fn status(&self) -> &'static str {
        match self.record.status {
            202 => "Accepted",
            0..=399 => "Succeeded",
            _ => "Failed",
        }
    }

    /// Provider and type of the resource.
    fn resource_type(&self) -> (&str, String) {
        let segments: Vec<&str> = self.scope.segments().collect();
        let providers = segments.iter().rposition(|segment| segment.eq_ignore_ascii_case("providers"));
        let block = providers.and_then(|at| segments.get(at + 1..)).unwrap_or_default();
        match block {
            [] if segments.is_empty() => ("Microsoft.Resources", "Microsoft.Resources/subscriptions".to_owned()),
            [] => ("Microsoft.Resources", "Microsoft.Resources/subscriptions/resourceGroups".to_owned()),
            [provider, rest @ ..] => {
                let types = rest.iter().step_by(2).fold((*provider).to_owned(), |all, kind| format!("{all}/{kind}"));
                (provider, types)
            }
        }
    }

    /// The grant that permitted it.
    fn grant(&self) -> Option<&GrantEntry> {
        let role = self.record.checks.iter().find(|check| check.name == CheckName::Role && check.outcome == Outcome::Pass)?;
        role.grants.iter().find(|grant| grant.principal && grant.scope && grant.action && grant.in_force)
    }

    pub(super) fn describe(&self, authority: &str, directory: &Directory) -> Value {
        let record = self.record;
        let (provider, kind) = self.resource_type();
        let subscription = self.scope.subscription_id();
        let role = self.grant().map(|grant| grant.role.as_str());
        let status = self.status();
        let sub_status = sub_status(record.status);
        let mut event = json!({
            "id": format!("{}/events/{}", self.resource_id, record.id),
            "eventDataId": record.id,
            "eventName": text("EndRequest"),
            "category": text("Administrative"),
            "channels": "Operation",
            "level": if status == "Failed" { "Error" } else { "Informational" },
            "eventTimestamp": record.time,
            "submissionTimestamp": record.time,
            "operationId": record.correlation_id,
            "correlationId": record.correlation_id,
            "operationName": text(self.action),
            "status": text(status),
            "subStatus": { "value": sub_status.0, "localizedValue": sub_status.1 },
            "caller": self.caller(),
            "claims": claims(self.principal, self.user_principal_name.as_deref()),
            "authorization": { "action": self.action, "scope": self.resource_id },
            "httpRequest": {
                "clientRequestId": record.client_request_id.as_deref().unwrap_or_default(),
                "clientIpAddress": record.client.rsplit_once(':').map_or(record.client.as_str(), |(address, _port)| address),
                "method": record.method,
                "uri": format!("https://{authority}{}", record.path),
            },
            "resourceId": self.resource_id,
            "resourceGroupName": self.scope.resource_group_name().unwrap_or_default(),
            "resourceProviderName": text(provider),
            "resourceType": text(&kind),
            "subscriptionId": subscription,
            "tenantId": record.customer.as_ref().map(|customer| customer.tenant.to_string()).unwrap_or_default(),
            "description": "",
            "properties": self.properties(subscription, directory),
        });
        if let (Some(role), Some(Value::Object(authorization))) = (role, event.get_mut("authorization")) {
            authorization.insert("role".to_owned(), role.into());
        }
        event
    }

    /// Texts only: that is what clients take them for.
    fn properties(&self, subscription: Option<SubscriptionId>, directory: &Directory) -> Value {
        let record = self.record;
        let mut properties = Map::new();
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                properties.insert(name.to_owned(), value.into());
            }
        };
        put("eventCategory", Some("Administrative".to_owned()));
        put("entity", Some(self.resource_id.to_owned()));
        put("statusCode", Some(record.status.to_string()));
        put("tenantId", Some(self.principal.tenant.to_string()));
        put("tenantName", self.principal.tenant_name.clone().filter(|_| self.is_tenant_known));
        put("principalId", Some(self.principal.id.to_string()));
        put("principalName", Some(self.principal.name.clone()));
        put("principalType", Some(self.principal.kind.clone()));
        put("reason", record.reason.clone());
        if let Some(grant) = self.grant() {
            put("role", Some(grant.role.clone()));
            put("grantedTo", Some(grant.granted_to.clone()));
            put("offer", grant.delegation.clone());
            put("delegationId", delegation_id(grant, subscription, directory));
            put("definedAt", (grant.defined_at.line > 0).then(|| place(&grant.defined_at)));
        }
        Value::Object(properties)
    }
}

/// The id of the delegation that a grant came from. One that is declared has an id as long as it is declared.
fn delegation_id(grant: &GrantEntry, subscription: Option<SubscriptionId>, directory: &Directory) -> Option<String> {
    let offer = grant.delegation.as_deref()?;
    if grant.defined_at.line == 0 {
        return Some(grant.defined_at.file.to_string());
    }
    let subscription = subscription?;
    let declared = shown::assignments(directory, subscription).into_iter().find(|one| {
        let declaration = shown::declaration(directory, subscription, one);
        declaration.is_some_and(|declared| *declared.offer == *offer && declared.scope.to_string().eq_ignore_ascii_case(&grant.granted_on))
    });
    declared.map(|one| one.body.id())
}

fn place(location: &SourceLocation) -> String {
    format!("{}:{}", location.file, location.line)
}

fn text(value: &str) -> Value {
    json!({ "value": value, "localizedValue": value })
}

fn sub_status(status: u16) -> (String, String) {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    (reason.split(' ').collect(), format!("{reason} (HTTP Status Code: {status})"))
}

fn claims(principal: &PrincipalEntry, user_principal_name: Option<&str>) -> Value {
    let mut claims = Map::new();
    claims.insert(CLAIM_OBJECT_ID.to_owned(), principal.id.to_string().into());
    claims.insert(CLAIM_TENANT_ID.to_owned(), principal.tenant.to_string().into());
    claims.insert("name".to_owned(), principal.name.clone().into());
    if let Some(name) = user_principal_name {
        claims.insert("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn".to_owned(), name.into());
    }
    Value::Object(claims)
}

/// The notice to a managing tenant that something was delegated to it, or is no more.
pub(super) struct Notice<'e> {
    event: &'e DelegationEvent,
    scope: String,
    object: String,
}

impl<'e> Notice<'e> {
    pub(super) fn new(event: &'e DelegationEvent) -> Self {
        Self { event, scope: event.scope.to_string(), object: event.caller.object.to_string() }
    }

    /// An update appears as another registration. Source: Azure Lighthouse, "Monitor delegation changes in your managing tenant".
    const fn action(&self) -> &'static str {
        match self.event.what {
            EventKind::Registered | EventKind::Updated => "Microsoft.Resources/tenants/register/action",
            // Ours: Azure has nothing of the kind.
            EventKind::Lapsed => "Steward.Delegation/delegations/lapse/action",
            EventKind::ReviewDue => "Steward.Delegation/delegations/reviewDue/action",
            EventKind::Unregistered => "Microsoft.Resources/tenants/unregister/action",
        }
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        Facts {
            caller: [&self.event.caller_name, &self.object],
            correlation_id: &self.event.correlation_id,
            resource_group: self.event.scope.resource_group_name(),
            resource_id: &self.scope,
            resource_provider: "Microsoft.Resources",
            status: "Succeeded",
        }
    }

    pub(super) fn describe(&self, known: Acquaintance<'_>) -> Value {
        let event = self.event;
        let resource_id = format!("/tenants/{}", event.managing_tenant);
        let description = json!({
            "delegationResourceId": event.delegation,
            "subscriptionTenantId": event.customer,
            "subscriptionId": event.subscription,
        });
        let at = format!("{:.3}", event.at);
        let name = |tenant| known.tenant_name(tenant).unwrap_or_default();
        json!({
            "id": format!("{resource_id}/events/{}", event.name),
            "eventDataId": event.name,
            "eventName": text("EndRequest"),
            "category": text("Administrative"),
            "channels": "Operation",
            "level": "Informational",
            "eventTimestamp": at,
            "submissionTimestamp": at,
            "operationId": event.correlation_id,
            "correlationId": event.correlation_id,
            "operationName": text(self.action()),
            "status": text("Succeeded"),
            "subStatus": { "value": "", "localizedValue": "" },
            "caller": event.caller_name,
            "claims": { CLAIM_OBJECT_ID: event.caller.object, CLAIM_TENANT_ID: event.caller.tenant, "name": event.caller_name },
            "authorization": { "action": self.action(), "scope": resource_id },
            "resourceId": resource_id,
            "resourceGroupName": event.scope.resource_group_name().unwrap_or_default(),
            "resourceProviderName": text("Microsoft.Resources"),
            "resourceType": text("Microsoft.Resources/tenants"),
            "subscriptionId": "",
            "tenantId": event.managing_tenant,
            "description": description.to_string(),
            "properties": {
                "eventCategory": "Administrative",
                "entity": event.delegation,
                "offer": event.offer,
                "scope": self.scope,
                "tenantId": event.caller.tenant,
                "customerName": name(event.customer),
            },
        })
    }
}
