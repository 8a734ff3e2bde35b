//! Durable state: one thread plans, writes and publishes, so that plans never meet and a client that goes away leaves nothing half done.
//!
//! Orders that wait are taken together: each is planned on the world that the one before it made, and all are on the disk in one transaction before
//! the first of them is answered.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::{Clock, Timestamp};
use crate::ids::UserRoleId;
use crate::resource_manager::database::{Database, Entry, Kept, QUEUE_MAX, Queue, Store, StoreError, WriteError};

use super::jobs;
use super::refused::{Answer, Refused};
use super::world::{Change, Draft, World};

/// What is to be done with the newest world.
type Plan = Box<dyn FnOnce(&mut Draft) -> Result<Answer, Refused> + Send>;

struct Order {
    plan: Plan,
    answer: oneshot::Sender<Result<Answer, Refused>>,
}

/// The writing end. Dropping it waits for the thread to close the database.
#[derive(Debug)]
pub(super) struct Writer(Queue<Order>);

/// What the thread works with.
struct Work {
    database: Database,
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
        let mut database = Database::open(store)?;
        let mut world = load(&database)?;
        if world.is_empty() && !seed.is_empty() {
            let sown = entries(&seed).map_err(|cause| unreadable("seed".to_owned(), String::new(), cause))?;
            database.append(sown)?;
            seed.into_iter().for_each(|change| world.apply(change));
        }
        let (world, seen) = watch::channel(Arc::new(world));
        let work = Work { database, world, clock, operation_time };
        Ok((Self(Queue::start("fabric-state", |orders| work.run(orders))?), seen))
    }

    /// Plans against the newest world; returns when what was planned is on the disk. It is done even if the caller stops waiting.
    ///
    /// # Errors
    /// When the plan refuses or the disk does.
    pub(super) async fn order<P>(&self, plan: P) -> Result<Answer, Refused>
    where
        P: FnOnce(&mut Draft) -> Result<Answer, Refused> + Send + 'static,
    {
        let answered = self.0.ask(|answer| Order { plan: Box::new(plan), answer }).await;
        answered.unwrap_or_else(|_thread_ended| Err(Refused::store_failed()))
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
        let stored = write(&mut self.database, &changes);
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

fn load(database: &Database) -> Result<World, StoreError> {
    let mut world = World::default();
    database.each(|Kept { space, key, value }| {
        world.apply(change(&space, &value).map_err(|cause| unreadable(space, key, cause))?);
        Ok(())
    })?;
    Ok(world)
}

const fn unreadable(space: String, key: String, cause: serde_json::Error) -> StoreError {
    StoreError::Row { space, key, cause: Some(cause) }
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

fn write(database: &mut Database, changes: &[Change]) -> Result<(), WriteError> {
    if changes.is_empty() {
        return Ok(());
    }
    Ok(database.append(entries(changes)?)?)
}

fn entries(changes: &[Change]) -> Result<Vec<Entry>, serde_json::Error> {
    let mut entries = Vec::with_capacity(changes.len());
    for change in changes {
        if let Change::RoleDeleted(id) = change {
            entries.push(Entry::remove(ROLE, id));
        }
        entries.push(entry(change)?);
    }
    Ok(entries)
}

/// The row that a change is kept in.
fn entry(change: &Change) -> Result<Entry, serde_json::Error> {
    match change {
        Change::Cloud(it) => Entry::put(CLOUD, &it.id, it.as_ref()),
        Change::Host(it) => Entry::put(HOST, &it.id, it.as_ref()),
        Change::Job(it) => Entry::put(JOB, &it.number, it.as_ref()),
        Change::JobForgotten(number) => Ok(Entry::remove(JOB, number)),
        Change::Machine(it) => Entry::put(MACHINE, &it.vm.id, it.as_ref()),
        Change::MachineGone(id) => Ok(Entry::remove(MACHINE, id)),
        Change::Network(it) => Entry::put(NETWORK, &it.id, it.as_ref()),
        Change::Role(it) => Entry::put(ROLE, &it.id, it.as_ref()),
        Change::RoleDeleted(id) => Entry::put(DELETED_ROLE, id, id),
        Change::Serial(next) => Entry::put(SERIAL, &"next", next),
        Change::Stamp(it) => Entry::put(STAMP, &it.id, it.as_ref()),
        Change::Template(it) => Entry::put(TEMPLATE, &it.id, it.as_ref()),
        Change::Use(it) => Entry::put(USE, &it.serial(), it.as_ref()),
        Change::UseForgotten(serial) => Ok(Entry::remove(USE, serial)),
    }
}
