//! What depends on where an expression stands: parameters, variables, loops, the deployment and what it has deployed.

use std::borrow::Cow;

use serde_json::Value;

use super::super::error::{Reason, nearest};
use super::super::evaluate::{Call, Eval, Evaluator, Stop, View};
use super::super::frame::Slots;
use super::super::index::relative_id;
use super::super::value::{kind, same};

/// A name given as an argument; empty when it is not given.
pub(super) fn text<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: &Call<'_>, at: usize) -> Result<Cow<'a, str>, Stop> {
    let Some(argument) = call.arguments.get(at) else { return Ok(Cow::Borrowed("")) };
    let value = evaluator.eval(view, argument)?;
    let found = kind(&value);
    let text = match value {
        Cow::Borrowed(value) => value.as_str().map(Cow::Borrowed),
        Cow::Owned(value) => {
            if let Value::String(text) = value {
                Some(Cow::Owned(text))
            } else {
                None
            }
        }
    };
    let what = || format!("argument {} of `{}`", at + 1, call.name);
    text.ok_or_else(|| Stop::new(argument.offset, Reason::Shape { what: what(), expected: "a string".to_owned(), found }))
}

fn unknown<'k>(evaluator: &Evaluator<'_>, call: &Call<'_>, what: &'static str, name: &str, known: impl Iterator<Item = &'k str>) -> Stop {
    let nearest = (!evaluator.secret).then(|| nearest(name, known)).flatten();
    Stop::new(call.offset, Reason::Unknown { what, name: evaluator.shown(name), nearest })
}

fn from_slots<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: &Call<'_>, slots: &'a Slots, what: &'static str) -> Eval<'a> {
    let name = text(evaluator, view, call, 0)?;
    match slots.get(&name) {
        Some(slot) => evaluator.slot(view.frame, slot).map_err(|stop| stop.moved(call.offset)),
        None => Err(unknown(evaluator, call, what, &name, slots.iter().map(|slot| slot.name.as_str()))),
    }
}

/// `parameters('name')`: of the user function it stands in, else of the template.
pub(super) fn parameters<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let Some(arguments) = view.arguments else {
        return from_slots(evaluator, view, &call, &view.frame.parameters, "parameter");
    };
    let name = text(evaluator, view, &call, 0)?;
    let found = arguments.get(&name.to_lowercase()).map(Cow::Borrowed);
    found.ok_or_else(|| unknown(evaluator, &call, "parameter of this function,", &name, arguments.keys().map(String::as_str)))
}

/// `variables('name')`
pub(super) fn variables<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    if view.arguments.is_some() {
        return Err(call.fault("a user function sees its own parameters only; pass the value as an argument"));
    }
    if view.in_default {
        return Err(call.fault("a default value cannot use variables; use parameters"));
    }
    from_slots(evaluator, view, &call, &view.frame.variables, "variable")
}

/// `copyIndex()`, `copyIndex(offset)`, `copyIndex('loop', offset)`
pub(super) fn copy_index<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let values = evaluator.arguments(view, call.arguments)?;
    let name = values.first().and_then(|value| value.as_str());
    let offset = values.get(usize::from(name.is_some()));
    let offset = offset.map_or(Some(0), |value| value.as_i64()).ok_or_else(|| call.fault("an offset has to be an int"))?;
    if name.is_none() && values.len() > 1 {
        return Err(call.fault("the name of the loop goes first, the offset second"));
    }
    let mut turns = view.loops.iter().rev();
    let turn = match name {
        Some(name) => turns.find(|turn| same(&turn.name, name)),
        None => turns.find(|turn| turn.implicit),
    };
    let problem = || match name {
        Some(name) => format!("it does not stand in a loop named `{}`", evaluator.shown(name)),
        None => "it does not stand in a loop of a resource; inside of other loops give the name of the loop".to_owned(),
    };
    let turn = turn.ok_or_else(|| call.fault(problem()))?;
    let index = turn.index.checked_add(offset).ok_or_else(|| call.fault("the offset is too large"))?;
    Ok(Cow::Owned(Value::from(index)))
}

/// `deployment()`
pub(super) fn deployment<'a>(_: &mut Evaluator<'_>, view: View<'a>, _: Call<'_>) -> Eval<'a> {
    Ok(Cow::Borrowed(&view.frame.deployment))
}

/// `environment()`
pub(super) fn environment<'a>(_: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let given = view.frame.world.scope.environment.as_ref().map(Cow::Borrowed);
    given.ok_or_else(|| {
        let why = "this gateway is no public cloud and has no environment of its own; write the value or make it a parameter";
        Stop::new(call.offset, Reason::Unsupported { what: "function `environment`".to_owned(), why: why.to_owned() })
    })
}

/// `reference(resource, [apiVersion], ['Full'])`: known after the resource was deployed.
pub(super) fn reference<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    if view.arguments.is_some() || view.in_default {
        return Err(call.fault("it can be used in bodies of resources and in outputs only"));
    }
    let target = text(evaluator, view, &call, 0)?;
    let version = text(evaluator, view, &call, 1)?;
    let full = text(evaluator, view, &call, 2)?;
    let id = referenced_id(evaluator, view, &call, &target)?;
    let version = Some(version.as_ref()).filter(|version| !version.is_empty());
    let deployed = evaluator.deployed(&id, version)?;
    if same(&full, "Full") {
        return Ok(Cow::Owned(deployed));
    }
    let mut deployed = deployed;
    Ok(Cow::Owned(deployed.get_mut("properties").map(Value::take).unwrap_or_default()))
}

/// The id that the first argument of `reference` means.
fn referenced_id(evaluator: &Evaluator<'_>, view: View<'_>, call: &Call<'_>, target: &str) -> Result<String, Stop> {
    if target.starts_with('/') {
        return Ok(target.trim_end_matches('/').to_owned());
    }
    let Some(index) = view.frame.index.get() else {
        return relative_id(&view.frame.place, target).ok_or_else(|| {
            call.fault("names of resources are not known while other names are computed; use resourceId, or move this into a body")
        });
    };
    match index.find(target) {
        Some([one]) => Ok(one.id.clone()),
        None | Some([]) => {
            relative_id(&view.frame.place, target).ok_or_else(|| unknown(evaluator, call, "resource", target, index.known()))
        }
        Some([..]) => Err(call.fault(format!("several resources are named `{}`; use resourceId", evaluator.shown(target)))),
    }
}

/// `fail(message)`: the template's own refusal.
pub(super) fn fail<'a>(evaluator: &mut Evaluator<'_>, view: View<'a>, call: Call<'_>) -> Eval<'a> {
    let message = text(evaluator, view, &call, 0)?;
    Err(call.fault(format!("the template says: {}", evaluator.shown(&message))))
}
