//! `steward serve`: the gateway, from a configuration file.

use std::net::TcpListener;
use std::path::Path;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::signals::{Signals, Wish};
use super::{Console, Exit, Global, state};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::https::Drained;
use crate::policy::watch::PolicySource;
use crate::server::STACK_BYTES;
use crate::service::{Service, ServiceError, Setup};
use crate::state::StateError;
use crate::telemetry::chain;

/// The configuration file of the current folder.
pub(super) const CONFIG_FILE: &str = "steward.toml";

pub(super) fn run(global: &Global, console: &mut Console) -> Exit {
    let config = match configured(global, console) {
        Ok(config) => config,
        Err(invalid) => return invalid,
    };
    in_runtime(console, async |console| match start(config).await {
        Ok((service, line)) => {
            console.line(line);
            until_end(service, console).await
        }
        Err(Failed::Service(ServiceError::Policies(diagnostics))) => {
            console.error("the policies are invalid");
            console.bytes(diagnostics.render(console.style()).as_bytes());
            Exit::Invalid
        }
        Err(Failed::Service(error)) => {
            console.error(chain(&error));
            if is_away(&error) { Exit::Unreachable } else { Exit::Invalid }
        }
        Err(Failed::Bind { address, cause }) => {
            console.error(format!("cannot listen on {address}: {cause}"));
            Exit::Unreachable
        }
    })
}

/// The configuration, or how to end after everything that is wrong with it was said.
pub(super) fn configured(global: &Global, console: &mut Console) -> Result<Config, Exit> {
    let path = global.config.as_deref().unwrap_or_else(|| Path::new(CONFIG_FILE));
    config::load(path).map_err(|diagnostics| {
        console.error("the configuration is invalid");
        console.bytes(diagnostics.render(console.style()).as_bytes());
        Exit::Invalid
    })
}

/// Runs a command on a runtime of its own: the gateway's workers have theirs.
pub(super) fn in_runtime(console: &mut Console, command: impl AsyncFnOnce(&mut Console) -> Exit) -> Exit {
    use_all_descriptors();
    match tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_stack_size(STACK_BYTES).enable_all().build() {
        Ok(runtime) => runtime.block_on(command(console)),
        Err(cause) => {
            console.error(format!("no runtime: {cause}"));
            Exit::Unreachable
        }
    }
}

/// Every connection is a descriptor: the machine's bound holds, not the low one that shells and service managers set for programs of old.
fn use_all_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(cause) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%cause, "the gateway has no more file descriptors than it was started with");
    }
}

/// Whether the store may be there when the gateway is started again.
const fn is_away(error: &ServiceError) -> bool {
    match error {
        ServiceError::State(StateError::Slow) => true,
        ServiceError::State(StateError::Store(cause)) | ServiceError::Store(cause) => state::is_away(cause),
        ServiceError::AdminToken(_)
        | ServiceError::AssertionKey { .. }
        | ServiceError::Certificate(_)
        | ServiceError::Policies(_)
        | ServiceError::Portal(_)
        | ServiceError::Records(_)
        | ServiceError::Roots(_)
        | ServiceError::Socket(_)
        | ServiceError::Start(_)
        | ServiceError::State(StateError::Apply(_))
        | ServiceError::Tls(_)
        | ServiceError::Webhook { .. } => false,
    }
}

enum Failed {
    Bind { address: std::net::SocketAddr, cause: std::io::Error },
    Service(ServiceError),
}

async fn start(config: Config) -> Result<(Service, String), Failed> {
    let bind = |address| TcpListener::bind(address).map_err(|cause| Failed::Bind { address, cause });
    let (gateway, admin) = (bind(config.listen)?, bind(config.admin.listen)?);
    let front_at = config.private_cloud.as_ref().and_then(|cloud| cloud.front.as_ref());
    let front = front_at.map(|front| bind(front.listen)).transpose()?;
    let line = format!("steward {} listens on {}, admin on {}", env!("CARGO_PKG_VERSION"), config.listen, config.admin.listen);
    let policies = PolicySource::Folder(config.policies.clone());
    let setup = Setup { config, gateway, admin, front, policies, demo_issuer: None, extra: None, clock: Clock::system() };
    Ok((Service::start(setup).await.map_err(Failed::Service)?, line))
}

async fn until_end(service: Service, console: &mut Console) -> Exit {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(cause) => {
            console.error(format!("no signals: {cause}"));
            return Exit::Unreachable;
        }
    };
    while signals.next().await == Wish::Reload {
        service.reload().await;
    }
    tokio::select! {
        drained = service.drain() => ended(drained, console),
        () = signals.impatience() => cut(console),
    }
}

pub(super) fn ended(drained: Drained, console: &mut Console) -> Exit {
    match drained {
        Drained::Clean => Exit::Done,
        Drained::Cut => {
            console.error("the drain time was over and connections were cut");
            Exit::No
        }
    }
}

pub(super) fn cut(console: &mut Console) -> Exit {
    console.error("ended at once by a second signal; requests in flight were cut");
    Exit::No
}
