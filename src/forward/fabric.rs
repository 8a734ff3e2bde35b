//! A private cloud's fabric: one errand out, one JSON document in.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::{AnswerBody, Backend, ForwardError};
use crate::arm::action::Method;
use crate::arm::percent;
use crate::clock::Timestamp;
use crate::ids::{CloudId, StampId};
use crate::pipeline::{AssertionError, AssertionSigner, Context, Errand, OwnRequest, Task};
use crate::vmm;

/// A page of a thousand machines is about 1 MiB.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// For the body of an answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// A fabric as one worker sees it.
#[derive(Debug)]
pub struct Fabric {
    backend: Backend,
    signer: Arc<AssertionSigner>,
    /// Held while it is read, so that it is read once by all who want it.
    catalogue: Mutex<Option<(Instant, Arc<Catalogue>)>>,
}

/// Why a fabric did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum FabricError {
    /// The request could not be signed.
    #[error("the request could not be signed for the fabric")]
    Assertion(#[from] AssertionError),
    /// It could not be asked, or did not answer.
    #[error("{0}")]
    Forward(#[from] ForwardError),
    /// It refuses.
    #[error("{}", said(.problem))]
    Refused {
        /// Its status, 400 to 499.
        status: StatusCode,
        /// Why, in its words.
        problem: vmm::Problem,
    },
}

fn said(problem: &vmm::Problem) -> String {
    match problem.recommended_action.is_empty() {
        true => format!("the fabric refuses ({}): {}", problem.code, problem.message.trim_end_matches('.')),
        false => format!(
            "the fabric refuses ({}): {}; {}",
            problem.code,
            problem.message.trim_end_matches('.'),
            problem.recommended_action.trim_end_matches('.')
        ),
    }
}

impl Fabric {
    /// The fabric behind this backend; `signer` signs for its audience.
    #[must_use]
    pub fn new(backend: Backend, signer: Arc<AssertionSigner>) -> Self {
        Self { backend, signer, catalogue: Mutex::default() }
    }

    /// Has something done for a permitted request.
    ///
    /// # Errors
    /// When it is refused, or there is no answer; the error says whether it may have been done.
    pub async fn ask<T: DeserializeOwned>(&self, request: &OwnRequest, task: Task<'_>, context: &Context<'_>) -> Result<T, FabricError> {
        self.run(&request.errand(task, &self.signer, context)?).await
    }

    /// Has something done for nobody but the gateway.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub async fn ask_for_gateway<T: DeserializeOwned>(&self, task: Task<'_>, now: Timestamp) -> Result<T, FabricError> {
        self.run(&task.of_the_gateway(&self.signer, now)?).await
    }

    async fn run<T: DeserializeOwned>(&self, errand: &Errand) -> Result<T, FabricError> {
        let (status, body) = read(self.backend.run(errand).await?).await?;
        if status.is_success() {
            // What has no document to answer with is answered with null.
            let text: &[u8] = if body.is_empty() { b"null" } else { &body };
            return serde_json::from_slice(text).map_err(|_cause| ForwardError::Unreadable.into());
        }
        match status.as_u16() {
            401 => Err(ForwardError::Refused.into()),
            503 => Err(ForwardError::Busy.into()),
            400..=499 => match serde_json::from_slice::<vmm::Refusal>(&body) {
                Ok(refusal) => Err(FabricError::Refused { status, problem: refusal.error }),
                Err(_cause) => Err(ForwardError::Unreadable.into()),
            },
            other => Err(ForwardError::Unexpected { status: other }.into()),
        }
    }
}

async fn read(answer: Response<AnswerBody>) -> Result<(StatusCode, Bytes), ForwardError> {
    let (head, body) = answer.into_parts();
    let collected = timeout(ANSWER_TIME_MAX, Limited::new(body, ANSWER_BYTES_MAX).collect()).await;
    let silent = |_elapsed| ForwardError::Silent { waited_ms: ANSWER_TIME_MAX.as_millis() };
    let bytes = collected.map_err(silent)?.map_err(|_cause| ForwardError::Unreadable)?.to_bytes();
    Ok((head.status, bytes))
}

/// What a fabric offers, read as a whole: it changes rarely.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Its stamps, by name.
    pub stamps: Vec<vmm::Stamp>,
    /// Its clouds, by name.
    pub clouds: Vec<vmm::Cloud>,
    /// Its networks, by name.
    pub networks: Vec<vmm::LogicalNetwork>,
    /// Its templates, by name.
    pub templates: Vec<vmm::Template>,
}

impl Catalogue {
    /// The stamp of this id.
    #[must_use]
    pub fn stamp(&self, id: StampId) -> Option<&vmm::Stamp> {
        self.stamps.iter().find(|stamp| stamp.id == id)
    }

    /// The cloud of this id.
    #[must_use]
    pub fn cloud(&self, id: CloudId) -> Option<&vmm::Cloud> {
        self.clouds.iter().find(|cloud| cloud.id == id)
    }

    /// The cloud of this name, in any case.
    #[must_use]
    pub fn cloud_named(&self, name: &str) -> Option<&vmm::Cloud> {
        self.clouds.iter().find(|cloud| cloud.name.eq_ignore_ascii_case(name))
    }
}

/// How long what a fabric offers is taken to be the same.
const CATALOGUE_TIME_MAX: Duration = Duration::from_secs(10);

impl Fabric {
    /// What it offers, as it was at most ten seconds ago.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn catalogue(&self, now: Timestamp) -> Result<Arc<Catalogue>, FabricError> {
        let mut kept = self.catalogue.lock().await;
        if let Some((read_at, catalogue)) = &*kept
            && read_at.elapsed() < CATALOGUE_TIME_MAX
        {
            return Ok(Arc::clone(catalogue));
        }
        let catalogue = Arc::new(Catalogue {
            stamps: self.all("/stamps", now).await?,
            clouds: self.all("/clouds", now).await?,
            networks: self.all("/networks", now).await?,
            templates: self.all("/templates", now).await?,
        });
        // What is the same as before stays the very same, so that whoever depends on it need not compare it.
        let before = kept.take().map(|(_, before)| before).filter(|before| **before == *catalogue);
        let catalogue = before.unwrap_or(catalogue);
        *kept = Some((Instant::now(), Arc::clone(&catalogue)));
        Ok(catalogue)
    }

    /// All pages of a list, as the administrator of the fabric.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn all<T: DeserializeOwned>(&self, path: &str, now: Timestamp) -> Result<Vec<T>, FabricError> {
        self.all_of(path, "", now).await
    }

    /// All pages of what a filter leaves of a list, as the administrator of the fabric.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub async fn all_of<T: DeserializeOwned>(&self, path: &str, filter: &str, now: Timestamp) -> Result<Vec<T>, FabricError> {
        let (mut found, mut query) = (Vec::new(), format!("top={PAGE}&{filter}"));
        for _ in 0..PAGES_MAX {
            let task = Task {
                method: Method::Get,
                path,
                query: &query,
                body: Bytes::new(),
                connection: &vmm::Connection::Administrator {},
                holder: None,
            };
            let page: vmm::Page<T> = self.ask_for_gateway(task, now).await?;
            found.extend(page.value);
            match page.next {
                Some(next) => query = format!("top={PAGE}&{filter}&after={}", percent::encode(&next)),
                None => return Ok(found),
            }
        }
        Err(ForwardError::AnswerTooLarge { max: PAGE * PAGES_MAX }.into())
    }
}

/// Things on a page.
pub const PAGE: usize = 1000;
/// Pages of a list that is read as a whole.
pub const PAGES_MAX: usize = 200;
