//! Why a token was refused.

use std::fmt;

use crate::clock::Timestamp;
use crate::ids::TenantId;

/// Why a request has no caller. No message holds a token or any part of a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The issuer does not sign this way, or not with this key.
    #[error("the token is signed with `{algorithm}`, which its issuer or its key does not use")]
    Algorithm {
        /// The header's `alg`.
        algorithm: Quoted,
    },
    /// The token is for another service.
    #[error("the token is for `{got}`; ask for one for {}", quoted_list(wanted))]
    Audience {
        /// The token's `aud`.
        got: Quoted,
        /// The accepted values.
        wanted: Vec<String>,
    },
    /// There is an `Authorization` field, but not exactly one with exactly one bearer token.
    #[error("the authorization of the request cannot be read: {why}")]
    Authorization {
        /// What is wrong with it.
        why: &'static str,
    },
    /// A personal account, which belongs to no tenant that could be delegated to.
    #[error("tokens of personal accounts are not accepted; sign in with an account of a tenant")]
    ConsumerTenant,
    /// The lifetime is over.
    #[error("the token expired at {expired_at} and it is {now}; sign in again")]
    Expired {
        /// The token's `exp`.
        expired_at: Timestamp,
        /// The clock that judged.
        now: Timestamp,
    },
    /// The issuer's keys could not be loaded for too long, or never.
    #[error("the keys of the issuer of tenant `{tenant}` are not available; retry later")]
    KeysUnavailable {
        /// The tenant that the issuer speaks for.
        tenant: TenantId,
    },
    /// Not a token, or one of a shape that is never accepted.
    #[error("the token is malformed: {why}")]
    Malformed {
        /// What is wrong with it.
        why: Flaw,
    },
    /// The request has no `Authorization` field.
    #[error("the request has no bearer token; sign in and send one in the `Authorization` field")]
    Missing,
    /// The lifetime has not begun.
    #[error("the token is valid from {valid_from} and it is {now}; compare the clocks")]
    NotYetValid {
        /// The token's `nbf` or `iat`.
        valid_from: Timestamp,
        /// The clock that judged.
        now: Timestamp,
    },
    /// The signature does not fit the key it names.
    #[error("the signature of the token is wrong")]
    Signature,
    /// The issuer speaks for another tenant than the token names.
    #[error("the issuer of the token does not speak for the tenant `{claimed}` it names")]
    TenantMismatch {
        /// The token's `tid`.
        claimed: TenantId,
    },
    /// The caller's home tenant is registered and suspended.
    #[error("the tenant `{tenant}` is suspended")]
    TenantSuspended {
        /// The home tenant.
        tenant: TenantId,
    },
    /// Neither the issuer nor the tenant is known. Nothing in such a token has been verified.
    #[error("the tenant `{tenant}` of the token is not registered here")]
    TenantUnknown {
        /// The token's `tid`.
        tenant: TenantId,
    },
    /// The tenant is known, its issuer has another name.
    #[error("`{issuer}` is not the issuer of tenant `{tenant}`")]
    UnknownIssuer {
        /// The token's `iss`.
        issuer: Quoted,
        /// The token's `tid`.
        tenant: TenantId,
    },
    /// The issuer's key set holds no such key.
    #[error("the issuer has no key `{kid}`; its keys were last loaded at {loaded_at}")]
    UnknownKey {
        /// The header's `kid`.
        kid: Quoted,
        /// When the key set was loaded.
        loaded_at: Timestamp,
    },
    /// An identity token, a key-bound token or another kind that does not permit calls.
    #[error("{why}; an access token for a user or an application is needed")]
    WrongKind {
        /// What it is, or what it lacks.
        why: &'static str,
    },
}

impl TokenError {
    /// The stable reason code of the refusal, as decision records, metrics and clients see it.
    #[must_use]
    pub const fn reason_code(&self) -> &'static str {
        match self {
            Self::Missing => "token.missing",
            Self::Authorization { .. } | Self::Malformed { .. } | Self::WrongKind { .. } => "token.malformed",
            Self::Algorithm { .. } | Self::KeysUnavailable { .. } | Self::Signature | Self::UnknownKey { .. } => "token.signature",
            Self::Expired { .. } | Self::NotYetValid { .. } => "token.expired",
            Self::Audience { .. } => "token.audience",
            Self::ConsumerTenant | Self::TenantMismatch { .. } | Self::UnknownIssuer { .. } => "token.issuer",
            Self::TenantUnknown { .. } => "tenant.unknown",
            Self::TenantSuspended { .. } => "tenant.suspended",
        }
    }
}

impl From<Flaw> for TokenError {
    fn from(why: Flaw) -> Self {
        Self::Malformed { why }
    }
}

fn quoted_list(texts: &[String]) -> String {
    texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(" or ")
}

/// What makes a text no acceptable token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Not base64url, or with padding or stray bits.
    #[error("its {0} is not unpadded base64url")]
    Base64(Part),
    /// A claim of the wrong type.
    #[error("its claim `{claim}` must be {wanted}")]
    Claim {
        /// The claim.
        claim: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// Two claims that cannot both be true.
    #[error("its claims `{0}` and `{1}` contradict each other")]
    Contradiction(&'static str, &'static str),
    /// A header member that changes how a token is read, or that nobody knows.
    #[error("its header has `{0}`; allowed: typ, alg, kid, x5t, x5t#S256")]
    HeaderMember(Quoted),
    /// A header member of the wrong type or absent.
    #[error("its header needs `{0}` as a string")]
    HeaderText(&'static str),
    /// Not JSON, not an object, or a member given twice.
    #[error("its {0} is not one JSON object in which every name is unique")]
    Json(Part),
    /// A lifetime nobody gives a token.
    #[error("its claim `exp` is more than 48 hours ahead")]
    Lifetime,
    /// Another number of parts than three.
    #[error("it does not have the three parts of a signed token")]
    Parts,
    /// A `typ` that says it is something else.
    #[error("its type is `{0}`; allowed: JWT, at+jwt")]
    Type(Quoted),
}

/// A part of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// How it is signed.
    Header,
    /// The claims.
    Payload,
    /// The signature.
    Signature,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// A text out of an unverified token, cut to 128 characters and freed of everything that could end a quotation, a line or a
/// header value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quoted(Box<str>);

const QUOTED_CHARS_MAX: usize = 128;

impl Quoted {
    /// The text as it may be quoted.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let plain = |c: char| if c.is_ascii_graphic() && !matches!(c, '"' | '`' | '\\' | '<' | '>') { c } else { '?' };
        Self(text.chars().take(QUOTED_CHARS_MAX).map(plain).collect())
    }
}

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Quoted::new(text).to_string(), expected, "{text:?}");
    }

    #[test]
    fn quoted_texts_end_neither_line_nor_quotation_nor_header() {
        check("https://sts.example/a?b=c", "https://sts.example/a?b=c");
        check("../../etc/passwd", "../../etc/passwd");
        check("a\r\nSet-Cookie: b", "a??Set-Cookie:?b");
        check("\"`\\<é>", "??????");
        check(&"x".repeat(500), &"x".repeat(128));
    }
}
