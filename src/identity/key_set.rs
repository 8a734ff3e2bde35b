//! The public keys of one issuer. Source: RFC 7517.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256};
use serde_json::{Map, Value};

use super::strict;
use crate::directory::SignatureAlgorithm;

/// Real issuers publish fewer than ten.
pub(super) const KEYS_MAX: usize = 100;
/// Source: NIST SP 800-131A; RFC 7518 §3.3.
const RSA_BITS_MIN: usize = 2048;
/// Larger ones only cost time: what a signature that is wrong takes grows with their square.
const RSA_BITS_MAX: usize = 4096;
/// The public exponents that are in use, as bytes: 65537, which nearly every issuer has, 17 and 3. With a long one each signature costs ten times as
/// much, or cannot be verified at all. Source: RFC 8017 §3.1; FIPS 186-5 §A.1.1.
const RSA_EXPONENTS: [&[u8]; 3] = [&[1, 0, 1], &[17], &[3]];
/// A coordinate of P-256, and a whole Ed25519 key.
const CURVE_BYTES: usize = 32;

/// A key and the one algorithm it verifies.
pub(super) struct VerificationKey {
    algorithm: SignatureAlgorithm,
    material: Material,
    /// Parsed once, and only when it is needed: that takes longer than what else is around a signature. Nothing when it is no key, which then
    /// verifies nothing.
    parsed: OnceLock<Option<ParsedPublicKey>>,
}

impl std::fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerificationKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[derive(PartialEq, Eq)]
enum Material {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256 { x: Vec<u8>, y: Vec<u8> },
    Ed25519 { x: Vec<u8> },
}

impl VerificationKey {
    pub(super) const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// Whether this key made `signature` (base64url) over `signed`.
    pub(super) fn verifies(&self, signed: &str, signature: &str) -> bool {
        let key = self.parsed.get_or_init(|| self.material.parsed(self.algorithm)).as_ref();
        key.zip(strict::base64url(signature)).is_some_and(|(key, signature)| key.verify_sig(signed.as_bytes(), &signature).is_ok())
    }

    fn is(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.material == other.material
    }

    fn read(entry: &Map<String, Value>, allowed: &[SignatureAlgorithm]) -> Option<Self> {
        let text = |name| entry.get(name).and_then(Value::as_str);
        let for_signatures = match (entry.get("use"), entry.get("key_ops")) {
            (None, None) => true,
            (None, Some(operations)) => operations.as_array()?.iter().any(|operation| operation == "verify"),
            (Some(purpose), _) => purpose == "sig",
        };
        // Whoever publishes a private key has lost it.
        if !for_signatures || entry.contains_key("d") {
            return None;
        }
        let material = Material::read(text("kty")?, text)?;
        let algorithm = match entry.get("alg") {
            Some(named) => algorithm_named(named.as_str()?).filter(|named| material.fits(*named) && allowed.contains(named)),
            None => allowed.iter().copied().find(|allowed| material.fits(*allowed)),
        }?;
        Some(Self { algorithm, material, parsed: OnceLock::new() })
    }
}

impl Material {
    fn read<'e>(kind: &str, text: impl Fn(&'static str) -> Option<&'e str>) -> Option<Self> {
        let coordinate = |name| strict::base64url(text(name)?).filter(|bytes| bytes.len() == CURVE_BYTES);
        match (kind, text("crv")) {
            ("RSA", None) => {
                let (modulus, exponent) = rsa(&text)?;
                rsa_problem(&modulus, &exponent).is_none().then_some(Self::Rsa { modulus, exponent })
            }
            ("EC", Some("P-256")) => Some(Self::P256 { x: coordinate("x")?, y: coordinate("y")? }),
            ("OKP", Some("Ed25519")) => Some(Self::Ed25519 { x: coordinate("x")? }),
            _ => None,
        }
    }

    const fn fits(&self, algorithm: SignatureAlgorithm) -> bool {
        match self {
            Self::Rsa { .. } => matches!(algorithm, SignatureAlgorithm::Rs256 | SignatureAlgorithm::Ps256),
            Self::P256 { .. } => matches!(algorithm, SignatureAlgorithm::Es256),
            Self::Ed25519 { .. } => matches!(algorithm, SignatureAlgorithm::EdDsa),
        }
    }

    fn parsed(&self, algorithm: SignatureAlgorithm) -> Option<ParsedPublicKey> {
        match self {
            Self::Rsa { modulus, exponent } => {
                let parameters =
                    if algorithm == SignatureAlgorithm::Ps256 { &RSA_PSS_2048_8192_SHA256 } else { &RSA_PKCS1_2048_8192_SHA256 };
                PublicKeyComponents { n: modulus, e: exponent }.to_parsed_public_key(parameters).ok()
            }
            // Source: SEC 1 §2.3.3, an uncompressed point.
            Self::P256 { x, y } => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4], x.as_slice(), y.as_slice()].concat()).ok(),
            Self::Ed25519 { x } => ParsedPublicKey::new(&ED25519, x).ok(),
        }
    }
}

/// Modulus and public exponent.
fn rsa<'e>(text: impl Fn(&'static str) -> Option<&'e str>) -> Option<(Vec<u8>, Vec<u8>)> {
    Some((strict::base64url(text("n")?)?, strict::base64url(text("e")?)?))
}

fn rsa_problem(modulus: &[u8], exponent: &[u8]) -> Option<RsaProblem> {
    match bits(modulus) {
        bits if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) => Some(RsaProblem::Size { bits }),
        _ if !RSA_EXPONENTS.contains(&exponent) => Some(RsaProblem::Exponent),
        _ => None,
    }
}

/// Of a number, the most significant byte first.
fn bits(number: &[u8]) -> usize {
    let zero_bytes = number.iter().take_while(|byte| **byte == 0).count();
    let zero_bits = number.get(zero_bytes).and_then(|leading| usize::try_from(leading.leading_zeros()).ok());
    ((number.len() - zero_bytes) * 8).saturating_sub(zero_bits.unwrap_or_default())
}

/// Why an RSA key is not used, if that is because of its numbers.
pub(super) fn problem_of_rsa(entry: &Value) -> Option<RsaProblem> {
    let text = |name| entry.get(name).and_then(Value::as_str);
    let (modulus, exponent) = rsa(text).filter(|_| text("kty") == Some("RSA"))?;
    rsa_problem(&modulus, &exponent)
}

/// What is wrong with the numbers of an RSA key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RsaProblem {
    /// Nobody has such an exponent.
    #[error("an RSA public exponent that is not 65537, 17 or 3")]
    Exponent,
    /// Too few bits to be safe, or so many that they only cost time.
    #[error("{bits} bits; allowed for RSA: {RSA_BITS_MIN} to {RSA_BITS_MAX}")]
    Size {
        /// Of the modulus.
        bits: usize,
    },
}

/// The `alg` of this name. Symmetric ones, `none` and every other spelling are nothing.
pub(super) fn algorithm_named(name: &str) -> Option<SignatureAlgorithm> {
    use SignatureAlgorithm::{EdDsa, Es256, Ps256, Rs256};
    [Rs256, Ps256, Es256, EdDsa].into_iter().find(|algorithm| algorithm_name(*algorithm) == name)
}

/// The `alg` that headers and keys carry. Source: RFC 7518 §3.1, RFC 8037 §3.1.
pub(super) const fn algorithm_name(algorithm: SignatureAlgorithm) -> &'static str {
    match algorithm {
        SignatureAlgorithm::Rs256 => "RS256",
        SignatureAlgorithm::Ps256 => "PS256",
        SignatureAlgorithm::Es256 => "ES256",
        SignatureAlgorithm::EdDsa => "EdDSA",
    }
}

/// The keys of one issuer by their `kid`. Never empty.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: HashMap<Box<str>, Arc<VerificationKey>, foldhash::fast::RandomState>,
}

impl KeySet {
    /// Reads a JSON Web Key Set; keys that cannot verify an allowed algorithm are passed over.
    ///
    /// # Errors
    /// When it is no key set, has too many keys, none that is usable, or two under one name.
    pub(super) fn parse(json: &[u8], allowed: &[SignatureAlgorithm]) -> Result<Self, KeySetError> {
        let document = strict::object(json).map_err(|cause| KeySetError::NotJson { cause })?;
        let entries = document.get("keys").and_then(Value::as_array).ok_or(KeySetError::NoKeys)?;
        if entries.len() > KEYS_MAX {
            return Err(KeySetError::TooMany { count: entries.len() });
        }
        let mut keys = HashMap::default();
        for entry in entries.iter().filter_map(Value::as_object) {
            let Some(kid) = entry.get("kid").and_then(Value::as_str) else { continue };
            let Some(key) = VerificationKey::read(entry, allowed) else { continue };
            if keys.insert(Box::from(kid), Arc::new(key)).is_some() {
                return Err(KeySetError::Ambiguous { kid: kid.to_owned() });
            }
        }
        if keys.is_empty() { Err(KeySetError::NoneUsable) } else { Ok(Self { keys }) }
    }

    pub(super) fn get(&self, kid: &str) -> Option<&Arc<VerificationKey>> {
        self.keys.get(kid)
    }

    /// Whether this very key, and not only its name, is in the set.
    pub(super) fn holds(&self, key: &Arc<VerificationKey>) -> bool {
        self.keys.values().any(|held| Arc::ptr_eq(held, key))
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The same set, with the keys it shares with `previous` being the same allocations: what they verified stays verified.
    pub(super) fn after(mut self, previous: &Self) -> Self {
        for (kid, key) in &mut self.keys {
            if let Some(known) = previous.get(kid).filter(|known| known.is(key)) {
                *key = Arc::clone(known);
            }
        }
        self
    }
}

/// Why a document is not a usable key set.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// Two keys under one name.
    #[error("two keys are named `{kid}`")]
    Ambiguous {
        /// The name.
        kid: String,
    },
    /// Not a key set.
    #[error("the document has no list `keys`")]
    NoKeys,
    /// No key that verifies signatures of the issuer's algorithms.
    #[error(
        "no key is usable; needed: `kid`, use `sig`, and RSA of 2048 to 4096 bits with the exponent 65537, 17 or 3, P-256 or Ed25519 as the issuer's algorithms say"
    )]
    NoneUsable,
    /// Not JSON.
    #[error("the document is not one JSON object in which every name is unique")]
    NotJson {
        /// What the reader says.
        #[source]
        cause: serde_json::Error,
    },
    /// Too many.
    #[error("the document has {count} keys; allowed: 1 to 100")]
    TooMany {
        /// How many.
        count: usize,
    },
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{HOME_KEY, TestKey, base64url, key_set, with};
    use super::*;

    #[track_caller]
    fn check(entries: &[Value], expected: Result<&[(&str, SignatureAlgorithm)], &str>) {
        let allowed = [SignatureAlgorithm::Rs256, SignatureAlgorithm::Ps256, SignatureAlgorithm::Es256];
        let read = KeySet::parse(key_set(entries).as_bytes(), &allowed).map_err(|error| error.to_string());
        let mut found = read.as_ref().map(|set| set.keys.iter().map(|(kid, key)| (&**kid, key.algorithm)).collect::<Vec<_>>());
        if let Ok(found) = &mut found {
            found.sort_by_key(|(kid, _)| *kid);
        }
        assert_eq!(found.as_deref().map_err(|text| text.split(';').next().unwrap()), expected, "{entries:?}");
    }

    #[test]
    fn each_key_verifies_one_algorithm_of_its_type_that_the_issuer_uses() {
        use SignatureAlgorithm::{Es256, Ps256, Rs256};
        let rsa = || HOME_KEY.jwk("a");
        let none = Err("no key is usable");
        check(&[rsa()], Ok(&[("a", Rs256)]));
        check(&[with(rsa(), json!({"alg": "PS256"}))], Ok(&[("a", Ps256)]));
        check(&[TestKey::p256().jwk("b"), rsa()], Ok(&[("a", Rs256), ("b", Es256)]));
        check(&[TestKey::ed25519().jwk("c"), rsa()], Ok(&[("a", Rs256)]));
        check(&[with(rsa(), json!({"alg": "ES256"}))], none);
        check(&[with(rsa(), json!({"alg": "HS256"}))], none);
        check(&[with(rsa(), json!({"alg": null}))], none);
    }

    #[test]
    fn keys_for_other_purposes_weak_keys_and_secrets_are_passed_over() {
        let rsa = || HOME_KEY.jwk("a");
        let none = Err("no key is usable");
        let modulus = |bytes: usize| base64url([&[0xc5], vec![0x55; bytes - 1].as_slice()].concat());
        check(&[with(rsa(), json!({"use": "enc"}))], none);
        check(&[with(rsa(), json!({"n": modulus(128)}))], none);
        check(&[with(rsa(), json!({"n": base64url([vec![0; 128], vec![0x55; 128]].concat())}))], none);
        check(&[with(rsa(), json!({"n": base64url([&[0x7f], vec![0x55; 255].as_slice()].concat())}))], none);
        check(&[with(rsa(), json!({"n": "not base64url="}))], none);
        check(&[with(rsa(), json!({"d": "AQAB"}))], none);
        check(&[with(rsa(), json!({"kid": 7}))], none);
        check(&[json!({"kid": "a", "kty": "oct", "k": "c2VjcmV0", "use": "sig"})], none);
        check(&[with(TestKey::p256().jwk("a"), json!({"crv": "P-384"}))], none);
        check(&[with(TestKey::p256().jwk("a"), json!({"x": "AA"}))], none);
        check(&[json!(7)], none);
        check(&[], none);
    }

    #[test]
    fn rsa_keys_have_2048_to_4096_bits_and_a_short_exponent() {
        let is_used = [("a", SignatureAlgorithm::Rs256)];
        let rsa = |leading: u8, bytes: usize, exponent: &[u8]| {
            let modulus = base64url([&[leading], vec![0x55; bytes - 1].as_slice()].concat());
            with(HOME_KEY.jwk("a"), json!({"n": modulus, "e": base64url(exponent)}))
        };
        for (leading, bytes) in [(0x80, 256), (0xff, 256), (1, 257), (0x80, 512), (0xff, 512)] {
            for exponent in [&[1, 0, 1][..], &[17], &[3]] {
                check(&[rsa(leading, bytes, exponent)], Ok(&is_used));
                assert_eq!(problem_of_rsa(&rsa(leading, bytes, exponent)), None);
            }
        }
        let refused = |key: Value, expected: RsaProblem| {
            check(std::slice::from_ref(&key), Err("no key is usable"));
            assert_eq!(problem_of_rsa(&key), Some(expected), "{key}");
        };
        for (leading, bytes, bits) in [(0x7f, 256, 2047), (1, 513, 4097), (0xff, 1024, 8192), (1, 1, 1), (0, 1, 0), (0, 129, 1023)] {
            refused(rsa(leading, bytes, &[1, 0, 1]), RsaProblem::Size { bits });
        }
        let long = vec![0xff; 1024];
        for exponent in [&[][..], &[1], &[2], &[5], &[16], &[1, 0, 0], &[1, 0, 3], &[0, 3], &[1, 0, 1, 0], &[1, 0, 0, 0, 1], &long] {
            refused(rsa(0x80, 256, exponent), RsaProblem::Exponent);
        }
        assert_eq!(problem_of_rsa(&TestKey::p256().jwk("a")), None);
        assert_eq!(problem_of_rsa(&with(rsa(1, 1, &[1]), json!({"kty": "EC"}))), None);
    }

    #[test]
    fn a_set_with_two_keys_of_one_name_or_too_many_is_refused_as_a_whole() {
        check(&[HOME_KEY.jwk("a"), TestKey::p256().jwk("a")], Err("two keys are named `a`"));
        check(&vec![json!({}); 101], Err("the document has 101 keys"));
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
            assert!(KeySet::parse(text.as_bytes(), &[SignatureAlgorithm::Rs256]).is_err(), "{text}");
        }
    }

    #[test]
    fn use_may_be_told_by_key_operations() {
        let mut key = HOME_KEY.jwk("a");
        key.as_object_mut().unwrap().shift_remove("use").unwrap();
        check(&[key.clone()], Ok(&[("a", SignatureAlgorithm::Rs256)]));
        check(&[with(key.clone(), json!({"key_ops": ["verify"]}))], Ok(&[("a", SignatureAlgorithm::Rs256)]));
        check(&[with(key, json!({"key_ops": ["encrypt"]}))], Err("no key is usable"));
    }

    #[test]
    fn a_set_of_a_hundred_entries_is_read() {
        let mut entries = vec![json!({}); 99];
        entries.push(TestKey::p256().jwk("a"));
        check(&entries, Ok(&[("a", SignatureAlgorithm::Es256)]));
        entries.push(json!({}));
        check(&entries, Err("the document has 101 keys"));
    }

    #[test]
    fn as_many_keys_are_counted_as_can_be_used() {
        let count = |entries: &[Value]| KeySet::parse(key_set(entries).as_bytes(), &[SignatureAlgorithm::Es256]).unwrap().len();
        let (a, b) = (TestKey::p256().jwk("a"), TestKey::p256().jwk("b"));
        assert_eq!(count(std::slice::from_ref(&a)), 1);
        assert_eq!(count(&[a, TestKey::ed25519().jwk("c"), b]), 2);
    }

    #[test]
    fn a_key_shows_its_algorithm_and_nothing_of_its_material() {
        let set = KeySet::parse(key_set(&[TestKey::p256().jwk("a")]).as_bytes(), &[SignatureAlgorithm::Es256]).unwrap();
        assert_eq!(format!("{:?}", set.get("a").unwrap()), "VerificationKey { algorithm: Es256, .. }");
    }
}
