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

#[cfg(test)]
mod tests {
    use super::super::testing::{World, tenant};
    use super::*;
    use crate::ids::PrincipalId;

    const VM: &str =
        "/subscriptions/00000002-0005-4000-8000-000000000001/resourceGroups/rg-a/providers/Microsoft.Compute/virtualMachines/vm";

    #[test]
    fn what_is_foreseen_is_what_would_become_of_it() {
        let gone = "[[tenant]]\nkey = \"gone\"\nid = \"00000004-0000-4000-8000-000000000000\"\nname = \"Gone\"\nsuspended = true\n";
        let world = World::with(gone);
        let own = world.own("owner", "GET /providers/Steward.Delegation/delegations");
        let of_tenant = |number| {
            let caller = world.caller("reader");
            Caller { principal: PrincipalId { tenant: tenant(number), ..caller.principal }, ..caller }
        };
        let foreseen = |method, url: &str, caller| match own.foresee(&Supposed { method, url, caller: Arc::new(caller) }, &world.context())
        {
            Foreseen::Asked(_) => "asked",
            Foreseen::Permitted(_) => "permitted",
            Foreseen::Refused(refused) => refused.rejection.reason(),
        };
        let url = format!("{VM}?api-version=2024-07-01");
        assert_eq!(foreseen("GET", &url, world.caller("reader")), "permitted");
        assert_eq!(foreseen("GET", &format!("https://gateway.example:8443{url}"), world.caller("reader")), "permitted");
        assert_eq!(foreseen("DELETE", &url, world.caller("reader")), "role.action_missing");
        assert_eq!(foreseen("GET", "/subscriptions?api-version=2022-12-01", world.caller("nobody")), "asked");
        assert_eq!(foreseen("GET", &format!("https://kv.vault.example{url}"), world.caller("reader")), "plane.data");
        assert_eq!(foreseen("TRACE", &url, world.caller("reader")), "plane.method");
        // Somebody whose tenant is none, or is held back, would not come as far as a scope.
        assert_eq!(foreseen("GET", &url, of_tenant(4)), "tenant.suspended");
        assert_eq!(foreseen("GET", &url, of_tenant(5)), "tenant.unknown");
    }
}
