//! JSON values, pushed at the end of a line without anything being allocated for them.

use std::net::SocketAddr;

use crate::arm::scope::{Anchor, Scope};
use crate::clock::Timestamp;
use crate::json::{is_plain, push_text};

const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// Every byte as two hexadecimal digits.
const PAIRS: [[u8; 2]; 256] = pairs();
/// Digits of the largest `u64`.
const NUMBER_DIGITS_MAX: usize = 20;
/// Where the hyphens of a GUID are: after so many of its bytes.
const GUID_GROUPS: [usize; 5] = [4, 2, 2, 2, 6];

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn pairs() -> [[u8; 2]; 256] {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
}

fn pair(byte: u8) -> [u8; 2] {
    PAIRS.get(usize::from(byte)).copied().unwrap_or_default()
}

/// Two lower-case hexadecimal digits for each byte.
pub(in crate::record) fn push_hex<const BYTES: usize>(out: &mut Vec<u8>, bytes: &[u8; BYTES]) {
    out.extend_from_slice(bytes.map(pair).as_flattened());
}

/// `00000000-0000-0000-0000-000000000000`.
pub(in crate::record) fn push_guid(out: &mut Vec<u8>, bytes: &[u8; 16]) {
    let digits = bytes.map(pair);
    let mut rest = digits.as_slice();
    for (at, width) in GUID_GROUPS.into_iter().enumerate() {
        if at > 0 {
            out.push(b'-');
        }
        let (group, after) = rest.split_at_checked(width).unwrap_or_default();
        out.extend_from_slice(group.as_flattened());
        rest = after;
    }
}

pub(in crate::record) fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; NUMBER_DIGITS_MAX];
    let mut rest = number;
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789".get(usize::try_from(rest % 10).unwrap_or_default()).copied().unwrap_or_default();
        rest /= 10;
        length += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(NUMBER_DIGITS_MAX - length..).unwrap_or_default());
}

/// A name, with what stands around it, and texts; nothing when there are none.
pub(super) fn push_list(out: &mut Vec<u8>, name: &[u8], texts: impl Iterator<Item = impl AsRef<str>>) {
    let mut before: &[u8] = name;
    let mut bracket: &[u8] = b"[";
    let mut end: &[u8] = b"";
    for text in texts {
        out.extend_from_slice(before);
        out.extend_from_slice(bracket);
        push_text(out, text.as_ref());
        (before, bracket, end) = (b",", b"", b"]");
    }
    out.extend_from_slice(end);
}

/// Anything else, by way of `serde_json`. None of our values fails.
pub(super) fn push_json(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    let start = out.len();
    if let Err(cause) = serde_json::to_writer(&mut *out, value) {
        tracing::error!(%cause, "a part of a decision record cannot be written as JSON");
        out.truncate(start);
        out.extend_from_slice(b"null");
    }
}

/// A scope as it is displayed, in quotation marks.
pub(super) fn push_quoted_scope(out: &mut Vec<u8>, scope: &Scope) {
    out.push(b'"');
    let start = out.len();
    push_scope(out, scope);
    if out.get(start..).is_some_and(is_plain) {
        out.push(b'"');
    } else {
        out.truncate(start - 1);
        push_text(out, &scope.to_string());
    }
}

/// A scope as it is displayed, neither quoted nor escaped.
pub(super) fn push_scope(out: &mut Vec<u8>, scope: &Scope) {
    match scope.anchor() {
        Anchor::Tenant if scope.below().is_empty() => out.push(b'/'),
        Anchor::Tenant => {}
        Anchor::ManagementGroup(name) => {
            out.extend_from_slice(b"/providers/Microsoft.Management/managementGroups/");
            out.extend_from_slice(name.as_bytes());
        }
        Anchor::Subscription(id) => {
            out.extend_from_slice(b"/subscriptions/");
            push_guid(out, id.as_bytes());
        }
    }
    out.extend_from_slice(scope.below().as_bytes());
}

/// An address and its port, quoted.
pub(super) fn push_peer(out: &mut Vec<u8>, peer: SocketAddr) {
    let SocketAddr::V4(peer) = peer else { return push_text(out, &peer.to_string()) };
    let mut separator = b'"';
    for byte in peer.ip().octets() {
        out.push(separator);
        push_number(out, byte.into());
        separator = b'.';
    }
    out.push(b':');
    push_number(out, peer.port().into());
    out.push(b'"');
}

/// Writes times; the seconds are kept as text, since most records have the one before theirs.
#[derive(Debug, Default)]
pub(super) struct Times {
    second: i64,
    /// `2027-03-01T10:00:05`; nothing before the first.
    text: String,
}

impl Times {
    /// RFC 3339 with milliseconds, quoted.
    pub(super) fn push(&mut self, out: &mut Vec<u8>, time: Timestamp) {
        let (second, nanosecond) = (time.as_second(), time.subsec_nanosecond());
        let Ok(millisecond) = u64::try_from(nanosecond / 1_000_000) else { return push_text(out, &format!("{time:.3}")) };
        if second < 0 || second != self.second || self.text.is_empty() {
            let whole = format!("{time:.0}");
            self.text.clear();
            self.text.push_str(whole.trim_end_matches('Z'));
            self.second = second;
        }
        out.push(b'"');
        out.extend_from_slice(self.text.as_bytes());
        out.push(b'.');
        for unit in [100, 10, 1] {
            push_number(out, millisecond / unit % 10);
        }
        out.extend_from_slice(b"Z\"");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RequestId;

    fn pushed(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"x".to_vec();
        push(&mut out);
        String::from_utf8(out).unwrap().split_off(1)
    }

    #[test]
    fn numbers_and_guids_are_spelled_as_everywhere() {
        for number in [0, 7, 10, 99, 1_000_000, u64::MAX] {
            assert_eq!(pushed(|out| push_number(out, number)), number.to_string());
        }
        let id = RequestId::from_bytes(std::array::from_fn(|at| u8::try_from(at * 17).unwrap()));
        assert_eq!(pushed(|out| push_guid(out, id.as_bytes())), id.to_string());
        assert_eq!(pushed(|out| push_hex(out, &[0, 0x9f, 255])), "009fff");
    }

    #[test]
    fn texts_are_escaped_where_they_have_to_be() {
        for text in ["", "plain/path", "\"", "a\\b", "\n\t\u{1}", "Deniz \"D\" Aydın", "\u{7f}\u{2028}😀"] {
            assert_eq!(pushed(|out| push_text(out, text)), serde_json::to_string(text).unwrap());
        }
    }

    #[test]
    fn scopes_and_peers_are_spelled_as_they_are_displayed() {
        const SUB: &str = "/subscriptions/8f2c1a10-0000-4000-8000-000000000001";
        let group = format!("{SUB}/resourceGroups/a \"b\"");
        for text in ["/", "/providers/Microsoft.Support/operations", "/providers/Microsoft.Management/managementGroups/Root", SUB, &group] {
            let scope = Scope::parse(text).unwrap();
            assert_eq!(pushed(|out| push_scope(out, &scope)), text);
            assert_eq!(pushed(|out| push_quoted_scope(out, &scope)), serde_json::to_string(text).unwrap());
        }
        for peer in ["127.0.0.1:1", "203.0.113.255:65535", "[::1]:443", "[2001:db8::7]:80"] {
            assert_eq!(pushed(|out| push_peer(out, peer.parse().unwrap())), format!("\"{peer}\""));
        }
    }

    #[test]
    fn times_have_three_digits_whatever_came_before() {
        let mut times = Times::default();
        for text in [
            "1970-01-01T00:00:00Z",
            "2027-03-01T10:00:05.0409Z",
            "2027-03-01T10:00:05.999999999Z",
            "2027-03-01T10:00:06Z",
            "2027-03-01T10:00:05.1Z",
            "1969-12-31T23:59:59.5Z",
            "1969-12-31T23:59:59Z",
            "0001-01-01T00:00:00.007Z",
        ] {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(pushed(|out| times.push(out, time)), format!("\"{time:.3}\""));
        }
    }
}
