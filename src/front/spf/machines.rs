//! Machines are made, changed, operated and removed.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::super::answer::{Answer, Refusal};
use super::on_behalf::OnBehalf;
use super::places::{Place, SCVMM, uuid};
use super::problem::Problem;
use super::sets::Found;
use super::show::{self, Doc};
use super::{Asked, Spf, done};
use crate::arm::action::Method;
use crate::ids::SubscriptionId;
use crate::odata::{Changes, Entity, EntitySet, Key, Update, Value};

/// What a new machine can be given.
const GIVEN_NEW: &[&str] = &[
    "CloudId",
    "CPUCount",
    "Description",
    "LogicalNetworkId",
    "Memory",
    "Name",
    "OnBehalfOfUser",
    "OnBehalfOfUserRole",
    "StampId",
    "StartVM",
    "Tag",
    "VMTemplateId",
];
/// What can be changed as one, and is reset by a PUT that leaves it out.
const CHANGED: &[&str] = &["CPUCount", "Description", "Memory", "Tag"];
/// What can be changed by itself only.
const ALONE: &[&str] = &["Operation", "Owner", "UserRoleID"];
/// Which tag of a machine its property `Tag` is.
const TAG: &str = "Tag";
/// Characters of a name. Source: `vmm::NewVm`.
const NAME_CHARS_MAX: usize = 64;

impl Spf<'_> {
    pub(super) async fn create_machine(&self, asked: &Asked<'_>, set: &'static EntitySet, given: &Changes) -> Result<Answer, Problem> {
        let on_behalf = self.on_behalf(given).await?;
        require_settable(given, GIVEN_NEW)?;
        let place = self.place_of_new(on_behalf).await?;
        let name = given.get("Name").and_then(Value::as_str).unwrap_or_default();
        check_name(name)?;
        let (stamp, template) = (required(given, "StampId")?, required(given, "VMTemplateId")?);
        let cloud = self.cloud(place, required(given, "CloudId")?, stamp).await?;
        let path = format!(
            "/subscriptions/{}/resourceGroups/{cloud}/providers/Microsoft.HybridCompute/machines/{name}/providers/Microsoft.ScVmm/virtualMachineInstances/default",
            place.id
        );
        self.require_free(&path).await?;
        let networks: Vec<Json> = guid(given, "LogicalNetworkId").iter().map(|id| json!({ "virtualNetworkId": id.to_string() })).collect();
        let body = json!({
            "tags": text(given, "Tag").map(|tag| json!({ TAG: tag })),
            "properties": {
                "infrastructureProfile": { "cloudId": cloud, "templateId": template.to_string() },
                "hardwareProfile": { "cpuCount": number(given, "CPUCount"), "memoryMB": number(given, "Memory") },
                "networkProfile": { "networkInterfaces": networks },
                "privateCloud": {
                    "description": text(given, "Description"),
                    "start": given.get("StartVM").and_then(Value::as_bool).unwrap_or_default(),
                },
            },
        });
        let document = self.call.ask(Method::Put, &path, SCVMM, Some(&body)).await?;
        let entity = show::entity_of_machine(set.entity_type, Doc(&document)).map_err(Problem::Document)?;
        Ok(self.created(asked, set, &entity))
    }

    /// The tenant that something new is to belong to.
    async fn place_of_new(&self, on_behalf: OnBehalf) -> Result<Place, Problem> {
        if let Some(tenant) = on_behalf.role.or(self.address.tenant) {
            return Ok(Place::tenant(tenant));
        }
        let mut tenants = self.visible().await?.iter().filter(|place| !place.is_operator);
        match (tenants.next(), tenants.next()) {
            (Some(only), None) => Ok(*only),
            (Some(_), Some(_)) => Err(Problem::value("OnBehalfOfUserRole", "is missing; the caller works for several tenants, name one")),
            (None, _) => Err(Problem::value("OnBehalfOfUserRole", "is missing, and the caller works for no tenant")),
        }
    }

    /// The name of a cloud of a tenant.
    async fn cloud(&self, place: Place, id: Uuid, stamp: Uuid) -> Result<String, Problem> {
        let clouds = self.list(&place.scvmm("clouds"), SCVMM).await?;
        let known = clouds.iter().map(Doc).find(|cloud| cloud.uuid("/properties/uuid") == Some(id));
        let known = known.ok_or_else(|| Problem::value("CloudId", format!("is `{id}`, which is no cloud of the tenant's plan")))?;
        match known.uuid("/properties/stampId") {
            Some(own) if own == stamp => Ok(known.str("/name").unwrap_or_default().to_owned()),
            Some(own) => Err(Problem::value("StampId", format!("is `{stamp}`, and the cloud is on the stamp `{own}`"))),
            None => Err(Problem::value("StampId", "names no stamp of the cloud")),
        }
    }

    /// A request that makes a machine is not one that changes another of the same name.
    async fn require_free(&self, path: &str) -> Result<(), Problem> {
        let answer = self.call.try_ask(Method::Get, path, SCVMM, None).await;
        match answer.status {
            hyper::StatusCode::NOT_FOUND => Ok(()),
            status if status.is_success() && Doc(&answer.body).str("/properties/provisioningState") == Some("Failed") => Ok(()),
            status if status.is_success() => Err(Problem::Exists),
            _ => Err(Problem::Passed(Refusal::Refused(Box::new(answer)))),
        }
    }

    pub(super) async fn update_machine(
        &self,
        set: &'static EntitySet,
        key: &Key,
        given: &Changes,
        update: Update,
    ) -> Result<Answer, Problem> {
        let on_behalf = self.on_behalf(given).await?;
        let found = self.machine(key, "ID").await?;
        self.require_place(on_behalf, found.place).await?;
        let before = show::entity_of_machine(set.entity_type, Doc(&found.document)).map_err(Problem::Document)?;
        let after = given.apply(update, &before)?;
        let different: Vec<&'static str> = before.differences(&after).map(|column| column.property.name).collect();
        let is_given = |name: &&&'static str| given.get(name).is_some_and(|value| !(value.is_null() && before.get(name).is_null()));
        let changed: Vec<&'static str> = different.iter().filter(|name| CHANGED.contains(name)).copied().collect();
        let alone: Vec<&'static str> = different.iter().filter(is_given).filter(|name| ALONE.contains(name)).copied().collect();
        let settable = [CHANGED, ALONE, &["OnBehalfOfUser", "OnBehalfOfUserRole"]].concat();
        if let Some(name) = different.iter().filter(is_given).find(|name| !settable.contains(name)) {
            return Err(Problem::ReadOnly { name });
        }
        match (alone.as_slice(), changed.as_slice()) {
            ([], []) => Ok(done()),
            ([], _) => self.change(&found, &before, &after, &changed).await,
            (["Operation"], []) => self.operate(&found, after.get("Operation").as_str().unwrap_or_default()).await,
            (["Owner"], []) => self.give(&found, &after, on_behalf).await,
            (["UserRoleID"], []) => self.give_role(&found, &after).await,
            ([first, second, ..], _) | ([first], [second, ..]) => Err(Problem::Combined { first, second }),
            ([name], []) => Err(Problem::ReadOnly { name }),
        }
    }

    async fn change(&self, found: &Found, before: &Entity, after: &Entity, changed: &[&'static str]) -> Result<Answer, Problem> {
        let (mut properties, mut hardware, mut body) = (json!({}), json!({}), json!({}));
        for name in changed {
            match *name {
                "CPUCount" => set(&mut hardware, "cpuCount", self.size(found, before, after, "CPUCount", "/properties/cpuCount").await?),
                "Memory" => set(&mut hardware, "memoryMB", self.size(found, before, after, "Memory", "/properties/memoryMB").await?),
                "Description" => {
                    set(&mut properties, "privateCloud", json!({ "description": after.get("Description").as_str().unwrap_or_default() }));
                }
                _ => set(&mut body, "tags", tags(&found.document, after.get("Tag").as_str())),
            }
        }
        set(&mut properties, "hardwareProfile", hardware);
        set(&mut body, "properties", properties);
        self.call.ask(Method::Patch, found.path(), SCVMM, Some(&body)).await?;
        Ok(done())
    }

    /// A size that is reset is that of the template.
    async fn size(&self, found: &Found, before: &Entity, after: &Entity, name: &'static str, pointer: &str) -> Result<Json, Problem> {
        if let Some(wanted) = after.get(name).as_int() {
            return Ok(wanted.into());
        }
        let templates = self.list(&found.place.scvmm("virtualMachineTemplates"), SCVMM).await?;
        let template = uuid(before.get("VMTemplateId"));
        let own = templates.iter().map(Doc).find(|one| template.is_some() && one.uuid("/properties/uuid") == template);
        let size = own.and_then(|one| one.0.pointer(pointer)?.as_i64());
        Ok(size.or_else(|| before.get(name).as_int()).into())
    }

    async fn operate(&self, found: &Found, operation: &str) -> Result<Answer, Problem> {
        let action = match operation.to_ascii_lowercase().as_str() {
            "start" => "start",
            "stop" | "shutdown" => "stop",
            "reset" | "restart" => "restart",
            _ => return Err(Problem::value("Operation", "is none of Start, Stop, Shutdown, Reset and Restart")),
        };
        self.call.ask(Method::Post, &format!("{}/{action}", found.path()), SCVMM, Some(&json!({}))).await?;
        Ok(done())
    }

    pub(super) async fn delete_machine(&self, key: &Key) -> Result<Answer, Problem> {
        let found = self.machine(key, "ID").await?;
        self.call.ask(Method::Delete, found.path(), SCVMM, None).await?;
        Ok(done())
    }

    /// Begins the end of a tenant.
    pub(super) async fn delete_tenant(&self, key: &Key) -> Result<Answer, Problem> {
        let id = key.get("ID").and_then(uuid).map(|id| SubscriptionId::from_bytes(id.into_bytes())).ok_or(Problem::NotFound)?;
        if self.call.front.directory().cloud(id).is_none() {
            return Err(Problem::NotFound);
        }
        let visible = self.visible().await?;
        let place = visible.iter().find(|place| place.is_operator || place.id == id).ok_or(Problem::NotFound)?;
        self.call.ask(Method::Delete, &place.own(&format!("tenants/{id}")), super::places::OWN, None).await?;
        Ok(done())
    }
}

fn set(object: &mut Json, name: &str, value: Json) {
    if let Json::Object(members) = object {
        members.insert(name.to_owned(), value);
    }
}

/// All tags of a machine, one of them another.
fn tags(document: &Json, tag: Option<&str>) -> Json {
    let mut tags = document.pointer("/properties/privateCloud/tags").cloned().unwrap_or_else(|| json!({}));
    if let Json::Object(members) = &mut tags {
        members.remove(TAG);
        members.extend(tag.map(|tag| (TAG.to_owned(), tag.into())));
    }
    tags
}

/// Whatever has a value has to be among these; an id of zeros is none.
pub(super) fn require_settable(given: &Changes, settable: &[&str]) -> Result<(), Problem> {
    let is_none = |value: &Value| value.is_null() || uuid(value).is_some_and(|id| id.is_nil());
    let mut names = given.columns().map(|column| column.property.name);
    match names.find(|name| !settable.contains(name) && given.get(name).is_some_and(|value| !is_none(value))) {
        Some(name) => Err(Problem::ReadOnly { name }),
        None => Ok(()),
    }
}

/// A name is a segment of a path before the fabric sees it.
fn check_name(name: &str) -> Result<(), Problem> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let is_dots = name.bytes().all(|byte| byte == b'.');
    if is_plain && !is_dots && name.len() <= NAME_CHARS_MAX {
        return Ok(());
    }
    Err(Problem::value("Name", format!("is not 1 to {NAME_CHARS_MAX} letters, digits, `-`, `_` and `.`")))
}

pub(super) fn required(given: &Changes, name: &'static str) -> Result<Uuid, Problem> {
    guid(given, name).ok_or_else(|| Problem::value(name, "is missing"))
}

fn guid(given: &Changes, name: &str) -> Option<Uuid> {
    given.get(name).and_then(uuid).filter(|id| !id.is_nil())
}

pub(super) fn text<'g>(given: &'g Changes, name: &str) -> Option<&'g str> {
    given.get(name).and_then(Value::as_str)
}

pub(super) fn number(given: &Changes, name: &str) -> Option<i64> {
    given.get(name).and_then(Value::as_int)
}
