//! Values of expressions. Bounded: every call and every value made is paid for from one purse, and nothing nests without end.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::{Reason, TemplateError, nearest, quoted};
use super::expression::{self, Expr, Node, Text};
use super::frame::{Bound, Closure, Frame, Loop, Slot, Source};
use super::functions::{self, Body};
use super::limits;
use super::parameters;
use super::path::Path;
use super::references::{Needed, References, Unresolved};
use super::value::{self, kind};

/// Why there is no value.
#[derive(Debug)]
pub(super) enum Stop {
    /// The template is at fault. An empty path is filled in by whoever knows it.
    Fault(Box<TemplateError>),
    /// A resource has to be read first.
    Needs(Needed),
}

impl Stop {
    pub(super) fn new(offset: usize, reason: Reason) -> Self {
        Self::Fault(Box::new(TemplateError { path: String::new(), offset: Some(offset), reason }))
    }

    pub(super) fn at(path: &Path<'_>, reason: Reason) -> Self {
        Self::Fault(Box::new(TemplateError::new(path.to_string(), reason)))
    }

    fn placed(self, path: &dyn std::fmt::Display) -> Self {
        match self {
            Self::Fault(mut error) => {
                if error.path.is_empty() {
                    error.path = path.to_string();
                }
                Self::Fault(error)
            }
            Self::Needs(needed) => Self::Needs(needed),
        }
    }
}

impl From<Stop> for Unresolved {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Fault(error) => Self::Fault(*error),
            Stop::Needs(needed) => Self::Needs(needed),
        }
    }
}

/// A value, borrowed where it is kept already.
pub(super) type Eval<'a> = Result<Cow<'a, Value>, Stop>;

/// What the expression at hand can see.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    /// Its template.
    pub(super) frame: &'a Frame,
    /// Loops it stands in, the outermost first.
    pub(super) loops: &'a [Loop],
    /// Variables of lambdas it stands in.
    pub(super) locals: Option<&'a Local<'a>>,
    /// Arguments of the user function it stands in, which sees nothing else.
    pub(super) arguments: Option<&'a BTreeMap<String, Value>>,
    /// Whether it is a parameter's default value.
    pub(super) in_default: bool,
}

/// A variable of a lambda.
#[derive(Debug)]
pub(super) struct Local<'a> {
    pub(super) name: String,
    pub(super) value: &'a Value,
    pub(super) outer: Option<&'a Self>,
}

impl<'a> View<'a> {
    pub(super) const fn of(frame: &'a Frame, loops: &'a [Loop]) -> Self {
        Self { frame, loops, locals: None, arguments: None, in_default: false }
    }
}

/// A call of a function as it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'e> {
    pub(super) name: &'static str,
    pub(super) offset: usize,
    pub(super) arguments: &'e [Expr],
}

impl Call<'_> {
    pub(super) fn fault(&self, problem: impl Into<String>) -> Stop {
        Stop::new(self.offset, Reason::Argument { function: self.name.to_owned(), problem: problem.into() })
    }
}

/// Computes values for one expansion, or for one body of it.
pub(super) struct Evaluator<'r> {
    references: &'r dyn References,
    spent: u64,
    depth: usize,
    /// Slots being computed.
    open: Vec<String>,
    /// `newGuid` calls so far.
    pub(super) guids: u64,
    /// Whether a secure parameter had part in what was computed since this was last cleared.
    pub(super) secret: bool,
    /// Ids that `reference` was asked for since this was last cleared.
    pub(super) referenced: Vec<String>,
    /// Nested deployments whose outputs are known without deploying anything, by id in lower case, and whether they are secret.
    pub(super) complete: BTreeMap<String, (Value, bool)>,
    /// With it, strings that need something deployed stay as they are and are noted here.
    pub(super) pending: Option<Vec<Needed>>,
}

impl std::fmt::Debug for Evaluator<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluator").field("spent", &self.spent).finish_non_exhaustive()
    }
}

impl<'r> Evaluator<'r> {
    pub(super) fn new(references: &'r dyn References) -> Self {
        Self {
            references,
            spent: 0,
            depth: 0,
            open: Vec::new(),
            guids: 0,
            secret: false,
            referenced: Vec::new(),
            complete: BTreeMap::new(),
            pending: None,
        }
    }

    /// Pays for work.
    pub(super) fn pay(&mut self, cost: u64) -> Result<(), Reason> {
        self.spent = self.spent.saturating_add(cost);
        if self.spent > limits::COST_MAX {
            return Err(Reason::Limit {
                what: "steps to evaluate this template; make its loops and values smaller",
                max: limits::COST_MAX,
            });
        }
        Ok(())
    }

    fn pay_for(&mut self, value: &Value) -> Result<(), Reason> {
        let deep = Reason::Limit { what: "values inside each other", max: u64::try_from(limits::VALUE_DEPTH_MAX).unwrap_or(u64::MAX) };
        self.pay(value::cost(value).ok_or(deep)?)
    }

    /// A name for a message; a secret one is left out.
    pub(super) fn shown(&self, name: &str) -> String {
        if self.secret { "<secret>".to_owned() } else { quoted(name) }
    }

    /// What is wrong when a value has to be known now.
    pub(super) fn fault(&self, stop: Stop, path: &str) -> TemplateError {
        match stop {
            Stop::Fault(error) => *error,
            Stop::Needs(needed) => TemplateError::new(path, Reason::NotYetKnown { what: self.shown(&needed.id) }),
        }
    }

    /// What is deployed under this id, and notes that it was asked for.
    pub(super) fn deployed(&mut self, id: &str, api_version: Option<&str>) -> Result<Value, Stop> {
        self.referenced.push(id.to_owned());
        if let Some((deployment, secret)) = self.complete.get(&id.to_lowercase()) {
            self.secret |= secret;
            return Ok(deployment.clone());
        }
        let answer = self.references.resource(id, api_version);
        answer.ok_or_else(|| Stop::Needs(Needed { id: id.to_owned(), api_version: api_version.map(str::to_owned) }))
    }

    /// The value of a piece of the template that has to be known now.
    pub(super) fn known(&mut self, view: View<'_>, raw: &Value, path: &Path<'_>) -> Result<Value, Stop> {
        let pending = self.pending.take();
        let value = self.value(view, raw, path).map_err(|stop| Stop::Fault(Box::new(self.fault(stop, &path.to_string()))));
        self.pending = pending;
        value
    }

    /// The value of a piece of the template: expressions in strings and names, loops in objects.
    pub(super) fn value(&mut self, view: View<'_>, raw: &Value, path: &Path<'_>) -> Result<Value, Stop> {
        self.enter(0).map_err(|stop| stop.placed(path))?;
        let value = self.value_inside(view, raw, path);
        self.depth -= 1;
        value
    }

    fn value_inside(&mut self, view: View<'_>, raw: &Value, path: &Path<'_>) -> Result<Value, Stop> {
        if let Some(text) = raw.as_str() {
            return self.text(view, text, path);
        }
        if let Some(array) = raw.as_array() {
            return array.iter().enumerate().map(|(at, item)| self.value(view, item, &path.index(at))).collect();
        }
        if let Some(object) = raw.as_object() {
            return self.object(view, object, path).map(Value::Object);
        }
        Ok(raw.clone())
    }

    fn text(&mut self, view: View<'_>, text: &str, path: &Path<'_>) -> Result<Value, Stop> {
        let secret = std::mem::take(&mut self.secret);
        let value = self.expression(view, text);
        self.secret |= secret;
        match value {
            Ok(value) => Ok(value.into_owned()),
            Err(Stop::Needs(needed)) if self.pending.is_some() => {
                let pending = self.pending.iter_mut();
                pending.filter(|pending| !pending.contains(&needed)).for_each(|pending| pending.push(needed.clone()));
                Ok(Value::from(text))
            }
            Err(stop) => Err(stop.placed(path)),
        }
    }

    fn expression<'a>(&mut self, view: View<'a>, text: &str) -> Eval<'a> {
        self.pay(value::text_cost(text)).map_err(|reason| Stop::new(0, reason))?;
        match expression::read(text).map_err(|fault| Stop::new(fault.offset, fault.reason))? {
            Text::Literal(text) => Ok(Cow::Owned(Value::from(text))),
            Text::Expression(expr) => self.eval(view, &expr),
        }
    }

    fn object(&mut self, view: View<'_>, raw: &Map<String, Value>, path: &Path<'_>) -> Result<Map<String, Value>, Stop> {
        let mut object = Map::new();
        for (name, item) in raw {
            let path = path.name(name);
            self.pay(value::text_cost(name)).map_err(|reason| Stop::at(&path, reason))?;
            if name == "copy" && super::copy::is_property_copy(item) {
                super::copy::properties(self, view, item, &path, &mut object)?;
                continue;
            }
            let name = self.name(view, name, &path)?;
            let item = self.value(view, item, &path)?;
            if object.insert(name.clone(), item).is_some() {
                return Err(Stop::at(&path, Reason::Duplicate { what: "property", name: self.shown(&name) }));
            }
        }
        Ok(object)
    }

    fn name(&mut self, view: View<'_>, name: &str, path: &Path<'_>) -> Result<String, Stop> {
        if !expression::is_expression(name) && !name.starts_with("[[") {
            return Ok(name.to_owned());
        }
        let pending = self.pending.take();
        let value = self.text(view, name, path);
        self.pending = pending;
        let value = value?;
        let shape = || Reason::Shape { what: "the name of a property".to_owned(), expected: "a string".to_owned(), found: kind(&value) };
        value.as_str().map(str::to_owned).ok_or_else(|| Stop::at(path, shape()))
    }

    /// The value of a node.
    pub(super) fn eval<'a>(&mut self, view: View<'a>, expr: &Expr) -> Eval<'a> {
        self.enter(expr.offset)?;
        let value = self.node(view, expr);
        self.depth -= 1;
        let value = value?;
        if let Cow::Owned(made) = &value {
            self.pay_for(made).map_err(|reason| Stop::new(expr.offset, reason))?;
        }
        Ok(value)
    }

    fn enter(&mut self, offset: usize) -> Result<(), Stop> {
        self.pay(1).map_err(|reason| Stop::new(offset, reason))?;
        if self.depth >= limits::EVALUATION_DEPTH_MAX {
            let max = u64::try_from(limits::EVALUATION_DEPTH_MAX).unwrap_or(u64::MAX);
            return Err(Stop::new(offset, Reason::Limit { what: "calls and values inside each other", max }));
        }
        self.depth += 1;
        Ok(())
    }

    fn node<'a>(&mut self, view: View<'a>, expr: &Expr) -> Eval<'a> {
        match &expr.node {
            Node::Null => Ok(Cow::Owned(Value::Null)),
            Node::Bool(value) => Ok(Cow::Owned(Value::Bool(*value))),
            Node::Int(value) => Ok(Cow::Owned(Value::from(*value))),
            Node::Text(text) => Ok(Cow::Owned(Value::from(text.as_str()))),
            Node::Member(of, name) => {
                let value = self.eval(view, of)?;
                self.member(value, name).or_else(|reason| self.later_member(view, of, name, reason)).map_err(|stop| stop.moved(expr.offset))
            }
            Node::Index(of, index) => {
                let value = self.eval(view, of);
                let index = self.eval(view, index);
                let (value, index) = (value?, index?);
                self.item(value, &index).map_err(|reason| Stop::new(expr.offset, reason))
            }
            Node::Call { name, arguments } => self.call(view, name, arguments, expr.offset),
        }
    }

    fn call<'a>(&mut self, view: View<'a>, name: &str, arguments: &[Expr], offset: usize) -> Eval<'a> {
        let Some(function) = functions::find(name) else {
            return self.user_function(view, name, arguments, offset);
        };
        let call = Call { name: function.name, offset, arguments };
        function.check_arity(arguments.len()).map_err(|reason| Stop::new(offset, reason))?;
        let value = self.built_in(view, function, call);
        value.map_err(|stop| if self.secret { stop.masked(offset) } else { stop })
    }

    fn built_in<'a>(&mut self, view: View<'a>, function: &'static functions::Function, call: Call<'_>) -> Eval<'a> {
        let offset = call.offset;
        match function.body {
            Body::Pure(compute, work) => {
                let values = self.arguments(view, call.arguments)?;
                self.pay(work.cost(&values)).map_err(|reason| Stop::new(offset, reason))?;
                let value = compute(&functions::Arguments { function: function.name, values: &values });
                value.map(Cow::Owned).map_err(|reason| Stop::new(offset, reason))
            }
            Body::Special(compute) => compute(self, view, call),
            Body::Refused(why) => {
                Err(Stop::new(offset, Reason::Unsupported { what: format!("function `{}`", function.name), why: why.to_owned() }))
            }
        }
    }

    /// All of them, even when one needs something deployed: what the others refer to has to be known, too.
    pub(super) fn arguments<'a>(&mut self, view: View<'a>, arguments: &[Expr]) -> Result<Vec<Cow<'a, Value>>, Stop> {
        let mut needed = None;
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            match self.eval(view, argument) {
                Ok(value) => values.push(value),
                Err(Stop::Needs(need)) => needed = needed.or(Some(need)),
                Err(fault) => return Err(fault),
            }
        }
        needed.map_or(Ok(values), |needed| Err(Stop::Needs(needed)))
    }

    fn user_function<'a>(&mut self, view: View<'a>, name: &str, arguments: &[Expr], offset: usize) -> Eval<'a> {
        let Some(function) = view.frame.functions.get(&name.to_lowercase()) else {
            let own = view.frame.functions.keys().map(String::as_str);
            let known: Vec<&str> = if name.contains('.') { own.collect() } else { functions::names().collect() };
            let reason = Reason::Unknown { what: "function", name: quoted(name), nearest: nearest(name, known) };
            return Err(Stop::new(offset, reason));
        };
        if arguments.len() != function.parameters.len() {
            let expected = functions::count(function.parameters.len());
            return Err(Stop::new(offset, Reason::Arity { function: name.to_owned(), expected, given: arguments.len() }));
        }
        let values = self.arguments(view, arguments)?.into_iter().map(Cow::into_owned);
        let bound: BTreeMap<String, Value> = function.parameters.iter().map(|name| name.to_lowercase()).zip(values).collect();
        let inner = View { frame: view.frame, loops: &[], locals: None, arguments: Some(&bound), in_default: false };
        let pending = self.pending.take();
        let value = self.value(inner, &function.output, &Path::root(&function.path));
        self.pending = pending;
        value.map(Cow::Owned)
    }

    fn member<'a>(&self, value: Cow<'a, Value>, name: &str) -> Result<Cow<'a, Value>, Reason> {
        let Some(object) = value.as_object() else {
            return Err(Reason::Shape {
                what: format!("what `.{}` is read from", quoted(name)),
                expected: "an object".to_owned(),
                found: kind(&value),
            });
        };
        let exact = object.get_key_value(name).map(|(key, _)| key);
        let Some(key) = exact.or_else(|| object.keys().find(|key| value::same(key, name))).cloned() else {
            let known = (!self.secret).then(|| object.keys().cloned().collect());
            return Err(Reason::Property { name: quoted(name), known });
        };
        Ok(pick(value, |value| value.get(&key), |value| value.as_object_mut().and_then(|object| object.swap_remove(&key))))
    }

    /// `resourceGroup().tags` and the like of a place about which nothing was given: it has to be asked for.
    fn later_member<'a>(&mut self, view: View<'_>, of: &Expr, name: &str, reason: Reason) -> Eval<'a> {
        let place = match &of.node {
            Node::Call { name, arguments } if arguments.is_empty() => functions::place_id(view, name),
            Node::Call { .. } | Node::Bool(_) | Node::Index(..) | Node::Int(_) | Node::Member(..) | Node::Null | Node::Text(_) => None,
        };
        let Some(id) = place else { return Err(Stop::new(0, reason)) };
        let deployed = self.deployed(&id, None)?;
        self.member(Cow::Owned(deployed), name).map_err(|reason| Stop::new(0, reason))
    }

    fn item<'a>(&self, value: Cow<'a, Value>, index: &Value) -> Result<Cow<'a, Value>, Reason> {
        if let Some(name) = index.as_str() {
            return self.member(value, name).map_err(|reason| self.hide_name(reason));
        }
        let shape =
            |expected: &str, found| Reason::Shape { what: "what stands before […]".to_owned(), expected: expected.to_owned(), found };
        let Some(index) = index.as_i64() else {
            return Err(Reason::Shape { what: "an index".to_owned(), expected: "an int or a string".to_owned(), found: kind(index) });
        };
        let Some(length) = value.as_array().map(Vec::len) else {
            return Err(shape("an array, for the index is an int", kind(&value)));
        };
        let Some(at) = usize::try_from(index).ok().filter(|at| *at < length) else {
            let problem = format!(
                "the index {} is outside of an array of {length}",
                if self.secret { "<secret>".to_owned() } else { index.to_string() }
            );
            return Err(Reason::Argument { function: "[…]".to_owned(), problem });
        };
        Ok(pick(value, |value| value.get(at), |value| value.as_array_mut().map(|array| array.swap_remove(at))))
    }

    fn hide_name(&self, reason: Reason) -> Reason {
        if self.secret && matches!(reason, Reason::Property { .. }) {
            return Reason::Property { name: "<secret>".to_owned(), known: None };
        }
        match reason.found_instead() {
            Some(found) => {
                let expected = "an object, for the index is a string".to_owned();
                Reason::Shape { what: "what stands before […]".to_owned(), expected, found }
            }
            None => reason,
        }
    }

    /// The value of a parameter or variable, computed when it is first asked for.
    pub(super) fn slot<'a>(&mut self, frame: &'a Frame, slot: &'a Slot) -> Eval<'a> {
        if let Some(bound) = slot.cell.get() {
            self.secret |= bound.secret;
            return Ok(Cow::Borrowed(&bound.value));
        }
        if self.open.contains(&slot.path) {
            let ring = self.open.iter().skip_while(|path| **path != slot.path).take(limits::QUOTED_MAX);
            let names = ring.chain([&slot.path]).cloned().collect();
            return Err(Stop::new(0, Reason::Circle { what: "values", names }));
        }
        self.open.push(slot.path.clone());
        let (pending, secret) = (self.pending.take(), std::mem::take(&mut self.secret));
        let computed = self.compute(frame, slot);
        self.open.pop();
        self.pending = pending;
        let secret_part = self.secret || slot.rules.as_ref().is_some_and(parameters::Rules::is_secure);
        self.secret = secret || secret_part;
        let (value, keep) = computed.map_err(|stop| stop.placed(&slot.path))?;
        if !keep {
            return Ok(Cow::Owned(value));
        }
        // Nobody else computes this slot: a frame is shared between threads only when it is complete, and then values agree.
        Ok(Cow::Borrowed(&slot.cell.get_or_init(|| Bound { value, secret: secret_part }).value))
    }

    fn compute(&mut self, frame: &Frame, slot: &Slot) -> Result<(Value, bool), Stop> {
        let path = Path::root(&slot.path);
        let asked = self.referenced.len();
        let value = match &slot.source {
            Source::Given(value) => value.clone(),
            Source::Default(raw) => self.value(View { in_default: true, ..View::of(frame, &[]) }, raw, &path)?,
            Source::Outer(raw, Closure { frame, loops }) => self.value(View::of(frame, loops), raw, &path)?,
            Source::Variable(raw) => self.value(View::of(frame, &[]), raw, &path)?,
            Source::VariableLoop(item) => match item.as_object() {
                Some(item) => super::copy::input(self, View::of(frame, &[]), item, &slot.name, false, &path)?,
                None => Value::Null,
            },
        };
        let checked = slot.rules.as_ref().map_or(Ok(()), |rules| rules.check(&slot.name, &value));
        checked.map_err(|reason| Stop::at(&path, reason))?;
        self.pay_for(&value).map_err(|reason| Stop::at(&path, reason))?;
        // What was read from the deployed world may differ the next time.
        Ok((value, asked == self.referenced.len()))
    }
}

impl Stop {
    /// Without what a function says about its arguments, if it is the function at this place: they are secret.
    fn masked(self, offset: usize) -> Self {
        match self {
            Self::Fault(mut error) => {
                if error.path.is_empty() && error.offset == Some(offset) {
                    error.reason = error.reason.masked();
                }
                Self::Fault(error)
            }
            Self::Needs(needed) => Self::Needs(needed),
        }
    }

    /// At this place instead of the beginning of the expression, if it is of this expression.
    pub(super) fn moved(self, to: usize) -> Self {
        match self {
            Self::Fault(mut error) => {
                if error.path.is_empty() && error.offset == Some(0) {
                    error.offset = Some(to);
                }
                Self::Fault(error)
            }
            Self::Needs(needed) => Self::Needs(needed),
        }
    }
}

/// A part of a value, borrowed if the whole is.
fn pick<'a>(
    whole: Cow<'a, Value>,
    borrow: impl Fn(&Value) -> Option<&Value>,
    take: impl Fn(&mut Value) -> Option<Value>,
) -> Cow<'a, Value> {
    match whole {
        Cow::Borrowed(whole) => borrow(whole).map_or(Cow::Owned(Value::Null), Cow::Borrowed),
        Cow::Owned(mut whole) => Cow::Owned(take(&mut whole).unwrap_or_default()),
    }
}
