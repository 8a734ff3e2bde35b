//! How busy a worker is, and when it is too busy to take one more request: it says so at once, while that is cheap, and those that it has go on.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::pipeline::Overload;

/// How often a worker looks how late it is.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How late a worker may be with what is due. Every request on it waits as long at least.
const LATE_MAX: Duration = Duration::from_millis(250);
/// So many looks in succession have to find it late: once, it may be that the machine had something else to do.
const LATE_LOOKS: u32 = 3;

/// What one worker has to do.
#[derive(Debug)]
pub(super) struct Load {
    requests_max: usize,
    requests: Arc<AtomicUsize>,
    is_late: AtomicBool,
}

/// A request that counts as long as this is there.
#[derive(Debug)]
pub(super) struct Counted(Arc<AtomicUsize>);

impl Load {
    pub(super) fn new(requests_max: usize) -> Self {
        Self { requests_max, requests: Arc::default(), is_late: AtomicBool::new(false) }
    }

    /// Counts one more request.
    ///
    /// # Errors
    /// When it is one too many.
    pub(super) fn take(&self) -> Result<Counted, Overload> {
        if self.is_late.load(Ordering::Relaxed) {
            return Err(Overload::Late);
        }
        // One worker has one thread: nobody counts meanwhile.
        if self.requests.load(Ordering::Relaxed) >= self.requests_max {
            return Err(Overload::Many { max: self.requests_max });
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        Ok(Counted(Arc::clone(&self.requests)))
    }

    /// Looks how late the worker is, for as long as it runs. A timer is a task among those of the requests: it is as late as they are.
    pub(super) async fn watch(&self) -> Infallible {
        let mut late = 0;
        loop {
            let due = Instant::now() + LOOK_EVERY;
            sleep_until(due).await;
            late = if due.elapsed() > LATE_MAX { late + 1 } else { 0 };
            self.is_late.store(late >= LATE_LOOKS, Ordering::Relaxed);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_requests_at_once_and_room_again_when_one_has_ended() {
        let load = Load::new(2);
        let held = (load.take(), load.take());
        assert_eq!(load.take().err(), Some(Overload::Many { max: 2 }));
        drop(held.0);
        assert!(load.take().is_ok());
    }

    #[tokio::test]
    async fn a_worker_that_is_late_takes_nothing_until_it_is_in_time() {
        let load = Load::new(2);
        let hold = async {
            let mut stalls = 0;
            while load.take().err() != Some(Overload::Late) {
                // Whoever keeps the thread keeps everybody waiting.
                std::thread::sleep(LOOK_EVERY + LATE_MAX);
                stalls += 1;
                tokio::task::yield_now().await;
            }
            while load.take().is_err() {
                tokio::task::yield_now().await;
            }
            stalls
        };
        tokio::select! {
            never = load.watch() => match never {},
            stalls = hold => assert!(stalls >= LATE_LOOKS, "late after {stalls}"),
        }
    }
}
