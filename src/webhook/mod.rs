//! Webhooks: what happened to delegations, told to other systems of the operator, of a provider or of a customer.
//!
//! Every event is posted once in order, and again when it is not known whether it arrived: at least once, under a name that stays the
//! same. How far a webhook has come is an object in the store, so that an outage or a restart on either side loses nothing while the
//! store keeps the events. Of several gateways of one store, one at a time delivers. Receivers are configured by the operator; no
//! request of a caller makes this program connect anywhere.

mod deliver;
mod post;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::hmac;
use tokio_rustls::rustls;

use crate::clock::Clock;
use crate::state::State;
use crate::tls::{self, RootsError};

pub use deliver::{Deliverer, Status};
use post::Poster;
pub use post::{Target, TargetError};

/// A shorter secret could be guessed.
const SECRET_CHARS_MIN: usize = 32;

/// One receiver.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// What its cursor in the store is called: another name is another webhook.
    pub name: Box<str>,
    /// Where to post.
    pub target: Target,
    /// File with the secret that signs.
    pub secret: PathBuf,
    /// Key or id of the tenant whose events it gets, as customer or as managing tenant; all events without.
    pub tenant: Option<Box<str>>,
    /// Roots that its certificate may chain to; those of the system without.
    pub trusted_roots: Option<PathBuf>,
}

/// A webhook that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The trusted roots cannot be read.
    #[error("the trusted roots of a webhook cannot be read")]
    Roots(#[source] RootsError),
    /// The secret is too short.
    #[error("the secret in `{}` has {length} characters; at least {SECRET_CHARS_MIN} are needed", path.display())]
    SecretShort {
        /// The file.
        path: PathBuf,
        /// How long it is.
        length: usize,
    },
    /// The secret cannot be read.
    #[error("cannot read the secret `{}`", path.display())]
    SecretUnreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// Makes a webhook ready to run. `shares_store` says whether other gateways may deliver the same events.
///
/// # Errors
/// When its secret or its roots cannot be used.
pub fn prepare(config: &WebhookConfig, state: Arc<State>, clock: Clock, shares_store: bool) -> Result<Deliverer, WebhookError> {
    let roots = tls::trusted_roots(config.trusted_roots.as_deref()).map_err(WebhookError::Roots)?;
    let poster = Poster::new(config.target.clone(), roots).map_err(WebhookError::Tls)?;
    Ok(Deliverer::new(config, poster, secret(&config.secret)?, state, clock, shares_store))
}

fn secret(path: &Path) -> Result<hmac::Key, WebhookError> {
    let text = std::fs::read_to_string(path).map_err(|cause| WebhookError::SecretUnreadable { path: path.to_owned(), cause })?;
    let secret = text.trim();
    match secret.chars().count() {
        length if length < SECRET_CHARS_MIN => Err(WebhookError::SecretShort { path: path.to_owned(), length }),
        _ => Ok(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())),
    }
}

/// `sha256=` and the hexadecimal HMAC of `{timestamp}.{body}`.
fn signature(key: &hmac::Key, timestamp: &str, body: &str) -> String {
    let tag = hmac::sign(key, format!("{timestamp}.{body}").as_bytes());
    tag.as_ref().iter().fold("sha256=".to_owned(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_that_others_compute() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef0123456789abcdef");
        // printf '1763640000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        assert_eq!(signature(&key, "1763640000", "{}"), "sha256=786fd77441bf971df1788209ce156100722c0bd75d94d23f4a45afacd54bbede");
    }
}
