//! Reading the body of a request that the gateway carries out itself: bounded in bytes and time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use crate::forward::RequestBody;
use crate::json;

/// Source: Azure Resource Manager, request size.
const BYTES_MAX: usize = 4 << 20;
const TIME_MAX: Duration = Duration::from_secs(30);

/// A body that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
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

/// The body as it came.
pub(super) async fn read(body: RequestBody) -> Result<Bytes, BodyError> {
    let body = match body {
        RequestBody::Client(incoming) => incoming,
        RequestBody::Whole(whole) => return Ok(whole),
    };
    let collected = timeout(TIME_MAX, Limited::new(body, BYTES_MAX).collect()).await.or(Err(BodyError::Slow))?;
    collected.map(http_body_util::Collected::to_bytes).map_err(|cause| match cause.is::<LengthLimitError>() {
        true => BodyError::TooLarge,
        false => BodyError::Cut,
    })
}

/// The body as a JSON document.
pub(super) async fn read_json(body: RequestBody) -> Result<Value, BodyError> {
    json::strict(&read(body).await?).map_err(malformed)
}

/// The body as a JSON document of one form.
pub(super) async fn read_as<T: DeserializeOwned>(body: RequestBody) -> Result<T, BodyError> {
    serde_json::from_value(read_json(body).await?).map_err(malformed)
}

/// The same where there need not be one.
pub(super) async fn read_optional<T: DeserializeOwned>(body: RequestBody) -> Result<Option<T>, BodyError> {
    let bytes = read(body).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    json::strict(&bytes).and_then(serde_json::from_value).map(Some).map_err(malformed)
}

#[expect(clippy::needless_pass_by_value, reason = "it is the end of the error")]
fn malformed(cause: serde_json::Error) -> BodyError {
    BodyError::Json(cause.to_string())
}
