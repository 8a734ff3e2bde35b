//! The six sockets of the demo, all on 127.0.0.1.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::world::Addresses;

/// Which ports the demo listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Ports {
    /// Any that are free.
    Auto,
    /// 8443 gateway, 8445 issuer, 8446 resource manager, 8447 fabric, 8090 private cloud, 8480 admin.
    #[default]
    Fixed,
}

/// A socket that could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PortTaken {
    /// Somebody else listens there.
    #[error("port {port} for the {what} is taken; end the program that has it, or start with `--ports auto`")]
    Taken {
        /// The port.
        port: u16,
        /// What it was for.
        what: &'static str,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// The system gave no socket.
    #[error("no socket for the {what} on 127.0.0.1:{port}")]
    Unusable {
        /// The port.
        port: u16,
        /// What it was for.
        what: &'static str,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
}

/// Bound sockets.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) gateway: TcpListener,
    pub(super) issuer: TcpListener,
    pub(super) backend: TcpListener,
    pub(super) fabric: TcpListener,
    pub(super) front: TcpListener,
    pub(super) admin: TcpListener,
    listens: [SocketAddr; 6],
}

impl Sockets {
    pub(super) fn bind(ports: Ports) -> Result<Self, PortTaken> {
        let choose = |port| if ports == Ports::Auto { 0 } else { port };
        let (gateway, gateway_listen) = bind(choose(8443), "gateway")?;
        let (issuer, issuer_listen) = bind(choose(8445), "demo issuer")?;
        let (backend, backend_listen) = bind(choose(8446), "resource manager")?;
        let (fabric, fabric_listen) = bind(choose(8447), "fabric")?;
        let (front, front_listen) = bind(choose(8090), "private cloud")?;
        let (admin, admin_listen) = bind(choose(8480), "admin listener")?;
        let listens = [gateway_listen, issuer_listen, backend_listen, fabric_listen, front_listen, admin_listen];
        Ok(Self { gateway, issuer, backend, fabric, front, admin, listens })
    }

    pub(super) fn addresses(&self) -> Addresses {
        let [gateway_listen, issuer, backend, fabric, front_listen, admin_listen] = self.listens;
        Addresses {
            gateway: format!("https://localhost:{}", gateway_listen.port()),
            authority: format!("https://localhost:{}", issuer.port()),
            backend: format!("https://localhost:{}", backend.port()),
            fabric: format!("https://localhost:{}", fabric.port()),
            private_cloud: format!("https://localhost:{}", front_listen.port()),
            admin: format!("http://127.0.0.1:{}", admin_listen.port()),
            front_listen,
            gateway_listen,
            admin_listen,
        }
    }
}

fn bind(port: u16, what: &'static str) -> Result<(TcpListener, SocketAddr), PortTaken> {
    let failed = |cause: io::Error| {
        if cause.kind() == io::ErrorKind::AddrInUse {
            PortTaken::Taken { port, what, cause }
        } else {
            PortTaken::Unusable { port, what, cause }
        }
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_the_way_out() {
        let (_held, address) = bind(0, "gateway").unwrap();
        let error = bind(address.port(), "gateway").unwrap_err().to_string();
        assert!(error.contains(&format!("port {} for the gateway is taken", address.port())), "{error}");
        assert!(error.contains("--ports auto"), "{error}");
    }
}
