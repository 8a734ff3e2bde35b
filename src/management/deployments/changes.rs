//! `whatIf`: what a deployment would change, without changing it.

use serde_json::{Map, Value, json};

use super::plan::query;
use super::{Call, OwnAnswer, OwnError};
use crate::arm::action::Method;
use crate::management::Part;
use crate::template::PlannedResource;

impl Call<'_> {
    pub(super) async fn what_if(&self, name: &str, body: &Value) -> Result<OwnAnswer, OwnError> {
        let plan = self.plan(name, body).await?;
        self.judge(&plan)?;
        self.rehearse(&plan).await?;
        let mut changes = Vec::new();
        for resource in plan.expanded.resources.iter().filter(|resource| !resource.is_nested_deployment()) {
            changes.push(self.change(resource).await);
        }
        let properties = json!({ "correlationId": self.request.correlation_id, "changes": changes });
        Ok(OwnAnswer::ok(json!({ "status": "Succeeded", "properties": properties })))
    }

    async fn change(&self, resource: &PlannedResource) -> Value {
        let query = query(resource);
        let part = Part { request: self.request, method: Method::Get, path: &resource.id, query: &query, body: None };
        let answer = self.desk.parts.perform(part).await;
        let after = after(resource);
        if !answer.status.is_success() {
            return json!({ "resourceId": resource.id, "changeType": "Create", "before": null, "after": after });
        }
        let delta = differences(&answer.body, &resource.body);
        let kind = if delta.is_empty() { "NoChange" } else { "Modify" };
        json!({ "resourceId": resource.id, "changeType": kind, "before": answer.body, "after": after, "delta": delta })
    }
}

/// The resource as it would be. What holds secrets is not shown.
fn after(resource: &PlannedResource) -> Value {
    let mut after = match (&resource.body, resource.secret) {
        (Value::Object(body), false) => body.clone(),
        _ => Map::new(),
    };
    for (name, value) in
        [("id", &resource.id), ("name", &resource.name), ("type", &resource.resource_type), ("apiVersion", &resource.api_version)]
    {
        after.insert(name.to_owned(), value.as_str().into());
    }
    Value::Object(after)
}

/// What is wanted and not there. What is there and not named stays, so it is no difference.
fn differences(before: &Value, wanted: &Value) -> Vec<Value> {
    let (Some(before), Some(wanted)) = (before.as_object(), wanted.as_object()) else { return Vec::new() };
    wanted.iter().filter_map(|(name, wanted)| difference(name, before.get(name), wanted)).collect()
}

fn difference(name: &str, before: Option<&Value>, wanted: &Value) -> Option<Value> {
    match (before, wanted) {
        (None, wanted) => Some(json!({ "path": name, "propertyChangeType": "Create", "before": null, "after": wanted, "children": null })),
        (Some(before @ Value::Object(_)), Value::Object(_)) => {
            let children = differences(before, wanted);
            let changed = json!({ "path": name, "propertyChangeType": "Modify", "before": null, "after": null, "children": children });
            (!children.is_empty()).then_some(changed)
        }
        (Some(before), wanted) if before == wanted => None,
        (Some(before), wanted) => {
            Some(json!({ "path": name, "propertyChangeType": "Modify", "before": before, "after": wanted, "children": null }))
        }
    }
}
