//! Entities, made from documents of the management plane.

use serde_json::Value as Json;
use uuid::Uuid;

use crate::odata::{Entity, EntityType, ODataError, Value};
use crate::spf::model::LIST_SEPARATOR;

/// A document, looked into by JSON pointers. What is not there is null.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doc<'a>(pub(super) &'a Json);

/// Makes the entities of a document.
pub(super) type Show = fn(&'static EntityType, Doc<'_>) -> Shown;
/// The entities of a document.
pub(super) type Shown = Result<Vec<Entity>, ODataError>;

impl<'a> Doc<'a> {
    pub(super) fn str(self, pointer: &str) -> Option<&'a str> {
        self.0.pointer(pointer)?.as_str()
    }

    pub(super) fn uuid(self, pointer: &str) -> Option<Uuid> {
        Uuid::try_parse(self.str(pointer)?).ok()
    }

    pub(super) fn items(self, pointer: &str) -> impl Iterator<Item = Doc<'a>> + use<'a> {
        self.0.pointer(pointer).and_then(Json::as_array).into_iter().flatten().map(Doc)
    }

    /// The ids of a list.
    pub(super) fn uuids(self, pointer: &str) -> Vec<Uuid> {
        self.items(pointer).filter_map(|item| item.uuid("")).collect()
    }

    fn text(self, pointer: &str) -> Value {
        self.str(pointer).into()
    }

    pub(super) fn guid(self, pointer: &str) -> Value {
        self.uuid(pointer).into()
    }

    fn number(self, pointer: &str) -> Value {
        self.0.pointer(pointer).and_then(Json::as_i64).into()
    }

    fn time(self, pointer: &str) -> Value {
        self.str(pointer).and_then(|text| text.parse::<jiff::Timestamp>().ok()).into()
    }

    fn texts(self, pointer: &str, inside: &str) -> Value {
        joined(self.items(pointer).filter_map(|item| item.str(inside)))
    }
}

/// A list as one text.
pub(super) fn joined<T: ToString>(items: impl Iterator<Item = T>) -> Value {
    let items: Vec<String> = items.map(|item| item.to_string()).collect();
    items.join(LIST_SEPARATOR).into()
}

fn one(entity: Result<Entity, ODataError>) -> Shown {
    entity.map(|entity| vec![entity])
}

pub(super) fn tenant(of: &'static EntityType, doc: Doc<'_>) -> Shown {
    one(Entity::new(
        of,
        [
            ("ID", doc.guid("/properties/subscriptionId")),
            ("Name", doc.text("/properties/name")),
            ("AccountId", doc.guid("/properties/accountId")),
            ("AccountName", doc.text("/properties/accountName")),
            ("CoAdministrators", doc.texts("/properties/coAdministrators", "/identity")),
            ("CreatedOn", doc.time("/properties/createdAt")),
            ("IssuerName", doc.texts("/properties/issuers", "")),
            ("PlanKey", doc.text("/properties/plan/key")),
            ("State", doc.text("/properties/state")),
        ],
    ))
}

/// Those of a tenant.
pub(super) fn trusted_issuers(of: &'static EntityType, doc: Doc<'_>) -> Shown {
    let issuer = |issuer: Doc<'_>| {
        let name = issuer.text("");
        Entity::new(of, [("Name", name.clone()), ("TenantId", doc.guid("/properties/subscriptionId")), ("IssuerName", name)])
    };
    doc.items("/properties/issuers").map(issuer).collect()
}

pub(super) fn stamp(of: &'static EntityType, doc: Doc<'_>) -> Shown {
    one(Entity::new(
        of,
        [
            ("ID", doc.guid("/properties/id")),
            ("Name", doc.text("/properties/name")),
            ("ServerId", doc.guid("/properties/server/id")),
            ("ServerName", doc.text("/properties/server/name")),
        ],
    ))
}

/// The server of a stamp, as the administration service shows it.
pub(super) fn server(of: &'static EntityType, doc: Doc<'_>) -> Shown {
    one(Entity::new(
        of,
        [
            ("ID", doc.guid("/properties/server/id")),
            ("Name", doc.text("/properties/server/name")),
            ("ServerType", "VMM".into()),
            ("StampId", doc.guid("/properties/id")),
            ("Version", doc.text("/properties/server/version")),
        ],
    ))
}

/// The server of a stamp, as the service of the fabric shows it.
pub(super) fn vmm_server(of: &'static EntityType, doc: Doc<'_>) -> Shown {
    one(Entity::new(
        of,
        [
            ("ID", doc.guid("/properties/server/id")),
            ("StampId", doc.guid("/properties/id")),
            ("Name", doc.text("/properties/server/name")),
            ("ServerVersion", doc.text("/properties/server/version")),
        ],
    ))
}

pub(super) fn cloud(of: &'static EntityType, doc: Doc<'_>) -> Shown {
    one(Entity::new(
        of,
        [
            ("ID", doc.guid("/properties/uuid")),
            ("StampId", doc.guid("/properties/stampId")),
            ("Name", doc.text("/name")),
            ("HostIds", doc.texts("/properties/hostIds", "")),
            ("LogicalNetworkIds", doc.texts("/properties/networkIds", "")),
        ],
    ))
}

pub(super) fn network(of: &'static EntityType, doc: Doc<'_>) -> Shown {
    one(Entity::new(of, [("ID", doc.guid("/properties/uuid")), ("StampId", doc.guid("/properties/stampId")), ("Name", doc.text("/name"))]))
}

pub(super) fn template(of: &'static EntityType, doc: Doc<'_>) -> Shown {
    one(Entity::new(
        of,
        [
            ("ID", doc.guid("/properties/uuid")),
            ("StampId", doc.guid("/properties/stampId")),
            ("Name", doc.text("/name")),
            ("CPUCount", doc.number("/properties/cpuCount")),
            ("Memory", doc.number("/properties/memoryMB")),
            ("OperatingSystem", doc.text("/properties/osName")),
            ("TotalDiskSizeGB", doc.number("/properties/disks/0/diskSizeGB")),
        ],
    ))
}

pub(super) fn host(of: &'static EntityType, doc: Doc<'_>) -> Shown {
    let is_on = doc.str("/properties/power").map(|power| power == "on");
    one(Entity::new(
        of,
        [
            ("ID", doc.guid("/properties/id")),
            ("StampId", doc.guid("/properties/stamp")),
            ("Name", doc.text("/properties/name")),
            ("ComputerState", is_on.map(|is_on| if is_on { "Responding" } else { "NotResponding" }).into()),
            ("PowerOn", is_on.into()),
        ],
    ))
}

pub(super) fn machine(of: &'static EntityType, doc: Doc<'_>) -> Shown {
    one(entity_of_machine(of, doc))
}

pub(super) fn entity_of_machine(of: &'static EntityType, doc: Doc<'_>) -> Result<Entity, ODataError> {
    let status = doc.str("/properties/privateCloud/status");
    // What Virtual Machine Manager calls it, where that differs.
    let state = status.map(|status| if status == "Stopped" { "PowerOff" } else { status });
    let description = doc.str("/properties/privateCloud/description").filter(|text| !text.is_empty());
    Entity::new(
        of,
        [
            ("ID", doc.guid("/properties/privateCloud/id")),
            ("StampId", doc.guid("/properties/privateCloud/stampId")),
            ("Name", doc.text("/properties/infrastructureProfile/vmName")),
            ("CloudId", doc.guid("/properties/privateCloud/cloudId")),
            ("CPUCount", doc.number("/properties/hardwareProfile/cpuCount")),
            ("CreationTime", doc.time("/properties/privateCloud/createdAt")),
            ("Description", description.into()),
            ("LogicalNetworkId", doc.guid("/properties/privateCloud/networkId")),
            ("Memory", doc.number("/properties/hardwareProfile/memoryMB")),
            ("ModifiedTime", doc.time("/properties/privateCloud/modifiedAt")),
            ("MostRecentTaskId", doc.guid("/properties/privateCloud/jobId")),
            ("Owner", doc.text("/properties/privateCloud/owner")),
            ("RequestedByUserRoleID", doc.guid("/properties/privateCloud/requestedBy")),
            ("Status", state.into()),
            ("StatusString", status.into()),
            ("Tag", doc.text("/properties/privateCloud/tags/Tag")),
            ("TotalDiskSizeGB", doc.number("/properties/privateCloud/storageGb")),
            ("UserRoleID", doc.guid("/properties/privateCloud/userRole")),
            ("VirtualMachineState", state.into()),
            ("VMHostId", doc.guid("/properties/privateCloud/host")),
            ("VMTemplateId", doc.guid("/properties/privateCloud/templateId")),
        ],
    )
}

/// Those of a machine.
pub(super) fn checkpoints(of: &'static EntityType, doc: Doc<'_>) -> Shown {
    let checkpoint = |one: Doc<'_>| {
        let description = one.str("/description").filter(|text| !text.is_empty());
        Entity::new(
            of,
            [
                ("ID", one.guid("/checkpointID")),
                ("StampId", doc.guid("/properties/privateCloud/stampId")),
                ("VMId", doc.guid("/properties/privateCloud/id")),
                ("Name", one.text("/name")),
                ("AddedTime", one.time("/createdAt")),
                ("Description", description.into()),
            ],
        )
    };
    doc.items("/properties/infrastructureProfile/checkpoints").map(checkpoint).collect()
}

pub(super) fn job(of: &'static EntityType, doc: Doc<'_>) -> Shown {
    let status = doc.str("/properties/status");
    let steps = doc.items("/properties/steps").filter_map(|step| Some(format!("{}: {}", step.str("/name")?, step.str("/status")?)));
    one(Entity::new(
        of,
        [
            ("ID", doc.guid("/name")),
            ("StampId", doc.guid("/properties/stampId")),
            ("Name", doc.text("/properties/name")),
            ("EndTime", doc.time("/properties/endedAt")),
            ("ErrorCode", doc.text("/properties/error/code")),
            ("ErrorMessage", doc.text("/properties/error/message")),
            ("IsCompleted", status.map(|status| status != "Running").into()),
            ("OnBehalfOfUser", doc.text("/properties/onBehalfOfUser")),
            ("OnBehalfOfUserRole", doc.guid("/properties/onBehalfOfUserRole")),
            ("Owner", doc.text("/properties/requestedByName")),
            ("ProgressValue", doc.number("/properties/progress")),
            ("RecommendedAction", doc.text("/properties/error/recommendedAction")),
            ("ResultName", doc.text("/properties/vmName")),
            ("ResultObjectID", doc.guid("/properties/vmId")),
            ("StartTime", doc.time("/properties/startedAt")),
            ("Status", status.into()),
            ("StatusString", status.into()),
            ("Steps", joined(steps)),
        ],
    ))
}

pub(super) fn usage_record(of: &'static EntityType, doc: Doc<'_>) -> Shown {
    one(Entity::new(
        of,
        [
            ("EventId", doc.str("/name").and_then(|name| name.parse::<i64>().ok()).into()),
            ("EndTime", doc.time("/properties/until")),
            ("Quantity", doc.number("/properties/quantity")),
            ("Resource", doc.text("/properties/resource")),
            ("ResourceId", doc.guid("/properties/virtualMachineId")),
            ("ResourceName", doc.text("/properties/virtualMachine")),
            ("StartTime", doc.time("/properties/from")),
            ("SubscriptionId", doc.guid("/properties/subscriptionId")),
        ],
    ))
}
