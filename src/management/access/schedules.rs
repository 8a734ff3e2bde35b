//! Eligible roles and active ones, as seen by who may use them. Source: role eligibility and assignment schedules, 2020-10-01.

use std::fmt::Display;

use serde_json::{Value, json};

use super::activations::{activation_id, approval_path};
use super::{Call, OwnAnswer, OwnError, role_path};
use crate::arm::scope::Scope;
use crate::directory::entity::{Activation, ActivationStatus};
use crate::directory::shown::{self, Eligibility};
use crate::directory::{Directory, PrincipalKind};
use crate::ids::PrincipalId;
use crate::management::pages::paged;

impl Call<'_> {
    /// The roles that the caller may activate at, above or below the request's scope.
    pub(super) fn eligible(&self, kind: &str) -> Result<OwnAnswer, OwnError> {
        let mine = self.my_eligibilities(self.directory())?;
        let here = &self.request.scope;
        let near = mine.iter().filter(|one| one.assignment.scope.covers(here) || here.covers(&one.assignment.scope));
        paged(self.request, near, |one| schedule_id(kind, &one.assignment.scope, &one.id), |one| self.show_eligibility(kind, one))
    }

    pub(super) fn my_eligibilities(&self, directory: &Directory) -> Result<Vec<Eligibility>, OwnError> {
        let (subscription, _) = self.place()?;
        let principals = self.principals(directory);
        let mut all = shown::eligibilities(directory, subscription);
        all.retain(|one| {
            let principal = PrincipalId { tenant: one.definition.managing_tenant, object: one.authorization.principal };
            principals.contains(&principal)
        });
        Ok(all)
    }

    fn show_eligibility(&self, kind: &str, one: &Eligibility) -> Value {
        let scope = &one.assignment.scope;
        let subscription = one.definition.subscription;
        let principal = PrincipalId { tenant: one.definition.managing_tenant, object: one.authorization.principal };
        let known = self.known().principal(principal);
        json!({
            "id": schedule_id(kind, scope, &one.id),
            "name": one.id.to_string(),
            "type": format!("Microsoft.Authorization/{kind}"),
            "properties": {
                "scope": scope.to_string(),
                "roleDefinitionId": role_path(subscription, one.authorization.role),
                "principalId": one.authorization.principal,
                "principalType": principal_type(known.map(|known| known.kind)),
                "roleEligibilityScheduleId": format!("{scope}/providers/Microsoft.Authorization/roleEligibilitySchedules/{}", one.id),
                "status": "Provisioned",
                "memberType": if one.authorization.principal == self.request.caller.principal.object { "Direct" } else { "Group" },
                "expandedProperties": self.expanded(scope, one.authorization.role, one.authorization.display_name.as_deref()),
            },
        })
    }

    pub(super) fn expanded(&self, scope: &Scope, role: crate::ids::RoleId, principal: Option<&str>) -> Value {
        let roles = self.directory().roles();
        let name = roles.by_id(role).and_then(|index| roles.role(index)).map(|role| role.name().to_owned());
        json!({
            "scope": { "id": scope.to_string(), "type": if scope.below().is_empty() { "subscription" } else { "resourcegroup" } },
            "roleDefinition": { "id": role, "displayName": name, "type": "BuiltInRole" },
            "principal": { "displayName": principal },
        })
    }

    /// The activations of the caller that are in force.
    pub(super) fn active(&self, kind: &str) -> Result<OwnAnswer, OwnError> {
        let now = self.now();
        let mine = self.near_activations()?.into_iter().filter(|one| {
            one.principal == self.request.caller.principal && one.status == ActivationStatus::Granted && one.from <= now && now < one.until
        });
        paged(self.request, mine, |one| schedule_id(kind, &one.scope, &one.name), |one| self.show_active(kind, one))
    }

    fn show_active(&self, kind: &str, one: &Activation) -> Value {
        json!({
            "id": schedule_id(kind, &one.scope, &one.name),
            "name": one.name,
            "type": format!("Microsoft.Authorization/{kind}"),
            "properties": {
                "scope": one.scope.to_string(),
                "roleDefinitionId": role_path(one.subscription, one.role),
                "principalId": one.principal.object,
                "principalType": "User",
                "assignmentType": "Activated",
                "status": "Provisioned",
                "startDateTime": one.from,
                "endDateTime": one.until,
                "roleAssignmentScheduleRequestId": activation_id(one),
                "expandedProperties": self.expanded(&one.scope, one.role, Some(&one.principal_name)),
            },
        })
    }

    /// The activations of the subscription at, above or below the request's scope.
    pub(super) fn near_activations(&self) -> Result<Vec<std::sync::Arc<Activation>>, OwnError> {
        let (subscription, _) = self.place()?;
        let held = self.directory().registry().holdings(subscription);
        let all = held.into_iter().flat_map(|held| held.activations.values());
        let here = &self.request.scope;
        let near = all.filter(|one| one.body.scope.covers(here) || here.covers(&one.body.scope));
        Ok(near.map(|one| std::sync::Arc::clone(&one.body)).collect())
    }

    /// An activation as its requestor, its approvers and the owners of its scope see it.
    pub(super) fn show_activation(&self, one: &Activation) -> Value {
        let ended = one.status == ActivationStatus::Granted && one.until <= self.now();
        let approval = (!one.stages.is_empty()).then(|| approval_path(one));
        json!({
            "id": activation_id(one),
            "name": one.name,
            "type": "Microsoft.Authorization/roleAssignmentScheduleRequests",
            "properties": {
                "scope": one.scope.to_string(),
                "roleDefinitionId": role_path(one.subscription, one.role),
                "principalId": one.principal.object,
                "principalType": principal_type(self.known().principal(one.principal).map(|known| known.kind)),
                "requestType": "SelfActivate",
                "status": if ended { "Revoked" } else { status_text(one, self.now()) },
                "approvalId": approval,
                "justification": one.justification,
                "ticketInfo": one.ticket.as_ref().map(|ticket| json!({ "ticketNumber": ticket.number, "ticketSystem": ticket.system })),
                "scheduleInfo": {
                    "startDateTime": one.from,
                    "expiration": { "type": "AfterDateTime", "endDateTime": one.until, "duration": null },
                },
                "requestorId": one.principal.object,
                "createdOn": one.requested_at,
                "expandedProperties": self.expanded(&one.scope, one.role, Some(&one.principal_name)),
            },
        })
    }
}

/// The full id of a schedule, or of an instance of one.
fn schedule_id(kind: &str, scope: &Scope, name: &impl Display) -> String {
    format!("{scope}/providers/Microsoft.Authorization/{kind}/{name}")
}

/// The status as Azure names it.
pub(super) fn status_text(one: &Activation, now: crate::clock::Timestamp) -> &'static str {
    match one.status {
        ActivationStatus::Canceled => "Canceled",
        ActivationStatus::Denied => "Denied",
        ActivationStatus::Granted if now < one.from => "PendingProvisioning",
        ActivationStatus::Granted => "Provisioned",
        ActivationStatus::PendingApproval => "PendingApproval",
        ActivationStatus::Revoked => "Revoked",
    }
}

fn principal_type(kind: Option<PrincipalKind>) -> &'static str {
    match kind {
        Some(PrincipalKind::Group) => "Group",
        Some(PrincipalKind::ServicePrincipal) => "ServicePrincipal",
        Some(PrincipalKind::User) | None => "User",
    }
}
