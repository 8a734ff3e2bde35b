//! Loops: `copy` on resources, properties, variables and outputs.

use serde_json::{Map, Value};

use super::error::Reason;
use super::evaluate::{Evaluator, Stop, View};
use super::frame::Loop;
use super::limits;
use super::path::Path;
use super::value::{get, kind, text_cost};

/// Whether the value of a property `copy` is a list of loops, and not data that happens to have this name.
pub(super) fn is_property_copy(value: &Value) -> bool {
    let is_loop = |item: &Value| item.as_object().is_some_and(|item| get(item, "name").is_some() && get(item, "count").is_some());
    value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(is_loop))
}

/// The text of a property of a loop.
pub(super) fn text<'v>(object: &'v Map<String, Value>, name: &str, path: &Path<'_>) -> Result<&'v str, Stop> {
    let value = get(object, name).ok_or_else(|| missing(name, path))?;
    value.as_str().ok_or_else(|| Stop::at(path, shape(name, "a string", value)))
}

pub(super) fn missing(name: &str, path: &Path<'_>) -> Stop {
    Stop::at(path, Reason::Missing { name: name.to_owned(), remedy: "add it here".to_owned() })
}

pub(super) fn shape(what: &str, expected: &str, found: &Value) -> Reason {
    Reason::Shape { what: format!("`{what}`"), expected: expected.to_owned(), found: kind(found) }
}

/// How often a loop turns: `count`, an int from 0 to [`limits::COPY_COUNT_MAX`].
pub(super) fn count(evaluator: &mut Evaluator<'_>, view: View<'_>, object: &Map<String, Value>, path: &Path<'_>) -> Result<i64, Stop> {
    let raw = get(object, "count").ok_or_else(|| missing("count", path))?;
    let path = path.name("count");
    let value = evaluator.known(view, raw, &path)?;
    let count = value.as_i64().ok_or_else(|| Stop::at(&path, shape("count", "an int", &value)))?;
    let max = u64::try_from(limits::COPY_COUNT_MAX).unwrap_or(u64::MAX);
    if u64::try_from(count).map_or(true, |count| count > max) {
        return Err(Stop::at(&path, Reason::Limit { what: "turns of a loop, or fewer than none", max }));
    }
    Ok(count)
}

/// Adds the arrays that the loops of an object describe.
pub(super) fn properties(
    evaluator: &mut Evaluator<'_>,
    view: View<'_>,
    loops: &Value,
    path: &Path<'_>,
    into: &mut Map<String, Value>,
) -> Result<(), Stop> {
    for (at, item) in loops.as_array().into_iter().flatten().enumerate() {
        let path = path.index(at);
        let Some(item) = item.as_object() else { continue };
        let name = text(item, "name", &path)?;
        let array = input(evaluator, view, item, name, false, &path)?;
        if into.insert(name.to_owned(), array).is_some() {
            return Err(Stop::at(&path, Reason::Duplicate { what: "property", name: name.to_owned() }));
        }
    }
    Ok(())
}

/// The array of what `input` gives in each turn.
pub(super) fn input(
    evaluator: &mut Evaluator<'_>,
    view: View<'_>,
    item: &Map<String, Value>,
    name: &str,
    implicit: bool,
    path: &Path<'_>,
) -> Result<Value, Stop> {
    let count = count(evaluator, view, item, path)?;
    let raw = get(item, "input").ok_or_else(|| missing("input", path))?;
    let path = path.name("input");
    let mut loops = view.loops.to_vec();
    let turns = 0..count;
    let values = turns.map(|index| {
        evaluator.pay(text_cost(name)).map_err(|reason| Stop::at(&path, reason))?;
        loops.push(Loop { name: name.to_owned(), index, implicit });
        let value = evaluator.value(View { frame: view.frame, loops: &loops, ..view }, raw, &path);
        loops.pop();
        value
    });
    values.collect::<Result<Vec<_>, _>>().map(Value::Array)
}
