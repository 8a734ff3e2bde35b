//! The mock resource manager, driven over TLS with a gateway's key: what a client sees of each promise.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "helpers outside of test functions, in a test of its own"
)]

#[path = "common/folders.rs"]
mod folders;
#[path = "resource_manager/harness.rs"]
mod harness;
#[path = "common/mock.rs"]
mod mock;

use std::time::Duration;

use harness::{ALDER, BASE, Backend, CEDAR, CUSTOMER, DUNE, claims};
use mock::{CALLER, HOME, signed, state_file};
use serde_json::{Value, json};
use steward::resource_manager::{Home, Store};

const OPERATION_TIME: Duration = Duration::from_secs(10);

fn group() -> String {
    format!("{ALDER}/resourceGroups/rg-web")
}

fn machine() -> String {
    format!("{}/providers/Microsoft.Compute/virtualMachines/Web-01", group())
}

fn account() -> String {
    format!("{}/providers/Microsoft.Storage/storageAccounts/alder1", group())
}

fn somewhere() -> Value {
    json!({ "location": "westeurope" })
}

#[tokio::test]
async fn only_the_gateways_assertion_opens_the_backend() {
    let backend = Backend::start().await;
    let good = claims(&backend.clock, ALDER);
    let changed = |member: &str, value: Value| {
        let mut claims = good.clone();
        claims[member] = value;
        claims
    };
    let now = backend.clock.now().as_second();
    let caller = [("x-ms-client-object-id", CALLER), ("x-ms-client-tenant-id", HOME)];
    let mut table = vec![
        (signed(7, &good), "200"),
        (String::new(), "401 AuthenticationFailed"),
        ("Bearer abc".to_owned(), "401 AuthenticationFailed"),
        (signed(8, &good), "401 AuthenticationFailed"),
    ];
    for (member, value, expected) in [
        ("aud", json!("https://management.azure.com"), "401 AuthenticationFailed"),
        ("iss", json!("https://other"), "401 AuthenticationFailed"),
        ("exp", json!(now - 1), "401 AuthenticationFailed"),
        ("tid", json!(HOME), "401 InvalidAuthenticationTokenTenant"),
        ("scp", json!(format!("{ALDER}/resourceGroups/rg-web2")), "403 AuthorizationFailed"),
        ("scp", json!(CEDAR), "403 AuthorizationFailed"),
        ("scp", json!("/"), "403 AuthorizationFailed"),
        ("scp", json!(group().to_uppercase().replace("/SUBSCRIPTIONS", "/subscriptions")), "200"),
    ] {
        table.push((signed(7, &changed(member, value)), expected));
    }
    for (assertion, expected) in table {
        let mut headers = caller.to_vec();
        if !assertion.is_empty() {
            headers.push(("authorization", assertion.as_str()));
        }
        let answer = backend.send("GET", &group(), None, &headers).await.unwrap();
        assert_eq!(answer.told(), expected, "{assertion}");
        assert_eq!(answer.status == 401, answer.header("www-authenticate").starts_with("Bearer "));
    }
}

#[tokio::test]
async fn headers_that_contradict_the_assertion_are_refused() {
    let backend = Backend::start().await;
    let assertion = backend.assertion(&claims(&backend.clock, ALDER));
    for (object, tenant) in [(CALLER, CUSTOMER), (HOME, HOME), ("", HOME)] {
        let headers = [("authorization", assertion.as_str()), ("x-ms-client-object-id", object), ("x-ms-client-tenant-id", tenant)];
        assert_eq!(backend.send("GET", &group(), None, &headers).await.unwrap().told(), "403 AuthorizationFailed");
    }
}

#[tokio::test]
async fn resources_of_any_depth_can_be_put_read_and_deleted() {
    let backend = Backend::start().await;
    let network = format!("{}/providers/microsoft.network/virtualnetworks/Vnet-1", group());
    let subnet = format!("{network}/subnets/Front");
    let lock = format!("{network}/providers/Microsoft.Authorization/locks/keep");
    assert_eq!(backend.put(&subnet, json!({})).await.told(), "404 ParentResourceNotFound");
    let body = json!({ "location": "West Europe", "tags": { "a": "1" }, "sku": { "name": "S" }, "properties": { "addressSpace": {} } });
    assert_eq!(backend.put(&network, body).await.told(), "201");
    assert_eq!(backend.put(&subnet, json!({ "properties": { "addressPrefix": "10.0.0.0/24" } })).await.told(), "201");
    assert_eq!(backend.put(&lock, json!({ "properties": { "level": "CanNotDelete" } })).await.told(), "201");

    let read = backend.get(&network.to_uppercase().replace("/SUBSCRIPTIONS", "/subscriptions")).await;
    let body = &read.body;
    // The casing of the group's creation, the provider's own, and that of the first PUT.
    assert_eq!(body["id"], format!("{ALDER}/resourceGroups/rg-Web/providers/Microsoft.Network/virtualNetworks/Vnet-1"));
    assert_eq!((&body["name"], &body["type"]), (&json!("Vnet-1"), &json!("Microsoft.Network/virtualNetworks")));
    assert_eq!((&body["sku"]["name"], &body["tags"]["a"], read.state()), (&json!("S"), &json!("1"), "Succeeded"));
    assert_eq!(body["systemData"]["createdBy"], "operator@provider.example");
    assert_eq!(read.header("etag"), body["etag"].as_str().unwrap());
    let read = backend.get(&subnet).await;
    assert!(read.body["id"].as_str().unwrap().ends_with("/virtualNetworks/Vnet-1/subnets/Front"), "{read:?}");
    assert_eq!(backend.get(&lock).await.body["properties"]["level"], "CanNotDelete");

    assert_eq!(backend.get(&format!("{network}/subnets")).await.names(), ["Front"]);
    assert_eq!(backend.get(&format!("{}/providers/Microsoft.Network/virtualNetworks", group())).await.names(), ["Vnet-1"]);
    assert_eq!(backend.get(&format!("{ALDER}/providers/Microsoft.Network/virtualNetworks")).await.names(), ["Vnet-1"]);
    assert_eq!(backend.get(&format!("{ALDER}/resources")).await.names(), ["Vnet-1"]);

    let patched = backend.call("PATCH", &network, Some(json!({ "tags": { "b": "2" }, "sku": null })), &[]).await;
    assert_eq!((&patched.body["tags"], &patched.body["sku"]), (&json!({ "a": "1", "b": "2" }), &Value::Null));
    assert_eq!(backend.put(&network, json!({ "location": "uksouth" })).await.told(), "409 InvalidResourceLocation");
    assert_eq!(backend.delete(&network).await.told(), "200");
    for gone in [&network, &subnet, &lock] {
        assert_eq!(backend.get(gone).await.told(), "404 ResourceNotFound");
        assert_eq!(backend.delete(gone).await.told(), "204");
    }
}

#[tokio::test]
async fn a_query_of_the_resource_graph_finds_what_its_subscriptions_hold() {
    let backend = Backend::start().await;
    backend.put(&account(), somewhere()).await;
    let disk = format!("{}/providers/Microsoft.Compute/disks/data", group());
    backend.put(&disk, somewhere()).await;
    let id = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    const GRAPH: &str = "/providers/Microsoft.ResourceGraph/resources";
    let ask = async |subscriptions: &[&str], query: &str, options: Value| {
        let subscriptions: Vec<String> = subscriptions.iter().map(|path| id(path)).collect();
        backend.call("POST", GRAPH, Some(json!({ "subscriptions": subscriptions, "query": query, "options": options })), &[]).await
    };
    let all = ask(&[ALDER], "Resources", Value::Null).await;
    assert_eq!(all.told(), "200");
    let total = all.body["totalRecords"].as_u64().unwrap();
    assert!(total >= 2 && all.body["count"] == total && all.body["resultTruncated"] == "false", "{:?}", all.body);
    let disks =
        ask(&[ALDER], "resources | where type =~ 'microsoft.compute/DISKS' | project name, type, resourceGroup, none", json!({})).await;
    let row = json!({ "name": "data", "type": "microsoft.compute/disks", "resourceGroup": "rg-web", "none": null });
    assert_eq!(disks.body["data"], json!([row]));
    assert_eq!(ask(&[ALDER], "Resources | count", Value::Null).await.body["data"], json!([{ "Count": total }]));
    let page = ask(&[ALDER], "Resources", json!({ "$top": 1 })).await.body;
    assert_eq!((&page["count"], &page["resultTruncated"], &page["$skipToken"]), (&json!(1), &json!("true"), &json!("1")));
    let next = ask(&[ALDER], "Resources", json!({ "$top": 1, "$skipToken": "1" })).await.body;
    assert_ne!(page["data"][0]["id"], next["data"][0]["id"]);
    assert_eq!(ask(&[ALDER], "Resources | take 1", Value::Null).await.body["totalRecords"], 1);

    let unknown = ask(&[ALDER], "Resources | summarize count() by type", Value::Null).await;
    assert_eq!(unknown.told(), "400 InvalidRequestContent");
    let message = unknown.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("`summarize count() by type`") && message.contains("| project a, b"), "{message}");
    assert_eq!(ask(&[], "Resources", Value::Null).await.told(), "400 InvalidRequestContent");
    assert_eq!(
        ask(&["/subscriptions/0f000000-0000-4000-8000-00000000000f"], "Resources", Value::Null).await.told(),
        "404 SubscriptionNotFound"
    );
    assert_eq!(backend.get(GRAPH).await.told(), "405 MethodNotAllowed");
    // An assertion for one subscription asks that one.
    let caller = backend.assertion(&claims(&backend.clock, ALDER));
    let caller = [
        ("authorization", caller.as_str()),
        ("x-ms-client-object-id", CALLER),
        ("x-ms-client-tenant-id", HOME),
        ("content-type", "application/json"),
    ];
    for (subscription, expected) in [(ALDER, "200"), (CEDAR, "403 AuthorizationFailed")] {
        let body = json!({ "subscriptions": [id(subscription)], "query": "Resources" }).to_string().into();
        assert_eq!(backend.send("POST", GRAPH, Some(body), &caller).await.unwrap().told(), expected);
    }
}

#[tokio::test]
async fn what_is_new_is_answered_as_the_clients_of_its_type_take_it() {
    let backend = Backend::start().await;
    let made = async |kind: &str| backend.put(&format!("{}/providers/{kind}/new", group()), somewhere()).await.told();
    assert_eq!(made("Microsoft.Compute/virtualMachines").await, "201");
    assert_eq!(made("Microsoft.Network/virtualNetworks").await, "201");
    assert_eq!(made("Microsoft.Compute/disks").await, "200");
    assert_eq!(made("Microsoft.Storage/storageAccounts").await, "200");
}

#[tokio::test]
async fn etags_guard_against_lost_updates() {
    let backend = Backend::start().await;
    let account = account();
    let conditional = async |method: &str, name: &str, value: &str| {
        let body = (method != "DELETE").then(somewhere);
        backend.call(method, &account, body, &[(name, value)]).await.told()
    };
    assert_eq!(conditional("PUT", "if-match", "*").await, "412 PreconditionFailed");
    assert_eq!(conditional("PATCH", "if-match", "*").await, "404 ResourceNotFound");
    assert_eq!(conditional("DELETE", "if-match", "*").await, "204");
    assert_eq!(conditional("PUT", "if-none-match", "*").await, "200");
    assert_eq!(conditional("PUT", "if-none-match", "*").await, "412 PreconditionFailed");
    let first = backend.get(&account).await.header("etag").to_owned();
    assert_eq!(conditional("PUT", "if-match", &first).await, "200");
    for method in ["PUT", "PATCH", "DELETE"] {
        assert_eq!(conditional(method, "if-match", &first).await, "412 PreconditionFailed", "{method}");
    }
    let second = backend.get(&account).await.header("etag").to_owned();
    assert_ne!(first, second);
    assert_eq!(backend.call("GET", &account, None, &[("if-none-match", &second)]).await.status, 304);
    assert_eq!(conditional("DELETE", "if-match", &second).await, "200");
}

#[tokio::test]
async fn identities_have_ids_that_nobody_else_can_write() {
    let backend = Backend::start().await;
    let above = format!("{}/providers", group());
    let body = json!({ "location": "westeurope", "properties": { "principalId": "mine" } });
    let path = format!("{above}/Microsoft.ManagedIdentity/userAssignedIdentities/i");
    let made = backend.put(&path, body.clone()).await.body["properties"].clone();
    assert_eq!(made["principalId"].as_str().unwrap().len(), 36, "{made}");
    assert_eq!(backend.put(&path, body).await.body["properties"]["principalId"], made["principalId"]);
    let body = json!({ "location": "westeurope", "identity": { "type": "SystemAssigned", "principalId": "mine" } });
    let other = backend.put(&format!("{above}/Microsoft.Web/sites/s"), body).await.body["identity"].clone();
    assert_eq!(other["principalId"].as_str().unwrap().len(), 36, "{other}");
    assert_ne!(other["principalId"], made["principalId"]);
}

#[tokio::test]
async fn a_long_running_put_is_followed_by_its_status() {
    let backend = Backend::start().await;
    let made = backend.put(&machine(), somewhere()).await;
    assert_eq!((made.told().as_str(), made.state(), made.header("retry-after")), ("201", "Creating", "1"));
    let status = made.header("azure-asyncoperation").to_owned();
    assert!(status.starts_with(&format!("{BASE}{ALDER}/providers/Microsoft.Compute/locations/westeurope/operations/")), "{status}");
    let poll = backend.get(&status).await;
    assert_eq!((poll.status.as_u16(), &poll.body["status"], poll.header("retry-after")), (200, &json!("InProgress"), "1"));
    assert_eq!(backend.put(&machine(), somewhere()).await.told(), "409 AnotherOperationInProgress");

    backend.clock.advance(OPERATION_TIME);
    let poll = backend.get(&status).await;
    assert_eq!((&poll.body["status"], poll.header("retry-after")), (&json!("Succeeded"), ""));
    assert!(poll.body["endTime"].is_string());
    assert_eq!(backend.get(&machine()).await.state(), "Succeeded");
}

#[tokio::test]
async fn a_machine_is_switched_off_by_an_operation_of_either_style() {
    let backend = Backend::start().await;
    let power = async || {
        let view =
            backend.get(&format!("{}?$expand=instanceView&{}", machine(), harness::V)).await.body["properties"]["instanceView"].clone();
        assert_eq!(backend.get(&format!("{}/instanceView", machine())).await.body, view);
        view["statuses"][1]["code"].as_str().unwrap().to_owned()
    };
    backend.put(&machine(), somewhere()).await;
    backend.clock.advance(OPERATION_TIME);
    assert_eq!(power().await, "PowerState/running");
    let accepted = backend.post(&format!("{}/deallocate", machine())).await;
    assert_eq!((accepted.told().as_str(), accepted.header("retry-after")), ("202", "1"));
    let (result, status) = (accepted.header("location").to_owned(), accepted.header("azure-asyncoperation").to_owned());
    let poll = backend.get(&result).await;
    assert_eq!((poll.told().as_str(), poll.header("location"), poll.header("retry-after")), ("202", result.as_str(), "1"));
    assert_eq!(power().await, "PowerState/deallocating");
    backend.clock.advance(OPERATION_TIME);
    assert_eq!(backend.get(&result).await.told(), "200");
    assert_eq!(backend.get(&status).await.body["status"], "Succeeded");
    assert_eq!(power().await, "PowerState/deallocated");
    assert_eq!(backend.post(&format!("{}/explode", machine())).await.told(), "404 InvalidResourceType");
    assert_eq!(backend.post(&machine()).await.told(), "405 MethodNotAllowed");
}

#[tokio::test]
async fn an_operation_can_fail_or_be_canceled() {
    let backend = Backend::start().await;
    for (status, code) in [("Failed", "AllocationFailed"), ("Canceled", "OperationCanceled")] {
        let failure = json!({ "status": status, "code": code, "message": "no room" });
        backend
            .fault(json!({ "match": { "method": "PUT", "type": "Microsoft.Compute/virtualMachines" }, "fail_operation": failure }))
            .await;
        let made = backend.put(&machine(), somewhere()).await;
        assert_eq!(made.state(), if status == "Failed" { "Creating" } else { "Updating" });
        backend.clock.advance(OPERATION_TIME);
        let poll = backend.get(made.header("azure-asyncoperation")).await;
        assert_eq!(
            (&poll.body["status"], &poll.body["error"]["code"], &poll.body["error"]["message"]),
            (&json!(status), &json!(code), &json!("no room"))
        );
        assert_eq!(backend.get(&machine()).await.state(), status);
    }
    backend.fault(json!({ "match": { "method": "DELETE" }, "fail_operation": { "code": "Conflict" } })).await;
    let accepted = backend.delete(&group()).await;
    backend.clock.advance(OPERATION_TIME);
    assert_eq!(backend.get(accepted.header("location")).await.told(), "409 Conflict");
    assert_eq!(backend.get(&group()).await.state(), "Failed");
    assert_eq!(backend.get(&machine()).await.told(), "200");
}

#[tokio::test]
async fn an_operation_is_open_to_its_starter_and_to_nobody_outside_its_scope() {
    let backend = Backend::start().await;
    let status = backend.put(&machine(), somewhere()).await.header("azure-asyncoperation").to_owned();
    let poll = async |caller: &str, scope: &str| {
        let mut claims = claims(&backend.clock, scope);
        claims["sub"] = json!(caller);
        claims["act"]["sub"] = json!(caller);
        let assertion = backend.assertion(&claims);
        let headers = [("authorization", assertion.as_str()), ("x-ms-client-object-id", caller), ("x-ms-client-tenant-id", HOME)];
        backend.send("GET", &status, None, &headers).await.unwrap().told()
    };
    let other = CUSTOMER;
    assert_eq!(poll(CALLER, &format!("{ALDER}/resourceGroups/elsewhere")).await, "200");
    assert_eq!(poll(other, &group()).await, "200");
    assert_eq!(poll(other, ALDER).await, "200");
    assert_eq!(poll(other, &format!("{ALDER}/resourceGroups/elsewhere")).await, "404 OperationNotFound");
}

#[tokio::test]
async fn a_deleted_group_takes_its_resources_with_it_one_by_one() {
    let backend = Backend::start().await;
    let accounts: Vec<_> = (1..=3).map(|number| format!("{}{number}", account())).collect();
    for account in &accounts {
        assert_eq!(backend.put(account, somewhere()).await.told(), "200");
    }
    let accepted = backend.delete(&group()).await;
    let location = accepted.header("location").to_owned();
    assert_eq!((accepted.told().as_str(), accepted.header("azure-asyncoperation")), ("202", ""));
    assert_eq!(backend.get(&group()).await.state(), "Deleting");
    assert_eq!(backend.put(&accounts[0], somewhere()).await.told(), "409 ResourceGroupBeingDeleted");
    assert_eq!(backend.put(&group(), somewhere()).await.told(), "409 ResourceGroupBeingDeleted");
    assert_eq!(backend.delete(&group()).await.header("location"), location);
    let left = async || backend.get(&format!("{ALDER}/resources")).await.names().len();
    let mut seen = vec![left().await];
    for _ in 0..3 {
        backend.clock.advance(OPERATION_TIME / 4);
        seen.push(left().await);
    }
    assert_eq!(seen, [3, 2, 1, 0]);
    assert_eq!(backend.get(&location).await.told(), "202");
    backend.clock.advance(OPERATION_TIME / 4);
    assert_eq!(backend.get(&location).await.told(), "200");
    assert_eq!(backend.get(&group()).await.told(), "404 ResourceGroupNotFound");
    assert_eq!(backend.get(&accounts[0]).await.told(), "404 ResourceGroupNotFound");
    assert_eq!(backend.delete(&group()).await.told(), "404 ResourceGroupNotFound");
    assert_eq!(backend.put(&group(), somewhere()).await.told(), "201");
}

#[tokio::test]
async fn groups_are_found_by_tag_and_by_head() {
    let backend = Backend::start().await;
    let other = format!("{ALDER}/resourcegroups/rg-other");
    assert_eq!(backend.put(&other, json!({ "location": "uksouth", "tags": { "env": "dev" } })).await.told(), "201");
    assert_eq!(backend.call("HEAD", &other, None, &[]).await.status, 204);
    assert_eq!(backend.call("HEAD", &format!("{ALDER}/resourcegroups/none"), None, &[]).await.status, 404);
    let list = async |query: &str| backend.get(&format!("{ALDER}/resourcegroups?{query}&{}", harness::V)).await;
    assert_eq!(list("").await.names(), ["rg-other", "rg-Web"]);
    assert_eq!(list("$filter=tagName%20eq%20'env'%20and%20tagValue%20eq%20'dev'").await.names(), ["rg-other"]);
    assert_eq!(list("%24filter=tagName+eq+'env'").await.names(), ["rg-other", "rg-Web"]);
    assert_eq!(list("$filter=nonsense").await.told(), "400 InvalidFilterInQueryString");
    assert_eq!(list("$top=1").await.names(), ["rg-other"]);
    assert_eq!(list("$top=0").await.told(), "400 InvalidQueryParameterValue");
}

#[tokio::test]
async fn a_large_subscription_is_read_in_pages_that_keep_the_query() {
    let backend = Backend::start().await;
    let first = format!("{CEDAR}/resources?$filter=resourceType%20eq%20'Microsoft.Compute/disks'&$expand=createdTime&{}", harness::V);
    let mut next = Some(first);
    let (mut pages, mut names) = (0, Vec::new());
    while let Some(link) = next {
        let page = backend.get(&link).await;
        assert!(page.body["value"][0]["createdTime"].is_string());
        names.extend(page.names());
        pages += 1;
        next = page.body["nextLink"].as_str().map(str::to_owned);
        let kept = |link: &String| link.starts_with(BASE) && link.contains("$filter=resourceType%20eq") && link.contains(harness::V);
        assert!(next.as_ref().is_none_or(kept), "{next:?}");
    }
    names.dedup();
    assert_eq!((pages, names.len()), (3, 2_500));
    assert_eq!(backend.get(&format!("{CEDAR}/resources?$skiptoken=x&{}", harness::V)).await.told(), "400 InvalidQueryParameterValue");

    backend.fault(json!({ "empty_page": true })).await;
    let empty = backend.get(&format!("{CEDAR}/resources?$top=2&{}", harness::V)).await;
    assert!(empty.names().is_empty());
    assert_eq!(backend.get(empty.body["nextLink"].as_str().unwrap()).await.names(), ["disk-00001", "disk-00002"]);
}

#[tokio::test]
async fn a_namespace_must_be_registered_before_it_is_written_to() {
    let backend = Backend::start().await;
    let provider = format!("{ALDER}/providers/Microsoft.Quantum");
    let workspace = format!("{}/providers/Microsoft.Quantum/workspaces/w", group());
    let refused = backend.put(&workspace, somewhere()).await;
    assert_eq!(refused.told(), "409 MissingSubscriptionRegistration");
    // Clients take the namespace out of the last quotes.
    assert_eq!(refused.body["error"]["message"].as_str().unwrap().rsplit('\'').nth(1), Some("Microsoft.Quantum"));
    let state = async || backend.get(&provider).await.body["registrationState"].as_str().unwrap().to_owned();
    assert_eq!(state().await, "NotRegistered");
    assert_eq!(backend.post(&format!("{provider}/register")).await.body["registrationState"], "Registering");
    backend.clock.advance(OPERATION_TIME);
    assert_eq!(state().await, "Registered");
    assert_eq!(backend.put(&workspace, somewhere()).await.told(), "201");
    assert_eq!(backend.post(&format!("{provider}/unregister")).await.body["registrationState"], "NotRegistered");

    let all = backend.get(&format!("{ALDER}/providers")).await;
    assert_eq!(all.body["value"].as_array().unwrap().len(), 301);
    let one = backend.get("/providers/microsoft.compute").await;
    assert_eq!((&one.body["namespace"], &one.body["registrationState"]), (&json!("Microsoft.Compute"), &Value::Null));
}

#[tokio::test]
async fn what_is_malformed_or_unknown_is_refused_with_its_code() {
    let backend = Backend::start().await;
    let put = async |path: String, kind: &str, body: &str| {
        backend.call("GET", ALDER, None, &[]).await;
        let assertion = backend.assertion(&claims(&backend.clock, ALDER));
        let headers = [
            ("authorization", assertion.as_str()),
            ("x-ms-client-object-id", CALLER),
            ("x-ms-client-tenant-id", HOME),
            ("content-type", kind),
        ];
        backend.send("PUT", &path, Some(body.to_owned().into()), &headers).await.unwrap().told()
    };
    let json_type = "application/json; charset=utf-8";
    assert_eq!(put(account(), json_type, "{}").await, "400 LocationRequired");
    assert_eq!(put(account(), json_type, "").await, "400 InvalidRequestContent");
    assert_eq!(put(account(), json_type, "[]").await, "400 InvalidRequestContent");
    assert_eq!(put(account(), json_type, "{\"location\":").await, "400 InvalidRequestContent");
    assert_eq!(put(account(), json_type, r#"{"location":"a/b"}"#).await, "400 InvalidRequestContent");
    assert_eq!(put(account(), "text/plain", "{}").await, "415 UnsupportedMediaType");
    assert_eq!(put(account(), json_type, &format!("\"{}\"", "x".repeat(4 * 1024 * 1024))).await, "413 RequestContentTooLarge");
    assert_eq!(put(format!("{ALDER}/resourceGroups/bad."), json_type, "{}").await, "400 InvalidResourceGroupName");
    assert_eq!(put(format!("{}%3Ab", account()), json_type, "{}").await, "400 InvalidResourceName");
    assert_eq!(put(format!("{}?api-version=x", account()), json_type, "{}").await, "400 InvalidApiVersionParameter");
    let get = async |path: String| backend.get(&path).await.told();
    assert_eq!(get(format!("{}?x=y", account())).await, "400 MissingApiVersionParameter");
    assert_eq!(get(account()).await, "404 ResourceNotFound");
    assert_eq!(get(account().replace("rg-web", "none")).await, "404 ResourceGroupNotFound");
    assert_eq!(get(format!("{}/providers/Contoso.Rockets/rockets/r", group())).await, "404 InvalidResourceNamespace");
    assert_eq!(get(format!("{}/providers/Microsoft.Compute/rockets/r", group())).await, "404 InvalidResourceType");
    assert_eq!(get("/subscriptions/0e000000-0000-4000-8000-00000000000e".to_owned()).await, "404 SubscriptionNotFound");
    assert_eq!(get("/subscriptions/nope".to_owned()).await, "400 InvalidSubscriptionId");
    assert_eq!(backend.delete(&format!("{ALDER}/locations")).await.told(), "405 MethodNotAllowed");
}

#[tokio::test]
async fn a_disabled_subscription_can_be_read_and_emptied_only() {
    let backend = Backend::start().await;
    let group = format!("{DUNE}/resourceGroups/rg-app");
    assert_eq!(backend.put(&group, somewhere()).await.told(), "409 ReadOnlyDisabledSubscription");
    assert_eq!(backend.get(DUNE).await.body["state"], "Disabled");
    assert_eq!(backend.get(&group).await.told(), "200");
    assert_eq!(backend.delete(&group).await.told(), "202");
    assert_eq!(backend.get("/subscriptions").await.body["value"].as_array().unwrap().len(), 3);
    assert!(backend.get(&format!("{DUNE}/locations")).await.names().contains(&"westeurope".to_owned()));
}

#[tokio::test]
async fn every_answer_carries_the_common_headers() {
    let backend = Backend::start().await;
    let correlation = "9d6b8f8e-8f52-4ad0-9c6a-1f1f1f1f1f1f";
    for path in [group(), account()] {
        let answer = backend.call("GET", &path, None, &[("x-ms-correlation-request-id", correlation)]).await;
        assert_eq!(answer.header("content-type"), "application/json; charset=utf-8");
        assert_eq!(answer.header("x-ms-correlation-request-id"), correlation);
        assert_eq!(answer.header("x-ms-request-id").len(), 36);
        assert!(answer.header("x-ms-routing-request-id").ends_with(answer.header("x-ms-request-id")));
        assert_eq!(!answer.header("x-ms-ratelimit-remaining-subscription-reads").is_empty(), answer.status == 200);
    }
}

#[tokio::test]
async fn keys_are_listed_for_who_asks() {
    let backend = Backend::start().await;
    backend.put(&account(), somewhere()).await;
    let keys = backend.post(&format!("{}/listKeys", account())).await.body["keys"].clone();
    assert_eq!((&keys[0]["keyName"], keys.as_array().unwrap().len()), (&json!("key1"), 2));
    assert_ne!(keys[0]["value"], keys[1]["value"]);
    assert_eq!(backend.post(&format!("{ALDER}/providers/Microsoft.Storage/checkNameAvailability")).await.body["nameAvailable"], true);
}

#[tokio::test]
async fn acknowledged_writes_are_there_after_a_crash() {
    let file = state_file("crash");
    let backend = Backend::start_with(Store::File(file.clone()), OPERATION_TIME).await;
    assert_eq!(backend.put(&account(), somewhere()).await.told(), "200");
    let made = backend.put(&machine(), somewhere()).await;
    let etag = backend.get(&account()).await.header("etag").to_owned();
    backend.post(&format!("{ALDER}/providers/Microsoft.Quantum/register")).await;
    let disk = format!("{CEDAR}/resourceGroups/rg-fleet/providers/Microsoft.Compute/disks/disk-00001");
    assert_eq!(backend.delete(&disk).await.told(), "202");
    // What is on the disk while the first one still runs is what a killed one leaves.
    let left = state_file("crash-left");
    for suffix in ["", "-wal"] {
        std::fs::copy(format!("{}{suffix}", file.display()), format!("{}{suffix}", left.display())).unwrap();
    }
    backend.stop().await;

    let backend = Backend::start_with(Store::File(left), OPERATION_TIME).await;
    assert_eq!(backend.get(&account()).await.header("etag"), etag);
    assert_eq!(backend.get(made.header("azure-asyncoperation")).await.body["status"], "InProgress");
    backend.clock.advance(OPERATION_TIME);
    assert_eq!(backend.get(&machine()).await.state(), "Succeeded");
    assert_eq!(backend.get(&format!("{ALDER}/providers/Microsoft.Quantum")).await.body["registrationState"], "Registered");
    // The seed is sown into a new world only.
    assert_eq!(backend.get(&format!("{CEDAR}/resources?$top=1&{}", harness::V)).await.names(), ["disk-00002"]);
    backend.stop().await;
}

#[tokio::test]
async fn new_subscriptions_are_adopted_and_old_ones_keep_what_they_have() {
    let backend = Backend::start().await;
    let new = "/subscriptions/0f000000-0000-4000-8000-00000000000f";
    assert_eq!(backend.get(new).await.told(), "404 SubscriptionNotFound");
    let home = |path: &str| Home { id: path.rsplit('/').next().unwrap().parse().unwrap(), tenant: CUSTOMER.parse().unwrap() };
    let named = [("fjord".to_owned(), home(new)), ("dune".to_owned(), home(DUNE))];
    backend.manager.adopt(&named.into()).await.unwrap();
    assert_eq!(backend.get(new).await.body["displayName"], "fjord");
    assert_eq!(backend.get(DUNE).await.body["state"], "Disabled");
}

#[tokio::test]
async fn a_snapshot_brings_back_the_world_and_a_reset_the_seed() {
    let backend = Backend::start().await;
    backend.put(&account(), somewhere()).await;
    let (_, snapshot) = backend.admin("POST", "/mock/snapshot", Value::Null).await;
    backend.delete(&account()).await;
    assert_eq!(backend.get(&account()).await.told(), "404 ResourceNotFound");
    assert_eq!(backend.admin("POST", "/mock/restore", snapshot).await.0, 200);
    assert_eq!(backend.get(&account()).await.told(), "200");
    assert_eq!(backend.admin("POST", "/mock/restore", json!({ "schema": "other/1", "rows": [] })).await.0, 400);
    assert_eq!(backend.admin("POST", "/mock/reset", Value::Null).await.0, 200);
    assert_eq!(backend.get(&account()).await.told(), "404 ResourceNotFound");
    assert_eq!(backend.get(&group()).await.told(), "200");
    assert_eq!(backend.admin("GET", "/mock/nothing", Value::Null).await.0, 404);
}

#[tokio::test]
async fn faults_befall_the_requests_they_name_and_no_others() {
    let backend = Backend::start().await;
    let caller = backend.assertion(&claims(&backend.clock, ALDER));
    let caller = [("authorization", caller.as_str()), ("x-ms-client-object-id", CALLER), ("x-ms-client-tenant-id", HOME)];
    let cut = async |fault: Value| {
        backend.fault(fault).await;
        backend.send("GET", &group(), None, &caller).await.is_none()
    };
    let only = json!({ "method": "GET", "path_prefix": group() });
    backend.fault(json!({ "match": only, "times": 2, "status": 429, "code": "TooManyRequests", "retry_after_s": 3 })).await;
    assert_eq!(backend.get(ALDER).await.told(), "200");
    for _ in 0..2 {
        let throttled = backend.get(&group()).await;
        assert_eq!((throttled.told().as_str(), throttled.header("retry-after")), ("429 TooManyRequests", "3"));
    }
    assert_eq!(backend.get(&group()).await.told(), "200");

    assert!(cut(json!({ "drop_connection": true })).await);
    assert!(cut(json!({ "cut_body": true })).await);
    assert!(!cut(json!({ "latency_ms": 20, "body_delay_ms": 20 })).await);
    backend.fault(json!({ "redirect": "https://a.blob.core.windows.net/x" })).await;
    let redirected = backend.get(&group()).await;
    assert_eq!((redirected.told().as_str(), redirected.header("location")), ("307", "https://a.blob.core.windows.net/x"));
    backend.fault(json!({ "oversized_bytes": 9_000_000 })).await;
    assert_eq!(backend.get(&group()).await.header("content-length"), "9000000");
    backend.fault(json!({ "foreign_location": "https://evil.example/x" })).await;
    assert_eq!(backend.delete(&group()).await.header("location"), "https://evil.example/x");

    backend.fault(json!({ "status": 500, "times": 9 })).await;
    assert_eq!(backend.admin("DELETE", "/mock/faults", Value::Null).await.0, 200);
    assert_eq!(backend.get(ALDER).await.told(), "200");
    for wrong in [json!({ "status": 200 }), json!({ "code": "Whatever" }), json!({ "sttaus": 500 }), json!({ "latency_ms": 10_000_000 })] {
        assert_eq!(backend.admin("POST", "/mock/faults", wrong).await.0, 400);
    }
}

#[tokio::test]
async fn the_journal_shows_what_arrived_and_no_secret() {
    let backend = Backend::start().await;
    backend.call("GET", &group(), None, &[("x-custom", "seen"), ("x-ms-authorization-auxiliary", "Bearer hidden")]).await;
    let (_, journal) = backend.admin("GET", "/mock/requests", Value::Null).await;
    let entry = &journal["requests"][0];
    assert_eq!((&entry["method"], &entry["path"], &entry["query"]), (&json!("GET"), &json!(group()), &json!(harness::V)));
    let headers = entry["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["x-custom", "seen"])));
    assert!(headers.contains(&json!(["authorization", "<secret>"])));
    assert!(headers.contains(&json!(["x-ms-authorization-auxiliary", "<secret>"])));
}
