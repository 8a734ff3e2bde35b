//! HTTP/2 frame by frame: what no library would send, and what comes back. Source: RFC 9113, RFC 7541.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::common::client::Client;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 0x1;
pub const ACK: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;
pub const WITH_PRIORITY: u8 = 0x20;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The names of error codes, by their number. Source: RFC 9113 §7.
const CODES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

fn code_name(code: u32) -> &'static str {
    CODES.get(code as usize).copied().unwrap_or("UNKNOWN")
}

#[derive(Debug, Clone)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    fn code_at(&self, at: usize) -> &'static str {
        self.payload.get(at..at + 4).map_or("cut", |code| code_name(u32::from_be_bytes(code.try_into().unwrap())))
    }
}

/// Source: RFC 9113 §4.1.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame_of_length(u32::try_from(payload.len()).unwrap(), kind, flags, stream, payload)
}

/// The same with a length that need not be true.
pub fn frame_of_length(length: u32, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub fn setting(id: u16, value: u32) -> Vec<u8> {
    [id.to_be_bytes().as_slice(), &value.to_be_bytes()].concat()
}

pub fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &settings.iter().flat_map(|(id, value)| setting(*id, *value)).collect::<Vec<u8>>())
}

pub fn reset(stream: u32) -> Vec<u8> {
    const CANCEL: u32 = 8;
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

pub fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

/// A number with a prefix of so many bits, under these upper bits. Source: RFC 7541 §5.1.
pub fn number(upper: u8, bits: u32, value: usize) -> Vec<u8> {
    let max = (1_usize << bits) - 1;
    if value < max {
        return vec![upper | u8::try_from(value).unwrap()];
    }
    let (mut bytes, mut rest) = (vec![upper | u8::try_from(max).unwrap()], value - max);
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 0x80);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// A field that no table takes up and nobody compressed. Source: RFC 7541 §6.2.2.
pub fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0], number(0, 7, name.len()).as_slice(), name, &number(0, 7, value.len()), value].concat()
}

pub fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name.as_ref(), value.as_ref())).collect()
}

/// What a stream, or a connection, came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An answer: its status, and what a refusal of ours names.
    Answer {
        status: u16,
        told: String,
    },
    Reset(&'static str),
    GoAway(&'static str),
    Closed,
    /// Nothing came in time.
    Silent,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer { told, .. } => f.write_str(told),
            Self::Reset(code) => write!(f, "RST_STREAM({code})"),
            Self::GoAway(code) => write!(f, "GOAWAY({code})"),
            Self::Closed => f.write_str("closed"),
            Self::Silent => f.write_str("nothing"),
        }
    }
}

/// `403 AuthorizationFailed role.action_missing`: what a refusal comes down to.
pub fn told(status: u16, body: &[u8]) -> String {
    let body = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let code = body["error"]["code"].as_str().unwrap_or_default();
    let reason = body["error"]["additionalInfo"][0]["info"]["reason"].as_str().unwrap_or_default();
    format!("{status} {code} {reason}").trim_end().to_owned()
}

/// A connection that speaks in frames.
pub struct Talk {
    pub stream: TlsStream<TcpStream>,
}

impl Talk {
    /// A connection on which nothing was said.
    pub async fn connect(client: &Client) -> Self {
        Self { stream: client.connect("localhost", b"h2").await.unwrap() }
    }

    /// A connection after the preface, whose peer compresses with no table of its own, so that every answer can be read by itself.
    pub async fn open(client: &Client) -> Self {
        Self::open_with(client, &[]).await
    }

    pub async fn open_with(client: &Client, more: &[(u16, u32)]) -> Self {
        const HEADER_TABLE_SIZE: u16 = 1;
        let mut talk = Self::connect(client).await;
        let ours = [&[(HEADER_TABLE_SIZE, 0)], more].concat();
        assert!(talk.send(&[PREFACE, &settings(&ours)].concat()).await, "the preface can be sent");
        talk
    }

    /// Sends bytes. `false` when the peer does not take them any more.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok() && self.stream.flush().await.is_ok()
    }

    /// The next frame; none at the end of the connection.
    pub async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, s @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind, flags, stream: u32::from_be_bytes(s) & 0x7fff_ffff, payload })
    }

    /// The next frame of this kind that is no acknowledgement; none when the connection ends or nothing comes in time.
    pub async fn next_of(&mut self, kind: u8, flags: u8, within: Duration) -> Option<Frame> {
        let wanted = async {
            loop {
                let frame = self.next().await?;
                if frame.kind == kind && frame.flags & flags == flags {
                    return Some(frame);
                }
            }
        };
        timeout(within, wanted).await.ok().flatten()
    }

    /// What becomes of this stream, or of the connection before it.
    pub async fn outcome(&mut self, stream: u32, within: Duration) -> Outcome {
        timeout(within, self.outcome_of(stream)).await.unwrap_or(Outcome::Silent)
    }

    /// What ends this stream, or the connection, by an error. Answers and streams that are closed for no reason do not.
    pub async fn fault(&mut self, stream: u32, within: Duration) -> Outcome {
        let fault = async {
            loop {
                match self.outcome_of(stream).await {
                    Outcome::Answer { .. } | Outcome::Reset("NO_ERROR") => {}
                    other @ (Outcome::Closed | Outcome::GoAway(_) | Outcome::Reset(_) | Outcome::Silent) => return other,
                }
            }
        };
        timeout(within, fault).await.unwrap_or(Outcome::Silent)
    }

    async fn outcome_of(&mut self, stream: u32) -> Outcome {
        let (mut status, mut body) = (None, Vec::new());
        loop {
            let Some(frame) = self.next().await else { return Outcome::Closed };
            let is_ours = frame.stream == stream;
            match frame.kind {
                SETTINGS if frame.flags & ACK == 0 => {
                    // A peer that closes meanwhile says so to the next read.
                    let _sent = self.send(&frame_of_length(0, SETTINGS, ACK, 0, &[])).await;
                }
                HEADERS if is_ours => status = status.or_else(|| status_of(&frame.payload)),
                DATA if is_ours => body.extend_from_slice(&frame.payload),
                RST_STREAM if is_ours => return Outcome::Reset(frame.code_at(0)),
                GOAWAY => return Outcome::GoAway(frame.code_at(4)),
                _ => {}
            }
            if let (Some(status), true) = (status, is_ours && matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0) {
                return Outcome::Answer { status, told: told(status, &body) };
            }
        }
    }
}

/// The status that a block of fields begins with: from the static table, or three digits in Huffman's code. Source: RFC 7541, appendices A and B.
fn status_of(block: &[u8]) -> Option<u16> {
    // Changes of the table's size come first.
    let at = block.iter().position(|byte| byte & 0xe0 != 0x20)?;
    let (first, rest) = block[at..].split_first()?;
    if let Some(index) = first.checked_sub(0x88) {
        return [200, 204, 206, 304, 400, 404, 500].get(usize::from(index)).copied();
    }
    let (length, digits) = rest.split_first()?;
    let digits = digits.get(..usize::from(length & 0x7f))?;
    if length & 0x80 == 0 {
        return std::str::from_utf8(digits).ok()?.parse().ok();
    }
    let bits: String = digits.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut rest, mut status) = (bits.as_str(), 0);
    for _ in 0..3 {
        let short = u16::from_str_radix(rest.get(..5)?, 2).ok()?;
        let (length, digit) = if short <= 2 { (5, short) } else { (6, u16::from_str_radix(rest.get(..6)?, 2).ok()? - 22) };
        rest = rest.get(length..)?;
        status = status * 10 + digit;
    }
    Some(status)
}
