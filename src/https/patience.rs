//! Waits that end: a timer that runs only while somebody waits, and a connection whose peer has to take what is written.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::room::Room;

/// How long may be waited, in all, for so many bytes; with them it begins anew. Who sends at least that fast may go on for ever, and who sends a
/// byte at a time may not, whatever the pauses are.
#[derive(Debug)]
struct Budget {
    span: Duration,
    bytes: u64,
    left: Duration,
    moved: u64,
}

impl Budget {
    const fn new(span: Duration, bytes: u64) -> Self {
        Self { span, bytes, left: span, moved: 0 }
    }

    /// Whether these bytes were enough for a new one.
    const fn is_earned_by(&mut self, bytes: u64) -> bool {
        self.moved = self.moved.saturating_add(bytes);
        let is_earned = self.moved >= self.bytes;
        if is_earned {
            (self.left, self.moved) = (self.span, 0);
        }
        is_earned
    }

    const fn spend(&mut self, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
    }
}

/// A timer that starts with the first wait and is forgotten when the wait was worth it. Most waits never start it.
#[derive(Debug)]
pub(crate) struct Patience {
    budget: Budget,
    timer: Option<Pin<Box<Sleep>>>,
    waits_since: Option<Instant>,
}

impl Patience {
    /// Waits of at most `span` each.
    pub(crate) const fn new(span: Duration) -> Self {
        Self::for_bytes(span, 1)
    }

    /// Waits of at most `span` together, until it is renewed.
    pub(super) const fn in_all(span: Duration) -> Self {
        Self::for_bytes(span, u64::MAX)
    }

    /// Waits of at most `span` together for the bytes that come in that time at the slowest rate.
    pub(crate) const fn at_rate(span: Duration, bytes_per_s_min: u64) -> Self {
        Self::for_bytes(span, bytes_at_rate(span, bytes_per_s_min))
    }

    const fn for_bytes(span: Duration, bytes: u64) -> Self {
        Self { budget: Budget::new(span, bytes), timer: None, waits_since: None }
    }

    /// What was waited for has come.
    pub(crate) const fn renew(&mut self) {
        self.budget = Budget::new(self.budget.span, self.budget.bytes);
        self.waits_since = None;
    }

    /// So many bytes of it have come.
    pub(crate) fn moved(&mut self, bytes: u64) {
        let waited_since = self.waits_since.take();
        if !self.budget.is_earned_by(bytes)
            && let Some(since) = waited_since
        {
            self.budget.spend(since.elapsed());
        }
    }

    /// Ready when this wait has taken too long.
    pub(crate) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let left = self.budget.left;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(left)));
        if self.waits_since.is_none() {
            let now = Instant::now();
            timer.as_mut().reset(now + left);
            self.waits_since = Some(now);
        }
        timer.as_mut().poll(cx)
    }
}

/// The bytes that come in a time at a rate; at least one.
pub(super) const fn bytes_at_rate(span: Duration, bytes_per_s: u64) -> u64 {
    let seconds = span.as_secs().saturating_mul(bytes_per_s);
    let rest = (span.subsec_millis() as u64).saturating_mul(bytes_per_s) / 1000;
    let bytes = seconds.saturating_add(rest);
    if bytes == 0 { 1 } else { bytes }
}

/// A connection that breaks when its peer takes nothing for too long, or as good as nothing: a slow reader must not hold an answer for ever.
#[derive(Debug)]
pub(super) struct Impatient<S> {
    stream: S,
    patience: Patience,
    room: Arc<Room>,
}

impl<S> Impatient<S> {
    pub(super) fn new(stream: S, write_time_max: Duration, bytes_per_s_min: u64) -> Self {
        Self { stream, patience: Patience::at_rate(write_time_max, bytes_per_s_min), room: Arc::default() }
    }

    /// Where it says whether the peer takes what is written.
    pub(super) const fn room(&self) -> &Arc<Room> {
        &self.room
    }

    /// What was taken counts when it is handed over; a flush that ends only stops the time.
    fn judge<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>, taken: impl Fn(&T) -> usize) -> Poll<io::Result<T>> {
        if let Poll::Ready(done) = &polled {
            let bytes = done.as_ref().map(taken).unwrap_or_default();
            self.patience.moved(bytes as u64);
            self.room.free(cx);
            return polled;
        }
        self.room.block();
        ready!(self.patience.poll_over(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, polled, |written| *written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.judge(cx, polled, |written| *written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.judge(cx, polled, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judge(cx, polled, |()| 0)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn who_sends_fast_enough_may_go_on_and_who_does_not_may_wait_so_long_in_all() {
        const SECOND: Duration = Duration::from_secs(1);
        // 30 s for 300 bytes: whatever the pieces are, twelve bytes a second earn their time again and again.
        for (piece, waited) in [(1, SECOND / 12), (12, SECOND), (100, 8 * SECOND), (348, 29 * SECOND)] {
            let mut budget = Budget::new(30 * SECOND, 300);
            for _ in 0..10_000 {
                budget.spend(waited);
                assert!(budget.left > Duration::ZERO, "{piece}");
                budget.is_earned_by(piece);
            }
        }
        // One byte a second is over after thirty.
        let mut budget = Budget::new(30 * SECOND, 300);
        let seconds = (1..100).find(|_| {
            budget.spend(SECOND);
            budget.is_earned_by(1);
            budget.left.is_zero()
        });
        assert_eq!(seconds, Some(30));
    }

    #[test]
    fn a_rate_over_a_time_is_a_number_of_bytes() {
        for (span_ms, rate, expected) in
            [(30_000, 1024, 30_720), (500, 1024, 512), (10, 1, 1), (1_500, 2, 3), (600_000, u64::MAX, u64::MAX)]
        {
            assert_eq!(bytes_at_rate(Duration::from_millis(span_ms), rate), expected);
        }
    }

    /// How writing so many bytes ends for a peer that takes one of them every 5 ms.
    async fn written_to_a_drip(bytes: usize, span: Duration, bytes_per_s_min: u64) -> io::Result<()> {
        let (near, mut far) = tokio::io::duplex(1);
        let mut near = Impatient::new(near, span, bytes_per_s_min);
        let taking = async {
            loop {
                sleep(Duration::from_millis(5)).await;
                far.read_u8().await?;
            }
        };
        let piece = vec![0; bytes];
        tokio::select! {
            written = near.write_all(&piece) => written,
            broken = taking => broken,
        }
    }

    #[tokio::test]
    async fn a_peer_that_takes_a_byte_at_a_time_is_left() {
        let error = written_to_a_drip(100_000, Duration::from_millis(50), 10_000).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // The same drip is fast enough where less is asked for, although all of it takes longer than the time.
        written_to_a_drip(60, Duration::from_millis(200), 5).await.unwrap();
    }

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_left() {
        let (near, _far) = tokio::io::duplex(8);
        let mut near = Impatient::new(near, Duration::from_millis(20), 1);
        near.write_all(b"12345678").await.unwrap();
        let error = near.write_all(b"9").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
