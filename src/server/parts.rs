//! Parts of a request: what a deployment makes is asked for one by one, each judged, carried out and recorded like a request of
//! its own.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde_json::Value;

use super::exchange::Ended;
use super::{Backends, Gateway};
use crate::arm::path::PathError;
use crate::directory::Directory;
use crate::forward::{AnswerBody, RequestBody};
use crate::ids::{RequestId, TenantId};
use crate::management::{self, Carry, Desk, Part, PartAnswer, Perform, Rehearsal, Run};
use crate::pipeline::{self, Admitted, Arrived, Authenticated, Context, Meant, OwnRequest, Refused};
use crate::rejection::Rejection;

/// Bytes of the answer to a part that are looked at.
const ANSWER_BYTES_MAX: usize = 4 << 20;

impl Gateway {
    /// Carries out a management request that came in by another interface: judged, carried out and recorded as any other.
    pub async fn perform(self: &Arc<Self>, backends: &Arc<Backends>, meant: &Meant<'_>, body: Option<&Value>) -> PartAnswer {
        let context = self.context();
        let body = RequestBody::Whole(body.map(|body| Bytes::from(body.to_string())).unwrap_or_default());
        match pipeline::admit_meant(meant, &context) {
            Ok(admitted) => read(self.end(backends, admitted, body, &context).await, ANSWER_BYTES_MAX).await,
            Err(error) => malformed(error),
        }
    }
}

impl Gateway {
    /// Records what another interface refused by itself, and gives the id of the record.
    pub async fn refuse_arrived(&self, arrived: &Arrived<'_>, rejection: Rejection) -> RequestId {
        let trail = arrived.trail(&self.context());
        let id = trail.id;
        drop(self.finish(Ended::refused(rejection, trail, &self.site.default_authority)).await);
        id
    }

    /// Records what another interface carried out by itself, or goes on with, for this tenant; gives the id of the record.
    pub async fn record_arrived(&self, arrived: &Arrived<'_>, status: StatusCode, customer: Option<TenantId>) -> RequestId {
        let mut trail = arrived.trail(&self.context());
        let id = trail.id;
        trail.customer = customer;
        drop(self.finish(Ended::carried_out(status, trail)).await);
        id
    }
}

/// Carries out parts for one request.
pub(super) struct Parts<'a> {
    pub(super) gateway: &'a Arc<Gateway>,
    pub(super) backends: &'a Arc<Backends>,
    pub(super) context: &'a Context<'a>,
}

impl<'a> Parts<'a> {
    /// Everything that what consists of these parts is carried out with.
    pub(super) fn desk(&'a self, rehearsal: Option<&'a Rehearsal>) -> Desk<'a> {
        Desk {
            context: self.context,
            state: &self.gateway.state,
            clock: &self.gateway.clock,
            recorder: &self.gateway.recorder,
            parts: self,
            fabric: self.backends.fabric.as_ref(),
            room: &self.backends.room,
            turns: &self.gateway.turns,
            deployments: &self.gateway.deployments,
            rehearsal,
        }
    }

    async fn ask(&self, part: Part<'_>, admit: impl FnOnce(Authenticated, &Context<'_>) -> Result<Admitted, Refused>) -> PartAnswer {
        let body = RequestBody::Whole(part.body.map(|body| Bytes::from(body.to_string())).unwrap_or_default());
        // The state may have moved since the whole was judged, by the parts before this one.
        let context = self.gateway.context();
        let admitted = match part.request.part(part.method, part.path, part.query, &context) {
            Ok(authenticated) => admit(authenticated, &context),
            Err(error) => return malformed(error),
        };
        let response = self.gateway.end(self.backends, admitted, body, &context).await;
        read(response, ANSWER_BYTES_MAX).await
    }
}

impl Perform for Parts<'_> {
    fn judge(&self, part: &Part<'_>) -> Result<(), PartAnswer> {
        let authenticated = part.request.part(part.method, part.path, part.query, self.context).map_err(malformed)?;
        match pipeline::admit_part(authenticated, self.context) {
            Ok(_) => Ok(()),
            Err(Refused { rejection, .. }) => Err(refused(&rejection)),
        }
    }

    fn judge_again(&self, request: &OwnRequest, directory: &Arc<Directory>) -> Result<(), Box<Rejection>> {
        let context = Context { directory: Arc::clone(directory), ..self.gateway.context() };
        let query = request.query.as_deref().unwrap_or_default();
        // Its path was read before; what cannot be read again is not permitted.
        let Ok(part) = request.part(request.method, request.path.as_str(), query, &context) else {
            return Err(Box::new(Rejection::Stale));
        };
        match pipeline::admit_part(part, &context) {
            Ok(_) => Ok(()),
            Err(Refused { rejection, .. }) => Err(rejection),
        }
    }

    fn rehearse<'p>(
        &'p self,
        part: Part<'p>,
        rehearsal: &'p Rehearsal,
    ) -> Pin<Box<dyn Future<Output = Result<(), PartAnswer>> + Send + 'p>> {
        Box::pin(async move {
            let gateway = self.gateway;
            let context = Context { directory: rehearsal.directory().await, ..gateway.context() };
            let authenticated = part.request.part(part.method, part.path, part.query, &context).map_err(malformed)?;
            let request = match pipeline::admit_part(authenticated, &context) {
                Ok(Admitted::CarryOut(request, _trail)) => Arc::from(request),
                Ok(Admitted::Discovery(_) | Admitted::Forward(_) | Admitted::Own(_)) => return Ok(()),
                Err(Refused { rejection, .. }) => return Err(refused(&rejection)),
            };
            let body = RequestBody::Whole(part.body.map(|body| Bytes::from(body.to_string())).unwrap_or_default());
            let desk = Desk { context: &context, ..self.desk(Some(rehearsal)) };
            let tried = management::carry_out(&request, body, &desk).await;
            tried.map(drop).map_err(|error| refused(&Rejection::Own(error)))
        })
    }

    fn perform<'p>(&'p self, part: Part<'p>) -> Pin<Box<dyn Future<Output = PartAnswer> + Send + 'p>> {
        Box::pin(self.ask(part, pipeline::admit_part))
    }

    fn perform_counted<'p>(&'p self, part: Part<'p>) -> Pin<Box<dyn Future<Output = PartAnswer> + Send + 'p>> {
        Box::pin(self.ask(part, pipeline::admit_proven))
    }

    fn go_on(&self, request: Arc<OwnRequest>, run: Run) {
        let (gateway, backends) = (Arc::clone(self.gateway), Arc::clone(self.backends));
        // `Deployments` knows of it, and its worker waits for its end.
        drop(tokio::spawn(async move {
            let context = gateway.context();
            let parts = Parts { gateway: &gateway, backends: &backends, context: &context };
            management::go_on(&request, run, &parts.desk(None)).await;
        }));
    }

    fn carry<'p>(&'p self, carry: Carry<'p>) -> Pin<Box<dyn Future<Output = PartAnswer> + Send + 'p>> {
        Box::pin(async move {
            let body = RequestBody::Whole(carry.body.map(|body| Bytes::from(body.to_string())).unwrap_or_default());
            // As if its client had sent it by itself, and now.
            let context = self.gateway.context();
            let admitted = carry.request.carried(&carry.carried, &context).and_then(|carried| pipeline::admit_proven(carried, &context));
            let response = self.gateway.end(self.backends, admitted, body, &context).await;
            read(response, carry.answer_bytes_max.min(ANSWER_BYTES_MAX)).await
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is the end of the error")]
fn malformed(error: PathError) -> PartAnswer {
    PartAnswer::error(StatusCode::BAD_REQUEST, "InvalidTemplate", error.to_string())
}

fn refused(rejection: &Rejection) -> PartAnswer {
    let answer = rejection.answer();
    PartAnswer::error(answer.status, answer.code, answer.message)
}

async fn read(response: hyper::Response<AnswerBody>, bytes_max: usize) -> PartAnswer {
    let (head, body) = response.into_parts();
    let Ok(bytes) = Limited::new(body, bytes_max).collect().await.map(http_body_util::Collected::to_bytes) else {
        let message = format!("the answer is cut, or larger than {bytes_max} bytes; ask for less");
        return PartAnswer::error(StatusCode::BAD_GATEWAY, "ResponseTooLarge", message);
    };
    let id = head.headers.get("x-ms-request-id").and_then(|id| id.to_str().ok()).map(Into::into);
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_no_json| String::from_utf8_lossy(&bytes).into_owned().into());
    let body = if bytes.is_empty() { Value::Null } else { body };
    PartAnswer { status: head.status, body, id, headers: about(&head.headers).into(), length: bytes.len() }
}

/// Header fields about what was asked for, and not about the answer as a message.
fn about(headers: &HeaderMap) -> Vec<(Box<str>, Box<str>)> {
    let is_about = |name: &str| ABOUT.contains(&name) || name.starts_with("x-ms-");
    let kept = headers.iter().filter(|(name, _)| is_about(name.as_str()));
    kept.filter_map(|(name, value)| Some((name.as_str().into(), value.to_str().ok()?.into()))).collect()
}

const ABOUT: [&str; 6] = ["azure-asyncoperation", "etag", "location", "operation-location", "retry-after", "www-authenticate"];
