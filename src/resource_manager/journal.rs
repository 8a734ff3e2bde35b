//! The last requests as they arrived, so that tests can assert what reached the backend.

use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use crate::clock::Timestamp;

/// Requests kept; the oldest leave first.
const KEPT_MAX: u64 = 1_000;
/// Headers whose values are secrets: their names are kept, their values never.
const SECRET: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "x-ms-authorization-auxiliary"];

/// A ring of the last requests. A slot is overwritten, so nothing grows and nobody waits long.
#[derive(Debug, Default)]
pub(super) struct Journal {
    arrived: AtomicU64,
    slots: DashMap<u64, Entry, foldhash::fast::RandomState>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    at: Timestamp,
    method: Method,
    target: String,
    headers: HeaderMap,
}

impl Journal {
    /// Keeps a request that has just arrived.
    pub(super) fn keep(&self, at: Timestamp, method: &Method, target: &str, headers: &HeaderMap) {
        let number = self.arrived.fetch_add(1, Ordering::Relaxed);
        let mut headers = headers.clone();
        for name in SECRET {
            if headers.remove(name).is_some() {
                headers.insert(name, HeaderValue::from_static("<secret>"));
            }
        }
        self.slots.insert(number % KEPT_MAX, Entry { number, at, method: method.clone(), target: target.to_owned(), headers });
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.slots.clear();
    }

    /// All requests kept, oldest first.
    pub(super) fn told(&self) -> Value {
        let mut entries: Vec<_> = self.slots.iter().map(|entry| (entry.number, entry.told())).collect();
        entries.sort_unstable_by_key(|(number, _)| *number);
        json!({ "requests": entries.into_iter().map(|(_, told)| told).collect::<Vec<_>>() })
    }
}

impl Entry {
    fn told(&self) -> Value {
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())])).collect();
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        json!({ "number": self.number, "at": self.at.to_string(), "method": self.method.as_str(), "path": path, "query": query, "headers": headers })
    }
}
