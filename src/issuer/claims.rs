//! What stands in access tokens and id tokens.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::accounts::{Account, SignIn, User, Version};
use super::secret::random_text;
use crate::ids::{ClientId, TenantId};

/// More groups than this are left out of a token. Source: identity platform, groups overage claim, 200 in a JWT.
const GROUPS_MAX: usize = 200;

/// How the client proved itself: the claims `appidacr` and `azpacr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientProof {
    None,
    Secret,
    Certificate,
}

impl ClientProof {
    const fn claim(self) -> &'static str {
        match self {
            Self::None => "0",
            Self::Secret => "1",
            Self::Certificate => "2",
        }
    }
}

/// The client a token is made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) id: ClientId,
    pub(super) proof: ClientProof,
}

/// From when until when a token counts, in Unix seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lifetime {
    pub(super) issued_at: i64,
    pub(super) expires_at: i64,
}

/// The `iss` of a tenant's tokens.
pub(super) fn issuer(base_url: &str, tenant: TenantId, version: Version) -> String {
    match version {
        Version::V1 => format!("{base_url}/{tenant}/"),
        Version::V2 => format!("{base_url}/{tenant}/v2.0"),
    }
}

/// Makes the claims of one account's tokens.
pub(super) struct Claims<'a> {
    pub(super) base_url: &'a str,
    pub(super) account: &'a Account,
    pub(super) client: Client,
    pub(super) lifetime: Lifetime,
}

impl Claims<'_> {
    /// An access token's claims. `capabilities` is what the client says it can do: the claim `xms_cc`.
    pub(super) fn access(&self, audience: &str, capabilities: &[String]) -> Value {
        let mut claims = self.common(self.account.token_version);
        insert(&mut claims, "aud", audience);
        insert(&mut claims, "uti", random_text());
        match self.account.token_version {
            Version::V1 => {
                insert(&mut claims, "appid", self.client.id.to_string());
                insert(&mut claims, "appidacr", self.client.proof.claim());
            }
            Version::V2 => {
                insert(&mut claims, "azp", self.client.id.to_string());
                insert(&mut claims, "azpacr", self.client.proof.claim());
            }
        }
        if !capabilities.is_empty() {
            insert(&mut claims, "xms_cc", capabilities);
        }
        match &self.account.sign_in {
            SignIn::ServicePrincipal(_) => {
                insert(&mut claims, "idtyp", "app");
                insert(&mut claims, "app_displayname", self.account.name.as_str());
            }
            SignIn::User(user) => self.person(&mut claims, user),
        }
        self.memberships(&mut claims);
        Value::Object(claims)
    }

    /// An id token's claims, for the client to show who signed in.
    pub(super) fn id_token(&self, username: &str) -> Value {
        let mut claims = self.common(Version::V2);
        insert(&mut claims, "aud", self.client.id.to_string());
        insert(&mut claims, "name", self.account.name.as_str());
        insert(&mut claims, "preferred_username", username);
        insert(&mut claims, "upn", username);
        Value::Object(claims)
    }

    fn common(&self, version: Version) -> Map<String, Value> {
        let (tenant, object) = (self.account.principal.tenant, self.account.principal.object);
        let mut claims = Map::new();
        insert(&mut claims, "iss", issuer(self.base_url, tenant, version));
        insert(&mut claims, "iat", self.lifetime.issued_at);
        insert(&mut claims, "nbf", self.lifetime.issued_at);
        insert(&mut claims, "exp", self.lifetime.expires_at);
        insert(&mut claims, "tid", tenant.to_string());
        insert(&mut claims, "oid", object.to_string());
        insert(&mut claims, "sub", self.subject());
        insert(&mut claims, "ver", if version == Version::V1 { "1.0" } else { "2.0" });
        claims
    }

    /// Applications are their own subject. People are somebody else to each application, so that nobody joins on it.
    fn subject(&self) -> String {
        let object = self.account.principal.object;
        match self.account.sign_in {
            SignIn::ServicePrincipal(_) => object.to_string(),
            SignIn::User(_) => URL_SAFE_NO_PAD.encode(digest(&SHA256, &[*object.as_bytes(), *self.client.id.as_bytes()].concat())),
        }
    }

    fn person(&self, claims: &mut Map<String, Value>, user: &User) {
        insert(claims, "scp", "user_impersonation");
        insert(claims, "name", self.account.name.as_str());
        insert(claims, "acct", i32::from(user.guest));
        match self.account.token_version {
            Version::V1 => {
                let methods: &[&str] = if user.mfa { &["pwd", "mfa"] } else { &["pwd"] };
                insert(claims, "amr", methods);
                insert(claims, "acr", "1");
                insert(claims, "upn", user.username.as_str());
                insert(claims, "unique_name", user.username.as_str());
            }
            Version::V2 => insert(claims, "preferred_username", user.username.as_str()),
        }
    }

    fn memberships(&self, claims: &mut Map<String, Value>) {
        let Account { groups, directory_roles, overage, .. } = self.account;
        if !directory_roles.is_empty() {
            insert(claims, "wids", directory_roles.iter().map(ToString::to_string).collect::<Vec<_>>());
        }
        if *overage || groups.len() > GROUPS_MAX {
            let endpoint = self.memberships_endpoint();
            insert(claims, "_claim_names", json!({ "groups": "src1" }));
            insert(claims, "_claim_sources", json!({ "src1": { "endpoint": endpoint } }));
        } else if !groups.is_empty() {
            insert(claims, "groups", groups.iter().map(ToString::to_string).collect::<Vec<_>>());
        }
    }

    /// Where a real directory would list the groups. Nothing answers there: whoever believes tokens must not call it.
    fn memberships_endpoint(&self) -> String {
        let (tenant, object) = (self.account.principal.tenant, self.account.principal.object);
        let collection = match self.account.sign_in {
            SignIn::ServicePrincipal(_) => "servicePrincipals",
            SignIn::User(_) => "users",
        };
        format!("{}/{tenant}/{collection}/{object}/getMemberObjects", self.base_url)
    }
}

fn insert(claims: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    claims.insert(name.to_owned(), value.into());
}
