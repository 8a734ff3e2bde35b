//! JSON text that cannot be read in two ways, and values to JSON text that clients can read whatever happens.

use std::fmt;

use serde::Serialize;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The value as JSON. A value that cannot be written, which none of ours is, becomes an error that clients can read.
pub fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_cause| UNWRITABLE.to_owned())
}

/// Bytes of the value as JSON text.
#[must_use]
pub fn length(value: &impl Serialize) -> usize {
    let mut counted = Counted(0);
    // Nothing is written that could fail; of a value that cannot be written there is no more to count.
    serde_json::to_writer(&mut counted, value).map_or(UNWRITABLE.len(), |()| counted.0)
}

struct Counted(usize);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Appends a text in quotation marks; one that needs no escapes, as nearly all do, is copied as it is.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes()) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(self::text(&text).as_bytes());
    }
}

/// Whether a text stands in JSON as it is.
#[must_use]
pub fn is_plain(text: &[u8]) -> bool {
    text.iter().fold(true, |plain, byte| plain & (*byte >= 0x20) & (*byte != b'"') & (*byte != b'\\'))
}

/// Appends a name, with what stands around it, and a text.
pub fn push_member(out: &mut Vec<u8>, name: &[u8], text: &str) {
    out.extend_from_slice(name);
    push_text(out, text);
}

const UNWRITABLE: &str = r#"{"error":{"code":"InternalServerError","message":"the answer could not be written"}}"#;

/// Objects and arrays inside each other in a document that somebody sends. What clients make has less than ten.
pub const DEPTH_MAX: usize = 64;

/// Names and values together in a document that somebody sends. The largest that clients make have some ten thousand.
pub const VALUES_MAX: usize = 100_000;

/// A document with more than [`VALUES_MAX`] names and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are more than {VALUES_MAX} names and values in it; send it in parts")]
pub struct TooManyValues;

/// Refuses a document that has more names and values than may be, before anybody reads it. An empty object or array counts as two.
///
/// # Errors
/// When there are more.
pub fn bounded(text: &[u8]) -> Result<(), TooManyValues> {
    // Each but the first takes a byte that says so.
    let is_bounded = text.len() < VALUES_MAX || marks(text) < VALUES_MAX;
    if is_bounded { Ok(()) } else { Err(TooManyValues) }
}

/// The bytes in front of a name or value that are in no text.
fn marks(text: &[u8]) -> usize {
    let (mut marks, mut rest) = (0, text.iter());
    while let Some(byte) = rest.next() {
        match byte {
            b'{' | b'[' | b',' | b':' => marks += 1,
            b'"' => rest = behind_text(rest.as_slice()).iter(),
            _ => {}
        }
    }
    marks
}

/// What follows a text, of which the first quotation mark was read.
fn behind_text(text: &[u8]) -> &[u8] {
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
        let is_escape = rest.get(at) == Some(&b'\\');
        rest = rest.get(at + 1 + usize::from(is_escape)..).unwrap_or_default();
        if !is_escape {
            return rest;
        }
    }
    &[]
}

/// Reads JSON in which no object has a name twice: of two, one reader keeps the first and another the last.
///
/// # Errors
/// When it is no such JSON, more than [`DEPTH_MAX`] deep, or has more than [`VALUES_MAX`] names and values.
pub fn strict(text: &[u8]) -> serde_json::Result<Value> {
    strict_within(DEPTH_MAX, text)
}

/// So deep the reader itself goes, whoever asks.
pub const READER_DEPTH_MAX: usize = 127;

/// The same where more may be inside each other.
///
/// # Errors
/// When it is no such JSON, or deeper.
pub fn strict_within(depth_max: usize, text: &[u8]) -> serde_json::Result<Value> {
    bounded(text).map_err(de::Error::custom)?;
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict { depth_left: depth_max }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// A value whose objects have no name twice.
#[derive(Clone, Copy)]
struct Strict {
    depth_left: usize,
}

impl Strict {
    /// For what is inside of an object or array.
    fn inside<E: de::Error>(self) -> Result<Self, E> {
        let depth_left = self.depth_left.checked_sub(1).ok_or_else(|| E::custom("too many objects and arrays inside each other"))?;
        Ok(Self { depth_left })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let (inside, mut array) = (self.inside()?, Vec::new());
        while let Some(item) = items.next_element_seed(inside)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let (inside, mut object) = (self.inside()?, Map::new());
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(inside)?;
            if object.insert(name, value).is_some() {
                return Err(de::Error::custom("a name that its object has already; remove one of the two"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_have_as_many_names_and_values_as_allowed_and_no_more() {
        let list = |values: usize| format!("[{}1]", "1,".repeat(values - 2));
        // Of three each: one of two texts, and the mark in front.
        let pairs = |values: usize| {
            let pairs: Vec<String> = (1..values / 2).map(|number| format!(r#""{number:x}":"[{{:,\\\"[{{:,\\\\""#)).collect();
            format!("{{{}, \"0\":[0]}}", pairs.join(","))
        };
        for (text, is_read) in [
            (list(VALUES_MAX), true),
            (list(VALUES_MAX + 1), false),
            (pairs(VALUES_MAX - 2), true),
            (pairs(VALUES_MAX), false),
            (format!("\"{}\"", "[".repeat(2 * VALUES_MAX)), true),
            ("[".repeat(2 * VALUES_MAX), false),
        ] {
            assert_eq!(bounded(text.as_bytes()).is_ok(), is_read, "{}", text.len());
            assert_eq!(strict(text.as_bytes()).is_ok(), is_read, "{}", text.len());
        }
        for unended in ["\"", "\"\\", "\"\\\"", "\"[,"] {
            assert_eq!(marks(unended.as_bytes()), 0, "{unended}");
        }
    }

    #[test]
    fn documents_are_as_deep_as_allowed_and_no_deeper() {
        let arrays = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        for (depth, is_read) in [(1, true), (DEPTH_MAX, true), (DEPTH_MAX + 1, false), (100_000, false)] {
            for text in [arrays(depth), objects(depth)] {
                assert_eq!(strict(text.as_bytes()).is_ok(), is_read, "{depth}");
            }
        }
        assert!(strict(format!("[{},{}]", arrays(DEPTH_MAX - 1), arrays(DEPTH_MAX - 1)).as_bytes()).is_ok(), "beside each other");
        assert!(strict_within(100, arrays(100).as_bytes()).is_ok());
        assert!(strict_within(100, arrays(101).as_bytes()).is_err());
    }
}
