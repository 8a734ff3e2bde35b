//! How much a role uses, with the roles under it, and whether it may use more.

use crate::ids::{UserRoleId, VmId};
use crate::vmm::{Problem, Quota, Size, UserRole, VmStatus};

use super::refused::problem;
use super::world::{Machine, World};

/// What is used or needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Load {
    pub(super) machines: u64,
    pub(super) cores: u64,
    pub(super) memory_mb: u64,
    pub(super) storage_gb: u64,
}

impl Load {
    /// One machine.
    pub(super) fn of(size: Size) -> Self {
        Self { machines: 1, cores: size.cores.into(), memory_mb: size.memory_mb.into(), storage_gb: size.storage_gb.into() }
    }

    /// A machine of a role, with what a job was granted for it.
    fn of_machine(machine: &Machine) -> Self {
        let (size, reserved) = (machine.vm.size, machine.reserved.unwrap_or(machine.vm.size));
        Self::of(Size {
            cores: size.cores.max(reserved.cores),
            memory_mb: size.memory_mb.max(reserved.memory_mb),
            storage_gb: size.storage_gb.max(reserved.storage_gb),
        })
    }

    const fn and(self, other: Self) -> Self {
        Self {
            machines: self.machines + other.machines,
            cores: self.cores + other.cores,
            memory_mb: self.memory_mb + other.memory_mb,
            storage_gb: self.storage_gb + other.storage_gb,
        }
    }

    const fn amounts(self) -> [u64; 4] {
        [self.machines, self.cores, self.memory_mb, self.storage_gb]
    }
}

/// The limits by name, in the order of [`Load`].
pub(super) fn limits(quota: &Quota) -> [(&'static str, Option<u64>); 4] {
    [
        ("virtual_machines", quota.virtual_machines.map(u64::from)),
        ("cores", quota.cores.map(u64::from)),
        ("memory_mb", quota.memory_mb),
        ("storage_gb", quota.storage_gb),
    ]
}

/// Why a role cannot have `needed` besides what it has, if it cannot. The machine `without` does not count: it is the one that it is needed for.
pub(super) fn obstacle(world: &World, role: UserRoleId, needed: Load, without: VmId) -> Option<Problem> {
    let mut next = world.role(role);
    while let Some(role) = next {
        let used = used(world, role.id, without);
        let points = limits(&role.quota).into_iter().zip(used.amounts().into_iter().zip(needed.amounts()));
        let exceeded =
            points.into_iter().find(|((_, limit), (used, needed))| limit.is_some_and(|limit| used + needed > limit && *needed > 0));
        if let Some(((name, limit), (used, needed))) = exceeded {
            return Some(exceeds(role, name, limit.unwrap_or_default(), used, needed));
        }
        next = role.parent.and_then(|parent| world.role(parent));
    }
    None
}

fn exceeds(role: &UserRole, name: &str, limit: u64, used: u64, needed: u64) -> Problem {
    let message =
        format!("the quota `{name}` of the user role `{}` ({}) is {limit}; used: {used}, needed besides: {needed}", role.name, role.id);
    problem("QuotaExceeded", message, "Remove machines, ask for less, or have the quota raised.")
}

/// What a role uses: its machines, those that are being made for it, and all of the roles under it.
fn used(world: &World, role: UserRoleId, without: VmId) -> Load {
    let mut sum = Load::default();
    let mut open = vec![role];
    while let Some(role) = open.pop() {
        let making = world.asked_by(role).filter(|machine| machine.vm.status == VmStatus::UnderCreation && machine.reserved.is_some());
        let counted = world.owned_by(role).chain(making).filter(|machine| machine.vm.id != without);
        sum = counted.fold(sum, |sum, machine| sum.and(Load::of_machine(machine)));
        open.extend(world.children(role).map(|child| child.id));
    }
    sum
}
