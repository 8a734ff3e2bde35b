//! Public onboarding templates, when a folder with them lies beside the repository: each must expand without a change.
//!
//! `../shared/data/lighthouse-samples` holds templates as `x.json` with their parameters as `x.parameters.json`. Without that folder this
//! suite says so and checks nothing; `tests/template.rs` has templates of our own with the same constructs.

#![expect(clippy::print_stdout, reason = "a person has to see that the folder is absent")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers outside of test functions, in a test of its own")]

use std::path::{Path, PathBuf};

use serde_json::Value;
use steward::template::{DeploymentScope, Expanded, SubscriptionFacts, Template, parse_parameters};

const SUBSCRIPTION: &str = "11111111-0000-4000-8000-000000000001";
const ASSIGNMENTS: &str = "Microsoft.ManagedServices/registrationAssignments";
const DEFINITIONS: &str = "Microsoft.ManagedServices/registrationDefinitions";

fn scope() -> DeploymentScope {
    DeploymentScope {
        tenant_id: "22222222-0000-4000-8000-000000000002".to_owned(),
        subscription: Some(SubscriptionFacts { id: SUBSCRIPTION.to_owned(), display_name: "Customer".to_owned() }),
        deployment: "onboarding".to_owned(),
        location: "westeurope".to_owned(),
        ..DeploymentScope::default()
    }
}

fn json_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            json_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
}

fn expand(path: &Path) -> Expanded {
    let text = std::fs::read_to_string(path).unwrap();
    let parameters = path.with_extension("parameters.json");
    let parameters = std::fs::read_to_string(parameters).map_or(Value::Null, |text| parse_parameters(&text).unwrap());
    let template = Template::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let expanded = template.expand(&parameters, &scope(), jiff::Timestamp::UNIX_EPOCH);
    expanded.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What holds for every onboarding template: an assignment comes after the definition it names.
fn check_onboarding(path: &Path, expanded: &Expanded) {
    for (at, assignment) in expanded.resources.iter().enumerate().filter(|(_, resource)| resource.resource_type == ASSIGNMENTS) {
        let wanted = assignment.body.pointer("/properties/registrationDefinitionId").and_then(Value::as_str).unwrap();
        let definition = expanded.resources.iter().position(|resource| resource.id.eq_ignore_ascii_case(wanted));
        assert!(definition.is_some_and(|definition| definition < at), "{}: {wanted}", path.display());
    }
    for definition in expanded.resources.iter().filter(|resource| resource.resource_type == DEFINITIONS) {
        assert_eq!(definition.scope, format!("/subscriptions/{SUBSCRIPTION}"));
        assert!(definition.body.pointer("/properties/authorizations").is_some_and(Value::is_array), "{}", path.display());
        assert!(definition.body.get("dependsOn").is_none());
    }
}

#[test]
fn public_templates_expand_unchanged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/lighthouse-samples");
    if !folder.is_dir() {
        println!("not checked: no public templates at ../shared/data/lighthouse-samples beside the repository");
        return;
    }
    let mut files = Vec::new();
    json_files(&folder, &mut files);
    files.retain(|path| !path.to_string_lossy().ends_with(".parameters.json") && *path != folder.join("index.json"));
    files.sort();
    let mut approvers = 0;
    for path in &files {
        let expanded = expand(path);
        println!("{}: {}", path.display(), expanded.resources.iter().map(|r| r.id.as_str()).collect::<Vec<_>>().join(" "));
        check_onboarding(path, &expanded);
        let eligible = |name: &str| expanded.resources.iter().any(|resource| resource.body.pointer(name).is_some());
        approvers += usize::from(eligible("/properties/eligibleAuthorizations/0/justInTimeAccessPolicy/managedByTenantApprovers"));
    }
    println!("{} public templates expanded", files.len());
    assert!(!files.is_empty());
    assert!(approvers > 0 || files.len() < 4, "the sample with approvers keeps them");
}
