//! `docs/config.md` against the configuration it is about: its examples are read, and its tables hold exactly the keys there are. `docs/limits.md`
//! against the keys and the sources: what it says where a bound stands is there.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends where it cannot go on")]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use steward::config::{self, ConfigFile};
use steward::policy::diagnostics::Style;

const PAGE: &str = include_str!("../docs/config.md");
const FLEET_PAGE: &str = include_str!("../docs/fleet.md");
const LIMITS_PAGE: &str = include_str!("../docs/limits.md");

/// The TOML blocks of a page, in order.
fn examples(page: &str) -> Vec<String> {
    let blocks = page.split("```toml\n").skip(1);
    blocks.map(|rest| rest.split_once("```").map(|(block, _)| block.to_owned()).unwrap()).collect()
}

/// `section.key` of every key that the configuration has.
fn keys() -> BTreeSet<String> {
    let schema = serde_json::to_value(schemars::schema_for!(ConfigFile)).unwrap();
    let mut keys = BTreeSet::new();
    for (section, described) in schema["properties"].as_object().unwrap() {
        // A section that can be there more than once is a list.
        let one = if described["items"].is_object() { &described["items"] } else { described };
        let definition = one["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')).unwrap();
        let properties = schema.pointer(&format!("{definition}/properties")).and_then(Value::as_object).unwrap();
        keys.extend(properties.keys().map(|key| format!("{section}.{key}")));
    }
    keys
}

/// The keys that the tables of the page have a row for.
fn documented() -> BTreeSet<String> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(key, _)| key.to_owned()).collect()
}

#[test]
fn every_example_is_a_valid_configuration() {
    assert_eq!(examples(FLEET_PAGE).len(), 1);
    for example in [PAGE, FLEET_PAGE].into_iter().flat_map(examples) {
        if let Err(diagnostics) = config::parse(Path::new(""), "docs", &example) {
            panic!("{example}\n{}", diagnostics.render(Style::default()));
        }
    }
}

#[test]
fn every_key_has_a_row_and_every_row_is_a_key() {
    assert_eq!(documented(), keys());
}

#[test]
fn the_full_example_sets_every_key() {
    let full: toml::Table = examples(PAGE).last().unwrap().parse().unwrap();
    let tables = full.iter().flat_map(|(section, value)| {
        let tables = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        tables.iter().map(move |table| (section, table.as_table().unwrap()))
    });
    let set = tables.flat_map(|(section, table)| table.keys().map(move |key| format!("{section}.{key}")));
    assert_eq!(set.collect::<BTreeSet<_>>(), keys());
}

/// What stands in back-ticks where the tables of a page say `where` a bound is.
fn places(page: &str) -> Vec<&str> {
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what "));
    rows.flat_map(|row| row.split('|').nth(3).unwrap().split('`').skip(1).step_by(2)).collect()
}

/// Constants in the sources below a folder.
fn constants(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            constants(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let declared = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            let declared = declared.filter_map(|line| line.split_once("const ").or_else(|| line.split_once("static "))?.1.split_once(':'));
            found.extend(declared.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_constant_where_a_limit_stands_is_in_the_sources() {
    let mut there = BTreeSet::new();
    constants(Path::new("src"), &mut there);
    let is_constant =
        |name: &&str| name.len() > 1 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    let named: Vec<&str> = places(LIMITS_PAGE).iter().filter_map(|place| place.rsplit("::").next()).filter(is_constant).collect();
    assert!(named.len() > 200, "{named:?}");
    let gone: Vec<_> = named.iter().filter(|name| !there.contains(**name)).collect();
    assert!(gone.is_empty(), "no such constants: {gone:?}");
}

#[test]
fn every_key_where_a_limit_stands_is_one_of_the_configuration() {
    let (keys, sections) = (keys(), keys().iter().filter_map(|key| Some(key.split_once('.')?.0.to_owned())).collect::<BTreeSet<_>>());
    let is_key = |place: &&str| place.split_once('.').is_some_and(|(section, _)| sections.contains(section));
    let named: Vec<&str> = places(LIMITS_PAGE).into_iter().filter(is_key).collect();
    assert!(named.len() > 20, "{named:?}");
    let gone: Vec<_> = named.iter().filter(|name| !keys.contains(**name)).collect();
    assert!(gone.is_empty(), "no such keys: {gone:?}");
}
