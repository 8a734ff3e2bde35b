//! Every refusal of the issuer: its status, its OAuth code, its number and its text. The only place that maps them.

use hyper::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::keys::KeyError;
use super::scope::ScopeError;
use crate::form::{FormError, MissingField};
use crate::ids::{ClientId, RequestId};

/// Why the issuer refuses. The texts are for whoever configures the client.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("client assertion refused: {why}")]
    AssertionRefused { why: &'static str },
    #[error(
        "client assertion is not within its valid time range; check the clock of the client (now: {now}, allowed difference: 5 minutes)"
    )]
    AssertionUntimely { now: Timestamp },
    #[error("request body is too large; allowed: {bytes_max} bytes")]
    BodyTooLarge { bytes_max: usize },
    #[error("request body did not arrive in time or broke off")]
    BodyUnread,
    #[error("the request is malformed: {why}")]
    Malformed { why: String },
    #[error("the endpoint takes {allowed} only")]
    MethodNotAllowed { allowed: &'static str },
    #[error("the request must hold the parameter `{name}`")]
    MissingParameter { name: &'static str },
    #[error("application `{client}` is confidential; the request must hold a `client_secret` or a `client_assertion`")]
    NoClientCredential { client: ClientId },
    #[error("there is no such endpoint; start at /{{tenant}}/v2.0/.well-known/openid-configuration")]
    NotFound,
    #[error("the issuer failed; its log tells why")]
    Internal(#[from] KeyError),
    #[error("the device code was not redeemed in time; sign in again")]
    DeviceCodeExpired,
    #[error("the device code is unknown, was redeemed already or belongs to another client; sign in again")]
    DeviceCodeUnknown,
    #[error("the user has not signed in yet; poll again after the interval")]
    DevicePending,
    #[error("polled faster than the interval allows; wait longer between polls")]
    DeviceSlowDown,
    #[error("too many device codes are open; try again later")]
    DevicesFull,
    #[error("the refresh token has expired; sign in again")]
    RefreshExpired,
    #[error("the refresh token is malformed, of another issuer or of another client; sign in again")]
    RefreshMalformed,
    #[error(transparent)]
    Scope(#[from] ScopeError),
    #[error("an application must name its tenant in the URL instead of `organizations` or `common`")]
    TenantNeeded,
    #[error("application `{client}` was not found in tenant `{tenant}`; check client id and tenant")]
    UnknownClient { client: ClientId, tenant: String },
    #[error("tenant `{tenant}` not found; check the tenant id or domain in the URL")]
    UnknownTenant { tenant: String },
    #[error("grant type `{grant}` is not supported; allowed: client_credentials, password, refresh_token, device code")]
    UnsupportedGrant { grant: String },
    #[error("the user has no account in this tenant; the tenant must invite the user first")]
    UserNotInTenant,
    #[error("invalid username or password")]
    WrongPassword,
    #[error("invalid client secret provided; the request must hold the secret's value for application `{client}`")]
    WrongSecret { client: ClientId },
}

/// What a refusal looks like on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) status: StatusCode,
    /// Source: RFC 6749 §5.2 and RFC 8628 §3.5.
    pub(super) error: &'static str,
    /// The number in the style of the identity platform's `AADSTS` codes, which clients and people search for.
    pub(super) number: u32,
}

impl From<FormError> for Refusal {
    fn from(error: FormError) -> Self {
        Self::Malformed { why: error.to_string() }
    }
}

impl From<MissingField> for Refusal {
    fn from(MissingField(name): MissingField) -> Self {
        Self::MissingParameter { name }
    }
}

impl Refusal {
    pub(super) const fn shape(&self) -> Shape {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        let (status, error, number) = match self {
            Self::AssertionRefused { .. } => (StatusCode::UNAUTHORIZED, "invalid_client", 700_027),
            Self::AssertionUntimely { .. } => (StatusCode::UNAUTHORIZED, "invalid_client", 700_024),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", 90_015),
            Self::BodyUnread => (StatusCode::REQUEST_TIMEOUT, "invalid_request", 90_014),
            Self::Malformed { .. } => (BAD, "invalid_request", 9_002_313),
            Self::MethodNotAllowed { .. } => (StatusCode::METHOD_NOT_ALLOWED, "invalid_request", 900_561),
            Self::MissingParameter { .. } => (BAD, "invalid_request", 900_144),
            Self::NoClientCredential { .. } => (StatusCode::UNAUTHORIZED, "invalid_client", 7_000_218),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", 90_093),
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, "server_error", 90_033),
            Self::DeviceCodeExpired => (BAD, "expired_token", 70_020),
            Self::DeviceCodeUnknown => (BAD, "invalid_grant", 70_000),
            Self::DevicePending => (BAD, "authorization_pending", 70_016),
            Self::DeviceSlowDown => (BAD, "slow_down", 70_016),
            Self::DevicesFull => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", 90_055),
            Self::RefreshExpired => (BAD, "invalid_grant", 700_082),
            Self::RefreshMalformed => (BAD, "invalid_grant", 70_000),
            Self::Scope(_) => (BAD, "invalid_scope", 70_011),
            Self::TenantNeeded => (BAD, "invalid_request", 50_059),
            Self::UnknownClient { .. } => (BAD, "unauthorized_client", 700_016),
            Self::UnknownTenant { .. } => (BAD, "invalid_tenant", 90_002),
            Self::UnsupportedGrant { .. } => (BAD, "unsupported_grant_type", 70_003),
            Self::UserNotInTenant => (BAD, "invalid_grant", 50_020),
            Self::WrongPassword => (BAD, "invalid_grant", 50_126),
            Self::WrongSecret { .. } => (StatusCode::UNAUTHORIZED, "invalid_client", 7_000_215),
        };
        Shape { status, error, number }
    }

    /// The body: OAuth's form with the identity platform's additions.
    pub(super) fn body(&self, now: Timestamp) -> Value {
        let Shape { error, number, .. } = self.shape();
        let (trace, timestamp) = (RequestId::random(), now.strftime("%Y-%m-%d %H:%M:%SZ"));
        json!({
            "error": error,
            "error_description": format!("AADSTS{number}: {self}. Trace ID: {trace} Timestamp: {timestamp}"),
            "error_codes": [number],
            "timestamp": timestamp.to_string(),
            "trace_id": trace,
            "correlation_id": trace,
        })
    }
}
