//! What a change of a delegation takes beyond the action itself. Source: Azure Lighthouse, "Onboard a customer" and "Remove access".

use crate::arm::action::Action;
use crate::delegation::decide::DenyReason;
use crate::ids::RoleId;

/// The one role that lets a managing tenant remove its own delegation: Managed Services Registration assignment Delete Role.
pub(super) const DELETE_ROLE: RoleId = RoleId::from_bytes(0x91c1_777a_f3dc_4fae_b103_61d1_8345_7e46_u128.to_be_bytes());

/// A change of delegations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// An offer is made, replaced or removed.
    Definition,
    /// An offer is bound to a scope.
    Assign,
    /// A delegation ends.
    RemoveAssignment,
}

impl Change {
    pub(super) fn of(action: &Action) -> Option<Self> {
        match action.key() {
            "microsoft.managedservices/registrationdefinitions/write" | "microsoft.managedservices/registrationdefinitions/delete" => {
                Some(Self::Definition)
            }
            "microsoft.managedservices/registrationassignments/write" => Some(Self::Assign),
            "microsoft.managedservices/registrationassignments/delete" => Some(Self::RemoveAssignment),
            _ => None,
        }
    }
}

/// What a principal of the customer needs on the subscription, because a delegation hands out roles.
pub(super) fn rights_of_the_customer() -> Vec<Action> {
    let names = ["read", "write", "delete"].map(|verb| format!("Microsoft.Authorization/roleAssignments/{verb}"));
    names.iter().filter_map(|name| name.parse().ok()).collect()
}

/// The tenant holds grants here, but the change takes a role that it does not hold.
pub(super) fn role_missing(actions: &[Action], otherwise: DenyReason) -> DenyReason {
    match actions.first() {
        Some(action) => DenyReason::ActionMissing { action: action.clone(), held: Vec::new() },
        None => otherwise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_delegations_is_one_in_any_case_and_nothing_else_is() {
        let change = |action: &str| Change::of(&action.parse().unwrap());
        for (kind, verb, expected) in [
            ("registrationDefinitions", "write", Some(Change::Definition)),
            ("registrationDefinitions", "delete", Some(Change::Definition)),
            ("registrationDefinitions", "read", None),
            ("registrationAssignments", "write", Some(Change::Assign)),
            ("registrationAssignments", "delete", Some(Change::RemoveAssignment)),
            ("registrationAssignments", "read", None),
            ("operationStatuses", "write", None),
        ] {
            let action = format!("Microsoft.ManagedServices/{kind}/{verb}");
            assert_eq!(change(&action), expected, "{action}");
            assert_eq!(change(&action.to_ascii_uppercase()), expected, "{action} in capitals");
        }
        assert_eq!(change("Microsoft.Elsewhere/registrationAssignments/delete"), None);
    }
}
