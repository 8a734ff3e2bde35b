//! Segment files: `00000001.ndjson`, one record a line, the newest open for writing. Bounded together by bytes.

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::archive::{self, Kind, Lines};
use super::audit::Linked;
use super::health::{Health, Trouble};
use super::{Filter, Found, Recent, Record, RecordConfig};
use crate::clock::{Clock, Timestamp};
use crate::identity::Caller;
use crate::ids::RequestId;

/// A segment is closed at this size, or at a sixteenth of what is kept if that is less.
const SEGMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Records without a proven caller have one part of so many of all bytes.
const STRANGERS_SHARE: u64 = 4;
/// Those of visitors have half, while that would push out what is younger than this.
const VISITORS_SHARE: u64 = 2;
const KEPT_FROM_VISITORS: Duration = Duration::from_hours(24);
/// Lines go to the file in pieces of this size while there is more to write, and at once when there is not.
const PIECE_BYTES: usize = 64 * 1024;
/// Lines that wait while the disk takes none; further records are lost, and that is said.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Records shown at once.
const RECENT_MAX: usize = 1_000;
/// How long one search may keep the writer: requests that end meanwhile wait in the queue.
const RECENT_TIME_MAX: Duration = Duration::from_millis(250);

/// Where a record's line stands. Lines beyond 4 GiB of a file, which is none of ours, are not found by their ids.
#[derive(Debug, Clone, Copy)]
struct Place {
    id: RequestId,
    offset: u32,
    length: u32,
}

/// One file, and where its records are. Ids are random, so new places are at the end until so many of them are there when one is looked for.
#[derive(Debug)]
struct Segment {
    number: u64,
    size: u64,
    /// When the first of its requests arrived.
    since: Option<Timestamp>,
    /// Bytes of records without a proven caller.
    strangers: u64,
    /// Bytes of records of callers whose tenants signed themselves up.
    visitors: u64,
    places: Vec<Place>,
    /// So many of the places are in the order of their ids.
    sorted: usize,
}

/// Whose record it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Nobody was proven.
    Stranger,
    /// A caller whose tenant signed itself up.
    Visitor,
    /// Another caller.
    Known,
}

impl By {
    /// Whoever asked, as it was proven.
    pub(super) fn caller(caller: Option<&Caller>) -> Self {
        match caller {
            None => Self::Stranger,
            Some(caller) if caller.standing.is_visitor() => Self::Visitor,
            Some(_) => Self::Known,
        }
    }

    /// Whoever asked, as the record tells.
    pub(super) fn whom(record: &Record) -> Self {
        match &record.principal {
            None => Self::Stranger,
            Some(principal) if principal.visitor => Self::Visitor,
            Some(_) => Self::Known,
        }
    }
}

/// Places that are looked through one by one.
const UNSORTED_MAX: usize = 1_024;

/// The segments of one folder and where each record stands in them.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    bytes_max: u64,
    segment_bytes_max: u64,
    /// Oldest first; the last one is open.
    segments: VecDeque<Segment>,
    open: File,
    /// Whole lines but perhaps the first, which may be the rest of one.
    waiting: Vec<u8>,
    health: Arc<Health>,
}

impl Segment {
    const fn new(number: u64) -> Self {
        Self { number, size: 0, since: None, strangers: 0, visitors: 0, places: Vec::new(), sorted: 0 }
    }

    /// The first line of an id counts: what follows it is the same for other eyes.
    fn remember(&mut self, id: RequestId, offset: u64, length: usize) {
        let (Ok(offset), Ok(length)) = (u32::try_from(offset), u32::try_from(length)) else { return };
        if self.places.last().is_none_or(|last| last.id != id) {
            self.places.push(Place { id, offset, length });
        }
    }

    /// Counts a line.
    fn count(&mut self, by: By, received: Option<Timestamp>, length: u64) {
        self.size += length;
        self.since = self.since.or(received);
        match by {
            By::Stranger => self.strangers += length,
            By::Visitor => self.visitors += length,
            By::Known => {}
        }
    }

    fn close(&mut self) {
        self.sort();
        self.places.shrink_to_fit();
    }

    /// Makes looking for an id cheap, whatever came in since the last time.
    fn settle(&mut self) {
        if self.places.len() - self.sorted > UNSORTED_MAX {
            self.sort();
        }
    }

    /// What is sorted already is one run for this sort, and costs little.
    fn sort(&mut self) {
        self.places.sort_by_key(|place| place.id);
        self.sorted = self.places.len();
    }

    /// The records with ids from the first to the last of these.
    fn between(&self, ids: RangeInclusive<RequestId>) -> impl Iterator<Item = &Place> {
        let (sorted, rest) = self.places.split_at_checked(self.sorted).unwrap_or((&[], &self.places));
        let from = sorted.partition_point(|place| place.id < *ids.start());
        let to = sorted.partition_point(|place| place.id <= *ids.end());
        let found = sorted.get(from..to).unwrap_or_default();
        found.iter().chain(rest.iter().filter(move |place| ids.contains(&place.id)))
    }

    fn newest_first(&self) -> Vec<Place> {
        let mut places = self.places.clone();
        places.sort_by_key(|place| Reverse(place.offset));
        places
    }
}

impl Segments {
    /// Opens a folder that is there; nothing of it is known before [`Segments::index`] has read it.
    pub(super) fn open(config: &RecordConfig, health: Arc<Health>) -> io::Result<Self> {
        let newest = Kind::Records.numbers(&config.folder)?.last().copied().unwrap_or(0).max(1);
        Ok(Self {
            folder: config.folder.clone(),
            bytes_max: config.bytes_max,
            segment_bytes_max: SEGMENT_BYTES_MAX.min(config.bytes_max / 16).max(1),
            segments: VecDeque::new(),
            open: archive::append_to(&Kind::Records.path(&config.folder, newest))?,
            waiting: Vec::new(),
            health,
        })
    }

    /// Reads a segment, the oldest first, and shows its records and its linked lines.
    pub(super) fn index(&mut self, number: u64, mut note: impl FnMut(&Record), mut show: impl FnMut(&Linked<'_>)) -> io::Result<()> {
        let mut lines = Lines::open(&Kind::Records.path(&self.folder, number))?;
        let mut segment = Segment::new(number);
        while let Some(line) = lines.next()? {
            // A line that a crash tore stays in the file and means nothing.
            if let Ok(record) = Record::read(line.text) {
                segment.remember(record.id, segment.size, line.length);
                let received = segment.since.or_else(|| record.time.parse().ok());
                segment.count(By::whom(&record), received, line.length as u64);
                note(&record);
            } else {
                segment.size += line.length as u64;
            }
            if let Ok(linked) = Linked::parse(line.text) {
                show(&linked);
            }
        }
        self.begin(segment);
        Ok(())
    }

    fn begin(&mut self, segment: Segment) {
        if let Some(last) = self.segments.back_mut() {
            last.close();
        }
        self.segments.push_back(segment);
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The number of the open segment.
    pub(super) fn newest(&self) -> u64 {
        self.segments.back().map_or(1, |segment| segment.number)
    }

    /// A handle to the open segment.
    pub(super) fn handle(&self) -> io::Result<File> {
        self.open.try_clone()
    }

    /// Whether another record can be taken.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < WAITING_BYTES_MAX
    }

    pub(super) fn is_full(&self) -> bool {
        self.segments.back().is_some_and(|segment| segment.size >= self.segment_bytes_max)
    }

    /// Whether another record without a proven caller may be kept: all of them together have a share of their own.
    pub(super) fn has_share_for_strangers(&self) -> bool {
        self.segments.iter().map(|segment| segment.strangers).sum::<u64>() < self.bytes_max / STRANGERS_SHARE
    }

    /// Whether another record of a visitor may be kept: all of them together have half, unless nothing young has to go for more.
    pub(super) fn has_share_for_visitors(&self, now: Timestamp) -> bool {
        let kept_until = self.segments.front().and_then(|oldest| oldest.since?.checked_add(KEPT_FROM_VISITORS).ok());
        kept_until.is_some_and(|until| until < now)
            || self.segments.iter().map(|segment| segment.visitors).sum::<u64>() < self.bytes_max / VISITORS_SHARE
    }

    /// Has a line appended to those that wait, line feed included.
    pub(super) fn write(&mut self, id: RequestId, by: By, received: Option<Timestamp>, append: impl FnOnce(&mut Vec<u8>)) {
        let Some(segment) = self.segments.back_mut() else { return };
        let before = self.waiting.len();
        append(&mut self.waiting);
        let length = self.waiting.len() - before;
        segment.remember(id, segment.size, length);
        segment.count(by, received, length as u64);
        if self.waiting.len() >= PIECE_BYTES {
            self.flush();
        }
    }

    /// Begins the next segment, once the open one is written. Says whether it did.
    pub(super) fn turn_over(&mut self) -> bool {
        let next = self.newest() + 1;
        let is_written = self.flush();
        match is_written.then(|| archive::append_to(&Kind::Records.path(&self.folder, next))) {
            None => false,
            Some(Ok(open)) => {
                self.health.end(Trouble::Segment);
                self.open = open;
                self.begin(Segment::new(next));
                true
            }
            Some(Err(cause)) => {
                self.health.begin(Trouble::Segment, &self.folder, &cause);
                false
            }
        }
    }

    /// Forgets the oldest segment when there are too many bytes, those of heads included; its file is the caller's. However many
    /// logs there are, half of the bytes is for records.
    pub(super) fn forget_oldest(&mut self, heads: u64) -> Option<u64> {
        let bytes = self.segments.iter().map(|segment| segment.size).sum::<u64>() + heads.min(self.bytes_max / 2);
        let is_too_much = self.segments.len() > 1 && bytes > self.bytes_max;
        is_too_much.then(|| self.segments.pop_front()).flatten().map(|oldest| oldest.number)
    }

    /// Writes what waits; what the disk does not take waits on. Says whether nothing waits any more.
    pub(super) fn flush(&mut self) -> bool {
        let mut written = 0;
        let outcome = loop {
            let rest = self.waiting.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break Ok(());
            }
            match self.open.write(rest) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => written += length,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => break Err(cause),
            }
        };
        self.waiting.drain(..written);
        self.health.set_full(!self.has_room());
        match outcome {
            Ok(()) => self.health.end(Trouble::Lines),
            Err(cause) => self.health.begin(Trouble::Lines, &self.folder, &cause),
        }
        self.waiting.is_empty()
    }

    /// Lines that the disk has not taken, one of which may be a part.
    pub(super) fn unwritten(&self) -> u64 {
        self.waiting.iter().filter(|byte| **byte == b'\n').count() as u64
    }

    pub(super) fn find(&mut self, prefix: &str) -> Found {
        self.flush();
        let Some(ids) = ids_with(prefix) else { return Found::None };
        self.settle();
        let mut matching = self.segments.iter().flat_map(|segment| segment.between(ids.clone()).map(|place| (segment.number, *place)));
        let Some((segment, first)) = matching.next() else { return Found::None };
        match matching.filter(|(_, place)| place.id != first.id).count() {
            0 => self.read(segment, first).map_or(Found::None, |record| Found::One(Box::new(record))),
            others => Found::Several(others + 1),
        }
    }

    /// The record of this id, of what was flushed.
    pub(super) fn get(&mut self, id: RequestId) -> Option<Record> {
        self.settle();
        let newest_first = self.segments.iter().rev();
        let mut found = newest_first.filter_map(|segment| segment.between(id..=id).next().map(|place| (segment.number, *place)));
        found.next().and_then(|(segment, place)| self.read(segment, place))
    }

    fn settle(&mut self) {
        if let Some(open) = self.segments.back_mut() {
            open.settle();
        }
    }

    pub(super) fn recent(&mut self, filter: &Filter) -> Recent {
        self.flush();
        let until = Clock::instant() + RECENT_TIME_MAX;
        let mut recent = Recent { records: Vec::new(), is_complete: true };
        let segments = self.segments.iter().rev();
        for (segment, place) in segments.flat_map(|segment| segment.newest_first().into_iter().map(|place| (segment.number, place))) {
            if recent.records.len() >= filter.limit.min(RECENT_MAX) {
                break;
            }
            if Clock::instant() >= until {
                recent.is_complete = false;
                break;
            }
            recent.records.extend(self.read(segment, place).filter(|record| filter.admits(record)));
        }
        recent
    }

    fn read(&self, segment: u64, place: Place) -> Option<Record> {
        let mut file = File::open(Kind::Records.path(&self.folder, segment)).ok()?;
        file.seek(SeekFrom::Start(place.offset.into())).ok()?;
        let mut line = vec![0; usize::try_from(place.length).ok()?];
        file.read_exact(&mut line).ok()?;
        Record::read(&line).ok()
    }
}

impl Filter {
    /// Whether a record has this verdict and reason, or stands for one with the reason.
    #[must_use]
    pub fn admits(&self, record: &Record) -> bool {
        let reason = record.reason.as_deref().unwrap_or_default();
        let mut reasons =
            std::iter::once(reason).chain(record.counted.iter().flat_map(|counted| counted.reasons.keys().map(String::as_str)));
        let reason_fits = self.reason.as_deref().is_none_or(|wanted| match wanted.strip_suffix('*') {
            Some(beginning) => reasons.any(|reason| reason.starts_with(beginning)),
            None => reasons.any(|reason| reason == wanted),
        });
        reason_fits && self.verdict.is_none_or(|wanted| wanted == record.outcome)
    }
}

/// The ids that begin with these characters.
fn ids_with(prefix: &str) -> Option<RangeInclusive<RequestId>> {
    const LOWEST: &str = "00000000-0000-0000-0000-000000000000";
    const HIGHEST: &str = "ffffffff-ffff-ffff-ffff-ffffffffffff";
    let with = |rest: &str| format!("{prefix}{}", rest.get(prefix.len()..)?).parse().ok();
    Some(with(LOWEST)?..=with(HIGHEST)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_found_once_however_many_came_since_the_last_look() {
        let mut segment = Segment::new(1);
        let ids: Vec<_> = (0..3 * UNSORTED_MAX).map(|_| RequestId::random()).collect();
        for (line, id) in ids.iter().enumerate() {
            segment.remember(*id, line as u64, 1);
            segment.remember(*id, line as u64, 1);
            if line % 700 == 0 {
                segment.settle();
            }
        }
        assert!((1..segment.places.len()).contains(&segment.sorted), "some of them are sorted: {}", segment.sorted);
        for (line, id) in ids.iter().enumerate() {
            let found: Vec<_> = segment.between(*id..=*id).map(|place| place.offset as usize).collect();
            assert_eq!(found, [line]);
        }
        let newest_first: Vec<_> = segment.newest_first().iter().map(|place| place.id).collect();
        assert!(newest_first.iter().eq(ids.iter().rev()));
        segment.close();
        assert_eq!(segment.between(ids_with("").unwrap()).count(), ids.len());
    }
}
