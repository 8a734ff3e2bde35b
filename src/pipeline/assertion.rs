//! The signed statement that a backend trusts: this caller, for this tenant, by this grant, now.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dashmap::DashMap;
use hyper::header::HeaderValue;
use serde::Serialize;

use super::Context;
use super::authorize::Basis;
use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::delegation::roles::Role;
use crate::delegation::{Grant, Origin, OriginKind, RoleIndex, Window};
use crate::identity::Caller;
use crate::ids::{ClientId, ObjectId, PrincipalId, RoleId, TenantId};
use crate::vmm;

/// An assertion lives this long, and never longer than token and grant. Source: `docs/decisions/0003-assertion.md`.
const LIFETIME_MAX: Duration = Duration::from_mins(5);
/// A cached assertion with less than this left is signed anew.
const LEFT_MIN: Duration = Duration::from_secs(30);
/// Source: RFC 8032 §5.1.5.
const PUBLIC_KEY_BYTES: usize = 32;
/// Source: RFC 8032 §5.1.6.
const SIGNATURE_BYTES: usize = 64;
/// Source: RFC 6750 §2.1.
const SCHEME: &str = "Bearer ";
/// The name of the gateway where it asks for itself.
const GATEWAY: &str = "Steward";
/// Assertions kept at once.
const CACHED_MAX: usize = 16 * 1024;

/// For whom and by what a request is made.
#[derive(Debug)]
pub(super) struct OnBehalfOf<'a> {
    /// The caller.
    pub(super) caller: &'a Arc<Caller>,
    /// What permits it.
    pub(super) basis: &'a Basis,
    /// The scope addressed.
    pub(super) scope: &'a Scope,
    /// The tenant worked in.
    pub(super) customer: TenantId,
}

/// An assertion that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AssertionError {
    /// The key is not an Ed25519 key in PKCS #8.
    #[error("the assertion key is not an Ed25519 private key in PKCS #8 form")]
    Key(#[source] aws_lc_rs::error::KeyRejected),
    /// The text is not one that a header can carry.
    #[error("the assertion cannot be sent in a header")]
    Form(#[source] hyper::header::InvalidHeaderValue),
    /// The claims are no JSON.
    #[error("the claims of the assertion could not be written")]
    Claims(#[source] serde_json::Error),
}

/// Signs assertions with Ed25519 and keeps them for as long as they hold.
pub struct AssertionSigner {
    key: Ed25519KeyPair,
    /// The header of all assertions, with its dot.
    header: String,
    public_key: [u8; PUBLIC_KEY_BYTES],
    issuer: String,
    audience: String,
    cached: DashMap<CacheKey, Cached, foldhash::fast::RandomState>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CacheKey {
    caller: PrincipalId,
    client: Option<ClientId>,
    role: RoleIndex,
    /// The address of the grant's origin, which `Cached::grant` keeps alive, so that it cannot come to mean another one.
    origin: usize,
}

struct Cached {
    value: HeaderValue,
    grant: Grant,
    /// What the assertion calls the caller.
    name: Box<str>,
    issued_at: Timestamp,
    expires_at: Timestamp,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    tid: TenantId,
    act: Actor<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<RoleId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delegation: Option<&'a str>,
    scp: String,
    iat: i64,
    exp: i64,
    #[serde(flatten)]
    bound: Option<Bound<'a>>,
}

/// What binds an assertion to one request to a fabric.
#[derive(Serialize)]
pub(super) struct Bound<'a> {
    /// In whose name.
    pub(super) vmm: &'a vmm::Connection,
    /// The method.
    pub(super) method: &'static str,
    /// The path, without the query.
    pub(super) path: &'a str,
}

/// Who acts, and from which tenant. Source: RFC 8693 §4.1.
#[derive(Serialize)]
struct Actor<'a> {
    sub: String,
    tid: TenantId,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
}

impl AssertionSigner {
    /// A signer with a private key in PKCS #8 DER; `issuer` is the gateway's base URL, `audience` the backend's.
    ///
    /// # Errors
    /// When the key is not an Ed25519 key.
    pub fn new(pkcs8: &[u8], issuer: String, audience: String) -> Result<Self, AssertionError> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(AssertionError::Key)?;
        let mut public_key = [0; PUBLIC_KEY_BYTES];
        public_key.copy_from_slice(pair.public_key().as_ref());
        let header = serde_json::json!({ "typ": "JWT", "alg": "EdDSA", "kid": key_id(&public_key) });
        let header = format!("{}.", URL_SAFE_NO_PAD.encode(header.to_string()));
        Ok(Self { key: pair, header, public_key, issuer, audience, cached: DashMap::default() })
    }

    /// The public half.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; PUBLIC_KEY_BYTES] {
        &self.public_key
    }

    /// The `kid` of the assertions.
    #[must_use]
    pub fn key_id(&self) -> String {
        key_id(&self.public_key)
    }

    /// The public key as a JSON Web Key Set, for backends that fetch it.
    #[must_use]
    pub fn key_set(&self) -> serde_json::Value {
        let x = URL_SAFE_NO_PAD.encode(self.public_key);
        serde_json::json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.key_id(), "x": x }] })
    }

    /// The value of `Authorization` towards the backend.
    pub(super) fn assertion(&self, whom: &OnBehalfOf<'_>, context: &Context<'_>) -> Result<HeaderValue, AssertionError> {
        let Basis::Grant(grant) = whom.basis else {
            return self.sign(whom, None, context).map(|(value, _)| value);
        };
        let origin = Arc::as_ptr(&grant.origin).cast::<()>().addr();
        let key = CacheKey { caller: whom.caller.principal, client: whom.caller.client, role: grant.role, origin };
        if let Some(value) = self.cached.get(&key).and_then(|cached| cached.fits(grant, whom.caller, context.now)) {
            return Ok(value);
        }
        let (value, expires_at) = self.sign(whom, None, context)?;
        if self.cached.len() >= CACHED_MAX {
            self.cached.retain(|_, cached| context.now < cached.expires_at);
        }
        if self.cached.len() < CACHED_MAX {
            let cached =
                Cached { value: value.clone(), grant: grant.clone(), name: whom.caller.name.clone(), issued_at: context.now, expires_at };
            self.cached.insert(key, cached);
        }
        Ok(value)
    }

    /// The value of `Authorization` of one request to a fabric.
    pub(super) fn bound(&self, whom: &OnBehalfOf<'_>, bound: Bound<'_>, context: &Context<'_>) -> Result<HeaderValue, AssertionError> {
        self.sign(whom, Some(bound), context).map(|(value, _)| value)
    }

    /// The same where nobody but the gateway itself asks.
    pub(super) fn of_the_gateway(&self, bound: Bound<'_>, now: Timestamp) -> Result<HeaderValue, AssertionError> {
        let nobody = PrincipalId { tenant: TenantId::from_bytes([0; 16]), object: ObjectId::from_bytes([0; 16]) };
        let claims = Claims {
            iss: &self.issuer,
            aud: &self.audience,
            sub: nobody.object.to_string(),
            tid: nobody.tenant,
            act: Actor { sub: nobody.object.to_string(), tid: nobody.tenant, name: GATEWAY, client_id: None },
            role: None,
            delegation: None,
            scp: "/".to_owned(),
            iat: now.as_second(),
            exp: now.checked_add(LEFT_MIN).unwrap_or(now).as_second(),
            bound: Some(bound),
        };
        self.encode(&claims)
    }

    fn sign(
        &self,
        whom: &OnBehalfOf<'_>,
        bound: Option<Bound<'_>>,
        context: &Context<'_>,
    ) -> Result<(HeaderValue, Timestamp), AssertionError> {
        let grant = match whom.basis {
            Basis::Grant(grant) | Basis::GrantsBelow { grant, .. } => Some(grant),
            Basis::Oneself | Basis::Open | Basis::Starter => None,
        };
        let scp = match whom.basis {
            Basis::Grant(grant) => grant.scope.to_string(),
            Basis::GrantsBelow { .. } | Basis::Oneself | Basis::Starter => whom.scope.to_string(),
            Basis::Open => "/".to_owned(),
        };
        let expires_at = expiry(whom.caller, grant, context.now);
        let caller = whom.caller;
        let claims = Claims {
            iss: &self.issuer,
            aud: &self.audience,
            sub: caller.principal.object.to_string(),
            tid: whom.customer,
            act: Actor {
                sub: caller.principal.object.to_string(),
                tid: caller.principal.tenant,
                name: &caller.name,
                client_id: caller.client.map(|client| client.to_string()),
            },
            role: grant.and_then(|grant| context.directory.roles().role(grant.role)).map(Role::id),
            delegation: grant.and_then(|grant| offer(&grant.origin)),
            scp,
            iat: context.now.as_second(),
            exp: expires_at.as_second(),
            bound,
        };
        Ok((self.encode(&claims)?, expires_at))
    }

    fn encode(&self, claims: &Claims<'_>) -> Result<HeaderValue, AssertionError> {
        let claims = serde_json::to_vec(claims).map_err(AssertionError::Claims)?;
        let mut text = String::with_capacity(SCHEME.len() + self.header.len() + (claims.len() + SIGNATURE_BYTES) * 4 / 3 + 4);
        text.extend([SCHEME, &self.header]);
        URL_SAFE_NO_PAD.encode_string(&claims, &mut text);
        let signature = self.key.sign(text.trim_start_matches(SCHEME).as_bytes());
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        let mut value = HeaderValue::try_from(text).map_err(AssertionError::Form)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl Cached {
    fn fits(&self, grant: &Grant, caller: &Caller, now: Timestamp) -> Option<HeaderValue> {
        // When the clock was set back, what was signed before is from a time that has not come. It says so in whole seconds.
        let has_begun = self.issued_at.as_second() <= now.as_second();
        let fresh = has_begun && now.checked_add(LEFT_MIN).is_ok_and(|soon| soon < self.expires_at);
        // Another token of the same caller will do, if it lives as long.
        let same = self.expires_at <= caller.expires_at
            && self.name == caller.name
            && *self.grant.window == *grant.window
            && self.grant.scope == grant.scope;
        (fresh && same).then(|| self.value.clone())
    }
}

fn expiry(caller: &Caller, grant: Option<&Grant>, now: Timestamp) -> Timestamp {
    let own = now.checked_add(LIFETIME_MAX).unwrap_or(now);
    let granted = grant.and_then(|grant| match *grant.window {
        Window::Between { until, .. } => until,
        Window::Standing | Window::Eligible | Window::Suspended | Window::Unused { .. } => None,
    });
    // A token inside its leeway has expired by its own word; the assertion then lives for this one request.
    let token = caller.expires_at.max(now.checked_add(Duration::from_secs(1)).unwrap_or(now));
    granted.into_iter().fold(own.min(token), Timestamp::min)
}

fn offer(origin: &Origin) -> Option<&str> {
    match &origin.kind {
        OriginKind::Delegation { offer, .. } => Some(offer),
        OriginKind::RoleAssignment => None,
    }
}

fn key_id(public_key: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, public_key);
    URL_SAFE_NO_PAD.encode(digest.as_ref().get(..12).unwrap_or_default())
}

impl std::fmt::Debug for AssertionSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AssertionSigner").field("kid", &self.key_id()).field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
    use serde_json::{Value, json};

    use super::super::testing::{MAIN, World, principal, tenant};
    use super::*;
    use crate::arm::scope::Scope;

    const VM: &str = "GET ~/resourceGroups/rg-a/providers/Microsoft.Compute/virtualMachines/vm";

    /// What a request of somebody is permitted by.
    fn basis(world: &World, who: &str) -> Basis {
        world.authorize(world.caller(who), VM).unwrap().basis
    }

    fn grant(world: &World, who: &str) -> Grant {
        let Basis::Grant(grant) = basis(world, who) else { panic!("no grant") };
        grant
    }

    /// What a request of somebody is signed with, so many seconds later.
    fn signed(world: &World, who: &str, later_s: u64) -> String {
        let (caller, basis) = (Arc::new(world.caller(who)), basis(world, who));
        let scope = Scope::parse(&format!("{MAIN}/resourceGroups/rg-a")).unwrap();
        let whom = OnBehalfOf { caller: &caller, basis: &basis, scope: &scope, customer: tenant(2) };
        let context = Context { now: world.now + Duration::from_secs(later_s), ..world.context() };
        world.signer.assertion(&whom, &context).unwrap().to_str().unwrap().to_owned()
    }

    fn part(text: &str, place: usize) -> Value {
        let part = text.strip_prefix("Bearer ").unwrap().split('.').nth(place).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn whoever_has_the_key_set_can_tell_that_an_assertion_is_the_gateways() {
        let world = World::new();
        // The public key and its form: RFC 8037, appendix A.2; the key id is made of the first 12 bytes of its SHA-256.
        let key = json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": "If4x36FUomFia_hU",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
        assert_eq!((world.signer.key_set(), &*world.signer.key_id()), (json!({ "keys": [key] }), "If4x36FUomFia_hU"));
        let text = signed(&world, "reader", 0);
        assert_eq!(part(&text, 0), json!({ "typ": "JWT", "alg": "EdDSA", "kid": "If4x36FUomFia_hU" }));
        let (message, signature) = text.strip_prefix("Bearer ").unwrap().rsplit_once('.').unwrap();
        let public_key = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        UnparsedPublicKey::new(&ED25519, public_key).verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    }

    #[test]
    fn a_signer_shows_its_name_and_not_its_key() {
        let shown = r#"AssertionSigner { kid: "If4x36FUomFia_hU", issuer: "https://gateway.example", .. }"#;
        assert_eq!(format!("{:?}", World::new().signer), shown);
    }

    #[test]
    fn an_assertion_says_who_does_what_for_whom_and_by_which_delegation() {
        let world = World::new();
        let now = world.now.as_second();
        let (reader, owner) = (principal("reader").object, principal("owner").object);
        let expected = json!({
            "iss": "https://gateway.example", "aud": "https://backend.example", "sub": reader, "tid": tenant(2),
            "act": { "sub": reader, "tid": tenant(1), "name": "reader" },
            "role": "acdd72a7-3385-48ef-bd42-f606fba81ae7", "delegation": "Gold", "scp": MAIN, "iat": now, "exp": now + 300,
        });
        assert_eq!(part(&signed(&world, "reader", 0), 1), expected);
        let own = json!({
            "iss": "https://gateway.example", "aud": "https://backend.example", "sub": owner, "tid": tenant(2),
            "act": { "sub": owner, "tid": tenant(2), "name": "owner" },
            "role": "8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "scp": MAIN, "iat": now, "exp": now + 300,
        });
        assert_eq!(part(&signed(&world, "owner", 0), 1), own);
    }

    #[test]
    fn an_assertion_is_signed_anew_when_half_a_minute_of_it_is_left() {
        let world = World::new();
        let first = signed(&world, "reader", 0);
        assert_eq!((signed(&world, "reader", 269), signed(&world, "reader", 1)), (first.clone(), first.clone()));
        assert_ne!(signed(&world, "contributor", 0), first);
        let second = signed(&world, "reader", 270);
        assert_eq!(part(&second, 1)["iat"], json!(world.now.as_second() + 270));
        // The newer one is kept, and is not from a time that has not come.
        assert_eq!(signed(&world, "reader", 271), second);
        assert_eq!(part(&signed(&world, "reader", 269), 1)["iat"], json!(world.now.as_second() + 269));
    }

    #[test]
    fn what_is_kept_is_taken_for_the_same_caller_and_grant_while_it_holds() {
        let world = World::new();
        let in_ms = |ms: u64| world.now + Duration::from_millis(ms);
        let value = HeaderValue::from_static("Bearer kept");
        let cached = Cached {
            value: value.clone(),
            grant: grant(&world, "reader"),
            name: "reader".into(),
            issued_at: in_ms(10_500),
            expires_at: in_ms(310_500),
        };
        let caller = |expires_ms, name: &str| Caller { expires_at: in_ms(expires_ms), name: name.into(), ..world.caller("reader") };
        let (same, named) = (caller(310_500, "reader"), caller(310_500, "Reader"));
        let kept = grant(&world, "reader");
        let ends = Grant { window: Window::Between { from: None, until: Some(in_ms(3_600_000)) }.into(), ..kept.clone() };
        let below = Grant { scope: Arc::new(Scope::parse(&format!("{MAIN}/resourceGroups/rg-a")).unwrap()), ..kept.clone() };
        for (what, grant, caller, now, fits) in [
            ("as it was signed", &kept, &same, in_ms(10_500), true),
            ("a token that lives longer", &kept, &caller(310_501, "reader"), in_ms(10_500), true),
            ("a token that lives shorter", &kept, &caller(310_499, "reader"), in_ms(10_500), false),
            ("the clock set back within the second", &kept, &same, in_ms(10_000), true),
            ("the clock set back to another second", &kept, &same, in_ms(9_999), false),
            ("more than half a minute left", &kept, &same, in_ms(280_499), true),
            ("half a minute left", &kept, &same, in_ms(280_500), false),
            ("less than half a minute left", &kept, &same, in_ms(280_501), false),
            ("after its end", &kept, &same, in_ms(400_000), false),
            ("another name", &kept, &named, in_ms(10_500), false),
            ("a grant that ends", &ends, &same, in_ms(10_500), false),
            ("a grant on less", &below, &same, in_ms(10_500), false),
        ] {
            assert_eq!(cached.fits(grant, caller, now), fits.then(|| value.clone()), "{what}");
        }
    }

    #[test]
    fn as_many_assertions_are_kept_as_there_is_room_for_and_ended_ones_make_room() {
        // What is kept beforehand: so many that hold, and so many that end now.
        let kept_of = |holding: usize, ended: usize| {
            let world = World::new();
            let grant = grant(&world, "reader");
            for origin in 0..holding + ended {
                let key = CacheKey { caller: principal("nobody"), client: None, role: grant.role, origin };
                let expires_at = if origin < holding { world.now + Duration::from_secs(1) } else { world.now };
                let value = HeaderValue::from_static("Bearer kept");
                let cached = Cached { value, grant: grant.clone(), name: "nobody".into(), issued_at: world.now, expires_at };
                world.signer.cached.insert(key, cached);
            }
            assert!(signed(&world, "reader", 0).starts_with("Bearer ey"), "signed, whether it is kept or not");
            world.signer.cached.len()
        };
        assert_eq!(kept_of(0, 0), 1);
        // As long as there is room nobody looks for ended ones.
        assert_eq!(kept_of(16_380, 3), 16_384);
        assert_eq!(kept_of(16_384, 0), 16_384);
        assert_eq!(kept_of(16_000, 384), 16_001);
    }

    #[test]
    fn an_assertion_ends_with_what_it_rests_on_and_after_five_minutes() {
        let world = World::new();
        let in_s = |s: u64| world.now + Duration::from_secs(s);
        let standing = grant(&world, "reader");
        let until = |s| Grant { window: Window::Between { from: None, until: Some(in_s(s)) }.into(), ..standing.clone() };
        let caller = |s| Caller { expires_at: in_s(s), ..world.caller("reader") };
        for (caller, grant, ends_after) in [
            (caller(3_600), Some(standing.clone()), 300),
            (caller(3_600), None, 300),
            (caller(299), Some(standing.clone()), 299),
            (caller(301), Some(standing.clone()), 300),
            (caller(3_600), Some(until(299)), 299),
            (caller(3_600), Some(until(301)), 300),
            (caller(100), Some(until(99)), 99),
            // A token inside its leeway is good for this one request.
            (caller(0), Some(standing.clone()), 1),
        ] {
            assert_eq!(expiry(&caller, grant.as_ref(), world.now), in_s(ends_after), "{} {grant:?}", caller.expires_at);
        }
    }

    #[test]
    fn the_gateway_speaks_for_itself_without_a_name_of_somebody_and_for_half_a_minute() {
        let world = World::new();
        let bound = Bound { vmm: &vmm::Connection::Administrator {}, method: "GET", path: "/VMs" };
        let text = world.signer.of_the_gateway(bound, world.now).unwrap().to_str().unwrap().to_owned();
        let (now, nobody) = (world.now.as_second(), "00000000-0000-0000-0000-000000000000");
        let expected = json!({
            "iss": "https://gateway.example", "aud": "https://backend.example", "sub": nobody, "tid": nobody,
            "act": { "sub": nobody, "tid": nobody, "name": "Steward" }, "scp": "/", "iat": now, "exp": now + 30,
            "vmm": { "administrator": {} }, "method": "GET", "path": "/VMs",
        });
        assert_eq!(part(&text, 1), expected);
    }
}
