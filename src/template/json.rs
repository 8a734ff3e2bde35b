//! Template text to a JSON value: comments and strings over several lines are read as the anchor reads them. A name that stands twice
//! in one object is refused, because two readers may keep different ones.

use serde_json::Value;

use super::error::{Reason, TemplateError};
use super::limits;
use crate::json;

/// Reads the text of a template or of a parameters file.
///
/// # Errors
/// When the text is longer than [`limits::TEMPLATE_BYTES_MAX`] or is not JSON.
pub(super) fn parse(text: &str) -> Result<Value, TemplateError> {
    if text.len() > limits::TEMPLATE_BYTES_MAX {
        let max = u64::try_from(limits::TEMPLATE_BYTES_MAX).unwrap_or(u64::MAX);
        return Err(TemplateError::new("$", Reason::Limit { what: "bytes of text", max }));
    }
    json::strict_within(json::READER_DEPTH_MAX, plain(text).as_bytes()).map_err(|cause| TemplateError::new("$", reason(&cause)))
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
