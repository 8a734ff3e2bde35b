//! A request that nobody authenticated cannot be sent.

use hyper::body::Incoming;
use steward::forward::{Backend, RequestBody, Standing};
use steward::pipeline::ManagementRequest;

async fn cheat(backend: &Backend, request: &ManagementRequest, body: Incoming, standing: impl Standing + Clone + 'static) {
    let _answer = backend.send(request, RequestBody::Client(body), standing).await;
}

fn main() {}
