//! Deployments go on without the request that began them, and what is told of them is what happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};
use steward::clock::Clock;
use tokio::time::timeout;

use crate::common::backend::{Act, Arrived, Backend, Front, json_answer};
use crate::common::client::{Answer, Call, PATIENCE, call, get};
use crate::common::installation::{SHARED, empty_folder};

const V: &str = "api-version=2021-04-01";
const MS: &str = "api-version=2022-10-01";
const CONTRIBUTOR: &str = "b24988ac-6180-42a0-ab88-20f7382dd24c";

fn group() -> String {
    format!("{}/resourceGroups/rg-a", SHARED.subscription("alder-dev"))
}

fn at(name: &str, tail: &str) -> String {
    format!("{}/providers/Microsoft.Resources/deployments/{name}{tail}?{V}", group())
}

/// A template of so many network interfaces, made one after the other.
fn cards(count: u32) -> Value {
    json!({ "properties": { "mode": "Incremental", "template": {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#", "contentVersion": "1.0.0.0",
        "resources": [{
            "type": "Microsoft.Network/networkInterfaces", "apiVersion": "2023-09-01", "location": "westeurope",
            "name": "[format('nic-{0}', copyIndex())]", "copy": { "name": "all", "count": count }, "properties": {},
        }],
    } } })
}

fn is_card(arrived: &Arrived) -> bool {
    arrived.head.starts_with("PUT") && arrived.head.contains("networkInterfaces")
}

fn made() -> Vec<u8> {
    json_answer("200 OK", r#"{"location":"westeurope","properties":{"provisioningState":"Succeeded"}}"#)
}

/// The first network interface is made at once, and the backend is busy with the others until `is_open`.
async fn busy(is_open: &Arc<AtomicBool>) -> Backend {
    let is_open = Arc::clone(is_open);
    Backend::start(move |arrived, _| {
        let is_made = !arrived.head.contains("nic-") || arrived.head.contains("nic-0") || is_open.load(Ordering::Relaxed);
        let creating = || json_answer("201 Created", r#"{"properties":{"provisioningState":"Creating"}}"#);
        Act::Answer(if is_made { made() } else { creating() })
    })
    .await
}

async fn told(front: &Front, call: Call, expected: &str) -> Answer {
    let shown = format!("{} {}", call.method, call.target);
    let answer = front.ask("alder-owner", call).await;
    assert_eq!(answer.told(), expected, "{shown} {}", String::from_utf8_lossy(&answer.body));
    answer
}

/// Asks until the answer is as it is waited for.
async fn shown(front: &Front, target: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let begun = Clock::instant();
    loop {
        let answer = told(front, get(target), "200").await.json();
        if is_so(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{target}: {answer}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn revision(answer: &Answer) -> u64 {
    answer.header("x-steward-state-revision").parse().unwrap()
}

/// Waits for a record with this reason.
async fn record(front: &Front, reason: &str) -> Value {
    let begun = Clock::instant();
    loop {
        let records = front.admin(get(format!("/api/records?limit=200&reason={reason}"))).await.json();
        if let Some(record) = records["value"].as_array().unwrap().first() {
            return record.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{reason}: {records}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn state(deployment: &Value) -> &str {
    deployment["properties"]["provisioningState"].as_str().unwrap()
}

fn resources(deployment: &Value) -> usize {
    deployment["properties"]["outputResources"].as_array().unwrap().len()
}

fn states(operations: &Value) -> Vec<&str> {
    operations["value"].as_array().unwrap().iter().map(|one| one["properties"]["provisioningState"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_is_carried_out_and_told_as_a_whole_when_its_client_has_left() {
    let backend = Backend::start(|arrived, _| match is_card(arrived) {
        true => Act::Later(Duration::from_millis(20), made()),
        false => Act::Answer(made()),
    })
    .await;
    let front = Front::start("deployments-left", &format!("http://{}", backend.address), "").await;
    let asked = Clock::instant();
    let begun = told(&front, call("PUT", at("d", "")).json(&cards(57)), "201").await;
    assert_eq!(state(&begun.json()), "Accepted");
    let made = backend.log().arrived.iter().filter(|arrived| is_card(arrived)).count();
    assert!(made < 57, "it is answered before it is done");
    let polled = begun.header("azure-asyncoperation").split_once("/subscriptions").unwrap().1;
    shown(&front, &format!("/subscriptions{polled}"), |answer| answer["status"] == "Succeeded").await;
    let deployment = told(&front, get(at("d", "")), "200").await.json();
    assert_eq!((state(&deployment), resources(&deployment)), ("Succeeded", 57));
    let operations = told(&front, get(at("d", "/operations")), "200").await.json();
    assert_eq!(states(&operations), ["Succeeded"; 57]);
    let deleted = told(&front, call("DELETE", at("d", "")), "204").await;
    let changes = revision(&deleted) - revision(&begun);
    assert!(changes <= 2 + asked.elapsed().as_secs() / 15, "begin, end and removal are kept, and not every part: {changes}");
    assert_eq!(backend.log().arrived.iter().filter(|arrived| is_card(arrived)).count(), 57);
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_runs_is_told_part_by_part_and_can_be_cancelled() {
    let is_open = Arc::default();
    let backend = busy(&is_open).await;
    let front = Front::start("deployments-cancel", &format!("http://{}", backend.address), "").await;
    told(&front, call("PUT", at("d", "")).json(&cards(3)), "201").await;
    let running = shown(&front, &at("d", ""), |deployment| resources(deployment) == 1).await;
    assert_eq!(state(&running), "Running", "what is made is told while the rest is not");
    shown(&front, &at("d", "/operations"), |operations| states(operations) == ["Succeeded", "Running"]).await;

    for call in [call("PUT", at("d", "")).json(&cards(1)), call("DELETE", at("d", ""))] {
        let refused = told(&front, call, "409 DeploymentActive deployment.invalid").await.json();
        assert!(refused["error"]["message"].as_str().unwrap().contains("is under way"), "{refused}");
    }
    told(&front, call("POST", at("d", "/cancel")), "204").await;
    let canceled = told(&front, get(at("d", "")), "200").await.json();
    assert_eq!((state(&canceled), &canceled["properties"]["error"]["code"]), ("Canceled", &json!("DeploymentCanceled")));
    shown(&front, &at("d", "/operations"), |operations| states(operations) == ["Succeeded", "Canceled"]).await;
    is_open.store(true, Ordering::Relaxed);
    let again = told(&front, call("POST", at("d", "/cancel")), "409 DeploymentCannotBeCancelled deployment.invalid").await.json();
    assert!(again["error"]["message"].as_str().unwrap().contains("it is Canceled"), "{again}");
    let ended = told(&front, get(at("d", "")), "200").await.json();
    assert_eq!((state(&ended), resources(&ended)), ("Canceled", 1));
    assert!(!backend.log().arrived.iter().any(|arrived| arrived.head.contains("nic-2")), "no further part begins");

    told(&front, call("PUT", at("d", "")).json(&cards(3)), "201").await;
    shown(&front, &at("d", ""), |deployment| state(deployment) == "Succeeded" && resources(deployment) == 3).await;
    told(&front, call("DELETE", at("d", "")), "204").await;
    told(&front, get(at("d", "")), "404 ResourceNotFound resource.unknown").await;
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_stopped_tells_afterwards_what_was_made() {
    let is_open = Arc::default();
    let backend = busy(&is_open).await;
    let (folder, address) = (empty_folder("deployments-stopped"), format!("http://{}", backend.address));
    let front = Front::start_in(&folder, &address, "", "").await;
    told(&front, call("PUT", at("d", "")).json(&cards(3)), "201").await;
    backend.log_with(|log| log.arrived.iter().any(|arrived| is_card(arrived) && arrived.head.contains("nic-1"))).await;
    front.drain().await;

    let front = Front::start_in(&folder, &address, "", "").await;
    let deployment = told(&front, get(at("d", "")), "200").await.json();
    assert_eq!((state(&deployment), resources(&deployment)), ("Canceled", 1));
    let why = deployment["properties"]["error"].to_string();
    assert!(why.contains("DeploymentCanceled") && why.contains("was stopped"), "{why}");
    let operations = told(&front, get(at("d", "/operations")), "200").await.json();
    assert_eq!(states(&operations), ["Succeeded", "Canceled"]);
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_has_so_many_deployments_under_way_and_no_more() {
    let is_open = Arc::default();
    let backend = busy(&is_open).await;
    let front = Front::start("deployments-many", &format!("http://{}", backend.address), "").await;
    for number in 0..16 {
        told(&front, call("PUT", at(&format!("d{number}"), "")).json(&cards(2)), "201").await;
    }
    let refused = told(&front, call("PUT", at("more", "")).json(&cards(2)), "429 TooManyRequests limit.share").await;
    assert_eq!(refused.header("retry-after"), "1");
    told(&front, get(at("more", "")), "404 ResourceNotFound resource.unknown").await;
    is_open.store(true, Ordering::Relaxed);
    shown(&front, &at("d15", ""), |deployment| state(deployment) == "Succeeded").await;
    shown(&front, &at("d0", ""), |deployment| state(deployment) == "Succeeded").await;
    told(&front, call("PUT", at("more", "")).json(&cards(2)), "201").await;
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_part_counts_among_what_its_caller_may_write_and_waits_while_that_is_used_up() {
    let backend = busy(&Arc::new(AtomicBool::new(true))).await;
    let few = "[throttling]\nreads_at_once = 1000\nreads_per_s = 1000\nwrites_at_once = 3\nwrites_per_s = 2\n";
    let front = Front::start("deployments-counted", &format!("http://{}", backend.address), few).await;
    let begun = Clock::instant();
    told(&front, call("PUT", at("d", "")).json(&cards(5)), "201").await;
    let deployment = shown(&front, &at("d", ""), |deployment| state(deployment) != "Running").await;
    assert_eq!((state(&deployment), resources(&deployment)), ("Succeeded", 5));
    assert!(begun.elapsed() >= Duration::from_millis(1400), "three more than there were, at two a second: {:?}", begun.elapsed());
    let records = front.admin(get("/api/records?limit=200")).await.json();
    let refused = records["value"].as_array().unwrap().iter().filter(|record| record["reason"] == "limit.rate").count();
    assert!((1..=3).contains(&refused), "{refused}");
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_stops_where_its_delegation_ended_and_says_what_it_made() {
    let is_open = Arc::default();
    let backend = busy(&is_open).await;
    let front = Front::start("deployments-ended", &format!("http://{}", backend.address), "").await;
    let guid = "00000001-0000-4000-8000-000000000000";
    let in_dev = |kind: &str| format!("{}/providers/Microsoft.ManagedServices/{kind}/{guid}?{MS}", SHARED.subscription("alder-dev"));
    let world = &SHARED.demo.world;
    let offer = json!({ "properties": {
        "registrationDefinitionName": "Night shift",
        "managedByTenantId": world.tenants["ostra"].id,
        "authorizations": [{ "principalId": world.identities["operator"].object_id, "roleDefinitionId": CONTRIBUTOR }],
    } });
    let id = in_dev("registrationDefinitions").split('?').next().unwrap().to_owned();
    told(&front, call("PUT", in_dev("registrationDefinitions")).json(&offer), "201").await;
    let bound = json!({ "properties": { "registrationDefinitionId": id } });
    told(&front, call("PUT", in_dev("registrationAssignments")).json(&bound), "201").await;
    let begun = front.ask("operator", call("PUT", at("d", "")).json(&cards(3))).await;
    assert_eq!(begun.told(), "201");
    shown(&front, &at("d", "/operations"), |operations| states(operations) == ["Succeeded", "Running"]).await;
    told(&front, call("DELETE", in_dev("registrationAssignments")), "202").await;
    let ended = shown(&front, &at("d", ""), |deployment| state(deployment) != "Running").await;
    assert_eq!((state(&ended), resources(&ended)), ("Failed", 1));
    is_open.store(true, Ordering::Relaxed);
    assert!(!backend.log().arrived.iter().any(|arrived| arrived.head.contains("nic-2")), "no further part begins");
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_whose_client_leaves_while_it_is_kept_is_carried_out() {
    let backend = busy(&Arc::new(AtomicBool::new(true))).await;
    let folder = empty_folder("deployments-gone");
    let front = Front::start_in(&folder, &format!("http://{}", backend.address), "", "").await;
    told(&front, call("PUT", at("before", "")).json(&cards(1)), "201").await;
    shown(&front, &at("before", ""), |deployment| state(deployment) == "Succeeded").await;

    let store = Connection::open(folder.join("state.db")).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    {
        let asked = front.ask("alder-owner", call("PUT", at("d", "")).json(&cards(2)));
        let answered = timeout(Duration::from_secs(1), asked).await;
        assert!(answered.is_err(), "it waits for the store: {answered:?}");
    }
    record(&front, "request.cut").await;
    store.execute_batch("ROLLBACK").unwrap();
    let begun = Clock::instant();
    while front.ask("alder-owner", get(at("d", ""))).await.status != 200 {
        assert!(begun.elapsed() < PATIENCE, "it has not begun");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let deployment = shown(&front, &at("d", ""), |deployment| state(deployment) != "Running").await;
    assert_eq!((state(&deployment), resources(&deployment)), ("Succeeded", 2));
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_that_was_cancelled_reads_nothing_further() {
    let is_read = |arrived: &Arrived| arrived.head.starts_with("GET") && arrived.head.contains("/ext-");
    let backend = Backend::start(move |arrived, _| match is_read(arrived) {
        true => Act::Later(Duration::from_millis(800), made()),
        false => Act::Answer(made()),
    })
    .await;
    let front = Front::start("deployments-reads", &format!("http://{}", backend.address), "").await;
    let mut template = cards(1);
    let reference = |number: u32| {
        let id = format!("{}/providers/Microsoft.Network/virtualNetworks/ext-{number}", group());
        (format!("o{number}"), json!({ "type": "object", "value": format!("[reference('{id}', '2023-09-01')]") }))
    };
    template["properties"]["template"]["outputs"] = Value::Object((0..6).map(reference).collect());
    told(&front, call("PUT", at("d", "")).json(&template), "201").await;
    backend.log_with(|log| log.arrived.iter().any(is_read)).await;
    told(&front, call("POST", at("d", "/cancel")), "204").await;
    front.drain().await;
    let reads = backend.log().arrived.iter().filter(|arrived| is_read(arrived)).count();
    assert!(reads <= 2, "{reads}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_the_stop_cuts_off_is_not_laid_to_its_client() {
    let backend = Backend::start(|arrived, _| if is_card(arrived) { Act::Hang } else { Act::Answer(made()) }).await;
    let (folder, address) = (empty_folder("deployments-cut"), format!("http://{}", backend.address));
    let front = Front::start_in(&folder, &address, "", "").await;
    told(&front, call("PUT", at("d", "")).json(&cards(1)), "201").await;
    backend.log_with(|log| log.arrived.iter().any(is_card)).await;
    front.drain().await;

    let front = Front::start_in(&folder, &address, "", "").await;
    let cut = record(&front, "state.unavailable").await;
    assert_eq!((&cut["status"], &cut["method"]), (&json!(503), &json!("PUT")), "{cut}");
    assert!(cut.to_string().contains("may have been carried out"), "{cut}");
    let records = front.admin(get("/api/records?limit=200&reason=request.cut")).await.json();
    assert_eq!(records["value"], json!([]));
    front.drain().await;
}
