//! Stops and reloads while requests are under way.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use steward::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::line::V;
use crate::common::backend::{Act, Backend, Front, json_answer};
use crate::common::client::{Client, PATIENCE, call, get};
use crate::common::installation::{SHARED, empty_folder, policies};
use crate::frames::{END_HEADERS, END_STREAM, GOAWAY, HEADERS, Talk, block, frame};
use crate::table::Forms;

/// The reader's grant on alder-prod.
const GRANT: &str = "[[delegation.authorization]]\nwho = \"reader\"\nrole = \"Reader\"\n";

fn target() -> String {
    format!("{}/resourceGroups/rg-life?{V}", SHARED.subscription("alder-prod"))
}

/// A gateway with policies of its own.
struct Own {
    front: Front,
    file: PathBuf,
    sound: String,
}

impl Own {
    async fn start(name: &str, backend: &Backend) -> Self {
        let folder = empty_folder(name);
        let policies = policies(&folder.join("policies"));
        let file = policies.join("customers/alder.toml");
        let url = format!("http://{}", backend.address);
        let front = Front::start_with(&folder, &url, "", "", Clock::system(), &policies).await;
        Self { front, sound: std::fs::read_to_string(&file).unwrap(), file }
    }

    /// Replaces the file as a whole and has it read.
    async fn reload(&self, text: &str) -> u16 {
        let next = self.file.with_extension("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(&next, &self.file).unwrap();
        self.front.admin(call("POST", "/api/policies/reload")).await.status.as_u16()
    }
}

/// Asks on a connection that stays open, and gives the status.
async fn ask(stream: &mut TlsStream<TcpStream>, host: &str, token: &str) -> u16 {
    let request = format!("GET {} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n", target());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.expect("an answer in time").unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(|length| length.parse().unwrap()));
    stream.read_exact(&mut vec![0; length.unwrap_or(0)]).await.unwrap();
    head.get(9..12).unwrap().parse().unwrap()
}

async fn reloads(forms: &mut Forms) {
    let backend = Backend::start(|_, _| Act::Answer(json_answer("200 OK", "{}"))).await;
    let own = Own::start("t28-reload", &backend).await;
    let (client, token) = (own.front.client.clone(), SHARED.token("reader").await);
    let mut stream = client.connect("localhost", b"http/1.1").await.unwrap();
    let host = client.authority().to_owned();
    assert_eq!(ask(&mut stream, &host, &token).await, 200);
    for (name, text) in [
        ("an unknown table in the policies", format!("{}\n[[nonsense]]\n", own.sound)),
        ("policies that are no TOML", "][".to_owned()),
        ("a file of null bytes", "\0".repeat(4096)),
        ("a role that there is not", own.sound.replace("role = \"Reader\"", "role = \"Raeder\"")),
        ("a grant of a role that cannot be delegated", own.sound.replace("role = \"Contributor\"", "role = \"Owner\"")),
        ("half a file", own.sound.chars().take(own.sound.len() / 2).collect::<String>().trim_end_matches(|c| c != '=').to_owned()),
    ] {
        let (reloaded, asked) = (own.reload(&text).await, ask(&mut stream, &host, &token).await);
        forms.saw(name, &format!("reload {reloaded}; requests go on with {asked}"), "reload 422; requests go on with 200");
    }
    let revoked = own.sound.replace(GRANT, "");
    for round in ["a grant that is revoked, on an open connection", "the same once more"] {
        let reloaded = own.reload(&revoked).await;
        let started = Clock::instant();
        let asked = ask(&mut stream, &host, &token).await;
        let restored = own.reload(&own.sound).await;
        let again = ask(&mut stream, &host, &token).await;
        forms.saw(
            round,
            &format!("reload {reloaded}, next request {asked}; given back {restored}, next request {again}"),
            "reload 200, next request 403; given back 200, next request 200",
        );
        forms.holds(round, started.elapsed() < PATIENCE / 4, "it is in force at once");
    }
    let load = Load::start(&client, &token);
    for number in 0..20 {
        assert_eq!(own.reload(&format!("{}\n# {number}\n", own.sound)).await, 200);
    }
    let (asked, wrong) = load.end().await;
    forms.holds("20 reloads under load", asked > 20, "there is load");
    forms.saw("20 reloads under load", &format!("{} requests lost", wrong.len()), "0 requests lost");
    own.front.drain().await;
}

/// Clients that ask again and again, each time on a new connection.
struct Load {
    ends: Arc<AtomicBool>,
    asking: JoinSet<(usize, Vec<String>)>,
}

impl Load {
    fn start(client: &Client, token: &str) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let mut asking = JoinSet::new();
        for _ in 0..4 {
            let (client, token, ends) = (client.clone(), token.to_owned(), Arc::clone(&ends));
            asking.spawn(async move {
                let (mut asked, mut wrong) = (0, Vec::new());
                while !ends.load(Ordering::Relaxed) {
                    match client.try_send("localhost", get(target()).bearer(&token)).await {
                        Ok(answer) if answer.status == 200 => asked += 1,
                        Ok(answer) => wrong.push(answer.told()),
                        // Nobody listens any more: nothing was accepted.
                        Err(why) if why.contains("refused") => break,
                        Err(why) => wrong.push(why),
                    }
                }
                (asked, wrong)
            });
        }
        Self { ends, asking }
    }

    async fn end(self) -> (usize, Vec<String>) {
        self.ends.store(true, Ordering::Relaxed);
        let tallies = self.asking.join_all().await;
        let asked = tallies.iter().map(|(asked, _)| asked).sum();
        (asked, tallies.into_iter().flat_map(|(_, wrong)| wrong).collect())
    }
}

#[expect(clippy::cognitive_complexity, reason = "one stop, seen from everybody who is there at the time")]
async fn stops(forms: &mut Forms) {
    let slow = Duration::from_millis(700);
    let backend = Backend::start(move |request, _| {
        let answer = json_answer("200 OK", "{}");
        if request.head.contains("rg-slow") { Act::Later(slow, answer) } else { Act::Answer(answer) }
    })
    .await;
    let front = Front::start("t28-stop", &format!("http://{}", backend.address), "").await;
    let (client, token) = (front.client.clone(), SHARED.token("reader").await);
    let under_way = tokio::spawn({
        let asked = get(target().replace("rg-life", "rg-slow")).bearer(&token);
        let client = client.clone();
        async move { client.try_send("localhost", asked).await }
    });
    let mut idle = client.connect("localhost", b"http/1.1").await.unwrap();
    assert_eq!(ask(&mut idle, client.authority(), &token).await, 200);
    let mut talk = Talk::open(&client).await;
    let authorization = format!("Bearer {token}");
    let path = target();
    let fields =
        [(":method", "GET"), (":scheme", "https"), (":authority", client.authority()), (":path", &path), ("authorization", &authorization)];
    assert!(talk.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields))).await);
    assert_eq!(talk.outcome(1, PATIENCE).await.to_string(), "200");
    backend.log_with(|log| log.arrived.iter().any(|request| request.head.contains("rg-slow"))).await;
    let load = Load::start(&client, &token);
    let draining = tokio::spawn(front.drain());
    let answered = timeout(PATIENCE, under_way).await.expect("it is answered in time").unwrap();
    let observed = answered.map_or_else(|why| why, |answer| format!("{}; Connection: {}", answer.told(), answer.header("connection")));
    forms.saw("a request under way when the gateway is stopped", &observed, "200");
    timeout(PATIENCE, draining).await.expect("it stops in time").unwrap();
    let (_, wrong) = load.end().await;
    forms.holds("requests that come while it stops", wrong.is_empty(), &format!("none is lost: {wrong:?}"));
    forms.saw("requests that come while it stops", &format!("{} requests lost", wrong.len()), "0 requests lost");
    let end = timeout(PATIENCE, idle.read_to_end(&mut Vec::new())).await.is_ok();
    forms.saw("an idle connection of HTTP/1.1", if end { "closed" } else { "open" }, "closed");
    let goaway = talk.next_of(GOAWAY, 0, PATIENCE).await.is_some_and(|frame| frame.payload.get(4..8) == Some(&[0; 4]));
    forms.saw("an idle connection of HTTP/2", if goaway { "GOAWAY(NO_ERROR)" } else { "cut" }, "GOAWAY(NO_ERROR)");
    let refused = client.try_send("localhost", get(target()).bearer(&token)).await.is_err();
    forms.saw("a request to a stopped gateway", if refused { "not accepted" } else { "accepted" }, "not accepted");
}

async fn restarts(forms: &mut Forms) {
    let backend = Backend::start(|_, _| Act::Answer(json_answer("200 OK", "{}"))).await;
    let (folder, url) = (empty_folder("t28-restart"), format!("http://{}", backend.address));
    for round in 0..3 {
        let started = Clock::instant();
        let front = Front::start_in(&folder, &url, "", "").await;
        let answer = front.ask("reader", get(target())).await;
        let name = if round == 0 { "a first start" } else { "a start in the folder of a gateway before" };
        forms.holds(name, started.elapsed() < PATIENCE / 4, "it is ready in time");
        if round < 2 {
            forms.saw(name, &answer.told(), "200");
        }
        front.drain().await;
    }
}

pub async fn life() -> Forms {
    let mut forms = Forms::default();
    Box::pin(reloads(&mut forms)).await;
    Box::pin(stops(&mut forms)).await;
    Box::pin(restarts(&mut forms)).await;
    forms
}
