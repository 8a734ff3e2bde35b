//! The gateway's assertion: the only credential that opens the resource manager.
//!
//! Strict on purpose: one algorithm, three header fields, every claim present, short life. Source: RFC 7515, RFC 8693 §4.1 (`act`).

use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dashmap::DashMap;
use serde::Deserialize;

use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::ids::{ClientId, ObjectId, PrincipalId, RoleId, TenantId};

/// One public key of the gateway.
#[derive(Debug, Clone)]
pub struct Key {
    /// The `kid` in the header of the assertions it signs.
    pub kid: String,
    /// The raw Ed25519 public key.
    pub public_key: [u8; 32],
}

/// Whose assertions are accepted.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The gateway's base URL: `iss`.
    pub issuer: String,
    /// The resource manager's base URL as the gateway knows it: `aud`.
    pub audience: String,
    /// The keys that may sign.
    pub keys: Vec<Key>,
}

/// On whose behalf a request comes, as the gateway asserted it.
#[derive(Debug)]
pub(super) struct Actor {
    /// The person or program, with its home tenant.
    pub(super) principal: PrincipalId,
    /// Display name, if the token had one.
    pub(super) name: Option<String>,
    /// The application it signed in with.
    pub(super) client: Option<ClientId>,
    /// The customer's tenant that is worked in.
    pub(super) tenant: TenantId,
    /// Where the grant holds.
    pub(super) scope: Scope,
    /// First second at which the assertion is no longer good.
    expires: i64,
}

/// Why an assertion was not accepted. The texts never contain any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum AssertionError {
    /// No `Authorization: Bearer`.
    #[error("the header `Authorization: Bearer` is missing; only the gateway can call this service")]
    Absent,
    /// Another `aud`.
    #[error("the audience is another service")]
    Audience,
    /// `sub` is not the actor.
    #[error("subject and actor differ")]
    Actor,
    /// `exp` passed.
    #[error("it has expired")]
    Expired,
    /// `iat` in the future, or it lives longer than ten minutes.
    #[error("its lifetime is not within {LIFETIME_S_MAX} seconds from now")]
    Lifetime,
    /// Another `iss`.
    #[error("the issuer is not the gateway")]
    Issuer,
    /// The signature does not hold.
    #[error("the signature does not match")]
    Signature,
    /// Not a compact JWS of header, claims and signature as agreed.
    #[error("it is not a compact EdDSA token with the agreed header and claims")]
    Shape,
    /// The `kid` names none of our keys.
    #[error("the signing key is unknown")]
    UnknownKey,
}

/// The gateway makes them for minutes; a longer one is a mistake or a theft.
const LIFETIME_S_MAX: i64 = 600;
/// Clocks of two machines may differ by this much.
const SKEW_S: i64 = 30;
/// An assertion is about 1 KiB; more is abuse.
const LENGTH_MAX: usize = 8 * 1024;
/// One entry per caller and grant at work; about 2 KiB each.
const CACHED_MAX: usize = 4_096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

/// What every assertion says, whichever service it is for.
#[derive(Deserialize)]
pub(super) struct Common {
    iss: String,
    aud: String,
    sub: ObjectId,
    act: Act,
    iat: i64,
    exp: i64,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(flatten)]
    common: Common,
    tid: TenantId,
    scp: String,
    // Not used to decide anything, but a malformed one shows a gateway that is not ours.
    #[serde(rename = "role")]
    _role: Option<RoleId>,
    #[serde(rename = "delegation")]
    _delegation: Option<String>,
}

#[derive(Deserialize)]
struct Act {
    sub: ObjectId,
    tid: TenantId,
    name: Option<String>,
    client_id: Option<ClientId>,
}

impl Common {
    /// Who acts, wherever it is at home.
    pub(super) const fn principal(&self) -> PrincipalId {
        PrincipalId { tenant: self.act.tid, object: self.act.sub }
    }

    /// Display name, if the token had one.
    pub(super) fn name(&self) -> Option<&str> {
        self.act.name.as_deref()
    }
}

impl Trust {
    /// The claims of the value of an `Authorization` header, signed by one of the keys.
    ///
    /// # Errors
    /// When it is no token of the agreed shape, or its signature does not hold.
    pub(super) fn claims<T: serde::de::DeserializeOwned>(&self, authorization: Option<&str>) -> Result<T, AssertionError> {
        self.signed(authorization.and_then(bearer).ok_or(AssertionError::Absent)?)
    }

    fn signed<T: serde::de::DeserializeOwned>(&self, token: &str) -> Result<T, AssertionError> {
        if token.len() > LENGTH_MAX {
            return Err(AssertionError::Shape);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(AssertionError::Shape)?;
        let (header, claims) = signed.split_once('.').ok_or(AssertionError::Shape)?;
        let header: Header = part(header)?;
        if header.alg != "EdDSA" || header.typ != "JWT" {
            return Err(AssertionError::Shape);
        }
        let key = self.keys.iter().find(|key| key.kid == header.kid).ok_or(AssertionError::UnknownKey)?;
        let signature = decoded(signature)?;
        // The library says no more than that it does not match, so there is no cause to keep.
        if UnparsedPublicKey::new(&ED25519, key.public_key).verify(signed.as_bytes(), &signature).is_err() {
            return Err(AssertionError::Signature);
        }
        part(claims)
    }

    /// Whether what every assertion says is in order at `now`, in seconds since 1970.
    ///
    /// # Errors
    /// With the first thing that is not.
    pub(super) fn judge(&self, claims: &Common, now: i64) -> Result<(), AssertionError> {
        if claims.iss != self.issuer {
            return Err(AssertionError::Issuer);
        }
        if claims.aud != self.audience {
            return Err(AssertionError::Audience);
        }
        if claims.exp <= now {
            return Err(AssertionError::Expired);
        }
        let lifetime = claims.exp.checked_sub(claims.iat).ok_or(AssertionError::Lifetime)?;
        if claims.iat > now.saturating_add(SKEW_S) || !(1..=LIFETIME_S_MAX).contains(&lifetime) {
            return Err(AssertionError::Lifetime);
        }
        if claims.sub == claims.act.sub { Ok(()) } else { Err(AssertionError::Actor) }
    }
}

/// Verifies assertions, each one once.
#[derive(Debug)]
pub(super) struct Verifier {
    trust: Trust,
    verified: DashMap<Box<str>, Arc<Actor>, foldhash::fast::RandomState>,
}

impl Verifier {
    pub(super) fn new(trust: Trust) -> Self {
        Self { trust, verified: DashMap::with_hasher(foldhash::fast::RandomState::default()) }
    }

    /// The actor of the value of an `Authorization` header.
    ///
    /// # Errors
    /// When it is anything but an assertion of the gateway for this service that is good at `now`.
    pub(super) fn verify(&self, authorization: Option<&str>, now: Timestamp) -> Result<Arc<Actor>, AssertionError> {
        let token = authorization.and_then(bearer).ok_or(AssertionError::Absent)?;
        if let Some(actor) = self.verified.get(token).map(|entry| Arc::clone(&entry)) {
            return if now.as_second() < actor.expires { Ok(actor) } else { Err(AssertionError::Expired) };
        }
        let actor = Arc::new(self.verify_anew(token, now.as_second())?);
        self.remember(token, Arc::clone(&actor), now.as_second());
        Ok(actor)
    }

    fn remember(&self, token: &str, actor: Arc<Actor>, now: i64) {
        if self.verified.len() >= CACHED_MAX {
            self.verified.retain(|_, actor| now < actor.expires);
        }
        if self.verified.len() >= CACHED_MAX {
            self.verified.clear();
        }
        self.verified.insert(token.into(), actor);
    }

    fn verify_anew(&self, token: &str, now: i64) -> Result<Actor, AssertionError> {
        let claims: Claims = self.trust.signed(token)?;
        self.trust.judge(&claims.common, now)?;
        let Ok(scope) = Scope::parse(&claims.scp) else { return Err(AssertionError::Shape) };
        Ok(Actor {
            principal: claims.common.principal(),
            name: claims.common.act.name,
            client: claims.common.act.client_id,
            tenant: claims.tid,
            scope,
            expires: claims.common.exp,
        })
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("Bearer") && !token.is_empty()).then_some(token)
}

fn decoded(text: &str) -> Result<Vec<u8>, AssertionError> {
    URL_SAFE_NO_PAD.decode(text).ok().ok_or(AssertionError::Shape)
}

fn part<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, AssertionError> {
    serde_json::from_slice(&decoded(text)?).ok().ok_or(AssertionError::Shape)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn pair() -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
    }

    fn verifier() -> Verifier {
        let public_key = pair().public_key().as_ref().try_into().unwrap();
        let keys = vec![Key { kid: "k1".to_owned(), public_key }];
        Verifier::new(Trust { issuer: "https://gateway".to_owned(), audience: "https://backend".to_owned(), keys })
    }

    fn header() -> Value {
        json!({ "alg": "EdDSA", "typ": "JWT", "kid": "k1" })
    }

    fn claims() -> Value {
        let (object, tenant) = (ObjectId::from_bytes([1; 16]), TenantId::from_bytes([2; 16]));
        json!({
            "iss": "https://gateway", "aud": "https://backend", "sub": object, "tid": TenantId::from_bytes([3; 16]),
            "act": { "sub": object, "tid": tenant }, "scp": "/", "iat": NOW, "exp": NOW + 300,
        })
    }

    fn signed(header: &Value, claims: &Value) -> String {
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = URL_SAFE_NO_PAD.encode(pair().sign(text.as_bytes()).as_ref());
        format!("Bearer {text}.{signature}")
    }

    fn with(mut object: Value, member: &str, value: Value) -> Value {
        object[member] = value;
        object
    }

    #[track_caller]
    fn check(authorization: &str, expected: Result<(), AssertionError>) {
        let now = Timestamp::from_second(NOW).unwrap();
        assert_eq!(verifier().verify(Some(authorization), now).map(|_actor| ()), expected);
    }

    #[test]
    fn the_gateways_assertion_is_accepted() {
        check(&signed(&header(), &claims()), Ok(()));
        let role = RoleId::from_bytes([4; 16]);
        check(&signed(&header(), &with(with(claims(), "role", json!(role)), "delegation", json!("ops"))), Ok(()));
    }

    #[test]
    fn everything_else_is_refused() {
        use AssertionError::{Absent, Actor, Audience, Expired, Issuer, Lifetime, Shape, Signature, UnknownKey};
        check("Basic eDp5", Err(Absent));
        check("Bearer x", Err(Shape));
        for (member, value, expected) in [
            ("iss", json!("https://other"), Issuer),
            ("aud", json!("https://backend/"), Audience),
            ("aud", json!(["https://backend"]), Shape),
            ("exp", json!(NOW), Expired),
            ("exp", json!(NOW + 601), Lifetime),
            ("iat", json!(NOW + 60), Lifetime),
            ("sub", json!(ObjectId::from_bytes([9; 16])), Actor),
            ("scp", json!("subscriptions"), Shape),
            ("tid", Value::Null, Shape),
            ("role", json!("Contributor"), Shape),
        ] {
            check(&signed(&header(), &with(claims(), member, value)), Err(expected));
        }
        for (member, value, expected) in [
            ("alg", json!("none"), Shape),
            ("alg", json!("HS256"), Shape),
            ("kid", json!("k2"), UnknownKey),
            ("typ", json!("at+jwt"), Shape),
            ("jwk", json!({}), Shape),
        ] {
            check(&signed(&with(header(), member, value), &claims()), Err(expected));
        }
        let good = signed(&header(), &claims());
        let (text, _signature) = good.rsplit_once('.').unwrap();
        check(&format!("{text}.{}", URL_SAFE_NO_PAD.encode([0; 64])), Err(Signature));
        check(&format!("{text}."), Err(Signature));
    }

    #[test]
    fn a_remembered_assertion_still_expires() {
        let (verifier, good) = (verifier(), signed(&header(), &claims()));
        let at = |second| Timestamp::from_second(second).unwrap();
        assert!(verifier.verify(Some(&good), at(NOW)).is_ok());
        assert!(verifier.verify(Some(&good), at(NOW + 299)).is_ok());
        assert_eq!(verifier.verify(Some(&good), at(NOW + 300)).err(), Some(AssertionError::Expired));
    }
}
