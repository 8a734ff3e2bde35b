//! Values of properties, and how they read in a URL.

use std::cmp::Ordering;
use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use uuid::Uuid;

use super::model::EdmKind;

/// A value of a property or of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `true`, `false`
    Boolean(bool),
    /// A point in time. Entities keep milliseconds, which is what verbose JSON can carry.
    DateTime(Timestamp),
    /// An id.
    Guid(Uuid),
    /// A number.
    Int32(i32),
    /// A large number.
    Int64(i64),
    /// No value.
    Null,
    /// A text.
    String(Box<str>),
}

/// What a value that is no text counts, printed.
const OTHER_BYTES: usize = 36;

impl Value {
    /// Bytes of a text; of all else as much as an id has.
    #[must_use]
    pub fn length(&self) -> usize {
        match self {
            Self::String(text) => text.len(),
            Self::Boolean(_) | Self::DateTime(_) | Self::Guid(_) | Self::Int32(_) | Self::Int64(_) | Self::Null => OTHER_BYTES,
        }
    }

    /// An id made of these sixteen bytes, in the order they are printed.
    #[must_use]
    pub const fn guid(bytes: [u8; 16]) -> Self {
        Self::Guid(Uuid::from_bytes(bytes))
    }

    /// Its kind; none for null.
    #[must_use]
    pub const fn kind(&self) -> Option<EdmKind> {
        match self {
            Self::Boolean(_) => Some(EdmKind::Boolean),
            Self::DateTime(_) => Some(EdmKind::DateTime),
            Self::Guid(_) => Some(EdmKind::Guid),
            Self::Int32(_) => Some(EdmKind::Int32),
            Self::Int64(_) => Some(EdmKind::Int64),
            Self::Null => None,
            Self::String(_) => Some(EdmKind::String),
        }
    }

    /// Whether there is no value.
    #[must_use]
    pub const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text, of a text.
    #[must_use]
    pub const fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The sixteen bytes of an id.
    #[must_use]
    pub const fn as_guid(&self) -> Option<&[u8; 16]> {
        if let Self::Guid(id) = self { Some(id.as_bytes()) } else { None }
    }

    /// The number, of either kind of number.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int32(number) => Some(i64::from(*number)),
            Self::Int64(number) => Some(*number),
            Self::Boolean(_) | Self::DateTime(_) | Self::Guid(_) | Self::Null | Self::String(_) => None,
        }
    }

    /// The truth value.
    #[must_use]
    pub const fn as_bool(&self) -> Option<bool> {
        if let Self::Boolean(truth) = self { Some(*truth) } else { None }
    }

    /// The point in time.
    #[must_use]
    pub const fn as_date_time(&self) -> Option<Timestamp> {
        if let Self::DateTime(time) = self { Some(*time) } else { None }
    }

    /// The value as one of `kind`; itself when it cannot be one. Numbers change between their two kinds, time loses what is below a millisecond.
    pub(super) fn fitted(self, kind: EdmKind) -> Self {
        match (self, kind) {
            (Self::Int64(number), EdmKind::Int32) => i32::try_from(number).map_or(Self::Int64(number), Self::Int32),
            (Self::Int32(number), EdmKind::Int64) => Self::Int64(i64::from(number)),
            (Self::DateTime(time), EdmKind::DateTime) => Self::DateTime(Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)),
            (value, _) => value,
        }
    }

    /// How two values that are not null compare; nothing for values of different kinds. Texts compare by their characters, case and all.
    pub(super) fn compared(&self, other: &Self) -> Option<Ordering> {
        if let (Some(one), Some(another)) = (self.as_int(), other.as_int()) {
            return Some(one.cmp(&another));
        }
        match (self, other) {
            (Self::Boolean(one), Self::Boolean(another)) => Some(one.cmp(another)),
            (Self::DateTime(one), Self::DateTime(another)) => Some(one.cmp(another)),
            (Self::Guid(one), Self::Guid(another)) => Some(one.cmp(another)),
            (Self::String(one), Self::String(another)) => Some(one.cmp(another)),
            (_, _) => None,
        }
    }

    /// An order over all values of one property: null before everything. Source: OData v3 URL conventions §5.1.2.3.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        match (self.is_null(), other.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => self.compared(other).unwrap_or(Ordering::Equal),
        }
    }
}

macro_rules! from {
    ($($kind:ty => |$value:ident| $made:expr;)*) => {
        $(impl From<$kind> for Value {
            fn from($value: $kind) -> Self {
                $made
            }
        })*
    };
}

from! {
    bool => |truth| Self::Boolean(truth);
    Timestamp => |time| Self::DateTime(time);
    Uuid => |id| Self::Guid(id);
    i32 => |number| Self::Int32(number);
    u8 => |number| Self::Int32(i32::from(number));
    i64 => |number| Self::Int64(number);
    u32 => |number| Self::Int64(i64::from(number));
    u64 => |number| Self::Int64(i64::try_from(number).unwrap_or(i64::MAX));
    &str => |text| Self::String(text.into());
    Box<str> => |text| Self::String(text);
    String => |text| Self::String(text.into());
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// As it stands in a URL, not yet percent-encoded: `guid'…'`, `'it''s'`, `5L`. Source: OData v2 §6.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(truth) => write!(f, "{truth}"),
            Self::DateTime(time) => write!(f, "datetime'{}'", Iso(*time)),
            Self::Guid(id) => write!(f, "guid'{}'", id.as_hyphenated()),
            Self::Int32(number) => write!(f, "{number}"),
            Self::Int64(number) => write!(f, "{number}L"),
            Self::Null => f.write_str("null"),
            Self::String(text) => write!(f, "'{}'", text.replace('\'', "''")),
        }
    }
}

/// A point in time as `2026-11-21T08:00:00.5`, without a zone, which is UTC.
pub(super) struct Iso(pub(super) Timestamp);

impl fmt::Display for Iso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", TimeZone::UTC.to_datetime(self.0))
    }
}

/// Reads `2026-11-21T08:00[:00[.1234567]]` as UTC; with `Z` at its end as well if `zone`. Nothing else, although ISO 8601 has much more.
pub(super) fn parse_time(text: &str, zone: bool) -> Option<Timestamp> {
    let text = text.strip_suffix('Z').filter(|_| zone).unwrap_or(text);
    let (date, time) = text.split_once('T')?;
    let [year, month, day] = numbers(date, '-', &[4, 2, 2])?;
    let (clock, fraction) = time.split_once('.').map_or((time, None), |(clock, fraction)| (clock, Some(fraction)));
    let [hour, minute, second] = match fraction {
        None if clock.len() == 5 => numbers(&format!("{clock}:00"), ':', &[2, 2, 2])?,
        None | Some(_) => numbers(clock, ':', &[2, 2, 2])?,
    };
    let nanosecond = fraction.map_or(Some(0), nanoseconds)?;
    let small = |number: i32| i8::try_from(number).ok();
    let moment = civil::DateTime::new(
        i16::try_from(year).ok()?,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        nanosecond,
    );
    TimeZone::UTC.to_timestamp(moment.ok()?).ok()
}

fn nanoseconds(fraction: &str) -> Option<i32> {
    let digits = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| format!("{fraction:0<9}").parse().ok()).flatten()
}

fn numbers<const N: usize>(text: &str, separator: char, lengths: &[usize; N]) -> Option<[i32; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(separator);
    for (number, length) in numbers.iter_mut().zip(lengths) {
        let part = parts.next().filter(|part| part.len() == *length && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Reads a hyphenated GUID; nothing else, although `Uuid` also reads braces and the bare form.
pub(super) fn parse_guid(text: &str) -> Option<Uuid> {
    const HYPHENATED_LENGTH: usize = 36;
    (text.len() == HYPHENATED_LENGTH).then(|| Uuid::try_parse(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn time(text: &str, expected: Option<&str>) {
        assert_eq!(parse_time(text, false).map(|time| Iso(time).to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn a_time_has_one_form() {
        time("2026-11-21T08:00", Some("2026-11-21T08:00:00"));
        time("2026-11-21T08:00:01", Some("2026-11-21T08:00:01"));
        time("2026-11-21T08:00:01.1234567", Some("2026-11-21T08:00:01.1234567"));
        for wrong in [
            "",
            "2026-11-21",
            "2026-11-21 08:00",
            "2026-13-21T08:00",
            "2026-11-21T08:00Z",
            "2026-11-21T8:00",
            "2026-11-21T08:00:01.",
            "+026-11-21T08:00",
            "2026-11-21T08:00.5",
        ] {
            time(wrong, None);
        }
        assert_eq!(parse_time("2026-11-21T08:00:00Z", true), parse_time("2026-11-21T08:00:00", false));
    }

    #[test]
    fn values_of_different_kinds_do_not_compare() {
        assert_eq!(Value::from(5).compared(&Value::from(6_i64)), Some(Ordering::Less));
        assert_eq!(Value::from("5").compared(&Value::from(5)), None);
        assert_eq!(Value::from("a").order(&Value::Null), Ordering::Greater);
    }

    #[test]
    fn numbers_take_the_kind_that_they_fit() {
        assert_eq!(Value::from(5_i64).fitted(EdmKind::Int32), Value::Int32(5));
        assert_eq!(Value::from(i64::MAX).fitted(EdmKind::Int32), Value::Int64(i64::MAX));
        assert_eq!(Value::from("5").fitted(EdmKind::Int32), Value::from("5"));
    }
}
