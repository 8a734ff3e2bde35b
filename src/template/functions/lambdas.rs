//! Functions of an array and an expression that is computed for each of its elements.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::super::error::Reason;
use super::super::evaluate::{Call, Eval, Evaluator, Local, Stop, View};
use super::super::expression::{Expr, Node};
use super::super::value::{kind, same};
use super::context::text;

/// `lambda('a', …, expression)`
struct Lambda<'e> {
    names: Vec<&'e str>,
    body: &'e Expr,
}

/// Reads the lambda in an argument, which takes one to `most` variables.
fn lambda<'e>(call: &Call<'e>, at: usize, most: usize) -> Result<Lambda<'e>, Stop> {
    let wrong = || call.fault(format!("argument {} has to be lambda('name', expression), with at most {most} names", at + 1));
    let Some(Expr { node: Node::Call { name, arguments }, .. }) = call.arguments.get(at) else { return Err(wrong()) };
    let (body, names) = arguments.split_last().filter(|_| same(name, "lambda")).ok_or_else(wrong)?;
    let text = |name: &'e Expr| if let Node::Text(text) = &name.node { Some(text.as_str()) } else { None };
    let names = names.iter().map(text).collect::<Option<Vec<_>>>().filter(|names| names.len() <= most);
    names.map(|names| Lambda { names, body }).ok_or_else(wrong)
}

impl Lambda<'_> {
    /// The value for these arguments; those that have no name are left out.
    fn apply(&self, evaluator: &mut Evaluator<'_>, view: View<'_>, values: [&Value; 2]) -> Result<Value, Stop> {
        let [first, second] = values;
        let name = |at: usize| self.names.get(at).copied().unwrap_or_default().to_owned();
        let outer = Local { name: name(0), value: first, outer: view.locals };
        let inner = Local { name: name(1), value: second, outer: Some(&outer) };
        let locals = if self.names.len() > 1 { &inner } else { &outer };
        evaluator.eval(View { locals: Some(locals), ..view }, self.body).map(Cow::into_owned)
    }

    fn test(&self, evaluator: &mut Evaluator<'_>, view: View<'_>, values: [&Value; 2]) -> Result<bool, Stop> {
        let value = self.apply(evaluator, view, values)?;
        let shape = || Reason::Shape { what: "a lambda here".to_owned(), expected: "a bool".to_owned(), found: kind(&value) };
        value.as_bool().ok_or_else(|| Stop::new(self.body.offset, shape()))
    }

    fn text(&self, evaluator: &mut Evaluator<'_>, view: View<'_>, values: [&Value; 2]) -> Result<String, Stop> {
        let value = self.apply(evaluator, view, values)?;
        let shape = || Reason::Shape { what: "a lambda here".to_owned(), expected: "a string".to_owned(), found: kind(&value) };
        value.as_str().map(str::to_owned).ok_or_else(|| Stop::new(self.body.offset, shape()))
    }
}

fn array<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: &Call<'_>) -> Result<Cow<'a, Value>, Stop> {
    let Some(argument) = call.arguments.first() else { return Ok(Cow::Owned(Value::Null)) };
    let value = evaluator.eval(view, argument)?;
    let what = || format!("argument 1 of `{}`", call.name);
    let shape = |value: &Value| Reason::Shape { what: what(), expected: "an array".to_owned(), found: kind(value) };
    if value.is_array() { Ok(value) } else { Err(Stop::new(argument.offset, shape(&value))) }
}

/// The position of an element as a value.
fn position(at: usize) -> Value {
    Value::from(at)
}

/// `lambda` by itself has no value.
pub(super) fn misplaced<'a>(_: &mut Evaluator<'_>, _: View<'a>, call: Call<'_>) -> Eval<'a> {
    Err(call.fault("it can be an argument of filter, map, reduce, sort, toObject, mapValues and groupBy only"))
}

/// `lambdaVariables('name')`: the innermost one of this name.
pub(super) fn variables<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let name = text(evaluator, view, &call, 0)?;
    let mut local = view.locals;
    while let Some(found) = local {
        if same(&found.name, &name) {
            return Ok(Cow::Borrowed(found.value));
        }
        local = found.outer;
    }
    Err(Stop::new(call.offset, Reason::Unknown { what: "lambda variable", name: evaluator.shown(&name), nearest: None }))
}

pub(super) fn map<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let lambda = lambda(&call, 1, 2)?;
    let array = array(evaluator, view, &call)?;
    let items = array.as_array().into_iter().flatten().enumerate();
    items.map(|(at, item)| lambda.apply(evaluator, view, [item, &position(at)])).collect::<Result<Value, _>>().map(Cow::Owned)
}

pub(super) fn filter<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let lambda = lambda(&call, 1, 2)?;
    let array = array(evaluator, view, &call)?;
    let mut kept = Vec::new();
    for (at, item) in array.as_array().into_iter().flatten().enumerate() {
        if lambda.test(evaluator, view, [item, &position(at)])? {
            kept.push(item.clone());
        }
    }
    Ok(Cow::Owned(Value::Array(kept)))
}

pub(super) fn reduce<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let lambda = lambda(&call, 2, 2)?;
    let array = array(evaluator, view, &call)?;
    let Some(start) = call.arguments.get(1) else { return Ok(Cow::Owned(Value::Null)) };
    let mut value = evaluator.eval(view, start)?.into_owned();
    for item in array.as_array().into_iter().flatten() {
        value = lambda.apply(evaluator, view, [&value, item])?;
    }
    Ok(Cow::Owned(value))
}

/// `sort(array, lambda('a', 'b', …))`: `a` goes before `b` where the expression is true. Equal ones keep their order.
pub(super) fn sort<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let lambda = lambda(&call, 1, 2)?;
    let array = array(evaluator, view, &call)?;
    let mut runs: Vec<Vec<&Value>> = array.as_array().into_iter().flatten().map(|item| vec![item]).collect();
    while runs.len() > 1 {
        let mut merged = Vec::with_capacity(runs.len().div_ceil(2));
        let mut rest = runs.into_iter();
        while let Some(left) = rest.next() {
            merged.push(match rest.next() {
                Some(right) => merge(evaluator, view, &lambda, left, right)?,
                None => left,
            });
        }
        runs = merged;
    }
    Ok(Cow::Owned(runs.into_iter().flatten().cloned().collect()))
}

fn merge<'v>(
    evaluator: &mut Evaluator<'_>,
    view: View<'_>,
    lambda: &Lambda<'_>,
    left: Vec<&'v Value>,
    right: Vec<&'v Value>,
) -> Result<Vec<&'v Value>, Stop> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let next = if lambda.test(evaluator, view, [b, a])? { right.next() } else { left.next() };
        merged.extend(next);
    }
    Ok(merged.into_iter().chain(left).chain(right).collect())
}

/// `toObject(array, lambda(key), [lambda(value)])`
pub(super) fn to_object<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let key = lambda(&call, 1, 2)?;
    let value = if call.arguments.len() > 2 { Some(lambda(&call, 2, 2)?) } else { None };
    let array = array(evaluator, view, &call)?;
    let mut object = Map::new();
    for (at, item) in array.as_array().into_iter().flatten().enumerate() {
        let name = key.text(evaluator, view, [item, &position(at)])?;
        let value = value.as_ref().map_or_else(|| Ok(item.clone()), |value| value.apply(evaluator, view, [item, &position(at)]))?;
        object.insert(name, value);
    }
    Ok(Cow::Owned(Value::Object(object)))
}

/// `groupBy(array, lambda(key))`: arrays of elements by key.
pub(super) fn group_by<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let key = lambda(&call, 1, 2)?;
    let array = array(evaluator, view, &call)?;
    let mut groups = Map::new();
    for (at, item) in array.as_array().into_iter().flatten().enumerate() {
        let name = key.text(evaluator, view, [item, &position(at)])?;
        let group = groups.entry(name).or_insert_with(|| Value::Array(Vec::new()));
        group.as_array_mut().into_iter().for_each(|group| group.push(item.clone()));
    }
    Ok(Cow::Owned(Value::Object(groups)))
}

/// `mapValues(object, lambda(value))`
pub(super) fn map_values<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let lambda = lambda(&call, 1, 1)?;
    let Some(argument) = call.arguments.first() else { return Ok(Cow::Owned(Value::Null)) };
    let value = evaluator.eval(view, argument)?;
    let what = || "argument 1 of `mapValues`".to_owned();
    let shape = || Reason::Shape { what: what(), expected: "an object".to_owned(), found: kind(&value) };
    let object = value.as_object().ok_or_else(|| Stop::new(argument.offset, shape()))?;
    let mut mapped = Map::new();
    for (name, item) in object {
        mapped.insert(name.clone(), lambda.apply(evaluator, view, [item, &Value::Null])?);
    }
    Ok(Cow::Owned(Value::Object(mapped)))
}
