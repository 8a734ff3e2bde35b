//! What is asked of the server, on connections that somebody else owns.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::join;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, GenericClient, IsolationLevel, Row, Statement, Transaction};

use super::super::history;
use super::super::rows::{self, Head, Unreadable};
use super::super::{Change, Epoch, Heard, Object, ObjectKey, Revision, SessionId, Snapshot, TAIL_BYTES_MAX, TAIL_CHANGES_MAX, Tail, Write};
use super::lane::{CHANNEL, Session};
use crate::clock::Timestamp;

/// Rows of one statement.
const CHUNK_ROWS_MAX: usize = 10_000;
/// Bytes of one statement, but for a single row that is larger.
const CHUNK_BYTES_MAX: usize = 16 << 20;
/// Objects that are fetched at once.
const FETCHED_ROWS: i32 = 10_000;
/// Sessions that ended without a word are forgotten after so long.
const SESSION_KEPT_HOURS: i32 = 24;

/// An error of the engine, or a row that cannot be read.
#[derive(Debug)]
pub(super) enum Trouble {
    Engine(Error),
    Row(Unreadable),
}

pub(super) type Outcome<T> = Result<T, Trouble>;

impl From<Error> for Trouble {
    fn from(cause: Error) -> Self {
        Self::Engine(cause)
    }
}

impl From<Unreadable> for Trouble {
    fn from(cause: Unreadable) -> Self {
        Self::Row(cause)
    }
}

const HEAD: &str = "SELECT epoch, revision FROM counter";
const TAKE: &str = "SELECT epoch, revision FROM counter FOR UPDATE";
const WAIT: &str = "SELECT pg_advisory_xact_lock($1)";

fn head_of(row: &Row) -> Outcome<Head> {
    Ok(Head { epoch: rows::epoch(row.try_get(0)?)?, revision: rows::revision(row.try_get(1)?)? })
}

pub(super) async fn snapshot(session: &mut Session) -> Outcome<Snapshot> {
    let start = session.client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start();
    let transaction = start.await?;
    let Head { epoch, revision } = head_of(&transaction.query_one(HEAD, &[]).await?)?;
    let portal = transaction.bind("SELECT kind, name, revision, body FROM object ORDER BY kind, name", &[]).await?;
    let mut objects = Vec::new();
    loop {
        let fetched = transaction.query_portal(&portal, FETCHED_ROWS).await?;
        if fetched.is_empty() {
            break;
        }
        for row in &fetched {
            objects.push(object(row)?);
        }
    }
    transaction.commit().await?;
    Ok(Snapshot { epoch, revision, objects })
}

fn object(row: &Row) -> Outcome<Object> {
    let key = ObjectKey { kind: row.try_get::<_, &str>(0)?.into(), name: row.try_get::<_, &str>(1)?.into() };
    Ok(Object { key, revision: rows::revision(row.try_get(2)?)?, body: row.try_get::<_, &str>(3)?.into() })
}

/// A commit as the server gets it.
pub(super) struct Order<'a> {
    pub(super) epoch: Epoch,
    pub(super) base: Revision,
    pub(super) at: Timestamp,
    pub(super) writes: &'a [Write],
    /// The writes as they are kept.
    pub(super) text: String,
    pub(super) changes_max: u64,
    /// Set when the bytes of changes are to be measured.
    pub(super) changes_bytes: Option<i64>,
}

/// A commit up to its last word.
pub(super) enum Prepared<'a> {
    Conflict {
        head: Revision,
    },
    /// And whether the bytes of changes are known to be bounded.
    Ready(Transaction<'a>, Revision, bool),
}

const FINISH: &str = "
    WITH appended AS (INSERT INTO change (revision, at, writes) VALUES ($1, $2, $3)),
        counted AS (UPDATE counter SET revision = $1),
        trimmed AS (DELETE FROM change WHERE revision <= $4)
    SELECT pg_notify($5, $1::text)";

/// Names the lock of those who commit: the letters `Stwd` and a number.
const TURN_LOCK: i64 = 0x5374_7764_0000_0002;

/// The right to commit, until it is dropped.
pub(super) struct Turn<'a> {
    transaction: Transaction<'a>,
    head: Head,
    put: Statement,
    finish: Statement,
}

/// Waits for one's turn, and for nobody else to commit; then says what was committed after a place, where one is given. The row alone
/// would be given to whoever comes first once it is free, and a gateway that is slow to wake never would.
pub(super) async fn take_turn(session: &mut Session, place: Option<(Epoch, Revision)>) -> Outcome<(Turn<'_>, Tail)> {
    let (wait, take) = (session.prepared(WAIT).await?, session.prepared(TAKE).await?);
    let (missed, put, finish) = (session.prepared(CHANGES).await?, session.prepared(PUT).await?, session.prepared(FINISH).await?);
    let transaction = begin(session).await?;
    let tail = async {
        match place {
            Some((epoch, applied)) => changes_by(&transaction, &missed, epoch, applied, TAIL_CHANGES_MAX).await,
            None => Ok(Tail::Trimmed),
        }
    };
    // They are sent together and carried out one after the other.
    let (waited, taken, tail) = join!(biased; transaction.query_one(&wait, &[&TURN_LOCK]), transaction.query_one(&take, &[]), tail);
    waited?;
    let head = head_of(&taken?)?;
    Ok((Turn { transaction, head, put, finish }, tail?))
}

/// Writes everything, if the world is the one that it was computed from.
pub(super) async fn prepare<'a>(turn: Turn<'a>, order: &Order<'_>) -> Outcome<Prepared<'a>> {
    let Turn { transaction, head, put, finish } = turn;
    if !head.is(order.epoch, order.base) {
        return Ok(Prepared::Conflict { head: head.revision });
    }
    let next = Revision(head.revision.0.saturating_add(1));
    let (kept, at) = (rows::kept(next), order.at.to_string());
    let trimmed = rows::kept(Revision(next.0.saturating_sub(order.changes_max)));
    let params: [&(dyn ToSql + Sync); 5] = [&kept, &at, &order.text, &trimmed, &CHANNEL];
    let (written, finished) = join!(biased; write(&transaction, &put, next, order.writes), transaction.execute(&finish, &params));
    written?;
    finished?;
    let is_bounded = match order.changes_bytes {
        Some(bytes) => history::is_done(transaction.execute(history::TRIM, &[&kept, &history::TRIMMED_AT_ONCE, &bytes]).await?),
        None => false,
    };
    Ok(Prepared::Ready(transaction, next, is_bounded))
}

async fn begin(session: &mut Session) -> Result<Transaction<'_>, Error> {
    session.client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await
}

/// The last write of each object, for no statement may touch a row twice.
async fn write(transaction: &Transaction<'_>, statement: &Statement, revision: Revision, writes: &[Write]) -> Result<(), Error> {
    let last: BTreeMap<&ObjectKey, Option<&str>> = writes.iter().map(|write| (&write.key, write.body.as_deref())).collect();
    let deleted: Vec<&ObjectKey> = last.iter().filter(|(_key, body)| body.is_none()).map(|(key, _body)| *key).collect();
    for chunk in deleted.chunks(CHUNK_ROWS_MAX) {
        let kinds: Vec<&str> = chunk.iter().map(|key| &*key.kind).collect();
        let names: Vec<&str> = chunk.iter().map(|key| &*key.name).collect();
        let delete = "DELETE FROM object USING unnest($1::text[], $2::text[]) AS gone (kind, name)
            WHERE object.kind = gone.kind AND object.name = gone.name";
        transaction.execute(delete, &[&kinds, &names]).await?;
    }
    let put = last.into_iter().filter_map(|(key, body)| Some(Put { key, revision: rows::kept(revision), body: body? }));
    put_all(transaction, statement, put).await
}

struct Put<'a> {
    key: &'a ObjectKey,
    revision: i64,
    body: &'a str,
}

impl Put<'_> {
    fn size(&self) -> usize {
        self.key.kind.len() + self.key.name.len() + self.body.len()
    }
}

async fn put_all<'a>(
    transaction: &Transaction<'_>,
    statement: &Statement,
    rows: impl Iterator<Item = Put<'a>> + Send,
) -> Result<(), Error> {
    let (mut chunk, mut bytes) = (Vec::new(), 0_usize);
    for row in rows {
        bytes = bytes.saturating_add(row.size());
        chunk.push(row);
        if chunk.len() >= CHUNK_ROWS_MAX || bytes >= CHUNK_BYTES_MAX {
            put(transaction, statement, &chunk).await?;
            chunk.clear();
            bytes = 0;
        }
    }
    if chunk.is_empty() { Ok(()) } else { put(transaction, statement, &chunk).await }
}

const PUT: &str = "INSERT INTO object (kind, name, revision, body)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[])
    ON CONFLICT (kind, name) DO UPDATE SET revision = excluded.revision, body = excluded.body";

async fn put(transaction: &Transaction<'_>, statement: &Statement, chunk: &[Put<'_>]) -> Result<(), Error> {
    let kinds: Vec<&str> = chunk.iter().map(|row| &*row.key.kind).collect();
    let names: Vec<&str> = chunk.iter().map(|row| &*row.key.name).collect();
    let revisions: Vec<i64> = chunk.iter().map(|row| row.revision).collect();
    let bodies: Vec<&str> = chunk.iter().map(|row| row.body).collect();
    transaction.execute(statement, &[&kinds, &names, &revisions, &bodies]).await.map(|_rows| ())
}

/// Replaces everything by this world, unless there is something and it was to be kept. Answers with the revision that stood there.
pub(super) async fn replace(session: &mut Session, world: &Snapshot, may_be_full: bool) -> Outcome<Result<(), Revision>> {
    let put = session.prepared(PUT).await?;
    let transaction = begin(session).await?;
    let head = head_of(&transaction.query_one(TAKE, &[]).await?)?.revision;
    if head != Revision(0) && !may_be_full {
        return Ok(Err(head));
    }
    transaction.batch_execute("DELETE FROM object; DELETE FROM change").await?;
    let objects = world.objects.iter();
    put_all(&transaction, &put, objects.map(|object| Put { key: &object.key, revision: rows::kept(object.revision), body: &object.body }))
        .await?;
    let update = "UPDATE counter SET epoch = $1, revision = $2";
    transaction.execute(update, &[&world.epoch.to_string(), &rows::kept(world.revision)]).await?;
    transaction.execute("SELECT pg_notify($1, '')", &[&CHANNEL]).await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

/// The clock that counts is the server's.
const HEARTBEAT: &str = "INSERT INTO node_session (id, seen_at, epoch, applied) VALUES ($1, clock_timestamp(), $2, $3)
    ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at, epoch = excluded.epoch, applied = excluded.applied";

/// One row without a change, or one for each. A session with another past may be deciding by anything, and counts as zero.
const HEAR: &str = "
    SELECT counter.epoch, counter.revision, least(counter.revision, others.applied), tail.revision, tail.at, tail.writes
    FROM counter
    CROSS JOIN LATERAL (
        SELECT min(CASE WHEN s.epoch = counter.epoch AND s.applied <= counter.revision THEN s.applied ELSE 0 END) AS applied
        FROM node_session s WHERE s.id <> $1 AND s.seen_at >= clock_timestamp() - $4::float8 * interval '1 second'
    ) AS others
    LEFT JOIN LATERAL (
        SELECT * FROM (
            SELECT c.*, sum(octet_length(c.writes)) OVER (ORDER BY c.revision) AS bytes
            FROM change c WHERE c.revision > $3 AND counter.epoch = $2 ORDER BY c.revision LIMIT $5
        ) AS portion WHERE portion.bytes <= $6 OR portion.bytes = octet_length(portion.writes)
    ) AS tail ON true
    ORDER BY tail.revision";

/// The heartbeat is committed before the tail is read: see the top of the store. Both travel together.
pub(super) async fn poll(session: &mut Session, asker: (SessionId, Epoch, Revision), kept: Duration) -> Outcome<Heard> {
    let (heartbeat, hear) = (session.prepared(HEARTBEAT).await?, session.prepared(HEAR).await?);
    let (id, epoch, applied) = (asker.0.to_string(), asker.1.to_string(), rows::kept(asker.2));
    let (kept, limits) = (kept.as_secs_f64(), Limits::new(TAIL_CHANGES_MAX));
    let beat: [&(dyn ToSql + Sync); 3] = [&id, &epoch, &applied];
    let asked: [&(dyn ToSql + Sync); 6] = [&id, &epoch, &applied, &kept, &limits.rows, &limits.bytes];
    let (beaten, heard) = join!(biased; session.client.execute(&heartbeat, &beat), session.client.query(&hear, &asked));
    beaten?;
    let heard = heard?;
    let first = heard.first().ok_or(Unreadable::NoCounter)?;
    let head = head_of(first)?;
    let fence = rows::revision(first.try_get(2)?)?;
    let changes = heard.iter().filter_map(|row| change(row, 3).transpose()).collect::<Outcome<_>>()?;
    Ok(rows::heard(&head, asker.1, asker.2, changes, fence))
}

struct Limits {
    rows: i64,
    bytes: i64,
}

impl Limits {
    fn new(rows: usize) -> Self {
        let bounded = |number| i64::try_from(number).unwrap_or(i64::MAX);
        Self { rows: bounded(rows.min(TAIL_CHANGES_MAX)), bytes: bounded(TAIL_BYTES_MAX) }
    }
}

/// The change in the columns from `at` on, if there is one.
fn change(row: &Row, at: usize) -> Outcome<Option<Change>> {
    match row.try_get::<_, Option<i64>>(at)? {
        Some(revision) => Ok(Some(rows::change(revision, row.try_get(at + 1)?, row.try_get(at + 2)?)?)),
        None => Ok(None),
    }
}

const CHANGES: &str = "
    SELECT counter.epoch, counter.revision, tail.revision, tail.at, tail.writes
    FROM counter
    LEFT JOIN LATERAL (
        SELECT * FROM (
            SELECT c.*, sum(octet_length(c.writes)) OVER (ORDER BY c.revision) AS bytes
            FROM change c WHERE c.revision > $2 AND counter.epoch = $1 ORDER BY c.revision LIMIT $3
        ) AS portion WHERE portion.bytes <= $4 OR portion.bytes = octet_length(portion.writes)
    ) AS tail ON true
    ORDER BY tail.revision";

pub(super) async fn changes(session: &mut Session, epoch: Epoch, after: Revision, limit: usize) -> Outcome<Tail> {
    let statement = session.prepared(CHANGES).await?;
    changes_by(&session.client, &statement, epoch, after, limit).await
}

async fn changes_by(client: &impl GenericClient, statement: &Statement, epoch: Epoch, after: Revision, limit: usize) -> Outcome<Tail> {
    let limits = Limits::new(limit);
    let found = client.query(statement, &[&epoch.to_string(), &rows::kept(after), &limits.rows, &limits.bytes]).await?;
    let head = head_of(found.first().ok_or(Unreadable::NoCounter)?)?;
    let changes = found.iter().filter_map(|row| change(row, 2).transpose()).collect::<Outcome<_>>()?;
    Ok(rows::portion(&head, epoch, after, changes, limit))
}

pub(super) async fn leave(session: &mut Session, leaver: SessionId) -> Outcome<()> {
    let left = session.client.execute("DELETE FROM node_session WHERE id = $1", &[&leaver.to_string()]).await;
    Ok(left.map(|_rows| ())?)
}

/// Sessions of gateways that were killed are in nobody's way, but would grow in number.
pub(super) async fn forget_old_sessions(client: &impl GenericClient) -> Result<(), Error> {
    let forget = "DELETE FROM node_session WHERE seen_at < clock_timestamp() - $1 * interval '1 hour'";
    client.execute(forget, &[&f64::from(SESSION_KEPT_HOURS)]).await.map(|_rows| ())
}
