//! A template to a plan: frames are made, resources declared under all their names, then filled with bodies and dependencies, then ordered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::copy;
use super::error::{Reason, TemplateError, quoted};
use super::evaluate::{Evaluator, Stop};
use super::frame::{Closure, Frame, Slot, Slots, Source, UserFunction};
use super::ids::Place;
use super::index::Index;
use super::instance::Instance;
use super::limits;
use super::order;
use super::parameters::{self, Given};
use super::plan::{Expanded, Outputs, PlannedResource};
use super::references::NothingDeployed;
use super::scope::{DeploymentScope, World};
use super::value::{child, cost, get, kind, same};

/// A plan in the making.
pub(super) struct Expansion {
    pub(super) world: Arc<World>,
    pub(super) entries: Vec<Entry>,
    pub(super) evaluator: Evaluator<'static>,
}

/// An entry of the plan and what it waits for.
pub(super) struct Entry {
    pub(super) resource: PlannedResource,
    pub(super) depends: BTreeSet<usize>,
    /// How errors call it: its id, or where it stands when the id is secret.
    pub(super) label: String,
}

/// A template and the place that its resources go to.
pub(super) struct Site<'t> {
    pub(super) raw: &'t Map<String, Value>,
    /// How its expressions are read: with its own frame, or with that of the template around it.
    pub(super) closure: &'t Closure,
    pub(super) has_own_frame: bool,
    pub(super) place: &'t Place,
    pub(super) path: &'t str,
    /// The nested deployment that it is the template of.
    pub(super) deployment: Option<&'t str>,
    /// What each of its resources waits for.
    pub(super) inherited: &'t BTreeSet<usize>,
    /// Nested deployments around it.
    pub(super) level: usize,
}

/// Expands the outermost template.
pub(super) fn expand(root: &Map<String, Value>, given: &Value, scope: &DeploymentScope, now: Timestamp) -> Result<Expanded, TemplateError> {
    let place = scope.place();
    let world = Arc::new(World { scope: scope.clone(), now });
    let mut expansion = Expansion { world, entries: Vec::new(), evaluator: Evaluator::new(&NothingDeployed) };
    let deployment = Deployment { name: scope.deployment.clone(), location: scope.location.clone(), place: place.clone() };
    let frame = expansion.frame(root, &Given::File(given), &deployment, "$")?;
    let parameters = expansion.shown_parameters(&frame);
    let closure = Closure { frame, loops: Vec::new() };
    let (path, inherited) = ("$", BTreeSet::new());
    let site =
        Site { raw: root, closure: &closure, has_own_frame: true, place: &place, path, deployment: None, inherited: &inherited, level: 0 };
    expansion.resources(&site)?;
    let open_outputs = outputs(&site);
    let outputs = open_outputs.known(&mut expansion.evaluator)?;
    Ok(Expanded { resources: expansion.ordered()?, outputs, parameters, open_outputs })
}

/// The outputs of a template.
pub(super) fn outputs(site: &Site<'_>) -> Outputs {
    let raw = get(site.raw, "outputs").and_then(Value::as_object).cloned().unwrap_or_default();
    Outputs { closure: site.closure.clone(), raw: Arc::new(raw), path: child(site.path, "outputs") }
}

/// What `deployment()` tells and where it runs.
pub(super) struct Deployment {
    pub(super) name: String,
    pub(super) location: String,
    pub(super) place: Place,
}

impl Deployment {
    fn described(&self, raw: &Map<String, Value>) -> Value {
        let version = get(raw, "contentVersion").cloned().unwrap_or_default();
        let properties = json!({ "template": { "contentVersion": version }, "mode": "Incremental", "provisioningState": "Accepted" });
        match self.place {
            Place::Group { .. } => json!({ "name": self.name, "properties": properties }),
            Place::ManagementGroup(_) | Place::Subscription(_) | Place::Tenant => {
                json!({ "name": self.name, "location": self.location, "properties": properties })
            }
        }
    }
}

impl Expansion {
    /// A frame whose values are computed, as far as they do not need anything deployed.
    pub(super) fn frame(
        &mut self,
        raw: &Map<String, Value>,
        given: &Given<'_>,
        deployment: &Deployment,
        path: &str,
    ) -> Result<Arc<Frame>, TemplateError> {
        // Sections are copied into the frame.
        let cost = raw.values().filter_map(cost).fold(0, u64::saturating_add);
        self.evaluator.pay(cost).map_err(|reason| TemplateError::new(path, reason))?;
        let frame = Frame {
            world: Arc::clone(&self.world),
            place: deployment.place.clone(),
            deployment: deployment.described(raw),
            parameters: parameters::bind(raw, given, path)?,
            variables: variables(raw, path)?,
            functions: functions(raw, path)?,
            index: OnceLock::new(),
        };
        for slot in frame.parameters.iter().chain(frame.variables.iter()) {
            match self.evaluator.slot(&frame, slot) {
                Ok(_) | Err(Stop::Needs(_)) => {}
                Err(Stop::Fault(error)) => return Err(*error),
            }
        }
        Ok(Arc::new(frame))
    }

    fn shown_parameters(&self, frame: &Frame) -> Map<String, Value> {
        let shown = |slot: &Slot| {
            let rules = slot.rules.as_ref()?;
            let mut shown = Map::new();
            shown.insert("type".to_owned(), Value::from(rules.type_shown()));
            if let Some(bound) = slot.cell.get().filter(|bound| !bound.secret) {
                shown.insert("value".to_owned(), bound.value.clone());
            }
            Some((slot.name.clone(), Value::Object(shown)))
        };
        frame.parameters.iter().filter_map(shown).collect()
    }

    /// Adds the resources of a template.
    pub(super) fn resources(&mut self, site: &Site<'_>) -> Result<(), TemplateError> {
        let mut index = Index::at(site.place.clone());
        let mut instances: Vec<Instance<'_>> = Vec::new();
        let list = get(site.raw, "resources");
        self.declare_all(site, list, &child(site.path, "resources"), None, (&mut index, &mut instances))?;
        let index = if site.has_own_frame { site.closure.frame.index.get_or_init(|| index) } else { &index };
        // A nested deployment may use outputs of the ones that it depends on, so those go first.
        for (instance, depends) in self.fill_order(site, &instances, index)? {
            self.fill(site, instance, depends, index)?;
        }
        Ok(())
    }

    /// Resources that are deployed, with what they name as dependencies, each after those.
    fn fill_order<'i, 't>(
        &mut self,
        site: &Site<'_>,
        instances: &'i [Instance<'t>],
        index: &Index,
    ) -> Result<Vec<(&'i Instance<'t>, BTreeSet<usize>)>, TemplateError> {
        let deployed: Vec<_> = instances.iter().filter(|instance| instance.entry.is_some()).collect();
        let position: BTreeMap<_, _> = deployed.iter().enumerate().filter_map(|(at, instance)| Some((instance.entry?, at))).collect();
        let depends = deployed.iter().map(|instance| self.dependencies(site, instance, index)).collect::<Result<Vec<_>, _>>()?;
        let within = |entries: &BTreeSet<usize>| entries.iter().filter_map(|entry| position.get(entry).copied()).collect();
        let local: Vec<BTreeSet<usize>> = depends.iter().map(within).collect();
        let label = |instance: &&Instance<'_>| instance.entry.and_then(|at| self.entries.get(at)).map(|entry| entry.label.clone());
        let labels: Vec<_> = deployed.iter().map(|instance| label(instance).unwrap_or_default()).collect();
        let paths: Vec<_> = deployed.iter().map(|instance| instance.path.clone()).collect();
        let order = order::order(&local, &labels, &paths)?;
        let pair = |at: usize| Some((*deployed.get(at)?, depends.get(at)?.clone()));
        Ok(order.into_iter().filter_map(pair).collect())
    }

    fn ordered(self) -> Result<Vec<PlannedResource>, TemplateError> {
        let depends: Vec<_> = self.entries.iter().map(|entry| entry.depends.clone()).collect();
        let labels: Vec<_> = self.entries.iter().map(|entry| entry.label.clone()).collect();
        let paths: Vec<_> = self.entries.iter().map(|entry| entry.resource.path.clone()).collect();
        let order = order::order(&depends, &labels, &paths)?;
        let ids: Vec<_> = self.entries.iter().map(|entry| entry.resource.id.clone()).collect();
        let mut entries: Vec<_> = self.entries.into_iter().map(Some).collect();
        let ordered = order.into_iter().filter_map(|at| entries.get_mut(at)?.take());
        let with_ids = ordered.map(|entry| {
            let depends_on = entry.depends.iter().filter_map(|at| ids.get(*at).cloned()).collect();
            PlannedResource { depends_on, ..entry.resource }
        });
        Ok(with_ids.collect())
    }
}

fn variables(raw: &Map<String, Value>, path: &str) -> Result<Slots, TemplateError> {
    let mut slots = Slots::default();
    let path = child(path, "variables");
    for (name, value) in get(raw, "variables").and_then(Value::as_object).into_iter().flatten() {
        if name == "copy" && copy::is_property_copy(value) {
            for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                let path = format!("{path}.copy[{at}]");
                let name = item.as_object().and_then(|item| get(item, "name")).and_then(Value::as_str).unwrap_or_default();
                add_variable(&mut slots, name, path, Source::VariableLoop(item.clone()))?;
            }
        } else {
            add_variable(&mut slots, name, child(&path, name), Source::Variable(value.clone()))?;
        }
    }
    Ok(slots)
}

fn add_variable(slots: &mut Slots, name: &str, path: String, source: Source) -> Result<(), TemplateError> {
    let slot = Slot { name: name.to_owned(), path: path.clone(), source, rules: None, cell: OnceLock::new() };
    let duplicate = || TemplateError::new(path, Reason::Duplicate { what: "variable", name: quoted(name) });
    slots.insert(slot).then_some(()).ok_or_else(duplicate)
}

fn functions(raw: &Map<String, Value>, path: &str) -> Result<BTreeMap<String, UserFunction>, TemplateError> {
    let mut functions = BTreeMap::new();
    let path = child(path, "functions");
    for (at, namespace) in get(raw, "functions").and_then(Value::as_array).into_iter().flatten().enumerate() {
        let path = format!("{path}[{at}]");
        let wrong = |what: &str, expected: &str, found: &Value| TemplateError::new(path.as_str(), copy::shape(what, expected, found));
        let object = namespace.as_object().ok_or_else(|| wrong("a namespace", "an object", namespace))?;
        let missing =
            |name: &str| TemplateError::new(path.as_str(), Reason::Missing { name: name.to_owned(), remedy: "add it here".to_owned() });
        let prefix = get(object, "namespace").and_then(Value::as_str).ok_or_else(|| missing("namespace"))?;
        let members = get(object, "members").and_then(Value::as_object).ok_or_else(|| missing("members"))?;
        for (name, member) in members {
            let key = format!("{prefix}.{name}").to_lowercase();
            let function = function(member, &child(&child(&path, "members"), name))?;
            if functions.insert(key.clone(), function).is_some() {
                return Err(TemplateError::new(path, Reason::Duplicate { what: "function", name: quoted(&key) }));
            }
        }
    }
    super::check_count(functions.len(), "user functions", limits::USER_FUNCTIONS_MAX, &path)?;
    Ok(functions)
}

fn function(member: &Value, path: &str) -> Result<UserFunction, TemplateError> {
    let missing = |name: &str| TemplateError::new(path, Reason::Missing { name: name.to_owned(), remedy: "add it here".to_owned() });
    let shape = || TemplateError::new(path, copy::shape("a function", "an object", member));
    let object = member.as_object().ok_or_else(shape)?;
    let declared = get(object, "parameters").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let name =
        |declared: &Value| declared.as_object().and_then(|declared| get(declared, "name")).and_then(Value::as_str).map(str::to_owned);
    let parameters: Option<Vec<String>> = declared.iter().map(name).collect();
    let parameters = parameters.ok_or_else(|| missing("name"))?;
    let twice = parameters.iter().enumerate().find(|(at, name)| parameters.iter().take(*at).any(|other| same(other, name)));
    if let Some((_, name)) = twice {
        return Err(TemplateError::new(path, Reason::Duplicate { what: "parameter", name: quoted(name) }));
    }
    let output = get(object, "output").and_then(Value::as_object).and_then(|output| get(output, "value"));
    let output = output.cloned().ok_or_else(|| missing("output.value"))?;
    Ok(UserFunction { parameters, output, path: format!("{path}.output.value") })
}

/// The text of a property that has to be known before anything is deployed.
pub(super) fn shape_error(what: &str, expected: &str, found: &Value, path: &str) -> TemplateError {
    let reason = Reason::Shape { what: format!("`{what}`"), expected: expected.to_owned(), found: kind(found) };
    TemplateError::new(path, reason)
}
