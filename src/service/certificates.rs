//! The certificates a process serves with: loaded at start, looked at again every few seconds.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use super::{ServiceError, turned};
use crate::clock::Clock;
use crate::config::TlsFiles;
use crate::https::Stop;
use crate::telemetry::chain;
use crate::tls::{self, ReloadingCertificate};

/// How often certificate files are looked at.
const POLL_EVERY: Duration = Duration::from_secs(5);

/// All certificates of the process.
#[derive(Debug, Clone)]
pub(super) struct Certificates {
    clock: Clock,
    loaded: Vec<Arc<ReloadingCertificate>>,
}

impl Certificates {
    pub(super) const fn new(clock: Clock) -> Self {
        Self { clock, loaded: Vec::new() }
    }

    /// A TLS configuration that serves with these files, whatever they will hold.
    pub(super) fn load(&mut self, files: Option<&TlsFiles>) -> Result<Option<Arc<ServerConfig>>, ServiceError> {
        let Some(files) = files else { return Ok(None) };
        let certificate = Arc::new(ReloadingCertificate::load(&files.certificate, &files.key).map_err(ServiceError::Certificate)?);
        self.warn_of_expiry(&certificate);
        self.loaded.push(Arc::clone(&certificate));
        tls::server_config(certificate).map(Some).map_err(ServiceError::Tls)
    }

    /// Looks at the files now. Files that cannot be used change nothing.
    pub(super) fn reload(&self) {
        for certificate in &self.loaded {
            match certificate.reload() {
                Ok(true) => {
                    tracing::info!("certificate replaced");
                    self.warn_of_expiry(certificate);
                }
                Ok(false) => {}
                Err(cause) => tracing::warn!(cause = chain(&cause), "the new certificate cannot be used; the one before stays"),
            }
        }
    }

    /// Looks at the files until the process ends.
    pub(super) async fn watch(self, ending: Stop) {
        let ended = turned(ending);
        tokio::pin!(ended);
        loop {
            tokio::select! {
                () = &mut ended => return,
                () = tokio::time::sleep(POLL_EVERY) => self.reload(),
            }
        }
    }

    fn warn_of_expiry(&self, certificate: &ReloadingCertificate) {
        if let Some(warning) = certificate.validity().warning(self.clock.now()) {
            tracing::warn!(%warning, "the certificate needs attention");
        }
    }
}
