//! A machine changes hands: in two steps as of old, or in one.

use serde_json::{Value, json};

use super::harness::{ADMIN, ANNA, AS_ANNA, AS_KIM, Backend, JUNIPER, KELP, KIM, OPERATION_TIME, claims};
use super::mock::{Answer, HOME, signed};

async fn transfer(backend: &Backend, from: Option<&str>) -> Value {
    json!({ "from": from, "to": KELP, "owner": KIM, "cloud": backend.id("clouds", "north-gold").await })
}

fn codes(answer: &Answer) -> Vec<&str> {
    answer.body["obstacles"].as_array().unwrap().iter().map(|problem| problem["code"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_plain_change_of_owner_is_refused_and_the_two_steps_work() {
    let backend = Backend::with_tenants().await;
    let id = backend.deployed(AS_ANNA, "web-01").await;
    let path = format!("/vms/{id}");
    for owner in [KIM, ANNA, "CORP\\kim"] {
        let refused = backend.patch(ADMIN, &path, json!({ "owner": owner })).await;
        assert_eq!(refused.told(), "400 NotADirectoryAccount");
        assert!(refused.message().contains(owner) && refused.message().contains("Active Directory"), "{refused:?}");
    }
    assert_eq!(backend.patch(AS_ANNA, &path, json!({ "user_role": KELP })).await.told(), "403 AdministratorOnly");
    assert_eq!(backend.patch(AS_ANNA, &path, json!({ "owner": KIM })).await.told(), "400 NotAMember");
    assert_eq!(backend.patch(AS_KIM, &path, json!({ "owner": KIM })).await.told(), "404 VmNotFound");

    assert_eq!(backend.patch(ADMIN, &path, json!({ "user_role": KELP })).await.told(), "200");
    // Between the steps it still has the owner that it had.
    assert_eq!(backend.vm(AS_KIM, &id).await["owner"], ANNA);
    assert_eq!(backend.get(AS_ANNA, "/vms").await.names(), Vec::<&str>::new());
    assert_eq!(backend.get(AS_KIM, "/vms").await.names(), ["web-01"]);
    assert_eq!(backend.patch(AS_ANNA, &path, json!({ "owner": ANNA })).await.told(), "404 VmNotFound");
    assert_eq!(backend.patch(ADMIN, &path, json!({ "owner": KIM })).await.told(), "400 NotADirectoryAccount");
    assert_eq!(backend.patch(AS_KIM, &path, json!({ "owner": KIM })).await.told(), "200");
    let vm = backend.vm(ADMIN, &id).await;
    assert_eq!((&vm["owner"], &vm["user_role"]), (&json!(KIM), &json!(KELP)));
}

#[tokio::test]
async fn the_first_step_minds_names_and_quota() {
    let backend = Backend::with_tenants().await;
    let id = backend.deployed(AS_ANNA, "web-01").await;
    let path = format!("/vms/{id}");
    backend.deployed(AS_KIM, "WEB-01").await;
    assert_eq!(backend.patch(ADMIN, &path, json!({ "user_role": KELP })).await.told(), "409 VmExists");
    assert_eq!(backend.patch(ADMIN, &path, json!({ "user_role": HOME })).await.told(), "400 RoleNotFound");
    let other = format!("/vms/{}", backend.deployed(AS_ANNA, "web-02").await);
    let mut role = backend.role(KELP, &[KIM]).await;
    role["quota"] = json!({ "virtual_machines": 1 });
    backend.put(ADMIN, &format!("/roles/{KELP}"), role.clone()).await;
    assert_eq!(backend.patch(ADMIN, &other, json!({ "user_role": KELP })).await.told(), "409 QuotaExceeded");
    role["clouds"] = json!([backend.id("clouds", "south-gold").await]);
    backend.put(ADMIN, &format!("/roles/{KELP}"), role).await;
    assert_eq!(backend.patch(ADMIN, &other, json!({ "user_role": KELP })).await.told(), "409 CloudNotPermitted");
}

#[tokio::test]
async fn a_transfer_changes_role_owner_and_cloud_at_once() {
    let backend = Backend::with_tenants().await;
    let id = backend.deployed(AS_ANNA, "web-01").await;
    let mut role = backend.role(KELP, &[KIM]).await;
    role["clouds"] = json!([backend.id("clouds", "north-gold").await, backend.id("clouds", "north-bronze").await]);
    backend.put(ADMIN, &format!("/roles/{KELP}"), role).await;
    let mut asked = transfer(&backend, Some(JUNIPER)).await;
    asked["cloud"] = json!(backend.id("clouds", "north-bronze").await);
    asked["preview"] = json!(true);
    let path = format!("/vms/{id}/transfer");
    let before = backend.vm(AS_ANNA, &id).await;
    let preview = backend.post(AS_KIM, &path, asked.clone()).await;
    assert_eq!((preview.told().as_str(), &preview.body["before"], &preview.body["job"]), ("200", &before, &Value::Null));
    assert_eq!((&preview.body["after"]["owner"], codes(&preview)), (&json!(KIM), vec![]));
    assert_eq!(backend.vm(AS_ANNA, &id).await, before);

    asked["preview"] = json!(false);
    let moved = backend.post(AS_KIM, &path, asked.clone()).await;
    let after = backend.vm(AS_KIM, &id).await;
    assert_eq!((&moved.body["before"], &moved.body["after"]), (&before, &after));
    assert_eq!((&after["owner"], &after["user_role"], &after["cloud"]), (&json!(KIM), &json!(KELP), &asked["cloud"]));
    assert_eq!(backend.get(AS_ANNA, &format!("/vms/{id}")).await.told(), "404 VmNotFound");
    let job = backend.get(AS_KIM, &format!("/jobs/{}", moved.body["job"].as_str().unwrap())).await.body;
    assert_eq!((&job["name"], &job["status"], &job["progress"]), (&json!("Transfer virtual machine"), &json!("Completed"), &json!(100)));
    assert_eq!(after["last_job"], job["id"]);
    assert_eq!(backend.post(AS_KIM, &path, asked).await.told(), "409 OwnershipChanged");
}

#[tokio::test]
async fn only_who_gets_a_machine_takes_it() {
    let backend = Backend::with_tenants().await;
    let id = backend.deployed(AS_ANNA, "web-01").await;
    let (path, asked) = (format!("/vms/{id}/transfer"), transfer(&backend, Some(JUNIPER)).await);
    assert_eq!(backend.post(ADMIN, &path, asked.clone()).await.told(), "403 OnBehalfOfRequired");
    assert_eq!(backend.post(AS_ANNA, &path, asked.clone()).await.told(), "403 OnBehalfOfRefused");
    let with = |member: &str, value: Value| {
        let mut asked = asked.clone();
        asked[member] = value;
        asked
    };
    assert_eq!(backend.post(AS_KIM, &path, with("owner", json!(ANNA))).await.told(), "403 OnBehalfOfRefused");
    assert_eq!(backend.post(AS_KIM, &path, with("from", Value::Null)).await.told(), "409 OwnershipChanged");
    let bronze = backend.id("clouds", "north-bronze").await;
    assert_eq!(backend.post(AS_KIM, &path, with("cloud", json!(bronze))).await.told(), "403 CloudNotPermitted");
    assert_eq!(backend.post(AS_KIM, &format!("/vms/{JUNIPER}/transfer"), asked.clone()).await.told(), "404 VmNotFound");
    assert_eq!(backend.vm(AS_ANNA, &id).await["owner"], ANNA);
}

#[tokio::test]
async fn obstacles_are_told_and_nothing_is_changed() {
    let backend = Backend::with_tenants().await;
    let id = backend.deployed(AS_ANNA, "web-01").await;
    backend.deployed(AS_KIM, "Web-01").await;
    let mut role = backend.role(KELP, &[KIM]).await;
    let gold = role["clouds"].clone();
    role["quota"] = json!({ "cores": 2 });
    role["clouds"] = json!([gold[0], backend.id("clouds", "south-gold").await]);
    backend.put(ADMIN, &format!("/roles/{KELP}"), role).await;
    let (path, mut asked) = (format!("/vms/{id}/transfer"), transfer(&backend, Some(JUNIPER)).await);
    for preview in [true, false] {
        asked["preview"] = json!(preview);
        let answer = backend.post(AS_KIM, &path, asked.clone()).await;
        assert_eq!((answer.told().as_str(), codes(&answer)), ("200", vec!["VmExists", "QuotaExceeded"]));
        assert_eq!(answer.body["job"], Value::Null);
    }
    asked["cloud"] = json!(backend.id("clouds", "south-gold").await);
    assert_eq!(codes(&backend.post(AS_KIM, &path, asked.clone()).await), ["OtherStamp", "QuotaExceeded"]);
    asked["cloud"] = gold[0].clone();
    let stopping = backend.post(AS_ANNA, &format!("/vms/{id}/operations"), json!({ "stop": {} })).await;
    assert_eq!(codes(&backend.post(AS_KIM, &path, asked.clone()).await).first(), Some(&"VmBusy"));
    backend.finished(AS_ANNA, &stopping).await;
    let removing = backend.delete(AS_ANNA, &format!("/vms/{id}")).await;
    assert_eq!(codes(&backend.post(AS_KIM, &path, asked.clone()).await).first(), Some(&"VmStatus"));
    backend.finished(AS_ANNA, &removing).await;
    let making = backend.post(AS_ANNA, "/vms", backend.new_vm("web-02").await).await;
    let path = format!("/vms/{}/transfer", making.body["vm"]["id"].as_str().unwrap());
    assert_eq!(codes(&backend.post(AS_KIM, &path, asked.clone()).await).first(), Some(&"VmStatus"));
    // Whoever does not know whose it is learns nothing of it.
    asked["from"] = Value::Null;
    assert_eq!(backend.post(AS_KIM, &path, asked).await.told(), "409 OwnershipChanged");
}

#[tokio::test]
async fn machines_of_nobody_are_adopted() {
    let backend = Backend::with_tenants().await;
    assert_eq!(backend.get(ADMIN, "/vms?unowned=true").await.names(), ["legacy-erp", "legacy-print"]);
    let (north, south) = (backend.id("stamps", "north").await, backend.id("stamps", "south").await);
    assert_eq!(backend.get(ADMIN, &format!("/vms?unowned=true&stamp={north}")).await.names().len(), 2);
    assert_eq!(backend.get(ADMIN, &format!("/vms?unowned=true&stamp={south}")).await.names().len(), 0);
    let by_name = format!("/stamps/{north}/machines/LEGACY-erp");
    assert_eq!(backend.get(AS_KIM, &by_name).await.told(), "403 AdministratorOnly");
    let erp = backend.get(ADMIN, &by_name).await.body["id"].as_str().unwrap().to_owned();
    let path = format!("/vms/{erp}/transfer");
    assert_eq!(backend.post(AS_KIM, &path, transfer(&backend, Some(JUNIPER)).await).await.told(), "409 OwnershipChanged");
    let moved = backend.post(AS_KIM, &path, transfer(&backend, None).await).await;
    assert_eq!((codes(&moved), moved.body["job"].is_string()), (vec![], true));
    assert_eq!(backend.get(AS_KIM, "/vms").await.names(), ["legacy-erp"]);
    assert_eq!(backend.get(ADMIN, &by_name).await.told(), "404 VmNotFound");

    // In two steps: the role gives it a cloud, and until the second one it has no owner, as before.
    let print = backend.id("vms", "legacy-print").await;
    let path = format!("/vms/{print}");
    let first = backend.patch(ADMIN, &path, json!({ "user_role": KELP })).await;
    assert_eq!(first.body["vm"]["cloud"], backend.id("clouds", "north-gold").await);
    assert_eq!(first.body["vm"]["owner"], Value::Null);
    assert_eq!(backend.patch(AS_KIM, &path, json!({ "owner": KIM })).await.body["vm"]["owner"], KIM);
    // It was never placed anywhere, so it is when it is started.
    let starting = backend.post(AS_KIM, &format!("{path}/operations"), json!({ "start": {} })).await;
    assert_eq!(backend.finished(AS_KIM, &starting).await["status"], "Completed");
    assert_eq!(backend.vm(AS_KIM, &print).await["host"], backend.id("hosts", "north-host-1").await);
}

#[tokio::test]
async fn an_administrator_changes_a_machine_only_by_saying_whose_it_is() {
    let backend = Backend::with_tenants().await;
    let asked_for = failed(&backend, "web-02").await;
    let held = backend.deployed(AS_ANNA, "web-01").await;
    let unowned = backend.id("vms", "legacy-erp").await;
    for (id, holder) in [(held.as_str(), JUNIPER), (&asked_for, JUNIPER), (&unowned, "nobody")] {
        let (before, jobs) = (backend.vm(ADMIN, id).await, jobs_of(&backend, id).await);
        let wrong = [JUNIPER, KELP, "nobody"].into_iter().filter(|other| *other != holder);
        let unsaid = [None, Some(""), Some("juniper"), Some("Nobody")].map(|said| (said, "400 HolderMissing"));
        for (said, expected) in unsaid.into_iter().chain(wrong.map(|other| (Some(other), "409 OwnershipChanged"))) {
            for (method, tail, body) in writes() {
                let answer = as_administrator(&backend, method, &format!("/vms/{id}{tail}"), &body, said).await;
                assert_eq!(answer.told(), expected, "{method} {tail} of {holder}'s by {said:?}");
            }
        }
        assert_eq!(backend.vm(ADMIN, id).await, before, "nothing was changed");
        assert_eq!(jobs_of(&backend, id).await, jobs, "nothing was begun");
    }
    let missing = as_administrator(&backend, "DELETE", &format!("/vms/{JUNIPER}"), &Value::Null, Some("nobody")).await;
    assert_eq!(missing.told(), "404 VmNotFound");

    let removed = as_administrator(&backend, "DELETE", &format!("/vms/{asked_for}"), &Value::Null, Some(JUNIPER)).await;
    assert!(removed.status.is_success(), "{removed:?}");
    for (id, holder) in [(held.as_str(), JUNIPER), (&unowned, "nobody")] {
        for ((method, tail, body), expected) in writes().into_iter().zip(["200", "202", "202"]) {
            let answer = as_administrator(&backend, method, &format!("/vms/{id}{tail}"), &body, Some(holder)).await;
            assert_eq!(answer.told(), expected, "{method} {tail} of {holder}'s: {answer:?}");
            backend.clock.advance(OPERATION_TIME);
        }
        assert_eq!(backend.get(ADMIN, &format!("/vms/{id}")).await.told(), "404 VmNotFound", "it was removed");
    }
}

/// Every kind of write that an administrator can do to a machine.
fn writes() -> [(&'static str, &'static str, Value); 3] {
    [
        ("PATCH", "", json!({ "description": "by the administrator" })),
        ("POST", "/operations", json!({ "restart": {} })),
        ("DELETE", "", Value::Null),
    ]
}

/// A machine that Anna asked for and that came to nothing: nobody's, and hers to try again.
async fn failed(backend: &Backend, name: &str) -> String {
    for host in GOLD_HOSTS {
        assert_eq!(backend.turn(host, "off").await.told(), "200");
    }
    let begun = backend.post(AS_ANNA, "/vms", backend.new_vm(name).await).await;
    assert_eq!(backend.finished(AS_ANNA, &begun).await["status"], "Failed");
    for host in GOLD_HOSTS {
        assert_eq!(backend.turn(host, "on").await.told(), "200");
    }
    let vm = backend.vm(ADMIN, begun.body["vm"]["id"].as_str().unwrap()).await;
    assert_eq!((&vm["user_role"], &vm["requested_by"]), (&Value::Null, &json!(JUNIPER)));
    vm["id"].as_str().unwrap().to_owned()
}

const GOLD_HOSTS: [&str; 2] = ["north-host-1", "north-host-2"];

/// Ids of all jobs about a machine.
async fn jobs_of(backend: &Backend, id: &str) -> Vec<Value> {
    let jobs = backend.get(ADMIN, &format!("/jobs?vm={id}")).await.body;
    jobs["value"].as_array().unwrap().iter().map(|job| job["id"].clone()).collect()
}

/// A write with this holder and no other.
async fn as_administrator(backend: &Backend, method: &str, path: &str, body: &Value, holder: Option<&str>) -> Answer {
    let assertion = signed(7, &claims(&backend.clock, ADMIN));
    let mut headers = vec![("authorization", assertion.as_str())];
    headers.extend(holder.map(|holder| ("x-vmm-holder", holder)));
    let body = (!body.is_null()).then(|| body.to_string().into());
    backend.send(method, path, body, &headers).await.unwrap()
}
