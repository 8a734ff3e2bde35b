//! The token endpoint: four grants, each ends in an account that tokens are made for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Inner;
use super::accounts::{Account, ServicePrincipal, SignIn, User};
use super::assertion;
use super::claims::{Claims, Client, ClientProof, Lifetime};
use super::devices::{Begun, DEVICE_CODE_LIFETIME_S, DEVICE_INTERVAL_S};
use super::refresh::{REFRESH_LIFETIME_S, Remembered};
use super::refusal::Refusal;
use super::routes::{self, Authority};
use super::scope::{Requested, ScopeError};
use crate::form::Form;
use crate::ids::{ClientId, TenantId};

const DEVICE_CODE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Source: RFC 7523 §2.2.
const JWT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

impl Inner {
    /// Answers a token request whose client credential, if any, stands in the form.
    pub(super) async fn token(&self, authority: &Authority, form: &Form) -> Result<Value, Refusal> {
        match form.require("grant_type")? {
            "client_credentials" => self.client_credentials(authority, form).await,
            "password" => self.password(authority, form).await,
            "refresh_token" => self.refresh_token(authority, form).await,
            DEVICE_CODE_GRANT | "device_code" => self.device_code(authority, form).await,
            grant => Err(Refusal::UnsupportedGrant { grant: grant.chars().take(100).collect() }),
        }
    }

    async fn client_credentials(&self, authority: &Authority, form: &Form) -> Result<Value, Refusal> {
        let tenant = authority.tenant().ok_or(Refusal::TenantNeeded)?;
        let id = client_id(form)?;
        let unknown = || Refusal::UnknownClient { client: id, tenant: authority.segment().to_owned() };
        let (account, principal) = self.accounts.by_client(Some(tenant), id).ok_or_else(unknown)?;
        let proof = self.proof(authority, principal, form)?;
        let requested = Requested::from_form(form)?.ok_or(ScopeError::NoResource)?;
        let issue = Issue { client: Client { id, proof }, requested, user: None, form };
        self.answer(account, issue).await
    }

    async fn password(&self, authority: &Authority, form: &Form) -> Result<Value, Refusal> {
        let client = self.client(authority, form)?;
        let username = form.require("username")?;
        let account = self.signed_in(authority.tenant(), username, form.require("password")?)?;
        let requested = Requested::from_form(form)?.ok_or(ScopeError::NoResource)?;
        self.answer_user(account, client, requested, form).await
    }

    async fn device_code(&self, authority: &Authority, form: &Form) -> Result<Value, Refusal> {
        let client = self.client(authority, form)?;
        let code = form.get("device_code").or_else(|| form.get("code"));
        let code = code.ok_or(Refusal::MissingParameter { name: "device_code" })?;
        let (principal, requested) = self.devices.redeem(code, client.id, self.clock.now().as_millisecond()).await?;
        let account = self.accounts.by_principal(principal).ok_or(Refusal::UserNotInTenant)?;
        self.answer_user(account, client, requested, form).await
    }

    async fn refresh_token(&self, authority: &Authority, form: &Form) -> Result<Value, Refusal> {
        let client = self.client(authority, form)?;
        let remembered = self.sealer.open(form.require("refresh_token")?, client.id, self.clock.now().as_second())?;
        let account = self.accounts.by_username(authority.tenant(), &remembered.username).ok_or(Refusal::UserNotInTenant)?;
        let requested = Requested::from_form(form)?.unwrap_or_else(|| Requested::renewed(remembered.audience));
        self.answer_user(account, client, requested, form).await
    }

    /// Begins a device code sign-in.
    pub(super) async fn begin_device(&self, authority: &Authority, form: &Form) -> Result<Value, Refusal> {
        let client = self.client(authority, form)?.id;
        let requested = Requested::from_form(form)?.ok_or(ScopeError::NoResource)?;
        let begun = Begun { tenant: authority.tenant(), client, requested };
        let codes = self.devices.begin(begun, self.clock.now().as_millisecond()).await?;
        let page = format!("{}/{}/oauth2/deviceauth", self.base_url, authority.segment());
        let message = format!("To sign in, open the page {page} and enter the code {} to authenticate.", codes.user_code);
        Ok(json!({
            "user_code": codes.user_code,
            "device_code": codes.device_code,
            "verification_uri": page,
            "verification_url": page,
            "expires_in": DEVICE_CODE_LIFETIME_S,
            "interval": DEVICE_INTERVAL_S,
            "message": message,
        }))
    }

    /// The account of a user who gave the right password.
    pub(super) fn signed_in(&self, tenant: Option<TenantId>, username: &str, password: &str) -> Result<&Account, Refusal> {
        if !self.accounts.password_is(username, password) {
            return Err(Refusal::WrongPassword);
        }
        self.accounts.by_username(tenant, username).ok_or(Refusal::UserNotInTenant)
    }

    /// The client of a user's sign-in: any public one, or a confidential one that proves itself.
    fn client(&self, authority: &Authority, form: &Form) -> Result<Client, Refusal> {
        let id = client_id(form)?;
        let proof = match self.accounts.by_client(authority.tenant(), id) {
            Some((_, principal)) => self.proof(authority, principal, form)?,
            None => ClientProof::None,
        };
        Ok(Client { id, proof })
    }

    fn proof(&self, authority: &Authority, principal: &ServicePrincipal, form: &Form) -> Result<ClientProof, Refusal> {
        let client = principal.client;
        if let Some(assertion) = form.get("client_assertion") {
            let kind = form.require("client_assertion_type")?;
            if kind != JWT_ASSERTION {
                return Err(Refusal::AssertionRefused { why: "its type is not urn:ietf:params:oauth:client-assertion-type:jwt-bearer" });
            }
            let endpoints = routes::token_endpoints(&self.base_url, authority);
            assertion::check(assertion, principal, &endpoints, self.clock.now())?;
            return Ok(ClientProof::Certificate);
        }
        let candidate = form.get("client_secret").ok_or(Refusal::NoClientCredential { client })?;
        let right = principal.secret.as_ref().is_some_and(|secret| secret.is(candidate));
        if right { Ok(ClientProof::Secret) } else { Err(Refusal::WrongSecret { client }) }
    }

    async fn answer_user(&self, account: &Account, client: Client, requested: Requested, form: &Form) -> Result<Value, Refusal> {
        let user = match &account.sign_in {
            SignIn::User(user) => Some(user),
            SignIn::ServicePrincipal(_) => None,
        };
        self.answer(account, Issue { client, requested, user, form }).await
    }

    async fn answer(&self, account: &Account, issue: Issue<'_>) -> Result<Value, Refusal> {
        let Issue { client, requested, user, form } = issue;
        let capabilities = capabilities(form)?;
        let lasts_s = i64::try_from(account.token_lifetime.as_secs()).unwrap_or(i64::MAX);
        let issued_at = self.clock.now().as_second();
        let lifetime = Lifetime { issued_at, expires_at: issued_at.saturating_add(lasts_s) };
        let claims = Claims { base_url: &self.base_url, account, client, lifetime };
        let keys = self.keys.of(account.principal.tenant).await?;
        let mut answer = Map::new();
        let mut put = |name: &str, value: Value| answer.insert(name.to_owned(), value);
        put("token_type", "Bearer".into());
        put("expires_in", lasts_s.into());
        put("ext_expires_in", lasts_s.into());
        put("access_token", keys.newest().sign(&claims.access(&requested.audience, &capabilities))?.into());
        if form.get("resource").is_some() {
            // The older endpoint tells these as well, and its clients read them.
            put("resource", requested.audience.clone().into());
            put("expires_on", lifetime.expires_at.into());
            put("not_before", lifetime.issued_at.into());
        }
        if let Some(user) = user {
            put("scope", requested.text.into());
            if requested.openid {
                put("id_token", keys.newest().sign(&claims.id_token(&user.username))?.into());
            }
            if requested.offline_access {
                let refresh_token = self.refresh_token_for(user, client.id, requested.audience, issued_at)?;
                put("refresh_token", refresh_token.into());
            }
            if form.get("client_info") == Some("1") {
                put("client_info", client_info(account).into());
            }
        }
        Ok(Value::Object(answer))
    }

    fn refresh_token_for(&self, user: &User, client: ClientId, audience: String, now_s: i64) -> Result<String, Refusal> {
        let expires_at = now_s.saturating_add(REFRESH_LIFETIME_S);
        Ok(self.sealer.seal(&Remembered { username: user.username.clone(), client, audience, expires_at })?)
    }
}

/// What an answer is made of.
struct Issue<'a> {
    client: Client,
    requested: Requested,
    user: Option<&'a User>,
    form: &'a Form,
}

fn client_id(form: &Form) -> Result<ClientId, Refusal> {
    let text = form.require("client_id")?;
    text.parse().map_err(|cause: crate::ids::NotAGuid| Refusal::Malformed { why: format!("client_id: {cause}") })
}

/// Who signed in, for the client's token cache: base64url of JSON.
fn client_info(account: &Account) -> String {
    let info = json!({ "uid": account.principal.object, "utid": account.principal.tenant });
    URL_SAFE_NO_PAD.encode(info.to_string())
}

/// The capabilities in the parameter `claims`: `{"access_token":{"xms_cc":{"values":["cp1"]}}}`. Everything else in it is
/// met by any new token.
fn capabilities(form: &Form) -> Result<Vec<String>, Refusal> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Wanted {
        access_token: Option<AccessToken>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct AccessToken {
        xms_cc: Option<Values>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Values {
        values: Vec<String>,
    }
    let Some(claims) = form.get("claims") else { return Ok(Vec::new()) };
    let wanted: Result<Wanted, _> = serde_json::from_str(claims);
    let wanted = wanted.map_err(|cause| Refusal::Malformed { why: format!("claims is not a claims request: {cause}") })?;
    Ok(wanted.access_token.and_then(|token| token.xms_cc).map(|capabilities| capabilities.values).unwrap_or_default())
}
