//! What every engine promises.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use steward::clock::Clock;
use steward::ids::{Epoch, SessionId};
use steward::store::{
    COMMIT_BYTES_MAX, Change, CommitError, Existing, KEY_BYTES_MAX, Object, ObjectKey, Plan, RestoreError, Revision, Store, StoreConfig,
    StoreError, TAIL_BYTES_MAX, Tail, Write, backup, look, restore,
};

use crate::place::{DEADLINE, Place, eventually};

pub fn key(name: &str) -> ObjectKey {
    ObjectKey { kind: "thing".into(), name: name.into() }
}

pub fn put(name: &str, body: &str) -> Write {
    Write { key: key(name), body: Some(body.into()) }
}

pub fn delete(name: &str) -> Write {
    Write { key: key(name), body: None }
}

pub fn now() -> Timestamp {
    "2026-11-21T06:48:24.123456789Z".parse().unwrap()
}

/// Commits to whatever the world is.
pub async fn commit(store: &Arc<dyn Store>, writes: &[Write]) -> Revision {
    let head = store.snapshot().await.unwrap();
    store.commit(head.epoch, head.revision, now(), writes).await.unwrap()
}

/// Names and bodies.
pub async fn contents(store: &Arc<dyn Store>) -> Vec<(String, String)> {
    let objects = store.snapshot().await.unwrap().objects;
    objects.into_iter().map(|object| (object.key.name.into_string(), object.body.to_string())).collect()
}

async fn epoch(store: &Arc<dyn Store>) -> Epoch {
    store.snapshot().await.unwrap().epoch
}

#[track_caller]
fn revisions(tail: &Tail) -> Vec<u64> {
    match tail {
        Tail::Changes(changes) => changes.iter().map(|change| change.revision.0).collect(),
        Tail::Trimmed => panic!("trimmed"),
    }
}

fn pair(name: &str, body: &str) -> (String, String) {
    (name.to_owned(), body.to_owned())
}

pub async fn a_new_store_is_empty(place: Place) {
    let store = place.open().await;
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!((snapshot.revision, snapshot.objects), (Revision(0), vec![]));
    assert_eq!(store.changes(snapshot.epoch, Revision(0), 10).await.unwrap(), Tail::Changes(vec![]));
}

pub async fn a_body_comes_back_byte_for_byte(place: Place) {
    let store = place.open().await;
    let body = " {\"a\" : \"\\u0000 \u{1F600} é\\\\\" ,\n\t\"b\": 1.0e5}\n";
    let write = Write { key: ObjectKey { kind: "kïnd".into(), name: "/a 'b\"/%?_\\\n".into() }, body: Some(body.into()) };
    let revision = commit(&store, std::slice::from_ref(&write)).await;
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.objects, vec![Object { key: write.key.clone(), revision, body: body.into() }]);
    let tail = store.changes(snapshot.epoch, Revision(0), 10).await.unwrap();
    assert_eq!(tail, Tail::Changes(vec![Change { revision, at: now(), writes: vec![write] }]));
}

pub async fn the_last_write_of_an_object_counts(place: Place) {
    let store = place.open().await;
    commit(&store, &[put("a", "1"), put("b", "1"), put("a", "2"), delete("b"), delete("c"), put("c", "3"), delete("never")]).await;
    assert_eq!(contents(&store).await, vec![pair("a", "2"), pair("c", "3")]);
    commit(&store, &[delete("a"), put("Z", "4")]).await;
    // In byte order, whatever the locale of the server.
    assert_eq!(contents(&store).await, vec![pair("Z", "4"), pair("c", "3")]);
    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.objects.iter().map(|object| object.revision.0).collect::<Vec<_>>(), vec![2, 1]);
}

pub async fn a_commit_on_an_old_revision_changes_nothing(place: Place) {
    let store = place.open().await;
    commit(&store, &[put("a", "1")]).await;
    commit(&store, &[put("a", "2")]).await;
    let epoch = epoch(&store).await;
    for (epoch, base) in [(epoch, 0), (epoch, 1), (epoch, 3), (epoch, u64::MAX), (Epoch::random(), 2)] {
        let refused = store.commit(epoch, Revision(base), now(), &[put("a", "3")]).await;
        assert!(matches!(refused, Err(CommitError::Conflict { head: Revision(2) })), "{base}: {refused:?}");
    }
    assert_eq!(contents(&store).await, vec![pair("a", "2")]);
    assert_eq!(revisions(&store.changes(epoch, Revision(0), 10).await.unwrap()), vec![1, 2]);
}

pub async fn a_bad_write_changes_nothing(place: Place) {
    let store = place.open().await;
    let named = |kind: &str, name: &str| Write { key: ObjectKey { kind: kind.into(), name: name.into() }, body: Some("{}".into()) };
    let long = "n".repeat(KEY_BYTES_MAX);
    let huge: Arc<str> = "1".repeat(COMMIT_BYTES_MAX / 2).into();
    let half = |name| Write { key: key(name), body: Some(Arc::clone(&huge)) };
    let bad = [
        vec![named("", "a")],
        vec![named("a", "")],
        vec![named("a", "x\0y")],
        vec![named(&format!("{long}n"), "a")],
        vec![put("good", "{}"), put("a", "\"\0\"")],
        vec![half("a"), half("b")],
    ];
    let epoch = epoch(&store).await;
    for writes in bad {
        let refused = store.commit(epoch, Revision(0), now(), &writes).await;
        assert!(matches!(refused, Err(CommitError::Store(StoreError::Invalid(_)))), "{:?}", writes[0].key);
    }
    commit(&store, &[named(&long, &long)]).await;
    assert_eq!(contents(&store).await, vec![pair(&long, "{}")]);
}

pub async fn four_committers_leave_no_gap(place: Place) {
    const EACH: usize = 25;
    let first = place.open().await;
    let epoch = epoch(&first).await;
    let mut committers = tokio::task::JoinSet::new();
    for committer in 0..4 {
        let store = place.open_again(&first).await;
        committers.spawn(async move {
            let mut base = Revision(0);
            for number in 0..EACH {
                base = insist(&store, epoch, base, &[put(&format!("{committer}-{number}"), "{}")]).await;
            }
        });
    }
    while let Some(ended) = committers.join_next().await {
        ended.unwrap();
    }
    let snapshot = first.snapshot().await.unwrap();
    assert_eq!((snapshot.revision, snapshot.objects.len()), (Revision(100), 100));
    assert_eq!(revisions(&first.changes(snapshot.epoch, Revision(0), 1000).await.unwrap()), (1..=100).collect::<Vec<_>>());
}

pub async fn a_commit_in_turn_is_planned_on_the_newest_world(place: Place) {
    let store = place.open().await;
    for number in 0..3 {
        commit(&store, &[put("a", &number.to_string())]).await;
    }
    let epoch = epoch(&store).await;
    let in_turn = async |epoch, applied, base: Option<Revision>| {
        let mut missed = None;
        let plan: Plan<'_> = Box::new(|tail| {
            missed = matches!(tail, Tail::Changes(_)).then(|| revisions(&tail));
            Some((base?, vec![put("b", "1")]))
        });
        let made = store.commit_in_turn(epoch, Revision(applied), now(), plan).await;
        (made, missed)
    };
    let (made, missed) = in_turn(epoch, 1, None).await;
    assert_eq!((made.unwrap(), missed), (None, Some(vec![2, 3])), "nothing to write");
    let (made, missed) = in_turn(epoch, 1, Some(Revision(3))).await;
    let made = made.unwrap().unwrap();
    assert_eq!((made.revision, &*made.writes, missed), (Revision(4), &[put("b", "1")][..], Some(vec![2, 3])));
    let (refused, missed) = in_turn(epoch, 4, Some(Revision(3))).await;
    assert!(matches!(refused, Err(CommitError::Conflict { head: Revision(4) })), "{refused:?}");
    assert_eq!(missed, Some(vec![]));
    let (made, missed) = in_turn(Epoch::random(), 4, None).await;
    assert_eq!((made.unwrap(), missed), (None, None), "another history");
    assert_eq!(contents(&store).await.len(), 2);
}

/// Commits on whatever is newest, again and again.
async fn insist(store: &Arc<dyn Store>, epoch: Epoch, mut base: Revision, writes: &[Write]) -> Revision {
    loop {
        match store.commit(epoch, base, now(), writes).await {
            Ok(revision) => return revision,
            Err(CommitError::Conflict { head }) => base = head,
            Err(other) => panic!("{other:?}"),
        }
    }
}

pub async fn changes_come_in_portions(place: Place) {
    let store = place.open().await;
    for number in 0..5 {
        commit(&store, &[put("a", &number.to_string())]).await;
    }
    let epoch = epoch(&store).await;
    let after = async |revision, limit| store.changes(epoch, Revision(revision), limit).await.unwrap();
    assert_eq!(revisions(&after(0, 2).await), vec![1, 2]);
    assert_eq!(revisions(&after(2, 2).await), vec![3, 4]);
    assert_eq!(revisions(&after(4, 2).await), vec![5]);
    assert_eq!(revisions(&after(5, 2).await), vec![] as Vec<u64>);
    assert_eq!(revisions(&after(0, 0).await), vec![] as Vec<u64>);
    assert_eq!(revisions(&after(0, usize::MAX).await), vec![1, 2, 3, 4, 5]);
}

pub async fn changes_of_another_past_are_none(place: Place) {
    let store = place.open().await;
    commit(&store, &[put("a", "1")]).await;
    let epoch = epoch(&store).await;
    assert_eq!(store.changes(epoch, Revision(2), 2).await.unwrap(), Tail::Trimmed, "ahead of the store");
    assert_eq!(store.changes(Epoch::random(), Revision(0), 2).await.unwrap(), Tail::Trimmed, "another epoch");
}

pub async fn changes_are_kept_up_to_their_bound(place: Place) {
    let store = steward::store::open(&StoreConfig { changes_max: 3, ..place.config() }).await.unwrap();
    for number in 0..5 {
        commit(&store, &[put("a", &number.to_string())]).await;
    }
    let epoch = epoch(&store).await;
    assert_eq!(revisions(&store.changes(epoch, Revision(2), 10).await.unwrap()), vec![3, 4, 5]);
    for after in [0, 1] {
        assert_eq!(store.changes(epoch, Revision(after), 10).await.unwrap(), Tail::Trimmed);
        let heard = store.poll(SessionId::random(), epoch, Revision(after)).await.unwrap();
        assert_eq!((heard.tail, heard.fence), (Tail::Trimmed, Revision(0)));
    }
}

pub async fn bytes_of_changes_are_kept_up_to_their_bound(place: Place) {
    const BODY_BYTES: usize = 100_000;
    let store = steward::store::open(&StoreConfig { changes_bytes_max: 450_000, ..place.config() }).await.unwrap();
    for _ in 0..9 {
        commit(&store, &[put("a", &"1".repeat(BODY_BYTES))]).await;
    }
    let epoch = epoch(&store).await;
    assert_eq!(revisions(&store.changes(epoch, Revision(5), 10).await.unwrap()), vec![6, 7, 8, 9]);
    assert_eq!(store.changes(epoch, Revision(4), 10).await.unwrap(), Tail::Trimmed);
    let heard = store.poll(SessionId::random(), epoch, Revision(4)).await.unwrap();
    assert_eq!((heard.tail, heard.fence), (Tail::Trimmed, Revision(0)), "whoever is behind loads anew");
    // The newest is kept, however large.
    commit(&store, &[put("a", &"1".repeat(5 * BODY_BYTES))]).await;
    assert_eq!(revisions(&store.changes(epoch, Revision(9), 10).await.unwrap()), vec![10]);
    assert_eq!(store.changes(epoch, Revision(8), 10).await.unwrap(), Tail::Trimmed);
}

pub async fn changes_that_an_earlier_process_left_are_measured(place: Place) {
    let store = place.open().await;
    for _ in 0..3 {
        commit(&store, &[put("a", &"1".repeat(20_000))]).await;
    }
    let epoch = epoch(&store).await;
    drop(store);
    let store = steward::store::open(&StoreConfig { changes_bytes_max: 30_000, ..place.config() }).await.unwrap();
    commit(&store, &[put("a", "1")]).await;
    assert_eq!(revisions(&store.changes(epoch, Revision(2), 10).await.unwrap()), vec![3, 4]);
    assert_eq!(store.changes(epoch, Revision(1), 10).await.unwrap(), Tail::Trimmed);
}

pub async fn many_changes_that_an_earlier_process_left_go_bit_by_bit(place: Place) {
    let store = place.open().await;
    for number in 0..300 {
        commit(&store, &[put("a", &number.to_string().repeat(100))]).await;
    }
    let epoch = epoch(&store).await;
    drop(store);
    let store = steward::store::open(&StoreConfig { changes_bytes_max: 1_000, ..place.config() }).await.unwrap();
    commit(&store, &[put("a", "1")]).await;
    assert_eq!(revisions(&store.changes(epoch, Revision(256), 1).await.unwrap()), vec![257]);
    commit(&store, &[put("a", "2")]).await;
    assert_eq!(store.changes(epoch, Revision(290), 10).await.unwrap(), Tail::Trimmed);
}

pub async fn small_changes_are_not_measured_each_time(place: Place) {
    let store = steward::store::open(&StoreConfig { changes_bytes_max: 30_000, ..place.config() }).await.unwrap();
    commit(&store, &[put("a", &"1".repeat(20_000))]).await;
    commit(&store, &[put("a", &"1".repeat(20_000))]).await;
    for number in 0..3 {
        commit(&store, &[put("a", &number.to_string())]).await;
    }
    let epoch = epoch(&store).await;
    assert_eq!(revisions(&store.changes(epoch, Revision(1), 30).await.unwrap()), vec![2, 3, 4, 5]);
    assert_eq!(store.changes(epoch, Revision(0), 30).await.unwrap(), Tail::Trimmed);
}

pub async fn a_tail_that_is_too_large_is_trimmed(place: Place) {
    let store = place.open().await;
    let body = "1".repeat(TAIL_BYTES_MAX / 2);
    for name in ["a", "b"] {
        commit(&store, &[put(name, &body)]).await;
    }
    let (epoch, session) = (epoch(&store).await, SessionId::random());
    let poll = async |applied| store.poll(session, epoch, Revision(applied)).await.unwrap().tail;
    assert!(poll(0).await == Tail::Trimmed, "two changes are more than the bound");
    assert_eq!(revisions(&poll(1).await), vec![2]);
    assert_eq!(revisions(&store.changes(epoch, Revision(0), 10).await.unwrap()), vec![1]);
}

pub async fn a_hundred_thousand_writes_are_one_commit(place: Place) {
    const MANY: usize = 100_000;
    let store = place.open().await;
    let body = r#"{"principal":"8f2c1a10-0000-4000-8000-000000000001","role":"acdd72a7-3385-48ef-bd42-f606fba81ae7"}"#;
    let writes: Vec<Write> = (0..MANY).map(|number| put(&format!("/subscriptions/8f2c1a10/{number:06}"), body)).collect();
    let begun = Clock::instant();
    commit(&store, &writes).await;
    let (written, read) = (begun.elapsed(), store.snapshot().await.unwrap());
    assert!(written < DEADLINE, "{written:?}");
    let expected: Vec<_> = writes.into_iter().map(|write| (write.key, write.body.unwrap())).collect();
    let found: Vec<_> = read.objects.into_iter().map(|object| (object.key, object.body)).collect();
    assert!(found == expected, "{} objects", found.len());
    commit(&store, &found.iter().map(|(key, _body)| Write { key: key.clone(), body: None }).collect::<Vec<_>>()).await;
    assert_eq!(contents(&store).await, vec![]);
}

pub async fn the_fence_is_what_all_others_have_applied(place: Place) {
    let first = place.open().await;
    let second = place.open_again(&first).await;
    let epoch = epoch(&first).await;
    for name in ["a", "b"] {
        commit(&first, &[put(name, "{}")]).await;
    }
    let (one, other) = (SessionId::random(), SessionId::random());
    let heard = first.poll(one, epoch, Revision(0)).await.unwrap();
    assert_eq!((revisions(&heard.tail), heard.fence), (vec![1, 2], Revision(2)), "alone");
    let heard = second.poll(other, epoch, Revision(1)).await.unwrap();
    assert_eq!((revisions(&heard.tail), heard.fence), (vec![2], Revision(0)), "the first one has not said what it applied");
    let heard = first.poll(one, epoch, Revision(2)).await.unwrap();
    assert_eq!((revisions(&heard.tail), heard.fence), (vec![], Revision(1)));
    second.poll(other, epoch, Revision(2)).await.unwrap();
    commit(&first, &[put("c", "{}")]).await;
    let heard = first.poll(one, epoch, Revision(2)).await.unwrap();
    assert_eq!((revisions(&heard.tail), heard.fence), (vec![3], Revision(2)), "the other one lacks the last change");
}

pub async fn a_session_that_has_left_holds_nothing_back(place: Place) {
    let store = place.open().await;
    let epoch = epoch(&store).await;
    let (one, other) = (SessionId::random(), SessionId::random());
    store.poll(other, epoch, Revision(0)).await.unwrap();
    commit(&store, &[put("a", "{}")]).await;
    assert_eq!(store.poll(one, epoch, Revision(1)).await.unwrap().fence, Revision(0));
    store.leave(other).await.unwrap();
    assert_eq!(store.poll(one, epoch, Revision(1)).await.unwrap().fence, Revision(1));
    store.leave(other).await.unwrap();
}

pub async fn a_session_that_is_heard_of_no_more_holds_nothing_back(place: Place) {
    let (lease, margin) = (Duration::from_millis(600), Duration::from_millis(200));
    let store = steward::store::open(&StoreConfig { lease, margin, ..place.config() }).await.unwrap();
    let epoch = epoch(&store).await;
    let (one, other) = (SessionId::random(), SessionId::random());
    commit(&store, &[put("a", "{}")]).await;
    let begun = Clock::instant();
    store.poll(other, epoch, Revision(0)).await.unwrap();
    let fence = async || store.poll(one, epoch, Revision(1)).await.unwrap().fence;
    eventually("the end of the lease", async || (fence().await == Revision(1)).then_some(())).await;
    assert!(begun.elapsed() >= lease + margin, "{:?}", begun.elapsed());
    store.poll(other, epoch, Revision(0)).await.unwrap();
    assert_eq!(fence().await, Revision(0), "it is back");
}

pub async fn a_session_with_another_past_holds_everything_back(place: Place) {
    let store = place.open().await;
    let epoch = epoch(&store).await;
    let (one, other) = (SessionId::random(), SessionId::random());
    commit(&store, &[put("a", "{}")]).await;
    for (epoch_of_other, applied) in [(Epoch::random(), Revision(1)), (epoch, Revision(2))] {
        let heard = store.poll(other, epoch_of_other, applied).await.unwrap();
        assert_eq!((heard.tail, heard.fence), (Tail::Trimmed, Revision(0)));
        assert_eq!(store.poll(one, epoch, Revision(1)).await.unwrap().fence, Revision(0));
    }
    store.poll(other, epoch, Revision(1)).await.unwrap();
    assert_eq!(store.poll(one, epoch, Revision(1)).await.unwrap().fence, Revision(1));
}

pub async fn a_commit_wakes_those_who_wait(place: Place) {
    let first = place.open().await;
    let second = place.open_again(&first).await;
    for store in [&first, &second] {
        let mut woken = store.woken();
        woken.mark_unchanged();
        commit(&first, &[put("a", "{}")]).await;
        tokio::time::timeout(DEADLINE, woken.changed()).await.unwrap().unwrap();
    }
}

pub async fn what_was_committed_is_there_after_opening_again(place: Place) {
    let store = place.open().await;
    commit(&store, &[put("a", "1"), put("b", "1")]).await;
    commit(&store, &[delete("b")]).await;
    let before = store.snapshot().await.unwrap();
    let changes = store.changes(before.epoch, Revision(0), 10).await.unwrap();
    drop(store);
    let store = place.open().await;
    assert_eq!(store.snapshot().await.unwrap(), before);
    assert_eq!(store.changes(before.epoch, Revision(0), 10).await.unwrap(), changes);
    assert_eq!(store.commit(before.epoch, before.revision, now(), &[]).await.unwrap(), Revision(3));
}

/// A world of some objects, some of which were written and deleted before.
async fn furnish(store: &Arc<dyn Store>) {
    let body = "{\"a\": \"\\n é 😀\"}";
    let many: Vec<Write> = (0..50).map(|number| put(&format!("/things/{number:02}"), body)).collect();
    commit(store, &many).await;
    commit(store, &[delete("/things/07"), put("/things/08", "[]"), put("/é", "\"\\\\\"")]).await;
}

pub async fn a_backup_restores_the_same_world_in_another_epoch(place: Place) {
    let (store, path) = (place.open().await, place.folder().join("backup"));
    furnish(&store).await;
    let before = store.snapshot().await.unwrap();
    let taken = backup(store.as_ref(), &path).await.unwrap();
    assert_eq!((taken.epoch, taken.revision, taken.objects), (before.epoch, Revision(2), 50));
    // As another process does it beside a running gateway.
    assert_eq!(look(&place.config()).await.unwrap(), before);

    let (restored, copy) = (place.another().await, place.folder().join("copy"));
    assert_eq!(restore(&restored.config(), &path, Existing::Keep).await.unwrap(), taken);
    let other = restored.open().await;
    let after = other.snapshot().await.unwrap();
    assert_eq!((after.revision, &after.objects), (before.revision, &before.objects));
    assert_ne!(after.epoch, before.epoch);
    let again = backup(other.as_ref(), &copy).await.unwrap();
    assert_eq!(again.content_sha256, taken.content_sha256);
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
}

pub async fn nobody_is_taken_along_into_a_restored_epoch(place: Place) {
    let (store, path, restored) = (place.open().await, place.folder().join("backup"), place.another().await);
    furnish(&store).await;
    let before = store.snapshot().await.unwrap();
    backup(store.as_ref(), &path).await.unwrap();
    restore(&restored.config(), &path, Existing::Keep).await.unwrap();
    let other = restored.open().await;
    let new = epoch(&other).await;
    let heard = other.poll(SessionId::random(), before.epoch, before.revision).await.unwrap();
    assert_eq!(heard.tail, Tail::Trimmed);
    // The past was not restored either.
    for epoch in [before.epoch, new] {
        assert_eq!(other.changes(epoch, Revision(1), 10).await.unwrap(), Tail::Trimmed);
    }
    let refused = other.commit(before.epoch, before.revision, now(), &[]).await;
    assert!(matches!(refused, Err(CommitError::Conflict { head: Revision(2) })), "{refused:?}");
    assert_eq!(commit(&other, &[put("new", "1")]).await, Revision(3));
}

pub async fn a_backup_replaces_what_is_there_only_when_told(place: Place) {
    let (store, path) = (place.open().await, place.folder().join("backup"));
    furnish(&store).await;
    let before = store.snapshot().await.unwrap();
    backup(store.as_ref(), &path).await.unwrap();
    commit(&store, &[put("later", "1"), delete("/é")]).await;
    let (later, session) = (store.snapshot().await.unwrap(), SessionId::random());
    store.poll(session, later.epoch, later.revision).await.unwrap();
    drop(store);
    let error = restore(&place.config(), &path, Existing::Keep).await.unwrap_err();
    assert_eq!(error.to_string(), "the store holds revision 3; name an empty one, or say that what it holds may be lost");
    assert_eq!(look(&place.config()).await.unwrap(), later);
    restore(&place.config(), &path, Existing::Replace).await.unwrap();
    let store = place.open().await;
    let after = store.snapshot().await.unwrap();
    assert_eq!((after.revision, after.objects), (before.revision, before.objects));
    assert!(after.epoch != before.epoch);
}

pub async fn a_backup_with_a_flipped_byte_is_refused(place: Place) {
    let (store, path) = (place.open().await, place.folder().join("backup"));
    commit(&store, &[put("/a", "{\"x\": 1}"), put("/b", "[]")]).await;
    backup(store.as_ref(), &path).await.unwrap();
    let good = std::fs::read(&path).unwrap();
    let target = place.another().await;
    let refused = async |content: &[u8], what: String| {
        std::fs::write(&path, content).unwrap();
        let error = restore(&target.config(), &path, Existing::Keep).await.expect_err(&what);
        assert!(matches!(error, RestoreError::Damaged { .. } | RestoreError::Newer { .. }), "{what}: {error:?}");
    };
    for position in 0..good.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut bad = good.clone();
            bad[position] ^= bit;
            refused(&bad, format!("byte {position} with {bit:#x}")).await;
        }
    }
    for length in [0, 1, good.len() / 2, good.len() - 1] {
        refused(&good[..length], format!("cut to {length}")).await;
    }
    refused(&[good.as_slice(), b"\n"].concat(), "one byte too many".to_owned()).await;
    std::fs::write(&path, &good).unwrap();
    restore(&target.config(), &path, Existing::Keep).await.unwrap();
}
