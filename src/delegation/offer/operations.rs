//! The operations of the provider.

use serde_json::{Value, json};

/// Resource, verb, what it does.
const OPERATIONS: [(&str, &str, &str); 11] = [
    ("", "register/action", "Registers a subscription with the provider"),
    ("", "unregister/action", "Ends the registration of a subscription with the provider"),
    ("marketplaceRegistrationDefinitions", "read", "Reads offers of the marketplace"),
    ("operationStatuses", "read", "Reads how far an operation is"),
    ("operations", "read", "Lists these operations"),
    ("registrationAssignments", "delete", "Ends a delegation by deleting its registration assignment"),
    ("registrationAssignments", "read", "Reads registration assignments: which offer has access to which scope"),
    ("registrationAssignments", "write", "Delegates a scope by assigning a registration definition to it"),
    ("registrationDefinitions", "delete", "Deletes a registration definition that is not assigned"),
    ("registrationDefinitions", "read", "Reads registration definitions: who would get which role"),
    ("registrationDefinitions", "write", "Creates or replaces a registration definition"),
];

/// The answer to `GET /providers/Microsoft.ManagedServices/operations`.
#[must_use]
pub fn operations() -> Value {
    let operation = |(resource, verb, description): &(&str, &str, &str)| {
        let slash = if resource.is_empty() { "" } else { "/" };
        json!({
            "name": format!("Microsoft.ManagedServices/{resource}{slash}{verb}"),
            "isDataAction": false,
            "display": {
                "provider": "Microsoft Managed Services",
                "resource": if resource.is_empty() { "subscriptions" } else { resource },
                "operation": verb,
                "description": description,
            },
        })
    };
    json!({ "value": OPERATIONS.iter().map(operation).collect::<Vec<_>>() })
}
