//! Machines: looked at, made, changed, started, stopped, removed.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::address::Machine;
use super::shapes::SCVMM;
use super::{Call, OwnAnswer, OwnError, Sent, Side};
use crate::arm::action::Method;
use crate::forward::Catalogue;
use crate::ids::{CheckpointId, JobId};
use crate::management::body;
use crate::vmm::{self, VmStatus};

/// What is said of a machine. Everything else that a document may hold says nothing here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wanted {
    tags: Option<BTreeMap<Box<str>, Box<str>>>,
    properties: Properties,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    infrastructure_profile: Infrastructure,
    hardware_profile: Hardware,
    network_profile: Network,
    private_cloud: Own,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Infrastructure {
    cloud_id: Option<String>,
    template_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Hardware {
    #[serde(rename = "cpuCount")]
    cores: Option<u32>,
    #[serde(rename = "memoryMB")]
    memory_mb: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Network {
    network_interfaces: Vec<Interface>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Interface {
    virtual_network_id: Option<String>,
}

/// What `Microsoft.ScVmm` has no word for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Own {
    description: Option<Box<str>>,
    owner: Option<Box<str>>,
    /// Whether an owner is to be written without saying in whose name, as an administrator would.
    plain: bool,
    start: bool,
    storage_gb: Option<u32>,
    user_role: Option<String>,
    transfer: Option<super::transfer::Coming>,
}

/// What an action is told. Source: Microsoft.ScVmm, `VirtualMachineCreateCheckpoint` and its like; `skipShutdown` says nothing here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    id: String,
    name: Option<Box<str>>,
    description: Box<str>,
}

impl Wanted {
    /// A user role changes by a transfer, and an owner by itself: what is not done as one is not asked for as one.
    fn require_one_change(&self, known: &vmm::Vm) -> Result<(), OwnError> {
        let own = &self.properties.private_cloud;
        let refuse = |target, problem: &str| Err(OwnError::Machine { target, problem: problem.to_owned() });
        let present = known.user_role.map(|role| role.to_string());
        if own.user_role.is_some() && own.user_role != present {
            return refuse("properties.privateCloud.userRole", "is not changed like this; use the action `transfer`");
        }
        let hardware = &self.properties.hardware_profile;
        let changes_more = self.tags.is_some()
            || own.description.is_some()
            || [hardware.cores, hardware.memory_mb, own.storage_gb].iter().any(Option::is_some);
        match own.owner.is_some() && changes_more {
            true => refuse("properties.privateCloud.owner", "is changed alone; send everything else in another request"),
            false => Ok(()),
        }
    }
}

impl Call<'_> {
    pub(super) async fn machines(&self, group: Option<&str>) -> Result<OwnAnswer, OwnError> {
        let offered = self.offered().await?;
        let id = |vm: &vmm::Vm| self.machine_id(&self.group_of(vm, &offered), &vm.name);
        self.listed(self.vms(group, &offered).await?, id, |vm| self.show_machine(vm, &offered))
    }

    pub(super) async fn machine(&self, machine: Machine<'_>) -> Result<OwnAnswer, OwnError> {
        let offered = self.offered().await?;
        Ok(OwnAnswer::ok(self.show_machine(&self.existing(machine).await?, &offered)))
    }

    /// The resource that a machine will be made for, or its tags.
    pub(super) async fn put_machine(&self, machine: Machine<'_>, body: Sent<'_>) -> Result<OwnAnswer, OwnError> {
        let wanted: Wanted = body::read_as(body).await?;
        let offered = self.offered().await?;
        if let Some(known) = self.find(machine).await? {
            let change = vmm::VmChange { tags: wanted.tags, ..vmm::VmChange::default() };
            let begun: vmm::Begun = self.write(Method::Patch, &format!("/vms/{}", known.id), &change).await?;
            return Ok(OwnAnswer::ok(self.show_machine(&begun.vm, &offered)));
        }
        if self.request.method == Method::Patch {
            return Err(self.not_found());
        }
        let begun = self.make(machine, &wanted, None, &offered).await?;
        Ok(OwnAnswer { status: StatusCode::CREATED, ..OwnAnswer::ok(self.show_machine(&begun.vm, &offered)) })
    }

    pub(super) async fn instances(&self, group: Option<&str>, name: Option<&str>) -> Result<OwnAnswer, OwnError> {
        let offered = self.offered().await?;
        let mut vms = self.vms(group, &offered).await?;
        vms.retain(|vm| name.is_none_or(|name| vm.name.eq_ignore_ascii_case(name)));
        let id = |vm: &vmm::Vm| self.instance_id(&self.group_of(vm, &offered), &vm.name);
        self.listed(vms, id, |vm| self.show_instance(vm, &offered, None))
    }

    /// The machines that belong to the tenant, or to nobody.
    async fn vms(&self, group: Option<&str>, offered: &Catalogue) -> Result<Vec<vmm::Vm>, OwnError> {
        let mut query = match self.side {
            Side::Operator => "unowned=true".to_owned(),
            Side::Tenant(..) => format!("role={}", self.own_role()),
        };
        if let (Some(group), Side::Tenant(..)) = (group, &self.side) {
            let Some(cloud) = offered.cloud_named(group) else { return Ok(Vec::new()) };
            query.push_str(&format!("&cloud={}", cloud.id));
        }
        let mut vms: Vec<vmm::Vm> = self.read_all("/vms", &query).await?;
        if let (Some(group), Side::Operator) = (group, &self.side) {
            vms.retain(|vm| self.group_of(vm, offered).eq_ignore_ascii_case(group));
        }
        Ok(vms)
    }

    pub(super) async fn instance(&self, machine: Machine<'_>) -> Result<OwnAnswer, OwnError> {
        let vm = self.existing(machine).await?;
        if vm.status == VmStatus::Declared {
            return Err(self.not_found());
        }
        let offered = self.offered().await?;
        let failure = self.failure(&vm).await?;
        Ok(OwnAnswer::ok(self.show_instance(&vm, &offered, failure.as_ref())))
    }

    /// Why it was not made.
    async fn failure(&self, vm: &vmm::Vm) -> Result<Option<vmm::Problem>, OwnError> {
        let (VmStatus::CreationFailed, Some(job)) = (vm.status, vm.last_job) else { return Ok(None) };
        let job: vmm::Job = self.read(&format!("/jobs/{job}"), "").await?;
        Ok(job.error)
    }

    pub(super) async fn put_instance(&self, machine: Machine<'_>, body: Sent<'_>) -> Result<OwnAnswer, OwnError> {
        let wanted: Wanted = body::read_as(body).await?;
        if let Some(coming) = &wanted.properties.private_cloud.transfer {
            return self.take_over(machine, coming).await;
        }
        let offered = self.offered().await?;
        match self.find(machine).await? {
            Some(known) if matches!(known.status, VmStatus::Running | VmStatus::Stopped) => {
                let begun = self.resize(&known, &wanted).await?;
                Ok(self.begun(StatusCode::OK, machine, &begun, &offered))
            }
            Some(_) | None => {
                let template = self.template(self.cloud(machine, &wanted, &offered)?, &wanted, &offered)?;
                let begun = self.make(machine, &wanted, Some(template), &offered).await?;
                Ok(self.begun(StatusCode::CREATED, machine, &begun, &offered))
            }
        }
    }

    async fn make(
        &self,
        machine: Machine<'_>,
        wanted: &Wanted,
        template: Option<&vmm::Template>,
        offered: &Catalogue,
    ) -> Result<vmm::Begun, OwnError> {
        let cloud = self.cloud(machine, wanted, offered)?;
        let properties = &wanted.properties;
        let size = template.map(|template| vmm::Size {
            cores: properties.hardware_profile.cores.unwrap_or(template.size.cores),
            memory_mb: properties.hardware_profile.memory_mb.unwrap_or(template.size.memory_mb),
            storage_gb: properties.private_cloud.storage_gb.unwrap_or(template.size.storage_gb),
        });
        let new = vmm::NewVm {
            name: machine.name.into(),
            cloud: cloud.id,
            template: template.map(|template| template.id),
            network: self.network(cloud, wanted, offered)?,
            size,
            description: properties.private_cloud.description.clone().unwrap_or_default(),
            tags: wanted.tags.clone().unwrap_or_default(),
            start: properties.private_cloud.start,
        };
        self.write(Method::Post, "/vms", &new).await
    }

    fn cloud<'o>(&self, machine: Machine<'_>, wanted: &Wanted, offered: &'o Catalogue) -> Result<&'o vmm::Cloud, OwnError> {
        let cloud = offered.cloud_named(machine.group).filter(|cloud| self.has_cloud(cloud)).ok_or_else(|| OwnError::Machine {
            target: "resourceGroupName",
            problem: format!("`{}` is no cloud of this subscription's plan; the resource groups are its clouds", machine.group),
        })?;
        match wanted.properties.infrastructure_profile.cloud_id.as_deref() {
            Some(id) if !names(id, "clouds", &cloud.name, &cloud.id.to_string()) => Err(OwnError::Machine {
                target: "properties.infrastructureProfile.cloudId",
                problem: format!("`{}` is another cloud than the resource group `{}`", shown(id), cloud.name),
            }),
            Some(_) | None => Ok(cloud),
        }
    }

    fn template<'o>(&self, cloud: &vmm::Cloud, wanted: &Wanted, offered: &'o Catalogue) -> Result<&'o vmm::Template, OwnError> {
        let target = "properties.infrastructureProfile.templateId";
        let Some(id) = wanted.properties.infrastructure_profile.template_id.as_deref() else {
            return Err(OwnError::Machine { target, problem: "is missing; name a template of the plan".to_owned() });
        };
        // Each stamp has its own, often of the same names.
        let usable = || offered.templates.iter().filter(|one| one.stamp == cloud.stamp && self.has_template(&one.name));
        usable().find(|one| names(id, "virtualMachineTemplates", &one.name, &one.id.to_string())).ok_or_else(|| {
            let known: Vec<&str> = usable().map(|one| &*one.name).collect();
            OwnError::Machine {
                target,
                problem: format!("`{}` is no template of the plan in the cloud `{}`; it has: {}", shown(id), cloud.name, known.join(", ")),
            }
        })
    }

    fn network(&self, cloud: &vmm::Cloud, wanted: &Wanted, offered: &Catalogue) -> Result<Option<crate::ids::NetworkId>, OwnError> {
        let target = "properties.networkProfile.networkInterfaces[0].virtualNetworkId";
        let asked = wanted.properties.network_profile.network_interfaces.first();
        let Some(id) = asked.and_then(|interface| interface.virtual_network_id.as_deref()) else { return Ok(None) };
        let usable = || offered.networks.iter().filter(|one| cloud.networks.contains(&one.id) && self.has_network(&one.name));
        let found = usable().find(|one| names(id, "virtualNetworks", &one.name, &one.id.to_string()));
        found.map(|one| Some(one.id)).ok_or_else(|| {
            let known: Vec<&str> = usable().map(|one| &*one.name).collect();
            let problem = format!("`{}` is no network of the plan in this cloud; it has: {}", shown(id), known.join(", "));
            OwnError::Machine { target, problem }
        })
    }

    pub(super) async fn patch_instance(&self, machine: Machine<'_>, body: Sent<'_>) -> Result<OwnAnswer, OwnError> {
        let wanted: Wanted = body::read_as(body).await?;
        let known = self.existing(machine).await?;
        let offered = self.offered().await?;
        wanted.require_one_change(&known)?;
        let begun = match &wanted.properties.private_cloud.owner {
            Some(owner) => self.give(&known, owner, wanted.properties.private_cloud.plain).await?,
            None => self.resize(&known, &wanted).await?,
        };
        Ok(self.begun(StatusCode::OK, machine, &begun, &offered))
    }

    /// The second of the two old steps. A claims identity is made the owner on behalf of the machine's role; without saying on behalf of whom,
    /// the fabric is asked as an administrator would ask it, and refuses.
    async fn give(&self, known: &vmm::Vm, owner: &str, plain: bool) -> Result<vmm::Begun, OwnError> {
        let change = vmm::VmChange { owner: Some(owner.into()), ..vmm::VmChange::default() };
        let connection = if plain { vmm::Connection::Administrator {} } else { self.connection() };
        self.write_as(Method::Patch, &format!("/vms/{}", known.id), &change, &connection).await
    }

    async fn resize(&self, known: &vmm::Vm, wanted: &Wanted) -> Result<vmm::Begun, OwnError> {
        let (hardware, own) = (&wanted.properties.hardware_profile, &wanted.properties.private_cloud);
        let size = vmm::Size {
            cores: hardware.cores.unwrap_or(known.size.cores),
            memory_mb: hardware.memory_mb.unwrap_or(known.size.memory_mb),
            storage_gb: own.storage_gb.unwrap_or(known.size.storage_gb),
        };
        let change = vmm::VmChange {
            description: own.description.clone(),
            tags: wanted.tags.clone(),
            size: (size != known.size).then_some(size),
            ..vmm::VmChange::default()
        };
        self.write(Method::Patch, &format!("/vms/{}", known.id), &change).await
    }

    pub(super) async fn act(&self, machine: Machine<'_>, action: &str, body: Sent<'_>) -> Result<OwnAnswer, OwnError> {
        if action.eq_ignore_ascii_case("transfer") {
            return self.transfer(machine, body).await;
        }
        let operation = self.operation(action, body::read_optional(body).await?)?;
        let vm = self.existing(machine).await?;
        let begun: vmm::Begun = self.write(Method::Post, &format!("/vms/{}/operations", vm.id), &operation).await?;
        Ok(self.accepted(machine, begun.job.map(|job| job.id)))
    }

    fn operation(&self, action: &str, asked: Option<Asked>) -> Result<vmm::Operation, OwnError> {
        let Asked { id, name, description } = asked.unwrap_or_default();
        let checkpoint = || -> Result<CheckpointId, OwnError> {
            // A checkpoint is named by the last segment of a path, or by itself.
            let id = id.rsplit('/').next().unwrap_or_default();
            id.parse().map_err(|cause| OwnError::Machine { target: "id", problem: format!("names no checkpoint: {cause}") })
        };
        match action.to_ascii_lowercase().as_str() {
            "start" => Ok(vmm::Operation::Start {}),
            "stop" => Ok(vmm::Operation::Stop {}),
            "restart" => Ok(vmm::Operation::Restart {}),
            "createcheckpoint" => Ok(vmm::Operation::CreateCheckpoint {
                name: name.unwrap_or_else(|| format!("checkpoint of {}", self.desk.context.now).into()),
                description,
            }),
            "restorecheckpoint" => Ok(vmm::Operation::RestoreCheckpoint { id: checkpoint()? }),
            "deletecheckpoint" => Ok(vmm::Operation::DeleteCheckpoint { id: checkpoint()? }),
            _ => Err(OwnError::ResourceType { path: self.request.path.as_str().to_owned() }),
        }
    }

    pub(super) async fn delete(&self, machine: Machine<'_>) -> Result<OwnAnswer, OwnError> {
        let Some(vm) = self.find(machine).await? else { return Ok(OwnAnswer::empty(StatusCode::NO_CONTENT)) };
        let begun: Option<vmm::Begun> = self.write(Method::Delete, &format!("/vms/{}", vm.id), &json!({})).await?;
        match begun.and_then(|begun| begun.job) {
            Some(job) => Ok(self.accepted(machine, Some(job.id))),
            None => Ok(OwnAnswer::empty(StatusCode::OK)),
        }
    }

    fn begun(&self, status: StatusCode, machine: Machine<'_>, begun: &vmm::Begun, offered: &Catalogue) -> OwnAnswer {
        let answer = OwnAnswer { status, ..OwnAnswer::ok(self.show_instance(&begun.vm, offered, None)) };
        match &begun.job {
            Some(job) => self.followed(answer, machine, job.id),
            None => answer,
        }
    }

    pub(super) fn accepted(&self, machine: Machine<'_>, job: Option<JobId>) -> OwnAnswer {
        match job {
            Some(job) => {
                let link = self.job_link(machine, job);
                self.followed(OwnAnswer::empty(StatusCode::ACCEPTED), machine, job).with("location", link)
            }
            None => OwnAnswer::empty(StatusCode::OK),
        }
    }

    fn followed(&self, answer: OwnAnswer, machine: Machine<'_>, job: JobId) -> OwnAnswer {
        answer.with("azure-asyncoperation", self.job_link(machine, job)).with("retry-after", "1")
    }

    fn job_link(&self, machine: Machine<'_>, job: JobId) -> String {
        format!("https://{}{}?{SCVMM}", self.request.authority, self.job_id(machine.group, machine.name, job))
    }
}

/// Whether a reference means this: by resource id, by name, or by its id in the fabric.
fn names(reference: &str, kind: &str, name: &str, id: &str) -> bool {
    let is = |text: &str| text.eq_ignore_ascii_case(name) || text.eq_ignore_ascii_case(id);
    match reference.rsplit_once('/') {
        None => is(reference),
        Some((above, last)) => is(last) && above.rsplit('/').next().is_some_and(|word| word.eq_ignore_ascii_case(kind)),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(128).filter(|c| !c.is_control()).collect()
}
