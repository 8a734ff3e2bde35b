//! How requests of HTTP/1.1 are framed: what the library hands over and the gateway does not refuse has one reading.
//!
//! The first byte says in which pieces the rest comes.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use steward::fuzzing;
use steward::https::AmbiguousFraming;

/// As the gateway reads.
const READ_BYTES_MAX: usize = 408 * 1024;

/// Digits of a length that the gateway takes. Source: `pipeline::classify`.
const LENGTH_DIGITS_MAX: usize = 18;

/// Turns of a connection that has all of its bytes at hand; more means that it waits for nothing.
const TURNS_MAX: usize = 100_000;

pub(super) fn run(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else { return };
    let size = if *size == 0 { bytes.len().max(1) } else { usize::from(*size) };
    let found = fuzzing::heads([bytes]);
    assert_eq!(fuzzing::heads(bytes.chunks(1)), found, "byte by byte");
    assert_eq!(fuzzing::heads(bytes.chunks(size)), found, "in pieces of {size}");
    let handled = handled(bytes, size, &found);
    for reader in READERS {
        let read = reader.read(bytes);
        for (number, body) in handled.iter().enumerate() {
            let other = read.get(number);
            assert_eq!(other, Some(body), "request {number} has another reading: {reader:?}");
        }
    }
}

/// The bodies of requests that are handled whole, up to the first that is refused.
fn handled(bytes: &[u8], size: usize, found: &[Option<AmbiguousFraming>]) -> Vec<Vec<u8>> {
    let bodies: Rc<RefCell<Vec<Vec<u8>>>> = Rc::default();
    let (kept, number) = (Rc::clone(&bodies), RefCell::new(0_usize));
    let service = service_fn(|request: Request<Incoming>| {
        let head = found.get(number.replace_with(|number| *number + 1)).copied().unwrap_or(Some(AmbiguousFraming::Unread));
        let is_refused = head.is_some() || is_odd(&request);
        let kept = Rc::clone(&kept);
        async move {
            let mut response = Response::new(Empty::<Bytes>::new());
            match request.into_body().collect().await {
                Ok(whole) if !is_refused => kept.borrow_mut().push(whole.to_bytes().to_vec()),
                Ok(_) | Err(_) => {
                    response.headers_mut().insert("connection", "close".parse().expect("a value"));
                }
            }
            Ok::<_, Infallible>(response)
        }
    });
    let pieces = Pieces { bytes: bytes.to_vec(), at: 0, size };
    let mut served = pin!(http1::Builder::new().max_buf_size(READ_BYTES_MAX).serve_connection(pieces, service));
    let mut context = Context::from_waker(Waker::noop());
    let ended = (0..TURNS_MAX).any(|_| served.as_mut().poll(&mut context).is_ready());
    assert!(ended, "a connection that has all of its bytes goes on for ever");
    bodies.take()
}

/// What the gateway refuses of the framing that the library lets through. Source: `pipeline::classify`.
fn is_odd(request: &Request<Incoming>) -> bool {
    let headers = request.headers();
    let codings: Vec<_> = headers.get_all("transfer-encoding").iter().collect();
    let plain = match codings.as_slice() {
        [] => true,
        [coding] => coding.as_bytes().eq_ignore_ascii_case(b"chunked") && request.version() == Version::HTTP_11,
        _ => false,
    };
    let lengths = headers.get_all("content-length").iter().count();
    let has_long_length = headers.get("content-length").is_some_and(|length| length.len() > LENGTH_DIGITS_MAX);
    !plain
        || lengths > 1
        || has_long_length
        || headers.contains_key("trailer")
        || headers.contains_key("upgrade")
        || headers.contains_key("expect")
}

/// A connection that has come in and takes whatever is written.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    size: usize,
}

impl Read for Pieces {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<std::io::Result<()>> {
        let left = self.bytes.get(self.at..).unwrap_or_default();
        let piece = left.get(..left.len().min(self.size).min(buffer.remaining())).unwrap_or_default();
        buffer.put_slice(piece);
        let length = piece.len();
        self.at += length;
        Poll::Ready(Ok(()))
    }
}

impl Write for Pieces {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Another program on the way, and what it prefers where RFC 9112 was not followed.
#[derive(Debug, Clone, Copy)]
struct Reader {
    /// A line ends with a line feed, whatever stands before it; otherwise with both.
    bare_line_feed: bool,
    /// With a length and a coding, the length counts.
    length_first: bool,
    /// Of two lengths the last counts.
    last_length: bool,
}

const READERS: [Reader; 5] = [
    Reader { bare_line_feed: false, length_first: false, last_length: false },
    Reader { bare_line_feed: true, length_first: false, last_length: false },
    Reader { bare_line_feed: false, length_first: true, last_length: false },
    Reader { bare_line_feed: false, length_first: false, last_length: true },
    Reader { bare_line_feed: true, length_first: true, last_length: true },
];

impl Reader {
    /// The bodies of the requests that it reads whole.
    fn read(self, mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut bodies = Vec::new();
        while let Some((body, rest)) = self.request(bytes) {
            bodies.push(body);
            bytes = rest;
        }
        bodies
    }

    fn line(self, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
        let end = if self.bare_line_feed {
            bytes.iter().position(|byte| *byte == b'\n')? + 1
        } else {
            bytes.windows(2).position(|pair| pair == b"\r\n")? + 2
        };
        let (line, rest) = bytes.split_at_checked(end)?;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        Some((line.strip_suffix(b"\r").unwrap_or(line), rest))
    }

    fn request(self, mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
        let mut first = b"".as_slice();
        while first.is_empty() {
            (first, bytes) = self.line(bytes)?;
        }
        let (mut lengths, mut is_chunked) = (Vec::new(), false);
        loop {
            let (line, rest) = self.line(bytes)?;
            bytes = rest;
            if line.is_empty() {
                break;
            }
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at_checked(colon)?;
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            if name.trim_ascii().eq_ignore_ascii_case(b"content-length") {
                lengths.push(std::str::from_utf8(value).ok()?.parse::<u64>().ok()?);
            }
            is_chunked |= name.trim_ascii().eq_ignore_ascii_case(b"transfer-encoding");
        }
        let length = if self.last_length { lengths.last() } else { lengths.first() };
        match length.filter(|_| !is_chunked || self.length_first) {
            Some(length) => {
                let (body, rest) = bytes.split_at_checked(usize::try_from(*length).ok()?)?;
                Some((body.to_vec(), rest))
            }
            None if is_chunked => self.chunks(bytes),
            None => Some((Vec::new(), bytes)),
        }
    }

    fn chunks(self, mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
        let mut body = Vec::new();
        loop {
            let (line, rest) = self.line(bytes)?;
            let size = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
            bytes = rest;
            if size == 0 {
                break;
            }
            let (chunk, rest) = bytes.split_at_checked(size)?;
            body.extend_from_slice(chunk);
            let (nothing, rest) = self.line(rest)?;
            bytes = rest;
            if !nothing.is_empty() {
                return None;
            }
        }
        loop {
            let (trailer, rest) = self.line(bytes)?;
            bytes = rest;
            if trailer.is_empty() {
                return Some((body, bytes));
            }
        }
    }
}
