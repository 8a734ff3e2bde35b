//! Lists in pages, each with the link to the next. Source: Azure Resource Manager RPC, paging.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{OwnAnswer, OwnError};
use crate::arm::query;
use crate::pipeline::OwnRequest;

/// Resources on one page.
const PAGE_MAX: usize = 200;
const TOKEN: &str = "$skipToken";

/// The page of a list that is asked for. A page goes on after the id that the one before ended with, so nothing is shown twice or left out
/// because something else came or went meanwhile.
pub(super) fn paged(request: &OwnRequest, mut items: Vec<Value>) -> Result<OwnAnswer, OwnError> {
    items.sort_by_cached_key(id);
    if let Some(last) = shown_so_far(request)? {
        items.drain(..items.partition_point(|item| id(item) <= last));
    }
    let is_last = items.len() <= PAGE_MAX;
    items.truncate(PAGE_MAX);
    let next = items.last().filter(|_| !is_last).map(|item| next_link(request, &token(&id(item))));
    let mut page = json!({ "value": items });
    if let (Some(next), Value::Object(members)) = (next, &mut page) {
        members.insert("nextLink".to_owned(), next.into());
    }
    Ok(OwnAnswer::ok(page))
}

fn id(item: &Value) -> String {
    item.get("id").and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase()
}

/// The `$skipToken` for the page after this id.
pub(super) fn token(id: &str) -> String {
    URL_SAFE_NO_PAD.encode(id)
}

/// The id that the page before ended with.
pub(super) fn shown_so_far(request: &OwnRequest) -> Result<Option<String>, OwnError> {
    let Some(token) = query::value(request.query.as_deref().unwrap_or_default(), TOKEN) else { return Ok(None) };
    let id = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    id.map(Some).ok_or_else(foreign)
}

/// A `$skipToken` that no page ended with.
pub(super) fn foreign() -> OwnError {
    OwnError::Parameter { name: TOKEN, problem: "is not one of ours; follow `nextLink` as it stands".to_owned() }
}

/// The URL of this request with another `$skipToken`.
pub(super) fn next_link(request: &OwnRequest, token: &str) -> String {
    let query = request.query.as_deref().unwrap_or_default();
    let is_token = |pair: &&str| pair.split('=').next().is_some_and(|name| query::is_named(name, TOKEN));
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_token(pair)).collect();
    format!("https://{}{}?{}&{TOKEN}={token}", request.authority, request.path.as_str(), kept.join("&"))
}
