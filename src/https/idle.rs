//! Connections without a request, in the order in which they came to be so: where there is no room for one more, the first of them goes.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use tokio::sync::Notify;

/// The open connections of a listener.
#[derive(Debug, Default)]
pub(super) struct Idle {
    open: DashMap<SocketAddr, Open>,
    /// Numbers connections, and says which of two has been idle for longer.
    next: AtomicU64,
    one_more: Notify,
}

#[derive(Debug)]
struct Open {
    number: u64,
    /// Requests that are handled.
    requests: usize,
    idle_since: u64,
    evicted: Arc<Notify>,
}

impl Idle {
    /// A connection that has been accepted.
    pub(super) fn begin(self: &Arc<Self>, peer: SocketAddr) -> Seat {
        let (number, evicted) = (self.tick(), Arc::new(Notify::new()));
        self.open.insert(peer, Open { number, requests: 0, idle_since: number, evicted: Arc::clone(&evicted) });
        self.one_more.notify_one();
        Seat { idle: Arc::clone(self), peer, number, evicted }
    }

    /// A request that came on it; until this is dropped.
    pub(super) fn asked(self: &Arc<Self>, peer: SocketAddr) -> Asked {
        let number = self.open.get_mut(&peer).map(|mut open| {
            open.requests += 1;
            open.number
        });
        Asked { idle: Arc::clone(self), peer, number }
    }

    /// What is waited for, and for which the connection that has been idle for the longest time goes.
    pub(super) async fn give_way<T>(&self, free: impl Future<Output = T>) -> T {
        let mut free = pin!(free);
        let mut has_evicted = false;
        loop {
            has_evicted = has_evicted || self.evict();
            tokio::select! {
                biased;
                free = free.as_mut() => return free,
                () = self.one_more.notified(), if !has_evicted => {}
            }
        }
    }

    /// Whether there was one to be told.
    fn evict(&self) -> bool {
        let idle = self.open.iter().filter(|open| open.requests == 0);
        let longest = idle.min_by_key(|open| open.idle_since).map(|open| Arc::clone(&open.evicted));
        longest.inspect(|evicted| evicted.notify_one()).is_some()
    }

    fn tick(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Seat {
    idle: Arc<Idle>,
    peer: SocketAddr,
    number: u64,
    evicted: Arc<Notify>,
}

impl Seat {
    /// Serves it to its end, or until another one needs its place.
    pub(super) async fn unless_evicted(self, served: impl Future<Output = ()> + Unpin) {
        tokio::select! {
            biased;
            () = self.evicted.notified() => tracing::debug!(peer = %self.peer, "connection closed: it had no request, and there was no room for others"),
            () = served => {}
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.idle.open.remove_if(&self.peer, |_, open| open.number == self.number);
    }
}

/// A request that is handled.
#[derive(Debug)]
pub(super) struct Asked {
    idle: Arc<Idle>,
    peer: SocketAddr,
    /// Of its connection, which may be gone.
    number: Option<u64>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        let open = self.idle.open.get_mut(&self.peer).filter(|open| Some(open.number) == self.number);
        if let Some(mut open) = open {
            open.requests = open.requests.saturating_sub(1);
            open.idle_since = self.idle.tick();
            self.idle.one_more.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    /// Which of these connections is told to go, once.
    fn evicted(idle: &Idle, seats: &[Seat]) -> Option<u16> {
        assert_eq!(idle.evict(), seats.iter().any(|seat| idle.open.get(&seat.peer).unwrap().requests == 0));
        let is_told = |seat: &&Seat| {
            let mut told = pin!(seat.evicted.notified());
            told.as_mut().enable()
        };
        seats.iter().find(is_told).map(|seat| seat.peer.port())
    }

    #[test]
    fn who_has_been_idle_for_the_longest_time_goes() {
        let idle = Arc::new(Idle::default());
        let seats: Vec<Seat> = (1..=3).map(|port| idle.begin(peer(port))).collect();
        assert_eq!(evicted(&idle, &seats), Some(1));
        let asked = idle.asked(peer(1));
        let again = idle.asked(peer(1));
        assert_eq!(evicted(&idle, &seats), Some(2));
        // One of two requests is answered.
        drop(asked);
        assert_eq!(evicted(&idle, &seats), Some(2));
        let others = [idle.asked(peer(2)), idle.asked(peer(3))];
        assert_eq!(evicted(&idle, &seats), None);
        drop(again);
        drop(others);
        assert_eq!(evicted(&idle, &seats), Some(1));
        drop(idle.asked(peer(1)));
        assert_eq!(evicted(&idle, &seats), Some(2));
        drop(seats);
        assert!(idle.open.is_empty());
    }

    #[test]
    fn a_connection_from_the_address_of_one_that_is_gone_is_another_one() {
        let idle = Arc::new(Idle::default());
        let first = idle.begin(peer(1));
        let asked = idle.asked(peer(1));
        let second = idle.begin(peer(1));
        let requests = || idle.open.get(&peer(1)).map(|open| open.requests);
        let asked_again = idle.asked(peer(1));
        drop(asked);
        assert_eq!(requests(), Some(1));
        drop(first);
        assert_eq!(requests(), Some(1));
        drop((asked_again, second));
        assert_eq!(requests(), None);
    }

    #[tokio::test]
    async fn a_place_is_waited_for_until_somebody_is_idle() {
        let idle = Arc::new(Idle::default());
        let seat = idle.begin(peer(1));
        let asked = idle.asked(peer(1));
        let (gone, free) = oneshot::channel();
        let served = tokio::spawn(async move {
            seat.unless_evicted(Box::pin(std::future::pending())).await;
            gone.send(()).unwrap();
        });
        let waiting = tokio::spawn({
            let idle = Arc::clone(&idle);
            async move { idle.give_way(free).await }
        });
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!served.is_finished(), "its request is handled");
        drop(asked);
        assert!(timeout(PATIENCE, waiting).await.is_ok_and(|waited| matches!(waited, Ok(Ok(())))));
    }
}
