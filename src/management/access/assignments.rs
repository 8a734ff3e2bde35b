//! `roleAssignments`: roles of principals of the tenant that owns the scope.
//!
//! The tenant's own people assign what their roles let them. A managing tenant assigns only what its delegated User Access
//! Administrator role lists, and only to managed identities. Source: Azure Lighthouse, "Deploy a policy that can be remediated".

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{AccessError, Call, OwnAnswer, OwnError, role_id, role_path, text};
use crate::arm::action::Method;
use crate::arm::query::ApiVersion;
use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::delegation::offer::Term;
use crate::delegation::roles::USER_ACCESS_ADMINISTRATOR;
use crate::delegation::{Grant, OriginKind, SourceLocation};
use crate::directory::entity::{self, Entity, RoleAssignment};
use crate::directory::{Acquaintance, Directory, PrincipalKind, shown};
use crate::ids::{ObjectId, PrincipalId, RoleAssignmentId, RoleId, SubscriptionId, TenantId};
use crate::management::{Part, pages::paged, room};
use crate::pipeline::Basis;
use crate::store::Write;

/// The `$filter` of a list. Source: Azure role assignments, List For Scope, 2022-04-01.
#[derive(Debug, Default, PartialEq, Eq)]
struct Filter {
    /// Not below the scope of the request.
    at_scope: bool,
    /// Of this principal.
    principal: Option<ObjectId>,
    /// Of this principal or a group that it is in.
    assigned_to: Option<ObjectId>,
}

impl Filter {
    /// Reads terms joined by `and`: `atScope()`, `principalId eq '{id}'`, `assignedTo('{id}')`.
    fn parse(text: &str) -> Result<Self, OwnError> {
        let mut filter = Self::default();
        let lower = text.to_ascii_lowercase();
        for term in lower.split(" and ").map(str::trim).filter(|_| !text.trim().is_empty()) {
            let named = |before: &str, after: &str| term.strip_prefix(before)?.strip_suffix(after)?.trim().trim_matches('\'').parse().ok();
            if term == "atscope()" {
                filter.at_scope = true;
            } else if let Some(object) = named("assignedto(", ")") {
                filter.assigned_to = Some(object);
            } else if let Some(object) = named("principalid eq ", "") {
                filter.principal = Some(object);
            } else {
                let problem = format!(
                    "has the term `{}`; expected `atScope()`, `principalId eq '{{id}}'` or `assignedTo('{{id}}')`, joined by `and`",
                    term.chars().take(128).collect::<String>()
                );
                return Err(OwnError::Parameter { name: "$filter", problem });
            }
        }
        Ok(filter)
    }
}

/// A role assignment, wherever it is kept.
struct Listed {
    assignment: Arc<RoleAssignment>,
    /// Set when a policy file says so.
    declared_at: Option<SourceLocation>,
}

impl Listed {
    /// What an assignment that a policy file declares says of its holder comes from the directory.
    fn told_to(&self, known: Acquaintance<'_>) -> RoleAssignment {
        let assignment = RoleAssignment::clone(&self.assignment);
        let is_told = self.declared_at.is_none() || known.knows(assignment.principal.tenant);
        RoleAssignment { principal_kind: assignment.principal_kind.filter(|_| is_told), ..assignment }
    }
}

impl Call<'_> {
    pub(super) fn role_assignments(&self) -> Result<OwnAnswer, OwnError> {
        let (subscription, _) = self.place()?;
        let filter = Filter::parse(&self.filter())?;
        let mut listed = listed(self.directory(), subscription);
        if let Basis::GrantsBelow { scopes, .. } = &self.request.basis {
            listed.retain(|one| scopes.iter().any(|scope| scope.covers(&one.assignment.scope)));
        }
        let here = &self.request.scope;
        listed.retain(|one| one.assignment.scope.covers(here) || (!filter.at_scope && here.covers(&one.assignment.scope)));
        if let Some(object) = filter.principal {
            listed.retain(|one| one.assignment.principal.object == object);
        }
        if let Some(object) = filter.assigned_to {
            let kin = self.directory().principal(PrincipalId { tenant: self.request.caller.principal.tenant, object });
            let groups = kin.map(|known| known.groups.clone()).unwrap_or_default();
            listed.retain(|one| one.assignment.principal.object == object || groups.contains(&one.assignment.principal.object));
        }
        paged(self.request, listed, |one| id(&one.assignment), |one| show(&one.told_to(self.known())))
    }

    pub(super) fn role_assignment(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let (subscription, _) = self.place()?;
        let found = find(self.directory(), subscription, name).filter(|one| one.assignment.scope == self.request.scope);
        found.map(|one| OwnAnswer::ok(show(&one.told_to(self.known())))).ok_or_else(|| self.not_found())
    }

    pub(super) async fn put_role_assignment(&self, name: &str, body: &Value) -> Result<OwnAnswer, OwnError> {
        let wanted = self.wanted(name, body)?;
        self.prove_identity(&wanted).await?;
        let changed = self.desk.change(self.request, |directory| self.plan_role_assignment(directory, &wanted)).await?;
        let status = if changed.value { StatusCode::CREATED } else { StatusCode::OK };
        Ok(OwnAnswer { status, ..OwnAnswer::ok(show(&wanted)) })
    }

    fn wanted(&self, name: &str, body: &Value) -> Result<RoleAssignment, OwnError> {
        let (subscription, customer) = self.place()?;
        let missing = |member: &'static str, problem: &str| AccessError::Body { member, problem: problem.to_owned() };
        let role = text(body, "roleDefinitionId").ok_or_else(|| missing("properties.roleDefinitionId", "is missing"))?;
        let principal = text(body, "principalId").and_then(|id| id.parse().ok());
        let principal = principal.ok_or_else(|| missing("properties.principalId", "has to be the object id of a principal, a GUID"))?;
        if text(body, "condition").is_some_and(|condition| !condition.is_empty()) {
            return Err(AccessError::Condition.into());
        }
        let role = role_id(role)?;
        if self.directory().roles().by_id(role).is_none() {
            return Err(AccessError::Role { role: role.to_string() }.into());
        }
        Ok(RoleAssignment {
            name: name.parse().map_err(|_cause| missing("name", "has to be a GUID"))?,
            scope: self.request.scope.clone(),
            subscription,
            principal: PrincipalId { tenant: customer, object: principal },
            principal_kind: kind(text(body, "principalType"))?,
            role,
            description: text(body, "description").map(|text| text.chars().take(DESCRIPTION_CHARS_MAX).collect()),
            delegated_managed_identity: text(body, "delegatedManagedIdentityResourceId").map(Box::from),
            created_at: self.now(),
            created_by: self.request.caller.principal,
        })
    }

    fn plan_role_assignment(&self, directory: &Directory, wanted: &RoleAssignment) -> Result<(Vec<Write>, bool), OwnError> {
        self.stay_within_delegation(directory, wanted)?;
        let all = listed(directory, wanted.subscription);
        let same = |one: &&Listed| {
            one.assignment.role == wanted.role && one.assignment.principal == wanted.principal && one.assignment.scope == wanted.scope
        };
        let existing = all.iter().find(|one| one.assignment.name == wanted.name);
        if let Some(existing) = existing {
            return match (same(&existing), &existing.declared_at) {
                (true, _) => Ok((Vec::new(), false)),
                (false, _) => Err(AccessError::Update { existing: id(&existing.assignment) }.into()),
            };
        }
        if let Some(other) = all.iter().find(same) {
            return Err(AccessError::Exists { existing: id(&other.assignment) }.into());
        }
        room(all.len(), "role assignments", ASSIGNMENTS_MAX)?;
        Ok((vec![Entity::RoleAssignment(wanted.clone()).into_write()], true))
    }

    /// What a managing tenant may assign: the roles its delegation lists, to managed identities of the customer.
    fn stay_within_delegation(&self, directory: &Directory, wanted: &RoleAssignment) -> Result<(), OwnError> {
        let caller = self.request.caller.principal.tenant;
        if caller == wanted.principal.tenant {
            return Ok(());
        }
        let allowed = self.assignable(directory, wanted);
        let name_of = |role: &RoleId| {
            directory.roles().by_id(*role).and_then(|index| directory.roles().role(index)).map(|role| role.name().to_owned())
        };
        let names: Vec<String> = allowed.iter().filter_map(name_of).collect();
        let allowed_text = format!("{} to managed identities", if names.is_empty() { "nothing".to_owned() } else { names.join(", ") });
        let refuse = |problem: String| Err(AccessError::Constrained { problem, allowed: allowed_text.clone() }.into());
        if !allowed.contains(&wanted.role) {
            let role = name_of(&wanted.role).unwrap_or_else(|| wanted.role.to_string());
            return refuse(format!("the role `{role}` may not be assigned by the managing tenant"));
        }
        if wanted.principal_kind != Some(PrincipalKind::ServicePrincipal) {
            return refuse("`properties.principalType` has to be `ServicePrincipal`".to_owned());
        }
        // What the caller says is believed only where nobody knows better.
        let is_other = |kind: PrincipalKind| kind != PrincipalKind::ServicePrincipal;
        let others = listed(directory, wanted.subscription).into_iter().filter(|one| one.assignment.principal == wanted.principal);
        let known = directory.principal(wanted.principal).map(|known| known.kind);
        if known.into_iter().chain(others.filter_map(|one| one.assignment.principal_kind)).any(is_other) {
            return refuse(format!("`{}` is no service principal", wanted.principal.object));
        }
        Ok(())
    }

    /// A managing tenant assigns roles to managed identities of the customer: the one that it names is asked who it is.
    async fn prove_identity(&self, wanted: &RoleAssignment) -> Result<(), OwnError> {
        // A template may make the identity that it gives a role to: while it is only tried, there is nothing to ask yet.
        if self.request.caller.principal.tenant == wanted.principal.tenant || self.desk.rehearsal.is_some() {
            return Ok(());
        }
        let member = "`properties.delegatedManagedIdentityResourceId`";
        let refuse =
            |problem: String| Err(AccessError::Constrained { problem, allowed: "managed identities of the customer".to_owned() }.into());
        let identity = wanted.delegated_managed_identity.as_deref().and_then(|id| Scope::parse(id).ok());
        let Some((identity, kind)) = identity.and_then(|scope| Some((scope.to_string(), kind_of(&scope)?))) else {
            return refuse(format!("{member} has to be the resource id of a managed identity, or of the resource that it belongs to"));
        };
        let owner = Scope::parse(&identity).ok().and_then(|scope| scope.subscription_id());
        if owner.and_then(|id| self.directory().subscription(id)).map(|found| found.tenant) != Some(wanted.principal.tenant) {
            return refuse(format!("{member} has to name a managed identity of the customer"));
        }
        let resource = match self.read(&identity, &kind).await {
            Ok(resource) => resource,
            Err(why) => return refuse(format!("{member} cannot be read to see whose identity it is: {why}")),
        };
        // Only these places are written by the provider of the resource and not by who asks for it.
        let is_identity =
            format!("{}/{}", kind.namespace, kind.path).eq_ignore_ascii_case("Microsoft.ManagedIdentity/userAssignedIdentities");
        let of = resource.get(if is_identity { "properties" } else { "identity" });
        let text = |name: &str| of.and_then(|of| of.get(name)).and_then(Value::as_str);
        let tenant = text("tenantId").map(str::parse::<TenantId>);
        let principal = text("principalId").map(str::parse::<ObjectId>);
        if tenant != Some(Ok(wanted.principal.tenant)) || principal != Some(Ok(wanted.principal.object)) {
            return refuse(format!("{member} names a resource whose identity is not `{}`", wanted.principal.object));
        }
        Ok(())
    }

    /// A resource, read in the name of the caller, in a version that its provider says it has.
    async fn read(&self, id: &str, kind: &ResourceKind) -> Result<Value, String> {
        let (subscription, _) = self.place().map_err(|error| error.to_string())?;
        let ask = async |path: &str, version: &str| {
            let query = format!("api-version={version}");
            let part = Part { request: self.request, method: Method::Get, path, query: &query, body: None };
            let answer = self.desk.parts.perform(part).await;
            let message = || answer.body.pointer("/error/message").and_then(Value::as_str).unwrap_or("it gave no reason").to_owned();
            if answer.status.is_success() { Ok(answer.body) } else { Err(message()) }
        };
        let provider = ask(&format!("/subscriptions/{subscription}/providers/{}", kind.namespace), PROVIDERS_VERSION).await?;
        let types = provider.get("resourceTypes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let is_it = |found: &&Value| found["resourceType"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(&kind.path));
        let versions = types.iter().find(is_it).and_then(|found| found["apiVersions"].as_array()).map_or(&[][..], Vec::as_slice);
        let mut versions = versions.iter().filter_map(Value::as_str).filter(|text| ApiVersion::new(text).is_some());
        let stable = versions.clone().find(|version| !version.ends_with("-preview"));
        let version =
            stable.or_else(|| versions.next()).ok_or_else(|| format!("no provider has the type `{}/{}`", kind.namespace, kind.path))?;
        ask(id, version).await
    }

    /// The roles that the caller's delegated User Access Administrator role may assign here.
    fn assignable(&self, directory: &Directory, wanted: &RoleAssignment) -> Vec<RoleId> {
        let principals = self.principals(directory);
        let tenant = self.request.caller.principal.tenant;
        let definitions = shown::definitions(directory, wanted.subscription);
        let covering = shown::assignments(directory, wanted.subscription).into_iter().filter(|one| one.body.scope.covers(&wanted.scope));
        let held = directory.registry().holdings(wanted.subscription);
        let now = self.now();
        let is_in_force = |term: &Term| term.not_before.is_none_or(|from| from <= now) && term.not_after.is_none_or(|until| now < until);
        let offers = covering.filter_map(|one| {
            let offer = definitions.iter().find(|known| known.body.name == one.body.definition.name)?;
            let has_lapsed = held.is_some_and(|held| held.lapsed(&one.body, &offer.body).is_some());
            (!has_lapsed).then_some(offer)
        });
        let mine = offers
            .filter(|offer| offer.body.managing_tenant == tenant && is_in_force(&offer.body.term))
            .flat_map(|offer| &offer.body.authorizations);
        let mine =
            mine.filter(|one| one.role == USER_ACCESS_ADMINISTRATOR && principals.contains(&PrincipalId { tenant, object: one.principal }));
        mine.flat_map(|one| one.delegated_roles.iter().copied()).collect()
    }

    pub(super) async fn delete_role_assignment(&self, name: &str) -> Result<OwnAnswer, OwnError> {
        let (subscription, _) = self.place()?;
        let changed = self.desk.change(self.request, |directory| {
            let found = find(directory, subscription, name).filter(|one| one.assignment.scope == self.request.scope);
            let Some(found) = found else { return Ok((Vec::new(), None)) };
            if let Some(at) = found.declared_at {
                return Err(OwnError::Declared { at });
            }
            let caller = self.request.caller.principal.tenant;
            if caller != found.assignment.principal.tenant && caller != found.assignment.created_by.tenant {
                let problem = "the role assignment was made by another tenant".to_owned();
                return Err(
                    AccessError::Constrained { problem, allowed: "the removal of what the managing tenant assigned".to_owned() }.into()
                );
            }
            self.stay_within_delegation(directory, &found.assignment)?;
            Ok((vec![entity::removal(entity::role_assignment_key(subscription, found.assignment.name))], Some(found.assignment)))
        });
        let changed = changed.await?;
        // A second call that finds nothing has to wait for the first one's removal as well.
        self.desk.settle(changed.revision).await?;
        Ok(match changed.value {
            Some(gone) => OwnAnswer::ok(show(&gone)),
            None => OwnAnswer::empty(StatusCode::NO_CONTENT),
        })
    }
}

/// The type of a resource.
struct ResourceKind {
    namespace: String,
    /// The types after the namespace: `servers/databases`.
    path: String,
}

/// The type of a resource in a subscription; none for other scopes.
fn kind_of(scope: &Scope) -> Option<ResourceKind> {
    let segments: Vec<&str> = scope.segments().collect();
    let providers = segments.iter().rposition(|segment| segment.eq_ignore_ascii_case("providers"))?;
    let [_providers, namespace, rest @ ..] = segments.get(providers..)? else { return None };
    let is_whole = !rest.is_empty() && rest.len().is_multiple_of(2);
    let path: Vec<&str> = rest.iter().step_by(2).copied().collect();
    is_whole.then(|| ResourceKind { namespace: (*namespace).to_owned(), path: path.join("/") })
}

/// The version in which the resource manager tells which versions its providers have.
const PROVIDERS_VERSION: &str = "2021-04-01";
/// Role assignments in one subscription. Source: Azure role-based access control limits.
const ASSIGNMENTS_MAX: usize = 4_000;
/// Characters of a description that are kept.
const DESCRIPTION_CHARS_MAX: usize = 1024;

fn kind(text: Option<&str>) -> Result<Option<PrincipalKind>, AccessError> {
    match text {
        None | Some("") => Ok(None),
        Some("User") => Ok(Some(PrincipalKind::User)),
        Some("Group") => Ok(Some(PrincipalKind::Group)),
        Some("ServicePrincipal") => Ok(Some(PrincipalKind::ServicePrincipal)),
        Some(other) => Err(AccessError::Body {
            member: "properties.principalType",
            problem: format!("is `{}`; expected User, Group or ServicePrincipal", other.chars().take(64).collect::<String>()),
        }),
    }
}

fn find(directory: &Directory, subscription: SubscriptionId, name: &str) -> Option<Listed> {
    let name: RoleAssignmentId = name.parse().ok()?;
    listed(directory, subscription).into_iter().find(|one| one.assignment.name == name)
}

/// The role assignments that are or were inherited into a subscription: made at run time, or declared in a line of a file.
fn listed(directory: &Directory, subscription: SubscriptionId) -> Vec<Listed> {
    let held = directory.registry().holdings(subscription);
    let made: Vec<Listed> = held
        .into_iter()
        .flat_map(|held| held.role_assignments.values())
        .map(|one| Listed { assignment: Arc::clone(&one.body), declared_at: None })
        .collect();
    let grants = directory.subscription(subscription).map_or(&[][..], |found| &found.grants);
    let declared = grants.iter().filter(|grant| grant.origin.kind == OriginKind::RoleAssignment && grant.origin.defined_at.line != 0);
    let declared: Vec<Listed> = declared.filter_map(|grant| declared_assignment(directory, subscription, grant)).collect();
    made.into_iter().chain(declared).collect()
}

fn declared_assignment(directory: &Directory, subscription: SubscriptionId, grant: &Grant) -> Option<Listed> {
    let role = directory.roles().role(grant.role)?.id();
    let text = format!("{}|{}|{role}", grant.scope.to_string().to_ascii_lowercase(), grant.principal.object);
    let assignment = RoleAssignment {
        name: RoleAssignmentId::from_bytes(*Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes()).as_bytes()),
        scope: Scope::clone(&grant.scope),
        subscription,
        principal: grant.principal,
        principal_kind: directory.principal(grant.principal).map(|known| known.kind),
        role,
        description: None,
        delegated_managed_identity: None,
        created_at: Timestamp::UNIX_EPOCH,
        created_by: grant.principal,
    };
    Some(Listed { assignment: Arc::new(assignment), declared_at: Some(grant.origin.defined_at.clone()) })
}

fn id(assignment: &RoleAssignment) -> String {
    format!("{}/providers/Microsoft.Authorization/roleAssignments/{}", assignment.scope, assignment.name)
}

fn show(assignment: &RoleAssignment) -> Value {
    let kind = match assignment.principal_kind {
        Some(PrincipalKind::Group) => "Group",
        Some(PrincipalKind::User) => "User",
        Some(PrincipalKind::ServicePrincipal) | None => "ServicePrincipal",
    };
    json!({
        "id": id(assignment),
        "name": assignment.name,
        "type": "Microsoft.Authorization/roleAssignments",
        "properties": {
            "roleDefinitionId": role_path(assignment.subscription, assignment.role),
            "principalId": assignment.principal.object,
            "principalType": kind,
            "scope": assignment.scope.to_string(),
            "condition": null,
            "conditionVersion": null,
            "createdOn": assignment.created_at,
            "updatedOn": assignment.created_at,
            "createdBy": assignment.created_by.object,
            "updatedBy": assignment.created_by.object,
            "delegatedManagedIdentityResourceId": assignment.delegated_managed_identity,
            "description": assignment.description,
        },
    })
}
