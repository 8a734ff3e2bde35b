//! `roleAssignmentApprovals`: a stage for each tenant that is asked, decided by the first of its approvers who
//! speaks. Nobody approves its own request.

use std::sync::Arc;

use serde_json::{Value, json};

use super::activations::approval_path;
use super::schedules::status_text;
use super::{AccessError, Call, OwnAnswer, OwnError, text};
use crate::directory::Directory;
use crate::directory::entity::{Activation, ActivationStatus, Entity, Review, Stage};
use crate::ids::PrincipalId;
use crate::management::pages::paged;

impl Call<'_> {
    pub(super) fn is_approver(&self, directory: &Directory, one: &Activation) -> bool {
        let principals = self.principals(directory);
        one.stages.iter().any(|stage| self.is_asked(&principals, one, stage))
    }

    fn is_asked(&self, principals: &[PrincipalId], one: &Activation, stage: &Stage) -> bool {
        one.principal != self.request.caller.principal && stage.approvers.iter().any(|approver| principals.contains(approver))
    }

    pub(super) fn approvals(&self) -> Result<OwnAnswer, OwnError> {
        let mut near = self.near_activations()?;
        near.retain(|one| !one.stages.is_empty() && self.may_see(one));
        paged(self.request, near, |one| approval_path(one), |one| self.show_approval(one))
    }

    pub(super) fn approval(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let found = self.find_approval(self.directory(), name)?;
        Ok(OwnAnswer::ok(self.show_approval(&found)))
    }

    pub(super) fn approval_stages(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let found = self.find_approval(self.directory(), name)?;
        Ok(OwnAnswer::ok(json!({ "value": self.show_stages(&found) })))
    }

    pub(super) fn approval_stage(&self, name: &str, stage: &str) -> Result<OwnAnswer, OwnError> {
        let found = self.find_approval(self.directory(), name)?;
        let stage = self.stage(&found, stage)?;
        Ok(OwnAnswer::ok(self.show_stage(&found, stage)))
    }

    pub(super) async fn decide(&self, name: &str, stage: &str, body: &Value) -> Result<OwnAnswer, OwnError> {
        let approved = match text(body, "reviewResult").unwrap_or_default() {
            "Approve" => true,
            "Deny" => false,
            other => {
                let problem = format!("is `{}`; expected Approve or Deny", other.chars().take(64).collect::<String>());
                return Err(AccessError::Body { member: "properties.reviewResult", problem }.into());
            }
        };
        let changed = self.desk.change(self.request, |directory| {
            let found = self.find_approval(directory, name)?;
            let asked = self.stage(&found, stage)?;
            let decided = self.decided(directory, &found, asked, &self.review(approved, text(body, "justification")))?;
            Ok::<_, OwnError>((vec![Entity::Activation(decided.clone()).into_write()], decided))
        });
        let decided = changed.await?.value;
        let stage = self.stage(&decided, stage)?;
        Ok(OwnAnswer::ok(self.show_stage(&decided, stage)))
    }

    fn review(&self, approved: bool, why: Option<&str>) -> Review {
        Review {
            by: self.request.caller.principal,
            by_name: self.request.caller.name.clone(),
            approved,
            at: self.now(),
            justification: why.map(|why| why.chars().take(1024).collect()),
        }
    }

    fn decided(&self, directory: &Directory, found: &Activation, asked: &Stage, review: &Review) -> Result<Activation, OwnError> {
        let now = self.now();
        if found.status != ActivationStatus::PendingApproval || asked.review.is_some() {
            return Err(AccessError::AlreadyDecided { id: found.name.to_string(), status: status_text(found, now) }.into());
        }
        // Whoever was taken out of the offer meanwhile is not asked any more.
        let named = self.named_now(directory, found)?;
        let still = named.iter().find(|stage| stage.name == asked.name);
        let principals = self.principals(directory);
        if !self.is_asked(&principals, found, asked) || !still.is_some_and(|stage| self.is_asked(&principals, found, stage)) {
            return Err(AccessError::NotAnApprover.into());
        }
        let approved = review.approved;
        let mut decided = found.clone();
        for stage in decided.stages.iter_mut().filter(|stage| stage.name == asked.name) {
            stage.review = Some(review.clone());
        }
        let open = decided.stages.iter().any(|stage| stage.review.is_none());
        decided.status = match (approved, open) {
            (false, _) => ActivationStatus::Denied,
            (true, true) => ActivationStatus::PendingApproval,
            (true, false) => ActivationStatus::Granted,
        };
        // What was asked for lasts as long as it was asked for, from the last decision on.
        let late = now.duration_since(found.from).max(jiff::SignedDuration::ZERO);
        let moved = |moment: crate::clock::Timestamp| moment.checked_add(late).unwrap_or(moment);
        (decided.from, decided.until) = (moved(found.from), moved(found.until));
        Ok(decided)
    }

    fn find_approval(&self, directory: &Directory, name: &str) -> Result<Arc<Activation>, OwnError> {
        let found = self.find_activation(directory, name)?;
        if found.stages.is_empty() { Err(self.not_found()) } else { Ok(found) }
    }

    fn stage<'s>(&self, one: &'s Activation, stage: &str) -> Result<&'s Stage, OwnError> {
        let name = stage.parse().map_err(|_cause| self.not_found())?;
        one.stages.iter().find(|stage| stage.name == name).ok_or_else(|| self.not_found())
    }

    fn show_approval(&self, one: &Activation) -> Value {
        json!({
            "id": approval_path(one),
            "name": one.name,
            "type": "Microsoft.Authorization/roleAssignmentApprovals",
            "properties": { "stages": self.show_stages(one) },
        })
    }

    fn show_stages(&self, one: &Activation) -> Vec<Value> {
        one.stages.iter().map(|stage| self.show_stage(one, stage)).collect()
    }

    fn show_stage(&self, one: &Activation, stage: &Stage) -> Value {
        let review = stage.review.as_ref();
        let result = match review.map(|review| review.approved) {
            Some(true) => "Approve",
            Some(false) => "Deny",
            None => "NotReviewed",
        };
        let waits = review.is_none() && one.status == ActivationStatus::PendingApproval;
        json!({
            "id": format!("{}/stages/{}", approval_path(one), stage.name),
            "name": stage.name,
            "type": "Microsoft.Authorization/roleAssignmentApprovals/stages",
            "properties": {
                "status": if waits { "InProgress" } else { "Completed" },
                "assignedToMe": self.is_asked(&self.principals(self.directory()), one, stage),
                "reviewResult": result,
                "justification": review.and_then(|review| review.justification.as_deref()),
                "reviewedBy": review.map(|review| json!({ "principalId": review.by.object, "principalName": review.by_name })),
                "reviewedDateTime": review.map(|review| review.at),
            },
        })
    }
}
