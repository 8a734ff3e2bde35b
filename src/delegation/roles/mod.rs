//! The role definitions and what each of them permits.
//!
//! Role definitions are data: nothing here knows a role by name but Owner and User Access Administrator, for which delegation
//! has rules of their own. Data actions are never granted and never compared with actions of the management plane.

mod delegable;
mod exposure;
mod index;
mod pattern;
mod permission;
mod table;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use dashmap::DashMap;

pub use self::delegable::{CONTRIBUTOR, NotDelegable, OWNER, USER_ACCESS_ADMINISTRATOR};
pub use self::exposure::{Exposed, Exposure, Exposures};
pub use self::index::RoleSet;
pub use self::pattern::{NotAPattern, Pattern};
pub use self::permission::Permission;
pub use self::table::TableError;

use self::index::ActionIndex;
use super::{Grant, OriginKind, RoleIndex};
use crate::arm::action::Action;
use crate::ids::RoleId;

/// Actions whose roles are kept. The whole public catalogue has about 20,000; a caller who invents more pays for computing them.
pub const CACHED_ACTIONS_MAX: usize = 65_536;

/// How alike two names must be for one to be suggested for the other, from 0 to 1.
const ALIKE_MIN: f64 = 0.82;

type Hasher = foldhash::fast::RandomState;

/// One role definition.
#[derive(Debug, Clone)]
pub struct Role {
    id: RoleId,
    name: Box<str>,
    permissions: Vec<Permission>,
}

impl Role {
    /// The last segment of its resource id.
    #[must_use]
    pub const fn id(&self) -> RoleId {
        self.id
    }

    /// Display name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its blocks; each is evaluated on its own.
    #[must_use]
    pub fn permissions(&self) -> &[Permission] {
        &self.permissions
    }

    /// Whether one block permits `action` without a condition.
    #[must_use]
    pub fn permits(&self, action: &Action) -> bool {
        self.permissions.iter().any(|block| block.permits(action))
    }

    /// Whether a block would permit `action` if its condition held.
    #[must_use]
    pub fn permits_conditionally(&self, action: &Action) -> bool {
        self.permissions.iter().any(|block| block.permits_conditionally(action))
    }

    /// Narrow roles before wide ones: first those that stay inside named providers, then by number of patterns.
    fn breadth(&self) -> (usize, usize, usize) {
        let count = |wide: fn(&Pattern) -> bool| self.permissions.iter().flat_map(|block| &block.actions).filter(|p| wide(p)).count();
        (count(|pattern| pattern.namespace().is_none()), count(|_any| true), count(Pattern::has_wildcard))
    }
}

/// The role definitions of one snapshot, and which of them grant which action.
#[derive(Debug)]
pub struct RoleCatalogue {
    roles: Vec<Role>,
    by_id: HashMap<RoleId, RoleIndex, Hasher>,
    /// Keyed by lower-cased name.
    by_name: HashMap<Box<str>, RoleIndex, Hasher>,
    index: ActionIndex,
    /// Those that can be delegated, the narrowest first.
    narrowest: Vec<RoleIndex>,
    /// The same as a set.
    delegable: RoleSet,
    /// Keyed by lower-cased action.
    granting: DashMap<Box<str>, Arc<RoleSet>, Hasher>,
}

impl RoleCatalogue {
    /// The built-in roles of Azure. All callers share one catalogue, and so what it has learned about actions.
    #[must_use]
    pub fn builtin() -> Arc<Self> {
        #[expect(clippy::expect_used, reason = "the table is part of the program, and a test reads every line of it")]
        static BUILTIN: LazyLock<Arc<RoleCatalogue>> =
            LazyLock::new(|| Arc::new(RoleCatalogue::from_table(include_str!("builtin.txt")).expect("the built-in roles are readable")));
        Arc::clone(&BUILTIN)
    }

    /// Role definitions from their text form, which is described at the top of `builtin.txt`.
    ///
    /// # Errors
    /// At the first line that cannot be read, or when two roles share an id or a name.
    pub fn from_table(text: &str) -> Result<Self, TableError> {
        let roles = table::read(text)?;
        let mut by_id = HashMap::default();
        let mut by_name = HashMap::default();
        for (number, role) in roles.iter().enumerate() {
            let index = RoleIndex(u16::try_from(number).map_err(|_cause: std::num::TryFromIntError| TableError::TooMany)?);
            let known = by_id.insert(role.id, index).is_some() | by_name.insert(role.name.to_lowercase().into(), index).is_some();
            if known {
                return Err(TableError::Doubled { name: role.name.to_string() });
            }
        }
        let index = ActionIndex::new(&roles);
        let numbered = (0..).map(RoleIndex).zip(&roles).filter(|(index, role)| delegable::check(*index, Some(role)).is_ok());
        let mut narrowest: Vec<_> = numbered.map(|(index, role)| (role.breadth(), role.name(), index)).collect();
        narrowest.sort_unstable();
        let narrowest: Vec<_> = narrowest.into_iter().map(|(_, _, index)| index).collect();
        let delegable = RoleSet::of(roles.len(), narrowest.iter().copied());
        Ok(Self { roles, by_id, by_name, index, narrowest, delegable, granting: DashMap::default() })
    }

    /// The role of this id.
    #[must_use]
    pub fn by_id(&self, id: RoleId) -> Option<RoleIndex> {
        self.by_id.get(&id).copied()
    }

    /// The role of this name, in any case.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<RoleIndex> {
        self.by_name.get(name.to_lowercase().as_str()).copied()
    }

    /// The name most like a misspelled one, if any is alike.
    #[must_use]
    pub fn suggest(&self, name: &str) -> Option<&str> {
        let wanted = name.to_lowercase();
        let alike = |role: &Role| strsim::normalized_damerau_levenshtein(&wanted, &role.name.to_lowercase());
        let scored = self.roles.iter().map(|role| (alike(role), role));
        let best = scored.max_by(|(left, _), (right, _)| left.total_cmp(right));
        best.filter(|(score, _)| *score >= ALIKE_MIN).map(|(_, role)| role.name())
    }

    /// The definition behind an index.
    #[must_use]
    pub fn role(&self, index: RoleIndex) -> Option<&Role> {
        self.roles.get(usize::from(index.0))
    }

    /// All roles, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (RoleIndex, &Role)> {
        (0..).map(RoleIndex).zip(&self.roles)
    }

    /// How many roles there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.roles.len()
    }

    /// Whether there is no role.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty()
    }

    /// The roles that grant `action`: one hash look-up for an action asked before.
    #[must_use]
    pub fn granting(&self, action: &Action) -> Arc<RoleSet> {
        if let Some(known) = self.granting.get(action.key()) {
            return Arc::clone(&known);
        }
        let set = Arc::new(self.index.granting(action, &self.roles).ranked(&self.narrowest));
        if self.granting.len() < CACHED_ACTIONS_MAX {
            self.granting.insert(action.key().into(), Arc::clone(&set));
        }
        set
    }

    /// Whether a grant does not reach this action although its role does: User Access Administrator is delegated for assigning roles to
    /// managed identities and for nothing else. Source: Azure Lighthouse, "Tenants, users, and roles".
    #[must_use]
    pub fn constrains(&self, grant: &Grant, action: &Action) -> bool {
        self.by_id.get(&USER_ACCESS_ADMINISTRATOR) == Some(&grant.role)
            && matches!(grant.origin.kind, OriginKind::Delegation { .. })
            && !action.key().starts_with("microsoft.authorization/roleassignments/")
    }

    /// Whether a customer may delegate the role.
    ///
    /// # Errors
    /// When it may not; the error names the role and the action at fault.
    pub fn delegable(&self, index: RoleIndex) -> Result<(), NotDelegable> {
        if self.delegable.contains(index) { Ok(()) } else { delegable::check(index, self.role(index)) }
    }
}

#[cfg(test)]
mod tests;
