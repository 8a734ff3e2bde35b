//! Deployment templates, as whoever plans or carries one out sees them.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers outside of test functions, in a test of its own")]
#![expect(clippy::needless_pass_by_value, reason = "pieces of templates are written where they are used")]

#[path = "template/bounds.rs"]
mod bounds;

#[path = "template/expansion.rs"]
mod expansion;

#[path = "template/functions.rs"]
mod functions;

#[path = "template/open.rs"]
mod open;

#[path = "template/parameters.rs"]
mod parameters;

#[path = "template/refusals.rs"]
mod refusals;

#[path = "template/samples.rs"]
mod samples;

use serde_json::{Value, json};
use steward::template::{DeploymentScope, Expanded, GroupFacts, SubscriptionFacts, Template, TemplateError};

const SUBSCRIPTION: &str = "11111111-0000-4000-8000-000000000001";
const OTHER_SUBSCRIPTION: &str = "33333333-0000-4000-8000-000000000003";
const TENANT: &str = "22222222-0000-4000-8000-000000000002";

fn now() -> jiff::Timestamp {
    "2026-11-21T06:05:04.003Z".parse().unwrap()
}

/// A deployment in a subscription.
fn in_subscription() -> DeploymentScope {
    DeploymentScope {
        tenant_id: TENANT.to_owned(),
        tenant_name: "Contoso".to_owned(),
        subscription: Some(SubscriptionFacts { id: SUBSCRIPTION.to_owned(), display_name: "Production".to_owned() }),
        deployment: "main".to_owned(),
        location: "westeurope".to_owned(),
        ..DeploymentScope::default()
    }
}

/// A deployment in a resource group.
fn in_group() -> DeploymentScope {
    let group = GroupFacts { name: "rg-main".to_owned(), location: "northeurope".to_owned(), tags: json!({ "team": "ops" }) };
    DeploymentScope { resource_group: Some(group), ..in_subscription() }
}

fn expand_at(scope: &DeploymentScope, template: Value, parameters: &Value) -> Result<Expanded, TemplateError> {
    Template::from_value(template)?.expand(parameters, scope, now())
}

fn expand(template: Value, parameters: &Value) -> Result<Expanded, TemplateError> {
    expand_at(&in_subscription(), template, parameters)
}

/// The value of an expression as an output of a template with these further sections.
fn evaluate_with(scope: &DeploymentScope, mut sections: Value, expression: &str) -> Result<Value, TemplateError> {
    sections["outputs"] = json!({ "x": { "type": "object", "value": expression } });
    if sections.get("resources").is_none() {
        sections["resources"] = json!([]);
    }
    Ok(expand_at(scope, sections, &Value::Null)?.outputs["x"]["value"].take())
}

fn evaluate(expression: &str) -> Result<Value, TemplateError> {
    evaluate_with(&in_subscription(), json!({}), expression)
}
