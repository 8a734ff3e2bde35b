//! Small helpers for JSON values: names without case, types in words, what a value costs.

use serde_json::{Map, Value};

use super::limits;

/// The type of a value in words, never the value.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Number(number) if number.is_i64() => "an int",
        Value::Number(_) => "a number that is no int",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A property, its name compared without case; an exact match goes first.
pub(super) fn get<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    object.get(name).or_else(|| object.iter().find(|(key, _)| same(key, name)).map(|(_, value)| value))
}

/// Whether two names are the same without case.
pub(super) fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!(a.is_ascii() && b.is_ascii()) && a.to_lowercase() == b.to_lowercase())
}

/// What a value costs: one per value and name, and one per 16 bytes of text. `None` when it is deeper than allowed.
pub(super) fn cost(value: &Value) -> Option<u64> {
    cost_below(value, 0)
}

fn cost_below(value: &Value, depth: usize) -> Option<u64> {
    if depth > limits::VALUE_DEPTH_MAX {
        return None;
    }
    if let Some(text) = value.as_str() {
        return Some(text_cost(text));
    }
    if let Some(array) = value.as_array() {
        return array.iter().try_fold(1, |sum: u64, item| Some(sum + cost_below(item, depth + 1)?));
    }
    if let Some(object) = value.as_object() {
        return object.iter().try_fold(1, |sum: u64, (name, item)| Some(sum + text_cost(name) + cost_below(item, depth + 1)?));
    }
    Some(1)
}

/// What looking at the outside of a value costs: its text, or the number of its elements.
pub(super) fn outer_cost(value: &Value) -> u64 {
    let text = value.as_str().map(text_cost);
    let length = || value.as_array().map(Vec::len).or_else(|| value.as_object().map(Map::len));
    text.or_else(|| length().and_then(|length| u64::try_from(length).ok())).unwrap_or(1)
}

/// Whether two values are the same: texts with their case, numbers by value, objects without regard to the order and case of names.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    if let (Some(a), Some(b)) = (a.as_array(), b.as_array()) {
        return a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b));
    }
    if let (Some(a), Some(b)) = (a.as_object(), b.as_object()) {
        return a.len() == b.len() && a.iter().all(|(name, a)| get(b, name).is_some_and(|b| equal(a, b)));
    }
    match (a.as_f64(), b.as_f64()) {
        (Some(a_float), Some(b_float)) => a == b || a_float.total_cmp(&b_float).is_eq(),
        (Some(_) | None, _) => a == b,
    }
}

/// What a text costs.
pub(super) fn text_cost(text: &str) -> u64 {
    1 + u64::try_from(text.len() / 16).unwrap_or(u64::MAX / 2)
}

/// Appends a name to a JSON path.
pub(super) fn child(path: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$'));
    let name = super::error::quoted(name);
    if plain { format!("{path}.{name}") } else { format!("{path}['{name}']") }
}
