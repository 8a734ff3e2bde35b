//! A request as it came in cannot be sent, whatever it is wrapped in.

use hyper::Request;
use hyper::body::Incoming;
use steward::forward::Backend;

async fn cheat(backend: &Backend, request: Request<Incoming>) {
    let (head, body) = request.into_parts();
    let _answer = backend.send(&head.into(), body).await;
}

fn main() {}
