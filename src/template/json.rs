//! Template text to a JSON value: comments and strings over several lines are read as the anchor reads them. A name that stands twice
//! in one object is refused, because two readers may keep different ones.

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::error::{Reason, TemplateError};
use super::limits;

/// Reads the text of a template or of a parameters file.
///
/// # Errors
/// When the text is longer than [`limits::TEMPLATE_BYTES_MAX`] or is not JSON.
pub(super) fn parse(text: &str) -> Result<Value, TemplateError> {
    if text.len() > limits::TEMPLATE_BYTES_MAX {
        let max = u64::try_from(limits::TEMPLATE_BYTES_MAX).unwrap_or(u64::MAX);
        return Err(TemplateError::new("$", Reason::Limit { what: "bytes of text", max }));
    }
    strict(&plain(text)).map_err(|cause| TemplateError::new("$", reason(&cause)))
}

/// Reads JSON without comments, in which no object has a name twice.
///
/// # Errors
/// When it is no such JSON.
pub(super) fn strict(text: &str) -> serde_json::Result<Value> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// What the parser says, without the text it stopped at.
pub(super) fn reason(cause: &serde_json::Error) -> Reason {
    let whole = cause.to_string();
    let problem = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(problem, _)| problem).to_owned();
    Reason::Json { line: cause.line(), column: cause.column(), problem }
}

#[derive(Clone, Copy)]
enum State {
    Code,
    Text,
    Escape,
    Line,
    Block,
}

/// The text of a request that carries a template: as [`parse`], and names may stand without quotes, as the Azure CLI writes `template:`.
///
/// # Errors
/// The same as [`parse`].
pub(super) fn parse_request(text: &str) -> Result<Value, TemplateError> {
    if text.len() > limits::TEMPLATE_BYTES_MAX {
        return parse(text);
    }
    parse(&quoted(&plain(text)))
}

/// Quotes for names that stand in an object without. What is no name is left for the parser to refuse.
fn quoted(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len() + 2);
    let mut rest = plain;
    let (mut in_text, mut before) = (false, ' ');
    while let Some(c) = rest.chars().next() {
        let word = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '$').next().unwrap_or_default();
        let is_name = !in_text
            && matches!(before, '{' | ',')
            && !word.is_empty()
            && !c.is_ascii_digit()
            && rest.trim_start_matches(word).trim_start().starts_with(':');
        let taken = if is_name { word.len() } else { c.len_utf8() };
        let (head, tail) = rest.split_at(taken);
        match is_name {
            true => out.extend(["\"", head, "\""]),
            false => out.push_str(head),
        }
        match (in_text, c) {
            (true, '\\') => {
                // Whatever is escaped, it does not end the text.
                let escaped = tail.chars().next().map_or(0, char::len_utf8);
                let (escaped, tail) = tail.split_at(escaped);
                out.push_str(escaped);
                rest = tail;
                continue;
            }
            (_, '"') => in_text = !in_text,
            _ => {}
        }
        if !c.is_whitespace() {
            before = c;
        }
        rest = tail;
    }
    out
}

/// The same text with spaces for comments and `\n` for line breaks inside strings. Lines and columns of what is left stay, but for
/// columns after a broken string.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut state = State::Code;
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    while let Some(c) = rest.next() {
        let next = rest.peek().copied();
        state = match (state, c) {
            (State::Code, '"') => push(&mut out, c, State::Text),
            (State::Code, '/') if next == Some('/') => push(&mut out, ' ', State::Line),
            (State::Code, '/') if next == Some('*') => {
                rest.next();
                out.push(' ');
                push(&mut out, ' ', State::Block)
            }
            (State::Code, _) | (State::Line, '\n') => push(&mut out, c, State::Code),
            (State::Text, '"') => push(&mut out, c, State::Code),
            (State::Text, '\\') => push(&mut out, c, State::Escape),
            (State::Text, '\n') => broken(&mut out, "\\n"),
            (State::Text, '\r') => broken(&mut out, "\\r"),
            (State::Text, '\t') => broken(&mut out, "\\t"),
            (State::Text | State::Escape, _) => push(&mut out, c, State::Text),
            (State::Block, '*') if next == Some('/') => {
                rest.next();
                out.push(' ');
                push(&mut out, ' ', State::Code)
            }
            (State::Block, '\n') => push(&mut out, c, State::Block),
            (State::Line, _) => push(&mut out, ' ', State::Line),
            (State::Block, _) => push(&mut out, ' ', State::Block),
        };
    }
    out
}

fn push(out: &mut String, c: char, next: State) -> State {
    out.push(c);
    next
}

fn broken(out: &mut String, escape: &str) -> State {
    out.push_str(escape);
    State::Text
}

/// A value whose objects have no name twice.
#[derive(Clone, Copy)]
struct Strict;

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
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(Self)?;
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
    fn a_request_may_hold_names_without_quotes_as_the_azure_cli_writes_them() {
        let text = r#"{"properties": {"mode": "a, b: {c:", "list": [true, null], template:{ // what it is
            "x": "\\\", y:", $schema : 1 }}}"#;
        let read = parse_request(text).unwrap();
        assert_eq!(read["properties"]["template"]["$schema"], 1);
        assert_eq!(read["properties"]["template"]["x"], "\\\", y:");
        assert_eq!(read["properties"]["mode"], "a, b: {c:");
        for broken in ["{a}", "{1:2}", "{a b: 1}", "[a: 1]", "{a:: 1}", "template"] {
            assert!(parse_request(broken).is_err(), "{broken}");
        }
    }
}
