//! Carrying a plan out, part by part.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::plan::{Plan, query};
use super::under_way::Turn;
use super::{Call, DeploymentError, Desk, OwnAnswer, OwnError, show};
use crate::arm::action::Method;
use crate::arm::query::ApiVersion;
use crate::clock::Clock;
use crate::directory::entity::{self, DeployedResource, Deployment, DeploymentState, Entity};
use crate::directory::{Directory, Versioned};
use crate::ids::OperationId;
use crate::json;
use crate::management::{Part, PartAnswer};
use crate::panics::contained;
use crate::pipeline::OwnRequest;
use crate::state::ChangeError;
use crate::store::Write;
use crate::telemetry::chain;
use crate::template::{Needed, PlannedResource, References, Unresolved};

/// How long all parts together may take.
const TIME_MAX: Duration = Duration::from_secs(600);
/// How long the backend may be busy with one part, or have no turn for it.
const PART_TIME_MAX: Duration = Duration::from_secs(60);
/// How often a part that the backend is still busy with is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How often what became of the parts is kept, and how often while nothing becomes of any that somebody is at it.
const KEEP_EVERY: Duration = Duration::from_secs(1);
const SIGN_EVERY: Duration = Duration::from_secs(5);
/// After so long without a sign a deployment was cut off with the gateway that carried it out.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(20);
/// How often it is tried to keep the end of a deployment, a second apart.
const ATTEMPTS_MAX: usize = 60;
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

/// A deployment that has begun.
#[derive(Debug)]
pub struct Run {
    plan: Plan,
    begun: Deployment,
    turn: Turn,
}

/// Why a part, or the whole, did not come about.
struct Failed {
    /// Failed or canceled.
    state: DeploymentState,
    error: Value,
}

impl Failed {
    const fn new(error: Value) -> Self {
        Self { state: DeploymentState::Failed, error }
    }
}

/// Carries a deployment out that has begun, whoever waits for it.
pub async fn go_on(request: &Arc<OwnRequest>, run: Run, desk: &Desk<'_>) {
    let (call, progress) = (Call { request, desk }, watch::Sender::new(run.begun));
    let carrying = pin!(call.carry(&run.plan, &progress));
    let carried = tokio::select! {
        carried = contained(carrying) => carried,
        never = call.keep_up(progress.subscribe()) => match never {},
    };
    let mut deployment = progress.borrow().clone();
    match carried {
        Ok(Ok(outputs)) => (deployment.state, deployment.outputs) = (DeploymentState::Succeeded, outputs),
        Ok(Err(failed)) => (deployment.state, deployment.error) = (failed.state, Some(failed.error)),
        Err(_panicked) => {
            let error = show::error("InternalServerError", "The gateway failed while it carried out the deployment.");
            (deployment.state, deployment.error) = (DeploymentState::Failed, Some(error));
        }
    }
    limit_values(&mut deployment);
    deployment.ended_at = Some(desk.clock.now());
    call.keep_end(deployment).await;
    drop(run.turn);
}

impl Call<'_> {
    pub(super) async fn put(&self, name: &str, body: &Value) -> Result<OwnAnswer, OwnError> {
        let plan = self.plan(name, body).await?;
        self.judge(&plan)?;
        let turn = self.desk.deployments.take(self.request.caller.principal.tenant)?;
        let operation = OperationId::random();
        let begun = self.begun(&plan, operation)?;
        self.keep_begun(&begun).await?;
        let accepted = self.show_accepted(&begun);
        self.desk.parts.go_on(Arc::clone(self.request), Run { plan, begun, turn });
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
        let mut begun = Deployment {
            name: plan.name.as_str().into(),
            scope: self.request.scope.clone(),
            subscription,
            operation,
            correlation_id: self.request.correlation_id.clone(),
            caller: self.request.caller.principal,
            mode: plan.mode.as_str().into(),
            location: plan.location.as_str().into(),
            started_at: self.now(),
            seen_at: Some(self.desk.clock.now()),
            ended_at: None,
            state: DeploymentState::Running,
            parameters: plan.expanded.parameters.clone(),
            outputs: Map::new(),
            resources: Vec::new(),
            error: None,
        };
        limit_values(&mut begun);
        Ok(begun)
    }

    async fn keep_begun(&self, begun: &Deployment) -> Result<(), OwnError> {
        let key = entity::deployment_key(&begun.scope, &begun.name);
        let changed = self.desk.change(self.request, |directory| {
            let mut writes = vec![Entity::Deployment(begun.clone()).into_write()];
            let Some(held) = directory.registry().holdings(begun.subscription).map(|held| &held.deployments) else {
                return Ok((writes, ()));
            };
            let is_under_way = |one: &Versioned<Deployment>| show::is_under_way(&one.body, self.now());
            if held.get(&key.name).is_some_and(is_under_way) {
                return Err(DeploymentError::Active { name: begun.name.to_string() }.into());
            }
            if held.len() >= KEPT_MAX && !held.contains_key(&key.name) {
                let oldest = held.values().filter(|one| !is_under_way(one)).min_by_key(|one| one.body.started_at);
                writes.extend(oldest.map(|one| entity::removal(entity::deployment_key(&one.body.scope, &one.body.name))));
            }
            Ok::<(Vec<Write>, ()), OwnError>((writes, ()))
        });
        changed.await?;
        Ok(())
    }

    /// Keeps what becomes of the parts, and that somebody is at it.
    async fn keep_up(&self, mut progress: watch::Receiver<Deployment>) -> Infallible {
        loop {
            drop(timeout(SIGN_EVERY, progress.changed()).await);
            let deployment = progress.borrow_and_update().clone();
            // The next time will do.
            drop(self.keep(&deployment).await);
            sleep(KEEP_EVERY).await;
        }
    }

    async fn keep_end(&self, deployment: Deployment) {
        for _ in 0..ATTEMPTS_MAX {
            let Err(cause) = self.keep(&deployment).await else { return };
            tracing::warn!(cause = chain(&cause), "the end of a deployment could not be kept yet");
            if self.desk.deployments.is_stopped() {
                return;
            }
            sleep(AGAIN).await;
        }
    }

    /// What happened is kept whatever the caller may do by now. One that was cancelled stays so; one that is gone, or was begun anew, is
    /// somebody else's.
    async fn keep(&self, deployment: &Deployment) -> Result<(), ChangeError<Infallible>> {
        let now = self.desk.clock.now();
        let changed = self.desk.state.change(now, |directory: &Arc<Directory>| {
            let Some(found) = find(directory, deployment) else { return Ok((Vec::new(), ())) };
            let mut kept = Deployment { seen_at: Some(now), ..deployment.clone() };
            if found.state == DeploymentState::Canceled {
                (kept.state, kept.ended_at, kept.error) = (found.state, found.ended_at, found.error.clone());
            }
            Ok((vec![Entity::Deployment(kept).into_write()], ()))
        });
        Box::pin(changed).await.map(drop)
    }

    /// Whether it is wanted that it goes on.
    fn may_go_on(&self, deployment: &Deployment) -> Result<(), Failed> {
        let canceled = |message: &str| Failed { state: DeploymentState::Canceled, error: show::error("DeploymentCanceled", message) };
        if find(&self.desk.state.directory(), deployment).is_none_or(|found| found.state != DeploymentState::Running) {
            return Err(canceled("The deployment was cancelled. What had been made by then stays."));
        }
        if self.desk.deployments.is_stopped() {
            return Err(canceled("The gateway that carried out the deployment was stopped. Deploy it again for the rest."));
        }
        Ok(())
    }

    async fn carry(&self, plan: &Plan, progress: &watch::Sender<Deployment>) -> Result<Map<String, Value>, Failed> {
        let deadline = after(TIME_MAX);
        let mut known = Known::default();
        for resource in &plan.expanded.resources {
            self.may_go_on(&progress.borrow())?;
            if is_over(deadline) {
                let message = format!("the deployment was not done within {} s", TIME_MAX.as_secs());
                return Err(Failed::new(show::error("DeploymentTimedOut", &message)));
            }
            progress.send_modify(|deployment| deployment.resources.push(begun_part(resource)));
            let ended = self.part(resource, &mut known, progress).await;
            progress.send_modify(|deployment| end_part(deployment, ended.as_ref().err()));
            ended.map_err(|failed| Failed { error: show::deployment_failed(&resource.id, &failed.error), ..failed })?;
        }
        let outputs = self.outputs(plan, &mut known).await;
        outputs.map_err(|failed| Failed { error: show::deployment_failed(&plan.name, &failed.error), ..failed })
    }

    async fn part(&self, resource: &PlannedResource, known: &mut Known, progress: &watch::Sender<Deployment>) -> Result<(), Failed> {
        if resource.is_nested_deployment() {
            let outputs = self.resolved(known, |known| resource.resolve_outputs(known)).await?;
            known.0.insert(resource.id.to_ascii_lowercase(), serde_json::json!({ "properties": { "outputs": outputs } }));
            return Ok(());
        }
        let body = self.resolved(known, |known| resource.resolve(known)).await?;
        let deadline = after(PART_TIME_MAX);
        let answer = self.write(resource, &body, progress, deadline).await?;
        if !answer.status.is_success() {
            return Err(Failed::new(show::error_of(&answer)));
        }
        let made = self.until_done(resource, answer, progress, deadline).await?;
        known.0.insert(resource.id.to_ascii_lowercase(), made);
        Ok(())
    }

    /// Asks for a part. It counts among what its caller may write, and waits while that is used up.
    async fn write(
        &self,
        resource: &PlannedResource,
        body: &Value,
        progress: &watch::Sender<Deployment>,
        deadline: Instant,
    ) -> Result<PartAnswer, Failed> {
        let query = query(resource);
        loop {
            let part = Part { request: self.request, method: Method::Put, path: &resource.id, query: &query, body: Some(body) };
            let answer = self.desk.parts.perform_counted(part).await;
            let wait = answer.retry_after().filter(|_| answer.status == StatusCode::TOO_MANY_REQUESTS);
            let Some(wait) = wait.filter(|wait| !is_over(deadline.checked_sub(*wait).unwrap_or(deadline))) else { return Ok(answer) };
            sleep(wait).await;
            self.may_go_on(&progress.borrow())?;
        }
    }

    /// Waits for a backend that answered before it was done. What the gateway itself keeps is settled with the deployment.
    async fn until_done(
        &self,
        resource: &PlannedResource,
        first: PartAnswer,
        progress: &watch::Sender<Deployment>,
        deadline: Instant,
    ) -> Result<Value, Failed> {
        let query = query(resource);
        let mut answer = first;
        let own = is_own(&resource.resource_type);
        while !own && !is_done(&answer) {
            if is_over(deadline) {
                let message = format!("the resource was not ready within {} s", PART_TIME_MAX.as_secs());
                return Err(Failed::new(show::error("DeploymentTimedOut", &message)));
            }
            sleep(LOOK).await;
            self.may_go_on(&progress.borrow())?;
            let part = Part { request: self.request, method: Method::Get, path: &resource.id, query: &query, body: None };
            answer = self.desk.parts.perform(part).await;
        }
        if !answer.status.is_success() {
            return Err(Failed::new(show::error_of(&answer)));
        }
        match provisioning_state(&answer.body) {
            Some("Failed" | "Canceled") => {
                Err(Failed::new(show::error("ResourceDeploymentFailure", "the backend says that the resource failed")))
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
                Err(Unresolved::Fault(error)) => return Err(Failed::new(show::error("InvalidTemplate", &error.to_string()))),
                Err(Unresolved::Needs(needed)) => {
                    let value = self.read(&needed).await?;
                    known.0.insert(needed.id.to_ascii_lowercase(), value);
                }
            }
        }
        Err(Failed::new(show::error("InvalidTemplate", "an expression needs too many other resources to be read")))
    }

    async fn read(&self, needed: &Needed) -> Result<Value, Failed> {
        let version = needed.api_version.as_deref().unwrap_or("2021-04-01");
        let Some(version) = ApiVersion::new(version) else {
            let message = format!("the reference to `{}` asks for a version that is none; expected the form 2022-10-01", needed.id);
            return Err(Failed::new(show::error("InvalidTemplate", &message)));
        };
        let query = format!("api-version={version}");
        let part = Part { request: self.request, method: Method::Get, path: &needed.id, query: &query, body: None };
        let answer = self.desk.parts.perform(part).await;
        if answer.status.is_success() { Ok(answer.body) } else { Err(Failed::new(show::error_of(&answer))) }
    }
}

/// Between two attempts to keep the end.
const AGAIN: Duration = Duration::from_secs(1);

fn after(time: Duration) -> Instant {
    Instant::from_std(Clock::instant()) + time
}

fn is_over(deadline: Instant) -> bool {
    Instant::from_std(Clock::instant()) >= deadline
}

/// The deployment as it is kept, while it is this one.
fn find<'d>(directory: &'d Directory, deployment: &Deployment) -> Option<&'d Deployment> {
    let key = entity::deployment_key(&deployment.scope, &deployment.name);
    let held = directory.registry().holdings(deployment.subscription)?;
    held.deployments.get(&key.name).map(|found| &*found.body).filter(|found| found.operation == deployment.operation)
}

fn begun_part(resource: &PlannedResource) -> DeployedResource {
    let (id, kind) = (resource.id.as_str().into(), resource.resource_type.as_str().into());
    DeployedResource { id, kind, state: DeploymentState::Running, error: None }
}

fn end_part(deployment: &mut Deployment, failed: Option<&Failed>) {
    let Some(part) = deployment.resources.last_mut() else { return };
    part.state = failed.map_or(DeploymentState::Succeeded, |failed| failed.state);
    part.error = failed.map(|failed| failed.error.clone());
}

fn limit_values(deployment: &mut Deployment) {
    if json::text(&deployment.parameters).len() + json::text(&deployment.outputs).len() > VALUES_BYTES_MAX {
        (deployment.parameters, deployment.outputs) = (Map::new(), Map::new());
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
        // Whoever may not look, or asks for nothing that there could be, looks in vain for ever.
        None if answer.status.is_client_error() => answer.status != StatusCode::NOT_FOUND && answer.status != StatusCode::TOO_MANY_REQUESTS,
        None => answer.status.is_success() && answer.status != StatusCode::ACCEPTED,
    }
}
