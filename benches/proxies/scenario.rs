//! What is asked, and of whom: one table.

use hyper::Method;

use crate::contenders::Kind;
use crate::origin::DOWNLOAD_MARK;
use crate::steward::SUBSCRIPTION;

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub http: Http,
    pub tls: bool,
    pub connections: usize,
    pub tokens: Tokens,
    pub ask: Ask,
    pub contenders: &'static [Kind],
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

const H1: Scenario =
    Scenario { name: "", http: Http::One, tls: false, connections: 64, tokens: Tokens::One, ask: Ask::Get, contenders: OWN };
const H2: Scenario = Scenario { http: Http::Two(4), tls: true, connections: 16, ..H1 };

pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "h1-c64", ..H1 },
    Scenario { name: "h1-tls-c64", tls: true, ..H1 },
    Scenario { name: "h2-tls-16x4", ..H2 },
    Scenario { name: "h1-c64-1000-tokens", tokens: Tokens::Thousand, ..H1 },
    Scenario { name: "h1-c64-fresh-tokens", tokens: Tokens::Fresh, contenders: COLD, ..H1 },
    Scenario { name: "h1-c64-put", ask: Ask::Put, ..H1 },
    Scenario { name: "h1-c64-denied-role", ask: Ask::DeniedRole, ..H1 },
    Scenario { name: "h1-c64-denied-data-plane", ask: Ask::DeniedDataPlane, ..H1 },
    Scenario { name: "h1-c64-bad-token", ask: Ask::BadToken, ..H1 },
];
