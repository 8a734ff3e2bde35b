//! A machine changes hands: from one tenant to another, or from nobody to a tenant.
//!
//! The one who has it is asked with `transfer/action`, the one who gets it with `write` on what it becomes there. Each of the two is a
//! request of its own with a record of its own, in the log of the tenant it concerns; the fabric then does it in one transaction.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::address::Machine;
use super::shapes::{SCVMM, show_problem};
use super::{Call, OwnAnswer, OwnError, Sent, Side};
use crate::arm::action::Method;
use crate::directory::PlanService;
use crate::forward::FabricError;
use crate::ids::{SubscriptionId, UserRoleId, VmId};
use crate::management::{Part, body};
use crate::vmm;

/// Where a machine is to go.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Going {
    /// `/subscriptions/{id}/resourceGroups/{cloud}`; none when the other side has been asked, and wants to hear whether it may have the machine, which is a preview as well.
    target_resource_group_id: Option<String>,
    /// Say what would happen, and do nothing.
    #[serde(default)]
    preview: bool,
    /// Only the first of the two old steps: another role, and the owner stays.
    #[serde(default)]
    role_only: bool,
}

/// The other half: what the one who gets a machine is asked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Coming {
    /// The machine's full resource id where it is now.
    from: String,
    #[serde(default)]
    preview: bool,
    #[serde(default)]
    role_only: bool,
}

impl Call<'_> {
    /// Asks the other side, which then has it done. To be asked here is to have `transfer/action`, whoever began.
    pub(super) async fn transfer(&self, machine: Machine<'_>, body: Sent<'_>) -> Result<OwnAnswer, OwnError> {
        let going: Going = body::read_as(body).await?;
        let vm = self.existing(machine).await?;
        let target = match going.target_resource_group_id.as_deref() {
            Some(target) => target,
            None if going.preview => return Ok(OwnAnswer::ok(json!({ "id": vm.id, "userRole": vm.user_role }))),
            None => {
                let problem = "is missing; expected `/subscriptions/{id}/resourceGroups/{cloud}`".to_owned();
                return Err(OwnError::Machine { target: "targetResourceGroupId", problem });
            }
        };
        let target = self.group_id(target)?;
        let path = format!(
            "{target}/providers/Microsoft.HybridCompute/machines/{}/providers/Microsoft.ScVmm/virtualMachineInstances/default",
            machine.name
        );
        let from = self.instance_id(machine.group, machine.name);
        let body = json!({ "properties": { "privateCloud": { "transfer": { "from": from, "preview": going.preview, "roleOnly": going.role_only } } } });
        let part = Part { request: self.request, method: Method::Put, path: &path, query: SCVMM, body: Some(&body) };
        let answer = self.desk.parts.perform(part).await;
        if matches!(answer.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) {
            return Err(OwnError::Part(Box::new(answer)));
        }
        Ok(OwnAnswer { status: answer.status, body: Some(answer.body), headers: Vec::new() })
    }

    /// A resource group and nothing else: what follows it is put there by us.
    fn group_id<'t>(&self, text: &'t str) -> Result<&'t str, OwnError> {
        let text = text.trim_end_matches('/');
        let segments: Vec<&str> = text.split('/').collect();
        match segments.as_slice() {
            ["", subscriptions, id, groups, name]
                if subscriptions.eq_ignore_ascii_case("subscriptions")
                    && id.parse::<SubscriptionId>().is_ok()
                    && groups.eq_ignore_ascii_case("resourceGroups")
                    && is_name(name) =>
            {
                Ok(text)
            }
            _ => Err(OwnError::Machine {
                target: "targetResourceGroupId",
                problem: "is no resource group; expected `/subscriptions/{id}/resourceGroups/{cloud}`".to_owned(),
            }),
        }
    }

    /// Takes a machine that its present holder gives away.
    pub(super) async fn take_over(&self, machine: Machine<'_>, coming: &Coming) -> Result<OwnAnswer, OwnError> {
        let Side::Tenant(cloud, entitlement) = &self.side else {
            return Err(OwnError::Machine {
                target: "properties.privateCloud.transfer",
                problem: "a machine can be given to a tenant only".to_owned(),
            });
        };
        if !entitlement.opens(PlanService::Transfers) {
            let problem = "is in a subscription whose plan does not open transfers".to_owned();
            return Err(OwnError::Machine { target: "targetResourceGroupId", problem });
        }
        if !coming.from.to_ascii_lowercase().contains(&format!("/machines/{}/", machine.name.to_ascii_lowercase())) {
            return Err(OwnError::Machine {
                target: "properties.privateCloud.transfer.from",
                problem: "names another machine than the path; a machine keeps its name".to_owned(),
            });
        }
        let (id, from) = self.ask_holder(coming).await?;
        let offered = self.offered().await?;
        let to_cloud = offered.cloud_named(machine.group).filter(|known| self.has_cloud(known)).ok_or_else(|| OwnError::Machine {
            target: "targetResourceGroupId",
            problem: format!("`{}` is no cloud of the plan of the subscription {}", machine.group, self.subscription),
        })?;
        if coming.role_only {
            return self.change_role(id, from, coming.preview).await;
        }
        let owner = match self.connection() {
            vmm::Connection::OnBehalfOf { user, .. } => user,
            vmm::Connection::Administrator {} => (&*cloud.administrator.identity).into(),
        };
        let transfer = vmm::Transfer { from, to: self.own_role(), owner, cloud: to_cloud.id, preview: coming.preview };
        let done: vmm::Transferred = self.write(Method::Post, &format!("/vms/{id}/transfer"), &transfer).await?;
        // A preview tells of everything in the way; without one, the first of it is why nothing was done.
        if let Some(problem) = done.obstacles.first().filter(|_| !coming.preview) {
            return Err(FabricError::Refused { status: StatusCode::CONFLICT, problem: problem.clone() }.into());
        }
        Ok(OwnAnswer::ok(json!({
            "preview": coming.preview,
            "before": side(&done.before),
            "after": side(&done.after),
            "obstacles": done.obstacles.iter().map(show_problem).collect::<Vec<_>>(),
            "jobId": done.job,
            "targetId": self.instance_id(&to_cloud.name, &done.after.name),
        })))
    }

    /// Whether the caller may give away what the other side has; a request there, with a record of its own. The machine, and whose it is.
    async fn ask_holder(&self, coming: &Coming) -> Result<(VmId, Option<UserRoleId>), OwnError> {
        let path = format!("{}/transfer", self.instance_path(&coming.from)?);
        let part = Part { request: self.request, method: Method::Post, path: &path, query: SCVMM, body: Some(&json!({ "preview": true })) };
        let answer = self.desk.parts.perform(part).await;
        if !answer.status.is_success() {
            return Err(OwnError::Part(Box::new(answer)));
        }
        let text = |name: &str| answer.body.get(name).and_then(Value::as_str);
        let id = text("id").and_then(|id| id.parse().ok()).ok_or_else(|| self.not_found())?;
        Ok((id, text("userRole").and_then(|role| role.parse().ok())))
    }

    /// A machine and nothing else.
    fn instance_path<'t>(&self, text: &'t str) -> Result<&'t str, OwnError> {
        let wrong = || OwnError::Machine {
            target: "properties.privateCloud.transfer.from",
            problem: "is no machine; expected its full resource id".to_owned(),
        };
        let (machine, last) = text.split_once("/providers/Microsoft.ScVmm/").ok_or_else(wrong)?;
        let (group, name) = machine.split_once("/providers/Microsoft.HybridCompute/machines/").ok_or_else(wrong)?;
        let is_machine = last == "virtualMachineInstances/default" && is_name(name);
        if is_machine && self.group_id(group).is_ok() { Ok(text) } else { Err(wrong()) }
    }

    /// The first of the two old steps: an administrator's, after both sides were asked.
    async fn change_role(&self, id: VmId, from: Option<UserRoleId>, preview: bool) -> Result<OwnAnswer, OwnError> {
        if preview {
            return Err(OwnError::Machine { target: "preview", problem: "there is none for one of the two steps".to_owned() });
        }
        let change = vmm::VmChange { user_role: Some(self.own_role()), ..vmm::VmChange::default() };
        let (path, holder) = (format!("/vms/{id}"), Some(vmm::Holder::of(from)));
        let begun: vmm::Begun = self.write_held(Method::Patch, &path, &change, &vmm::Connection::Administrator {}, holder).await?;
        Ok(OwnAnswer::ok(json!({ "after": side(&begun.vm), "obstacles": [] })))
    }
}

/// One segment of a path, as names of groups and machines are.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'(' | b')'))
}

fn side(vm: &vmm::Vm) -> Value {
    json!({ "id": vm.id, "name": vm.name, "stampId": vm.stamp, "cloudId": vm.cloud, "owner": vm.owner, "userRole": vm.user_role, "status": vm.status })
}
