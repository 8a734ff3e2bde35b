//! `[[user]]`, `[[service_principal]]`, `[[group]]`: who can be named, and which groups everybody is in.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Context;
use crate::directory::{Principal, PrincipalKind};
use crate::ids::{ObjectId, PrincipalId, TenantId};
use crate::policy::diagnostics::{Diagnostic, Span};
use crate::policy::file::{self, At};
use crate::policy::parse::Entry;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// The principals of a set.
#[derive(Debug, Default)]
pub(super) struct People {
    list: Vec<Person>,
    by_id: Map<PrincipalId, usize>,
    by_object: Map<ObjectId, usize>,
    /// Keys in lower case; `None` for one whose object id is broken.
    by_key: Map<(TenantId, String), Option<usize>>,
    /// Display names and user principal names in lower case; several may share one.
    by_name: Map<(TenantId, String), Vec<usize>>,
    /// Groups that a principal is directly in.
    parents: Map<PrincipalId, Vec<ObjectId>>,
}

/// Somebody who is listed.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) id: PrincipalId,
    pub(super) key: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) user_principal_name: Option<Arc<str>>,
    pub(super) kind: PrincipalKind,
    pub(super) span: Span,
}

/// What is known of a key.
pub(super) enum Known<'a> {
    /// It is this person's, or nobody's.
    As(Option<&'a Person>),
    /// It is that of somebody whose object id is broken.
    Broken,
}

/// The same keys of the three tables.
struct Declared<'a> {
    kind: PrincipalKind,
    key: &'a At<String>,
    object_id: &'a At<String>,
    tenant: &'a At<String>,
    name: Option<&'a At<String>>,
    user_principal_name: Option<&'a At<String>>,
}

impl People {
    pub(super) fn compile(context: &mut Context<'_>) -> Self {
        let parsed = context.parsed;
        let mut people = Self::default();
        for entry in &parsed.users {
            let file::User { key, object_id, tenant, name, user_principal_name, groups: _ } = &entry.body;
            let (name, user_principal_name) = (name.as_ref(), user_principal_name.as_ref());
            let declared = Declared { kind: PrincipalKind::User, key, object_id, tenant, name, user_principal_name };
            people.declare(context, entry, &declared);
        }
        for entry in &parsed.service_principals {
            let file::ServicePrincipal { key, object_id, tenant, name, groups: _ } = &entry.body;
            let kind = PrincipalKind::ServicePrincipal;
            let declared = Declared { kind, key, object_id, tenant, name: name.as_ref(), user_principal_name: None };
            people.declare(context, entry, &declared);
        }
        for entry in &parsed.groups {
            let file::Group { key, object_id, tenant, name, members: _, groups: _ } = &entry.body;
            let declared = Declared { kind: PrincipalKind::Group, key, object_id, tenant, name: name.as_ref(), user_principal_name: None };
            people.declare(context, entry, &declared);
        }
        people.connect(context);
        people
    }

    fn declare<B>(&mut self, context: &mut Context<'_>, entry: &Entry<B>, declared: &Declared<'_>) {
        let key = declared.key;
        if key.value.is_empty() || key.value.contains(['/', ':']) {
            let diagnostic = Diagnostic::error("key.form", format!("`{}` cannot be a key", key.value));
            context.push(diagnostic.at(entry.at(key), "neither empty nor with `/` or `:`"));
        }
        let object = context.id::<ObjectId, _>(entry, declared.object_id);
        let Some(tenant) = context.tenant(entry.at(declared.tenant), &declared.tenant.value) else { return };
        let place = (tenant, key.value.to_lowercase());
        if let Some(Some(first)) = self.by_key.get(&place).map(|first| first.and_then(|index| self.list.get(index))) {
            return context.duplicate(&format!("the key `{}`", key.value), entry.at(key), first.span.clone());
        }
        let Some(object) = object else {
            self.by_key.insert(place, None);
            return;
        };
        let id = PrincipalId { tenant, object };
        if let Some(first) = self.by_id.get(&id).and_then(|index| self.list.get(*index)) {
            return context.duplicate(&format!("the object id `{object}`"), entry.at(declared.object_id), first.span.clone());
        }
        let key_text: Arc<str> = Arc::from(&*key.value);
        self.add(
            place,
            Person {
                id,
                name: declared.name.map_or_else(|| Arc::clone(&key_text), |name| Arc::from(&*name.value)),
                key: key_text,
                user_principal_name: declared.user_principal_name.map(|name| Arc::from(&*name.value)),
                kind: declared.kind,
                span: entry.at(key),
            },
        );
    }

    fn add(&mut self, place: (TenantId, String), person: Person) {
        let index = self.list.len();
        for name in std::iter::once(&person.name).chain(&person.user_principal_name) {
            self.by_name.entry((place.0, name.to_lowercase())).or_default().push(index);
        }
        self.by_key.insert(place, Some(index));
        self.by_id.insert(person.id, index);
        self.by_object.insert(person.id.object, index);
        self.list.push(person);
    }

    /// Memberships, from whichever side they were written.
    fn connect(&mut self, context: &mut Context<'_>) {
        let parsed = context.parsed;
        let mut edges = Vec::new();
        for entry in &parsed.users {
            let member = self.listed(context, &entry.body.tenant, &entry.body.object_id);
            edges.extend(self.joins(context, entry, member, &entry.body.groups));
        }
        for entry in &parsed.service_principals {
            let member = self.listed(context, &entry.body.tenant, &entry.body.object_id);
            edges.extend(self.joins(context, entry, member, &entry.body.groups));
        }
        for entry in &parsed.groups {
            let group = self.listed(context, &entry.body.tenant, &entry.body.object_id);
            edges.extend(self.joins(context, entry, group, &entry.body.groups));
            let Some(group) = group else { continue };
            for member in &entry.body.members {
                let member = self.resolve(context, group.tenant, entry.at(member), &member.value);
                edges.extend(member.map(|member| (member.id, group.object)));
            }
        }
        for (member, group) in edges {
            self.parents.entry(member).or_default().push(group);
        }
    }

    /// The groups that an entry says its principal is in.
    fn joins<B>(
        &self,
        context: &mut Context<'_>,
        entry: &Entry<B>,
        member: Option<PrincipalId>,
        groups: &[At<String>],
    ) -> Vec<(PrincipalId, ObjectId)> {
        let Some(member) = member else { return Vec::new() };
        let mut edges = Vec::with_capacity(groups.len());
        for group in groups {
            let Some(found) = self.resolve(context, member.tenant, entry.at(group), &group.value) else { continue };
            if found.kind == Some(PrincipalKind::Group) {
                edges.push((member, found.id.object));
            } else {
                let diagnostic = Diagnostic::error("principal.kind", format!("`{}` is not a group", group.value));
                context.push(diagnostic.at(entry.at(group), "name a [[group]] of the same tenant"));
            }
        }
        edges
    }

    fn listed(&self, context: &Context<'_>, tenant: &At<String>, object_id: &At<String>) -> Option<PrincipalId> {
        let id = PrincipalId { tenant: context.tenants.known(&tenant.value)?, object: object_id.value.parse().ok()? };
        self.by_id.contains_key(&id).then_some(id)
    }

    /// Everybody, in the order of the files.
    pub(super) fn list(&self) -> &[Person] {
        &self.list
    }

    /// Whose key this is.
    pub(super) fn by_key(&self, tenant: TenantId, key: &str) -> Known<'_> {
        match self.by_key.get(&(tenant, key.to_lowercase())) {
            Some(None) => Known::Broken,
            Some(Some(index)) => Known::As(self.list.get(*index)),
            None => Known::As(None),
        }
    }

    /// Everybody of this display or user principal name.
    pub(super) fn by_name(&self, tenant: TenantId, name: &str) -> impl Iterator<Item = &Person> {
        let indexes = self.by_name.get(&(tenant, name.to_lowercase()));
        indexes.into_iter().flatten().filter_map(|index| self.list.get(*index))
    }

    /// The principal of this id.
    pub(super) fn by_id(&self, id: PrincipalId) -> Option<&Person> {
        self.by_id.get(&id).and_then(|index| self.list.get(*index))
    }

    /// Somebody of this object id, in whatever tenant.
    pub(super) fn by_object(&self, object: ObjectId) -> Option<&Person> {
        self.by_object.get(&object).and_then(|index| self.list.get(*index))
    }

    /// Every group that a principal is in, directly or through other groups.
    pub(super) fn groups(&self, id: PrincipalId) -> Vec<ObjectId> {
        let mut found = HashSet::new();
        let mut next = vec![id.object];
        while let Some(object) = next.pop() {
            let parents = self.parents.get(&PrincipalId { tenant: id.tenant, object });
            next.extend(parents.into_iter().flatten().copied().filter(|group| found.insert(*group)));
        }
        // Groups may stand in a circle; nobody is a member of itself.
        found.remove(&id.object);
        let mut groups: Vec<_> = found.into_iter().collect();
        groups.sort_unstable();
        groups
    }

    pub(super) fn into_directory(self) -> Map<PrincipalId, Box<Principal>> {
        let principal = |person: &Person| Principal {
            id: person.id,
            key: Arc::clone(&person.key),
            name: Arc::clone(&person.name),
            user_principal_name: person.user_principal_name.clone(),
            kind: person.kind,
            groups: self.groups(person.id),
        };
        self.list.iter().map(|person| (person.id, Box::new(principal(person)))).collect()
    }
}
