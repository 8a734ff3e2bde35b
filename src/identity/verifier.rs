//! The way from a request's headers to its caller.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hyper::HeaderMap;

use super::bearer;
use super::cache::{CacheLimits, Proven, TokenCache};
use super::caller::Caller;
use super::claims::{Measures, later};
use super::compact::Unproven;
use super::error::TokenError;
use super::issuers;
use super::key_store::KeyStore;
use crate::clock::{Clock, Timestamp};
use crate::directory::Directory;

/// Authenticates requests.
#[derive(Debug)]
pub struct Verifier {
    audiences: Vec<String>,
    keys: Arc<KeyStore>,
    cache: TokenCache,
    clock: Clock,
}

impl Verifier {
    /// A verifier of tokens for these audiences. They are compared whole: whoever wants a final slash accepted lists both forms.
    #[must_use]
    pub fn new(audiences: Vec<String>, keys: Arc<KeyStore>, clock: Clock, limits: CacheLimits) -> Self {
        Self { audiences, keys, cache: TokenCache::new(limits), clock }
    }

    /// The caller of a request. Waits only where a token of a known issuer names a key that is not loaded.
    ///
    /// # Errors
    /// Every reason why there is no caller; see [`TokenError`].
    pub async fn authenticate(&self, headers: &HeaderMap, directory: &Directory) -> Result<Arc<Caller>, TokenError> {
        let token = bearer::token(headers)?;
        match self.cache.find(token.bytes(), directory, self.clock.now()) {
            Some(caller) => Ok(caller),
            // Boxed, so that requests with a token that is known do not carry its room around.
            None => Box::pin(self.verify(token.text()?, directory)).await,
        }
    }

    /// How many valid tokens are held, for metrics.
    #[must_use]
    pub fn cached_tokens(&self) -> usize {
        self.cache.len()
    }

    async fn verify(&self, token: &str, directory: &Directory) -> Result<Arc<Caller>, TokenError> {
        let unproven = Unproven::parse(token)?;
        let home = issuers::home(unproven.claims(), directory)?;
        let (origin, key) = self.keys.key(&home, unproven.kid()).await?;
        let claims = unproven.prove(&key)?;
        let now = self.clock.now();
        let measures = Measures { audiences: &self.audiences, issuer: home.issuer, now };
        let caller = Arc::new(claims.caller(&measures)?);
        if home.tenant.suspended {
            return Err(TokenError::TenantSuspended { tenant: home.tenant.id });
        }
        let valid_until = later(caller.expires_at, measures.leeway());
        let valid_from = claims.valid_from()?;
        let valid_from = valid_from.checked_sub(measures.leeway()).unwrap_or(Timestamp::MIN);
        let revision = AtomicU64::new(home.revision);
        let proven = Proven { caller: Arc::clone(&caller), valid_from, valid_until, issuer: home.issuer.clone(), revision, origin, key };
        self.cache.keep(token, proven, now);
        Ok(caller)
    }
}
