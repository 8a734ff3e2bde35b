//! Which tenant an issuer speaks for.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::claims::{CONSUMER_TENANT, Claims};
use super::error::{Quoted, TokenError};
use crate::directory::{Directory, Tenant, TokenIssuer};
use crate::ids::TenantId;

/// The home tenant that a token claims, and the issuer bound to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Home<'d> {
    /// The tenant.
    pub(super) tenant: &'d Tenant,
    /// Its issuer.
    pub(super) issuer: &'d TokenIssuer,
    /// The snapshot that says so.
    pub(super) revision: u64,
}

/// The issuers of the newest snapshot seen, by name.
#[derive(Debug)]
pub(super) struct Issuers {
    newest: watch::Sender<Arc<Index>>,
}

impl Issuers {
    pub(super) fn new() -> Self {
        Self { newest: watch::Sender::new(Arc::new(Index { revision: None, tenants: HashMap::default() })) }
    }

    /// The tenant and issuer that a token says it comes from.
    ///
    /// # Errors
    /// When the claims are absent, the issuer is nobody's, or speaks for another tenant than the token names.
    pub(super) fn home<'d>(&self, claims: &Claims, directory: &'d Directory) -> Result<Home<'d>, TokenError> {
        let claimed = claims.tenant()?;
        let name = claims.issuer()?;
        if claimed == CONSUMER_TENANT {
            return Err(TokenError::ConsumerTenant);
        }
        match self.index(directory).tenants.get(name) {
            Some(Some(bound)) if *bound != claimed => return Err(TokenError::TenantMismatch { claimed }),
            None if directory.tenant(claimed).is_none() => return Err(TokenError::TenantUnknown { tenant: claimed }),
            Some(None) | None => return Err(TokenError::UnknownIssuer { issuer: Quoted::new(name), tenant: claimed }),
            Some(Some(_)) => {}
        }
        let tenant = directory.tenant(claimed).ok_or(TokenError::TenantUnknown { tenant: claimed })?;
        let issuer = tenant.issuer.as_ref().ok_or_else(|| TokenError::UnknownIssuer { issuer: Quoted::new(name), tenant: claimed })?;
        Ok(Home { tenant, issuer, revision: directory.revision })
    }

    fn index(&self, directory: &Directory) -> Arc<Index> {
        let newest = Arc::clone(&self.newest.borrow());
        if newest.revision == Some(directory.revision) {
            return newest;
        }
        let index = Arc::new(Index::new(directory));
        // Requests that still hold the snapshot before must not throw out the index of the one after.
        self.newest.send_if_modified(|newest| {
            let newer = newest.revision < index.revision;
            if newer {
                *newest = Arc::clone(&index);
            }
            newer
        });
        index
    }
}

#[derive(Debug)]
struct Index {
    revision: Option<u64>,
    /// `None` where two tenants claim the same issuer: it then speaks for neither.
    tenants: HashMap<Box<str>, Option<TenantId>, foldhash::fast::RandomState>,
}

impl Index {
    fn new(directory: &Directory) -> Self {
        let mut tenants = HashMap::default();
        for tenant in directory.tenants() {
            for name in tenant.issuer.iter().flat_map(|issuer| &issuer.names) {
                tenants
                    .entry(Box::from(name.as_str()))
                    .and_modify(|bound: &mut Option<TenantId>| *bound = bound.filter(|bound| *bound == tenant.id))
                    .or_insert(Some(tenant.id));
            }
        }
        Self { revision: Some(directory.revision), tenants }
    }
}
