//! One bounded POST to a configured address: `https` with the configured roots, or clear text to this very machine.
//!
//! No redirect is followed, no proxy is asked, and of the answer nothing but its status is looked at.

use std::future::pending;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue, USER_AGENT};
use hyper::http::uri::Authority;
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{InvalidDnsNameError, ServerName};
use tokio_rustls::rustls::{self, RootCertStore};

use crate::tls;

/// From the first packet to the head of the answer.
pub(super) const POST_TIME_MAX: Duration = Duration::from_secs(10);

/// A checked address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    uri: Uri,
    authority: Authority,
    port: u16,
    tls: bool,
}

/// An address that may not be posted to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `https://host[:port]/path` without user and password, or `http://` to this machine")]
pub struct TargetError;

impl std::str::FromStr for Target {
    type Err = TargetError;

    fn from_str(url: &str) -> Result<Self, TargetError> {
        let uri: Uri = url.parse().or(Err(TargetError))?;
        let authority = uri.authority().cloned().ok_or(TargetError)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if is_loopback(authority.host()) => false,
            Some(_) | None => return Err(TargetError),
        };
        // User information is how an address looks like another one.
        if authority.as_str().contains('@') {
            return Err(TargetError);
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { uri, authority, port, tls })
    }
}

impl Target {
    fn host(&self) -> &str {
        bare(self.authority.host())
    }
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || bare(host).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Why something was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    /// No HTTP answer.
    #[error("the receiver gave no HTTP answer")]
    Exchange(#[source] hyper::Error),
    /// Too slow.
    #[error("the receiver did not answer within {} s", POST_TIME_MAX.as_secs())]
    Late,
    /// The host is no name that a certificate could have.
    #[error("the host of the receiver is not a name")]
    Name(#[source] InvalidDnsNameError),
    /// The request cannot be written.
    #[error("the delivery cannot be written as a request")]
    Request(#[source] hyper::http::Error),
    /// Any answer but 2xx, redirects included.
    #[error("the receiver answered {0}; expected 2xx, redirects are not followed")]
    Status(StatusCode),
    /// No connection, or no trust.
    #[error("the receiver cannot be reached or is not trusted")]
    Unreachable(#[source] std::io::Error),
}

/// Posts to one address.
pub(super) struct Poster {
    target: Target,
    tls: TlsConnector,
}

impl Poster {
    pub(super) fn new(target: Target, roots: RootCertStore) -> Result<Self, rustls::Error> {
        Ok(Self { target, tls: TlsConnector::from(tls::client_config(roots, None)?) })
    }

    pub(super) async fn post(&self, headers: HeaderMap, body: String) -> Result<(), PostError> {
        timeout(POST_TIME_MAX, self.exchange(headers, body)).await.unwrap_or(Err(PostError::Late))
    }

    async fn exchange(&self, headers: HeaderMap, body: String) -> Result<(), PostError> {
        let target = &self.target;
        let stream = TcpStream::connect((target.host(), target.port)).await.map_err(PostError::Unreachable)?;
        if !target.tls {
            return self.send(stream, headers, body).await;
        }
        let name = ServerName::try_from(target.host().to_owned()).map_err(PostError::Name)?;
        let stream = self.tls.connect(name, stream).await.map_err(PostError::Unreachable)?;
        self.send(stream, headers, body).await
    }

    async fn send<S: AsyncRead + AsyncWrite + Unpin + Send>(&self, stream: S, headers: HeaderMap, body: String) -> Result<(), PostError> {
        let path = self.target.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::post(path)
            .header(HOST, self.target.authority.as_str())
            .header(USER_AGENT, HeaderValue::from_static(concat!("steward/", env!("CARGO_PKG_VERSION"))))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))
            .body(Full::<Bytes>::from(body))
            .map_err(PostError::Request)?;
        request.headers_mut().extend(headers);
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(PostError::Exchange)?;
        let driven = async {
            if let Err(cause) = connection.await {
                tracing::debug!(%cause, "connection to a webhook ended early");
            }
            // The answer may still be read from what has arrived.
            pending().await
        };
        let answer = tokio::select! {
            answer = sender.send_request(request) => answer.map_err(PostError::Exchange)?,
            never = driven => never,
        };
        if answer.status().is_success() { Ok(()) } else { Err(PostError::Status(answer.status())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: Option<(&str, u16, bool)>) {
        let target = url.parse::<Target>().ok();
        assert_eq!(target.as_ref().map(|target| (target.host(), target.port, target.tls)), expected, "{url}");
    }

    #[test]
    fn clear_text_is_for_this_machine_only() {
        check("https://siem.example/hook?x=1", Some(("siem.example", 443, true)));
        check("https://[2001:db8::1]:8443/", Some(("2001:db8::1", 8443, true)));
        check("http://localhost:9000/hook", Some(("localhost", 9000, false)));
        check("http://[::1]/hook", Some(("::1", 80, false)));
        for url in ["http://siem.example/", "https://user@siem.example/", "http://127.0.0.1@siem.example/", "ftp://localhost/", "/hook", ""]
        {
            check(url, None);
        }
    }
}
