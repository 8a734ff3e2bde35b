//! Segment files: `00000001.ndjson`, one record a line, the newest open for writing. Bounded together by bytes.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::archive::{self, Kind, Lines};
use super::audit::Linked;
use super::{Filter, Found, Record, RecordConfig};
use crate::ids::RequestId;

/// A segment is closed at this size, or at a sixteenth of what is kept if that is less.
const SEGMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Lines go to the file in pieces of this size while there is more to write, and at once when there is not.
const PIECE_BYTES: usize = 64 * 1024;
/// Lines that wait while the disk takes none; further records are lost, and that is said.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Records shown at once.
const RECENT_MAX: usize = 1_000;

#[derive(Debug, Clone, Copy)]
struct Place {
    segment: u64,
    offset: u64,
    length: usize,
}

/// The segments of one folder and where each record stands in them.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    bytes_max: u64,
    segment_bytes_max: u64,
    /// Number and size, oldest first; the last one is open.
    sizes: VecDeque<(u64, u64)>,
    open: File,
    /// Whole lines but perhaps the first, which may be the rest of one.
    waiting: Vec<u8>,
    by_id: BTreeMap<RequestId, Place>,
    /// Newest last; as long as `by_id`.
    order: VecDeque<RequestId>,
    failing: bool,
}

impl Segments {
    /// Opens a folder that is there; nothing of it is known before [`Segments::index`] has read it.
    pub(super) fn open(config: &RecordConfig) -> io::Result<Self> {
        let newest = Kind::Records.numbers(&config.folder)?.last().copied().unwrap_or(0).max(1);
        Ok(Self {
            folder: config.folder.clone(),
            bytes_max: config.bytes_max,
            segment_bytes_max: SEGMENT_BYTES_MAX.min(config.bytes_max / 16).max(1),
            sizes: VecDeque::new(),
            open: archive::append_to(&Kind::Records.path(&config.folder, newest))?,
            waiting: Vec::new(),
            by_id: BTreeMap::new(),
            order: VecDeque::new(),
            failing: false,
        })
    }

    /// Reads a segment, the oldest first, and shows its records and its linked lines.
    pub(super) fn index(&mut self, segment: u64, mut note: impl FnMut(&Record), mut show: impl FnMut(&Linked<'_>)) -> io::Result<()> {
        let mut lines = Lines::open(&Kind::Records.path(&self.folder, segment))?;
        let mut offset = 0;
        while let Some(line) = lines.next()? {
            // A line that a crash tore stays in the file and means nothing.
            if let Ok(record) = serde_json::from_slice::<Record>(line.text) {
                self.remember(record.id, Place { segment, offset, length: line.length });
                note(&record);
            }
            if let Ok(linked) = Linked::parse(line.text) {
                show(&linked);
            }
            offset += line.length as u64;
        }
        self.sizes.push_back((segment, offset));
        Ok(())
    }

    /// The first line of an id counts: what follows it is the same for other eyes.
    fn remember(&mut self, id: RequestId, place: Place) {
        if let std::collections::btree_map::Entry::Vacant(vacant) = self.by_id.entry(id) {
            vacant.insert(place);
            self.order.push_back(id);
        }
    }

    /// The number of the open segment.
    pub(super) fn newest(&self) -> u64 {
        self.sizes.back().map_or(1, |(number, _)| *number)
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
        self.sizes.back().is_some_and(|(_, size)| *size >= self.segment_bytes_max)
    }

    /// Takes a line, line feed included.
    pub(super) fn write(&mut self, id: RequestId, line: &[u8]) {
        let Some((segment, size)) = self.sizes.back_mut() else { return };
        let place = Place { segment: *segment, offset: *size, length: line.len() };
        *size += line.len() as u64;
        self.waiting.extend_from_slice(line);
        self.remember(id, place);
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
                self.open = open;
                self.sizes.push_back((next, 0));
                true
            }
            Some(Err(cause)) => {
                self.complain(&cause);
                false
            }
        }
    }

    /// Forgets the oldest segment when there are too many bytes, those of heads included; its file is the caller's. However many
    /// logs there are, half of the bytes is for records.
    pub(super) fn forget_oldest(&mut self, heads: u64) -> Option<u64> {
        let bytes = self.sizes.iter().map(|(_, size)| size).sum::<u64>() + heads.min(self.bytes_max / 2);
        let is_too_much = self.sizes.len() > 1 && bytes > self.bytes_max;
        let (oldest, _) = is_too_much.then(|| self.sizes.pop_front()).flatten()?;
        while let Some(id) = self.order.front().copied() {
            match self.by_id.get(&id) {
                Some(place) if place.segment > oldest => break,
                _ => {
                    self.by_id.remove(&id);
                    self.order.pop_front();
                }
            }
        }
        Some(oldest)
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
        match outcome {
            Ok(()) => self.failing = false,
            Err(cause) => self.complain(&cause),
        }
        self.waiting.is_empty()
    }

    /// Said once per failure and not once per request: the log must not fill the disk that is full already.
    fn complain(&mut self, cause: &io::Error) {
        if !self.failing {
            self.failing = true;
            tracing::error!(folder = %self.folder.display(), %cause, "decision records cannot be written");
        }
    }

    pub(super) fn find(&mut self, prefix: &str) -> Found {
        self.flush();
        let Some(from) = lowest_with(prefix) else { return Found::None };
        let mut matching = self.by_id.range(from..).take_while(|(id, _)| id.to_string().starts_with(prefix));
        match (matching.next(), matching.count()) {
            (None, _) => Found::None,
            (Some((_, place)), 0) => self.read(*place).map_or(Found::None, |record| Found::One(Box::new(record))),
            (Some(_), others) => Found::Several(others + 1),
        }
    }

    /// The record of this id, of what was flushed.
    pub(super) fn get(&self, id: RequestId) -> Option<Record> {
        self.by_id.get(&id).and_then(|place| self.read(*place))
    }

    pub(super) fn recent(&mut self, filter: &Filter) -> Vec<Record> {
        self.flush();
        let newest = self.order.iter().rev().filter_map(|id| self.by_id.get(id));
        newest.filter_map(|place| self.read(*place)).filter(|record| filter.admits(record)).take(filter.limit.min(RECENT_MAX)).collect()
    }

    fn read(&self, place: Place) -> Option<Record> {
        let mut file = File::open(Kind::Records.path(&self.folder, place.segment)).ok()?;
        file.seek(SeekFrom::Start(place.offset)).ok()?;
        let mut line = vec![0; place.length];
        file.read_exact(&mut line).ok()?;
        serde_json::from_slice(&line).ok()
    }
}

impl Filter {
    /// Whether a record has this verdict and reason.
    #[must_use]
    pub fn admits(&self, record: &Record) -> bool {
        let reason = record.reason.as_deref().unwrap_or_default();
        let reason_fits = self.reason.as_deref().is_none_or(|wanted| match wanted.strip_suffix('*') {
            Some(beginning) => reason.starts_with(beginning),
            None => reason == wanted,
        });
        reason_fits && self.verdict.is_none_or(|wanted| wanted == record.outcome)
    }
}

/// The smallest id that begins with these characters.
fn lowest_with(prefix: &str) -> Option<RequestId> {
    const ZERO: &str = "00000000-0000-0000-0000-000000000000";
    let rest = ZERO.get(prefix.len()..)?;
    format!("{prefix}{rest}").parse().ok()
}
