//! Files written as a whole or not at all: a reader sees the old content or the new one, never a half.
//!
//! It knows nothing of what is written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// The owner alone: keys and secrets.
    Owner,
    /// Everybody on the machine: certificates, descriptions.
    Everybody,
}

impl Readers {
    const fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Everybody => 0o644,
        }
    }
}

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`; check that its folder exists, is writable and has room", path.display())]
pub struct NotWritten {
    path: PathBuf,
    #[source]
    cause: io::Error,
}

/// Replaces `path` by a file with this content, which is on the disk before it gets its name.
///
/// The permissions hold from the first byte on, whatever those of a former file were.
///
/// # Errors
/// When the folder cannot be written to. The former file is untouched then.
pub fn replace(path: &Path, content: &[u8], readers: Readers) -> Result<(), NotWritten> {
    replace_with(path, readers, |file| file.write_all(content))
}

/// The same for content that is written piece by piece.
///
/// # Errors
/// As for [`replace`], and when `write` fails.
pub fn replace_with(path: &Path, readers: Readers, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), NotWritten> {
    let temporary = temporary_beside(path);
    let written = write_new(&temporary, write, readers).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|cause| {
        // The first error is the one worth telling; a leftover is overwritten by nobody, its name is unique.
        let _gone = fs::remove_file(&temporary).is_ok();
        NotWritten { path: path.to_owned(), cause }
    })
}

fn temporary_beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.tmp", uuid::Uuid::new_v4().simple()));
    path.with_file_name(name)
}

fn write_new(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>, readers: Readers) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(readers.mode()).open(path)?;
    write(&mut file)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn folder() -> PathBuf {
        let folder = std::env::temp_dir().join(format!("steward-files-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        folder
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = folder();
        let path = folder.join("state.json");
        replace(&path, b"old", Readers::Everybody).unwrap();
        replace(&path, b"new", Readers::Owner).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = replace(Path::new("/nowhere/at/all.pem"), b"", Readers::Owner).unwrap_err();
        assert_eq!(error.to_string(), "cannot write `/nowhere/at/all.pem`; check that its folder exists, is writable and has room");
    }
}
