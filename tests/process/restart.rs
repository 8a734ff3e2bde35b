//! `kill -9`: what was acknowledged is there after the next start.

use serde_json::json;

use crate::client::{call, get};
use crate::program::{Demo, alone, run};

const V: &str = "api-version=2024-07-01";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill() {
    let _alone = alone().await;
    let mut demo = Demo::start("kill").await;
    let group = |demo: &Demo, name: &str| format!("{}/resourceGroups/{name}?{V}", demo.subscription("alder-prod"));
    let body = json!({ "location": "westeurope", "tags": { "made": "before" } });
    let token = demo.token("operator");
    let made = demo.client.send(call("PUT", group(&demo, "rg-kill")).json(&body).bearer(&token)).await;
    assert_eq!(made.status, 201);
    let record = demo.admin(get(format!("/api/records/{}", made.request_id()))).await.json();
    assert_eq!(record["outcome"], "allow", "{record}");
    let last = demo.client.send(call("PUT", group(&demo, "rg-last")).json(&body).bearer(&token)).await;
    demo.process.signal("KILL");
    assert_eq!(last.status, 201);
    assert_eq!(demo.process.ended().await.code(), None);

    let identity = demo.world.identities["operator"].object_id;
    let demo = Demo::start_in(demo.folder.clone()).await;
    assert_eq!(demo.world.identities["operator"].object_id, identity);
    let token = demo.token("operator");
    for name in ["rg-kill", "rg-last"] {
        let found = demo.client.send(get(group(&demo, name)).bearer(&token)).await;
        assert_eq!((found.status.as_u16(), &found.json()["tags"]["made"]), (200, &json!("before")), "{name}");
    }
    let kept = demo.admin(get(format!("/api/records/{}", made.request_id().get(..8).unwrap()))).await;
    assert_eq!(kept.json(), record, "a record is found by its prefix after the restart");
    let audit = run(&["audit", "verify", "--records", "state/records"], &demo.folder);
    assert_eq!(audit.status.code(), Some(0), "the logs go on over the kill: {audit:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_and_certificates_of_the_run_before_still_count() {
    let _alone = alone().await;
    let mut demo = Demo::start("again").await;
    let certificate = std::fs::read(&demo.world.ca).unwrap();
    let secret = serde_json::to_value(&demo.world.identities).unwrap();
    demo.process.signal("TERM");
    assert_eq!(demo.process.ended().await.code(), Some(0));
    let demo = Demo::start_in(demo.folder.clone()).await;
    assert_eq!(std::fs::read(&demo.world.ca).unwrap(), certificate);
    assert_eq!(serde_json::to_value(&demo.world.identities).unwrap(), secret);
}
