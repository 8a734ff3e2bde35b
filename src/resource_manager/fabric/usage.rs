//! What was used by whom: jobs that ended, and seconds that machines ran.
//!
//! Time is counted in whole seconds of the clock: a machine that ran from `a` to `b` ran `floor(b) - floor(a)` seconds, and the parts of it that lie
//! in different hours add up to exactly that. Records are worked out from what is stored whenever somebody asks. Those of hours that are over are final;
//! those of the present hour end now (`until`), keep their number and grow.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{UserRoleId, VmId};
use crate::vmm::{Page, Size, UsageRecord, UsedResource};

use super::world::{Change, Draft, Machine, World};

/// How long records can be read. Enough for the bill of a quarter.
pub(super) const KEPT_S: i64 = 92 * 24 * HOUR_S;
/// Forgotten at once, so that no write takes long.
const FORGOTTEN_AT_ONCE_MAX: usize = 1_000;
const HOUR_S: i64 = 3_600;
/// A number is an hour since 1970, a resource and a serial number: 20, 2 and 31 bits, which a double holds exactly.
const SERIAL_BITS: u32 = 31;
const RESOURCE_BITS: u32 = 2;

/// Something that was used and is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Use {
    /// A job ended.
    Job { serial: u64, role: UserRoleId, vm: VmId, vm_name: Box<str>, at: Timestamp },
    /// A machine ran.
    Ran { serial: u64, tenure: u64, role: UserRoleId, vm: VmId, vm_name: Box<str>, size: Size, from: Timestamp, until: Timestamp },
}

impl Use {
    /// What a machine has used until `at` since its meter began to run.
    pub(super) fn ran(machine: &Machine, at: Timestamp, serial: u64) -> Option<Self> {
        let (role, from) = (machine.vm.user_role?, machine.metered_since?);
        let (vm, vm_name, size) = (machine.vm.id, machine.vm.name.clone(), machine.vm.size);
        Some(Self::Ran { serial, tenure: machine.tenure, role, vm, vm_name, size, from, until: at.max(from) })
    }

    pub(super) const fn serial(&self) -> u64 {
        match self {
            Self::Job { serial, .. } | Self::Ran { serial, .. } => *serial,
        }
    }

    pub(super) const fn role(&self) -> UserRoleId {
        match self {
            Self::Job { role, .. } | Self::Ran { role, .. } => *role,
        }
    }

    pub(super) fn last_second(&self) -> i64 {
        match self {
            Self::Job { at, .. } => at.as_second(),
            Self::Ran { until, .. } => until.as_second(),
        }
    }

    /// First second, and the first one after it.
    fn seconds(&self) -> (i64, i64) {
        match self {
            Self::Job { at, .. } => (at.as_second(), at.as_second() + 1),
            Self::Ran { from, until, .. } => (from.as_second(), until.as_second()),
        }
    }

    fn vm(&self) -> (VmId, &str) {
        match self {
            Self::Job { vm, vm_name, .. } | Self::Ran { vm, vm_name, .. } => (*vm, vm_name),
        }
    }

    /// What of it lies in an hour, and the serial number under which it is told.
    fn within(&self, hour: i64) -> (u64, Vec<(UsedResource, u64)>) {
        let (from, until) = self.seconds();
        let seconds = until.min((hour + 1) * HOUR_S).saturating_sub(from.max(hour * HOUR_S));
        let seconds = u64::try_from(seconds).unwrap_or_default();
        match self {
            Self::Job { serial, .. } => (*serial, vec![(UsedResource::Jobs, seconds)]),
            Self::Ran { tenure, size, .. } => (
                *tenure,
                vec![
                    (UsedResource::CoreSeconds, seconds * u64::from(size.cores)),
                    (UsedResource::MemoryMbSeconds, seconds * u64::from(size.memory_mb)),
                    (UsedResource::RunningSeconds, seconds),
                ],
            ),
        }
    }

    /// The first hour from `hour` on in which it lies.
    fn first_hour(&self, hour: i64) -> Option<i64> {
        let (from, until) = self.seconds();
        let first = hour.max(from.div_euclid(HOUR_S));
        (from < until && first * HOUR_S < until).then_some(first)
    }
}

/// Which records to tell.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) role: Option<UserRoleId>,
    /// Only hours that begin then or later.
    pub(super) from: Option<Timestamp>,
    /// Only hours that begin before.
    pub(super) until: Option<Timestamp>,
    /// Only larger numbers.
    pub(super) after: Option<u64>,
    pub(super) top: usize,
}

/// One page of records by number.
pub(super) fn page(world: &World, wanted: &Wanted, now: Timestamp) -> Page<UsageRecord> {
    let uses = uses(world, wanted.role, now);
    let from = wanted.from.map_or(0, |from| from.as_second().saturating_add(HOUR_S - 1).div_euclid(HOUR_S));
    let after = wanted.after.map_or(0, |after| i64::try_from(after >> (SERIAL_BITS + RESOURCE_BITS)).unwrap_or(i64::MAX / HOUR_S));
    let mut hour = from.max(after).max((now.as_second() - KEPT_S).div_euclid(HOUR_S));
    let mut records = Vec::new();
    while records.len() <= wanted.top {
        let Some(next) = uses.iter().filter_map(|it| it.first_hour(hour)).min() else { break };
        if wanted.until.is_some_and(|until| next.saturating_mul(HOUR_S) >= until.as_second()) {
            break;
        }
        records.extend(of_hour(&uses, next, now).into_values().filter(|it| wanted.after.is_none_or(|after| it.number > after)));
        hour = next + 1;
    }
    let has_more = records.len() > wanted.top;
    records.truncate(wanted.top);
    let next = records.last().filter(|_| has_more).map(|last| last.number.to_string().into());
    Page { value: records, next }
}

/// What is over, and what goes on as if it ended now.
fn uses(world: &World, role: Option<UserRoleId>, now: Timestamp) -> Vec<Use> {
    let running = |machine: &Machine| Use::ran(machine, now, 0);
    match role {
        Some(role) => {
            let over = world.uses_of_role(role).map(|it| it.as_ref().clone());
            over.chain(world.owned_by(role).filter_map(|machine| running(machine))).collect()
        }
        None => {
            let over = world.uses.values().map(|it| it.as_ref().clone());
            over.chain(world.machines.values().filter_map(|machine| running(machine))).collect()
        }
    }
}

fn of_hour(uses: &[Use], hour: i64, now: Timestamp) -> BTreeMap<u64, UsageRecord> {
    let mut records = BTreeMap::new();
    for it in uses.iter().filter(|it| it.first_hour(hour) == Some(hour)) {
        let (serial, amounts) = it.within(hour);
        for (resource, quantity) in amounts {
            let number = number(hour, resource, serial);
            let empty = || record(it, number, resource, hour, now);
            records.entry(number).or_insert_with(empty).quantity += quantity;
        }
    }
    records
}

fn record(it: &Use, number: u64, resource: UsedResource, hour: i64, now: Timestamp) -> UsageRecord {
    let (vm, vm_name) = it.vm();
    let until = at_second((hour + 1) * HOUR_S).min(now);
    UsageRecord { number, user_role: it.role(), vm, vm_name: vm_name.into(), resource, from: at_second(hour * HOUR_S), until, quantity: 0 }
}

fn number(hour: i64, resource: UsedResource, serial: u64) -> u64 {
    let resource: u64 = match resource {
        UsedResource::CoreSeconds => 0,
        UsedResource::Jobs => 1,
        UsedResource::MemoryMbSeconds => 2,
        UsedResource::RunningSeconds => 3,
    };
    let hour = u64::try_from(hour).unwrap_or_default();
    hour << (SERIAL_BITS + RESOURCE_BITS) | resource << SERIAL_BITS | serial & ((1 << SERIAL_BITS) - 1)
}

fn at_second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

/// Forgets what is too old.
pub(super) fn forget(draft: &mut Draft) {
    let oldest = draft.now.as_second() - KEPT_S;
    let old: Vec<u64> = draft.world().uses_before(oldest).take(FORGOTTEN_AT_ONCE_MAX).collect();
    old.into_iter().for_each(|serial| draft.apply(Change::UseForgotten(serial)));
}
