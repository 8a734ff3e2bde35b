//! Requests that are forwarded to the mock resource manager, and its answers on their way back.

use serde_json::json;
use steward::clock::Clock;

use crate::common::client::{Answer, PATIENCE, call, get};
use crate::common::installation::{Installation, SHARED};

const V: &str = "api-version=2024-07-01";

fn gateway() -> &'static str {
    &SHARED.demo.world.gateway
}

fn account(group: &str, name: &str) -> String {
    format!("{}/resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts/{name}?{V}", SHARED.subscription("alder-prod"))
}

fn machine(group: &str, name: &str) -> String {
    format!("{}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines/{name}?{V}", SHARED.subscription("alder-prod"))
}

/// The operation links of an answer.
fn links(answer: &Answer) -> Vec<String> {
    let names = ["azure-asyncoperation", "location", "operation-location"];
    names.iter().map(|name| answer.header(name).to_owned()).filter(|link| !link.is_empty()).collect()
}

/// Polls the operation as clients do, from the first answer to the end; every link on the way must be ours.
async fn poll_to_end(begun: &Answer) -> Answer {
    let (mut next, mut answer) = (String::new(), begun.clone());
    let started = Clock::instant();
    loop {
        let links = links(&answer);
        assert!(links.iter().all(|link| link.starts_with(&format!("{}/", gateway()))), "{links:?}");
        let told = serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap_or_default();
        let running = next.is_empty() || answer.status == 202 || told["status"] == "InProgress";
        if !running {
            return answer;
        }
        assert_eq!(answer.header("retry-after"), "1", "{:?}", answer.headers);
        assert!(started.elapsed() < PATIENCE, "the operation does not end");
        next = links.first().map_or(next, |link| link.strip_prefix(gateway()).unwrap().to_owned());
        answer = SHARED.ask("operator", get(next.as_str())).await;
    }
}

#[tokio::test]
async fn long_running_operations_are_polled_through_the_gateway_to_their_end() {
    let group = format!("{}/resourceGroups/rg-poll?{V}", SHARED.subscription("alder-prod"));
    assert_eq!(SHARED.ask("operator", call("PUT", group.as_str()).json(&json!({ "location": "westeurope" }))).await.status, 201);
    let begun = SHARED.ask("operator", call("PUT", machine("rg-poll", "vm-poll")).json(&json!({ "location": "westeurope" }))).await;
    assert!(begun.status.is_success() && !links(&begun).is_empty(), "{} {:?}", begun.status, begun.headers);
    assert!(poll_to_end(&begun).await.status.is_success());
    let made = SHARED.ask("operator", get(machine("rg-poll", "vm-poll"))).await.json();
    assert_eq!(made["properties"]["provisioningState"], "Succeeded", "{made}");
    let deleting = SHARED.ask("operator", call("DELETE", group.as_str())).await;
    assert_eq!(deleting.status, 202);
    assert!(poll_to_end(&deleting).await.status.is_success());
    assert_eq!(SHARED.ask("operator", get(group)).await.told(), "404 ResourceGroupNotFound");
}

#[tokio::test]
async fn every_page_of_a_list_leads_to_the_next_through_the_gateway() {
    let mut target = format!("{}/resources?{V}", SHARED.subscription("cedar-fleet"));
    let (mut items, mut pages) = (0, 0);
    loop {
        let page = SHARED.ask("reader", get(target)).await.json();
        items += page["value"].as_array().unwrap().len();
        pages += 1;
        let Some(next) = page["nextLink"].as_str() else { break };
        target = next.strip_prefix(gateway()).unwrap_or_else(|| panic!("{next}")).to_owned();
    }
    assert_eq!(items, 2_500);
    assert!(pages > 1);
}

#[tokio::test]
async fn links_to_foreign_hosts_are_removed_and_flagged() {
    let target = machine("rg-web-prod", "vm-foreign");
    let foreign = "https://evil.example/operations/1";
    SHARED.fault(&json!({ "match": { "path_prefix": target.split('?').next() }, "foreign_location": foreign })).await;
    let answer = SHARED.ask("operator", call("PUT", target).json(&json!({ "location": "westeurope" }))).await;
    assert!(answer.status.is_success(), "{}", answer.told());
    assert_eq!(links(&answer), [""; 0]);
    assert!(!format!("{:?}", answer.headers).contains("evil.example"));
    assert_eq!(answer.header("x-steward-flag"), "foreign link removed");
    assert!(SHARED.record(&answer).await["notes"].to_string().contains("foreign link removed"));
}

#[tokio::test]
async fn a_redirect_is_handed_on_and_not_followed() {
    let target = account("rg-web-prod", "redirected");
    let elsewhere = "https://acct.blob.core.windows.net/vhds/a.vhd?sig=x";
    SHARED.fault(&json!({ "match": { "path_prefix": target.split('?').next() }, "redirect": elsewhere })).await;
    let answer = SHARED.ask("operator", get(target)).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (307, elsewhere));
    assert!(SHARED.record(&answer).await["notes"].to_string().contains("redirect to a foreign host"));
}

#[tokio::test]
async fn an_oversized_list_is_an_error_and_an_oversized_thing_is_not() {
    let list = format!("{}/resourceGroups/rg-data/resources?{V}", SHARED.subscription("alder-prod"));
    let bytes = 9 * 1024 * 1024;
    SHARED.fault(&json!({ "match": { "path_prefix": list.split('?').next() }, "oversized_bytes": bytes })).await;
    assert_eq!(SHARED.ask("reader", get(list)).await.told(), "500 ResponseTooLarge upstream.answer_too_large");
    let one = account("rg-data", "large");
    SHARED.fault(&json!({ "match": { "path_prefix": one.split('?').next() }, "oversized_bytes": bytes })).await;
    let answer = SHARED.ask("reader", get(one)).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, bytes), "what is not read here is streamed");
}

#[tokio::test]
async fn errors_of_the_resource_manager_are_passed_on_as_they_are() {
    let target = account("rg-web-prod", "throttled");
    let fault =
        json!({ "match": { "path_prefix": target.split('?').next() }, "status": 429, "code": "TooManyRequests", "retry_after_s": 7 });
    SHARED.fault(&fault).await;
    let answer = SHARED.ask("reader", get(target)).await;
    assert_eq!((answer.told().as_str(), answer.header("retry-after")), ("429 TooManyRequests", "7"));
    assert!(!answer.headers.contains_key("x-ms-failure-cause"), "the gateway did not fail: {:?}", answer.headers);
}

#[tokio::test]
async fn a_list_above_the_grant_shows_what_is_granted_and_nothing_else() {
    let granite = SHARED.subscription("granite-main");
    for (list, expected) in [("resourceGroups", vec!["rg-backup"]), ("resources", vec!["granite-vault"])] {
        let answer = SHARED.ask("reader", get(format!("{granite}/{list}?{V}"))).await;
        let body = answer.json();
        let names: Vec<&str> = body["value"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{body}");
    }
    // Compressed, it could not be filtered: the backend is asked for plain text.
    let answer = SHARED.ask("reader", get(format!("{granite}/resources?{V}")).header("accept-encoding", "gzip")).await;
    assert_eq!(answer.json()["value"].as_array().unwrap().len(), 1);
}

/// Starts something that takes time in alder-prod, and gives the path of its operation.
async fn begin(installation: &Installation, name: &str) -> String {
    let alder = installation.subscription("alder-prod");
    let machine = format!("{alder}/resourceGroups/rg-web-prod/providers/Microsoft.Compute/virtualMachines/{name}?{V}");
    let begun = installation.ask("operator", call("PUT", machine).json(&json!({ "location": "westeurope" }))).await;
    links(&begun)[0].strip_prefix(&installation.demo.world.gateway).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_is_polled_by_its_starter_while_it_holds_a_role_there_and_by_nobody_of_another_tenant() {
    let installation = Installation::start("polling").await;
    let operation = begin(&installation, "pollrules").await;
    let told = async |identity: &str| installation.ask(identity, get(operation.as_str())).await.told();
    assert_eq!(told("operator").await, "200");
    assert_eq!(told("reader").await, "200", "a grant of the starter's tenant that covers it");
    assert_eq!(told("nobody").await, "403 AuthorizationFailed role.principal");
    assert_eq!(told("alder-owner").await, "404 ResourceNotFound", "even the customer's owner is of another tenant");
    assert_eq!(told("rival").await, "404 SubscriptionNotFound");
    assert_eq!(told("operator").await, "200");

    let file = installation.folder.join("policies/customers/alder.toml");
    let policy = std::fs::read_to_string(&file).unwrap();
    let revoked = policy.replace("[[delegation.authorization]]\nwho = \"operator\"\nrole = \"Contributor\"\n", "");
    assert_ne!(policy, revoked);
    std::fs::write(&file, revoked).unwrap();
    let reload = installation.admin(call("POST", "/api/policies/reload")).await;
    assert_eq!(reload.status, 200, "{:?}", reload.body);
    assert_eq!(told("operator").await, "403 AuthorizationFailed role.principal", "the end may hold keys, and the last role is gone");
    let alder = installation.subscription("alder-prod");
    assert_eq!(installation.ask("operator", get(format!("{alder}/resourceGroups?{V}"))).await.status, 403);
    let deleting = call("DELETE", operation.as_str());
    assert_eq!(installation.ask("operator", deleting).await.status, 403);
    installation.demo.drain().await;
}
