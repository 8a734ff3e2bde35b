//! Names of metrics and the set-up of logs: the names are a promise, and none of them carries a tenant, a path or an id.

mod logs;
pub mod repeats;
mod vitals;

use std::collections::BTreeMap;
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

use crate::panics;

pub use logs::{LogFormat, start_logs};
pub use repeats::Repeats;
pub use vitals::{Condition, Need, Vital, Vitals};

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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Check {
    check: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lost {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Task {
    task: &'static str,
}

/// How the gateway itself is: noted when somebody asks for the metrics.
#[derive(Debug, Default)]
struct Wellbeing {
    checks: Family<Check, Gauge>,
    panics: Counter,
    records_lost: Family<Lost, Counter>,
    record_writer_up: Gauge,
    tasks_up: Family<Task, Gauge>,
    task_ends: Family<Task, Counter>,
}

impl Wellbeing {
    fn register(&self, registry: &mut Registry) {
        registry.register("steward_check", "How each check of readiness is: 0 sound, 1 degraded, 2 failed", self.checks.clone());
        registry.register("steward_panics", "Panics of the process", self.panics.clone());
        registry.register("steward_records_lost", "Decision records that were lost, by reason", self.records_lost.clone());
        registry.register("steward_record_writer_up", "Whether decision records have a writer", self.record_writer_up.clone());
        registry.register("steward_task_up", "Background tasks that run", self.tasks_up.clone());
        registry.register("steward_task_ends", "Ends of background tasks before their time", self.task_ends.clone());
    }
}

/// Brings a counter to a total that is counted elsewhere.
fn raise(counter: &Counter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
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
    wellbeing: Wellbeing,
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
        let wellbeing = Wellbeing::default();
        wellbeing.register(&mut registry);
        Self { registry, decisions, responses, duration, policy_revision, policy_loads, refused_by_http, wellbeing }
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

    /// Notes how one check of readiness is.
    pub fn check(&self, check: &'static str, condition: Condition) {
        let level = match condition {
            Condition::Sound => 0,
            Condition::Degraded => 1,
            Condition::Failed => 2,
        };
        self.wellbeing.checks.get_or_create(&Check { check }).set(level);
    }

    /// Notes whether records have a writer, and how many were lost.
    pub fn records(&self, has_writer: bool, lost: impl IntoIterator<Item = (&'static str, u64)>) {
        self.wellbeing.record_writer_up.set(has_writer.into());
        for (reason, total) in lost {
            raise(&self.wellbeing.records_lost.get_or_create(&Lost { reason }), total);
        }
    }

    /// Notes how the background tasks are.
    pub fn tasks(&self, vitals: &Vitals) {
        let mut of_name: BTreeMap<&'static str, (i64, u64)> = BTreeMap::new();
        for vital in vitals.all() {
            let (up, ends) = of_name.entry(vital.name).or_default();
            *up += i64::from(vital.is_up());
            *ends += vital.ends();
        }
        for (task, (up, ends)) in of_name {
            self.wellbeing.tasks_up.get_or_create(&Task { task }).set(up);
            raise(&self.wellbeing.task_ends.get_or_create(&Task { task }), ends);
        }
    }

    /// All of them in Prometheus text form.
    #[must_use]
    pub fn render(&self) -> String {
        raise(&self.wellbeing.panics, panics::seen());
        let mut out = String::new();
        match text::encode(&mut out, &self.registry) {
            Ok(()) => out,
            // Writing to a string cannot fail; were it to, a scrape shows it.
            Err(cause) => format!("# metrics could not be written: {cause}\n"),
        }
    }
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
