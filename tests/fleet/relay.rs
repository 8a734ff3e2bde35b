//! What stands between a gateway and its database, and can be cut and healed.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How it is with the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Connections are closed, and new ones as well.
    Cut,
    Open,
    /// Nothing is closed, and nothing comes through until it is open again.
    Silent,
}

/// Carries connections to a server.
#[derive(Debug)]
pub struct Relay {
    pub address: SocketAddr,
    line: watch::Sender<Line>,
    accepting: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Relay {
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (line, seen) = watch::channel(Line::Open);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _peer)) = listener.accept().await {
                connections.spawn(carry(client, server, seen.clone()));
            }
        });
        Self { address, line, accepting }
    }

    pub fn set(&self, line: Line) {
        self.line.send_replace(line);
    }
}

async fn carry(client: TcpStream, server: SocketAddr, mut line: watch::Receiver<Line>) {
    if *line.wait_for(|line| *line != Line::Silent).await.unwrap() == Line::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // Whichever way ends first ends the other one.
    tokio::select! {
        () = pump(from_client, to_server, line.clone()) => {}
        () = pump(from_server, to_client, line) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut line: watch::Receiver<Line>) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        let seen = *line.borrow_and_update();
        tokio::select! {
            // What comes after the line was cut is not carried any more, even if it is there first.
            biased;
            changed = line.changed(), if seen != Line::Cut => {
                let Ok(()) = changed else { return };
            }
            read = from.read(&mut buffer), if seen == Line::Open => {
                let Ok(length @ 1..) = read else { return };
                let Ok(()) = to.write_all(&buffer[..length]).await else { return };
            }
            else => return,
        }
    }
}
