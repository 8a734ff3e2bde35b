//! A fabric that refuses for good, and one that is away for a while.

use serde_json::json;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{PATIENCE, call, get};
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

#[tokio::test]
async fn what_cannot_be_a_sign_up_takes_nobodys_turn_and_one_address_not_all_turns() {
    let world = World::start("paced", false).await;
    let mut front = Wire::to(world.front);
    for body in [json!("garbage"), json!({ "organisation": "x" })] {
        for _ in 0..65 {
            let refused = front.ask(call("POST", "/accounts").json(&body)).await.unwrap();
            assert_eq!(refused.told(), "400 InvalidRequestContent");
        }
    }
    assert_eq!(front.ask(visitor("maple")).await.unwrap().status, 201, "nobody had signed up before");
    // What an address may try is bounded, whatever comes of it.
    let mut tried = 1;
    let paced = loop {
        let again = front.ask(visitor("maple")).await.unwrap();
        if again.status == 429 {
            break again;
        }
        assert_eq!(again.told(), "409 SignUpRefused");
        tried += 1;
        assert!(tried < 60, "an address has fewer turns than all visitors together");
    };
    assert!(tried >= 30, "{tried}");
    assert!(paced.header("retry-after").parse::<u32>().unwrap() > 0);
    let message = paced.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("from this address"), "{message}");
}

/// What the private cloud's listener says to these bytes until it closes the connection.
async fn said(world: &World, bytes: String) -> String {
    let mut stream = TcpStream::connect(world.front).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("it is closed").unwrap();
    answer
}

#[tokio::test]
async fn the_private_clouds_listener_answers_to_its_own_names_and_to_one_reading_only() {
    let world = World::start("names", false).await;
    let own = format!("localhost:{}", world.front.port());
    let close = "Connection: close\r\n";
    let cases = [
        (format!("GET /plans HTTP/1.1\r\nHost: {own}\r\n{close}\r\n"), "200", ""),
        (format!("GET http://{own}/plans HTTP/1.1\r\nHost: {own}\r\n{close}\r\n"), "200", ""),
        (format!("GET /plans HTTP/1.1\r\nHost: evil.example\r\n{close}\r\n"), "421", "InvalidHost"),
        (format!("GET /plans HTTP/1.1\r\nHost: {own}.evil.example\r\n{close}\r\n"), "421", "InvalidHost"),
        (format!("GET http://evil.example/plans HTTP/1.1\r\nHost: {own}\r\n{close}\r\n"), "421", "InvalidHost"),
        (format!("GET http://{own}/plans HTTP/1.1\r\nHost: evil.example\r\n{close}\r\n"), "421", "InvalidHost"),
        (format!("GET /plans HTTP/1.1\r\nHost: {own}\r\nHost: evil.example\r\n\r\n"), "400", "BadRequest"),
        ("GET /plans HTTP/1.1\r\n\r\n".to_owned(), "400", "BadRequest"),
        (format!("GET /plans HTTP/1.1\r\nHost: {own}\r\nUpgrade: h2c\r\n\r\n"), "400", "BadRequest"),
        (
            format!("POST /accounts HTTP/1.1\r\nHost: {own}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            "400",
            "BadRequest",
        ),
    ];
    for (request, status, code) in cases {
        let answer = said(&world, request.clone()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(code), "{request:?} → {answer}");
    }
    let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
    let length = deep.len();
    let answer = said(&world, format!("POST /accounts HTTP/1.1\r\nHost: {own}\r\n{close}Content-Length: {length}\r\n\r\n{deep}")).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("too many objects and arrays inside each other"), "{answer}");
}
