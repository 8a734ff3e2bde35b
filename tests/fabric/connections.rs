//! Who gets in, in whose name, and what happens to requests on the way.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use steward::clock::Clock;
use steward::resource_manager::Store;
use steward::resource_manager::fabric::Seed;

use super::harness::{ADMIN, ANNA, AS_ANNA, AS_KIM, Backend, JUNIPER, KELP, KIM, claims};
use super::mock::{signed, state_file};

const USER: &str = "x-vmm-on-behalf-of-user";
const ROLE: &str = "x-vmm-on-behalf-of-user-role";

#[tokio::test]
async fn only_the_gateways_assertion_opens_the_fabric() {
    let backend = Backend::start().await;
    let good = claims(&backend.clock, ADMIN);
    let with = |member: &str, value: Value| {
        let mut claims = good.clone();
        claims[member] = value;
        signed(7, &claims)
    };
    let now = backend.clock.now().as_second();
    for (assertion, expected) in [
        (signed(7, &good), "200"),
        (with("method", json!("GET")), "200"),
        (with("path", json!("/stamps")), "200"),
        (String::new(), "401 AuthenticationFailed"),
        ("Bearer abc".to_owned(), "401 AuthenticationFailed"),
        (signed(8, &good), "401 AuthenticationFailed"),
        (with("aud", json!("https://backend.test")), "401 AuthenticationFailed"),
        (with("iss", json!("https://other")), "401 AuthenticationFailed"),
        (with("exp", json!(now)), "401 AuthenticationFailed"),
        (with("exp", json!(now + 601)), "401 AuthenticationFailed"),
        (with("sub", json!(JUNIPER)), "401 AuthenticationFailed"),
        (with("vmm", Value::Null), "401 AuthenticationFailed"),
        (with("vmm", json!({ "root": {} })), "401 AuthenticationFailed"),
        (with("method", json!("PUT")), "401 AuthenticationFailed"),
        (with("path", json!("/clouds")), "401 AuthenticationFailed"),
    ] {
        let headers = if assertion.is_empty() { vec![] } else { vec![("authorization", assertion.as_str())] };
        let answer = backend.send("GET", "/stamps", None, &headers).await.unwrap();
        assert_eq!(answer.told(), expected, "{assertion}");
        assert_eq!(answer.status == 401, answer.headers.contains_key("www-authenticate"));
    }
}

#[tokio::test]
async fn both_on_behalf_values_are_there_once_and_as_asserted() {
    let backend = Backend::with_tenants().await;
    for (acting, headers, expected) in [
        (AS_ANNA, vec![(USER, ANNA), (ROLE, JUNIPER)], None),
        (AS_ANNA, vec![(ROLE, JUNIPER)], Some(USER)),
        (AS_ANNA, vec![(USER, ANNA)], Some(ROLE)),
        (AS_ANNA, vec![], Some(ROLE)),
        (AS_ANNA, vec![(USER, KIM), (ROLE, JUNIPER)], Some(USER)),
        (AS_ANNA, vec![(USER, ANNA), (ROLE, KELP)], Some(ROLE)),
        (AS_ANNA, vec![(USER, ANNA), (USER, ANNA), (ROLE, JUNIPER)], Some(USER)),
        (AS_ANNA, vec![(USER, ANNA), (ROLE, JUNIPER), (ROLE, JUNIPER)], Some(ROLE)),
        (AS_KIM, vec![(USER, ANNA), (ROLE, JUNIPER)], Some(USER)),
        (ADMIN, vec![(USER, ANNA)], Some(USER)),
        (ADMIN, vec![(ROLE, JUNIPER)], Some(ROLE)),
        (Some((KIM, JUNIPER)), vec![(USER, KIM), (ROLE, JUNIPER)], Some(KIM)),
        (Some((ANNA, HOME_OF_NOBODY)), vec![(USER, ANNA), (ROLE, HOME_OF_NOBODY)], Some(HOME_OF_NOBODY)),
    ] {
        let assertion = signed(7, &claims(&backend.clock, acting));
        let mut all = vec![("authorization", assertion.as_str())];
        all.extend(&headers);
        let answer = backend.send("GET", "/vms", None, &all).await.unwrap();
        match expected {
            None => assert_eq!(answer.told(), "200"),
            Some(named) => {
                assert_eq!(answer.told(), "403 OnBehalfOfRefused", "{headers:?}");
                assert!(answer.message().contains(named), "{answer:?}");
            }
        }
    }
    // A member is one whatever the case.
    let acting = Some(("Anna@Juniper.Example", JUNIPER));
    assert_eq!(backend.get(acting, "/vms").await.told(), "200");
}

const HOME_OF_NOBODY: &str = "99999999-0000-4000-8000-000000000001";

#[tokio::test]
async fn the_journal_keeps_in_whose_name_requests_came() {
    let backend = Backend::with_tenants().await;
    backend.get(AS_ANNA, "/vms?top=5").await;
    let spoofed = signed(7, &claims(&backend.clock, AS_KIM));
    let headers = [("authorization", spoofed.as_str()), (USER, ANNA), (ROLE, JUNIPER)];
    backend.send("GET", "/jobs", None, &headers).await.unwrap();
    let journal = backend.admin("GET", "journal", Value::Null).await.body;
    let [.., good, bad] = journal["requests"].as_array().unwrap().as_slice() else { panic!("{journal}") };
    assert_eq!(
        (&good["method"], &good["path"], &good["query"], &good["status"]),
        (&json!("GET"), &json!("/vms"), &json!("top=5"), &json!(200))
    );
    assert_eq!((&good["on_behalf_of_user"], &good["on_behalf_of_user_role"]), (&json!(ANNA), &json!(JUNIPER)));
    assert_eq!(good["connection"], json!({ "on_behalf_of": { "user": ANNA, "user_role": JUNIPER } }));
    assert_eq!((&bad["path"], &bad["status"], &bad["connection"]), (&json!("/jobs"), &json!(403), &Value::Null));
}

#[tokio::test]
async fn a_role_sees_what_it_may_use() {
    let backend = Backend::with_tenants().await;
    for (list, all, own) in [
        ("/stamps", vec!["north", "south"], vec!["north"]),
        ("/clouds", vec!["north-gold", "north-bronze", "south-gold"], vec!["north-gold"]),
        ("/networks", vec!["north-tenants", "north-dmz", "south-tenants"], vec!["north-tenants"]),
        ("/templates", vec!["ubuntu-24.04", "windows-2022", "ubuntu-24.04", "windows-2022"], vec!["ubuntu-24.04"]),
    ] {
        assert_eq!(backend.get(ADMIN, list).await.names(), all);
        assert_eq!(backend.get(AS_ANNA, list).await.names(), own);
    }
    assert_eq!(backend.get(ADMIN, "/hosts").await.names(), ["north-host-1", "north-host-2", "north-host-3", "south-host-1"]);
    assert_eq!(backend.get(AS_ANNA, "/hosts").await.told(), "403 AdministratorOnly");
    let host = format!("/hosts/{}", backend.id("hosts", "north-host-1").await);
    assert_eq!(backend.patch(AS_ANNA, &host, json!({ "power": "off" })).await.told(), "403 AdministratorOnly");
    assert_eq!(backend.get(AS_ANNA, "/vms?unowned=true").await.told(), "403 AdministratorOnly");
    assert_eq!(backend.get(AS_ANNA, &format!("/vms?role={KELP}")).await.told(), "403 OtherRole");
    assert_eq!(backend.get(AS_ANNA, &format!("/jobs?role={KELP}")).await.told(), "403 OtherRole");
    assert_eq!(backend.get(AS_ANNA, &format!("/usage?role={KELP}")).await.told(), "403 OtherRole");
    assert_eq!(backend.get(AS_ANNA, &format!("/roles/{KELP}")).await.told(), "404 RoleNotFound");
    assert_eq!(backend.get(AS_ANNA, "/roles").await.body["value"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let backend = Backend::start_with(Store::Memory, Seed::large(2, 450), Clock::system()).await;
    let role = backend.id("roles", "bench-2").await;
    let path = format!("/vms?role={role}&top=30");
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let page = backend.get(ADMIN, &format!("{path}{next}")).await.body;
        found.extend(page["value"].as_array().unwrap().iter().map(|vm| vm["name"].as_str().unwrap().to_owned()));
        let Some(after) = page["next"].as_str() else { break };
        assert_eq!(page["value"].as_array().unwrap().len(), 30);
        next = format!("&after={after}");
    }
    let expected: Vec<String> = (101..=200).map(|number| format!("vm-{number}")).collect();
    assert_eq!(found, expected);
    let first = backend.get(ADMIN, "/vms").await.body;
    assert_eq!((first["value"].as_array().unwrap().len(), first["next"].is_string()), (200, true));
    assert_eq!(backend.get(ADMIN, "/vms?name=VM-7").await.names(), ["vm-7"]);
    assert_eq!(backend.get(ADMIN, &format!("/vms?name=vm-7&role={role}")).await.names(), Vec::<&str>::new());
    let stamp = backend.id("stamps", "stamp-2").await;
    assert_eq!(backend.get(ADMIN, &format!("/vms?stamp={stamp}&top=1000")).await.names().len(), 200);
    for (query, expected) in [
        ("top=0", "400 InvalidQuery"),
        ("top=1001", "400 InvalidQuery"),
        ("after=%21", "400 InvalidQuery"),
        ("role=x", "400 InvalidQuery"),
        ("unowned=maybe", "400 InvalidQuery"),
    ] {
        assert_eq!(backend.get(ADMIN, &format!("/vms?{query}")).await.told(), expected);
    }
}

#[tokio::test]
async fn a_request_held_before_it_is_stored_is_lost_with_its_connection() {
    let backend = Backend::with_tenants().await;
    let held = json!({ "method": "POST", "path_prefix": "/vms", "at": "before_store" });
    let id = backend.admin("POST", "faults", held).await.body["id"].clone();
    let body = backend.new_vm("lost").await;
    let request = backend.post(AS_ANNA, "/vms", body.clone());
    tokio::select! {
        answer = request => panic!("{answer:?}"),
        () = backend.until("faults", |told| told["faults"][0]["held"] == 1) => {}
    }
    backend.until("faults", |told| told["faults"][0]["held"] == 0).await;
    assert_eq!(backend.admin("DELETE", &format!("faults/{id}"), Value::Null).await.told(), "200");
    assert_eq!(backend.get(ADMIN, "/vms?name=lost").await.names(), Vec::<&str>::new());
    assert_eq!(backend.post(AS_ANNA, "/vms", body).await.told(), "202");
}

#[tokio::test]
async fn a_request_held_before_it_is_answered_is_done() {
    let backend = Backend::with_tenants().await;
    backend.admin("POST", "faults", json!({ "method": "POST", "path_prefix": "/vms", "at": "before_answer" })).await;
    let request = backend.post(AS_ANNA, "/vms", backend.new_vm("kept").await);
    tokio::pin!(request);
    tokio::select! {
        answer = &mut request => panic!("{answer:?}"),
        () = backend.until("faults", |told| told["faults"][0]["held"] == 1) => {}
    }
    assert_eq!(backend.get(ADMIN, "/vms?name=kept").await.names(), ["kept"]);
    assert_eq!(backend.admin("DELETE", "faults", Value::Null).await.told(), "200");
    assert_eq!(request.await.told(), "202");
}

#[tokio::test]
async fn a_fault_refuses_as_often_as_it_says() {
    let backend = Backend::with_tenants().await;
    let fault = json!({ "method": "PUT", "path_prefix": "/roles/", "times": 2, "status": 409, "code": "Broken" });
    assert_eq!(backend.admin("POST", "faults", fault).await.told(), "201");
    let (path, role) = (format!("/roles/{KELP}"), backend.role(KELP, &[KIM]).await);
    for expected in ["409 Broken", "409 Broken", "200"] {
        assert_eq!(backend.put(ADMIN, &path, role.clone()).await.told(), expected);
    }
    for wrong in [json!({}), json!({ "status": 200 }), json!({ "status": 500, "at": "before_store" }), json!({ "colour": "red" })] {
        assert_eq!(backend.admin("POST", "faults", wrong).await.status, 400);
    }
    assert_eq!(backend.admin("DELETE", "faults/77", Value::Null).await.told(), "404 FaultNotFound");
    assert_eq!(backend.admin("POST", "nonsense", Value::Null).await.told(), "404 PathNotFound");
}

#[tokio::test]
async fn more_requests_than_are_worked_on_at_once_are_told_to_wait() {
    let backend = Backend::start().await;
    let assertion = signed(7, &claims(&backend.clock, ADMIN));
    backend.admin("POST", "faults", json!({ "path_prefix": "/stamps", "times": 1_000, "at": "before_store" })).await;
    let mut answers = tokio::task::JoinSet::new();
    for _connection in 0..10 {
        let sender = backend.http2().await;
        for _stream in 0..100 {
            let (mut sender, request) = (sender.clone(), backend.get_request("/stamps", &assertion));
            answers.spawn(async move { sender.send_request(request).await.unwrap().status() });
        }
    }
    backend.until("faults", |told| told["faults"][0]["held"] == 1_000).await;
    let refused = backend.get(ADMIN, "/clouds").await;
    assert_eq!((refused.told().as_str(), &refused.headers["retry-after"]), ("503 TooManyRequests", &"1".parse().unwrap()));
    backend.admin("DELETE", "faults", Value::Null).await;
    let statuses = tokio::time::timeout(Duration::from_secs(30), answers.join_all()).await.unwrap();
    assert!(statuses.len() == 1_000 && statuses.iter().all(|status| *status == 200));
    assert_eq!(backend.get(ADMIN, "/clouds").await.told(), "200");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let backend = Backend::with_tenants().await;
    let assertion = signed(7, &claims(&backend.clock, AS_ANNA));
    let headers = [("authorization", assertion.as_str()), (USER, ANNA), (ROLE, JUNIPER)];
    for (body, expected) in [
        (Bytes::from(vec![b' '; 1024 * 1024 + 1]), "413 BodyTooLarge"),
        (Bytes::from_static(b"{"), "400 InvalidBody"),
        (Bytes::from_static(br#"{"name":"a","name":"b"}"#), "400 InvalidBody"),
        (Bytes::from_static(br#"{"name":"a","colour":"red"}"#), "400 InvalidBody"),
        (Bytes::new(), "400 InvalidBody"),
    ] {
        assert_eq!(backend.send("POST", "/vms", Some(body), &headers).await.unwrap().told(), expected);
    }
    for (method, path, expected) in [
        ("GET", "/nonsense", "404 PathNotFound"),
        ("GET", "/vms/abc", "404 PathNotFound"),
        ("GET", "/vms/", "404 PathNotFound"),
        ("DELETE", "/vms", "405 MethodNotAllowed"),
        ("PUT", "/clouds", "405 MethodNotAllowed"),
    ] {
        assert_eq!(backend.call(ADMIN, method, path, None).await.told(), expected, "{method} {path}");
    }
}

#[tokio::test]
async fn another_run_finds_everything_as_it_was() {
    let (file, clock) = (state_file("fabric-restart"), Clock::system());
    let backend = Backend::start_with(Store::File(file.clone()), Seed::demo(), clock.clone()).await;
    backend.make_tenants().await;
    backend.deployed(AS_ANNA, "web-01").await;
    let begun = backend.post(AS_ANNA, "/vms", backend.new_vm("web-02").await).await;
    backend.delete(ADMIN, &format!("/roles/{KELP}")).await;
    backend.turn("north-host-1", "off").await;
    clock.advance(Duration::from_secs(2));
    let lists = ["/stamps", "/clouds", "/networks", "/templates", "/hosts", "/roles", "/vms", "/vms?unowned=true"];
    let mut before = Vec::new();
    for list in lists {
        before.push(backend.get(ADMIN, list).await.body);
    }
    backend.stop().await;

    let backend = Backend::start_with(Store::File(file), Seed::demo(), clock.clone()).await;
    for (list, before) in lists.iter().zip(before) {
        assert_eq!(backend.get(ADMIN, list).await.body, before, "{list}");
    }
    // What was under way goes on, and what was deleted stays so.
    clock.advance(Duration::from_secs(10));
    assert_eq!(backend.job(AS_ANNA, &begun).await["status"], "Completed");
    assert_eq!(backend.get(AS_ANNA, "/vms").await.names().len(), 2);
    let again = backend.put(ADMIN, &format!("/roles/{KELP}"), backend.role(KELP, &[KIM]).await).await;
    assert_eq!(again.told(), "410 RoleDeleted");
}
