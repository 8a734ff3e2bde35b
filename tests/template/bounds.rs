//! Nothing panics, nothing runs away: templates made to cost much, and templates made by chance.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use steward::template::{NothingDeployed, Template, limits};

use super::{evaluate, evaluate_with, expand, in_group, in_subscription};

/// Far more than any of these takes, and far less than one that runs away.
const TIME_MAX: Duration = Duration::from_secs(60);

#[expect(clippy::disallowed_methods, reason = "this test asks how long something takes")]
fn timed<T>(what: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = what();
    assert!(start.elapsed() < TIME_MAX, "{:?}", start.elapsed());
    result
}

/// It ends in time, and with the bound that is named.
#[track_caller]
fn stopped(template: Value, bound: &str) {
    let error = timed(|| expand(template, &Value::Null)).unwrap_err().to_string();
    assert!(error.contains(bound), "{error}");
}

fn with_variables(variables: Value, output: &str) -> Value {
    json!({ "variables": variables, "resources": [], "outputs": { "x": { "type": "object", "value": output } } })
}

/// Variables of which each is made from the one before.
fn chain(count: usize, first: &str, next: impl Fn(&str) -> String) -> Value {
    let mut variables = Map::new();
    variables.insert("v000".to_owned(), json!(first));
    for at in 1..count {
        let before = format!("variables('v{:03}')", at - 1);
        variables.insert(format!("v{at:03}"), json!(format!("[{}]", next(&before))));
    }
    with_variables(Value::Object(variables), &format!("[variables('v{:03}')]", count - 1))
}

const STEPS: &str = "steps to evaluate this template";

#[test]
fn values_that_double_stop() {
    stopped(chain(60, "[createArray(1)]", |before| format!("createArray({before}, {before})")), STEPS);
    stopped(chain(60, "[createObject('a', 1)]", |before| format!("createObject('a', {before}, 'b', {before})")), STEPS);
    stopped(chain(60, "x", |before| format!("concat({before}, {before})")), "bytes in a string");
    stopped(chain(60, "x", |before| format!("replace('aaaaaaaa', 'a', {before})")), "bytes in a string");
    stopped(chain(60, "x", |before| format!("format('{{0}}{{0}}', {before})")), "bytes in a string");
    stopped(chain(200, "[createArray(1)]", |before| format!("createArray({before})")), "values inside each other");
}

#[test]
fn deep_values_and_calls_stop() {
    // The first variable is asked for first and opens all the others.
    let open = |at: usize| if at < 250 { format!("[concat(variables('v{:03}'), '')]", at + 1) } else { "x".to_owned() };
    let chain = (0..=250).map(|at| (format!("v{at:03}"), json!(open(at)))).collect::<Map<_, _>>();
    stopped(with_variables(Value::Object(chain), "x"), "calls and values inside each other");

    let nested = |depth: usize, leaf: &str| (0..depth).fold(json!(leaf), |value, _| json!([value]));
    let both = json!({ "a": nested(90, "[variables('b')]"), "b": nested(90, "[variables('c')]"), "c": nested(90, "x") });
    stopped(with_variables(both, "x"), "calls and values inside each other");
    stopped(json!({ "resources": nested(200, "x") }), "values inside each other");
    let calls = format!("[{}1{}]", "createArray(".repeat(100), ")".repeat(100));
    stopped(with_variables(json!({ "a": calls }), "x"), "calls and properties inside each other");
    let members = format!("[subscription(){}]", ".a".repeat(100));
    stopped(with_variables(json!({ "a": members }), "x"), "calls and properties inside each other");
    let long = format!("[concat({}'')]", "'', ".repeat(8_000));
    stopped(with_variables(json!({ "a": long }), "x"), "characters in an expression");
    let text = format!("{{ \"resources\": {}{} }}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(Template::parse(&text).unwrap_err().to_string().contains("recursion limit exceeded"));
}

#[test]
fn loops_inside_each_other_stop() {
    let inside = "map(range(0, 10000), lambda('y', 1))";
    stopped(with_variables(json!({ "a": format!("[map(range(0, 10000), lambda('x', {inside}))]") }), "x"), STEPS);
    let compares = "[length(filter(range(0, 10000), lambda('x', contains(variables('big'), lambdaVariables('x')))))]";
    stopped(with_variables(json!({ "big": "[range(0, 10000)]", "a": compares }), "x"), STEPS);
    stopped(with_variables(json!({ "a": "[union(range(0, 10000), range(5000, 10000))]" }), "x"), STEPS);
    stopped(
        with_variables(json!({ "a": "[reduce(range(0, 10000), null(), lambda('a', 'b', createArray(lambdaVariables('a'))))]" }), "x"),
        "values inside each other",
    );
    let copy = |input: Value| json!([{ "name": "l", "count": 800, "input": input }]);
    let loops = json!({ "a": { "copy": copy(json!({ "copy": [{ "name": "m", "count": 800, "input": { "copy": [{ "name": "n", "count": 800, "input": 1 }] } }] })) } });
    stopped(with_variables(loops, "x"), STEPS);
    let twice = json!([{ "namespace": "own", "members": { "f": { "parameters": [{ "name": "n" }], "output": { "value": "[if(equals(parameters('n'), 0), 1, add(own.f(sub(parameters('n'), 1)), own.f(sub(parameters('n'), 1))))]" } } } }]);
    stopped(json!({ "functions": twice, "resources": [], "variables": { "a": "[own.f(30)]" } }), STEPS);
}

#[test]
fn long_texts_in_loops_stop() {
    let long = "x".repeat(2_000_000);
    let resource = |mut extra: Value| {
        extra["type"] = json!("A.B/c");
        extra["apiVersion"] = json!("2020-01-01");
        extra["name"] = json!("[string(copyIndex())]");
        json!({ "resources": [extra] })
    };
    let copy = json!({ "name": "l", "count": 800 });
    stopped(resource(json!({ "copy": copy, "properties": { "a": long } })), STEPS);
    stopped(resource(json!({ "copy": copy, "properties": { &long: 1 } })), STEPS);
    stopped(resource(json!({ "copy": { "name": long, "count": 800 } })), STEPS);
    stopped(resource(json!({ "copy": copy, "dependsOn": vec!["l"; 1_000] })), STEPS);
    let inner = json!({ "functions": [{ "namespace": "a", "members": { "b": { "output": { "value": long } } } }], "resources": [] });
    let properties = json!({ "expressionEvaluationOptions": { "scope": "inner" }, "template": inner });
    let nested = json!({ "type": "Microsoft.Resources/deployments", "apiVersion": "2020-01-01", "name": "[string(copyIndex())]", "copy": copy, "properties": properties });
    stopped(json!({ "resources": [nested] }), STEPS);
}

#[test]
fn counts_have_bounds() {
    let many = |count: usize, value: Value| (0..count).map(|at| (format!("x{at}"), value.clone())).collect::<Map<_, _>>();
    let string = json!({ "type": "string", "defaultValue": "" });
    stopped(json!({ "resources": [], "parameters": many(limits::PARAMETERS_MAX + 1, string) }), "too many parameters: the limit is 256");
    stopped(json!({ "resources": [], "variables": many(limits::VARIABLES_MAX + 1, json!(1)) }), "too many variables: the limit is 256");
    stopped(
        json!({ "resources": [], "outputs": many(limits::OUTPUTS_MAX + 1, json!({ "value": 1 })) }),
        "too many outputs: the limit is 64",
    );
    let looped = |count: usize| json!({ "type": "A.B/c", "apiVersion": "2020-01-01", "name": "[format('{0}-{1}', 'x', copyIndex())]", "copy": { "name": "l", "count": count } });
    let mut other = looped(1);
    other["name"] = json!("other");
    stopped(json!({ "resources": [looped(801)] }), "turns of a loop");
    stopped(json!({ "resources": [looped(800), other] }), "too many resources: the limit is 800");
    assert_eq!(expand(json!({ "resources": [looped(800)] }), &Value::Null).unwrap().resources.len(), 800);
    let mut depends = looped(1);
    depends["dependsOn"] = json!(vec!["l"; 1_001]);
    stopped(json!({ "resources": [depends] }), "too many dependencies of a resource: the limit is 1000");
    let children =
        (0..20).fold(json!([]), |inner, _| json!([{ "type": "c", "apiVersion": "2020-01-01", "name": "x", "resources": inner }]));
    let parent = json!({ "type": "A.B/c", "apiVersion": "2020-01-01", "name": "x", "resources": children });
    stopped(json!({ "resources": [parent] }), "too many parts in the type of a resource: the limit is 16");
    let nested = (0..9).fold(json!([]), |inner, at| json!([{ "type": "Microsoft.Resources/deployments", "apiVersion": "2020-01-01", "name": format!("n{at}"), "properties": { "template": { "resources": inner } } }]));
    stopped(json!({ "resources": nested }), "too many nested deployments inside each other: the limit is 8");
    let text = format!("{{ \"resources\": [] }}{}", " ".repeat(limits::TEMPLATE_BYTES_MAX));
    assert!(Template::parse(&text).unwrap_err().to_string().contains("too many bytes of text: the limit is 4194304"));
}

#[test]
fn a_large_template_of_a_real_kind_is_well_below_the_bounds() {
    let authorization = json!({ "principalId": "[parameters('people')[copyIndex('authorizations')].id]", "roleDefinitionId": "[guid(parameters('people')[copyIndex('authorizations')].role)]" });
    let definition = json!({
        "type": "Microsoft.ManagedServices/registrationDefinitions",
        "apiVersion": "2022-10-01",
        "name": "[guid(subscription().id, string(copyIndex()))]",
        "copy": { "name": "definitions", "count": 200 },
        "properties": {
            "registrationDefinitionName": "[format('Offer {0}', copyIndex())]",
            "copy": [{ "name": "authorizations", "count": "[length(parameters('people'))]", "input": authorization }]
        }
    });
    let people: Vec<_> = (0..100).map(|at| json!({ "id": format!("p{at}"), "role": "reader", "name": "A person with a name" })).collect();
    let template = json!({ "parameters": { "people": { "type": "array", "defaultValue": people } }, "resources": [definition] });
    let expanded = timed(|| expand(template, &Value::Null)).unwrap();
    assert_eq!(expanded.resources.len(), 200);
    assert_eq!(expanded.resources[199].body["properties"]["authorizations"].as_array().map(Vec::len), Some(100));
}

fn names() -> impl Strategy<Value = String> {
    let functions = "add and array base64 base64ToJson base64ToString bool coalesce concat contains copyIndex createArray createObject dataUri \
        dataUriToString dateTimeAdd dateTimeFromEpoch dateTimeToEpoch deployment div empty endsWith equals extensionResourceId fail filter first \
        flatten float format greater groupBy guid if indexOf int intersection items join json lambda lambdaVariables last lastIndexOf length less \
        listKeys managementGroup map mapValues max min mod mul newGuid not null objectKeys or padLeft parameters range reduce reference replace \
        resourceGroup resourceId shallowMerge skip sort split startsWith string sub subscription subscriptionResourceId substring take tenant \
        toObject toLower toUpper trim tryGet union uniqueString uri uriComponent uriComponentToString utcNow variables own.f unknown";
    proptest::sample::select(functions.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
}

fn literals() -> impl Strategy<Value = String> {
    let fixed = [
        "''",
        "'a'",
        "'A.B/c'",
        "'x'",
        "'{0}'",
        "'{0:D9}{1,-3}'",
        "'ä𐍈ß'",
        "'2020-01-01T00:00:00Z'",
        "'P1Y2M'",
        "'yyyy MMM f'",
        "0",
        "-1",
        "9223372036854775807",
        "10000",
        "true",
        "null",
    ];
    prop_oneof![
        4 => proptest::sample::select(fixed.map(str::to_owned).to_vec()),
        1 => any::<i64>().prop_map(|int| int.to_string()),
        1 => "\\PC{0,8}".prop_map(|text| format!("'{}'", text.replace('\'', "''"))),
    ]
}

fn expressions() -> impl Strategy<Value = String> {
    literals().prop_recursive(5, 40, 4, |inner| {
        let call =
            (names(), prop::collection::vec(inner.clone(), 0..4)).prop_map(|(name, arguments)| format!("{name}({})", arguments.join(", ")));
        let lambda = (proptest::sample::select(vec!["map", "filter", "sort", "toObject", "groupBy"]), inner.clone(), inner.clone())
            .prop_map(|(name, array, body)| format!("{name}({array}, lambda('x', 'y', {body}))"));
        prop_oneof![
            6 => call,
            1 => lambda,
            1 => (inner.clone(), inner.clone()).prop_map(|(of, index)| format!("createArray({of}, 'b')[{index}]")),
            1 => inner.prop_map(|of| format!("createObject('a', {of}).a")),
        ]
    })
}

/// A piece of a template: names that mean something, expressions, plain values.
fn pieces() -> impl Strategy<Value = Value> {
    let names = [
        "name",
        "type",
        "copy",
        "count",
        "input",
        "properties",
        "template",
        "resources",
        "parameters",
        "value",
        "condition",
        "scope",
        "dependsOn",
        "outputs",
        "mode",
        "defaultValue",
        "functions",
        "resourceGroup",
    ];
    let leaf = prop_oneof![
        3 => expressions().prop_map(|text| json!(format!("[{text}]"))),
        1 => "\\PC{0,12}".prop_map(|text| json!(text)),
        1 => any::<i32>().prop_map(|int| json!(int)),
        1 => any::<bool>().prop_map(|bool| json!(bool)),
        1 => Just(Value::Null),
        2 => proptest::sample::select(vec!["Microsoft.Resources/deployments", "A.B/c", "string", "inner", "x", "loop", "array"]).prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(4, 30, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::hash_map(proptest::sample::select(names.map(str::to_owned).to_vec()), inner, 0..5)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Puts a piece in the place of the `at`th value of a template.
fn replace(value: &mut Value, at: &mut usize, piece: &Value) {
    if *at == 0 {
        *value = piece.clone();
    }
    *at = at.wrapping_sub(1);
    value.as_array_mut().into_iter().flatten().for_each(|item| replace(item, at, piece));
    value.as_object_mut().into_iter().flatten().for_each(|(_, item)| replace(item, at, piece));
}

fn sample(name: &str) -> Value {
    let path = format!("{}/tests/data/templates/{name}.json", env!("CARGO_MANIFEST_DIR"));
    steward::template::parse_parameters(&std::fs::read_to_string(path).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        drop(Template::parse(&text));
        drop(evaluate(&format!("[{text}]")));
    }

    #[test]
    fn any_expression_has_a_value_or_a_reason(expression in expressions()) {
        let sections = json!({
            "functions": [{ "namespace": "own", "members": { "f": { "parameters": [{ "name": "a" }], "output": { "value": "[concat(parameters('a'), 'x')]" } } } }],
            "variables": { "x": [1, "b", { "c": null }] },
            "parameters": { "x": { "type": "string", "defaultValue": "d" } },
        });
        for scope in [in_subscription(), in_group()] {
            let error = timed(|| evaluate_with(&scope, sections.clone(), &format!("[{expression}]"))).err();
            prop_assert!(error.is_none_or(|error| !error.path.is_empty()));
        }
    }

    #[test]
    fn any_template_expands_or_is_refused(
        name in proptest::sample::select(vec!["subscription", "group", "groups", "modules", "policy"]),
        changes in prop::collection::vec((0..200_usize, pieces()), 1..4),
    ) {
        let mut template = sample(name);
        for (mut at, piece) in changes {
            replace(&mut template, &mut at, &piece);
        }
        let parameters = json!({
            "offer": { "value": "Fabrikam" }, "managingTenant": { "value": "t" }, "authorizations": { "value": [{ "principalId": "p" }] }
        });
        for given in [&parameters, &Value::Null] {
            if let Ok(expanded) = timed(|| expand(template.clone(), given)) {
                for resource in &expanded.resources {
                    drop(resource.resolve(&NothingDeployed));
                    prop_assert!(resource.depends_on.iter().all(|id| expanded.resources.iter().any(|other| other.id == *id)));
                }
                drop(expanded.resolve_outputs(&NothingDeployed));
            }
        }
    }
}
