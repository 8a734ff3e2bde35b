//! The background tasks of a gateway: each is looked after, so that none ends before its time without being noticed.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::turned;
use crate::clock::Clock;
use crate::https::Stop;
use crate::panics::contained;
use crate::telemetry::{Need, Vital, Vitals, repeats};

/// Before a task is begun again; doubled with each further time, up to the longest. For one that ran for the longest it is the first again.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How often lines that were held back are looked at.
const CATCH_UP_EVERY: Duration = Duration::from_secs(1);

/// All tasks of one gateway.
#[derive(Debug)]
pub(super) struct Tasks {
    running: JoinSet<()>,
    vitals: Arc<Vitals>,
    pause_min: Duration,
    /// Turns true when nothing more is to be accepted: from then on a task may end.
    stopping: Stop,
    /// Turns true when everything is to end.
    ending: Stop,
}

impl Tasks {
    pub(super) fn new(vitals: Arc<Vitals>, stopping: Stop, ending: Stop) -> Self {
        Self { running: JoinSet::new(), vitals, pause_min: PAUSE_MIN, stopping, ending }
    }

    /// Runs a task, and begins it again whenever it ends or panics before its time.
    pub(super) fn keep<T: Future<Output = ()> + Send + 'static>(
        &mut self,
        name: &'static str,
        need: Need,
        begin: impl Fn() -> T + Send + 'static,
    ) {
        let vital = self.vitals.begin(name, need);
        let (stopping, ending, pause_min) = (self.stopping.clone(), self.ending.clone(), self.pause_min);
        self.running.spawn(async move {
            let mut pause = pause_min;
            loop {
                let began = Clock::instant();
                if run(&vital, begin(), &stopping).await {
                    return;
                }
                if began.elapsed() >= PAUSE_MAX {
                    pause = pause_min;
                }
                tokio::select! {
                    () = turned(ending.clone()) => return,
                    () = sleep(pause) => {}
                }
                pause = (pause * 2).min(PAUSE_MAX);
                tracing::info!(task = name, "a background task is begun again");
                vital.begin_again();
            }
        });
    }

    /// Runs a task that cannot be begun again.
    pub(super) fn run_once(&mut self, name: &'static str, need: Need, task: impl Future<Output = ()> + Send + 'static) {
        let vital = self.vitals.begin(name, need);
        let stopping = self.stopping.clone();
        self.running.spawn(async move {
            run(&vital, task, &stopping).await;
        });
    }

    /// Waits until all have ended, after the signals.
    pub(super) async fn ended(mut self) {
        while let Some(ended) = self.running.join_next().await {
            if let Err(cause) = ended {
                tracing::error!(%cause, "a background task had failed");
            }
        }
    }
}

/// Runs a task to its end. Whether that was at its time.
async fn run(vital: &Vital, task: impl Future<Output = ()> + Send, stopping: &Stop) -> bool {
    let ended = contained(Box::pin(task)).await;
    let is_time = *stopping.borrow();
    match ended {
        Ok(()) if is_time => return true,
        Ok(()) => tracing::error!(task = vital.name, "a background task ended before its time"),
        Err(panicked) => tracing::error!(task = vital.name, place = %panicked.place, "a background task panicked"),
    }
    vital.end();
    is_time
}

/// Writes lines that were held back, until the process ends.
pub(super) async fn catch_up(ending: Stop) {
    let mut ended = std::pin::pin!(turned(ending));
    loop {
        tokio::select! {
            () = &mut ended => return,
            () = sleep(CATCH_UP_EVERY) => repeats::catch_up(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::watch;

    use super::*;
    use crate::telemetry::Condition;

    const PATIENCE: Duration = Duration::from_secs(30);
    const PAUSE: Duration = Duration::from_millis(30);

    struct World {
        tasks: Tasks,
        vitals: Arc<Vitals>,
        stop: watch::Sender<bool>,
        end: watch::Sender<bool>,
    }

    fn world() -> World {
        let ((stop, stopping), (end, ending)) = (watch::channel(false), watch::channel(false));
        let vitals = Arc::new(Vitals::default());
        let tasks = Tasks { pause_min: PAUSE, ..Tasks::new(Arc::clone(&vitals), stopping, ending) };
        World { tasks, vitals, stop, end }
    }

    async fn until(what: &str, holds: impl Fn() -> bool) {
        let seen = async {
            while !holds() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_late| panic!("not seen: {what}"));
    }

    #[tokio::test]
    async fn a_task_that_panics_is_seen_and_begun_again_with_growing_pauses() {
        let mut world = world();
        let begun = Arc::new(AtomicU32::new(0));
        let (count, ending) = (Arc::clone(&begun), world.tasks.ending.clone());
        world.tasks.keep("keys", Need::All, move || {
            let (before, ending) = (count.fetch_add(1, Ordering::SeqCst), ending.clone());
            async move {
                assert!(before >= 3, "of the test");
                turned(ending).await;
            }
        });
        let began = Clock::instant();
        until("the first end", || world.vitals.condition().0 == Condition::Failed).await;
        until("the fourth begin", || begun.load(Ordering::SeqCst) == 4).await;
        assert!(began.elapsed() >= 7 * PAUSE, "one pause, two and four: {:?}", began.elapsed());
        until("that it runs", || world.vitals.condition().0 == Condition::Sound).await;
        assert_eq!(world.vitals.all().first().unwrap().ends(), 3);
        world.stop.send_replace(true);
        world.end.send_replace(true);
        world.tasks.ended().await;
        assert_eq!(world.vitals.condition().0, Condition::Sound, "an end at its time is none before");
    }

    #[tokio::test]
    async fn a_task_that_ends_before_its_time_and_cannot_be_begun_again_stays_seen() {
        let mut world = world();
        world.tasks.run_once("front", Need::All, async {});
        until("the end", || world.vitals.condition().0 == Condition::Failed).await;
        world.tasks.run_once("webhook", Need::None, turned(world.tasks.ending.clone()));
        world.stop.send_replace(true);
        world.end.send_replace(true);
        world.tasks.ended().await;
        assert_eq!(world.vitals.condition().1, "1 of 2 do not run: front");
    }

    #[tokio::test]
    async fn what_waits_to_be_begun_again_does_not_hold_up_the_end() {
        let mut world = world();
        world.tasks.pause_min = PATIENCE;
        world.tasks.keep("keys", Need::All, || async {});
        until("the end", || world.vitals.condition().0 == Condition::Failed).await;
        world.stop.send_replace(true);
        world.end.send_replace(true);
        tokio::time::timeout(PATIENCE / 2, world.tasks.ended()).await.expect("it ends at once");
    }
}
