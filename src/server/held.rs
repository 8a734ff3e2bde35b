//! Answers of the gateway's own that their clients have not taken yet: each is made as a whole and stays until all of it is written.
//!
//! A request for one is small, so whoever does not read could fill the memory with them. While an address has as much waiting as it may, it is
//! answered nothing more of the gateway's own; what is passed on from the backend is not held.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use hyper::body::Bytes;

use crate::https::network;
use crate::pipeline::Overload;

/// A smaller answer does not count: a connection has as much in other buffers.
const SMALL_BYTES_MAX: usize = 64 << 10;
/// Bytes that wait for the clients of one address, or one network of 64 bits of IPv6.
const HELD_BYTES_PER_ADDRESS_MAX: usize = 64 << 20;
/// Bytes that wait for all clients. The answer that exceeds a bound is whole.
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

impl Held {
    /// Whether another answer may be made for this peer.
    ///
    /// # Errors
    /// When as much waits already as may.
    pub(super) fn check(&self, peer: SocketAddr) -> Result<(), Overload> {
        let all = self.0.all.load(Ordering::Relaxed);
        if all >= HELD_BYTES_MAX {
            return Err(Overload::Unread { max: HELD_BYTES_MAX });
        }
        // For most there is nothing to look for.
        let of_peer = if all == 0 { 0 } else { self.0.of.get(&network(peer.ip())).map_or(0, |bytes| *bytes) };
        if of_peer < HELD_BYTES_PER_ADDRESS_MAX { Ok(()) } else { Err(Overload::Unread { max: HELD_BYTES_PER_ADDRESS_MAX }) }
    }

    /// The same answer, which counts until nobody has anything of it any more.
    pub(super) fn keep(&self, peer: SocketAddr, answer: Bytes) -> Bytes {
        if answer.len() <= SMALL_BYTES_MAX {
            return answer;
        }
        let address = network(peer.ip());
        self.0.all.fetch_add(answer.len(), Ordering::Relaxed);
        *self.0.of.entry(address).or_insert(0) += answer.len();
        Bytes::from_owner(Kept { answer, address, totals: Arc::clone(&self.0) })
    }
}

/// An answer that counts.
struct Kept {
    answer: Bytes,
    address: IpAddr,
    totals: Arc<Totals>,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.totals.all.fetch_sub(self.answer.len(), Ordering::Relaxed);
        if let Entry::Occupied(mut of) = self.totals.of.entry(self.address) {
            match of.get().checked_sub(self.answer.len()) {
                None | Some(0) => drop(of.remove()),
                Some(rest) => *of.get_mut() = rest,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 1)
    }

    fn answer(bytes: usize) -> Bytes {
        vec![0; bytes].into()
    }

    #[test]
    fn what_waits_for_an_address_is_bounded_and_others_have_theirs() {
        let held = Held::default();
        let mut kept = vec![held.keep(peer("192.0.2.1"), answer(HELD_BYTES_PER_ADDRESS_MAX - SMALL_BYTES_MAX - 1))];
        assert_eq!(held.check(peer("192.0.2.1")), Ok(()));
        kept.push(held.keep(peer("::ffff:192.0.2.1"), answer(SMALL_BYTES_MAX + 1)));
        assert_eq!(held.check(peer("192.0.2.1")), Err(Overload::Unread { max: HELD_BYTES_PER_ADDRESS_MAX }));
        assert_eq!(held.check(peer("192.0.2.2")), Ok(()));
        // A piece of it is enough to keep all of it.
        let piece = kept.remove(0).slice(..1);
        assert!(held.check(peer("192.0.2.1")).is_err());
        drop(piece);
        assert_eq!(held.check(peer("192.0.2.1")), Ok(()));
        drop(kept);
        assert!(held.0.of.is_empty() && held.0.all.load(Ordering::Relaxed) == 0);
    }

    #[test]
    fn what_waits_for_all_is_bounded() {
        let held = Held::default();
        let one = |number: u8| held.keep(peer(&format!("2001:db8:0:{number:x}::1")), answer(HELD_BYTES_PER_ADDRESS_MAX));
        let mut kept: Vec<Bytes> = (0..4).map(one).collect();
        assert_eq!(held.check(peer("192.0.2.1")), Err(Overload::Unread { max: HELD_BYTES_MAX }));
        kept.pop();
        assert_eq!(held.check(peer("192.0.2.1")), Ok(()));
        assert!(held.check(peer("2001:db8:0:1::2")).is_err(), "of the same network");
    }

    #[test]
    fn small_answers_do_not_count() {
        let held = Held::default();
        let small = held.keep(peer("192.0.2.1"), answer(SMALL_BYTES_MAX));
        assert!(held.0.of.is_empty() && small.len() == SMALL_BYTES_MAX);
    }
}
