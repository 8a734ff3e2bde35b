//! Reads along how requests of HTTP/1.1 are framed, and finds those that two programs may end at two places.
//!
//! The HTTP library takes what RFC 9112 allows a server to take: of a length and a transfer coding it drops the length, of two equal lengths one,
//! and a line may end without a carriage return. Of a target it drops what stands behind `#`. Whoever handles the request never sees that. So heads are read here as they come in, and the
//! bodies between them are skipped by the same rules that the library has. Where those rules end, so does the reading: the library refuses what
//! comes there and closes the connection.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::patience::Patience;

/// Stands in the extensions of a request whose framing two programs could read in two ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmbiguousFraming {
    /// A line of the head ends without a carriage return.
    BareLineFeed,
    /// A `#` in the target, where some end it and others read on.
    Fragment,
    /// `Content-Length` and `Transfer-Encoding`.
    LengthAndCoding,
    /// More than one `Content-Length`.
    TwoLengths,
    /// Somewhere before it the library read on where this module does not.
    Unread,
}

/// Heads that came in and were not handled yet: more are not looked at, and refused when they are handled.
const WAITING_MAX: usize = 1024;

/// What was found of the heads that came in and were not handled yet.
#[derive(Debug, Default)]
#[expect(clippy::disallowed_types, reason = "held for a push or a pop by one connection's task, never across an await")]
pub(super) struct Heads(std::sync::Mutex<VecDeque<Option<AmbiguousFraming>>>);

impl Heads {
    /// Whether there was room for it.
    fn push(&self, found: Option<AmbiguousFraming>) -> bool {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = waiting.len() < WAITING_MAX;
        if has_room {
            waiting.push_back(found);
        }
        has_room
    }

    /// What was found of the next head that is handled. All of it came in before: where nothing is known of it, the reading was lost.
    pub(super) fn next(&self) -> Option<AmbiguousFraming> {
        let next = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        next.unwrap_or(Some(AmbiguousFraming::Unread))
    }
}

/// A connection whose heads are read along, and have to come in time once they have begun.
#[derive(Debug)]
pub(super) struct ReadAlong<S> {
    stream: S,
    /// None where the protocol has frames of its own.
    reading: Option<Reading>,
}

#[derive(Debug)]
struct Reading {
    reader: Reader,
    heads: Arc<Heads>,
    /// For a head, from its first byte on. What the library waits before that is for it to say.
    patience: Patience,
}

impl<S> ReadAlong<S> {
    /// Heads are read along and put here; each may be waited for so long in all.
    pub(super) fn new(stream: S, heads: Arc<Heads>, head_time_max: Duration) -> Self {
        Self { stream, reading: Some(Reading { reader: Reader::default(), heads, patience: Patience::in_all(head_time_max) }) }
    }

    /// Nothing is read along.
    pub(super) const fn not(stream: S) -> Self {
        Self { stream, reading: None }
    }
}

impl Reading {
    /// Takes what has come, or judges the wait for it.
    fn read(&mut self, cx: &mut Context<'_>, has_come: bool, bytes: &[u8]) -> Poll<()> {
        let Self { reader, heads, patience } = self;
        if !has_come {
            return if reader.is_within_head() { patience.poll_over(cx) } else { Poll::Pending };
        }
        let mut has_ended = false;
        reader.take(bytes, |found| {
            has_ended = true;
            heads.push(found)
        });
        if has_ended {
            patience.renew();
        } else {
            patience.moved(bytes.len() as u64);
        }
        Poll::Ready(())
    }
}

/// So much of a line decides what it says of framing: a name, a colon and a number that is not too large.
const LINE_KEPT: usize = 40;

/// The beginning of the present line.
#[derive(Debug)]
struct Line {
    kept: [u8; LINE_KEPT],
    length: usize,
    last: u8,
}

impl Default for Line {
    fn default() -> Self {
        Self { kept: [0; LINE_KEPT], length: 0, last: 0 }
    }
}

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        let room = self.kept.get_mut(self.length..).unwrap_or_default();
        for (place, byte) in room.iter_mut().zip(bytes) {
            *place = *byte;
        }
        self.length = self.length.saturating_add(bytes.len());
        self.last = bytes.last().copied().unwrap_or(self.last);
    }

    fn ends_with_carriage_return(&self) -> bool {
        self.last == b'\r'
    }

    /// Without its carriage return; cut.
    fn text(&self) -> &[u8] {
        let length = self.length - usize::from(self.ends_with_carriage_return());
        self.kept.get(..length.min(LINE_KEPT)).unwrap_or_default()
    }

    const fn is_cut(&self) -> bool {
        self.length > LINE_KEPT
    }

    /// What stands behind the name of a field.
    fn field(&self, name: &[u8]) -> Option<&[u8]> {
        let (begun, rest) = self.text().split_at_checked(name.len())?;
        let value = rest.strip_prefix(b":")?;
        begun.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    }
}

/// Where in a head the reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    /// In the first line, or before it.
    Method,
    /// In the first line, behind its first blank.
    Target,
    /// Behind the first line.
    Fields,
}

/// What the lines of a head have said so far.
#[derive(Debug)]
struct Head {
    reached: Reached,
    has_fragment: bool,
    lengths: u16,
    /// Of the last such line; none when it cannot be read.
    length: Option<u64>,
    has_coding: bool,
    has_bare_line_feed: bool,
}

impl Default for Head {
    fn default() -> Self {
        Self { reached: Reached::Method, has_fragment: false, lengths: 0, length: Some(0), has_coding: false, has_bare_line_feed: false }
    }
}

impl Head {
    fn found(&self) -> Option<AmbiguousFraming> {
        match self {
            Self { has_coding: true, lengths: 1.., .. } => Some(AmbiguousFraming::LengthAndCoding),
            Self { lengths: 2.., .. } => Some(AmbiguousFraming::TwoLengths),
            Self { has_bare_line_feed: true, .. } => Some(AmbiguousFraming::BareLineFeed),
            Self { has_fragment: true, .. } => Some(AmbiguousFraming::Fragment),
            _ => None,
        }
    }

    /// Looks for a fragment in the first line. The name of a method may hold a `#` as well. Source: RFC 9110 §5.6.2.
    fn look_for_fragment(&mut self, bytes: &[u8]) {
        let target = match self.reached {
            Reached::Method => memchr::memchr(b' ', bytes).and_then(|end| bytes.get(end..)),
            Reached::Target => Some(bytes),
            Reached::Fields => None,
        };
        let Some(target) = target else { return };
        self.reached = Reached::Target;
        self.has_fragment |= memchr::memchr(b'#', target).is_some();
    }
}

/// What the next bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    #[default]
    Head,
    /// So many bytes of a body or a chunk; which of the two follows from what has to come after it.
    Data { left: u64, is_chunk: bool },
    /// The line with the size of a chunk.
    ChunkSize,
    /// The empty line behind a chunk.
    ChunkEnd,
    /// The lines behind the last chunk.
    Trailers,
    /// What no server reads on from.
    Lost,
}

#[derive(Debug, Default)]
struct Reader {
    place: Place,
    line: Line,
    head: Head,
}

impl Reader {
    /// Whether a head has begun and not ended. Empty lines before it do not begin it.
    const fn is_within_head(&self) -> bool {
        matches!(self.place, Place::Head) && (matches!(self.head.reached, Reached::Fields) || self.line.length > 0)
    }

    /// Takes these bytes, and tells what was found of every head that ends in them.
    fn take(&mut self, mut bytes: &[u8], mut found: impl FnMut(Option<AmbiguousFraming>) -> bool) {
        while !bytes.is_empty() {
            match self.place {
                Place::Lost => return,
                Place::Data { left, is_chunk } => {
                    let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = bytes.get(skipped..).unwrap_or_default();
                    self.place = match (left - skipped as u64, is_chunk) {
                        (0, true) => Place::ChunkEnd,
                        (0, false) => Place::Head,
                        (left, is_chunk) => Place::Data { left, is_chunk },
                    };
                }
                Place::Head | Place::ChunkSize | Place::ChunkEnd | Place::Trailers => {
                    let Some(end) = memchr::memchr(b'\n', bytes) else { return self.push(bytes) };
                    self.push(bytes.get(..end).unwrap_or_default());
                    bytes = bytes.get(end + 1..).unwrap_or_default();
                    let line = std::mem::take(&mut self.line);
                    self.place = self.behind(&line, &mut found);
                }
            }
        }
    }

    /// Takes bytes of the present line.
    fn push(&mut self, bytes: &[u8]) {
        if self.place == Place::Head {
            self.head.look_for_fragment(bytes);
        }
        self.line.push(bytes);
    }

    /// What comes behind a line that has ended.
    fn behind(&mut self, line: &Line, found: &mut impl FnMut(Option<AmbiguousFraming>) -> bool) -> Place {
        let is_empty = line.text().is_empty() && !line.is_cut();
        match self.place {
            Place::Head if is_empty && self.head.reached == Reached::Fields => {
                self.head.has_bare_line_feed |= !line.ends_with_carriage_return();
                let head = std::mem::take(&mut self.head);
                match (found(head.found()), head) {
                    (false, _) => Place::Lost,
                    (true, Head { has_coding: true, .. }) => Place::ChunkSize,
                    (true, Head { length: None, .. }) => Place::Lost,
                    (true, Head { length: Some(0), .. }) => Place::Head,
                    (true, Head { length: Some(left), .. }) => Place::Data { left, is_chunk: false },
                }
            }
            // Within a body the library ends no line without a carriage return.
            Place::ChunkSize | Place::ChunkEnd | Place::Trailers if !line.ends_with_carriage_return() => Place::Lost,
            // Empty lines before a request are skipped. Source: RFC 9112 §2.2. One that is a line feed alone is no line to others, who take it for
            // the beginning of the request.
            Place::Head if is_empty => {
                self.head.has_bare_line_feed |= !line.ends_with_carriage_return();
                Place::Head
            }
            Place::Head => self.head_behind(line),
            Place::ChunkSize => match chunk_size(line) {
                Some(0) => Place::Trailers,
                Some(left) => Place::Data { left, is_chunk: true },
                None => Place::Lost,
            },
            Place::ChunkEnd if is_empty => Place::ChunkSize,
            Place::Trailers if is_empty => Place::Head,
            Place::Trailers => Place::Trailers,
            Place::ChunkEnd | Place::Data { .. } | Place::Lost => Place::Lost,
        }
    }

    fn head_behind(&mut self, line: &Line) -> Place {
        self.head.has_bare_line_feed |= !line.ends_with_carriage_return();
        if std::mem::replace(&mut self.head.reached, Reached::Fields) != Reached::Fields {
            return Place::Head;
        }
        if let Some(value) = line.field(b"content-length") {
            let digits = std::str::from_utf8(value).ok().filter(|_| !line.is_cut());
            self.head.length = digits.and_then(|digits| digits.parse().ok());
            self.head.lengths = self.head.lengths.saturating_add(1);
        }
        self.head.has_coding |= line.field(b"transfer-encoding").is_some();
        Place::Head
    }
}

/// What is found of the heads in bytes that come in these pieces.
pub(crate) fn heads_in<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<Option<AmbiguousFraming>> {
    let (mut reader, mut found) = (Reader::default(), Vec::new());
    for piece in pieces {
        reader.take(piece, |head| {
            found.push(head);
            true
        });
    }
    found
}

/// The number that a chunk begins with. Source: RFC 9112 §7.1.
fn chunk_size(line: &Line) -> Option<u64> {
    let is_cut = line.is_cut();
    let line = line.text();
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, rest) = line.split_at_checked(digits)?;
    let is_ended = match rest.first() {
        None => !is_cut,
        Some(byte) => matches!(byte, b' ' | b'\t' | b';'),
    };
    let digits = std::str::from_utf8(digits).ok().filter(|_| is_ended)?;
    u64::from_str_radix(digits, 16).ok()
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAlong<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let Some(reading) = &mut this.reading else { return polled };
        let bytes = buffer.filled().get(before..).unwrap_or_default();
        match (reading.read(cx, polled.is_ready(), bytes), polled) {
            (Poll::Ready(()), Poll::Pending) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            (_, polled) => polled,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAlong<S> {
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
    use super::AmbiguousFraming::*;
    use super::*;

    /// Whatever pieces the bytes come in, the same is found.
    #[track_caller]
    fn check(text: &str, expected: &[Option<AmbiguousFraming>]) {
        for size in [1, 2, 3, 7, 64, text.len()] {
            assert_eq!(heads_in(text.as_bytes().chunks(size)), expected, "{text:?} in pieces of {size}");
        }
    }

    #[test]
    fn a_head_that_can_be_ended_in_two_ways_is_found() {
        check("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd", &[None]);
        check("PUT / HTTP/1.1\r\nContent-Length: 4\r\ncontent-LENGTH:  4 \r\n\r\nabcd", &[Some(TwoLengths)]);
        check("PUT / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", &[Some(LengthAndCoding)]);
        check("PUT / HTTP/1.1\r\ntransfer-encoding:chunked\r\nCONTENT-LENGTH:4\r\n\r\n0\r\n\r\n", &[Some(LengthAndCoding)]);
        check("GET / HTTP/1.1\r\nX-Content-Length: 4\r\nContent-Lengths: 4\r\n\r\n", &[None]);
        for bare in ["GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\n"] {
            check(bare, &[Some(BareLineFeed)]);
        }
        for before in ["\n", "\r\n\n", "\n\r\n"] {
            check(&format!("{before}GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n"), &[Some(BareLineFeed), None]);
        }
        check("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", &[None]);
        check("content-length: 9\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n", &[None, None]);
    }

    #[test]
    fn a_fragment_in_a_target_is_found() {
        for target in ["/a#", "/a#b", "#", "/?q#/../b", "http://a/b#c", "/a #b", "//a#?x=1"] {
            check(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n"), &[Some(Fragment), None]);
        }
        check(&format!("\r\nGET /{}#b HTTP/1.1\r\n\r\n", "a".repeat(1_000)), &[Some(Fragment)]);
        // It stands for itself in the name of a method, in a field and in a body.
        let others = "A#B / HTTP/1.1\r\nHost: a#b\r\nX: # #\r\nContent-Length: 4\r\n\r\n# #\nGET /%23 HTTP/1.1\r\n\r\n";
        check(others, &[None, None]);
    }

    #[test]
    fn what_stands_in_a_body_is_no_head() {
        let lines = "Content-Length: 4\r\n\r\nContent-Length: 4\n\n";
        let length = lines.len();
        check(&format!("PUT / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{lines}GET / HTTP/1.1\r\n\r\n"), &[None, None]);
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunk = format!("{length:x};name=value\r\n{lines}\r\n0\r\nContent-Length: 4\r\n\r\n");
        let ambiguous = "PUT / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n";
        check(&format!("{chunked}{chunk}\r\n{chunked}{chunk}{ambiguous}"), &[None, None, Some(TwoLengths)]);
    }

    #[test]
    fn where_the_reading_is_lost_nothing_is_found() {
        let behind = "GET / HTTP/1.1\r\n\r\n";
        for lost in ["Content-Length: 4x", "Content-Length: 18446744073709551616", "Content-Length: -1", "Content-Length: 4, 4"] {
            check(&format!("PUT / HTTP/1.1\r\n{lost}\r\n\r\n{behind}"), &[None]);
        }
        let zeros = "0".repeat(LINE_KEPT + 1);
        for chunk in ["x\r\n", "\r\n", "4z\r\n", "1\r\nab\r\n", "1\na\r\n", "1\r\na\n", "11112222333344445\r\n", &format!("{zeros}4\r\n")] {
            check(&format!("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{behind}"), &[None]);
        }
        // The library takes what follows for trailers.
        for trailers in ["a: b\n\r\n", "\n"] {
            check(&format!("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n{trailers}{behind}"), &[None]);
        }
    }

    #[test]
    fn a_length_beside_a_coding_counts_whatever_it_says() {
        // The library does not look at it.
        for length in ["4, 4", "x", "", &format!("{}4", " ".repeat(LINE_KEPT)), &format!("{}4", "0".repeat(LINE_KEPT))] {
            let head = format!("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n0\r\n\r\n");
            check(&head, &[Some(LengthAndCoding)]);
        }
        let long = format!("Content-Length: {}4\r\n", "0".repeat(LINE_KEPT));
        check(&format!("PUT / HTTP/1.1\r\n{long}{long}\r\n"), &[Some(TwoLengths)]);
    }

    #[test]
    fn a_head_has_begun_from_its_first_byte_to_its_last() {
        let mut reader = Reader::default();
        let mut is_within = |bytes: &str| {
            reader.take(bytes.as_bytes(), |_found| true);
            reader.is_within_head()
        };
        let seen =
            ["", "\r\n", "G", "ET / HTTP/1.1\r\n", "Content-Length: 4\r\n\r\nab", "cd", "P", "UT / HTTP/1.1\r\n\r\n"].map(&mut is_within);
        assert_eq!(seen, [false, false, true, true, false, false, true, false]);
        assert_eq!(["PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4", "\r\nab"].map(is_within), [false, false]);
    }

    /// How reading ends when these pieces come, each after this pause, and then the end, after longer than a head may take.
    async fn read_of(pieces: &[&str], pause: Duration, head_time_max: Duration) -> io::Result<usize> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (near, mut far) = tokio::io::duplex(1024);
        let mut near = ReadAlong::new(near, Arc::default(), head_time_max);
        let sending = async move {
            for piece in pieces {
                tokio::time::sleep(pause).await;
                far.write_all(piece.as_bytes()).await?;
            }
            tokio::time::sleep(head_time_max * 2).await;
            drop(far);
            std::future::pending::<io::Result<usize>>().await
        };
        let mut whole = Vec::new();
        tokio::select! {
            broken = sending => broken,
            read = near.read_to_end(&mut whole) => read,
        }
    }

    #[tokio::test]
    async fn a_head_has_to_come_in_time_and_what_is_no_head_may_take_longer() {
        let (pause, time) = (Duration::from_millis(10), Duration::from_millis(100));
        let slow = ["a"; 100];
        assert_eq!(read_of(&slow, pause, time).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let second = [&["GET / HTTP/1.1\r\n\r\n"], slow.as_slice()].concat();
        assert_eq!(read_of(&second, pause, time).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        // Nothing, an answer that is waited for, and a body take what they take.
        assert_eq!(read_of(&[], pause, time).await.unwrap(), 0);
        assert_eq!(read_of(&["GET / HTTP/1.1\r\n\r\n"], pause, time).await.unwrap(), 18);
        let body = [&["PUT / HTTP/1.1\r\nContent-Length: 100\r\n\r\n"], ["a"; 30].as_slice()].concat();
        assert_eq!(read_of(&body, pause, time).await.unwrap(), 69);
    }

    #[test]
    fn a_head_of_which_nothing_is_known_is_ambiguous() {
        let heads = Heads::default();
        for _ in 0..WAITING_MAX {
            assert!(heads.push(None));
        }
        assert!(!heads.push(None));
        for _ in 0..WAITING_MAX {
            assert_eq!(heads.next(), None);
        }
        assert_eq!(heads.next(), Some(Unread));
    }
}
