//! Texts that others chose, as records and consoles show them: short, and free of what would disturb the text around them.
//!
//! What is cut says so, how long it was and what its SHA-256 begins with, so that whoever has the whole text can tell that it is this one.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use aws_lc_rs::digest::{SHA256, digest};

/// A text that others chose, in a record: a name, an id, an action, why something failed.
pub const TEXT_BYTES_MAX: usize = 256;
/// Bytes of the SHA-256 that a mark of a cut shows.
const HASH_BYTES: usize = 8;
/// Of what is kept of a cut text, one part of so many is its end: verbs and names of resources stand there.
const END_SHARE: usize = 4;

/// Characters that are not seen or change how others are: format characters, separators of lines and paragraphs, tags. Control characters besides.
/// Source: Unicode Character Database, general categories Cf, Zl and Zp.
const UNSEEN: [RangeInclusive<char>; 19] = [
    '\u{ad}'..='\u{ad}',
    '\u{600}'..='\u{605}',
    '\u{61c}'..='\u{61c}',
    '\u{6dd}'..='\u{6dd}',
    '\u{70f}'..='\u{70f}',
    '\u{890}'..='\u{891}',
    '\u{8e2}'..='\u{8e2}',
    '\u{180e}'..='\u{180e}',
    '\u{200b}'..='\u{200f}',
    '\u{2028}'..='\u{202e}',
    '\u{2060}'..='\u{206f}',
    '\u{feff}'..='\u{feff}',
    '\u{fff9}'..='\u{fffb}',
    '\u{110bd}'..='\u{110bd}',
    '\u{110cd}'..='\u{110cd}',
    '\u{13430}'..='\u{1343f}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    '\u{e0001}'..='\u{e007f}',
];

/// A text in at most [`TEXT_BYTES_MAX`] bytes, with what disturbs escaped: `\u{1b}`.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    shown_within(TEXT_BYTES_MAX, text)
}

/// The same in at most so many bytes, of which there are at least 64: `/subscrip...[7012 bytes, sha256 0123456789abcdef]...es/read`.
#[must_use]
pub fn shown_within(bytes_max: usize, text: &str) -> Cow<'_, str> {
    if is_shown(bytes_max, text) {
        return Cow::Borrowed(text);
    }
    let (whole, is_cut) = beginning(text.chars(), bytes_max);
    Cow::Owned(if is_cut { cut(text, bytes_max) } else { whole.concat() })
}

/// The same of a text that is at hand.
#[must_use]
pub fn into_shown(text: impl AsRef<str> + Into<String>) -> String {
    if is_shown(TEXT_BYTES_MAX, text.as_ref()) { text.into() } else { shown(text.as_ref()).into_owned() }
}

/// Lines of JSON with what disturbs escaped as JSON escapes it: its values stay the same.
#[must_use]
pub fn shown_json(json: &str) -> Cow<'_, str> {
    let is_to_escape = |c: char| is_disturbing(c) && c != '\n';
    if !json.contains(is_to_escape) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_to_escape(c) {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// What nearly every text is.
fn is_shown(bytes_max: usize, text: &str) -> bool {
    text.len() <= bytes_max && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn is_disturbing(c: char) -> bool {
    c.is_control() || UNSEEN.iter().any(|range| range.contains(&c))
}

fn escaped(c: char) -> String {
    if is_disturbing(c) { c.escape_unicode().collect() } else { c.into() }
}

/// What comes first of these and has room, and whether something has none.
fn beginning(characters: impl Iterator<Item = char>, bytes_max: usize) -> (Vec<String>, bool) {
    let (mut kept, mut left) = (Vec::new(), bytes_max);
    for piece in characters.map(escaped) {
        match left.checked_sub(piece.len()) {
            Some(rest) => left = rest,
            None => return (kept, true),
        }
        kept.push(piece);
    }
    (kept, false)
}

fn cut(text: &str, bytes_max: usize) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    let hash: String = hash.as_ref().iter().take(HASH_BYTES).map(|byte| format!("{byte:02x}")).collect();
    let mark = format!("...[{} bytes, sha256 {hash}]...", text.len());
    let room = bytes_max.saturating_sub(mark.len());
    let (first, _) = beginning(text.chars(), room - room / END_SHARE);
    let (mut last, _) = beginning(text.chars().rev(), room / END_SHARE);
    last.reverse();
    [first.concat(), mark, last.concat()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_usual_length_stays_and_a_longer_one_is_marked_where_it_is_cut() {
        for text in ["", " a~", "Deniz \"D\" Aydın", "शर्मा 😀", &"x".repeat(256), &"ö".repeat(128)] {
            assert_eq!(shown(text), text);
            assert_eq!(into_shown(text), text);
        }
        let long = format!("/{}/read", "x".repeat(7_000));
        let cut = shown(&long);
        let hash: String = crate::record::audit::Hash::of(long.as_bytes()).to_string().chars().take(16).collect();
        assert!(cut.starts_with("/xxx") && cut.ends_with("xxx/read"), "{cut}");
        assert!(cut.contains(&format!("xxx...[7006 bytes, sha256 {hash}]...xxx")), "{cut}");
        assert_eq!(cut.len(), 256);
        assert_eq!(shown(&cut), cut, "a text is cut once");
        for just_too_long in ["x".repeat(257), "ö".repeat(129), "\u{1b}".repeat(43), "😀".repeat(65)] {
            let cut = shown(&just_too_long);
            assert!(cut.contains(" bytes, sha256 ") && (240..=256).contains(&cut.len()), "{cut}");
        }
        assert_eq!(shown_within(1_024, &"x".repeat(1_024)).len(), 1_024);
        assert!(shown_within(1_024, &"x".repeat(1_025)).contains("[1025 bytes, "));
        let (one, other) = (shown(&long).into_owned(), shown(&long.replacen("xx", "xy", 1)).into_owned());
        assert_ne!(one, other, "what is alike at both ends can be told apart");
        let inner = |at: usize| format!("{}y{}", "x".repeat(at), "x".repeat(6_000 - at));
        assert_ne!(shown(&inner(2_000)), shown(&inner(2_001)));
    }

    #[test]
    fn what_forges_lines_colours_or_directions_is_escaped() {
        for (text, expected) in [
            ("x\r\nX-Evil: 1\u{1b}[31m\u{202e}\u{7}", r"x\u{d}\u{a}X-Evil: 1\u{1b}[31m\u{202e}\u{7}"),
            ("a\u{9b}b\u{7f}\u{0}\t", r"a\u{9b}b\u{7f}\u{0}\u{9}"),
            ("\u{200b}\u{200f}\u{2066}\u{2069}\u{feff}\u{2028}\u{ad}", r"\u{200b}\u{200f}\u{2066}\u{2069}\u{feff}\u{2028}\u{ad}"),
            ("\u{e0041}\u{61c}", r"\u{e0041}\u{61c}"),
        ] {
            assert_eq!(shown(text), expected);
            assert_eq!(into_shown(text), expected);
        }
    }

    #[test]
    fn escaped_json_says_the_same_on_as_many_lines() {
        let value = serde_json::json!({ "name": "x\u{7f}\u{202e}\u{9b}\u{e0041}\n\"ö😀", "other": [1] });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = shown_json(&text);
        assert!(!shown.chars().any(|c| is_disturbing(c) && c != '\n'), "{shown}");
        assert_eq!((serde_json::from_str::<serde_json::Value>(&shown).unwrap(), shown.lines().count()), (value, text.lines().count()));
        assert!(matches!(shown_json("{}\n"), Cow::Borrowed("{}\n")));
    }
}
