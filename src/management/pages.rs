//! Lists in pages, each with the link to the next. Source: Azure Resource Manager RPC, paging.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Value, json};

use super::{OwnAnswer, OwnError};
use crate::arm::query;
use crate::json;
use crate::pipeline::OwnRequest;

/// Resources on one page.
const PAGE_MAX: usize = 200;
/// Bytes of them. The first one is shown however large it is, so that the next page goes on.
pub(super) const PAGE_BYTES_MAX: usize = 1 << 20;
const TOKEN: &str = "$skipToken";

/// The page of a list that is asked for; `show` is called for what is on it and one more at most. A page goes on after the id that the one
/// before ended with, so nothing is shown twice or left out because something else came or went meanwhile.
pub(super) fn paged<T>(
    request: &OwnRequest,
    items: impl IntoIterator<Item = T>,
    id: impl Fn(&T) -> String,
    show: impl Fn(&T) -> Value,
) -> Result<OwnAnswer, OwnError> {
    let (value, end) = page(shown_so_far(request)?.as_deref(), items, id, show);
    let mut page = json!({ "value": value });
    if let (Some(end), Value::Object(members)) = (end, &mut page) {
        members.insert("nextLink".to_owned(), next_link(request, &token(&end)).into());
    }
    Ok(OwnAnswer::ok(page))
}

/// The first items after the id `last`, and the id of the last one of them if there are more.
fn page<T>(
    last: Option<&str>,
    items: impl IntoIterator<Item = T>,
    id: impl Fn(&T) -> String,
    show: impl Fn(&T) -> Value,
) -> (Vec<Value>, Option<String>) {
    let named = items.into_iter().map(|item| (id(&item).to_ascii_lowercase(), item));
    let mut left: Vec<(String, T)> = named.filter(|(id, _)| last.is_none_or(|last| id.as_str() > last)).collect();
    left.sort_by(|(one, _), (other, _)| one.cmp(other));
    let value = fitting(left.iter().take(PAGE_MAX).map(|(_, item)| show(item)));
    let has_more = left.len() > value.len();
    left.truncate(value.len());
    let end = left.pop().map(|(id, _)| id).filter(|_| has_more);
    (value, end)
}

/// As many of the first as fit on a page by their bytes.
pub(super) fn fitting<T: Serialize>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut left = Left::default();
    items.into_iter().take_while(|item| left.takes(item)).collect()
}

/// What a page has left of its bytes.
#[derive(Debug)]
pub(super) struct Left {
    bytes: usize,
    is_empty: bool,
}

impl Default for Left {
    fn default() -> Self {
        Self { bytes: PAGE_BYTES_MAX, is_empty: true }
    }
}

impl Left {
    /// Whether this comes onto the page as well: the first one does, however large it is.
    pub(super) fn takes(&mut self, item: &impl Serialize) -> bool {
        let rest = self.bytes.checked_sub(json::length(item));
        let takes = rest.is_some() || self.is_empty;
        self.bytes = rest.unwrap_or(0);
        self.is_empty = false;
        takes
    }
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// The pages of items that are as many bytes long as said, one after the other, and how many were rendered for each.
    fn pages(lengths: &[usize]) -> Vec<(Vec<usize>, usize)> {
        let rendered = Cell::new(0);
        let id = |number: &usize| format!("/Item/{number:04}");
        let show = |number: &usize| {
            rendered.set(rendered.get() + 1);
            // With its quotation marks.
            Value::from("x".repeat(lengths[*number] - 2))
        };
        let (mut pages, mut last) = (Vec::new(), None::<String>);
        loop {
            rendered.set(0);
            // They come in no order.
            let (value, end) = page(last.as_deref(), (0..lengths.len()).rev(), id, show);
            pages.push((value.iter().map(json::length).collect(), rendered.get()));
            let Some(end) = end else { return pages };
            last = Some(end);
        }
    }

    #[test]
    fn a_page_ends_before_it_has_too_many_bytes_and_the_next_goes_on() {
        const HALF: usize = PAGE_BYTES_MAX / 2;
        assert_eq!(pages(&[HALF, HALF, HALF, HALF, 9]), [(vec![HALF, HALF], 3), (vec![HALF, HALF], 3), (vec![9], 1)]);
        assert_eq!(pages(&[HALF, HALF + 1, 9]), [(vec![HALF], 2), (vec![HALF + 1, 9], 2)]);
    }

    #[test]
    fn what_is_larger_than_a_page_stands_on_one_by_itself() {
        const LARGE: usize = 3 * PAGE_BYTES_MAX;
        assert_eq!(pages(&[LARGE, 9, LARGE, LARGE, 9]), [(vec![LARGE], 2), (vec![9], 2), (vec![LARGE], 2), (vec![LARGE], 2), (vec![9], 1)]);
    }

    #[test]
    fn nothing_is_rendered_that_is_not_on_the_page() {
        let all = pages(&[9; 2 * PAGE_MAX]);
        let counts: Vec<_> = all.iter().map(|(value, rendered)| (value.len(), *rendered)).collect();
        assert_eq!(counts, [(PAGE_MAX, PAGE_MAX); 2]);
        assert_eq!(pages(&[]), [(vec![], 0)]);
    }
}
