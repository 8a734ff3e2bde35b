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
use crate::telemetry::{Condition, Metrics, Vitals};
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
    /// Background tasks.
    pub vitals: Arc<Vitals>,
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
        let ready = checks.iter().all(|(_, condition, _)| *condition < Condition::Failed);
        let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let mut lines = String::new();
        for (name, condition, detail) in checks.iter().filter(|(_, condition, _)| verbose || *condition > Condition::Sound) {
            let sign = match condition {
                Condition::Sound => '+',
                Condition::Degraded => '!',
                Condition::Failed => '-',
            };
            lines.push_str(&format!("[{sign}] {name}: {detail}\n"));
        }
        lines.push_str(if ready { "ready\n" } else { "not ready\n" });
        let mut answer = text(lines);
        *answer.status_mut() = status;
        answer
    }

    /// What new requests depend on. Degraded is what they do not depend on, yet: a broken policy file does not make a running gateway
    /// unready, for the snapshot before it is in force.
    fn checks(&self) -> [(&'static str, Condition, String); 6] {
        let (records, said_of_records) = self.recorder.health().condition();
        let (tasks, said_of_tasks) = self.vitals.condition();
        let (policies, said_of_policies) = self.policies_line();
        let (keys, said_of_keys) = self.keys_line();
        let (state, said_of_state) = self.state_line();
        let (draining, said_of_draining) = match *self.stop.borrow() {
            true => (Condition::Failed, "ending"),
            false => (Condition::Sound, "no"),
        };
        [
            ("policies", policies, said_of_policies),
            ("keys", keys, said_of_keys),
            ("state", state, said_of_state),
            ("records", records, said_of_records),
            ("tasks", tasks, said_of_tasks),
            ("draining", draining, said_of_draining.to_owned()),
        ]
    }

    fn policies_line(&self) -> (Condition, String) {
        let status = self.policies.status().borrow().clone();
        let (condition, detail) = match status.failure {
            Some(_) => (Condition::Degraded, "the files are broken; the set before is in force"),
            None => (Condition::Sound, &*status.summary),
        };
        (condition, format!("revision {}, {detail}", status.revision))
    }

    /// Tokens of an issuer without usable keys are refused; those of the others are not touched.
    fn keys_line(&self) -> (Condition, String) {
        let keys = self.keys.status();
        let usable = keys.iter().filter(|status| status.usable_keys > 0).count();
        let condition = match usable {
            usable if usable == keys.len() => Condition::Sound,
            0 => Condition::Failed,
            _ => Condition::Degraded,
        };
        (condition, format!("{usable} of {} issuers have usable keys", keys.len()))
    }

    fn state_line(&self) -> (Condition, String) {
        let revision = self.policies.published().current().registry().revision();
        let (condition, heard) = match (self.state.is_current(), self.state.is_followed()) {
            (false, _) => (Condition::Failed, "the store was not heard for too long"),
            (true, false) => (Condition::Degraded, "the store does not answer; what is known is decided upon, and nothing can be changed"),
            (true, true) => (Condition::Sound, "the store was heard in time"),
        };
        (condition, format!("revision {revision}, settled {}, {heard}", self.state.settled()))
    }

    fn metrics(&self) -> Answer {
        let status = self.policies.status().borrow().clone();
        self.metrics.policy(status.revision, status.applied, status.refused);
        self.metrics.refused_by_http(self.refused_by_http.malformed(), self.refused_by_http.too_large());
        self.checks().iter().for_each(|(name, condition, _)| self.metrics.check(name, *condition));
        let health = self.recorder.health();
        self.metrics.records(health.has_writer(), health.lost().map(|(loss, count)| (loss.label(), count)));
        self.metrics.tasks(&self.vitals);
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
            Err(unanswered) => error(StatusCode::SERVICE_UNAVAILABLE, "ServerBusy", unanswered.to_string()),
            Ok(Found::One(record)) => match serde_json::to_value(&record) {
                Ok(record) => document(StatusCode::OK, &record),
                Err(cause) => error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", cause.to_string()),
            },
            Ok(Found::None) => error(
                StatusCode::NOT_FOUND,
                "NotFound",
                format!(
                    "no record begins with `{prefix}`. Old records are removed, and refusals that come too fast are counted and have none of their own"
                ),
            ),
            Ok(Found::Several(count)) => {
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
        match self.recorder.recent(filter).await {
            Ok(recent) => document(StatusCode::OK, &json!({ "value": recent.records, "complete": recent.is_complete })),
            Err(unanswered) => error(StatusCode::SERVICE_UNAVAILABLE, "ServerBusy", unanswered.to_string()),
        }
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
