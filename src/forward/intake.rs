//! What comes from the backend is bounded before the HTTP library reads it: the library goes on as long as something comes, and takes provisional
//! answers without end.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is read of a connection before everything else on the thread has had a turn.
const IN_A_ROW_BYTES_MAX: usize = 256 * 1024;
/// What may come between a request and the head of its answer, provisional answers and that head included, and what was read of the body with it.
const BEFORE_HEAD_BYTES_MAX: usize = 1024 * 1024;

/// A connection whose bytes are counted as they come.
#[derive(Debug)]
pub(super) struct Intake<S> {
    stream: S,
    head: Arc<AwaitedHead>,
    /// Bytes that came without a wait.
    in_a_row: usize,
}

impl<S> Intake<S> {
    pub(super) const fn new(stream: S, head: Arc<AwaitedHead>) -> Self {
        Self { stream, head, in_a_row: 0 }
    }
}

/// Bytes that came while the head of an answer was waited for on a connection of HTTP/1.1.
#[derive(Debug)]
pub(super) struct AwaitedHead(AtomicUsize);

/// No head is waited for.
const NONE: usize = usize::MAX;

impl Default for AwaitedHead {
    fn default() -> Self {
        Self(AtomicUsize::new(NONE))
    }
}

impl AwaitedHead {
    /// A request is about to be sent.
    pub(super) fn begin(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// It has come, or nobody waits for it any more.
    pub(super) fn end(&self) {
        self.0.store(NONE, Ordering::Relaxed);
    }

    /// Whether these bytes are too many.
    fn is_exceeded_by(&self, bytes: usize) -> bool {
        let before = self.0.load(Ordering::Relaxed);
        if before == NONE {
            return false;
        }
        let bytes = before.saturating_add(bytes);
        // Where the head came meanwhile, they are not counted.
        let is_counted = self.0.compare_exchange(before, bytes, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        is_counted && bytes > BEFORE_HEAD_BYTES_MAX
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Intake<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.in_a_row >= IN_A_ROW_BYTES_MAX {
            this.in_a_row = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if polled.is_pending() {
            this.in_a_row = 0;
            return polled;
        }
        let read = buffer.filled().len() - before;
        this.in_a_row += read;
        if this.head.is_exceeded_by(read) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the head of the answer does not come to its end")));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Intake<S> {
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
    use std::task::Waker;

    use tokio::io::{join, repeat, sink};

    use super::*;

    /// Bytes of one read.
    const READ_BYTES: usize = 64 * 1024;

    /// Reads once of what comes without end: how many bytes, none for a turn of the others, or an error.
    fn read(intake: &mut Intake<impl AsyncRead + Unpin>) -> Poll<io::Result<usize>> {
        let mut bytes = vec![0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut bytes);
        let polled = Pin::new(intake).poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer);
        polled.map_ok(|()| buffer.filled().len())
    }

    #[test]
    fn others_have_their_turn_while_something_comes_without_end() {
        let mut intake = Intake::new(join(repeat(b'x'), sink()), Arc::default());
        let turns = std::iter::repeat_with(|| read(&mut intake).is_pending());
        let expected: Vec<bool> = (1..=100).map(|number| number % (IN_A_ROW_BYTES_MAX / READ_BYTES + 1) == 0).collect();
        assert_eq!(turns.take(100).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn so_much_may_come_before_a_head_and_any_number_of_bytes_behind_it() {
        let head = Arc::<AwaitedHead>::default();
        let mut intake = Intake::new(join(repeat(b'x'), sink()), Arc::clone(&head));
        let mut read_until_broken = || -> usize {
            let reads = std::iter::repeat_with(|| read(&mut intake)).take(1000);
            reads.take_while(|read| !matches!(read, Poll::Ready(Err(_)))).filter(Poll::is_ready).count()
        };
        assert!(read_until_broken() > 2 * BEFORE_HEAD_BYTES_MAX / READ_BYTES);
        for _ in 0..2 {
            head.begin();
            assert_eq!(read_until_broken(), BEFORE_HEAD_BYTES_MAX / READ_BYTES);
        }
        head.end();
        assert!(read_until_broken() > 2 * BEFORE_HEAD_BYTES_MAX / READ_BYTES);
    }
}
