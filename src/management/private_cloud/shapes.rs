//! How machines and jobs are shown. Source: Microsoft.ScVmm, 2023-10-07.

use serde_json::{Value, json};

use super::address::Catalogue as Kind;
use super::{Call, Side};
use crate::forward::Catalogue;
use crate::ids::JobId;
use crate::vmm::{self, JobStatus, VmStatus};

/// Our own part of the API.
pub(super) const SCVMM: &str = "api-version=2023-10-07";

impl Call<'_> {
    /// The resource group of a machine: its cloud, or the stamp where it belongs to nobody.
    pub(super) fn group_of(&self, vm: &vmm::Vm, offered: &Catalogue) -> String {
        let stamp = || offered.stamp(vm.stamp).map(|stamp| stamp.name.to_string());
        match self.side {
            Side::Operator => stamp(),
            Side::Tenant(..) => vm.cloud.and_then(|id| offered.cloud(id)).map(|cloud| cloud.name.to_string()).or_else(stamp),
        }
        .unwrap_or_default()
    }

    pub(super) fn machine_id(&self, group: &str, name: &str) -> String {
        format!("/subscriptions/{}/resourceGroups/{group}/providers/Microsoft.HybridCompute/machines/{name}", self.subscription)
    }

    pub(super) fn instance_id(&self, group: &str, name: &str) -> String {
        format!("{}/providers/Microsoft.ScVmm/virtualMachineInstances/default", self.machine_id(group, name))
    }

    pub(super) fn show_machine(&self, vm: &vmm::Vm, offered: &Catalogue) -> Value {
        let group = self.group_of(vm, offered);
        json!({
            "id": self.machine_id(&group, &vm.name),
            "name": vm.name,
            "type": "Microsoft.HybridCompute/machines",
            "kind": "SCVMM",
            "location": offered.stamp(vm.stamp).map(|stamp| &stamp.name),
            "tags": vm.tags,
            "properties": {
                "displayName": vm.name,
                "provisioningState": "Succeeded",
                "status": if vm.status == VmStatus::Running { "Connected" } else { "Disconnected" },
                "vmId": vm.id,
                "parentClusterResourceId": null,
            },
        })
    }

    pub(super) fn show_instance(&self, vm: &vmm::Vm, offered: &Catalogue, failure: Option<&vmm::Problem>) -> Value {
        let group = self.group_of(vm, offered);
        let stamp = offered.stamp(vm.stamp);
        let name_of_stamp = stamp.map_or("", |stamp| &stamp.name);
        let template = vm.template.and_then(|id| offered.templates.iter().find(|one| one.id == id));
        let network = vm.network.and_then(|id| offered.networks.iter().find(|one| one.id == id));
        let in_group = |kind, name: &str| self.offered_id(kind, &group, name);
        let checkpoints: Vec<Value> = vm
            .checkpoints
            .iter()
            .map(|one| json!({ "checkpointID": one.id, "name": one.name, "description": one.description, "createdAt": one.created_at.to_string(), "parentCheckpointID": null }))
            .collect();
        let interfaces: Vec<Value> = network
            .iter()
            .map(|one| json!({ "name": "nic-1", "virtualNetworkId": in_group(Kind::Networks, &one.name), "networkName": one.name }))
            .collect();
        json!({
            "id": self.instance_id(&group, &vm.name),
            "name": "default",
            "type": "microsoft.scvmm/virtualmachineinstances",
            "extendedLocation": self.extended_location(name_of_stamp),
            "systemData": { "createdAt": vm.created_at.to_string(), "lastModifiedAt": vm.modified_at.to_string() },
            "properties": {
                "provisioningState": provisioning_state(vm.status),
                "powerState": power_state(vm.status),
                "availabilitySets": [],
                "osProfile": { "computerName": vm.name, "osSku": template.map(|one| &one.operating_system) },
                "hardwareProfile": { "cpuCount": vm.size.cores, "memoryMB": vm.size.memory_mb, "dynamicMemoryEnabled": "false" },
                "networkProfile": { "networkInterfaces": interfaces },
                "storageProfile": { "disks": [{ "name": "system", "diskSizeGB": vm.size.storage_gb }] },
                "infrastructureProfile": {
                    "vmName": vm.name,
                    "uuid": vm.id,
                    "vmmServerId": stamp.map(|stamp| in_group(Kind::Servers, &stamp.server.name)),
                    "cloudId": vm.cloud.and_then(|id| offered.cloud(id)).map(|cloud| in_group(Kind::Clouds, &cloud.name)),
                    "templateId": template.map(|one| in_group(Kind::Templates, &one.name)),
                    "checkpoints": checkpoints,
                    "generation": 2,
                },
                "privateCloud": {
                    "id": vm.id,
                    "stampId": vm.stamp,
                    "cloudId": vm.cloud,
                    "templateId": vm.template,
                    "networkId": vm.network,
                    "description": vm.description,
                    "owner": vm.owner,
                    "userRole": vm.user_role,
                    "requestedBy": vm.requested_by,
                    "tags": vm.tags,
                    "status": vm.status,
                    "host": vm.host,
                    "storageGb": vm.size.storage_gb,
                    "jobId": vm.last_job,
                    "createdAt": vm.created_at.to_string(),
                    "modifiedAt": vm.modified_at.to_string(),
                    "failure": failure.map(show_problem),
                },
            },
        })
    }

    pub(super) fn job_id(&self, group: &str, name: &str, id: JobId) -> String {
        format!("{}/jobs/{id}", self.instance_id(group, name))
    }

    /// A job, in the form that clients poll operations in as well.
    pub(super) fn show_job(&self, job: &vmm::Job, offered: &Catalogue) -> Value {
        let cloud = job.cloud.and_then(|id| offered.cloud(id)).map(|cloud| &*cloud.name);
        let group = cloud.or_else(|| offered.stamp(job.stamp).map(|stamp| &*stamp.name)).unwrap_or_default();
        let mut document = json!({
            "id": self.job_id(group, &job.vm_name, job.id),
            "name": job.id,
            "type": "microsoft.scvmm/virtualmachineinstances/jobs",
            "status": match job.status {
                JobStatus::Completed => "Succeeded",
                JobStatus::Failed => "Failed",
                JobStatus::Running => "InProgress",
            },
            "percentComplete": job.progress,
            "startTime": job.started_at.to_string(),
            "endTime": job.ended_at.map(|at| at.to_string()),
            "properties": {
                "name": job.name,
                "status": job.status,
                "progress": job.progress,
                "startedAt": job.started_at.to_string(),
                "endedAt": job.ended_at.map(|at| at.to_string()),
                "error": job.error.as_ref().map(show_problem),
                "steps": job.steps,
                "stampId": job.stamp,
                "vmId": job.vm,
                "vmName": job.vm_name,
                "cloud": cloud,
                "requestedBy": job.requested_by,
                "requestedByName": job.requested_by_name,
                "onBehalfOfUser": job.on_behalf_of_user,
                "onBehalfOfUserRole": job.on_behalf_of_user_role,
            },
        });
        if let (Some(problem), Value::Object(members)) = (&job.error, &mut document) {
            let text = format!("{} {}", problem.message, problem.recommended_action);
            members.insert("error".to_owned(), json!({ "code": problem.code, "message": text.trim() }));
        }
        document
    }
}

pub(super) fn show_problem(problem: &vmm::Problem) -> Value {
    json!({ "code": problem.code, "message": problem.message, "recommendedAction": problem.recommended_action })
}

const fn provisioning_state(status: VmStatus) -> &'static str {
    match status {
        VmStatus::CreationFailed => "Failed",
        VmStatus::Declared | VmStatus::UnderCreation => "Provisioning",
        VmStatus::Deleting => "Deleting",
        VmStatus::Running | VmStatus::Stopped => "Succeeded",
    }
}

const fn power_state(status: VmStatus) -> &'static str {
    match status {
        VmStatus::Running => "Running",
        VmStatus::Stopped => "Stopped",
        VmStatus::CreationFailed | VmStatus::Declared | VmStatus::Deleting | VmStatus::UnderCreation => "Unknown",
    }
}
