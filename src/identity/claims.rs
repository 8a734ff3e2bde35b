//! The claims of a token and what they must be. Source: `Microsoft` identity platform, access token claims reference, v1 and v2.

use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Map, Value};

use super::caller::{Caller, CallerKind, ClientProof, Groups, Standing, TokenVersion};
use super::error::{Flaw, Quoted, TokenError};
use crate::clock::Timestamp;
use crate::directory::TokenIssuer;
use crate::ids::{ClientId, ObjectId, PrincipalId, TenantId};

/// The tenant of all personal accounts: 9188040d-6c67-4c5b-b112-36a304b66dad.
pub(super) const CONSUMER_TENANT: TenantId =
    TenantId::from_bytes([0x91, 0x88, 0x04, 0x0d, 0x6c, 0x67, 0x4c, 0x5b, 0xb1, 0x12, 0x36, 0xa3, 0x04, 0xb6, 0x6d, 0xad]);

/// Issuers give tokens for minutes to a day (28 hours with continuous access evaluation); more is a broken or hostile issuer.
const LIFETIME_MAX: Duration = Duration::from_hours(48);

/// Whatever a policy says, clocks are not believed to differ more. Source: `docs/limits.md`.
const LEEWAY_S_MAX: u8 = 60;

/// The scope that a person must have given a client for it to manage resources.
const MANAGEMENT_SCOPE: &str = "user_impersonation";

/// The members of a payload.
#[derive(Debug)]
pub(super) struct Claims(Map<String, Value>);

/// What a token is judged by besides itself.
pub(super) struct Measures<'a> {
    /// The values of `aud` that are accepted.
    pub(super) audiences: &'a [String],
    /// The issuer that signed it.
    pub(super) issuer: &'a TokenIssuer,
    /// How the tenant came to be known.
    pub(super) standing: Standing,
    /// The present time.
    pub(super) now: Timestamp,
}

impl Measures<'_> {
    /// How far the issuer's clock may be off.
    pub(super) fn leeway(&self) -> Duration {
        Duration::from_secs(self.issuer.leeway_s.min(LEEWAY_S_MAX).into())
    }
}

impl Claims {
    pub(super) const fn new(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// `iss`.
    pub(super) fn issuer(&self) -> Result<&str, Flaw> {
        self.required_text("iss")
    }

    /// `tid`.
    pub(super) fn tenant(&self) -> Result<TenantId, Flaw> {
        self.required_guid("tid")
    }

    /// The caller that proven claims name.
    ///
    /// # Errors
    /// When the token is of another kind, for another service or outside its lifetime, or when a claim is absent or of the
    /// wrong type.
    pub(super) fn caller(&self, measures: &Measures<'_>) -> Result<Caller, TokenError> {
        let (issued_at, expires_at) = self.lifetime(measures)?;
        let audience = self.audience(measures.audiences)?;
        let kind = self.kind()?;
        let principal = PrincipalId { tenant: self.tenant()?, object: self.required_guid("oid")? };
        let (client, app_id_acr) = self.client()?;
        let amr = self.texts("amr")?;
        let mfa = amr.iter().chain(&self.texts("acrs")?).any(|method| *method == "mfa");
        Ok(Caller {
            principal,
            kind,
            name: self.display_name()?,
            client,
            app_id_acr,
            groups: self.groups(principal)?,
            guest: self.guest()?,
            standing: measures.standing,
            mfa,
            claims_challenge: self.texts("xms_cc")?.iter().any(|capability| capability.eq_ignore_ascii_case("cp1")),
            issuer: self.issuer()?.into(),
            audience: audience.into(),
            version: self.version()?,
            issued_at,
            expires_at,
            token_id: self.text("uti")?.or(self.text("jti")?).map(Into::into),
            wids: boxed(&self.texts("wids")?),
            amr: boxed(&amr),
            identity_provider: self.text("idp")?.map(Into::into),
            introduction: std::sync::OnceLock::new(),
        })
    }

    /// The first moment that the token counts at by its own word.
    pub(super) fn valid_from(&self) -> Result<Timestamp, TokenError> {
        let issued_at = self.issued_at()?;
        Ok(self.date("nbf")?.map_or(issued_at, |not_before| not_before.max(issued_at)))
    }

    fn issued_at(&self) -> Result<Timestamp, TokenError> {
        Ok(self.date("iat")?.ok_or(Flaw::Claim { claim: "iat", wanted: DATE })?)
    }

    fn lifetime(&self, measures: &Measures<'_>) -> Result<(Timestamp, Timestamp), TokenError> {
        let (now, leeway) = (measures.now, measures.leeway());
        let expires_at = self.date("exp")?.ok_or(Flaw::Claim { claim: "exp", wanted: DATE })?;
        let (issued_at, valid_from) = (self.issued_at()?, self.valid_from()?);
        if now >= later(expires_at, leeway) {
            return Err(TokenError::Expired { expired_at: expires_at, now });
        }
        if later(now, leeway) < valid_from {
            return Err(TokenError::NotYetValid { valid_from, now });
        }
        if expires_at > later(now, LIFETIME_MAX) {
            return Err(Flaw::Lifetime.into());
        }
        Ok((issued_at, expires_at))
    }

    fn audience(&self, accepted: &[String]) -> Result<&str, TokenError> {
        let audience = self.required_text("aud")?;
        if accepted.iter().any(|accepted| accepted == audience) {
            return Ok(audience);
        }
        Err(TokenError::Audience { got: Quoted::new(audience), wanted: accepted.to_vec() })
    }

    fn kind(&self) -> Result<CallerKind, TokenError> {
        let wrong = |why| Err(TokenError::WrongKind { why });
        if self.0.contains_key("cnf") {
            return wrong("the token is bound to a key of its client");
        }
        if ["at_hash", "c_hash", "nonce"].iter().any(|mark| self.0.contains_key(*mark)) {
            return wrong("the token is an identity token");
        }
        if self.0.contains_key("events") {
            return wrong("the token is a security event");
        }
        let scopes = self.text("scp")?;
        match (self.text("idtyp")?, scopes) {
            (Some("app"), None) => Ok(CallerKind::ServicePrincipal),
            (Some("app"), Some(_)) => Err(Flaw::Contradiction("idtyp", "scp").into()),
            (None | Some("user"), Some(scopes)) if scopes.split(' ').any(|scope| scope == MANAGEMENT_SCOPE) => Ok(CallerKind::User),
            (None | Some("user"), Some(_)) => wrong("the token's `scp` lacks `user_impersonation`"),
            // Issuers that do not write `idtyp` give an application its own object id as subject.
            (None, None) if self.is_its_own_subject()? => Ok(CallerKind::ServicePrincipal),
            (None | Some("user"), None) => wrong("the token has neither `scp` nor the mark of an application"),
            (Some(_), _) => wrong("the token's `idtyp` is neither `app` nor `user`"),
        }
    }

    fn is_its_own_subject(&self) -> Result<bool, Flaw> {
        let has_client = self.0.contains_key("appid") || self.0.contains_key("azp");
        Ok(has_client && self.text("sub")?.is_some_and(|subject| self.text("oid").is_ok_and(|object| object == Some(subject))))
    }

    pub(super) fn client(&self) -> Result<(Option<ClientId>, Option<ClientProof>), Flaw> {
        let client = match (self.guid("appid")?, self.guid("azp")?) {
            (Some(v1), Some(v2)) if v1 != v2 => return Err(Flaw::Contradiction("appid", "azp")),
            (v1, v2) => v1.or(v2),
        };
        let proof = |claim| match self.text(claim)? {
            None => Ok(None),
            Some("0") => Ok(Some(ClientProof::Public)),
            Some("1") => Ok(Some(ClientProof::Secret)),
            Some("2") => Ok(Some(ClientProof::Certificate)),
            Some(_) => Err(Flaw::Claim { claim, wanted: "`0`, `1` or `2`" }),
        };
        Ok((client, proof("appidacr")?.or(proof("azpacr")?)))
    }

    fn groups(&self, caller: PrincipalId) -> Result<Groups, Flaw> {
        let named_elsewhere = match self.0.get("_claim_names") {
            None => false,
            Some(Value::Object(names)) => names.contains_key("groups"),
            Some(_) => return Err(Flaw::Claim { claim: "_claim_names", wanted: "an object" }),
        };
        let too_many = match self.0.get("hasgroups") {
            None | Some(Value::Bool(false)) => false,
            Some(Value::Bool(true)) => true,
            Some(Value::String(text)) if text == "true" => true,
            Some(_) => return Err(Flaw::Claim { claim: "hasgroups", wanted: "a truth value" }),
        };
        match (named_elsewhere || too_many, self.0.contains_key("groups")) {
            (true, true) => Err(Flaw::Contradiction("groups", if too_many { "hasgroups" } else { "_claim_names" })),
            (true, false) => Ok(Groups::Overage),
            (false, _) => {
                let wrong = Flaw::Claim { claim: "groups", wanted: "a list of GUIDs" };
                let ids: Result<Vec<ObjectId>, _> = self.texts("groups")?.into_iter().map(str::parse).collect();
                ids.map(|ids| Groups::listed(caller, ids)).or(Err(wrong))
            }
        }
    }

    fn guest(&self) -> Result<bool, Flaw> {
        match self.0.get("acct").map(Value::as_u64) {
            None | Some(Some(0)) => Ok(false),
            Some(Some(1)) => Ok(true),
            Some(_) => Err(Flaw::Claim { claim: "acct", wanted: "0 or 1" }),
        }
    }

    fn version(&self) -> Result<TokenVersion, Flaw> {
        match self.text("ver")? {
            Some("1.0") => Ok(TokenVersion::V1),
            Some("2.0") => Ok(TokenVersion::V2),
            // Only version 2 names the client `azp`.
            None if self.0.contains_key("azp") => Ok(TokenVersion::V2),
            None => Ok(TokenVersion::V1),
            Some(_) => Err(Flaw::Claim { claim: "ver", wanted: "`1.0` or `2.0`" }),
        }
    }

    fn display_name(&self) -> Result<Box<str>, Flaw> {
        for claim in ["upn", "preferred_username", "unique_name", "name", "app_displayname", "appid", "azp"] {
            if let Some(name) = self.text(claim)? {
                return Ok(name.into());
            }
        }
        Ok("".into())
    }

    fn text(&self, claim: &'static str) -> Result<Option<&str>, Flaw> {
        self.0.get(claim).map(|value| value.as_str().ok_or(Flaw::Claim { claim, wanted: "a string" })).transpose()
    }

    fn required_text(&self, claim: &'static str) -> Result<&str, Flaw> {
        self.text(claim)?.ok_or(Flaw::Claim { claim, wanted: "a string" })
    }

    fn texts(&self, claim: &'static str) -> Result<Vec<&str>, Flaw> {
        let wrong = || Flaw::Claim { claim, wanted: "a list of strings" };
        let Some(value) = self.0.get(claim) else { return Ok(Vec::new()) };
        value.as_array().ok_or_else(wrong)?.iter().map(|element| element.as_str().ok_or_else(wrong)).collect()
    }

    fn guid<T: FromStr>(&self, claim: &'static str) -> Result<Option<T>, Flaw> {
        // The cause would quote the claim of a token that nobody trusts.
        let parsed = self.text(claim)?.map(str::parse).transpose();
        parsed.or(Err(Flaw::Claim { claim, wanted: "a GUID" }))
    }

    fn required_guid<T: FromStr>(&self, claim: &'static str) -> Result<T, Flaw> {
        self.guid(claim)?.ok_or(Flaw::Claim { claim, wanted: "a GUID" })
    }

    /// Seconds since 1970, whole or fractional: real clients write both. Source: RFC 7519 §2, `NumericDate`.
    fn date(&self, claim: &'static str) -> Result<Option<Timestamp>, Flaw> {
        let Some(value) = self.0.get(claim) else { return Ok(None) };
        let duration = value
            .as_i64()
            .map(SignedDuration::from_secs)
            .or_else(|| value.as_f64().and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok()))
            .filter(|since_1970| !since_1970.is_negative());
        let date = duration.and_then(|since_1970| Timestamp::from_duration(since_1970).ok());
        date.map(Some).ok_or(Flaw::Claim { claim, wanted: DATE })
    }
}

const DATE: &str = "a date in seconds since 1970";

fn boxed(texts: &[&str]) -> Box<[Box<str>]> {
    texts.iter().map(|text| Box::from(*text)).collect()
}

/// `by` after `moment`, or the end of time.
pub(super) fn later(moment: Timestamp, by: Duration) -> Timestamp {
    moment.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{AUDIENCE, HOME, OPERATOR, issuer, with, without};
    use super::*;
    use crate::clock::Clock;
    use crate::directory::KeySource;

    const NOW_S: i64 = 1_800_000_000;

    fn now() -> Timestamp {
        Timestamp::from_second(NOW_S).unwrap()
    }

    /// What a token of the home tenant's operator says at `NOW_S`, and these members.
    fn claims(members: Value) -> Value {
        let lifetime = json!({"iat": NOW_S - 60, "nbf": NOW_S - 60, "exp": NOW_S + 60});
        with(with(super::super::testing::claims(HOME, &Clock::system()), lifetime), members)
    }

    /// What the claims prove at `NOW_S` to whoever believes in clocks that differ by 5 seconds.
    fn judged(claims: Value) -> Result<Caller, String> {
        let Value::Object(members) = claims else { panic!("not an object") };
        let issuer = issuer(HOME, KeySource::Inline("{}".into()));
        let measures = Measures { audiences: &[AUDIENCE.to_owned()], issuer: &issuer, standing: Standing::Configured, now: now() };
        Claims::new(members).caller(&measures).map_err(|error| error.to_string())
    }

    #[test]
    fn clocks_are_believed_to_differ_as_the_policy_says_and_by_a_minute_at_most() {
        let mut issuer = issuer(HOME, KeySource::Inline("{}".into()));
        for (policy_s, expected_s) in [(0, 0), (5, 5), (60, 60), (61, 60), (255, 60)] {
            issuer.leeway_s = policy_s;
            let measures = Measures { audiences: &[], issuer: &issuer, standing: Standing::Configured, now: Timestamp::UNIX_EPOCH };
            assert_eq!(measures.leeway(), Duration::from_secs(expected_s), "{policy_s}");
        }
    }

    #[test]
    fn a_lifetime_is_judged_to_the_second() {
        let early = "the token is valid from ";
        let over = "the token expired at ";
        let long = "the token is malformed: its claim `exp` is more than 48 hours ahead";
        let cases = [
            (json!({"nbf": NOW_S + 5}), None),
            (json!({"nbf": NOW_S + 6}), Some(early)),
            (json!({"iat": NOW_S + 5}), None),
            (json!({"iat": NOW_S + 6}), Some(early)),
            (json!({"exp": NOW_S - 4}), None),
            (json!({"exp": NOW_S - 5}), Some(over)),
            (json!({"exp": NOW_S + 172_800}), None),
            (json!({"exp": NOW_S + 172_801}), Some(long)),
        ];
        for (members, refused) in cases {
            let found = judged(claims(members.clone()));
            match refused {
                None => assert!(found.is_ok(), "{members}: {found:?}"),
                Some(text) => assert!(found.as_ref().is_err_and(|error| error.starts_with(text)), "{members}: {found:?}"),
            }
        }
    }

    #[test]
    fn only_a_token_that_says_so_was_got_with_more_than_one_factor() {
        let cases = [
            (json!({}), false),
            (json!({"amr": ["pwd"]}), false),
            (json!({"amr": ["pwd"], "acrs": ["p1"]}), false),
            (json!({"amr": ["MFA"]}), false),
            (json!({"amr": ["mfa"]}), true),
            (json!({"amr": ["pwd", "mfa"]}), true),
            (json!({"amr": ["pwd"], "acrs": ["mfa"]}), true),
        ];
        for (members, expected) in cases {
            assert_eq!(judged(claims(members.clone())).unwrap().mfa, expected, "{members}");
        }
    }

    #[test]
    fn groups_are_too_many_to_list_only_where_the_token_says_true() {
        let principal = PrincipalId { tenant: HOME, object: OPERATOR };
        let none = || Ok(Groups::listed(principal, []));
        let wrong = || Err("the token is malformed: its claim `hasgroups` must be a truth value".to_owned());
        let cases = [
            (json!({}), none()),
            (json!({"hasgroups": false}), none()),
            (json!({"hasgroups": true}), Ok(Groups::Overage)),
            (json!({"hasgroups": "true"}), Ok(Groups::Overage)),
            (json!({"hasgroups": "false"}), wrong()),
            (json!({"hasgroups": "True"}), wrong()),
            (json!({"hasgroups": ""}), wrong()),
            (json!({"hasgroups": 1}), wrong()),
        ];
        for (members, expected) in cases {
            assert_eq!(judged(claims(members.clone())).map(|caller| caller.groups), expected, "{members}");
        }
    }

    #[test]
    fn a_token_that_does_not_name_its_version_is_told_by_how_it_names_its_client() {
        let version = |claims: Value| judged(claims).unwrap().version;
        let client = claims(json!({}))["appid"].clone();
        assert_eq!(version(claims(json!({"ver": "1.0", "azp": client}))), TokenVersion::V1);
        assert_eq!(version(claims(json!({"ver": "2.0"}))), TokenVersion::V2);
        assert_eq!(version(without(claims(json!({})), "ver")), TokenVersion::V1);
        assert_eq!(version(without(claims(json!({ "azp": client })), "ver")), TokenVersion::V2);
    }
}
