//! HTTP/2 messages that are none, or that would be two in HTTP/1.1.

use super::line::{Line, V, sha256};
use crate::common::client::PATIENCE;
use crate::common::installation::SHARED;
use crate::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Outcome, PADDED, PING, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, Talk,
    WITH_PRIORITY, block, frame, literal, window_update,
};
use crate::table::Forms;

type Field = (Vec<u8>, Vec<u8>);

/// What has to come of a form.
#[derive(Debug, Clone, Copy)]
enum Must {
    /// No answer of success; the backend receives nothing whole.
    Refuse,
    /// The client takes it back: there is no answer, and the backend receives nothing whole.
    TakeBack,
    /// The backend receives it once, with this body.
    Serve(&'static str),
}
use Must::{Refuse, Serve, TakeBack};

struct Form {
    name: String,
    /// What is sent behind the preface.
    bytes: Vec<u8>,
    must: Must,
}

/// A sound request to a path of its own, and what can be made of it.
struct Base<'a> {
    line: &'a Line,
    path: String,
}

impl Base<'_> {
    fn of_method(&self, method: &str) -> Vec<Field> {
        let authorization = format!("Bearer {}", self.line.operator);
        let fields = [
            (":method", method),
            (":scheme", "https"),
            (":authority", self.line.host()),
            (":path", &self.path),
            ("authorization", &authorization),
            ("content-type", "application/octet-stream"),
        ];
        fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    }

    fn get(&self) -> Vec<Field> {
        self.of_method("GET")
    }

    fn put(&self) -> Vec<Field> {
        self.of_method("PUT")
    }
}

fn with(mut fields: Vec<Field>, more: &[(&str, &str)]) -> Vec<Field> {
    fields.extend(more.iter().map(|(name, value)| (latin(name), latin(value))));
    fields
}

fn first(mut fields: Vec<Field>, name: &str, value: &str) -> Vec<Field> {
    fields.insert(0, (latin(name), latin(value)));
    fields
}

fn without(fields: Vec<Field>, name: &str) -> Vec<Field> {
    fields.into_iter().filter(|(field, _)| field != name.as_bytes()).collect()
}

fn changed(fields: Vec<Field>, name: &str, change: impl Fn(&str) -> String) -> Vec<Field> {
    let value = |value: &[u8]| latin(&change(std::str::from_utf8(value).unwrap()));
    fields.into_iter().map(|(field, old)| if field == name.as_bytes() { (field, value(&old)) } else { (field, old) }).collect()
}

/// Characters stand for one byte each.
fn latin(text: &str) -> Vec<u8> {
    super::line::bytes(text)
}

/// A request without a body.
fn alone(fields: &[Field]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields))
}

/// A head that a body or trailers follow.
fn open(fields: &[Field]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 1, &block(fields))
}

fn data(text: &str, flags: u8) -> Vec<u8> {
    frame(DATA, flags, 1, text.as_bytes())
}

/// Fields that no request may have beside its own.
const ODD: &[(&str, &str)] = &[
    (":unknown", "x"),
    (":status", "200"),
    (":protocol", "websocket"),
    ("Upper", "case"),
    ("x-injected\r\ny", "1"),
    ("x-injected: 1\r\ny", "1"),
    ("x injected", "1"),
    ("x:injected", "1"),
    ("x\0injected", "1"),
    ("x\u{7f}injected", "1"),
    ("x\u{e9}injected", "1"),
    ("", "1"),
    ("x-value", "a\r\nx-injected: 1"),
    ("x-value", "a\nx-injected: 1"),
    ("x-value", "a\rx-injected: 1"),
    ("x-value", "a\r\n\r\nGET /hidden HTTP/1.1\r\n"),
    ("x-value", "a\0b"),
    ("x-value", "a\u{1}b"),
    ("connection", "close"),
    ("connection", "authorization"),
    ("keep-alive", "timeout=5"),
    ("proxy-connection", "keep-alive"),
    ("transfer-encoding", "chunked"),
    ("transfer-encoding", "identity"),
    ("upgrade", "h2c"),
    ("te", "gzip"),
    ("te", "trailers, gzip"),
    ("host", "other.example"),
    ("host", ""),
    ("content-length", "5"),
    ("content-length", "-1"),
    ("content-length", "+0"),
    ("content-length", "0, 0"),
    ("content-length", "x"),
    ("content-length", ""),
    ("expect", "the-unexpected"),
    ("authorization", "Bearer x"),
];

/// Fields that a request must not have, or not so.
fn fields(base: &Base<'_>) -> Vec<(String, Vec<Field>)> {
    let mut forms = Vec::new();
    for name in [":method", ":scheme", ":path", ":authority"] {
        forms.push((format!("no {name}"), without(base.get(), name)));
        let (_, value) = base.get().into_iter().find(|(field, _)| field == name.as_bytes()).unwrap();
        let value = String::from_utf8(value).unwrap();
        forms.push((format!("two {name}"), first(base.get(), name, &value)));
        forms.push((format!("{name} behind other fields"), with(without(base.get(), name), &[(name, &value)])));
        if name != ":authority" {
            forms.push((format!("an empty {name}"), changed(base.get(), name, |_| String::new())));
        }
        let split = |old: &str| format!("{old}\r\nx-injected: 1");
        forms.push((format!("a line end in {name}"), changed(base.get(), name, split)));
        forms.push((format!("a null byte in {name}"), changed(base.get(), name, |old| format!("{old}\0"))));
        forms.push((format!("a blank in {name}"), changed(base.get(), name, |old| format!("{old} x"))));
    }
    for (name, value) in ODD {
        let shown = |text: &str| text.escape_default().to_string();
        forms.push((format!("{}: {}", shown(name), shown(value)), with(base.get(), &[(*name, *value)])));
    }
    for scheme in ["http", "ftp", "HTTPS x", "https://x/?"] {
        forms.push((format!(":scheme {scheme}"), changed(base.get(), ":scheme", |_| scheme.to_owned())));
    }
    for (name, authority) in [
        ("somebody else's", "evil.example".to_owned()),
        ("a user before ours in", format!("x@{}", base.line.host())),
        ("ours as a user in", format!("{}@evil.example", base.line.host())),
        ("two names in", format!("{},evil.example", base.line.host())),
        ("a path in", format!("{}/x", base.line.host())),
        ("another port in", "localhost:1".to_owned()),
        ("a data plane's", "acct.blob.core.windows.net".to_owned()),
    ] {
        forms.push((format!("{name} :authority"), changed(base.get(), ":authority", |_| authority.clone())));
    }
    let swapped = with(changed(base.get(), ":authority", |_| "evil.example".to_owned()), &[("host", base.line.host())]);
    forms.push(("a foreign :authority and our host".to_owned(), swapped));
    forms.push(("two hosts".to_owned(), with(base.get(), &[("host", base.line.host()), ("host", base.line.host())])));
    for (name, path) in [
        ("an asterisk", "*".to_owned()),
        ("no slash", "subscriptions".to_owned()),
        ("a whole URL", format!("https://evil.example{}", base.path)),
        ("a request", format!("{} HTTP/1.1\r\nHost: x\r\n\r\nGET /hidden", base.path)),
        ("a version", format!("{} HTTP/1.1", base.path)),
        ("a tab", format!("{}\tx", base.path)),
    ] {
        forms.push((format!("{name} as :path"), changed(base.get(), ":path", |_| path.clone())));
    }
    for method in ["GET / HTTP/1.1\r\nHost: x\r\n\r\nGET", "get", "G(T", "TRACE", "OPTIONS", "CONNECT", "PRI"] {
        forms.push((format!(":method {}", method.escape_default()), changed(base.get(), ":method", |_| method.to_owned())));
    }
    let tunnel = without(without(changed(base.get(), ":method", |_| "CONNECT".to_owned()), ":path"), ":scheme");
    forms.push(("CONNECT as it is meant".to_owned(), tunnel));
    let extended = first(changed(base.get(), ":method", |_| "CONNECT".to_owned()), ":protocol", "websocket");
    forms.push(("CONNECT with :protocol".to_owned(), extended));
    forms
}

/// Bodies and trailers.
fn bodies(base: &Base<'_>) -> Vec<(String, Vec<u8>, Must)> {
    let announced = |length: &str| open(&with(base.put(), &[("content-length", length)]));
    let trailers = |more: &[(&str, &str)], flags: u8| {
        let fields: Vec<Field> = with(Vec::new(), more);
        [open(&base.put()), data("abcd", 0), frame(HEADERS, END_HEADERS | flags, 1, &block(&fields))].concat()
    };
    let padded = |pad: u8, text: &str| frame(DATA, END_STREAM | PADDED, 1, &[&[pad], text.as_bytes()].concat());
    let mut forms = vec![
        ("the sound request with a body", [announced("4"), data("abcd", END_STREAM)].concat(), Serve("abcd")),
        ("a body without a length", [open(&base.put()), data("abcd", END_STREAM)].concat(), Serve("abcd")),
        ("a length longer than the body", [announced("5"), data("abcd", END_STREAM)].concat(), Refuse),
        ("a length shorter than the body", [announced("3"), data("abcd", END_STREAM)].concat(), Refuse),
        ("a length of nothing before a body", [announced("0"), data("abcd", END_STREAM)].concat(), Refuse),
        ("a length and no body", announced("4").into_iter().chain(data("", END_STREAM)).collect(), Refuse),
        ("a length beyond all numbers", [announced("99999999999999999999"), data("abcd", END_STREAM)].concat(), Refuse),
        (
            "two equal lengths",
            [open(&with(base.put(), &[("content-length", "4"), ("content-length", "4")])), data("abcd", END_STREAM)].concat(),
            Refuse,
        ),
        (
            "two lengths",
            [open(&with(base.put(), &[("content-length", "4"), ("content-length", "0")])), data("abcd", END_STREAM)].concat(),
            Refuse,
        ),
        (
            "a transfer coding and chunks",
            [open(&with(base.put(), &[("transfer-encoding", "chunked")])), data("0\r\n\r\nGET /hidden HTTP/1.1\r\n\r\n", END_STREAM)]
                .concat(),
            Refuse,
        ),
        (
            "a request in the body",
            [open(&base.put()), data("GET /hidden HTTP/1.1\r\n\r\n", END_STREAM)].concat(),
            Serve("GET /hidden HTTP/1.1\r\n\r\n"),
        ),
        ("chunks in the body", [open(&base.put()), data("0\r\n\r\n", END_STREAM)].concat(), Serve("0\r\n\r\n")),
        ("trailers", trailers(&[("x-after", "1")], END_STREAM), Serve("abcd")),
        (
            "trailers that look like a caller",
            trailers(&[("authorization", "x"), ("x-ms-client-object-id", "x")], END_STREAM),
            Serve("abcd"),
        ),
        ("trailers that do not end the stream", trailers(&[("x-after", "1")], 0), Refuse),
        ("a pseudo-header field in trailers, which the library drops", trailers(&[(":path", "/hidden")], END_STREAM), Serve("abcd")),
        ("a field of the connection in trailers", trailers(&[("transfer-encoding", "chunked")], END_STREAM), Refuse),
        ("capitals in trailers", trailers(&[("X-After", "1")], END_STREAM), Refuse),
        ("a line end in trailers", trailers(&[("x-after", "1\r\nx-injected: 1")], END_STREAM), Refuse),
        ("padding", [open(&base.put()), padded(3, "abcd\0\0\0")].concat(), Serve("abcd")),
        ("padding longer than the frame", [open(&base.put()), padded(200, "abcd")].concat(), Refuse),
        ("a body that is taken back", [announced("8"), data("abcd", 0), crate::frames::reset(1)].concat(), TakeBack),
        ("a body that ends with the connection", [announced("8"), data("abcd", 0), frame(7, 0, 0, &[0; 8])].concat(), Refuse),
    ];
    forms.push(("cookies in crumbs", alone(&with(base.get(), &[("cookie", "a=1"), ("cookie", "b=2")])), Serve("")));
    forms.push(("te: trailers", alone(&with(base.get(), &[("te", "trailers")])), Serve("")));
    forms.push(("the sound request", alone(&base.get()), Serve("")));
    forms.push(("our host beside :authority", alone(&with(base.get(), &[("host", base.line.host())])), Serve("")));
    forms.into_iter().map(|(name, bytes, must)| (name.to_owned(), bytes, must)).collect()
}

/// Frames where they do not belong.
fn frames(base: &Base<'_>) -> Vec<(String, Vec<u8>, Must)> {
    let fields = block(&base.get());
    let on = |stream: u32, flags: u8| frame(HEADERS, flags, stream, &fields);
    let half = fields.len() / 2;
    let begun = frame(HEADERS, END_STREAM, 1, &fields[..half]);
    let rest = frame(CONTINUATION, END_HEADERS, 1, &fields[half..]);
    let own_parent = [&1_u32.to_be_bytes()[..], &[16], &fields].concat();
    let mut forms = vec![
        ("a head in two frames", [begun.clone(), rest.clone()].concat(), Serve("")),
        ("another frame within a head", [begun.clone(), frame(DATA, 0, 1, b"x"), rest.clone()].concat(), Refuse),
        ("settings within a head", [begun.clone(), frame(SETTINGS, 0, 0, &[]), rest.clone()].concat(), Refuse),
        ("a head of another stream within a head", [begun.clone(), on(3, END_HEADERS | END_STREAM), rest].concat(), Refuse),
        ("the rest of a head on another stream", [begun, frame(CONTINUATION, END_HEADERS, 3, &fields[half..])].concat(), Refuse),
        ("the rest of a head without its beginning", frame(CONTINUATION, END_HEADERS, 1, &fields), Refuse),
        ("a head on no stream", on(0, END_HEADERS | END_STREAM), Refuse),
        ("a head on a stream of the server's", on(2, END_HEADERS | END_STREAM), Refuse),
        ("a body before the head", frame(DATA, END_STREAM, 1, b"abcd"), Refuse),
        ("a body on no stream", frame(DATA, END_STREAM, 0, b"abcd"), Refuse),
        ("a promise of a client", frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2], fields.as_slice()].concat()), Refuse),
        ("a reset of a stream that was never open", frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]), Refuse),
        ("room on a stream that was never open", window_update(1, 1), Refuse),
        ("room of nothing", window_update(0, 0), Refuse),
        ("a head that depends on itself", frame(HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, 1, &own_parent), Refuse),
        (
            "a padded head whose padding is longer",
            frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, &[&[255], fields.as_slice()].concat()),
            Refuse,
        ),
        ("a priority of five bytes on no stream", frame(PRIORITY, 0, 0, &[0, 0, 0, 3, 16]), Refuse),
        ("settings with half an entry", frame(SETTINGS, 0, 0, &[0, 3, 0]), Refuse),
        ("fields that no table has", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x82, 0x87, 0xff, 0xff, 0x7f]), Refuse),
        ("text with a wrong end of Huffman's code", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x00, 0x81, 0x00, 0x00]), Refuse),
        (
            "a table larger than allowed",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&[0x3f, 0xff, 0xff, 0x7f], fields.as_slice()].concat()),
            Refuse,
        ),
        ("bytes that are no frames", b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), Refuse),
    ];
    let literal_twice = [literal(b":method", b"GET"), fields.clone()].concat();
    forms.push(("a method before the head's own", frame(HEADERS, END_HEADERS | END_STREAM, 1, &literal_twice), Refuse));
    forms.into_iter().map(|(name, bytes, must)| (name.to_owned(), bytes, must)).collect()
}

pub async fn messages() -> Forms {
    let (line, mut forms) = (Line::start("t19").await, Forms::default());
    let kinds = |base: &Base<'_>| -> Vec<Form> {
        let fields = fields(base).into_iter().map(|(name, fields)| (name, alone(&fields), Refuse));
        let all = bodies(base).into_iter().chain(fields).chain(frames(base));
        all.map(|(name, bytes, must)| Form { name, bytes, must }).collect()
    };
    let tag = |number: usize| format!("rg-form-{number:03}");
    let base =
        |number: usize| Base { line: &line, path: format!("{}/resourceGroups/{}?{V}", SHARED.subscription("alder-prod"), tag(number)) };
    for number in 0..kinds(&base(0)).len() {
        let form = kinds(&base(number)).swap_remove(number);
        let mut talk = Talk::open(&line.front.client).await;
        let _sent = talk.send(&form.bytes).await;
        let outcome = match form.must {
            TakeBack => Outcome::Silent,
            Refuse | Serve(_) => talk.outcome(1, PATIENCE).await,
        };
        let arrived = line.arrived(&tag(number));
        let whole: Vec<&str> = arrived.iter().filter(|request| request.whole).map(|request| request.digest.as_str()).collect();
        let is_success = matches!(outcome, Outcome::Answer { status: 200..300, .. });
        match form.must {
            Refuse => {
                let is_refused = !is_success && whole.is_empty() && outcome != Outcome::Silent;
                forms.holds(&form.name, is_refused, &format!("it is refused, and not {outcome}; the backend got {whole:?}"));
                forms.saw(&form.name, &outcome.to_string(), &outcome.to_string());
            }
            TakeBack => {
                let is_alive = talk.send(&frame(PING, 0, 0, &[0; 8])).await && talk.next_of(PING, ACK, PATIENCE).await.is_some();
                forms.holds(&form.name, is_alive && whole.is_empty(), "the connection lives on, and the backend receives nothing whole");
                forms.saw(&form.name, "no answer", "no answer");
            }
            Serve(body) => {
                forms.holds(&form.name, whole == [sha256(body.as_bytes())], "the backend receives it once, with this body");
                forms.saw(&form.name, &outcome.to_string(), "200");
            }
        }
        let foreign = ["x-injected", "hidden", "cookie", "x-after", "te:", "\r\nx:"];
        let is_clean = arrived.iter().all(|request| foreign.iter().all(|name| !request.head.to_ascii_lowercase().contains(name)));
        forms.holds(&form.name, is_clean, "the backend receives no field of it that the gateway does not pass on");
        forms.holds(&form.name, line.arrived("hidden").is_empty(), "nothing in it becomes a request");
    }
    line.front.drain().await;
    forms
}
