//! `roleDefinitions`: the built-in roles, read only.

use serde_json::{Value, json};

use super::{Call, OwnAnswer, OwnError};
use crate::delegation::roles::Role;

impl Call<'_> {
    pub(super) fn role_definitions(&self) -> Result<OwnAnswer, OwnError> {
        let filter = self.filter();
        let name = filter.split_once("roleName eq ").map(|(_, quoted)| quoted.trim().trim_matches('\'').to_lowercase());
        let custom_only = filter.to_ascii_lowercase().contains("customrole");
        let roles = self.directory().roles().iter().map(|(_, role)| role);
        let wanted = roles.filter(|role| !custom_only && name.as_ref().is_none_or(|name| role.name().to_lowercase() == *name));
        let value: Vec<Value> = wanted.map(|role| self.show_role(role)).collect();
        Ok(OwnAnswer::ok(json!({ "value": value })))
    }

    pub(super) fn role_definition(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let roles = self.directory().roles();
        let role = name.parse().ok().and_then(|id| roles.by_id(id)).and_then(|index| roles.role(index));
        role.map(|role| OwnAnswer::ok(self.show_role(role))).ok_or_else(|| self.not_found())
    }

    fn show_role(&self, role: &Role) -> Value {
        let base = self.request.place.map(|(id, _)| format!("/subscriptions/{id}")).unwrap_or_default();
        let permissions: Vec<Value> = role
            .permissions()
            .iter()
            .map(|block| {
                json!({
                    "actions": block.actions().collect::<Vec<_>>(),
                    "notActions": block.not_actions().collect::<Vec<_>>(),
                    "dataActions": block.data_actions().collect::<Vec<_>>(),
                    "notDataActions": block.not_data_actions().collect::<Vec<_>>(),
                    "condition": block.condition(),
                })
            })
            .collect();
        json!({
            "id": format!("{base}/providers/Microsoft.Authorization/roleDefinitions/{}", role.id()),
            "name": role.id(),
            "type": "Microsoft.Authorization/roleDefinitions",
            "properties": { "roleName": role.name(), "type": "BuiltInRole", "description": "", "assignableScopes": ["/"], "permissions": permissions },
        })
    }
}
