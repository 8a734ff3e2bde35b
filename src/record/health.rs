//! How keeping records goes: what was lost and why, and what stands in the way. The log is told when something begins and when it ends.

use std::fmt::Display;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;
use crate::ids::RequestId;
use crate::telemetry::{Condition, Repeats};

/// From here on the writer is seen as slow: it writes in milliseconds.
const SLOW: Duration = Duration::from_secs(2);

/// Why a record was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The client left while its request waited for the writer.
    ClientGone,
    /// The disk takes none, and as many wait already as may.
    Disk,
    /// The writer took none for as long as a request waits.
    Slow,
    /// The writer failed with it, or is gone.
    Writer,
}

impl Loss {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::ClientGone, Self::Disk, Self::Slow, Self::Writer];

    /// What metrics call it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ClientGone => "client_gone",
            Self::Disk => "disk",
            Self::Slow => "slow",
            Self::Writer => "writer",
        }
    }
}

/// What keeps records or their heads from the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Heads cannot be written.
    Heads,
    /// Lines cannot be written.
    Lines,
    /// The next segment cannot be begun; the open one grows on.
    Segment,
    /// The writer is being begun again.
    Writer,
}

impl Trouble {
    const ALL: [Self; 4] = [Self::Heads, Self::Lines, Self::Segment, Self::Writer];

    const fn text(self) -> &'static str {
        match self {
            Self::Heads => "heads of the audit cannot be written",
            Self::Lines => "decision records cannot be written",
            Self::Segment => "the next file of decision records cannot be made",
            Self::Writer => "the writer of decision records is begun again",
        }
    }
}

/// Lost records: with a full disk, one for each request.
static LOST: Repeats<(Option<RequestId>, Loss)> = Repeats::new(|(id, loss), times| {
    let id = id.map(|id| id.to_string());
    tracing::error!(id, reason = loss.label(), times, "decision records are lost");
});

/// The state that the writer, its threads and the requests share.
#[derive(Debug, Default)]
pub struct Health {
    lost: [AtomicU64; Loss::ALL.len()],
    troubles: [AtomicBool; Trouble::ALL.len()],
    /// Further records are lost until the disk takes what waits.
    is_full: AtomicBool,
    /// A request has waited for as long as one does, and the writer has taken nothing since.
    is_stuck: AtomicBool,
    has_ended: AtomicBool,
    /// Milliseconds since the machine was started; 0 while the writer waits for work.
    busy_since_ms: AtomicU64,
}

impl Health {
    /// Records lost so far, by reason.
    #[must_use]
    pub fn lost(&self) -> [(Loss, u64); Loss::ALL.len()] {
        Loss::ALL.map(|loss| (loss, self.lost.get(loss as usize).map_or(0, |count| count.load(Ordering::Relaxed))))
    }

    /// Whether there is a writer, and it is not being begun again.
    #[must_use]
    pub fn has_writer(&self) -> bool {
        !self.has_ended.load(Ordering::Acquire) && !self.is_in(Trouble::Writer)
    }

    /// How it goes, and a line about it.
    #[must_use]
    pub fn condition(&self) -> (Condition, String) {
        let lost: u64 = self.lost().iter().map(|(_, count)| count).sum();
        let so_far = move |text: &str| format!("{text}; {lost} records lost since the start");
        if self.has_ended.load(Ordering::Acquire) {
            return (Condition::Failed, so_far("the writer has ended"));
        }
        if self.is_full.load(Ordering::Acquire) || self.is_stuck() {
            return (Condition::Failed, so_far("records are lost now"));
        }
        if let Some(trouble) = Trouble::ALL.into_iter().find(|trouble| self.is_in(*trouble)) {
            return (Condition::Degraded, so_far(trouble.text()));
        }
        match self.busy_for().filter(|time| *time >= SLOW) {
            Some(time) => (Condition::Degraded, so_far(&format!("the disk has kept the writer for {} s", time.as_secs()))),
            None => (Condition::Sound, so_far("records are written")),
        }
    }

    pub(super) fn lose(&self, loss: Loss, id: Option<RequestId>) {
        self.lose_many(loss, id, 1);
    }

    pub(super) fn lose_many(&self, loss: Loss, id: Option<RequestId>, count: u64) {
        if count == 0 {
            return;
        }
        if let Some(lost) = self.lost.get(loss as usize) {
            lost.fetch_add(count, Ordering::Relaxed);
        }
        LOST.note((id, loss));
    }

    /// Something stands in the way now.
    pub(super) fn begin(&self, trouble: Trouble, folder: &Path, cause: &dyn Display) {
        if self.turn(trouble, true) {
            tracing::error!(folder = %folder.display(), %cause, "{}", trouble.text());
        }
    }

    /// It does not any more.
    pub(super) fn end(&self, trouble: Trouble) {
        if self.turn(trouble, false) {
            tracing::info!("over: {}", trouble.text());
        }
    }

    /// Whether that is a change.
    fn turn(&self, trouble: Trouble, is_in: bool) -> bool {
        // Looked at first: the writer says again and again that all is well.
        let changes = |known: &AtomicBool| known.load(Ordering::Acquire) != is_in && known.swap(is_in, Ordering::AcqRel) != is_in;
        self.troubles.get(trouble as usize).is_some_and(changes)
    }

    fn is_in(&self, trouble: Trouble) -> bool {
        self.troubles.get(trouble as usize).is_some_and(|known| known.load(Ordering::Acquire))
    }

    pub(super) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Release);
    }

    /// A request has waited in vain.
    pub(super) fn stick(&self) {
        self.is_stuck.store(true, Ordering::Release);
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.is_stuck.load(Ordering::Acquire)
    }

    /// The writer has taken what waited.
    pub(super) fn work(&self) {
        self.is_stuck.store(false, Ordering::Release);
        let now = u64::try_from(Clock::since_boot().as_millis()).unwrap_or(u64::MAX);
        self.busy_since_ms.store(now.max(1), Ordering::Release);
    }

    /// The writer waits for work.
    pub(super) fn rest(&self) {
        self.busy_since_ms.store(0, Ordering::Release);
    }

    fn busy_for(&self) -> Option<Duration> {
        let since = Some(self.busy_since_ms.load(Ordering::Acquire)).filter(|since| *since > 0)?;
        Some(Clock::since_boot().saturating_sub(Duration::from_millis(since)))
    }

    /// There is no writer any more.
    pub(super) fn finish(&self) {
        self.has_ended.store(true, Ordering::Release);
    }
}
