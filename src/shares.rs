//! What each tenant has of something that all share: nobody may take all that there is.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::ids::TenantId;

/// How much is taken, by tenant. There is a number for each tenant that has something, and no other.
#[derive(Debug)]
pub(crate) struct Shares {
    of_one_max: usize,
    of_all_max: usize,
    taken: Arc<Lock>,
}

#[expect(clippy::disallowed_types, reason = "held for a sum by one worker's tasks, never across an await")]
type Lock = std::sync::Mutex<Taken>;

#[derive(Debug, Default)]
struct Taken {
    by_tenant: HashMap<TenantId, usize, foldhash::fast::RandomState>,
    by_all: usize,
}

/// What counts as long as this is there.
#[derive(Debug)]
pub(crate) struct Share {
    tenant: TenantId,
    amount: usize,
    of_one_max: usize,
    of_all_max: usize,
    taken: Arc<Lock>,
}

/// There is not so much left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoneLeft {
    /// All tenants together have what there is.
    OfAll,
    /// The tenant has as much as it may.
    OfOne {
        /// How much that is.
        max: usize,
    },
}

impl Shares {
    /// Half of so many connections for each tenant. All of them together are not counted here.
    pub(crate) fn of(connections: usize) -> Self {
        Self::new(connections.div_ceil(2), usize::MAX)
    }

    /// So much for each tenant, and for all together.
    pub(crate) fn new(of_one_max: usize, of_all_max: usize) -> Self {
        Self { of_one_max, of_all_max, taken: Arc::default() }
    }

    /// Counts one more for this tenant.
    ///
    /// # Errors
    /// When there is none left.
    pub(crate) fn take(&self, tenant: TenantId) -> Result<Share, NoneLeft> {
        let mut share = self.nothing(tenant);
        share.grow(1)?;
        Ok(share)
    }

    /// A share that has to grow.
    pub(crate) fn nothing(&self, tenant: TenantId) -> Share {
        let Self { of_one_max, of_all_max, .. } = *self;
        Share { tenant, amount: 0, of_one_max, of_all_max, taken: Arc::clone(&self.taken) }
    }
}

impl Share {
    /// Counts so much more.
    ///
    /// # Errors
    /// When there is not so much left; nothing more is counted then.
    pub(crate) fn grow(&mut self, by: usize) -> Result<(), NoneLeft> {
        let mut taken = self.taken.lock().map_err(|_poisoned| NoneLeft::OfAll)?;
        let own = taken.by_tenant.get(&self.tenant).copied().unwrap_or(0).saturating_add(by);
        if own > self.of_one_max {
            return Err(NoneLeft::OfOne { max: self.of_one_max });
        }
        let all = taken.by_all.saturating_add(by);
        if all > self.of_all_max {
            return Err(NoneLeft::OfAll);
        }
        taken.by_all = all;
        taken.by_tenant.insert(self.tenant, own);
        self.amount += by;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        let Ok(mut taken) = self.taken.lock() else { return };
        taken.by_all = taken.by_all.saturating_sub(self.amount);
        if let Entry::Occupied(mut own) = taken.by_tenant.entry(self.tenant) {
            match own.get().saturating_sub(self.amount) {
                0 => drop(own.remove()),
                rest => drop(own.insert(rest)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn tenant(number: u8) -> TenantId {
        TenantId::from_bytes([number; 16])
    }

    #[test]
    fn a_tenant_has_half_and_others_have_theirs() {
        let (shares, one, other) = (Shares::of(4), tenant(1), tenant(2));
        let held = (shares.take(one), shares.take(one));
        assert_eq!(shares.take(one).err(), Some(NoneLeft::OfOne { max: 2 }));
        assert!(shares.take(other).is_ok());
        drop(held.0);
        let again = shares.take(one);
        assert!(again.is_ok() && shares.take(one).is_err());
        drop((held.1, again));
        assert!(shares.taken.lock().unwrap().by_tenant.is_empty());
    }

    #[test]
    fn a_share_grows_as_far_as_its_tenant_and_all_may_and_is_given_back_as_a_whole() {
        let shares = Shares::new(10, 15);
        let mut held = [1, 1, 2].map(|number| shares.nothing(tenant(number)));
        let mut grow = |at: usize, by: usize| held[at].grow(by);
        assert_eq!(grow(0, 6), Ok(()));
        assert_eq!(grow(1, 5), Err(NoneLeft::OfOne { max: 10 }));
        assert_eq!(grow(1, 4), Ok(()));
        assert_eq!(grow(2, 6), Err(NoneLeft::OfAll));
        assert_eq!(grow(2, 5), Ok(()));
        assert_eq!(grow(2, usize::MAX), Err(NoneLeft::OfOne { max: 10 }));
        let [first, second, third] = held;
        drop(first);
        assert_eq!(shares.nothing(tenant(1)).grow(7), Err(NoneLeft::OfOne { max: 10 }));
        assert_eq!(shares.nothing(tenant(1)).grow(6), Ok(()));
        drop((second, third));
        let taken = shares.taken.lock().unwrap();
        assert!(taken.by_all == 0 && taken.by_tenant.is_empty());
    }
}
