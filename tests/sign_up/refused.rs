//! A fabric that refuses for good, and one that is away for a while.

use serde_json::json;

use crate::client::get;
use crate::node::{Wire, eventually};
use crate::world::{World, visitor};

#[tokio::test]
async fn a_sign_up_that_the_fabric_refuses_is_undone_and_the_visitor_is_told_why() {
    let world = World::start("refused", false).await;
    let mut front = Wire::to(world.front);
    world.fabric.fault("PUT", "/roles/", ("status", json!(400))).await;
    let refused = front.ask(visitor("maple")).await.unwrap();
    assert_eq!(refused.told(), "409 FaultOrdered");
    assert_eq!(refused.json()["error"]["message"], "a fault asked for this answer Delete the fault.");
    let rows = world.settled().await;
    assert!(rows.clouds.is_empty() && rows.accounts.is_empty(), "{rows:?}");
    assert!(world.roles().await.unwrap().is_empty() && world.tenants().await.unwrap().is_empty());

    let again = front.ask(visitor("maple")).await.unwrap();
    assert_eq!(again.status, 201, "the name is free again: {:?}", again.body);
    let rows = world.settled().await;
    assert_eq!((rows.clouds.len(), rows.accounts.len()), (1, 1));
    assert_eq!(world.roles().await.unwrap().keys().collect::<Vec<_>>(), rows.clouds.keys().collect::<Vec<_>>());
    assert_eq!(front.ask(visitor("maple")).await.unwrap().told(), "409 SignUpRefused", "and taken now");
}

#[tokio::test]
async fn a_sign_up_goes_on_when_a_fabric_that_was_away_comes_back() {
    let mut world = World::start("away", true).await;
    world.fabric.kill();
    let mut front = Wire::to(world.front);
    let begun = tokio::spawn(async move { front.ask(visitor("alder")).await });
    eventually("the row is written", async || (world.rows().await.sign_ups == 1).then_some(())).await;
    assert!(world.tenants().await.unwrap().is_empty(), "nothing is there before all of it is");
    world.fabric.start_apart().await;
    let done = begun.await.unwrap().unwrap();
    assert_eq!(done.status, 201, "{:?}", done.body);
    let id = done.json()["subscriptionId"].as_str().unwrap().to_owned();
    assert!(world.roles().await.unwrap().contains_key(&id) && world.tenants().await.unwrap().contains_key(&id));
    let state = Wire::to(world.front).ask(get(format!("/sign-ups/{id}"))).await.unwrap();
    assert_eq!(state.json()["state"], "Succeeded");
}
