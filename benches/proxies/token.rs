//! Bearer tokens as the issuer of a large cloud writes them, signed with a key of our own that every contender is given.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::Outcome;

pub const AUDIENCE: &str = "https://management.azure.com";
pub const TENANT: &str = "be4c0000-1000-4000-8000-000000000001";
pub const ISSUER: &str = "https://issuer.bench.example/be4c0000-1000-4000-8000-000000000001/";
pub const KEY_ID: &str = "bench";
/// The group whose members may read and write.
pub const OPERATORS: &str = "be4c0000-4000-4000-8000-000000000001";
/// The group whose members may read.
pub const READERS: &str = "be4c0000-4000-4000-8000-000000000002";

/// Groups in every token besides the one that matters: with them it has about 1.75 KB, as real ones have.
const MORE_GROUPS: usize = 11;
/// Well below the longest that Steward accepts, which is 48 hours.
const LIFETIME: Duration = Duration::from_hours(24);
/// Tokens kept on the disk are made anew when they have less than this left.
const LEFT_MIN: Duration = Duration::from_hours(4);

/// Distinct callers in the scenarios with many tokens.
pub const CALLERS: usize = 1_000;
/// Tokens in the file of those that nobody has seen.
pub const FRESH: usize = 100_000;

/// Signs whatever is asked for.
#[derive(Clone)]
pub struct Signer {
    key: Arc<KeyPair>,
    folder: PathBuf,
}

/// Who a token is of and what it is good for.
#[derive(Clone, Copy)]
pub struct Wanted {
    /// Number of the caller.
    pub caller: usize,
    /// Makes tokens of one caller different.
    pub number: usize,
    pub group: &'static str,
    pub is_expired: bool,
}

impl Signer {
    /// The key of an earlier run, or a new one.
    pub fn open(folder: &Path) -> Outcome<Self> {
        let path = folder.join("issuer.p8");
        if !path.exists() {
            let made: Pkcs8V1Der<'_> = KeyPair::generate(KeySize::Rsa2048)?.as_der()?;
            std::fs::write(&path, made.as_ref())?;
            drop(std::fs::remove_dir_all(folder.join("tokens")));
        }
        let key = Arc::new(KeyPair::from_pkcs8(&std::fs::read(path)?)?);
        Ok(Self { key, folder: folder.join("tokens") })
    }

    /// The public key as JWK set. Source: RFC 7517.
    pub fn key_set(&self) -> Value {
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let public = self.key.public_key();
        let n = number(public.modulus().big_endian_without_leading_zero());
        let e = number(public.exponent().big_endian_without_leading_zero());
        json!({ "keys": [{ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": n, "e": e }] })
    }

    /// The public key as DER. Source: RFC 5280 §4.1, `SubjectPublicKeyInfo`.
    pub fn public_der(&self) -> Outcome<Vec<u8>> {
        let der: PublicKeyX509Der<'_> = self.key.public_key().as_der()?;
        Ok(der.as_ref().to_vec())
    }

    /// The same as PEM.
    pub fn public_pem(&self) -> Outcome<String> {
        let text = STANDARD.encode(self.public_der()?);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n")))
    }

    /// A token that may read and write.
    pub fn operator(&self) -> Outcome<String> {
        self.token(Wanted { caller: 0, number: 0, group: OPERATORS, is_expired: false })
    }

    pub fn token(&self, wanted: Wanted) -> Outcome<String> {
        let header = json!({ "typ": "JWT", "alg": "RS256", "x5t": KEY_ID, "kid": KEY_ID }).to_string();
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims(wanted)?.to_string()));
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// A file with so many tokens of [`CALLERS`] callers, one on each line. It is kept for further runs.
    pub fn file(&self, count: usize) -> Outcome<PathBuf> {
        let path = self.folder.join(format!("{count}.txt"));
        if path.exists() && path.metadata()?.modified()?.elapsed()? < LIFETIME - LEFT_MIN {
            return Ok(path);
        }
        std::fs::create_dir_all(&self.folder)?;
        eprintln!("signing {count} tokens");
        let threads = std::thread::available_parallelism()?.get();
        let part = count.div_ceil(threads);
        let signed: Vec<Outcome<String>> = std::thread::scope(|scope| {
            let parts: Vec<_> =
                (0..threads).map(|thread| scope.spawn(move || self.lines(thread * part..count.min((thread + 1) * part)))).collect();
            parts.into_iter().map(|part| part.join().unwrap_or_else(|_panic| Err("signing failed".into()))).collect()
        });
        std::fs::write(&path, signed.into_iter().collect::<Outcome<String>>()?)?;
        Ok(path)
    }

    fn lines(&self, numbers: std::ops::Range<usize>) -> Outcome<String> {
        let token = |number| self.token(Wanted { caller: number % CALLERS, number, group: OPERATORS, is_expired: false });
        numbers.map(|number| token(number).map(|token| token + "\n")).collect()
    }
}

/// The same text with another signature.
pub fn with_bad_signature(token: &str) -> String {
    let (text, signature) = token.rsplit_once('.').unwrap_or((token, ""));
    format!("{text}.{}", signature.chars().rev().collect::<String>())
}

/// Source: `Microsoft` identity platform, access token claims reference, version 1.
fn claims(wanted: Wanted) -> Outcome<Value> {
    let Wanted { caller, number, group, is_expired } = wanted;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let since = if is_expired { now - 2 * LIFETIME.as_secs() } else { now - 60 };
    let more = (0..MORE_GROUPS).map(|group| format!("be4c0000-4000-4000-8000-0000000001{group:02}"));
    let groups: Vec<_> = std::iter::once(group.to_owned()).chain(more).collect();
    Ok(json!({
        "aud": AUDIENCE, "iss": ISSUER, "tid": TENANT, "iat": since, "nbf": since, "exp": since + LIFETIME.as_secs(),
        "acr": "1", "aio": "AXQAi/8TAAAAqF7QdTg6l9fUjJxkX0pC3d2V5zWnR1mYb8sHcKeLtGvPwZuBoNiMyErDxQa", "amr": ["pwd", "mfa"],
        "appid": "be4c0000-6000-4000-8000-000000000001", "appidacr": "0", "family_name": "Bench", "given_name": "Caller",
        "idtyp": "user", "ipaddr": "192.0.2.17", "name": format!("Caller {caller}"), "groups": groups,
        "oid": format!("be4c0000-2000-4000-8000-{caller:012}"), "puid": "10032001C0FFEE00", "scp": "user_impersonation",
        "sub": format!("4kQzBpLr8sVnXwYtHd2uJf6gMc0eRi{caller:06}"), "unique_name": format!("caller-{caller}@bench.example"),
        "upn": format!("caller-{caller}@bench.example"), "uti": format!("uti-{number:010}"), "ver": "1.0",
    }))
}
