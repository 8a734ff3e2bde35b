//! OData: paths, queries and bodies.
//!
//! The lines are: a path behind the name of its service, a query, a media type, and then the body.

use steward::odata::query::{self, Page, Query};
use steward::odata::{
    Changes, EdmKind, Entity, EntitySet, EntityType, Filter, Format, Metadata, Model, ODataError, Resource, Writer, body, check_version,
    effective_method, path, write,
};
use steward::spf::model::{ADMIN, USAGE, VMM};

/// Entities that a query is asked of, and how many stand on a page.
const ENTITIES: u8 = 7;
const PAGE_MAX: usize = 3;

pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.splitn(4, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (target, asked, media_type, sent) = (next(), next(), next(), next());
    let (service, target) = target.split_once('/').unwrap_or((target, ""));
    let model = match service {
        "Admin" => &ADMIN,
        "Usage" => &USAGE,
        _ => &VMM,
    };
    let (_version, _method) = (check_version(asked).is_ok(), effective_method("POST", Some(asked)).is_ok());
    let Ok(resource) = path::parse(model, target) else { return };
    check_path(model, &resource);
    if let Ok(read) = query::parse(&resource, asked)
        && let Some(set) = resource.set()
    {
        check_query(&resource, set, &read);
    }
    if let Some(set) = resource.set()
        && let Ok(changes) = body::read(set.entity_type, Some(media_type), sent.as_bytes())
    {
        check_body(model, set, &changes);
    }
}

/// The address of an entity leads to it again.
fn check_path(model: &Model, resource: &Resource) {
    let Resource::Entity(set, key) = resource else { return };
    assert_eq!(key.values().len(), set.entity_type.key.len());
    assert!(key.values().iter().all(|value| !value.is_null()), "{key}");
    let entity = Changes::clone(&given(set.entity_type, 1)).create();
    let url = write::entity_url("", set, &entity);
    assert_eq!(path::parse(model, &url), Ok(Resource::Entity(model.set(set.name).expect("a set"), entity.key())), "{url}");
}

fn check_query(resource: &Resource, set: &'static EntitySet, read: &Query) {
    let entities: Vec<Entity> = (0..ENTITIES).map(|number| given(set.entity_type, number).create()).collect();
    if let Some(filter) = &read.filter {
        check_filter(set.entity_type, filter, &entities);
    }
    if !matches!(resource, Resource::Set(_)) {
        return;
    }
    let all = read.page(set, entities.iter().cloned(), usize::MAX, usize::MAX);
    assert!(all.next.is_none());
    let (mut paged, mut page) = (Vec::new(), read.page(set, entities.iter().cloned(), PAGE_MAX, usize::MAX));
    for _ in 0..=ENTITIES {
        check_page(set, &page);
        assert_eq!(page.count, all.count);
        paged.append(&mut page.entities);
        let Some(next) = &page.next else { break };
        match query::parse(resource, next) {
            Ok(next) => page = next.page(set, entities.iter().cloned(), PAGE_MAX, usize::MAX),
            // A link that we wrote ourselves may be too long, and may be nothing else.
            Err(error) => return assert!(matches!(error, ODataError::QueryTooLong { .. }), "{next}: {error}"),
        }
    }
    assert_eq!(paged, all.entities, "the pages are not the whole");
    if read.custom("$skiptoken").is_none() {
        assert_eq!(read.count(entities.iter().cloned()), all.entities.len() as u64);
    }
}

fn check_page(set: &'static EntitySet, page: &Page) {
    assert!(page.entities.len() <= PAGE_MAX);
    for format in [Format::Atom, Format::JsonVerbose, Format::JsonLight(Metadata::Full)] {
        let writer = Writer { model: &VMM, root: "https://localhost/root", format, updated: jiff::Timestamp::UNIX_EPOCH };
        let written = writer.feed(set, &Default::default(), page);
        assert!(matches!(format, Format::Atom) || serde_json::from_str::<serde_json::Value>(&written.text).is_ok(), "{}", written.text);
    }
}

fn check_filter(entity_type: &'static EntityType, filter: &Filter, entities: &[Entity]) {
    let text = filter.to_string();
    match Filter::parse(entity_type, &text) {
        Ok(again) => assert_eq!(&again, filter, "{text}"),
        // It is written with more parentheses than it came with.
        Err(error) => assert!(matches!(error, ODataError::FilterTooComplicated | ODataError::LiteralTooLong), "{text}: {error}"),
    }
    let not = Filter::parse(entity_type, &format!("not ({text})")).ok();
    let twice = Filter::parse(entity_type, &format!("({text}) and ({text})")).ok();
    for entity in entities {
        let holds = filter.holds(entity);
        assert!(!holds || not.as_ref().is_none_or(|not| !not.holds(entity)), "{text} and its contrary hold");
        assert!(twice.as_ref().is_none_or(|twice| twice.holds(entity) == holds), "{text} twice is something else");
        for column in entity_type.columns() {
            let required = filter.required_equal(column.property.name);
            // An index is asked for this value: an entity with another would be left out.
            let is_left_out = required.is_some_and(|value| entity.at(column).to_string() != value.to_string());
            assert!(!holds || !is_left_out, "{text} holds for an entity whose {} is not {required:?}", column.property.name);
        }
    }
}

/// What was read can be written and read again.
fn check_body(model: &'static Model, set: &'static EntitySet, changes: &Changes) {
    let entity = changes.create();
    for column in changes.columns() {
        assert_eq!(changes.get(column.property.name), Some(entity.at(column)), "{}", column.property.name);
    }
    let texts = || set.entity_type.columns().filter_map(|column| entity.at(column).as_str());
    // What no XML can hold is written as something else.
    let fits_xml = texts().all(|text| text.chars().all(|c| !c.is_control() && c != '\u{fffe}' && c != '\u{ffff}'));
    for format in [Format::JsonVerbose, Format::JsonLight(Metadata::None), Format::Atom] {
        if matches!(format, Format::Atom) && !fits_xml {
            continue;
        }
        let writer = Writer { model, root: "https://localhost/root", format, updated: jiff::Timestamp::UNIX_EPOCH };
        let written = writer.entry(set, &Default::default(), &entity);
        let read = body::read(set.entity_type, Some(written.content_type), written.text.as_bytes());
        let again = read.unwrap_or_else(|error| panic!("{}: {error}", written.text)).create();
        assert_eq!(again, entity, "{}", written.text);
    }
}

/// An entity whose values differ from those of others in some, are alike in some, and are absent in some.
fn given(entity_type: &'static EntityType, number: u8) -> Changes {
    let values = entity_type.columns().enumerate().filter_map(|(place, column)| {
        let is_key = entity_type.key_columns().any(|key| key == column);
        if !is_key && column.property.nullable && (usize::from(number) + place) % 4 == 0 {
            return None;
        }
        let few = usize::from(number) % (place % 3 + 2);
        let value = match column.property.kind {
            EdmKind::Boolean => serde_json::json!(few == 0),
            EdmKind::DateTime => serde_json::json!(format!("2026-11-2{few}T08:00:00Z")),
            EdmKind::Guid => serde_json::json!(format!("0a000000-0000-0000-0000-0000000000{number:02x}")),
            EdmKind::Int32 | EdmKind::Int64 => serde_json::json!(if is_key { usize::from(number) } else { few }),
            EdmKind::String => {
                serde_json::json!(if is_key { format!("n{number}") } else { ["It's web-1", "b", "B", "\u{e9}"][few % 4].to_owned() })
            }
        };
        Some((column.property.name.to_owned(), value))
    });
    let text = serde_json::Value::Object(values.collect()).to_string();
    body::read(entity_type, Some("application/json"), text.as_bytes()).expect("a body of ours")
}
