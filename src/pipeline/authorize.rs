//! Stages 5 to 7: is anything delegated there, does a grant permit the action, does no rule stand against it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::onboarding;
use super::operations::Operation;
use super::own::Service;
use super::resolve::{Place, Scoped};
use super::throttle::{self, Allowance, Counted, Ground};
use super::trail::{CheckName, text_of};
use super::{Context, Refused};
use crate::arm::action::{Action, Kind, Method};
use crate::arm::scope::Scope;
use crate::delegation::decide::{self, Decision, DenyReason, Question};
use crate::delegation::roles::Role;
use crate::delegation::{DenyAssignment, Grant, RoleIndex};
use crate::directory::{Directory, SubscriptionState};
use crate::ids::{PrincipalId, SubscriptionId};
use crate::rejection::Rejection;

/// A request that a grant permits; the grant is kept.
#[derive(Debug)]
pub struct Authorized {
    pub(super) scoped: Scoped,
    pub(super) basis: Basis,
}

/// What a request is permitted by.
#[derive(Debug, Clone)]
pub enum Basis {
    /// A grant that covers the scope.
    Grant(Grant),
    /// Grants below a list's scope: the answer is cut down to these scopes.
    GrantsBelow {
        /// Where the caller may read.
        scopes: Arc<[Scope]>,
        /// One of the grants, as evidence.
        grant: Grant,
    },
    /// Reading what every signed-in caller may read, such as the list of resource providers, or what is cut down to the caller.
    Open,
    /// Asking for oneself: the answer holds what concerns the caller and nothing else.
    Oneself,
    /// Polling an operation that the caller started.
    Starter,
}

/// Why a request is not permitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizeError {
    /// No grant permits it.
    #[error("{reason}")]
    Denied {
        /// Which point was missing.
        reason: Box<DenyReason>,
    },
    /// The operation was started by somebody of another tenant.
    #[error("the operation was not started by the caller's tenant")]
    ForeignOperation,
}

/// Why a permitted request is held back all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It says to be from somebody, or in the name of somebody, that the gateway does not find it to be.
    #[error("`{name}` is `{value}`, {problem}; acting for others is what delegations are for")]
    Claim {
        /// What says so.
        name: &'static str,
        /// As sent.
        value: String,
        /// What the gateway finds instead.
        problem: &'static str,
    },
    /// A guest of its own tenant cannot delegate anything there.
    #[error("`{action}` is not for guests of a tenant; sign in with an account of that tenant")]
    Guest {
        /// The action.
        action: Action,
    },
    /// It would change who may do what, and that is kept in the policy files.
    #[error("`{action}` would change who may do what, which is kept in the policy files of this gateway; change it there")]
    GrantsInFiles {
        /// The action.
        action: Action,
    },
    /// The plan of a tenant of the private cloud does not open it.
    #[error("`{action}` is not part of the plan `{plan}`, which opens: {opens}; take another plan or an add-on")]
    Plan {
        /// Name of the plan.
        plan: String,
        /// What it opens.
        opens: String,
        /// The action.
        action: String,
    },
    /// The caller, or all callers together, sent more of a kind than is let through.
    #[error(
        "{} used up the {kind} in {ground}: {} at once, and then {} a second; ask again in {} s",
        if *all { "all callers together" } else { "the caller" }, allowance.at_once, allowance.per_s, throttle::seconds(*wait)
    )]
    Throttled {
        /// Of what.
        kind: Counted,
        /// Where.
        ground: Ground,
        /// How much there is.
        allowance: Allowance,
        /// Whether it is what all callers have together.
        all: bool,
        /// Until there is one more.
        wait: Duration,
    },
    /// The subscription accepts reads and deletes only.
    #[error("the subscription `{id}` is {state:?} and accepts reads and deletes only; enable it first")]
    ReadOnly {
        /// The subscription.
        id: SubscriptionId,
        /// Its state.
        state: SubscriptionState,
    },
}

impl Scoped {
    /// Proves that a grant permits the action on the scope.
    ///
    /// # Errors
    /// When none does, with the point that was missing.
    pub fn authorize(mut self, context: &Context<'_>) -> Result<Authorized, Refused> {
        match self.judge(context) {
            Ok(basis) => {
                self.passed(&basis);
                match self.obey_rules(context) {
                    Ok(()) => {
                        self.request.trail.pass(CheckName::Rules);
                        Ok(Authorized { scoped: self, basis })
                    }
                    Err(error) => Err(self.request.trail.refuse(Rejection::Rule { error })),
                }
            }
            Err(error) => {
                let rejection = self.denied(error, context);
                Err(self.request.trail.refuse(rejection))
            }
        }
    }

    fn judge(&mut self, context: &Context<'_>) -> Result<Basis, AuthorizeError> {
        match self.derived.actions.iter().find_map(onboarding::Change::of) {
            Some(change) => self.judge_onboarding(change, context),
            None => self.judge_as_usual(context),
        }
    }

    /// Delegations are made by the tenant that owns the scope, and removed by it or by a managing tenant that was given the
    /// role for that.
    fn judge_onboarding(&mut self, change: onboarding::Change, context: &Context<'_>) -> Result<Basis, AuthorizeError> {
        let Place::Subscription { id, customer } = self.place else { return self.judge_as_usual(context) };
        if self.caller.principal.tenant != customer {
            return self.judge_managing_tenant(change, context);
        }
        let basis = self.judge_as_usual(context)?;
        let scope = Scope::subscription(id);
        let actions = onboarding::rights_of_the_customer();
        self.derived.actions.extend(actions.iter().cloned());
        self.permitted(&actions, &scope, |_role| true, context)?;
        Ok(basis)
    }

    fn judge_managing_tenant(&mut self, change: onboarding::Change, context: &Context<'_>) -> Result<Basis, AuthorizeError> {
        let directory = Arc::clone(&context.directory);
        let removes = change == onboarding::Change::RemoveAssignment;
        let is_enough = |role| removes && directory.roles().role(role).is_some_and(|role| role.id() == onboarding::DELETE_ROLE);
        let (actions, scope) = (self.derived.actions.clone(), self.derived.scope.clone());
        let grant = self.permitted(&actions, &scope, is_enough, context)?;
        Ok(Basis::Grant(grant))
    }

    /// The grant by which the caller may do all of `actions` on `scope`, among those whose role is enough.
    fn permitted(
        &mut self,
        actions: &[Action],
        scope: &Scope,
        is_enough: impl Fn(RoleIndex) -> bool,
        context: &Context<'_>,
    ) -> Result<Grant, AuthorizeError> {
        let directory = Arc::clone(&context.directory);
        let principals = self.caller.principals(&directory);
        self.request.trail.group_source = Some(principals.source);
        let (grants, denies) = self.rules_of_place(&directory);
        let enough: Vec<Grant> = grants.iter().filter(|grant| is_enough(grant.role)).cloned().collect();
        let question = Question { principals: principals.ids(), actions, scope, now: context.now };
        match decide::decide(&enough, denies, directory.roles(), &question) {
            Decision::Permit { grant } => Ok(grant.clone()),
            Decision::Deny(reason) => {
                let nearest = decide::nearest(grants, directory.roles(), &question, self.caller.principal.tenant, NEAREST_MAX);
                self.request.trail.consider(nearest);
                let reason = match decide::decide(grants, denies, directory.roles(), &question) {
                    _ if !falls_short(&reason) => reason,
                    Decision::Deny(of_all) if falls_short(&of_all) => of_all,
                    // Other roles of the tenant do reach the scope: what is missing is the role for this.
                    Decision::Deny(_) | Decision::Permit { .. } => onboarding::role_missing(actions, reason),
                };
                Err(AuthorizeError::Denied { reason: Box::new(reason) })
            }
        }
    }

    fn judge_as_usual(&mut self, context: &Context<'_>) -> Result<Basis, AuthorizeError> {
        let directory = Arc::clone(&context.directory);
        let principals = self.caller.principals(&directory);
        self.request.trail.group_source = Some(principals.source);
        if let Some(operation) = self.operation
            && let Some(basis) = self.poll(operation, principals.ids(), context)?
        {
            return Ok(basis);
        }
        if self.is_open_to_all() || self.is_cut_down_to_caller() {
            return Ok(Basis::Open);
        }
        if self.speaks_for_oneself() {
            return Ok(Basis::Oneself);
        }
        let (grants, denies) = self.rules_of_place(&directory);
        let question =
            Question { principals: principals.ids(), actions: &self.derived.actions, scope: &self.derived.scope, now: context.now };
        match decide::decide(grants, denies, directory.roles(), &question) {
            Decision::Permit { grant } => Ok(Basis::Grant(grant.clone())),
            Decision::Deny(reason) => match self.grants_below(grants, denies, &directory, &question) {
                Some(basis) => Ok(basis),
                None => {
                    let nearest = decide::nearest(grants, directory.roles(), &question, self.caller.principal.tenant, NEAREST_MAX);
                    self.request.trail.consider(nearest);
                    Err(AuthorizeError::Denied { reason: Box::new(reason) })
                }
            },
        }
    }

    /// An operation's starter may poll it, as long as it holds any role there; others of the same tenant need a grant for it; everybody
    /// else is told nothing. The answer of a backend may hold keys, which nobody gets after the last role is gone.
    fn poll(&self, operation: Operation, principals: &[PrincipalId], context: &Context<'_>) -> Result<Option<Basis>, AuthorizeError> {
        let (grants, _) = self.rules_of_place(&context.directory);
        let holds_any = || grants.iter().any(|grant| grant.window.contains(context.now) && grant.is_held_by(principals));
        match operation.starter {
            None => Ok(None),
            Some(starter) if starter == self.caller.principal => Ok((operation.is_own || holds_any()).then_some(Basis::Starter)),
            Some(PrincipalId { tenant, .. }) if tenant == self.caller.principal.tenant => Ok(None),
            Some(_) => Err(AuthorizeError::ForeignOperation),
        }
    }

    fn rules_of_place<'d>(&self, directory: &'d Directory) -> (&'d [Grant], &'d [DenyAssignment]) {
        match self.place {
            Place::Tenant => (directory.tenant_grants(self.caller.principal.tenant), &[]),
            Place::ManagementGroup => match self.derived.scope.anchor() {
                crate::arm::scope::Anchor::ManagementGroup(name) => {
                    (directory.management_group(name).map_or(&[], |group| group.grants.as_slice()), &[])
                }
                crate::arm::scope::Anchor::Tenant | crate::arm::scope::Anchor::Subscription(_) => (&[], &[]),
            },
            Place::Subscription { id, .. } => {
                directory.subscription(id).map_or((&[], &[]), |found| (found.grants.as_slice(), &*found.denies))
            }
        }
    }

    /// Every signed-in caller may read which resource providers there are and what operations they have.
    fn is_open_to_all(&self) -> bool {
        let reads = matches!(self.request.method, Method::Get | Method::Head);
        // Exactly `/providers/{namespace}/operations`: what is below it, or ends alike, is somebody's.
        let lists_operations = || self.request.path.segments().len() == 3;
        let is_open = |action: &Action| OPEN.contains(&action.key()) || action.key().ends_with("/operations/read") && lists_operations();
        self.place == Place::Tenant && reads && self.derived.actions.iter().all(is_open)
    }

    /// Activations need no role: who may activate or approve is said by the offer, and looked up there.
    fn speaks_for_oneself(&self) -> bool {
        let is_own = |action: &Action| ONESELF.iter().any(|kind| action.key().starts_with(kind));
        self.service == Some(Service::Access) && matches!(self.place, Place::Subscription { .. }) && self.derived.actions.iter().all(is_own)
    }

    /// A list above the caller's grants is answered with what the caller may read, as Azure answers it.
    fn grants_below(&self, grants: &[Grant], denies: &[DenyAssignment], directory: &Directory, question: &Question<'_>) -> Option<Basis> {
        if self.derived.kind != Kind::Collection || !matches!(self.place, Place::Subscription { .. }) {
            return None;
        }
        let below = decide::scopes_below(grants, denies, directory.roles(), question);
        let first = Question { scope: below.first()?, ..*question };
        let Decision::Permit { grant } = decide::decide(grants, denies, directory.roles(), &first) else { return None };
        Some(Basis::GrantsBelow { scopes: below.into_iter().cloned().collect(), grant: grant.clone() })
    }

    fn obey_rules(&self, context: &Context<'_>) -> Result<(), RuleError> {
        self.leave_grants_alone()?;
        self.refuse_guests()?;
        self.respect_plan(context)?;
        self.respect_state(context)
    }

    /// The backend would store such a change and nobody would ever look at it: an answer that promises what it does not do.
    fn leave_grants_alone(&self) -> Result<(), RuleError> {
        let reads = |action: &&Action| action.key().ends_with("/read");
        let grants = |action: &&Action| GRANT_TYPES.iter().any(|kind| action.key().starts_with(kind));
        match self.derived.actions.iter().find(|action| grants(action) && !reads(action)) {
            Some(action) => Err(RuleError::GrantsInFiles { action: action.clone() }),
            None => Ok(()),
        }
    }

    /// Source: Azure Lighthouse, "Onboard a customer", deployment by a non-guest account.
    fn refuse_guests(&self) -> Result<(), RuleError> {
        let change = self.derived.actions.iter().find(|action| onboarding::Change::of(action).is_some());
        match change.filter(|_| self.caller.guest) {
            Some(action) => Err(RuleError::Guest { action: action.clone() }),
            None => Ok(()),
        }
    }

    /// Warned and disabled subscriptions accept reads and deletes only.
    fn respect_state(&self, context: &Context<'_>) -> Result<(), RuleError> {
        let Place::Subscription { id, .. } = self.place else { return Ok(()) };
        let state = context.directory.subscription(id).map_or(SubscriptionState::Disabled, |subscription| subscription.state);
        match (state, self.request.method) {
            (SubscriptionState::Enabled, _) | (_, Method::Get | Method::Head | Method::Delete) => Ok(()),
            (
                SubscriptionState::Disabled | SubscriptionState::PastDue | SubscriptionState::Warned,
                Method::Put | Method::Patch | Method::Post,
            ) => Err(RuleError::ReadOnly { id, state }),
        }
    }

    fn passed(&mut self, basis: &Basis) {
        let trail = &mut self.request.trail;
        trail.pass(CheckName::Delegation);
        trail.pass(CheckName::Role);
        match basis {
            Basis::Grant(grant) | Basis::GrantsBelow { grant, .. } => trail.permitted_by(grant),
            Basis::Oneself | Basis::Open | Basis::Starter => {}
        }
    }

    fn denied(&mut self, error: AuthorizeError, context: &Context<'_>) -> Rejection {
        let hint = match &error {
            AuthorizeError::Denied { reason } => self.hint(reason, context),
            AuthorizeError::ForeignOperation => None,
        };
        if Rejection::check_of_denial(&error) == CheckName::Role {
            self.request.trail.pass(CheckName::Delegation);
        }
        Rejection::Denied {
            error,
            client: self.caller.name.to_string(),
            caller: self.caller.principal,
            actions: std::mem::take(&mut self.derived.actions),
            scope: text_of(&self.derived.scope),
            hint,
        }
    }

    /// The smallest change that would help.
    fn hint(&self, reason: &DenyReason, context: &Context<'_>) -> Option<String> {
        let directory = &context.directory;
        let owner = match self.place {
            Place::Subscription { customer, .. } => customer,
            Place::ManagementGroup | Place::Tenant => self.caller.principal.tenant,
        };
        let is_own = owner == self.caller.principal.tenant;
        let known = directory.known_to(self.caller.principal.tenant);
        let owner = known.tenant(owner).map_or_else(|| Cow::Owned(owner.to_string()), |tenant| Cow::Borrowed(&*tenant.name));
        if is_own && falls_short(reason) {
            return Some(format!("No delegation is needed here: what is missing is a role assignment in {owner} itself."));
        }
        let onboards = self.derived.actions.iter().find_map(onboarding::Change::of);
        match onboards.filter(|_| !is_own) {
            Some(onboarding::Change::RemoveAssignment) | None => hint(reason, &owner, directory),
            // No role helps: what would be needed cannot be delegated.
            Some(_) => Some(format!("Only principals of {owner} itself make and change its delegations.")),
        }
    }
}

/// The grants of the tenant do not come as far as the scope.
fn falls_short(reason: &DenyReason) -> bool {
    matches!(reason, DenyReason::NoDelegation | DenyReason::ScopeNotCovered)
}

fn hint(reason: &DenyReason, owner: &str, directory: &Directory) -> Option<String> {
    let role_name = |role| directory.roles().role(role).map(Role::name);
    match reason {
        DenyReason::NoDelegation | DenyReason::ScopeNotCovered => Some(format!("{owner} would have to delegate this scope.")),
        DenyReason::Suspended { .. } | DenyReason::GrantSuspended { .. } => Some(format!("{owner} would have to resume it.")),
        DenyReason::Expired { .. } | DenyReason::GrantExpired { .. } | DenyReason::Unused { .. } => {
            Some(format!("{owner} would have to renew it."))
        }
        DenyReason::OtherPrincipals { holders } => Some(format!("Held here by {}.", holders.join(", "))),
        DenyReason::ActionMissing { action, .. } => {
            let granting = directory.roles().granting(action);
            let names: Vec<&str> = granting.narrowest().iter().filter_map(|role| role_name(*role)).collect();
            (!names.is_empty()).then(|| ["The smallest roles with this action are `", &names.join("`, `"), "`."].concat())
        }
        DenyReason::NotActive { role, .. } => {
            role_name(*role).map(|role| format!("`{role}` is available on request and has to be activated."))
        }
        DenyReason::Condition { role, .. } => role_name(*role).map(|role| format!("`{role}` holds it under a condition only.")),
        DenyReason::NotStarted { .. } | DenyReason::DenyAssignment { .. } => None,
    }
}

/// Types whose resources say who may do what, lower-cased and with their slash.
const GRANT_TYPES: [&str; 4] = [
    "microsoft.authorization/denyassignments/",
    "microsoft.authorization/elevateaccess/",
    "microsoft.authorization/roledefinitions/",
    "microsoft.authorization/roleeligibilityschedulerequests/",
];

/// Types whose requests speak for the caller.
const ONESELF: [&str; 6] = [
    "microsoft.authorization/roleassignmentapprovals/",
    "microsoft.authorization/roleassignmentscheduleinstances/",
    "microsoft.authorization/roleassignmentschedulerequests/",
    "microsoft.authorization/roleassignmentschedules/",
    "microsoft.authorization/roleeligibilityscheduleinstances/",
    "microsoft.authorization/roleeligibilityschedules/",
];

/// What every signed-in caller may read at the tenant's root.
const OPEN: [&str; 4] = [
    "microsoft.authorization/roledefinitions/read",
    "microsoft.managedservices/marketplaceregistrationdefinitions/read",
    "microsoft.resources/providers/read",
    "steward.privatecloud/plans/read",
];

/// Grants kept as the evidence of a denial. Source: `docs/codes/`, "the nearest three".
const NEAREST_MAX: usize = 3;
