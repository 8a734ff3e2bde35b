//! Where a store is.

use std::path::PathBuf;
use std::str::FromStr;

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `sqlite:PATH`, or a path alone: a file, with its write-ahead log and its lock beside it.
    Sqlite(PathBuf),
    /// `postgres://…`
    Postgres(String),
}

/// A text that names no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAStoreUrl {
    /// No path.
    #[error("the store has no name; expected the path of a file, or `postgres://user@host/database?sslmode=require`")]
    Empty,
    /// Another engine.
    #[error("`{scheme}` is not a kind of store; expected the path of a file, or `postgres://user@host/database?sslmode=require`")]
    Scheme {
        /// What stands before `://`.
        scheme: String,
    },
}

impl FromStr for StoreUrl {
    type Err = NotAStoreUrl;

    fn from_str(text: &str) -> Result<Self, NotAStoreUrl> {
        match text.split_once("://") {
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(text.to_owned())),
            Some((scheme, _)) => Err(NotAStoreUrl::Scheme { scheme: scheme.to_owned() }),
            None => match text.strip_prefix("sqlite:").unwrap_or(text) {
                "" => Err(NotAStoreUrl::Empty),
                path => Ok(Self::Sqlite(PathBuf::from(path))),
            },
        }
    }
}
