//! Answers that are there as a whole and that their clients have not taken yet: the gateway's own, and those of the backend that were read
//! here, because their links are rewritten or something is left out. Each stays until all of it is written.
//!
//! A request for one is small, so whoever does not read could fill the memory with them. What an address has waiting is bounded: what the gateway
//! makes for it counts from the beginning, by an estimate, and what it reads from the backend as it comes. Nothing is begun for an address that has
//! no room left for a page. What is passed on piece by piece is not held.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use hyper::body::Bytes;

use crate::https::network;
use crate::pipeline::Overload;
use crate::shares::of_one_max;

/// A smaller answer does not count: a connection has as much in other buffers. One that is thought to be small counts as this until it is there.
pub(crate) const SMALL_BYTES_MAX: usize = 64 << 10;
/// What a list or a batch counts as until it is there: a page. Nothing of the gateway's own is begun for an address that has less left.
pub(crate) const EXPECTED_BYTES: usize = 1 << 20;
/// Bytes that wait for the clients of one address, or one network of 64 bits of IPv6.
const HELD_BYTES_PER_ADDRESS_MAX: usize = 64 << 20;
/// Bytes that wait for all clients, of which an address has no more than stays free beside it. Who has nothing waiting gets one answer even so, however
/// large it is.
const HELD_BYTES_MAX: usize = 256 << 20;

/// What waits for whom.
#[derive(Debug, Clone, Default)]
pub struct Held(Arc<Totals>);

#[derive(Debug, Default)]
struct Totals {
    all: AtomicUsize,
    /// There is a number for each address that something waits for, and no other.
    of: DashMap<IpAddr, usize>,
}

/// Room for an answer, as long as this is there.
#[derive(Debug)]
pub(crate) struct Place {
    address: IpAddr,
    bytes: usize,
    totals: Arc<Totals>,
}

impl Held {
    /// Room for an answer of the gateway's own that is yet to be made, and is thought to have so many bytes.
    ///
    /// # Errors
    /// When as much waits already as may.
    pub(crate) fn reserve(&self, peer: SocketAddr, expected: usize) -> Result<Place, Overload> {
        let mut place = self.begin(peer);
        place.resize(expected, expected.max(EXPECTED_BYTES))?;
        Ok(place)
    }

    /// Whether there is room for a page that is yet to come from elsewhere.
    ///
    /// # Errors
    /// When there is none.
    pub(crate) fn expect(&self, peer: SocketAddr) -> Result<(), Overload> {
        self.reserve(peer, SMALL_BYTES_MAX).map(drop)
    }

    /// Nothing yet: what comes from elsewhere counts as it comes.
    pub(crate) fn begin(&self, peer: SocketAddr) -> Place {
        Place { address: network(peer.ip()), bytes: 0, totals: Arc::clone(&self.0) }
    }
}

impl Place {
    /// Counts so many bytes, of which there are more to come.
    ///
    /// # Errors
    /// When there is no room for them; what counted before does so still.
    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), Overload> {
        if bytes <= SMALL_BYTES_MAX { Ok(()) } else { self.resize(bytes, bytes) }
    }

    /// The same answer, which counts until nobody has anything of it any more.
    ///
    /// # Errors
    /// When it is larger than what there is room for.
    pub(crate) fn keep(mut self, answer: Bytes) -> Result<Bytes, Overload> {
        if answer.len() <= SMALL_BYTES_MAX {
            return Ok(answer);
        }
        self.resize(answer.len(), answer.len())?;
        Ok(Bytes::from_owner(Kept { answer, _place: self }))
    }

    /// Takes so many bytes instead of those that it has. To take more, there has to be this much room, with those that it has.
    fn resize(&mut self, bytes: usize, room: usize) -> Result<(), Overload> {
        let mut of = self.totals.of.entry(self.address).or_insert(0);
        let others = of.saturating_sub(self.bytes);
        let all = self.totals.all.fetch_add(bytes, Ordering::Relaxed).saturating_sub(self.bytes);
        if bytes > self.bytes
            && let Err(full) = fits(others, all, room)
        {
            self.totals.all.fetch_sub(bytes, Ordering::Relaxed);
            return Err(full);
        }
        self.totals.all.fetch_sub(self.bytes, Ordering::Relaxed);
        *of = others.saturating_add(bytes);
        self.bytes = bytes;
        Ok(())
    }
}

/// Whether so much more may wait for an address beside what waits for it, and for all.
fn fits(of_peer: usize, all: usize, room: usize) -> Result<(), Overload> {
    let max = of_one_max(HELD_BYTES_MAX, all.saturating_sub(of_peer)).min(HELD_BYTES_PER_ADDRESS_MAX);
    match of_peer {
        // Others do not keep it from its only answer, nor does its size, which is bounded where it is made.
        0 => Ok(()),
        of_peer if of_peer.saturating_add(room) > max => Err(Overload::Unread { max }),
        _ => Ok(()),
    }
}

/// An answer that counts.
struct Kept {
    answer: Bytes,
    _place: Place,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        self.totals.all.fetch_sub(self.bytes, Ordering::Relaxed);
        if let Entry::Occupied(mut of) = self.totals.of.entry(self.address) {
            match of.get().checked_sub(self.bytes) {
                None | Some(0) => drop(of.remove()),
                Some(rest) => *of.get_mut() = rest,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "192.0.2.1";
    const OTHER: &str = "192.0.2.2";
    const OF_ONE: Overload = Overload::Unread { max: HELD_BYTES_PER_ADDRESS_MAX };

    fn peer(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 1)
    }

    /// An answer that nothing was reserved for.
    fn keep(held: &Held, address: &str, bytes: usize) -> Result<Bytes, Overload> {
        held.begin(peer(address)).keep(vec![0; bytes].into())
    }

    fn is_free(held: &Held) -> bool {
        held.0.of.is_empty() && held.0.all.load(Ordering::Relaxed) == 0
    }

    #[test]
    fn what_waits_for_an_address_is_bounded_and_others_have_theirs() {
        let held = Held::default();
        let mut kept = vec![keep(&held, ONE, HELD_BYTES_PER_ADDRESS_MAX - EXPECTED_BYTES).unwrap()];
        drop(held.reserve(peer(ONE), EXPECTED_BYTES).unwrap());
        assert_eq!(keep(&held, ONE, EXPECTED_BYTES + 1).err(), Some(OF_ONE));
        kept.push(keep(&held, "::ffff:192.0.2.1", EXPECTED_BYTES).unwrap());
        for expected in [SMALL_BYTES_MAX, EXPECTED_BYTES] {
            assert_eq!(held.reserve(peer(ONE), expected).err(), Some(OF_ONE));
            assert!(held.reserve(peer(OTHER), expected).is_ok());
        }
        // A piece of it is enough to keep all of it.
        let piece = kept.remove(0).slice(..1);
        assert!(keep(&held, ONE, SMALL_BYTES_MAX + 1).is_err());
        drop(piece);
        assert!(keep(&held, ONE, SMALL_BYTES_MAX + 1).is_ok());
        drop(kept);
        assert!(is_free(&held));
    }

    #[test]
    fn what_is_made_counts_from_the_beginning_and_is_corrected() {
        let held = Held::default();
        let most = HELD_BYTES_PER_ADDRESS_MAX / EXPECTED_BYTES;
        let mut places: Vec<Place> = (0..most).map(|_| held.reserve(peer(ONE), EXPECTED_BYTES).unwrap()).collect();
        assert_eq!(held.reserve(peer(ONE), EXPECTED_BYTES).err(), Some(OF_ONE));
        let mut answer = |bytes: usize| places.pop().unwrap().keep(vec![0; bytes].into());
        // What is not larger than expected has its room, and what is larger has none; neither counts as it did.
        let smaller = answer(SMALL_BYTES_MAX + 1).unwrap();
        assert_eq!(held.0.all.load(Ordering::Relaxed), (most - 1) * EXPECTED_BYTES + smaller.len());
        let exact = answer(EXPECTED_BYTES).unwrap();
        assert_eq!(answer(2 * EXPECTED_BYTES).err(), Some(OF_ONE));
        let larger = answer(2 * EXPECTED_BYTES).unwrap();
        drop(answer(0).unwrap());
        let waiting = (most - 5) * EXPECTED_BYTES + smaller.len() + exact.len() + larger.len();
        assert_eq!((held.0.all.load(Ordering::Relaxed), *held.0.of.get(&peer(ONE).ip()).unwrap()), (waiting, waiting));
        drop((places, smaller, exact, larger));
        assert!(is_free(&held));
    }

    #[test]
    fn each_further_address_leaves_half_of_what_it_finds_and_who_has_nothing_gets_one_answer() {
        let held = Held::default();
        let page = |number: u8| keep(&held, &format!("2001:db8:0:{number:x}::1"), EXPECTED_BYTES).ok();
        let all = |number: u8| std::iter::from_fn(|| page(number)).collect::<Vec<Bytes>>();
        let mut kept: Vec<Vec<Bytes>> = (1..=11).map(all).collect();
        assert_eq!(kept.iter().map(Vec::len).collect::<Vec<_>>(), [64, 64, 64, 32, 16, 8, 4, 2, 1, 1, 1]);
        let first = held.reserve(peer(ONE), SMALL_BYTES_MAX).unwrap();
        let refused = |max: usize| Some(Overload::Unread { max });
        assert_eq!(held.reserve(peer(ONE), SMALL_BYTES_MAX).err(), refused(0));
        let first = first.keep(vec![0; 8 * EXPECTED_BYTES].into()).unwrap();
        assert_eq!(keep(&held, ONE, SMALL_BYTES_MAX + 1).err(), refused(0));
        assert_eq!(keep(&held, "2001:db8:0:5::2", SMALL_BYTES_MAX + 1).err(), refused(7 << 19), "of the same network");
        kept.remove(0);
        assert!(keep(&held, ONE, SMALL_BYTES_MAX + 1).is_ok());
        drop((kept, first));
        assert!(is_free(&held));
    }

    #[test]
    fn the_only_answer_of_an_address_is_given_whatever_its_size() {
        let held = Held::default();
        let only = keep(&held, ONE, HELD_BYTES_MAX + 1).unwrap();
        assert_eq!(keep(&held, ONE, SMALL_BYTES_MAX + 1).err(), Some(OF_ONE));
        drop(only);
        assert!(is_free(&held));
    }

    #[test]
    fn what_comes_from_elsewhere_counts_as_it_comes_and_is_not_begun_without_room() {
        let held = Held::default();
        held.expect(peer(ONE)).unwrap();
        let mut place = held.begin(peer(ONE));
        place.grow(SMALL_BYTES_MAX).unwrap();
        assert!(is_free(&held));
        let waiting = keep(&held, ONE, HELD_BYTES_PER_ADDRESS_MAX - EXPECTED_BYTES).unwrap();
        for bytes in [SMALL_BYTES_MAX + 1, EXPECTED_BYTES] {
            place.grow(bytes).unwrap();
            assert_eq!(held.0.all.load(Ordering::Relaxed), waiting.len() + bytes);
        }
        assert_eq!((place.grow(EXPECTED_BYTES + 1).err(), held.expect(peer(ONE)).err()), (Some(OF_ONE), Some(OF_ONE)));
        assert!(held.expect(peer(OTHER)).is_ok());
        let answer = place.keep(vec![0; EXPECTED_BYTES].into()).unwrap();
        drop(waiting);
        assert_eq!(held.0.all.load(Ordering::Relaxed), answer.len());
        drop(answer);
        assert!(is_free(&held));
    }

    #[test]
    fn small_answers_do_not_count() {
        let held = Held::default();
        let small = keep(&held, ONE, SMALL_BYTES_MAX).unwrap();
        assert!(is_free(&held) && small.len() == SMALL_BYTES_MAX);
    }
}
