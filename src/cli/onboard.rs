//! `steward onboard`: what an onboarding template would delegate, and whether the rules allow it. Nothing is asked and nothing changed.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{Console, Exit, Global, OnboardArgs, Output};
use crate::arm::scope::Scope;
use crate::clock::Clock;
use crate::delegation::offer::{
    self, AssignmentContext, Authorization, Bound, DefinitionContext, ManagedServicesVersion, RegistrationAssignment,
    RegistrationDefinition,
};
use crate::delegation::roles::RoleCatalogue;
use crate::ids::{ObjectId, PrincipalId, RoleId, SubscriptionId, TenantId};
use crate::template::{self, DeploymentScope, GroupFacts, PlannedResource, SubscriptionFacts, Template};

/// What a template would delegate.
#[derive(Default)]
struct Offered {
    definitions: Vec<Arc<RegistrationDefinition>>,
    assignments: Vec<Arc<RegistrationAssignment>>,
    /// Resources that are no delegation.
    others: Vec<String>,
}

/// What keeps a template from being deployed.
struct Wrong {
    place: String,
    problem: String,
}

/// Runs the command.
pub(super) fn run(args: &OnboardArgs, global: &Global, console: &mut Console) -> Exit {
    match offered(args) {
        Ok(offered) if offered.assignments.is_empty() => {
            console.error(format!(
                "`{}` delegates nothing: it has no Microsoft.ManagedServices/registrationAssignments",
                args.template.display()
            ));
            Exit::No
        }
        Ok(offered) => {
            let text = match (global.output, args.toml) {
                (_, true) => toml(&offered),
                (Output::Json, false) => format!("{}\n", document(&offered)),
                (Output::Table, false) => table(&offered, args),
            };
            console.bytes(text.as_bytes());
            Exit::Done
        }
        Err(Wrong { place, problem }) => {
            console.error(format!("{place}: {problem}\nnothing was changed"));
            Exit::Invalid
        }
    }
}

fn offered(args: &OnboardArgs) -> Result<Offered, Wrong> {
    let template = read(&args.template)?;
    let wrong = |cause: &dyn std::fmt::Display| Wrong { place: args.template.display().to_string(), problem: cause.to_string() };
    let template = Template::parse(&template).map_err(|cause| wrong(&cause))?;
    let parameters = match &args.parameters {
        None => Value::Null,
        Some(file) => template::parse_parameters(&read(file)?)
            .map_err(|cause| Wrong { place: file.display().to_string(), problem: cause.to_string() })?,
    };
    let expanded = template.expand(&parameters, &scope(args), Clock::system().now()).map_err(|cause| wrong(&cause))?;
    let mut offered = Offered::default();
    for resource in &expanded.resources {
        offered.take(resource, args)?;
    }
    Ok(offered)
}

fn read(file: &Path) -> Result<String, Wrong> {
    std::fs::read_to_string(file).map_err(|cause| Wrong { place: file.display().to_string(), problem: format!("cannot be read: {cause}") })
}

fn scope(args: &OnboardArgs) -> DeploymentScope {
    let group = args.resource_group.as_ref();
    DeploymentScope {
        tenant_id: args.tenant.to_string(),
        tenant_name: args.tenant.to_string(),
        management_group: None,
        subscription: Some(SubscriptionFacts { id: args.subscription.to_string(), display_name: args.subscription.to_string() }),
        resource_group: group.map(|name| GroupFacts { name: name.clone(), location: args.location.clone(), tags: Value::Null }),
        deployment: "onboard".to_owned(),
        location: args.location.clone(),
        environment: None,
        guid_seed: Uuid::nil(),
    }
}

impl Offered {
    fn take(&mut self, resource: &PlannedResource, args: &OnboardArgs) -> Result<(), Wrong> {
        let wrong = |cause: &dyn std::fmt::Display| Wrong { place: resource.path.clone(), problem: cause.to_string() };
        let scope = Scope::parse(&resource.scope).map_err(|cause| wrong(&cause))?;
        let version = || ManagedServicesVersion::parse(&resource.api_version).map_err(|cause| wrong(&cause));
        let nobody = PrincipalId { tenant: args.tenant, object: ObjectId::from_bytes([0; 16]) };
        let now = Clock::system().now();
        match resource.resource_type.to_ascii_lowercase().as_str() {
            "microsoft.managedservices/registrationdefinitions" => {
                let context = DefinitionContext {
                    subscription: offer::check_definition_scope(&scope).map_err(|cause| wrong(&cause))?,
                    home_tenant: args.tenant,
                    name: resource.name.parse().map_err(|cause| wrong(&cause))?,
                    version: version()?,
                    roles: &RoleCatalogue::builtin(),
                    previous: None,
                    principal_kind: &|_tenant, _object| None,
                    now,
                    caller: nobody,
                };
                let definition = offer::definition_from(&resource.body, &context).map_err(|cause| wrong(&cause))?;
                self.definitions.push(Arc::new(definition));
            }
            "microsoft.managedservices/registrationassignments" => {
                version()?;
                let name = resource.name.parse().map_err(|cause| wrong(&cause))?;
                let context = AssignmentContext { scope: &scope, name, previous: None, now, caller: nobody };
                let assignment = offer::assignment_from(&resource.body, &context).map_err(|cause| wrong(&cause))?;
                self.check(&assignment).map_err(|cause| wrong(&cause))?;
                self.assignments.push(Arc::new(assignment));
            }
            _ if resource.is_nested_deployment() => {}
            _ => self.others.push(resource.id.clone()),
        }
        Ok(())
    }

    fn check(&self, assignment: &RegistrationAssignment) -> Result<(), offer::OfferError> {
        let bound: Vec<Bound<'_>> = self.bound().collect();
        let definition = self.definitions.iter().find(|one| one.key() == assignment.definition);
        offer::check_assignment(assignment, definition.map(AsRef::as_ref), &bound)
    }

    fn bound(&self) -> impl Iterator<Item = Bound<'_>> {
        let of = |assignment: &RegistrationAssignment| self.definitions.iter().find(|one| one.key() == assignment.definition);
        self.assignments.iter().filter_map(move |assignment| Some((&**assignment, &**of(assignment)?)))
    }
}

fn role_name(role: RoleId) -> String {
    let roles = RoleCatalogue::builtin();
    roles.by_id(role).and_then(|index| roles.role(index)).map_or_else(|| role.to_string(), |role| role.name().to_owned())
}

fn who(principal: ObjectId, name: Option<&Arc<str>>) -> String {
    name.map_or_else(|| principal.to_string(), |name| format!("{name} ({principal})"))
}

fn table(offered: &Offered, args: &OnboardArgs) -> String {
    let mut text = format!("✓ template  {}\n", args.template.display());
    for (assignment, definition) in offered.bound() {
        let line = format!("\n{} to tenant {}\n  on {}\n", definition.offer_name, definition.managing_tenant, assignment.scope);
        text.push_str(&line);
        for one in &definition.authorizations {
            append(
                &mut text,
                &format!("  {:<40} {}{}", role_name(one.role), who(one.principal, one.display_name.as_ref()), handed_on(one)),
            );
        }
        for one in &definition.eligible {
            let approvers = if one.policy.approvers.is_empty() { "" } else { ", after approval" };
            let minutes = one.policy.duration_max.as_secs() / 60;
            let line = format!(
                "  {:<40} {}, on request for {minutes} min{approvers}",
                role_name(one.role),
                who(one.principal, one.display_name.as_ref())
            );
            append(&mut text, &line);
        }
    }
    for other in &offered.others {
        append(&mut text, &format!("· not a delegation  {other}"));
    }
    append(&mut text, "\nnothing was changed; to write it into the policies: steward onboard --toml …");
    text
}

fn append(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn handed_on(one: &Authorization) -> String {
    match one.delegated_roles.is_empty() {
        true => String::new(),
        false => format!(", may assign {}", one.delegated_roles.iter().map(|role| role_name(*role)).collect::<Vec<_>>().join(", ")),
    }
}

fn document(offered: &Offered) -> Value {
    let delegations: Vec<Value> = offered
        .bound()
        .map(|(assignment, definition)| {
            let standing = definition.authorizations.iter().map(|one| {
                json!({ "principal": one.principal, "name": one.display_name, "role": one.role, "role_name": role_name(one.role), "kind": "standing",
                    "delegated_roles": one.delegated_roles })
            });
            let eligible = definition.eligible.iter().map(|one| {
                json!({ "principal": one.principal, "name": one.display_name, "role": one.role, "role_name": role_name(one.role), "kind": "on_request",
                    "duration_max_s": one.policy.duration_max.as_secs() })
            });
            json!({
                "offer": definition.offer_name, "managing_tenant": definition.managing_tenant, "scope": assignment.scope.to_string(),
                "definition": definition.key().to_string(), "assignment": assignment.id(), "grants": standing.chain(eligible).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "schema": "steward.onboard/1", "delegations": delegations, "others": offered.others })
}

/// The same as entries of a policy file.
fn toml(offered: &Offered) -> String {
    let quoted = |value: &str| Value::from(value).to_string();
    let mut text = String::new();
    for (assignment, definition) in offered.bound() {
        append(&mut text, "[[delegation]]");
        append(&mut text, &format!("offer = {}", quoted(&definition.offer_name)));
        append(&mut text, &format!("managing_tenant = \"{}\"", definition.managing_tenant));
        append(&mut text, &format!("scopes = [{}]\n", quoted(&assignment.scope.to_string())));
        let entry =
            |who: ObjectId, role: RoleId| format!("[[delegation.authorization]]\nwho = \"{who}\"\nrole = {}\n", quoted(&role_name(role)));
        for one in &definition.authorizations {
            append(&mut text, &entry(one.principal, one.role));
        }
        for one in &definition.eligible {
            let approvers: Vec<String> = one.policy.approvers.iter().map(|approver| format!("\"{}\"", approver.principal)).collect();
            let minutes = one.policy.duration_max.as_secs() / 60;
            let on_request = format!("on_request = {{ max = \"{minutes}m\", approvers = [{}] }}\n", approvers.join(", "));
            append(&mut text, &format!("{}{on_request}", entry(one.principal, one.role)));
        }
    }
    text
}

/// The tenant and subscription that a template is tried in when nobody says which.
pub(super) const ANY_TENANT: TenantId = TenantId::from_bytes([0; 16]);
/// As [`ANY_TENANT`].
pub(super) const ANY_SUBSCRIPTION: SubscriptionId = SubscriptionId::from_bytes([0; 16]);
