//! Tokens: none is accepted but what the key signed, and of what it signed only what can be read in one way and says what it has to say.
//!
//! The first byte says what the rest is: a whole token, changes of a good one, or header and payload, on two lines, that the key signs.

use std::sync::OnceLock;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderValue};
use serde_json::Value;
use steward::clock::{Clock, Timestamp};
use steward::directory::Directory;
use steward::identity::{CacheLimits, Caller, Fetcher, KeyStore, KeyTimes, TokenError, Verifier};
use steward::policy::{LoadOptions, load_texts};
use tokio_rustls::rustls::RootCertStore;

const AUDIENCE: &str = "https://management.azure.com/";
const ISSUER: &str = "https://issuer.example/";
const TENANT: &str = "05712a00-1000-4000-8000-000000000001";
const OBJECT: &str = "05712a00-2000-4000-8000-000000000001";

/// The key of a test: it signs nothing that anybody else would accept.
const SEED: [u8; 32] = [7; 32];

const POLICY: &str = r#"
[[issuer]]
key = "fixed"
kind = "file"
path = "keys.json"
names = ["https://issuer.example/"]
authority = "https://issuer.example/sign-in"
algorithms = ["EdDSA"]

[[tenant]]
key = "ostra"
id = "05712a00-1000-4000-8000-000000000001"
name = "Ostra"
domains = ["ostra.example"]
issuer = "fixed"
"#;

/// In seconds: whatever a token says of time, it says around this.
const LIFETIME_S: i64 = 3600;

struct World {
    runtime: tokio::runtime::Runtime,
    verifier: Verifier,
    directory: Directory,
    key: Ed25519KeyPair,
    clock: Clock,
}

pub(super) fn run(data: &[u8]) {
    static WORLD: OnceLock<World> = OnceLock::new();
    let world = WORLD.get_or_init(World::new);
    match data.split_first() {
        Some((b'c', changes)) => world.check_changed(changes),
        Some((b's', rest)) => {
            let mut lines = rest.splitn(2, |byte| *byte == b'\n');
            let (header, payload) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
            world.check_signed(header, payload);
        }
        Some((_, token)) => world.check_token(&String::from_utf8_lossy(token)),
        None => {}
    }
}

impl World {
    fn new() -> Self {
        let key = Ed25519KeyPair::from_seed_unchecked(&SEED).expect("a key");
        let public = URL_SAFE_NO_PAD.encode(key.public_key().as_ref());
        let keys = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","use":"sig","alg":"EdDSA","x":"{public}"}}]}}"#);
        let folder = std::env::temp_dir().join(format!("steward-fuzz-keys-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("keys.json"), keys).expect("a file");
        let clock = Clock::system();
        let directory = load_texts(&folder, &[("world.toml", POLICY)], &LoadOptions::new(clock.now())).expect("policies").directory;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        // Nobody looks for unknown keys here, and nobody waits for them.
        let times = KeyTimes { wait_time_max: Duration::ZERO, ..KeyTimes::default() };
        let (keys, _upkeep) = KeyStore::new(Fetcher::new(RootCertStore::empty()).expect("a fetcher"), clock.clone(), times);
        runtime.block_on(keys.warm(&directory));
        std::fs::remove_dir_all(&folder).expect("our own folder");
        let limits = CacheLimits { tokens_max: 64, bytes_max: 1 << 20 };
        let verifier = Verifier::new(vec![AUDIENCE.to_owned()], keys, clock.clone(), limits);
        let world = Self { runtime, verifier, directory, key, clock };
        let (header, payload) = world.good();
        world.verify(&world.sign(header.as_bytes(), payload.as_bytes())).expect("a good token is accepted");
        world
    }

    fn good(&self) -> (String, String) {
        let now = self.clock.now().as_second();
        let header = r#"{"typ":"JWT","alg":"EdDSA","kid":"k"}"#.to_owned();
        let payload = serde_json::json!({
            "iss": ISSUER, "aud": AUDIENCE, "tid": TENANT, "oid": OBJECT, "iat": now - 60, "nbf": now - 60, "exp": now + LIFETIME_S,
            "scp": "user_impersonation", "name": "Deniz", "groups": [OBJECT], "ver": "2.0",
        });
        (header, payload.to_string())
    }

    fn sign(&self, header: &[u8], payload: &[u8]) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    fn verify(&self, token: &str) -> Result<std::sync::Arc<Caller>, TokenError> {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_not_a_field| TokenError::Missing)?;
        headers.insert(AUTHORIZATION, value);
        self.runtime.block_on(self.verifier.authenticate(&headers, &self.directory))
    }

    /// Nobody but the key makes a token.
    fn check_token(&self, token: &str) {
        if let Ok(caller) = self.verify(token) {
            panic!("{} was made up", caller.principal.object);
        }
    }

    /// Pairs of a place and a byte to put there: unless they change nothing, the signature is wrong, or it was before.
    fn check_changed(&self, changes: &[u8]) {
        let (header, payload) = self.good();
        let token = self.sign(header.as_bytes(), payload.as_bytes());
        let mut changed = token.clone().into_bytes();
        for change in changes.chunks_exact(3) {
            let at = usize::from(u16::from_be_bytes([change[0], change[1]])) % changed.len();
            changed[at] = change[2];
        }
        let changed = String::from_utf8_lossy(&changed).into_owned();
        let verdict = self.verify(&changed);
        assert_eq!(verdict.is_ok(), changed.trim_matches(' ') == token, "{changed}: {verdict:?}");
    }

    /// What the key signed is accepted only when a naive reader finds everything in it that has to be there, once.
    fn check_signed(&self, header: &[u8], payload: &[u8]) {
        let now = self.clock.now();
        // So that files of the corpus stay good.
        let payload = String::from_utf8_lossy(payload).replace("@now", &now.as_second().to_string());
        let payload = payload.replace("@later", &(now.as_second() + LIFETIME_S).to_string());
        let (header, payload) = (header, payload.as_bytes());
        let token = self.sign(header, payload);
        let verdict = self.verify(&token);
        if let Err(error) = &verdict {
            let told = format!("{error} {error:?}");
            let leaked = token.split('.').find(|part| part.len() > 60 && told.contains(*part));
            assert_eq!(leaked, None, "a message repeats the token");
        }
        let Ok(caller) = verdict else { return };
        let header = steward::json::strict(header).expect("a header without a name twice");
        let claims = steward::json::strict(payload).expect("claims without a name twice");
        for known in header.as_object().expect("an object").keys() {
            assert!(["typ", "alg", "kid", "x5t", "x5t#S256"].contains(&&**known), "{known} was not read");
        }
        assert_eq!((&header["alg"], &header["kid"]), (&"EdDSA".into(), &"k".into()));
        assert_eq!((&claims["iss"], &claims["aud"]), (&ISSUER.into(), &AUDIENCE.into()));
        let same = |claim: &str, value: String| assert_eq!(claims[claim].as_str().map(str::to_lowercase), Some(value), "{claim}");
        same("tid", TENANT.to_owned());
        same("oid", caller.principal.object.to_string());
        assert_eq!(caller.principal.tenant.to_string(), TENANT);
        let date = |claim: &str| claims[claim].as_f64().expect("a number");
        let now = now.as_second();
        // Half a minute is the leeway, and the clock goes on.
        assert!(date("exp") > (now - 31) as f64 && date("exp") < (now + 48 * 3600 + 5) as f64, "{payload:?}");
        assert!(date("iat") < (now + 35) as f64, "{payload:?}");
        assert!(claims.get("nbf").is_none_or(|not_before| not_before.as_f64().expect("a number") < (now + 35) as f64), "{payload:?}");
        for mark in ["cnf", "nonce", "at_hash", "c_hash", "events"] {
            assert!(claims.get(mark).is_none(), "{mark} was not read");
        }
        let named = |claim: &str| claims.get(claim).and_then(Value::as_array).map_or(0, Vec::len);
        let principals = caller.principals(&self.directory);
        assert!(principals.ids().len() <= named("groups") + 1, "groups that nobody named");
        assert!(principals.ids().iter().all(|principal| principal.tenant == caller.principal.tenant), "a group of another tenant");
        assert!(caller.expires_at > Timestamp::UNIX_EPOCH);
    }
}
