//! The second listener: health, metrics, decision records, reload.
//!
//! On loopback it is open to this machine; anywhere else it speaks TLS and wants a token. It never changes who may do what.

mod guard;

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::arm::error::ErrorBody;
use crate::https::{Refused, Stop};
use crate::identity::KeyStore;
use crate::management;
use crate::policy::watch::{LoadStatus, PolicyHandle};
use crate::portal::Portal;
use crate::record::{Filter, Found, Recorder, Verdict};
use crate::state::State;
use crate::telemetry::Metrics;
use crate::webhook;

pub use guard::{Guard, TokenError};

type Answer = Response<Full<Bytes>>;

/// Further paths below a prefix, served by somebody else: the demo mounts the mock's own controls here.
pub type Extra = Arc<dyn Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// What the admin listener shows.
pub struct Admin {
    /// Decisions.
    pub recorder: Recorder,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// What the HTTP library refused on the gateway's listener.
    pub refused_by_http: Arc<Refused>,
    /// The policies and how they were loaded.
    pub policies: PolicyHandle,
    /// What was agreed at run time, and how fresh that is.
    pub state: Arc<State>,
    /// The keys of the issuers.
    pub keys: Arc<KeyStore>,
    /// Public keys of the assertions, for backends.
    pub assertion_keys: Value,
    /// How webhooks are doing.
    pub webhooks: Vec<watch::Receiver<webhook::Status>>,
    /// Who may ask.
    pub guard: Guard,
    /// Turns true when the process is ending.
    pub stop: Stop,
    /// Pages for people, where there is a private cloud.
    pub portal: Option<Portal>,
    /// A prefix such as `/mock/` and who serves it.
    pub extra: Option<(&'static str, Extra)>,
}

/// Records shown when nobody says how many.
const RECORDS_DEFAULT: usize = 50;
/// A search for a record needs this many characters of its id. Source: `ux/CLI.md`, "any unique prefix of 6 or more".
const PREFIX_CHARS_MIN: usize = 6;

impl Admin {
    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>) -> Answer {
        // It has a sign-in of its own.
        if let Some(portal) = self.portal.as_ref().filter(|_| Portal::serves(request.uri().path())) {
            return portal.answer(request).await;
        }
        if let Err(refusal) = self.guard.admit(request.headers(), request.uri().path()) {
            return error(refusal.status(), refusal.code(), refusal.to_string());
        }
        if let Some((prefix, extra)) = &self.extra
            && request.uri().path().starts_with(prefix)
        {
            return extra(request).await;
        }
        let query = request.uri().query().unwrap_or_default().to_owned();
        let path = request.uri().path().trim_matches('/').to_owned();
        let segments: Vec<&str> = path.split('/').collect();
        match (request.method(), segments.as_slice()) {
            (&Method::GET, ["livez"]) => text("ok\n".to_owned()),
            (&Method::GET, ["readyz"]) => self.ready(query.contains("verbose")),
            (&Method::GET, ["metrics"]) => self.metrics(),
            (&Method::GET, [".well-known", "jwks.json"]) => document(StatusCode::OK, &self.assertion_keys),
            (&Method::GET, ["api", "audit", "keys"]) => document(StatusCode::OK, &json!({ "keys": [self.recorder.audit_key().jwk()] })),
            (&Method::GET, ["openapi.json"]) => document(StatusCode::OK, &management::description(None)),
            (&Method::GET, ["api", "status"]) => document(StatusCode::OK, &self.status()),
            (&Method::GET, ["api", "records"]) => self.recent(&query).await,
            (&Method::GET, ["api", "records", prefix]) => self.find(prefix).await,
            (&Method::POST, ["api", "policies", "reload"]) => self.reload().await,
            (&Method::GET | &Method::POST, _) => error(StatusCode::NOT_FOUND, "NotFound", format!("nothing is served at `/{path}`")),
            _ => error(StatusCode::METHOD_NOT_ALLOWED, "HttpMethodNotAllowed", "use GET, or POST to reload".to_owned()),
        }
    }

    fn ready(&self, verbose: bool) -> Answer {
        let checks = self.checks();
        let ready = checks.iter().all(|(_, sound, _)| *sound);
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let mut lines = String::new();
        for (name, sound, detail) in checks.iter().filter(|(_, sound, _)| verbose || !sound) {
            lines.push_str(&format!("[{}] {name}: {detail}\n", if *sound { '+' } else { '-' }));
        }
        lines.push_str(if ready { "ready\n" } else { "not ready\n" });
        let mut answer = text(lines);
        *answer.status_mut() = status;
        answer
    }

    /// A broken policy file does not make a running gateway unready: the snapshot before it is in force.
    fn checks(&self) -> Vec<(&'static str, bool, String)> {
        let keys = self.keys.status();
        let usable = keys.iter().filter(|status| status.usable_keys > 0).count();
        let policies = self.policies.status().borrow().clone();
        let detail = policies
            .failure
            .as_deref()
            .map_or_else(|| policies.summary.to_string(), |_| "the files are broken; the set before is in force".to_owned());
        vec![
            ("policies", true, format!("revision {}, {detail}", policies.revision)),
            ("keys", usable > 0 || keys.is_empty(), format!("{usable} of {} issuers have usable keys", keys.len())),
            ("state", self.state.is_current(), self.state_line()),
            ("draining", !*self.stop.borrow(), if *self.stop.borrow() { "ending" } else { "no" }.to_owned()),
        ]
    }

    fn state_line(&self) -> String {
        let revision = self.policies.published().current().registry().revision();
        let heard = if self.state.is_current() { "the store was heard in time" } else { "the store was not heard for too long" };
        format!("revision {revision}, settled {}, {heard}", self.state.settled())
    }

    fn metrics(&self) -> Answer {
        let status = self.policies.status().borrow().clone();
        self.metrics.policy(status.revision, status.applied, status.refused);
        self.metrics.refused_by_http(self.refused_by_http.malformed(), self.refused_by_http.too_large());
        let mut answer = text(self.metrics.render());
        let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
        answer.headers_mut().insert(header::CONTENT_TYPE, kind);
        answer
    }

    fn status(&self) -> Value {
        let keys = self.keys.status();
        let directory = self.policies.directory();
        let digest = directory.borrow().digest().to_owned();
        let keys: Vec<Value> = keys
            .into_iter()
            .map(|key| json!({ "tenant": key.tenant, "usable_keys": key.usable_keys, "loaded_at": key.loaded_at.map(|at| at.to_string()), "failure": key.failure }))
            .collect();
        json!({
            "schema": "steward.status/1",
            "version": env!("CARGO_PKG_VERSION"),
            "policies": { "digest": digest, "last_load": describe(&self.policies.status().borrow()) },
            "issuers": keys,
            "state": {
                "revision": directory.borrow().registry().revision().0,
                "epoch": directory.borrow().registry().epoch(),
                "settled": self.state.settled().0,
                "current": self.state.is_current(),
            },
            "webhooks": self.webhooks.iter().map(|webhook| describe_webhook(&webhook.borrow())).collect::<Vec<_>>(),
            "draining": *self.stop.borrow(),
        })
    }

    async fn reload(&self) -> Answer {
        match self.policies.reload().await {
            Ok(status) => {
                let code = if status.failure.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
                document(code, &describe(&status))
            }
            Err(stopped) => error(StatusCode::SERVICE_UNAVAILABLE, "ServerBusy", stopped.to_string()),
        }
    }

    async fn find(&self, prefix: &str) -> Answer {
        let is_prefix = prefix.len() >= PREFIX_CHARS_MIN && prefix.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        if !is_prefix {
            let message = format!("`{prefix}` is not an id; give at least {PREFIX_CHARS_MIN} characters of one");
            return error(StatusCode::BAD_REQUEST, "InvalidId", message);
        }
        match self.recorder.find(prefix).await {
            Found::One(record) => match serde_json::to_value(&record) {
                Ok(record) => document(StatusCode::OK, &record),
                Err(cause) => error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", cause.to_string()),
            },
            Found::None => error(StatusCode::NOT_FOUND, "NotFound", format!("no record begins with `{prefix}`")),
            Found::Several(count) => {
                error(StatusCode::CONFLICT, "Ambiguous", format!("{count} records begin with `{prefix}`; give more characters"))
            }
        }
    }

    async fn recent(&self, query: &str) -> Answer {
        let mut filter = Filter { limit: RECORDS_DEFAULT, ..Filter::default() };
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match (key, value) {
                ("limit", value) => filter.limit = value.parse().unwrap_or(RECORDS_DEFAULT),
                ("reason", value) => filter.reason = Some(value.to_owned()),
                ("outcome", "allow") => filter.verdict = Some(Verdict::Allow),
                ("outcome", "deny") => filter.verdict = Some(Verdict::Deny),
                _ => {
                    return error(
                        StatusCode::BAD_REQUEST,
                        "InvalidFilter",
                        format!("unknown filter `{key}={value}`; use limit, reason, outcome"),
                    );
                }
            }
        }
        let records = self.recorder.recent(filter).await;
        document(StatusCode::OK, &json!({ "value": records }))
    }
}

fn describe_webhook(status: &webhook::Status) -> Value {
    let (failing_since, failure) = status.failure.as_ref().map(|(since, said)| (since.to_string(), said)).unzip();
    json!({
        "name": status.name,
        "delivered": status.delivered.map(|revision| revision.0),
        "failing_since": failing_since,
        "failure": failure,
    })
}

fn describe(status: &LoadStatus) -> Value {
    json!({
        "outcome": format!("{:?}", status.outcome).to_ascii_lowercase(),
        "at": status.at.to_string(),
        "revision": status.revision,
        "applied": status.applied,
        "refused": status.refused,
        "summary": &*status.summary,
        "failure": status.failure.as_deref(),
    })
}

fn text(text: String) -> Answer {
    let mut answer = Response::new(Full::from(text));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

fn document(status: StatusCode, value: &Value) -> Answer {
    let mut answer = Response::new(Full::from(value.to_string()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn error(status: StatusCode, code: &'static str, message: String) -> Answer {
    let mut answer = Response::new(Full::from(crate::json::text(&ErrorBody::new(code, message))));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    answer
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("guard", &self.guard).finish_non_exhaustive()
    }
}
