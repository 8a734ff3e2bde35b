//! The accounts of the demo issuer and how they are found.

use std::path::Path;
use std::time::Duration;

use uuid::Uuid;

use super::accounts_check::AccountsError;
use super::accounts_file::{AccountsFile, Tenant};
use super::certificate::ClientCertificate;
use super::secret::Secret;
use crate::ids::{ClientId, ObjectId, PrincipalId, TenantId};

/// Who can sign in, and in which tenants.
#[derive(Debug, Clone)]
pub struct Accounts {
    pub(super) tenants: Vec<Tenant>,
    pub(super) accounts: Vec<Account>,
}

/// Somebody or something that can sign in.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its name in the accounts file.
    pub key: String,
    /// How it is displayed.
    pub name: String,
    /// `tid` and `oid` of its tokens.
    pub principal: PrincipalId,
    /// The groups it is in.
    pub groups: Vec<ObjectId>,
    /// The claim `wids`.
    pub directory_roles: Vec<Uuid>,
    /// How long its access tokens last.
    pub token_lifetime: Duration,
    /// The form of its access tokens.
    pub token_version: Version,
    /// Whether its tokens leave the groups out.
    pub overage: bool,
    /// What it is and how it signs in.
    pub sign_in: SignIn,
}

/// The two forms of endpoints and tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// `iss` is `{base}/{tid}/`, the client is `appid`.
    V1,
    /// `iss` is `{base}/{tid}/v2.0`, the client is `azp`.
    V2,
}

/// What an account is and how it signs in.
#[derive(Debug, Clone)]
pub enum SignIn {
    /// An automation.
    ServicePrincipal(ServicePrincipal),
    /// A person.
    User(User),
}

/// How an automation signs in; it has a secret or a certificate at least.
#[derive(Debug, Clone)]
pub struct ServicePrincipal {
    /// The application's id.
    pub client: ClientId,
    /// The secret it may present.
    pub secret: Option<Secret>,
    /// The certificate that may sign its assertions.
    pub certificate: Option<ClientCertificate>,
}

/// How a person signs in.
#[derive(Debug, Clone)]
pub struct User {
    /// The name to sign in with.
    pub username: String,
    /// Absent for a guest who has one where she is a member.
    pub password: Option<Secret>,
    /// Whether the tenant invited the user from elsewhere.
    pub guest: bool,
    /// Whether sign-in counts as multi-factor.
    pub mfa: bool,
}

impl Accounts {
    /// Reads and checks TOML.
    ///
    /// # Errors
    /// When it cannot be read, or with everything that is wrong with the accounts.
    pub fn parse(text: &str) -> Result<Self, AccountsError> {
        Self::try_from(AccountsFile::parse(text)?)
    }

    /// Reads and checks a TOML file.
    ///
    /// # Errors
    /// As for [`Self::parse`].
    pub fn read(file: &Path) -> Result<Self, AccountsError> {
        Self::try_from(AccountsFile::read(file)?)
    }

    /// The tenants of the issuer, in the order of the file.
    pub fn tenants(&self) -> impl Iterator<Item = &Tenant> {
        self.tenants.iter()
    }

    /// All accounts, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Account> {
        self.accounts.iter()
    }

    /// The account with this name in the file.
    #[must_use]
    pub fn by_key(&self, key: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.key == key)
    }

    /// The tenant with this id or domain, as it stands in a URL.
    pub(super) fn tenant(&self, text: &str) -> Option<TenantId> {
        let id: Option<TenantId> = text.parse().ok();
        let found = self.tenants.iter().find(|tenant| Some(tenant.id) == id || tenant.domain.eq_ignore_ascii_case(text));
        found.map(|tenant| tenant.id)
    }

    pub(super) fn by_principal(&self, principal: PrincipalId) -> Option<&Account> {
        self.accounts.iter().find(|account| account.principal == principal)
    }

    /// The automation with this client id in this tenant, or in any.
    pub(super) fn by_client(&self, tenant: Option<TenantId>, client: ClientId) -> Option<(&Account, &ServicePrincipal)> {
        let here = move |account: &&Account| tenant.is_none_or(|tenant| tenant == account.principal.tenant);
        self.accounts.iter().filter(here).find_map(|account| match &account.sign_in {
            SignIn::ServicePrincipal(principal) if principal.client == client => Some((account, principal)),
            SignIn::ServicePrincipal(_) | SignIn::User(_) => None,
        })
    }

    /// What this user is in that tenant, or where she is a member when no tenant is named.
    pub(super) fn by_username(&self, tenant: Option<TenantId>, username: &str) -> Option<&Account> {
        self.named(username)
            .find(|(account, user)| tenant.map_or(!user.guest, |id| id == account.principal.tenant))
            .map(|(account, _)| account)
    }

    /// Whether the password is the one of this user, in whichever tenant it is kept.
    pub(super) fn password_is(&self, username: &str, candidate: &str) -> bool {
        self.named(username).filter_map(|(_, user)| user.password.as_ref()).any(|password| password.is(candidate))
    }

    fn named(&self, username: &str) -> impl Iterator<Item = (&Account, &User)> {
        self.accounts.iter().filter_map(move |account| match &account.sign_in {
            SignIn::User(user) if user.username.eq_ignore_ascii_case(username) => Some((account, user)),
            SignIn::ServicePrincipal(_) | SignIn::User(_) => None,
        })
    }
}
