//! A request that a batch carries, as the request that its client could have sent instead.
//!
//! It is the batch's caller that asks, and nothing that the carried request says can change that: of what else a request has, it says method, target
//! and two fields. Source: `docs/decisions/0023-beyond-the-path.md`.

use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::InvalidUri;

use super::own::OwnRequest;
use super::trail::{self, CheckName};
use super::{Authenticated, ClassifyError, Context, ManagementRequest, Refused};
use crate::arm::action::Method;
use crate::arm::path::CanonicalPath;
use crate::rejection::Rejection;

/// What is said of a carried request.
#[derive(Debug, Clone, Copy)]
pub struct Carried<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its URL: absolute on one of our authorities, or from the path on.
    pub url: &'a str,
    /// Its header fields: names and values as they were sent.
    pub fields: &'a [(&'a str, &'a str)],
    /// Why it cannot be read, where that is known already.
    pub fault: Option<&'static str>,
}

/// The fields that a carried request may have of its own.
const FIELDS: [HeaderName; 2] = [HeaderName::from_static("commandname"), trail::CLIENT_REQUEST_ID];

/// Where batches are sent to.
pub(super) const BATCH_PATH: &str = "/batch";

struct Target {
    method: Method,
    path: CanonicalPath,
    query: Option<Box<str>>,
}

impl OwnRequest {
    /// A request that this one carries, with an id and a record of its own.
    ///
    /// # Errors
    /// When it is addressed to somebody else, cannot be read in one way only, carries requests itself, or says more than it may.
    pub fn carried(&self, carried: &Carried<'_>, context: &Context<'_>) -> Result<Authenticated, Refused> {
        let mut trail = Box::new(self.seed.carried(carried, &self.caller, context));
        for check in [CheckName::Connection, CheckName::Token, CheckName::Audience, CheckName::Tenant] {
            trail.pass(check);
        }
        let read = target(carried, context).and_then(|target| Ok((target, self.fields_of(carried)?)));
        let (Target { method, path, query }, headers) = match read {
            Ok(read) => read,
            Err(error) => return Err(trail.refuse(Rejection::Classify(error))),
        };
        trail.pass(CheckName::Plane);
        trail.path = path.as_str().into();
        let request = ManagementRequest { method, path, query, sent: None, headers, authority: self.authority.clone(), trail };
        Ok(self.inherit(request))
    }

    fn fields_of(&self, carried: &Carried<'_>) -> Result<HeaderMap, ClassifyError> {
        let mut fields = self.parts_fields();
        for (name, value) in carried.fields {
            let known = FIELDS.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(name));
            let known = known.ok_or(ClassifyError::Carried {
                what: "it has a header that is not its own: only `commandName` and `x-ms-client-request-id` are",
            })?;
            let value = HeaderValue::from_str(value)
                .map_err(|_not_a_value| ClassifyError::Carried { what: "a header of it has a value that no header has" })?;
            fields.insert(known, value);
        }
        Ok(fields)
    }
}

fn target(carried: &Carried<'_>, context: &Context<'_>) -> Result<Target, ClassifyError> {
    if let Some(what) = carried.fault {
        return Err(ClassifyError::Carried { what });
    }
    let method = carried.method.parse().map_err(|_cause| ClassifyError::Method { method: carried.method.chars().take(32).collect() })?;
    let (length, max) = (carried.url.len(), context.site.head.target_bytes_max);
    if length > max {
        return Err(ClassifyError::TargetTooLong { length, max });
    }
    // What stands behind it would be left out without a word.
    if carried.url.contains('#') {
        return Err(ClassifyError::Carried { what: UNREADABLE });
    }
    let uri: Uri = carried.url.parse().map_err(|_cause: InvalidUri| ClassifyError::Carried { what: UNREADABLE })?;
    match (uri.scheme_str(), uri.authority()) {
        (None, None) if carried.url.starts_with('/') => {}
        (Some("https" | "http"), Some(authority)) => context.require_ours(authority.as_str())?,
        _ => return Err(ClassifyError::Carried { what: UNREADABLE }),
    }
    let path = CanonicalPath::parse(uri.path())?;
    if path.as_str().eq_ignore_ascii_case(BATCH_PATH) {
        return Err(ClassifyError::Carried { what: "it is a batch itself" });
    }
    Ok(Target { method, path, query: uri.query().map(Box::from) })
}

const UNREADABLE: &str = "its URL is neither one of this gateway nor a path with a query";

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;

    fn read(method: &str, url: &str) -> Result<String, ClassifyError> {
        let world = World::new();
        let Target { method, path, query } = target(&Carried { method, url, fields: &[], fault: None }, &world.context())?;
        Ok(format!("{method} {} {}", path.as_str(), query.as_deref().unwrap_or("-")))
    }

    #[test]
    fn a_carried_request_is_ours_and_none_that_carries_others() {
        let unreadable = || Err(ClassifyError::Carried { what: UNREADABLE });
        assert_eq!(read("GET", "/providers?api-version=1"), Ok("GET /providers api-version=1".to_owned()));
        assert_eq!(read("GET", "/providers"), Ok("GET /providers -".to_owned()));
        assert_eq!(read("GET", "https://gateway.example:8443/providers"), Ok("GET /providers -".to_owned()));
        for url in ["*", "", "providers", "gateway.example:8443", "?api-version=1", "ftp://gateway.example:8443/providers", "/providers#x"]
        {
            assert_eq!(read("GET", url), unreadable(), "{url}");
        }
        assert!(matches!(read("GET", "https://elsewhere.example/providers"), Err(ClassifyError::ForeignHost { .. })));
        assert!(matches!(read("GET", "https://kv.vault.example/secrets"), Err(ClassifyError::DataPlane { .. })));
        assert!(matches!(read("TRACE", "/providers"), Err(ClassifyError::Method { .. })));
        for url in ["/batch", "//Batch/", "http://gateway.example:8443/batch?api-version=1"] {
            assert_eq!(read("POST", url), Err(ClassifyError::Carried { what: "it is a batch itself" }), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_whatever_it_says() {
        let carried = Carried { method: "GET", url: "/providers", fields: &[], fault: Some("it has no method") };
        assert_eq!(target(&carried, &World::new().context()).map(drop), Err(ClassifyError::Carried { what: "it has no method" }));
    }

    #[test]
    fn the_target_of_a_carried_request_is_as_long_as_any_other() {
        let url = |bytes: usize| format!("/providers?{}", "a".repeat(bytes - 11));
        assert!(read("GET", &url(8_192)).is_ok());
        assert_eq!(read("GET", &url(8_193)), Err(ClassifyError::TargetTooLong { length: 8_193, max: 8_192 }));
    }

    #[test]
    fn a_carried_request_says_its_command_and_its_id_and_nothing_else() {
        let world = World::new();
        let own = world.own("reader", "POST /batch");
        let carried = |fields: &[(&str, &str)]| match own
            .carried(&Carried { method: "GET", url: "/tenants?api-version=1", fields, fault: None }, &world.context())
        {
            Ok(_) => "",
            Err(refused) => refused.rejection.reason(),
        };
        assert_eq!(carried(&[]), "");
        assert_eq!(carried(&[("CommandName", "vm list"), ("X-Ms-Client-Request-Id", "mine")]), "");
        for (name, value) in [("authorization", "Bearer x"), ("x-ms-authorization-auxiliary", "x"), ("", ""), ("commandname", "a\nb")] {
            assert_eq!(carried(&[("commandname", "vm list"), (name, value)]), "request.malformed", "{name}");
        }
        let fields = own.fields_of(&Carried { method: "GET", url: "/", fields: &[("CommandName", "vm list")], fault: None }).unwrap();
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        assert_eq!(fields, ["content-type: application/json", "commandname: vm list"]);
    }
}
