//! What is special about virtual machines: they are switched on and off.

use hyper::StatusCode;
use serde_json::{Value, json};

use crate::clock::Timestamp;

use super::answer::Answer;
use super::call::Call;
use super::operations::later;
use super::providers::ResourceType;
use super::resource::{Power, Resource};

/// Action, state on the way, state at the end.
const SWITCHES: [(&str, &str, &str); 4] = [
    ("deallocate", "deallocating", "deallocated"),
    ("powerOff", "stopping", "stopped"),
    ("restart", "starting", "running"),
    ("start", "starting", "running"),
];

fn is_machine(kind: &ResourceType) -> bool {
    kind.full == "Microsoft.Compute/virtualMachines"
}

/// A new machine runs once it is made.
pub(super) fn first_power(kind: &ResourceType, call: &Call<'_>) -> Option<Power> {
    is_machine(kind).then(|| power(call, "starting", "running"))
}

/// What an action makes of a machine's power; `None` when it makes nothing of it.
pub(super) fn switched(kind: &ResourceType, action: &str, call: &Call<'_>) -> Option<Power> {
    let (_, during, after) = SWITCHES.iter().find(|(name, ..)| is_machine(kind) && *name == action)?;
    Some(power(call, during, after))
}

fn power(call: &Call<'_>, during: &str, after: &str) -> Power {
    Power { during: during.to_owned(), after: after.to_owned(), at: later(call.now, call.settings.operation_time) }
}

/// `instanceView` of a machine at `now`; `None` for anything else.
pub(super) fn instance_view(resource: &Resource, now: Timestamp) -> Option<Value> {
    let power = resource.stored.power.as_ref()?;
    let state = if now < power.at { &power.during } else { &power.after };
    let provisioning = resource.provisioning_state(now);
    Some(json!({
        "computerName": resource.text("name"),
        "statuses": [
            { "code": format!("ProvisioningState/{}", provisioning.to_lowercase()), "level": "Info", "displayStatus": provisioning },
            { "code": format!("PowerState/{state}"), "level": "Info", "displayStatus": format!("VM {state}") },
        ],
    }))
}

/// `GET …?$expand=instanceView`: the machine with its instance view inside.
pub(super) fn expanded(resource: &Resource, now: Timestamp) -> Option<Answer> {
    let view = instance_view(resource, now)?;
    let mut document = resource.document(resource.provisioning_state(now));
    if let Some(Value::Object(properties)) = document.get_mut("properties") {
        properties.insert("instanceView".to_owned(), view);
    }
    Some(Answer::json(StatusCode::OK, &document))
}
