//! Deployments as clients read them. Source: Deployments, 2021-04-01.

use serde_json::{Value, json};
use uuid::Uuid;

use super::plan::Plan;
use super::run::TIME_MAX;
use super::{Call, OwnAnswer, OwnError};
use crate::clock::Timestamp;
use crate::directory::Versioned;
use crate::directory::entity::{Deployment, DeploymentState};
use crate::management::PartAnswer;

impl Call<'_> {
    pub(super) fn show(&self, one: &Versioned<Deployment>) -> Value {
        self.render(&one.body, state(&one.body, self.now()))
    }

    /// What a client that has just begun is told: the rest it learns by polling.
    pub(super) fn show_accepted(&self, deployment: &Deployment) -> Value {
        self.render(deployment, "Accepted")
    }

    fn render(&self, deployment: &Deployment, state: &str) -> Value {
        let properties = json!({
            "provisioningState": state,
            "mode": deployment.mode,
            "correlationId": deployment.correlation_id,
            "timestamp": deployment.ended_at.unwrap_or(deployment.started_at),
            "duration": deployment.ended_at.map(|ended| format!("PT{}S", ended.duration_since(deployment.started_at).as_secs_f64().max(0.0))),
            "parameters": deployment.parameters,
            "outputs": deployment.outputs,
            "outputResources": deployment.resources.iter().map(|one| json!({ "id": one.id })).collect::<Vec<_>>(),
            "dependencies": [],
            "providers": [],
            "error": deployment.error,
        });
        self.resource(&deployment.name, &deployment.location, &properties)
    }

    pub(super) fn show_validated(&self, plan: &Plan) -> Value {
        let resources: Vec<Value> = plan.expanded.resources.iter().map(|one| json!({ "id": one.id })).collect();
        let properties = json!({
            "provisioningState": "Succeeded",
            "mode": plan.mode,
            "correlationId": self.request.correlation_id,
            "timestamp": self.now(),
            "parameters": plan.expanded.parameters,
            "validatedResources": resources,
            "dependencies": [],
            "providers": [],
        });
        self.resource(&plan.name, &plan.location, &properties)
    }

    /// The full id of a deployment where the request asks.
    pub(super) fn resource_id(&self, name: &str) -> String {
        format!("{}/providers/Microsoft.Resources/deployments/{name}", self.request.scope)
    }

    fn resource(&self, name: &str, location: &str, properties: &Value) -> Value {
        let mut resource = json!({
            "id": self.resource_id(name),
            "name": name,
            "type": "Microsoft.Resources/deployments",
            "properties": properties,
        });
        if let (Value::Object(members), true) = (&mut resource, self.request.scope.below().is_empty()) {
            members.insert("location".to_owned(), location.into());
        }
        resource
    }

    pub(super) async fn operation_status(&self, name: &str, id: &str) -> Result<OwnAnswer, OwnError> {
        let found = self.find(name)?;
        if id.parse() != Ok(found.body.operation) {
            return Err(self.not_found());
        }
        let settled = self.desk.state.is_settled(found.revision).await;
        let shown = state(&found.body, self.now());
        let status = if shown == "Succeeded" && !settled { "Running" } else { shown };
        let mut body = json!({ "id": self.request.path.as_str(), "name": id, "status": status, "startTime": found.body.started_at });
        if let (Value::Object(members), Some(error)) = (&mut body, &found.body.error) {
            members.insert("error".to_owned(), error.clone());
        }
        let answer = OwnAnswer::ok(body);
        Ok(if status == "Running" { answer.with("retry-after", "1") } else { answer })
    }

    pub(super) fn operations(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let found = self.find(name)?;
        let value: Vec<Value> = found.body.resources.iter().map(|one| self.show_operation(&found.body, one)).collect();
        Ok(OwnAnswer::ok(json!({ "value": value })))
    }

    fn show_operation(&self, deployment: &Deployment, one: &crate::directory::entity::DeployedResource) -> Value {
        let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{}|{}", deployment.operation, one.id).as_bytes());
        let (status, code) = match one.state {
            DeploymentState::Failed => ("Failed", "BadRequest"),
            DeploymentState::Running => ("Running", "Accepted"),
            DeploymentState::Succeeded => ("Succeeded", "OK"),
        };
        json!({
            "id": format!("{}/providers/Microsoft.Resources/deployments/{}/operations/{id}", self.request.scope, deployment.name),
            "operationId": id.to_string(),
            "properties": {
                "provisioningOperation": "Create",
                "provisioningState": status,
                "timestamp": deployment.ended_at.unwrap_or(deployment.started_at),
                "statusCode": code,
                "targetResource": { "id": one.id, "resourceType": one.kind, "resourceName": one.id.rsplit('/').next() },
                "statusMessage": one.error.as_ref().map(|error| json!({ "error": error })),
            },
        })
    }
}

/// The state as Azure names it. One that began and never ended was cut off with its request or its process.
pub(super) fn state(deployment: &Deployment, now: Timestamp) -> &'static str {
    match deployment.state {
        DeploymentState::Failed => "Failed",
        DeploymentState::Succeeded => "Succeeded",
        DeploymentState::Running => {
            let late = deployment.started_at.checked_add(TIME_MAX * 2).is_ok_and(|end| end < now);
            if late { "Canceled" } else { "Running" }
        }
    }
}

/// `{code, message}`.
pub(super) fn error(code: &str, message: &str) -> Value {
    json!({ "code": code, "message": message })
}

/// The error of a part, without what is only for its own request.
pub(super) fn error_of(answer: &PartAnswer) -> Value {
    let (code, message) = code_and_message(&answer.body);
    error(&code, &message)
}

/// Code and message of an error body.
pub(super) fn code_and_message(body: &Value) -> (String, String) {
    let text = |member: &str| body.pointer(&format!("/error/{member}")).and_then(Value::as_str).unwrap_or("Unknown").to_owned();
    (text("code"), text("message"))
}

/// The error of a deployment one of whose parts failed.
pub(super) fn deployment_failed(target: &str, cause: &Value) -> Value {
    let mut detail = cause.clone();
    if let Value::Object(members) = &mut detail {
        members.insert("target".to_owned(), target.into());
    }
    json!({
        "code": "DeploymentFailed",
        "message": "A resource of the template could not be deployed; what stands before it in the list of operations was.",
        "details": [detail],
    })
}
