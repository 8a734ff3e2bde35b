//! Which roles a customer may delegate. Source: Azure Lighthouse, "Tenants, users, and roles", "Role support".

use super::{Permission, Role};
use crate::delegation::RoleIndex;
use crate::ids::RoleId;

/// Contributor.
pub const CONTRIBUTOR: RoleId = RoleId::from_bytes(0xb249_88ac_6180_42a0_ab88_20f7_382d_d24c_u128.to_be_bytes());

/// Owner.
pub const OWNER: RoleId = RoleId::from_bytes(0x8e3a_f657_a8ff_443c_a75c_2fe8_c4bc_b635_u128.to_be_bytes());

/// User Access Administrator.
pub const USER_ACCESS_ADMINISTRATOR: RoleId = RoleId::from_bytes(0x18d7_d88d_d35e_4fb5_a5c3_7773_c20a_72d9_u128.to_be_bytes());

/// A role that lists one of these, letter by letter but for case, could widen its own access.
const RESTRICTED_ACTIONS: [&str; 13] = [
    "Microsoft.Authorization/*",
    "Microsoft.Authorization/*/delete",
    "Microsoft.Authorization/*/write",
    "Microsoft.Authorization/classicAdministrators/delete",
    "Microsoft.Authorization/classicAdministrators/write",
    "Microsoft.Authorization/denyAssignments/delete",
    "Microsoft.Authorization/denyAssignments/write",
    "Microsoft.Authorization/locks/delete",
    "Microsoft.Authorization/locks/write",
    "Microsoft.Authorization/roleAssignments/delete",
    "Microsoft.Authorization/roleAssignments/write",
    "Microsoft.Authorization/roleDefinitions/delete",
    "Microsoft.Authorization/roleDefinitions/write",
];

/// Why a role cannot be delegated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDelegable {
    /// User Access Administrator without the roles it may hand on.
    #[error("the role `{role}` can be delegated only together with delegated_role_definition_ids, the roles it may assign")]
    Constrained {
        /// Name of the role.
        role: String,
    },
    /// A role that reaches into a data plane.
    #[error("the role `{role}` has the data action `{action}`; roles with data actions cannot be delegated")]
    DataAction {
        /// Name of the role.
        role: String,
        /// The first of its data actions.
        action: String,
    },
    /// Owner.
    #[error("the role `{role}` cannot be delegated; it grants `{action}`")]
    Owner {
        /// Name of the role.
        role: String,
        /// What it grants.
        action: String,
    },
    /// A role that could change who has access.
    #[error("the role `{role}` has the restricted action `{action}`; roles that change access or locks cannot be delegated")]
    Restricted {
        /// Name of the role.
        role: String,
        /// The first of its restricted actions.
        action: String,
    },
    /// An index of another catalogue.
    #[error("there is no role number {index} in the catalogue")]
    Unknown {
        /// The index.
        index: u16,
    },
}

impl NotDelegable {
    /// The rule that stands against it, as one word.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Constrained { .. } => "constrained",
            Self::DataAction { .. } => "data_action",
            Self::Owner { .. } => "owner",
            Self::Restricted { .. } => "restricted_action",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// The action at fault.
    #[must_use]
    pub fn action(&self) -> Option<&str> {
        match self {
            Self::DataAction { action, .. } | Self::Owner { action, .. } | Self::Restricted { action, .. } => Some(action),
            Self::Constrained { .. } | Self::Unknown { .. } => None,
        }
    }
}

pub(super) fn check(index: RoleIndex, role: Option<&Role>) -> Result<(), NotDelegable> {
    let role = role.ok_or(NotDelegable::Unknown { index: index.0 })?;
    let name = || role.name.to_string();
    let first_action = || role.permissions.iter().flat_map(Permission::actions).next().unwrap_or_default().to_owned();
    if role.id == OWNER {
        return Err(NotDelegable::Owner { role: name(), action: first_action() });
    }
    if role.id == USER_ACCESS_ADMINISTRATOR {
        return Err(NotDelegable::Constrained { role: name() });
    }
    if let Some(action) = role.permissions.iter().flat_map(|block| block.data_actions().chain(block.not_data_actions())).next() {
        return Err(NotDelegable::DataAction { role: name(), action: action.to_owned() });
    }
    if let Some(action) = restricted_action(role) {
        return Err(NotDelegable::Restricted { role: name(), action: action.to_owned() });
    }
    Ok(())
}

fn restricted_action(role: &Role) -> Option<&str> {
    let mut patterns = role.permissions.iter().flat_map(|block| &block.actions);
    let restricted = patterns.find(|pattern| RESTRICTED_ACTIONS.iter().any(|known| pattern.is_literally(known)));
    restricted.map(|pattern| pattern.as_str())
}
