//! What each tenant, or each address, has of something that all share: nobody may take all that there is, and a few together neither.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use crate::identity::Owner;
use crate::ids::TenantId;

/// Who has something.
pub(crate) trait Holder: Copy {
    /// What it is known by.
    type Key: Copy + Eq + Hash + std::fmt::Debug;

    fn key(self) -> Self::Key;

    /// Whether anybody may have as many of these as there is room for: all of them together have half.
    fn is_visitor(self) -> bool;
}

impl Holder for Owner {
    type Key = TenantId;

    fn key(self) -> TenantId {
        self.tenant
    }

    fn is_visitor(self) -> bool {
        self.standing.is_visitor()
    }
}

impl Holder for IpAddr {
    type Key = Self;

    fn key(self) -> Self {
        self
    }

    fn is_visitor(self) -> bool {
        false
    }
}

/// How much is taken, and by whom. There is a number for each holder that has something, and no other.
#[derive(Debug)]
pub(crate) struct Taken<O: Holder = Owner> {
    by_holder: HashMap<O::Key, usize, foldhash::fast::RandomState>,
    by_visitors: usize,
    by_all: usize,
}

impl<O: Holder> Default for Taken<O> {
    fn default() -> Self {
        Self { by_holder: HashMap::default(), by_visitors: 0, by_all: 0 }
    }
}

/// The most that one may have where others have so much of what there is: as much as stays free beside it, and the odd one. Alone that is half, beside
/// one that has its half a quarter. Each further one that takes all that it may leaves half of what it found, so it needs many to leave nothing.
pub(crate) const fn of_one_max(of_all_max: usize, others: usize) -> usize {
    of_all_max.saturating_sub(others).div_ceil(2)
}

impl<O: Holder> Taken<O> {
    /// What this one has.
    pub(crate) fn of(&self, holder: O) -> usize {
        self.by_holder.get(&holder.key()).copied().unwrap_or(0)
    }

    /// The most that this one may have now, with what it has.
    pub(crate) fn most(&self, holder: O, of_all_max: usize) -> usize {
        let own = self.of(holder);
        let most = of_one_max(of_all_max, self.by_all.saturating_sub(own));
        let visitors = own.saturating_add((of_all_max / 2).saturating_sub(self.by_visitors));
        if holder.is_visitor() { most.min(visitors) } else { most }
    }

    /// Counts so much more.
    pub(crate) fn add(&mut self, holder: O, amount: usize) {
        *self.by_holder.entry(holder.key()).or_insert(0) += amount;
        self.by_visitors += if holder.is_visitor() { amount } else { 0 };
        self.by_all += amount;
    }

    /// Counts so much less.
    pub(crate) fn remove(&mut self, holder: O, amount: usize) {
        self.by_all = self.by_all.saturating_sub(amount);
        self.by_visitors = self.by_visitors.saturating_sub(if holder.is_visitor() { amount } else { 0 });
        if let Entry::Occupied(mut own) = self.by_holder.entry(holder.key()) {
            match own.get().saturating_sub(amount) {
                0 => drop(own.remove()),
                rest => drop(own.insert(rest)),
            }
        }
    }

    /// Whether nobody has anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_holder.is_empty()
    }
}

/// So much for all together.
#[derive(Debug)]
pub(crate) struct Shares<O: Holder = Owner> {
    of_all_max: usize,
    taken: Arc<Lock<O>>,
}

#[expect(clippy::disallowed_types, reason = "held for a sum, never across an await")]
type Lock<O> = std::sync::Mutex<Taken<O>>;

/// What counts as long as this is there.
#[derive(Debug)]
pub(crate) struct Share<O: Holder = Owner> {
    holder: O,
    amount: usize,
    of_all_max: usize,
    taken: Arc<Lock<O>>,
}

/// There is not so much left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoneLeft {
    /// All together have what there is, and this one nothing else.
    OfAll,
    /// It has as much as it may beside the others.
    OfOne {
        /// How much that is.
        max: usize,
    },
}

impl<O: Holder> Shares<O> {
    /// Of so much for all together.
    pub(crate) fn of(of_all_max: usize) -> Self {
        Self { of_all_max, taken: Arc::default() }
    }

    /// Counts one more for this one.
    ///
    /// # Errors
    /// When there is none left.
    pub(crate) fn take(&self, holder: O) -> Result<Share<O>, NoneLeft> {
        let mut share = self.nothing(holder);
        share.grow(1)?;
        Ok(share)
    }

    /// A share that has to grow.
    pub(crate) fn nothing(&self, holder: O) -> Share<O> {
        Share { holder, amount: 0, of_all_max: self.of_all_max, taken: Arc::clone(&self.taken) }
    }
}

impl<O: Holder> Share<O> {
    /// Counts so much more.
    ///
    /// # Errors
    /// When there is not so much left; nothing more is counted then.
    pub(crate) fn grow(&mut self, by: usize) -> Result<(), NoneLeft> {
        let mut taken = self.taken.lock().map_err(|_poisoned| NoneLeft::OfAll)?;
        let (own, max) = (taken.of(self.holder), taken.most(self.holder, self.of_all_max));
        if own.saturating_add(by) > max {
            return Err(if own == self.amount { NoneLeft::OfAll } else { NoneLeft::OfOne { max } });
        }
        taken.add(self.holder, by);
        self.amount += by;
        Ok(())
    }
}

impl<O: Holder> Drop for Share<O> {
    fn drop(&mut self) {
        if self.amount > 0
            && let Ok(mut taken) = self.taken.lock()
        {
            taken.remove(self.holder, self.amount);
        }
    }
}

/// Tenants for tests.
#[cfg(test)]
pub(crate) const fn configured(number: u8) -> Owner {
    Owner { tenant: TenantId::from_bytes([number; 16]), standing: crate::identity::Standing::Configured }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Standing;

    #[test]
    fn a_tenant_has_half_and_others_have_theirs() {
        let (shares, one, other) = (Shares::of(4), configured(1), configured(2));
        let held = (shares.take(one), shares.take(one));
        assert_eq!(shares.take(one).err(), Some(NoneLeft::OfOne { max: 2 }));
        assert!(shares.take(other).is_ok());
        drop(held.0);
        let again = shares.take(one);
        assert!(again.is_ok() && shares.take(one).is_err());
        drop((held.1, again));
        assert!(shares.taken.lock().unwrap().is_empty());
    }

    #[test]
    fn each_further_tenant_leaves_half_of_what_it_finds() {
        let shares = Shares::of(64);
        let all = |number: u8| std::iter::from_fn(|| shares.take(configured(number)).ok()).collect::<Vec<_>>();
        let held: Vec<Vec<Share>> = (1..=9).map(all).collect();
        assert_eq!(held.iter().map(Vec::len).collect::<Vec<_>>(), [32, 16, 8, 4, 2, 1, 1, 0, 0]);
        // Beside the others the first one would get no more than half of what they leave.
        assert_eq!(shares.take(configured(1)).err(), Some(NoneLeft::OfOne { max: 16 }));
        assert_eq!(shares.take(configured(9)).err(), Some(NoneLeft::OfAll));
    }

    #[test]
    fn visitors_have_half_together_however_many_they_are() {
        let shares = Shares::of(64);
        let visitor = |number: u8| Owner { standing: Standing::Visitor, ..configured(number) };
        let all = |owner: Owner| std::iter::from_fn(|| shares.take(owner).ok()).collect::<Vec<_>>();
        let first: Vec<Share> = (0..10).map(|_| shares.take(visitor(1)).unwrap()).collect();
        let others: Vec<_> = (2..=5).map(|number| all(visitor(number)).len()).collect();
        // What is counted here is given back at once.
        assert_eq!(others, [22, 22, 22, 22]);
        let second = all(visitor(2));
        assert_eq!(shares.take(visitor(3)).err(), Some(NoneLeft::OfAll));
        assert_eq!(shares.take(visitor(1)).err(), Some(NoneLeft::OfOne { max: 10 }));
        assert_eq!(all(configured(9)).len(), 16);
        drop(first);
        assert_eq!((second.len(), all(visitor(3)).len()), (22, 10));
    }

    #[test]
    fn a_share_grows_as_far_as_its_tenant_and_all_may_and_is_given_back_as_a_whole() {
        let shares = Shares::of(20);
        let mut held = [1, 1, 2].map(|number| shares.nothing(configured(number)));
        let mut grow = |at: usize, by: usize| held[at].grow(by);
        assert_eq!(grow(0, 6), Ok(()));
        assert_eq!(grow(1, 5), Err(NoneLeft::OfOne { max: 10 }));
        assert_eq!(grow(1, 4), Ok(()));
        assert_eq!(grow(2, 6), Err(NoneLeft::OfAll));
        assert_eq!(grow(2, 5), Ok(()));
        assert_eq!(grow(2, usize::MAX), Err(NoneLeft::OfAll));
        assert_eq!(shares.nothing(configured(2)).grow(1), Err(NoneLeft::OfOne { max: 5 }));
        let [first, second, third] = held;
        drop(first);
        assert_eq!(shares.nothing(configured(1)).grow(5), Err(NoneLeft::OfOne { max: 8 }));
        assert_eq!(shares.nothing(configured(1)).grow(4), Ok(()));
        drop((second, third));
        let taken = shares.taken.lock().unwrap();
        assert!(taken.by_all == 0 && taken.is_empty());
    }
}
