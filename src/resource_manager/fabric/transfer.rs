//! A machine changes hands: role, owner and cloud in one change, or nothing.

use crate::ids::VmId;
use crate::vmm::{PermittedAction, Problem, Transfer, Transferred, Vm};

use super::connection::{Acting, Caller};
use super::jobs::{self, Work};
use super::machines;
use super::quota::{self, Load};
use super::refused::{Answer, Refused, problem};
use super::world::{Draft, Machine, World};

/// `POST /vms/{id}/transfer`.
pub(super) fn transfer(draft: &mut Draft, caller: &Caller, acting: &Acting, id: VmId, asked: &Transfer) -> Result<Answer, Refused> {
    let (user, role) = acting.member("transferring a machine")?;
    if asked.to != role.id {
        let message = format!("the connection is on behalf of the user role `{}`, and the machine would go to `{}`", role.id, asked.to);
        return Err(Refused::forbidden("OnBehalfOfRefused", message, "Connect on behalf of the role that gets the machine."));
    }
    if asked.owner.to_lowercase() != user.to_lowercase() {
        let message = format!("the connection is on behalf of `{user}`, and the machine would go to `{}`", asked.owner);
        return Err(Refused::forbidden("OnBehalfOfRefused", message, "Connect on behalf of the member that gets the machine."));
    }
    acting.permit(PermittedAction::Transfer)?;
    let cloud = machines::usable_cloud(draft.world(), role, asked.cloud)?;
    let machine = draft.world().machine(id).cloned().ok_or_else(|| machines::not_found(&id.to_string()))?;
    // Of a machine that is being made or has come to nothing, that is who asked for it.
    if machine.holder() != asked.from {
        let message = format!("the machine `{id}` does not belong to whom the transfer takes it from");
        return Err(Refused::conflict("OwnershipChanged", message, "Read the machine again and decide anew."));
    }
    let mut next = machine.as_ref().clone();
    let before = next.vm.clone();
    next.vm.user_role = Some(role.id);
    next.vm.owner = Some(user.into());
    next.vm.cloud = Some(cloud.id);
    let obstacles = obstacles(draft.world(), &machine, &next.vm);
    if asked.preview || !obstacles.is_empty() {
        return Ok(Answer::ok(&Transferred { before, after: next.vm, job: None, obstacles }));
    }
    next.vm.modified_at = draft.now;
    let job = jobs::at_once(draft, caller, acting, &next, Work::Transfer {});
    next.vm.last_job = Some(job);
    let answer = Answer::ok(&Transferred { before, after: next.vm.clone(), job: Some(job), obstacles });
    draft.put_machine(next, draft.now);
    Ok(answer)
}

/// All that keeps a machine from becoming `after`.
fn obstacles(world: &World, machine: &Machine, after: &Vm) -> Vec<Problem> {
    let name = &machine.vm.name;
    let state = (!machine.is_ready())
        .then(|| problem("VmStatus", format!("the machine `{name}` is {:?}", machine.vm.status), "Wait until it is Running or Stopped."));
    let busy = machine
        .job
        .filter(|_| machine.is_ready())
        .map(|_| problem("VmBusy", format!("a job about the machine `{name}` is under way"), "Wait for its last job to end."));
    let cloud = after.cloud.and_then(|cloud| world.clouds.get(&cloud));
    let stamp = cloud.filter(|cloud| cloud.stamp != after.stamp).map(|cloud| {
        let message = format!("the cloud `{}` is on another stamp than the machine `{name}`", cloud.name);
        problem("OtherStamp", message, "Name a cloud of the machine's stamp.")
    });
    let clash = after.user_role.zip(cloud).and_then(|(role, cloud)| {
        let found = world.machine_of_role(role, cloud.id, name).filter(|found| found.vm.id != after.id)?;
        Some(machines::exists(&found.vm.name, cloud).problem)
    });
    let quota = after.user_role.and_then(|role| quota::obstacle(world, role, Load::of(after.size), after.id));
    [state, busy, stamp, clash, quota].into_iter().flatten().collect()
}
