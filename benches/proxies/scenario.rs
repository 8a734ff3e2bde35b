//! What is asked, and of whom: one table.

use hyper::Method;

use crate::contenders::Kind;
use crate::origin::DOWNLOAD_MARK;
use crate::world::SUBSCRIPTION;

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub http: Http,
    pub tls: bool,
    pub connections: usize,
    pub tokens: Tokens,
    pub ask: Ask,
    pub measure: Measure,
    pub contenders: &'static [Kind],
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// CPU time of a request and requests per second, as fast as they go.
    Cpu,
    /// Latency at a quarter of what the bare proxy can take.
    Latency,
    /// One large body after the other on one connection: bytes per second, and what memory grows by.
    Bulk,
    /// Memory without connections and for each idle one.
    Idle,
    /// CPU time of a new TLS connection with one request; `true`: resumed.
    Handshakes(bool),
    /// Memory over a long time. Only when asked for by name.
    Soak,
    /// Instructions of a request in user space, under valgrind.
    Instructions,
}

impl Scenario {
    /// What a contender is asked. Whoever does not know roles or data planes would carry out what is denied; it is asked what is allowed, so that a
    /// denial is compared with that.
    pub fn asked_of(&self, kind: Kind) -> Self {
        let is_denied = self.ask.status() != 200;
        Self { ask: if is_denied && kind != Kind::Steward { Ask::Get } else { self.ask }, ..*self }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http {
    One,
    /// With so many streams on each connection.
    Two(usize),
}

/// Which tokens the requests carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tokens {
    /// The same one.
    One,
    /// One of a thousand callers.
    Thousand,
    /// One that nobody has seen.
    Fresh,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// A resource of 2 KB.
    Get,
    /// A resource is written, with 4 KB.
    Put,
    Download,
    Upload,
    /// A caller who may only read deletes.
    DeniedRole,
    /// The content of a storage account.
    DeniedDataPlane,
    /// A token with a wrong signature.
    BadToken,
}

impl Ask {
    pub const fn method(self) -> Method {
        match self {
            Self::Get | Self::Download | Self::DeniedDataPlane | Self::BadToken => Method::GET,
            Self::Put | Self::Upload => Method::PUT,
            Self::DeniedRole => Method::DELETE,
        }
    }

    pub fn target(self) -> String {
        let name = if self == Self::Download { DOWNLOAD_MARK } else { "vm-1" };
        format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-1/providers/Microsoft.Compute/virtualMachines/{name}?api-version=2024-07-01"
        )
    }

    /// The host that the request names, when it is not the contender.
    pub const fn host(self) -> Option<&'static str> {
        match self {
            Self::DeniedDataPlane => Some("customer.blob.core.windows.net"),
            Self::Get | Self::Put | Self::Download | Self::Upload | Self::DeniedRole | Self::BadToken => None,
        }
    }

    /// Size of the request's body.
    pub const fn body_bytes(self) -> usize {
        match self {
            Self::Put => 4 << 10,
            Self::Upload => 64 << 20,
            Self::Get | Self::Download | Self::DeniedRole | Self::DeniedDataPlane | Self::BadToken => 0,
        }
    }

    /// What the body is said to be.
    pub const fn content_type(self) -> Option<&'static str> {
        match self {
            Self::Put => Some("application/json"),
            Self::Upload => Some("application/octet-stream"),
            Self::Get | Self::Download | Self::DeniedRole | Self::DeniedDataPlane | Self::BadToken => None,
        }
    }

    /// The request's body: a document of twenty members, or bytes.
    pub fn body(self) -> Vec<u8> {
        let bytes = self.body_bytes();
        if self.content_type() != Some("application/json") {
            return vec![b'.'; bytes];
        }
        let members: Vec<String> = (0..20).map(|number| format!(r#""member{number:02}":"{}""#, "x".repeat(bytes / 20 - 16))).collect();
        let mut document = format!("{{{}}}", members.join(",")).into_bytes();
        document.resize(bytes, b' ');
        document
    }

    /// What Steward answers.
    pub const fn status(self) -> u16 {
        match self {
            Self::Get | Self::Put | Self::Download | Self::Upload => 200,
            Self::DeniedRole | Self::DeniedDataPlane => 403,
            Self::BadToken => 401,
        }
    }
}

const OWN: &[Kind] = &[Kind::Bare, Kind::Steward];
const COLD: &[Kind] = &[Kind::Bare, Kind::Verify, Kind::Steward];

const H1: Scenario = Scenario {
    name: "",
    http: Http::One,
    tls: false,
    connections: 64,
    tokens: Tokens::One,
    ask: Ask::Get,
    measure: Measure::Cpu,
    contenders: OWN,
};
const H1_TLS: Scenario = Scenario { tls: true, ..H1 };
const H2: Scenario = Scenario { http: Http::Two(4), connections: 16, ..H1_TLS };
/// Valgrind runs one thread at a time, some fifty times slower.
const COUNTED: Scenario = Scenario { connections: 4, measure: Measure::Instructions, ..H1 };

pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "h1-c64", contenders: &Kind::ALL, ..H1 },
    Scenario { name: "h1-tls-c64", contenders: &Kind::ALL, ..H1_TLS },
    Scenario { name: "h2-tls-16x4", contenders: &Kind::ALL, ..H2 },
    Scenario { name: "h1-c1", connections: 1, ..H1 },
    Scenario { name: "h1-c16", connections: 16, ..H1 },
    Scenario { name: "h1-c256", connections: 256, ..H1 },
    Scenario { name: "h1-c64-1000-tokens", tokens: Tokens::Thousand, ..H1 },
    Scenario { name: "h1-c64-fresh-tokens", tokens: Tokens::Fresh, contenders: COLD, ..H1 },
    Scenario { name: "h1-c64-put-4k", ask: Ask::Put, ..H1 },
    Scenario { name: "h2-tls-16x4-put-4k", ask: Ask::Put, ..H2 },
    Scenario { name: "h1-c64-denied-role", ask: Ask::DeniedRole, ..H1 },
    Scenario { name: "h1-c64-denied-data-plane", ask: Ask::DeniedDataPlane, ..H1 },
    Scenario { name: "h1-c64-bad-token", ask: Ask::BadToken, contenders: COLD, ..H1 },
    Scenario { name: "h1-download-64m", connections: 1, ask: Ask::Download, measure: Measure::Bulk, ..H1 },
    Scenario { name: "h1-upload-64m", connections: 1, ask: Ask::Upload, measure: Measure::Bulk, ..H1 },
    Scenario { name: "h1-tls-download-64m", connections: 1, ask: Ask::Download, measure: Measure::Bulk, ..H1_TLS },
    Scenario { name: "h1-tls-upload-64m", connections: 1, ask: Ask::Upload, measure: Measure::Bulk, ..H1_TLS },
    Scenario { name: "latency-h1-c64", measure: Measure::Latency, contenders: &Kind::ALL, ..H1 },
    Scenario { name: "latency-h1-tls-c64", measure: Measure::Latency, ..H1_TLS },
    Scenario { name: "tls-full-handshake", measure: Measure::Handshakes(false), ..H1_TLS },
    Scenario { name: "tls-resumed-handshake", measure: Measure::Handshakes(true), ..H1_TLS },
    Scenario { name: "idle-h1", measure: Measure::Idle, contenders: &Kind::ALL, ..H1 },
    Scenario { name: "idle-h1-tls", measure: Measure::Idle, contenders: &Kind::ALL, ..H1_TLS },
    Scenario { name: "soak", tokens: Tokens::Fresh, measure: Measure::Soak, ..H1 },
    Scenario { name: "instructions-h1", ..COUNTED },
    Scenario { name: "instructions-h1-tls", tls: true, ..COUNTED },
    Scenario { name: "instructions-h2-tls", http: Http::Two(1), tls: true, ..COUNTED },
    Scenario { name: "instructions-h1-denied-role", ask: Ask::DeniedRole, ..COUNTED },
    Scenario { name: "instructions-h1-fresh-tokens", tokens: Tokens::Fresh, contenders: COLD, ..COUNTED },
];
