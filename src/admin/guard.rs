//! Who may ask the admin listener.

use std::path::{Path, PathBuf};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use hyper::StatusCode;
use hyper::header::{self, HeaderMap};

/// A shorter token could be guessed.
const TOKEN_CHARS_MIN: usize = 32;

/// How callers are told apart.
pub enum Guard {
    /// Everybody on this machine may ask; pages of other sites in a browser of this machine may not.
    Loopback,
    /// Whoever sends the token. Only its digest is kept.
    Token {
        /// SHA-256 of the token.
        digest: [u8; 32],
    },
}

/// A token file that keeps nobody out.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("cannot read the admin token `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// It is too short.
    #[error("the admin token in `{}` has {length} characters; at least {TOKEN_CHARS_MIN} are needed", path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// How long it is.
        length: usize,
    },
}

/// Why a request to the admin listener is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The request names a host that is not this machine: a page in a browser was made to ask.
    #[error("the admin listener answers on this machine only; use 127.0.0.1 or localhost")]
    ForeignHost,
    /// No token, or another one.
    #[error("the admin listener needs its token: `Authorization: Bearer …`")]
    Unauthenticated,
}

impl Refusal {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
        }
    }

    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::ForeignHost => "InvalidHost",
            Self::Unauthenticated => "AuthenticationFailed",
        }
    }
}

impl Guard {
    /// A guard with the token in this file.
    ///
    /// # Errors
    /// When the file cannot be read or its token is too short.
    pub fn from_file(path: &Path) -> Result<Self, TokenError> {
        let text = std::fs::read_to_string(path).map_err(|cause| TokenError::Unreadable { path: path.to_owned(), cause })?;
        let token = text.trim();
        if token.len() < TOKEN_CHARS_MIN {
            return Err(TokenError::Short { path: path.to_owned(), length: token.len() });
        }
        Ok(Self::Token { digest: sha256(token.as_bytes()) })
    }

    /// Whether a request may be answered.
    ///
    /// # Errors
    /// When it may not.
    pub(super) fn admit(&self, headers: &HeaderMap, path: &str) -> Result<(), Refusal> {
        match self {
            Self::Loopback => names_this_machine(headers).then_some(()).ok_or(Refusal::ForeignHost),
            // Probes of an orchestrator carry no secrets and learn none.
            Self::Token { .. } if matches!(path, "/livez" | "/readyz") => Ok(()),
            Self::Token { digest } => {
                let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
                let equal = sent.is_some_and(|token| verify_slices_are_equal(&sha256(token), digest).is_ok());
                equal.then_some(()).ok_or(Refusal::Unauthenticated)
            }
        }
    }
}

/// A page whose name was rebound to this machine still sends its own name.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    matches!(name, "localhost" | "127.0.0.1" | "[::1]") && !headers.contains_key(header::ORIGIN)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Loopback => "Loopback",
            Self::Token { .. } => "Token",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(guard: &Guard, fields: &[(&'static str, &'static str)], expected: Result<(), Refusal>) {
        let headers = fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        assert_eq!(guard.admit(&headers, "/api/status"), expected, "{fields:?}");
    }

    #[test]
    fn a_loopback_listener_answers_this_machine_only() {
        check(&Guard::Loopback, &[("host", "127.0.0.1:8480")], Ok(()));
        check(&Guard::Loopback, &[("host", "rebound.example:8480")], Err(Refusal::ForeignHost));
        check(&Guard::Loopback, &[("host", "localhost:8480"), ("origin", "https://evil.example")], Err(Refusal::ForeignHost));
    }

    #[test]
    fn a_guarded_listener_wants_its_token() {
        let guard = Guard::Token { digest: sha256(b"0123456789abcdef0123456789abcdef") };
        check(&guard, &[("authorization", "Bearer 0123456789abcdef0123456789abcdef")], Ok(()));
        check(&guard, &[("authorization", "Bearer 0123456789abcdef0123456789abcdeg")], Err(Refusal::Unauthenticated));
        check(&guard, &[], Err(Refusal::Unauthenticated));
        assert_eq!(guard.admit(&HeaderMap::new(), "/readyz"), Ok(()));
    }
}
