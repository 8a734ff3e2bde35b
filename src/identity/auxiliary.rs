//! Tokens that a caller shows besides its own: `x-ms-authorization-auxiliary: Bearer {token}, Bearer {token}`.
//!
//! Each proves its own caller, as fully as the token in `Authorization` does. What these callers count for is said in `pipeline::linked`.
//! Source: Azure Resource Manager, "Authenticate requests across tenants"; clients put commas or semicolons between the tokens.

use std::fmt::Write as _;

use hyper::header::{HeaderMap, HeaderName};

use super::bearer::{self, Bearer};
use super::error::TokenError;
use crate::ids::{ClientId, TenantId};

/// The field that they stand in.
pub(super) const FIELD: HeaderName = HeaderName::from_static("x-ms-authorization-auxiliary");
/// Tokens besides the caller's own. Source: the same.
const TOKENS_MAX: usize = 3;

/// Why a request that shows auxiliary tokens is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuxiliaryError {
    /// The field is not one list of one to three tokens.
    #[error("the header `{FIELD}` cannot be read: {why}")]
    Form {
        /// What is wrong with it.
        why: &'static str,
    },
    /// One of the tokens proves nobody.
    #[error("the auxiliary token {position}{} is not accepted: {error}", shown(signed.as_ref()))]
    Token {
        /// Its place in the header, from 1.
        position: usize,
        /// Whose it is, when its signature is good.
        signed: Option<Signed>,
        /// What is wrong with it.
        error: TokenError,
    },
}

/// Whose a token is by its signature, whatever else is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// The tenant whose issuer signed it.
    pub tenant: TenantId,
    /// The application that it was issued to.
    pub client: Option<ClientId>,
}

/// A token that is refused, and whose it is as far as that is proven.
#[derive(Debug)]
pub(super) struct Unaccepted {
    pub(super) error: TokenError,
    pub(super) signed: Option<Signed>,
}

impl From<TokenError> for Unaccepted {
    fn from(error: TokenError) -> Self {
        Self { error, signed: None }
    }
}

fn shown(signed: Option<&Signed>) -> String {
    let Some(Signed { tenant, client }) = signed else { return String::new() };
    let mut text = format!(", of the tenant `{tenant}`");
    if let Some(client) = client {
        // Writing to a string cannot fail.
        write!(text, " and the client `{client}`").unwrap_or_default();
    }
    text
}

/// What stands where the tokens have to stand, in their order.
///
/// # Errors
/// When the field is doubled, empty, or holds more than three.
pub(super) fn tokens(headers: &HeaderMap) -> Result<Vec<Result<Bearer<'_>, TokenError>>, AuxiliaryError> {
    let unreadable = |why| AuxiliaryError::Form { why };
    let mut fields = headers.get_all(FIELD).iter();
    let Some(field) = fields.next() else { return Ok(Vec::new()) };
    if fields.next().is_some() {
        return Err(unreadable("it is given more than once"));
    }
    let listed: Vec<&[u8]> =
        field.as_bytes().split(|byte| matches!(byte, b',' | b';')).take(TOKENS_MAX + 1).map(<[u8]>::trim_ascii).collect();
    if listed.len() > TOKENS_MAX {
        return Err(unreadable("it holds more than 3 tokens"));
    }
    if listed.iter().any(|one| one.is_empty()) {
        return Err(unreadable("a token is missing between its separators"));
    }
    Ok(listed.into_iter().map(bearer::read).collect())
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(fields: &[&str], expected: Result<&[Result<&str, &str>], &str>) {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(FIELD, HeaderValue::from_str(field).unwrap());
        }
        let found = tokens(&headers);
        let found: Result<Vec<Result<String, String>>, String> = found.map_err(|error| error.to_string()).map(|found| {
            let text =
                |one: Result<Bearer<'_>, TokenError>| one.and_then(Bearer::text).map(str::to_owned).map_err(|error| error.to_string());
            found.into_iter().map(text).collect()
        });
        match (found, expected) {
            (Ok(found), Ok(expected)) => {
                assert_eq!(found.len(), expected.len(), "{fields:?}");
                for (found, expected) in found.iter().zip(expected) {
                    match (found, expected) {
                        (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                        (Err(found), Err(expected)) => assert!(found.ends_with(expected), "{found}"),
                        other => panic!("{fields:?}: {other:?}"),
                    }
                }
            }
            (Err(found), Err(expected)) => assert!(found.ends_with(expected), "{found}"),
            other => panic!("{fields:?}: {other:?}"),
        }
    }

    #[test]
    fn up_to_three_tokens_are_read_from_one_field() {
        check(&[], Ok(&[]));
        check(&["Bearer a.b.c"], Ok(&[Ok("a.b.c")]));
        check(&["Bearer a, Bearer b,bearer c"], Ok(&[Ok("a"), Ok("b"), Ok("c")]));
        check(&["Bearer a; Bearer b"], Ok(&[Ok("a"), Ok("b")]));
        check(&["Bearer a, EncryptedBearer b"], Ok(&[Ok("a"), Err("the scheme is not `Bearer`")]));
        check(&["Bearer a b"], Ok(&[Err("expected exactly one token")]));
        check(&["a.b.c"], Ok(&[Err("expected `Bearer`, a space and a token")]));
        check(&["Bearer a, Bearer b, Bearer c, Bearer d"], Err("it holds more than 3 tokens"));
        check(&["Bearer a", "Bearer b"], Err("it is given more than once"));
        for empty in ["", ",", "Bearer a,", "; Bearer a", "Bearer a,, Bearer b"] {
            check(&[empty], Err("a token is missing between its separators"));
        }
    }
}
