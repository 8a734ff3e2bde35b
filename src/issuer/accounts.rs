//! The accounts of the demo issuer, checked: every problem of the file is told at once.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use uuid::Uuid;

use super::accounts_file::{AccountFile, AccountsFile, AccountsFileError, Kind, Tenant};
use super::certificate::{ClientCertificate, ClientCertificateError};
use super::secret::Secret;
use crate::ids::{ClientId, ObjectId, PrincipalId, TenantId};

/// Accounts are looked through one by one; more would make every sign-in slow.
pub const ACCOUNTS_MAX: usize = 1000;

/// The longest lifetime of an access token.
pub const TOKEN_LIFETIME_S_MAX: u32 = 86_400;

/// Who can sign in, and in which tenants.
#[derive(Debug, Clone)]
pub struct Accounts {
    tenants: Vec<Tenant>,
    accounts: Vec<Account>,
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

/// One thing that is wrong with an accounts file.
#[derive(Debug, thiserror::Error)]
pub enum AccountProblem {
    /// Something that must be unique is not.
    #[error("`{value}` is the {what} of two {of}; each needs its own")]
    Duplicate {
        /// What must be unique.
        what: &'static str,
        /// Tenants or accounts.
        of: &'static str,
        /// The value that occurs twice.
        value: String,
    },
    /// A certificate that cannot be used.
    #[error("account `{account}`")]
    Certificate {
        /// The account's key.
        account: String,
        /// What is wrong with it.
        #[source]
        cause: ClientCertificateError,
    },
    /// A key that this kind of account needs.
    #[error("account `{account}` is a {kind} and needs {needs}")]
    Missing {
        /// The account's key.
        account: String,
        /// What it is.
        kind: &'static str,
        /// The key or keys that are missing.
        needs: &'static str,
    },
    /// A number outside its range.
    #[error("`{key} = {value}` of account `{account}` is out of range; allowed: {allowed}")]
    OutOfRange {
        /// The account's key.
        account: String,
        /// The key in the file.
        key: &'static str,
        /// The value in the file.
        value: u32,
        /// The range.
        allowed: &'static str,
    },
    /// More accounts than [`ACCOUNTS_MAX`].
    #[error("{count} accounts are too many; allowed: 1 to {ACCOUNTS_MAX}")]
    TooMany {
        /// How many there are.
        count: usize,
    },
    /// A key that is for the other kind of account.
    #[error("`{key}` of account `{account}` is not for a {kind}; remove it")]
    Unfitting {
        /// The account's key.
        account: String,
        /// What it is.
        kind: &'static str,
        /// The key in the file.
        key: &'static str,
    },
    /// A tenant that the file does not have.
    #[error("account `{account}` is in tenant `{tenant}`, which the file does not have; add a `[[tenant]]` with that id")]
    UnknownTenant {
        /// The account's key.
        account: String,
        /// The tenant it names.
        tenant: TenantId,
    },
}

/// Accounts that the issuer cannot work with.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] AccountsFileError),
    /// The file reads well and means nothing good; all of it at once.
    #[error("the accounts file has {} problem(s): {}", .0.len(), Listed(.0))]
    Invalid(Vec<AccountProblem>),
}

struct Listed<'a>(&'a [AccountProblem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
            if let Some(cause) = std::error::Error::source(problem) {
                write!(f, ": {cause}")?;
            }
        }
        Ok(())
    }
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

impl TryFrom<AccountsFile> for Accounts {
    type Error = AccountsError;

    fn try_from(file: AccountsFile) -> Result<Self, AccountsError> {
        let mut problems = uniqueness_problems(&file);
        if file.accounts.len() > ACCOUNTS_MAX {
            problems.push(AccountProblem::TooMany { count: file.accounts.len() });
        }
        let with_password = members_with_password(&file.accounts);
        let tenants: HashSet<TenantId> = file.tenants.iter().map(|tenant| tenant.id).collect();
        let mut accounts = Vec::with_capacity(file.accounts.len());
        for account in file.accounts {
            if !tenants.contains(&account.tenant) {
                problems.push(AccountProblem::UnknownTenant { account: account.key.clone(), tenant: account.tenant });
            }
            match checked(account, &with_password) {
                Ok(account) => accounts.push(account),
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(Self { tenants: file.tenants, accounts }) } else { Err(AccountsError::Invalid(problems)) }
    }
}

fn uniqueness_problems(file: &AccountsFile) -> Vec<AccountProblem> {
    let mut seen = HashSet::new();
    let mut problems = Vec::new();
    let mut unique = |what, of, within: Option<TenantId>, value: String| {
        if !seen.insert((what, of, within, value.to_lowercase())) {
            problems.push(AccountProblem::Duplicate { what, of, value });
        }
    };
    for tenant in &file.tenants {
        unique("id", "tenants", None, tenant.id.to_string());
        unique("domain", "tenants", None, tenant.domain.clone());
    }
    for account in &file.accounts {
        let tenant = Some(account.tenant);
        unique("key", "accounts", None, account.key.clone());
        unique("object_id", "accounts of one tenant", tenant, account.object_id.to_string());
        if let Some(client) = account.client_id {
            unique("client_id", "accounts of one tenant", tenant, client.to_string());
        }
        if let Some(username) = &account.username {
            unique("username", "accounts of one tenant", tenant, username.clone());
        }
        if let (Some(username), false) = (&account.username, account.guest) {
            unique("username", "members; in other tenants the user is a guest, accounts", None, username.clone());
        }
    }
    problems
}

fn members_with_password(accounts: &[AccountFile]) -> HashSet<String> {
    let members = accounts.iter().filter(|account| !account.guest && account.password.is_some());
    members.filter_map(|account| account.username.as_deref()).map(str::to_lowercase).collect()
}

fn checked(file: AccountFile, with_password: &HashSet<String>) -> Result<Account, AccountProblem> {
    let sign_in = match file.kind {
        Kind::ServicePrincipal => SignIn::ServicePrincipal(checked_service_principal(&file)?),
        Kind::User => SignIn::User(checked_user(&file, with_password)?),
    };
    let out_of_range = |key, value, allowed| Err(AccountProblem::OutOfRange { account: file.key.clone(), key, value, allowed });
    let token_lifetime = match file.token_lifetime_s {
        seconds @ 1..=TOKEN_LIFETIME_S_MAX => Duration::from_secs(seconds.into()),
        seconds => return out_of_range("token_lifetime_s", seconds, "1 to 86400 seconds"),
    };
    let token_version = match file.token_version {
        1 => Version::V1,
        2 => Version::V2,
        version => return out_of_range("token_version", version.into(), "1 and 2"),
    };
    Ok(Account {
        name: file.name.unwrap_or_else(|| file.key.clone()),
        key: file.key,
        principal: PrincipalId { tenant: file.tenant, object: file.object_id },
        groups: file.groups,
        directory_roles: file.directory_roles,
        token_lifetime,
        token_version,
        overage: file.overage,
        sign_in,
    })
}

fn checked_service_principal(file: &AccountFile) -> Result<ServicePrincipal, AccountProblem> {
    const KIND: &str = "service principal";
    let account = || file.key.clone();
    let user_keys =
        [("username", file.username.is_some()), ("password", file.password.is_some()), ("mfa", file.mfa), ("guest", file.guest)];
    refuse_present(file, KIND, &user_keys)?;
    let certificate = file.certificate.as_deref().map(ClientCertificate::from_pem).transpose();
    let certificate = certificate.map_err(|cause| AccountProblem::Certificate { account: account(), cause })?;
    let secret = file.client_secret.clone().filter(|secret| !secret.is_empty());
    let Some(client) = file.client_id else {
        return Err(AccountProblem::Missing { account: account(), kind: KIND, needs: "`client_id`" });
    };
    if secret.is_none() && certificate.is_none() {
        return Err(AccountProblem::Missing { account: account(), kind: KIND, needs: "a `client_secret` or a `certificate`" });
    }
    Ok(ServicePrincipal { client, secret, certificate })
}

fn checked_user(file: &AccountFile, with_password: &HashSet<String>) -> Result<User, AccountProblem> {
    const KIND: &str = "user";
    let missing = |needs| AccountProblem::Missing { account: file.key.clone(), kind: KIND, needs };
    let application_keys = [
        ("client_id", file.client_id.is_some()),
        ("client_secret", file.client_secret.is_some()),
        ("certificate", file.certificate.is_some()),
    ];
    refuse_present(file, KIND, &application_keys)?;
    let username = file.username.clone().filter(|name| !name.is_empty()).ok_or_else(|| missing("`username`"))?;
    let password = file.password.clone().filter(|password| !password.is_empty());
    let member_elsewhere = file.guest && with_password.contains(&username.to_lowercase());
    if password.is_none() && !member_elsewhere {
        return Err(missing("`password`, or to be a guest whose username is a member elsewhere"));
    }
    Ok(User { username, password, guest: file.guest, mfa: file.mfa })
}

fn refuse_present(file: &AccountFile, kind: &'static str, keys: &[(&'static str, bool)]) -> Result<(), AccountProblem> {
    match keys.iter().find(|(_, present)| *present) {
        Some((key, _)) => Err(AccountProblem::Unfitting { account: file.key.clone(), kind, key }),
        None => Ok(()),
    }
}
