//! Names of metrics and the set-up of logs: the names are a promise, and none of them carries a tenant, a path or an id.

mod logs;

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use hyper::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

pub use logs::{LogFormat, start_logs};

/// Upper bounds in seconds. They begin where a gateway's own work is, well below the 5 ms usual for HTTP.
const SECONDS: [f64; 12] = [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decision {
    outcome: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Response {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Misread {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Load {
    result: &'static str,
}

/// The counters of one gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    decisions: Family<Decision, Counter>,
    responses: Family<Response, Counter>,
    duration: Histogram,
    policy_revision: Gauge,
    policy_loads: Family<Load, Counter>,
    refused_by_http: Family<Misread, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let metrics = (Family::default(), Family::default(), Histogram::new(SECONDS), Gauge::default(), Family::default());
        let (decisions, responses, duration, policy_revision, policy_loads) = metrics;
        registry.register("steward_decisions", "Requests by outcome and reason code", decisions.clone());
        registry.register("steward_responses", "Answers by class of status", responses.clone());
        registry.register("http_server_request_duration_seconds", "From arrival to the head of the answer", duration.clone());
        registry.register("steward_policy_revision", "Revision of the policy in force", policy_revision.clone());
        registry.register("steward_policy_loads", "Attempts to load the policies", policy_loads.clone());
        let refused_by_http = Family::default();
        registry.register("steward_refused_by_http", "HTTP/1.1 requests that could not be read, without a record", refused_by_http.clone());
        Self { registry, decisions, responses, duration, policy_revision, policy_loads, refused_by_http }
    }
}

impl Metrics {
    /// Counts an ended request; `reason` is the code of its refusal.
    pub fn request(&self, status: StatusCode, reason: Option<&'static str>, took: Duration) {
        let outcome = if reason.is_some() { "deny" } else { "allow" };
        self.decisions.get_or_create(&Decision { outcome, reason: reason.unwrap_or("") }).inc();
        self.responses.get_or_create(&Response { code: class(status) }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Notes the state of the policies: the revision in force and the loads so far.
    pub fn policy(&self, revision: u64, loaded: u64, failed: u64) {
        self.policy_revision.set(i64::try_from(revision).unwrap_or(i64::MAX));
        for (result, total) in [("loaded", loaded), ("failed", failed)] {
            raise(&self.policy_loads.get_or_create(&Load { result }), total);
        }
    }

    /// Notes what the HTTP library refused so far.
    pub fn refused_by_http(&self, malformed: u64, too_large: u64) {
        for (reason, total) in [("malformed", malformed), ("too_large", too_large)] {
            raise(&self.refused_by_http.get_or_create(&Misread { reason }), total);
        }
    }

    /// All of them in Prometheus text form.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        match text::encode(&mut out, &self.registry) {
            Ok(()) => out,
            // Writing to a string cannot fail; were it to, a scrape shows it.
            Err(cause) => format!("# metrics could not be written: {cause}\n"),
        }
    }
}

/// Counters only rise.
fn raise(counter: &Counter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// An error and all its causes in one line, for a log.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        // Writing to a string cannot fail.
        if write!(text, ": {next}").is_err() {
            break;
        }
        cause = next.source();
    }
    text
}
