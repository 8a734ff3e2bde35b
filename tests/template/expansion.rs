//! What comes out: ids, scopes, order, loops, conditions, children and nested deployments.

use serde_json::{Value, json};
use steward::template::{DeploymentScope, Expanded, PlannedResource};

use super::{OTHER_SUBSCRIPTION, SUBSCRIPTION, expand, expand_at, in_group, in_subscription};

/// A template with these resources.
fn template(resources: Value) -> Value {
    json!({ "resources": resources })
}

fn resource(name: &str, depends_on: &[&str]) -> Value {
    json!({ "type": "A.B/things", "apiVersion": "2020-01-01", "name": name, "dependsOn": depends_on, "properties": {} })
}

fn planned(resources: Value) -> Vec<PlannedResource> {
    expand(template(resources), &Value::Null).unwrap().resources
}

fn names(expanded: &[PlannedResource]) -> Vec<&str> {
    expanded.iter().map(|resource| resource.name.as_str()).collect()
}

/// Ids below the subscription.
fn short(ids: &[String]) -> Vec<String> {
    ids.iter().map(|id| id.replace(&format!("/subscriptions/{SUBSCRIPTION}"), "")).collect()
}

#[track_caller]
fn check_ids(scope: &DeploymentScope, resources: Value, expected: &[&str]) {
    let expanded = expand_at(scope, template(resources), &Value::Null).unwrap_or_else(|error| panic!("{error}"));
    let ids: Vec<String> = expanded.resources.iter().map(|resource| resource.id.clone()).collect();
    assert_eq!(short(&ids), expected);
}

#[test]
fn resources_come_after_what_they_depend_on_and_else_as_written() {
    let plan = planned(json!([resource("d", &["b"]), resource("a", &[]), resource("b", &["c"]), resource("c", &[])]));
    assert_eq!(names(&plan), ["a", "c", "b", "d"]);
    assert_eq!(short(&plan[2].depends_on), ["/providers/A.B/things/c"]);
}

#[test]
fn a_dependency_is_a_name_an_id_or_an_id_without_its_scope() {
    let id = format!("/subscriptions/{SUBSCRIPTION}/providers/a.b/THINGS/c");
    for spelling in ["C", id.as_str(), "A.B/things/c", "A.B/things/c/", "[resourceId('A.B/things/', 'c')]"] {
        assert_eq!(names(&planned(json!([resource("x", &[spelling]), resource("c", &[])]))), ["c", "x"], "{spelling}");
    }
}

#[test]
fn a_body_has_only_what_is_written() {
    let plan = planned(json!([{
        "type": "A.B/things", "apiVersion": "2020-01-01", "name": "x", "comments": "no", "condition": true, "dependsOn": [],
        "metadata": { "a": "[not an expression" }, "scope": "/", "copy": { "name": "loop", "count": 1 },
        "location": "west", "tags": { "a": "b" }, "sku": { "name": "S" }, "identity": { "type": "None" }, "properties": { "copy": "that" }
    }]));
    let body = json!({ "location": "west", "tags": { "a": "b" }, "sku": { "name": "S" }, "identity": { "type": "None" }, "properties": { "copy": "that" } });
    assert_eq!(plan[0].body, body);
    assert_eq!((plan[0].scope.as_str(), plan[0].id.as_str()), ("/", "/providers/A.B/things/x"));
}

#[test]
fn names_of_properties_can_be_expressions() {
    let mut with_name = resource("x", &[]);
    with_name["properties"] = json!({ "[concat('a', 'b')]": 1, "[[c]": 2 });
    assert_eq!(planned(json!([with_name]))[0].body["properties"], json!({ "ab": 1, "[c]": 2 }));
}

#[test]
fn ids_follow_the_scope_of_the_deployment() {
    let thing = json!([resource("x", &[])]);
    check_ids(&in_subscription(), thing.clone(), &["/providers/A.B/things/x"]);
    check_ids(&in_group(), thing.clone(), &["/resourceGroups/rg-main/providers/A.B/things/x"]);
    check_ids(&DeploymentScope::default(), thing.clone(), &["/providers/A.B/things/x"]);
    let group = DeploymentScope { management_group: Some("mg".to_owned()), ..DeploymentScope::default() };
    check_ids(&group, thing, &["/providers/Microsoft.Management/managementGroups/mg/providers/A.B/things/x"]);
    let groups = json!([{ "type": "Microsoft.Resources/resourceGroups", "apiVersion": "2022-09-01", "name": "rg", "location": "west" }]);
    check_ids(&in_subscription(), groups, &["/resourceGroups/rg"]);
}

#[test]
fn extension_resources_are_below_what_they_extend() {
    let lock = |extra: Value| {
        let mut lock = json!({ "type": "Microsoft.Authorization/locks", "apiVersion": "2016-09-01", "name": "l" });
        lock.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        json!([lock])
    };
    let below = "/resourceGroups/rg-main/providers/A.B/things/x/providers/Microsoft.Authorization/locks/l";
    check_ids(&in_group(), lock(json!({ "scope": "A.B/things/x" })), &[below]);
    check_ids(&in_group(), lock(json!({ "scope": "[resourceId('A.B/things', 'x')]" })), &[below]);
    check_ids(&in_group(), lock(json!({ "scope": "[subscription().id]" })), &["/providers/Microsoft.Authorization/locks/l"]);
    let old = json!([{ "type": "A.B/things/providers/locks", "apiVersion": "2016-09-01", "name": "x/Microsoft.Authorization/l" }]);
    let plan = expand_at(&in_group(), template(old), &Value::Null).unwrap().resources;
    assert_eq!(short(&[plan[0].id.clone()]), [below]);
    assert_eq!((plan[0].resource_type.as_str(), plan[0].name.as_str()), ("Microsoft.Authorization/locks", "l"));
}

#[test]
fn children_take_type_and_name_from_their_parents() {
    let mut parent = resource("p", &[]);
    let mut child = json!({ "type": "parts", "apiVersion": "2020-01-01", "name": "[concat('c', 1)]", "dependsOn": ["p"] });
    child["resources"] = json!([{ "type": "bits", "apiVersion": "2020-01-01", "name": "b", "dependsOn": ["p/c1"] }]);
    parent["resources"] = json!([child]);
    let plan = planned(json!([parent]));
    assert_eq!(names(&plan), ["p", "p/c1", "p/c1/b"]);
    assert_eq!(plan[2].resource_type, "A.B/things/parts/bits");
    assert_eq!(short(&[plan[2].id.clone()]), ["/providers/A.B/things/p/parts/c1/bits/b"]);
    assert_eq!(plan[2].path, "$.resources[0].resources[0].resources[0]");
}

#[test]
fn what_a_condition_leaves_out_is_no_dependency() {
    let mut off = resource("off", &["on"]);
    off["condition"] = json!("[equals(1, 2)]");
    off["properties"] = json!({ "x": "[div(1, 0)]" });
    let plan = planned(json!([off, resource("on", &["off"])]));
    assert_eq!(names(&plan), ["on"]);
    assert_eq!(plan[0].depends_on, Vec::<String>::new());
}

#[test]
fn a_resource_that_is_left_out_needs_no_name() {
    let plan = expand(
        json!({
            "languageVersion": "2.0",
            "parameters": { "group": { "type": "string", "nullable": true } },
            "resources": {
                "off": { "condition": "[not(equals(parameters('group'), null()))]", "type": "A.B/c", "apiVersion": "2020-01-01", "name": "[parameters('group')]" },
                "on": { "type": "A.B/c", "apiVersion": "2020-01-01", "name": "x", "dependsOn": ["off"] }
            }
        }),
        &json!({}),
    );
    assert_eq!(names(&plan.unwrap().resources), ["x"]);
}

#[test]
fn loops_turn_and_wait_for_the_batch_before() {
    let looped = |copy: Value| {
        let mut looped = resource("[format('r{0}', copyIndex('loop', 1))]", &[]);
        looped["copy"] = copy;
        looped["properties"] = json!({ "at": "[copyIndex()]", "copy": [{ "name": "list", "count": 2, "input": "[add(mul(copyIndex(), 10), copyIndex('list'))]" }] });
        planned(json!([resource("after", &["loop"]), looped]))
    };
    let plan = looped(json!({ "name": "loop", "count": 3, "mode": "parallel" }));
    assert_eq!(names(&plan), ["r1", "r2", "r3", "after"]);
    assert_eq!(plan[2].body["properties"], json!({ "at": 2, "list": [20, 21] }));
    assert_eq!(plan[3].depends_on.len(), 3);
    assert!(plan[2].depends_on.is_empty());
    let plan = looped(json!({ "name": "loop", "count": "[add(1, 4)]", "mode": "Serial", "batchSize": 2 }));
    let ends =
        |resource: &PlannedResource| resource.depends_on.iter().map(|id| id.rsplit('/').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        plan.iter().take(5).map(ends).collect::<Vec<_>>(),
        [vec![], vec![], vec!["r1", "r2"], vec!["r1", "r2"], vec!["r3", "r4"]] as [Vec<&str>; 5]
    );
    assert_eq!(names(&looped(json!({ "name": "loop", "count": 0 }))), ["after"]);
}

#[test]
fn variables_have_loops_and_lean_on_each_other() {
    let sections = json!({
        "variables": {
            "copy": [{ "name": "squares", "count": 3, "input": "[mul(copyIndex('squares'), copyIndex('squares'))]" }],
            "whole": { "name": "x", "copy": [{ "name": "parts", "count": 2, "input": { "at": "[copyIndex('parts')]" } }] },
            "last": "[last(variables('squares'))]"
        }
    });
    let value = super::evaluate_with(&in_subscription(), sections, "[createArray(variables('LAST'), variables('whole'))]").unwrap();
    assert_eq!(value, json!([4, { "name": "x", "parts": [{ "at": 0 }, { "at": 1 }] }]));
}

#[test]
fn user_functions_see_their_own_parameters() {
    let sections = json!({
        "parameters": { "name": { "type": "string", "defaultValue": "outer" } },
        "functions": [{ "namespace": "own", "members": {
            "greet": { "parameters": [{ "name": "name", "type": "string" }], "output": { "type": "string", "value": "[concat('hello ', parameters('Name'))]" } },
            "twice": { "parameters": [{ "name": "x", "type": "string" }], "output": { "type": "array", "value": ["[own.greet(parameters('x'))]", "[parameters('x')]"] } }
        } }]
    });
    let value =
        super::evaluate_with(&in_subscription(), sections, "[concat(own.Twice('you'), createArray(own.greet(parameters('name'))))]");
    assert_eq!(value.unwrap(), json!(["hello you", "you", "hello outer"]));
}

/// A nested deployment of these resources.
fn nested(name: &str, extra: Value, properties: Value, inner: Value) -> Value {
    let mut nested = json!({ "type": "Microsoft.Resources/deployments", "apiVersion": "2022-09-01", "name": name });
    nested["properties"] = json!({ "mode": "Incremental", "template": { "resources": inner } });
    nested["properties"].as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    nested.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    nested
}

fn inner() -> Value {
    json!({ "expressionEvaluationOptions": { "scope": "inner" } })
}

#[test]
fn nested_deployments_have_a_scope_of_their_own() {
    #[track_caller]
    fn check(extra: Value, expected: &str) {
        let plan = planned(json!([nested("n", extra, json!({}), json!([resource("x", &[])]))]));
        assert_eq!(plan[0].scope, expected);
        let base = if expected == "/" { "" } else { expected };
        assert_eq!(plan[1].id, format!("{base}/providers/Microsoft.Resources/deployments/n"));
        assert!(plan[1].is_nested_deployment() && !plan[0].is_nested_deployment());
        assert_eq!(plan[0].deployment.as_ref(), Some(&plan[1].id));
    }
    let own = format!("/subscriptions/{SUBSCRIPTION}");
    let other = format!("/subscriptions/{OTHER_SUBSCRIPTION}");
    check(json!({}), &own);
    check(json!({ "resourceGroup": "rg" }), &format!("{own}/resourceGroups/rg"));
    check(json!({ "subscriptionId": OTHER_SUBSCRIPTION, "location": "west" }), &other);
    check(json!({ "subscriptionId": OTHER_SUBSCRIPTION, "resourceGroup": "rg" }), &format!("{other}/resourceGroups/rg"));
    check(json!({ "scope": "/", "location": "west" }), "/");
    check(json!({ "scope": "Microsoft.Management/managementGroups/mg" }), "/providers/Microsoft.Management/managementGroups/mg");
    check(json!({ "scope": format!("{other}/resourceGroups/rg") }), &format!("{other}/resourceGroups/rg"));
}

#[test]
fn inner_expressions_see_the_nested_scope_and_outer_ones_their_own() {
    let body = |scope: &str| {
        let options = json!({ "expressionEvaluationOptions": { "scope": scope } });
        let mut thing = resource("x", &[]);
        thing["properties"] = json!({ "id": "[resourceId('A.B/c', 'y')]", "deployment": "[deployment().name]" });
        let plan = planned(json!([nested("n", json!({ "resourceGroup": "rg" }), options, json!([thing]))]));
        plan[0].body["properties"].clone()
    };
    let own = format!("/subscriptions/{SUBSCRIPTION}");
    assert_eq!(body("inner"), json!({ "id": format!("{own}/resourceGroups/rg/providers/A.B/c/y"), "deployment": "n" }));
    assert_eq!(body("outer"), json!({ "id": format!("{own}/providers/A.B/c/y"), "deployment": "main" }));
}

#[test]
fn nested_deployments_wait_and_are_waited_for_as_a_whole() {
    let plan = planned(json!([
        resource("after", &["n"]),
        nested("n", json!({ "dependsOn": ["before"] }), inner(), json!([resource("x", &["y"]), resource("y", &[])])),
        resource("before", &[]),
    ]));
    assert_eq!(names(&plan), ["before", "y", "x", "n", "after"]);
    assert_eq!(short(&plan[1].depends_on), ["/providers/A.B/things/before"]);
    assert_eq!(short(&plan[2].depends_on), ["/providers/A.B/things/before", "/providers/A.B/things/y"]);
    assert_eq!(plan[3].depends_on.len(), 3);
}

#[test]
fn nested_parameters_are_computed_outside_and_checked_inside() {
    let template = |value: Value| {
        let mut thing = resource("[parameters('name')]", &[]);
        thing["properties"] = json!({ "location": "[parameters('place')]" });
        let parameters = json!({ "name": { "type": "string", "maxLength": 5 }, "place": { "type": "string", "defaultValue": "[deployment().location]" } });
        let properties = json!({
            "expressionEvaluationOptions": { "scope": "inner" },
            "parameters": { "name": { "value": value } },
            "template": { "parameters": parameters, "resources": [thing] }
        });
        json!({ "variables": { "name": "abc" }, "resources": [nested("n", json!({ "location": "moon" }), properties, json!([]))] })
    };
    let plan: Expanded = expand(template(json!("[variables('name')]")), &Value::Null).unwrap();
    assert_eq!((plan.resources[0].name.as_str(), &plan.resources[0].body["properties"]["location"]), ("abc", &json!("moon")));
    let error = expand(template(json!("[concat(variables('name'), 'def')]")), &Value::Null).unwrap_err().to_string();
    assert_eq!(error, "`$.resources[0].properties.parameters.name.value`: parameter `name` is too long: maxLength is 5");
}

#[test]
fn symbolic_names_name_resources_and_loops() {
    let plan = expand(
        json!({
            "languageVersion": "2.0",
            "resources": {
                "last": { "type": "A.B/c", "apiVersion": "2020-01-01", "name": "z", "dependsOn": ["many", "known"] },
                "many": { "type": "A.B/c", "apiVersion": "2020-01-01", "name": "[format('m{0}', copyIndex())]", "copy": { "name": "loop", "count": 2 } },
                "known": { "existing": true, "type": "A.B/c", "apiVersion": "2020-01-01", "name": "k" }
            }
        }),
        &Value::Null,
    );
    let plan = plan.unwrap().resources;
    assert_eq!(names(&plan), ["m0", "m1", "z"]);
    assert_eq!(plan[2].path, "$.resources.last");
    assert_eq!(plan[2].depends_on.len(), 2);
}

#[test]
fn text_may_have_comments_and_strings_over_several_lines() {
    let text = "\u{feff}{ // first\n \"resources\": [], /* \"x\" */ \"outputs\": { \"x\": { \"type\": \"string\", \"value\": \"[concat(\n\t'a // no',\r\n 'b')]\" } } }";
    let template = steward::template::Template::parse(text).unwrap();
    let expanded = template.expand(&Value::Null, &in_subscription(), jiff::Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(expanded.outputs["x"], json!({ "type": "String", "value": "a // nob" }));
}

#[test]
fn outputs_have_conditions_and_loops_and_keep_secrets() {
    let expanded = expand(
        json!({
            "resources": [],
            "outputs": {
                "no": { "condition": "[equals(1, 2)]", "type": "string", "value": "[div(1, 0)]" },
                "list": { "type": "array", "copy": { "count": 2, "input": "[copyIndex(5)]" } },
                "secret": { "type": "secureString", "value": "hidden" }
            }
        }),
        &Value::Null,
    );
    let outputs = Value::Object(expanded.unwrap().outputs);
    assert_eq!(outputs, json!({ "list": { "type": "Array", "value": [5, 6] }, "secret": { "type": "SecureString" } }));
}
