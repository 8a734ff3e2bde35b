//! Keys of the tests' own issuer, and tokens that say who asks.

use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::signer;

/// Tokens were made so long ago that clocks may be set back by less.
const AGE: Duration = Duration::from_mins(40);
/// What tokens have left: longer than any run, and than clocks are set forward.
const LEFT: Duration = Duration::from_mins(60);
/// An expired token ended so long ago that no clock of these tests makes it good again.
const EXPIRED_FOR: Duration = Duration::from_hours(2);

/// A key of the issuer, or of somebody who claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    name: &'static str,
    seed: u8,
}

/// What the issuer signs with at first, and after a rotation.
pub const FIRST: Key = Key { name: "first", seed: 51 };
pub const SECOND: Key = Key { name: "second", seed: 52 };
/// Says that it is the issuer's.
pub const FORGED: Key = Key { name: "first", seed: 66 };
/// A name that the issuer never gave.
pub const UNKNOWN: Key = Key { name: "unknown", seed: 66 };

impl Key {
    fn pair(self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[self.seed; 32]).unwrap()
    }

    fn public(self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair().public_key().as_ref());
        json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.name, "x": x })
    }

    /// The key set that an issuer with this one key publishes.
    pub fn set(self) -> Value {
        json!({ "keys": [self.public()] })
    }

    /// A token of a principal of a tenant.
    pub fn token(self, tenant: &str, object: &str) -> String {
        self.sign(&claims(tenant, object, LEFT.as_secs().cast_signed()))
    }

    /// The same, but it has ended long ago.
    pub fn expired(self, tenant: &str, object: &str) -> String {
        self.sign(&claims(tenant, object, -EXPIRED_FOR.as_secs().cast_signed()))
    }

    fn sign(self, claims: &Value) -> String {
        let header = json!({ "typ": "JWT", "alg": "EdDSA", "kid": self.name });
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(self.pair().sign(text.as_bytes()).as_ref()))
    }
}

fn claims(tenant: &str, object: &str, left: i64) -> Value {
    let mut claims = signer::claims();
    let now = claims["iat"].as_i64().unwrap();
    let since = now - AGE.as_secs().cast_signed() + left.min(0);
    for (name, value) in [("iat", since), ("nbf", since), ("exp", now + left)] {
        claims[name] = value.into();
    }
    for (name, value) in [("tid", tenant), ("oid", object), ("sub", object)] {
        claims[name] = value.into();
    }
    claims["iss"] = format!("https://own.example/{tenant}/").into();
    claims
}
