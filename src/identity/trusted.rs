//! Issuers that an account says to trust: what is looked at before one is kept.

use serde_json::Value;

use super::key_set::{KeySet, KeySetError, RsaProblem, problem_of_rsa};
use crate::directory::KeySource;
use crate::directory::entity::TrustedIssuer;

/// Bytes of the name of an issuer: longer ones would make the table of issuers an attacker's to fill.
pub const ISSUER_NAME_BYTES_MAX: usize = 512;
/// Bytes of a key set as text: it is read again for every token that was not seen before.
pub const TRUSTED_KEYS_BYTES_MAX: usize = 16 * 1024;
/// Members of a JSON Web Key that only its owner may know. Source: RFC 7518 §6.2.2, §6.3.2, §6.4.
const SECRETS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why an issuer cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum NotATrustedIssuer {
    /// Its keys verify nothing.
    #[error("its keys cannot be used: {0}")]
    Keys(#[from] KeySetError),
    /// Its keys are too long.
    #[error("its keys have {bytes} bytes; allowed: up to {TRUSTED_KEYS_BYTES_MAX}")]
    Long {
        /// As compact JSON.
        bytes: usize,
    },
    /// Its name cannot be the value of `iss`.
    #[error("its name is not 1 to {ISSUER_NAME_BYTES_MAX} printable characters without spaces")]
    Name,
    /// A key of it would verify nothing, or cost too much.
    #[error("the key `{kid}` has {problem}")]
    Rsa {
        /// Its name, as far as it has one.
        kid: String,
        /// What is wrong with it.
        problem: RsaProblem,
    },
    /// A key of it is not public.
    #[error("the key `{kid}` has the private member `{member}`; send public keys only, and replace this one")]
    Secret {
        /// Its name, as far as it has one.
        kid: String,
        /// What must not be told.
        member: &'static str,
    },
}

/// Whether tokens of this issuer could be verified.
///
/// # Errors
/// Why not.
pub fn check_trusted_issuer(issuer: &TrustedIssuer) -> Result<(), NotATrustedIssuer> {
    let allowed = |c: char| !c.is_control() && !c.is_whitespace();
    if !(1..=ISSUER_NAME_BYTES_MAX).contains(&issuer.name.len()) || !issuer.name.chars().all(allowed) {
        return Err(NotATrustedIssuer::Name);
    }
    refuse_secrets(&issuer.keys)?;
    let trusted = issuer.as_token_issuer();
    let KeySource::Inline(text) = &trusted.keys else { return Err(KeySetError::NoKeys.into()) };
    if text.len() > TRUSTED_KEYS_BYTES_MAX {
        return Err(NotATrustedIssuer::Long { bytes: text.len() });
    }
    refuse_costly(&issuer.keys)?;
    KeySet::parse(text.as_bytes(), &trusted.algorithms)?;
    Ok(())
}

fn refuse_secrets(keys: &Value) -> Result<(), NotATrustedIssuer> {
    for key in each(keys) {
        if let Some(member) = SECRETS.into_iter().find(|member| key.get(member).is_some()) {
            return Err(NotATrustedIssuer::Secret { kid: kid(key), member });
        }
    }
    Ok(())
}

/// Such a key would only be passed over, and whoever sent it would look for the reason at every sign-in.
fn refuse_costly(keys: &Value) -> Result<(), NotATrustedIssuer> {
    for key in each(keys) {
        if let Some(problem) = problem_of_rsa(key) {
            return Err(NotATrustedIssuer::Rsa { kid: kid(key), problem });
        }
    }
    Ok(())
}

fn each(keys: &Value) -> impl Iterator<Item = &Value> {
    keys.get("keys").and_then(Value::as_array).into_iter().flatten()
}

fn kid(key: &Value) -> String {
    key.get("kid").and_then(Value::as_str).unwrap_or_default().chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::super::caller::{Owner, Standing};
    use super::super::testing::{AUDIENCE, HOME_KEY, OPERATOR, RIVAL_KEY, TestKey, World, base64url, claims, header, with};
    use super::*;
    use crate::directory::entity::{self, Account, Entity};
    use crate::ids::TenantId;
    use crate::store::{Change, Revision, Write};

    const JUNIPER: TenantId = TenantId::from_bytes([3; 16]);
    const HAWTHORN: TenantId = TenantId::from_bytes([4; 16]);
    const FIRST: &str = "https://first.juniper.example";
    const SECOND: &str = "https://second.juniper.example";
    const IS_IN: &str = "ServicePrincipal 07070707";

    fn trusted(name: &str, keys: &[Value]) -> Value {
        json!({"name": name, "keys": {"keys": keys}, "added_at": "2027-01-01T00:00:00Z"})
    }

    fn account(id: TenantId, issuers: &[Value]) -> Write {
        let account = json!({"id": id, "name": "A", "issuers": issuers, "created_at": "2027-01-01T00:00:00Z",
            "administrator": {"object": OPERATOR, "name": "Anna", "identity": "anna@juniper.example"}});
        Entity::Account(serde_json::from_value::<Account>(account).unwrap()).into_write()
    }

    fn publish(world: &World, writes: Vec<Write>) {
        let current = Arc::clone(&world.directories.borrow());
        let revision = Revision(current.registry().revision().0 + 1);
        let next = current.apply(&Change { revision, at: world.clock.now(), writes }).unwrap();
        world.directories.send_replace(Arc::new(next));
    }

    fn token(world: &World, key: &TestKey, kid: &str, tenant: TenantId, name: &str) -> String {
        key.token(&header(kid), &with(claims(tenant, &world.clock), json!({"iss": name})).to_string())
    }

    #[track_caller]
    fn check(what: &str, verdict: &str, expected: &str) {
        assert!(verdict.starts_with(expected), "{what}: {verdict}");
    }

    #[tokio::test]
    async fn a_replaced_key_ends_its_tokens_at_once_also_those_that_were_proven() {
        let world = World::start().await;
        publish(&world, vec![account(JUNIPER, &[trusted(FIRST, &[HOME_KEY.jwk("a")])])]);
        let old = token(&world, &HOME_KEY, "a", JUNIPER, FIRST);
        check("first", &world.verdict(&old).await, IS_IN);
        check("again, now kept", &world.verdict(&old).await, IS_IN);
        assert_eq!(world.verify(&old).await.unwrap().owner(), Owner { tenant: JUNIPER, standing: Standing::Visitor });
        check("from the cache", &world.verdict(&old).await, IS_IN);
        publish(&world, vec![account(JUNIPER, &[trusted(FIRST, &[RIVAL_KEY.jwk("a")])])]);
        check("replaced", &world.verdict(&old).await, "token.signature: the signature of the token is wrong");
        check("new", &world.verdict(&token(&world, &RIVAL_KEY, "a", JUNIPER, FIRST)).await, IS_IN);
        publish(&world, vec![account(JUNIPER, &[])]);
        check("no issuer", &world.verdict(&old).await, "token.issuer: `https://first.juniper.example`");
        publish(&world, vec![entity::removal(entity::account_key(JUNIPER))]);
        check("no account", &world.verdict(&old).await, "tenant.unknown: ");
    }

    #[tokio::test]
    async fn a_key_verifies_tokens_of_the_issuer_and_the_tenant_that_brought_it() {
        let world = World::start().await;
        publish(
            &world,
            vec![
                account(JUNIPER, &[trusted(FIRST, &[HOME_KEY.jwk("a")]), trusted(SECOND, &[RIVAL_KEY.jwk("a")])]),
                account(HAWTHORN, &[trusted("https://hawthorn.example", &[RIVAL_KEY.jwk("b")])]),
            ],
        );
        check("first", &world.verdict(&token(&world, &HOME_KEY, "a", JUNIPER, FIRST)).await, IS_IN);
        check("second", &world.verdict(&token(&world, &RIVAL_KEY, "a", JUNIPER, SECOND)).await, IS_IN);
        let crossed = token(&world, &RIVAL_KEY, "a", JUNIPER, FIRST);
        check("the key of the other issuer", &world.verdict(&crossed).await, "token.signature: the signature of the token is wrong");
        let anothers = token(&world, &RIVAL_KEY, "b", JUNIPER, FIRST);
        check("the key of another tenant", &world.verdict(&anothers).await, "token.signature: the issuer has no key `b`");
        let spoofed = token(&world, &RIVAL_KEY, "b", JUNIPER, "https://hawthorn.example");
        check("the issuer of another tenant", &world.verdict(&spoofed).await, "token.issuer: the issuer of the token does not speak");
        let declared = token(&world, &RIVAL_KEY, "b", super::super::testing::HOME, "https://hawthorn.example");
        check("in the name of a declared tenant", &world.verdict(&declared).await, "token.issuer: the issuer of the token does not speak");
    }

    #[tokio::test]
    async fn an_issuer_that_another_tenant_claims_as_well_counts_no_more_also_for_proven_tokens() {
        let world = World::start().await;
        publish(&world, vec![account(JUNIPER, &[trusted(FIRST, &[HOME_KEY.jwk("a")])])]);
        let token = token(&world, &HOME_KEY, "a", JUNIPER, FIRST);
        check("alone", &world.verdict(&token).await, IS_IN);
        publish(&world, vec![account(HAWTHORN, &[trusted(FIRST, &[RIVAL_KEY.jwk("a")])])]);
        check("contested", &world.verdict(&token).await, "token.issuer: `https://first.juniper.example`");
        publish(&world, vec![entity::removal(entity::account_key(HAWTHORN))]);
        check("alone again", &world.verdict(&token).await, IS_IN);
    }

    #[tokio::test]
    async fn an_account_whose_id_is_declared_brings_no_keys_along() {
        let world = World::start().await;
        let home = super::super::testing::HOME;
        publish(&world, vec![account(home, &[trusted(FIRST, &[RIVAL_KEY.jwk("a")])])]);
        check("its own issuer", &world.verdict(&token(&world, &RIVAL_KEY, "a", home, FIRST)).await, "token.issuer: ");
        check("the declared one", &world.verdict(&world.token()).await, IS_IN);
        assert_eq!(world.verify(&world.token()).await.unwrap().owner(), Owner { tenant: home, standing: Standing::Configured });
        assert_eq!(world.server.asked.borrow().to_owned(), 1, "{AUDIENCE}");
    }

    #[track_caller]
    fn refused(name: &str, keys: &Value, expected: &str) {
        let issuer = json!({"name": name, "keys": keys, "added_at": "2027-01-01T00:00:00Z"});
        let found = check_trusted_issuer(&serde_json::from_value(issuer).unwrap());
        let found = found.map_or_else(|error| error.to_string(), |()| "fine".to_owned());
        assert!(found.contains(expected), "{found}");
    }

    #[test]
    fn only_public_keys_that_verify_something_are_trusted() {
        let rsa = || HOME_KEY.jwk("a");
        refused(FIRST, &json!({"keys": [rsa(), TestKey::p256().jwk("b"), TestKey::ed25519().jwk("c")]}), "fine");
        refused(FIRST, &json!({"keys": [rsa(), with(rsa(), json!({"d": "AQAB"}))]}), "the key `a` has the private member `d`");
        refused(FIRST, &json!({"keys": [{"kty": "oct", "kid": "s", "k": "AQAB"}]}), "the key `s` has the private member `k`");
        let costly = |member: &str, bytes: &[u8]| json!({"keys": [rsa(), with(HOME_KEY.jwk("b"), json!({member: base64url(bytes)}))]});
        refused(FIRST, &costly("e", &[1, 0, 0, 0, 1]), "the key `b` has an RSA public exponent that is not 65537, 17 or 3");
        refused(FIRST, &costly("n", &[0x80; 1024]), "the key `b` has 8192 bits; allowed for RSA: 2048 to 4096");
        refused(FIRST, &costly("n", &[0x80; 512]), "fine");
        refused(FIRST, &json!({"keys": []}), "no key is usable");
        refused(FIRST, &json!([]), "not one JSON object");
        refused(FIRST, &json!({"keys": [rsa()], "x": "x".repeat(TRUSTED_KEYS_BYTES_MAX)}), "allowed: up to 16384");
        refused("", &json!({"keys": [rsa()]}), "its name is not");
        refused("https://a b", &json!({"keys": [rsa()]}), "its name is not");
        refused(&"x".repeat(ISSUER_NAME_BYTES_MAX + 1), &json!({"keys": [rsa()]}), "its name is not");
    }

    #[test]
    fn keys_of_up_to_16384_bytes_and_names_of_up_to_512_are_trusted() {
        let key = TestKey::p256().jwk("a");
        let keys_of = |bytes: usize| {
            let keys = |filling: usize| json!({"keys": [key.clone()], "x": "x".repeat(filling)});
            keys(bytes - keys(0).to_string().len())
        };
        refused(FIRST, &keys_of(16_384), "fine");
        refused(FIRST, &keys_of(16_385), "its keys have 16385 bytes; allowed: up to 16384");
        refused(&"x".repeat(512), &keys_of(1000), "fine");
        refused(&"x".repeat(513), &keys_of(1000), "its name is not 1 to 512 printable characters");
    }
}
