//! A world as a file: written from one snapshot, proven by its hashes before anything is restored from it.
//!
//! Lines of JSON: a header, the objects by key in byte order, and a trailer with two hashes. The bytes are a function of the world alone, so
//! that two backups of one world are equal, whatever the engine:
//!
//! ```json
//! {"format":"steward.store/1","epoch":"8f2c1a10-…","revision":7,"objects":1}
//! {"kind":"registration_definition","name":"/subscriptions/…","revision":7,"body":"{…}"}
//! {"content_sha256":"…","file_sha256":"…"}
//! ```
//!
//! `content_sha256` is that of the lines of the objects, and survives restoring; `file_sha256` that of everything before the trailer.
//! Changes are not part of it: a restored world has no past, and a new epoch says so.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::{
    COMMIT_BYTES_MAX, Epoch, Existing, InvalidWrite, Object, ObjectKey, ReplaceError, Revision, Snapshot, Store, StoreConfig, StoreError,
    open_engine, rows,
};
use crate::files::{self, NotWritten, Readers};

/// Grows with what can no longer be read by what came before.
const FORMAT: &str = "steward.store/1";
/// A line of a backup: quoting may double the largest body.
const LINE_BYTES_MAX: u64 = 2 * COMMIT_BYTES_MAX as u64 + (1 << 20);

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The history that it was taken from.
    pub epoch: Epoch,
    /// The commit that led to it.
    pub revision: Revision,
    /// How many objects.
    pub objects: usize,
    /// SHA-256 of the objects, in hexadecimal: equal for equal worlds, in whatever epoch and engine.
    pub content_sha256: String,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The world could not be read.
    #[error("the state cannot be read")]
    Store(#[from] StoreError),
    /// The process is ending.
    #[error("the backup was interrupted")]
    Stopped(#[source] tokio::task::JoinError),
    /// The file could not be written. A former one is untouched.
    #[error("the backup cannot be written")]
    Write(#[from] NotWritten),
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file is not what was written.
    #[error("the backup `{}` is damaged in line {line}; use another one", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        cause: Damage,
    },
    /// A later version of this program wrote it.
    #[error("the backup `{}` has the form `{found}`; this program reads `{FORMAT}`: use a newer program", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The form it has.
        found: String,
    },
    /// There is something in the store, and it was to be kept.
    #[error("the store holds revision {revision}; name an empty one, or say that what it holds may be lost")]
    NotEmpty {
        /// Its newest revision.
        revision: Revision,
    },
    /// The process is ending.
    #[error("reading the backup was interrupted")]
    Stopped(#[source] tokio::task::JoinError),
    /// The store could not be opened or written.
    #[error("the state cannot be written")]
    Store(#[from] StoreError),
    /// The file cannot be read.
    #[error("the backup `{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It ends too early, or is too long, or something follows the last one.
    #[error("it is cut, too long or too much")]
    Cut,
    /// The hashes are not those of what is there.
    #[error("the hashes are those of something else")]
    Hash,
    /// No JSON, or not the members there have to be.
    #[error("it is no JSON of the right form")]
    Json(#[source] serde_json::Error),
    /// An object that no store could hold.
    #[error("it holds an object that cannot be")]
    Object(#[from] InvalidWrite),
    /// Objects that are not in order, are there twice, or are newer than the world.
    #[error("it holds an object in the wrong place")]
    Order,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    epoch: Epoch,
    revision: u64,
    objects: usize,
}

#[derive(Serialize)]
struct Line<'a> {
    kind: &'a str,
    name: &'a str,
    revision: u64,
    body: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadLine {
    kind: Box<str>,
    name: Box<str>,
    revision: u64,
    body: Arc<str>,
}

#[derive(Serialize)]
struct Trailer<'a> {
    content_sha256: &'a str,
    file_sha256: &'a str,
}

/// Writes the newest world of a store to a file, which is replaced as a whole and readable for its owner alone.
///
/// # Errors
/// When the world cannot be read or the file cannot be written.
pub async fn backup(store: &dyn Store, to: &Path) -> Result<Backup, BackupError> {
    write_backup(store.snapshot().await?, to).await
}

/// The same for a world that was read before.
///
/// # Errors
/// When the file cannot be written.
pub async fn write_backup(world: Snapshot, to: &Path) -> Result<Backup, BackupError> {
    let to = to.to_owned();
    let written = tokio::task::spawn_blocking(move || -> Result<Backup, NotWritten> {
        let mut content_sha256 = String::new();
        files::replace_with(&to, Readers::Owner, |file| {
            content_sha256 = write(&world, file)?;
            Ok(())
        })?;
        Ok(Backup { epoch: world.epoch, revision: world.revision, objects: world.objects.len(), content_sha256 })
    });
    Ok(written.await.map_err(BackupError::Stopped)??)
}

fn write(world: &Snapshot, file: &mut File) -> io::Result<String> {
    let mut lines = Lines { file: BufWriter::new(file), hashes: Hashes::new() };
    let format = FORMAT.to_owned();
    lines.add(&Header { format, epoch: world.epoch, revision: world.revision.0, objects: world.objects.len() }, Part::Frame)?;
    for Object { key, revision, body } in &world.objects {
        lines.add(&Line { kind: &key.kind, name: &key.name, revision: revision.0, body }, Part::Content)?;
    }
    let Lines { mut file, hashes } = lines;
    let (content, trailer) = hashes.end()?;
    file.write_all(trailer.as_bytes())?;
    file.flush()?;
    Ok(content)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Content,
    Frame,
}

/// Both hashes of what was written or read so far.
struct Hashes {
    content: Context,
    file: Context,
}

impl Hashes {
    fn new() -> Self {
        Self { content: Context::new(&SHA256), file: Context::new(&SHA256) }
    }

    fn add(&mut self, line: &[u8], part: Part) {
        self.file.update(line);
        if part == Part::Content {
            self.content.update(line);
        }
    }

    /// The hash of the content, and the trailer.
    fn end(self) -> io::Result<(String, String)> {
        let [content, file] = [self.content, self.file].map(|hash| hexadecimal(hash.finish().as_ref()));
        let trailer = serde_json::to_string(&Trailer { content_sha256: &content, file_sha256: &file })?;
        Ok((content, trailer + "\n"))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Lines<'a> {
    file: BufWriter<&'a mut File>,
    hashes: Hashes,
}

impl Lines<'_> {
    fn add(&mut self, line: &impl Serialize, part: Part) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.hashes.add(&text, part);
        self.file.write_all(&text)
    }
}

/// Puts the world of a backup into a store, in a new epoch. The whole file is read and proven before the store is touched.
///
/// # Errors
/// When the file is damaged, the store is not empty and is to be kept, or one of them cannot be opened.
pub async fn restore(config: &StoreConfig, from: &Path, existing: Existing) -> Result<Backup, RestoreError> {
    let from = from.to_owned();
    let read = tokio::task::spawn_blocking(move || Reading::open(&from)?.world()).await;
    let (backup, objects) = read.map_err(RestoreError::Stopped)??;
    let world = Snapshot { epoch: Epoch::random(), revision: backup.revision, objects };
    match open_engine(config).await?.replace(world, existing).await {
        Ok(()) => Ok(backup),
        Err(ReplaceError::NotEmpty { revision }) => Err(RestoreError::NotEmpty { revision }),
        Err(ReplaceError::Store(error)) => Err(RestoreError::Store(error)),
    }
}

/// A backup that is being read.
struct Reading {
    path: PathBuf,
    file: BufReader<File>,
    hashes: Hashes,
    line: usize,
    text: Vec<u8>,
}

impl Reading {
    fn open(path: &Path) -> Result<Self, RestoreError> {
        let file = File::open(path).map_err(|cause| RestoreError::Unreadable { path: path.to_owned(), cause })?;
        Ok(Self { path: path.to_owned(), file: BufReader::new(file), hashes: Hashes::new(), line: 0, text: Vec::new() })
    }

    fn world(mut self) -> Result<(Backup, Vec<Object>), RestoreError> {
        let header = self.header()?;
        let mut objects: Vec<Object> = Vec::new();
        for _ in 0..header.objects {
            let object = self.object()?;
            if objects.last().is_some_and(|before| before.key >= object.key) || object.revision.0 > header.revision {
                return Err(self.damaged(Damage::Order));
            }
            objects.push(object);
        }
        let content_sha256 = self.end()?;
        Ok((Backup { epoch: header.epoch, revision: Revision(header.revision), objects: objects.len(), content_sha256 }, objects))
    }

    fn header(&mut self) -> Result<Header, RestoreError> {
        /// What every later form has, too.
        #[derive(Deserialize)]
        struct Form {
            format: String,
        }
        self.next()?;
        let Form { format } = self.parsed()?;
        if format != FORMAT {
            return Err(match format.starts_with("steward.store/") {
                true => RestoreError::Newer { path: self.path.clone(), found: format },
                false => self.damaged(Damage::Cut),
            });
        }
        self.hashes.add(&self.text, Part::Frame);
        self.parsed()
    }

    fn object(&mut self) -> Result<Object, RestoreError> {
        self.next()?;
        self.hashes.add(&self.text, Part::Content);
        let ReadLine { kind, name, revision, body } = self.parsed()?;
        let key = ObjectKey { kind, name };
        rows::check_one(&key, Some(&body)).map_err(|cause| self.damaged(cause.into()))?;
        Ok(Object { key, revision: Revision(revision), body })
    }

    /// The trailer has to be the very bytes that would be written, and the last ones.
    fn end(mut self) -> Result<String, RestoreError> {
        self.next()?;
        let hashes = std::mem::replace(&mut self.hashes, Hashes::new());
        let (content, trailer) = hashes.end().map_err(|cause| RestoreError::Unreadable { path: self.path.clone(), cause })?;
        if self.text != trailer.as_bytes() {
            return Err(self.damaged(Damage::Hash));
        }
        match self.read()? {
            0 => Ok(content),
            _more => Err(self.damaged(Damage::Cut)),
        }
    }

    fn next(&mut self) -> Result<(), RestoreError> {
        self.read()?;
        if self.text.last() == Some(&b'\n') { Ok(()) } else { Err(self.damaged(Damage::Cut)) }
    }

    fn read(&mut self) -> Result<usize, RestoreError> {
        self.text.clear();
        self.line += 1;
        let read = self.file.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut self.text);
        read.map_err(|cause| RestoreError::Unreadable { path: self.path.clone(), cause })
    }

    fn parsed<'a, T: Deserialize<'a>>(&'a self) -> Result<T, RestoreError> {
        serde_json::from_slice(&self.text).map_err(|cause| self.damaged(Damage::Json(cause)))
    }

    fn damaged(&self, cause: Damage) -> RestoreError {
        RestoreError::Damaged { path: self.path.clone(), line: self.line, cause }
    }
}
