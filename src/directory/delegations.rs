//! Delegations as they were agreed, for lists and for activation. Decisions never look here: they use the grants.

use std::sync::Arc;
use std::time::Duration;

use crate::arm::scope::Scope;
use crate::delegation::{Origin, RoleIndex, SharedWindow, SourceLocation};
use crate::ids::{PrincipalId, TenantId};

/// One offer on one scope: a registration definition and its assignment.
#[derive(Debug)]
pub struct Delegation {
    /// Name of the offer, unique on the scope.
    pub offer: Arc<str>,
    /// The service provider.
    pub managing_tenant: TenantId,
    /// The tenant that owns the scope.
    pub customer: TenantId,
    /// A subscription or a resource group.
    pub scope: Arc<Scope>,
    /// Who may do what; shared by all scopes of the offer.
    pub authorizations: Arc<[Authorization]>,
    /// Where the policy says so.
    pub defined_at: SourceLocation,
}

/// A role for a principal of the managing tenant.
#[derive(Debug)]
pub struct Authorization {
    /// User, group or service principal.
    pub principal: PrincipalId,
    /// What it may do.
    pub role: RoleIndex,
    /// When.
    pub window: SharedWindow,
    /// How it is activated, for an eligible authorization.
    pub on_request: Option<Box<OnRequest>>,
    /// Where its grants come from.
    pub origin: Arc<Origin>,
}

/// How an eligible authorization is activated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnRequest {
    /// Longest activation: 30 minutes to 8 hours.
    pub duration_max: Duration,
    /// Users and groups of whom one must agree; when empty, nobody has to.
    pub approvers: Vec<PrincipalId>,
}
