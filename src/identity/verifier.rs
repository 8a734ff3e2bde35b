//! The way from a request's headers to its caller.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hyper::HeaderMap;

use super::auxiliary::{self, AuxiliaryError, Signed, Unaccepted};
use super::bearer::{self, Bearer};
use super::cache::{CacheLimits, Proven, TokenCache};
use super::caller::{Caller, Standing};
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
            None => Box::pin(self.verify(token.text()?, directory)).await.map_err(|refused| refused.error),
        }
    }

    /// Whether a request shows tokens besides its caller's own.
    #[must_use]
    pub fn has_auxiliary(headers: &HeaderMap) -> bool {
        headers.contains_key(auxiliary::FIELD)
    }

    /// The callers that a request shows to be besides its own, in the order of their tokens.
    ///
    /// # Errors
    /// When the header cannot be read, or one of its tokens would be refused as a request's own.
    pub async fn auxiliary(&self, headers: &HeaderMap, directory: &Directory) -> Result<Box<[Arc<Caller>]>, AuxiliaryError> {
        let mut callers = Vec::new();
        for (before, token) in auxiliary::tokens(headers)?.into_iter().enumerate() {
            let proven = match token {
                Ok(token) => self.caller_of(token, directory).await,
                Err(error) => Err(error.into()),
            };
            let refused = |Unaccepted { error, signed }| AuxiliaryError::Token { position: before + 1, signed, error };
            callers.push(proven.map_err(refused)?);
        }
        Ok(callers.into())
    }

    async fn caller_of(&self, token: Bearer<'_>, directory: &Directory) -> Result<Arc<Caller>, Unaccepted> {
        match self.cache.find(token.bytes(), directory, self.clock.now()) {
            Some(caller) => Ok(caller),
            None => self.verify(token.text()?, directory).await,
        }
    }

    /// How many valid tokens are held, for metrics.
    #[must_use]
    pub fn cached_tokens(&self) -> usize {
        self.cache.len()
    }

    async fn verify(&self, token: &str, directory: &Directory) -> Result<Arc<Caller>, Unaccepted> {
        let unproven = Unproven::parse(token)?;
        let home = issuers::home(unproven.claims(), directory)?;
        let (origin, key) = self.keys.key(&home, unproven.kid()).await?;
        let claims = unproven.prove(&key)?;
        let now = self.clock.now();
        let standing = if directory.account(home.tenant.id).is_some() { Standing::Visitor } else { Standing::Configured };
        let measures = Measures { audiences: &self.audiences, issuer: home.issuer, standing, now };
        let signed = || Some(Signed { tenant: home.tenant.id, client: claims.client().ok().and_then(|(client, _)| client) });
        let caller = Arc::new(claims.caller(&measures).map_err(|error| Unaccepted { error, signed: signed() })?);
        if home.tenant.suspended {
            return Err(Unaccepted { error: TokenError::TenantSuspended { tenant: home.tenant.id }, signed: signed() });
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

#[cfg(test)]
mod tests {
    use hyper::header::{AUTHORIZATION, HeaderValue};

    use super::*;

    #[test]
    fn auxiliary_tokens_are_shown_in_a_field_of_their_own() {
        let mut headers = HeaderMap::new();
        assert!(!Verifier::has_auxiliary(&headers));
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer a.b.c"));
        assert!(!Verifier::has_auxiliary(&headers));
        headers.insert("x-ms-authorization-auxiliary", HeaderValue::from_static("Bearer d.e.f"));
        assert!(Verifier::has_auxiliary(&headers));
    }
}
