//! Strings.

use serde_json::Value;
use uuid::Uuid;

use super::super::error::Reason;
use super::super::limits;
use super::Arguments;

/// Namespace of the version 5 UUIDs that `guid` makes. Source: Azure Resource Manager, "String functions", guid.
const GUID_NAMESPACE: Uuid = Uuid::from_u128(0x11fb_06fb_712d_4ddd_98c7_e71b_bd58_8830);

/// A string, if it is not too long.
pub(super) fn bounded(text: String) -> Result<Value, Reason> {
    check_length(text.len())?;
    Ok(Value::String(text))
}

pub(super) fn check_length(bytes: usize) -> Result<(), Reason> {
    if bytes > limits::STRING_BYTES_MAX {
        let max = u64::try_from(limits::STRING_BYTES_MAX).unwrap_or(u64::MAX);
        return Err(Reason::Limit { what: "bytes in a string", max });
    }
    Ok(())
}

pub(super) fn concat(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    if arguments.get(0).is_array() {
        let arrays: Result<Vec<_>, _> = (0..arguments.len()).map(|at| arguments.array(at)).collect();
        return Ok(Value::Array(arrays?.into_iter().flatten().cloned().collect()));
    }
    let texts: Result<Vec<_>, _> = (0..arguments.len()).map(|at| arguments.text(at)).collect();
    bounded(texts?.concat())
}

pub(super) fn guid(arguments: &Arguments<'_>) -> Result<Value, Reason> {
    let texts: Result<Vec<_>, _> = (0..arguments.len()).map(|at| arguments.text(at)).collect();
    Ok(Value::from(Uuid::new_v5(&GUID_NAMESPACE, texts?.join("-").as_bytes()).to_string()))
}
