//! The store itself: what is in it, and how it came to that.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use steward::store::{self, Change, Object, ObjectKey, Revision, Snapshot, StoreConfig, TAIL_CHANGES_MAX, Tail};

use crate::writer::{Thing, Writer};

/// The store holds what the clients know, and nothing else.
pub fn check_objects(snapshot: &Snapshot, writers: &[Writer]) {
    let mut expected: BTreeMap<(&str, String), (Thing, &str)> = BTreeMap::new();
    for writer in writers {
        let there = writer.facts.iter().filter_map(|(thing, fact)| Some((*thing, fact.sure.as_deref()?)));
        expected.extend(there.map(|(thing, value)| (writer.row(thing), (thing, value))));
    }
    let by_clients = snapshot.objects.iter().filter(|object| !matches!(&*object.key.kind, "event" | "operation"));
    for Object { key, body, .. } in by_clients {
        let (thing, value) = expected.remove(&(&*key.kind, key.name.to_string())).unwrap_or_else(|| panic!("nobody wrote `{key}`"));
        assert_eq!(Writer::read_row(thing, &serde_json::from_str(body).unwrap()), value, "{key}");
    }
    assert!(expected.is_empty(), "acknowledged, and not in the store: {expected:?}");
}

/// Every change that was ever made, from the first to the newest: none is missing, each is whole, and together they are the world.
///
/// The gateways have ended. How many changes there are.
pub async fn check_history(config: &StoreConfig) -> u64 {
    let store = store::open(config).await.unwrap();
    let snapshot = store.snapshot().await.unwrap();
    let mut world: BTreeMap<ObjectKey, (Revision, std::sync::Arc<str>)> = BTreeMap::new();
    let mut at = Revision(0);
    while at < snapshot.revision {
        let Tail::Changes(changes) = store.changes(snapshot.epoch, at, TAIL_CHANGES_MAX).await.unwrap() else {
            panic!("the changes after {at} are not all there");
        };
        assert!(!changes.is_empty(), "nothing after {at}, and the newest is {}", snapshot.revision);
        for change in changes {
            at = Revision(at.0 + 1);
            assert_eq!(change.revision, at, "no gap");
            check_whole(&change);
            for write in change.writes {
                match write.body {
                    Some(body) => drop(world.insert(write.key, (at, body))),
                    None => drop(world.remove(&write.key)),
                }
            }
        }
    }
    let objects: Vec<Object> = world.into_iter().map(|(key, (revision, body))| Object { key, revision, body }).collect();
    assert!(objects == snapshot.objects, "the changes lead to what is there");
    at.0
}

/// A delegation is made or removed together with its operation and its event.
fn check_whole(change: &Change) {
    let of_kind = |kind: &str| change.writes.iter().filter(|write| &*write.key.kind == kind).collect::<Vec<_>>();
    let bodies = |kind: &str| {
        let all = of_kind(kind).into_iter().filter_map(|write| write.body.as_deref());
        all.map(|body| serde_json::from_str::<Value>(body).unwrap()).collect::<Vec<_>>()
    };
    let (operations, events) = (bodies("operation"), bodies("event"));
    for write in of_kind("registration_assignment") {
        let removes = write.body.is_none();
        let (scope, name) = write.key.name.rsplit_once('/').unwrap();
        let id = format!("{scope}/providers/microsoft.managedservices/registrationassignments/{name}");
        let is_it = |value: &Value| value.as_str().unwrap().to_lowercase() == id;
        let is_told = operations.iter().any(|one| is_it(&one["resource"]) && one["removes"] == removes);
        let what = if removes { "unregistered" } else { "registered" };
        let is_shown = events.iter().any(|one| is_it(&one["delegation"]) && one["what"] == what);
        assert!(is_told && is_shown, "revision {}: {id} without its operation or event", change.revision);
    }
    let is_alone = operations.is_empty() && events.is_empty();
    let kinds: BTreeSet<&str> = change.writes.iter().map(|write| &*write.key.kind).collect();
    assert!(is_alone || kinds.iter().any(|kind| kind.starts_with("registration_")), "revision {}: {kinds:?}", change.revision);
}
