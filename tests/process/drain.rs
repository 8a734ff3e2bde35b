//! SIGTERM: what was accepted is answered, and the exit code says whether it was.

use std::time::Duration;

use serde_json::json;
use steward::clock::Clock;

use crate::client::{call, get};
use crate::load::{Load, run_oha};
use crate::program::{Demo, alone, until};

const V: &str = "api-version=2024-07-01";

fn groups(demo: &Demo) -> String {
    format!("{}/resourceGroups?{V}", demo.subscription("alder-prod"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_accepted_request_is_answered_after_sigterm() {
    let _alone = alone().await;
    for round in 0..3 {
        let mut demo = Demo::start(&format!("drain-{round}")).await;
        let load = Load { client: demo.client.clone(), target: groups(&demo), token: demo.token("reader") };
        let under_way = load.start(8, 4);
        tokio::time::sleep(Duration::from_secs(1)).await;
        demo.process.signal("TERM");
        let stopped = Clock::instant();
        let status = demo.process.ended().await;
        let took = stopped.elapsed();
        let tally = under_way.end().await;
        assert_eq!(tally.lost, [""; 0], "of {} requests", tally.seen.len());
        assert!(tally.seen.iter().all(|seen| seen.status == 200));
        assert!(tally.seen.len() > 50, "{}", tally.seen.len());
        assert!(tally.seen.iter().any(|seen| seen.answered > stopped), "some were under way");
        assert_eq!(status.code(), Some(0));
        println!("{} requests answered, none lost; ended {took:?} after SIGTERM", tally.seen.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oha_sees_nothing_but_answers_until_the_listener_is_closed() {
    let _alone = alone().await;
    let mut demo = Demo::start("drain-oha").await;
    let token = demo.token("reader");
    let url = format!("{}{}", demo.world.gateway, groups(&demo));
    let stop = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        demo.process.signal("TERM");
        demo.process.ended().await
    };
    let (status, report) = tokio::join!(stop, run_oha(&url, &token, &demo.world.ca, 4, &[]));
    assert_eq!(status.code(), Some(0));
    let statuses = report["statusCodeDistribution"].as_object().unwrap();
    assert_eq!(statuses.keys().collect::<Vec<_>>(), ["200"], "{report}");
    // A connection that nobody accepts any more is not a lost request; anything else would be one.
    for error in report["errorDistribution"].as_object().unwrap().keys() {
        assert!(error.to_lowercase().contains("refused"), "{}", report["errorDistribution"]);
    }
}

/// Makes the mock wait before the answer to this target.
async fn slow(demo: &Demo, target: &str, latency_ms: u64) {
    let fault = json!({ "match": { "path_prefix": target.split('?').next() }, "latency_ms": latency_ms });
    assert_eq!(demo.admin(call("POST", "/mock/faults").json(&fault)).await.status, 201);
}

/// Waits until the mock has the request.
async fn arrived(demo: &Demo, target: &str) {
    let path = target.split('?').next().unwrap();
    until("the request reaches the backend", async || {
        let journal = demo.admin(get("/mock/requests")).await.json();
        let requests = journal["requests"].as_array().unwrap().clone();
        requests.iter().any(|request| request["path"] == path).then_some(())
    })
    .await;
}

fn one(demo: &Demo) -> String {
    format!("{}/resourceGroups/rg-web-prod?{V}", demo.subscription("alder-prod"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_request_is_waited_for() {
    let _alone = alone().await;
    let mut demo = Demo::start("drain-slow").await;
    let target = one(&demo);
    slow(&demo, &target, 2_000).await;
    let (client, token) = (demo.client.clone(), demo.token("reader"));
    let asked = tokio::spawn({
        let target = target.clone();
        async move { client.send(get(target).bearer(&token)).await }
    });
    arrived(&demo, &target).await;
    demo.process.signal("TERM");
    let answer = asked.await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), "close");
    assert_eq!(demo.process.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_at_once() {
    let _alone = alone().await;
    let mut demo = Demo::start("drain-impatient").await;
    let target = one(&demo);
    slow(&demo, &target, 60_000).await;
    let (client, token) = (demo.client.clone(), demo.token("reader"));
    let asked = tokio::spawn({
        let target = target.clone();
        async move { client.try_send("localhost", get(target).bearer(&token)).await }
    });
    arrived(&demo, &target).await;
    demo.process.signal("TERM");
    until("the gateway says that it is ending", async || {
        let answer = demo.admin(get("/readyz")).await;
        (answer.status == 503).then_some(())
    })
    .await;
    let stopped = Clock::instant();
    demo.process.signal("TERM");
    assert_eq!(demo.process.ended().await.code(), Some(1), "the exit code tells that something was cut");
    assert!(stopped.elapsed() < Duration::from_secs(3), "{:?}", stopped.elapsed());
    // The backend is a part of the demo and ends as well, so the gateway may still have told of that.
    assert!(asked.await.unwrap().map_or(true, |answer| answer.status == 502));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_drain_limit_is_kept() {
    let _alone = alone().await;
    let mut demo = Demo::start("drain-limit").await;
    let target = one(&demo);
    slow(&demo, &target, 60_000).await;
    let (client, token) = (demo.client.clone(), demo.token("reader"));
    let asked = tokio::spawn({
        let target = target.clone();
        async move { client.try_send("localhost", get(target).bearer(&token)).await }
    });
    arrived(&demo, &target).await;
    demo.process.signal("TERM");
    let stopped = Clock::instant();
    assert_eq!(demo.process.ended().await.code(), Some(1));
    // The demo gives requests in flight ten seconds, and its parts end after each other.
    let took = stopped.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(20)).contains(&took), "{took:?}");
    assert!(asked.await.unwrap().is_err());
}
