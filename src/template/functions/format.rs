//! `format`: composite format strings. Source: .NET, "Composite formatting", as far as strings, ints and bools go.

use serde_json::Value;

use super::super::error::Reason;
use super::strings::{bounded, check_length};
use super::{Arguments, plain_text};

/// Widest column and longest number that a format may ask for.
const WIDTH_MAX: usize = 1_000;

/// `format(text, value…)`
pub(super) fn format(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let mut out = String::new();
    let mut rest = arguments.str(0)?;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        rest = if let Some(tail) = tail.strip_prefix("{{") {
            out.push('{');
            tail
        } else if let Some(tail) = tail.strip_prefix("}}") {
            out.push('}');
            tail
        } else {
            let hole = tail.strip_prefix('{').and_then(|tail| tail.split_once('}'));
            let (hole, tail) = hole.ok_or_else(|| arguments.fault("a { or } stands alone; write {{ or }} for the character"))?;
            out.push_str(&filled(arguments, hole)?);
            tail
        };
        check_length(out.len())?;
    }
    out.push_str(rest);
    bounded(out)
}

/// What stands for `index[,width][:spec]`.
fn filled(arguments: &Arguments<'_>, hole: &str) -> Result<String, Reason> {
    let (place, spec) = hole.split_once(':').unwrap_or((hole, ""));
    let (index, width) = place.split_once(',').map_or((place, None), |(index, width)| (index, Some(width)));
    let index: usize = index.trim().parse().map_err(|_not_a_number| arguments.fault("between { and } stands no number"))?;
    let at = index.checked_add(1).filter(|at| *at < arguments.len());
    let at = at.ok_or_else(|| arguments.fault(format!("{{{index}}} asks for a value that is not there; the first value is {{0}}")))?;
    let value = arguments.get(at);
    let text = if spec.is_empty() { plain_text(value).map(std::borrow::Cow::into_owned) } else { number(arguments, value, spec)? };
    let text = text.ok_or_else(|| arguments.shape(at, "a string, int or bool"))?;
    let Some(width) = width else { return Ok(text) };
    let width: isize = width.trim().parse().map_err(|_not_a_number| arguments.fault("after the comma stands no width"))?;
    if width.unsigned_abs() > WIDTH_MAX {
        return Err(arguments.fault(format!("a width is at most {WIDTH_MAX}")));
    }
    let pad = width.unsigned_abs().saturating_sub(text.encode_utf16().count());
    let spaces = " ".repeat(pad);
    Ok(if width < 0 { format!("{text}{spaces}") } else { format!("{spaces}{text}") })
}

/// An int by a format such as `D2`, `N0`, `X4` or `000`; a string or bool as it is, for formats are for numbers.
fn number(arguments: &Arguments<'_>, value: &Value, spec: &str) -> Result<Option<String>, Reason> {
    let Some(int) = value.as_i64() else { return Ok(plain_text(value).map(std::borrow::Cow::into_owned)) };
    let sign = if int < 0 { "-" } else { "" };
    let digits = int.unsigned_abs().to_string();
    if spec.chars().all(|c| c == '0') {
        check_width(arguments, spec.len())?;
        return Ok(Some(format!("{sign}{digits:0>width$}", width = spec.len())));
    }
    let mut chars = spec.chars();
    let letter = chars.next().unwrap_or_default();
    let precision: Option<usize> = if chars.as_str().is_empty() { None } else { chars.as_str().parse().ok() };
    if precision.is_none() && !chars.as_str().is_empty() {
        return Err(unknown(spec));
    }
    let width = precision.unwrap_or(0);
    check_width(arguments, width)?;
    Ok(Some(match letter {
        'D' | 'd' => format!("{sign}{digits:0>width$}"),
        'N' | 'n' => format!("{sign}{}{}", grouped(&digits), decimals(precision.unwrap_or(2))),
        'F' | 'f' => format!("{sign}{digits}{}", decimals(precision.unwrap_or(2))),
        'X' => format!("{:0>width$}", format!("{int:X}")),
        'x' => format!("{:0>width$}", format!("{int:x}")),
        'G' | 'g' if width == 0 => format!("{sign}{digits}"),
        _other => return Err(unknown(spec)),
    }))
}

fn check_width(arguments: &Arguments<'_>, width: usize) -> Result<(), Reason> {
    if width > WIDTH_MAX { Err(arguments.fault(format!("a format makes at most {WIDTH_MAX} digits"))) } else { Ok(()) }
}

fn unknown(spec: &str) -> Reason {
    let what = format!("format `{}`", super::super::error::quoted(spec));
    Reason::Unsupported { what, why: "write D2, N0, F0, X, or zeros such as 000, or leave it out".to_owned() }
}

/// Digits in groups of three.
fn grouped(digits: &str) -> String {
    let count = digits.len();
    let comma = |at: usize| if at > 0 && (count - at).is_multiple_of(3) { "," } else { "" };
    digits.chars().enumerate().map(|(at, digit)| format!("{}{digit}", comma(at))).collect()
}

fn decimals(count: usize) -> String {
    if count == 0 { String::new() } else { format!(".{}", "0".repeat(count)) }
}
