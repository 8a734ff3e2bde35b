//! An authorized request still carries the caller's own token: the forwarder does not take it.

use hyper::body::Incoming;
use steward::forward::{Backend, RequestBody, Standing};
use steward::pipeline::Authorized;

async fn cheat(backend: &Backend, authorized: Authorized, body: Incoming, standing: impl Standing + Clone + 'static) {
    let _answer = backend.send(&authorized, RequestBody::Client(body), standing).await;
}

fn main() {}
