//! From a request to its answer: authenticate, address, read, plan, store, reply.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_rustls::rustls::ServerConfig;

use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::https::{self, Drained, Limits, Stop};
use crate::ids::SubscriptionId;

use super::address::{Address, Item, Node, PollStyle, Within};
use super::answer::{Answer, Envelope};
use super::assertion::Actor;
use super::body::AnswerBody;
use super::call::{Call, Plan, Query, names_etag};
use super::faults::Fault;
use super::refusal::Refusal;
use super::resource::Document;
use super::world::World;
use super::{ResourceManager, actions, graph, lists, operations, subscriptions, virtual_machines, writes};

/// Source: Azure Resource Manager, limits: a request body has at most 4 MB.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// As long as the gateway waits for an answer. Source: ARM RPC, a provider that takes longer than 60 s is given up.
const BODY_TIME_MAX: Duration = Duration::from_secs(60);
const CLIENT_OBJECT_ID: HeaderName = HeaderName::from_static("x-ms-client-object-id");
const CLIENT_TENANT_ID: HeaderName = HeaderName::from_static("x-ms-client-tenant-id");

impl ResourceManager {
    /// Serves until `stop` turns true, then drains.
    pub async fn run(self: Arc<Self>, listener: TcpListener, tls: Arc<ServerConfig>, stop: Stop) -> Drained {
        let handler = move |request, _connection| {
            let manager = Arc::clone(&self);
            async move { manager.answer(request).await }
        };
        https::serve(listener, Some(tls), Limits::default(), stop, handler).await
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<AnswerBody> {
        let now = self.clock.now();
        let (head, body) = request.into_parts();
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        self.journal.keep(now, &head.method, target, &head.headers);
        let envelope = Envelope::new(&head.method, &head.headers);
        let mut fault = None;
        let mut answer = match self.exchange(&head, body, now, &mut fault).await {
            Ok(answer) => answer,
            Err(refusal) => Answer::from(&refusal),
        };
        if head.method == Method::HEAD {
            answer.body = Bytes::new();
        }
        envelope.seal(&mut answer, now);
        let Answer { status, headers, body } = answer;
        let mut response = Response::new(match fault {
            Some(fault) => AnswerBody::hurt(body, &fault),
            None => AnswerBody::whole(body),
        });
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    async fn exchange(&self, head: &Parts, body: Incoming, now: Timestamp, hurt: &mut Option<Fault>) -> Result<Answer, Refusal> {
        let actor = self.verifier.verify(text(&head.headers, &AUTHORIZATION), now)?;
        check_client_headers(&head.headers, &actor)?;
        let path = head.uri.path();
        let query = Query(head.uri.query().unwrap_or_default());
        let address = Address::parse(&head.method, path)?;
        self.check_scope(&actor, path, &address)?;
        let fault = self.faults.take(&head.method, path, &address).await;
        if let Some(fault) = &fault {
            tokio::time::sleep(fault.latency()).await;
            *hurt = Some(fault.clone());
            if let Some(answer) = fault.answer() {
                return Ok(answer);
            }
        }
        let api_version = query.get("api-version").filter(|version| !version.is_empty()).ok_or(Refusal::ApiVersionMissing)?;
        check_api_version(&api_version)?;
        let call = Call {
            method: &head.method,
            path,
            query,
            api_version: &api_version,
            if_match: text(&head.headers, &IF_MATCH),
            if_none_match: text(&head.headers, &IF_NONE_MATCH),
            actor: &actor,
            settings: &self.settings,
            now,
            body: document(head, body).await?,
            failure: fault.as_ref().and_then(|fault| fault.fail_operation.as_ref()),
            foreign_location: fault.as_ref().and_then(|fault| fault.foreign_location.as_deref()),
            empty_page: fault.as_ref().is_some_and(|fault| fault.empty_page),
        };
        match head.method {
            Method::GET | Method::HEAD => Ok(plan(&self.world.borrow(), &call, &address)?.answer),
            _ => self.change(&call, &address).await,
        }
    }

    /// Plans a write against the newest world, stores it, and only then lets it be answered.
    async fn change(&self, call: &Call<'_>, address: &Address) -> Result<Answer, Refusal> {
        let writer = self.writer.lock().await;
        let mut changes = self.world.borrow().overdue(call.now);
        let Plan { answer, changes: planned } = plan(&self.world.borrow(), call, address)?;
        changes.extend(planned);
        self.store(&writer, changes).await.map_err(|cause| {
            tracing::error!(%cause, "the mock's state could not be written");
            Refusal::StoreFailed
        })?;
        Ok(answer)
    }

    /// An operation lies above the group that a grant may be limited to, so its own rule holds besides.
    fn check_scope(&self, actor: &Actor, path: &str, address: &Address) -> Result<(), Refusal> {
        let inside = match address {
            // Of a query each subscription is looked at by itself.
            Address::Catalogue(_) | Address::Graph => true,
            // The scope `/` covers lists of the tenant but no subscription: those hang from an anchor of their own.
            Address::Subscriptions | Address::In(..) => scope_of(path).is_some_and(|scope| actor.scope.covers(&scope)),
        };
        if inside {
            return Ok(());
        }
        if let Address::In(_, Within::Operation { id, .. }) = address {
            let own = id.parse().ok().and_then(|id| self.world.borrow().operation(id).map(|operation| operation.is_open_to(actor)));
            return if own == Some(true) { Ok(()) } else { Err(Refusal::OperationNotFound(id.clone())) };
        }
        Err(Refusal::OutsideScope(actor.scope.to_string()))
    }
}

fn scope_of(path: &str) -> Option<Scope> {
    let segments: Option<Vec<String>> = path.split('/').filter(|segment| !segment.is_empty()).map(super::address::decode).collect();
    let segments = segments?;
    Scope::from_segments(&segments.iter().map(String::as_str).collect::<Vec<_>>()).ok()
}

fn plan(world: &World, call: &Call<'_>, address: &Address) -> Result<Plan, Refusal> {
    match address {
        Address::Catalogue(one) => only_get(call).and_then(|()| subscriptions::providers(world, call, None, *one)),
        Address::Graph if *call.method == Method::POST => graph::query(world, call),
        Address::Graph => Err(not_allowed(call)),
        Address::Subscriptions => only_get(call).and_then(|()| subscriptions::list(world, call)),
        Address::In(id, within) => plan_within(world, call, *id, within),
    }
}

fn plan_within(world: &World, call: &Call<'_>, id: SubscriptionId, within: &Within) -> Result<Plan, Refusal> {
    let subscription = subscriptions::find(world, call, id)?;
    if matches!(*call.method, Method::PUT | Method::PATCH | Method::POST) {
        subscriptions::check_enabled(subscription)?;
    }
    match within {
        Within::Group(item) | Within::Resource(item) => return plan_item(world, call, id, item),
        Within::Action { item, action } => return actions::run(world, call, id, item, action),
        Within::NamespaceAction { namespace, action } => return Ok(actions::run_in_namespace(call, namespace, action)),
        Within::Register { namespace, registered } => return Ok(subscriptions::register(world, call, id, namespace, *registered)),
        Within::Subscription
        | Within::Locations
        | Within::Groups
        | Within::Resources(_)
        | Within::Registrations(_)
        | Within::Operation { .. }
        | Within::Collection { .. } => only_get(call)?,
    }
    match within {
        Within::Subscription => Ok(subscriptions::get(subscription)),
        Within::Locations => Ok(subscriptions::locations(id)),
        Within::Groups => lists::groups(world, call, &Node::subscription(id)),
        Within::Resources(node) => lists::resources(world, call, node),
        Within::Registrations(one) => subscriptions::providers(world, call, Some(id), *one),
        Within::Operation { id, style } => poll(world, call, id, *style),
        Within::Collection { parent, kind } if kind.name.ends_with("/instanceView") => instance_view(world, call, parent),
        Within::Collection { parent, kind } => lists::collection(world, call, parent, kind),
        Within::Group(_) | Within::Resource(_) | Within::Action { .. } | Within::NamespaceAction { .. } | Within::Register { .. } => {
            Err(not_allowed(call))
        }
    }
}

fn poll(world: &World, call: &Call<'_>, id: &str, style: PollStyle) -> Result<Plan, Refusal> {
    operations::poll(world, call, id, style).map(Plan::from)
}

fn plan_item(world: &World, call: &Call<'_>, id: SubscriptionId, item: &Item) -> Result<Plan, Refusal> {
    match *call.method {
        Method::GET => get(world, call, item).map(Plan::from),
        Method::HEAD => writes::find(world, call, item).map(|_there| Answer::empty(StatusCode::NO_CONTENT).into()),
        Method::PUT => writes::put(world, call, id, item),
        Method::PATCH => writes::patch(world, call, id, item),
        Method::DELETE => writes::delete(world, call, id, item),
        _ => Err(not_allowed(call)),
    }
}

fn get(world: &World, call: &Call<'_>, item: &Item) -> Result<Answer, Refusal> {
    let resource = writes::find(world, call, item)?;
    let etag = &resource.stored.etag;
    if call.if_none_match.is_some_and(|list| names_etag(list, etag)) {
        return Ok(Answer::empty(StatusCode::NOT_MODIFIED).with_etag(etag));
    }
    let wants_view = call.query.get("$expand").is_some_and(|expand| expand.eq_ignore_ascii_case("instanceView"));
    let expanded = if wants_view { virtual_machines::expanded(resource, call.now) } else { None };
    Ok(expanded.unwrap_or_else(|| Answer::rendered(StatusCode::OK, resource.body(call.now))).with_etag(etag))
}

fn instance_view(world: &World, call: &Call<'_>, machine: &Node) -> Result<Plan, Refusal> {
    let missing = || Refusal::ResourceNotFound(machine.id.clone());
    let resource = world.resource(&machine.key, call.now).ok_or_else(missing)?;
    let view = virtual_machines::instance_view(resource, call.now).ok_or_else(missing)?;
    Ok(Answer::json(StatusCode::OK, &view).into())
}

fn only_get(call: &Call<'_>) -> Result<(), Refusal> {
    if matches!(*call.method, Method::GET | Method::HEAD) { Ok(()) } else { Err(not_allowed(call)) }
}

fn not_allowed(call: &Call<'_>) -> Refusal {
    Refusal::Method { method: call.method.clone(), path: call.path.to_owned() }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// What the headers say must be what the assertion proves.
fn check_client_headers(headers: &HeaderMap, actor: &Actor) -> Result<(), Refusal> {
    let expected = [
        ("x-ms-client-object-id", CLIENT_OBJECT_ID, actor.principal.object.to_string()),
        ("x-ms-client-tenant-id", CLIENT_TENANT_ID, actor.principal.tenant.to_string()),
    ];
    for (header, name, expected) in expected {
        let values = headers.get_all(&name);
        let mut values = values.iter();
        let only = values.next().filter(|_| values.next().is_none());
        if !only.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(expected.as_bytes())) {
            return Err(Refusal::ClientHeader { header, expected });
        }
    }
    Ok(())
}

/// `YYYY-MM-DD`, or the same with a suffix such as `-preview`.
fn check_api_version(version: &str) -> Result<(), Refusal> {
    let refused = || Refusal::ApiVersion(version.chars().take(64).collect());
    let (date, suffix) = version.split_at_checked(10).ok_or_else(refused)?;
    let is_date = date.bytes().enumerate().all(|(place, byte)| if matches!(place, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() });
    let is_suffix = suffix.is_empty()
        || (suffix.starts_with('-') && suffix.len() > 1 && suffix.bytes().skip(1).all(|byte| byte.is_ascii_alphanumeric()));
    if is_date && is_suffix { Ok(()) } else { Err(refused()) }
}

async fn document(head: &Parts, body: Incoming) -> Result<Option<Document>, Refusal> {
    if !matches!(head.method, Method::PUT | Method::PATCH | Method::POST) {
        return Ok(None);
    }
    let bytes = match timeout(BODY_TIME_MAX, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Err(_elapsed) => return Err(Refusal::Content(format!("it took longer than {} s", BODY_TIME_MAX.as_secs()))),
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(cause)) if cause.is::<LengthLimitError>() => return Err(Refusal::ContentTooLarge(BODY_BYTES_MAX)),
        Ok(Err(_broken_off)) => return Err(Refusal::Content("it ended early".to_owned())),
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    let media_type = text(&head.headers, &CONTENT_TYPE).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Refusal::UnsupportedMedia(media_type.chars().take(64).collect()));
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(document)) => Ok(Some(document)),
        Ok(_other) => Err(Refusal::Content("it is no JSON object".to_owned())),
        Err(cause) => Err(Refusal::Content(cause.to_string())),
    }
}
