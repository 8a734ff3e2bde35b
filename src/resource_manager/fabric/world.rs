//! Everything the fabric remembers, in memory, ready to be read.
//!
//! A world is cheap to copy: its maps share what is the same. It changes by [`Change`]s only. A [`Draft`] collects them on a copy; they are
//! stored first, and then the copy takes the place of the world.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{CloudId, HostId, JobId, NetworkId, StampId, TemplateId, UserRoleId, VmId};
use crate::vmm::{Cloud, Host, LogicalNetwork, Size, Stamp, Template, UserRole, Vm, VmStatus};

use super::jobs::Record;
use super::usage::Use;

pub(super) type Map<K, V> = rpds::RedBlackTreeMapSync<K, V>;
pub(super) type Set<K> = rpds::RedBlackTreeSetSync<K>;

/// A machine and what only the fabric knows of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Machine {
    pub(super) vm: Vm,
    /// Names the time that it belongs to one role; another one when it gets another role.
    pub(super) tenure: u64,
    /// Since when it runs for its role, at its present size.
    pub(super) metered_since: Option<Timestamp>,
    /// What a job was granted of the quota and has not used yet.
    pub(super) reserved: Option<Size>,
    /// The job that is under way.
    pub(super) job: Option<u64>,
}

impl Machine {
    /// A machine that was just thought of.
    pub(super) const fn new(vm: Vm) -> Self {
        Self { vm, tenure: 0, metered_since: None, reserved: None, job: None }
    }

    /// The role under which it is found by cloud and name.
    pub(super) fn holder(&self) -> Option<UserRoleId> {
        self.vm.user_role.or(self.vm.requested_by)
    }

    /// Whether it belongs to no role and none has asked for it.
    pub(super) fn is_of_nobody(&self) -> bool {
        self.holder().is_none()
    }

    /// Whether it is there in full, so that something can be done with it.
    pub(super) const fn is_ready(&self) -> bool {
        matches!(self.vm.status, VmStatus::Running | VmStatus::Stopped)
    }

    fn key(&self) -> Key {
        let name = self.vm.name.to_lowercase().into();
        match (self.holder(), self.vm.cloud) {
            (Some(role), Some(cloud)) => Key::OfRole(role, cloud, name),
            (Some(_), None) | (None, _) => Key::OfNobody(self.vm.stamp, name),
        }
    }
}

/// What only one machine can be found under. Names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    OfNobody(StampId, Box<str>),
    OfRole(UserRoleId, CloudId, Box<str>),
}

/// One step from a world to the next.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Cloud(Arc<Cloud>),
    Host(Arc<Host>),
    Job(Arc<Record>),
    JobForgotten(u64),
    Machine(Arc<Machine>),
    MachineGone(VmId),
    Network(Arc<LogicalNetwork>),
    Role(Arc<UserRole>),
    /// The role is gone, and its id will never be one again.
    RoleDeleted(UserRoleId),
    /// The next number for whatever is numbered.
    Serial(u64),
    Stamp(Arc<Stamp>),
    Template(Arc<Template>),
    Use(Arc<Use>),
    UseForgotten(u64),
}

/// All state.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) stamps: Map<StampId, Arc<Stamp>>,
    pub(super) clouds: Map<CloudId, Arc<Cloud>>,
    pub(super) networks: Map<NetworkId, Arc<LogicalNetwork>>,
    pub(super) templates: Map<TemplateId, Arc<Template>>,
    pub(super) hosts: Map<HostId, Arc<Host>>,
    pub(super) roles: Map<UserRoleId, Arc<UserRole>>,
    pub(super) deleted_roles: Set<UserRoleId>,
    children: Set<(UserRoleId, UserRoleId)>,
    memberships: Set<(Box<str>, UserRoleId)>,
    pub(super) machines: Map<VmId, Arc<Machine>>,
    keys: Map<Key, VmId>,
    owned: Set<(UserRoleId, VmId)>,
    asked: Set<(UserRoleId, VmId)>,
    of_nobody: Set<(StampId, VmId)>,
    named: Set<(Box<str>, VmId)>,
    pub(super) jobs: Map<u64, Arc<Record>>,
    job_numbers: Map<JobId, u64>,
    jobs_of_role: Set<(Option<UserRoleId>, u64)>,
    jobs_of_machine: Set<(VmId, u64)>,
    /// When something happens in jobs that are under way.
    due: Set<(Timestamp, u64)>,
    pub(super) uses: Map<u64, Arc<Use>>,
    uses_of_role: Set<(UserRoleId, u64)>,
    /// By their last second.
    uses_by_age: Set<(i64, u64)>,
    serial: u64,
}

const FIRST: [u8; 16] = [0; 16];
const LAST: [u8; 16] = [255; 16];

fn machines_of<K: Copy>(key: K) -> RangeInclusive<(K, VmId)> {
    (key, VmId::from_bytes(FIRST))..=(key, VmId::from_bytes(LAST))
}

fn numbers_of<K: Copy>(key: K) -> RangeInclusive<(K, u64)> {
    (key, 0)..=(key, u64::MAX)
}

fn lower(name: &str) -> Box<str> {
    name.to_lowercase().into()
}

impl World {
    /// Takes a change in.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Cloud(it) => self.clouds.insert_mut(it.id, it),
            Change::Host(it) => self.hosts.insert_mut(it.id, it),
            Change::Job(it) => self.put_job(it),
            Change::JobForgotten(number) => self.forget_job(number),
            Change::Machine(it) => self.put_machine(it),
            Change::MachineGone(id) => self.remove_machine(id),
            Change::Network(it) => self.networks.insert_mut(it.id, it),
            Change::Role(it) => self.put_role(it),
            Change::RoleDeleted(id) => {
                self.remove_role(id);
                self.deleted_roles.insert_mut(id);
            }
            Change::Serial(next) => self.serial = next,
            Change::Stamp(it) => self.stamps.insert_mut(it.id, it),
            Change::Template(it) => self.templates.insert_mut(it.id, it),
            Change::Use(it) => {
                self.uses_of_role.insert_mut((it.role(), it.serial()));
                self.uses_by_age.insert_mut((it.last_second(), it.serial()));
                self.uses.insert_mut(it.serial(), it);
            }
            Change::UseForgotten(serial) => self.forget_use(serial),
        }
    }

    fn put_role(&mut self, role: Arc<UserRole>) {
        self.remove_role(role.id);
        if let Some(parent) = role.parent {
            self.children.insert_mut((parent, role.id));
        }
        for member in &role.members {
            self.memberships.insert_mut((lower(member), role.id));
        }
        self.roles.insert_mut(role.id, role);
    }

    fn remove_role(&mut self, id: UserRoleId) {
        let Some(before) = self.roles.get(&id).cloned() else { return };
        self.roles.remove_mut(&id);
        if let Some(parent) = before.parent {
            self.children.remove_mut(&(parent, id));
        }
        for member in &before.members {
            self.memberships.remove_mut(&(lower(member), id));
        }
    }

    fn put_machine(&mut self, machine: Arc<Machine>) {
        let id = machine.vm.id;
        self.remove_machine(id);
        self.keys.insert_mut(machine.key(), id);
        self.named.insert_mut((lower(&machine.vm.name), id));
        match (machine.vm.user_role, machine.vm.requested_by) {
            (Some(role), _) => self.owned.insert_mut((role, id)),
            (None, Some(role)) => self.asked.insert_mut((role, id)),
            (None, None) => self.of_nobody.insert_mut((machine.vm.stamp, id)),
        }
        self.machines.insert_mut(id, machine);
    }

    fn remove_machine(&mut self, id: VmId) {
        let Some(before) = self.machines.get(&id).cloned() else { return };
        self.machines.remove_mut(&id);
        self.keys.remove_mut(&before.key());
        self.named.remove_mut(&(lower(&before.vm.name), id));
        match (before.vm.user_role, before.vm.requested_by) {
            (Some(role), _) => self.owned.remove_mut(&(role, id)),
            (None, Some(role)) => self.asked.remove_mut(&(role, id)),
            (None, None) => self.of_nobody.remove_mut(&(before.vm.stamp, id)),
        };
    }

    fn put_job(&mut self, job: Arc<Record>) {
        if let Some(at) = self.jobs.get(&job.number).and_then(|before| before.due()) {
            self.due.remove_mut(&(at, job.number));
        }
        if let Some(at) = job.due() {
            self.due.insert_mut((at, job.number));
        }
        self.job_numbers.insert_mut(job.id, job.number);
        self.jobs_of_role.insert_mut((job.role(), job.number));
        self.jobs_of_machine.insert_mut((job.vm, job.number));
        self.jobs.insert_mut(job.number, job);
    }

    fn forget_job(&mut self, number: u64) {
        let Some(job) = self.jobs.get(&number).cloned() else { return };
        self.jobs.remove_mut(&number);
        self.job_numbers.remove_mut(&job.id);
        self.jobs_of_role.remove_mut(&(job.role(), number));
        self.jobs_of_machine.remove_mut(&(job.vm, number));
        if let Some(at) = job.due() {
            self.due.remove_mut(&(at, number));
        }
    }

    fn forget_use(&mut self, serial: u64) {
        let Some(it) = self.uses.get(&serial).cloned() else { return };
        self.uses.remove_mut(&serial);
        self.uses_of_role.remove_mut(&(it.role(), serial));
        self.uses_by_age.remove_mut(&(it.last_second(), serial));
    }

    /// Nothing was ever stored.
    pub(super) fn is_empty(&self) -> bool {
        self.stamps.is_empty() && self.roles.is_empty()
    }

    pub(super) fn role(&self, id: UserRoleId) -> Option<&Arc<UserRole>> {
        self.roles.get(&id)
    }

    pub(super) fn machine(&self, id: VmId) -> Option<&Arc<Machine>> {
        self.machines.get(&id)
    }

    /// The machine of a role by cloud and name.
    pub(super) fn machine_of_role(&self, role: UserRoleId, cloud: CloudId, name: &str) -> Option<&Arc<Machine>> {
        self.keys.get(&Key::OfRole(role, cloud, lower(name))).and_then(|id| self.machines.get(id))
    }

    /// The machine of nobody by stamp and name.
    pub(super) fn machine_of_nobody(&self, stamp: StampId, name: &str) -> Option<&Arc<Machine>> {
        self.keys.get(&Key::OfNobody(stamp, lower(name))).and_then(|id| self.machines.get(id))
    }

    /// Machines that belong to a role, by id.
    pub(super) fn owned_by(&self, role: UserRoleId) -> impl Iterator<Item = &Arc<Machine>> {
        self.owned.range(machines_of(role)).filter_map(|(_, id)| self.machines.get(id))
    }

    /// Machines that a role has asked for and that are nobody's yet, by id.
    pub(super) fn asked_by(&self, role: UserRoleId) -> impl Iterator<Item = &Arc<Machine>> {
        self.asked.range(machines_of(role)).filter_map(|(_, id)| self.machines.get(id))
    }

    /// Machines of nobody on a stamp, by id.
    pub(super) fn of_nobody_on(&self, stamp: StampId) -> impl Iterator<Item = &Arc<Machine>> {
        self.of_nobody.range(machines_of(stamp)).filter_map(|(_, id)| self.machines.get(id))
    }

    /// Machines of nobody, by stamp and id.
    pub(super) fn of_nobody(&self) -> impl Iterator<Item = &Arc<Machine>> {
        self.of_nobody.iter().filter_map(|(_, id)| self.machines.get(id))
    }

    /// Machines of a name, in any case, by id.
    pub(super) fn machines_named(&self, name: &str) -> impl Iterator<Item = &Arc<Machine>> {
        let name = lower(name);
        let range = (name.clone(), VmId::from_bytes(FIRST))..=(name, VmId::from_bytes(LAST));
        self.named.range(range).filter_map(|(_, id)| self.machines.get(id))
    }

    /// The roles right under a role.
    pub(super) fn children(&self, parent: UserRoleId) -> impl Iterator<Item = &Arc<UserRole>> {
        let range = (parent, UserRoleId::from_bytes(FIRST))..=(parent, UserRoleId::from_bytes(LAST));
        self.children.range(range).filter_map(|(_, id)| self.roles.get(id))
    }

    /// The roles that a claims identity, in any case, is a member of.
    pub(super) fn roles_of_member(&self, member: &str) -> impl Iterator<Item = &Arc<UserRole>> {
        let member = lower(member);
        let range = (member.clone(), UserRoleId::from_bytes(FIRST))..=(member, UserRoleId::from_bytes(LAST));
        self.memberships.range(range).filter_map(|(_, id)| self.roles.get(id))
    }

    pub(super) fn job(&self, id: JobId) -> Option<&Arc<Record>> {
        self.job_numbers.get(&id).and_then(|number| self.jobs.get(number))
    }

    /// Jobs in the name of a role, or of no role; oldest first.
    pub(super) fn jobs_of_role(&self, role: Option<UserRoleId>) -> impl DoubleEndedIterator<Item = &Arc<Record>> {
        self.jobs_of_role.range(numbers_of(role)).filter_map(|(_, number)| self.jobs.get(number))
    }

    /// Jobs about a machine; oldest first.
    pub(super) fn jobs_of_machine(&self, vm: VmId) -> impl DoubleEndedIterator<Item = &Arc<Record>> {
        self.jobs_of_machine.range(numbers_of(vm)).filter_map(|(_, number)| self.jobs.get(number))
    }

    /// Jobs that are under way, by when something happens in them next.
    pub(super) fn running_jobs(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.due.iter().filter_map(|(_, number)| self.jobs.get(number))
    }

    /// The first thing that happens in a job, at `now` or before.
    pub(super) fn first_due(&self, now: Timestamp) -> Option<(Timestamp, u64)> {
        self.due.first().copied().filter(|(at, _)| *at <= now)
    }

    pub(super) fn uses_of_role(&self, role: UserRoleId) -> impl Iterator<Item = &Arc<Use>> {
        self.uses_of_role.range(numbers_of(role)).filter_map(|(_, serial)| self.uses.get(serial))
    }

    /// Uses that ended before a second, oldest first.
    pub(super) fn uses_before(&self, second: i64) -> impl Iterator<Item = u64> {
        self.uses_by_age.iter().take_while(move |(last, _)| *last < second).map(|(_, serial)| *serial)
    }
}

/// A world in the making: a copy, and what makes it different.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) now: Timestamp,
    /// How long jobs take.
    pub(super) takes: Duration,
    world: World,
    changes: Vec<Change>,
}

impl Draft {
    pub(super) const fn new(world: World, now: Timestamp, takes: Duration) -> Self {
        Self { now, takes, world, changes: Vec::new() }
    }

    pub(super) const fn world(&self) -> &World {
        &self.world
    }

    pub(super) fn apply(&mut self, change: Change) {
        self.world.apply(change.clone());
        self.changes.push(change);
    }

    /// What it has become, and by what.
    pub(super) fn finish(self) -> (World, Vec<Change>) {
        (self.world, self.changes)
    }

    /// A number that nothing else has.
    pub(super) fn serial(&mut self) -> u64 {
        let serial = self.world.serial;
        self.apply(Change::Serial(serial + 1));
        serial
    }

    /// Puts a machine, and keeps the account of when it ran for whom.
    pub(super) fn put_machine(&mut self, mut machine: Machine, at: Timestamp) {
        let before = self.world.machine(machine.vm.id).cloned();
        let metered = before.as_ref().and_then(|before| before.metered_since);
        let runs = match machine.vm.status {
            VmStatus::Running => machine.vm.user_role.is_some(),
            // It is there until the job that removes it has ended.
            VmStatus::Deleting => metered.is_some(),
            VmStatus::CreationFailed | VmStatus::Declared | VmStatus::Stopped | VmStatus::UnderCreation => false,
        };
        if before.as_ref().is_none_or(|before| before.vm.user_role != machine.vm.user_role) {
            machine.tenure = self.serial();
        }
        let goes_on = runs && before.as_ref().is_some_and(|before| before.tenure == machine.tenure && before.vm.size == machine.vm.size);
        match metered {
            Some(since) if goes_on => machine.metered_since = Some(since),
            Some(_) | None => {
                self.close_meter(before.as_deref(), at);
                machine.metered_since = runs.then_some(at);
            }
        }
        self.apply(Change::Machine(Arc::new(machine)));
    }

    /// Removes a machine, and closes its account.
    pub(super) fn remove_machine(&mut self, id: VmId, at: Timestamp) {
        let before = self.world.machine(id).cloned();
        self.close_meter(before.as_deref(), at);
        self.apply(Change::MachineGone(id));
    }

    fn close_meter(&mut self, before: Option<&Machine>, at: Timestamp) {
        let Some(before) = before.filter(|before| before.metered_since.is_some()) else { return };
        let serial = self.serial();
        if let Some(ran) = Use::ran(before, at, serial) {
            self.apply(Change::Use(Arc::new(ran)));
        }
    }
}
