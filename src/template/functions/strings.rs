//! Strings. Lengths and positions count UTF-16 units, as the anchor does.

use std::borrow::Cow;

use serde_json::Value;
use uuid::Uuid;

use super::super::error::Reason;
use super::super::limits;
use super::super::value::text_cost;
use super::{Arguments, hash};

/// Namespace of the version 5 UUIDs that `guid` makes. Source: Azure Resource Manager, "Bicep functions - string", guid.
const GUID_NAMESPACE: Uuid = Uuid::from_u128(0x11fb_06fb_712d_4ddd_98c7_e71b_bd58_8830);

/// A string as UTF-16.
pub(super) struct Units(Vec<u16>);

impl Units {
    /// What is wrong when a part begins or ends inside of a character.
    pub(super) const CUT: &'static str = "this would cut a character in two";

    pub(super) fn of(text: &str) -> Self {
        Self(text.encode_utf16().collect())
    }

    pub(super) const fn len(&self) -> usize {
        self.0.len()
    }

    /// Some units; none when a character would be cut or the part is outside.
    pub(super) fn part(&self, start: usize, count: usize) -> Option<String> {
        String::from_utf16(self.0.get(start..start.checked_add(count)?)?).ok()
    }
}

/// A string, if it is not too long.
pub(super) fn bounded(text: impl Into<String>) -> Result<Value, Reason> {
    let text = text.into();
    check_length(text.len())?;
    Ok(Value::String(text))
}

/// Refuses a string before it is made.
pub(super) fn check_length(bytes: usize) -> Result<(), Reason> {
    if bytes > limits::STRING_BYTES_MAX {
        let max = u64::try_from(limits::STRING_BYTES_MAX).unwrap_or(u64::MAX);
        return Err(Reason::Limit { what: "bytes in a string", max });
    }
    Ok(())
}

fn texts<'a>(arguments: &'a Arguments<'_>) -> Result<Vec<Cow<'a, str>>, Reason> {
    (0..arguments.len()).map(|at| arguments.text(at)).collect()
}

pub(super) fn concat(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    if arguments.get(0).is_array() {
        let arrays: Result<Vec<_>, _> = (0..arguments.len()).map(|at| arguments.array(at)).collect();
        return Ok(Value::Array(arrays?.into_iter().flatten().cloned().collect()));
    }
    bounded(texts(arguments)?.concat())
}

pub(super) fn guid(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    Ok(Value::from(Uuid::new_v5(&GUID_NAMESPACE, texts(arguments)?.join("-").as_bytes()).to_string()))
}

pub(super) fn unique_string(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    Ok(Value::from(hash::unique_string(&texts(arguments)?.join("-"))))
}

pub(super) fn to_lower(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    bounded(arguments.str(0)?.to_lowercase())
}

pub(super) fn to_upper(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    bounded(arguments.str(0)?.to_uppercase())
}

pub(super) fn trim(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    Ok(Value::from(arguments.str(0)?.trim()))
}

/// The text with every character in lower case, and as many characters as before.
fn caseless(text: &str) -> String {
    let lower = |c: char| {
        let mut lower = c.to_lowercase();
        let first = lower.next().filter(|first| first.len_utf16() == c.len_utf16());
        first.filter(|_| lower.next().is_none()).unwrap_or(c)
    };
    text.chars().map(lower).collect()
}

pub(super) fn starts_with(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    Ok(Value::Bool(caseless(arguments.str(0)?).starts_with(&caseless(arguments.str(1)?))))
}

pub(super) fn ends_with(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    Ok(Value::Bool(caseless(arguments.str(0)?).ends_with(&caseless(arguments.str(1)?))))
}

/// The position of bytes `at` of a text in UTF-16 units, -1 for none.
fn position(text: &str, at: Option<usize>) -> Value {
    let before = at.and_then(|at| text.get(..at));
    Value::from(before.and_then(|before| i64::try_from(before.encode_utf16().count()).ok()).unwrap_or(-1))
}

pub(super) fn index_of(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let text = caseless(arguments.str(0)?);
    Ok(position(&text, text.find(&caseless(arguments.str(1)?))))
}

pub(super) fn last_index_of(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let text = caseless(arguments.str(0)?);
    Ok(position(&text, text.rfind(&caseless(arguments.str(1)?))))
}

pub(super) fn replace(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let (text, old, new) = (arguments.str(0)?, arguments.str(1)?, arguments.str(2)?);
    if old.is_empty() {
        return Err(arguments.fault("the text to replace is empty"));
    }
    let found = text.matches(old).count();
    check_length(text.len().saturating_sub(found.saturating_mul(old.len())).saturating_add(found.saturating_mul(new.len())))?;
    bounded(text.replace(old, new))
}

/// `padLeft(value, length, [character])`
pub(super) fn pad_left(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let text = arguments.text(0)?;
    let wanted = usize::try_from(arguments.int(1)?).ok().ok_or_else(|| arguments.fault("the length is negative"))?;
    let with = if arguments.len() > 2 { arguments.str(2)? } else { " " };
    let mut chars = with.chars();
    let (Some(with), None) = (chars.next().filter(|c| c.len_utf16() == 1), chars.next()) else {
        return Err(arguments.fault("it pads with exactly one character"));
    };
    check_length(wanted.saturating_mul(with.len_utf8()))?;
    let missing = wanted.saturating_sub(text.encode_utf16().count());
    bounded(std::iter::repeat_n(with, missing).chain(text.chars()).collect::<String>())
}

/// `substring(text, start, [length])`
pub(super) fn substring(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let units = Units::of(arguments.str(0)?);
    let outside = |start: i64, length: &str| {
        arguments.fault(format!("start {start} and length {length} lead out of a text of {} characters", units.len()))
    };
    let (from, length) = (arguments.int(1)?, if arguments.len() > 2 { Some(arguments.int(2)?) } else { None });
    let shown = || length.map_or_else(|| "to the end".to_owned(), |length| length.to_string());
    let start = usize::try_from(from).ok().filter(|start| *start <= units.len()).ok_or_else(|| outside(from, &shown()))?;
    let left = units.len() - start;
    let count = length.map_or(Some(left), |length| usize::try_from(length).ok().filter(|length| *length <= left));
    let count = count.ok_or_else(|| outside(from, &shown()))?;
    units.part(start, count).map(Value::from).ok_or_else(|| arguments.fault(Units::CUT))
}

/// `split(text, delimiter)`, or an array of delimiters.
pub(super) fn split(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let text = arguments.str(0)?;
    let delimiters = match arguments.get(1).as_array() {
        Some(list) => list.iter().map(Value::as_str).collect::<Option<Vec<_>>>(),
        None => arguments.get(1).as_str().map(|one| vec![one]),
    };
    let delimiters = delimiters.ok_or_else(|| arguments.shape(1, "a string or an array of strings"))?;
    let delimiters: Vec<_> = delimiters.into_iter().filter(|delimiter| !delimiter.is_empty()).collect();
    // Each place of the text may be compared with each delimiter.
    let work = text_cost(text).saturating_mul(u64::try_from(delimiters.len()).unwrap_or(u64::MAX));
    if work > limits::COST_MAX {
        return Err(Reason::Limit { what: "delimiters for a text of this length", max: limits::COST_MAX / text_cost(text) });
    }
    let mut parts = Vec::new();
    let (mut rest, mut from) = (text, 0);
    while let Some(tail) = rest.get(from..).filter(|tail| !tail.is_empty()) {
        match delimiters.iter().find(|delimiter| tail.starts_with(**delimiter)) {
            Some(delimiter) => {
                parts.push(Value::from(rest.get(..from).unwrap_or_default()));
                rest = tail.get(delimiter.len()..).unwrap_or_default();
                from = 0;
            }
            None => from += tail.chars().next().map_or(1, char::len_utf8),
        }
    }
    parts.push(Value::from(rest));
    Ok(Value::Array(parts))
}

/// `join(array, delimiter)`
pub(super) fn join(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let delimiter = arguments.str(1)?;
    let texts = arguments.array(0)?.iter().map(super::plain_text).collect::<Option<Vec<_>>>();
    let texts = texts.ok_or_else(|| arguments.fault("every element has to be a string, int or bool"))?;
    let bytes = texts.iter().map(|text| text.len() + delimiter.len()).sum::<usize>();
    check_length(bytes.saturating_sub(delimiter.len()))?;
    bounded(texts.join(delimiter))
}
