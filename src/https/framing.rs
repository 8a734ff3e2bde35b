//! Finds requests with both `Content-Length` and `Transfer-Encoding`, which two programs may end at two places.
//!
//! The HTTP library drops the length, reads chunks and closes the connection afterwards, as RFC 9112 §6.1 permits; whoever
//! handles the request never sees that there were two. So the lines that begin with `Content-Length:` are counted as they
//! come in, and compared with those that were shown.
//!
//! Lines of bodies are counted as well. One that begins like this makes a later chunked request on the same connection look
//! ambiguous; that one is refused and the connection closed, which errs on the safe side and heals itself.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use hyper::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Stands in the extensions of a request whose framing two programs could read in two ways.
#[derive(Debug, Clone, Copy)]
pub struct AmbiguousFraming;

/// `Content-Length` lines of one connection.
#[derive(Debug, Default)]
pub(super) struct Lengths {
    received: AtomicUsize,
    shown: AtomicUsize,
}

impl Lengths {
    /// Whether this head, which came after all those that were judged before, had a length besides its transfer coding.
    pub(super) fn are_ambiguous(&self, headers: &HeaderMap) -> bool {
        let count = headers.get_all(CONTENT_LENGTH).iter().count();
        let shown = self.shown.fetch_add(count, Ordering::Relaxed) + count;
        headers.contains_key(TRANSFER_ENCODING) && self.received.load(Ordering::Relaxed) > shown
    }
}

/// A connection whose `Content-Length` lines are counted.
#[derive(Debug)]
pub(super) struct Counted<S> {
    stream: S,
    lines: Lines,
    lengths: Arc<Lengths>,
}

/// How much of the name the present line begins with; nothing when it begins with something else.
#[derive(Debug, Default)]
struct Lines(Option<usize>);

const NAME: &[u8] = b"content-length:";

impl Lines {
    /// How many lines that begin with the name have been completed by these bytes.
    fn count(&mut self, mut bytes: &[u8]) -> usize {
        let mut found = 0;
        while let Some((byte, rest)) = bytes.split_first() {
            match self.0 {
                // Most bytes are in the middle of a line: tokens and bodies are skipped as fast as memory is read.
                None => match memchr::memchr(b'\n', bytes).and_then(|end| bytes.get(end + 1..)) {
                    Some(next) => (self.0, bytes) = (Some(0), next),
                    None => return found,
                },
                Some(matched) if NAME.get(matched).is_some_and(|wanted| wanted.eq_ignore_ascii_case(byte)) => {
                    let is_whole = matched + 1 == NAME.len();
                    found += usize::from(is_whole);
                    (self.0, bytes) = ((!is_whole).then_some(matched + 1), rest);
                }
                Some(_other_line) => self.0 = None,
            }
        }
        found
    }
}

impl<S> Counted<S> {
    pub(super) fn new(stream: S, lengths: Arc<Lengths>) -> Self {
        Self { stream, lines: Lines::default(), lengths }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let found = this.lines.count(buffer.filled().get(before..).unwrap_or_default());
        if found > 0 {
            this.lengths.received.fetch_add(found, Ordering::Relaxed);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pieces: &[&str], expected: usize) {
        let mut lines = Lines::default();
        let found: usize = pieces.iter().map(|piece| lines.count(piece.as_bytes())).sum();
        assert_eq!(found, expected, "{pieces:?}");
    }

    #[test]
    fn lines_are_counted_in_any_case_and_across_reads() {
        check(&["PUT / HTTP/1.1\r\nContent-Length: 4\r\n\r\n"], 1);
        check(&["PUT / HTTP/1.1\r\nCONTENT-", "length", ":", "4\r\ncontent-LENGTH:5\n"], 2);
        check(&["PUT / HTTP/1.1\r\nX-Content-Length: 4\r\nContent-Lengths: 4\r\nContent-Length 4\r\n"], 0);
        check(&["content-length: not the first line, which is no field\r\n"], 0);
    }

    #[test]
    fn a_chunked_head_that_lost_its_length_is_ambiguous() {
        let lengths = Lengths::default();
        let plain = HeaderMap::from_iter([(CONTENT_LENGTH, "4".parse().unwrap())]);
        let chunked = HeaderMap::from_iter([(TRANSFER_ENCODING, "chunked".parse().unwrap())]);
        lengths.received.store(1, Ordering::Relaxed);
        assert!(!lengths.are_ambiguous(&plain));
        assert!(!lengths.are_ambiguous(&chunked), "the length was that of the request before");
        lengths.received.store(2, Ordering::Relaxed);
        assert!(lengths.are_ambiguous(&chunked));
    }
}
