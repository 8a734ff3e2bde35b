//! `roleCatalog`: which roles can be delegated, what keeps the others from it, and what a role gives beyond management.

use super::shapes::{CatalogueExposure, CatalogueReason, CatalogueRole, Item};
use super::{Call, OwnAnswer, OwnError, list};
use crate::delegation::RoleIndex;
use crate::delegation::roles::{Exposures, NotDelegable, Role};

const ROLE_DEFINITIONS: &str = "Microsoft.Authorization/roleDefinitions";

impl Call<'_> {
    pub(super) fn role_catalogue(&self) -> Result<OwnAnswer, OwnError> {
        let delegable = self.query_value("delegable").map(|text| yes_or_no("delegable", &text)).transpose()?;
        let name = self.query_value("name").map(|name| name.to_lowercase());
        let roles = self.directory().roles();
        let exposures = Exposures::of(roles);
        let named = roles.iter().filter(|(_, role)| name.as_ref().is_none_or(|part| role.name().to_lowercase().contains(part.as_str())));
        let shown = named.map(|(index, role)| self.show(index, role, &exposures));
        Ok(list(shown.filter(|one| delegable.is_none_or(|wanted| one.properties.delegable == wanted)).collect()))
    }

    fn show(&self, index: RoleIndex, role: &Role, exposures: &Exposures) -> Item<CatalogueRole> {
        let reason = self.directory().roles().delegable(index).err().as_ref().map(reason);
        let exposure = exposures.exposed(index).into_iter();
        let exposure = exposure.map(|one| CatalogueExposure { class: one.class, actions: one.actions, example: one.example }).collect();
        let properties = CatalogueRole { role_name: role.name().to_owned(), delegable: reason.is_none(), reason, exposure };
        super::item(ROLE_DEFINITIONS, role.id(), properties)
    }
}

fn reason(error: &NotDelegable) -> CatalogueReason {
    CatalogueReason { rule: error.rule(), action: error.action().map(str::to_owned), message: error.to_string() }
}

fn yes_or_no(name: &'static str, text: &str) -> Result<bool, OwnError> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(OwnError::Parameter { name, problem: "has to be `true` or `false`".to_owned() }),
    }
}
