//! A gateway with a private cloud, who signs up for it, and what has to be there afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use serde_json::{Value, json};
use steward::store::{self, StoreConfig};

use crate::client::{Answer, Call, call, get};
use crate::fabric::FabricHost;
use crate::node::{Node, PROVIDER, Unanswered, Wire, eventually, guid, owner, path_of, subscription};
use crate::signer;

const OWN: &str = "api-version=2026-11-01";
pub const SCVMM: &str = "api-version=2023-10-07";
pub const CLOUD: &str = "north-gold";

const PRIVATE_CLOUD: &str = "
[[private_cloud]]
subscription = 's0'
sign_up = 'open'
tenants_max = 100000
[[plan]]
key = 'gold'
name = 'Gold'
description = 'For tests.'
visibility = 'public'
services = ['virtual_machines', 'networks', 'checkpoints', 'transfers', 'usage']
clouds = ['north-gold']
networks = ['north-tenants']
templates = ['ubuntu-24.04']
quota = { virtual_machines = 4, cores = 8 }
";

/// Gateway and fabric.
pub struct World {
    pub node: Node,
    pub fabric: FabricHost,
    pub front: SocketAddr,
    store: StoreConfig,
    /// The number of the fabric's last request when the gateway started.
    mark: i64,
}

/// What is there, from the store.
#[derive(Debug, Default)]
pub struct Rows {
    /// Subscriptions: id to account and name.
    pub clouds: BTreeMap<String, (String, String)>,
    pub accounts: BTreeSet<String>,
    pub sign_ups: usize,
}

impl World {
    /// A gateway that runs, and its fabric, in this process or apart from it.
    pub async fn start(name: &str, apart: bool) -> Self {
        let node = Node::new(name, 1, "http://127.0.0.1:9", "state.db");
        let front = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut fabric = FabricHost::new(&node.folder, format!("https://localhost:{}", node.address.port()));
        append(&node, "policies/world.toml", PRIVATE_CLOUD);
        append(&node, "steward.toml", &format!("{}listen = \"{front}\"\n", fabric.section()));
        if apart {
            fabric.start_apart().await;
        } else {
            fabric.start_here().await;
        }
        let url = node.folder.join("state.db").display().to_string();
        let mut world = Self { node, fabric, front, store: StoreConfig::new(url.parse().unwrap()), mark: -1 };
        world.start_gateway().await;
        world
    }

    async fn start_gateway(&mut self) {
        (self.mark, _) = self.fabric.journal("PUT", 0).await;
        self.node.started().await;
    }

    /// `kill -9` of the gateway, and of the fabric if it is apart.
    pub fn kill(&mut self) {
        self.node.kill();
        if self.fabric.is_apart() {
            self.fabric.kill();
        }
    }

    /// Starts what was killed.
    pub async fn start_again(&mut self, was_apart: bool) {
        if was_apart {
            self.fabric.start_apart().await;
        } else {
            self.fabric.release().await;
        }
        self.start_gateway().await;
    }

    /// A start in order, with a fault that is there from the beginning.
    pub async fn restart_with(&mut self, method: &str, prefix: &str, effect: (&str, Value)) {
        self.node.terminated().await;
        self.fabric.fault(method, prefix, effect).await;
        self.start_gateway().await;
    }

    pub async fn rows(&self) -> Rows {
        let mut rows = Rows::default();
        for object in store::look(&self.store).await.unwrap().objects {
            let body: Value = serde_json::from_str(&object.body).unwrap();
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            match &*object.key.kind {
                "sign_up" => rows.sign_ups += 1,
                "account" => drop(rows.accounts.insert(text("id"))),
                "cloud_subscription" => drop(rows.clouds.insert(text("id"), (text("tenant"), text("name")))),
                _ => {}
            }
        }
        rows
    }

    /// Waits until nothing is under way.
    pub async fn settled(&self) -> Rows {
        eventually("no sign-up is under way", async || Some(self.rows().await).filter(|rows| rows.sign_ups == 0)).await
    }

    /// Waits until the gateway has told the fabric of all roles that were there when it started.
    pub async fn idle(&self) {
        let rows = self.settled().await;
        eventually("the roles are as they have to be", async || {
            let (_, put) = self.fabric.journal("PUT", self.mark).await;
            let is_told = |id: &String| put.iter().any(|path| path.ends_with(id.as_str()));
            rows.clouds.keys().all(is_told).then_some(())
        })
        .await;
    }

    /// Ids of the tenants that the operator sees; nothing when the gateway is away.
    pub async fn tenants(&self) -> Option<BTreeMap<String, Value>> {
        tenants(&mut self.node.wire()).await
    }

    /// Tenants' roles of the fabric by id; nothing when it is away.
    pub async fn roles(&self) -> Option<BTreeMap<String, Value>> {
        roles(&self.fabric).await
    }
}

pub async fn tenants(wire: &mut Wire) -> Option<BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    let mut target = format!("{}/providers/Steward.PrivateCloud/tenants?{OWN}", subscription(0));
    loop {
        let answer = wire.ask(get(target).bearer(&owner())).await.ok()?;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        let page = answer.json();
        for tenant in page["value"].as_array().unwrap() {
            found.insert(tenant["properties"]["subscriptionId"].as_str().unwrap().to_owned(), tenant["properties"].clone());
        }
        match page["nextLink"].as_str() {
            Some(next) => target = path_of(next),
            None => return Some(found),
        }
    }
}

pub async fn roles(fabric: &FabricHost) -> Option<BTreeMap<String, Value>> {
    let page = fabric.ask("/roles?top=1000").await?;
    assert!(page["next"].is_null(), "one page is enough");
    let tenants = page["value"].as_array().unwrap().iter().filter(|role| role["profile"] == "TenantAdmin");
    Some(tenants.map(|role| (role["id"].as_str().unwrap().to_owned(), role.clone())).collect())
}

fn append(node: &Node, file: &str, text: &str) {
    let path = node.folder.join(file);
    let before = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, before + text).unwrap();
}

/// Somebody who signs up, with a key of the organisation's own.
pub fn visitor(name: &str) -> Call {
    call("POST", "/accounts").json(&json!({
        "organisation": name,
        "administrator": { "name": "Vera", "identity": format!("vera@{name}.example") },
        "issuer": { "name": format!("https://{name}.example/"), "keys": signer::key_set() },
        "planId": "gold",
    }))
}

/// A token of the person who has the machines, who signs in with one name for each of its two subscriptions.
fn mover(identity: &str) -> String {
    let object = guid(9, 9, 9);
    let mut claims = signer::claims();
    claims["iss"] = format!("https://own.example/{PROVIDER}/").into();
    for (name, value) in [("tid", PROVIDER), ("oid", &*object), ("sub", &*object), ("upn", identity)] {
        claims[name] = value.into();
    }
    signer::signed(&claims)
}

/// One of the two sides that a machine goes between.
#[derive(Debug, Clone)]
pub struct Holder {
    pub id: String,
    pub identity: String,
}

impl Holder {
    pub async fn sign_up(world: &World, identity: &str) -> Self {
        let body = json!({ "planId": "gold", "friendlyName": identity });
        let call = call("POST", "/subscriptions").json(&body).bearer(&mover(identity)).header("x-ms-principal-id", identity);
        let answer = Wire::to(world.front).ask(call).await.unwrap();
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        Self { id: answer.json()["subscriptionId"].as_str().unwrap().to_owned(), identity: identity.to_owned() }
    }

    fn group(&self) -> String {
        format!("/subscriptions/{}/resourceGroups/{CLOUD}", self.id)
    }

    pub fn instance(&self) -> String {
        format!(
            "{}/providers/Microsoft.HybridCompute/machines/vm-1/providers/Microsoft.ScVmm/virtualMachineInstances/default",
            self.group()
        )
    }

    /// The machine as this side sees it.
    pub async fn ask(&self, world: &World, method: &str, tail: &str, body: &Value) -> Result<Answer, Unanswered> {
        let target = format!("{}{tail}?{SCVMM}", self.instance());
        let mut call = call(method, target).bearer(&mover(&self.identity));
        if !body.is_null() {
            call = call.json(body);
        }
        world.node.wire().ask(call).await
    }

    pub async fn make_machine(&self, world: &World) -> String {
        let body = json!({ "properties": { "infrastructureProfile": { "templateId": "ubuntu-24.04" } } });
        let answer = self.ask(world, "PUT", "", &body).await.unwrap();
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        eventually("the machine is made", async || {
            let seen = self.ask(world, "GET", "", &Value::Null).await.unwrap();
            let machine = seen.json();
            (machine["properties"]["provisioningState"] == "Succeeded" && machine["properties"]["privateCloud"]["owner"].is_string())
                .then(|| machine["properties"]["privateCloud"]["id"].as_str().unwrap().to_owned())
        })
        .await
    }

    /// Everything at once, or only the first of the two old steps.
    pub fn gives_to(&self, other: &Self, role_only: bool) -> Call {
        let body = json!({ "targetResourceGroupId": other.group(), "roleOnly": role_only });
        call("POST", format!("{}/transfer?{SCVMM}", self.instance())).bearer(&mover(&self.identity)).json(&body)
    }

    /// The second of the two old steps.
    pub fn becomes_owner(&self) -> Call {
        let body = json!({ "properties": { "privateCloud": { "owner": self.identity } } });
        call("PATCH", format!("{}?{SCVMM}", self.instance())).bearer(&mover(&self.identity)).json(&body)
    }
}
