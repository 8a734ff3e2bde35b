//! The origin behind every contender: canned answers, and bodies that are read and forgotten. It understands just as much HTTP/1.1 as
//! proxies speak to it, for what it costs is taken from those that are measured.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Outcome, listener};

/// Bytes of the answer to an ordinary `GET`, as a virtual machine of the management plane has.
pub const ANSWER_BYTES: usize = 2048;
/// Bytes of the large download.
pub const DOWNLOAD_BYTES: usize = 64 << 20;
/// A path with this in it is answered with the large download.
pub const DOWNLOAD_MARK: &str = "down64m";

const HEAD_BYTES_MAX: usize = 64 << 10;
const PIECE_BYTES: usize = 256 << 10;

pub fn run(listen: SocketAddr) -> Outcome<()> {
    listener::serve(listen, 0, async |stream| drop(connection(stream).await))
}

/// The JSON that is answered to an ordinary `GET`.
pub fn answer() -> String {
    let frame =
        r#"{"name":"vm-1","type":"Microsoft.Compute/virtualMachines","properties":{"provisioningState":"Succeeded","userData":""}}"#;
    let filling = "steward-".repeat(ANSWER_BYTES / 8 + 1);
    let (before, after) = frame.split_at(frame.len() - 3);
    let filled: String = filling.chars().take(ANSWER_BYTES - frame.len()).collect();
    format!("{before}{filled}{after}")
}

async fn connection(mut stream: TcpStream) -> Outcome<()> {
    let ok = |length: usize| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {length}\r\nx-ms-request-id: 00000000-0000-4000-8000-000000000001\r\nCache-Control: no-cache\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\n\r\n"
        )
    };
    let get = format!("{}{}", ok(ANSWER_BYTES), answer()).into_bytes();
    let put = format!("{}{{}}", ok(2)).into_bytes();
    let download = ok(DOWNLOAD_BYTES).into_bytes();
    let mut buffer = Vec::with_capacity(8 << 10);
    loop {
        let Some(head) = head(&mut stream, &mut buffer).await? else { return Ok(()) };
        match head.method {
            Method::Get => stream.write_all(&get).await?,
            Method::GetLarge => {
                stream.write_all(&download).await?;
                send_large(&mut stream).await?;
            }
            Method::WithBody => {
                read_body(&mut stream, &mut buffer, head.body_bytes).await?;
                stream.write_all(&put).await?;
            }
        }
    }
}

enum Method {
    Get,
    GetLarge,
    WithBody,
}

struct Head {
    method: Method,
    body_bytes: usize,
}

/// The next head; `None` when the connection was closed between two requests.
async fn head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Outcome<Option<Head>> {
    loop {
        if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let rest = buffer.split_off(end + 4);
            let head = std::mem::replace(buffer, rest);
            return understood(std::str::from_utf8(&head)?).map(Some);
        }
        if buffer.len() > HEAD_BYTES_MAX {
            return Err("the head of a request is too large".into());
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn understood(head: &str) -> Outcome<Head> {
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    if first.starts_with("GET ") {
        let method = if first.contains(DOWNLOAD_MARK) { Method::GetLarge } else { Method::Get };
        return Ok(Head { method, body_bytes: 0 });
    }
    let fields = lines.filter_map(|line| line.split_once(": "));
    let length = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, value)| value.parse()).next();
    Ok(Head { method: Method::WithBody, body_bytes: length.unwrap_or(Ok(0))? })
}

async fn read_body(stream: &mut TcpStream, buffer: &mut Vec<u8>, bytes: usize) -> Outcome<()> {
    let mut left = bytes.saturating_sub(buffer.len());
    drop(buffer.drain(..bytes.min(buffer.len())));
    let mut piece = vec![0; PIECE_BYTES.min(left)];
    while left > 0 {
        let wanted = piece.get_mut(..PIECE_BYTES.min(left)).unwrap_or_default();
        match stream.read(wanted).await? {
            0 => return Err("the body ended too early".into()),
            read => left -= read,
        }
    }
    Ok(())
}

async fn send_large(stream: &mut TcpStream) -> Outcome<()> {
    let piece = vec![b'.'; PIECE_BYTES];
    for _ in 0..DOWNLOAD_BYTES / PIECE_BYTES {
        stream.write_all(&piece).await?;
    }
    Ok(())
}
