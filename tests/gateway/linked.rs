//! Places that a body or a query names: what the caller may not reach there does not leave.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::common::backend::{Act, Arrived, Backend, Front, json_answer};
use crate::common::client::{Call, call, get};
use crate::common::installation::SHARED;

const V: &str = "api-version=2024-07-01";
const DENIED: &str = "403 LinkedAuthorizationFailed scope.linked";

fn ok(_: &Arrived, _: usize) -> Act {
    Act::Answer(json_answer("200 OK", "{}"))
}

pub async fn front(name: &str) -> (Backend, Front) {
    let backend = Backend::start(ok).await;
    let front = Front::start(name, &format!("http://{}", backend.address), "").await;
    (backend, front)
}

/// Where the operator may write.
fn nic() -> String {
    format!("{}/resourceGroups/rg-web-prod/providers/Microsoft.Network/networkInterfaces/nic?{V}", SHARED.subscription("alder-prod"))
}

fn subnet(subscription: &str) -> String {
    format!("{subscription}/resourceGroups/rg-net/providers/Microsoft.Network/virtualNetworks/v/subnets/s")
}

fn with_body(method: &str, body: impl Into<Bytes>, kind: &str) -> Call {
    let mut sent = call(method, nic()).header("content-type", kind);
    sent.body = body.into();
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_reaches_what_its_sender_may_reach_and_nothing_else() {
    let (backend, front) = front("linked").await;
    let own = subnet(&SHARED.subscription("alder-prod"));
    let body = |id: &str| json!({ "properties": { "ipConfigurations": [{ "properties": { "subnet": { "id": id } } }] } });
    let granted = front.ask("operator", call("PUT", nic()).json(&body(&own))).await;
    assert_eq!(granted.status, 200, "{}", granted.told());
    assert_eq!(backend.log().arrived.len(), 1);
    let unknown = "/subscriptions/99999999-9999-4999-8999-999999999999".to_owned();
    let mut told = Vec::new();
    for elsewhere in [SHARED.subscription("ivy-main"), unknown, SHARED.subscription("granite-main")] {
        let foreign = subnet(&elsewhere);
        for method in ["PUT", "PATCH"] {
            let answer = front.ask("operator", call(method, nic()).json(&body(&foreign))).await;
            assert_eq!(answer.told(), DENIED, "{method} {foreign}");
            let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.contains("perform action(s) 'Microsoft.Network/virtualNetworks/subnets/join/action'"), "{message}");
            told.push(message.replace(&elsewhere, "SUBSCRIPTION"));
        }
    }
    assert!(told.iter().all(|message| *message == told[0]), "one that does not exist is not told from another's: {told:?}");
    assert_eq!(backend.log().arrived.len(), 1, "nothing of it left");
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_is_found_in_every_disguise() {
    let (backend, front) = front("disguise").await;
    let foreign = SHARED.subscription("ivy-main");
    let id = foreign.trim_start_matches("/subscriptions/").to_owned();
    let bodies: [Value; 9] = [
        json!({ "identity": { "type": "UserAssigned", "userAssignedIdentities": { format!("{foreign}/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i"): {} } } }),
        json!({ "properties": { "workspaceId": foreign.to_uppercase() } }),
        json!({ "properties": { "a": [[{ "b": format!("https://management.azure.com{foreign}/resourceGroups/g?x=1") }]] } }),
        json!({ "properties": { "id": format!("%2Fsubscriptions%2F{id}") } }),
        json!({ "properties": { "id": format!("\\\\subscriptions\\{id}") } }),
        json!({ "properties": { "id": format!("//subscriptions//{id}") } }),
        json!({ "properties": { "subscriptionId": id } }),
        json!({ "tags": { "note": format!("copied from {foreign}, see there") } }),
        json!({ "properties": { "group": "/providers/Microsoft.Management/managementGroups/theirs-and-not-mine" } }),
    ];
    for body in bodies {
        assert_eq!(front.ask("operator", call("PUT", nic()).json(&body)).await.told(), DENIED, "{body}");
    }
    let escaped = format!(r#"{{"id":"\u002fsubscr\u0069ptions/{id}"}}"#);
    assert_eq!(front.ask("operator", with_body("PUT", escaped, "application/json")).await.told(), DENIED);
    let query = format!("{}&$filter=resourceId%20eq%20'{foreign}'", nic());
    assert_eq!(front.ask("operator", get(query)).await.told(), DENIED);
    assert_eq!(backend.log().arrived.len(), 0);
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_only_some_readers_take_for_one_is_refused() {
    let (backend, front) = front("few-readers").await;
    let forms = [
        "+f2c1a10-0000-4000-8000-00000000000a",
        "8f2c1a10-0000-4000-8000-00000x00000a",
        "{0x8f2c1a10,0x0000,0x4000,{0x80,0x00,0x00,0x00,0x00,0x00,0x00,0x0a}}",
    ];
    for form in forms {
        for body in [json!({ "id": format!("/subscriptions/{form}/resourceGroups/g") }), json!({ "subscriptionId": form })] {
            let answer = front.ask("operator", call("PUT", nic()).json(&body)).await;
            assert_eq!(answer.status, 400, "{body}: {:?}", answer.told());
        }
    }
    assert_eq!(backend.log().arrived.len(), 0);
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_resource_says_of_itself_is_no_link() {
    let (backend, front) = front("itself").await;
    let own = nic();
    let id = own.split('?').next().unwrap();
    let alder = SHARED.subscription("alder-prod");
    let body = json!({ "id": id, "properties": { "parts": [format!("{id}/ipConfigurations/one")], "group": format!("{alder}/resourceGroups/rg-web-prod"),
        "subscriptionId": alder.trim_start_matches("/subscriptions/"), "roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7" } });
    assert_eq!(front.ask("operator", call("PUT", own).json(&body)).await.status, 200);
    assert_eq!(backend.log().arrived.len(), 1);
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_in_one_way_does_not_leave() {
    let (backend, front) = front("unread").await;
    let malformed = "400 InvalidRequestContent request.malformed";
    let media_type = "415 UnsupportedMediaType request.media_type";
    for (body, kind, expected) in [
        (r#"{"id":1,"id":2}"#, "application/json", malformed),
        (r#"{"id":1}{"id":2}"#, "application/json", malformed),
        ("\u{feff}{}", "application/json", malformed),
        ("{", "application/json; charset=utf-8", malformed),
        ("{}", "application/json; charset=utf-16", media_type),
        ("{}", "text/plain", media_type),
        ("<a/>", "application/xml", media_type),
        (" \u{feff}{\"id\":1}", "application/octet-stream", media_type),
        ("[1]", "application/octet-stream", media_type),
    ] {
        assert_eq!(front.ask("operator", with_body("PUT", body, kind)).await.told(), expected, "{kind}: {body}");
    }
    let coded = with_body("PUT", "{}", "application/json").header("content-encoding", "gzip");
    assert_eq!(front.ask("operator", coded).await.told(), media_type);
    assert!(backend.log().arrived.iter().all(|request| !request.whole), "none of it came to its end");
    let arrived = backend.log().arrived.len();
    for kind in ["application/json", "text/json; charset=\"UTF-8\"", "application/merge-patch+json"] {
        assert_eq!(front.ask("operator", with_body("PATCH", "{}", kind)).await.status, 200, "{kind}");
    }
    let reading = front.ask("operator", with_body("GET", r#"{"id":1}"#, "application/json")).await;
    assert_eq!(reading.status, 200);
    let log = backend.log_with(|log| log.arrived.len() >= arrived + 4).await;
    assert_eq!(log.arrived.last().unwrap().length, 0, "what stands behind a question is left behind");
    front.drain().await;
}
