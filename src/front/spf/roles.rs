//! Roles under that of a tenant.

use serde_json::json;
use uuid::Uuid;

use super::super::answer::Answer;
use super::machines::{number, require_settable, required, text};
use super::places::{Narrow, OWN, Place, uuid};
use super::problem::Problem;
use super::{Asked, Spf, done};
use crate::arm::action::Method;
use crate::ids::{SubscriptionId, UserRoleId};
use crate::odata::{Changes, Entity, EntitySet, Key};
use crate::spf::model::LIST_SEPARATOR;

const GIVEN_NEW: &[&str] = &[
    "CloudIds",
    "ID",
    "LogicalNetworkIds",
    "Members",
    "Name",
    "ParentUserRoleId",
    "Permission",
    "QuotaCPUCount",
    "QuotaMemoryMB",
    "QuotaStorageGB",
    "QuotaVMCount",
    "StampId",
    "UserRoleProfile",
    "VMTemplateIds",
];

impl Spf<'_> {
    /// A role of one stamp, under that of a tenant. What it is not given it has from that one, but no members.
    pub(super) async fn create_role(&self, asked: &Asked<'_>, set: &'static EntitySet, given: &Changes) -> Result<Answer, Problem> {
        require_settable(given, GIVEN_NEW)?;
        let stamp = required(given, "StampId")?;
        let tenant = SubscriptionId::from_bytes(required(given, "ParentUserRoleId")?.into_bytes());
        let parent = self.role(set, tenant, Uuid::from_bytes(*tenant.as_bytes()), stamp).await?;
        let list = |name: &str| {
            let own = given.get(name).filter(|value| !value.is_null()).unwrap_or_else(|| parent.get(name));
            items(own.as_str().unwrap_or_default())
        };
        let id = given.get("ID").and_then(uuid).filter(|id| !id.is_nil());
        let id = id.map_or_else(UserRoleId::random, |id| UserRoleId::from_bytes(id.into_bytes()));
        let amount = |name: &str| number(given, name).or_else(|| parent.get(name).as_int());
        let quota = json!({
            "virtual_machines": amount("QuotaVMCount"),
            "cores": amount("QuotaCPUCount"),
            "memory_mb": amount("QuotaMemoryMB"),
            "storage_gb": amount("QuotaStorageGB"),
        });
        let properties = json!({
            "name": text(given, "Name").unwrap_or_default(),
            "profile": text(given, "UserRoleProfile").unwrap_or("SelfServiceUser"),
            "members": items(text(given, "Members").unwrap_or_default()),
            "clouds": list("CloudIds"),
            "networks": list("LogicalNetworkIds"),
            "templates": list("VMTemplateIds"),
            "actions": list("Permission"),
            "quota": quota,
        });
        let path = Place::tenant(tenant).own(&format!("userRoles/{id}"));
        self.call.ask(Method::Put, &path, OWN, Some(&json!({ "properties": properties }))).await?;
        let made = self.role(set, tenant, Uuid::from_bytes(*id.as_bytes()), stamp).await?;
        Ok(self.created(asked, set, &made))
    }

    /// A role of a tenant, or of one under it.
    async fn role(&self, set: &'static EntitySet, tenant: SubscriptionId, id: Uuid, stamp: Uuid) -> Result<Entity, Problem> {
        if self.call.front.directory().cloud(tenant).is_none() || self.address.tenant.is_some_and(|only| only != tenant) {
            return Err(Problem::value("ParentUserRoleId", "is the role of no tenant that the caller may see"));
        }
        let rows = self.roles(set.entity_type, Place::tenant(tenant)).await?;
        let is_it = |row: &Entity| uuid(row.get("ID")) == Some(id) && uuid(row.get("StampId")) == Some(stamp);
        rows.into_iter().find(is_it).ok_or_else(|| Problem::value("StampId", "is no stamp that the tenant has a cloud on"))
    }

    pub(super) async fn delete_role(&self, set: &'static EntitySet, key: &Key) -> Result<Answer, Problem> {
        let role = self.entities(set, Narrow { key: Some(key), filter: None }).await?;
        let role = role.into_iter().find(|role| role.key() == *key).ok_or(Problem::NotFound)?;
        let (id, parent) = (uuid(role.get("ID")), uuid(role.get("ParentUserRoleId")));
        let (Some(id), Some(tenant)) = (id, parent.or(id)) else { return Err(Problem::NotFound) };
        let place = Place::tenant(SubscriptionId::from_bytes(tenant.into_bytes()));
        if self.call.front.directory().cloud(place.id).is_none() {
            return Err(Problem::NotFound);
        }
        self.call.ask(Method::Delete, &place.own(&format!("userRoles/{id}")), OWN, None).await?;
        Ok(done())
    }
}

fn items(list: &str) -> Vec<&str> {
    list.split(LIST_SEPARATOR).map(str::trim).filter(|item| !item.is_empty()).collect()
}
