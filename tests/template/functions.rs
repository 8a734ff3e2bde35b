//! One table per group of functions. Values are those of the public documentation where it has an example.

use serde_json::{Value, json};

use super::{OTHER_SUBSCRIPTION, SUBSCRIPTION, TENANT, evaluate, evaluate_with, in_group, in_subscription};

#[track_caller]
fn check(expression: &str, expected: Value) {
    assert_eq!(evaluate(&format!("[{expression}]")).map_err(|error| error.to_string()), Ok(expected), "{expression}");
}

/// The reason, which stands after the place.
#[track_caller]
fn refused(expression: &str, expected: &str) {
    let error = evaluate(&format!("[{expression}]")).unwrap_err().to_string();
    let reason = error.split_once(": ").map(|(_, reason)| reason.to_owned());
    assert_eq!(reason.as_deref(), Some(expected), "{expression}");
}

#[test]
fn strings() {
    check("concat('a', 'b', 1, true)", json!("ab1True"));
    check("concat(createArray(1), createArray('x', 2))", json!([1, "x", 2]));
    check("toLower('One Two')", json!("one two"));
    check("toUpper('One Two')", json!("ONE TWO"));
    check("trim('  one two ')", json!("one two"));
    check("startsWith('abcdef', 'AB')", json!(true));
    check("endsWith('abcdef', 'EF')", json!(true));
    check("endsWith('abcdef', 'e')", json!(false));
    check("indexOf('test', 't')", json!(0));
    check("lastIndexOf('test', 'T')", json!(3));
    check("indexOf('abcdef', 'CD')", json!(2));
    check("indexOf('abcdef', 'z')", json!(-1));
    check("indexOf('\u{10348}b', 'b')", json!(2));
    check("replace('123-123-1234', '-', '')", json!("1231231234"));
    check("padLeft('123', 10, '0')", json!("0000000123"));
    check("padLeft(7, 3)", json!("  7"));
    check("padLeft('1234', 2, '0')", json!("1234"));
    check("substring('one two three', 4, 3)", json!("two"));
    check("substring('one', 1)", json!("ne"));
    check("split('one,two,three', ',')", json!(["one", "two", "three"]));
    check("split('one;two,three', createArray(',', ';'))", json!(["one", "two", "three"]));
    check("split('', ',')", json!([""]));
    check("split(',a,', ',')", json!(["", "a", ""]));
    check("join(createArray('a', 'b', 3), '-')", json!("a-b-3"));
    check("string(createObject('valueA', 10, 'valueB', 'Example'))", json!("{\"valueA\":10,\"valueB\":\"Example\"}"));
    check("string(createArray('a', true))", json!("[\"a\",true]"));
    check("string(5)", json!("5"));
    check("string('x')", json!("x"));
    check("guid('Relecloud Managed Services')", json!("a284898a-fc04-581d-aca0-047861d06160"));
    check("equals(guid('a', 'b'), guid('a-b'))", json!(true));
    check("uniqueString('fu', 'bar')", json!("q5wxoscxs5j6k"));
    refused("substring('one', 1, 3)", "`substring` cannot be computed: start 1 and length 3 lead out of a text of 3 characters");
    refused("substring('one', -1)", "`substring` cannot be computed: start -1 and length to the end lead out of a text of 3 characters");
    refused("replace('a', '', 'b')", "`replace` cannot be computed: the text to replace is empty");
    refused("padLeft('a', 3, 'xy')", "`padLeft` cannot be computed: it pads with exactly one character");
    refused("take('\u{10348}', 1)", "`take` cannot be computed: this would cut a character in two");
    refused("toLower(1)", "argument 1 of `toLower` has to be a string, not an int");
    refused("concat('a', null())", "argument 2 of `concat` has to be a string, int or bool, not null");
    refused("string(null())", "argument 1 of `string` has to be a value, not null");
}

#[test]
fn formats() {
    check("format('{0}, {1}. Formatted number: {2:N0}', 'Hello', 'User', 8175133)", json!("Hello, User. Formatted number: 8,175,133"));
    check("format('{{0}} {0}{0}', 'a')", json!("{0} aa"));
    check("format('vm{0:D3}-{1:00}', 7, 5)", json!("vm007-05"));
    check("format('{0:X}{1:x4}', 255, 255)", json!("FF00ff"));
    check("format('{0:N}|{1:F1}', -1234, 5)", json!("-1,234.00|5.0"));
    check("format('[{0,4}|{1,-4}]', 'ab', 'cd')", json!("[  ab|cd  ]"));
    check("format('plain')", json!("plain"));
    refused("format('{1}', 'a')", "`format` cannot be computed: {1} asks for a value that is not there; the first value is {0}");
    refused("format('{0', 'a')", "`format` cannot be computed: a { or } stands alone; write {{ or }} for the character");
    refused("format('{0:Q}', 1)", "format `Q` is not supported: write D2, N0, F0, X, or zeros such as 000, or leave it out");
    refused("format('{0}', createArray())", "argument 2 of `format` has to be a string, int or bool, not an array");
}

#[test]
fn numbers() {
    check("add(5, 3)", json!(8));
    check("sub(7, 3)", json!(4));
    check("mul(5, 3)", json!(15));
    check("div(8, 3)", json!(2));
    check("mod(7, 3)", json!(1));
    check("div(-8, 3)", json!(-2));
    check("min(0, 3, 2)", json!(0));
    check("max(createArray(0, 3, 2, 5, 4))", json!(5));
    check("range(5, 3)", json!([5, 6, 7]));
    check("range(0, 0)", json!([]));
    check("int('4')", json!(4));
    check("float('3.5')", json!(3.5));
    refused("div(1, 0)", "`div` cannot be computed: division by 0");
    refused("mod(1, 0)", "`mod` cannot be computed: division by 0");
    refused("add(9223372036854775807, 1)", "`add` cannot be computed: the result is too large");
    refused("div(-9223372036854775808, -1)", "`div` cannot be computed: the result is too large");
    refused("range(0, 10001)", "`range` cannot be computed: the count has to be from 0 to 10000");
    refused("range(2147483647, 1)", "`range` cannot be computed: start and count together have to stay within 32 bits");
    refused("int('four')", "argument 1 of `int` has to be an int or a string of digits, not a string");
    refused("min(createArray())", "`min` cannot be computed: the array has to hold ints, at least one");
}

#[test]
fn logic() {
    check("and(true, bool('false'))", json!(false));
    check("or(true(), false())", json!(true));
    check("not(bool(0))", json!(true));
    check("if(equals('a', 'a'), 'yes', div(1, 0))", json!("yes"));
    check("if(false, div(1, 0), 'no')", json!("no"));
    check("equals(createArray('a', 1), createArray('a', 1))", json!(true));
    check("equals(createObject('A', 1), createObject('a', 1))", json!(true));
    check("equals('a', 'A')", json!(false));
    check("equals(1, '1')", json!(false));
    check("less(1, 2)", json!(true));
    check("lessOrEquals(2, 2)", json!(true));
    check("greaterOrEquals(1, 2)", json!(false));
    check("greater('A', 'a')", json!(true));
    check("less('A', 'a')", json!(false));
    check("less('apple', 'Banana')", json!(true));
    check("coalesce(null(), json('null'), '', 'x')", json!(""));
    check("null", Value::Null);
    check("bool('True')", json!(true));
    refused("if('true', 1, 2)", "argument 1 of `if` has to be a bool, not a string");
    refused("bool('yes')", "argument 1 of `bool` has to be 'true', 'false', an int or a bool, not a string");
    refused("less(1, 'a')", "argument 2 of `less` has to be an int, not a string");
    let text = "`less` cannot be computed: texts are compared here only when they consist of letters a to z and digits; compare numbers, or use equals";
    refused("less('a-b', 'a.b')", text);
}

#[test]
fn arrays_and_objects() {
    check("array('efgh')", json!(["efgh"]));
    check("array(createArray(1))", json!([1]));
    check("createArray()", json!([]));
    check("createObject('a', 1, 'b', createArray(2))", json!({ "a": 1, "b": [2] }));
    check("length('One Two Three')", json!(13));
    check("length(createObject('a', 1))", json!(1));
    check("empty('')", json!(true));
    check("empty(null())", json!(true));
    check("empty(createArray(0))", json!(false));
    check("contains('OneTwoThree', 'e')", json!(true));
    check("contains('OneTwoThree', 'E')", json!(false));
    check("contains(createObject('one', 1), 'ONE')", json!(true));
    check("contains(createArray('one', 2), 2)", json!(true));
    check("first('One')", json!("O"));
    check("last('One')", json!("e"));
    check("first(createArray())", Value::Null);
    check("last(createArray(1, 2))", json!(2));
    check("first('')", json!(""));
    check("take(createArray('one', 'two', 'three'), 2)", json!(["one", "two"]));
    check("take('one', 99)", json!("one"));
    check("take('one', -1)", json!(""));
    check("skip('one two three', 4)", json!("two three"));
    check("skip(createArray(1, 2), 3)", json!([]));
    check("union(createArray('one', 'two'), createArray('two', 'three'))", json!(["one", "two", "three"]));
    check("intersection(createArray('one', 'two', 'three'), createArray('two', 'three'))", json!(["two", "three"]));
    let (first, second) = ("createObject('one', 'a', 'two', 'b', 'three', 'c')", "createObject('one', 'a', 'two', 'z', 'three', 'c')");
    check(&format!("intersection({first}, {second})"), json!({ "one": "a", "three": "c" }));
    let (first, second) =
        ("json('{\"p\":{\"one\":\"a\",\"three\":\"c1\"},\"n\":[1,2]}')", "json('{\"p\":{\"three\":\"c2\",\"four\":\"d\"},\"n\":[3]}')");
    check(&format!("union({first}, {second})"), json!({ "p": { "one": "a", "three": "c2", "four": "d" }, "n": [3] }));
    check("items(createObject('item002', 2, 'item001', 1))", json!([{ "key": "item001", "value": 1 }, { "key": "item002", "value": 2 }]));
    check("objectKeys(createObject('b', 2, 'a', 1))", json!(["a", "b"]));
    check("flatten(createArray(createArray(1), createArray(2, createArray(3))))", json!([1, 2, [3]]));
    check("shallowMerge(createArray(createObject('a', 1), createObject('a', 2, 'b', 3)))", json!({ "a": 2, "b": 3 }));
    check("tryGet(createObject('a', createArray(1, 2)), 'a', 1)", json!(2));
    check("tryGet(createObject('a', 1), 'b')", Value::Null);
    check("json('[1, {\"a\": null}]')", json!([1, { "a": null }]));
    check("json('null')", Value::Null);
    check("createObject('A', createArray(1, 2)).a[1]", json!(2));
    check("createObject('a b', 1)['A B']", json!(1));
    refused(
        "createObject('a')",
        "`createObject` cannot be computed: names and values alternate, so there has to be an even number of arguments",
    );
    refused("createArray(1)[1]", "`[…]` cannot be computed: the index 1 is outside of an array of 1");
    refused("createArray(1)['a']", "what stands before […] has to be an object, for the index is a string, not an array");
    refused("createObject('one', 1).two", "no property `two`; there are `one`");
    refused("createObject().two", "no property `two`; there are none");
    refused("json('{')", "`json` cannot be computed: the text is not JSON at line 1, column 1: EOF while parsing an object");
    refused("length(1)", "argument 1 of `length` has to be a string, array or object, not an int");
    refused("union(createArray(), createObject())", "argument 2 of `union` has to be an array, not an object");
}

#[test]
fn lambdas() {
    check("map(createArray('a', 'b'), lambda('x', concat(lambdaVariables('x'), '!')))", json!(["a!", "b!"]));
    check("map(createArray('a', 'b'), lambda('x', 'i', lambdaVariables('i')))", json!([0, 1]));
    check("filter(range(0, 10), lambda('i', equals(0, mod(lambdaVariables('i'), 2))))", json!([0, 2, 4, 6, 8]));
    check("reduce(createArray(5, 3, 2, 8), 1, lambda('cur', 'next', add(lambdaVariables('cur'), lambdaVariables('next'))))", json!(19));
    check("sort(createArray(5, 3, 2, 8), lambda('a', 'b', less(lambdaVariables('a'), lambdaVariables('b'))))", json!([2, 3, 5, 8]));
    check("toObject(createArray('a', 'b'), lambda('x', lambdaVariables('x')), lambda('x', 1))", json!({ "a": 1, "b": 1 }));
    check("groupBy(createArray('ab', 'cd', 'ax'), lambda('x', first(lambdaVariables('x'))))", json!({ "a": ["ab", "ax"], "c": ["cd"] }));
    check("mapValues(createObject('a', 1), lambda('v', add(lambdaVariables('v'), 1)))", json!({ "a": 2 }));
    let nested = "map(range(0, 2), lambda('x', map(range(0, 2), lambda('y', add(mul(lambdaVariables('x'), 10), lambdaVariables('y'))))))";
    check(nested, json!([[0, 1], [10, 11]]));
    refused("map(createArray(1), 'x')", "`map` cannot be computed: argument 2 has to be lambda('name', expression), with at most 2 names");
    refused("lambdaVariables('x')", "lambda variable `x` is not there");
    let where_lambdas_stand = "it can be an argument of filter, map, reduce, sort, toObject, mapValues and groupBy only";
    refused("lambda('x', 1)", &format!("`lambda` cannot be computed: {where_lambdas_stand}"));
    refused("filter(createArray(1), lambda('x', 1))", "a lambda here has to be a bool, not an int");
}

#[test]
fn encodings() {
    check("base64('one, two, three')", json!("b25lLCB0d28sIHRocmVl"));
    check("base64ToString('b25lLCB0d28sIHRocmVl')", json!("one, two, three"));
    check("base64ToJson(base64('{\"one\": \"a\"}'))", json!({ "one": "a" }));
    check("dataUri('Hello')", json!("data:text/plain;charset=utf8;base64,SGVsbG8="));
    check("dataUriToString('data:;base64,SGVsbG8sIFdvcmxkIQ==')", json!("Hello, World!"));
    check("dataUriToString('data:,a%20b')", json!("a b"));
    check("uriComponent('http://contoso.com/a b/ü.json')", json!("http%3A%2F%2Fcontoso.com%2Fa%20b%2F%C3%BC.json"));
    check("uriComponentToString('http%3A%2F%2Fcontoso.com%2F%C3%BC%')", json!("http://contoso.com/ü%"));
    check("uri('http://contoso.org/firstpath', 'myscript.sh')", json!("http://contoso.org/myscript.sh"));
    check("uri('http://contoso.org/firstpath/', 'myscript.sh')", json!("http://contoso.org/firstpath/myscript.sh"));
    check("uri('http://contoso.org/firstpath/azuredeploy.json', 'myscript.sh')", json!("http://contoso.org/firstpath/myscript.sh"));
    check("uri('http://contoso.org/a/b.json/', 'c/../d.sh')", json!("http://contoso.org/a/b.json/d.sh"));
    check("uri('http://contoso.org', '/x?y#z')", json!("http://contoso.org/x?y#z"));
    check("uri('http://contoso.org/a/b?sig=1', '../../../c')", json!("http://contoso.org/c"));
    check("uri('http://contoso.org/a', 'https://other.org/')", json!("https://other.org/"));
    refused("base64ToString('***')", "`base64ToString` cannot be computed: the text is not base64");
    refused("uri('contoso', 'x')", "`uri` cannot be computed: the base is no absolute URI such as https://example.com/");
}

#[test]
fn dates() {
    check("dateTimeAdd('2023-01-01 00:00:00Z', 'P1Y')", json!("2024-01-01T00:00:00Z"));
    check("dateTimeAdd('2024-01-01 00:00:00Z', 'P1Y')", json!("2024-12-31T00:00:00Z"));
    check("dateTimeAdd('2023-02-01 00:00:00Z', 'P1M')", json!("2023-03-03T00:00:00Z"));
    check("dateTimeAdd('2020-04-07 14:53:14Z', '-P9DT1H', 'u')", json!("2020-03-29 13:53:14Z"));
    check("dateTimeAdd('2020-04-07T14:53:14+02:00', 'PT1M30S')", json!("2020-04-07T12:54:44Z"));
    check("dateTimeAdd('2020-04-07T14:53:14', 'PT0S')", json!("2020-04-07T14:53:14Z"));
    check("dateTimeFromEpoch(1683040573)", json!("2023-05-02T15:16:13Z"));
    check("dateTimeToEpoch('2023-05-02T15:16:13Z')", json!(1_683_040_573));
    let formats = [
        ("d", "04/07/2020"),
        ("M d", "4 7"),
        ("%d", "7"),
        ("yyyyMMddTHHmmssZ", "20200407T145314Z"),
        ("dddd, MMMM yy h:mm tt", "Tuesday, April 20 2:53 PM"),
        ("R", "Tue, 07 Apr 2020 14:53:14 GMT"),
        ("o", "2020-04-07T14:53:14.0000000Z"),
        ("yyyy-MM-dd''at'' HH\\h zzz K", "2020-04-07at 14h +00:00 Z"),
        ("ss.ffF", "14.00"),
    ];
    for (format, expected) in formats {
        check(&format!("dateTimeAdd('2020-04-07 14:53:14Z', 'PT0S', '{format}')"), json!(expected));
    }
    refused(
        "dateTimeAdd('2020-04-07', 'P')",
        "`dateTimeAdd` cannot be computed: argument 2 is no ISO 8601 duration such as P3D, PT1H or -P1Y",
    );
    refused("dateTimeAdd('soon', 'P1D')", "`dateTimeAdd` cannot be computed: argument 1 is no ISO 8601 time such as 2026-01-31T12:00:00Z");
    refused("dateTimeAdd('2020-04-07', 'P9999999999D')", "`dateTimeAdd` cannot be computed: the result is outside the years -9999 to 9999");
    refused("dateTimeAdd('2020-04-07', 'P1D', 'Q')", "`dateTimeAdd` cannot be computed: `Q` is no format of a date");
    let only = "it can be used in the default value of a parameter only; declare a parameter with it and use that";
    refused("utcNow()", &format!("`utcNow` cannot be computed: {only}"));
    refused("newGuid()", &format!("`newGuid` cannot be computed: {only}"));
}

#[test]
fn scopes() {
    check("subscription().subscriptionId", json!(SUBSCRIPTION));
    check("subscription().ID", json!(format!("/subscriptions/{SUBSCRIPTION}")));
    check("subscription().displayName", json!("Production"));
    check("subscription().tenantId", json!(TENANT));
    check("tenant().displayName", json!("Contoso"));
    check("deployment().name", json!("main"));
    check("deployment().location", json!("westeurope"));
    check("resourceId('A.B/c', 'x')", json!(format!("/subscriptions/{SUBSCRIPTION}/providers/A.B/c/x")));
    check("resourceId('A.B/c/', 'x')", json!(format!("/subscriptions/{SUBSCRIPTION}/providers/A.B/c/x")));
    check("resourceId('A.B/c/d', 'x', 'y')", json!(format!("/subscriptions/{SUBSCRIPTION}/providers/A.B/c/x/d/y")));
    check("resourceId('rg', 'A.B/c', 'x')", json!(format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/A.B/c/x")));
    let other = format!("/subscriptions/{OTHER_SUBSCRIPTION}");
    check(&format!("resourceId('{OTHER_SUBSCRIPTION}', 'A.B/c', 'x')"), json!(format!("{other}/providers/A.B/c/x")));
    check(
        &format!("resourceId('{OTHER_SUBSCRIPTION}', 'rg', 'A.B/c', 'x')"),
        json!(format!("{other}/resourceGroups/rg/providers/A.B/c/x")),
    );
    check(&format!("subscriptionResourceId('{OTHER_SUBSCRIPTION}', 'A.B/c', 'x')"), json!(format!("{other}/providers/A.B/c/x")));
    check(
        "subscriptionResourceId('Microsoft.Resources/resourceGroups', 'rg')",
        json!(format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg")),
    );
    check("tenantResourceId('A.B/c', 'x')", json!("/providers/A.B/c/x"));
    check("managementGroupResourceId('mg', 'A.B/c', 'x')", json!("/providers/Microsoft.Management/managementGroups/mg/providers/A.B/c/x"));
    check("extensionResourceId(subscription().id, 'A.B/c', 'x')", json!(format!("/subscriptions/{SUBSCRIPTION}/providers/A.B/c/x")));
    refused(
        "resourceId('A.B/c', 'x', 'y')",
        "type `A.B/c` has 1 parts after its namespace, so its name needs as many, separated by /, not 2",
    );
    refused("resourceId('A.B/c', '')", "part of a resource type or name is empty; names are made of other characters, at least one");
    refused(
        "resourceId('A.B/c', '..')",
        "part of a resource type or name consists of dots; names are made of other characters, at least one",
    );
    refused("resourceId('A.B/c', 'a?b')", "part of a resource type or name contains `?`; names are made of other characters, at least one");
    refused("resourceId('a', 'b')", "`resourceId` cannot be computed: no argument is a resource type such as 'Namespace/type'");
    refused("managementGroup()", "`managementGroup` cannot be computed: this deployment is not at a management group");
    let not_here = "this deployment is not in a resource group; it can be used in nested deployments with a resourceGroup";
    refused("resourceGroup().id", &format!("`resourceGroup` cannot be computed: {not_here}"));
}

#[test]
fn a_resource_group_knows_its_facts() {
    #[track_caller]
    fn check(expression: &str, expected: Value) {
        assert_eq!(evaluate_with(&in_group(), json!({}), expression).unwrap(), expected);
    }
    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-main");
    check("[resourceGroup().location]", json!("northeurope"));
    check("[resourceGroup().tags.team]", json!("ops"));
    check("[resourceGroup().id]", json!(group));
    check("[resourceId('A.B/c', 'x')]", json!(format!("{group}/providers/A.B/c/x")));
    check("[resourceId('Microsoft.Resources/resourceGroups', 'x')]", json!(format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/x")));
    check("[contains(deployment(), 'location')]", json!(false));
}

#[test]
fn what_is_not_known_or_not_supported_is_named() {
    refused("gid('x')", "function `gid` is not there; did you mean `guid`?");
    refused("resourceID2('x')", "function `resourceID2` is not there; did you mean `resourceId`?");
    refused("contoso.name()", "function `contoso.name` is not there");
    refused("parameters('x')", "parameter `x` is not there");
    refused("guid()", "`guid` takes 1 argument or more, not 0");
    refused("if(true, 1)", "`if` takes 3 arguments, not 2");
    refused("substring('a')", "`substring` takes 2 to 3 arguments, not 1");
    let keys = "function `list…` is not supported: keys and secrets of resources are not read here; pass what is needed as a parameter";
    refused("listKeys('x', '2020-01-01')", keys);
    let asked = "nothing is asked while a template is evaluated; write the value or make it a parameter";
    refused("pickZones('a', 'b', 'c')", &format!("function `pickZones` is not supported: {asked}"));
    let cloud = "this gateway is no public cloud and has no environment of its own; write the value or make it a parameter";
    refused("environment().name", &format!("function `environment` is not supported: {cloud}"));
}

#[test]
fn an_environment_can_be_given() {
    let scope = steward::template::DeploymentScope { environment: Some(json!({ "name": "Lab" })), ..in_subscription() };
    assert_eq!(evaluate_with(&scope, json!({}), "[environment().name]").unwrap(), json!("Lab"));
}

#[test]
fn function_names_have_no_case() {
    check("TOLOWER(Concat('A', 'B'))", json!("ab"));
}

#[test]
fn the_manual_names_functions_that_there_are() {
    let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/templates.md")).unwrap();
    let section = |from: &str, to: &str| manual.split_once(from).unwrap().1.split_once(to).unwrap().0.to_owned();
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let answer = |name: &str| evaluate(&format!("[{name}()]")).err().map(|error| error.to_string()).unwrap_or_default();
    let functions = quoted(&section("## Functions", "`utcNow` and"));
    assert!(functions.len() > 90, "{}", functions.len());
    for name in functions {
        assert!(!answer(&name).contains("is not there") && !answer(&name).contains("is not supported"), "{name}");
    }
    let refused = manual.lines().filter(|line| line.starts_with("| `deployer`") || line.starts_with("| `cidrHost`"));
    let names: Vec<_> = refused.flat_map(|line| quoted(line.split('|').nth(1).unwrap())).collect();
    assert_eq!(names.len(), 9);
    for name in names {
        assert!(answer(&name).contains("is not supported"), "{name}");
    }
}
