//! One request and its answer: the only place that times, counts, records and logs a request.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};

use super::headers::{self, Echo};
use super::load::Load;
use super::parts::Parts;
use super::permission::Permission;
use super::{Backends, Gateway};
use crate::arm::action::Method;
use crate::bodies::{NotRead, Reader};
use crate::clock::Clock;
use crate::forward::{AnswerBody, Backend, Delivered, Delivery, ForwardError, RequestBody, SendError, deliver};
use crate::held::{EXPECTED_BYTES, Place, SMALL_BYTES_MAX};
use crate::https::{CloseAfter, Connection};
use crate::ids::RequestId;
use crate::management::{self, OwnAnswer, OwnError};
use crate::panics::{Panicked, contain, contained};
use crate::pipeline::{
    self, Admitted, Arrival, CheckName, Content, Context, Forwardable, ManagementRequest, Outbound, Outcome, OwnQuestion, OwnRequest,
    Reading, Refused, Service, Sighting, Trail, Unread,
};
use crate::record::Finished;
use crate::rejection::Rejection;
use crate::store::Revision;
use crate::telemetry::{Repeats, chain};

/// What came of a request: the answer, and what its record is made of.
pub(super) struct Ended {
    response: Response<AnswerBody>,
    trail: Box<Trail>,
    rejection: Option<Rejection>,
    /// A revision of the run-time state that holds what was written, for a request that may have written.
    written: Option<Revision>,
}

impl Gateway {
    /// Answers one request.
    pub(super) async fn exchange(
        self: &Arc<Self>,
        backends: &Arc<Backends>,
        load: &Load,
        request: Request<Incoming>,
        connection: Arc<Connection>,
    ) -> Response<AnswerBody> {
        let (head, body) = request.into_parts();
        let (counted, peer) = (load.take(), connection.peer);
        let heard = counted.is_err() || self.wait_for(headers::min_revision(&head.headers, head.uri.query())).await;
        let context = Context { is_current: heard && self.state.is_current(), ..self.context() };
        let id = RequestId::random();
        let sighting = Sighting::of(&head, &connection, id);
        let arrival = Arrival::new(head, connection, id, &context);
        let admitted = match &counted {
            Ok(_counted) => judged(pin!(pipeline::admit(arrival, &context)), sighting, &context).await,
            Err(overload) => Err(arrival.turn_away(*overload)),
        };
        let (admitted, place) = match admitted.and_then(|admitted| self.with_room(admitted, peer)) {
            Ok((admitted, place)) => (Ok(admitted), place),
            Err(refused) => (Err(refused), None),
        };
        let ended = self.ended(backends, admitted, RequestBody::Client(body), &context).await;
        self.finish(self.hold(ended, place)).await
    }

    /// Room for what the gateway will answer itself, if not too much waits for this peer already.
    fn with_room(&self, admitted: Admitted, peer: SocketAddr) -> Result<(Admitted, Option<Place>), Refused> {
        let expected = match &admitted {
            Admitted::CarryOut(request, _) => expected_bytes(request),
            Admitted::Own(_) => SMALL_BYTES_MAX,
            Admitted::Discovery(_) | Admitted::Forward(_) => return Ok((admitted, None)),
        };
        let error = match self.held.reserve(peer, expected) {
            Ok(place) => return Ok((admitted, Some(place))),
            Err(error) => error,
        };
        let trail = match admitted {
            Admitted::CarryOut(_, trail) => trail,
            Admitted::Own(question) => question.trail,
            passed @ (Admitted::Discovery(_) | Admitted::Forward(_)) => return Ok((passed, None)),
        };
        Err(Refused { rejection: Box::new(Rejection::Overload { error }), trail })
    }

    /// Counts an answer of the gateway's own until its client has it, and refuses it when there is no room for it.
    fn hold(&self, ended: Ended, place: Option<Place>) -> Ended {
        let Some(place) = place else { return ended };
        let Ended { response, trail, rejection, written } = ended;
        let (head, body) = response.into_parts();
        let error = match body.try_map_whole(|whole| place.keep(whole)) {
            Ok(body) => return Ended { response: Response::from_parts(head, body), trail, rejection, written },
            Err(error) => error,
        };
        let rejection = if written.is_some() { Rejection::Forward(ForwardError::AnswerLost) } else { Rejection::Overload { error } };
        Ended { written, ..Ended::refused(rejection, trail, &self.site.default_authority) }
    }

    /// What was admitted is carried out, and whatever came of it is recorded.
    pub(super) async fn end(
        self: &Arc<Self>,
        backends: &Arc<Backends>,
        admitted: Result<Admitted, Refused>,
        body: RequestBody,
        context: &Context<'_>,
    ) -> Response<AnswerBody> {
        self.finish(self.ended(backends, admitted, body, context).await).await
    }

    async fn ended(
        self: &Arc<Self>,
        backends: &Arc<Backends>,
        admitted: Result<Admitted, Refused>,
        body: RequestBody,
        context: &Context<'_>,
    ) -> Ended {
        match admitted {
            Ok(Admitted::Discovery(request)) => self.discover(request),
            Ok(Admitted::Own(question)) => Self::answer(question, context),
            // A request can consist of others, which are carried out on the same stack.
            Ok(Admitted::CarryOut(request, trail)) => Box::pin(self.carry_out(backends, &Arc::from(request), trail, body, context)).await,
            Ok(Admitted::Forward(request)) => self.forward(backends, *request, body, context).await,
            Err(Refused { rejection, trail }) => Ended::refused(*rejection, trail, &context.site.default_authority),
        }
    }

    /// Waits a little for what the client has seen elsewhere. `false` when this node has not heard of it in time.
    async fn wait_for(&self, revision: Option<Revision>) -> bool {
        match revision {
            None => true,
            Some(revision) if revision <= self.directory.borrow().registry().revision() => true,
            Some(revision) => Box::pin(self.state.reach(revision, MIN_REVISION_TIME_MAX)).await,
        }
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context {
            site: &self.site,
            directory: Arc::clone(&self.directory.borrow()),
            verifier: &self.verifier,
            is_current: self.state.is_current(),
            operations: &self.operations,
            signer: &self.signer,
            throttle: &self.throttle,
            now: self.clock.now(),
        }
    }

    fn discover(&self, request: ManagementRequest) -> Ended {
        let answered = contain(|| {
            let version = management::version(request.query())?;
            Ok(management::document(&self.discovery, request.authority(), &version))
        });
        match in_one(answered) {
            Ok(document) => Ended::answered(&document, request.into_trail()),
            Err(rejection) => Ended::refused(*rejection, request.into_trail(), &self.site.default_authority),
        }
    }

    fn answer(question: OwnQuestion, context: &Context<'_>) -> Ended {
        match in_one(contain(|| management::answer(&question, &context.directory, context.now))) {
            Ok(document) => {
                let mut trail = question.trail;
                for check in [CheckName::Delegation, CheckName::Role, CheckName::Rules] {
                    trail.pass(check);
                }
                Ended::answered(&document, trail)
            }
            Err(rejection) => Ended::refused(*rejection, question.trail, &context.site.default_authority),
        }
    }

    async fn carry_out(
        self: &Arc<Self>,
        backends: &Arc<Backends>,
        request: &Arc<OwnRequest>,
        trail: Box<Trail>,
        body: RequestBody,
        context: &Context<'_>,
    ) -> Ended {
        let parts = Parts { gateway: self, backends, context };
        let desk = parts.desk(None);
        let pending = Pending::of(self, trail);
        let carried = contained(pin!(management::carry_out(request, body, &desk))).await;
        let mut trail = pending.disarm();
        match in_one(carried) {
            Ok(answer) => {
                trail.pass(CheckName::Forward);
                let written = (request.method != Method::Get).then(|| self.directory.borrow().registry().revision());
                Ended { response: respond(answer), trail, rejection: None, written }
            }
            Err(rejection) => Ended::refused(*rejection, trail, &context.site.default_authority),
        }
    }

    async fn forward(self: &Arc<Self>, backends: &Backends, request: Forwardable, body: RequestBody, context: &Context<'_>) -> Ended {
        let (unread, trail) = request.split();
        let mut pending = Pending::of(self, trail);
        let delivered = contained(pin!(self.send(backends, unread, body, &mut pending, context))).await;
        let mut trail = pending.disarm();
        match delivered.unwrap_or_else(|panicked| Err(Box::new(Rejection::Panicked(panicked)))) {
            Ok(Delivered { response, notes }) => {
                trail.pass(CheckName::Forward);
                trail.notes.extend(notes.into_iter().map(Cow::Borrowed));
                Ended { response, trail, rejection: None, written: None }
            }
            Err(rejection) => Ended::refused(*rejection, trail, &context.site.default_authority),
        }
    }

    /// Judges what the body names, sends the request while it is permitted, and makes the answer ours.
    async fn send(
        self: &Arc<Self>,
        backends: &Backends,
        unread: Unread,
        body: RequestBody,
        pending: &mut Pending<'_>,
        context: &Context<'_>,
    ) -> Result<Delivered, Box<Rejection>> {
        let failed = |error| Box::new(Rejection::Forward(error));
        let (backend, reader) = (&backends.manager, Reader { owner: unread.owner(), room: &backends.room, turns: &self.turns });
        // A body takes its time, and grants end meanwhile.
        let judged_at = Clock::instant();
        let content = if body.is_empty() { Content::Nothing } else { unread.content()? };
        let body = match content {
            Content::Opaque => body,
            Content::Nothing => RequestBody::Whole(Bytes::new()),
            Content::Json => RequestBody::Whole(backend.read(body, &reader).await.map_err(failed)?),
        };
        let judged = match &body {
            RequestBody::Whole(whole) => whole.clone(),
            RequestBody::Client(_) => Bytes::new(),
        };
        let request = self.judge(unread, judged, &reader, context).await?;
        pending.note(&request);
        // What is passed on as it comes needs no room, nor does what was begun: its head says so, which is enough.
        if !matches!(request.reading(), Reading::Begun | Reading::Unread) {
            self.held.expect(pending.peer).map_err(|error| Box::new(Rejection::Overload { error }))?;
        }
        let permission = Permission::new(self, request, context, judged_at);
        match self.ask(backend, &permission, body, &reader, pending.peer).await {
            Ok(delivered) => Ok(delivered),
            Err(SendError::Ended) => Err(Box::new(permission.ended())),
            Err(SendError::Failed(error)) => Err(failed(error)),
            Err(SendError::Panicked(panicked)) => Err(Box::new(Rejection::Panicked(panicked))),
        }
    }

    /// Sends the request, and makes the answer ours.
    async fn ask(
        &self,
        backend: &Backend,
        permission: &Permission,
        body: RequestBody,
        reader: &Reader<'_>,
        peer: SocketAddr,
    ) -> Result<Delivered, SendError> {
        let request = &permission.request;
        let response = backend.send(request, body, permission.clone()).await?;
        let delivery = Delivery {
            authority: request.authority(),
            reading: request.reading(),
            path: request.path(),
            is_repeatable: matches!(request.method(), Method::Get | Method::Head),
            caller: request.caller().principal,
            reader,
            held: &self.held,
            peer,
            operations: &self.operations,
            now: self.clock.now(),
        };
        deliver(backend, response, &delivery).await
    }

    /// Judges what the body names; what a large one names, beside the worker.
    async fn judge(
        self: &Arc<Self>,
        unread: Unread,
        body: Bytes,
        reader: &Reader<'_>,
        context: &Context<'_>,
    ) -> Result<Outbound, Box<Rejection>> {
        if !Reader::is_large(body.len()) {
            return unread.judge(&body, context);
        }
        let (gateway, directory) = (Arc::clone(self), Arc::clone(&context.directory));
        let (is_current, now) = (context.is_current, context.now);
        let work = move || unread.judge(&body, &Context { directory, is_current, now, ..gateway.context() });
        match Box::pin(reader.beside(work)).await {
            Ok(judged) => judged,
            Err(NotRead::Crowded(crowded)) => Err(Box::new(Rejection::Forward(crowded.into()))),
            Err(NotRead::Panicked(panicked)) => Err(Box::new(Rejection::Panicked(panicked))),
        }
    }

    pub(super) async fn finish(&self, ended: Ended) -> Response<AnswerBody> {
        let Ended { mut response, trail, rejection, written } = ended;
        let took = Clock::instant().duration_since(trail.started);
        headers::complete(&mut response, &Echo::of(&trail, written), self.clock.now());
        let reason = rejection.as_ref().map(Rejection::reason);
        self.metrics.request(response.status(), reason, took);
        match &rejection {
            Some(Rejection::Forward(error)) if error.is_of_the_client() => told_of_the_client(trail.id, error),
            Some(failed) if failed.is_of_the_backend() => UNANSWERED.note((trail.id, chain(failed))),
            Some(Rejection::Panicked(panicked)) => PANICKED.note((trail.id, panicked.place.clone())),
            Some(_) | None => {}
        }
        self.recorder.record(Finished { status: response.status(), trail, rejection, took }).await;
        response
    }
}

/// What the answer to a request is thought to have until it is there. Who writes is told what was written.
fn expected_bytes(request: &OwnRequest) -> usize {
    if request.method == Method::Get || request.service == Service::Batch { EXPECTED_BYTES } else { SMALL_BYTES_MAX }
}

/// What its client has to put right is in the record; the log says that nothing was wrong with the backend.
fn told_of_the_client(id: RequestId, error: &ForwardError) {
    tracing::debug!(%id, cause = %error, "the client of a permitted request did not wait for its answer, or sent no body that can be passed on");
}

/// Of a backend that is away there would be a line for each request.
static UNANSWERED: Repeats<(RequestId, String)> =
    Repeats::new(|(id, cause), times| tracing::warn!(%id, cause, times, "a permitted request got no answer from the backend"));
/// Whoever found the request can send it again.
static PANICKED: Repeats<(RequestId, Box<str>)> =
    Repeats::new(|(id, place), times| tracing::error!(%id, %place, times, "handling a request panicked"));

/// What the stages say of a request. Of one that panics in them the record says what is known from outside. That the stages and what follows
/// them may be gone on after is shown at `https::rescue`.
async fn judged(
    admission: impl Future<Output = Result<Admitted, Refused>> + Unpin,
    sighting: Sighting,
    context: &Context<'_>,
) -> Result<Admitted, Refused> {
    match contained(admission).await {
        Ok(admitted) => admitted,
        Err(panicked) => Err(Refused { rejection: Box::new(Rejection::Panicked(panicked)), trail: sighting.trail(context) }),
    }
}

/// What the gateway's own work came to.
fn in_one<T>(ended: Result<Result<T, OwnError>, Panicked>) -> Result<T, Box<Rejection>> {
    match ended {
        Ok(done) => done.map_err(|error| Box::new(Rejection::Own(error))),
        Err(panicked) => Err(Box::new(Rejection::Panicked(panicked))),
    }
}

/// A request at the backend. When its client leaves, the future that holds this is dropped, and the record is written here.
struct Pending<'a> {
    gateway: &'a Gateway,
    peer: SocketAddr,
    trail: Option<Box<Trail>>,
}

/// How long a request waits for a revision that this node has not heard of.
const MIN_REVISION_TIME_MAX: Duration = Duration::from_secs(1);

/// The status a record shows for a client that did not wait for its answer.
const CLIENT_LEFT: u16 = 499;

impl<'a> Pending<'a> {
    fn of(gateway: &'a Gateway, trail: Box<Trail>) -> Self {
        Self { gateway, peer: trail.peer, trail: Some(trail) }
    }

    /// Adds to the record what became known with the body, however the request ends.
    fn note(&mut self, request: &Outbound) {
        if let Some(trail) = &mut self.trail {
            trail.notes.extend(request.lent().map(Cow::Owned));
            trail.customer = trail.customer.or_else(|| request.customer());
        }
    }

    #[expect(clippy::expect_used, reason = "the trail is taken only here, and this consumes the value")]
    fn disarm(mut self) -> Box<Trail> {
        self.trail.take().expect("a pending request has its trail")
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let Some(mut trail) = self.trail.take() else { return };
        let (rejection, status) = if self.gateway.deployments.is_stopped() { cut_by_the_stop() } else { left(trail.id) };
        trail.fail(&rejection);
        let took = Clock::instant().duration_since(trail.started);
        self.gateway.metrics.request(status, Some(rejection.reason()), took);
        self.gateway.recorder.record_now(Finished { trail, status, rejection: Some(rejection), took });
    }
}

/// Nobody waits for the answer any more.
fn left(id: RequestId) -> (Rejection, StatusCode) {
    told_of_the_client(id, &ForwardError::ClientGone);
    let status = StatusCode::from_u16(CLIENT_LEFT).unwrap_or(StatusCode::BAD_REQUEST);
    (Rejection::Forward(ForwardError::ClientGone), status)
}

/// What is under way when deployments have had their time to end is cut with the gateway, and no client left.
fn cut_by_the_stop() -> (Rejection, StatusCode) {
    let rejection = Rejection::Forward(ForwardError::Stopped);
    let status = rejection.answer().status;
    (rejection, status)
}

impl Ended {
    fn answered(document: &serde_json::Value, mut trail: Box<Trail>) -> Self {
        trail.pass(CheckName::Forward);
        Self { response: json(StatusCode::OK, document.to_string()), trail, rejection: None, written: None }
    }

    /// Something was made by another interface.
    pub(super) fn carried_out(status: StatusCode, mut trail: Box<Trail>) -> Self {
        trail.pass(CheckName::Forward);
        Self { response: json(status, String::new()), trail, rejection: None, written: None }
    }

    pub(super) fn refused(rejection: Rejection, mut trail: Box<Trail>, default_authority: &str) -> Self {
        if trail.outcome(rejection.check()) != Outcome::Fail {
            trail.fail(&rejection);
        }
        let answer = rejection.answer();
        let mut response = json(answer.status, Bytes::from(answer.body(&rejection, trail.id)));
        headers::refusal(response.headers_mut(), &answer, default_authority);
        if rejection.ends_connection() {
            response.extensions_mut().insert(CloseAfter);
        }
        Self { response, trail, rejection: Some(rejection), written: None }
    }
}

fn respond(answer: OwnAnswer) -> Response<AnswerBody> {
    let mut response = json(answer.status, answer.body.map(|body| body.to_string()).unwrap_or_default());
    headers::add(response.headers_mut(), answer.headers);
    response
}

fn json(status: StatusCode, text: impl Into<AnswerBody>) -> Response<AnswerBody> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::Ed25519KeyPair;

    use super::*;
    use crate::directory::Directory;
    use crate::https::HeadLimits;
    use crate::identity::{CacheLimits, Fetcher, KeyStore, KeyTimes, Verifier};
    use crate::pipeline::{AssertionSigner, OperationOwners, Site, Throttle, WrongTenant};
    use crate::policy::{self, LoadOptions};

    fn directory() -> Arc<Directory> {
        let options = LoadOptions::new(Clock::system().now()).with_demo_issuer("https://127.0.0.1:1");
        Arc::new(policy::load_texts("demo".as_ref(), policy::embedded(), &options).unwrap().directory)
    }

    #[tokio::test]
    async fn a_panic_of_a_stage_is_a_refusal_whose_record_names_the_request() {
        let (keys, _upkeep) = KeyStore::new(Fetcher::new(rustls::RootCertStore::empty()).unwrap(), Clock::system(), KeyTimes::default());
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let context = Context {
            site: &Site {
                authorities: Vec::new(),
                default_authority: String::new(),
                wrong_tenant: WrongTenant::Hide,
                head: HeadLimits::default(),
            },
            directory: directory(),
            verifier: &Verifier::new(Vec::new(), keys, Clock::system(), CacheLimits::default()),
            is_current: true,
            operations: &OperationOwners::default(),
            signer: &AssertionSigner::new(pkcs8.as_ref(), String::new(), String::new()).unwrap(),
            throttle: &Throttle::default(),
            now: Clock::system().now(),
        };
        let (head, ()) = Request::delete("/subscriptions/x?sig=secret").body(()).unwrap().into_parts();
        let connection = Arc::new(Connection { peer: "192.0.2.1:4000".parse().unwrap(), tls: None });
        let id = RequestId::random();
        let stages = pin!(async {
            tokio::task::yield_now().await;
            panic!("of the test")
        });
        let refused = judged(stages, Sighting::of(&head, &connection, id), &context).await.unwrap_err();
        let trail = &refused.trail;
        assert_eq!((trail.id, &*trail.method, &*trail.path, trail.peer), (id, "DELETE", "/subscriptions/x", connection.peer));
        assert_eq!(refused.rejection.reason(), "internal.panic");
        let ended = Ended::refused(*refused.rejection, refused.trail, "");
        assert_eq!((ended.response.status().as_u16(), ended.trail.outcome(CheckName::Forward)), (500, Outcome::Fail));
    }
}
