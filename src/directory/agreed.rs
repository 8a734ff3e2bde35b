//! From what was agreed at run time to grants: one subscription at a time, so that a change costs what it changes.

use std::sync::Arc;

use super::entity::{Activation, ActivationStatus, CloudState, CloudSubscription, RoleAssignment};
use super::registry::{ApplyError, Holdings, Registry, Touched};
use super::shown::{self, Eligibility};
use super::{Directory, Map, Subscription, SubscriptionState};
use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::delegation::offer::{RegistrationAssignment, RegistrationDefinition};
use crate::delegation::roles::{CONTRIBUTOR, OWNER};
use crate::delegation::{Grant, Origin, OriginKind, SharedWindow, SourceLocation, Window};
use crate::ids::{ObjectId, PrincipalId, RoleId, SubscriptionId, TenantId};
use crate::store::Change;

impl Directory {
    /// The same policy files with other agreements: everything is made anew.
    #[must_use]
    pub fn agreeing(&self, registry: Registry) -> Self {
        let mut next = Self {
            agreed: Map::default(),
            clouds: Map::default(),
            relations: Map::default(),
            managed: Map::default(),
            accounts: Map::default(),
            account_issuers: Map::default(),
            ..self.clone()
        };
        let accounts = registry.accounts().map(|account| account.body.id).collect();
        let subscriptions = registry.subscriptions().map(|(id, _)| id).collect();
        next.registry = registry;
        next.renew(&Touched { accounts, subscriptions });
        next
    }

    /// The snapshot after one more change of the store.
    ///
    /// # Errors
    /// When the change does not follow, or cannot be read.
    pub fn apply(&self, change: &Change) -> Result<Self, ApplyError> {
        let (registry, touched) = self.registry.apply(change)?;
        let mut next = Self { registry, ..self.clone() };
        next.renew(&touched);
        Ok(next)
    }

    fn renew(&mut self, touched: &Touched) {
        for id in &touched.accounts {
            self.renew_account(*id);
        }
        for id in &touched.subscriptions {
            self.renew_subscription(*id);
        }
    }

    /// Makes one subscription anew from what is declared, signed up for and agreed in it.
    fn renew_subscription(&mut self, id: SubscriptionId) {
        let before = self.agreed.get(&id).map(|before| self.ties(before)).unwrap_or_default();
        let after = self.registry.holdings(id).and_then(|held| self.remade(id, held));
        let after_ties = after.as_ref().map(|after| self.ties(after)).unwrap_or_default();
        self.relate(id, &before, &after_ties);
        match after.is_some() && !self.declared.subscriptions.contains_key(&id) {
            true => self.clouds.insert_mut(id, ()),
            false => drop(self.clouds.remove_mut(&id)),
        }
        match after {
            Some(after) => self.agreed.insert_mut(id, Arc::new(after)),
            None => drop(self.agreed.remove_mut(&id)),
        }
    }

    /// A subscription with what is held in it; none for one that is neither declared nor signed up for.
    fn remade(&self, id: SubscriptionId, held: &Holdings) -> Option<Subscription> {
        let base = match self.declared.subscriptions.get(&id) {
            Some(declared) => Subscription::clone(declared),
            None => signed_up(&held.cloud.as_ref()?.body, self),
        };
        Some(merge(base, held, self))
    }

    /// Who has to do with whom because of what happened in a subscription at run time.
    fn ties(&self, subscription: &Subscription) -> Vec<(TenantId, TenantId)> {
        let owner = Some(subscription.tenant).filter(|_| !self.declared.subscriptions.contains_key(&subscription.id));
        owner.into_iter().chain(subscription.agreed_with.iter().copied()).map(|tenant| (tenant, subscription.tenant)).collect()
    }

    fn relate(&mut self, subscription: SubscriptionId, before: &[(TenantId, TenantId)], after: &[(TenantId, TenantId)]) {
        for gone in before.iter().filter(|pair| !after.contains(pair)) {
            match self.relations.get(gone).copied().unwrap_or_default() {
                0 | 1 => drop(self.relations.remove_mut(gone)),
                count => self.relations.insert_mut(*gone, count - 1),
            }
            let mut managed = self.managed.get(&gone.0).cloned().unwrap_or_default();
            managed.remove_mut(&subscription);
            match managed.is_empty() {
                true => drop(self.managed.remove_mut(&gone.0)),
                false => self.managed.insert_mut(gone.0, managed),
            }
        }
        for new in after.iter().filter(|pair| !before.contains(pair)) {
            let count = self.relations.get(new).copied().unwrap_or_default();
            self.relations.insert_mut(*new, count + 1);
            let mut managed = self.managed.get(&new.0).cloned().unwrap_or_default();
            managed.insert_mut(subscription, ());
            self.managed.insert_mut(new.0, managed);
        }
    }
}

/// A subscription that was signed up for, with the grants of those who work in it.
fn signed_up(cloud: &CloudSubscription, directory: &Directory) -> Subscription {
    let scope = Arc::new(Scope::subscription(cloud.id));
    let made_at = kept_at(format!("{scope}/providers/Steward.PrivateCloud/tenants/{}", cloud.id));
    let roles = std::iter::once(OWNER).chain(std::iter::repeat(CONTRIBUTOR));
    let members = cloud.members().zip(roles).filter(|(member, _)| member.principal.tenant == cloud.tenant);
    let granted = members.filter_map(|(member, role)| {
        let (principal_name, defined_at) = (Arc::clone(&member.name), made_at.clone());
        let origin = Origin { kind: OriginKind::RoleAssignment, principal_name, defined_at, through: None };
        let role = directory.roles().by_id(role)?;
        let (scope, window) = (Arc::clone(&scope), Window::Standing.into());
        Some(Grant { principal: member.principal, role, scope, window, origin: Arc::new(origin) })
    });
    let inherited = directory.tenant_grants(cloud.tenant).iter().map(|grant| Grant { scope: Arc::clone(&scope), ..grant.clone() });
    Subscription {
        id: cloud.id,
        name: Arc::clone(&cloud.name),
        tenant: cloud.tenant,
        state: match cloud.state {
            CloudState::Active => SubscriptionState::Enabled,
            CloudState::Deleting | CloudState::Suspended => SubscriptionState::Disabled,
        },
        ancestors: Vec::new(),
        grants: granted.chain(inherited).collect(),
        denies: Arc::default(),
        managed_by: Vec::new(),
        agreed_with: Vec::new(),
        defined_at: made_at.clone(),
    }
}

fn merge(mut merged: Subscription, held: &Holdings, directory: &Directory) -> Subscription {
    let (id, owner) = (merged.id, merged.tenant);
    for assignment in held.assignments.values() {
        let Some(definition) = held.definitions.get(&assignment.body.definition.name) else { continue };
        // A subscription that moved into the managing tenant has nothing to delegate to it any more.
        if definition.body.managing_tenant == owner {
            continue;
        }
        merged.agreed_with.push(definition.body.managing_tenant);
        let lapsed = held.lapsed(&assignment.body, &definition.body);
        merged.grants.extend(grants((&assignment.body, &definition.body), lapsed, owner, directory));
    }
    merged.grants.extend(held.role_assignments.values().filter_map(|one| assigned(&one.body, owner, directory)));
    merged.grants.extend(activated(id, held, directory));
    merged.agreed_with.sort_unstable();
    merged.agreed_with.dedup();
    merged.managed_by.extend_from_slice(&merged.agreed_with);
    merged.managed_by.sort_unstable();
    merged.managed_by.dedup();
    merged.grants.sort_by_key(|grant| grant.principal);
    merged
}

/// The grants of one delegation. A role that the catalogue no longer has grants nothing.
fn grants(
    (assignment, definition): (&RegistrationAssignment, &RegistrationDefinition),
    lapsed: Option<Timestamp>,
    owner: TenantId,
    directory: &Directory,
) -> Vec<Grant> {
    let standing = lapsed.map_or_else(|| term(definition.term.not_before, definition.term.not_after), |since| Window::Unused { since });
    let (standing, on_request) = (SharedWindow::from(standing), SharedWindow::from(Window::Eligible));
    let made = Made {
        assignment,
        definition,
        owner,
        directory,
        scope: Arc::new(assignment.scope.clone()),
        kind: OriginKind::Delegation { offer: Arc::clone(&definition.offer_name), managing_tenant: definition.managing_tenant },
    };
    let authorized =
        definition.authorizations.iter().filter_map(|one| made.grant(one.principal, one.display_name.as_deref(), one.role, &standing));
    let eligible =
        definition.eligible.iter().filter_map(|one| made.grant(one.principal, one.display_name.as_deref(), one.role, &on_request));
    authorized.chain(eligible).collect()
}

/// A role inside the tenant: it counts while the subscription belongs to the tenant it was given in.
fn assigned(assignment: &RoleAssignment, home: TenantId, directory: &Directory) -> Option<Grant> {
    let principal = Some(assignment.principal).filter(|principal| principal.tenant == home)?;
    let name = directory.principal(principal).map_or_else(|| principal.object.to_string().into(), |known| Arc::clone(&known.name));
    let id = format!("{}/providers/Microsoft.Authorization/roleAssignments/{}", assignment.scope, assignment.name);
    let origin = Origin { kind: OriginKind::RoleAssignment, principal_name: name, defined_at: kept_at(id), through: None };
    let role = directory.roles().by_id(assignment.role)?;
    let (scope, window) = (Arc::new(assignment.scope.clone()), Window::Standing.into());
    Some(Grant { principal, role, scope, window, origin: Arc::new(origin) })
}

/// The grants of activations, each for as long as the eligible role behind it is still offered.
fn activated(subscription: SubscriptionId, held: &Holdings, directory: &Directory) -> Vec<Grant> {
    let granted: Vec<_> = held.activations.values().filter(|one| one.body.status == ActivationStatus::Granted).collect();
    if granted.is_empty() {
        return Vec::new();
    }
    let eligible = shown::eligibilities(directory, subscription);
    granted.into_iter().filter_map(|one| activation(&one.body, &eligible, directory)).collect()
}

fn activation(activation: &Activation, eligible: &[Eligibility], directory: &Directory) -> Option<Grant> {
    let reviewed_at = activation.stages.iter().filter_map(|stage| Some(stage.review.as_ref()?.at)).max();
    let agreed_at = reviewed_at.unwrap_or(activation.requested_at);
    let behind = eligible.iter().find(|known| {
        known.assignment.name == activation.assignment
            && known.authorization.principal == activation.eligible
            && known.authorization.role == activation.role
            && known.definition.managing_tenant == activation.principal.tenant
            && known.assignment.scope.covers(&activation.scope)
            // What was removed and made again under the same name is another delegation.
            && known.assignment.created_at <= activation.requested_at
            // What was booked under other terms and has not begun has to be asked for again.
            && (known.definition.updated_at <= agreed_at || activation.from <= known.definition.updated_at)
    })?;
    let kind =
        OriginKind::Delegation { offer: Arc::clone(&behind.definition.offer_name), managing_tenant: behind.definition.managing_tenant };
    let id = format!("{}/providers/Microsoft.Authorization/roleAssignmentScheduleRequests/{}", activation.scope, activation.name);
    let through = (activation.eligible != activation.principal.object)
        .then(|| PrincipalId { object: activation.eligible, ..activation.principal }.into());
    let origin = Origin { kind, principal_name: Arc::clone(&activation.principal_name), defined_at: kept_at(id), through };
    let term = behind.definition.term;
    let from = term.not_before.map_or(activation.from, |begin| begin.max(activation.from));
    let until = term.not_after.map_or(activation.until, |end| end.min(activation.until));
    Some(Grant {
        principal: activation.principal,
        role: directory.roles().by_id(activation.role)?,
        scope: Arc::new(activation.scope.clone()),
        window: Window::Between { from: Some(from), until: Some(until) }.into(),
        origin: Arc::new(origin),
    })
}

const fn term(from: Option<Timestamp>, until: Option<Timestamp>) -> Window {
    match (from, until) {
        (None, None) => Window::Standing,
        (from, until) => Window::Between { from, until },
    }
}

/// What the grants of one delegation share.
struct Made<'a> {
    assignment: &'a RegistrationAssignment,
    definition: &'a RegistrationDefinition,
    owner: TenantId,
    directory: &'a Directory,
    scope: Arc<Scope>,
    kind: OriginKind,
}

impl Made<'_> {
    fn grant(&self, object: ObjectId, name: Option<&str>, role: RoleId, window: &SharedWindow) -> Option<Grant> {
        let principal = PrincipalId { tenant: self.definition.managing_tenant, object };
        // Its reader is the owner, wherever the name of a grant is shown.
        let known = || self.directory.known_to(self.owner).principal(principal).map(|known| Arc::clone(&known.name));
        let principal_name = name.map(Arc::from).or_else(known).unwrap_or_else(|| object.to_string().into());
        let origin = Origin { kind: self.kind.clone(), principal_name, defined_at: kept_at(self.assignment.id()), through: None };
        let role = self.directory.roles().by_id(role)?;
        Some(Grant { principal, role, scope: Arc::clone(&self.scope), window: window.clone(), origin: Arc::new(origin) })
    }
}

/// A resource id stands where a file would: that is where the grant can be changed.
fn kept_at(id: String) -> SourceLocation {
    SourceLocation { file: id.into(), line: 0, column: 0 }
}
