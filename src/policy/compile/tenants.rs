//! `[[tenant]]`: customers and service providers.

use std::collections::HashMap;
use std::sync::Arc;

use super::issuers::Issuers;
use super::{Context, Unknown};
use crate::directory::{Tenant, TokenIssuer};
use crate::ids::TenantId;
use crate::policy::diagnostics::{Diagnostic, Span, closest};
use crate::policy::file::{self, At};
use crate::policy::parse::Entry;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// The tenants of a set. A key whose id is broken is known all the same, so that nobody calls it unknown.
#[derive(Debug, Default)]
pub(super) struct Tenants {
    by_key: Map<String, (Span, Option<TenantId>)>,
    spans: Map<TenantId, Span>,
    list: Map<TenantId, Box<Tenant>>,
}

impl Tenants {
    pub(super) fn compile(context: &mut Context<'_>) -> Self {
        let issuers = Issuers::compile(context);
        let mut tenants = Self::default();
        let mut owners = Owners::default();
        let parsed = context.parsed;
        for entry in &parsed.tenants {
            let id = context.id::<TenantId, _>(entry, &entry.body.id);
            tenants.name(context, entry, id);
            let Some(id) = id else { continue };
            if let Some(first) = tenants.spans.get(&id) {
                context.duplicate(&format!("the tenant `{id}`"), entry.at(&entry.body.id), first.clone());
                continue;
            }
            let issuer = issuer(context, entry, &issuers, id);
            owners.claim(context, entry, issuer.as_ref());
            tenants.spans.insert(id, entry.at(&entry.body.id));
            tenants.list.insert(id, Box::new(tenant(context, entry, id, issuer)));
        }
        tenants
    }

    fn name(&mut self, context: &mut Context<'_>, entry: &Entry<file::Tenant>, id: Option<TenantId>) {
        let key = &entry.body.key;
        if key.value.is_empty() || key.value.contains(['/', ':']) {
            let diagnostic = Diagnostic::error("key.form", format!("`{}` cannot be a key", key.value));
            context.push(diagnostic.at(entry.at(key), "neither empty nor with `/` or `:`"));
        }
        if let Some((first, _)) = self.by_key.get(&key.value) {
            return context.duplicate(&format!("the key `{}`", key.value), entry.at(key), first.clone());
        }
        self.by_key.insert(key.value.clone(), (entry.at(key), id));
    }

    /// Whether a tenant has this key, if only one whose id is broken.
    pub(super) fn declares(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    /// The keys, for suggestions.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.by_key.keys().map(String::as_str)
    }

    /// The tenant of this key or id, without a word about it when there is none.
    pub(super) fn known(&self, text: &str) -> Option<TenantId> {
        let by_id = || text.parse().ok().filter(|id| self.list.contains_key(id));
        self.by_key.get(text).map_or_else(by_id, |(_, id)| *id)
    }

    /// The display name, for messages.
    pub(super) fn display(&self, id: TenantId) -> &str {
        self.list.get(&id).map_or("another tenant", |tenant| &tenant.name)
    }

    pub(super) fn into_directory(self) -> Map<TenantId, Box<Tenant>> {
        self.list
    }
}

fn tenant(context: &Context<'_>, entry: &Entry<file::Tenant>, id: TenantId, issuer: Option<TokenIssuer>) -> Tenant {
    Tenant {
        id,
        key: Arc::from(&*entry.body.key.value),
        name: Arc::from(&*entry.body.name),
        domains: entry.body.domains.iter().map(|domain| domain.value.to_ascii_lowercase()).collect(),
        issuers: issuer.into_iter().collect(),
        suspended: entry.body.suspended,
        defined_at: context.location(&entry.span()),
    }
}

fn issuer(context: &mut Context<'_>, entry: &Entry<file::Tenant>, issuers: &Issuers, id: TenantId) -> Option<TokenIssuer> {
    let key = entry.body.issuer.as_ref()?;
    if issuers.declares(&key.value) {
        return issuers.for_tenant(&key.value, id);
    }
    let unknown = Unknown {
        code: "issuer.unknown",
        noun: "issuer",
        tables: &["issuer"],
        label: "no [[issuer]] has this key",
        help: "declare it with [[issuer]], or leave it out: then nobody of the tenant can sign in",
    };
    context.unknown(&unknown, entry.at(key), &key.value, || closest(&key.value, issuers.keys()));
    None
}

/// Who a domain and a value of `iss` belong to.
#[derive(Debug, Default)]
struct Owners {
    domains: Map<String, Span>,
    issuer_names: Map<String, Span>,
}

impl Owners {
    fn claim(&mut self, context: &mut Context<'_>, entry: &Entry<file::Tenant>, issuer: Option<&TokenIssuer>) {
        for domain in &entry.body.domains {
            self.claim_domain(context, entry, domain);
        }
        let (Some(issuer), Some(key)) = (issuer, &entry.body.issuer) else { return };
        for name in &issuer.names {
            // A name that stands for two tenants would let one speak for the other.
            if let Some(first) = self.issuer_names.insert(name.clone(), entry.at(key)) {
                let diagnostic = Diagnostic::error("issuer.shared", format!("tokens of `{name}` would count for two tenants"));
                let diagnostic = diagnostic.at(entry.at(key), "for this one").with(first, "and for this one");
                context.push(diagnostic.help("put {tenant} into the names of the issuer, or give each tenant its own"));
            }
        }
    }

    fn claim_domain(&mut self, context: &mut Context<'_>, entry: &Entry<file::Tenant>, domain: &At<String>) {
        if let Some(first) = self.domains.insert(domain.value.to_ascii_lowercase(), entry.at(domain)) {
            context.duplicate(&format!("the domain `{}`", domain.value), entry.at(domain), first);
        }
    }
}
