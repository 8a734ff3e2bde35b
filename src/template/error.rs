//! What is wrong with a template, where, and what to do.
//!
//! A message quotes names and text of the template, never a value that was computed from a secure parameter.

use super::limits;

/// A template or its parameters that cannot be deployed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", self.place())]
pub struct TemplateError {
    /// JSON path: `$.resources[1].name` in the template, `parameters.x` in what came with it.
    pub path: String,
    /// Characters before the fault in the string at `path`, when an expression is at fault.
    pub offset: Option<usize>,
    /// What is wrong.
    pub reason: Reason,
}

impl TemplateError {
    pub(super) fn new(path: impl Into<String>, reason: Reason) -> Self {
        Self { path: path.into(), offset: None, reason }
    }

    fn place(&self) -> String {
        self.offset.map_or_else(|| format!("`{}`", self.path), |offset| format!("`{}`, character {}", self.path, offset + 1))
    }
}

/// Why a template cannot be deployed. Texts are one line and say what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A value that a function cannot take, though its type is right.
    #[error("`{function}` cannot be computed: {problem}")]
    Argument {
        /// The function.
        function: String,
        /// Why.
        problem: String,
    },
    /// A call with too few or too many arguments.
    #[error("`{function}` takes {expected}, not {given}")]
    Arity {
        /// The function.
        function: String,
        /// How many, in words.
        expected: String,
        /// How many there are.
        given: usize,
    },
    /// Things that wait for each other.
    #[error("{what} depend on each other in a circle: {}; remove one of these dependencies", .names.join(" → "))]
    Circle {
        /// Resources, variables or parameters.
        what: &'static str,
        /// Names, the first one again at the end.
        names: Vec<String>,
    },
    /// A name that is there twice.
    #[error("{what} `{name}` is there twice; names are compared without case")]
    Duplicate {
        /// What has the name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The text is not JSON.
    #[error("not JSON at line {line}, column {column}: {problem}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the parser says.
        problem: String,
    },
    /// A bound of [`limits`] is exceeded.
    #[error("too many {what}: the limit is {max}")]
    Limit {
        /// What is counted, with its unit.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// A property that has to be there.
    #[error("`{name}` is missing; {remedy}")]
    Missing {
        /// The property.
        name: String,
        /// What to write.
        remedy: String,
    },
    /// A value is needed to plan that is known only after something was deployed.
    #[error("this has to be known before anything is deployed, but needs {what}; use parameters, variables and resourceId instead")]
    NotYetKnown {
        /// What would have to be asked.
        what: String,
    },
    /// A parameter's value is outside what the template allows.
    #[error("parameter `{name}` {problem}")]
    Parameter {
        /// The parameter.
        name: String,
        /// What is wrong with its value, without the value.
        problem: String,
    },
    /// A property is not there.
    #[error("no property `{name}`{}", hint(.known.as_deref()))]
    Property {
        /// The property.
        name: String,
        /// Names that are there, unless they are secret.
        known: Option<Vec<String>>,
    },
    /// Something of another type is needed.
    #[error("{what} has to be {expected}, not {found}")]
    Shape {
        /// What it is about.
        what: String,
        /// The type or form.
        expected: String,
        /// The type that was found.
        found: &'static str,
    },
    /// An expression that cannot be read.
    #[error("{problem}")]
    Syntax {
        /// What is wrong and how to write it.
        problem: String,
    },
    /// A name that nothing has.
    #[error("{what} `{name}` is not there{}", .nearest.as_deref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default())]
    Unknown {
        /// What has no such name.
        what: &'static str,
        /// The name.
        name: String,
        /// The most alike one.
        nearest: Option<String>,
    },
    /// Something that this evaluator leaves out on purpose.
    #[error("{what} is not supported: {why}")]
    Unsupported {
        /// What.
        what: String,
        /// Why, and what to do.
        why: String,
    },
}

impl Reason {
    /// Without text that may come from a value.
    pub(super) fn masked(self) -> Self {
        let hidden = "what is wrong with its arguments is not said, for they are secret".to_owned();
        match self {
            Self::Argument { function, .. } => Self::Argument { function, problem: hidden },
            Self::Unsupported { why, .. } => Self::Unsupported { what: "this use of a secret value".to_owned(), why },
            Self::Syntax { .. } => Self::Syntax { problem: "a secret value does not fit here".to_owned() },
            reason @ (Self::Arity { .. }
            | Self::Circle { .. }
            | Self::Duplicate { .. }
            | Self::Json { .. }
            | Self::Limit { .. }
            | Self::Missing { .. }
            | Self::NotYetKnown { .. }
            | Self::Parameter { .. }
            | Self::Property { .. }
            | Self::Shape { .. }
            | Self::Unknown { .. }) => reason,
        }
    }

    /// The type that was found, when another one is needed.
    pub(super) fn found_instead(&self) -> Option<&'static str> {
        if let Self::Shape { found, .. } = self { Some(found) } else { None }
    }
}

fn hint(known: Option<&[String]>) -> String {
    let Some(known) = known else { return String::new() };
    if known.is_empty() {
        return "; there are none".to_owned();
    }
    let names: Vec<_> = known.iter().take(limits::QUOTED_MAX).map(|name| format!("`{}`", quoted(name))).collect();
    let more = if known.len() > limits::QUOTED_MAX { ", …" } else { "" };
    format!("; there are {}{more}", names.join(", "))
}

/// As much of a name as a message bears.
pub(super) fn quoted(name: &str) -> String {
    match name.char_indices().nth(limits::QUOTED_CHARS_MAX) {
        Some(_) => name.chars().take(limits::QUOTED_CHARS_MAX).chain(['…']).collect(),
        None => name.to_owned(),
    }
}

/// The name most like this one, if any is alike.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    if name.len() > limits::QUOTED_CHARS_MAX {
        return None;
    }
    let wanted = name.to_lowercase();
    let bounded = known.into_iter().filter(|known| known.len() <= limits::QUOTED_CHARS_MAX);
    let scored = bounded.map(|known| (strsim::jaro_winkler(&wanted, &known.to_lowercase()), known));
    scored.filter(|(score, _)| *score > ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name.to_owned())
}

/// Jaro-Winkler likeness from which a name is suggested.
const ALIKE: f64 = 0.8;
