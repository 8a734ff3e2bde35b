//! The table of resource providers: which namespaces, types, versions and actions exist.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// Source: `providers.txt`, whose head explains its form.
static BUILT_IN: LazyLock<Providers> = LazyLock::new(|| Providers::parse(include_str!("providers.txt")));

/// All namespaces, findable without regard to case.
#[derive(Debug)]
pub(super) struct Providers {
    namespaces: BTreeMap<String, Namespace>,
}

/// One resource provider such as `Microsoft.Compute`.
#[derive(Debug)]
pub(super) struct Namespace {
    /// As the provider spells itself.
    pub(super) name: &'static str,
    /// POST actions directly below the namespace.
    actions: Vec<&'static str>,
    types: HashMap<String, ResourceType>,
}

/// Whether a body must, may or cannot say where the resource lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LocationRule {
    Absent,
    Optional,
    Required,
}

/// One type such as `Microsoft.Compute/virtualMachines/extensions`.
#[derive(Debug)]
pub(super) struct ResourceType {
    /// The namespace it belongs to.
    pub(super) namespace: &'static str,
    /// The type segments joined by `/`, without the namespace.
    pub(super) name: &'static str,
    /// Namespace and type.
    pub(super) full: String,
    /// Newest first, never empty.
    pub(super) versions: Vec<&'static str>,
    pub(super) location: LocationRule,
    flags: &'static str,
    actions: Vec<&'static str>,
}

impl Providers {
    /// The table that is compiled in.
    pub(super) fn built_in() -> &'static Self {
        &BUILT_IN
    }

    fn parse(text: &'static str) -> Self {
        let mut namespaces = BTreeMap::new();
        let mut current: Option<(Namespace, &'static str)> = None;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(fields) = line.strip_prefix(' ') {
                if let Some((namespace, default_version)) = &mut current {
                    let kind = ResourceType::parse(namespace.name, default_version, fields);
                    namespace.types.insert(kind.name.to_ascii_lowercase(), kind);
                }
                continue;
            }
            let mut fields = line.split(' ');
            let name = fields.next().unwrap_or_default();
            let default_version = fields.next().unwrap_or_default();
            let next = Namespace { name, actions: list(fields.next()), types: HashMap::new() };
            if let Some((done, _)) = current.replace((next, default_version)) {
                namespaces.insert(done.name.to_ascii_lowercase(), done);
            }
        }
        if let Some((done, _)) = current {
            namespaces.insert(done.name.to_ascii_lowercase(), done);
        }
        Self { namespaces }
    }

    /// The namespace of this name, in any case.
    pub(super) fn namespace(&self, name: &str) -> Option<&Namespace> {
        self.namespaces.get(&name.to_ascii_lowercase())
    }

    /// All namespaces by name.
    pub(super) fn all(&self) -> impl Iterator<Item = &Namespace> {
        self.namespaces.values()
    }

    /// The type written as `Namespace/type[/type…]`, in any case.
    pub(super) fn kind(&self, full: &str) -> Option<&ResourceType> {
        let (namespace, name) = full.split_once('/')?;
        self.namespace(namespace)?.kind(name)
    }
}

impl Namespace {
    /// The type of these segments joined by `/`, in any case.
    pub(super) fn kind(&self, name: &str) -> Option<&ResourceType> {
        self.types.get(&name.to_ascii_lowercase())
    }

    /// All types by name.
    pub(super) fn kinds(&self) -> Vec<&ResourceType> {
        let mut kinds: Vec<_> = self.types.values().collect();
        kinds.sort_unstable_by_key(|kind| kind.name);
        kinds
    }

    /// Whether a POST directly below the namespace may have this name.
    pub(super) fn has_action(&self, action: &str) -> bool {
        contains(&self.actions, action)
    }
}

impl ResourceType {
    fn parse(namespace: &'static str, default_version: &'static str, fields: &'static str) -> Self {
        let mut fields = fields.split(' ');
        let name = fields.next().unwrap_or_default();
        let flags = fields.next().unwrap_or_default();
        let versions = match fields.next() {
            None | Some("=") => vec![default_version],
            written => list(written),
        };
        let location = match (flags.contains('L'), flags.contains('l')) {
            (true, _) => LocationRule::Required,
            (false, true) => LocationRule::Optional,
            (false, false) => LocationRule::Absent,
        };
        Self { namespace, name, full: format!("{namespace}/{name}"), versions, location, flags, actions: list(fields.next()) }
    }

    /// Whether tags may be put on it.
    pub(super) fn has_tags(&self) -> bool {
        self.flags.contains('t')
    }

    /// Whether `/resources` lists it.
    pub(super) fn is_tracked(&self) -> bool {
        self.flags.contains('T')
    }

    /// Whether instances come and go by PUT and DELETE.
    pub(super) fn is_writable(&self) -> bool {
        self.flags.contains('w')
    }

    /// Whether its writes take `operation_time`.
    pub(super) fn is_long_running(&self) -> bool {
        self.flags.contains('o')
    }

    /// Whether a new instance is answered with 200 like an old one: clients of the type take no 201 for an answer.
    pub(super) fn hides_creation(&self) -> bool {
        self.flags.contains('k')
    }

    /// The action of this name as the provider spells it.
    pub(super) fn action(&self, name: &str) -> Option<&'static str> {
        self.actions.iter().copied().find(|action| action.eq_ignore_ascii_case(name))
    }
}

fn list(field: Option<&'static str>) -> Vec<&'static str> {
    field.map(|field| field.split(',').collect()).unwrap_or_default()
}

fn contains(names: &[&'static str], wanted: &str) -> bool {
    names.iter().any(|name| name.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(full: &str, expected: Option<(&str, &str)>) {
        let found = Providers::built_in().kind(full);
        assert_eq!(found.map(|kind| (kind.full.as_str(), kind.flags)), expected, "{full}");
    }

    #[test]
    fn types_are_found_in_any_case() {
        check("microsoft.compute/VIRTUALMACHINES", Some(("Microsoft.Compute/virtualMachines", "LtTwo")));
        check("Microsoft.Compute/virtualMachines/extensions", Some(("Microsoft.Compute/virtualMachines/extensions", "LtTwo")));
        check("Microsoft.Authorization/locks", Some(("Microsoft.Authorization/locks", "w")));
        check("Microsoft.Compute/rockets", None);
        check("Contoso.Rockets/rockets", None);
        check("Microsoft.Compute", None);
    }

    #[test]
    fn every_line_of_the_table_is_complete() {
        let providers = Providers::built_in();
        assert_eq!(providers.all().count(), 301);
        let mut kinds = 0;
        for kind in providers.all().flat_map(Namespace::kinds) {
            kinds += 1;
            assert!(kind.flags == "-" || kind.flags.chars().all(|flag| "LltTwok".contains(flag)), "{}", kind.full);
            assert!(kind.versions.iter().all(|version| version.len() >= "2026-01-01".len() && version.starts_with("20")), "{}", kind.full);
        }
        assert!(kinds > 4_600, "{kinds}");
    }

    #[test]
    fn actions_keep_the_providers_spelling() {
        let machines = Providers::built_in().kind("Microsoft.Compute/virtualMachines").unwrap();
        assert_eq!(machines.action("POWEROFF"), Some("powerOff"));
        assert_eq!(machines.action("explode"), None);
        assert!(Providers::built_in().namespace("microsoft.keyvault").unwrap().has_action("checknameavailability"));
    }
}
