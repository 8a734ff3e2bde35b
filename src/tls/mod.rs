//! Certificates from files, and the one TLS configuration every listener of the program serves with.
//!
//! A certificate can be replaced while connections are open: new handshakes get the new one. A pair of files that cannot
//! be used never replaces one that can.

mod client;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use tokio::sync::watch;

pub use self::client::{RootsError, SYSTEM_ROOTS, client_config, trusted_roots};

/// Certificate files that cannot be served with.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The chain has a first certificate that is not X.509.
    #[error("the first certificate in `{}` cannot be read; expected X.509 version 3", file.display())]
    Malformed {
        /// The certificate file.
        file: PathBuf,
    },
    /// Certificate and key belong to different pairs.
    #[error("the key in `{}` does not belong to the first certificate in `{}`; the server's certificate must come first", key.display(), certificate.display())]
    Mismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// PEM, but without a certificate.
    #[error("`{}` holds no certificate; expected `-----BEGIN CERTIFICATE-----`", file.display())]
    NoCertificate {
        /// The certificate file.
        file: PathBuf,
    },
    /// PEM, but without a private key.
    #[error("`{}` holds no private key; expected `-----BEGIN PRIVATE KEY-----`", file.display())]
    NoKey {
        /// The key file.
        file: PathBuf,
    },
    /// Not PEM.
    #[error("`{}` is not valid PEM", file.display())]
    NotPem {
        /// The file.
        file: PathBuf,
        /// What the parser stumbled over.
        #[source]
        cause: pem::Error,
    },
    /// The file cannot be read.
    #[error("cannot read `{}`", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// A key of a kind that TLS does not use.
    #[error("the key in `{}` cannot be used; allowed: RSA of 2048 to 8192 bits, ECDSA P-256, P-384, P-521, Ed25519", file.display())]
    UnusableKey {
        /// The key file.
        file: PathBuf,
        /// What the library said.
        #[source]
        cause: rustls::Error,
    },
}

/// Something about a certificate that an operator should know, and that stops nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateWarning {
    /// Clients refuse it already.
    #[error("the certificate expired at {not_after}; replace the files, they are reloaded by themselves")]
    Expired {
        /// The end of its validity.
        not_after: Timestamp,
    },
    /// Less than [`EXPIRY_WARNING`] is left.
    #[error("the certificate expires at {not_after}; renew it, the files are reloaded by themselves")]
    ExpiresSoon {
        /// The end of its validity.
        not_after: Timestamp,
    },
    /// Clients with a correct clock refuse it still.
    #[error("the certificate is valid from {not_before} on; check this machine's clock")]
    NotYetValid {
        /// The start of its validity.
        not_before: Timestamp,
    },
}

/// A certificate with less time left than this is worth a warning.
pub const EXPIRY_WARNING: SignedDuration = SignedDuration::from_hours(14 * 24);

/// From when until when a certificate is valid, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub not_before: Timestamp,
    /// Not after.
    pub not_after: Timestamp,
}

impl Validity {
    /// What an operator should know about a certificate with this validity.
    #[must_use]
    pub fn warning(&self, now: Timestamp) -> Option<CertificateWarning> {
        let Self { not_before, not_after } = *self;
        if now < not_before {
            return Some(CertificateWarning::NotYetValid { not_before });
        }
        if now > not_after {
            return Some(CertificateWarning::Expired { not_after });
        }
        (not_after.duration_since(now) < EXPIRY_WARNING).then_some(CertificateWarning::ExpiresSoon { not_after })
    }
}

/// A certificate chain and its key, from two PEM files that may change.
#[derive(Debug)]
pub struct ReloadingCertificate {
    certificate: PathBuf,
    key: PathBuf,
    current: watch::Sender<Loaded>,
}

#[derive(Debug, Clone)]
struct Loaded {
    certified: Arc<CertifiedKey>,
    validity: Validity,
}

impl ReloadingCertificate {
    /// Reads the chain (the server's certificate first) and the key that belongs to it.
    ///
    /// # Errors
    /// When one of the files cannot be read or used, or when they do not belong together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let loaded = read_pair(certificate, key)?;
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), current: watch::Sender::new(loaded) })
    }

    /// Reads both files again and serves them from the next handshake on. True when the chain is another one now.
    ///
    /// # Errors
    /// As for [`Self::load`]; the former certificate goes on being served then.
    pub fn reload(&self) -> Result<bool, CertificateError> {
        let loaded = read_pair(&self.certificate, &self.key)?;
        Ok(self.current.send_if_modified(|current| {
            let changed = current.certified.cert != loaded.certified.cert;
            *current = loaded;
            changed
        }))
    }

    /// The validity of the server's certificate.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.current.borrow().validity
    }

    /// The chain as it is served now, the server's certificate first.
    #[must_use]
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.current.borrow().certified.cert.clone()
    }
}

impl ResolvesServerCert for ReloadingCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.borrow().certified))
    }
}

/// TLS 1.2 and 1.3 by aws-lc-rs, HTTP/2 and HTTP/1.1 by ALPN, no early data: a request must not be replayable. Of the suites that both sides
/// know, the strongest is taken and not the one that the client likes best.
///
/// # Errors
/// Never with the provider this is built with; the library asks in general.
pub fn server_config(certificate: Arc<ReloadingCertificate>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.max_early_data_size = 0;
    config.ignore_client_order = true;
    Ok(Arc::new(config))
}

/// The one provider of TLS cryptography, given explicitly everywhere, so that no process-wide default is needed.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// All certificates of a PEM file, in their order.
///
/// # Errors
/// When the file cannot be read, is not PEM or holds no certificate.
pub fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let text = fs::read(file).map_err(|cause| CertificateError::Unreadable { file: file.to_owned(), cause })?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|cause| CertificateError::NotPem { file: file.to_owned(), cause })?;
    if chain.is_empty() { Err(CertificateError::NoCertificate { file: file.to_owned() }) } else { Ok(chain) }
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let text = fs::read(file).map_err(|cause| CertificateError::Unreadable { file: file.to_owned(), cause })?;
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) => Err(CertificateError::NoKey { file: file.to_owned() }),
        Err(cause) => Err(CertificateError::NotPem { file: file.to_owned(), cause }),
    }
}

fn read_pair(certificate: &Path, key: &Path) -> Result<Loaded, CertificateError> {
    let chain = read_chain(certificate)?;
    let malformed = || CertificateError::Malformed { file: certificate.to_owned() };
    let validity = chain.first().and_then(validity_of).ok_or_else(malformed)?;
    let signing = provider().key_provider.load_private_key(read_key(key)?);
    let signing = signing.map_err(|cause| CertificateError::UnusableKey { file: key.to_owned(), cause })?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        // A kind of key that cannot be compared is shown to be the wrong one by the first handshake.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(rustls::Error::InvalidCertificate(_)) => return Err(malformed()),
        Err(_) => return Err(CertificateError::Mismatch { certificate: certificate.to_owned(), key: key.to_owned() }),
    }
    Ok(Loaded { certified: Arc::new(certified), validity })
}

fn validity_of(certificate: &CertificateDer<'static>) -> Option<Validity> {
    let (_rest, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let not_before = Timestamp::from_second(parsed.validity().not_before.timestamp()).ok()?;
    let not_after = Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()?;
    Some(Validity { not_before, not_after })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Pair {
        folder: PathBuf,
    }

    impl Pair {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("steward-tls-{}", uuid::Uuid::new_v4()));
            fs::create_dir(&folder).unwrap();
            let pair = Self { folder };
            pair.renew();
            pair
        }

        fn certificate(&self) -> PathBuf {
            self.folder.join("server.pem")
        }

        fn key(&self) -> PathBuf {
            self.folder.join("server.key")
        }

        fn renew(&self) {
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            fs::write(self.certificate(), made.cert.pem()).unwrap();
            fs::write(self.key(), made.signing_key.serialize_pem()).unwrap();
        }

        fn load(&self) -> Result<ReloadingCertificate, CertificateError> {
            ReloadingCertificate::load(&self.certificate(), &self.key())
        }

        #[track_caller]
        fn check_refused(&self, expected: &str) {
            let error = self.load().unwrap_err().to_string();
            let error = error.replace(&self.folder.display().to_string(), "DIR");
            assert_eq!(error, expected);
        }
    }

    impl Drop for Pair {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.folder).unwrap();
        }
    }

    #[test]
    fn files_that_cannot_be_served_with_are_named_with_what_is_wrong() {
        let pair = Pair::new();
        fs::write(pair.key(), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
        pair.check_refused(
            "the key in `DIR/server.key` does not belong to the first certificate in `DIR/server.pem`; the server's certificate must come first",
        );
        fs::write(pair.key(), "nothing").unwrap();
        pair.check_refused("`DIR/server.key` holds no private key; expected `-----BEGIN PRIVATE KEY-----`");
        fs::write(pair.certificate(), "nothing").unwrap();
        pair.check_refused("`DIR/server.pem` holds no certificate; expected `-----BEGIN CERTIFICATE-----`");
        fs::write(pair.certificate(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        pair.check_refused("the first certificate in `DIR/server.pem` cannot be read; expected X.509 version 3");
        fs::write(pair.certificate(), "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n").unwrap();
        pair.check_refused("`DIR/server.pem` is not valid PEM");
        fs::remove_file(pair.certificate()).unwrap();
        pair.check_refused("cannot read `DIR/server.pem`");
    }

    #[test]
    fn a_reload_serves_the_new_chain_and_a_broken_one_keeps_the_old() {
        let pair = Pair::new();
        let served = pair.load().unwrap();
        let first = served.chain();
        assert!(!served.reload().unwrap(), "the files are the same");

        pair.renew();
        assert!(served.reload().unwrap(), "the files are new");
        let second = served.chain();
        assert_ne!(first, second);

        fs::write(pair.certificate(), "nothing").unwrap();
        served.reload().unwrap_err();
        assert_eq!(served.chain(), second);
    }

    #[test]
    fn the_configuration_offers_http_2_first_and_no_early_data_and_chooses_the_suite() {
        let pair = Pair::new();
        let config = server_config(Arc::new(pair.load().unwrap())).unwrap();
        assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert_eq!(config.max_early_data_size, 0);
        assert!(config.ignore_client_order);
    }

    #[test]
    fn a_certificate_near_or_past_its_end_is_worth_a_warning() {
        let at = |day: i64| Timestamp::from_second(day * 86_400).unwrap();
        let (not_before, not_after) = (at(10), at(40));
        let check = |day, expected| assert_eq!(Validity { not_before, not_after }.warning(at(day)), expected, "day {day}");
        check(9, Some(CertificateWarning::NotYetValid { not_before }));
        check(10, None);
        check(26, None);
        check(27, Some(CertificateWarning::ExpiresSoon { not_after }));
        check(40, Some(CertificateWarning::ExpiresSoon { not_after }));
        check(41, Some(CertificateWarning::Expired { not_after }));
    }
}
