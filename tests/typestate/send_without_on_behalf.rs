//! An authorized request still carries the caller's own token: the forwarder does not take it.

use hyper::body::Incoming;
use steward::forward::Backend;
use steward::pipeline::Authorized;

async fn cheat(backend: &Backend, authorized: Authorized, body: Incoming) {
    let _answer = backend.send(&authorized, body).await;
}

fn main() {}
