//! Jobs: their steps, their progress, and how they fail.

use std::time::Duration;

use serde_json::{Value, json};

use super::harness::{ADMIN, ANNA, AS_ANNA, AS_KIM, Backend, JUNIPER, OPERATION_TIME};
use super::mock::Answer;

fn states(job: &Value) -> Vec<&str> {
    job["steps"].as_array().unwrap().iter().map(|step| step["status"].as_str().unwrap()).collect()
}

async fn begun(backend: &Backend, name: &str) -> Answer {
    backend.post(AS_ANNA, "/vms", backend.new_vm(name).await).await
}

#[tokio::test]
async fn a_job_goes_step_by_step_and_ends_when_it_should() {
    let backend = Backend::with_tenants().await;
    let begun = begun(&backend, "web-01").await;
    backend.clock.advance(Duration::from_secs(5));
    let job = backend.job(AS_ANNA, &begun).await;
    assert_eq!(states(&job), ["Completed", "Completed", "Running", "NotStarted", "NotStarted"]);
    assert!((50..60).contains(&job["progress"].as_u64().unwrap()), "{job}");
    assert_eq!((&job["status"], &job["ended_at"]), (&json!("Running"), &Value::Null));
    // Nobody looks for an hour; it ended in its time all the same.
    backend.clock.advance(Duration::from_secs(3_600));
    let job = backend.job(AS_ANNA, &begun).await;
    let time = |member: &str| job[member].as_str().unwrap().parse::<steward::clock::Timestamp>().unwrap();
    assert_eq!(time("ended_at").duration_since(time("started_at")).as_millis(), OPERATION_TIME.as_millis().try_into().unwrap());
    assert_eq!(states(&job), ["Completed"; 5]);
    let vm = backend.vm(AS_ANNA, job["vm"].as_str().unwrap()).await;
    assert_eq!((&vm["modified_at"], &vm["last_job"]), (&job["ended_at"], &job["id"]));
}

#[tokio::test]
async fn a_deployment_fails_while_the_hosts_are_off_and_succeeds_when_one_is_on() {
    let backend = Backend::with_tenants().await;
    for host in ["north-host-1", "north-host-2"] {
        assert_eq!(backend.turn(host, "off").await.body["power"], "off");
    }
    let failing = begun(&backend, "web-01").await;
    let job = backend.finished(AS_ANNA, &failing).await;
    assert_eq!((&job["status"], &job["error"]["code"]), (&json!("Failed"), &json!("HostNotResponding")));
    assert_eq!(states(&job), ["Completed", "Failed", "Skipped", "Skipped", "Skipped"]);
    let message = job["error"]["message"].as_str().unwrap();
    assert!(["north-gold", "north-host-1", "north-host-2"].iter().all(|name| message.contains(name)), "{message}");
    let id = failing.body["vm"]["id"].as_str().unwrap();
    let vm = backend.vm(AS_ANNA, id).await;
    assert_eq!((&vm["status"], &vm["owner"], &vm["user_role"]), (&json!("CreationFailed"), &Value::Null, &Value::Null));
    assert_eq!(backend.get(AS_KIM, &format!("/vms/{id}")).await.told(), "404 VmNotFound");
    assert_eq!(backend.get(AS_ANNA, "/vms").await.names(), Vec::<&str>::new());
    let by_name = format!("/roles/{JUNIPER}/machines/{}/web-01", backend.id("clouds", "north-gold").await);
    assert_eq!(backend.get(AS_ANNA, &by_name).await.body["id"], id);

    backend.turn("north-host-2", "on").await;
    let again = begun(&backend, "web-01").await;
    assert_eq!(again.body["vm"]["id"], id);
    assert_eq!(backend.finished(AS_ANNA, &again).await["status"], "Completed");
    let vm = backend.vm(AS_ANNA, id).await;
    assert_eq!((&vm["owner"], &vm["host"]), (&json!(ANNA), &json!(backend.id("hosts", "north-host-2").await)));
}

#[tokio::test]
async fn what_is_under_way_on_a_host_fails_when_it_goes_off() {
    let backend = Backend::with_tenants().await;
    let stopped = backend.deployed(AS_ANNA, "web-01").await;
    let stopping = backend.post(AS_ANNA, &format!("/vms/{stopped}/operations"), json!({ "stop": {} })).await;
    backend.finished(AS_ANNA, &stopping).await;
    let deploying = begun(&backend, "web-02").await;
    backend.clock.advance(Duration::from_secs(5));
    let starting = backend.post(AS_ANNA, &format!("/vms/{stopped}/operations"), json!({ "start": {} })).await;
    let other = begun(&backend, "web-03").await;
    assert_eq!(backend.admin("PATCH", "hosts/north-host-1", json!({ "power": "off" })).await.told(), "200");
    for (begun, failed_at) in [(&deploying, 2), (&starting, 0)] {
        let job = backend.job(AS_ANNA, begun).await;
        assert_eq!((&job["status"], &job["error"]["code"]), (&json!("Failed"), &json!("HostNotResponding")));
        assert_eq!(states(&job).iter().position(|state| *state == "Failed"), Some(failed_at), "{job}");
        assert!(job["error"]["message"].as_str().unwrap().contains("north-host-1"), "{job}");
    }
    let vm = backend.vm(AS_ANNA, deploying.body["vm"]["id"].as_str().unwrap()).await;
    assert_eq!((&vm["status"], &vm["owner"], &vm["host"]), (&json!("CreationFailed"), &Value::Null, &Value::Null));
    assert_eq!(backend.vm(AS_ANNA, &stopped).await["status"], "Stopped");
    // One that was not placed yet goes to the next host.
    assert_eq!(backend.finished(AS_ANNA, &other).await["status"], "Completed");

    let removing = backend.delete(AS_ANNA, &format!("/vms/{stopped}")).await;
    assert_eq!(backend.finished(AS_ANNA, &removing).await["error"]["code"], "HostNotResponding");
    assert_eq!(backend.vm(AS_ANNA, &stopped).await["status"], "Stopped");
    backend.turn("north-host-1", "on").await;
    let starting = backend.post(AS_ANNA, &format!("/vms/{stopped}/operations"), json!({ "start": {} })).await;
    assert_eq!(backend.finished(AS_ANNA, &starting).await["status"], "Completed");
}

#[tokio::test]
async fn jobs_are_told_to_those_they_concern_newest_first() {
    let backend = Backend::with_tenants().await;
    let id = backend.deployed(AS_ANNA, "web-01").await;
    backend.deployed(AS_KIM, "web-01").await;
    let stopping = backend.post(AS_ANNA, &format!("/vms/{id}/operations"), json!({ "stop": {} })).await;
    let by_admin = backend.finished(AS_ANNA, &stopping).await;
    assert_eq!(by_admin["status"], "Completed");
    let starting = backend.post(ADMIN, &format!("/vms/{id}/operations"), json!({ "start": {} })).await;
    assert_eq!(backend.get(AS_ANNA, "/jobs").await.names(), ["Stop virtual machine", "Create virtual machine"]);
    assert_eq!(backend.get(AS_ANNA, "/jobs?top=1").await.names(), ["Stop virtual machine"]);
    let next = backend.get(AS_ANNA, "/jobs?top=1").await.body["next"].as_str().unwrap().to_owned();
    let last = backend.get(AS_ANNA, &format!("/jobs?top=1&after={next}")).await;
    assert_eq!((last.names(), last.body["next"].is_null()), (vec!["Create virtual machine".to_owned()], true));
    assert_eq!(backend.get(ADMIN, "/jobs").await.names().len(), 4);
    // One about its machine concerns a role, whoever asked for it.
    assert_eq!(backend.get(AS_ANNA, &format!("/jobs?vm={id}")).await.names().len(), 3);
    assert_eq!(backend.job(AS_ANNA, &starting).await["on_behalf_of_user"], Value::Null);
    assert_eq!(backend.get(AS_KIM, &format!("/jobs?vm={id}")).await.names(), Vec::<&str>::new());
    let path = format!("/jobs/{}", stopping.body["job"]["id"].as_str().unwrap());
    assert_eq!(backend.get(AS_KIM, &path).await.told(), "404 JobNotFound");
}
