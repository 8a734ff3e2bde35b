//! What the forwarder takes cannot be put together by hand.

use std::sync::Arc;

use hyper::header::{HeaderMap, HeaderValue};
use steward::arm::action::Method;
use steward::arm::path::CanonicalPath;
use steward::arm::scope::Scope;
use steward::identity::Caller;
use steward::pipeline::{Outbound, Reading};

fn cheat(path: CanonicalPath, caller: Arc<Caller>) -> Outbound {
    Outbound {
        method: Method::Delete,
        path,
        query: None,
        sent: None,
        received: HeaderMap::new(),
        assertion: HeaderValue::from_static("Bearer mine"),
        own: [None, None, None, None],
        authority: "localhost".into(),
        reading: Reading::Unread,
        caller,
        auxiliary: Box::default(),
        lenders: Vec::new(),
        place: Scope::parse("/").unwrap(),
        done: "".into(),
        links: Vec::new(),
    }
}

fn main() {}
