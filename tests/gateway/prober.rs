//! A thousand questions a second while delegations change: nobody who holds a role all the time is ever refused.

use std::io::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use steward::clock::Clock;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::common::backend::Front;
use crate::common::client::call;
use crate::common::installation::SHARED;

const MS: &str = "api-version=2022-10-01";
const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
const CONTRIBUTOR: &str = "b24988ac-6180-42a0-ab88-20f7382dd24c";
const TIME: Duration = Duration::from_secs(10);

fn path(kind: &str, n: u8) -> String {
    format!("{}/providers/Microsoft.ManagedServices/{kind}/{n:08}-0000-4000-8000-000000000000?{MS}", SHARED.subscription("alder-dev"))
}

async fn put(front: &Front, target: String, body: &Value) {
    let answer = front.ask("alder-owner", call("PUT", target).json(body)).await;
    assert!(answer.status.is_success(), "{}", String::from_utf8_lossy(&answer.body));
}

async fn offer(front: &Front, n: u8, name: &str, roles: &[&str]) {
    let operator = SHARED.demo.world.identities["operator"].object_id;
    let roles: Vec<Value> = roles.iter().map(|role| json!({ "principalId": operator, "roleDefinitionId": role })).collect();
    let ostra = SHARED.demo.world.tenants["ostra"].id;
    let body = json!({ "properties": { "registrationDefinitionName": name, "managedByTenantId": ostra, "authorizations": roles } });
    put(front, path("registrationDefinitions", n), &body).await;
}

async fn bind(front: &Front, n: u8) {
    let definition = path("registrationDefinitions", n);
    let body = json!({ "properties": { "registrationDefinitionId": definition.split('?').next().unwrap() } });
    put(front, path("registrationAssignments", n), &body).await;
}

async fn unbind(front: &Front, n: u8) {
    let answer = front.ask("alder-owner", call("DELETE", path("registrationAssignments", n))).await;
    assert!(answer.status.is_success(), "{}", String::from_utf8_lossy(&answer.body));
}

/// The role is never taken away, and everything around it changes: names, other roles, a second delegation of the same role.
async fn change(front: &Front) -> u32 {
    let began = Clock::instant();
    let mut changes = 0;
    while began.elapsed() < TIME {
        offer(front, 1, &format!("Offer {changes}"), if changes % 2 == 0 { &[READER, CONTRIBUTOR] } else { &[READER] }).await;
        match changes % 4 {
            0 => bind(front, 2).await,
            2 => unbind(front, 2).await,
            _ => {}
        }
        changes += 1;
    }
    changes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_questions_a_second_see_no_wrong_refusal_while_delegations_change() {
    let front = Front::start("prober", &SHARED.demo.world.backend, "").await;
    offer(&front, 1, "Offer", &[READER]).await;
    bind(&front, 1).await;
    offer(&front, 2, "Second", &[READER]).await;

    let token = SHARED.token("operator").await;
    let stream = front.client.connect("localhost", b"h2").await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let target = format!("https://{}{}?api-version=2022-12-01", front.client.authority(), SHARED.subscription("alder-dev"));
    let prober = tokio::spawn(async move {
        let mut ticks = interval(Duration::from_millis(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut asked = JoinSet::new();
        let began = Clock::instant();
        while began.elapsed() < TIME {
            ticks.tick().await;
            let mut sender = sender.clone();
            let request = Request::get(&target).header("authorization", format!("Bearer {token}")).body(Empty::<Bytes>::new()).unwrap();
            asked.spawn(async move {
                sender.ready().await.unwrap();
                let answer = sender.send_request(request).await.unwrap();
                let status = answer.status().as_u16();
                (status, answer.into_body().collect().await.unwrap().to_bytes())
            });
        }
        asked.join_all().await
    });
    let changes = change(&front).await;
    let answers = prober.await.unwrap();
    driver.abort();
    let refused: Vec<_> = answers.iter().filter(|(status, _)| *status != 200).collect();
    // Past the capture of the test harness: the counts are what the test is for.
    let (asked, seconds) = (answers.len(), TIME.as_secs());
    writeln!(std::io::stdout().lock(), "measured: {asked} questions in {seconds} s, {changes} changes, {} refused", refused.len()).unwrap();
    assert!(refused.is_empty(), "{:?}", refused.first());
    assert!(answers.len() > 5_000 && changes > 8, "{} questions, {changes} changes", answers.len());

    unbind(&front, 1).await;
    unbind(&front, 2).await;
    let after = front.ask("operator", call("GET", format!("{}?api-version=2022-12-01", SHARED.subscription("alder-dev")))).await;
    assert_eq!(after.status, 403, "whoever asks after the last removal is refused");
    front.drain().await;
}
