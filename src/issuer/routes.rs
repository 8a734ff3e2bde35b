//! Paths: the tenant is the first segment, because MSAL takes the first segment for the tenant whatever it is.

use super::accounts::{Accounts, Version};
use super::refusal::Refusal;
use crate::form;
use crate::ids::TenantId;

/// Where a client signs in: one tenant, or wherever the user is at home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority {
    segment: String,
    tenant: Option<TenantId>,
}

impl Authority {
    fn parse(segment: &str, accounts: &Accounts) -> Result<Self, Refusal> {
        let segment = segment.to_owned();
        match segment.as_str() {
            "common" | "organizations" => Ok(Self { segment, tenant: None }),
            name => match accounts.tenant(name) {
                Some(tenant) => Ok(Self { segment, tenant: Some(tenant) }),
                None => Err(Refusal::UnknownTenant { tenant: segment }),
            },
        }
    }

    /// As the client wrote it.
    pub(super) fn segment(&self) -> &str {
        &self.segment
    }

    pub(super) const fn tenant(&self) -> Option<TenantId> {
        self.tenant
    }
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Endpoint {
    DeviceCode,
    DevicePage,
    Discovery(Version),
    Keys,
    Token,
    UserRealm { username: String },
}

/// The parts of `/{tenant}/…`; empty segments count as none, because Terraform writes `//{tenant}`.
pub(super) fn route(path: &str, accounts: &Accounts) -> Result<(Authority, Endpoint), Refusal> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let (tenant, rest) = segments.split_first().ok_or(Refusal::NotFound)?;
    let endpoint = match rest {
        [".well-known", "openid-configuration"] => Endpoint::Discovery(Version::V1),
        ["v2.0", ".well-known", "openid-configuration"] => Endpoint::Discovery(Version::V2),
        ["discovery", "keys"] | ["discovery", "v2.0", "keys"] => Endpoint::Keys,
        ["oauth2", "token"] | ["oauth2", "v2.0", "token"] => Endpoint::Token,
        ["oauth2", "v2.0", "devicecode"] => Endpoint::DeviceCode,
        ["oauth2", "deviceauth"] => Endpoint::DevicePage,
        ["userrealm", username] => {
            let username = form::decoded(username.as_bytes()).ok_or(Refusal::NotFound)?;
            Endpoint::UserRealm { username }
        }
        _ => return Err(Refusal::NotFound),
    };
    Ok((Authority::parse(tenant, accounts)?, endpoint))
}

/// Where the token endpoints of this authority are: what a client assertion may be meant for.
pub(super) fn token_endpoints(base_url: &str, authority: &Authority) -> Vec<String> {
    let paths = ["oauth2/v2.0/token", "oauth2/token"];
    let mut segments = vec![authority.segment.clone()];
    segments.extend(authority.tenant.map(|tenant| tenant.to_string()));
    segments.iter().flat_map(|segment| paths.map(|path| format!("{base_url}/{segment}/{path}"))).collect()
}
