//! The service that the tests of this folder are about.

use super::entity::Entity;
use super::model::{EdmKind, EntitySet, EntityType, Model, Property};
use super::value::{Value, parse_guid, parse_time};

pub(super) const ID: &str = "0a000000-0000-0000-0000-000000000001";
pub(super) const OTHER_ID: &str = "0a000000-0000-0000-0000-000000000002";
pub(super) const STAMP: &str = "0b000000-0000-0000-0000-000000000001";

pub(super) static MACHINE: EntityType = EntityType {
    name: "Machine",
    key: &[Property::required("ID", EdmKind::Guid), Property::required("StampId", EdmKind::Guid)],
    properties: &[
        Property::required("Name", EdmKind::String),
        Property::optional("Cores", EdmKind::Int32),
        Property::optional("Disk", EdmKind::Int64),
        Property::required("Running", EdmKind::Boolean),
        Property::optional("Created", EdmKind::DateTime),
        Property::optional("Owner", EdmKind::String),
    ],
};

static EVENT: EntityType = EntityType {
    name: "Event",
    key: &[Property::required("Number", EdmKind::Int64)],
    properties: &[Property::optional("Text", EdmKind::String)],
};

static LABEL: EntityType = EntityType { name: "Label", key: &[Property::required("Name", EdmKind::String)], properties: &[] };

static STAMP_TYPE: EntityType = EntityType { name: "Stamp", key: &[Property::required("ID", EdmKind::Guid)], properties: &[] };

pub(super) static MODEL: Model = Model {
    namespace: "Test",
    container: "TestContainer",
    sets: &[
        EntitySet { name: "Machines", entity_type: &MACHINE },
        EntitySet { name: "Events", entity_type: &EVENT },
        EntitySet { name: "Labels", entity_type: &LABEL },
        EntitySet { name: "Stamps", entity_type: &STAMP_TYPE },
        EntitySet { name: "OldMachines", entity_type: &MACHINE },
    ],
};

pub(super) fn machine() -> Entity {
    Entity::new(
        &MACHINE,
        [
            ("ID", parse_guid(ID).into()),
            ("StampId", parse_guid(STAMP).into()),
            ("Name", "It's web-1".into()),
            ("Cores", 4.into()),
            ("Disk", (1_i64 << 40).into()),
            ("Running", true.into()),
            ("Created", parse_time("2026-11-21T08:00:00.2506", false).into()),
        ],
    )
    .unwrap()
}

/// Machines 1 to `count`, whose names go round in the letters a to c and whose owners are absent from every second.
pub(super) fn machines(count: u8) -> impl Iterator<Item = Entity> {
    (1..=count).map(|number| {
        let name = ["c", "a", "b"][usize::from(number % 3)];
        let owner = (number % 2 == 0).then_some("anna");
        let id = [[0; 15].as_slice(), &[number]].concat();
        Entity::new(
            &MACHINE,
            [
                ("ID", Value::guid(id.try_into().unwrap())),
                ("StampId", parse_guid(STAMP).into()),
                ("Name", name.into()),
                ("Cores", number.into()),
                ("Owner", owner.into()),
            ],
        )
        .unwrap()
    })
}
