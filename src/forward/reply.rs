//! The way back: links point at the gateway or nowhere, lists hold what the caller may read, and no header of the backend's own transport leaves.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::value::RawValue;

use super::body::AnswerBody;
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
const KEPT_BACK: [&str; 26] = [
    "alt-svc",
    "authorization",
    "clear-site-data",
    "connection",
    "content-location",
    "keep-alive",
    "link",
    "nel",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "referer",
    "refresh",
    "report-to",
    "server",
    "set-cookie",
    "set-cookie2",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "www-authenticate",
    "x-ms-home-tenant-id",
    "x-ms-management-group-ancestors",
    "x-powered-by",
];

/// Headers by which a client is sent to poll: it sends its token there.
const OPERATION_LINKS: [&str; 3] = ["azure-asyncoperation", "location", "operation-location"];

/// Members of a list by which a client is sent to the next page, in lower case.
const PAGE_LINKS: [&str; 4] = ["nextlink", "@odata.nextlink", "@nextlink", "odata.nextlink"];

fn is_page_link(member: &str) -> bool {
    PAGE_LINKS.iter().any(|known| member.eq_ignore_ascii_case(known))
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
    links.rewrite_headers(head.status, &mut head.headers, &mut notes);
    make_pollable(head.status, &mut head.headers);
    if matches!(delivery.reading, Reading::Only(_) | Reading::Within { .. }) {
        tell_nothing_of_the_rest(&mut head.headers);
    }
    let kind = head.headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let (says_kind, is_json) = (kind.is_some(), is_json(kind));
    let is_readable = is_json && !is_coded(&head.headers);
    match delivery.reading {
        Reading::Unread => return Ok((Response::from_parts(head, body), notes)),
        _ if !head.status.is_success() || body.is_end_stream() => return Ok((Response::from_parts(head, body), notes)),
        // What has to be cut down and cannot be read is nobody's.
        Reading::Only(_) | Reading::Within { .. } if !is_readable || head.status != StatusCode::OK => return Err(ForwardError::Unreadable),
        Reading::Links if head.status == StatusCode::OK && is_json && !is_readable => return Err(ForwardError::Unreadable),
        Reading::Links if !is_readable => return Ok((Response::from_parts(head, body), notes)),
        Reading::Only(_) | Reading::Links | Reading::Within { .. } => {}
    }
    let bytes = Box::pin(read(body, backend.config().answer_bytes_max)).await?;
    let body = match links.rewrite_body(bytes.clone(), &mut notes) {
        Ok(body) => body,
        // Something was begun or made, or is no document; what is no JSON leads nowhere: the client must not lose it.
        Err(_no_json) if head.status != StatusCode::OK || !says_kind && matches!(delivery.reading, Reading::Links) => bytes,
        Err(no_json) => return Err(no_json),
    };
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::ETAG);
    Ok((Response::from_parts(head, body.into()), notes))
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

/// What does not say what it is, clients read as JSON (seen in the source of the Python SDK).
fn is_json(kind: Option<&str>) -> bool {
    let Some(kind) = kind else { return true };
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind == "text/json" || kind.ends_with("+json")
}

fn is_coded(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
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
}

impl Links<'_> {
    fn rewrite_headers(&self, status: StatusCode, headers: &mut HeaderMap, notes: &mut Vec<&'static str>) {
        for name in OPERATION_LINKS.map(HeaderName::from_static) {
            let Some(link) = headers.get(&name).map(|value| self.classify(value.to_str().unwrap_or_default())) else { continue };
            match link {
                Link::Ours(url) => {
                    if leads_to_operation(&name, status) {
                        self.remember(&url);
                    }
                    // It was a header value before, and origin and path of ours are ASCII.
                    if let Ok(value) = HeaderValue::try_from(url) {
                        headers.insert(name, value);
                    }
                }
                // A redirect is the client's to follow or not, and clients follow it without the token (measured).
                Link::Foreign if status.is_redirection() && name == header::LOCATION => notes.push("redirect to a foreign host"),
                // Elsewhere the client would poll there, token and all.
                Link::Foreign => {
                    headers.remove(&name);
                    headers.insert(FLAG, HeaderValue::from_static("foreign link removed"));
                    notes.push("foreign link removed from the headers");
                }
            }
        }
    }

    fn classify(&self, url: &str) -> Link {
        if let Some(path) = url.strip_prefix(self.origin).filter(|path| path.starts_with('/')) {
            return Link::Ours(self.public(path));
        }
        let is_public = self.path_of(url).is_some_and(|path| path.starts_with('/'));
        match url {
            // A backend that was told the public address builds links from it.
            url if is_public => Link::Ours(url.to_owned()),
            url if url.starts_with('/') && !url.starts_with("//") => Link::Ours(self.public(url)),
            _ => Link::Foreign,
        }
    }

    fn public(&self, path: &str) -> String {
        format!("https://{}{path}", self.delivery.authority)
    }

    /// What stands behind our own origin.
    fn path_of<'u>(&self, url: &'u str) -> Option<&'u str> {
        url.strip_prefix("https://")?.strip_prefix(self.delivery.authority)
    }

    fn remember(&self, url: &str) {
        let path = self.path_of(url).and_then(|rest| rest.split('?').next());
        // A link back to what was asked for is no operation, and must not outlive the grant.
        let polled = path.and_then(|path| CanonicalPath::parse(path).ok());
        if let Some(path) = polled.filter(|path| !path.as_str().eq_ignore_ascii_case(self.delivery.path.as_str())) {
            self.delivery.operations.remember(&path, self.delivery.caller, self.delivery.now);
        }
    }

    /// Rewrites the links of a list and leaves out what the caller may not read. Items are not parsed further than their id.
    fn rewrite_body(&self, bytes: Bytes, notes: &mut Vec<&'static str>) -> Result<Bytes, ForwardError> {
        let is_cut_down = matches!(self.delivery.reading, Reading::Only(_) | Reading::Within { .. });
        if bytes.is_empty() && !is_cut_down {
            return Ok(bytes);
        }
        let Ok(mut list) = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes) else {
            // Some lists are bare arrays without links; they pass only where nothing has to be left out.
            return if !is_cut_down && serde_json::from_slice::<&RawValue>(&bytes).is_ok() {
                Ok(bytes)
            } else {
                Err(ForwardError::Unreadable)
            };
        };
        let mut changed = is_cut_down;
        let links: Vec<String> = list.keys().filter(|name| is_page_link(name)).cloned().collect();
        for name in links {
            // Also where nothing is to be changed: of a member that stands twice, what was read here has to be what the client reads.
            changed = true;
            let link = match list.get(&name) {
                None | Some(serde_json::Value::Null) => continue,
                Some(link) => link.as_str().map_or(Link::Foreign, |link| self.classify(link)),
            };
            match link {
                Link::Ours(url) => {
                    list.insert(name, url.into());
                }
                Link::Foreign => {
                    list.remove(&name);
                    notes.push("foreign link removed from the body");
                }
            }
        }
        if is_cut_down {
            // Counts, facets and whatever else stands beside the things would tell of those that are left out.
            list.retain(|name, _member| name == "value" || is_page_link(name));
            let items = list.get_mut("value").and_then(|value| value.as_array_mut()).ok_or(ForwardError::Unreadable)?;
            items.retain(|item| is_shown(item, self.delivery.reading));
        }
        if !changed {
            return Ok(bytes);
        }
        serde_json::to_vec(&list).map(Bytes::from).map_err(|_cause| ForwardError::Unreadable)
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

/// Whether a thing of a list is for the caller.
fn is_shown(item: &serde_json::Value, reading: &Reading) -> bool {
    match reading {
        Reading::Links | Reading::Unread => true,
        Reading::Only(scopes) => lies_in(item, scopes),
        Reading::Within { tenant, directory } => {
            let named = links::in_json(item.to_string().as_bytes(), &Scope::whole(Anchor::Tenant));
            named.is_ok_and(|places| places.iter().all(|place| directory.owner(place) == Some(*tenant)))
        }
    }
}

fn lies_in(item: &serde_json::Value, scopes: &Arc<[Scope]>) -> bool {
    let scope = item.get("id").and_then(|id| id.as_str()).and_then(|id| Scope::parse(id).ok());
    scope.is_some_and(|scope| scopes.iter().any(|granted| granted.covers(&scope)))
}

/// Tells the client that something was taken out of the answer.
const FLAG: HeaderName = HeaderName::from_static("x-steward-flag");
