//! The private cloud's own interfaces: the tenant API of its portal, and the OData services of Service Provider Foundation.
//!
//! They are another spelling of the management plane and nothing more: a token is proven as everywhere, and whatever is asked for is turned into the
//! management requests that it stands for, which pass the same stages and leave the same records. Nothing here decides, and nothing here talks to
//! the fabric. Source: Windows Azure Pack, tenant API; Service Provider Foundation, web services.

mod answer;
mod portal;
mod spf;
mod tenant_api;
mod under_way;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::HeaderMap;
use hyper::http::request::Parts;
use hyper::{Method as HttpMethod, Request, Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use crate::arm::action::Method;
use crate::directory::Directory;
use crate::https::Connection;
use crate::identity::Caller;
use crate::ids::RequestId;
use crate::management::PartAnswer;
use crate::pace::{Pace, Paces, Rate};
use crate::panics::contained;
use crate::pipeline::{Arrived, CameIn, ClassifyError, Meant, RuleError, require_one_reading};
use crate::rejection::Rejection;
use crate::server::{Backends, Gateway};

use answer::{Answer, Refusal};
use under_way::UnderWay;

/// Bytes of a request body.
const BODY_BYTES_MAX: usize = 1 << 20;
/// For the body of a request.
const BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// Bytes of what a visitor sends, with a key set.
const VISITOR_BYTES_MAX: usize = 64 << 10;
/// For all of that.
const VISITOR_TIME_MAX: Duration = Duration::from_secs(5);
/// Visitors who sign up while nobody else has for long, and how often another one may after that; see `docs/limits.md`.
const VISITORS_PACE: (u32, Duration) = (60, Duration::from_secs(1));
/// The same of one address, or one network of 64 bits of IPv6: attempts, whatever comes of them, or does not come.
const VISITORS_OF_AN_ADDRESS_PACE: (u32, Duration) = (30, Duration::from_secs(2));

/// Serves the interfaces.
#[derive(Debug)]
pub struct Front {
    gateway: Arc<Gateway>,
    backends: Arc<Backends>,
    authorities: Vec<Box<str>>,
    under_way: UnderWay,
    visitors_pace: Pace,
    addresses_paces: Paces,
}

/// A request whose caller is known.
struct Call<'a> {
    front: &'a Front,
    head: &'a Parts,
    caller: Arc<Caller>,
    came_in: CameIn,
}

impl Front {
    /// Serves for this gateway under these names.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, backends: Backends, authorities: Vec<Box<str>>) -> Self {
        Self {
            gateway,
            backends: Arc::new(backends),
            authorities,
            under_way: UnderWay::default(),
            visitors_pace: Pace::new(Rate::new(VISITORS_PACE.0, VISITORS_PACE.1)),
            addresses_paces: Paces::default(),
        }
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>, connection: Arc<Connection>) -> Response<Full<Bytes>> {
        let _place = match self.under_way.requests.take(connection.peer) {
            Ok(place) => place,
            Err(refusal) => return answer::sealed(Err(refusal), None),
        };
        let (head, body) = request.into_parts();
        let came_in = came_in(&head, &connection);
        let answered = match contained(pin!(self.route(&head, &connection, body, came_in.clone()))).await {
            Ok(answered) => answered,
            Err(panicked) => Err(self.refuse(&head, &came_in, None, Rejection::Panicked(panicked)).await),
        };
        answer::sealed(answered, Some(&came_in.correlation_id))
    }

    async fn route(&self, head: &Parts, connection: &Connection, body: Incoming, came_in: CameIn) -> Result<Answer, Refusal> {
        require_one_reading(head, connection, &self.authorities, &self.gateway.site.head).map_err(refusal)?;
        let path = head.uri.path().trim_end_matches('/').to_owned();
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        if let Some(address) = spf::Address::of(&segments) {
            return Ok(self.odata(&address, head, body, came_in).await);
        }
        match (&head.method, segments.as_slice()) {
            (&HttpMethod::GET, ["plans"]) => Ok(self.plans(head)),
            (&HttpMethod::POST, ["accounts"]) => {
                // Nobody in particular asks: visitors wait for one another, and not those who are known for them.
                let body = self.read_of_visitor(body, connection.peer).await?;
                let _place = self.under_way.visitors.take(connection.peer)?;
                self.sign_up(body, &came_in).await
            }
            (&HttpMethod::GET, ["sign-ups", id]) => self.sign_up_state(id),
            (_, ["subscriptions", rest @ ..]) => {
                let call = self.authenticated(head, came_in).await?;
                call.require_principal().await?;
                call.subscriptions(rest, call.read(body).await?).await
            }
            _ => Err(Refusal::NotFound { path: path.chars().take(256).collect() }),
        }
    }

    /// An attempt counts before anything of it is there: one that never comes, or cannot be read, costs as much as another.
    async fn read_of_visitor(&self, body: Incoming, peer: SocketAddr) -> Result<Bytes, Refusal> {
        let _place = self.under_way.visitors_bodies.take(peer)?;
        self.address_turn(peer)?;
        read_within(body, VISITOR_BYTES_MAX, VISITOR_TIME_MAX).await
    }

    async fn authenticated<'a>(&'a self, head: &'a Parts, came_in: CameIn) -> Result<Call<'a>, Refusal> {
        let directory = self.directory();
        match self.gateway.verifier.authenticate(&head.headers, &directory).await {
            Ok(caller) => Ok(Call { front: self, head, caller, came_in }),
            Err(error) => Err(self.refuse(head, &came_in, None, Rejection::Token { error, authority: None }).await),
        }
    }

    /// What is refused here and not by the stages is recorded here.
    async fn refuse(&self, head: &Parts, came_in: &CameIn, caller: Option<&Arc<Caller>>, rejection: Rejection) -> Refusal {
        let answer = rejection.answer();
        let arrived = Arrived { caller, method: head.method.as_str(), path: head.uri.path(), came_in };
        let id = self.gateway.refuse_arrived(&arrived, rejection).await;
        Refusal::Rejected { answer: Box::new(answer), id }
    }

    fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.gateway.directory.borrow())
    }
}

impl Call<'_> {
    /// Asks for what a request stands for.
    async fn ask(&self, method: Method, path: &str, query: &str, body: Option<&Value>) -> Result<Value, Refusal> {
        let answer = self.try_ask(method, path, query, body).await;
        if answer.status.is_success() { Ok(answer.body) } else { Err(Refusal::Refused(Box::new(answer))) }
    }

    async fn try_ask(&self, method: Method, path: &str, query: &str, body: Option<&Value>) -> PartAnswer {
        let meant = Meant { caller: &self.caller, method, path, query, came_in: &self.came_in };
        self.front.gateway.perform(&self.front.backends, &meant, body).await
    }

    async fn read(&self, body: Incoming) -> Result<Bytes, Refusal> {
        // Most requests have none, and wait for nothing.
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let _place = self.front.under_way.bodies.take(self.came_in.peer)?;
        read_within(body, BODY_BYTES_MAX, BODY_TIME_MAX).await
    }

    /// The name that this listener was asked by, which is one of its own.
    fn host(&self) -> &str {
        let host = self.head.uri.authority().map(|authority| authority.as_str());
        host.or_else(|| header(&self.head.headers, "host")).unwrap_or_default()
    }

    /// The claims identity of the caller: what it signs in with, or its ids where that is no such name.
    fn identity(&self) -> String {
        let (name, principal) = (&*self.caller.name, self.caller.principal);
        let directory = self.front.directory();
        if let Some(account) = directory.account(principal.tenant).filter(|account| account.administrator.object == principal.object) {
            return account.administrator.identity.to_string();
        }
        // What an account's own issuer calls somebody is nothing that others could rely on.
        let is_declared = directory.account(principal.tenant).is_none();
        let is_identity = is_declared && name.contains('@') && name.bytes().all(|byte| byte.is_ascii_graphic());
        if is_identity { name.to_owned() } else { crate::sign_up::nameless(principal) }
    }

    /// Who the portal says is there has to be who the token says it is.
    async fn require_principal(&self) -> Result<(), Refusal> {
        let said = header(&self.head.headers, PRINCIPAL_ID).ok_or(Refusal::PrincipalMissing)?;
        let is_caller = said.eq_ignore_ascii_case(&self.identity()) || said.eq_ignore_ascii_case(&self.caller.principal.object.to_string());
        if is_caller { Ok(()) } else { Err(self.refuse_claim(PRINCIPAL_ID, said, "which is not who the token proves").await) }
    }

    /// Refuses a request that says to be somebody's.
    async fn refuse_claim(&self, name: &'static str, value: &str, problem: &'static str) -> Refusal {
        let value = value.chars().filter(|character| !character.is_control()).take(CLAIM_CHARS_MAX).collect();
        let rejection = Rejection::Rule { error: RuleError::Claim { name, value, problem } };
        self.front.refuse(self.head, &self.came_in, Some(&self.caller), rejection).await
    }
}

/// How much of what a request says of itself is shown.
const CLAIM_CHARS_MAX: usize = 128;
/// Source: Windows Azure Pack, tenant API: required on every request.
const PRINCIPAL_ID: &str = "x-ms-principal-id";

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn came_in(head: &Parts, connection: &Connection) -> CameIn {
    let id = header(&head.headers, "x-ms-client-request-id").filter(|id| id.len() <= 128).map(str::to_owned);
    CameIn {
        interface: if head.uri.path().starts_with("/SC2012") { "service provider foundation" } else { "tenant api" },
        peer: connection.peer,
        transport: match &connection.tls {
            Some(tls) => format!("TLS {}, {:?}", tls.version, head.version),
            None => format!("clear text, {:?}", head.version),
        },
        correlation_id: RequestId::random().to_string(),
        client_request_id: id,
    }
}

/// A page of somebody else that knows this address must not be able to speak to it by a name of its own.
fn refusal(error: ClassifyError) -> Refusal {
    if let ClassifyError::ForeignHost { host, .. } | ClassifyError::DataPlane { host, .. } = error {
        return Refusal::Host { host };
    }
    Refusal::Form { error }
}

async fn read_within(body: Incoming, bytes_max: usize, time_max: Duration) -> Result<Bytes, Refusal> {
    let collected = timeout(time_max, Limited::new(body, bytes_max).collect()).await;
    let collected = collected.map_err(|_elapsed| Refusal::Body { problem: "did not arrive in time".to_owned() })?;
    let whole = collected.map_err(|_cause| Refusal::Body { problem: format!("is cut, or larger than {bytes_max} bytes") })?;
    Ok(whole.to_bytes())
}

fn json<T: serde::de::DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    let document = crate::json::strict(body).and_then(serde_json::from_value);
    document.map_err(|cause| Refusal::Body { problem: format!("is not the JSON that is expected: {cause}") })
}

/// Statuses that tell what was made.
const CREATED: StatusCode = StatusCode::CREATED;
