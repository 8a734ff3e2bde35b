//! A gateway under attack, and the backend behind it that sees what gets through.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::{Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::watch;

use crate::common::backend::{Act, Arrived, Backend, Front, json_answer};
use crate::common::client::{Answer, Call, Client};
use crate::table::Forms;

/// A gateway with a backend of its own. The policies and the issuer are those of the shared installation.
pub struct Gate {
    pub front: Front,
    pub backend: Backend,
    /// What the backend does with the next request.
    pub next: watch::Sender<Act>,
}

impl Gate {
    /// One whose backend answers everything with an empty object, until it is told otherwise.
    pub async fn start(name: &str) -> Self {
        let (next, acts) = watch::channel(Act::Answer(json_answer("200 OK", "{}")));
        let backend = Backend::start(move |_, _| acts.borrow().clone()).await;
        let front = Front::start(name, &format!("http://{}", backend.address), "").await;
        Self { front, backend, next }
    }

    pub const fn client(&self) -> &Client {
        &self.front.client
    }

    /// How many requests have reached the backend.
    pub fn arrived(&self) -> usize {
        self.backend.log().arrived.len()
    }

    /// Sends over HTTP/1.1; the answer begins with `expected`, and the backend received nothing.
    pub async fn refused(&self, forms: &mut Forms, form: &str, call: Call, expected: &str) -> Answer {
        let before = self.arrived();
        let answer = self.client().send(call).await;
        forms.saw(form, &answer.told(), expected);
        forms.holds(form, self.arrived() == before, "the backend receives nothing");
        answer
    }

    /// Sends over HTTP/1.1; the backend answers it with 200, and has received one request, which is returned.
    pub async fn served(&self, forms: &mut Forms, form: &str, call: Call) -> Option<Arrived> {
        let before = self.arrived();
        let answer = self.client().send(call).await;
        forms.saw(form, &answer.told(), "200");
        let log = self.backend.log();
        forms.holds(form, log.arrived.len() == before + 1, "the backend receives one request");
        log.arrived.get(before).cloned()
    }

    /// The same; and this holds for what the backend received.
    pub async fn served_so(&self, forms: &mut Forms, form: &str, call: Call, (so, holds): (&str, impl Fn(&Arrived) -> bool)) {
        let before = self.arrived();
        let answer = self.client().send(call).await;
        forms.saw(form, &format!("{}; {so}", answer.told()), "200");
        let log = self.backend.log();
        forms.holds(form, matches!(&log.arrived[before..], [request] if holds(request)), so);
    }

    /// Sends bytes as they are; the first answer's status begins with `expected`, and the backend received nothing.
    pub async fn refused_raw(&self, forms: &mut Forms, form: &str, bytes: &[u8], expected: &str) -> String {
        let before = self.arrived();
        let answers = self.client().raw(bytes).await;
        forms.saw(form, &told(&answers), expected);
        forms.holds(form, self.arrived() == before, "the backend receives nothing");
        answers
    }
}

/// What the answers in a stream come down to: `400 BadRequest request.malformed`, or `closed` where there is none.
pub fn told(answers: &str) -> String {
    let all: Vec<String> = answers.split("HTTP/1.").skip(1).map(told_of_one).collect();
    if all.is_empty() { "closed".to_owned() } else { all.join(", then ") }
}

fn told_of_one(answer: &str) -> String {
    let between = |start: &str| answer.split_once(start).and_then(|(_, rest)| rest.split_once('"')).map_or("", |(value, _)| value);
    let (code, reason) = (between("\"error\":{\"code\":\""), between("\"reason\":\""));
    format!("{} {code} {reason}", answer.get(2..5).unwrap_or_default()).trim_end().to_owned()
}

/// A connection of each version of HTTP that stays open.
pub struct Kept {
    authority: String,
    h1: http1::SendRequest<Full<Bytes>>,
    h2: http2::SendRequest<Full<Bytes>>,
}

impl Kept {
    pub async fn open(client: &Client) -> Self {
        let stream = client.connect("localhost", b"http/1.1").await.unwrap();
        let (h1, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let stream = client.connect("localhost", b"h2").await.unwrap();
        let (h2, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { authority: client.authority().to_owned(), h1, h2 }
    }

    pub async fn over_h1(&mut self, call: Call) -> Answer {
        self.h1.ready().await.unwrap();
        let response = self.h1.send_request(call.request(Some(&self.authority))).await.unwrap();
        whole(response).await
    }

    pub async fn over_h2(&mut self, mut call: Call) -> Answer {
        call.target = format!("https://{}{}", self.authority, call.target);
        self.h2.ready().await.unwrap();
        let mut request = call.request(None);
        *request.version_mut() = Version::HTTP_2;
        whole(self.h2.send_request(request).await.unwrap()).await
    }

    /// What both are answered, if it is the same.
    pub async fn told(&mut self, call: Call) -> String {
        let [h1, h2] = [self.over_h1(call.clone()).await.told(), self.over_h2(call).await.told()];
        if h1 == h2 { h1 } else { format!("{h1} over HTTP/1.1, {h2} over HTTP/2") }
    }
}

async fn whole(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    Answer { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes() }
}
