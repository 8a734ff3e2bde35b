//! One request and its answer, for commands that ask a running gateway or issuer.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::tls;

const TIME_MAX: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What is asked.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    /// `http://…` or `https://…`.
    pub(super) url: &'a str,
    /// A form body.
    pub(super) form: Option<String>,
    /// A bearer token.
    pub(super) token: Option<String>,
    /// The certificate to trust; those of the system when absent.
    pub(super) trusted: Option<&'a Path>,
}

/// Why there is no answer, in one line.
#[derive(Debug, thiserror::Error)]
#[error("no answer from {url}: {why}")]
pub(super) struct NoAnswer {
    url: String,
    why: String,
}

impl Call<'_> {
    /// Asks and waits for the whole answer.
    pub(super) async fn send(self) -> Result<(StatusCode, Bytes), NoAnswer> {
        let url = self.url.to_owned();
        let failed = |why: String| NoAnswer { url: url.clone(), why };
        match timeout(TIME_MAX, self.exchange()).await {
            Ok(answer) => answer.map_err(failed),
            Err(_elapsed) => Err(failed(format!("nothing within {} s", TIME_MAX.as_secs()))),
        }
    }

    async fn exchange(self) -> Result<(StatusCode, Bytes), String> {
        let target: hyper::Uri = self.url.parse().map_err(|cause| format!("not a URL: {cause}"))?;
        let host = target.host().ok_or("the URL has no host")?.to_owned();
        let is_tls = target.scheme_str() == Some("https");
        let port = target.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(|cause| cause.to_string())?;
        let request = self.request(&target)?;
        if !is_tls {
            return speak(stream, request).await;
        }
        let roots = tls::trusted_roots(self.trusted).map_err(|cause| cause.to_string())?;
        let config = tls::client_config(roots, None).map_err(|cause| cause.to_string())?;
        let name = ServerName::try_from(host).map_err(|cause| cause.to_string())?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|cause| cause.to_string())?;
        speak(stream, request).await
    }

    fn request(&self, target: &hyper::Uri) -> Result<Request<Full<Bytes>>, String> {
        let path = target.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let authority = target.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let mut request = Request::new(Full::from(self.form.clone().unwrap_or_default()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = path.parse().map_err(|cause| format!("not a path: {cause}"))?;
        let host = HeaderValue::from_str(authority).map_err(|cause| cause.to_string())?;
        request.headers_mut().insert(header::HOST, host);
        if let Some(token) = &self.token {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|cause| cause.to_string())?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        if self.form.is_some() {
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        Ok(request)
    }
}

async fn speak<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|cause| cause.to_string())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|cause| cause.to_string())?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|cause| cause.to_string())?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => match ended {
            Ok(()) => answer.await,
            Err(cause) => Err(cause.to_string()),
        },
    }
}
