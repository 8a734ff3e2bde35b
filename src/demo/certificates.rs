//! The demo's own certificate authority and the server certificate of its listeners.
//!
//! They pass strict X.509 checks (`openssl verify -x509_strict`, which Azure CLI applies since 2.77): the library's defaults
//! leave out the authority key identifier of the server's certificate and the key usage of the authority. The authority's
//! key is never written: it signs one certificate and is gone, so that trusting `ca.pem` trusts nothing else.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};

use crate::files::{self, Readers};
use crate::tls::SYSTEM_ROOTS;
use crate::tls::{self, ReloadingCertificate};

/// How long demo certificates are valid.
pub const LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Certificates with less time left than this are made anew.
pub const RENEWAL: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Clients whose clock runs this much behind accept a certificate that was just made.
const BACKDATING: SignedDuration = SignedDuration::from_hours(1);

/// Where the demo's certificates are, all of them PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificates {
    /// The demo authority's certificate: what a client has to trust.
    pub ca: PathBuf,
    /// The server's certificate and the authority's after it.
    pub server: PathBuf,
    /// The server's key, readable by its owner alone.
    pub server_key: PathBuf,
    /// The roots this machine trusts and the demo authority, for clients whose setting replaces all roots.
    pub bundle: PathBuf,
    /// Whether they were there already.
    pub origin: Origin,
    /// The end of their validity.
    pub not_after: Timestamp,
}

/// Whether certificates were there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Made now.
    Made,
    /// Found, and good for another [`RENEWAL`] at least.
    Reused,
}

/// Demo certificates that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// The folder cannot be made.
    #[error("cannot make the folder `{}` for the demo's certificates", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The library refused to make a certificate.
    #[error("cannot make the demo's certificates")]
    Making(#[from] rcgen::Error),
    /// One of the files cannot be written.
    #[error(transparent)]
    NotWritten(#[from] files::NotWritten),
}

impl Certificates {
    /// The certificates in `folder`: those that are there, if they belong together and last, or new ones.
    ///
    /// # Errors
    /// When the folder or a file in it cannot be written.
    pub fn ensure(folder: &Path, now: Timestamp) -> Result<Self, CertificatesError> {
        let found = Self::at(folder, Origin::Reused, now);
        match found.usable_until(now) {
            Some(not_after) => Ok(Self { not_after, ..found }),
            None => Self::make(folder, now),
        }
    }

    fn at(folder: &Path, origin: Origin, not_after: Timestamp) -> Self {
        let file = |name| folder.join(name);
        let (ca, server, server_key, bundle) = (file("ca.pem"), file("server.pem"), file("server.key"), file("bundle.pem"));
        Self { ca, server, server_key, bundle, origin, not_after }
    }

    /// The end of validity, if all files are there, belong together and last long enough.
    fn usable_until(&self, now: Timestamp) -> Option<Timestamp> {
        let ca = tls::read_chain(&self.ca).ok()?;
        let bundle = tls::read_chain(&self.bundle).ok()?;
        let pair = ReloadingCertificate::load(&self.server, &self.server_key).ok()?;
        let validity = pair.validity();
        let belongs = pair.chain().get(1..) == Some(ca.as_slice()) && bundle.last() == ca.last();
        let lasts = validity.not_before <= now && validity.not_after.duration_since(now) >= RENEWAL;
        (belongs && lasts).then_some(validity.not_after)
    }

    fn make(folder: &Path, now: Timestamp) -> Result<Self, CertificatesError> {
        fs::create_dir_all(folder).map_err(|cause| CertificatesError::Folder { folder: folder.to_owned(), cause })?;
        let made = Self::at(folder, Origin::Made, now + LIFETIME);
        let authority_key = KeyPair::generate()?;
        let authority_params = authority_params(now);
        let authority = authority_params.self_signed(&authority_key)?;
        let server_key = KeyPair::generate()?;
        let server = server_params(now)?.signed_by(&server_key, &Issuer::from_params(&authority_params, &authority_key))?;
        files::replace(&made.server_key, server_key.serialize_pem().as_bytes(), Readers::Owner)?;
        files::replace(&made.server, format!("{}{}", server.pem(), authority.pem()).as_bytes(), Readers::Everybody)?;
        files::replace(&made.ca, authority.pem().as_bytes(), Readers::Everybody)?;
        files::replace(&made.bundle, &bundle(&authority.pem()), Readers::Everybody)?;
        Ok(made)
    }
}

fn authority_params(now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    named(&mut params, "Steward demo authority");
    valid(&mut params, now);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn server_params(now: Timestamp) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    named(&mut params, "localhost");
    valid(&mut params, now);
    params.subject_alt_names = vec![SanType::DnsName("localhost".try_into()?), SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    // Explicit, because the library writes a subject key identifier only then.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn named(params: &mut CertificateParams, name: &str) {
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::OrganizationName, "Steward demo");
    params.distinguished_name.push(DnType::CommonName, name);
}

fn valid(params: &mut CertificateParams, now: Timestamp) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |time: Timestamp| epoch + Duration::from_secs(u64::try_from(time.as_second()).unwrap_or(0));
    params.not_before = at(now - BACKDATING);
    params.not_after = at(now + LIFETIME);
}

/// A client setting such as `REQUESTS_CA_BUNDLE` replaces all roots; without this machine's own, everything else in that
/// shell would break.
fn bundle(authority: &str) -> Vec<u8> {
    let mut roots = fs::read(SYSTEM_ROOTS).unwrap_or_default();
    if roots.last().is_some_and(|last| *last != b'\n') {
        roots.push(b'\n');
    }
    roots.extend_from_slice(authority.as_bytes());
    roots
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;
    use crate::clock::Clock;

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            Self(std::env::temp_dir().join(format!("steward-certs-{}", uuid::Uuid::new_v4())).join("certs"))
        }

        fn ensure(&self, now: Timestamp) -> Certificates {
            Certificates::ensure(&self.0, now).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(self.0.parent().unwrap()).unwrap();
        }
    }

    fn now() -> Timestamp {
        Clock::system().now()
    }

    #[track_caller]
    fn check_verified(arguments: &[&str], certificates: &Certificates) {
        let verify = Command::new("openssl")
            .args(["verify", "-x509_strict"])
            .args(arguments)
            .args(["-CAfile".as_ref(), certificates.ca.as_os_str(), certificates.server.as_os_str()])
            .output()
            .expect("openssl is installed by tests/run");
        assert!(verify.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&verify.stderr));
    }

    #[test]
    fn they_pass_the_strict_checks_of_openssl() {
        let folder = Folder::new();
        let certificates = folder.ensure(now());
        check_verified(&["-purpose", "sslserver"], &certificates);
        check_verified(&["-verify_hostname", "localhost"], &certificates);
        check_verified(&["-verify_ip", "127.0.0.1"], &certificates);
    }

    #[test]
    fn the_key_is_for_its_owner_and_the_authority_has_none() {
        let folder = Folder::new();
        let certificates = folder.ensure(now());
        assert_eq!(fs::metadata(&certificates.server_key).unwrap().permissions().mode() & 0o777, 0o600);
        let mut names: Vec<_> = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["bundle.pem", "ca.pem", "server.key", "server.pem"]);
    }

    #[test]
    fn the_bundle_holds_this_machines_roots_and_the_authority() {
        let folder = Folder::new();
        let certificates = folder.ensure(now());
        let bundle = fs::read_to_string(&certificates.bundle).unwrap();
        assert!(bundle.ends_with(&fs::read_to_string(&certificates.ca).unwrap()));
        assert!(bundle.starts_with(&fs::read_to_string(SYSTEM_ROOTS).unwrap_or_default()));
    }

    #[test]
    fn a_second_start_uses_them_again_until_a_week_before_their_end() {
        let folder = Folder::new();
        let start = now();
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        assert_eq!(folder.ensure(start).origin, Origin::Made);
        assert_eq!(folder.ensure(start + days(22)).origin, Origin::Reused);
        let renewed = folder.ensure(start + days(24));
        assert_eq!(renewed.origin, Origin::Made);
        assert_eq!(renewed.not_after, start + days(24) + LIFETIME);
    }

    #[track_caller]
    fn check_remade(spoil: impl FnOnce(&Certificates)) {
        let folder = Folder::new();
        spoil(&folder.ensure(now()));
        let certificates = folder.ensure(now());
        assert_eq!(certificates.origin, Origin::Made);
        assert_eq!(folder.ensure(now()).origin, Origin::Reused);
    }

    #[test]
    fn what_does_not_belong_together_is_made_anew() {
        check_remade(|found| fs::remove_file(&found.bundle).unwrap());
        check_remade(|found| fs::write(&found.server_key, KeyPair::generate().unwrap().serialize_pem()).unwrap());
        check_remade(|found| fs::copy(&found.server, &found.ca).map(drop).unwrap());
        check_remade(|found| fs::write(&found.server, "nothing").unwrap());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error = Certificates::ensure(Path::new("/dev/null/certs"), now()).unwrap_err();
        assert_eq!(error.to_string(), "cannot make the folder `/dev/null/certs` for the demo's certificates");
    }
}
