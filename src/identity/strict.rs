//! Base64url and JSON without the freedoms that let two readers see two things.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Base64url without padding, white space or stray bits. Source: RFC 7515 §2.
pub(super) fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// One JSON object in which no object, at any depth, names a member twice.
///
/// # Errors
/// What `serde_json` says, or that a member is given twice.
pub(super) fn object(json: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    match serde_json::from_slice::<Unique>(json)?.0 {
        Value::Object(members) => Ok(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Err(de::Error::custom("not an object")),
    }
}

/// A value read without taking the last of several members with the same name, as `serde_json` does.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = elements.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some((name, Unique(value))) = members.next_entry::<String, Unique>()? {
            if values.insert(name, value).is_some() {
                return Err(de::Error::custom("a member is given twice"));
            }
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: Option<&str>) {
        let read = object(json.as_bytes()).ok().map(|members| Value::Object(members).to_string());
        assert_eq!(read.as_deref(), expected, "{json}");
    }

    #[test]
    fn an_object_with_unique_members_is_read_as_it_stands() {
        let all = r#"{"a":[1,-2,1.5,"x",true,null],"b":{"a":{}}}"#;
        check(all, Some(all));
        check(r#"{"a":1,"A":2}"#, Some(r#"{"a":1,"A":2}"#));
    }

    #[test]
    fn a_member_given_twice_is_refused_at_any_depth_and_in_any_spelling() {
        check(r#"{"a":1,"a":1}"#, None);
        check(r#"{"a":1,"\u0061":2}"#, None);
        check(r#"{"b":{"a":1,"a":2}}"#, None);
        check(r#"{"b":[{"a":1,"a":2}]}"#, None);
    }

    #[test]
    fn what_is_not_one_json_object_is_refused() {
        for json in ["", "1", "[]", "null", "{} {}", "{", r#"{"a":1e999}"#, r#"{"a":NaN}"#, r#"{"a":"\ud800"}"#, "{\"a\":1,}"] {
            check(json, None);
        }
        check(&format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200)), None);
    }

    #[test]
    fn a_value_that_json_does_not_have_is_refused_by_name() {
        let bytes = de::value::BytesDeserializer::<de::value::Error>::new(b"x");
        let refused = Unique::deserialize(bytes).err().unwrap();
        assert_eq!(refused.to_string(), "invalid type: byte array, expected JSON");
    }

    #[test]
    fn base64url_has_one_spelling() {
        assert_eq!(base64url("YQ"), Some(b"a".to_vec()));
        for text in ["YQ==", "YR", "Y", "YQ\n", "+/+/", "Y Q"] {
            assert_eq!(base64url(text), None, "{text:?}");
        }
    }
}
