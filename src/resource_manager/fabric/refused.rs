//! Why a request is refused, and answers in general.

use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;

use crate::vmm::{Problem, Refusal};

/// A refusal with its status.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) problem: Problem,
}

/// What is wrong, and what to do about it.
pub(super) fn problem(code: &str, message: impl Into<Box<str>>, action: &str) -> Problem {
    Problem { code: code.into(), message: message.into(), recommended_action: action.into() }
}

impl Refused {
    /// The request itself is wrong.
    pub(super) fn bad(code: &str, message: impl Into<Box<str>>, action: &str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, problem: problem(code, message, action) }
    }

    /// The state of things is against it.
    pub(super) fn conflict(code: &str, message: impl Into<Box<str>>, action: &str) -> Self {
        Self { status: StatusCode::CONFLICT, problem: problem(code, message, action) }
    }

    /// Whoever asks may not.
    pub(super) fn forbidden(code: &str, message: impl Into<Box<str>>, action: &str) -> Self {
        Self { status: StatusCode::FORBIDDEN, problem: problem(code, message, action) }
    }

    /// There is no such thing, or none that whoever asks may know of.
    pub(super) fn missing(code: &str, message: impl Into<Box<str>>) -> Self {
        Self { status: StatusCode::NOT_FOUND, problem: problem(code, message, "Look at the list for what is there.") }
    }

    /// What a member of a role asks for is the administrator's to do.
    pub(super) fn administrator_only(what: &str) -> Self {
        let message = format!("{what} is for the administrator of the fabric only");
        Self::forbidden("AdministratorOnly", message, "Connect as administrator.")
    }

    /// What an administrator asks for is done in somebody's name only.
    pub(super) fn on_behalf_only(what: &str) -> Self {
        let message = format!("{what} is done on behalf of a member of a user role only");
        Self::forbidden("OnBehalfOfRequired", message, "Connect on behalf of a member of the role.")
    }

    /// The state could not be written.
    pub(super) fn store_failed() -> Self {
        let problem = problem("StoreFailed", "the state of the fabric could not be written; nothing was changed", "Try again later.");
        Self { status: StatusCode::SERVICE_UNAVAILABLE, problem }
    }
}

/// A status and JSON.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        Self { status, body: crate::json::text(body).into() }
    }

    pub(super) fn ok(body: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, body)
    }

    pub(super) const fn empty() -> Self {
        Self { status: StatusCode::NO_CONTENT, body: Bytes::new() }
    }
}

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Self {
        Self::json(refused.status, &Refusal { error: refused.problem })
    }
}
