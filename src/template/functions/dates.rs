//! Dates and durations, always in UTC. The time of day comes in as an argument of the expansion.
//!
//! Source: .NET, "Standard" and "Custom date and time format strings", invariant culture.

use std::borrow::Cow;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use super::super::error::{Reason, quoted};
use super::super::evaluate::{Call, Eval, Evaluator, Stop, View};
use super::Arguments;
use super::context::text;

/// What is written when no format is given. Source: Azure Resource Manager, "Date functions", examples of dateTimeAdd.
const ISO: &str = "yyyy-MM-ddTHH:mm:ssZ";

/// `utcNow([format])`, in default values of parameters only.
pub(super) fn utc_now<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    only_in_defaults(view, &call)?;
    let format = text(evaluator, view, &call, 0)?;
    let format = if call.arguments.is_empty() { "yyyyMMddTHHmmssZ" } else { format.as_ref() };
    let written = written(view.frame.world.now, format).map_err(|problem| call.fault(problem))?;
    Ok(Cow::Owned(Value::from(written)))
}

/// `newGuid()`, in default values of parameters only. Random because the seed of the deployment is.
pub(super) fn new_guid<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    only_in_defaults(view, &call)?;
    evaluator.guids += 1;
    let name = evaluator.guids.to_string();
    Ok(Cow::Owned(Value::from(Uuid::new_v5(&view.frame.world.scope.guid_seed, name.as_bytes()).to_string())))
}

fn only_in_defaults(view: View<'_>, call: &Call<'_>) -> Result<(), Stop> {
    let problem = "it can be used in the default value of a parameter only; declare a parameter with it and use that";
    view.in_default.then_some(()).ok_or_else(|| call.fault(problem))
}

/// `dateTimeAdd(base, duration, [format])`
pub(super) fn date_time_add(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let base = parsed(arguments, 0)?;
    let duration =
        duration(arguments.str(1)?).ok_or_else(|| arguments.fault("argument 2 is no ISO 8601 duration such as P3D, PT1H or -P1Y"))?;
    let sum = base.checked_add(duration).map_err(|_out_of_range| arguments.fault("the result is outside the years -9999 to 9999"))?;
    let format = if arguments.len() > 2 { arguments.str(2)? } else { ISO };
    written(sum, format).map(Value::from).map_err(|problem| arguments.fault(problem))
}

pub(super) fn date_time_from_epoch(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let time = Timestamp::from_second(arguments.int(0)?).map_err(|_out_of_range| arguments.fault("the time is out of range"))?;
    written(time, ISO).map(Value::from).map_err(|problem| arguments.fault(problem))
}

pub(super) fn date_time_to_epoch(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    parsed(arguments, 0).map(|time| Value::from(time.as_second()))
}

/// An ISO 8601 time; without an offset it is in UTC.
fn parsed(arguments: &Arguments<'_>, at: usize) -> Result<Timestamp, Reason> {
    let text = arguments.str(at)?.trim();
    let utc = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let parsed = text.parse::<Timestamp>().ok().or_else(utc);
    parsed.ok_or_else(|| arguments.fault(format!("argument {} is no ISO 8601 time such as 2026-01-31T12:00:00Z", at + 1)))
}

/// `[-]P[nY][nM][nD][T[nH][nM][nS]]`; a year has 365 days and a month 30. Source: Azure Resource Manager, "Date functions", dateTimeAdd.
fn duration(text: &str) -> Option<SignedDuration> {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (date, time) = rest.strip_prefix('P')?.split_once('T').map_or((rest.get(1..)?, None), |(date, time)| (date, Some(time)));
    if date.is_empty() && time.is_none() || time == Some("") {
        return None;
    }
    const DAY: i64 = 86_400;
    let date = seconds(date, &[('Y', 365 * DAY), ('M', 30 * DAY), ('D', DAY)])?;
    let time = seconds(time.unwrap_or_default(), &[('H', 3_600), ('M', 60), ('S', 1)])?;
    let sum = SignedDuration::from_secs(date.checked_add(time)?);
    Some(if negative { sum.checked_neg()? } else { sum })
}

/// The sum of parts such as `3Y2M`, each unit at most once and in this order.
fn seconds(mut text: &str, units: &[(char, i64)]) -> Option<i64> {
    let mut sum = 0_i64;
    for (unit, length) in units {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (amount, rest) = text.split_at(digits);
        if let Some(rest) = rest.strip_prefix(*unit) {
            sum = sum.checked_add(amount.parse::<i64>().ok()?.checked_mul(*length)?)?;
            text = rest;
        }
    }
    text.is_empty().then_some(sum)
}

/// A time by a .NET format string.
fn written(time: Timestamp, format: &str) -> Result<String, String> {
    let time = time.to_zoned(TimeZone::UTC).datetime();
    let mut chars = format.chars();
    match (chars.next(), chars.next()) {
        (Some(letter), None) => custom(time, standard(letter).ok_or_else(|| format!("`{}` is no format of a date", quoted(format)))?),
        _several => custom(time, format),
    }
}

const fn standard(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "MM/dd/yyyy",
        'D' => "dddd, dd MMMM yyyy",
        'f' => "dddd, dd MMMM yyyy HH:mm",
        'F' | 'U' => "dddd, dd MMMM yyyy HH:mm:ss",
        'g' => "MM/dd/yyyy HH:mm",
        'G' => "MM/dd/yyyy HH:mm:ss",
        'm' | 'M' => "MMMM dd",
        'o' | 'O' => "yyyy-MM-ddTHH:mm:ss.fffffffZ",
        'r' | 'R' => "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
        's' => "yyyy-MM-ddTHH:mm:ss",
        't' => "HH:mm",
        'T' => "HH:mm:ss",
        'u' => "yyyy-MM-dd HH:mm:ssZ",
        'y' | 'Y' => "yyyy MMMM",
        _other => return None,
    })
}

const MONTHS: [&str; 12] =
    ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

fn custom(time: DateTime, format: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = format;
    while let Some(letter) = rest.chars().next() {
        let count = rest.chars().take_while(|c| *c == letter).count();
        let run = count * letter.len_utf8();
        let used = match letter {
            '\'' | '"' => {
                let inner = rest.get(1..).and_then(|inner| inner.split_once(letter)).map(|(inner, _)| inner);
                let inner = inner.ok_or_else(|| "a quote in the format is not closed".to_owned())?;
                out.push_str(inner);
                inner.len() + 2
            }
            '\\' | '%' => {
                let next = rest.chars().nth(1).ok_or_else(|| format!("the format ends with `{letter}`"))?;
                if letter == '%' {
                    out.push_str(&field(time, next, 1)?.unwrap_or_else(|| next.to_string()));
                } else {
                    out.push(next);
                }
                1 + next.len_utf8()
            }
            letter => match field(time, letter, count)? {
                Some(text) => {
                    out.push_str(&text);
                    run
                }
                None => {
                    out.push(letter);
                    letter.len_utf8()
                }
            },
        };
        rest = rest.get(used..).unwrap_or_default();
        super::strings::check_length(out.len()).map_err(|reason| reason.to_string())?;
    }
    Ok(out)
}

/// The part of a time that `count` times this letter stands for; none for letters that stand for themselves.
fn field(time: DateTime, letter: char, count: usize) -> Result<Option<String>, String> {
    let width = count.min(2);
    let name = |names: &[&str], at: i8| usize::try_from(at - 1).ok().and_then(|at| names.get(at).copied()).unwrap_or_default().to_owned();
    let short = |name: String| name.chars().take(3).collect::<String>();
    let number = |value: i8| format!("{value:0>width$}");
    let hour = time.hour();
    Ok(Some(match letter {
        'y' if count <= 2 => format!("{:0>width$}", time.year() % 100),
        'y' => format!("{:0>width$}", time.year(), width = count.min(9)),
        'M' if count <= 2 => number(time.month()),
        'M' => {
            if count == 3 {
                short(name(&MONTHS, time.month()))
            } else {
                name(&MONTHS, time.month())
            }
        }
        'd' if count <= 2 => number(time.day()),
        'd' => {
            let day = name(&DAYS, time.weekday().to_monday_one_offset());
            if count == 3 { short(day) } else { day }
        }
        'H' => number(hour),
        'h' => number(if hour % 12 == 0 { 12 } else { hour % 12 }),
        'm' => number(time.minute()),
        's' => number(time.second()),
        't' => {
            if count == 1 {
                half(hour).chars().take(1).collect()
            } else {
                half(hour).to_owned()
            }
        }
        'f' | 'F' => fraction(time, letter, count)?,
        'z' => match count {
            1 => "+0".to_owned(),
            2 => "+00".to_owned(),
            _more => "+00:00".to_owned(),
        },
        'K' => "Z".repeat(count.min(9)),
        'g' => return Err("eras in the format of a date are not supported".to_owned()),
        _other => return Ok(None),
    }))
}

const fn half(hour: i8) -> &'static str {
    if hour < 12 { "AM" } else { "PM" }
}

fn fraction(time: DateTime, letter: char, count: usize) -> Result<String, String> {
    if count > 7 {
        return Err("a format of a date has at most seven f".to_owned());
    }
    let digits: String = format!("{:09}", time.subsec_nanosecond()).chars().take(count).collect();
    Ok(if letter == 'F' { digits.trim_end_matches('0').to_owned() } else { digits })
}
