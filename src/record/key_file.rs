//! The file with the key that heads are signed with, beside the folder of the records.

use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;

use super::audit::{KeyError, PublicKey, Signer};
use crate::files::{self, NotWritten, Readers};

/// What is wrong with the key of the heads.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It is not an Ed25519 key.
    #[error("{0}")]
    Form(KeyError),
    /// A new one could not be generated.
    #[error("the system gave no random numbers for a new key")]
    Generate(#[source] aws_lc_rs::error::Unspecified),
    /// It cannot be read.
    #[error("the file cannot be read")]
    Read(#[source] std::io::Error),
    /// A new one cannot be written.
    #[error("a new key cannot be written")]
    Write(#[source] NotWritten),
}

/// `/var/lib/steward/records.key` for `/var/lib/steward/records`.
pub(super) fn path(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_else(|| "records".as_ref()).to_owned();
    name.push(".key");
    folder.with_file_name(name)
}

/// The public half of the key beside a folder of records, for whoever may read the file.
#[must_use]
pub fn public_key_beside(folder: &Path) -> Option<PublicKey> {
    let pkcs8 = std::fs::read(path(folder)).ok()?;
    Signer::new(&pkcs8).ok().map(|signer| signer.public().clone())
}

/// The key in this file; a new one when there is no such file.
pub(super) fn load_or_make(path: &Path) -> Result<Signer, KeyFileError> {
    let pkcs8 = match std::fs::read(path) {
        Ok(pkcs8) => pkcs8,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(KeyFileError::Generate)?;
            files::replace(path, pkcs8.as_ref(), Readers::Owner).map_err(KeyFileError::Write)?;
            pkcs8.as_ref().to_vec()
        }
        Err(cause) => return Err(KeyFileError::Read(cause)),
    };
    Signer::new(&pkcs8).map_err(KeyFileError::Form)
}
