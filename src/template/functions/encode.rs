//! Base64, URIs and their parts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::error::Reason;
use super::super::json;
use super::Arguments;
use super::strings::{bounded, check_length};

pub(super) fn base64(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    bounded(STANDARD.encode(arguments.str(0)?))
}

fn decoded(arguments: &Arguments<'_>, text: &str) -> Result<String, Reason> {
    let bytes = STANDARD.decode(text).map_err(|_quotes_the_text| arguments.fault("the text is not base64"))?;
    String::from_utf8(bytes).map_err(|_quotes_the_text| arguments.fault("the base64 holds no UTF-8 text"))
}

pub(super) fn base64_to_string(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    decoded(arguments, arguments.str(0)?).map(Value::from)
}

pub(super) fn base64_to_json(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let text = decoded(arguments, arguments.str(0)?)?;
    crate::json::strict_within(crate::json::READER_DEPTH_MAX, text.as_bytes())
        .map_err(|cause| arguments.fault(format!("the text is {}", json::reason(&cause))))
}

pub(super) fn data_uri(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    bounded(format!("data:text/plain;charset=utf8;base64,{}", STANDARD.encode(arguments.str(0)?)))
}

pub(super) fn data_uri_to_string(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let text = arguments.str(0)?;
    let (head, data) =
        text.strip_prefix("data:").and_then(|rest| rest.split_once(',')).ok_or_else(|| arguments.fault("the text is no data URI"))?;
    if head.ends_with(";base64") { decoded(arguments, data).map(Value::from) } else { unescaped(arguments, data) }
}

pub(super) fn uri_component(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let text = arguments.str(0)?;
    check_length(text.len())?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    let escaped = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    bounded(text.bytes().map(escaped).collect::<String>())
}

pub(super) fn uri_component_to_string(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    unescaped(arguments, arguments.str(0)?)
}

/// A `%` that two hexadecimal digits do not follow stays.
fn unescaped(arguments: &Arguments<'_>, text: &str) -> Result<Value, Reason> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).filter(|hex| *first == b'%' && hex.iter().all(u8::is_ascii_hexdigit));
        let byte = hex.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = tail.get(if byte.is_some() { 2 } else { 0 }..).unwrap_or_default();
    }
    String::from_utf8(bytes).map(Value::from).map_err(|_quotes_the_text| arguments.fault("what is escaped is no UTF-8 text"))
}

/// `uri(base, relative)`. Source: RFC 3986 §5.2.
pub(super) fn uri(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let (base, relative) = (arguments.str(0)?, arguments.str(1)?);
    check_length(base.len().saturating_add(relative.len()))?;
    if split_scheme(relative).is_some() {
        return bounded(relative);
    }
    let (scheme, rest) = split_scheme(base).ok_or_else(|| arguments.fault("the base is no absolute URI such as https://example.com/"))?;
    let rest = rest.strip_prefix("//").ok_or_else(|| arguments.fault("the base has no host"))?;
    if relative.starts_with("//") {
        return bounded(format!("{scheme}:{relative}"));
    }
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (base_path, base_query) = split_query(path);
    let (reference, fragment) = relative.split_at(relative.find('#').unwrap_or(relative.len()));
    let (path, query) = split_query(reference);
    let (path, query) = if path.is_empty() {
        (base_path.to_owned(), if query.is_empty() { base_query } else { query })
    } else if path.starts_with('/') {
        (path.to_owned(), query)
    } else {
        let folder = base_path.rfind('/').and_then(|at| base_path.get(..=at)).unwrap_or("/");
        (format!("{folder}{path}"), query)
    };
    bounded(format!("{scheme}://{authority}{}{query}{fragment}", without_dots(&path)))
}

fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(plain)).then_some((scheme, rest))
}

/// A path and its query with the question mark.
fn split_query(text: &str) -> (&str, &str) {
    text.split_at(text.find('?').unwrap_or(text.len()))
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let segments: Vec<&str> = path.split('/').collect();
    for (at, segment) in segments.iter().enumerate() {
        let last = at + 1 == segments.len();
        match *segment {
            "." if last => kept.push(""),
            "." => {}
            ".." => {
                if kept.len() > 1 {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    let joined = kept.join("/");
    if joined.starts_with('/') { joined } else { format!("/{joined}") }
}
