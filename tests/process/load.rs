//! Load: by `oha`, and by a client of our own that can tell a lost request from a connection that never came about.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::{http1, http2};
use hyper::header::{AUTHORIZATION, CONNECTION, HOST};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use steward::clock::Clock;
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};

use crate::client::Client;
use crate::oha::oha;

/// Runs `oha` for this long, and gives its report.
pub async fn run_oha(url: &str, token: &str, ca: &Path, seconds: u64, more: &[&str]) -> Value {
    let mut command = Command::new(oha());
    command.args(["--no-tui", "--output-format", "json", "-w", "-c", "8", "-z"]).arg(format!("{seconds}s")).arg("--cacert").arg(ca);
    command.args(more).arg("-H").arg(format!("Authorization: Bearer {token}")).arg(url);
    let output = spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// How many requests `oha` made, of which none failed.
#[track_caller]
pub fn all_answered(report: &Value, status: &str) -> u64 {
    let statuses = report["statusCodeDistribution"].as_object().unwrap();
    assert_eq!(statuses.keys().collect::<Vec<_>>(), [status], "{report}");
    assert!(report["errorDistribution"].as_object().unwrap().is_empty(), "{}", report["errorDistribution"]);
    statuses[status].as_u64().unwrap()
}

/// One answer seen under load.
#[derive(Debug, Clone)]
pub struct Seen {
    pub sent: Instant,
    pub answered: Instant,
    pub status: u16,
    /// The policy that judged.
    pub revision: u64,
}

/// What the load saw.
#[derive(Debug, Default)]
pub struct Tally {
    pub seen: Vec<Seen>,
    /// Requests that were sent and got no whole answer.
    pub lost: Vec<String>,
    /// Connections that did not come about.
    pub unconnected: usize,
}

/// What is asked, over and over.
#[derive(Debug, Clone)]
pub struct Load {
    pub client: Client,
    pub target: String,
    pub token: String,
}

/// Load under way.
#[derive(Debug)]
pub struct UnderWay {
    stop: watch::Sender<bool>,
    tasks: JoinSet<Tally>,
}

impl Load {
    /// Starts so many connections of each version, each with one request at a time.
    pub fn start(&self, http1: usize, http2: usize) -> UnderWay {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for _ in 0..http1 {
            tasks.spawn(self.clone().run_http1(stopped.clone()));
        }
        for _ in 0..http2 {
            tasks.spawn(self.clone().run_http2(stopped.clone()));
        }
        UnderWay { stop, tasks }
    }

    fn request(&self, uri: &str) -> Request<Empty<Bytes>> {
        let request = Request::get(uri).header(AUTHORIZATION, format!("Bearer {}", self.token));
        request.body(Empty::new()).unwrap()
    }

    async fn run_http1(self, stopped: watch::Receiver<bool>) -> Tally {
        let mut tally = Tally::default();
        while !*stopped.borrow() {
            let Ok(stream) = self.client.connect("localhost", b"http/1.1").await else {
                tally.unconnected += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            let Ok((mut sender, connection)) = http1::handshake(TokioIo::new(stream)).await else { continue };
            let driver = tokio::spawn(connection);
            // A connection that is closed between two requests has lost none.
            while !*stopped.borrow() && sender.ready().await.is_ok() {
                let mut request = self.request(&self.target);
                request.headers_mut().insert(HOST, self.client.authority().parse().unwrap());
                let closes = tally.keep(async { sender.send_request(request).await }).await;
                if closes {
                    break;
                }
            }
            driver.abort();
        }
        tally
    }

    async fn run_http2(self, stopped: watch::Receiver<bool>) -> Tally {
        let mut tally = Tally::default();
        let uri = format!("https://{}{}", self.client.authority(), self.target);
        while !*stopped.borrow() {
            let Ok(stream) = self.client.connect("localhost", b"h2").await else {
                tally.unconnected += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            let Ok((mut sender, connection)) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await else { continue };
            let driver = tokio::spawn(connection);
            while !*stopped.borrow() && sender.ready().await.is_ok() {
                if tally.keep(async { sender.send_request(self.request(&uri)).await }).await {
                    break;
                }
            }
            driver.abort();
        }
        tally
    }
}

impl Tally {
    /// Keeps what came of a request; `true` when its connection is of no further use.
    async fn keep(&mut self, answered: impl Future<Output = hyper::Result<hyper::Response<hyper::body::Incoming>>>) -> bool {
        let sent = Clock::instant();
        let response = match answered.await {
            Ok(response) => response,
            Err(error) => {
                // Never handed to the connection, or refused by GOAWAY: nobody accepted it.
                if !error.is_canceled() && !is_refused_stream(&error) {
                    self.lost.push(format!("{error:?}"));
                }
                return true;
            }
        };
        let closes = response.headers().get(CONNECTION).is_some_and(|value| value == "close");
        let revision = response.headers().get("x-steward-revision").and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
        let status = response.status().as_u16();
        match response.into_body().collect().await {
            Ok(_whole) => self.seen.push(Seen { sent, answered: Clock::instant(), status, revision }),
            Err(error) => self.lost.push(format!("cut: {error:?}")),
        }
        closes
    }
}

/// A stream above the last one that a GOAWAY names was not looked at. Source: RFC 9113 §6.8.
fn is_refused_stream(error: &hyper::Error) -> bool {
    let text = format!("{error:?}");
    text.contains("GoAway") && text.contains("NO_ERROR") || text.contains("REFUSED_STREAM")
}

impl UnderWay {
    /// Ends the load and adds up.
    pub async fn end(mut self) -> Tally {
        self.stop.send_replace(true);
        let mut all = Tally::default();
        while let Some(tally) = self.tasks.join_next().await {
            let tally = tally.unwrap();
            all.seen.extend(tally.seen);
            all.lost.extend(tally.lost);
            all.unconnected += tally.unconnected;
        }
        all
    }
}
