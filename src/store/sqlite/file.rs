//! The file: its lock, its creation, its schema. Nothing that cannot be read is ever replaced.

use std::cmp::Ordering;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};

use super::super::error::StoreError;
use crate::ids::Epoch;

/// Marks a file as ours. Source: SQLite, `PRAGMA application_id`; the letters `Stwd`.
const APPLICATION_ID: i32 = 0x5374_7764;
/// Waiting for another connection of this process, or for a backup tool.
const BUSY_TIME_MAX: Duration = Duration::from_secs(5);
/// What the write-ahead log is cut to after a large commit.
const LOG_BYTES_KEPT: u32 = 64 << 20;

/// Forward only, and never changed once released: the step at index n leads to version n + 1.
const MIGRATIONS: [&str; 1] = [include_str!("0001.sql")];

/// An open file. The lock ends with it, and comes last so that it is released last.
pub(super) struct Opened {
    pub(super) writer: Connection,
    pub(super) reader: Connection,
    pub(super) files: Files,
    pub(super) lock: Lock,
}

/// A lock file beside it: closing any other handle on the database itself would end the locks that SQLite has on it.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    fn take(path: &Path) -> Result<Self, StoreError> {
        let beside = with_suffix(path, "-lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&beside);
        let file = file.map_err(|cause| refused(&beside, cause))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file, path: beside }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse { store: name(path) }),
            Err(TryLockError::Error(cause)) => Err(refused(&beside, cause)),
        }
    }
}

impl Drop for Lock {
    /// Closing is not enough: a child that is being started has the file, and the lock with it, until it becomes another program.
    fn drop(&mut self) {
        if let Err(cause) = self.file.unlock() {
            tracing::warn!("`{}` is released late: {cause}", self.path.display());
        }
    }
}

/// Opens the file, makes it where there is none, and brings its schema up to date.
pub(super) fn open(path: &Path) -> Result<Opened, StoreError> {
    let lock = Lock::take(path)?;
    if !path.try_exists().map_err(|cause| refused(path, cause))? {
        create(path)?;
    }
    let mut writer = connect(path)?;
    migrate(path, &mut writer)?;
    check(path, &writer)?;
    write_ahead(path, &writer)?;
    let reader = connect(path)?;
    reader.pragma_update(None, "query_only", true).map_err(|cause| failed(path, cause))?;
    let files = Files::of(path)?;
    Ok(Opened { writer, reader, files, lock })
}

/// The files that are written: the database and its log.
///
/// A process goes on writing to a file that was removed or moved away, and what it writes is in none that a restart finds.
#[derive(Debug, Clone)]
pub(super) struct Files(Vec<(PathBuf, Identity)>);

/// Device and inode.
type Identity = (u64, u64);

impl Files {
    fn of(path: &Path) -> Result<Self, StoreError> {
        let paths = [path.to_owned(), with_suffix(path, "-wal")].into_iter();
        let found = paths.filter_map(|path| identity(&path).transpose().map(|found| found.map(|found| (path, found))));
        found.collect::<io::Result<_>>().map(Self).map_err(|cause| refused(path, cause))
    }

    /// An error when another file, or none, is where one of them was opened.
    pub(super) fn still_there(&self) -> Result<(), StoreError> {
        for (path, opened) in &self.0 {
            let store = || name(path);
            let found = identity(path).map_err(|cause| StoreError::Failed { store: store(), cause: cause.into() })?;
            if found != Some(*opened) {
                let cause = "it was removed or replaced while it was in use; put it back, or restart to work with what is there";
                return Err(StoreError::Failed { store: store(), cause: cause.into() });
            }
        }
        Ok(())
    }
}

fn identity(path: &Path) -> io::Result<Option<Identity>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some((found.dev(), found.ino()))),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause),
    }
}

/// A connection for a look at a file that another process may be writing. It changes nothing.
pub(super) fn open_beside(path: &Path) -> Result<Connection, StoreError> {
    let connection = connect(path)?;
    let found = version(path, &connection)?;
    match found.cmp(&known()) {
        Ordering::Equal => {}
        Ordering::Greater => return Err(StoreError::Newer { store: name(path), found, known: known() }),
        Ordering::Less => return Err(StoreError::Older { store: name(path), found, known: known() }),
    }
    connection.pragma_update(None, "query_only", true).map_err(|cause| failed(path, cause))?;
    Ok(connection)
}

/// Makes the file under another name first: one that is empty has lost its content, and must never be taken for a new one.
fn create(path: &Path) -> Result<(), StoreError> {
    let temporary = with_suffix(path, "-new");
    let made = || -> io::Result<()> {
        for leftover in [temporary.clone(), with_suffix(&temporary, "-journal")] {
            if leftover.try_exists()? {
                fs::remove_file(leftover)?;
            }
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map(drop)
    };
    made().map_err(|cause| refused(&temporary, cause))?;
    let mut connection = Connection::open_with_flags(&temporary, flags()).map_err(|cause| failed(&temporary, cause))?;
    let marked = connection.pragma_update(None, "application_id", APPLICATION_ID);
    marked.map_err(|cause| failed(&temporary, cause))?;
    migrate(&temporary, &mut connection)?;
    connection.close().map_err(|(_connection, cause)| failed(&temporary, cause))?;
    fs::rename(&temporary, path).and_then(|()| synced(path)).map_err(|cause| refused(path, cause))
}

/// Writes the folder's entries to the disk.
fn synced(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(folder)?.sync_all()
}

const fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    if fs::metadata(path).map_err(|cause| refused(path, cause))?.len() == 0 {
        return Err(StoreError::Corrupt { store: name(path), cause: "the file is empty".into() });
    }
    let connection = Connection::open_with_flags(path, flags()).map_err(|cause| failed(path, cause))?;
    let prepared = || -> rusqlite::Result<i32> {
        connection.busy_timeout(BUSY_TIME_MAX)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_query_value(None, "application_id", |row| row.get(0))
    };
    match prepared() {
        Ok(APPLICATION_ID) => Ok(connection),
        Ok(_another) => Err(StoreError::Foreign { store: name(path) }),
        Err(cause) => Err(failed(path, cause)),
    }
}

fn write_ahead(path: &Path, writer: &Connection) -> Result<(), StoreError> {
    let set = || -> rusqlite::Result<String> {
        let mode = writer.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        writer.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES_KEPT, |_row| Ok(()))?;
        Ok(mode)
    };
    match set() {
        Ok(mode) if mode == "wal" => Ok(()),
        Ok(mode) => {
            let cause = format!("its folder takes no write-ahead log, only journal mode `{mode}`; use a local disk").into();
            Err(StoreError::Failed { store: name(path), cause })
        }
        Err(cause) => Err(failed(path, cause)),
    }
}

/// Looks at every page once: better no gateway than one that finds out in the middle of a request.
fn check(path: &Path, writer: &Connection) -> Result<(), StoreError> {
    let found: rusqlite::Result<String> = writer.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match found {
        Ok(sound) if sound == "ok" => Ok(()),
        Ok(damage) => Err(StoreError::Corrupt { store: name(path), cause: damage.into() }),
        Err(cause) => Err(failed(path, cause)),
    }
}

fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

fn version(path: &Path, connection: &Connection) -> Result<u32, StoreError> {
    let read = || -> rusqlite::Result<u32> {
        let has_version = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'";
        match connection.query_row(has_version, [], |_row| Ok(())).optional()? {
            Some(()) => connection.query_row("SELECT version FROM schema_version", [], |row| row.get(0)),
            None => Ok(0),
        }
    };
    read().map_err(|cause| failed(path, cause))
}

fn migrate(path: &Path, connection: &mut Connection) -> Result<(), StoreError> {
    let found = version(path, connection)?;
    if found > known() {
        return Err(StoreError::Newer { store: name(path), found, known: known() });
    }
    for (to, step) in (1..).zip(MIGRATIONS).filter(|(to, _step)| *to > found) {
        apply(connection, to, step).map_err(|cause| failed(path, cause))?;
    }
    Ok(())
}

fn apply(connection: &mut Connection, to: u32, step: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    transaction.execute_batch(step)?;
    transaction.execute("UPDATE schema_version SET version = ?1", [to])?;
    let begin = "INSERT INTO counter (one, epoch, revision) VALUES (1, ?1, 0) ON CONFLICT DO NOTHING";
    transaction.execute(begin, [Epoch::random().to_string()])?;
    transaction.commit()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The file as errors name it.
pub(super) fn name(path: &Path) -> Box<str> {
    path.display().to_string().into()
}

fn refused(path: &Path, cause: io::Error) -> StoreError {
    StoreError::Refused { store: name(path), cause: cause.into() }
}

/// What to do about an error of SQLite.
pub(super) fn failed(path: &Path, cause: rusqlite::Error) -> StoreError {
    let store = name(path);
    let Some(code) = cause.sqlite_error_code() else {
        // Without a code the rows are not what this program writes: a type, a missing row.
        return StoreError::Corrupt { store, cause: cause.into() };
    };
    let is = |codes: &[ErrorCode]| codes.contains(&code);
    if is(&[ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked]) {
        return StoreError::Busy { store, cause: Some(cause.into()) };
    }
    if is(&[ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase]) {
        return StoreError::Corrupt { store, cause: cause.into() };
    }
    if is(&[ErrorCode::PermissionDenied, ErrorCode::CannotOpen, ErrorCode::ReadOnly]) {
        return StoreError::Refused { store, cause: cause.into() };
    }
    StoreError::Failed { store, cause: cause.into() }
}
