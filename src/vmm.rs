//! Words of the private cloud: what a Virtual Machine Manager is told and what it tells.
//!
//! Gateway and fabric say these things to each other over HTTPS as JSON and share nothing else. No I/O, no clock, no decision here.
//!
//! A *stamp* is one installation. A *user role* is who may use which clouds, networks and templates of it, and how much; the role of a tenant has
//! the id of the tenant's subscription. A *virtual machine* belongs to one role and one owner, a member of that role, or to nobody. Whatever takes
//! time is a *job* with steps, which can fail.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{CheckpointId, CloudId, HostId, JobId, NetworkId, PrincipalId, StampId, TemplateId, UserRoleId, VmId, VmmServerId};

/// Header with the member of the role in whose name something is done.
pub const ON_BEHALF_OF_USER: &str = "x-vmm-on-behalf-of-user";
/// Header with the id of the role in whose name something is done.
pub const ON_BEHALF_OF_USER_ROLE: &str = "x-vmm-on-behalf-of-user-role";

/// Header with whose a machine has to be, for whatever an administrator does with it: a look and what follows it are two requests, and the machine may
/// have changed hands between them.
pub const HOLDER: &str = "x-vmm-holder";

/// Whose a machine is: `nobody`, or the id of the role that it belongs to or that asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Of no role.
    Nobody,
    /// Of this one.
    Role(UserRoleId),
}

impl Holder {
    /// Whose it is, or nobody's.
    #[must_use]
    pub const fn of(role: Option<UserRoleId>) -> Self {
        match role {
            Some(role) => Self::Role(role),
            None => Self::Nobody,
        }
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody"),
            Self::Role(role) => role.fmt(f),
        }
    }
}

impl std::str::FromStr for Holder {
    type Err = crate::ids::NotAGuid;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "nobody" { Ok(Self::Nobody) } else { text.parse().map(Self::Role) }
    }
}

/// In whose name a connection works. The gateway's assertion says so in the claim `vmm`; on-behalf values stand in the two headers as well.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Connection {
    /// The administrator of the fabric. Cannot make a claims identity the owner of anything.
    Administrator {},
    /// A member of a user role.
    OnBehalfOf {
        /// The member: a claims identity such as `anna@juniper.example`.
        user: Box<str>,
        /// The role.
        user_role: UserRoleId,
    },
}

/// An installation. Source: Service Provider Foundation, `Stamps`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Its id.
    pub id: StampId,
    /// Its name.
    pub name: Box<str>,
    /// Its management server.
    pub server: VmmServer,
}

/// A management server of a stamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmmServer {
    /// Its id.
    pub id: VmmServerId,
    /// Its host name.
    pub name: Box<str>,
    /// Its version.
    pub version: Box<str>,
}

/// A cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cloud {
    /// Its id.
    pub id: CloudId,
    /// Its stamp.
    pub stamp: StampId,
    /// Its name, unique over all stamps whatever the case: the resource group of a tenant's machines in it.
    pub name: Box<str>,
    /// Hosts that carry its machines.
    pub hosts: Vec<HostId>,
    /// Networks that its machines can be on.
    pub networks: Vec<NetworkId>,
}

/// A logical network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogicalNetwork {
    /// Its id.
    pub id: NetworkId,
    /// Its stamp.
    pub stamp: StampId,
    /// Its name, unique in the stamp.
    pub name: Box<str>,
}

/// What a machine is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Its id.
    pub id: TemplateId,
    /// Its stamp.
    pub stamp: StampId,
    /// Its name, unique in the stamp.
    pub name: Box<str>,
    /// What runs in it.
    pub operating_system: Box<str>,
    /// How large machines made from it are, unless they are asked for otherwise.
    pub size: Size,
}

/// How large a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Processors.
    pub cores: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Disks in GiB.
    pub storage_gb: u32,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its id.
    pub id: HostId,
    /// Its stamp.
    pub stamp: StampId,
    /// Its name, unique in the stamp.
    pub name: Box<str>,
    /// Whether it can be used.
    pub power: Power,
}

/// Whether a host answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// It does not: nothing can be placed on it or done with what is on it.
    Off,
    /// It does.
    On,
}

/// Who may use what of the fabric, and how much. Source: Virtual Machine Manager, user roles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRole {
    /// Its id. That of a tenant is its subscription's.
    pub id: UserRoleId,
    /// Its name.
    pub name: Box<str>,
    /// What kind of role it is.
    pub profile: Profile,
    /// The role it was made under: it may use nothing that this one may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<UserRoleId>,
    /// Claims identities, compared without case.
    pub members: Vec<Box<str>>,
    /// The clouds it may use.
    pub clouds: Vec<CloudId>,
    /// The networks it may use.
    pub networks: Vec<NetworkId>,
    /// The templates it may use.
    pub templates: Vec<TemplateId>,
    /// What it may do with machines.
    pub actions: Vec<PermittedAction>,
    /// How much it may use.
    pub quota: Quota,
}

/// The kind of a user role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Profile {
    /// Everything.
    Administrator,
    /// Everything in some clouds.
    DelegatedAdmin,
    /// Looking only.
    ReadOnlyAdmin,
    /// Machines of one's own.
    SelfServiceUser,
    /// A tenant: machines of its own, and roles under it.
    TenantAdmin,
}

/// Something a role may do with machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum PermittedAction {
    /// Make, restore and remove checkpoints.
    Checkpoint,
    /// Make machines from templates.
    Create,
    /// Change name, size and description.
    Modify,
    /// Remove machines.
    Remove,
    /// Start, stop and restart machines.
    StartStop,
    /// Give machines to another role and take machines from one.
    Transfer,
}

/// How much a role may use. What is absent is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Quota {
    /// Machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_machines: Option<u32>,
    /// Processors of all machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
    /// Memory of all machines in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u64>,
    /// Disks of all machines in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_gb: Option<u64>,
}

/// A virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vm {
    /// Its id.
    pub id: VmId,
    /// Its stamp.
    pub stamp: StampId,
    /// Its cloud; none for a machine that was made by hand on a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<CloudId>,
    /// Its name, unique without case among the machines of a role in a cloud, and among those of nobody on a stamp.
    pub name: Box<str>,
    /// For people.
    #[serde(default)]
    pub description: Box<str>,
    /// What it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateId>,
    /// The network it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkId>,
    /// How large it is.
    pub size: Size,
    /// What state it is in.
    pub status: VmStatus,
    /// Where it runs or would run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostId>,
    /// The claims identity that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Box<str>>,
    /// The role that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_role: Option<UserRoleId>,
    /// The role that asked for it. A machine that came to nothing belongs to nobody, and its maker has to be able to find it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<UserRoleId>,
    /// For people and bills.
    #[serde(default)]
    pub tags: BTreeMap<Box<str>, Box<str>>,
    /// States that it can be taken back to, oldest first.
    #[serde(default)]
    pub checkpoints: Vec<Checkpoint>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
    /// The last job about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_job: Option<JobId>,
}

/// The state of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum VmStatus {
    /// The job that was to make it failed. It belongs to nobody.
    CreationFailed,
    /// Known by name and nothing else: a resource that a machine may be made for.
    Declared,
    /// A job removes it.
    Deleting,
    /// It runs.
    Running,
    /// It does not.
    Stopped,
    /// A job makes it. It belongs to nobody yet.
    UnderCreation,
}

/// A state that a machine can be taken back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Its id.
    pub id: CheckpointId,
    /// Its name.
    pub name: Box<str>,
    /// For people.
    #[serde(default)]
    pub description: Box<str>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What a machine is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewVm {
    /// Its name: 1 to 64 letters, digits, `-`, `_` and `.`.
    pub name: Box<str>,
    /// The cloud.
    pub cloud: CloudId,
    /// What to make it from; none declares it only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateId>,
    /// The network it is to be on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkId>,
    /// How large; as the template says when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// For people.
    #[serde(default)]
    pub description: Box<str>,
    /// For people and bills.
    #[serde(default)]
    pub tags: BTreeMap<Box<str>, Box<str>>,
    /// Whether it is to run as soon as it is there.
    #[serde(default)]
    pub start: bool,
}

/// What is to be different about a machine. What is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmChange {
    /// Another description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Box<str>>,
    /// Other tags, instead of all present ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<Box<str>, Box<str>>>,
    /// Another size, while it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Another role: the first step of the old way of giving a machine away. An administrator's to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_role: Option<UserRoleId>,
    /// Another owner: the second step, on behalf of the machine's role, and one of its members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Box<str>>,
}

/// Something that is done with a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Operation {
    /// Keep the present state.
    CreateCheckpoint {
        /// Its name.
        name: Box<str>,
        /// For people.
        #[serde(default)]
        description: Box<str>,
    },
    /// Forget a kept state.
    DeleteCheckpoint {
        /// Which.
        id: CheckpointId,
    },
    /// Stop and start.
    Restart {},
    /// Go back to a kept state.
    RestoreCheckpoint {
        /// Which.
        id: CheckpointId,
    },
    /// Let it run.
    Start {},
    /// End it.
    Stop {},
}

/// A machine changes hands, as a whole or not at all. On behalf of the role that gets it; that the other side agrees is for the gateway to find out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Whose it has to be at present; none for a machine of nobody.
    pub from: Option<UserRoleId>,
    /// Whose it is to be.
    pub to: UserRoleId,
    /// The member of that role who is to own it.
    pub owner: Box<str>,
    /// The cloud of that role it is to be in.
    pub cloud: CloudId,
    /// Say what would happen, and do nothing.
    #[serde(default)]
    pub preview: bool,
}

/// What a transfer does or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transferred {
    /// The machine as it was.
    pub before: Vm,
    /// The machine as it is or would be.
    pub after: Vm,
    /// The job that did it; none for a preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// What keeps it from being done, such as a quota. Nothing was changed when there is any.
    #[serde(default)]
    pub obstacles: Vec<Problem>,
}

/// A machine and the job about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The machine as it is now.
    pub vm: Vm,
    /// The job; none when there was nothing to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
}

/// Something that takes time. Source: Service Provider Foundation, `Jobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Its stamp.
    pub stamp: StampId,
    /// Such as `Create virtual machine`.
    pub name: Box<str>,
    /// The machine.
    pub vm: VmId,
    /// The machine's name.
    pub vm_name: Box<str>,
    /// The cloud the machine is or was to be in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<CloudId>,
    /// The role in whose name it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of_user_role: Option<UserRoleId>,
    /// The member of the role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of_user: Option<Box<str>>,
    /// The person or program that asked, wherever it is at home.
    pub requested_by: PrincipalId,
    /// Its display name.
    pub requested_by_name: Box<str>,
    /// What became of it.
    pub status: JobStatus,
    /// Per cent.
    pub progress: u8,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
    /// Its parts, in their order.
    pub steps: Vec<Step>,
}

/// A part of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Such as `Deploy virtual machine to host`.
    pub name: Box<str>,
    /// What became of it.
    pub status: StepStatus,
}

/// What became of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobStatus {
    /// All of it is done.
    Completed,
    /// A step failed; what it had begun was taken back.
    Failed,
    /// It is under way.
    Running,
}

/// What became of a part of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepStatus {
    /// It is done.
    Completed,
    /// It failed.
    Failed,
    /// A step before it has to end first.
    NotStarted,
    /// It is under way.
    Running,
    /// A step before it failed.
    Skipped,
}

/// Why something is refused or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A stable word, such as `HostNotResponding` or `QuotaExceeded`.
    pub code: Box<str>,
    /// What is wrong, with the names of things and of the limit.
    pub message: Box<str>,
    /// What to do.
    pub recommended_action: Box<str>,
}

/// What was used by whom. Source: Service Provider Foundation, Usage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// Grows by at least one from record to record of a stamp.
    pub number: u64,
    /// The role that used it.
    pub user_role: UserRoleId,
    /// The machine.
    pub vm: VmId,
    /// The machine's name.
    pub vm_name: Box<str>,
    /// What.
    pub resource: UsedResource,
    /// First moment of the interval, a full hour.
    pub from: Timestamp,
    /// First moment after it.
    pub until: Timestamp,
    /// How much, in the unit of the resource.
    pub quantity: u64,
}

/// What can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum UsedResource {
    /// Seconds that a machine ran, times its processors.
    CoreSeconds,
    /// Jobs that ended, whether well or not.
    Jobs,
    /// Seconds that a machine ran, times its memory in MiB.
    MemoryMbSeconds,
    /// Seconds that a machine ran.
    RunningSeconds,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// What is on it.
    pub value: Vec<T>,
    /// What to ask for the next one with as `after`; none on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Box<str>>,
}

/// The answer to what is refused, with a status of 400 and above.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Why.
    pub error: Problem,
}
