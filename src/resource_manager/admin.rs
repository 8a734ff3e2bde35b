//! The admin calls below `/mock/`: faults, snapshot, restore, reset, and what arrived.
//!
//! Whoever mounts this decides who may call it; it must never be reachable through the gateway's public listener.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;

use super::ResourceManager;
use super::database::{StoreError, WriteError};
use super::faults::{Fault, FaultError};
use super::seed::{Home, SeedError};
use super::store::{Row, rows};
use super::world::{Change, Subscription, World};
use crate::arm::error::ErrorBody;

/// A snapshot of a large world.
const SNAPSHOT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Names the form of a snapshot.
const SNAPSHOT_SCHEMA: &str = "steward.resource-manager/1";

/// What `POST /mock/snapshot` gives and `POST /mock/restore` takes.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Snapshot {
    schema: String,
    rows: Vec<Row>,
}

/// Why an admin call was refused.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The body could not be read.
    #[error("the body is larger than {SNAPSHOT_BYTES_MAX} bytes or ended early")]
    Body,
    /// A fault that cannot be.
    #[error("{0}")]
    Fault(String),
    /// The body is not the JSON that the call takes.
    #[error("the body is not readable: {0}")]
    Json(#[from] serde_json::Error),
    /// No such call.
    #[error("`{0}` is no admin call; known: POST and DELETE /mock/faults, GET /mock/requests, POST /mock/{{reset,restore,snapshot}}")]
    Unknown(String),
    /// A snapshot of another program or version.
    #[error("the snapshot has schema `{0}`; expected `{SNAPSHOT_SCHEMA}`")]
    Schema(String),
    /// A snapshot with a row that this program cannot read.
    #[error("the snapshot cannot be restored: {0}")]
    Snapshot(#[from] StoreError),
    /// The seed is not usable.
    #[error("the seed cannot be sown: {0}")]
    Seed(#[from] SeedError),
    /// The store refused.
    #[error("the state could not be written")]
    Store,
}

impl From<FaultError> for AdminError {
    fn from(error: FaultError) -> Self {
        Self::Fault(error.to_string())
    }
}

impl From<WriteError> for AdminError {
    fn from(error: WriteError) -> Self {
        tracing::error!(%error, "the mock's state could not be written");
        Self::Store
    }
}

impl AdminError {
    const fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unknown(_) => (StatusCode::NOT_FOUND, "NotFound"),
            Self::Store => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
            Self::Body | Self::Fault(_) | Self::Json(_) | Self::Schema(_) | Self::Seed(_) | Self::Snapshot(_) => {
                (StatusCode::BAD_REQUEST, "InvalidRequestContent")
            }
        }
    }
}

impl ResourceManager {
    /// Answers an admin call; its path begins with `/mock/`.
    pub async fn admin<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: hyper::body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self.administer(request).await {
            Ok(answer) => answer,
            Err(error) => {
                let (status, code) = error.status_and_code();
                json_response(status, crate::json::text(&ErrorBody::new(code, error.to_string())))
            }
        }
    }

    async fn administer<B>(&self, request: Request<B>) -> Result<Response<Full<Bytes>>, AdminError>
    where
        B: hyper::body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let read = async {
            let collected = Limited::new(body, SNAPSHOT_BYTES_MAX).collect().await;
            collected.map(http_body_util::Collected::to_bytes).ok().ok_or(AdminError::Body)
        };
        match (&head.method, head.uri.path()) {
            (&Method::GET, "/mock/requests") => Ok(json_response(StatusCode::OK, self.journal.told().to_string())),
            (&Method::POST, "/mock/faults") => {
                let fault: Fault = serde_json::from_slice(&read.await?)?;
                self.faults.order(fault).await?;
                Ok(json_response(StatusCode::CREATED, json!({}).to_string()))
            }
            (&Method::DELETE, "/mock/faults") => {
                self.faults.clear().await;
                Ok(json_response(StatusCode::OK, json!({}).to_string()))
            }
            (&Method::POST, "/mock/snapshot") => Ok(json_response(StatusCode::OK, self.snapshot()?)),
            (&Method::POST, "/mock/restore") => {
                self.restore(&read.await?).await?;
                Ok(json_response(StatusCode::OK, json!({}).to_string()))
            }
            (&Method::POST, "/mock/reset") => {
                self.reset().await?;
                Ok(json_response(StatusCode::OK, json!({}).to_string()))
            }
            (method, path) => Err(AdminError::Unknown(format!("{method} {path}"))),
        }
    }

    /// Injects a fault, as `POST /mock/faults` does.
    ///
    /// # Errors
    /// When the text is not the JSON of a fault, or a number in it is out of range.
    pub async fn inject(&self, fault: &str) -> Result<(), AdminError> {
        Ok(self.faults.order(serde_json::from_str(fault)?).await?)
    }

    /// All state as JSON text.
    ///
    /// # Errors
    /// When a value does not serialise, which none here does.
    pub fn snapshot(&self) -> Result<String, AdminError> {
        let changes = self.world.borrow().changes();
        let snapshot = Snapshot { schema: SNAPSHOT_SCHEMA.to_owned(), rows: rows(&changes)? };
        Ok(serde_json::to_string(&snapshot)?)
    }

    /// Puts a snapshot in the place of all state.
    ///
    /// # Errors
    /// When it is not a snapshot of this program or cannot be written; then nothing has changed.
    pub async fn restore(&self, snapshot: &[u8]) -> Result<(), AdminError> {
        let Snapshot { schema, rows } = serde_json::from_slice(snapshot)?;
        if schema != SNAPSHOT_SCHEMA {
            return Err(AdminError::Schema(schema));
        }
        let changes: Vec<Change> = rows.into_iter().map(Row::change).collect::<Result<_, _>>()?;
        self.replace(changes).await
    }

    /// Takes in subscriptions that it does not know yet, empty and enabled: policies may name new ones at any time.
    ///
    /// # Errors
    /// When the state cannot be written; then nothing has changed.
    pub async fn adopt(&self, subscriptions: &BTreeMap<String, Home>) -> Result<(), AdminError> {
        let writer = self.writer.lock().await;
        let changes = {
            let world = self.world.borrow();
            let unknown = subscriptions.iter().filter(|(_, home)| world.subscription(home.id).is_none());
            unknown.map(|(name, home)| Change::Subscribe(Arc::new(Subscription::enabled(name, *home)))).collect()
        };
        Ok(self.store(&writer, changes).await?)
    }

    /// Goes back to the seed; without one to an empty world. Faults and journal are emptied too.
    ///
    /// # Errors
    /// When the state cannot be written; then nothing has changed.
    pub async fn reset(&self) -> Result<(), AdminError> {
        let changes = self.seed.as_ref().map(|seed| seed.changes(self.clock.now())).transpose()?.unwrap_or_default();
        self.replace(changes).await?;
        self.faults.clear().await;
        self.journal.clear();
        Ok(())
    }

    async fn replace(&self, changes: Vec<Change>) -> Result<(), AdminError> {
        let writer = self.writer.lock().await;
        writer.replace(&changes).await?;
        let mut world = World::default();
        changes.into_iter().for_each(|change| world.apply(change));
        self.world.send_replace(world);
        Ok(())
    }
}

fn json_response(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}
