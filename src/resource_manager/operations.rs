//! Long-running operations: what is promised at the start, and how it is polled.
//!
//! An operation has no timer. It ends when the clock says so; polls compare. Source: ARM RPC, "Asynchronous Operations".

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::arm::error::ErrorBody;
use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::ids::{PrincipalId, SubscriptionId};

use super::address::PollStyle;
use super::answer::Answer;
use super::assertion::Actor;
use super::call::Call;
use super::codes::Code;
use super::providers::ResourceType;
use super::refusal::Refusal;
use super::resource::{Doing, End, Pending};
use super::world::{World, time};

/// Every in-progress answer says so: clients poll every 30 s when the header is 0 or absent.
const RETRY_AFTER_S: u32 = 1;
const AZURE_ASYNC_OPERATION: HeaderName = HeaderName::from_static("azure-asyncoperation");

/// Something that takes time.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operation {
    pub(super) id: Uuid,
    subscription: SubscriptionId,
    namespace: String,
    location: String,
    /// The id of what it works on.
    target: String,
    starter_tenant: String,
    starter_object: String,
    #[serde(with = "time")]
    started: Timestamp,
    #[serde(with = "time")]
    pub(super) ends: Timestamp,
    pub(super) failure: Option<Failure>,
    /// What the `Location` URL answers at the end.
    result: Option<Value>,
}

/// How an operation goes wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Failure {
    /// `Failed` or `Canceled`.
    #[serde(default)]
    pub(super) status: FailureStatus,
    #[serde(default = "Failure::default_code")]
    pub(super) code: Code,
    #[serde(default = "Failure::default_message")]
    pub(super) message: String,
}

/// The two ways not to succeed.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) enum FailureStatus {
    Canceled,
    #[default]
    Failed,
}

impl Failure {
    const fn default_code() -> Code {
        Code::OPERATION_FAILED
    }

    fn default_message() -> String {
        "the operation failed because a fault asked for it".to_owned()
    }

    const fn end(&self) -> End {
        match self.status {
            FailureStatus::Canceled => End::Canceled,
            FailureStatus::Failed => End::Failed,
        }
    }
}

impl Operation {
    /// Begins an operation on `target` as `call` asks for it.
    pub(super) fn begin(call: &Call<'_>, subscription: SubscriptionId, kind: &ResourceType, target: &str, location: &str) -> Self {
        let location = if location.is_empty() { "global".to_owned() } else { normalized(location) };
        Self {
            id: Uuid::new_v4(),
            subscription,
            namespace: kind.namespace.to_owned(),
            location,
            target: target.to_owned(),
            starter_tenant: call.actor.principal.tenant.to_string(),
            starter_object: call.actor.principal.object.to_string(),
            started: call.now,
            ends: later(call.now, call.settings.operation_time),
            failure: call.failure.cloned(),
            result: None,
        }
    }

    /// The same with a final answer for the `Location` URL.
    pub(super) fn with_result(mut self, result: Value) -> Self {
        self.result = Some(result);
        self
    }

    /// What stands in the resource that it works on.
    pub(super) fn pending(&self, doing: Doing) -> Pending {
        Pending { operation: self.id, doing, ends: self.ends, end: self.end() }
    }

    fn end(&self) -> End {
        self.failure.as_ref().map_or(End::Succeeded, Failure::end)
    }

    fn status(&self, now: Timestamp) -> &'static str {
        if now < self.ends { "InProgress" } else { self.end().as_str() }
    }

    /// Whether `actor` may poll: who started it, and whoever has a grant on its target.
    pub(super) fn is_open_to(&self, actor: &Actor) -> bool {
        let PrincipalId { tenant, object } = actor.principal;
        let started = self.starter_tenant == tenant.to_string() && self.starter_object == object.to_string();
        started || Scope::parse(&self.target).is_ok_and(|target| actor.scope.covers(&target))
    }

    fn url(&self, call: &Call<'_>, style: &str) -> String {
        let Self { subscription, namespace, location, id, .. } = self;
        let (base, version) = (&call.settings.base_url, call.api_version);
        format!("{base}/subscriptions/{subscription}/providers/{namespace}/locations/{location}/{style}/{id}?api-version={version}")
    }

    /// The `Azure-AsyncOperation` and `Retry-After` headers of the first answer.
    pub(super) fn announce_status(&self, call: &Call<'_>, answer: Answer) -> Answer {
        let url = match call.foreign_location {
            Some(foreign) => foreign.to_owned(),
            None => self.url(call, "operations"),
        };
        retry_after(answer.with_text(AZURE_ASYNC_OPERATION, &url))
    }

    /// The `Location` header besides.
    pub(super) fn announce_result(&self, call: &Call<'_>, answer: Answer) -> Answer {
        let url = match call.foreign_location {
            Some(foreign) => foreign.to_owned(),
            None => self.url(call, "operationresults"),
        };
        retry_after(answer.with_text(LOCATION, &url))
    }

    fn status_document(&self, id: &str, now: Timestamp) -> Value {
        let done = now >= self.ends;
        let mut document = json!({
            "id": id,
            "name": self.id.to_string(),
            "status": self.status(now),
            "startTime": self.started.to_string(),
            "percentComplete": if done { 100 } else { self.percent(now) },
        });
        if done && let Some(members) = document.as_object_mut() {
            members.insert("endTime".to_owned(), self.ends.to_string().into());
            if let Some(failure) = &self.failure {
                members.insert("error".to_owned(), json!({ "code": failure.code.as_str(), "message": failure.message }));
            }
        }
        document
    }

    fn percent(&self, now: Timestamp) -> i64 {
        let (gone, whole) =
            (now.as_millisecond() - self.started.as_millisecond(), self.ends.as_millisecond() - self.started.as_millisecond());
        (gone * 100).checked_div(whole).unwrap_or_default().clamp(0, 99)
    }
}

/// `GET …/operations/{id}` and `…/operationresults/{id}`.
///
/// # Errors
/// When no such operation is kept, or it belongs to somebody else.
pub(super) fn poll(world: &World, call: &Call<'_>, id: &str, style: PollStyle) -> Result<Answer, Refusal> {
    let unknown = || Refusal::OperationNotFound(id.chars().take(64).collect());
    let operation = Uuid::try_parse(id).ok().and_then(|id| world.operation(id)).ok_or_else(unknown)?;
    let path = call.path;
    match style {
        PollStyle::Status => {
            let answer = Answer::json(StatusCode::OK, &operation.status_document(path, call.now));
            Ok(if call.now < operation.ends { retry_after(answer) } else { answer })
        }
        PollStyle::Result if call.now < operation.ends => Ok(operation.announce_result(call, Answer::empty(StatusCode::ACCEPTED))),
        PollStyle::Result => Ok(final_answer(operation)),
    }
}

fn final_answer(operation: &Arc<Operation>) -> Answer {
    match (&operation.failure, &operation.result) {
        (Some(failure), _) => Answer::rendered(
            StatusCode::CONFLICT,
            crate::json::text(&ErrorBody::new(failure.code.as_str(), failure.message.clone())).into(),
        ),
        (None, Some(result)) => Answer::json(StatusCode::OK, result),
        (None, None) => Answer::empty(StatusCode::OK),
    }
}

fn retry_after(answer: Answer) -> Answer {
    answer.with(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S))
}

/// `West Europe` and `westeurope` are one place.
pub(super) fn normalized(location: &str) -> String {
    location.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

/// `now` plus `by`; at the end of time, `now`.
pub(super) fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(now)
}
