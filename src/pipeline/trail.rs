//! What every stage saw of one request: the evidence that its decision record is made of.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Instant;

use hyper::header::{HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method as HttpMethod, Request, Uri, Version};
use serde::{Deserialize, Serialize};

use super::{Arrived, Carried, Context, Refused, Remaining, Supposed};
use crate::arm::action::{Action, Method};
use crate::arm::path::CanonicalPath;
use crate::arm::scope::Scope;
use crate::clock::{Clock, Timestamp};
use crate::delegation::Grant;
use crate::delegation::decide::Considered;
use crate::directory::Directory;
use crate::https::Connection;
use crate::identity::{Caller, GroupSource};
use crate::ids::{RequestId, TenantId};
use crate::rejection::Rejection;
use crate::shown::{TEXT_BYTES_MAX, into_shown};

/// The ten checks, in the order they are shown. The names are a promise: they stand in records, metrics and error bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckName {
    /// The transport and the form of the request.
    Connection,
    /// The token is genuine and in time.
    Token,
    /// The token was issued for this gateway.
    Audience,
    /// The caller's home tenant is known here.
    Tenant,
    /// The address belongs to the management plane.
    Plane,
    /// The target exists, and who owns it is known.
    Scope,
    /// Something is delegated to the caller's tenant there.
    Delegation,
    /// A grant in force permits the action.
    Role,
    /// No rule or limit stands against it.
    Rules,
    /// The backend took it.
    Forward,
}

impl CheckName {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Connection,
        Self::Token,
        Self::Audience,
        Self::Tenant,
        Self::Plane,
        Self::Scope,
        Self::Delegation,
        Self::Role,
        Self::Rules,
        Self::Forward,
    ];

    /// What the check asks, for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Token => "token",
            Self::Audience => "audience",
            Self::Tenant => "home tenant",
            Self::Plane => "management plane",
            Self::Scope => "target scope",
            Self::Delegation => "delegation",
            Self::Role => "role in force",
            Self::Rules => "rules and limits",
            Self::Forward => "forward",
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ended the request.
    Fail,
    /// The request ended before it, or had no need of it.
    #[default]
    NotReached,
    /// It was satisfied.
    Pass,
}

/// A grant that a decision looked at, scored on the four points that it takes.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "four independent ticks of one table, each shown on its own")]
pub struct ScoredGrant {
    /// The grant.
    pub grant: Grant,
    /// It names the caller or a group of the caller.
    pub principal: bool,
    /// It covers the scope.
    pub scope: bool,
    /// Its role holds the action.
    pub action: bool,
    /// It is in force now.
    pub in_force: bool,
}

/// Everything seen of one request.
#[derive(Debug)]
pub struct Trail {
    /// The request's id.
    pub id: RequestId,
    /// Joins this request with others of one operation; the client's own, when it sent a GUID.
    pub correlation_id: String,
    /// The client's own id.
    pub client_request_id: Option<String>,
    /// Whether the client wants it back: `x-ms-return-client-request-id: true`.
    pub returns_client_request_id: bool,
    /// When it arrived.
    pub received: Timestamp,
    /// For measuring how long it took.
    pub started: Instant,
    /// The method as sent, cut.
    pub method: String,
    /// The canonical path; the raw one, cut and escaped, where there is none. Never the query.
    pub path: String,
    /// The words of the Azure CLI command.
    pub command: Option<String>,
    /// The address of the client.
    pub peer: std::net::SocketAddr,
    /// `TLS 1.3` or `clear text`, and the HTTP version.
    pub transport: Cow<'static, str>,
    /// The snapshot it was judged by.
    pub directory: Arc<Directory>,
    /// Who called.
    pub caller: Option<Arc<Caller>>,
    /// Where the caller's groups came from.
    pub group_source: Option<GroupSource>,
    /// The actions asked for.
    pub actions: Vec<Action>,
    /// The scope asked for.
    pub scope: Option<Scope>,
    /// The tenant that owns it.
    pub customer: Option<TenantId>,
    /// Grants considered, or the one that permitted.
    pub grants: Vec<ScoredGrant>,
    /// What was odd but not refused: a foreign link dropped from an answer, for instance.
    pub notes: Vec<Cow<'static, str>>,
    /// What the caller has left of requests of this kind.
    pub remaining: Option<Remaining>,
    laps: [Lap; CheckName::ALL.len()],
    lap_started: Instant,
}

#[derive(Debug, Clone, Default)]
struct Lap {
    outcome: Outcome,
    took_ns: u64,
    seen: Option<String>,
}

const METHOD_CHARS_MAX: usize = 32;

/// What the trails of a request and of its parts have in common.
#[derive(Debug, Clone)]
pub(super) struct TrailSeed {
    correlation_id: String,
    client_request_id: Option<String>,
    command: Option<String>,
    peer: std::net::SocketAddr,
    transport: Cow<'static, str>,
}

impl TrailSeed {
    pub(super) fn of(trail: &Trail) -> Self {
        Self {
            correlation_id: trail.correlation_id.clone(),
            client_request_id: trail.client_request_id.clone(),
            command: trail.command.clone(),
            peer: trail.peer,
            transport: trail.transport.clone(),
        }
    }

    /// For what came in by another interface.
    pub(super) fn came_in(how: &super::CameIn) -> Self {
        Self {
            correlation_id: how.correlation_id.clone(),
            client_request_id: how.client_request_id.clone(),
            command: Some(how.interface.to_owned()),
            peer: how.peer,
            transport: how.transport.clone().into(),
        }
    }

    /// For judging once more what has a trail already.
    pub(super) fn unrecorded() -> Self {
        Self {
            correlation_id: String::new(),
            client_request_id: None,
            command: None,
            peer: std::net::SocketAddr::from(([0, 0, 0, 0], 0)),
            transport: Cow::Borrowed(""),
        }
    }

    /// The trail of a part: what was proven of the whole is proven of it.
    pub(super) fn trail(&self, method: Method, path: &CanonicalPath, caller: &Arc<Caller>, context: &Context<'_>) -> Trail {
        let mut trail = self.begin(method.as_str(), path.as_str(), Some(caller), context);
        trail.notes.push(Cow::Borrowed("part of another request of the same correlation id"));
        for check in [CheckName::Connection, CheckName::Token, CheckName::Audience, CheckName::Tenant, CheckName::Plane] {
            trail.pass(check);
        }
        trail
    }

    /// The trail of a request that nobody sent: nothing of it is proven.
    pub(super) fn supposed(&self, supposed: &Supposed<'_>, context: &Context<'_>) -> Trail {
        let (path, _query) = supposed.url.split_once('?').unwrap_or((supposed.url, ""));
        self.begin(&into_shown(shown_method(supposed.method)), &into_shown(path), Some(&supposed.caller), context)
    }

    /// The trail of a request that a batch carries: nothing of it is proven.
    pub(super) fn carried(&self, carried: &Carried<'_>, caller: &Arc<Caller>, context: &Context<'_>) -> Trail {
        let (path, _query) = carried.url.split_once('?').unwrap_or((carried.url, ""));
        let mut trail = self.begin(&into_shown(shown_method(carried.method)), &into_shown(path), Some(caller), context);
        trail.notes.push(Cow::Borrowed("carried by a batch of the same correlation id"));
        let own = |name: HeaderName| carried.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_str()));
        if let Some((_, id)) = own(CLIENT_REQUEST_ID) {
            trail.client_request_id = Some(into_shown(*id));
        }
        if let Some((_, command)) = own(COMMAND_NAME) {
            trail.command = Some(into_shown(*command));
        }
        trail
    }

    /// The trail of a request of another interface.
    pub(super) fn arrived(&self, arrived: &Arrived<'_>, context: &Context<'_>) -> Trail {
        self.begin(&into_shown(shown_method(arrived.method)), &into_shown(arrived.path), arrived.caller, context)
    }

    fn begin(&self, method: &str, path: &str, caller: Option<&Arc<Caller>>, context: &Context<'_>) -> Trail {
        let started = Clock::instant();
        Trail {
            id: RequestId::random(),
            correlation_id: self.correlation_id.clone(),
            client_request_id: self.client_request_id.clone(),
            returns_client_request_id: false,
            received: context.now,
            started,
            method: method.to_owned(),
            path: path.to_owned(),
            command: self.command.clone(),
            peer: self.peer,
            transport: self.transport.clone(),
            directory: Arc::clone(&context.directory),
            caller: caller.map(Arc::clone),
            group_source: None,
            actions: Vec::new(),
            scope: None,
            customer: None,
            grants: Vec::new(),
            notes: Vec::new(),
            remaining: None,
            laps: Default::default(),
            lap_started: started,
        }
    }
}

impl Trail {
    pub(super) fn begin(head: &Parts, connection: &Connection, id: RequestId, context: &Context<'_>) -> Self {
        let started = Clock::instant();
        let client_request_id = text_field(&head.headers, CLIENT_REQUEST_ID);
        let correlation_id = text_field(&head.headers, CORRELATION_REQUEST_ID).filter(|id| id.parse::<RequestId>().is_ok());
        Self {
            id,
            correlation_id: correlation_id.unwrap_or_else(|| id.to_string()),
            client_request_id,
            returns_client_request_id: text_field(&head.headers, RETURN_CLIENT_REQUEST_ID)
                .is_some_and(|text| text.eq_ignore_ascii_case("true")),
            received: context.now,
            started,
            method: shown_method(head.method.as_str()),
            path: String::new(),
            command: text_field(&head.headers, COMMAND_NAME),
            peer: connection.peer,
            transport: transport(head, connection),
            directory: Arc::clone(&context.directory),
            caller: None,
            group_source: None,
            actions: Vec::new(),
            scope: None,
            customer: None,
            grants: Vec::new(),
            notes: Vec::new(),
            remaining: None,
            laps: Default::default(),
            lap_started: started,
        }
    }

    /// Marks a check as passed.
    pub fn pass(&mut self, check: CheckName) {
        self.lap(check, Outcome::Pass);
    }

    /// Marks the check that a rejection stands for as failed and ends the request.
    pub(super) fn refuse(mut self: Box<Self>, rejection: Rejection) -> Refused {
        self.fail(&rejection);
        Refused { rejection: Box::new(rejection), trail: self }
    }

    /// Marks the check that a rejection stands for as failed.
    pub fn fail(&mut self, rejection: &Rejection) {
        self.lap(rejection.check(), Outcome::Fail);
        if let Some(lap) = self.laps.get_mut(rejection.check() as usize) {
            lap.seen = Some(into_shown(text_of(rejection)));
        }
    }

    fn lap(&mut self, check: CheckName, outcome: Outcome) {
        let now = Clock::instant();
        let took = now.duration_since(self.lap_started);
        self.lap_started = now;
        if let Some(lap) = self.laps.get_mut(check as usize) {
            lap.outcome = outcome;
            lap.took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        }
    }

    /// How one check ended.
    #[must_use]
    pub fn outcome(&self, check: CheckName) -> Outcome {
        self.laps.get(check as usize).map_or(Outcome::NotReached, |lap| lap.outcome)
    }

    /// Time and failure text of one check, for the record.
    #[must_use]
    pub fn lap_of(&self, check: CheckName) -> (Option<u64>, Option<&str>) {
        let reached = self.laps.get(check as usize).filter(|lap| lap.outcome != Outcome::NotReached);
        (reached.map(|lap| lap.took_ns), reached.and_then(|lap| lap.seen.as_deref()))
    }

    pub(super) fn consider(&mut self, considered: Vec<Considered<'_>>) {
        let score = |it: Considered<'_>| ScoredGrant {
            grant: it.grant.clone(),
            principal: it.principal,
            scope: it.scope,
            action: it.action,
            in_force: it.in_force,
        };
        self.grants = considered.into_iter().map(score).collect();
    }

    pub(super) fn permitted_by(&mut self, grant: &Grant) {
        self.grants = vec![ScoredGrant { grant: grant.clone(), principal: true, scope: true, action: true, in_force: true }];
    }
}

/// What is kept of a request while its stages have the rest: if one of them panics, the record is made of this.
#[derive(Debug)]
pub struct Sighting {
    id: RequestId,
    method: HttpMethod,
    target: Uri,
    version: Version,
    connection: Arc<Connection>,
}

impl Sighting {
    /// Before the head is given away.
    #[must_use]
    pub fn of(head: &Parts, connection: &Arc<Connection>, id: RequestId) -> Self {
        let (method, target, connection) = (head.method.clone(), head.uri.clone(), Arc::clone(connection));
        Self { id, method, target, version: head.version, connection }
    }

    /// A trail that says no more than this.
    #[must_use]
    pub fn trail(self, context: &Context<'_>) -> Box<Trail> {
        let (mut head, ()) = Request::new(()).into_parts();
        (head.method, head.uri, head.version) = (self.method, self.target, self.version);
        let trail = Trail::begin(&head, &self.connection, self.id, context);
        Box::new(Trail { path: into_shown(head.uri.path()), ..trail })
    }
}

/// What goes over the wire, for people.
fn transport(head: &Parts, connection: &Connection) -> Cow<'static, str> {
    let tls = connection.tls.as_ref().map(|tls| tls.version);
    match (tls, head.version) {
        (None, Version::HTTP_11) => Cow::Borrowed("clear text, HTTP/1.1"),
        (None, Version::HTTP_2) => Cow::Borrowed("clear text, HTTP/2.0"),
        (Some("1.3"), Version::HTTP_11) => Cow::Borrowed("TLS 1.3, HTTP/1.1"),
        (Some("1.3"), Version::HTTP_2) => Cow::Borrowed("TLS 1.3, HTTP/2.0"),
        (None, other) => Cow::Owned(format!("clear text, {other:?}")),
        (Some(version), other) => Cow::Owned(format!("TLS {version}, {other:?}")),
    }
}

/// The client's own id of a request.
pub const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
const COMMAND_NAME: HeaderName = HeaderName::from_static("commandname");
/// Joins the requests of one operation.
pub const CORRELATION_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");
const RETURN_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-return-client-request-id");

fn shown_method(method: &str) -> String {
    match method.len() <= METHOD_CHARS_MAX {
        true => method.to_owned(),
        false => method.chars().take(METHOD_CHARS_MAX).collect(),
    }
}

fn text_field(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(into_shown)
}

/// A text as it is displayed; one of usual length does not grow meanwhile.
pub(super) fn text_of(shown: &impl fmt::Display) -> String {
    let mut text = String::with_capacity(TEXT_BYTES_MAX);
    // Writing to a string cannot fail.
    write!(text, "{shown}").unwrap_or_default();
    text
}

#[cfg(test)]
mod tests {
    use super::super::testing::{HOST, World};
    use super::*;

    /// What is seen of a request with these fields as it arrives.
    fn arrived(fields: &[(&str, &str)]) -> Box<Trail> {
        let world = World::new();
        let request = Request::get("/providers?api-version=1").header("host", HOST);
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        world.classify(request, None).unwrap().into_trail()
    }

    #[test]
    fn the_ids_of_a_request_are_its_clients_where_they_are_ids() {
        let guid = "5f0b7a7e-3c0e-4d7e-9d0e-000000000001";
        let trail = arrived(&[("x-ms-correlation-request-id", guid), ("x-ms-client-request-id", "mine"), ("commandname", "vm list")]);
        assert_eq!((&*trail.correlation_id, trail.client_request_id.as_deref()), (guid, Some("mine")));
        assert_eq!((trail.command.as_deref(), trail.returns_client_request_id), (Some("vm list"), false));
        let trail = arrived(&[("x-ms-correlation-request-id", "mine")]);
        assert_eq!((trail.correlation_id.clone(), trail.client_request_id.as_deref()), (trail.id.to_string(), None));
        for (value, returns) in [("true", true), ("True", true), ("false", false), ("", false)] {
            assert_eq!(arrived(&[("x-ms-return-client-request-id", value)]).returns_client_request_id, returns, "{value}");
        }
    }

    #[test]
    fn what_is_kept_of_a_method_is_bounded_and_what_is_displayed_is_kept() {
        assert_eq!([shown_method(&"M".repeat(32)), shown_method(&"M".repeat(33))], ["M".repeat(32), "M".repeat(32)]);
        assert_eq!(text_of(&"as it is displayed"), "as it is displayed");
    }

    #[test]
    fn a_check_that_was_not_reached_shows_no_time_and_a_failed_one_its_text() {
        let mut trail = arrived(&[]);
        let told = |trail: &Trail, check| (trail.outcome(check), trail.lap_of(check).0.is_some(), trail.lap_of(check).1.map(str::to_owned));
        assert_eq!(told(&trail, CheckName::Plane), (Outcome::Pass, true, None));
        assert_eq!(told(&trail, CheckName::Delegation), (Outcome::NotReached, false, None));
        trail.fail(&Rejection::Stale);
        let text = Rejection::Stale.to_string();
        assert_eq!(told(&trail, CheckName::Delegation), (Outcome::Fail, true, Some(text)));
    }

    #[test]
    fn a_transport_is_named_by_its_tls_and_its_version() {
        let named = |tls: Option<&'static str>, version| {
            let (head, ()) = Request::get("/").version(version).body(()).unwrap().into_parts();
            let tls = tls.map(|version| crate::https::Tls { version, server_name: None });
            transport(&head, &Connection { peer: "192.0.2.1:1".parse().unwrap(), tls }).into_owned()
        };
        assert_eq!(named(None, Version::HTTP_11), "clear text, HTTP/1.1");
        assert_eq!(named(None, Version::HTTP_2), "clear text, HTTP/2.0");
        assert_eq!(named(None, Version::HTTP_10), "clear text, HTTP/1.0");
        assert_eq!(named(Some("1.3"), Version::HTTP_11), "TLS 1.3, HTTP/1.1");
        assert_eq!(named(Some("1.3"), Version::HTTP_2), "TLS 1.3, HTTP/2.0");
        assert_eq!(named(Some("1.2"), Version::HTTP_2), "TLS 1.2, HTTP/2.0");
    }

    #[test]
    fn parts_say_whose_they_are_and_what_is_proven_of_them() {
        let world = World::new();
        let own = world.own("reader", "POST /batch");
        let checks = |trail: &Trail| CheckName::ALL.into_iter().filter(|check| trail.outcome(*check) == Outcome::Pass).count();
        let path = CanonicalPath::parse("/providers").unwrap();
        let part = own.seed.trail(Method::Get, &path, &own.caller, &world.context());
        assert_eq!((&*part.method, &*part.path, checks(&part)), ("GET", "/providers", 5));
        let caller = Arc::clone(&own.caller);
        let supposed = own.seed.supposed(&Supposed { method: "GET", url: "/providers?sig=secret", caller }, &world.context());
        assert_eq!((&*supposed.method, &*supposed.path, checks(&supposed)), ("GET", "/providers", 0));
        let fields = [("X-Ms-Client-Request-Id", "mine"), ("commandName", "vm list")];
        let carried = own.seed.carried(
            &Carried { method: "GET", url: "/providers?sig=secret", fields: &fields, fault: None },
            &own.caller,
            &world.context(),
        );
        assert_eq!(
            (&*carried.path, carried.client_request_id.as_deref(), carried.command.as_deref()),
            ("/providers", Some("mine"), Some("vm list"))
        );
        for trail in [part, supposed, carried] {
            assert_eq!((&*trail.correlation_id, trail.peer), (&*own.correlation_id, "192.0.2.1:40000".parse().unwrap()));
            assert!(trail.caller.is_some_and(|caller| Arc::ptr_eq(&caller, &own.caller)));
        }
    }
}
