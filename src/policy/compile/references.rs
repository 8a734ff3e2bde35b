//! `who`: from what people write to a principal.

use std::sync::Arc;

use super::people::{Known, People, Person};
use super::{Context, Unknown};
use crate::directory::PrincipalKind;
use crate::ids::{ObjectId, PrincipalId, TenantId};
use crate::policy::diagnostics::{Diagnostic, Span, closest};

/// Somebody that an entry refers to.
#[derive(Debug, Clone)]
pub(super) struct Who {
    pub(super) id: PrincipalId,
    /// For people: the display name, or the object id of somebody who is not listed.
    pub(super) name: Arc<str>,
    /// Unknown for an object id that no file lists.
    pub(super) kind: Option<PrincipalKind>,
}

/// `[tenant/][user:|sp:|group:]word`.
struct Reference<'a> {
    tenant: Option<&'a str>,
    kind: Option<PrincipalKind>,
    word: &'a str,
}

impl People {
    /// The principal of `tenant` that a text names. `None` has been reported.
    pub(super) fn resolve(&self, context: &mut Context<'_>, tenant: TenantId, span: Span, text: &str) -> Option<Who> {
        let reference = Reference::read(text);
        if let Some(named) = reference.tenant {
            let named = context.tenant(span.clone(), named)?;
            if named != tenant {
                let diagnostic = wrong_tenant(context, text, named, tenant);
                context.push(diagnostic.at(span, "somebody of another tenant"));
                return None;
            }
        }
        self.find(context, tenant, span, &reference)
    }

    /// The same for a principal of any tenant; without `tenant/` before it, one of `home`.
    pub(super) fn resolve_anywhere(&self, context: &mut Context<'_>, home: TenantId, span: Span, text: &str) -> Option<Who> {
        let reference = Reference::read(text);
        let tenant = match reference.tenant {
            Some(named) => context.tenant(span.clone(), named)?,
            None => home,
        };
        self.find(context, tenant, span, &reference)
    }

    /// By key first, which is unique, then by name, then by object id.
    fn find(&self, context: &mut Context<'_>, tenant: TenantId, span: Span, reference: &Reference<'_>) -> Option<Who> {
        let Known::As(by_key) = self.by_key(tenant, reference.word) else { return None };
        if let Some(person) = by_key.filter(|person| reference.admits(person)) {
            return Some(person.who());
        }
        let named: Vec<_> = self.by_name(tenant, reference.word).filter(|person| reference.admits(person)).collect();
        match named.as_slice() {
            [person] => return Some(person.who()),
            [] => {}
            [_, ..] => {
                let message = format!("{} principals are called `{}`", named.len(), reference.word);
                let diagnostic = Diagnostic::error("principal.ambiguous", message).at(span, "which one?");
                context.push(diagnostic.help("use the key or the object id"));
                return None;
            }
        }
        if let Some(person) = by_key {
            refuse_kind(context, span, reference, person);
            return None;
        }
        match reference.word.parse() {
            Ok(object) => self.find_by_object_id(context, tenant, span, reference, object),
            Err(_) => {
                self.refuse_unknown(context, tenant, span, reference);
                None
            }
        }
    }

    fn find_by_object_id(
        &self,
        context: &mut Context<'_>,
        tenant: TenantId,
        span: Span,
        reference: &Reference<'_>,
        object: ObjectId,
    ) -> Option<Who> {
        let id = PrincipalId { tenant, object };
        match (self.by_id(id), self.by_object(object)) {
            (Some(person), _) if reference.admits(person) => Some(person.who()),
            (Some(person), _) => {
                refuse_kind(context, span, reference, person);
                None
            }
            (None, Some(person)) => {
                refuse_tenant(context, span, reference, person, tenant);
                None
            }
            // Not every member of a large tenant is listed here; a token will prove who it is.
            (None, None) => Some(Who { id, name: Arc::from(reference.word), kind: reference.kind }),
        }
    }

    fn refuse_unknown(&self, context: &mut Context<'_>, tenant: TenantId, span: Span, reference: &Reference<'_>) {
        if let Some(person) = self.list().iter().find(|person| person.id.tenant != tenant && person.is_called(reference.word)) {
            return refuse_tenant(context, span, reference, person, tenant);
        }
        let unknown = Unknown {
            code: "principal.unknown",
            noun: "principal",
            tables: &["user", "service_principal", "group", "tenant"],
            label: "nobody of this tenant has this key, name or object id",
            help: "declare it with [[user]], [[service_principal]] or [[group]], or use its object id",
        };
        let keys = self.list().iter().filter(|person| person.id.tenant == tenant).map(|person| &*person.key);
        context.unknown(&unknown, span, reference.word, || closest(reference.word, keys));
    }
}

impl Person {
    fn who(&self) -> Who {
        Who { id: self.id, name: Arc::clone(&self.name), kind: Some(self.kind) }
    }

    fn is_called(&self, word: &str) -> bool {
        let same = |name: &str| name.eq_ignore_ascii_case(word);
        same(&self.key) || same(&self.name) || self.user_principal_name.as_deref().is_some_and(same)
    }
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

    fn admits(&self, person: &Person) -> bool {
        self.kind.is_none_or(|kind| kind == person.kind)
    }
}

fn refuse_kind(context: &mut Context<'_>, span: Span, reference: &Reference<'_>, person: &Person) {
    let (kind, prefix) = match person.kind {
        PrincipalKind::Group => ("group", "group:"),
        PrincipalKind::ServicePrincipal => ("service principal", "sp:"),
        PrincipalKind::User => ("user", "user:"),
    };
    let diagnostic = Diagnostic::error("principal.kind", format!("`{}` is a {kind}", person.key)).at(span, "not what it says");
    context.push(diagnostic.with(person.span.clone(), "declared here").help(format!("write `{prefix}{}`", reference.word)));
}

fn refuse_tenant(context: &mut Context<'_>, span: Span, reference: &Reference<'_>, person: &Person, wanted: TenantId) {
    let diagnostic = wrong_tenant(context, reference.word, person.id.tenant, wanted).at(span, "somebody of another tenant");
    context.push(diagnostic.with(person.span.clone(), "declared here"));
}

fn wrong_tenant(context: &Context<'_>, who: &str, theirs: TenantId, wanted: TenantId) -> Diagnostic {
    let (theirs, wanted) = (context.tenants.display(theirs), context.tenants.display(wanted));
    Diagnostic::error("principal.tenant", format!("`{who}` belongs to {theirs}, not to {wanted}"))
}
