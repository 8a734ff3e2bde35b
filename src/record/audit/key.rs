//! The key that heads are signed with: Ed25519, and its public half as a JSON Web Key.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// Source: RFC 8032 §5.1.5.
const PUBLIC_KEY_BYTES: usize = 32;
/// Bytes of the SHA-256 of a public key that make its name.
const KEY_ID_BYTES: usize = 12;

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The private key is not an Ed25519 key in PKCS #8.
    #[error("it is not an Ed25519 private key in PKCS #8 form")]
    Private(#[source] aws_lc_rs::error::KeyRejected),
    /// The public key is not one for heads.
    #[error(
        "it is not an Ed25519 public key in JWK form: `kty` `OKP`, `crv` `Ed25519`, `x` of {PUBLIC_KEY_BYTES} bytes, `kid` made from them"
    )]
    Public,
}

/// Signs heads.
pub struct Signer {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// Checks heads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    bytes: [u8; PUBLIC_KEY_BYTES],
    id: String,
}

/// Source: RFC 8037 §2.
#[derive(Serialize, Deserialize)]
struct Jwk {
    kty: String,
    crv: String,
    #[serde(rename = "use", default)]
    usage: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    kid: String,
    x: String,
}

impl Signer {
    /// A signer with a private key in PKCS #8 DER.
    ///
    /// # Errors
    /// When it is not an Ed25519 key.
    pub fn new(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(KeyError::Private)?;
        let public = PublicKey::from_bytes(pair.public_key().as_ref()).ok_or(KeyError::Public)?;
        Ok(Self { pair, public })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.sign(bytes))
    }
}

impl PublicKey {
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; PUBLIC_KEY_BYTES] = bytes.try_into().ok()?;
        let digest = digest(&SHA256, &bytes);
        let id = URL_SAFE_NO_PAD.encode(digest.as_ref().get(..KEY_ID_BYTES)?);
        Some(Self { bytes, id })
    }

    /// Its name: the first twelve bytes of the SHA-256 of the key, in base64url.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key as a JSON Web Key.
    #[must_use]
    pub fn jwk(&self) -> serde_json::Value {
        serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.id, "x": URL_SAFE_NO_PAD.encode(self.bytes),
        })
    }

    /// The key of a JSON Web Key.
    ///
    /// # Errors
    /// When it is another kind of key, or has another name than its bytes give.
    pub fn from_jwk(jwk: &serde_json::Value) -> Result<Self, KeyError> {
        let jwk = Jwk::deserialize(jwk).map_err(|_other_form| KeyError::Public)?;
        let bytes = URL_SAFE_NO_PAD.decode(&jwk.x).map_err(|_not_base64| KeyError::Public)?;
        let key = Self::from_bytes(&bytes).ok_or(KeyError::Public)?;
        let fits = jwk.kty == "OKP" && jwk.crv == "Ed25519" && jwk.kid == key.id;
        if fits { Ok(key) } else { Err(KeyError::Public) }
    }

    pub(super) fn signed(&self, bytes: &[u8], signature: &str) -> bool {
        let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, &self.bytes).verify(bytes, &signature).is_ok()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("public", &self.public).finish_non_exhaustive()
    }
}
