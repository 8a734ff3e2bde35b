//! A request as it came in cannot be sent, whatever it is wrapped in.

use hyper::Request;
use hyper::body::Incoming;
use steward::forward::{Backend, RequestBody, Standing};

async fn cheat(backend: &Backend, request: Request<Incoming>, standing: impl Standing + Clone + 'static) {
    let (head, body) = request.into_parts();
    let _answer = backend.send(&head.into(), RequestBody::Client(body), standing).await;
}

fn main() {}
