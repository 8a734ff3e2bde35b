//! `roleAssignmentScheduleRequests`: an eligible role is asked for, granted at once or by an approver, ended early or by time.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{AccessError, Call, OwnAnswer, OwnError, role_id, text};
use crate::arm::action::Action;
use crate::clock::Timestamp;
use crate::delegation::decide::{self, Decision, Question};
use crate::delegation::offer::{Approver, Mfa};
use crate::directory::Directory;
use crate::directory::entity::{self, Activation, ActivationStatus, Entity, Stage, Ticket};
use crate::directory::shown::{self, Eligibility};
use crate::ids::{ActivationId, PrincipalId, TenantId};
use crate::management::{pages::paged, room};
use crate::store::Write;

/// Characters of a justification or a ticket that are kept.
const TEXT_CHARS_MAX: usize = 1024;
/// How far ahead an activation may begin.
const AHEAD_MAX: Duration = Duration::from_hours(24 * 30);
/// How long activations that are over are kept to be looked at.
const KEPT: Duration = Duration::from_hours(24 * 90);
/// Activations kept in one subscription, and of one principal in it.
const ACTIVATIONS_MAX: usize = 10_000;
const ACTIVATIONS_OF_ONE_MAX: usize = 500;
/// The shortest activation. Source: Azure Lighthouse, "Create eligible authorizations".
const DURATION_MIN: Duration = Duration::from_mins(5);

/// What a request asks for, before anybody knows whether it may have it.
struct Wish {
    name: ActivationId,
    role: crate::ids::RoleId,
    linked: Option<Uuid>,
    justification: Box<str>,
    ticket: Option<Ticket>,
    from: Timestamp,
    duration: Option<Duration>,
}

impl Call<'_> {
    pub(super) fn activations(&self) -> Result<OwnAnswer, OwnError> {
        let mut near = self.near_activations()?;
        near.retain(|one| self.may_see(one));
        let filter = self.filter().to_ascii_lowercase();
        if filter.contains("astarget()") || filter.contains("asrequestor()") {
            near.retain(|one| one.principal == self.request.caller.principal);
        }
        if filter.contains("asapprover()") {
            near.retain(|one| self.is_approver(self.directory(), one));
        }
        paged(self.request, near, |one| activation_id(one), |one| self.show_activation(one))
    }

    pub(super) fn activation(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let found = self.find_activation(self.directory(), name)?;
        Ok(OwnAnswer::ok(self.show_activation(&found)))
    }

    /// The requestor, those who may approve, and people of the tenant that owns the scope.
    pub(super) fn may_see(&self, one: &Activation) -> bool {
        let caller = self.request.caller.principal;
        one.principal == caller || self.is_approver(self.directory(), one) || self.reads_role_assignments(one)
    }

    fn reads_role_assignments(&self, one: &Activation) -> bool {
        let directory = self.directory();
        let owns = self.request.place.is_some_and(|(_, customer)| customer == self.request.caller.principal.tenant);
        let Some(subscription) = directory.subscription(one.subscription).filter(|_| owns) else { return false };
        let principals = self.principals(directory);
        let actions: Vec<Action> = "Microsoft.Authorization/roleAssignments/read".parse().into_iter().collect();
        let question = Question { principals: &principals, actions: &actions, scope: &one.scope, now: self.now() };
        let decision = decide::decide(&subscription.grants, &subscription.denies, directory.roles(), &question);
        matches!(decision, Decision::Permit { .. })
    }

    pub(super) fn find_activation(&self, directory: &Directory, name: &str) -> Result<Arc<Activation>, OwnError> {
        let (subscription, _) = self.place()?;
        let name: ActivationId = name.parse().map_err(|_cause| self.not_found())?;
        let found = directory.registry().holdings(subscription).and_then(|held| held.activations.get(&name));
        found.map(|one| Arc::clone(&one.body)).filter(|one| self.may_see(one)).ok_or_else(|| self.not_found())
    }

    pub(super) async fn put_activation(&self, name: &str, body: &Value) -> Result<OwnAnswer, OwnError> {
        let caller = self.request.caller.principal;
        if let Some(principal) = text(body, "principalId")
            && principal.parse() != Ok(caller.object)
        {
            let problem =
                format!("is `{}`; a role is activated by its user, with the object id of the token: {}", clip(principal), caller.object);
            return Err(AccessError::Body { member: "properties.principalId", problem }.into());
        }
        match text(body, "requestType").unwrap_or_default() {
            "SelfActivate" => self.activate(&self.wish(name, body)?).await,
            "SelfDeactivate" => self.deactivate(name, body).await,
            other => {
                let problem = format!("is `{}`; expected SelfActivate or SelfDeactivate", clip(other));
                Err(AccessError::Body { member: "properties.requestType", problem }.into())
            }
        }
    }

    pub(super) fn validate_activation(&self, name: &str, body: &Value) -> Result<OwnAnswer, OwnError> {
        let (activation, _) = self.granted(self.directory(), &self.wish(name, body)?)?;
        Ok(OwnAnswer::ok(self.show_activation(&activation)))
    }

    fn wish(&self, name: &str, body: &Value) -> Result<Wish, AccessError> {
        let wrong = |member: &'static str, problem: String| AccessError::Body { member, problem };
        let role = text(body, "roleDefinitionId").ok_or_else(|| wrong("properties.roleDefinitionId", "is missing".to_owned()))?;
        let schedule = |member: &str| body.pointer(&format!("/properties/scheduleInfo/{member}"));
        let from = match schedule("startDateTime").filter(|value| !value.is_null()) {
            None => self.now(),
            Some(value) => value.as_str().and_then(|text| text.parse().ok()).ok_or_else(|| {
                wrong("properties.scheduleInfo.startDateTime", "has to be a time such as 2027-06-30T12:00:00Z".to_owned())
            })?,
        };
        let kind = schedule("expiration/type").and_then(Value::as_str).unwrap_or("AfterDuration");
        let end = match schedule("expiration/endDateTime").filter(|value| !value.is_null()) {
            None => None,
            Some(value) => Some(value.as_str().and_then(|text| text.parse::<Timestamp>().ok()).ok_or_else(|| {
                wrong("properties.scheduleInfo.expiration.endDateTime", "has to be a time such as 2027-06-30T12:00:00Z".to_owned())
            })?),
        };
        let until_a_time = kind.eq_ignore_ascii_case("AfterDateTime");
        if !(kind.eq_ignore_ascii_case("AfterDuration") && end.is_none() || until_a_time && end.is_some()) {
            let problem = "has to be AfterDuration with `duration`, or AfterDateTime with `endDateTime`: every activation ends".to_owned();
            return Err(wrong("properties.scheduleInfo.expiration.type", problem));
        }
        let duration = match schedule("expiration/duration").filter(|value| !value.is_null()) {
            None => None,
            Some(value) => Some(value.as_str().and_then(iso_duration).ok_or_else(|| {
                wrong("properties.scheduleInfo.expiration.duration", "has to be an ISO 8601 duration such as PT2H".to_owned())
            })?),
        };
        let ticket =
            |member: &str| body.pointer(&format!("/properties/ticketInfo/{member}")).and_then(Value::as_str).map(clip).map(Box::from);
        let (number, system) = (ticket("ticketNumber"), ticket("ticketSystem"));
        let begin = from.max(self.now());
        let duration = match end {
            Some(end) => Some(Duration::try_from(end.duration_since(begin)).unwrap_or_default()),
            None => duration,
        };
        Ok(Wish {
            name: name.parse().map_err(|_cause| wrong("name", "has to be a GUID".to_owned()))?,
            role: role_id(role)?,
            linked: text(body, "linkedRoleEligibilityScheduleId").and_then(|id| id.rsplit('/').next()?.parse().ok()),
            justification: clip(text(body, "justification").unwrap_or_default()).into(),
            ticket: (number.is_some() || system.is_some()).then_some(Ticket { number, system }),
            // A start in the past begins now.
            from: begin,
            duration,
        })
    }

    async fn activate(&self, wish: &Wish) -> Result<OwnAnswer, OwnError> {
        let changed = self.desk.change(self.request, |directory| {
            let (activation, mut writes) = self.granted(directory, wish)?;
            writes.push(Entity::Activation(activation.clone()).into_write());
            Ok::<_, OwnError>((writes, activation))
        });
        let activation = changed.await?.value;
        Ok(OwnAnswer { status: StatusCode::CREATED, ..OwnAnswer::ok(self.show_activation(&activation)) })
    }

    /// The activation that a wish becomes, and what goes with it.
    fn granted(&self, directory: &Directory, wish: &Wish) -> Result<(Activation, Vec<Write>), OwnError> {
        let caller = &self.request.caller;
        let behind = self.eligibility(directory, wish)?;
        let policy = &behind.authorization.policy;
        let rule = |rule: &'static str, problem: String| AccessError::Policy { rule, problem };
        if wish.justification.trim().is_empty() {
            return Err(rule("JustificationRule", "`properties.justification` is empty: say what the role is needed for".to_owned()).into());
        }
        if policy.mfa == Mfa::Azure && !caller.mfa {
            return Err(rule("MfaRule", "the token shows no second factor: sign in again with one".to_owned()).into());
        }
        let duration = wish.duration.unwrap_or(policy.duration_max);
        if duration > policy.duration_max || duration < DURATION_MIN {
            let problem = format!(
                "`properties.scheduleInfo.expiration.duration` is {} minutes; allowed: {} to {}",
                duration.as_secs() / 60,
                DURATION_MIN.as_secs() / 60,
                policy.duration_max.as_secs() / 60
            );
            return Err(rule("ExpirationRule", problem).into());
        }
        let now = self.now();
        let latest = now.checked_add(AHEAD_MAX).unwrap_or(now);
        let until = wish.from.checked_add(duration).ok().filter(|_| wish.from <= latest);
        let until = until.ok_or_else(|| rule("ExpirationRule", "it begins more than 30 days from now".to_owned()))?;
        let (subscription, customer) = self.place()?;
        let stages = stages(wish.name, &behind, customer);
        let status = if stages.is_empty() { ActivationStatus::Granted } else { ActivationStatus::PendingApproval };
        let held = directory.registry().holdings(subscription);
        if held.is_some_and(|held| held.activations.contains_key(&wish.name)) {
            return Err(AccessError::Body { member: "name", problem: "is taken by another request: use a new GUID".to_owned() }.into());
        }
        let before = held.into_iter().flat_map(|held| held.activations.values()).map(|one| &one.body);
        let is_same = |one: &&Arc<Activation>| {
            one.principal == caller.principal
                && one.role == wish.role
                && one.scope == self.request.scope
                && one.assignment == behind.assignment.name
        };
        let overlapping = before.filter(is_same).find(|one| match one.status {
            // It begins when somebody agrees, whenever that is.
            ActivationStatus::PendingApproval => true,
            ActivationStatus::Granted => now < one.until && one.from < until && wish.from < one.until,
            ActivationStatus::Canceled | ActivationStatus::Denied | ActivationStatus::Revoked => false,
        });
        if let Some(other) = overlapping {
            let status = super::schedules::status_text(other, now);
            return Err(AccessError::Overlapping { existing: activation_id(other), status, until: other.until }.into());
        }
        let is_old = |one: &&Arc<Activation>| one.until.checked_add(KEPT).is_ok_and(|end| end < now);
        let all = held.into_iter().flat_map(|held| held.activations.values()).map(|one| &one.body);
        let (forgotten, kept): (Vec<_>, Vec<_>) = all.partition(is_old);
        room(kept.len(), "activation requests", ACTIVATIONS_MAX)?;
        let mine = kept.iter().filter(|one| one.principal == caller.principal);
        room(mine.count(), "activation requests of one principal", ACTIVATIONS_OF_ONE_MAX)?;
        let forgotten = forgotten.into_iter().map(|one| entity::removal(entity::activation_key(subscription, one.name))).collect();
        let activation = Activation {
            name: wish.name,
            scope: self.request.scope.clone(),
            subscription,
            assignment: behind.assignment.name,
            principal: caller.principal,
            principal_name: Arc::from(&*caller.name),
            eligible: behind.authorization.principal,
            role: wish.role,
            justification: wish.justification.clone(),
            ticket: wish.ticket.clone(),
            requested_at: self.now(),
            from: wish.from,
            until,
            stages,
            status,
        };
        Ok((activation, forgotten))
    }

    fn eligibility(&self, directory: &Directory, wish: &Wish) -> Result<Eligibility, OwnError> {
        let mine = self.my_eligibilities(directory)?;
        let fits = |one: &&Eligibility| {
            one.authorization.role == wish.role
                && one.assignment.scope.covers(&self.request.scope)
                && wish.linked.is_none_or(|linked| linked == one.id)
        };
        if let Some(found) = mine.iter().find(fits) {
            return Ok(found.clone());
        }
        let name = |role| {
            directory
                .roles()
                .by_id(role)
                .and_then(|index| directory.roles().role(index))
                .map_or_else(|| role.to_string(), |role| role.name().to_owned())
        };
        let offered: Vec<String> =
            mine.iter().map(|one| format!("`{}` on `{}`", name(one.authorization.role), one.assignment.scope)).collect();
        let hint = if offered.is_empty() { String::new() } else { format!("; available are {}", offered.join(", ")) };
        Err(AccessError::NotEligible { role: name(wish.role), scope: self.request.scope.to_string(), hint }.into())
    }

    /// Ends what the caller activated before, at once.
    async fn deactivate(&self, name: &str, body: &Value) -> Result<OwnAnswer, OwnError> {
        let role = text(body, "roleDefinitionId").map(role_id).transpose()?;
        let (subscription, _) = self.place()?;
        let now = self.now();
        let changed = self.desk.change(self.request, |directory| {
            let held = directory.registry().holdings(subscription);
            let mine = held.into_iter().flat_map(|held| held.activations.values()).filter(|one| {
                one.body.principal == self.request.caller.principal
                    && one.body.status == ActivationStatus::Granted
                    && one.body.until > now
                    && role.is_none_or(|role| role == one.body.role)
                    && one.body.scope == self.request.scope
            });
            let ended: Vec<Activation> =
                mine.map(|one| Activation { status: ActivationStatus::Revoked, until: now, ..Activation::clone(&one.body) }).collect();
            let Some(first) = ended.first().cloned() else {
                let problem = "names nothing that the caller has active on this scope".to_owned();
                return Err(OwnError::from(AccessError::Body { member: "properties.roleDefinitionId", problem }));
            };
            Ok((ended.into_iter().map(|one| Entity::Activation(one).into_write()).collect(), first))
        });
        let changed = changed.await?;
        self.desk.settle(changed.revision).await?;
        let ended = changed.value;
        let mut shown = self.show_activation(&ended);
        if let Some(Value::Object(properties)) = shown.get_mut("properties") {
            properties.insert("requestType".to_owned(), json!("SelfDeactivate"));
        }
        if let Value::Object(members) = &mut shown {
            members.insert("name".to_owned(), json!(name));
        }
        Ok(OwnAnswer { status: StatusCode::CREATED, ..OwnAnswer::ok(shown) })
    }

    /// Who would have to agree to this request if it were made now; an error when it could not be made any more.
    pub(super) fn named_now(&self, directory: &Directory, one: &Activation) -> Result<Vec<Stage>, OwnError> {
        let (subscription, customer) = self.place()?;
        let behind = shown::eligibilities(directory, subscription).into_iter().find(|known| {
            known.assignment.name == one.assignment
                && known.assignment.created_at <= one.requested_at
                && known.authorization.principal == one.eligible
                && known.authorization.role == one.role
        });
        Ok(stages(one.name, &behind.ok_or_else(|| self.not_found())?, customer))
    }

    /// Takes back a request that nobody decided yet.
    pub(super) async fn cancel_activation(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let changed = self.desk.change(self.request, |directory| {
            let found = self.find_activation(directory, name)?;
            if found.principal != self.request.caller.principal {
                return Err(OwnError::from(AccessError::NotTheRequestor { what: "cancel" }));
            }
            if found.status != ActivationStatus::PendingApproval {
                let status = super::schedules::status_text(&found, self.now());
                return Err(AccessError::AlreadyDecided { id: name.to_owned(), status }.into());
            }
            let canceled = Activation { status: ActivationStatus::Canceled, ..Activation::clone(&found) };
            Ok((vec![Entity::Activation(canceled).into_write()], ()))
        });
        changed.await?;
        Ok(OwnAnswer::empty(StatusCode::OK))
    }
}

/// Who has to agree to a request, as the offer says now.
fn stages(request: ActivationId, behind: &Eligibility, customer: TenantId) -> Vec<Stage> {
    let policy = &behind.authorization.policy;
    let managing = stage(request, behind.definition.managing_tenant, &policy.approvers);
    managing.into_iter().chain(stage(request, customer, &policy.customer_approvers)).collect()
}

/// The part of one tenant in the approval of a request; none when nobody of it is asked.
fn stage(request: ActivationId, tenant: TenantId, approvers: &[Approver]) -> Option<Stage> {
    let name = Uuid::new_v5(&Uuid::from_bytes(*request.as_bytes()), tenant.to_string().as_bytes());
    let approvers: Vec<PrincipalId> = approvers.iter().map(|one| PrincipalId { tenant, object: one.principal }).collect();
    (!approvers.is_empty()).then(|| Stage { name: ActivationId::from_bytes(*name.as_bytes()), approvers, review: None })
}

/// The full id of a request.
pub(super) fn activation_id(one: &Activation) -> String {
    format!("{}/providers/Microsoft.Authorization/roleAssignmentScheduleRequests/{}", one.scope, one.name)
}

/// The full id of the approval that a request waits for.
pub(super) fn approval_path(one: &Activation) -> String {
    format!("{}/providers/Microsoft.Authorization/roleAssignmentApprovals/{}", one.scope, one.name)
}

fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect()
}

fn iso_duration(text: &str) -> Option<Duration> {
    let duration: jiff::SignedDuration = text.starts_with('P').then(|| text.parse().ok()).flatten()?;
    Duration::try_from(duration).ok()
}
