//! Nested deployments: their templates are expanded in place.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::check;
use super::copy;
use super::error::{Reason, TemplateError, nearest, quoted};
use super::evaluate::View;
use super::expand::{self, Deployment, Expansion, Site, shape_error};
use super::frame::Closure;
use super::ids::Place;
use super::index::Index;
use super::instance::Instance;
use super::limits;
use super::parameters::Given;
use super::path::Path;
use super::plan::{self, Kind, Outputs, PlannedResource};
use super::value::{child, get, same};

const NOT_FETCHED: &str = "nothing is fetched; put the template into `properties.template`, or compile the modules into one file";

impl Expansion {
    /// Adds the resources of a nested deployment, and gives its entry what is to be done when they are complete.
    pub(super) fn nested(
        &mut self,
        site: &Site<'_>,
        instance: &Instance<'_>,
        place: &Place,
        depends: BTreeSet<usize>,
        index: &Index,
    ) -> Result<(), TemplateError> {
        let path = child(&instance.path, "properties");
        let properties = properties(instance.raw, &path)?;
        let template_path = child(&path, "template");
        let raw = get(properties, "template").ok_or_else(|| missing("template", &path))?;
        let raw = raw.as_object().ok_or_else(|| shape_error("template", "an object", raw, &template_path))?;
        check::sections(raw, &template_path)?;
        super::check_count(site.level + 1, "nested deployments inside each other", limits::NESTED_DEPTH_MAX, &path)?;

        self.start();
        let outer = Closure { frame: site.closure.frame.clone(), loops: instance.loops.clone() };
        let is_inner = is_inner(properties, site.raw, &path)?;
        let closure = if is_inner {
            let given_path = child(&path, "parameters");
            let empty = json!({});
            let values = get(properties, "parameters").unwrap_or(&empty);
            let deployment =
                Deployment { name: instance.names.name.clone(), location: self.location(site, instance)?, place: place.clone() };
            let frame = self.frame(raw, &Given::Nested(values, &outer, &given_path), &deployment, &template_path)?;
            Closure { frame, loops: Vec::new() }
        } else {
            outer.clone()
        };
        let mut inherited: BTreeSet<usize> = site.inherited.iter().copied().chain(depends).collect();
        inherited.extend(self.referenced(site, index));

        let first = self.entries.len();
        let inner = Site {
            raw,
            closure: &closure,
            has_own_frame: is_inner,
            place,
            path: &template_path,
            deployment: Some(&instance.names.id),
            inherited: &inherited,
            level: site.level + 1,
        };
        self.resources(&inner)?;
        let last = self.entries.len();
        let body = self.nested_body(instance, properties, &outer)?;
        let outputs = expand::outputs(&inner);
        self.complete(&instance.names.id, &outputs)?;
        if let Some(entry) = instance.entry.and_then(|at| self.entries.get_mut(at)) {
            entry.depends.extend(inherited.iter().copied().chain(first..last));
            let kind = Kind::NestedDeployment(outputs);
            entry.resource = PlannedResource { body, kind, ..entry.resource.clone() };
        }
        Ok(())
    }

    /// Remembers the outputs of a nested deployment if all of them are known already, for those that depend on it.
    fn complete(&mut self, id: &str, outputs: &Outputs) -> Result<(), TemplateError> {
        self.start();
        let known = outputs.known(&mut self.evaluator)?;
        if known.values().all(|output| output.get("value").is_some()) {
            let deployment = json!({ "id": id, "properties": { "outputs": known, "provisioningState": "Succeeded" } });
            self.evaluator.complete.insert(id.to_lowercase(), (deployment, self.evaluator.secret));
        }
        Ok(())
    }

    fn location(&mut self, site: &Site<'_>, instance: &Instance<'_>) -> Result<String, TemplateError> {
        let Some(raw) = get(instance.raw, "location") else { return Ok(self.world.scope.location.clone()) };
        let path = child(&instance.path, "location");
        let view = View::of(&site.closure.frame, &instance.loops);
        let value = self.evaluator.known(view, raw, &Path::root(&path)).map_err(|stop| self.evaluator.fault(stop, &path))?;
        value.as_str().map(str::to_owned).ok_or_else(|| shape_error("location", "a string", &value, &path))
    }

    /// What is left to write of a nested deployment when its template is carried out.
    fn nested_body(&mut self, instance: &Instance<'_>, properties: &Map<String, Value>, outer: &Closure) -> Result<Value, TemplateError> {
        let mut raw = plan::written(instance.raw);
        raw.retain(|name, _| !["properties", "subscriptionId", "resourceGroup"].iter().any(|other| same(other, name)));
        let mode = get(properties, "mode").and_then(Value::as_str).unwrap_or("Incremental");
        if !same(mode, "Incremental") {
            let why = "a nested deployment adds and changes resources only; write Incremental".to_owned();
            let what = format!("mode `{}`", quoted(mode));
            return Err(TemplateError::new(format!("{}.properties.mode", instance.path), Reason::Unsupported { what, why }));
        }
        let view = View::of(&outer.frame, &outer.loops);
        let body = plan::body(&mut self.evaluator, view, &raw, &Path::root(&instance.path));
        let mut body = body.map_err(|stop| self.evaluator.fault(stop, &instance.path))?;
        body.insert("properties".to_owned(), json!({ "mode": "Incremental" }));
        Ok(Value::Object(body))
    }
}

fn missing(name: &str, path: &str) -> TemplateError {
    TemplateError::new(path, Reason::Missing { name: name.to_owned(), remedy: "add it here".to_owned() })
}

fn properties<'v>(raw: &'v Map<String, Value>, path: &str) -> Result<&'v Map<String, Value>, TemplateError> {
    let value = get(raw, "properties").ok_or_else(|| missing("properties", path))?;
    let properties = value.as_object().ok_or_else(|| shape_error("properties", "an object", value, path))?;
    for name in ["templateLink", "parametersLink"] {
        if get(properties, name).is_some() {
            let reason = Reason::Unsupported { what: format!("`{name}`"), why: NOT_FETCHED.to_owned() };
            return Err(TemplateError::new(child(path, name), reason));
        }
    }
    Ok(properties)
}

/// Whether the expressions of a nested template are its own. Source: Azure Resource Manager, "Using linked and nested templates", expression
/// evaluation scope; "language version 2.0" makes `inner` the default.
fn is_inner(properties: &Map<String, Value>, around: &Map<String, Value>, path: &str) -> Result<bool, TemplateError> {
    let is_second = super::is_second_version(around);
    let options = get(properties, "expressionEvaluationOptions").and_then(Value::as_object);
    let Some(scope) = options.and_then(|options| get(options, "scope")) else { return Ok(is_second) };
    let path = format!("{path}.expressionEvaluationOptions.scope");
    let text = scope.as_str().ok_or_else(|| TemplateError::new(path.as_str(), copy::shape("scope", "a string", scope)))?;
    if same(text, "inner") {
        return Ok(true);
    }
    if same(text, "outer") && !is_second {
        return Ok(false);
    }
    if same(text, "outer") {
        let why = "templates of languageVersion 2.0 have inner ones only".to_owned();
        return Err(TemplateError::new(path, Reason::Unsupported { what: "scope `outer`".to_owned(), why }));
    }
    if same(text, "NotSpecified") {
        return Ok(is_second);
    }
    Err(TemplateError::new(
        path,
        Reason::Unknown { what: "evaluation scope", name: quoted(text), nearest: nearest(text, ["inner", "outer"]) },
    ))
}
