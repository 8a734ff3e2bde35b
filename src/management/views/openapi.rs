//! The description of the gateway's own API: `OpenAPI` 3.1, made from the types that are sent.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::explanations::Question;
use super::shapes::{AccessReport, CatalogueRole, Change, Changes, Explanation, Item, List, Partner};

/// What the parameters of a path are.
struct Parameter {
    name: &'static str,
    /// `path` or `query`.
    place: &'static str,
    is_required: bool,
    description: &'static str,
    schema: fn() -> Value,
}

const fn path(name: &'static str, description: &'static str) -> Parameter {
    Parameter { name, place: "path", is_required: true, description, schema: uuid }
}

const fn query(name: &'static str, schema: fn() -> Value, description: &'static str) -> Parameter {
    Parameter { name, place: "query", is_required: false, description, schema }
}

fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn number() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn truth() -> Value {
    json!({ "type": "boolean" })
}

const PAGE: Parameter = query("$skipToken", text, "The page: follow `nextLink` as it stands.");
const TENANT: Parameter = path("tenantId", "The tenant on the other side.");

/// The document. `server` is the URL that the API is found at, where that is known.
#[must_use]
pub fn description(server: Option<&str>) -> Value {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.definitions_path = "/components/schemas".into();
    let mut describer = Describer { generator: settings.into_generator(), paths: Map::new() };
    describer.partners();
    describer.reports();
    describer.decisions();
    let change = describer.schema::<Item<Change>>();
    let Describer { generator, mut paths } = describer;
    paths.insert(
        full("openapi.json"),
        json!({ "get": {
        "operationId": "openapi",
        "summary": "This document. It takes no api-version.",
        "responses": { "200": { "description": "This document.", "content": { "application/json": { "schema": { "type": "object" } } } } },
    } }),
    );
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Steward.Delegation",
            "version": "2026-11-01",
            "description": "What each side may see of delegations, and why something was decided as it was. Any signed-in caller may ask; \
                            answers hold only what this caller may see.",
        },
        "security": [{ "bearer": [] }],
        "paths": paths,
        "webhooks": { "change": webhook(&change) },
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } },
            "schemas": generator.definitions(),
        },
    });
    if let (Some(server), Value::Object(members)) = (server, &mut document) {
        members.insert("servers".to_owned(), json!([{ "url": server }]));
    }
    document
}

fn full(rest: &str) -> String {
    format!("/providers/Steward.Delegation/{rest}")
}

struct Describer {
    generator: SchemaGenerator,
    paths: Map<String, Value>,
}

impl Describer {
    fn schema<T: JsonSchema>(&mut self) -> Schema {
        self.generator.subschema_for::<T>()
    }

    fn get<T: JsonSchema>(&mut self, rest: &str, operation: &str, summary: &str, parameters: &[Parameter]) {
        let schema = self.schema::<T>();
        self.paths.insert(
            full(rest),
            json!({ "get": {
            "operationId": operation,
            "summary": summary,
            "parameters": describe(parameters),
            "responses": responses(&json!(schema)),
        } }),
        );
    }

    fn partners(&mut self) {
        let (all, one) = ("The customers of the caller's tenant.", "One customer of the caller's tenant.");
        self.get::<List<Item<Partner>>>("customers", "customers", all, &[PAGE]);
        self.get::<Item<Partner>>("customers/{tenantId}", "customer", one, &[TENANT]);
        let (all, one) = ("The service providers of the caller's tenant.", "One service provider of the caller's tenant.");
        self.get::<List<Item<Partner>>>("serviceProviders", "serviceProviders", all, &[PAGE]);
        self.get::<Item<Partner>>("serviceProviders/{tenantId}", "serviceProvider", one, &[TENANT]);
    }

    fn reports(&mut self) {
        let scope = Parameter { is_required: true, ..query("scope", text, "A subscription, or something in one: its resource id.") };
        let action = query("action", text, "An action such as `Microsoft.Storage/storageAccounts/listKeys/action`: who may do it, now.");
        self.get::<AccessReport>("accessReport", "accessReport", "Who can touch a scope, and through what.", &[scope, action, PAGE]);
        let delegable = query("delegable", truth, "Only roles that can be delegated, or only those that cannot.");
        let name = query("name", text, "Only roles with this in their name.");
        self.get::<List<Item<CatalogueRole>>>(
            "roleCatalog",
            "roleCatalog",
            "All roles, and what keeps one from being delegated.",
            &[delegable, name],
        );
        let after = query("after", number, "The revision after which to begin: `after` of the answer before.");
        let top = query("top", number, "How many changes a page has, 1 to 1000. A revision is never split.");
        let epoch = query("epoch", uuid, "The history that `after` belongs to: refused when the store was restored since.");
        self.get::<Changes>("changes", "changes", "What happened to delegations, each once.", &[after, top, epoch]);
    }

    fn decisions(&mut self) {
        let request = path("requestId", "`x-ms-request-id` of the answer.");
        self.paths.insert(
            full("explanations/{requestId}"),
            json!({ "get": {
            "operationId": "explanation",
            "summary": "The decision record of a request: of the caller's own, or of one to a scope whose access the caller may read.",
            "parameters": describe(&[request]),
            "responses": responses(&record()),
        } }),
        );
        let explanation = self.schema::<Explanation>();
        // What is read may leave out what it has a default for, unlike what is sent.
        let asked = SchemaSettings::draft2020_12().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        let question = asked.into_generator().into_root_schema_for::<Question>();
        self.paths.insert(
            full("explain"),
            json!({ "post": {
            "operationId": "explain",
            "summary": "What would be decided about a request. Nothing is done and nothing recorded about it.",
            "parameters": describe(&[]),
            "requestBody": { "required": true, "content": { "application/json": { "schema": question } } },
            "responses": responses(&json!(explanation)),
        } }),
        );
    }
}

fn describe(parameters: &[Parameter]) -> Vec<Value> {
    let version = Parameter { is_required: true, ..query("api-version", text, "Any date; this document is of 2026-11-01.") };
    let describe = |one: &Parameter| {
        json!({
            "name": one.name, "in": one.place, "required": one.is_required, "description": one.description, "schema": (one.schema)(),
        })
    };
    parameters.iter().chain([&version]).map(describe).collect()
}

fn responses(schema: &Value) -> Value {
    let error = json!({
        "type": "object",
        "required": ["error"],
        "properties": { "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": { "code": { "type": "string" }, "message": { "type": "string" }, "additionalInfo": { "type": "array" } },
        } },
    });
    json!({
        "200": { "description": "As asked.", "content": { "application/json": { "schema": schema } } },
        "default": { "description": "Refused.", "content": { "application/json": { "schema": error } } },
    })
}

/// The members that every record has; its form is a promise of its own, `steward.record/1`.
fn record() -> Value {
    json!({
        "type": "object",
        "required": ["schema", "id", "correlation_id", "time", "outcome", "status", "method", "path", "checks"],
        "properties": {
            "schema": { "const": "steward.record/1" },
            "id": uuid(),
            "correlation_id": text(),
            "time": text(),
            "outcome": { "enum": ["allow", "deny"] },
            "reason": text(),
            "status": number(),
            "method": text(),
            "path": text(),
            "checks": { "type": "array", "items": { "type": "object", "required": ["name", "outcome"] } },
        },
    })
}

fn webhook(change: &Schema) -> Value {
    let header = |name: &str, description: &str| json!({ "name": name, "in": "header", "required": true, "description": description, "schema": text() });
    json!({ "post": {
        "operationId": "change",
        "summary": "Something happened to a delegation. Posted in order, at least once, until the answer is 2xx.",
        "parameters": [
            header("x-steward-delivery", "The name of the change: the same each time it is posted."),
            header("x-steward-timestamp", "When it was posted: seconds since 1970."),
            header("x-steward-signature", "`sha256=` and the hexadecimal HMAC-SHA256 of `{timestamp}.{body}` with the secret."),
        ],
        "requestBody": { "required": true, "content": { "application/json": { "schema": change } } },
        "responses": { "2XX": { "description": "Taken." }, "default": { "description": "Not taken: it comes again." } },
    } })
}
