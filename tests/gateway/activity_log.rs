//! The activity log over HTTP: of a subscription from decision records, of a managing tenant from events of delegations.

use serde_json::{Value, json};

use super::own_api::{MS, READER, bound, in_dev, offered, ok, tenant};
use crate::common::backend::{Act, Backend, Front, json_answer};
use crate::common::client::{Call, call, get};
use crate::common::installation::SHARED;

const VERSION: &str = "api-version=2015-04-01";

fn log(scope: &str, more: &str) -> Call {
    get(format!("{scope}/providers/microsoft.insights/eventtypes/management/values?{VERSION}{}", more.replace(' ', "%20")))
}

fn operations(log: &Value) -> Vec<&str> {
    log["value"].as_array().unwrap().iter().map(|event| event["operationName"]["value"].as_str().unwrap()).collect()
}

async fn front(name: &str) -> (Backend, Front) {
    let backend = Backend::start(|arrived, _| {
        let is_write = arrived.head.starts_with("PUT");
        Act::Answer(json_answer(if is_write { "202 Accepted" } else { "200 OK" }, "{}"))
    })
    .await;
    let front = Front::start(name, &format!("http://{}", backend.address), "").await;
    (backend, front)
}

#[tokio::test]
async fn a_customer_reads_what_was_done_by_whom_in_which_role() {
    let (_backend, front) = front("log-life").await;
    let prod = SHARED.subscription("alder-prod");
    let vm = format!("{prod}/resourceGroups/rg-web/providers/Microsoft.Compute/virtualMachines/vm");
    let written = ok(&front, "operator", call("PUT", format!("{vm}?api-version=2024-07-01")), 202).await;
    ok(&front, "reader", get(format!("{vm}?api-version=2024-07-01")), 200).await;
    ok(&front, "deniz", call("POST", format!("{vm}/start?api-version=2024-07-01")), 403).await;
    ok(&front, "rival", call("DELETE", format!("{vm}?api-version=2024-07-01")), 404).await;
    ok(&front, "alder-owner", call("DELETE", format!("{prod}/resourceGroups/rg-other?api-version=2024-07-01")), 200).await;

    let all = ok(&front, "alder-owner", log(&prod, ""), 200).await.json();
    let expected = [
        "Microsoft.Resources/subscriptions/resourceGroups/delete",
        "Microsoft.Compute/virtualMachines/start/action",
        "Microsoft.Compute/virtualMachines/write",
    ];
    assert_eq!(operations(&all), expected, "newest first; neither reads nor what strangers tried");
    let [removed, refused, made] = [0, 1, 2].map(|n| &all["value"][n]);
    assert_eq!((&made["status"]["value"], &made["subStatus"]["value"]), (&json!("Accepted"), &json!("Accepted")));
    assert_eq!((&made["resourceId"], &made["resourceGroupName"]), (&json!(vm), &json!("rg-web")));
    assert_eq!(
        (&made["resourceType"]["value"], &made["resourceProviderName"]["value"]),
        (&json!("Microsoft.Compute/virtualMachines"), &json!("Microsoft.Compute"))
    );
    assert_eq!((&made["eventDataId"], &made["tenantId"]), (&json!(written.request_id()), &json!(tenant("alder"))));
    assert_eq!((&made["caller"], &made["authorization"]["role"]), (&json!("Operator automation"), &json!("Contributor")));
    let properties = &made["properties"];
    assert_eq!((&properties["tenantId"], &properties["tenantName"]), (&json!(tenant("ostra")), &json!("Ostra Managed Cloud")));
    assert_eq!((&properties["role"], &properties["offer"]), (&json!("Contributor"), &json!("Managed Ops Gold")));
    let declared =
        ok(&front, "alder-owner", get(format!("{prod}/providers/Microsoft.ManagedServices/registrationAssignments?{MS}")), 200).await;
    assert_eq!(properties["delegationId"], declared.json()["value"][0]["id"]);
    assert!(properties.as_object().unwrap().values().all(Value::is_string), "{properties}");
    assert_eq!((&refused["status"]["value"], &refused["caller"]), (&json!("Failed"), &json!("deniz@ostra.example")));
    assert_eq!((&refused["properties"]["reason"], &refused["properties"]["role"]), (&json!("role.not_active"), &Value::Null));
    assert_eq!((&removed["properties"]["role"], &removed["properties"]["delegationId"]), (&json!("Owner"), &Value::Null));

    for (filter, expected) in [
        ("resourceGroupName eq 'RG-Web'", &expected[1..]),
        ("eventTimestamp ge 2020-01-01T00:00:00.1 and eventTimestamp le 2020-01-02T00:00:00", &[]),
        ("eventTimestamp ge '2020-01-01T00:00:00Z' and status eq 'Failed'", &expected[1..2]),
        ("caller eq 'deniz@ostra.example' and eventChannels eq 'Admin, Operation'", &expected[1..2]),
        ("resourceProvider eq 'Microsoft.Resources'", &expected[..1]),
    ] {
        let found = ok(&front, "reader", log(&prod, &format!("&$filter={filter}")), 200).await.json();
        assert_eq!(operations(&found), expected, "{filter}");
    }
    let cut = ok(&front, "reader", log(&prod, "&$select=caller , OperationName"), 200).await.json();
    assert_eq!(cut["value"][1], json!({ "operationName": refused["operationName"], "caller": refused["caller"] }));
    front.drain().await;
}

#[tokio::test]
async fn a_log_is_cut_down_to_the_groups_that_the_caller_may_read() {
    let (_backend, front) = front("log-groups").await;
    let granite = SHARED.subscription("granite-main");
    let groups = ok(&front, "reader", get("/providers/Steward.Delegation/customers?api-version=2026-11-01"), 200).await.json();
    let delegations = groups["value"].as_array().unwrap().iter().flat_map(|one| one["properties"]["delegations"].as_array().unwrap());
    let group =
        delegations.map(|one| one["scope"].as_str().unwrap()).find(|scope| scope.starts_with(&format!("{granite}/"))).unwrap().to_owned();
    let inside = format!("{group}/providers/Microsoft.Compute/disks/d?api-version=2024-07-01");
    let outside = format!("{granite}/resourceGroups/rg-elsewhere/providers/Microsoft.Compute/disks/d?api-version=2024-07-01");
    for target in [&inside, &outside] {
        ok(&front, "reader", call("DELETE", target.clone()), 403).await;
    }
    let seen = ok(&front, "reader", log(&granite, ""), 200).await.json();
    let ids: Vec<&str> = seen["value"].as_array().unwrap().iter().map(|event| event["resourceId"].as_str().unwrap()).collect();
    assert_eq!(ids, [inside.split('?').next().unwrap()]);
    ok(&front, "nobody", log(&granite, ""), 403).await;
    ok(&front, "rival", log(&granite, ""), 404).await;
    front.drain().await;
}

#[tokio::test]
async fn a_long_log_comes_in_pages_that_what_is_added_does_not_move() {
    let (_backend, front) = front("log-pages").await;
    let prod = SHARED.subscription("alder-prod");
    let remove = |n: usize| call("DELETE", format!("{prod}/resourceGroups/rg-{n}?api-version=2024-07-01"));
    for n in 0..230 {
        ok(&front, "alder-owner", remove(n), 200).await;
    }
    let first = ok(&front, "alder-owner", log(&prod, "&$filter=eventTimestamp ge 2020-01-01"), 200).await.json();
    ok(&front, "alder-owner", remove(999), 200).await;
    let link = first["nextLink"].as_str().unwrap();
    let second = ok(&front, "alder-owner", get(link.split_once(front.client.authority()).unwrap().1), 200).await.json();
    let all = [&first, &second].into_iter().flat_map(|page| page["value"].as_array().unwrap());
    let groups: Vec<&str> = all.map(|event| event["resourceGroupName"].as_str().unwrap()).collect();
    assert_eq!(groups, (0..230).rev().map(|n| format!("rg-{n}")).collect::<Vec<_>>());
    assert_eq!((first["value"].as_array().unwrap().len(), second.get("nextLink")), (200, None));
    front.drain().await;
}

#[tokio::test]
async fn the_log_survives_a_restart() {
    let backend = Backend::start(|_, _| Act::Answer(json_answer("200 OK", "{}"))).await;
    let folder = crate::common::installation::empty_folder("log-restart");
    let url = format!("http://{}", backend.address);
    let prod = SHARED.subscription("alder-prod");
    let front = Front::start_in(&folder, &url, "", "").await;
    ok(&front, "operator", call("DELETE", format!("{prod}/resourceGroups/rg?api-version=2024-07-01")), 200).await;
    let before = ok(&front, "alder-owner", log(&prod, ""), 200).await.json();
    assert_eq!(before["value"].as_array().unwrap().len(), 1);
    front.drain().await;
    let front = Front::start_in(&folder, &url, "", "").await;
    let mut after = ok(&front, "alder-owner", log(&prod, ""), 200).await.json();
    // The gateway listens on another port now.
    after["value"][0]["httpRequest"]["uri"] = before["value"][0]["httpRequest"]["uri"].clone();
    assert_eq!(after, before);
    let report = get(format!("/providers/Steward.Delegation/accessReport?scope={prod}&api-version=2026-11-01"));
    let report = ok(&front, "alder-owner", report, 200).await.json();
    let is_it = |row: &&Value| row["holder"]["name"] == "Operator automation";
    assert!(report["value"].as_array().unwrap().iter().find(is_it).unwrap()["lastUsed"].is_string(), "{report}");
    front.drain().await;
}

#[tokio::test]
async fn a_managing_tenant_is_told_of_what_is_delegated_to_it() {
    let (_backend, front) = front("log-tenant").await;
    assert_eq!(ok(&front, "operator", log("", ""), 200).await.json(), json!({ "value": [] }));
    offered(&front, READER).await;
    bound(&front, 2).await;
    offered(&front, READER).await;
    ok(&front, "alder-owner", call("DELETE", format!("{}?{MS}", in_dev("registrationAssignments", 2))), 202).await;
    let told = ok(&front, "operator", log("", "&$filter=eventTimestamp ge 2020-01-01T00:00:00Z"), 200).await.json();
    let (register, unregister) = ("Microsoft.Resources/tenants/register/action", "Microsoft.Resources/tenants/unregister/action");
    assert_eq!(operations(&told), [unregister, register, register]);
    let last = &told["value"][2];
    let description: Value = serde_json::from_str(last["description"].as_str().unwrap()).unwrap();
    let dev = SHARED.subscription("alder-dev");
    let expected = json!({
        "delegationResourceId": in_dev("registrationAssignments", 2),
        "subscriptionTenantId": tenant("alder"),
        "subscriptionId": dev.rsplit('/').next().unwrap(),
    });
    assert_eq!((&description, &last["tenantId"]), (&expected, &json!(tenant("ostra"))));
    for identity in ["alder-owner", "rival", "nobody"] {
        assert_eq!(ok(&front, identity, log("", ""), 200).await.json(), json!({ "value": [] }), "{identity}");
    }
    let owners = ok(&front, "alder-owner", log(&dev, ""), 200).await.json();
    assert_eq!(operations(&owners)[0], "Microsoft.ManagedServices/registrationAssignments/delete");
    front.drain().await;
}

#[tokio::test]
async fn what_cannot_be_asked_is_named() {
    let prod = SHARED.subscription("alder-prod");
    for (call, expected) in [
        (log(&prod, "&$filter=color eq 'blue'"), "400 InvalidQueryParameter request.parameter"),
        (log(&prod, "&$select=color"), "400 InvalidQueryParameter request.parameter"),
        (log(&prod, "&$skipToken=1"), "400 InvalidQueryParameter request.parameter"),
        (log(&format!("{prod}/resourceGroups/rg"), ""), "404 InvalidResourceType scope.malformed"),
        (get(format!("{prod}/providers/Microsoft.Insights/eventtypes/digest/values?{VERSION}")), "404 InvalidResourceType scope.malformed"),
    ] {
        let shown = call.target.clone();
        assert_eq!(SHARED.ask("reader", call).await.told(), expected, "{shown}");
    }
    let refused = SHARED.ask("reader", log(&prod, "&$filter=color eq 'blue'")).await.json();
    assert!(refused["error"]["message"].as_str().unwrap().contains("`color eq 'blue'`"), "{refused}");
}
