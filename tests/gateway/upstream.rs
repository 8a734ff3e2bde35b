//! A backend that misbehaves: what the client sees of it, and how often the backend is asked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use steward::clock::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::backend::{Act, Arrived, Backend, Front, SHORT, json_answer};
use crate::common::client::{Answer, PATIENCE, call, get};
use crate::common::installation::SHARED;

const V: &str = "api-version=2024-07-01";

fn thing() -> String {
    format!("{}/resourceGroups/rg-web-prod?{V}", SHARED.subscription("alder-prod"))
}

fn list() -> String {
    format!("{}/resourceGroups?{V}", SHARED.subscription("alder-prod"))
}

fn ok(_: &Arrived, _: usize) -> Act {
    Act::Answer(json_answer("200 OK", "{}"))
}

async fn front(name: &str, backend: &Backend, more: &str) -> Front {
    Front::start(name, &format!("http://{}", backend.address), more).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_callers_token_never_reaches_the_backend() {
    let backend = Backend::start(ok).await;
    let front = front("token", &backend, "").await;
    let token = SHARED.token("reader").await;
    let spread = get(thing())
        .bearer(&token)
        .header("x-ms-authorization-auxiliary", &format!("Bearer {token}"))
        .header("proxy-authorization", &format!("Bearer {token}"))
        .header("cookie", &format!("token={token}"))
        .header("x-token", &token);
    assert_eq!(front.client.send(spread.clone()).await.status, 200);
    assert_eq!(front.client.send_h2(spread).await.status, 200);
    let arrived = backend.log().arrived;
    assert_eq!(arrived.len(), 2);
    for request in arrived {
        assert!(!request.head.contains(&token), "{}", request.head);
        assert_eq!(request.head.matches("authorization: Bearer ").count(), 1, "the gateway's own assertion: {}", request.head);
    }
    front.drain().await;
}

/// 64 MiB of bytes that are not all the same.
fn large() -> Bytes {
    (0..64_u32 * 1024 * 1024 / 4).flat_map(u32::to_le_bytes).collect::<Vec<u8>>().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_64_mebibytes_arrives_byte_for_byte() {
    let backend = Backend::start(ok).await;
    let front = front("body", &backend, "").await;
    let body = large();
    let expected: String = digest(&SHA256, &body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let length = body.len() as u64;
    let upload = call("PUT", thing()).header("content-type", "application/octet-stream");
    let mut upload = upload.bearer(&SHARED.token("operator").await);
    upload.body = body;
    assert_eq!(front.client.send(upload.clone()).await.status, 200);
    assert_eq!(front.client.send_h2(upload).await.status, 200);
    for request in backend.log().arrived {
        assert_eq!((request.length, &request.digest, request.whole), (length, &expected, true));
    }
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_large_is_refused() {
    let backend = Backend::start(ok).await;
    let front = front("too-large", &backend, "body_bytes_max = 1000\n").await;
    let body = json!({ "filler": "x".repeat(2_000) });
    let answer = front.ask("operator", call("PUT", thing()).json(&body)).await;
    assert_eq!(answer.told(), "413 RequestContentTooLarge request.too_large");
    assert_eq!(backend.log().connections, 0, "the length was told, so that nothing had to be sent");
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_backend_is_given_up_in_time() {
    let backend = Backend::start(|_, _| Act::Hang).await;
    let front = front("silent", &backend, &format!("first_byte_time_ms_max = {}\n", SHORT.as_millis())).await;
    for (method, what) in [("GET", "a read"), ("PUT", "a write")] {
        let started = Clock::instant();
        let before = backend.log().arrived.len();
        let answer = front.ask("operator", call(method, thing()).json(&json!({}))).await;
        assert_eq!(answer.told(), "504 GatewayTimeout upstream.timeout", "{what}");
        assert!((SHORT..PATIENCE / 2).contains(&started.elapsed()), "{what}: {:?}", started.elapsed());
        assert_eq!(backend.log().arrived.len(), before + 1, "{what} is not repeated");
    }
    backend.log_with(|log| log.abandoned == 2).await;
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_backend_is_a_bad_gateway() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let front = Front::start("dead", &format!("http://{closed}"), "").await;
    let answer = front.ask("reader", get(thing())).await;
    assert_eq!(answer.told(), "502 BadGateway upstream.unreachable");
    let record = front.admin(get(format!("/api/records/{}", answer.request_id()))).await.json();
    assert_eq!((&record["status"], &record["reason"]), (&json!(502), &json!("upstream.unreachable")));
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_none_is_a_bad_gateway() {
    let script = |_: &Arrived, before: usize| {
        Act::Close(match before {
            0 => b"".to_vec(),
            1 => b"\x16\x03\x01 this is not HTTP\r\n\r\n".to_vec(),
            2 => b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_vec(),
            3 => b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".to_vec(),
            4 => b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde".to_vec(),
            5 => b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n".to_vec(),
            6 => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n".to_vec(),
            _ => json_answer("200 OK", "[1, 2"),
        })
    };
    let backend = Backend::start(script).await;
    let front = front("invalid", &backend, "").await;
    let invalid = "upstream.invalid";
    for expected in ["upstream.cut", "upstream.cut", "upstream.refused", invalid, "upstream.cut", invalid, invalid, invalid] {
        let target = if backend.log().arrived.len() == 7 { list() } else { thing() };
        let answer = front.ask("operator", get(target)).await;
        assert_eq!(answer.told(), format!("502 BadGateway {expected}"));
    }
    assert_eq!(backend.log().arrived.len(), 8, "nothing is repeated on a fresh connection");
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_body_never_looks_whole() {
    let script = |_: &Arrived, before: usize| {
        Act::Close(match before % 2 {
            0 => b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this".to_vec(),
            _ => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n".to_vec(),
        })
    };
    let backend = Backend::start(script).await;
    let front = front("cut", &backend, "").await;
    let token = SHARED.token("reader").await;
    for _ in 0..2 {
        let cut = front.client.try_send("localhost", get(thing()).bearer(&token)).await;
        assert!(cut.is_err(), "{cut:?}");
    }
    // A list is read before it is passed on, so there it can still be told.
    for _ in 0..2 {
        let told = front.client.try_send("localhost", get(list()).bearer(&token)).await;
        assert!(told.as_ref().is_err() || told.as_ref().is_ok_and(|answer| answer.status == 502), "{told:?}");
    }
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_that_the_backend_closes_lose_no_read_and_repeat_no_write() {
    // Every connection serves one request and is then closed behind an answer that promises to keep it.
    let backend = Backend::start(|_, _| Act::Close(json_answer("200 OK", "{}"))).await;
    let front = front("idle", &backend, "").await;
    for number in 0..40 {
        let before = backend.log().arrived.len();
        let answer = front.ask("operator", get(thing())).await;
        assert_eq!(answer.status, 200, "read {number}: {}", answer.told());
        let write = front.ask("operator", call("PUT", thing()).json(&json!({ "n": number }))).await;
        let sent = backend.log().arrived[before..].iter().filter(|request| request.head.starts_with("PUT ")).count();
        assert!(sent <= 1, "write {number} was sent {sent} times");
        assert!(write.status == 200 && sent == 1 || write.status == 502, "write {number}: {}", write.told());
    }
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_the_backend_took_and_did_not_answer_is_sent_once() {
    // The first request of a connection is answered, so that it is kept; the second is read and cut.
    let per_connection = AtomicUsize::new(0);
    let script = move |request: &Arrived, _| {
        let is_first = per_connection.swap(request.connection, Ordering::Relaxed) != request.connection;
        if is_first { Act::Answer(json_answer("200 OK", "{}")) } else { Act::Close(Vec::new()) }
    };
    let backend = Backend::start(script).await;
    let front = front("once", &backend, "").await;
    assert_eq!(front.ask("operator", get(thing())).await.status, 200);
    let answer = front.ask("operator", call("PUT", thing()).json(&json!({}))).await;
    assert_eq!(answer.told(), "502 BadGateway upstream.cut");
    assert_eq!(backend.log().arrived.iter().filter(|request| request.head.starts_with("PUT ")).count(), 1);
    assert_eq!(front.ask("operator", get(thing())).await.status, 200);
    // A read on the same kind of connection is sent again, and the client sees none of it.
    assert_eq!(front.ask("operator", get(thing())).await.status, 200);
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_stands_still_is_given_up() {
    let backend = Backend::start(ok).await;
    let front = front("standing", &backend, "[limits]\nbody_idle_time_ms_max = 300\n").await;
    let token = SHARED.token("operator").await;
    let head = format!("PUT {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n", thing(), front.client.authority());
    let answer = front.client.raw(format!("{head}Content-Length: 100\r\n\r\n{{").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"request.too_slow\""), "{answer}");
    assert!(backend.log().arrived.iter().all(|request| !request.whole), "the backend never has all of it");
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_requests_than_connections_are_told_to_come_again() {
    let backend = Backend::start(|_, _| Act::Hang).await;
    let front = front("busy", &backend, "connections_max = 1\nfirst_byte_time_ms_max = 5000\n").await;
    let token = SHARED.token("reader").await;
    let held = tokio::spawn({
        let (client, token) = (front.client.clone(), token.clone());
        async move { client.send(get(thing()).bearer(&token)).await }
    });
    backend.log_with(|log| log.arrived.len() == 1).await;
    // Of another tenant: one tenant alone gets no more than its share.
    let answer = front.ask("alder-owner", get(thing())).await;
    assert_eq!((answer.told().as_str(), answer.header("retry-after")), ("503 ServerBusy limit.connections", "1"));
    assert_eq!(held.await.unwrap().status, 504);
    front.drain().await;
}

/// Everything the gateway has recorded with this status.
async fn recorded(front: &Front, status: u16) -> Vec<Value> {
    let records = front.admin(get("/api/records?limit=100")).await.json();
    records["value"].as_array().unwrap().iter().filter(|record| record["status"] == status).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_client_leaves_the_backend_is_left_and_the_record_says_so() {
    let backend = Backend::start(|_, _| Act::Hang).await;
    let front = front("left", &backend, "").await;
    let token = SHARED.token("reader").await;
    let mut stream = front.client.connect("localhost", b"http/1.1").await.unwrap();
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\r\n", thing(), front.client.authority());
    stream.write_all(request.as_bytes()).await.unwrap();
    backend.log_with(|log| log.arrived.len() == 1).await;
    drop(stream);
    backend.log_with(|log| log.abandoned == 1).await;
    let started = Clock::instant();
    let left = loop {
        let left = recorded(&front, 499).await;
        if !left.is_empty() || started.elapsed() > PATIENCE {
            break left;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["reason"], "request.cut");
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_holds_the_backend_back() {
    let size = 96 * 1024 * 1024;
    let backend = Backend::start(move |_, _| {
        let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").into_bytes();
        bytes.resize(bytes.len() + size, b'x');
        Act::Answer(bytes)
    })
    .await;
    let front = front("slow-reader", &backend, "").await;
    let token = SHARED.token("reader").await;
    let mut stream = front.client.connect("localhost", b"http/1.1").await.unwrap();
    let request = format!("GET {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n\r\n", thing(), front.client.authority());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = vec![0; 1024];
    stream.read_exact(&mut first).await.unwrap();
    let before = resident_bytes();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let grown = resident_bytes().saturating_sub(before);
    assert!(grown < 16 * 1024 * 1024, "{grown} bytes more while the client reads nothing");
    drop(stream);
    front.drain().await;
}

/// Memory of this process, which holds gateway and backend alike.
fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_of_the_backends_own_hop_stay_behind() {
    let backend = Backend::start(|_, _| {
        let fields = "Server: secret/1\r\nX-Powered-By: secret\r\nSet-Cookie: secret=1\r\nWWW-Authenticate: secret\r\nVia: secret\r\n\
             Alt-Svc: secret\r\nKeep-Alive: secret\r\nConnection: keep-alive, x-hop\r\nX-Hop: secret\r\n\
             Authorization: secret\r\nLink: <secret>\r\nRefresh: 0; url=secret\r\nContent-Location: secret\r\n\
             Access-Control-Allow-Origin: secret\r\nx-ms-home-tenant-id: secret\r\n\
             x-ms-client-object-id: secret\r\nx-ms-request-id: secret\r\nx-ms-version: kept\r\nETag: \"kept\"\r\n";
        Act::Answer(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\n{{}}").into_bytes())
    })
    .await;
    let front = front("hop", &backend, "").await;
    let token = SHARED.token("reader").await;
    for answer in [front.client.send(get(thing()).bearer(&token)).await, front.client.send_h2(get(thing()).bearer(&token)).await] {
        assert!(!format!("{:?}", answer.headers).contains("secret"), "{:?}", answer.headers);
        assert_eq!((answer.header("x-ms-version"), answer.header("etag")), ("kept", "\"kept\""));
    }
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_callers_on_one_connection_get_their_own_answers() {
    // Each answer repeats the caller that the request names, and one of them is followed by bytes nobody asked for.
    let backend = Backend::start(|request: &Arrived, before| {
        let caller = request.head.lines().find_map(|line| line.strip_prefix("x-ms-client-object-id: ")).unwrap();
        let mut bytes = json_answer("200 OK", &json!({ "caller": caller }).to_string());
        if before % 5 == 4 {
            bytes.extend(json_answer("200 OK", r#"{"caller":"somebody else"}"#));
        }
        Act::Answer(bytes)
    })
    .await;
    let front = front("callers", &backend, "").await;
    for number in 0..30 {
        let identity = if number % 2 == 0 { "reader" } else { "operator" };
        let answer = front.ask(identity, get(thing())).await;
        let own = SHARED.demo.world.identities[identity].object_id.to_string();
        let surplus = answer.status == 502;
        assert!(surplus || answer.json()["caller"] == own, "{number}: {:?}", answer.body);
    }
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_streamed_answer_begins_before_it_ends() {
    let backend = Backend::start(|_, _| Act::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nthe beginning".to_vec())).await;
    let front = front("streamed", &backend, "answer_idle_time_ms_max = 500\n").await;
    let token = SHARED.token("reader").await;
    let stream = front.client.connect("localhost", b"http/1.1").await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = hyper::Request::get(thing())
        .header("host", front.client.authority())
        .header("authorization", format!("Bearer {token}"))
        .body(http_body_util::Empty::<Bytes>::new())
        .unwrap();
    let mut body = sender.send_request(request).await.unwrap().into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "the beginning");
    assert!(body.frame().await.is_none_or(|next| next.is_err()), "the rest does not come, and that is no end");
    driver.abort();
    front.drain().await;
}

/// Answers every request as soon as its head is there, and reads no body.
async fn hasty_backend() -> (std::net::SocketAddr, std::sync::Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), std::sync::Arc::new(AtomicUsize::new(0)));
    let counted = std::sync::Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                stream.write_all(&json_answer("200 OK", "{}")).await?;
                // Held open: whoever is next on this connection waits.
                std::future::pending::<std::io::Result<()>>().await
            });
        }
    });
    (address, connections)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_behind_a_body_that_is_still_being_sent() {
    let (address, connections) = hasty_backend().await;
    let front = Front::start("hasty", &format!("http://{address}"), "").await;
    let token = SHARED.token("operator").await;
    let mut slow = front.client.connect("localhost", b"http/1.1").await.unwrap();
    let head = format!(
        "PUT {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/octet-stream\r\nContent-Length: 100\r\n\r\n.",
        thing(),
        front.client.authority(),
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n{}") {
        answer.push(slow.read_u8().await.unwrap());
    }
    let started = Clock::instant();
    assert_eq!(front.ask("reader", get(thing())).await.status, 200);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(connections.load(Ordering::SeqCst), 2, "the connection with half a body is nobody else's");
    drop(slow);
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_cannot_be_cut_down_is_nobodys() {
    let foreign = format!(r#"{{"value":[{{"id":"{}/resourceGroups/rg-secret"}}],"count":7}}"#, SHARED.subscription("granite-main"));
    let script = move |_: &Arrived, before: usize| {
        let (status, kind) = match before {
            0 => ("200 OK", "text/plain"),
            1 => ("200 OK", "application/xml"),
            2 => ("203 Non-Authoritative Information", "application/json"),
            3 => ("200 OK", "application/json\r\nContent-Encoding: gzip"),
            _ => ("200 OK", "application/json; charset=utf-8"),
        };
        Act::Answer(format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{foreign}", foreign.len()).into_bytes())
    };
    let backend = Backend::start(script).await;
    let front = front("cut-down", &backend, "").await;
    let list = format!("{}/resourceGroups?{V}", SHARED.subscription("granite-main"));
    for _ in 0..4 {
        let answer = front.ask("reader", get(list.as_str()).header("accept", "text/plain")).await;
        assert_eq!(answer.told(), "502 BadGateway upstream.invalid");
    }
    let answer = front.ask("reader", get(list.as_str())).await;
    assert_eq!(answer.json(), json!({ "value": [] }), "nothing beside the things tells of those that are left out");
    assert!(backend.log().arrived.iter().all(|request| request.head.contains("accept: application/json\r\n")));
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_pages_are_not_led_to_whatever_they_are_called() {
    let names = ["nextLink", "NextLink", "@odata.nextLink", "odata.nextLink", "@nextLink"];
    let script = move |_: &Arrived, before: usize| {
        let name = names[before / 2 % names.len()];
        let status = if before.is_multiple_of(2) { "200 OK" } else { "202 Accepted" };
        Act::Answer(json_answer(status, &json!({ "value": [], name: "https://evil.example/next" }).to_string()))
    };
    let backend = Backend::start(script).await;
    let front = front("pages", &backend, "").await;
    for _ in 0..names.len() * 2 {
        let answer = front.ask("reader", get(list())).await;
        assert_eq!(answer.json(), json!({ "value": [] }));
    }
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_of_any_length_come_whole_where_a_list_was_asked_for() {
    let script = |_: &Arrived, _: usize| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nETag: \"1\"\r\nContent-Length: {}\r\n\r\n",
            large().len() + 4
        );
        Act::Answer([head.as_bytes(), b"\0\0\0\x01", &large()].concat())
    };
    let backend = Backend::start(script).await;
    let front = front("bytes", &backend, "").await;
    let answer = front.ask("reader", get(list())).await;
    assert_eq!((answer.header("etag"), answer.body.len()), ("\"1\"", large().len() + 4));
    assert!(answer.body[4..] == large());
    front.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_with_all_its_connections_taken_still_stops() {
    let backend = Backend::start(ok).await;
    let url = format!("http://{}", backend.address);
    let front = Front::start_in(&crate::common::installation::empty_folder("taken"), &url, "[limits]\nconnections_max = 1\n", "").await;
    let token = SHARED.token("reader").await;
    let mut idle = front.client.connect("localhost", b"http/1.1").await.unwrap();
    let host = front.client.authority().to_owned();
    idle.write_all(format!("GET {} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n", thing()).as_bytes()).await.unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    tokio::time::timeout(PATIENCE, front.drain()).await.expect("it stops although nobody else can come in");
}

/// What the own words of an answer say about the backend: nothing but what a client can use.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_of_the_gateway_tells_where_the_backend_is() {
    let backend = Backend::start(|_, _| Act::Close(Vec::new())).await;
    let front = front("where", &backend, "").await;
    let answer: Answer = front.ask("reader", get(thing())).await;
    let told = format!("{:?} {:?}", answer.headers, answer.body);
    assert!(!told.contains(&backend.address.port().to_string()), "{told}");
    front.drain().await;
}
