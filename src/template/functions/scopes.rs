//! Places and resource ids.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::super::evaluate::{Call, Eval, Evaluator, Stop, View};
use super::super::frame::Frame;
use super::super::ids::{self, Place};
use super::super::value::same;

/// The id of the place that a function without arguments describes, if it is such a function.
pub(in super::super) fn place_id(view: View<'_>, function: &str) -> Option<String> {
    let place = &view.frame.place;
    if same(function, "resourceGroup") {
        return matches!(place, Place::Group { .. }).then(|| place.id());
    }
    if same(function, "subscription") {
        return place.subscription().map(|id| Place::Subscription(id.to_owned()).id());
    }
    let is_group = same(function, "managementGroup") && matches!(place, Place::ManagementGroup(_));
    is_group.then(|| place.id())
}

/// `subscription()`; of another subscription than the deployment's the id alone is known.
pub(super) fn subscription<'a>(_: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let id = view.frame.place.subscription().ok_or_else(|| call.fault("this deployment is not in a subscription"))?;
    let mut value = json!({ "id": format!("/subscriptions/{id}"), "subscriptionId": id });
    let scope = &view.frame.world.scope;
    if let (Some(facts), Some(value)) = (scope.subscription.as_ref().filter(|facts| same(&facts.id, id)), value.as_object_mut()) {
        value.insert("displayName".to_owned(), Value::from(facts.display_name.as_str()));
        value.insert("tenantId".to_owned(), Value::from(scope.tenant_id.as_str()));
        value.insert("state".to_owned(), Value::from("Enabled"));
    }
    Ok(Cow::Owned(value))
}

/// `resourceGroup()`; of another group than the deployment's id and name alone are known.
pub(super) fn resource_group<'a>(_: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let place = &view.frame.place;
    let Place::Group { subscription, name } = place else {
        return Err(call.fault("this deployment is not in a resource group; it can be used in nested deployments with a resourceGroup"));
    };
    let mut value = json!({ "id": place.id(), "name": name, "type": "Microsoft.Resources/resourceGroups" });
    let scope = &view.frame.world.scope;
    let same_subscription = scope.subscription.as_ref().is_some_and(|facts| same(&facts.id, subscription));
    let facts = scope.resource_group.as_ref().filter(|facts| same_subscription && same(&facts.name, name));
    if let (Some(facts), Some(value)) = (facts, value.as_object_mut()) {
        value.insert("location".to_owned(), Value::from(facts.location.as_str()));
        value.insert("tags".to_owned(), if facts.tags.is_object() { facts.tags.clone() } else { json!({}) });
        value.insert("properties".to_owned(), json!({ "provisioningState": "Succeeded" }));
    }
    Ok(Cow::Owned(value))
}

/// `managementGroup()`
pub(super) fn management_group<'a>(_: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let place = &view.frame.place;
    let Place::ManagementGroup(name) = place else { return Err(call.fault("this deployment is not at a management group")) };
    Ok(Cow::Owned(json!({ "id": place.id(), "name": name, "type": "Microsoft.Management/managementGroups" })))
}

/// `tenant()`
pub(super) fn tenant<'a>(_: &mut Evaluator<'_>, view: View<'a>, _: Call<'_>) -> Eval<'a> {
    let scope = &view.frame.world.scope;
    let id = &scope.tenant_id;
    Ok(Cow::Owned(json!({ "id": format!("/tenants/{id}"), "tenantId": id, "displayName": scope.tenant_name })))
}

/// All arguments as strings.
fn texts(evaluator: &mut Evaluator<'_>, view: View<'_>, call: &Call<'_>) -> Result<Vec<String>, Stop> {
    let values = evaluator.arguments(view, call.arguments)?;
    let texts = values.iter().map(|value| super::plain_text(value).map(Cow::into_owned));
    texts.collect::<Option<_>>().ok_or_else(|| call.fault("its arguments have to be strings"))
}

/// Splits the arguments before the first resource type from it and the names.
fn split<'t>(call: &Call<'_>, texts: &'t [String]) -> Result<(&'t [String], &'t str, String), Stop> {
    let at = texts.iter().position(|text| text.contains('/'));
    let (before, rest) = at
        .and_then(|at| texts.split_at_checked(at))
        .ok_or_else(|| call.fault("no argument is a resource type such as 'Namespace/type'"))?;
    let (kind, names) = rest.split_first().ok_or_else(|| call.fault("no argument is a resource type such as 'Namespace/type'"))?;
    Ok((before, kind, names.join("/")))
}

fn id<'a>(call: &Call<'_>, scope: &str, kind: &str, name: &str) -> Eval<'a> {
    let id = ids::resource_id(scope, kind, name).map_err(|reason| Stop::new(call.offset, reason))?;
    Ok(Cow::Owned(Value::from(id)))
}

fn is_guid(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok()
}

fn own_subscription<'f>(frame: &'f Frame, call: &Call<'_>) -> Result<&'f str, Stop> {
    frame.place.subscription().ok_or_else(|| call.fault("this deployment is not in a subscription; give the subscription id first"))
}

/// `resourceId([subscriptionId], [resourceGroupName], type, name…)`: in the scope of the deployment unless another is given.
pub(super) fn resource_id<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let texts = texts(evaluator, view, &call)?;
    let (before, kind, name) = split(&call, &texts)?;
    let place = &view.frame.place;
    let scope = match (before, place) {
        ([], _) => scope_for(place, kind),
        ([subscription], Place::Group { name, .. }) if is_guid(subscription) => {
            Place::Group { subscription: subscription.clone(), name: name.clone() }
        }
        ([subscription], Place::Subscription(_) | Place::ManagementGroup(_) | Place::Tenant) if is_guid(subscription) => {
            Place::Subscription(subscription.clone())
        }
        ([group], _) => Place::Group { subscription: own_subscription(view.frame, &call)?.to_owned(), name: group.clone() },
        ([subscription, group], _) => Place::Group { subscription: subscription.clone(), name: group.clone() },
        ([..], _) => return Err(call.fault("at most a subscription id and a resource group go before the type")),
    };
    id(&call, &scope.id(), kind, &name)
}

/// Where resources of a type are when a template names them without a scope.
pub(in super::super) fn scope_for(place: &Place, kind: &str) -> Place {
    let kind = kind.trim_end_matches('/');
    match place {
        Place::Group { subscription, .. } if same(kind, "Microsoft.Resources/resourceGroups") => Place::Subscription(subscription.clone()),
        Place::ManagementGroup(_) if same(kind, "Microsoft.Management/managementGroups") => Place::Tenant,
        Place::Group { .. } | Place::ManagementGroup(_) | Place::Subscription(_) | Place::Tenant => place.clone(),
    }
}

/// `subscriptionResourceId([subscriptionId], type, name…)`
pub(super) fn subscription_resource_id<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let texts = texts(evaluator, view, &call)?;
    let (before, kind, name) = split(&call, &texts)?;
    let subscription = match before {
        [] => own_subscription(view.frame, &call)?,
        [subscription] => subscription,
        [..] => return Err(call.fault("only a subscription id goes before the type")),
    };
    id(&call, &Place::Subscription(subscription.to_owned()).id(), kind, &name)
}

/// `tenantResourceId(type, name…)`
pub(super) fn tenant_resource_id<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let texts = texts(evaluator, view, &call)?;
    let (before, kind, name) = split(&call, &texts)?;
    if !before.is_empty() {
        return Err(call.fault("the type goes first"));
    }
    id(&call, "", kind, &name)
}

/// `managementGroupResourceId([managementGroup], type, name…)`
pub(super) fn management_group_resource_id<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let texts = texts(evaluator, view, &call)?;
    let (before, kind, name) = split(&call, &texts)?;
    let group = match (before, &view.frame.place) {
        ([group], _) => group,
        ([], Place::ManagementGroup(group)) => group,
        ([], _) => return Err(call.fault("this deployment is not at a management group; give its name first")),
        ([..], _) => return Err(call.fault("only the name of a management group goes before the type")),
    };
    id(&call, &Place::ManagementGroup(group.clone()).id(), kind, &name)
}

/// `extensionResourceId(resourceId, type, name…)`
pub(super) fn extension_resource_id<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let texts = texts(evaluator, view, &call)?;
    let Some((scope, rest)) = texts.split_first() else { return Err(call.fault("the id of a resource goes first")) };
    let (before, kind, name) = split(&call, rest)?;
    if !before.is_empty() || !scope.starts_with('/') {
        return Err(call.fault("the full id of a resource goes first, then the type"));
    }
    id(&call, scope.trim_end_matches('/'), kind, &name)
}
