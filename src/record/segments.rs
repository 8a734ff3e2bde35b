//! Segment files: `00000001.ndjson`, one record a line, the newest open for writing. Bounded together by bytes.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::{Filter, Found, Record, RecordConfig};
use crate::ids::RequestId;

/// A segment is closed at this size, or at a sixteenth of what is kept if that is less.
const SEGMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// A line longer than this is not a record of ours.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Records shown at once.
const RECENT_MAX: usize = 1_000;

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
        cause: std::io::Error,
    },
}

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
    open: BufWriter<File>,
    by_id: BTreeMap<RequestId, Place>,
    /// Newest last; as long as `by_id`.
    order: VecDeque<RequestId>,
    failing: bool,
}

impl Segments {
    pub(super) fn open(config: &RecordConfig) -> Result<Self, SegmentError> {
        let failed = |cause| SegmentError::Io { path: config.folder.clone(), cause };
        fs::create_dir_all(&config.folder).map_err(failed)?;
        let mut numbers = numbers(&config.folder).map_err(failed)?;
        numbers.sort_unstable();
        let newest = numbers.last().copied().unwrap_or(0).max(1);
        let open = append_to(&path(&config.folder, newest)).map_err(failed)?;
        let mut segments = Self {
            folder: config.folder.clone(),
            bytes_max: config.bytes_max,
            segment_bytes_max: SEGMENT_BYTES_MAX.min(config.bytes_max / 16).max(1),
            sizes: VecDeque::new(),
            open: BufWriter::new(open),
            by_id: BTreeMap::new(),
            order: VecDeque::new(),
            failing: false,
        };
        for number in numbers {
            segments.index(number).map_err(failed)?;
        }
        if segments.sizes.is_empty() {
            segments.sizes.push_back((newest, 0));
        }
        segments.make_room();
        Ok(segments)
    }

    fn index(&mut self, segment: u64) -> std::io::Result<()> {
        let mut reader = BufReader::new(File::open(path(&self.folder, segment))?);
        let mut offset = 0;
        let mut line = Vec::new();
        loop {
            line.clear();
            let length = reader.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
            if length == 0 {
                break;
            }
            // A line cut by a crash is skipped and stays in the file.
            if let Ok(record) = serde_json::from_slice::<Record>(&line) {
                self.remember(record.id, Place { segment, offset, length });
            }
            offset += length as u64;
        }
        self.sizes.push_back((segment, offset));
        Ok(())
    }

    fn remember(&mut self, id: RequestId, place: Place) {
        self.by_id.insert(id, place);
        self.order.push_back(id);
    }

    pub(super) fn append(&mut self, record: &Record) {
        let written = serde_json::to_vec(record).map_err(std::io::Error::from).and_then(|line| self.write(record.id, line));
        match written {
            Ok(()) => self.failing = false,
            // Said once per failure and not once per request: the log must not fill the disk that is full already.
            Err(cause) if !self.failing => {
                self.failing = true;
                tracing::error!(folder = %self.folder.display(), %cause, "decision records cannot be written");
            }
            Err(_again) => {}
        }
    }

    fn write(&mut self, id: RequestId, mut line: Vec<u8>) -> std::io::Result<()> {
        line.push(b'\n');
        if self.sizes.back().is_some_and(|(_, size)| *size >= self.segment_bytes_max) {
            self.turn_over()?;
        }
        let Some((segment, size)) = self.sizes.back_mut() else { return Ok(()) };
        self.open.write_all(&line)?;
        let place = Place { segment: *segment, offset: *size, length: line.len() };
        *size += line.len() as u64;
        self.remember(id, place);
        Ok(())
    }

    fn turn_over(&mut self) -> std::io::Result<()> {
        self.open.flush()?;
        let next = self.sizes.back().map_or(1, |(number, _)| number + 1);
        self.open = BufWriter::new(append_to(&path(&self.folder, next))?);
        self.sizes.push_back((next, 0));
        self.make_room();
        Ok(())
    }

    fn make_room(&mut self) {
        while self.sizes.len() > 1 && self.sizes.iter().map(|(_, size)| size).sum::<u64>() > self.bytes_max {
            let Some((oldest, _)) = self.sizes.pop_front() else { return };
            if let Err(cause) = fs::remove_file(path(&self.folder, oldest)) {
                tracing::warn!(segment = oldest, %cause, "an old segment of records could not be removed");
            }
            while let Some(id) = self.order.front().copied() {
                match self.by_id.get(&id) {
                    Some(place) if place.segment > oldest => break,
                    _ => {
                        self.by_id.remove(&id);
                        self.order.pop_front();
                    }
                }
            }
        }
    }

    pub(super) fn flush(&mut self) {
        if let Err(cause) = self.open.flush()
            && !self.failing
        {
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

    pub(super) fn recent(&mut self, filter: &Filter) -> Vec<Record> {
        self.flush();
        let newest = self.order.iter().rev().filter_map(|id| self.by_id.get(id));
        newest.filter_map(|place| self.read(*place)).filter(|record| filter.admits(record)).take(filter.limit.min(RECENT_MAX)).collect()
    }

    fn read(&self, place: Place) -> Option<Record> {
        let mut file = File::open(path(&self.folder, place.segment)).ok()?;
        file.seek(SeekFrom::Start(place.offset)).ok()?;
        let mut line = vec![0; place.length];
        file.read_exact(&mut line).ok()?;
        serde_json::from_slice(&line).ok()
    }
}

impl Filter {
    fn admits(&self, record: &Record) -> bool {
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

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.ndjson"))
}

fn append_to(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn numbers(folder: &Path) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".ndjson")).and_then(|number| number.parse::<u64>().ok());
        numbers.extend(number);
    }
    Ok(numbers)
}
