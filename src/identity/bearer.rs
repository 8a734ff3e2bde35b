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
pub(super) fn token(headers: &HeaderMap) -> Result<&str, TokenError> {
    let unreadable = |why| TokenError::Authorization { why };
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let field = fields.next().ok_or(TokenError::Missing)?;
    if fields.next().is_some() {
        return Err(unreadable("the field `Authorization` is given more than once"));
    }
    let (scheme, token) = std::str::from_utf8(field.as_bytes())
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(|| unreadable("expected `Bearer`, a space and a token"))?;
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(unreadable("the scheme is not `Bearer`"));
    }
    let token = token.trim_matches(' ');
    if token.len() > TOKEN_BYTES_MAX {
        return Err(unreadable("the token is longer than 16384 bytes"));
    }
    let of_token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'=' | b'~' | b'+' | b'/');
    if token.is_empty() || !token.bytes().all(of_token) {
        return Err(unreadable("expected exactly one token"));
    }
    Ok(token)
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
        let found = token(&headers).map_err(|error| error.to_string());
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
        check(&[b"Bearer "], Err("expected exactly one token"));
        check(&[b"Bearer a.b.c, Bearer d.e.f"], Err("expected exactly one token"));
        check(&[b"Bearer a.b.c d.e.f"], Err("expected exactly one token"));
        check(&[b"Bearer a.b.\xff"], Err("expected `Bearer`, a space and a token"));
        check(&[&[b"Bearer ".as_slice(), &[b'a'; TOKEN_BYTES_MAX + 1]].concat()], Err("the token is longer than 16384 bytes"));
    }
}
