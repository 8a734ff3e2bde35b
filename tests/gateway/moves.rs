//! Resources that are moved: out of a group where that is granted, into one where writing is, and never out of their tenant.

use serde_json::{Value, json};

use crate::common::backend::{Act, Backend, Front, json_answer};
use crate::common::client::{Answer, call};
use crate::common::installation::SHARED;

const V: &str = "api-version=2024-07-01";
const DENIED: &str = "403 LinkedAuthorizationFailed scope.linked";
const MALFORMED: &str = "400 InvalidRequestContent request.malformed";

async fn front(name: &str) -> (Backend, Front) {
    let backend = Backend::start(|_, _| Act::Answer(json_answer("202 Accepted", ""))).await;
    let front = Front::start(name, &format!("http://{}", backend.address), "").await;
    (backend, front)
}

fn group(subscription: &str, name: &str) -> String {
    format!("{}/resourceGroups/{name}", SHARED.subscription(subscription))
}

async fn moved(front: &Front, identity: &str, verb: &str, body: &Value) -> Answer {
    front.ask(identity, call("POST", format!("{}/{verb}?{V}", group("alder-prod", "rg-web-prod"))).json(body)).await
}

fn body(target: &str) -> Value {
    json!({ "resources": [format!("{}/providers/Microsoft.Compute/virtualMachines/vm", group("alder-prod", "rg-web-prod"))], "targetResourceGroup": target })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_takes_both_groups_and_stays_in_the_tenant() {
    let (backend, front) = front("moves").await;
    let here = group("alder-prod", "rg-other");
    for verb in ["moveResources", "validateMoveResources", "MOVERESOURCES"] {
        let answer = moved(&front, "operator", verb, &body(&here)).await;
        assert_eq!(answer.status, 202, "{verb}: {}", answer.told());
    }
    let across = moved(&front, "alder-owner", "moveResources", &body(&group("alder-dev", "rg"))).await;
    assert_eq!(across.status, 202, "another subscription of the same tenant: {}", across.told());
    assert_eq!(backend.log().arrived.len(), 4);
    assert_eq!(moved(&front, "reader", "moveResources", &body(&here)).await.told(), "403 AuthorizationFailed role.action_missing");
    assert_eq!(moved(&front, "operator", "moveResources", &body(&group("alder-dev", "rg"))).await.told(), DENIED, "nothing granted there");
    let unknown = "/subscriptions/99999999-9999-4999-8999-999999999999/resourceGroups/rg";
    assert_eq!(moved(&front, "operator", "moveResources", &body(unknown)).await.told(), DENIED);
    let cedar = moved(&front, "operator", "moveResources", &body(&group("cedar-fleet", "rg"))).await;
    assert_eq!(cedar.told(), DENIED, "granted on both sides, and of two tenants");
    assert!(cedar.json()["error"]["message"].as_str().unwrap().contains("another tenant"));
    assert_eq!(backend.log().arrived.len(), 4, "nothing of it left");
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_moves_something_else_does_not_leave() {
    let (backend, front) = front("moves-else").await;
    let here = group("alder-prod", "rg-other");
    let mut foreign = body(&here);
    foreign["resources"][0] = format!("{}/providers/Microsoft.Compute/virtualMachines/vm", group("cedar-fleet", "rg")).into();
    let mut twofold = body(&here);
    twofold["TargetResourceGroup"] = group("cedar-fleet", "rg").into();
    let mut none = body(&here);
    none["resources"] = json!([]);
    for wrong in [foreign, twofold, none, body(&group("alder-prod", "RG-web-prod")), body("rg-other"), json!({}), json!([])] {
        assert_eq!(moved(&front, "operator", "moveResources", &wrong).await.told(), MALFORMED, "{wrong}");
    }
    let target = format!("{}/moveResources?{V}", group("alder-prod", "rg-web-prod"));
    assert_eq!(front.ask("operator", call("POST", target.as_str())).await.told(), MALFORMED, "no body");
    let mut opaque = call("POST", target).header("content-type", "application/octet-stream");
    opaque.body = body(&here).to_string().into();
    assert_eq!(front.ask("operator", opaque).await.told(), "415 UnsupportedMediaType request.media_type");
    assert_eq!(backend.log().arrived.len(), 0);
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_moves_into_a_subscription_that_accepts_reads_and_deletes_only() {
    let (backend, front) = front("moves-disabled").await;
    let from = group("holly-frozen", "rg");
    let to = json!({
        "resources": [format!("{from}/providers/Microsoft.Compute/virtualMachines/vm")],
        "targetResourceGroup": group("holly-disabled", "rg"),
    });
    let answer = front.ask("operator", call("POST", format!("{from}/moveResources?{V}")).json(&to)).await;
    assert_eq!(answer.told(), MALFORMED);
    assert!(answer.json()["error"]["message"].as_str().unwrap().contains("reads and deletes only"));
    assert_eq!(backend.log().arrived.len(), 0);
    front.drain().await;
}
