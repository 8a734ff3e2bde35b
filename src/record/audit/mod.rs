//! The audit: what makes the decision records something that a customer can verify without trusting whoever keeps them.
//!
//! Every tenant has a log of its own. A record's line carries one link per log that it belongs to: the place in that log and the
//! hash of the line before it there. Over the hashes of a log's lines stands a Merkle tree, whose root is signed in heads. The
//! form of all of it, byte by byte, is `docs/audit.md`.
//!
//! Everything here is a function of its arguments: no file, no clock. A line of one log never holds anything about another log.

mod export;
mod hash;
mod head;
mod inclusion;
mod key;
mod line;
mod prover;
mod tree;
mod verify;

pub use export::{Export, ExportLine};
pub use hash::{Hash, NotAHash};
pub use head::{Head, HeadError, HeadKind, SignedHead};
pub use inclusion::{InclusionProof, ProofError, Proven};
pub use key::{KeyError, PublicKey, Signer};
pub use line::{Ending, LineError, Link, Linked, Log, NotALog, TornNote};
pub(super) use line::{LineHasher, Linker};
pub use prover::{Finder, NoProof, Prover, Target};
pub use tree::{Proof, Tree, TreeError, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion};
pub use verify::{Fault, LogReport, Place, Report, Subject, Verifier, key_line, read_key_line};
