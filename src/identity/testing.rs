//! Issuers, keys, tokens and directories for tests.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, HeaderValue, LOCATION};
use hyper::{HeaderMap, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::{CacheLimits, Caller, Fetcher, KeyStore, KeyTimes, TokenError, Verifier};
use crate::arm::planes::Planes;
use crate::clock::Clock;
use crate::delegation::SourceLocation;
use crate::delegation::roles::RoleCatalogue;
use crate::directory::{Declared, Directory, KeySource, Principal, PrincipalKind, SignatureAlgorithm, Tenant, TokenIssuer};
use crate::https::{self, Limits};
use crate::ids::{ObjectId, PrincipalId, TenantId};

pub(crate) const HOME: TenantId = TenantId::from_bytes([1; 16]);
pub(crate) const RIVAL: TenantId = TenantId::from_bytes([2; 16]);
pub(crate) const OPERATOR: ObjectId = ObjectId::from_bytes([7; 16]);
pub(crate) const AUDIENCE: &str = "https://management.azure.com/";

/// The issuer of a tenant, version 1.
pub(crate) fn issuer_name(tenant: TenantId) -> String {
    format!("https://sts.windows.net/{tenant}/")
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key pair and how it signs.
pub(crate) enum TestKey {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Making RSA keys is slow, so tests share two.
pub(crate) static HOME_KEY: LazyLock<TestKey> = LazyLock::new(|| TestKey::rsa(KeySize::Rsa2048));
pub(crate) static RIVAL_KEY: LazyLock<TestKey> = LazyLock::new(|| TestKey::rsa(KeySize::Rsa2048));

impl TestKey {
    pub(crate) fn rsa(size: KeySize) -> Self {
        Self::Rsa(RsaKeyPair::generate(size).unwrap())
    }

    pub(crate) fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    /// The public key as an entry of a key set.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Rsa(pair) => {
                let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
                json!({"kid": kid, "use": "sig", "kty": "RSA",
                    "n": base64url(n.big_endian_without_leading_zero()), "e": base64url(e.big_endian_without_leading_zero())})
            }
            Self::P256(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kid": kid, "use": "sig", "kty": "EC", "crv": "P-256", "x": base64url(&point[1..33]), "y": base64url(&point[33..])})
            }
            Self::Ed25519(pair) => {
                json!({"kid": kid, "use": "sig", "kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key())})
            }
        }
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa(pair) => {
                let encoding: &'static dyn RsaEncoding = if algorithm == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), message, &mut signature).unwrap();
                signature
            }
            Self::P256(pair) => pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token of header and payload exactly as written, whatever they are.
    pub(crate) fn token(&self, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", base64url(header), base64url(payload));
        let algorithm = if header.contains("PS256") { "PS256" } else { "RS256" };
        format!("{signed}.{}", base64url(self.sign(algorithm, signed.as_bytes())))
    }
}

pub(crate) fn key_set(entries: &[Value]) -> String {
    json!({ "keys": entries }).to_string()
}

pub(crate) fn header(kid: &str) -> String {
    json!({"typ": "JWT", "alg": "RS256", "kid": kid}).to_string()
}

/// The claims of a service principal of `tenant`, valid for an hour from `now`.
pub(crate) fn claims(tenant: TenantId, clock: &Clock) -> Value {
    let now = clock.now().as_second();
    json!({"aud": AUDIENCE, "iss": issuer_name(tenant), "tid": tenant, "oid": OPERATOR, "sub": OPERATOR, "ver": "1.0", "idtyp": "app",
        "appid": ObjectId::from_bytes([9; 16]), "appidacr": "1", "iat": now, "nbf": now, "exp": now + 3600, "uti": "t-1"})
}

/// `claims` with these members instead of or besides its own.
pub(crate) fn with(mut claims: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!("not an object") };
    claims.as_object_mut().unwrap().extend(members);
    claims
}

/// `claims` without one member.
pub(crate) fn without(mut claims: Value, member: &str) -> Value {
    claims.as_object_mut().unwrap().shift_remove(member).unwrap();
    claims
}

/// An issuer's server: its key set at `/keys`, its discovery document at `/discovery`, a redirect to the keys at `/moved`.
pub(crate) struct KeyServer {
    pub(crate) base: String,
    pub(crate) keys: watch::Sender<String>,
    /// How many requests arrived.
    pub(crate) asked: watch::Receiver<usize>,
    pub(crate) connections: Arc<AtomicUsize>,
    _stop: watch::Sender<bool>,
}

impl KeyServer {
    pub(crate) async fn start(keys: String, tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let base = format!("{scheme}://{}", listener.local_addr().unwrap());
        let (keys, (asks, asked), (stop, stopped)) = (watch::Sender::new(keys), watch::channel(0), watch::channel(false));
        let connections = Arc::new(AtomicUsize::new(0));
        let (answers, peers, keys_address) = (keys.clone(), Arc::new(dashmap::DashSet::new()), format!("{base}/keys"));
        let counted = Arc::clone(&connections);
        let handler = move |request: hyper::Request<hyper::body::Incoming>, connection: Arc<https::Connection>| {
            asks.send_modify(|count| *count += 1);
            if peers.insert(connection.peer) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            let answer = match request.uri().path() {
                "/keys" => Response::new(Full::new(Bytes::from(answers.borrow().clone()))),
                "/discovery" => {
                    let document = json!({"issuer": issuer_name(HOME), "jwks_uri": keys_address}).to_string();
                    Response::new(Full::new(Bytes::from(document)))
                }
                "/huge" => Response::new(Full::new(Bytes::from(vec![b' '; 2 * 1024 * 1024]))),
                _ => Response::builder().status(302).header(LOCATION, &keys_address).body(Full::default()).unwrap(),
            };
            std::future::ready(answer)
        };
        tokio::spawn(https::serve(listener, tls, Limits::default(), stopped, handler));
        Self { base, keys, asked, connections, _stop: stop }
    }

    /// Waits until this many requests have arrived.
    pub(crate) async fn asked_times(&mut self, count: usize) {
        tokio::time::timeout(Duration::from_secs(10), self.asked.wait_for(|asked| *asked >= count)).await.unwrap().unwrap();
    }
}

pub(crate) fn issuer(tenant: TenantId, keys: KeySource) -> TokenIssuer {
    let names = vec![issuer_name(tenant), format!("https://login.microsoftonline.com/{tenant}/v2.0")];
    let authority = Some(format!("https://login.microsoftonline.com/{tenant}"));
    TokenIssuer { names, authority, keys, algorithms: vec![SignatureAlgorithm::Rs256], leeway_s: 5 }
}

pub(crate) fn tenant(id: TenantId, issuer: Option<TokenIssuer>) -> Tenant {
    let defined_at = SourceLocation { file: "tenants.toml".into(), line: 1, column: 1 };
    Tenant {
        id,
        key: "t".into(),
        name: "T".into(),
        domains: Vec::new(),
        issuers: issuer.into_iter().collect(),
        suspended: false,
        defined_at,
    }
}

/// A snapshot of tenants alone.
pub(crate) fn directory(revision: u64, tenants: Vec<Tenant>) -> Directory {
    Directory::new(Declared {
        revision,
        digest: String::new(),
        files: 0,
        roles: RoleCatalogue::builtin(),
        planes: Planes::new(Vec::new()).unwrap(),
        tenants: tenants.into_iter().map(|tenant| (tenant.id, Box::new(tenant))).collect(),
        subscriptions: HashMap::default(),
        management_groups: HashMap::default(),
        principals: HashMap::default(),
        delegations: Vec::new(),
        relations: HashSet::default(),
        tenant_grants: HashMap::default(),
        reach: HashMap::default(),
        onboarding: HashMap::default(),
        marketplace: Vec::new(),
        places: HashMap::default(),
        private_cloud: None,
        plans: Vec::new(),
        add_ons: Vec::new(),
    })
}

/// Lets `directory` know the groups of a principal.
pub(crate) fn know(directory: &mut Directory, id: PrincipalId, groups: Vec<ObjectId>) {
    let known = Principal { id, key: "p".into(), name: "P".into(), kind: PrincipalKind::User, groups, user_principal_name: None };
    directory.declared_mut().unwrap().principals.insert(id, Box::new(known));
}

/// A verifier with two issuers, whose keys are served by one server and kept by a running task.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) server: KeyServer,
    pub(crate) rival: KeyServer,
    pub(crate) store: Arc<KeyStore>,
    pub(crate) verifier: Verifier,
    pub(crate) directories: watch::Sender<Arc<Directory>>,
    pub(crate) upkeep: JoinHandle<()>,
    pub(crate) stop: watch::Sender<bool>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with_limits(CacheLimits::default()).await
    }

    pub(crate) async fn with_limits(limits: CacheLimits) -> Self {
        let clock = Clock::system();
        let server = KeyServer::start(key_set(&[HOME_KEY.jwk("home")]), None).await;
        let rival = KeyServer::start(key_set(&[RIVAL_KEY.jwk("rival")]), None).await;
        let tenants = vec![
            tenant(HOME, Some(issuer(HOME, KeySource::KeySetUrl(format!("{}/keys", server.base))))),
            tenant(RIVAL, Some(issuer(RIVAL, KeySource::KeySetUrl(format!("{}/keys", rival.base))))),
        ];
        let (directories, followed) = watch::channel(Arc::new(directory(1, tenants)));
        let (stop, stopped) = watch::channel(false);
        let (store, mut upkeep) = KeyStore::new(Fetcher::new(RootCertStore::empty()).unwrap(), clock.clone(), KeyTimes::default());
        let first = Arc::clone(&directories.borrow());
        store.warm(&first).await;
        let upkeep = tokio::spawn(async move { upkeep.run(followed, stopped).await });
        let verifier = Verifier::new(vec![AUDIENCE.to_owned()], Arc::clone(&store), clock.clone(), limits);
        Self { clock, server, rival, store, verifier, directories, upkeep, stop }
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<Arc<Caller>, TokenError> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        let directory = Arc::clone(&self.directories.borrow());
        self.verifier.authenticate(&headers, &directory).await
    }

    /// What a token is refused for: `{reason code}: {message}`, or who it proves.
    pub(crate) async fn verdict(&self, token: &str) -> String {
        match self.verify(token).await {
            Ok(caller) => format!("{:?} {}", caller.kind, caller.principal.object),
            Err(error) => {
                let told = format!("{error} {error:?}");
                let leaked = token.split('.').find(|part| part.len() > 40 && told.contains(*part));
                assert_eq!(leaked, None, "a message repeats the token");
                format!("{}: {error}", error.reason_code())
            }
        }
    }

    /// A token of the home tenant's operator.
    pub(crate) fn token(&self) -> String {
        self.token_of(&claims(HOME, &self.clock))
    }

    pub(crate) fn token_of(&self, claims: &Value) -> String {
        HOME_KEY.token(&header("home"), &claims.to_string())
    }

    /// Publishes the next snapshot, made of the present one's tenants by `change`.
    pub(crate) fn publish(&self, change: impl Fn(&mut Tenant)) {
        let next = {
            let present = self.directories.borrow();
            let copies = present.tenants().map(|old| {
                let mut copy = tenant(old.id, old.issuers.first().cloned());
                copy.suspended = old.suspended;
                change(&mut copy);
                copy
            });
            directory(present.revision + 1, copies.collect())
        };
        self.directories.send_replace(Arc::new(next));
    }
}
