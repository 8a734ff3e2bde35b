//! The error body that every Azure client can read.

use serde::Serialize;

/// `{"error":{"code","message",…}}`. Source: Azure Resource Manager RPC, "Error response content".
#[derive(Debug, Clone, Serialize)]
pub struct ErrorBody {
    error: ErrorDetail,
}

/// The inside of an error body.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorDetail {
    /// One `PascalCase` word that programs act upon.
    pub code: &'static str,
    /// What was wrong and what to do, for people.
    pub message: String,
    /// The part of the request at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Explanations of our own: Azure clients print them after the message.
    #[serde(rename = "additionalInfo", skip_serializing_if = "Vec::is_empty")]
    pub additional_info: Vec<AdditionalInfo>,
}

/// One typed extra of an error.
#[derive(Debug, Clone, Serialize)]
pub struct AdditionalInfo {
    /// What `info` is: `StewardDecision`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The content.
    pub info: serde_json::Value,
}

impl ErrorBody {
    /// An error of code and message alone.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { error: ErrorDetail { code, message: message.into(), target: None, additional_info: Vec::new() } }
    }

    /// The same with an explanation for `additionalInfo`.
    #[must_use]
    pub fn with_info(mut self, info: AdditionalInfo) -> Self {
        self.error.additional_info.push(info);
        self
    }

    /// The body as JSON text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_cause| {
            // The types above cannot fail to serialise; were it to happen, a client still gets JSON it can read.
            r#"{"error":{"code":"InternalServerError","message":"the error could not be written"}}"#.to_owned()
        })
    }
}
