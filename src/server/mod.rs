//! The gateway's listener: one worker per core, each with a runtime and a backend pool of its own.
//!
//! Workers share the accept queue, the count of open connections, the policy snapshot, the token cache and nothing else that is written to per request.

mod exchange;
mod headers;
mod load;
mod parts;
mod permission;

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};
use tokio_rustls::rustls::ServerConfig;

use self::load::Load;

use crate::bodies::{Room, Turns};
use crate::clock::Clock;
use crate::directory::Directory;
use crate::forward::{Backend, BackendConfig, ConnectError, Fabric};
use crate::held::Held;
use crate::https::{self, Capacity, Drained, Limits, Places, Stop};
use crate::identity::Verifier;
use crate::management::{Deployments, Discovery};
use crate::panics::contain;
use crate::pipeline::{AssertionSigner, OperationOwners, Site, Throttle};
use crate::record::Recorder;
use crate::state::State;
use crate::telemetry::{Metrics, Need, Vitals};

/// Of each thread that serves: a request may consist of others, one inside the other, and all of them are on the stack of one thread.
pub const STACK_BYTES: usize = 8 << 20;

/// Everything a request needs, shared by all workers.
#[derive(Debug)]
pub struct Gateway {
    /// The gateway's own names.
    pub site: Site,
    /// What it says about itself.
    pub discovery: Discovery,
    /// The policy in force.
    pub directory: watch::Receiver<Arc<Directory>>,
    /// Validates tokens.
    pub verifier: Arc<Verifier>,
    /// What was agreed at run time, and how fresh that is.
    pub state: Arc<State>,
    /// Who started which operation.
    pub operations: OperationOwners,
    /// Signs what the backend trusts.
    pub signer: AssertionSigner,
    /// What is deployed at the moment.
    pub deployments: Arc<Deployments>,
    /// Counts requests.
    pub throttle: Throttle,
    /// Whose large body is looked into next.
    pub turns: Arc<Turns>,
    /// Counts the bytes of answers that nobody has taken yet.
    pub held: Held,
    /// Keeps decisions.
    pub recorder: Recorder,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The time.
    pub clock: Clock,
}

/// What a worker asks: each has connections of its own.
#[derive(Debug)]
pub struct Backends {
    /// The resource manager.
    pub manager: Backend,
    /// The fabric of the private cloud, where there is one.
    pub fabric: Option<Fabric>,
    /// What may be held of bodies.
    pub room: Room,
}

/// Where the backends are.
#[derive(Debug, Clone)]
pub struct BackendsConfig {
    /// The resource manager.
    pub manager: BackendConfig,
    /// The fabric, and who signs for it.
    pub fabric: Option<(BackendConfig, Arc<AssertionSigner>)>,
}

impl Backends {
    /// Pools for these backends, without a connection yet.
    ///
    /// # Errors
    /// When a URL or trusted certificates cannot be used.
    pub fn new(config: &BackendsConfig) -> Result<Self, ConnectError> {
        let manager = Backend::new(config.manager.clone())?;
        let fabric = match &config.fabric {
            Some((fabric, signer)) => Some(Fabric::new(Backend::new(fabric.clone())?, Arc::clone(signer))),
            None => None,
        };
        Ok(Self { manager, fabric, room: Room::default() })
    }
}

/// How the gateway listens.
#[derive(Debug)]
pub struct Listening {
    /// The bound socket.
    pub listener: TcpListener,
    /// TLS, or clear text on loopback.
    pub tls: Option<Arc<ServerConfig>>,
    /// Bounds of every connection.
    pub limits: Limits,
    /// Threads that serve.
    pub workers: usize,
    /// Requests that each of them handles at once.
    pub requests_max: usize,
}

/// The gateway cannot start to serve.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The backend cannot be used as configured.
    #[error("the backend cannot be used as configured")]
    Backend(#[source] ConnectError),
    /// The operating system gave no thread, runtime or socket.
    #[error("a worker could not be started")]
    Worker(#[source] std::io::Error),
}

/// Running workers.
#[derive(Debug)]
pub struct Workers {
    threads: Vec<JoinHandle<()>>,
    drained: Vec<oneshot::Receiver<Drained>>,
}

/// Starts the workers.
///
/// # Errors
/// When the backend's settings or the machine do not allow it; nothing is left running then.
pub fn start(
    gateway: &Arc<Gateway>,
    backends: &BackendsConfig,
    listening: &Listening,
    stop: &Stop,
    vitals: &Vitals,
) -> Result<Workers, StartError> {
    let mut workers = Workers { threads: Vec::new(), drained: Vec::new() };
    let capacity = Capacity::new(&listening.limits);
    for number in 0..listening.workers.max(1) {
        let backends = Arc::new(Backends::new(backends).map_err(StartError::Backend)?);
        let listener = listening.listener.try_clone().map_err(StartError::Worker)?;
        listener.set_nonblocking(true).map_err(StartError::Worker)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_stack_size(STACK_BYTES)
            .build()
            .map_err(StartError::Worker)?;
        let (gateway, tls, limits, stop) = (Arc::clone(gateway), listening.tls.clone(), listening.limits.clone(), stop.clone());
        let (load, capacity) = (Arc::new(Load::new(listening.requests_max)), capacity.clone());
        let (report, drained) = oneshot::channel();
        let (vital, stopping) = (vitals.begin("worker", Need::One), stop.clone());
        let serve = move || {
            let serving = async move {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let watched = Arc::clone(&load);
                let watch = tokio::spawn(async move { watched.watch().await });
                let (deployments, stopped, drain_time_max) = (Arc::clone(&gateway.deployments), stop.clone(), limits.drain_time_max);
                let handler = move |request, connection| {
                    let (gateway, backends, load) = (Arc::clone(&gateway), Arc::clone(&backends), Arc::clone(&load));
                    async move { gateway.exchange(&backends, &load, request, connection).await }
                };
                let serving = https::serve_in(Places::shared(capacity), listener, tls, limits, stop, handler);
                let (drained, deployed) = tokio::join!(serving, deployments.drain(stopped, drain_time_max));
                let drained = if deployed == Drained::Cut { deployed } else { drained };
                watch.abort();
                Ok::<_, std::io::Error>(drained)
            };
            // Its connections end with it; nothing of it is used again.
            match contain(|| runtime.block_on(serving)) {
                // Nobody waits for the report of a worker when the process is already ending.
                Ok(Ok(drained)) => drop(report.send(drained)),
                Ok(Err(cause)) => tracing::error!(%cause, "a worker could not listen"),
                Err(panicked) => tracing::error!(place = %panicked.place, "a worker panicked"),
            }
            if !*stopping.borrow() {
                vital.end();
            }
        };
        workers.threads.push(
            std::thread::Builder::new()
                .name(format!("gateway-{number}"))
                .stack_size(STACK_BYTES)
                .spawn(serve)
                .map_err(StartError::Worker)?,
        );
        workers.drained.push(drained);
    }
    Ok(workers)
}

impl Workers {
    /// Waits until every worker has ended, after the stop signal.
    pub async fn ended(self) -> Drained {
        let mut all = Drained::Clean;
        for drained in self.drained {
            // A worker that is gone without a report cut whatever it served.
            if drained.await.unwrap_or(Drained::Cut) == Drained::Cut {
                all = Drained::Cut;
            }
        }
        for thread in self.threads {
            if thread.join().is_err() {
                all = Drained::Cut;
            }
        }
        all
    }
}
