//! From method and path to the actions a request needs and the scope it needs them on.

use super::exceptions::{self, Exception, Verb};
use super::invoked;
use super::{Action, Method, SHOWN_MAX, is_word};
use crate::arm::path::CanonicalPath;
use crate::arm::scope::{Scope, ScopeError};

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Derived {
    /// At least one; every one of them must be granted.
    pub actions: Vec<Action>,
    /// Where they must be granted, as the resource manager prints it in its refusals.
    pub scope: Scope,
    /// What the path addresses.
    pub kind: Kind,
    /// Which segment is the word `providers` before the provider that the actions are of; none for the core provider. Whoever routes by the
    /// provider takes this one: a name can be the same word.
    pub provider_at: Option<usize>,
}

/// What the path of a request addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A list is read; its scope is the place that contains the listed things.
    Collection,
    /// One thing is read, written or deleted.
    Instance,
    /// A `POST`: something is done on the scope.
    Invocation,
}

/// Why a request has no action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// `providers` where a second reading of the path would find another provider.
    #[error("`{path}` names a provider inside another provider; the management plane has no such path")]
    Ambiguous {
        /// The path.
        path: String,
    },
    /// A provider or type with a character that none has.
    #[error("`{word}` is not a resource provider or resource type")]
    NotAWord {
        /// The segment at fault.
        word: String,
    },
    /// The scope of the request does not exist as such.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// No operation of the management plane looks like this.
    #[error("`{method} {path}` is no operation of the management plane")]
    UnknownShape {
        /// The method.
        method: Method,
        /// The path.
        path: String,
    },
}

impl Derived {
    /// Whether the body of the request names further scopes or carries further requests that have to be judged as well:
    /// deployments, deployment stacks (which delete what they made), moves, batches and cross-subscription queries. The path
    /// alone cannot authorise these; `pipeline::meaning` knows some of them.
    #[must_use]
    pub fn body_names_scopes(&self) -> bool {
        self.actions.iter().any(|action| body_names_scopes(action.key(), self.kind))
    }
}

fn body_names_scopes(action: &str, kind: Kind) -> bool {
    if let Some(query) = action.strip_prefix("microsoft.resourcegraph/") {
        return kind == Kind::Invocation && !query.starts_with("queries/");
    }
    let Some(core) = action.strip_prefix("microsoft.resources/") else {
        return false;
    };
    let words: Vec<&str> = core.split('/').collect();
    matches!(
        words.as_slice(),
        [.., "batch", "action"]
            | [.., "moveresources" | "validatemoveresources", "action"]
            | [.., "deployments" | "deploymentstacks", "write"]
            | [.., "deployments", "validate" | "whatif", "action"]
            | [.., "deploymentstacks", "delete"]
            | [.., "deploymentstacks", _, "action"]
    )
}

/// The actions, scope and kind of a management request.
///
/// Types stand in every second segment after the last provider, names between them; a path without a provider belongs to
/// `Microsoft.Resources`. Operations whose name does not follow from that are rows of a table.
/// Source: Azure Resource Manager RPC, "Proxy API reference", operations.
///
/// # Errors
/// When the path has no known shape, has a second reading, or names a subscription by something else than a GUID.
pub fn derive(method: Method, path: &CanonicalPath) -> Result<Derived, ActionError> {
    let segments: Vec<&str> = path.segments().collect();
    let target = Target::read(method, path, &segments)?;
    let verb = Verb::of(method);
    let unknown = || ActionError::UnknownShape { method, path: shown(path) };
    let provider_at = target.named.then(|| segments.len() - target.block.len() - 2);
    // Management groups hang at the root and nowhere else: below something, a second reading of the path would find another group.
    let names_group = is(target.namespace, "Microsoft.Management") && target.types.first().is_some_and(|kind| is(kind, "managementGroups"));
    if names_group && provider_at != Some(0) {
        return Err(unknown());
    }
    if has_place_within(&segments) {
        return Err(unknown());
    }
    let kind = match (verb, target.end) {
        (Verb::Post, End::Type | End::Name) => Kind::Invocation,
        (Verb::Read, End::Type) => Kind::Collection,
        (Verb::Read, End::Name | End::Provider) | (Verb::Write | Verb::Delete, End::Type | End::Name) => Kind::Instance,
        (Verb::Write | Verb::Delete | Verb::Post, End::Provider) => return Err(unknown()),
    };
    if verb == Verb::Post && !target.can_be_invoked() {
        return Err(unknown());
    }
    let exception = exceptions::find(verb, target.namespace, target.block);
    let ends_with_verb = target.end == End::Type || exception.is_some_and(Exception::ends_with_verb);
    let actions = match exception {
        None => target.actions_by_rule(verb),
        Some(exception) if exception.is_additional() => vec![target.action_by_rule(verb), exception.action()],
        Some(exception) => vec![exception.action()],
    };
    Ok(Derived { actions, scope: scope(&segments, ends_with_verb)?, kind, provider_at })
}

/// Whether a subscription or a group is named within another one. No path of the management plane has that, and who reads the last one of
/// them finds another place than who reads the first. Below a provider the words are types like others.
fn has_place_within(segments: &[&str]) -> bool {
    let above_providers = segments.iter().take_while(|segment| !is(segment, "providers")).enumerate();
    let is_place = |segment: &str| is(segment, "subscriptions") || is(segment, "resourceGroups");
    above_providers.skip(2).any(|(at, segment)| if at < 4 { at == 2 && is(segment, "subscriptions") } else { is_place(segment) })
}

/// The scope of the path without its last segment, when that is a type or a verb.
fn scope(segments: &[&str], ends_with_verb: bool) -> Result<Scope, ScopeError> {
    let kept = match segments {
        [kept @ .., _type_or_verb] if ends_with_verb => kept,
        all => all,
    };
    Scope::from_segments(without_bare_provider(kept))
}

fn shown(path: &CanonicalPath) -> String {
    path.as_str().chars().take(SHOWN_MAX).collect()
}

/// The part of a path behind its last provider.
struct Target<'p> {
    /// `Microsoft.Resources` when the path names no provider.
    namespace: &'p str,
    named: bool,
    block: &'p [&'p str],
    types: Vec<&'p str>,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Name,
    Provider,
    Type,
}

const CORE: &str = "Microsoft.Resources";

impl<'p> Target<'p> {
    fn read(method: Method, path: &CanonicalPath, segments: &'p [&'p str]) -> Result<Self, ActionError> {
        let mut target = Self { namespace: CORE, named: false, block: segments, types: Vec::new(), end: End::Provider };
        let mut rest = segments;
        loop {
            rest = match rest {
                [] => break,
                [word, namespace, tail @ ..] if is(word, "providers") && !target.has_providers_as_type(tail) => {
                    if target.named && target.types.is_empty() {
                        return Err(ActionError::Ambiguous { path: shown(path) });
                    }
                    check_word(namespace)?;
                    target = Self { namespace, named: true, block: tail, types: Vec::new(), end: End::Provider };
                    tail
                }
                [kind, _name, tail @ ..] => {
                    target.push_type(kind)?;
                    target.end = End::Name;
                    tail
                }
                [kind] => {
                    target.push_type(kind)?;
                    target.end = End::Type;
                    &[]
                }
            };
        }
        let known = if target.named { target.end != End::Provider || provider_types(segments).is_some() } else { is_core(&target.types) };
        if !known {
            return Err(ActionError::UnknownShape { method, path: shown(path) });
        }
        if target.end == End::Provider {
            // `…/providers/{namespace}` is a resource of the core provider.
            target.namespace = CORE;
            target.types = provider_types(segments).unwrap_or_default().to_vec();
        }
        Ok(target)
    }

    fn push_type(&mut self, kind: &'p str) -> Result<(), ActionError> {
        // A dot would let `…/virtualMachines/providers/Microsoft.Authorization/…` pass for types of the first provider.
        if kind.bytes().any(|byte| byte == b'.') {
            return Err(ActionError::NotAWord { word: kind.chars().take(SHOWN_MAX).collect() });
        }
        check_word(kind)?;
        self.types.push(kind);
        Ok(())
    }

    /// `Microsoft.Features/providers/{namespace}/features`: the only provider with a type called `providers`. The type below
    /// is part of the test, or a role assignment could be written as a feature of `Microsoft.Authorization`.
    fn has_providers_as_type(&self, tail: &[&str]) -> bool {
        let below_features = self.named && self.types.is_empty() && is(self.namespace, "Microsoft.Features");
        below_features && tail.first().is_some_and(|kind| is(kind, "features"))
    }

    /// A `POST` needs something to do: it is never a way to write the resource itself.
    fn can_be_invoked(&self) -> bool {
        self.end == End::Type || self.types.len() > 1
    }

    /// A list that has the name of what a `POST` does takes the right for that as well.
    fn actions_by_rule(&self, verb: Verb) -> Vec<Action> {
        let action = self.action_by_rule(verb);
        match verb == Verb::Read && self.end == End::Type && invoked::is_named_by(&action) {
            true => vec![action, self.action_by_rule(Verb::Post)],
            false => vec![action],
        }
    }

    fn action_by_rule(&self, verb: Verb) -> Action {
        Action::of([self.namespace].into_iter().chain(self.types.iter().copied()).chain([verb.suffix()]))
    }
}

/// A provider is no place: lists, checks and registrations at an anchor are judged on the anchor itself, and so are a
/// deployment of a subscription and its activity log, because that is the scope Azure prints for them.
fn without_bare_provider<'p>(segments: &'p [&'p str]) -> &'p [&'p str] {
    match segments {
        [anchor @ .., word, _namespace] if is(word, "providers") && is_anchor(anchor) => anchor,
        [word, _id, providers, namespace, kind, ..]
            if is(word, "subscriptions") && is(providers, "providers") && is(namespace, CORE) && is(kind, "deployments") =>
        {
            segments.get(..2).unwrap_or(segments)
        }
        [anchor @ .., word, namespace, kind, _name]
            if is(word, "providers") && is(namespace, "Microsoft.Insights") && is(kind, "eventtypes") && is_anchor(anchor) =>
        {
            anchor
        }
        all => all,
    }
}

fn is_anchor(segments: &[&str]) -> bool {
    match segments {
        [] => true,
        [word, _id] => is(word, "subscriptions"),
        [word, namespace, kind, _name] => is(word, "providers") && is(namespace, "Microsoft.Management") && is(kind, "managementGroups"),
        _ => false,
    }
}

/// The types that stand for `…/providers/{namespace}`.
fn provider_types(segments: &[&str]) -> Option<&'static [&'static str]> {
    match segments {
        [_providers, _namespace] => Some(&["providers"]),
        [subscriptions, _id, _providers, _namespace] if is(subscriptions, "subscriptions") => Some(&["subscriptions", "providers"]),
        _ => None,
    }
}

/// Whether types without a provider exist in the core of the resource manager.
fn is_core(types: &[&str]) -> bool {
    match types {
        [first] => ["batch", "providers", "subscriptions", "tenants"].iter().any(|known| is(known, first)),
        [first, _second] => is(first, "subscriptions"),
        [first, rest @ ..] => is(first, "subscriptions") && !rest.iter().any(|kind| is(kind, "providers")),
        [] => false,
    }
}

fn is(word: &str, known: &str) -> bool {
    word.eq_ignore_ascii_case(known)
}

fn check_word(word: &str) -> Result<(), ActionError> {
    if is_word(word) { Ok(()) } else { Err(ActionError::NotAWord { word: word.chars().take(SHOWN_MAX).collect() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUB: &str = "/subscriptions/8f2c1a10-0000-4000-8000-000000000001";

    fn request(method: &str, path: &str) -> (Method, CanonicalPath) {
        (method.parse().unwrap(), CanonicalPath::parse(&path.replacen('~', SUB, 1)).unwrap())
    }

    fn derived(method: &str, path: &str) -> Result<Derived, ActionError> {
        let (method, path) = request(method, path);
        derive(method, &path)
    }

    #[track_caller]
    fn check(method: &str, path: &str, actions: &[&str], scope: &str, kind: Kind) {
        let derived = derived(method, path).unwrap();
        assert_eq!(derived.actions.iter().map(Action::as_str).collect::<Vec<_>>(), actions, "{method} {path}");
        assert_eq!(derived.scope.to_string(), scope.replacen('~', SUB, 1), "{method} {path}");
        assert_eq!(derived.kind, kind, "{method} {path}");
    }

    #[test]
    fn resources_are_read_written_and_deleted_on_their_own_id() {
        let vm = "~/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm";
        check("GET", vm, &["Microsoft.Compute/virtualMachines/read"], vm, Kind::Instance);
        check("HEAD", vm, &["Microsoft.Compute/virtualMachines/read"], vm, Kind::Instance);
        check("PUT", vm, &["Microsoft.Compute/virtualMachines/write"], vm, Kind::Instance);
        check("PATCH", vm, &["Microsoft.Compute/virtualMachines/write"], vm, Kind::Instance);
        check("DELETE", vm, &["Microsoft.Compute/virtualMachines/delete"], vm, Kind::Instance);
        let lock = format!("{vm}/providers/Microsoft.Authorization/locks/l");
        check("DELETE", &lock, &["Microsoft.Authorization/locks/delete"], &lock, Kind::Instance);
        check(
            "GET",
            "~/resourcegroups/rg",
            &["Microsoft.Resources/subscriptions/resourcegroups/read"],
            "~/resourcegroups/rg",
            Kind::Instance,
        );
    }

    #[test]
    fn the_provider_is_found_where_the_actions_are_of_it() {
        let at = |path: &str| derived("PUT", path).unwrap().provider_at;
        assert_eq!(at("~/resourceGroups/providers"), None);
        assert_eq!(at("~/providers/Microsoft.Authorization/roleAssignments/providers"), Some(2));
        assert_eq!(at("~/resourceGroups/providers/providers/Microsoft.HybridCompute/machines/providers"), Some(4));
        assert_eq!(at("~/resourceGroups/rg/providers/A.B/c/providers/providers/D.E/f/g"), Some(8));
        assert_eq!(at("/providers/Microsoft.Management/managementGroups/mg/providers/A.B/c/d"), Some(4));
    }

    #[test]
    fn management_groups_hang_at_the_root_only() {
        for path in [
            "/providers/Microsoft.Management/managementGroups/mine/providers/Microsoft.Management/managementGroups/theirs/subscriptions/s",
            "~/providers/Microsoft.Management/managementGroups/theirs",
            "~/resourceGroups/rg/providers/microsoft.management/MANAGEMENTGROUPS/theirs/subscriptions/s",
        ] {
            assert!(matches!(derived("PUT", path), Err(ActionError::UnknownShape { .. })), "{path}");
        }
        derived("PUT", "/providers/Microsoft.Management/managementGroups/mine/subscriptions/s").unwrap();
    }

    #[test]
    fn lists_are_judged_on_what_contains_them() {
        let group = "~/resourceGroups/rg";
        let compute = format!("{group}/providers/Microsoft.Compute");
        check("GET", &format!("{compute}/virtualMachines"), &["Microsoft.Compute/virtualMachines/read"], &compute, Kind::Collection);
        let vm = format!("{compute}/virtualMachines/vm");
        check("GET", &format!("{vm}/extensions"), &["Microsoft.Compute/virtualMachines/extensions/read"], &vm, Kind::Collection);
        check("GET", "~/providers/Microsoft.Compute/virtualMachines", &["Microsoft.Compute/virtualMachines/read"], "~", Kind::Collection);
        check("GET", "~/resourceGroups", &["Microsoft.Resources/subscriptions/resourceGroups/read"], "~", Kind::Collection);
        check("GET", "~/resources", &["Microsoft.Resources/subscriptions/resources/read"], "~", Kind::Collection);
        check("GET", "~/providers", &["Microsoft.Resources/subscriptions/providers/read"], "~", Kind::Collection);
        check("GET", "/subscriptions", &["Microsoft.Resources/subscriptions/read"], "/", Kind::Collection);
        check("GET", "/tenants", &["Microsoft.Resources/tenants/read"], "/", Kind::Collection);
        let log = "~/providers/Microsoft.Insights/eventtypes/management/values";
        check("GET", log, &["Microsoft.Insights/eventtypes/values/read"], "~", Kind::Collection);
        let group = "/providers/Microsoft.Management/managementGroups/mg";
        let list = format!("{group}/providers/Microsoft.Authorization/roleAssignments");
        check("GET", &list, &["Microsoft.Authorization/roleAssignments/read"], group, Kind::Collection);
    }

    #[test]
    fn a_place_within_another_one_has_two_readings() {
        for (path, expected) in [
            ("subscriptions/a", false),
            ("subscriptions/a/resourceGroups/g", false),
            ("subscriptions/a/resourceGroups/subscriptions", false),
            ("subscriptions/a/subscriptions/b", true),
            ("subscriptions/a/resourceGroups/g/Subscriptions/b", true),
            ("subscriptions/a/resourceGroups/g/resourceGroups/h", true),
            ("subscriptions/a/resourceGroups/g/tags/t/resourcegroups/h/providers/X.Y/z", true),
            ("subscriptions/a/providers/X.Y/subscriptions/b", false),
            ("subscriptions/a/resourceGroups/g/providers/X.Y/resourceGroups/h/subscriptions/b", false),
        ] {
            assert_eq!(has_place_within(&path.split('/').collect::<Vec<_>>()), expected, "{path}");
        }
    }

    fn words(path: &str) -> Vec<&str> {
        path.split('/').filter(|word| !word.is_empty()).collect()
    }

    #[test]
    fn grants_hang_on_the_root_on_subscriptions_and_on_management_groups() {
        for (path, expected) in [
            ("", true),
            ("subscriptions/a", true),
            ("Subscriptions/a", true),
            ("tenants/a", false),
            ("subscriptions/a/resourceGroups/g", false),
            ("providers/Microsoft.Management/managementGroups/g", true),
            ("things/Microsoft.Management/managementGroups/g", false),
            ("providers/Microsoft.Other/managementGroups/g", false),
            ("providers/Microsoft.Management/serviceGroups/g", false),
        ] {
            assert_eq!(is_anchor(&words(path)), expected, "{path}");
        }
    }

    #[test]
    fn what_is_at_an_anchor_is_judged_there_and_everything_else_where_it_stands() {
        for (path, expected) in [
            ("subscriptions/a/providers/X.Y", "subscriptions/a"),
            ("subscriptions/a/things/X.Y", "subscriptions/a/things/X.Y"),
            ("subscriptions/a/resourceGroups/g/providers/X.Y", "subscriptions/a/resourceGroups/g/providers/X.Y"),
            ("subscriptions/a/providers/Microsoft.Resources/deployments/d", "subscriptions/a"),
            ("subscriptions/a/providers/Microsoft.Resources/deployments/d/operations/o", "subscriptions/a"),
            ("tenants/a/providers/Microsoft.Resources/deployments/d", "tenants/a/providers/Microsoft.Resources/deployments/d"),
            ("subscriptions/a/things/Microsoft.Resources/deployments/d", "subscriptions/a/things/Microsoft.Resources/deployments/d"),
            ("subscriptions/a/providers/X.Y/deployments/d", "subscriptions/a/providers/X.Y/deployments/d"),
            ("subscriptions/a/providers/Microsoft.Resources/tags/d", "subscriptions/a/providers/Microsoft.Resources/tags/d"),
            ("subscriptions/a/providers/Microsoft.Insights/eventtypes/management", "subscriptions/a"),
            ("providers/Microsoft.Insights/eventtypes/management", ""),
            ("subscriptions/a/things/Microsoft.Insights/eventtypes/m", "subscriptions/a/things/Microsoft.Insights/eventtypes/m"),
            ("subscriptions/a/providers/X.Y/eventtypes/m", "subscriptions/a/providers/X.Y/eventtypes/m"),
            ("subscriptions/a/providers/Microsoft.Insights/logs/m", "subscriptions/a/providers/Microsoft.Insights/logs/m"),
            ("tenants/a/providers/Microsoft.Insights/eventtypes/m", "tenants/a/providers/Microsoft.Insights/eventtypes/m"),
        ] {
            assert_eq!(without_bare_provider(&words(path)), words(expected), "{path}");
        }
    }

    #[test]
    fn the_core_has_few_types_and_a_provider_is_one_at_the_root_and_in_a_subscription() {
        for (types, expected) in [
            ("", false),
            ("batch", true),
            ("Tenants", true),
            ("resources", false),
            ("subscriptions/resourceGroups", true),
            ("tenants/resourceGroups", false),
            ("subscriptions/resourceGroups/moveResources", true),
            ("tenants/resourceGroups/moveResources", false),
            ("subscriptions/resourceGroups/providers", false),
        ] {
            assert_eq!(is_core(&words(types)), expected, "{types}");
        }
        assert_eq!(provider_types(&["providers", "X.Y"]), Some(&["providers"][..]));
        assert_eq!(provider_types(&["subscriptions", "a", "providers", "X.Y"]), Some(&["subscriptions", "providers"][..]));
        assert_eq!(provider_types(&["tenants", "a", "providers", "X.Y"]), None);
    }

    #[test]
    fn providers_are_a_type_of_features_alone() {
        let target = |namespace, named, types| Target { namespace, named, block: &[], types, end: End::Provider };
        let features = "microsoft.features";
        assert!(target(features, true, Vec::new()).has_providers_as_type(&["Features", "f"]));
        assert!(!target(features, true, Vec::new()).has_providers_as_type(&["roleAssignments", "f"]));
        assert!(!target(features, true, vec!["a"]).has_providers_as_type(&["features", "f"]));
        assert!(!target(features, false, Vec::new()).has_providers_as_type(&["features", "f"]));
        assert!(!target("X.Y", true, Vec::new()).has_providers_as_type(&["features", "f"]));
    }

    #[test]
    fn only_a_list_that_is_called_like_an_action_takes_its_right_as_well() {
        let keys = "~/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/a/listKeys";
        let count = |method, path: &str| derived(method, path).unwrap().actions.len();
        assert_eq!((count("GET", keys), count("HEAD", keys)), (2, 2));
        assert_eq!((count("DELETE", keys), count("PUT", keys), count("POST", keys), count("GET", &format!("{keys}/x"))), (1, 1, 1, 1));
    }

    #[test]
    fn a_path_that_is_not_known_is_shown() {
        let expected = ActionError::UnknownShape { method: Method::Get, path: "/things".to_owned() };
        assert_eq!(derived("GET", "/things"), Err(expected));
    }

    #[test]
    fn only_management_groups_themselves_hang_at_the_root_alone() {
        for other in ["Microsoft.Management/serviceGroups/g", "X.Y/managementGroups/g"] {
            check(
                "GET",
                &format!("~/providers/{other}"),
                &[&format!("{}/read", other.trim_end_matches("/g"))],
                &format!("~/providers/{other}"),
                Kind::Instance,
            );
        }
        assert!(derived("GET", "~/providers/Microsoft.Management/managementGroups/g").is_err());
    }

    #[test]
    fn what_a_query_asks_stands_in_its_body_and_what_only_describes_queries_does_not() {
        for (method, path, expected) in [
            ("POST", "/providers/Microsoft.ResourceGraph/resources", true),
            ("GET", "/providers/Microsoft.ResourceGraph/operations", false),
            ("GET", "~/resourceGroups/g/providers/Microsoft.ResourceGraph/queries/q", false),
        ] {
            assert_eq!(derived(method, path).unwrap().body_names_scopes(), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_post_is_an_action_on_what_stands_before_its_verb() {
        let account = "~/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/a";
        let keys = format!("{account}/listKeys");
        check("POST", &keys, &["Microsoft.Storage/storageAccounts/listKeys/action"], account, Kind::Invocation);
        check("POST", "~/providers/Microsoft.Compute/register", &["Microsoft.Compute/register/action"], "~", Kind::Invocation);
        let graph = "/providers/Microsoft.ResourceGraph/resources";
        check("POST", graph, &["Microsoft.ResourceGraph/resources/read"], "/", Kind::Invocation);
        let workspace = "~/resourceGroups/rg/providers/Microsoft.OperationalInsights/workspaces/w";
        for query in ["query", "api/query"] {
            let path = format!("{workspace}/{query}");
            let derived = derived("POST", &path).unwrap();
            assert_eq!(derived.actions[0].as_str(), "Microsoft.OperationalInsights/workspaces/query/read");
        }
        let draft = "~/resourceGroups/rg/providers/Microsoft.Automation/automationAccounts/a/runbooks/r/draft";
        let undo = ["Microsoft.Automation/automationAccounts/runbooks/draft/undoEdit/action"];
        check("POST", &format!("{draft}/undoEdit"), &undo, draft, Kind::Invocation);
    }

    #[test]
    fn a_get_of_what_a_post_does_takes_the_same_right() {
        let account = "~/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/a";
        let both = ["Microsoft.Storage/storageAccounts/listKeys/read", "Microsoft.Storage/storageAccounts/listKeys/action"];
        for method in ["GET", "HEAD"] {
            check(method, &format!("{account}/listKeys"), &both, account, Kind::Collection);
        }
        let settings = format!("{account}/blobServices");
        check("GET", &settings, &["Microsoft.Storage/storageAccounts/blobServices/read"], account, Kind::Collection);
        names_scopes("GET", "~/resourceGroups/rg/moveResources", true);
    }

    #[test]
    fn a_provider_is_read_as_a_resource_of_the_core() {
        let compute = "/providers/Microsoft.Compute";
        check("GET", compute, &["Microsoft.Resources/providers/read"], "/", Kind::Instance);
        check("GET", &format!("~{compute}"), &["Microsoft.Resources/subscriptions/providers/read"], "~", Kind::Instance);
    }

    #[test]
    fn a_singleton_child_needs_both_names() {
        let content = "~/resourceGroups/rg/providers/Microsoft.Automation/automationAccounts/a/runbooks/r/draft/content";
        let names = [
            "Microsoft.Automation/automationAccounts/runbooks/draft/write",
            "Microsoft.Automation/automationAccounts/runbooks/draft/content/write",
        ];
        check("PUT", content, &names, content, Kind::Instance);
        check(
            "PUT",
            &content.to_uppercase().replacen("~/RESOURCEGROUPS", "~/resourceGroups", 1),
            &["MICROSOFT.AUTOMATION/AUTOMATIONACCOUNTS/RUNBOOKS/DRAFT/write", names[1]],
            &content.to_uppercase().replacen("~/RESOURCEGROUPS", "~/resourceGroups", 1),
            Kind::Instance,
        );
    }

    #[track_caller]
    fn refused(method: &str, path: &str) {
        let derived = derived(method, path);
        assert!(derived.is_err(), "{method} {path}: {derived:?}");
    }

    #[test]
    fn what_has_no_known_shape_has_no_action() {
        for path in ["/", "/metadata/endpoints", "/subscriptions/x/resourceGroups", "~/resourceGroups/rg/providers", "/foo"] {
            refused("GET", path);
        }
        refused("GET", "~/resourceGroups/rg/providers/Microsoft.Compute");
        refused("PUT", "~/providers/Microsoft.Compute");
        refused("POST", "~/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm");
        refused("GET", "~/resourceGroups/rg/providers/Microsoft.Compute/virtual%20machines/vm");
        refused("GET", "~/resourceGroups/rg/providers/Microsoft.*/x/y");
    }

    #[test]
    fn a_role_assignment_cannot_be_written_as_something_else() {
        let below = "providers/Microsoft.Authorization/roleAssignments/a";
        refused("PUT", &format!("~/providers/Microsoft.Features/{below}"));
        refused("PUT", &format!("~/providers/Microsoft.Foo/{below}"));
        refused("PUT", &format!("~/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/{below}"));
        let feature = "~/providers/Microsoft.Features/providers/Microsoft.Compute/features/f";
        check("GET", feature, &["Microsoft.Features/providers/features/read"], feature, Kind::Instance);
        let named_providers = "~/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/providers/extensions/e";
        check("GET", named_providers, &["Microsoft.Compute/virtualMachines/extensions/read"], named_providers, Kind::Instance);
    }

    #[track_caller]
    fn names_scopes(method: &str, path: &str, expected: bool) {
        assert_eq!(derived(method, path).unwrap().body_names_scopes(), expected, "{method} {path}");
    }

    #[test]
    fn requests_that_carry_further_scopes_in_their_body_are_known() {
        names_scopes("POST", "~/resourceGroups/rg/moveResources", true);
        names_scopes("POST", "~/resourceGroups/rg/validateMoveResources", true);
        names_scopes("POST", "/batch", true);
        names_scopes("POST", "/providers/Microsoft.ResourceGraph/resources", true);
        for scope in ["", "~", "~/resourceGroups/rg", "/providers/Microsoft.Management/managementGroups/mg"] {
            names_scopes("PUT", &format!("{scope}/providers/Microsoft.Resources/deployments/d"), true);
            names_scopes("POST", &format!("{scope}/providers/Microsoft.Resources/deployments/d/validate"), true);
            names_scopes("POST", &format!("{scope}/providers/Microsoft.Resources/deployments/d/whatIf"), true);
            names_scopes("PUT", &format!("{scope}/providers/Microsoft.Resources/deploymentStacks/d"), true);
        }
        names_scopes("PUT", "~/resourcegroups/rg/deployments/d", true);
        names_scopes("DELETE", "~/providers/Microsoft.Resources/deploymentStacks/d", true);
        names_scopes("POST", "~/providers/Microsoft.Resources/deploymentStacks/d/validate", true);
        names_scopes("GET", "~/providers/Microsoft.Resources/deployments/d", false);
        names_scopes("POST", "~/providers/Microsoft.Resources/deployments/d/cancel", false);
        names_scopes("GET", "~/resourceGroups/rg/providers/Microsoft.ResourceGraph/queries/q", false);
        names_scopes("PUT", "~/resourceGroups/rg", false);
    }
}
