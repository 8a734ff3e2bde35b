//! Ten thousand and a hundred thousand delegations: what grows with them, and what does not.
//!
//! Both sizes are measured in one run on one machine, and only their ratios are judged.
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
#[expect(dead_code, reason = "the same process serves the tests of kills and fleets, which do more to it")]
#[path = "common/node.rs"]
mod node;
#[path = "common/signer.rs"]
mod signer;

#[path = "scale/world.rs"]
mod world;

use std::time::Duration;

use serde_json::json;
use steward::clock::Clock;
use steward::directory::Published;
use steward::policy::{self, LoadOptions};
use steward::state::State;
use steward::store::{self, StoreConfig};

use crate::client::{Call, call, get};
use crate::node::{Node, PROVIDER, READER, Wire, guid, measured, offer, token};
use crate::world::World;

/// How much slower ten times as many may be.
const LINEAR_MAX: u32 = 30;
/// How much slower it may be what does not depend on how many there are.
const CONSTANT_MAX: u32 = 3;
/// Below this a difference is the machine's.
const NOISE: Duration = Duration::from_millis(4);

const MS: &str = "api-version=2022-10-01";

/// How long things took.
struct Times {
    load: Duration,
    open: Duration,
    start: Duration,
    customers: Duration,
    one_customer: Duration,
    assignments: Duration,
    onboarding: Duration,
    removal: Duration,
    decision: Duration,
}

/// The shortest of so many times: what it takes when nobody disturbs it.
async fn shortest(times: u32, mut work: impl AsyncFnMut(u32)) -> Duration {
    let mut shortest = Duration::MAX;
    for time in 0..times {
        let started = Clock::instant();
        work(time).await;
        shortest = shortest.min(started.elapsed());
    }
    shortest
}

async fn ask(wire: &mut Wire, call: Call, status: u16) -> client::Answer {
    let shown = call.target.clone();
    let answer = wire.ask(call).await.unwrap();
    assert_eq!(answer.status, status, "{shown} {}", String::from_utf8_lossy(&answer.body));
    answer
}

async fn measure(world: World) -> Times {
    let mut node = Node::new(&format!("scale-{}", world.delegations()), 0, "http://127.0.0.1:9", "state.db");
    std::fs::write(node.folder.join("policies/scale.toml"), world.policies()).unwrap();
    let config = StoreConfig::new(node.folder.join("state.db").display().to_string().parse().unwrap());
    let load = world.load(&config).await;

    let directory = policy::load(&node.folder.join("policies"), &LoadOptions::new(Clock::system().now())).unwrap().directory;
    let open = shortest(2, async |_| {
        let published = Published::new(directory.clone());
        let state = State::open(store::open(&config).await.unwrap(), None, published).await.unwrap();
        let held = state.directory().registry().subscriptions().map(|(_, held)| held.assignments.len()).sum::<usize>();
        assert_eq!(held, usize::try_from(world.delegations()).unwrap());
    })
    .await;

    let started = Clock::instant();
    node.started().await;
    let start = started.elapsed();

    let mut wire = node.wire();
    let principal = token(PROVIDER, &world::principal());
    let own = |rest: &str| get(format!("/providers/Steward.Delegation/{rest}?api-version=2026-11-01")).bearer(&principal);
    let customers = shortest(2, async |_| {
        let list = ask(&mut wire, own("customers"), 200).await.json();
        let list = list["value"].as_array().unwrap();
        let groups: u64 = list.iter().map(|one| one["properties"]["delegatedResourceGroups"].as_u64().unwrap()).sum();
        assert_eq!((list.len(), groups), (usize::from(world.customers()), world.delegations()));
    })
    .await;
    let one_customer = shortest(8, async |_| drop(ask(&mut wire, own(&format!("customers/{}", world::customer(1))), 200).await)).await;

    let subscription = world::subscription(0);
    let in_subscription = |rest: &str| format!("{subscription}/providers/Microsoft.ManagedServices/{rest}?{MS}");
    let owner = token(&world::customer(0), &world::owner(0));
    let list = get(in_subscription("registrationAssignments")).bearer(&owner);
    let assignments = shortest(8, async |_| {
        let found = ask(&mut wire, list.clone(), 200).await.json();
        assert_eq!(found["value"].as_array().unwrap().len(), usize::from(world::IN_SUBSCRIPTION));
    })
    .await;

    let definition = |number: u32| guid(6, 0xffff, number);
    let assignment = |number: u32| {
        let group = format!("{subscription}/resourceGroups/new-{number}");
        format!("{group}/providers/Microsoft.ManagedServices/registrationAssignments/{}?{MS}", guid(5, 0xffff, number))
    };
    let onboarding = shortest(15, async |number| {
        let standing = json!([{ "principalId": world::principal(), "roleDefinitionId": READER }]);
        let body = offer(&format!("New {number}"), "", &standing, &json!([]));
        let target = in_subscription(&format!("registrationDefinitions/{}", definition(number)));
        ask(&mut wire, call("PUT", target.clone()).json(&body).bearer(&owner), 201).await;
        let body = json!({ "properties": { "registrationDefinitionId": target.split('?').next() } });
        ask(&mut wire, call("PUT", assignment(number)).json(&body).bearer(&owner), 201).await;
    })
    .await;
    let removal = shortest(15, async |number| drop(ask(&mut wire, call("DELETE", assignment(number)).bearer(&owner), 202).await)).await;
    let read =
        get(format!("{}/resourceGroups/rg-7/providers/Microsoft.Authorization/permissions?api-version=2022-04-01", world::subscription(1)));
    let decision = shortest(30, async |_| drop(ask(&mut wire, read.clone().bearer(&principal), 200).await)).await;
    node.terminated().await;
    Times { load, open, start, customers, one_customer, assignments, onboarding, removal, decision }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_delegations_cost_what_they_must() {
    let few = measure(World::new(100)).await;
    let many = measure(World::new(1_000)).await;
    let mut wrong = Vec::new();
    let mut compare = |what: &str, max: Option<u32>, few: Duration, many: Duration| {
        let ratio = many.max(NOISE).as_secs_f64() / few.max(NOISE).as_secs_f64();
        measured(format_args!("{what}: {few:.1?} with 10,000 delegations, {many:.1?} with 100,000"));
        if max.is_some_and(|max| ratio > f64::from(max)) {
            wrong.push(format!("{what}: {ratio:.1} times as long"));
        }
    };
    compare("loading the store in bulk", None, few.load, many.load);
    compare("opening the state", Some(LINEAR_MAX), few.open, many.open);
    compare("starting the gateway", Some(LINEAR_MAX), few.start, many.start);
    compare("the list of customers", Some(LINEAR_MAX), few.customers, many.customers);
    compare("one customer", Some(CONSTANT_MAX), few.one_customer, many.one_customer);
    compare("assignments of a subscription", Some(CONSTANT_MAX), few.assignments, many.assignments);
    compare("one onboarding", Some(CONSTANT_MAX), few.onboarding, many.onboarding);
    compare("one removal", Some(CONSTANT_MAX), few.removal, many.removal);
    compare("one question about permissions", Some(CONSTANT_MAX), few.decision, many.decision);
    assert_eq!(wrong, [""; 0]);
}
