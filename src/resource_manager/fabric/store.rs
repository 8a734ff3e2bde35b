//! Durable state: one thread plans, writes and publishes, so that plans never meet and a client that goes away leaves nothing half done.
//!
//! Orders that wait are taken together: each is planned on the world that the one before it made, and all are on the disk in one transaction before
//! the first of them is answered.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::{Clock, Timestamp};
use crate::ids::{UserRoleId, VmId};
use crate::resource_manager::store::Store;

use super::jobs;
use super::refused::{Answer, Refused};
use super::world::{Change, Draft, World};

/// Why state could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its folder is missing, it is not ours to write, or it is no database.
    #[error("the state file `{path}` could not be opened; its folder must exist and be writable")]
    File {
        /// Where it should be.
        path: std::path::PathBuf,
        /// What the database says.
        #[source]
        cause: rusqlite::Error,
    },
    /// The file was written by a later version of this program.
    #[error("the state has schema version {found}; this program knows versions up to {known}: use a newer program or another file")]
    Newer {
        /// In the file.
        found: u32,
        /// The last migration of this program.
        known: u32,
    },
    /// A row that this program cannot read.
    #[error("the stored {space} `{key}` is not readable; delete the state file to start over")]
    Row {
        /// Which kind of row.
        space: String,
        /// Its key.
        key: String,
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
    /// The database refused.
    #[error("the state could not be opened")]
    Sqlite(#[from] rusqlite::Error),
    /// The operating system gave no thread.
    #[error("the thread that writes the state could not be started")]
    Thread(#[source] std::io::Error),
}

/// The write did not reach the disk.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("a value could not be serialised")]
    Json(#[from] serde_json::Error),
    #[error("the database refused")]
    Sqlite(#[from] rusqlite::Error),
}

/// The schema, one step per version; steps are only ever added. The version is `SQLite`'s `user_version`.
const MIGRATIONS: [&str; 1] = ["CREATE TABLE entry (
    space TEXT NOT NULL,
    key   TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (space, key)
) WITHOUT ROWID"];

/// Orders wait behind one another; more than this many wait at the sender.
const QUEUE_MAX: usize = 64;

/// What is to be done with the newest world.
type Plan = Box<dyn FnOnce(&mut Draft) -> Result<Answer, Refused> + Send>;

struct Order {
    plan: Plan,
    answer: oneshot::Sender<Result<Answer, Refused>>,
}

/// The writing end. Dropping it waits for the thread to close the database.
#[derive(Debug)]
pub(super) struct Writer {
    orders: Option<mpsc::Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread works with.
struct Work {
    connection: Connection,
    world: watch::Sender<Arc<World>>,
    clock: Clock,
    operation_time: Duration,
}

impl Writer {
    /// Opens the state, brings its schema up to date, reads the world and sows the seed into a new one.
    ///
    /// # Errors
    /// When the file cannot be opened or read, or comes from a later version.
    pub(super) fn open(
        store: &Store,
        seed: Vec<Change>,
        clock: Clock,
        operation_time: Duration,
    ) -> Result<(Self, watch::Receiver<Arc<World>>), StoreError> {
        let mut connection = match store {
            Store::File(path) => Connection::open(path).map_err(|cause| StoreError::File { path: path.clone(), cause })?,
            Store::Memory => Connection::open_in_memory()?,
        };
        // An acknowledged write is on the disk, not in the kernel's cache.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        migrate(&mut connection)?;
        let mut world = load(&connection)?;
        if world.is_empty() && !seed.is_empty() {
            write(&mut connection, &seed).map_err(|cause| match cause {
                WriteError::Json(cause) => StoreError::Row { space: "seed".to_owned(), key: String::new(), cause },
                WriteError::Sqlite(cause) => StoreError::Sqlite(cause),
            })?;
            seed.into_iter().for_each(|change| world.apply(change));
        }
        let (world, seen) = watch::channel(Arc::new(world));
        let (orders, queue) = mpsc::channel(QUEUE_MAX);
        let work = Work { connection, world, clock, operation_time };
        let thread =
            std::thread::Builder::new().name("fabric-state".to_owned()).spawn(move || work.run(queue)).map_err(StoreError::Thread)?;
        Ok((Self { orders: Some(orders), thread: Some(thread) }, seen))
    }

    /// Plans against the newest world; returns when what was planned is on the disk. It is done even if the caller stops waiting.
    ///
    /// # Errors
    /// When the plan refuses or the disk does.
    pub(super) async fn order<P>(&self, plan: P) -> Result<Answer, Refused>
    where
        P: FnOnce(&mut Draft) -> Result<Answer, Refused> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let orders = self.orders.as_ref().ok_or_else(Refused::store_failed)?;
        orders.send(Order { plan: Box::new(plan), answer }).await.ok().ok_or_else(Refused::store_failed)?;
        answered.await.unwrap_or_else(|_thread_ended| Err(Refused::store_failed()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            // It can only have ended already, by a panic that was reported when it happened.
            let _ended_well = thread.join().is_ok();
        }
    }
}

/// The present time, in whole milliseconds: finer ones are more than clients read.
pub(super) fn present(clock: &Clock) -> Timestamp {
    let now = clock.now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

impl Work {
    fn run(mut self, mut queue: mpsc::Receiver<Order>) {
        while let Some(first) = queue.blocking_recv() {
            let mut orders = vec![first];
            while orders.len() < QUEUE_MAX
                && let Ok(next) = queue.try_recv()
            {
                orders.push(next);
            }
            self.carry_out(orders);
        }
    }

    fn carry_out(&mut self, orders: Vec<Order>) {
        let now = present(&self.clock);
        let begun = World::clone(&self.world.borrow());
        let mut draft = Draft::new(begun, now, self.operation_time);
        jobs::settle(&mut draft);
        let (mut world, mut changes) = draft.finish();
        let mut outcomes = Vec::with_capacity(orders.len());
        for Order { plan, answer } in orders {
            let mut draft = Draft::new(world.clone(), now, self.operation_time);
            let outcome = plan(&mut draft);
            if outcome.is_ok() {
                let (next, more) = draft.finish();
                world = next;
                changes.extend(more);
            }
            outcomes.push((answer, outcome));
        }
        let stored = write(&mut self.connection, &changes);
        match &stored {
            Ok(()) => {
                self.world.send_replace(Arc::new(world));
            }
            Err(cause) => tracing::error!(%cause, "the fabric's state could not be written"),
        }
        for (answer, outcome) in outcomes {
            let outcome = if stored.is_ok() { outcome } else { outcome.and_then(|_lost| Err(Refused::store_failed())) };
            // A sender that no longer waits was cancelled; the write stands.
            let _still_waiting = answer.send(outcome).is_ok();
        }
    }
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut known = 0;
    for (version, step) in (1_u32..).zip(MIGRATIONS) {
        known = version;
        if version <= found {
            continue;
        }
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    if found > known { Err(StoreError::Newer { found, known }) } else { Ok(()) }
}

const CLOUD: &str = "cloud";
const DELETED_ROLE: &str = "deleted-role";
const HOST: &str = "host";
const JOB: &str = "job";
const MACHINE: &str = "machine";
const NETWORK: &str = "network";
const ROLE: &str = "role";
const SERIAL: &str = "serial";
const STAMP: &str = "stamp";
const TEMPLATE: &str = "template";
const USE: &str = "use";

fn load(connection: &Connection) -> Result<World, StoreError> {
    let mut world = World::default();
    let mut select = connection.prepare("SELECT space, key, value FROM entry")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (space, key, value): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let change = change(&space, &value).map_err(|cause| StoreError::Row { space, key, cause })?;
        world.apply(change);
    }
    Ok(world)
}

fn change(space: &str, value: &str) -> Result<Change, serde_json::Error> {
    fn read<T: DeserializeOwned>(value: &str) -> Result<Arc<T>, serde_json::Error> {
        serde_json::from_str(value).map(Arc::new)
    }
    match space {
        CLOUD => read(value).map(Change::Cloud),
        DELETED_ROLE => serde_json::from_str::<UserRoleId>(value).map(Change::RoleDeleted),
        HOST => read(value).map(Change::Host),
        JOB => read(value).map(Change::Job),
        MACHINE => read(value).map(Change::Machine),
        NETWORK => read(value).map(Change::Network),
        ROLE => read(value).map(Change::Role),
        SERIAL => serde_json::from_str(value).map(Change::Serial),
        STAMP => read(value).map(Change::Stamp),
        TEMPLATE => read(value).map(Change::Template),
        USE => read(value).map(Change::Use),
        other => Err(serde::de::Error::custom(format!("`{other}` is no kind of row"))),
    }
}

fn write(connection: &mut Connection, changes: &[Change]) -> Result<(), WriteError> {
    if changes.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    changes.iter().try_for_each(|change| write_change(&transaction, change))?;
    Ok(transaction.commit()?)
}

fn write_change(connection: &Connection, change: &Change) -> Result<(), WriteError> {
    match change {
        Change::Cloud(it) => put(connection, CLOUD, &it.id.to_string(), it.as_ref()),
        Change::Host(it) => put(connection, HOST, &it.id.to_string(), it.as_ref()),
        Change::Job(it) => put(connection, JOB, &it.number.to_string(), it.as_ref()),
        Change::JobForgotten(number) => remove(connection, JOB, &number.to_string()),
        Change::Machine(it) => put(connection, MACHINE, &it.vm.id.to_string(), it.as_ref()),
        Change::MachineGone(id) => remove(connection, MACHINE, &VmId::to_string(id)),
        Change::Network(it) => put(connection, NETWORK, &it.id.to_string(), it.as_ref()),
        Change::Role(it) => put(connection, ROLE, &it.id.to_string(), it.as_ref()),
        Change::RoleDeleted(id) => {
            remove(connection, ROLE, &id.to_string())?;
            put(connection, DELETED_ROLE, &id.to_string(), id)
        }
        Change::Serial(next) => put(connection, SERIAL, "next", next),
        Change::Stamp(it) => put(connection, STAMP, &it.id.to_string(), it.as_ref()),
        Change::Template(it) => put(connection, TEMPLATE, &it.id.to_string(), it.as_ref()),
        Change::Use(it) => put(connection, USE, &it.serial().to_string(), it.as_ref()),
        Change::UseForgotten(serial) => remove(connection, USE, &serial.to_string()),
    }
}

fn put(connection: &Connection, space: &str, key: &str, value: &impl Serialize) -> Result<(), WriteError> {
    let value = serde_json::to_string(value)?;
    let sql = "INSERT OR REPLACE INTO entry (space, key, value) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute(params![space, key, value])?;
    Ok(())
}

fn remove(connection: &Connection, space: &str, key: &str) -> Result<(), WriteError> {
    connection.prepare_cached("DELETE FROM entry WHERE space = ?1 AND key = ?2")?.execute(params![space, key])?;
    Ok(())
}
