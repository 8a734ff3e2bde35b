//! What comes back: answers of the backend that would do harm, what others see of a caller, what is written, what tools can read.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::backend::{Act, Backend, Front, SHORT, json_answer};
use crate::common::client::{Answer, Call, PATIENCE, call, get, plain};
use crate::common::installation::SHARED;
use crate::common::signer;
use crate::gate::{Gate, Kept};
use crate::mint::{claiming, headed};
use crate::node::{self, Node};
use crate::table::{Forms, threats};

threats! {
    t14_an_answer_sends_nobody_elsewhere_and_tells_nothing_of_the_backend = answers,
        "links and redirects to foreign hosts, in headers, pages and the ends of operations, headers of the backend's own hop and trust, split heads, cross-origin headers",
        "links lead to the gateway or are dropped, redirects are not followed, headers of trust stay behind, the caller's token does not leave";
    t21_logs_and_records_hold_no_secret_and_no_line_of_a_client = logs,
        "tokens, queries, bodies and cookies with secrets; line ends, escape bytes, JSON and long texts in everything that is written down",
        "every line of the log is JSON of the gateway's own, each request has one record, neither holds a secret or a made-up line";
    t22_an_answer_is_its_askers = leaks,
        "answers longer or shorter than they say, left by their client, cacheable, with cookies; several callers on one connection",
        "no byte of an answer is seen by another caller; every request is judged by its own token";
    t26_every_refusal_can_be_read_by_tools = errors,
        "refusals of every stage, over both versions of HTTP",
        "JSON with code and message, ids in the headers, a challenge with 401 and nowhere else";
}

const V: &str = "api-version=2024-07-01";
const EVIL: &str = "https://evil.example/operations/1";

fn thing() -> Call {
    get(format!("{}/resourceGroups/rg-web-prod?{V}", SHARED.subscription("alder-prod")))
}

fn list() -> Call {
    get(format!("{}/resourceGroups?{V}", SHARED.subscription("alder-prod")))
}

/// An answer with these lines in its head.
fn headed_answer(status: &str, lines: &str, body: &str) -> Act {
    Act::Answer(format!("HTTP/1.1 {status}\r\n{lines}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

async fn answers() -> Forms {
    let (gate, mut forms) = (Gate::start("t14").await, Forms::default());
    links_in_headers(&gate, &mut forms).await;
    links_in_bodies(&gate, &mut forms).await;
    bodies_of_other_kinds(&gate, &mut forms).await;
    links_of_operations(&gate, &mut forms).await;
    waits(&gate, &mut forms).await;
    kept_back(&gate, &mut forms).await;
    broken_heads(&gate, &mut forms).await;
    cross_origin(&gate, &mut forms).await;
    let token = SHARED.token("operator").await;
    let nothing_leaves = gate.backend.log().arrived.iter().all(|request| !request.head.contains(&token));
    forms.holds("all of these", nothing_leaves, "the caller's token does not reach the backend");
    gate.front.drain().await;
    forms
}

/// Where an answer sends its client, as far as that is told: `gateway`, `nowhere` or the place itself.
fn leads(answer: &Answer, name: &str, ours: &str) -> String {
    match answer.header(name) {
        "" => "nowhere".to_owned(),
        link if link.starts_with(&format!("https://{ours}/")) => "to the gateway".to_owned(),
        link => format!("to {link}"),
    }
}

async fn links_in_headers(gate: &Gate, forms: &mut Forms) {
    let ours = gate.client().authority().to_owned();
    let own = format!("http://{}/subscriptions/x", gate.backend.address);
    let relative = format!("{}/operations/1", SHARED.subscription("alder-prod"));
    let made = || Call { method: "PUT".parse().unwrap(), ..thing() }.json(&json!({}));
    let places = [
        ("foreign", EVIL.to_owned(), "nowhere"),
        ("foreign without TLS", "http://evil.example/".to_owned(), "nowhere"),
        ("foreign without a scheme", "//evil.example/x".to_owned(), "nowhere"),
        ("behind a backslash", "/\\evil.example/x".to_owned(), "nowhere"),
        ("behind dots", "/subscriptions/../x".to_owned(), "nowhere"),
        ("our name as user", format!("https://{ours}@evil.example/"), "nowhere"),
        ("our name as beginning", format!("https://{ours}.evil.example/"), "nowhere"),
        ("our name without TLS", format!("http://{ours}/x"), "nowhere"),
        ("our host, another port", "https://localhost:1/x".to_owned(), "nowhere"),
        ("the backend's name as beginning", format!("http://{}.evil.example/x", gate.backend.address), "nowhere"),
        ("the backend's name as user", format!("http://{}@evil.example/x", gate.backend.address), "nowhere"),
        ("a script", "javascript:alert(1)".to_owned(), "nowhere"),
        ("data", "data:text/html,x".to_owned(), "nowhere"),
        ("no address", "evil".to_owned(), "nowhere"),
        ("a query", "?x=1".to_owned(), "nowhere"),
        ("the metadata service", "http://169.254.169.254/metadata".to_owned(), "nowhere"),
        ("the backend", own, "to the gateway"),
        ("a path", relative, "to the gateway"),
    ];
    for (form, link, expected) in &places {
        for name in ["Location", "Azure-AsyncOperation", "Operation-Location"] {
            for status in ["202 Accepted", "201 Created", "200 OK"] {
                gate.next.send_replace(headed_answer(status, &format!("{name}: {link}\r\n"), ""));
                let answer = gate.front.ask("operator", made()).await;
                if status == "202 Accepted" {
                    let observed = format!("{}; leads {}", answer.told(), leads(&answer, name, &ours));
                    forms.saw(&format!("{name} {form}"), &observed, &format!("202; leads {expected}"));
                }
                forms.holds(form, leads(&answer, name, &ours) == *expected, &format!("{status}: it leads {expected}"));
                forms.holds(form, !format!("{:?}", answer.headers).contains("//evil"), "nothing names the foreign host");
            }
        }
    }
    for name in ["Location", "Azure-AsyncOperation", "Operation-Location"] {
        gate.next.send_replace(headed_answer("202 Accepted", &format!("{name}: {EVIL}\r\n{name}: /x\r\n"), ""));
        let answer = gate.front.ask("operator", made()).await;
        forms.saw(&format!("{name} twice, a foreign one first"), &format!("202; leads {}", leads(&answer, name, &ours)), "202; leads");
        forms.holds(name, !format!("{:?}", answer.headers).contains("evil"), "nothing names the foreign host");
        let before = gate.arrived();
        gate.next.send_replace(headed_answer("307 X", &format!("{name}: {EVIL}\r\n"), ""));
        let answer = gate.front.ask("operator", thing()).await;
        forms.saw(
            &format!("a redirect: {name} foreign"),
            &format!("{}; leads {}; not followed", answer.told(), leads(&answer, name, &ours)),
            "307",
        );
        forms.holds(name, gate.arrived() == before + 1, "the gateway does not follow");
        forms.holds(
            name,
            name == "Location" || leads(&answer, name, &ours) == "nowhere",
            "only a redirect's own header may name a foreign host",
        );
    }
    for status in ["301 X", "302 X", "303 X", "308 X"] {
        let before = gate.arrived();
        gate.next.send_replace(headed_answer(status, &format!("Location: http://{}/other\r\n", gate.backend.address), ""));
        let answer = gate.front.ask("operator", thing()).await;
        forms.saw(
            &format!("a redirect {} to the backend", &status[..3]),
            &format!("{}; leads {}", answer.told(), leads(&answer, "location", &ours)),
            &format!("{}; leads to the gateway", &status[..3]),
        );
        forms.holds(status, gate.arrived() == before + 1, "the gateway does not follow");
    }
}

async fn links_in_bodies(gate: &Gate, forms: &mut Forms) {
    let json_kind = "Content-Type: application/json\r\n";
    let own = format!("http://{}/next", gate.backend.address);
    for name in ["nextLink", "NextLink", "NEXTLINK", "@odata.nextLink", "odata.nextLink", "@nextLink"] {
        for (form, link) in [
            ("foreign", json!("https://evil.example/next")),
            ("foreign without a scheme", json!("//evil.example/next")),
            ("in a list", json!(["https://evil.example/next"])),
            ("in an object", json!({ "href": "https://evil.example/next" })),
        ] {
            gate.next.send_replace(headed_answer("200 OK", json_kind, &json!({ "value": [], name: link }).to_string()));
            page(gate, forms, &format!("a page: {name} {form}")).await;
        }
    }
    for (form, status, lines, body) in [
        ("of no type", "200 OK", "", json!({ "value": [], "nextLink": EVIL }).to_string()),
        ("of a type in capitals", "200 OK", "Content-Type: APPLICATION/JSON\r\n", json!({ "value": [], "nextLink": EVIL }).to_string()),
        ("with status 202", "202 Accepted", json_kind, json!({ "value": [], "nextLink": EVIL }).to_string()),
        ("the link twice, a foreign one last", "200 OK", json_kind, format!(r#"{{"nextLink":"{own}","nextLink":"{EVIL}","value":[]}}"#)),
        ("the link twice, a foreign one first", "200 OK", json_kind, format!(r#"{{"nextLink":"{EVIL}","nextLink":"{own}","value":[]}}"#)),
        ("the link twice, then nothing", "200 OK", json_kind, format!(r#"{{"nextLink":"{EVIL}","nextLink":null,"value":[]}}"#)),
        ("the link in properties", "200 OK", json_kind, json!({ "properties": { "nextLink": EVIL, "rows": [] } }).to_string()),
        ("the link in escapes", "200 OK", json_kind, format!(r#"{{"value":[],"next\u004cink":"{EVIL}"}}"#)),
        ("behind a byte order mark", "200 OK", json_kind, format!("\u{feff}{{\"value\":[],\"nextLink\":\"{EVIL}\"}}")),
        (
            "said to be compressed",
            "200 OK",
            "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
            json!({ "nextLink": EVIL }).to_string(),
        ),
        ("half of it", "200 OK", json_kind, format!(r#"{{"nextLink":"{EVIL}","value":["#)),
    ] {
        gate.next.send_replace(headed_answer(status, lines, &body));
        page(gate, forms, &format!("a page: {form}")).await;
    }
    gate.next.send_replace(headed_answer("200 OK", json_kind, &json!({ "value": [], "nextLink": own }).to_string()));
    let answer = gate.front.ask("operator", list()).await;
    let leads = answer.json()["nextLink"].as_str().is_some_and(|link| link.starts_with(&format!("https://{}/", gate.client().authority())));
    forms.saw("a page: the next one at the backend", &answer.told(), "200");
    forms.holds("a page: the next one at the backend", leads, "it leads to the gateway");
}

async fn page(gate: &Gate, forms: &mut Forms, form: &str) {
    let answer = gate.front.ask("operator", list()).await;
    let stays = !String::from_utf8_lossy(&answer.body).contains("evil");
    forms.saw(form, &format!("{}{}", answer.told(), if answer.status.is_success() { "; without it" } else { "" }), answer.status.as_str());
    forms.holds(form, stays, "nothing names the foreign host");
    forms.holds(form, answer.status.is_success() || answer.status == 502, "it is cleaned or refused");
}

/// What is not said to be JSON, and what not every reader takes for the same JSON.
async fn bodies_of_other_kinds(gate: &Gate, forms: &mut Forms) {
    let page_of = |link: &str| json!({ "value": [], "nextLink": link }).to_string();
    let list_of = page_of(EVIL);
    let deep = format!(r#"{{"value":{}{},"nextLink":"{EVIL}"}}"#, "[".repeat(200), "]".repeat(200));
    let json_kind = "application/json";
    for (form, kind, body) in [
        ("said to be XML", "application/xml", list_of.clone()),
        ("said to be text", "text/plain", list_of.clone()),
        ("said to be bytes", "application/octet-stream", list_of.clone()),
        ("said to be bytes, behind blanks", "application/octet-stream", format!("{}{list_of}", " \r\n\t".repeat(10_000))),
        ("said to be text, behind two marks", "text/plain", format!("\u{feff}\u{feff}{list_of}")),
        ("said to be text, behind a comment", "text/plain", format!("/* x */{list_of}")),
        ("said to be text, in single quotes", "text/plain", list_of.replace('"', "'")),
        ("with NaN", json_kind, list_of.replace("[]", "NaN")),
        ("with half a character", json_kind, list_of.replace("[]", "\"\\ud800\"")),
        ("with a number too large", json_kind, list_of.replace("[]", "1e999")),
        ("with much in each other", json_kind, deep),
        ("in UTF-7", "application/json; charset=utf-7", list_of.replace("nextLink", "next+AEw-ink")),
        ("in a charset said oddly", "application/json; charset*=utf-8''utf-7", list_of.clone()),
        ("said to be text and compressed", "text/plain\r\nContent-Encoding: gzip", list_of.clone()),
        ("compressed in the second place", "application/json\r\nContent-Encoding: identity\r\nContent-Encoding: gzip", list_of.clone()),
        ("with a letter that folds", json_kind, list_of.replace("nextLink", "nextLin\u{212a}")),
    ] {
        for status in ["200 OK", "201 Created", "202 Accepted"] {
            gate.next.send_replace(headed_answer(status, &format!("Content-Type: {kind}\r\n"), &body));
            page(gate, forms, &format!("a page: {form}, {}", &status[..3])).await;
        }
    }
    gate.next.send_replace(headed_answer("200 OK", "", &format!("\u{feff}{list_of}")));
    page(gate, forms, "a page: of no type, behind a byte order mark").await;
    let own = format!("http://{}/next", gate.backend.address);
    gate.next.send_replace(headed_answer("200 OK", "Content-Type: text/plain\r\n", &format!("\u{feff}{}", page_of(&own))));
    let answer = gate.front.ask("operator", list()).await;
    forms.saw("a page: said to be text, the next one at the backend", &answer.told(), "200");
    forms.holds(
        "the next one",
        answer.json()["nextLink"] == format!("https://{}/next", gate.client().authority()),
        "it leads to the gateway",
    );
    for (form, kind, body) in [
        ("XML", "Content-Type: application/xml\r\n", format!("<publishData a=\"{EVIL}\"/>")),
        ("a script", "Content-Type: text/powershell\r\n", "[CmdletBinding()] param()".to_owned()),
        ("a path", "Content-Type: text/plain\r\n", "/subscriptions/x".to_owned()),
        ("bytes", "Content-Type: application/octet-stream\r\n", "\0\0\0\0PK\u{3}\u{4}{}".to_owned()),
        ("text of no type", "", "plain".to_owned()),
    ] {
        gate.next.send_replace(headed_answer("200 OK", kind, &body));
        let answer = gate.front.ask("operator", list()).await;
        forms.saw(&format!("a page: {form}"), &answer.told(), "200");
        forms.holds(form, answer.body == body && answer.header("content-length") == body.len().to_string(), "it comes as it is");
    }
}

/// Where a client is sent by the end of an operation, by its status, and by what it finds there.
async fn links_of_operations(gate: &Gate, forms: &mut Forms) {
    let json_kind = "Content-Type: application/json\r\n";
    let alder = SHARED.subscription("alder-prod");
    let provider = format!("{alder}/resourceGroups/rg-web-prod/providers/Microsoft.Compute");
    let body = |name: &str, link: &str| json!({ "status": "Succeeded", "value": [], name: link }).to_string();
    let own = format!("http://{}{alder}/next", gate.backend.address);
    for kind in ["operationResults", "operationStatuses", "locations/west/operations", "locations/west/asyncOperations", "operationsStatus"]
    {
        let polled = || get(format!("{provider}/{kind}/1?{V}"));
        for name in ["nextLink", "resourceLocation", "ResourceLocation", "re\u{17f}ourceLocation"] {
            gate.next.send_replace(headed_answer("200 OK", json_kind, &body(name, EVIL)));
            led_nowhere(gate, forms, &format!("{kind}: {name} foreign"), polled()).await;
            gate.next.send_replace(headed_answer("200 OK", json_kind, &body(name, &own)));
            let answer = gate.front.ask("operator", polled()).await;
            let leads = answer.json()[name] == format!("https://{}{alder}/next", gate.client().authority());
            forms.holds(kind, leads, "a link to the backend leads to the gateway");
        }
    }
    gate.next.send_replace(headed_answer("200 OK", json_kind, &body("resourceLocation", "west europe")));
    let answer = gate.front.ask("operator", get(format!("{provider}/operationResults/1?{V}"))).await;
    forms.saw("operationResults: a region", &answer.told(), "200");
    forms.holds("a region", answer.json()["resourceLocation"] == "west europe", "what is no link stays");
    let made = || Call { method: "PUT".parse().unwrap(), ..thing() }.json(&json!({}));
    for (form, kind) in
        [("", "application/json"), (", said to be text", "text/plain"), (", compressed", "application/json\r\nContent-Encoding: gzip")]
    {
        for status in ["200 OK", "201 Created", "202 Accepted"] {
            let lines = format!("Content-Type: {kind}\r\nAzure-AsyncOperation: {alder}/operations/1\r\n");
            gate.next.send_replace(headed_answer(status, &lines, &body("resourceLocation", EVIL)));
            led_nowhere(gate, forms, &format!("a write that began an operation{form}, {}", &status[..3]), made()).await;
        }
    }
    // Whatever the place is called.
    let disk = |name: &str| format!("{provider}/disks/{name}?{V}");
    for (place, status, lines, sent) in [
        ("d1", "202 Accepted", "Location", json!({})),
        ("d2", "200 OK", "Location", json!({})),
        ("d3", "200 OK", "Azure-AsyncOperation", json!({})),
        ("d4", "307 X", "Location", json!({})),
        ("d5", "200 OK", "", json!({ "nextLink": disk("d5") })),
    ] {
        let header = if lines.is_empty() { String::new() } else { format!("{lines}: {}\r\n", disk(place)) };
        gate.next.send_replace(headed_answer(status, &format!("{json_kind}{header}"), &sent.to_string()));
        gate.front.ask("operator", list()).await;
        gate.next.send_replace(headed_answer("200 OK", json_kind, &body("nextLink", EVIL)));
        led_nowhere(
            gate,
            forms,
            &format!("a disk that {} with {} led to", if lines.is_empty() { "a page" } else { lines }, &status[..3]),
            get(disk(place)),
        )
        .await;
    }
    gate.next.send_replace(headed_answer("202 Accepted", &format!("Azure-AsyncOperation: {}\r\n", disk("self")), ""));
    let written = call("PUT", disk("self")).json(&json!({}));
    gate.front.ask("operator", written).await;
    gate.next.send_replace(headed_answer("200 OK", json_kind, &body("resourceLocation", EVIL)));
    led_nowhere(gate, forms, "a disk whose own operation it is", get(disk("self"))).await;
}

async fn led_nowhere(gate: &Gate, forms: &mut Forms, form: &str, sent: Call) {
    let answer = gate.front.ask("operator", sent).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    forms.saw(form, &format!("{}; without it", answer.told()), answer.status.as_str());
    forms.holds(form, !text.contains("evil"), "nothing names the foreign host");
    forms.holds(form, answer.status.is_success(), "the operation is not lost");
}

async fn waits(gate: &Gate, forms: &mut Forms) {
    for (name, wait, stays) in [
        ("Retry-After", "86400", true),
        ("Retry-After", "86401", false),
        ("Retry-After", "99999999999999999999", false),
        ("Retry-After", "-1", false),
        ("Retry-After", "1e9", false),
        ("Retry-After", "soon", false),
        ("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT", true),
        ("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT", false),
        ("retry-after-ms", "86400000", true),
        ("retry-after-ms", "86400001", false),
        ("x-ms-retry-after-ms", "99999999999999999999", false),
    ] {
        gate.next.send_replace(headed_answer("429 X", &format!("{name}: {wait}\r\n"), "{}"));
        let answer = gate.front.ask("operator", thing()).await;
        let expected = if stays { "as it is" } else { "without it" };
        let observed = if answer.header(name) == wait { "as it is" } else { "without it" };
        forms.saw(&format!("an answer's {name}: {wait}"), &format!("{}; {observed}", answer.status.as_str()), &format!("429; {expected}"));
    }
}

async fn kept_back(gate: &Gate, forms: &mut Forms) {
    for name in [
        "Server",
        "X-Powered-By",
        "Set-Cookie",
        "Set-Cookie2",
        "WWW-Authenticate",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Authorization",
        "Via",
        "Alt-Svc",
        "Link",
        "Refresh",
        "Content-Location",
        "Referer",
        "Clear-Site-Data",
        "NEL",
        "Report-To",
        "Reporting-Endpoints",
        "SourceMap",
        "X-SourceMap",
        "Content-Security-Policy-Report-Only",
        "Service-Worker-Allowed",
        "Accept-CH",
        "Authentication-Info",
        "Critical-CH",
        "Expect-CT",
        "Proxy-Authentication-Info",
        "Proxy-Status",
        "Public-Key-Pins",
        "Public-Key-Pins-Report-Only",
        "Speculation-Rules",
        "X-Accel-Redirect",
        "X-Sendfile",
        "X-Lighttpd-Send-File",
        "X-AspNet-Version",
        "X-AspNetMvc-Version",
        "X-Backend-Server",
        "X-Forwarded-For",
        "Access-Control-Allow-Origin",
        "Access-Control-Allow-Credentials",
        "Access-Control-Expose-Headers",
        "Access-Control-Allow-Anything",
        "Timing-Allow-Origin",
        "Cross-Origin-Resource-Policy",
        "x-ms-client-object-id",
        "x-ms-client-tenant-id",
        "x-ms-client-principal-name",
        "x-ms-client-anything",
        "x-ms-home-tenant-id",
        "x-ms-management-group-ancestors",
        "x-ms-request-id",
        "x-ms-correlation-request-id",
        "x-ms-routing-request-id",
        "x-ms-failure-cause",
        "x-steward-revision",
        "x-steward-flag",
        "Strict-Transport-Security",
        "X-Content-Type-Options",
        "Connection: x-hop\r\nX-Hop",
        "Keep-Alive",
        "Proxy-Connection",
        "Upgrade",
    ] {
        gate.next.send_replace(headed_answer("200 OK", &format!("Content-Type: application/json\r\n{name}: made-up\r\n"), "{}"));
        let answer = gate.front.ask("operator", thing()).await;
        let stays = !format!("{:?}", answer.headers).contains("made-up");
        let shown = name.split("\r\n").last().unwrap_or_default();
        let observed = if stays { format!("{}; without it", answer.told()) } else { format!("{}; passed on", answer.told()) };
        forms.saw(&format!("an answer's {shown}"), &observed, answer.status.as_str());
        forms.holds(shown, stays || !FORBIDDEN.contains(&shown.to_ascii_lowercase().as_str()), "the client does not get it");
    }
}

/// Names that the client must not get from a backend, whatever else it gets.
const FORBIDDEN: [&str; 52] = [
    "server",
    "x-powered-by",
    "set-cookie",
    "set-cookie2",
    "www-authenticate",
    "proxy-authenticate",
    "proxy-authorization",
    "authorization",
    "via",
    "alt-svc",
    "link",
    "refresh",
    "content-location",
    "referer",
    "clear-site-data",
    "nel",
    "report-to",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-expose-headers",
    "access-control-allow-anything",
    "x-ms-client-object-id",
    "x-ms-client-tenant-id",
    "x-ms-client-principal-name",
    "x-ms-client-anything",
    "x-ms-home-tenant-id",
    "x-ms-management-group-ancestors",
    "x-ms-request-id",
    "x-hop",
    "keep-alive",
    "upgrade",
    "proxy-connection",
    "content-security-policy-report-only",
    "reporting-endpoints",
    "sourcemap",
    "x-sourcemap",
    "x-ms-failure-cause",
    "service-worker-allowed",
    "x-aspnet-version",
    "x-aspnetmvc-version",
    "accept-ch",
    "authentication-info",
    "critical-ch",
    "expect-ct",
    "proxy-authentication-info",
    "proxy-status",
    "public-key-pins",
    "public-key-pins-report-only",
    "speculation-rules",
    "x-accel-redirect",
    "x-sendfile",
    "x-lighttpd-send-file",
];

async fn broken_heads(gate: &Gate, forms: &mut Forms) {
    for (form, bytes) in [
        ("a carriage return in a value", "HTTP/1.1 200 OK\r\nX-A: a\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n"),
        ("a folded value", "HTTP/1.1 200 OK\r\nX-A: a\r\n Set-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n"),
        ("NUL in a value", "HTTP/1.1 200 OK\r\nX-A: a\0evil\r\nContent-Length: 0\r\n\r\n"),
        ("a blank before the colon", "HTTP/1.1 200 OK\r\nSet-Cookie : evil=1\r\nContent-Length: 0\r\n\r\n"),
        ("a line without a colon", "HTTP/1.1 200 OK\r\nevil\r\nContent-Length: 0\r\n\r\n"),
        ("no status", "HTTP/1.1\r\nContent-Length: 0\r\n\r\n"),
        ("a status of four digits", "HTTP/1.1 2000 evil\r\nContent-Length: 0\r\n\r\n"),
        ("status 099", "HTTP/1.1 099 evil\r\nContent-Length: 0\r\n\r\n"),
        ("status 101", "HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: evil\r\n\r\nevil"),
        ("status 401", "HTTP/1.1 401 X\r\nWWW-Authenticate: Basic realm=\"evil\"\r\nContent-Length: 4\r\n\r\nevil"),
        (
            "status 401 with a challenge of the connection",
            "HTTP/1.1 401 X\r\nWWW-Authenticate: Negotiate evil\r\nContent-Length: 0\r\n\r\n",
        ),
        ("status 407", "HTTP/1.1 407 X\r\nProxy-Authenticate: Basic realm=\"evil\"\r\nContent-Length: 0\r\n\r\n"),
        ("no HTTP", "\x16\x03\x01 evil\r\n\r\n"),
        ("nothing", ""),
    ] {
        gate.next.send_replace(Act::Close(bytes.as_bytes().to_vec()));
        let answer = gate.front.ask("operator", thing()).await;
        let text = format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body));
        forms.saw(&format!("a head: {form}"), &answer.told(), answer.status.as_str());
        forms.holds(
            form,
            !text.contains("evil") && !text.contains(&gate.backend.address.port().to_string()),
            "nothing of it and of the backend's address is told",
        );
        forms.holds(form, answer.status == 502 || form == "status 407" || form == "a folded value", "it is a bad gateway");
    }
}

async fn cross_origin(gate: &Gate, forms: &mut Forms) {
    gate.next.send_replace(Act::Answer(json_answer("200 OK", "{}")));
    let has_none = |answer: &Answer| !answer.headers.keys().any(|name| name.as_str().starts_with("access-control-"));
    for origin in ["https://evil.example", "null", "https://portal.azure.com"] {
        let asked = call("OPTIONS", thing().target).header("origin", origin).header("access-control-request-method", "DELETE");
        let answer = gate.refused(forms, &format!("a question before a request of {origin}"), asked, "405 HttpMethodNotAllowed").await;
        forms.holds(origin, has_none(&answer), "no origin is allowed");
        let answer = gate.front.ask("operator", thing().header("origin", origin)).await;
        forms.saw(&format!("a request of {origin}"), &format!("{}; no origin is allowed", answer.told()), "200");
        forms.holds(origin, has_none(&answer), "no origin is allowed");
    }
}

async fn logs() -> Forms {
    let mut forms = Forms::default();
    let backend = Backend::start(|request, _| match request.head.contains("/rg-broken") {
        true => Act::Close(b"HTTP/1.1 200 s3cr3t-answer\r\ns3cr3t-answer\r\n\r\n".to_vec()),
        false => Act::Answer(json_answer("200 OK", r#"{"keys":["s3cr3t-answer"]}"#)),
    })
    .await;
    let mut node = Node::new("t21", 1, &format!("http://{}", backend.address), "sqlite:state.db");
    node.logs = "trace,h2=info,hyper=info,rustls=info";
    node.started().await;
    let base = format!("http://{}", node.address);
    let authority = format!("localhost:{}", node.address.port());
    let token = node::owner();
    let target = format!("{}/resourceGroups/rg?{V}", node::subscription(0));
    let at = |tail: &str| format!("{}{tail}", target.replace("/rg?", "/rg-broken?"));
    let forged = "\",\"level\":\"ERROR\",\"forged\":\"f0rged";
    let mut sent: Vec<(&str, Call)> = vec![
        ("secrets in the query", get(format!("{target}&sig=s3cr3t-sas&code=s3cr3t-code")).bearer(&token)),
        ("secrets in the body", call("PUT", &*target).json(&json!({ "properties": { "adminPassword": "s3cr3t-body" } })).bearer(&token)),
        ("secrets in a body that cannot be read", Call { body: "{\"p\":\"s3cr3t-body\",".into(), ..call("PUT", &*target) }.bearer(&token)),
        (
            "secrets in cookies and other headers",
            get(&*target).header("cookie", "s3cr3t-cookie").header("x-api-key", "s3cr3t-header").bearer(&token),
        ),
        ("secrets in an auxiliary token", get(&*target).header("x-ms-authorization-auxiliary", "Bearer s3cr3t-auxiliary").bearer(&token)),
        ("secrets as a password", get(&*target).header("authorization", "Basic s3cr3t-basic")),
        ("secrets in a token that is none", get(&*target).bearer("s3cr3t-token.s3cr3t-token.s3cr3t-token")),
        ("secrets in the claims of a token", get(&*target).bearer(&claiming(&json!({ "password": "s3cr3t-claim", "exp": 1 })))),
        ("secrets in the answer of the backend", get(&*target).bearer(&token)),
        ("an answer that is none", get(at("")).bearer(&token)),
        ("a line end in the path", get(target.replace("/rg?", "/rg%0d%0af0rged?")).bearer(&token)),
        ("JSON in the path", get(target.replace("/rg?", "/rg%22,%22f0rged%22:%22?")).bearer(&token)),
        ("escape bytes in the path", get(target.replace("/rg?", "/rg%1b%5b2Jf0rged?")).bearer(&token)),
        ("a line end in a key name", get(&*target).bearer(&headed(&json!({ "kid": "a\r\n{\"f0rged\":1}" })))),
        ("escape bytes in an issuer", get(&*target).bearer(&claiming(&json!({ "iss": format!("\u{1b}[2J\n{{\"f0rged\":1}}{forged}") })))),
        ("JSON in a name", get(&*target).header("user-agent", forged).bearer(&token)),
        (
            "JSON in ids",
            get(&*target).header("x-ms-client-request-id", forged).header("x-ms-correlation-request-id", forged).bearer(&token),
        ),
        ("JSON in the command", get(&*target).header("commandname", forged).header("parametersetname", forged).bearer(&token)),
        ("JSON in traces", get(&*target).header("traceparent", forged).header("tracestate", forged).bearer(&token)),
        ("a foreign host", get(&*target).header("host", "f0rged.example").bearer(&token)),
        ("a long name", get(&*target).header("user-agent", &"L".repeat(8_000)).bearer(&token)),
        ("a long path", get(target.replace("/rg?", &format!("/{}?", "l".repeat(7_000)))).bearer(&token)),
        ("long ids", get(&*target).header("x-ms-client-request-id", &"L".repeat(8_000)).bearer(&token)),
        ("a long token that is none", get(&*target).bearer(&"L".repeat(12_000))),
    ];
    let mut ids = Vec::new();
    for (form, call) in sent.drain(..) {
        let call = if call.headers.iter().any(|(name, _)| name == "host") { call } else { call.header("host", &authority) };
        let answer = plain(&base, call).await;
        forms.saw(form, &format!("{}; one record, nothing of it in the log", answer.told()), answer.status.as_str());
        ids.push((form, answer.request_id().to_owned()));
    }
    let long =
        raw(&node, format!("{} /{} HTTP/1.1\r\nHost: {authority}\r\nX: f0rged\x1b\r\n\r\n", "M".repeat(2_000), "l".repeat(3_000))).await;
    forms.saw("a long method", &format!("{long}; nothing of it in the log"), &long);
    for (form, id) in ids {
        let record = node.admin(get(format!("/api/records/{id}"))).await;
        let text = String::from_utf8_lossy(&record.body).into_owned();
        forms.holds(form, record.status == 200, "it is recorded");
        forms.holds(form, !text.contains("s3cr3t") && !text.contains(&token) && !text.contains("eyJ"), "the record has no secret");
        let short = text.len() < RECORD_BYTES && !text.contains('\u{1b}');
        forms.holds(form, short, &format!("the record is short and printable: {} bytes", text.len()));
    }
    node.terminated().await;
    written(&node, &mut forms, &token);
    forms
}

/// Bytes of one record as JSON.
const RECORD_BYTES: usize = 6 * 1024;

async fn raw(node: &Node, text: String) -> String {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    let exchange = async {
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ended = stream.read_to_end(&mut answer).await.is_ok();
        String::from_utf8_lossy(&answer).into_owned()
    };
    crate::gate::told(&tokio::time::timeout(PATIENCE, exchange).await.expect("the connection is closed in time"))
}

/// Every line is the gateway's own, in the log and in the files of the records.
fn written(node: &Node, forms: &mut Forms, token: &str) {
    let log = node.log();
    // What the program says to whoever started it is no part of the log.
    for line in log.lines().filter(|line| !line.starts_with("steward ")) {
        let said = serde_json::from_str::<Value>(line);
        forms.holds("the log", said.as_ref().is_ok_and(|said| said["level"].is_string() && said.get("forged").is_none()), line);
        forms.holds("the log", line.len() < 4096, "a line is short");
    }
    let folder = node.folder.join("records");
    for entry in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        forms.holds("the records", !text.contains("s3cr3t") && !text.contains(token) && !text.contains('\u{1b}'), "no secret is in them");
        forms.holds("the records", text.lines().all(|line| !line.starts_with("{\"f0rged")), "no line of a client is in them");
    }
    for word in ["s3cr3t", "f0rged", token, "eyJ", "LLLLLLLL", "\u{1b}"] {
        forms.holds("the log", !log.contains(word), "nothing of a client's making is in it");
    }
}

async fn leaks() -> Forms {
    let mut forms = Forms::default();
    // Each answer names the caller that the request named.
    let backend = Backend::start(|request, before| {
        let caller = request.head.lines().find_map(|line| line.strip_prefix("x-ms-client-object-id: ")).unwrap_or_default();
        let whole = json_answer("200 OK", &json!({ "caller": caller }).to_string());
        let path = request.head.split(' ').nth(1).unwrap_or_default().to_owned();
        let secret = json_answer("200 OK", r#"{"caller":"somebody else"}"#);
        let with = |lines: &str| String::from_utf8(whole.clone()).unwrap().replacen("\r\n", &format!("\r\n{lines}"), 1).into_bytes();
        match path.split("/rg-").nth(1).and_then(|rest| rest.split('?').next()).unwrap_or_default() {
            "surplus" => Act::Answer([whole, secret].concat()),
            "surplus-line" => Act::Answer([whole, b"\r\n".to_vec()].concat()),
            "short" => Act::Close(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"caller\":\"somebody else\"".to_vec()),
            "204" => Act::Answer([b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), secret].concat()),
            "304" => Act::Answer([b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec(), secret].concat()),
            "early" => Act::Answer([b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec(), whole].concat()),
            "close" => Act::Answer(with("Connection: close\r\n")),
            "chunks" => {
                Act::Answer([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n".to_vec(), secret].concat())
            }
            "cache" => Act::Answer(with(
                "Cache-Control: public, max-age=3600\r\nETag: \"x\"\r\nExpires: Thu, 01 Jan 2099 00:00:00 GMT\r\nAge: 1\r\n",
            )),
            "cookie" => Act::Answer(with("Set-Cookie: session=somebody; Path=/\r\n")),
            "hang" if before.is_multiple_of(2) => Act::Hang,
            _ => Act::Answer(whole),
        }
    })
    .await;
    let more = format!("first_byte_time_ms_max = {}\n", SHORT.as_millis());
    let front = Front::start("t22", &format!("http://{}", backend.address), &more).await;
    let gate = Gate { front, backend, next: tokio::sync::watch::channel(Act::Hang).0 };
    for form in ["plain", "surplus", "surplus-line", "short", "204", "304", "early", "close", "chunks", "cache", "cookie", "hang"] {
        let name = match form {
            "plain" => "sound answers",
            "surplus" => "answers with a second answer behind",
            "surplus-line" => "answers with an empty line behind",
            "short" => "answers that end too early",
            "204" => "answers without content, with content",
            "304" => "answers of what did not change, with content",
            "early" => "answers with an early one before",
            "close" => "answers that close",
            "chunks" => "answers in chunks with another behind",
            "cache" => "answers that may be kept",
            "cookie" => "answers with a cookie",
            _ => "answers that do not come",
        };
        alternating(&gate, &mut forms, name, form).await;
    }
    connections(&gate, &mut forms).await;
    gate.front.drain().await;
    forms
}

/// Two callers ask in turn: each sees itself or an error.
async fn alternating(gate: &Gate, forms: &mut Forms, name: &str, form: &str) {
    let target = |form: &str| get(format!("{}/resourceGroups/rg-{form}?{V}", SHARED.subscription("alder-prod")));
    let mut others = 0;
    for number in 0..6 {
        let identity = if number % 2 == 0 { "reader" } else { "operator" };
        let own = SHARED.demo.world.identities[identity].object_id.to_string();
        let token = SHARED.token(identity).await;
        for sent in [target(form), target("plain")] {
            let before = gate.arrived();
            let answered = gate.client().try_send("localhost", sent.clone().bearer(&token)).await;
            let text = answered.as_ref().map(|answer| String::from_utf8_lossy(&answer.body).into_owned()).unwrap_or_default();
            let is_plain = sent.target == target("plain").target;
            others += usize::from(text.contains("caller") && !text.contains(&own));
            forms.holds(name, !is_plain || answered.is_ok_and(|answer| answer.status == 200), "the next request is served");
            let asked = gate.backend.log().arrived[before..].iter().any(|request| request.head.contains(&own));
            forms.holds(name, asked, "the backend is asked for each");
            forms.holds(
                name,
                !gate.backend.log().arrived[before..].iter().any(|request| request.head.contains("session=")),
                "no cookie is sent back",
            );
        }
    }
    forms.saw(name, &format!("{others} answers of others"), "0 answers of others");
}

async fn connections(gate: &Gate, forms: &mut Forms) {
    let [reader, operator] = [SHARED.token("reader").await, SHARED.token("operator").await];
    let target = || thing();
    let mut kept = Kept::open(gate.client()).await;
    forms.saw("a connection of a proven caller", &kept.told(target().bearer(&reader)).await, "200");
    forms.saw("the same connection without a token", &kept.told(target()).await, "401 AuthenticationFailed token.missing");
    forms.saw("the same connection with a forged token", &kept.told(target().bearer("a.b.c")).await, "401 InvalidAuthenticationToken");
    let rival = SHARED.token("rival").await;
    forms.saw("the same connection with a stranger's token", &kept.told(target().bearer(&rival)).await, "404 SubscriptionNotFound");
    for (form, token, identity) in
        [("the same connection with another token", &operator, "operator"), ("the same connection with the first token", &reader, "reader")]
    {
        let own = SHARED.demo.world.identities[identity].object_id.to_string();
        let answers = [kept.over_h1(target().bearer(token)).await, kept.over_h2(target().bearer(token)).await];
        forms.saw(form, &answers[0].told(), "200");
        forms.holds(form, answers.iter().all(|answer| answer.json()["caller"] == own), "each sees itself");
    }
    let host = gate.client().authority();
    let one = |token: &str, more: &str| {
        format!("GET {} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{more}\r\n", target().target)
    };
    let burst =
        [one(&reader, ""), one(&operator, ""), one("a.b.c", ""), one(&operator, ""), one(&reader, "Connection: close\r\n")].concat();
    let answers = gate.client().raw(burst.as_bytes()).await;
    let callers: Vec<&str> = answers.split("\"caller\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let id = |identity: &str| SHARED.demo.world.identities[identity].object_id.to_string();
    forms.saw("five requests of two callers at once on one connection", &crate::gate::told(&answers), "200, then 200, then 401");
    forms.holds(
        "five requests at once",
        callers == [id("reader"), id("operator"), id("operator"), id("reader")],
        "the answers come in order",
    );
    // Whoever leaves early leaves nothing behind for the next one.
    for _ in 0..4 {
        let mut stream = gate.client().connect("localhost", b"http/1.1").await.unwrap();
        stream.write_all(one(&operator, "").as_bytes()).await.unwrap();
        drop(stream);
        let answer = gate.client().send(target().bearer(&reader)).await;
        forms.holds("a client that leaves early", answer.json()["caller"] == id("reader"), "the next one sees itself");
    }
    forms.saw("a client that leaves early", "0 answers of others", "0 answers of others");
}

async fn errors() -> Forms {
    let (gate, mut forms) = (Gate::start("t26").await, Forms::default());
    let token = SHARED.token("operator").await;
    let with = |method: &str, target: String| call(method, target).bearer(&token);
    let at = |tail: &str| format!("{}{tail}?{V}", SHARED.subscription("alder-prod"));
    let expired = SHARED.mint("operator", "https://management.azure.com/", None, std::time::Duration::from_hours(48)).await;
    let elsewhere = json!({ "id": SHARED.subscription("lynx-main") });
    let refused: Vec<(&str, Call)> = vec![
        ("no token", thing()),
        ("a forged token", thing().bearer("a.b.c")),
        ("a token that ran out", thing().bearer(&expired)),
        ("a token of another service", thing().bearer(&claiming(&json!({ "aud": "https://vault.azure.net" })))),
        ("a token whose tenant is another", thing().bearer(&claiming(&json!({ "tid": signer::MARTEN })))),
        ("a token of another scheme", thing().header("authorization", "Basic YTpi")),
        ("a stranger", thing().bearer(&signer::signed(&signer::claims()))),
        ("an action that is not granted", with("PUT", at("/providers/Microsoft.Authorization/locks/l"))),
        ("a subscription that is not delegated", with("GET", format!("{}/resourceGroups?{V}", SHARED.subscription("alder-dev")))),
        (
            "a subscription that does not exist",
            with("GET", format!("/subscriptions/99999999-9999-4999-8999-999999999999/resourceGroups?{V}")),
        ),
        ("a subscription whose id is none", with("GET", format!("/subscriptions/x/resourceGroups?{V}"))),
        ("no api-version", with("GET", at("/resourceGroups").replace(V, "x=1"))),
        ("two api-versions", with("GET", format!("{}&{V}", at("/resourceGroups")))),
        ("an ambiguous path", with("GET", at("/resourceGroups/a/../b"))),
        ("markup in the path", with("GET", at("/resourceGroups/%3Cscript%3Ealert(1)%3C%2Fscript%3E"))),
        ("a method that is none", with("OPTIONS", at("/resourceGroups"))),
        ("a foreign host", thing().header("host", "evil.example").bearer(&token)),
        ("a data plane", thing().header("host", "acct.blob.core.windows.net").bearer(&token)),
        ("an upgrade", thing().header("upgrade", "h2c").bearer(&token)),
        ("an expectation", thing().header("expect", "x").bearer(&token)),
        ("a long target", with("GET", at(&format!("/resourceGroups/{}", "a".repeat(9_000))))),
        ("a large head", thing().header("x-large", &"x".repeat(66_000)).bearer(&token)),
        ("a body that is none", Call { body: "{".into(), ..with("PUT", at("/resourceGroups/rg")) }),
        ("a body of another type", Call { body: "x".into(), ..with("PUT", at("/resourceGroups/rg")) }.header("content-type", "text/plain")),
        ("a body with an id of elsewhere", with("PUT", at("/resourceGroups/rg")).json(&elsewhere)),
        ("a batch", with("POST", format!("/batch?{V}")).json(&json!({ "requests": [] }))),
        ("a disabled subscription", with("PUT", format!("{}/resourceGroups/rg?{V}", SHARED.subscription("holly-disabled")))),
        (
            "a write while a deny assignment stands",
            with(
                "PUT",
                format!("{}/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v?{V}", SHARED.subscription("holly-frozen")),
            ),
        ),
    ];
    for (form, sent) in refused {
        readable(&gate, &mut forms, form, sent, true).await;
    }
    gate.next.send_replace(Act::Close(Vec::new()));
    readable(&gate, &mut forms, "a backend that closes", with("PUT", at("/resourceGroups/rg")), false).await;
    gate.next.send_replace(Act::Close(b"nonsense\r\n\r\n".to_vec()));
    readable(&gate, &mut forms, "a backend that talks nonsense", with("PUT", at("/resourceGroups/rg")), false).await;
    library(&gate, &mut forms).await;
    gate.front.drain().await;
    forms
}

async fn readable(gate: &Gate, forms: &mut Forms, form: &str, sent: Call, is_refused: bool) {
    let before = gate.arrived();
    let target = sent.target.clone();
    let h1 = gate.client().send(sent.clone()).await;
    let is_of_h1 = ["an upgrade", "a large head"].contains(&form);
    let mut answers = vec![h1.clone()];
    if !is_of_h1 {
        answers.push(gate.client().send_h2(sent).await);
    }
    forms.saw(form, &h1.told(), h1.status.as_str());
    for answer in &answers {
        forms.holds(form, answer.told() == h1.told(), "both versions of HTTP are answered the same");
        forms.holds(form, is_readable(answer), &format!("it can be read: {:?} {:?}", answer.headers, answer.body));
        forms.holds(form, !String::from_utf8_lossy(&answer.body).contains('<') || !target.contains("script"), "markup does not come back");
    }
    forms.holds(form, !is_refused || gate.arrived() == before, "the backend receives nothing");
}

fn is_readable(answer: &Answer) -> bool {
    let body = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    let error = &body["error"];
    let says = error["code"].is_string() && error["message"].as_str().is_some_and(|text| text.len() > 10);
    let is_typed = answer.header("content-type").starts_with("application/json");
    let has_ids = answer.request_id().len() == 36 && !answer.header("x-ms-correlation-request-id").is_empty();
    let challenge = answer.header("www-authenticate");
    let is_challenged = if answer.status == 401 { challenge.starts_with("Bearer authorization_uri=\"") } else { challenge.is_empty() };
    let is_ours = answer.header("x-ms-failure-cause") == "gateway" && !answer.headers.contains_key("server");
    says && is_typed && has_ids && is_challenged && is_ours && answer.header("x-content-type-options") == "nosniff"
}

/// What the library refuses before the gateway sees a request has a status, and no body.
async fn library(gate: &Gate, forms: &mut Forms) {
    let host = gate.client().authority();
    for (form, text) in [
        ("a version that is none", format!("GET / HTTP/9.9\r\nHost: {host}\r\n\r\n")),
        ("a length that is none", format!("PUT / HTTP/1.1\r\nHost: {host}\r\nContent-Length: x\r\n\r\n")),
        ("a name with a blank", format!("GET / HTTP/1.1\r\nHost: {host}\r\nX : y\r\n\r\n")),
        ("200 fields", format!("GET / HTTP/1.1\r\nHost: {host}\r\n{}\r\n", "X: y\r\n".repeat(200))),
        ("no request at all", "\0\0\0\0\r\n\r\n".to_owned()),
    ] {
        gate.refused_raw(forms, form, text.as_bytes(), "4xx").await;
    }
}
