//! The journal: records in their segments, linked into the logs of their tenants, and heads over them.
//!
//! A record is in the journal once [`Journal::append`] returns, in the file after the next flush, and on the disk for certain when
//! a head covers it. The end of a killed process loses what was not flushed, and never breaks a log: the next start goes on from
//! what is in the files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::archive::{self, Kind};
use super::audit::{LineHasher, Linked, Log, PublicKey};
use super::chains::Chains;
use super::health::{Health, Loss};
use super::key_file::{self, KeyFileError};
use super::ledger::{GrantKey, Ledger, Uses};
use super::sealer::{Heads, Job, Sealer, Stated};
use super::segments::{By, Segments};
use super::stored::{Evidence, Frames, Scribe};
use super::tally::Tally;
use super::{Activities, ActivityQuery, Filter, Finished, Found, Recent, Record, RecordConfig, Told};
use crate::clock::{Clock, Timestamp};
use crate::ids::RequestId;
use crate::panics;

/// A head follows a record after this time at the latest, if the disk is not behind.
pub(super) const SEAL_TIME_MAX: Duration = Duration::from_secs(5);

/// Activities in one answer, and records looked at for one.
const ACTIVITIES_SHOWN_MAX: usize = 200;
const ACTIVITIES_READ_MAX: usize = 2_000;

/// The records cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The folder or a file of it.
    #[error("cannot keep records in `{}`", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The key of the heads.
    #[error("the key of the audit `{}` cannot be used", path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: KeyFileError,
    },
}

/// Records, appended by one owner.
#[derive(Debug)]
pub struct Journal {
    segments: Segments,
    chains: Chains,
    ledger: Ledger,
    frames: Frames,
    scribe: Scribe,
    tally: Tally,
    sealer: Sealer,
    key: PublicKey,
    /// Since when something has no head.
    unsealed_since: Option<Instant>,
    health: Arc<Health>,
}

impl Journal {
    /// Opens the folder and goes on where its files end.
    ///
    /// # Errors
    /// When the folder cannot be made, read or written, or the key beside it not be used.
    pub fn open(config: &RecordConfig, clock: Clock) -> Result<Self, SegmentError> {
        Self::open_under(config, clock, Arc::default())
    }

    /// The same; what stands in its way is said there.
    pub(super) fn open_under(config: &RecordConfig, clock: Clock, health: Arc<Health>) -> Result<Self, SegmentError> {
        let key_path = key_file::path(&config.folder);
        let failed = |cause| SegmentError::Io { path: config.folder.clone(), cause };
        std::fs::create_dir_all(&config.folder).map_err(failed)?;
        let signer = key_file::load_or_make(&key_path).map_err(|cause| SegmentError::Key { path: key_path, cause })?;
        let key = signer.public().clone();
        let now = clock.now();
        mend(config, now).map_err(failed)?;
        let heads = Kind::Heads.numbers(&config.folder).map_err(failed)?;
        let stated = Stated::read(&config.folder, &heads, &key).map_err(failed)?;
        let mut chains = Chains::default();
        stated.newest.values().for_each(|head| chains.resume(head));
        let heads_files = Heads::new(config.folder.clone(), signer, clock, stated);
        let sealer = Sealer::start(heads_files, Arc::clone(&health)).map_err(failed)?;
        let segments = Segments::open(config, Arc::clone(&health)).map_err(failed)?;
        let ledger = Ledger::new(now);
        let (frames, scribe, tally) = (Frames::default(), Scribe::default(), Tally::new());
        let mut journal = Self { segments, chains, ledger, frames, scribe, tally, sealer, key, unsealed_since: None, health };
        journal.take_up(config, &heads).map_err(failed)?;
        Ok(journal)
    }

    /// Reads what is there, signs for what had no head yet, and removes what is too much.
    fn take_up(&mut self, config: &RecordConfig, heads: &[u64]) -> io::Result<()> {
        let numbers = Kind::Records.numbers(&config.folder)?;
        let mut is_intact = true;
        for number in &numbers {
            self.segments.index(*number, |record| self.ledger.note(record), |line| is_intact &= self.chains.find(line))?;
            let file = archive::append_to(&Kind::Records.path(&config.folder, *number))?;
            self.order_heads(*number, file);
        }
        if !is_intact {
            tracing::error!(folder = %config.folder.display(), "records were changed or lost; `steward audit verify` says which");
        }
        let oldest = numbers.first().copied().unwrap_or(1);
        for orphan in heads.iter().filter(|number| **number < oldest) {
            self.sealer.order(Job::Remove { segment: *orphan, newest: self.segments.newest() });
        }
        self.make_room();
        Ok(())
    }

    /// Appends the record of a request to the logs it belongs to, or counts it there for a summary. When the disk has taken nothing for long,
    /// the record is lost, and that is said.
    pub fn record(&mut self, finished: &Finished) {
        if !self.is_ready() {
            return self.lose(finished.trail.id);
        }
        let (evidence, now) = (Evidence::of(finished), Clock::instant());
        if self.tally.is_to_count(&evidence, &self.segments, now) {
            return self.tally.count(finished, now);
        }
        match (evidence.logs(), evidence.told()) {
            ((log, Some(home)), Told::NoSuchTarget) => {
                self.write_evidence(&evidence, (log, None));
                self.write_evidence(&evidence.without_target(), (home, None));
            }
            (logs, Told::Everything | Told::NoSuchTarget) => self.write_evidence(&evidence, logs),
        }
    }

    /// Appends a record that is at hand already, in its long form.
    pub fn append(&mut self, record: &Record, told: Told) {
        if !self.is_ready() {
            return self.lose(record.id);
        }
        self.ledger.note(record);
        match (record.logs(), told) {
            ((log, Some(home)), Told::NoSuchTarget) => {
                self.write(record, (log, None));
                self.write(&record.without_target(), (home, None));
            }
            (logs, Told::Everything | Told::NoSuchTarget) => self.write(record, logs),
        }
    }

    /// Makes place for another record. Says whether there is any.
    fn is_ready(&mut self) -> bool {
        if self.segments.is_full() && self.segments.has_room() {
            self.turn_over();
        }
        let is_ready = self.segments.has_room();
        if is_ready {
            self.unsealed_since.get_or_insert_with(Clock::instant);
        }
        is_ready
    }

    fn write_evidence(&mut self, evidence: &Evidence<'_>, logs: (Log, Option<Log>)) {
        let frame = self.frames.of(evidence);
        if evidence.is_whole() {
            self.ledger.note_evidence(evidence, frame.grant_key.as_ref());
        }
        let (scribe, chains) = (&mut self.scribe, &mut self.chains);
        let trail = evidence.trail();
        self.segments.write(trail.id, By::caller(trail.caller.as_deref()), Some(trail.received), |line| {
            let hasher = scribe.write(line, evidence, frame);
            chains.link(line, hasher, logs);
        });
    }

    fn write(&mut self, record: &Record, logs: (Log, Option<Log>)) {
        let mut json = match serde_json::to_vec(record) {
            Ok(json) => json,
            Err(cause) => return tracing::error!(id = %record.id, %cause, "a decision record cannot be written as JSON"),
        };
        json.pop();
        let mut hasher = LineHasher::default();
        hasher.update(&json);
        self.segments.write(record.id, By::whom(record), record.time.parse().ok(), |line| {
            line.extend_from_slice(&json);
            self.chains.link(line, hasher, logs);
        });
    }

    /// Writes summaries of what was counted. Those that the disk has no room for are lost.
    fn sum_up(&mut self) {
        for (log, record) in self.tally.take() {
            if !self.is_ready() {
                let requests = record.counted.as_ref().map_or(1, |counted| counted.requests);
                self.health.lose_many(Loss::Disk, Some(record.id), requests);
                self.segments.flush();
                continue;
            }
            self.ledger.note(&record);
            self.write(&record, (log, None));
        }
    }

    fn lose(&mut self, id: RequestId) {
        self.health.lose(Loss::Disk, Some(id));
        self.segments.flush();
    }

    fn turn_over(&mut self) {
        let closed = self.segments.newest();
        let handle = self.segments.handle();
        if !self.segments.turn_over() {
            return;
        }
        match handle {
            Ok(file) => self.order_heads(closed, file),
            Err(cause) => tracing::error!(%cause, segment = closed, "a closed segment has no heads"),
        }
        self.make_room();
    }

    /// The last record of each log in a segment gets a head, whatever the disk's pace: removing the segment depends on it.
    fn order_heads(&mut self, segment: u64, file: std::fs::File) {
        let states = self.chains.take_unsealed();
        self.unsealed_since = None;
        if !states.is_empty() {
            self.sealer.order(Job::Seal { segment, file, states });
        }
    }

    fn make_room(&mut self) {
        while let Some(segment) = self.segments.forget_oldest(self.sealer.bytes()) {
            self.sealer.order(Job::Remove { segment, newest: self.segments.newest() });
        }
    }

    /// Hands everything to the operating system. Says whether it took it.
    pub fn flush(&mut self) -> bool {
        self.segments.flush()
    }

    /// When summaries or the next heads are due; none while nothing is counted and heads cover everything.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.seal_due().into_iter().chain(self.tally.due()).min()
    }

    fn seal_due(&self) -> Option<Instant> {
        self.unsealed_since.map(|since| since + SEAL_TIME_MAX)
    }

    /// Does what is due at this time.
    pub fn keep_up(&mut self, now: Instant) {
        if self.tally.due().is_some_and(|due| due <= now) {
            self.sum_up();
        }
        if self.seal_due().is_some_and(|due| due <= now) {
            self.seal();
        }
    }

    /// Has heads signed for every log that has grown. While the disk is behind, they come later and for more.
    pub fn seal(&mut self) {
        self.unsealed_since = None;
        if self.chains.is_sealed() {
            return;
        }
        let is_written = self.segments.flush();
        let handle = self.segments.handle().ok().filter(|_| is_written && self.sealer.has_time());
        match handle {
            Some(file) => self.order_heads(self.segments.newest(), file),
            None => self.unsealed_since = Some(Clock::instant()),
        }
    }

    /// The public half of the key of the heads.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The record whose id begins with `prefix` (hexadecimal, lower case).
    pub fn find(&mut self, prefix: &str) -> Found {
        self.segments.find(prefix)
    }

    /// The newest records that pass the filter.
    pub fn recent(&mut self, filter: &Filter) -> Recent {
        self.segments.recent(filter)
    }

    /// When grants were last used.
    #[must_use]
    pub fn uses(&self, keys: &[GrantKey]) -> Uses {
        self.ledger.uses(keys)
    }

    /// What was done in a subscription: a page of it. A page is full, or ends because enough was looked at for now.
    pub fn activities(&mut self, query: &ActivityQuery) -> Activities {
        self.segments.flush();
        let mut page = Activities::default();
        let all = self.ledger.activities(query.subscription, query.from, query.until).enumerate();
        for (place, (_, id)) in all.skip(query.skip) {
            if page.records.len() >= ACTIVITIES_SHOWN_MAX || place >= query.skip.saturating_add(ACTIVITIES_READ_MAX) {
                page.next = Some(place);
                break;
            }
            page.records.extend(self.segments.get(id).filter(|record| (query.wanted)(record)).map(|record| (place, record)));
        }
        page
    }

    /// Where the files are.
    pub(super) fn folder(&self) -> &Path {
        self.segments.folder()
    }

    /// Whether it cannot go on: nobody signs heads.
    pub(super) fn is_broken(&self) -> bool {
        self.sealer.is_gone()
    }

    /// Leaves the files to another journal after a failure: what a panic left of a line is a torn one, as after a crash. Says how many
    /// records the disk did not take any more.
    pub(super) fn abandon(mut self) -> u64 {
        // Nothing else of it is used again.
        let flushed = panics::contain(|| self.segments.flush());
        let unwritten = if flushed == Ok(true) { 0 } else { self.segments.unwritten() };
        let counted = self.tally.counted();
        self.sealer.join();
        unwritten + counted
    }

    /// Writes everything, signs for it and waits for the disk.
    pub fn close(mut self) {
        self.sum_up();
        if self.segments.flush() {
            match self.segments.handle() {
                Ok(file) => self.order_heads(self.segments.newest(), file),
                Err(cause) => tracing::error!(%cause, "the last records have no head"),
            }
        }
        self.sealer.join();
    }
}

/// Ends what a crash tore in the newest files.
fn mend(config: &RecordConfig, now: Timestamp) -> io::Result<()> {
    for kind in [Kind::Records, Kind::Heads] {
        let Some(newest) = kind.numbers(&config.folder)?.last().copied() else { continue };
        let is_whole = |line: &[u8]| match kind {
            Kind::Records => Record::read(line).is_ok() && Linked::parse(line).is_ok(),
            Kind::Heads => super::audit::SignedHead::parse(line).is_ok(),
        };
        archive::end_torn_line(&kind.path(&config.folder, newest), is_whole, now)?;
    }
    Ok(())
}
