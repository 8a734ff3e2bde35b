//! Conditions and comparisons.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::super::error::Reason;
use super::super::evaluate::{Call, Eval, Evaluator, Stop, View};
use super::super::value::{equal, kind};
use super::Arguments;

/// Computes one argument that has to be a bool.
fn test(evaluator: &mut Evaluator<'_>, view: View<'_>, call: &Call<'_>, at: usize) -> Result<bool, Stop> {
    let Some(argument) = call.arguments.get(at) else { return Ok(false) };
    let value = evaluator.eval(view, argument)?;
    let what = || format!("argument {} of `{}`", at + 1, call.name);
    let wrong = || Reason::Shape { what: what(), expected: "a bool".to_owned(), found: kind(&value) };
    value.as_bool().ok_or_else(|| Stop::new(argument.offset, wrong()))
}

/// `if(condition, then, else)`: only one of the two is computed.
pub(super) fn if_<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    match test(evaluator, view, &call, 0) {
        Ok(wanted) => {
            let branch = call.arguments.get(if wanted { 1 } else { 2 });
            branch.map_or(Ok(Cow::Owned(Value::Null)), |branch| evaluator.eval(view, branch))
        }
        Err(stop) => {
            if matches!(stop, Stop::Needs(_)) {
                // Either may be wanted later: what they refer to has to be deployed before.
                call.arguments.iter().skip(1).for_each(|branch| drop(evaluator.eval(view, branch)));
            }
            Err(stop)
        }
    }
}

/// Computes arguments until one is `decisive`.
fn until<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: &Call<'_>, decisive: bool) -> Eval<'a> {
    let mut needs = None;
    for at in 0..call.arguments.len() {
        match test(evaluator, view, call, at) {
            Ok(value) if value == decisive => return Ok(Cow::Owned(Value::Bool(decisive))),
            Ok(_) => {}
            Err(Stop::Needs(needed)) => needs = needs.or(Some(needed)),
            Err(fault) => return Err(fault),
        }
    }
    needs.map_or(Ok(Cow::Owned(Value::Bool(!decisive))), |needed| Err(Stop::Needs(needed)))
}

pub(super) fn and<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    until(evaluator, view, &call, false)
}

pub(super) fn or<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    until(evaluator, view, &call, true)
}

/// `coalesce(value, …)`: the first that is not null.
pub(super) fn coalesce<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    for argument in call.arguments {
        let value = evaluator.eval(view, argument)?;
        if !value.is_null() {
            return Ok(value);
        }
    }
    Ok(Cow::Owned(Value::Null))
}

pub(super) fn not(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    Ok(Value::Bool(!arguments.bool(0)?))
}

pub(super) fn bool(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let value = arguments.get(0);
    let text = value.as_str().and_then(|text| text.trim().to_ascii_lowercase().parse().ok());
    let bool = value.as_bool().or_else(|| value.as_i64().map(|int| int != 0)).or(text);
    bool.map(Value::Bool).ok_or_else(|| arguments.shape(0, "'true', 'false', an int or a bool"))
}

#[expect(clippy::unnecessary_wraps, reason = "the table of functions holds functions that can fail")]
pub(super) fn true_(_: &Arguments<'_>) -> Result<Value, Reason> {
    Ok(Value::Bool(true))
}

#[expect(clippy::unnecessary_wraps, reason = "the table of functions holds functions that can fail")]
pub(super) fn false_(_: &Arguments<'_>) -> Result<Value, Reason> {
    Ok(Value::Bool(false))
}

#[expect(clippy::unnecessary_wraps, reason = "the table of functions holds functions that can fail")]
pub(super) fn null(_: &Arguments<'_>) -> Result<Value, Reason> {
    Ok(Value::Null)
}

#[expect(clippy::unnecessary_wraps, reason = "the table of functions holds functions that can fail")]
pub(super) fn equals(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    Ok(Value::Bool(equal(arguments.get(0), arguments.get(1))))
}

pub(super) fn less(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    compare(arguments).map(|order| Value::Bool(order == Ordering::Less))
}

pub(super) fn less_or_equals(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    compare(arguments).map(|order| Value::Bool(order != Ordering::Greater))
}

pub(super) fn greater(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    compare(arguments).map(|order| Value::Bool(order == Ordering::Greater))
}

pub(super) fn greater_or_equals(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    compare(arguments).map(|order| Value::Bool(order != Ordering::Less))
}

fn compare(arguments: &Arguments<'_>) -> Result<Ordering, Reason> {
    if arguments.get(0).is_string() {
        return alphabetical(arguments.str(0)?, arguments.str(1)?).ok_or_else(|| {
            arguments.fault("texts are compared here only when they consist of letters a to z and digits; compare numbers, or use equals")
        });
    }
    let (a, b) = (arguments.get(0).as_i64(), arguments.int(1)?);
    Ok(a.ok_or_else(|| arguments.shape(0, "an int or a string"))?.cmp(&b))
}

/// The order of a dictionary: letters first without case, then small ones before capitals. `greater('A', 'a')` is documented as true.
/// Other characters have an order there that is not ours to guess.
fn alphabetical(a: &str, b: &str) -> Option<Ordering> {
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let caseless = |text: &str| text.to_ascii_lowercase();
    let capitals = |text: &str| text.bytes().map(|byte| byte.is_ascii_uppercase()).collect::<Vec<_>>();
    (plain(a) && plain(b)).then(|| caseless(a).cmp(&caseless(b)).then_with(|| capitals(a).cmp(&capitals(b))))
}
