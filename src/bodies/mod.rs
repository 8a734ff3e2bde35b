//! Request bodies that are read as a whole: how much of them is held, and who looks into the large ones.
//!
//! What one tenant sends must not keep others waiting. The bytes that are held are counted by tenant, and a large body is looked into on a thread
//! beside the workers, where tenants take turns. Small ones, which most are, stay on the worker that has them.

mod gather;
mod turns;

use std::sync::Arc;

use tokio::task::spawn_blocking;

pub use self::gather::{GatherError, Room};
pub(crate) use self::gather::{Gathered, Held, poll_data};
use self::turns::Turn;
pub use self::turns::Turns;
use crate::identity::Owner;
use crate::panics::{Panicked, contain};

/// A larger body is looked into beside the worker. One of this size can keep a worker for 2 ms, whatever it holds.
const ON_WORKER_BYTES_MAX: usize = 32 << 10;

/// Why a body is not taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    /// Everybody together has too many of them under way.
    #[error("the gateway has as many large bodies to read as it can; ask again in a second")]
    All,
    /// The caller's tenant has too many of them under way.
    #[error("the caller's tenant has as many large bodies under way as it may; try again when some of them have ended")]
    Share,
}

/// Why a body was not looked into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRead {
    /// There are too many.
    #[error(transparent)]
    Crowded(#[from] Crowded),
    /// Whoever did panicked.
    #[error(transparent)]
    Panicked(#[from] Panicked),
}

/// Reads the bodies of one tenant.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// Whose they are.
    pub owner: Owner,
    /// What may be held of them.
    pub room: &'a Room,
    /// Who looks into them, and when.
    pub turns: &'a Arc<Turns>,
}

impl Reader<'_> {
    /// Whether a body of so many bytes is looked into beside the worker.
    #[must_use]
    pub const fn is_large(bytes: usize) -> bool {
        bytes > ON_WORKER_BYTES_MAX
    }

    /// Looks into a body of so many bytes: at once, or when it is its tenant's turn.
    ///
    /// # Errors
    /// When too many wait already, or the work panicked.
    pub async fn look<T: Send + 'static>(&self, bytes: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T, NotRead> {
        if Self::is_large(bytes) { self.beside(work).await } else { Ok(work()) }
    }

    /// Does the work beside the worker, when it is its tenant's turn.
    ///
    /// # Errors
    /// As for [`look`](Self::look).
    pub async fn beside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, NotRead> {
        let turn = self.turns.take(self.owner).await?;
        beside(turn, work).await
    }
}

/// Does the work on a thread that may block. The turn lasts as long as the work, whoever waits for it.
async fn beside<T: Send + 'static>(turn: Turn, work: impl FnOnce() -> T + Send + 'static) -> Result<T, NotRead> {
    let done = spawn_blocking(move || {
        let done = contain(work);
        drop(turn);
        done
    });
    match done.await {
        Ok(done) => Ok(done?),
        // Its runtime is ending, and with it whoever asks.
        Err(_cancelled) => Err(Crowded::All.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::shares::configured;

    #[tokio::test]
    async fn the_worker_goes_on_while_a_large_body_is_looked_into() {
        let (room, turns) = (Room::default(), Turns::new(1));
        let reader = |number: u8| Reader { owner: configured(number), room: &room, turns: &turns };
        let (release, released) = mpsc::channel::<()>();
        let (first, second) = (reader(1), reader(2));
        let large = first.look(ON_WORKER_BYTES_MAX + 1, move || released.recv().is_ok());
        let small = async {
            // This runtime has one thread: had the large one its own way with it, nobody came to this.
            let here = std::thread::current().id();
            let worker = second.look(ON_WORKER_BYTES_MAX, || std::thread::current().id()).await;
            assert_eq!(worker, Ok(here));
            release.send(()).unwrap();
        };
        assert_eq!(tokio::join!(large, small).0, Ok(true));
    }

    #[tokio::test]
    async fn a_panic_ends_one_look_and_gives_its_turn_back() {
        let (room, turns) = (Room::default(), Turns::new(1));
        let reader = Reader { owner: configured(1), room: &room, turns: &turns };
        let failed = reader.look(ON_WORKER_BYTES_MAX + 1, || -> u8 { panic!("of the test") }).await;
        assert!(matches!(failed, Err(NotRead::Panicked(_))), "{failed:?}");
        assert_eq!(reader.look(ON_WORKER_BYTES_MAX + 1, || 1).await, Ok(1));
    }

    #[tokio::test]
    async fn a_turn_lasts_as_long_as_the_work_when_nobody_waits_for_it() {
        let (room, turns) = (Room::default(), Turns::new(1));
        let reader = |number: u8| Reader { owner: configured(number), room: &room, turns: &turns };
        let (release, released) = mpsc::channel::<()>();
        let (begin, begun) = tokio::sync::oneshot::channel();
        let (first, second) = (reader(1), reader(2));
        let left = first.look(ON_WORKER_BYTES_MAX + 1, move || {
            begin.send(()).unwrap();
            released.recv().unwrap();
        });
        tokio::select! {
            _ = left => panic!("it is not released"),
            begun = begun => begun.unwrap(),
        }
        let mut next = std::pin::pin!(second.look(ON_WORKER_BYTES_MAX + 1, || 2));
        assert!(futures_poll(next.as_mut()).await.is_none(), "the thread is not free");
        release.send(()).unwrap();
        assert_eq!(next.await, Ok(2));
    }

    /// What a future gives without a wait.
    async fn futures_poll<F: Future>(mut future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
            std::task::Poll::Pending => std::task::Poll::Ready(None),
        })
        .await
    }
}
