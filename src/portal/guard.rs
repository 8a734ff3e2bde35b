//! Whether a request came from one of our own pages, judged before anything else is read.

use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

/// How browsers reach the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In clear text, on loopback only.
    Clear,
    /// Over TLS.
    Tls,
}

/// Where the portal is.
#[derive(Debug, Clone)]
pub struct Site {
    /// Names and addresses of the listener in lower case and without port: `portal.juniper.example`, `127.0.0.1`, `[::1]`.
    pub names: Vec<Box<str>>,
    /// How it is reached.
    pub transport: Transport,
}

/// Why a request is refused unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("This address is not one of the portal's own. Open the portal by the name that you were given for it.")]
    ForeignHost,
    #[error("This request came from a page of another site. Nothing was done. Open the portal and do it there.")]
    ForeignPage,
}

impl Refusal {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::ForeignHost => StatusCode::MISDIRECTED_REQUEST,
            Self::ForeignPage => StatusCode::FORBIDDEN,
        }
    }
}

impl Site {
    /// A page whose name was rebound to this machine still sends its own name, and a form of another site says so.
    pub(super) fn admit(&self, head: &Parts) -> Result<(), Refusal> {
        let host = host_of(head).ok_or(Refusal::ForeignHost)?;
        if !self.names.iter().any(|name| **name == *name_of(&host)) {
            return Err(Refusal::ForeignHost);
        }
        let is_own = match head.method {
            Method::GET | Method::HEAD => !is_embedded_elsewhere(&head.headers),
            _ => self.is_own_form(&head.headers, &host),
        };
        is_own.then_some(()).ok_or(Refusal::ForeignPage)
    }

    fn is_own_form(&self, headers: &HeaderMap, host: &str) -> bool {
        let scheme = match self.transport {
            Transport::Clear => "http",
            Transport::Tls => "https",
        };
        let origin = one(headers, "origin").is_some_and(|origin| origin == format!("{scheme}://{host}"));
        origin && one(headers, "sec-fetch-site") == Some("same-origin")
    }
}

/// A link from elsewhere may be followed; an image, script or frame elsewhere gets nothing.
fn is_embedded_elsewhere(headers: &HeaderMap) -> bool {
    matches!(one(headers, "sec-fetch-site"), Some("cross-site" | "same-site")) && one(headers, "sec-fetch-mode") != Some("navigate")
}

/// The host with its port, in lower case: of the request line in HTTP/2, of the header in HTTP/1.
fn host_of(head: &Parts) -> Option<String> {
    let named = head.uri.authority().map(hyper::http::uri::Authority::as_str);
    named.or_else(|| one(&head.headers, header::HOST.as_str())).map(str::to_ascii_lowercase)
}

fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

/// The header, if it is there once.
fn one<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    #[track_caller]
    fn check(transport: Transport, method: &str, fields: &[(&str, &str)], expected: Result<(), Refusal>) {
        let site = Site { names: vec!["portal.example".into(), "[::1]".into()], transport };
        let request =
            fields.iter().fold(Request::builder().method(method).uri("/"), |request, (name, value)| request.header(*name, *value));
        assert_eq!(site.admit(&request.body(()).unwrap().into_parts().0), expected, "{method} {fields:?}");
    }

    #[test]
    fn only_the_listeners_own_names_are_answered() {
        for own in ["portal.example", "Portal.Example:8443", "[::1]", "[::1]:8480"] {
            check(Transport::Tls, "GET", &[("host", own)], Ok(()));
        }
        for foreign in ["evil.example", "portal.example.evil.example", "evil.example:443", "", "portal.example:8443:1", "x@portal.example"]
        {
            check(Transport::Tls, "GET", &[("host", foreign)], Err(Refusal::ForeignHost));
        }
        check(Transport::Tls, "GET", &[], Err(Refusal::ForeignHost));
        check(Transport::Tls, "GET", &[("host", "portal.example"), ("host", "portal.example")], Err(Refusal::ForeignHost));
    }

    #[test]
    fn a_form_has_to_come_from_an_own_page() {
        let host = ("host", "portal.example:8443");
        let (origin, site) = (("origin", "https://portal.example:8443"), ("sec-fetch-site", "same-origin"));
        check(Transport::Tls, "POST", &[host, origin, site], Ok(()));
        check(Transport::Clear, "POST", &[host, ("origin", "http://portal.example:8443"), site], Ok(()));
        check(Transport::Clear, "POST", &[host, origin, site], Err(Refusal::ForeignPage));
        check(Transport::Tls, "POST", &[host, site], Err(Refusal::ForeignPage));
        check(Transport::Tls, "POST", &[host, origin], Err(Refusal::ForeignPage));
        check(Transport::Tls, "POST", &[host, origin, origin, site], Err(Refusal::ForeignPage));
        check(Transport::Tls, "POST", &[host, origin, ("sec-fetch-site", "same-site")], Err(Refusal::ForeignPage));
        for foreign in ["null", "https://evil.example", "https://portal.example", "https://portal.example:8443.evil.example"] {
            check(Transport::Tls, "POST", &[host, ("origin", foreign), site], Err(Refusal::ForeignPage));
        }
    }

    #[test]
    fn a_link_from_elsewhere_works_and_embedding_does_not() {
        let host = ("host", "portal.example");
        check(Transport::Tls, "GET", &[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")], Ok(()));
        check(Transport::Tls, "GET", &[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")], Err(Refusal::ForeignPage));
        check(Transport::Tls, "GET", &[host, ("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "cors")], Ok(()));
    }
}
