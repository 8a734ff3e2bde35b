//! Every refusal and what the client sees of it: status, code, text, headers. The only such place.
//!
//! `docs/errors.md` is printed from here by a test, so that a changed status shows in a diff.

use hyper::StatusCode;

use crate::arm::action::{Action, ActionError};
use crate::arm::query::ApiVersionError;
use crate::bodies::Crowded;
use crate::delegation::decide::DenyReason;
use crate::forward::{FabricError, ForwardError};
use crate::identity::{AuxiliaryError, TokenError};
use crate::ids::{PrincipalId, RequestId};
use crate::json::{self, push_member, push_text};
use crate::management::{BodyError, DeploymentError, OwnError, PartAnswer};
use crate::panics::Panicked;
use crate::pipeline::{
    AssertionError, AuthorizeError, CheckName, ClassifyError, LinkError, Overload, RuleError, ScopeError, WrongTenant, seconds,
};

/// Why a request got no answer of its own.
#[derive(Debug, thiserror::Error)]
pub enum Rejection {
    /// The on-behalf-of assertion could not be made.
    #[error("the request could not be signed for the backend")]
    Assertion {
        /// The cause, for the log.
        #[source]
        error: AssertionError,
    },
    /// A token that it shows besides the caller's own proves nobody.
    #[error("{error}")]
    Auxiliary {
        /// Which, and why.
        error: AuxiliaryError,
    },
    /// It is not a request to the management plane.
    #[error("{0}")]
    Classify(ClassifyError),
    /// No grant permits it.
    #[error("{error}")]
    Denied {
        /// Which point was missing.
        error: AuthorizeError,
        /// Display name of the caller.
        client: String,
        /// The caller.
        caller: PrincipalId,
        /// The actions asked for.
        actions: Vec<Action>,
        /// The scope asked for.
        scope: String,
        /// The smallest change that would help.
        hint: Option<String>,
    },
    /// The backend gave no answer that could be passed on.
    #[error("{0}")]
    Forward(ForwardError),
    /// The body or the query names what the caller may not reach, or cannot be read.
    #[error("{error}")]
    Linked {
        /// Why.
        error: LinkError,
        /// Display name of the caller.
        client: String,
        /// The caller.
        caller: PrincipalId,
    },
    /// There is more to do than can be done.
    #[error("{error}")]
    Overload {
        /// What of.
        error: Overload,
    },
    /// The gateway's own answer could not be given.
    #[error("{0}")]
    Own(OwnError),
    /// The gateway failed while it handled the request.
    #[error("the gateway failed while it handled the request; if it was to change something, look whether it did before asking again")]
    Panicked(#[source] Panicked),
    /// A rule or limit stands against it.
    #[error("{error}")]
    Rule {
        /// Which.
        error: RuleError,
    },
    /// This node does not know well enough what was agreed at run time.
    #[error("this node has not heard the shared state for longer than it may decide without; ask again, or another node")]
    Stale,
    /// The target cannot be resolved.
    #[error("{error}")]
    Scope {
        /// Why.
        error: ScopeError,
        /// The operator's choice for strangers.
        wrong_tenant: WrongTenant,
        /// Where the subscription's own people sign in, for the challenge.
        authority: Option<String>,
    },
    /// The token does not prove a caller.
    #[error("{error}")]
    Token {
        /// Why.
        error: TokenError,
        /// Where to sign in, when it is not the gateway's default authority.
        authority: Option<String>,
    },
}

/// What the client gets instead of a response.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// ARM error code.
    pub code: &'static str,
    /// What was wrong and what to do.
    pub message: String,
    /// `Retry-After`, in seconds.
    pub retry_after_s: Option<u32>,
    /// `WWW-Authenticate`, on every 401.
    pub challenge: Option<Challenge>,
    /// Whether the caller may learn the reason; strangers may not.
    pub explained: bool,
}

/// What a client that has to sign in is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Where; the gateway's default authority when absent.
    pub authority: Option<String>,
}

impl Challenge {
    /// The header value.
    #[must_use]
    pub fn header(&self, default_authority: &str, description: &str) -> String {
        let authority = self.authority.as_deref().unwrap_or(default_authority);
        let description = description.replace(['"', '\\'], "'");
        format!(r#"Bearer authorization_uri="{authority}", error="invalid_token", error_description="{description}""#)
    }
}

impl Answer {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after_s: None, challenge: None, explained: true }
    }

    fn challenge(code: &'static str, message: String, authority: Option<String>) -> Self {
        Self { challenge: Some(Challenge { authority }), ..Self::new(StatusCode::UNAUTHORIZED, code, message) }
    }

    fn unexplained(mut self) -> Self {
        self.explained = false;
        self
    }

    /// The JSON body. What strangers get differs in nothing but the ids in the headers.
    #[must_use]
    pub fn body(&self, rejection: &Rejection, id: RequestId) -> Vec<u8> {
        let mut body = Vec::with_capacity(BODY_BYTES + self.message.len());
        push_member(&mut body, br#"{"error":{"code":"#, self.code);
        push_member(&mut body, br#","message":"#, &self.message);
        if self.explained {
            body.extend_from_slice(br#","additionalInfo":["#);
            push_decision(&mut body, rejection, &id.to_string());
            if let Some(violation) = rejection.violation() {
                body.push(b',');
                body.extend_from_slice(violation.to_string().as_bytes());
            }
            body.push(b']');
        }
        body.extend_from_slice(b"}}");
        body
    }
}

/// What a body takes besides its message, with a hint of usual length.
const BODY_BYTES: usize = 512;

/// What Azure's clients print after the message, and `steward explain` begins with.
fn push_decision(body: &mut Vec<u8>, rejection: &Rejection, id: &str) {
    push_member(body, br#"{"type":"StewardDecision","info":{"reason":"#, rejection.reason());
    body.extend_from_slice(br#","check":"#);
    body.extend_from_slice(json::text(&rejection.check()).as_bytes());
    push_member(body, br#","id":"#, id);
    body.extend_from_slice(br#","hint":"#);
    match rejection.hint() {
        Some(hint) => push_text(body, hint),
        None => body.extend_from_slice(b"null"),
    }
    body.extend_from_slice(br#","explain":"steward explain "#);
    body.extend_from_slice(id.as_bytes());
    body.extend_from_slice(br#""}}"#);
}

impl Rejection {
    /// What the client sees.
    #[must_use]
    pub fn answer(&self) -> Answer {
        match self {
            Self::Assertion { .. } => Answer::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", sentence(self)),
            Self::Auxiliary { error } => auxiliary(error),
            Self::Classify(error) => classify(error),
            Self::Denied { error, client, caller, actions, scope, hint } => {
                denied(error, &Denial { client, caller, actions, scope, hint: hint.as_deref() })
            }
            Self::Forward(error) => forward(error),
            Self::Linked { error, client, caller } => linked(error, client, caller),
            Self::Own(OwnError::Refused(rejection)) => rejection.answer(),
            Self::Own(error) => own(error),
            Self::Panicked(_) => Answer::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", sentence(self)),
            Self::Rule { error: error @ (RuleError::GrantsInFiles { .. } | RuleError::Plan { .. }) } => {
                Answer::new(StatusCode::FORBIDDEN, "RequestDisallowedByPolicy", sentence(error))
            }
            Self::Rule { error: error @ RuleError::ReadOnly { .. } } => {
                Answer::new(StatusCode::CONFLICT, "ReadOnlyDisabledSubscription", sentence(error))
            }
            Self::Rule { error: error @ RuleError::Claim { .. } } => {
                Answer::new(StatusCode::FORBIDDEN, "OnBehalfOfMismatch", sentence(error))
            }
            Self::Rule { error: error @ RuleError::Throttled { wait, .. } } => Answer {
                retry_after_s: Some(seconds(*wait)),
                ..Answer::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", sentence(error))
            },
            Self::Rule { error: error @ RuleError::Guest { .. } } => {
                Answer::new(StatusCode::FORBIDDEN, "AuthorizationFailed", sentence(error))
            }
            Self::Overload { error } => busy(error),
            Self::Stale => busy(self),
            Self::Scope { error, wrong_tenant, authority } => scope(error, *wrong_tenant, authority.as_ref()),
            Self::Token { error, authority } => token(error, authority.as_ref()),
        }
    }

    /// What Azure's clients show of a refusal by a policy. Source: Azure Policy, `PolicyViolation` in `additionalInfo`.
    fn violation(&self) -> Option<serde_json::Value> {
        let Self::Own(OwnError::ManagingTenant { tenant, at }) = self else { return None };
        let info = serde_json::json!({
            "policyDefinitionId": format!("/providers/Microsoft.Authorization/policyDefinitions/{MANAGING_TENANTS_POLICY}"),
            "policyDefinitionName": MANAGING_TENANTS_POLICY,
            "policyDefinitionDisplayName": "Allow managing tenant ids to onboard through Azure Lighthouse",
            "managedByTenantId": tenant,
            "definedAt": format!("{}:{}", at.file, at.line),
        });
        Some(serde_json::json!({ "type": "PolicyViolation", "info": info }))
    }

    /// The check that failed.
    #[must_use]
    pub fn check(&self) -> CheckName {
        match self {
            Self::Assertion { .. } | Self::Forward(_) | Self::Panicked(_) => CheckName::Forward,
            Self::Own(OwnError::Refused(rejection)) => rejection.check(),
            Self::Own(error) => check_of_own(error),
            Self::Auxiliary { .. } => CheckName::Token,
            Self::Stale => CheckName::Delegation,
            Self::Classify(error) => match error {
                ClassifyError::Carried { .. }
                | ClassifyError::DataPlane { .. }
                | ClassifyError::ForeignHost { .. }
                | ClassifyError::Method { .. }
                | ClassifyError::Path(_) => CheckName::Plane,
                ClassifyError::Expectation { .. }
                | ClassifyError::Framing { .. }
                | ClassifyError::HostForm
                | ClassifyError::TargetTooLong { .. }
                | ClassifyError::FieldsTooLarge { .. }
                | ClassifyError::TooManyFields { .. }
                | ClassifyError::Tunnel { .. } => CheckName::Connection,
            },
            Self::Denied { error, .. } => Self::check_of_denial(error),
            Self::Linked { .. } | Self::Rule { .. } => CheckName::Rules,
            Self::Overload { .. } => CheckName::Connection,
            Self::Scope { .. } => CheckName::Scope,
            Self::Token { error, .. } => Self::check_of_token(error),
        }
    }

    /// The check that a wrong token fails.
    #[must_use]
    pub const fn check_of_token(error: &TokenError) -> CheckName {
        match error {
            TokenError::Algorithm { .. }
            | TokenError::Authorization { .. }
            | TokenError::Expired { .. }
            | TokenError::KeysUnavailable { .. }
            | TokenError::Malformed { .. }
            | TokenError::Missing
            | TokenError::NotYetValid { .. }
            | TokenError::Signature
            | TokenError::UnknownKey { .. }
            | TokenError::WrongKind { .. } => CheckName::Token,
            TokenError::Audience { .. } => CheckName::Audience,
            TokenError::ConsumerTenant
            | TokenError::TenantMismatch { .. }
            | TokenError::TenantSuspended { .. }
            | TokenError::TenantUnknown { .. }
            | TokenError::UnknownIssuer { .. } => CheckName::Tenant,
        }
    }

    /// The check that a denial fails.
    #[must_use]
    pub fn check_of_denial(error: &AuthorizeError) -> CheckName {
        match error {
            AuthorizeError::ForeignOperation => CheckName::Scope,
            AuthorizeError::Denied { reason } => match **reason {
                DenyReason::Expired { .. } | DenyReason::NoDelegation | DenyReason::ScopeNotCovered | DenyReason::Suspended { .. } => {
                    CheckName::Delegation
                }
                DenyReason::ActionMissing { .. }
                | DenyReason::Condition { .. }
                | DenyReason::DenyAssignment { .. }
                | DenyReason::GrantExpired { .. }
                | DenyReason::GrantSuspended { .. }
                | DenyReason::NotActive { .. }
                | DenyReason::NotStarted { .. }
                | DenyReason::OtherPrincipals { .. }
                | DenyReason::Unused { .. } => CheckName::Role,
            },
        }
    }

    /// The stable reason code: in records, metrics, explanations and `docs/codes/`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Assertion { .. } => "internal.assertion",
            Self::Auxiliary { error: AuxiliaryError::Form { .. } } => "request.malformed",
            Self::Auxiliary { error: AuxiliaryError::Token { .. } } => "token.auxiliary",
            Self::Classify(error) => match error {
                ClassifyError::DataPlane { .. } => "plane.data",
                ClassifyError::ForeignHost { .. } => "plane.foreign",
                ClassifyError::Method { .. } => "plane.method",
                ClassifyError::Path(_) => "path.ambiguous",
                ClassifyError::Tunnel { .. } => "plane.tunnel",
                ClassifyError::Carried { .. }
                | ClassifyError::Expectation { .. }
                | ClassifyError::Framing { .. }
                | ClassifyError::HostForm => "request.malformed",
                ClassifyError::FieldsTooLarge { .. } | ClassifyError::TargetTooLong { .. } | ClassifyError::TooManyFields { .. } => {
                    "request.too_large"
                }
            },
            Self::Denied { error: AuthorizeError::Denied { reason }, .. } => reason.code(),
            Self::Denied { error: AuthorizeError::ForeignOperation, .. } => "scope.unknown",
            Self::Forward(error) => error.reason(),
            Self::Linked { error: LinkError::Coding { .. } | LinkError::MediaType { .. }, .. } => "request.media_type",
            Self::Linked { error: LinkError::NotGranted { .. } | LinkError::OtherTenant { .. }, .. } => "scope.linked",
            Self::Linked {
                error: LinkError::Move { .. } | LinkError::Query { .. } | LinkError::TooMany(_) | LinkError::Unreadable(_),
                ..
            } => "request.malformed",
            Self::Overload { .. } => "limit.overload",
            Self::Own(error) => error.reason(),
            Self::Panicked(_) => "internal.panic",
            Self::Rule { error: RuleError::Claim { .. } } => "rule.claim",
            Self::Rule { error: RuleError::GrantsInFiles { .. } } => "rule.grants_in_files",
            Self::Rule { error: RuleError::ReadOnly { .. } } => "rule.subscription_state",
            Self::Rule { error: RuleError::Guest { .. } } => "rule.guest",
            Self::Rule { error: RuleError::Plan { .. } } => "rule.plan",
            Self::Rule { error: RuleError::Throttled { .. } } => "limit.rate",
            Self::Stale => "state.stale",
            Self::Scope { error, .. } => match error {
                ScopeError::Action(_) => "scope.unreadable",
                ScopeError::ApiVersion(_) => "request.api_version",
                ScopeError::ManagementGroup { .. } => "delegation.management_group",
                ScopeError::Name(_) => "scope.name",
                ScopeError::ScopesInBody { .. } => "scope.in_body",
                ScopeError::Subscription { owner: None, .. } => "scope.unknown",
                ScopeError::Subscription { owner: Some(_), .. } => "delegation.none",
                ScopeError::SubscriptionId { .. } => "scope.malformed",
            },
            Self::Token { error, .. } => error.reason_code(),
        }
    }

    /// Whether it was permitted and came to nothing all the same, for which somebody has to look at the backend or at its key.
    #[must_use]
    pub const fn is_of_the_backend(&self) -> bool {
        matches!(self, Self::Assertion { .. })
            || matches!(self, Self::Forward(error) if !error.is_of_the_client()
            && !matches!(
                error,
                ForwardError::AnswerLost
                    | ForwardError::Crowded(_)
                    | ForwardError::NoRoom(_)
                    | ForwardError::ShareUsed { .. }
                    | ForwardError::Stopped
            ))
    }

    /// Whether nothing behind the request can be trusted to be a request: it may have ended elsewhere, or be the first words through a tunnel.
    #[must_use]
    pub const fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::Classify(
                ClassifyError::Expectation { .. }
                    | ClassifyError::Framing { .. }
                    | ClassifyError::HostForm
                    | ClassifyError::Method { .. }
                    | ClassifyError::Tunnel { .. }
            )
        )
    }

    /// Whether the caller's tenant may not learn that the target exists, nor whose it is.
    #[must_use]
    pub const fn hides_target(&self) -> bool {
        matches!(
            self,
            Self::Scope { error: ScopeError::Subscription { owner: Some(_), .. }, .. }
                | Self::Denied { error: AuthorizeError::ForeignOperation, .. }
        )
    }

    /// The smallest change that would help, when one is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Classify(ClassifyError::DataPlane { hint, .. }) | Self::Denied { hint, .. } => hint.as_deref(),
            Self::Assertion { .. }
            | Self::Auxiliary { .. }
            | Self::Classify(_)
            | Self::Forward(_)
            | Self::Linked { .. }
            | Self::Overload { .. }
            | Self::Own(_)
            | Self::Panicked(_)
            | Self::Rule { .. }
            | Self::Scope { .. }
            | Self::Stale
            | Self::Token { .. } => None,
        }
    }
}

/// The built-in policy that does the same in Azure. Source: Azure Policy, built-in definitions, Lighthouse.
const MANAGING_TENANTS_POLICY: &str = "7a8a51a3-ad87-4def-96f3-65a1839242b6";

fn classify(error: &ClassifyError) -> Answer {
    let (status, code) = of_form(error);
    Answer::new(status, code, sentence(error))
}

/// Status and code of a request that is none for the listener that it came to.
pub fn of_form(error: &ClassifyError) -> (StatusCode, &'static str) {
    match error {
        ClassifyError::DataPlane { .. } => (StatusCode::FORBIDDEN, "DataPlaneNotSupported"),
        ClassifyError::Expectation { .. } => (StatusCode::EXPECTATION_FAILED, "ExpectationFailed"),
        ClassifyError::ForeignHost { .. } => (StatusCode::MISDIRECTED_REQUEST, "InvalidHost"),
        ClassifyError::Carried { .. }
        | ClassifyError::Framing { .. }
        | ClassifyError::HostForm
        | ClassifyError::Path(_)
        | ClassifyError::Tunnel { .. } => (StatusCode::BAD_REQUEST, "BadRequest"),
        ClassifyError::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "HttpMethodNotAllowed"),
        ClassifyError::TargetTooLong { .. } => (StatusCode::URI_TOO_LONG, "RequestUriTooLong"),
        ClassifyError::FieldsTooLarge { .. } | ClassifyError::TooManyFields { .. } => {
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "RequestHeaderFieldsTooLarge")
        }
    }
}

fn token(error: &TokenError, authority: Option<&String>) -> Answer {
    let code = match error {
        TokenError::Missing | TokenError::Authorization { .. } => "AuthenticationFailed",
        TokenError::Expired { .. } => "ExpiredAuthenticationToken",
        TokenError::ConsumerTenant | TokenError::TenantMismatch { .. } => "InvalidAuthenticationTokenTenant",
        TokenError::KeysUnavailable { .. } => {
            return Answer {
                retry_after_s: Some(KEYS_RETRY_S),
                ..Answer::new(StatusCode::SERVICE_UNAVAILABLE, "ServerBusy", sentence(error))
            };
        }
        // The token is genuine or may be: who sent it is not a matter of signing in again.
        TokenError::TenantSuspended { .. } => return Answer::new(StatusCode::FORBIDDEN, "AuthorizationFailed", sentence(error)),
        TokenError::Algorithm { .. }
        | TokenError::Audience { .. }
        | TokenError::Malformed { .. }
        | TokenError::NotYetValid { .. }
        | TokenError::Signature
        | TokenError::TenantUnknown { .. }
        | TokenError::UnknownIssuer { .. }
        | TokenError::UnknownKey { .. }
        | TokenError::WrongKind { .. } => "InvalidAuthenticationToken",
    };
    Answer::challenge(code, sentence(error), authority.cloned())
}

/// Whatever is wrong with the token, the caller itself is proven: only the keys of an issuer are worth waiting for.
fn auxiliary(error: &AuxiliaryError) -> Answer {
    match error {
        AuxiliaryError::Form { .. } => Answer::new(StatusCode::BAD_REQUEST, "BadRequest", sentence(error)),
        AuxiliaryError::Token { error: TokenError::KeysUnavailable { .. }, .. } => {
            Answer { retry_after_s: Some(KEYS_RETRY_S), ..Answer::new(StatusCode::SERVICE_UNAVAILABLE, "ServerBusy", sentence(error)) }
        }
        AuxiliaryError::Token { .. } => Answer::challenge("InvalidAuxiliaryTokens", sentence(error), None),
    }
}

/// When a client should ask again while the keys of an issuer cannot be had.
const KEYS_RETRY_S: u32 = 5;

fn scope(error: &ScopeError, wrong_tenant: WrongTenant, authority: Option<&String>) -> Answer {
    match error {
        ScopeError::Action(ActionError::Scope(_)) | ScopeError::SubscriptionId { .. } => {
            Answer::new(StatusCode::BAD_REQUEST, "InvalidSubscriptionId", sentence(error))
        }
        ScopeError::Action(_) => Answer::new(StatusCode::FORBIDDEN, "AuthorizationFailed", sentence(error)),
        ScopeError::ApiVersion(ApiVersionError::Missing) => {
            Answer::new(StatusCode::BAD_REQUEST, "MissingApiVersionParameter", sentence(error))
        }
        ScopeError::ApiVersion(_) => Answer::new(StatusCode::BAD_REQUEST, "InvalidApiVersionParameter", sentence(error)),
        ScopeError::ManagementGroup { .. } | ScopeError::ScopesInBody { .. } => {
            Answer::new(StatusCode::FORBIDDEN, "AuthorizationFailed", sentence(error))
        }
        ScopeError::Name(_) => Answer::new(StatusCode::BAD_REQUEST, "InvalidResourceName", sentence(error)),
        ScopeError::Subscription { owner: Some(_), .. } if wrong_tenant == WrongTenant::Challenge => Answer::challenge(
            "InvalidAuthenticationTokenTenant",
            "The token is from a tenant that neither owns nor manages this subscription; sign in at the authority of the challenge."
                .to_owned(),
            authority.cloned(),
        ),
        ScopeError::Subscription { id, .. } => {
            Answer::new(StatusCode::NOT_FOUND, "SubscriptionNotFound", format!("The subscription '{id}' could not be found.")).unexplained()
        }
    }
}

struct Denial<'a> {
    client: &'a str,
    caller: &'a PrincipalId,
    actions: &'a [Action],
    scope: &'a str,
    hint: Option<&'a str>,
}

fn denied(error: &AuthorizeError, denial: &Denial<'_>) -> Answer {
    match error {
        AuthorizeError::ForeignOperation => {
            Answer::new(StatusCode::NOT_FOUND, "ResourceNotFound", "The operation could not be found.").unexplained()
        }
        AuthorizeError::Denied { reason } => {
            let is_deny_assignment = matches!(**reason, DenyReason::DenyAssignment { .. });
            let code = if is_deny_assignment { "DenyAssignmentAuthorizationFailed" } else { "AuthorizationFailed" };
            Answer::new(StatusCode::FORBIDDEN, code, denial.sentence(reason))
        }
    }
}

impl Denial<'_> {
    /// Tools cut the client, the action and the scope out of this text: the quoted parts keep Azure's order and words before them.
    fn sentence(&self, reason: &DenyReason) -> String {
        let action = self.actions.first().map_or("", Action::as_str);
        let (before_hint, hint) = self.hint.map_or(("", ""), |hint| (" ", hint));
        format!(
            "The client '{}' with object id '{}' does not have authorization to perform action '{action}' over scope '{}': \
             {reason}.{before_hint}{hint} If access was granted a moment ago, refresh your credentials.",
            self.client, self.caller.object, self.scope
        )
    }
}

/// Tools cut what is missing, and where, out of this text: the quoted parts keep Azure's order and words before them.
fn linked(error: &LinkError, client: &str, caller: &PrincipalId) -> Answer {
    let (status, code) = match error {
        LinkError::Move { .. } | LinkError::Query { .. } => (StatusCode::BAD_REQUEST, "InvalidRequestContent"),
        LinkError::OtherTenant { .. } => (StatusCode::FORBIDDEN, "LinkedAuthorizationFailed"),
        LinkError::Coding { .. } | LinkError::MediaType { .. } => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType"),
        LinkError::TooMany(_) | LinkError::Unreadable(_) => (StatusCode::BAD_REQUEST, "InvalidRequestContent"),
        LinkError::NotGranted { actions, place, done, scope } => {
            let message = format!(
                "The client '{client}' with object id '{}' has permission to perform action '{done}' on scope '{scope}'; however, it does not \
                 have permission to perform action(s) '{actions}' on the linked scope(s) '{place}', or the linked scope(s) do not exist. Have \
                 the action granted there, or leave the reference out.",
                caller.object
            );
            return Answer::new(StatusCode::FORBIDDEN, "LinkedAuthorizationFailed", message);
        }
    };
    Answer::new(status, code, sentence(error))
}

fn forward(error: &ForwardError) -> Answer {
    let (status, code) = match error {
        ForwardError::Busy | ForwardError::Exhausted { .. } => {
            return Answer { retry_after_s: Some(1), ..Answer::new(StatusCode::SERVICE_UNAVAILABLE, "ServerBusy", sentence(error)) };
        }
        ForwardError::Crowded(error) => return crowded(*error),
        ForwardError::ShareUsed { .. } => return used_up(error),
        ForwardError::NoRoom(_) | ForwardError::Stopped => return busy(error),
        ForwardError::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "RequestContentTooLarge"),
        ForwardError::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, "RequestTimeout"),
        ForwardError::Document => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType"),
        ForwardError::ClientGone => (StatusCode::BAD_REQUEST, "BadRequest"),
        // A client would send what answers 500 once more.
        ForwardError::AnswerLost
        | ForwardError::Connect { .. }
        | ForwardError::Cut { .. }
        | ForwardError::Framing
        | ForwardError::Refused
        | ForwardError::Unexpected { .. }
        | ForwardError::Unreadable => (StatusCode::BAD_GATEWAY, "BadGateway"),
        ForwardError::Silent { .. } => (StatusCode::GATEWAY_TIMEOUT, "GatewayTimeout"),
        ForwardError::AnswerTooLarge { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "ResponseTooLarge"),
    };
    Answer::new(status, code, sentence(error))
}

fn own(error: &OwnError) -> Answer {
    let (status, code) = match error {
        OwnError::Access(error) => (StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST), error.code()),
        OwnError::ApiVersion(ApiVersionError::Missing) => (StatusCode::BAD_REQUEST, "MissingApiVersionParameter"),
        OwnError::ApiVersion(_) => (StatusCode::BAD_REQUEST, "InvalidApiVersionParameter"),
        OwnError::Body(BodyError::Crowded(error)) => return crowded(*error),
        OwnError::Body(BodyError::Cut) => (StatusCode::BAD_REQUEST, "BadRequest"),
        OwnError::Body(BodyError::Json(_)) => (StatusCode::BAD_REQUEST, "InvalidRequestContent"),
        OwnError::Body(BodyError::Slow) => (StatusCode::REQUEST_TIMEOUT, "RequestTimeout"),
        OwnError::Body(BodyError::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, "RequestContentTooLarge"),
        OwnError::Busy | OwnError::Records(_) | OwnError::State(_) | OwnError::Unknown | OwnError::Unsettled => return busy(error),
        OwnError::Refused(rejection) => return rejection.answer(),
        OwnError::Declared { .. } => (StatusCode::CONFLICT, "RequestDisallowedByPolicy"),
        OwnError::Deployment(error @ DeploymentError::Many { .. }) => {
            return Answer { retry_after_s: Some(1), ..Answer::new(StatusCode::TOO_MANY_REQUESTS, error.code(), sentence(error)) };
        }
        OwnError::Deployment(error @ DeploymentError::Stopping) => return busy(error),
        OwnError::Deployment(error) => (StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST), error.code()),
        OwnError::Fabric(FabricError::Assertion(_)) => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
        OwnError::Fabric(FabricError::Forward(error)) => return forward(error),
        OwnError::Fabric(FabricError::Refused { status, problem }) => (*status, fabric_code(&problem.code)),
        OwnError::Full { .. } | OwnError::Over { .. } => (StatusCode::CONFLICT, "QuotaExceeded"),
        OwnError::Machine { .. } | OwnError::SignUp(_) => (StatusCode::BAD_REQUEST, "InvalidRequestContent"),
        OwnError::NoFabric => (StatusCode::BAD_GATEWAY, "BadGateway"),
        OwnError::Part(answer) => return part(answer),
        OwnError::ManagingTenant { .. } => (StatusCode::FORBIDDEN, "RequestDisallowedByPolicy"),
        OwnError::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        OwnError::NotFound { .. } => (StatusCode::NOT_FOUND, "ResourceNotFound"),
        OwnError::NothingGranted { .. } | OwnError::Restricted { .. } => (StatusCode::FORBIDDEN, "AuthorizationFailed"),
        OwnError::Offer(error) => (StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST), error.code()),
        OwnError::Parameter { .. } => (StatusCode::BAD_REQUEST, "InvalidQueryParameter"),
        OwnError::Plan { .. } => (StatusCode::BAD_REQUEST, "InvalidRegistrationDefinitionCreateRequest"),
        OwnError::ResourceType { .. } => (StatusCode::NOT_FOUND, "InvalidResourceType"),
    };
    Answer::new(status, code, sentence(error))
}

fn check_of_own(error: &OwnError) -> CheckName {
    match error {
        OwnError::ApiVersion(_) | OwnError::Method { .. } | OwnError::NotFound { .. } | OwnError::ResourceType { .. } => CheckName::Scope,
        OwnError::NothingGranted { .. } | OwnError::Part(_) | OwnError::Restricted { .. } => CheckName::Role,
        OwnError::Access(_)
        | OwnError::Declared { .. }
        | OwnError::Deployment(_)
        | OwnError::Fabric(FabricError::Refused { .. })
        | OwnError::Full { .. }
        | OwnError::Over { .. }
        | OwnError::Machine { .. }
        | OwnError::SignUp(_)
        | OwnError::ManagingTenant { .. }
        | OwnError::Offer(_)
        | OwnError::Parameter { .. }
        | OwnError::Plan { .. } => CheckName::Rules,
        OwnError::Refused(rejection) => rejection.check(),
        OwnError::Body(_)
        | OwnError::Busy
        | OwnError::Fabric(FabricError::Assertion(_) | FabricError::Forward(_))
        | OwnError::NoFabric
        | OwnError::Records(_)
        | OwnError::State(_)
        | OwnError::Unknown
        | OwnError::Unsettled => CheckName::Forward,
    }
}

/// The fabric's word, where clients know it.
fn fabric_code(word: &str) -> &'static str {
    FABRIC_CODES.iter().find(|known| **known == word).copied().unwrap_or("FabricRefused")
}

/// What a fabric says of a request. Source: `crate::resource_manager::fabric`, whose words clients see as they are.
const FABRIC_CODES: [&str; 39] = [
    "ActionNotPermitted",
    "AdministratorOnly",
    "BodyTooLarge",
    "CheckpointNotFound",
    "CloudNotPermitted",
    "ExceedsParent",
    "HolderMissing",
    "HostNotFound",
    "HostNotResponding",
    "IdMismatch",
    "InvalidBody",
    "InvalidName",
    "InvalidQuery",
    "InvalidRole",
    "InvalidSize",
    "InvalidText",
    "JobNotFound",
    "NetworkNotInCloud",
    "NotADirectoryAccount",
    "NotAMember",
    "OnBehalfOfRefused",
    "OnBehalfOfRequired",
    "OtherRole",
    "OtherStamp",
    "OwnershipChanged",
    "ParentFixed",
    "ParentNotFound",
    "ProfileNotPermitted",
    "QuotaExceeded",
    "RoleDeleted",
    "RoleInUse",
    "RoleNotFound",
    "TooManyCheckpoints",
    "TooManyMachines",
    "TooManyRoles",
    "VmBusy",
    "VmExists",
    "VmNotFound",
    "VmStatus",
];

/// A part of a request was refused: with its words.
fn part(answer: &PartAnswer) -> Answer {
    let text = |name: &str| answer.body.get("error").and_then(|error| error.get(name)).and_then(serde_json::Value::as_str);
    let code = if answer.status == StatusCode::NOT_FOUND { "ResourceNotFound" } else { "LinkedAuthorizationFailed" };
    Answer::new(answer.status, code, text("message").unwrap_or("A part of the request was refused.").to_owned())
}

fn crowded(error: Crowded) -> Answer {
    match error {
        Crowded::All => busy(&error),
        Crowded::Share => used_up(&error),
    }
}

/// Not now, but when something else of the caller's tenant has ended.
fn used_up(error: &impl std::fmt::Display) -> Answer {
    Answer { retry_after_s: Some(1), ..Answer::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", sentence(error)) }
}

/// Not now, but soon.
fn busy(error: &impl std::fmt::Display) -> Answer {
    Answer { retry_after_s: Some(1), ..Answer::new(StatusCode::SERVICE_UNAVAILABLE, "ServerBusy", sentence(error)) }
}

/// An error text as a sentence.
#[must_use]
pub fn sentence(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    // The path of a member is no word.
    let is_word = text.split([' ', ':']).next().is_some_and(|word| word.chars().all(char::is_alphanumeric));
    let mut chars = text.chars();
    let first = chars.next().map(|first| if is_word { first.to_ascii_uppercase() } else { first });
    first.into_iter().chain(chars).chain(['.']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arm::path::PathError;
    use crate::ids::{ObjectId, SubscriptionId, TenantId};

    fn denied(client: &str, hint: Option<&str>) -> Rejection {
        Rejection::Denied {
            error: AuthorizeError::Denied { reason: Box::new(DenyReason::NoDelegation) },
            client: client.to_owned(),
            caller: PrincipalId { tenant: TenantId::from_bytes([1; 16]), object: ObjectId::from_bytes([2; 16]) },
            actions: vec!["A.B/c/read".parse().unwrap(), "A.B/d/read".parse().unwrap()],
            scope: "/subscriptions/x".to_owned(),
            hint: hint.map(str::to_owned),
        }
    }

    #[track_caller]
    fn check(rejection: &Rejection, rest: &str) {
        let (answer, id) = (rejection.answer(), RequestId::from_bytes([0xab; 16]));
        let (code, message) = (answer.code, serde_json::to_string(&answer.message).unwrap());
        let expected = format!(r#"{{"error":{{"code":"{code}","message":{message}{rest}}}}}"#);
        assert_eq!(String::from_utf8(answer.body(rejection, id)).unwrap(), expected);
        serde_json::from_str::<serde_json::Value>(&expected).unwrap();
    }

    #[test]
    fn a_denial_is_explained_in_its_body() {
        const DECISION: &str = r#","additionalInfo":[{"type":"StewardDecision","info":{"reason":"delegation.none","check":"delegation","id":"abababab-abab-abab-abab-abababababab","hint":HINT,"explain":"steward explain abababab-abab-abab-abab-abababababab"}}]"#;
        check(&denied("Deniz", Some("Ask Oak.")), &DECISION.replace("HINT", r#""Ask Oak.""#));
        check(&denied("D\"\\\u{1}", Some("\"\n")), &DECISION.replace("HINT", r#""\"\n""#));
        check(&denied("", None), &DECISION.replace("HINT", "null"));
    }

    #[test]
    fn strangers_get_a_message_and_nothing_else() {
        let error = ScopeError::Subscription { id: SubscriptionId::from_bytes([3; 16]), owner: None };
        check(&Rejection::Scope { error, wrong_tenant: WrongTenant::Hide, authority: None }, "");
    }

    #[test]
    fn a_challenge_names_one_authority_and_nothing_ends_its_description() {
        let told = |authority: Option<&str>| Challenge { authority: authority.map(str::to_owned) }.header("https://default", r#"no "b\c""#);
        assert_eq!(told(None), r#"Bearer authorization_uri="https://default", error="invalid_token", error_description="no 'b'c'""#);
        assert_eq!(told(Some("https://home")), told(None).replace("default", "home"));
    }

    #[test]
    fn a_managing_tenant_that_is_not_allowed_is_told_as_the_policy_for_it_tells() {
        let at = crate::delegation::SourceLocation { file: "policies/rules.toml".into(), line: 7, column: 1 };
        let rejection = Rejection::Own(OwnError::ManagingTenant { tenant: TenantId::from_bytes([4; 16]), at });
        let violation = rejection.violation().unwrap();
        assert_eq!((&violation["type"], &violation["info"]["definedAt"]), (&"PolicyViolation".into(), &"policies/rules.toml:7".into()));
        assert_eq!(violation["info"]["managedByTenantId"], "04040404-0404-0404-0404-040404040404");
        assert_eq!(denied("Deniz", None).violation(), None);
    }

    #[test]
    fn an_operator_is_told_of_what_was_permitted_and_got_no_answer() {
        let assertion = AssertionError::Claims(serde_json::from_str::<()>("").unwrap_err());
        for (rejection, expected) in [
            (Rejection::Assertion { error: assertion }, true),
            (Rejection::Forward(ForwardError::Refused), true),
            (Rejection::Forward(ForwardError::Silent { waited_ms: 1 }), true),
            (Rejection::Forward(ForwardError::ShareUsed { max: 1 }), false),
            (Rejection::Forward(ForwardError::Crowded(Crowded::All)), false),
            (Rejection::Forward(ForwardError::AnswerLost), false),
            (Rejection::Forward(ForwardError::AnswerTooLarge { max: 1 }), true),
            (Rejection::Forward(ForwardError::NoRoom(Overload::Unread { max: 1 })), false),
            (Rejection::Forward(ForwardError::BodyTooLarge { max: 1 }), false),
            (Rejection::Forward(ForwardError::BodyTooSlow), false),
            (Rejection::Forward(ForwardError::ClientGone), false),
            (Rejection::Forward(ForwardError::Stopped), false),
            (Rejection::Forward(ForwardError::Document), false),
            (denied("Deniz", None), false),
            (Rejection::Stale, false),
        ] {
            assert_eq!(rejection.is_of_the_backend(), expected, "{rejection}");
        }
    }

    #[test]
    fn a_connection_ends_behind_what_may_have_ended_elsewhere() {
        for (rejection, expected) in [
            (Rejection::Classify(ClassifyError::Framing { what: "x" }), true),
            (Rejection::Classify(ClassifyError::HostForm), true),
            (Rejection::Classify(ClassifyError::Method { method: "CONNECT".to_owned() }), true),
            (Rejection::Classify(ClassifyError::Tunnel { field: "upgrade" }), true),
            (Rejection::Classify(ClassifyError::Path(PathError::NotAbsolute)), false),
            (denied("Deniz", None), false),
            (Rejection::Stale, false),
        ] {
            assert_eq!(rejection.ends_connection(), expected, "{rejection}");
        }
    }

    #[test]
    fn a_target_is_hidden_from_those_who_may_not_know_of_it() {
        let subscription = |owner: Option<TenantId>| Rejection::Scope {
            error: ScopeError::Subscription { id: SubscriptionId::from_bytes([3; 16]), owner },
            wrong_tenant: WrongTenant::Hide,
            authority: None,
        };
        let mut foreign = denied("Deniz", None);
        if let Rejection::Denied { error, .. } = &mut foreign {
            *error = AuthorizeError::ForeignOperation;
        }
        for (rejection, expected) in [
            (subscription(Some(TenantId::from_bytes([4; 16]))), true),
            (foreign, true),
            (subscription(None), false),
            (denied("Deniz", None), false),
            (Rejection::Stale, false),
        ] {
            assert_eq!(rejection.hides_target(), expected, "{rejection}");
        }
    }

    #[test]
    fn tools_find_client_action_and_scope_in_the_message() {
        let object = "02020202-0202-0202-0202-020202020202";
        let expected = format!(
            "The client 'Deniz' with object id '{object}' does not have authorization to perform action 'A.B/c/read' over scope \
             '/subscriptions/x': nothing is delegated to the caller's tenant here. Ask Oak. If access was granted a moment ago, \
             refresh your credentials."
        );
        assert_eq!(denied("Deniz", Some("Ask Oak.")).answer().message, expected);
        assert_eq!(denied("Deniz", None).answer().message, expected.replace(" Ask Oak.", ""));
    }
}
