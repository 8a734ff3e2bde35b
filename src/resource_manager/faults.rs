//! Faults that an admin call orders: each names the requests it waits for and what befalls them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::header::LOCATION;
use hyper::{Method, StatusCode};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::address::Address;
use super::answer::Answer;
use super::codes::Code;
use super::operations::Failure;
use super::refusal::Refusal;

/// Faults ordered and not yet used up.
const FAULTS_MAX: usize = 100;
/// The longest delay that can be ordered.
const DELAY_MS_MAX: u64 = 600_000;
/// The largest body that can be ordered, in bytes.
const OVERSIZED_MAX: usize = 256 * 1024 * 1024;

/// One fault: `POST /mock/faults`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// Which requests; an empty one means all.
    #[serde(default, rename = "match")]
    wanted: Match,
    /// How many of them; the fault is gone afterwards.
    #[serde(default = "once")]
    times: u32,
    /// Answers with this status and an error body.
    status: Option<u16>,
    /// The code of that body; `InternalServerError` when absent.
    code: Option<Code>,
    /// The message of that body.
    message: Option<String>,
    /// `Retry-After` of that answer, in seconds.
    retry_after_s: Option<u64>,
    /// Waits before the head of the answer, in milliseconds.
    #[serde(default)]
    latency_ms: u64,
    /// Waits in the middle of the body, in milliseconds.
    #[serde(default)]
    pub(super) body_delay_ms: u64,
    /// Closes the connection in the middle of the body; what the request asked for is done all the same.
    #[serde(default)]
    pub(super) cut_body: bool,
    /// Closes the connection before any answer; what the request asked for is done all the same.
    #[serde(default)]
    pub(super) drop_connection: bool,
    /// Lets the operation that the request begins end badly.
    pub(super) fail_operation: Option<Failure>,
    /// Operation URLs of the answer point here.
    pub(super) foreign_location: Option<String>,
    /// Answers 307 with this `Location`.
    redirect: Option<String>,
    /// Answers 200 with JSON of this many bytes.
    pub(super) oversized_bytes: Option<usize>,
    /// Lists answer an empty page whose link leads to the real one.
    #[serde(default)]
    pub(super) empty_page: bool,
}

const fn once() -> u32 {
    1
}

/// The requests that a fault waits for: all that are given must fit.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Match {
    method: Option<String>,
    path_prefix: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Why a fault was not ordered.
#[derive(Debug, thiserror::Error)]
pub(super) enum FaultError {
    #[error("`{field}` is {value}; allowed: {allowed}")]
    Range { field: &'static str, value: u64, allowed: String },
    #[error("{FAULTS_MAX} faults are ordered already; delete them first")]
    TooMany,
}

impl Match {
    fn fits(&self, method: &Method, path: &str, address: &Address) -> bool {
        let method_fits = self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method.as_str()));
        let path_fits = self.path_prefix.as_ref().is_none_or(|prefix| starts_with(path, prefix));
        method_fits
            && path_fits
            && self.kind.as_ref().is_none_or(|wanted| address.kind().is_some_and(|kind| kind.full.eq_ignore_ascii_case(wanted)))
    }
}

fn starts_with(path: &str, prefix: &str) -> bool {
    path.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

impl Fault {
    /// How long to wait before the answer.
    pub(super) const fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms)
    }

    /// The answer that takes the place of the real one, if the fault has one.
    pub(super) fn answer(&self) -> Option<Answer> {
        if let Some(status) = self.status.and_then(|status| StatusCode::from_u16(status).ok()) {
            let code = self.code.unwrap_or(Code::INTERNAL);
            let message = self.message.clone().unwrap_or_else(|| "a fault asked for this answer".to_owned());
            let retry_after = self.retry_after_s.map(Duration::from_secs);
            return Some(Answer::from(&Refusal::Fault { status, code, message, retry_after }));
        }
        if let Some(to) = &self.redirect {
            return Some(Answer::empty(StatusCode::TEMPORARY_REDIRECT).with_text(LOCATION, to));
        }
        self.oversized_bytes.map(oversized)
    }

    fn check(&self) -> Result<(), FaultError> {
        let range = |field, value, allowed: String| Err(FaultError::Range { field, value, allowed });
        if let Some(status) = self.status.filter(|status| !(400..=599).contains(status)) {
            return range("status", status.into(), "400 to 599".to_owned());
        }
        for (field, value) in [("latency_ms", self.latency_ms), ("body_delay_ms", self.body_delay_ms)] {
            if value > DELAY_MS_MAX {
                return range(field, value, format!("0 to {DELAY_MS_MAX}"));
            }
        }
        match self.oversized_bytes.filter(|bytes| *bytes > OVERSIZED_MAX) {
            Some(bytes) => range("oversized_bytes", u64::try_from(bytes).unwrap_or(u64::MAX), format!("0 to {OVERSIZED_MAX}")),
            None => Ok(()),
        }
    }
}

fn oversized(bytes: usize) -> Answer {
    const FRAME: (&str, &str) = ("{\"value\":[],\"filler\":\"", "\"}");
    let filler = bytes.saturating_sub(FRAME.0.len() + FRAME.1.len());
    Answer::rendered(StatusCode::OK, format!("{}{}{}", FRAME.0, "x".repeat(filler), FRAME.1).into())
}

/// All faults ordered.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// So that requests in a world without faults pass without a lock.
    count: AtomicUsize,
    ordered: Mutex<Vec<Fault>>,
}

impl Faults {
    /// Orders one more.
    ///
    /// # Errors
    /// When a number is out of range or too many are ordered.
    pub(super) async fn order(&self, fault: Fault) -> Result<(), FaultError> {
        fault.check()?;
        let mut ordered = self.ordered.lock().await;
        if ordered.len() >= FAULTS_MAX {
            return Err(FaultError::TooMany);
        }
        ordered.push(fault);
        self.count.store(ordered.len(), Ordering::Release);
        Ok(())
    }

    /// Forgets all.
    pub(super) async fn clear(&self) {
        let mut ordered = self.ordered.lock().await;
        ordered.clear();
        self.count.store(0, Ordering::Release);
    }

    /// The first fault that waits for this request; it is used up by it.
    pub(super) async fn take(&self, method: &Method, path: &str, address: &Address) -> Option<Fault> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut ordered = self.ordered.lock().await;
        let fault = ordered.iter_mut().find(|fault| fault.times > 0 && fault.wanted.fits(method, path, address))?;
        fault.times -= 1;
        let taken = fault.clone();
        ordered.retain(|fault| fault.times > 0);
        self.count.store(ordered.len(), Ordering::Release);
        Some(taken)
    }
}
