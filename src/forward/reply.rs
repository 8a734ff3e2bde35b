//! The way back: links point at the gateway or nowhere, lists hold what the caller may read, and no header of the backend's own transport leaves.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::response::Parts;
use hyper::{Response, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::body::AnswerBody;
use super::form::{self, Form};
use super::{Backend, ForwardError};
use crate::arm::links;
use crate::arm::path::CanonicalPath;
use crate::arm::scope::{Anchor, Scope};
use crate::clock::Timestamp;
use crate::ids::PrincipalId;
use crate::pipeline::{OperationOwners, Reading};

/// Where an answer goes and what has to become of it.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// `host[:port]` of the gateway, as the client used it.
    pub authority: &'a str,
    /// What has to be done with the body.
    pub reading: &'a Reading,
    /// What was asked for.
    pub path: &'a CanonicalPath,
    /// Who asked.
    pub caller: PrincipalId,
    /// Learns the operations handed out.
    pub operations: &'a OperationOwners,
    /// The present time.
    pub now: Timestamp,
}

/// Headers of the backend that are about its own hop, its own software or its own trust, or that lead clients elsewhere, sorted.
const KEPT_BACK: [&str; 31] = [
    "alt-svc",
    "authorization",
    "clear-site-data",
    "connection",
    "content-location",
    "content-security-policy-report-only",
    "keep-alive",
    "link",
    "nel",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "referer",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "server",
    "set-cookie",
    "set-cookie2",
    "sourcemap",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "www-authenticate",
    "x-ms-failure-cause",
    "x-ms-home-tenant-id",
    "x-ms-management-group-ancestors",
    "x-powered-by",
    "x-sourcemap",
];

/// Headers by which a client is sent to poll: it sends its token there.
const OPERATION_LINKS: [&str; 3] = ["azure-asyncoperation", "location", "operation-location"];

/// Members of a list by which a client is sent to the next page, in lower case.
const PAGE_LINKS: [&str; 4] = ["nextlink", "@odata.nextlink", "@nextlink", "odata.nextlink"];

/// The member by which the status of an operation sends a client on to what was made, in lower case.
const RESOURCE_LINK: &str = "resourcelocation";

/// How long a client may be told to wait.
const WAIT_S_MAX: i64 = 24 * 60 * 60;

fn is_page_link(member: &str) -> bool {
    PAGE_LINKS.iter().any(|known| is_called(member, known))
}

/// Whether a lenient reader takes the name of a member for this one. Source: Go, `encoding/json`, which folds these two letters as well.
fn is_called(member: &str, known: &str) -> bool {
    let folded = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    member.chars().map(folded).eq(known.chars())
}

/// Whether it is the name of a region, say, and no link.
fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" -_".contains(&byte))
}

/// Makes the backend's answer the gateway's.
///
/// The second value names what was odd: for the record.
///
/// # Errors
/// When the answer is one that must not be passed on, or a list that cannot be read.
pub async fn deliver(
    backend: &Backend,
    response: Response<AnswerBody>,
    delivery: &Delivery<'_>,
) -> Result<(Response<AnswerBody>, Vec<&'static str>), ForwardError> {
    let (mut head, body) = response.into_parts();
    refuse_status(head.status)?;
    let links = Links { origin: backend.origin(), delivery };
    let mut notes = Vec::new();
    keep_back(&mut head.headers);
    bound_waits(&mut head.headers, delivery.now);
    links.rewrite_headers(head.status, &mut head.headers, &mut notes);
    make_pollable(head.status, &mut head.headers);
    let is_cut_down = is_cut_down(delivery.reading);
    if is_cut_down {
        tell_nothing_of_the_rest(&mut head.headers);
    }
    if !is_read(delivery.reading, &head) || body.is_end_stream() {
        return Ok((Response::from_parts(head, body), notes));
    }
    let form = Form::of(&head.headers);
    let body = match form {
        // What has to be cut down and cannot be read is nobody's.
        Form::Other if is_cut_down => return Err(ForwardError::Unreadable),
        _ if is_cut_down && head.status != StatusCode::OK => return Err(ForwardError::Unreadable),
        Form::Unclear => return unread(head, delivery.reading, notes),
        Form::Json => body,
        Form::Other | Form::Unsaid => match Box::pin(form::look_into(body)).await {
            Ok((false, body)) if !is_cut_down => return Ok((Response::from_parts(head, body), notes)),
            Ok((_, body)) => body,
            Err(_no_beginning) => return unread(head, delivery.reading, notes),
        },
    };
    let bytes = match Box::pin(read(body, backend.config().answer_bytes_max)).await {
        Ok(bytes) => bytes,
        Err(_too_much) if may_be_emptied(head.status, delivery.reading) => return unread(head, delivery.reading, notes),
        Err(error) => return Err(error),
    };
    let body = match links.rewrite_body(bytes.clone(), &mut notes) {
        Ok(body) => body,
        Err(_no_json) if form::may_be_object(&bytes) => return unread(head, delivery.reading, notes),
        // Something was begun or made, or is no document; what is no JSON leads nowhere: the client must not lose it.
        Err(_no_json) if may_be_emptied(head.status, delivery.reading) || form != Form::Json && !is_cut_down => bytes.clone(),
        Err(no_json) => return Err(no_json),
    };
    head.headers.remove(header::CONTENT_LENGTH);
    if body != bytes {
        head.headers.remove(header::ETAG);
    }
    Ok((Response::from_parts(head, body.into()), notes))
}

/// Whether not all of it is for the caller.
const fn is_cut_down(reading: &Reading) -> bool {
    matches!(reading, Reading::Only(_) | Reading::Within { .. })
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

/// Of an answer whose body may lead anywhere.
fn unread(
    mut head: Parts,
    reading: &Reading,
    mut notes: Vec<&'static str>,
) -> Result<(Response<AnswerBody>, Vec<&'static str>), ForwardError> {
    if !may_be_emptied(head.status, reading) {
        return Err(ForwardError::Unreadable);
    }
    for name in [header::CONTENT_ENCODING, header::CONTENT_LENGTH, header::CONTENT_TYPE, header::ETAG] {
        head.headers.remove(name);
    }
    notes.push("body removed that cannot be read");
    Ok((Response::from_parts(head, Bytes::new().into()), notes))
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
        || name.starts_with("x-ms-client-") && name != "x-ms-client-request-id"
}

async fn read(body: AnswerBody, max: usize) -> Result<Bytes, ForwardError> {
    match Limited::new(body, max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(cause) if cause.is::<LengthLimitError>() => Err(ForwardError::AnswerTooLarge { max }),
        Err(_cut) => Err(ForwardError::Unreadable),
    }
}

struct Links<'a> {
    origin: &'a str,
    delivery: &'a Delivery<'a>,
}

/// Where a link of the backend leads.
enum Link {
    /// To the backend: said again with our origin.
    Ours(String),
    /// Anywhere else.
    Foreign,
    /// To the backend or the gateway, on a path that it would not take and that a client may take for another one.
    Unclear,
}

impl Links<'_> {
    fn rewrite_headers(&self, status: StatusCode, headers: &mut HeaderMap, notes: &mut Vec<&'static str>) {
        for name in OPERATION_LINKS.map(HeaderName::from_static) {
            let Some(link) = headers.get(&name).map(|value| self.classify(value.to_str().unwrap_or_default())) else { continue };
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

    fn classify(&self, url: &str) -> Link {
        if let Some(path) = url.strip_prefix(self.origin).filter(|path| path.starts_with('/')) {
            return self.checked(self.public(path));
        }
        let is_public = self.path_of(url).is_some_and(|path| path.starts_with('/'));
        match url {
            // A backend that was told the public address builds links from it.
            url if is_public => self.checked(url.to_owned()),
            url if url.starts_with('/') && !url.starts_with("//") => self.checked(self.public(url)),
            _ => Link::Foreign,
        }
    }

    fn checked(&self, url: String) -> Link {
        if self.place_of(&url).is_some() { Link::Ours(url) } else { Link::Unclear }
    }

    fn place_of(&self, url: &str) -> Option<CanonicalPath> {
        let path = self.path_of(url)?.split(['?', '#']).next()?;
        CanonicalPath::parse(path).ok()
    }

    fn public(&self, path: &str) -> String {
        format!("https://{}{path}", self.delivery.authority)
    }

    /// What stands behind our own origin.
    fn path_of<'u>(&self, url: &'u str) -> Option<&'u str> {
        url.strip_prefix("https://")?.strip_prefix(self.delivery.authority)
    }

    /// What comes from where a client was sent is read, whatever it is; and an operation has its starter.
    fn remember(&self, url: &str, header: Option<&HeaderName>, status: StatusCode) {
        let Some(path) = self.place_of(url) else { return };
        let is_asked_for = path.as_str().eq_ignore_ascii_case(self.delivery.path.as_str());
        let is_operation = header.is_some_and(|name| leads_to_operation(name, status));
        // A resource says where it is itself.
        if is_asked_for && header.is_none_or(|name| *name == header::LOCATION) {
            return;
        }
        // A link back to what was asked for is no operation, and must not outlive the grant.
        let starter = (is_operation && !is_asked_for).then_some(self.delivery.caller);
        self.delivery.operations.remember(&path, starter, self.delivery.now);
    }

    /// Rewrites the links of an answer and leaves out what the caller may not read. Items are not parsed further than their id.
    fn rewrite_body(&self, bytes: Bytes, notes: &mut Vec<&'static str>) -> Result<Bytes, ForwardError> {
        let is_cut_down = is_cut_down(self.delivery.reading);
        let bytes = if bytes.starts_with(MARK) { bytes.slice(MARK.len()..) } else { bytes };
        if bytes.is_empty() && !is_cut_down {
            return Ok(bytes);
        }
        let Ok(mut list) = serde_json::from_slice::<Map<String, Value>>(&bytes) else {
            // Some lists are bare arrays without links; they pass only where nothing has to be left out.
            let is_other = |value: &RawValue| !value.get().starts_with('{');
            let passes = !is_cut_down && serde_json::from_slice::<&RawValue>(&bytes).is_ok_and(is_other);
            return if passes { Ok(bytes) } else { Err(ForwardError::Unreadable) };
        };
        let changed = self.rewrite_members(&mut list, notes);
        if is_cut_down {
            // Counts, facets and whatever else stands beside the things would tell of those that are left out.
            list.retain(|name, _member| name == "value" || is_page_link(name));
            let items = list.get_mut("value").and_then(|value| value.as_array_mut()).ok_or(ForwardError::Unreadable)?;
            items.retain(|item| is_shown(item, self.delivery.reading));
        }
        if !changed && !is_cut_down {
            return Ok(bytes);
        }
        serde_json::to_vec(&list).map(Bytes::from).map_err(|_cause| ForwardError::Unreadable)
    }

    /// Whether there are links, also where none is to be changed: of a member that stands twice, what was read here has to be what the client
    /// reads.
    fn rewrite_members(&self, list: &mut Map<String, Value>, notes: &mut Vec<&'static str>) -> bool {
        let links: Vec<String> = list.keys().filter(|name| is_page_link(name) || is_called(name, RESOURCE_LINK)).cloned().collect();
        for name in &links {
            let link = match list.get(name) {
                None | Some(Value::Null) => continue,
                Some(Value::String(word)) if is_word(word) && !is_page_link(name) => continue,
                Some(link) => link.as_str().map_or(Link::Foreign, |link| self.classify(link)),
            };
            match link {
                Link::Ours(url) => {
                    self.remember(&url, None, StatusCode::OK);
                    list.insert(name.clone(), url.into());
                }
                Link::Foreign | Link::Unclear => {
                    list.remove(name);
                    notes.push("foreign link removed from the body");
                }
            }
        }
        !links.is_empty()
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

/// Whether a thing of a list is for the caller.
fn is_shown(item: &Value, reading: &Reading) -> bool {
    match reading {
        Reading::Begun | Reading::Links | Reading::Unread => true,
        Reading::Only(scopes) => lies_in(item, scopes),
        Reading::Within { tenant, directory } => {
            let named = links::in_json(item.to_string().as_bytes(), &Scope::whole(Anchor::Tenant));
            named.is_ok_and(|places| places.iter().all(|place| directory.owner(place) == Some(*tenant)))
        }
    }
}

fn lies_in(item: &Value, scopes: &Arc<[Scope]>) -> bool {
    let scope = item.get("id").and_then(|id| id.as_str()).and_then(|id| Scope::parse(id).ok());
    scope.is_some_and(|scope| scopes.iter().any(|granted| granted.covers(&scope)))
}

/// The mark of the order of bytes, which clients pass over.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// Tells the client that something was taken out of the answer.
const FLAG: HeaderName = HeaderName::from_static("x-steward-flag");
