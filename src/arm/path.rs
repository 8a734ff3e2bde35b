//! The one canonical form of a request path: what is judged is what is forwarded.
//!
//! A path that a backend could read in a second way is refused, never repaired. Two habits of real clients are put straight
//! instead: empty segments (`az` writes `Microsoft.Compute//virtualMachines`) and one layer of percent-escapes.

use std::borrow::Cow;
use std::fmt;

use super::percent;

/// Bytes of the longest path that is read. Azure answers 414 well before.
pub const PATH_BYTES_MAX: usize = 8 * 1024;

/// Segments of the deepest path that is read; the deepest Azure resource has about 24.
pub const SEGMENTS_MAX: usize = 64;

/// How much of a refused segment an error shows, in characters.
const SHOWN_MAX: usize = 64;

/// An absolute path with one spelling: no empty segment, no trailing slash, every escape decoded once and written again only
/// where RFC 3986 asks for it. The casing is the caller's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CanonicalPath {
    text: Box<str>,
    /// Decoded segments, each after a slash; a decoded segment never contains one itself.
    decoded: Box<str>,
}

/// Why a path has no canonical form. `segment` is as it was sent, shortened, with unprintable characters escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A backslash, which some servers take for a slash.
    #[error("the path segment `{segment}` contains a backslash; use `/` between segments")]
    Backslash {
        /// The segment at fault.
        segment: String,
    },
    /// A segment begins or ends with a blank, or ends with a dot: some servers drop both.
    #[error("the path segment `{segment}` begins or ends with a blank or ends with a dot; no resource has such a name")]
    BlankOrDotAtEdge {
        /// The segment at fault.
        segment: String,
    },
    /// A control character.
    #[error("the path segment `{segment}` contains a control character")]
    Control {
        /// The segment at fault.
        segment: String,
    },
    /// `;`, `#` or `?`, which end a segment or a path for some servers.
    #[error("the path segment `{segment}` contains `{character}`, which servers read in different ways")]
    Delimiter {
        /// The segment at fault.
        segment: String,
        /// The character at fault, decoded.
        character: char,
    },
    /// `.` or `..`, plain or encoded.
    #[error("the path segment `{segment}` is a dot segment; send the path it resolves to")]
    DotSegment {
        /// The segment at fault.
        segment: String,
    },
    /// A `%` is left after decoding: the segment was encoded twice.
    #[error("the path segment `{segment}` is percent-encoded twice; encode it once")]
    DoubleEncoded {
        /// The segment at fault.
        segment: String,
    },
    /// `%2F`: a slash inside a segment.
    #[error("the path segment `{segment}` contains an encoded slash; names contain no slash")]
    EncodedSeparator {
        /// The segment at fault.
        segment: String,
    },
    /// A `%` without two hexadecimal digits.
    #[error("the path segment `{segment}` contains a `%` that is not followed by two hexadecimal digits")]
    Escape {
        /// The segment at fault.
        segment: String,
    },
    /// A character outside ASCII, plain or encoded.
    #[error("the path segment `{segment}` contains a character outside ASCII; ids and names are ASCII")]
    NonAscii {
        /// The segment at fault.
        segment: String,
    },
    /// The path does not begin with a slash.
    #[error("the path does not begin with `/`")]
    NotAbsolute,
    /// More than [`PATH_BYTES_MAX`] bytes.
    #[error("the path has {length} bytes; allowed: {PATH_BYTES_MAX}")]
    TooLong {
        /// Bytes of the path.
        length: usize,
    },
    /// More than [`SEGMENTS_MAX`] segments.
    #[error("the path has more than {SEGMENTS_MAX} segments")]
    TooManySegments,
}

impl CanonicalPath {
    /// The canonical form of the path of a request target, without the query.
    ///
    /// # Errors
    /// When the path is not absolute, too long or too deep, or a segment could be read in two ways.
    pub fn parse(raw: &str) -> Result<Self, PathError> {
        check_length(raw)?;
        let rest = raw.strip_prefix('/').ok_or(PathError::NotAbsolute)?;
        let mut text = String::with_capacity(raw.len());
        let mut decoded = String::with_capacity(raw.len());
        for (before, segment) in rest.split('/').filter(|segment| !segment.is_empty()).enumerate() {
            if before == SEGMENTS_MAX {
                return Err(PathError::TooManySegments);
            }
            let name = decode(segment)?;
            decoded.push('/');
            decoded.push_str(&name);
            text.push('/');
            push_encoded(&mut text, &name);
        }
        if text.is_empty() {
            text.push('/');
        }
        check_length(&text)?;
        Ok(Self { text: text.into(), decoded: decoded.into() })
    }

    /// The text that is forwarded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The decoded segments, in order; none for `/`.
    pub fn segments(&self) -> impl Iterator<Item = &str> + Clone {
        self.decoded.split('/').skip(1)
    }

    /// The segments before and behind the last one that is this word, in any case.
    pub fn split_at_last(&self, word: &str) -> Option<(impl Iterator<Item = &str>, impl Iterator<Item = &str>)> {
        let mut end = self.decoded.len();
        loop {
            let (before, segment) = self.decoded.get(..end)?.rsplit_once('/')?;
            if segment.eq_ignore_ascii_case(word) {
                return Some((before.split('/').skip(1), self.decoded.get(end..)?.split('/').skip(1)));
            }
            end = before.len();
        }
    }
}

impl fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

const fn check_length(text: &str) -> Result<(), PathError> {
    if text.len() > PATH_BYTES_MAX { Err(PathError::TooLong { length: text.len() }) } else { Ok(()) }
}

fn decode(segment: &str) -> Result<Cow<'_, str>, PathError> {
    let shown = || segment.chars().take(SHOWN_MAX).flat_map(char::escape_default).collect::<String>();
    let name = match percent::decode(segment) {
        None => return Err(PathError::Escape { segment: shown() }),
        Some(Cow::Borrowed(_)) => Cow::Borrowed(segment),
        Some(Cow::Owned(bytes)) => {
            if !bytes.is_ascii() {
                return Err(PathError::NonAscii { segment: shown() });
            }
            Cow::Owned(bytes.into_iter().map(char::from).collect())
        }
    };
    for character in name.chars() {
        match character {
            '/' => return Err(PathError::EncodedSeparator { segment: shown() }),
            '%' => return Err(PathError::DoubleEncoded { segment: shown() }),
            '\\' => return Err(PathError::Backslash { segment: shown() }),
            ';' | '#' | '?' => return Err(PathError::Delimiter { segment: shown(), character }),
            _ if character.is_control() => return Err(PathError::Control { segment: shown() }),
            _ if !character.is_ascii() => return Err(PathError::NonAscii { segment: shown() }),
            _ => {}
        }
    }
    match &*name {
        "." | ".." => Err(PathError::DotSegment { segment: shown() }),
        other if other.ends_with(['.', ' ']) || other.starts_with(' ') => Err(PathError::BlankOrDotAtEdge { segment: shown() }),
        _ => Ok(name),
    }
}

/// Writes a decoded segment with what RFC 3986 allows in one (`pchar`) as it is and the rest as escapes.
fn push_encoded(text: &mut String, name: &str) {
    for byte in name.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte);
        if plain { text.push(char::from(byte)) } else { percent::push_escaped(text, byte) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(raw: &str, expected: &str) {
        let path = CanonicalPath::parse(raw).unwrap();
        assert_eq!(path.as_str(), expected, "{raw}");
        assert_eq!(CanonicalPath::parse(expected).unwrap(), path, "{raw} is not stable");
    }

    #[track_caller]
    fn refused(raw: &str, kind: fn(String) -> PathError, segment: &str) {
        assert_eq!(CanonicalPath::parse(raw), Err(kind(segment.to_owned())), "{raw}");
    }

    #[test]
    fn empty_segments_and_a_trailing_slash_are_dropped() {
        check("/", "/");
        check("//", "/");
        check("//metadata/endpoints", "/metadata/endpoints");
        check("/a//b/", "/a/b");
        check("/providers/Microsoft.Compute//virtualMachines/vm", "/providers/Microsoft.Compute/virtualMachines/vm");
    }

    #[test]
    fn escapes_are_decoded_once_and_casing_is_kept() {
        check("/resourceGroups/My%20Group", "/resourceGroups/My%20Group");
        check("/%72esourceGroups/a%28b%29", "/resourceGroups/a(b)");
        check("/a/%7Bx%7d", "/a/%7Bx%7D");
        let path = CanonicalPath::parse("/RESOURCEgroups//My%20Group/").unwrap();
        assert_eq!(path.segments().collect::<Vec<_>>(), ["RESOURCEgroups", "My Group"]);
        assert_eq!(CanonicalPath::parse("/").unwrap().segments().count(), 0);
    }

    #[test]
    fn what_has_two_readings_is_refused_with_the_part_at_fault() {
        refused("/a/../b", |segment| PathError::DotSegment { segment }, "..");
        refused("/a/./b", |segment| PathError::DotSegment { segment }, ".");
        refused("/a/%2e%2E/b", |segment| PathError::DotSegment { segment }, "%2e%2E");
        refused("/a/b%2Fc", |segment| PathError::EncodedSeparator { segment }, "b%2Fc");
        refused("/a/b%5cc", |segment| PathError::Backslash { segment }, "b%5cc");
        refused("/a/b\\c", |segment| PathError::Backslash { segment }, "b\\\\c");
        refused("/a/b%252e", |segment| PathError::DoubleEncoded { segment }, "b%252e");
        refused("/a/%00", |segment| PathError::Control { segment }, "%00");
        refused("/a/\u{1b}[31m", |segment| PathError::Control { segment }, "\\u{1b}[31m");
        refused("/a/x;v=1", |segment| PathError::Delimiter { segment, character: ';' }, "x;v=1");
        refused("/a/x%3Fy", |segment| PathError::Delimiter { segment, character: '?' }, "x%3Fy");
        refused("/a/x%23y", |segment| PathError::Delimiter { segment, character: '#' }, "x%23y");
        refused("/a/%zz", |segment| PathError::Escape { segment }, "%zz");
        refused("/a/%4", |segment| PathError::Escape { segment }, "%4");
        refused("/a/%c3%a9", |segment| PathError::NonAscii { segment }, "%c3%a9");
        refused("/a/\u{2025}", |segment| PathError::NonAscii { segment }, "\\u{2025}");
        refused("/a/prod.", |segment| PathError::BlankOrDotAtEdge { segment }, "prod.");
        refused("/a/prod%20", |segment| PathError::BlankOrDotAtEdge { segment }, "prod%20");
        refused("/a/%20prod", |segment| PathError::BlankOrDotAtEdge { segment }, "%20prod");
    }

    #[test]
    fn length_and_depth_are_bounded() {
        assert_eq!(CanonicalPath::parse("subscriptions"), Err(PathError::NotAbsolute));
        assert_eq!(CanonicalPath::parse(""), Err(PathError::NotAbsolute));
        check(&"/a".repeat(SEGMENTS_MAX), &"/a".repeat(SEGMENTS_MAX));
        assert_eq!(CanonicalPath::parse(&"/a".repeat(SEGMENTS_MAX + 1)), Err(PathError::TooManySegments));
        let long = format!("/{}", "a".repeat(PATH_BYTES_MAX));
        assert_eq!(CanonicalPath::parse(&long), Err(PathError::TooLong { length: PATH_BYTES_MAX + 1 }));
        // Three times as long once it is escaped as it must be.
        let swelling = format!("/{}", "{".repeat(PATH_BYTES_MAX / 2));
        assert!(matches!(CanonicalPath::parse(&swelling), Err(PathError::TooLong { .. })));
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_its_own_canonical_form(raw in "(/{1,2}([a-zA-Z0-9.;?# %()\\\\{}\u{e9}\u{1}-]|%[0-9a-fA-F]{2}){0,6}){0,6}") {
            if let Ok(path) = CanonicalPath::parse(&raw) {
                let again = CanonicalPath::parse(path.as_str());
                prop_assert_eq!(again.as_ref(), Ok(&path));
                prop_assert!(path.segments().all(|segment| !segment.is_empty() && !segment.contains(['/', '%', '\\', ';', '#', '?'])));
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(raw in any::<String>()) {
            let _unread = CanonicalPath::parse(&raw).is_ok();
            let _unread_absolute = CanonicalPath::parse(&format!("/{raw}")).is_ok();
        }
    }
}
