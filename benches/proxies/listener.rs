//! One thread with a runtime of its own for each core, all listening on one address: how the origin and the bare proxies serve.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use crate::Outcome;

/// Connections that wait to be accepted: more than any scenario opens at once.
const BACKLOG: i32 = 4096;

/// Serves for ever. `workers` of 0 means one per core.
pub fn serve<F: Future<Output = ()> + Send + 'static>(
    listen: SocketAddr,
    workers: usize,
    connection: impl Fn(TcpStream) -> F + Clone + Send + 'static,
) -> Outcome<()> {
    let workers = if workers == 0 { std::thread::available_parallelism()?.get() } else { workers };
    let mut threads = Vec::new();
    for _ in 0..workers {
        let (socket, connection) = (bound(listen)?, connection.clone());
        threads.push(std::thread::spawn(move || worker(socket, connection)));
    }
    for thread in threads {
        thread.join().map_err(|_panic| "a worker panicked")??;
    }
    Ok(())
}

fn worker<F: Future<Output = ()> + Send + 'static>(socket: std::net::TcpListener, connection: impl Fn(TcpStream) -> F) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(socket)?;
        loop {
            let (stream, _peer) = listener.accept().await?;
            stream.set_nodelay(true)?;
            drop(tokio::spawn(connection(stream)));
        }
    })
}

fn bound(listen: SocketAddr) -> Outcome<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(listen), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&listen.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
