//! Who an issuer of tokens speaks for. A name that two tenants claim speaks for neither.

use std::sync::Arc;

use super::account::TRUSTED_ISSUERS_MAX;
use super::entity::{Account, TrustedIssuer};
use super::{Declared, DeclaredIssuers, Directory, KeySource, SignatureAlgorithm, Tenant, TokenIssuer};
use crate::delegation::SourceLocation;
use crate::ids::TenantId;
use crate::json;

/// Seconds that the clock of an account's issuer may differ from ours: what issuers of policy files have by default.
const LEEWAY_S: u8 = 30;
/// What an account's key may be for when it says nothing else. The first that fits a key is its algorithm.
const ALGORITHMS: [SignatureAlgorithm; 4] =
    [SignatureAlgorithm::Rs256, SignatureAlgorithm::Ps256, SignatureAlgorithm::Es256, SignatureAlgorithm::EdDsa];

/// Who a value of `iss` speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssuerOf {
    /// More than one tenant says that it is its own: nobody.
    Contested,
    /// Nobody.
    Nobody,
    /// This tenant.
    Tenant(TenantId),
}

impl Directory {
    /// Who an issuer speaks for.
    #[must_use]
    pub fn issuer_of(&self, name: &str) -> IssuerOf {
        let claimed = if self.account_issuers.is_empty() { None } else { self.account_issuers.get(name) };
        match (self.declared_issuers.get(name), claimed.map_or(&[][..], Vec::as_slice)) {
            (None, []) => IssuerOf::Nobody,
            // Whoever signed up with a name before it was declared must not keep the declared tenant's people out.
            (Some(Some(tenant)), _) | (None, [tenant]) => IssuerOf::Tenant(*tenant),
            (Some(None), _) | (None, _) => IssuerOf::Contested,
        }
    }

    /// Whether an account could have an issuer of this name: no other tenant has it, and none that is signing up.
    #[must_use]
    pub fn issuer_name_is_free(&self, name: &str, tenant: TenantId) -> bool {
        let is_anothers = |account: &Account| account.id != tenant && account.issuers.iter().any(|issuer| *issuer.name == *name);
        let free = match self.issuer_of(name) {
            IssuerOf::Contested => false,
            IssuerOf::Nobody => true,
            IssuerOf::Tenant(owner) => owner == tenant,
        };
        free && !self.sign_ups().filter_map(|sign_up| sign_up.account.as_ref()).any(is_anothers)
    }

    /// Whether a URL leads to where tokens of a declared tenant come from, or to one of Azure's authorities. Whoever brings an issuer of
    /// its own has its own host.
    #[must_use]
    pub fn is_host_of_declared_issuers(&self, url: &str) -> bool {
        let Some(host) = host_of(url) else { return false };
        let is_same = |name: &String| host_of(name).is_some_and(|known| known.eq_ignore_ascii_case(host));
        let is_authority = AUTHORITIES.iter().any(|known| known.eq_ignore_ascii_case(host));
        is_authority || self.declared_tenants().any(|tenant| tenant.issuers.iter().flat_map(|issuer| &issuer.names).any(is_same))
    }

    /// Makes the tenant of one account anew.
    pub(super) fn renew_account(&mut self, id: TenantId) {
        for name in self.accounts.get(&id).map(|tenant| names(tenant)).unwrap_or_default() {
            self.disclaim(&name, id);
        }
        let declared = self.declared.tenants.contains_key(&id);
        let account = self.registry.account(id).filter(|_| !declared);
        let Some(tenant) = account.map(|account| tenant_of(&account.body)) else {
            self.accounts.remove_mut(&id);
            return;
        };
        for name in names(&tenant) {
            self.claim(name, id);
        }
        self.accounts.insert_mut(id, Arc::new(tenant));
    }

    fn claim(&mut self, name: Box<str>, tenant: TenantId) {
        let mut claimants = self.account_issuers.get(&name).cloned().unwrap_or_default();
        claimants.push(tenant);
        self.account_issuers.insert_mut(name, claimants);
    }

    fn disclaim(&mut self, name: &str, tenant: TenantId) {
        let mut claimants = self.account_issuers.get(name).cloned().unwrap_or_default();
        claimants.retain(|claimant| *claimant != tenant);
        match claimants.is_empty() {
            true => drop(self.account_issuers.remove_mut(name)),
            false => self.account_issuers.insert_mut(name.into(), claimants),
        }
    }
}

/// By name, the tenants of policy files.
pub(super) fn declared(declared: &Declared) -> DeclaredIssuers {
    let mut issuers = DeclaredIssuers::default();
    for tenant in declared.tenants.values() {
        for name in names(tenant) {
            let bound = issuers.entry(name).or_insert(Some(tenant.id));
            *bound = bound.filter(|bound| *bound == tenant.id);
        }
    }
    issuers
}

/// Every value of `iss` of a tenant once.
fn names(tenant: &Tenant) -> Vec<Box<str>> {
    let mut names: Vec<Box<str>> = tenant.issuers.iter().flat_map(|issuer| &issuer.names).map(|name| name.as_str().into()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// An account as a tenant.
fn tenant_of(account: &Account) -> Tenant {
    let text = account.id.to_string();
    Tenant {
        id: account.id,
        key: text.as_str().into(),
        name: Arc::clone(&account.name),
        domains: Vec::new(),
        issuers: account.issuers.iter().take(TRUSTED_ISSUERS_MAX).map(TrustedIssuer::as_token_issuer).collect(),
        suspended: false,
        defined_at: SourceLocation { file: format!("account/{text}").into(), line: 0, column: 0 },
    }
}

impl TrustedIssuer {
    /// What the issuer is to whoever verifies tokens.
    #[must_use]
    pub fn as_token_issuer(&self) -> TokenIssuer {
        TokenIssuer {
            names: vec![self.name.to_string()],
            authority: None,
            keys: KeySource::Inline(json::text(&self.keys).into()),
            algorithms: self.algorithms.clone().unwrap_or_else(|| ALGORITHMS.to_vec()),
            leeway_s: LEEWAY_S,
        }
    }
}

/// Hosts that issue the tokens of Entra ID. Source: Entra ID, national clouds, authority URLs.
const AUTHORITIES: [&str; 7] = [
    "login.chinacloudapi.cn",
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
    "login.windows.net",
    "sts.chinacloudapi.cn",
    "sts.windows.net",
];

/// The authority of a URL, with its port.
fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split(['/', '?', '#']).next()
}
