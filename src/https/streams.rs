//! The streams of an HTTP/2 connection, counted from outside of the library: a peer that takes nothing of an answer or a little at a time, asks for nothing more, or
//! takes its requests back again and again is closed.
//!
//! The library looks at a body only when its stream has room. A peer that gives none would hold the answer, and what the answer holds, for ever.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// The streams that a peer takes back are counted for so long, and may be as many as come in that time at the highest rate; then the count
/// begins anew.
const TAKEN_BACK_TIME: Duration = Duration::from_secs(10);

/// A time that ends a connection is looked at so many times while it lasts: it is exceeded by no more than one part of so many.
const LOOKS: u32 = 4;

/// The largest piece of an answer that is handed to the library at once: so much can be on its way to a peer that takes nothing, and a peer that
/// takes so much in the time is not stalled.
const PIECE_BYTES_MAX: usize = 16 * 1024;

/// Why a connection is not served on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worn {
    /// No stream was open for too long.
    Idle,
    /// The peer took nothing of an answer for too long.
    Stalled,
    /// The peer took back too many streams.
    TakenBack,
}

impl fmt::Display for Worn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "no stream was open for too long",
            Self::Stalled => "nothing of an answer was taken for too long",
            Self::TakenBack => "too many streams were taken back",
        })
    }
}

/// What a peer may do with its streams.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Streams taken back in a second, over [`TAKEN_BACK_TIME`].
    pub(super) resets_per_s_max: u32,
    /// How long may be waited for a piece of an answer, and for so many bytes of all answers on the connection, to be taken.
    pub(super) write_time_max: Duration,
    pub(super) write_bytes_min: u64,
    /// How long no stream may be open.
    pub(super) idle_time_max: Duration,
}

impl Bounds {
    fn taken_back_max(&self) -> u64 {
        u64::from(self.resets_per_s_max).saturating_mul(TAKEN_BACK_TIME.as_secs())
    }
}

/// The open streams of one connection.
#[derive(Debug)]
#[expect(clippy::disallowed_types, reason = "held for a few steps by one connection's tasks, never across an await")]
pub(super) struct Streams {
    bounds: Bounds,
    state: std::sync::Mutex<State>,
    worn: Notify,
}

#[derive(Debug, Default)]
struct State {
    open: Vec<Open>,
    next: u64,
    /// Looks so far: the clock of this connection.
    look: u32,
    /// When the last stream ended.
    idle_since: u32,
    taken_back: u64,
    taken_back_since: Option<Instant>,
    /// Bytes that were taken of all answers since that was enough to forgive what was waited.
    taken: u64,
}

#[derive(Debug)]
struct Open {
    number: u64,
    /// Since when it is the peer's turn to take something.
    waits_since: Option<u32>,
    /// How many looks the pieces before it took that are not forgiven.
    waited: u32,
    /// Bytes of the last piece.
    handed: u64,
}

impl Open {
    /// The peer has taken the last piece, at this look; gives its bytes.
    const fn take(&mut self, look: u32) -> u64 {
        let Some(since) = self.waits_since.take() else { return 0 };
        self.waited = self.waited.saturating_add(look.saturating_sub(since));
        self.handed
    }
}

impl Streams {
    /// None yet.
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, state: Default::default(), worn: Notify::new() }
    }

    /// A stream that a request came on.
    pub(super) fn begin(self: &Arc<Self>) -> Stream {
        self.with(|state| {
            let number = state.next;
            state.next += 1;
            state.open.push(Open { number, waits_since: None, waited: 0, handed: 0 });
            Stream { streams: Arc::clone(self), number, is_answered: false }
        })
    }

    /// Ends when the connection is worn out.
    pub(super) async fn worn_out(self: Arc<Self>) -> Worn {
        let Bounds { write_time_max, idle_time_max, .. } = self.bounds;
        let every = write_time_max.min(idle_time_max) / LOOKS;
        let looks = |time: Duration| u32::try_from(time.as_nanos() / every.as_nanos().max(1)).unwrap_or(u32::MAX);
        let (write_looks, idle_looks) = (looks(write_time_max), looks(idle_time_max));
        loop {
            tokio::select! {
                () = self.worn.notified() => {
                    self.with(|state| state.taken_back = 0);
                    return Worn::TakenBack;
                }
                () = sleep(every) => {}
            }
            if let Some(worn) = self.with(|state| state.look(write_looks, idle_looks)) {
                return worn;
            }
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn look(&mut self, write_looks: u32, idle_looks: u32) -> Option<Worn> {
        self.look = self.look.saturating_add(1);
        let passed = |since: u32| self.look.saturating_sub(since);
        if self.open.iter().any(|open| open.waits_since.is_some_and(|since| open.waited.saturating_add(passed(since)) > write_looks)) {
            return Some(Worn::Stalled);
        }
        if self.open.is_empty() && passed(self.idle_since) > idle_looks {
            self.idle_since = self.look;
            return Some(Worn::Idle);
        }
        None
    }

    /// A slow line is shared by all answers on it: what is taken of one counts for the others.
    fn earn(&mut self, bytes: u64, bytes_min: u64) {
        self.taken = self.taken.saturating_add(bytes);
        if self.taken >= bytes_min {
            self.taken = 0;
            self.open.iter_mut().for_each(|open| open.waited = 0);
        }
    }

    fn end(&mut self, number: u64) {
        self.open.retain(|open| open.number != number);
        self.idle_since = self.look;
    }

    /// How many that makes.
    fn take_back(&mut self) -> u64 {
        let now = Instant::now();
        if self.taken_back_since.is_none_or(|since| now.duration_since(since) > TAKEN_BACK_TIME) {
            (self.taken_back, self.taken_back_since) = (0, Some(now));
        }
        self.taken_back = self.taken_back.saturating_add(1);
        self.taken_back
    }
}

/// One open stream: from its request to the end of its answer.
#[derive(Debug)]
pub(super) struct Stream {
    streams: Arc<Streams>,
    number: u64,
    is_answered: bool,
}

impl Stream {
    /// The peer is to take these bytes, or the end of the answer; it has taken what was handed to it before.
    fn hand(&self, bytes: u64) {
        self.turn(|open, look| (open.waits_since, open.handed) = (Some(look), bytes));
    }

    /// There is nothing to take at present.
    fn wait(&self) {
        self.turn(|_open, _look| {});
    }

    fn turn(&self, next: impl FnOnce(&mut Open, u32)) {
        let bytes_min = self.streams.bounds.write_bytes_min;
        self.streams.with(|state| {
            if let Some(open) = state.open.iter_mut().find(|open| open.number == self.number) {
                let taken = open.take(state.look);
                next(open, state.look);
                state.earn(taken, bytes_min);
            }
        });
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let is_one_too_many = self.streams.with(|state| {
            state.end(self.number);
            !self.is_answered && state.take_back() > self.streams.bounds.taken_back_max()
        });
        if is_one_too_many {
            self.streams.worn.notify_one();
        }
    }
}

/// The body of an answer on a stream that is watched.
#[derive(Debug)]
pub(super) struct Watched<B> {
    body: B,
    /// Of a piece that is too large: what was not handed out yet.
    rest: Bytes,
    stream: Stream,
}

impl<B: Body<Data = Bytes> + Unpin> Watched<B> {
    pub(super) fn new(body: B, stream: Stream) -> Self {
        stream.hand(0);
        let mut watched = Self { body, rest: Bytes::new(), stream };
        watched.stream.is_answered = watched.is_end_stream();
        watched
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if !self.rest.is_empty() {
            let piece = self.rest.split_to(self.rest.len().min(PIECE_BYTES_MAX));
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let Poll::Ready(Some(Ok(frame))) = polled else { return polled };
        Poll::Ready(Some(Ok(frame.map_data(|mut data| {
            self.rest = data.split_off(data.len().min(PIECE_BYTES_MAX));
            data
        }))))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = self.poll_piece(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.stream.hand(frame.data_ref().map_or(0, |data| data.len() as u64)),
            Poll::Ready(None | Some(Err(_))) => self.stream.hand(0),
            Poll::Pending => self.stream.wait(),
        }
        // An answer that the gateway breaks off is no fault of the peer.
        let has_ended = matches!(polled, Poll::Ready(None | Some(Err(_)))) || self.is_end_stream();
        self.stream.is_answered |= has_ended;
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    const WRITE_LOOKS: u32 = 8;
    const IDLE_LOOKS: u32 = 20;
    const RESETS_PER_S_MAX: u32 = 3;
    /// In [`TAKEN_BACK_TIME`].
    const TAKEN_BACK_MAX: u32 = 30;
    const WRITE_BYTES_MIN: u64 = 30_000;

    fn streams() -> Arc<Streams> {
        Arc::new(Streams::new(Bounds {
            resets_per_s_max: RESETS_PER_S_MAX,
            write_time_max: Duration::from_secs(30),
            write_bytes_min: WRITE_BYTES_MIN,
            idle_time_max: Duration::from_secs(75),
        }))
    }

    /// After how many looks the connection is worn out, and why.
    fn looks_until_worn(streams: &Streams) -> Option<(u32, Worn)> {
        (1..=1000).find_map(|look| Some((look, streams.with(|state| state.look(WRITE_LOOKS, IDLE_LOOKS))?)))
    }

    fn answer(streams: &Arc<Streams>, text: &'static str) -> Watched<Full<Bytes>> {
        Watched::new(Full::new(Bytes::from_static(text.as_bytes())), streams.begin())
    }

    #[test]
    fn an_answer_that_nobody_takes_ends_the_connection() {
        let streams = streams();
        let waiting = answer(&streams, "answer");
        assert_eq!(looks_until_worn(&streams), Some((WRITE_LOOKS + 1, Worn::Stalled)));
        drop(waiting);
    }

    /// How many pieces of this size are taken, with so many looks before each, until the connection is worn out.
    async fn pieces_until_worn(bytes: usize, looks: u32) -> Option<usize> {
        let streams = streams();
        let mut watched = Watched::new(Pieces(Bytes::from(vec![0; bytes])), streams.begin());
        for piece in 0..10_000 {
            watched.frame().await.unwrap().unwrap();
            let worn = (0..looks).find_map(|_| streams.with(|state| state.look(WRITE_LOOKS, IDLE_LOOKS)));
            if worn.is_some() {
                assert_eq!(worn, Some(Worn::Stalled));
                return Some(piece);
            }
        }
        None
    }

    #[tokio::test]
    async fn an_answer_that_is_taken_a_little_at_a_time_ends_the_connection() {
        // All of the time is spent on what is less than the least.
        assert_eq!(pieces_until_worn(100, 1).await, Some(WRITE_LOOKS as usize));
        assert_eq!(pieces_until_worn(3_000, 1).await, Some(WRITE_LOOKS as usize));
        assert_eq!(pieces_until_worn(3_000, 4).await, Some(2));
        // As much as that, however it comes, and the time begins anew.
        assert_eq!(pieces_until_worn(4_000, 1).await, None);
        assert_eq!(pieces_until_worn(15_000, 4).await, None);
        // A piece that is taken at once takes no time.
        assert_eq!(pieces_until_worn(1, 0).await, None);
    }

    #[tokio::test]
    async fn a_slow_line_is_shared_by_the_answers_on_it() {
        let streams = streams();
        let pieces = || Watched::new(Pieces(Bytes::from(vec![0; 3_000])), streams.begin());
        // One of them alone ends the connection at this pace, as is seen above.
        let mut answers: Vec<_> = (0..12).map(|_| pieces()).collect();
        for _ in 0..100 {
            for answer in &mut answers {
                answer.frame().await.unwrap().unwrap();
            }
            assert_eq!((0..4).find_map(|_| streams.with(|state| state.look(WRITE_LOOKS, IDLE_LOOKS))), None);
        }
        // An answer of which nothing is taken ends it all the same.
        let untaken = answer(&streams, "answer");
        let worn = (0..4).find_map(|_| {
            answers.iter_mut().for_each(|answer| answer.stream.hand(3_000));
            (0..4).find_map(|_| streams.with(|state| state.look(WRITE_LOOKS, IDLE_LOOKS)))
        });
        assert_eq!(worn, Some(Worn::Stalled));
        drop(untaken);
    }

    #[tokio::test]
    async fn an_answer_that_is_still_being_made_does_not() {
        let streams = streams();
        let stream = streams.begin();
        assert_eq!(looks_until_worn(&streams), None, "the request is being handled");
        let mut made = Watched::new(Never, stream);
        let polled = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut made).poll_frame(cx).is_pending())).await;
        assert!(polled);
        assert_eq!(looks_until_worn(&streams), None, "the next piece is not there");
    }

    #[tokio::test]
    async fn a_connection_without_a_stream_ends_after_a_while() {
        let streams = streams();
        answer(&streams, "answer").collect().await.unwrap();
        assert_eq!(looks_until_worn(&streams), Some((IDLE_LOOKS + 1, Worn::Idle)));
        assert_eq!(streams.with(|state| state.open.len()), 0);
    }

    #[tokio::test]
    async fn only_streams_that_were_taken_back_count_as_such() {
        let streams = streams();
        for _ in 0..=TAKEN_BACK_MAX * 2 {
            answer(&streams, "answer").collect().await.unwrap();
            drop(answer(&streams, ""));
        }
        let is_worn = || tokio::time::timeout(Duration::ZERO, streams.worn.notified());
        is_worn().await.unwrap_err();
        for _ in 0..TAKEN_BACK_MAX / 2 {
            drop(streams.begin());
            drop(answer(&streams, "answer"));
        }
        is_worn().await.unwrap_err();
        drop(streams.begin());
        is_worn().await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_is_handed_out_in_pieces_and_arrives_whole() {
        let streams = streams();
        let whole = Bytes::from((0..100_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>());
        let mut watched = Watched::new(Full::new(whole.clone()), streams.begin());
        let mut seen = Vec::new();
        while let Some(frame) = watched.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            assert!((1..=PIECE_BYTES_MAX).contains(&piece.len()), "{}", piece.len());
            seen.extend_from_slice(&piece);
            assert_eq!(watched.size_hint().exact(), Some((whole.len() - seen.len()) as u64));
            assert_eq!(watched.is_end_stream(), seen.len() == whole.len());
        }
        assert_eq!(seen, whole);
        assert!(watched.stream.is_answered);
    }

    /// A body of which one piece comes after the other.
    struct Pieces(Bytes);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(Some(Ok(Frame::data(self.0.clone()))))
        }
    }

    /// A body of which nothing comes.
    struct Never;

    impl Body for Never {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }
    }
}
