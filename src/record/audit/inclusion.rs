//! A proof that one record is in a log, as a document of its own.

use serde::{Deserialize, Serialize};

use super::hash::Hash;
use super::head::{HeadError, HeadKind, SignedHead};
use super::key::PublicKey;
use super::line::{LineError, Linked, Log};
use super::tree::{Proof, Tree, TreeError, inclusion_proof, verify_inclusion};

const SCHEMA: &str = "steward.proof/1";

/// A record, the head of its log, and the nodes between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InclusionProof {
    schema: String,
    /// The record's line in the log, without its line feed.
    pub record: String,
    /// The head's line, without its line feed.
    pub head: String,
    /// From the record's leaf up to the root.
    pub path: Proof,
    /// The public key, as a JWK.
    pub key: serde_json::Value,
}

/// What a proof proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// Whose log.
    pub tenant: Log,
    /// The record's number in it.
    pub seq: u64,
    /// Records that the head covers.
    pub size: u64,
    /// When the head was signed.
    pub time: String,
}

/// A proof that proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// It has not the form of one.
    #[error("the document is not a proof")]
    Form,
    /// The head cannot be believed.
    #[error("{0}")]
    Head(#[from] HeadError),
    /// The record is not one line of one log.
    #[error("the record cannot be read: {0}")]
    Record(#[from] LineError),
    /// The nodes do not lead to the root.
    #[error("the record is not in the log that the head was signed for")]
    Root,
    /// There is no record of this number.
    #[error("{0}")]
    Range(#[from] TreeError),
}

impl InclusionProof {
    /// The proof for record `seq` of a log: `lines` are the hashes of its lines after those that are `gone`, up to the head.
    ///
    /// # Errors
    /// When the record is not among them.
    pub fn new(record: &[u8], seq: u64, gone: &Tree, lines: &[Hash], head: &SignedHead, key: &PublicKey) -> Result<Self, ProofError> {
        let path = inclusion_proof(gone, lines, seq.saturating_sub(1))?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_not_text| ProofError::Form);
        Ok(Self { schema: SCHEMA.to_owned(), record: text(record)?, head: text(&head.line)?, path, key: key.jwk() })
    }

    /// Checks it with these keys, or with the one it brings along.
    ///
    /// # Errors
    /// With whatever is wrong.
    pub fn verify(&self, keys: &[PublicKey]) -> Result<Proven, ProofError> {
        if self.schema != SCHEMA {
            return Err(ProofError::Form);
        }
        let head = SignedHead::parse(self.head.as_bytes())?;
        let own = PublicKey::from_jwk(&self.key).ok();
        head.check(if keys.is_empty() { own.as_slice() } else { keys })?;
        let linked = Linked::parse(self.record.as_bytes())?;
        let [link] = linked.links.as_slice() else { return Err(ProofError::Record(LineError::Malformed)) };
        let head = head.head;
        let at = link.seq.checked_sub(1).ok_or(ProofError::Root)?;
        let is_in = head.kind == HeadKind::Head && link.tenant == head.tenant;
        let hash = Hash::of(self.record.as_bytes());
        if !is_in || !verify_inclusion(&hash, at, head.seq, &self.path, &head.root) {
            return Err(ProofError::Root);
        }
        Ok(Proven { tenant: link.tenant, seq: link.seq, size: head.seq, time: head.time })
    }
}
