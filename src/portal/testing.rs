//! A product with canned answers, for the tests of the portal.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{PlanCard, Portal, Product, SignUpForm, SignUpProblem, SignedUp, Site, Transport};
use crate::clock::Clock;
use crate::identity::Caller;
use crate::ids::{ObjectId, PrincipalId, SubscriptionId, TenantId};
use crate::management::PartAnswer;

pub(super) const HOST: &str = "127.0.0.1:8480";
pub(super) const JUNIPER: &str = "11111111-1111-4111-8111-111111111111";
pub(super) const ALDER: &str = "22222222-2222-4222-8222-222222222222";

/// A person; the same name is the same person. Its token is valid for a hundred days.
pub(super) fn caller(name: &str) -> Arc<Caller> {
    let mut object = [0; 16];
    object.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    let now = Clock::system().now();
    let principal = PrincipalId { tenant: TenantId::from_bytes([7; 16]), object: ObjectId::from_bytes(object) };
    let expires_at = now.checked_add(std::time::Duration::from_secs(100 * 24 * 3600)).unwrap();
    Arc::new(Caller { expires_at, ..Caller::unproven(principal, name.into(), now) })
}

/// What was asked: who, method, path with query, body.
pub(super) type Asked = (String, String, String, Option<Value>);

/// A product in which everything is called `name`.
pub(super) struct Canned {
    pub(super) name: String,
    pub(super) services: &'static [&'static str],
    /// Paths that end like this are refused.
    pub(super) refuses: Option<&'static str>,
    pub(super) obstacle: bool,
    /// Whether those who are signed in may stay.
    pub(super) trusts: AtomicBool,
    pub(super) asked: Mutex<Vec<Asked>>,
}

pub(super) const ALL: &[&str] = &["virtual_machines", "networks", "checkpoints", "transfers", "usage"];

impl Canned {
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), services: ALL, refuses: None, obstacle: false, trusts: true.into(), asked: Mutex::default() }
    }

    fn machine_id(&self) -> String {
        let cloud = super::text::segment(&self.name);
        format!(
            "/subscriptions/{JUNIPER}/resourceGroups/{cloud}/providers/Microsoft.HybridCompute/machines/{cloud}/providers/Microsoft.ScVmm/virtualMachineInstances/default"
        )
    }

    fn machine(&self) -> Value {
        let name = &self.name;
        json!({ "id": self.machine_id(), "name": "default", "properties": {
            "provisioningState": "Succeeded", "powerState": "Running", "hardwareProfile": { "cpuCount": 2, "memoryMB": 4096 },
            "infrastructureProfile": { "vmName": name, "checkpoints": [{ "checkpointID": name, "name": name, "description": name }] },
            "privateCloud": { "owner": name, "userRole": name, "status": "Running", "host": name, "jobId": "job-1",
                "createdAt": "2026-11-21T09:12:00Z", "modifiedAt": "2026-11-21T13:48:32Z" },
        } })
    }

    fn job(&self, id: &str) -> Value {
        let name = &self.name;
        let (status, error) = match id {
            "job-2" => ("Failed", json!({ "code": name, "message": name, "recommendedAction": name })),
            _ => ("Running", Value::Null),
        };
        let last = if status == "Failed" { "Failed" } else { "Running" };
        json!({ "id": format!("{}/jobs/{id}", self.machine_id()), "name": id, "properties": {
            "name": name, "status": status, "progress": 40, "startedAt": "2026-11-21T13:48:32Z", "endedAt": null, "error": error,
            "steps": [{ "name": name, "status": "Completed" }, { "name": name, "status": last }, { "name": name, "status": "NotStarted" }],
            "vmName": name, "onBehalfOfUser": name, "requestedByName": name,
        } })
    }

    fn tenant(&self) -> Value {
        let name = &self.name;
        json!({ "properties": {
            "name": name, "accountId": "33333333-3333-4333-8333-333333333333", "accountName": name, "state": "Active",
            "plan": { "key": "gold", "name": name }, "addOns": [name], "services": self.services,
            "quota": { "virtualMachines": 8, "cores": 16, "memoryMb": 65536 },
            "used": { "virtualMachines": 3, "cores": 15, "memoryMb": 65536, "storageGb": 120 },
            "administrator": { "name": name, "identity": name }, "coAdministrators": [{ "name": "Deniz Aydin", "identity": "deniz@juniper.example" }],
            "createdAt": "2026-11-20T10:00:00Z",
        } })
    }

    fn things(&self, kind: &str) -> Value {
        let id = format!("/subscriptions/{JUNIPER}/providers/Microsoft.ScVmm/{kind}/{}", self.name);
        json!({ "value": [{ "id": id, "name": self.name, "properties": {} }] })
    }

    fn answer(&self, method: &Method, path: &str, body: Option<&Value>) -> Value {
        let name = &self.name;
        let last = path.rsplit('/').next().unwrap_or_default();
        match (method, last) {
            (&Method::POST, "transfer") => {
                let obstacles =
                    if self.obstacle { json!([{ "code": name, "message": name, "recommendedAction": name }]) } else { json!([]) };
                let is_preview = body.and_then(|body| body["preview"].as_bool()).unwrap_or(false);
                let job = if is_preview { Value::Null } else { json!("job-1") };
                let side = |role: &str| json!({ "owner": name, "userRole": role, "status": "Stopped", "host": name });
                json!({ "before": side(JUNIPER), "after": side(ALDER), "obstacles": obstacles, "jobId": job })
            }
            (&Method::PUT, _) => self.machine(),
            (&Method::POST | &Method::DELETE, _) => Value::Null,
            (_, "subscriptions") => json!({ "value": [
                { "subscriptionId": JUNIPER, "displayName": name },
                { "subscriptionId": ALDER, "displayName": "Alder Foods" },
            ] }),
            (_, "jobs") => json!({ "value": [self.job("job-1"), self.job("job-2")] }),
            (_, "clouds" | "virtualNetworks" | "virtualMachineTemplates") => self.things(last),
            (_, "virtualMachineInstances") => json!({ "value": [self.machine()] }),
            (_, "default") => self.machine(),
            (_, "usage") => json!({ "value": [{ "properties": { "virtualMachine": name, "resource": "CoreSeconds",
                "from": "2026-11-21T12:00:00Z", "until": "2026-11-21T13:00:00Z", "quantity": 9000 } }] }),
            (_, id) if path.contains("/jobs/") => self.job(id),
            _ => self.tenant(),
        }
    }
}

impl Product for Canned {
    fn ask<'a>(
        &'a self,
        who: &'a Arc<Caller>,
        method: Method,
        path: &'a str,
        query: &'a str,
        body: Option<&'a Value>,
    ) -> Pin<Box<dyn Future<Output = PartAnswer> + Send + 'a>> {
        Box::pin(async move {
            self.asked.lock().await.push((who.name.to_string(), method.to_string(), format!("{path}?{query}"), body.cloned()));
            if self.refuses.is_some_and(|tail| path.ends_with(tail)) {
                let info = json!({ "reason": "role.missing", "id": "7fa39c2d-51d0-4a7e-8000-000000000000", "hint": self.name });
                let body = json!({ "error": { "code": "AuthorizationFailed", "message": format!("{} may not do this", self.name),
                    "additionalInfo": [{ "type": "StewardDecision", "info": info }] } });
                return PartAnswer { status: StatusCode::FORBIDDEN, body, id: None, headers: Box::default(), length: 0 };
            }
            if path.contains(ALDER) {
                return PartAnswer::error(StatusCode::NOT_FOUND, "ResourceNotFound", "nothing is there");
            }
            PartAnswer { status: StatusCode::OK, body: self.answer(&method, path, body), id: None, headers: Box::default(), length: 0 }
        })
    }

    fn still_counts(&self, _who: &Caller) -> bool {
        self.trusts.load(Ordering::SeqCst)
    }

    fn plans(&self, invitation_code: Option<&str>) -> Vec<PlanCard> {
        let plan = |key: &str, needs_code| PlanCard {
            key: key.to_owned(),
            name: self.name.clone(),
            description: self.name.clone(),
            services: vec![self.name.clone(), "Networks".to_owned()],
            quota: vec!["8 virtual machines".to_owned(), "16 cores".to_owned()],
            needs_code,
        };
        let opened = (invitation_code == Some("JUNIPER")).then(|| plan("partner", true));
        [plan("bronze", false), plan("gold", false)].into_iter().chain(opened).collect()
    }

    fn sign_up<'a>(&'a self, form: &'a SignUpForm) -> Pin<Box<dyn Future<Output = Result<SignedUp, SignUpProblem>> + Send + 'a>> {
        Box::pin(async move {
            if form.organisation == "Taken" {
                let message = format!("{} is signed up already", form.organisation);
                return Err(SignUpProblem { field: Some("organisation"), message });
            }
            let caller = caller(&form.person);
            Ok(SignedUp { subscription: JUNIPER.parse::<SubscriptionId>().unwrap(), account: caller.tenant(), caller })
        })
    }

    fn sign_in<'a>(&'a self, token: &'a str) -> Pin<Box<dyn Future<Output = Result<Arc<Caller>, String>> + Send + 'a>> {
        Box::pin(async move { if token == "good" { Ok(caller(&self.name)) } else { Err("This token has expired.".to_owned()) } })
    }
}

/// A browser with one cookie.
pub(super) struct Browser {
    pub(super) portal: Portal,
    pub(super) product: Arc<Canned>,
    pub(super) clock: Clock,
    cookie: Option<String>,
}

/// What a browser got.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: StatusCode,
    pub(super) headers: hyper::HeaderMap,
    pub(super) text: String,
}

impl Got {
    pub(super) fn location(&self) -> &str {
        self.headers["location"].to_str().unwrap()
    }

    /// The token of the forms on a page.
    pub(super) fn form_token(&self) -> &str {
        self.text.split("name=\"form\" value=\"").nth(1).unwrap().split('"').next().unwrap()
    }
}

impl Browser {
    pub(super) fn at(product: Canned) -> Self {
        let (product, clock) = (Arc::new(product), Clock::system());
        let site = Site { names: vec!["127.0.0.1".into()], transport: Transport::Clear };
        let portal = Portal::new(site, Arc::clone(&product) as Arc<dyn Product>, clock.clone()).unwrap();
        Self { portal, product, clock, cookie: None }
    }

    pub(super) async fn signed_in(product: Canned) -> Self {
        let mut browser = Self::at(product);
        let got = browser.submit("/sign-in", "/sign-in", &[("token", "good")]).await;
        assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.text);
        browser
    }

    pub(super) async fn get(&mut self, path: &str) -> Got {
        self.send(Request::get(path), String::new()).await
    }

    /// Opens a page and submits a form on it.
    pub(super) async fn submit(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Got {
        let page = self.get(page).await;
        let token = page.form_token().to_owned();
        self.post(action, &[fields, &[("form", &token)]].concat()).await
    }

    pub(super) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Got {
        let pairs = fields.iter().map(|(name, value)| format!("{name}={}", super::text::segment(value)));
        let body = pairs.collect::<Vec<_>>().join("&");
        let request = Request::post(path)
            .header("origin", format!("http://{HOST}"))
            .header("sec-fetch-site", "same-origin")
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request, body).await
    }

    pub(super) async fn send(&mut self, request: hyper::http::request::Builder, body: String) -> Got {
        let mut request = request.header("host", HOST);
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let answer = self.portal.answer_any(request.body(Full::<bytes::Bytes>::from(body)).unwrap()).await;
        let (head, body) = answer.into_parts();
        if let Some(set) = head.headers.get("set-cookie") {
            let set = set.to_str().unwrap();
            self.cookie = (!set.contains("Max-Age=0")).then(|| set.split(';').next().unwrap().to_owned());
        }
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Got { status: head.status, headers: head.headers, text }
    }
}
