//! The header fields on every answer. Source: Azure Resource Manager RPC, "Common API response details".

use std::cell::Cell;

use hyper::Response;
use hyper::body::Body;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};

use crate::arm::query;
use crate::clock::Timestamp;
use crate::ids::RequestId;
use crate::management::MIN_REVISION;
use crate::pipeline::{CLIENT_REQUEST_ID, CORRELATION_REQUEST_ID, Counted, Remaining, Trail};
use crate::rejection::Answer;
use crate::store::Revision;

/// The least revision of the run-time state that a client wants its request to be judged by: what it wrote elsewhere. Links to
/// operations have it in their query, because clients follow them as they are, to whichever node.
pub(super) fn min_revision(headers: &HeaderMap, query: Option<&str>) -> Option<Revision> {
    let sent = headers.get(MIN_REVISION).and_then(|value| value.to_str().ok()?.parse().ok());
    let linked = || query::value(query.filter(|query| query.contains(MIN_REVISION))?, MIN_REVISION)?.parse().ok();
    sent.or_else(linked).map(Revision)
}

/// What an answer repeats of its request.
pub(super) struct Echo<'a> {
    id: RequestId,
    correlation_id: &'a str,
    client_request_id: Option<&'a str>,
    revision: u64,
    /// What the caller has left of requests of the kind.
    remaining: Option<Remaining>,
    /// The state that the request was judged by; for a write, one that holds what it wrote. Strangers would learn from it when something changes.
    state_revision: Option<Revision>,
}

impl<'a> Echo<'a> {
    pub(super) fn of(trail: &'a Trail, written: Option<Revision>) -> Self {
        let client_request_id = trail.client_request_id.as_deref().filter(|_| trail.returns_client_request_id);
        Self {
            id: trail.id,
            correlation_id: &trail.correlation_id,
            client_request_id,
            revision: trail.directory.revision,
            remaining: trail.remaining,
            state_revision: trail.caller.as_ref().map(|_proven| written.unwrap_or_else(|| trail.directory.registry().revision())),
        }
    }
}

const FIXED: [(HeaderName, HeaderValue); 6] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    (header::PRAGMA, HeaderValue::from_static("no-cache")),
    (header::EXPIRES, HeaderValue::from_static("-1")),
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000; includeSubDomains")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::VARY, HeaderValue::from_static("Accept-Encoding")),
];

/// Adds what every answer carries, whoever gave it.
pub(super) fn complete<B: Body>(response: &mut Response<B>, echo: &Echo<'_>, now: Timestamp) {
    // A type of nothing would make clients read nothing as JSON.
    let has_body = response.body().size_hint().exact() != Some(0);
    let headers = response.headers_mut();
    // Growing would mean to hash all of them again.
    headers.reserve(FIXED.len() + OWN_MAX);
    for (name, value) in FIXED {
        headers.insert(name, value);
    }
    let id = echo.id.to_string();
    let time = compact(now);
    insert(headers, ROUTING_REQUEST_ID, ["STEWARD:", std::str::from_utf8(&time).unwrap_or_default(), ":", &id].concat());
    insert(headers, REQUEST_ID, id);
    insert(headers, CORRELATION_REQUEST_ID, echo.correlation_id.to_owned());
    headers.insert(REVISION, HeaderValue::from(echo.revision));
    if let Some(revision) = echo.state_revision {
        headers.insert(STATE_REVISION, HeaderValue::from(revision.0));
    }
    if let Some(remaining) = echo.remaining {
        let name = remaining_header(remaining);
        // The backend counts as well, and what it has left may be less.
        let theirs = headers.get(&name).and_then(|value| value.to_str().ok()?.parse().ok());
        headers.insert(name, HeaderValue::from(theirs.map_or(remaining.left, |theirs: u32| theirs.min(remaining.left))));
    }
    match echo.client_request_id {
        Some(id) => insert(headers, CLIENT_REQUEST_ID, id.to_owned()),
        None => drop(headers.remove(CLIENT_REQUEST_ID)),
    }
    if has_body && !headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    }
}

/// Fields that are added besides those that are always the same.
const OWN_MAX: usize = 9;

/// Source: Azure Resource Manager, "Understand how Azure Resource Manager throttles requests", remaining requests. Each name is made at compile
/// time: to look at its letters costs as much as three fields.
const fn remaining_header(remaining: Remaining) -> HeaderName {
    match (remaining.in_subscription, remaining.kind) {
        (true, Counted::Deletes) => const { HeaderName::from_static("x-ms-ratelimit-remaining-subscription-deletes") },
        (true, Counted::Reads) => const { HeaderName::from_static("x-ms-ratelimit-remaining-subscription-reads") },
        (true, Counted::Writes) => const { HeaderName::from_static("x-ms-ratelimit-remaining-subscription-writes") },
        (false, Counted::Deletes) => const { HeaderName::from_static("x-ms-ratelimit-remaining-tenant-deletes") },
        (false, Counted::Reads) => const { HeaderName::from_static("x-ms-ratelimit-remaining-tenant-reads") },
        (false, Counted::Writes) => const { HeaderName::from_static("x-ms-ratelimit-remaining-tenant-writes") },
    }
}

const FAILURE_CAUSE: HeaderName = HeaderName::from_static("x-ms-failure-cause");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
const REVISION: HeaderName = HeaderName::from_static("x-steward-revision");
const ROUTING_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-routing-request-id");
const STATE_REVISION: HeaderName = HeaderName::from_static("x-steward-state-revision");

/// `20270301T100005Z`.
type Compact = [u8; 16];

/// The time in the form it has in the ids of requests. Most come in the same second as the one before.
fn compact(time: Timestamp) -> Compact {
    thread_local! {
        static LAST: Cell<(Timestamp, Compact)> = const { Cell::new((Timestamp::MIN, *b"00000000T000000Z")) };
    }
    let (last, text) = LAST.get();
    if last.as_second() == time.as_second() {
        return text;
    }
    // `2027-03-01T10:00:05Z`, as RFC 3339 has it.
    let mut compact = text;
    let digits = format!("{time:.0}").into_bytes().into_iter().filter(|byte| !matches!(byte, b'-' | b':'));
    compact.iter_mut().zip(digits).for_each(|(place, byte)| *place = byte);
    LAST.set((time, compact));
    compact
}

/// Adds what the gateway's own answer carries.
pub(super) fn add(headers: &mut HeaderMap, fields: Vec<(&'static str, String)>) {
    for (name, value) in fields {
        insert(headers, HeaderName::from_static(name), value);
    }
}

/// Adds what a refusal carries.
pub(super) fn refusal(headers: &mut HeaderMap, answer: &Answer, default_authority: &str) {
    if let Some(challenge) = &answer.challenge {
        insert(headers, header::WWW_AUTHENTICATE, challenge.header(default_authority, &answer.message));
    }
    if let Some(seconds) = answer.retry_after_s {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    headers.insert(FAILURE_CAUSE, HeaderValue::from_static("gateway"));
}

/// Sets a field; a text that no header can carry is left out.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}
