//! Limits that somebody set lower than they are: each is what the listener does then, and long before its default.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use steward::clock::{Clock, SignedDuration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::common::backend::{Act, Arrived, Backend, Front, json_answer};
use crate::common::client::{Call, PATIENCE, call, get};
use crate::common::installation::{SHARED, empty_folder};
use crate::frames::{END_HEADERS, END_STREAM, GOAWAY, HEADERS, Talk, block, frame, literal, reset};

const DISCOVERY: &str = "/metadata/endpoints?api-version=2022-09-01";
/// Shorter than every default, and longer than a busy machine takes for a few steps.
const SHORT: Duration = Duration::from_millis(400);
/// The shortest default of a time that is tested here.
const DEFAULT_MIN: Duration = Duration::from_secs(5);

fn ok(_: &Arrived, _: usize) -> Act {
    Act::Answer(json_answer("200 OK", "{}"))
}

async fn front(name: &str, backend: &Backend, limits: &str) -> Front {
    Front::start(name, &format!("http://{}", backend.address), &format!("[limits]\n{limits}\n")).await
}

/// A gateway that is asked for nothing that it would have to ask a backend for.
async fn alone(name: &str, limits: &str) -> Front {
    front(name, &Backend::start(ok).await, limits).await
}

fn thing() -> String {
    format!("{}/resourceGroups/rg-web-prod?api-version=2024-07-01", SHARED.subscription("alder-prod"))
}

async fn request(front: &Front, target: &str) -> String {
    let (host, token) = (front.client.authority(), SHARED.token("reader").await);
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n")
}

/// A connection on which one request was answered.
async fn answered_once(front: &Front) -> TlsStream<TcpStream> {
    let mut stream = front.client.connect("localhost", b"http/1.1").await.unwrap();
    stream.write_all(request(front, DISCOVERY).await.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        let read = timeout(PATIENCE, stream.read_buf(&mut answer)).await.expect("an answer in time").unwrap();
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&answer));
    }
    stream
}

/// The peer closes, after this time and long before it would by default.
async fn closes_after(time: Duration, stream: &mut (impl AsyncReadExt + Unpin)) {
    let started = Clock::instant();
    let mut rest = Vec::new();
    // A connection may end without a farewell.
    let _ended = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it is closed").is_ok();
    let took = started.elapsed();
    assert!(took < DEFAULT_MIN, "{took:?}");
    // What was begun before this was asked took some of the time.
    assert!(took > time / 2, "{took:?}");
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
}

#[tokio::test]
async fn fields_and_targets_are_as_large_as_allowed() {
    let front = alone("limits-head", "header_bytes_max = 2000\nheaders_max = 8\ntarget_bytes_max = 100").await;
    let large = get(DISCOVERY).header("x-large", &"x".repeat(1_990));
    let many = || (0..9).fold(get(DISCOVERY), |call, number| call.header(&format!("x-{number}"), "x"));
    let long = || get(format!("{DISCOVERY}&x={}", "x".repeat(60)));
    assert_eq!(front.client.send(large.clone()).await.told(), "431 RequestHeaderFieldsTooLarge request.too_large");
    assert_eq!(front.client.send_h2(large).await.status, 431, "by the library");
    for (call, told) in [(many(), "431 RequestHeaderFieldsTooLarge request.too_large"), (long(), "414 RequestUriTooLong request.too_large")]
    {
        assert_eq!(front.client.send(call.clone()).await.told(), told);
        assert_eq!(front.client.send_h2(call).await.told(), told);
    }
    let within = (0..7).fold(get(DISCOVERY), |call, number| call.header(&format!("x-{number}"), &"x".repeat(200)));
    assert_eq!(front.client.send(within).await.status, 200);
    front.drain().await;
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_given_up() {
    let front = alone("limits-handshake", "handshake_time_ms_max = 400").await;
    let mut silent = TcpStream::connect(front.client.authority()).await.unwrap();
    closes_after(SHORT, &mut silent).await;
    front.drain().await;
}

#[tokio::test]
async fn a_head_that_takes_too_long_is_given_up() {
    let front = alone("limits-head-time", "head_time_ms_max = 400").await;
    for begun in ["", "GET / HTTP/1.1\r\nHo"] {
        let mut slow = front.client.connect("localhost", b"http/1.1").await.unwrap();
        slow.write_all(begun.as_bytes()).await.unwrap();
        closes_after(SHORT, &mut slow).await;
    }
    let mut kept = answered_once(&front).await;
    kept.write_all(b"G").await.unwrap();
    closes_after(SHORT, &mut kept).await;
    front.drain().await;
}

#[tokio::test]
async fn a_kept_connection_without_a_request_is_closed() {
    let front = alone("limits-keep-alive", "keep_alive_time_ms_max = 400").await;
    closes_after(SHORT, &mut answered_once(&front).await).await;
    front.drain().await;
}

/// A backend with more to say than all buffers on the way hold.
async fn talkative() -> Backend {
    let size = 64 << 20;
    Backend::start(move |_, _| {
        let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").into_bytes();
        bytes.resize(bytes.len() + size, b'x');
        Act::Answer(bytes)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_is_left() {
    let backend = talkative().await;
    let front = front("limits-write", &backend, "write_time_ms_max = 400").await;
    let started = Clock::instant();
    let mut stream = front.client.connect("localhost", b"http/1.1").await.unwrap();
    stream.write_all(request(&front, &thing()).await.as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 12]).await.unwrap();
    backend.log_with(|log| log.abandoned == 1).await;
    let took = started.elapsed();
    assert!((SHORT..DEFAULT_MIN * 4).contains(&took), "{took:?}");
    drop(stream);
    front.drain().await;
}

/// The value of a setting that the server begins with. Source: RFC 9113 §6.5.
async fn setting(front: &Front, wanted: u16) -> Option<u32> {
    let mut stream = front.client.connect("localhost", b"h2").await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!((head[0], head[1], head[3]), (0, 0, 4), "settings come first: {head:?}");
    let mut settings = vec![0; usize::from(head[2])];
    stream.read_exact(&mut settings).await.unwrap();
    let value_of = |one: &[u8]| {
        let value = u32::from_be_bytes([one[2], one[3], one[4], one[5]]);
        (u16::from_be_bytes([one[0], one[1]]) == wanted).then_some(value)
    };
    settings.chunks_exact(6).find_map(value_of)
}

#[tokio::test]
async fn streams_are_as_many_as_allowed() {
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    const MAX_HEADER_LIST_SIZE: u16 = 6;
    let front = alone("limits-streams", "streams_max = 7\nheader_bytes_max = 5000").await;
    assert_eq!(setting(&front, MAX_CONCURRENT_STREAMS).await, Some(7));
    assert_eq!(setting(&front, MAX_HEADER_LIST_SIZE).await, Some(5000));
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_taken_back_end_the_connection() {
    let backend = Backend::start(|_, _| Act::Hang).await;
    let front = front("limits-taken-back", &backend, "resets_per_s_max = 1").await;
    let token = SHARED.token("reader").await;
    let stream = front.client.connect("localhost", b"h2").await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    // One a second, over ten seconds.
    for number in 1..=11 {
        let request = hyper::Request::get(format!("https://{}{}", front.client.authority(), thing()))
            .header("authorization", format!("Bearer {token}"))
            .body(Empty::<Bytes>::new())
            .unwrap();
        sender.ready().await.unwrap();
        let asked = tokio::spawn(sender.send_request(request));
        backend.log_with(|log| log.arrived.len() == number).await;
        asked.abort();
        backend.log_with(|log| log.abandoned == number).await;
    }
    let ended = timeout(PATIENCE, driver).await.expect("the connection ends").unwrap();
    assert!(ended.is_ok(), "no more streams, and none is cut: {ended:?}");
    front.drain().await;
}

/// What a flood ends with. Source: RFC 9113 §7.
const ENHANCE_YOUR_CALM: [u8; 4] = [0, 0, 0, 11];

/// Sends these heads of the discovery document, each with what stands behind it, at once; whether the connection is ended for it.
async fn is_ended_by(front: &Front, streams: u32, odd_field: bool, behind: impl Fn(u32) -> Vec<u8>) -> bool {
    let fields = [(":method", "GET"), (":scheme", "https"), (":authority", front.client.authority()), (":path", DISCOVERY)];
    let sound = block(&fields);
    let odd = [sound.clone(), literal(b"connection", b"close")].concat();
    let head = |stream: u32, fields: &[u8]| frame(HEADERS, END_HEADERS | END_STREAM, stream, fields);
    let numbers = (0..streams).map(|number| 2 * number + 1);
    let flood: Vec<u8> =
        numbers.flat_map(|stream| [head(stream, if odd_field { &odd } else { &sound }), behind(stream)].concat()).collect();
    let mut talk = Talk::open(&front.client).await;
    // The last one is a request like any other.
    let last = 2 * streams + 1;
    assert!(talk.send(&[flood, head(last, &sound)].concat()).await);
    loop {
        let frame = timeout(PATIENCE, talk.next()).await.expect("an end in time");
        match frame {
            None => return true,
            Some(frame) if frame.kind == GOAWAY => {
                assert_eq!(frame.payload.get(4..8), Some(ENHANCE_YOUR_CALM.as_slice()));
                return true;
            }
            Some(frame) if frame.kind == HEADERS && frame.stream == last => return false,
            Some(_) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_reset_are_as_many_as_allowed() {
    let usual = alone("limits-resets", "").await;
    let strict = alone("limits-resets-strict", "pending_resets_max = 2\nerror_resets_max = 2").await;
    for (front, few, many) in [(&usual, 10, 200), (&strict, 1, 10)] {
        for odd_field in [false, true] {
            let behind = |stream| if odd_field { Vec::new() } else { reset(stream) };
            assert!(!is_ended_by(front, few, odd_field, behind).await, "{few} {odd_field}");
            assert!(is_ended_by(front, many, odd_field, behind).await, "{many} {odd_field}");
        }
    }
    usual.drain().await;
    strict.drain().await;
}

#[tokio::test]
async fn a_body_that_is_judged_is_as_large_as_allowed() {
    let front = alone("limits-judged", "judged_body_bytes_max = 1000").await;
    let put = |kind: &str, body: String| Call { body: body.into(), ..call("PUT", thing()).header("content-type", kind) };
    let document = |bytes: usize| put("application/json", format!("{{}}{}", " ".repeat(bytes - 2)));
    assert_eq!(front.ask("operator", document(1_000)).await.status, 200);
    let answer = front.ask("operator", document(1_001)).await;
    assert_eq!(answer.told(), "413 RequestContentTooLarge request.too_large");
    assert!(answer.json()["error"]["message"].as_str().is_some_and(|message| message.contains("1000 bytes")), "{:?}", answer.body);
    let streamed = put("application/octet-stream", "x".repeat(2_000));
    assert_eq!(front.ask("operator", streamed).await.status, 200, "it is not judged");
    front.drain().await;
}

#[tokio::test]
async fn a_body_that_is_judged_has_to_be_there_in_time() {
    let front = alone("limits-judged-time", "judged_body_time_ms_max = 400").await;
    let (host, token) = (front.client.authority(), SHARED.token("operator").await);
    let head = format!("PUT {} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n", thing());
    let started = Clock::instant();
    let answer = front.client.raw(format!("{head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{{").as_bytes()).await;
    let took = started.elapsed();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"request.too_slow\""), "{answer}");
    assert!((SHORT..DEFAULT_MIN).contains(&took), "{took:?}");
    front.drain().await;
}

/// A head that does not end.
async fn begun(front: &Front) -> TcpStream {
    let mut stream = TcpStream::connect(front.admin_authority()).await.unwrap();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHo").await.unwrap();
    stream
}

#[tokio::test]
async fn a_head_to_the_admin_listener_has_two_seconds() {
    let front = alone("limits-admin-head", "").await;
    closes_after(Duration::from_secs(2), &mut begun(&front).await).await;
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_listener_answers_however_many_connections_wait_on_it() {
    /// More than it has room for.
    const MANY: usize = 300;
    let front = alone("limits-admin-full", "").await;
    let asked = async || {
        let started = Clock::instant();
        let answer = front.admin(get("/readyz")).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    };
    // Such as have answered a request and are kept open.
    let mut kept = Vec::new();
    for _ in 0..MANY {
        let mut stream = TcpStream::connect(front.admin_authority()).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        timeout(PATIENCE, stream.read_exact(&mut [0; 12])).await.expect("an answer in time").unwrap();
        kept.push(stream);
    }
    asked().await;
    let mut heads = Vec::new();
    for _ in 0..MANY {
        heads.push(begun(&front).await);
    }
    asked().await;
    // The first went for the last.
    let mut first = kept.swap_remove(0);
    let mut rest = Vec::new();
    let _ended = timeout(PATIENCE, first.read_to_end(&mut rest)).await.expect("it is closed").is_ok();
    front.drain().await;
}

/// Slower than every rate that is asked for here: at most 50 bytes a second.
const DRIP: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_comes_a_byte_at_a_time_is_given_up() {
    let backend = Backend::start(ok).await;
    let front = front("limits-drip", &backend, "body_idle_time_ms_max = 1000\nbody_bytes_per_s_min = 1000").await;
    let (host, token) = (front.client.authority(), SHARED.token("operator").await);
    for (kind, is_streamed) in [("application/octet-stream", true), ("application/json", false)] {
        let (mut reading, mut writing) = tokio::io::split(front.client.connect("localhost", b"http/1.1").await.unwrap());
        let head = format!(
            "PUT {} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\nContent-Length: 100000\r\n\r\n",
            thing()
        );
        writing.write_all(head.as_bytes()).await.unwrap();
        let dripping = async {
            let mut drip = tokio::time::interval(DRIP);
            while writing.write_all(b" ").await.is_ok() {
                drip.tick().await;
            }
            std::future::pending().await
        };
        let mut answer = [0; 12];
        let started = Clock::instant();
        let answered = timeout(PATIENCE, async {
            tokio::select! {
                read = reading.read_exact(&mut answer) => read,
                never = dripping => never,
            }
        });
        answered.await.expect("an answer in time").unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408", "{kind}");
        assert!(started.elapsed() < DEFAULT_MIN * 4, "{kind}: {:?}", started.elapsed());
        assert_eq!(backend.log().connections, 1, "what is judged goes nowhere before it is whole");
        backend.log_with(|log| log.arrived.iter().all(|request| !request.whole)).await;
        if is_streamed {
            backend.log_with(|log| log.arrived.len() == 1).await;
        }
    }
    front.drain().await;
}

/// A backend whose answer comes a byte at a time.
async fn dripping_backend() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").await?;
        let mut drip = tokio::time::interval(DRIP);
        while stream.write_all(b"x").await.is_ok() {
            drip.tick().await;
        }
        std::io::Result::Ok(())
    });
    address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_a_byte_at_a_time_is_cut() {
    let more = "answer_idle_time_ms_max = 1000\n[limits]\nbody_bytes_per_s_min = 1000\n";
    let front = Front::start("limits-drip-back", &format!("http://{}", dripping_backend().await), more).await;
    let call = get(thing()).bearer(&SHARED.token("reader").await);
    let started = Clock::instant();
    let cut = timeout(PATIENCE, front.client.try_send("localhost", call)).await.expect("an end in time");
    assert!(cut.is_err(), "half an answer does not look whole: {cut:?}");
    assert!(started.elapsed() < DEFAULT_MIN * 4, "{:?}", started.elapsed());
    front.drain().await;
}

/// What the HTTP library has refused, by the metrics of the gateway.
async fn refused_by_http(front: &Front) -> [String; 2] {
    let metrics = String::from_utf8(front.admin(get("/metrics")).await.body.to_vec()).unwrap();
    ["malformed", "too_large"].map(|reason| {
        let name = format!("steward_refused_by_http_total{{reason=\"{reason}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_default().to_owned()
    })
}

#[tokio::test]
async fn what_the_http_library_refuses_is_counted() {
    let front = alone("limits-counted", "").await;
    assert_eq!(refused_by_http(&front).await, ["0", "0"]);
    let host = front.client.authority().to_owned();
    for (request, status) in [
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), "400"),
        ("No head\r\n\r\n".to_owned(), "400"),
        (format!("GET / HTTP/1.1\r\nHost: {host}\r\n{}\r\n", "X: y\r\n".repeat(200)), "431"),
        // What our own code refuses has its record.
        (format!("GET /a/../b HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"), "400"),
    ] {
        let answer = front.client.raw(request.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?} → {answer}");
    }
    assert_eq!(refused_by_http(&front).await, ["2", "1"]);
    front.drain().await;
}

/// Seconds since 1970 at which the assertion of a request was signed.
fn signed_at(request: &Arrived) -> i64 {
    let assertion = request.head.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap();
    let claims = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice::<Value>(&claims).unwrap()["iat"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_leaves_no_assertion_from_a_time_to_come() {
    let (backend, clock, folder) = (Backend::start(ok).await, Clock::system(), empty_folder("limits-clock"));
    let policies = SHARED.folder.join("policies");
    let front = Front::start_with(&folder, &format!("http://{}", backend.address), "", "", clock.clone(), &policies).await;
    clock.advance(Duration::from_secs(20));
    for _ in 0..3 {
        assert_eq!(front.ask("reader", get(thing())).await.status, 200);
    }
    // To when the callers' tokens were issued, and not before.
    clock.step(SignedDuration::from_secs(-20));
    assert_eq!(front.ask("reader", get(thing())).await.status, 200);
    let signed = backend.log().arrived.iter().map(signed_at).collect::<Vec<_>>();
    assert_eq!(signed[0], signed[2], "it is kept");
    assert!(signed[3] < signed[2] && signed[3] <= clock.now().as_second(), "{signed:?}");
    front.drain().await;
}
