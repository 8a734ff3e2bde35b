//! What an error of the server or of the connection means to the caller.

use std::io;

use tokio_postgres::Error;
use tokio_postgres::error::{Severity, SqlState};

use super::super::error::StoreError;

/// Source: PostgreSQL, "PostgreSQL Error Codes".
const BUSY: [&str; 4] = ["40001", "40P01", "55P03", "57014"];
/// Shut down, crashed, starting, full, idle for too long, or a standby now.
const AWAY: [&str; 7] = ["57P01", "57P02", "57P03", "53300", "25P03", "25006", "57P05"];
const DAMAGED: [&str; 2] = ["XX001", "XX002"];
/// No such database, no such schema, no privilege. Class 28 is the password.
const REFUSED: [&str; 3] = ["3D000", "3F000", "42501"];

/// A failed request. Nothing was committed by it.
pub(super) fn failed(name: &str, cause: Error) -> StoreError {
    let store = name.into();
    let code = cause.code().map(SqlState::code).unwrap_or_default();
    let (is, begins) = (|codes: &[&str]| codes.contains(&code), |class: &str| code.starts_with(class));
    let (busy, away) = (is(&BUSY), is(&AWAY) || begins("08"));
    let (damaged, refused) = (is(&DAMAGED), is(&REFUSED) || begins("28"));
    let cut = code.is_empty() && is_cut(&cause);
    let cause = Box::new(cause);
    match () {
        () if busy => StoreError::Busy { store, cause: Some(cause) },
        () if away || cut => StoreError::Unreachable { store, cause },
        () if damaged => StoreError::Corrupt { store, cause },
        () if refused => StoreError::Refused { store, cause },
        () => StoreError::Failed { store, cause },
    }
}

/// A connection that could not be made.
pub(super) fn connecting(name: &str, cause: Error) -> StoreError {
    match cause.as_db_error() {
        Some(_said) => failed(name, cause),
        None => StoreError::Unreachable { store: name.into(), cause: cause.into() },
    }
}

fn is_cut(cause: &Error) -> bool {
    use std::error::Error as _;
    cause.is_closed() || cause.source().is_some_and(|source| source.is::<io::Error>())
}

/// Whether the server said that it did not commit. A session that it ends while committing may have committed.
pub(super) fn is_rolled_back(cause: &Error) -> bool {
    cause.as_db_error().is_some_and(|said| said.parsed_severity() == Some(Severity::Error))
}
