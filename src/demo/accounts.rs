//! The accounts of the demo issuer: one for everybody in the policies whose tenant signs in there, with secrets made on
//! the first run and kept in the demo's folder.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::directory::{Directory, Principal, PrincipalKind};
use crate::files::{self, NotWritten, Readers};
use crate::ids::{ClientId, PrincipalId};
use crate::issuer::{self, AccountFile, Accounts, AccountsFile, AccountsFileError, Kind, Secret, Tenant};

/// Accounts that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The accounts contradict each other.
    #[error("the accounts of the demo contradict each other")]
    Contradiction(#[source] issuer::AccountsError),
    /// The file of an earlier run cannot be read.
    #[error("`{}` cannot be read; start with `--fresh` to make it anew", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: AccountsFileError,
    },
    /// The traits inside the binary are malformed.
    #[error("the traits of the demo accounts are malformed")]
    Traits(#[source] toml::de::Error),
    /// The file cannot be written.
    #[error("the accounts cannot be kept")]
    Write(#[source] NotWritten),
}

/// The accounts as they are written.
#[derive(Debug)]
pub struct DemoAccounts(AccountsFile);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TraitsFile {
    account: Vec<Traits>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Traits {
    key: String,
    token_lifetime_s: Option<u32>,
    #[serde(default)]
    mfa: bool,
}

const FILE: &str = "accounts.toml";

/// The accounts for this directory: those of an earlier run keep their secrets, new ones are added, others are dropped.
///
/// # Errors
/// When an earlier file cannot be read or a new one cannot be written.
pub fn ensure(folder: &Path, directory: &Directory) -> Result<DemoAccounts, AccountsError> {
    let path = folder.join(FILE);
    let mut kept = earlier(&path)?;
    let traits: TraitsFile = toml::from_str(include_str!("traits.toml")).map_err(AccountsError::Traits)?;
    let traits: HashMap<&str, &Traits> = traits.account.iter().map(|traits| (traits.key.as_str(), traits)).collect();
    let mut people: Vec<&Principal> = directory.principals().filter(|principal| signs_in(directory, principal)).collect();
    people.sort_by_key(|principal| principal.id);
    let mut file = AccountsFile { tenants: tenants(directory), accounts: Vec::new() };
    for principal in people {
        let former = kept.remove(&principal.id);
        let mut account = account(principal, directory, former);
        if let Some(traits) = traits.get(&*principal.key) {
            account.token_lifetime_s = traits.token_lifetime_s.unwrap_or(account.token_lifetime_s);
            account.mfa = traits.mfa;
        }
        file.accounts.push(account);
    }
    let text = file.to_toml().map_err(|cause| AccountsError::File { path: path.clone(), cause })?;
    files::replace(&path, text.as_bytes(), Readers::Owner).map_err(AccountsError::Write)?;
    Ok(DemoAccounts(file))
}

fn earlier(path: &Path) -> Result<HashMap<PrincipalId, AccountFile>, AccountsError> {
    if !path.exists() {
        return Ok(HashMap::new());
    }
    let file = AccountsFile::read(path).map_err(|cause| AccountsError::File { path: path.to_owned(), cause })?;
    let id = |account: &AccountFile| PrincipalId { tenant: account.tenant, object: account.object_id };
    Ok(file.accounts.into_iter().map(|account| (id(&account), account)).collect())
}

fn signs_in(directory: &Directory, principal: &Principal) -> bool {
    let has_issuer = directory.tenant(principal.id.tenant).is_some_and(|tenant| !tenant.issuers.is_empty());
    has_issuer && principal.kind != PrincipalKind::Group
}

fn tenants(directory: &Directory) -> Vec<Tenant> {
    let mut tenants: Vec<Tenant> = directory
        .tenants()
        .filter(|tenant| !tenant.issuers.is_empty())
        .map(|tenant| Tenant {
            id: tenant.id,
            name: tenant.name.to_string(),
            domain: tenant.domains.first().cloned().unwrap_or_else(|| format!("{}.example", tenant.key)),
        })
        .collect();
    tenants.sort_by_key(|tenant| tenant.id);
    tenants
}

fn account(principal: &Principal, directory: &Directory, former: Option<AccountFile>) -> AccountFile {
    let (tenant, object) = (principal.id.tenant, principal.id.object);
    let account = match principal.kind {
        PrincipalKind::User => {
            let domain = directory.tenant(tenant).and_then(|tenant| tenant.domains.first().cloned()).unwrap_or_default();
            let made = || format!("{}@{domain}", principal.key);
            let username = principal.user_principal_name.as_deref().map_or_else(made, str::to_owned);
            let password = former.and_then(|former| former.password).unwrap_or_else(Secret::random);
            AccountFile::user(&principal.key, tenant, object, &username, password)
        }
        PrincipalKind::Group | PrincipalKind::ServicePrincipal => {
            let client = former.as_ref().and_then(|former| former.client_id).unwrap_or_else(ClientId::random);
            let secret = former.and_then(|former| former.client_secret).unwrap_or_else(Secret::random);
            AccountFile::service_principal(&principal.key, tenant, object, client, secret)
        }
    };
    AccountFile { name: Some(principal.name.to_string()), groups: principal.groups.clone(), ..account }
}

impl DemoAccounts {
    /// All accounts.
    pub fn iter(&self) -> impl Iterator<Item = &AccountFile> {
        self.0.accounts.iter()
    }

    pub(super) fn into_accounts(self) -> Result<Accounts, AccountsError> {
        Accounts::try_from(self.0).map_err(AccountsError::Contradiction)
    }

    pub(super) fn describe(&self) -> String {
        let people = self.iter().filter(|account| account.kind == Kind::User).count();
        format!("{people} people, {} automations", self.0.accounts.len() - people)
    }
}
