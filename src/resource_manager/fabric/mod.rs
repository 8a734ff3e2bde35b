//! The fabric: a mock Virtual Machine Manager with stamps, clouds, user roles, machines and jobs that take time and can fail.
//!
//! It trusts only the gateway: every request carries the gateway's signed assertion, which says in whose name it comes. Work of a tenant is accepted
//! on behalf of a member of its user role only; what a header says counts for nothing unless the assertion says the same. It must never import anything
//! of the gateway.
//!
//! A handler is a pure function from the world to another one: reads look at the world as it is, and writes are planned by one thread on a copy, are
//! on the disk, and only then take its place and are answered. Nothing here has a timer: what a job does at the end of a step follows from its times and
//! the clock, and is done by the next one who looks.

mod admin;
mod connection;
mod faults;
mod jobs;
mod journal;
mod lists;
mod machines;
mod quota;
mod refused;
mod roles;
mod seed;
mod serve;
mod store;
mod transfer;
mod usage;
mod world;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use crate::clock::Clock;
use crate::resource_manager::{Store, StoreError, Trust};

pub use seed::{Seed, SeedError};

use faults::Faults;
use journal::Journal;
use store::Writer;
use world::World;

/// How a fabric is opened.
#[derive(Debug, Clone)]
pub struct Config {
    /// Whose assertions are accepted, and for which URL.
    pub trust: Trust,
    /// Where state is kept.
    pub store: Store,
    /// What a new fabric holds. One that was stored before keeps what it has.
    pub seed: Option<Seed>,
    /// How long jobs take.
    pub operation_time: Duration,
    /// What tells the time.
    pub clock: Clock,
}

/// Why a fabric could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The seed is not usable.
    #[error("the seed of the fabric is not usable")]
    Seed(#[from] SeedError),
    /// The state could not be opened, read or sown.
    #[error("the state of the fabric could not be opened")]
    Store(#[from] StoreError),
    /// The runtime is shutting down.
    #[error("the opening of the fabric was cut short")]
    Cut,
}

/// A mock Virtual Machine Manager.
#[derive(Debug)]
pub struct Fabric {
    trust: Trust,
    clock: Clock,
    world: watch::Receiver<Arc<World>>,
    writer: Writer,
    faults: Faults,
    journal: Journal,
    /// One for each request that can be worked on at once.
    slots: Semaphore,
}

impl Fabric {
    /// Opens the state and sows the seed into a new fabric.
    ///
    /// # Errors
    /// When the state or the seed is not usable.
    pub async fn open(config: Config) -> Result<Arc<Self>, OpenError> {
        let Config { trust, store, seed, operation_time, clock } = config;
        let sown = seed.map(|seed| seed.changes(store::present(&clock))).transpose()?.unwrap_or_default();
        let writing = clock.clone();
        let opened = tokio::task::spawn_blocking(move || Writer::open(&store, sown, writing, operation_time)).await;
        let (writer, world) = opened.ok().ok_or(OpenError::Cut)??;
        let (faults, journal, slots) = (Faults::default(), Journal::default(), Semaphore::new(serve::REQUESTS_MAX));
        Ok(Arc::new(Self { trust, clock, world, writer, faults, journal, slots }))
    }
}
