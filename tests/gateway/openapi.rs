//! The description of the own API against the API: every path is called, and every answer has the form that is described.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::own_api::tenant;
use crate::common::client::{Call, call, get};
use crate::common::installation::SHARED;

const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
const START: &str = "/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm/start?api-version=2024-07-01";

/// What is wrong with a value, by a schema of the document. Knows as much of JSON Schema as the document uses.
fn fault(document: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return fault(document, &document_at(document, reference), value, at);
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[choice].as_array() {
            let faults: Vec<_> = choices.iter().map(|one| fault(document, one, value, at)).collect();
            return if faults.contains(&None) { None } else { faults.into_iter().flatten().next() };
        }
    }
    let wrong = |what: &str| Some(format!("{at}: {what}: {value}"));
    if schema.get("const").is_some_and(|only| only != value) || schema["enum"].as_array().is_some_and(|all| !all.contains(value)) {
        return wrong("not among the values");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().map(|one| one.as_str().unwrap()).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    };
    let is = |kind: &str| match kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("{other}"),
    };
    if !types.is_empty() && !types.iter().any(|kind| is(kind)) {
        return wrong(&format!("not of type {types:?}"));
    }
    match value {
        Value::Array(items) => items.iter().enumerate().find_map(|(n, item)| fault(document, &schema["items"], item, &format!("{at}/{n}"))),
        Value::Object(members) => members_fault(document, schema, members, at),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn document_at(document: &Value, reference: &str) -> Value {
    document.pointer(reference.trim_start_matches('#')).expect(reference).clone()
}

fn members_fault(document: &Value, schema: &Value, members: &serde_json::Map<String, Value>, at: &str) -> Option<String> {
    let required = schema["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap());
    if let Some(missing) = required.into_iter().find(|name| !members.contains_key(*name)) {
        return Some(format!("{at}: `{missing}` is missing"));
    }
    let known = schema["properties"].as_object();
    members.iter().find_map(|(name, value)| match known.and_then(|known| known.get(name)) {
        Some(schema) => fault(document, schema, value, &format!("{at}/{name}")),
        // A record says more than its description promises; everything else says what is described.
        None if known.is_some() && !at.starts_with("record") => Some(format!("{at}: `{name}` is not described")),
        None => None,
    })
}

async fn document() -> Value {
    let answer = SHARED.ask("nobody", get("/providers/Steward.Delegation/openapi.json")).await;
    assert_eq!(answer.status, 200);
    answer.json()
}

fn schema_of(operation: &Value) -> Value {
    operation["responses"]["200"]["content"]["application/json"]["schema"].clone()
}

/// A value for every parameter that is described.
fn value_of(parameter: &str, path: &str, refused: &str) -> String {
    let partner = if path.contains("customers") { "alder" } else { "ostra" };
    match parameter {
        "tenantId" => tenant(partner),
        "requestId" => refused.to_owned(),
        "api-version" => "2026-11-01".to_owned(),
        "scope" => SHARED.subscription("alder-prod"),
        "action" => "Microsoft.Storage/storageAccounts/listKeys/action".to_owned(),
        "delegable" => "false".to_owned(),
        "name" => "storage".to_owned(),
        "after" | "top" => "1".to_owned(),
        // The page after a holder that sorts before all others.
        "$skipToken" if path.contains("accessReport") => {
            URL_SAFE_NO_PAD.encode(json!({ "holder": { "tenant": NOBODY, "object": NOBODY } }).to_string())
        }
        // The page after a tenant id that sorts before all others.
        "$skipToken" => "MDAwMDAwMDAtMDAwMC00MDAwLTgwMDAtMDAwMDAwMDAwMDAw".to_owned(),
        other => panic!("`{other}` is described and has no value here"),
    }
}

#[tokio::test]
async fn every_path_is_served_as_it_is_described() {
    let document = document().await;
    let prod = SHARED.subscription("alder-prod");
    let refused = SHARED.ask("deniz", call("POST", format!("{prod}{START}"))).await.request_id().to_owned();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 10);
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().unwrap() {
            let mut target = path.clone();
            let mut query = Vec::new();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap();
                if name == "epoch" {
                    continue;
                }
                let value = value_of(name, path, &refused);
                match parameter["in"].as_str().unwrap() {
                    "path" => target = target.replace(&format!("{{{name}}}"), &value),
                    _ => query.push(format!("{name}={value}")),
                }
            }
            let mut asked: Call = call(&method.to_uppercase(), format!("{target}?{}", query.join("&")));
            if operation["requestBody"].is_object() {
                let body = json!({ "method": "POST", "url": format!("{prod}{START}") });
                let described = &operation["requestBody"]["content"]["application/json"]["schema"];
                assert_eq!(fault(&document, described, &body, "body"), None);
                asked = asked.json(&body);
            }
            let identity = if path.contains("customers") { "reader" } else { "alder-owner" };
            let answer = SHARED.ask(identity, asked).await;
            assert_eq!(answer.status, 200, "{method} {target} {}", String::from_utf8_lossy(&answer.body));
            let place = if path.contains("explanations") { "record" } else { "answer" };
            assert_eq!(fault(&document, &schema_of(operation), &answer.json(), place), None, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn parameters_that_must_be_there_are_missed_and_refusals_have_the_form_that_is_described() {
    let document = document().await;
    let error =
        &document["paths"]["/providers/Steward.Delegation/changes"]["get"]["responses"]["default"]["content"]["application/json"]["schema"];
    for target in ["changes", "accessReport?api-version=2026-11-01", "changes?api-version=2026-11-01&after=x"] {
        let answer = SHARED.ask("reader", get(format!("/providers/Steward.Delegation/{target}"))).await;
        assert_eq!(answer.status, 400, "{target}");
        assert_eq!(fault(&document, error, &answer.json(), "answer"), None, "{target}");
    }
}

#[tokio::test]
async fn the_admin_listener_shows_the_same_document() {
    let mut ours = document().await;
    let server = ours.as_object_mut().unwrap().remove("servers").unwrap();
    assert_eq!(server, json!([{ "url": SHARED.demo.world.gateway }]));
    assert_eq!(SHARED.admin(get("/openapi.json")).await.json(), ours);
    assert_eq!(
        SHARED.client.send(get("/providers/Steward.Delegation/openapi.json")).await.told(),
        "401 AuthenticationFailed token.missing"
    );
    let change = &ours["webhooks"]["change"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(change, &json!({ "$ref": "#/components/schemas/ChangeResource" }));
}
