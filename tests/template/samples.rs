//! Whole templates with the constructs of public onboarding templates: what each becomes is in a file that people read.
//!
//! `STEWARD_BLESS=1 cargo test --test template samples` writes these files anew.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use steward::template::{Expanded, Template, parse_parameters};

use super::{in_subscription, now};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/templates")
}

fn expand(name: &str) -> Expanded {
    let text = std::fs::read_to_string(folder().join(format!("{name}.json"))).unwrap();
    let parameters = std::fs::read_to_string(folder().join(format!("{name}.parameters.json")));
    let parameters = parameters.map_or(Value::Null, |text| parse_parameters(&text).unwrap());
    Template::parse(&text).unwrap().expand(&parameters, &in_subscription(), now()).unwrap()
}

fn printed(expanded: &Expanded) -> String {
    let resource = |resource: &steward::template::PlannedResource| {
        json!({
            "id": resource.id,
            "type": resource.resource_type,
            "name": resource.name,
            "apiVersion": resource.api_version,
            "scope": resource.scope,
            "path": resource.path,
            "dependsOn": resource.depends_on,
            "deployment": resource.deployment,
            "nested": resource.is_nested_deployment(),
            "open": resource.is_open(),
            "body": resource.body,
        })
    };
    let resources: Vec<_> = expanded.resources.iter().map(resource).collect();
    let plan = json!({ "parameters": expanded.parameters, "resources": resources, "outputs": expanded.outputs });
    format!("{}\n", serde_json::to_string_pretty(&plan).unwrap())
}

#[track_caller]
fn check(name: &str) {
    let plan = printed(&expand(name));
    let path = folder().join(format!("{name}.plan.json"));
    if std::env::var_os("STEWARD_BLESS").is_some() {
        std::fs::write(&path, &plan).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), plan, "STEWARD_BLESS=1 writes {name}.plan.json anew");
}

#[test]
fn a_subscription_is_delegated() {
    check("subscription");
}

#[test]
fn a_group_is_delegated_by_a_nested_template_with_outer_expressions() {
    check("group");
}

#[test]
fn several_groups_are_made_and_delegated_in_loops() {
    check("groups");
}

#[test]
fn compiled_modules_hand_outputs_on() {
    check("modules");
}

#[test]
fn a_policy_keeps_its_own_expressions() {
    check("policy");
}

#[test]
fn the_same_template_gives_the_same_plan() {
    for name in ["subscription", "groups", "modules"] {
        assert_eq!(printed(&expand(name)), printed(&expand(name)));
    }
}
