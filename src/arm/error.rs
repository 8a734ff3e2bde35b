//! The error body that every Azure client can read.

use serde::Serialize;

/// `{"error":{"code","message"}}`. Source: Azure Resource Manager RPC, "Error response content". What it can have besides,
/// `additionalInfo`, is written by [`rejection`](crate::rejection).
#[derive(Debug, Clone, Serialize)]
pub struct ErrorBody {
    error: ErrorDetail,
}

/// The inside of an error body.
#[derive(Debug, Clone, Serialize)]
struct ErrorDetail {
    code: &'static str,
    message: String,
}

impl ErrorBody {
    /// An error of one `PascalCase` word for programs, and a text for people: what was wrong and what to do.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { error: ErrorDetail { code, message: message.into() } }
    }
}
