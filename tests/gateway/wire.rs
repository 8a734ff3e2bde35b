//! Bytes that no well-behaved client sends. Each gets one answer or an end of the connection, and none reaches the backend.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::common::client::PATIENCE;
use crate::common::installation::SHARED;

async fn exchange(bytes: &[u8]) -> String {
    SHARED.client.raw(bytes).await
}

/// The status of each answer in a stream of them.
fn statuses(answers: &str) -> Vec<&str> {
    answers.split("HTTP/1.1 ").skip(1).map(|answer| answer.get(..3).unwrap_or(answer)).collect()
}

/// A head with `Host`, these lines and nothing else.
fn head(request_line: &str, lines: &str) -> String {
    format!("{request_line}\r\nHost: {}\r\n{lines}\r\n", SHARED.client.authority())
}

const GET: &str = "GET /metadata/endpoints?api-version=2022-09-01 HTTP/1.1";
const PUT: &str = "PUT /subscriptions/x/resourceGroups/y?api-version=2024-07-01 HTTP/1.1";
const CLOSE: &str = "Connection: close\r\n";

/// One request, whose refusal has this status and, where our own code saw it, this error code.
async fn check(request: &str, status: &str, code: Option<&str>) {
    let answer = exchange(request.as_bytes()).await;
    assert_eq!(statuses(&answer), [status], "{request:?} → {answer:?}");
    match code {
        Some(code) => assert!(answer.contains(&format!(r#""code":"{code}""#)), "{request:?} → {answer}"),
        // hyper's own answer: bare, but an answer.
        None => assert!(answer.to_ascii_lowercase().contains("content-length: 0"), "{request:?} → {answer}"),
    }
}

/// A request that is refused before its body is looked at.
fn refused_put(lines: &str, bytes: usize) -> String {
    head(PUT, &format!("Authorization: Bearer x\r\n{lines}Content-Type: application/octet-stream\r\nContent-Length: {bytes}\r\n"))
}

#[tokio::test]
async fn a_refusal_of_a_large_body_arrives_although_nobody_wants_the_body() {
    const BYTES: usize = 8 << 20;
    let mut stream = SHARED.client.connect("localhost", b"http/1.1").await.unwrap();
    stream.write_all(refused_put("", BYTES).as_bytes()).await.unwrap();
    timeout(PATIENCE, stream.write_all(&vec![b'x'; BYTES])).await.expect("it is taken in").expect("nothing cuts it");
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("it is closed").expect("and not reset");
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn an_answer_says_whether_the_connection_ends_because_of_a_body_that_nobody_read() {
    for there in ["", "x"] {
        let answer = exchange(format!("{}{there}", refused_put("", 100)).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("connection: close\r\n"), "{answer}");
    }
    // One that is there is passed over, and the next request is answered.
    let answers = exchange(format!("{}x{}", refused_put("", 1), refused_put(CLOSE, 0)).as_bytes()).await;
    assert_eq!(statuses(&answers), ["401", "401"], "{answers}");
    assert_eq!(answers.matches("connection: close\r\n").count(), 1, "{answers}");
}

#[tokio::test]
async fn a_message_with_two_readings_is_refused() {
    for lines in [
        "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
        "Content-Length: 4, 5\r\n\r\nabcde",
        "Content-Length: +4\r\n\r\nabcd",
        "Content-Length: 0x4\r\n\r\nabcd",
        "Content-Length: -1\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: identity\r\n\r\n",
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "X-Folded: one\r\n two\r\n",
        " X-Leading: blank\r\n",
        "X-Bare: a\rb\r\n",
        "X-Nul: a\0b\r\n",
        "No colon\r\n",
    ] {
        check(&head(PUT, lines), "400", None).await;
    }
    // Where the library sees one reading only, ours is the answer, and the connection ends behind it.
    for lines in [
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd",
        "content-length: 0\r\nX-Between: 1\r\nCONTENT-LENGTH:0\r\n",
        "Trailer: X-After\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-After: 1\r\n\r\n",
        "X-Bare: line feed\n",
    ] {
        let behind = head(GET, "");
        check(&format!("{}{behind}", head(PUT, lines)), "400", Some("BadRequest")).await;
    }
    check(&head(&PUT.replace(" HTTP", "&x HTTP"), "X: 1\r\n").replacen("\r\n", "\n", 1), "400", Some("BadRequest")).await;
    check(&head("PUT / HTTP/1.0", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400", None).await;
}

#[tokio::test]
async fn a_request_line_with_two_readings_is_refused() {
    for line in
        ["GET /a b HTTP/1.1", "GET / HTTP/2.0", "GET / HTTP/9.9", "GET /", "GET\t/ HTTP/1.1", "GET /\r/ HTTP/1.1", "GET /\x7f HTTP/1.1"]
    {
        check(&head(line, ""), "400", None).await;
    }
}

#[tokio::test]
async fn exactly_one_host_is_needed() {
    check(&format!("{GET}\r\n{CLOSE}\r\n"), "400", Some("BadRequest")).await;
    check(&head(GET, &format!("{CLOSE}Host: {}\r\n", SHARED.client.authority())), "400", Some("BadRequest")).await;
    check(&format!("{GET}\r\nHost:\r\n{CLOSE}\r\n"), "400", Some("BadRequest")).await;
    check(&format!("{GET}\r\nHost: a, b\r\n{CLOSE}\r\n"), "400", Some("BadRequest")).await;
}

#[tokio::test]
async fn heads_and_targets_are_bounded() {
    check(&head(GET, &format!("{CLOSE}X-Large: {}\r\n", "x".repeat(70_000))), "431", Some("RequestHeaderFieldsTooLarge")).await;
    // What does not end is refused by the library while it comes.
    let endless = exchange(head(GET, &format!("{CLOSE}X-Large: {}\r\n", "x".repeat(500_000))).as_bytes()).await;
    assert_eq!(statuses(&endless), ["431"]);
    check(&head(GET, &"X-Many: 1\r\n".repeat(200)), "431", None).await;
    let long = format!("GET /{} HTTP/1.1", "a".repeat(9_000));
    check(&head(&long, CLOSE), "414", Some("RequestUriTooLong")).await;
    let longer = format!("GET /{} HTTP/1.1", "a".repeat(66_000));
    let answer = exchange(head(&longer, CLOSE).as_bytes()).await;
    assert!(matches!(statuses(&answer)[..], ["414" | "431"]), "{answer}");
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let head = head("PUT /subscriptions/x HTTP/1.1", "Content-Length: 600000\r\n");
    let answer = exchange(&[head.as_bytes(), &vec![b'x'; 600_000]].concat()).await;
    assert_eq!(statuses(&answer), ["401"], "{answer}");
}

#[tokio::test]
async fn unmet_expectations_and_other_methods_are_answered() {
    check(&head(GET, &format!("{CLOSE}Expect: the-unexpected\r\n")), "417", Some("ExpectationFailed")).await;
    check(&head(GET, &format!("{CLOSE}Expect: 100-continue\r\nExpect: the-unexpected\r\n")), "417", Some("ExpectationFailed")).await;
    for (line, status, code) in [
        ("TRACE / HTTP/1.1", "405", "HttpMethodNotAllowed"),
        ("OPTIONS * HTTP/1.1", "405", "HttpMethodNotAllowed"),
        ("get / HTTP/1.1", "405", "HttpMethodNotAllowed"),
        ("MERGE / HTTP/1.1", "405", "HttpMethodNotAllowed"),
        ("CONNECT acct.blob.core.windows.net:443 HTTP/1.1", "405", "HttpMethodNotAllowed"),
    ] {
        check(&head(line, CLOSE), status, Some(code)).await;
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let target = |path: &str| head(&format!("GET {path} HTTP/1.1"), "");
    let last = head("GET /subscriptions HTTP/1.1", CLOSE);
    let burst = [target("/metadata/endpoints?api-version=2022-09-01"), target("/../x"), target("/metadata/endpoints"), last].concat();
    let answers = exchange(burst.as_bytes()).await;
    assert_eq!(statuses(&answers), ["200", "400", "400", "401"], "{answers}");
}

#[tokio::test]
async fn bytes_after_a_refused_upgrade_are_no_tunnel() {
    let upgrade = head("GET /subscriptions HTTP/1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n");
    let answers = exchange(format!("{upgrade}{}", head("GET /subscriptions HTTP/1.1", CLOSE)).as_bytes()).await;
    assert_eq!(statuses(&answers), ["400"], "nothing behind it is read: {answers}");
}

#[tokio::test]
async fn content_length_and_transfer_encoding_together_are_refused_and_nothing_behind_them_is_read() {
    let before = head(GET, "");
    for lines in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length:4\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4, 4\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: x\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length:\r\n",
    ] {
        let smuggling = format!("{}0\r\n\r\n{}", head(PUT, lines), head(GET, ""));
        let answers = exchange(smuggling.as_bytes()).await;
        assert_eq!(statuses(&answers), ["400"], "{answers}");
        assert!(answers.contains("`Content-Length` and `Transfer-Encoding` exclude each other"), "{answers}");
        let pipelined = exchange(format!("{before}{smuggling}").as_bytes()).await;
        assert_eq!(statuses(&pipelined), ["200", "400"], "{pipelined}");
    }
}

#[tokio::test]
async fn a_chunked_request_after_one_with_a_length_is_not_ambiguous() {
    let measured = format!("{}abcd", head(PUT, "Content-Length: 4\r\n"));
    let chunked = format!("{}4\r\nabcd\r\n0\r\n\r\n", head(PUT, &format!("{CLOSE}Transfer-Encoding: chunked\r\n")));
    let answers = exchange(format!("{measured}{chunked}").as_bytes()).await;
    assert_eq!(statuses(&answers), ["401", "401"], "{answers}");
    // What stands in a body is none of a head's lines, and neither is what comes behind it.
    let lines = "Content-Length: 4\r\n\r\n\n";
    let chunked = head(PUT, "Transfer-Encoding: chunked\r\n");
    let looking_alike =
        format!("{chunked}{:x}\r\n{lines}\r\n0\r\n\r\n{}abcd", lines.len(), head(PUT, &format!("{CLOSE}Content-Length: 4\r\n")));
    let answers = exchange(looking_alike.as_bytes()).await;
    assert_eq!(statuses(&answers), ["401", "401"], "{answers}");
}

#[tokio::test]
async fn where_a_body_ends_in_doubt_the_next_request_is_refused() {
    let chunked = head(PUT, "Transfer-Encoding: chunked\r\n");
    let zeros = "0".repeat(60);
    for body in ["0\r\na: b\n\r\n", "0\r\n\n", &format!("{zeros}4\r\nabcd\r\n0\r\n\r\n")] {
        let answers = exchange(format!("{chunked}{body}{}{}", head(GET, "X: y\r\n"), head(GET, CLOSE)).as_bytes()).await;
        let statuses = statuses(&answers);
        assert_eq!(statuses.first(), Some(&"401"), "{answers}");
        assert!(!statuses.contains(&"200"), "{body:?}: {answers}");
    }
}

/// One frame of HTTP/2. Source: RFC 9113 §4.1.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Fields as HPACK literals without indexing. Source: RFC 7541 §6.2.2.
fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let literal = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], literal(name), literal(value)].concat()).collect()
}

/// What a stream is answered: `200`, `400`, `reset` or `closed`.
async fn stream_answer(block: &[(&str, &str)]) -> &'static str {
    const HEADERS: u8 = 1;
    const RST_STREAM: u8 = 3;
    const SETTINGS: u8 = 4;
    const GOAWAY: u8 = 7;
    let mut stream = SHARED.client.connect("localhost", b"h2").await.unwrap();
    let request = frame(HEADERS, 0x5, 1, &fields(block));
    let opening = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &frame(SETTINGS, 0, 0, &[]), &request].concat();
    stream.write_all(&opening).await.unwrap();
    let answered = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return "closed";
            }
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let mut payload = vec![0; length];
            stream.read_exact(&mut payload).await.unwrap();
            match (head[3], payload.first()) {
                // The places of `:status: 200` and `:status: 400` in the static table. Source: RFC 7541, appendix A.
                (HEADERS, Some(0x88)) => return "200",
                (HEADERS, Some(0x8c)) => return "400",
                (HEADERS, _) => return "another status",
                (RST_STREAM, _) => return "reset",
                (GOAWAY, _) => return "closed",
                _ => {}
            }
        }
    };
    timeout(PATIENCE, answered).await.expect("an answer in time")
}

#[tokio::test]
async fn http2_fields_with_two_readings_are_refused() {
    let ours = SHARED.client.authority();
    let path = "/metadata/endpoints?api-version=2022-09-01";
    let pseudo = [(":method", "GET"), (":scheme", "https"), (":authority", ours), (":path", path)];
    let with = |more: &[(&'static str, &'static str)]| -> Vec<(&str, &str)> { pseudo.iter().chain(more).copied().collect() };
    let without = |name: &str| -> Vec<(&str, &str)> { pseudo.iter().filter(|(field, _)| *field != name).copied().collect() };
    let changed = |name: &str, value: &'static str| -> Vec<(&str, &str)> {
        pseudo.iter().map(|(field, old)| if *field == name { (*field, value) } else { (*field, *old) }).collect()
    };
    assert_eq!(stream_answer(&pseudo).await, "200", "the sound form of what follows");
    for block in [
        without(":method"),
        without(":scheme"),
        without(":path"),
        without(":authority"),
        with(&[(":path", "/tenants")]),
        with(&[(":authority", "evil.example")]),
        with(&[(":unknown", "x")]),
        with(&[("accept", "x"), (":path", "/tenants")]),
        with(&[("Upper", "case")]),
        with(&[("connection", "close")]),
        with(&[("transfer-encoding", "chunked")]),
        with(&[("upgrade", "websocket")]),
        with(&[("te", "gzip")]),
        with(&[("x-split", "a\r\nx-other: b")]),
        with(&[("x-nul", "a\0b")]),
        with(&[("content-length", "5")]),
        with(&[("host", "localhost:1"), ("host", "localhost:2")]),
        changed(":scheme", "http"),
        changed(":path", ""),
        changed(":path", "metadata/endpoints"),
        changed(":method", "CONNECT"),
    ] {
        let answer = stream_answer(&block).await;
        assert_ne!(answer, "200", "{block:?}");
    }
}
