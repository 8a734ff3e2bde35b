//! `Steward.Delegation`: what each side may see of delegations, and why something was decided as it was.
//!
//! Any signed-in caller may ask. Answers hold only what this caller may see: for every scope that is the same question as for a
//! request to it, put to `delegation::decide`. Nothing here changes anything.

mod catalogue;
pub(super) mod changes;
mod delegations;
mod explanations;
mod openapi;
mod partners;
mod report;
mod shapes;

use std::fmt::Display;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Desk, OwnAnswer, OwnError, Sent};
use crate::arm::action::{Action, Method};
use crate::arm::query;
use crate::arm::scope::{Anchor, Scope};
use crate::clock::Timestamp;
use crate::delegation::decide::{self, Decision, Question};
use crate::directory::entity::DelegationEvent;
use crate::directory::{Acquaintance, Directory, Versioned};
use crate::ids::{PrincipalId, TenantId};
use crate::pipeline::OwnRequest;
pub use openapi::description;
use shapes::{Item, List};

/// What reading a delegation takes, on its scope.
const READ_DELEGATIONS: &str = "Microsoft.ManagedServices/registrationAssignments/read";
/// What reading who has access takes.
const READ_ACCESS: &str = "Microsoft.Authorization/roleAssignments/read";

/// Carries out one request.
pub(super) async fn carry_out(request: &OwnRequest, body: Sent<'_>, desk: &Desk<'_>) -> Result<OwnAnswer, OwnError> {
    let call = Call::new(request, desk);
    let rest: Vec<&str> = request.rest.iter().map(AsRef::as_ref).collect();
    let kind = rest.first().map(|kind| kind.to_ascii_lowercase()).unwrap_or_default();
    if *request.scope.anchor() != Anchor::Tenant || !request.scope.below().is_empty() {
        return Err(call.no_such_type());
    }
    match (request.method, kind.as_str(), rest.as_slice()) {
        (Method::Get, "accessreport", [_]) => call.access_report().await,
        (Method::Get, "changes", [_]) => call.changes(),
        (Method::Get, "customers", [_]) => call.customers(),
        (Method::Get, "customers", [_, tenant]) => call.customer(tenant),
        (Method::Post, "explain", [_]) => call.explain(body).await,
        (Method::Get, "explanations", [_, id]) => call.explanation(id).await,
        (Method::Get, "rolecatalog", [_]) => call.role_catalogue(),
        (Method::Get, "serviceproviders", [_]) => call.service_providers(),
        (Method::Get, "serviceproviders", [_, tenant]) => call.service_provider(tenant),
        (method, "accessreport" | "changes" | "customers" | "explain" | "explanations" | "rolecatalog" | "serviceproviders", _) => {
            Err(OwnError::Method { method, path: request.path.as_str().to_owned() })
        }
        _ => Err(call.no_such_type()),
    }
}

/// One request and everything it is answered with.
pub(super) struct Call<'a> {
    request: &'a OwnRequest,
    desk: &'a Desk<'a>,
    /// The caller and its groups.
    principals: Vec<PrincipalId>,
}

impl<'a> Call<'a> {
    pub(super) fn new(request: &'a OwnRequest, desk: &'a Desk<'a>) -> Self {
        Self { request, desk, principals: request.caller.principals(&desk.context.directory).ids().to_vec() }
    }
}

impl Call<'_> {
    fn directory(&self) -> &Directory {
        &self.desk.context.directory
    }

    /// What the caller is told of other tenants and their people.
    fn known(&self) -> Acquaintance<'_> {
        self.directory().known_to(self.home())
    }

    fn now(&self) -> Timestamp {
        self.desk.context.now
    }

    /// The caller's tenant.
    fn home(&self) -> TenantId {
        self.request.caller.principal.tenant
    }

    fn query_value(&self, name: &str) -> Option<String> {
        query::value(self.request.query.as_deref().unwrap_or_default(), name)
    }

    fn no_such_type(&self) -> OwnError {
        OwnError::ResourceType { path: self.request.path.as_str().to_owned() }
    }

    fn not_found(&self) -> OwnError {
        OwnError::NotFound { id: self.request.path.as_str().to_owned() }
    }

    /// Whether the caller may do something on a scope, now. Never in a tenant that is suspended.
    fn may(&self, action: &str, scope: &Scope) -> bool {
        let Ok(action) = action.parse::<Action>() else { return false };
        let directory = self.directory();
        let (grants, denies) = match scope.anchor() {
            Anchor::Tenant => (directory.tenant_grants(self.home()), &[][..]),
            Anchor::ManagementGroup(_) => return false,
            Anchor::Subscription(id) => match directory.subscription(*id) {
                Some(found) if is_reachable(directory, found.tenant) => (found.grants.as_slice(), &*found.denies),
                Some(_) | None => return false,
            },
        };
        let question = Question { principals: &self.principals, actions: &[action], scope, now: self.now() };
        matches!(decide::decide(grants, denies, directory.roles(), &question), Decision::Permit { .. })
    }

    fn tenant_name(&self, id: TenantId) -> Option<String> {
        self.known().tenant_name(id)
    }
}

/// An event of a delegation, as `changes` shows it to the operator.
#[must_use]
pub fn change_document(directory: &Directory, event: &Versioned<DelegationEvent>) -> Value {
    json!(changes::describe(directory.known_to_operator(), event))
}

/// Nothing in a suspended tenant can be reached.
fn is_reachable(directory: &Directory, tenant: TenantId) -> bool {
    directory.tenant(tenant).is_some_and(|tenant| !tenant.suspended)
}

fn list<T: Serialize>(value: Vec<T>) -> OwnAnswer {
    document(&List { value, next_link: None })
}

fn document(value: &impl Serialize) -> OwnAnswer {
    OwnAnswer::ok(json!(value))
}

fn item<T>(kind: &'static str, name: impl Display, properties: T) -> Item<T> {
    let name = format!("{name}");
    Item { id: format!("/providers/{kind}/{name}"), name, kind, properties }
}
