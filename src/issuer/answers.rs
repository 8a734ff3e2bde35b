//! From a request to an answer: bounded bodies, JSON always, nothing cached.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Inner;
use super::discovery;
use super::page::{self, Notice};
use super::refusal::Refusal;
use super::routes::{Authority, Endpoint, route};
use crate::form::{self, Form};

/// A form with a certificate assertion has two to four kilobytes.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// From the head of a request to the end of its body.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// The page loads nothing and may be framed by nobody.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

impl Inner {
    /// The answer to any request.
    pub(super) async fn respond<B: Body<Data = Bytes>>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self.answer_to(request).await {
            Ok(response) => response,
            Err(refusal) => self.refused(&refusal),
        }
    }

    async fn answer_to<B: Body<Data = Bytes>>(&self, request: Request<B>) -> Result<Response<Full<Bytes>>, Refusal>
    where
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let (authority, endpoint) = route(head.uri.path(), &self.accounts)?;
        check_method(&head.method, &endpoint)?;
        match endpoint {
            Endpoint::Discovery(version) => Ok(ok(&discovery::document(&self.base_url, &authority, version))),
            Endpoint::Keys => Ok(ok(&self.published_keys(&authority).await?)),
            Endpoint::UserRealm { username } => Ok(ok(&discovery::user_realm(&username))),
            Endpoint::Token => {
                let form = with_basic(read_form(&head.headers, body).await?, &head.headers)?;
                Ok(ok(&self.token(&authority, &form).await?))
            }
            Endpoint::DeviceCode => Ok(ok(&self.begin_device(&authority, &read_form(&head.headers, body).await?).await?)),
            Endpoint::DevicePage if head.method == Method::POST => Ok(self.sign_in_device(&read_form(&head.headers, body).await?).await),
            Endpoint::DevicePage => {
                let query = Form::parse(head.uri.query().unwrap_or_default().as_bytes())?;
                Ok(html(StatusCode::OK, page::html(None, query.get("user_code").unwrap_or_default(), "")))
            }
        }
    }

    async fn sign_in_device(&self, form: &Form) -> Response<Full<Bytes>> {
        let field = |name| form.get(name).unwrap_or_default();
        let (user_code, username) = (field("user_code"), field("username"));
        let notice = self.approve_device(user_code, username, field("password")).await;
        let status = if notice == Notice::SignedIn { StatusCode::OK } else { StatusCode::BAD_REQUEST };
        html(status, page::html(Some(notice), user_code, username))
    }

    async fn approve_device(&self, user_code: &str, username: &str, password: &str) -> Notice {
        if [user_code, username, password].contains(&"") {
            return Notice::Incomplete;
        }
        let Some(tenant) = self.devices.attempt(user_code, self.clock.now().as_millisecond()).await else {
            return Notice::CodeUnknown;
        };
        match self.signed_in(tenant, username, password) {
            Ok(account) => {
                self.devices.approve(user_code, account.principal).await;
                Notice::SignedIn
            }
            Err(Refusal::UserNotInTenant) => Notice::NotInTenant,
            Err(_) => Notice::WrongPassword,
        }
    }

    /// The keys of one tenant; without a tenant those of all, because an `id_token` may come from any.
    async fn published_keys(&self, authority: &Authority) -> Result<Value, Refusal> {
        let tenants = match authority.tenant() {
            Some(tenant) => vec![tenant],
            None => self.accounts.tenants().map(|tenant| tenant.id).collect(),
        };
        let mut keys = Vec::new();
        for tenant in tenants {
            keys.extend(self.keys.of(tenant).await?.published());
        }
        Ok(json!({ "keys": keys }))
    }

    fn refused(&self, refusal: &Refusal) -> Response<Full<Bytes>> {
        let shape = refusal.shape();
        // The text repeats what the client sent, which may be a secret in the wrong field.
        tracing::debug!(status = shape.status.as_u16(), number = shape.number, "refused");
        if let Refusal::Internal(cause) = refusal {
            tracing::error!(cause = cause as &(dyn std::error::Error + 'static), "the issuer failed");
        }
        let mut response = json_response(shape.status, &refusal.body(self.clock.now()));
        if let Refusal::MethodNotAllowed { allowed } = refusal {
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
        }
        if shape.status == StatusCode::UNAUTHORIZED {
            // Source: RFC 6749 §5.2, a client that tried Basic is to be told the scheme.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"issuer\""));
        }
        response
    }
}

fn check_method(method: &Method, endpoint: &Endpoint) -> Result<(), Refusal> {
    let allowed: &'static str = match endpoint {
        Endpoint::Discovery(_) | Endpoint::Keys | Endpoint::UserRealm { .. } => "GET",
        Endpoint::DeviceCode | Endpoint::Token => "POST",
        Endpoint::DevicePage => "GET, POST",
    };
    let fits = allowed.split(", ").any(|allowed| method == allowed);
    if fits { Ok(()) } else { Err(Refusal::MethodNotAllowed { allowed }) }
}

async fn read_form<B: Body<Data = Bytes>>(headers: &HeaderMap, body: B) -> Result<Form, Refusal>
where
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Refusal::Malformed { why: "expected `content-type: application/x-www-form-urlencoded`".to_owned() });
    }
    let Ok(read) = timeout(BODY_TIME_MAX, Limited::new(body, BODY_BYTES_MAX).collect()).await else { return Err(Refusal::BodyUnread) };
    match read {
        Ok(body) => Ok(Form::parse(&body.to_bytes())?),
        Err(cause) if cause.is::<http_body_util::LengthLimitError>() => Err(Refusal::BodyTooLarge { bytes_max: BODY_BYTES_MAX }),
        Err(_broken_off) => Err(Refusal::BodyUnread),
    }
}

/// Puts a client id and secret from `Authorization: Basic` into the form. Source: RFC 6749 §2.3.1, both percent-encoded.
fn with_basic(mut form: Form, headers: &HeaderMap) -> Result<Form, Refusal> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(form) };
    let malformed = || Refusal::Malformed { why: "expected `authorization: Basic` with client id and secret".to_owned() };
    let (scheme, encoded) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(malformed)?;
    let pair = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic")).ok_or_else(malformed)?;
    let colon = pair.iter().position(|byte| *byte == b':').ok_or_else(malformed)?;
    let (client, secret) = pair.split_at_checked(colon).ok_or_else(malformed)?;
    let secret = secret.strip_prefix(b":").ok_or_else(malformed)?;
    form.set_default("client_id", form::decoded(client).ok_or_else(malformed)?);
    form.set_default("client_secret", form::decoded(secret).ok_or_else(malformed)?);
    Ok(form)
}

fn ok(body: &Value) -> Response<Full<Bytes>> {
    json_response(StatusCode::OK, body)
}

fn json_response(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    response(status, "application/json; charset=utf-8", body.to_string())
}

fn html(status: StatusCode, page: String) -> Response<Full<Bytes>> {
    let mut response = response(status, "text/html; charset=utf-8", page);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
    response
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
