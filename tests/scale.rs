//! Ten thousand delegations of a thousand tenants, and a hundred thousand of ten thousand: what grows with them, and what does not.
//!
//! Both sizes are measured in one run on one machine, turn and turn about, and only their ratios are judged.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "helpers outside of test functions, in a test of its own"
)]

#[expect(dead_code, reason = "the same client serves the tests of the gateway, which ask in more ways")]
#[path = "common/client.rs"]
mod client;
#[path = "common/folders.rs"]
mod folders;
#[expect(dead_code, reason = "the same process serves the tests of kills and fleets, which do more to it")]
#[path = "common/node.rs"]
mod node;
#[path = "common/signer.rs"]
mod signer;

#[path = "scale/world.rs"]
mod world;

use std::time::Duration;

use serde_json::{Value, json};
use steward::clock::Clock;
use steward::store::StoreConfig;

use crate::client::{Answer, Call, call, get};
use crate::node::{Node, PROVIDER, READER, Wire, guid, measured, offer, path_of, token};
use crate::world::World;

/// How often each gateway starts, how often it lists everything, and how often it is asked anything else.
const STARTS: u32 = 3;
const LISTS: u32 = 3;
const ROUNDS: u32 = 15;

/// How much slower ten times as many may be where all of them are read.
const LINEAR_MAX: f64 = 30.0;
/// How much slower it may be where it should not matter how many there are.
const CONSTANT_MAX: f64 = 4.0;
/// Below this a difference is the machine's.
const NOISE: Duration = Duration::from_millis(1);

const MS: &str = "api-version=2022-10-01";
const OWN: &str = "api-version=2026-11-01";

/// A gateway and those who ask it.
struct Site {
    world: World,
    node: Node,
    wire: Wire,
    provider: String,
    owner: String,
}

impl Site {
    async fn new(tenants: u16) -> Self {
        let world = World::new(tenants);
        let node = Node::new(&format!("{}-delegations", world.delegations()), 0, "http://127.0.0.1:9", "state.db");
        std::fs::write(node.folder.join("policies/scale.toml"), world.policies()).unwrap();
        world.load(&StoreConfig::new(node.folder.join("state.db").display().to_string().parse().unwrap())).await;
        let (provider, owner) = (token(PROVIDER, &world::principal()), token(&world::tenant(0), &world::owner(0)));
        Self { world, wire: node.wire(), node, provider, owner }
    }

    async fn restart(&mut self) {
        self.node.terminated().await;
        self.node.started().await;
    }

    async fn ask(&mut self, call: Call, status: u16) -> Answer {
        let shown = call.target.clone();
        let answer = self.wire.ask(call).await.unwrap();
        assert_eq!(answer.status, status, "{shown} {}", String::from_utf8_lossy(&answer.body));
        answer
    }

    /// One page of a list, and what asks for the next.
    async fn page(&mut self, call: Call) -> (Vec<Value>, Option<Call>) {
        let answer = self.ask(call.clone(), 200).await.json();
        let next = answer["nextLink"].as_str().map(|link| Call { target: path_of(link), ..call });
        (answer["value"].as_array().unwrap().clone(), next)
    }

    async fn list(&mut self, call: Call) -> Vec<Value> {
        let (mut list, mut next) = self.page(call).await;
        while let Some(call) = next {
            let (more, after) = self.page(call).await;
            list.extend(more);
            next = after;
        }
        list
    }

    fn of_provider(&self, target: &str) -> Call {
        get(target.to_owned()).bearer(&self.provider)
    }

    fn of_customers(&self) -> Call {
        self.of_provider(&format!("/providers/Steward.Delegation/customers?{OWN}"))
    }

    async fn first_customers(&mut self) {
        let (page, next) = self.page(self.of_customers()).await;
        assert_eq!((page.len(), next.is_some()), (100, true));
    }

    async fn customers(&mut self) {
        let list = self.list(self.of_customers()).await;
        let groups: u64 = list.iter().map(|one| one["properties"]["delegatedResourceGroups"].as_u64().unwrap()).sum();
        assert_eq!((list.len(), groups), (usize::from(self.world.tenants()), self.world.delegations()));
    }

    async fn subscriptions(&mut self) {
        let list = self.list(self.of_provider("/subscriptions?api-version=2022-12-01")).await;
        assert_eq!(list.len(), usize::from(self.world.tenants()));
    }

    async fn one_customer(&mut self) {
        let target = format!("/providers/Steward.Delegation/customers/{}?{OWN}", world::tenant(1));
        let groups = self.ask(self.of_provider(&target), 200).await.json()["properties"]["delegatedResourceGroups"].as_u64();
        assert_eq!(groups, Some(world::OF_TENANT.into()));
    }

    async fn assignments(&mut self) {
        let target = format!("{}/providers/Microsoft.ManagedServices/registrationAssignments?{MS}", world::subscription(1));
        let owner = token(&world::tenant(1), &world::owner(1));
        let list = self.list(get(target).bearer(&owner)).await;
        assert_eq!(list.len(), usize::from(world::OF_TENANT));
    }

    async fn permissions(&mut self) {
        let group = format!("{}/resourceGroups/rg-7", world::subscription(1));
        let call = self.of_provider(&format!("{group}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01"));
        assert_eq!(self.list(call).await.len(), 1);
    }

    /// An offer, and its assignment to a resource group.
    async fn onboarding(&mut self, number: u32) {
        let standing = json!([{ "principalId": world::principal(), "roleDefinitionId": READER }]);
        let body = offer(&format!("New {number}"), "", &standing, &json!([]));
        let name = guid(6, 0xffff, number);
        let definition = format!("{}/providers/Microsoft.ManagedServices/registrationDefinitions/{name}", world::subscription(0));
        self.ask(call("PUT", format!("{definition}?{MS}")).json(&body).bearer(&self.owner), 201).await;
        let body = json!({ "properties": { "registrationDefinitionId": definition } });
        self.ask(call("PUT", assignment(number)).json(&body).bearer(&self.owner), 201).await;
    }

    async fn removal(&mut self, number: u32) {
        self.ask(call("DELETE", assignment(number)).bearer(&self.owner), 202).await;
    }
}

fn assignment(number: u32) -> String {
    let group = format!("{}/resourceGroups/new-{number}", world::subscription(0));
    format!("{group}/providers/Microsoft.ManagedServices/registrationAssignments/{}?{MS}", guid(5, 0xffff, number))
}

/// How long something takes.
struct Took {
    /// What is told.
    median: Duration,
    /// What is judged: other work on the machine makes a turn longer and never shorter.
    best: Duration,
}

/// What few and many take, turn about.
async fn turn_about(sites: &mut [Site; 2], rounds: u32, mut work: impl AsyncFnMut(&mut Site, u32)) -> [Took; 2] {
    let mut took = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for (site, took) in sites.iter_mut().zip(&mut took) {
            let started = Clock::instant();
            work(site, round).await;
            took.push(started.elapsed());
        }
    }
    took.map(|mut took| {
        took.sort_unstable();
        Took { median: took[took.len() / 2], best: took[0] }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_delegations_cost_what_they_must() {
    let mut sites = [Site::new(1_000).await, Site::new(10_000).await];
    for site in &mut sites {
        site.node.started().await;
    }
    let mut wrong = Vec::new();
    let mut compare = |what: &str, max: f64, [few, many]: [Took; 2]| {
        let times = many.median.as_secs_f64() / few.median.as_secs_f64();
        let [few_took, many_took] = [few.median, many.median];
        measured(format_args!(
            "{what}: {times:.1} times as long with 100,000 delegations of 10,000 tenants ({many_took:.2?}) as with 10,000 of 1,000 ({few_took:.2?})"
        ));
        let ratio = many.best.max(NOISE).as_secs_f64() / few.best.max(NOISE).as_secs_f64();
        if ratio > max {
            wrong.push(format!("{what}: {ratio:.1} times as long"));
        }
    };
    let starting = turn_about(&mut sites, STARTS, async |site, _| site.restart().await).await;
    compare("stopping and starting", LINEAR_MAX, starting);
    compare("list of customers", LINEAR_MAX, turn_about(&mut sites, LISTS, async |site, _| site.customers().await).await);
    compare("one page of that list", CONSTANT_MAX, turn_about(&mut sites, ROUNDS, async |site, _| site.first_customers().await).await);
    compare("list of subscriptions", LINEAR_MAX, turn_about(&mut sites, LISTS, async |site, _| site.subscriptions().await).await);
    compare("one customer", CONSTANT_MAX, turn_about(&mut sites, ROUNDS, async |site, _| site.one_customer().await).await);
    compare("assignments of a tenant", CONSTANT_MAX, turn_about(&mut sites, ROUNDS, async |site, _| site.assignments().await).await);
    compare("one decision", CONSTANT_MAX, turn_about(&mut sites, ROUNDS, async |site, _| site.permissions().await).await);
    compare("one onboarding", CONSTANT_MAX, turn_about(&mut sites, ROUNDS, async |site, number| site.onboarding(number).await).await);
    compare("one removal", CONSTANT_MAX, turn_about(&mut sites, ROUNDS, async |site, number| site.removal(number).await).await);
    for site in &mut sites {
        site.node.terminated().await;
    }
    assert_eq!(wrong, [""; 0]);
}
