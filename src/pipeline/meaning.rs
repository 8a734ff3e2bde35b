//! Requests that mean more than their path says: of these, the body is judged as what it does.

use super::carried::BATCH_PATH;
use super::own::Service;
use super::plan;
use crate::arm::action::{Action, Derived, Kind};
use crate::arm::path::CanonicalPath;
use crate::directory::Directory;

/// What a request means beyond its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It carries requests.
    Batch,
    /// It moves resources of its scope to where its body says.
    Move,
    /// Nothing, but for the places that it names.
    Plain,
    /// It asks the resource graph about the subscriptions that its body lists.
    Query,
}

impl Meaning {
    /// What a request means; nothing for one of which that is not known.
    pub(super) fn of(path: &CanonicalPath, derived: &Derived, service: Option<Service>, directory: &Directory) -> Option<Self> {
        // What a deployment names is judged part by part.
        if !derived.body_names_scopes() || service == Some(Service::Deployments) {
            return Some(Self::Plain);
        }
        // A reading that has the name of one of them means nothing that is known.
        if derived.kind != Kind::Invocation {
            return None;
        }
        if path.as_str().eq_ignore_ascii_case(BATCH_PATH) {
            return Some(Self::Batch);
        }
        if path.as_str().eq_ignore_ascii_case(QUERY_PATH) {
            return Some(Self::Query);
        }
        let moves = |action: &Action| MOVES.contains(&action.key());
        // What a fabric keeps has a way of its own to another tenant, and none to another group.
        let is_kept_here = derived.scope.subscription_id().is_some_and(|id| plan::is_private(id, directory));
        (!is_kept_here && derived.provider_at.is_none() && derived.actions.iter().all(moves)).then_some(Self::Move)
    }
}

/// Where queries of the resource graph are sent to.
const QUERY_PATH: &str = "/providers/Microsoft.ResourceGraph/resources";

/// Moving what lies in a resource group, and asking whether it could be.
const MOVES: [&str; 2] = [
    "microsoft.resources/subscriptions/resourcegroups/moveresources/action",
    "microsoft.resources/subscriptions/resourcegroups/validatemoveresources/action",
];

#[cfg(test)]
mod tests {
    use super::super::testing::{MAIN, World};
    use super::*;
    use crate::arm::action::{Method, derive};

    #[test]
    fn of_what_a_body_says_more_than_the_path_only_some_is_known() {
        let directory = World::new().directory;
        let group = format!("{MAIN}/resourceGroups/g");
        for (path, expected) in [
            ("/batch".to_owned(), Some(Meaning::Batch)),
            ("/providers/Microsoft.ResourceGraph/resources".to_owned(), Some(Meaning::Query)),
            (format!("{group}/moveResources"), Some(Meaning::Move)),
            (format!("{group}/validateMoveResources"), Some(Meaning::Move)),
            (format!("{group}/providers/Microsoft.Resources/deploymentStacks/s/validate"), None),
            (format!("{group}/providers/Microsoft.Resources/moveResources"), None),
            (format!("{MAIN}/providers/Microsoft.Resources/subscriptions/s/resourceGroups/g/moveResources"), None),
            (format!("{group}/providers/Microsoft.Compute/virtualMachines/vm/start"), Some(Meaning::Plain)),
        ] {
            let path = CanonicalPath::parse(&path).unwrap();
            let derived = derive(Method::Post, &path).unwrap();
            assert_eq!(Meaning::of(&path, &derived, None, &directory), expected, "{path}");
        }
    }
}
