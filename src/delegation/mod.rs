//! Who may do what: roles, grants, and the one function that decides.
//!
//! Pure: no I/O, no clock (`now` is an argument), no logging, no async. Role assignments inside a tenant and delegations
//! between tenants both compile to a [`Grant`]; there is one evaluator for all of them.

pub mod decide;
pub mod offer;
pub mod roles;

use std::ops::Deref;
use std::sync::Arc;

use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::ids::{PrincipalId, TenantId};

/// The place of a role in the [role catalogue](roles::RoleCatalogue) of one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoleIndex(pub u16);

/// A principal holds a role on a scope, from and until a time, because of an origin.
#[derive(Debug, Clone)]
pub struct Grant {
    /// User, group or service principal.
    pub principal: PrincipalId,
    /// What it may do.
    pub role: RoleIndex,
    /// Where; everything below is included. The grants of one place share it.
    pub scope: Arc<Scope>,
    /// When.
    pub window: SharedWindow,
    /// Why: kept as the evidence of a decision.
    pub origin: Arc<Origin>,
}

impl Grant {
    /// Whether the grant is for whom these principals are: a caller and its groups, sorted.
    #[must_use]
    pub fn is_held_by(&self, principals: &[PrincipalId]) -> bool {
        let is_one = |who: &PrincipalId| principals.binary_search(who).is_ok();
        is_one(&self.principal) && self.origin.through.as_deref().is_none_or(is_one)
    }
}

/// When a grant is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Always.
    Standing,
    /// From `from` (inclusive) until `until` (exclusive); an absent end is open.
    Between {
        /// First moment in force.
        from: Option<Timestamp>,
        /// First moment no longer in force.
        until: Option<Timestamp>,
    },
    /// Never, until it is activated on request.
    Eligible,
    /// Never, until somebody resumes it.
    Suspended,
    /// No more, for nobody used it, until somebody renews it.
    Unused {
        /// First moment no longer in force.
        since: Timestamp,
    },
}

impl Window {
    /// Whether the grant is in force at `now`.
    #[must_use]
    pub fn contains(self, now: Timestamp) -> bool {
        match self {
            Self::Standing => true,
            Self::Between { from, until } => from.is_none_or(|from| from <= now) && until.is_none_or(|until| now < until),
            Self::Eligible | Self::Suspended | Self::Unused { .. } => false,
        }
    }
}

/// A window as grants keep it, of which there are many: most are always in force, and the others share theirs.
#[derive(Debug, Clone)]
pub struct SharedWindow(Option<Arc<Window>>);

impl From<Window> for SharedWindow {
    fn from(window: Window) -> Self {
        Self((window != Window::Standing).then(|| Arc::new(window)))
    }
}

impl Deref for SharedWindow {
    type Target = Window;

    fn deref(&self) -> &Window {
        self.0.as_deref().unwrap_or(&Window::Standing)
    }
}

/// Where a grant comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Delegation between tenants or role assignment inside one.
    pub kind: OriginKind,
    /// The name of the principal as the policy gives it, for people.
    pub principal_name: Arc<str>,
    /// Where the policy says so.
    pub defined_at: SourceLocation,
    /// The group that gave the principal the right to activate the role. The grant ends when the principal leaves it.
    pub through: Option<Box<PrincipalId>>,
}

/// The two ways to a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginKind {
    /// A registration assignment: the customer lets the managing tenant's principals work in its scope.
    Delegation {
        /// The offer's name, unique per scope.
        offer: Arc<str>,
        /// The service provider's tenant.
        managing_tenant: TenantId,
    },
    /// A role assignment of the tenant that owns the scope.
    RoleAssignment,
}

/// Actions denied on a scope to everybody but the excluded principals. Source: Azure deny assignments.
#[derive(Debug)]
pub struct DenyAssignment {
    /// Display name, for the message.
    pub name: Arc<str>,
    /// Patterns of denied actions, and the patterns taken out of them again.
    pub actions: roles::Permission,
    /// Where.
    pub scope: Scope,
    /// Whom it does not bind.
    pub excluded: Vec<PrincipalId>,
    /// Where the policy says so.
    pub defined_at: SourceLocation,
}

/// A place in a policy file: lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SourceLocation {
    /// Path as given on the command line or in the configuration.
    pub file: Arc<str>,
    /// Line.
    pub line: u32,
    /// Column, in characters.
    pub column: u32,
}
