//! What an admin call orders to befall requests: to be held before they are stored or before they are answered, or to be refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};

use super::refused::{Refused, problem};

/// Faults ordered and not yet removed.
const FAULTS_MAX: usize = 100;

/// Where a request is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Point {
    /// It has been done, and its answer is not on the way.
    BeforeAnswer,
    /// It has been read, and nothing of it has been done.
    BeforeStore,
}

/// `POST /mock/fabric/holds` and `POST /mock/fabric/faults`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// Absent: any.
    method: Option<String>,
    /// Absent: any.
    path_prefix: Option<String>,
    /// How many requests; the ones after them pass.
    #[serde(default = "once")]
    times: usize,
    /// Where they are held.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Point>,
    /// With which status they are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// The code of the refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// The message of the refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

const fn once() -> usize {
    1
}

/// Why a fault was not ordered.
#[derive(Debug, thiserror::Error)]
pub(super) enum FaultError {
    #[error("a fault has either `at` or `status`")]
    Effect,
    #[error("`status` is {0}; allowed: 400 to 599")]
    Status(u16),
    #[error("{FAULTS_MAX} faults are ordered already; delete them first")]
    TooMany,
}

#[derive(Debug)]
struct Ordered {
    id: usize,
    fault: Fault,
    /// Requests that it has befallen.
    taken: AtomicUsize,
    /// Requests that are being held now.
    held: AtomicUsize,
    release: watch::Sender<bool>,
}

/// What an admin reads of a fault.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    id: usize,
    #[serde(flatten)]
    fault: Fault,
    taken: usize,
    held: usize,
}

/// Counts a request as held for as long as it lives, which its connection may cut short.
struct Held(Arc<Ordered>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::SeqCst);
    }
}

/// All faults ordered.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// So that requests in a world without faults pass without a lock.
    count: AtomicUsize,
    next: AtomicUsize,
    ordered: Mutex<Vec<Arc<Ordered>>>,
}

impl Faults {
    /// Orders one more; its id.
    ///
    /// # Errors
    /// When its status is none of a refusal, or too many are ordered.
    pub(super) async fn order(&self, fault: Fault) -> Result<usize, FaultError> {
        match (fault.at, fault.status) {
            (Some(_), Some(_)) | (None, None) => return Err(FaultError::Effect),
            (None, Some(status)) if !(400..=599).contains(&status) => return Err(FaultError::Status(status)),
            (None, Some(_)) | (Some(_), None) => {}
        }
        let mut ordered = self.ordered.lock().await;
        if ordered.len() >= FAULTS_MAX {
            return Err(FaultError::TooMany);
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (taken, held, release) = (AtomicUsize::new(0), AtomicUsize::new(0), watch::Sender::new(false));
        ordered.push(Arc::new(Ordered { id, fault, taken, held, release }));
        self.count.store(ordered.len(), Ordering::Release);
        Ok(id)
    }

    /// Lets go what one of them holds, or all, and forgets it; whether there was any.
    pub(super) async fn release(&self, id: Option<usize>) -> bool {
        let mut ordered = self.ordered.lock().await;
        let before = ordered.len();
        ordered.retain(|it| {
            let stays = id.is_some_and(|id| it.id != id);
            if !stays {
                it.release.send_replace(true);
            }
            stays
        });
        self.count.store(ordered.len(), Ordering::Release);
        ordered.len() < before
    }

    pub(super) async fn told(&self) -> Vec<Told> {
        let tell = |it: &Arc<Ordered>| Told {
            id: it.id,
            fault: it.fault.clone(),
            taken: it.taken.load(Ordering::SeqCst),
            held: it.held.load(Ordering::SeqCst),
        };
        self.ordered.lock().await.iter().map(tell).collect()
    }

    /// Waits for as long as a request is to be held here.
    pub(super) async fn pause(&self, point: Point, method: &Method, path: &str) {
        let Some(ordered) = self.take(method, path, |fault| fault.at == Some(point)).await else { return };
        ordered.held.fetch_add(1, Ordering::SeqCst);
        let held = Held(ordered);
        // The sender lives in what is held, so this ends with its release only.
        let _released = held.0.release.subscribe().wait_for(|released| *released).await.is_ok();
    }

    /// Refuses a request that is to be refused.
    ///
    /// # Errors
    /// With the refusal ordered.
    pub(super) async fn refuse(&self, method: &Method, path: &str) -> Result<(), Refused> {
        let Some(ordered) = self.take(method, path, |fault| fault.status.is_some()).await else { return Ok(()) };
        let Fault { status, code, message, .. } = &ordered.fault;
        let status = status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let message = message.as_deref().unwrap_or("a fault asked for this answer");
        Err(Refused { status, problem: problem(code.as_deref().unwrap_or("FaultOrdered"), message, "Delete the fault.") })
    }

    async fn take(&self, method: &Method, path: &str, is_wanted: impl Fn(&Fault) -> bool) -> Option<Arc<Ordered>> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let ordered = self.ordered.lock().await;
        let fits =
            |it: &&Arc<Ordered>| is_wanted(&it.fault) && it.taken.load(Ordering::SeqCst) < it.fault.times && it.fault.fits(method, path);
        let taken = ordered.iter().find(fits)?;
        taken.taken.fetch_add(1, Ordering::SeqCst);
        Some(Arc::clone(taken))
    }
}

impl Fault {
    fn fits(&self, method: &Method, path: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method.as_str()))
            && self.path_prefix.as_ref().is_none_or(|prefix| path.starts_with(prefix.as_str()))
    }
}
