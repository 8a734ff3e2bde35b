//! `steward serve` from a configuration file, with a backend and an issuer of our own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair};
use steward::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::client::{Client, PATIENCE, get};
use crate::load::Load;
use crate::program::{Running, alone, empty_folder, measured, replace, until};
use crate::signer;

const POLICIES: &str = include_str!("serving.toml");
const TARGET: &str = "/subscriptions/3a370000-5000-4000-8000-000000000001/resourceGroups/rg?api-version=2024-07-01";

/// How the backend behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behaves {
    Well,
    /// Reads and never answers.
    Silent,
}

/// A backend in clear text; gives its port and counts its requests.
async fn backend(behaves: Behaves) -> (u16, watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (count, arrived) = watch::channel(0);
    let count = Arc::new(count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let mut head = Vec::new();
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    head.extend_from_slice(&buffer[..read]);
                    if !head.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    head.clear();
                    count.send_modify(|count| *count += 1);
                    if behaves == Behaves::Well {
                        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.unwrap();
                    }
                }
            });
        }
    });
    (port, arrived)
}

/// A gateway that serves from `steward.toml`.
struct Serving {
    process: Running,
    client: Client,
    arrived: watch::Receiver<usize>,
    folder: PathBuf,
}

impl Serving {
    async fn start(name: &str, behaves: Behaves, more: &str) -> Self {
        let folder = empty_folder(name);
        std::fs::create_dir(folder.join("policies")).unwrap();
        std::fs::create_dir(folder.join("tls")).unwrap();
        std::fs::write(folder.join("policies/all.toml"), POLICIES).unwrap();
        std::fs::write(folder.join("policies/own-keys.json"), signer::key_set().to_string()).unwrap();
        let first = write_certificate(&folder);
        // Clients trust the certificate that comes later as well.
        let second = make_certificate();
        std::fs::write(folder.join("trusted.pem"), format!("{}{}", first.cert.pem(), second.cert.pem())).unwrap();
        std::fs::write(folder.join("second.pem"), second.cert.pem()).unwrap();
        std::fs::write(folder.join("second.key"), second.signing_key.serialize_pem()).unwrap();
        let [port, admin] = free_ports();
        let (upstream, arrived) = backend(behaves).await;
        let config = format!(
            "[gateway]\nlisten = \"127.0.0.1:{port}\"\ncertificate_file = \"tls/server.pem\"\nkey_file = \"tls/server.key\"\n{more}\
             [admin]\nlisten = \"127.0.0.1:{admin}\"\n[backend]\nurl = \"http://127.0.0.1:{upstream}\"\n\
             [throttling]\nreads_at_once = 1000000000\nreads_per_s = 1000000000\n"
        );
        std::fs::write(folder.join("steward.toml"), config).unwrap();
        let process = Running::start(&["serve"], &folder);
        let client = Client::new(&format!("https://localhost:{port}"), &folder.join("trusted.pem"));
        let serving = Self { process, client, arrived, folder };
        until("the gateway listens", async || serving.client.connect("localhost", b"h2").await.ok()).await;
        serving
    }

    fn load(&self) -> Load {
        Load { client: self.client.clone(), target: TARGET.to_owned(), token: signer::signed(&signer::claims()) }
    }

    /// The certificate that a new connection is shown.
    async fn shown(&self) -> Vec<u8> {
        let stream = self.client.connect("localhost", b"h2").await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    }
}

/// Two ports that were free a moment ago.
fn free_ports() -> [u16; 2] {
    [0, 1].map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).map(|listener| listener.local_addr().unwrap().port())
}

fn make_certificate() -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

fn write_certificate(folder: &Path) -> CertifiedKey<KeyPair> {
    let made = make_certificate();
    std::fs::write(folder.join("tls/server.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("tls/server.key"), made.signing_key.serialize_pem()).unwrap();
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_replaced_under_load_and_no_request_fails() {
    let _alone = alone().await;
    let mut serving = Serving::start("certificate", Behaves::Well, "").await;
    let before = serving.shown().await;
    let under_way = serving.load().start(4, 2);
    // Every connection of this one is new, so each handshake meets the certificate of its moment.
    let handshakes = {
        let (client, token) = (serving.client.clone(), serving.load().token);
        tokio::spawn(async move {
            for _ in 0..200 {
                assert_eq!(client.send(get(TARGET).bearer(&token)).await.status, 200);
            }
        })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    let file = |name: &str| std::fs::read_to_string(serving.folder.join(name)).unwrap();
    // One file after the other: in between they do not fit each other, and the pair before stays in use.
    replace(&serving.folder.join("tls/server.pem"), &file("second.pem"));
    serving.process.signal("HUP");
    tokio::time::sleep(Duration::from_millis(200)).await;
    replace(&serving.folder.join("tls/server.key"), &file("second.key"));
    serving.process.signal("HUP");
    let replaced = Clock::instant();
    until("the new certificate is shown", async || (serving.shown().await != before).then_some(())).await;
    measured(format_args!("a new certificate was shown {:?} after SIGHUP", replaced.elapsed()));
    handshakes.await.unwrap();
    let tally = under_way.end().await;
    assert_eq!((tally.lost, tally.unconnected), (Vec::new(), 0));
    assert!(tally.seen.iter().all(|seen| seen.status == 200) && tally.seen.len() > 100);
    serving.process.signal("TERM");
    assert_eq!(serving.process.ended().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_drain_limit_is_kept() {
    let _alone = alone().await;
    let mut serving = Serving::start("limit", Behaves::Silent, "drain_time_ms_max = 700\n").await;
    let load = serving.load();
    let asked = tokio::spawn(async move { load.client.try_send("localhost", get(TARGET).bearer(&load.token)).await });
    timeout(PATIENCE, serving.arrived.wait_for(|arrived| *arrived == 1)).await.expect("the request arrives").unwrap();
    serving.process.signal("INT");
    let stopped = Clock::instant();
    assert_eq!(serving.process.ended().await.code(), Some(1), "something was cut, and the exit code tells");
    let took = stopped.elapsed();
    assert!((Duration::from_millis(700)..Duration::from_secs(6)).contains(&took), "{took:?}");
    assert!(asked.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_gateway_on_the_same_port_says_so() {
    let serving = Serving::start("twice", Behaves::Well, "").await;
    let second = crate::program::run(&["serve"], &serving.folder);
    assert_eq!(second.status.code(), Some(5));
    let told = String::from_utf8(second.stderr).unwrap();
    assert!(told.contains("cannot listen on 127.0.0.1:"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_sends_no_whole_head_is_closed_in_time() {
    let _alone = alone().await;
    let serving = Serving::start("slow-head", Behaves::Well, "").await;
    let started = Clock::instant();
    let answer = serving.client.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await;
    let took = started.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(20)).contains(&took), "{took:?}");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_bounded_by_the_machine_and_not_by_the_shell() {
    let serving = Serving::start("descriptors", Behaves::Well, "").await;
    let line = serving.process.limit("Max open files");
    let [soft, hard] = line.split_whitespace().rev().skip(1).take(2).collect::<Vec<_>>()[..] else { panic!("{line}") };
    assert_eq!(soft, hard, "{line}");
}
