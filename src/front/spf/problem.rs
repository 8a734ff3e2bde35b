//! Why there is no answer, in the words and the format of OData.

use hyper::StatusCode;

use super::super::answer::{Answer, Refusal};
use crate::odata::{Fault, Format, ODataError, Written, write};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// Several things that are not one.
    #[error("`{first}` and `{second}` cannot be set by one request, for they are not done as one; send two")]
    Combined { first: &'static str, second: &'static str },
    /// A document of the management plane without what an entity needs.
    #[error("what the gateway says of itself cannot be shown here: {0}")]
    Document(#[source] ODataError),
    #[error("there is a machine of this name in the cloud already")]
    Exists,
    #[error("{method} is not offered for {what}")]
    Method { method: String, what: &'static str },
    #[error("there is no such entity, or none that the caller may see")]
    NotFound,
    #[error("{0}")]
    OData(#[from] ODataError),
    #[error("{0}")]
    Passed(#[from] Refusal),
    #[error("`{name}` cannot be set")]
    ReadOnly { name: &'static str },
    /// More tenants or pages than are asked for at once.
    #[error("this would be asked of more than {max} {what}; say which tenant is meant, with the filter `{property} eq guid'…'`")]
    TooMany { max: usize, what: &'static str, property: &'static str },
    #[error("`{name}` {problem}")]
    Value { name: &'static str, problem: String },
}

impl Problem {
    pub(super) fn value(name: &'static str, problem: impl Into<String>) -> Self {
        Self::Value { name, problem: problem.into() }
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Combined { .. } | Self::ReadOnly { .. } | Self::TooMany { .. } | Self::Value { .. } => StatusCode::BAD_REQUEST,
            Self::Document(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Exists => StatusCode::CONFLICT,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::OData(error) => status_of(error.fault()),
            Self::Passed(refusal) => refusal.status(),
        }
    }

    fn code(&self) -> String {
        let code = match self {
            Self::Combined { .. } => "CombinedChange",
            Self::Document(_) => "InternalError",
            Self::Exists => "VmExists",
            Self::Method { .. } => "MethodNotAllowed",
            Self::NotFound => "ResourceNotFound",
            Self::OData(error) => error.code(),
            Self::Passed(refusal) => return refusal.code(),
            Self::ReadOnly { .. } => "ReadOnly",
            Self::TooMany { .. } => "TooMany",
            Self::Value { .. } => "InvalidValue",
        };
        code.to_owned()
    }

    pub(super) fn answer(&self, format: Format) -> Answer {
        let (message, headers) = if let Self::Passed(refusal) = self {
            (refusal.message(), refusal.headers())
        } else {
            (crate::rejection::sentence(self), Vec::new())
        };
        let mut answer = written(self.status(), write::error(format, &self.code(), &message));
        answer.headers.extend(headers);
        answer
    }
}

/// A document and its status.
pub(super) fn written(status: StatusCode, written: Written) -> Answer {
    let headers = vec![("dataserviceversion", written.version.to_owned())];
    Answer { status, body: written.text.into(), content_type: written.content_type, headers }
}

const fn status_of(fault: Fault) -> StatusCode {
    match fault {
        Fault::BadRequest => StatusCode::BAD_REQUEST,
        Fault::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
        Fault::NotFound => StatusCode::NOT_FOUND,
        Fault::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        Fault::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Fault::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Fault::UriTooLong => StatusCode::URI_TOO_LONG,
    }
}
