//! One request as the handlers see it: authenticated, addressed, its body read. And what they make of it.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::Method;

use crate::clock::Timestamp;

use super::address;
use super::answer::Answer;
use super::assertion::Actor;
use super::operations::Failure;
use super::refusal::Refusal;
use super::resource::{Document, Resource};
use super::world::Change;

/// What holds for every request.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Without a slash at the end; operation and page URLs begin with it.
    pub(super) base_url: String,
    /// How long long-running operations take.
    pub(super) operation_time: Duration,
}

/// One request.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) method: &'a Method,
    /// As it was written.
    pub(super) path: &'a str,
    pub(super) query: Query<'a>,
    pub(super) api_version: &'a str,
    pub(super) if_match: Option<&'a str>,
    pub(super) if_none_match: Option<&'a str>,
    pub(super) actor: &'a Actor,
    pub(super) settings: &'a Settings,
    pub(super) now: Timestamp,
    /// Empty when the request had no body.
    pub(super) body: Option<Document>,
    /// A fault asks for the operation to fail.
    pub(super) failure: Option<&'a Failure>,
    /// A fault asks for operation URLs on another host.
    pub(super) foreign_location: Option<&'a str>,
    /// A fault asks for an empty page with a link to the real one.
    pub(super) empty_page: bool,
}

/// What a handler makes of a request: an answer, and the changes that must be stored before it is given.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) answer: Answer,
    pub(super) changes: Vec<Change>,
}

impl From<Answer> for Plan {
    fn from(answer: Answer) -> Self {
        Self { answer, changes: Vec::new() }
    }
}

/// How many a page holds when `$top` does not ask for fewer.
const PAGE_MAX: usize = 1_000;

impl Call<'_> {
    /// The object that was sent.
    ///
    /// # Errors
    /// When the request had no body.
    pub(super) fn document(&self) -> Result<&Document, Refusal> {
        self.body.as_ref().ok_or_else(|| Refusal::Content("it is empty; send a JSON object".to_owned()))
    }

    /// `$top`, or as many as a page holds.
    ///
    /// # Errors
    /// When it is no positive number.
    pub(super) fn page_size(&self) -> Result<usize, Refusal> {
        let refused = || Refusal::Query { parameter: "$top", expected: "allowed: a whole number from 1" };
        match self.query.get("$top").filter(|top| !top.is_empty()) {
            None => Ok(PAGE_MAX),
            Some(top) => top.parse().ok().filter(|top| *top > 0).map(|top: usize| top.min(PAGE_MAX)).ok_or_else(refused),
        }
    }

    /// The key after which the page begins.
    ///
    /// # Errors
    /// When the token is not one of ours.
    pub(super) fn cursor(&self) -> Result<Option<String>, Refusal> {
        let refused = || Refusal::Query { parameter: "$skipToken", expected: "follow nextLink as it is" };
        let Some(token) = self.query.get("$skiptoken") else { return Ok(None) };
        let bytes = URL_SAFE_NO_PAD.decode(&*token).ok().ok_or_else(refused)?;
        let text = String::from_utf8(bytes).ok().ok_or_else(refused)?;
        let key = text.strip_prefix(TOKEN_PREFIX).ok_or_else(refused)?;
        Ok(Some(key.to_owned()))
    }

    /// The URL of the page after `cursor`: this request with another `$skipToken`.
    pub(super) fn next_link(&self, cursor: &str) -> String {
        let token = URL_SAFE_NO_PAD.encode(format!("{TOKEN_PREFIX}{cursor}"));
        let kept: Vec<&str> = self.query.without("$skiptoken").collect();
        format!("{}{}?{}&%24skipToken={token}", self.settings.base_url, self.path, kept.join("&"))
    }

    /// Judges `If-Match` and `If-None-Match` of a write.
    ///
    /// # Errors
    /// When one of them is not met.
    pub(super) fn check_preconditions(&self, existing: Option<&Resource>, id: &str) -> Result<(), Refusal> {
        let failed = |header| Err(Refusal::Precondition { header, id: id.to_owned() });
        if let Some(wanted) = self.if_match
            && !existing.is_some_and(|existing| names_etag(wanted, &existing.stored.etag))
        {
            return failed("If-Match");
        }
        if let (Some(unwanted), Some(existing)) = (self.if_none_match, existing)
            && names_etag(unwanted, &existing.stored.etag)
        {
            return failed("If-None-Match");
        }
        Ok(())
    }
}

/// Tells our tokens from others.
const TOKEN_PREFIX: &str = "after:";

/// Whether an `If-Match` list names this tag. Source: RFC 9110 §13.1.1; weak tags count, as in the anchor.
pub(super) fn names_etag(list: &str, etag: &str) -> bool {
    list.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The query string, read where it is needed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a>(pub(super) &'a str);

impl<'a> Query<'a> {
    /// The first value of a parameter, its name in lower case.
    pub(super) fn get(&self, name: &str) -> Option<Cow<'a, str>> {
        self.pairs().find(|pair| key_is(pair, name)).map(|pair| decoded(pair.split_once('=').map_or("", |(_, value)| value)))
    }

    fn without(self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.pairs().filter(move |pair| !key_is(pair, name))
    }

    fn pairs(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.0.split('&').filter(|pair| !pair.is_empty())
    }
}

fn key_is(pair: &str, name: &str) -> bool {
    let key = pair.split_once('=').map_or(pair, |(key, _)| key);
    key.eq_ignore_ascii_case(name) || (key.contains('%') && decoded(key).eq_ignore_ascii_case(name))
}

fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    // Slashes are common in filters, so each piece between them is decoded by itself.
    let spaced = text.replace('+', " ").replace("%2F", "/").replace("%2f", "/");
    let pieces: Option<Vec<String>> = spaced.split('/').map(address::decode).collect();
    Cow::Owned(pieces.map_or(spaced, |pieces| pieces.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, name: &str, expected: Option<&str>) {
        assert_eq!(Query(query).get(name).as_deref(), expected, "{query}");
    }

    #[test]
    fn parameters_are_found_in_every_spelling() {
        check("api-version=2024-01-01&$top=5", "$top", Some("5"));
        check("API-Version=2024-01-01", "api-version", Some("2024-01-01"));
        check("%24Top=7", "$top", Some("7"));
        check("$filter=resourceType%20eq%20'Microsoft.Compute%2Fdisks'", "$filter", Some("resourceType eq 'Microsoft.Compute/disks'"));
        check("$filter=a+eq+'b'", "$filter", Some("a eq 'b'"));
        check("flag", "flag", Some(""));
        check("", "api-version", None);
    }

    #[test]
    fn etag_lists_are_compared_tag_by_tag() {
        for (list, expected) in [("*", true), ("\"a\"", true), ("W/\"a\"", true), ("\"b\", \"a\"", true), ("\"b\"", false), ("a", false)] {
            assert_eq!(names_etag(list, "\"a\""), expected, "{list}");
        }
    }
}
