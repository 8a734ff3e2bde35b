//! A gateway before a backend that takes everything, and bytes for it as nobody else would send them.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::common::backend::{Act, Arrived, Backend, Front, json_answer};
use crate::common::client::PATIENCE;
use crate::common::installation::SHARED;
use crate::frames::told;

pub const V: &str = "api-version=2024-07-01";

/// What the gateway of these tests waits for a body that stands still.
pub const IDLE: Duration = Duration::from_millis(1500);

/// A gateway of its own, and what reached its backend.
pub struct Line {
    pub front: Front,
    pub backend: Backend,
    /// May read and write in `alder-prod`.
    pub operator: String,
    /// May read in `alder-prod`, and in `granite-main/rg-backup` alone.
    pub reader: String,
}

impl Line {
    pub async fn start(name: &str) -> Self {
        let backend = Backend::start(|_, _| Act::Answer(json_answer("200 OK", "{}"))).await;
        let limits = format!("[limits]\nbody_idle_time_ms_max = {}\n", IDLE.as_millis());
        let front = Front::start(name, &format!("http://{}", backend.address), &limits).await;
        Self { front, backend, operator: SHARED.token("operator").await, reader: SHARED.token("reader").await }
    }

    pub fn host(&self) -> &str {
        self.front.client.authority()
    }

    /// What arrived whose request line holds this.
    pub fn arrived(&self, tag: &str) -> Vec<Arrived> {
        let is_it = |arrived: &Arrived| arrived.head.lines().next().is_some_and(|line| line.contains(tag));
        self.backend.log().arrived.into_iter().filter(is_it).collect()
    }

    /// Sends bytes over HTTP/1.1 and gives the answers that come until the gateway closes. A client that `leaves` says so behind its last byte.
    pub async fn say(&self, bytes: &[u8], leaves: bool) -> Vec<Reply> {
        let mut stream = self.front.client.connect("localhost", b"http/1.1").await.unwrap();
        let said = async {
            // A gateway that closes before it has read everything has answered all the same.
            let _sent = stream.write_all(bytes).await.is_ok() && stream.flush().await.is_ok();
            if leaves {
                let _closed = stream.shutdown().await.is_ok();
            }
            let mut answers = Vec::new();
            let _ended = stream.read_to_end(&mut answers).await.is_ok();
            answers
        };
        replies(&timeout(PATIENCE, said).await.expect("the connection ends in time"))
    }
}

/// One answer among those on a connection.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    /// `400 BadRequest request.malformed`.
    pub told: String,
}

/// Answers, one behind the other. Bytes that are none fail the test: whatever a client sends, it is answered in HTTP.
pub fn replies(mut bytes: &[u8]) -> Vec<Reply> {
    let mut replies = Vec::new();
    while !bytes.is_empty() {
        let end = find(bytes, b"\r\n\r\n").unwrap_or_else(|| panic!("no answer: {:?}", String::from_utf8_lossy(bytes)));
        let head = std::str::from_utf8(&bytes[..end]).unwrap().to_owned();
        let status = head.strip_prefix("HTTP/1.1 ").or_else(|| head.strip_prefix("HTTP/1.0 ")).unwrap_or_else(|| panic!("{head:?}"));
        let status: u16 = status.get(..3).unwrap().parse().unwrap();
        let field =
            |name: &str| head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix(name).map(|value| value.trim().to_owned()));
        let rest = &bytes[end + 4..];
        let length = match field("content-length:") {
            // An answer to HEAD tells a length and has no body.
            _ if status < 200 || rest.starts_with(b"HTTP/1.1 ") => 0,
            Some(length) => length.parse().unwrap(),
            None => find(rest, b"0\r\n\r\n").map_or(0, |end| end + 5),
        };
        let body = &rest[..length.min(rest.len())];
        replies.push(Reply { status, told: told(status, body) });
        bytes = &rest[body.len()..];
    }
    replies
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// As the backend tells it.
pub fn sha256(body: &[u8]) -> String {
    digest(&SHA256, body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes from a text whose characters stand for one byte each.
pub fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect()
}
