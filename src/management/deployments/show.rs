//! Deployments as clients read them. Source: Deployments, 2021-04-01.

use serde_json::{Value, json};
use uuid::Uuid;

use super::plan::Plan;
use super::run::SILENCE_MAX;
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
        let made = deployment.resources.iter().filter(|one| one.state == DeploymentState::Succeeded);
        let properties = json!({
            "provisioningState": state,
            "mode": deployment.mode,
            "correlationId": deployment.correlation_id,
            "timestamp": deployment.ended_at.unwrap_or(deployment.started_at),
            "duration": deployment.ended_at.map(|ended| format!("PT{}S", ended.duration_since(deployment.started_at).as_secs_f64().max(0.0))),
            "parameters": deployment.parameters,
            "outputs": deployment.outputs,
            "outputResources": made.map(|one| json!({ "id": one.id })).collect::<Vec<_>>(),
            "dependencies": [],
            "providers": [],
            "error": why(deployment, self.now()),
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
        if let (Value::Object(members), Some(error)) = (&mut body, why(&found.body, self.now())) {
            members.insert("error".to_owned(), error);
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
        let is_cut_off = !is_under_way(deployment, self.now());
        let (status, code) = match one.state {
            DeploymentState::Running if !is_cut_off => ("Running", "Accepted"),
            DeploymentState::Canceled | DeploymentState::Running => ("Canceled", "Conflict"),
            DeploymentState::Failed => ("Failed", "BadRequest"),
            DeploymentState::Succeeded => ("Succeeded", "OK"),
        };
        let unknown = (is_cut_off && one.state == DeploymentState::Running).then(|| error("Unknown", UNKNOWN));
        json!({
            "id": format!("{}/providers/Microsoft.Resources/deployments/{}/operations/{id}", self.request.scope, deployment.name),
            "operationId": id.to_string(),
            "properties": {
                "provisioningOperation": "Create",
                "provisioningState": status,
                "timestamp": deployment.ended_at.unwrap_or(deployment.started_at),
                "statusCode": code,
                "targetResource": { "id": one.id, "resourceType": one.kind, "resourceName": one.id.rsplit('/').next() },
                "statusMessage": one.error.as_ref().or(unknown.as_ref()).map(|error| json!({ "error": error })),
            },
        })
    }
}

/// The state as Azure names it. One that is silent was cut off with its gateway.
pub(super) fn state(deployment: &Deployment, now: Timestamp) -> &'static str {
    match deployment.state {
        DeploymentState::Failed => "Failed",
        DeploymentState::Succeeded => "Succeeded",
        DeploymentState::Running if is_under_way(deployment, now) => "Running",
        DeploymentState::Canceled | DeploymentState::Running => "Canceled",
    }
}

/// Whether some gateway carries it out.
pub(super) fn is_under_way(deployment: &Deployment, now: Timestamp) -> bool {
    let seen = deployment.seen_at.unwrap_or(deployment.started_at);
    let is_silent = seen.checked_add(SILENCE_MAX).is_ok_and(|end| end < now);
    deployment.state == DeploymentState::Running && !is_silent
}

/// Why it did not come about as a whole.
fn why(deployment: &Deployment, now: Timestamp) -> Option<Value> {
    let is_cut_off = deployment.state == DeploymentState::Running && !is_under_way(deployment, now);
    deployment.error.clone().or_else(|| is_cut_off.then(|| error("DeploymentCanceled", CUT_OFF)))
}

const CUT_OFF: &str = "The gateway that carried out the deployment ended before it. What is listed was made; what it asked for \
                       after that may have been made as well. Deploy it again for the rest.";
const UNKNOWN: &str = "This was asked for, and it is not known what became of it: look whether it is there.";

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

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Clock;
    use crate::directory::entity::DeployedResource;
    use crate::ids::{ObjectId, OperationId, PrincipalId, TenantId};

    pub(in super::super) fn begun(at: Timestamp) -> Deployment {
        let subscription = "8f2c1a10-0000-4000-8000-000000000001".parse().unwrap();
        Deployment {
            name: "d".into(),
            subscription,
            scope: crate::arm::scope::Scope::subscription(subscription),
            operation: OperationId::random(),
            correlation_id: "c".into(),
            caller: PrincipalId { tenant: TenantId::random(), object: ObjectId::random() },
            mode: "Incremental".into(),
            location: "west".into(),
            started_at: at,
            seen_at: None,
            ended_at: None,
            state: DeploymentState::Running,
            parameters: serde_json::Map::new(),
            outputs: serde_json::Map::new(),
            resources: vec![DeployedResource { id: "/a".into(), kind: "a".into(), state: DeploymentState::Running, error: None }],
            error: None,
        }
    }

    #[test]
    fn a_deployment_without_a_sign_was_cut_off_with_its_gateway() {
        let at = Clock::system().now();
        let after = |time: Duration| at.checked_add(time).unwrap();
        let mut one = begun(at);
        assert_eq!((state(&one, after(SILENCE_MAX)), why(&one, after(SILENCE_MAX))), ("Running", None));
        let later = after(SILENCE_MAX + Duration::from_millis(1));
        assert_eq!(state(&one, later), "Canceled");
        assert!(why(&one, later).unwrap().to_string().contains("ended before it"));
        one.seen_at = Some(after(SILENCE_MAX));
        assert_eq!((state(&one, later), why(&one, later)), ("Running", None));
        for (ended, told) in
            [(DeploymentState::Canceled, "Canceled"), (DeploymentState::Failed, "Failed"), (DeploymentState::Succeeded, "Succeeded")]
        {
            one.state = ended;
            assert_eq!((state(&one, at), is_under_way(&one, at), why(&one, later)), (told, false, None));
        }
    }

    #[test]
    fn what_older_gateways_kept_is_read() {
        let mut kept = serde_json::to_value(begun(Clock::system().now())).unwrap();
        kept.as_object_mut().unwrap().remove("seen_at");
        assert_eq!(serde_json::from_value::<Deployment>(kept).unwrap().seen_at, None);
    }
}
