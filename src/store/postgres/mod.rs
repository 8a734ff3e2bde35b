//! The engine for a fleet: a PostgreSQL database that all gateways share.
//!
//! Three connections, made when needed: one commits, one polls and listens, one reads what may take long. A request in trouble closes its
//! connection, and the next one makes another. Every request has a deadline here, and a shorter or equal one in the server.

mod failure;
mod lane;
mod schema;
mod sql;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;

use self::failure::{failed, is_rolled_back};
use self::lane::{Access, Lane, Session};
use self::sql::{Order, Outcome, Prepared, Trouble};
use super::history::History;
use super::{
    Answer, Change, CommitError, Engine, Epoch, Existing, Heard, Plan, PostgresUrl, ReplaceError, Revision, SessionId, Snapshot, Store,
    StoreConfig, StoreError, Tail, Write, rows,
};
use crate::clock::Timestamp;

/// A poll, portion of changes or goodbye, connecting included.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// A commit up to its last word: waiting for others and writing.
const WRITE_TIME_MAX: Duration = Duration::from_secs(60);
/// The last word of a commit. A server may wait for its standbys.
const COMMIT_TIME_MAX: Duration = Duration::from_secs(10);
/// The whole world, and anything else that reads.
const READ_TIME_MAX: Duration = Duration::from_secs(120);
/// A migration, or replacing the whole world.
const REPLACE_TIME_MAX: Duration = Duration::from_secs(600);

/// A store in a database.
pub(super) struct Postgres {
    name: Box<str>,
    commits: Lane,
    polls: Lane,
    reads: Lane,
    woken: watch::Sender<u64>,
    session_kept: Duration,
    changes_max: u64,
    history: History,
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Postgres {
    pub(super) async fn open(url: &PostgresUrl, config: &StoreConfig) -> Result<Self, StoreError> {
        let store = Self::new(url, config)?;
        store.prepare().await?;
        Ok(store)
    }

    fn new(url: &PostgresUrl, config: &StoreConfig) -> Result<Self, StoreError> {
        let name: Box<str> = url.to_string().into();
        let tls = tls(url, config).map_err(|cause| StoreError::Refused { store: name.clone(), cause })?;
        let access =
            Arc::new(Access { name: name.clone(), config: url.config().clone(), password_file: config.password_file.clone(), tls });
        let woken = watch::Sender::new(0);
        Ok(Self {
            name,
            commits: Lane::new(&access, WRITE_TIME_MAX, None),
            polls: Lane::new(&access, ANSWER_TIME_MAX, Some(woken.clone())),
            reads: Lane::new(&access, READ_TIME_MAX, None),
            woken,
            session_kept: config.lease.saturating_add(config.margin),
            changes_max: config.changes_max.max(1),
            history: History::new(config.changes_bytes_max),
        })
    }

    /// The schema, and the connection that listens.
    async fn prepare(&self) -> Result<(), StoreError> {
        let mut held = within(&self.name, ANSWER_TIME_MAX, self.commits.take()).await?;
        let client = &mut held.session.client;
        if within(&self.name, ANSWER_TIME_MAX, schema::is_older(&self.name, client)).await? {
            within(&self.name, REPLACE_TIME_MAX, schema::migrate(&self.name, client)).await?;
        }
        let forget = async { sql::forget_old_sessions(client).await.map_err(|cause| failed(&self.name, cause)) };
        within(&self.name, ANSWER_TIME_MAX, forget).await?;
        held.keep();
        within(&self.name, ANSWER_TIME_MAX, self.polls.take()).await?.keep();
        Ok(())
    }

    fn trouble<T>(&self, outcome: Outcome<T>) -> Result<T, StoreError> {
        outcome.map_err(|trouble| match trouble {
            Trouble::Engine(cause) => failed(&self.name, cause),
            Trouble::Row(cause) => StoreError::Corrupt { store: self.name.clone(), cause: cause.into() },
        })
    }

    /// Takes the lane of commits; the connection is kept when its state is known.
    async fn commit_on<T>(&self, work: impl AsyncFnOnce(&mut Session) -> Result<T, CommitError>) -> Result<T, CommitError> {
        let mut held = within(&self.name, WRITE_TIME_MAX, self.commits.take()).await?;
        let done = work(&mut held.session).await;
        if matches!(done, Ok(_) | Err(CommitError::Conflict { .. })) {
            held.keep();
        }
        done
    }

    async fn finish(&self, prepared: Prepared<'_>, order: &Order<'_>) -> Result<Revision, CommitError> {
        let (transaction, revision, is_bounded) = match prepared {
            Prepared::Conflict { head } => return Err(CommitError::Conflict { head }),
            Prepared::Ready(transaction, revision, is_bounded) => (transaction, revision, is_bounded),
        };
        match timeout(COMMIT_TIME_MAX, transaction.commit()).await {
            Ok(Ok(())) => {
                self.history.wrote(order.text.len(), is_bounded);
                self.woken.send_modify(|times| *times = times.wrapping_add(1));
                Ok(revision)
            }
            Ok(Err(cause)) if is_rolled_back(&cause) => Err(CommitError::Store(failed(&self.name, cause))),
            Ok(Err(cause)) => Err(CommitError::Unknown(failed(&self.name, cause))),
            Err(late) => Err(CommitError::Unknown(StoreError::Unreachable { store: self.name.clone(), cause: late.into() })),
        }
    }

    fn order<'a>(&self, epoch: Epoch, base: Revision, at: Timestamp, writes: &'a [Write]) -> Result<Order<'a>, StoreError> {
        rows::check(writes)?;
        let text = rows::encode(writes).map_err(|cause| StoreError::Failed { store: self.name.clone(), cause: cause.into() })?;
        let changes_bytes = self.history.bound(text.len());
        Ok(Order { epoch, base, at, writes, text, changes_max: self.changes_max, changes_bytes })
    }

    async fn committed(&self, session: &mut Session, order: &Order<'_>) -> Result<Revision, CommitError> {
        let prepare = async {
            let (turn, _unread) = self.trouble(sql::take_turn(session, None).await)?;
            self.trouble(sql::prepare(turn, order).await)
        };
        self.finish(within(&self.name, WRITE_TIME_MAX, prepare).await?, order).await
    }

    async fn committed_in_turn(
        &self,
        session: &mut Session,
        (epoch, applied, at): (Epoch, Revision, Timestamp),
        plan: Plan<'_>,
    ) -> Result<Option<Change>, CommitError> {
        let turn = async { self.trouble(sql::take_turn(session, Some((epoch, applied))).await) };
        let (turn, missed) = within(&self.name, WRITE_TIME_MAX, turn).await?;
        let Some((base, writes)) = plan(missed) else { return Ok(None) };
        let order = self.order(epoch, base, at, &writes)?;
        let prepared = within(&self.name, WRITE_TIME_MAX, async { self.trouble(sql::prepare(turn, &order).await) }).await?;
        let revision = self.finish(prepared, &order).await?;
        Ok(Some(Change { revision, at, writes }))
    }
}

/// The world in a database, without changing anything there.
pub(super) async fn look(url: &PostgresUrl, config: &StoreConfig) -> Result<Snapshot, StoreError> {
    let store = Postgres::new(url, config)?;
    let held = within(&store.name, ANSWER_TIME_MAX, store.reads.take()).await?;
    within(&store.name, ANSWER_TIME_MAX, schema::check_current(&store.name, &held.session.client)).await?;
    held.keep();
    store.snapshot().await
}

/// Roots are read once; without TLS none are needed.
fn tls(url: &PostgresUrl, config: &StoreConfig) -> Result<tls::MakeTls, super::error::Cause> {
    let has_tls = url.config().get_ssl_mode() != SslMode::Disable;
    let roots = if has_tls { crate::tls::trusted_roots(config.trusted_roots.as_deref())? } else { RootCertStore::empty() };
    Ok(tls::MakeTls::new(crate::tls::client_config(roots, Some(tls::ALPN))?))
}

/// Nothing waits for ever.
async fn within<T>(name: &str, time_max: Duration, asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(time_max, asked).await.unwrap_or_else(|late| Err(StoreError::Unreachable { store: name.into(), cause: late.into() }))
}

/// Takes a lane, asks, and keeps the connection if it answered.
macro_rules! ask {
    ($store:ident, $lane:ident, $time_max:expr, |$session:ident| $asked:expr) => {
        Box::pin(within(&$store.name, $time_max, async move {
            let mut held = $store.$lane.take().await?;
            let $session = &mut held.session;
            let answer = $store.trouble($asked.await)?;
            held.keep();
            Ok(answer)
        }))
    };
}

impl Store for Postgres {
    fn snapshot(&self) -> Answer<'_, Snapshot> {
        ask!(self, reads, READ_TIME_MAX, |session| sql::snapshot(session))
    }

    fn commit<'a>(&'a self, epoch: Epoch, base: Revision, at: Timestamp, writes: &'a [Write]) -> Answer<'a, Revision, CommitError> {
        Box::pin(async move {
            let order = self.order(epoch, base, at, writes)?;
            self.commit_on(async |session| self.committed(session, &order).await).await
        })
    }

    fn commit_in_turn<'a>(
        &'a self,
        epoch: Epoch,
        applied: Revision,
        at: Timestamp,
        plan: Plan<'a>,
    ) -> Answer<'a, Option<Change>, CommitError> {
        Box::pin(self.commit_on(async move |session| self.committed_in_turn(session, (epoch, applied, at), plan).await))
    }

    fn poll(&self, session: SessionId, epoch: Epoch, applied: Revision) -> Answer<'_, Heard> {
        let asker = (session, epoch, applied);
        ask!(self, polls, ANSWER_TIME_MAX, |session| sql::poll(session, asker, self.session_kept))
    }

    fn leave(&self, session: SessionId) -> Answer<'_, ()> {
        let leaver = session;
        ask!(self, polls, ANSWER_TIME_MAX, |session| sql::leave(session, leaver))
    }

    fn changes(&self, epoch: Epoch, after: Revision, limit: usize) -> Answer<'_, Tail> {
        ask!(self, reads, READ_TIME_MAX, |session| sql::changes(session, epoch, after, limit))
    }

    fn woken(&self) -> watch::Receiver<u64> {
        self.woken.subscribe()
    }
}

impl Engine for Postgres {
    fn replace(&self, world: Snapshot, existing: Existing) -> Answer<'_, (), ReplaceError> {
        let may_be_full = existing == Existing::Replace;
        Box::pin(async move {
            let replaced: Answer<'_, Result<(), Revision>> =
                ask!(self, commits, REPLACE_TIME_MAX, |session| sql::replace(session, &world, may_be_full));
            replaced.await?.map_err(|revision| ReplaceError::NotEmpty { revision })
        })
    }
}
