//! Part of stage 7: a tenant of the private cloud gets what its plan opens, and nothing else is there for it.

use super::Context;
use super::authorize::RuleError;
use super::resolve::{Place, Scoped};
use crate::directory::{Directory, PlanService};
use crate::ids::SubscriptionId;

/// What has to be opened for a path.
enum Needed {
    /// Nothing: it is about the subscription itself, or who may do what in it.
    Nothing,
    /// A service of plans.
    Service(PlanService),
    /// Something that no plan opens.
    Unheard,
}

impl Scoped {
    /// Whether it is about a tenant of the private cloud, or its fabric.
    pub(super) fn is_in_private_cloud(&self, context: &Context<'_>) -> bool {
        matches!(self.place, Place::Subscription { id, .. } if is_private(id, &context.directory))
    }

    pub(super) fn respect_plan(&self, context: &Context<'_>) -> Result<(), RuleError> {
        let Place::Subscription { id, .. } = self.place else { return Ok(()) };
        let Some(cloud) = context.directory.cloud(id) else { return Ok(()) };
        let entitlement = context.directory.entitlement(cloud);
        let segments: Vec<&str> = self.request.path.segments().collect();
        let provider = self.derived.provider_at.and_then(|at| segments.get(at + 1..));
        let is_open = match provider.map_or(Needed::Nothing, needed) {
            Needed::Nothing => true,
            Needed::Service(service) => entitlement.opens(service),
            Needed::Unheard => false,
        };
        if is_open {
            return Ok(());
        }
        let plan = entitlement.plan.map_or_else(|| cloud.plan.to_string(), |plan| plan.name.to_string());
        let opens = entitlement.services.iter().map(|service| service.name()).collect::<Vec<_>>().join(", ");
        let action = self.derived.actions.first().map(ToString::to_string).unwrap_or_default();
        Err(RuleError::Plan { plan, opens, action })
    }
}

/// Whether what lies in a subscription is kept by a fabric, and not by the backend.
pub(super) fn is_private(id: SubscriptionId, directory: &Directory) -> bool {
    directory.cloud(id).is_some() || directory.private_cloud().is_some_and(|cloud| cloud.subscription == id)
}

/// By what stands behind the word `providers`.
fn needed(provider: &[&str]) -> Needed {
    let is = |segment: &str, word: &str| segment.eq_ignore_ascii_case(word);
    let [namespace, rest @ ..] = provider else { return Needed::Nothing };
    match rest {
        [] => Needed::Nothing,
        [verb] if is(verb, "register") || is(verb, "unregister") => Needed::Nothing,
        _ if OPEN.iter().any(|open| is(namespace, open)) => Needed::Nothing,
        [kind, ..] if is(namespace, "Steward.PrivateCloud") && is(kind, "usage") => Needed::Service(PlanService::Usage),
        _ if is(namespace, "Steward.PrivateCloud") => Needed::Nothing,
        [machines, ..] if is(namespace, "Microsoft.HybridCompute") && is(machines, "machines") => {
            Needed::Service(PlanService::VirtualMachines)
        }
        [kind, ..] if is(namespace, "Microsoft.ScVmm") && is(kind, "virtualNetworks") => Needed::Service(PlanService::Networks),
        [kind, _default, action] if is(namespace, "Microsoft.ScVmm") && is(kind, "virtualMachineInstances") => {
            if action.to_ascii_lowercase().ends_with("checkpoint") {
                Needed::Service(PlanService::Checkpoints)
            } else if is(action, "transfer") {
                Needed::Service(PlanService::Transfers)
            } else {
                Needed::Service(PlanService::VirtualMachines)
            }
        }
        _ if is(namespace, "Microsoft.ScVmm") => Needed::Service(PlanService::VirtualMachines),
        _ => Needed::Unheard,
    }
}

/// Providers about who may do what, and deployments, whose parts are judged one by one.
const OPEN: [&str; 6] = [
    "Microsoft.Authorization",
    "Microsoft.Insights",
    "Microsoft.ManagedServices",
    "Microsoft.Resources",
    "Steward.Delegation",
    "Microsoft.Features",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_called_like_a_keyword_needs_the_plan_as_any_other() {
        for name in ["m", "providers"] {
            assert!(matches!(needed(&["Microsoft.HybridCompute", "machines", name]), Needed::Service(PlanService::VirtualMachines)));
            assert!(matches!(needed(&["Microsoft.ScVmm", "virtualNetworks", name]), Needed::Service(PlanService::Networks)));
        }
        assert!(matches!(needed(&["Microsoft.Storage", "storageAccounts", "providers"]), Needed::Unheard));
        for kind in ["storageAccounts", "virtualMachineInstances"] {
            assert!(matches!(needed(&["Microsoft.Storage", kind, "default", "transfer"]), Needed::Unheard), "{kind}");
        }
        assert!(matches!(needed(&["Microsoft.ScVmm", "clouds", "default", "transfer"]), Needed::Service(PlanService::VirtualMachines)));
        assert!(matches!(
            needed(&["Microsoft.ScVmm", "virtualMachineInstances", "default", "transfer"]),
            Needed::Service(PlanService::Transfers)
        ));
    }

    #[test]
    fn what_a_plan_has_to_open_follows_from_provider_type_and_action() {
        let needs = |path: &str| {
            let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
            match needed(&segments) {
                Needed::Nothing => "nothing",
                Needed::Service(service) => service.name(),
                Needed::Unheard => "unheard",
            }
        };
        let [machines, networks] = [PlanService::VirtualMachines, PlanService::Networks].map(PlanService::name);
        let [checkpoints, transfers, usage] = [PlanService::Checkpoints, PlanService::Transfers, PlanService::Usage].map(PlanService::name);
        for (path, expected) in [
            ("", "nothing"),
            ("Microsoft.Sql", "nothing"),
            ("Microsoft.Sql/register", "nothing"),
            ("Microsoft.Sql/UNREGISTER", "nothing"),
            ("Microsoft.Sql/servers", "unheard"),
            ("Microsoft.Sql/register/x", "unheard"),
            ("Microsoft.Authorization/roleAssignments", "nothing"),
            ("microsoft.features/features", "nothing"),
            ("Steward.PrivateCloud/usage", usage),
            ("Steward.PrivateCloud/plans", "nothing"),
            ("Microsoft.HybridCompute/machines/m", machines),
            ("Microsoft.HybridCompute/licenses", "unheard"),
            ("Microsoft.ScVmm/virtualNetworks", networks),
            ("Microsoft.ScVmm/virtualMachineInstances/default/createCheckpoint", checkpoints),
            ("Microsoft.ScVmm/virtualMachineInstances/default/RESTORECHECKPOINT", checkpoints),
            ("Microsoft.ScVmm/virtualMachineInstances/default/transfer", transfers),
            ("Microsoft.ScVmm/virtualMachineInstances/default/start", machines),
            ("Microsoft.ScVmm/virtualMachineInstances/default", machines),
            ("Microsoft.ScVmm/clouds", machines),
        ] {
            assert_eq!(needs(path), expected, "{path}");
        }
    }
}
