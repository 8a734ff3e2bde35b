//! Stage 8: the caller's token and every header that could pass for ours go out; a signed assertion goes in.

use std::sync::Arc;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::{InvalidUri, PathAndQuery};

use super::assertion::OnBehalfOf;
use super::authorize::{Authorized, Basis};
use super::linked::{LinkError, Unread};
use super::meaning::Meaning;
use super::resolve::{Place, Scoped};
use super::trail::{CORRELATION_REQUEST_ID, Trail, TrailSeed};
use super::{Authenticated, Context, ManagementRequest, Refused};
use crate::arm::action::{Action, Kind, Method};
use crate::arm::path::CanonicalPath;
use crate::arm::scope::Scope;
use crate::directory::Directory;
use crate::identity::{Caller, CallerKind, ClientProof};
use crate::ids::{PrincipalId, TenantId};
use crate::rejection::Rejection;
use crate::shown::shown_within;

/// A request that passed every check and speaks on behalf of its caller, and the evidence that it did.
#[derive(Debug)]
pub struct Forwardable {
    outbound: Outbound,
    trail: Box<Trail>,
}

/// What the forwarder sends: only a judgement makes one of what a [`Forwardable`] is split into.
#[derive(Debug)]
pub struct Outbound {
    method: Method,
    path: CanonicalPath,
    query: Option<Box<str>>,
    sent: Option<PathAndQuery>,
    /// As the client sent them.
    received: HeaderMap,
    assertion: HeaderValue,
    /// Ids and addresses of this one request.
    own: [Option<(HeaderName, HeaderValue)>; 4],
    authority: Box<str>,
    reading: Reading,
    caller: Arc<Caller>,
    /// Who else it shows to be.
    auxiliary: Box<[Arc<Caller>]>,
    /// Those of them by whose grants it may name a place.
    lenders: Vec<Arc<Caller>>,
    /// What its path addresses.
    place: Scope,
    /// The first of its actions.
    done: Box<str>,
    /// What it means beyond its path.
    meaning: Meaning,
    /// Whom that turned out to be about.
    customer: Option<TenantId>,
    /// Other places that it names.
    links: Vec<Scope>,
}

/// What the reply stage has to do with the body of the answer.
#[derive(Debug, Clone)]
pub enum Reading {
    /// A write: passed on as it comes, unless it began an operation; then its links are rewritten.
    Begun,
    /// A list, what was done, or what a client was sent to: its links are rewritten.
    Links,
    /// A list above the caller's grants: cut down to these scopes, and its links rewritten.
    Only(Arc<[Scope]>),
    /// Anything else: passed on as it comes.
    Unread,
    /// A list above subscriptions: cut down to what names nothing of other tenants, and its links rewritten.
    Within {
        /// Whose it may be about.
        tenant: TenantId,
        /// Says whose what is.
        directory: Arc<Directory>,
    },
}

/// Client headers that a backend may see, sorted. Everything else is ours, a proxy's or nobody's, and stays here.
const PASSED_ON: [&str; 18] = [
    "accept",
    "accept-language",
    "commandname",
    "content-language",
    "content-md5",
    "content-type",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "odata-version",
    "parametersetname",
    "prefer",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-ms-client-request-id",
    "x-ms-effective-locale",
];

/// Header fields that usually come to those that introduce the caller, with some that frame the message.
const ADDED: usize = 14;
/// Of a lender's name, so that the note it stands in has room for the ids behind it.
const NAME_BYTES_MAX: usize = 96;

impl Authorized {
    /// Gives the request the gateway's own voice.
    ///
    /// # Errors
    /// When the assertion cannot be signed.
    pub fn on_behalf(self, context: &Context<'_>) -> Result<Forwardable, Refused> {
        let Self { scoped, basis } = self;
        let customer = match scoped.place {
            Place::Subscription { customer, .. } => customer,
            Place::ManagementGroup | Place::Tenant => scoped.caller.principal.tenant,
        };
        let whom = OnBehalfOf { caller: &scoped.caller, basis: &basis, scope: &scoped.derived.scope, customer };
        let assertion = match context.signer.assertion(&whom, context) {
            Ok(assertion) => assertion,
            Err(error) => return Err(scoped.request.trail.refuse(Rejection::Assertion { error })),
        };
        let reading = match (&basis, scoped.derived.kind) {
            (Basis::GrantsBelow { scopes, .. }, _) => Reading::Only(Arc::clone(scopes)),
            // A grant above subscriptions is one for all of a tenant, and for nothing of others.
            (Basis::Grant(_), Kind::Collection) if !matches!(scoped.place, Place::Subscription { .. }) => {
                Reading::Within { tenant: customer, directory: Arc::clone(&context.directory) }
            }
            (_, Kind::Collection | Kind::Invocation) => Reading::Links,
            (_, Kind::Instance) if scoped.operation.is_some() || leads_on(&scoped.request.path) => Reading::Links,
            (_, Kind::Instance) if !matches!(scoped.request.method, Method::Get | Method::Head) => Reading::Begun,
            (_, Kind::Instance) => Reading::Unread,
        };
        let own = own_fields(&scoped, context);
        let request = scoped.request;
        let done = scoped.derived.actions.first().map(Action::as_str).unwrap_or_default().into();
        let outbound = Outbound {
            method: request.method,
            path: request.path,
            query: request.query,
            sent: request.sent,
            received: request.headers,
            assertion,
            own,
            authority: request.authority,
            reading,
            caller: scoped.caller,
            auxiliary: scoped.auxiliary,
            lenders: Vec::new(),
            place: scoped.derived.scope,
            done,
            meaning: scoped.meaning,
            customer: None,
            links: Vec::new(),
        };
        Ok(Forwardable { outbound, trail: request.trail })
    }
}

/// Types of whose instances some are lists. Source: the clients of the Python SDK that turn pages of what looks like one thing.
const LISTS: [&str; 4] = ["capacities", "partitions", "percentile", "reports"];

/// Whether this is one of the things whose answers lead on: what an operation came to, or a list in the place of an instance.
fn leads_on(path: &CanonicalPath) -> bool {
    let mut segments = path.segments();
    let Some(kind) = segments.len().checked_sub(2).and_then(|at| segments.nth(at)) else { return false };
    const OPERATION: &[u8] = b"operation";
    let is_operation = kind.as_bytes().windows(OPERATION.len()).any(|part| part.eq_ignore_ascii_case(OPERATION));
    is_operation || LISTS.iter().any(|list| kind.eq_ignore_ascii_case(list))
}

fn pass_on(client: &HeaderMap, reading: &Reading, headers: &mut HeaderMap) {
    let options = client.get(header::CONNECTION).is_some();
    // Whether a list changed, with what is cut out of it, is nobody's to ask.
    let is_cut = matches!(reading, Reading::Only(_) | Reading::Within { .. });
    let is_passed = |name: &str| PASSED_ON.binary_search(&name).is_ok() && !(is_cut && name.starts_with("if-"));
    for name in client.keys().filter(|name| is_passed(name.as_str())) {
        // Options named by `Connection` are for the hop to us, whatever their name; but the body was judged by what it is said to be.
        if let Some(value) = client.get(name).filter(|_| !options || *name == header::CONTENT_TYPE || !is_named_by_connection(client, name))
        {
            headers.insert(name.clone(), value.clone());
        }
    }
    match reading {
        Reading::Unread => {
            if let Some(value) = client.get(header::ACCEPT_ENCODING) {
                headers.insert(header::ACCEPT_ENCODING, value.clone());
            }
        }
        // A body that is read here must come uncompressed, and one that is cut down in a form that can be.
        Reading::Begun | Reading::Links => {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        Reading::Only(_) | Reading::Within { .. } => {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        }
    }
}

fn is_named_by_connection(client: &HeaderMap, name: &HeaderName) -> bool {
    let options = client.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    options.flat_map(|value| value.split(',')).any(|option| option.trim().eq_ignore_ascii_case(name.as_str()))
}

/// What only the manager may say of a caller. Source: Azure Resource Manager RPC, "Proxy request header modifications".
fn introduce(caller: &Caller) -> HeaderMap {
    let kind = match caller.kind {
        CallerKind::ServicePrincipal => "Application",
        CallerKind::User => "User",
    };
    let tenant = caller.principal.tenant.to_string();
    let object = caller.principal.object.to_string();
    let fields: [(&'static str, &str); 14] = [
        ("x-ms-client-tenant-id", &tenant),
        ("x-ms-home-tenant-id", &tenant),
        ("x-ms-client-object-id", &object),
        ("x-ms-client-principal-id", &object),
        ("x-ms-client-principal-name", &caller.name),
        ("x-ms-client-principal-type", kind),
        ("x-ms-client-app-id", &caller.client.map(|client| client.to_string()).unwrap_or_default()),
        ("x-ms-client-app-id-acr", caller.app_id_acr.map(ClientProof::digit).unwrap_or_default()),
        ("x-ms-client-audience", &caller.audience),
        ("x-ms-client-issuer", &caller.issuer),
        ("x-ms-client-authorization-source", "RoleBased"),
        ("x-ms-client-wids", &caller.wids.join(",")),
        ("x-ms-client-authentication-methods", &caller.amr.join(",")),
        ("x-ms-client-identity-provider", caller.identity_provider.as_deref().unwrap_or(&caller.issuer)),
    ];
    fields.into_iter().filter_map(|(name, value)| field(HeaderName::from_static(name), value.to_owned())).collect()
}

/// What is said of one request alone.
fn own_fields(scoped: &Scoped, context: &Context<'_>) -> [Option<(HeaderName, HeaderValue)>; 4] {
    let trail = &scoped.request.trail;
    [
        field(CORRELATION_REQUEST_ID, trail.correlation_id.clone()),
        field(CLIENT_IP_ADDRESS, trail.peer.ip().to_string()),
        field(TRACKING_ID, trail.id.to_string()),
        ancestors(scoped.place, context).and_then(|names| field(MANAGEMENT_GROUP_ANCESTORS, names)),
    ]
}

fn ancestors(place: Place, context: &Context<'_>) -> Option<String> {
    let Place::Subscription { id, .. } = place else { return None };
    let known = &context.directory.subscription(id)?.ancestors;
    (!known.is_empty()).then(|| known.join(","))
}

const CLIENT_IP_ADDRESS: HeaderName = HeaderName::from_static("x-ms-client-ip-address");
const MANAGEMENT_GROUP_ANCESTORS: HeaderName = HeaderName::from_static("x-ms-management-group-ancestors");
const TRACKING_ID: HeaderName = HeaderName::from_static("x-ms-arm-request-tracking-id");

/// A display name may hold what a header cannot; that is percent-encoded, and so is `%`, for no two names to look alike. Nothing is left out.
fn field(name: HeaderName, value: String) -> Option<(HeaderName, HeaderValue)> {
    if value.is_empty() {
        return None;
    }
    let plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'%';
    let value = match value.bytes().all(plain) {
        true => HeaderValue::try_from(value),
        false => {
            let escaped = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
            HeaderValue::try_from(value.bytes().map(escaped).collect::<String>())
        }
    };
    value.ok().map(|value| (name, value))
}

impl Forwardable {
    /// The request, whose body has to be judged before it can be sent, and the evidence for the record.
    #[must_use]
    pub fn split(self) -> (Unread, Box<Trail>) {
        (Unread(self.outbound), self.trail)
    }
}

impl Outbound {
    /// Judges it once more, by what is known now.
    ///
    /// # Errors
    /// When it is not permitted any more.
    pub fn judge_again(&self, context: &Context<'_>) -> Result<(), Refused> {
        let trail = Box::new(TrailSeed::unrecorded().trail(self.method, &self.path, &self.caller, context));
        let request = ManagementRequest {
            method: self.method,
            path: self.path.clone(),
            query: self.query.clone(),
            sent: None,
            headers: HeaderMap::new(),
            authority: self.authority.clone(),
            trail,
        };
        super::judge(Authenticated::part(request, Arc::clone(&self.caller)), context)?;
        self.judge_links(context).map(drop).map_err(|error| self.refused_for(error, context))
    }

    fn refused_for(&self, error: LinkError, context: &Context<'_>) -> Refused {
        let trail = Box::new(TrailSeed::unrecorded().trail(self.method, &self.path, &self.caller, context));
        trail.refuse(*self.rejection_of(error))
    }

    /// What such an error is to its caller.
    pub(super) fn rejection_of(&self, error: LinkError) -> Box<Rejection> {
        Box::new(Rejection::Linked { error, client: self.caller.name.to_string(), caller: self.caller.principal })
    }

    pub(super) const fn received(&self) -> &HeaderMap {
        &self.received
    }

    pub(super) fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    pub(super) const fn place(&self) -> &Scope {
        &self.place
    }

    pub(super) fn done(&self) -> &str {
        &self.done
    }

    pub(super) const fn meaning(&self) -> Meaning {
        self.meaning
    }

    pub(super) fn links(&self) -> &[Scope] {
        &self.links
    }

    pub(super) fn name(&mut self, links: Vec<Scope>) {
        self.links = links;
    }

    pub(super) const fn auxiliary(&self) -> &[Arc<Caller>] {
        &self.auxiliary
    }

    /// Of a query, the customer is known only now: the tenant of the subscriptions that it asks.
    pub(super) fn speak_for_one(&mut self, context: &Context<'_>) -> Result<(), Box<Rejection>> {
        if self.meaning != Meaning::Query {
            return Ok(());
        }
        let asked = self.links.iter().find_map(Scope::subscription_id).and_then(|id| context.directory.subscription(id));
        self.customer = asked.map(|subscription| subscription.tenant);
        let customer = self.customer.unwrap_or(self.caller.principal.tenant);
        let scope = match self.links.as_slice() {
            [only] => only,
            _ => &self.place,
        };
        let whom = OnBehalfOf { caller: &self.caller, basis: &Basis::Oneself, scope, customer };
        self.assertion = context.signer.assertion(&whom, context).map_err(|error| Rejection::Assertion { error })?;
        Ok(())
    }

    /// The tenant that it turned out to be about, when its path does not say that.
    #[must_use]
    pub const fn customer(&self) -> Option<TenantId> {
        self.customer
    }

    pub(super) fn lent_by(&mut self, lenders: Vec<Arc<Caller>>) {
        self.lenders = lenders;
    }

    /// What its record says of the callers of auxiliary tokens by whose grants it names what it names.
    pub fn lent(&self) -> impl Iterator<Item = String> {
        self.lenders.iter().map(|lender| {
            let PrincipalId { tenant, object } = lender.principal;
            let name = shown_within(NAME_BYTES_MAX, &lender.name);
            format!("a linked place is permitted by the auxiliary token of `{name}` with object id `{object}` of tenant `{tenant}`")
        })
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The canonical path.
    #[must_use]
    pub const fn path(&self) -> &CanonicalPath {
        &self.path
    }

    /// Path and query as the backend gets them: the path in the form it was judged in, the query byte for byte.
    ///
    /// # Errors
    /// Never for what was read as a URI when it came in, which only lost ambiguous parts since.
    pub fn target(&self) -> Result<PathAndQuery, InvalidUri> {
        match (&self.sent, &self.query) {
            (Some(sent), _) => Ok(sent.clone()),
            (None, Some(query)) => [self.path.as_str(), "?", query].concat().try_into(),
            (None, None) => self.path.as_str().try_into(),
        }
    }

    /// The header fields for the backend, without those that frame the message: what the client may say itself, and what is said of it.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = self.caller.introduction.get_or_init(|| introduce(&self.caller)).clone();
        // Growing would mean to hash all of them again.
        headers.reserve(ADDED);
        pass_on(&self.received, &self.reading, &mut headers);
        headers.insert(header::AUTHORIZATION, self.assertion.clone());
        headers.extend(self.own.iter().flatten().cloned());
        if let Some((name, value)) = self.referer() {
            headers.insert(name, value);
        }
        headers
    }

    /// The public address of the request: providers build links from it.
    fn referer(&self) -> Option<(HeaderName, HeaderValue)> {
        let (path, query) = (self.path.as_str(), self.query.as_deref().unwrap_or_default());
        let mut referer = String::with_capacity("https://?".len() + self.authority.len() + path.len() + query.len());
        referer.extend(["https://", &self.authority, path]);
        if self.query.is_some() {
            referer.extend(["?", query]);
        }
        field(header::REFERER, referer)
    }

    /// The authority of ours that links in the answer are built from.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// What has to be done with the body of the answer.
    #[must_use]
    pub const fn reading(&self) -> &Reading {
        &self.reading
    }

    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use hyper::Request;
    use serde_json::{Value, json};

    use super::super::Target;
    use super::super::testing::{BARE, HOST, MAIN, WARNED, World, principal, tenant};
    use super::*;

    const VM: &str = "~/resourceGroups/rg-a/providers/Microsoft.Compute/virtualMachines/vm";
    /// A subscription of the customer below two management groups, and roles of its owner above subscriptions.
    const ABOVE: &str = r#"
[[management_group]]
name = "Inner"
tenant = "customer"
parent = "Top"
[[subscription]]
id = "00000002-0005-4000-8000-000000000006"
name = "grouped"
tenant = "customer"
management_group = "Inner"
[[role_assignment]]
who = "owner"
role = "Reader"
scope = "Top"
[[role_assignment]]
who = "owner"
role = "Reader"
scope = "/"
tenant = "customer"
"#;

    /// A request that is permitted, such as `GET ~/resourceGroups`, with these fields and what comes after the version in its query.
    fn permitted(world: &World, callers: Vec<Caller>, asked: &str, more: &str, fields: &[(&str, &str)]) -> Forwardable {
        let context = world.context();
        let (method, path) = asked.split_once(' ').unwrap();
        let uri = format!("{}?api-version=2021-03-01{more}", path.replacen('~', MAIN, 1));
        let request = Request::builder().method(method).uri(uri).header("host", HOST);
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let request = world.classify(request, None).unwrap();
        let mut callers = callers.into_iter().map(Arc::new);
        let authenticated = Authenticated::part(request, callers.next().unwrap()).with_auxiliary(callers.collect());
        let Target::Customer(scoped) = authenticated.resolve(&context).unwrap() else { panic!("{asked} is answered by the gateway") };
        scoped.authorize(&context).unwrap().on_behalf(&context).unwrap()
    }

    fn judged(world: &World, who: &[&str], asked: &str, more: &str, body: &str) -> Result<Outbound, Box<Rejection>> {
        let callers = who.iter().map(|who| world.caller(who)).collect();
        permitted(world, callers, asked, more, &[]).split().0.judge(body.as_bytes(), &world.context())
    }

    /// What a bodiless request is sent with, but for its assertion, without which it is not.
    fn sent(world: &World, caller: Caller, asked: &str, fields: &[(&str, &str)]) -> BTreeMap<String, String> {
        let (unread, _trail) = permitted(world, vec![caller], asked, "", fields).split();
        let mut headers = unread.judge(b"", &world.context()).unwrap().headers();
        assert!(headers.remove(header::AUTHORIZATION).unwrap().to_str().unwrap().starts_with("Bearer "));
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    /// Those of them that the client may say.
    fn passed(fields: &BTreeMap<String, String>) -> String {
        let of_the_client = fields.iter().filter(|(name, _)| PASSED_ON.contains(&name.as_str()) || *name == "accept-encoding");
        of_the_client.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join(", ")
    }

    fn claims(outbound: &Outbound) -> Value {
        let text = outbound.headers()[header::AUTHORIZATION].to_str().unwrap().to_owned();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text.split('.').nth(1).unwrap()).unwrap()).unwrap()
    }

    fn refused_link(outcome: Result<Outbound, Box<Rejection>>) -> LinkError {
        let Rejection::Linked { error, .. } = *outcome.unwrap_err() else { panic!("refused for something else") };
        error
    }

    #[test]
    fn a_backend_is_told_who_asks_from_where_and_for_what_and_nothing_that_the_client_made_up() {
        let world = World::new();
        let caller = Caller {
            name: "Zo\u{eb} 100%".into(),
            client: Some("00000000-0004-4000-8000-000000000001".parse().unwrap()),
            app_id_acr: Some(ClientProof::Certificate),
            issuer: "https://login.example/provider".into(),
            audience: "https://gateway.example".into(),
            wids: ["one".into(), "two".into()].into(),
            amr: ["pwd".into(), "mfa".into()].into(),
            ..world.caller("reader")
        };
        let fields = [
            ("accept", "application/json"),
            ("accept-encoding", "gzip"),
            ("accept-language", "de"),
            ("authorization", "Bearer token"),
            ("cookie", "a=b"),
            ("if-none-match", "\"1\""),
            ("user-agent", "az/2.60"),
            ("x-forwarded-for", "198.51.100.1"),
            ("x-ms-client-object-id", "00000000-0002-4000-8000-000000000099"),
            ("x-ms-client-request-id", "1"),
        ];
        let asked = format!("GET {VM}");
        let forwardable = permitted(&world, vec![caller], &asked, "&$expand=instanceView", &fields);
        let (unread, trail) = forwardable.split();
        let outbound = unread.judge(b"", &world.context()).unwrap();
        let vm = VM.replacen('~', MAIN, 1);
        let referer = format!("https://gateway.example:8443{vm}?api-version=2021-03-01&$expand=instanceView");
        let (object, home) = (principal("reader").object.to_string(), tenant(1).to_string());
        let (correlation_id, id) = (trail.correlation_id.clone(), trail.id.to_string());
        let expected = BTreeMap::from([
            ("accept", "application/json"),
            ("accept-encoding", "gzip"),
            ("accept-language", "de"),
            ("if-none-match", "\"1\""),
            ("referer", &referer),
            ("user-agent", "az/2.60"),
            ("x-ms-arm-request-tracking-id", &id),
            ("x-ms-client-app-id", "00000000-0004-4000-8000-000000000001"),
            ("x-ms-client-app-id-acr", "2"),
            ("x-ms-client-audience", "https://gateway.example"),
            ("x-ms-client-authentication-methods", "pwd,mfa"),
            ("x-ms-client-authorization-source", "RoleBased"),
            ("x-ms-client-identity-provider", "https://login.example/provider"),
            ("x-ms-client-ip-address", "192.0.2.1"),
            ("x-ms-client-issuer", "https://login.example/provider"),
            ("x-ms-client-object-id", &object),
            ("x-ms-client-principal-id", &object),
            ("x-ms-client-principal-name", "Zo%C3%AB 100%25"),
            ("x-ms-client-principal-type", "User"),
            ("x-ms-client-request-id", "1"),
            ("x-ms-client-tenant-id", &home),
            ("x-ms-client-wids", "one,two"),
            ("x-ms-correlation-request-id", &correlation_id),
            ("x-ms-home-tenant-id", &home),
            ("x-ms-management-group-ancestors", "Top"),
        ]);
        let mut headers = outbound.headers();
        assert!(headers.remove(header::AUTHORIZATION).is_some_and(|value| value != "Bearer token"));
        let told: BTreeMap<_, _> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        assert_eq!(told, expected);
        assert_eq!((outbound.authority(), outbound.query()), (HOST, Some("api-version=2021-03-01&$expand=instanceView")));
        assert_eq!(outbound.target().unwrap(), *format!("{vm}?api-version=2021-03-01&$expand=instanceView"));
    }

    #[test]
    fn an_application_is_introduced_as_one_and_of_what_is_not_known_nothing_is_said() {
        let world = World::new();
        let caller = Caller { kind: CallerKind::ServicePrincipal, identity_provider: Some("other".into()), ..world.caller("reader") };
        let told = sent(&world, caller, &format!("GET {VM}"), &[]);
        assert_eq!(told["x-ms-client-principal-type"], "Application");
        assert_eq!(told["x-ms-client-identity-provider"], "other");
        for name in ["x-ms-client-app-id", "x-ms-client-app-id-acr", "x-ms-client-wids", "x-ms-client-authentication-methods"] {
            assert_eq!(told.get(name), None, "{name}");
        }
    }

    #[test]
    fn the_management_groups_above_a_subscription_are_named_from_the_inner_one_to_the_outer() {
        let world = World::with(ABOVE);
        let above = |asked: &str| {
            let told = sent(&world, world.caller("owner"), asked, &[]);
            told.get("x-ms-management-group-ancestors").cloned()
        };
        assert_eq!(above("GET /subscriptions/00000002-0005-4000-8000-000000000006/resourceGroups").as_deref(), Some("Inner,Top"));
        assert_eq!(above("GET ~/resourceGroups").as_deref(), Some("Top"));
        assert_eq!(above(&format!("GET {BARE}/resourceGroups")), None);
        assert_eq!(above("GET /providers/Microsoft.Management/managementGroups"), None);
    }

    #[test]
    fn what_a_client_says_for_the_hop_to_us_stays_here_but_for_what_its_body_is() {
        let world = World::new();
        let said = [("accept", "text/plain"), ("accept-language", "de"), ("content-type", "application/json"), ("prefer", "a")];
        let passed_with = |connection: &[&str]| {
            let fields: Vec<_> = said.into_iter().chain(connection.iter().map(|options| ("connection", *options))).collect();
            passed(&sent(&world, world.caller("contributor"), &format!("DELETE {VM}"), &fields))
        };
        let all = "accept: text/plain, accept-encoding: identity, accept-language: de, content-type: application/json, prefer: a";
        assert_eq!(passed_with(&[]), all);
        assert_eq!(passed_with(&["close"]), all);
        assert_eq!(passed_with(&["accept-languages, refer"]), all);
        assert_eq!(passed_with(&["content-type"]), all);
        let without = "accept: text/plain, accept-encoding: identity, content-type: application/json";
        assert_eq!(passed_with(&["close, Accept-Language", "content-type ,PREFER"]), without);
    }

    #[test]
    fn whether_a_list_changed_is_asked_where_nothing_is_cut_out_of_it_and_what_is_read_here_comes_uncompressed() {
        let world = World::new();
        let said =
            [("accept", "text/plain"), ("accept-encoding", "gzip"), ("if-match", "\"1\""), ("if-none-match", "\"2\""), ("prefer", "a")];
        let passed_of = |who: &str, asked: &str| passed(&sent(&world, world.caller(who), asked, &said));
        let whole = "accept: text/plain, accept-encoding: gzip, if-match: \"1\", if-none-match: \"2\", prefer: a";
        assert_eq!(passed_of("in-group", &format!("GET {VM}")), whole);
        assert_eq!(passed_of("reader", "GET ~/resourceGroups"), whole.replace("gzip", "identity"));
        assert_eq!(passed_of("in-group", "GET ~/resourceGroups"), "accept: application/json, accept-encoding: identity, prefer: a");
    }

    #[test]
    fn lists_are_cut_down_to_what_their_caller_may_read() {
        let world = World::with(ABOVE);
        let reading = |who: &str, asked: &str| match judged(&world, &[who], asked, "", "").unwrap().reading() {
            Reading::Begun => "begun".to_owned(),
            Reading::Links => "links".to_owned(),
            Reading::Only(scopes) => scopes.iter().map(|scope| scope.to_string().replacen(MAIN, "~", 1)).collect::<Vec<_>>().join(" "),
            Reading::Unread => "unread".to_owned(),
            Reading::Within { tenant, .. } => format!("within {tenant}"),
        };
        let within_customer = format!("within {}", tenant(2));
        assert_eq!(reading("owner", "GET /providers/Microsoft.Management/managementGroups"), within_customer);
        let definitions = "GET /providers/Microsoft.Management/managementGroups/Top/providers/Microsoft.Authorization/policyDefinitions";
        assert_eq!(reading("owner", definitions), within_customer);
        assert_eq!(reading("owner", "GET /providers/Microsoft.Management/managementGroups/Top"), "unread");
        assert_eq!(reading("owner", "GET ~/resourceGroups"), "links");
        assert_eq!(reading("in-group", "GET ~/resourceGroups"), "~/resourceGroups/rg-a");
        assert_eq!(reading("in-group", &format!("POST {VM}/start")), "links");
        assert_eq!(reading("stranger", "GET /providers"), "links");
        assert_eq!(reading("in-group", &format!("GET {VM}")), "unread");
        for method in ["PUT", "PATCH", "DELETE"] {
            assert_eq!(reading("contributor", &format!("{method} {VM}")), "begun");
        }
    }

    #[test]
    fn what_an_operation_came_to_is_read_as_a_list_is() {
        let world = World::new();
        let reading = |asked: &str| format!("{:?}", judged(&world, &["owner"], asked, "", "").unwrap().reading());
        for kind in [
            "locations/west/operations",
            "locations/west/OperationResults",
            "operationStatuses",
            "locations/west/operationsStatus",
            "locations/west/azureAsyncOperations",
            "virtualMachines/v/backupOperationResults",
            "service/s/reports",
            "databaseAccounts/a/percentile",
        ] {
            assert_eq!(reading(&format!("GET ~/providers/Microsoft.Compute/{kind}/1")), "Links", "{kind}");
        }
        assert_eq!(reading("GET ~/providers/Microsoft.OperationalInsights/workspaces/operations"), "Unread");
        // Whatever it is called, if a client was sent there.
        assert_eq!(reading(&format!("GET {VM}")), "Unread");
        world.operations.remember(&CanonicalPath::parse(&VM.replace('~', MAIN)).unwrap(), None, world.now);
        assert_eq!(reading(&format!("GET {VM}")), "Links");
    }

    #[test]
    fn places_that_query_or_body_name_are_judged_and_kept_for_judging_them_again() {
        let world = World::new();
        let asked = format!("PUT {VM}");
        let network = |of: &str| format!("{of}/resourceGroups/rg-b/providers/Microsoft.Network/virtualNetworks/v");
        let by_body = |of: &str| judged(&world, &["contributor"], &asked, "", &json!({ "network": network(of) }).to_string());
        let by_query = |of: &str| judged(&world, &["contributor"], &asked, &format!("&network={}", network(of)), "{}");
        for named in [by_body(MAIN), by_query(MAIN)] {
            assert_eq!(named.unwrap().links(), [Scope::parse(&network(MAIN)).unwrap()]);
        }
        for named in [by_body(BARE), by_query(BARE)] {
            let LinkError::NotGranted { place, done, scope, .. } = refused_link(named) else { panic!("another reason") };
            let expected = (network(BARE), "Microsoft.Compute/virtualMachines/write".to_owned(), VM.replacen('~', MAIN, 1));
            assert_eq!((place, done, scope), expected);
        }
        assert!(judged(&world, &["contributor"], &asked, "", "{}").unwrap().links().is_empty());
    }

    #[test]
    fn whoever_lends_a_grant_for_a_place_that_is_named_is_in_the_record() {
        let world = World::new();
        let asked = format!("PUT {VM}");
        let body = json!({ "network": format!("{WARNED}/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v") }).to_string();
        let lent = |who: &[&str]| judged(&world, who, &asked, "", &body).map(|outbound| outbound.lent().collect::<Vec<_>>());
        let (object, customer) = (principal("owner").object, tenant(2));
        let by_owner =
            format!("a linked place is permitted by the auxiliary token of `owner` with object id `{object}` of tenant `{customer}`");
        assert_eq!(lent(&["contributor", "owner"]).unwrap(), [by_owner]);
        assert_eq!(lent(&["owner"]).unwrap(), [""; 0]);
        assert!(lent(&["contributor"]).is_err());
        assert!(lent(&["contributor", "editor", "nobody"]).is_err());
    }

    #[test]
    fn a_query_speaks_for_the_tenant_of_the_subscriptions_that_it_asks() {
        let world = World::new();
        let asked = "POST /providers/Microsoft.ResourceGraph/resources";
        let query = |of: &[&str]| {
            let ids: Vec<_> = of.iter().map(|of| of.trim_start_matches("/subscriptions/")).collect();
            let outbound =
                judged(&world, &["reader"], asked, "", &json!({ "query": "Resources", "subscriptions": ids }).to_string()).unwrap();
            let claims = claims(&outbound);
            (outbound.customer(), claims["tid"].clone(), claims["scp"].clone())
        };
        assert_eq!(query(&[MAIN]), (Some(tenant(2)), json!(tenant(2)), json!(MAIN)));
        // Of several it is no single place that it asks.
        assert_eq!(query(&[MAIN, WARNED]), (Some(tenant(2)), json!(tenant(2)), json!("/")));
        // Of anything else, the path says for whom it is.
        let outbound = judged(&world, &["reader"], &format!("GET {VM}"), "", "").unwrap();
        let claims = claims(&outbound);
        assert_eq!((outbound.customer(), &claims["tid"], &claims["scp"]), (None, &json!(tenant(2)), &json!(MAIN)));
    }
}
