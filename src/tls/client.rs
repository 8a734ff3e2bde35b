//! The other side of TLS: whom this program trusts when it connects.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

use super::{CertificateError, provider, read_chain};

/// Where Debian and its descendants keep the public certificate authorities.
pub const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The certificate authorities in a PEM file; without one those of the operating system, if it has any.
///
/// # Errors
/// When the file cannot be read, or holds no certificate of an authority.
pub fn trusted_roots(file: Option<&Path>) -> Result<RootCertStore, RootsError> {
    let mut roots = RootCertStore::empty();
    let path = match file {
        Some(path) => path,
        // A gateway whose issuers are all on this machine or in files needs no roots.
        None if !Path::new(SYSTEM_ROOTS).exists() => return Ok(roots),
        None => Path::new(SYSTEM_ROOTS),
    };
    match roots.add_parsable_certificates(read_chain(path)?) {
        (0, _) => Err(RootsError::NoneUsable { path: path.to_owned() }),
        (_added, _passed_over) => Ok(roots),
    }
}

/// Why the trusted roots could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// No certificates in it.
    #[error("the trusted roots cannot be read")]
    File(#[from] CertificateError),
    /// Certificates, but none that could vouch for another.
    #[error("no certificate in `{}` can be trusted; expected those of certificate authorities", path.display())]
    NoneUsable {
        /// The file.
        path: PathBuf,
    },
}

/// TLS 1.2 and 1.3 by aws-lc-rs, trusting these roots; `alpn` is what to offer, if anything.
///
/// # Errors
/// Never with the provider this is built with; the library asks in general.
pub fn client_config(roots: RootCertStore, alpn: Option<&[u8]>) -> Result<Arc<ClientConfig>, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.into_iter().map(<[u8]>::to_vec).collect();
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_that_are_none_are_named() {
        let path = std::env::temp_dir().join(format!("steward-roots-{}.pem", crate::ids::RequestId::random()));
        let told = || {
            let error = trusted_roots(Some(&path)).unwrap_err();
            std::error::Error::source(&error).unwrap().to_string()
        };
        let name = path.display().to_string();
        assert!(told().contains(&name));
        std::fs::write(&path, "nothing").unwrap();
        assert!(told().starts_with(&format!("`{name}` holds no certificate")), "{}", told());
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        std::fs::write(&path, made.cert.pem()).unwrap();
        assert_eq!(trusted_roots(Some(&path)).unwrap().len(), 1);
        std::fs::remove_file(&path).unwrap();
    }
}
