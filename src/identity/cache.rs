//! Tokens that were found valid, by their bytes.
//!
//! A hit costs a look-up and four comparisons and neither verifies nor parses. It counts only while the token is alive, the
//! very key that verified it is in its issuer's present key set, and the tenant has the same issuer and is not suspended.
//! Refusals are not kept: an attacker would fill the cache with them. Neither is a token that is seen for the first time: many are used once, and
//! keeping one costs more memory than verifying it twice costs time.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;

use super::caller::Caller;
use super::key_set::VerificationKey;
use super::key_store::KeyOrigin;
use crate::clock::Timestamp;
use crate::directory::{Directory, IssuerOf, TokenIssuer};

/// Tokens seen once that are remembered, 4 bytes each: as many as are kept.
const SEEN_MAX: u64 = 64 * 1024;

/// How much the cache may hold.
#[derive(Debug, Clone, Copy)]
pub struct CacheLimits {
    /// Tokens at once.
    pub tokens_max: usize,
    /// Bytes of tokens and what they proved together, estimated from the length of the tokens.
    pub bytes_max: usize,
}

impl Default for CacheLimits {
    fn default() -> Self {
        Self { tokens_max: 65_536, bytes_max: 256 * 1024 * 1024 }
    }
}

/// What a valid token proved, and what that rests on.
#[derive(Debug)]
pub(super) struct Proven {
    /// Who it is.
    pub(super) caller: Arc<Caller>,
    /// First moment at which the token counts, leeway included: a clock can be set back.
    pub(super) valid_from: Timestamp,
    /// First moment at which the token is refused, leeway included.
    pub(super) valid_until: Timestamp,
    /// The issuer as the policy bound it to the tenant.
    pub(super) issuer: TokenIssuer,
    /// The newest policy set known to say so.
    pub(super) revision: AtomicU64,
    /// Where the key came from.
    pub(super) origin: KeyOrigin,
    /// The one that verified the token.
    pub(super) key: Arc<VerificationKey>,
}

impl Proven {
    fn counts(&self, directory: &Directory, now: Timestamp) -> bool {
        self.valid_from <= now && now < self.valid_until && self.bound_in(directory) && self.key_counts(now)
    }

    fn bound_in(&self, directory: &Directory) -> bool {
        let KeyOrigin::Loaded(_) = &self.origin else { return self.trusted_in(directory) };
        // A policy set never changes, so what it said once it still says; comparing issuers takes longer than the whole rest.
        if self.revision.load(Ordering::Relaxed) == directory.revision {
            return true;
        }
        let home = directory.tenant(self.caller.tenant());
        let bound = home.is_some_and(|tenant| !tenant.suspended && tenant.issuers.contains(&self.issuer));
        if bound {
            self.revision.store(directory.revision, Ordering::Relaxed);
        }
        bound
    }

    /// The same for an issuer whose keys are part of the issuer: both may change with every change of the store. Texts that are the same
    /// allocation are not compared letter by letter.
    fn trusted_in(&self, directory: &Directory) -> bool {
        let tenant = self.caller.tenant();
        let is_own = |name: &String| directory.issuer_of(name) == IssuerOf::Tenant(tenant);
        let known = directory.tenant(tenant).is_some_and(|tenant| !tenant.suspended && tenant.issuers.contains(&self.issuer));
        known && self.issuer.names.iter().all(is_own)
    }

    fn key_counts(&self, now: Timestamp) -> bool {
        match &self.origin {
            KeyOrigin::Inline => true,
            KeyOrigin::Loaded(keys) => keys.holds(&self.key, now),
        }
    }
}

/// The cache.
#[derive(Debug)]
pub(super) struct TokenCache {
    tokens: DashMap<Box<[u8]>, Proven, foldhash::fast::RandomState>,
    /// Hashes of valid tokens that were seen once, each in the place that it has by itself; a later one takes the place of the one before.
    seen: Box<[AtomicU32]>,
    limits: CacheLimits,
    count: AtomicUsize,
    bytes: AtomicUsize,
    sweeping: AtomicBool,
}

impl TokenCache {
    pub(super) fn new(limits: CacheLimits) -> Self {
        Self {
            tokens: DashMap::default(),
            seen: (0..SEEN_MAX).map(|_| AtomicU32::new(0)).collect(),
            limits,
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            sweeping: AtomicBool::new(false),
        }
    }

    /// The caller that this token proved before, if all that rests on still stands.
    pub(super) fn find(&self, token: &[u8], directory: &Directory, now: Timestamp) -> Option<Arc<Caller>> {
        let proven = self.tokens.get(token)?;
        proven.counts(directory, now).then(|| Arc::clone(&proven.caller))
    }

    /// Keeps what a token proved, when it is not the first time and there is room for it.
    pub(super) fn keep(&self, token: &str, proven: Proven, now: Timestamp) {
        if !self.was_seen(token) {
            return;
        }
        let cost = cost(token.len());
        if !self.reserve(cost) {
            self.make_room(now);
            if !self.reserve(cost) {
                return;
            }
        }
        if self.tokens.insert(token.as_bytes().into(), proven).is_some() {
            self.release(cost);
        }
    }

    /// Whether this token was here a while ago. To take another one for it does no harm: what is kept is known by its bytes.
    fn was_seen(&self, token: &str) -> bool {
        let hash = self.tokens.hasher().hash_one(token.as_bytes());
        let place = usize::try_from(hash % SEEN_MAX).ok().and_then(|place| self.seen.get(place));
        let mark = u32::try_from(hash >> u32::BITS).unwrap_or_default();
        place.is_some_and(|place| place.swap(mark, Ordering::Relaxed) == mark)
    }

    /// Tokens held at present.
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn reserve(&self, cost: usize) -> bool {
        let count = self.count.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let bytes = self.bytes.fetch_add(cost, Ordering::Relaxed).saturating_add(cost);
        let fits = count <= self.limits.tokens_max && bytes <= self.limits.bytes_max;
        if !fits {
            self.release(cost);
        }
        fits
    }

    fn release(&self, cost: usize) {
        self.count.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(cost, Ordering::Relaxed);
    }

    /// Drops expired tokens, and then any, until an eighth is free: sweeping for every single token would cost more than
    /// verifying it.
    fn make_room(&self, now: Timestamp) {
        if self.sweeping.swap(true, Ordering::Acquire) {
            return;
        }
        self.drop_where(|proven| now >= proven.valid_until);
        let with_room = |max: usize| max - max / 8;
        let (count_max, bytes_max) = (with_room(self.limits.tokens_max), with_room(self.limits.bytes_max));
        self.drop_where(|_proven| self.count.load(Ordering::Relaxed) >= count_max.max(1) || self.bytes.load(Ordering::Relaxed) > bytes_max);
        self.sweeping.store(false, Ordering::Release);
    }

    fn drop_where(&self, goes: impl Fn(&Proven) -> bool) {
        self.tokens.retain(|token, proven| {
            let goes = goes(proven);
            if goes {
                self.release(cost(token.len()));
            }
            !goes
        });
    }
}

/// The text, its decoded claims (at most as long), and the fixed parts of an entry.
const fn cost(token_bytes: usize) -> usize {
    token_bytes.saturating_mul(2).saturating_add(1024)
}

#[cfg(test)]
mod tests {
    use super::super::key_set::KeySet;
    use super::super::testing::{HOME, OPERATOR, RIVAL, TestKey, directory, issuer, key_set, tenant};
    use super::*;
    use crate::directory::{KeySource, SignatureAlgorithm};
    use crate::ids::PrincipalId;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn own_issuer() -> TokenIssuer {
        issuer(HOME, KeySource::Inline("{}".into()))
    }

    fn home() -> Directory {
        directory(1, vec![tenant(HOME, Some(own_issuer()))])
    }

    /// What a token proved that counts from second 100 to second `until`.
    fn proven(until: i64) -> Proven {
        let set = KeySet::parse(key_set(&[TestKey::ed25519().jwk("a")]).as_bytes(), &[SignatureAlgorithm::EdDsa]).unwrap();
        let caller = Caller::unproven(PrincipalId { tenant: HOME, object: OPERATOR }, "Anna".into(), at(100));
        Proven {
            caller: Arc::new(caller),
            valid_from: at(100),
            valid_until: at(until),
            issuer: own_issuer(),
            revision: AtomicU64::new(1),
            origin: KeyOrigin::Inline,
            key: Arc::clone(set.get("a").unwrap()),
        }
    }

    #[test]
    fn so_many_tokens_are_remembered_that_were_seen_once() {
        assert_eq!(TokenCache::new(CacheLimits::default()).seen.len(), 65_536);
    }

    fn keep_twice(cache: &TokenCache, token: &str, until: i64, now: i64) {
        for _ in 0..2 {
            cache.keep(token, proven(until), at(now));
        }
    }

    /// Whether each of these tokens is found at `now`.
    #[track_caller]
    fn check(cache: &TokenCache, tokens: &[&str], now: i64, expected: bool) {
        for token in tokens {
            let found = cache.find(token.as_bytes(), &home(), at(now));
            assert_eq!(found.is_some(), expected, "{token} at {now}");
            assert!(found.is_none_or(|caller| &*caller.name == "Anna"), "{token} at {now}");
        }
    }

    #[test]
    fn a_token_is_kept_when_it_comes_again_and_found_while_it_counts() {
        let cache = TokenCache::new(CacheLimits::default());
        cache.keep("token", proven(200), at(100));
        check(&cache, &["token"], 100, false);
        assert_eq!(cache.len(), 0);
        cache.keep("token", proven(200), at(100));
        for (now, found) in [(99, false), (100, true), (199, true), (200, false), (201, false)] {
            check(&cache, &["token"], now, found);
        }
        check(&cache, &["another"], 100, false);
        cache.keep("token", proven(200), at(100));
        assert_eq!(cache.len(), 1, "the same token is counted once");
    }

    #[test]
    fn what_an_issuer_with_keys_of_its_own_proved_counts_while_it_alone_is_the_tenants_issuer() {
        let cache = TokenCache::new(CacheLimits::default());
        keep_twice(&cache, "token", 200, 100);
        let mut suspended = tenant(HOME, Some(own_issuer()));
        suspended.suspended = true;
        let other_keys = issuer(HOME, KeySource::Inline("{ }".into()));
        let mut twin = own_issuer();
        twin.names.truncate(1);
        let cases = [
            ("as it was", vec![tenant(HOME, Some(own_issuer()))], true),
            ("beside another", vec![tenant(HOME, Some(own_issuer())), tenant(RIVAL, None)], true),
            ("suspended", vec![suspended], false),
            ("other keys", vec![tenant(HOME, Some(other_keys))], false),
            ("no issuer", vec![tenant(HOME, None)], false),
            ("no tenant", vec![], false),
            ("claimed by another", vec![tenant(HOME, Some(own_issuer())), tenant(RIVAL, Some(twin))], false),
        ];
        for (what, tenants, expected) in cases {
            let found = cache.find(b"token", &directory(1, tenants), at(150));
            assert_eq!(found.is_some(), expected, "{what}");
        }
    }

    #[test]
    fn a_full_cache_drops_what_has_expired_before_anything_else() {
        let cache = TokenCache::new(CacheLimits { tokens_max: 8, bytes_max: 1024 * 1024 });
        for expired in ["a", "b"] {
            keep_twice(&cache, expired, 150, 100);
        }
        let lasting = ["c", "d", "e", "f", "g", "h"];
        for token in lasting {
            keep_twice(&cache, token, 300, 100);
        }
        assert_eq!(cache.len(), 8);
        check(&cache, &["a", "b"], 149, true);
        keep_twice(&cache, "new", 300, 150);
        assert_eq!(cache.len(), 7);
        check(&cache, &lasting, 150, true);
        check(&cache, &["new"], 150, true);
    }

    #[test]
    fn a_cache_full_of_tokens_that_count_frees_an_eighth_for_a_new_one() {
        let cache = TokenCache::new(CacheLimits { tokens_max: 8, bytes_max: 1024 * 1024 });
        for token in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            keep_twice(&cache, token, 300, 100);
        }
        assert_eq!(cache.len(), 8);
        keep_twice(&cache, "new", 300, 100);
        check(&cache, &["new"], 100, true);
        assert_eq!(cache.len(), 7, "of eight two went and one came");
    }

    #[test]
    fn a_cache_full_of_bytes_frees_no_more_than_an_eighth_of_them() {
        // A token of 4 bytes is counted as 1032.
        let cache = TokenCache::new(CacheLimits { tokens_max: 1000, bytes_max: 8 * 1032 });
        for n in 0..8 {
            keep_twice(&cache, &format!("t-{n:02}"), 300, 100);
        }
        assert_eq!(cache.len(), 8);
        keep_twice(&cache, "t-08", 300, 100);
        check(&cache, &["t-08"], 100, true);
        assert_eq!(cache.len(), 8, "one went and one came");
    }

    #[test]
    fn of_thousands_of_tokens_seen_once_nearly_all_are_known_when_they_come_again() {
        let cache = TokenCache::new(CacheLimits::default());
        let tokens: Vec<_> = (0..4096).map(|n| n.to_string()).collect();
        assert!(tokens.iter().filter(|token| cache.was_seen(token)).count() < 10);
        // Some share their place: of 65536 places these take about one in 16.
        let known = tokens.iter().filter(|token| cache.was_seen(token)).count();
        assert!(known > 3500, "{known}");
    }
}
