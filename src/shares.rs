//! What each tenant, or each address, has of something that all share: nobody may take all that there is, and a few together neither.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;

use crate::ids::TenantId;

/// How much is taken, by owner. There is a number for each owner that has something, and no other.
#[derive(Debug)]
pub(crate) struct Shares<O = TenantId> {
    of_all_max: usize,
    taken: Arc<Lock<O>>,
}

#[expect(clippy::disallowed_types, reason = "held for a sum, never across an await")]
type Lock<O> = std::sync::Mutex<Taken<O>>;

#[derive(Debug)]
struct Taken<O> {
    by_owner: HashMap<O, usize, foldhash::fast::RandomState>,
    by_all: usize,
}

impl<O> Default for Taken<O> {
    fn default() -> Self {
        Self { by_owner: HashMap::default(), by_all: 0 }
    }
}

/// What counts as long as this is there.
#[derive(Debug)]
pub(crate) struct Share<O: Copy + Eq + Hash = TenantId> {
    owner: O,
    amount: usize,
    of_all_max: usize,
    taken: Arc<Lock<O>>,
}

/// The most that one may have where others have so much of what there is: as much as stays free beside it, and the odd one. Alone that is half, beside
/// one that has its half a quarter. Each further one that takes all that it may leaves half of what it found, so it needs many to leave nothing.
pub(crate) const fn of_one_max(of_all_max: usize, others: usize) -> usize {
    of_all_max.saturating_sub(others).div_ceil(2)
}

/// There is not so much left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoneLeft {
    /// All owners together have what there is, and this one nothing else.
    OfAll,
    /// The owner has as much as it may beside the others.
    OfOne {
        /// How much that is.
        max: usize,
    },
}

impl<O: Copy + Eq + Hash> Shares<O> {
    /// Of so much for all together.
    pub(crate) fn of(of_all_max: usize) -> Self {
        Self { of_all_max, taken: Arc::default() }
    }

    /// Counts one more for this owner.
    ///
    /// # Errors
    /// When there is none left.
    pub(crate) fn take(&self, owner: O) -> Result<Share<O>, NoneLeft> {
        let mut share = self.nothing(owner);
        share.grow(1)?;
        Ok(share)
    }

    /// A share that has to grow.
    pub(crate) fn nothing(&self, owner: O) -> Share<O> {
        Share { owner, amount: 0, of_all_max: self.of_all_max, taken: Arc::clone(&self.taken) }
    }
}

impl<O: Copy + Eq + Hash> Share<O> {
    /// Counts so much more.
    ///
    /// # Errors
    /// When there is not so much left; nothing more is counted then.
    pub(crate) fn grow(&mut self, by: usize) -> Result<(), NoneLeft> {
        let mut taken = self.taken.lock().map_err(|_poisoned| NoneLeft::OfAll)?;
        let own = taken.by_owner.get(&self.owner).copied().unwrap_or(0);
        let max = of_one_max(self.of_all_max, taken.by_all.saturating_sub(own));
        if own.saturating_add(by) > max {
            return Err(if own == self.amount { NoneLeft::OfAll } else { NoneLeft::OfOne { max } });
        }
        taken.by_all += by;
        taken.by_owner.insert(self.owner, own + by);
        self.amount += by;
        Ok(())
    }
}

impl<O: Copy + Eq + Hash> Drop for Share<O> {
    fn drop(&mut self) {
        if self.amount == 0 {
            return;
        }
        let Ok(mut taken) = self.taken.lock() else { return };
        taken.by_all = taken.by_all.saturating_sub(self.amount);
        if let Entry::Occupied(mut own) = taken.by_owner.entry(self.owner) {
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
        assert!(shares.taken.lock().unwrap().by_owner.is_empty());
    }

    #[test]
    fn each_further_tenant_leaves_half_of_what_it_finds() {
        let shares = Shares::of(64);
        let all = |number: u8| std::iter::from_fn(|| shares.take(tenant(number)).ok()).collect::<Vec<_>>();
        let held: Vec<Vec<Share>> = (1..=9).map(all).collect();
        assert_eq!(held.iter().map(Vec::len).collect::<Vec<_>>(), [32, 16, 8, 4, 2, 1, 1, 0, 0]);
        // Beside the others the first one would get no more than half of what they leave.
        assert_eq!(shares.take(tenant(1)).err(), Some(NoneLeft::OfOne { max: 16 }));
        assert_eq!(shares.take(tenant(9)).err(), Some(NoneLeft::OfAll));
    }

    #[test]
    fn a_share_grows_as_far_as_its_tenant_and_all_may_and_is_given_back_as_a_whole() {
        let shares = Shares::of(20);
        let mut held = [1, 1, 2].map(|number| shares.nothing(tenant(number)));
        let mut grow = |at: usize, by: usize| held[at].grow(by);
        assert_eq!(grow(0, 6), Ok(()));
        assert_eq!(grow(1, 5), Err(NoneLeft::OfOne { max: 10 }));
        assert_eq!(grow(1, 4), Ok(()));
        assert_eq!(grow(2, 6), Err(NoneLeft::OfAll));
        assert_eq!(grow(2, 5), Ok(()));
        assert_eq!(grow(2, usize::MAX), Err(NoneLeft::OfAll));
        assert_eq!(shares.nothing(tenant(2)).grow(1), Err(NoneLeft::OfOne { max: 5 }));
        let [first, second, third] = held;
        drop(first);
        assert_eq!(shares.nothing(tenant(1)).grow(5), Err(NoneLeft::OfOne { max: 8 }));
        assert_eq!(shares.nothing(tenant(1)).grow(4), Ok(()));
        drop((second, third));
        let taken = shares.taken.lock().unwrap();
        assert!(taken.by_all == 0 && taken.by_owner.is_empty());
    }
}
