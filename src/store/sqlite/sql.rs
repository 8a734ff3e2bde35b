//! What is asked of the file, on connections that somebody else owns.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rusqlite::types::Type;
use rusqlite::{Connection, Params, Row, Transaction, TransactionBehavior, params};

use super::super::history;
use super::super::rows::{self, Head};
use super::super::{Change, Epoch, Heard, Object, ObjectKey, Revision, SessionId, Snapshot, TAIL_BYTES_MAX, TAIL_CHANGES_MAX, Tail, Write};
use crate::clock::{Clock, Timestamp};

/// An error of the engine, or a row that cannot be read.
pub(super) type Outcome<T> = rusqlite::Result<T>;

/// How a commit ended, short of an error before its end.
pub(super) enum Committed {
    Conflict {
        head: Revision,
    },
    /// And whether the bytes of changes are known to be bounded.
    Done(Revision, bool),
    Unknown(rusqlite::Error),
}

fn unreadable(cause: rows::Unreadable) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, cause.into())
}

pub(super) fn head(connection: &Connection) -> Outcome<Head> {
    let mut statement = connection.prepare_cached("SELECT epoch, revision FROM counter")?;
    let (epoch, revision) = statement.query_row([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))?;
    Ok(Head { epoch: rows::epoch(&epoch).map_err(unreadable)?, revision: rows::revision(revision).map_err(unreadable)? })
}

pub(super) fn snapshot(connection: &mut Connection) -> Outcome<Snapshot> {
    let transaction = connection.transaction()?;
    let Head { epoch, revision } = head(&transaction)?;
    let mut statement = transaction.prepare_cached("SELECT kind, name, revision, body FROM object ORDER BY kind, name")?;
    let objects = statement.query_map([], object)?.collect::<Outcome<_>>()?;
    Ok(Snapshot { epoch, revision, objects })
}

fn object(row: &Row<'_>) -> Outcome<Object> {
    let key = ObjectKey { kind: row.get(0)?, name: row.get(1)? };
    Ok(Object { key, revision: rows::revision(row.get(2)?).map_err(unreadable)?, body: row.get(3)? })
}

pub(super) fn changes(connection: &mut Connection, epoch: Epoch, after: Revision, limit: usize) -> Outcome<Tail> {
    let transaction = connection.transaction()?;
    let head = head(&transaction)?;
    let changes = read(&transaction, after, limit)?;
    Ok(rows::portion(&head, epoch, after, changes, limit))
}

/// The first changes after a revision: at most `limit` and [`TAIL_CHANGES_MAX`], and none but the first beyond [`TAIL_BYTES_MAX`].
fn read(connection: &Connection, after: Revision, limit: usize) -> Outcome<Vec<Change>> {
    let mut statement =
        connection.prepare_cached("SELECT revision, at, writes FROM change WHERE revision > ?1 ORDER BY revision LIMIT ?2")?;
    let mut found = statement.query([rows::kept(after), i64::try_from(limit.min(TAIL_CHANGES_MAX)).unwrap_or_default()])?;
    let (mut changes, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        let writes = row.get_ref(2)?.as_str()?;
        bytes += writes.len();
        if bytes > TAIL_BYTES_MAX && !changes.is_empty() {
            break;
        }
        changes.push(rows::change(row.get(0)?, row.get_ref(1)?.as_str()?, writes).map_err(unreadable)?);
    }
    Ok(changes)
}

/// A commit as the writer gets it.
pub(super) struct Order {
    pub(super) epoch: Epoch,
    pub(super) base: Revision,
    pub(super) at: Timestamp,
    pub(super) writes: Vec<Write>,
    /// The writes as they are kept.
    pub(super) text: String,
    pub(super) changes_max: u64,
    /// Set when the bytes of changes are to be measured.
    pub(super) changes_bytes: Option<i64>,
}

pub(super) fn commit(connection: &mut Connection, order: &Order) -> Outcome<Committed> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let head = head(&transaction)?;
    if !head.is(order.epoch, order.base) {
        return Ok(Committed::Conflict { head: head.revision });
    }
    let next = Revision(head.revision.0.saturating_add(1));
    write(&transaction, next, &order.writes)?;
    execute(
        &transaction,
        "INSERT INTO change (revision, at, writes) VALUES (?1, ?2, ?3)",
        params![rows::kept(next), order.at.to_string(), order.text],
    )?;
    execute(&transaction, "UPDATE counter SET revision = ?1", [rows::kept(next)])?;
    execute(&transaction, "DELETE FROM change WHERE revision <= ?1", [rows::kept(Revision(next.0.saturating_sub(order.changes_max)))])?;
    let is_bounded = match order.changes_bytes {
        Some(bytes) => {
            let trimmed = execute(&transaction, history::TRIM, [rows::kept(next), history::TRIMMED_AT_ONCE, bytes])?;
            history::is_done(trimmed as u64)
        }
        None => false,
    };
    match transaction.commit() {
        Ok(()) => Ok(Committed::Done(next, is_bounded)),
        Err(cause) => Ok(Committed::Unknown(cause)),
    }
}

fn execute(transaction: &Transaction<'_>, sql: &str, params: impl Params) -> Outcome<usize> {
    transaction.prepare_cached(sql)?.execute(params)
}

fn write(transaction: &Transaction<'_>, revision: Revision, writes: &[Write]) -> Outcome<()> {
    let mut put = transaction.prepare_cached(
        "INSERT INTO object (kind, name, revision, body) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (kind, name) DO UPDATE SET revision = excluded.revision, body = excluded.body",
    )?;
    let mut delete = transaction.prepare_cached("DELETE FROM object WHERE kind = ?1 AND name = ?2")?;
    for Write { key, body } in writes {
        match body {
            Some(body) => put.execute(params![key.kind, key.name, rows::kept(revision), body])?,
            None => delete.execute(params![key.kind, key.name])?,
        };
    }
    Ok(())
}

/// Replaces everything by this world, unless there is something and it was to be kept. Answers with the revision that stood there.
pub(super) fn replace(connection: &mut Connection, world: &Snapshot, may_be_full: bool) -> Outcome<Result<(), Revision>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let head = head(&transaction)?.revision;
    if head != Revision(0) && !may_be_full {
        return Ok(Err(head));
    }
    transaction.execute_batch("DELETE FROM object; DELETE FROM change")?;
    let mut put = transaction.prepare("INSERT INTO object (kind, name, revision, body) VALUES (?1, ?2, ?3, ?4)")?;
    for object in &world.objects {
        put.execute(params![object.key.kind, object.key.name, rows::kept(object.revision), object.body])?;
    }
    drop(put);
    transaction.execute("UPDATE counter SET epoch = ?1, revision = ?2", params![world.epoch.to_string(), rows::kept(world.revision)])?;
    transaction.commit().map(Ok)
}

/// When sessions were heard of, and what they had applied. They are sessions of this process, so they need not outlive it.
#[derive(Debug, Default)]
pub(super) struct Sessions(HashMap<SessionId, Heartbeat>);

#[derive(Debug, Clone, Copy)]
struct Heartbeat {
    at: Instant,
    epoch: Epoch,
    applied: Revision,
}

impl Sessions {
    pub(super) fn leave(&mut self, session: SessionId) {
        self.0.remove(&session);
    }

    /// What all others have applied that were heard of within `kept`. One with another past may be deciding by anything.
    fn fence(&mut self, asker: SessionId, kept: Duration, head: &Head) -> Revision {
        let now = Clock::instant();
        self.0.retain(|_session, heartbeat| now.saturating_duration_since(heartbeat.at) <= kept);
        let others = self.0.iter().filter(|(session, _heartbeat)| **session != asker);
        let applied = others.map(|(_session, Heartbeat { epoch, applied, .. })| match head.follows(*epoch, *applied) {
            true => *applied,
            false => Revision(0),
        });
        applied.fold(head.revision, Revision::min)
    }
}

/// The heartbeat comes first, then the tail: see the top of the store.
pub(super) fn poll(
    connection: &mut Connection,
    sessions: &mut Sessions,
    (session, epoch, applied): (SessionId, Epoch, Revision),
    kept: Duration,
) -> Outcome<Heard> {
    sessions.0.insert(session, Heartbeat { at: Clock::instant(), epoch, applied });
    let transaction = connection.transaction()?;
    let head = head(&transaction)?;
    let fence = sessions.fence(session, kept, &head);
    let changes = if head.follows(epoch, applied) { read(&transaction, applied, TAIL_CHANGES_MAX)? } else { Vec::new() };
    Ok(rows::heard(&head, epoch, applied, changes, fence))
}
