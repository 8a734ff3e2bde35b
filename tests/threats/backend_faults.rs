//! A backend that misbehaves: what the client is told, how often the backend is asked, and that the next request is served.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;
use steward::clock::Clock;

use super::line::V;
use crate::common::backend::{Act, Arrived, Backend, Front, SHORT, json_answer};
use crate::common::client::{Call, PATIENCE, call, get};
use crate::common::installation::SHARED;
use crate::frames::{END_HEADERS, END_STREAM, HEADERS, Talk, block, frame};
use crate::table::Forms;

/// Between two pieces of a body, in these tests.
const IDLE: Duration = Duration::from_millis(600);
/// A list that is read may have so many bytes, in these tests.
const LIST_BYTES_MAX: usize = 20_000;
const INNOCENT: &str = r#"{"innocent":true}"#;
const DRIP: Duration = Duration::from_millis(20);
const TICK: Duration = Duration::from_millis(1);

const CUT: &str = "502 BadGateway upstream.cut";
const INVALID: &str = "502 BadGateway upstream.invalid";
const SILENT: &str = "504 GatewayTimeout upstream.timeout";
const BROKEN: &str = "no whole answer";

struct Form {
    name: &'static str,
    method: &'static str,
    act: Act,
    expected: &'static str,
}

fn form(name: &'static str, method: &'static str, act: Act, expected: &'static str) -> Form {
    Form { name, method, act, expected }
}

fn close(text: &str) -> Act {
    Act::Close(text.as_bytes().to_vec())
}

fn answer(text: &str) -> Act {
    Act::Answer(text.as_bytes().to_vec())
}

/// A provisional answer that takes longer to send than to read.
fn large_processing() -> Vec<u8> {
    format!("HTTP/1.1 102 Processing\r\nX-Filling: {}\r\n\r\n", "x".repeat(4096)).into_bytes()
}

fn no_answers() -> Vec<Form> {
    let ok = json_answer("200 OK", "{}");
    vec![
        form("closed without an answer, a read", "GET", close(""), CUT),
        form("closed without an answer, a write", "PUT", close(""), CUT),
        form("reset without an answer, a read", "GET", Act::Reset, CUT),
        form("reset without an answer, a write", "PUT", Act::Reset, CUT),
        form("silent, a read", "GET", Act::Hang, SILENT),
        form("silent, a write", "PUT", Act::Hang, SILENT),
        form("half a status line", "GET", close("HTTP/1.1 20"), CUT),
        form("half a head", "GET", close("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"), CUT),
        form("a head a byte at a time", "GET", Act::Drip(ok, DRIP), SILENT),
        form("1xx answers without end", "GET", Act::Endless(Vec::new(), b"HTTP/1.1 102 Processing\r\n\r\n".to_vec(), TICK), SILENT),
        form("1xx answers without end and without a pause", "GET", Act::Endless(Vec::new(), large_processing(), Duration::ZERO), CUT),
        form("a head without end", "GET", Act::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), vec![b'x'; 4096], TICK), CUT),
        form("header fields without end", "GET", Act::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-Many: 1\r\n".repeat(800), TICK), CUT),
    ]
}

fn odd_heads() -> Vec<Form> {
    vec![
        form(
            "101 that nobody asked for",
            "GET",
            close("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
            INVALID,
        ),
        form("another protocol", "GET", close("SSH-2.0-x\r\n\r\n"), CUT),
        form("TLS", "GET", Act::Close(b"\x15\x03\x01\x00\x02\x02\x28".to_vec()), CUT),
        form("HTTP/2", "GET", Act::Close(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec()), CUT),
        form("no status line", "GET", close("{}\r\n\r\n"), CUT),
        form("a status of two digits", "GET", close("HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"), CUT),
        form("a status of letters", "GET", close("HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"), CUT),
        form("a null byte in a field", "GET", Act::Close(b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n".to_vec()), CUT),
        form("a line without a colon", "GET", close("HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n"), CUT),
        form("a folded field", "GET", close("HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"), CUT),
        form(
            "the gateway's own assertion refused",
            "GET",
            answer("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"),
            "502 BadGateway upstream.refused",
        ),
        form("two lengths", "GET", close("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), CUT),
        form("two equal lengths", "GET", close("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}"), INVALID),
        form("a length in a list", "GET", close("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n{}"), INVALID),
        form("a length with a sign", "GET", close("HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\n{}"), CUT),
        form("a length of letters", "GET", close("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}"), CUT),
        form(
            "a length and a coding",
            "GET",
            close("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
            INVALID,
        ),
        form("another coding", "GET", close("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"), INVALID),
        form("a coding of its own", "GET", close("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n{}"), INVALID),
    ]
}

fn cut_bodies() -> Vec<Form> {
    vec![
        form("a body shorter than its length", "GET", close("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"), BROKEN),
        form("a body that stands still", "GET", answer("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this"), BROKEN),
        form("chunks without the last one", "GET", close("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonly\r\n"), BROKEN),
        form("half a chunk", "GET", close("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly"), BROKEN),
        form("a chunk size of letters", "GET", close("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nonly\r\nxyz\r\n"), BROKEN),
    ]
}

fn sound_after_all() -> Vec<Form> {
    let surplus = [json_answer("200 OK", "{}"), json_answer("200 OK", r#"{"poison":1}"#)].concat();
    vec![
        form("100 before the answer", "GET", answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), "200"),
        form(
            "103 before the answer",
            "GET",
            answer("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
            "200",
        ),
        form("HTTP/1.0 until the end of the connection", "GET", close("HTTP/1.0 200 OK\r\n\r\n{}"), "200"),
        form(
            "a body a byte at a time",
            "GET",
            Act::Drip(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{      }".to_vec(), Duration::from_millis(2)),
            "200",
        ),
        form("a second answer behind the first", "GET", Act::Answer(surplus), "200"),
        form("a body with 204", "GET", answer("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"), "204"),
        form("a body behind an answer to HEAD", "HEAD", answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), "200"),
        form(
            "a redirect to somebody else",
            "GET",
            answer("HTTP/1.1 302 Found\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n"),
            "302",
        ),
        form("overload", "GET", answer("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"), "503"),
        form("closed behind an answer that promised to stay", "GET", Act::Close(json_answer("200 OK", "{}")), "200"),
    ]
}

fn lists() -> Vec<Form> {
    let large = format!("{{\"value\":[\"{}\"]}}", "x".repeat(LIST_BYTES_MAX));
    vec![
        form(
            "a list that is no JSON",
            "LIST",
            answer("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n[1, 2"),
            INVALID,
        ),
        form(
            "a list that is cut",
            "LIST",
            close("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{\"value\":["),
            "502 BadGateway",
        ),
        form(
            "a list that is too large",
            "LIST",
            Act::Answer(json_answer("200 OK", &large)),
            "500 ResponseTooLarge upstream.answer_too_large",
        ),
        form(
            "a list without end",
            "LIST",
            Act::Endless(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"value\":[".to_vec(), vec![b' '; 4096], TICK),
            "500 ResponseTooLarge upstream.answer_too_large",
        ),
    ]
}

/// The path of a form. A list is told by its last segment.
fn target(number: usize, method: &str) -> String {
    let group = format!("{}/resourceGroups/rg-fault-{number:02}", SHARED.subscription("alder-prod"));
    if method == "LIST" { format!("{group}/resources?{V}") } else { format!("{group}?{V}") }
}

fn innocent() -> Call {
    get(format!("{}/resourceGroups/rg-innocent?{V}", SHARED.subscription("alder-prod")))
}

/// Does what the path asks for.
fn script(acts: HashMap<String, Act>) -> impl Fn(&Arrived, usize) -> Act + Send + Sync + 'static {
    move |request, _| {
        let fault = acts.iter().find(|(tag, _)| request.head.lines().next().is_some_and(|line| line.contains(tag.as_str())));
        fault.map_or_else(|| Act::Answer(json_answer("200 OK", INNOCENT)), |(_, act)| act.clone())
    }
}

async fn unreachable(forms: &mut Forms) {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let front = Front::start("t27-closed", &format!("http://{closed}"), "").await;
    for method in ["GET", "PUT"] {
        let target = target(0, method);
        let answer = front.ask("operator", call(method, target).json(&json!({}))).await;
        forms.saw(&format!("nobody listens, {method}"), &answer.told(), "502 BadGateway upstream.unreachable");
    }
    // The port is taken by a backend that starts late.
    let listening = Backend::start_at(closed, |_, _| Act::Answer(json_answer("200 OK", "{}"))).await;
    let answer = front.ask("operator", innocent()).await;
    forms.saw("the backend is back", &answer.told(), "200");
    forms.holds("the backend is back", listening.log().arrived.len() == 1, "the backend receives it once");
    front.drain().await;
}

/// A cut answer over HTTP/2.
async fn cut_over_http2(front: &Front, number: usize, token: &str) -> String {
    let mut talk = Talk::open(&front.client).await;
    let (path, authorization) = (target(number, "GET"), format!("Bearer {token}"));
    let fields = block(&[
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", front.client.authority()),
        (":path", &path),
        ("authorization", &authorization),
    ]);
    assert!(talk.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields)).await);
    talk.outcome(1, PATIENCE).await.to_string()
}

pub async fn faults() -> Forms {
    let mut forms = Forms::default();
    unreachable(&mut forms).await;
    let kinds: Vec<Form> = [no_answers(), odd_heads(), cut_bodies(), sound_after_all(), lists()].into_iter().flatten().collect();
    let acts = kinds.iter().enumerate().map(|(number, form)| (format!("rg-fault-{number:02}"), form.act.clone())).collect();
    let backend = Backend::start(script(acts)).await;
    let limits = format!(
        "first_byte_time_ms_max = {}\nanswer_idle_time_ms_max = {}\nanswer_bytes_max = {LIST_BYTES_MAX}\n",
        SHORT.as_millis(),
        IDLE.as_millis()
    );
    let front = Front::start("t27", &format!("http://{}", backend.address), &limits).await;
    let token = SHARED.token("operator").await;
    for (number, form) in kinds.iter().enumerate() {
        let method = if form.method == "LIST" { "GET" } else { form.method };
        let mut asked = call(method, target(number, form.method)).bearer(&token);
        if method == "PUT" {
            asked = asked.json(&json!({}));
        }
        // A write is asked for once, and a read also on a connection that was used before.
        let (rounds, sent_max) = if method == "PUT" { (1, 1) } else { (2, 4) };
        let mut first = None;
        for _ in 0..rounds {
            let started = Clock::instant();
            let observed =
                front.client.try_send("localhost", asked.clone()).await.map_or_else(|_| BROKEN.to_owned(), |answer| answer.told());
            forms.holds(form.name, started.elapsed() < PATIENCE / 4, "it is told in time");
            let after = front.client.send(innocent().bearer(&token)).await;
            let is_served = after.status == 200 && after.body == INNOCENT;
            forms.holds(form.name, is_served, &format!("the next request is served, and not {} {:?}", after.told(), after.body));
            let before = first.get_or_insert_with(|| observed.clone());
            forms.holds(form.name, *before == observed, &format!("the next time is as the first, and not {observed}"));
        }
        forms.saw(form.name, &first.unwrap_or_default(), form.expected);
        let arrived = backend.log().arrived.iter().filter(|request| request.head.contains(&format!("rg-fault-{number:02}"))).count();
        forms.holds(form.name, arrived <= sent_max, &format!("it is sent at most {sent_max} times, and not {arrived} times"));
    }
    for (number, form) in kinds.iter().enumerate().filter(|(_, form)| form.expected == BROKEN) {
        let observed = cut_over_http2(&front, number, &token).await;
        forms.saw(&format!("{}, over HTTP/2", form.name), &observed, "RST_STREAM(INTERNAL_ERROR)");
    }
    front.drain().await;
    forms
}
