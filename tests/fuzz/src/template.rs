//! Deployment templates: a plan in order and within its bounds, or an error that tells no secret.
//!
//! Behind a line of three hyphens stand parameters.

use jiff::Timestamp;
use serde_json::{Value, json};
use steward::template::{
    DeploymentScope, Expanded, GroupFacts, NothingDeployed, SubscriptionFacts, Template, TemplateError, limits, parse_parameters,
    parse_request,
};

/// What the parameter `secret` is, where a template has one.
const SECRET: &str = "Qx7-never-to-be-told";

/// Bytes of an error: a path, names that are quoted and what is around them.
const ERROR_BYTES_MAX: usize = 64 * 1024;

pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (text, parameters) = text.split_once("\n---\n").unwrap_or((text, ""));
    // As a whole request, it is read by other rules.
    let _is_request = parse_request(text).is_ok();
    let template = match Template::parse(text) {
        Ok(template) => template,
        Err(error) => return check_error(&error),
    };
    let mut parameters = parse_parameters(parameters).unwrap_or(Value::Null);
    let has_secret = text.contains("\"secret\"") && !text.contains(SECRET) && !parameters.to_string().contains(SECRET);
    if has_secret {
        if !parameters.is_object() {
            parameters = json!({});
        }
        parameters["secret"] = json!({ "value": SECRET });
    }
    let now: Timestamp = "2026-11-21T06:05:04.003Z".parse().expect("a time");
    let scope = scope();
    let expand = || template.expand(&parameters, &scope, now);
    match (expand(), expand()) {
        (Ok(plan), Ok(again)) => {
            check(&plan, is_secure(text));
            assert_eq!(shown(&plan), shown(&again), "the same template, planned in two ways");
        }
        (Err(error), Err(again)) => {
            assert_eq!(error, again);
            check_error(&error);
            assert!(!is_secure(text) || !error.to_string().contains(SECRET), "{error}");
        }
        (_, _) => panic!("the same template, once planned and once not"),
    }
}

/// Whether what stands for `secret` is declared as a secret, and nowhere as anything else.
fn is_secure(text: &str) -> bool {
    let compact: String = text.split_whitespace().collect();
    compact.matches("\"secret\"").count() == 1 && compact.contains(r#""parameters":{"secret":{"type":"securestring"}}"#)
}

fn scope() -> DeploymentScope {
    let id = "11111111-0000-4000-8000-000000000001".to_owned();
    DeploymentScope {
        tenant_id: "22222222-0000-4000-8000-000000000002".to_owned(),
        tenant_name: "Contoso".to_owned(),
        subscription: Some(SubscriptionFacts { id, display_name: "Production".to_owned() }),
        resource_group: Some(GroupFacts { name: "rg-main".to_owned(), location: "northeurope".to_owned(), tags: json!({ "team": "ops" }) }),
        deployment: "main".to_owned(),
        location: "westeurope".to_owned(),
        ..DeploymentScope::default()
    }
}

fn check_error(error: &TemplateError) {
    let text = error.to_string();
    assert!(text.len() <= ERROR_BYTES_MAX, "{} bytes of an error", text.len());
}

fn check(plan: &Expanded, is_secure: bool) {
    assert!(plan.resources.len() <= limits::RESOURCES_MAX);
    assert!(plan.outputs.len() <= limits::OUTPUTS_MAX);
    let ids: Vec<String> = plan.resources.iter().map(|resource| resource.id.to_lowercase()).collect();
    for (at, resource) in plan.resources.iter().enumerate() {
        assert!(!ids[..at].contains(&ids[at]), "{} is written twice", resource.id);
        for before in &resource.depends_on {
            assert!(ids[..at].contains(&before.to_lowercase()), "{} comes before {before}", resource.id);
        }
        assert!(
            resource.scope == "/" || ids[at].starts_with(&resource.scope.to_lowercase()),
            "{} is not in {}",
            resource.id,
            resource.scope
        );
        let told = !resource.is_open() && resource.body.to_string().contains(SECRET);
        assert!(!is_secure || resource.secret || !told, "{} is not said to be secret", resource.id);
        let _needs_the_world = (resource.resolve(&NothingDeployed).is_ok(), resource.resolve_outputs(&NothingDeployed).is_ok());
    }
    assert!(!is_secure || !Value::Object(plan.parameters.clone()).to_string().contains(SECRET));
    let _needs_the_world = plan.resolve_outputs(&NothingDeployed).is_ok();
}

fn shown(plan: &Expanded) -> String {
    let resources: Vec<Value> = plan
        .resources
        .iter()
        .map(|resource| json!([resource.id, resource.api_version, resource.body, resource.depends_on, resource.path, resource.secret]))
        .collect();
    json!([resources, plan.outputs, plan.parameters]).to_string()
}
