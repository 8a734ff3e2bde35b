//! Percent-escapes of URIs, decoded once. Source: RFC 3986 §2.1.

use std::borrow::Cow;

/// The bytes that `text` stands for; nothing when a `%` is not followed by two hexadecimal digits.
pub(crate) fn decode(text: &str) -> Option<Cow<'_, [u8]>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return Some(Cow::Owned(decoded)),
            [b'%', high, low, tail @ ..] => {
                decoded.push(hex_digit(*high)? * 16 + hex_digit(*low)?);
                tail
            }
            [b'%', ..] => return None,
            [byte, tail @ ..] => {
                decoded.push(*byte);
                tail
            }
        }
    }
}

const fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Appends `byte` as `%XX`.
pub(crate) fn push_escaped(text: &mut String, byte: u8) {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let nibbles = [byte >> 4, byte & 0x0f];
    text.push('%');
    text.extend(nibbles.iter().filter_map(|nibble| DIGITS.get(usize::from(*nibble))));
}

/// A value for a query or a segment: everything but unreserved characters escaped. Source: RFC 3986 §2.3.
pub(crate) fn encode(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            other => push_escaped(&mut text, other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_any_byte() {
        for (text, expected) in [("a%20b", &b"a b"[..]), ("%00%0f%f0%FF", b"\x00\x0f\xf0\xff"), ("a+b", b"a+b"), ("", b"")] {
            assert_eq!(decode(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["%", "a%2", "%2g", "%g2", "%%20"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_encoded_holds_unreserved_characters_only_and_decodes_to_itself() {
        assert_eq!(encode("aZ09-._~"), "aZ09-._~");
        let value = "a b/c?d=e&f+g%h\u{e9}\n";
        assert_eq!(encode(value), "a%20b%2Fc%3Fd%3De%26f%2Bg%25h%C3%A9%0A");
        assert_eq!(decode(&encode(value)).as_deref(), Some(value.as_bytes()));
    }
}
