//! `[[management_group]]` and `[[subscription]]`: the tree of scopes, and every grant put where it will be looked for.

use std::collections::HashMap;
use std::sync::Arc;

use super::grants::Written;
use super::{Context, Unknown};
use crate::arm::scope::{Anchor, Scope};
use crate::delegation::{DenyAssignment, Grant};
use crate::directory::{Delegation, ManagementGroup, Subscription, SubscriptionState};
use crate::ids::{SubscriptionId, TenantId};
use crate::policy::diagnostics::{Diagnostic, Span, closest};
use crate::policy::file::{self, At};
use crate::policy::parse::Entry;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Management groups above one another. Source: Azure management groups, "six levels of depth".
const LEVELS_MAX: usize = 6;

/// The tree of a set.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) subscriptions: Map<SubscriptionId, Subscription>,
    pub(super) management_groups: Map<Box<str>, ManagementGroup>,
    /// Names in lower case; several subscriptions may share one.
    by_name: Map<String, Vec<Place>>,
    parents: Map<Box<str>, Box<str>>,
    spans: Map<Box<str>, Span>,
    subscription_spans: Map<SubscriptionId, Span>,
}

/// A scope and the tenant that owns it; nobody owns `/` until the entry says whose it is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) scope: Arc<Scope>,
    pub(super) tenant: Option<TenantId>,
}

impl Places {
    pub(super) fn compile(context: &mut Context<'_>) -> Self {
        let parsed = context.parsed;
        let mut places = Self::default();
        for entry in &parsed.management_groups {
            places.declare_group(context, entry);
        }
        for entry in &parsed.management_groups {
            places.hang_group(context, entry);
        }
        for entry in &parsed.management_groups {
            places.refuse_cycle(context, entry);
        }
        for entry in &parsed.subscriptions {
            places.declare_subscription(context, entry);
        }
        places
    }

    fn declare_group(&mut self, context: &mut Context<'_>, entry: &Entry<file::ManagementGroup>) {
        let name = &entry.body.name;
        if !is_name(&name.value) {
            let diagnostic = Diagnostic::error("scope.form", format!("`{}` cannot name a management group", name.value));
            context.push(diagnostic.at(entry.at(name), "1 to 90 letters, digits, `-`, `_`, `.`, `(`, `)`"));
        }
        let key: Box<str> = name.value.to_ascii_lowercase().into();
        if let Some(first) = self.spans.get(&key) {
            return context.duplicate(&format!("the management group `{}`", name.value), entry.at(name), first.clone());
        }
        self.spans.insert(key.clone(), entry.at(name));
        let Some(tenant) = context.tenant(entry.at(&entry.body.tenant), &entry.body.tenant.value) else { return };
        self.management_groups.insert(key, ManagementGroup { name: name.value.as_str().into(), tenant, grants: Vec::new() });
    }

    fn hang_group(&mut self, context: &mut Context<'_>, entry: &Entry<file::ManagementGroup>) {
        let Some(parent) = &entry.body.parent else { return };
        let key: Box<str> = entry.body.name.value.to_ascii_lowercase().into();
        let tenant = self.management_groups.get(&key).map(|group| group.tenant);
        if let Some(parent) = self.group_above(context, tenant, entry.at(parent), parent) {
            self.parents.insert(key, parent);
        }
    }

    /// The key of the management group that somebody says to be in. `None` has been reported.
    fn group_above(&self, context: &mut Context<'_>, tenant: Option<TenantId>, span: Span, name: &At<String>) -> Option<Box<str>> {
        let key: Box<str> = name.value.to_ascii_lowercase().into();
        let Some(group) = self.management_groups.get(&key) else {
            if !self.spans.contains_key(&key) {
                let unknown = Unknown {
                    code: "management_group.unknown",
                    noun: "management group",
                    tables: &["management_group"],
                    label: "no [[management_group]] has this name",
                    help: "declare it with [[management_group]], or leave the key out for the root of the tenant",
                };
                let names = self.management_groups.values().map(|group| &*group.name);
                context.unknown(&unknown, span, &name.value, || closest(&name.value, names));
            }
            return None;
        };
        if tenant.is_some_and(|tenant| tenant != group.tenant) {
            let message = format!("the management group `{}` belongs to another tenant", group.name);
            let diagnostic = Diagnostic::error("management_group.tenant", message).at(span, "of another tenant");
            context.push(
                self.spans.get(&key).cloned().into_iter().fold(diagnostic, |diagnostic, span| diagnostic.with(span, "declared here")),
            );
            return None;
        }
        Some(key)
    }

    fn refuse_cycle(&mut self, context: &mut Context<'_>, entry: &Entry<file::ManagementGroup>) {
        let key: Box<str> = entry.body.name.value.to_ascii_lowercase().into();
        if self.chain(&key).len() <= LEVELS_MAX {
            return;
        }
        // Cutting here keeps later walks finite and the same circle from being reported for each of its groups.
        self.parents.remove(&key);
        let message = format!("the management group `{}` lies more than {LEVELS_MAX} levels deep, or inside itself", entry.body.name.value);
        context.push(Diagnostic::error("management_group.depth", message).at(entry.span(), "follow `parent` from here"));
    }

    /// A management group and those above it, nearest first; one more than allowed at most.
    fn chain(&self, key: &str) -> Vec<Box<str>> {
        std::iter::successors(Some(Box::from(key)), |key| self.parents.get(key).cloned()).take(LEVELS_MAX + 1).collect()
    }

    fn declare_subscription(&mut self, context: &mut Context<'_>, entry: &Entry<file::Subscription>) {
        let body = &entry.body;
        let tenant = context.tenant(entry.at(&body.tenant), &body.tenant.value);
        let above = body.management_group.as_ref().and_then(|name| self.group_above(context, tenant, entry.at(name), name));
        let id = context.id::<SubscriptionId, _>(entry, &body.id);
        let names = self.by_name.entry(body.name.value.to_lowercase()).or_default();
        let (Some(id), Some(tenant)) = (id, tenant) else { return };
        names.push(Place { scope: Arc::new(Scope::subscription(id)), tenant: Some(tenant) });
        if let Some(first) = self.subscription_spans.get(&id) {
            return context.duplicate(&format!("the subscription `{id}`"), entry.at(&body.id), first.clone());
        }
        self.subscription_spans.insert(id, entry.at(&body.id));
        let subscription = Subscription {
            id,
            name: Arc::from(&*body.name.value),
            tenant,
            state: body.state.unwrap_or(SubscriptionState::Enabled),
            ancestors: above.map(|key| self.names_of(&self.chain(&key))).unwrap_or_default(),
            grants: Vec::new(),
            denies: Arc::default(),
            managed_by: Vec::new(),
            agreed_with: Vec::new(),
            defined_at: context.location(&entry.span()),
        };
        self.subscriptions.insert(id, subscription);
    }

    fn names_of(&self, chain: &[Box<str>]) -> Vec<Box<str>> {
        chain.iter().filter_map(|key| self.management_groups.get(key)).map(|group| group.name.clone()).collect()
    }

    /// The scope that a text names. `None` has been reported.
    pub(super) fn resolve(&self, context: &mut Context<'_>, span: Span, text: &str) -> Option<Place> {
        if text.starts_with('/') {
            return self.resolve_id(context, span, text);
        }
        match text.split_once('/') {
            None => self.resolve_name(context, span, text),
            Some((subscription, group)) if is_name(group) => {
                let subscription = self.subscription_called(context, span, subscription)?;
                let id = subscription.scope.subscription_id()?;
                Some(Place { scope: Arc::new(Scope::resource_group(id, group)), tenant: subscription.tenant })
            }
            Some(_) => {
                let diagnostic = Diagnostic::error("scope.form", format!("`{text}` is not a scope"));
                let diagnostic = diagnostic.at(span, "not `subscription/resource-group`");
                context.push(diagnostic.help("for one resource, write its id: /subscriptions/{id}/resourceGroups/{name}/providers/…"));
                None
            }
        }
    }

    fn resolve_name(&self, context: &mut Context<'_>, span: Span, text: &str) -> Option<Place> {
        let group = self.management_groups.get(text.to_ascii_lowercase().as_str());
        let Some(group) = group else {
            return self.subscription_called(context, span, text).cloned();
        };
        if self.by_name.contains_key(&text.to_lowercase()) {
            let message = format!("`{text}` is a subscription and a management group");
            let diagnostic = Diagnostic::error("scope.ambiguous", message).at(span, "which one?");
            context.push(diagnostic.help("write the whole id: /subscriptions/… or /providers/Microsoft.Management/managementGroups/…"));
            return None;
        }
        Some(Place { scope: Arc::new(Scope::whole(Anchor::ManagementGroup(group.name.clone()))), tenant: Some(group.tenant) })
    }

    fn subscription_called(&self, context: &mut Context<'_>, span: Span, name: &str) -> Option<&Place> {
        let found = self.by_name.get(&name.to_lowercase()).map(Vec::as_slice);
        match found {
            Some([place]) => Some(place),
            // Declared, but with an id or a tenant that was reported there.
            Some([]) => None,
            Some([_, _, ..]) => {
                let diagnostic = Diagnostic::error("scope.ambiguous", format!("several subscriptions are called `{name}`"));
                context.push(diagnostic.at(span, "which one?").help("write the whole id: /subscriptions/{id}"));
                None
            }
            None => {
                self.unknown_scope(context, span, name);
                None
            }
        }
    }

    fn resolve_id(&self, context: &mut Context<'_>, span: Span, text: &str) -> Option<Place> {
        let scope = match Scope::parse(text) {
            Ok(scope) => scope,
            Err(cause) => {
                context.push(Diagnostic::error("scope.form", cause.to_string()).at(span, "not a resource id"));
                return None;
            }
        };
        let tenant = match scope.anchor() {
            Anchor::Tenant if scope.below().is_empty() => return Some(Place { scope: Arc::new(scope), tenant: None }),
            _ if !is_grantable(&scope) => {
                let diagnostic = Diagnostic::error("scope.form", format!("`{text}` is not the id of a group or resource"));
                let diagnostic = diagnostic.at(span, "nothing can be granted here");
                context.push(diagnostic.help("/subscriptions/{id}[/resourceGroups/{name}][/providers/{namespace}/{type}/{name}…]"));
                return None;
            }
            Anchor::Tenant => None,
            Anchor::ManagementGroup(name) => self.management_groups.get(name.to_ascii_lowercase().as_str()).map(|group| group.tenant),
            Anchor::Subscription(id) => self.subscriptions.get(id).map(|subscription| subscription.tenant),
        };
        if tenant.is_none() {
            self.unknown_scope(context, span, text);
        }
        tenant.map(|tenant| Place { scope: Arc::new(scope), tenant: Some(tenant) })
    }

    fn unknown_scope(&self, context: &mut Context<'_>, span: Span, text: &str) {
        let unknown = Unknown {
            code: "scope.unknown",
            noun: "scope",
            tables: &["subscription", "management_group", "tenant"],
            label: "no [[subscription]] or [[management_group]] has this name",
            help: "declare it with [[subscription]], or use a name or id declared there",
        };
        let subscriptions = self.subscriptions.values().map(|subscription| &*subscription.name);
        let groups = self.management_groups.values().map(|group| &*group.name);
        context.unknown(&unknown, span, text, || closest(text, subscriptions.chain(groups)));
    }

    /// Puts each delegation's managing tenant on the subscriptions that it reaches.
    pub(super) fn place_delegations(&mut self, delegations: &[Delegation]) {
        for delegation in delegations {
            let subscription = delegation.scope.subscription_id().and_then(|id| self.subscriptions.get_mut(&id));
            if let Some(subscription) = subscription {
                subscription.managed_by.push(delegation.managing_tenant);
            }
        }
        for subscription in self.subscriptions.values_mut() {
            subscription.managed_by.sort_unstable();
            subscription.managed_by.dedup();
            subscription.managed_by.shrink_to_fit();
        }
    }

    /// Puts each deny on its subscription.
    pub(super) fn place_denies(&mut self, denies: Vec<DenyAssignment>) {
        let mut by_subscription: HashMap<SubscriptionId, Vec<DenyAssignment>> = HashMap::new();
        for deny in denies {
            if let Some(id) = deny.scope.subscription_id() {
                by_subscription.entry(id).or_default().push(deny);
            }
        }
        for (id, denies) in by_subscription {
            if let Some(subscription) = self.subscriptions.get_mut(&id) {
                subscription.denies = denies.into();
            }
        }
    }

    /// Puts each grant on its place and on all places below; returns those on tenant roots.
    pub(super) fn place_grants(&mut self, written: Vec<Written>) -> Map<TenantId, Vec<Grant>> {
        let mut roots: Map<TenantId, Vec<Grant>> = Map::default();
        let mut on_groups: HashMap<Box<str>, Vec<Grant>> = HashMap::new();
        for Written { grant, owner, .. } in written {
            match grant.scope.anchor() {
                Anchor::Tenant => roots.entry(owner).or_default().push(grant),
                Anchor::ManagementGroup(name) => on_groups.entry(name.to_ascii_lowercase().into()).or_default().push(grant),
                Anchor::Subscription(id) => {
                    if let Some(subscription) = self.subscriptions.get_mut(id) {
                        subscription.grants.push(grant);
                    }
                }
            }
        }
        let chains: HashMap<Box<str>, Vec<Box<str>>> = self.management_groups.keys().map(|key| (key.clone(), self.chain(key))).collect();
        for (key, group) in &mut self.management_groups {
            let above = chains.get(key).into_iter().flatten().filter_map(|key| on_groups.get(key)).flatten();
            group.grants = above.chain(roots.get(&group.tenant).into_iter().flatten()).cloned().collect();
            group.grants.sort_by_key(|grant| grant.principal);
        }
        for subscription in self.subscriptions.values_mut() {
            let above = subscription.ancestors.iter().filter_map(|name| on_groups.get(name.to_ascii_lowercase().as_str())).flatten();
            let mut inherited = above.chain(roots.get(&subscription.tenant).into_iter().flatten()).peekable();
            if inherited.peek().is_some() {
                let scope = Arc::new(Scope::subscription(subscription.id));
                subscription.grants.extend(inherited.map(|grant| Grant { scope: Arc::clone(&scope), ..grant.clone() }));
            }
            subscription.grants.sort_by_key(|grant| grant.principal);
            subscription.grants.shrink_to_fit();
        }
        for grants in roots.values_mut() {
            grants.sort_by_key(|grant| grant.principal);
        }
        roots
    }
}

/// Where in the list the delegations of each subscription are.
pub(super) fn of_delegations(delegations: &[Delegation]) -> Map<SubscriptionId, Box<[usize]>> {
    let mut places: Map<SubscriptionId, Vec<usize>> = Map::default();
    for (place, delegation) in delegations.iter().enumerate() {
        if let Some(subscription) = delegation.scope.subscription_id() {
            places.entry(subscription).or_default().push(place);
        }
    }
    places.into_iter().map(|(subscription, places)| (subscription, places.into())).collect()
}

/// The subscriptions that each tenant owns or manages, sorted.
pub(super) fn reach(subscriptions: &Map<SubscriptionId, Subscription>) -> Map<TenantId, Vec<SubscriptionId>> {
    let mut reach: Map<TenantId, Vec<SubscriptionId>> = Map::default();
    for subscription in subscriptions.values() {
        for tenant in std::iter::once(subscription.tenant).chain(subscription.managed_by.iter().copied()) {
            reach.entry(tenant).or_default().push(subscription.id);
        }
    }
    for subscriptions in reach.values_mut() {
        subscriptions.sort_unstable();
        subscriptions.dedup();
        subscriptions.shrink_to_fit();
    }
    reach
}

/// Whether a scope ends with the name of something: half an id, such as `…/resourceGroups`, would cover more than it says.
/// Management groups are taken whole only, because what is granted on them is handed down to subscriptions.
fn is_grantable(scope: &Scope) -> bool {
    let segments: Vec<&str> = scope.segments().collect();
    let below = match (scope.anchor(), segments.as_slice()) {
        (Anchor::Subscription(_), [groups, _name, below @ ..]) if groups.eq_ignore_ascii_case("resourceGroups") => below,
        (Anchor::Subscription(_) | Anchor::ManagementGroup(_), below) => below,
        (Anchor::Tenant, _) => return false,
    };
    match below {
        [] => true,
        [providers, _namespace, _type, _name, rest @ ..] => {
            matches!(scope.anchor(), Anchor::Subscription(_)) && providers.eq_ignore_ascii_case("providers") && rest.len() % 2 == 0
        }
        [_, ..] => false,
    }
}

/// Names of resource groups and management groups. Source: Azure naming rules.
pub(super) fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '(' | ')');
    !text.ends_with('.') && (1..=90).contains(&text.chars().count()) && text.chars().all(allowed)
}
