//! The accounts file as it is written: TOML, unknown keys are errors.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::secret::{self, Secret};
use crate::ids::{ClientId, ObjectId, TenantId};

/// Who can sign in at the demo issuer: `[[tenant]]` and `[[account]]` tables.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountsFile {
    /// The tenants that the issuer has.
    #[serde(default, rename = "tenant")]
    pub tenants: Vec<Tenant>,
    /// Their service principals and users.
    #[serde(default, rename = "account")]
    pub accounts: Vec<AccountFile>,
}

/// One directory of the issuer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// The `tid` of its tokens.
    pub id: TenantId,
    /// How people call it.
    pub name: String,
    /// The domain that may stand for the id in a URL and that its usernames usually end with.
    pub domain: String,
}

/// What an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An automation; signs in with a secret or a certificate.
    ServicePrincipal,
    /// A person; signs in with a password, by device code or directly.
    User,
}

/// One account as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountFile {
    /// Service principal or user.
    pub kind: Kind,
    /// Its name in this file, in commands and in tests; unique.
    pub key: String,
    /// How it is displayed; the key when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The tenant it lives in.
    pub tenant: TenantId,
    /// The `oid` of its tokens; unique in its tenant.
    pub object_id: ObjectId,
    /// Service principals: the application's id; unique in its tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
    /// Service principals: the secret to sign in with.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::expose")]
    pub client_secret: Option<Secret>,
    /// Service principals: the certificate (PEM, RSA, without its key) that may sign assertions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Users: the name to sign in with; unique in its tenant, without regard to case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Users: the password. A guest whose username is a member elsewhere has none here.
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "secret::expose")]
    pub password: Option<Secret>,
    /// The groups it is in, nested ones included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ObjectId>,
    /// The templates of the directory roles it has: the claim `wids`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub directory_roles: Vec<Uuid>,
    /// How long its access tokens last, in seconds: 1 to 86400.
    #[serde(default = "AccountFile::default_token_lifetime_s")]
    pub token_lifetime_s: u32,
    /// The form of its access tokens: 1 or 2.
    #[serde(default = "AccountFile::default_token_version")]
    pub token_version: u8,
    /// Users: whether sign-in counts as multi-factor: `amr` then holds `mfa`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mfa: bool,
    /// Users: whether the tenant invited the user from elsewhere: `acct` is then 1.
    #[serde(default, skip_serializing_if = "is_false")]
    pub guest: bool,
    /// Leaves the groups out of tokens and points to a directory instead, however few they are.
    #[serde(default, skip_serializing_if = "is_false")]
    pub overage: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// An accounts file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum AccountsFileError {
    /// Not TOML, or not of this form. The line itself is left out: it may hold a secret.
    #[error("line {line} of the accounts file is not valid: {message}")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// The file cannot be read.
    #[error("cannot read the accounts file `{}`", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// The accounts cannot be written as TOML.
    #[error("the accounts cannot be written as TOML")]
    Unwritable(#[from] toml::ser::Error),
}

impl AccountFile {
    const fn default_token_lifetime_s() -> u32 {
        3600
    }

    const fn default_token_version() -> u8 {
        1
    }

    /// A service principal that signs in with a secret, everything else by default.
    #[must_use]
    pub fn service_principal(key: &str, tenant: TenantId, object_id: ObjectId, client_id: ClientId, client_secret: Secret) -> Self {
        let (client_id, client_secret) = (Some(client_id), Some(client_secret));
        Self { client_id, client_secret, ..Self::bare(Kind::ServicePrincipal, key, tenant, object_id) }
    }

    /// A user who signs in with a password, everything else by default.
    #[must_use]
    pub fn user(key: &str, tenant: TenantId, object_id: ObjectId, username: &str, password: Secret) -> Self {
        let (username, password) = (Some(username.to_owned()), Some(password));
        Self { username, password, ..Self::bare(Kind::User, key, tenant, object_id) }
    }

    fn bare(kind: Kind, key: &str, tenant: TenantId, object_id: ObjectId) -> Self {
        Self {
            kind,
            key: key.to_owned(),
            name: None,
            tenant,
            object_id,
            client_id: None,
            client_secret: None,
            certificate: None,
            username: None,
            password: None,
            groups: Vec::new(),
            directory_roles: Vec::new(),
            token_lifetime_s: Self::default_token_lifetime_s(),
            token_version: Self::default_token_version(),
            mfa: false,
            guest: false,
            overage: false,
        }
    }
}

impl AccountsFile {
    /// Reads TOML.
    ///
    /// # Errors
    /// When it is not TOML, or a key is unknown, missing or of the wrong form.
    pub fn parse(text: &str) -> Result<Self, AccountsFileError> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count().saturating_add(1);
            AccountsFileError::Malformed { line, message: error.message().replace('\n', "; ") }
        })
    }

    /// Reads a TOML file.
    ///
    /// # Errors
    /// When the file cannot be read, and as for [`Self::parse`].
    pub fn read(file: &Path) -> Result<Self, AccountsFileError> {
        let text = std::fs::read_to_string(file);
        Self::parse(&text.map_err(|cause| AccountsFileError::Unreadable { file: file.to_owned(), cause })?)
    }

    /// The same accounts as TOML, secrets included: write it for its owner alone.
    ///
    /// # Errors
    /// Never for this form; the library asks in general.
    pub fn to_toml(&self) -> Result<String, AccountsFileError> {
        Ok(toml::to_string(self)?)
    }
}
