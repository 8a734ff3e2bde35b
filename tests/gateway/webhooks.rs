//! Webhooks: what happens to delegations arrives at a receiver, in order, signed, and whatever happens to either side.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::own_api::{MS, READER, bound, in_dev, offered, ok};
use crate::common::backend::Front;
use crate::common::client::{call, get};
use crate::common::installation::{SHARED, empty_folder};
use crate::common::receiver::{Delivery, Receiver};

const GUIDE: &str = include_str!("../../docs/events.md");
const HEADERS: [&str; 2] = ["x-steward-timestamp", "x-steward-signature"];
const SECRET: &str = "a secret of more than thirty-two characters";

pub(super) fn hook(folder: &Path, name: &str, receiver: &Receiver, more: &str) -> String {
    let secret = folder.join("secret");
    std::fs::write(&secret, SECRET).unwrap();
    format!("[[webhook]]\nname = {name:?}\nurl = {:?}\nsecret_file = {secret:?}\n{more}\n", receiver.url)
}

async fn started(folder: &Path, hooks: &str) -> Front {
    let front = Front::start_in(folder, &SHARED.demo.world.backend, hooks, "").await;
    // A webhook that is new begins with what happens after it is known to the store.
    let wanted = hooks.matches("[[webhook]]").count() as u64;
    for _ in 0..1_000 {
        if front.admin(get("/api/status")).await.json()["state"]["revision"].as_u64().unwrap() >= wanted {
            return front;
        }
        tokio::task::yield_now().await;
    }
    panic!("the webhooks do not begin");
}

async fn removed(front: &Front, n: u32) {
    ok(front, "alder-owner", call("DELETE", format!("{}?{MS}", in_dev("registrationAssignments", n))), 202).await;
}

/// The names of all members, of those inside as well.
fn members(value: &Value) -> Vec<String> {
    let inside = |(name, value): (&String, &Value)| {
        let below = members(value).into_iter().map(|below| format!("{name}.{below}"));
        below.chain([name.clone()]).collect::<Vec<_>>()
    };
    let mut names: Vec<String> = value.as_object().into_iter().flatten().flat_map(inside).collect();
    names.sort();
    names
}

/// Whether the snippet of the guide takes all of these.
fn is_genuine_by_the_guide(deliveries: &[Delivery], secret: &str) -> bool {
    let snippet = GUIDE.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    let each = deliveries.iter().map(|one| {
        let headers: BTreeMap<_, _> = HEADERS.iter().map(|name| (*name, one.header(name))).collect();
        json!([headers, one.text, format!("{secret}\n")])
    });
    let asked = json!(each.collect::<Vec<_>>()).to_string();
    let asks = "import json, sys\nasked = json.loads(sys.argv[1])\nprint([is_genuine(h, b.encode(), s.encode()) for h, b, s in asked])";
    let ended = Command::new("python3").args(["-c", &format!("{snippet}\n{asks}"), &asked]).output().unwrap();
    let told = String::from_utf8(ended.stdout).unwrap();
    match (told.contains("True"), told.contains("False")) {
        (is_genuine, is_forged) if is_genuine != is_forged => is_genuine,
        _ => panic!("{told}{}", String::from_utf8_lossy(&ended.stderr)),
    }
}

#[tokio::test]
async fn every_event_is_posted_once_in_order_and_signed() {
    let folder = empty_folder("hooks-life");
    let (all, ostra, nimbus) = (Receiver::start().await, Receiver::start().await, Receiver::start().await);
    let hooks = [
        hook(&folder, "all", &all, ""),
        hook(&folder, "of-ostra", &ostra, "tenant = \"ostra\""),
        hook(&folder, "of-nimbus", &nimbus, &format!("tenant = {:?}", SHARED.demo.world.tenants["nimbus"].id.to_string())),
    ];
    let front = started(&folder, &hooks.concat()).await;
    offered(&front, READER).await;
    bound(&front, 2).await;
    offered(&front, "b24988ac-6180-42a0-ab88-20f7382dd24c").await;
    removed(&front, 2).await;
    let expected = ["registered", "updated", "unregistered"].map(|what| (what, "Night shift"));
    let changes = ok(&front, "alder-owner", get("/providers/Steward.Delegation/changes?api-version=2026-11-01"), 200).await.json();
    for receiver in [&all, &ostra] {
        let taken = receiver.taken(3).await;
        assert_eq!(taken.iter().map(Delivery::what).collect::<Vec<_>>(), expected);
        for (delivery, change) in taken.iter().zip(changes["value"].as_array().unwrap()) {
            assert_eq!(&delivery.body, change, "the same as in the list of changes");
            assert_eq!(delivery.header("x-steward-delivery"), change["name"]);
            let timestamp = delivery.header("x-steward-timestamp");
            assert!((timestamp.parse::<i64>().unwrap() - steward::clock::Clock::system().now().as_second()).abs() < 60);
            let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
            let tag = hmac::sign(&key, format!("{timestamp}.{}", delivery.text).as_bytes());
            let expected: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(delivery.header("x-steward-signature"), format!("sha256={expected}"));
            assert!(delivery.head.starts_with("POST /hook?of=ours HTTP/1.1\r\n"), "{}", delivery.head);
        }
    }
    let shown: Value = serde_json::from_str(GUIDE.split("```json\n").nth(1).unwrap().split("```").next().unwrap()).unwrap();
    assert_eq!(members(&shown), members(&all.taken(3).await[0].body), "docs/events.md shows what is posted");
    assert!(is_genuine_by_the_guide(&all.taken(3).await, SECRET), "docs/events.md takes what is genuine");
    assert!(!is_genuine_by_the_guide(&all.taken(3).await, "another secret of the same length, or so"), "and nothing else");
    let status = front.admin(get("/api/status")).await.json();
    assert_eq!((&status["webhooks"][0]["name"], &status["webhooks"][0]["failure"]), (&"all".into(), &Value::Null));
    front.drain().await;
    assert!(nimbus.deliveries.borrow().is_empty(), "nothing concerns that tenant");
    assert_eq!(all.deliveries.borrow().len(), 3, "each once");
}

#[tokio::test]
async fn what_is_not_taken_comes_again_and_nothing_overtakes_it() {
    let folder = empty_folder("hooks-outage");
    let receiver = Receiver::start().await;
    let hooks = hook(&folder, "siem", &receiver, "");
    let front = started(&folder, &hooks).await;
    offered(&front, READER).await;
    receiver.status.send_replace(500);
    bound(&front, 2).await;
    receiver.until(|all| !all.is_empty()).await;
    receiver.status.send_replace(302);
    receiver.until(|all| all.len() >= 2).await;
    receiver.status.send_replace(0);
    removed(&front, 2).await;
    bound(&front, 3).await;
    receiver.until(|all| all.len() >= 3).await;
    let status = front.admin(get("/api/status")).await.json();
    assert!(status["webhooks"][0]["failing_since"].is_string() && status["webhooks"][0]["failure"].is_string(), "{status}");
    front.drain().await;
    let before = receiver.deliveries.borrow().len();
    assert!(receiver.deliveries.borrow().iter().all(|one| one.what().0 == "registered"), "only the first is tried");

    receiver.status.send_replace(204);
    let front = started(&folder, &hooks).await;
    let taken = receiver.taken(3).await;
    assert_eq!(taken.iter().map(|one| one.what().0).collect::<Vec<_>>(), ["registered", "unregistered", "registered"]);
    let again = receiver.deliveries.borrow()[0].header("x-steward-delivery").to_owned();
    assert_eq!(taken[0].header("x-steward-delivery"), again, "the same event has the same name each time");
    removed(&front, 3).await;
    assert_eq!(receiver.taken(4).await[3].what().0, "unregistered");
    front.drain().await;
    assert_eq!(receiver.deliveries.borrow().len(), before + 4, "what was taken does not come again");

    let front = started(&folder, &hooks).await;
    bound(&front, 4).await;
    receiver.taken(5).await;
    front.drain().await;
    assert_eq!(receiver.deliveries.borrow().len(), before + 5, "nor after a restart");
}

#[tokio::test]
async fn a_webhook_without_a_good_secret_keeps_the_gateway_from_starting() {
    for (file, expected) in [("short", "has 5 characters; at least 32 are needed"), ("missing", "cannot read the secret")] {
        let folder = empty_folder(&format!("hooks-secret-{file}"));
        std::fs::write(folder.join("short"), "short").unwrap();
        let config = steward::config::parse(
            &folder,
            "test",
            &format!(
                "[backend]\nurl = \"http://127.0.0.1:9\"\n[[webhook]]\nname = \"x\"\nurl = \"http://127.0.0.1:9/\"\nsecret_file = {file:?}\n"
            ),
        );
        let config = config.unwrap_or_else(|wrong| panic!("{}", wrong.render(Default::default())));
        let bind = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let setup = steward::service::Setup {
            config,
            gateway: bind(),
            admin: bind(),
            front: None,
            policies: steward::policy::watch::PolicySource::Folder(SHARED.folder.join("policies")),
            demo_issuer: Some(SHARED.demo.world.authority.clone()),
            extra: None,
            clock: steward::clock::Clock::system(),
        };
        let refused = steward::service::Service::start(setup).await.unwrap_err();
        let told = steward::telemetry::chain(&refused);
        assert!(told.contains("the webhook `x`") && told.contains(expected), "{told}");
    }
}
