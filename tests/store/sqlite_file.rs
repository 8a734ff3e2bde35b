//! What holds for the file: who may open it, what it must be, what survives.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use steward::store::{CommitError, Revision, StoreConfig, StoreError};

use crate::contract::{commit, contents, now, put};
use crate::place::Place;

/// The error as an operator reads it.
async fn refusal(place: &Place) -> String {
    let error = place.try_open().await.unwrap_err();
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default()).replace(&place.folder().display().to_string(), "…")
}

#[tokio::test]
async fn a_file_has_one_opener() {
    let place = Place::sqlite();
    let store = place.open().await;
    let expected = "`…/state.db` is in use by another process; only one can write a file: end the other one, or use PostgreSQL";
    assert_eq!(refusal(&place).await, expected);
    commit(&store, &[put("a", "1")]).await;
    drop(store);
    assert_eq!(contents(&place.open().await).await.len(), 1);
}

#[tokio::test]
async fn a_file_stops_growing_at_the_bound_of_its_changes() {
    const BOUND: u64 = 1 << 20;
    let place = Place::sqlite();
    let store = steward::store::open(&StoreConfig { changes_bytes_max: BOUND, ..place.config() }).await.unwrap();
    let bytes = || {
        let connection = Connection::open(place.file()).unwrap();
        let pages: u32 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        u64::from(pages) * u64::from(connection.query_row("PRAGMA page_size", [], |row| row.get::<_, u32>(0)).unwrap())
    };
    let body = "1".repeat(100_000);
    for _ in 0..15 {
        commit(&store, &[put("a", &body)]).await;
    }
    let full = bytes();
    assert!((BOUND / 2..2 * BOUND).contains(&full), "{full}");
    for _ in 0..60 {
        commit(&store, &[put("a", &body)]).await;
    }
    assert!(bytes() <= full + BOUND / 8, "{} after {full}", bytes());
}

/// A child has the files of its parent until it becomes another program, and with them the lock.
#[tokio::test]
async fn a_closed_file_is_free_while_children_are_started() {
    let place = Place::sqlite();
    drop(place.open().await);
    let ended = Arc::new(AtomicBool::new(false));
    let starting = {
        let ended = Arc::clone(&ended);
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                Command::new("true").status().unwrap();
            }
        })
    };
    for _ in 0..100 {
        let opened = place.try_open().await.map(drop);
        ended.store(opened.is_err(), Ordering::Relaxed);
        opened.unwrap();
    }
    ended.store(true, Ordering::Relaxed);
    starting.join().unwrap();
}

#[tokio::test]
async fn the_file_is_its_owners_alone() {
    let place = Place::sqlite();
    let store = place.open().await;
    commit(&store, &[put("a", "1")]).await;
    let modes: Vec<_> =
        std::fs::read_dir(place.folder()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().permissions().mode() & 0o777).collect();
    assert!(modes.len() >= 3 && modes.iter().all(|mode| *mode == 0o600), "{modes:?}");
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let place = Place::sqlite();
    let config = StoreConfig::new("sqlite:/nowhere/at/all.db".parse().unwrap());
    let error = steward::store::open(&config).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
    assert_eq!(error.to_string(), "`/nowhere/at/all.db-lock` refused");
    drop(place);
}

/// A restart would not find what is written to a file that has no name any more.
#[tokio::test]
async fn nothing_is_acknowledged_that_goes_to_a_file_that_was_removed() {
    for removed in ["state.db", "state.db-wal"] {
        let place = Place::sqlite();
        let store = place.open().await;
        commit(&store, &[put("a", "1")]).await;
        let (file, away) = (place.folder().join(removed), place.folder().join("away"));
        std::fs::rename(&file, &away).unwrap();
        let before = store.snapshot().await.unwrap();
        let refused = store.commit(before.epoch, before.revision, now(), &[put("b", "2")]).await.unwrap_err();
        assert!(matches!(refused, CommitError::Store(StoreError::Failed { .. })), "{removed}: {refused:?}");
        assert_eq!(contents(&store).await.len(), 1);
        std::fs::rename(&away, &file).unwrap();
        commit(&store, &[put("b", "2")]).await;
        assert_eq!(contents(&store).await.len(), 2);
        drop(store);
        assert_eq!(contents(&place.open().await).await.len(), 2, "{removed}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_never_replaced() {
    let advice = "`…/state.db` is damaged; restore a backup into a new store, and keep this one for a closer look";
    for content in ["", "short", &"no database at all ".repeat(1000)] {
        let place = Place::sqlite();
        std::fs::write(place.file(), content).unwrap();
        let refusal = refusal(&place).await;
        assert!(refusal.starts_with(advice), "{refusal}");
        assert_eq!(std::fs::read_to_string(place.file()).unwrap(), content);
    }
}

#[tokio::test]
async fn damage_is_found_when_it_is_opened() {
    let place = Place::sqlite();
    let store = place.open().await;
    commit(&store, &(0..1000).map(|number| put(&format!("{number:04}"), "{}")).collect::<Vec<_>>()).await;
    drop(store);
    let mut content = std::fs::read(place.file()).unwrap();
    let end = content.len();
    content[end - 8192..].fill(0x5A);
    std::fs::write(place.file(), &content).unwrap();
    let error = place.try_open().await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert_eq!(std::fs::read(place.file()).unwrap(), content);
}

#[tokio::test]
async fn a_database_of_something_else_is_left_alone() {
    let place = Place::sqlite();
    Connection::open(place.file()).unwrap().execute_batch("CREATE TABLE object (x)").unwrap();
    assert_eq!(refusal(&place).await, "`…/state.db` was not made by this program; name another place for the state");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let place = Place::sqlite();
    drop(place.open().await);
    Connection::open(place.file()).unwrap().execute("UPDATE schema_version SET version = 1000", []).unwrap();
    assert_eq!(refusal(&place).await, "`…/state.db` has schema version 1000; this program knows versions up to 1: use a newer program");
}

#[tokio::test]
async fn every_released_schema_is_opened() {
    for dump in [include_str!("../data/store/sqlite-1.sql")] {
        let place = Place::sqlite();
        Connection::open(place.file()).unwrap().execute_batch(dump).unwrap();
        let snapshot = place.open().await.snapshot().await.unwrap();
        assert_eq!((snapshot.revision, snapshot.epoch.to_string().as_str()), (Revision(3), "8f2c1a10-0000-4000-8000-00000000e90c"));
        assert_eq!(contents(&place.open().await).await, vec![("/a".to_owned(), r#"{"x":"it's"}"#.to_owned())]);
    }
}

/// Commits for ever in the folder it is started in, and prints what was acknowledged. `what_was_acknowledged_survives_a_kill` starts it.
#[tokio::test]
#[ignore = "started by another test, and never ends by itself"]
async fn commits_until_it_is_killed() {
    let store = steward::store::open(&StoreConfig::new("state.db".parse().unwrap())).await.unwrap();
    let begun = store.snapshot().await.unwrap();
    let mut base = begun.revision;
    loop {
        base = store.commit(begun.epoch, base, now(), &[put(&base.to_string(), "{}")]).await.unwrap();
        writeln!(std::io::stdout(), "acknowledged {base}").unwrap();
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let place = Place::sqlite();
    for round in 1..=3 {
        let acknowledged = kill_after(place.folder(), 20);
        let store = place.open().await;
        let snapshot = store.snapshot().await.unwrap();
        // One commit may have been under way.
        assert!((acknowledged..=acknowledged + 1).contains(&snapshot.revision.0), "{round}: {acknowledged}, {}", snapshot.revision);
        assert_eq!(snapshot.objects.len() as u64, snapshot.revision.0);
    }
}

/// Kills the program after so many commits. The last one it acknowledged.
fn kill_after(folder: &Path, commits: usize) -> u64 {
    let mut program = Command::new(std::env::current_exe().unwrap());
    program.args(["--ignored", "--exact", "sqlite_file::commits_until_it_is_killed"]);
    let mut child = program.current_dir(folder).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut acknowledged = lines.filter_map(|line| line.strip_prefix("acknowledged ").map(|revision| revision.parse().unwrap()));
    let reached = acknowledged.nth(commits - 1).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    acknowledged.last().unwrap_or(reached)
}
