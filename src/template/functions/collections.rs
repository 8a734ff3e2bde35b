//! Arrays and objects, and what strings have in common with them.

use serde_json::{Map, Value, json};

use super::super::error::Reason;
use super::super::json;
use super::super::value::{equal, get, same};
use super::strings::{Units, bounded};
use super::{Arguments, plain_text};

#[expect(clippy::unnecessary_wraps, reason = "the table of functions holds functions that can fail")]
pub(super) fn array(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let value = arguments.get(0);
    Ok(if value.is_array() { value.clone() } else { json!([value]) })
}

#[expect(clippy::unnecessary_wraps, reason = "the table of functions holds functions that can fail")]
pub(super) fn create_array(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    Ok((0..arguments.len()).map(|at| arguments.get(at).clone()).collect())
}

pub(super) fn create_object(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    if !arguments.len().is_multiple_of(2) {
        return Err(arguments.fault("names and values alternate, so there has to be an even number of arguments"));
    }
    let mut object = Map::new();
    for at in (0..arguments.len()).step_by(2) {
        let name = arguments.str(at)?;
        if get(&object, name).is_some() {
            return Err(arguments.fault(format!("argument {} is a name that is there already; names are compared without case", at + 1)));
        }
        object.insert(name.to_owned(), arguments.get(at + 1).clone());
    }
    Ok(Value::Object(object))
}

pub(super) fn length(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let value = arguments.get(0);
    let text = value.as_str().map(|text| Units::of(text).len());
    let length = text.or_else(|| value.as_array().map(Vec::len)).or_else(|| value.as_object().map(Map::len));
    length.map(Value::from).ok_or_else(|| arguments.shape(0, "a string, array or object"))
}

pub(super) fn empty(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let value = arguments.get(0);
    let text = value.as_str().map(str::is_empty);
    let empty = text.or_else(|| value.as_array().map(Vec::is_empty)).or_else(|| value.as_object().map(Map::is_empty));
    let empty = empty.or_else(|| value.is_null().then_some(true));
    empty.map(Value::Bool).ok_or_else(|| arguments.shape(0, "a string, array or object"))
}

/// `contains(container, item)`: text in a string, value in an array, name in an object.
pub(super) fn contains(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let (container, item) = (arguments.get(0), arguments.get(1));
    if let Some(array) = container.as_array() {
        return Ok(Value::Bool(array.iter().any(|value| equal(value, item))));
    }
    let item = arguments.text(1)?;
    if let Some(object) = container.as_object() {
        return Ok(Value::Bool(get(object, &item).is_some()));
    }
    let text = container.as_str().ok_or_else(|| arguments.shape(0, "a string, array or object"))?;
    Ok(Value::Bool(text.contains(item.as_ref())))
}

pub(super) fn first(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    if let Some(array) = arguments.get(0).as_array() {
        return Ok(array.first().cloned().unwrap_or_default());
    }
    part(arguments, 0, 1)
}

pub(super) fn last(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    if let Some(array) = arguments.get(0).as_array() {
        return Ok(array.last().cloned().unwrap_or_default());
    }
    part(arguments, usize::MAX, 1)
}

/// `count` characters of a string from `start`, or from as far before its end.
fn part(arguments: &Arguments<'_>, start: usize, count: usize) -> Result<Value, Reason> {
    let text = arguments.get(0).as_str().ok_or_else(|| arguments.shape(0, "a string or an array"))?;
    let units = Units::of(text);
    let start = if start == usize::MAX { units.len().saturating_sub(count) } else { start.min(units.len()) };
    units.part(start, count.min(units.len() - start)).map(Value::from).ok_or_else(|| arguments.fault(Units::CUT))
}

fn amount(arguments: &Arguments<'_>) -> Result<usize, Reason> {
    Ok(usize::try_from(arguments.int(1)?.max(0)).unwrap_or(usize::MAX - 1))
}

pub(super) fn take(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let count = amount(arguments)?;
    match arguments.get(0).as_array() {
        Some(array) => Ok(array.iter().take(count).cloned().collect()),
        None => part(arguments, 0, count),
    }
}

pub(super) fn skip(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let count = amount(arguments)?;
    match arguments.get(0).as_array() {
        Some(array) => Ok(array.iter().skip(count).cloned().collect()),
        None => part(arguments, count, usize::MAX),
    }
}

/// Elements of arrays, or properties of objects, that are in any of the arguments.
pub(super) fn union(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    if arguments.get(0).is_array() {
        let mut all: Vec<Value> = Vec::new();
        for at in 0..arguments.len() {
            for item in arguments.array(at)? {
                if !all.iter().any(|known| equal(known, item)) {
                    all.push(item.clone());
                }
            }
        }
        return Ok(Value::Array(all));
    }
    let mut merged = Map::new();
    for at in 0..arguments.len() {
        merge(&mut merged, arguments.object(at)?);
    }
    Ok(Value::Object(merged))
}

/// Objects inside of objects are merged too; everything else is replaced.
fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (name, value) in from {
        let known = into.keys().find(|known| same(known, name)).cloned().unwrap_or_else(|| name.clone());
        let old = into.entry(known).or_insert(Value::Null);
        match (old.as_object_mut(), value.as_object()) {
            (Some(old), Some(new)) => merge(old, new),
            (Some(_) | None, _) => *old = value.clone(),
        }
    }
}

/// Elements of arrays, or properties of objects with their values, that are in all of the arguments.
pub(super) fn intersection(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    if arguments.get(0).is_array() {
        let others: Vec<_> = (1..arguments.len()).map(|at| arguments.array(at)).collect::<Result<_, _>>()?;
        let mut common: Vec<Value> = Vec::new();
        for item in arguments.array(0)? {
            let everywhere = others.iter().all(|other| other.iter().any(|value| equal(value, item)));
            if everywhere && !common.iter().any(|known| equal(known, item)) {
                common.push(item.clone());
            }
        }
        return Ok(Value::Array(common));
    }
    let others: Vec<_> = (1..arguments.len()).map(|at| arguments.object(at)).collect::<Result<_, _>>()?;
    let everywhere = |name: &str, value: &Value| others.iter().all(|other| get(other, name).is_some_and(|found| equal(found, value)));
    let common = arguments.object(0)?.iter().filter(|(name, value)| everywhere(name, value));
    Ok(Value::Object(common.map(|(name, value)| (name.clone(), value.clone())).collect()))
}

/// `items(object)`: `{key, value}` in the order of the keys.
pub(super) fn items(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let mut entries: Vec<_> = arguments.object(0)?.iter().collect();
    entries.sort_by_cached_key(|(name, _)| (name.to_lowercase(), (*name).clone()));
    Ok(entries.into_iter().map(|(name, value)| json!({ "key": name, "value": value })).collect())
}

pub(super) fn object_keys(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let mut names: Vec<_> = arguments.object(0)?.keys().cloned().collect();
    names.sort_by_cached_key(|name| (name.to_lowercase(), name.clone()));
    Ok(names.into_iter().map(Value::from).collect())
}

/// One level of arrays in an array taken away.
pub(super) fn flatten(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let arrays = arguments.array(0)?.iter().map(Value::as_array).collect::<Option<Vec<_>>>();
    let arrays = arrays.ok_or_else(|| arguments.fault("every element has to be an array"))?;
    Ok(arrays.into_iter().flatten().cloned().collect())
}

/// Properties of an array of objects in one object, later ones in place of earlier ones.
pub(super) fn shallow_merge(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let mut merged = Map::new();
    for item in arguments.array(0)? {
        let object = item.as_object().ok_or_else(|| arguments.fault("every element has to be an object"))?;
        merged.extend(object.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    Ok(Value::Object(merged))
}

/// `tryGet(value, key…)`: null where a key is not there.
pub(super) fn try_get(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let mut current = arguments.get(0);
    for at in 1..arguments.len() {
        let key = arguments.get(at);
        let by_name = key.as_str().and_then(|name| get(current.as_object()?, name));
        let by_index = || current.as_array()?.get(usize::try_from(key.as_i64()?).ok()?);
        if !key.is_string() && !key.is_i64() {
            return Err(arguments.shape(at, "a string or an int"));
        }
        match by_name.or_else(by_index) {
            Some(next) => current = next,
            None => return Ok(Value::Null),
        }
    }
    Ok(current.clone())
}

pub(super) fn json(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let text = arguments.str(0)?;
    crate::json::strict_within(crate::json::READER_DEPTH_MAX, text.as_bytes())
        .map_err(|cause| arguments.fault(format!("the text is {}", json::reason(&cause))))
}

/// `string(value)`: a string as it is, everything else as JSON, bools as `True` and `False`.
pub(super) fn string(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let value = arguments.get(0);
    if value.is_null() {
        return Err(arguments.shape(0, "a value"));
    }
    bounded(plain_text(value).map_or_else(|| value.to_string(), std::borrow::Cow::into_owned))
}
