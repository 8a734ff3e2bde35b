//! The error codes that an injected fault may carry.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Sorted. Source: Azure Resource Manager, common error codes; what clients of a backend can meet.
const CODES: [&str; 39] = [
    "AllocationFailed",
    "AnotherOperationInProgress",
    "AuthenticationFailed",
    "AuthorizationFailed",
    "BadGateway",
    "Conflict",
    "DenyAssignmentAuthorizationFailed",
    "ExpiredAuthenticationToken",
    "GatewayTimeout",
    "InternalServerError",
    "InvalidApiVersionParameter",
    "InvalidAuthenticationToken",
    "InvalidAuthenticationTokenTenant",
    "InvalidRegistrationDefinitionCreateRequest",
    "InvalidRegistrationDefinitionUri",
    "InvalidRequestContent",
    "InvalidSubscriptionId",
    "LinkedAuthorizationFailed",
    "MissingSubscriptionRegistration",
    "NoRegisteredProviderFound",
    "OperationCanceled",
    "OperationFailed",
    "PreconditionFailed",
    "PrincipalNotFound",
    "QuotaExceeded",
    "RegistrationDefinitionInvalidUpdate",
    "RequestDisallowedByPolicy",
    "ResourceGroupBeingDeleted",
    "ResourceGroupNotFound",
    "ResourceNotFound",
    "RoleAssignmentExists",
    "RoleAssignmentUpdateNotPermitted",
    "RoleDefinitionDoesNotExist",
    "ScopeLocked",
    "ServiceUnavailable",
    "SkuNotAvailable",
    "SubscriptionNotFound",
    "SubscriptionRequestsThrottled",
    "TooManyRequests",
];

/// One of the codes above: an error that no client has heard of would test nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code(&'static str);

impl Code {
    /// What a fault without a code of its own carries.
    pub(super) const INTERNAL: Self = Self("InternalServerError");
    /// What a failed operation without a code of its own carries.
    pub(super) const OPERATION_FAILED: Self = Self("OperationFailed");

    pub(super) const fn as_str(self) -> &'static str {
        self.0
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = CODES.iter().copied().find(|code| *code == text);
        known.map(Self).ok_or_else(|| de::Error::custom(format!("`{text}` is no error code; allowed: {}", CODES.join(", "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_clients_know_are_accepted() {
        assert!(CODES.is_sorted());
        assert_eq!(serde_json::from_str::<Code>("\"ScopeLocked\"").unwrap().as_str(), "ScopeLocked");
        assert!(serde_json::from_str::<Code>("\"Whatever\"").unwrap_err().to_string().contains("`Whatever` is no error code"));
        for code in [Code::INTERNAL, Code::OPERATION_FAILED] {
            assert!(CODES.contains(&code.as_str()));
        }
    }
}
