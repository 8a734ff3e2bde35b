//! Connections: one per lane, made when needed, given up at the first doubt.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Socket, Statement};

use super::super::error::StoreError;
use super::failure::{self, failed};
use super::schema;
use super::tls::{MakeTls, TlsStream};

/// For TCP to one of several hosts.
const TCP_TIME_MAX: Duration = Duration::from_millis(1_500);
/// For everything until the connection can be used: all hosts, TLS, the password.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// After a connection that failed, before the next one is tried; doubled each time.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// The longest such wait: well below a lease.
const BACKOFF_MAX: Duration = Duration::from_millis(500);
/// What was sent may stay unacknowledged by the peer's kernel, and a silent peer may stay unasked.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Between two questions to a silent peer, and how many may stay unanswered.
const KEEP_ALIVE: (Duration, u32) = (Duration::from_secs(2), 3);
/// Waiting for a lock in the server: another commit.
pub(super) const LOCK_TIME_MAX: Duration = Duration::from_secs(5);
/// A transaction whose client says nothing more, because its process was stopped, holds the counter for so long.
const IDLE_TRANSACTION_TIME_MAX: Duration = Duration::from_secs(10);
/// The channel of notifications.
pub(super) const CHANNEL: &str = "steward";

/// How to connect.
pub(super) struct Access {
    pub(super) name: Box<str>,
    pub(super) config: Config,
    pub(super) password_file: Option<std::path::PathBuf>,
    pub(super) tls: MakeTls,
}

/// Requests of one kind, one after the other, over one connection.
pub(super) struct Lane {
    access: Arc<Access>,
    /// The server ends what takes longer.
    statement_time_max: Duration,
    /// Told about notifications, and about a connection that ended.
    woken: Option<watch::Sender<u64>>,
    // Held across a request: a connection carries one after the other anyway, and whoever waits has a deadline.
    slot: Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    session: Option<Session>,
    failures: u32,
    not_before: Option<Instant>,
}

/// A connection of one's own. Whoever does not `keep` it closes it, so that one cut in the middle of a request is never used again.
pub(super) struct Held<'a> {
    slot: MutexGuard<'a, Slot>,
    pub(super) session: Session,
}

impl Held<'_> {
    pub(super) fn keep(self) {
        let Self { mut slot, session } = self;
        slot.session = Some(session);
    }
}

/// A connection, and what was prepared on it.
pub(super) struct Session {
    pub(super) client: Client,
    statements: HashMap<&'static str, Statement>,
    driver: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    pub(super) async fn prepared(&mut self, sql: &'static str) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

impl Lane {
    pub(super) fn new(access: &Arc<Access>, statement_time_max: Duration, woken: Option<watch::Sender<u64>>) -> Self {
        Self { access: Arc::clone(access), statement_time_max, woken, slot: Mutex::default() }
    }

    /// The lane's connection, or a new one. Waits for the request before.
    pub(super) async fn take(&self) -> Result<Held<'_>, StoreError> {
        let mut slot = self.slot.lock().await;
        if let Some(session) = slot.session.take().filter(|session| !session.client.is_closed()) {
            return Ok(Held { slot, session });
        }
        if let Some(not_before) = slot.not_before {
            sleep_until(not_before).await;
        }
        match self.connect().await {
            Ok(session) => {
                (slot.failures, slot.not_before) = (0, None);
                Ok(Held { slot, session })
            }
            Err(error) => {
                slot.not_before = Some(Instant::now() + backoff(slot.failures));
                slot.failures = slot.failures.saturating_add(1);
                Err(error)
            }
        }
    }

    async fn connect(&self) -> Result<Session, StoreError> {
        let connected = timeout(CONNECT_TIME_MAX, self.connected()).await;
        connected.unwrap_or_else(|late| Err(StoreError::Unreachable { store: self.access.name.clone(), cause: late.into() }))
    }

    async fn connected(&self) -> Result<Session, StoreError> {
        let (name, config) = (&self.access.name, self.access.config().await?);
        let connected = config.connect(self.access.tls.clone()).await;
        let (client, connection) = connected.map_err(|cause| failure::connecting(name, cause))?;
        let driver = tokio::spawn(drive(connection, self.woken.clone()));
        let session = Session { client, statements: HashMap::new(), driver };
        session.client.batch_execute(&self.settings()).await.map_err(|cause| failed(name, cause))?;
        schema::check(name, &session.client).await?;
        if self.woken.is_some() {
            session.client.batch_execute(&format!("LISTEN {CHANNEL}")).await.map_err(|cause| failed(name, cause))?;
        }
        Ok(session)
    }

    fn settings(&self) -> String {
        let [statement, lock, idle] = [self.statement_time_max, LOCK_TIME_MAX, IDLE_TRANSACTION_TIME_MAX].map(|time| time.as_millis());
        // An operator's stronger wish than `on` stays; without it a crash would take back what was acknowledged.
        format!(
            "SET search_path = {schema}; SET statement_timeout = {statement}; SET lock_timeout = {lock};
             SET idle_in_transaction_session_timeout = {idle}; SET default_transaction_isolation = 'read committed';
             SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
            schema = schema::SCHEMA
        )
    }
}

impl Access {
    async fn config(&self) -> Result<Config, StoreError> {
        let mut config = self.config.clone();
        if let Some(path) = &self.password_file {
            let password = tokio::fs::read_to_string(path).await.map_err(|cause| StoreError::Refused {
                store: self.name.clone(),
                cause: format!("the password in `{}` cannot be read: {cause}", path.display()).into(),
            })?;
            config.password(password.trim_end_matches(['\r', '\n']));
        }
        let (interval, retries) = KEEP_ALIVE;
        config.connect_timeout(TCP_TIME_MAX).tcp_user_timeout(SILENCE_MAX);
        config.keepalives(true).keepalives_idle(SILENCE_MAX).keepalives_interval(interval).keepalives_retries(retries);
        // Of several hosts the one that can be written to.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite).application_name("steward");
        Ok(config)
    }
}

fn backoff(failures: u32) -> Duration {
    BACKOFF_MIN.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(BACKOFF_MAX)
}

/// Carries the connection's bytes until its client is gone or the server is.
async fn drive(mut connection: Connection<Socket, TlsStream>, woken: Option<watch::Sender<u64>>) {
    let wake = || {
        if let Some(woken) = &woken {
            woken.send_modify(|times| *times = times.wrapping_add(1));
        }
    };
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(_))) => wake(),
            Some(Ok(_notice)) => {}
            Some(Err(cause)) => {
                tracing::debug!(%cause, "a connection of the store ended");
                break;
            }
            None => break,
        }
    }
    // Whoever polls now connects again; notifications may have been missed.
    wake();
}
