//! A whole gateway from a checked configuration: started, kept fresh, drained. `steward serve` and the demo both run one.

mod certificates;
mod private_cloud;
mod tasks;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::Ed25519KeyPair;
use rustls::ServerConfig;
use tokio::sync::{Mutex, watch};

use self::certificates::Certificates;
use self::tasks::Tasks;
use crate::admin::{Admin, Extra, Guard, TokenError};
use crate::bodies::Turns;
use crate::clock::Clock;
use crate::config::{AdminConfig, Config};
use crate::files::{self, NotWritten, Readers};
use crate::held::Held;
use crate::https::{self, Drained, Limits, Places, Stop};
use crate::identity::{CacheLimits, Fetcher, KeyStore, KeyTimes, Verifier};
use crate::management::Discovery;
use crate::panics;
use crate::pipeline::{AssertionError, AssertionSigner, OperationOwners, Site, Throttle};
use crate::policy::LoadOptions;
use crate::policy::diagnostics::Diagnostics;
use crate::policy::watch::{PolicyHandle, PolicySource, Watcher};
use crate::portal::NoRandomness;
use crate::record::{Recorder, SegmentError, Writer};
use crate::server::{self, BackendsConfig, Gateway, Listening, StartError, Workers};
use crate::state::{State, StateError};
use crate::store::{self, StoreConfig, StoreError, StoreUrl};
use crate::telemetry::{Metrics, Need, Vitals, repeats};
use crate::tenure::Keeper;
use crate::tls::{self, CertificateError, RootsError};
use crate::webhook::{self, Deliverer, WebhookConfig, WebhookError};

/// What a gateway is started from.
pub struct Setup {
    /// The checked configuration.
    pub config: Config,
    /// The gateway's socket, bound.
    pub gateway: TcpListener,
    /// The admin socket, bound.
    pub admin: TcpListener,
    /// The socket of the private cloud's own interfaces, bound, where they are served.
    pub front: Option<TcpListener>,
    /// Where the policies are.
    pub policies: PolicySource,
    /// Base URL of the demo issuer of this process.
    pub demo_issuer: Option<String>,
    /// Further paths of the admin listener.
    pub extra: Option<(&'static str, Extra)>,
    /// The time.
    pub clock: Clock,
}

/// A gateway that cannot start. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The admin token keeps nobody out.
    #[error("the admin listener cannot be guarded")]
    AdminToken(#[source] TokenError),
    /// The assertion key cannot be used.
    #[error("the assertion key `{}` cannot be used", path.display())]
    AssertionKey {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: AssertionKeyError,
    },
    /// Certificate or key cannot be used.
    #[error("the certificate cannot be used")]
    Certificate(#[source] CertificateError),
    /// The policies are broken.
    #[error("the policies are broken")]
    Policies(Box<Diagnostics>),
    /// The portal cannot be opened.
    #[error("the portal cannot be opened")]
    Portal(#[source] NoRandomness),
    /// The records cannot be kept.
    #[error("decisions cannot be recorded")]
    Records(#[source] SegmentError),
    /// The trusted roots cannot be read.
    #[error("the trusted roots of the issuers cannot be read")]
    Roots(#[source] RootsError),
    /// A socket cannot be used.
    #[error("a listener cannot be used")]
    Socket(#[source] std::io::Error),
    /// The workers did not start.
    #[error("the gateway did not start")]
    Start(#[source] StartError),
    /// What was agreed at run time cannot be read.
    #[error("what was agreed at run time cannot be read")]
    State(#[source] StateError),
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Store(#[source] StoreError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// A webhook cannot be used as configured.
    #[error("the webhook `{name}` cannot be used as configured")]
    Webhook {
        /// Its name.
        name: Box<str>,
        /// The cause.
        #[source]
        cause: WebhookError,
    },
}

/// What is wrong with the assertion key.
#[derive(Debug, thiserror::Error)]
pub enum AssertionKeyError {
    /// It is not an Ed25519 key.
    #[error("{0}")]
    Form(AssertionError),
    /// A new one could not be generated.
    #[error("the system gave no random numbers for a new key")]
    Generate(#[source] aws_lc_rs::error::Unspecified),
    /// It cannot be read.
    #[error("the file cannot be read")]
    Read(#[source] std::io::Error),
    /// A new one cannot be written.
    #[error("a new key cannot be written")]
    Write(#[source] NotWritten),
}

/// A running gateway.
#[derive(Debug)]
pub struct Service {
    workers: Workers,
    tasks: Tasks,
    writer: Writer,
    stop: watch::Sender<bool>,
    ended: watch::Sender<bool>,
    policies: PolicyHandle,
    certificates: Certificates,
}

impl Service {
    /// Starts everything; when this returns, requests are served.
    ///
    /// # Errors
    /// With the first thing that keeps it from starting.
    pub async fn start(setup: Setup) -> Result<Self, ServiceError> {
        let Setup { config, gateway: gateway_socket, admin: admin_socket, front, policies, demo_issuer, extra, clock } = setup;
        let (stop, stopping) = watch::channel(false);
        let (ended, ending) = watch::channel(false);
        panics::note(panics::Text::Shown);
        let vitals = Arc::new(Vitals::default());
        let mut tasks = Tasks::new(Arc::clone(&vitals), stopping.clone(), ending.clone());
        let signer = signer(&config)?;
        let (watcher, policies) = Watcher::start(policies, load_options(&config, demo_issuer, &clock), clock.clone())
            .map_err(|diagnostics| ServiceError::Policies(Box::new(diagnostics)))?;
        keep_policies(watcher, &mut tasks, &ending);
        let store = store::open(&config.store).await.map_err(ServiceError::Store)?;
        let state = State::open(store, shared_lease(&config.store), policies.published().clone()).await.map_err(ServiceError::State)?;
        keep_state(&state, &mut tasks, &ending);
        let keys = keys(&config, &policies, &clock, &mut tasks, &ending).await?;
        let (recorder, writer) = Recorder::open(&config.records, clock.clone()).map_err(ServiceError::Records)?;
        let webhooks = webhooks(&config, &state, &clock)?;
        let metrics = Arc::new(Metrics::default());
        let mut certificates = Certificates::new(clock.clone());
        let statuses = webhooks.iter().map(Deliverer::status).collect();
        webhooks.into_iter().for_each(|webhook| keep_webhook(webhook, &policies, &mut tasks, &ending));
        keep_terms(&state, &recorder, &clock, &policies, &mut tasks, &ending);
        let gateway = Arc::new(Gateway {
            site: site(&config),
            discovery: discovery(&config),
            directory: policies.directory(),
            verifier: Arc::new(Verifier::new(config.audiences.clone(), Arc::clone(&keys), clock.clone(), CacheLimits::default())),
            state,
            operations: OperationOwners::default(),
            signer,
            deployments: Arc::default(),
            throttle: Throttle::new(config.throttling),
            turns: Turns::new(config.workers),
            held: Held::default(),
            recorder,
            metrics,
            clock,
        });
        let backends = backends(&config)?;
        let tls = certificates.load(config.tls.as_ref())?;
        let parts = private_cloud::Parts {
            gateway: &gateway,
            config: &config,
            backends: &backends,
            socket: front,
            tls: tls.clone(),
            stopping: stopping.clone(),
            ending: ending.clone(),
        };
        let portal = private_cloud::start(parts, &mut tasks)?;
        let admin = Admin {
            recorder: gateway.recorder.clone(),
            metrics: Arc::clone(&gateway.metrics),
            refused_by_http: Arc::clone(&config.limits.refused),
            vitals: Arc::clone(&vitals),
            policies: policies.clone(),
            state: Arc::clone(&gateway.state),
            keys,
            assertion_keys: gateway.signer.key_set(),
            webhooks: statuses,
            guard: guard(&config.admin)?,
            stop: stopping.clone(),
            portal,
            extra,
        };
        let admin_tls = certificates.load(config.admin.tls.as_ref())?;
        tasks.run_once("admin", Need::All, serve_admin(Arc::new(admin), into_tokio(admin_socket)?, admin_tls, ending.clone()));
        let listening = Listening {
            listener: gateway_socket,
            tls,
            limits: config.limits.clone(),
            workers: config.workers,
            requests_max: config.requests_max,
        };
        let workers = server::start(&gateway, &backends, &listening, &stopping, &vitals).map_err(ServiceError::Start)?;
        let watched = (certificates.clone(), ending.clone());
        tasks.keep("certificates", Need::None, move || watched.0.clone().watch(watched.1.clone()));
        tasks.keep("log", Need::None, move || tasks::catch_up(ending.clone()));
        Ok(Self { workers, tasks, writer, stop, ended, policies, certificates })
    }

    /// The policies, for a reload on demand.
    #[must_use]
    pub const fn policies(&self) -> &PolicyHandle {
        &self.policies
    }

    /// Looks at policies and certificates again, now.
    pub async fn reload(&self) {
        match self.policies.reload().await {
            Ok(status) => tracing::info!(outcome = ?status.outcome, revision = status.revision, "policies loaded on demand"),
            Err(stopped) => tracing::warn!(%stopped, "policies not loaded"),
        }
        self.certificates.reload();
    }

    /// Stops accepting, lets requests in flight end, then ends everything else.
    pub async fn drain(self) -> Drained {
        self.stop.send_replace(true);
        let drained = self.workers.ended().await;
        self.ended.send_replace(true);
        self.tasks.ended().await;
        drop(self.policies);
        self.writer.join();
        repeats::finish();
        drained
    }
}

/// Without it, what changes in the files would not be decided by, what is taken away there included.
fn keep_policies(watcher: Watcher, tasks: &mut Tasks, ending: &Stop) {
    let (watcher, ending) = (Arc::new(Mutex::new(watcher)), ending.clone());
    tasks.keep("policies", Need::All, move || {
        let (watcher, ended) = (Arc::clone(&watcher), turned(ending.clone()));
        async move { watcher.lock().await.run(ended).await }
    });
}

/// Without it, what others agree would not be decided by.
fn keep_state(state: &Arc<State>, tasks: &mut Tasks, ending: &Stop) {
    let (state, ending) = (Arc::clone(state), ending.clone());
    tasks.keep("state", Need::All, move || Arc::clone(&state).follow(turned(ending.clone())));
}

fn keep_webhook(webhook: Deliverer, policies: &PolicyHandle, tasks: &mut Tasks, ending: &Stop) {
    let (webhook, directory, ending) = (Arc::new(Mutex::new(webhook)), policies.directory(), ending.clone());
    tasks.keep("webhook", Need::None, move || {
        let (webhook, directory, ended) = (Arc::clone(&webhook), directory.clone(), turned(ending.clone()));
        async move { webhook.lock().await.run(directory, ended).await }
    });
}

fn keep_terms(state: &Arc<State>, recorder: &Recorder, clock: &Clock, policies: &PolicyHandle, tasks: &mut Tasks, ending: &Stop) {
    let (state, recorder, clock) = (Arc::clone(state), recorder.clone(), clock.clone());
    let (directory, ending) = (policies.directory(), ending.clone());
    tasks.keep("terms", Need::None, move || {
        let keeper = Keeper::new(Arc::clone(&state), recorder.clone(), clock.clone());
        keeper.run(directory.clone(), turned(ending.clone()))
    });
}

/// Resolves when the signal turns true or its sender is gone.
pub async fn turned(mut signal: watch::Receiver<bool>) {
    drop(signal.wait_for(|on| *on).await);
}

/// Nobody else writes to a file of this process.
const fn shared_lease(store: &StoreConfig) -> Option<Duration> {
    match store.url {
        StoreUrl::Postgres(_) => Some(store.lease),
        StoreUrl::Sqlite(_) => None,
    }
}

fn webhooks(config: &Config, state: &Arc<State>, clock: &Clock) -> Result<Vec<Deliverer>, ServiceError> {
    let shares_store = shared_lease(&config.store).is_some();
    let prepare = |one: &WebhookConfig| {
        let prepared = webhook::prepare(one, Arc::clone(state), clock.clone(), shares_store);
        prepared.map_err(|cause| ServiceError::Webhook { name: one.name.clone(), cause })
    };
    config.webhooks.iter().map(prepare).collect()
}

fn load_options(config: &Config, demo_issuer: Option<String>, clock: &Clock) -> LoadOptions {
    let host = |authority: &str| authority.rsplit_once(':').map_or(authority, |(host, _port)| host).to_owned();
    let own = config.authorities.iter().map(|authority| host(authority));
    let mut options = LoadOptions::new(clock.now());
    options.demo_issuer = demo_issuer;
    options.management_hosts.extend(own);
    options
}

fn site(config: &Config) -> Site {
    Site {
        authorities: config.authorities.clone(),
        default_authority: format!("{}/organizations", config.login_endpoint),
        wrong_tenant: config.wrong_tenant,
        head: config.limits.head,
    }
}

fn discovery(config: &Config) -> Discovery {
    Discovery {
        name: config.cloud_name.clone(),
        login_endpoint: config.login_endpoint.clone(),
        audience: "https://management.azure.com/".to_owned(),
        locations: vec!["westeurope".to_owned(), "northeurope".to_owned()],
    }
}

async fn keys(
    config: &Config,
    policies: &PolicyHandle,
    clock: &Clock,
    tasks: &mut Tasks,
    ending: &Stop,
) -> Result<Arc<KeyStore>, ServiceError> {
    let roots = tls::trusted_roots(config.identity_roots.as_deref()).map_err(ServiceError::Roots)?;
    let fetcher = Fetcher::new(roots).map_err(ServiceError::Tls)?;
    let (keys, upkeep) = KeyStore::new(fetcher, clock.clone(), KeyTimes::default());
    let directory = Arc::clone(&policies.directory().borrow());
    keys.warm(&directory).await;
    let (upkeep, directories, ending) = (Arc::new(Mutex::new(upkeep)), policies.directory(), ending.clone());
    tasks.keep("keys", Need::All, move || {
        let (upkeep, directories, ending) = (Arc::clone(&upkeep), directories.clone(), ending.clone());
        async move { upkeep.lock().await.run(directories, ending).await }
    });
    Ok(keys)
}

fn signer(config: &Config) -> Result<AssertionSigner, ServiceError> {
    signer_for(config, &config.backend.url)
}

/// One key, and assertions for one audience.
fn signer_for(config: &Config, audience: &str) -> Result<AssertionSigner, ServiceError> {
    let failed = |cause| ServiceError::AssertionKey { path: config.assertion_key.clone(), cause };
    let pkcs8 = assertion_key(&config.assertion_key).map_err(failed)?;
    let issuer = config.authorities.first().map(|authority| format!("https://{authority}")).unwrap_or_default();
    AssertionSigner::new(&pkcs8, issuer, audience.to_owned()).map_err(|cause| failed(AssertionKeyError::Form(cause)))
}

/// The key in this file; a new one when there is no such file.
///
/// # Errors
/// When the file cannot be read, or a new one cannot be made.
pub fn assertion_key(path: &Path) -> Result<Vec<u8>, AssertionKeyError> {
    match std::fs::read(path) {
        Ok(pkcs8) => Ok(pkcs8),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            let random = aws_lc_rs::rand::SystemRandom::new();
            let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).map_err(AssertionKeyError::Generate)?;
            files::replace(path, pkcs8.as_ref(), Readers::Owner).map_err(AssertionKeyError::Write)?;
            Ok(pkcs8.as_ref().to_vec())
        }
        Err(cause) => Err(AssertionKeyError::Read(cause)),
    }
}

fn backends(config: &Config) -> Result<BackendsConfig, ServiceError> {
    let fabric = match &config.private_cloud {
        Some(cloud) => Some((cloud.fabric.clone(), Arc::new(signer_for(config, &cloud.fabric.url)?))),
        None => None,
    };
    Ok(BackendsConfig { manager: config.backend.clone(), fabric })
}

fn guard(config: &AdminConfig) -> Result<Guard, ServiceError> {
    match &config.token {
        Some(token) => Guard::from_file(token).map_err(ServiceError::AdminToken),
        None => Ok(Guard::Loopback),
    }
}

/// Makes a bound socket one of the running runtime.
///
/// # Errors
/// When the socket is not one that can wait.
fn into_tokio(socket: TcpListener) -> Result<tokio::net::TcpListener, ServiceError> {
    socket.set_nonblocking(true).map_err(ServiceError::Socket)?;
    tokio::net::TcpListener::from_std(socket).map_err(ServiceError::Socket)
}

/// Connections of the admin listener. The one that has been without a request for the longest time gives way to the last of them.
const ADMIN_CONNECTIONS_MAX: usize = 256;
/// For the head of a request to the admin listener: who asks is a program nearby.
const ADMIN_HEAD_TIME_MAX: Duration = Duration::from_secs(2);
/// For its requests after a stop signal.
const ADMIN_DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

async fn serve_admin(admin: Arc<Admin>, socket: tokio::net::TcpListener, tls: Option<Arc<ServerConfig>>, stop: Stop) {
    let limits = Limits {
        connections_max: ADMIN_CONNECTIONS_MAX,
        head_time_max: ADMIN_HEAD_TIME_MAX,
        drain_time_max: ADMIN_DRAIN_TIME_MAX,
        ..Limits::default()
    };
    let handler = move |request, _connection| {
        let admin = Arc::clone(&admin);
        async move { admin.answer(request).await }
    };
    // Its requests are looks at state: one that is cut loses nothing.
    let places = Places::that_give_way(&limits);
    let _drained: Drained = https::serve_in(places, socket, tls, limits, stop, handler).await;
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("config", &self.config).finish_non_exhaustive()
    }
}
