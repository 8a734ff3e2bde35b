//! Heads: signed statements on how far a log has grown, and on what has been removed of it.

use memchr::memmem;
use serde::{Deserialize, Serialize};

use super::hash::Hash;
use super::key::{PublicKey, Signer};
use super::line::{Log, SEQ_MAX};
use super::tree::{Tree, TreeError};

/// What stands before the signature; everything before it is signed.
const MARK: &[u8] = br#","signature":""#;
const END: &[u8] = br#""}"#;

/// What a head states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeadKind {
    /// The records up to `seq` have been removed, because of the bound on all records together.
    Cut,
    /// The log has these records; they were on the disk when this was signed.
    Head,
}

/// The state of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    schema: String,
    /// What is stated.
    pub kind: HeadKind,
    /// Whose log.
    pub tenant: Log,
    /// Records of the log, and the number of its last one.
    pub seq: u64,
    /// Hash of the last one.
    pub hash: Hash,
    /// Root of the Merkle tree over all of them.
    pub root: Hash,
    /// Roots of its largest complete subtrees, from left to right: what the root can be computed from when more records follow.
    pub peaks: Vec<Hash>,
    /// Hash of the head's line that was written before this one, of whatever log: no head can be taken out from among others.
    pub before: Hash,
    /// When it was signed, RFC 3339.
    pub time: String,
    /// Name of the key.
    pub key: String,
}

/// A head with its signature, as a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHead {
    /// What is stated.
    pub head: Head,
    /// The line, without its line feed.
    pub line: Vec<u8>,
}

/// A line that is no head that counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It has not the form of one.
    #[error("the head cannot be read")]
    Form,
    /// It is signed by a key that is not trusted.
    #[error("the head is signed with the key `{key}`, which is not trusted")]
    Key {
        /// Its name.
        key: String,
    },
    /// It names another head than the one before it.
    #[error("a head before this one was deleted, added or moved")]
    Order,
    /// Its parts contradict one another.
    #[error("root and peaks of the head contradict each other")]
    Root,
    /// The signature is not of these bytes.
    #[error("the signature of the head is wrong")]
    Signature,
}

impl Head {
    pub(super) const SCHEMA: &str = "steward.head/1";

    /// The statement on a log: its tree, and the hash of its last line.
    #[must_use]
    pub fn of(kind: HeadKind, tenant: Log, tree: &Tree, hash: Hash, time: String, signer: &Signer) -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            kind,
            tenant,
            seq: tree.size(),
            hash,
            root: tree.root(),
            peaks: tree.peaks().to_vec(),
            before: Hash::ZERO,
            time,
            key: signer.public().id().to_owned(),
        }
    }

    /// The tree it states.
    ///
    /// # Errors
    /// When the peaks do not fit its size.
    pub fn tree(&self) -> Result<Tree, TreeError> {
        Tree::from_peaks(self.seq, self.peaks.clone())
    }

    /// The line of this head, which follows the line with the hash `before`.
    #[must_use]
    pub fn sign(mut self, before: Hash, signer: &Signer) -> SignedHead {
        self.before = before;
        let mut line = crate::json::text(&self).into_bytes();
        line.pop();
        let signature = signer.sign(&line);
        line.extend_from_slice(MARK);
        line.extend_from_slice(signature.as_bytes());
        line.extend_from_slice(END);
        SignedHead { head: self, line }
    }
}

impl SignedHead {
    /// Reads a line and believes nothing of it yet.
    ///
    /// # Errors
    /// When it is none of a head.
    pub fn parse(line: &[u8]) -> Result<Self, HeadError> {
        let (signed, _) = split(line).ok_or(HeadError::Form)?;
        let head: Head = serde_json::from_slice(&[signed, b"}"].concat()).map_err(|_other_form| HeadError::Form)?;
        let has_form = head.schema == Head::SCHEMA && (1..=SEQ_MAX).contains(&head.seq);
        has_form.then(|| Self { head, line: line.to_vec() }).ok_or(HeadError::Form)
    }

    /// Checks the signature and that root and peaks agree.
    ///
    /// # Errors
    /// With whatever is wrong.
    pub fn check<'k>(&self, keys: impl IntoIterator<Item = &'k PublicKey>) -> Result<(), HeadError> {
        let (signed, signature) = split(&self.line).ok_or(HeadError::Form)?;
        let key = keys.into_iter().find(|key| key.id() == self.head.key);
        let key = key.ok_or_else(|| HeadError::Key { key: self.head.key.clone() })?;
        if !key.signed(signed, signature) {
            return Err(HeadError::Signature);
        }
        let agrees = self.head.tree().is_ok_and(|tree| tree.root() == self.head.root);
        if agrees { Ok(()) } else { Err(HeadError::Root) }
    }
}

/// What is signed, and the signature.
fn split(line: &[u8]) -> Option<(&[u8], &str)> {
    let at = memmem::rfind(line, MARK)?;
    let signature = line.get(at + MARK.len()..)?.strip_suffix(END)?;
    Some((line.get(..at)?, std::str::from_utf8(signature).ok()?))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::Ed25519KeyPair;

    use super::*;

    fn signer() -> Signer {
        Signer::new(Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap().as_ref()).unwrap()
    }

    #[test]
    fn a_head_holds_for_its_own_bytes_and_key_only() {
        let (ours, other) = (signer(), signer());
        let mut tree = Tree::default();
        for line in 0..11_u8 {
            tree.push(&Hash::of(&[line]));
        }
        let head = Head::of(HeadKind::Head, Log::Operator, &tree, Hash::of(&[10]), "2027-01-01T00:00:00Z".to_owned(), &ours);
        let signed = head.clone().sign(Hash::ZERO, &ours);
        let read = SignedHead::parse(&signed.line).unwrap();
        assert_eq!((&read, read.head.tree()), (&signed, Ok(tree)));
        assert_eq!(read.check([other.public(), ours.public()]), Ok(()));
        assert!(matches!(read.check([other.public()]), Err(HeadError::Key { .. })));
        for at in 0..signed.line.len() {
            let mut changed = signed.line.clone();
            changed[at] ^= 1;
            let is_believed = SignedHead::parse(&changed).is_ok_and(|head| head.check([ours.public()]).is_ok());
            assert!(!is_believed, "byte {at}: {}", String::from_utf8_lossy(&changed));
        }
        let lie = Head { root: Hash::ZERO, ..head }.sign(Hash::ZERO, &ours);
        assert_eq!(lie.check([ours.public()]), Err(HeadError::Root));
    }

    #[test]
    fn a_public_key_survives_its_jwk() {
        let key = signer().public().clone();
        assert_eq!(PublicKey::from_jwk(&key.jwk()).unwrap(), key);
        for member in ["kty", "crv", "kid", "x"] {
            let mut wrong = key.jwk();
            wrong[member] = "AAAA".into();
            assert!(PublicKey::from_jwk(&wrong).is_err(), "{member}");
        }
        assert!(Signer::new(b"no key").is_err());
    }
}
