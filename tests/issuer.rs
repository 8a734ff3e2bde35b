//! The demo issuer over real TLS, as clients see it.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{DecodingKey, Validation};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use steward::clock::Clock;
use steward::demo::certificates::Certificates;
use steward::https::Drained;
use steward::ids::{ClientId, ObjectId, TenantId};
use steward::issuer::{AccountFile, Accounts, AccountsFile, Config, Issuer, KeyError, LoopbackListener, Mint, Secret, Tenant, Version};
use steward::tls::{self, ReloadingCertificate};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

const AZURE_CLI: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";
const ARM_SCOPE: &str = "https://management.azure.com//.default";
const OFFLINE_SCOPE: &str = "https://management.azure.com//.default openid profile offline_access";
const DEVICE_CODE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const OSTRA: TenantId = TenantId::from_bytes([1; 16]);
const ALDER: TenantId = TenantId::from_bytes([2; 16]);
const OPERATOR: ClientId = ClientId::from_bytes([3; 16]);
const CERTIFIED: ClientId = ClientId::from_bytes([4; 16]);
const MARA: ObjectId = ObjectId::from_bytes([5; 16]);

/// An issuer on a port of its own, its files, and a client that trusts it.
struct World {
    issuer: Issuer,
    base: String,
    address: SocketAddr,
    clock: Clock,
    folder: PathBuf,
    signer: rcgen::KeyPair,
    certificate: rcgen::Certificate,
    client: TlsConnector,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Drained>,
}

struct Answer {
    status: StatusCode,
    headers: hyper::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect(&self.text)
    }

    #[track_caller]
    fn granted(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }

    #[track_caller]
    fn check_refused(&self, status: u16, error: &str, number: u32) {
        let body = self.json();
        let description = body["error_description"].as_str().unwrap();
        assert_eq!((self.status.as_u16(), body["error"].as_str()), (status, Some(error)), "{description}");
        assert_eq!(body["error_codes"], json!([number]), "{description}");
        assert!(description.starts_with(&format!("AADSTS{number}: ")), "{description}");
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/json; charset=utf-8");
        assert_eq!(self.headers[header::CACHE_CONTROL], "no-store");
    }
}

fn accounts(certificate: &rcgen::Certificate) -> AccountsFile {
    let tenant = |id, name: &str| Tenant { id, name: name.to_owned(), domain: format!("{}.example", name.to_lowercase()) };
    let secret = |text: &str| Secret::new(text.to_owned());
    let object = |number| ObjectId::from_bytes([number; 16]);
    let many = (0..201).map(|_| ObjectId::random()).collect();
    let user =
        |key: &str, tenant, number: u8| AccountFile::user(key, tenant, object(number), &format!("{key}@ostra.example"), secret("pw"));
    let accounts = vec![
        AccountFile::service_principal("operator", OSTRA, object(11), OPERATOR, secret("right & true")),
        AccountFile {
            certificate: Some(certificate.pem()),
            client_secret: None,
            ..AccountFile::service_principal("certified", OSTRA, object(12), CERTIFIED, secret(""))
        },
        AccountFile {
            mfa: true,
            groups: vec![object(90)],
            ..AccountFile::user("mara", OSTRA, MARA, "mara@ostra.example", secret("pä ss"))
        },
        AccountFile { guest: true, password: None, username: Some("Mara@ostra.example".to_owned()), ..user("mara-at-alder", ALDER, 14) },
        AccountFile { token_version: 2, token_lifetime_s: 2, overage: true, ..user("second", OSTRA, 15) },
        AccountFile { groups: many, ..user("crowded", OSTRA, 16) },
    ];
    AccountsFile { tenants: vec![tenant(OSTRA, "Ostra"), tenant(ALDER, "Alder")], accounts }
}

impl World {
    async fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("steward-issuer-{}", TenantId::random()));
        let signer = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&signer).unwrap();
        Self::start(folder, Clock::system(), signer, certificate).await
    }

    async fn start(folder: PathBuf, clock: Clock, signer: rcgen::KeyPair, certificate: rcgen::Certificate) -> Self {
        let certificates = Certificates::ensure(&folder.join("certs"), clock.now()).unwrap();
        let tls = ReloadingCertificate::load(&certificates.server, &certificates.server_key).unwrap();
        let tls = tls::server_config(Arc::new(tls)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let base = format!("https://localhost:{}", address.port());
        // Through TOML, so that what is written is what can be read.
        let accounts = Accounts::parse(&accounts(&certificate).to_toml().unwrap()).unwrap();
        let config = Config { base_url: base.clone(), accounts, keys_folder: folder.join("keys"), clock: clock.clone() };
        let issuer = Issuer::new(config).unwrap();
        let (stop, stopped) = watch::channel(false);
        let serving = issuer.clone();
        let listener = LoopbackListener::try_from(listener).unwrap();
        let serving = tokio::spawn(async move { serving.serve(listener, tls, stopped).await });
        let client = client(&certificates);
        Self { issuer, base, address, clock, folder, signer, certificate, client, stop, serving }
    }

    async fn stop(self) -> (PathBuf, Clock, rcgen::KeyPair, rcgen::Certificate) {
        self.stop.send(true).unwrap();
        assert_eq!(self.serving.await.unwrap(), Drained::Clean);
        (self.folder, self.clock, self.signer, self.certificate)
    }

    async fn restart(self) -> Self {
        let (folder, clock, signer, certificate) = self.stop().await;
        Self::start(folder, clock, signer, certificate).await
    }

    async fn end(self) {
        let (folder, ..) = self.stop().await;
        std::fs::remove_dir_all(folder).unwrap();
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let stream = self.client.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        connection.abort();
        Answer { status: head.status, headers: head.headers, text }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).header(header::HOST, "localhost").body(Full::default()).unwrap()).await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_as(path, fields, &[]).await
    }

    async fn post_as(&self, path: &str, fields: &[(&str, &str)], headers: &[(header::HeaderName, &str)]) -> Answer {
        let mut request = Request::post(path).header(header::HOST, "localhost");
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        self.send(request.body(Full::from(encoded(fields))).unwrap()).await
    }

    async fn with_secret(&self, extra: &[(&str, &str)]) -> Answer {
        let client = OPERATOR.to_string();
        let fields =
            [("grant_type", "client_credentials"), ("client_id", &client), ("client_secret", "right & true"), ("scope", ARM_SCOPE)];
        self.post(&format!("/{OSTRA}/oauth2/v2.0/token"), &[&fields, extra].concat()).await
    }

    /// The claims of a token that verifies under the keys its tenant publishes now.
    async fn claims(&self, tenant: &str, token: &Value) -> Value {
        let keys = self.get(&format!("/{tenant}/discovery/v2.0/keys")).await.granted();
        let token = token.as_str().unwrap();
        let kid = jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
        let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == kid.as_str()).expect("the key is published");
        let key = DecodingKey::from_rsa_components(key["n"].as_str().unwrap(), key["e"].as_str().unwrap()).unwrap();
        let mut validation = Validation::new(jsonwebtoken::Algorithm::RS256);
        validation.validate_aud = false;
        jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims
    }

    async fn published(&self) -> Vec<Value> {
        let keys = self.get(&format!("/{OSTRA}/discovery/keys")).await.granted();
        keys["keys"].as_array().unwrap().iter().map(|key| key["kid"].clone()).collect()
    }

    async fn signing(&self) -> String {
        let token = self.with_secret(&[]).await.granted()["access_token"].as_str().unwrap().to_owned();
        jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
    }

    /// A client assertion as MSAL makes it: for Python with a padded `x5t`, for JavaScript with PS256.
    fn assertion(&self, algorithm: &str, changes: &Value) -> String {
        let der = self.certificate.der();
        let (thumbprint, encoding): (_, &'static dyn RsaEncoding) = match algorithm {
            "RS256" => (json!({ "x5t": URL_SAFE.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, der)) }), &RSA_PKCS1_SHA256),
            _ => (json!({ "x5t#S256": URL_SAFE_NO_PAD.encode(digest(&SHA256, der)) }), &RSA_PSS_SHA256),
        };
        let now = self.clock.now().as_duration().as_secs_f64();
        let audience = format!("{}/{OSTRA}/oauth2/v2.0/token", self.base);
        let header = merged(json!({ "typ": "JWT", "alg": algorithm }), &thumbprint);
        let payload =
            json!({ "aud": audience, "iss": CERTIFIED, "sub": CERTIFIED, "jti": "1", "nbf": now + 0.5, "iat": now, "exp": now + 600.25 });
        let part = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", part(header), part(merged(payload, changes)));
        let pair = RsaKeyPair::from_pkcs8(&self.signer.serialize_der()).unwrap();
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(encoding, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    async fn with_assertion(&self, assertion: &str) -> Answer {
        let client = CERTIFIED.to_string();
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", &client),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", assertion),
            ("scope", "https://127.0.0.1:8443/.default"),
        ];
        self.post(&format!("/{OSTRA}/oauth2/v2.0/token"), &fields).await
    }

    async fn begin_device(&self, authority: &str) -> Value {
        let fields = [("client_id", AZURE_CLI), ("scope", OFFLINE_SCOPE)];
        self.post(&format!("/{authority}/oauth2/v2.0/devicecode"), &fields).await.granted()
    }

    async fn poll_device(&self, authority: &str, flow: &Value) -> Answer {
        // The interval passes without anybody waiting for it.
        self.clock.advance(Duration::from_secs(1));
        let code = flow["device_code"].as_str().unwrap();
        let fields = [("grant_type", DEVICE_CODE_GRANT), ("client_id", AZURE_CLI), ("device_code", code), ("client_info", "1")];
        self.post(&format!("/{authority}/oauth2/v2.0/token"), &fields).await
    }

    async fn sign_in_device(&self, flow: &Value, username: &str, password: &str) -> Answer {
        let page = flow["verification_uri"].as_str().unwrap().strip_prefix(&self.base).unwrap();
        let code = flow["user_code"].as_str().unwrap().to_lowercase();
        self.post(page, &[("user_code", &code), ("username", username), ("password", password)]).await
    }

    async fn refresh(&self, authority: &str, token: &Value, client: &str) -> Answer {
        let token = token.as_str().unwrap();
        let fields = [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", token), ("scope", OFFLINE_SCOPE)];
        self.post(&format!("/{authority}/oauth2/v2.0/token"), &fields).await
    }

    async fn password(&self, authority: &str, username: &str, password: &str) -> Answer {
        let fields = [
            ("grant_type", "password"),
            ("client_id", AZURE_CLI),
            ("username", username),
            ("password", password),
            ("scope", OFFLINE_SCOPE),
        ];
        self.post(&format!("/{authority}/oauth2/v2.0/token"), &fields).await
    }
}

fn client(certificates: &Certificates) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(tls::read_chain(&certificates.ca).unwrap());
    let config = ClientConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions().unwrap();
    TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

fn encoded(fields: &[(&str, &str)]) -> String {
    let percent = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let pairs: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
    pairs.join("&")
}

fn merged(mut value: Value, changes: &Value) -> Value {
    value.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    value
}

#[tokio::test]
async fn discovery_names_the_endpoints_of_the_authority_that_was_asked_for() {
    let world = World::new().await;
    let base = world.base.clone();
    let v2 = world.get(&format!("/{OSTRA}/v2.0/.well-known/openid-configuration")).await.granted();
    assert_eq!(v2["issuer"], format!("{base}/{OSTRA}/v2.0"));
    assert_eq!(v2["token_endpoint"], format!("{base}/{OSTRA}/oauth2/v2.0/token"));
    assert_eq!(v2["device_authorization_endpoint"], format!("{base}/{OSTRA}/oauth2/v2.0/devicecode"));
    assert_eq!(v2["jwks_uri"], format!("{base}/{OSTRA}/discovery/v2.0/keys"));
    assert_eq!(v2["issuer"], world.issuer.issuer_of(OSTRA, Version::V2));

    let v1 = world.get(&format!("//{OSTRA}/.well-known/openid-configuration")).await.granted();
    assert_eq!(v1["issuer"], format!("{base}/{OSTRA}/"));
    assert_eq!(v1["token_endpoint"], format!("{base}/{OSTRA}/oauth2/token"));

    let by_domain = world.get("/ostra.example/v2.0/.well-known/openid-configuration").await.granted();
    assert_eq!(by_domain["issuer"], v2["issuer"]);
    assert_eq!(by_domain["token_endpoint"], format!("{base}/ostra.example/oauth2/v2.0/token"));

    let any = world.get("/organizations/v2.0/.well-known/openid-configuration").await.granted();
    assert_eq!(any["issuer"], format!("{base}/{{tenantid}}/v2.0"));
    assert_eq!(any["token_endpoint"], format!("{base}/organizations/oauth2/v2.0/token"));

    let unknown = world.get(&format!("/{}/v2.0/.well-known/openid-configuration", TenantId::random())).await;
    unknown.check_refused(400, "invalid_tenant", 90_002);
    world.end().await;
}

#[tokio::test]
async fn a_secret_gives_an_application_token() {
    let world = World::new().await;
    let claims_parameter = r#"{"access_token":{"xms_cc":{"values":["CP1"]}}}"#;
    let answer = world.with_secret(&[("claims", claims_parameter), ("client_info", "1")]).await.granted();
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!(answer["refresh_token"], Value::Null);
    let claims = world.claims(&OSTRA.to_string(), &answer["access_token"]).await;
    assert_eq!(claims["iss"], format!("{}/{OSTRA}/", world.base));
    assert_eq!(claims["aud"], "https://management.azure.com/");
    assert_eq!((&claims["tid"], &claims["appid"]), (&json!(OSTRA), &json!(OPERATOR)));
    assert_eq!((&claims["idtyp"], &claims["appidacr"], &claims["ver"]), (&json!("app"), &json!("1"), &json!("1.0")));
    assert_eq!((&claims["scp"], &claims["groups"]), (&Value::Null, &Value::Null));
    assert_eq!(claims["xms_cc"], json!(["CP1"]));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap(), 3600);
    world.end().await;
}

#[tokio::test]
async fn a_secret_may_come_by_basic_and_for_a_v1_resource() {
    let world = World::new().await;
    let basic = format!("Basic {}", STANDARD.encode(format!("{OPERATOR}:right+%26+true")));
    let fields = [("grant_type", "client_credentials"), ("resource", "https://management.core.windows.net/")];
    let path = format!("/{OSTRA}/oauth2/token");
    let answer = world.post_as(&path, &fields, &[(header::AUTHORIZATION, &basic)]).await.granted();
    let claims = world.claims("common", &answer["access_token"]).await;
    assert_eq!(claims["aud"], "https://management.core.windows.net/");
    assert_eq!(answer["expires_on"], claims["exp"]);
    world.end().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_told_in_the_form_of_oauth() {
    let world = World::new().await;
    let path = format!("/{OSTRA}/oauth2/v2.0/token");
    let (known, unknown) = (OPERATOR.to_string(), ClientId::random().to_string());
    let secret =
        |client, secret, scope| [("grant_type", "client_credentials"), ("client_id", client), ("client_secret", secret), ("scope", scope)];
    world.post(&path, &secret(&known, "wrong", ARM_SCOPE)).await.check_refused(401, "invalid_client", 7_000_215);
    world.post(&path, &secret(&known, "", ARM_SCOPE)).await.check_refused(401, "invalid_client", 7_000_218);
    world.post(&path, &secret(&unknown, "wrong", ARM_SCOPE)).await.check_refused(400, "unauthorized_client", 700_016);
    world.post(&path, &secret(&known, "right & true", "User.Read")).await.check_refused(400, "invalid_scope", 70_011);
    world.post(&path, &secret(&known, "right & true", "")).await.check_refused(400, "invalid_scope", 70_011);
    world.post(&path, &secret("me", "wrong", ARM_SCOPE)).await.check_refused(400, "invalid_request", 9_002_313);
    world.post(&path, &[("grant_type", "implicit")]).await.check_refused(400, "unsupported_grant_type", 70_003);
    world.post(&path, &[]).await.check_refused(400, "invalid_request", 900_144);
    world.post(&path, &[("a", "1"), ("a", "2")]).await.check_refused(400, "invalid_request", 9_002_313);
    world.with_secret(&[("claims", "nonsense")]).await.check_refused(400, "invalid_request", 9_002_313);
    let elsewhere = secret(&known, "right & true", ARM_SCOPE);
    world.post(&format!("/{ALDER}/oauth2/v2.0/token"), &elsewhere).await.check_refused(400, "unauthorized_client", 700_016);
    world.post("/common/oauth2/v2.0/token", &elsewhere).await.check_refused(400, "invalid_request", 50_059);
    world.post("/nobody/oauth2/v2.0/token", &elsewhere).await.check_refused(400, "invalid_tenant", 90_002);
    world.post(&path, &[("a", &"x".repeat(64 * 1024))]).await.check_refused(413, "invalid_request", 90_015);
    world.get(&path).await.check_refused(405, "invalid_request", 900_561);
    world.get(&format!("/{OSTRA}/oauth2/v2.0/authorize")).await.check_refused(404, "not_found", 90_093);
    world.get("/").await.check_refused(404, "not_found", 90_093);
    let untyped = Request::builder().method(Method::POST).uri(&path).header(header::HOST, "localhost");
    world.send(untyped.body(Full::default()).unwrap()).await.check_refused(400, "invalid_request", 9_002_313);
    world.end().await;
}

#[tokio::test]
async fn a_certificate_gives_an_application_token_by_either_algorithm() {
    let world = World::new().await;
    for algorithm in ["RS256", "PS256"] {
        let answer = world.with_assertion(&world.assertion(algorithm, &json!({}))).await.granted();
        let claims = world.claims(&OSTRA.to_string(), &answer["access_token"]).await;
        assert_eq!((&claims["appid"], &claims["appidacr"]), (&json!(CERTIFIED), &json!("2")), "{algorithm}");
        assert_eq!(claims["aud"], "https://127.0.0.1:8443");
    }
    world.end().await;
}

#[tokio::test]
async fn an_assertion_counts_for_its_client_its_endpoint_and_its_time_only() {
    let world = World::new().await;
    let now = world.clock.now().as_second();
    let check = async |changes: Value, number| {
        world.with_assertion(&world.assertion("RS256", &changes)).await.check_refused(401, "invalid_client", number);
    };
    check(json!({ "aud": "https://login.microsoftonline.com/common/oauth2/token" }), 700_027).await;
    check(json!({ "sub": OPERATOR }), 700_027).await;
    check(json!({ "iss": OPERATOR }), 700_027).await;
    check(json!({ "exp": now - 301 }), 700_024).await;
    check(json!({ "nbf": now + 310 }), 700_024).await;
    check(json!({ "exp": null }), 700_027).await;
    world.with_assertion(&world.assertion("RS256", &json!({ "exp": now - 200 }))).await.granted();

    let signed = world.assertion("RS256", &json!({}));
    let (message, _) = signed.rsplit_once('.').unwrap();
    world.with_assertion(&format!("{message}.AAAA")).await.check_refused(401, "invalid_client", 700_027);
    let none = format!("{}.e30.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#));
    world.with_assertion(&none).await.check_refused(401, "invalid_client", 700_027);
    world.with_assertion("nonsense").await.check_refused(401, "invalid_client", 700_027);
    world.end().await;
}

#[tokio::test]
async fn a_user_signs_in_by_device_code_and_refreshes_in_every_tenant_of_hers() {
    let world = World::new().await;
    let flow = world.begin_device("organizations").await;
    assert!(flow["message"].as_str().unwrap().contains(flow["user_code"].as_str().unwrap()));
    world.poll_device("organizations", &flow).await.check_refused(400, "authorization_pending", 70_016);

    let page = world.get(&format!("/organizations/oauth2/deviceauth?user_code={}", flow["user_code"].as_str().unwrap())).await;
    assert_eq!((page.status, &page.headers[header::CONTENT_TYPE]), (StatusCode::OK, &"text/html; charset=utf-8".parse().unwrap()));
    assert!(page.text.contains(flow["user_code"].as_str().unwrap()), "{}", page.text);
    let wrong = world.sign_in_device(&flow, "mara@ostra.example", "wrong").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text.contains("Username or password is wrong."), "{}", wrong.text);
    let right = world.sign_in_device(&flow, "mara@ostra.example", "pä ss").await;
    assert!(right.status == StatusCode::OK && right.text.contains("You have signed in."), "{}", right.text);

    let answer = world.poll_device("organizations", &flow).await.granted();
    assert_eq!(answer["scope"], OFFLINE_SCOPE);
    let id_token = world.claims(&OSTRA.to_string(), &answer["id_token"]).await;
    assert_eq!((&id_token["preferred_username"], &id_token["aud"]), (&json!("mara@ostra.example"), &json!(AZURE_CLI)));
    let info = URL_SAFE_NO_PAD.decode(answer["client_info"].as_str().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&info).unwrap(), json!({ "uid": MARA, "utid": OSTRA }));
    world.poll_device("organizations", &flow).await.check_refused(400, "invalid_grant", 70_000);

    let at_home = world.refresh(&OSTRA.to_string(), &answer["refresh_token"], AZURE_CLI).await.granted();
    assert_eq!(world.claims("common", &at_home["access_token"]).await["acct"], 0);
    let as_guest = world.refresh(&ALDER.to_string(), &at_home["refresh_token"], AZURE_CLI).await.granted();
    let claims = world.claims(&ALDER.to_string(), &as_guest["access_token"]).await;
    assert_eq!((&claims["tid"], &claims["acct"]), (&json!(ALDER), &json!(1)));

    let refresh_token = &answer["refresh_token"];
    world.refresh(&OSTRA.to_string(), refresh_token, &ClientId::random().to_string()).await.check_refused(400, "invalid_grant", 70_000);
    world.clock.advance(Duration::from_secs(91 * 86_400));
    world.refresh(&OSTRA.to_string(), refresh_token, AZURE_CLI).await.check_refused(400, "invalid_grant", 700_082);
    world.end().await;
}

#[tokio::test]
async fn a_device_code_expires_and_is_not_for_users_of_other_tenants() {
    let world = World::new().await;
    let at_alder = world.begin_device(&ALDER.to_string()).await;
    let foreign = world.sign_in_device(&at_alder, "crowded@ostra.example", "pw").await;
    assert!(foreign.text.contains("no account in the tenant"), "{}", foreign.text);
    world.clock.advance(Duration::from_secs(900));
    let late = world.sign_in_device(&at_alder, "mara@ostra.example", "pä ss").await;
    assert!(late.text.contains("This code is unknown, has expired"), "{}", late.text);
    world.end().await;
}

#[tokio::test]
async fn a_password_gives_the_claims_of_the_account() {
    let world = World::new().await;
    let ostra = OSTRA.to_string();
    let mara = world.password("organizations", "MARA@ostra.example", "pä ss").await.granted();
    let claims = world.claims(&ostra, &mara["access_token"]).await;
    assert_eq!((&claims["oid"], &claims["upn"]), (&json!(MARA), &json!("mara@ostra.example")));
    assert_eq!((&claims["scp"], &claims["amr"]), (&json!("user_impersonation"), &json!(["pwd", "mfa"])));
    assert_eq!((&claims["groups"], &claims["appidacr"]), (&json!([ObjectId::from_bytes([90; 16])]), &json!("0")));

    let second = world.password(&ostra, "second@ostra.example", "pw").await.granted();
    assert_eq!(second["expires_in"], 2);
    let claims = world.claims(&ostra, &second["access_token"]).await;
    assert_eq!((&claims["ver"], &claims["azp"], &claims["appid"]), (&json!("2.0"), &json!(AZURE_CLI), &Value::Null));
    assert_eq!(claims["iss"], format!("{}/{OSTRA}/v2.0", world.base));

    let crowded = world.password(&ostra, "crowded@ostra.example", "pw").await.granted();
    for account in [second, crowded] {
        let claims = world.claims(&ostra, &account["access_token"]).await;
        assert_eq!((&claims["groups"], &claims["_claim_names"]), (&Value::Null, &json!({ "groups": "src1" })));
        assert!(claims["_claim_sources"]["src1"]["endpoint"].is_string());
    }
    world.password(&ostra, "mara@ostra.example", "wrong").await.check_refused(400, "invalid_grant", 50_126);
    world.password(&ALDER.to_string(), "crowded@ostra.example", "pw").await.check_refused(400, "invalid_grant", 50_020);
    world.end().await;
}

#[tokio::test]
async fn a_rotated_key_signs_while_the_old_one_stays_published_until_it_is_retired() {
    let world = World::new().await;
    let first = world.signing().await;
    world.issuer.rotate(OSTRA).await.unwrap();
    let second = world.signing().await;
    assert_ne!(first, second);
    assert_eq!(world.published().await, [second.as_str(), first.as_str()]);
    world.issuer.retire(OSTRA).await.unwrap();
    assert_eq!(world.published().await, [second.as_str()]);

    for _ in 0..3 {
        world.issuer.rotate(OSTRA).await.unwrap();
    }
    assert!(matches!(world.issuer.rotate(OSTRA).await, Err(KeyError::Full { .. })));
    assert!(matches!(world.issuer.rotate(TenantId::random()).await, Err(KeyError::UnknownTenant { .. })));
    world.end().await;
}

#[tokio::test]
async fn keys_and_refresh_tokens_survive_a_restart() {
    let world = World::new().await;
    let token = world.password("organizations", "mara@ostra.example", "pä ss").await.granted();
    world.issuer.rotate(OSTRA).await.unwrap();
    let published = world.published().await;

    let world = world.restart().await;
    assert_eq!(world.published().await, published);
    world.claims(&OSTRA.to_string(), &token["access_token"]).await;
    world.refresh(&OSTRA.to_string(), &token["refresh_token"], AZURE_CLI).await.granted();
    world.end().await;
}

#[tokio::test]
async fn a_token_can_be_made_without_signing_in() {
    let world = World::new().await;
    let audience = "https://elsewhere.example".to_owned();
    let expired = Mint { audience: audience.clone(), lifetime: Some(Duration::from_secs(60)), age: Duration::from_secs(120) };
    let token = world.issuer.mint("operator", &expired).await.unwrap();
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&payload).unwrap();
    assert!(claims["exp"].as_i64().unwrap() <= world.clock.now().as_second() - 60);
    assert_eq!(claims["aud"], audience.as_str());

    let fresh = Mint { audience, lifetime: None, age: Duration::ZERO };
    let token = world.issuer.mint("mara", &fresh).await.unwrap();
    let claims = world.claims(&OSTRA.to_string(), &json!(token)).await;
    assert_eq!((&claims["appid"], &claims["oid"]), (&json!(AZURE_CLI), &json!(MARA)));
    let error = world.issuer.mint("nobody", &fresh).await.unwrap_err();
    assert_eq!(error.to_string(), "the issuer has no account `nobody`");
    world.end().await;
}

#[tokio::test]
async fn a_listener_that_others_reach_is_refused() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let error = LoopbackListener::try_from(listener).unwrap_err();
    assert_eq!(error.to_string(), format!("the demo issuer listens on loopback only, not on `{address}`; use 127.0.0.1 or [::1]"));
}
