//! How many connections are open from each address: nobody may take all that there are.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

/// Connections that are open on one listener, by address. There is a number for each address that has one open, and no other.
#[derive(Debug)]
pub(super) struct Peers {
    max: usize,
    open: Arc<DashMap<IpAddr, usize>>,
}

/// A connection that counts as long as this is there.
#[derive(Debug)]
pub(super) struct Counted {
    address: IpAddr,
    open: Arc<DashMap<IpAddr, usize>>,
}

impl Peers {
    /// At most so many from each address.
    pub(super) fn new(max: usize) -> Self {
        Self { max, open: Arc::default() }
    }

    /// Counts one more connection of this peer, unless it has as many as it may.
    pub(super) fn admit(&self, peer: SocketAddr) -> Option<Counted> {
        let address = network(peer.ip());
        let mut open = self.open.entry(address).or_insert(0);
        if *open >= self.max {
            return None;
        }
        *open += 1;
        drop(open);
        Some(Counted { address, open: Arc::clone(&self.open) })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Entry::Occupied(mut open) = self.open.entry(self.address) {
            match open.get().checked_sub(1) {
                None | Some(0) => drop(open.remove()),
                Some(rest) => *open.get_mut() = rest,
            }
        }
    }
}

/// What one peer has to itself: an address, and of IPv6 a network of 64 bits. Source: RFC 6177 §2.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().unwrap(), 1)
    }

    #[test]
    fn an_address_has_so_many_connections_and_others_have_theirs() {
        let peers = Peers::new(2);
        let one = (peers.admit(peer("192.0.2.1")), peers.admit(peer("::ffff:192.0.2.1")));
        assert!(one.0.is_some() && one.1.is_some());
        assert!(peers.admit(peer("192.0.2.1")).is_none());
        assert!(peers.admit(peer("192.0.2.2")).is_some());
        drop(one.0);
        let again = peers.admit(peer("192.0.2.1"));
        assert!(again.is_some() && peers.admit(peer("192.0.2.1")).is_none());
        drop((one.1, again));
        assert!(peers.open.is_empty());
    }

    #[test]
    fn a_network_of_64_bits_is_one_peer() {
        let peers = Peers::new(1);
        let held = peers.admit(peer("2001:db8::1"));
        assert!(held.is_some() && peers.admit(peer("2001:db8::ffff:1")).is_none());
        assert!(peers.admit(peer("2001:db8:0:1::1")).is_some());
    }
}
