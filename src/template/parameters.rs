//! Parameters: what a template declares and what it is given.

use serde_json::{Map, Value};

use super::error::{Reason, TemplateError, nearest, quoted};
use super::frame::{Closure, Slot, Slots, Source};
use super::limits;
use super::value::{child, get, kind, same};

/// Types that a parameter can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Array,
    Bool,
    Int,
    Object,
    SecureObject,
    SecureString,
    String,
}

const TYPES: [(&str, Type); 7] = [
    ("array", Type::Array),
    ("bool", Type::Bool),
    ("int", Type::Int),
    ("object", Type::Object),
    ("secureObject", Type::SecureObject),
    ("secureString", Type::SecureString),
    ("string", Type::String),
];

impl Type {
    fn named(name: &str) -> Option<Self> {
        TYPES.iter().find(|(known, _)| same(known, name)).map(|(_, kind)| *kind)
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Array => "an array",
            Self::Bool => "a bool",
            Self::Int => "an int",
            Self::Object | Self::SecureObject => "an object",
            Self::SecureString | Self::String => "a string",
        }
    }

    /// As the answer to a GET of a deployment spells it.
    const fn shown(self) -> &'static str {
        match self {
            Self::Array => "Array",
            Self::Bool => "Bool",
            Self::Int => "Int",
            Self::Object => "Object",
            Self::SecureObject => "SecureObject",
            Self::SecureString => "SecureString",
            Self::String => "String",
        }
    }

    fn takes(self, value: &Value) -> bool {
        match self {
            Self::Array => value.is_array(),
            Self::Bool => value.is_boolean(),
            Self::Int => value.is_i64(),
            Self::Object | Self::SecureObject => value.is_object(),
            Self::SecureString | Self::String => value.is_string(),
        }
    }
}

/// A type as the answer to a GET of a deployment spells it; one that is not known stays as it is.
pub(super) fn type_shown(name: &str) -> &str {
    match Type::named(name) {
        Some(kind) => kind.shown(),
        None => name,
    }
}

/// What the value of a parameter has to satisfy.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    kind: Type,
    nullable: bool,
    allowed: Option<Vec<Value>>,
    least: Bounds,
    most: Bounds,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bounds {
    value: Option<i64>,
    length: Option<i64>,
}

impl Rules {
    /// Whether values are not to be shown.
    pub(super) fn is_secure(&self) -> bool {
        matches!(self.kind, Type::SecureObject | Type::SecureString)
    }

    /// The type as a GET of a deployment shows it.
    pub(super) const fn type_shown(&self) -> &'static str {
        self.kind.shown()
    }

    /// Reads a declaration. `definitions` are those of the template, for `$ref`.
    fn read(declared: &Value, definitions: Option<&Value>, path: &str) -> Result<(Self, Option<Value>), TemplateError> {
        let wrong = |name: &str, expected: &str, found: &Value| {
            let reason = Reason::Shape { what: format!("`{name}`"), expected: expected.to_owned(), found: kind(found) };
            TemplateError::new(path, reason)
        };
        let object = declared.as_object().ok_or_else(|| wrong("a parameter", "an object with `type`", declared))?;
        let chain = chain(object, definitions, path)?;
        let find = |name: &str| chain.iter().find_map(|object| get(object, name));
        let remedy = "write one of string, int, bool, object, array, secureString, secureObject";
        let named =
            find("type").ok_or_else(|| TemplateError::new(path, Reason::Missing { name: "type".to_owned(), remedy: remedy.to_owned() }))?;
        let name = named.as_str().ok_or_else(|| wrong("type", "a string", named))?;
        let kind = Type::named(name).ok_or_else(|| {
            let nearest = nearest(name, TYPES.iter().map(|(name, _)| *name));
            TemplateError::new(child(path, "type"), Reason::Unknown { what: "type", name: quoted(name), nearest })
        })?;
        let int = |name: &str| match find(name) {
            Some(value) => value.as_i64().map(Some).ok_or_else(|| wrong(name, "an int", value)),
            None => Ok(None),
        };
        let allowed = match find("allowedValues") {
            Some(value) => Some(value.as_array().cloned().ok_or_else(|| wrong("allowedValues", "an array", value))?),
            None => None,
        };
        let least = Bounds { value: int("minValue")?, length: int("minLength")? };
        let most = Bounds { value: int("maxValue")?, length: int("maxLength")? };
        let nullable = find("nullable").and_then(Value::as_bool).unwrap_or(false);
        let default = get(object, "defaultValue").cloned();
        Ok((Self { kind, nullable, allowed, least, most }, default))
    }

    /// Whether a value satisfies them.
    ///
    /// # Errors
    /// Says which one it does not, without the value.
    pub(super) fn check(&self, name: &str, value: &Value) -> Result<(), Reason> {
        let wrong = |problem: String| Err(Reason::Parameter { name: quoted(name), problem });
        if value.is_null() && self.nullable {
            return Ok(());
        }
        if !self.kind.takes(value) {
            return wrong(format!("has to be {}, not {}", self.kind.expected(), kind(value)));
        }
        if !self.allows(value) {
            return wrong(format!("has a value that is not allowed{}", self.allowed_values()));
        }
        let length = length(value);
        let below = |value: Option<i64>, least: Option<i64>| value.zip(least).filter(|(value, least)| value < least);
        let above = |value: Option<i64>, most: Option<i64>| value.zip(most).filter(|(value, most)| value > most);
        if let Some((_, least)) = below(length, self.least.length) {
            return wrong(format!("is too short: minLength is {least}"));
        }
        if let Some((_, most)) = above(length, self.most.length) {
            return wrong(format!("is too long: maxLength is {most}"));
        }
        if let Some((_, least)) = below(value.as_i64(), self.least.value) {
            return wrong(format!("is too small: minValue is {least}"));
        }
        match above(value.as_i64(), self.most.value) {
            Some((_, most)) => wrong(format!("is too large: maxValue is {most}")),
            None => Ok(()),
        }
    }

    /// One of the allowed values, or an array of such ones.
    fn allows(&self, value: &Value) -> bool {
        let Some(allowed) = &self.allowed else { return true };
        let is_allowed = |value: &Value| allowed.iter().any(|one| one == value);
        is_allowed(value) || value.as_array().is_some_and(|items| items.iter().all(is_allowed))
    }

    fn allowed_values(&self) -> String {
        let Some(allowed) = self.allowed.as_ref().filter(|_| !self.is_secure()) else { return String::new() };
        let shown: Vec<_> = allowed.iter().take(limits::QUOTED_MAX).map(|value| quoted(&value.to_string())).collect();
        let more = if allowed.len() > limits::QUOTED_MAX { ", …" } else { "" };
        format!("; allowed are {}{more}", shown.join(", "))
    }
}

/// Characters of a string, items of an array.
fn length(value: &Value) -> Option<i64> {
    let length = value.as_str().map(|text| text.encode_utf16().count()).or_else(|| value.as_array().map(Vec::len));
    length.and_then(|length| i64::try_from(length).ok())
}

/// A declaration and the definitions that its `$ref` leads to, the declaration first.
fn chain<'v>(
    declared: &'v Map<String, Value>,
    definitions: Option<&'v Value>,
    path: &str,
) -> Result<Vec<&'v Map<String, Value>>, TemplateError> {
    let mut chain = vec![declared];
    let mut current = declared;
    while let Some(target) = get(current, "$ref").and_then(Value::as_str) {
        let name = target.strip_prefix("#/definitions/");
        let found = name.and_then(|name| definitions?.as_object()?.get(name)?.as_object());
        let Some(found) = found.filter(|_| chain.len() <= limits::QUOTED_MAX) else {
            return Err(TemplateError::new(path, Reason::Unknown { what: "definition", name: quoted(target), nearest: None }));
        };
        chain.push(found);
        current = found;
    }
    Ok(chain)
}

/// Where the values of a template's parameters come from.
pub(super) enum Given<'g> {
    /// The `parameters` of a parameters file, or such a file.
    File(&'g Value),
    /// The `parameters` of a nested deployment, with expressions of the template around it.
    Nested(&'g Value, &'g Closure, &'g str),
}

/// Binds every declared parameter to its value, default value or, when it is nullable, null.
///
/// # Errors
/// For declarations that cannot be read, values without a declaration, and parameters without a value.
pub(super) fn bind(template: &Map<String, Value>, given: &Given<'_>, path: &str) -> Result<Slots, TemplateError> {
    let empty = Value::Object(Map::new());
    let declared = get(template, "parameters").unwrap_or(&empty);
    let declared_path = child(path, "parameters");
    let declarations = object(declared, "parameters", &declared_path)?;
    super::check_count(declarations.len(), "parameters", limits::PARAMETERS_MAX, &declared_path)?;
    let (values, values_path) = match given {
        Given::File(file) => (values_of(file, declarations)?, "parameters".to_owned()),
        Given::Nested(values, _, path) => (object(values, "parameters", path)?, (*path).to_owned()),
    };
    refuse_unknown(values, declarations, &values_path)?;
    let mut slots = Slots::default();
    for (name, declaration) in declarations {
        let declared_at = child(&declared_path, name);
        let (rules, default) = Rules::read(declaration, get(template, "definitions"), &declared_at)?;
        let value = get(values, name).map(|value| one_value(name, value, &values_path)).transpose()?;
        let value_at = child(&values_path, name);
        let (source, path) = match (value, default, given) {
            (Some(value), _, Given::File(_)) => (Source::Given(value.clone()), value_at),
            (Some(value), _, Given::Nested(_, closure, _)) => (Source::Outer(value.clone(), (*closure).clone()), child(&value_at, "value")),
            (None, Some(default), _) => (Source::Default(default), child(&declared_at, "defaultValue")),
            (None, None, _) if rules.nullable => (Source::Given(Value::Null), declared_at),
            (None, None, _) => {
                let remedy = format!("give a value of type {}: \"{name}\": {{ \"value\": … }}", rules.kind.shown().to_lowercase());
                return Err(TemplateError::new(values_path, Reason::Missing { name: quoted(name), remedy }));
            }
        };
        if !slots.insert(Slot { name: name.clone(), path, source, rules: Some(rules), cell: std::sync::OnceLock::new() }) {
            return Err(TemplateError::new(declared_path, Reason::Duplicate { what: "parameter", name: quoted(name) }));
        }
    }
    Ok(slots)
}

fn object<'v>(value: &'v Value, what: &str, path: &str) -> Result<&'v Map<String, Value>, TemplateError> {
    let reason = || Reason::Shape { what: format!("`{what}`"), expected: "an object".to_owned(), found: kind(value) };
    value.as_object().ok_or_else(|| TemplateError::new(path, reason()))
}

/// The values of a parameters file, or of its `parameters` alone.
fn values_of<'v>(file: &'v Value, declarations: &Map<String, Value>) -> Result<&'v Map<String, Value>, TemplateError> {
    static NONE: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
    if file.is_null() {
        return Ok(&NONE);
    }
    let whole = object(file, "parameters", "parameters")?;
    let is_file = ["$schema", "contentVersion"].iter().any(|name| whole.contains_key(*name));
    let holds_values = get(declarations, "parameters").is_none();
    match get(whole, "parameters").filter(|_| is_file || holds_values) {
        Some(values) => object(values, "parameters", "parameters"),
        None if is_file => Ok(&NONE),
        None => Ok(whole),
    }
}

fn refuse_unknown(values: &Map<String, Value>, declarations: &Map<String, Value>, path: &str) -> Result<(), TemplateError> {
    let Some(name) = values.keys().find(|name| get(declarations, name).is_none()) else { return Ok(()) };
    let nearest = nearest(name, declarations.keys().map(String::as_str));
    Err(TemplateError::new(path, Reason::Unknown { what: "in the template, parameter", name: quoted(name), nearest }))
}

/// The value in `{ "value": … }`.
fn one_value<'v>(name: &str, given: &'v Value, path: &str) -> Result<&'v Value, TemplateError> {
    let at = || child(path, name);
    let object = given.as_object();
    if object.is_some_and(|object| get(object, "reference").is_some()) {
        let why = "nothing is read from a key vault here; give the value itself".to_owned();
        return Err(TemplateError::new(at(), Reason::Unsupported { what: "a `reference` to a secret".to_owned(), why }));
    }
    object.and_then(|object| get(object, "value")).ok_or_else(|| {
        let reason = Reason::Missing { name: "value".to_owned(), remedy: format!("write \"{}\": {{ \"value\": … }}", quoted(name)) };
        TemplateError::new(at(), reason)
    })
}
