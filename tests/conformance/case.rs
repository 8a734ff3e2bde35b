//! One case: what is said, and what has to come of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::common::backend::{Act, Backend, Front, json_answer};
use crate::common::client::Client;
use crate::common::installation::SHARED;
use crate::frames::{ACK, DATA, END_HEADERS, END_STREAM, HEADERS, Outcome, PING, PREFACE, SETTINGS, Talk, block, frame, settings};

/// What does not come within it does not come.
const WAIT: Duration = Duration::from_secs(10);
/// Cases that are tried at once.
const AT_ONCE: usize = 16;

/// One thing that a client does.
#[derive(Debug, Clone)]
pub enum Step {
    Say(Vec<u8>),
    /// Waits for the whole answer on this stream.
    Hear(u32),
    /// Waits for a piece of the answer on this stream, of this length.
    Piece(u32, usize),
}

/// What has to come of it.
#[derive(Debug, Clone)]
pub enum Must {
    /// An answer of success on this stream.
    Answer(u32),
    /// An answer of success, although the standard wants an error: what is wrong is dropped and goes no further.
    Overlook(u32),
    /// The connection ends, with one of these codes if one is told.
    End(&'static [&'static str]),
    /// The stream, or the connection, ends, with one of these codes if one is told.
    Reset(u32, &'static [&'static str]),
    /// The connection lives on: a ping is answered.
    Live,
    /// The connection lives on or ends in peace.
    LiveOrEnd,
    /// A frame of this kind with these flags and, if it is not empty, this payload.
    Hear(u8, u8, &'static [u8]),
    /// The first piece of the answer on this stream has this length.
    Piece(u32, usize),
}

/// A case, after the preface and settings of both sides unless it is bare.
#[derive(Debug, Clone)]
pub struct Case {
    name: &'static str,
    settings: Vec<(u16, u32)>,
    is_bare: bool,
    steps: Vec<Step>,
    must: Must,
}

impl Case {
    /// Says all of it at once.
    pub fn say(name: &'static str, frames: &[Vec<u8>], must: Must) -> Self {
        Self::steps(name, vec![Step::Say(frames.concat())], must)
    }

    pub const fn steps(name: &'static str, steps: Vec<Step>, must: Must) -> Self {
        Self { name, settings: Vec::new(), is_bare: false, steps, must }
    }

    pub fn with(self, settings: &[(u16, u32)]) -> Self {
        Self { settings: settings.to_vec(), ..self }
    }

    pub fn bare(self) -> Self {
        Self { is_bare: true, ..self }
    }

    async fn run(&self, client: &Client) -> Result<Heard, String> {
        let mut talk = Talk::connect(client).await;
        if !self.is_bare {
            let ours = [&[(1, 0)], self.settings.as_slice()].concat();
            talk.send(&[PREFACE, &settings(&ours)].concat()).await;
            talk.next_of(SETTINGS, ACK, WAIT).await.ok_or("the settings are not acknowledged")?;
            talk.send(&frame(SETTINGS, ACK, 0, &[])).await;
        }
        for step in &self.steps {
            match step {
                // Who is refused in the middle of it need not be able to say the rest.
                Step::Say(bytes) => drop(talk.send(bytes).await),
                Step::Hear(stream) => {
                    let outcome = talk.outcome(*stream, WAIT).await;
                    if !matches!(outcome, Outcome::Answer { .. }) {
                        return Err(format!("no answer on stream {stream}, but {outcome}"));
                    }
                }
                Step::Piece(stream, length) => hear_piece(&mut talk, *stream, *length).await?,
            }
        }
        self.must.check(&mut talk).await
    }
}

/// How a case that is in order came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// As the standard says.
    Exact,
    /// The connection was closed with the general `PROTOCOL_ERROR` in place of the code that the standard names.
    General,
    /// It should be an error, and is overlooked without harm.
    Overlooked,
}

/// Whether the code is one that is named, or the general one in its place.
fn heard(code: &str, codes: &[&str]) -> Option<Heard> {
    if codes.contains(&code) { Some(Heard::Exact) } else { (code == "PROTOCOL_ERROR").then_some(Heard::General) }
}

/// A piece of the answer on this stream, of this length.
async fn hear_piece(talk: &mut Talk, stream: u32, length: usize) -> Result<(), String> {
    let heard = talk.next_of(DATA, 0, WAIT).await;
    let is_it = heard.as_ref().is_some_and(|frame| frame.stream == stream && frame.payload.len() == length);
    if is_it { Ok(()) } else { Err(format!("no piece of {length} bytes, but {heard:?}")) }
}

impl Must {
    async fn check(&self, talk: &mut Talk) -> Result<Heard, String> {
        const ALIVE: &[u8] = b"is alive";
        let outcome = match self {
            Self::Answer(stream) | Self::Overlook(stream) => match talk.outcome(*stream, WAIT).await {
                Outcome::Answer { status: 200, .. } if matches!(self, Self::Overlook(_)) => return Ok(Heard::Overlooked),
                Outcome::Answer { status: 200, .. } => return Ok(Heard::Exact),
                other @ (Outcome::Answer { .. } | Outcome::Closed | Outcome::GoAway(_) | Outcome::Reset(_) | Outcome::Silent) => other,
            },
            Self::End(codes) | Self::Reset(_, codes) => {
                let stream = if let Self::Reset(stream, _) = self { *stream } else { 0 };
                match talk.fault(stream, WAIT).await {
                    Outcome::Closed => return Ok(Heard::Exact),
                    Outcome::Reset(code) if codes.contains(&code) => return Ok(Heard::Exact),
                    Outcome::GoAway(code) => {
                        let is_closed = talk.fault(0, WAIT).await == Outcome::Closed;
                        return heard(code, codes).filter(|_| is_closed).ok_or_else(|| format!("GOAWAY({code}), and closed: {is_closed}"));
                    }
                    other @ (Outcome::Answer { .. } | Outcome::Reset(_) | Outcome::Silent) => other,
                }
            }
            Self::Live | Self::LiveOrEnd => {
                let is_sent = talk.send(&frame(PING, 0, 0, ALIVE)).await;
                let answer = talk.next_of(PING, ACK, WAIT).await;
                let is_alive = is_sent && answer.is_some_and(|frame| frame.payload == ALIVE);
                let is_right = is_alive || matches!(self, Self::LiveOrEnd);
                return if is_right { Ok(Heard::Exact) } else { Err("the ping is not answered".to_owned()) };
            }
            Self::Hear(kind, flags, payload) => {
                let heard = talk.next_of(*kind, *flags, WAIT).await;
                let is_it = heard.as_ref().is_some_and(|frame| payload.is_empty() || frame.payload == *payload);
                return if is_it { Ok(Heard::Exact) } else { Err(format!("{heard:?}")) };
            }
            Self::Piece(stream, length) => return hear_piece(talk, *stream, *length).await.map(|()| Heard::Exact),
        };
        Err(outcome.to_string())
    }
}

/// The gateway under test and sound requests for it.
pub struct Gateway {
    pub front: Front,
    token: String,
}

impl Gateway {
    pub async fn start() -> Self {
        let backend = Backend::start(|_, _| Act::Answer(json_answer("200 OK", r#"{"is":"an answer of some length"}"#))).await;
        let front = Front::start("conformance", &format!("http://{}", backend.address), "").await;
        Self { front, token: SHARED.token("operator").await }
    }

    /// The fields of a request that is permitted.
    pub fn fields(&self, method: &str) -> Vec<(String, String)> {
        let path = format!("{}/resourceGroups/rg-web-prod?api-version=2024-07-01", SHARED.subscription("alder-prod"));
        let authorization = format!("Bearer {}", self.token);
        let fields = [
            (":method", method),
            (":scheme", "https"),
            (":path", &path),
            (":authority", self.front.client.authority()),
            ("authorization", &authorization),
            ("content-type", "application/octet-stream"),
        ];
        fields.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// These fields and more.
    pub fn with(&self, method: &str, more: &[(&str, &str)]) -> Vec<u8> {
        let mut fields = self.fields(method);
        fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        block(&fields)
    }

    /// These fields without those of this name.
    pub fn without(&self, name: &str) -> Vec<u8> {
        let mut fields = self.fields("GET");
        fields.retain(|(field, _)| field != name);
        block(&fields)
    }

    /// These fields and, before all of them, the one of this name once more.
    pub fn doubled(&self, name: &str) -> Vec<u8> {
        let mut fields = self.fields("GET");
        let again = fields.iter().find(|(field, _)| field == name).cloned().unwrap();
        fields.insert(0, again);
        block(&fields)
    }

    /// These fields, the one of this name with another value.
    pub fn changed(&self, name: &str, value: &str) -> Vec<u8> {
        let change = |(field, old): (String, String)| if field == name { (field, value.to_owned()) } else { (field, old) };
        block(&self.fields("GET").into_iter().map(change).collect::<Vec<_>>())
    }

    /// A whole request without a body.
    pub fn get(&self, stream: u32) -> Vec<u8> {
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &self.with("GET", &[]))
    }

    /// A request whose body follows. It is answered when the body has ended.
    pub fn put(&self, stream: u32) -> Vec<u8> {
        frame(HEADERS, END_HEADERS, stream, &self.with("PUT", &[]))
    }

    /// How each case came out, or what is wrong with it.
    pub async fn try_all(&self, cases: Vec<Case>) -> Vec<Result<Heard, String>> {
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut trying = JoinSet::new();
        for case in cases {
            let (client, turns) = (self.front.client.clone(), Arc::clone(&turns));
            trying.spawn(async move {
                let _turn = turns.acquire_owned().await.unwrap();
                let seen = case.run(&client).await;
                seen.map_err(|seen| format!("{}: {seen}; expected: {:?}", case.name, case.must))
            });
        }
        trying.join_all().await
    }
}

/// A piece of a body on this stream that ends it.
pub fn end(stream: u32) -> Vec<u8> {
    frame(DATA, END_STREAM, stream, b"body")
}
