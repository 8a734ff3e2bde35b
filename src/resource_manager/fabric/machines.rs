//! What is done with machines: make, change, operate, remove.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::StatusCode;

use crate::ids::{CheckpointId, CloudId, TemplateId, UserRoleId, VmId};
use crate::vmm::{
    Begun, Checkpoint, Cloud, HOLDER, Holder, NewVm, Operation, PermittedAction, Size, Template, UserRole, Vm, VmChange, VmStatus,
};

use super::connection::{Acting, Caller, is_member};
use super::jobs::{self, Work};
use super::quota::{self, Load};
use super::refused::{Answer, Refused};
use super::world::{Draft, Machine, World};

/// Machines that a role has asked for and that are nobody's yet: they count in no quota.
const ASKED_MAX: usize = 100;
/// Machines of all stamps together.
pub(super) const MACHINES_MAX: usize = 100_000;
/// Tags of one machine.
pub(super) const TAGS_MAX: usize = 50;
/// Characters of the name of a machine or checkpoint.
pub(super) const NAME_CHARS_MAX: usize = 64;
/// Checkpoints of one machine.
pub(super) const CHECKPOINTS_MAX: usize = 50;
const DESCRIPTION_CHARS_MAX: usize = 1_024;
/// Source: Azure Resource Manager, limits of tags.
const TAG_NAME_CHARS_MAX: usize = 512;
const TAG_VALUE_CHARS_MAX: usize = 256;
const CORES_MAX: u32 = 1_024;
const MEMORY_MB_MAX: u32 = 16 * 1024 * 1024;
const STORAGE_GB_MAX: u32 = 1024 * 1024;

/// A machine that whoever acts may see.
pub(super) fn find(world: &World, acting: &Acting, id: VmId) -> Result<Arc<Machine>, Refused> {
    let found = world.machine(id).filter(|machine| acting.role().is_none_or(|role| machine.holder() == Some(role)));
    found.cloned().ok_or_else(|| not_found(&id.to_string()))
}

pub(super) fn not_found(what: &str) -> Refused {
    Refused::missing("VmNotFound", format!("the machine `{what}` is not known here"))
}

/// `POST /vms`.
pub(super) fn create(draft: &mut Draft, caller: &Caller, acting: &Acting, new: NewVm) -> Result<Answer, Refused> {
    let (_, role) = acting.member("making a machine")?;
    acting.permit(PermittedAction::Create)?;
    check_name("name", &new.name)?;
    check_texts(&new.description, &new.tags)?;
    let cloud = usable_cloud(draft.world(), role, new.cloud)?;
    check_network(role, &cloud, &new)?;
    let template = new.template.map(|template| usable_template(draft.world(), role, &cloud, template)).transpose()?;
    let existing = draft.world().machine_of_role(role.id, cloud.id, &new.name).map(|machine| machine.vm.clone());
    if let Some(vm) = existing.as_ref().filter(|vm| !matches!(vm.status, VmStatus::Declared | VmStatus::CreationFailed)) {
        return Err(exists(&vm.name, &cloud));
    }
    if existing.is_none() && draft.world().asked_by(role.id).count() >= ASKED_MAX {
        let message =
            format!("the user role `{}` has asked for {ASKED_MAX} machines that are not there yet, and may ask for no more", role.name);
        return Err(Refused::conflict("TooManyMachines", message, "Remove those that are declared or failed, or wait."));
    }
    if existing.is_none() && draft.world().machines.size() >= MACHINES_MAX {
        let message = format!("there are {MACHINES_MAX} machines, and no more are allowed");
        return Err(Refused::conflict("TooManyMachines", message, "Remove machines that are no longer needed."));
    }
    let size = new.size.or_else(|| template.as_ref().map(|template| template.size)).unwrap_or(UNKNOWN_SIZE);
    if template.is_some() || new.size.is_some() {
        check_size(size)?;
    }
    let status = if template.is_some() { VmStatus::UnderCreation } else { VmStatus::Declared };
    let vm = Vm {
        id: existing.as_ref().map_or_else(VmId::random, |vm| vm.id),
        stamp: cloud.stamp,
        cloud: Some(cloud.id),
        name: existing.as_ref().map_or_else(|| new.name.clone(), |vm| vm.name.clone()),
        description: new.description,
        template: new.template,
        network: new.network,
        size,
        status,
        host: None,
        owner: None,
        user_role: None,
        requested_by: Some(role.id),
        tags: new.tags,
        checkpoints: Vec::new(),
        created_at: existing.as_ref().map_or(draft.now, |vm| vm.created_at),
        modified_at: draft.now,
        last_job: existing.and_then(|vm| vm.last_job),
    };
    let machine = Machine::new(vm);
    if template.is_some() {
        return Ok(Answer::json(StatusCode::ACCEPTED, &jobs::begin(draft, caller, acting, machine, Work::Create { start: new.start })));
    }
    let begun = Begun { vm: machine.vm.clone(), job: None };
    draft.put_machine(machine, draft.now);
    Ok(Answer::json(StatusCode::CREATED, &begun))
}

/// Of a machine that is only declared.
const UNKNOWN_SIZE: Size = Size { cores: 0, memory_mb: 0, storage_gb: 0 };

/// `PATCH /vms/{id}`.
pub(super) fn change(draft: &mut Draft, caller: &Caller, acting: &Acting, id: VmId, change: VmChange) -> Result<Answer, Refused> {
    let mut machine = find(draft.world(), acting, id)?.as_ref().clone();
    if change.description.is_some() || change.tags.is_some() || change.size.is_some() {
        acting.permit(PermittedAction::Modify)?;
    }
    if let Some(owner) = change.owner {
        change_owner(&mut machine, acting, owner)?;
    }
    if let Some(role) = change.user_role {
        change_role(draft.world(), &mut machine, acting, role)?;
    }
    if let Some(description) = change.description {
        machine.vm.description = description;
    }
    if let Some(tags) = change.tags {
        machine.vm.tags = tags;
    }
    check_texts(&machine.vm.description, &machine.vm.tags)?;
    machine.vm.modified_at = draft.now;
    match change.size.filter(|size| *size != machine.vm.size) {
        Some(size) => resize(draft, caller, acting, machine, size),
        None => Ok(put(draft, machine)),
    }
}

/// Whether a machine is whose an administrator says it is. A role sees its own machines only, and need not say.
pub(super) fn check_holder(world: &World, acting: &Acting, said: Option<Holder>, id: VmId) -> Result<(), Refused> {
    if acting.role().is_some() {
        return Ok(());
    }
    let Some(machine) = world.machine(id) else { return Err(not_found(&id.to_string())) };
    let is = Holder::of(machine.holder());
    match said {
        Some(said) if said == is => Ok(()),
        Some(said) => {
            let message = format!("the machine `{}` is not held by `{said}` any more", machine.vm.name);
            Err(Refused::conflict("OwnershipChanged", message, "Read the machine again and decide anew."))
        }
        None => {
            let message = format!("an administrator has to say in `{HOLDER}` whose the machine is: `nobody`, or the id of a user role");
            Err(Refused::bad("HolderMissing", message, "Send the header."))
        }
    }
}

fn put(draft: &mut Draft, machine: Machine) -> Answer {
    let begun = Begun { vm: machine.vm.clone(), job: None };
    draft.put_machine(machine, draft.now);
    Answer::ok(&begun)
}

fn resize(draft: &mut Draft, caller: &Caller, acting: &Acting, mut machine: Machine, size: Size) -> Result<Answer, Refused> {
    check_size(size)?;
    check_idle(&machine)?;
    match machine.vm.status {
        VmStatus::Stopped => Ok(Answer::json(StatusCode::ACCEPTED, &jobs::begin(draft, caller, acting, machine, Work::Resize { size }))),
        VmStatus::Declared => {
            machine.vm.size = size;
            Ok(put(draft, machine))
        }
        VmStatus::CreationFailed | VmStatus::Deleting | VmStatus::Running | VmStatus::UnderCreation => {
            Err(wrong_state(&machine, "its size can be changed while it is Stopped or Declared"))
        }
    }
}

/// The second step of giving a machine away.
fn change_owner(machine: &mut Machine, acting: &Acting, owner: Box<str>) -> Result<(), Refused> {
    let Acting::Member(_, role) = acting else {
        let message = format!(
            "`{owner}` is not a valid Active Directory account, and an administrator can make only such an account the owner of `{}`; a claims \
             identity becomes its owner on a connection on behalf of its user role",
            machine.vm.name
        );
        return Err(Refused::bad(
            "NotADirectoryAccount",
            message,
            "Set the user role first, then the owner, connected on behalf of a member of that role.",
        ));
    };
    acting.permit(PermittedAction::Transfer)?;
    if machine.vm.user_role != Some(role.id) {
        return Err(wrong_state(machine, "it belongs to no user role yet, so it can have no owner"));
    }
    if !is_member(role, &owner) {
        let message = format!("`{owner}` is not a member of the user role `{}` ({})", role.name, role.id);
        return Err(Refused::bad("NotAMember", message, "Name a member of the role."));
    }
    machine.vm.owner = Some(owner);
    Ok(())
}

/// The first step of giving a machine away. The owner stays who it is.
fn change_role(world: &World, machine: &mut Machine, acting: &Acting, role: UserRoleId) -> Result<(), Refused> {
    acting.administrator("setting the user role of a machine")?;
    let role = world
        .role(role)
        .ok_or_else(|| Refused::bad("RoleNotFound", format!("the user role `{role}` is not known here"), "Look at the list of roles."))?;
    if machine.vm.user_role == Some(role.id) {
        return Ok(());
    }
    check_idle(machine)?;
    if !machine.is_ready() {
        return Err(wrong_state(machine, "its user role can be set while it is Running or Stopped"));
    }
    let cloud = cloud_for(world, role, machine).ok_or_else(|| {
        let message =
            format!("the user role `{}` ({}) may use no cloud of the stamp of the machine `{}`", role.name, role.id, machine.vm.name);
        Refused::conflict("CloudNotPermitted", message, "Give the role a cloud on that stamp first.")
    })?;
    if world.machine_of_role(role.id, cloud.id, &machine.vm.name).is_some() {
        return Err(exists(&machine.vm.name, cloud));
    }
    if let Some(problem) = quota::obstacle(world, role.id, Load::of(machine.vm.size), machine.vm.id) {
        return Err(Refused { status: StatusCode::CONFLICT, problem });
    }
    machine.vm.cloud = Some(cloud.id);
    machine.vm.user_role = Some(role.id);
    Ok(())
}

/// The machine's own cloud if the role may use it, else one of the role on the same stamp: that of its host first, then by name.
fn cloud_for<'a>(world: &'a World, role: &UserRole, machine: &Machine) -> Option<&'a Arc<Cloud>> {
    let permitted = role.clouds.iter().filter_map(|cloud| world.clouds.get(cloud)).filter(|cloud| cloud.stamp == machine.vm.stamp);
    let has_host = |cloud: &Cloud| machine.vm.host.is_some_and(|host| cloud.hosts.contains(&host));
    permitted.min_by_key(|cloud| (machine.vm.cloud != Some(cloud.id), !has_host(cloud), &cloud.name))
}

/// `POST /vms/{id}/operations`.
pub(super) fn operate(draft: &mut Draft, caller: &Caller, acting: &Acting, id: VmId, operation: Operation) -> Result<Answer, Refused> {
    let machine = find(draft.world(), acting, id)?.as_ref().clone();
    acting.permit(match operation {
        Operation::CreateCheckpoint { .. } | Operation::DeleteCheckpoint { .. } | Operation::RestoreCheckpoint { .. } => {
            PermittedAction::Checkpoint
        }
        Operation::Restart {} | Operation::Start {} | Operation::Stop {} => PermittedAction::StartStop,
    })?;
    if !machine.is_ready() {
        return Err(wrong_state(&machine, "this is done with machines that are Running or Stopped"));
    }
    check_idle(&machine)?;
    let is_done =
        matches!((&operation, machine.vm.status), (Operation::Start {}, VmStatus::Running) | (Operation::Stop {}, VmStatus::Stopped));
    if is_done {
        return Ok(Answer::ok(&Begun { vm: machine.vm, job: None }));
    }
    let work = work(&machine, operation)?;
    Ok(Answer::json(StatusCode::ACCEPTED, &jobs::begin(draft, caller, acting, machine, work)))
}

fn work(machine: &Machine, operation: Operation) -> Result<Work, Refused> {
    match operation {
        Operation::CreateCheckpoint { name, description } => {
            check_checkpoint_name(&name)?;
            check_texts(&description, &BTreeMap::new())?;
            if machine.vm.checkpoints.len() >= CHECKPOINTS_MAX {
                let message = format!("the machine `{}` has {CHECKPOINTS_MAX} checkpoints, and no more are allowed", machine.vm.name);
                return Err(Refused::conflict("TooManyCheckpoints", message, "Remove checkpoints that are no longer needed."));
            }
            let checkpoint = Checkpoint { id: CheckpointId::random(), name, description, created_at: machine.vm.modified_at };
            Ok(Work::CreateCheckpoint { checkpoint })
        }
        Operation::DeleteCheckpoint { id } => Ok(Work::DeleteCheckpoint { checkpoint: checkpoint(machine, id)? }),
        Operation::RestoreCheckpoint { id } => Ok(Work::RestoreCheckpoint { checkpoint: checkpoint(machine, id)? }),
        Operation::Restart {} if machine.vm.status != VmStatus::Running => Err(wrong_state(machine, "only a Running one can be restarted")),
        Operation::Restart {} => Ok(Work::Restart {}),
        Operation::Start {} => Ok(Work::Start {}),
        Operation::Stop {} => Ok(Work::Stop {}),
    }
}

fn checkpoint(machine: &Machine, id: CheckpointId) -> Result<Checkpoint, Refused> {
    machine
        .vm
        .checkpoints
        .iter()
        .find(|kept| kept.id == id)
        .cloned()
        .ok_or_else(|| Refused::missing("CheckpointNotFound", format!("the machine `{}` has no checkpoint `{id}`", machine.vm.name)))
}

/// `DELETE /vms/{id}`.
pub(super) fn delete(draft: &mut Draft, caller: &Caller, acting: &Acting, id: VmId) -> Result<Answer, Refused> {
    let mut machine = find(draft.world(), acting, id)?.as_ref().clone();
    acting.permit(PermittedAction::Remove)?;
    match machine.vm.status {
        VmStatus::CreationFailed | VmStatus::Declared => {
            draft.remove_machine(id, draft.now);
            Ok(Answer::ok(&Begun { vm: machine.vm, job: None }))
        }
        VmStatus::Deleting => {
            let job = machine.job.and_then(|number| draft.world().jobs.get(&number)).map(|job| job.told(draft.now));
            Ok(Answer::json(StatusCode::ACCEPTED, &Begun { vm: machine.vm, job }))
        }
        VmStatus::Running | VmStatus::Stopped | VmStatus::UnderCreation => {
            check_idle(&machine)?;
            let before = machine.vm.status;
            machine.vm.status = VmStatus::Deleting;
            Ok(Answer::json(StatusCode::ACCEPTED, &jobs::begin(draft, caller, acting, machine, Work::Remove { before })))
        }
    }
}

/// A cloud that a role may use.
pub(super) fn usable_cloud(world: &World, role: &UserRole, id: CloudId) -> Result<Arc<Cloud>, Refused> {
    let cloud = world.clouds.get(&id).filter(|cloud| role.clouds.contains(&cloud.id));
    cloud.cloned().ok_or_else(|| not_permitted("Cloud", "cloud", &id.to_string(), role))
}

fn usable_template(world: &World, role: &UserRole, cloud: &Cloud, id: TemplateId) -> Result<Arc<Template>, Refused> {
    let template = world.templates.get(&id).filter(|template| role.templates.contains(&template.id));
    let template = template.ok_or_else(|| not_permitted("Template", "template", &id.to_string(), role))?;
    if template.stamp == cloud.stamp {
        return Ok(Arc::clone(template));
    }
    let message = format!("the template `{}` is not on the stamp of the cloud `{}`", template.name, cloud.name);
    Err(Refused::bad("OtherStamp", message, "Name a template of that stamp."))
}

fn check_network(role: &UserRole, cloud: &Cloud, new: &NewVm) -> Result<(), Refused> {
    match new.network {
        None => Ok(()),
        Some(network) if !role.networks.contains(&network) => Err(not_permitted("Network", "network", &network.to_string(), role)),
        Some(network) if !cloud.networks.contains(&network) => {
            let message = format!("the network `{network}` is not one of the cloud `{}`", cloud.name);
            Err(Refused::bad("NetworkNotInCloud", message, "Name a network of that cloud."))
        }
        Some(_) => Ok(()),
    }
}

fn not_permitted(code: &str, kind: &str, id: &str, role: &UserRole) -> Refused {
    let message = format!("the user role `{}` ({}) may not use the {kind} `{id}`", role.name, role.id);
    Refused::forbidden(&format!("{code}NotPermitted"), message, "Name one from the role's list.")
}

pub(super) fn exists(name: &str, cloud: &Cloud) -> Refused {
    let message = format!("the user role has a machine `{name}` in the cloud `{}` already", cloud.name);
    Refused::conflict("VmExists", message, "Take another name, or remove that machine first.")
}

fn wrong_state(machine: &Machine, rule: &str) -> Refused {
    let message = format!("the machine `{}` is {:?}; {rule}", machine.vm.name, machine.vm.status);
    Refused::conflict("VmStatus", message, "Bring it into that state first.")
}

fn check_idle(machine: &Machine) -> Result<(), Refused> {
    match machine.job {
        None => Ok(()),
        Some(_) => {
            let message = format!("a job about the machine `{}` is under way", machine.vm.name);
            Err(Refused::conflict("VmBusy", message, "Wait for its last job to end."))
        }
    }
}

fn check_name(field: &str, name: &str) -> Result<(), Refused> {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if is_plain && (1..=NAME_CHARS_MAX).contains(&name.len()) {
        return Ok(());
    }
    let message = format!("`{field}` is not 1 to {NAME_CHARS_MAX} letters, digits, `-`, `_` and `.`");
    Err(Refused::bad("InvalidName", message, "Take another name."))
}

fn check_checkpoint_name(name: &str) -> Result<(), Refused> {
    if (1..=NAME_CHARS_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let message = format!("the name of the checkpoint does not have 1 to {NAME_CHARS_MAX} printable characters");
    Err(Refused::bad("InvalidName", message, "Take another name."))
}

fn check_texts(description: &str, tags: &BTreeMap<Box<str>, Box<str>>) -> Result<(), Refused> {
    let refused = |message: String| Err(Refused::bad("InvalidText", message, "Shorten it."));
    if description.chars().count() > DESCRIPTION_CHARS_MAX {
        return refused(format!("`description` has more than {DESCRIPTION_CHARS_MAX} characters"));
    }
    if tags.len() > TAGS_MAX {
        return refused(format!("there are {} tags; allowed: {TAGS_MAX}", tags.len()));
    }
    let is_odd = tags.keys().any(|name| !(1..=TAG_NAME_CHARS_MAX).contains(&name.chars().count()))
        || tags.values().any(|value| value.chars().count() > TAG_VALUE_CHARS_MAX);
    if !is_odd {
        return Ok(());
    }
    refused(format!("a tag has no name, one of more than {TAG_NAME_CHARS_MAX} characters, or a value of more than {TAG_VALUE_CHARS_MAX}"))
}

fn check_size(size: Size) -> Result<(), Refused> {
    let amounts =
        [("cores", size.cores, CORES_MAX), ("memory_mb", size.memory_mb, MEMORY_MB_MAX), ("storage_gb", size.storage_gb, STORAGE_GB_MAX)];
    match amounts.into_iter().find(|(_, amount, most)| !(1..=*most).contains(amount)) {
        None => Ok(()),
        Some((name, amount, most)) => {
            Err(Refused::bad("InvalidSize", format!("`size.{name}` is {amount}; allowed: 1 to {most}"), "Ask for another size."))
        }
    }
}
