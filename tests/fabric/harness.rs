//! A fabric on a port of its own, and a gateway's key to speak to it over TLS.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use steward::clock::Clock;
use steward::resource_manager::Store;
use steward::resource_manager::fabric::{Config, Fabric, Seed};

use super::mock::{self, Answer, Serving, admin_request, signed, trust};

const BASE: &str = "https://fabric.test";
pub const JUNIPER: &str = "11111111-0000-4000-8000-000000000001";
pub const KELP: &str = "11111111-0000-4000-8000-000000000002";
pub const ANNA: &str = "anna@juniper.example";
pub const KIM: &str = "kim@kelp.example";
/// How long a job takes by the clock that the test moves.
pub const OPERATION_TIME: Duration = Duration::from_secs(10);

/// A running fabric.
pub struct Backend {
    pub fabric: Arc<Fabric>,
    pub clock: Clock,
    serving: Serving,
}

impl Answer {
    /// Status and error code, the way a client sees a refusal.
    pub fn told(&self) -> String {
        // A job that failed has an error as well, but was not refused.
        let code = if self.status.is_success() { "" } else { self.body["error"]["code"].as_str().unwrap() };
        format!("{} {code}", self.status.as_u16()).trim_end().to_owned()
    }

    pub fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

/// In whose name: `None` for the administrator.
pub type As = Option<(&'static str, &'static str)>;
pub const ADMIN: As = None;
pub const AS_ANNA: As = Some((ANNA, JUNIPER));
pub const AS_KIM: As = Some((KIM, KELP));

impl Backend {
    pub async fn start() -> Self {
        Self::start_with(Store::Memory, Seed::demo(), Clock::system()).await
    }

    pub async fn start_with(store: Store, seed: Seed, clock: Clock) -> Self {
        let config = Config { trust: trust(BASE), store, seed: Some(seed), operation_time: OPERATION_TIME, clock: clock.clone() };
        let fabric = Fabric::open(config).await.unwrap();
        let serving = Serving::start(|listener, tls, stopped| Arc::clone(&fabric).run(listener, tls, stopped)).await;
        Self { fabric, clock, serving }
    }

    /// A fabric with the roles of two tenants that may do everything on the north stamp.
    pub async fn with_tenants() -> Self {
        let backend = Self::start().await;
        backend.make_tenants().await;
        backend
    }

    pub async fn make_tenants(&self) {
        for (id, member) in [(JUNIPER, ANNA), (KELP, KIM)] {
            let role = self.role(id, &[member]).await;
            assert_eq!(self.put(ADMIN, &format!("/roles/{id}"), role).await.told(), "201");
        }
    }

    /// A role that may use everything of the north stamp but the bronze cloud.
    pub async fn role(&self, id: &str, members: &[&str]) -> Value {
        json!({
            "id": id, "name": format!("role {id}"), "profile": "TenantAdmin", "members": members,
            "clouds": [self.id("clouds", "north-gold").await], "networks": [self.id("networks", "north-tenants").await],
            "templates": [self.id("templates", "ubuntu-24.04").await],
            "actions": ["Checkpoint", "Create", "Modify", "Remove", "StartStop", "Transfer"],
            "quota": { "virtual_machines": 10, "cores": 20 },
        })
    }

    /// The id of what is called so in a list; the first one of several.
    pub async fn id(&self, list: &str, name: &str) -> String {
        let answer = self.get(ADMIN, &format!("/{list}")).await;
        let found = answer.body["value"].as_array().unwrap().iter().find(|entry| entry["name"] == name).unwrap().clone();
        found["id"].as_str().unwrap().to_owned()
    }

    /// What a client sends to have a machine of the seed's small template in the gold cloud.
    pub async fn new_vm(&self, name: &str) -> Value {
        json!({
            "name": name, "cloud": self.id("clouds", "north-gold").await, "template": self.id("templates", "ubuntu-24.04").await,
            "network": self.id("networks", "north-tenants").await, "start": true,
        })
    }

    /// A machine that has been deployed; its id.
    pub async fn deployed(&self, acting: As, name: &str) -> String {
        let begun = self.post(acting, "/vms", self.new_vm(name).await).await;
        assert_eq!(begun.told(), "202", "{begun:?}");
        self.clock.advance(OPERATION_TIME);
        let vm = self.vm(acting, begun.body["vm"]["id"].as_str().unwrap()).await;
        assert_eq!(vm["status"], "Running");
        vm["id"].as_str().unwrap().to_owned()
    }

    pub async fn vm(&self, acting: As, id: &str) -> Value {
        let answer = self.get(acting, &format!("/vms/{id}")).await;
        assert_eq!(answer.told(), "200");
        answer.body
    }

    /// The job of an answer that began one, as it is now.
    pub async fn job(&self, acting: As, begun: &Answer) -> Value {
        let answer = self.get(acting, &format!("/jobs/{}", begun.body["job"]["id"].as_str().unwrap())).await;
        assert_eq!(answer.told(), "200");
        answer.body
    }

    /// Lets a job that was begun run to its end.
    pub async fn finished(&self, acting: As, begun: &Answer) -> Value {
        assert_eq!(begun.told(), "202", "{begun:?}");
        self.clock.advance(OPERATION_TIME);
        self.job(acting, begun).await
    }

    pub async fn turn(&self, host: &str, power: &str) -> Answer {
        let path = format!("/hosts/{}", self.id("hosts", host).await);
        self.call(ADMIN, "PATCH", &path, Some(json!({ "power": power }))).await
    }

    pub async fn stop(self) {
        self.serving.stop().await;
    }

    pub async fn get(&self, acting: As, path: &str) -> Answer {
        self.call(acting, "GET", path, None).await
    }

    pub async fn put(&self, acting: As, path: &str, body: Value) -> Answer {
        self.call(acting, "PUT", path, Some(body)).await
    }

    pub async fn post(&self, acting: As, path: &str, body: Value) -> Answer {
        self.call(acting, "POST", path, Some(body)).await
    }

    pub async fn patch(&self, acting: As, path: &str, body: Value) -> Answer {
        self.call(acting, "PATCH", path, Some(body)).await
    }

    pub async fn delete(&self, acting: As, path: &str) -> Answer {
        self.call(acting, "DELETE", path, None).await
    }

    /// A request with an assertion and headers that fit each other.
    pub async fn call(&self, acting: As, method: &str, path: &str, body: Option<Value>) -> Answer {
        let assertion = signed(7, &claims(&self.clock, acting));
        let mut headers = vec![("authorization", assertion.as_str())];
        if let Some((user, role)) = acting {
            headers.extend([("x-vmm-on-behalf-of-user", user), ("x-vmm-on-behalf-of-user-role", role)]);
        }
        let holder = self.holder(acting, method, path).await;
        headers.extend(holder.as_deref().map(|holder| ("x-vmm-holder", holder)));
        self.send(method, path, body.map(|body| body.to_string().into()), &headers).await.unwrap()
    }

    /// Whose a machine is, for what an administrator does with it.
    async fn holder(&self, acting: As, method: &str, path: &str) -> Option<String> {
        let id = path.strip_prefix("/vms/")?.split('/').next().filter(|_| acting == ADMIN && method != "GET")?;
        let vm = Box::pin(self.get(ADMIN, &format!("/vms/{id}"))).await.body;
        let role = vm["user_role"].as_str().or_else(|| vm["requested_by"].as_str());
        Some(role.unwrap_or("nobody").to_owned())
    }

    /// A request as it is. `None` when the connection ended before the answer was whole.
    pub async fn send(&self, method: &str, path: &str, body: Option<Bytes>, headers: &[(&str, &str)]) -> Option<Answer> {
        self.serving.send(method, path, body, headers).await
    }

    /// An HTTP/2 connection, which carries many requests at once.
    pub async fn http2(&self) -> SendRequest<Full<Bytes>> {
        let stream = self.serving.connect(b"h2").await;
        let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        // It ends with its last sender.
        drop(tokio::spawn(connection));
        sender
    }

    pub fn get_request(&self, path: &str, assertion: &str) -> Request<Full<Bytes>> {
        let request = Request::get(format!("https://localhost:{}{path}", self.serving.address.port())).header("authorization", assertion);
        request.body(Full::default()).unwrap()
    }

    pub async fn admin(&self, method: &str, path: &str, body: Value) -> Answer {
        Answer::of_admin(self.fabric.admin(admin_request(method, &format!("/mock/fabric/{path}"), &body)).await).await
    }

    /// Waits until an admin read satisfies a condition.
    pub async fn until(&self, path: &str, is_met: impl Fn(&Value) -> bool) {
        let met = async {
            while !is_met(&self.admin("GET", path, Value::Null).await.body) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), met).await.unwrap();
    }
}

/// The claims of an assertion in this name.
pub fn claims(clock: &Clock, acting: As) -> Value {
    let mut claims = mock::claims(clock, BASE);
    claims["vmm"] = match acting {
        None => json!({ "administrator": {} }),
        Some((user, role)) => json!({ "on_behalf_of": { "user": user, "user_role": role } }),
    };
    claims
}
