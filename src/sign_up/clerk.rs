//! Carries on whatever is under way: sign-ups, changed plans, removals. The only one who tells the fabric about roles of tenants.
//!
//! Every step can be done again, and by several gateways at once: a role is put as it has to be, a deleted one stays deleted, and what becomes
//! visible does so in one transaction that looks whether it is still wanted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use super::role_of;
use crate::arm::action::Method;
use crate::clock::{Clock, Timestamp};
use crate::directory::Directory;
use crate::directory::entity::{self, CloudState, CloudSubscription, Entity, Phase, SignUp};
use crate::forward::{Catalogue, Fabric, FabricError};
use crate::ids::{SubscriptionId, UserRoleId};
use crate::pipeline::Task;
use crate::state::State;
use crate::store::Write;
use crate::telemetry;
use crate::vmm;

/// From a failure to the next attempt.
const RETRY: Duration = Duration::from_secs(1);
/// A sign-up that the fabric has not taken for so long is undone.
const SIGN_UP_TIME_MAX: Duration = Duration::from_mins(5);

/// Does what is to be done.
#[derive(Debug)]
pub struct Clerk {
    state: Arc<State>,
    fabric: Arc<Fabric>,
    clock: Clock,
    /// Of whom this process has put the role, and what it followed from.
    put: HashMap<SubscriptionId, Followed>,
    was_told: bool,
}

/// What a role follows from.
#[derive(Debug)]
struct Followed {
    cloud: CloudSubscription,
    policies: u64,
    offered: Arc<Catalogue>,
}

/// Why something is still to be done.
#[derive(Debug, thiserror::Error)]
enum Unfinished {
    #[error("the fabric could not be asked")]
    Fabric(#[from] FabricError),
    #[error("the state could not be changed: {0}")]
    State(String),
    #[error("machines of the tenant are still being removed")]
    Machines,
}

impl Clerk {
    /// A clerk for this gateway's state and this fabric.
    #[must_use]
    pub fn new(state: Arc<State>, fabric: Arc<Fabric>, clock: Clock) -> Self {
        Self { state, fabric, clock, put: HashMap::new(), was_told: false }
    }

    /// Goes on until `stop` ends. Whoever starts this task awaits its end.
    pub async fn run(mut self, mut directories: watch::Receiver<Arc<Directory>>, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let directory = Arc::clone(&directories.borrow_and_update());
            let work = self.work(&directory);
            let all_done = tokio::select! {
                () = &mut stop => break,
                all_done = work => all_done,
            };
            tokio::select! {
                () = &mut stop => break,
                changed = directories.changed() => {
                    if changed.is_err() {
                        break;
                    }
                }
                () = tokio::time::sleep(RETRY), if !all_done => {}
            }
        }
    }

    /// One round. `false` when something is left to do.
    async fn work(&mut self, directory: &Directory) -> bool {
        let mut all_done = true;
        for sign_up in directory.sign_ups() {
            let result = self.carry_on(directory, sign_up).await;
            all_done &= self.tell(result);
        }
        for cloud in directory.clouds() {
            let result = match cloud.state {
                CloudState::Active | CloudState::Suspended => self.keep(directory, cloud).await,
                CloudState::Deleting => self.remove(cloud).await,
            };
            all_done &= self.tell(result);
        }
        self.put.retain(|id, _| directory.cloud(*id).is_some());
        all_done
    }

    /// A failure is told once, and again after something went well.
    fn tell(&mut self, result: Result<(), Unfinished>) -> bool {
        match result {
            Ok(()) => {
                self.was_told = false;
                true
            }
            Err(Unfinished::Machines) => false,
            Err(error) => {
                if !std::mem::replace(&mut self.was_told, true) {
                    tracing::warn!(cause = telemetry::chain(&error), "the private cloud is not as it has to be yet");
                }
                false
            }
        }
    }

    async fn carry_on(&mut self, directory: &Directory, sign_up: &SignUp) -> Result<(), Unfinished> {
        let id = sign_up.subscription.id;
        if sign_up.phase == Phase::Undoing {
            self.delete_role(id.into()).await?;
            return self.change(|_| vec![entity::removal(entity::sign_up_key(id))]).await;
        }
        match self.put_role(directory, &sign_up.subscription).await {
            Ok(()) => self.change(|directory| appear(directory, id)).await,
            Err(FabricError::Refused { problem, .. }) => self.give_up(id, problem).await,
            Err(error) if self.is_late(sign_up) => self.give_up(id, unreachable(&error)).await,
            Err(error) => Err(error.into()),
        }
    }

    fn is_late(&self, sign_up: &SignUp) -> bool {
        sign_up.started_at.checked_add(SIGN_UP_TIME_MAX).is_ok_and(|end| end < self.clock.now())
    }

    /// From here on nobody makes the role any more.
    async fn give_up(&self, id: SubscriptionId, problem: vmm::Problem) -> Result<(), Unfinished> {
        let undo = |directory: &Directory| {
            let going_on = directory.sign_up(id).filter(|sign_up| sign_up.phase == Phase::Doing);
            let undone = going_on.map(|sign_up| SignUp { phase: Phase::Undoing, problem: Some(problem.clone()), ..sign_up.clone() });
            undone.map(|sign_up| Entity::SignUp(Box::new(sign_up)).into_write()).into_iter().collect()
        };
        self.change(undo).await
    }

    /// The role of a tenant that is there follows its plan.
    async fn keep(&mut self, directory: &Directory, cloud: &CloudSubscription) -> Result<(), Unfinished> {
        Ok(self.put_role(directory, cloud).await?)
    }

    async fn put_role(&mut self, directory: &Directory, cloud: &CloudSubscription) -> Result<(), FabricError> {
        let offered = self.fabric.catalogue(self.clock.now()).await?;
        let is_followed = |put: &Followed| put.policies == directory.revision && Arc::ptr_eq(&put.offered, &offered) && put.cloud == *cloud;
        if self.put.get(&cloud.id).is_some_and(is_followed) {
            return Ok(());
        }
        let role = role_of(directory, cloud, &offered);
        let _put: vmm::UserRole = self.ask(Method::Put, &format!("/roles/{}", role.id), &role).await?;
        self.put.insert(cloud.id, Followed { cloud: cloud.clone(), policies: directory.revision, offered });
        Ok(())
    }

    /// Machines first, then the roles, then the rows.
    async fn remove(&mut self, cloud: &CloudSubscription) -> Result<(), Unfinished> {
        let role = UserRoleId::from(cloud.id);
        let now = self.clock.now();
        let machines: Vec<vmm::Vm> = self.fabric.all_of("/vms", &format!("requested={role}"), now).await?;
        // Whatever a fabric makes of the filter: nobody else's machine goes.
        let machines: Vec<vmm::Vm> = machines.into_iter().filter(|vm| vm.user_role.or(vm.requested_by) == Some(role)).collect();
        for vm in machines.iter().filter(|vm| vm.status != vmm::VmStatus::Deleting) {
            let (path, connection) = (format!("/vms/{}", vm.id), vmm::Connection::Administrator {});
            let holder = Some(vmm::Holder::Role(role));
            let task = Task { method: Method::Delete, path: &path, query: "", body: Bytes::new(), connection: &connection, holder };
            let _begun: Value = self.fabric.ask_for_gateway(task, now).await?;
        }
        if !machines.is_empty() {
            return Err(Unfinished::Machines);
        }
        let children: Vec<vmm::UserRole> = self.fabric.all_of("/roles", &format!("parent={role}"), now).await?;
        for child in children {
            self.delete_role(child.id).await?;
        }
        self.delete_role(role).await?;
        let (id, tenant) = (cloud.id, cloud.tenant);
        self.change(|directory| {
            // Judged by the newest state: somebody of the account may be signing up for another one.
            let others = directory.clouds().chain(directory.sign_ups().map(|sign_up| &sign_up.subscription));
            let is_last = others.into_iter().all(|other| other.id == id || other.tenant != tenant);
            let mut writes = vec![entity::removal(entity::cloud_subscription_key(id))];
            writes.extend((is_last && directory.account(tenant).is_some()).then(|| entity::removal(entity::account_key(tenant))));
            writes
        })
        .await
    }

    async fn delete_role(&self, id: UserRoleId) -> Result<(), FabricError> {
        let _gone: Value = self.ask(Method::Delete, &format!("/roles/{id}"), &Value::Null).await?;
        Ok(())
    }

    async fn ask<T: serde::de::DeserializeOwned>(&self, method: Method, path: &str, body: &impl Serialize) -> Result<T, FabricError> {
        let body = if method == Method::Put { Bytes::from(crate::json::text(body)) } else { Bytes::new() };
        let task = Task { method, path, query: "", body, connection: &vmm::Connection::Administrator {}, holder: None };
        self.fabric.ask_for_gateway(task, self.clock.now()).await
    }

    async fn change(&self, writes: impl Fn(&Directory) -> Vec<Write> + Send + Sync) -> Result<(), Unfinished> {
        let now: Timestamp = self.clock.now();
        let made = self.state.change(now, |directory| Ok::<_, std::convert::Infallible>((writes(directory), ()))).await;
        made.map(drop).map_err(|error| Unfinished::State(error.to_string()))
    }
}

/// Account and subscription are there, and nothing is under way any more. What has become impossible meanwhile is undone instead.
fn appear(directory: &Directory, id: SubscriptionId) -> Vec<Write> {
    let Some(sign_up) = directory.sign_up(id).filter(|sign_up| sign_up.phase == Phase::Doing) else { return Vec::new() };
    if let Err(problem) = still_possible(directory, sign_up) {
        let undone = SignUp { phase: Phase::Undoing, problem: Some(problem), ..sign_up.clone() };
        return vec![Entity::SignUp(Box::new(undone)).into_write()];
    }
    let account = sign_up.account.clone().map(|account| Entity::Account(account).into_write());
    let subscription = Entity::CloudSubscription(sign_up.subscription.clone()).into_write();
    account.into_iter().chain([subscription, entity::removal(entity::sign_up_key(id))]).collect()
}

fn still_possible(directory: &Directory, sign_up: &SignUp) -> Result<(), vmm::Problem> {
    let problem = |code: &str, message: &str| vmm::Problem {
        code: code.into(),
        message: message.into(),
        recommended_action: "Sign up again.".into(),
    };
    match &sign_up.account {
        Some(account) => {
            let is_free = |issuer: &entity::TrustedIssuer| directory.issuer_name_is_free(&issuer.name, account.id);
            let all_free = account.issuers.iter().all(is_free);
            all_free.then_some(()).ok_or_else(|| problem("IssuerTaken", "Another tenant has an issuer of this name by now."))
        }
        None => {
            let is_there = directory.tenant(sign_up.subscription.tenant).is_some();
            is_there.then_some(()).ok_or_else(|| problem("TenantGone", "The tenant that this was for is not there any more."))
        }
    }
}

fn unreachable(error: &FabricError) -> vmm::Problem {
    vmm::Problem {
        code: "FabricUnreachable".into(),
        message: format!("the fabric could not be asked for {} minutes: {error}", SIGN_UP_TIME_MAX.as_secs() / 60).into(),
        recommended_action: "Sign up again later.".into(),
    }
}
