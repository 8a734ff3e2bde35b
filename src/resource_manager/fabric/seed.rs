//! What a new fabric holds.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{CloudId, HostId, NetworkId, StampId, TemplateId, UserRoleId, VmId, VmmServerId};
use crate::vmm::{
    Cloud, Host, LogicalNetwork, PermittedAction, Power, Profile, Quota, Size, Stamp, Template, UserRole, Vm, VmStatus, VmmServer,
};

use super::world::{Change, Draft, Machine, World};

/// What a new fabric holds. One that was stored before keeps what it has.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// Installations.
    pub stamps: Vec<Stamp>,
    /// Their clouds.
    pub clouds: Vec<Cloud>,
    /// Their networks.
    pub networks: Vec<LogicalNetwork>,
    /// Their templates.
    pub templates: Vec<Template>,
    /// Their hosts.
    pub hosts: Vec<Host>,
    /// Roles that are there from the start.
    #[serde(default)]
    pub roles: Vec<UserRole>,
    /// Machines that are there from the start; their times become that of the sowing. One of a role is in a cloud, one of nobody in none.
    #[serde(default)]
    pub machines: Vec<Vm>,
}

/// Why a seed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// Two things have one id, or two machines one place.
    #[error("`{0}` is in the seed twice; remove one")]
    Duplicate(String),
    /// A machine of a role that is in no cloud, or one of nobody that is in one.
    #[error("the machine `{0}` has a role but no cloud, or a cloud but no role")]
    Place(String),
    /// Something names a thing that is not in the seed.
    #[error("`{name}` names `{reference}`, which is not in the seed")]
    Unknown {
        /// What names it.
        name: String,
        /// What is named.
        reference: String,
    },
}

/// The kinds of ids that the seeds here make.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Stamp = 1,
    Server = 2,
    Cloud = 3,
    Network = 4,
    Template = 5,
    Host = 6,
    Role = 7,
    Machine = 8,
}

/// `5aKK0000-0000-4000-8000-0000NNNNNNNN`.
fn bytes(kind: Kind, number: u32) -> [u8; 16] {
    let [a, b, c, d] = number.to_be_bytes();
    [0x5a, kind as u8, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, a, b, c, d]
}

const LARGE_PER_ROLE: u32 = 100;

impl Seed {
    /// Two stamps as a demo shows them, with two machines that were made by hand.
    #[must_use]
    pub fn demo() -> Self {
        let mut seed = Self::default();
        let north = seed.add_stamp(1, "north");
        let south = seed.add_stamp(2, "south");
        let hosts: Vec<HostId> = (1..=3).map(|number| seed.add_host(number, north, &format!("north-host-{number}"))).collect();
        let tenants = seed.add_network(1, north, "north-tenants");
        let dmz = seed.add_network(2, north, "north-dmz");
        let (gold, bronze) = hosts.split_at(2);
        seed.add_cloud(1, north, "north-gold", gold.to_vec(), vec![tenants, dmz]);
        seed.add_cloud(2, north, "north-bronze", bronze.to_vec(), vec![tenants]);
        let host = seed.add_host(4, south, "south-host-1");
        let network = seed.add_network(3, south, "south-tenants");
        seed.add_cloud(3, south, "south-gold", vec![host], vec![network]);
        for (number, stamp) in [(1, north), (3, south)] {
            seed.add_template(number, stamp, "ubuntu-24.04", "Ubuntu 24.04", Size { cores: 2, memory_mb: 4_096, storage_gb: 40 });
            seed.add_template(
                number + 1,
                stamp,
                "windows-2022",
                "Windows Server 2022",
                Size { cores: 2, memory_mb: 8_192, storage_gb: 80 },
            );
        }
        seed.add_manual(1, north, "legacy-erp", VmStatus::Running, hosts.first().copied());
        seed.add_manual(2, north, "legacy-print", VmStatus::Stopped, None);
        seed
    }

    /// Many machines, half of them running, 100 for each role `bench-N` with the member `bench-N@bench.example`.
    #[must_use]
    pub fn large(stamps: u32, machines: u32) -> Self {
        let mut seed = Self::default();
        for number in 1..=stamps {
            let stamp = seed.add_stamp(number, &format!("stamp-{number}"));
            let host = seed.add_host(number, stamp, &format!("host-{number}"));
            let network = seed.add_network(number, stamp, &format!("network-{number}"));
            seed.add_cloud(number, stamp, &format!("cloud-{number}"), vec![host], vec![network]);
            seed.add_template(number, stamp, "ubuntu-24.04", "Ubuntu 24.04", Size { cores: 1, memory_mb: 1_024, storage_gb: 10 });
        }
        let roles = machines.div_ceil(LARGE_PER_ROLE);
        for number in 1..=roles {
            let place = usize::try_from((number - 1) % stamps.max(1)).unwrap_or_default();
            let first = (number - 1) * LARGE_PER_ROLE + 1;
            let last = machines.min(number * LARGE_PER_ROLE);
            if let (Some(cloud), Some(template)) = (seed.clouds.get(place).cloned(), seed.templates.get(place).cloned()) {
                let role = seed.add_role(number, &cloud, &template);
                (first..=last).for_each(|number| seed.add_owned(number, &role, &cloud, &template));
            }
        }
        seed
    }

    fn add_stamp(&mut self, number: u32, name: &str) -> StampId {
        let id = StampId::from_bytes(bytes(Kind::Stamp, number));
        let server = VmmServer {
            id: VmmServerId::from_bytes(bytes(Kind::Server, number)),
            name: format!("vmm.{name}.example").into(),
            version: "10.25.1000.0".into(),
        };
        self.stamps.push(Stamp { id, name: name.into(), server });
        id
    }

    fn add_host(&mut self, number: u32, stamp: StampId, name: &str) -> HostId {
        let id = HostId::from_bytes(bytes(Kind::Host, number));
        self.hosts.push(Host { id, stamp, name: name.into(), power: Power::On });
        id
    }

    fn add_network(&mut self, number: u32, stamp: StampId, name: &str) -> NetworkId {
        let id = NetworkId::from_bytes(bytes(Kind::Network, number));
        self.networks.push(LogicalNetwork { id, stamp, name: name.into() });
        id
    }

    fn add_cloud(&mut self, number: u32, stamp: StampId, name: &str, hosts: Vec<HostId>, networks: Vec<NetworkId>) {
        let id = CloudId::from_bytes(bytes(Kind::Cloud, number));
        self.clouds.push(Cloud { id, stamp, name: name.into(), hosts, networks });
    }

    fn add_template(&mut self, number: u32, stamp: StampId, name: &str, operating_system: &str, size: Size) {
        let id = TemplateId::from_bytes(bytes(Kind::Template, number));
        self.templates.push(Template { id, stamp, name: name.into(), operating_system: operating_system.into(), size });
    }

    fn add_manual(&mut self, number: u32, stamp: StampId, name: &str, status: VmStatus, host: Option<HostId>) {
        let size = Size { cores: 2, memory_mb: 4_096, storage_gb: 60 };
        let vm = machine(number, stamp, name, size);
        self.machines.push(Vm { description: "Made by hand.".into(), status, host, ..vm });
    }

    fn add_role(&mut self, number: u32, cloud: &Cloud, template: &Template) -> UserRole {
        let role = UserRole {
            id: UserRoleId::from_bytes(bytes(Kind::Role, number)),
            name: format!("bench-{number}").into(),
            profile: Profile::TenantAdmin,
            parent: None,
            members: vec![format!("bench-{number}@bench.example").into()],
            clouds: vec![cloud.id],
            networks: cloud.networks.clone(),
            templates: vec![template.id],
            actions: vec![
                PermittedAction::Checkpoint,
                PermittedAction::Create,
                PermittedAction::Modify,
                PermittedAction::Remove,
                PermittedAction::StartStop,
                PermittedAction::Transfer,
            ],
            quota: Quota::default(),
        };
        self.roles.push(role.clone());
        role
    }

    fn add_owned(&mut self, number: u32, role: &UserRole, cloud: &Cloud, template: &Template) {
        let vm = machine(number, cloud.stamp, &format!("vm-{number}"), template.size);
        self.machines.push(Vm {
            cloud: Some(cloud.id),
            template: Some(template.id),
            network: cloud.networks.first().copied(),
            status: if number.is_multiple_of(2) { VmStatus::Running } else { VmStatus::Stopped },
            host: cloud.hosts.first().copied(),
            owner: role.members.first().cloned(),
            user_role: Some(role.id),
            requested_by: Some(role.id),
            ..vm
        });
    }

    /// The changes that make a new world of it.
    ///
    /// # Errors
    /// With the first mistake in it.
    pub(super) fn changes(&self, now: Timestamp) -> Result<Vec<Change>, SeedError> {
        self.check_ids()?;
        self.check_references()?;
        let mut draft = Draft::new(World::default(), now, std::time::Duration::ZERO);
        self.stamps.iter().for_each(|it| draft.apply(Change::Stamp(Arc::new(it.clone()))));
        self.networks.iter().for_each(|it| draft.apply(Change::Network(Arc::new(it.clone()))));
        self.templates.iter().for_each(|it| draft.apply(Change::Template(Arc::new(it.clone()))));
        self.hosts.iter().for_each(|it| draft.apply(Change::Host(Arc::new(it.clone()))));
        self.clouds.iter().for_each(|it| draft.apply(Change::Cloud(Arc::new(it.clone()))));
        self.roles.iter().for_each(|it| draft.apply(Change::Role(Arc::new(it.clone()))));
        for vm in &self.machines {
            let taken = match vm.user_role.zip(vm.cloud) {
                Some((role, cloud)) => draft.world().machine_of_role(role, cloud, &vm.name).is_some(),
                None => draft.world().machine_of_nobody(vm.stamp, &vm.name).is_some(),
            };
            if taken {
                return Err(SeedError::Duplicate(vm.name.to_string()));
            }
            let vm = Vm { created_at: now, modified_at: now, ..vm.clone() };
            draft.put_machine(Machine::new(vm), now);
        }
        Ok(draft.finish().1)
    }

    fn check_ids(&self) -> Result<(), SeedError> {
        let mut seen = BTreeSet::new();
        let stamps = self.stamps.iter().map(|it| it.id.to_string());
        let clouds = self.clouds.iter().map(|it| it.id.to_string());
        let networks = self.networks.iter().map(|it| it.id.to_string());
        let templates = self.templates.iter().map(|it| it.id.to_string());
        let hosts = self.hosts.iter().map(|it| it.id.to_string());
        let roles = self.roles.iter().map(|it| it.id.to_string());
        let machines = self.machines.iter().map(|it| it.id.to_string());
        let mut all = stamps.chain(clouds).chain(networks).chain(templates).chain(hosts).chain(roles).chain(machines);
        let mut names = BTreeSet::new();
        match all.find(|id| !seen.insert(id.clone())) {
            Some(twice) => Err(SeedError::Duplicate(twice)),
            // The name of a cloud is the resource group of a tenant, so it is one of its kind.
            None => match self.clouds.iter().find(|cloud| !names.insert(cloud.name.to_lowercase())) {
                Some(cloud) => Err(SeedError::Duplicate(cloud.name.to_string())),
                None => Ok(()),
            },
        }
    }

    fn check_references(&self) -> Result<(), SeedError> {
        let unknown = |name: &str, reference: String| Err(SeedError::Unknown { name: name.to_owned(), reference });
        let has_stamp = |id| self.stamps.iter().any(|stamp| stamp.id == id);
        let placed = self.clouds.iter().map(|it| (&it.name, it.stamp));
        let placed = placed.chain(self.hosts.iter().map(|it| (&it.name, it.stamp)));
        let placed = placed.chain(self.machines.iter().map(|it| (&it.name, it.stamp)));
        let mut placed = placed.chain(self.templates.iter().map(|it| (&it.name, it.stamp)));
        if let Some((name, stamp)) = placed.find(|(_, stamp)| !has_stamp(*stamp)) {
            return unknown(name, stamp.to_string());
        }
        for cloud in &self.clouds {
            if let Some(id) = cloud.hosts.iter().find(|id| !self.hosts.iter().any(|host| host.id == **id)) {
                return unknown(&cloud.name, id.to_string());
            }
            if let Some(id) = cloud.networks.iter().find(|id| !self.networks.iter().any(|network| network.id == **id)) {
                return unknown(&cloud.name, id.to_string());
            }
        }
        let roles: BTreeSet<_> = self.roles.iter().map(|role| role.id).collect();
        for vm in &self.machines {
            if vm.user_role.is_some() != vm.cloud.is_some() {
                return Err(SeedError::Place(vm.name.to_string()));
            }
            if let Some(role) = vm.user_role.filter(|role| !roles.contains(role)) {
                return unknown(&vm.name, role.to_string());
            }
        }
        Ok(())
    }
}

/// A machine of nobody; its times are set when it is sown.
fn machine(number: u32, stamp: StampId, name: &str, size: Size) -> Vm {
    Vm {
        id: VmId::from_bytes(bytes(Kind::Machine, number)),
        stamp,
        cloud: None,
        name: name.into(),
        description: "".into(),
        template: None,
        network: None,
        size,
        status: VmStatus::Stopped,
        host: None,
        owner: None,
        user_role: None,
        requested_by: None,
        tags: std::collections::BTreeMap::new(),
        checkpoints: Vec::new(),
        created_at: Timestamp::UNIX_EPOCH,
        modified_at: Timestamp::UNIX_EPOCH,
        last_job: None,
    }
}
