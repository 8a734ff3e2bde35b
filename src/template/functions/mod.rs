//! The functions of the language: names, how many arguments they take, and what they do.

mod collections;
mod context;
mod dates;
mod encode;
mod format;
mod hash;
mod lambdas;
mod logic;
mod numbers;
mod scopes;
mod strings;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::error::Reason;
use super::evaluate::{Call, Eval, Evaluator, View};
use super::value::{cost, kind, outer_cost};

pub(super) use scopes::{place_id, scope_for};

/// One function.
pub(super) struct Function {
    /// As documented.
    pub(super) name: &'static str,
    least: usize,
    most: usize,
    pub(super) body: Body,
}

/// What a function does.
#[derive(Clone, Copy)]
pub(super) enum Body {
    /// A value from values, and what that costs.
    Pure(fn(&Arguments<'_>) -> Result<Value, Reason>, Work),
    /// Something that depends on where it stands, or that does not compute all of its arguments.
    Special(Special),
    /// Known, and left out for a reason.
    Refused(&'static str),
}

type Special = for<'a, 'e> fn(&mut Evaluator<'_>, View<'a>, Call<'e>) -> Eval<'a>;

/// How the cost of a function grows with its arguments.
#[derive(Clone, Copy)]
pub(super) enum Work {
    /// With everything in them: values are compared.
    Inside,
    /// With their lengths.
    Outside,
    /// With the product of their lengths, and with everything in them: each element is compared with each.
    Product,
}

/// Computed arguments of a call.
pub(super) struct Arguments<'a> {
    pub(super) function: &'static str,
    pub(super) values: &'a [Cow<'a, Value>],
}

const ANY: usize = usize::MAX;

const fn pure(name: &'static str, least: usize, most: usize, compute: fn(&Arguments<'_>) -> Result<Value, Reason>) -> Function {
    Function { name, least, most, body: Body::Pure(compute, Work::Outside) }
}

const fn compares(name: &'static str, work: Work, most: usize, compute: fn(&Arguments<'_>) -> Result<Value, Reason>) -> Function {
    Function { name, least: 2, most, body: Body::Pure(compute, work) }
}

const fn special(name: &'static str, least: usize, most: usize, compute: Special) -> Function {
    Function { name, least, most, body: Body::Special(compute) }
}

const fn refused(name: &'static str, why: &'static str) -> Function {
    Function { name, least: 0, most: ANY, body: Body::Refused(why) }
}

const NO_SECRETS: &str = "keys and secrets of resources are not read here; pass what is needed as a parameter";
const NO_QUESTIONS: &str = "nothing is asked while a template is evaluated; write the value or make it a parameter";
const NO_ADDRESSES: &str = "addresses are not computed here; write them or make them parameters";

static FUNCTIONS: &[Function] = &[
    pure("add", 2, 2, numbers::add),
    special("and", 2, ANY, logic::and),
    pure("array", 1, 1, collections::array),
    pure("base64", 1, 1, encode::base64),
    pure("base64ToJson", 1, 1, encode::base64_to_json),
    pure("base64ToString", 1, 1, encode::base64_to_string),
    pure("bool", 1, 1, logic::bool),
    refused("cidrHost", NO_ADDRESSES),
    refused("cidrSubnet", NO_ADDRESSES),
    special("coalesce", 1, ANY, logic::coalesce),
    pure("concat", 1, ANY, strings::concat),
    compares("contains", Work::Inside, 2, collections::contains),
    special("copyIndex", 0, 2, context::copy_index),
    pure("createArray", 0, ANY, collections::create_array),
    Function { least: 0, ..compares("createObject", Work::Product, ANY, collections::create_object) },
    pure("dataUri", 1, 1, encode::data_uri),
    pure("dataUriToString", 1, 1, encode::data_uri_to_string),
    pure("dateTimeAdd", 2, 3, dates::date_time_add),
    pure("dateTimeFromEpoch", 1, 1, dates::date_time_from_epoch),
    pure("dateTimeToEpoch", 1, 1, dates::date_time_to_epoch),
    refused("deployer", NO_QUESTIONS),
    special("deployment", 0, 0, context::deployment),
    pure("div", 2, 2, numbers::div),
    pure("empty", 1, 1, collections::empty),
    pure("endsWith", 2, 2, strings::ends_with),
    special("environment", 0, 0, context::environment),
    compares("equals", Work::Inside, 2, logic::equals),
    special("extensionResourceId", 3, ANY, scopes::extension_resource_id),
    refused("externalInput", NO_QUESTIONS),
    special("fail", 1, 1, context::fail),
    pure("false", 0, 0, logic::false_),
    special("filter", 2, 2, lambdas::filter),
    pure("first", 1, 1, collections::first),
    pure("flatten", 1, 1, collections::flatten),
    pure("float", 1, 1, numbers::float),
    pure("format", 1, ANY, format::format),
    pure("greater", 2, 2, logic::greater),
    pure("greaterOrEquals", 2, 2, logic::greater_or_equals),
    special("groupBy", 2, 2, lambdas::group_by),
    pure("guid", 1, ANY, strings::guid),
    special("if", 3, 3, logic::if_),
    pure("indexOf", 2, 2, strings::index_of),
    pure("int", 1, 1, numbers::int),
    compares("intersection", Work::Product, ANY, collections::intersection),
    pure("items", 1, 1, collections::items),
    pure("join", 2, 2, strings::join),
    pure("json", 1, 1, collections::json),
    special("lambda", 1, ANY, lambdas::misplaced),
    special("lambdaVariables", 1, 1, lambdas::variables),
    pure("last", 1, 1, collections::last),
    pure("lastIndexOf", 2, 2, strings::last_index_of),
    pure("length", 1, 1, collections::length),
    pure("less", 2, 2, logic::less),
    pure("lessOrEquals", 2, 2, logic::less_or_equals),
    special("managementGroup", 0, 0, scopes::management_group),
    special("managementGroupResourceId", 2, ANY, scopes::management_group_resource_id),
    special("map", 2, 2, lambdas::map),
    special("mapValues", 2, 2, lambdas::map_values),
    pure("max", 1, ANY, numbers::max),
    pure("min", 1, ANY, numbers::min),
    pure("mod", 2, 2, numbers::mod_),
    pure("mul", 2, 2, numbers::mul),
    special("newGuid", 0, 0, dates::new_guid),
    pure("not", 1, 1, logic::not),
    pure("null", 0, 0, logic::null),
    pure("objectKeys", 1, 1, collections::object_keys),
    special("or", 2, ANY, logic::or),
    pure("padLeft", 2, 3, strings::pad_left),
    special("parameters", 1, 1, context::parameters),
    refused("parseCidr", NO_ADDRESSES),
    refused("pickZones", NO_QUESTIONS),
    refused("providers", NO_QUESTIONS),
    pure("range", 2, 2, numbers::range),
    special("reduce", 3, 3, lambdas::reduce),
    special("reference", 1, 3, context::reference),
    refused("references", NO_QUESTIONS),
    pure("replace", 3, 3, strings::replace),
    special("resourceGroup", 0, 0, scopes::resource_group),
    special("resourceId", 2, ANY, scopes::resource_id),
    refused("roleDefinitions", NO_QUESTIONS),
    pure("shallowMerge", 1, 1, collections::shallow_merge),
    pure("skip", 2, 2, collections::skip),
    special("sort", 2, 2, lambdas::sort),
    pure("split", 2, 2, strings::split),
    pure("startsWith", 2, 2, strings::starts_with),
    pure("string", 1, 1, collections::string),
    pure("sub", 2, 2, numbers::sub),
    special("subscription", 0, 0, scopes::subscription),
    special("subscriptionResourceId", 2, ANY, scopes::subscription_resource_id),
    pure("substring", 2, 3, strings::substring),
    pure("take", 2, 2, collections::take),
    special("tenant", 0, 0, scopes::tenant),
    special("tenantResourceId", 2, ANY, scopes::tenant_resource_id),
    special("toObject", 2, 3, lambdas::to_object),
    pure("toLower", 1, 1, strings::to_lower),
    pure("toUpper", 1, 1, strings::to_upper),
    pure("trim", 1, 1, strings::trim),
    pure("true", 0, 0, logic::true_),
    pure("tryGet", 2, ANY, collections::try_get),
    Function { least: 1, ..compares("union", Work::Product, ANY, collections::union) },
    pure("uniqueString", 1, ANY, strings::unique_string),
    pure("uri", 2, 2, encode::uri),
    pure("uriComponent", 1, 1, encode::uri_component),
    pure("uriComponentToString", 1, 1, encode::uri_component_to_string),
    special("utcNow", 0, 1, dates::utc_now),
    special("variables", 1, 1, context::variables),
];

/// `listKeys`, `listSecrets` and whatever else a provider offers.
static LIST: Function = refused("list…", NO_SECRETS);

static BY_NAME: LazyLock<HashMap<String, &'static Function>> =
    LazyLock::new(|| FUNCTIONS.iter().map(|function| (function.name.to_lowercase(), function)).collect());

/// A function by its name, compared without case.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    let name = name.to_lowercase();
    BY_NAME.get(&name).copied().or_else(|| name.starts_with("list").then_some(&LIST))
}

/// Names of all functions that can be used.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().filter(|function| !matches!(function.body, Body::Refused(_))).map(|function| function.name)
}

/// `1 argument`, `3 arguments`.
pub(super) fn count(arguments: usize) -> String {
    format!("{arguments} argument{}", if arguments == 1 { "" } else { "s" })
}

impl Function {
    pub(super) fn check_arity(&self, given: usize) -> Result<(), Reason> {
        if (self.least..=self.most).contains(&given) {
            return Ok(());
        }
        let expected = match (self.least, self.most) {
            (least, most) if least == most => count(least),
            (least, ANY) => format!("{} or more", count(least)),
            (least, most) => format!("{least} to {}", count(most)),
        };
        Err(Reason::Arity { function: self.name.to_owned(), expected, given })
    }
}

impl Work {
    /// What a call with these arguments costs.
    pub(super) fn cost(self, values: &[Cow<'_, Value>]) -> u64 {
        let lengths = values.iter().map(|value| outer_cost(value)).fold(0, u64::saturating_add);
        let inside = || values.iter().filter_map(|value| cost(value)).fold(0, u64::saturating_add);
        match self {
            Self::Outside => lengths,
            Self::Inside => inside(),
            Self::Product => inside().saturating_add(lengths.saturating_mul(lengths) / 8),
        }
    }
}

impl Arguments<'_> {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn fault(&self, problem: impl Into<String>) -> Reason {
        Reason::Argument { function: self.function.to_owned(), problem: problem.into() }
    }

    pub(super) fn shape(&self, at: usize, expected: &str) -> Reason {
        let what = format!("argument {} of `{}`", at + 1, self.function);
        Reason::Shape { what, expected: expected.to_owned(), found: kind(self.get(at)) }
    }

    pub(super) fn get(&self, at: usize) -> &Value {
        static NULL: Value = Value::Null;
        self.values.get(at).map_or(&NULL, |value| value)
    }

    pub(super) fn str(&self, at: usize) -> Result<&str, Reason> {
        self.get(at).as_str().ok_or_else(|| self.shape(at, "a string"))
    }

    pub(super) fn int(&self, at: usize) -> Result<i64, Reason> {
        self.get(at).as_i64().ok_or_else(|| self.shape(at, "an int"))
    }

    pub(super) fn bool(&self, at: usize) -> Result<bool, Reason> {
        self.get(at).as_bool().ok_or_else(|| self.shape(at, "a bool"))
    }

    pub(super) fn array(&self, at: usize) -> Result<&Vec<Value>, Reason> {
        self.get(at).as_array().ok_or_else(|| self.shape(at, "an array"))
    }

    pub(super) fn object(&self, at: usize) -> Result<&Map<String, Value>, Reason> {
        self.get(at).as_object().ok_or_else(|| self.shape(at, "an object"))
    }

    /// A string, int or bool as the text that stands for it in a longer one.
    pub(super) fn text(&self, at: usize) -> Result<Cow<'_, str>, Reason> {
        plain_text(self.get(at)).ok_or_else(|| self.shape(at, "a string, int or bool"))
    }
}

/// The text of a string, int or bool.
pub(super) fn plain_text(value: &Value) -> Option<Cow<'_, str>> {
    if let Some(text) = value.as_str() {
        return Some(Cow::Borrowed(text));
    }
    let bool = value.as_bool().map(|value| Cow::Borrowed(if value { "True" } else { "False" }));
    bool.or_else(|| value.as_i64().map(|value| Cow::Owned(value.to_string())))
}
