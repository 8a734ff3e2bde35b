//! Signing up for the private cloud: account, subscription and user role come to be together, or not at all.
//!
//! A sign-up is a row first. The [`Clerk`] of whichever gateway finds it makes the role in the fabric and then, in one transaction, writes account and
//! subscription and removes the row; or undoes what it has done, having written first that it will. Nothing here is decided in memory, so that any
//! process can be killed at any time. Source: `docs/decisions/0015-private-cloud.md`.

mod check;
mod clerk;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::clock::Timestamp;
use crate::directory::entity::{Account, CloudSubscription, Entity, Member, Person, Phase, SignUp, TrustedIssuer};
use crate::directory::{Directory, Plan};
use crate::ids::{ObjectId, PrincipalId, SubscriptionId, TenantId};
use crate::state::{ChangeError, State};
use crate::vmm;

pub use check::{SignUpError, check_add_ons, check_issuers, check_members, name as check_name, nameless};
pub use clerk::Clerk;

/// Sign-ups under way at once: more have to wait until the fabric has caught up.
const UNDER_WAY_MAX: usize = 64;
/// How long somebody who signs up waits for the end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who wants what.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Who.
    pub who: Applicant,
    /// What the subscription is called.
    pub name: Box<str>,
    /// Key of the plan.
    pub plan: Box<str>,
    /// Keys of add-ons.
    pub add_ons: Vec<Box<str>>,
    /// For plans that ask for one.
    pub invitation_code: Option<Box<str>>,
}

/// Somebody who signs up.
#[derive(Debug, Clone)]
pub enum Applicant {
    /// Somebody of a tenant that is there, as a token proved.
    Known {
        /// Who.
        principal: PrincipalId,
        /// Display name.
        name: Box<str>,
        /// The claims identity.
        identity: Box<str>,
    },
    /// A visitor, with whom a new tenant comes.
    Visitor {
        /// What the new tenant is called.
        organisation: Box<str>,
        /// The person's object id in it; a new one when absent.
        object: Option<ObjectId>,
        /// Display name of the person.
        name: Box<str>,
        /// The claims identity of the person.
        identity: Box<str>,
        /// Who issues the new tenant's tokens: the value of `iss`, and its public keys.
        issuer: Option<(Box<str>, serde_json::Value)>,
    },
}

/// What became of a sign-up.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is there.
    Done(CloudSubscription),
    /// It is still under way.
    UnderWay,
    /// It came to nothing, and whatever was begun is taken back.
    Undone(vmm::Problem),
}

/// The plans that can be taken, with this code or without one.
pub fn open_plans<'d>(directory: &'d Directory, code: Option<&str>) -> impl Iterator<Item = &'d Plan> {
    directory.plans().iter().filter(move |plan| directory.private_cloud().is_some_and(|cloud| cloud.admits(plan, code)))
}

/// Whether a plan can be taken with this code.
///
/// # Errors
/// When it cannot, or is not there: both say the same.
pub fn require_open(directory: &Directory, plan: &str, code: Option<&str>) -> Result<(), SignUpError> {
    let cloud = directory.private_cloud().ok_or(SignUpError::Closed)?;
    match directory.plan(plan).is_some_and(|plan| cloud.admits(plan, code)) {
        true => Ok(()),
        false => Err(SignUpError::Plan { plan: plan.chars().take(64).collect() }),
    }
}

/// Whether somebody could sign up as things are.
///
/// # Errors
/// With the rule that stands against it.
pub fn possible(directory: &Directory, wanted: &Wanted, now: Timestamp) -> Result<(), SignUpError> {
    let ids = (SubscriptionId::random(), TenantId::random(), ObjectId::random());
    check::sign_up(directory, wanted, ids, now).map(drop)
}

/// Writes down that somebody signs up. From here on it goes on by itself.
///
/// # Errors
/// When a rule stands against it, or the store cannot be used.
pub async fn begin(state: &State, wanted: &Wanted, now: Timestamp) -> Result<SubscriptionId, ChangeError<SignUpError>> {
    // Made once: a plan that is made again after somebody else was faster must not sign up twice.
    let ids = (SubscriptionId::random(), TenantId::random(), ObjectId::random());
    let changed = state.change(now, |directory| {
        let sign_up = check::sign_up(directory, wanted, ids, now)?;
        Ok::<_, SignUpError>((vec![Entity::SignUp(Box::new(sign_up)).into_write()], ()))
    });
    changed.await?;
    Ok(ids.0)
}

/// What has become of a sign-up so far. A sign-up of which nothing is known was undone, or never begun.
#[must_use]
pub fn outcome(directory: &Directory, id: SubscriptionId) -> Outcome {
    if let Some(cloud) = directory.cloud(id) {
        return Outcome::Done(cloud.clone());
    }
    match directory.sign_up(id) {
        Some(SignUp { phase: Phase::Doing, .. }) => Outcome::UnderWay,
        Some(SignUp { problem: Some(problem), .. }) => Outcome::Undone(problem.clone()),
        Some(_) | None => Outcome::Undone(vmm::Problem {
            code: "SignUpUndone".into(),
            message: "the sign-up came to nothing, or was never begun".into(),
            recommended_action: "Sign up again.".into(),
        }),
    }
}

/// Waits for the end of a sign-up, for a while.
pub async fn wait(state: &State, id: SubscriptionId) -> Outcome {
    let mut directory = state.subscribe();
    let ended = directory.wait_for(|directory| !matches!(outcome(directory, id), Outcome::UnderWay));
    match timeout(PATIENCE, ended).await {
        Ok(Ok(directory)) => outcome(&directory, id),
        Ok(Err(_)) | Err(_) => Outcome::UnderWay,
    }
}

/// What the policy and the row say that the fabric's role has to be.
fn role_of(directory: &Directory, cloud: &CloudSubscription, offered: &crate::forward::Catalogue) -> vmm::UserRole {
    use crate::directory::PlanService;
    let entitlement = directory.entitlement(cloud);
    let usable: Vec<&vmm::Cloud> =
        offered.clouds.iter().filter(|known| entitlement.plan.is_some_and(|plan| plan.has_cloud(&known.name))).collect();
    let networks = offered.networks.iter().filter(|one| {
        usable.iter().any(|cloud| cloud.networks.contains(&one.id)) && entitlement.plan.is_some_and(|plan| plan.has_network(&one.name))
    });
    let templates = offered.templates.iter().filter(|one| {
        usable.iter().any(|cloud| cloud.stamp == one.stamp) && entitlement.plan.is_some_and(|plan| plan.has_template(&one.name))
    });
    let mut actions = Vec::new();
    if entitlement.opens(PlanService::Checkpoints) {
        actions.push(vmm::PermittedAction::Checkpoint);
    }
    if entitlement.opens(PlanService::VirtualMachines) {
        actions.extend([
            vmm::PermittedAction::Create,
            vmm::PermittedAction::Modify,
            vmm::PermittedAction::Remove,
            vmm::PermittedAction::StartStop,
        ]);
    }
    if entitlement.opens(PlanService::Transfers) {
        actions.push(vmm::PermittedAction::Transfer);
    }
    vmm::UserRole {
        id: cloud.id.into(),
        name: format!("{} ({})", cloud.name, cloud.id).into(),
        profile: vmm::Profile::TenantAdmin,
        parent: None,
        members: cloud.members().map(|member| (&*member.identity).into()).collect(),
        clouds: usable.iter().map(|cloud| cloud.id).collect(),
        networks: networks.map(|one| one.id).collect(),
        templates: templates.map(|one| one.id).collect(),
        actions,
        quota: entitlement.quota,
    }
}

fn account_of(applicant: &Applicant, tenant: TenantId, object: ObjectId, now: Timestamp) -> (Option<Account>, Member) {
    match applicant {
        Applicant::Known { principal, name, identity } => {
            (None, Member { principal: *principal, name: (&**name).into(), identity: (&**identity).into() })
        }
        Applicant::Visitor { organisation, object: own, name, identity, issuer } => {
            let object = own.unwrap_or(object);
            let (name, identity): (Arc<str>, Arc<str>) = ((&**name).into(), (&**identity).into());
            let trusted = |(name, keys): &(Box<str>, serde_json::Value)| TrustedIssuer {
                name: name.clone(),
                keys: keys.clone(),
                algorithms: None,
                added_at: now,
            };
            let account = Account {
                id: tenant,
                name: (&**organisation).into(),
                administrator: Person { object, name: Arc::clone(&name), identity: Arc::clone(&identity) },
                issuers: issuer.iter().map(trusted).collect(),
                created_at: now,
            };
            (Some(account), Member { principal: PrincipalId { tenant, object }, name, identity })
        }
    }
}
