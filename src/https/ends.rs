//! How a connection begins and ends: which protocol it speaks, how long it may be without a request, and that its last answer arrives.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use hyper_util::server::graceful::GracefulConnection;
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, sleep_until, timeout};

use super::streams::Worn;
use super::{Stop, turned};

/// How long a connection that has had no request is left open when idle ones are closed: its first one is on its way.
const FIRST_REQUEST_TIME: Duration = Duration::from_millis(500);
/// Bytes of what a peer still sends after its last answer that are taken in at a time: a connection that ends needs no more.
const LINGER_PIECE_BYTES: usize = 8 << 10;

/// How serving a connection came to its end.
#[derive(Debug)]
pub(super) enum Ended {
    /// With an answer that is whole.
    Answered,
    /// With an answer of the library to a request that it could not read.
    Refused(hyper::Error),
    /// Otherwise: it broke, or no request came.
    Left,
}

/// Serves a connection to its end, or until idle ones are closed, or it is worn out, or it is clear that no request comes.
pub(super) async fn until_end<C, W>(
    served: &mut C,
    peer: SocketAddr,
    first_request: OwnedNotified,
    begun: Begun,
    worn_out: impl Fn() -> W,
) -> Ended
where
    C: GracefulConnection<Error = hyper::Error> + Unpin,
    W: Future<Output = Worn>,
{
    let mut served = Pin::new(served);
    let ended = tokio::select! {
        biased;
        ended = served.as_mut() => ended,
        closed = begun.then_closed(first_request) => {
            if !closed {
                tracing::debug!(%peer, "connection without a request");
                return Ended::Left;
            }
            served.as_mut().graceful_shutdown();
            served.await
        }
        worn = worn_out() => {
            tracing::debug!(%peer, %worn, "connection is worn out");
            if worn == Worn::Stalled {
                return Ended::Left;
            }
            // What is under way may end; a peer that goes on as before is cut.
            served.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                ended = served.as_mut() => ended,
                _worn_again = worn_out() => return Ended::Left,
            }
        }
    };
    match ended {
        Ok(()) => Ended::Answered,
        Err(cause) => {
            tracing::debug!(%peer, %cause, "connection ended early");
            if cause.is_parse() { Ended::Refused(cause) } else { Ended::Left }
        }
    }
}

/// How long a connection may be without its first request. The library times a head from its first byte on; a peer that sends
/// none would stay for ever.
pub(super) struct Begun {
    /// When the first request has to be there.
    pub(super) by: Instant,
    /// Turns when idle connections are closed.
    pub(super) closing: Stop,
}

impl Begun {
    /// What comes, unless it does not come in time.
    pub(super) async fn in_time<T>(&self, coming: impl Future<Output = T>) -> Option<T> {
        let (mut coming, mut closing) = (pin!(coming), self.closing.clone());
        tokio::select! {
            biased;
            come = coming.as_mut() => Some(come),
            () = turned(&mut closing) => timeout(FIRST_REQUEST_TIME, coming).await.ok(),
            () = sleep_until(self.by) => None,
        }
    }

    /// Waits until idle connections are closed. `false` when the first request does not come in time.
    async fn then_closed(mut self, first_request: OwnedNotified) -> bool {
        if Box::pin(self.in_time(first_request)).await.is_none() {
            return false;
        }
        turned(&mut self.closing).await;
        true
    }
}

/// What a connection of HTTP/2 begins with. Source: RFC 9113 §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether a peer begins with the preface of HTTP/2, as one may on clear text. Nothing is taken from the connection.
pub(super) async fn begins_http2(stream: &TcpStream) -> io::Result<bool> {
    let look = || {
        let mut begun = [0; PREFACE.len()];
        let (length, _) = rustix::net::recv(stream, &mut begun, RecvFlags::PEEK)?;
        let is_preface = length > 0 && begun.get(..length).is_some_and(|begun| PREFACE.starts_with(begun));
        // Of a part of it, the rest decides.
        let is_part = is_preface && length < PREFACE.len();
        if is_part { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(is_preface) }
    };
    loop {
        // Asked before the look: what came before the end counts, and after it nothing comes.
        let ready = stream.ready(Interest::READABLE).await?;
        match stream.try_io(Interest::READABLE, look) {
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock && ready.is_read_closed() => return Ok(false),
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {}
            looked => return looked,
        }
    }
}

/// How much is taken in of what a peer still sends after its last answer, and how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rest {
    bytes_max: u64,
    silence_max: Duration,
    time_max: Duration,
}

impl Rest {
    /// A body that was refused is taken in as fast as it comes: the largest one that may be sent unless somebody says otherwise, without a pause that an
    /// honest client would not make. The peer has had its answer, and holds its connection for less time than one that is open and says nothing.
    pub(super) const TAKEN_IN: Self =
        Self { bytes_max: 128 << 20, silence_max: Duration::from_millis(500), time_max: Duration::from_secs(5) };
}

/// Takes in what a peer still sends of a request that was answered before its end, unless idle connections are closed: to close at once
/// would be a reset, which takes the answer away from it. Source: RFC 9112 §9.6.
pub(super) async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin, max: Rest, mut closing: Stop) {
    let rest = async {
        if !matches!(timeout(max.silence_max, stream.shutdown()).await, Ok(Ok(()))) {
            return;
        }
        let (mut stream, mut piece) = (stream.take(max.bytes_max), vec![0; LINGER_PIECE_BYTES]);
        while let Ok(Ok(1..)) = timeout(max.silence_max, stream.read(&mut piece)).await {}
    };
    tokio::select! {
        // Whatever comes of it, the connection has ended.
        _ended = timeout(max.time_max, rest) => {}
        () = turned(&mut closing) => {}
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);
    /// Nothing is said within it.
    const SILENCE: Duration = Duration::from_millis(300);

    /// What is said within a time of a peer that sends these pieces, and then nothing more or, if it ends, its end.
    async fn said_of(pieces: &[&[u8]], ends: bool, within: Duration) -> Option<bool> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        peer.set_nodelay(true).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let sending = async {
            for piece in pieces {
                peer.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            if ends {
                peer.shutdown().await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            said = timeout(within, begins_http2(&stream)) => said.ok().map(Result::unwrap),
            () = sending => None,
        }
    }

    #[tokio::test]
    async fn a_preface_is_known_however_it_comes_and_whatever_follows() {
        let (begin, rest) = PREFACE.split_at(3);
        for ends in [false, true] {
            assert_eq!(said_of(&[PREFACE], ends, PATIENCE).await, Some(true));
            assert_eq!(said_of(&[begin, rest], ends, PATIENCE).await, Some(true));
            assert_eq!(said_of(&[b"P", b"OST / HTTP/1.1\r\n"], ends, PATIENCE).await, Some(false));
            assert_eq!(said_of(&[b"GET / HTTP/1.1\r\n"], ends, PATIENCE).await, Some(false));
        }
    }

    #[tokio::test]
    async fn a_part_of_a_preface_is_waited_for_until_the_peer_ends() {
        assert_eq!(said_of(&[b"PRI"], false, SILENCE).await, None);
        assert_eq!(said_of(&[b"PRI"], true, PATIENCE).await, Some(false));
        assert_eq!(said_of(&[], false, SILENCE).await, None);
        assert_eq!(said_of(&[], true, PATIENCE).await, Some(false));
    }

    /// How many bytes are taken in of a peer that sends so many, and then nothing more.
    async fn taken_in(sent: usize, max: Rest) -> usize {
        let (_close, closing) = tokio::sync::watch::channel(false);
        let (near, mut far) = tokio::io::duplex(1);
        let left = tokio::spawn(linger(near, max, closing));
        let mut taken = 0;
        let begun = Instant::now();
        while taken < sent && far.write_all(b"x").await.is_ok() {
            assert!(begun.elapsed() < PATIENCE, "it goes on");
            taken += 1;
        }
        assert!(timeout(PATIENCE, left).await.is_ok_and(|left| left.is_ok()), "{max:?}");
        taken
    }

    #[tokio::test]
    async fn so_much_is_taken_in_and_so_long_and_nothing_after_a_silence() {
        const FOREVER: Duration = Duration::from_secs(3600);
        let max = Rest { bytes_max: u64::MAX, silence_max: FOREVER, time_max: FOREVER };
        let of = |bytes_max: u64| Rest { bytes_max, ..max };
        // What nobody takes any more may stand in the pipe.
        assert!([10_000, 10_001].contains(&taken_in(usize::MAX, of(10_000)).await));
        assert_eq!(taken_in(10_000, of(10_000)).await, 10_000);
        assert_eq!(taken_in(10_000, Rest { silence_max: SILENCE, ..max }).await, 10_000);
        assert!(taken_in(usize::MAX, Rest { time_max: SILENCE, ..max }).await > 0);
    }

    #[tokio::test]
    async fn lingering_takes_in_what_comes_and_ends_with_the_peer_or_the_closing() {
        let (close, closing) = tokio::sync::watch::channel(false);
        let (near, mut far) = tokio::io::duplex(64);
        let left = tokio::spawn(linger(near, Rest::TAKEN_IN, closing.clone()));
        let sent = timeout(PATIENCE, far.write_all(&[b'x'; 10_000])).await;
        assert!(matches!(sent, Ok(Ok(()))), "{sent:?}");
        drop(far);
        assert!(timeout(PATIENCE, left).await.is_ok_and(|left| left.is_ok()));
        let (near, mut far) = tokio::io::duplex(64);
        close.send_replace(true);
        linger(near, Rest::TAKEN_IN, closing).await;
        assert_eq!(far.read(&mut [0; 1]).await.ok(), Some(0));
    }
}
