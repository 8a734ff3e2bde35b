//! What a definition that can be read must also keep to.

use std::collections::HashMap;

use super::documents::{Approver, Authorization, EligibleAuthorization, PrincipalKind, RegistrationDefinition};
use super::{DefinitionContext, OfferError, Place};
use crate::delegation::roles::{NotDelegable, OWNER, Permission, Role, RoleCatalogue, USER_ACCESS_ADMINISTRATOR};
use crate::ids::{ObjectId, RoleId, TenantId};

pub(super) fn check(definition: &RegistrationDefinition, context: &DefinitionContext<'_>) -> Result<(), OfferError> {
    check_tenant(definition, context)?;
    if definition.authorizations.is_empty() && definition.eligible.is_empty() {
        return Err(OfferError::AuthorizationsMissing { at: Place::definition("properties.authorizations") });
    }
    check_roles(definition, context.roles)?;
    check_twice(definition, context.roles)?;
    check_principals(definition, context)?;
    check_policies(definition, context)?;
    check_readers(definition, context)?;
    check_term(definition, context)
}

fn check_tenant(definition: &RegistrationDefinition, context: &DefinitionContext<'_>) -> Result<(), OfferError> {
    let at = Place::definition("properties.managedByTenantId");
    let wanted = definition.managing_tenant;
    if wanted == context.home_tenant {
        return Err(OfferError::ManagingTenantIsOwn { at, tenant: wanted });
    }
    match context.previous.map(|previous| previous.managing_tenant).filter(|before| *before != wanted) {
        Some(before) => Err(OfferError::ManagingTenantChanged { at, before, wanted }),
        None => Ok(()),
    }
}

/// Checks the roles of a definition against a catalogue: when it is written, and again when it is assigned, for a role may have gained
/// data actions in between.
///
/// # Errors
/// At the first role that cannot be delegated as it stands; the error names the action at fault.
pub fn check_roles(definition: &RegistrationDefinition, roles: &RoleCatalogue) -> Result<(), OfferError> {
    for (at, authorization) in standing(definition) {
        check_standing_role(&at, authorization, roles)?;
    }
    for (at, eligible) in on_request(definition) {
        check_eligible_role(&at.member("roleDefinitionId"), eligible.role, roles)?;
    }
    Ok(())
}

fn check_standing_role(at: &Place, authorization: &Authorization, roles: &RoleCatalogue) -> Result<(), OfferError> {
    let hands_on = !authorization.delegated_roles.is_empty();
    let place = at.member("roleDefinitionId");
    let role = builtin(&place, authorization.role, roles)?;
    if authorization.role != USER_ACCESS_ADMINISTRATOR {
        delegable(place, authorization.role, roles)?;
        let unexpected =
            || OfferError::DelegatedRolesUnexpected { at: at.member("delegatedRoleDefinitionIds"), role: role.name().to_owned() };
        return if hands_on { Err(unexpected()) } else { Ok(()) };
    }
    if !hands_on {
        return delegable(place, authorization.role, roles);
    }
    let list = at.member("delegatedRoleDefinitionIds");
    let mut handed_on = authorization.delegated_roles.iter().enumerate();
    handed_on.try_for_each(|(index, role)| check_handed_on(&list.item(index), *role, roles))
}

fn check_handed_on(at: &Place, id: RoleId, roles: &RoleCatalogue) -> Result<(), OfferError> {
    let role = builtin(at, id, roles)?;
    let unfit = match roles.by_id(id).map_or(Ok(()), |index| roles.delegable(index)) {
        Ok(()) => return Ok(()),
        Err(unfit) => unfit,
    };
    let action = action_at_fault(role, unfit);
    Err(OfferError::DelegatedRoleRefused { at: at.clone(), role: role.name().to_owned(), action })
}

fn check_eligible_role(at: &Place, id: RoleId, roles: &RoleCatalogue) -> Result<(), OfferError> {
    let role = builtin(at, id, roles)?;
    if id == OWNER || id == USER_ACCESS_ADMINISTRATOR {
        return Err(OfferError::EligibleRole { at: at.clone(), role: role.name().to_owned(), action: widest_action(role) });
    }
    delegable(at.clone(), id, roles)
}

fn builtin<'r>(at: &Place, id: RoleId, roles: &'r RoleCatalogue) -> Result<&'r Role, OfferError> {
    let role = roles.by_id(id).and_then(|index| roles.role(index));
    role.ok_or_else(|| OfferError::RoleNotBuiltin { at: at.clone(), role: id })
}

fn delegable(at: Place, id: RoleId, roles: &RoleCatalogue) -> Result<(), OfferError> {
    let index = roles.by_id(id).ok_or_else(|| OfferError::RoleNotBuiltin { at: at.clone(), role: id })?;
    roles.delegable(index).map_err(|unfit| match unfit {
        NotDelegable::Constrained { role } => {
            let action = roles.role(index).map(widest_action).unwrap_or_default();
            OfferError::RoleConstrained { at, role, action }
        }
        NotDelegable::DataAction { role, action } => OfferError::RoleDataAction { at, role, action },
        NotDelegable::Owner { role, action } => OfferError::RoleOwner { at, role, action },
        NotDelegable::Restricted { role, action } => OfferError::RoleRestricted { at, role, action },
        NotDelegable::Unknown { .. } => OfferError::RoleNotBuiltin { at, role: id },
    })
}

fn action_at_fault(role: &Role, unfit: NotDelegable) -> String {
    match unfit {
        NotDelegable::Constrained { .. } | NotDelegable::Unknown { .. } => widest_action(role),
        NotDelegable::DataAction { action, .. } | NotDelegable::Owner { action, .. } | NotDelegable::Restricted { action, .. } => action,
    }
}

/// The pattern that makes Owner and User Access Administrator what they are: the first that can change something.
fn widest_action(role: &Role) -> String {
    let mut actions = role.permissions().iter().flat_map(Permission::actions);
    actions.find(|action| !action.ends_with("/read")).unwrap_or_default().to_owned()
}

fn check_twice(definition: &RegistrationDefinition, roles: &RoleCatalogue) -> Result<(), OfferError> {
    let name = |role: RoleId| builtin(&Place::definition(""), role, roles).map(|role| role.name().to_owned());
    let standing = standing(definition).map(|(at, authorization)| (at, authorization.principal, authorization.role));
    refuse_twice(standing, name)?;
    let eligible = on_request(definition).map(|(at, eligible)| (at, eligible.principal, eligible.role));
    refuse_twice(eligible, name)
}

fn refuse_twice(
    list: impl Iterator<Item = (Place, ObjectId, RoleId)>,
    name: impl Fn(RoleId) -> Result<String, OfferError>,
) -> Result<(), OfferError> {
    let mut seen = HashMap::new();
    for (at, principal, role) in list {
        if let Some(Place { path: first, .. }) = seen.insert((principal, role), at.clone()) {
            return Err(OfferError::AuthorizationTwice { at, first, principal, role: name(role)? });
        }
    }
    Ok(())
}

fn check_principals(definition: &RegistrationDefinition, context: &DefinitionContext<'_>) -> Result<(), OfferError> {
    let kind = |principal| (context.principal_kind)(definition.managing_tenant, principal);
    for (at, authorization) in standing(definition) {
        let principal = authorization.principal;
        if kind(principal) == Some(PrincipalKind::Application) {
            return Err(OfferError::PrincipalIsApplication { at: at.member("principalId"), principal });
        }
    }
    for (at, eligible) in on_request(definition) {
        let (at, principal) = (at.member("principalId"), eligible.principal);
        match kind(principal) {
            Some(PrincipalKind::Application) => return Err(OfferError::PrincipalIsApplication { at, principal }),
            Some(kind @ PrincipalKind::ServicePrincipal) if !context.version.is_extended() => {
                return Err(OfferError::EligibleKind { at, principal, kind });
            }
            Some(PrincipalKind::Group | PrincipalKind::ServicePrincipal | PrincipalKind::User) | None => {}
        }
    }
    Ok(())
}

fn check_policies(definition: &RegistrationDefinition, context: &DefinitionContext<'_>) -> Result<(), OfferError> {
    let mut first_of_role: HashMap<RoleId, (Place, &EligibleAuthorization)> = HashMap::new();
    for (at, eligible) in on_request(definition) {
        let at = at.member("justInTimeAccessPolicy");
        let list = at.member("managedByTenantApprovers");
        if let Some(index) = eligible.policy.approvers.iter().position(|approver| approver.principal == eligible.principal) {
            return Err(OfferError::ApproverSelf { at: list.item(index).member("principalId"), principal: eligible.principal });
        }
        check_approvers(&list, &eligible.policy.approvers, definition.managing_tenant, context)?;
        check_approvers(&at.member("customerApprovers"), &eligible.policy.customer_approvers, context.home_tenant, context)?;
        let (first, known) = first_of_role.entry(eligible.role).or_insert_with(|| (at.clone(), eligible));
        if !known.policy.asks_the_same_as(&eligible.policy) {
            let role = builtin(&at, eligible.role, context.roles)?.name().to_owned();
            return Err(OfferError::EligiblePolicyDiffers { at, first: first.path.clone(), role });
        }
    }
    Ok(())
}

fn check_approvers(list: &Place, approvers: &[Approver], tenant: TenantId, context: &DefinitionContext<'_>) -> Result<(), OfferError> {
    let mut kinds = approvers.iter().enumerate().map(|(index, approver)| {
        let principal = approver.principal;
        (index, principal, (context.principal_kind)(tenant, principal))
    });
    kinds.try_for_each(|(index, principal, kind)| match kind {
        Some(kind @ (PrincipalKind::Application | PrincipalKind::ServicePrincipal)) => {
            Err(OfferError::ApproverKind { at: list.item(index).member("principalId"), principal, kind })
        }
        Some(PrincipalKind::Group | PrincipalKind::User) | None => Ok(()),
    })
}

/// Who may activate a role has to see the subscription before, in the portal and in lists. Service principals need not.
fn check_readers(definition: &RegistrationDefinition, context: &DefinitionContext<'_>) -> Result<(), OfferError> {
    let reads = |authorization: &Authorization| {
        let role = context.roles.by_id(authorization.role).and_then(|index| context.roles.role(index));
        authorization.delegated_roles.is_empty() && role.is_some_and(reads_everything)
    };
    for (at, eligible) in on_request(definition) {
        let principal = eligible.principal;
        let is_robot = (context.principal_kind)(definition.managing_tenant, principal) == Some(PrincipalKind::ServicePrincipal);
        let may_read = definition.authorizations.iter().any(|standing| standing.principal == principal && reads(standing));
        if !is_robot && !may_read {
            return Err(OfferError::EligibleWithoutReader { at: at.member("principalId"), principal });
        }
    }
    Ok(())
}

fn reads_everything(role: &Role) -> bool {
    let mut unconditional = role.permissions().iter().filter(|block| block.condition().is_none());
    unconditional.any(|block| block.actions().any(|action| action == "*" || action.eq_ignore_ascii_case("*/read")))
}

fn check_term(definition: &RegistrationDefinition, context: &DefinitionContext<'_>) -> Result<(), OfferError> {
    let term = definition.term;
    let at = Place::definition("properties.term.notAfter");
    let Some(not_after) = term.not_after.filter(|_| context.version.is_extended()) else {
        return Ok(());
    };
    if not_after <= context.now {
        return Err(OfferError::TermEnded { at, not_after, now: context.now });
    }
    if term.not_before.is_some_and(|not_before| not_after <= not_before) {
        return Err(OfferError::TermOrder { at, earlier: "properties.term.notBefore" });
    }
    if term.review_by.is_some_and(|review_by| not_after < review_by) {
        return Err(OfferError::TermOrder { at, earlier: "properties.term.reviewBy" });
    }
    Ok(())
}

fn standing(definition: &RegistrationDefinition) -> impl Iterator<Item = (Place, &Authorization)> {
    let list = Place::definition("properties.authorizations");
    definition.authorizations.iter().enumerate().map(move |(index, item)| (list.item(index), item))
}

fn on_request(definition: &RegistrationDefinition) -> impl Iterator<Item = (Place, &EligibleAuthorization)> {
    let list = Place::definition("properties.eligibleAuthorizations");
    definition.eligible.iter().enumerate().map(move |(index, item)| (list.item(index), item))
}
