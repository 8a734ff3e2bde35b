//! Tokens besides the caller's own: what they open, and that they open nothing else.

use std::time::Duration;

use serde_json::{Value, json};

use crate::common::backend::{Act, Backend, Front, json_answer};
use crate::common::client::{Answer, Call, call, get};
use crate::common::installation::SHARED;
use crate::common::signer::{self, LYNX, MARTEN};

const V: &str = "api-version=2024-07-01";
const HEADER: &str = "x-ms-authorization-auxiliary";
const DENIED: &str = "403 LinkedAuthorizationFailed scope.linked";
const LYNX_MAIN: &str = "/subscriptions/17110000-5000-4000-8000-000000000001";

async fn front(name: &str) -> (Backend, Front) {
    let backend = Backend::start(|_, _| Act::Answer(json_answer("200 OK", "{}"))).await;
    let front = Front::start(name, &format!("http://{}", backend.address), "").await;
    (backend, front)
}

/// A write of somebody who may, that names a subnet.
fn nic(subnet: &str) -> Call {
    let group = format!("{}/resourceGroups/rg-web-prod", SHARED.subscription("alder-prod"));
    let body = json!({ "properties": { "subnet": { "id": format!("{subnet}/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v/subnets/s") } } });
    call("PUT", format!("{group}/providers/Microsoft.Network/networkInterfaces/nic?{V}")).json(&body)
}

fn bearer(tokens: &[&str]) -> String {
    tokens.iter().map(|token| format!("Bearer {token}")).collect::<Vec<_>>().join(", ")
}

/// A sound token of Lynx Laboratories, which owns `LYNX_MAIN`.
fn lynx() -> String {
    signer::signed(&signer::claims())
}

fn changed(member: &str, value: Value) -> String {
    let mut claims = signer::claims();
    claims[member] = value;
    signer::signed(&claims)
}

fn message(answer: &Answer) -> String {
    answer.json()["error"]["message"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auxiliary_token_opens_the_places_of_its_own_tenant() {
    let (backend, front) = front("auxiliary").await;
    assert_eq!(front.ask("operator", nic(LYNX_MAIN)).await.told(), DENIED);
    let lent = front.ask("operator", nic(LYNX_MAIN).header(HEADER, &bearer(&[&lynx()]))).await;
    assert_eq!(lent.status, 200, "{}", lent.told());
    let second = front.ask("operator", nic(LYNX_MAIN).header(HEADER, &format!("Bearer {}; bearer {}", marten(), lynx()))).await;
    assert_eq!(second.status, 200, "{}", second.told());
    let log = backend.log();
    assert_eq!(log.arrived.len(), 2);
    assert!(log.arrived.iter().all(|request| !request.head.to_ascii_lowercase().contains(HEADER)), "it is never passed on");
    let record = front.admin(get(format!("/api/records/{}", lent.request_id()))).await.json();
    let note = record["notes"][0].as_str().unwrap();
    assert!(note.contains("auxiliary token") && note.contains(LYNX) && note.contains("17110000-3000-4000-8000-000000000001"), "{note}");
    assert_ne!(record["principal"]["tenant"], LYNX, "the caller stays who it is: {record}");
    front.drain().await;
}

/// A sound token of a tenant that has nothing.
fn marten() -> String {
    let mut claims = signer::claims();
    claims["tid"] = MARTEN.into();
    claims["iss"] = format!("https://own.example/{MARTEN}/").into();
    signer::signed(&claims)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_opens_nothing_else() {
    let (backend, front) = front("auxiliary-else").await;
    let own = SHARED.subscription("alder-prod");
    let owner = SHARED.token("alder-owner").await;
    let target = front.ask("reader", nic(&own).header(HEADER, &bearer(&[&owner]))).await;
    assert_eq!(target.told(), "403 AuthorizationFailed role.action_missing", "the target is decided by the caller alone");
    let lent_on = SHARED.token("operator").await;
    let bramble = SHARED.subscription("bramble-core");
    let others = front.ask("alder-owner", nic(&bramble).header(HEADER, &bearer(&[&lent_on]))).await;
    assert_eq!(others.told(), DENIED, "what the operator was given by Bramble is not lent to Alder");
    let without = front.ask("operator", nic(LYNX_MAIN).header(HEADER, &bearer(&[&marten()]))).await;
    assert_eq!(without.told(), DENIED);
    let mut stranger = signer::claims();
    stranger["oid"] = "17110000-3000-4000-8000-0000000000ff".into();
    let stranger = front.ask("operator", nic(LYNX_MAIN).header(HEADER, &bearer(&[&signer::signed(&stranger)]))).await;
    assert_eq!(stranger.told(), DENIED, "it is decided by what this caller was granted");
    let alone = front.client.send(get(format!("{own}?{V}")).header(HEADER, &bearer(&[&owner]))).await;
    assert_eq!(alone.told(), "401 AuthenticationFailed token.missing");
    assert_eq!(backend.log().arrived.len(), 0);
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_token_among_them_refuses_the_request_and_is_named() {
    let (backend, front) = front("auxiliary-bad").await;
    let now = steward::clock::Clock::system().now().as_second();
    let group = format!("{}/resourceGroups/rg-web-prod?{V}", SHARED.subscription("alder-prod"));
    let old = SHARED.mint("alder-owner", "https://management.azure.com/", Some(Duration::from_secs(1)), Duration::from_hours(2)).await;
    let signed = format!(", of the tenant `{LYNX}` and the client `17110000-6000-4000-8000-000000000001`");
    let forged = format!("{}AAAA", lynx().trim_end_matches(|c| c != '.'));
    for (position, tokens, named) in [
        (1, [changed("exp", (now - 60).into()), lynx()], signed.as_str()),
        (2, [lynx(), changed("aud", "https://vault.azure.net".into())], &signed),
        (2, [lynx(), changed("tid", MARTEN.into())], ""),
        (1, [forged, lynx()], ""),
        (2, [lynx(), "nonsense".to_owned()], ""),
        (1, [signer::token(&json!({ "typ": "JWT", "alg": "none", "kid": "own" }), &signer::claims()), lynx()], ""),
        (2, [lynx(), SHARED.token("ivy-owner").await], ", of the tenant `10100000-1000-4000-8000-000000000001`"),
        (1, [old, lynx()], ", of the tenant `"),
    ] {
        let answer = front.ask("operator", get(group.as_str()).header(HEADER, &bearer(&[&tokens[0], &tokens[1]]))).await;
        assert_eq!(answer.told(), "401 InvalidAuxiliaryTokens token.auxiliary", "{named}");
        assert!(message(&answer).starts_with(&format!("The auxiliary token {position}{named}")), "{}", message(&answer));
        assert_eq!(message(&answer).contains(", of the tenant `"), !named.is_empty(), "{}", message(&answer));
        assert!(answer.header("www-authenticate").starts_with("Bearer "));
    }
    let encrypted = front.ask("operator", get(group.as_str()).header(HEADER, &format!("EncryptedBearer {}", lynx()))).await;
    assert_eq!(encrypted.told(), "401 InvalidAuxiliaryTokens token.auxiliary");
    assert_eq!(backend.log().arrived.len(), 0, "not even where none would have been needed");
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_of_them_that_has_two_readings_is_refused() {
    let (backend, front) = front("auxiliary-form").await;
    let group = format!("{}/resourceGroups/rg-web-prod?{V}", SHARED.subscription("alder-prod"));
    let one = bearer(&[&lynx()]);
    let four = bearer(&[&lynx(), &lynx(), &lynx(), &lynx()]);
    let malformed = "400 BadRequest request.malformed";
    for value in [four.as_str(), "", ",", &format!("{one},")] {
        assert_eq!(front.ask("operator", get(group.as_str()).header(HEADER, value)).await.told(), malformed, "{value}");
    }
    let doubled = get(group.as_str()).header(HEADER, &one).header(HEADER, &one);
    assert_eq!(front.ask("operator", doubled).await.told(), malformed);
    assert_eq!(backend.log().arrived.len(), 0);
    let three = front.ask("operator", get(group.as_str()).header(HEADER, &bearer(&[&lynx(), &marten(), &lynx()]))).await;
    assert_eq!(three.status, 200, "{}", three.told());
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auxiliary_token_opens_neither_what_a_query_is_about_nor_where_a_move_leads() {
    let (backend, front) = front("auxiliary-target").await;
    let asked = json!({ "subscriptions": [LYNX_MAIN.trim_start_matches("/subscriptions/")], "query": "Resources" });
    let query = || call("POST", "/providers/Microsoft.ResourceGraph/resources?api-version=2024-04-01").json(&asked);
    assert_eq!(front.ask("operator", query().header(HEADER, &bearer(&[&lynx()]))).await.told(), DENIED);
    assert_eq!(backend.log().arrived.len(), 0);
    assert_eq!(front.client.send(query().bearer(&lynx())).await.status, 200, "who has it may ask by itself");
    let from = format!("{}/resourceGroups/rg-web-prod", SHARED.subscription("alder-prod"));
    let to = json!({
        "resources": [format!("{from}/providers/Microsoft.Compute/virtualMachines/vm")],
        "targetResourceGroup": format!("{}/resourceGroups/rg", SHARED.subscription("alder-dev")),
    });
    let moved = || call("POST", format!("{from}/moveResources?{V}")).json(&to);
    let owner = SHARED.token("alder-owner").await;
    assert_eq!(front.ask("operator", moved().header(HEADER, &bearer(&[&owner]))).await.told(), DENIED);
    assert_eq!(front.client.send(moved().bearer(&owner)).await.status, 200, "who may write there may move there");
    assert_eq!(backend.log().arrived.len(), 2);
    front.drain().await;
}
