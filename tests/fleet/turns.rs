//! Changes at all gateways at once: each is planned on the newest state, and all of them get their turn.

use std::time::Duration;

use serde_json::json;
use steward::clock::Clock;
use tokio::task::JoinSet;

use crate::client::call;
use crate::node::{PROVIDER, READER, guid, measured, offer, owner, subscription};
use crate::several::{Fleet, NODES, alone, decided, quantile};

const CLIENTS: u16 = 6;
const WRITING: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_at_all_gateways_get_their_turn() {
    let _alone = alone().await;
    let fleet = Fleet::start("turns").await;
    let started = Clock::instant();
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let node = usize::from(number) % NODES;
        let (mut wire, owner) = (fleet.nodes[node].wire(), owner());
        clients.spawn(async move {
            let id = format!("{}/providers/Microsoft.ManagedServices/registrationDefinitions/{}", subscription(0), guid(6, number, 0));
            let mut took = Vec::new();
            while started.elapsed() < WRITING {
                let text = took.len().to_string();
                let principal = json!([{ "principalId": PROVIDER, "roleDefinitionId": READER }]);
                let body = offer(&format!("Turn {number}"), &text, &principal, &json!([]));
                let asked = Clock::instant();
                let put = call("PUT", format!("{id}?api-version=2022-10-01")).json(&body).bearer(&owner);
                let answer = decided(&mut wire, &put).await;
                assert!(answer.status.is_success(), "{}", answer.told());
                took.push(asked.elapsed());
            }
            (node, took)
        });
    }
    let mut all = Vec::new();
    let mut counts = [0; NODES];
    for (node, took) in clients.join_all().await {
        counts[node] += took.len();
        all.extend(took);
    }
    all.sort_unstable();
    measured(format_args!(
        "{} changes at {NODES} gateways at once, {counts:?} at each: p50 {:?}, p99 {:?}, max {:?}",
        all.len(),
        quantile(&all, 50),
        quantile(&all, 99),
        quantile(&all, 100)
    ));
    let [least, most] = [counts.iter().min(), counts.iter().max()].map(|count| *count.unwrap());
    assert!(least * 5 > most, "{counts:?}");
}
