//! The one place a token may stand in: the `Authorization` field. Queries, cookies, bodies and proxy fields are not looked at.

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;

use super::error::TokenError;

/// A token of 200 groups has about 11 KiB; larger ones are not issued. Source: arm-contract, tokens; RFC 9110 leaves it open.
pub(super) const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// The token of a request: `Authorization: Bearer {token}`.
///
/// # Errors
/// When the field is absent, doubled, of another scheme, too long, or holds anything but one token.
/// Source: RFC 6750 §2.1; RFC 9110 §11.1 for the case of the scheme.
pub(super) fn token(headers: &HeaderMap) -> Result<Bearer<'_>, TokenError> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let field = fields.next().ok_or(TokenError::Missing)?;
    if fields.next().is_some() {
        return Err(TokenError::Authorization { why: "the field `Authorization` is given more than once" });
    }
    read(field.as_bytes())
}

/// What stands behind the scheme.
pub(super) fn read(field: &[u8]) -> Result<Bearer<'_>, TokenError> {
    let unreadable = |why| TokenError::Authorization { why };
    let (scheme, token) = field.split_at_checked(SCHEME.len()).ok_or_else(|| unreadable(NOT_BEARER))?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(unreadable(if field.contains(&b' ') && !starts_bearer(field) { OTHER_SCHEME } else { NOT_BEARER }));
    }
    let token = trim_blanks(token);
    if token.len() > TOKEN_BYTES_MAX {
        return Err(unreadable("the token is longer than 16384 bytes"));
    }
    Ok(Bearer(token))
}

const SCHEME: &[u8] = b"Bearer ";
const NOT_BEARER: &str = "expected `Bearer`, a space and a token";
const OTHER_SCHEME: &str = "the scheme is not `Bearer`";

fn trim_blanks(mut bytes: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = bytes {
        bytes = rest;
    }
    bytes
}

fn starts_bearer(field: &[u8]) -> bool {
    field.get(..SCHEME.len() - 1).is_some_and(|start| start.eq_ignore_ascii_case(b"Bearer"))
}

/// What stands where a token has to stand. A token that was found valid before is known by these bytes alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bearer<'a>(&'a [u8]);

impl<'a> Bearer<'a> {
    pub(super) const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// One token, of the letters that a token has.
    ///
    /// # Errors
    /// When it is anything else. Source: RFC 6750 §2.1, `b64token`.
    pub(super) fn text(self) -> Result<&'a str, TokenError> {
        let of_token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=' | b'~' | b'+' | b'/');
        let is_token = !self.0.is_empty() && self.0.iter().all(of_token);
        let text = std::str::from_utf8(self.0).ok().filter(|_| is_token);
        text.ok_or(TokenError::Authorization { why: "expected exactly one token" })
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(fields: &[&[u8]], expected: Result<&str, &str>) {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(field).unwrap());
        }
        let found = token(&headers).and_then(Bearer::text).map_err(|error| error.to_string());
        let found = found.as_ref().map(|token| *token).map_err(|text| text.rsplit(": ").next().unwrap());
        assert_eq!(found, expected, "{fields:?}");
    }

    #[test]
    fn exactly_one_field_with_exactly_one_bearer_token_is_read() {
        check(&[b"Bearer a.b.c"], Ok("a.b.c"));
        check(&[b"bearer a.b.c"], Ok("a.b.c"));
        check(&[b"BEARER  a.b.c "], Ok("a.b.c"));
        check(&[], Err("the request has no bearer token; sign in and send one in the `Authorization` field"));
        check(&[b"Bearer a.b.c", b"Bearer a.b.c"], Err("the field `Authorization` is given more than once"));
        check(&[b"Basic YTpi"], Err("the scheme is not `Bearer`"));
        check(&[b"SharedKey account:sig"], Err("the scheme is not `Bearer`"));
        check(&[b"Bearer"], Err("expected `Bearer`, a space and a token"));
        check(&[b"Bearer\ta.b.c"], Err("expected `Bearer`, a space and a token"));
        check(&[b"Bearer\ta.b.c d"], Err("expected `Bearer`, a space and a token"));
        check(&[b"Negotiate"], Err("expected `Bearer`, a space and a token"));
        check(&[b"Bearer "], Err("expected exactly one token"));
        check(&[b"Bearer a.b.c, Bearer d.e.f"], Err("expected exactly one token"));
        check(&[b"Bearer a.b.c d.e.f"], Err("expected exactly one token"));
        check(&[b"Bearer a.b.\xff"], Err("expected exactly one token"));
    }

    #[test]
    fn a_token_of_up_to_16384_bytes_is_read() {
        let longest = "a".repeat(16_384);
        check(&[format!("Bearer {longest}").as_bytes()], Ok(&longest));
        check(&[format!("Bearer   {longest} ").as_bytes()], Ok(&longest));
        check(&[format!("Bearer {longest}a").as_bytes()], Err("the token is longer than 16384 bytes"));
    }

    #[test]
    fn a_token_is_known_by_the_bytes_that_stand_behind_the_scheme() {
        assert_eq!(read(b"Bearer  a.b.c ").unwrap().bytes(), b"a.b.c");
        assert_eq!(read(b"bearer \xff d").unwrap().bytes(), b"\xff d");
    }
}
