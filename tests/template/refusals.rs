//! What is refused, where the error points, and what it says to do.

use serde_json::{Value, json};
use steward::template::Template;

use super::expand;

#[track_caller]
fn check(template: Value, expected: &str) {
    assert_eq!(expand(template, &Value::Null).unwrap_err().to_string(), expected);
}

#[track_caller]
fn check_text(text: &str, expected: &str) {
    assert_eq!(Template::parse(text).unwrap_err().to_string(), expected, "{text}");
}

/// A template with one resource.
fn with(resource: Value) -> Value {
    json!({ "resources": [resource] })
}

fn resource(name: &str, depends_on: &[&str]) -> Value {
    json!({ "type": "A.B/c", "apiVersion": "2020-01-01", "name": name, "dependsOn": depends_on })
}

#[test]
fn text_that_is_no_template() {
    check_text("{", "`$`: not JSON at line 1, column 1: EOF while parsing an object");
    check_text(
        "{\n  \"a\": 1,\n  \"a\": 2 }",
        "`$`: not JSON at line 3, column 10: a name that its object has already; remove one of the two",
    );
    check_text("{} x", "`$`: not JSON at line 1, column 4: trailing characters");
    check_text("/* no end", "`$`: not JSON at line 1, column 9: EOF while parsing a value");
    check_text("[]", "`$`: a template has to be an object, not an array");
    check_text("{}", "`$`: `resources` is missing; a template has a list of resources, which may be empty");
    check_text("{ \"resources\": 1 }", "`$.resources`: `resources` has to be an array or an object, not an int");
    check_text("{ \"resources\": [], \"variables\": [] }", "`$.variables`: `variables` has to be an object, not an array");
    check_text("{ \"resources\": [], \"output\": {} }", "`$`: in templates, section `output` is not there; did you mean `outputs`?");
    check_text("{ \"resources\": [], \"Resources\": [] }", "`$`: section `resources` is there twice; names are compared without case");
}

#[test]
fn syntax_is_checked_before_there_are_parameters() {
    check_text(
        "{ \"resources\": [{ \"name\": \"[concat('a', parameters('b')]\" }] }",
        "`$.resources[0].name`, character 29: `)` is expected, but `]` stands there",
    );
    check_text(
        "{ \"resources\": [], \"variables\": { \"x y\": \"[gid()]\" } }",
        "`$.variables['x y']`, character 2: function `gid` is not there; did you mean `guid`?",
    );
    check_text(
        "{ \"resources\": [], \"outputs\": { \"x\": { \"value\": \"[first()]\" } } }",
        "`$.outputs.x.value`, character 2: `first` takes 1 argument, not 0",
    );
    check_text(
        "{ \"resources\": [], \"parameters\": { \"x\": { \"type\": \"string\", \"defaultValue\": \"[abc]\" } } }",
        "`$.parameters.x.defaultValue`, character 2: `abc` is no value; write 'abc' for a text, abc(…) for a function or parameters('abc') for a parameter",
    );
}

#[test]
fn resources_that_lack_something() {
    check(with(json!({})), "`$.resources[0]`: `type` is missing; add it here");
    check(with(json!({ "type": "A.B/c" })), "`$.resources[0]`: `name` is missing; add it here");
    let version = "every resource names the version of the API that writes it, such as 2022-10-01";
    check(with(json!({ "type": "A.B/c", "name": "x" })), &format!("`$.resources[0]`: `apiVersion` is missing; {version}"));
    check(with(json!(1)), "`$.resources[0]`: `a resource` has to be an object, not an int");
    check(
        with(json!({ "type": "A.B/c", "name": 1, "apiVersion": "2020-01-01" })),
        "`$.resources[0].name`: `name` has to be a string, not an int",
    );
    check(
        with(json!({ "type": "A", "name": "x", "apiVersion": "2020-01-01" })),
        "`$.resources[0].name`: the type of a resource has to be a resource type such as `Namespace/type`, not a text without /",
    );
    let count = "type `A.B/c` has 1 parts after its namespace, so its name needs as many, separated by /, not 2";
    check(with(resource("x/y", &[])), &format!("`$.resources[0].name`: {count}"));
    let dots = "part of a resource type or name consists of dots; names are made of other characters, at least one";
    check(with(resource("..", &[])), &format!("`$.resources[0].name`: {dots}"));
    let mut conditional = resource("x", &[]);
    conditional["condition"] = json!("maybe");
    check(with(conditional), "`$.resources[0].condition`: `condition` has to be a bool, not a string");
}

#[test]
fn dependencies_that_lead_nowhere_or_back() {
    check(with(resource("x", &["y"])), "`$.resources[0].dependsOn[0]`: in this template, resource `y` is not there");
    check(
        json!({ "resources": [resource("x", &["definitoin"]), resource("definition", &[])] }),
        "`$.resources[0].dependsOn[0]`: in this template, resource `definitoin` is not there; did you mean `definition`?",
    );
    let id = |name: &str| format!("/subscriptions/{}/providers/A.B/c/{name}", super::SUBSCRIPTION);
    let circle = format!("resources depend on each other in a circle: {} → {} → {} → {}", id("a"), id("b"), id("c"), id("a"));
    check(
        json!({ "resources": [resource("start", &["a"]), resource("a", &["b"]), resource("b", &["c"]), resource("c", &["a"])] }),
        &format!("`$.resources[1]`: {circle}; remove one of these dependencies"),
    );
    let own = resource("a", &["A.B/c/a"]);
    check(
        with(own),
        &format!(
            "`$.resources[0]`: resources depend on each other in a circle: {} → {}; remove one of these dependencies",
            id("a"),
            id("a")
        ),
    );
    let refers = |name: &str, to: &str| json!({ "type": "A.B/c", "apiVersion": "2020-01-01", "name": name, "properties": { "x": format!("[reference('{to}').x]") } });
    let circle = format!("resources depend on each other in a circle: {} → {} → {}", id("a"), id("b"), id("a"));
    check(
        json!({ "resources": [refers("a", "b"), refers("b", "a")] }),
        &format!("`$.resources[0]`: {circle}; remove one of these dependencies"),
    );
    check(
        json!({ "resources": [resource("a", &[]), resource("A", &[])] }),
        &format!("`$.resources[1]`: resource `{}` is there twice; names are compared without case", id("A")),
    );
}

#[test]
fn values_that_lean_on_themselves() {
    let circle = "values depend on each other in a circle: $.variables.a → $.variables.b → $.variables.a; remove one of these dependencies";
    check(
        json!({ "resources": [], "variables": { "a": "[variables('b')]", "b": "[concat('x', variables('a'))]" } }),
        &format!("`$.variables.b`, character 14: {circle}"),
    );
    let own = "values depend on each other in a circle: $.parameters.p.defaultValue → $.parameters.p.defaultValue; remove one of these dependencies";
    check(
        json!({ "resources": [], "parameters": { "p": { "type": "string", "defaultValue": "[parameters('p')]" } } }),
        &format!("`$.parameters.p.defaultValue`, character 2: {own}"),
    );
    let function = json!([{ "namespace": "own", "members": { "f": { "output": { "value": "[own.f()]" } } } }]);
    let deep = "too many calls and values inside each other: the limit is 200";
    check(
        json!({ "resources": [], "functions": function, "variables": { "a": "[own.f()]" } }),
        &format!("`$.functions[0].members.f.output.value`, character 1: {deep}"),
    );
}

#[test]
fn nested_deployments_that_cannot_be_expanded() {
    let nested = |properties: Value| {
        with(json!({ "type": "Microsoft.Resources/deployments", "apiVersion": "2020-01-01", "name": "n", "properties": properties }))
    };
    let fetched = "nothing is fetched; put the template into `properties.template`, or compile the modules into one file";
    check(
        nested(json!({ "mode": "Incremental", "templateLink": { "uri": "https://example.com/" } })),
        &format!("`$.resources[0].properties.templateLink`: `templateLink` is not supported: {fetched}"),
    );
    check(
        nested(json!({ "parametersLink": { "uri": "https://example.com/" }, "template": { "resources": [] } })),
        &format!("`$.resources[0].properties.parametersLink`: `parametersLink` is not supported: {fetched}"),
    );
    check(nested(json!({})), "`$.resources[0].properties`: `template` is missing; add it here");
    check(
        nested(json!({ "template": {} })),
        "`$.resources[0].properties.template`: `resources` is missing; a template has a list of resources, which may be empty",
    );
    check(
        nested(json!({ "mode": "Complete", "template": { "resources": [] } })),
        "`$.resources[0].properties.mode`: mode `Complete` is not supported: a nested deployment adds and changes resources only; write Incremental",
    );
    check(
        nested(json!({ "expressionEvaluationOptions": { "scope": "iner" }, "template": { "resources": [] } })),
        "`$.resources[0].properties.expressionEvaluationOptions.scope`: evaluation scope `iner` is not there; did you mean `inner`?",
    );
    let mut second = nested(json!({ "expressionEvaluationOptions": { "scope": "outer" }, "template": { "resources": [] } }));
    second["languageVersion"] = json!("2.0");
    check(
        second,
        "`$.resources[0].properties.expressionEvaluationOptions.scope`: scope `outer` is not supported: templates of languageVersion 2.0 have inner ones only",
    );
    let inner = json!({ "type": "A.B/c", "apiVersion": "2020-01-01", "name": "[parameters('x')]" });
    let options = json!({ "scope": "inner" });
    check(
        nested(json!({ "expressionEvaluationOptions": options, "template": { "resources": [inner] } })),
        "`$.resources[0].properties.template.resources[0].name`, character 2: parameter `x` is not there",
    );
    check(
        nested(
            json!({ "expressionEvaluationOptions": options, "template": { "parameters": { "x": { "type": "string" } }, "resources": [inner] } }),
        ),
        "`$.resources[0].properties.parameters`: `x` is missing; give a value of type string: \"x\": { \"value\": … }",
    );
    let mut scoped = nested(json!({ "template": { "resources": [] } }));
    scoped["resources"][0]["scope"] = json!("somewhere");
    check(scoped, "`$.resources[0].scope`: `scope` has to be /, a management group, a subscription or a resource group, not another text");
}

#[test]
fn loops_that_do_not_turn() {
    let looped = |copy: Value| {
        let mut resource = resource("[string(copyIndex())]", &[]);
        resource["copy"] = copy;
        with(resource)
    };
    check(looped(json!({ "count": 1 })), "`$.resources[0].copy`: `name` is missing; add it here");
    check(looped(json!({ "name": "l" })), "`$.resources[0].copy`: `count` is missing; add it here");
    check(looped(json!({ "name": "l", "count": "two" })), "`$.resources[0].copy.count`: `count` has to be an int, not a string");
    check(
        looped(json!({ "name": "l", "count": -1 })),
        "`$.resources[0].copy.count`: too many turns of a loop, or fewer than none: the limit is 800",
    );
    check(
        looped(json!({ "name": "l", "count": 1, "mode": "serail" })),
        "`$.resources[0].copy`: loop mode `serail` is not there; did you mean `serial`?",
    );
    check(
        looped(json!({ "name": "l", "count": 1, "mode": "serial", "batchSize": 0 })),
        "`$.resources[0].copy.batchSize`: `batchSize` has to be an int above 0, not an int",
    );
    let outside = "it does not stand in a loop of a resource; inside of other loops give the name of the loop";
    check(
        with(resource("[string(copyIndex())]", &[])),
        &format!("`$.resources[0].name`, character 9: `copyIndex` cannot be computed: {outside}"),
    );
    let same = json!({ "type": "A.B/c", "apiVersion": "2020-01-01", "name": "x", "copy": { "name": "l", "count": 2 } });
    let id = format!("/subscriptions/{}/providers/A.B/c/x", super::SUBSCRIPTION);
    check(with(same), &format!("`$.resources[0]`: resource `{id}` is there twice; names are compared without case"));
}
