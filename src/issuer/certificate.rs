//! The certificates that service principals sign in with.

use aws_lc_rs::digest::{self, digest};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};

/// A certificate whose key signs client assertions.
#[derive(Debug, Clone)]
pub struct ClientCertificate {
    sha1: String,
    sha256: String,
    public_key: Vec<u8>,
}

/// A text that is not such a certificate.
#[derive(Debug, thiserror::Error)]
pub enum ClientCertificateError {
    /// Not X.509.
    #[error("the certificate cannot be read; expected X.509")]
    Malformed,
    /// Not PEM, or without a certificate.
    #[error("the certificate is not PEM; expected `-----BEGIN CERTIFICATE-----`")]
    NotPem(#[source] pem::Error),
    /// Assertions are RS256 or PS256, so the key must be RSA.
    #[error("the certificate's key is not RSA of 2048 to 8192 bits; assertions are signed by RSA")]
    NotRsa,
}

/// How an assertion is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// RSA PKCS#1 v1.5 with SHA-256; what MSAL for Python sends.
    Rs256,
    /// RSA PSS with SHA-256; what MSAL for JavaScript sends.
    Ps256,
}

/// What an assertion says its certificate is: base64url of the digest of its DER. Source: RFC 7515 §4.1.7 and §4.1.8.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Thumbprint {
    Sha1(String),
    Sha256(String),
}

impl ClientCertificate {
    /// The first certificate of a PEM text.
    ///
    /// # Errors
    /// When there is none, or its key is not RSA.
    pub fn from_pem(text: &str) -> Result<Self, ClientCertificateError> {
        let der = CertificateDer::from_pem_slice(text.as_bytes()).map_err(ClientCertificateError::NotPem)?;
        let Ok((_rest, parsed)) = x509_parser::parse_x509_certificate(&der) else { return Err(ClientCertificateError::Malformed) };
        let public_key = parsed.public_key().raw.to_vec();
        if UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &public_key).parse().is_err() {
            return Err(ClientCertificateError::NotRsa);
        }
        let thumbprint = |algorithm| URL_SAFE_NO_PAD.encode(digest(algorithm, &der));
        Ok(Self { sha1: thumbprint(&digest::SHA1_FOR_LEGACY_USE_ONLY), sha256: thumbprint(&digest::SHA256), public_key })
    }

    pub(super) fn is(&self, thumbprint: &Thumbprint) -> bool {
        let (claimed, own) = match thumbprint {
            Thumbprint::Sha1(claimed) => (claimed, &self.sha1),
            Thumbprint::Sha256(claimed) => (claimed, &self.sha256),
        };
        // MSAL for Python pads them, against RFC 7515 §2.
        claimed.trim_end_matches('=') == own
    }

    pub(super) fn has_signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let parameters = match algorithm {
            Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        };
        UnparsedPublicKey::new(parameters, &self.public_key).verify(message, signature).is_ok()
    }
}
