//! HTTP/1.1 that two programs may cut into requests at two places, and requests for something that is no request.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::line::{Line, Reply, V, bytes, sha256};
use crate::common::backend::Arrived;
use crate::common::installation::SHARED;
use crate::table::Forms;

/// What has to come of a form.
#[derive(Debug, Clone, Copy)]
enum Must {
    /// Refused with this status; the connection ends, and nothing whole has reached the backend.
    End(u16),
    /// The connection ends without an answer, and nothing has reached the backend.
    Close,
    /// Refused with this status, and nothing of it reaches the backend; what comes behind it is a request of its own.
    Fail(u16),
    /// It arrives with this body, and so does the request behind it.
    Serve(&'static str),
    /// It arrives with this body; what comes behind it is no request.
    ServeAndEnd(&'static str),
}
use Must::{Close, End, Fail, Serve, ServeAndEnd};

impl Must {
    fn expected(self) -> String {
        match self {
            Close => "closed".to_owned(),
            End(status) | Fail(status) => status.to_string(),
            Serve(_) | ServeAndEnd(_) => "200".to_owned(),
        }
    }
}

/// Bytes to send. `{P}` is the path of the form, `{H}` the host, `{T}` a token, `{S}` a request that must not be seen, `{L}` and `{X}` its
/// length in decimal and hexadecimal.
#[derive(Debug, Clone)]
struct Form {
    name: String,
    text: String,
    must: Must,
    /// Whether the client ends the connection behind it. Otherwise it sends one request more.
    leaves: bool,
}

const LINES: &str = "Host: {H}\r\nAuthorization: Bearer {T}\r\nContent-Type: application/octet-stream\r\n";

/// A `PUT` with these lines in its head and this behind it.
fn put(name: &str, lines: &str, rest: &str, must: Must) -> Form {
    Form { name: name.to_owned(), text: format!("PUT {{P}} HTTP/1.1\r\n{LINES}{lines}\r\n{rest}"), must, leaves: false }
}

/// A `GET` with these lines in its head and this behind it.
fn get(name: &str, lines: &str, rest: &str, must: Must) -> Form {
    Form { name: name.to_owned(), text: format!("GET {{P}} HTTP/1.1\r\n{LINES}{lines}\r\n{rest}"), must, leaves: false }
}

fn whole(name: &str, text: &str, must: Must) -> Form {
    Form { name: name.to_owned(), text: text.to_owned(), must, leaves: false }
}

fn cut(name: &str, lines: &str, rest: &str, must: Must) -> Form {
    Form { leaves: true, ..put(name, lines, rest, must) }
}

/// As it is shown on a page.
fn shown(text: &str) -> String {
    text.trim_end_matches("\r\n").escape_default().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

fn lengths_and_codings() -> Vec<Form> {
    let both = [
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: {L}\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4, 4\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: x\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length:\r\n",
        "Content-Length: 6\r\nTransfer-Encoding: Chunked\r\n",
        "Content-Length: 6\r\nX-Between: 1\r\ntransfer-encoding:chunked\r\n",
    ];
    both.map(|lines| put(&shown(lines), lines, "0\r\n\r\n{S}", End(400))).into()
}

fn codings() -> Vec<Form> {
    let odd = [
        "xchunked",
        "chunked, identity",
        "identity",
        "gzip, chunked",
        "gzip",
        "chunked, chunked",
        "identity, chunked",
        "chunked;q=1",
        "\"chunked\"",
        "chunked,",
        ",chunked",
        "chunked\u{b}",
        "\u{b}chunked",
        "chunked\u{c}",
        "chunked\u{a0}",
        "chunked\0",
        "chun\u{e2}\u{84}\u{aa}ed",
        "chunk",
        "chunked x",
        "trailers",
        "",
    ];
    let mut forms: Vec<Form> = odd
        .iter()
        .map(|coding| {
            let line = format!("Transfer-Encoding: {coding}\r\n");
            put(&shown(&line), &line, "0\r\n\r\n{S}", End(400))
        })
        .collect();
    for lines in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Transfer-Encoding\t: chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\r\n chunked\r\n",
        "Transfer-Encoding: chunked\r\n folded\r\n",
        "X: x\nTransfer-Encoding: chunked\r\n",
        "X: x\rTransfer-Encoding: chunked\r\n",
        "Trailer: X-After\r\nTransfer-Encoding: chunked\r\n",
        "\0Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding\0: chunked\r\n",
        "Transfer-Encod\u{ef}ng: chunked\r\n",
    ] {
        forms.push(put(&shown(lines), lines, "0\r\n\r\n{S}", End(400)));
    }
    for lines in ["Transfer-Encoding: Chunked\r\n", "TRANSFER-ENCODING:\tCHUNKED \r\n", "transfer-encoding:chunked\r\n"] {
        forms.push(put(&shown(lines), lines, "{X}\r\n{S}\r\n0\r\n\r\n", Serve("{S}")));
    }
    // Other names say nothing of framing: what is not announced is no body, and begins no request.
    for lines in
        ["Transfer_Encoding: chunked\r\n", "Transfer-Encoding-: chunked\r\n", "TE: chunked\r\n", "X-Transfer-Encoding: chunked\r\n"]
    {
        forms.push(put(&shown(lines), lines, "0\r\n\r\n{S}", ServeAndEnd("")));
    }
    forms
}

fn lengths() -> Vec<Form> {
    let odd = [
        "4, 4",
        "4, 5",
        "4,",
        "+4",
        "-4",
        "-0",
        "0x4",
        "4 4",
        "4.0",
        "4e0",
        "1_0",
        "4;",
        "\"4\"",
        "\u{d9}\u{a4}",
        "4\u{b}",
        "\u{a0}4",
        "4\0",
        "99999999999999999999",
        "18446744073709551616",
        "340282366920938463463374607431768211460",
        "x",
        "",
    ];
    let mut forms: Vec<Form> = odd
        .iter()
        .map(|length| {
            let line = format!("Content-Length: {length}\r\n");
            put(&shown(&line), &line, "abcd{S}", End(400))
        })
        .collect();
    for lines in [
        "Content-Length: 4\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: 0\r\nX-Between: 1\r\nCONTENT-LENGTH:4\r\n",
        "Content-Length : 4\r\n",
        "Content-Length\t: 4\r\n",
        "Content-Length: 4\r\n Content-Length: 5\r\n",
        "Content-Length:\n4\r\n",
        "Content-Length: 4\rX: 1\r\n",
        "X: 1\nContent-Length: 4\r\n",
    ] {
        forms.push(put(&shown(lines), lines, "abcd{S}", End(400)));
    }
    let huge = "Content-Length: 18446744073709551615\r\n";
    forms.push(put(&shown(huge), huge, "abcd{S}", End(431)));
    let hidden = "Content-Length: {L}\r\n";
    forms.push(put("Content-Length as long as the request in the body", hidden, "{S}", Serve("{S}")));
    forms.push(put("Content-Length with blanks and a tab around it", "Content-Length: \t{L}\t \r\n", "{S}", Serve("{S}")));
    forms.push(put("Content-Length: 0004", "Content-Length: 0004\r\n", "abcd", Serve("abcd")));
    // Everybody counts to 18 digits.
    for (zeros, body, must) in
        [(17, "abcd", Serve("abcd")), (18, "abcd{S}", End(400)), (22, "abcd{S}", End(400)), (60, "abcd{S}", End(400))]
    {
        let line = format!("Content-Length: {}4\r\n", "0".repeat(zeros));
        forms.push(put(&format!("Content-Length with {zeros} zeros before it"), &line, body, must));
    }
    forms.push(put("Content_Length: 4", "Content_Length: 4\r\n", "abcd{S}", ServeAndEnd("")));
    forms.push(put("no length and no coding", "", "abcd{S}", ServeAndEnd("")));
    forms
}

fn chunks() -> Vec<Form> {
    let chunked = |name: &str, rest: &str, must| put(name, "Transfer-Encoding: chunked\r\n", rest, must);
    let mut forms = Vec::new();
    for size in [
        " 4",
        "\t4",
        "0x4",
        "+4",
        "-4",
        "4_0",
        "g",
        "",
        "4,",
        "4=",
        "4.",
        "4 4",
        "4 x",
        "4\u{a0}",
        "\u{ef}\u{bb}\u{bf}4",
        "4\0",
        "4\r",
        "10000000000000004",
        "FFFFFFFFFFFFFFFFF",
        "4;a=\r4",
        "4;a=\n4",
        ";a=4",
    ] {
        let rest = format!("{size}\r\nabcd\r\n0\r\n\r\n{{S}}");
        forms.push(chunked(&format!("chunk size \"{}\"", shown(size)), &rest, End(400)));
    }
    for (name, rest) in [
        ("a line feed alone behind a size", "4\nabcd\r\n0\r\n\r\n{S}"),
        ("a carriage return alone behind a size", "4\rabcd\r\n0\r\n\r\n{S}"),
        ("a line feed alone behind a chunk", "4\r\nabcd\n0\r\n\r\n{S}"),
        ("nothing behind a chunk", "4\r\nabcd0\r\n\r\n{S}"),
        ("other bytes behind a chunk", "4\r\nabcdXY0\r\n\r\n{S}"),
        ("a chunk larger than its size", "3\r\nabcd\r\n0\r\n\r\n{S}"),
        ("a chunk smaller than its size", "5\r\nabcd\r\n0\r\n\r\n{S}"),
        ("an empty line before a size", "\r\n4\r\nabcd\r\n0\r\n\r\n{S}"),
        ("a line feed alone behind the last chunk", "4\r\nabcd\r\n0\n\r\n{S}"),
        ("a carriage return and a letter as the end", "4\r\nabcd\r\n0\r\n\rX{S}"),
    ] {
        forms.push(chunked(name, rest, End(400)));
    }
    // The library takes what follows for trailers, and nothing behind them is trusted.
    forms.push(chunked("a line feed alone as the end", "4\r\nabcd\r\n0\r\n\n{S}", ServeAndEnd("abcd")));
    forms.push(chunked("a size that is all there are of bytes", "FFFFFFFFFFFFFFFF\r\nabcd\r\n0\r\n\r\n{S}", End(408)));
    let long = format!("4;{}\r\nabcd\r\n0\r\n\r\n{{S}}", "a".repeat(20_000));
    forms.push(chunked("an extension of 20,000 bytes", &long, End(400)));
    let many = format!("{}0\r\n\r\n{{S}}", format!("1;{}\r\na\r\n", "a".repeat(200)).repeat(200));
    forms.push(chunked("200 extensions of 200 bytes", &many, End(400)));
    for (name, size) in [
        ("leading zeros in a size", "0004"),
        ("blanks behind a size", "4 \t"),
        ("an extension", "4;name=value"),
        ("an extension in quotes with a semicolon", "4;name=\"a;b\""),
        ("a semicolon alone", "4;"),
        ("an extension with a null byte", "4;a=\0"),
        ("a blank and an extension", "4 ;a"),
    ] {
        forms.push(chunked(name, &format!("{size}\r\nabcd\r\n0\r\n\r\n"), Serve("abcd")));
    }
    for (name, rest) in [
        ("a last chunk of many zeros", "4\r\nabcd\r\n00000\r\n\r\n"),
        ("an extension of the last chunk", "4\r\nabcd\r\n0;a=b\r\n\r\n"),
        ("trailers", "4\r\nabcd\r\n0\r\nX-After: 1\r\n\r\n"),
        ("trailers that look like framing", "4\r\nabcd\r\n0\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("trailers that look like a caller", "4\r\nabcd\r\n0\r\nAuthorization: x\r\nx-ms-client-object-id: x\r\n\r\n"),
        ("one byte in a chunk", "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n0\r\n\r\n"),
    ] {
        forms.push(chunked(name, rest, Serve("abcd")));
    }
    forms.push(chunked("a request in a chunk", "{X}\r\n{S}\r\n0\r\n\r\n", Serve("{S}")));
    forms.push(chunked("trailers without a colon", "4\r\nabcd\r\n0\r\nno colon\r\n\r\n{S}", End(400)));
    forms.push(chunked("a line feed alone in trailers", "4\r\nabcd\r\n0\r\nX: 1\nY: 2\r\n\r\n{S}", End(400)));
    let heavy = format!("4\r\nabcd\r\n0\r\n{}\r\n{{S}}", "X-After: 1\r\n".repeat(2_000));
    forms.push(chunked("2,000 trailers", &heavy, End(400)));
    forms
}

fn heads() -> Vec<Form> {
    let mut forms = Vec::new();
    for (name, lines) in [
        ("a folded field", "X-Folded: one\r\n two\r\n"),
        ("a folded field with a tab", "X-Folded: one\r\n\ttwo\r\n"),
        ("a blank before the colon", "X-Blank : 1\r\n"),
        ("a blank before the name", " X-Blank: 1\r\n"),
        ("no name", ": 1\r\n"),
        ("no colon", "No colon\r\n"),
        ("a null byte in a value", "X: a\0b\r\n"),
        ("a null byte in a name", "X\0Y: 1\r\n"),
        ("a carriage return in a value", "X: a\rb\r\n"),
        ("a control byte in a value", "X: a\u{1}b\r\n"),
        ("a delete byte in a value", "X: a\u{7f}b\r\n"),
        ("a parenthesis in a name", "X(Y): 1\r\n"),
        ("a byte beyond ASCII in a name", "X\u{e9}: 1\r\n"),
        ("a line feed alone behind a field", "X: 1\n"),
        ("a line feed alone as an empty line", "X: 1\r\n\nGET / HTTP/1.1\r\n"),
        ("two hosts", "Host: {H}\r\n"),
        ("another host", "Host: other.example\r\n"),
    ] {
        forms.push(get(name, lines, "{S}", End(400)));
    }
    for (name, text) in [
        ("a line feed alone behind the request line", "GET {P} HTTP/1.1\nHost: {H}\r\nAuthorization: Bearer {T}\r\n\r\n{S}"),
        ("line feeds alone everywhere", "GET {P} HTTP/1.1\nHost: {H}\nAuthorization: Bearer {T}\n\n{S}"),
        ("carriage returns alone everywhere", "GET {P} HTTP/1.1\rHost: {H}\rAuthorization: Bearer {T}\r\r{S}"),
        ("a tab in the request line", "GET\t{P} HTTP/1.1\r\nHost: {H}\r\n\r\n{S}"),
        ("two blanks before the target", "GET  {P} HTTP/1.1\r\nHost: {H}\r\n\r\n{S}"),
        ("two blanks before the version", "GET {P}  HTTP/1.1\r\nHost: {H}\r\n\r\n{S}"),
        ("a blank behind the version", "GET {P} HTTP/1.1 \r\nHost: {H}\r\n\r\n{S}"),
        ("a vertical tab behind the version", "GET {P} HTTP/1.1\u{b}\r\nHost: {H}\r\n\r\n{S}"),
        ("a blank before the method", " GET {P} HTTP/1.1\r\nHost: {H}\r\n\r\n{S}"),
        ("a null byte before the method", "\0GET {P} HTTP/1.1\r\nHost: {H}\r\n\r\n{S}"),
        ("a null byte in the target", "GET {P}\0 HTTP/1.1\r\nHost: {H}\r\n\r\n{S}"),
        ("a blank in the target", "GET {P} x HTTP/1.1\r\nHost: {H}\r\n\r\n{S}"),
        ("a parenthesis in the method", "G(T {P} HTTP/1.1\r\nHost: {H}\r\n\r\n{S}"),
        ("version http/1.1", "GET {P} http/1.1\r\nHost: {H}\r\n\r\n{S}"),
        ("version HTTP/1.2", "GET {P} HTTP/1.2\r\nHost: {H}\r\n\r\n{S}"),
        ("version HTTP/1.10", "GET {P} HTTP/1.10\r\nHost: {H}\r\n\r\n{S}"),
        ("version HTTP/01.1", "GET {P} HTTP/01.1\r\nHost: {H}\r\n\r\n{S}"),
        ("version HTTP/2.0", "GET {P} HTTP/2.0\r\nHost: {H}\r\n\r\n{S}"),
        ("version HTTP/0.9", "GET {P} HTTP/0.9\r\nHost: {H}\r\n\r\n{S}"),
        ("version HTTPS/1.1", "GET {P} HTTPS/1.1\r\nHost: {H}\r\n\r\n{S}"),
        ("no version, as HTTP/0.9 has it", "GET {P}\r\n\r\n{S}"),
        ("no request line", "Host: {H}\r\n\r\n{S}"),
        ("no host", "GET {P} HTTP/1.1\r\nAuthorization: Bearer {T}\r\n\r\n{S}"),
        ("an empty host", "GET {P} HTTP/1.1\r\nHost:\r\nAuthorization: Bearer {T}\r\n\r\n{S}"),
        (
            "HTTP/1.0 with a transfer coding",
            "PUT {P} HTTP/1.0\r\nHost: {H}\r\nAuthorization: Bearer {T}\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{S}",
        ),
        (
            "HTTP/1.0 with a transfer coding and a length",
            "PUT {P} HTTP/1.0\r\nHost: {H}\r\nAuthorization: Bearer {T}\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{S}",
        ),
        ("HTTP/1.0 without a host", "GET {P} HTTP/1.0\r\nAuthorization: Bearer {T}\r\n\r\n{S}"),
    ] {
        forms.push(whole(name, text, End(400)));
    }
    forms.push(whole("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{S}", Close));
    let sound = "GET {P} HTTP/1.1\r\nHost: {H}\r\nAuthorization: Bearer {T}\r\n";
    forms.push(whole("empty lines before the request line", &format!("\r\n\r\n{sound}\r\n"), Serve("")));
    forms.push(whole("bytes beyond ASCII in a value", &format!("{sound}X: \u{e9}\u{ff}\r\n\r\n"), Serve("")));
    let old = sound.replace("HTTP/1.1", "HTTP/1.0");
    forms.push(whole("HTTP/1.0 that wants to keep the connection", &format!("{old}Connection: keep-alive\r\n\r\n"), Serve("")));
    forms.push(whole("HTTP/1.0", &format!("{old}\r\n{{S}}"), ServeAndEnd("")));
    forms
}

fn tunnels() -> Vec<Form> {
    let mut forms = Vec::new();
    for lines in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Upgrade: h2c\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
        "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n",
        "Connection: Upgrade\r\nUpgrade: TLS/1.3\r\n",
        "Connection: Upgrade\r\nUpgrade:\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n",
    ] {
        forms.push(get(&shown(lines), lines, "{S}", End(400)));
    }
    forms.push(get("Connection: Upgrade", "Connection: Upgrade\r\n", "", Serve("")));
    let connect = |target: &str| format!("CONNECT {target} HTTP/1.1\r\nHost: {{H}}\r\nAuthorization: Bearer {{T}}\r\n\r\n{{S}}");
    for target in ["{H}", "127.0.0.1:22", "acct.blob.core.windows.net:443"] {
        forms.push(whole(&format!("CONNECT {}", target.replace("{H}", "the gateway")), &connect(target), End(405)));
    }
    for target in ["{P}", "https://{H}{P}", "*"] {
        let name = target.replace("{P}", "/path").replace("{H}", "gateway");
        forms.push(whole(&format!("CONNECT {name}"), &connect(target), End(405)));
    }
    for method in ["TRACE", "TRACK", "DEBUG", "PROPFIND"] {
        let text = format!("{method} {{P}} HTTP/1.1\r\nHost: {{H}}\r\nAuthorization: Bearer {{T}}\r\nMax-Forwards: 0\r\n\r\n");
        forms.push(whole(&format!("{method} with Max-Forwards"), &(text + "{S}"), End(405)));
    }
    forms
}

fn expectations() -> Vec<Form> {
    let mut forms = Vec::new();
    for value in ["the-unexpected", "200-ok", "100-continue, x", "100-continue;q=1", "100-continue x", ""] {
        let lines = format!("Expect: {value}\r\nContent-Length: {{L}}\r\n");
        forms.push(put(&format!("Expect: {value}"), &lines, "{S}", End(417)));
    }
    let two = "Expect: 100-continue\r\nExpect: the-unexpected\r\nContent-Length: {L}\r\n";
    forms.push(put("two expectations", two, "{S}", End(417)));
    let both = "Expect: 100-continue\r\nContent-Length: {L}\r\nTransfer-Encoding: chunked\r\n";
    forms.push(put("Expect: 100-continue, a length and a coding", both, "0\r\n\r\n{S}", End(400)));
    forms.push(put("Expect: 100-Continue", "Expect: 100-Continue\r\nContent-Length: {L}\r\n", "{S}", Serve("{S}")));
    forms.push(get("Expect: 100-continue without a body", "Expect: 100-continue\r\n", "", Serve("")));
    // Whether the client sends what it announced is not known: it may begin the next request in its place.
    let refused = "PUT {P} HTTP/1.1\r\nHost: {H}\r\nExpect: 100-continue\r\nContent-Length: {L}\r\n\r\n{S}";
    forms.push(whole("Expect: 100-continue without a token", refused, End(401)));
    forms
}

fn bodies() -> Vec<Form> {
    let mut forms = Vec::new();
    let strangers = "PUT {P} HTTP/1.1\r\nHost: {H}\r\n";
    forms.push(whole("a request in the body of one without a token", &format!("{strangers}Content-Length: {{L}}\r\n\r\n{{S}}"), Fail(401)));
    let chunked = format!("{strangers}Transfer-Encoding: chunked\r\n\r\n{{X}}\r\n{{S}}\r\n0\r\n\r\n");
    forms.push(whole("a request in a chunk of one without a token", &chunked, Fail(401)));
    // A body of a read means nothing, and is not sent on.
    for (method, body) in [("GET", ""), ("HEAD", ""), ("DELETE", "{S}"), ("POST", "{S}")] {
        let lines = "Host: {H}\r\nAuthorization: Bearer {T}\r\nContent-Type: application/octet-stream\r\nContent-Length: {L}\r\n";
        let text = format!("{method} {{P}} HTTP/1.1\r\n{lines}\r\n{{S}}");
        forms.push(whole(&format!("a request in the body of a {method}"), &text, Serve(body)));
    }
    forms.push(cut("a body that is cut", "Content-Length: 100\r\n", "abcd", End(400)));
    forms.push(cut("a chunk that is cut", "Transfer-Encoding: chunked\r\n", "64\r\nabcd", End(400)));
    forms.push(cut("chunks without the last one", "Transfer-Encoding: chunked\r\n", "4\r\nabcd\r\n", End(400)));
    forms.push(cut("a last chunk that is cut", "Transfer-Encoding: chunked\r\n", "4\r\nabcd\r\n0\r\n", End(400)));
    let json = |name: &str, rest: &str| {
        let lines = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
        let text = format!("PUT {{P}} HTTP/1.1\r\nHost: {{H}}\r\nAuthorization: Bearer {{T}}\r\n{lines}\r\n{rest}");
        Form { name: name.to_owned(), text, must: End(400), leaves: true }
    };
    forms.push(json("a document whose last chunk is missing", "2\r\n{}\r\n"));
    forms.push(json("a document with an odd size", "0x2\r\n{}\r\n0\r\n\r\n"));
    forms
}

/// What stands in the request lines of a form, of what it hides, and of what comes behind it.
struct Tags {
    form: String,
    hidden: String,
    behind: String,
}

impl Tags {
    fn of(number: usize) -> Self {
        let tag = |kind: &str| format!("rg-{kind}-{number:03}");
        Self { form: tag("form"), hidden: tag("hidden"), behind: tag("behind") }
    }
}

fn target(tag: &str) -> String {
    format!("{}/resourceGroups/{tag}?{V}", SHARED.subscription("alder-prod"))
}

/// What was seen of a form, and what of it is not as it must be.
async fn tried(line: &Line, form: &Form, tags: &Tags) -> (String, Vec<&'static str>) {
    let sound = |tag: &str, more: &str| {
        format!("GET {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n{more}\r\n", target(tag), line.host(), line.operator)
    };
    let hidden = sound(&tags.hidden, "");
    let fill = |text: &str| {
        let text = text.replace("{S}", &hidden).replace("{L}", &hidden.len().to_string()).replace("{X}", &format!("{:x}", hidden.len()));
        text.replace("{P}", &target(&tags.form)).replace("{H}", line.host()).replace("{T}", &line.operator)
    };
    let behind = if form.leaves { String::new() } else { sound(&tags.behind, "Connection: close\r\n") };
    let replies = line.say(&bytes(&(fill(&form.text) + &behind)), form.leaves).await;
    let answers: Vec<&Reply> = replies.iter().filter(|reply| reply.status != 100).collect();
    let arrived = [&tags.form, &tags.hidden, &tags.behind].map(|tag| line.arrived(tag));
    (observed(&answers), faults(form, &answers, &arrived, |text| bytes(&fill(text))))
}

fn observed(answers: &[&Reply]) -> String {
    match answers {
        [] => "closed".to_owned(),
        [only] => format!("{}; closed", only.told),
        [first, then @ ..] => {
            let then: Vec<&str> = then.iter().map(|reply| reply.told.as_str()).collect();
            format!("{}; behind it {}", first.told, then.join(" and "))
        }
    }
}

fn faults(form: &Form, answers: &[&Reply], arrived: &[Vec<Arrived>; 3], fill: impl Fn(&str) -> Vec<u8>) -> Vec<&'static str> {
    let [own, hidden, behind] = arrived;
    let whole = own.iter().filter(|request| request.whole).count();
    let is_body = |text: &str| own.iter().all(|request| request.digest == sha256(&fill(text)));
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    let has_come = |status: u16| statuses.first() == Some(&status);
    let must = match form.must {
        Close => [
            (statuses.is_empty(), "it is not answered"),
            (behind.is_empty(), "nothing behind it is answered"),
            (own.is_empty(), "the backend receives nothing of it"),
        ],
        End(status) => [
            (has_come(status), "it is refused with this status"),
            (statuses.len() == 1 && behind.is_empty(), "nothing behind it is answered"),
            (whole == 0, "the backend receives nothing whole of it"),
        ],
        Fail(status) => [
            (has_come(status), "it is refused with this status"),
            (statuses.len() == 1 && behind.is_empty() || statuses.get(1..) == Some(&[200]), "what is behind it is one request or none"),
            (own.is_empty(), "the backend receives nothing of it"),
        ],
        Serve(body) => [
            (statuses == [200, 200] && behind.len() == 1, "it is answered, and so is the request behind it"),
            (whole == 1 && own.len() == 1, "the backend receives it once"),
            (is_body(body), "the backend receives this body"),
        ],
        ServeAndEnd(body) => [
            (has_come(200) && !statuses.contains(&100) && behind.is_empty(), "it is answered, and nothing behind it is served"),
            (whole == 1 && own.len() == 1, "the backend receives it once"),
            (is_body(body), "the backend receives this body"),
        ],
    };
    let framed = own.iter().chain(behind).all(is_framed_once);
    let always =
        [(hidden.is_empty(), "what is hidden in it is never a request"), (framed, "the gateway frames what it sends in its own words")];
    must.into_iter().chain(always).filter(|(holds, _)| !holds).map(|(_, what)| what).collect()
}

/// One length or one coding, and nothing that the client said of its connection.
fn is_framed_once(request: &Arrived) -> bool {
    let names: Vec<String> =
        request.head.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.to_ascii_lowercase()).collect();
    let framing = names.iter().filter(|name| matches!(name.as_str(), "content-length" | "transfer-encoding")).count();
    let foreign = ["expect", "upgrade", "te", "trailer", "keep-alive", "http2-settings", "transfer_encoding", "content_length", "x"];
    framing <= 1 && names.iter().all(|name| !foreign.contains(&name.as_str()))
}

/// Forms that are tried at once.
const AT_ONCE: usize = 16;

pub async fn smuggling() -> Forms {
    let line = Arc::new(Line::start("t18").await);
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let kinds = [lengths_and_codings(), codings(), lengths(), chunks(), heads(), tunnels(), expectations(), bodies()];
    let tried_forms: Vec<Form> = kinds.into_iter().flatten().collect();
    let mut trying = JoinSet::new();
    for (number, form) in tried_forms.iter().cloned().enumerate() {
        let (line, turns) = (Arc::clone(&line), Arc::clone(&turns));
        trying.spawn(async move {
            let _turn = turns.acquire_owned().await.unwrap();
            (number, tried(&line, &form, &Tags::of(number)).await)
        });
    }
    let mut seen = trying.join_all().await;
    seen.sort_by_key(|(number, _)| *number);
    let mut forms = Forms::default();
    for (form, (_, (observed, faults))) in tried_forms.iter().zip(seen) {
        forms.saw(&form.name, &observed, &form.must.expected());
        for fault in faults {
            forms.holds(&format!("{}: {observed}", form.name), false, fault);
        }
    }
    Arc::into_inner(line).unwrap().front.drain().await;
    forms
}
