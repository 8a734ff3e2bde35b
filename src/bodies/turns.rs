//! Whose turn it is to have a large body looked into: one body of each tenant at a time, and tenants one after another. Visitors together are one
//! tenant among the others, and take turns among themselves.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Crowded;
use crate::identity::Owner;
use crate::ids::TenantId;
use crate::shares::Taken;

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
    /// Which of the visitors waits with the tenants.
    of_visitors: Arc<Semaphore>,
    lines: Lock,
    wait_time_max: Duration,
}

#[expect(clippy::disallowed_types, reason = "held for a sum, never across an await, and only for large bodies")]
type Lock = std::sync::Mutex<Lines>;

/// There is a line for each tenant that has a place in it, and no other.
#[derive(Debug, Default)]
struct Lines {
    first: HashMap<TenantId, Arc<Semaphore>, foldhash::fast::RandomState>,
    places: Taken,
}

/// A place in a line, which counts as long as this is there.
#[derive(Debug)]
struct Place {
    owner: Owner,
    turns: Arc<Turns>,
}

/// A body that is looked into, as long as this is there. The thread is given back before the line goes on: who waits from another tenant is next.
#[derive(Debug)]
#[expect(dead_code, reason = "they are kept until it is dropped, in this order")]
pub(super) struct Turn {
    of_all: OwnedSemaphorePermit,
    of_visitors: Option<OwnedSemaphorePermit>,
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
        let at_once = Arc::new(Semaphore::new((workers / 2).max(1)));
        Arc::new(Self { at_once, of_visitors: Arc::new(Semaphore::new(1)), lines: Lock::default(), wait_time_max })
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// When too many wait already, or it takes too long.
    pub(super) async fn take(self: &Arc<Self>, owner: Owner) -> Result<Turn, Crowded> {
        let (place, line) = self.line_up(owner)?;
        let turn = async {
            let of_line = line.acquire_owned().await?;
            let of_visitors = if owner.standing.is_visitor() { Some(Arc::clone(&self.of_visitors).acquire_owned().await?) } else { None };
            let of_all = Arc::clone(&self.at_once).acquire_owned().await?;
            Ok::<_, tokio::sync::AcquireError>((of_all, of_visitors, of_line))
        };
        match timeout(self.wait_time_max, turn).await {
            Ok(Ok((of_all, of_visitors, of_line))) => Ok(Turn { of_all, of_visitors, of_line, place }),
            // Nobody closes them.
            Ok(Err(_)) | Err(_) => Err(Crowded::All),
        }
    }

    fn line_up(self: &Arc<Self>, owner: Owner) -> Result<(Place, Arc<Semaphore>), Crowded> {
        let mut lines = self.lines.lock().map_err(|_poisoned| Crowded::All)?;
        let own = lines.places.of(owner);
        if own >= lines.places.most(owner, OF_ALL_MAX).min(OF_ONE_MAX) {
            return Err(if own == 0 { Crowded::All } else { Crowded::Share });
        }
        lines.places.add(owner, 1);
        let first = lines.first.entry(owner.tenant).or_insert_with(|| Arc::new(Semaphore::new(1)));
        Ok((Place { owner, turns: Arc::clone(self) }, Arc::clone(first)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Ok(mut lines) = self.turns.lines.lock() else { return };
        lines.places.remove(self.owner, 1);
        if lines.places.of(self.owner) == 0 {
            lines.first.remove(&self.owner.tenant);
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
    use crate::identity::Standing;
    use crate::shares::configured;

    const fn visitor(number: u8) -> Owner {
        Owner { standing: Standing::Visitor, ..configured(number) }
    }

    type Waiting = Pin<Box<dyn Future<Output = Result<Turn, Crowded>>>>;

    /// Lines up, and says whether it was its turn at once.
    async fn line_up(turns: &Arc<Turns>, number: u8) -> Result<Turn, Waiting> {
        line_up_as(turns, configured(number)).await
    }

    async fn line_up_as(turns: &Arc<Turns>, owner: Owner) -> Result<Turn, Waiting> {
        let turns = Arc::clone(turns);
        ask(Box::pin(async move { turns.take(owner).await })).await.map(Result::unwrap)
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
                        order.push(next.place.owner.tenant.as_bytes()[0]);
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
        assert!(lines.first.len() <= 1);
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
        assert_eq!(turns.take(configured(1)).await.err(), Some(Crowded::Share));
        held.pop();
        assert!(line_up(&turns, 1).await.is_err(), "it waits");
        held.push(line_up(&turns, 1).await);
        for number in 2..=14 {
            held.extend(full(number, OF_ONE_MAX).await);
        }
        // Each further one has half of what is left.
        for (number, places) in (15..).zip([64, 32, 16, 8, 4, 2, 1, 1]) {
            held.extend(full(number, places).await);
            assert_eq!(turns.take(configured(number)).await.err(), Some(Crowded::Share));
        }
        assert_eq!(turns.take(configured(99)).await.err(), Some(Crowded::All));
        drop(held);
        assert!(turns.lines.lock().unwrap().first.is_empty());
        assert!(line_up(&turns, 17).await.is_ok());
    }

    #[tokio::test]
    async fn visitors_are_one_among_the_others_however_many_they_are() {
        let turns = Turns::new(1);
        let first = line_up(&turns, 1).await.map_err(|_waiting| ()).unwrap();
        let mut waiting = VecDeque::new();
        for number in 11..=15 {
            waiting.push_back(line_up_as(&turns, visitor(number)).await.err().unwrap());
        }
        for number in [2, 3] {
            waiting.push_back(line_up(&turns, number).await.err().unwrap());
        }
        assert_eq!(order(first, waiting).await, [11, 2, 3, 12, 13, 14, 15]);
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let turns = Turns::waiting(1, Duration::from_millis(1));
        let _held = turns.take(configured(1)).await.unwrap();
        assert_eq!(turns.take(configured(2)).await.err(), Some(Crowded::All));
    }
}
