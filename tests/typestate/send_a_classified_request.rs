//! A request that nobody authenticated cannot be sent.

use hyper::body::Incoming;
use steward::forward::Backend;
use steward::pipeline::ManagementRequest;

async fn cheat(backend: &Backend, request: &ManagementRequest, body: Incoming) {
    let _answer = backend.send(request, body).await;
}

fn main() {}
