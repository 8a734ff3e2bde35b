//! SHA-256, and how it is written.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{self, SHA256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Source: FIPS 180-4, SHA-256.
const BYTES: usize = 32;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A SHA-256 value; written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; BYTES]);

/// A text that should have been a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a hash has 64 lower-case hexadecimal digits")]
pub struct NotAHash;

impl Hash {
    /// What the first record of a log names as the one before it.
    pub const ZERO: Self = Self([0; BYTES]);

    /// The hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_digest(&digest::digest(&SHA256, bytes))
    }

    pub(super) fn from_digest(digest: &digest::Digest) -> Self {
        Self(digest.as_ref().first_chunk().copied().unwrap_or_default())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// The leaf of a Merkle tree for the line with this hash. Source: RFC 6962 §2.1; the hash is the leaf's data.
    #[must_use]
    pub fn leaf(&self) -> Self {
        let mut data = [0; 1 + BYTES];
        let [_, hash @ ..] = &mut data;
        *hash = self.0;
        Self::of(&data)
    }

    /// The node above two others. Source: RFC 6962 §2.1.
    #[must_use]
    pub fn node(left: &Self, right: &Self) -> Self {
        let mut data = [1; 1 + 2 * BYTES];
        let [_, hashes @ ..] = &mut data;
        hashes.as_chunks_mut().0.iter_mut().zip([left, right]).for_each(|(to, from)| *to = from.0);
        Self::of(&data)
    }

    pub(in crate::record) fn push(&self, out: &mut Vec<u8>) {
        crate::record::stored::push_hex(out, &self.0);
    }

    fn digits(&self) -> [u8; 2 * BYTES] {
        let mut digits = [0; 2 * BYTES];
        for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        digits
    }
}

fn digit(value: u8) -> u8 {
    DIGITS.get(usize::from(value)).copied().unwrap_or_default()
}

fn value(digit: u8) -> Option<u8> {
    DIGITS.iter().position(|known| *known == digit).and_then(|at| u8::try_from(at).ok())
}

impl FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != BYTES || !rest.is_empty() {
            return Err(NotAHash);
        }
        let mut bytes = [0; BYTES];
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = value(*high).zip(value(*low)).map(|(high, low)| high << 4 | low).ok_or(NotAHash)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_one_spelling() {
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Hash::of(b"abc").to_string(), text);
        assert_eq!(text.parse(), Ok(Hash::of(b"abc")));
        for wrong in [&text.to_uppercase(), text.get(1..).unwrap(), &format!("{text}0"), "", &text.replace('b', "g")] {
            assert_eq!(wrong.parse::<Hash>(), Err(NotAHash), "{wrong}");
        }
        assert_eq!(serde_json::from_str::<Hash>(&format!("\"{text}\"")).unwrap(), Hash::of(b"abc"));
        assert_eq!(serde_json::to_string(&Hash::of(b"abc")).unwrap(), format!("\"{text}\""));
    }
}
