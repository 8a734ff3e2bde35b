//! Tenants of the private cloud and their user roles.
//!
//! What is changed here is a row; the role in the fabric follows it, by whoever notices first (`crate::sign_up`). A role is shown only for a
//! subscription that is there.

use std::collections::HashSet;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, Desk, OwnAnswer, OwnError, Sent, Side};
use crate::arm::action::Method;
use crate::directory::Directory;
use crate::directory::entity::{CloudState, CloudSubscription, Entity, Member, TrustedIssuer};
use crate::ids::{ObjectId, PrincipalId, SubscriptionId, UserRoleId};
use crate::management::body;
use crate::pipeline::OwnRequest;
use crate::sign_up;
use crate::store::Write;
use crate::vmm;

/// Machines that a message names.
const NAMED_MAX: usize = 5;

/// What can be changed about a tenant. What is absent stays.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    properties: Properties,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Properties {
    name: Option<Box<str>>,
    plan: Option<Box<str>>,
    invitation_code: Option<Box<str>>,
    add_ons: Option<Vec<Box<str>>>,
    co_administrators: Option<Vec<CoAdministrator>>,
    trusted_issuers: Option<Vec<Issuer>>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CoAdministrator {
    object_id: ObjectId,
    name: Box<str>,
    identity: Box<str>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Issuer {
    name: Box<str>,
    keys: Value,
}

/// The plans that anybody may see.
pub(super) fn plans(request: &OwnRequest, desk: &Desk<'_>) -> Result<OwnAnswer, OwnError> {
    let segments: Vec<&str> = request.path.segments().collect();
    let [_providers, _namespace, kind] = segments.as_slice() else {
        return Err(OwnError::ResourceType { path: request.path.as_str().to_owned() });
    };
    if request.method != Method::Get || !kind.eq_ignore_ascii_case("plans") {
        return Err(OwnError::ResourceType { path: request.path.as_str().to_owned() });
    }
    let code = crate::arm::query::value(request.query.as_deref().unwrap_or_default(), "invitationCode");
    let value: Vec<Value> = sign_up::open_plans(&desk.context.directory, code.as_deref()).map(show_plan).collect();
    Ok(OwnAnswer::ok(json!({ "value": value })))
}

/// A plan as everybody may see it.
#[must_use]
pub fn show_plan(plan: &crate::directory::Plan) -> Value {
    json!({
        "id": format!("/providers/Steward.PrivateCloud/plans/{}", plan.key),
        "name": plan.key,
        "type": "Steward.PrivateCloud/plans",
        "properties": {
            "displayName": plan.name,
            "description": plan.description,
            "services": plan.services,
            "clouds": plan.clouds,
            "networks": plan.networks,
            "templates": plan.templates,
            "quota": show_quota(&plan.quota),
        },
    })
}

fn show_quota(quota: &vmm::Quota) -> Value {
    json!({
        "virtualMachines": quota.virtual_machines,
        "cores": quota.cores,
        "memoryMb": quota.memory_mb,
        "storageGb": quota.storage_gb,
    })
}

fn show_member(member: &Member) -> Value {
    json!({ "name": member.name, "identity": member.identity, "objectId": member.principal.object, "tenantId": member.principal.tenant })
}

impl Call<'_> {
    pub(super) fn tenants(&self) -> Result<OwnAnswer, OwnError> {
        let directory = &self.desk.context.directory;
        let clouds: Vec<&CloudSubscription> = match self.side {
            Side::Operator => directory.clouds().collect(),
            Side::Tenant(cloud, _) => vec![cloud],
        };
        self.listed(clouds, |cloud| self.own_id("tenants", &cloud.id.to_string()), |cloud| self.show_tenant(cloud, None))
    }

    pub(super) async fn tenant(&self, id: UserRoleId) -> Result<OwnAnswer, OwnError> {
        let cloud = self.tenant_of(id)?;
        let used = self.used(id).await?;
        Ok(OwnAnswer::ok(self.show_tenant(cloud, Some(used))))
    }

    /// A tenant sees itself, the operator all of them.
    fn tenant_of(&self, id: UserRoleId) -> Result<&CloudSubscription, OwnError> {
        let id = SubscriptionId::from(id);
        let cloud = match self.side {
            Side::Operator => self.desk.context.directory.cloud(id),
            Side::Tenant(cloud, _) => Some(cloud).filter(|cloud| cloud.id == id),
        };
        cloud.ok_or_else(|| self.not_found())
    }

    async fn used(&self, role: UserRoleId) -> Result<vmm::Quota, OwnError> {
        let vms: Vec<vmm::Vm> = self.read_all("/vms", &format!("role={role}")).await?;
        let sum = |of: fn(&vmm::Size) -> u32| vms.iter().map(|vm| u64::from(of(&vm.size))).sum::<u64>();
        Ok(vmm::Quota {
            virtual_machines: Some(u32::try_from(vms.len()).unwrap_or(u32::MAX)),
            cores: Some(u32::try_from(sum(|size| size.cores)).unwrap_or(u32::MAX)),
            memory_mb: Some(sum(|size| size.memory_mb)),
            storage_gb: Some(sum(|size| size.storage_gb)),
        })
    }

    fn show_tenant(&self, cloud: &CloudSubscription, used: Option<vmm::Quota>) -> Value {
        let directory = &self.desk.context.directory;
        let entitlement = directory.entitlement(cloud);
        let account = directory.tenant(cloud.tenant);
        let issuers = account.map(|account| account.issuers.iter().flat_map(|issuer| &issuer.names).collect::<Vec<_>>());
        self.own(
            "tenants",
            &cloud.id.to_string(),
            json!({
                "subscriptionId": cloud.id,
                "name": cloud.name,
                "accountId": cloud.tenant,
                "accountName": account.map(|account| &account.name),
                "state": format!("{:?}", cloud.state),
                "plan": { "key": cloud.plan, "name": entitlement.plan.map(|plan| &plan.name) },
                "addOns": cloud.add_ons,
                "services": entitlement.services,
                "clouds": entitlement.plan.map(|plan| &plan.clouds),
                "quota": show_quota(&entitlement.quota),
                "used": used.as_ref().map(show_quota),
                "administrator": show_member(&cloud.administrator),
                "coAdministrators": cloud.co_administrators.iter().map(show_member).collect::<Vec<_>>(),
                "issuers": issuers,
                "createdAt": cloud.created_at.to_string(),
            }),
        )
    }

    pub(super) async fn patch_tenant(&self, id: UserRoleId, body: Sent<'_>) -> Result<OwnAnswer, OwnError> {
        let change: Change = body::read_as(body).await?;
        let id = self.tenant_of(id)?.id;
        if let Some(plan) = &change.properties.plan {
            self.require_no_machine_outside(id.into(), plan).await?;
        }
        let changed = self.desk.change(self.request, |directory| self.plan_change(directory, id, &change.properties)).await?;
        // Whoever is no administrator any more, and whatever key is not trusted any more, counts nowhere once this is answered.
        self.desk.settle(changed.revision).await?;
        Ok(OwnAnswer::ok(self.show_tenant(&changed.value, None)))
    }

    /// A machine in a cloud that the plan has not would be seen by nobody, and go on being used.
    async fn require_no_machine_outside(&self, role: UserRoleId, plan: &str) -> Result<(), OwnError> {
        let Some(plan) = self.desk.context.directory.plan(plan) else { return Ok(()) };
        let offered = self.offered().await?;
        let outside: HashSet<_> = offered.clouds.iter().filter(|cloud| !plan.has_cloud(&cloud.name)).map(|cloud| cloud.id).collect();
        let vms: Vec<vmm::Vm> = self.read_all("/vms", &format!("role={role}")).await?;
        let stranded: Vec<&str> =
            vms.iter().filter(|vm| vm.cloud.is_some_and(|cloud| outside.contains(&cloud))).map(|vm| &*vm.name).take(NAMED_MAX).collect();
        match stranded.is_empty() {
            true => Ok(()),
            false => Err(OwnError::Machine {
                target: "properties.plan",
                problem: format!(
                    "would take away the clouds of machines, among them {}; remove them first, or move them",
                    stranded.join(", ")
                ),
            }),
        }
    }

    /// Who may sign in for a tenant, and who is its administrator, decides who can do anything there: that is not for those who were merely given a role,
    /// nor for whoever operates the fabric.
    fn restricted(&self, to: &str) -> OwnError {
        OwnError::Restricted {
            client: self.request.caller.name.to_string(),
            action: "Steward.PrivateCloud/tenants/administrate/action",
            scope: to.to_owned(),
        }
    }

    fn require_administrator_of(&self, cloud: &CloudSubscription) -> Result<(), OwnError> {
        let is_own = cloud.administrator.principal == self.request.caller.principal;
        if is_own { Ok(()) } else { Err(self.restricted(&format!("/subscriptions/{}", cloud.id))) }
    }

    fn plan_change(
        &self,
        directory: &Directory,
        id: SubscriptionId,
        change: &Properties,
    ) -> Result<(Vec<Write>, CloudSubscription), OwnError> {
        let mut cloud = directory.cloud(id).filter(|cloud| cloud.state != CloudState::Deleting).ok_or_else(|| self.not_found())?.clone();
        let mut writes = Vec::new();
        if let Some(name) = &change.name {
            sign_up::check_name("name", name)?;
            cloud.name = (&**name).into();
        }
        if let Some(plan) = &change.plan {
            sign_up::require_open(directory, plan, change.invitation_code.as_deref())?;
            cloud.plan.clone_from(plan);
        }
        if let Some(add_ons) = &change.add_ons {
            cloud.add_ons.clone_from(add_ons);
        }
        sign_up::check_add_ons(directory, &cloud.plan, &cloud.add_ons)?;
        if let Some(members) = &change.co_administrators {
            self.require_administrator_of(&cloud)?;
            let principal = |object| PrincipalId { tenant: cloud.tenant, object };
            let member = |one: &CoAdministrator| Member {
                principal: principal(one.object_id),
                name: (&*one.name).into(),
                identity: (&*one.identity).into(),
            };
            cloud.co_administrators = members.iter().map(member).collect();
            sign_up::check_members(directory, &cloud)?;
        }
        if let Some(issuers) = &change.trusted_issuers {
            let mut account = directory.account(cloud.tenant).cloned().ok_or_else(|| OwnError::Machine {
                target: "properties.trustedIssuers",
                problem: "the issuer of this tenant is declared in the policy files; change it there".to_owned(),
            })?;
            // The issuers are the account's, whichever of its subscriptions they are written by.
            let caller = self.request.caller.principal;
            if (account.id, account.administrator.object) != (caller.tenant, caller.object) {
                return Err(self.restricted(&format!("/tenants/{}", account.id)));
            }
            let now = self.desk.context.now;
            let trusted = |one: &Issuer| TrustedIssuer { name: one.name.clone(), keys: one.keys.clone(), algorithms: None, added_at: now };
            account.issuers = issuers.iter().map(trusted).collect();
            sign_up::check_issuers(directory, &account)?;
            writes.push(Entity::Account(account).into_write());
        }
        writes.push(Entity::CloudSubscription(cloud.clone()).into_write());
        Ok((writes, cloud))
    }

    /// Suspends or activates: the operator's to do.
    pub(super) async fn switch_tenant(&self, id: UserRoleId, action: &str) -> Result<OwnAnswer, OwnError> {
        self.require_operator()?;
        let state = match action {
            _ if action.eq_ignore_ascii_case("suspend") => CloudState::Suspended,
            _ if action.eq_ignore_ascii_case("activate") => CloudState::Active,
            _ => return Err(OwnError::ResourceType { path: self.request.path.as_str().to_owned() }),
        };
        let cloud = self.set_state(self.tenant_of(id)?.id, state).await?;
        Ok(OwnAnswer::ok(self.show_tenant(&cloud, None)))
    }

    /// Begins the end of a tenant: its machines, its role, and then the tenant itself are removed.
    pub(super) async fn delete_tenant(&self, id: UserRoleId) -> Result<OwnAnswer, OwnError> {
        let Ok(found) = self.tenant_of(id) else { return Ok(OwnAnswer::empty(StatusCode::NO_CONTENT)) };
        if matches!(self.side, Side::Tenant(..)) {
            self.require_administrator_of(found)?;
        }
        let cloud = self.set_state(found.id, CloudState::Deleting).await?;
        Ok(OwnAnswer { status: StatusCode::ACCEPTED, ..OwnAnswer::ok(self.show_tenant(&cloud, None)) })
    }

    async fn set_state(&self, id: SubscriptionId, state: CloudState) -> Result<CloudSubscription, OwnError> {
        let changed = self.desk.change(self.request, |directory| {
            // What is being removed stays so.
            let goes_on = |cloud: &&CloudSubscription| cloud.state != CloudState::Deleting || state == CloudState::Deleting;
            let mut cloud = directory.cloud(id).filter(goes_on).ok_or_else(|| self.not_found())?.clone();
            if cloud.state == state {
                return Ok::<_, OwnError>((Vec::new(), cloud));
            }
            cloud.state = state;
            Ok((vec![Entity::CloudSubscription(cloud.clone()).into_write()], cloud))
        });
        let changed = changed.await?;
        self.desk.settle(changed.revision).await?;
        Ok(changed.value)
    }

    pub(super) async fn roles(&self) -> Result<OwnAnswer, OwnError> {
        let roles: Vec<vmm::UserRole> = self.read_all("/roles", "").await?;
        let known: HashSet<UserRoleId> = self.desk.context.directory.clouds().map(|cloud| cloud.id.into()).collect();
        let visible = roles.iter().filter(|role| self.shows(role, &known));
        self.listed(visible, |role| self.own_id("userRoles", &role.id.to_string()), |role| self.show_role(role))
    }

    /// The role of a tenant is there when the tenant is: both or neither.
    fn shows(&self, role: &vmm::UserRole, known: &HashSet<UserRoleId>) -> bool {
        let tenant = role.parent.unwrap_or(role.id);
        match self.side {
            Side::Operator => role.profile != vmm::Profile::TenantAdmin || known.contains(&tenant),
            Side::Tenant(..) => tenant == self.own_role(),
        }
    }

    pub(super) async fn role(&self, id: UserRoleId) -> Result<OwnAnswer, OwnError> {
        Ok(OwnAnswer::ok(self.show_role(&self.visible_role(id).await?)))
    }

    async fn visible_role(&self, id: UserRoleId) -> Result<vmm::UserRole, OwnError> {
        let role: vmm::UserRole = self.read(&format!("/roles/{id}"), "").await?;
        let known: HashSet<UserRoleId> = self.desk.context.directory.clouds().map(|cloud| cloud.id.into()).collect();
        if self.shows(&role, &known) { Ok(role) } else { Err(self.not_found()) }
    }

    fn show_role(&self, role: &vmm::UserRole) -> Value {
        self.own("userRoles", &role.id.to_string(), json!(role))
    }

    /// Makes or replaces a role under the tenant's: its own is what the plan says.
    pub(super) async fn put_role(&self, id: UserRoleId, body: Sent<'_>) -> Result<OwnAnswer, OwnError> {
        #[derive(Deserialize)]
        struct Document {
            properties: Value,
        }
        let Document { mut properties } = body::read_as(body).await?;
        if !matches!(self.side, Side::Tenant(..)) || id == self.own_role() {
            return Err(OwnError::Machine {
                target: "id",
                problem: "is that of a tenant's own role, which follows from its plan; other roles are made under it, by the tenant"
                    .to_owned(),
            });
        }
        if let Value::Object(members) = &mut properties {
            members.insert("id".to_owned(), json!(id));
            members.insert("parent".to_owned(), json!(self.own_role()));
        }
        let role: vmm::UserRole =
            serde_json::from_value(properties).map_err(|cause| OwnError::from(crate::management::BodyError::Json(cause.to_string())))?;
        let role: vmm::UserRole = self.write(Method::Put, &format!("/roles/{id}"), &role).await?;
        Ok(OwnAnswer::ok(self.show_role(&role)))
    }

    pub(super) async fn delete_role(&self, id: UserRoleId) -> Result<OwnAnswer, OwnError> {
        let role = self.visible_role(id).await?;
        if role.parent.is_none() {
            return Err(OwnError::Machine {
                target: "id",
                problem: "is that of the tenant's own role, which ends with the tenant".to_owned(),
            });
        }
        let _gone: Value = self.write(Method::Delete, &format!("/roles/{id}"), &json!({})).await?;
        Ok(OwnAnswer::empty(StatusCode::OK))
    }
}
