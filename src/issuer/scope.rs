//! What a client asks a token for: `scope` (v2) or `resource` (v1).

use hyper::Uri;

use crate::form::Form;

/// One resource and what comes with its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Requested {
    /// The `aud` of the access token.
    pub(super) audience: String,
    /// Whether an `id_token` is wanted.
    pub(super) openid: bool,
    /// Whether a refresh token is wanted.
    pub(super) offline_access: bool,
    /// The scopes as they were asked for, which the answer repeats.
    pub(super) text: String,
}

/// A wish that no token can fulfil.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScopeError {
    #[error("the scope `{0}` names several resources; ask for one token each")]
    Several(String),
    #[error("the request names no resource; add a scope such as https://management.azure.com/.default")]
    NoResource,
    #[error("the scope `{0}` is not an absolute https URL followed by /.default")]
    NotAResource(String),
}

const DEFAULT: &str = "/.default";
const DELEGATED: &str = "/user_impersonation";

impl Requested {
    /// What a form asks for, if it asks for anything.
    pub(super) fn from_form(form: &Form) -> Result<Option<Self>, ScopeError> {
        match (form.get("scope"), form.get("resource")) {
            (Some(scope), None) => Self::from_scope(scope).map(Some),
            (None, Some(resource)) => Self::from_resource(resource).map(Some),
            // MSAL asks for `openid` beside a v1 resource.
            (Some(_), Some(resource)) => Self::from_resource(resource).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn from_resource(resource: &str) -> Result<Self, ScopeError> {
        let audience = https(resource).ok_or_else(|| ScopeError::NotAResource(resource.to_owned()))?;
        Ok(Self { audience, openid: true, offline_access: true, text: "user_impersonation".to_owned() })
    }

    fn from_scope(text: &str) -> Result<Self, ScopeError> {
        let mut requested = Self { audience: String::new(), openid: false, offline_access: false, text: text.to_owned() };
        for scope in text.split_ascii_whitespace() {
            match scope {
                "openid" => requested.openid = true,
                "offline_access" => requested.offline_access = true,
                "email" | "profile" => {}
                scope => {
                    let audience = resource_of(scope).ok_or_else(|| ScopeError::NotAResource(scope.to_owned()))?;
                    if !requested.audience.is_empty() && requested.audience != audience {
                        return Err(ScopeError::Several(text.to_owned()));
                    }
                    requested.audience = audience;
                }
            }
        }
        if requested.audience.is_empty() { Err(ScopeError::NoResource) } else { Ok(requested) }
    }

    /// The same wish for the resource that a refresh token was made for.
    pub(super) fn renewed(audience: String) -> Self {
        let text = format!("{audience}{DEFAULT}");
        Self { audience, openid: true, offline_access: true, text }
    }
}

/// Takes one suffix off and no slash with it: `https://x//.default` means the audience `https://x/`.
fn resource_of(scope: &str) -> Option<String> {
    https(scope.strip_suffix(DEFAULT).or_else(|| scope.strip_suffix(DELEGATED))?)
}

fn https(text: &str) -> Option<String> {
    let uri: Uri = text.parse().ok()?;
    let plain = uri.query().is_none() && !text.contains('#') && text.get(..8)? == "https://";
    (plain && !uri.host()?.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(scope: &str, expected: Result<&str, ScopeError>) {
        assert_eq!(Requested::from_scope(scope).map(|requested| requested.audience), expected.map(str::to_owned), "{scope}");
    }

    #[test]
    fn one_default_is_stripped_and_the_slash_before_it_is_kept() {
        check("https://management.azure.com/.default", Ok("https://management.azure.com"));
        check("https://management.azure.com//.default", Ok("https://management.azure.com/"));
        check("https://127.0.0.1:8443/.default openid profile offline_access", Ok("https://127.0.0.1:8443"));
        check("https://127.0.0.1:8443//user_impersonation", Ok("https://127.0.0.1:8443/"));
        check("https://x/.default https://x/user_impersonation", Ok("https://x"));
    }

    #[test]
    fn what_is_not_one_https_resource_is_refused() {
        check("openid", Err(ScopeError::NoResource));
        check("", Err(ScopeError::NoResource));
        let not = |text: &str| Err(ScopeError::NotAResource(text.to_owned()));
        check("http://x/.default", not("http://x/.default"));
        check("User.Read", not("User.Read"));
        check("https:///.default", not("https:///.default"));
        check("https://x/", not("https://x/"));
        check("https://x?a=b/.default", not("https://x?a=b/.default"));
        check("https://x/.default https://y/.default", Err(ScopeError::Several("https://x/.default https://y/.default".to_owned())));
    }

    #[test]
    fn a_v1_resource_is_the_audience_as_it_is() {
        let form = Form::parse(b"resource=https://management.core.windows.net/").unwrap();
        let requested = Requested::from_form(&form).unwrap().unwrap();
        assert_eq!(requested.audience, "https://management.core.windows.net/");
        assert_eq!(Requested::from_form(&Form::default()), Ok(None));
    }
}
