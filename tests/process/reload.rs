//! Policies and certificates replaced while requests are under way: none is lost, and what is revoked is refused at once.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use steward::clock::Clock;

use crate::client::{call, get};
use crate::load::{Load, Tally, all_answered, run_oha};
use crate::program::{Demo, alone, copy, empty_folder, replace, until};

const V: &str = "api-version=2024-07-01";
const RELOADS: u64 = 100;

fn groups(demo: &Demo) -> String {
    format!("{}/resourceGroups?{V}", demo.subscription("alder-prod"))
}

async fn reload(demo: &Demo) -> (u16, Value) {
    let answer = demo.admin(call("POST", "/api/policies/reload")).await;
    (answer.status.as_u16(), answer.json())
}

async fn revision(demo: &Demo) -> u64 {
    demo.admin(get("/api/status")).await.json()["policies"]["last_load"]["revision"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_reloads_under_load_lose_no_request() {
    let _alone = alone().await;
    let demo = Demo::start("reloads").await;
    let token = demo.token("reader");
    let url = format!("{}{}", demo.world.gateway, groups(&demo));
    let file = demo.folder.join("policies/customers/alder.toml");
    let sound = std::fs::read_to_string(&file).unwrap();
    let started = Clock::instant();
    let reloads = async {
        for number in 1..=RELOADS {
            let is_broken = number % 10 == 0;
            let text = if is_broken { format!("{sound}\n[[nonsense]]\n") } else { format!("{sound}\n# {number}\n") };
            replace(&file, &text);
            let (status, told) = reload(&demo).await;
            assert_eq!(status, if is_broken { 422 } else { 200 }, "{told}");
            assert_eq!(told["revision"], 1 + number - number / 10, "a broken set changes nothing: {told}");
            assert_eq!(told["failure"].as_str().is_some_and(|why| why.contains("nonsense")), is_broken, "{told}");
        }
    };
    let (report, ()) = tokio::join!(run_oha(&url, &token, &demo.world.ca, 25, &[]), reloads);
    let took = started.elapsed();
    let answered = all_answered(&report, "200");
    assert!(answered > 100, "{answered}");
    // The watcher may look at a broken set besides, so there can be more refusals than reloads, and never more revisions.
    let status = demo.admin(get("/api/status")).await.json();
    assert_eq!(status["policies"]["last_load"]["applied"], 1 + RELOADS - RELOADS / 10, "{status}");
    assert!(status["policies"]["last_load"]["refused"].as_u64().unwrap() >= RELOADS / 10, "{status}");
    println!("{RELOADS} reloads under load: {answered} requests answered in {took:?}, none failed");
}

/// The reader's grant on alder-prod.
const GRANT: &str = "[[delegation.authorization]]\nwho = \"reader\"\nrole = \"Reader\"\n";

/// Ends the load once refusals came in, and holds it against the revision that revoked.
#[track_caller]
fn check_revocation(tally: &Tally, revoking: u64) {
    assert_eq!(tally.lost, [""; 0]);
    let allowed = tally.seen.iter().filter(|seen| seen.status == 200);
    let newest = allowed.map(|seen| seen.revision).max().unwrap();
    assert!(newest < revoking, "an answer of revision {newest} was allowed, and {revoking} revokes");
    assert!(tally.seen.iter().all(|seen| matches!(seen.status, 200 | 403)), "allowed or refused, and nothing else");
    assert!(tally.seen.iter().any(|seen| seen.status == 403 && seen.revision >= revoking));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_grant_is_refused_from_the_next_snapshot_on() {
    let _alone = alone().await;
    let demo = Demo::start("revocation").await;
    let load = Load { client: demo.client.clone(), target: groups(&demo), token: demo.token("reader") };
    let file = demo.folder.join("policies/customers/alder.toml");
    let granting = std::fs::read_to_string(&file).unwrap();
    let revoking = granting.replace(GRANT, "");
    assert_ne!(granting, revoking);
    for _ in 0..3 {
        let under_way = load.start(4, 2);
        tokio::time::sleep(Duration::from_millis(300)).await;
        replace(&file, &revoking);
        let (status, told) = reload(&demo).await;
        assert_eq!(status, 200, "{told}");
        let in_force = Clock::instant();
        tokio::time::sleep(Duration::from_millis(300)).await;
        let tally = under_way.end().await;
        check_revocation(&tally, told["revision"].as_u64().unwrap());
        let late = tally.seen.iter().filter(|seen| seen.sent >= in_force && seen.status == 200).count();
        assert_eq!(late, 0, "nothing is allowed that was sent after the reload was answered");
        let last = tally.seen.iter().filter(|seen| seen.status == 200).map(|seen| seen.answered).max().unwrap();
        println!("last allowed answer {:?} after the reload was answered", last.saturating_duration_since(in_force));
        replace(&file, &granting);
        assert_eq!(reload(&demo).await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_file_is_found_without_being_told() {
    let _alone = alone().await;
    let demo = Demo::start("rename").await;
    let load = Load { client: demo.client.clone(), target: groups(&demo), token: demo.token("reader") };
    let file = demo.folder.join("policies/customers/alder.toml");
    let revoking = std::fs::read_to_string(&file).unwrap().replace(GRANT, "");
    let under_way = load.start(2, 1);
    let before = revision(&demo).await;
    replace(&file, &revoking);
    let replaced = Clock::instant();
    let revoked = until("the file is found", async || Some(revision(&demo).await).filter(|revision| *revision > before)).await;
    println!("a replaced file was in force {:?} later", replaced.elapsed());
    until("refusals come", async || {
        let answer = demo.client.send(get(groups(&demo)).bearer(&load.token)).await;
        (answer.status == 403).then_some(())
    })
    .await;
    check_revocation(&under_way.end().await, revoked);
}

/// A folder as Kubernetes mounts one: files are links into `..data`, which is itself a link to the folder of this version.
fn mount(folder: &Path, version: &str, alder: Option<&str>) {
    let data = folder.join(format!("..{version}"));
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies"), &data);
    if let Some(text) = alder {
        std::fs::write(data.join("customers/alder.toml"), text).unwrap();
    }
    let link = folder.join("..data_tmp");
    symlink(format!("..{version}"), &link).unwrap();
    std::fs::rename(&link, folder.join("..data")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swapped_link_of_a_mounted_folder_is_found_without_being_told() {
    let _alone = alone().await;
    let folder = empty_folder("mounted");
    let policies = folder.join("policies");
    std::fs::create_dir(&policies).unwrap();
    mount(&policies, "2026_1", None);
    for entry in std::fs::read_dir(policies.join("..data")).unwrap() {
        let name = entry.unwrap().file_name();
        symlink(Path::new("..data").join(&name), policies.join(&name)).unwrap();
    }
    let demo = Demo::start_in(folder).await;
    let load = Load { client: demo.client.clone(), target: groups(&demo), token: demo.token("reader") };
    let revoking = std::fs::read_to_string(policies.join("customers/alder.toml")).unwrap().replace(GRANT, "");
    let under_way = load.start(2, 1);
    mount(&policies, "2026_2", Some(&revoking));
    let swapped = Clock::instant();
    let revoked = until("the swap is found", async || Some(revision(&demo).await).filter(|revision| *revision > 1)).await;
    println!("a swapped link was in force {:?} later", swapped.elapsed());
    until("refusals come", async || {
        let answer = demo.client.send(get(groups(&demo)).bearer(&load.token)).await;
        (answer.status == 403).then_some(())
    })
    .await;
    check_revocation(&under_way.end().await, revoked);
}
