//! The one canonical form of a request path: what is judged is what is forwarded.
//!
//! A path that a backend could read in a second way is refused, never repaired. Two habits of real clients are put straight
//! instead: empty segments (`az` writes `Microsoft.Compute//virtualMachines`) and one layer of percent-escapes.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

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
    /// The decoded segments, each after a slash, where they are not the text itself; a decoded segment never contains a slash.
    decoded: Option<Box<str>>,
    /// Where each of the decoded segments ends.
    ends: Box<[u16]>,
}

const _: () = assert!(PATH_BYTES_MAX <= u16::MAX as usize, "ends of segments fit");

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
        if let Some(ends) = ends_of_canonical(raw) {
            return Ok(Self { text: raw.into(), decoded: None, ends });
        }
        let rest = raw.strip_prefix('/').ok_or(PathError::NotAbsolute)?;
        let mut text = String::with_capacity(raw.len());
        let mut decoded = String::with_capacity(raw.len());
        let mut ends = Vec::new();
        for segment in rest.split('/').filter(|segment| !segment.is_empty()) {
            if ends.len() == SEGMENTS_MAX {
                return Err(PathError::TooManySegments);
            }
            let name = decode(segment)?;
            decoded.push('/');
            decoded.push_str(&name);
            ends.push(u16::try_from(decoded.len()).map_err(|_more_than_allowed| PathError::TooLong { length: raw.len() })?);
            text.push('/');
            push_encoded(&mut text, &name);
        }
        if text.is_empty() {
            text.push('/');
        }
        check_length(&text)?;
        let decoded = (decoded != text).then(|| decoded.into());
        Ok(Self { text: text.into(), decoded, ends: ends.into() })
    }

    /// The text that is forwarded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The decoded segments, in order; none for `/`.
    pub fn segments(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        self.segments_in(0..self.ends.len())
    }

    /// The segments before and behind the one at this place.
    pub fn split_at(&self, place: usize) -> (impl ExactSizeIterator<Item = &str> + Clone, impl ExactSizeIterator<Item = &str> + Clone) {
        let behind = self.ends.len().min(place + 1);
        (self.segments_in(0..place.min(behind)), self.segments_in(behind..self.ends.len()))
    }

    fn segments_in(&self, places: Range<usize>) -> impl ExactSizeIterator<Item = &str> + Clone {
        places.map(|place| self.segment(place))
    }

    /// One of the segments there are.
    fn segment(&self, place: usize) -> &str {
        let end = |place: usize| self.ends.get(place).copied().map_or(0, usize::from);
        let from = if place == 0 { 0 } else { end(place - 1) };
        self.decoded.as_deref().unwrap_or(&self.text).get(from + 1..end(place)).unwrap_or_default()
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

/// Where the segments end of a path that is canonical as it stands, which nearly all are: it is neither decoded nor written again. Says
/// nothing of others, for which the long way finds out what is wrong with them.
fn ends_of_canonical(raw: &str) -> Option<Box<[u16]>> {
    let mut ends = Vec::with_capacity(16);
    let mut before = raw.as_bytes().first().copied().filter(|first| *first == b'/')?;
    for (at, byte) in raw.bytes().enumerate().skip(1) {
        if byte == b'/' {
            // An empty segment, or one that ends with a dot.
            if matches!(before, b'/' | b'.') {
                return None;
            }
            ends.push(u16::try_from(at).ok()?);
        } else if !is_plain(byte) {
            return None;
        }
        before = byte;
    }
    ends.push(u16::try_from(raw.len()).ok()?);
    (!matches!(before, b'/' | b'.') && ends.len() <= SEGMENTS_MAX).then(|| ends.into())
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
        if is_plain(byte) { text.push(char::from(byte)) } else { percent::push_escaped(text, byte) }
    }
}

/// What stands in a segment as it is: `pchar` of RFC 3986, without escapes and the semicolon.
const fn is_plain(byte: u8) -> bool {
    matches!(
        byte,
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@'
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(raw: &str, expected: &str) {
        let path = CanonicalPath::parse(raw).unwrap();
        assert_eq!(path.as_str(), expected, "{raw}");
        assert_eq!(path.to_string(), expected, "{raw}");
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
        let longest = format!("/{}", "a".repeat(8191));
        check(&longest, &longest);
        let long = format!("/{}", "a".repeat(PATH_BYTES_MAX));
        assert_eq!(CanonicalPath::parse(&long), Err(PathError::TooLong { length: PATH_BYTES_MAX + 1 }));
        // Three times as long once it is escaped as it must be.
        let swelling = format!("/{}", "{".repeat(PATH_BYTES_MAX / 2));
        assert!(matches!(CanonicalPath::parse(&swelling), Err(PathError::TooLong { .. })));
    }

    #[test]
    fn a_path_is_split_at_a_segment() {
        for raw in ["/a/b/c", "/a//b/c/"] {
            let path = CanonicalPath::parse(raw).unwrap();
            for (place, before, behind) in
                [(0, &[][..], &["b", "c"][..]), (1, &["a"], &["c"]), (2, &["a", "b"], &[]), (3, &["a", "b", "c"], &[])]
            {
                let (found_before, found_behind) = path.split_at(place);
                assert_eq!(found_before.collect::<Vec<_>>(), before, "{raw} before {place}");
                assert_eq!(found_behind.collect::<Vec<_>>(), behind, "{raw} behind {place}");
            }
        }
    }

    #[test]
    fn only_what_is_canonical_as_it_stands_goes_the_short_way() {
        for (raw, ends) in [("/a", &[2][..]), ("/subscriptions/x/b.c", &[14, 16, 20])] {
            assert_eq!(ends_of_canonical(raw).as_deref(), Some(ends), "{raw}");
        }
        for raw in ["", "/", "a/b", "//a", "/a//b", "/a/", "/.", "/a/../b", "/a./b", "/a%20b", "/a b", "/a;b"] {
            assert_eq!(ends_of_canonical(raw), None, "{raw}");
        }
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
