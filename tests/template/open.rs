//! Values that only the deployed world knows: left open in a plan, computed when the answers are there.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use steward::template::{Needed, NothingDeployed, References, Unresolved};

use super::{SUBSCRIPTION, expand};

/// What has been deployed, by id.
#[derive(Default)]
struct World(BTreeMap<String, Value>);

impl World {
    fn with(mut self, id: &str, resource: Value) -> Self {
        self.0.insert(id.to_lowercase(), resource);
        self
    }
}

impl References for World {
    fn resource(&self, id: &str, _api_version: Option<&str>) -> Option<Value> {
        self.0.get(&id.to_lowercase()).cloned()
    }
}

fn thing(name: &str, properties: Value) -> Value {
    json!({ "type": "A.B/things", "apiVersion": "2020-01-01", "name": name, "properties": properties })
}

fn id(name: &str) -> String {
    format!("/subscriptions/{SUBSCRIPTION}/providers/A.B/things/{name}")
}

#[test]
fn a_reference_is_a_dependency_and_leaves_its_string_open() {
    let uses = thing("a", json!({ "url": "[concat('https://', reference('b').host)]", "fixed": "[toLower('X')]" }));
    let plan = expand(json!({ "resources": [uses, thing("b", json!({}))] }), &Value::Null).unwrap();
    let [first, second] = plan.resources.as_slice() else { panic!("two resources") };
    assert_eq!((first.name.as_str(), second.name.as_str()), ("b", "a"));
    assert_eq!(second.depends_on, [id("b")]);
    assert!(second.is_open() && !first.is_open());
    assert_eq!(second.body["properties"], json!({ "url": "[concat('https://', reference('b').host)]", "fixed": "x" }));
    assert_eq!(second.needs, [Needed { id: id("b"), api_version: None }]);

    assert_eq!(second.resolve(&NothingDeployed), Err(Unresolved::Needs(Needed { id: id("b"), api_version: None })));
    let world = World::default().with(&id("B"), json!({ "properties": { "host": "b.example" } }));
    assert_eq!(second.resolve(&world).unwrap()["properties"], json!({ "url": "https://b.example", "fixed": "x" }));
    assert_eq!(first.resolve(&NothingDeployed).unwrap(), first.body);
    let fault = second.resolve(&World::default().with(&id("b"), json!({ "properties": {} }))).unwrap_err().to_string();
    assert_eq!(fault, "`$.resources[0].properties.url`, character 35: no property `host`; there are none");
}

#[test]
fn every_reference_of_an_expression_is_a_dependency() {
    let uses = thing(
        "a",
        json!({ "x": "[if(reference('b').on, reference('c').x, reference(resourceId('A.B/things', 'd'), '2020-01-01', 'full').location)]" }),
    );
    let plan =
        expand(json!({ "resources": [uses, thing("b", json!({})), thing("c", json!({})), thing("d", json!({}))] }), &Value::Null).unwrap();
    let last = plan.resources.last().unwrap();
    assert_eq!(last.depends_on, [id("b"), id("c"), id("d")]);
    let world = |on: bool| {
        World::default().with(&id("b"), json!({ "properties": { "on": on } })).with(&id("c"), json!({ "properties": { "x": 1 } }))
    };
    assert_eq!(last.resolve(&world(true)).unwrap()["properties"]["x"], json!(1));
    let needs = Unresolved::Needs(Needed { id: id("d"), api_version: Some("2020-01-01".to_owned()) });
    assert_eq!(last.resolve(&world(false)), Err(needs));
    let all = world(false).with(&id("d"), json!({ "location": "west" }));
    assert_eq!(last.resolve(&all).unwrap()["properties"]["x"], json!("west"));
}

#[test]
fn an_open_body_keeps_its_parameters_variables_and_loops() {
    let mut uses = thing(
        "[format('a{0}', copyIndex())]",
        json!({ "x": "[format('{0}-{1}-{2}', parameters('p'), variables('v'), reference('b').x[copyIndex()])]" }),
    );
    uses["copy"] = json!({ "name": "loop", "count": 2 });
    let template = json!({
        "parameters": { "p": { "type": "string" } },
        "variables": { "v": "[toUpper(parameters('p'))]" },
        "resources": [uses, thing("b", json!({}))]
    });
    let plan = expand(template, &json!({ "p": { "value": "given" } })).unwrap();
    let world = World::default().with(&id("b"), json!({ "properties": { "x": ["zero", "one"] } }));
    assert_eq!(plan.resources[2].resolve(&world).unwrap()["properties"]["x"], json!("given-GIVEN-one"));
}

#[test]
fn names_conditions_and_counts_cannot_wait() {
    let refused =
        |resource: Value| expand(json!({ "resources": [resource, thing("b", json!({}))] }), &Value::Null).unwrap_err().to_string();
    let needs = "this has to be known before anything is deployed, but needs";
    let by_id = "[reference(resourceId('A.B/things', 'b')).x]";
    let instead = "use parameters, variables and resourceId instead";
    assert_eq!(refused(thing(by_id, json!({}))), format!("`$.resources[0].name`: {needs} {}; {instead}", id("b")));
    let mut conditional = thing("a", json!({}));
    conditional["condition"] = json!(by_id);
    assert_eq!(refused(conditional), format!("`$.resources[0].condition`: {needs} {}; {instead}", id("b")));
    let looped = thing("a", json!({ "copy": [{ "name": "l", "count": by_id, "input": 1 }] }));
    assert_eq!(refused(looped), format!("`$.resources[0].properties.copy[0].count`: {needs} {}; {instead}", id("b")));
    let by_name = thing("[reference('b').x]", json!({}));
    let names = "`reference` cannot be computed: names of resources are not known while other names are computed; use resourceId, or move this into a body";
    assert_eq!(refused(by_name), format!("`$.resources[0].name`, character 2: {names}"));
}

fn module(name: &str, parameters: Value, template: Value) -> Value {
    let properties = json!({ "mode": "Incremental", "expressionEvaluationOptions": { "scope": "inner" }, "parameters": parameters, "template": template });
    json!({ "type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": name, "location": "west", "properties": properties })
}

#[test]
fn outputs_of_nested_deployments_are_handed_on_when_they_are_known() {
    let first = module(
        "first",
        json!({}),
        json!({
            "resources": [thing("b", json!({}))],
            "outputs": {
                "live": { "type": "string", "value": "[reference('b').key]" },
                "id": { "type": "string", "value": "[resourceId('A.B/things', 'b')]" }
            }
        }),
    );
    let second = module(
        "second",
        json!({ "key": { "value": "[reference('first').outputs.live.value]" } }),
        json!({
            "parameters": { "key": { "type": "string" } },
            "variables": { "twice": "[concat(parameters('key'), parameters('key'))]" },
            "resources": [thing("a", json!({ "key": "[variables('twice')]" }))],
            "outputs": { "key": { "type": "string", "value": "[variables('twice')]" } }
        }),
    );
    let outputs = json!({ "key": { "type": "string", "value": "[reference('second').outputs.key.value]" } });
    let plan = expand(json!({ "resources": [second, first], "outputs": outputs }), &Value::Null).unwrap();
    let names: Vec<_> = plan.resources.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(names, ["b", "first", "a", "second"]);
    assert!(plan.resources[2].is_open());
    assert_eq!(plan.outputs["key"], json!({ "type": "String" }));

    let world = World::default().with(&id("b"), json!({ "properties": { "key": "k" } }));
    let first = plan.resources[1].resolve_outputs(&world).unwrap();
    assert_eq!(first["live"], json!({ "type": "String", "value": "k" }));
    let world = world.with(&plan.resources[1].id, json!({ "properties": { "outputs": first } }));
    assert_eq!(plan.resources[2].resolve(&world).unwrap()["properties"]["key"], json!("kk"));
    let second = plan.resources[3].resolve_outputs(&world).unwrap();
    let world = world.with(&plan.resources[3].id, json!({ "properties": { "outputs": second } }));
    assert_eq!(plan.resolve_outputs(&world).unwrap()["key"]["value"], json!("kk"));
}

#[test]
fn a_parameter_that_waited_is_checked_when_it_is_known() {
    let parameters = json!({ "key": { "value": "[reference(resourceId('A.B/things', 'b')).key]" } });
    let inner = json!({ "parameters": { "key": { "type": "string", "maxLength": 2 } }, "resources": [thing("a", json!({ "key": "[parameters('key')]" }))] });
    let plan = expand(json!({ "resources": [module("m", parameters, inner), thing("b", json!({}))] }), &Value::Null).unwrap();
    assert_eq!(plan.resources[0].name, "b");
    let resolved = |key: &str| plan.resources[1].resolve(&World::default().with(&id("b"), json!({ "properties": { "key": key } })));
    assert_eq!(resolved("ok").unwrap()["properties"]["key"], json!("ok"));
    let fault = resolved("long").unwrap_err().to_string();
    assert_eq!(fault, "`$.resources[0].properties.parameters.key.value`: parameter `key` is too long: maxLength is 2");
}

#[test]
fn facts_about_other_places_are_asked_for() {
    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg");
    let mut nested = module(
        "m",
        json!({}),
        json!({ "resources": [thing("a", json!({ "at": "[resourceGroup().location]", "in": "[resourceGroup().name]" }))] }),
    );
    nested["resourceGroup"] = json!("rg");
    let plan = expand(json!({ "resources": [nested] }), &Value::Null).unwrap();
    assert_eq!(plan.resources[0].body["properties"], json!({ "at": "[resourceGroup().location]", "in": "rg" }));
    assert_eq!(plan.resources[0].needs, [Needed { id: group.clone(), api_version: None }]);
    let world = World::default().with(&group, json!({ "location": "north" }));
    assert_eq!(plan.resources[0].resolve(&world).unwrap()["properties"]["at"], json!("north"));
}

#[test]
fn a_plan_can_be_carried_out_on_another_thread() {
    let uses = thing("a", json!({ "x": "[reference('b').x]" }));
    let plan = expand(json!({ "resources": [uses, thing("b", json!({}))] }), &Value::Null).unwrap();
    let world = World::default().with(&id("b"), json!({ "properties": { "x": 1 } }));
    let body = std::thread::spawn(move || plan.resources[1].resolve(&world)).join().unwrap().unwrap();
    assert_eq!(body["properties"]["x"], json!(1));
}
