//! The demo token issuer: enough of an `OpenID` provider for unmodified clients to sign in on one machine.
//!
//! Each tenant is the first segment of its URLs, has its own accounts and its own signing keys. Service principals sign in
//! with a secret or a certificate, users with a password or by device code. Accounts come from a file, keys live in a
//! folder and survive restarts, refresh tokens carry their own content.
//!
//! It must never listen beyond loopback, never be trusted by a gateway that others reach, and never know the gateway: it
//! uses `ids`, `clock`, `files`, `form` and `https` of this crate and nothing else.

mod accounts;
mod accounts_check;
mod accounts_file;
mod answers;
mod assertion;
mod certificate;
mod claims;
mod devices;
mod discovery;
mod keys;
mod page;
mod refresh;
mod refusal;
mod routes;
mod scope;
mod secret;
mod tokens;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use self::accounts::{Account, Accounts, ServicePrincipal, SignIn, User, Version};
pub use self::accounts_check::{ACCOUNTS_MAX, AccountProblem, AccountsError, TOKEN_LIFETIME_S_MAX};
pub use self::accounts_file::{AccountFile, AccountsFile, AccountsFileError, Kind, Tenant};
pub use self::certificate::{ClientCertificate, ClientCertificateError};
use self::claims::{Claims, Client, ClientProof, Lifetime};
use self::devices::Devices;
use self::keys::Keys;
pub use self::keys::{KEYS_MAX, KeyError, MalformedKey};
use self::refresh::Sealer;
pub use self::secret::Secret;
use crate::clock::Clock;
use crate::https::{self, Drained, Limits, Stop};
use crate::ids::{ClientId, TenantId};

/// The client that minted user tokens name: Azure CLI's public one.
const AZURE_CLI: ClientId =
    ClientId::from_bytes([0x04, 0xb0, 0x77, 0x95, 0x8d, 0xdb, 0x46, 0x1a, 0xbb, 0xee, 0x02, 0xf9, 0xe1, 0xbf, 0x7b, 0x46]);

/// A demo needs few connections, and nobody waits half a minute for it to end.
const CONNECTIONS_MAX: usize = 1024;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// What an issuer is made of.
#[derive(Debug)]
pub struct Config {
    /// The issuer's own URL without a final slash, such as `https://localhost:8445`. Clients know a tenant's issuer by it.
    pub base_url: String,
    /// Who can sign in.
    pub accounts: Accounts,
    /// Where keys are kept; made when missing.
    pub keys_folder: PathBuf,
    /// Tells the time of tokens.
    pub clock: Clock,
}

/// A listener that only this machine reaches.
#[derive(Debug)]
pub struct LoopbackListener(TcpListener);

/// A listener that the issuer must not serve on.
#[derive(Debug, thiserror::Error)]
pub enum NotLoopback {
    /// Others could reach it, and it signs whatever its accounts file says.
    #[error("the demo issuer listens on loopback only, not on `{address}`; use 127.0.0.1 or [::1]")]
    Reachable {
        /// The address.
        address: SocketAddr,
    },
    /// The listener's address cannot be told.
    #[error("the listener has no address")]
    Unknown(#[from] io::Error),
}

impl TryFrom<TcpListener> for LoopbackListener {
    type Error = NotLoopback;

    fn try_from(listener: TcpListener) -> Result<Self, NotLoopback> {
        let address = listener.local_addr()?;
        if address.ip().is_loopback() { Ok(Self(listener)) } else { Err(NotLoopback::Reachable { address }) }
    }
}

/// A token to be made without a sign-in, for tests and commands.
#[derive(Debug, Clone)]
pub struct Mint {
    /// The `aud` of the token.
    pub audience: String,
    /// How long it lasts; the account's own lifetime when absent.
    pub lifetime: Option<Duration>,
    /// How long ago it was made; more than its lifetime makes an expired token.
    pub age: Duration,
}

/// A token that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The signing key cannot be had.
    #[error("cannot sign the token")]
    Key(#[from] KeyError),
    /// No such account.
    #[error("the issuer has no account `{key}`")]
    UnknownAccount {
        /// The key asked for.
        key: String,
    },
}

/// The demo token issuer. Clones are the same issuer.
#[derive(Clone)]
pub struct Issuer(Arc<Inner>);

struct Inner {
    base_url: String,
    accounts: Accounts,
    clock: Clock,
    keys: Keys,
    sealer: Sealer,
    devices: Devices,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("base_url", &self.0.base_url).finish_non_exhaustive()
    }
}

impl Issuer {
    /// An issuer with these accounts and the keys of that folder.
    ///
    /// # Errors
    /// When the keys folder cannot be used.
    pub fn new(config: Config) -> Result<Self, KeyError> {
        let Config { base_url, accounts, keys_folder, clock } = config;
        keys::make_folder(&keys_folder)?;
        let sealer = Sealer::open_or_make(&keys_folder.join("refresh.key"))?;
        let keys = Keys::new(keys_folder, accounts.tenants().map(|tenant| tenant.id));
        let base_url = base_url.trim_end_matches('/').to_owned();
        Ok(Self(Arc::new(Inner { base_url, accounts, clock, keys, sealer, devices: Devices::default() })))
    }

    /// Makes the keys that are still missing, so that no request has to wait for one.
    ///
    /// # Errors
    /// When a key cannot be read or made.
    pub async fn make_keys(&self) -> Result<(), KeyError> {
        let mut making = JoinSet::new();
        for tenant in self.accounts().tenants() {
            let (inner, tenant) = (Arc::clone(&self.0), tenant.id);
            making.spawn(async move { inner.keys.of(tenant).await.map(drop) });
        }
        while let Some(made) = making.join_next().await {
            made??;
        }
        Ok(())
    }

    /// Serves until `stop` turns true and the requests in flight have their answers.
    pub async fn serve(&self, listener: LoopbackListener, tls: Arc<ServerConfig>, stop: Stop) -> Drained {
        let inner = Arc::clone(&self.0);
        let limits = Limits { connections_max: CONNECTIONS_MAX, drain_time_max: DRAIN_TIME_MAX, ..Limits::default() };
        let handler = move |request, _connection| {
            let inner = Arc::clone(&inner);
            async move { inner.respond(request).await }
        };
        https::serve(listener.0, Some(tls), limits, stop, handler).await
    }

    /// Who can sign in.
    #[must_use]
    pub fn accounts(&self) -> &Accounts {
        &self.0.accounts
    }

    /// The `iss` of a tenant's tokens.
    #[must_use]
    pub fn issuer_of(&self, tenant: TenantId, version: Version) -> String {
        claims::issuer(&self.0.base_url, tenant, version)
    }

    /// Makes a new key for a tenant, which signs from now on. The old ones stay published.
    ///
    /// # Errors
    /// When [`KEYS_MAX`] keys are published already, or the key cannot be made.
    pub async fn rotate(&self, tenant: TenantId) -> Result<(), KeyError> {
        self.0.keys.rotate(tenant).await
    }

    /// Publishes only a tenant's newest key from now on and forgets the others.
    ///
    /// # Errors
    /// When a key's file cannot be removed.
    pub async fn retire(&self, tenant: TenantId) -> Result<(), KeyError> {
        self.0.keys.retire(tenant).await
    }

    /// An access token for the account with this key in the accounts file.
    ///
    /// # Errors
    /// When there is no such account, or its tenant's key cannot be had.
    pub async fn mint(&self, key: &str, mint: &Mint) -> Result<String, MintError> {
        let account = self.0.accounts.by_key(key).ok_or_else(|| MintError::UnknownAccount { key: key.to_owned() })?;
        let client = match &account.sign_in {
            SignIn::ServicePrincipal(principal) if principal.secret.is_some() => {
                Client { id: principal.client, proof: ClientProof::Secret }
            }
            SignIn::ServicePrincipal(principal) => Client { id: principal.client, proof: ClientProof::Certificate },
            SignIn::User(_) => Client { id: AZURE_CLI, proof: ClientProof::None },
        };
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        let issued_at = self.0.clock.now().as_second().saturating_sub(seconds(mint.age));
        let expires_at = issued_at.saturating_add(seconds(mint.lifetime.unwrap_or(account.token_lifetime)));
        let claims = Claims { base_url: &self.0.base_url, account, client, lifetime: Lifetime { issued_at, expires_at } };
        let keys = self.0.keys.of(account.principal.tenant).await?;
        Ok(keys.newest().sign(&claims.access(&mint.audience, &[]))?)
    }
}
