//! Stage 1, plane: is this a request to the management plane, addressed to us, in a form that has one reading.

use std::sync::Arc;

use hyper::Version;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::http::uri::PathAndQuery;

use super::trail::{CheckName, Trail};
use super::{Context, Overload, Refused};
use crate::arm::action::Method;
use crate::arm::path::{CanonicalPath, PathError};
use crate::arm::planes::DataPlaneHost;
use crate::https::{AmbiguousFraming, Connection, HeadLimits};
use crate::ids::RequestId;
use crate::rejection::Rejection;
use crate::shown::into_shown;

/// A request as it came in, before anything is known about it.
#[derive(Debug)]
pub struct Arrival {
    head: Parts,
    trail: Box<Trail>,
    connection: Arc<Connection>,
}

/// A request whose host, path and method belong to the management plane.
#[derive(Debug)]
pub struct ManagementRequest {
    pub(super) method: Method,
    pub(super) path: CanonicalPath,
    pub(super) query: Option<Box<str>>,
    /// Path and query as they came in, where the path is canonical as it stands: they need not be put together and read again.
    pub(super) sent: Option<PathAndQuery>,
    pub(super) headers: HeaderMap,
    /// Which of our authorities the client used; links in the answer are built from it.
    pub(super) authority: Box<str>,
    pub(super) trail: Box<Trail>,
}

/// Why a request is not one for the management plane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClassifyError {
    /// A request that a batch carries cannot be one of its own.
    #[error("the request cannot be carried by a batch: {what}")]
    Carried {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The address belongs to a resource, not to the resource manager.
    #[error("`{host}` is an address of {service}: it belongs to the data plane, and delegations reach management addresses only")]
    DataPlane {
        /// The host as sent.
        host: String,
        /// The service whose data it serves.
        service: String,
        /// What to do instead.
        hint: Option<String>,
    },
    /// Target, `Host` and server name do not agree on one of our authorities.
    #[error("`{host}` is not an address of this gateway; it answers at {ours}")]
    ForeignHost {
        /// The host as sent.
        host: String,
        /// Our authorities.
        ours: String,
    },
    /// No `Host`, or more than one, or one that is not `host[:port]`.
    #[error("the request needs exactly one `Host` of the form `host[:port]`")]
    HostForm,
    /// A method that is not one of the management plane.
    #[error("the method `{method}` is not allowed; use GET, HEAD, PUT, PATCH, POST or DELETE")]
    Method {
        /// The method as sent.
        method: String,
    },
    /// A request for another protocol or an open tunnel.
    #[error("the gateway does not tunnel: remove the `{field}` header")]
    Tunnel {
        /// The header that asks for it.
        field: &'static str,
    },
    /// Framing that two programs could read in two ways.
    #[error("the framing of the request is ambiguous: {what}")]
    Framing {
        /// Which part.
        what: &'static str,
    },
    /// The path has no single reading.
    #[error("the path is ambiguous or malformed: {0}")]
    Path(#[from] PathError),
    /// The target is too long.
    #[error("the request target has {length} bytes; allowed: {max}")]
    TargetTooLong {
        /// Its length.
        length: usize,
        /// The limit.
        max: usize,
    },
    /// Too many header fields.
    #[error("the request has {count} header fields; allowed: {max}")]
    TooManyFields {
        /// Their number.
        count: usize,
        /// The limit.
        max: usize,
    },
    /// Header fields are too large together.
    #[error("the header fields have {length} bytes; allowed: {max}")]
    FieldsTooLarge {
        /// Their length.
        length: usize,
        /// The limit.
        max: usize,
    },
    /// An expectation that cannot be met.
    #[error("the expectation `{value}` cannot be met; only `100-continue` can")]
    Expectation {
        /// As sent.
        value: String,
    },
}

impl Arrival {
    /// A request and the connection it came on.
    #[must_use]
    pub fn new(head: Parts, connection: Arc<Connection>, id: RequestId, context: &Context<'_>) -> Self {
        let trail = Box::new(Trail::begin(&head, &connection, id, context));
        Self { head, trail, connection }
    }

    /// Ends the request before anything is looked at: there is no time for it.
    #[must_use]
    pub fn turn_away(mut self, overload: Overload) -> Refused {
        self.trail.path = into_shown(self.head.uri.path());
        self.trail.refuse(Rejection::Overload { error: overload })
    }

    /// Proves that the request belongs to the management plane.
    ///
    /// # Errors
    /// When it is addressed to somebody else, cannot be read in one way only, or asks for something that is not management.
    pub fn classify(mut self, context: &Context<'_>) -> Result<ManagementRequest, Refused> {
        match self.judge(context) {
            Ok((method, path, authority)) => {
                self.trail.pass(CheckName::Connection);
                self.trail.pass(CheckName::Plane);
                self.trail.path = path.as_str().into();
                let uri = &self.head.uri;
                let query = uri.query().map(Box::from);
                // Of a target without a path it says that the path is `/`, and does not have it.
                let sent = uri.path_and_query().filter(|sent| sent.path() == path.as_str() && sent.as_str().starts_with('/')).cloned();
                Ok(ManagementRequest { method, path, query, sent, headers: self.head.headers, authority, trail: self.trail })
            }
            Err(error) => {
                self.trail.path = into_shown(self.head.uri.path());
                Err(self.trail.refuse(Rejection::Classify(error)))
            }
        }
    }

    fn judge(&self, context: &Context<'_>) -> Result<(Method, CanonicalPath, Box<str>), ClassifyError> {
        let head = &self.head;
        refuse_tunnels(head)?;
        let method = method(head)?;
        let authority = self.authority(context)?;
        refuse_oversize(head, &context.site.head)?;
        refuse_odd_framing(head)?;
        let path = CanonicalPath::parse(head.uri.path())?;
        Ok((method, path, authority))
    }

    /// The one of our authorities that target, `Host` and server name agree on.
    fn authority(&self, context: &Context<'_>) -> Result<Box<str>, ClassifyError> {
        let host = host_field(&self.head.headers)?;
        let target = self.head.uri.authority().map(|authority| authority.as_str());
        let name = self.connection.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
        // The data plane is named before anything else is said: it is what the client needs to hear.
        for seen in [target, host, name].into_iter().flatten().filter(|seen| !context.site.is_called(seen)) {
            if let Some(data) = context.directory.planes().classify(host_of(seen)) {
                return Err(data_plane(seen, data));
            }
        }
        agreed(&self.head, &self.connection, &context.site.authorities).map(Box::from)
    }
}

/// Proves of a request for another listener what has to hold for every one: that it is addressed to one of that listener's names, asks for no
/// tunnel, has one reading, and is no larger than allowed.
///
/// # Errors
/// When one of these does not hold.
pub fn require_one_reading(
    head: &Parts,
    connection: &Connection,
    authorities: &[Box<str>],
    limits: &HeadLimits,
) -> Result<(), ClassifyError> {
    agreed(head, connection, authorities)?;
    refuse_tunnels(head)?;
    refuse_oversize(head, limits)?;
    refuse_odd_framing(head)
}

/// The one of these authorities that target, `Host` and server name agree on.
fn agreed<'o>(head: &Parts, connection: &Connection, authorities: &'o [Box<str>]) -> Result<&'o str, ClassifyError> {
    let host = host_field(&head.headers)?;
    let claimed = head.uri.authority().map(|authority| authority.as_str()).or(host).ok_or(ClassifyError::HostForm)?;
    let ours = find(authorities, claimed).ok_or_else(|| foreign(authorities, claimed))?;
    if let Some(other) = host.filter(|host| find(authorities, host) != Some(ours)) {
        return Err(foreign(authorities, other));
    }
    let name = connection.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
    if let Some(other) = name.filter(|name| !name.eq_ignore_ascii_case(host_of(ours))) {
        return Err(foreign(authorities, other));
    }
    let expected = if connection.tls.is_some() { "https" } else { "http" };
    if head.uri.scheme_str().is_some_and(|scheme| scheme != expected) {
        return Err(ClassifyError::Framing { what: "the scheme of the target is not the scheme of the connection" });
    }
    Ok(ours)
}

fn find<'o>(authorities: &'o [Box<str>], authority: &str) -> Option<&'o str> {
    authorities.iter().map(AsRef::as_ref).find(|ours: &&str| same_authority(ours, authority))
}

fn foreign(authorities: &[Box<str>], host: &str) -> ClassifyError {
    let host = host.chars().take(256).collect();
    ClassifyError::ForeignHost { host, ours: authorities.join(", ") }
}

impl Context<'_> {
    /// Proves that an authority is one of ours.
    ///
    /// # Errors
    /// When it belongs to a data plane, or to somebody else.
    pub(super) fn require_ours(&self, authority: &str) -> Result<(), ClassifyError> {
        if let Some(data) = self.directory.planes().classify(host_of(authority)) {
            return Err(data_plane(authority, data));
        }
        let ours = &self.site.authorities;
        find(ours, authority).map(|_ours| ()).ok_or_else(|| foreign(ours, authority))
    }
}

impl super::Site {
    /// Whether this is one of our names, with its port or without.
    fn is_called(&self, name: &str) -> bool {
        self.authorities.iter().any(|ours| ours.eq_ignore_ascii_case(name) || host_of(ours).eq_ignore_ascii_case(name))
    }
}

/// Equal without case, where a missing port means the one of `https`.
fn same_authority(ours: &str, theirs: &str) -> bool {
    let without_default = |authority: &'_ str| authority.strip_suffix(":443").map_or_else(|| authority.len(), str::len);
    let (ours, theirs) = (ours.get(..without_default(ours)), theirs.get(..without_default(theirs)));
    matches!((ours, theirs), (Some(ours), Some(theirs)) if ours.eq_ignore_ascii_case(theirs))
}

/// The host without its port.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn data_plane(host: &str, data: &DataPlaneHost) -> ClassifyError {
    ClassifyError::DataPlane {
        host: host.chars().take(256).collect(),
        service: data.service().to_owned(),
        hint: data.hint().map(str::to_owned),
    }
}

fn host_field(headers: &HeaderMap) -> Result<Option<&str>, ClassifyError> {
    let mut fields = headers.get_all(header::HOST).iter();
    let host = fields.next().map(HeaderValue::to_str).transpose().map_err(|_not_ascii| ClassifyError::HostForm)?;
    let has_odd_form = host.is_some_and(|host| host.is_empty() || host.contains(['@', '/', ',', ' ', '?', '#']));
    if fields.next().is_some() || has_odd_form {
        return Err(ClassifyError::HostForm);
    }
    Ok(host)
}

fn method(head: &Parts) -> Result<Method, ClassifyError> {
    let refused = |_cause| ClassifyError::Method { method: head.method.as_str().chars().take(32).collect() };
    head.method.as_str().parse().map_err(refused)
}

fn refuse_tunnels(head: &Parts) -> Result<(), ClassifyError> {
    if head.headers.contains_key(header::UPGRADE) {
        return Err(ClassifyError::Tunnel { field: "Upgrade" });
    }
    let unmet = |value: &&HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    match head.headers.get_all(header::EXPECT).iter().find(unmet) {
        Some(value) => Err(ClassifyError::Expectation { value: String::from_utf8_lossy(value.as_bytes()).chars().take(64).collect() }),
        None => Ok(()),
    }
}

fn refuse_oversize(head: &Parts, limits: &HeadLimits) -> Result<(), ClassifyError> {
    let (length, max) = (head.uri.path_and_query().map_or(0, |target| target.as_str().len()), limits.target_bytes_max);
    if length > max {
        return Err(ClassifyError::TargetTooLong { length, max });
    }
    let (count, max) = (head.headers.len(), limits.fields_max);
    if count > max {
        return Err(ClassifyError::TooManyFields { count, max });
    }
    // The library bounds a head while it is incomplete; one that comes at once can be larger.
    let length = head.headers.iter().map(|(name, value)| name.as_str().len() + ": \r\n".len() + value.len()).sum();
    let max = limits.fields_bytes_max;
    if length > max { Err(ClassifyError::FieldsTooLarge { length, max }) } else { Ok(()) }
}

/// Digits of a `Content-Length`. Every number of so many fits into 64 bits, with and without a sign, so nobody counts on from another one; and
/// nobody who writes a length in good faith puts zeros before it.
const LENGTH_DIGITS_MAX: usize = 18;

/// What hyper lets through although two programs could take it for two different messages.
fn refuse_odd_framing(head: &Parts) -> Result<(), ClassifyError> {
    if let Some(found) = head.extensions.get::<AmbiguousFraming>() {
        let what = match found {
            AmbiguousFraming::BareLineFeed => "a line of the head ends without a carriage return",
            AmbiguousFraming::Fragment => "the target has a `#`, behind which some read on and others do not",
            AmbiguousFraming::LengthAndCoding => "`Content-Length` and `Transfer-Encoding` exclude each other",
            AmbiguousFraming::TwoLengths => "more than one `Content-Length`",
            AmbiguousFraming::Unread => "what came before it on the connection does not tell where it begins",
        };
        return Err(ClassifyError::Framing { what });
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => {}
        (Some(_), Some(_)) => return Err(ClassifyError::Framing { what: "more than one `Transfer-Encoding`" }),
        (Some(_), None) if head.version < Version::HTTP_11 => {
            return Err(ClassifyError::Framing { what: "`Transfer-Encoding` needs HTTP/1.1" });
        }
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => {}
        (Some(_), None) => return Err(ClassifyError::Framing { what: "the only transfer coding is `chunked`" }),
    }
    let mut lengths = head.headers.get_all(header::CONTENT_LENGTH).iter();
    let length = lengths.next();
    // Over HTTP/2 the library takes an empty one for 0.
    if length.is_some_and(|length| length.is_empty() || !length.as_bytes().iter().all(u8::is_ascii_digit)) {
        return Err(ClassifyError::Framing { what: "`Content-Length` is no number" });
    }
    if length.is_some_and(|length| length.len() > LENGTH_DIGITS_MAX) {
        return Err(ClassifyError::Framing { what: "`Content-Length` has more than 18 digits" });
    }
    if lengths.next().is_some() {
        return Err(ClassifyError::Framing { what: "more than one `Content-Length`" });
    }
    if head.headers.contains_key(HeaderName::from_static("trailer")) {
        return Err(ClassifyError::Framing { what: "trailers are not accepted" });
    }
    Ok(())
}

impl ManagementRequest {
    /// Whether this asks for the discovery document, which clients read before they have a token.
    #[must_use]
    pub fn is_discovery(&self) -> bool {
        let mut segments = self.path.segments();
        let mut next_is = |word: &str| segments.next().is_some_and(|segment| segment.eq_ignore_ascii_case(word));
        self.method == Method::Get && next_is("metadata") && next_is("endpoints") && segments.next().is_none()
    }

    /// The raw query, without its question mark.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    /// The authority of ours that the client used.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Ends the request here, giving up its evidence.
    #[must_use]
    pub fn into_trail(self) -> Box<Trail> {
        self.trail
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::super::testing::{HOST, World};
    use super::super::{Site, WrongTenant};
    use super::*;

    fn head(request: hyper::http::request::Builder) -> Parts {
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn authorities_are_compared_whole() {
        for (ours, theirs, expected) in [
            ("localhost:8443", "LOCALHOST:8443", true),
            ("management.azure.com", "management.azure.com:443", true),
            ("management.azure.com:443", "management.azure.com", true),
            ("management.azure.com", "management.azure.com.evil.example", false),
            ("localhost:8443", "localhost", false),
            ("localhost:8443", "localhost:84433", false),
        ] {
            assert_eq!(same_authority(ours, theirs), expected, "{ours} {theirs}");
        }
    }

    #[test]
    fn a_port_is_digits_behind_the_last_colon() {
        for (authority, host) in [
            ("gateway.example:8443", "gateway.example"),
            ("gateway.example", "gateway.example"),
            ("gateway.example:https", "gateway.example:https"),
            ("[2001:db8::1]:8443", "[2001:db8::1]"),
            ("[2001:db8::1]", "[2001:db8::1]"),
        ] {
            assert_eq!(host_of(authority), host);
        }
    }

    #[test]
    fn our_names_are_ours_with_their_port_and_without() {
        let site = Site {
            authorities: vec![HOST.into(), "management.azure.com".into()],
            default_authority: String::new(),
            wrong_tenant: WrongTenant::Hide,
            head: HeadLimits::default(),
        };
        for name in [HOST, "Gateway.Example:8443", "gateway.example", "management.azure.com"] {
            assert!(site.is_called(name), "{name}");
        }
        for name in ["gateway.example:443", "example", "kv.vault.example", "vault.azure.net", ""] {
            assert!(!site.is_called(name), "{name}");
        }
    }

    /// The reason why a request is none for the management plane, or nothing.
    fn refused(target: &str, host: &str, server_name: Option<&str>) -> &'static str {
        let request = Request::get(target).header("host", host);
        World::new().classify(request, server_name).err().map_or("", |refused| refused.rejection.reason())
    }

    #[test]
    fn the_discovery_document_is_read_at_one_path() {
        let world = World::new();
        for (method, target, expected) in [
            ("GET", "/metadata/endpoints", true),
            ("GET", "/Metadata/ENDPOINTS/?api-version=2022-09-01", true),
            ("HEAD", "/metadata/endpoints", false),
            ("POST", "/metadata/endpoints", false),
            ("GET", "/metadata", false),
            ("GET", "/metadata/identity", false),
            ("GET", "/providers/endpoints", false),
            ("GET", "/metadata/endpoints/1", false),
        ] {
            let request = world.classify(Request::builder().method(method).uri(target).header("host", HOST), None).unwrap();
            assert_eq!(request.is_discovery(), expected, "{method} {target}");
        }
    }

    #[test]
    fn a_length_is_a_number_and_there_is_one() {
        let world = World::new();
        for (lengths, expected) in [
            (&["5"][..], ""),
            (&["0"], ""),
            (&[""], "request.malformed"),
            (&["x"], "request.malformed"),
            (&["+5"], "request.malformed"),
            (&["5", "5"], "request.malformed"),
        ] {
            let request = lengths
                .iter()
                .fold(Request::put("/providers").header("host", HOST), |request, length| request.header("content-length", *length));
            let reason = world.classify(request, None).err().map_or("", |refused| refused.rejection.reason());
            assert_eq!(reason, expected, "{lengths:?}");
        }
    }

    #[test]
    fn a_data_plane_is_named_wherever_its_host_stands() {
        let data = "kv.vault.example";
        assert_eq!(refused("/providers", HOST, None), "");
        assert_eq!(refused("/providers", HOST, Some("gateway.example")), "");
        assert_eq!(refused("/secrets", data, None), "plane.data");
        assert_eq!(refused("/secrets", &format!("{data}:443"), None), "plane.data");
        assert_eq!(refused("/secrets", HOST, Some(data)), "plane.data");
        assert_eq!(refused("http://kv.vault.example/secrets", HOST, None), "plane.data");
        for (host, server_name) in [("elsewhere.example", None), (HOST, Some("elsewhere.example")), ("gateway.example", None)] {
            assert_eq!(refused("/providers", host, server_name), "plane.foreign", "{host} {server_name:?}");
        }
    }

    #[test]
    fn a_target_is_passed_on_as_it_came_where_that_is_what_was_judged() {
        let world = World::new();
        for (target, path, sent) in [
            ("/providers?api-version=1", "/providers", Some("/providers?api-version=1")),
            ("http://gateway.example:8443/providers?api-version=1", "/providers", Some("/providers?api-version=1")),
            ("//providers/?api-version=1", "/providers", None),
            ("/%70roviders?api-version=1", "/providers", None),
            ("http://gateway.example:8443?api-version=1", "/", None),
        ] {
            let request = world.classify(Request::get(target).header("host", HOST), None).unwrap();
            assert_eq!((request.path.as_str(), request.sent.as_ref().map(PathAndQuery::as_str)), (path, sent), "{target}");
            assert_eq!((request.query(), request.authority()), (Some("api-version=1"), HOST), "{target}");
        }
    }

    #[test]
    fn a_host_is_one_and_nothing_but_host_and_port() {
        for host in ["gateway.example", HOST, "[2001:db8::1]:8443"] {
            assert_eq!(host_field(&head(Request::get("/").header("host", host)).headers), Ok(Some(host)));
        }
        assert_eq!(host_field(&HeaderMap::new()), Ok(None));
        for host in ["", "a@gateway.example", "gateway.example/", "a,b", "a b", "gateway.example?", "gateway.example#"] {
            assert_eq!(host_field(&head(Request::get("/").header("host", host)).headers), Err(ClassifyError::HostForm), "{host}");
        }
        let two = head(Request::get("/").header("host", HOST).header("host", HOST));
        assert_eq!(host_field(&two.headers), Err(ClassifyError::HostForm));
    }

    #[test]
    fn a_head_is_as_large_as_allowed_and_no_larger() {
        let limits = HeadLimits { target_bytes_max: 20, fields_max: 2, fields_bytes_max: 25 };
        let get = Request::get;
        for (request, expected) in [
            (get("/providers?api=1.0.0"), Ok(())),
            (get("/providers?api=1.0.00"), Err(ClassifyError::TargetTooLong { length: 21, max: 20 })),
            (get("/").header("a", "").header("b", ""), Ok(())),
            (get("/").header("a", "").header("b", "").header("c", ""), Err(ClassifyError::TooManyFields { count: 3, max: 2 })),
            // A field has its name, `: `, its value and the end of its line.
            (get("/").header("abcde", "xyz").header("abcdef", "xyz"), Ok(())),
            (get("/").header("abcde", "xyz").header("abcdef", "wxyz"), Err(ClassifyError::FieldsTooLarge { length: 26, max: 25 })),
            (get("/").header("abcdefgh", "xyz").header("abcd", "xyz"), Err(ClassifyError::FieldsTooLarge { length: 26, max: 25 })),
        ] {
            let head = head(request);
            assert_eq!(refuse_oversize(&head, &limits), expected, "{head:?}");
        }
    }

    #[test]
    fn what_was_found_of_a_raw_head_is_told() {
        for (found, told) in [
            (AmbiguousFraming::BareLineFeed, "carriage return"),
            (AmbiguousFraming::Fragment, "the target has a `#`"),
            (AmbiguousFraming::LengthAndCoding, "exclude each other"),
            (AmbiguousFraming::TwoLengths, "more than one"),
            (AmbiguousFraming::Unread, "what came before it"),
        ] {
            let mut head = head(Request::get("/"));
            assert_eq!(refuse_odd_framing(&head), Ok(()));
            head.extensions.insert(found);
            let error = refuse_odd_framing(&head).unwrap_err().to_string();
            assert!(error.starts_with("the framing of the request is ambiguous: ") && error.contains(told), "{error}");
        }
    }

    #[test]
    fn a_length_has_digits_that_everybody_can_count() {
        let framing = |length: &str| {
            let head = head(Request::put("/").header("content-length", length));
            refuse_odd_framing(&head).err().map_or(String::new(), |error| error.to_string())
        };
        for length in ["0", "2", "0004", "000000000000000002", "999999999999999999"] {
            assert_eq!(framing(length), "", "{length}");
        }
        for length in ["0000000000000000002", "00000000000000000000002", "1000000000000000000"] {
            assert_eq!(framing(length), "the framing of the request is ambiguous: `Content-Length` has more than 18 digits", "{length}");
        }
        for length in ["", "+2", "2, 2"] {
            assert_eq!(framing(length), "the framing of the request is ambiguous: `Content-Length` is no number", "{length}");
        }
    }

    #[test]
    fn a_body_in_chunks_takes_a_version_that_has_them() {
        let framing = |version, coding| {
            let head = head(Request::post("/").version(version).header("transfer-encoding", coding));
            refuse_odd_framing(&head).err().map_or(String::new(), |error| error.to_string())
        };
        assert_eq!(framing(Version::HTTP_11, "chunked"), "");
        assert_eq!(framing(Version::HTTP_11, "Chunked"), "");
        assert_eq!(framing(Version::HTTP_10, "chunked"), "the framing of the request is ambiguous: `Transfer-Encoding` needs HTTP/1.1");
        let only = "the framing of the request is ambiguous: the only transfer coding is `chunked`";
        assert_eq!(framing(Version::HTTP_11, "gzip"), only);
    }
}
