//! Clients that cost more than they pay. Each has a connection of its own; another client asks all the while and is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use steward::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::line::{IDLE, Line, V, replies};
use crate::common::client::{Client, PATIENCE, get};
use crate::common::installation::SHARED;
use crate::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, PRIORITY, SETTINGS, Talk, block, frame, literal,
    number, reset, setting, settings, window_update,
};
use crate::table::Forms;

/// An innocent request takes no longer, in a build without optimisation on a busy machine.
const INNOCENT_TIME_MAX: Duration = Duration::from_secs(5);

const DISCOVERY: &str = "/metadata/endpoints?api-version=2022-09-01";

/// Asks again and again until it is told to stop; gives how often it was answered otherwise than it should, and the longest wait.
struct Innocent {
    ends: Arc<AtomicBool>,
    asking: JoinHandle<(usize, usize, Duration)>,
}

impl Innocent {
    fn start(client: Client) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let asking = tokio::spawn({
            let ends = Arc::clone(&ends);
            async move {
                let (mut asked, mut failed, mut longest) = (0, 0, Duration::ZERO);
                // Once at least, however soon the attack is over.
                while asked == 0 || !ends.load(Ordering::Relaxed) {
                    let started = Clock::instant();
                    let answered = client.try_send("localhost", get(DISCOVERY)).await;
                    longest = longest.max(started.elapsed());
                    asked += 1;
                    failed += usize::from(!answered.is_ok_and(|answer| answer.status == 200));
                }
                (asked, failed, longest)
            }
        });
        Self { ends, asking }
    }

    async fn end(self, forms: &mut Forms, form: &str) {
        self.ends.store(true, Ordering::Relaxed);
        let (asked, failed, longest) = self.asking.await.unwrap();
        forms.holds(form, asked > 0 && failed == 0, &format!("innocent requests are answered: {failed} of {asked} failed"));
        forms.holds(form, longest < INNOCENT_TIME_MAX, &format!("innocent requests are answered in time: {longest:?}"));
    }
}

/// A head that asks for the discovery document.
fn discovery(host: &str) -> Vec<u8> {
    block(&[(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", DISCOVERY)])
}

/// `count` times what `make` makes for the numbers of streams.
fn many(count: u32, make: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(|n| make(2 * n + 1)).collect()
}

/// Floods, and what becomes of the connection that brings them.
fn over_http2(host: &str) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let (head, both) = (discovery(host), END_HEADERS | END_STREAM);
    let begun = frame(HEADERS, END_STREAM, 1, &head);
    let one = frame(HEADERS, END_HEADERS, 1, &head);
    let times = |count: usize, bytes: Vec<u8>| bytes.repeat(count);
    vec![
        ("5,000 streams taken back at once", many(5_000, |stream| [frame(HEADERS, both, stream, &head), reset(stream)].concat()), "ended"),
        (
            "1,000 streams that the server has to reset for a window of nothing",
            many(1_000, |stream| [frame(HEADERS, END_HEADERS, stream, &head), window_update(stream, 0)].concat()),
            "ended",
        ),
        (
            "1,000 streams that the server has to reset for a length that lies",
            {
                let lying = [head.clone(), literal(b"content-length", b"1")].concat();
                many(1_000, |stream| frame(HEADERS, both, stream, &lying))
            },
            "ended",
        ),
        (
            "1,000 streams that the server has to reset for a field of the connection",
            {
                let odd = [head, literal(b"connection", b"close")].concat();
                many(1_000, |stream| frame(HEADERS, both, stream, &odd))
            },
            "ended",
        ),
        (
            "a head in 2,000 frames of 16 KiB",
            [begun.clone(), times(2_000, frame(CONTINUATION, 0, 1, &literal(b"x", &[b'x'; 16_000])))].concat(),
            "ended",
        ),
        ("a head in 20,000 empty frames", [begun, times(20_000, frame(CONTINUATION, 0, 1, &[]))].concat(), "ended"),
        ("20,000 empty pieces of a body", [one.clone(), times(20_000, frame(DATA, 0, 1, &[]))].concat(), "ended"),
        ("20,000 pings", times(20_000, frame(PING, 0, 0, &[0; 8])), "served on"),
        ("20,000 settings", times(20_000, frame(SETTINGS, 0, 0, &setting(3, 100))), "served on"),
        (
            "5,000 changes of the table's size",
            times(5_000, frame(SETTINGS, 0, 0, &[setting(1, 0), setting(1, 4096)].concat())),
            "served on",
        ),
        ("20,000 priorities", many(20_000, |stream| frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 16])), "served on"),
        ("20,000 frames of an unknown kind", times(20_000, frame(0xfa, 0, 0, &[0; 32])), "served on"),
        ("20,000 updates of the window by one byte", times(20_000, window_update(0, 1)), "served on"),
        ("20,000 resets of one stream", [one, times(20_000, reset(1))].concat(), "served on"),
        ("20,000 settings that nobody asked for acknowledged", times(20_000, frame(SETTINGS, ACK, 0, &[])), "ended"),
    ]
}

/// Sends a flood while it reads what comes back. A ping behind it tells whether the connection is served on.
async fn flooded(client: &Client, flood: &[u8]) -> &'static str {
    const LAST: &[u8] = b"the last";
    let talk = Talk::connect(client).await;
    let (mut reader, mut writer) = tokio::io::split(talk.stream);
    let bytes = [PREFACE, &settings(&[(1, 0)]), flood, &frame(PING, 0, 0, LAST)].concat();
    let writing = tokio::spawn(async move {
        // A peer that has ended the connection takes no more.
        let _sent = writer.write_all(&bytes).await.is_ok() && writer.flush().await.is_ok();
        writer
    });
    let reading = async {
        loop {
            let mut head = [0; 9];
            if reader.read_exact(&mut head).await.is_err() {
                return "ended";
            }
            let [a, b, c, kind, flags, ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            if reader.read_exact(&mut payload).await.is_err() || kind == GOAWAY {
                return "ended";
            }
            if kind == PING && flags & ACK != 0 && payload == LAST {
                return "served on";
            }
        }
    };
    let seen = timeout(PATIENCE, reading).await.unwrap_or("nothing");
    writing.abort();
    seen
}

async fn floods_over_http2(line: &Line, forms: &mut Forms) {
    for (name, flood, expected) in over_http2(line.host()) {
        let innocent = Innocent::start(line.front.client.clone());
        let seen = flooded(&line.front.client, &flood).await;
        innocent.end(forms, name).await;
        forms.saw(name, seen, expected);
    }
}

/// Single messages that grow while they are read.
async fn bombs(line: &Line, forms: &mut Forms) {
    // A field of 4,000 bytes, and a byte for each time that it is said again.
    let bomb =
        [discovery(line.host()), [&[0x40], number(0, 7, 1).as_slice(), b"x", &number(0, 7, 4_000), &[b'x'; 4_000]].concat()].concat();
    let bomb = [bomb, vec![0xbe; 10_000]].concat();
    let wide = [discovery(line.host()), literal(b"x", &[b'x'; 10_000])].concat();
    let wide = [wide, literal(b"y", &vec![b'y'; 60_000])].concat();
    let fields: Vec<u8> = [discovery(line.host()), literal(b"x", b"y").repeat(101)].concat();
    let long =
        block(&[(":method", "GET"), (":scheme", "https"), (":authority", line.host()), (":path", &format!("/{}", "x".repeat(9_000)))]);
    for (name, block, expected) in [
        ("a table of one field said 10,000 times", bomb, "GOAWAY(ENHANCE_YOUR_CALM)"),
        ("fields of 70,000 bytes", wide, "431"),
        ("101 fields", fields, "431 RequestHeaderFieldsTooLarge"),
        ("a target of 9,000 bytes", long, "414 RequestUriTooLong"),
    ] {
        let innocent = Innocent::start(line.front.client.clone());
        let mut talk = Talk::open(&line.front.client).await;
        let mut pieces = block.chunks(16_000).peekable();
        let mut bytes = Vec::new();
        let mut kind = HEADERS;
        while let Some(piece) = pieces.next() {
            let last = if pieces.peek().is_none() { END_HEADERS } else { 0 };
            let ends = if kind == HEADERS { END_STREAM } else { 0 };
            bytes.extend(frame(kind, last | ends, 1, piece));
            kind = CONTINUATION;
        }
        let _sent = talk.send(&bytes).await;
        let seen = talk.outcome(1, PATIENCE).await.to_string();
        innocent.end(forms, name).await;
        forms.saw(&format!("{name}, over HTTP/2"), &seen, expected);
    }
}

/// Streams whose answers the peer does not take, and more streams than it may open.
async fn held_streams(line: &Line, forms: &mut Forms) {
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let head = discovery(line.host());
    let name = "100 answers for which there is no room";
    let innocent = Innocent::start(line.front.client.clone());
    let mut talk = Talk::open_with(&line.front.client, &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let asked = many(100, |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &head));
    assert!(talk.send(&asked).await);
    let seen = talk.next_of(HEADERS, 0, PATIENCE).await;
    innocent.end(forms, name).await;
    forms.saw(name, if seen.is_some() { "heads of answers, and others are served" } else { "nothing" }, "heads of answers");
    let name = "a stream beyond the hundred that may be open";
    let mut talk = Talk::open(&line.front.client).await;
    let put = |stream: u32| {
        let (path, authorization) = (put_target(), format!("Bearer {}", line.operator));
        let fields = [
            (":method", "PUT"),
            (":scheme", "https"),
            (":authority", line.host()),
            (":path", &path),
            ("authorization", &authorization),
            ("content-type", "application/octet-stream"),
        ];
        frame(HEADERS, END_HEADERS, stream, &block(&fields))
    };
    assert!(talk.send(&many(101, put)).await);
    let seen = talk.outcome(201, PATIENCE).await.to_string();
    forms.saw(name, &seen, "RST_STREAM(REFUSED_STREAM)");
}

fn put_target() -> String {
    format!("{}/resourceGroups/rg-flood?{V}", SHARED.subscription("alder-prod"))
}

/// What one peer sends, a piece at a time, and when the gateway ends the connection.
struct Slow {
    name: &'static str,
    /// Whether it speaks TLS at all.
    over_tls: bool,
    begin: Vec<u8>,
    /// Sent again and again.
    piece: Vec<u8>,
    pause: Duration,
    /// The connection ends between half of this time and one and a half of it.
    ends_after: Duration,
}

fn slow(line: &Line) -> Vec<Slow> {
    let head = format!("GET {DISCOVERY} HTTP/1.1\r\nHost: {}\r\n", line.host()).into_bytes();
    let put = |kind: &str| {
        let lines =
            format!("Host: {}\r\nAuthorization: Bearer {}\r\nContent-Type: {kind}\r\nContent-Length: 1000\r\n", line.host(), line.operator);
        format!("PUT {} HTTP/1.1\r\n{lines}\r\nx", put_target()).into_bytes()
    };
    let handshake = Duration::from_secs(5);
    let first = Duration::from_secs(10);
    let often = Duration::from_millis(200);
    let never = PATIENCE;
    let form = |name, over_tls, begin: Vec<u8>, piece: &[u8], pause, ends_after| Slow {
        name,
        over_tls,
        begin,
        piece: piece.to_vec(),
        pause,
        ends_after,
    };
    vec![
        form("a connection that says nothing", false, Vec::new(), b"", never, handshake),
        form("a beginning of a TLS hello", false, vec![22, 3, 1, 2, 0, 1], b"", never, handshake),
        form("a TLS hello a byte at a time", false, vec![22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], b"\0", often, handshake),
        form("no request after the TLS handshake", true, Vec::new(), b"", never, first),
        form("a head that stops", true, head.clone(), b"", never, first),
        form("a head a byte at a time", true, head.clone(), b"x", often, first),
        form("a head a field at a time", true, head, b"X: 1\r\n", often, first),
        form("a body that stops", true, put("application/octet-stream"), b"", never, IDLE),
        form("a document that stops", true, put("application/json"), b"", never, IDLE),
    ]
}

/// When the peer ended the connection, and what it said before.
async fn drips(client: Client, slow: &Slow) -> (Duration, Vec<u8>) {
    let started = Clock::instant();
    if slow.over_tls {
        let stream = client.connect("localhost", b"http/1.1").await.unwrap();
        drip(stream, slow).await.map_or_else(|| (started.elapsed(), Vec::new()), |said| (started.elapsed(), said))
    } else {
        let port: u16 = client.authority().rsplit(':').next().unwrap().parse().unwrap();
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        drip(stream, slow).await.map_or_else(|| (started.elapsed(), Vec::new()), |said| (started.elapsed(), said))
    }
}

async fn drip(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, slow: &Slow) -> Option<Vec<u8>> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    writer.write_all(&slow.begin).await.ok()?;
    writer.flush().await.ok()?;
    let mut said = Vec::new();
    let reading = async {
        let _ended = reader.read_to_end(&mut said).await.is_ok();
    };
    let writing = async {
        loop {
            tokio::time::sleep(slow.pause).await;
            if writer.write_all(&slow.piece).await.is_err() || writer.flush().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = reading => {}
        () = writing => {}
    }
    Some(said)
}

async fn slow_peers(line: &Line, forms: &mut Forms) {
    /// Of each kind, at once.
    const EACH: usize = 10;
    let innocent = Innocent::start(line.front.client.clone());
    let mut peers = JoinSet::new();
    for kind in 0..slow(line).len() {
        for _ in 0..EACH {
            let (client, slow) = (line.front.client.clone(), slow(line).swap_remove(kind));
            peers.spawn(async move {
                let (took, said) = timeout(PATIENCE, drips(client, &slow)).await.expect("the connection ends in time");
                (kind, took, said)
            });
        }
    }
    let seen = peers.join_all().await;
    innocent.end(forms, "slow peers").await;
    for (kind, slow) in slow(line).iter().enumerate() {
        let own: Vec<_> = seen.iter().filter(|(other, ..)| *other == kind).collect();
        // Answers to broken handshakes are alerts of TLS.
        let answer = own.first().map_or_else(Vec::new, |(.., said)| if slow.over_tls { replies(said) } else { Vec::new() });
        let observed = answer.first().map_or_else(|| "closed".to_owned(), |answer| format!("{}; closed", answer.told));
        let expected = if slow.ends_after == IDLE { "408 RequestTimeout request.too_slow" } else { "closed" };
        forms.saw(slow.name, &observed, expected);
        for (_, took, _) in own {
            let in_time = (slow.ends_after / 2..slow.ends_after * 3 / 2 + Duration::from_secs(3)).contains(took);
            forms.holds(slow.name, in_time, &format!("the connection ends after about {:?}, and not {took:?}", slow.ends_after));
        }
    }
}

/// Requests that are too large, each by one measure.
async fn giants(line: &Line, forms: &mut Forms) {
    let sound = format!("Host: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n", line.host(), line.operator);
    let put = |kind: &str, body: &str| {
        format!("PUT {} HTTP/1.1\r\n{sound}Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", put_target(), body.len())
    };
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for (name, request, expected) in [
        ("a target of 9,000 bytes", format!("GET /{} HTTP/1.1\r\n{sound}\r\n", "x".repeat(9_000)), "414 RequestUriTooLong"),
        ("a field of 70,000 bytes", format!("GET {DISCOVERY} HTTP/1.1\r\n{sound}X: {}\r\n\r\n", "x".repeat(70_000)), "431"),
        ("200 fields", format!("GET {DISCOVERY} HTTP/1.1\r\n{sound}{}\r\n", "X: 1\r\n".repeat(200)), "431"),
        (
            "a token of 17 KiB",
            format!(
                "GET {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
                put_target(),
                line.host(),
                "a".repeat(17 << 10)
            ),
            "401",
        ),
        (
            "a length of 200 MiB",
            format!("PUT {} HTTP/1.1\r\n{sound}Content-Type: application/octet-stream\r\nContent-Length: 209715200\r\n\r\n", put_target()),
            "413",
        ),
        ("a document of 5 MiB", put("application/json", &format!("\"{}\"", "x".repeat(5 << 20))), "413"),
        ("a document 10,000 deep", put("application/json", &deep), "400"),
    ] {
        let innocent = Innocent::start(line.front.client.clone());
        let answers = line.say(request.as_bytes(), false).await;
        innocent.end(forms, name).await;
        forms.saw(name, &answers.first().map_or_else(|| "closed".to_owned(), |answer| answer.told.clone()), expected);
        forms.holds(name, line.arrived("rg-flood").iter().all(|request| !request.whole), "the backend receives nothing whole of it");
    }
    let name = "500 tokens whose signature is wrong";
    let innocent = Innocent::start(line.front.client.clone());
    let (head, signature) = line.operator.rsplit_once('.').unwrap();
    // The last letter stays where it is: some of its bits mean nothing, and others could not stand there.
    let (letters, last) = signature.split_at(signature.len() - 1);
    let turned = letters.chars().rev().chain(last.chars()).collect::<String>();
    let one = format!("GET {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {head}.{turned}\r\n", put_target(), line.host());
    let answers = line.say(format!("{}{one}Connection: close\r\n\r\n", format!("{one}\r\n").repeat(499)).as_bytes(), false).await;
    innocent.end(forms, name).await;
    forms.holds(name, answers.len() == 500 && answers.iter().all(|answer| answer.status == 401), "each is refused");
    forms.saw(name, &answers.first().map_or_else(|| "closed".to_owned(), |answer| answer.told.clone()), "401 InvalidAuthenticationToken");
}

pub async fn floods() -> Forms {
    let (line, mut forms) = (Line::start("t20").await, Forms::default());
    floods_over_http2(&line, &mut forms).await;
    bombs(&line, &mut forms).await;
    held_streams(&line, &mut forms).await;
    giants(&line, &mut forms).await;
    slow_peers(&line, &mut forms).await;

    line.front.drain().await;
    forms
}
