//! The sets of the three services and the properties of what is in them.
//!
//! Names are those of Service Provider Foundation wherever it has the same thing (sources: "VMM Collections Reference" and the entity pages `[SPFSDK][VMMREF]`
//! for Windows Azure Pack; `UsageRecord` of its usage API). Two things differ, because clients of version 2 read neither collections nor, in part, complex types:
//! a list is one text, its items apart by line feeds; `Owner` and `ErrorInfo` are flat.

use crate::odata::{EdmKind, EntitySet, EntityType, Model, Property};

use EdmKind::{Boolean, DateTime, Guid, Int32, Int64, String};

/// What stands between the items of a list in one property.
pub const LIST_SEPARATOR: &str = "\n";

/// `/SC2012R2/Admin`: tenants, and what serves them.
pub static ADMIN: Model = Model {
    namespace: "SpfAdmin",
    container: "Admin",
    sets: &[
        EntitySet { name: "Tenants", entity_type: &TENANT },
        EntitySet { name: "Stamps", entity_type: &STAMP },
        EntitySet { name: "Servers", entity_type: &SERVER },
        EntitySet { name: "TrustedIssuers", entity_type: &TRUSTED_ISSUER },
    ],
};

/// `/SC2012R2/VMM`: the fabric.
pub static VMM: Model = Model {
    namespace: "VMM",
    container: "VMM",
    sets: &[
        EntitySet { name: "Clouds", entity_type: &CLOUD },
        EntitySet { name: "Jobs", entity_type: &JOB },
        EntitySet { name: "LogicalNetworks", entity_type: &LOGICAL_NETWORK },
        EntitySet { name: "Stamps", entity_type: &STAMP },
        EntitySet { name: "TenantUserRoles", entity_type: &USER_ROLE },
        EntitySet { name: "UserRoles", entity_type: &USER_ROLE },
        EntitySet { name: "VirtualMachines", entity_type: &VIRTUAL_MACHINE },
        EntitySet { name: "VMCheckpoints", entity_type: &VM_CHECKPOINT },
        EntitySet { name: "VMHosts", entity_type: &VM_HOST },
        EntitySet { name: "VMMServers", entity_type: &VMM_SERVER },
        EntitySet { name: "VMTemplates", entity_type: &VM_TEMPLATE },
    ],
};

/// `/SC2012R2/Usage`: what was used.
pub static USAGE: Model =
    Model { namespace: "SpfUsage", container: "Usage", sets: &[EntitySet { name: "UsageRecords", entity_type: &USAGE_RECORD }] };

/// The key of most things of the fabric.
const STAMPED: &[Property] = &[Property::required("ID", Guid), Property::required("StampId", Guid)];
/// The key of what is known without a stamp.
const ID: &[Property] = &[Property::required("ID", Guid)];

static TENANT: EntityType = EntityType {
    name: "Tenant",
    key: ID,
    properties: &[
        Property::required("Name", String),
        Property::optional("AccountId", Guid),
        Property::optional("AccountName", String),
        Property::optional("CoAdministrators", String),
        Property::optional("CreatedOn", DateTime),
        Property::optional("IssuerName", String),
        Property::optional("PlanKey", String),
        Property::optional("State", String),
    ],
};

static STAMP: EntityType = EntityType {
    name: "Stamp",
    key: ID,
    properties: &[Property::required("Name", String), Property::optional("ServerId", Guid), Property::optional("ServerName", String)],
};

static SERVER: EntityType = EntityType {
    name: "Server",
    key: ID,
    properties: &[
        Property::required("Name", String),
        Property::optional("ServerType", String),
        Property::optional("StampId", Guid),
        Property::optional("Version", String),
    ],
};

static TRUSTED_ISSUER: EntityType = EntityType {
    name: "TrustedIssuer",
    key: &[Property::required("Name", String), Property::required("TenantId", Guid)],
    properties: &[Property::optional("CreatedOn", DateTime), Property::optional("IssuerName", String), Property::optional("Key", String)],
};

static VMM_SERVER: EntityType = EntityType {
    name: "VMMServer",
    key: STAMPED,
    properties: &[Property::required("Name", String), Property::optional("ServerVersion", String)],
};

static CLOUD: EntityType = EntityType {
    name: "Cloud",
    key: STAMPED,
    properties: &[
        Property::required("Name", String),
        Property::optional("HostIds", String),
        Property::optional("LogicalNetworkIds", String),
    ],
};

static LOGICAL_NETWORK: EntityType = EntityType { name: "LogicalNetwork", key: STAMPED, properties: &[Property::required("Name", String)] };

static VM_TEMPLATE: EntityType = EntityType {
    name: "VMTemplate",
    key: STAMPED,
    properties: &[
        Property::required("Name", String),
        Property::optional("CPUCount", Int32),
        Property::optional("Memory", Int32),
        Property::optional("OperatingSystem", String),
        Property::optional("TotalDiskSizeGB", Int32),
    ],
};

static VM_HOST: EntityType = EntityType {
    name: "VMHost",
    key: STAMPED,
    properties: &[Property::required("Name", String), Property::optional("ComputerState", String), Property::optional("PowerOn", Boolean)],
};

/// `Operation`, `OnBehalfOfUser`, `OnBehalfOfUserRole` and `StartVM` are only ever written, and null in every answer.
static VIRTUAL_MACHINE: EntityType = EntityType {
    name: "VirtualMachine",
    key: STAMPED,
    properties: &[
        Property::required("Name", String),
        Property::optional("CloudId", Guid),
        Property::optional("CPUCount", Int32),
        Property::optional("CreationTime", DateTime),
        Property::optional("Description", String),
        Property::optional("LogicalNetworkId", Guid),
        Property::optional("Memory", Int32),
        Property::optional("ModifiedTime", DateTime),
        Property::optional("MostRecentTaskId", Guid),
        Property::optional("OnBehalfOfUser", String),
        Property::optional("OnBehalfOfUserRole", Guid),
        Property::optional("Operation", String),
        Property::optional("Owner", String),
        Property::optional("RequestedByUserRoleID", Guid),
        Property::optional("StartVM", Boolean),
        Property::optional("Status", String),
        Property::optional("StatusString", String),
        Property::optional("Tag", String),
        Property::optional("TotalDiskSizeGB", Int32),
        Property::optional("UserRoleID", Guid),
        Property::optional("VirtualMachineState", String),
        Property::optional("VMHostId", Guid),
        Property::optional("VMTemplateId", Guid),
    ],
};

static VM_CHECKPOINT: EntityType = EntityType {
    name: "VMCheckpoint",
    key: &[Property::required("ID", Guid), Property::required("StampId", Guid), Property::required("VMId", Guid)],
    properties: &[
        Property::required("Name", String),
        Property::optional("AddedTime", DateTime),
        Property::optional("Description", String),
        Property::optional("Operation", String),
    ],
};

static USER_ROLE: EntityType = EntityType {
    name: "UserRole",
    key: STAMPED,
    properties: &[
        Property::required("Name", String),
        Property::optional("CloudIds", String),
        Property::optional("LogicalNetworkIds", String),
        Property::optional("Members", String),
        Property::optional("ParentUserRoleId", Guid),
        Property::optional("Permission", String),
        Property::optional("QuotaCPUCount", Int32),
        Property::optional("QuotaMemoryMB", Int64),
        Property::optional("QuotaStorageGB", Int64),
        Property::optional("QuotaVMCount", Int32),
        Property::optional("UserRoleProfile", String),
        Property::optional("VMTemplateIds", String),
    ],
};

static JOB: EntityType = EntityType {
    name: "Job",
    key: STAMPED,
    properties: &[
        Property::required("Name", String),
        Property::optional("EndTime", DateTime),
        Property::optional("ErrorCode", String),
        Property::optional("ErrorMessage", String),
        Property::optional("IsCompleted", Boolean),
        Property::optional("OnBehalfOfUser", String),
        Property::optional("OnBehalfOfUserRole", Guid),
        Property::optional("Owner", String),
        Property::optional("ProgressValue", Int32),
        Property::optional("RecommendedAction", String),
        Property::optional("ResultName", String),
        Property::optional("ResultObjectID", Guid),
        Property::optional("StartTime", DateTime),
        Property::optional("Status", String),
        Property::optional("StatusString", String),
        Property::optional("Steps", String),
    ],
};

static USAGE_RECORD: EntityType = EntityType {
    name: "UsageRecord",
    key: &[Property::required("EventId", Int64)],
    properties: &[
        Property::required("EndTime", DateTime),
        Property::required("Quantity", Int64),
        Property::required("Resource", String),
        Property::required("ResourceId", Guid),
        Property::required("ResourceName", String),
        Property::required("StartTime", DateTime),
        Property::required("SubscriptionId", Guid),
    ],
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::odata::{Resource, path};

    #[test]
    fn every_name_of_a_service_is_of_one_thing() {
        for model in [&ADMIN, &USAGE, &VMM] {
            let sets: HashSet<_> = model.sets.iter().map(|set| set.name.to_lowercase()).collect();
            assert_eq!(sets.len(), model.sets.len(), "{}", model.container);
            for set in model.sets {
                let names: HashSet<_> = set.entity_type.columns().map(|column| column.property.name.to_lowercase()).collect();
                assert_eq!(names.len(), set.entity_type.columns().count(), "{}", set.name);
                assert!(
                    set.entity_type.key_columns().count() > 0 && set.entity_type.key_columns().all(|column| !column.property.nullable),
                    "{}",
                    set.name
                );
                let same_name = model.sets.iter().filter(|other| other.entity_type.name == set.entity_type.name);
                assert!(same_name.into_iter().all(|other| other.entity_type == set.entity_type), "{}", set.name);
            }
        }
    }

    #[test]
    fn a_tenant_and_its_role_are_found_by_one_id() {
        let id = "0a000000-0000-0000-0000-000000000001";
        let key = |model: &Model, path: &str| match path::parse(model, path) {
            Ok(Resource::Entity(_, key)) => key.get("ID").cloned(),
            other => panic!("{path}: {other:?}"),
        };
        let tenant = key(&ADMIN, &format!("/Tenants(guid'{id}')"));
        let role = key(&VMM, &format!("/UserRoles(ID=guid'{id}',StampId=guid'0b000000-0000-0000-0000-000000000001')"));
        assert!(tenant.is_some());
        assert_eq!(tenant, role);
    }
}
