//! One resource of a template, or one turn of its loop: its names first, then its body and what it depends on.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::copy;
use super::error::{Reason, TemplateError, nearest, quoted};
use super::evaluate::{Stop, View};
use super::expand::{Entry, Expansion, Site, shape_error};
use super::frame::{Closure, Loop};
use super::functions::scope_for;
use super::ids::{self, Place};
use super::index::{Index, Member, relative_id};
use super::limits;
use super::path::Path;
use super::plan::{self, Kind, OpenBody, PlannedResource};
use super::value::{child, get, same, text_cost};
use crate::arm::query::ApiVersion;

/// A resource with its names.
pub(super) struct Instance<'t> {
    pub(super) raw: &'t Map<String, Value>,
    pub(super) path: String,
    pub(super) loops: Vec<Loop>,
    pub(super) names: Names,
    /// Position in the plan, unless it is not deployed.
    pub(super) entry: Option<usize>,
    /// Entries of the batch before in a serial loop.
    after: Vec<usize>,
}

/// What a resource is called.
#[derive(Clone)]
pub(super) struct Names {
    pub(super) resource_type: String,
    pub(super) name: String,
    pub(super) id: String,
    /// Empty for the tenant.
    pub(super) scope: String,
    /// Where the deployment runs, if it is a nested one.
    pub(super) nested: Option<Place>,
}

/// A resource as it is written.
struct Declared<'t, 'p> {
    symbol: Option<&'t str>,
    raw: &'t Map<String, Value>,
    path: String,
    parent: Option<&'p Names>,
    loops: &'p [Loop],
}

/// What `copy` of a resource says.
struct Turns<'t> {
    name: &'t str,
    count: i64,
    /// Turns that may run together; none for all.
    batch: Option<usize>,
}

const DEPLOYMENTS: &str = "Microsoft.Resources/deployments";

impl Expansion {
    /// Declares the resources of a list: names, conditions and loops, no bodies.
    pub(super) fn declare_all<'t>(
        &mut self,
        site: &Site<'t>,
        list: Option<&'t Value>,
        path: &str,
        parent: Option<(&Names, &[Loop])>,
        found: (&mut Index, &mut Vec<Instance<'t>>),
    ) -> Result<(), TemplateError> {
        let (index, instances) = found;
        let array = list.and_then(Value::as_array).into_iter().flatten().enumerate();
        let array = array.map(|(at, item)| (None, item, format!("{path}[{at}]")));
        let object = list.and_then(Value::as_object).into_iter().flatten();
        let object = object.map(|(symbol, item)| (Some(symbol.as_str()), item, child(path, symbol)));
        for (symbol, item, path) in array.chain(object) {
            let raw = item.as_object().ok_or_else(|| shape_error("a resource", "an object", item, &path))?;
            let (parent, loops) = parent.map_or((None, site.closure.loops.as_slice()), |(names, loops)| (Some(names), loops));
            self.declare(site, &Declared { symbol, raw, path, parent, loops }, (&mut *index, &mut *instances))?;
        }
        Ok(())
    }

    fn declare<'t>(
        &mut self,
        site: &Site<'t>,
        declared: &Declared<'t, '_>,
        found: (&mut Index, &mut Vec<Instance<'t>>),
    ) -> Result<(), TemplateError> {
        let (index, instances) = found;
        let Some(turns) = self.turns(site, declared)? else {
            self.instance(site, declared, declared.loops.to_vec(), None, (index, instances))?;
            return Ok(());
        };
        index.insert_loop(declared.symbol, turns.name);
        let (mut before, mut batch) = (Vec::new(), Vec::new());
        for turn in 0..turns.count {
            if turns.batch.is_some_and(|size| batch.len() >= size) {
                before = std::mem::take(&mut batch);
            }
            let cost = text_cost(turns.name);
            self.evaluator.pay(cost).map_err(|reason| TemplateError::new(declared.path.as_str(), reason))?;
            let mut loops = declared.loops.to_vec();
            loops.push(Loop { name: turns.name.to_owned(), index: turn, implicit: true });
            let serial = Some((turns.name, before.as_slice()));
            batch.extend(self.instance(site, declared, loops, serial, (&mut *index, &mut *instances))?);
        }
        Ok(())
    }

    fn turns<'t>(&mut self, site: &Site<'t>, declared: &Declared<'t, '_>) -> Result<Option<Turns<'t>>, TemplateError> {
        let Some(raw) = get(declared.raw, "copy") else { return Ok(None) };
        let path = child(&declared.path, "copy");
        let raw = raw.as_object().ok_or_else(|| shape_error("copy", "an object", raw, &path))?;
        let here = Path::root(&path);
        let view = View::of(&site.closure.frame, declared.loops);
        let name = match declared.symbol {
            Some(symbol) => get(raw, "name").and_then(Value::as_str).unwrap_or(symbol),
            None => copy::text(raw, "name", &here).map_err(|stop| self.evaluator.fault(stop, &path))?,
        };
        let count = copy::count(&mut self.evaluator, view, raw, &here).map_err(|stop| self.evaluator.fault(stop, &path))?;
        let mode = get(raw, "mode").and_then(Value::as_str).unwrap_or("parallel");
        if !same(mode, "parallel") && !same(mode, "serial") {
            let nearest = nearest(mode, ["parallel", "serial"]);
            return Err(TemplateError::new(path, Reason::Unknown { what: "loop mode", name: quoted(mode), nearest }));
        }
        let size = match get(raw, "batchSize") {
            Some(raw) => {
                let path = here.name("batchSize");
                let size = self.evaluator.known(view, raw, &path).map_err(|stop| self.evaluator.fault(stop, &declared.path))?;
                let int = size.as_u64().filter(|size| *size > 0).and_then(|size| usize::try_from(size).ok());
                int.ok_or_else(|| shape_error("batchSize", "an int above 0", &size, &path.to_string()))?
            }
            None => 1,
        };
        Ok(Some(Turns { name, count, batch: same(mode, "serial").then_some(size) }))
    }

    /// Declares one resource or turn and what stands inside of it; the position in the plan, if it is deployed.
    fn instance<'t>(
        &mut self,
        site: &Site<'t>,
        declared: &Declared<'t, '_>,
        loops: Vec<Loop>,
        serial: Option<(&str, &[usize])>,
        found: (&mut Index, &mut Vec<Instance<'t>>),
    ) -> Result<Option<usize>, TemplateError> {
        let (index, instances) = found;
        let Declared { raw, path, .. } = declared;
        let here = Path::root(path);
        let view = View::of(&site.closure.frame, &loops);
        let wanted = plan::condition(&mut self.evaluator, view, raw, &here).map_err(|stop| self.evaluator.fault(stop, path))?;
        self.evaluator.secret = false;
        let names = self.names(site, declared, view);
        if names.is_err() && !wanted {
            index.insert_nameless(declared.symbol, serial.map(|(name, _)| name));
            return Ok(None);
        }
        let names = names.map_err(|stop| self.evaluator.fault(stop, path))?;
        let label = if self.evaluator.secret { path.clone() } else { names.id.clone() };
        let exists = get(raw, "existing").and_then(Value::as_bool).unwrap_or(false);
        let entry = if wanted && !exists { Some(self.enter(site, declared, view, &names, label.clone())?) } else { None };
        let member = Member { id: names.id.clone(), entry };
        if !index.insert(&member, &names.name, declared.symbol, serial.map(|(name, _)| name)) {
            return Err(TemplateError::new(path.as_str(), Reason::Duplicate { what: "resource", name: quoted(&label) }));
        }
        self.declare_all(site, get(raw, "resources"), &child(path, "resources"), Some((&names, &loops)), (&mut *index, &mut *instances))?;
        let after = serial.map(|(_, before)| before.to_vec()).unwrap_or_default();
        instances.push(Instance { raw, path: path.clone(), loops, names, entry, after });
        Ok(entry)
    }

    /// Adds an empty entry to the plan.
    fn enter(
        &mut self,
        site: &Site<'_>,
        declared: &Declared<'_, '_>,
        view: View<'_>,
        names: &Names,
        label: String,
    ) -> Result<usize, TemplateError> {
        let api_version =
            self.string(declared.raw, "apiVersion", view, &declared.path).map_err(|stop| self.evaluator.fault(stop, &declared.path))?;
        let api_version = api_version.ok_or_else(|| {
            let remedy = "every resource names the version of the API that writes it, such as 2022-10-01".to_owned();
            TemplateError::new(declared.path.as_str(), Reason::Missing { name: "apiVersion".to_owned(), remedy })
        })?;
        if ApiVersion::new(&api_version).is_none() {
            let shape = Reason::Shape {
                what: "`apiVersion`".to_owned(),
                expected: "a date such as 2022-10-01 or 2022-10-01-preview".to_owned(),
                found: "another text",
            };
            return Err(TemplateError::new(declared.path.as_str(), shape));
        }
        super::check_count(self.entries.len() + 1, "resources", limits::RESOURCES_MAX, &declared.path)?;
        let extension = names.resource_type.to_ascii_lowercase().contains("/providers/").then(|| ids::type_and_name(&names.id)).flatten();
        let (resource_type, name) = extension.unwrap_or_else(|| (names.resource_type.clone(), names.name.clone()));
        let resource = PlannedResource {
            id: names.id.clone(),
            resource_type,
            name,
            api_version,
            body: Value::Null,
            scope: if names.scope.is_empty() { "/".to_owned() } else { names.scope.clone() },
            depends_on: Vec::new(),
            path: declared.path.clone(),
            deployment: site.deployment.map(str::to_owned),
            secret: false,
            needs: Vec::new(),
            kind: Kind::Resource,
            open: None,
        };
        self.entries.push(Entry { resource, depends: site.inherited.clone(), label });
        Ok(self.entries.len() - 1)
    }

    /// A string that has to be known now.
    fn string(&mut self, raw: &Map<String, Value>, name: &str, view: View<'_>, path: &str) -> Result<Option<String>, Stop> {
        let Some(value) = get(raw, name).filter(|value| !value.is_null()) else { return Ok(None) };
        let root = Path::root(path);
        let here = root.name(name);
        let value = self.evaluator.known(view, value, &here)?;
        if value.is_null() {
            return Ok(None);
        }
        value.as_str().map(|text| Some(text.to_owned())).ok_or_else(|| Stop::at(&here, copy::shape(name, "a string", &value)))
    }

    fn required(&mut self, raw: &Map<String, Value>, name: &str, view: View<'_>, path: &str) -> Result<String, Stop> {
        self.string(raw, name, view, path)?.ok_or_else(|| copy::missing(name, &Path::root(path)))
    }

    fn names(&mut self, site: &Site<'_>, declared: &Declared<'_, '_>, view: View<'_>) -> Result<Names, Stop> {
        let Declared { raw, path, parent, .. } = declared;
        let (mut resource_type, mut name) = (self.required(raw, "type", view, path)?, self.required(raw, "name", view, path)?);
        if let Some(parent) = parent {
            resource_type = format!("{}/{resource_type}", parent.resource_type);
            name = format!("{}/{name}", parent.name);
        }
        let parts = resource_type.split('/').count();
        super::check_count(parts, "parts in the type of a resource", limits::TYPE_PARTS_MAX, path)
            .map_err(|error| Stop::Fault(Box::new(error)))?;
        let nested = if same(&resource_type, DEPLOYMENTS) { Some(self.nested_place(site, raw, view, path)?) } else { None };
        let scope = match &nested {
            Some(place) => place.id(),
            None => self.scope(site, declared, &resource_type, view)?,
        };
        let root = Path::root(path);
        let hidden = |reason: Reason| if self.evaluator.secret { reason.masked() } else { reason };
        let id = ids::resource_id(&scope, &resource_type, &name).map_err(|reason| Stop::at(&root.name("name"), hidden(reason)))?;
        Ok(Names { resource_type, name, id, scope, nested })
    }

    /// The scope that a resource is written at.
    fn scope(&mut self, site: &Site<'_>, declared: &Declared<'_, '_>, resource_type: &str, view: View<'_>) -> Result<String, Stop> {
        let Declared { raw, path, parent, .. } = declared;
        if let Some(parent) = parent {
            return Ok(parent.scope.clone());
        }
        let Some(scope) = self.string(raw, "scope", view, path)? else {
            let exists = get(raw, "existing").and_then(Value::as_bool).unwrap_or(false);
            let place = if exists { self.nested_place(site, raw, view, path)? } else { scope_for(site.place, resource_type) };
            return Ok(place.id());
        };
        if scope.starts_with('/') || scope.is_empty() {
            return Ok(scope.trim_end_matches('/').to_owned());
        }
        let relative = relative_id(site.place, &scope);
        let reason = || Reason::Shape {
            what: "`scope`".to_owned(),
            expected: "a resource id, with or without its own scope, or /".to_owned(),
            found: "another text",
        };
        relative.ok_or_else(|| Stop::at(&Path::root(path).name("scope"), reason()))
    }

    /// Where a nested deployment runs: `scope`, `subscriptionId`, `resourceGroup`, or where the template around it does.
    fn nested_place(&mut self, site: &Site<'_>, raw: &Map<String, Value>, view: View<'_>, path: &str) -> Result<Place, Stop> {
        let root = Path::root(path);
        if let Some(scope) = self.string(raw, "scope", view, path)? {
            let reason = Reason::Shape {
                what: "`scope`".to_owned(),
                expected: "/, a management group, a subscription or a resource group".to_owned(),
                found: "another text",
            };
            return Place::parse(&scope).ok_or_else(|| Stop::at(&root.name("scope"), reason));
        }
        let subscription = self.string(raw, "subscriptionId", view, path)?;
        let group = self.string(raw, "resourceGroup", view, path)?;
        let own = site.place.subscription().map(str::to_owned);
        match (subscription, group, own) {
            (None, None, _) => Ok(site.place.clone()),
            (Some(subscription), None, _) => Ok(Place::Subscription(subscription)),
            (Some(subscription), Some(name), _) | (None, Some(name), Some(subscription)) => Ok(Place::Group { subscription, name }),
            (None, Some(_), None) => {
                let remedy = "this template is not deployed in a subscription, so a resource group needs one".to_owned();
                Err(Stop::at(&root, Reason::Missing { name: "subscriptionId".to_owned(), remedy }))
            }
        }
    }

    /// What a resource waits for by name, and by its place in a serial loop.
    pub(super) fn dependencies(
        &mut self,
        site: &Site<'_>,
        instance: &Instance<'_>,
        index: &Index,
    ) -> Result<BTreeSet<usize>, TemplateError> {
        let named = self.depends_on(site, instance, index)?;
        Ok(instance.after.iter().copied().chain(named).collect())
    }

    /// Gives an entry its body and its dependencies.
    pub(super) fn fill(
        &mut self,
        site: &Site<'_>,
        instance: &Instance<'_>,
        mut depends: BTreeSet<usize>,
        index: &Index,
    ) -> Result<(), TemplateError> {
        if let Some(place) = &instance.names.nested {
            return self.nested(site, instance, place, depends, index);
        }
        let raw = plan::written(instance.raw);
        let view = View::of(&site.closure.frame, &instance.loops);
        self.start();
        self.evaluator.pending = Some(Vec::new());
        let body = plan::body(&mut self.evaluator, view, &raw, &Path::root(&instance.path));
        let needs = self.evaluator.pending.take().unwrap_or_default();
        let body = Value::Object(body.map_err(|stop| self.evaluator.fault(stop, &instance.path))?);
        depends.extend(self.referenced(site, index));
        let closure = Closure { frame: Arc::clone(&site.closure.frame), loops: instance.loops.clone() };
        let open = (!needs.is_empty()).then(|| Arc::new(OpenBody { closure, raw }));
        let secret = self.evaluator.secret;
        if let Some(entry) = instance.entry.and_then(|at| self.entries.get_mut(at)) {
            entry.depends.extend(depends);
            entry.resource = PlannedResource { body, needs, open, secret, ..entry.resource.clone() };
        }
        Ok(())
    }

    /// Forgets what was noted for the entry before.
    pub(super) fn start(&mut self) {
        self.evaluator.secret = false;
        self.evaluator.referenced.clear();
    }

    /// Entries that `reference` was asked for since [`Self::start`].
    pub(super) fn referenced(&self, site: &Site<'_>, index: &Index) -> BTreeSet<usize> {
        let outer = site.closure.frame.index.get();
        let members = |id: &String| {
            let found = index.find(id).or_else(|| outer?.find(id)).unwrap_or_default();
            found.iter().filter_map(|member| member.entry)
        };
        self.evaluator.referenced.iter().flat_map(members).collect()
    }

    fn depends_on(&mut self, site: &Site<'_>, instance: &Instance<'_>, index: &Index) -> Result<Vec<usize>, TemplateError> {
        let Some(raw) = get(instance.raw, "dependsOn") else { return Ok(Vec::new()) };
        let path = child(&instance.path, "dependsOn");
        let view = View::of(&site.closure.frame, &instance.loops);
        self.start();
        let value = self.evaluator.known(view, raw, &Path::root(&path)).map_err(|stop| self.evaluator.fault(stop, &path))?;
        let list = value.as_array().ok_or_else(|| shape_error("dependsOn", "an array", &value, &path))?;
        super::check_count(list.len(), "dependencies of a resource", limits::DEPENDENCIES_MAX, &path)?;
        let mut entries = Vec::new();
        for (at, item) in list.iter().enumerate() {
            let path = format!("{path}[{at}]");
            let text = item.as_str().ok_or_else(|| shape_error("a dependency", "a string", item, &path))?;
            entries.extend(self.dependency(instance, index, text, path)?);
        }
        Ok(entries)
    }

    fn dependency(&mut self, instance: &Instance<'_>, index: &Index, text: &str, path: String) -> Result<Vec<usize>, TemplateError> {
        let Some(found) = index.find(text) else {
            let nearest = (!self.evaluator.secret).then(|| nearest(text, index.known())).flatten();
            let reason = Reason::Unknown { what: "in this template, resource", name: self.evaluator.shown(text), nearest };
            return Err(TemplateError::new(path, reason));
        };
        let cost = u64::try_from(found.len()).unwrap_or(u64::MAX);
        self.evaluator.pay(cost).map_err(|reason| TemplateError::new(path, reason))?;
        // A resource may bear the name of what it depends on, as an assignment often does.
        let is_name = !text.contains('/') && found.iter().any(|member| Some(member.entry) == Some(instance.entry));
        let others = found.iter().filter(|member| !is_name || member.entry != instance.entry);
        Ok(others.filter_map(|member| member.entry).collect())
    }
}
