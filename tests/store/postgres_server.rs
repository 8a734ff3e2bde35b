//! What holds for a server: it may be away, be killed, be slow, refuse, and be talked to over TLS.

use std::sync::Arc;
use std::time::Duration;

use steward::clock::Clock;
use steward::store::{CommitError, Existing, Plan, Revision, SessionId, Store, StoreConfig, StoreError, Tail, restore, write_backup};

use crate::contract::{commit, contents, delete, now, put};
use crate::cut::{Cut, Proxy};
use crate::place::eventually;
use crate::postgres::{self, Cluster};

fn config(url: &str) -> StoreConfig {
    StoreConfig::new(url.parse().unwrap())
}

async fn open(url: &str) -> Arc<dyn Store> {
    steward::store::open(&config(url)).await.unwrap()
}

fn database_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

/// The whole error, as a log has it.
fn told(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_kill_of_the_server() {
    // An operator's setting that would lose it.
    let mut cluster = Cluster::start(&["synchronous_commit=off", "wal_writer_delay=10s"]);
    let store = open(&cluster.database()).await;
    let begun = store.snapshot().await.unwrap();
    let mut revision = Revision(0);
    for round in 0..3 {
        let acknowledged = Arc::new(std::sync::atomic::AtomicU64::new(revision.0));
        let (writer, written) = (Arc::clone(&store), Arc::clone(&acknowledged));
        let committing = tokio::spawn(async move {
            loop {
                let name = format!("{round}-{revision}");
                match writer.commit(begun.epoch, revision, now(), &[put(&name, "{}")]).await {
                    Ok(next) => revision = next,
                    Err(error) => return error,
                }
                written.store(revision.0, std::sync::atomic::Ordering::Release);
            }
        });
        let count = || acknowledged.load(std::sync::atomic::Ordering::Acquire);
        let enough = count() + 20;
        eventually("twenty commits", async || (count() >= enough).then_some(())).await;
        cluster.kill_server();
        let error = committing.await.unwrap();
        assert!(
            matches!(error, CommitError::Unknown(StoreError::Unreachable { .. }) | CommitError::Store(StoreError::Unreachable { .. })),
            "{error:?}"
        );
        cluster.start_again();
        let after = eventually("an answer", async || store.snapshot().await.ok()).await;
        assert!((count()..=count() + 1).contains(&after.revision.0), "{} acknowledged, {} there", count(), after.revision);
        assert_eq!(after.objects.len() as u64, after.revision.0);
        assert_eq!(after.epoch, begun.epoch);
        revision = after.revision;
    }
}

#[tokio::test]
async fn committers_get_their_turn_in_order() {
    const EACH: u64 = 25;
    let cluster = Cluster::shared().await;
    let url = cluster.database();
    let mut committers = tokio::task::JoinSet::new();
    for committer in 0..4 {
        let store = open(&url).await;
        let epoch = store.snapshot().await.unwrap().epoch;
        committers.spawn(async move {
            let (mut known, mut passed_over) = (Revision(0), 0);
            for number in 0..EACH {
                let plan: Plan<'_> = Box::new(move |tail| {
                    let Tail::Changes(missed) = tail else { panic!("{tail:?}") };
                    let base = missed.last().map_or(known, |change| change.revision);
                    Some((base, vec![put(&format!("{committer}-{number}"), "{}")]))
                });
                let made = store.commit_in_turn(epoch, known, now(), plan).await.unwrap().unwrap();
                // While three others wait, each of them gets its turn before this one again. On a busy machine it may be late in line itself.
                passed_over += u64::from(number > 0 && made.revision.0 > known.0 + 8);
                known = made.revision;
            }
            assert!(passed_over <= EACH / 5, "passed over {passed_over} times in {EACH}");
        });
    }
    committers.join_all().await;
    let store = open(&url).await;
    assert_eq!(store.snapshot().await.unwrap().revision, Revision(4 * EACH));
}

#[tokio::test]
async fn a_server_that_comes_back_is_heard_again() {
    let mut cluster = Cluster::start(&[]);
    let url = cluster.database();
    let (store, other) = (open(&url).await, open(&url).await);
    let (session, epoch) = (SessionId::random(), store.snapshot().await.unwrap().epoch);
    store.poll(session, epoch, Revision(0)).await.unwrap();
    let mut woken = store.woken();
    woken.mark_unchanged();
    cluster.kill_server();
    tokio::time::timeout(Duration::from_secs(30), woken.changed()).await.unwrap().unwrap();
    let begun = Clock::instant();
    let error = store.poll(session, epoch, Revision(0)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }) && begun.elapsed() < Duration::from_secs(5), "{error:?}");
    cluster.start_again();
    let begun = Clock::instant();
    eventually("an answer", async || store.poll(session, epoch, Revision(0)).await.ok()).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // And notifications come again.
    woken.mark_unchanged();
    eventually("an answer", async || other.snapshot().await.ok()).await;
    commit(&other, &[put("a", "{}")]).await;
    tokio::time::timeout(Duration::from_secs(30), woken.changed()).await.unwrap().unwrap();
}

/// Commits over a connection that is cut at a word. How the commit ended, and the revision afterwards.
async fn commit_cut(word: &'static str, cut: Cut) -> (Result<Revision, CommitError>, Revision) {
    let cluster = Cluster::shared().await;
    let url = cluster.database();
    let direct = open(&url).await;
    let before = direct.snapshot().await.unwrap();
    let proxy = Proxy::start(cluster.address(), word, cut).await;
    let store = open(&url.replace(&cluster.address().to_string(), &proxy.address.to_string())).await;
    let ended = store.commit(before.epoch, before.revision, now(), &[put("a", "{}")]).await;
    // Whatever happened to the connection, nothing is left locked.
    let again = direct.commit(before.epoch, Revision(0), now(), &[delete("b")]).await;
    match again {
        Ok(_) => (ended, Revision(0)),
        Err(CommitError::Conflict { head }) => (ended, head),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_connection_lost_at_the_last_word_leaves_the_outcome_unknown() {
    let (ended, head) = commit_cut("COMMIT\0", Cut::After).await;
    assert!(matches!(ended, Err(CommitError::Unknown(StoreError::Unreachable { .. }))), "{ended:?}");
    assert_eq!(head, Revision(1), "it happened");
    let (ended, head) = commit_cut("COMMIT\0", Cut::Before).await;
    assert!(matches!(ended, Err(CommitError::Unknown(StoreError::Unreachable { .. }))), "{ended:?}");
    assert_eq!(head, Revision(0), "it did not");
}

#[tokio::test]
async fn a_connection_lost_before_the_last_word_wrote_nothing() {
    for (word, cut) in [("FOR UPDATE", Cut::Before), ("FOR UPDATE", Cut::After), ("pg_notify", Cut::After)] {
        let (ended, head) = commit_cut(word, cut).await;
        assert!(matches!(ended, Err(CommitError::Store(StoreError::Unreachable { .. }))), "{word}: {ended:?}");
        assert_eq!(head, Revision(0), "{word}");
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_not_waited_for() {
    let cluster = Cluster::shared().await;
    let url = cluster.database();
    let epoch = open(&url).await.snapshot().await.unwrap().epoch;
    let proxy = Proxy::start(cluster.address(), "node_session", Cut::Silence).await;
    // Opening speaks of sessions too, on the connection that commits.
    let begun = Clock::instant();
    let error = match steward::store::open(&config(&url.replace(&cluster.address().to_string(), &proxy.address.to_string()))).await {
        Ok(store) => store.poll(SessionId::random(), epoch, Revision(0)).await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_counter_that_somebody_holds_is_not_waited_for() {
    let cluster = Cluster::shared().await;
    let url = cluster.database();
    let store = open(&url).await;
    let before = store.snapshot().await.unwrap();
    let (holder, database) = (Arc::clone(&cluster), database_of(&url).to_owned());
    let held =
        tokio::task::spawn_blocking(move || holder.sql(&database, "BEGIN; SELECT FROM steward.counter FOR UPDATE; SELECT pg_sleep(8)"));
    let is_held = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(8)' AND datname = current_database() AND state = 'active' AND pid <> pg_backend_pid()";
    eventually("the lock", async || (cluster.sql(database_of(&url), is_held) == "1").then_some(())).await;
    let error = store.commit(before.epoch, before.revision, now(), &[]).await.unwrap_err();
    assert!(matches!(error, CommitError::Store(StoreError::Busy { .. })), "{error:?}");
    // A heartbeat does not need the counter's lock.
    store.poll(SessionId::random(), before.epoch, before.revision).await.unwrap();
    held.await.unwrap();
    assert_eq!(commit(&store, &[]).await, Revision(1));
}

#[tokio::test]
async fn whom_the_server_refuses_is_told_why_and_no_password_is_shown() {
    let cluster = Cluster::shared().await;
    let url = cluster.database();
    let refusal = async |config: StoreConfig| {
        let error = steward::store::open(&config).await.unwrap_err();
        let all = format!("{} {error:?} {config:?}", told(&error));
        assert!(!all.contains("not-a-secret") && !all.contains("wrong-one"), "{all}");
        assert!(matches!(error, StoreError::Refused { .. }), "{error:?}");
        told(&error)
    };
    let wrong = url.replace("not-a-secret-of-anyone", "wrong-one");
    let told = refusal(config(&wrong)).await;
    assert!(told.ends_with("password authentication failed for user \"steward\""), "{told}");
    let told = refusal(config(&url.replace("/test_", "/missing_"))).await;
    assert!(told.ends_with("does not exist"), "{told}");
    let told = refusal(StoreConfig { password_file: Some("/nowhere/password".into()), ..config(&url) }).await;
    assert!(told.contains("the password in `/nowhere/password` cannot be read"), "{told}");
    let file = std::env::temp_dir().join(format!("steward-password-{}", uuid::Uuid::new_v4()));
    std::fs::write(&file, "not-a-secret-of-anyone\n").unwrap();
    steward::store::open(&StoreConfig { password_file: Some(file.clone()), ..config(&wrong) }).await.unwrap();
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn gateways_that_start_together_make_one_schema() {
    let cluster = Cluster::shared().await;
    let url = cluster.database();
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let url = url.clone();
        opening.spawn(async move { open(&url).await.snapshot().await.unwrap().epoch });
    }
    let epochs: std::collections::BTreeSet<_> = opening.join_all().await.into_iter().collect();
    assert_eq!(epochs.len(), 1);
}

#[tokio::test]
async fn sessions_of_before_hold_a_restored_store_back() {
    let cluster = Cluster::shared().await;
    let url = cluster.database();
    let store = open(&url).await;
    commit(&store, &[put("a", "{}")]).await;
    let (old, path) = (store.snapshot().await.unwrap(), std::env::temp_dir().join(format!("steward-backup-{}", uuid::Uuid::new_v4())));
    write_backup(old.clone(), &path).await.unwrap();
    let (away, session) = (SessionId::random(), SessionId::random());
    store.poll(away, old.epoch, Revision(1)).await.unwrap();
    restore(&config(&url), &path, Existing::Replace).await.unwrap();
    std::fs::remove_file(path).unwrap();
    let new = store.snapshot().await.unwrap();
    let fence = async || store.poll(session, new.epoch, new.revision).await.unwrap().fence;
    assert_eq!(fence().await, Revision(0), "it may be deciding by a world that is no more");
    store.poll(away, new.epoch, new.revision).await.unwrap();
    assert_eq!(fence().await, new.revision);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let cluster = Cluster::shared().await;
    let url = cluster.database();
    let store = open(&url).await;
    cluster.sql(database_of(&url), "UPDATE steward.schema_version SET version = 1000");
    let error = steward::store::open(&config(&url)).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 1000, known: 1, .. }), "{error:?}");
    drop(store);
}

#[tokio::test]
async fn every_released_schema_is_opened() {
    for dump in [include_str!("../data/store/postgres-1.sql")] {
        let cluster = Cluster::shared().await;
        let url = cluster.database();
        cluster.sql(database_of(&url), dump);
        let store = open(&url).await;
        let snapshot = store.snapshot().await.unwrap();
        assert_eq!((snapshot.revision, snapshot.epoch.to_string().as_str()), (Revision(3), "8f2c1a10-0000-4000-8000-00000000e90c"));
        assert_eq!(contents(&store).await, vec![("/a".to_owned(), r#"{"x":"it's"}"#.to_owned())]);
        let tail = store.changes(snapshot.epoch, Revision(1), 10).await.unwrap();
        assert!(matches!(&tail, Tail::Changes(changes) if changes[0].writes == [delete("/b")] && changes.len() == 2), "{tail:?}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_hold_every_text_is_refused() {
    let cluster = Cluster::shared().await;
    let url = cluster.database();
    let (database, other) = (database_of(&url), format!("ascii_{}", uuid::Uuid::new_v4().simple()));
    cluster.sql(database, &format!("CREATE DATABASE {other} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0"));
    let error = steward::store::open(&config(&cluster.url(&other))).await.unwrap_err();
    assert!(
        told(&error).ends_with("its encoding is SQL_ASCII; make the database with `ENCODING 'UTF8' TEMPLATE template0`"),
        "{}",
        told(&error)
    );
}

#[tokio::test]
async fn a_server_is_trusted_for_its_certificate() {
    let folder = postgres::new_folder();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key, stranger) = (folder.join("server.pem"), folder.join("server.key"), folder.join("stranger.pem"));
    postgres::write_for_server(&certificate, &made.cert.pem());
    postgres::write_for_server(&key, &made.signing_key.serialize_pem());
    postgres::write_for_server(&stranger, &rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap().cert.pem());
    let [certificate_setting, key_setting] =
        [("ssl_cert_file", &certificate), ("ssl_key_file", &key)].map(|(name, path)| format!("{name}={}", path.display()));
    let cluster = Cluster::start_in(folder, &["ssl=on", &certificate_setting, &key_setting]);
    let url = cluster.database();
    let with = |roots| StoreConfig { trusted_roots: Some(roots), ..config(&format!("{url}?sslmode=require")) };
    let store = steward::store::open(&with(certificate)).await.unwrap();
    assert_eq!(commit(&store, &[put("a", "{}")]).await, Revision(1));
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'steward'";
    assert_eq!(cluster.sql("postgres", encrypted), "t");
    let error = steward::store::open(&with(stranger)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }) && told(&error).contains("certificate"), "{}", told(&error));
    let clear = Cluster::shared().await;
    let error = steward::store::open(&config(&format!("{}?sslmode=require", clear.database()))).await.unwrap_err();
    assert!(told(&error).contains("does not support TLS"), "{}", told(&error));
}
