//! `POST /batch`: requests in the body of one, carried out one after another as if each had been sent by itself.
//!
//! The form is the one that clients of Azure Resource Manager send and read; it is not documented there.

use std::time::Duration;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::body::{self, BodyError};
use super::{Carry, Desk, OwnAnswer, OwnError, PartAnswer, Sent};
use crate::clock::Clock;
use crate::pipeline::{Carried, OwnRequest};

/// Requests in one batch. Source: Azure Resource Manager, as clients of it know; more are answered there by an operation to poll.
const REQUESTS_MAX: usize = 20;
/// Bytes of all answers together.
const ANSWERS_BYTES_MAX: usize = 4 << 20;
/// How long after the batch came the last of its requests may begin.
const BEGIN_TIME_MAX: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    requests: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Item {
    http_method: String,
    name: Option<String>,
    url: Option<String>,
    relative_url: Option<String>,
    #[serde(default)]
    request_header_details: Option<Map<String, Value>>,
    #[serde(default)]
    headers: Option<Map<String, Value>>,
    #[serde(default)]
    content: Option<Value>,
}

impl Item {
    /// The one URL that it has.
    fn url(&self) -> Option<&str> {
        let given = |url: &'_ Option<String>| url.as_deref().is_some_and(|url| !url.is_empty());
        match (given(&self.url), given(&self.relative_url)) {
            (true, false) => self.url.as_deref(),
            (false, true) => self.relative_url.as_deref(),
            (true, true) | (false, false) => None,
        }
    }

    /// Its header fields, if all of them are texts.
    fn fields(&self) -> Option<Vec<(&str, &str)>> {
        let all = [&self.request_header_details, &self.headers].into_iter().flatten().flatten();
        all.map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect()
    }
}

/// Carries out a batch.
pub(super) async fn carry_out(request: &OwnRequest, body: Sent<'_>, desk: &Desk<'_>) -> Result<OwnAnswer, OwnError> {
    let Batch { requests } = body::read_as(body).await?;
    if requests.is_empty() || requests.len() > REQUESTS_MAX {
        let problem = format!("a batch has 1 to {REQUESTS_MAX} requests, and this one has {}", requests.len());
        return Err(BodyError::Json(problem).into());
    }
    let (mut responses, mut left) = (Vec::new(), ANSWERS_BYTES_MAX);
    let until = Clock::instant() + BEGIN_TIME_MAX;
    for item in requests {
        let answer = match Clock::instant() < until && left > 0 {
            true => carry(&item, request, left, desk).await,
            false => PartAnswer::error(StatusCode::SERVICE_UNAVAILABLE, "ServerBusy", NOT_BEGUN),
        };
        left = left.saturating_sub(answer.length);
        responses.push(respond(&item, answer));
    }
    Ok(OwnAnswer::ok(json!({ "responses": responses })))
}

const NOT_BEGUN: &str =
    "The requests before this one took all the time, or gave all the bytes, that a batch may; nothing was done. Send it again.";

async fn carry(item: &Item, request: &OwnRequest, answer_bytes_max: usize, desk: &Desk<'_>) -> PartAnswer {
    let (url, fields) = (item.url(), item.fields());
    let fault = match (url, &fields) {
        (None, _) => Some("it needs either `url` or `relativeUrl`"),
        (Some(_), None) => Some("a header of it is no text"),
        (Some(_), Some(_)) => None,
    };
    let fields = fields.unwrap_or_default();
    let carried = Carried { method: &item.http_method, url: url.unwrap_or_default(), fields: &fields, fault };
    let body = item.content.as_ref().filter(|content| !content.is_null());
    desk.parts.carry(Carry { request, carried, body, answer_bytes_max }).await
}

fn respond(item: &Item, answer: PartAnswer) -> Value {
    let headers: Map<String, Value> = answer.headers.into_iter().map(|(name, value)| (name.into(), Value::from(&*value))).collect();
    let mut response = json!({ "httpStatusCode": answer.status.as_u16(), "headers": headers, "content": answer.body });
    if let (Some(name), Some(response)) = (&item.name, response.as_object_mut()) {
        response.insert("name".to_owned(), Value::from(name.as_str()));
    }
    response
}
