//! Delegations that end by themselves: a review that is due is told once, and what nobody uses counts no more until it is renewed.

use std::time::Duration;

use serde_json::{Value, json};
use steward::clock::{Clock, SignedDuration};

use super::own_api::{READER, in_dev, tenant};
use super::webhooks::hook;
use crate::common::backend::{Act, Backend, Front, json_answer};
use crate::common::client::{Answer, Call, call, get};
use crate::common::installation::{SHARED, empty_folder};
use crate::common::receiver::{Delivery, Receiver};

const TERMED: &str = "api-version=2026-11-01-steward-preview";
const OWN: &str = "api-version=2026-11-01";
const HOUR: Duration = Duration::from_secs(3_600);

/// A gateway whose clock moves, and callers whose tokens outlast what happens.
struct World {
    front: Front,
    clock: Clock,
    receiver: Receiver,
}

impl World {
    async fn start(name: &str) -> Self {
        let (clock, folder, receiver) = (Clock::system(), empty_folder(name), Receiver::start().await);
        let backend = Backend::start(|_, _| Act::Answer(json_answer("200 OK", r#"{"value":[]}"#))).await;
        let hooks = hook(&folder, "all", &receiver, "");
        let policies = SHARED.folder.join("policies");
        let front = Front::start_with(&folder, &format!("http://{}", backend.address), &hooks, "", clock.clone(), &policies).await;
        Self { front, clock, receiver }
    }

    async fn ask(&self, identity: &str, call: Call) -> Answer {
        let token = SHARED.mint(identity, "https://management.azure.com/", Some(47 * HOUR), Duration::ZERO).await;
        self.front.client.send(call.bearer(&token)).await
    }

    async fn ok(&self, identity: &str, call: Call) -> Value {
        let answer = self.ask(identity, call).await;
        assert!(answer.status.is_success(), "{} {}", answer.status, String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    /// What somebody of the provider is answered who lists the groups.
    async fn groups(&self, identity: &str) -> String {
        let answer = self.ask(identity, get(format!("{}/resourceGroups?api-version=2021-04-01", SHARED.subscription("alder-dev")))).await;
        if answer.status.is_success() { "allowed".to_owned() } else { answer.told() }
    }

    async fn offer(&self, n: u32, name: &str, who: &str, term: &Value) {
        let who = SHARED.demo.world.identities[who].object_id.to_string();
        let body = json!({ "properties": {
            "registrationDefinitionName": name, "managedByTenantId": tenant("ostra"), "term": term,
            "authorizations": [{ "principalId": who, "roleDefinitionId": READER }],
        } });
        self.ok("alder-owner", call("PUT", format!("{}?{TERMED}", in_dev("registrationDefinitions", n))).json(&body)).await;
    }

    async fn bind(&self, n: u32) {
        let body = json!({ "properties": { "registrationDefinitionId": in_dev("registrationDefinitions", n) } });
        self.ok("alder-owner", call("PUT", format!("{}?{TERMED}", in_dev("registrationAssignments", n))).json(&body)).await;
    }

    async fn told(&self, what: (&str, &str)) {
        self.receiver.until(|all| all.iter().any(|one| one.what() == what)).await;
    }
}

#[tokio::test]
async fn a_clock_that_jumps_ends_no_delegation() {
    let world = World::start("terms-jump").await;
    let review = (world.clock.now() + HOUR).to_string();
    world.offer(1, "Reports", "reader", &json!({ "unusedDays": 1, "reviewBy": review })).await;
    world.bind(1).await;
    world.clock.step(SignedDuration::from_hours(26));
    // By that clock both are due, and are written together.
    world.told(("reviewDue", "Reports")).await;
    assert_eq!(world.groups("reader").await, "allowed");
    let told = world.receiver.deliveries.borrow().iter().map(|one| one.what().0.to_owned()).collect::<Vec<_>>();
    assert_eq!(told, ["registered", "reviewDue"]);
    // Somebody puts it right; a day without use ends it then as ever.
    world.clock.step(SignedDuration::from_hours(-26));
    assert_eq!(world.groups("reader").await, "allowed");
    world.clock.advance(26 * HOUR);
    assert_eq!(world.groups("reader").await, "allowed", "a use in a time that has not come is no reason to end it");
    world.front.drain().await;
}

#[tokio::test]
async fn what_nobody_uses_ends_and_is_renewed_by_writing_the_offer_again() {
    let world = World::start("terms").await;
    let unused = json!({ "unusedDays": 1 });
    let review = (world.clock.now() + HOUR).to_string();
    world.offer(1, "Night shift", "operator", &json!({ "unusedDays": 1, "reviewBy": review })).await;
    world.offer(2, "Reports", "reader", &unused).await;
    world.bind(1).await;
    world.bind(2).await;
    assert_eq!((world.groups("operator").await, world.groups("reader").await), ("allowed".into(), "allowed".into()));

    world.clock.advance(12 * HOUR);
    assert_eq!(world.groups("operator").await, "allowed");
    world.told(("reviewDue", "Night shift")).await;
    assert_eq!(world.groups("reader").await, "allowed", "twelve hours are no day, and this is a use");

    world.clock.advance(13 * HOUR);
    assert_eq!(world.groups("operator").await, "allowed");
    world.clock.advance(12 * HOUR);
    world.told(("lapsed", "Reports")).await;
    assert_eq!(world.groups("reader").await, "403 AuthorizationFailed delegation.unused");
    assert_eq!(world.groups("operator").await, "allowed", "it was used in time");

    let changes = format!("/providers/Steward.Delegation/changes?{OWN}");
    for side in ["alder-owner", "reader"] {
        let seen = world.ok(side, get(changes.clone())).await;
        let last = seen["value"].as_array().unwrap().last().unwrap()["properties"].clone();
        assert_eq!((&last["what"], &last["offer"], &last["caller"]["name"]), (&json!("lapsed"), &json!("Reports"), &json!("Steward")));
    }
    let report = format!("/providers/Steward.Delegation/accessReport?scope={}&{OWN}", SHARED.subscription("alder-dev"));
    let report = world.ok("alder-owner", get(report)).await;
    let states: Vec<_> = report["value"].as_array().unwrap().iter().map(|one| (one["offer"].as_str(), one["state"].as_str())).collect();
    assert!(states.contains(&(Some("Reports"), Some("unused"))) && states.contains(&(Some("Night shift"), Some("inForce"))), "{states:?}");

    world.offer(2, "Reports", "reader", &unused).await;
    assert_eq!(world.groups("reader").await, "allowed");
    world.told(("updated", "Reports")).await;
    let all =
        world.receiver.deliveries.borrow().iter().map(Delivery::what).map(|(what, offer)| format!("{what} {offer}")).collect::<Vec<_>>();
    let expected = ["registered Night shift", "registered Reports", "reviewDue Night shift", "lapsed Reports", "updated Reports"];
    assert_eq!(all, expected, "each once");
    world.front.drain().await;
}
