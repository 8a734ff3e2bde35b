//! Tokens of an attacker: well signed by a key of his own tenant, by a foreign key, or not at all.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::common::client::{Client, get};
use crate::common::installation::SHARED;
use crate::common::signer;

pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The header of a sound token of Lynx Laboratories.
pub fn header() -> Value {
    json!({ "typ": "JWT", "alg": "EdDSA", "kid": "own" })
}

/// Both with these members instead of their own; a member that is given as null is left out.
pub fn with(mut object: Value, members: &Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => object.as_object_mut().unwrap().remove(name),
            value @ (Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_) | Value::String(_)) => {
                object.as_object_mut().unwrap().insert(name.clone(), value.clone())
            }
        };
    }
    object
}

/// A sound token but for these members of its payload.
pub fn claiming(members: &Value) -> String {
    signer::signed(&with(signer::claims(), members))
}

/// A sound token but for these members of its header.
pub fn headed(members: &Value) -> String {
    signer::token(&with(header(), members), &signer::claims())
}

/// A token of header and payload exactly as written, well signed.
pub fn written(header: &[u8], payload: &[u8]) -> String {
    let signed = format!("{}.{}", base64url(header), base64url(payload));
    let signature = signer::sign(signed.as_bytes());
    format!("{signed}.{}", base64url(signature))
}

/// The same by a key that this attacker made for himself.
pub fn rsa_signed(header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
    let mut signature = vec![0; FOREIGN.public_modulus_len()];
    FOREIGN.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", base64url(signature))
}

/// A key of nobody. Making one is slow.
static FOREIGN: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());

/// Its public half, under this name.
pub fn foreign_jwk(kid: &str) -> Value {
    use aws_lc_rs::signature::KeyPair as _;
    let public = FOREIGN.public_key();
    let [n, e] = [public.modulus(), public.exponent()].map(|number| base64url(number.big_endian_without_leading_zero()));
    json!({ "kid": kid, "use": "sig", "kty": "RSA", "n": n, "e": e })
}

/// A token whose signature is a hash keyed with these bytes.
pub fn hashed(algorithm: &str, kid: &str, claims: &Value, key: &[u8]) -> String {
    let header = json!({ "typ": "JWT", "alg": algorithm, "kid": kid });
    let signed = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
    let hash = match algorithm {
        "HS512" => hmac::HMAC_SHA512,
        "HS384" => hmac::HMAC_SHA384,
        _ => hmac::HMAC_SHA256,
    };
    format!("{signed}.{}", base64url(hmac::sign(&hmac::Key::new(hash, key), signed.as_bytes())))
}

/// The claims that the issuer of the installation would give this identity; nobody here can sign them.
pub fn claims_of(identity: &str) -> Value {
    let world = &SHARED.demo.world;
    let known = &world.identities[identity];
    let tenant = world.tenants[&known.tenant].id;
    let members = json!({ "iss": format!("{}/{tenant}/", world.authority), "tid": tenant, "oid": known.object_id, "sub": known.object_id });
    with(signer::claims(), &members)
}

/// The first public key of the installation's issuer.
pub async fn issuer_key() -> Value {
    let world = &SHARED.demo.world;
    let client = Client::new(&world.authority, &world.ca);
    let answer = client.send(get("/common/discovery/keys")).await;
    answer.json()["keys"][0].clone()
}

/// Header, payload and signature of a token.
pub fn parts(token: &str) -> [String; 3] {
    token.split('.').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()
}

/// What a part of a token says.
pub fn said(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}
