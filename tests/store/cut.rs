//! A connection that is cut at a chosen word: what a crash of the network or of the server does at the worst moment.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What happens when the client says the word.
#[derive(Clone, Copy)]
pub enum Cut {
    /// The server hears it, and the client hears nothing more.
    After,
    /// The server does not hear it.
    Before,
    /// Nobody hears anything more, and both wait.
    Silence,
}

/// Stands between a client and a server.
pub struct Proxy {
    pub address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// Every connection is cut at this word.
    pub async fn start(server: SocketAddr, word: &'static str, cut: Cut) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _peer)) = listener.accept().await {
                connections.spawn(carry(client, server, word, cut));
            }
        });
        Self { address, accepting }
    }
}

async fn carry(mut client: TcpStream, server: SocketAddr, word: &'static str, cut: Cut) {
    let mut server = TcpStream::connect(server).await.unwrap();
    let (mut said, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = client.read(&mut said) => {
                let Ok(length @ 1..) = read else { return };
                let is_said = said[..length].windows(word.len()).any(|window| window == word.as_bytes());
                match cut {
                    Cut::Before if is_said => return,
                    Cut::Silence if is_said => return std::future::pending().await,
                    Cut::After | Cut::Before | Cut::Silence => server.write_all(&said[..length]).await.unwrap(),
                }
                if is_said {
                    // That it answers shows that it has done it. The client does not get the answer.
                    assert_ne!(server.read(&mut answered).await.unwrap(), 0);
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(length @ 1..) = read else { return };
                let Ok(()) = client.write_all(&answered[..length]).await else { return };
            }
        }
    }
}
