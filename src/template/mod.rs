//! Deployment templates: text and parameters to the resources that are to be written, in order.
//!
//! A pure function of its arguments. It reads nothing, fetches nothing (a `templateLink` is refused), asks no clock and no random
//! source, and ends: everything it does is paid from one purse ([`limits::COST_MAX`]). Values of secure parameters never appear in an
//! error. What is supported stands in `docs/templates.md`.
//!
//! What depends on deployed resources (`reference`) stays open in a plan. [`PlannedResource::resolve`] computes it when the executor has
//! the answers.
//!
//! Source: Azure Resource Manager, "Understand the structure and syntax of ARM templates" and the pages it links to.

mod check;
mod copy;
mod error;
mod evaluate;
mod expand;
mod expression;
mod frame;
mod functions;
mod ids;
mod index;
mod instance;
mod json;
pub mod limits;
mod nested;
mod order;
mod parameters;
mod path;
mod plan;
mod references;
mod scope;
mod value;

use jiff::Timestamp;
use serde_json::{Map, Value};

pub use error::{Reason, TemplateError};
pub use plan::{Expanded, Kind, Outputs, PlannedResource};
pub use references::{Needed, NothingDeployed, References, Unresolved};
pub use scope::{DeploymentScope, GroupFacts, SubscriptionFacts};

/// A template that has been read: its shape, its sizes and the syntax of its expressions are right.
#[derive(Debug, Clone)]
pub struct Template {
    root: Map<String, Value>,
}

impl Template {
    /// Reads the text of a template, in which comments and strings over several lines may stand.
    ///
    /// # Errors
    /// At the first thing that is wrong, with its JSON path.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Self::from_value(json::parse(text)?)
    }

    /// Takes a template that was read already, such as `properties.template` of a deployment.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn from_value(value: Value) -> Result<Self, TemplateError> {
        check::depth(&value)?;
        let found = value::kind(&value);
        let Value::Object(root) = value else {
            let reason = Reason::Shape { what: "a template".to_owned(), expected: "an object".to_owned(), found };
            return Err(TemplateError::new("$", reason));
        };
        check::template(&root)?;
        Ok(Self { root })
    }

    /// The resources to write, each after what it depends on.
    ///
    /// `parameters` is the `parameters` object of a parameters file, the whole file, or null.
    ///
    /// # Errors
    /// At the first thing that is wrong, with its JSON path.
    pub fn expand(&self, parameters: &Value, scope: &DeploymentScope, now: Timestamp) -> Result<Expanded, TemplateError> {
        check::depth(parameters)?;
        expand::expand(&self.root, parameters, scope, now)
    }
}

/// Reads a parameters file, in which comments may stand.
///
/// # Errors
/// When it is no JSON or too long.
pub fn parse_parameters(text: &str) -> Result<Value, TemplateError> {
    json::parse(text)
}

/// Reads the body of a deployment request as clients write it: comments, strings over several lines, names without quotes.
///
/// # Errors
/// When it is no JSON or too long.
pub fn parse_request(text: &str) -> Result<Value, TemplateError> {
    json::parse_request(text)
}

fn check_count(count: usize, what: &'static str, max: usize, path: &str) -> Result<(), TemplateError> {
    if count > max {
        return Err(TemplateError::new(path, Reason::Limit { what, max: u64::try_from(max).unwrap_or(u64::MAX) }));
    }
    Ok(())
}

/// Whether a template is of the second version of the language, in which resources have symbolic names.
fn is_second_version(template: &Map<String, Value>) -> bool {
    value::get(template, "languageVersion").and_then(Value::as_str).is_some_and(|version| version.starts_with("2."))
        || value::get(template, "resources").is_some_and(Value::is_object)
}
