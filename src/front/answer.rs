//! Answers and refusals of these interfaces.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::tenant_api::NotTaken;
use crate::https::CloseAfter;
use crate::ids::RequestId;
use crate::management::PartAnswer;
use crate::pipeline::ClassifyError;
use crate::rejection;
use crate::sign_up::SignUpError;
use crate::state::ChangeError;

/// A document and its status.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the request body {problem}")]
    Body { problem: String },
    #[error("{max} requests {}are under way; try again in a second", if *.of_address { "from this address " } else { "" })]
    Busy { max: usize, of_address: bool },
    #[error("{error}")]
    Form { error: ClassifyError },
    #[error("`{host}` is not an address of this listener")]
    Host { host: String },
    #[error("nothing is served at `{path}`")]
    NotFound { path: String },
    #[error("{max} visitors have {} just now; try again in {wait_s} s", if *.of_address { "tried to sign up from this address" } else { "signed up" })]
    Pace { max: u32, of_address: bool, wait_s: u64 },
    #[error("the header `x-ms-principal-id` is missing; the tenant API needs it on every request")]
    PrincipalMissing,
    /// What the request stands for was refused, in its own words.
    #[error("refused")]
    Refused(Box<PartAnswer>),
    #[error("{error}")]
    SignUp { error: Box<ChangeError<SignUpError>>, record: Option<RequestId> },
    /// By a rule of the gateway's, with a record.
    #[error("refused")]
    Rejected { answer: Box<rejection::Answer>, id: RequestId },
}

impl From<NotTaken> for Refusal {
    fn from(NotTaken { error, record }: NotTaken) -> Self {
        Self::SignUp { error: Box::new(error), record }
    }
}

impl Answer {
    pub(super) fn json(status: StatusCode, document: &Value) -> Self {
        Self { status, body: document.to_string().into(), content_type: "application/json; charset=utf-8", headers: Vec::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Body { .. } | Self::PrincipalMissing => StatusCode::BAD_REQUEST,
            Self::Busy { of_address: false, .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Form { error } => rejection::of_form(error).0,
            Self::Host { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::Busy { of_address: true, .. } | Self::Pace { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Refused(answer) => answer.status,
            Self::Rejected { answer, .. } => answer.status,
            Self::SignUp { error, .. } => status_of_sign_up(error),
        }
    }

    pub(super) fn code(&self) -> String {
        match self {
            Self::Body { .. } => "InvalidRequestContent".to_owned(),
            Self::Busy { of_address: false, .. } => "ServerBusy".to_owned(),
            Self::Form { error } => rejection::of_form(error).1.to_owned(),
            Self::Host { .. } => "InvalidHost".to_owned(),
            Self::NotFound { .. } => "NotFound".to_owned(),
            Self::Busy { of_address: true, .. } | Self::Pace { .. } => "TooManyRequests".to_owned(),
            Self::PrincipalMissing => "PrincipalMissing".to_owned(),
            Self::Refused(answer) => said(answer, "code").unwrap_or("Refused").to_owned(),
            Self::SignUp { error, .. } if matches!(**error, ChangeError::Refused(_)) => "SignUpRefused".to_owned(),
            Self::SignUp { .. } => "ServerBusy".to_owned(),
            Self::Rejected { answer, .. } => answer.code.to_owned(),
        }
    }

    pub(super) fn message(&self) -> String {
        match self {
            Self::Refused(answer) => said(answer, "message").unwrap_or("The request was refused.").to_owned(),
            Self::Rejected { answer, .. } => answer.message.clone(),
            Self::Body { .. }
            | Self::Busy { .. }
            | Self::Form { .. }
            | Self::Host { .. }
            | Self::NotFound { .. }
            | Self::Pace { .. }
            | Self::PrincipalMissing
            | Self::SignUp { .. } => rejection::sentence(self),
        }
    }

    fn document(&self) -> Value {
        match self {
            Self::Refused(answer) => answer.body.clone(),
            Self::SignUp { error, .. } => {
                let target = if let ChangeError::Refused(error) = &**error { error.target() } else { None };
                json!({ "error": { "code": self.code(), "message": self.message(), "target": target } })
            }
            Self::Body { .. }
            | Self::Busy { .. }
            | Self::Form { .. }
            | Self::Host { .. }
            | Self::NotFound { .. }
            | Self::Pace { .. }
            | Self::PrincipalMissing
            | Self::Rejected { .. } => json!({ "error": { "code": self.code(), "message": self.message() } }),
        }
    }
}

fn status_of_sign_up(error: &ChangeError<SignUpError>) -> StatusCode {
    match error {
        ChangeError::Refused(SignUpError::Busy) | ChangeError::Busy | ChangeError::Store(_) | ChangeError::Unknown => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ChangeError::Refused(SignUpError::Closed | SignUpError::Full { .. } | SignUpError::Plan { .. }) => StatusCode::FORBIDDEN,
        ChangeError::Refused(SignUpError::Identity { .. } | SignUpError::Issuer { .. }) => StatusCode::CONFLICT,
        ChangeError::Refused(
            SignUpError::AddOn { .. } | SignUpError::Many { .. } | SignUpError::Name { .. } | SignUpError::Twice { .. },
        ) => StatusCode::BAD_REQUEST,
    }
}

fn said<'a>(answer: &'a PartAnswer, name: &str) -> Option<&'a str> {
    answer.body.get("error")?.get(name)?.as_str()
}

impl Refusal {
    /// Its header fields beyond those of every answer.
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        if let Self::Rejected { answer, id } = self {
            let challenge = answer.challenge.as_ref().map(|_| {
                let why = answer.message.replace(['"', '\\'], "'");
                ("www-authenticate", format!("Bearer error=\"invalid_token\", error_description=\"{why}\""))
            });
            return challenge.into_iter().chain([("x-ms-request-id", id.to_string())]).collect();
        }
        if let Self::Pace { wait_s, .. } = self {
            return vec![("retry-after", wait_s.to_string())];
        }
        if let Self::SignUp { record: Some(id), .. } = self {
            let retry = (self.status() == StatusCode::SERVICE_UNAVAILABLE).then(|| ("retry-after", "1".to_owned()));
            return retry.into_iter().chain([("x-ms-request-id", id.to_string())]).collect();
        }
        if let Self::Refused(answer) = self
            && let Some(id) = &answer.id
        {
            return vec![("x-ms-request-id", id.to_string())];
        }
        if matches!(self, Self::Busy { .. }) || self.status() == StatusCode::SERVICE_UNAVAILABLE {
            return vec![("retry-after", "1".to_owned())];
        }
        Vec::new()
    }
}

/// The response with the header fields of every answer.
pub(super) fn sealed(answer: Result<Answer, Refusal>, id: Option<&str>) -> Response<Full<Bytes>> {
    let ends_connection = matches!(&answer, Err(Refusal::Form { .. }));
    let answer = answer.unwrap_or_else(|refusal| {
        let headers = refusal.headers();
        Answer { headers, ..Answer::json(refusal.status(), &refusal.document()) }
    });
    let has_body = !answer.body.is_empty();
    let mut response = Response::new(Full::from(answer.body));
    *response.status_mut() = answer.status;
    if ends_connection {
        response.extensions_mut().insert(CloseAfter);
    }
    let headers = response.headers_mut();
    if has_body {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    if let Some(value) = id.and_then(|id| HeaderValue::try_from(id).ok()) {
        headers.insert(HeaderName::from_static("x-ms-correlation-request-id"), value);
    }
    response
}
