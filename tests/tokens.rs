//! Tokens of the demo issuer, over TLS and through discovery, at the gateway's verifier: what a client of a new installation
//! does first.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderValue};
use steward::clock::Clock;
use steward::demo::certificates::Certificates;
use steward::directory::Directory;
use steward::identity::{CacheLimits, Caller, CallerKind, Fetcher, GroupSource, KeyStore, KeyTimes, Verifier};
use steward::ids::TenantId;
use steward::issuer::{Accounts, Config, Issuer, LoopbackListener, Mint};
use steward::policy::{self, LoadOptions};
use steward::tls::{self, ReloadingCertificate};
use tokio::net::TcpListener;
use tokio::sync::watch;

const AUDIENCE: &str = "https://management.azure.com/";
const OSTRA: &str = "05712a00-1000-4000-8000-000000000001";

const POLICY: &str = r#"
[[issuer]]
key = "demo"
kind = "demo"

[[tenant]]
key = "ostra"
id = "05712a00-1000-4000-8000-000000000001"
name = "Ostra"
domains = ["ostra.example"]
issuer = "demo"

[[user]]
key = "deniz"
object_id = "05712a00-2000-4000-8000-000000000001"
tenant = "ostra"
name = "Deniz"

[[group]]
key = "everybody"
object_id = "05712a00-4000-4000-8000-000000000001"
tenant = "ostra"
name = "Everybody"
members = ["user:deniz"]
"#;

const ACCOUNTS: &str = r#"
[[tenant]]
id = "05712a00-1000-4000-8000-000000000001"
name = "Ostra"
domain = "ostra.example"

[[account]]
kind = "service_principal"
key = "operator"
tenant = "05712a00-1000-4000-8000-000000000001"
object_id = "05712a00-3000-4000-8000-000000000001"
client_id = "05712a00-5000-4000-8000-000000000001"
client_secret = "not a secret, only a test"
groups = ["05712a00-4000-4000-8000-000000000001"]

[[account]]
kind = "user"
key = "deniz"
tenant = "05712a00-1000-4000-8000-000000000001"
object_id = "05712a00-2000-4000-8000-000000000001"
username = "deniz@ostra.example"
password = "not a password, only a test"
token_version = 2
guest = true
overage = true
"#;

/// A running issuer, and a verifier that knows it from a policy.
struct World {
    folder: PathBuf,
    clock: Clock,
    issuer: Issuer,
    verifier: Verifier,
    directory: Arc<Directory>,
    _stop: watch::Sender<bool>,
}

impl Drop for World {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

impl World {
    async fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("steward-tokens-{}", TenantId::random()));
        let clock = Clock::system();
        let certificates = Certificates::ensure(&folder.join("certs"), clock.now()).unwrap();
        let certificate = Arc::new(ReloadingCertificate::load(&certificates.server, &certificates.server_key).unwrap());
        let (stop, stopped) = watch::channel(false);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base_url = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let accounts = Accounts::parse(ACCOUNTS).unwrap();
        let config = Config { base_url: base_url.clone(), accounts, keys_folder: folder.join("keys"), clock: clock.clone() };
        let issuer = Issuer::new(config).unwrap();
        let (serving, stopping) = (issuer.clone(), stopped.clone());
        let listener = LoopbackListener::try_from(listener).unwrap();
        tokio::spawn(async move { serving.serve(listener, tls::server_config(certificate).unwrap(), stopping).await });

        let options = LoadOptions::new(clock.now()).with_demo_issuer(&base_url);
        let loaded = policy::load_texts(&folder, &[("all.toml", POLICY)], &options);
        let directory = Arc::new(loaded.map_err(|diagnostics| format!("{diagnostics:?}")).unwrap().directory);
        let fetcher = Fetcher::new(tls::trusted_roots(Some(&certificates.ca)).unwrap()).unwrap();
        let (store, mut upkeep) = KeyStore::new(fetcher, clock.clone(), KeyTimes::default());
        store.warm(&directory).await;
        let (_directories, followed) = watch::channel(Arc::clone(&directory));
        tokio::spawn(async move { upkeep.run(followed, stopped).await });
        let verifier = Verifier::new(vec![AUDIENCE.to_owned()], store, clock.clone(), CacheLimits::default());
        Self { folder, clock, issuer, verifier, directory, _stop: stop }
    }

    async fn token(&self, account: &str, audience: &str) -> String {
        let mint = Mint { audience: audience.to_owned(), lifetime: Some(Duration::from_mins(5)), age: Duration::ZERO };
        self.issuer.mint(account, &mint).await.unwrap()
    }

    async fn verify(&self, token: &str) -> Result<Arc<Caller>, &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        self.verifier.authenticate(&headers, &self.directory).await.map_err(|error| error.reason_code())
    }
}

#[tokio::test]
async fn tokens_of_both_versions_prove_who_signed_in() {
    let world = World::start().await;
    let operator = world.verify(&world.token("operator", AUDIENCE).await).await.unwrap();
    assert_eq!((operator.kind, operator.tenant().to_string().as_str()), (CallerKind::ServicePrincipal, OSTRA));
    assert_eq!(operator.principals(&world.directory).source, GroupSource::Token(1));
    let deniz = world.verify(&world.token("deniz", AUDIENCE).await).await.unwrap();
    assert_eq!((deniz.kind, &*deniz.name, deniz.guest), (CallerKind::User, "deniz@ostra.example", true));
    assert_eq!(deniz.principals(&world.directory).source, GroupSource::Directory(1));
    assert_eq!(world.verify(&world.token("operator", "https://vault.azure.net").await).await.err(), Some("token.audience"));
}

#[tokio::test]
async fn a_rotated_key_counts_at_once_and_a_retired_one_no_longer() {
    let world = World::start().await;
    let tenant: TenantId = OSTRA.parse().unwrap();
    let old = world.token("operator", AUDIENCE).await;
    assert!(world.verify(&old).await.is_ok());
    world.issuer.rotate(tenant).await.unwrap();
    world.clock.advance(Duration::from_secs(11));
    let new = world.token("operator", AUDIENCE).await;
    assert!(world.verify(&new).await.is_ok());
    assert!(world.verify(&old).await.is_ok());
    world.issuer.retire(tenant).await.unwrap();
    world.issuer.rotate(tenant).await.unwrap();
    world.clock.advance(Duration::from_secs(11));
    assert!(world.verify(&world.token("operator", AUDIENCE).await).await.is_ok());
    assert_eq!(world.verify(&old).await.err(), Some("token.signature"));
    world.clock.advance(Duration::from_mins(6));
    assert_eq!(world.verify(&new).await.err(), Some("token.expired"));
}
