//! What would become of a request, without anything being done: the same stages, ended where something would leave the gateway.

use std::sync::Arc;

use hyper::header::HeaderMap;

use super::own::OwnRequest;
use super::resolve::{OwnQuestion, Target};
use super::trail::{CheckName, Trail};
use super::{Authenticated, ClassifyError, Context, ManagementRequest, Refused};
use crate::arm::action::Method;
use crate::arm::path::CanonicalPath;
use crate::identity::{Caller, TokenError};
use crate::rejection::Rejection;

/// A request that nobody sent.
#[derive(Debug, Clone)]
pub struct Supposed<'a> {
    /// Its method, as it would be sent.
    pub method: &'a str,
    /// Its URL: absolute, or from the path on.
    pub url: &'a str,
    /// Who would send it.
    pub caller: Arc<Caller>,
}

/// What would become of it.
#[derive(Debug)]
pub enum Foreseen {
    /// The gateway would answer it from its directory.
    Asked(OwnQuestion),
    /// A grant permits it.
    Permitted(Box<Trail>),
    /// It would be refused.
    Refused(Refused),
}

impl OwnRequest {
    /// Takes a supposed request through all stages that decide. It leaves no record and starts nothing.
    #[must_use]
    pub fn foresee(&self, supposed: &Supposed<'_>, context: &Context<'_>) -> Foreseen {
        self.decide(supposed, context).unwrap_or_else(Foreseen::Refused)
    }

    fn decide(&self, supposed: &Supposed<'_>, context: &Context<'_>) -> Result<Foreseen, Refused> {
        let mut trail = Box::new(self.seed.supposed(supposed, context));
        trail.pass(CheckName::Connection);
        let (method, path, query) = match classify(supposed, context) {
            Ok(target) => target,
            Err(error) => return Err(trail.refuse(Rejection::Classify(error))),
        };
        trail.pass(CheckName::Plane);
        trail.path = path.as_str().into();
        for check in [CheckName::Token, CheckName::Audience] {
            trail.pass(check);
        }
        if let Err(error) = home(&supposed.caller, context) {
            return Err(trail.refuse(Rejection::Token { error, authority: None }));
        }
        trail.pass(CheckName::Tenant);
        let authority = self.authority.clone();
        let request = ManagementRequest { method, path, query, sent: None, headers: HeaderMap::new(), authority, trail };
        match Authenticated::part(request, Arc::clone(&supposed.caller)).resolve(context)? {
            Target::Gateway(question) => Ok(Foreseen::Asked(question)),
            Target::Customer(scoped) => Ok(Foreseen::Permitted(scoped.authorize(context)?.scoped.request.trail)),
        }
    }
}

fn classify(supposed: &Supposed<'_>, context: &Context<'_>) -> Result<(Method, CanonicalPath, Option<Box<str>>), ClassifyError> {
    let method = supposed.method.parse().map_err(|_cause| ClassifyError::Method { method: supposed.method.chars().take(32).collect() })?;
    let target = match supposed.url.split_once("://") {
        None => supposed.url,
        Some((_scheme, rest)) => {
            let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            context.require_ours(authority)?;
            target
        }
    };
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query.into())));
    Ok((method, CanonicalPath::parse(path)?, query))
}

fn home(caller: &Caller, context: &Context<'_>) -> Result<(), TokenError> {
    let tenant = caller.tenant();
    match context.directory.tenant(tenant) {
        None => Err(TokenError::TenantUnknown { tenant }),
        Some(known) if known.suspended => Err(TokenError::TenantSuspended { tenant }),
        Some(_) => Ok(()),
    }
}
