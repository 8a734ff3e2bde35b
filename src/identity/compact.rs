//! A signed token in its compact form: `{header}.{payload}.{signature}`. Source: RFC 7515 §7.1.

use serde_json::{Map, Value};

use super::claims::Claims;
use super::error::{Flaw, Part, Quoted, TokenError};
use super::key_set::{VerificationKey, algorithm_named};
use super::strict;
use crate::directory::SignatureAlgorithm;

/// A token whose signature has not been looked at. What it claims may choose the key to prove it with, and nothing else.
#[derive(Debug)]
pub(super) struct Unproven<'t> {
    algorithm: SignatureAlgorithm,
    kid: String,
    claims: Claims,
    signed: &'t str,
    signature: &'t str,
}

impl<'t> Unproven<'t> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// Everything that can be wrong with its form; see [`Flaw`].
    pub(super) fn parse(token: &'t str) -> Result<Self, TokenError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(Flaw::Parts)?;
        let (header, payload) = signed.split_once('.').ok_or(Flaw::Parts)?;
        if header.is_empty() || payload.is_empty() || signature.is_empty() || payload.contains('.') {
            return Err(Flaw::Parts.into());
        }
        let (algorithm, kid) = read_header(&object(header, Part::Header)?)?;
        let claims = Claims::new(object(payload, Part::Payload)?);
        if strict::base64url(signature).is_none() {
            return Err(Flaw::Base64(Part::Signature).into());
        }
        Ok(Self { algorithm, kid, claims, signed, signature })
    }

    /// The name of the key that is said to have signed it: a name to look up, never a path or an address.
    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    /// What it claims without proof.
    pub(super) const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The claims, proven by `key`.
    ///
    /// # Errors
    /// When the key signs by another algorithm than the header says, or did not sign this.
    pub(super) fn prove(self, key: &VerificationKey) -> Result<Claims, TokenError> {
        if self.algorithm != key.algorithm() {
            return Err(TokenError::Algorithm { algorithm: Quoted::new(super::key_set::algorithm_name(self.algorithm)) });
        }
        if key.verifies(self.signed, self.signature) { Ok(self.claims) } else { Err(TokenError::Signature) }
    }
}

fn object(text: &str, part: Part) -> Result<Map<String, Value>, Flaw> {
    let json = strict::base64url(text).ok_or(Flaw::Base64(part))?;
    // The cause would quote claims of an unverified token.
    strict::object(&json).map_err(|_cause| Flaw::Json(part))
}

fn read_header(header: &Map<String, Value>) -> Result<(SignatureAlgorithm, String), TokenError> {
    // An allow-list: whatever extends or replaces the rules of verification (`crit`, `b64`, `zip`, `jwk`, `jku`, `x5u`, `x5c`,
    // `cty` and what is still to be invented) is refused by not being on it.
    if let Some(member) = header.keys().find(|name| !matches!(name.as_str(), "typ" | "alg" | "kid" | "x5t" | "x5t#S256")) {
        return Err(Flaw::HeaderMember(Quoted::new(member)).into());
    }
    for name in ["x5t", "x5t#S256"] {
        optional_text(header, name)?;
    }
    if let Some(kind) = optional_text(header, "typ")?
        && !["JWT", "at+jwt"].iter().any(|known| known.eq_ignore_ascii_case(kind))
    {
        return Err(Flaw::Type(Quoted::new(kind)).into());
    }
    let named = optional_text(header, "alg")?.ok_or(Flaw::HeaderText("alg"))?;
    let algorithm = algorithm_named(named).ok_or_else(|| TokenError::Algorithm { algorithm: Quoted::new(named) })?;
    let kid = optional_text(header, "kid")?.filter(|kid| !kid.is_empty()).ok_or(Flaw::HeaderText("kid"))?;
    Ok((algorithm, kid.to_owned()))
}

fn optional_text<'h>(header: &'h Map<String, Value>, name: &'static str) -> Result<Option<&'h str>, Flaw> {
    header.get(name).map(|value| value.as_str().ok_or(Flaw::HeaderText(name))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_three_parts_and_none_is_empty() {
        for token in
            ["", "e30", "e30.e30", ".e30.AA", "e30..AA", "e30.e30.", "..AA", ".e30.", "e30..", "..", "e30.e30.AA.AA", "e30..e30.AA"]
        {
            let refused = Unproven::parse(token).map(|_token| ()).unwrap_err();
            assert_eq!(refused, TokenError::Malformed { why: Flaw::Parts }, "{token}");
        }
    }
}
