//! A fabric that refuses for good, and one that is away for a while.

use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{Call, PATIENCE, call, get};
use crate::node::{Wire, eventually, guid, owner};
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

/// Addresses of this machine, for clients that are not one another.
const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A connection of this address, on which these bytes were sent.
async fn sent(world: &World, from: Ipv4Addr, bytes: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(world.front).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    stream
}

/// What the private cloud's listener says until it closes the connection.
async fn answer(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("it is closed").unwrap();
    answer
}

/// What the private cloud's listener says to these bytes until it closes the connection.
async fn said(world: &World, bytes: String) -> String {
    answer(sent(world, ONE, &bytes).await).await
}

/// What it says to a client of this address.
async fn told(world: &World, from: Ipv4Addr, call: Call) -> String {
    let Call { method, target, headers, body } = call;
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n{lines}", world.front.port());
    let text = format!("{head}Content-Length: {}\r\n\r\n{}", body.len(), String::from_utf8_lossy(&body));
    answer(sent(world, from, &text).await).await
}

#[track_caller]
fn check(answer: &str, status: &str, text: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(text), "expected {status}, {text}: {answer}");
}

/// Connections on which bodies do not come, and at least so many of their answers, all of them refusals.
async fn stalled(world: &World, count: usize, head: &str, refused: usize) -> (JoinSet<String>, Vec<String>) {
    let mut stalled = JoinSet::new();
    for _ in 0..count {
        let text = format!("{head}Host: localhost:{}\r\nContent-Length: 100\r\n\r\n{{", world.front.port());
        stalled.spawn(answer(sent(world, ONE, &text).await));
    }
    let mut answers = Vec::new();
    for _ in 0..refused {
        answers.push(timeout(PATIENCE, stalled.join_next()).await.expect("some are refused").unwrap().unwrap());
    }
    (stalled, answers)
}

#[tokio::test]
async fn what_cannot_be_a_sign_up_takes_nobodys_turn_and_one_address_not_all_turns() {
    let world = World::start("paced", false).await;
    for (number, body) in [json!("garbage"), json!({ "organisation": "x" }), json!([])].into_iter().enumerate() {
        let from = Ipv4Addr::new(127, 0, 1, u8::try_from(number).unwrap() + 1);
        for _ in 0..30 {
            check(&told(&world, from, call("POST", "/accounts").json(&body)).await, "400", "InvalidRequestContent");
        }
        // What an address may try is bounded, whatever comes of it.
        let mut tried = 30;
        let paced = loop {
            let again = told(&world, from, call("POST", "/accounts").json(&body)).await;
            if !again.starts_with("HTTP/1.1 400 ") {
                break again;
            }
            tried += 1;
            assert!(tried < 60, "an address has fewer turns than all visitors together");
        };
        check(&paced, "429", "tried to sign up from this address");
        check(&paced, "429", "retry-after: ");
    }
    check(&told(&world, OTHER, visitor("maple")).await, "201", "subscriptionId");
}

#[tokio::test]
async fn visitors_whose_bodies_do_not_come_leave_the_turns_to_those_of_other_addresses() {
    let world = World::start("stalled-visitors", false).await;
    let (_held, refused) = stalled(&world, 40, "POST /accounts HTTP/1.1\r\n", 8).await;
    for answer in refused {
        check(&answer, "429", "tried to sign up from this address");
    }
    check(&told(&world, OTHER, visitor("maple")).await, "201", "subscriptionId");
}

#[tokio::test]
async fn an_address_has_at_most_its_share_of_what_is_under_way_and_all_else_goes_on() {
    let world = World::start("stalled", false).await;
    let signed_in = |call: Call| call.bearer(&owner()).header("x-ms-principal-id", &guid(2, 0, 1));
    let subscribe = || signed_in(call("POST", "/subscriptions").json(&json!({ "planId": "gold", "friendlyName": "Mine" })));
    let lines: String = subscribe().headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let (_held, refused) = stalled(&world, 260, &format!("POST /subscriptions HTTP/1.1\r\n{lines}"), 10).await;
    for answer in refused {
        check(&answer, "429", "250 requests from this address are under way");
        check(&answer, "429", "retry-after: 1\r\n");
    }
    check(&told(&world, ONE, subscribe()).await, "429", "TooManyRequests");
    check(&told(&world, ONE, signed_in(get("/subscriptions"))).await, "200", "");
    check(&told(&world, OTHER, subscribe()).await, "201", "subscriptionId");
}

#[tokio::test]
async fn a_visitor_cannot_bring_a_key_that_would_cost_too_much() {
    let world = World::start("costly", false).await;
    let modulus = |bytes: usize| URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
    let cases = [
        (modulus(1024), "AQAB", "the key `a` has 8192 bits; allowed for RSA: 2048 to 4096"),
        (modulus(256), "AQAAAAE", "the key `a` has an RSA public exponent that is not 65537, 17 or 3"),
    ];
    for (n, e, expected) in cases {
        let mut call = visitor("maple");
        let mut body: Value = serde_json::from_slice(&call.body).unwrap();
        body["issuer"]["keys"]["keys"] = json!([{ "kid": "a", "kty": "RSA", "use": "sig", "n": n, "e": e }]);
        call.body = body.to_string().into();
        check(&told(&world, ONE, call).await, "409", expected);
    }
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
