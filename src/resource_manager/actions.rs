//! POST actions: keys, switches, and everything else that a type is known to do.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::ids::SubscriptionId;

use super::address::Item;
use super::answer::Answer;
use super::call::{Call, Plan};
use super::operations::Operation;
use super::providers::Namespace;
use super::refusal::Refusal;
use super::resource::{Doing, Resource, Stored};
use super::virtual_machines;
use super::world::{Change, World};
use super::writes::find;

/// Actions that only ask, by the beginning of their names: they answer at once.
const ASKING: [&str; 6] = ["check", "get", "list", "query", "retrieve", "validate"];

/// `POST …/{type}/{name}/{action}`.
///
/// # Errors
/// When the resource is not there or busy.
pub(super) fn run(world: &World, call: &Call<'_>, subscription: SubscriptionId, item: &Item, action: &str) -> Result<Plan, Refusal> {
    if !item.kind.is_writable() {
        return Ok(Answer::json(StatusCode::OK, &json!({ "value": [] })).into());
    }
    let resource = find(world, call, item)?;
    let lower = action.to_lowercase();
    if ASKING.iter().any(|word| lower.starts_with(word)) {
        return Ok(Answer::json(StatusCode::OK, &told(resource, &lower)).into());
    }
    if resource.in_progress(call.now).is_some() {
        return Err(Refusal::AnotherOperation(resource.id().to_owned()));
    }
    if !item.kind.is_long_running() && call.failure.is_none() {
        return Ok(Answer::json(StatusCode::OK, &json!({})).into());
    }
    Ok(begin(call, subscription, resource, action))
}

/// `POST …/providers/{namespace}/{action}`.
pub(super) fn run_in_namespace(call: &Call<'_>, namespace: &Namespace, action: &str) -> Plan {
    let name = call.body.as_ref().and_then(|body| body.get("name")).cloned().unwrap_or_default();
    let answer = if action.to_lowercase().contains("nameavailability") {
        json!({ "nameAvailable": true, "name": name })
    } else {
        json!({ "namespace": namespace.name, "value": [] })
    };
    Answer::json(StatusCode::OK, &answer).into()
}

fn begin(call: &Call<'_>, subscription: SubscriptionId, resource: &Arc<Resource>, action: &str) -> Plan {
    let operation = Operation::begin(call, subscription, resource.kind, resource.id(), resource.text("location"));
    let power = virtual_machines::switched(resource.kind, action, call).filter(|_| operation.failure.is_none());
    let pending = Some(operation.pending(Doing::Updating));
    let stored = Stored { pending, power: power.or_else(|| resource.stored.power.clone()), ..resource.stored.clone() };
    let operation = if action == "runCommand" { operation.with_result(command_output()) } else { operation };
    let answer = operation.announce_status(call, operation.announce_result(call, Answer::empty(StatusCode::ACCEPTED)));
    let changed = Resource::new(Arc::clone(&resource.key), stored).map(Arc::new).map(Change::Put);
    let changes = changed.into_iter().chain([Change::Begin(Arc::new(operation))]).collect();
    Plan { answer, changes }
}

fn command_output() -> Value {
    json!({ "value": [{ "code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded", "message": "" }] })
}

fn told(resource: &Resource, action: &str) -> Value {
    let (first, second) = (made_up_key(resource, 1), made_up_key(resource, 2));
    match action {
        "listkeys" if resource.kind.namespace == "Microsoft.Storage" => json!({ "keys": [
            { "keyName": "key1", "value": first, "permissions": "FULL" },
            { "keyName": "key2", "value": second, "permissions": "FULL" },
        ] }),
        "listkeys" => json!({ "primaryKey": first, "secondaryKey": second, "key1": first, "key2": second }),
        "listclusteradmincredential" | "listclusterusercredential" => {
            json!({ "kubeconfigs": [{ "name": "cluster", "value": STANDARD.encode("apiVersion: v1\nkind: Config\n") }] })
        }
        asked if asked.starts_with("validate") || asked.starts_with("check") => json!({ "valid": true }),
        _ => json!({ "value": [] }),
    }
}

/// Looks like a key and opens nothing: a digest of the resource's name.
fn made_up_key(resource: &Resource, number: u8) -> String {
    STANDARD.encode(digest(&SHA256, format!("{}#{number}", resource.key).as_bytes()))
}
