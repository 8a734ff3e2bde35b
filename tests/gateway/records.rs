//! Decision records and the admin listener.

use std::path::Path;

use serde_json::{Value, json};
use steward::record::audit::{Linked, PublicKey};

use crate::common::backend::{Act, Backend, Front, json_answer};
use crate::common::client::{Call, call, get};
use crate::common::installation::{SHARED, empty_folder};

const V: &str = "api-version=2024-07-01";
const CHECKS: [&str; 10] = ["connection", "token", "audience", "tenant", "plane", "scope", "delegation", "role", "rules", "forward"];

fn groups() -> String {
    format!("{}/resourceGroups?{V}", SHARED.subscription("alder-prod"))
}

fn outcomes(record: &Value) -> Vec<(&str, &str)> {
    let checks = record["checks"].as_array().unwrap().iter();
    checks.map(|check| (check["name"].as_str().unwrap(), check["outcome"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn an_allowed_request_is_recorded_with_its_grant() {
    let answer = SHARED.ask("reader", get(groups()).header("commandname", "group list")).await;
    let record = SHARED.record(&answer).await;
    assert_eq!(record["schema"], "steward.record/1");
    assert_eq!(outcomes(&record), CHECKS.map(|name| (name, "pass")));
    assert_eq!((&record["outcome"], &record["status"], &record["command"]), (&json!("allow"), &json!(200), &json!("group list")));
    assert_eq!(record["actions"], json!(["Microsoft.Resources/subscriptions/resourceGroups/read"]));
    assert_eq!(record["principal"]["name"], "Reporting automation");
    assert_eq!(record["customer"]["name"], "Alder Foods");
    let grant = &record["checks"][7]["grants"][0];
    assert_eq!((&grant["role"], &grant["in_force"]), (&json!("Reader"), &json!(true)));
    assert!(grant["defined_at"].to_string().contains("alder.toml"), "{grant}");
}

#[tokio::test]
async fn a_refused_request_is_recorded_up_to_the_check_that_failed() {
    for (identity, target, failed) in [
        ("reader", "/subscriptions/../x".to_owned(), "plane"),
        ("rival", groups(), "scope"),
        ("operator", format!("{}/resourceGroups?{V}", SHARED.subscription("alder-dev")), "delegation"),
        ("nobody", groups(), "role"),
    ] {
        let answer = SHARED.ask(identity, get(target)).await;
        let record = SHARED.record(&answer).await;
        assert_eq!(record["outcome"], "deny", "{failed}");
        let outcomes = outcomes(&record);
        assert_eq!(outcomes.iter().map(|(name, _)| *name).collect::<Vec<_>>(), CHECKS, "{failed}");
        let fails: Vec<&str> = outcomes.iter().filter(|(_, outcome)| *outcome == "fail").map(|(name, _)| *name).collect();
        assert_eq!(fails, [failed]);
    }
    // The answers are the same to a stranger; the records are not.
    let unknown = format!("/subscriptions/99999999-9999-4999-8999-999999999999/resourceGroups?{V}");
    for (target, reason) in [(unknown, "scope.unknown"), (groups(), "delegation.none")] {
        let answer = SHARED.ask("rival", get(target)).await;
        assert_eq!(answer.told(), "404 SubscriptionNotFound");
        assert_eq!(SHARED.record(&answer).await["reason"], reason);
    }
    let without = SHARED.client.send(get(groups())).await;
    let record = SHARED.record(&without).await;
    assert_eq!((&record["reason"], &record["principal"]), (&json!("token.missing"), &Value::Null));
}

#[tokio::test]
async fn a_record_is_found_by_any_unique_beginning_of_its_id() {
    let answer = SHARED.ask("reader", get(groups())).await;
    let id = answer.request_id();
    for length in [8, 13, 23, 36] {
        let prefix = id.get(..length).unwrap();
        let found = SHARED.admin(get(format!("/api/records/{prefix}"))).await;
        assert_eq!((found.status.as_u16(), &found.json()["id"]), (200, &json!(id)), "{prefix}");
    }
    assert_eq!(SHARED.admin(get(format!("/api/records/{}", id.to_uppercase()))).await.status, 200);
    for (prefix, expected) in [("abc", 400), ("../../x", 404), ("zzzzzzzz", 400), ("00000000-0000-4000-8000-000000000000", 404)] {
        assert_eq!(SHARED.admin(get(format!("/api/records/{prefix}"))).await.status, expected, "{prefix}");
    }
    let newest = SHARED.admin(get("/api/records?limit=1&outcome=deny&reason=role.*")).await.json();
    assert!(newest["value"].as_array().unwrap().len() <= 1, "{newest}");
    assert_eq!(SHARED.admin(get("/api/records?color=blue")).await.status, 400);
}

/// Bytes of all files in a folder.
fn bytes_in(folder: &Path) -> u64 {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_bounded_by_bytes_and_survive_a_restart() {
    const BYTES_MAX: u64 = 65_536;
    let backend = Backend::start(|_, _| Act::Answer(json_answer("200 OK", "{}"))).await;
    let folder = empty_folder("retention");
    let more = format!("[records]\nbytes_max = {BYTES_MAX}\n");
    let url = format!("http://{}", backend.address);
    let front = Front::start_in(&folder, &url, &more, "").await;
    let first = front.ask("reader", get(groups())).await;
    let mut last = first.clone();
    for _ in 0..120 {
        last = front.ask("reader", get(groups())).await;
    }
    let find = |id: &str| get(format!("/api/records/{id}"));
    let kept = front.admin(find(last.request_id())).await.json();
    assert_eq!(front.admin(find(first.request_id())).await.status, 404, "the oldest went first");
    front.drain().await;
    let bytes = bytes_in(&folder.join("records"));
    // The newest segment may be filled up while the others are at the limit.
    assert!((BYTES_MAX / 2..=BYTES_MAX + BYTES_MAX / 8).contains(&bytes), "{bytes}");

    let front = Front::start_in(&folder, &url, &more, "").await;
    assert_eq!(front.admin(find(last.request_id())).await.json(), kept);
    assert_eq!(front.admin(find(first.request_id())).await.status, 404);
    front.drain().await;
}

#[tokio::test]
async fn neither_records_nor_the_admin_listener_hold_a_secret() {
    let token = SHARED.token("operator").await;
    let signature = token.rsplit('.').next().unwrap();
    let query = format!("{V}&sig=very-secret-part");
    let ask = |target: String| {
        call("PUT", target).bearer(&token).header("cookie", "very-secret-part").json(&json!({ "location": "very-secret-part" }))
    };
    let answer = SHARED.client.send(ask(format!("{}/resourceGroups/rg-secret?{query}", SHARED.subscription("alder-prod")))).await;
    let refused = SHARED.client.send(ask(format!("{}/resourceGroups/rg-secret?{query}", SHARED.subscription("bramble-core")))).await;
    for answer in [&answer, &refused] {
        assert!(!String::from_utf8_lossy(&answer.body).contains(signature));
        let record = SHARED.record(answer).await.to_string();
        assert!(!record.contains("very-secret-part") && !record.contains(signature) && !record.contains("eyJ"), "{record}");
    }
    for path in ["/metrics", "/api/status", "/mock/requests", "/api/records?limit=1000", "/readyz?verbose"] {
        let body = SHARED.admin(get(path)).await.body;
        let text = String::from_utf8_lossy(&body);
        assert!(!text.contains(signature) && !text.contains("Bearer ey"), "{path}");
    }
}

#[tokio::test]
async fn health_and_metrics_are_told() {
    SHARED.ask("reader", get(groups())).await;
    assert_eq!(SHARED.admin(get("/livez")).await.body, "ok\n");
    let ready = SHARED.admin(get("/readyz?verbose")).await;
    let text = String::from_utf8_lossy(&ready.body).into_owned();
    assert_eq!(ready.status, 200, "{text}");
    let records = "[+] records: records are written; 0 records lost since the start";
    for line in ["[+] policies: revision 1", "] keys: ", "[+] state: ", records, "[+] tasks: ", "[+] draining: no", "ready\n"] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let metrics = SHARED.admin(get("/metrics")).await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(metrics.header("content-type").starts_with("application/openmetrics-text"));
    assert!(text.contains("steward_decisions_total{outcome=\"allow\"") && text.ends_with("# EOF\n"), "{text}");
    for line in [
        "steward_check{check=\"records\"} 0",
        "steward_check{check=\"tasks\"} 0",
        "steward_panics_total ",
        "steward_record_writer_up 1",
        "steward_records_lost_total{reason=\"disk\"} 0",
        "steward_records_lost_total{reason=\"slow\"} 0",
        "steward_task_up{task=\"policies\"} 1",
        "steward_task_ends_total{task=\"state\"} 0",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    // No label may have as many values as there are callers or paths.
    for unbounded in ["subscriptions/", "a1de4000", "alder", "reader"] {
        assert!(!text.contains(unbounded), "{unbounded}\n{text}");
    }
}

#[tokio::test]
async fn the_admin_listener_answers_this_machine_only() {
    let rebound: Call = get("/api/status").header("host", "evil.example");
    assert_eq!(SHARED.admin(rebound).await.told(), "421 InvalidHost");
    assert_eq!(SHARED.admin(get("/api/status").header("origin", "https://evil.example")).await.status, 421);
    assert_eq!(SHARED.admin(get("/api/nothing")).await.status, 404);
    assert_eq!(SHARED.admin(call("DELETE", "/api/status")).await.status, 405);
    let keys = SHARED.admin(get("/.well-known/jwks.json")).await.json();
    assert_eq!(keys["keys"][0]["crv"], "Ed25519");
    assert!(keys["keys"][0].get("d").is_none(), "the private half stays inside: {keys}");
}

/// The lines of the log of the tenant with this name.
async fn log_of(tenant: &str) -> Vec<Value> {
    let tenant = SHARED.demo.world.tenants[tenant].id.to_string();
    // Asking for a record has the writer hand over everything before it.
    SHARED.admin(get("/api/records?limit=1")).await;
    let mut lines = Vec::new();
    let folder = SHARED.folder.join("state").join("records");
    steward::record::archive::read_folder(&folder, |spot| {
        let Ok(linked) = Linked::parse(spot.text) else { return };
        let own = linked.links.iter().find(|link| link.tenant.to_string() == tenant);
        lines.extend(own.map(|link| serde_json::from_slice::<Value>(&linked.line_of(link)).unwrap()));
    })
    .unwrap();
    lines
}

#[tokio::test]
async fn the_log_of_a_strangers_tenant_does_not_tell_which_subscriptions_exist() {
    let unknown = "/subscriptions/99999999-9999-4999-8999-999999999999".to_owned();
    let targets = [SHARED.subscription("alder-prod"), unknown];
    let mut answers = Vec::new();
    for target in &targets {
        answers.push(SHARED.ask("rival", get(format!("{target}/resourceGroups?{V}"))).await);
    }
    let log = log_of(&SHARED.demo.world.identities["rival"].tenant).await;
    let told = answers.iter().zip(&targets).map(|(answer, target)| {
        let own = log.iter().find(|line| line["id"] == answer.request_id()).unwrap();
        let mut own = own.clone();
        for (member, value) in [("id", "id"), ("correlation_id", "id"), ("time", "time"), ("client", "client"), ("chain", "chain")] {
            own[member] = json!(value);
        }
        own["took_us"] = json!(0);
        own["policy"] = json!(0);
        for took in own["took_ns"].as_array_mut().unwrap() {
            *took = json!(took.is_null());
        }
        own.to_string().replace(target.rsplit('/').next().unwrap(), "target")
    });
    let told: Vec<String> = told.collect();
    assert_eq!(told[0], told[1]);
    assert!(!told[0].contains("Alder") && told[0].contains("scope.unknown"), "{}", told[0]);
    // The owner reads who it was.
    let of_owner = log_of(&SHARED.demo.world.subscriptions["alder-prod"].tenant).await;
    let asked = of_owner.iter().find(|line| line["id"] == answers[0].request_id()).unwrap();
    assert_eq!((&asked["reason"], &asked["customer"]["name"]), (&json!("delegation.none"), &json!("Alder Foods")));
    assert_eq!(SHARED.record(&answers[0]).await["reason"], "delegation.none", "and so does the operator");
}

#[tokio::test]
async fn the_key_of_the_audit_is_served() {
    let keys = SHARED.admin(get("/api/audit/keys")).await.json();
    let served = PublicKey::from_jwk(&keys["keys"][0]).unwrap();
    assert!(keys["keys"][0].get("d").is_none() && !served.id().is_empty());
}
