//! Subscriptions of the private cloud: machines and what they are made of, tenants and their roles, jobs and use.
//!
//! A tenant's subscription has the clouds of its plan as resource groups; the subscription of the fabric has its stamps. Whatever is done with
//! machines is done by the fabric, on behalf of a member of the tenant's user role. Nothing here decides who may do it: a request that comes here is
//! permitted. Source: `docs/decisions/0015-private-cloud.md`; Microsoft.ScVmm, 2023-10-07.

mod address;
mod catalogue;
mod instances;
mod jobs;
mod shapes;
mod tenants;
mod transfer;
mod usage;

use std::sync::Arc;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Desk, OwnAnswer, OwnError, Sent};
use crate::arm::action::Method;
use crate::arm::percent;
use crate::arm::scope::Scope;
use crate::directory::Entitlement;
use crate::directory::entity::CloudSubscription;
use crate::forward::{Catalogue, Fabric, FabricError, ForwardError, PAGE, PAGES_MAX};
use crate::ids::{SubscriptionId, UserRoleId};
use crate::pipeline::{Basis, OwnRequest, Task};
use crate::rejection::Rejection;
use crate::vmm;

use address::{Address, Machine};

pub use tenants::show_plan;

/// Carries out one request.
pub(super) async fn carry_out(request: &OwnRequest, body: Sent<'_>, desk: &Desk<'_>) -> Result<OwnAnswer, OwnError> {
    if request.place.is_none() {
        return tenants::plans(request, desk);
    }
    let call = Call::new(request, desk)?;
    if desk.rehearsal.is_some() && !matches!(request.method, Method::Get | Method::Head) {
        // A fabric has no trial: what is permitted is taken to be possible.
        return Ok(OwnAnswer::empty(StatusCode::OK));
    }
    // Boxed one by one: only one of them is ever there.
    match address::of(request)? {
        address @ (Address::Groups
        | Address::Group(_)
        | Address::Provider(..)
        | Address::Catalogue(..)
        | Address::Stamps
        | Address::Hosts
        | Address::Host(..)) => Box::pin(call.on_offer(address)).await,
        address @ (Address::Resources(_)
        | Address::Machines(_)
        | Address::Machine(_)
        | Address::Instances(..)
        | Address::Instance(..)
        | Address::Jobs(_)
        | Address::Job(..)) => Box::pin(call.on_machines(address, body)).await,
        address @ (Address::Tenants | Address::Tenant(..) | Address::Roles | Address::Role(_) | Address::Usage) => {
            Box::pin(call.on_tenants(address, body)).await
        }
    }
}

/// One request and everything it is answered with.
struct Call<'a> {
    request: &'a OwnRequest,
    desk: &'a Desk<'a>,
    fabric: &'a Fabric,
    subscription: SubscriptionId,
    side: Side<'a>,
}

/// Whose subscription it is.
enum Side<'a> {
    /// The operator's: everything of the fabric, and the machines of nobody.
    Operator,
    /// A tenant's.
    Tenant(&'a CloudSubscription, Entitlement<'a>),
}

impl<'a> Call<'a> {
    fn new(request: &'a OwnRequest, desk: &'a Desk<'a>) -> Result<Self, OwnError> {
        let directory = &desk.context.directory;
        let not_found = || OwnError::NotFound { id: request.path.as_str().to_owned() };
        let (subscription, _) = request.place.ok_or_else(not_found)?;
        let side = match directory.cloud(subscription) {
            Some(cloud) => Side::Tenant(cloud, directory.entitlement(cloud)),
            None if directory.private_cloud().is_some_and(|known| known.subscription == subscription) => Side::Operator,
            None => return Err(not_found()),
        };
        Ok(Self { request, desk, fabric: desk.fabric.ok_or(OwnError::NoFabric)?, subscription, side })
    }

    async fn on_offer(&self, address: Address<'_>) -> Result<OwnAnswer, OwnError> {
        match (self.request.method, address) {
            (Method::Get, Address::Groups) => self.groups().await,
            (Method::Get | Method::Head | Method::Put | Method::Patch, Address::Group(name)) => self.group(name).await,
            (Method::Get, Address::Provider(namespace, false)) | (Method::Post, Address::Provider(namespace, true)) => {
                Ok(self.provider(namespace))
            }
            (Method::Get, Address::Catalogue(kind, group, name)) => self.catalogue(kind, group, name).await,
            (Method::Get, Address::Stamps) => self.stamps().await,
            (Method::Get, Address::Hosts) => self.hosts().await,
            (Method::Get, Address::Host(name, None)) => self.host(name).await,
            (Method::Post, Address::Host(name, Some(action))) => self.switch_host(name, action).await,
            _ => Err(self.no_such_method()),
        }
    }

    async fn on_machines(&self, address: Address<'_>, body: Sent<'_>) -> Result<OwnAnswer, OwnError> {
        match (self.request.method, address) {
            (Method::Get, Address::Resources(group) | Address::Machines(group)) => self.machines(group).await,
            (Method::Get, Address::Machine(machine)) => self.machine(machine).await,
            (Method::Put | Method::Patch, Address::Machine(machine)) => self.put_machine(machine, body).await,
            (Method::Delete, Address::Machine(machine) | Address::Instance(machine, None)) => self.delete(machine).await,
            (Method::Get, Address::Instances(group, name)) => self.instances(group, name).await,
            (Method::Get, Address::Instance(machine, None)) => self.instance(machine).await,
            (Method::Put, Address::Instance(machine, None)) => self.put_instance(machine, body).await,
            (Method::Patch, Address::Instance(machine, None)) => self.patch_instance(machine, body).await,
            (Method::Post, Address::Instance(machine, Some(action))) => self.act(machine, action, body).await,
            (Method::Get, Address::Jobs(machine)) => self.jobs(machine).await,
            (Method::Get, Address::Job(machine, id)) => self.job(machine, id).await,
            _ => Err(self.no_such_method()),
        }
    }

    async fn on_tenants(&self, address: Address<'_>, body: Sent<'_>) -> Result<OwnAnswer, OwnError> {
        match (self.request.method, address) {
            (Method::Get, Address::Tenants) => self.tenants(),
            (Method::Get, Address::Tenant(id, None)) => self.tenant(id).await,
            (Method::Patch, Address::Tenant(id, None)) => self.patch_tenant(id, body).await,
            (Method::Delete, Address::Tenant(id, None)) => self.delete_tenant(id).await,
            (Method::Post, Address::Tenant(id, Some(action))) => self.switch_tenant(id, action).await,
            (Method::Get, Address::Roles) => self.roles().await,
            (Method::Get, Address::Role(id)) => self.role(id).await,
            (Method::Put, Address::Role(id)) => self.put_role(id, body).await,
            (Method::Delete, Address::Role(id)) => self.delete_role(id).await,
            (Method::Get, Address::Usage) => self.usage().await,
            _ => Err(self.no_such_method()),
        }
    }

    fn no_such_method(&self) -> OwnError {
        OwnError::Method { method: self.request.method, path: self.request.path.as_str().to_owned() }
    }

    fn not_found(&self) -> OwnError {
        OwnError::NotFound { id: self.request.path.as_str().to_owned() }
    }

    /// The tenant's own role.
    fn own_role(&self) -> UserRoleId {
        self.subscription.into()
    }

    /// In whose name the fabric works for this request: the caller's own, when it is a member of the role, and the administrator's of the
    /// subscription otherwise.
    fn connection(&self) -> vmm::Connection {
        match self.side {
            Side::Operator => vmm::Connection::Administrator {},
            Side::Tenant(cloud, _) => {
                let caller = self.request.caller.principal;
                let own = cloud.members().find(|member| member.principal == caller);
                let identity = own.map_or(&cloud.administrator.identity, |member| &member.identity);
                vmm::Connection::OnBehalfOf { user: (&**identity).into(), user_role: cloud.id.into() }
            }
        }
    }

    /// What the fabric offers, as far as the plan has it.
    async fn offered(&self) -> Result<Arc<Catalogue>, OwnError> {
        Ok(Box::pin(self.fabric.catalogue(self.desk.context.now)).await?)
    }

    fn has_cloud(&self, cloud: &vmm::Cloud) -> bool {
        match &self.side {
            Side::Operator => true,
            Side::Tenant(_, entitlement) => entitlement.plan.is_some_and(|plan| plan.has_cloud(&cloud.name)),
        }
    }

    /// Whether the answer to a list above the caller's grants may hold this.
    fn may_see(&self, id: &str) -> bool {
        let Basis::GrantsBelow { scopes, .. } = &self.request.basis else { return true };
        let segments: Vec<&str> = id.split('/').filter(|segment| !segment.is_empty()).collect();
        Scope::from_segments(&segments).is_ok_and(|scope| scopes.iter().any(|granted| granted.covers(&scope)))
    }

    /// A page of those that the caller may see.
    fn listed<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        id: impl Fn(&T) -> String,
        show: impl Fn(&T) -> Value,
    ) -> Result<OwnAnswer, OwnError> {
        let visible = items.into_iter().filter(|item| self.may_see(&id(item)));
        super::pages::paged(self.request, visible, &id, show)
    }

    async fn read<T: DeserializeOwned>(&self, path: &str, query: &str) -> Result<T, OwnError> {
        self.run(Task { method: Method::Get, path, query, body: Bytes::new(), connection: &self.connection(), holder: None }).await
    }

    /// The whole of a list.
    async fn read_all<T: DeserializeOwned>(&self, path: &str, query: &str) -> Result<Vec<T>, OwnError> {
        let (mut found, mut after) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let page: vmm::Page<T> = self.read(path, &format!("top={PAGE}&{query}{after}")).await?;
            found.extend(page.value);
            match page.next {
                Some(next) => after = format!("&after={}", percent::encode(&next)),
                None => return Ok(found),
            }
        }
        Err(FabricError::Forward(ForwardError::AnswerTooLarge { max: PAGE * PAGES_MAX }).into())
    }

    async fn write<T: DeserializeOwned>(&self, method: Method, path: &str, body: &impl Serialize) -> Result<T, OwnError> {
        self.write_as(method, path, body, &self.connection()).await
    }

    /// Has the fabric change something, while what permitted the request still does.
    async fn write_as<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
        connection: &vmm::Connection,
    ) -> Result<T, OwnError> {
        let holder = match (connection, &self.side) {
            (vmm::Connection::OnBehalfOf { .. }, _) => None,
            (vmm::Connection::Administrator {}, Side::Operator) => Some(vmm::Holder::Nobody),
            (vmm::Connection::Administrator {}, Side::Tenant(..)) => Some(vmm::Holder::Role(self.own_role())),
        };
        self.write_held(method, path, body, connection, holder).await
    }

    /// The same about a machine that has to be somebody's.
    async fn write_held<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
        connection: &vmm::Connection,
        holder: Option<vmm::Holder>,
    ) -> Result<T, OwnError> {
        // What is written here is not held up by the store: this node has to know by itself that nothing was taken away.
        if !self.desk.state.is_current() {
            return Err(OwnError::Refused(Box::new(Rejection::Stale)));
        }
        self.desk.parts.judge_again(self.request, &self.desk.state.directory()).map_err(OwnError::Refused)?;
        let body = serde_json::to_vec(body).map(Bytes::from).map_err(|cause| OwnError::from(super::BodyError::Json(cause.to_string())))?;
        self.run(Task { method, path, query: "", body, connection, holder }).await
    }

    async fn run<T: DeserializeOwned>(&self, task: Task<'_>) -> Result<T, OwnError> {
        // An exchange is large, and would be part of whatever asks.
        Ok(Box::pin(self.fabric.ask(self.request, task, self.desk.context)).await?)
    }

    /// The machine of this resource, whatever state it is in.
    async fn find(&self, machine: Machine<'_>) -> Result<Option<vmm::Vm>, OwnError> {
        let offered = self.offered().await?;
        let name = percent::encode(machine.name);
        let path = match &self.side {
            Side::Operator => {
                let stamp = offered.stamps.iter().find(|stamp| stamp.name.eq_ignore_ascii_case(machine.group));
                stamp.map(|stamp| format!("/stamps/{}/machines/{name}", stamp.id))
            }
            Side::Tenant(..) => {
                offered.cloud_named(machine.group).map(|cloud| format!("/roles/{}/machines/{}/{name}", self.own_role(), cloud.id))
            }
        };
        let Some(path) = path else { return Ok(None) };
        match self.read(&path, "").await {
            Ok(vm) => Ok(Some(vm)),
            Err(OwnError::Fabric(FabricError::Refused { status: StatusCode::NOT_FOUND, .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn existing(&self, machine: Machine<'_>) -> Result<vmm::Vm, OwnError> {
        self.find(machine).await?.ok_or_else(|| self.not_found())
    }

    /// A client that registers providers before it uses them goes on: those of the private cloud are there because of the plan.
    fn provider(&self, namespace: &str) -> OwnAnswer {
        OwnAnswer::ok(json!({
            "id": format!("/subscriptions/{}/providers/{namespace}", self.subscription),
            "namespace": namespace,
            "registrationState": "Registered",
            "resourceTypes": [],
        }))
    }
}

impl From<FabricError> for OwnError {
    fn from(error: FabricError) -> Self {
        Self::Fabric(error)
    }
}
