//! Subscriptions, their locations, and which namespaces they are registered for.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::ids::SubscriptionId;

use super::answer::Answer;
use super::call::{Call, Plan};
use super::lists::Page;
use super::operations::later;
use super::providers::{LocationRule, Namespace, Providers};
use super::refusal::Refusal;
use super::world::{Change, Registration, Subscription, SubscriptionState, World};

/// Name, display name, region of the pair. A handful is enough to choose from.
const LOCATIONS: [(&str, &str, &str); 8] = [
    ("eastus", "East US", "westus"),
    ("francecentral", "France Central", "francesouth"),
    ("germanywestcentral", "Germany West Central", "germanynorth"),
    ("northeurope", "North Europe", "westeurope"),
    ("swedencentral", "Sweden Central", "swedensouth"),
    ("uksouth", "UK South", "ukwest"),
    ("westeurope", "West Europe", "northeurope"),
    ("westus2", "West US 2", "westcentralus"),
];

/// Every subscription can use these, whatever it is registered for.
const REGISTRATION_FREE: [&str; 2] = ["Microsoft.Authorization", "Microsoft.Resources"];

/// The subscription that a request works in.
///
/// # Errors
/// When there is none, or the assertion is for another tenant than its home.
pub(super) fn find<'a>(world: &'a World, call: &Call<'_>, id: SubscriptionId) -> Result<&'a Arc<Subscription>, Refusal> {
    let subscription = world.subscription(id).ok_or_else(|| Refusal::SubscriptionNotFound(id.to_string()))?;
    if subscription.tenant != call.actor.tenant {
        return Err(Refusal::Tenant { presented: call.actor.tenant.to_string(), subscription: id.to_string() });
    }
    Ok(subscription)
}

/// # Errors
/// When the subscription is in a state that allows reading and deleting only.
pub(super) fn check_enabled(subscription: &Subscription) -> Result<(), Refusal> {
    match subscription.state {
        SubscriptionState::Enabled => Ok(()),
        SubscriptionState::Disabled | SubscriptionState::Warned => Err(Refusal::SubscriptionDisabled(subscription.id.to_string())),
    }
}

/// # Errors
/// When the subscription may not use the namespace yet.
pub(super) fn check_registered(world: &World, call: &Call<'_>, id: SubscriptionId, namespace: &str) -> Result<(), Refusal> {
    match registration_state(world, call, id, namespace) {
        "Registered" => Ok(()),
        _ => Err(Refusal::SubscriptionUnregistered(namespace.to_owned())),
    }
}

/// `GET /subscriptions/{id}`. Source: Subscriptions - Get.
pub(super) fn get(subscription: &Subscription) -> Plan {
    Answer::json(StatusCode::OK, &body(subscription)).into()
}

fn body(subscription: &Subscription) -> Value {
    let Subscription { id, tenant, name, state } = subscription;
    json!({
        "id": format!("/subscriptions/{id}"),
        "subscriptionId": id,
        "tenantId": tenant,
        "displayName": name,
        "state": state,
        "subscriptionPolicies": { "locationPlacementId": "Public_2014-09-01", "quotaId": "PayAsYouGo_2014-09-01", "spendingLimit": "Off" },
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
    })
}

/// `GET /subscriptions`: those of the assertion's tenant.
///
/// # Errors
/// When the paging parameters are not valid.
pub(super) fn list(world: &World, call: &Call<'_>) -> Result<Plan, Refusal> {
    let cursor = call.cursor()?;
    let entries = world
        .subscriptions_of(call.actor.tenant)
        .map(|subscription| (subscription.id.to_string(), subscription))
        .filter(|(key, _)| cursor.as_ref().is_none_or(|cursor| cursor < key))
        .map(|(key, subscription)| (key, body(subscription).to_string()));
    Ok(Page::of(call, entries)?.answer().into())
}

/// `GET …/locations`.
pub(super) fn locations(id: SubscriptionId) -> Plan {
    let entries: Vec<_> = LOCATIONS
        .iter()
        .map(|(name, display, pair)| {
            json!({
                "id": format!("/subscriptions/{id}/locations/{name}"),
                "name": name,
                "type": "Region",
                "displayName": display,
                "regionalDisplayName": display,
                "metadata": {
                    "regionType": "Physical",
                    "regionCategory": "Recommended",
                    "pairedRegion": [{ "name": pair, "id": format!("/subscriptions/{id}/locations/{pair}") }],
                },
            })
        })
        .collect();
    Answer::json(StatusCode::OK, &json!({ "value": entries })).into()
}

/// `GET /providers[/{namespace}]`, and the same of a subscription with its registration states.
///
/// # Errors
/// When the paging parameters are not valid.
pub(super) fn providers(
    world: &World,
    call: &Call<'_>,
    subscription: Option<SubscriptionId>,
    one: Option<&Namespace>,
) -> Result<Plan, Refusal> {
    if let Some(namespace) = one {
        return Ok(Answer::json(StatusCode::OK, &provider(world, call, subscription, namespace)).into());
    }
    let cursor = call.cursor()?;
    let entries = Providers::built_in()
        .all()
        .map(|namespace| (namespace.name.to_ascii_lowercase(), namespace))
        .filter(|(key, _)| cursor.as_ref().is_none_or(|cursor| cursor < key))
        .map(|(key, namespace)| (key, provider(world, call, subscription, namespace).to_string()));
    Ok(Page::of(call, entries)?.answer().into())
}

/// `POST …/providers/{namespace}/register` and `/unregister`.
pub(super) fn register(world: &World, call: &Call<'_>, id: SubscriptionId, namespace: &Namespace, registered: bool) -> Plan {
    let state = registration_state(world, call, id, namespace.name);
    if registered == (state != "NotRegistered") {
        return Answer::json(StatusCode::OK, &provider_body(namespace, Some((id, state)))).into();
    }
    let registered_from = registered.then(|| later(call.now, call.settings.operation_time));
    let registration = Registration { subscription: id, namespace: namespace.name.to_ascii_lowercase(), registered_from };
    let state = state_of(&registration, call);
    let answer = Answer::json(StatusCode::OK, &provider_body(namespace, Some((id, state))));
    Plan { answer, changes: vec![Change::Register(Arc::new(registration))] }
}

fn registration_state(world: &World, call: &Call<'_>, id: SubscriptionId, namespace: &str) -> &'static str {
    if REGISTRATION_FREE.contains(&namespace) {
        return "Registered";
    }
    world.registration(id, namespace).map_or("Registered", |registration| state_of(registration, call))
}

fn state_of(registration: &Registration, call: &Call<'_>) -> &'static str {
    match registration.registered_from {
        None => "NotRegistered",
        Some(from) if call.now < from => "Registering",
        Some(_) => "Registered",
    }
}

fn provider(world: &World, call: &Call<'_>, subscription: Option<SubscriptionId>, namespace: &Namespace) -> Value {
    provider_body(namespace, subscription.map(|id| (id, registration_state(world, call, id, namespace.name))))
}

/// Source: Providers - Get.
fn provider_body(namespace: &Namespace, registration: Option<(SubscriptionId, &'static str)>) -> Value {
    let places: Vec<_> = LOCATIONS.iter().map(|(_, display, _)| *display).collect();
    let kinds: Vec<_> = namespace
        .kinds()
        .into_iter()
        .map(|kind| {
            let places: &[&str] = if kind.location == LocationRule::Absent { &[] } else { &places };
            let capabilities = match (kind.has_tags(), kind.location) {
                (true, _) => "SupportsTags, SupportsLocation",
                (false, LocationRule::Absent) => "None",
                (false, LocationRule::Optional | LocationRule::Required) => "SupportsLocation",
            };
            json!({ "resourceType": kind.name, "locations": places, "apiVersions": kind.versions, "capabilities": capabilities })
        })
        .collect();
    let mut body = json!({ "namespace": namespace.name, "resourceTypes": kinds });
    if let (Some(members), Some((id, state))) = (body.as_object_mut(), registration) {
        members.insert("id".to_owned(), format!("/subscriptions/{id}/providers/{}", namespace.name).into());
        members.insert("registrationPolicy".to_owned(), "RegistrationRequired".into());
        members.insert("registrationState".to_owned(), state.into());
    }
    body
}
