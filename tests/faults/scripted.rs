//! A server that does what it is told, and is told another thing while it serves: the resource manager and the issuer of these tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What an answer of somebody else has in it.
pub const POISON: &str = "rg-poison";
/// What every request has in it that must not arrive.
pub const NEVER: &str = "rg-never";
/// From one byte to the next of a server that drips.
const DRIP: Duration = Duration::from_secs(1);
/// Between two attempts to listen where it did before.
const BIND_EVERY: Duration = Duration::from_millis(5);

/// How requests are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// The connection ends in the middle of the body.
    CutBody,
    /// The connection ends in the middle of the head.
    CutHead,
    /// One byte a second, from the head on or from the body on, by turns.
    Drip,
    /// No HTTP at all.
    Garbage,
    /// Not at all.
    Hang,
    /// Nobody listens.
    Refuse,
    /// The connection is reset.
    Reset,
    Sound,
    /// Two answers to one request; the second one is somebody else's.
    Two,
    /// 101, which nobody asked for, and then something else.
    Unasked,
    /// A length that is too long, too short, two lengths, or a length beside chunks, by turns.
    WrongLength,
}

/// The server. It ends with its owner.
#[derive(Debug)]
pub struct Scripted {
    pub address: SocketAddr,
    manner: watch::Sender<Manner>,
    seen: Arc<watch::Sender<Seen>>,
    accepting: JoinHandle<()>,
}

/// What came in.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub requests: usize,
    /// Heads that should not have arrived.
    pub never: Vec<String>,
}

type Body = Arc<dyn Fn(&str) -> String + Send + Sync>;

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Scripted {
    /// `body` is given the target of a request.
    pub async fn start(body: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (manner, ordered) = watch::channel(Manner::Sound);
        let seen = Arc::new(watch::Sender::new(Seen::default()));
        let server = Server { body: Arc::new(body), manner: ordered, seen: Arc::clone(&seen) };
        let accepting = tokio::spawn(server.listen(listener, address));
        Self { address, manner, seen, accepting }
    }

    pub fn order(&self, manner: Manner) {
        self.manner.send_replace(manner);
    }

    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }
}

#[derive(Clone)]
struct Server {
    body: Body,
    manner: watch::Receiver<Manner>,
    seen: Arc<watch::Sender<Seen>>,
}

impl Server {
    async fn listen(self, first: TcpListener, address: SocketAddr) {
        let (mut listener, mut manner) = (first, self.manner.clone());
        loop {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((stream, _peer)) = accepted else { continue };
                        connections.spawn(self.clone().serve(stream));
                    }
                    Some(_ended) = connections.join_next() => {}
                    () = until(&mut manner, |manner| manner == Manner::Refuse) => break,
                }
            }
            drop((listener, connections));
            until(&mut manner, |manner| manner != Manner::Refuse).await;
            listener = again(address).await;
        }
    }

    /// Nothing, when the connection is over.
    async fn serve(self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let head = head(&mut stream).await?;
            let before = self.seen.borrow().requests;
            self.seen.send_modify(|seen| {
                seen.requests += 1;
                if head.contains(NEVER) {
                    seen.never.push(head.clone());
                }
            });
            let target = head.split(' ').nth(1).unwrap_or_default();
            self.answer(&mut stream, &(self.body)(target), before).await?;
        }
    }

    async fn answer(&self, stream: &mut BufReader<TcpStream>, body: &str, before: usize) -> Option<()> {
        let manner = *self.manner.borrow();
        let whole = answer(body);
        let head_bytes = whole.len() - body.len();
        match manner {
            Manner::Sound => stream.write_all(whole.as_bytes()).await.ok(),
            Manner::Two => stream.write_all(format!("{whole}{}", answer(&named(POISON))).as_bytes()).await.ok(),
            Manner::WrongLength => self.answer_at_length(stream, body, before).await,
            Manner::CutBody => ended(stream, whole.split_at(whole.len() - body.len() / 2).0).await,
            Manner::CutHead => ended(stream, whole.split_at(head_bytes / 2).0).await,
            Manner::Garbage => ended(stream, "\u{1}\u{2}no protocol that anybody speaks\r\n\u{0}\r\n\r\n").await,
            Manner::Unasked => {
                let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                ended(stream, &format!("{switched}{}", answer(&named(POISON)))).await
            }
            Manner::Drip => self.drip(stream, &whole, if before.is_multiple_of(2) { 0 } else { head_bytes }).await,
            Manner::Hang => self.silence(stream).await,
            Manner::Reset => {
                stream.get_ref().set_zero_linger().ok()?;
                None
            }
            Manner::Refuse => None,
        }
    }

    async fn answer_at_length(&self, stream: &mut BufReader<TcpStream>, body: &str, before: usize) -> Option<()> {
        let length = body.len();
        let fields = match before % 4 {
            0 => format!("Content-Length: {}", length + 10),
            1 => "Content-Length: 2".to_owned(),
            2 => format!("Content-Length: {length}\r\nContent-Length: {}", length + 1),
            _ => format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
        };
        let text = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{fields}\r\n\r\n{body}");
        stream.write_all(text.as_bytes()).await.ok()?;
        self.silence(stream).await
    }

    async fn drip(&self, stream: &mut BufReader<TcpStream>, whole: &str, at_once: usize) -> Option<()> {
        let (first, rest) = whole.as_bytes().split_at(at_once);
        stream.write_all(first).await.ok()?;
        let mut manner = self.manner.clone();
        for byte in rest {
            stream.write_all(&[*byte]).await.ok()?;
            let over = until(&mut manner, |manner| manner != Manner::Drip);
            if tokio::time::timeout(DRIP, over).await.is_ok() {
                break;
            }
        }
        None
    }

    /// Says nothing until the peer goes, or another manner was ordered.
    async fn silence(&self, stream: &mut BufReader<TcpStream>) -> Option<()> {
        let mut manner = self.manner.clone();
        let (now, mut more) = (*manner.borrow_and_update(), [0]);
        tokio::select! {
            _gone = stream.read(&mut more) => {}
            () = until(&mut manner, |manner| manner != now) => {}
        }
        None
    }
}

async fn until(manner: &mut watch::Receiver<Manner>, holds: impl Fn(Manner) -> bool) {
    // Its sender ends with the task that waits here.
    let _seen = manner.wait_for(|manner| holds(*manner)).await.is_ok();
}

async fn again(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_taken) => tokio::time::sleep(BIND_EVERY).await,
        }
    }
}

async fn head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

async fn ended(stream: &mut BufReader<TcpStream>, text: &str) -> Option<()> {
    stream.write_all(text.as_bytes()).await.ok()?;
    None
}

fn answer(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// What the resource manager says about a resource group.
pub fn named(group: &str) -> String {
    format!("{{\"name\":\"{group}\",\"location\":\"westeurope\"}}")
}
