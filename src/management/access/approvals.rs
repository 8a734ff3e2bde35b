//! `roleAssignmentApprovals`: one stage each, decided by the first approver who speaks. Nobody approves its own request.

use std::sync::Arc;

use serde_json::{Value, json};

use super::activations::approval_path;
use super::schedules::status_text;
use super::{AccessError, Call, OwnAnswer, OwnError, text};
use crate::directory::Directory;
use crate::directory::entity::{Activation, ActivationStatus, Entity, Review};
use crate::ids::ActivationId;

impl Call<'_> {
    pub(super) fn is_approver(&self, directory: &Directory, one: &Activation) -> bool {
        let principals = self.principals(directory);
        one.principal != self.request.caller.principal && one.approvers.iter().any(|approver| principals.contains(approver))
    }

    pub(super) fn approvals(&self) -> Result<OwnAnswer, OwnError> {
        let mut near = self.near_activations()?;
        near.retain(|one| !one.approvers.is_empty() && self.may_see(one));
        let value: Vec<Value> = near.iter().map(|one| self.show_approval(one)).collect();
        Ok(OwnAnswer::ok(json!({ "value": value })))
    }

    pub(super) fn approval(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let found = self.find_approval(self.directory(), name)?;
        Ok(OwnAnswer::ok(self.show_approval(&found)))
    }

    pub(super) fn approval_stages(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let found = self.find_approval(self.directory(), name)?;
        Ok(OwnAnswer::ok(json!({ "value": [self.show_stage(&found)] })))
    }

    pub(super) fn approval_stage(&self, name: &str, stage: &str) -> Result<OwnAnswer, OwnError> {
        let found = self.find_approval(self.directory(), name)?;
        self.is_its_stage(&found, stage)?;
        Ok(OwnAnswer::ok(self.show_stage(&found)))
    }

    pub(super) async fn decide(&self, name: &str, stage: &str, body: &Value) -> Result<OwnAnswer, OwnError> {
        let status = match text(body, "reviewResult").unwrap_or_default() {
            "Approve" => ActivationStatus::Granted,
            "Deny" => ActivationStatus::Denied,
            other => {
                let problem = format!("is `{}`; expected Approve or Deny", other.chars().take(64).collect::<String>());
                return Err(AccessError::Body { member: "properties.reviewResult", problem }.into());
            }
        };
        let changed = self.desk.state.change(self.now(), |directory| {
            let found = self.find_approval(directory, name)?;
            self.is_its_stage(&found, stage)?;
            let decided = self.decided(directory, &found, status, text(body, "justification"))?;
            Ok::<_, OwnError>((vec![Entity::Activation(decided.clone()).into_write()], decided))
        });
        let decided = changed.await?.value;
        Ok(OwnAnswer::ok(self.show_stage(&decided)))
    }

    fn decided(
        &self,
        directory: &Directory,
        found: &Activation,
        status: ActivationStatus,
        why: Option<&str>,
    ) -> Result<Activation, OwnError> {
        let now = self.now();
        if found.status != ActivationStatus::PendingApproval {
            return Err(AccessError::AlreadyDecided { id: found.name.to_string(), status: status_text(found, now) }.into());
        }
        if !self.is_approver(directory, found) {
            return Err(AccessError::NotAnApprover.into());
        }
        // What was asked for lasts as long as it was asked for, from the decision on.
        let late = now.duration_since(found.from).max(jiff::SignedDuration::ZERO);
        let moved = |moment: crate::clock::Timestamp| moment.checked_add(late).unwrap_or(moment);
        Ok(Activation {
            status,
            from: moved(found.from),
            until: moved(found.until),
            review: Some(Review {
                by: self.request.caller.principal,
                by_name: self.request.caller.name.clone(),
                at: now,
                justification: why.map(|why| why.chars().take(1024).collect()),
            }),
            ..found.clone()
        })
    }

    fn find_approval(&self, directory: &Directory, name: &str) -> Result<Arc<Activation>, OwnError> {
        let found = self.find_activation(directory, name)?;
        if found.approvers.is_empty() { Err(self.not_found()) } else { Ok(found) }
    }

    /// The only stage has the name of its approval.
    fn is_its_stage(&self, one: &Activation, stage: &str) -> Result<(), OwnError> {
        if stage.parse::<ActivationId>() == Ok(one.name) { Ok(()) } else { Err(self.not_found()) }
    }

    fn show_approval(&self, one: &Activation) -> Value {
        json!({
            "id": approval_path(one),
            "name": one.name,
            "type": "Microsoft.Authorization/roleAssignmentApprovals",
            "properties": { "stages": [self.show_stage(one)] },
        })
    }

    fn show_stage(&self, one: &Activation) -> Value {
        let result = match one.status {
            ActivationStatus::Denied => "Deny",
            ActivationStatus::Granted | ActivationStatus::Revoked => "Approve",
            ActivationStatus::Canceled | ActivationStatus::PendingApproval => "NotReviewed",
        };
        let review = one.review.as_ref();
        let status = if one.status == ActivationStatus::PendingApproval { "InProgress" } else { "Completed" };
        json!({
            "id": format!("{}/stages/{}", approval_path(one), one.name),
            "name": one.name,
            "type": "Microsoft.Authorization/roleAssignmentApprovals/stages",
            "properties": {
                "status": status,
                "assignedToMe": self.is_approver(self.directory(), one),
                "reviewResult": result,
                "justification": review.and_then(|review| review.justification.as_deref()),
                "reviewedBy": review.map(|review| json!({ "principalId": review.by.object, "principalName": review.by_name })),
                "reviewedDateTime": review.map(|review| review.at),
            },
        })
    }
}
