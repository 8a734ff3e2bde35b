//! `docs/config.md` against the configuration it is about: its examples are read, and its tables hold exactly the keys there are.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test ends where it cannot go on")]

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use steward::config::{self, ConfigFile};
use steward::policy::diagnostics::Style;

const PAGE: &str = include_str!("../docs/config.md");
const FLEET_PAGE: &str = include_str!("../docs/fleet.md");

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
