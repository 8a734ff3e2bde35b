//! The last requests as they arrived, so that tests can assert in whose name they came.

use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use hyper::StatusCode;
use hyper::http::request::Parts;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::vmm::{Connection, ON_BEHALF_OF_USER, ON_BEHALF_OF_USER_ROLE};

/// Requests kept; the oldest leave first.
const KEPT_MAX: u64 = 1_000;

/// A ring of the last requests. A slot is overwritten, so nothing grows and nobody waits long.
#[derive(Debug, Default)]
pub(super) struct Journal {
    arrived: AtomicU64,
    slots: DashMap<u64, Entry, foldhash::fast::RandomState>,
}

#[derive(Debug, Clone, Serialize)]
struct Entry {
    number: u64,
    at: Timestamp,
    method: String,
    path: String,
    query: String,
    /// As the header says, whether that is believed or not.
    on_behalf_of_user: Option<String>,
    on_behalf_of_user_role: Option<String>,
    /// What the assertion says, once it is verified and the headers agree.
    connection: Option<Connection>,
    /// None while there is no answer, and for ever if the connection ended before.
    status: Option<u16>,
}

#[derive(Serialize)]
struct Told {
    requests: Vec<Entry>,
}

impl Journal {
    /// Keeps a request that has just arrived; its number.
    pub(super) fn keep(&self, at: Timestamp, head: &Parts) -> u64 {
        let number = self.arrived.fetch_add(1, Ordering::Relaxed);
        let text = |name| head.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let entry = Entry {
            number,
            at,
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            on_behalf_of_user: text(ON_BEHALF_OF_USER),
            on_behalf_of_user_role: text(ON_BEHALF_OF_USER_ROLE),
            connection: None,
            status: None,
        };
        self.slots.insert(number % KEPT_MAX, entry);
        number
    }

    pub(super) fn connected(&self, number: u64, connection: &Connection) {
        self.change(number, |entry| entry.connection = Some(connection.clone()));
    }

    pub(super) fn answered(&self, number: u64, status: StatusCode) {
        self.change(number, |entry| entry.status = Some(status.as_u16()));
    }

    fn change(&self, number: u64, change: impl FnOnce(&mut Entry)) {
        if let Some(mut entry) = self.slots.get_mut(&(number % KEPT_MAX)).filter(|entry| entry.number == number) {
            change(&mut entry);
        }
    }

    /// All requests kept, oldest first.
    pub(super) fn told(&self) -> impl Serialize + use<> {
        let mut requests: Vec<_> = self.slots.iter().map(|entry| entry.clone()).collect();
        requests.sort_unstable_by_key(|entry| entry.number);
        Told { requests }
    }
}
