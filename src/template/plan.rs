//! What comes out of an expansion.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::copy;
use super::error::TemplateError;
use super::evaluate::{Evaluator, Stop, View};
use super::frame::Closure;
use super::parameters;
use super::path::Path;
use super::references::{Needed, References, Unresolved};
use super::value::{get, same};

/// A template with its loops, conditions and nested deployments carried out.
#[derive(Clone)]
pub struct Expanded {
    /// What to write, each after what it depends on.
    pub resources: Vec<PlannedResource>,
    /// `{name: {type, value}}`. Without `value` where it is secure, or needs something deployed: see [`Self::resolve_outputs`].
    pub outputs: Map<String, Value>,
    /// `{name: {type, value}}` of all parameters, defaults included and secure values left out.
    pub parameters: Map<String, Value>,
    pub(super) open_outputs: Outputs,
}

impl fmt::Debug for Expanded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Outputs may hold secrets.
        f.debug_struct("Expanded").field("resources", &self.resources).finish_non_exhaustive()
    }
}

impl Expanded {
    /// The outputs, computed when everything is deployed.
    ///
    /// # Errors
    /// When an output is at fault, or `references` lacks a resource.
    pub fn resolve_outputs(&self, references: &dyn References) -> Result<Map<String, Value>, Unresolved> {
        self.open_outputs.resolve(references)
    }
}

/// What an entry of a plan is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// The end of a nested deployment: its resources are entries of their own and stand before it.
    NestedDeployment(Outputs),
    /// A resource to write.
    Resource,
}

/// A resource to write, or the end of a nested deployment.
#[derive(Clone)]
pub struct PlannedResource {
    /// Full resource id, scope included.
    pub id: String,
    /// `Namespace/type`; of an extension resource the extension's.
    pub resource_type: String,
    /// Its name; with parents as `parent/child`.
    pub name: String,
    /// As written.
    pub api_version: String,
    /// The body to PUT. Strings that need something deployed are still expressions: see [`Self::resolve`].
    pub body: Value,
    /// The scope it is written at: `/`, a management group, a subscription, a resource group or a resource.
    pub scope: String,
    /// Full ids of entries that have to be complete before.
    pub depends_on: Vec<String>,
    /// Where it stands in the template: `$.resources[1]`.
    pub path: String,
    /// Id of the nested deployment it belongs to, if it belongs to one.
    pub deployment: Option<String>,
    /// Whether values of secure parameters are in its body.
    pub secret: bool,
    /// Resources that have to be read before [`Self::resolve`] succeeds, as far as they are known.
    pub needs: Vec<Needed>,
    /// Resource or nested deployment.
    pub kind: Kind,
    pub(super) open: Option<Arc<OpenBody>>,
}

impl fmt::Debug for PlannedResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Bodies may hold secrets.
        f.debug_struct("PlannedResource").field("id", &self.id).field("path", &self.path).finish_non_exhaustive()
    }
}

impl PlannedResource {
    /// Whether this is the end of a nested deployment, and nothing to write.
    #[must_use]
    pub fn is_nested_deployment(&self) -> bool {
        matches!(self.kind, Kind::NestedDeployment(_))
    }

    /// Whether the body waits for something deployed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The body, computed when everything it depends on is deployed.
    ///
    /// # Errors
    /// When the template is at fault, or `references` lacks a resource.
    pub fn resolve(&self, references: &dyn References) -> Result<Value, Unresolved> {
        let Some(open) = &self.open else { return Ok(self.body.clone()) };
        let mut evaluator = Evaluator::new(references);
        let view = View::of(&open.closure.frame, &open.closure.loops);
        Ok(Value::Object(body(&mut evaluator, view, &open.raw, &Path::root(&self.path))?))
    }

    /// The outputs of a nested deployment, computed when all of its resources are deployed; empty for a resource.
    ///
    /// # Errors
    /// When an output is at fault, or `references` lacks a resource.
    pub fn resolve_outputs(&self, references: &dyn References) -> Result<Map<String, Value>, Unresolved> {
        match &self.kind {
            Kind::NestedDeployment(outputs) => outputs.resolve(references),
            Kind::Resource => Ok(Map::new()),
        }
    }
}

/// A body that waits.
#[derive(Debug)]
pub(super) struct OpenBody {
    pub(super) closure: Closure,
    pub(super) raw: Map<String, Value>,
}

/// Properties of a resource that are not part of what is written.
const NOT_WRITTEN: [&str; 12] =
    ["apiVersion", "asserts", "comments", "condition", "copy", "dependsOn", "existing", "metadata", "name", "resources", "scope", "type"];

/// The properties of a resource that are written, as in the template.
pub(super) fn written(raw: &Map<String, Value>) -> Map<String, Value> {
    let is_written = |name: &str| !NOT_WRITTEN.iter().any(|other| same(other, name));
    raw.iter().filter(|(name, _)| is_written(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The values of these properties.
pub(super) fn body(
    evaluator: &mut Evaluator<'_>,
    view: View<'_>,
    raw: &Map<String, Value>,
    path: &Path<'_>,
) -> Result<Map<String, Value>, Stop> {
    raw.iter().map(|(name, item)| Ok((name.clone(), evaluator.value(view, item, &path.name(name))?))).collect()
}

/// The outputs of a template, which may wait.
#[derive(Clone)]
pub struct Outputs {
    pub(super) closure: Closure,
    pub(super) raw: Arc<Map<String, Value>>,
    pub(super) path: String,
}

impl fmt::Debug for Outputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outputs").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Outputs {
    /// `{name: {type, value}}`, computed when everything they refer to is deployed; secure ones without `value`.
    ///
    /// # Errors
    /// When an output is at fault, or `references` lacks a resource.
    pub fn resolve(&self, references: &dyn References) -> Result<Map<String, Value>, Unresolved> {
        self.compute(&mut Evaluator::new(references)).map_err(Unresolved::from)
    }

    /// What is known of them before anything is deployed.
    pub(super) fn known(&self, evaluator: &mut Evaluator<'_>) -> Result<Map<String, Value>, TemplateError> {
        evaluator.pending = Some(Vec::new());
        let outputs = self.compute(evaluator);
        evaluator.pending = None;
        outputs.map_err(|stop| evaluator.fault(stop, &self.path))
    }

    fn compute(&self, evaluator: &mut Evaluator<'_>) -> Result<Map<String, Value>, Stop> {
        let mut outputs = Map::new();
        let root = Path::root(&self.path);
        for (name, raw) in self.raw.iter() {
            let path = root.name(name);
            if let Some(output) = self.output(evaluator, raw, &path)? {
                outputs.insert(name.clone(), output);
            }
        }
        Ok(outputs)
    }

    /// `{type, value}`, nothing when its condition is false.
    fn output(&self, evaluator: &mut Evaluator<'_>, raw: &Value, path: &Path<'_>) -> Result<Option<Value>, Stop> {
        let raw = raw.as_object().ok_or_else(|| Stop::at(path, copy::shape("an output", "an object", raw)))?;
        let view = View::of(&self.closure.frame, &self.closure.loops);
        if !condition(evaluator, view, raw, path)? {
            return Ok(None);
        }
        let mut output = Map::new();
        let kind = get(raw, "type").and_then(Value::as_str).unwrap_or("object");
        output.insert("type".to_owned(), Value::from(parameters::type_shown(kind)));
        if kind.to_ascii_lowercase().starts_with("secure") {
            return Ok(Some(Value::Object(output)));
        }
        let outer = evaluator.pending.is_some().then(Vec::new);
        let outer = std::mem::replace(&mut evaluator.pending, outer);
        let value = output_value(evaluator, view, raw, path);
        let is_open = std::mem::replace(&mut evaluator.pending, outer).is_some_and(|pending| !pending.is_empty());
        let value = value?;
        if !is_open {
            output.insert("value".to_owned(), value);
        }
        Ok(Some(Value::Object(output)))
    }
}

/// The value of an output, or the array that its loop gives.
fn output_value(evaluator: &mut Evaluator<'_>, view: View<'_>, raw: &Map<String, Value>, path: &Path<'_>) -> Result<Value, Stop> {
    match get(raw, "copy").and_then(Value::as_object) {
        Some(item) => copy::input(evaluator, view, item, "", true, &path.name("copy")),
        None => {
            let value = get(raw, "value").ok_or_else(|| copy::missing("value", path))?;
            evaluator.value(view, value, &path.name("value"))
        }
    }
}

/// Whether something is wanted: `condition`, true when there is none.
pub(super) fn condition(evaluator: &mut Evaluator<'_>, view: View<'_>, raw: &Map<String, Value>, path: &Path<'_>) -> Result<bool, Stop> {
    let Some(raw) = get(raw, "condition") else { return Ok(true) };
    let path = path.name("condition");
    let value = evaluator.known(view, raw, &path)?;
    let text = value.as_str().and_then(|text| text.to_ascii_lowercase().parse().ok());
    value.as_bool().or(text).ok_or_else(|| Stop::at(&path, copy::shape("condition", "a bool", &value)))
}
