//! What the expressions of one template can see: its parameters, variables and functions, and the place they are read at.
//!
//! Values are computed when they are first asked for and kept. One that needs something deployed is computed again later.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use super::ids::Place;
use super::index::Index;
use super::parameters::Rules;
use super::scope::World;

/// A template's own world.
#[derive(Debug)]
pub(super) struct Frame {
    /// What holds for the whole expansion.
    pub(super) world: Arc<World>,
    /// Where its deployment runs.
    pub(super) place: Place,
    /// What `deployment()` gives.
    pub(super) deployment: Value,
    /// Declared parameters.
    pub(super) parameters: Slots,
    /// Variables.
    pub(super) variables: Slots,
    /// User functions by `namespace.name` in lower case.
    pub(super) functions: BTreeMap<String, UserFunction>,
    /// Its resources, once their names are known.
    pub(super) index: OnceLock<Index>,
}

/// A function of the template.
#[derive(Debug)]
pub(super) struct UserFunction {
    /// Names of its parameters.
    pub(super) parameters: Vec<String>,
    /// The value of its output.
    pub(super) output: Value,
    /// Where that stands.
    pub(super) path: String,
}

/// Named values, found without case.
#[derive(Debug, Default)]
pub(super) struct Slots(BTreeMap<String, Slot>);

impl Slots {
    /// Adds one; false when the name is there already.
    pub(super) fn insert(&mut self, slot: Slot) -> bool {
        self.0.insert(slot.name.to_lowercase(), slot).is_none()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Slot> {
        self.0.get(&name.to_lowercase())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Slot> {
        self.0.values()
    }
}

/// One value, computed at most once.
pub(super) struct Slot {
    /// As declared.
    pub(super) name: String,
    /// Where errors point to.
    pub(super) path: String,
    /// What it is computed from.
    pub(super) source: Source,
    /// What a parameter's value has to satisfy.
    pub(super) rules: Option<Rules>,
    /// The value.
    pub(super) cell: OnceLock<Bound>,
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Where a value comes from.
pub(super) enum Source {
    /// Given as it is.
    Given(Value),
    /// A default value, in which `utcNow` and `newGuid` may stand.
    Default(Value),
    /// An expression of the template around this one.
    Outer(Value, Closure),
    /// A variable.
    Variable(Value),
    /// A variable made by a loop: an item of `variables.copy`.
    VariableLoop(Value),
}

/// The surroundings of an expression that is computed elsewhere or later.
#[derive(Debug, Clone)]
pub(super) struct Closure {
    /// The template it stands in.
    pub(super) frame: Arc<Frame>,
    /// The loops it stands in.
    pub(super) loops: Vec<Loop>,
}

/// A computed value.
pub(super) struct Bound {
    /// The value.
    pub(super) value: Value,
    /// Whether a secure parameter has part in it.
    pub(super) secret: bool,
}

/// A turn of a loop.
#[derive(Debug, Clone)]
pub(super) struct Loop {
    /// Its name; empty for loops of outputs.
    pub(super) name: String,
    /// From 0.
    pub(super) index: i64,
    /// Whether `copyIndex()` without a name means it: loops of resources and outputs.
    pub(super) implicit: bool,
}
