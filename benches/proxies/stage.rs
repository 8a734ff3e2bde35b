//! What all contenders share: folder, certificate, tokens, origin.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::Outcome;
use crate::process::Process;
use crate::token::Signer;

/// Names of protocols that TLS servers and clients agree on. Source: RFC 7301 §6, RFC 9113 §3.1.
pub const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What all contenders are called.
pub const NAME: &str = "localhost";

pub struct Stage {
    /// Written anew by each run.
    pub folder: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Certificate and key in one file, as some want it.
    pub certificate_and_key: PathBuf,
    /// Of the issuer, PEM.
    pub public_key: PathBuf,
    /// The same as DER.
    pub public_der: PathBuf,
    pub key_set: PathBuf,
    pub signer: Signer,
    pub origin: SocketAddr,
    _origin: Process,
}

/// Where the repository is.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What is kept from run to run.
pub fn kept() -> PathBuf {
    root().join("target/bench")
}

impl Stage {
    pub fn set() -> Outcome<Self> {
        let folder = kept().join("run");
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder)?;
        let signer = Signer::open(&kept())?;
        let [certificate, key, certificate_and_key] = ["server.pem", "server.key", "both.pem"].map(|name| folder.join(name));
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        fs::write(&certificate, made.cert.pem())?;
        fs::write(&key, made.signing_key.serialize_pem())?;
        fs::write(&certificate_and_key, made.cert.pem() + &made.signing_key.serialize_pem())?;
        let [public_key, public_der, key_set] = ["issuer.pem", "issuer.der", "keys.json"].map(|name| folder.join(name));
        fs::write(&public_der, signer.public_der()?)?;
        fs::write(&public_key, signer.public_pem()?)?;
        fs::write(&key_set, signer.key_set().to_string())?;
        let origin = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("origin").arg(origin.to_string());
        let process = Process::start(&command, &folder.join("origin.log"))?;
        process.wait_for(origin)?;
        Ok(Self { folder, certificate, key, certificate_and_key, public_key, public_der, key_set, signer, origin, _origin: process })
    }
}

/// The authority of a contender: its name in TLS and in requests has to be the same.
pub fn named(address: SocketAddr) -> String {
    format!("{NAME}:{}", address.port())
}

/// An address on this machine that was free a moment ago.
pub fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The library's defaults, as Steward uses them.
pub fn tls_config(certificate: &Path, key: &Path) -> Outcome<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.alpn_protocols = ALPN.map(Vec::from).to_vec();
    Ok(config)
}
