//! Work that comes in floods and takes its time, done a little at a time: whoever else is on the thread has a turn in between.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::sync::Semaphore;
use tokio::task::yield_now;

/// How many may do a step of theirs before everybody else on the thread had a turn. Nobody holds one while it waits for its peer: a few that
/// say nothing would keep all others out.
#[derive(Debug)]
pub(super) struct Turns(Semaphore);

impl Turns {
    pub(super) const fn new(at_once: usize) -> Self {
        Self(Semaphore::const_new(at_once))
    }

    /// Does the work, each step of it when it is its turn.
    pub(super) async fn take<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            // It is never closed; if it were, the work would still have to be done.
            let turn = self.0.acquire().await;
            yield_now().await;
            let step = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
            drop(turn);
            match step {
                Poll::Ready(done) => return done,
                Poll::Pending => Woken::default().await,
            }
        }
    }
}

/// Waits until somebody wakes this task. Whatever the step before waits for wakes it; nothing stands between the two.
#[derive(Debug, Default)]
struct Woken {
    is_waiting: bool,
}

impl Future for Woken {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.is_waiting, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinSet;

    use super::*;

    const AT_ONCE: usize = 2;
    const MANY: usize = 40;

    /// The most steps between two turns of somebody else, of many that take three steps each.
    async fn most_steps_between_turns(turns: Turns) -> usize {
        let (turns, steps, mut works) = (Arc::new(turns), Arc::new(AtomicUsize::new(0)), JoinSet::new());
        for _ in 0..MANY {
            let (turns, steps) = (Arc::clone(&turns), Arc::clone(&steps));
            works.spawn(async move {
                let mut left = 3;
                let work = poll_fn(|cx| {
                    steps.fetch_add(1, Ordering::Relaxed);
                    left -= 1;
                    cx.waker().wake_by_ref();
                    if left == 0 { Poll::Ready(()) } else { Poll::Pending }
                });
                turns.take(work).await;
            });
        }
        let (mut most, mut all) = (0, 0);
        while works.try_join_next().is_some() || !works.is_empty() {
            yield_now().await;
            let seen = steps.swap(0, Ordering::Relaxed);
            (most, all) = (seen.max(most), all + seen);
        }
        assert_eq!(all, 3 * MANY);
        most
    }

    #[tokio::test]
    async fn others_have_their_turns_between() {
        let most = most_steps_between_turns(Turns::new(AT_ONCE)).await;
        assert!((1..=2 * AT_ONCE).contains(&most), "{most}");
        let most = most_steps_between_turns(Turns::new(MANY)).await;
        assert!(most > 4 * AT_ONCE, "without a bound they come one after the other: {most}");
    }

    #[tokio::test]
    async fn who_waits_for_its_peer_keeps_nobody_out() {
        let turns = Turns::new(1);
        let waits = turns.take(std::future::pending::<()>());
        tokio::select! {
            biased;
            () = waits => panic!("nothing comes"),
            done = async {
                yield_now().await;
                yield_now().await;
                turns.take(async { 7 }).await
            } => assert_eq!(done, 7),
        }
    }
}
