//! `[[user]]`, `[[service_principal]]`, `[[group]]`: who can be named, and which groups everybody is in.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::tenants::Tenants;
use super::{Context, Unknown};
use crate::directory::{Principal, PrincipalKind};
use crate::ids::{ObjectId, PrincipalId, TenantId};
use crate::policy::diagnostics::{Diagnostic, Span};
use crate::policy::file::{self, At};
use crate::policy::parse::Entry;

/// Somebody that an entry refers to.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) id: PrincipalId,
    /// For people: the display name, or the reference itself when the principal is not listed.
    pub(super) name: Arc<str>,
    /// Unknown for an object id that no file lists.
    pub(super) kind: Option<PrincipalKind>,
}

/// The principals of a set.
#[derive(Debug, Default)]
pub(super) struct People {
    list: Vec<Person>,
    by_id: HashMap<PrincipalId, usize>,
    /// Keys in lower case; `None` for one whose object id is broken.
    by_key: HashMap<(TenantId, String), Option<usize>>,
    /// Display names and user principal names in lower case; several may share one.
    by_name: HashMap<(TenantId, String), Vec<usize>>,
    /// Groups that a principal is directly in.
    parents: HashMap<PrincipalId, Vec<ObjectId>>,
}

#[derive(Debug)]
struct Person {
    id: PrincipalId,
    key: Arc<str>,
    name: Arc<str>,
    user_principal_name: Option<Arc<str>>,
    kind: PrincipalKind,
    span: Span,
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

/// The tables a principal may stand in.
const TABLES: [&str; 4] = ["user", "service_principal", "group", "tenant"];

impl People {
    pub(super) fn compile(context: &mut Context<'_>, tenants: &Tenants) -> Self {
        let parsed = context.parsed;
        let mut people = Self::default();
        for entry in &parsed.users {
            let file::User { key, object_id, tenant, name, user_principal_name, groups: _ } = &entry.body;
            let (name, user_principal_name) = (name.as_ref(), user_principal_name.as_ref());
            let declared = Declared { kind: PrincipalKind::User, key, object_id, tenant, name, user_principal_name };
            people.declare(context, tenants, entry, &declared);
        }
        for entry in &parsed.service_principals {
            let file::ServicePrincipal { key, object_id, tenant, name, groups: _ } = &entry.body;
            let kind = PrincipalKind::ServicePrincipal;
            let declared = Declared { kind, key, object_id, tenant, name: name.as_ref(), user_principal_name: None };
            people.declare(context, tenants, entry, &declared);
        }
        for entry in &parsed.groups {
            let file::Group { key, object_id, tenant, name, members: _, groups: _ } = &entry.body;
            let declared = Declared { kind: PrincipalKind::Group, key, object_id, tenant, name: name.as_ref(), user_principal_name: None };
            people.declare(context, tenants, entry, &declared);
        }
        people.connect(context, tenants);
        people
    }

    fn declare<B>(&mut self, context: &mut Context<'_>, tenants: &Tenants, entry: &Entry<B>, declared: &Declared<'_>) {
        let key = declared.key;
        if key.value.is_empty() || key.value.contains(['/', ':']) {
            let diagnostic = Diagnostic::error("key.form", format!("`{}` cannot be a key", key.value));
            context.push(diagnostic.at(entry.at(key), "neither empty nor with `/` or `:`"));
        }
        let object = context.id::<ObjectId, _>(entry, declared.object_id);
        let Some(tenant) = tenants.resolve(context, entry.at(declared.tenant), &declared.tenant.value) else { return };
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
        self.add(
            place,
            Person {
                id,
                key: Arc::from(&*key.value),
                name: Arc::from(&*declared.name.unwrap_or(key).value),
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
        self.list.push(person);
    }

    /// Memberships, from whichever side they were written.
    fn connect(&mut self, context: &mut Context<'_>, tenants: &Tenants) {
        let parsed = context.parsed;
        let mut edges = Vec::new();
        for entry in &parsed.users {
            self.joins(context, tenants, entry, (&entry.body.tenant, &entry.body.object_id), &entry.body.groups, &mut edges);
        }
        for entry in &parsed.service_principals {
            self.joins(context, tenants, entry, (&entry.body.tenant, &entry.body.object_id), &entry.body.groups, &mut edges);
        }
        for entry in &parsed.groups {
            self.joins(context, tenants, entry, (&entry.body.tenant, &entry.body.object_id), &entry.body.groups, &mut edges);
            let Some(group) = self.listed(tenants, &entry.body.tenant, &entry.body.object_id) else { continue };
            for member in &entry.body.members {
                let member = self.resolve(context, tenants, group.tenant, entry.at(member), &member.value);
                edges.extend(member.map(|member| (member.id, group.object)));
            }
        }
        for (member, group) in edges {
            self.parents.entry(member).or_default().push(group);
        }
    }

    fn joins<B>(
        &self,
        context: &mut Context<'_>,
        tenants: &Tenants,
        entry: &Entry<B>,
        (tenant, object_id): (&At<String>, &At<String>),
        groups: &[At<String>],
        edges: &mut Vec<(PrincipalId, ObjectId)>,
    ) {
        let Some(member) = self.listed(tenants, tenant, object_id) else { return };
        for group in groups {
            let Some(found) = self.resolve(context, tenants, member.tenant, entry.at(group), &group.value) else { continue };
            if found.kind != Some(PrincipalKind::Group) {
                let diagnostic = Diagnostic::error("principal.kind", format!("`{}` is not a group", group.value));
                context.push(diagnostic.at(entry.at(group), "name a [[group]] of the same tenant"));
                continue;
            }
            edges.push((member, found.id.object));
        }
    }

    fn listed(&self, tenants: &Tenants, tenant: &At<String>, object_id: &At<String>) -> Option<PrincipalId> {
        let id = PrincipalId { tenant: tenants.known(&tenant.value)?, object: object_id.value.parse().ok()? };
        self.by_id.contains_key(&id).then_some(id)
    }

    /// The principal of `tenant` that a text names. `None` has been reported.
    pub(super) fn resolve(&self, context: &mut Context<'_>, tenants: &Tenants, tenant: TenantId, span: Span, text: &str) -> Option<Who> {
        let reference = Reference::read(text);
        if let Some(named) = reference.tenant
            && tenants.resolve(context, span.clone(), named)? != tenant
        {
            let theirs = tenants.known(named).map_or(named, |named| tenants.display(named));
            context.push(wrong_tenant(text, theirs, tenants.display(tenant)).at(span, "somebody of another tenant"));
            return None;
        }
        self.find(context, tenants, tenant, span, &reference)
    }

    /// The same for a principal of any tenant; without `tenant/` before it, one of `home`.
    pub(super) fn resolve_anywhere(
        &self,
        context: &mut Context<'_>,
        tenants: &Tenants,
        home: TenantId,
        span: Span,
        text: &str,
    ) -> Option<Who> {
        let reference = Reference::read(text);
        let tenant = match reference.tenant {
            Some(named) => tenants.resolve(context, span.clone(), named)?,
            None => home,
        };
        self.find(context, tenants, tenant, span, &reference)
    }

    fn find(&self, context: &mut Context<'_>, tenants: &Tenants, tenant: TenantId, span: Span, reference: &Reference<'_>) -> Option<Who> {
        let word = reference.word.to_lowercase();
        let of_kind = |index: &usize| {
            let person = self.list.get(*index)?;
            reference.kind.is_none_or(|kind| kind == person.kind).then_some(person)
        };
        match self.by_key.get(&(tenant, word.clone())) {
            Some(None) => return None,
            Some(Some(index)) => {
                if let Some(person) = of_kind(index) {
                    return Some(person.who());
                }
                self.refuse_kind(context, span, reference, *index);
                return None;
            }
            None => {}
        }
        let named: Vec<_> = self.by_name.get(&(tenant, word)).into_iter().flatten().filter_map(of_kind).collect();
        match named.as_slice() {
            [] => self.find_by_object_id(context, tenants, tenant, span, reference),
            [person] => Some(person.who()),
            [_, ..] => {
                let message = format!("{} principals are called `{}`", named.len(), reference.word);
                let diagnostic = Diagnostic::error("principal.ambiguous", message).at(span, "which one?");
                context.push(diagnostic.help("use the key or the object id"));
                None
            }
        }
    }

    fn refuse_kind(&self, context: &mut Context<'_>, span: Span, reference: &Reference<'_>, index: usize) {
        let Some(person) = self.list.get(index) else { return };
        let (kind, prefix) = match person.kind {
            PrincipalKind::Group => ("group", "group:"),
            PrincipalKind::ServicePrincipal => ("service principal", "sp:"),
            PrincipalKind::User => ("user", "user:"),
        };
        let diagnostic = Diagnostic::error("principal.kind", format!("`{}` is a {kind}", person.key)).at(span, "not what it says");
        context.push(diagnostic.with(person.span.clone(), "declared here").help(format!("write `{prefix}{}`", reference.word)));
    }

    fn find_by_object_id(
        &self,
        context: &mut Context<'_>,
        tenants: &Tenants,
        tenant: TenantId,
        span: Span,
        reference: &Reference<'_>,
    ) -> Option<Who> {
        let elsewhere = self.list.iter().find(|person| person.id.tenant != tenant && person.answers_to(reference));
        if let Ok(object) = reference.word.parse::<ObjectId>() {
            let id = PrincipalId { tenant, object };
            if let Some(person) = self.by_id.get(&id).and_then(|index| self.list.get(*index)) {
                return Some(person.who());
            }
            if elsewhere.is_none() {
                // Not every member of a large tenant is listed here; its token will prove who it is.
                return Some(Who { id, name: Arc::from(reference.word), kind: reference.kind });
            }
        }
        if let Some(person) = elsewhere {
            let diagnostic = wrong_tenant(reference.word, tenants.display(person.id.tenant), tenants.display(tenant));
            let diagnostic = diagnostic.at(span, "somebody of another tenant").with(person.span.clone(), "declared here");
            context.push(diagnostic);
            return None;
        }
        let unknown = Unknown {
            code: "principal.unknown",
            noun: "principal",
            tables: &TABLES,
            label: "nobody of this tenant has this key, name or object id",
            help: "declare it with [[user]], [[service_principal]] or [[group]], or use its object id",
        };
        let keys = self.list.iter().filter(|person| person.id.tenant == tenant).map(|person| &*person.key);
        context.unknown(&unknown, span, reference.word, keys);
        None
    }

    /// Every group that a principal is in, directly or through other groups.
    pub(super) fn groups(&self, id: PrincipalId) -> Vec<ObjectId> {
        let mut found = HashSet::new();
        let mut next = vec![id.object];
        while let Some(object) = next.pop() {
            let parents = self.parents.get(&PrincipalId { tenant: id.tenant, object });
            next.extend(parents.into_iter().flatten().copied().filter(|group| found.insert(*group)));
        }
        let mut groups: Vec<_> = found.into_iter().collect();
        groups.sort_unstable();
        groups
    }

    pub(super) fn into_directory(self) -> HashMap<PrincipalId, Principal, foldhash::fast::RandomState> {
        let principal = |person: &Person| Principal {
            id: person.id,
            key: Arc::clone(&person.key),
            name: Arc::clone(&person.name),
            user_principal_name: person.user_principal_name.clone(),
            kind: person.kind,
            groups: self.groups(person.id),
        };
        self.list.iter().map(|person| (person.id, principal(person))).collect()
    }
}

impl Person {
    fn who(&self) -> Who {
        Who { id: self.id, name: Arc::clone(&self.name), kind: Some(self.kind) }
    }

    fn answers_to(&self, reference: &Reference<'_>) -> bool {
        let same = |name: &str| name.eq_ignore_ascii_case(reference.word);
        let named = same(&self.key) || same(&self.name) || self.user_principal_name.as_deref().is_some_and(same);
        named || reference.word.parse().is_ok_and(|object: ObjectId| object == self.id.object)
    }
}

fn wrong_tenant(who: &str, theirs: &str, wanted: &str) -> Diagnostic {
    Diagnostic::error("principal.tenant", format!("`{who}` belongs to {theirs}, not to {wanted}"))
}

/// `[tenant/][user:|sp:|group:]word`.
struct Reference<'a> {
    tenant: Option<&'a str>,
    kind: Option<PrincipalKind>,
    word: &'a str,
}

impl<'a> Reference<'a> {
    fn read(text: &'a str) -> Self {
        let (tenant, rest) = text.split_once('/').map_or((None, text), |(tenant, rest)| (Some(tenant), rest));
        let (kind, word) = match rest.split_once(':') {
            Some(("user", word)) => (Some(PrincipalKind::User), word),
            Some(("sp", word)) => (Some(PrincipalKind::ServicePrincipal), word),
            Some(("group", word)) => (Some(PrincipalKind::Group), word),
            Some(_) | None => (None, rest),
        };
        Self { tenant, kind, word }
    }
}
