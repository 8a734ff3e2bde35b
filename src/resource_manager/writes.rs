//! PUT, PATCH and DELETE of resource groups and of resources of any type.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::ids::{SubscriptionId, TenantId};

use super::address::Item;
use super::answer::Answer;
use super::call::{Call, Plan};
use super::lists::find_group;
use super::operations::{Operation, normalized};
use super::providers::{LocationRule, ResourceType};
use super::refusal::Refusal;
use super::resource::{Document, Doing, Pending, Resource, Stored, new_etag, system_data};
use super::subscriptions;
use super::virtual_machines;
use super::world::{Change, World};

/// The longest name of a resource group, in characters.
const GROUP_NAME_MAX: usize = 90;
/// The longest name of any other resource, in characters.
const NAME_MAX: usize = 260;
/// The longest name of a location, in characters.
const LOCATION_MAX: usize = 64;
/// Tags of one resource. Source: Azure Resource Manager, limits.
const TAGS_MAX: usize = 50;
/// What a body may repeat but not decide.
const SERVER_OWNED: [&str; 5] = ["etag", "id", "name", "systemData", "type"];

/// `PUT …/{name}`: creates or replaces.
///
/// # Errors
/// When the place is not ready for it, a condition is not met, or the body is not usable.
pub(super) fn put(world: &World, call: &Call<'_>, subscription: SubscriptionId, item: &Item) -> Result<Plan, Refusal> {
    let parent_id = ready(world, call, subscription, item)?;
    check_name(item)?;
    let existing = world.resource(&item.key, call.now);
    let id = existing.map_or_else(|| format!("{parent_id}{}", item.tail), |existing| existing.id().to_owned());
    check_idle(existing, call.now)?;
    call.check_preconditions(existing.map(|existing| &**existing), &id)?;
    let body = call.document()?;
    check_body(item.kind, body)?;
    if let Some(existing) = existing {
        check_location_kept(existing, body)?;
    }
    let name = existing.map_or(item.name.as_str(), |existing| existing.text("name"));
    let head = [("id", id.as_str()), ("name", name), ("type", item.kind.full.as_str())];
    let mut document: Document = head.into_iter().map(|(member, value)| (member.to_owned(), value.into())).collect();
    document.extend(body.iter().filter(|(member, _)| !SERVER_OWNED.contains(&member.as_str())).map(|(k, v)| (k.clone(), v.clone())));
    write(call, subscription, item, existing, document)
}

/// `PATCH …/{name}`: merges. Source: RFC 7396.
///
/// # Errors
/// When it is not there, a condition is not met, or the body is not usable.
pub(super) fn patch(world: &World, call: &Call<'_>, subscription: SubscriptionId, item: &Item) -> Result<Plan, Refusal> {
    ready(world, call, subscription, item)?;
    let existing = find(world, call, item)?;
    check_idle(Some(existing), call.now)?;
    call.check_preconditions(Some(existing), existing.id())?;
    let body = call.document()?;
    check_location_kept(existing, body)?;
    let mut document = Value::Object(existing.stored.document.clone());
    let wanted = body.iter().filter(|(member, _)| !SERVER_OWNED.contains(&member.as_str())).map(|(k, v)| (k.clone(), v.clone()));
    merge(&mut document, &Value::Object(wanted.collect()));
    let Value::Object(document) = document else { return Err(Refusal::Content("it is no JSON object".to_owned())) };
    check_body(item.kind, &document)?;
    write(call, subscription, item, Some(existing), document)
}

/// The resource of an address.
///
/// # Errors
/// When it is not there.
pub(super) fn find<'a>(world: &'a World, call: &Call<'_>, item: &Item) -> Result<&'a Arc<Resource>, Refusal> {
    find_group(world, call, item.parent.group_key.as_deref())?;
    let missing = || {
        if is_group(item) { Refusal::GroupNotFound(item.name.clone()) } else { Refusal::ResourceNotFound(item.written_id()) }
    };
    world.resource(&item.key, call.now).ok_or_else(missing)
}

/// `DELETE …/{name}`, with everything below it.
///
/// # Errors
/// When a condition is not met or the type cannot be deleted.
pub(super) fn delete(world: &World, call: &Call<'_>, subscription: SubscriptionId, item: &Item) -> Result<Plan, Refusal> {
    check_writable(call, item.kind)?;
    let Some(existing) = world.resource(&item.key, call.now) else {
        return if is_group(item) {
            Err(Refusal::GroupNotFound(item.name.clone()))
        } else {
            Ok(Answer::empty(StatusCode::NO_CONTENT).into())
        };
    };
    if let Some(running) = existing.in_progress(call.now).filter(|pending| pending.doing == Doing::Deleting)
        && let Some(operation) = world.operation(running.operation)
    {
        return Ok(accepted(call, operation, is_group(item)).into());
    }
    call.check_preconditions(Some(existing), existing.id())?;
    let below: Vec<_> = world.resources_after(&existing.key, None, call.now).collect();
    let takes_time = is_group(item) || item.kind.is_long_running() || call.failure.is_some();
    if !takes_time {
        let mut changes: Vec<_> = below.iter().map(|child| Change::Remove(Arc::clone(&child.key))).collect();
        changes.push(Change::Remove(Arc::clone(&existing.key)));
        return Ok(Plan { answer: Answer::empty(StatusCode::OK), changes });
    }
    let operation = Operation::begin(call, subscription, item.kind, existing.id(), existing.text("location"));
    let mut changes = Vec::with_capacity(below.len() + 2);
    if operation.failure.is_none() {
        changes.extend(one_by_one(call.now, &operation, &below));
    }
    changes.extend(existing.with_pending(operation.pending(Doing::Deleting)).map(Arc::new).map(Change::Put));
    let answer = accepted(call, &operation, is_group(item));
    changes.push(Change::Begin(Arc::new(operation)));
    Ok(Plan { answer, changes })
}

/// What lies below goes one after the other, the last before its parent.
fn one_by_one(now: Timestamp, operation: &Operation, below: &[&Arc<Resource>]) -> Vec<Change> {
    let whole_ms = operation.ends.as_millisecond() - now.as_millisecond();
    let steps = i64::try_from(below.len()).unwrap_or(i64::MAX).saturating_add(1);
    let pending = |step: usize| {
        let part_ms = whole_ms.saturating_mul(i64::try_from(step).unwrap_or(i64::MAX)) / steps;
        let ends = Timestamp::from_millisecond(now.as_millisecond().saturating_add(part_ms)).unwrap_or(operation.ends);
        Pending { ends, ..operation.pending(Doing::Deleting) }
    };
    let children = below.iter().enumerate().filter_map(|(place, child)| child.with_pending(pending(place + 1)));
    children.map(Arc::new).map(Change::Put).collect()
}

fn accepted(call: &Call<'_>, operation: &Operation, is_group: bool) -> Answer {
    let answer = operation.announce_result(call, Answer::empty(StatusCode::ACCEPTED));
    // The anchor announces group deletions by `Location` alone.
    if is_group { answer } else { operation.announce_status(call, answer) }
}

/// Stores a document and answers with it.
fn write(
    call: &Call<'_>,
    subscription: SubscriptionId,
    item: &Item,
    existing: Option<&Arc<Resource>>,
    mut document: Document,
) -> Result<Plan, Refusal> {
    let etag = new_etag();
    complete(&mut document, call, existing.map(|existing| &existing.stored.document), &etag);
    identify(&mut document, item, call.actor.tenant);
    let doing = if existing.is_some() { Doing::Updating } else { Doing::Creating };
    let location = document.get("location").and_then(Value::as_str).unwrap_or_default();
    let target = document.get("id").and_then(Value::as_str).unwrap_or_default();
    let takes_time = item.kind.is_long_running() || call.failure.is_some();
    let operation = takes_time.then(|| Operation::begin(call, subscription, item.kind, target, location));
    let power = match existing {
        Some(existing) => existing.stored.power.clone(),
        None => virtual_machines::first_power(item.kind, call),
    };
    let pending = operation.as_ref().map(|operation| operation.pending(doing));
    let stored = Stored { kind: item.kind.full.clone(), document, etag, pending, power };
    let unknown = || Refusal::Type { namespace: item.kind.namespace.to_owned(), kind: item.kind.name.to_owned() };
    let resource = Arc::new(Resource::new(item.key.as_str().into(), stored).ok_or_else(unknown)?);
    let status = if existing.is_some() || item.kind.hides_creation() { StatusCode::OK } else { StatusCode::CREATED };
    let answer = Answer::rendered(status, resource.body(call.now)).with_etag(&resource.stored.etag);
    let Some(operation) = operation else { return Ok(Plan { answer, changes: vec![Change::Put(resource)] }) };
    let answer = operation.announce_status(call, answer);
    Ok(Plan { answer, changes: vec![Change::Put(resource), Change::Begin(Arc::new(operation))] })
}

/// Puts in what the server owns.
fn complete(document: &mut Document, call: &Call<'_>, before: Option<&Document>, etag: &str) {
    if !matches!(document.get("properties"), Some(Value::Object(_))) {
        document.insert("properties".to_owned(), Value::Object(Map::new()));
    }
    if let Some(Value::Object(properties)) = document.get_mut("properties") {
        // The state is worked out from the pending operation; what is stored here is a place for it.
        properties.insert("provisioningState".to_owned(), json!("Succeeded"));
    }
    document.insert("etag".to_owned(), etag.into());
    document.insert("systemData".to_owned(), system_data(before, call.actor, call.now));
}

/// Gives managed identities their ids, which stay the same as long as the resource does. Source: Azure Managed Service Identity.
fn identify(document: &mut Document, item: &Item, tenant: TenantId) {
    let id = |what: &str| Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{what}|{}", item.key.as_str()).as_bytes()).to_string();
    let is_identity = item.kind.full.eq_ignore_ascii_case("Microsoft.ManagedIdentity/userAssignedIdentities");
    if let Some(Value::Object(properties)) = document.get_mut("properties").filter(|_| is_identity) {
        for (name, value) in [("principalId", id("principal")), ("clientId", id("client")), ("tenantId", tenant.to_string())] {
            properties.insert(name.to_owned(), value.into());
        }
    }
    if let Some(Value::Object(identity)) = document.get_mut("identity") {
        let is_of_the_system = identity.get("type").and_then(Value::as_str).is_some_and(|kind| kind.contains("SystemAssigned"));
        let ids = [("principalId", id("principal")), ("tenantId", tenant.to_string())];
        for (name, value) in ids.into_iter().filter(|_| is_of_the_system) {
            identity.insert(name.to_owned(), value.into());
        }
    }
}

/// Whether anything may be written at this address; the stored id of its parent.
fn ready(world: &World, call: &Call<'_>, subscription: SubscriptionId, item: &Item) -> Result<String, Refusal> {
    check_writable(call, item.kind)?;
    subscriptions::check_registered(world, call, subscription, item.kind.namespace)?;
    let group = find_group(world, call, item.parent.group_key.as_deref())?;
    let being_deleted = |resource: &Arc<Resource>| resource.in_progress(call.now).is_some_and(|pending| pending.doing == Doing::Deleting);
    if let Some(group) = group.filter(|group| being_deleted(group)) {
        return Err(Refusal::GroupBeingDeleted(group.text("name").to_owned()));
    }
    if is_group(item) && world.resource(&item.key, call.now).is_some_and(being_deleted) {
        return Err(Refusal::GroupBeingDeleted(item.name.clone()));
    }
    match world.resource(&item.parent.key, call.now) {
        Some(parent) => Ok(parent.id().to_owned()),
        None if item.parent.kind.is_some_and(ResourceType::is_writable) => Err(Refusal::ParentNotFound(item.parent.id.clone())),
        None => Ok(item.parent.id.clone()),
    }
}

fn is_group(item: &Item) -> bool {
    item.kind.full == "Microsoft.Resources/resourceGroups"
}

fn check_writable(call: &Call<'_>, kind: &ResourceType) -> Result<(), Refusal> {
    if kind.is_writable() { Ok(()) } else { Err(Refusal::Method { method: call.method.clone(), path: call.path.to_owned() }) }
}

fn check_idle(existing: Option<&Arc<Resource>>, now: Timestamp) -> Result<(), Refusal> {
    match existing.filter(|existing| existing.in_progress(now).is_some()) {
        Some(busy) => Err(Refusal::AnotherOperation(busy.id().to_owned())),
        None => Ok(()),
    }
}

/// Source: Azure Resource Manager, naming rules and restrictions.
fn check_name(item: &Item) -> Result<(), Refusal> {
    let name = &item.name;
    let length = name.chars().count();
    if is_group(item) {
        let allowed = |c: char| c.is_alphanumeric() || "_-().".contains(c);
        let good = (1..=GROUP_NAME_MAX).contains(&length) && name.chars().all(allowed) && !name.ends_with('.');
        return if good { Ok(()) } else { Err(Refusal::GroupName(name.clone())) };
    }
    let good = (1..=NAME_MAX).contains(&length) && !name.contains(|c: char| "<>%&:\\?/".contains(c) || c.is_control());
    if good { Ok(()) } else { Err(Refusal::ResourceName(name.clone())) }
}

fn check_body(kind: &ResourceType, body: &Document) -> Result<(), Refusal> {
    let refused = |text: &str| Err(Refusal::Content(text.to_owned()));
    match body.get("location") {
        None | Some(Value::Null) if kind.location == LocationRule::Required => return Err(Refusal::LocationRequired(kind.full.clone())),
        None | Some(Value::Null) => {}
        Some(Value::String(location)) if is_location(location) => {}
        Some(_) => return refused("`location` is no name of a location"),
    }
    match body.get("properties") {
        None | Some(Value::Null | Value::Object(_)) => {}
        Some(_) => return refused("`properties` is no object"),
    }
    match body.get("tags") {
        None | Some(Value::Null) => Ok(()),
        Some(_) if !kind.has_tags() => refused("this type has no `tags`"),
        Some(Value::Object(tags)) if tags.len() <= TAGS_MAX && tags.values().all(Value::is_string) => Ok(()),
        Some(_) => refused("`tags` is no object of at most 50 texts"),
    }
}

fn is_location(text: &str) -> bool {
    (1..=LOCATION_MAX).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ' || c == '-')
}

fn check_location_kept(existing: &Resource, body: &Document) -> Result<(), Refusal> {
    let actual = existing.text("location");
    match body.get("location").and_then(Value::as_str) {
        Some(wanted) if normalized(wanted) != normalized(actual) => {
            Err(Refusal::LocationDiffers { id: existing.id().to_owned(), actual: actual.to_owned() })
        }
        Some(_) | None => Ok(()),
    }
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (member, value) in patch {
        if value.is_null() {
            target.shift_remove(member);
        } else {
            merge(target.entry(member.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(target: Value, patch: &Value, expected: &Value) {
        let mut merged = target;
        merge(&mut merged, patch);
        assert_eq!(&merged, expected);
    }

    #[test]
    fn a_patch_merges_objects_and_null_removes() {
        check(json!({"tags": {"a": "1", "b": "2"}}), &json!({"tags": {"b": null, "c": "3"}}), &json!({"tags": {"a": "1", "c": "3"}}));
        check(json!({"zones": ["1"]}), &json!({"zones": ["2", "3"]}), &json!({"zones": ["2", "3"]}));
        check(json!({"sku": "x"}), &json!({"sku": {"name": "y"}}), &json!({"sku": {"name": "y"}}));
    }
}
