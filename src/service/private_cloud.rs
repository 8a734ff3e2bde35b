//! The private cloud's part of a gateway: who carries on what was signed up for, its own interfaces, and the portal.

use std::net::TcpListener;
use std::sync::Arc;

use rustls::ServerConfig;

use super::tasks::Tasks;
use super::{ServiceError, into_tokio, turned};
use crate::config::{Config, PrivateCloudConfig};
use crate::front::Front;
use crate::https::{self, Drained, Limits, Stop};
use crate::portal::{Portal, Product, Site, Transport};
use crate::server::{Backends, BackendsConfig, Gateway, StartError};
use crate::sign_up::Clerk;
use crate::telemetry::Need;

/// What the parts are started with.
pub(super) struct Parts<'a> {
    pub(super) gateway: &'a Arc<Gateway>,
    pub(super) config: &'a Config,
    pub(super) backends: &'a BackendsConfig,
    /// For the interfaces.
    pub(super) socket: Option<TcpListener>,
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// Turns true when nothing more is to be accepted.
    pub(super) stopping: Stop,
    /// Turns true when everything is to end.
    pub(super) ending: Stop,
}

/// Starts them; gives the portal, for whoever serves it. Nothing is started where there is no private cloud.
///
/// # Errors
/// When the fabric or the socket cannot be used.
pub(super) fn start(parts: Parts<'_>, tasks: &mut Tasks) -> Result<Option<Portal>, ServiceError> {
    let Parts { gateway, config, backends, socket, tls, stopping, ending } = parts;
    let Some(cloud) = &config.private_cloud else { return Ok(None) };
    let own = || Backends::new(backends).map_err(StartError::Backend).map_err(ServiceError::Start);
    if let Some(fabric) = own()?.fabric {
        let (gateway, fabric) = (Arc::clone(gateway), Arc::new(fabric));
        tasks.keep("sign_ups", Need::None, move || {
            let clerk = Clerk::new(Arc::clone(&gateway.state), Arc::clone(&fabric), gateway.clock.clone());
            clerk.run(gateway.directory.clone(), turned(ending.clone()))
        });
    }
    let front = Arc::new(Front::new(Arc::clone(gateway), own()?, authorities(cloud)));
    if let Some(socket) = socket {
        let serving = serve(Arc::clone(&front), into_tokio(socket)?, tls, config.limits.clone(), stopping);
        tasks.run_once("front", Need::All, serving);
    }
    let product: Arc<dyn Product> = front;
    Portal::new(site(config), product, gateway.clock.clone()).map(Some).map_err(ServiceError::Portal)
}

fn authorities(cloud: &PrivateCloudConfig) -> Vec<Box<str>> {
    cloud.front.as_ref().map(|front| front.authorities.clone()).unwrap_or_default()
}

/// The portal is on the admin listener.
fn site(config: &Config) -> Site {
    let address = config.admin.listen.ip();
    let own = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
    let names = match address.is_loopback() {
        true => vec![own.into(), "localhost".into()],
        false => {
            let host = |authority: &str| authority.rsplit_once(':').map_or(authority, |(host, _port)| host).into();
            std::iter::once(own.into()).chain(config.authorities.iter().map(|authority| host(authority))).collect()
        }
    };
    Site { names, transport: if config.admin.tls.is_some() { Transport::Tls } else { Transport::Clear } }
}

async fn serve(front: Arc<Front>, socket: tokio::net::TcpListener, tls: Option<Arc<ServerConfig>>, limits: Limits, stop: Stop) {
    let handler = move |request, connection| {
        let front = Arc::clone(&front);
        async move { front.answer(request, connection).await }
    };
    if https::serve(socket, tls, limits, stop, handler).await == Drained::Cut {
        tracing::warn!("requests of the private cloud's interfaces were cut at the end");
    }
}
