//! Everything the resource manager refuses, and the only place that says with which status, code and headers.

use std::time::Duration;

use hyper::StatusCode;

use crate::arm::error::ErrorBody;

use super::assertion::AssertionError;
use super::codes::Code;

/// Why a request gets an error body instead of what it asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("another operation on `{0}` is in progress; wait until its provisioningState is final, then repeat the request")]
    AnotherOperation(String),
    #[error("the request carries no acceptable assertion of the gateway: {0}")]
    Assertion(#[from] AssertionError),
    #[error("the header `{header}` does not agree with the assertion's actor; the gateway must set it to `{expected}`")]
    ClientHeader { header: &'static str, expected: String },
    #[error("the request body is larger than {0} bytes; send less")]
    ContentTooLarge(usize),
    #[error("the request body is not usable: {0}")]
    Content(String),
    #[error("the api-version `{0}` is malformed; expected YYYY-MM-DD or YYYY-MM-DD-preview")]
    ApiVersion(String),
    #[error("the api-version query parameter is missing; add `?api-version=YYYY-MM-DD`")]
    ApiVersionMissing,
    #[error("{message}")]
    Fault { status: StatusCode, code: Code, message: String, retry_after: Option<Duration> },
    #[error("the filter `{0}` cannot be evaluated; expected `name eq 'value'` clauses joined by `and`")]
    Filter(String),
    #[error("resource group '{0}' is being deleted; wait until it is gone, then repeat the request")]
    GroupBeingDeleted(String),
    #[error("resource group '{0}' could not be found")]
    GroupNotFound(String),
    #[error("the resource group name `{0}` is not valid; allowed: 1 to 90 letters, digits, `_`, `-`, `(`, `)`, `.`, not ending in `.`")]
    GroupName(String),
    #[error("the resource `{id}` exists in location `{actual}`; delete it first or repeat the request with that location")]
    LocationDiffers { id: String, actual: String },
    #[error("the location property is required for `{0}`; add `\"location\": \"westeurope\"` to the body")]
    LocationRequired(String),
    #[error("the method {method} is not supported on `{path}`")]
    Method { method: hyper::Method, path: String },
    #[error("the resource provider namespace '{0}' is invalid; list the known ones at /providers")]
    Namespace(String),
    #[error("the operation `{0}` does not exist or is no longer kept")]
    OperationNotFound(String),
    #[error("the request lies outside the scope `{0}` of the assertion")]
    OutsideScope(String),
    #[error("the parent resource `{0}` does not exist; create it first")]
    ParentNotFound(String),
    #[error(
        "the path `{0}` is malformed; expected /subscriptions/{{id}}[/resourceGroups/{{name}}][/providers/{{namespace}}/{{type}}/{{name}}…]"
    )]
    Path(String),
    #[error("the condition in {header} is not met by `{id}`; read its present etag and repeat the request")]
    Precondition { header: &'static str, id: String },
    #[error("the query parameter `{parameter}` is not valid; {expected}")]
    Query { parameter: &'static str, expected: &'static str },
    #[error("the resource name `{0}` is not valid; allowed: 1 to 260 characters without `< > % & : \\ ? /`")]
    ResourceName(String),
    #[error("the resource `{0}` was not found")]
    ResourceNotFound(String),
    #[error("the subscription '{0}' is disabled and therefore read-only; enable it before writing")]
    SubscriptionDisabled(String),
    #[error("the subscription id `{0}` is not a GUID; expected the form 00000000-0000-0000-0000-000000000000")]
    SubscriptionId(String),
    #[error("the subscription '{0}' could not be found")]
    SubscriptionNotFound(String),
    /// Clients register the namespace that stands in the last quotes of the message.
    #[error("the subscription is not registered to use namespace '{0}'")]
    SubscriptionUnregistered(String),
    #[error("the state could not be written: the change was not made; try again")]
    StoreFailed,
    #[error("the assertion's tenant `{presented}` is not the home of the subscription `{subscription}`")]
    Tenant { presented: String, subscription: String },
    #[error("the resource type '{kind}' could not be found in the namespace '{namespace}'; list its types at /providers/{namespace}")]
    Type { namespace: String, kind: String },
    #[error("the media type `{0}` is not supported; send application/json")]
    UnsupportedMedia(String),
}

impl Refusal {
    /// The status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Assertion(_) | Self::Tenant { .. } => StatusCode::UNAUTHORIZED,
            Self::ClientHeader { .. } | Self::OutsideScope(_) => StatusCode::FORBIDDEN,
            Self::GroupNotFound(_)
            | Self::Namespace(_)
            | Self::OperationNotFound(_)
            | Self::ParentNotFound(_)
            | Self::ResourceNotFound(_)
            | Self::SubscriptionNotFound(_)
            | Self::Type { .. } => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::AnotherOperation(_)
            | Self::GroupBeingDeleted(_)
            | Self::LocationDiffers { .. }
            | Self::SubscriptionDisabled(_)
            | Self::SubscriptionUnregistered(_) => StatusCode::CONFLICT,
            Self::Precondition { .. } => StatusCode::PRECONDITION_FAILED,
            Self::ContentTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMedia(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::StoreFailed => StatusCode::SERVICE_UNAVAILABLE,
            Self::Fault { status, .. } => *status,
            Self::ApiVersion(_)
            | Self::ApiVersionMissing
            | Self::Content(_)
            | Self::Filter(_)
            | Self::GroupName(_)
            | Self::LocationRequired(_)
            | Self::Path(_)
            | Self::Query { .. }
            | Self::ResourceName(_)
            | Self::SubscriptionId(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// The word that programs act upon. Source: Azure Resource Manager, common error codes.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::AnotherOperation(_) => "AnotherOperationInProgress",
            Self::ApiVersion(_) => "InvalidApiVersionParameter",
            Self::ApiVersionMissing => "MissingApiVersionParameter",
            Self::Assertion(_) => "AuthenticationFailed",
            Self::ClientHeader { .. } | Self::OutsideScope(_) => "AuthorizationFailed",
            Self::ContentTooLarge(_) => "RequestContentTooLarge",
            Self::Content(_) => "InvalidRequestContent",
            Self::Fault { code, .. } => code.as_str(),
            Self::Filter(_) => "InvalidFilterInQueryString",
            Self::GroupBeingDeleted(_) => "ResourceGroupBeingDeleted",
            Self::GroupNotFound(_) => "ResourceGroupNotFound",
            Self::GroupName(_) => "InvalidResourceGroupName",
            Self::LocationDiffers { .. } => "InvalidResourceLocation",
            Self::LocationRequired(_) => "LocationRequired",
            Self::Method { .. } => "MethodNotAllowed",
            Self::Namespace(_) => "InvalidResourceNamespace",
            Self::OperationNotFound(_) => "OperationNotFound",
            Self::ParentNotFound(_) => "ParentResourceNotFound",
            Self::Path(_) => "InvalidRequestUri",
            Self::Precondition { .. } => "PreconditionFailed",
            Self::Query { .. } => "InvalidQueryParameterValue",
            Self::ResourceName(_) => "InvalidResourceName",
            Self::ResourceNotFound(_) => "ResourceNotFound",
            Self::SubscriptionDisabled(_) => "ReadOnlyDisabledSubscription",
            Self::SubscriptionId(_) => "InvalidSubscriptionId",
            Self::SubscriptionNotFound(_) => "SubscriptionNotFound",
            Self::SubscriptionUnregistered(_) => "MissingSubscriptionRegistration",
            Self::StoreFailed => "ServiceUnavailable",
            Self::Tenant { .. } => "InvalidAuthenticationTokenTenant",
            Self::Type { .. } => "InvalidResourceType",
            Self::UnsupportedMedia(_) => "UnsupportedMediaType",
        }
    }

    /// When the client may try again, for the refusals that pass by themselves.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        if let Self::Fault { retry_after, .. } = self {
            return *retry_after;
        }
        matches!(self, Self::StoreFailed).then_some(Duration::from_secs(1))
    }

    /// The error body.
    pub(super) fn body(&self) -> String {
        crate::json::text(&ErrorBody::new(self.code(), self.to_string()))
    }
}
