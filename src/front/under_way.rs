//! What is under way on this listener, by address: who keeps a request waiting, with a body that does not come, keeps what is its own and not what
//! others need. Each address has at most as much as stays free beside it.

use std::net::{IpAddr, SocketAddr};

use super::answer::Refusal;
use crate::https::network;
use crate::shares::{NoneLeft, Share, Shares};

/// Requests at once. Source: Service Provider Foundation, its default.
const REQUESTS_MAX: usize = 1000;
/// Those of them whose bodies are waited for: the others are left for requests without one, whoever stalls.
const BODIES_MAX: usize = 500;
/// Visitors who sign up at once.
const VISITORS_MAX: usize = 32;
/// Visitors whose bodies are waited for. They are nobody in particular, so those of others do not wait for them.
const VISITORS_BODIES_MAX: usize = 256;

/// What is under way.
#[derive(Debug)]
pub(super) struct UnderWay {
    pub(super) requests: Places,
    pub(super) bodies: Places,
    pub(super) visitors: Places,
    pub(super) visitors_bodies: Places,
}

/// Places for so many.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
    shares: Shares<IpAddr>,
}

/// Something that is under way as long as this is there.
pub(super) type Place = Share<IpAddr>;

impl Default for UnderWay {
    fn default() -> Self {
        Self {
            requests: Places::new(REQUESTS_MAX),
            bodies: Places::new(BODIES_MAX),
            visitors: Places::new(VISITORS_MAX),
            visitors_bodies: Places::new(VISITORS_BODIES_MAX),
        }
    }
}

impl Places {
    fn new(max: usize) -> Self {
        Self { max, shares: Shares::of(max) }
    }

    /// A place for one more of this peer's.
    pub(super) fn take(&self, peer: SocketAddr) -> Result<Place, Refusal> {
        self.shares.take(network(peer.ip())).map_err(|none| match none {
            NoneLeft::OfAll => Refusal::Busy { max: self.max, of_address: false },
            NoneLeft::OfOne { max } => Refusal::Busy { max, of_address: true },
        })
    }
}

#[cfg(test)]
mod tests {
    use hyper::StatusCode;

    use super::*;

    /// As many places as a peer gets, and the refusal of the next one.
    fn all(places: &Places, address: &str) -> (Vec<Place>, Refusal) {
        let peer = SocketAddr::new(address.parse().unwrap(), 1);
        let mut taken = Vec::new();
        loop {
            match places.take(peer) {
                Ok(place) => taken.push(place),
                Err(refusal) => return (taken, refusal),
            }
        }
    }

    #[test]
    fn an_address_has_as_much_as_stays_free_beside_it() {
        let under_way = UnderWay::default();
        let UnderWay { requests, bodies, visitors, visitors_bodies } = &under_way;
        for (places, expected) in
            [(requests, [500, 250, 125]), (bodies, [250, 125, 63]), (visitors, [16, 8, 4]), (visitors_bodies, [128, 64, 32])]
        {
            let held = ["192.0.2.1", "192.0.2.2", "2001:db8::1"].map(|address| all(places, address).0);
            assert_eq!(held.each_ref().map(Vec::len), expected);
            assert!(all(places, "2001:db8::2").0.is_empty(), "of the same network");
            drop(held);
            assert_eq!(all(places, "192.0.2.9").0.len(), expected[0], "all of it was given back");
        }
    }

    #[test]
    fn who_has_enough_is_told_so_and_whom_others_left_nothing_as_well() {
        let visitors = UnderWay::default().visitors;
        let (first, refusal) = all(&visitors, "192.0.2.1");
        assert_eq!(refusal.to_string(), "16 requests from this address are under way; try again in a second");
        assert_eq!((refusal.status(), &*refusal.code()), (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"));
        let others: Vec<_> = (2..=9).map(|number| all(&visitors, &format!("192.0.2.{number}"))).collect();
        let (none, refusal) = all(&visitors, "192.0.2.10");
        assert_eq!((none.len(), others.iter().map(|(places, _)| places.len()).sum::<usize>() + first.len()), (0, VISITORS_MAX));
        assert_eq!(refusal.to_string(), "32 requests are under way; try again in a second");
        assert_eq!((refusal.status(), &*refusal.code()), (StatusCode::SERVICE_UNAVAILABLE, "ServerBusy"));
        for of_address in [false, true] {
            assert_eq!(Refusal::Busy { max: 1, of_address }.headers(), [("retry-after", "1".to_owned())]);
        }
    }
}
