//! Which tenant an issuer speaks for.

use super::claims::{CONSUMER_TENANT, Claims};
use super::error::{Quoted, TokenError};
use crate::directory::{Directory, IssuerOf, Tenant, TokenIssuer};

/// The home tenant that a token claims, and the issuer bound to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Home<'d> {
    /// The tenant.
    pub(super) tenant: &'d Tenant,
    /// The issuer that the token names.
    pub(super) issuer: &'d TokenIssuer,
    /// The policy set that was in force.
    pub(super) revision: u64,
}

/// The tenant and issuer that a token says it comes from.
///
/// # Errors
/// When the claims are absent, the issuer is nobody's, or speaks for another tenant than the token names.
pub(super) fn home<'d>(claims: &Claims, directory: &'d Directory) -> Result<Home<'d>, TokenError> {
    let claimed = claims.tenant()?;
    let name = claims.issuer()?;
    if claimed == CONSUMER_TENANT {
        return Err(TokenError::ConsumerTenant);
    }
    let unknown = || TokenError::UnknownIssuer { issuer: Quoted::new(name), tenant: claimed };
    let tenant = match (directory.issuer_of(name), directory.tenant(claimed)) {
        (IssuerOf::Tenant(bound), _) if bound != claimed => return Err(TokenError::TenantMismatch { claimed }),
        (IssuerOf::Contested, _) => return Err(unknown()),
        (IssuerOf::Nobody | IssuerOf::Tenant(_), None) => return Err(TokenError::TenantUnknown { tenant: claimed }),
        (IssuerOf::Nobody, Some(_)) => return Err(unknown()),
        (IssuerOf::Tenant(_), Some(tenant)) => tenant,
    };
    let issuer = tenant.issuer_named(name).ok_or_else(unknown)?;
    Ok(Home { tenant, issuer, revision: directory.revision })
}
