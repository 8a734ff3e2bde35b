//! An answer before faults and common headers are put on it.

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Method, StatusCode};
use jiff::tz::TimeZone;
use serde::Serialize;
use uuid::Uuid;

use crate::clock::Timestamp;

use super::refusal::Refusal;

/// Status, headers and a whole body.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// No body.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::with_capacity(HEADERS_TYPICAL), body: Bytes::new() }
    }

    /// JSON text.
    pub(super) fn rendered(status: StatusCode, body: Bytes) -> Self {
        // Some clients refuse any other spelling of the media type.
        Self { body, ..Self::empty(status) }.with(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))
    }

    /// A value as JSON.
    pub(super) fn json<T: Serialize>(status: StatusCode, body: &T) -> Self {
        // Maps with text keys always serialise.
        Self::rendered(status, serde_json::to_vec(body).map(Bytes::from).unwrap_or_default())
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// A header whose text came from a request; left out if it cannot be one.
    pub(super) fn with_text(self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => self.with(name, value),
            Err(_not_printable) => self,
        }
    }

    pub(super) fn with_etag(self, etag: &str) -> Self {
        self.with_text(ETAG, etag)
    }
}

impl From<&Refusal> for Answer {
    fn from(refusal: &Refusal) -> Self {
        let mut answer = Self::rendered(refusal.status(), refusal.body().into());
        if refusal.status() == StatusCode::UNAUTHORIZED {
            answer = answer.with(WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
        }
        match refusal.retry_after() {
            Some(wait) => answer.with(RETRY_AFTER, HeaderValue::from(wait.as_secs())),
            None => answer,
        }
    }
}

/// People cannot get such a token, so no authority is named.
const CHALLENGE: &str = r#"Bearer error="invalid_token", error_description="only assertions of the gateway are accepted""#;
const HEADERS_TYPICAL: usize = 16;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-request-id");
pub(super) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-ms-correlation-request-id");
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-client-request-id");
const RETURN_CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-ms-return-client-request-id");
const ROUTING_ID: HeaderName = HeaderName::from_static("x-ms-routing-request-id");
const REMAINING_READS: HeaderName = HeaderName::from_static("x-ms-ratelimit-remaining-subscription-reads");
const REMAINING_WRITES: HeaderName = HeaderName::from_static("x-ms-ratelimit-remaining-subscription-writes");
const REMAINING_DELETES: HeaderName = HeaderName::from_static("x-ms-ratelimit-remaining-subscription-deletes");

/// The full buckets of the anchor: nothing is throttled here. Source: Azure Resource Manager, throttling.
const READS_REMAINING: &str = "250";
const CHANGES_REMAINING: &str = "200";

/// What every answer carries, taken from the request.
#[derive(Debug)]
pub(super) struct Envelope {
    correlation: HeaderValue,
    client_request: Option<HeaderValue>,
    request: HeaderValue,
    remaining: (HeaderName, &'static str),
}

impl Envelope {
    /// The envelope for a request with these headers.
    pub(super) fn new(method: &Method, headers: &HeaderMap) -> Self {
        let request = guid();
        let correlation = headers.get(CORRELATION_ID).filter(|value| is_guid(value)).cloned();
        let wants_echo = headers.get(RETURN_CLIENT_REQUEST_ID).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
        let remaining = match *method {
            Method::GET | Method::HEAD => (REMAINING_READS, READS_REMAINING),
            Method::DELETE => (REMAINING_DELETES, CHANGES_REMAINING),
            _ => (REMAINING_WRITES, CHANGES_REMAINING),
        };
        Self {
            correlation: correlation.unwrap_or_else(|| request.clone()),
            client_request: headers.get(CLIENT_REQUEST_ID).filter(|_| wants_echo).cloned(),
            request,
            remaining,
        }
    }

    /// Puts the common headers on an answer. Source: ARM RPC, "Response Headers".
    pub(super) fn seal(self, answer: &mut Answer, now: Timestamp) {
        let stamp = now.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H%M%SZ").to_string();
        let routing = format!("LOCAL:{stamp}:{}", self.request.to_str().unwrap_or_default());
        let headers = &mut answer.headers;
        if let Ok(routing) = HeaderValue::from_str(&routing) {
            headers.insert(ROUTING_ID, routing);
        }
        headers.insert(REQUEST_ID, self.request);
        headers.insert(CORRELATION_ID, self.correlation);
        if let Some(id) = self.client_request {
            headers.insert(CLIENT_REQUEST_ID, id);
        }
        for (name, value) in COMMON {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        if answer.status.is_success() {
            headers.insert(self.remaining.0, HeaderValue::from_static(self.remaining.1));
        }
    }
}

const COMMON: [(&str, &str); 6] = [
    ("cache-control", "no-cache"),
    ("expires", "-1"),
    ("pragma", "no-cache"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("vary", "Accept-Encoding"),
    ("x-content-type-options", "nosniff"),
];

fn guid() -> HeaderValue {
    // Hexadecimal digits and hyphens are always a header value.
    HeaderValue::from_str(&Uuid::new_v4().to_string())
        .unwrap_or_else(|_cause| HeaderValue::from_static("00000000-0000-0000-0000-000000000000"))
}

fn is_guid(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|text| Uuid::try_parse(text).is_ok())
}
