//! What the fabric offers: resource groups, clouds, networks, templates, servers, stamps, hosts.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::address::Catalogue as Kind;
use super::{Call, OwnAnswer, OwnError, Side};
use crate::arm::action::Method;
use crate::vmm;

/// What something on offer is, and where.
struct Place<'a> {
    kind: Kind,
    cloud: &'a vmm::Cloud,
    stamp: &'a vmm::Stamp,
}

impl Call<'_> {
    /// The clouds of a tenant, the stamps of the operator.
    async fn group_names(&self) -> Result<Vec<Box<str>>, OwnError> {
        let offered = self.offered().await?;
        Ok(match self.side {
            Side::Operator => offered.stamps.iter().map(|stamp| stamp.name.clone()).collect(),
            Side::Tenant(..) => offered.clouds.iter().filter(|cloud| self.has_cloud(cloud)).map(|cloud| cloud.name.clone()).collect(),
        })
    }

    pub(super) async fn groups(&self) -> Result<OwnAnswer, OwnError> {
        self.listed(self.group_names().await?, |name| self.resource_group_id(name), |name| self.show_group(name))
    }

    /// A group that is there can be written as it is; there is no other one to make.
    pub(super) async fn group(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let names = self.group_names().await?;
        match names.iter().find(|known| known.eq_ignore_ascii_case(name)) {
            Some(_) if self.request.method == Method::Head => Ok(OwnAnswer::empty(StatusCode::NO_CONTENT)),
            Some(known) => Ok(OwnAnswer::ok(self.show_group(known))),
            None if matches!(self.request.method, Method::Put | Method::Patch) => Err(OwnError::Machine {
                target: "name",
                problem: format!("the resource groups of this subscription are its clouds: {}; others cannot be made", names.join(", ")),
            }),
            None => Err(self.not_found()),
        }
    }

    fn resource_group_id(&self, name: &str) -> String {
        format!("/subscriptions/{}/resourceGroups/{name}", self.subscription)
    }

    fn show_group(&self, name: &str) -> Value {
        json!({
            "id": self.resource_group_id(name),
            "name": name,
            "type": "Microsoft.Resources/resourceGroups",
            "location": "private",
            "tags": {},
            "properties": { "provisioningState": "Succeeded" },
        })
    }

    pub(super) async fn catalogue(&self, kind: Kind, group: Option<&str>, name: Option<&str>) -> Result<OwnAnswer, OwnError> {
        let offered = self.offered().await?;
        let mut items = Vec::new();
        let in_group = |cloud: &&vmm::Cloud| group.is_none_or(|group| cloud.name.eq_ignore_ascii_case(group));
        for cloud in offered.clouds.iter().filter(|cloud| self.has_cloud(cloud)).filter(in_group) {
            items.extend(self.offered_in(kind, cloud, &offered));
        }
        let id = |item: &Value| item.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let Some(name) = name else { return self.listed(items, id, Value::clone) };
        let is_it = |item: &Value| item.get("name").and_then(Value::as_str).is_some_and(|known| known.eq_ignore_ascii_case(name));
        items.into_iter().find(is_it).map(OwnAnswer::ok).ok_or_else(|| self.not_found())
    }

    fn offered_in(&self, kind: Kind, cloud: &vmm::Cloud, offered: &crate::forward::Catalogue) -> Vec<Value> {
        let Some(stamp) = offered.stamp(cloud.stamp) else { return Vec::new() };
        let place = Place { kind, cloud, stamp };
        let show = |name: &str, uuid: String, properties: Value| self.show_offered(&place, name, &uuid, properties);
        match kind {
            Kind::Clouds => vec![show(
                &cloud.name,
                cloud.id.to_string(),
                json!({ "cloudName": cloud.name, "hostIds": cloud.hosts, "networkIds": cloud.networks }),
            )],
            Kind::Servers => {
                let server = &stamp.server;
                let properties = json!({ "fqdn": server.name, "version": server.version, "connectionStatus": "Connected" });
                vec![show(&server.name, server.id.to_string(), properties)]
            }
            Kind::Networks => {
                let usable = offered.networks.iter().filter(|one| cloud.networks.contains(&one.id) && self.has_network(&one.name));
                usable.map(|one| show(&one.name, one.id.to_string(), json!({ "networkName": one.name }))).collect()
            }
            Kind::Templates => {
                let usable = offered.templates.iter().filter(|one| one.stamp == cloud.stamp && self.has_template(&one.name));
                usable
                    .map(|one| {
                        let properties = json!({
                            "osName": one.operating_system,
                            "cpuCount": one.size.cores,
                            "memoryMB": one.size.memory_mb,
                            "disks": [{ "name": "system", "diskSizeGB": one.size.storage_gb }],
                        });
                        show(&one.name, one.id.to_string(), properties)
                    })
                    .collect()
            }
        }
    }

    fn show_offered(&self, place: &Place<'_>, name: &str, uuid: &str, properties: Value) -> Value {
        let Place { kind, cloud, stamp } = *place;
        let in_cloud = |kind: Kind, name: &str| self.offered_id(kind, &cloud.name, name);
        let mut document = json!({
            "id": in_cloud(kind, name),
            "name": name,
            "type": format!("microsoft.scvmm/{}", kind.type_name().to_ascii_lowercase()),
            "location": stamp.name,
            "tags": {},
            "extendedLocation": self.extended_location(&stamp.name),
            "properties": {
                "provisioningState": "Succeeded",
                "uuid": uuid,
                "inventoryItemId": null,
                "vmmServerId": in_cloud(Kind::Servers, &stamp.server.name),
                "stampId": stamp.id,
            },
        });
        if let (Some(Value::Object(common)), Value::Object(own)) = (document.get_mut("properties"), properties) {
            common.extend(own);
        }
        document
    }

    pub(super) fn offered_id(&self, kind: Kind, cloud: &str, name: &str) -> String {
        format!("/subscriptions/{}/resourceGroups/{cloud}/providers/Microsoft.ScVmm/{}/{name}", self.subscription, kind.type_name())
    }

    pub(super) fn extended_location(&self, stamp: &str) -> Value {
        let name = format!(
            "/subscriptions/{}/resourceGroups/{stamp}/providers/Microsoft.ExtendedLocation/customLocations/{stamp}",
            self.subscription
        );
        json!({ "type": "customLocation", "name": name })
    }

    pub(super) fn has_network(&self, name: &str) -> bool {
        match &self.side {
            Side::Operator => true,
            Side::Tenant(_, entitlement) => entitlement.plan.is_some_and(|plan| plan.has_network(name)),
        }
    }

    pub(super) fn has_template(&self, name: &str) -> bool {
        match &self.side {
            Side::Operator => true,
            Side::Tenant(_, entitlement) => entitlement.plan.is_some_and(|plan| plan.has_template(name)),
        }
    }

    pub(super) async fn stamps(&self) -> Result<OwnAnswer, OwnError> {
        let offered = self.offered().await?;
        let visible = |stamp: &&vmm::Stamp| offered.clouds.iter().any(|cloud| cloud.stamp == stamp.id && self.has_cloud(cloud));
        let is_operator = matches!(self.side, Side::Operator);
        let shown = offered.stamps.iter().filter(|stamp| is_operator || visible(stamp));
        self.listed(shown, |stamp| self.own_id("stamps", &stamp.name), |stamp| self.own("stamps", &stamp.name, json!(stamp)))
    }

    pub(super) async fn hosts(&self) -> Result<OwnAnswer, OwnError> {
        self.require_operator()?;
        let hosts: Vec<vmm::Host> = self.read_all("/hosts", "").await?;
        self.listed(hosts, |host| self.own_id("hosts", &host.name), |host| self.own("hosts", &host.name, json!(host)))
    }

    pub(super) async fn host(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let host = self.find_host(name).await?;
        Ok(OwnAnswer::ok(self.own("hosts", &host.name, json!(host))))
    }

    pub(super) async fn switch_host(&self, name: &str, action: &str) -> Result<OwnAnswer, OwnError> {
        let host = self.find_host(name).await?;
        let power = match action {
            _ if action.eq_ignore_ascii_case("turnOn") => vmm::Power::On,
            _ if action.eq_ignore_ascii_case("turnOff") => vmm::Power::Off,
            _ => return Err(OwnError::ResourceType { path: self.request.path.as_str().to_owned() }),
        };
        let host: vmm::Host = self.write(Method::Patch, &format!("/hosts/{}", host.id), &json!({ "power": power })).await?;
        Ok(OwnAnswer::ok(self.own("hosts", &host.name, json!(host))))
    }

    async fn find_host(&self, name: &str) -> Result<vmm::Host, OwnError> {
        self.require_operator()?;
        let hosts: Vec<vmm::Host> = self.read_all("/hosts", "").await?;
        hosts.into_iter().find(|host| host.name.eq_ignore_ascii_case(name)).ok_or_else(|| self.not_found())
    }

    /// Some of the fabric is for its operator only.
    pub(super) fn require_operator(&self) -> Result<(), OwnError> {
        match self.side {
            Side::Operator => Ok(()),
            Side::Tenant(..) => Err(OwnError::ResourceType { path: self.request.path.as_str().to_owned() }),
        }
    }

    /// A document of one of our own types.
    pub(super) fn own_id(&self, kind: &str, name: &str) -> String {
        format!("/subscriptions/{}/providers/Steward.PrivateCloud/{kind}/{name}", self.subscription)
    }

    pub(super) fn own(&self, kind: &str, name: &str, properties: impl Into<Value>) -> Value {
        let properties: Value = properties.into();
        json!({
            "id": self.own_id(kind, name),
            "name": name,
            "type": format!("Steward.PrivateCloud/{kind}"),
            "properties": properties,
        })
    }
}
