//! Whole numbers.

use serde_json::{Number, Value};

use super::super::error::Reason;
use super::super::limits;
use super::Arguments;

fn two(arguments: &Arguments<'_>, compute: impl Fn(i64, i64) -> Option<i64>) -> Result<Value, Reason> {
    let (a, b) = (arguments.int(0)?, arguments.int(1)?);
    compute(a, b).map(Value::from).ok_or_else(|| arguments.fault("the result is too large"))
}

pub(super) fn add(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    two(arguments, i64::checked_add)
}

pub(super) fn sub(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    two(arguments, i64::checked_sub)
}

pub(super) fn mul(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    two(arguments, i64::checked_mul)
}

fn divisor(arguments: &Arguments<'_>) -> Result<(), Reason> {
    if arguments.int(1)? == 0 { Err(arguments.fault("division by 0")) } else { Ok(()) }
}

pub(super) fn div(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    divisor(arguments)?;
    two(arguments, i64::checked_div)
}

pub(super) fn mod_(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    divisor(arguments)?;
    two(arguments, i64::checked_rem)
}

fn ints(arguments: &Arguments<'_>) -> Result<Vec<i64>, Reason> {
    if arguments.len() == 1 && arguments.get(0).is_array() {
        let ints = arguments.array(0)?.iter().map(Value::as_i64).collect::<Option<Vec<_>>>();
        return ints.filter(|ints| !ints.is_empty()).ok_or_else(|| arguments.fault("the array has to hold ints, at least one"));
    }
    (0..arguments.len()).map(|at| arguments.int(at)).collect()
}

pub(super) fn min(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    Ok(ints(arguments)?.into_iter().min().map_or(Value::Null, Value::from))
}

pub(super) fn max(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    Ok(ints(arguments)?.into_iter().max().map_or(Value::Null, Value::from))
}

/// `range(start, count)`
pub(super) fn range(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let (start, count) = (arguments.int(0)?, arguments.int(1)?);
    if !(0..=limits::RANGE_MAX).contains(&count) {
        return Err(arguments.fault(format!("the count has to be from 0 to {}", limits::RANGE_MAX)));
    }
    let end = start.checked_add(count).filter(|end| *end <= i64::from(i32::MAX) && start >= i64::from(i32::MIN));
    let end = end.ok_or_else(|| arguments.fault("start and count together have to stay within 32 bits"))?;
    Ok((start..end).collect())
}

pub(super) fn int(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let value = arguments.get(0);
    let int = value.as_i64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
    int.map(Value::from).ok_or_else(|| arguments.shape(0, "an int or a string of digits"))
}

pub(super) fn float(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let value = arguments.get(0);
    let float = value.as_f64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
    let number = float.and_then(Number::from_f64).map(Value::Number);
    number.ok_or_else(|| arguments.shape(0, "a number or a string that holds one"))
}
