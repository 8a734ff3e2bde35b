//! The way back: links point at the gateway or nowhere, lists hold what the caller may read, and no header of the backend's own transport leaves.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::response::Parts;
use hyper::{Response, StatusCode};

use super::body::AnswerBody;
use super::document::{self, NoDocument, Said, is_cut_down};
use super::form::{self, Form};
use super::links::{self, Link, Origins};
use super::{Backend, ForwardError, SendError};
use crate::arm::path::CanonicalPath;
use crate::bodies::{Crowded, NotRead, Reader};
use crate::clock::Timestamp;
use crate::held::{Held, Place};
use crate::ids::PrincipalId;
use crate::pipeline::{OperationOwners, Overload, Reading};

/// Where an answer goes and what has to become of it.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// `host[:port]` of the gateway, as the client used it.
    pub authority: &'a str,
    /// What has to be done with the body.
    pub reading: &'a Reading,
    /// What was asked for.
    pub path: &'a CanonicalPath,
    /// Whether asking for it again does nothing.
    pub is_repeatable: bool,
    /// Who asked.
    pub caller: PrincipalId,
    /// For whom large documents are looked into.
    pub reader: &'a Reader<'a>,
    /// What waits for whom.
    pub held: &'a Held,
    /// Whom it waits for.
    pub peer: SocketAddr,
    /// Learns the operations handed out.
    pub operations: &'a OperationOwners,
    /// The present time.
    pub now: Timestamp,
}

/// Headers of the backend that are about its own hop, its own software or its own trust, or that lead clients or proxies elsewhere, sorted.
const KEPT_BACK: [&str; 45] = [
    "accept-ch",
    "alt-svc",
    "authentication-info",
    "authorization",
    "clear-site-data",
    "connection",
    "content-location",
    "content-security-policy-report-only",
    "critical-ch",
    "expect-ct",
    "keep-alive",
    "link",
    "nel",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "proxy-status",
    "public-key-pins",
    "public-key-pins-report-only",
    "referer",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "server",
    "service-worker-allowed",
    "set-cookie",
    "set-cookie2",
    "sourcemap",
    "speculation-rules",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "www-authenticate",
    "x-aspnet-version",
    "x-aspnetmvc-version",
    "x-lighttpd-send-file",
    "x-ms-failure-cause",
    "x-ms-home-tenant-id",
    "x-ms-management-group-ancestors",
    "x-powered-by",
    "x-sendfile",
    "x-sourcemap",
];

/// Headers by which a client is sent to poll: it sends its token there.
const OPERATION_LINKS: [&str; 3] = ["azure-asyncoperation", "location", "operation-location"];

/// A larger document is said again beside the worker, which one of this size keeps for 2 ms at most.
const ON_WORKER_BYTES_MAX: usize = 256 << 10;
/// The same where all of it is looked into.
const LOOKED_INTO_BYTES_MAX: usize = 32 << 10;

/// How long a client may be told to wait.
const WAIT_S_MAX: i64 = 24 * 60 * 60;

/// An answer to pass on.
#[derive(Debug)]
pub struct Delivered {
    /// With links of ours.
    pub response: Response<AnswerBody>,
    /// What was odd: for the record.
    pub notes: Vec<&'static str>,
}

/// Makes the backend's answer the gateway's.
///
/// # Errors
/// When the answer is one that must not be passed on, a list that cannot be read, or one for which there is no room.
pub async fn deliver(backend: &Backend, response: Response<AnswerBody>, delivery: &Delivery<'_>) -> Result<Delivered, SendError> {
    let (mut head, body) = response.into_parts();
    refuse_status(head.status)?;
    let origins = Origins::of(backend.origin(), delivery.authority);
    let mut notes = Vec::new();
    keep_back(&mut head.headers);
    bound_waits(&mut head.headers, delivery.now);
    delivery.rewrite_headers(&origins, head.status, &mut head.headers, &mut notes);
    make_pollable(head.status, &mut head.headers);
    if is_cut_down(delivery.reading) {
        tell_nothing_of_the_rest(&mut head.headers);
    }
    let answer = Answer { head, notes };
    if !is_read(delivery.reading, &answer.head) || body.is_end_stream() {
        return Ok(answer.with(body));
    }
    Box::pin(answer.read(body, origins, delivery, backend.config().answer_bytes_max)).await
}

/// What is known of an answer before its body.
struct Answer {
    head: Parts,
    notes: Vec<&'static str>,
}

impl Answer {
    fn with(self, body: AnswerBody) -> Delivered {
        Delivered { response: Response::from_parts(self.head, body), notes: self.notes }
    }

    /// Reads what leads clients on, and says it again.
    async fn read(self, body: AnswerBody, origins: Origins<'_>, delivery: &Delivery<'_>, bytes_max: usize) -> Result<Delivered, SendError> {
        let form = Form::of(&self.head.headers);
        let is_cut_down = is_cut_down(delivery.reading);
        let body = match form {
            // What has to be cut down and cannot be read is nobody's.
            Form::Other if is_cut_down => return Err(ForwardError::Unreadable.into()),
            _ if is_cut_down && self.head.status != StatusCode::OK => return Err(ForwardError::Unreadable.into()),
            Form::Unclear => return self.without_body(delivery, NoBody::Unreadable),
            Form::Json => body,
            Form::Other | Form::Unsaid => match form::look_into(body).await {
                Ok((false, body)) if !is_cut_down => return Ok(self.with(body)),
                Ok((_, body)) => body,
                Err(_no_beginning) => return self.without_body(delivery, NoBody::Unreadable),
            },
        };
        let mut place = delivery.held.begin(delivery.peer);
        let bytes = match load(body, bytes_max, &mut place).await {
            Ok(bytes) => bytes,
            Err(reason) => return self.without_body(delivery, reason),
        };
        match delivery.say(bytes.clone(), origins).await {
            Ok(Ok(said)) => self.say(said, place, delivery),
            Ok(Err(NoDocument)) if form::may_be_object(&bytes) => self.without_body(delivery, NoBody::Unreadable),
            // Something was begun or made, or is no document; what is no JSON leads nowhere: the client must not lose it.
            Ok(Err(NoDocument)) if may_be_emptied(self.head.status, delivery.reading) || form != Form::Json && !is_cut_down => {
                self.keep(bytes, place, delivery)
            }
            Ok(Err(NoDocument)) => Err(ForwardError::Unreadable.into()),
            Err(NotRead::Crowded(crowded)) => self.without_body(delivery, NoBody::Crowded(crowded)),
            Err(NotRead::Panicked(panicked)) => Err(SendError::Panicked(panicked)),
        }
    }

    fn say(mut self, said: Said, place: Place, delivery: &Delivery<'_>) -> Result<Delivered, SendError> {
        if said.is_changed {
            self.head.headers.remove(header::ETAG);
        }
        for url in &said.links {
            delivery.remember(url, None, StatusCode::OK);
        }
        self.notes.extend(std::iter::repeat_n("foreign link removed from the body", said.removed));
        self.keep(said.body, place, delivery)
    }

    /// Passes on what counts until the client has it.
    fn keep(mut self, body: Bytes, place: Place, delivery: &Delivery<'_>) -> Result<Delivered, SendError> {
        self.head.headers.remove(header::CONTENT_LENGTH);
        match place.keep(body) {
            Ok(body) => Ok(self.with(body.into())),
            Err(full) => self.without_body(delivery, NoBody::Full(full)),
        }
    }

    /// What is left of an answer whose body may lead anywhere, or has no room.
    fn without_body(mut self, delivery: &Delivery<'_>, reason: NoBody) -> Result<Delivered, SendError> {
        if !may_be_emptied(self.head.status, delivery.reading) {
            return Err(reason.error(delivery.is_repeatable).into());
        }
        for name in [header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::CONTENT_TYPE, header::ETAG] {
            self.head.headers.remove(name);
        }
        self.notes.push(reason.note());
        Ok(self.with(Bytes::new().into()))
    }
}

/// Whether a client may take links out of the body. Of failures none does.
fn is_read(reading: &Reading, head: &Parts) -> bool {
    let is_wanted = match reading {
        Reading::Begun => OPERATION_LINKS.into_iter().any(|name| head.headers.contains_key(name)),
        Reading::Links | Reading::Only(_) | Reading::Within { .. } => true,
        Reading::Unread => false,
    };
    is_wanted && head.status.is_success()
}

/// Whether the head of an answer is worth more to its client than a body that cannot be read: it says that something was begun or made.
fn may_be_emptied(status: StatusCode, reading: &Reading) -> bool {
    !is_cut_down(reading) && (status != StatusCode::OK || matches!(reading, Reading::Begun))
}

fn refuse_status(status: StatusCode) -> Result<(), ForwardError> {
    match status {
        // The client's token was accepted here; what the backend refused is the gateway's own assertion.
        StatusCode::UNAUTHORIZED => Err(ForwardError::Refused),
        status if status.is_informational() => Err(ForwardError::Unexpected { status: status.as_u16() }),
        _ => Ok(()),
    }
}

fn keep_back(headers: &mut HeaderMap) {
    let listed = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let named = listed.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse::<HeaderName>().ok());
    let ours = headers.keys().filter(|name| is_kept_back(name.as_str())).cloned();
    let gone: Vec<HeaderName> = named.chain(ours).collect();
    for name in gone {
        headers.remove(name);
    }
}

/// Of a list that is cut down, be it that only its head was asked for: how long all of it is, how much is in it, and when that changed.
fn tell_nothing_of_the_rest(headers: &mut HeaderMap) {
    let tells = |name: &str| {
        name.contains("count")
            || name.contains("digest")
            || ["content-length", "content-md5", "content-range", "etag", "last-modified"].contains(&name)
    };
    let gone: Vec<HeaderName> = headers.keys().filter(|name| tells(name.as_str())).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

/// About the backend's own hop, software or trust, about who may read the answer, or about whom we spoke for.
fn is_kept_back(name: &str) -> bool {
    KEPT_BACK.binary_search(&name).is_ok()
        || name.starts_with("access-control-")
        || name.starts_with("x-accel-")
        || name.starts_with("x-ms-client-") && name != "x-ms-client-request-id"
}

/// Why the body of an answer cannot be passed on.
enum NoBody {
    /// Nobody looks into it in time.
    Crowded(Crowded),
    /// There is no room for it.
    Full(Overload),
    /// It is larger than an answer that is read may be.
    TooLarge { max: usize },
    /// It breaks off, or may be read in more than one way.
    Unreadable,
}

impl NoBody {
    /// What its client is told. Clients repeat by themselves what answers 429, 500 or 503: never what was done.
    const fn error(self, is_repeatable: bool) -> ForwardError {
        match self {
            Self::Unreadable => ForwardError::Unreadable,
            Self::Crowded(_) | Self::Full(_) | Self::TooLarge { .. } if !is_repeatable => ForwardError::AnswerLost,
            Self::Crowded(crowded) => ForwardError::Crowded(crowded),
            Self::Full(full) => ForwardError::NoRoom(full),
            Self::TooLarge { max } => ForwardError::AnswerTooLarge { max },
        }
    }

    const fn note(&self) -> &'static str {
        match self {
            Self::Crowded(_) | Self::Full(_) | Self::TooLarge { .. } => "body removed for want of room",
            Self::Unreadable => "body removed that cannot be read",
        }
    }
}

/// All of an answer, which counts from where it is no longer small.
async fn load(mut body: AnswerBody, bytes_max: usize, place: &mut Place) -> Result<Bytes, NoBody> {
    let said = body.size_hint();
    let length_max = |length: u64| usize::try_from(length).unwrap_or(usize::MAX);
    let expected = said.upper().map_or(bytes_max, |upper| length_max(upper).min(bytes_max));
    if length_max(said.lower()) > bytes_max {
        return Err(NoBody::TooLarge { max: bytes_max });
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_cut| NoBody::Unreadable)?.into_data() else { continue };
        let needed = bytes.len().saturating_add(data.len());
        if needed > bytes_max {
            return Err(NoBody::TooLarge { max: bytes_max });
        }
        // Most answers are one piece.
        if bytes.is_empty() && body.is_end_stream() {
            place.grow(needed).map_err(NoBody::Full)?;
            return Ok(data);
        }
        if needed > bytes.capacity() {
            let wanted = bytes.capacity().saturating_mul(2).min(expected).max(needed);
            place.grow(wanted).map_err(NoBody::Full)?;
            bytes.reserve_exact(wanted - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}

impl Delivery<'_> {
    /// Says a document again: at once, or a large one when it is its tenant's turn.
    async fn say(&self, bytes: Bytes, origins: Origins<'_>) -> Result<Result<Said, NoDocument>, NotRead> {
        let on_worker_bytes_max = match self.reading {
            // All of each thing is looked into, as of the body of a request.
            Reading::Within { .. } => LOOKED_INTO_BYTES_MAX,
            Reading::Begun | Reading::Links | Reading::Only(_) | Reading::Unread => ON_WORKER_BYTES_MAX,
        };
        if bytes.len() <= on_worker_bytes_max {
            return Ok(document::say(bytes, &origins, self.reading));
        }
        let (origins, reading) = (origins.into_owned(), self.reading.clone());
        self.reader.beside(move || document::say(bytes, &origins, &reading)).await
    }

    fn rewrite_headers(&self, origins: &Origins<'_>, status: StatusCode, headers: &mut HeaderMap, notes: &mut Vec<&'static str>) {
        for name in OPERATION_LINKS.map(HeaderName::from_static) {
            let Some(link) = headers.get(&name).map(|value| origins.classify(value.to_str().unwrap_or_default())) else { continue };
            match link {
                Link::Ours(url) => {
                    self.remember(&url, Some(&name), status);
                    // It was a header value before, and origin and path of ours are ASCII.
                    if let Ok(value) = HeaderValue::try_from(url) {
                        headers.insert(name, value);
                    }
                }
                // A redirect is the client's to follow or not, and clients follow it without the token (measured).
                Link::Foreign if status.is_redirection() && name == header::LOCATION => notes.push("redirect to a foreign host"),
                // Elsewhere the client would poll there, token and all.
                Link::Foreign | Link::Unclear => {
                    headers.remove(&name);
                    headers.insert(FLAG, HeaderValue::from_static("foreign link removed"));
                    notes.push("foreign link removed from the headers");
                }
            }
        }
    }

    /// What comes from where a client was sent is read, whatever it is; and an operation has its starter.
    fn remember(&self, url: &str, header: Option<&HeaderName>, status: StatusCode) {
        let Some(path) = links::place_of(url, self.authority) else { return };
        let is_asked_for = path.as_str().eq_ignore_ascii_case(self.path.as_str());
        let is_operation = header.is_some_and(|name| leads_to_operation(name, status));
        // A resource says where it is itself.
        if is_asked_for && header.is_none_or(|name| *name == header::LOCATION) {
            return;
        }
        // A link back to what was asked for is no operation, and must not outlive the grant.
        let starter = (is_operation && !is_asked_for).then_some(self.caller);
        self.operations.remember(&path, starter, self.now);
    }
}

/// `Location` also names what was made; only with 201 and 202 may it be something to poll.
fn leads_to_operation(name: &HeaderName, status: StatusCode) -> bool {
    *name != header::LOCATION || matches!(status, StatusCode::CREATED | StatusCode::ACCEPTED)
}

/// Clients take a missing or zero `Retry-After` for half a minute (measured: Azure CLI and the Python SDK).
fn make_pollable(status: StatusCode, headers: &mut HeaderMap) {
    let has_operation = OPERATION_LINKS.into_iter().any(|name| headers.contains_key(name));
    let waits = headers.get(header::RETRY_AFTER).is_some_and(|value| value.as_bytes() != b"0");
    if has_operation && !waits && matches!(status, StatusCode::CREATED | StatusCode::ACCEPTED) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
}

/// Drops what would have a client wait for longer than a day, or for something that is no time. Source: azure-core for Python, `get_retry_after`.
fn bound_waits(headers: &mut HeaderMap, now: Timestamp) {
    for (name, units_per_s) in [("retry-after", 1), ("retry-after-ms", 1000), ("x-ms-retry-after-ms", 1000)] {
        let mut waits = headers.get_all(name).iter();
        let is_fit = waits.next().is_none_or(|wait| is_wait(wait, units_per_s, now)) && waits.next().is_none();
        if !is_fit {
            headers.remove(name);
        }
    }
}

/// A number, or a date of HTTP.
fn is_wait(wait: &HeaderValue, units_per_s: i64, now: Timestamp) -> bool {
    let text = wait.to_str().unwrap_or_default();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<i64>().is_ok_and(|wait| wait <= WAIT_S_MAX * units_per_s);
    }
    let until = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text);
    until.is_ok_and(|until| until.as_second() - now.as_second() <= WAIT_S_MAX)
}

/// Tells the client that something was taken out of the answer.
const FLAG: HeaderName = HeaderName::from_static("x-steward-flag");
