//! What can go wrong with a store, by what the caller does about it.

use std::error::Error;

use super::Revision;

/// What an engine or the operating system said.
pub(super) type Cause = Box<dyn Error + Send + Sync>;

/// Why a store did not answer. Nothing was changed.
///
/// `store` is the file, or the server and database; never a password.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Others hold what is needed for too long, or two transactions stood in each other's way. Asking again is right.
    #[error("`{store}` is busy; try again")]
    Busy {
        /// Which store.
        store: Box<str>,
        /// What the engine said.
        #[source]
        cause: Option<Cause>,
    },
    /// What is there cannot be read.
    #[error("`{store}` is damaged; restore a backup into a new store, and keep this one for a closer look")]
    Corrupt {
        /// Which store.
        store: Box<str>,
        /// Where.
        #[source]
        cause: Cause,
    },
    /// The engine could not do it: a full disk, a missing table.
    #[error("`{store}` failed")]
    Failed {
        /// Which store.
        store: Box<str>,
        /// What the engine said.
        #[source]
        cause: Cause,
    },
    /// There is something else in its place.
    #[error("`{store}` was not made by this program; name another place for the state")]
    Foreign {
        /// Which store.
        store: Box<str>,
    },
    /// Another process works with the file.
    #[error("`{store}` is in use by another process; only one can write a file: end the other one, or use PostgreSQL")]
    InUse {
        /// Which store.
        store: Box<str>,
    },
    /// Nothing that can be written.
    #[error("{0}")]
    Invalid(#[from] InvalidWrite),
    /// Written by a later version of this program.
    #[error("`{store}` has schema version {found}; this program knows versions up to {known}: use a newer program")]
    Newer {
        /// Which store.
        store: Box<str>,
        /// In the store.
        found: u32,
        /// The last migration of this program.
        known: u32,
    },
    /// Written by an earlier version of this program, where nothing may be changed.
    #[error("`{store}` has schema version {found} and this program needs {known}: open it once with `steward serve`")]
    Older {
        /// Which store.
        store: Box<str>,
        /// In the store.
        found: u32,
        /// The last migration of this program.
        known: u32,
    },
    /// It does not let us in: permissions, a password, a name.
    #[error("`{store}` refused")]
    Refused {
        /// Which store.
        store: Box<str>,
        /// What the system or the server said.
        #[source]
        cause: Cause,
    },
    /// The thread that works for the store has ended.
    #[error("the store has stopped")]
    Stopped,
    /// No connection, or no answer in time. Asking again may help.
    #[error("`{store}` cannot be reached")]
    Unreachable {
        /// Which store.
        store: Box<str>,
        /// What happened.
        #[source]
        cause: Cause,
    },
}

/// A commit that no engine could carry out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWrite {
    /// The body holds a byte that PostgreSQL cannot keep.
    #[error("the body of `{key}` holds a NUL character; expected JSON text")]
    Body {
        /// Kind and name.
        key: String,
    },
    /// A kind or a name is empty, too long or holds a NUL character.
    #[error("`{key}` cannot name an object; allowed are 1 to {max} bytes without NUL for kind and name each", max = super::KEY_BYTES_MAX)]
    Key {
        /// Kind and name.
        key: String,
    },
    /// Too many writes or bytes.
    #[error("a commit of {writes} writes with {bytes} bytes is too large; allowed are {writes_max} and {bytes_max}", writes_max = super::WRITES_MAX, bytes_max = super::COMMIT_BYTES_MAX)]
    TooLarge {
        /// How many.
        writes: usize,
        /// Of keys and bodies.
        bytes: usize,
    },
}

/// Why a commit was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Somebody else committed first. Nothing was changed.
    #[error("the newest revision is {head}")]
    Conflict {
        /// The newest revision.
        head: Revision,
    },
    /// Nothing was changed.
    #[error("nothing was written")]
    Store(#[from] StoreError),
    /// The commit was sent and its outcome is not known: read again to find out.
    #[error("it is not known whether the write took place")]
    Unknown(#[source] StoreError),
}
