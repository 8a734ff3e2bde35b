//! The mock resource manager: generic Azure Resource Manager behind the gateway, table-driven over real providers and types.
//!
//! It stands for a cloud that trusts only the gateway: every request must carry the gateway's signed assertion, and nobody
//! else's. It must never import anything of the gateway, never accept a caller's own token, and never answer for a scope
//! that lies outside the assertion's.
//!
//! A handler is a pure function from the `World` and a `Call` to a `Plan`: an answer, and the changes that must be on the
//! disk before it is given. Reads make no changes and wait for nobody. Writes are planned one at a time. Nothing here has a
//! timer: what an operation does at its end follows from its times and the clock.

mod actions;
mod address;
mod admin;
mod answer;
mod assertion;
mod body;
mod call;
mod codes;
mod database;
pub mod fabric;
mod faults;
mod filter;
mod graph;
mod journal;
mod lists;
mod operations;
mod providers;
mod refusal;
mod resource;
mod seed;
mod serve;
mod store;
mod subscriptions;
mod virtual_machines;
mod world;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use crate::clock::Clock;

pub use admin::AdminError;
pub use assertion::{Key, Trust};
pub use database::{Store, StoreError};
pub use seed::{Home, Seed, SeedError};

use call::Settings;
use database::WriteError;
use faults::Faults;
use journal::Journal;
use store::Writer;
use world::{Change, World};

/// How a resource manager is opened.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the gateway reaches it, without a slash at the end: `https://localhost:8446`. Operation and page URLs begin with it.
    pub base_url: String,
    /// Whose assertions are accepted.
    pub trust: Trust,
    /// Where state is kept.
    pub store: Store,
    /// What a new world holds. A world that was stored before keeps what it has; subscriptions it lacks are added, empty.
    pub seed: Option<Seed>,
    /// How long long-running operations take; [`OPERATION_TIME`] unless a test wants it otherwise.
    pub operation_time: Duration,
    /// What tells the time.
    pub clock: Clock,
}

/// Long enough for clients to see an operation in progress, short enough for people to wait.
pub const OPERATION_TIME: Duration = Duration::from_secs(1);

/// Why a resource manager could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The seed is not usable.
    #[error("the seed of the resource manager is not usable")]
    Seed(#[from] SeedError),
    /// The state could not be opened or read.
    #[error("the state of the resource manager could not be opened")]
    Store(#[from] StoreError),
    /// The seed could not be stored.
    #[error("the state of the resource manager could not be written")]
    Write,
}

/// Generic ARM: subscriptions, groups, resources of every known type, operations, registrations.
#[derive(Debug)]
pub struct ResourceManager {
    settings: Settings,
    verifier: assertion::Verifier,
    seed: Option<Seed>,
    clock: Clock,
    world: watch::Sender<World>,
    /// Held while a write is planned, stored and applied, so that plans never meet.
    writer: Mutex<Writer>,
    faults: Faults,
    journal: Journal,
}

impl ResourceManager {
    /// Opens the state and sows the seed into a new world.
    ///
    /// # Errors
    /// When the state or the seed is not usable.
    pub async fn open(config: Config) -> Result<Arc<Self>, OpenError> {
        let Config { base_url, trust, store, seed, operation_time, clock } = config;
        let (writer, world) = tokio::task::spawn_blocking(move || Writer::open(&store)).await.ok().ok_or(OpenError::Write)??;
        let sown = seed.as_ref().map(|seed| seed.changes(clock.now())).transpose()?.unwrap_or_default();
        let missing = |change: &Change| world.is_empty() || matches!(change, Change::Subscribe(it) if world.subscription(it.id).is_none());
        let changes: Vec<Change> = sown.into_iter().filter(missing).collect();
        let manager = Self {
            settings: Settings { base_url: base_url.trim_end_matches('/').to_owned(), operation_time },
            verifier: assertion::Verifier::new(trust),
            seed,
            clock,
            world: watch::Sender::new(world),
            writer: Mutex::new(writer),
            faults: Faults::default(),
            journal: Journal::default(),
        };
        let writer = manager.writer.lock().await;
        manager.store(&writer, changes).await.map_err(|cause| {
            tracing::error!(%cause, "the seed could not be stored");
            OpenError::Write
        })?;
        drop(writer);
        Ok(Arc::new(manager))
    }

    /// Stores changes and takes them into the world; the caller holds the writer.
    async fn store(&self, writer: &Writer, changes: Vec<Change>) -> Result<(), WriteError> {
        if changes.is_empty() {
            return Ok(());
        }
        writer.append(&changes).await?;
        self.world.send_modify(|world| changes.into_iter().for_each(|change| world.apply(change)));
        Ok(())
    }
}
