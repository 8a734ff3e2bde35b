//! Parameters: what is given, what is missing, what is wrong with it, and what is never shown.

use serde_json::{Value, json};

use super::expand;

fn template(parameters: Value) -> Value {
    let value = |name: &String| json!({ "type": "object", "value": format!("[parameters('{name}')]") });
    let outputs: serde_json::Map<_, _> = parameters.as_object().unwrap().keys().map(|name| (name.clone(), value(name))).collect();
    json!({ "parameters": parameters, "resources": [], "outputs": outputs })
}

#[track_caller]
fn check(declared: Value, given: Value, expected: Value) {
    let outputs = expand(template(json!({ "x": declared })), &given).unwrap_or_else(|error| panic!("{error}")).outputs;
    assert_eq!(outputs["x"]["value"], expected, "{given}");
}

#[track_caller]
fn refused(declared: Value, given: Value, expected: &str) {
    let error = expand(template(json!({ "x": declared })), &given).unwrap_err();
    assert_eq!(error.to_string(), expected, "{given}");
}

#[test]
fn values_come_from_a_file_from_its_parameters_or_from_defaults() {
    let string = json!({ "type": "string" });
    check(string.clone(), json!({ "x": { "value": "a" } }), json!("a"));
    check(string.clone(), json!({ "parameters": { "x": { "value": "a" } } }), json!("a"));
    check(string.clone(), json!({ "$schema": "s", "contentVersion": "1", "parameters": { "X": { "value": "a" } } }), json!("a"));
    check(string, json!({ "x": { "value": "[not evaluated]" } }), json!("[not evaluated]"));
    let default = json!({ "type": "String", "defaultValue": "[concat('d', string(1))]" });
    check(default.clone(), Value::Null, json!("d1"));
    check(default.clone(), json!({ "$schema": "s" }), json!("d1"));
    check(default, json!({ "x": { "value": "a" } }), json!("a"));
    check(json!({ "type": "int", "nullable": true }), Value::Null, Value::Null);
}

#[test]
fn defaults_may_use_other_parameters_and_the_time() {
    let template = template(json!({
        "b": { "type": "string", "defaultValue": "[concat(parameters('a'), '!')]" },
        "a": { "type": "string", "defaultValue": "[utcNow()]" },
        "day": { "type": "string", "defaultValue": "[utcNow('yyyy-MM-dd')]" },
        "one": { "type": "string", "defaultValue": "[newGuid()]" },
        "two": { "type": "string", "defaultValue": "[newGuid()]" },
    }));
    let outputs = expand(template.clone(), &Value::Null).unwrap().outputs;
    assert_eq!(outputs["b"]["value"], json!("20261121T060504Z!"));
    assert_eq!(outputs["day"]["value"], json!("2026-11-21"));
    assert_ne!(outputs["one"], outputs["two"]);
    assert_eq!(outputs, expand(template, &Value::Null).unwrap().outputs);
}

#[test]
fn types_and_bounds_are_checked() {
    for (kind, good, bad, found) in [
        ("string", json!("a"), json!(1), "a string, not an int"),
        ("securestring", json!("a"), json!(null), "a string, not null"),
        ("int", json!(1), json!("1"), "an int, not a string"),
        ("int", json!(-1), json!(1.5), "an int, not a number that is no int"),
        ("bool", json!(true), json!("true"), "a bool, not a string"),
        ("array", json!([]), json!({}), "an array, not an object"),
        ("object", json!({}), json!([]), "an object, not an array"),
        ("SecureObject", json!({}), json!("x"), "an object, not a string"),
    ] {
        check(json!({ "type": kind }), json!({ "x": { "value": good } }), good.clone());
        refused(json!({ "type": kind }), json!({ "x": { "value": bad } }), &format!("`parameters.x`: parameter `x` has to be {found}"));
    }
    let given = |value: Value| json!({ "x": { "value": value } });
    refused(json!({ "type": "string", "minLength": 2 }), given(json!("a")), "`parameters.x`: parameter `x` is too short: minLength is 2");
    refused(json!({ "type": "array", "maxLength": 1 }), given(json!([1, 2])), "`parameters.x`: parameter `x` is too long: maxLength is 1");
    refused(json!({ "type": "int", "minValue": 2 }), given(json!(1)), "`parameters.x`: parameter `x` is too small: minValue is 2");
    refused(json!({ "type": "int", "maxValue": 2 }), given(json!(3)), "`parameters.x`: parameter `x` is too large: maxValue is 2");
    let allowed = json!({ "type": "string", "allowedValues": ["a", "b"] });
    refused(allowed, given(json!("c")), "`parameters.x`: parameter `x` has a value that is not allowed; allowed are \"a\", \"b\"");
    check(json!({ "type": "array", "allowedValues": ["a", "b"] }), given(json!(["b"])), json!(["b"]));
    refused(
        json!({ "type": "string", "maxLength": 2, "defaultValue": "abc" }),
        Value::Null,
        "`$.parameters.x.defaultValue`: parameter `x` is too long: maxLength is 2",
    );
}

#[test]
fn what_is_missing_unknown_or_elsewhere_is_named() {
    let string = json!({ "type": "string" });
    refused(string.clone(), Value::Null, "`parameters`: `x` is missing; give a value of type string: \"x\": { \"value\": … }");
    refused(string.clone(), json!({ "x": "a" }), "`parameters.x`: `value` is missing; write \"x\": { \"value\": … }");
    let given = json!({ "x": { "value": "a" }, "y": { "value": "b" } });
    refused(string.clone(), given, "`parameters`: in the template, parameter `y` is not there");
    let vault = json!({ "x": { "reference": { "keyVault": { "id": "/v" }, "secretName": "s" } } });
    let read = "nothing is read from a key vault here; give the value itself";
    refused(string, vault, &format!("`parameters.x`: a `reference` to a secret is not supported: {read}"));
    refused(json!({ "type": "text" }), Value::Null, "`$.parameters.x.type`: type `text` is not there");
    refused(json!({ "type": "strng" }), Value::Null, "`$.parameters.x.type`: type `strng` is not there; did you mean `string`?");
    let no_type = "`$.parameters.x`: `type` is missing; write one of string, int, bool, object, array, secureString, secureObject";
    refused(json!({}), Value::Null, no_type);
    let lost = "`$.parameters.x`: definition `#/definitions/y` is not there";
    refused(json!({ "$ref": "#/definitions/y" }), Value::Null, lost);
    let variable = json!({ "type": "string", "defaultValue": "[variables('y')]" });
    let only = "`variables` cannot be computed: a default value cannot use variables; use parameters";
    refused(variable, Value::Null, &format!("`$.parameters.x.defaultValue`, character 2: {only}"));
}

#[test]
fn definitions_are_followed_and_not_in_circles() {
    let with = |definitions: Value| {
        let mut template = template(json!({ "x": { "$ref": "#/definitions/a" } }));
        template["definitions"] = definitions;
        expand(template, &json!({ "x": { "value": "abc" } }))
    };
    assert!(with(json!({ "a": { "$ref": "#/definitions/b", "maxLength": 3 }, "b": { "type": "string" } })).is_ok());
    let long = with(json!({ "a": { "$ref": "#/definitions/b" }, "b": { "type": "string", "maxLength": 2 } })).unwrap_err();
    assert_eq!(long.to_string(), "`parameters.x`: parameter `x` is too long: maxLength is 2");
    let circle = with(json!({ "a": { "$ref": "#/definitions/b" }, "b": { "$ref": "#/definitions/a" } })).unwrap_err();
    assert!(circle.to_string().starts_with("`$.parameters.x`: definition "), "{circle}");
}

#[test]
fn secure_values_are_not_among_the_parameters_of_an_answer() {
    let parameters = json!({
        "open": { "type": "string", "defaultValue": "seen" },
        "secret": { "type": "secureString" },
        "derived": { "type": "string", "defaultValue": "[concat(parameters('secret'), 'x')]" },
    });
    let expanded = expand(template(parameters), &json!({ "secret": { "value": "hunter2" } })).unwrap();
    let expected =
        json!({ "open": { "type": "String", "value": "seen" }, "secret": { "type": "SecureString" }, "derived": { "type": "String" } });
    assert_eq!(Value::Object(expanded.parameters), expected);
}

const SECRET: &str = "Hunter2Hunter2";

/// Every way that an error could quote a value.
#[test]
fn no_error_shows_a_secure_value() {
    let expressions = [
        "[int(parameters('s'))]",
        "[bool(parameters('s'))]",
        "[json(parameters('s'))]",
        "[base64ToString(parameters('s'))]",
        "[parameters(parameters('s'))]",
        "[variables(variables('v'))]",
        "[createObject('a', 1)[parameters('s')]]",
        "[createObject(parameters('s'), 1).b]",
        "[parameters('o').c]",
        "[parameters('o')['c']]",
        "[createArray()[length(parameters('s'))]]",
        "[format(parameters('s'))]",
        "[format(concat('{', parameters('s'), '}'))]",
        "[format(concat('{0:', parameters('s'), '}'), 1)]",
        "[dateTimeAdd(parameters('s'), 'P1D')]",
        "[dateTimeAdd('2020-01-01', parameters('s'))]",
        "[dateTimeAdd('2020-01-01', 'P1D', concat('''', parameters('s')))]",
        "[less(parameters('s'), '-')]",
        "[resourceId(parameters('s'), 'x')]",
        "[resourceId('A.B/c', concat(parameters('s'), '/?'))]",
        "[resourceId(concat('A.B/c/', parameters('s')), 'x')]",
        "[reference(parameters('s')).x]",
        "[copyIndex(parameters('s'))]",
        "[lambdaVariables(parameters('s'))]",
        "[fail(parameters('s'))]",
        "[own.f(parameters('s')).x]",
        "[map(createArray(parameters('s')), lambda('x', int(lambdaVariables('x'))))]",
        "[uri(parameters('s'), 'x')]",
        "[concat('A.B/c/', parameters('s'))]",
        "[concat(parameters('s'), '/')]",
        "[reference(concat('/', parameters('s'))).x]",
    ];
    for expression in expressions {
        let place = |place: &str| {
            let mut resource = json!({ "type": "A.B/c", "apiVersion": "2020-01-01", "name": "x", "properties": {} });
            resource[place] = if place == "dependsOn" { json!([expression]) } else { json!(expression) };
            json!([resource])
        };
        let places = ["name", "type", "apiVersion", "scope", "condition", "dependsOn", "location", "copy", "properties"];
        for resources in places.map(place).into_iter().chain([json!([])]) {
            check_hidden(&resources, expression);
        }
    }
    let named = json!({ "type": "A.B/c", "apiVersion": "2020-01-01", "name": "x", "properties": { "[reference(concat('/', parameters('s')))]": 1 } });
    check_hidden(&json!([named]), "x");
    let taken = json!({ "type": "A.B/c", "apiVersion": "2020-01-01", "name": "[concat('x', parameters('s'))]", "dependsOn": ["y"] });
    check_hidden(&json!([taken, taken]), "x");
    let circle = |name: &str, on: &str| json!({ "type": "A.B/c", "apiVersion": "2020-01-01", "name": format!("[concat('{name}', parameters('s'))]"), "dependsOn": [format!("[concat('{on}', parameters('s'))]")] });
    check_hidden(&json!([circle("a", "b"), circle("b", "a")]), "x");
}

#[track_caller]
fn check_hidden(resources: &Value, output: &str) {
    let template = json!({
        "parameters": { "s": { "type": "secureString", "allowedValues": [SECRET] }, "o": { "type": "secureObject" } },
        "functions": [{ "namespace": "own", "members": { "f": { "parameters": [{ "name": "p", "type": "string" }], "output": { "type": "object", "value": { "[parameters('p')]": 1 } } } } }],
        "variables": { "v": "[parameters('s')]" },
        "resources": resources,
        "outputs": { "x": { "type": "object", "value": output } }
    });
    let given = json!({ "s": { "value": SECRET }, "o": { "value": { SECRET: SECRET } } });
    let shown = expand(template.clone(), &given).map_or_else(|error| format!("{error} {error:?}"), |_| String::new());
    assert!(!shown.contains(SECRET) && !shown.to_lowercase().contains(&SECRET.to_lowercase()), "{output} in {resources}: {shown}");
    let wrong = json!({ "s": { "value": "Hunter3Hunter3" }, "o": { "value": {} } });
    let error = expand(template, &wrong).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("Hunter"), "{error}");
}

#[test]
fn bodies_and_outputs_are_not_among_what_is_printed_for_debugging() {
    let template = json!({
        "parameters": { "s": { "type": "secureString" } },
        "resources": [{ "type": "A.B/c", "apiVersion": "2020-01-01", "name": "x", "properties": { "password": "[parameters('s')]" } }],
        "outputs": { "x": { "type": "string", "value": "[parameters('s')]" } }
    });
    let expanded = expand(template, &json!({ "s": { "value": SECRET } })).unwrap();
    assert_eq!(expanded.resources[0].body["properties"]["password"], json!(SECRET));
    assert!(expanded.resources[0].secret);
    assert!(!format!("{expanded:?}").contains(SECRET));
}
