//! What can be said of a template before it gets parameters: its shape, its sizes, the syntax of its expressions.

use serde_json::{Map, Value};

use super::copy::shape;
use super::error::{Reason, TemplateError, nearest, quoted};
use super::expression::{self, Expr, Node, Text};
use super::functions;
use super::limits;
use super::path::Path;
use super::value::{self, child, get};

/// Refuses values inside each other without end; everything else may then recurse.
pub(super) fn depth(value: &Value) -> Result<(), TemplateError> {
    let max = u64::try_from(limits::VALUE_DEPTH_MAX).unwrap_or(u64::MAX);
    match value::cost(value) {
        Some(_) => Ok(()),
        None => Err(TemplateError::new("$", Reason::Limit { what: "values inside each other", max })),
    }
}

/// Checks a whole template.
pub(super) fn template(root: &Map<String, Value>) -> Result<(), TemplateError> {
    sections(root, "$")?;
    let path = Path::root("$");
    for name in ["resources", "variables", "functions", "outputs"] {
        if let Some(section) = get(root, name) {
            expressions(section, &path.name(name))?;
        }
    }
    let parameters = get(root, "parameters").and_then(Value::as_object);
    for (name, declared) in parameters.into_iter().flatten() {
        if let Some(default) = declared.as_object().and_then(|declared| get(declared, "defaultValue")) {
            expressions(default, &path.name("parameters").name(name).name("defaultValue"))?;
        }
    }
    Ok(())
}

/// Checks the shape and the sizes of the sections of a template, nested ones too.
pub(super) fn sections(root: &Map<String, Value>, path: &str) -> Result<(), TemplateError> {
    let known = ["$schema", "apiProfile", "contentVersion", "definitions", "functions", "languageVersion", "metadata", "outputs"];
    let more = ["parameters", "resources", "variables"];
    for name in root.keys() {
        let mut all = known.iter().chain(&more);
        if !all.any(|known| value::same(known, name)) {
            let nearest = nearest(name, known.into_iter().chain(more));
            return Err(TemplateError::new(path, Reason::Unknown { what: "in templates, section", name: quoted(name), nearest }));
        }
        if root.keys().filter(|other| value::same(other, name)).count() > 1 {
            return Err(TemplateError::new(path, Reason::Duplicate { what: "section", name: quoted(name) }));
        }
    }
    let resources = get(root, "resources").ok_or_else(|| {
        let remedy = "a template has a list of resources, which may be empty".to_owned();
        TemplateError::new(path, Reason::Missing { name: "resources".to_owned(), remedy })
    })?;
    if !resources.is_array() && !resources.is_object() {
        return Err(TemplateError::new(child(path, "resources"), shape("resources", "an array or an object", resources)));
    }
    for (name, max) in [("parameters", limits::PARAMETERS_MAX), ("variables", limits::VARIABLES_MAX), ("outputs", limits::OUTPUTS_MAX)] {
        let Some(section) = get(root, name) else { continue };
        let here = child(path, name);
        let object = section.as_object().ok_or_else(|| TemplateError::new(here.as_str(), shape(name, "an object", section)))?;
        let what = match name {
            "parameters" => "parameters",
            "variables" => "variables",
            _ => "outputs",
        };
        super::check_count(object.len(), what, max, &here)?;
    }
    Ok(())
}

fn expressions(value: &Value, path: &Path<'_>) -> Result<(), TemplateError> {
    if let Some(text) = value.as_str() {
        return text_at(text, path);
    }
    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
        expressions(item, &path.index(at))?;
    }
    for (name, item) in value.as_object().into_iter().flatten() {
        text_at(name, &path.name(name))?;
        // Metadata and comments are not evaluated.
        if !(item.is_object() && name == "metadata") && name != "comments" {
            expressions(item, &path.name(name))?;
        }
    }
    Ok(())
}

fn text_at(text: &str, path: &Path<'_>) -> Result<(), TemplateError> {
    let wrong = |offset: usize, reason: Reason| TemplateError { path: path.to_string(), offset: Some(offset), reason };
    match expression::read(text).map_err(|fault| wrong(fault.offset, fault.reason))? {
        Text::Literal(_) => Ok(()),
        Text::Expression(expr) => calls(&expr).map_err(|(offset, reason)| wrong(offset, reason)),
    }
}

fn calls(expr: &Expr) -> Result<(), (usize, Reason)> {
    match &expr.node {
        Node::Bool(_) | Node::Int(_) | Node::Null | Node::Text(_) => Ok(()),
        Node::Member(of, _) => calls(of),
        Node::Index(of, index) => calls(of).and_then(|()| calls(index)),
        Node::Call { name, arguments } => {
            match functions::find(name) {
                Some(function) => function.check_arity(arguments.len()).map_err(|reason| (expr.offset, reason))?,
                // User functions may be those of another template.
                None if name.contains('.') => {}
                None => {
                    let nearest = nearest(name, functions::names());
                    return Err((expr.offset, Reason::Unknown { what: "function", name: quoted(name), nearest }));
                }
            }
            arguments.iter().try_for_each(calls)
        }
    }
}
