//! From the accounts file to accounts: every problem is told at once.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use super::accounts::{Account, Accounts, ServicePrincipal, SignIn, User, Version};
use super::accounts_file::{AccountFile, AccountsFile, AccountsFileError, Kind};
use super::certificate::{ClientCertificate, ClientCertificateError};
use crate::ids::{PrincipalId, TenantId};

/// Accounts are looked through one by one; more would make every sign-in slow.
pub const ACCOUNTS_MAX: usize = 1000;

/// The longest lifetime of an access token.
pub const TOKEN_LIFETIME_S_MAX: u32 = 86_400;

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
            unique("username", "members (a user is a guest in further tenants)", None, username.clone());
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TENANT: &str = r#"
        [[tenant]]
        id = "01010101-0101-0101-0101-010101010101"
        name = "Ostra"
        domain = "ostra.example"
    "#;

    fn account(kind: &str, number: u8, rest: &str) -> String {
        format!(
            "[[account]]\nkind = \"{kind}\"\nkey = \"a{number}\"\ntenant = \"01010101-0101-0101-0101-010101010101\"\n\
             object_id = \"{number:08}-0000-0000-0000-000000000000\"\n{rest}\n"
        )
    }

    #[track_caller]
    fn check(accounts: &[String], expected: &str) {
        let error = Accounts::parse(&format!("{TENANT}\n{}", accounts.concat())).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    const CLIENT: &str = "client_id = \"22222222-0000-0000-0000-000000000000\"\nclient_secret = \"s\"";

    #[test]
    fn each_kind_of_account_has_its_keys() {
        let refused = |rest: &str| format!("the accounts file has 1 problem(s): {rest}");
        check(&[account("user", 1, "")], &refused("account `a1` is a user and needs `username`"));
        check(
            &[account("user", 1, "username = \"u\"\nguest = true")],
            &refused("account `a1` is a user and needs `password`, or to be a guest whose username is a member elsewhere"),
        );
        check(&[account("user", 1, CLIENT)], &refused("`client_id` of account `a1` is not for a user; remove it"));
        check(
            &[account("service_principal", 1, "client_id = \"22222222-0000-0000-0000-000000000000\"")],
            &refused("account `a1` is a service principal and needs a `client_secret` or a `certificate`"),
        );
        check(
            &[account("service_principal", 1, &format!("{CLIENT}\ncertificate = \"x\""))],
            &refused("account `a1`: the certificate is not PEM; expected `-----BEGIN CERTIFICATE-----`"),
        );
        check(
            &[account("service_principal", 1, &format!("{CLIENT}\ntoken_lifetime_s = 0"))],
            &refused("`token_lifetime_s = 0` of account `a1` is out of range; allowed: 1 to 86400 seconds"),
        );
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let stray = account("user", 2, "username = \"u\"\npassword = \"p\"").replace("01010101-0101", "09090909-0101");
        check(
            &[account("service_principal", 1, CLIENT), account("service_principal", 3, CLIENT), stray],
            "the accounts file has 2 problem(s): \
             `22222222-0000-0000-0000-000000000000` is the client_id of two accounts of one tenant; each needs its own; \
             account `a2` is in tenant `09090909-0101-0101-0101-010101010101`, which the file does not have; \
             add a `[[tenant]]` with that id",
        );
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_without_its_value() {
        let accounts = account("service_principal", 1, "clientsecret = \"hidden\"");
        let error = Accounts::parse(&format!("{TENANT}\n{accounts}")).unwrap_err().to_string();
        assert!(error.starts_with("line 12 of the accounts file is not valid: unknown field `clientsecret`, expected one of"), "{error}");
        assert!(!error.contains("hidden"), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Accounts::read(Path::new("/nowhere/accounts.toml")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read the accounts file `/nowhere/accounts.toml`");
    }

    #[test]
    fn secrets_are_not_printed() {
        let accounts = Accounts::parse(&format!("{TENANT}\n{}", account("user", 1, "username = \"u\"\npassword = \"hidden\"")));
        let printed = format!("{:?}", accounts.unwrap());
        assert!(printed.contains("<secret>") && !printed.contains("hidden"), "{printed}");
    }
}
