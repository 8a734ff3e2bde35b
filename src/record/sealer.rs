//! The thread that signs heads: it brings records to the disk, then signs for them, and removes the oldest when there are too many.
//!
//! It keeps waits for the disk away from the writer. Jobs are done in their order, so that the last record of every log in a
//! segment has a head before the segment can be removed; that head, signed again as a cut, is where verifying begins from then on.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::archive::{self, Kind, Lines};
use super::audit::{Hash, Head, HeadKind, Log, PublicKey, SignedHead, Signer, key_line, read_key_line};
use super::chains::State;
use super::health::{Health, Trouble};
use crate::clock::{Clock, Timestamp};

/// Jobs that may wait: enough that a slow disk delays heads and not records.
const JOBS_MAX: usize = 8;
/// Jobs that failed and are tried again; the oldest is given up.
const FAILED_MAX: usize = 64;
/// From a job that failed to the next attempt, when nothing else is to be done.
const RETRY: Duration = Duration::from_secs(5);

/// Something to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Remove the segment, and sign that it was removed.
    Remove {
        segment: u64,
        /// The newest segment, beside whose records the cuts go.
        newest: u64,
    },
    /// Sign these states once the segment is on the disk.
    Seal { segment: u64, file: File, states: Vec<State> },
}

/// The handle to the thread.
#[derive(Debug)]
pub(super) struct Sealer {
    jobs: SyncSender<Job>,
    /// Jobs handed over and not done.
    busy: Arc<AtomicUsize>,
    /// Bytes of all files of heads.
    bytes: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Sealer {
    pub(super) fn start(heads: Heads, health: Arc<Health>) -> io::Result<Self> {
        let (jobs, waiting) = sync_channel(JOBS_MAX);
        let busy = Arc::new(AtomicUsize::new(0));
        let done = Arc::clone(&busy);
        let bytes = Arc::clone(&heads.bytes);
        let thread = std::thread::Builder::new().name("heads".to_owned()).spawn(move || work(heads, &waiting, &done, &health))?;
        Ok(Self { jobs, busy, bytes, thread })
    }

    /// Hands over a job, and waits while too many wait.
    pub(super) fn order(&self, job: Job) {
        self.busy.fetch_add(1, Ordering::AcqRel);
        if self.jobs.send(job).is_err() {
            tracing::error!("the thread that signs heads is gone");
        }
    }

    /// Whether a job handed over now would begin at once.
    pub(super) fn has_time(&self) -> bool {
        self.busy.load(Ordering::Acquire) == 0
    }

    /// Whether nobody does what is ordered any more.
    pub(super) fn is_gone(&self) -> bool {
        self.thread.is_finished()
    }

    /// Bytes of all files of heads.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// Waits until everything ordered is done.
    pub(super) fn join(self) {
        drop(self.jobs);
        if self.thread.join().is_err() {
            tracing::error!("the thread that signs heads had failed");
        }
    }
}

fn work(mut heads: Heads, jobs: &Receiver<Job>, busy: &AtomicUsize, health: &Health) {
    let mut failed = VecDeque::new();
    loop {
        match next(jobs, !failed.is_empty()) {
            Ok(job) => {
                failed.push_back(job);
                heads.work_off(&mut failed, health);
                busy.fetch_sub(1, Ordering::AcqRel);
            }
            Err(RecvTimeoutError::Timeout) => heads.work_off(&mut failed, health),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// The next job; for one that failed, the wait ends.
fn next(jobs: &Receiver<Job>, has_failed: bool) -> Result<Job, RecvTimeoutError> {
    if has_failed { jobs.recv_timeout(RETRY) } else { jobs.recv().map_err(|_gone| RecvTimeoutError::Disconnected) }
}

/// The files of heads.
#[derive(Debug)]
pub(super) struct Heads {
    folder: PathBuf,
    signer: Signer,
    clock: Clock,
    open: Option<OpenFile>,
    /// The newest cut of each log, and the number of the file that it stands in.
    cuts: HashMap<Log, (u64, u64), foldhash::fast::RandomState>,
    bytes: Arc<AtomicU64>,
    /// Hash of the head's line written last.
    last: Hash,
}

#[derive(Debug)]
struct OpenFile {
    number: u64,
    file: File,
    length: u64,
}

/// What the files of heads hold.
#[derive(Debug)]
pub(super) struct Stated {
    /// The newest head of each log, checked.
    pub(super) newest: HashMap<Log, Head, foldhash::fast::RandomState>,
    cuts: HashMap<Log, (u64, u64), foldhash::fast::RandomState>,
    bytes: u64,
    last: Hash,
}

impl Default for Stated {
    fn default() -> Self {
        Self { newest: HashMap::default(), cuts: HashMap::default(), bytes: 0, last: Hash::ZERO }
    }
}

impl Stated {
    /// Reads the files of heads with these numbers.
    pub(super) fn read(folder: &Path, numbers: &[u64], own: &PublicKey) -> io::Result<Self> {
        // A head that does not hold must not stand in the way of an older one that does; checking all of them takes long.
        match Self::read_checking(folder, numbers, own, Check::Newest)? {
            Some(stated) => Ok(stated),
            None => Ok(Self::read_checking(folder, numbers, own, Check::All)?.unwrap_or_default()),
        }
    }

    fn read_checking(folder: &Path, numbers: &[u64], own: &PublicKey, check: Check) -> io::Result<Option<Self>> {
        let mut keys = vec![own.clone()];
        let mut newest: HashMap<Log, SignedHead, foldhash::fast::RandomState> = HashMap::default();
        let mut stated = Self::default();
        for number in numbers {
            let Some(mut lines) = open_if_there(&Kind::Heads.path(folder, *number))? else { continue };
            while let Some(line) = lines.next()? {
                stated.bytes += line.length as u64;
                keys.extend(read_key_line(line.text));
                let Ok(signed) = SignedHead::parse(line.text) else { continue };
                if check == Check::All && signed.check(&keys).is_err() {
                    tracing::error!(file = number, log = %signed.head.tenant, seq = signed.head.seq, "a head of the audit does not hold");
                    continue;
                }
                stated.last = Hash::of(line.text);
                if signed.head.kind == HeadKind::Cut {
                    stated.cuts.insert(signed.head.tenant, (signed.head.seq, *number));
                }
                let is_newer = newest.get(&signed.head.tenant).is_none_or(|known| known.head.seq <= signed.head.seq);
                if is_newer {
                    newest.insert(signed.head.tenant, signed);
                }
            }
        }
        let all_hold = check == Check::All || newest.values().all(|signed| signed.check(&keys).is_ok());
        stated.newest = newest.into_iter().map(|(log, signed)| (log, signed.head)).collect();
        Ok(all_hold.then_some(stated))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    All,
    Newest,
}

fn open_if_there(path: &Path) -> io::Result<Option<Lines<BufReader<File>>>> {
    match Lines::open(path) {
        Ok(lines) => Ok(Some(lines)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause),
    }
}

impl Heads {
    pub(super) fn new(folder: PathBuf, signer: Signer, clock: Clock, stated: Stated) -> Self {
        Self { folder, signer, clock, open: None, cuts: stated.cuts, bytes: Arc::new(stated.bytes.into()), last: stated.last }
    }

    /// Does the jobs in their order, up to one that fails.
    fn work_off(&mut self, jobs: &mut VecDeque<Job>, health: &Health) {
        while let Some(job) = jobs.front() {
            if let Err(cause) = self.carry_out(job) {
                health.begin(Trouble::Heads, &self.folder, &cause);
                break;
            }
            jobs.pop_front();
        }
        if jobs.is_empty() {
            health.end(Trouble::Heads);
        }
        if jobs.len() > FAILED_MAX {
            jobs.pop_front();
            tracing::warn!("heads of the audit are not signed any more for a part of the records: too many wait");
        }
    }

    fn carry_out(&mut self, job: &Job) -> io::Result<()> {
        match job {
            Job::Remove { segment, newest } => self.remove(*segment, *newest),
            Job::Seal { segment, file, states } => self.seal(*segment, file, states),
        }
    }

    /// A head is a promise that the records are there: they are brought to the disk first.
    fn seal(&mut self, segment: u64, records: &File, states: &[State]) -> io::Result<()> {
        records.sync_data()?;
        let now = self.clock.now();
        let head = |state: &State| Head::of(HeadKind::Head, state.log, &state.tree, state.last, written(now), &self.signer);
        let heads: Vec<Head> = states.iter().map(head).collect();
        self.write(segment, heads)
    }

    /// What the last heads beside the segment say becomes the beginning of their logs. It is on the disk before the records go.
    fn remove(&mut self, segment: u64, newest: u64) -> io::Result<()> {
        let stated = Stated::read(&self.folder, &[segment], self.signer.public())?;
        let time = written(self.clock.now());
        let is_said = |head: &Head| self.cuts.get(&head.tenant).is_some_and(|(seq, file)| *seq >= head.seq && *file > segment);
        let cut = |head: Head| {
            let tree = head.tree().ok()?;
            Some(Head::of(HeadKind::Cut, head.tenant, &tree, head.hash, time.clone(), &self.signer))
        };
        let cuts: Vec<Head> = stated.newest.into_values().filter(|head| !is_said(head)).filter_map(cut).collect();
        let places: Vec<(Log, (u64, u64))> = cuts.iter().map(|cut| (cut.tenant, (cut.seq, newest))).collect();
        self.write(newest, cuts)?;
        self.cuts.extend(places);
        remove_if_there(&Kind::Records.path(&self.folder, segment))?;
        remove_if_there(&Kind::Heads.path(&self.folder, segment))?;
        self.bytes.fetch_sub(stated.bytes, Ordering::AcqRel);
        Ok(())
    }

    /// Appends to the file of this number and brings it to the disk; what a failure leaves is taken back.
    fn write(&mut self, number: u64, heads: Vec<Head>) -> io::Result<()> {
        if heads.is_empty() {
            return Ok(());
        }
        let mut text = Vec::new();
        let mut last = self.last;
        for head in heads {
            let line = head.sign(last, &self.signer).line;
            last = Hash::of(&line);
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
        let open = self.file(number)?;
        let written = open.file.write_all(&text).and_then(|()| open.file.sync_data());
        match written {
            Ok(()) => {
                open.length += text.len() as u64;
                self.last = last;
                self.bytes.fetch_add(text.len() as u64, Ordering::AcqRel);
            }
            Err(_) => open.file.set_len(open.length)?,
        }
        written
    }

    fn file(&mut self, number: u64) -> io::Result<&mut OpenFile> {
        let open = match self.open.take().filter(|open| open.number == number) {
            Some(open) => open,
            None => self.open_file(number)?,
        };
        Ok(self.open.insert(open))
    }

    /// Each file begins with the key, so that it can be checked without the others.
    fn open_file(&self, number: u64) -> io::Result<OpenFile> {
        let mut file = archive::append_to(&Kind::Heads.path(&self.folder, number))?;
        let key = format!("{}\n", key_line(self.signer.public()));
        file.write_all(key.as_bytes())?;
        self.bytes.fetch_add(key.len() as u64, Ordering::AcqRel);
        // The names of new files are part of what a head promises.
        File::open(&self.folder)?.sync_all()?;
        let length = file.metadata()?.len();
        Ok(OpenFile { number, file, length })
    }
}

fn written(now: Timestamp) -> String {
    format!("{now:.3}")
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        Ok(()) | Err(_) => Ok(()),
    }
}
