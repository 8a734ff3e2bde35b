//! Everything in one process, on this machine only: gateway, issuer, mock resource manager, state.
//!
//! The gateway reaches the other two over TLS, as it would reach a stranger's. Nothing here is used by `steward serve`.

pub mod accounts;
pub mod certificates;
pub mod ports;
pub mod world;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admin::Extra;
use crate::clock::Clock;
use crate::config;
use crate::directory::Directory;
use crate::files::{self, NotWritten, Readers};
use crate::https::{Drained, Stop};
use crate::issuer::{self, Issuer, LoopbackListener};
use crate::pipeline::{Allowances, AssertionSigner};
use crate::policy::diagnostics::Diagnostics;
use crate::policy::watch::PolicySource;
use crate::policy::{self, LoadOptions};
use crate::resource_manager::fabric::{self, Fabric};
use crate::resource_manager::{self, Home, Key, ResourceManager, Seed, Store, Trust};
use crate::service::{Service, ServiceError, Setup, assertion_key, turned};
use crate::tls::{self, ReloadingCertificate};

use accounts::AccountsError;
use certificates::{Certificates, CertificatesError};
use ports::{PortTaken, Ports, Sockets};
use world::{Addresses, World};

/// What a demo is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which ports to listen on.
    pub ports: Ports,
    /// Where state, secrets and records are kept.
    pub folder: PathBuf,
    /// Where certificates are made.
    pub certificates: PathBuf,
    /// Policy files; those inside the binary when absent.
    pub policies: Option<PathBuf>,
    /// Where to describe the world besides `world.json` in the folder.
    pub describe: Option<PathBuf>,
    /// Whether to forget accounts, state and records of earlier runs.
    pub fresh: bool,
    /// How many requests a caller may send, if not as many as by default.
    pub throttling: Option<Allowances>,
}

/// A demo that cannot start. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The accounts cannot be made.
    #[error("the accounts of the demo issuer cannot be made")]
    Accounts(#[source] AccountsError),
    /// The certificates cannot be made.
    #[error("the certificates of the demo cannot be made")]
    Certificates(#[source] CertificatesError),
    /// The certificates cannot be served with.
    #[error("the certificates of the demo cannot be used")]
    CertificatesUse(#[source] tls::CertificateError),
    /// The world cannot be described.
    #[error("the demo world cannot be described")]
    Describe(#[source] NotWritten),
    /// The folder for state cannot be made, or that of earlier runs cannot be removed.
    #[error("the folder `{}` cannot be made anew", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// The fabric did not start.
    #[error("the fabric did not start")]
    Fabric(#[source] fabric::OpenError),
    /// The gateway did not start.
    #[error("the gateway did not start")]
    Gateway(#[source] Box<ServiceError>),
    /// The issuer did not start.
    #[error("the demo issuer did not start")]
    Issuer(#[source] issuer::KeyError),
    /// The issuer's socket is not on loopback.
    #[error("the demo issuer did not start")]
    NotLoopback(#[source] issuer::NotLoopback),
    /// The policies are broken.
    #[error("the policies are broken")]
    Policies(Box<Diagnostics>),
    /// A port is taken.
    #[error("{0}")]
    Port(#[from] PortTaken),
    /// The mock resource manager did not start.
    #[error("the mock resource manager did not start")]
    ResourceManager(#[source] resource_manager::OpenError),
    /// A socket cannot be used.
    #[error("a socket cannot be used")]
    Socket(#[source] std::io::Error),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The demo's own configuration is wrong.
    #[error("the configuration of the demo is wrong: {0}")]
    Config(String),
}

/// A running demo.
#[derive(Debug)]
pub struct Demo {
    /// The description of its world.
    pub world: World,
    /// Lines about what was started, for people.
    pub summary: Summary,
    service: Service,
    issuer: Issuer,
    servers: JoinSet<Drained>,
    stop: watch::Sender<bool>,
}

/// What a person wants to know of a demo that has just started.
#[derive(Debug)]
pub struct Summary {
    /// Whether the certificates were made or found, and until when they hold.
    pub certificates: String,
    /// People and automations.
    pub accounts: String,
    /// Customers and resources.
    pub resources: String,
    /// Files and grants.
    pub policies: String,
}

impl Demo {
    /// Starts everything; when this returns, all of it answers and the world is described.
    ///
    /// # Errors
    /// With the first thing that keeps it from starting.
    pub async fn start(options: &Options) -> Result<Self, DemoError> {
        let clock = Clock::system();
        let sockets = Sockets::bind(options.ports)?;
        let addresses = sockets.addresses();
        if options.fresh {
            forget(&options.folder)?;
        }
        make_private(&options.folder)?;
        let certificates = Certificates::ensure(&options.certificates, clock.now()).map_err(DemoError::Certificates)?;
        let loaded = load_policies(options, &addresses, &clock)?;
        let accounts = accounts::ensure(&options.folder, &loaded.directory).map_err(DemoError::Accounts)?;
        let summary = Summary::of(&certificates, &accounts, &loaded);
        let tls = Arc::new(ReloadingCertificate::load(&certificates.server, &certificates.server_key).map_err(DemoError::CertificatesUse)?);
        let tls = tls::server_config(tls).map_err(DemoError::Tls)?;
        let (stop, stopping) = watch::channel(false);
        let mut servers = JoinSet::new();

        let world = World::of(&loaded.directory, &accounts, &addresses, &certificates, &records_folder(options));
        let issuer = Issuer::new(issuer::Config {
            base_url: addresses.authority.clone(),
            accounts: accounts.into_accounts().map_err(DemoError::Accounts)?,
            keys_folder: options.folder.join("issuer"),
            clock: clock.clone(),
        })
        .map_err(DemoError::Issuer)?;
        // The gateway fetches the keys of all tenants when it starts and does not wait long: on a busy machine, making them
        // may take longer.
        issuer.make_keys().await.map_err(DemoError::Issuer)?;
        let listener = LoopbackListener::try_from(into_tokio(sockets.issuer)?).map_err(DemoError::NotLoopback)?;
        let (running, issuer_tls, issuer_stop) = (issuer.clone(), Arc::clone(&tls), stopping.clone());
        servers.spawn(async move { running.serve(listener, issuer_tls, issuer_stop).await });

        let manager = open_manager(options, &addresses, &loaded.directory, &clock).await?;
        let fabric = open_fabric(options, &addresses, &clock).await?;
        let extra = mock_controls(Arc::clone(&manager), Arc::clone(&fabric));
        servers.spawn(Arc::clone(&manager).run(into_tokio(sockets.backend)?, Arc::clone(&tls), stopping.clone()));
        servers.spawn(fabric.run(into_tokio(sockets.fabric)?, tls, stopping.clone()));

        let mut config = own_config(options, &addresses, &certificates)?;
        config.throttling = options.throttling.unwrap_or(config.throttling);
        let setup = Setup {
            config,
            gateway: sockets.gateway,
            admin: sockets.admin,
            front: Some(sockets.front),
            policies: options.policies.clone().map_or(PolicySource::Embedded, PolicySource::Folder),
            demo_issuer: Some(addresses.authority.clone()),
            extra: Some((MOCK_PREFIX, extra)),
            clock,
        };
        let service = Service::start(setup).await.map_err(|error| DemoError::Gateway(Box::new(error)))?;
        servers.spawn(adopt(manager, service.policies().directory(), stopping));
        let demo = Self { world, summary, service, issuer, servers, stop };
        demo.describe(options)?;
        Ok(demo)
    }

    fn describe(&self, options: &Options) -> Result<(), DemoError> {
        let text = self.world.to_json();
        let write = |path: &Path| files::replace(path, text.as_bytes(), Readers::Owner).map_err(DemoError::Describe);
        write(&options.folder.join(world::FILE))?;
        options.describe.as_deref().map_or(Ok(()), write)
    }

    /// The issuer, for tests that rotate its keys or mint tokens.
    #[must_use]
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Looks at policies and certificates again.
    pub async fn reload(&self) {
        self.service.reload().await;
    }

    /// Ends everything: the gateway first, so that its requests in flight still have a backend.
    pub async fn drain(mut self) -> Drained {
        let drained = self.service.drain().await;
        self.stop.send_replace(true);
        while let Some(ended) = self.servers.join_next().await {
            if let Err(cause) = ended {
                tracing::error!(%cause, "a server of the demo had failed");
            }
        }
        drained
    }
}

/// Where the mock's own controls are on the admin listener.
const MOCK_PREFIX: &str = "/mock/";

/// Where those of the fabric are, below it.
const FABRIC_PREFIX: &str = "/mock/fabric/";

fn mock_controls(manager: Arc<ResourceManager>, fabric: Arc<Fabric>) -> Extra {
    Arc::new(move |request| {
        let (manager, fabric) = (Arc::clone(&manager), Arc::clone(&fabric));
        Box::pin(async move {
            match request.uri().path().starts_with(FABRIC_PREFIX) {
                true => fabric.admin(request).await,
                false => manager.admin(request).await,
            }
        })
    })
}

/// What the policy files declare: subscriptions that were signed up for live in the fabric.
fn homes(directory: &Directory) -> BTreeMap<String, Home> {
    directory.declared_subscriptions().map(|it| (it.name.to_string(), Home { id: it.id, tenant: it.tenant })).collect()
}

/// A subscription that a reload brought exists at the resource manager as well, empty.
async fn adopt(manager: Arc<ResourceManager>, mut directory: watch::Receiver<Arc<Directory>>, stop: Stop) -> Drained {
    let stopped = turned(stop);
    tokio::pin!(stopped);
    loop {
        tokio::select! {
            changed = directory.changed() => if changed.is_err() { return Drained::Clean },
            () = &mut stopped => return Drained::Clean,
        }
        let homes = homes(&directory.borrow_and_update());
        if let Err(cause) = manager.adopt(&homes).await {
            tracing::warn!(%cause, "the resource manager did not take the new subscriptions");
        }
    }
}

fn forget(folder: &Path) -> Result<(), DemoError> {
    match std::fs::remove_dir_all(folder) {
        Ok(()) => Ok(()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(DemoError::Folder { path: folder.to_owned(), cause }),
    }
}

/// Secrets live in it: nobody but the owner may look inside.
fn make_private(folder: &Path) -> Result<(), DemoError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|cause| DemoError::Folder { path: folder.to_owned(), cause })
}

fn into_tokio(socket: TcpListener) -> Result<tokio::net::TcpListener, DemoError> {
    socket.set_nonblocking(true).map_err(DemoError::Socket)?;
    tokio::net::TcpListener::from_std(socket).map_err(DemoError::Socket)
}

fn load_policies(options: &Options, addresses: &Addresses, clock: &Clock) -> Result<policy::Loaded, DemoError> {
    let load_options = LoadOptions::new(clock.now()).with_demo_issuer(&addresses.authority);
    let loaded = match &options.policies {
        Some(folder) => policy::load(folder, &load_options),
        None => policy::load_texts(Path::new("policies"), policy::embedded(), &load_options),
    };
    loaded.map_err(|diagnostics| DemoError::Policies(Box::new(diagnostics)))
}

async fn open_manager(
    options: &Options,
    addresses: &Addresses,
    directory: &Directory,
    clock: &Clock,
) -> Result<Arc<ResourceManager>, DemoError> {
    let config = resource_manager::Config {
        base_url: addresses.backend.clone(),
        trust: trust(options, addresses, &addresses.backend)?,
        store: Store::File(options.folder.join("resources.sqlite")),
        seed: Some(Seed { text: include_str!("resources.toml").to_owned(), subscriptions: homes(directory) }),
        operation_time: resource_manager::OPERATION_TIME,
        clock: clock.clone(),
    };
    ResourceManager::open(config).await.map_err(DemoError::ResourceManager)
}

async fn open_fabric(options: &Options, addresses: &Addresses, clock: &Clock) -> Result<Arc<Fabric>, DemoError> {
    let config = fabric::Config {
        trust: trust(options, addresses, &addresses.fabric)?,
        store: Store::File(options.folder.join("fabric.sqlite")),
        seed: Some(fabric::Seed::demo()),
        operation_time: resource_manager::OPERATION_TIME,
        clock: clock.clone(),
    };
    Fabric::open(config).await.map_err(DemoError::Fabric)
}

fn records_folder(options: &Options) -> PathBuf {
    options.folder.join("records")
}

fn assertion_key_file(options: &Options) -> PathBuf {
    options.folder.join("assertion.key")
}

/// The mocks get the public key beforehand, as an operator would hand it to a real backend.
fn trust(options: &Options, addresses: &Addresses, audience: &str) -> Result<Trust, DemoError> {
    let path = assertion_key_file(options);
    let unusable = |cause| DemoError::Gateway(Box::new(ServiceError::AssertionKey { path: path.clone(), cause }));
    let pkcs8 = assertion_key(&path).map_err(unusable)?;
    let signer = AssertionSigner::new(&pkcs8, addresses.gateway.clone(), audience.to_owned())
        .map_err(|cause| unusable(crate::service::AssertionKeyError::Form(cause)))?;
    let key = Key { kid: signer.key_id(), public_key: *signer.public_key() };
    Ok(Trust { issuer: addresses.gateway.clone(), audience: audience.to_owned(), keys: vec![key] })
}

/// The demo is configured in the same words as any gateway.
fn own_config(options: &Options, addresses: &Addresses, certificates: &Certificates) -> Result<config::Config, DemoError> {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_cause| path.to_owned()).display().to_string();
    let text = format!(
        "[gateway]\nlisten = {:?}\nauthorities = {:?}\ncertificate_file = {:?}\nkey_file = {:?}\ndrain_time_ms_max = 10000\n\
         [admin]\nlisten = {:?}\n\
         [identity]\nlogin_endpoint = {:?}\ntrusted_roots_file = {:?}\n\
         [backend]\nurl = {:?}\ntrusted_roots_file = {:?}\nassertion_key_file = {:?}\n\
         [private_cloud]\nfabric_url = {:?}\nfabric_trusted_roots_file = {:?}\nlisten = {:?}\nauthorities = {:?}\n\
         [records]\nfolder = {:?}\n[store]\nurl = {:?}\n",
        addresses.gateway_listen.to_string(),
        [addresses.gateway_authority(), addresses.gateway_listen.to_string()],
        absolute(&certificates.server),
        absolute(&certificates.server_key),
        addresses.admin_listen.to_string(),
        addresses.authority,
        absolute(&certificates.ca),
        addresses.backend,
        absolute(&certificates.ca),
        absolute(&assertion_key_file(options)),
        addresses.fabric,
        absolute(&certificates.ca),
        addresses.front_listen.to_string(),
        [format!("localhost:{}", addresses.front_listen.port()), addresses.front_listen.to_string()],
        absolute(&records_folder(options)),
        absolute(&options.folder.join("state.db")),
    );
    config::parse(Path::new(""), "demo", &text).map_err(|diagnostics| DemoError::Config(diagnostics.render(Default::default())))
}

impl Summary {
    fn of(certificates: &Certificates, accounts: &accounts::DemoAccounts, loaded: &policy::Loaded) -> Self {
        let made = match certificates.origin {
            certificates::Origin::Made => "made",
            certificates::Origin::Reused => "found",
        };
        let folder = certificates.ca.parent().unwrap_or_else(|| Path::new("certs"));
        let customers = loaded.directory.delegations().iter().map(|it| it.customer).collect::<std::collections::HashSet<_>>().len();
        Self {
            certificates: format!("{made} in {}, valid until {:.10}", folder.display(), certificates.not_after.to_string()),
            accounts: accounts.describe(),
            resources: format!("mock: {customers} customers, {} subscriptions", loaded.directory.subscriptions().count()),
            policies: loaded.warnings.summary(),
        }
    }
}
