//! All of a body, piece by piece: at most so many bytes of one, of one tenant's and of all.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use super::{Crowded, ON_WORKER_BYTES_MAX, Reader};
use crate::https::Patience;
use crate::shares::{NoneLeft, Share, Shares};

/// Bytes of bodies that a worker holds, from their first piece until the last of them has left: sixteen of the largest. What is small does
/// not count, nor does as much of what is large.
const HELD_BYTES_MAX: usize = 64 << 20;

/// What a worker holds of bodies, by tenant: of each what exceeds a small one, which needs no room however it comes.
#[derive(Debug)]
pub struct Room(Shares);

/// Why a body was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatherError {
    /// There is no room for it.
    Crowded(Crowded),
    /// The client closed or broke it.
    Cut,
    /// It does not come in time.
    Slow,
    /// More came than allowed.
    TooLarge,
}

impl Default for Room {
    fn default() -> Self {
        Self(Shares::of(HELD_BYTES_MAX))
    }
}

impl Reader<'_> {
    /// All of a body: at most so many bytes, and waited for as long as there is patience, and for so long at most.
    pub(crate) async fn gather(
        &self,
        incoming: Incoming,
        bytes_max: usize,
        patience: Patience,
        time_max: Duration,
    ) -> Result<Gathered, GatherError> {
        let gathered = Gathered { piece: Bytes::new(), bytes: Vec::new(), held: Held(self.room.0.nothing(self.owner)) };
        timeout(time_max, gathered.fill(incoming, bytes_max, patience)).await.unwrap_or(Err(GatherError::Slow))
    }
}

/// What has come of a body, and what it takes of the room.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// A small body that came in one piece; nothing else.
    piece: Bytes,
    bytes: Vec<u8>,
    held: Held,
}

/// What is taken of the room, as long as this is there.
#[derive(Debug)]
pub(crate) struct Held(Share);

impl Gathered {
    async fn fill(mut self, mut incoming: Incoming, bytes_max: usize, mut patience: Patience) -> Result<Self, GatherError> {
        let length_max = |length: u64| usize::try_from(length).unwrap_or(usize::MAX);
        let said = incoming.size_hint();
        if length_max(said.lower()) > bytes_max {
            return Err(GatherError::TooLarge);
        }
        let expected = said.upper().map_or(bytes_max, |upper| length_max(upper).min(bytes_max));
        while let Some(piece) = next(&mut incoming, &mut patience).await? {
            if self.bytes.len().saturating_add(piece.len()) > bytes_max {
                return Err(GatherError::TooLarge);
            }
            // Most bodies are one piece, and stay it.
            if self.bytes.is_empty() && piece.len() <= ON_WORKER_BYTES_MAX && incoming.is_end_stream() {
                return Ok(Self { piece, ..self });
            }
            self.push(&piece, expected).map_err(GatherError::Crowded)?;
        }
        Ok(self)
    }

    /// Room is made by doubling, up to what is expected, and is not large before the body is: what is taken is what is counted.
    fn push(&mut self, piece: &[u8], expected: usize) -> Result<(), Crowded> {
        let (capacity, length) = (self.bytes.capacity(), self.bytes.len());
        let needed = length.saturating_add(piece.len());
        if needed > capacity {
            let most = if Reader::is_large(needed) { expected } else { expected.min(ON_WORKER_BYTES_MAX) };
            let wanted = capacity.saturating_mul(2).min(most).max(needed);
            self.held.0.grow(counted(wanted) - counted(capacity)).map_err(crowded)?;
            self.bytes.reserve_exact(wanted - length);
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }

    /// The body, with the last byte of which the room is given back.
    pub(crate) fn into_bytes(self) -> Bytes {
        if self.bytes.is_empty() { self.piece } else { Bytes::from_owner(self) }
    }

    /// The body, and what it takes of the room apart: for what is made of it lasts longer.
    pub(crate) fn into_parts(self) -> (Bytes, Held) {
        let bytes = if self.bytes.is_empty() { self.piece } else { self.bytes.into() };
        (bytes, self.held)
    }
}

impl AsRef<[u8]> for Gathered {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What needs room, of so many bytes of one body.
const fn counted(bytes: usize) -> usize {
    bytes.saturating_sub(ON_WORKER_BYTES_MAX)
}

const fn crowded(none: NoneLeft) -> Crowded {
    match none {
        NoneLeft::OfAll => Crowded::All,
        NoneLeft::OfOne { .. } => Crowded::Share,
    }
}

async fn next(incoming: &mut Incoming, patience: &mut Patience) -> Result<Option<Bytes>, GatherError> {
    let piece = poll_fn(|cx| match poll_data(incoming, cx) {
        Poll::Ready(next) => Poll::Ready(next.transpose().map_err(|_cut| GatherError::Cut)),
        Poll::Pending => patience.poll_over(cx).map(|()| Err(GatherError::Slow)),
    });
    let piece = piece.await?;
    patience.moved(piece.as_ref().map_or(0, |piece| piece.len() as u64));
    Ok(piece)
}

/// The next piece of data; trailers are left out, for no header after the body may pass for one of ours.
pub(crate) fn poll_data(incoming: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, hyper::Error>>> {
    loop {
        match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Poll::Ready(Some(Ok(data)));
                }
            }
            Some(Err(cause)) => return Poll::Ready(Some(Err(cause))),
            None => return Poll::Ready(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shares::configured;

    fn gathered(room: &Room, number: u8) -> Gathered {
        Gathered { piece: Bytes::new(), bytes: Vec::new(), held: Held(room.0.nothing(configured(number))) }
    }

    /// A body of so many bytes in pieces of this size, if there is room for it.
    fn fill(room: &Room, number: u8, length: usize, piece: usize) -> Result<Gathered, Crowded> {
        let mut gathered = gathered(room, number);
        let bytes = vec![b'x'; piece];
        while gathered.bytes.len() < length {
            gathered.push(&bytes, length)?;
        }
        Ok(gathered)
    }

    const MIB: usize = 1 << 20;
    /// What tenants hold of the room that fill it one after another.
    const PARTS: [usize; 4] = [HELD_BYTES_MAX / 2, HELD_BYTES_MAX / 4, HELD_BYTES_MAX / 8, HELD_BYTES_MAX / 16];

    #[test]
    fn a_tenant_has_half_of_the_room_and_others_find_theirs() {
        let room = Room::default();
        let held: Vec<_> = (0..8).map(|_| fill(&room, 1, 4 * MIB, MIB / 4).unwrap()).collect();
        assert_eq!(fill(&room, 1, MIB, MIB).err(), Some(Crowded::Share));
        let others: Vec<_> = (0..4).map(|_| fill(&room, 2, 4 * MIB, MIB / 4).unwrap()).collect();
        assert_eq!(fill(&room, 2, MIB, MIB).err(), Some(Crowded::Share));
        // Of what two leave, a third one has half again, and nothing is larger than that.
        assert_eq!(fill(&room, 3, 9 * MIB, MIB).err(), Some(Crowded::All));
        assert!(fill(&room, 3, 8 * MIB, MIB).is_ok());
        drop(others);
        assert!(fill(&room, 3, 16 * MIB, MIB).is_ok() && fill(&room, 1, MIB, MIB).is_err());
        drop(held);
        assert!(fill(&room, 1, 32 * MIB, MIB).is_ok());
    }

    #[test]
    fn a_small_body_needs_no_room_in_however_many_pieces_it_comes() {
        const SMALL: usize = ON_WORKER_BYTES_MAX;
        let room = Room::default();
        let held: Vec<_> = (1..).zip(PARTS).map(|(number, part)| fill(&room, number, part + SMALL, MIB / 32).unwrap()).collect();
        for piece in [1, SMALL / 2 - 1, SMALL / 2 + 1, SMALL] {
            let mut small = gathered(&room, 9);
            let bytes = [b'x'; SMALL];
            // Of a length that nobody told.
            bytes.chunks(piece).for_each(|piece| small.push(piece, 4 * MIB).unwrap());
            assert_eq!((small.push(&[b'x'; 4 * MIB], 8 * MIB).err(), small.bytes.len()), (Some(Crowded::All), SMALL), "{piece}");
        }
        drop(held);
        let largest = fill(&room, 3, PARTS[0] + SMALL, MIB / 32).unwrap();
        assert_eq!(fill(&room, 3, SMALL + 1, 1).err(), Some(Crowded::Share));
        assert!(fill(&room, 3, SMALL, 1).is_ok() && largest.bytes.len() == PARTS[0] + SMALL);
    }

    #[test]
    fn room_is_given_back_with_the_last_byte() {
        let room = Room::default();
        let bytes = fill(&room, 1, 32 * MIB, MIB).unwrap().into_bytes();
        let rest = bytes.slice(32 * MIB - 1..);
        drop(bytes);
        assert!(fill(&room, 1, MIB, MIB).is_err(), "it is still held");
        drop(rest);
        let (bytes, held) = fill(&room, 1, 32 * MIB, MIB).unwrap().into_parts();
        assert_eq!(bytes.len(), 32 * MIB);
        drop(bytes);
        assert!(fill(&room, 1, MIB, MIB).is_err(), "what was made of it is there");
        drop(held);
        assert!(fill(&room, 1, MIB, MIB).is_ok());
    }

    #[test]
    fn what_is_counted_is_what_has_come_and_not_what_was_announced() {
        let room = Room::default();
        let mut begun = Vec::new();
        for _ in 0..1000 {
            let mut one = gathered(&room, 1);
            one.push(&[b'x'; 1000], 4 * MIB).unwrap();
            begun.push(one);
        }
        let mut bytes = gathered(&room, 2);
        for number in 1..=100_000_usize {
            bytes.push(b"x", MIB).unwrap();
            assert!(bytes.bytes.capacity() < 2 * number + 8);
        }
    }
}
