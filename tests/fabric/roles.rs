//! User roles: idempotent, never more than the one above, never back from the dead.

use serde_json::{Value, json};

use super::harness::{ADMIN, ANNA, AS_ANNA, AS_KIM, Backend, JUNIPER, KELP, KIM, OPERATION_TIME};

const CHILD: &str = "11111111-0000-4000-8000-00000000c001";
const BELOW: &str = "11111111-0000-4000-8000-00000000c002";
const CARL: &str = "carl@juniper.example";
const AS_CARL: super::harness::As = Some((CARL, CHILD));

/// A role under Juniper's that may do what that one may.
async fn child(backend: &Backend) -> Value {
    let mut role = backend.role(CHILD, &[CARL]).await;
    role["profile"] = json!("SelfServiceUser");
    role["parent"] = json!(JUNIPER);
    role["quota"] = json!({ "virtual_machines": 2, "cores": 4 });
    role
}

fn with(role: &Value, member: &str, value: Value) -> Value {
    let mut role = role.clone();
    role[member] = value;
    role
}

#[tokio::test]
async fn a_role_is_put_as_often_as_one_likes() {
    let backend = Backend::start().await;
    let (path, role) = (format!("/roles/{JUNIPER}"), backend.role(JUNIPER, &[ANNA]).await);
    for expected in ["201", "200", "200"] {
        let answer = backend.put(ADMIN, &path, role.clone()).await;
        assert_eq!((answer.told().as_str(), &answer.body), (expected, &role));
    }
    let changed = with(&role, "members", json!([ANNA, CARL]));
    assert_eq!(backend.put(ADMIN, &path, changed.clone()).await.told(), "200");
    assert_eq!(backend.get(ADMIN, &path).await.body, changed);
    assert_eq!(backend.get(ADMIN, &format!("/roles?member={}", CARL.to_uppercase())).await.names().len(), 1);
    assert_eq!(backend.put(ADMIN, &path, role).await.told(), "200");
    assert_eq!(backend.get(ADMIN, &format!("/roles?member={CARL}")).await.names().len(), 0);
}

#[tokio::test]
async fn mistakes_in_a_role_are_named() {
    let backend = Backend::start().await;
    let (path, role) = (format!("/roles/{JUNIPER}"), backend.role(JUNIPER, &[ANNA]).await);
    for (member, value, expected) in [
        ("id", json!(KELP), "400 IdMismatch"),
        ("clouds", json!([KELP]), "400 CloudNotFound"),
        ("networks", json!([KELP]), "400 NetworkNotFound"),
        ("templates", json!([KELP]), "400 TemplateNotFound"),
        ("parent", json!(KELP), "400 ParentNotFound"),
        ("parent", json!(JUNIPER), "400 ParentNotFound"),
        ("name", json!(""), "400 InvalidRole"),
        ("name", json!("x".repeat(257)), "400 InvalidRole"),
        ("members", json!([""]), "400 InvalidRole"),
        ("members", json!(vec![ANNA; 1_001]), "400 InvalidRole"),
        ("actions", json!(["Fly"]), "400 InvalidBody"),
    ] {
        assert_eq!(backend.put(ADMIN, &path, with(&role, member, value)).await.told(), expected, "{member}");
    }
    assert_eq!(backend.get(ADMIN, &path).await.told(), "404 RoleNotFound");
}

#[tokio::test]
async fn a_child_never_has_more_than_its_parent() {
    let backend = Backend::with_tenants().await;
    let (path, child) = (format!("/roles/{CHILD}"), child(&backend).await);
    let bronze = backend.id("clouds", "north-bronze").await;
    let dmz = backend.id("networks", "north-dmz").await;
    let windows = backend.id("templates", "windows-2022").await;
    for (member, value, named) in [
        ("clouds", json!([bronze]), format!("clouds `{bronze}`")),
        ("networks", json!([dmz]), format!("networks `{dmz}`")),
        ("templates", json!([windows]), format!("templates `{windows}`")),
        ("quota", json!({ "virtual_machines": 11, "cores": 4 }), "quota `virtual_machines` 11 of 10".to_owned()),
        ("quota", json!({ "virtual_machines": 2 }), "quota `cores` unlimited of 20".to_owned()),
        ("profile", json!("Administrator"), "profile Administrator".to_owned()),
    ] {
        let answer = backend.put(AS_ANNA, &path, with(&child, member, value)).await;
        assert_eq!(answer.told(), "409 ExceedsParent");
        assert!(answer.message().contains(&named), "{answer:?}");
    }
    assert_eq!(backend.put(AS_ANNA, &path, child.clone()).await.told(), "201");
    assert_eq!(backend.get(AS_ANNA, &format!("/roles?parent={JUNIPER}")).await.body["value"], json!([child]));
    assert_eq!(backend.get(AS_CARL, "/clouds").await.names(), ["north-gold"]);

    // The other way round: what a parent has no more, its child has no more either.
    let parent = backend.role(JUNIPER, &[ANNA]).await;
    for (member, value, left) in [
        ("clouds", json!([]), json!([])),
        ("actions", json!(["Create", "StartStop"]), json!(["Create", "StartStop"])),
        ("quota", json!({ "virtual_machines": 1, "cores": 20 }), json!({ "virtual_machines": 1, "cores": 4 })),
    ] {
        let answer = backend.put(ADMIN, &format!("/roles/{JUNIPER}"), with(&parent, member, value)).await;
        assert_eq!(answer.told(), "200");
        let below = backend.get(AS_ANNA, &path).await.body;
        assert_eq!(below[member], left, "{below}");
        assert_eq!(below["members"], child["members"]);
    }
    let moved = backend.put(ADMIN, &path, with(&child, "parent", json!(KELP))).await;
    assert_eq!(moved.told(), "409 ParentFixed");
}

#[tokio::test]
async fn only_a_tenant_makes_roles_and_only_right_under_its_own() {
    let backend = Backend::with_tenants().await;
    let (path, child) = (format!("/roles/{CHILD}"), child(&backend).await);
    assert_eq!(backend.put(AS_KIM, &path, child.clone()).await.told(), "403 AdministratorOnly");
    assert_eq!(backend.put(AS_ANNA, &path, with(&child, "parent", Value::Null)).await.told(), "403 AdministratorOnly");
    assert_eq!(backend.put(AS_ANNA, &path, child.clone()).await.told(), "201");
    let own = backend.role(JUNIPER, &[ANNA, CARL]).await;
    assert_eq!(backend.put(AS_ANNA, &format!("/roles/{JUNIPER}"), own).await.told(), "403 AdministratorOnly");
    let below = with(&with(&child, "id", json!(BELOW)), "parent", json!(CHILD));
    assert_eq!(backend.put(AS_CARL, &format!("/roles/{BELOW}"), below.clone()).await.told(), "403 ProfileNotPermitted");
    assert_eq!(backend.put(ADMIN, &format!("/roles/{BELOW}"), below).await.told(), "400 ParentNotFound");
    assert_eq!(backend.delete(AS_KIM, &path).await.told(), "404 RoleNotFound");
    assert_eq!(backend.delete(AS_CARL, &path).await.told(), "404 RoleNotFound");
    assert_eq!(backend.delete(ADMIN, &format!("/roles/{JUNIPER}")).await.told(), "409 RoleInUse");
    assert_eq!(backend.delete(AS_ANNA, &path).await.told(), "204");
    assert_eq!(backend.delete(ADMIN, &format!("/roles/{JUNIPER}")).await.told(), "204");
}

#[tokio::test]
async fn a_deleted_role_does_not_come_back() {
    let backend = Backend::with_tenants().await;
    let (path, role) = (format!("/roles/{JUNIPER}"), backend.role(JUNIPER, &[ANNA]).await);
    for _again in 0..2 {
        assert_eq!(backend.delete(ADMIN, &path).await.told(), "204");
    }
    assert_eq!(backend.put(ADMIN, &path, role).await.told(), "410 RoleDeleted");
    assert_eq!(backend.get(AS_ANNA, "/vms").await.told(), "403 OnBehalfOfRefused");
    // One that was never there: the request to make it may still be on its way.
    assert_eq!(backend.delete(ADMIN, &format!("/roles/{BELOW}")).await.told(), "204");
    let late = backend.put(ADMIN, &format!("/roles/{BELOW}"), backend.role(BELOW, &[ANNA]).await).await;
    assert_eq!(late.told(), "410 RoleDeleted");
}

#[tokio::test]
async fn a_role_with_machines_stays() {
    let backend = Backend::with_tenants().await;
    let path = format!("/roles/{JUNIPER}");
    let begun = backend.post(AS_ANNA, "/vms", backend.new_vm("web-01").await).await;
    let refused = backend.delete(ADMIN, &path).await;
    assert_eq!(refused.told(), "409 RoleInUse");
    assert!(refused.message().contains("1 that are being made"), "{refused:?}");
    backend.clock.advance(OPERATION_TIME);
    assert_eq!(backend.delete(ADMIN, &path).await.told(), "409 RoleInUse");
    let vm = format!("/vms/{}", begun.body["vm"]["id"].as_str().unwrap());
    let removing = backend.delete(AS_ANNA, &vm).await;
    assert_eq!(backend.finished(AS_ANNA, &removing).await["status"], "Completed");
    // One that was only declared goes with its role.
    let declared = json!({ "name": "plan", "cloud": backend.id("clouds", "north-gold").await });
    assert_eq!(backend.post(AS_ANNA, "/vms", declared).await.told(), "201");
    assert_eq!(backend.delete(ADMIN, &path).await.told(), "204");
    assert_eq!(backend.get(ADMIN, "/vms?name=plan").await.names(), Vec::<&str>::new());
}

#[tokio::test]
async fn what_children_use_counts_for_the_parent() {
    let backend = Backend::with_tenants().await;
    let mut parent = backend.role(JUNIPER, &[ANNA]).await;
    parent["quota"] = json!({ "virtual_machines": 2, "cores": 4 });
    assert_eq!(backend.put(ADMIN, &format!("/roles/{JUNIPER}"), parent).await.told(), "200");
    assert_eq!(backend.put(AS_ANNA, &format!("/roles/{CHILD}"), child(&backend).await).await.told(), "201");
    backend.deployed(AS_CARL, "one").await;
    backend.deployed(AS_ANNA, "two").await;
    for acting in [AS_CARL, AS_ANNA] {
        let begun = backend.post(acting, "/vms", backend.new_vm("three").await).await;
        let job = backend.finished(acting, &begun).await;
        assert_eq!((&job["status"], &job["error"]["code"]), (&json!("Failed"), &json!("QuotaExceeded")));
        let message = job["error"]["message"].as_str().unwrap();
        assert!(message.contains("`virtual_machines`") && message.contains(JUNIPER), "{message}");
        assert!(message.contains("is 2; used: 2, needed besides: 1"), "{message}");
        assert_eq!((&job["steps"][0]["status"], &job["steps"][1]["status"]), (&json!("Failed"), &json!("Skipped")));
    }
}

#[tokio::test]
async fn of_two_that_are_begun_at_once_the_quota_lets_one_pass() {
    let backend = Backend::with_tenants().await;
    let mut role = backend.role(JUNIPER, &[ANNA]).await;
    role["quota"] = json!({ "memory_mb": 4096 });
    assert_eq!(backend.put(ADMIN, &format!("/roles/{JUNIPER}"), role).await.told(), "200");
    let first = backend.post(AS_ANNA, "/vms", backend.new_vm("first").await).await;
    let second = backend.post(AS_ANNA, "/vms", backend.new_vm("second").await).await;
    backend.clock.advance(OPERATION_TIME);
    assert_eq!(backend.job(AS_ANNA, &first).await["status"], "Completed");
    let refused = backend.job(AS_ANNA, &second).await;
    assert_eq!(refused["error"]["code"], "QuotaExceeded");
    assert!(refused["error"]["message"].as_str().unwrap().contains("`memory_mb`"), "{refused}");
    // What came to nothing counts for nothing.
    let id = first.body["vm"]["id"].as_str().unwrap();
    let removing = backend.delete(AS_ANNA, &format!("/vms/{id}")).await;
    backend.finished(AS_ANNA, &removing).await;
    let again = backend.post(AS_ANNA, "/vms", backend.new_vm("second").await).await;
    assert_eq!(backend.finished(AS_ANNA, &again).await["status"], "Completed");
    assert_eq!(again.body["vm"]["id"], second.body["vm"]["id"]);
    assert_eq!(backend.get(AS_ANNA, &format!("/roles?member={KIM}")).await.names(), Vec::<&str>::new());
}
