//! How many requests of each tenant are at the backend: nobody may take all the connections that there are.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::ids::TenantId;

/// Requests at the backend, by the tenant of their callers. There is a number for each tenant that has one there, and no other.
#[derive(Debug)]
pub(super) struct Shares {
    max: usize,
    taken: Arc<Taken>,
}

#[expect(clippy::disallowed_types, reason = "held for a sum by one worker's tasks, never across an await")]
type Taken = std::sync::Mutex<HashMap<TenantId, usize, foldhash::fast::RandomState>>;

/// A request that counts as long as this is there.
#[derive(Debug)]
pub(super) struct Share {
    tenant: TenantId,
    taken: Arc<Taken>,
}

/// A tenant has as many requests at the backend as it may.
#[derive(Debug)]
pub(super) struct NoneLeft {
    /// How many that is.
    pub(super) max: usize,
}

impl Shares {
    /// Half of so many connections for each tenant.
    pub(super) fn of(connections: usize) -> Self {
        Self { max: connections.div_ceil(2), taken: Arc::default() }
    }

    /// Counts one more request of this tenant.
    ///
    /// # Errors
    /// When it has as many as it may.
    pub(super) fn take(&self, tenant: TenantId) -> Result<Share, NoneLeft> {
        let mut taken = self.taken.lock().map_err(|_poisoned| NoneLeft { max: self.max })?;
        let count = taken.entry(tenant).or_insert(0);
        if *count >= self.max {
            return Err(NoneLeft { max: self.max });
        }
        *count += 1;
        Ok(Share { tenant, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Ok(mut taken) = self.taken.lock() else { return };
        if let Entry::Occupied(mut count) = taken.entry(self.tenant) {
            match count.get().saturating_sub(1) {
                0 => drop(count.remove()),
                rest => drop(count.insert(rest)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_half_and_others_have_theirs() {
        let (shares, one, other) = (Shares::of(4), TenantId::from_bytes([1; 16]), TenantId::from_bytes([2; 16]));
        let held = (shares.take(one), shares.take(one));
        assert!(shares.take(one).is_err());
        assert!(shares.take(other).is_ok());
        drop(held.0);
        let again = shares.take(one);
        assert!(again.is_ok() && shares.take(one).is_err());
        drop((held.1, again));
        assert!(shares.taken.lock().unwrap().is_empty());
    }
}
