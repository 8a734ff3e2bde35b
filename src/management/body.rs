//! Reading the body of a request that the gateway carries out itself: bounded in bytes and time.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::OwnError;
use crate::bodies::{Crowded, GatherError, Held, NotRead, Reader};
use crate::forward::RequestBody;
use crate::https::Patience;
use crate::json;
use crate::rejection::Rejection;

/// Source: Azure Resource Manager, request size.
const BYTES_MAX: usize = 4 << 20;
const TIME_MAX: Duration = Duration::from_secs(30);

/// A body that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// There is no room for it, or nobody to look into it.
    #[error(transparent)]
    Crowded(#[from] Crowded),
    /// The client did not send all of it.
    #[error("the request body was cut")]
    Cut,
    /// It is no JSON document, or not of the form that is expected.
    #[error("the request body is not the JSON that is expected: {0}")]
    Json(String),
    /// It takes too long.
    #[error("the request body did not arrive within {} s", TIME_MAX.as_secs())]
    Slow,
    /// It is too large.
    #[error("the request body is larger than {BYTES_MAX} bytes")]
    TooLarge,
}

/// A body that was sent, and what reads it.
pub(super) struct Sent<'a> {
    pub(super) body: RequestBody,
    pub(super) reader: Reader<'a>,
    /// What it takes of the room: until the request is answered, for what was read of it is there so long.
    pub(super) held: &'a OnceLock<Held>,
}

impl Sent<'_> {
    /// The body as it came.
    async fn read(self) -> Result<Bytes, BodyError> {
        let incoming = match self.body {
            RequestBody::Client(incoming) => incoming,
            RequestBody::Whole(whole) => return Ok(whole),
        };
        let gathered = self.reader.gather(incoming, BYTES_MAX, Patience::new(TIME_MAX), TIME_MAX).await;
        let gathered = gathered.map_err(|error| match error {
            GatherError::Crowded(crowded) => crowded.into(),
            GatherError::Cut => BodyError::Cut,
            GatherError::Slow => BodyError::Slow,
            GatherError::TooLarge => BodyError::TooLarge,
        });
        let (bytes, held) = gathered?.into_parts();
        self.held.get_or_init(|| held);
        Ok(bytes)
    }
}

/// What the work makes of the body; of a large one, beside the worker.
pub(super) async fn read_with<T: Send + 'static>(
    sent: Sent<'_>,
    work: impl FnOnce(&[u8]) -> Result<T, OwnError> + Send + 'static,
) -> Result<T, OwnError> {
    let reader = sent.reader;
    let bytes = sent.read().await?;
    reader.look(bytes.len(), move || work(&bytes)).await.unwrap_or_else(|cause| Err(not_read(cause)))
}

/// The body as a JSON document.
pub(super) async fn read_json(sent: Sent<'_>) -> Result<Value, OwnError> {
    read_with(sent, |bytes| Ok(json::strict(bytes).map_err(malformed)?)).await
}

/// The body as a JSON document of one form.
pub(super) async fn read_as<T: DeserializeOwned + Send + 'static>(sent: Sent<'_>) -> Result<T, OwnError> {
    read_with(sent, parse).await
}

/// The same where there need not be one.
pub(super) async fn read_optional<T: DeserializeOwned + Send + 'static>(sent: Sent<'_>) -> Result<Option<T>, OwnError> {
    read_with(sent, |bytes| if bytes.is_empty() { Ok(None) } else { parse(bytes).map(Some) }).await
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, OwnError> {
    Ok(json::strict(bytes).and_then(serde_json::from_value).map_err(malformed)?)
}

fn not_read(cause: NotRead) -> OwnError {
    match cause {
        NotRead::Crowded(crowded) => BodyError::Crowded(crowded).into(),
        NotRead::Panicked(panicked) => OwnError::Refused(Box::new(Rejection::Panicked(panicked))),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is the end of the error")]
fn malformed(cause: serde_json::Error) -> BodyError {
    BodyError::Json(cause.to_string())
}
