//! A backend that does what it is told, byte by byte, and a gateway in front of it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use steward::clock::Clock;
use steward::config;
use steward::pipeline::Allowances;
use steward::policy::watch::PolicySource;
use steward::service::{Service, Setup};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::client::{Answer, Call, Client, PATIENCE, plain};
use super::installation::{SHARED, certificates, empty_folder};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Arrived {
    /// The number of its connection.
    pub connection: usize,
    /// Request line and fields.
    pub head: String,
    /// Bytes of the body.
    pub length: u64,
    /// SHA-256 of the body, in hexadecimal.
    pub digest: String,
    /// Whether the body came to its end.
    pub whole: bool,
}

/// What the backend does after it has read a request.
#[derive(Debug, Clone)]
pub enum Act {
    /// Writes these bytes and reads the next request.
    Answer(Vec<u8>),
    /// Writes these bytes and closes.
    Close(Vec<u8>),
    /// Writes nothing until the gateway closes.
    Hang,
    /// Writes these bytes one by one, with this pause between them, and closes.
    Drip(Vec<u8>, Duration),
    /// Writes the first bytes, and then the others again and again, with this pause before each time, until the gateway closes.
    Endless(Vec<u8>, Vec<u8>, Duration),
    /// Closes without a farewell of TCP.
    Reset,
    /// Writes these bytes after a while and reads the next request.
    Later(Duration, Vec<u8>),
}

/// Everything that arrived, and what became of the connections.
#[derive(Debug, Clone, Default)]
pub struct Log {
    pub arrived: Vec<Arrived>,
    pub connections: usize,
    /// Connections that the gateway closed while the backend hung, or had not written all of an answer.
    pub abandoned: usize,
}

type Script = Arc<dyn Fn(&Arrived, usize) -> Act + Send + Sync>;

/// A backend on loopback, in clear text.
pub struct Backend {
    pub address: SocketAddr,
    log: Arc<watch::Sender<Log>>,
}

impl Backend {
    /// `script` is given a request and how many came before it.
    pub async fn start(script: impl Fn(&Arrived, usize) -> Act + Send + Sync + 'static) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), script).await
    }

    /// The same at this address.
    pub async fn start_at(address: SocketAddr, script: impl Fn(&Arrived, usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(watch::Sender::new(Log::default()));
        let (script, kept): (Script, _) = (Arc::new(script), Arc::clone(&log));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                kept.send_modify(|log| log.connections += 1);
                let number = kept.borrow().connections;
                tokio::spawn(serve(stream, number, Arc::clone(&script), Arc::clone(&kept)));
            }
        });
        Self { address, log }
    }

    /// The log, once this holds for it.
    pub async fn log_with(&self, holds: impl FnMut(&Log) -> bool) -> Log {
        let mut log = self.log.subscribe();
        let seen = tokio::time::timeout(PATIENCE, log.wait_for(holds)).await.expect("the backend sees it in time");
        seen.unwrap().clone()
    }

    pub fn log(&self) -> Log {
        self.log.borrow().clone()
    }
}

async fn serve(stream: TcpStream, connection: usize, script: Script, log: Arc<watch::Sender<Log>>) {
    let mut stream = BufReader::new(stream);
    while let Some(arrived) = read(&mut stream, connection).await {
        let before = log.borrow().arrived.len();
        let act = script(&arrived, before);
        log.send_modify(|log| log.arrived.push(arrived));
        match act {
            Act::Answer(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return log.send_modify(|log| log.abandoned += 1);
                }
            }
            Act::Close(bytes) => {
                let _written = stream.write_all(&bytes).await.is_ok();
                return;
            }
            Act::Later(pause, bytes) => {
                tokio::time::sleep(pause).await;
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Act::Drip(bytes, pause) => {
                for byte in bytes {
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                }
                return;
            }
            Act::Endless(first, again, pause) => {
                let mut is_taken = stream.write_all(&first).await.is_ok();
                while is_taken {
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                    is_taken = stream.write_all(&again).await.is_ok();
                }
                return;
            }
            Act::Reset => {
                socket2::SockRef::from(stream.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
                return;
            }
            Act::Hang => {
                // Nothing more is sent on a connection whose request is unanswered, so the next read is its end.
                let _ended = stream.read(&mut [0]).await.is_ok();
                log.send_modify(|log| log.abandoned += 1);
                return;
            }
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>, connection: usize) -> Option<Arrived> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let field =
        |name: &str| head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix(name).map(|value| value.trim().to_owned()));
    let mut body = Body { digest: Context::new(&SHA256), length: 0 };
    let whole = match (field("content-length:"), field("transfer-encoding:")) {
        (Some(length), _) => body.take(stream, length.parse().unwrap()).await,
        (None, Some(_chunked)) => body.take_chunks(stream).await,
        (None, None) => true,
    };
    let digest = body.digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(Arrived { connection, head, length: body.length, digest, whole })
}

struct Body {
    digest: Context,
    length: u64,
}

impl Body {
    async fn take(&mut self, stream: &mut BufReader<TcpStream>, mut left: usize) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        while left > 0 {
            let want = left.min(buffer.len());
            match stream.read(&mut buffer[..want]).await {
                Ok(0) | Err(_) => return false,
                Ok(read) => {
                    self.digest.update(&buffer[..read]);
                    self.length += read as u64;
                    left -= read;
                }
            }
        }
        true
    }

    async fn take_chunks(&mut self, stream: &mut BufReader<TcpStream>) -> bool {
        loop {
            let mut line = String::new();
            if !matches!(stream.read_line(&mut line).await, Ok(read) if read > 0) {
                return false;
            }
            let size = usize::from_str_radix(line.trim(), 16).unwrap();
            let is_whole = self.take(stream, size).await && stream.read_line(&mut String::new()).await.is_ok();
            if !is_whole || size == 0 {
                return is_whole;
            }
        }
    }
}

/// A gateway of its own, with the policies of the shared installation, whose issuer gives the tokens.
pub struct Front {
    service: Service,
    pub client: Client,
    admin: String,
}

impl Front {
    /// `more` is added to the `[backend]` section and may open further ones.
    pub async fn start(name: &str, backend: &str, more: &str) -> Self {
        let folder = empty_folder(name);
        Self::start_in(&folder, backend, more, "").await
    }

    /// The same in this folder; `gateway` is added to the `[gateway]` section.
    pub async fn start_in(folder: &Path, backend: &str, more: &str, gateway: &str) -> Self {
        Self::start_with(folder, backend, more, gateway, Clock::system(), &SHARED.folder.join("policies")).await
    }

    /// The same by this clock and with these policies.
    pub async fn start_with(folder: &Path, backend: &str, more: &str, gateway: &str, clock: Clock, policies: &Path) -> Self {
        let own = gateway;
        let bind = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (gateway, admin) = (bind(), bind());
        let port = gateway.local_addr().unwrap().port();
        let certificates = certificates();
        let world = &SHARED.demo.world;
        let workers = if own.contains("workers = ") { "" } else { "workers = 1\n" };
        let text = format!(
            "[gateway]\nauthorities = [\"localhost:{port}\"]\n{workers}drain_time_ms_max = 2000\n\
             certificate_file = {:?}\nkey_file = {:?}\n{own}\n\
             [identity]\nlogin_endpoint = {:?}\ntrusted_roots_file = {:?}\n\
             [backend]\nurl = {backend:?}\n{more}",
            certificates.join("server.pem"),
            certificates.join("server.key"),
            world.authority,
            world.ca,
        );
        let mut config = config::parse(folder, "test", &text).unwrap_or_else(|wrong| panic!("{}", wrong.render(Default::default())));
        if !text.contains("[throttling]") {
            config.throttling = Allowances::UNBOUNDED;
        }
        let base = format!("http://127.0.0.1:{}", admin.local_addr().unwrap().port());
        let setup = Setup {
            config,
            gateway,
            admin,
            front: None,
            policies: PolicySource::Folder(policies.to_owned()),
            demo_issuer: Some(world.authority.clone()),
            extra: None,
            clock,
        };
        let service = Service::start(setup).await.unwrap();
        Self { service, client: Client::new(&format!("https://localhost:{port}"), &world.ca), admin: base }
    }

    pub async fn ask(&self, identity: &str, call: Call) -> Answer {
        self.client.send(call.bearer(&SHARED.token(identity).await)).await
    }

    pub async fn admin(&self, call: Call) -> Answer {
        plain(&self.admin, call).await
    }

    /// `host:port` of the admin listener.
    pub fn admin_authority(&self) -> &str {
        self.admin.trim_start_matches("http://")
    }

    pub async fn drain(self) {
        self.service.drain().await;
    }
}

/// A JSON answer.
pub fn json_answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// How long the gateways of the tests wait for the first byte of an answer.
pub const SHORT: Duration = Duration::from_millis(400);
