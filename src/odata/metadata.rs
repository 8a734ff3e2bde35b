//! `$metadata`: the model as EDMX, which client libraries make their types from. Source: MC-EDMX 1.0, MC-CSDL 2.0.

use std::fmt::Write as _;

use super::model::{EntityType, Model, Property};
use super::write::METADATA_NAMESPACE;

/// The media type of what [`xml`] writes.
pub const CONTENT_TYPE: &str = "application/xml;charset=utf-8";

/// The model as EDMX. It says version 2.0, because there is nothing in it that a client of version 2 could not read.
#[must_use]
pub fn xml(model: &Model) -> String {
    let mut text = format!(
        r#"<?xml version="1.0" encoding="utf-8"?><edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices m:DataServiceVersion="2.0" m:MaxDataServiceVersion="3.0" xmlns:m="{METADATA_NAMESPACE}"><Schema Namespace="{}" xmlns="http://schemas.microsoft.com/ado/2008/09/edm">"#,
        model.namespace
    );
    for entity_type in model.types() {
        push_type(&mut text, entity_type);
    }
    let sets = model
        .sets
        .iter()
        .map(|set| format!(r#"<EntitySet Name="{}" EntityType="{}.{}"/>"#, set.name, model.namespace, set.entity_type.name));
    let sets: String = sets.collect();
    push(
        &mut text,
        format_args!(
            r#"<EntityContainer Name="{}" m:IsDefaultEntityContainer="true">{sets}</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"#,
            model.container
        ),
    );
    text
}

fn push_type(text: &mut String, entity_type: &EntityType) {
    push(text, format_args!(r#"<EntityType Name="{}"><Key>"#, entity_type.name));
    for property in entity_type.key {
        push(text, format_args!(r#"<PropertyRef Name="{}"/>"#, property.name));
    }
    text.push_str("</Key>");
    for column in entity_type.columns() {
        let Property { name, kind, nullable } = column.property;
        push(text, format_args!(r#"<Property Name="{name}" Type="{}" Nullable="{nullable}"/>"#, kind.name()));
    }
    text.push_str("</EntityType>");
}

fn push(text: &mut String, written: std::fmt::Arguments<'_>) {
    // Writing into a text does not fail.
    text.write_fmt(written).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use quick_xml::events::Event;

    use super::super::testing::MODEL;
    use super::*;

    #[test]
    fn metadata_names_each_type_once_and_each_set() {
        let text = xml(&MODEL);
        let count = |part: &str| text.matches(part).count();
        assert_eq!(count(r#"<EntityType Name="Machine"><Key><PropertyRef Name="ID"/><PropertyRef Name="StampId"/></Key>"#), 1);
        assert_eq!(count("<EntityType "), 4);
        assert_eq!(count(r#" EntityType="Test.Machine"/>"#), 2);
        assert_eq!(count(r#"<Property Name="Created" Type="Edm.DateTime" Nullable="true"/>"#), 1);
        assert_eq!(count(r#"m:DataServiceVersion="2.0""#), 1);
    }

    #[test]
    fn metadata_is_xml() {
        let text = xml(&MODEL);
        let mut reader = quick_xml::Reader::from_str(&text);
        let mut elements = 0;
        loop {
            let event = reader.read_event().unwrap();
            if matches!(event, Event::Eof) {
                break;
            }
            elements += i32::from(matches!(event, Event::Start(_) | Event::Empty(_)));
        }
        assert_eq!(elements, 3 + 4 * 2 + 5 + 12 + 1 + 5);
    }
}
