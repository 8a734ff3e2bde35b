//! What is in the sets.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::Value as Json;
use uuid::Uuid;

use super::Spf;
use super::places::{Gathered, Narrow, OWN, Place, SCVMM, uuid};
use super::problem::Problem;
use super::show::{self, Doc, Show};
use crate::arm::action::Method;
use crate::odata::{Entity, EntitySet, EntityType, Key, ODataError, Value};

/// Machines that belong to nobody yet and are looked for by their jobs, of one tenant.
const UNFINISHED_MAX: usize = 50;

/// A machine and where it is.
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) document: Json,
}

impl Found {
    /// Its path in the management plane.
    pub(super) fn path(&self) -> &str {
        Doc(&self.document).str("/id").unwrap_or_default()
    }
}

impl Spf<'_> {
    /// All that the caller can see of a set, as far as it may be asked for.
    pub(super) async fn entities(&self, set: &'static EntitySet, narrow: Narrow<'_>) -> Result<Vec<Entity>, Problem> {
        let of = set.entity_type;
        let (mut found, mut gathered, mut known) = (Vec::new(), Gathered::default(), HashSet::new());
        for place in self.places(of.name, narrow).await? {
            if let Some(rows) = gathered.take(self.rows(of, place, narrow).await)? {
                found.extend(rows);
            }
        }
        gathered.end()?;
        found.retain(|entity: &Entity| known.insert(entity.key().to_string()));
        Ok(found)
    }

    pub(super) async fn entity(&self, set: &'static EntitySet, key: &Key) -> Result<Entity, Problem> {
        if set.entity_type.name == "VirtualMachine" {
            let found = self.machine(key, "ID").await?;
            return show::entity_of_machine(set.entity_type, Doc(&found.document)).map_err(Problem::Document);
        }
        let all = self.entities(set, Narrow { key: Some(key), filter: None }).await?;
        all.into_iter().find(|entity| entity.key() == *key).ok_or(Problem::NotFound)
    }

    async fn rows(&self, of: &'static EntityType, place: Place, narrow: Narrow<'_>) -> Result<Vec<Entity>, Problem> {
        let (path, version, shown): (String, &str, Show) = match of.name {
            "Tenant" => (place.own("tenants"), OWN, show::tenant),
            "TrustedIssuer" => (place.own("tenants"), OWN, show::trusted_issuers),
            "Stamp" => (place.own("stamps"), OWN, show::stamp),
            "Server" => (place.own("stamps"), OWN, show::server),
            "VMMServer" => (place.own("stamps"), OWN, show::vmm_server),
            // Tenants know nothing of hosts.
            "VMHost" if !place.is_operator => return Ok(Vec::new()),
            "VMHost" => (place.own("hosts"), OWN, show::host),
            "UsageRecord" => (place.own("usage"), OWN, show::usage_record),
            "Cloud" => (place.scvmm("clouds"), SCVMM, show::cloud),
            "LogicalNetwork" => (place.scvmm("virtualNetworks"), SCVMM, show::network),
            "VMTemplate" => (place.scvmm("virtualMachineTemplates"), SCVMM, show::template),
            "VMCheckpoint" => (place.scvmm("virtualMachineInstances"), SCVMM, show::checkpoints),
            "Job" => (place.scvmm("virtualMachineInstances/default/jobs"), SCVMM, show::job),
            "UserRole" => return self.roles(of, place).await,
            _ => return self.machines(of, place, narrow).await,
        };
        let documents = self.list(&path, version).await?;
        let entities: Result<Vec<Vec<Entity>>, ODataError> = documents.iter().map(|document| shown(of, Doc(document))).collect();
        Ok(entities.map_err(Problem::Document)?.into_iter().flatten().collect())
    }

    /// One row of a role for each stamp whose clouds it has.
    pub(super) async fn roles(&self, of: &'static EntityType, place: Place) -> Result<Vec<Entity>, Problem> {
        let roles = self.list(&place.own("userRoles"), OWN).await?;
        let clouds = self.list(&place.scvmm("clouds"), SCVMM).await?;
        let templates = self.list(&place.scvmm("virtualMachineTemplates"), SCVMM).await?;
        let mut rows = Vec::new();
        for role in roles.iter().map(Doc) {
            for (stamp, part) in parts(role, &clouds, &templates) {
                rows.push(part.show(of, stamp, role).map_err(Problem::Document)?);
            }
        }
        Ok(rows)
    }

    async fn machines(&self, of: &'static EntityType, place: Place, narrow: Narrow<'_>) -> Result<Vec<Entity>, Problem> {
        let mut documents = self.list(&place.scvmm("virtualMachineInstances"), SCVMM).await?;
        let own = Uuid::from_bytes(*place.id.as_bytes());
        if narrow.uuid("RequestedByUserRoleID") == Some(own) {
            documents.extend(self.unfinished(place, None).await?);
        }
        let shown: Result<Vec<Vec<Entity>>, ODataError> = documents.iter().map(|document| show::machine(of, Doc(document))).collect();
        Ok(shown.map_err(Problem::Document)?.into_iter().flatten().collect())
    }

    /// The machine that a key names, wherever it is.
    pub(super) async fn machine(&self, key: &Key, property: &str) -> Result<Found, Problem> {
        let part = |name: &str| key.get(name).and_then(uuid).ok_or(Problem::NotFound);
        self.machine_of(part(property)?, part("StampId")?).await
    }

    pub(super) async fn machine_of(&self, id: Uuid, stamp: Uuid) -> Result<Found, Problem> {
        let is_it = |document: &Json| {
            let document = Doc(document);
            document.uuid("/properties/privateCloud/id") == Some(id) && document.uuid("/properties/privateCloud/stampId") == Some(stamp)
        };
        let places = self.places("VirtualMachine", Narrow { key: None, filter: None }).await?;
        let mut gathered = Gathered::default();
        for place in &places {
            let owned = gathered.take(self.list(&place.scvmm("virtualMachineInstances"), SCVMM).await)?;
            if let Some(document) = owned.into_iter().flatten().find(is_it) {
                return Ok(Found { place: *place, document });
            }
        }
        for place in places.iter().filter(|place| !place.is_operator) {
            let unfinished = gathered.take(self.unfinished(*place, Some(id)).await)?;
            if let Some(document) = unfinished.into_iter().flatten().find(is_it) {
                return Ok(Found { place: *place, document });
            }
        }
        gathered.end()?;
        Err(Problem::NotFound)
    }

    /// Machines that a tenant asked for and that belong to nobody yet, or never will: they are in no list, but their jobs are.
    async fn unfinished(&self, place: Place, wanted: Option<Uuid>) -> Result<Vec<Json>, Problem> {
        let jobs = self.list(&place.scvmm("virtualMachineInstances/default/jobs"), SCVMM).await?;
        let is_wanted = |job: &Doc<'_>| wanted.is_none_or(|wanted| job.uuid("/properties/vmId") == Some(wanted));
        let path = |job: Doc<'_>| Some(job.str("/id")?.rsplit_once("/jobs/")?.0.to_owned());
        let paths: BTreeSet<String> = jobs.iter().map(Doc).filter(is_wanted).filter_map(path).collect();
        let mut found = Vec::new();
        for path in paths.iter().take(UNFINISHED_MAX) {
            let answer = self.call.try_ask(Method::Get, path, SCVMM, None).await;
            if answer.status.is_success() && Doc(&answer.body).str("/properties/privateCloud/userRole").is_none() {
                found.push(answer.body);
            }
        }
        Ok(found)
    }
}

/// What a role has of one stamp.
#[derive(Debug, Default)]
struct Part {
    clouds: Vec<Uuid>,
    networks: BTreeSet<Uuid>,
    templates: BTreeSet<Uuid>,
}

fn parts(role: Doc<'_>, clouds: &[Json], templates: &[Json]) -> BTreeMap<Uuid, Part> {
    let stamped = |document: Doc<'_>| Some((document.uuid("/properties/uuid")?, document.uuid("/properties/stampId")?));
    let [own_clouds, own_networks, own_templates] =
        ["/properties/clouds", "/properties/networks", "/properties/templates"].map(|list| role.uuids(list));
    let mut parts: BTreeMap<Uuid, Part> = BTreeMap::new();
    for cloud in clouds.iter().map(Doc) {
        let Some((id, stamp)) = stamped(cloud).filter(|(id, _)| own_clouds.contains(id)) else { continue };
        let part = parts.entry(stamp).or_default();
        part.clouds.push(id);
        part.networks.extend(cloud.uuids("/properties/networkIds").iter().filter(|id| own_networks.contains(id)));
    }
    for (id, stamp) in templates.iter().map(Doc).filter_map(stamped).filter(|(id, _)| own_templates.contains(id)) {
        if let Some(part) = parts.get_mut(&stamp) {
            part.templates.insert(id);
        }
    }
    parts
}

impl Part {
    fn show(&self, of: &'static EntityType, stamp: Uuid, role: Doc<'_>) -> Result<Entity, ODataError> {
        let texts = |list: &str| show::joined(role.items(list).filter_map(|item| item.str("")));
        let quota = |name: &str| Value::from(role.0.pointer("/properties/quota").and_then(|quota| quota.get(name)?.as_i64()));
        Entity::new(
            of,
            [
                ("ID", role.guid("/properties/id")),
                ("StampId", stamp.into()),
                ("Name", role.str("/properties/name").into()),
                ("CloudIds", show::joined(self.clouds.iter())),
                ("LogicalNetworkIds", show::joined(self.networks.iter())),
                ("Members", texts("/properties/members")),
                ("ParentUserRoleId", role.guid("/properties/parent")),
                ("Permission", texts("/properties/actions")),
                ("QuotaCPUCount", quota("cores")),
                ("QuotaMemoryMB", quota("memory_mb")),
                ("QuotaStorageGB", quota("storage_gb")),
                ("QuotaVMCount", quota("virtual_machines")),
                ("UserRoleProfile", role.str("/properties/profile").into()),
                ("VMTemplateIds", show::joined(self.templates.iter())),
            ],
        )
    }
}
