//! The `api-version` of a query string. The rest of the query is forwarded unread.

use std::borrow::Cow;
use std::fmt;

use super::percent;

/// How much of a refused value an error shows, in characters.
const SHOWN_MAX: usize = 64;

/// A well-formed API version: `YYYY-MM-DD`, optionally with a suffix such as `-preview`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ApiVersion(Box<str>);

/// Why a request has no usable API version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiVersionError {
    /// More than one; backends differ in which of them they take.
    #[error("the query has more than one `api-version`; send exactly one")]
    Doubled,
    /// Not a date with an optional suffix.
    #[error("the api-version `{value}` is malformed; expected the form 2024-11-01 or 2024-11-01-preview")]
    Malformed {
        /// The value as sent, shortened, with unprintable characters escaped.
        value: String,
    },
    /// None, or an empty one.
    #[error("the query has no `api-version`; add one such as `?api-version=2024-11-01`")]
    Missing,
}

impl ApiVersion {
    /// Reads the query string of a request target, without the question mark.
    ///
    /// # Errors
    /// When there is no `api-version`, more than one in any spelling, or one that is not a date with an optional suffix.
    pub fn from_query(query: &str) -> Result<Self, ApiVersionError> {
        let mut values = query.split('&').filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            is_api_version(key).then_some(value)
        });
        let value = values.next().filter(|value| !value.is_empty()).ok_or(ApiVersionError::Missing)?;
        if values.next().is_some() {
            return Err(ApiVersionError::Doubled);
        }
        let decoded = percent::decode(value).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        match decoded {
            Some(version) if is_version(&version) => Ok(Self(version.into())),
            Some(_) | None => {
                Err(ApiVersionError::Malformed { value: value.chars().take(SHOWN_MAX).flat_map(char::escape_default).collect() })
            }
        }
    }

    /// The version, when the text is one.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        is_version(text).then(|| Self(text.into()))
    }

    /// The version as it was sent, decoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The first value of a key of the query, decoded; none for a key that is not there or a value that is no text.
#[must_use]
pub fn value(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.into_iter().find(|(key, _)| is_named(key, name))?;
    // In a query a plus stands for a blank. Source: WHATWG URL, application/x-www-form-urlencoded.
    let value = value.replace('+', " ");
    percent::decode(&value).and_then(|bytes| String::from_utf8(bytes.into_owned()).ok())
}

/// Whether a key of the query, as it was sent, is this one.
#[must_use]
pub fn is_named(key: &str, name: &str) -> bool {
    percent::decode(key).is_some_and(|key| key.eq_ignore_ascii_case(name.as_bytes()))
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_api_version(key: &str) -> bool {
    let decoded = percent::decode(key).unwrap_or(Cow::Borrowed(key.as_bytes()));
    decoded.eq_ignore_ascii_case(b"api-version")
}

fn is_version(text: &str) -> bool {
    let mut parts = text.splitn(4, '-');
    let mut number = |digits: usize, last: u16| {
        let part = parts.next().filter(|part| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()));
        part.and_then(|part| part.parse::<u16>().ok()).is_some_and(|number| (1..=last).contains(&number))
    };
    let is_date = number(4, 9999) && number(2, 12) && number(2, 31);
    is_date && parts.next().is_none_or(is_suffix)
}

fn is_suffix(text: &str) -> bool {
    !text.is_empty() && text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: &Result<&str, ApiVersionError>) {
        let version = ApiVersion::from_query(query);
        assert_eq!(version.as_ref().map(ApiVersion::as_str), expected.as_ref().copied(), "{query}");
        assert_eq!(version.map(|version| version.to_string()), expected.clone().map(str::to_owned), "{query}");
    }

    fn malformed(value: &str) -> Result<&'static str, ApiVersionError> {
        Err(ApiVersionError::Malformed { value: value.to_owned() })
    }

    #[test]
    fn one_well_formed_version_is_read_whatever_its_spelling() {
        check("api-version=2024-11-01", &Ok("2024-11-01"));
        check("$expand=tags&API-Version=2020-02-01-preview", &Ok("2020-02-01-preview"));
        check("api%2Dversion=2015-11-01%2dprivatepreview", &Ok("2015-11-01-privatepreview"));
        check("api-version=2014-04-01-alpha&x", &Ok("2014-04-01-alpha"));
    }

    #[test]
    fn a_missing_or_doubled_version_is_refused() {
        check("", &Err(ApiVersionError::Missing));
        check("api-version", &Err(ApiVersionError::Missing));
        check("api-version=", &Err(ApiVersionError::Missing));
        check("x-api-version=2024-11-01", &Err(ApiVersionError::Missing));
        check("api-version=2024-11-01&api-version=2024-11-01", &Err(ApiVersionError::Doubled));
        check("api-version=2024-11-01&Api%2dVersion=2019-01-01", &Err(ApiVersionError::Doubled));
    }

    #[test]
    fn what_is_not_a_date_is_refused() {
        for value in ["latest", "2024-11", "2024-13-01", "2024-00-10", "2024-11-32", "24-11-01", "2024-11-01-", "2024-11-01-a b", "1.0"] {
            check(&format!("api-version={value}"), &malformed(value));
        }
        check("api-version=%zz", &malformed("%zz"));
    }
}
