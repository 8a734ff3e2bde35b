//! Logs go to standard error: lines for people on a terminal, JSON for machines. Never a header value, a query or a secret.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::panics;

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Starts logging for the whole process. `filter` is in the syntax of `tracing`, such as `info` or `steward=debug`.
///
/// Panics are lines of it from then on. A second call changes nothing, so that a test may start several gateways.
pub fn start_logs(format: LogFormat, filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_cause| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let as_json = match format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = if as_json { registry.with(layer.json()).try_init() } else { registry.with(layer).try_init() };
    if started.is_err() {
        tracing::debug!("logging had been started before");
    }
    panics::note(panics::Text::Hidden);
}
