//! What is agreed at run time, over HTTP: offers, assignments, activations, role assignments, and every reason to refuse them.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use steward::clock::{Clock, Timestamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::backend::{Act, Backend, Front, json_answer};
use crate::common::client::{Answer, Call, PATIENCE, call, get};
use crate::common::installation::{SHARED, empty_folder};
use crate::common::signer;

const MS: &str = "api-version=2022-10-01";
const PIM: &str = "api-version=2020-10-01";
const ROLES: &str = "api-version=2022-04-01";

const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
const CONTRIBUTOR: &str = "b24988ac-6180-42a0-ab88-20f7382dd24c";
const VM_CONTRIBUTOR: &str = "9980e02c-c2be-4d73-94e8-173b1dc7cf3c";
const ACCESS_ADMINISTRATOR: &str = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9";

fn guid(n: u32) -> String {
    format!("{n:08x}-0000-4000-8000-000000000000")
}

fn tenant(name: &str) -> String {
    SHARED.demo.world.tenants[name].id.to_string()
}

fn object(name: &str) -> String {
    SHARED.demo.world.identities[name].object_id.to_string()
}

fn in_dev(rest: &str) -> String {
    format!("{}/providers/{rest}", SHARED.subscription("alder-dev"))
}

fn definition(n: u32) -> String {
    in_dev(&format!("Microsoft.ManagedServices/registrationDefinitions/{}?{MS}", guid(n)))
}

fn assignment(n: u32) -> String {
    in_dev(&format!("Microsoft.ManagedServices/registrationAssignments/{}?{MS}", guid(n)))
}

fn request(n: u32) -> String {
    in_dev(&format!("Microsoft.Authorization/roleAssignmentScheduleRequests/{}?{PIM}", guid(n)))
}

fn role_assignment(n: u32) -> String {
    in_dev(&format!("Microsoft.Authorization/roleAssignments/{}?{ROLES}", guid(n)))
}

fn offer(name: &str, authorizations: &Value, eligible: &Value) -> Value {
    json!({ "properties": {
        "registrationDefinitionName": name,
        "managedByTenantId": tenant("ostra"),
        "authorizations": authorizations,
        "eligibleAuthorizations": eligible,
    } })
}

fn binding(n: u32) -> Value {
    let id = definition(n);
    json!({ "properties": { "registrationDefinitionId": id.split('?').next().unwrap() } })
}

fn put(target: String, body: &Value) -> Call {
    call("PUT", target).json(body)
}

async fn started(name: &str) -> Front {
    Front::start(name, &SHARED.demo.world.backend, "").await
}

async fn told(front: &Front, identity: &str, call: Call, expected: &str) -> Answer {
    let shown = format!("{identity} {} {}", call.method, call.target);
    let answer = front.ask(identity, call).await;
    assert_eq!(answer.told(), expected, "{shown} {}", String::from_utf8_lossy(&answer.body));
    answer
}

async fn ok(front: &Front, identity: &str, call: Call, status: u16) -> Answer {
    let shown = format!("{identity} {} {}", call.method, call.target);
    let answer = front.ask(identity, call).await;
    assert_eq!(answer.status, status, "{shown} {}", String::from_utf8_lossy(&answer.body));
    answer
}

/// A group of alder-dev, which is the backend's.
fn group(name: &str) -> String {
    format!("{}/resourceGroups/{name}?api-version=2024-07-01", SHARED.subscription("alder-dev"))
}

/// What the gateway itself answers to whoever holds a grant.
fn look() -> Call {
    get(format!("{}?{ROLES}", SHARED.subscription("alder-dev")))
}

async fn offered(front: &Front, authorizations: &Value, eligible: &Value) {
    ok(front, "alder-owner", put(definition(1), &offer("Night shift", authorizations, eligible)), 201).await;
    ok(front, "alder-owner", put(assignment(2), &binding(1)), 201).await;
}

fn path_of(answer: &Answer, name: &str) -> String {
    let url = answer.header(name).to_owned();
    let (_, rest) = url.split_once("//").unwrap();
    let (_, path) = rest.split_once('/').unwrap();
    format!("/{path}")
}

#[tokio::test]
async fn a_delegation_is_made_used_and_removed() {
    let front = started("agreements-life").await;
    told(&front, "operator", look(), "403 AuthorizationFailed role.principal").await;
    let mine = json!([{ "principalId": object("operator"), "roleDefinitionId": CONTRIBUTOR }]);
    let made = ok(&front, "alder-owner", put(definition(1), &offer("Night shift", &mine, &json!([]))), 201).await;
    assert_eq!(made.header("retry-after"), "1");
    let status = ok(&front, "alder-owner", get(path_of(&made, "azure-asyncoperation")), 200).await.json();
    assert_eq!(status["status"], "Succeeded");
    told(&front, "operator", look(), "403 AuthorizationFailed role.principal").await;
    ok(&front, "alder-owner", put(assignment(2), &binding(1)), 201).await;
    ok(&front, "operator", look(), 200).await;
    ok(&front, "alder-owner", put(definition(1), &offer("Night shift", &mine, &json!([]))), 200).await;

    let expanded = format!("{}&$expandRegistrationDefinition=True", assignment(2));
    let shown = ok(&front, "operator", get(expanded), 200).await.json();
    assert_eq!(shown["properties"]["registrationDefinition"]["properties"]["registrationDefinitionName"], "Night shift");
    let list =
        in_dev(&format!("Microsoft.ManagedServices/registrationDefinitions?{MS}&$filter=managedByTenantId%20eq%20{}", tenant("nimbus")));
    assert_eq!(ok(&front, "alder-owner", get(list), 200).await.json()["value"], json!([]));

    let removed = ok(&front, "alder-owner", call("DELETE", assignment(2)), 202).await;
    told(&front, "operator", look(), "403 AuthorizationFailed role.principal").await;
    let status = get(path_of(&removed, "azure-asyncoperation"));
    assert_eq!(ok(&front, "alder-owner", status.clone(), 200).await.json()["status"], "Succeeded");
    ok(&front, "alder-owner", get(path_of(&removed, "location")), 204).await;
    assert_eq!(front.ask("rival", status).await.status, 404, "an operation of others does not exist");
    ok(&front, "alder-owner", call("DELETE", definition(1)), 200).await;
    ok(&front, "alder-owner", call("DELETE", definition(1)), 204).await;
    front.drain().await;
}

#[tokio::test]
async fn long_lists_come_in_pages_that_miss_nothing() {
    let front = started("agreements-pages").await;
    let mine = json!([{ "principalId": object("operator"), "roleDefinitionId": READER }]);
    let wanted: Vec<String> = (1000..1203).map(guid).collect();
    for n in 1000..1203 {
        ok(&front, "alder-owner", put(definition(n), &offer(&format!("Offer {n}"), &mine, &json!([]))), 201).await;
    }
    let mut found: Vec<String> = Vec::new();
    let mut next = Some(in_dev(&format!("Microsoft.ManagedServices/registrationDefinitions?{MS}")));
    let mut pages = 0;
    while let Some(target) = next {
        let page = ok(&front, "alder-owner", get(target), 200).await.json();
        found.extend(page["value"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()));
        next = page["nextLink"].as_str().map(|link| format!("/{}", link.splitn(4, '/').nth(3).unwrap()));
        if pages == 0 {
            // What goes while pages are turned moves nothing.
            ok(&front, "alder-owner", call("DELETE", definition(1000)), 200).await;
        }
        pages += 1;
    }
    assert_eq!((pages, found), (2, wanted));
    let foreign = in_dev(&format!("Microsoft.ManagedServices/registrationDefinitions?{MS}&$skipToken=%20"));
    told(&front, "alder-owner", get(foreign), "400 InvalidQueryParameter request.parameter").await;
    front.drain().await;
}

/// Of a page: its bytes, its items by name, and where the next one is.
async fn page(front: &Front, identity: &str, target: String) -> (usize, Value, Option<String>) {
    let answer = ok(front, identity, get(target), 200).await;
    let page = answer.json();
    let next = page["nextLink"].as_str().map(|link| format!("/{}", link.splitn(4, '/').nth(3).unwrap()));
    (answer.body.len(), page, next)
}

/// All pages of a list.
async fn pages(front: &Front, identity: &str, target: String) -> Vec<(usize, Value)> {
    let (mut all, mut next) = (Vec::new(), Some(target));
    while let Some(target) = next {
        let (bytes, shown, link) = page(front, identity, target).await;
        all.push((bytes, shown));
        next = link;
    }
    all
}

fn items<'p>(pages: &'p [(usize, Value)], member: &'p str) -> impl Iterator<Item = &'p Value> {
    pages.iter().flat_map(move |(_, page)| page[member].as_array().unwrap())
}

/// As much as an offer can have, of 500 principals from this number on.
fn large(first: u32) -> Value {
    long(first, 500)
}

fn long(first: u32, count: u32) -> Value {
    let name = "\u{1F600}".repeat(256);
    let authorizations: Vec<Value> = (first..first + count)
        .map(|n| json!({ "principalId": guid(n), "principalIdDisplayName": name, "roleDefinitionId": READER }))
        .collect();
    offer("Large", &authorizations.into(), &json!([]))
}

/// Bytes of a page, and of the item with which it can be larger.
const PAGE_BYTES: usize = 1 << 20;

#[tokio::test]
async fn what_is_large_comes_in_small_pages_and_only_so_much_of_it_is_kept() {
    let front = started("agreements-large").await;
    for n in 0..7 {
        ok(&front, "alder-owner", put(definition(n), &large(1000 * (n + 1))), 201).await;
    }
    let refused = told(&front, "alder-owner", put(definition(7), &large(1)), "409 QuotaExceeded limit.kept").await.json();
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("bytes of registration definitions, and may hold 4194304; make it smaller, or remove"), "{message}");
    ok(&front, "alder-owner", put(definition(5), &large(1)), 200).await;
    ok(&front, "alder-owner", call("DELETE", definition(5)), 200).await;
    ok(&front, "alder-owner", put(definition(7), &large(1)), 201).await;

    let group = |n: u32| format!("{}/resourceGroups/rg-{n}/providers", SHARED.subscription("alder-dev"));
    for n in 0..4 {
        let target = format!("{}/Microsoft.ManagedServices/registrationAssignments/{}?{MS}", group(n), guid(100 + n));
        ok(&front, "alder-owner", put(target, &binding(n)), 201).await;
    }
    let lists = [("registrationDefinitions", "", 7), ("registrationAssignments", "&$expandRegistrationDefinition=true", 4)];
    for (kind, more, count) in lists {
        let all = pages(&front, "alder-owner", in_dev(&format!("Microsoft.ManagedServices/{kind}?{MS}{more}"))).await;
        assert_eq!(all.len(), count, "each is more than half a page");
        assert!(all.iter().all(|(bytes, _)| *bytes < PAGE_BYTES), "{kind}");
        let mut names: Vec<&str> = items(&all, "value").map(|one| one["name"].as_str().unwrap()).collect();
        assert!(names.is_sorted(), "{names:?}");
        names.dedup();
        assert_eq!(names.len(), count, "{kind}");
    }
    let partner = format!("/providers/Steward.Delegation/serviceProviders/{}?api-version=2026-11-01", tenant("ostra"));
    let (bytes, partner, _) = page(&front, "alder-owner", partner).await;
    let partner = &partner["properties"];
    assert!(bytes < PAGE_BYTES + 4096, "{bytes}");
    assert_eq!((&partner["complete"], partner["delegations"].as_array().unwrap().len()), (&json!(false), 1));
    assert!(partner["delegatedResourceGroups"].as_u64() >= Some(4));

    let dev = SHARED.subscription("alder-dev");
    let report = format!("/providers/Steward.Delegation/accessReport?scope={dev}&api-version=2026-11-01");
    for action in ["", "&action=Microsoft.Compute/virtualMachines/read"] {
        let all = pages(&front, "alder-owner", format!("{report}{action}")).await;
        assert!(all.len() >= 4 && all.iter().all(|(bytes, _)| *bytes < PAGE_BYTES + 4096), "{}", all.len());
        let holders: Vec<&str> = items(&all, "value").map(|one| one["holder"]["objectId"].as_str().unwrap()).collect();
        let ours: Vec<String> = (0..4).flat_map(|n| (1000 * (n + 1)..1000 * (n + 1) + 500).map(guid)).collect();
        assert!(ours.iter().all(|one| holders.iter().filter(|holder| *holder == one).count() == 1));
        if action.is_empty() {
            continue;
        }
        let permitted: Vec<&str> = items(&all, "permitted").map(|one| one["objectId"].as_str().unwrap()).collect();
        assert!(permitted.contains(&object("alder-owner").as_str()), "{permitted:?}");
    }
    // What goes while pages are turned moves nothing.
    let (_, first, next) = page(&front, "alder-owner", report.clone()).await;
    let removed = format!("{}/Microsoft.ManagedServices/registrationAssignments/{}?{MS}", group(0), guid(100));
    ok(&front, "alder-owner", call("DELETE", removed), 202).await;
    let rest = pages(&front, "alder-owner", next.unwrap()).await;
    let holders: Vec<&str> = first["value"]
        .as_array()
        .unwrap()
        .iter()
        .chain(items(&rest, "value"))
        .map(|one| one["holder"]["objectId"].as_str().unwrap())
        .collect();
    let left: Vec<String> = (1..4).flat_map(|n| (1000 * (n + 1)..1000 * (n + 1) + 500).map(guid)).collect();
    assert!(left.iter().all(|one| holders.iter().filter(|holder| *holder == one).count() == 1));
    told(&front, "alder-owner", get(format!("{report}&$skipToken=MQ")), "400 InvalidQueryParameter request.parameter").await;
    front.drain().await;
}

/// Full pages that wait for one address before it gets no more.
const UNREAD_MAX: usize = 80;

#[tokio::test]
async fn who_reads_nothing_of_long_answers_is_given_no_more_of_them() {
    let front = started("agreements-unread").await;
    for n in 0..2 {
        // Two of them are almost a page.
        ok(&front, "alder-owner", put(definition(n), &long(1000 * (n + 1), 430)), 201).await;
    }
    let list = in_dev(&format!("Microsoft.ManagedServices/registrationDefinitions?{MS}"));
    let (host, token) = (front.client.authority(), SHARED.token("alder-owner").await);
    let mut unread = Vec::new();
    while front.ask("alder-owner", look()).await.status == 200 {
        assert!(unread.len() < UNREAD_MAX, "more was given");
        let mut stream = front.client.connect("localhost", b"http/1.1").await.unwrap();
        stream.write_all(format!("GET {list} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n").as_bytes()).await.unwrap();
        // It is being answered.
        stream.read_exact(&mut [0; 12]).await.unwrap();
        unread.push(stream);
    }
    assert!(unread.len() > 60, "{}", unread.len());
    told(&front, "alder-owner", get(list.clone()), "503 ServerBusy limit.overload").await;
    told(&front, "alder-owner", put(definition(3), &long(1, 1)), "503 ServerBusy limit.overload").await;
    drop(unread);
    let answered = async { while front.ask("alder-owner", get(list.clone())).await.status != 200 {} };
    tokio::time::timeout(PATIENCE, answered).await.expect("what nobody can read any more is not held");
    front.drain().await;
}

#[tokio::test]
async fn a_template_that_would_be_refused_is_found_before_it_is_deployed() {
    let front = started("agreements-rehearsal").await;
    let template = |role: &str| {
        let authorizations = json!([{ "principalId": object("operator"), "roleDefinitionId": role }]);
        let made = |kind: &str, n: u32, body: &Value, after: &Value| {
            json!({
                "type": format!("Microsoft.ManagedServices/{kind}"), "apiVersion": "2022-10-01", "name": guid(n),
                "properties": body["properties"], "dependsOn": after,
            })
        };
        let id = definition(1).split('?').next().unwrap().to_owned();
        let resources = json!([
            made("registrationDefinitions", 1, &offer("Night shift", &authorizations, &json!([])), &json!([])),
            made("registrationAssignments", 2, &binding(1), &json!([id])),
        ]);
        json!({ "location": "westeurope", "properties": { "mode": "Incremental", "template": {
            "$schema": "https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#",
            "contentVersion": "1.0.0.0", "resources": resources,
        } } })
    };
    let owner_role = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
    for verb in ["validate", "whatIf"] {
        let ask = |role: &str| {
            call("POST", in_dev(&format!("Microsoft.Resources/deployments/d/{verb}?api-version=2021-04-01"))).json(&template(role))
        };
        let refused = told(&front, "alder-owner", ask(owner_role), "400 InvalidTemplateDeployment deployment.invalid").await.json();
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(message.contains("InvalidRegistrationDefinitionCreateRequest") && message.contains("Owner"), "{message}");
        ok(&front, "alder-owner", ask(READER), 200).await;
        told(&front, "alder-owner", get(definition(1)), "404 ResourceNotFound resource.unknown").await;
    }
    front.drain().await;
}

/// A body of two halves, after the fields that frame it.
const IN_HALVES: [[&str; 3]; 2] = [
    ["Content-Length: 40", "{\"location\":\"westeurope\",", "\"tags\":{\"a\":1}}"],
    ["Transfer-Encoding: chunked", "19\r\n{\"location\":\"westeurope\",\r\n", "e\r\n\"tags\":{\"a\":1}\r\n1\r\n}\r\n0\r\n\r\n"],
];

#[tokio::test]
async fn what_is_under_way_is_cut_off_when_its_delegation_ends() {
    let backend = Backend::start(|_arrived, _before| Act::Answer(json_answer("201 Created", "{}"))).await;
    let front = Front::start("agreements-under-way", &format!("http://{}", backend.address), "").await;
    let mine = json!([{ "principalId": object("operator"), "roleDefinitionId": CONTRIBUTOR }]);
    ok(&front, "alder-owner", put(definition(1), &offer("Night shift", &mine, &json!([]))), 201).await;
    for (before, halves) in IN_HALVES.into_iter().enumerate() {
        // Bytes are passed on as they come, and do not look like a document.
        let bytes = halves.map(|half| half.replace('{', "."));
        let begun = async || drop(backend.log_with(|log| log.connections > before).await);
        let answer = put_in_halves(&front, "application/octet-stream", &bytes, begun).await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("delegation.none"), "{halves:?}: {answer}");
        let log = backend.log_with(|log| log.arrived.len() > before).await;
        assert!(!log.arrived[before].whole, "{halves:?}: it was not carried out");
    }
    let arrived = backend.log().arrived.len();
    for halves in IN_HALVES {
        let answer = put_in_halves(&front, "application/json", &halves.map(str::to_owned), async || {}).await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("delegation.none"), "{halves:?}: {answer}");
    }
    assert_eq!(backend.log().arrived.len(), arrived, "what is judged as a whole does not leave before its end");
    front.drain().await;
}

/// What is answered to a request whose sender loses the delegation between the halves of its body, once it has begun.
async fn put_in_halves(front: &Front, kind: &str, [framing, first, second]: &[String; 3], begun: impl AsyncFn()) -> String {
    ok(front, "alder-owner", put(assignment(2), &binding(1)), 201).await;
    let mut stream = front.client.connect("localhost", b"http/1.1").await.unwrap();
    let (host, token, target) = (front.client.authority(), SHARED.token("operator").await, group("rg-held"));
    let head = format!("PUT {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\n");
    stream.write_all(format!("{head}Connection: close\r\n{framing}\r\n\r\n{first}").as_bytes()).await.unwrap();
    begun().await;
    let removed = ok(front, "alder-owner", call("DELETE", assignment(2)), 202).await;
    let status = ok(front, "alder-owner", get(path_of(&removed, "azure-asyncoperation")), 200).await;
    assert_eq!(status.json()["status"], "Succeeded");
    stream.write_all(second.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("an answer in time").is_ok();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn what_breaks_a_rule_of_delegations_is_refused_and_changes_nothing() {
    let front = started("agreements-rules").await;
    let prod = SHARED.subscription("alder-prod");
    let owner = |role: &str| json!([{ "principalId": object("operator"), "roleDefinitionId": role }]);
    let refused = put(definition(1), &offer("Too much", &owner("8e3af657-a8ff-443c-a75c-2fe8c4bcb635"), &json!([])));
    told(&front, "alder-owner", refused, "400 InvalidRegistrationDefinitionCreateRequest offer.invalid").await;
    told(&front, "alder-owner", get(definition(1)), "404 ResourceNotFound resource.unknown").await;
    let elsewhere = format!("{prod}/providers/Microsoft.ManagedServices/registrationDefinitions/{}?{MS}", guid(7));
    let by_provider = put(elsewhere, &offer("Mine", &owner(READER), &json!([])));
    let no_role_helps = told(&front, "operator", by_provider, "403 AuthorizationFailed role.action_missing").await.json();
    assert!(no_role_helps["error"]["message"].as_str().unwrap().contains("Alder Foods itself"), "{no_role_helps}");
    let list = format!("{prod}/providers/Microsoft.ManagedServices/registrationAssignments?{MS}");
    let declared = ok(&front, "alder-owner", get(list), 200).await.json()["value"][0]["id"].as_str().unwrap().to_owned();
    let kept =
        told(&front, "alder-owner", call("DELETE", format!("{declared}?{MS}")), "409 RequestDisallowedByPolicy rule.grants_in_files").await;
    assert!(kept.json()["error"]["message"].as_str().unwrap().contains("alder.toml:"), "{}", kept.json());
    let unknown = in_dev(&format!("Microsoft.ManagedServices/somethings?{MS}"));
    told(&front, "alder-owner", get(unknown), "404 InvalidResourceType scope.malformed").await;
    let broken = call("PUT", definition(1)).json(&json!("x"));
    told(&front, "alder-owner", broken, "400 InvalidRequestContent offer.invalid").await;
    told(&front, "alder-owner", call("PUT", definition(1)), "400 InvalidRequestContent request.malformed").await;
    let mut twice = call("PUT", definition(1));
    twice.body = r#"{"properties":{"managedByTenantId":"a","managedByTenantId":"b"}}"#.into();
    let doubled =
        told(&front, "alder-owner", twice.header("content-type", "application/json"), "400 InvalidRequestContent request.malformed").await;
    assert!(doubled.json()["error"]["message"].as_str().unwrap().contains("has already"), "{}", doubled.json());
    let deployment = in_dev("Microsoft.Resources/deployments/d?api-version=2021-04-01");
    let linked = put(deployment, &json!({ "properties": { "templateLink": { "uri": "https://x.example/t.json" } } }));
    told(&front, "alder-owner", linked, "400 InvalidRequestContent deployment.invalid").await;
    front.drain().await;
}

#[tokio::test]
async fn a_guest_does_not_delegate() {
    let front = started("agreements-guest").await;
    let body = offer("By a guest", &json!([{ "principalId": object("operator"), "roleDefinitionId": READER }]), &json!([]));
    let lynx = "/subscriptions/17110000-5000-4000-8000-000000000001/providers/Microsoft.ManagedServices/registrationDefinitions";
    let target = format!("{lynx}/{}?{MS}", guid(1));
    let mut claims = signer::claims();
    claims["acct"] = 1.into();
    let answer = front.client.send(put(target.clone(), &body).bearer(&signer::signed(&claims))).await;
    assert_eq!(answer.told(), "403 AuthorizationFailed rule.guest");
    claims["acct"] = 0.into();
    let answer = front.client.send(put(target, &body).bearer(&signer::signed(&claims))).await;
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    front.drain().await;
}

fn in_holly(kind: &str, n: u32) -> String {
    format!("/subscriptions/40110000-5000-4000-8000-000000000001/providers/Microsoft.ManagedServices/{kind}/{}?{MS}", guid(n))
}

/// The policies of the shared installation in a folder of their own.
fn copied_policies(name: &str) -> PathBuf {
    let into = empty_folder(name);
    let mut left = vec![(SHARED.folder.join("policies"), into.clone())];
    while let Some((from, to)) = left.pop() {
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                left.push((entry.path(), to));
            } else {
                std::fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    into
}

#[tokio::test]
async fn only_the_managing_tenants_of_the_customers_list_are_delegated_to() {
    let policies = copied_policies("agreements-managers-policies");
    let (folder, backend) = (empty_folder("agreements-managers"), &SHARED.demo.world.backend);
    let front = Front::start_with(&folder, backend, "", "", Clock::system(), &policies).await;
    let mut body = offer("By Nimbus", &json!([{ "principalId": object("rival"), "roleDefinitionId": READER }]), &json!([]));
    body["properties"]["managedByTenantId"] = tenant("nimbus").into();
    let (made, other) = (in_holly("registrationDefinitions", 1), in_holly("registrationDefinitions", 2));
    ok(&front, "holly-owner", put(made.clone(), &body), 201).await;

    let list = "\n[[onboarding]]\ntenant = \"holly\"\nmanaging_tenants = [\"ostra\", \"99999999-9999-4999-8999-999999999999\"]\n";
    std::fs::write(policies.join("onboarding.toml"), list).unwrap();
    assert_eq!(front.admin(call("POST", "/api/policies/reload")).await.status, 200);

    let refused = told(&front, "holly-owner", put(other, &body), "403 RequestDisallowedByPolicy rule.managing_tenant").await.json();
    let info = refused["error"]["additionalInfo"].as_array().unwrap();
    assert_eq!(info[1]["info"]["policyDefinitionName"], "7a8a51a3-ad87-4def-96f3-65a1839242b6");
    assert_eq!(info[1]["info"]["managedByTenantId"], tenant("nimbus"));
    assert!(info[1]["info"]["definedAt"].as_str().unwrap().ends_with("onboarding.toml:2"), "{info:?}");
    assert_eq!((&info[0]["type"], &info[1]["type"]), (&json!("StewardDecision"), &json!("PolicyViolation")));

    let binding = json!({ "properties": { "registrationDefinitionId": made.split('?').next().unwrap() } });
    let bound = put(in_holly("registrationAssignments", 3), &binding);
    told(&front, "holly-owner", bound, "403 RequestDisallowedByPolicy rule.managing_tenant").await;
    let ours = offer("By Ostra", &json!([{ "principalId": object("operator"), "roleDefinitionId": READER }]), &json!([]));
    ok(&front, "holly-owner", put(in_holly("registrationDefinitions", 4), &ours), 201).await;
    front.drain().await;
}

/// Plans in two versions, and one for Alder and nobody else.
const PLANS: &str = r#"
[[marketplace_offer]]
publisher = "ostra"
product = "care"
plan = "gold"
version = "1.9.0"
managing_tenant = "ostra"

[[marketplace_offer.authorization]]
who = "reader"
role = "Reader"

[[marketplace_offer]]
publisher = "ostra"
product = "care"
plan = "gold"
version = "1.10.0"
managing_tenant = "ostra"

[[marketplace_offer.authorization]]
who = "operator"
role = "Contributor"

[[marketplace_offer.authorization]]
who = "deniz"
role = "Reader"

[[marketplace_offer.authorization]]
who = "deniz"
role = "Virtual Machine Contributor"
on_request = { max = "1h", approvers = ["mara"] }

[[marketplace_offer]]
publisher = "ostra"
product = "care-preview"
plan = "alder"
version = "1.0.0"
managing_tenant = "ostra"
private_to = ["alder"]

[[marketplace_offer.authorization]]
who = "operator"
role = "Reader"
"#;

#[tokio::test]
async fn a_plan_of_the_marketplace_is_found_and_taken_as_it_is() {
    let policies = copied_policies("agreements-plans-policies");
    std::fs::write(policies.join("plans.toml"), PLANS).unwrap();
    let (folder, backend) = (empty_folder("agreements-plans"), &SHARED.demo.world.backend);
    let front = Front::start_with(&folder, backend, "", "", Clock::system(), &policies).await;

    let list =
        |above: &str, rest: &str| get(format!("{above}/providers/Microsoft.ManagedServices/marketplaceRegistrationDefinitions{rest}?{MS}"));
    let names = |answer: &Answer| -> Vec<String> {
        answer.json()["value"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let public = ["ostra.care.gold.1.9.0", "ostra.care.gold.1.10.0"];
    assert_eq!(names(&ok(&front, "holly-owner", list("", ""), 200).await), public);
    assert_eq!(names(&ok(&front, "alder-owner", list("", ""), 200).await).len(), 3);
    assert_eq!(names(&ok(&front, "operator", list("", ""), 200).await).len(), 3, "the publisher's own");
    let dev = SHARED.subscription("alder-dev");
    let newest = ok(&front, "alder-owner", list(&dev, "/Ostra.care.gold"), 200).await.json();
    assert_eq!(newest["name"], public[1]);
    assert!(newest["id"].as_str().unwrap().starts_with(&dev), "{newest}");
    assert_eq!(newest["properties"]["managedByTenantId"], tenant("ostra"));
    assert_eq!(newest["properties"]["authorizations"][0]["roleDefinitionId"], CONTRIBUTOR);
    assert_eq!(newest["properties"]["eligibleAuthorizations"][0]["justInTimeAccessPolicy"]["maximumActivationDuration"], "PT1H");
    ok(&front, "holly-owner", list("", "/ostra.care.gold.1.9"), 200).await;
    let not_theirs = list("", "/ostra.care-preview");
    told(&front, "holly-owner", not_theirs.clone(), "404 ResourceNotFound resource.unknown").await;
    ok(&front, "alder-owner", not_theirs, 200).await;
    told(&front, "alder-owner", list("", "/ostra.car"), "404 ResourceNotFound resource.unknown").await;

    let bought = |product: &str, plan: &str, version: &str| {
        json!({
            "plan": { "publisher": "ostra", "product": product, "name": plan, "version": version },
            "properties": { "registrationDefinitionName": "Gold care", "managedByTenantId": tenant("ostra") },
        })
    };
    let taken = ok(&front, "holly-owner", put(in_holly("registrationDefinitions", 1), &bought("care", "gold", "1.10.0")), 201).await.json();
    assert_eq!(taken["plan"]["name"], "gold");
    assert_eq!(taken["properties"]["authorizations"], newest["properties"]["authorizations"]);
    assert_eq!(taken["properties"]["eligibleAuthorizations"], newest["properties"]["eligibleAuthorizations"]);
    let refused = "400 InvalidRegistrationDefinitionCreateRequest offer.invalid";
    let mut changed = bought("care", "gold", "1.10.0");
    changed["properties"]["authorizations"] = json!([{ "principalId": object("operator"), "roleDefinitionId": READER }]);
    told(&front, "holly-owner", put(in_holly("registrationDefinitions", 2), &changed), refused).await;
    let private = bought("care-preview", "alder", "1.0.0");
    told(&front, "holly-owner", put(in_holly("registrationDefinitions", 2), &private), refused).await;
    ok(&front, "alder-owner", put(definition(2), &private), 201).await;
    let old = in_holly("registrationDefinitions", 3).replace("2022-10-01", "2019-06-01");
    told(&front, "holly-owner", put(old, &bought("care", "gold", "1.10.0")), refused).await;
    front.drain().await;
}

#[tokio::test]
async fn an_answer_without_a_body_has_no_type_and_the_provider_is_the_backends() {
    let backend = Backend::start(|_, _| Act::Answer(json_answer("200 OK", "{}"))).await;
    let front = Front::start("agreements-nothing", &format!("http://{}", backend.address), "").await;
    let gone = ok(&front, "alder-owner", call("DELETE", definition(1)), 204).await;
    assert!(!gone.headers.contains_key("content-type"), "{:?}", gone.headers);
    let provider = format!("{}/providers/Microsoft.ManagedServices", SHARED.subscription("alder-dev"));
    ok(&front, "alder-owner", get(format!("{provider}?{ROLES}")), 200).await;
    ok(&front, "alder-owner", call("POST", format!("{provider}/register?{ROLES}")), 200).await;
    assert_eq!(backend.log().arrived.len(), 2);
    front.drain().await;
}

fn activation(role: &str, more: &Value) -> Value {
    let mut properties = json!({ "principalId": object("operator"), "roleDefinitionId": role, "requestType": "SelfActivate" });
    for (name, value) in more.as_object().unwrap() {
        properties[name] = value.clone();
    }
    json!({ "properties": properties })
}

#[tokio::test]
async fn an_eligible_role_is_activated_and_ends() {
    let front = started("agreements-activation").await;
    let standing = json!([{ "principalId": object("operator"), "roleDefinitionId": READER }]);
    let eligible = json!([{ "principalId": object("operator"), "roleDefinitionId": VM_CONTRIBUTOR, "justInTimeAccessPolicy": {
        "multiFactorAuthProvider": "None", "maximumActivationDuration": "PT1H",
    } }]);
    // Eligible authorizations are for people; the gateway's own version lets an automation have one.
    let own = definition(1).replace("2022-10-01", "2026-11-01-steward-preview");
    ok(&front, "alder-owner", put(own, &offer("On request", &standing, &eligible)), 201).await;
    ok(&front, "alder-owner", put(assignment(2), &binding(1)), 201).await;

    let list = in_dev(&format!("Microsoft.Authorization/roleEligibilityScheduleInstances?{PIM}&$filter=asTarget()"));
    let mine = ok(&front, "operator", get(list.clone()), 200).await.json();
    assert_eq!(mine["value"][0]["properties"]["principalId"], object("operator"));
    assert_eq!(ok(&front, "reader", get(list), 200).await.json()["value"], json!([]));

    let permissions = || get(in_dev(&format!("Microsoft.Authorization/permissions?{ROLES}")));
    let before = ok(&front, "operator", permissions(), 200).await.json()["value"].as_array().unwrap().len();
    for (body, expected) in [
        (activation(VM_CONTRIBUTOR, &json!({})), "400 RoleAssignmentRequestPolicyValidationFailed activation.rule"),
        (activation(CONTRIBUTOR, &json!({ "justification": "x" })), "400 RoleAssignmentDoesNotExist activation.not_eligible"),
        (activation(VM_CONTRIBUTOR, &json!({ "requestType": "Please" })), "400 InvalidRequestContent assignment.invalid"),
    ] {
        told(&front, "operator", put(request(3), &body), expected).await;
    }
    let wanted =
        activation(VM_CONTRIBUTOR, &json!({ "justification": "INC-1", "scheduleInfo": { "expiration": { "duration": "PT30M" } } }));
    let granted = ok(&front, "operator", put(request(3), &wanted), 201).await.json();
    assert_eq!(granted["properties"]["status"], "Provisioned");
    assert_eq!(ok(&front, "operator", permissions(), 200).await.json()["value"].as_array().unwrap().len(), before + 1);
    told(&front, "operator", put(request(7), &wanted), "400 RoleAssignmentExists activation.rule").await;
    let cancel = in_dev(&format!("Microsoft.Authorization/roleAssignmentScheduleRequests/{}/cancel?{PIM}", guid(3)));
    told(&front, "operator", call("POST", cancel), "409 RoleAssignmentApprovalAlreadyDecided activation.decision").await;
    let end = activation(VM_CONTRIBUTOR, &json!({ "requestType": "SelfDeactivate" }));
    ok(&front, "operator", put(request(4), &end), 201).await;
    assert_eq!(ok(&front, "operator", permissions(), 200).await.json()["value"].as_array().unwrap().len(), before);
    front.drain().await;
}

/// Asks as long before `until` as this; `None` when the machine was too slow for the answer to mean anything.
async fn before_the_end(front: &Front, clock: &Clock, until: Timestamp, call: Call) -> Option<Answer> {
    let left = until.duration_since(clock.now()) - jiff::SignedDuration::from_secs(1);
    clock.advance(Duration::try_from(left).ok()?);
    let answer = front.ask("operator", call).await;
    (clock.now() < until).then_some(answer)
}

#[tokio::test]
async fn an_activation_ends_to_the_second() {
    let clock = Clock::system();
    let backend = Backend::start(|_, _| Act::Answer(json_answer("200 OK", "{}"))).await;
    let (folder, policies) = (empty_folder("agreements-end"), SHARED.folder.join("policies"));
    let front = Front::start_with(&folder, &format!("http://{}", backend.address), "", "", clock.clone(), &policies).await;
    let standing = json!([{ "principalId": object("operator"), "roleDefinitionId": READER }]);
    let eligible = json!([{ "principalId": object("operator"), "roleDefinitionId": CONTRIBUTOR }]);
    let own = definition(1).replace("2022-10-01", "2026-11-01-steward-preview");
    ok(&front, "alder-owner", put(own, &offer("On request", &standing, &eligible)), 201).await;
    ok(&front, "alder-owner", put(assignment(2), &binding(1)), 201).await;
    let change = || {
        let group = format!("{}/resourceGroups/rg-activated?{ROLES}", SHARED.subscription("alder-dev"));
        put(group, &json!({ "location": "westeurope" }))
    };
    told(&front, "operator", change(), "403 AuthorizationFailed role.not_active").await;

    let mut allowed = None;
    for n in 10..15 {
        let wanted =
            activation(CONTRIBUTOR, &json!({ "justification": "INC-2", "scheduleInfo": { "expiration": { "duration": "PT5M" } } }));
        let granted = ok(&front, "operator", put(request(n), &wanted), 201).await.json();
        let until: Timestamp = granted["properties"]["scheduleInfo"]["expiration"]["endDateTime"].as_str().unwrap().parse().unwrap();
        allowed = before_the_end(&front, &clock, until, change()).await.map(|answer| (answer, until));
        if allowed.is_some() {
            break;
        }
    }
    let (answer, until) = allowed.expect("one of five questions is answered within a second");
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    clock.advance(Duration::try_from(until.duration_since(clock.now())).unwrap_or_default() + Duration::from_millis(1));
    told(&front, "operator", change(), "403 AuthorizationFailed role.not_active").await;
    front.drain().await;
}

#[tokio::test]
async fn an_administrator_of_identities_holds_nothing_else() {
    let front = started("agreements-administrator").await;
    let alone = json!([
        { "principalId": object("operator"), "roleDefinitionId": ACCESS_ADMINISTRATOR, "delegatedRoleDefinitionIds": [READER] },
    ]);
    offered(&front, &alone, &json!([])).await;
    ok(&front, "operator", get(in_dev(&format!("Microsoft.Authorization/roleAssignments?{ROLES}"))), 200).await;
    told(&front, "operator", get(definition(1)), "403 AuthorizationFailed role.action_missing").await;
    let lock = put(in_dev(&format!("Microsoft.Authorization/locks/l?{ROLES}")), &json!({ "properties": { "level": "CanNotDelete" } }));
    told(&front, "operator", lock, "403 AuthorizationFailed role.action_missing").await;
    front.drain().await;
}

#[tokio::test]
async fn what_was_activated_ends_with_its_delegation_for_good() {
    let front = started("agreements-revival").await;
    let standing = json!([{ "principalId": object("operator"), "roleDefinitionId": READER }]);
    let eligible = json!([{ "principalId": object("operator"), "roleDefinitionId": VM_CONTRIBUTOR }]);
    let own = definition(1).replace("2022-10-01", "2026-11-01-steward-preview");
    ok(&front, "alder-owner", put(own, &offer("On request", &standing, &eligible)), 201).await;
    ok(&front, "alder-owner", put(assignment(2), &binding(1)), 201).await;
    let wanted = activation(VM_CONTRIBUTOR, &json!({ "justification": "INC-3" }));
    ok(&front, "operator", put(request(3), &wanted), 201).await;
    let permissions = || get(in_dev(&format!("Microsoft.Authorization/permissions?{ROLES}")));
    let held = |answer: Answer| answer.json()["value"].as_array().unwrap().len();
    let active = held(ok(&front, "operator", permissions(), 200).await);
    ok(&front, "alder-owner", call("DELETE", assignment(2)), 202).await;
    ok(&front, "alder-owner", put(assignment(2), &binding(1)), 201).await;
    let after = held(ok(&front, "operator", permissions(), 200).await);
    assert_eq!(after + 1, active, "the same name is another delegation, in which nothing was activated");
    front.drain().await;
}

#[tokio::test]
async fn a_managing_tenant_assigns_only_the_roles_it_was_given_to_managed_identities() {
    let principal = guid(98);
    let backend = Backend::start({
        let (principal, alder) = (principal.clone(), tenant("alder"));
        move |arrived, _before| {
            let (line, _) = arrived.head.split_once("\r\n").unwrap();
            let identity = json!({ "properties": { "principalId": principal, "tenantId": alder } });
            let provider = json!({ "resourceTypes": [{ "resourceType": "userAssignedIdentities", "apiVersions": ["2025-05-31-preview", "2023-01-31"] }] });
            let missing = json!({ "error": { "code": "ResourceNotFound", "message": "there is no such resource" } });
            let (status, body) = match line {
                line if line.contains("/userAssignedIdentities/i?api-version=2023-01-31") => ("200 OK", identity),
                line if line.contains("/providers/Microsoft.ManagedIdentity?") => ("200 OK", provider),
                line if line.contains("/providers/Microsoft.Logic?") => ("200 OK", json!({ "resourceTypes": [{ "resourceType": "workflows", "apiVersions": ["2019-05-01"] }] })),
                line if line.contains("/workflows/i?") => ("200 OK", identity),
                _ => ("404 Not Found", missing),
            };
            Act::Answer(json_answer(status, &body.to_string()))
        }
    })
    .await;
    let front = Front::start("agreements-constrained", &format!("http://{}", backend.address), "").await;
    let administrator = json!([
        { "principalId": object("operator"), "roleDefinitionId": ACCESS_ADMINISTRATOR, "delegatedRoleDefinitionIds": [READER] },
        { "principalId": object("operator"), "roleDefinitionId": CONTRIBUTOR },
    ]);
    offered(&front, &administrator, &json!([])).await;
    let id = |name: &str| {
        let above = group("rg-identities").split('?').next().unwrap().to_owned();
        format!("{above}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}")
    };
    let identity = id("i");
    let body_for = |who: &str, role: &str, kind: &str, identity: Option<&str>| {
        json!({ "properties": {
            "roleDefinitionId": role, "principalId": who, "principalType": kind, "delegatedManagedIdentityResourceId": identity,
        } })
    };
    let body = |role: &str, kind: &str, identity: Option<&str>| body_for(&principal, role, kind, identity);
    for body in [
        body(CONTRIBUTOR, "ServicePrincipal", Some(&identity)),
        body(READER, "User", Some(&identity)),
        body(READER, "ServicePrincipal", None),
        body(READER, "ServicePrincipal", Some("/subscriptions/99999999-9999-4999-8999-999999999999/resourceGroups/x")),
        body(READER, "ServicePrincipal", Some(&identity.replace(&SHARED.subscription("alder-dev"), &SHARED.subscription("granite-main")))),
        body(READER, "ServicePrincipal", Some(&id("none"))),
        // A resource whose properties its author writes proves nothing.
        body(
            READER,
            "ServicePrincipal",
            Some(&id("i").replace("Microsoft.ManagedIdentity/userAssignedIdentities", "Microsoft.Logic/workflows")),
        ),
        body_for(&object("operator"), READER, "ServicePrincipal", Some(&identity)),
        body_for(&guid(99), READER, "ServicePrincipal", Some(&identity)),
    ] {
        told(&front, "operator", put(role_assignment(5), &body), "403 AuthorizationFailed assignment.constrained").await;
    }
    ok(&front, "operator", put(role_assignment(5), &body(READER, "ServicePrincipal", Some(&identity))), 201).await;
    let listed = ok(&front, "alder-owner", get(in_dev(&format!("Microsoft.Authorization/roleAssignments?{ROLES}"))), 200).await.json();
    let principals: Vec<&str> =
        listed["value"].as_array().unwrap().iter().filter_map(|one| one["properties"]["principalId"].as_str()).collect();
    assert!(principals.contains(&principal.as_str()), "{principals:?}");
    assert!(!principals.contains(&object("operator").as_str()), "what is delegated is not listed");
    let list = |filter: &str| get(in_dev(&format!("Microsoft.Authorization/roleAssignments?{ROLES}&$filter={filter}")));
    for filter in ["atScope()", "atScope()%20and%20assignedTo('{}')", "principalId+eq+'{}'", "assignedTo(%27{}%27)"] {
        let found = ok(&front, "alder-owner", list(&filter.replace("{}", &principal)), 200).await.json();
        assert!(found["value"].as_array().unwrap().iter().any(|one| one["properties"]["principalId"] == *principal), "{filter}");
    }
    for filter in ["roleDefinitionId%20eq%20'x'", "principalId%20eq%20'x'", "atScope()%20or%20atScope()", "and"] {
        told(&front, "alder-owner", list(filter), "400 InvalidQueryParameter request.parameter").await;
    }
    ok(&front, "alder-owner", call("DELETE", role_assignment(5)), 200).await;
    ok(&front, "alder-owner", call("DELETE", role_assignment(5)), 204).await;
    front.drain().await;
}
