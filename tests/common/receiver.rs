//! A receiver of webhooks that answers as it is told.

use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// No delivery may take longer than this, the end of a dead gateway's claim included.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(90);

/// One delivery that came in.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub head: String,
    pub body: Value,
    pub text: String,
    pub taken: bool,
}

impl Delivery {
    pub fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
        line.unwrap_or_else(|| panic!("{name} in {}", self.head)).1
    }

    pub fn what(&self) -> (&str, &str) {
        (self.body["properties"]["what"].as_str().unwrap(), self.body["properties"]["offer"].as_str().unwrap())
    }
}

/// A receiver that answers as it is told.
pub struct Receiver {
    pub url: String,
    /// The status of answers; zero hangs up.
    pub status: Arc<watch::Sender<u16>>,
    pub deliveries: Arc<watch::Sender<Vec<Delivery>>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?of=ours", listener.local_addr().unwrap());
        let (status, deliveries) = (Arc::new(watch::Sender::new(200)), Arc::new(watch::Sender::new(Vec::new())));
        let (answers, kept) = (Arc::clone(&status), Arc::clone(&deliveries));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let status = *answers.borrow();
                take(stream, status, &kept).await;
            }
        });
        Self { url, status, deliveries }
    }

    pub async fn until(&self, holds: impl Fn(&[Delivery]) -> bool) -> Vec<Delivery> {
        let mut deliveries = self.deliveries.subscribe();
        let seen = tokio::time::timeout(PATIENCE, deliveries.wait_for(|all| holds(all))).await.expect("the deliveries come in time");
        seen.unwrap().clone()
    }

    pub async fn taken(&self, count: usize) -> Vec<Delivery> {
        let taken = |all: &[Delivery]| all.iter().filter(|one| one.taken).count();
        let all = self.until(|all| taken(all) >= count).await;
        all.into_iter().filter(|one| one.taken).collect()
    }
}

async fn take(stream: TcpStream, status: u16, deliveries: &watch::Sender<Vec<Delivery>>) {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned)).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    if status > 0 {
        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
    let text = String::from_utf8(body).unwrap();
    let delivery = Delivery { head, body: serde_json::from_str(&text).unwrap(), text, taken: (200..300).contains(&status) };
    deliveries.send_modify(|all| all.push(delivery));
}
