//! A folder of records as files: their names, and their lines.
//!
//! `00000001.ndjson` holds records, `00000001.heads.ndjson` the heads that were signed while it was the newest.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::audit::{Ending, TornNote};
use crate::clock::Timestamp;

/// A longer line is not one of ours; it is read in pieces, none of which makes sense.
pub(super) const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Which of the two files of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Heads,
    Records,
}

impl Kind {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Heads => ".heads.ndjson",
            Self::Records => ".ndjson",
        }
    }

    pub(super) fn path(self, folder: &Path, number: u64) -> PathBuf {
        folder.join(format!("{number:08}{}", self.suffix()))
    }

    /// Numbers of the files of this kind, lowest first.
    pub(super) fn numbers(self, folder: &Path) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(self.suffix())).and_then(|number| number.parse::<u64>().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// A file open for appending, readable by its owner only.
pub(super) fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// The lines of a file, one after the other.
pub(super) struct Lines<R> {
    reader: R,
    line: Vec<u8>,
}

/// One of them.
pub(super) struct Line<'a> {
    /// Without its line feed.
    pub(super) text: &'a [u8],
    pub(super) ending: Ending,
    /// Bytes in the file, with the line feed.
    pub(super) length: usize,
}

impl Lines<BufReader<File>> {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { reader: BufReader::with_capacity(256 * 1024, File::open(path)?), line: Vec::new() })
    }
}

impl<R: BufRead> Lines<R> {
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let length = self.reader.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut self.line)?;
        if length == 0 {
            return Ok(None);
        }
        Ok(Some(match self.line.strip_suffix(b"\n") {
            Some(text) => Line { text, ending: Ending::Feed, length },
            None if length == LINE_BYTES_MAX => Line { text: &self.line, ending: Ending::Feed, length },
            None => Line { text: &self.line, ending: Ending::File, length },
        }))
    }
}

/// A line and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Spot<'a> {
    /// The file, as a person can open it.
    pub file: &'a str,
    /// From 1.
    pub number: u64,
    /// Without its line feed.
    pub text: &'a [u8],
    /// How it ended.
    pub ending: Ending,
}

/// A folder or file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{}`", path.display())]
pub struct Unreadable {
    /// Which.
    pub path: PathBuf,
    /// The cause.
    #[source]
    pub cause: io::Error,
}

/// Shows every line of a folder of records: all heads, then all records, oldest first. A gateway may write to it meanwhile.
///
/// # Errors
/// When a file cannot be read; also when the oldest one was removed meanwhile, and then another attempt helps.
pub fn read_folder(folder: &Path, mut show: impl FnMut(Spot<'_>)) -> Result<(), Unreadable> {
    let list = |kind: Kind| kind.numbers(folder).map_err(|cause| Unreadable { path: folder.to_owned(), cause });
    // In this order nothing is missed: records that were removed after the list was made cannot be opened any more, and heads
    // that are written after they were read cover no record that was.
    let records = list(Kind::Records)?;
    for (kind, numbers) in [(Kind::Heads, list(Kind::Heads)?), (Kind::Records, records)] {
        let newest = numbers.last().copied();
        for number in numbers {
            let path = kind.path(folder, number);
            let read = read_lines(&path, |spot| {
                let ending = if Some(number) == newest { spot.ending } else { Ending::Feed };
                show(Spot { ending, ..spot });
            });
            match read {
                // Heads of removed records go with them; what they said stands in a newer file.
                Err(error) if kind == Kind::Heads && error.cause.kind() == io::ErrorKind::NotFound => {}
                read => read?,
            }
        }
    }
    Ok(())
}

/// Shows every line of a file.
///
/// # Errors
/// When it cannot be read.
pub fn read_lines(path: &Path, mut show: impl FnMut(Spot<'_>)) -> Result<(), Unreadable> {
    let failed = |cause| Unreadable { path: path.to_owned(), cause };
    let file = path.display().to_string();
    let mut lines = Lines::open(path).map_err(failed)?;
    let mut number = 0;
    while let Some(line) = lines.next().map_err(failed)? {
        number += 1;
        show(Spot { file: &file, number, text: line.text, ending: line.ending });
    }
    Ok(())
}

/// Ends a last line that a crash tore, so that the next one begins at its own beginning. A whole line that lacks nothing but its line
/// feed gets it; anything else stays where it is, with a note behind it.
pub(super) fn end_torn_line(path: &Path, is_whole: impl FnOnce(&[u8]) -> bool, now: Timestamp) -> io::Result<()> {
    let mut torn = None;
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next()? {
        torn = (line.ending == Ending::File).then(|| line.text.to_vec());
    }
    let Some(line) = torn else { return Ok(()) };
    let mut ending = vec![b'\n'];
    if !is_whole(&line) {
        tracing::warn!(file = %path.display(), bytes = line.len(), "the last line was torn by a crash and is set aside");
        ending.extend_from_slice(crate::json::text(&TornNote::on(&line, format!("{now:.3}"))).as_bytes());
        ending.push(b'\n');
    }
    let mut file = append_to(path)?;
    file.write_all(&ending)
}
