//! How much of an answer is held for a peer over HTTP/1.1 that takes it slowly.
//!
//! The library asks an answer for its next piece until it holds as much as it may read at once, and for speed it reads large pieces. So the
//! answer itself holds back until what was handed over has left.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// So much of an answer is handed over before any of it is written; the piece that exceeds it is whole.
const HANDED_BYTES_MAX: usize = 64 * 1024;

/// What the two ends of a connection's answers know of each other: the one that hands over and the one that writes. Both are of one task, so that
/// nobody changes it meanwhile.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Bytes that were handed over since something was written.
    handed: AtomicUsize,
    /// Whether the peer has to take something before more can be written.
    is_blocked: AtomicBool,
    /// Whether an answer holds back.
    is_awaited: AtomicBool,
}

impl Room {
    fn is_there(&self) -> bool {
        !self.is_blocked.load(Ordering::Relaxed) && self.handed.load(Ordering::Relaxed) < HANDED_BYTES_MAX
    }

    fn take(&self, bytes: usize) {
        self.handed.store(self.handed.load(Ordering::Relaxed).saturating_add(bytes), Ordering::Relaxed);
    }

    /// Nothing can be written at present.
    pub(super) fn block(&self) {
        self.is_blocked.store(true, Ordering::Relaxed);
    }

    /// Something was written.
    pub(super) fn free(&self, cx: &Context<'_>) {
        self.handed.store(0, Ordering::Relaxed);
        self.is_blocked.store(false, Ordering::Relaxed);
        if self.is_awaited.load(Ordering::Relaxed) {
            self.is_awaited.store(false, Ordering::Relaxed);
            cx.waker().wake_by_ref();
        }
    }
}

/// The body of an answer that is handed over as there is room for it.
#[derive(Debug)]
pub(super) struct Fitted<B> {
    body: B,
    room: Arc<Room>,
    /// Whether the body is waited for. Then it is asked whatever room there is: it may count how long it has been waited for.
    is_due: bool,
}

impl<B> Fitted<B> {
    pub(super) const fn new(body: B, room: Arc<Room>) -> Self {
        Self { body, room, is_due: false }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Fitted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if !this.is_due && !this.room.is_there() {
            this.room.is_awaited.store(true, Ordering::Relaxed);
            return Poll::Pending;
        }
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        this.is_due = polled.is_pending();
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            this.room.take(frame.data_ref().map_or(0, Bytes::len));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::task::{Wake, Waker};

    use super::*;

    const PIECE_BYTES: usize = 16 * 1024;

    /// Pieces without end, or none at present.
    #[derive(Debug, Default)]
    struct Pieces {
        is_waiting: bool,
        asked: u32,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            self.asked += 1;
            if self.is_waiting { Poll::Pending } else { Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; PIECE_BYTES]))))) }
        }
    }

    #[derive(Debug, Default)]
    struct Wakes(AtomicU32);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many pieces are handed over until the body holds back.
    fn handed(fitted: &mut Fitted<Pieces>, cx: &mut Context<'_>) -> usize {
        (0..1000).take_while(|_| Pin::new(&mut *fitted).poll_frame(cx).is_ready()).count()
    }

    #[test]
    fn an_answer_holds_back_until_something_is_written_and_while_nothing_can_be() {
        let (room, wakes) = (Arc::<Room>::default(), Arc::<Wakes>::default());
        let (mut fitted, waker) = (Fitted::new(Pieces::default(), Arc::clone(&room)), Waker::from(Arc::clone(&wakes)));
        let cx = &mut Context::from_waker(&waker);
        let woken = || wakes.0.load(Ordering::Relaxed);
        assert_eq!(handed(&mut fitted, cx), HANDED_BYTES_MAX / PIECE_BYTES);
        assert_eq!((handed(&mut fitted, cx), woken()), (0, 0));
        room.free(cx);
        assert_eq!((woken(), handed(&mut fitted, cx)), (1, HANDED_BYTES_MAX / PIECE_BYTES));
        // Some of it is written, and then the peer takes no more.
        room.free(cx);
        room.block();
        assert_eq!((woken(), handed(&mut fitted, cx)), (2, 0));
        room.free(cx);
        assert_eq!(woken(), 3);
        // Nobody waits: nobody is woken.
        room.free(cx);
        assert_eq!(woken(), 3);
    }

    #[test]
    fn a_piece_that_is_waited_for_is_handed_over_whatever_room_there_is() {
        let room = Arc::<Room>::default();
        let mut fitted = Fitted::new(Pieces { is_waiting: true, asked: 0 }, Arc::clone(&room));
        let cx = &mut Context::from_waker(Waker::noop());
        assert_eq!(handed(&mut fitted, cx), 0);
        room.block();
        fitted.body.is_waiting = false;
        assert_eq!((handed(&mut fitted, cx), fitted.body.asked), (1, 2));
        assert_eq!((handed(&mut fitted, cx), fitted.body.asked), (0, 2));
    }
}
