//! The state as a file: `steward backup` and `steward restore`, beside a process that works with the store.

use std::path::Path;

use serde_json::Value;
use steward::clock::Clock;
use steward::store::{self, ObjectKey, StoreConfig, Write};

use crate::program::{empty_folder, run};

/// Runs, compares the exit code, and gives what was printed.
#[track_caller]
fn check(arguments: &[&str], folder: &Path, code: i32) -> String {
    let output = run(arguments, folder);
    let told = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{told}");
    told
}

#[tokio::test]
async fn the_state_is_backed_up_beside_a_running_process_and_restored_without_one() {
    let folder = empty_folder("state");
    std::fs::write(folder.join("steward.toml"), "[backend]\nurl = \"http://127.0.0.1:9\"\n").unwrap();
    let told = check(&["backup", "copy"], &folder, 1);
    assert!(told.contains("state.db"), "there is nothing yet, and nothing is made: {told}");
    assert!(!folder.join("state.db").exists());

    let store = store::open(&StoreConfig::new(folder.join("state.db").to_str().unwrap().parse().unwrap())).await.unwrap();
    let before = store.snapshot().await.unwrap();
    let key = ObjectKey { kind: "thing".into(), name: "/a".into() };
    store.commit(before.epoch, before.revision, Clock::system().now(), &[Write { key, body: Some("{}".into()) }]).await.unwrap();
    let told = check(&["backup", "copy"], &folder, 0);
    assert!(told.starts_with("backed up revision 1 with 1 objects, content "), "{told}");
    let told = check(&["restore", "copy", "--replace"], &folder, 5);
    assert!(told.contains("is in use by another process"), "{told}");
    drop(store);

    let told = check(&["restore", "copy"], &folder, 1);
    assert!(told.contains("the store holds revision 1") && told.contains("--replace"), "{told}");
    let told: Value = serde_json::from_str(&check(&["restore", "copy", "--replace", "-o", "json"], &folder, 0)).unwrap();
    assert_eq!((told["revision"].as_u64(), told["objects"].as_u64()), (Some(1), Some(1)));
    assert_eq!(told["epoch"], before.epoch.to_string(), "that of the backup");

    let mut bytes = std::fs::read(folder.join("copy")).unwrap();
    bytes[100] ^= 1;
    std::fs::write(folder.join("copy"), bytes).unwrap();
    let told = check(&["restore", "copy", "--replace"], &folder, 1);
    assert!(told.contains("the backup `copy` is damaged in line"), "{told}");
}
