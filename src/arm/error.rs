//! The error body that every Azure client can read.

use serde::Serialize;

/// `{"error":{"code","message",…}}`. Source: Azure Resource Manager RPC, "Error response content".
#[derive(Debug, Clone, Serialize)]
pub struct ErrorBody<I = ()> {
    error: ErrorDetail<I>,
}

/// The inside of an error body.
#[derive(Debug, Clone, Serialize)]
struct ErrorDetail<I> {
    code: &'static str,
    message: String,
    #[serde(rename = "additionalInfo", skip_serializing_if = "Vec::is_empty")]
    additional_info: Vec<AdditionalInfo<I>>,
}

/// One typed extra of an error: Azure clients print them after the message.
#[derive(Debug, Clone, Serialize)]
pub struct AdditionalInfo<I> {
    /// What `info` is: `StewardDecision`, `PolicyViolation`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The content.
    pub info: I,
}

impl ErrorBody {
    /// An error of one `PascalCase` word for programs, and a text for people: what was wrong and what to do.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { error: ErrorDetail { code, message: message.into(), additional_info: Vec::new() } }
    }

    /// The same with explanations for `additionalInfo`.
    #[must_use]
    pub fn with_info<I>(self, info: Vec<AdditionalInfo<I>>) -> ErrorBody<I> {
        let ErrorDetail { code, message, .. } = self.error;
        ErrorBody { error: ErrorDetail { code, message, additional_info: info } }
    }
}
