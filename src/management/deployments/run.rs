//! Carrying a plan out, part by part.

use std::collections::HashMap;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use super::plan::{Plan, query};
use super::{Call, OwnAnswer, OwnError, show};
use crate::arm::action::Method;
use crate::arm::query::ApiVersion;
use crate::clock::Clock;
use crate::directory::entity::{self, DeployedResource, Deployment, DeploymentState, Entity};
use crate::ids::OperationId;
use crate::json;
use crate::management::{Part, PartAnswer};
use crate::store::Write;
use crate::template::{Needed, PlannedResource, References, Unresolved};

/// How long all parts together may take.
pub(super) const TIME_MAX: Duration = Duration::from_secs(60);
/// How often a part that the backend is still busy with is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Deployments kept in a subscription; with each new one the oldest beyond that goes.
const KEPT_MAX: usize = 200;
/// Bytes of parameters and outputs that are kept; beyond that none of them are.
const VALUES_BYTES_MAX: usize = 256 << 10;
/// Resources that a body may need to be read before it is known.
const NEEDS_MAX: usize = 64;

/// What was deployed or read so far, by id in lower case.
#[derive(Default)]
struct Known(HashMap<String, Value>);

impl References for Known {
    fn resource(&self, id: &str, _api_version: Option<&str>) -> Option<Value> {
        self.0.get(&id.to_ascii_lowercase()).cloned()
    }
}

/// Why a part did not come about.
struct Failed(Value);

impl Call<'_> {
    pub(super) async fn put(&self, name: &str, body: &Value) -> Result<OwnAnswer, OwnError> {
        let plan = self.plan(name, body).await?;
        self.judge(&plan)?;
        let operation = OperationId::random();
        let begun = self.begun(&plan, operation)?;
        self.keep(begun.clone()).await?;
        let ended = self.run(&plan, begun).await;
        self.keep(ended.clone()).await?;
        let accepted = self.show_accepted(&ended);
        let link = format!(
            "https://{}{}/providers/Microsoft.Resources/deployments/{name}/operationStatuses/{operation}?{API_VERSION}&{}",
            self.request.authority,
            self.request.scope,
            self.desk.since()
        );
        let answer = OwnAnswer { status: StatusCode::CREATED, ..OwnAnswer::ok(accepted) };
        Ok(answer.with("azure-asyncoperation", link).with("retry-after", "1"))
    }

    fn begun(&self, plan: &Plan, operation: OperationId) -> Result<Deployment, OwnError> {
        let (subscription, _) = self.place()?;
        Ok(Deployment {
            name: plan.name.as_str().into(),
            scope: self.request.scope.clone(),
            subscription,
            operation,
            correlation_id: self.request.correlation_id.clone(),
            caller: self.request.caller.principal,
            mode: plan.mode.as_str().into(),
            location: plan.location.as_str().into(),
            started_at: self.now(),
            ended_at: None,
            state: DeploymentState::Running,
            parameters: Map::new(),
            outputs: Map::new(),
            resources: Vec::new(),
            error: None,
        })
    }

    async fn keep(&self, deployment: Deployment) -> Result<(), OwnError> {
        let subscription = deployment.subscription;
        let key = entity::deployment_key(&deployment.scope, &deployment.name);
        let changed = self.desk.change(self.request, |directory| {
            let held = directory.registry().holdings(subscription).map(|held| &held.deployments);
            let mut writes = vec![Entity::Deployment(deployment.clone()).into_write()];
            if let Some(held) = held.filter(|held| held.len() >= KEPT_MAX && !held.contains_key(&key.name)) {
                let oldest = held.values().min_by_key(|one| one.body.started_at);
                writes.extend(oldest.map(|one| entity::removal(entity::deployment_key(&one.body.scope, &one.body.name))));
            }
            Ok::<(Vec<Write>, ()), OwnError>((writes, ()))
        });
        changed.await?;
        Ok(())
    }

    async fn run(&self, plan: &Plan, mut deployment: Deployment) -> Deployment {
        let deadline = Instant::from_std(Clock::instant()) + TIME_MAX;
        deployment.parameters.clone_from(&plan.expanded.parameters);
        let mut known = Known::default();
        for resource in &plan.expanded.resources {
            let ended = self.part(resource, &mut known, deadline).await;
            let error = ended.err().map(|Failed(error)| error);
            let failed = error.is_some();
            deployment.resources.push(DeployedResource {
                id: resource.id.as_str().into(),
                kind: resource.resource_type.as_str().into(),
                state: if failed { DeploymentState::Failed } else { DeploymentState::Succeeded },
                error: error.clone(),
            });
            if let Some(error) = error {
                deployment.error = Some(show::deployment_failed(&resource.id, &error));
                break;
            }
        }
        if deployment.error.is_none() {
            match self.outputs(plan, &mut known).await {
                Ok(outputs) => deployment.outputs = outputs,
                Err(Failed(error)) => deployment.error = Some(show::deployment_failed(&plan.name, &error)),
            }
        }
        if json::text(&deployment.parameters).len() + json::text(&deployment.outputs).len() > VALUES_BYTES_MAX {
            (deployment.parameters, deployment.outputs) = (Map::new(), Map::new());
        }
        deployment.state = if deployment.error.is_some() { DeploymentState::Failed } else { DeploymentState::Succeeded };
        deployment.ended_at = Some(self.desk.clock.now());
        deployment
    }

    async fn part(&self, resource: &PlannedResource, known: &mut Known, deadline: Instant) -> Result<(), Failed> {
        if resource.is_nested_deployment() {
            let outputs = self.resolved(known, |known| resource.resolve_outputs(known)).await?;
            known.0.insert(resource.id.to_ascii_lowercase(), serde_json::json!({ "properties": { "outputs": outputs } }));
            return Ok(());
        }
        let body = self.resolved(known, |known| resource.resolve(known)).await?;
        let query = query(resource);
        let part = Part { request: self.request, method: Method::Put, path: &resource.id, query: &query, body: Some(&body) };
        let answer = self.desk.parts.perform(part).await;
        if !answer.status.is_success() {
            return Err(Failed(show::error_of(&answer)));
        }
        let made = self.until_done(resource, answer, deadline).await?;
        known.0.insert(resource.id.to_ascii_lowercase(), made);
        Ok(())
    }

    /// Waits for a backend that answered before it was done. What the gateway itself keeps is settled with the deployment.
    async fn until_done(&self, resource: &PlannedResource, first: PartAnswer, deadline: Instant) -> Result<Value, Failed> {
        let query = query(resource);
        let mut answer = first;
        let own = is_own(&resource.resource_type);
        while !own && !is_done(&answer) {
            if Instant::from_std(Clock::instant()) >= deadline {
                let message = format!("the resource was not ready within {} s", TIME_MAX.as_secs());
                return Err(Failed(show::error("DeploymentTimedOut", &message)));
            }
            sleep(LOOK).await;
            let part = Part { request: self.request, method: Method::Get, path: &resource.id, query: &query, body: None };
            answer = self.desk.parts.perform(part).await;
        }
        match provisioning_state(&answer.body) {
            Some("Failed" | "Canceled") => {
                Err(Failed(show::error("ResourceDeploymentFailure", "the backend says that the resource failed")))
            }
            _ => Ok(answer.body),
        }
    }

    async fn outputs(&self, plan: &Plan, known: &mut Known) -> Result<Map<String, Value>, Failed> {
        self.resolved(known, |known| plan.expanded.resolve_outputs(known)).await
    }

    /// Computes a value, reading whatever it turns out to need.
    async fn resolved<T>(&self, known: &mut Known, compute: impl Fn(&Known) -> Result<T, Unresolved>) -> Result<T, Failed> {
        for _ in 0..NEEDS_MAX {
            match compute(known) {
                Ok(value) => return Ok(value),
                Err(Unresolved::Fault(error)) => return Err(Failed(show::error("InvalidTemplate", &error.to_string()))),
                Err(Unresolved::Needs(needed)) => {
                    let value = self.read(&needed).await?;
                    known.0.insert(needed.id.to_ascii_lowercase(), value);
                }
            }
        }
        Err(Failed(show::error("InvalidTemplate", "an expression needs too many other resources to be read")))
    }

    async fn read(&self, needed: &Needed) -> Result<Value, Failed> {
        let version = needed.api_version.as_deref().unwrap_or("2021-04-01");
        let Some(version) = ApiVersion::new(version) else {
            let message = format!("the reference to `{}` asks for a version that is none; expected the form 2022-10-01", needed.id);
            return Err(Failed(show::error("InvalidTemplate", &message)));
        };
        let query = format!("api-version={version}");
        let part = Part { request: self.request, method: Method::Get, path: &needed.id, query: &query, body: None };
        let answer = self.desk.parts.perform(part).await;
        if answer.status.is_success() { Ok(answer.body) } else { Err(Failed(show::error_of(&answer))) }
    }
}

/// The version that the links of operations carry.
const API_VERSION: &str = "api-version=2021-04-01";

fn is_own(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    kind.starts_with("microsoft.managedservices/") || kind == "microsoft.authorization/roleassignments"
}

fn provisioning_state(body: &Value) -> Option<&str> {
    body.pointer("/properties/provisioningState").and_then(Value::as_str)
}

fn is_done(answer: &PartAnswer) -> bool {
    match provisioning_state(&answer.body) {
        Some(state) => ["Succeeded", "Failed", "Canceled"].iter().any(|end| end.eq_ignore_ascii_case(state)),
        None => answer.status != StatusCode::ACCEPTED && answer.status != StatusCode::NOT_FOUND,
    }
}
