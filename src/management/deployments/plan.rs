//! From a request's body to what is to be written, and whether the caller may write it.

use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use uuid::Uuid;

use super::{Call, DeploymentError, OwnAnswer, OwnError, show};
use crate::arm::action::Method;
use crate::clock::{Clock, Timestamp};
use crate::management::{Part, Rehearsal};
use crate::template::{DeploymentScope, Expanded, GroupFacts, PlannedResource, SubscriptionFacts, Template};

/// Templates that are expanded at once; more wait, for so long.
static EXPANDING: Semaphore = Semaphore::const_new(2);
const TURN_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the parts of a template are tried.
const REHEARSAL_TIME_MAX: Duration = Duration::from_secs(20);
/// Characters of a deployment's name. Source: Azure naming rules.
const NAME_CHARS_MAX: usize = 64;

/// A deployment that is known to be possible.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) mode: String,
    pub(super) location: String,
    pub(super) expanded: Expanded,
}

impl Call<'_> {
    /// Reads and expands; asks nobody whether it may be done.
    pub(super) async fn plan(&self, name: &str, body: &Value) -> Result<Plan, OwnError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '(' | ')');
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || !name.chars().all(allowed) {
            return Err(DeploymentError::Name { name: name.chars().take(NAME_CHARS_MAX).collect() }.into());
        }
        let wrong = |member: &'static str, problem: &str| DeploymentError::Body { member, problem: problem.to_owned() };
        let properties = body.get("properties").ok_or_else(|| wrong("properties", "is missing"))?;
        for linked in ["templateLink", "parametersLink"] {
            if properties.get(linked).is_some_and(|value| !value.is_null()) {
                return Err(wrong(
                    "properties.templateLink",
                    "cannot be followed: this gateway fetches nothing; send template and parameters",
                )
                .into());
            }
        }
        let template = properties.get("template").ok_or_else(|| wrong("properties.template", "is missing"))?;
        let mode = properties.get("mode").and_then(Value::as_str).unwrap_or("Incremental");
        if !mode.eq_ignore_ascii_case("Incremental") {
            return Err(
                wrong("properties.mode", "has to be Incremental: deployments here never remove what a template does not name").into()
            );
        }
        let scope = self.deployment_scope(name, body).await?;
        let location = scope.location.clone();
        let parameters = properties.get("parameters").cloned().unwrap_or(Value::Null);
        let expanded = expand(template.clone(), parameters, scope, self.now()).await?;
        Ok(Plan { name: name.to_owned(), mode: "Incremental".to_owned(), location, expanded })
    }

    async fn deployment_scope(&self, name: &str, body: &Value) -> Result<DeploymentScope, OwnError> {
        let (subscription, customer) = self.place()?;
        let directory = &self.desk.context.directory;
        let display_name = directory.subscription(subscription).map(|found| found.name.to_string()).unwrap_or_default();
        let group = match self.request.scope.resource_group_name() {
            Some(group) => Some(self.group(group).await?),
            None => None,
        };
        let given = body.get("location").and_then(Value::as_str).map(str::to_owned);
        let location = group.as_ref().map(|group| group.location.clone()).or(given);
        let missing = || DeploymentError::Body { member: "location", problem: "is missing: where the deployment is kept".to_owned() };
        Ok(DeploymentScope {
            tenant_id: customer.to_string(),
            tenant_name: directory.known_to(self.request.caller.principal.tenant).tenant_name(customer).unwrap_or_default(),
            management_group: None,
            subscription: Some(SubscriptionFacts { id: subscription.to_string(), display_name }),
            resource_group: group,
            deployment: name.to_owned(),
            location: location.ok_or_else(missing)?,
            environment: None,
            guid_seed: Uuid::new_v4(),
        })
    }

    async fn group(&self, name: &str) -> Result<GroupFacts, OwnError> {
        let path = self.request.scope.to_string();
        let part = Part { request: self.request, method: Method::Get, path: &path, query: GROUP_QUERY, body: None };
        let answer = self.desk.parts.perform(part).await;
        if !answer.status.is_success() {
            return Err(DeploymentError::Group { name: name.to_owned() }.into());
        }
        let text = |member: &str| answer.body.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(GroupFacts { name: name.to_owned(), location: text("location"), tags: answer.body.get("tags").cloned().unwrap_or(Value::Null) })
    }

    /// Whether the caller may write everything.
    pub(super) fn judge(&self, plan: &Plan) -> Result<(), OwnError> {
        let all = &plan.expanded.resources;
        let refused = |resource: &PlannedResource| {
            let query = query(resource);
            let part = Part { request: self.request, method: Method::Put, path: &resource.id, query: &query, body: None };
            self.desk.parts.judge(&part).err().map(|answer| (resource.id.clone(), answer))
        };
        let refused: Vec<_> = all.iter().filter_map(refused).collect();
        let Some((id, answer)) = refused.first() else { return Ok(()) };
        let (code, message) = show::code_and_message(&answer.body);
        Err(DeploymentError::Refused { count: refused.len(), all: all.len(), id: id.clone(), code, message }.into())
    }

    pub(super) async fn validate(&self, name: &str, body: &Value) -> Result<OwnAnswer, OwnError> {
        let plan = self.plan(name, body).await?;
        self.judge(&plan)?;
        self.rehearse(&plan).await?;
        Ok(OwnAnswer::ok(self.show_validated(&plan)))
    }

    /// Whether what the gateway itself keeps would be accepted, one resource after the other. What depends on resources that are not
    /// there yet cannot be tried.
    pub(super) async fn rehearse(&self, plan: &Plan) -> Result<(), OwnError> {
        let rehearsal = Rehearsal::new(&self.desk.state.directory());
        let started = Clock::instant();
        for resource in plan.expanded.resources.iter().filter(|one| !one.is_nested_deployment() && one.needs.is_empty()) {
            if started.elapsed() > REHEARSAL_TIME_MAX {
                return Err(DeploymentError::Body {
                    member: "properties.template",
                    problem: "takes too long to try; deploy it in parts".to_owned(),
                }
                .into());
            }
            // Others of the same worker come first.
            tokio::task::yield_now().await;
            let query = query(resource);
            let part = Part { request: self.request, method: Method::Put, path: &resource.id, query: &query, body: Some(&resource.body) };
            if let Err(answer) = self.desk.parts.rehearse(part, &rehearsal).await {
                let (code, message) = show::code_and_message(&answer.body);
                return Err(DeploymentError::WouldFail { id: resource.id.clone(), code, message }.into());
            }
        }
        Ok(())
    }
}

/// A template may cost a fifth of a second at its bounds, for which no other request of the worker should wait.
async fn expand(template: Value, parameters: Value, scope: DeploymentScope, now: Timestamp) -> Result<Expanded, OwnError> {
    let Ok(Ok(_turn)) = timeout(TURN_TIME_MAX, EXPANDING.acquire()).await else { return Err(OwnError::Busy) };
    let expanding = spawn_blocking(move || Template::from_value(template)?.expand(&parameters, &scope, now));
    match expanding.await {
        Ok(expanded) => Ok(expanded.map_err(DeploymentError::from)?),
        Err(cause) => {
            tracing::error!(%cause, "expanding a template ended without an answer");
            let problem = "could not be expanded by this gateway".to_owned();
            Err(DeploymentError::Body { member: "properties.template", problem }.into())
        }
    }
}

/// The version that the mock and Azure know for resource groups.
const GROUP_QUERY: &str = "api-version=2021-04-01";

/// The query of a part.
pub(super) fn query(resource: &PlannedResource) -> String {
    format!("api-version={}", resource.api_version)
}
