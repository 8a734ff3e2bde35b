//! A resource manager on a port of its own, and a gateway's key to speak to it over TLS.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Value, json};
use steward::arm::scope::Scope;
use steward::clock::Clock;
use steward::ids::{SubscriptionId, TenantId};
use steward::resource_manager::{Config, Home, ResourceManager, Seed, Store};

use super::mock::{self, Answer, CALLER, HOME, Serving, admin_request, signed, trust};

pub const ALDER: &str = "/subscriptions/0a000000-0000-4000-8000-000000000001";
pub const CEDAR: &str = "/subscriptions/0c000000-0000-4000-8000-000000000001";
pub const DUNE: &str = "/subscriptions/0d000000-0000-4000-8000-000000000001";
pub const CUSTOMER: &str = "11111111-1111-4111-8111-111111111111";
pub const BASE: &str = "https://backend.test";
pub const V: &str = "api-version=2024-01-01";

const SEED: &str = r#"
[[subscription]]
name = "alder"
unregistered = ["Microsoft.Quantum"]
[[subscription]]
name = "dune"
state = "Disabled"
[[resource_group]]
subscription = "alder"
name = "rg-Web"
location = "westeurope"
tags = { env = "prod" }
[[resource_group]]
subscription = "cedar"
name = "rg-fleet"
location = "westeurope"
[[resource_group]]
subscription = "dune"
name = "rg-app"
location = "westeurope"
[[generate]]
subscription = "cedar"
resource_group = "rg-fleet"
type = "Microsoft.Compute/disks"
name_prefix = "disk-"
count = 2500
location = "westeurope"
"#;

/// A running resource manager.
pub struct Backend {
    pub manager: Arc<ResourceManager>,
    pub clock: Clock,
    serving: Serving,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// Status and error code, the way a client sees a refusal.
    pub fn told(&self) -> String {
        let code = self.body["error"]["code"].as_str().unwrap_or_default();
        format!("{} {code}", self.status.as_u16()).trim_end().to_owned()
    }

    pub fn state(&self) -> &str {
        self.body["properties"]["provisioningState"].as_str().unwrap_or_default()
    }
}

impl Backend {
    pub async fn start() -> Self {
        Self::start_with(Store::Memory, Duration::from_secs(10)).await
    }

    pub async fn start_with(store: Store, operation_time: Duration) -> Self {
        let clock = Clock::system();
        let home = |id: &str| Home { id: subscription(id), tenant: CUSTOMER.parse::<TenantId>().unwrap() };
        let subscriptions =
            BTreeMap::from([("alder".to_owned(), home(ALDER)), ("cedar".to_owned(), home(CEDAR)), ("dune".to_owned(), home(DUNE))]);
        let config = Config {
            base_url: BASE.to_owned(),
            trust: trust(BASE),
            store,
            seed: Some(Seed { text: SEED.to_owned(), subscriptions }),
            operation_time,
            clock: clock.clone(),
        };
        let manager = ResourceManager::open(config).await.unwrap();
        let serving = Serving::start(|listener, tls, stopped| Arc::clone(&manager).run(listener, tls, stopped)).await;
        Self { manager, clock, serving }
    }

    pub async fn stop(self) {
        self.serving.stop().await;
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None, &[]).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call("PUT", path, Some(body), &[]).await
    }

    pub async fn post(&self, path: &str) -> Answer {
        self.call("POST", path, None, &[]).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call("DELETE", path, None, &[]).await
    }

    /// A request with an assertion that fits it. `path` may be absolute, and gets an api-version if it has no query.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>, headers: &[(&str, &str)]) -> Answer {
        let scope = path.trim_start_matches(BASE).split('/').take(3).collect::<Vec<_>>().join("/");
        let scope = if Scope::parse(&scope).is_ok_and(|it| it.subscription_id().is_some()) { scope } else { "/".to_owned() };
        let assertion = self.assertion(&claims(&self.clock, &scope));
        let mut all = vec![("authorization", assertion.as_str()), ("x-ms-client-object-id", CALLER), ("x-ms-client-tenant-id", HOME)];
        all.extend(headers);
        self.send(method, path, body.map(|body| body.to_string().into()), &all).await.unwrap()
    }

    pub fn assertion(&self, claims: &Value) -> String {
        signed(7, claims)
    }

    /// A request as it is, but for the api-version that it gets if it has no query. `None` when the connection ended before the answer was whole.
    pub async fn send(&self, method: &str, path: &str, body: Option<Bytes>, headers: &[(&str, &str)]) -> Option<Answer> {
        let path = path.trim_start_matches(BASE);
        let path = if path.contains('?') { path.to_owned() } else { format!("{path}?{V}") };
        self.serving.send(method, &path, body, headers).await
    }

    pub async fn admin(&self, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let answer = Answer::of_admin(self.manager.admin(admin_request(method, path, &body)).await).await;
        (answer.status, answer.body)
    }

    pub async fn fault(&self, fault: Value) {
        assert_eq!(self.admin("POST", "/mock/faults", fault).await.0, StatusCode::CREATED);
    }
}

/// The claims of an assertion for `scope`.
pub fn claims(clock: &Clock, scope: &str) -> Value {
    let mut claims = mock::claims(clock, BASE);
    claims["tid"] = json!(CUSTOMER);
    claims["scp"] = json!(scope);
    claims
}

fn subscription(path: &str) -> SubscriptionId {
    path.rsplit('/').next().unwrap().parse().unwrap()
}
