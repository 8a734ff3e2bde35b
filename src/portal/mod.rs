//! The web portal: pages for people, rendered here, without a front-end build.
//!
//! It has no way of its own to the product: whatever a page shows or does goes through [`Product`] as the person who is signed in, where it is judged and
//! recorded as if that person's own tool had sent it. Pages work without script; the script refreshes a job and nothing else.
//!
//! It must never decide who may do what, keep a token, put a text into a page unescaped, or act on a form that is not from one of its own pages.
//!
//! A page is a template, a struct that the template reads, a handler in `pages`, and a line where `pages` tells paths apart.

mod api;
mod assets;
mod guard;
mod pages;
mod session;
mod text;
mod views;
mod visit;

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::error::Unspecified;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::Value;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::form::Form;
use crate::identity::Caller;
use crate::ids::{SubscriptionId, TenantId};
use crate::management::PartAnswer;

pub use guard::{Site, Transport};
use pages::Outcome;
use session::Sessions;
pub use session::{AGE_MAX, IDLE_MAX, SESSIONS_MAX, SESSIONS_OF_ONE_MAX};
use visit::Visit;

/// A form with a token of 16 KiB and a key fits three times.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// From the head of a request to the end of its form.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// Nothing but what this listener serves, no script in markup, no markup from script.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

/// On every answer. With `no-referrer` browsers send `Origin: null` with a form, and a form could no longer be told from a stranger's; others are
/// told nothing either way. Source: Fetch, "append a request `Origin` header".
const SAFETY_HEADERS: [(&str, &str); 7] = [
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ("referrer-policy", "same-origin"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];
const STRICT_TRANSPORT_SECURITY: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// What the portal asks for, always as the person that is signed in.
pub trait Product: Send + Sync + 'static {
    /// Carries out a request of the management plane as this person: judged, recorded, answered as if the person's own tool had sent it.
    /// `path` is encoded, `query` is without question mark.
    fn ask<'a>(
        &'a self,
        who: &'a Arc<Caller>,
        method: Method,
        path: &'a str,
        query: &'a str,
        body: Option<&'a Value>,
    ) -> Pin<Box<dyn Future<Output = PartAnswer> + Send + 'a>>;

    /// Whether somebody who is signed in would still be let in: tenant, issuer and keys are those of then.
    fn still_counts(&self, who: &Caller) -> bool;

    /// The plans that a visitor may see: the public ones, and what a code opens.
    fn plans(&self, invitation_code: Option<&str>) -> Vec<PlanCard>;

    /// Signs up a visitor.
    fn sign_up<'a>(&'a self, form: &'a SignUpForm) -> Pin<Box<dyn Future<Output = Result<SignedUp, SignUpProblem>> + Send + 'a>>;

    /// The person that a token proves, or a sentence for whoever presented it.
    fn sign_in<'a>(&'a self, token: &'a str) -> Pin<Box<dyn Future<Output = Result<Arc<Caller>, String>> + Send + 'a>>;
}

/// A plan as a visitor sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanCard {
    /// What a sign-up names.
    pub key: String,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What it holds, in words: `Virtual machines`.
    pub services: Vec<String>,
    /// How much of it, in words: `8 virtual machines`.
    pub quota: Vec<String>,
    /// It was opened by an invitation code.
    pub needs_code: bool,
}

/// What a visitor filled in. Texts are trimmed and not empty, but otherwise as they were typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignUpForm {
    /// Name of the organisation.
    pub organisation: String,
    /// Name of its first administrator.
    pub person: String,
    /// What that person signs in with, such as `anna@juniper.example`.
    pub identity: String,
    /// Key of the plan.
    pub plan: String,
    /// Code of an invitation.
    pub invitation_code: Option<String>,
    /// Address of an issuer of the organisation's own.
    pub issuer_name: Option<String>,
    /// That issuer's public key.
    pub issuer_key: Option<String>,
}

/// A new tenant and its administrator.
#[derive(Debug)]
pub struct SignedUp {
    /// The tenant.
    pub subscription: SubscriptionId,
    /// Its account.
    pub account: TenantId,
    /// Who is signed in from now on, until `expires_at` at the latest.
    pub caller: Arc<Caller>,
}

/// Why there is no new tenant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SignUpProblem {
    /// Field of [`SignUpForm`] that has to be different.
    pub field: Option<&'static str>,
    /// What is wrong and what to do.
    pub message: String,
}

/// The system gave no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no random numbers, so no portal can be opened")]
pub struct NoRandomness;

/// A body that may hold a form: hyper's own, or a test's.
trait FormBody: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send {}

impl<B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send> FormBody for B {}

/// The portal of one listener.
pub struct Portal {
    site: Site,
    sessions: Sessions,
    product: Arc<dyn Product>,
    clock: Clock,
}

impl fmt::Debug for Portal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Portal").field("site", &self.site).finish_non_exhaustive()
    }
}

impl Portal {
    /// A portal without sessions.
    ///
    /// # Errors
    /// When there are no random numbers for the key of its forms.
    pub fn new(site: Site, product: Arc<dyn Product>, clock: Clock) -> Result<Self, NoRandomness> {
        let secure = site.transport == Transport::Tls;
        let sessions = Sessions::new(secure, clock.clone()).map_err(|_unspecified: Unspecified| NoRandomness)?;
        Ok(Self { site, sessions, product, clock })
    }

    /// Whether a path of the listener is the portal's.
    #[must_use]
    pub fn serves(path: &str) -> bool {
        matches!(path, "/" | "/sign-in" | "/sign-out" | "/sign-up") || path.starts_with("/tenants/") || path.starts_with("/assets/")
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.answer_any(request).await
    }

    async fn answer_any<B: FormBody>(&self, request: Request<B>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let mut answer = self.answer_unguarded(&head, body).await;
        for (name, value) in SAFETY_HEADERS {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        if self.site.transport == Transport::Tls {
            answer.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT_SECURITY);
        }
        answer.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        answer
    }

    async fn answer_unguarded<B: FormBody>(&self, head: &Parts, body: B) -> Response<Full<Bytes>> {
        if let Err(refusal) = self.site.admit(head) {
            return pages::bare(refusal.status(), &refusal.to_string());
        }
        let reads = matches!(head.method, Method::GET | Method::HEAD);
        if reads && let Some(asset) = assets::find(head.uri.path()) {
            return asset.answer();
        }
        let Ok(mut visitor) = self.sessions.visitor(&head.headers) else {
            return pages::bare(StatusCode::SERVICE_UNAVAILABLE, &NoRandomness.to_string());
        };
        if visitor.caller.as_ref().is_some_and(|caller| !self.product.still_counts(caller)) {
            self.sessions.close(&mut visitor);
        }
        let mut visit = Visit::new(self, visitor, head);
        let outcome = match &head.method {
            &Method::GET | &Method::HEAD => pages::show(&mut visit).await,
            &Method::POST => match read(head, body).await {
                Ok(form) => pages::act(&mut visit, &form).await,
                Err((status, sentence)) => pages::trouble(&visit, status, &sentence),
            },
            _ => pages::trouble(&visit, StatusCode::METHOD_NOT_ALLOWED, "The portal knows GET and POST only."),
        };
        finish(&visit, outcome)
    }
}

/// The form of a request.
async fn read<B: FormBody>(head: &Parts, body: B) -> Result<Form, (StatusCode, String)> {
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "The portal takes forms as its own pages send them.".to_owned()));
    }
    match timeout(BODY_TIME_MAX, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Err(_elapsed) => Err((StatusCode::REQUEST_TIMEOUT, "The form took too long to arrive. Send it again.".to_owned())),
        Ok(Err(_too_large_or_broken)) => {
            let sentence = format!("The form did not arrive whole or has more than {} KiB.", BODY_BYTES_MAX / 1024);
            Err((StatusCode::PAYLOAD_TOO_LARGE, sentence))
        }
        Ok(Ok(body)) => {
            Form::parse(&body.to_bytes()).map_err(|cause| (StatusCode::BAD_REQUEST, format!("The form cannot be read: {cause}.")))
        }
    }
}

fn finish(visit: &Visit<'_>, outcome: Outcome) -> Response<Full<Bytes>> {
    let mut answer = match outcome {
        Outcome::Page(status, html) => document(status, "text/html; charset=utf-8", html),
        Outcome::Json(value) => document(StatusCode::OK, "application/json; charset=utf-8", value.to_string()),
        Outcome::Go(path) => {
            let mut answer = document(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", String::new());
            // Paths are made of encoded segments; what could not stand in a header is not followed.
            let target = HeaderValue::try_from(path).unwrap_or(HeaderValue::from_static("/"));
            answer.headers_mut().insert(header::LOCATION, target);
            answer
        }
    };
    if let Some(cookie) = visit.cookie()
        && let Ok(cookie) = HeaderValue::try_from(cookie)
    {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

fn document(status: StatusCode, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::from(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
