//! Stage 8: the caller's token and every header that could pass for ours go out; a signed assertion goes in.

use std::sync::Arc;

use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::assertion::OnBehalfOf;
use super::authorize::{Authorized, Basis};
use super::resolve::Place;
use super::trail::{Trail, TrailSeed};
use super::{Authenticated, Context, ManagementRequest, Refused};
use crate::arm::action::{Kind, Method};
use crate::arm::path::CanonicalPath;
use crate::arm::scope::Scope;
use crate::identity::{Caller, CallerKind, ClientProof};
use crate::rejection::Rejection;

/// A request that passed every check and speaks on behalf of its caller, and the evidence that it did.
#[derive(Debug)]
pub struct Forwardable {
    outbound: Outbound,
    trail: Box<Trail>,
}

/// What the forwarder sends: only a [`Forwardable`] can be split into one.
#[derive(Debug)]
pub struct Outbound {
    method: Method,
    path: CanonicalPath,
    query: Option<Box<str>>,
    headers: HeaderMap,
    authority: Box<str>,
    reading: Reading,
    caller: Arc<Caller>,
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
}

/// Client headers that a backend may see. Everything else is ours, a proxy's or nobody's, and stays here.
const PASSED_ON: [&str; 19] = [
    "accept",
    "accept-language",
    "commandname",
    "content-encoding",
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
            (_, Kind::Collection | Kind::Invocation) => Reading::Links,
            (_, Kind::Instance) => Reading::Unread,
        };
        let request = scoped.request;
        let mut headers = passed_on(&request.headers, &reading);
        headers.insert(header::AUTHORIZATION, assertion);
        speak_for(&mut headers, &scoped.caller, &request.trail);
        refer(&mut headers, &request.authority, &request.path, request.query.as_deref());
        name_ancestors(&mut headers, scoped.place, context);
        let outbound = Outbound {
            method: request.method,
            path: request.path,
            query: request.query,
            headers,
            authority: request.authority,
            reading,
            caller: scoped.caller,
        };
        Ok(Forwardable { outbound, trail: request.trail })
    }
}

fn passed_on(client: &HeaderMap, reading: &Reading) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(PASSED_ON.len() + 24);
    for name in PASSED_ON.map(HeaderName::from_static) {
        // Options named by `Connection` are for the hop to us, whatever their name.
        if let Some(value) = client.get(&name).filter(|_| !is_named_by_connection(client, &name)) {
            headers.insert(name, value.clone());
        }
    }
    match reading {
        Reading::Unread => {
            if let Some(value) = client.get(header::ACCEPT_ENCODING) {
                headers.insert(header::ACCEPT_ENCODING, value.clone());
            }
        }
        // A body that is read here must come uncompressed.
        Reading::Links | Reading::Only(_) => {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
    }
    headers
}

fn is_named_by_connection(client: &HeaderMap, name: &HeaderName) -> bool {
    let options = client.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    options.flat_map(|value| value.split(',')).any(|option| option.trim().eq_ignore_ascii_case(name.as_str()))
}

/// Sets the headers that only the manager may set. Source: Azure Resource Manager RPC, "Proxy request header modifications".
fn speak_for(headers: &mut HeaderMap, caller: &Caller, trail: &Trail) {
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
        ("x-ms-correlation-request-id", &trail.correlation_id),
    ];
    for (name, value) in fields {
        insert_text(headers, name, value);
    }
    insert_text(headers, "x-ms-client-identity-provider", caller.identity_provider.as_deref().unwrap_or(&caller.issuer));
    insert_text(headers, "x-ms-client-ip-address", &trail.peer.ip().to_string());
    insert_text(headers, "x-ms-arm-request-tracking-id", &trail.id.to_string());
}

/// The public address of the request: providers build links from it.
fn refer(headers: &mut HeaderMap, authority: &str, path: &CanonicalPath, query: Option<&str>) {
    let mut referer = format!("https://{authority}{}", path.as_str());
    if let Some(query) = query {
        referer.push('?');
        referer.push_str(query);
    }
    insert_text(headers, "referer", &referer);
}

fn name_ancestors(headers: &mut HeaderMap, place: Place, context: &Context<'_>) {
    let Place::Subscription { id, .. } = place else { return };
    let ancestors = context.directory.subscription(id).map(|subscription| subscription.ancestors.join(",")).unwrap_or_default();
    insert_text(headers, "x-ms-management-group-ancestors", &ancestors);
}

/// A display name may hold what a header cannot; it is percent-encoded then, never left out.
fn insert_text(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if value.is_empty() {
        return;
    }
    let plain = |byte: u8| (0x20..0x7f).contains(&byte);
    let encoded: String = match value.bytes().all(plain) {
        true => value.to_owned(),
        false => value
            .bytes()
            .map(|byte| if plain(byte) && byte != b'%' { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect(),
    };
    if let Ok(value) = HeaderValue::try_from(encoded) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

impl Forwardable {
    /// The request for the forwarder, and the evidence for the record.
    #[must_use]
    pub fn split(self) -> (Outbound, Box<Trail>) {
        (self.outbound, self.trail)
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
            headers: HeaderMap::new(),
            authority: self.authority.clone(),
            trail,
        };
        super::judge(Authenticated::part(request, Arc::clone(&self.caller)), context)
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
    #[must_use]
    pub fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path.as_str()),
            None => self.path.as_str().to_owned(),
        }
    }

    /// The header fields for the backend, without those that frame the message.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
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
