//! Handshakes of TLS, byte by byte. Source: RFC 5246, RFC 8446; Mozilla, "Server Side TLS", intermediate.

use std::sync::Arc;

use steward::tls;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion};

use super::line::Line;
use crate::common::client::{PATIENCE, get};
use crate::common::installation::SHARED;
use crate::table::Forms;

const TLS1_2: u16 = 0x0303;
/// Suites with forward secrecy and authenticated encryption, of TLS 1.2.
const SOUND: [u16; 6] = [0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8];
/// Suites of TLS 1.3.
const NEW: [u16; 3] = [0x1301, 0x1302, 0x1303];

/// What a client says first.
#[derive(Clone)]
struct Hello {
    /// The version that the record and the message name.
    version: u16,
    suites: Vec<u16>,
    compressions: Vec<u8>,
    extensions: Vec<(u16, Vec<u8>)>,
}

/// A list behind its length in two bytes.
fn listed(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

const SERVER_NAME: u16 = 0;
const GROUPS: u16 = 10;
const SIGNATURES: u16 = 13;
const ALPN: u16 = 16;
const EARLY_DATA: u16 = 42;
const VERSIONS: u16 = 43;
const KEY_SHARE: u16 = 51;

impl Hello {
    fn of(version: u16, suites: &[u16]) -> Self {
        let name = listed(&[[0].as_slice(), &listed(b"localhost")].concat());
        let extensions = vec![
            (SERVER_NAME, name),
            (GROUPS, listed(&words(&[0x1d, 0x17, 0x18]))),
            (11, vec![1, 0]),
            (SIGNATURES, listed(&words(&[0x0403, 0x0503, 0x0804, 0x0805, 0x0401]))),
        ];
        Self { version, suites: suites.to_vec(), compressions: vec![0], extensions }
    }

    fn with(mut self, kind: u16, content: Vec<u8>) -> Self {
        self.extensions.retain(|(other, _)| *other != kind);
        self.extensions.push((kind, content));
        self
    }

    fn without(mut self, kind: u16) -> Self {
        self.extensions.retain(|(other, _)| *other != kind);
        self
    }

    /// Also of TLS 1.3, with a key of X25519.
    fn new(suites: &[u16]) -> Self {
        let share = [words(&[0x1d]), listed(&[9; 32])].concat();
        Self::of(TLS1_2, suites).with(VERSIONS, [&[2], words(&[0x0304]).as_slice()].concat()).with(KEY_SHARE, listed(&share))
    }

    fn message(&self) -> Vec<u8> {
        let extensions: Vec<u8> = self.extensions.iter().flat_map(|(kind, content)| [words(&[*kind]), listed(content)].concat()).collect();
        let compressions = [&[u8::try_from(self.compressions.len()).unwrap()], self.compressions.as_slice()].concat();
        let body = [words(&[self.version]), vec![7; 32], vec![0], listed(&words(&self.suites)), compressions, listed(&extensions)].concat();
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[1], &length[1..], &body].concat()
    }

    fn bytes(&self) -> Vec<u8> {
        record(22, self.version.min(0x0301), &self.message())
    }
}

fn record(kind: u8, version: u16, content: &[u8]) -> Vec<u8> {
    [&[kind], words(&[version]).as_slice(), &listed(content)].concat()
}

/// The names of alerts that are seen here. Source: RFC 8446 §6.
fn alert(code: u8) -> String {
    let name = match code {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        47 => "illegal_parameter",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        80 => "internal_error",
        109 => "missing_extension",
        120 => "no_application_protocol",
        other => return format!("alert {other}"),
    };
    format!("alert {name}")
}

/// What the first record that comes back says.
fn judged(said: &[u8]) -> String {
    match said {
        [] => "closed".to_owned(),
        [21, _, _, 0, 2, _, code, ..] => alert(*code),
        [22, _, _, _, _, 2, _, _, _, high, low, rest @ ..] => {
            // Behind the random and the id of the session.
            let id = rest.get(32).copied().map_or(0, usize::from);
            let suite = rest.get(33 + id..35 + id).map_or(0, |suite| u16::from_be_bytes([suite[0], suite[1]]));
            let version = if NEW.contains(&suite) {
                "TLS 1.3"
            } else if (*high, *low) == (3, 3) {
                "TLS 1.2"
            } else {
                "an old version"
            };
            let is_sound = NEW.contains(&suite) || SOUND.contains(&suite);
            format!("{version}, {}", if is_sound { "a suite with forward secrecy" } else { "a weak suite" })
        }
        other => format!("{:?}", String::from_utf8_lossy(&other[..other.len().min(20)])),
    }
}

/// Says this in clear text, and reads until the gateway has said something that can be judged.
async fn said(line: &Line, bytes: &[u8], leaves: bool) -> Vec<u8> {
    let port: u16 = line.host().rsplit(':').next().unwrap().parse().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let exchange = async {
        // Who is refused in the middle of it may not be able to say the rest.
        let _sent = stream.write_all(bytes).await.is_ok();
        if leaves {
            let _shut = stream.shutdown().await.is_ok();
        }
        let mut said = Vec::new();
        while said.first() != Some(&22) || said.len() < 100 {
            let mut piece = [0; 4096];
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(length) => said.extend_from_slice(&piece[..length]),
            }
        }
        said
    };
    timeout(PATIENCE, exchange).await.expect("the gateway ends it in time")
}

fn hellos() -> Vec<(&'static str, Hello, &'static str)> {
    let weak = |suite: u16| Hello::of(TLS1_2, &[suite]);
    let failed = "alert handshake_failure";
    let sound = "TLS 1.2, a suite with forward secrecy";
    let new = || Hello::new(&NEW);
    vec![
        ("TLS 1.2 with sound suites", Hello::of(TLS1_2, &SOUND), sound),
        ("TLS 1.3", new(), "TLS 1.3, a suite with forward secrecy"),
        ("SSL 3.0", Hello::of(0x0300, &SOUND), "alert protocol_version"),
        ("TLS 1.0", Hello::of(0x0301, &SOUND), "alert protocol_version"),
        ("TLS 1.1", Hello::of(0x0302, &SOUND), "alert protocol_version"),
        ("TLS 1.1 with a note that it fell back", Hello::of(0x0302, &[SOUND.as_slice(), &[0x5600]].concat()), "alert protocol_version"),
        (
            "versions 1.0 and 1.1 as a list",
            new().with(VERSIONS, [&[4], words(&[0x0301, 0x0302]).as_slice()].concat()),
            "alert protocol_version",
        ),
        ("RSA key exchange", weak(0x009c), failed),
        ("RSA key exchange with CBC", weak(0x002f), failed),
        ("ECDHE with CBC and SHA-1", Hello::of(TLS1_2, &[0xc009, 0xc013]), failed),
        ("ECDHE with CBC and SHA-2", Hello::of(TLS1_2, &[0xc023, 0xc027, 0xc024, 0xc028]), failed),
        ("DHE", Hello::of(TLS1_2, &[0x009e, 0x009f, 0x0033, 0x0067]), failed),
        ("3DES", Hello::of(TLS1_2, &[0x000a, 0xc012]), failed),
        ("RC4", Hello::of(TLS1_2, &[0x0004, 0x0005, 0xc011]), failed),
        ("no encryption", Hello::of(TLS1_2, &[0x0001, 0x0002, 0x003b, 0xc006, 0xc010]), failed),
        ("export suites", Hello::of(TLS1_2, &[0x0003, 0x0006, 0x0008, 0x0014]), failed),
        ("anonymous suites", Hello::of(TLS1_2, &[0x0018, 0x0034, 0x006c, 0xc018, 0xc019]), failed),
        ("pre-shared keys", Hello::of(TLS1_2, &[0x008c, 0x00a8]), failed),
        ("no suite", Hello::of(TLS1_2, &[]), "alert"),
        ("weak suites before a sound one", Hello::of(TLS1_2, &[0x0005, 0x002f, 0x000a, SOUND[0]]), sound),
        ("weak groups", Hello::of(TLS1_2, &SOUND).with(GROUPS, listed(&words(&[1, 19, 21]))), failed),
        ("signatures with SHA-1 and MD5", Hello::of(TLS1_2, &SOUND).with(SIGNATURES, listed(&words(&[0x0201, 0x0203, 0x0101]))), failed),
        ("no kinds of signatures", Hello::of(TLS1_2, &SOUND).without(SIGNATURES), "alert"),
        ("compression alone", Hello { compressions: vec![1], ..Hello::of(TLS1_2, &SOUND) }, "alert"),
        ("compression before none", Hello { compressions: vec![1, 0], ..Hello::of(TLS1_2, &SOUND) }, sound),
        (
            "protocols that are not ours",
            Hello::of(TLS1_2, &SOUND).with(ALPN, listed(b"\x06spdy/3\x08http/0.9")),
            "alert no_application_protocol",
        ),
        ("early data in a first hello", new().with(EARLY_DATA, Vec::new()), "TLS 1.3, a suite with forward secrecy"),
        ("a heartbeat offered", Hello::of(TLS1_2, &SOUND).with(15, vec![1]), sound),
        ("a key share of nothing", new().with(KEY_SHARE, listed(&[words(&[0x1d]), listed(&[0; 32])].concat())), "alert"),
        ("a key share too short", new().with(KEY_SHARE, listed(&[words(&[0x1d]), listed(&[9; 3])].concat())), "alert"),
        ("an extension twice", twice(), "alert"),
    ]
}

fn twice() -> Hello {
    let mut hello = Hello::of(TLS1_2, &SOUND);
    let name = hello.extensions[0].clone();
    hello.extensions.push(name);
    hello
}

fn no_hellos(host: &str) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let sound = Hello::of(TLS1_2, &SOUND);
    let message = sound.message();
    let heartbleed = [sound.bytes(), record(24, TLS1_2, &[1, 0x40, 0])].concat();
    let longer = [&[1, 0xff, 0xff, 0xff], &message[4..]].concat();
    let split: Vec<u8> = message.chunks(1).flat_map(|byte| record(22, 0x0301, byte)).collect();
    vec![
        ("plain HTTP", format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes(), "alert"),
        ("plain HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), "alert"),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), "alert"),
        ("a hello of SSL 2.0", [&[0x80, 0x2e, 1, 0, 2, 0, 21, 0, 0, 0, 16], [3; 37].as_slice()].concat(), "alert"),
        ("null bytes", vec![0; 100], "alert"),
        ("application data first", record(23, TLS1_2, b"GET / HTTP/1.1\r\n\r\n"), "alert unexpected_message"),
        ("a change of keys first", record(20, TLS1_2, &[1]), "alert unexpected_message"),
        ("an alert first", record(21, TLS1_2, &[2, 40]), "closed"),
        ("a heartbeat behind the hello", heartbleed, "TLS 1.2, a suite with forward secrecy"),
        ("a record longer than allowed", [&[22, 3, 1, 0xff, 0xff], [1; 1000].as_slice()].concat(), "alert"),
        ("an empty record", record(22, 0x0301, &[]), "alert"),
        ("a message longer than allowed", record(22, 0x0301, &longer), "closed"),
        ("a hello of which the end is missing", record(22, 0x0301, &message[..message.len() - 20]), "closed"),
        ("a hello with bytes behind it", record(22, 0x0301, &[message.as_slice(), &[9; 10]].concat()), "closed"),
        ("a hello a byte in each record", split, "TLS 1.2, a suite with forward secrecy"),
        ("a finished message first", record(22, TLS1_2, &[20, 0, 0, 12, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]), "alert unexpected_message"),
        ("a message of a server", record(22, TLS1_2, &[0, 0, 0, 0]), "alert unexpected_message"),
    ]
}

fn config(versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in tls::read_chain(&SHARED.demo.world.ca).unwrap() {
        roots.add(certificate).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(tls::provider()).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.enable_early_data = true;
    config
}

async fn connect(line: &Line, config: &Arc<ClientConfig>) -> TlsStream<TcpStream> {
    let port: u16 = line.host().rsplit(':').next().unwrap().parse().unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    TlsConnector::from(Arc::clone(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}

/// One exchange, until the gateway closes.
async fn exchange(line: &Line, stream: &mut TlsStream<TcpStream>) -> String {
    let request = format!("GET /metadata/endpoints?api-version=2022-09-01 HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", line.host());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut said = Vec::new();
    let _ended = timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("an answer in time").is_ok();
    String::from_utf8_lossy(&said).get(9..12).unwrap_or("closed").to_owned()
}

async fn sessions(line: &Line, forms: &mut Forms) {
    for (version, supported) in [("TLS 1.2", &TLS12), ("TLS 1.3", &TLS13)] {
        let config = Arc::new(config(&[supported]));
        let first = exchange(line, &mut connect(line, &config).await).await;
        let mut second = connect(line, &config).await;
        let (_, session) = second.get_mut();
        let is_resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
        let has_early_data = session.early_data().is_some();
        let seen = exchange(line, &mut second).await;
        let observed = format!(
            "{first}, and {seen} when {}; early data {}",
            if is_resumed { "resumed" } else { "begun anew" },
            if has_early_data { "taken" } else { "not taken" }
        );
        forms.saw(&format!("a session of {version}, and another one after it"), &observed, "200, and 200");
        forms.holds(version, !has_early_data, "no early data is taken");
        let mut stream = connect(line, &config).await;
        stream.get_mut().0.write_all(&record(23, TLS1_2, &[0; 64])).await.unwrap();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
        forms.saw(
            &format!("a record of zeros within a session of {version}"),
            if matches!(ended, Ok(Err(_)) | Ok(Ok(0))) { "closed" } else { "read" },
            "closed",
        );
    }
}

pub async fn handshakes() -> Forms {
    let (line, mut forms) = (Line::start("t29").await, Forms::default());
    for (name, hello, expected) in hellos() {
        let said = said(&line, &hello.bytes(), false).await;
        forms.saw(name, &judged(&said), expected);
        if name.starts_with("TLS 1.2") {
            // Source: RFC 8446 §4.1.3: who could speak 1.3 notices that somebody took it away.
            forms.holds(
                name,
                said.windows(8).any(|bytes| bytes == b"DOWNGRD\x01"),
                "the answer says that the gateway could speak a newer version",
            );
        }
    }
    for (name, bytes, expected) in no_hellos(line.host()) {
        let seen = said(&line, &bytes, true).await;
        forms.holds(name, !seen.windows(5).any(|bytes| bytes == b"HTTP/"), "nothing is answered in clear text");
        forms.saw(name, &judged(&seen), expected);
    }
    sessions(&line, &mut forms).await;
    for (name, server_name, expected) in [
        ("no server name", "127.0.0.1", "200"),
        ("somebody else's server name", "evil.example", "421 InvalidHost plane.foreign"),
        ("the server name of a data plane", "acct.blob.core.windows.net", "403 DataPlaneNotSupported plane.data"),
    ] {
        let answer = line.front.client.send_named(server_name, get("/metadata/endpoints?api-version=2022-09-01")).await;
        forms.saw(name, &answer.told(), expected);
    }
    line.front.drain().await;
    forms
}
