//! `Microsoft.Authorization` as far as the gateway keeps it: role definitions, role assignments, and the activation of eligible
//! roles.
//!
//! Role assignments are of principals of the tenant that owns the scope. What is delegated is not among them, as in Azure; the
//! gateway's own views show it. Who activates or approves speaks for itself: these requests need no role, and their answers
//! hold only what concerns the caller. Source of paths and bodies: role assignments 2022-04-01, schedule requests 2020-10-01.

mod activations;
mod approvals;
mod assignments;
mod definitions;
mod schedules;

use serde_json::Value;

use super::{Desk, OwnAnswer, OwnError, Sent, body};
use crate::arm::action::Method;
use crate::clock::Timestamp;
use crate::directory::{Acquaintance, Directory};
use crate::ids::{PrincipalId, RoleId, SubscriptionId, TenantId};
use crate::pipeline::OwnRequest;

/// A request about access that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The activation is not one that can be decided.
    #[error("the activation `{id}` waits for nobody: it is {status}")]
    AlreadyDecided {
        /// The activation.
        id: String,
        /// Its status.
        status: &'static str,
    },
    /// A member of the body is missing or wrong.
    #[error("`{member}` {problem}")]
    Body {
        /// Its path in the body.
        member: &'static str,
        /// What is wrong, and what is expected.
        problem: String,
    },
    /// Conditions are not evaluated, so an assignment with one would grant more than it says.
    #[error("role assignments with a condition are not supported: `properties.condition` would not be evaluated")]
    Condition,
    /// The caller may not assign this role, or not to this principal.
    #[error("{problem}; what is delegated allows {allowed}")]
    Constrained {
        /// What is not allowed.
        problem: String,
        /// What is.
        allowed: String,
    },
    /// The same role, principal and scope under another name.
    #[error("the role assignment already exists: `{existing}` gives the same role to the same principal on the same scope")]
    Exists {
        /// Its id.
        existing: String,
    },
    /// Nothing in what is delegated lets the caller activate this.
    #[error("the role `{role}` is not available on request to the caller on `{scope}`{hint}")]
    NotEligible {
        /// The role.
        role: String,
        /// The scope.
        scope: String,
        /// What is, if anything.
        hint: String,
    },
    /// Only the requestor may do this.
    #[error("only who asked for the activation may {what} it")]
    NotTheRequestor {
        /// What.
        what: &'static str,
    },
    /// The caller has asked for the same already, for a time that overlaps.
    #[error("the same role is asked for on the same scope by `{existing}`, which is {status} and ends at {until}: end or cancel it first")]
    Overlapping {
        /// Its id.
        existing: String,
        /// Its status.
        status: &'static str,
        /// When it ends.
        until: Timestamp,
    },
    /// A rule of the offer stands against the activation.
    #[error("the rule `{rule}` of the offer is not met: {problem}")]
    Policy {
        /// Its name in Azure.
        rule: &'static str,
        /// What is missing.
        problem: String,
    },
    /// There is no such role.
    #[error("there is no built-in role `{role}`; custom roles cannot be used")]
    Role {
        /// As sent.
        role: String,
    },
    /// Self-approval, or approval by somebody who is not asked.
    #[error("the caller is not among those who may decide about this activation")]
    NotAnApprover,
    /// An assignment cannot be changed, only removed and made again.
    #[error("role, principal and scope of the role assignment `{existing}` cannot be changed; remove it and make another")]
    Update {
        /// Its id.
        existing: String,
    },
}

impl AccessError {
    /// The ARM error code. Source: Azure role-based access control and Privileged Identity Management, error codes; ours where Azure
    /// has none.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AlreadyDecided { .. } => "RoleAssignmentApprovalAlreadyDecided",
            Self::Body { .. } => "InvalidRequestContent",
            Self::Condition => "ConditionsNotSupported",
            Self::Constrained { .. } | Self::NotTheRequestor { .. } | Self::NotAnApprover => "AuthorizationFailed",
            Self::Exists { .. } | Self::Overlapping { .. } => "RoleAssignmentExists",
            Self::NotEligible { .. } => "RoleAssignmentDoesNotExist",
            Self::Policy { .. } => "RoleAssignmentRequestPolicyValidationFailed",
            Self::Role { .. } => "RoleDefinitionDoesNotExist",
            Self::Update { .. } => "RoleAssignmentUpdateNotPermitted",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::AlreadyDecided { .. } | Self::Exists { .. } => 409,
            Self::Body { .. }
            | Self::Condition
            | Self::NotEligible { .. }
            | Self::Overlapping { .. }
            | Self::Policy { .. }
            | Self::Role { .. }
            | Self::Update { .. } => 400,
            Self::Constrained { .. } | Self::NotTheRequestor { .. } | Self::NotAnApprover => 403,
        }
    }

    /// The stable reason code.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::AlreadyDecided { .. } | Self::NotAnApprover | Self::NotTheRequestor { .. } => "activation.decision",
            Self::Body { .. } | Self::Condition | Self::Exists { .. } | Self::Role { .. } | Self::Update { .. } => "assignment.invalid",
            Self::Constrained { .. } => "assignment.constrained",
            Self::NotEligible { .. } => "activation.not_eligible",
            Self::Overlapping { .. } | Self::Policy { .. } => "activation.rule",
        }
    }
}

/// Carries out one request.
pub(super) async fn carry_out(request: &OwnRequest, body: Sent<'_>, desk: &Desk<'_>) -> Result<OwnAnswer, OwnError> {
    super::version(request.query.as_deref())?;
    let call = Call { request, desk };
    let rest: Vec<&str> = request.rest.iter().map(AsRef::as_ref).collect();
    let kind = rest.first().map(|kind| kind.to_ascii_lowercase()).unwrap_or_default();
    match (request.method, kind.as_str(), rest.as_slice()) {
        (Method::Get, "roledefinitions", [_]) => call.role_definitions(),
        (Method::Get, "roledefinitions", [_, name]) => call.role_definition(name),
        (Method::Get, "roleassignments", [_]) => call.role_assignments(),
        (Method::Get, "roleassignments", [_, name]) => call.role_assignment(name),
        (Method::Put, "roleassignments", [_, name]) => call.put_role_assignment(name, &body::read_json(body).await?).await,
        (Method::Delete, "roleassignments", [_, name]) => call.delete_role_assignment(name).await,
        (Method::Get, "roleeligibilityschedules" | "roleeligibilityscheduleinstances", [kind]) => call.eligible(kind),
        (Method::Get, "roleassignmentschedules" | "roleassignmentscheduleinstances", [kind]) => call.active(kind),
        (Method::Get, "roleassignmentschedulerequests", [_]) => call.activations(),
        (Method::Get, "roleassignmentschedulerequests", [_, name]) => call.activation(name),
        (Method::Put, "roleassignmentschedulerequests", [_, name]) => call.put_activation(name, &body::read_json(body).await?).await,
        (Method::Post, "roleassignmentschedulerequests", [_, name, verb]) if verb.eq_ignore_ascii_case("cancel") => {
            call.cancel_activation(name).await
        }
        (Method::Post, "roleassignmentschedulerequests", [_, name, verb]) if verb.eq_ignore_ascii_case("validate") => {
            call.validate_activation(name, &body::read_json(body).await?)
        }
        (Method::Get, "roleassignmentapprovals", [_]) => call.approvals(),
        (Method::Get, "roleassignmentapprovals", [_, name]) => call.approval(name),
        (Method::Get, "roleassignmentapprovals", [_, name, stages]) if is_stages(stages) => call.approval_stages(name),
        (Method::Get, "roleassignmentapprovals", [_, name, stages, stage]) if is_stages(stages) => call.approval_stage(name, stage),
        (Method::Patch | Method::Put, "roleassignmentapprovals", [_, name, stages, stage]) if is_stages(stages) => {
            call.decide(name, stage, &body::read_json(body).await?).await
        }
        (method, _, _) => Err(OwnError::Method { method, path: request.path.as_str().to_owned() }),
    }
}

fn is_stages(segment: &str) -> bool {
    segment.eq_ignore_ascii_case("stages")
}

/// One request and everything it is answered with.
struct Call<'a> {
    request: &'a OwnRequest,
    desk: &'a Desk<'a>,
}

impl Call<'_> {
    fn directory(&self) -> &Directory {
        &self.desk.context.directory
    }

    /// What the caller is told of other tenants and their people.
    fn known(&self) -> Acquaintance<'_> {
        self.directory().known_to(self.request.caller.principal.tenant)
    }

    fn now(&self) -> Timestamp {
        self.desk.context.now
    }

    fn place(&self) -> Result<(SubscriptionId, TenantId), OwnError> {
        self.request.place.ok_or_else(|| self.not_found())
    }

    fn not_found(&self) -> OwnError {
        OwnError::NotFound { id: self.request.path.as_str().to_owned() }
    }

    /// The caller and its groups.
    fn principals(&self, directory: &Directory) -> Vec<PrincipalId> {
        self.request.caller.principals(directory).ids().to_vec()
    }

    fn filter(&self) -> String {
        crate::arm::query::value(self.request.query.as_deref().unwrap_or_default(), "$filter").unwrap_or_default()
    }
}

/// A text member of `properties`.
fn text<'v>(body: &'v Value, name: &str) -> Option<&'v str> {
    body.pointer(&format!("/properties/{name}")).and_then(Value::as_str)
}

/// The id of a role, from its GUID or its resource id.
fn role_id(text: &str) -> Result<RoleId, AccessError> {
    let last = text.rsplit('/').next().unwrap_or_default();
    last.parse().map_err(|_cause| AccessError::Role { role: text.chars().take(128).collect() })
}

/// The resource id of a role, as it is seen from a subscription.
fn role_path(subscription: SubscriptionId, role: RoleId) -> String {
    format!("/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}")
}
