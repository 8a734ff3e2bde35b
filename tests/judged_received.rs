//! What the gateway judged is what the backend receives.
//!
//! Requests made by chance go over the wire through a real gateway: paths in odd case and encodings, queries, bodies, fields, framing. Whatever
//! reaches the backend is judged again by a reader that knows nothing of the gateway: decoded up to three times, with slashes folded, dots
//! resolved, parameters cut off and in any case, it lies within what its caller was granted; and it is byte for byte what the record says.
#![expect(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::string_slice,
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "helpers outside of test functions, in a test of its own; random numbers are folded into small ranges, and its texts are ASCII"
)]

#[path = "common/mod.rs"]
mod common;
#[path = "common/dice.rs"]
mod dice;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};
use steward::arm::path::CanonicalPath;
use steward::clock::Clock;

use common::backend::{Act, Arrived, Backend, Front, json_answer};
use common::client::get;
use common::installation::{SHARED, empty_folder};
use dice::Dice;

/// Requests of one run; in development builds it takes half a minute.
const REQUESTS: u64 = 3_000;
/// The seed, unless `STEWARD_SEED` names another.
const SEED: u64 = 20_261_122;

const TENANT: &str = "7e57ed00-1000-4000-8000-000000000001";
/// Read by `reader`, all of it.
const READ: &str = "7e57ed00-5000-4000-8000-000000000001";
/// Where `operator` is Contributor of the group `prod`.
const PART: &str = "7e57ed00-5000-4000-8000-000000000002";
/// Delegated to nobody.
const NONE: &str = "7e57ed00-5000-4000-8000-000000000003";
/// Not there at all.
const UNKNOWN: &str = "7e57ed00-5000-4000-8000-000000000009";

const READER: (&str, &str) = ("reader", "05712a00-3000-4000-8000-000000000002");
const OPERATOR: (&str, &str) = ("operator", "05712a00-3000-4000-8000-000000000001");

/// Stands in every field that a client makes up.
const MADE_UP: &str = "made-up-7e57";

/// The demo's service provider, and a customer whose grants are all that there are.
fn policies(folder: &Path) -> std::path::PathBuf {
    let into = folder.join("policies");
    std::fs::create_dir_all(into.join("providers")).unwrap();
    for file in ["issuers.toml", "planes.toml", "providers/ostra.toml"] {
        std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("policies").join(file), into.join(file)).unwrap();
    }
    let mut text = format!("[[tenant]]\nkey = \"judged\"\nid = \"{TENANT}\"\nname = \"Judged\"\nissuer = \"demo\"\n");
    for (name, id) in [("read", READ), ("part", PART), ("none", NONE)] {
        write!(text, "[[subscription]]\nid = \"{id}\"\nname = \"judged-{name}\"\ntenant = \"judged\"\n").unwrap();
    }
    for (offer, scope, who, role) in [
        ("Reading", "judged-read".to_owned(), READER.0, "Reader"),
        ("Work", format!("/subscriptions/{PART}/resourceGroups/prod"), OPERATOR.0, "Contributor"),
    ] {
        write!(
            text,
            "[[delegation]]\noffer = \"{offer}\"\nmanaging_tenant = \"ostra\"\nscopes = [\"{scope}\"]\n\
             [[delegation.authorization]]\nwho = \"{who}\"\nrole = \"{role}\"\n"
        )
        .unwrap();
    }
    std::fs::write(into.join("judged.toml"), text).unwrap();
    into
}

/// A request as it was sent.
struct Sent {
    identity: (&'static str, &'static str),
    query: Option<String>,
    body: Vec<u8>,
    bytes: Vec<u8>,
}

impl Sent {
    /// As text, for people: without the token.
    fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        text.split("\r\n").filter(|line| !line.starts_with("Authorization:")).collect::<Vec<_>>().join("\n")
    }
}

const BLOCKS: [&str; 14] = [
    "providers/Microsoft.Compute/virtualMachines/vm",
    "providers/Microsoft.Compute/virtualMachines",
    "providers/Microsoft.Compute/virtualMachines/vm/start",
    "providers/Microsoft.Network/virtualNetworks/v/subnets/s",
    "providers/Microsoft.Storage/storageAccounts/a/listKeys",
    "providers/Microsoft.Storage/storageAccounts/a",
    "providers/Microsoft.Authorization/roleAssignments/0f2c1a10-0000-4000-8000-000000000001",
    "providers/Microsoft.Authorization/locks/l",
    "providers/Microsoft.Compute/disks/d/providers/Microsoft.Authorization/locks/l",
    "providers/Microsoft.Compute/virtualMachines/providers/extensions/e",
    "providers/Microsoft.Features/providers/Microsoft.Authorization/roleAssignments/r",
    "resources",
    "",
    "providers",
];

/// Mostly where the caller may do something.
fn path(dice: &mut Dice<'_>, identity: &str) -> String {
    let own = if identity == READER.0 { READ } else { PART };
    let subscription = *dice.pick(&[own, own, own, own, own, own, READ, PART, NONE, UNKNOWN, "not-a-guid"]);
    let group = *dice.pick(&[
        "resourceGroups/prod",
        "resourceGroups/prod",
        "resourceGroups/prod",
        "resourceGroups/prod",
        "resourceGroups/prod2",
        "resourceGroups",
        "",
    ]);
    let parts = ["subscriptions", subscription, group, *dice.pick(&BLOCKS)];
    parts.iter().filter(|part| !part.is_empty()).fold(String::new(), |path, part| format!("{path}/{part}"))
}

/// One thing done to a path, of which most are refused and some are not.
fn disguised(dice: &mut Dice<'_>, path: &str) -> String {
    let at = dice.roll(path.len() as u64) as usize;
    let (before, behind) = path.split_at(at);
    let first = behind.bytes().next().unwrap_or(b'/');
    let rest = behind.get(1..).unwrap_or_default();
    let slash = path.match_indices('/').map(|(slash, _)| slash).nth(dice.roll(4) as usize).unwrap_or(0);
    let (above, below) = path.split_at(slash);
    match dice.roll(16) {
        0 => path.to_uppercase(),
        1 => path.to_lowercase(),
        2 | 3 => format!("{before}%{first:02x}{rest}"),
        4 => format!("{before}%{first:02X}{rest}"),
        5 => format!("{before}%25{first:02X}{rest}"),
        6 | 7 => format!("{above}/{below}"),
        8 => format!("{above}/.{below}"),
        9 => format!("{above}/other/..{below}"),
        10 => format!("{above}{}{below}", dice.pick(&["/%2e%2e", "/..;", "/%2E", "\\..", "%2f..", "/ ", "/%20", "/...", "/..%00"])),
        11 => format!(
            "{path}{}",
            dice.pick(&["/", ".", "%20", "%2e", ";v=1", "%3b", "%23", "#", "%00", "%09", "/..", "/../prod2", "%2f..%2fprod2"])
        ),
        12 => format!("{before}{}{behind}", dice.pick(&["%c0%af", "%e2%80%a5", "%u002f", "%5c", "\\", "%", "%zz", "%0d%0a"])),
        13 => {
            let groups = ["/prod2/../prod", "/PROD", "/prod%32", "/pro%64", "/prod2", "/prod%2f..%2fprod2", "/prod;/prod2"];
            path.replace("/prod", dice.pick::<&str>(&groups))
        }
        14 => {
            let ids = [READ.to_owned(), NONE.to_owned(), format!("{NONE}/../{PART}"), PART.to_uppercase(), PART.replace('-', "")];
            path.replace(PART, dice.pick::<String>(&ids))
        }
        _ => format!("/subscriptions/{}/..{path}", dice.pick(&[READ, PART])),
    }
}

fn query(dice: &mut Dice<'_>) -> Option<String> {
    let version = "api-version=2024-07-01";
    let elsewhere = place(dice);
    Some(match dice.roll(14) {
        0 => return None,
        1 => format!("{version}&{version}"),
        2 => format!("API-Version=2024-07-01&$expand=a%2Fb&x={}", dice.roll(1000)),
        3 => format!("{version}&$filter=resourceId%20eq%20'{elsewhere}'"),
        4 => format!("{version}&scope={}", elsewhere.replace('/', "%2F")),
        5 => format!("{version}&targetSubscriptionId={}", dice.pick(&[READ, PART, NONE])),
        6 => format!("x=/../..&{version}&y=%00"),
        _ => version.to_owned(),
    })
}

/// An id that a body or query may name.
fn place(dice: &mut Dice<'_>) -> String {
    let below = *dice.pick(&[
        "resourceGroups/prod",
        "resourceGroups/prod2",
        "resourceGroups/prod/providers/Microsoft.Network/virtualNetworks/v/subnets/s",
    ]);
    format!("/subscriptions/{}/{below}", dice.pick(&[PART, PART, PART, READ, NONE, UNKNOWN]))
}

fn body(dice: &mut Dice<'_>) -> Vec<u8> {
    let id = place(dice);
    let disguise = match dice.roll(7) {
        0 => id.to_uppercase(),
        1 => id.replace('/', "%2F"),
        2 => id.replace('/', "//"),
        3 => format!("https://management.azure.com{id}?api-version=1"),
        4 => id.replace('/', "%252f"),
        _ => id,
    };
    let text = match dice.roll(9) {
        0 => return Vec::new(),
        1 => json!({ "location": "westeurope" }).to_string(),
        2 => json!({ "properties": { "subnet": { "id": disguise } } }).to_string(),
        3 => json!({ "identity": { "userAssignedIdentities": { disguise: {} } } }).to_string(),
        4 => json!({ "tags": { "note": format!("see {disguise}, there") } }).to_string(),
        5 => json!({ "properties": { "subscriptionId": dice.pick(&[PART, READ, NONE]) } }).to_string(),
        6 => json!([disguise]).to_string().replace("subscriptions", "subscr\\u0069ptions"),
        7 => format!("{{\"id\":\"x\",\"id\":\"{disguise}\"}}"),
        _ => json!({ "properties": {} }).to_string(),
    };
    text.into_bytes()
}

/// Fields of which none may reach the backend as the client made it up.
fn fields(dice: &mut Dice<'_>) -> String {
    const SPOOFED: [&str; 12] = [
        "x-ms-client-object-id",
        "X-MS-Client-Tenant-Id",
        "x-ms-client-principal-name",
        "x-ms-home-tenant-id",
        "X-Forwarded-For",
        "Forwarded",
        "x-ms-arm-request-tracking-id",
        "x_ms_client_object_id",
        "x-original-url",
        "X-HTTP-Method-Override",
        "Referer",
        "x-ms-client-wids",
    ];
    let spoofed = dice.some(2, |dice| format!("{}: {MADE_UP}\r\n", dice.pick(&SPOOFED))).concat();
    let odd = *dice.pick(&[
        "",
        "",
        "",
        "Connection: x-ms-client-object-id, authorization\r\n",
        "Connection: x-ms-client-request-id\r\n",
        "Expect: 100-continue\r\n",
        "Accept-Encoding: gzip\r\n",
        "Cookie: a=b\r\n",
        "Upgrade: h2c\r\n",
        "Trailer: x\r\n",
    ]);
    format!("{spoofed}{odd}")
}

/// The body behind its framing, which is odd for the first five ways.
fn framed(way: u64, body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(body).into_owned();
    let length = body.len();
    let chunked = format!("{length:x}\r\n{text}\r\n0\r\n\r\n");
    let lines = match way {
        0 => format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"),
        1 => format!("Content-Length: {length}\r\nContent-Length: {length}\r\n\r\n{text}"),
        2 => format!("Content-Length: {length}\n\r\n{text}"),
        3 => format!("Content-Length: 0{length}\r\n\r\n{text}"),
        4 => format!("Transfer-Encoding: gzip, chunked\r\n\r\n{chunked}"),
        5 if length > 0 => format!("Transfer-Encoding: chunked\r\n\r\n{chunked}"),
        _ if length == 0 => "\r\n".to_owned(),
        _ => format!("Content-Length: {length}\r\n\r\n{text}"),
    };
    lines.into_bytes()
}

/// One request, odd in one way or in none: what is odd in several would nearly always be refused for the first.
fn request(dice: &mut Dice<'_>, number: u64, authority: &str, tokens: &HashMap<&'static str, String>) -> Sent {
    let identity = *dice.pick(&[READER, OPERATOR, OPERATOR]);
    let odd = dice.roll(6);
    let mut path = path(dice, identity.0);
    for _ in 0..if odd < 2 { 1 + dice.roll(2) } else { 0 } {
        path = disguised(dice, &path);
    }
    let method = match odd {
        5 => *dice.pick(&["HEAD", "get", "OPTIONS", "DELETE", "PATCH", "POST"]),
        _ if identity == READER => *dice.pick(&["GET", "GET", "GET", "PUT"]),
        _ => *dice.pick(&["GET", "GET", "PUT", "PUT", "PATCH", "POST", "DELETE"]),
    };
    let query = if odd == 2 { query(dice) } else { Some("api-version=2024-07-01".to_owned()) };
    let target = query.as_ref().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    let target = if odd == 2 && dice.roll(4) == 0 { format!("https://{authority}{target}") } else { target };
    let body = if matches!(method, "PUT" | "PATCH" | "POST") { body(dice) } else { Vec::new() };
    let kind = *dice.pick(&["application/json", "application/json", "application/json; charset=utf-8", "text/plain"]);
    let fields = if odd == 3 { fields(dice) } else { String::new() };
    let mut bytes = format!(
        "{method} {target} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {}\r\nx-ms-client-request-id: n{number}\r\n\
         Content-Type: {kind}\r\n{fields}",
        tokens[identity.0],
    )
    .into_bytes();
    let framing = if odd == 4 { dice.roll(5) } else { 5 + dice.roll(3) };
    bytes.extend(framed(framing, &body));
    Sent { identity, query, body, bytes }
}

// The naive reader.

fn undone(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let digits = text.get(at + 1..at + 3).filter(|digits| bytes[at] == b'%' && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        out.push(digits.map_or(bytes[at], |digits| u8::from_str_radix(digits, 16).unwrap()));
        at += if digits.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The segments in lower case, however often they are decoded.
fn readings(path: &str) -> Vec<Vec<String>> {
    let mut text = path.to_owned();
    let mut all = Vec::new();
    for _ in 0..=3 {
        let mut segments: Vec<String> = Vec::new();
        for segment in text.replace('\\', "/").split('/') {
            let name = segment.split([';', '?', '#', '\0']).next().unwrap_or_default().trim();
            match name {
                "" | "." => {}
                ".." => drop(segments.pop()),
                name => segments.push(name.trim_end_matches('.').to_lowercase()),
            }
        }
        all.push(segments);
        text = undone(&text);
    }
    all
}

/// Whether a list above the grants of `operator` is read, of which the gateway hands out what lies within.
fn is_list_above(method: &str, segments: &[&str]) -> bool {
    let is_collection = matches!(segments, [_, _, "resourcegroups" | "resources" | "providers"] | [_, _, "providers", _, _]);
    matches!(method, "GET" | "HEAD") && is_collection
}

/// What the two grants say, and nothing else.
fn is_granted(identity: &str, method: &str, segments: &[String]) -> bool {
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let is_read = matches!(method, "GET" | "HEAD");
    match (identity, segments.as_slice()) {
        ("reader", ["subscriptions", id, ..]) => *id == READ && is_read,
        ("operator", ["subscriptions", id, "resourcegroups", "prod", below @ ..]) => {
            let of_others = below.contains(&"microsoft.authorization");
            *id == PART && (is_read || !of_others)
        }
        ("operator", all @ ["subscriptions", id, ..]) => *id == PART && is_list_above(method, all),
        _ => false,
    }
}

/// Every subscription that a text names, with the group behind it, decoded up to three times.
fn named(text: &str) -> Vec<(String, Option<String>)> {
    let mut text = text.to_owned();
    let mut found = Vec::new();
    for _ in 0..=3 {
        let mut flat = text.replace('\\', "/").to_lowercase();
        while flat.contains("//") {
            flat = flat.replace("//", "/");
        }
        for (at, word) in flat.match_indices("subscriptions/") {
            let mut parts = flat[at + word.len()..].split(['/', '"', '\'', '?', ',', ' ']);
            let id = parts.next().unwrap_or_default().to_owned();
            let group = parts.next().filter(|word| *word == "resourcegroups").and_then(|_| parts.next()).map(str::to_owned);
            found.push((id, group));
        }
        text = undone(&text);
    }
    found
}

fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => into.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Value::Object(members) => {
            for (name, value) in members {
                into.push(name.clone());
                if let (true, Some(id)) = (name.to_lowercase().contains("subscription"), value.as_str()) {
                    into.push(format!("subscriptions/{id}"));
                }
                texts(value, into);
            }
        }
    }
}

/// Whether a caller may make a request refer to what a text names.
fn may_name(identity: &str, text: &str) -> bool {
    named(text).into_iter().all(|(id, group)| match identity {
        "reader" => id == READ,
        _ => id == PART && group.as_deref() == Some("prod"),
    })
}

fn field<'h>(head: &'h str, name: &str) -> Vec<&'h str> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
}

/// Judges what arrived, by what was sent and what the record says.
fn judge(arrived: &Arrived, sent: &Sent, record: &Value) {
    let told = || format!("{}\narrived as {:?}", sent.shown(), arrived.head.lines().next());
    let (identity, object) = sent.identity;
    let mut line = arrived.head.lines().next().unwrap().split(' ');
    let (method, target) = (line.next().unwrap(), line.next().unwrap());
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    for segments in readings(path) {
        assert!(is_granted(identity, method, &segments), "{segments:?} is not granted\n{}", told());
    }
    assert_eq!(CanonicalPath::parse(path).unwrap().as_str(), path, "{}", told());
    assert_eq!((&record["path"], &record["method"], &record["outcome"]), (&path.into(), &method.into(), &"allow".into()), "{}", told());
    assert_eq!(record["principal"]["id"], object, "{record}");
    let scope = record["scope"].as_str().unwrap().to_lowercase();
    assert!(undone(path).to_lowercase().starts_with(&scope), "{scope} is not where {path} leads");
    assert_eq!(query, sent.query.as_deref(), "{}", told());
    let mut names: Vec<String> = query.into_iter().flat_map(|query| query.split(['&', '='])).map(str::to_owned).collect();
    if let Some(id) = query.and_then(|query| query.split("targetSubscriptionId=").nth(1)) {
        names.push(format!("subscriptions/{id}"));
    }
    if !sent.body.is_empty() {
        texts(&serde_json::from_slice(&sent.body).unwrap(), &mut names);
    }
    for name in names {
        let is_own = [PART, READ].iter().any(|id| name.to_lowercase().ends_with(id) && path.to_lowercase().contains(id));
        assert!(is_own || may_name(identity, &name), "{name} is named\n{}", told());
    }
    let whole: String = digest(&SHA256, &sent.body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(arrived.whole && arrived.digest == whole, "the body is another\n{}", told());
    for (name, expected) in [("x-ms-client-object-id", object), ("x-ms-client-principal-id", object)] {
        assert_eq!(field(&arrived.head, name), [expected], "{}", told());
    }
    assert_eq!(field(&arrived.head, "authorization").len(), 1, "{}", told());
    assert!(!arrived.head.contains(MADE_UP), "{}", told());
}

/// Above the group lists hold what is in it and what is beside it: only the first may come out again.
fn answer(arrived: &Arrived, _: usize) -> Act {
    let target = arrived.head.split(' ').nth(1).unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default();
    let is_above = !readings(path)[0].iter().any(|segment| segment == "prod");
    let id = |group: &str| json!({ "id": format!("/subscriptions/{PART}/resourceGroups/{group}/providers/A.B/c/d"), "name": group });
    let items = if is_above { vec![id("prod"), id("prod2")] } else { vec![id("prod")] };
    if arrived.head.starts_with("HEAD ") {
        return Act::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    }
    Act::Answer(json_answer("200 OK", &json!({ "value": items }).to_string()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_backend_received_is_what_was_judged() {
    let seed = option_env!("STEWARD_SEED").map_or(SEED, |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let folder = empty_folder("judged");
    let backend = Backend::start(answer).await;
    let policies = policies(&folder);
    let front = Front::start_with(&folder, &format!("http://{}", backend.address), "", "", Clock::system(), &policies).await;
    let mut tokens = HashMap::new();
    for (identity, _) in [READER, OPERATOR] {
        tokens.insert(identity, SHARED.token(identity).await);
    }
    let mut dice = Dice::Seed(seed);
    let mut sent = Vec::new();
    let (mut refused, mut answered, mut lists) = (0, 0, 0);
    while (sent.len() as u64) < REQUESTS {
        // Now and then more than one at once: what is left of one must not become another.
        let first = sent.len();
        let count = 1 + dice.roll(6) / 5;
        for _ in 0..count {
            let number = sent.len() as u64;
            sent.push(request(&mut dice, number, front.client.authority(), &tokens));
        }
        let mut bytes: Vec<u8> = sent[first..].iter().flat_map(|one| one.bytes.clone()).collect();
        bytes.extend(format!("GET /the-end HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", front.client.authority()).bytes());
        let answers = front.client.raw(&bytes).await;
        refused += answers.matches("HTTP/1.1 4").count();
        answered += answers.matches("HTTP/1.1 2").count();
        assert!(!answers.contains("HTTP/1.1 5"), "{answers}");
        let by_operator = sent[first..].iter().all(|one| one.identity == OPERATOR);
        assert!(
            !(by_operator && answers.contains(r#""name":"prod2""#)),
            "a list holds what was not granted: {}\n{answers}",
            sent[first].shown()
        );
        lists += u32::from(by_operator && answers.contains(r#""name":"prod""#));
    }
    let log = backend.log();
    let (mut seen, mut faults) = (HashMap::new(), 0);
    for arrived in &log.arrived {
        let id = field(&arrived.head, "x-ms-arm-request-tracking-id")[0].to_owned();
        let record = front.admin(get(format!("/api/records/{id}"))).await.json();
        let number = record["client_request_id"].as_str().and_then(|id| id.strip_prefix('n')?.parse::<usize>().ok());
        let number = number.unwrap_or_else(|| panic!("nobody sent this: {}", arrived.head));
        *seen.entry(number).or_insert(0) += 1;
        // All that is wrong is told, not only the first of it.
        faults += u32::from(std::panic::catch_unwind(|| judge(arrived, &sent[number], &record)).is_err());
    }
    assert_eq!(faults, 0, "requests arrived that should not have, or not so; seed {seed}");
    assert!(seen.values().all(|count| *count == 1), "a request was forwarded twice");
    println!("{} sent: {} arrived, {answered} answered, {refused} refused", sent.len(), log.arrived.len());
    // Were nearly all of one kind, little would have been shown.
    assert!(log.arrived.len() >= 200 && refused >= 1000 && lists > 0, "{} arrived and {refused} were refused", log.arrived.len());
    front.drain().await;
}
