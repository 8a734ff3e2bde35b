//! The functions of the language: names, how many arguments they take, and what they do.

mod context;
mod scopes;
mod strings;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::error::Reason;
use super::evaluate::{Call, Eval, Evaluator, View};
use super::value::kind;

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
    /// A value from values.
    Pure(fn(&Arguments<'_>) -> Result<Value, Reason>),
    /// Something that depends on where it stands, or that does not compute all of its arguments.
    Special(Special),
    /// Known, and left out for a reason.
    Refused(&'static str),
}

type Special = for<'a, 'e> fn(&mut Evaluator<'_>, View<'a>, Call<'e>) -> Eval<'a>;

/// Computed arguments of a call.
pub(super) struct Arguments<'a> {
    pub(super) function: &'static str,
    pub(super) values: &'a [Cow<'a, Value>],
}

const ANY: usize = usize::MAX;

const fn pure(name: &'static str, least: usize, most: usize, compute: fn(&Arguments<'_>) -> Result<Value, Reason>) -> Function {
    Function { name, least, most, body: Body::Pure(compute) }
}

const fn special(name: &'static str, least: usize, most: usize, compute: Special) -> Function {
    Function { name, least, most, body: Body::Special(compute) }
}

const fn refused(name: &'static str, why: &'static str) -> Function {
    Function { name, least: 0, most: ANY, body: Body::Refused(why) }
}

const NO_SECRETS: &str = "keys and secrets of resources are not read here; pass what is needed as a parameter";

static FUNCTIONS: &[Function] = &[
    pure("concat", 1, ANY, strings::concat),
    pure("guid", 1, ANY, strings::guid),
    special("copyIndex", 0, 2, context::copy_index),
    special("deployment", 0, 0, context::deployment),
    special("environment", 0, 0, context::environment),
    special("extensionResourceId", 3, ANY, scopes::extension_resource_id),
    special("managementGroup", 0, 0, scopes::management_group),
    special("managementGroupResourceId", 2, ANY, scopes::management_group_resource_id),
    special("parameters", 1, 1, context::parameters),
    special("reference", 1, 3, context::reference),
    special("resourceGroup", 0, 0, scopes::resource_group),
    special("resourceId", 2, ANY, scopes::resource_id),
    special("subscription", 0, 0, scopes::subscription),
    special("subscriptionResourceId", 2, ANY, scopes::subscription_resource_id),
    special("tenant", 0, 0, scopes::tenant),
    special("tenantResourceId", 2, ANY, scopes::tenant_resource_id),
    special("variables", 1, 1, context::variables),
    refused("listKeys", NO_SECRETS),
];

static BY_NAME: LazyLock<HashMap<String, &'static Function>> =
    LazyLock::new(|| FUNCTIONS.iter().map(|function| (function.name.to_lowercase(), function)).collect());

/// A function by its name, compared without case.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    BY_NAME.get(&name.to_lowercase()).copied()
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
