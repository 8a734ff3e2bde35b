//! Jobs: what takes time, in steps, and can fail.
//!
//! No timer runs. When a step ends follows from the beginning of its job; what it does then is done by the next one who looks, in the order of those
//! moments and as if it had been done at each of them. So the outcome is the same whoever looks when.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{CloudId, HostId, JobId, PrincipalId, StampId, UserRoleId, VmId};
use crate::vmm::{Begun, Checkpoint, Host, Job, JobStatus, Power, Problem, Size, Step, StepStatus, VmStatus};

use super::connection::{Acting, Caller};
use super::quota::{self, Load};
use super::refused::problem;
use super::usage::{self, Use};
use super::world::{Change, Draft, Machine, World};

/// Ended jobs kept of each role, and of the administrator; the oldest leave first.
pub(super) const ENDED_KEPT_MAX: usize = 1_000;

/// A job as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// Grows from job to job.
    pub(super) number: u64,
    pub(super) id: JobId,
    pub(super) stamp: StampId,
    pub(super) vm: VmId,
    pub(super) vm_name: Box<str>,
    pub(super) cloud: Option<CloudId>,
    /// Member and role.
    pub(super) on_behalf_of: Option<(Box<str>, UserRoleId)>,
    pub(super) requested_by: PrincipalId,
    pub(super) requested_by_name: Box<str>,
    pub(super) work: Work,
    pub(super) started_at: Timestamp,
    pub(super) takes_ms: u64,
    /// Steps that have ended well.
    pub(super) done: usize,
    /// Where the machine is, once that is known.
    pub(super) host: Option<HostId>,
    pub(super) end: Option<End>,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct End {
    pub(super) at: Timestamp,
    pub(super) error: Option<Problem>,
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Work {
    Create { start: bool },
    CreateCheckpoint { checkpoint: Checkpoint },
    DeleteCheckpoint { checkpoint: Checkpoint },
    Remove { before: VmStatus },
    Resize { size: Size },
    Restart {},
    RestoreCheckpoint { checkpoint: Checkpoint },
    Start {},
    Stop {},
    Transfer {},
}

/// What happens when a step ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    CheckHost,
    CheckQuota,
    Nothing,
    SelectHost,
}

use Effect::{CheckHost, CheckQuota, Nothing, SelectHost};

const CHECK_HOST: (&str, Effect) = ("Check the host", CheckHost);
const CHECK_QUOTA: (&str, Effect) = ("Check the quota", CheckQuota);
const CREATE_AND_START: [(&str, Effect); 5] = [
    CHECK_QUOTA,
    ("Select a host", SelectHost),
    ("Create virtual machine", Nothing),
    ("Deploy virtual machine to host", Nothing),
    ("Start virtual machine", Nothing),
];

impl Work {
    const fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "Create virtual machine",
            Self::CreateCheckpoint { .. } => "Create checkpoint",
            Self::DeleteCheckpoint { .. } => "Delete checkpoint",
            Self::Remove { .. } => "Remove virtual machine",
            Self::Resize { .. } => "Change size of virtual machine",
            Self::Restart {} => "Restart virtual machine",
            Self::RestoreCheckpoint { .. } => "Restore checkpoint",
            Self::Start {} => "Start virtual machine",
            Self::Stop {} => "Stop virtual machine",
            Self::Transfer {} => "Transfer virtual machine",
        }
    }

    const fn steps(&self) -> &'static [(&'static str, Effect)] {
        match self {
            Self::Create { start: true } => &CREATE_AND_START,
            Self::Create { start: false } => CREATE_AND_START.split_at(4).0,
            Self::CreateCheckpoint { .. } => &[CHECK_HOST, ("Save the state", Nothing), ("Create checkpoint", Nothing)],
            Self::DeleteCheckpoint { .. } => &[CHECK_HOST, ("Merge the disks", Nothing), ("Delete checkpoint", Nothing)],
            Self::Remove { .. } => &[CHECK_HOST, ("Stop virtual machine", Nothing), ("Remove virtual machine", Nothing)],
            Self::Resize { .. } => &[CHECK_QUOTA, CHECK_HOST, ("Change virtual machine", Nothing)],
            Self::Restart {} => &[CHECK_HOST, ("Stop virtual machine", Nothing), ("Start virtual machine", Nothing)],
            Self::RestoreCheckpoint { .. } => &[CHECK_HOST, ("Put the state back", Nothing), ("Restore checkpoint", Nothing)],
            Self::Start {} => &[CHECK_HOST, ("Start virtual machine", Nothing), ("Wait for virtual machine", Nothing)],
            Self::Stop {} => &[CHECK_HOST, ("Shut down virtual machine", Nothing), ("Stop virtual machine", Nothing)],
            Self::Transfer {} => &[CHECK_QUOTA, ("Change user role", Nothing), ("Change owner", Nothing)],
        }
    }
}

impl Record {
    /// The role in whose name it runs.
    pub(super) fn role(&self) -> Option<UserRoleId> {
        self.on_behalf_of.as_ref().map(|(_, role)| *role)
    }

    /// When its present step ends; none when the job has ended.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.end.is_none().then(|| self.boundary(self.done + 1))
    }

    /// When the step before this place ends.
    fn boundary(&self, place: usize) -> Timestamp {
        let count = u64::try_from(self.work.steps().len()).unwrap_or(1);
        let place = u64::try_from(place).unwrap_or(count);
        let after = Duration::from_millis(self.takes_ms.saturating_mul(place) / count);
        self.started_at.checked_add(after).unwrap_or(Timestamp::MAX)
    }

    /// The job as it is at `now`.
    pub(super) fn told(&self, now: Timestamp) -> Job {
        let (status, ended_at, error) = match &self.end {
            None => (JobStatus::Running, None, None),
            Some(End { at, error: None }) => (JobStatus::Completed, Some(*at), None),
            Some(End { at, error: Some(error) }) => (JobStatus::Failed, Some(*at), Some(error.clone())),
        };
        let steps = self.work.steps().iter().enumerate();
        let steps = steps.map(|(place, (name, _))| Step { name: (*name).into(), status: self.step_status(place, status) });
        Job {
            id: self.id,
            stamp: self.stamp,
            name: self.work.name().into(),
            vm: self.vm,
            vm_name: self.vm_name.clone(),
            cloud: self.cloud,
            on_behalf_of_user_role: self.role(),
            on_behalf_of_user: self.on_behalf_of.as_ref().map(|(user, _)| user.clone()),
            requested_by: self.requested_by,
            requested_by_name: self.requested_by_name.clone(),
            status,
            progress: self.progress(status, now),
            started_at: self.started_at,
            ended_at,
            error,
            steps: steps.collect(),
        }
    }

    fn step_status(&self, place: usize, status: JobStatus) -> StepStatus {
        match (place.cmp(&self.done), status) {
            (std::cmp::Ordering::Less, _) | (_, JobStatus::Completed) => StepStatus::Completed,
            (std::cmp::Ordering::Equal, JobStatus::Failed) => StepStatus::Failed,
            (std::cmp::Ordering::Equal, JobStatus::Running) => StepStatus::Running,
            (std::cmp::Ordering::Greater, JobStatus::Failed) => StepStatus::Skipped,
            (std::cmp::Ordering::Greater, JobStatus::Running) => StepStatus::NotStarted,
        }
    }

    fn progress(&self, status: JobStatus, now: Timestamp) -> u8 {
        let looked_at = match (&self.end, status) {
            (_, JobStatus::Completed) => return 100,
            (Some(end), _) => end.at,
            (None, _) => now,
        };
        let passed_ms = looked_at.as_millisecond().saturating_sub(self.started_at.as_millisecond());
        let per_cent = u64::try_from(passed_ms).unwrap_or_default().saturating_mul(100).checked_div(self.takes_ms).unwrap_or(99);
        u8::try_from(per_cent.min(99)).unwrap_or(99)
    }
}

/// Does what should have been done by now.
pub(super) fn settle(draft: &mut Draft) {
    while let Some((at, number)) = draft.world().first_due(draft.now) {
        let Some(record) = draft.world().jobs.get(&number).cloned() else { return };
        end_step(draft, record.as_ref().clone(), at);
    }
    usage::forget(draft);
}

/// Begins a job about a machine, which is put as it is given, and as busy.
pub(super) fn begin(draft: &mut Draft, caller: &Caller, acting: &Acting, mut machine: Machine, work: Work) -> Begun {
    let record = record(draft, caller, acting, &machine, work);
    machine.job = Some(record.number);
    machine.vm.last_job = Some(record.id);
    machine.vm.modified_at = draft.now;
    let begun = Begun { vm: machine.vm.clone(), job: Some(record.told(draft.now)) };
    draft.put_machine(machine, draft.now);
    draft.apply(Change::Job(Arc::new(record)));
    begun
}

/// Keeps a job that took no time. The caller puts the machine, with this job as its last one.
pub(super) fn at_once(draft: &mut Draft, caller: &Caller, acting: &Acting, machine: &Machine, work: Work) -> JobId {
    let mut record = record(draft, caller, acting, machine, work);
    record.done = record.work.steps().len();
    let id = record.id;
    end(draft, record, draft.now, None);
    id
}

fn record(draft: &mut Draft, caller: &Caller, acting: &Acting, machine: &Machine, work: Work) -> Record {
    let on_behalf_of = match acting {
        Acting::Administrator => None,
        Acting::Member(user, role) => Some((user.clone(), role.id)),
    };
    Record {
        number: draft.serial(),
        id: JobId::random(),
        stamp: machine.vm.stamp,
        vm: machine.vm.id,
        vm_name: machine.vm.name.clone(),
        cloud: machine.vm.cloud,
        on_behalf_of,
        requested_by: caller.principal,
        requested_by_name: caller.name.clone(),
        work,
        started_at: draft.now,
        takes_ms: u64::try_from(draft.takes.as_millis()).unwrap_or(u64::MAX),
        done: 0,
        host: machine.vm.host,
        end: None,
    }
}

/// Lets the jobs on a host fail at their present step: it was turned off.
pub(super) fn lose_host(draft: &mut Draft, host: &Host) {
    let lost: Vec<_> = draft.world().running_jobs().filter(|job| job.host == Some(host.id)).cloned().collect();
    for record in lost {
        fail(draft, record.as_ref().clone(), draft.now, off(host));
    }
}

fn end_step(draft: &mut Draft, mut record: Record, at: Timestamp) {
    let effect = record.work.steps().get(record.done).map_or(Nothing, |(_, effect)| *effect);
    let outcome = match effect {
        CheckHost => check_host(draft, &mut record, at),
        CheckQuota => check_quota(draft, &record, at),
        Nothing => Ok(()),
        SelectHost => select_host(draft, &mut record, at),
    };
    match outcome {
        Err(error) => fail(draft, record, at, error),
        Ok(()) => {
            record.done += 1;
            if record.done < record.work.steps().len() {
                draft.apply(Change::Job(Arc::new(record)));
            } else {
                complete(draft, record, at);
            }
        }
    }
}

fn check_quota(draft: &mut Draft, record: &Record, at: Timestamp) -> Result<(), Problem> {
    let Some(mut machine) = machine(draft.world(), record) else { return Err(lost(record)) };
    let size = if let Work::Resize { size } = &record.work { *size } else { machine.vm.size };
    if let Some(role) = machine.holder()
        && let Some(problem) = quota::obstacle(draft.world(), role, Load::of(size), machine.vm.id)
    {
        return Err(problem);
    }
    machine.reserved = Some(size);
    draft.put_machine(machine, at);
    Ok(())
}

fn select_host(draft: &mut Draft, record: &mut Record, at: Timestamp) -> Result<(), Problem> {
    let Some(mut machine) = machine(draft.world(), record) else { return Err(lost(record)) };
    let host = place(draft.world(), &machine)?;
    record.host = Some(host);
    machine.vm.host = Some(host);
    draft.put_machine(machine, at);
    Ok(())
}

/// The first host that is on, by name: of the cloud, or of the stamp for a machine in none.
fn place(world: &World, machine: &Machine) -> Result<HostId, Problem> {
    let cloud = machine.vm.cloud.and_then(|cloud| world.clouds.get(&cloud));
    let fits = |host: &&Arc<Host>| cloud.map_or(host.stamp == machine.vm.stamp, |cloud| cloud.hosts.contains(&host.id));
    let mut hosts: Vec<_> = world.hosts.values().filter(fits).collect();
    hosts.sort_by(|one, other| one.name.cmp(&other.name));
    if let Some(host) = hosts.iter().find(|host| host.power == Power::On) {
        return Ok(host.id);
    }
    let names: Vec<String> = hosts.iter().map(|host| format!("`{}`", host.name)).collect();
    let whose = cloud.map_or_else(|| "the stamp".to_owned(), |cloud| format!("the cloud `{}`", cloud.name));
    let message = format!("no host of {whose} responds; turned off: {}", names.join(", "));
    Err(problem("HostNotResponding", message, "Turn a host on and try again."))
}

fn check_host(draft: &mut Draft, record: &mut Record, at: Timestamp) -> Result<(), Problem> {
    let Some(machine) = machine(draft.world(), record) else { return Err(lost(record)) };
    match machine.vm.host.and_then(|host| draft.world().hosts.get(&host)) {
        // Made by hand and never placed anywhere.
        None => select_host(draft, record, at),
        Some(host) if host.power == Power::Off => Err(off(host)),
        Some(_on) => Ok(()),
    }
}

fn off(host: &Host) -> Problem {
    let message = format!("the host `{}` ({}) does not respond; it is turned off", host.name, host.id);
    problem("HostNotResponding", message, "Turn the host on and try again.")
}

/// A machine cannot go while a job is about it, so nobody ever reads this.
fn lost(record: &Record) -> Problem {
    problem("VmNotFound", format!("the machine `{}` ({}) is gone", record.vm_name, record.vm), "Make it again.")
}

fn machine(world: &World, record: &Record) -> Option<Machine> {
    world.machine(record.vm).map(|machine| machine.as_ref().clone())
}

/// Takes back what the job had begun.
fn fail(draft: &mut Draft, record: Record, at: Timestamp, error: Problem) {
    if let Some(mut machine) = machine(draft.world(), &record) {
        machine.job = None;
        machine.reserved = None;
        machine.vm.modified_at = at;
        match &record.work {
            Work::Create { .. } => {
                machine.vm.status = VmStatus::CreationFailed;
                machine.vm.host = None;
            }
            Work::Remove { before } => machine.vm.status = *before,
            Work::CreateCheckpoint { .. }
            | Work::DeleteCheckpoint { .. }
            | Work::Resize { .. }
            | Work::Restart {}
            | Work::RestoreCheckpoint { .. }
            | Work::Start {}
            | Work::Stop {}
            | Work::Transfer {} => {}
        }
        draft.put_machine(machine, at);
    }
    end(draft, record, at, Some(error));
}

fn complete(draft: &mut Draft, record: Record, at: Timestamp) {
    if matches!(record.work, Work::Remove { .. }) {
        draft.remove_machine(record.vm, at);
    } else if let Some(mut machine) = machine(draft.world(), &record) {
        machine.job = None;
        machine.reserved = None;
        machine.vm.modified_at = at;
        work_out(&mut machine, &record, at);
        draft.put_machine(machine, at);
    }
    end(draft, record, at, None);
}

fn work_out(machine: &mut Machine, record: &Record, at: Timestamp) {
    let vm = &mut machine.vm;
    match &record.work {
        Work::Create { start } => {
            vm.status = if *start { VmStatus::Running } else { VmStatus::Stopped };
            if let Some((user, role)) = &record.on_behalf_of {
                vm.owner = Some(user.clone());
                vm.user_role = Some(*role);
            }
        }
        Work::CreateCheckpoint { checkpoint } => vm.checkpoints.push(Checkpoint { created_at: at, ..checkpoint.clone() }),
        Work::DeleteCheckpoint { checkpoint } => vm.checkpoints.retain(|kept| kept.id != checkpoint.id),
        Work::Resize { size } => vm.size = *size,
        Work::Start {} => vm.status = VmStatus::Running,
        Work::Stop {} => vm.status = VmStatus::Stopped,
        Work::Remove { .. } | Work::Restart {} | Work::RestoreCheckpoint { .. } | Work::Transfer {} => {}
    }
}

fn end(draft: &mut Draft, mut record: Record, at: Timestamp, error: Option<Problem>) {
    record.end = Some(End { at, error });
    let role = record.role();
    if let Some(role) = role {
        let (vm, vm_name) = (record.vm, record.vm_name.clone());
        let serial = draft.serial();
        draft.apply(Change::Use(Arc::new(Use::Job { serial, role, vm, vm_name, at })));
    }
    draft.apply(Change::Job(Arc::new(record)));
    let ended: Vec<u64> = draft.world().jobs_of_role(role).filter(|job| job.end.is_some()).map(|job| job.number).collect();
    let surplus = ended.len().saturating_sub(ENDED_KEPT_MAX);
    ended.into_iter().take(surplus).for_each(|number| draft.apply(Change::JobForgotten(number)));
}

#[cfg(test)]
mod tests {
    use super::super::seed::Seed;
    use super::*;
    use crate::ids::{ObjectId, TenantId};
    use crate::vmm::Connection;

    #[test]
    fn the_oldest_ended_jobs_leave_and_what_was_used_stays() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut draft = Draft::new(World::default(), now, Duration::from_secs(1));
        Seed::large(1, 2).changes(now).unwrap().into_iter().for_each(|change| draft.apply(change));
        let machine = draft.world().machines.values().next().unwrap().as_ref().clone();
        let role = draft.world().roles.values().next().cloned().unwrap();
        let acting = Acting::Member("bench-1@bench.example".into(), Arc::clone(&role));
        let principal = PrincipalId { tenant: TenantId::from_bytes([1; 16]), object: ObjectId::from_bytes([2; 16]) };
        let caller = Caller { principal, name: "x".into(), connection: Connection::Administrator {}, holder: None };
        let begun = begin(&mut draft, &caller, &acting, machine.clone(), Work::Start {});
        let ended: Vec<JobId> = (0..=ENDED_KEPT_MAX).map(|_| at_once(&mut draft, &caller, &acting, &machine, Work::Transfer {})).collect();
        let world = draft.world();
        assert_eq!(world.jobs_of_role(Some(role.id)).count(), ENDED_KEPT_MAX + 1);
        assert!(world.job(begun.job.unwrap().id).is_some(), "it has not ended");
        assert!(world.job(ended[0]).is_none());
        assert!(world.job(ended[1]).is_some());
        assert_eq!(world.uses_of_role(role.id).count(), ENDED_KEPT_MAX + 1);
    }
}
