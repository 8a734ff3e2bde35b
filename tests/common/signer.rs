//! Tokens that say whatever a test wants: signed with the key that the policies trust for two tenants, or not signed at all.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use steward::clock::Clock;

pub const LYNX: &str = "17110000-1000-4000-8000-000000000001";
pub const MARTEN: &str = "3a370000-1000-4000-8000-000000000001";

/// The key set that `more.toml` refers to.
pub fn key_set() -> Value {
    let x = URL_SAFE_NO_PAD.encode(pair().public_key().as_ref());
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "own", "x": x }] })
}

/// Sound claims of an application of Lynx Laboratories.
pub fn claims() -> Value {
    let now = Clock::system().now().as_second();
    json!({
        "iss": format!("https://own.example/{LYNX}/"), "tid": LYNX, "aud": "https://management.azure.com",
        "oid": "17110000-3000-4000-8000-000000000001", "sub": "17110000-3000-4000-8000-000000000001",
        "appid": "17110000-6000-4000-8000-000000000001", "appidacr": "1", "idtyp": "app", "ver": "1.0",
        "iat": now, "nbf": now, "exp": now + 600,
    })
}

/// Signed claims.
pub fn signed(claims: &Value) -> String {
    token(&json!({ "typ": "JWT", "alg": "EdDSA", "kid": "own" }), claims)
}

/// Claims below any header, signed with our key whatever the header says.
pub fn token(header: &Value, claims: &Value) -> String {
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(sign(text.as_bytes())))
}

/// Our key's signature of these bytes.
pub fn sign(text: &[u8]) -> Vec<u8> {
    pair().sign(text).as_ref().to_vec()
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[42; 32]).unwrap()
}
