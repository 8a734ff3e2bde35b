//! `Steward.Delegation` over HTTP: what each side sees of delegations, and what it does not see.

use serde_json::{Value, json};

use crate::common::backend::Front;
use crate::common::client::{Answer, Call, call, get};
use crate::common::installation::SHARED;

const V: &str = "api-version=2026-11-01";
pub(super) const MS: &str = "api-version=2022-10-01";
const START: &str = "~/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm/start?api-version=2024-07-01";
pub(super) const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";

fn own(rest: &str) -> Call {
    let joint = if rest.contains('?') { '&' } else { '?' };
    get(format!("/providers/Steward.Delegation/{rest}{joint}{V}"))
}

async fn read(identity: &str, rest: &str) -> Value {
    let answer = SHARED.ask(identity, own(rest)).await;
    assert_eq!(answer.status, 200, "{identity} {rest} {}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

async fn told(identity: &str, call: Call) -> String {
    SHARED.ask(identity, call).await.told()
}

pub(super) fn tenant(name: &str) -> String {
    SHARED.demo.world.tenants[name].id.to_string()
}

fn named<'v>(list: &'v Value, name: &str) -> &'v Value {
    let is_it = |one: &&Value| one["properties"]["displayName"] == name;
    list["value"].as_array().unwrap().iter().find(is_it).unwrap_or_else(|| panic!("{name} in {list}"))
}

#[tokio::test]
async fn a_provider_sees_its_customers_and_details_only_where_it_may_read() {
    let all = read("reader", "customers").await;
    let alder = &named(&all, "Alder Foods")["properties"];
    assert_eq!((&alder["delegatedSubscriptions"], &alder["delegatedResourceGroups"]), (&json!(1), &json!(0)));
    assert_eq!(alder["offers"][0]["name"], "Managed Ops Gold");
    assert!(alder["offers"][0]["version"].as_str().unwrap().contains("alder.toml:"), "{alder}");
    let delegation = &alder["delegations"][0];
    assert_eq!((&delegation["scope"], &delegation["keptIn"]["place"]), (&json!(SHARED.subscription("alder-prod")), &json!("file")));
    let authorizations = delegation["authorizations"].as_array().unwrap();
    let of = |name: &str, role: &str| {
        let found = authorizations.iter().find(|one| one["principalName"] == name && one["roleName"] == role);
        found.map(|one| (one["kind"].as_str().unwrap().to_owned(), one["state"].as_str().unwrap().to_owned()))
    };
    assert_eq!(of("Operator automation", "Contributor"), Some(("standing".into(), "inForce".into())));
    assert_eq!(of("Deniz Aydin", "Virtual Machine Contributor"), Some(("eligible".into(), "eligible".into())));

    let counted = read("nobody", "customers").await;
    let alder = &named(&counted, "Alder Foods")["properties"];
    assert_eq!((&alder["delegatedSubscriptions"], &alder["delegations"], &alder["offers"]), (&json!(1), &json!([]), &json!([])));
    let granite = &named(&read("reader", "customers").await, "Granite Insurance")["properties"]["delegatedResourceGroups"].clone();
    assert_eq!(*granite, json!(1));

    let one = read("reader", &format!("customers/{}", tenant("alder"))).await;
    assert_eq!(one, *named(&all, "Alder Foods"));
    assert_eq!(told("rival", own(&format!("customers/{}", tenant("alder")))).await, "404 ResourceNotFound resource.unknown");
    assert!(!all.to_string().contains("Ivy"), "nothing in a suspended tenant is shown");
}

/// The ids of all assignments to a provider that a caller can list, subscription by subscription.
async fn listed(identity: &str, provider: &str) -> Vec<String> {
    let subscriptions = SHARED.ask(identity, get("/subscriptions?api-version=2022-12-01")).await.json();
    let filter = format!("&$filter=managedByTenantId%20eq%20'{}'", tenant(provider));
    let mut ids = Vec::new();
    for one in subscriptions["value"].as_array().unwrap() {
        let target = format!("{}/providers/Microsoft.ManagedServices/registrationAssignments?{MS}{filter}", one["id"].as_str().unwrap());
        let answer = SHARED.ask(identity, get(target)).await;
        if answer.status == 200 {
            ids.extend(answer.json()["value"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        }
    }
    ids.sort();
    ids
}

fn shown(list: &Value) -> Vec<String> {
    let partners = list["value"].as_array().unwrap().iter();
    let delegations = partners.flat_map(|one| one["properties"]["delegations"].as_array().unwrap());
    let mut ids: Vec<String> = delegations.map(|one| one["id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn both_views_are_the_union_of_the_lists_of_assignments() {
    for (identity, view) in [("reader", "customers"), ("deniz", "customers"), ("alder-owner", "serviceProviders")] {
        let shown = shown(&read(identity, view).await);
        assert!(!shown.is_empty());
        assert_eq!(shown, listed(identity, "ostra").await, "{identity} {view}");
    }
}

#[tokio::test]
async fn a_customer_sees_its_providers() {
    let providers = read("alder-owner", "serviceProviders").await;
    let ostra = &named(&providers, "Ostra Managed Cloud")["properties"];
    assert_eq!((&ostra["delegatedSubscriptions"], &ostra["delegations"][0]["offer"]), (&json!(1), &json!("Managed Ops Gold")));
    assert_eq!(read("reader", "serviceProviders").await["value"], json!([]), "a provider has none");
    let one = read("alder-owner", &format!("serviceProviders/{}", tenant("ostra"))).await;
    assert_eq!(one, *named(&providers, "Ostra Managed Cloud"));
}

#[tokio::test]
async fn the_catalogue_says_which_roles_can_be_delegated_and_why_others_cannot() {
    let all = read("nobody", "roleCatalog").await["value"].as_array().unwrap().len();
    let yes = read("nobody", "roleCatalog?delegable=true").await["value"].as_array().unwrap().len();
    let no = read("nobody", "roleCatalog?delegable=false").await["value"].as_array().unwrap().len();
    assert_eq!((all, yes, yes + no), (928, 578, 928));
    for (name, rule, action) in [
        ("owner", "owner", json!("*")),
        ("User Access Administrator", "constrained", Value::Null),
        ("Storage Blob Data Reader", "data_action", json!("Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read")),
    ] {
        let found = read("nobody", &format!("roleCatalog?name={}", name.replace(' ', "%20"))).await;
        let role = found["value"].as_array().unwrap().iter().map(|one| &one["properties"]);
        let role = role.into_iter().find(|role| role["roleName"].as_str().unwrap().eq_ignore_ascii_case(name)).unwrap();
        assert_eq!((&role["delegable"], &role["reason"]["rule"], &role["reason"]["action"]), (&json!(false), &json!(rule), &action));
    }
    assert_eq!(told("nobody", own("roleCatalog?delegable=perhaps")).await, "400 InvalidQueryParameter request.parameter");
}

#[tokio::test]
async fn an_explanation_is_for_who_asked_and_for_the_owner_of_the_scope() {
    let refused = SHARED.ask("deniz", call("POST", START.replace('~', &SHARED.subscription("alder-prod")))).await;
    let explanation = || own(&format!("explanations/{}", refused.request_id()));
    let mine = SHARED.ask("deniz", explanation()).await.json();
    assert_eq!(
        (&mine["reason"], &mine["outcome"], &mine["schema"]),
        (&json!("role.not_active"), &json!("deny"), &json!("steward.record/1"))
    );
    let grants = |record: &Value| record["checks"][7]["grants"].as_array().unwrap().len();
    assert!(grants(&mine) >= 1 && mine["checks"][7]["grants"].as_array().unwrap().iter().all(|grant| grant["principal"] == true));
    let full = SHARED.ask("alder-owner", explanation()).await.json();
    assert_eq!(full, SHARED.record(&refused).await);
    for stranger in ["operator", "rival", "holly-owner"] {
        assert_eq!(told(stranger, explanation()).await, "404 ResourceNotFound resource.unknown");
    }
    for id in ["not-an-id", "00000000-0000-4000-8000-000000000000"] {
        assert_eq!(told("deniz", own(&format!("explanations/{id}"))).await, "404 ResourceNotFound resource.unknown");
    }
}

#[tokio::test]
async fn an_explanation_does_not_tell_a_stranger_that_a_target_exists() {
    let mut told = Vec::new();
    for subscription in [SHARED.subscription("alder-prod"), "/subscriptions/99999999-9999-4999-8999-999999999999".to_owned()] {
        let refused = SHARED.ask("rival", get(format!("{subscription}/resourceGroups?{MS}"))).await;
        let mut record = SHARED.ask("rival", own(&format!("explanations/{}", refused.request_id()))).await.json();
        for (member, value) in [("id", Value::Null), ("correlation_id", Value::Null), ("time", Value::Null), ("took_us", Value::Null)] {
            record[member] = value;
        }
        for check in record["checks"].as_array_mut().unwrap() {
            check["took_ns"] = Value::Null;
        }
        record["client"] = Value::Null;
        told.push(record.to_string().replace(subscription.rsplit('/').next().unwrap(), "ID"));
    }
    assert_eq!(told[0], told[1]);
    assert!(told[0].contains("scope.unknown"), "{}", told[0]);
}

pub(super) async fn ok(front: &Front, identity: &str, call: Call, status: u16) -> Answer {
    let shown = format!("{identity} {} {}", call.method, call.target);
    let answer = front.ask(identity, call).await;
    assert_eq!(answer.status, status, "{shown} {}", String::from_utf8_lossy(&answer.body));
    answer
}

pub(super) fn in_dev(kind: &str, n: u32) -> String {
    format!("{}/providers/Microsoft.ManagedServices/{kind}/{n:08x}-0000-4000-8000-000000000000", SHARED.subscription("alder-dev"))
}

/// Delegates alder-dev to the operator of Ostra, or replaces the offer.
pub(super) async fn offered(front: &Front, role: &str) {
    let body = json!({ "properties": {
        "registrationDefinitionName": "Night shift",
        "managedByTenantId": tenant("ostra"),
        "authorizations": [{
            "principalId": SHARED.demo.world.identities["operator"].object_id.to_string(), "roleDefinitionId": role,
        }],
    } });
    let put = call("PUT", format!("{}?{MS}", in_dev("registrationDefinitions", 1))).json(&body);
    let answer = front.ask("alder-owner", put).await;
    assert!(answer.status.is_success(), "{}", String::from_utf8_lossy(&answer.body));
}

pub(super) async fn bound(front: &Front, n: u32) -> Answer {
    let body = json!({ "properties": { "registrationDefinitionId": in_dev("registrationDefinitions", 1) } });
    ok(front, "alder-owner", call("PUT", format!("{}?{MS}", in_dev("registrationAssignments", n))).json(&body), 201).await
}

fn kinds(changes: &Value) -> Vec<&str> {
    changes["value"].as_array().unwrap().iter().map(|one| one["properties"]["what"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn changes_are_told_once_and_to_those_concerned() {
    let front = Front::start("own-changes", &SHARED.demo.world.backend, "").await;
    let before = ok(&front, "operator", own("changes"), 200).await.json();
    assert_eq!((&before["value"], &before["complete"]), (&json!([]), &json!(true)));
    offered(&front, READER).await;
    let made = bound(&front, 2).await;
    offered(&front, "b24988ac-6180-42a0-ab88-20f7382dd24c").await;
    ok(&front, "alder-owner", call("DELETE", format!("{}?{MS}", in_dev("registrationAssignments", 2))), 202).await;
    let expected = ["registered", "updated", "unregistered"];
    for identity in ["operator", "alder-owner"] {
        let all = ok(&front, identity, own("changes"), 200).await.json();
        assert_eq!(kinds(&all), expected, "{identity}");
        let mut seen = Vec::new();
        let mut next = Some(own("changes?top=1").target);
        while let Some(target) = next {
            let page = ok(&front, identity, get(target), 200).await.json();
            seen.extend(kinds(&page).into_iter().map(str::to_owned));
            next = page["nextLink"].as_str().map(|link| link.split_once(front.client.authority()).unwrap().1.to_owned());
        }
        assert_eq!(seen, expected, "page by page");
        let later =
            ok(&front, identity, own(&format!("changes?after={}&epoch={}", all["after"], all["epoch"].as_str().unwrap())), 200).await;
        assert_eq!(later.json()["value"], json!([]));
    }
    let first = &ok(&front, "operator", own("changes"), 200).await.json()["value"][0]["properties"].clone();
    assert_eq!((&first["customer"]["name"], &first["offer"]), (&json!("Alder Foods"), &json!("Night shift")));
    assert_eq!(first["correlationId"], made.header("x-ms-correlation-request-id"));
    assert_eq!(kinds(&ok(&front, "nobody", own("changes"), 200).await.json()), Vec::<&str>::new(), "named by no offer");
    assert_eq!(kinds(&ok(&front, "rival", own("changes"), 200).await.json()), Vec::<&str>::new());
    let restored = own("changes?after=1&epoch=00000000-0000-4000-8000-000000000000");
    assert_eq!(front.ask("operator", restored).await.told(), "400 InvalidQueryParameter request.parameter");
    front.drain().await;
}

#[tokio::test]
async fn what_the_provider_does_not_have_is_said() {
    for (target, expected) in [
        (own("somethings"), "404 InvalidResourceType scope.malformed"),
        (call("DELETE", own("customers").target), "405 MethodNotAllowed scope.malformed"),
        (get("/providers/Steward.Delegation/customers"), "400 MissingApiVersionParameter request.api_version"),
    ] {
        assert_eq!(told("reader", target).await, expected);
    }
    assert_eq!(SHARED.client.send(own("customers")).await.told(), "401 AuthenticationFailed token.missing");
}

pub(super) fn object(name: &str) -> String {
    SHARED.demo.world.identities[name].object_id.to_string()
}

fn explain(method: &str, url: &str, principal: Option<(&str, &str)>) -> Call {
    let mut body = json!({ "method": method, "url": url });
    if let Some((of, name)) = principal {
        body["principal"] = json!({ "tenantId": tenant(of), "objectId": object(name) });
    }
    call("POST", format!("/providers/Steward.Delegation/explain?{V}")).json(&body)
}

#[tokio::test]
async fn what_is_foreseen_is_what_happens() {
    let kinds = [
        ("GET", "~/resourceGroups?api-version=2024-07-01"),
        ("POST", START),
        ("PUT", "~/resourceGroups/x/providers/Microsoft.Network/virtualNetworks/none?api-version=2024-07-01"),
        ("PUT", "~/providers/Microsoft.ManagedServices/registrationDefinitions/x?api-version=2022-10-01"),
        ("GET", "~?api-version=2022-12-01"),
        ("GET", "~/resourceGroups"),
        ("GET", "/subscriptions/x?api-version=2022-12-01"),
    ];
    for identity in ["deniz", "rival", "alder-owner", "member", "nobody", "reader"] {
        for subscription in ["alder-prod", "alder-dev", "bramble-core", "granite-main", "holly-frozen", "ivy-main"] {
            for (method, target) in kinds {
                let target = target.replace('~', &SHARED.subscription(subscription));
                let shown = format!("{identity} {method} {target}");
                let foreseen = SHARED.ask(identity, explain(method, &target, None)).await;
                assert_eq!(foreseen.status, 200, "{shown} {:?}", foreseen.body);
                let foreseen = foreseen.json();
                let answer = SHARED.ask(identity, call(method, target)).await;
                let really = SHARED.record(&answer).await;
                // A permitted request may still be refused by the one who carries it out.
                let refused_later =
                    really["reason"].as_str().is_some_and(|reason| reason.starts_with("offer.") || reason == "request.malformed");
                if refused_later || really["outcome"] == "allow" {
                    assert_eq!(foreseen["outcome"], "allow", "{shown} {foreseen}");
                    continue;
                }
                let reason = if answer.told() == "404 SubscriptionNotFound" { json!("scope.unknown") } else { really["reason"].clone() };
                assert_eq!((&foreseen["outcome"], &foreseen["reason"]), (&json!("deny"), &reason), "{shown}");
                assert_eq!(foreseen["refusal"]["status"], answer.status.as_u16(), "{shown}");
                assert_eq!(foreseen["checks"].as_array().unwrap().len(), 10);
            }
        }
    }
}

#[tokio::test]
async fn about_others_only_those_may_ask_who_may_read_access_there() {
    let start = START.replace('~', &SHARED.subscription("alder-prod"));
    let about = |who: (&'static str, &'static str)| explain("POST", &start, Some(who));
    let mine = SHARED.ask("alder-owner", about(("ostra", "deniz"))).await.json();
    assert_eq!((&mine["outcome"], &mine["reason"]), (&json!("deny"), &json!("role.not_active")));
    assert_eq!(SHARED.ask("alder-owner", about(("ostra", "member"))).await.json()["reason"], "role.principal");
    assert_eq!(SHARED.ask("reader", about(("ostra", "operator"))).await.json()["outcome"], "allow");
    let unknown = explain("POST", &START.replace('~', "/subscriptions/99999999-9999-4999-8999-999999999999"), Some(("ostra", "operator")));
    for (identity, call) in [
        ("reader", about(("alder", "alder-owner"))),
        ("nobody", about(("ostra", "operator"))),
        ("rival", about(("ostra", "operator"))),
        ("rival", unknown),
        ("rival", explain("GET", "https://x.vault.azure.net/secrets/s", Some(("ostra", "operator")))),
    ] {
        assert_eq!(told(identity, call).await, "403 AuthorizationFailed role.action_missing", "{identity}");
    }
    // Groups of others are those that the directory knows.
    let core = START.replace('~', &SHARED.subscription("bramble-core"));
    assert_eq!(SHARED.ask("reader", explain("POST", &core, Some(("ostra", "member")))).await.json()["outcome"], "allow");
}

#[tokio::test]
async fn what_cannot_be_a_request_is_explained_as_well() {
    let path = format!("{}?api-version=2024-07-01", SHARED.subscription("alder-prod"));
    let ours = format!("{}{path}", SHARED.demo.world.gateway);
    for (method, url, expected) in [
        ("GET", ours.as_str(), None),
        ("GET", "https://acct.blob.core.windows.net/x", Some("plane.data")),
        ("GET", "https://other.example/x", Some("plane.foreign")),
        ("BREW", path.as_str(), Some("plane.method")),
        ("GET", "/subscriptions/../x", Some("path.ambiguous")),
        ("GET", "", Some("path.ambiguous")),
    ] {
        let foreseen = SHARED.ask("reader", explain(method, url, None)).await.json();
        assert_eq!(foreseen["reason"].as_str(), expected, "{method} {url} {foreseen}");
    }
    for body in [json!({}), json!({ "method": "GET" }), json!({ "method": "GET", "url": "/", "principle": 1 }), json!([])] {
        let call = call("POST", format!("/providers/Steward.Delegation/explain?{V}")).json(&body);
        assert_eq!(told("reader", call).await, "400 InvalidRequestContent request.malformed");
    }
}

fn report(subscription: &str, more: &str) -> Call {
    own(&format!("accessReport?scope={}{more}", SHARED.subscription(subscription)))
}

fn row<'v>(report: &'v Value, holder: &str, role: &str) -> &'v Value {
    let is_it = |row: &&Value| row["holder"]["name"] == holder && row["roleName"] == role;
    report["value"].as_array().unwrap().iter().find(is_it).unwrap_or_else(|| panic!("{holder} {role} in {report}"))
}

#[tokio::test]
async fn the_owner_of_a_scope_sees_who_can_touch_it_and_who_did() {
    let front = Front::start("own-report", &SHARED.demo.world.backend, "").await;
    let read = |identity: &'static str, call: Call| {
        let front = &front;
        async move { ok(front, identity, call, 200).await.json() }
    };
    let before = read("alder-owner", report("alder-prod", "")).await;
    assert_eq!((&before["shows"], &before["customer"]["name"]), (&json!("everything"), &json!("Alder Foods")));
    let operator = row(&before, "Operator automation", "Contributor");
    assert_eq!(
        (&operator["through"], &operator["offer"], &operator["reach"]),
        (&json!("delegation"), &json!("Managed Ops Gold"), &json!("whole"))
    );
    assert_eq!((&operator["state"], &operator["lastUsed"]), (&json!("inForce"), &Value::Null));
    assert!(operator["exposure"].as_array().unwrap().contains(&json!("keys")), "{operator}");
    assert!(operator["keptIn"]["file"].as_str().unwrap().ends_with("alder.toml"), "{operator}");
    assert_eq!(row(&before, "Deniz Aydin", "Virtual Machine Contributor")["state"], "eligible");
    assert_eq!(row(&before, "Alder's own automation", "Owner")["through"], "roleAssignment");

    let used = format!("{}/providers/Microsoft.ManagedServices/registrationAssignments?{MS}", SHARED.subscription("alder-prod"));
    let answer = ok(&front, "operator", get(used), 200).await;
    let after = read("alder-owner", report("alder-prod", "")).await;
    let record = front.admin(get(format!("/api/records/{}", answer.request_id()))).await.json();
    let parse = |time: &Value| time.as_str().unwrap().parse::<steward::clock::Timestamp>().unwrap();
    assert_eq!(parse(&row(&after, "Operator automation", "Contributor")["lastUsed"]), parse(&record["time"]));
    assert_eq!(row(&after, "Reporting automation", "Reader")["lastUsed"], Value::Null);
    assert!(parse(&after["usedSince"]) <= parse(&record["time"]));

    let keys = read("alder-owner", report("alder-prod", "&action=Microsoft.Storage/storageAccounts/listKeys/action")).await;
    let mut names: Vec<&str> = keys["permitted"].as_array().unwrap().iter().map(|who| who["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Alder's own automation", "Operator automation"]);
    assert_eq!(
        (&row(&keys, "Reporting automation", "Reader")["permits"], &row(&keys, "Operator automation", "Contributor")["permits"]),
        (&json!(false), &json!(true))
    );
    front.drain().await;
}

#[tokio::test]
async fn a_report_is_cut_down_to_what_the_caller_may_see() {
    let core = SHARED.ask("reader", report("bramble-core", "")).await.json();
    assert_eq!(core["shows"], "ownTenant");
    let group = row(&core, "Platform engineers", "Contributor");
    assert_eq!((&group["holder"]["kind"], &group["members"][0]["name"]), (&json!("group"), &json!("Pipeline of the platform engineers")));
    // Two providers side by side: neither sees the other.
    let dune = SHARED.ask("rival", report("dune-main", "")).await.json();
    assert!(dune["value"].as_array().unwrap().iter().all(|row| row["holder"]["tenantId"] == tenant("nimbus")), "{dune}");
    assert!(!dune["value"].as_array().unwrap().is_empty());
    let holly = SHARED.ask("holly-owner", report("holly-mixed", "")).await.json();
    assert_eq!((&holly["shows"], &holly["value"]), (&json!("oneself"), &json!([])));

    let unknown = own("accessReport?scope=/subscriptions/99999999-9999-4999-8999-999999999999");
    for call in [report("alder-prod", ""), report("ivy-main", ""), unknown] {
        assert_eq!(told("rival", call).await, "404 ResourceNotFound resource.unknown");
    }
    let prod = SHARED.subscription("alder-prod");
    for query in ["".to_owned(), "?scope=/".to_owned(), "?scope=x".to_owned(), format!("?scope={prod}&action=*")] {
        assert_eq!(told("reader", own(&format!("accessReport{query}"))).await, "400 InvalidQueryParameter request.parameter", "{query}");
    }
}
