//! One bounded GET of a configured address: `https` with the configured roots, or clear text to this very machine.
//!
//! No redirect is followed, no proxy is asked, nothing is retried and no credential is sent.

use std::future::{Future, pending};
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST};
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

/// From the first packet to the last byte of the answer.
const FETCH_TIME_MAX: Duration = Duration::from_secs(5);
/// A hundred keys with their certificates have about 300 KiB.
pub(super) const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

/// Gets documents of issuers.
#[derive(Clone)]
pub struct Fetcher {
    tls: TlsConnector,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fetcher")
    }
}

impl Fetcher {
    /// A fetcher that trusts these roots.
    ///
    /// # Errors
    /// When the cryptographic provider has no TLS version to offer.
    pub fn new(roots: RootCertStore) -> Result<Self, rustls::Error> {
        Ok(Self { tls: TlsConnector::from(tls::client_config(roots, None)?) })
    }

    /// The body of a 200 answer, at most 1 MiB, within five seconds.
    ///
    /// # Errors
    /// When the address is not `https` (or `http` to a loopback host), or the other end does not answer so.
    pub async fn get(&self, url: &str) -> Result<Bytes, FetchError> {
        let target = Target::parse(url).ok_or_else(|| FetchError::Address { url: url.to_owned() })?;
        match timeout(FETCH_TIME_MAX, self.exchange(&target)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(FetchError::Late { url: url.to_owned() }),
        }
    }

    async fn exchange(&self, target: &Target) -> Result<Bytes, FetchError> {
        let unreachable = |cause| FetchError::Unreachable { url: target.url(), cause };
        let stream = TcpStream::connect((target.host(), target.port)).await.map_err(unreachable)?;
        if !target.tls {
            return target.ask(stream).await;
        }
        let name = ServerName::try_from(target.host().to_owned()).map_err(|cause| FetchError::Name { url: target.url(), cause })?;
        target.ask(self.tls.connect(name, stream).await.map_err(unreachable)?).await
    }
}

/// A checked address.
#[derive(Debug)]
struct Target {
    uri: Uri,
    authority: Authority,
    port: u16,
    tls: bool,
}

impl Target {
    fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let authority = uri.authority()?.clone();
        let tls = match uri.scheme_str()? {
            "https" => true,
            "http" if is_loopback(authority.host()) => false,
            _ => return None,
        };
        // User information is how an address looks like another one.
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        (!authority.as_str().contains('@')).then_some(Self { uri, authority, port, tls })
    }

    fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    fn url(&self) -> String {
        self.uri.to_string()
    }

    async fn ask<S: AsyncRead + AsyncWrite + Unpin + Send>(&self, stream: S) -> Result<Bytes, FetchError> {
        let broken = |cause| FetchError::Exchange { url: self.url(), cause };
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path)
            .header(HOST, self.authority.as_str())
            .header(ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|cause| FetchError::Request { url: self.url(), cause })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(broken)?;
            if answer.status() != StatusCode::OK {
                return Err(FetchError::Status { url: self.url(), status: answer.status() });
            }
            let body = Limited::new(answer.into_body(), DOCUMENT_BYTES_MAX).collect().await;
            body.map(http_body_util::Collected::to_bytes).map_err(|cause| FetchError::Body { url: self.url(), cause })
        };
        beside(connection, answer).await
    }
}

/// Drives a connection while `answer` waits for what it brings; the connection ends with the answer.
async fn beside<T>(connection: impl Future<Output = hyper::Result<()>>, answer: impl Future<Output = T>) -> T {
    let driven = async {
        if let Err(cause) = connection.await {
            tracing::debug!(%cause, "connection to an issuer ended early");
        }
        // The answer may still be read from what has arrived.
        pending().await
    };
    tokio::select! {
        answer = answer => answer,
        never = driven => never,
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Why a document could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Not an address that may be called.
    #[error("`{url}` is not an https address; http is allowed to this machine only")]
    Address {
        /// The address.
        url: String,
    },
    /// Too long, or cut short.
    #[error("the answer of `{url}` was not read; allowed: 1048576 bytes")]
    Body {
        /// The address.
        url: String,
        /// Limit or transport.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No HTTP answer.
    #[error("`{url}` gave no HTTP answer")]
    Exchange {
        /// The address.
        url: String,
        /// What the transport says.
        #[source]
        cause: hyper::Error,
    },
    /// Too slow.
    #[error("`{url}` took longer than 5 seconds")]
    Late {
        /// The address.
        url: String,
    },
    /// The host is no name that a certificate could have.
    #[error("the host of `{url}` is not a name")]
    Name {
        /// The address.
        url: String,
        /// What is wrong with it.
        #[source]
        cause: InvalidDnsNameError,
    },
    /// The address cannot be asked for.
    #[error("`{url}` cannot be asked for")]
    Request {
        /// The address.
        url: String,
        /// What is wrong with it.
        #[source]
        cause: hyper::http::Error,
    },
    /// Any answer but 200, redirects included.
    #[error("`{url}` answered {status}; expected 200, redirects are not followed")]
    Status {
        /// The address.
        url: String,
        /// The answer.
        status: StatusCode,
    },
    /// No connection, or no trust.
    #[error("`{url}` cannot be reached or is not trusted")]
    Unreachable {
        /// The address.
        url: String,
        /// TCP or TLS.
        #[source]
        cause: std::io::Error,
    },
}

#[cfg(test)]
mod tests {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

    use super::super::testing::KeyServer;
    use std::sync::Arc;

    use super::*;

    #[track_caller]
    fn check(url: &str, expected: Option<(&str, u16)>) {
        let target = Target::parse(url);
        assert_eq!(target.as_ref().map(|target| (target.host(), target.port)), expected, "{url}");
    }

    #[test]
    fn clear_text_is_for_this_machine_only() {
        check("https://login.example/keys", Some(("login.example", 443)));
        check("https://login.example:8443/keys", Some(("login.example", 8443)));
        check("http://127.0.0.1:8444/keys", Some(("127.0.0.1", 8444)));
        check("http://[::1]/keys", Some(("::1", 80)));
        check("http://LocalHost/keys", Some(("LocalHost", 80)));
        check("http://login.example/keys", None);
        check("http://127.0.0.1.evil.example/keys", None);
        check("http://localhost.evil.example/keys", None);
        check("http://127.0.0.1@evil.example/keys", None);
        check("https://login.example@evil.example/keys", None);
        check("file:///etc/passwd", None);
        check("/keys", None);
        check("", None);
    }

    fn authority() -> (RootCertStore, Arc<ServerConfig>) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
        let config = ServerConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        (roots, Arc::new(config))
    }

    #[tokio::test]
    async fn a_document_comes_over_tls_that_the_roots_vouch_for() {
        let (roots, config) = authority();
        let server = KeyServer::start("{}".to_owned(), Some(config)).await;
        let url = format!("{}/keys", server.base);
        assert_eq!(Fetcher::new(roots).unwrap().get(&url).await.unwrap(), "{}");
        let (stranger, _config) = authority();
        let refused = Fetcher::new(stranger).unwrap().get(&url).await.unwrap_err();
        assert_eq!(refused.to_string(), format!("`{url}` cannot be reached or is not trusted"));
        assert_eq!(*server.asked.borrow(), 1);
    }

    #[tokio::test]
    async fn redirects_are_not_followed_and_long_documents_are_not_read() {
        let server = KeyServer::start("{}".to_owned(), None).await;
        let fetcher = Fetcher::new(RootCertStore::empty()).unwrap();
        let moved = fetcher.get(&format!("{}/moved", server.base)).await.unwrap_err();
        let told = format!("`{}/moved` answered 302 Found; expected 200, redirects are not followed", server.base);
        assert_eq!(moved.to_string(), told);
        let huge = fetcher.get(&format!("{}/huge", server.base)).await.unwrap_err();
        assert_eq!(huge.to_string(), format!("the answer of `{}/huge` was not read; allowed: 1048576 bytes", server.base));
        assert_eq!(*server.asked.borrow(), 2);
    }

    #[tokio::test]
    async fn a_document_of_exactly_a_mebibyte_is_read() {
        let server = KeyServer::start("x".repeat(1_048_576), None).await;
        let (fetcher, url) = (Fetcher::new(RootCertStore::empty()).unwrap(), format!("{}/keys", server.base));
        assert_eq!(fetcher.get(&url).await.unwrap().len(), 1_048_576);
        server.keys.send_replace("x".repeat(1_048_577));
        let refused = fetcher.get(&url).await.unwrap_err();
        assert_eq!(refused.to_string(), format!("the answer of `{url}` was not read; allowed: 1048576 bytes"));
    }

    #[test]
    fn a_fetcher_shows_its_name_and_nothing_of_its_roots() {
        assert_eq!(format!("{:?}", Fetcher::new(RootCertStore::empty()).unwrap()), "Fetcher");
    }
}
