//! Percent-escapes, decoded once and written where they are needed, and text in XML.

use std::borrow::Cow;

use crate::arm::percent;

use super::error::ODataError;
use super::model::shown;

/// The text that a path segment stands for.
///
/// # Errors
/// When it is none, or has control characters.
pub(super) fn decode_segment(segment: &str) -> Result<String, ODataError> {
    let refused = || ODataError::Encoding { text: shown(segment) };
    let bytes = percent::decode(segment).ok_or_else(refused)?;
    let text = String::from_utf8(bytes.into_owned()).map_err(|_cause| refused())?;
    if text.contains(char::is_control) { Err(refused()) } else { Ok(text) }
}

/// The text that a name or value of a query stands for. Here `+` is a blank, as HTML forms and client libraries write it.
///
/// # Errors
/// When it is none, or has control characters.
pub(super) fn decode_query(text: &str) -> Result<String, ODataError> {
    decode_segment(&text.replace('+', " "))
}

/// Writes `text` with everything as escapes but what means itself everywhere in a URL, and what keys are made of.
pub(super) fn push_encoded(url: &mut String, text: &str) {
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~!$'()*,=:@".contains(&byte);
        if plain { url.push(char::from(byte)) } else { percent::push_escaped(url, byte) }
    }
}

/// `text` for a query's value, where `=` does not stand for itself.
pub(super) fn encoded_value(text: &str) -> String {
    let mut url = String::with_capacity(text.len());
    push_encoded(&mut url, text);
    url.replace('=', "%3D")
}

/// `text` as XML can hold it, in an element or in an attribute: markup as references, and U+FFFD for what no XML may contain. Source: XML 1.0 §2.2.
pub(super) fn xml(text: &str) -> Cow<'_, str> {
    let special = |character: char| matches!(character, '<' | '>' | '&' | '"' | '\'' | '\u{fffe}' | '\u{ffff}') || character.is_control();
    if !text.contains(special) {
        return Cow::Borrowed(text);
    }
    let mut written = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '&' => written.push_str("&amp;"),
            '"' => written.push_str("&quot;"),
            '\'' => written.push_str("&#39;"),
            '\t' => written.push_str("&#9;"),
            '\n' => written.push_str("&#10;"),
            '\r' => written.push_str("&#13;"),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => written.push('\u{fffd}'),
            other => written.push(other),
        }
    }
    Cow::Owned(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(decode_query("a+b%2Bc%2527"), Ok("a b+c%27".to_owned()));
        assert_eq!(decode_segment("a+b"), Ok("a+b".to_owned()));
        assert!(decode_query("%0a").is_err());
    }

    #[test]
    fn no_text_can_leave_its_xml_element() {
        assert_eq!(xml("plain"), "plain");
        assert_eq!(xml("<a b=\"'&\">\r\n\u{0}\u{1b}\u{ffff}"), "&lt;a b=&quot;&#39;&amp;&quot;&gt;&#13;&#10;\u{fffd}\u{fffd}\u{fffd}");
    }

    #[test]
    fn what_was_encoded_is_decoded_to_the_same() {
        let text = "a/b?c#d&e=f+g h%i'j\u{e9}";
        let mut url = String::new();
        push_encoded(&mut url, text);
        assert_eq!(decode_segment(&url).unwrap(), text);
        assert_eq!(decode_query(&encoded_value(text)).unwrap(), text);
    }
}
