//! What only the deployed world knows, asked by `reference` and its like.

use serde_json::Value;

use super::error::TemplateError;

/// Answers with deployed resources. It is asked while a body is computed, so it has to know the answer already.
pub trait References {
    /// A resource, resource group, subscription or deployment as a GET gives it, or nothing when it is not known.
    ///
    /// `id` is a full resource id; `api_version` is what the template asks for, if it does.
    fn resource(&self, id: &str, api_version: Option<&str>) -> Option<Value>;
}

/// Knows nothing: what planning uses.
#[derive(Debug, Clone, Copy)]
pub struct NothingDeployed;

impl References for NothingDeployed {
    fn resource(&self, _id: &str, _api_version: Option<&str>) -> Option<Value> {
        None
    }
}

/// A resource that has to be asked for before a value can be computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// Full resource id.
    pub id: String,
    /// What the template asks for, if it does.
    pub api_version: Option<String>,
}

/// Why a value could not be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// The template is at fault.
    #[error(transparent)]
    Fault(#[from] TemplateError),
    /// The callback did not know this resource. Ask for it and compute again.
    #[error("`{}` has to be read first", .0.id)]
    Needs(Needed),
}
