//! Usage: what is told adds up to what was done.

use std::time::Duration;

use serde_json::{Value, json};
use steward::clock::Timestamp;

use super::harness::{ADMIN, AS_ANNA, AS_KIM, Backend, JUNIPER, KELP, KIM};

async fn records(backend: &Backend, query: &str) -> Vec<Value> {
    let (mut records, mut after) = (Vec::new(), String::new());
    loop {
        let page = backend.get(ADMIN, &format!("/usage?top=2{after}{query}")).await;
        assert_eq!(page.told(), "200");
        records.extend(page.body["value"].as_array().unwrap().iter().cloned());
        let Some(next) = page.body["next"].as_str() else { return records };
        after = format!("&after={next}");
    }
}

fn total(records: &[Value], resource: &str) -> u64 {
    records.iter().filter(|it| it["resource"] == resource).map(|it| it["quantity"].as_u64().unwrap()).sum()
}

fn second(time: &Value) -> i64 {
    time.as_str().unwrap().parse::<Timestamp>().unwrap().as_second()
}

#[tokio::test]
async fn totals_are_the_work_done() {
    let backend = Backend::with_tenants().await;
    let id = backend.deployed(AS_ANNA, "web-01").await;
    let started = backend.vm(AS_ANNA, &id).await["modified_at"].clone();
    backend.clock.advance(Duration::from_secs(3 * 3_600 + 1_234));
    let stopping = backend.post(AS_ANNA, &format!("/vms/{id}/operations"), json!({ "stop": {} })).await;
    let stopped = backend.finished(AS_ANNA, &stopping).await["ended_at"].clone();
    backend.clock.advance(Duration::from_secs(5_000));

    let told = records(&backend, &format!("&role={JUNIPER}")).await;
    let seconds = u64::try_from(second(&stopped) - second(&started)).unwrap();
    assert!(seconds >= 3 * 3_600 + 1_234, "{seconds}");
    assert_eq!(total(&told, "RunningSeconds"), seconds);
    assert_eq!(total(&told, "CoreSeconds"), 2 * seconds);
    assert_eq!(total(&told, "MemoryMbSeconds"), 4_096 * seconds);
    assert_eq!(total(&told, "Jobs"), 2);
    for record in &told {
        assert_eq!((second(&record["from"]) % 3_600, &record["vm"]), (0, &json!(id)));
        assert!(record["resource"] != "RunningSeconds" || record["quantity"].as_u64().unwrap() <= 3_600);
    }
    let numbers: Vec<u64> = told.iter().map(|record| record["number"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    assert_eq!(records(&backend, "").await, told);
    assert_eq!(backend.get(AS_ANNA, "/usage").await.body["value"], json!(told));
    assert_eq!(backend.get(AS_KIM, "/usage").await.body["value"], json!([]));

    // By hours: the parts are the whole.
    let middle = told.iter().find(|record| record["quantity"] == 3_600).unwrap()["from"].as_str().unwrap();
    let before = records(&backend, &format!("&until={middle}")).await;
    let rest = records(&backend, &format!("&from={middle}")).await;
    assert!(!before.is_empty() && !rest.is_empty());
    assert_eq!([before, rest].concat(), told);
}

#[tokio::test]
async fn the_present_hour_grows_until_it_is_over() {
    let backend = Backend::with_tenants().await;
    let id = backend.deployed(AS_ANNA, "web-01").await;
    let started = backend.vm(AS_ANNA, &id).await["modified_at"].clone();
    backend.clock.advance(Duration::from_secs(7_200));
    let now = backend.clock.now().as_second();
    let told = records(&backend, "").await;
    let seconds = i64::try_from(total(&told, "RunningSeconds")).unwrap();
    let ran = now - second(&started);
    assert!((ran..=ran + 5).contains(&seconds), "{seconds} of {ran}");
    let last = told.last().unwrap();
    assert!((now..=now + 5).contains(&second(&last["until"])), "it ends now: {last}");
    backend.clock.advance(Duration::from_secs(3_600));
    let later = records(&backend, "").await;
    let whole = later.iter().find(|record| record["number"] == last["number"]).unwrap();
    assert_eq!(second(&whole["until"]) % 3_600, 0);
    assert!(whole["quantity"].as_u64().unwrap() > last["quantity"].as_u64().unwrap());
}

#[tokio::test]
async fn who_gives_a_machine_away_stops_paying_for_it() {
    let backend = Backend::with_tenants().await;
    let id = backend.deployed(AS_ANNA, "web-01").await;
    let started = backend.vm(AS_ANNA, &id).await["modified_at"].clone();
    backend.clock.advance(Duration::from_secs(1_000));
    let cloud = backend.id("clouds", "north-gold").await;
    let asked = json!({ "from": JUNIPER, "to": KELP, "owner": KIM, "cloud": cloud });
    let moved = backend.post(AS_KIM, &format!("/vms/{id}/transfer"), asked).await.body["after"]["modified_at"].clone();
    backend.clock.advance(Duration::from_secs(500));
    let removing = backend.delete(AS_KIM, &format!("/vms/{id}")).await;
    let removed = backend.finished(AS_KIM, &removing).await["ended_at"].clone();
    let (juniper, kelp) = (records(&backend, &format!("&role={JUNIPER}")).await, records(&backend, &format!("&role={KELP}")).await);
    let between = |from: &Value, until: &Value| u64::try_from(second(until) - second(from)).unwrap();
    assert_eq!(total(&juniper, "RunningSeconds"), between(&started, &moved));
    assert_eq!(total(&kelp, "RunningSeconds"), between(&moved, &removed));
    assert_eq!((total(&juniper, "Jobs"), total(&kelp, "Jobs")), (1, 2));
    // A job that failed has ended as well.
    for host in ["north-host-1", "north-host-2"] {
        backend.turn(host, "off").await;
    }
    let failing = backend.post(AS_ANNA, "/vms", backend.new_vm("web-02").await).await;
    assert_eq!(backend.finished(AS_ANNA, &failing).await["status"], "Failed");
    assert_eq!(total(&records(&backend, &format!("&role={JUNIPER}")).await, "Jobs"), 2);
}

#[tokio::test]
async fn records_are_kept_for_a_time() {
    let backend = Backend::with_tenants().await;
    backend.deployed(AS_ANNA, "web-01").await;
    assert_eq!(total(&records(&backend, "&from=2020-01-01T00:00:00Z").await, "Jobs"), 1);
    backend.clock.advance(Duration::from_secs(93 * 24 * 3_600));
    let newest = records(&backend, "&until=2020-01-01T00:00:00Z").await;
    assert_eq!(newest, Vec::<Value>::new());
    let hours = backend.get(ADMIN, "/usage?top=1000").await.body;
    assert_eq!(total(hours["value"].as_array().unwrap(), "Jobs"), 0);
    assert!(hours["next"].is_string() && hours["value"].as_array().unwrap().len() == 1_000);
    for (query, expected) in [("from=yesterday", "400 InvalidQuery"), ("after=x", "400 InvalidQuery")] {
        assert_eq!(backend.get(ADMIN, &format!("/usage?{query}")).await.told(), expected);
    }
}
