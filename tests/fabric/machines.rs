//! Machines: made, declared, changed, operated and removed, each by those who may.

use serde_json::{Value, json};

use super::harness::{ADMIN, ANNA, AS_ANNA, AS_KIM, Backend, JUNIPER, KELP, OPERATION_TIME};

#[tokio::test]
async fn a_machine_that_was_deployed_belongs_to_who_asked_for_it() {
    let backend = Backend::with_tenants().await;
    let begun = backend.post(AS_ANNA, "/vms", backend.new_vm("web-01").await).await;
    assert_eq!((begun.told().as_str(), &begun.body["vm"]["status"]), ("202", &json!("UnderCreation")));
    let id = begun.body["vm"]["id"].as_str().unwrap().to_owned();
    let by_name = format!("/roles/{JUNIPER}/machines/{}/WEB-01", backend.id("clouds", "north-gold").await);
    assert_eq!(backend.get(AS_ANNA, "/vms").await.names(), Vec::<&str>::new());
    let made = backend.get(AS_ANNA, &by_name).await.body;
    assert_eq!((&made["id"], &made["owner"], &made["user_role"]), (&json!(id), &Value::Null, &Value::Null));
    assert_eq!(backend.get(AS_KIM, &by_name).await.told(), "403 OtherRole");

    let job = backend.finished(AS_ANNA, &begun).await;
    assert_eq!((&job["status"], &job["progress"]), (&json!("Completed"), &json!(100)));
    assert_eq!((&job["on_behalf_of_user"], &job["requested_by_name"]), (&json!(ANNA), &json!("operator@provider.example")));
    let vm = backend.vm(AS_ANNA, &id).await;
    assert_eq!((&vm["owner"], &vm["user_role"], &vm["status"]), (&json!(ANNA), &json!(JUNIPER), &json!("Running")));
    assert_eq!(vm["host"], backend.id("hosts", "north-host-1").await);
    assert_eq!(vm["size"], json!({ "cores": 2, "memory_mb": 4096, "storage_gb": 40 }));
    assert_eq!(backend.get(AS_ANNA, "/vms").await.names(), ["web-01"]);
    assert_eq!(backend.get(AS_KIM, "/vms").await.names(), Vec::<&str>::new());
    assert_eq!(backend.get(AS_KIM, &format!("/vms/{id}")).await.told(), "404 VmNotFound");
    assert_eq!(backend.get(ADMIN, &format!("/vms?role={JUNIPER}")).await.names(), ["web-01"]);
    backend.stop().await;
}

#[tokio::test]
async fn a_declared_machine_is_taken_up_under_its_id() {
    let backend = Backend::with_tenants().await;
    let cloud = backend.id("clouds", "north-gold").await;
    let declared = backend.post(AS_ANNA, "/vms", json!({ "name": "Web-01", "cloud": cloud, "tags": { "a": "1" } })).await;
    assert_eq!((declared.told().as_str(), &declared.body["vm"]["status"]), ("201", &json!("Declared")));
    assert_eq!(declared.body["job"], Value::Null);
    let id = declared.body["vm"]["id"].as_str().unwrap();
    let size = json!({ "cores": 1, "memory_mb": 512, "storage_gb": 5 });
    let resized = backend.patch(AS_ANNA, &format!("/vms/{id}"), json!({ "size": size })).await;
    assert_eq!((resized.told().as_str(), &resized.body["vm"]["size"]), ("200", &size));
    let begun = backend.post(AS_ANNA, "/vms", backend.new_vm("WEB-01").await).await;
    assert_eq!((&begun.body["vm"]["id"], &begun.body["vm"]["name"]), (&json!(id), &json!("Web-01")));
    assert_eq!(backend.post(AS_ANNA, "/vms", backend.new_vm("web-01").await).await.told(), "409 VmExists");
    backend.clock.advance(OPERATION_TIME);
    assert_eq!(backend.post(AS_ANNA, "/vms", backend.new_vm("web-01").await).await.told(), "409 VmExists");
    // The same name of another role is another machine.
    assert_eq!(backend.post(AS_KIM, "/vms", backend.new_vm("web-01").await).await.told(), "202");
    let other = backend.post(AS_ANNA, "/vms", json!({ "name": "plan", "cloud": cloud })).await.body["vm"]["id"].clone();
    let removed = backend.delete(AS_ANNA, &format!("/vms/{}", other.as_str().unwrap())).await;
    assert_eq!((removed.told().as_str(), &removed.body["job"]), ("200", &Value::Null));
}

#[tokio::test]
async fn a_machine_is_made_of_what_the_role_may_use() {
    let backend = Backend::with_tenants().await;
    let good = backend.new_vm("web-01").await;
    let tags: serde_json::Map<String, Value> = (0..51).map(|number| (number.to_string(), json!(""))).collect();
    for (member, value, expected) in [
        ("cloud", json!(backend.id("clouds", "north-bronze").await), "403 CloudNotPermitted"),
        ("cloud", json!(KELP), "403 CloudNotPermitted"),
        ("network", json!(backend.id("networks", "north-dmz").await), "403 NetworkNotPermitted"),
        ("template", json!(backend.id("templates", "windows-2022").await), "403 TemplateNotPermitted"),
        ("name", json!("web/01"), "400 InvalidName"),
        ("name", json!("w".repeat(65)), "400 InvalidName"),
        ("name", json!(""), "400 InvalidName"),
        ("tags", json!(tags), "400 InvalidText"),
        ("tags", json!({ "": "1" }), "400 InvalidText"),
        ("description", json!("x".repeat(1_025)), "400 InvalidText"),
        ("size", json!({ "cores": 0, "memory_mb": 1, "storage_gb": 1 }), "400 InvalidSize"),
    ] {
        let mut body = good.clone();
        body[member] = value;
        assert_eq!(backend.post(AS_ANNA, "/vms", body).await.told(), expected, "{member}");
    }
    assert_eq!(backend.post(ADMIN, "/vms", good).await.told(), "403 OnBehalfOfRequired");
}

#[tokio::test]
async fn a_role_does_what_it_is_permitted() {
    let backend = Backend::with_tenants().await;
    let id = backend.deployed(AS_ANNA, "web-01").await;
    let mut role = backend.role(JUNIPER, &[ANNA]).await;
    role["actions"] = json!([]);
    backend.put(ADMIN, &format!("/roles/{JUNIPER}"), role).await;
    let (vm, operations) = (format!("/vms/{id}"), format!("/vms/{id}/operations"));
    let transfer = json!({ "from": KELP, "to": JUNIPER, "owner": ANNA, "cloud": backend.id("clouds", "north-gold").await });
    let refused = [
        ("Create", backend.post(AS_ANNA, "/vms", backend.new_vm("web-02").await).await),
        ("Modify", backend.patch(AS_ANNA, &vm, json!({ "description": "x" })).await),
        ("Remove", backend.delete(AS_ANNA, &vm).await),
        ("StartStop", backend.post(AS_ANNA, &operations, json!({ "stop": {} })).await),
        ("Checkpoint", backend.post(AS_ANNA, &operations, json!({ "create_checkpoint": { "name": "c" } })).await),
        ("Transfer", backend.post(AS_ANNA, &format!("{vm}/transfer"), transfer).await),
    ];
    for (action, answer) in refused {
        assert_eq!(answer.told(), "403 ActionNotPermitted");
        assert!(answer.message().contains(action) && answer.message().contains(JUNIPER), "{answer:?}");
    }
    // The administrator's connection has no role, so no role limits it.
    assert_eq!(backend.post(ADMIN, &operations, json!({ "stop": {} })).await.told(), "202");
}

#[tokio::test]
async fn a_machine_is_changed_in_part() {
    let backend = Backend::with_tenants().await;
    let id = backend.deployed(AS_ANNA, "web-01").await;
    let path = format!("/vms/{id}");
    let changed = backend.patch(AS_ANNA, &path, json!({ "description": "shop", "tags": { "env": "prod" } })).await;
    assert_eq!((changed.told().as_str(), &changed.body["job"]), ("200", &Value::Null));
    backend.patch(ADMIN, &path, json!({ "description": "store" })).await;
    let vm = backend.vm(AS_ANNA, &id).await;
    assert_eq!((&vm["description"], &vm["tags"]), (&json!("store"), &json!({ "env": "prod" })));

    let size = json!({ "cores": 4, "memory_mb": 8192, "storage_gb": 40 });
    assert_eq!(backend.patch(AS_ANNA, &path, json!({ "size": size })).await.told(), "409 VmStatus");
    let stopping = backend.post(AS_ANNA, &format!("{path}/operations"), json!({ "stop": {} })).await;
    assert_eq!(backend.patch(AS_ANNA, &path, json!({ "size": size })).await.told(), "409 VmBusy");
    backend.finished(AS_ANNA, &stopping).await;
    let resizing = backend.patch(AS_ANNA, &path, json!({ "size": size })).await;
    assert_eq!(resizing.body["vm"]["size"]["cores"], 2);
    assert_eq!(backend.finished(AS_ANNA, &resizing).await["status"], "Completed");
    assert_eq!(backend.vm(AS_ANNA, &id).await["size"], size);
    let beyond = json!({ "cores": 21, "memory_mb": 8192, "storage_gb": 40 });
    let resizing = backend.patch(AS_ANNA, &path, json!({ "size": beyond })).await;
    assert_eq!(backend.finished(AS_ANNA, &resizing).await["error"]["code"], "QuotaExceeded");
    assert_eq!(backend.vm(AS_ANNA, &id).await["size"], size);
    assert_eq!(backend.patch(AS_KIM, &path, json!({ "description": "mine" })).await.told(), "404 VmNotFound");
}

#[tokio::test]
async fn machines_are_operated() {
    let backend = Backend::with_tenants().await;
    let id = backend.deployed(AS_ANNA, "web-01").await;
    let path = format!("/vms/{id}/operations");
    let done = backend.post(AS_ANNA, &path, json!({ "start": {} })).await;
    assert_eq!((done.told().as_str(), &done.body["job"]), ("200", &Value::Null));
    for (operation, status) in [("restart", "Running"), ("stop", "Stopped"), ("start", "Running")] {
        let begun = backend.post(AS_ANNA, &path, json!({ operation: {} })).await;
        assert_eq!(backend.post(AS_ANNA, &path, json!({ "restart": {} })).await.told(), "409 VmBusy");
        assert_eq!(backend.finished(AS_ANNA, &begun).await["status"], "Completed");
        assert_eq!(backend.vm(AS_ANNA, &id).await["status"], status, "{operation}");
    }
    assert_eq!(backend.post(AS_KIM, &path, json!({ "stop": {} })).await.told(), "404 VmNotFound");
    let begun = backend.post(AS_ANNA, &path, json!({ "create_checkpoint": { "name": "before", "description": "d" } })).await;
    backend.finished(AS_ANNA, &begun).await;
    let checkpoint = backend.vm(AS_ANNA, &id).await["checkpoints"][0].clone();
    assert_eq!((&checkpoint["name"], &checkpoint["description"]), (&json!("before"), &json!("d")));
    for (operation, left) in [("restore_checkpoint", 1), ("delete_checkpoint", 0)] {
        let begun = backend.post(AS_ANNA, &path, json!({ operation: { "id": checkpoint["id"] } })).await;
        assert_eq!(backend.finished(AS_ANNA, &begun).await["status"], "Completed");
        assert_eq!(backend.vm(AS_ANNA, &id).await["checkpoints"].as_array().unwrap().len(), left);
    }
    let gone = backend.post(AS_ANNA, &path, json!({ "restore_checkpoint": { "id": checkpoint["id"] } })).await;
    assert_eq!(gone.told(), "404 CheckpointNotFound");
}

#[tokio::test]
async fn a_removed_machine_is_gone_when_its_job_ends() {
    let backend = Backend::with_tenants().await;
    let id = backend.deployed(AS_ANNA, "web-01").await;
    let path = format!("/vms/{id}");
    let removing = backend.delete(AS_ANNA, &path).await;
    assert_eq!(removing.body["vm"]["status"], "Deleting");
    let again = backend.delete(AS_ANNA, &path).await;
    assert_eq!((again.told().as_str(), &again.body["job"]["id"]), ("202", &removing.body["job"]["id"]));
    assert_eq!(backend.post(AS_ANNA, &format!("{path}/operations"), json!({ "stop": {} })).await.told(), "409 VmStatus");
    assert_eq!(backend.finished(AS_ANNA, &removing).await["status"], "Completed");
    assert_eq!(backend.get(AS_ANNA, &path).await.told(), "404 VmNotFound");
    assert_eq!(backend.delete(AS_ANNA, &path).await.told(), "404 VmNotFound");
    assert_eq!(backend.get(AS_ANNA, &format!("/jobs?vm={id}")).await.names(), ["Remove virtual machine", "Create virtual machine"]);
}
