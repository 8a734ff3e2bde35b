//! Signing keys: one set per tenant, made on first use, kept in files so that they survive a restart.
//!
//! A client keeps a token on its disk for an hour and more; were the key another one after a restart, every command would
//! be refused until the client's cache is emptied.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::{self, PemObject};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::{JoinError, spawn_blocking};

use crate::files::{self, Readers};
use crate::ids::TenantId;

/// How many keys a tenant publishes at once: the one that signs and those that rotation left behind.
pub const KEYS_MAX: usize = 4;

/// Keys that cannot be kept or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A folder for keys cannot be made or listed.
    #[error("cannot use the keys folder `{}`", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// [`KEYS_MAX`] keys are published already.
    #[error("tenant `{tenant}` publishes {KEYS_MAX} keys already; retire the old ones first")]
    Full {
        /// The tenant.
        tenant: TenantId,
    },
    /// The library cannot make a key.
    #[error("cannot make a signing key")]
    Making(#[from] rcgen::Error),
    /// A key file that holds no usable key.
    #[error("the signing key in `{}` cannot be used; remove the file to have a new one made", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: MalformedKey,
    },
    /// A key cannot be written.
    #[error(transparent)]
    NotWritten(#[from] files::NotWritten),
    /// The key for refresh tokens cannot be used.
    #[error("the key for refresh tokens in `{}` cannot be used; remove the file to have a new one made", file.display())]
    Sealing {
        /// The file.
        file: PathBuf,
    },
    /// The library refused to sign.
    #[error("cannot sign with the key `{kid}`")]
    Signing {
        /// The key's id.
        kid: String,
    },
    /// The work was cut short because the process ends.
    #[error("the process ends")]
    Stopped(#[from] JoinError),
    /// Not a tenant of the issuer.
    #[error("the issuer has no tenant `{tenant}`")]
    UnknownTenant {
        /// The id asked for.
        tenant: TenantId,
    },
}

/// What is wrong with a key file.
#[derive(Debug, thiserror::Error)]
pub enum MalformedKey {
    /// Not PEM.
    #[error("expected `-----BEGIN PRIVATE KEY-----`")]
    Pem(#[from] pem::Error),
    /// Not an RSA key.
    #[error("expected an RSA key of 2048 bits or more in PKCS #8")]
    Rsa(#[from] aws_lc_rs::error::KeyRejected),
}

/// One RSA key that signs tokens.
pub(super) struct SigningKey {
    kid: String,
    number: u32,
    file: PathBuf,
    pair: RsaKeyPair,
}

impl SigningKey {
    fn read(file: &Path, number: u32) -> Result<Self, KeyError> {
        let malformed = |cause| KeyError::Malformed { file: file.to_owned(), cause };
        let text = fs::read(file).map_err(|cause| KeyError::Folder { folder: file.to_owned(), cause })?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(&text).map_err(|cause| malformed(cause.into()))?;
        let pair = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|cause| malformed(cause.into()))?;
        let kid = URL_SAFE_NO_PAD.encode(digest(&SHA256, pair.public_key().modulus().big_endian_without_leading_zero()));
        Ok(Self { kid, number, file: file.to_owned(), pair })
    }

    fn make(folder: &Path, number: u32) -> Result<Self, KeyError> {
        let made = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)?;
        let file = folder.join(format!("{number:06}.pem"));
        files::replace(&file, made.serialize_pem().as_bytes(), Readers::Owner)?;
        Self::read(&file, number)
    }

    /// A JSON Web Token with these claims, signed by this key.
    pub(super) fn sign(&self, claims: &Value) -> Result<String, KeyError> {
        let header = json!({ "typ": "JWT", "alg": "RS256", "kid": self.kid });
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(&header), encode(claims));
        let mut signature = vec![0; self.pair.public_modulus_len()];
        let signed = self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature);
        signed.map_err(|_unspecified: aws_lc_rs::error::Unspecified| KeyError::Signing { kid: self.kid.clone() })?;
        Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The public half as a JSON Web Key.
    fn published(&self) -> Value {
        let public = self.pair.public_key();
        let modulus = URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero());
        let exponent = URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero());
        json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": modulus, "e": exponent })
    }
}

/// The keys of one tenant. The newest signs; all are published.
pub(super) struct KeySet {
    newest: Arc<SigningKey>,
    older: Vec<Arc<SigningKey>>,
}

impl KeySet {
    fn load_or_make(folder: &Path) -> Result<Self, KeyError> {
        let in_folder = |cause| KeyError::Folder { folder: folder.to_owned(), cause };
        make_folder(folder)?;
        let mut numbers = Vec::new();
        for entry in fs::read_dir(folder).map_err(in_folder)? {
            numbers.extend(key_number(&entry.map_err(in_folder)?.path()));
        }
        numbers.sort_unstable_by_key(|(_, number)| Reverse(*number));
        let mut keys = numbers.into_iter().take(KEYS_MAX).map(|(file, number)| SigningKey::read(&file, number).map(Arc::new));
        match keys.next() {
            Some(newest) => Ok(Self { newest: newest?, older: keys.collect::<Result<_, _>>()? }),
            None => Ok(Self { newest: Arc::new(SigningKey::make(folder, 1)?), older: Vec::new() }),
        }
    }

    fn rotated(&self, folder: &Path) -> Result<Self, KeyError> {
        let newest = Arc::new(SigningKey::make(folder, self.newest.number.saturating_add(1))?);
        Ok(Self { newest, older: self.keys().cloned().collect() })
    }

    fn retired(&self) -> Result<Self, KeyError> {
        for key in &self.older {
            fs::remove_file(&key.file).map_err(|cause| KeyError::Folder { folder: key.file.clone(), cause })?;
        }
        Ok(Self { newest: Arc::clone(&self.newest), older: Vec::new() })
    }

    fn keys(&self) -> impl Iterator<Item = &Arc<SigningKey>> {
        std::iter::once(&self.newest).chain(&self.older)
    }

    pub(super) fn newest(&self) -> &SigningKey {
        &self.newest
    }

    pub(super) fn published(&self) -> impl Iterator<Item = Value> {
        self.keys().map(|key| key.published())
    }
}

/// Makes a folder that only its owner can look into.
pub(super) fn make_folder(folder: &Path) -> Result<(), KeyError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|cause| KeyError::Folder { folder: folder.to_owned(), cause })
}

/// `…/000002.pem` → 2.
fn key_number(file: &Path) -> Option<(PathBuf, u32)> {
    let is_pem = file.extension().is_some_and(|extension| extension == "pem");
    let number = file.file_stem()?.to_str()?.parse().ok()?;
    is_pem.then(|| (file.to_owned(), number))
}

/// The keys of all tenants. Making and reading them happens off the runtime's threads.
pub(super) struct Keys {
    folder: PathBuf,
    tenants: HashMap<TenantId, Mutex<Option<Arc<KeySet>>>>,
}

impl Keys {
    pub(super) fn new(folder: PathBuf, tenants: impl Iterator<Item = TenantId>) -> Self {
        Self { folder, tenants: tenants.map(|tenant| (tenant, Mutex::new(None))).collect() }
    }

    pub(super) async fn of(&self, tenant: TenantId) -> Result<Arc<KeySet>, KeyError> {
        self.update(tenant, |set, _folder| Ok(set)).await
    }

    pub(super) async fn rotate(&self, tenant: TenantId) -> Result<(), KeyError> {
        let rotated = move |set: Arc<KeySet>, folder: &Path| match set.older.len() {
            older if older.saturating_add(1) < KEYS_MAX => Ok(Arc::new(set.rotated(folder)?)),
            _full => Err(KeyError::Full { tenant }),
        };
        self.update(tenant, rotated).await.map(drop)
    }

    pub(super) async fn retire(&self, tenant: TenantId) -> Result<(), KeyError> {
        self.update(tenant, |set, _folder| Ok(Arc::new(set.retired()?))).await.map(drop)
    }

    async fn update<F>(&self, tenant: TenantId, change: F) -> Result<Arc<KeySet>, KeyError>
    where
        F: FnOnce(Arc<KeySet>, &Path) -> Result<Arc<KeySet>, KeyError> + Send + 'static,
    {
        let slot = self.tenants.get(&tenant).ok_or(KeyError::UnknownTenant { tenant })?;
        let mut slot = slot.lock().await;
        let (known, folder) = (slot.clone(), self.folder.join(tenant.to_string()));
        let changing = move || {
            let set = known.map_or_else(|| KeySet::load_or_make(&folder).map(Arc::new), Ok)?;
            change(set, &folder)
        };
        let set = spawn_blocking(changing).await??;
        *slot = Some(Arc::clone(&set));
        Ok(set)
    }
}
