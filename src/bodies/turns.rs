//! Whose turn it is to have a large body looked into: one body of each tenant at a time, and tenants one after another.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Crowded;
use crate::ids::TenantId;

/// Large bodies of one tenant that wait or are looked into.
const OF_ONE_MAX: usize = 64;
/// Those of all tenants.
const OF_ALL_MAX: usize = 1024;
/// How long one waits.
const WAIT_TIME_MAX: Duration = Duration::from_secs(10);

/// The large bodies of all workers. Each tenant has a line of its own, of which the first one waits with the first ones of others: a body never waits
/// for more than one of any other tenant.
#[derive(Debug)]
pub struct Turns {
    at_once: Arc<Semaphore>,
    lines: Lock,
    wait_time_max: Duration,
}

#[expect(clippy::disallowed_types, reason = "held for a sum, never across an await, and only for large bodies")]
type Lock = std::sync::Mutex<Lines>;

/// There is a line for each tenant that has a place in it, and no other.
#[derive(Debug, Default)]
struct Lines {
    by_tenant: HashMap<TenantId, Line, foldhash::fast::RandomState>,
    places: usize,
}

#[derive(Debug)]
struct Line {
    first: Arc<Semaphore>,
    places: usize,
}

/// A place in a line, which counts as long as this is there.
#[derive(Debug)]
struct Place {
    tenant: TenantId,
    turns: Arc<Turns>,
}

/// A body that is looked into, as long as this is there. The thread is given back before the line goes on: who waits from another tenant is next.
#[derive(Debug)]
#[expect(dead_code, reason = "they are kept until it is dropped, in this order")]
pub(super) struct Turn {
    of_all: OwnedSemaphorePermit,
    of_line: OwnedSemaphorePermit,
    place: Place,
}

impl Turns {
    /// Turns beside so many workers: half as many bodies at once, and one at least.
    #[must_use]
    pub fn new(workers: usize) -> Arc<Self> {
        Self::waiting(workers, WAIT_TIME_MAX)
    }

    fn waiting(workers: usize, wait_time_max: Duration) -> Arc<Self> {
        Arc::new(Self { at_once: Arc::new(Semaphore::new((workers / 2).max(1))), lines: Lock::default(), wait_time_max })
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// When too many wait already, or it takes too long.
    pub(super) async fn take(self: &Arc<Self>, tenant: TenantId) -> Result<Turn, Crowded> {
        let (place, line) = self.line_up(tenant)?;
        let turn = async {
            let of_line = line.acquire_owned().await?;
            let of_all = Arc::clone(&self.at_once).acquire_owned().await?;
            Ok::<_, tokio::sync::AcquireError>((of_all, of_line))
        };
        match timeout(self.wait_time_max, turn).await {
            Ok(Ok((of_all, of_line))) => Ok(Turn { of_all, of_line, place }),
            // Nobody closes them.
            Ok(Err(_)) | Err(_) => Err(Crowded::All),
        }
    }

    fn line_up(self: &Arc<Self>, tenant: TenantId) -> Result<(Place, Arc<Semaphore>), Crowded> {
        let mut lines = self.lines.lock().map_err(|_poisoned| Crowded::All)?;
        if lines.by_tenant.get(&tenant).is_some_and(|line| line.places >= OF_ONE_MAX) {
            return Err(Crowded::Share);
        }
        if lines.places >= OF_ALL_MAX {
            return Err(Crowded::All);
        }
        lines.places += 1;
        let line = lines.by_tenant.entry(tenant).or_insert_with(|| Line { first: Arc::new(Semaphore::new(1)), places: 0 });
        line.places += 1;
        Ok((Place { tenant, turns: Arc::clone(self) }, Arc::clone(&line.first)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Ok(mut lines) = self.turns.lines.lock() else { return };
        lines.places = lines.places.saturating_sub(1);
        if let Entry::Occupied(mut line) = lines.by_tenant.entry(self.tenant) {
            line.get_mut().places = line.get().places.saturating_sub(1);
            if line.get().places == 0 {
                line.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;

    use super::*;

    const fn tenant(number: u8) -> TenantId {
        TenantId::from_bytes([number; 16])
    }

    type Waiting = Pin<Box<dyn Future<Output = Result<Turn, Crowded>>>>;

    /// Lines up, and says whether it was its turn at once.
    async fn line_up(turns: &Arc<Turns>, number: u8) -> Result<Turn, Waiting> {
        let turns = Arc::clone(turns);
        ask(Box::pin(async move { turns.take(tenant(number)).await })).await.map(Result::unwrap)
    }

    async fn ask(mut waiting: Waiting) -> Result<Result<Turn, Crowded>, Waiting> {
        let polled = poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await;
        match polled {
            Poll::Ready(turn) => Ok(turn),
            Poll::Pending => Err(waiting),
        }
    }

    /// Gives turns back one by one, and tells whose came in which order.
    async fn order(first: Turn, mut waiting: VecDeque<Waiting>) -> Vec<u8> {
        let (mut turn, mut order) = (Some(first), Vec::new());
        while !waiting.is_empty() {
            drop(turn.take());
            // Twice: the first one of a line begins to wait with others when its line goes on.
            for _ in 0..2 * waiting.len() {
                match ask(waiting.pop_front().unwrap()).await {
                    Ok(next) => {
                        let next = next.unwrap();
                        order.push(next.place.tenant.as_bytes()[0]);
                        turn = Some(next);
                        break;
                    }
                    Err(still) => waiting.push_back(still),
                }
            }
            assert!(turn.is_some(), "nobody has the turn: {order:?}");
        }
        order
    }

    #[tokio::test]
    async fn a_tenant_waits_behind_itself_and_not_in_front_of_others() {
        let turns = Turns::new(1);
        let first = line_up(&turns, 1).await.map_err(|_waiting| ()).unwrap();
        let mut waiting = VecDeque::new();
        for number in [1, 1, 1, 2, 2, 3] {
            waiting.push_back(line_up(&turns, number).await.err().unwrap());
        }
        let order = order(first, waiting).await;
        assert_eq!((&order[..2], order.len()), (&[2, 3][..], 6), "others come first: {order:?}");
        assert!(order.iter().rposition(|who| *who == 2) < order.iter().rposition(|who| *who == 1), "{order:?}");
        let lines = turns.lines.lock().unwrap();
        assert!(lines.places <= 1 && lines.by_tenant.len() <= 1);
    }

    #[tokio::test]
    async fn one_tenant_has_one_thread_and_leaves_the_others() {
        let turns = Turns::new(4);
        let first = line_up(&turns, 1).await;
        assert!(first.is_ok() && line_up(&turns, 1).await.is_err());
        let second = line_up(&turns, 2).await;
        assert!(second.is_ok() && line_up(&turns, 3).await.is_err(), "two at once");
    }

    #[tokio::test]
    async fn lines_are_bounded_and_who_leaves_makes_room() {
        let turns = Turns::new(1);
        let full = async |number: u8, places: usize| {
            let mut held = Vec::new();
            for _ in 0..places {
                held.push(line_up(&turns, number).await);
            }
            held
        };
        let mut held = full(1, OF_ONE_MAX).await;
        assert_eq!(turns.take(tenant(1)).await.err(), Some(Crowded::Share));
        held.pop();
        assert!(line_up(&turns, 1).await.is_err(), "it waits");
        held.push(line_up(&turns, 1).await);
        for number in 2..=16 {
            held.extend(full(number, OF_ONE_MAX).await);
        }
        assert_eq!(turns.take(tenant(17)).await.err(), Some(Crowded::All));
        drop(held);
        assert!(turns.lines.lock().unwrap().by_tenant.is_empty());
        assert!(line_up(&turns, 17).await.is_ok());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let turns = Turns::waiting(1, Duration::from_millis(1));
        let _held = turns.take(tenant(1)).await.unwrap();
        assert_eq!(turns.take(tenant(2)).await.err(), Some(Crowded::All));
    }
}
