//! What the directory tells the callers of a tenant of other tenants and their people.

use super::{Directory, Principal, Tenant};
use crate::ids::{PrincipalId, TenantId};

/// The directory as the callers of one tenant know it: everything for those of a tenant that the policy files declare, nothing but their own tenant
/// for those of one that signed itself up. Why: `docs/decisions/0026-names-for-strangers.md`.
#[derive(Debug, Clone, Copy)]
pub struct Acquaintance<'d> {
    directory: &'d Directory,
    /// Nothing for the operator.
    reader: Option<TenantId>,
}

impl<'d> Acquaintance<'d> {
    /// Whether names and kinds in a tenant are told.
    #[must_use]
    pub fn knows(&self, tenant: TenantId) -> bool {
        self.reader.is_none_or(|reader| reader == tenant || self.directory.declared.tenants.contains_key(&reader))
    }

    /// A tenant.
    #[must_use]
    pub fn tenant(&self, id: TenantId) -> Option<&'d Tenant> {
        self.directory.tenant(id).filter(|tenant| self.knows(tenant.id))
    }

    /// The display name of a tenant.
    #[must_use]
    pub fn tenant_name(&self, id: TenantId) -> Option<String> {
        self.tenant(id).map(|tenant| tenant.name.to_string())
    }

    /// A person, a group or an application.
    #[must_use]
    pub fn principal(&self, id: PrincipalId) -> Option<&'d Principal> {
        self.directory.principal(id).filter(|_| self.knows(id.tenant))
    }

    /// Everybody who is known.
    pub fn principals(&self) -> impl Iterator<Item = &'d Principal> {
        self.directory.principals().filter(|known| self.knows(known.id.tenant))
    }
}

impl Directory {
    /// What the callers of a tenant are told of others.
    #[must_use]
    pub const fn known_to(&self, reader: TenantId) -> Acquaintance<'_> {
        Acquaintance { directory: self, reader: Some(reader) }
    }

    /// What the operator is told: everything.
    #[must_use]
    pub const fn known_to_operator(&self) -> Acquaintance<'_> {
        Acquaintance { directory: self, reader: None }
    }
}
