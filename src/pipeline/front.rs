//! Requests that came in another protocol, as the management requests that they stand for.
//!
//! The caller was proven by its token; what is asked for has to pass the same stages as if it had been asked for here.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::header::HeaderMap;

use super::trail::{CheckName, Trail, TrailSeed};
use super::{Admitted, Authenticated, Context, ManagementRequest, Refused};
use crate::arm::action::Method;
use crate::arm::path::{CanonicalPath, PathError};
use crate::identity::Caller;

/// Where and how a request came in.
#[derive(Debug, Clone)]
pub struct CameIn {
    /// Which interface, for the record.
    pub interface: &'static str,
    /// The address of the client.
    pub peer: SocketAddr,
    /// `TLS 1.3` or `clear text`, and the HTTP version.
    pub transport: String,
    /// Joins what one request was turned into.
    pub correlation_id: String,
    /// The client's own id.
    pub client_request_id: Option<String>,
}

/// A management request that another one stands for.
#[derive(Debug, Clone, Copy)]
pub struct Meant<'a> {
    /// Who asks.
    pub caller: &'a Arc<Caller>,
    /// What is to be done.
    pub method: Method,
    /// The path.
    pub path: &'a str,
    /// The query, with the API version.
    pub query: &'a str,
    /// How it came in.
    pub came_in: &'a CameIn,
}

/// A request of another interface that is none of the management plane's.
#[derive(Debug, Clone, Copy)]
pub struct Arrived<'a> {
    /// Who asks, once that is proven.
    pub caller: Option<&'a Arc<Caller>>,
    /// The method as sent.
    pub method: &'a str,
    /// The path as sent.
    pub path: &'a str,
    /// How it came in.
    pub came_in: &'a CameIn,
}

impl Arrived<'_> {
    /// The evidence of it so far.
    #[must_use]
    pub fn trail(&self, context: &Context<'_>) -> Box<Trail> {
        let mut trail = Box::new(TrailSeed::came_in(self.came_in).arrived(self, context));
        trail.pass(CheckName::Connection);
        if self.caller.is_some() {
            for check in [CheckName::Token, CheckName::Audience, CheckName::Tenant] {
                trail.pass(check);
            }
        }
        trail
    }
}

/// Takes it through every stage but those that the other interface has proven: host and token.
///
/// # Errors
/// When the path is none of the management plane; what the stages refuse is inside.
pub fn admit_meant(meant: &Meant<'_>, context: &Context<'_>) -> Result<Result<Admitted, Refused>, PathError> {
    let path = CanonicalPath::parse(meant.path)?;
    let trail = Box::new(TrailSeed::came_in(meant.came_in).trail(meant.method, &path, meant.caller, context));
    let authority = context.site.authorities.first().cloned().unwrap_or_default();
    let request = ManagementRequest {
        method: meant.method,
        path,
        query: Some(meant.query.into()),
        sent: None,
        headers: HeaderMap::new(),
        authority,
        trail,
    };
    Ok(super::admit_proven(Authenticated::part(request, Arc::clone(meant.caller)), context))
}
