//! Stage 8: the caller's token and every header that could pass for ours go out; a signed assertion goes in.

use std::sync::Arc;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::{InvalidUri, PathAndQuery};

use super::assertion::OnBehalfOf;
use super::authorize::{Authorized, Basis};
use super::linked::{LinkError, Unread};
use super::meaning::Meaning;
use super::resolve::{Place, Scoped};
use super::trail::{self, CORRELATION_REQUEST_ID, Trail, TrailSeed};
use super::{Authenticated, Context, ManagementRequest, Refused};
use crate::arm::action::{Action, Kind, Method};
use crate::arm::path::CanonicalPath;
use crate::arm::scope::Scope;
use crate::directory::Directory;
use crate::identity::{Caller, CallerKind, ClientProof};
use crate::ids::{PrincipalId, TenantId};
use crate::rejection::Rejection;

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
    /// A list: its links are rewritten.
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
        Reading::Links => {
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

/// A display name may hold what a header cannot; it is percent-encoded then, never left out.
fn field(name: HeaderName, value: String) -> Option<(HeaderName, HeaderValue)> {
    if value.is_empty() {
        return None;
    }
    let plain = |byte: u8| (0x20..0x7f).contains(&byte);
    let value = match value.bytes().all(plain) {
        true => HeaderValue::try_from(value),
        false => {
            let escaped = |byte| if plain(byte) && byte != b'%' { char::from(byte).to_string() } else { format!("%{byte:02X}") };
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
            let name = trail::printable(lender.name.as_ref());
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
        // With room for those that frame the message: growing would mean to hash all of them again.
        headers.reserve(self.own.len() + PASSED_ON.len().min(self.received.len()) + 5);
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
    use super::super::testing::{HOST, MAIN, World};
    use super::super::{CheckName, Scoped};
    use super::*;

    const VM: &str = "~/resourceGroups/rg-a/providers/Microsoft.Compute/virtualMachines/vm";

    fn sent(world: &World, who: &str, asked: &str, fields: &[(&str, &str)]) -> Outbound {
        let scoped = world.resolve_with(world.caller(who), asked, fields).unwrap();
        world.unread(scoped).judge(b"{}", &world.context()).unwrap()
    }

    /// The values of a field for the backend.
    fn values(outbound: &Outbound, name: &str) -> String {
        let headers = outbound.headers();
        headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(" and ")
    }

    #[test]
    fn a_backend_sees_what_a_client_may_say_itself_and_nothing_else() {
        let world = World::new();
        let fields = [
            ("accept", "text/plain"),
            ("accept-encoding", "gzip"),
            ("authorization", "Bearer of the client"),
            ("cookie", "a=b"),
            ("content-type", "application/json"),
            ("if-match", "*"),
            ("if-none-match", "x"),
            ("referer", "https://elsewhere.example/"),
            ("traceparent", "00-1"),
            ("user-agent", "az"),
            ("x-forwarded-for", "192.0.2.99"),
            ("x-ms-client-object-id", "somebody else"),
            ("x-ms-client-ip-address", "192.0.2.99"),
        ];
        // One thing, a list, and a list that is cut down to what the caller may see.
        let thing = sent(&world, "contributor", &format!("PUT {VM}"), &fields);
        let list = sent(&world, "reader", "GET ~/resourceGroups", &fields);
        let cut = sent(&world, "in-group", "GET ~/resourceGroups", &fields);
        for (name, of_thing, of_list, of_cut) in [
            ("accept", "text/plain", "text/plain", "application/json"),
            ("accept-encoding", "gzip", "identity", "identity"),
            ("cookie", "", "", ""),
            ("content-type", "application/json", "application/json", "application/json"),
            ("host", "", "", ""),
            ("if-match", "*", "*", ""),
            ("if-none-match", "x", "x", ""),
            ("traceparent", "00-1", "00-1", "00-1"),
            ("user-agent", "az", "az", "az"),
            ("x-forwarded-for", "", "", ""),
            ("x-ms-client-ip-address", "192.0.2.1", "192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!([&thing, &list, &cut].map(|outbound| values(outbound, name)), [of_thing, of_list, of_cut], "{name}");
        }
        for (outbound, path) in [(&thing, VM.replace('~', MAIN)), (&list, format!("{MAIN}/resourceGroups"))] {
            assert_eq!(values(outbound, "referer"), format!("https://{HOST}{path}?api-version=2024-07-01"));
            assert!(values(outbound, "authorization").starts_with("Bearer ey"));
            assert_ne!(values(outbound, "x-ms-client-object-id"), "somebody else");
        }
        assert!(matches!(thing.reading(), Reading::Unread) && matches!(list.reading(), Reading::Links));
        assert!(matches!(cut.reading(), Reading::Only(scopes) if scopes.len() == 1));
    }

    #[test]
    fn what_a_client_names_as_options_of_its_connection_goes_no_further() {
        let world = World::new();
        let fields = [("user-agent", "az"), ("prefer", "a"), ("content-type", "application/json"), ("accept", "text/plain")];
        let with = |connection| sent(&world, "contributor", &format!("PUT {VM}"), &[&fields[..], &[("connection", connection)]].concat());
        let seen = |connection| ["user-agent", "prefer", "content-type", "accept"].map(|name| values(&with(connection), name));
        assert_eq!(seen("close"), ["az", "a", "application/json", "text/plain"]);
        // The body was judged by what it is said to be.
        assert_eq!(seen("close, User-Agent ,content-type"), ["", "a", "application/json", "text/plain"]);
        assert_eq!(seen("prefer"), ["az", "", "application/json", "text/plain"]);
    }

    #[test]
    fn a_backend_is_told_who_asks_and_from_where() {
        let world = World::new();
        let correlation = "5f0b7a7e-3c0e-4d7e-9d0e-000000000001";
        let asked = format!("GET {VM}");
        let outbound = sent(&world, "reader", &asked, &[("x-ms-correlation-request-id", correlation)]);
        let reader = outbound.caller().principal;
        for (name, value) in [
            ("x-ms-client-tenant-id", reader.tenant.to_string()),
            ("x-ms-home-tenant-id", reader.tenant.to_string()),
            ("x-ms-client-object-id", reader.object.to_string()),
            ("x-ms-client-principal-id", reader.object.to_string()),
            ("x-ms-client-principal-name", "reader".to_owned()),
            ("x-ms-client-principal-type", "User".to_owned()),
            ("x-ms-client-authorization-source", "RoleBased".to_owned()),
            ("x-ms-client-app-id", String::new()),
            ("x-ms-correlation-request-id", correlation.to_owned()),
            ("x-ms-client-ip-address", "192.0.2.1".to_owned()),
            ("x-ms-management-group-ancestors", "Top".to_owned()),
        ] {
            assert_eq!(values(&outbound, name), value, "{name}");
        }
        let named = |name: &str| {
            let scoped = world.resolve(Caller { name: name.into(), ..world.caller("reader") }, &asked).unwrap();
            values(&world.unread(scoped).judge(b"", &world.context()).unwrap(), "x-ms-client-principal-name")
        };
        // What a header can hold stands there as it is, and all else escaped.
        assert_eq!([named(" 100 % ~"), named("Zoë 5%"), named("a\u{7f}b"), named("a\nb")], [" 100 % ~", "Zo%C3%AB 5%25", "a%7Fb", "a%0Ab"]);
    }

    #[test]
    fn the_target_is_what_was_judged_and_the_query_what_was_sent() {
        let world = World::new();
        let target = |asked: &str| sent(&world, "reader", asked, &[]).target().unwrap().to_string();
        assert_eq!(target("GET ~/resourceGroups"), format!("{MAIN}/resourceGroups?api-version=2024-07-01"));
        assert_eq!(target("GET ~//resource%47roups/"), format!("{MAIN}/resourceGroups?api-version=2024-07-01"));
    }

    #[test]
    fn a_request_is_judged_again_by_what_is_known_then() {
        let mut world = World::new();
        let body = format!(r#"{{"id":"{MAIN}/resourceGroups/rg-b"}}"#);
        let scoped = |world: &World, who| world.resolve(world.caller(who), &format!("PUT {VM}")).unwrap();
        let judged = |world: &World, scoped: Scoped| world.unread(scoped).judge(body.as_bytes(), &world.context()).unwrap();
        let again = |outbound: &Outbound, context: &Context<'_>| {
            outbound.judge_again(context).map_err(|refused| (refused.rejection.reason(), refused.rejection.check()))
        };
        let outbound = judged(&world, scoped(&world, "contributor"));
        assert_eq!(again(&outbound, &world.context()), Ok(()));
        assert_eq!(again(&outbound, &Context { is_current: false, ..world.context() }), Err(("state.stale", CheckName::Delegation)));
        // Denied by now: where it writes, or what it names.
        let denied = |scope| format!("[[deny_assignment]]\nname = \"now\"\nactions = [\"*\"]\nscope = \"{scope}\"\n");
        world.directory = World::with(&denied("main/rg-a")).directory;
        assert_eq!(again(&outbound, &world.context()), Err(("role.deny_assignment", CheckName::Role)));
        world.directory = World::with(&denied("main/rg-b")).directory;
        assert_eq!(again(&outbound, &world.context()), Err(("scope.linked", CheckName::Rules)));
    }
}
