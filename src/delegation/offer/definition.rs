//! Request bodies of registration definitions.

use std::time::Duration;

use jiff::fmt::temporal::SpanParser;
use serde_json::Value;

use super::documents::{
    Approver, Authorization, EligibleAuthorization, JustInTimePolicy, Mfa, Plan, PrincipalKind, RegistrationDefinition, Term,
};
use super::error::shown;
use super::json::{self, Node};
use super::{
    ACTIVATION_MAX, ACTIVATION_MIN, APPROVERS_MAX, AUTHORIZATIONS_MAX, DELEGATED_ROLES_MAX, DESCRIPTION_MAX, Document,
    ManagedServicesVersion, NAME_MAX, OFFER_NAME_MAX, OfferError, UNUSED_DAYS_MAX, rules,
};
use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::delegation::roles::RoleCatalogue;
use crate::ids::{DefinitionId, ObjectId, PrincipalId, RoleId, SubscriptionId, TenantId};

/// What a definition is read with.
#[expect(missing_debug_implementations, reason = "a function cannot be printed, and nobody prints the rest")]
pub struct DefinitionContext<'a> {
    /// The subscription of the path.
    pub subscription: SubscriptionId,
    /// The tenant that the subscription belongs to: the customer.
    pub home_tenant: TenantId,
    /// The name of the path.
    pub name: DefinitionId,
    /// The API version of the query.
    pub version: ManagedServicesVersion,
    /// The built-in roles.
    pub roles: &'a RoleCatalogue,
    /// The definition that is replaced.
    pub previous: Option<&'a RegistrationDefinition>,
    /// What a tenant's directory knows an object id as. Nothing is refused for being unknown: directories of others are not open to us.
    pub principal_kind: &'a dyn Fn(TenantId, ObjectId) -> Option<PrincipalKind>,
    /// The present time.
    pub now: Timestamp,
    /// Who asks.
    pub caller: PrincipalId,
}

/// The subscription that a definition is made in.
///
/// # Errors
/// When the scope is anything but a whole subscription: definitions are assigned to resource groups, not made there.
pub fn check_definition_scope(scope: &Scope) -> Result<SubscriptionId, OfferError> {
    let subscription = scope.subscription_id().filter(|_| scope.below().is_empty());
    subscription.ok_or_else(|| OfferError::DefinitionScope { scope: shown(&scope.to_string()) })
}

/// Reads the body of `PUT …/registrationDefinitions/{id}` and checks it by every rule.
///
/// # Errors
/// At the first member at fault: first what cannot be read, then what no rule allows.
pub fn read_definition(body: &[u8], context: &DefinitionContext<'_>) -> Result<RegistrationDefinition, OfferError> {
    definition_from(&json::parse(body)?, context)
}

/// The same for a body that is JSON already, such as a resource of a template.
///
/// # Errors
/// As [`read_definition`].
pub fn definition_from(body: &Value, context: &DefinitionContext<'_>) -> Result<RegistrationDefinition, OfferError> {
    let root = Node::root(body, Document::Definition);
    let properties = root.required("properties")?;
    let (created_at, created_by) =
        context.previous.map_or((context.now, context.caller), |previous| (previous.created_at, previous.created_by));
    let definition = RegistrationDefinition {
        subscription: context.subscription,
        name: context.name,
        offer_name: required_line(&properties, "registrationDefinitionName", OFFER_NAME_MAX)?,
        description: properties.optional("description")?.map_or(Ok(None), |node| node.prose(DESCRIPTION_MAX))?,
        managing_tenant: properties.required("managedByTenantId")?.guid()?,
        authorizations: each(&properties.items("authorizations", AUTHORIZATIONS_MAX)?, authorization)?,
        eligible: eligible(&properties, context)?,
        plan: root.optional("plan")?.map(|node| plan(&node)).transpose()?,
        term: term(&properties, context)?,
        created_at,
        created_by,
        updated_at: context.now,
        updated_by: context.caller,
    };
    rules::check(&definition, context)?;
    Ok(definition)
}

fn each<T>(nodes: &[Node<'_>], read: impl Fn(&Node<'_>) -> Result<T, OfferError>) -> Result<Vec<T>, OfferError> {
    nodes.iter().map(read).collect()
}

fn required_line(node: &Node<'_>, name: &str, max: usize) -> Result<std::sync::Arc<str>, OfferError> {
    let member = node.required(name)?;
    member.line(max)?.ok_or_else(|| OfferError::Missing { at: member.at().clone() })
}

fn display_name(node: &Node<'_>) -> Result<Option<std::sync::Arc<str>>, OfferError> {
    node.optional("principalIdDisplayName")?.map_or(Ok(None), |name| name.line(NAME_MAX))
}

fn authorization(node: &Node<'_>) -> Result<Authorization, OfferError> {
    Ok(Authorization {
        principal: node.required("principalId")?.guid()?,
        display_name: display_name(node)?,
        role: role(&node.required("roleDefinitionId")?)?,
        delegated_roles: each(&node.items("delegatedRoleDefinitionIds", DELEGATED_ROLES_MAX)?, role)?,
    })
}

/// Templates and Terraform write roles as `/providers/…/roleDefinitions/{guid}`, with or without a subscription in front.
fn role(node: &Node<'_>) -> Result<RoleId, OfferError> {
    let text = node.str()?;
    let guid = if text.starts_with('/') { last_of_role_id(text) } else { Some(text) };
    let id = guid.and_then(|guid| guid.parse().ok());
    id.ok_or_else(|| OfferError::RoleIdMalformed { at: node.at().clone(), text: shown(text) })
}

fn last_of_role_id(text: &str) -> Option<&str> {
    let mut segments = text.rsplit('/');
    let guid = segments.next()?;
    let expected = ["roleDefinitions", "Microsoft.Authorization", "providers"];
    expected.iter().all(|word| segments.next().is_some_and(|segment| segment.eq_ignore_ascii_case(word))).then_some(guid)
}

fn eligible(properties: &Node<'_>, context: &DefinitionContext<'_>) -> Result<Vec<EligibleAuthorization>, OfferError> {
    let items = properties.items("eligibleAuthorizations", AUTHORIZATIONS_MAX)?;
    let replaces_some = context.previous.is_some_and(|previous| !previous.eligible.is_empty());
    if !context.version.allows_eligible() && (replaces_some || !items.is_empty()) {
        return Err(OfferError::VersionTooOld {
            at: properties.at().member("eligibleAuthorizations"),
            what: "eligible authorizations, and the definition has some",
            version: context.version,
            since: ManagedServicesVersion::V20200201Preview,
        });
    }
    each(&items, |item| eligible_authorization(item, context))
}

fn eligible_authorization(node: &Node<'_>, context: &DefinitionContext<'_>) -> Result<EligibleAuthorization, OfferError> {
    let delegated = node.items("delegatedRoleDefinitionIds", DELEGATED_ROLES_MAX)?;
    if !delegated.is_empty() {
        return Err(OfferError::EligibleWithDelegatedRoles { at: node.at().member("delegatedRoleDefinitionIds") });
    }
    let role = role(&node.required("roleDefinitionId")?)?;
    let mut policy =
        node.optional("justInTimeAccessPolicy")?.map_or_else(|| Ok(JustInTimePolicy::default()), |node| policy(&node, context))?;
    if !context.version.is_extended() {
        policy.customer_approvers = kept_customer_approvers(role, context);
    }
    Ok(EligibleAuthorization { principal: node.required("principalId")?.guid()?, display_name: display_name(node)?, role, policy })
}

/// All eligible authorizations of a role have the same policy, so any of them tells who had to agree.
fn kept_customer_approvers(role: RoleId, context: &DefinitionContext<'_>) -> Vec<Approver> {
    let mut before = context.previous.into_iter().flat_map(|previous| &previous.eligible);
    before.find(|eligible| eligible.role == role).map(|eligible| eligible.policy.customer_approvers.clone()).unwrap_or_default()
}

fn policy(node: &Node<'_>, context: &DefinitionContext<'_>) -> Result<JustInTimePolicy, OfferError> {
    let customer_approvers = approvers(node, "customerApprovers")?;
    if !customer_approvers.is_empty() {
        require_extended(node, "customerApprovers", "approvers in the customer's tenant", context)?;
    }
    Ok(JustInTimePolicy {
        mfa: mfa(&node.required("multiFactorAuthProvider")?)?,
        duration_max: node.optional("maximumActivationDuration")?.map_or(Ok(ACTIVATION_MAX), |node| duration(&node))?,
        approvers: approvers(node, "managedByTenantApprovers")?,
        customer_approvers,
    })
}

fn mfa(node: &Node<'_>) -> Result<Mfa, OfferError> {
    let text = node.str()?;
    let known = [Mfa::Azure, Mfa::None].into_iter().find(|mfa| mfa.as_str().eq_ignore_ascii_case(text));
    known.ok_or_else(|| OfferError::MfaUnknown { at: node.at().clone(), text: shown(text) })
}

fn duration(node: &Node<'_>) -> Result<Duration, OfferError> {
    let text = node.str()?;
    let parsed = SpanParser::new().parse_duration(text).ok().filter(|parsed| parsed.subsec_nanos() == 0);
    let parsed = parsed.ok_or_else(|| OfferError::DurationMalformed { at: node.at().clone(), text: shown(text) })?;
    let in_range = Duration::try_from(parsed).ok().filter(|duration| (ACTIVATION_MIN..=ACTIVATION_MAX).contains(duration));
    in_range.ok_or_else(|| OfferError::DurationOutOfRange { at: node.at().clone(), text: shown(text) })
}

fn approvers(node: &Node<'_>, name: &str) -> Result<Vec<Approver>, OfferError> {
    let items = node.items(name, AUTHORIZATIONS_MAX)?;
    if items.len() > APPROVERS_MAX {
        return Err(OfferError::ApproversTooMany { at: node.at().member(name), count: items.len() });
    }
    each(&items, |item| Ok(Approver { principal: item.required("principalId")?.guid()?, display_name: display_name(item)? }))
}

fn plan(node: &Node<'_>) -> Result<Plan, OfferError> {
    let field = |name| required_line(node, name, NAME_MAX);
    Ok(Plan { name: field("name")?, publisher: field("publisher")?, product: field("product")?, version: field("version")? })
}

fn term(properties: &Node<'_>, context: &DefinitionContext<'_>) -> Result<Term, OfferError> {
    let node = properties.optional("term")?;
    if !context.version.is_extended() {
        let kept = context.previous.map(|previous| previous.term).unwrap_or_default();
        return node.map_or(Ok(kept), |_| require_extended(properties, "term", "a term", context).map(|()| kept));
    }
    let Some(node) = node else {
        return Ok(Term::default());
    };
    let time = |name| node.optional(name)?.map(|node| node.time()).transpose();
    Ok(Term {
        not_before: time("notBefore")?,
        not_after: time("notAfter")?,
        review_by: time("reviewBy")?,
        unused_days: node.optional("unusedDays")?.map(|node| unused_days(&node)).transpose()?,
    })
}

fn unused_days(node: &Node<'_>) -> Result<u16, OfferError> {
    node.count(UNUSED_DAYS_MAX)?.map_err(|found| OfferError::UnusedDays { at: node.at().clone(), found })
}

fn require_extended(node: &Node<'_>, member: &str, what: &'static str, context: &DefinitionContext<'_>) -> Result<(), OfferError> {
    if context.version.is_extended() {
        return Ok(());
    }
    Err(OfferError::VersionTooOld {
        at: node.at().member(member),
        what,
        version: context.version,
        since: ManagedServicesVersion::V20261101StewardPreview,
    })
}
