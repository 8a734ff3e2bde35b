//! Texts that others chose, on a page or in an address. They are escaped by the templates; here they lose what would disturb the text around them.

use std::fmt::{self, Write as _};

use serde_json::Value;

use crate::clock::Timestamp;

/// A text that somebody else chose. Printed, it holds no control characters and none that turn the direction of writing; [`Text::raw`] is what was sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Text(Box<str>);

impl Text {
    /// The text at this JSON pointer; empty when there is none.
    pub(super) fn at(value: &Value, pointer: &str) -> Self {
        value.pointer(pointer).and_then(Value::as_str).map(Self::from).unwrap_or_default()
    }

    pub(super) const fn raw(&self) -> &str {
        &self.0
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This text, or the other one if this one is empty.
    pub(super) fn or(self, other: &Self) -> Self {
        if self.is_empty() { other.clone() } else { self }
    }

    /// This text as a moment, in the one form that pages show.
    pub(super) fn as_time(&self) -> Self {
        self.0.parse::<Timestamp>().map_or_else(|_cause| self.clone(), time)
    }

    /// Up to two letters that stand for a name.
    pub(super) fn initials(&self) -> String {
        let words = self.0.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.take(2).filter_map(|word| word.chars().next()).flat_map(char::to_uppercase).collect()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| f.write_char(if disturbs(c) { char::REPLACEMENT_CHARACTER } else { c }))
    }
}

/// Control characters, and those that mark or turn the direction. Source: Unicode Standard Annex 9, "Explicit Directional …"; line ends may stay.
fn disturbs(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
        || (c.is_control() && !matches!(c, '\n' | '\t'))
}

/// A moment: `2026-11-21 13:48:32 UTC`.
pub(super) fn time(at: Timestamp) -> Text {
    Text::from(at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// MiB with the unit that keeps the figure short.
pub(super) fn memory(mib: u64) -> String {
    if mib >= 1024 { format!("{} GiB", decimal(mib, 1024)) } else { format!("{mib} MiB") }
}

/// `amount / unit` with one digit after the point, if it is not zero.
pub(super) fn decimal(amount: u64, unit: u64) -> String {
    let tenths = u128::from(amount) * 10 / u128::from(unit.max(1));
    match (tenths / 10, tenths % 10) {
        (whole, 0) => whole.to_string(),
        (whole, tenth) => format!("{whole}.{tenth}"),
    }
}

/// A name as one segment of a path. Source: RFC 3986 §2.3, only unreserved characters stay.
pub(super) fn segment(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The name that a segment of a path stands for; none for what is no text or would be read as a step in a path.
pub(super) fn name_of(segment: &str) -> Option<String> {
    // In a path a plus is a plus.
    let name = crate::form::decoded(segment.replace('+', "%2B").as_bytes())?;
    (!matches!(name.as_str(), "" | "." | "..") && !name.contains(['/', '\\', '\0'])).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_turn_the_writing_around_it() {
        assert_eq!(Text::from("a\u{202e}b\u{7}c\n").to_string(), "a\u{fffd}b\u{fffd}c\n");
        assert_eq!(Text::from("a\u{202e}b").raw(), "a\u{202e}b");
        assert_eq!(Text::from("Anna Öst-Berg").initials(), "AÖ");
        assert_eq!(Text::from("<>").initials(), "");
    }

    #[test]
    fn figures_are_short() {
        assert_eq!((memory(512), memory(4096), memory(1536)), ("512 MiB".to_owned(), "4 GiB".to_owned(), "1.5 GiB".to_owned()));
        assert_eq!((decimal(7200, 3600), decimal(90, 3600), decimal(5, 0)), ("2".to_owned(), "0".to_owned(), "5".to_owned()));
        assert_eq!(Text::from("2026-11-21T13:48:32.5Z").as_time().raw(), "2026-11-21 13:48:32 UTC");
        assert_eq!(Text::from("soon").as_time().raw(), "soon");
    }

    #[test]
    fn a_name_survives_its_way_through_a_path() {
        for name in ["app-01", "a b", "a+b", "ä<script>", "\u{202e}x", "%2F"] {
            assert_eq!(name_of(&segment(name)).as_deref(), Some(name));
        }
        for hostile in ["", ".", "..", "%2e%2E", "a%2fb", "a%5Cb", "%ff", "%0", "%00"] {
            assert_eq!(name_of(hostile), None, "{hostile}");
        }
    }
}
