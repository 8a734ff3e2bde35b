//! Values to JSON text, for answers that must be readable whatever happens.

use serde::Serialize;

/// The value as JSON. A value that cannot be written, which none of ours is, becomes an error that clients can read.
pub fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_cause| UNWRITABLE.to_owned())
}

const UNWRITABLE: &str = r#"{"error":{"code":"InternalServerError","message":"the answer could not be written"}}"#;
