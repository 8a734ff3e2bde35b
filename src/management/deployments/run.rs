//! Carrying a plan out, part by part.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Map, Value};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

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
/// The least time from one attempt at a part that has no turn to the next.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// How often between begin and end what became of the parts is kept, which is the sign that somebody is at it: all deployments of all
/// gateways are kept in one store, one change after the other.
const KEEP_EVERY: Duration = Duration::from_secs(15);
/// After so long without a sign a deployment was cut off with the gateway that carried it out.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(60);
/// How often it is tried to keep the end of a deployment, a second apart.
const ATTEMPTS_MAX: usize = 60;
/// Deployments kept in a subscription; with each new one the oldest beyond that goes.
const KEPT_MAX: usize = 200;
/// Bytes of parameters and outputs that are kept; beyond that none of them are.
const VALUES_BYTES_MAX: usize = 256 << 10;
/// The same between begin and end.
const PROGRESS_VALUES_BYTES_MAX: usize = 4 << 10;
/// Bytes of parts that are kept between begin and end; those after them are kept with the end.
const PROGRESS_PARTS_BYTES_MAX: usize = 128 << 10;
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

/// A deployment that begins.
#[derive(Debug)]
pub struct Run {
    plan: Plan,
    begun: Deployment,
    turn: Turn,
    /// Learns whether it has begun.
    told: oneshot::Sender<Result<(), OwnError>>,
}

/// What a deployment under way has come to, and until when it may begin something.
#[derive(Clone, Copy)]
struct Course<'a> {
    progress: &'a watch::Sender<Deployment>,
    deadline: Instant,
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

/// Begins a deployment and carries it out, whoever waits for it.
pub async fn go_on(request: &Arc<OwnRequest>, run: Run, desk: &Desk<'_>) {
    let Run { plan, begun, turn, told } = run;
    let call = Call { request, desk };
    let kept = call.keep_begun(&begun).await;
    let has_begun = kept.is_ok();
    let progress = watch::Sender::new(begun);
    let shown = has_begun.then(|| desk.deployments.show(&progress));
    // Its client may have left.
    drop(told.send(kept));
    if has_begun {
        call.go_to_the_end(&plan, &progress).await;
    }
    drop((shown, turn));
}

impl Call<'_> {
    pub(super) async fn put(&self, name: &str, body: &Value) -> Result<OwnAnswer, OwnError> {
        let plan = self.plan(name, body).await?;
        self.judge(&plan)?;
        let turn = self.desk.deployments.take(self.request.caller.owner())?;
        let operation = OperationId::random();
        let begun = self.begun(&plan, operation)?;
        let accepted = self.show_accepted(&begun);
        let (told, has_begun) = oneshot::channel();
        // Once it is kept it is carried out, though its client leaves in that moment.
        self.desk.parts.go_on(Arc::clone(self.request), Run { plan, begun, turn, told });
        has_begun.await.unwrap_or(Err(OwnError::Unknown))?;
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
        limit_values(&mut begun, VALUES_BYTES_MAX);
        Ok(begun)
    }

    async fn go_to_the_end(&self, plan: &Plan, progress: &watch::Sender<Deployment>) {
        let course = Course { progress, deadline: after(TIME_MAX) };
        let carrying = pin!(self.carry(plan, course));
        let carried = tokio::select! {
            carried = contained(carrying) => carried,
            never = self.keep_up(progress) => match never {},
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
        limit_values(&mut deployment, VALUES_BYTES_MAX);
        deployment.ended_at = Some(self.desk.clock.now());
        self.keep_end(deployment).await;
    }

    async fn keep_begun(&self, begun: &Deployment) -> Result<(), OwnError> {
        let key = entity::deployment_key(&begun.scope, &begun.name);
        let changed = self.desk.change(self.request, |directory| {
            let mut writes = vec![Entity::Deployment(begun.clone()).into_write()];
            let Some(held) = directory.registry().holdings(begun.subscription).map(|held| &held.deployments) else {
                return Ok((writes, ()));
            };
            let is_under_way = |one: &Versioned<Deployment>| self.is_under_way(one);
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
    async fn keep_up(&self, progress: &watch::Sender<Deployment>) -> Infallible {
        loop {
            sleep(KEEP_EVERY).await;
            let mut deployment = progress.borrow().clone();
            limit_values(&mut deployment, PROGRESS_VALUES_BYTES_MAX);
            limit_parts(&mut deployment, PROGRESS_PARTS_BYTES_MAX);
            // The next time will do.
            drop(self.keep(&deployment).await);
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

    /// Whether something further may begin.
    fn may_begin(&self, course: Course<'_>) -> Result<(), Failed> {
        self.may_go_on(&course.progress.borrow())?;
        if is_over(course.deadline) {
            let message = format!("the deployment was not done within {} s", TIME_MAX.as_secs());
            return Err(Failed::new(show::error("DeploymentTimedOut", &message)));
        }
        Ok(())
    }

    async fn carry(&self, plan: &Plan, course: Course<'_>) -> Result<Map<String, Value>, Failed> {
        let (mut known, progress) = (Known::default(), course.progress);
        for resource in &plan.expanded.resources {
            self.may_begin(course)?;
            progress.send_modify(|deployment| deployment.resources.push(begun_part(resource)));
            let ended = self.part(resource, &mut known, course).await;
            progress.send_modify(|deployment| end_part(deployment, ended.as_ref().err()));
            ended.map_err(|failed| Failed { error: show::deployment_failed(&resource.id, &failed.error), ..failed })?;
        }
        let outputs = self.resolved(&mut known, course, |known| plan.expanded.resolve_outputs(known)).await;
        outputs.map_err(|failed| Failed { error: show::deployment_failed(&plan.name, &failed.error), ..failed })
    }

    async fn part(&self, resource: &PlannedResource, known: &mut Known, course: Course<'_>) -> Result<(), Failed> {
        if resource.is_nested_deployment() {
            let outputs = self.resolved(known, course, |known| resource.resolve_outputs(known)).await?;
            known.0.insert(resource.id.to_ascii_lowercase(), serde_json::json!({ "properties": { "outputs": outputs } }));
            return Ok(());
        }
        let body = self.resolved(known, course, |known| resource.resolve(known)).await?;
        let part = Course { deadline: after(PART_TIME_MAX), ..course };
        let answer = self.write(resource, &body, part).await?;
        if !answer.status.is_success() {
            return Err(Failed::new(show::error_of(&answer)));
        }
        let made = self.until_done(resource, answer, part).await?;
        known.0.insert(resource.id.to_ascii_lowercase(), made);
        Ok(())
    }

    /// Asks for a part. It counts among what its caller may write, and waits while that is used up.
    async fn write(&self, resource: &PlannedResource, body: &Value, course: Course<'_>) -> Result<PartAnswer, Failed> {
        let query = query(resource);
        loop {
            let part = Part { request: self.request, method: Method::Put, path: &resource.id, query: &query, body: Some(body) };
            let answer = self.desk.parts.perform_counted(part).await;
            let asked = answer.retry_after().filter(|_| answer.status == StatusCode::TOO_MANY_REQUESTS);
            let Some(time) = asked.and_then(|asked| pause(asked, left(course.deadline))) else { return Ok(answer) };
            self.wait(time, course).await?;
        }
    }

    /// Waits, as long as it is wanted that it goes on.
    async fn wait(&self, time: Duration, course: Course<'_>) -> Result<(), Failed> {
        let end = after(time);
        while !is_over(end) {
            sleep(left(end).min(LOOK)).await;
            self.may_go_on(&course.progress.borrow())?;
        }
        Ok(())
    }

    /// Waits for a backend that answered before it was done. What the gateway itself keeps is settled with the deployment.
    async fn until_done(&self, resource: &PlannedResource, first: PartAnswer, course: Course<'_>) -> Result<Value, Failed> {
        let query = query(resource);
        let mut answer = first;
        let own = is_own(&resource.resource_type);
        while !own && !is_done(&answer) {
            if is_over(course.deadline) {
                let message = format!("the resource was not ready within {} s", PART_TIME_MAX.as_secs());
                return Err(Failed::new(show::error("DeploymentTimedOut", &message)));
            }
            self.wait(LOOK, course).await?;
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

    /// Computes a value, reading whatever it turns out to need.
    async fn resolved<T>(
        &self,
        known: &mut Known,
        course: Course<'_>,
        compute: impl Fn(&Known) -> Result<T, Unresolved>,
    ) -> Result<T, Failed> {
        for _ in 0..NEEDS_MAX {
            match compute(known) {
                Ok(value) => return Ok(value),
                Err(Unresolved::Fault(error)) => return Err(Failed::new(show::error("InvalidTemplate", &error.to_string()))),
                Err(Unresolved::Needs(needed)) => {
                    self.may_begin(course)?;
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

/// What is left until then.
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::from_std(Clock::instant()))
}

/// How long a part without a turn waits, of what it was asked to and of what is left to it; `None` when nothing is.
fn pause(asked: Duration, left: Duration) -> Option<Duration> {
    (!left.is_zero()).then(|| asked.max(PAUSE_MIN).min(left))
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

/// Leaves out parameters and outputs that have more bytes together.
fn limit_values(deployment: &mut Deployment, bytes_max: usize) {
    if json::text(&deployment.parameters).len() + json::text(&deployment.outputs).len() > bytes_max {
        (deployment.parameters, deployment.outputs) = (Map::new(), Map::new());
    }
}

/// Leaves out the parts after those that have so many bytes together.
fn limit_parts(deployment: &mut Deployment, bytes_max: usize) {
    let mut bytes = 0_usize;
    let fits = |part: &&DeployedResource| {
        bytes = bytes.saturating_add(json::text(part).len());
        bytes <= bytes_max
    };
    let count = deployment.resources.iter().take_while(fits).count();
    deployment.resources.truncate(count);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::management::deployments::show::tests::begun;

    #[track_caller]
    fn check(asked_s: u64, left_s: u64, expected_s: Option<u64>) {
        let (asked, left) = (Duration::from_secs(asked_s), Duration::from_secs(left_s));
        assert_eq!(pause(asked, left), expected_s.map(Duration::from_secs), "asked for {asked_s} s with {left_s} s left");
    }

    #[test]
    fn a_part_without_a_turn_waits_a_second_at_least_and_no_longer_than_it_has() {
        check(0, 60, Some(1));
        check(2, 60, Some(2));
        check(60, 60, Some(60));
        check(61, 60, Some(60));
        check(u64::MAX, 60, Some(60));
        check(0, 0, None);
        check(u64::MAX, 0, None);
        assert_eq!(pause(Duration::ZERO, Duration::from_millis(10)), Some(Duration::from_millis(10)));
    }

    #[test]
    fn what_is_kept_on_the_way_is_bounded() {
        let mut deployment = begun(Clock::system().now());
        deployment.parameters = Map::from_iter([("a".to_owned(), "b".into())]);
        let (values, one) = (json::text(&deployment.parameters).len() + "{}".len(), deployment.resources.clone());
        deployment.resources = [one.clone(), one.clone(), one.clone()].concat();
        let part = json::text(&one[0]).len();

        let mut kept = deployment.clone();
        limit_values(&mut kept, values);
        limit_parts(&mut kept, 3 * part);
        assert_eq!(kept, deployment);
        limit_values(&mut kept, values - 1);
        limit_parts(&mut kept, 3 * part - 1);
        assert_eq!((kept.parameters.len(), kept.resources.len()), (0, 2));
    }

    #[test]
    fn a_deployment_may_miss_signs_before_it_counts_as_cut_off() {
        assert!(SILENCE_MAX >= 4 * KEEP_EVERY);
    }
}
