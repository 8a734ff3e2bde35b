//! A request whose body nobody has read is not what the forwarder takes.

use hyper::body::Incoming;
use steward::forward::{Backend, RequestBody, Standing};
use steward::pipeline::Forwardable;

async fn cheat(backend: &Backend, forwardable: Forwardable, body: Incoming, standing: impl Standing + Clone + 'static) {
    let (unread, _trail) = forwardable.split();
    let _answer = backend.send(&unread, RequestBody::Client(body), standing).await;
}

fn main() {}
