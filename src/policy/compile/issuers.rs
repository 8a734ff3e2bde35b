//! `[[issuer]]`: who signs the tokens of a tenant.

use std::collections::HashMap;
use std::sync::Arc;

use hyper::Uri;

use super::Context;
use crate::directory::{KeySource, SignatureAlgorithm, TokenIssuer};
use crate::ids::TenantId;
use crate::policy::diagnostics::{Diagnostic, Span};
use crate::policy::file::{At, Issuer, IssuerKind};
use crate::policy::parse::Entry;

/// Seconds that clocks may differ when the file does not say: a virtual machine that was paused is off by less.
const LEEWAY_S: u8 = 30;
/// More would keep revoked people in for longer than anybody expects.
const LEEWAY_S_MAX: u8 = 60;
/// Stands for the id of the tenant in URLs and names.
const TENANT: &str = "{tenant}";

/// The issuers of a set, by key; those that cannot be used are `None`, so that nobody calls them unknown.
#[derive(Debug, Default)]
pub(super) struct Issuers {
    by_key: HashMap<String, (Span, Option<Template>)>,
}

/// An issuer before the tenant is filled in.
#[derive(Debug)]
struct Template {
    names: Vec<String>,
    authority: String,
    keys: KeySource,
    algorithms: Vec<SignatureAlgorithm>,
    leeway_s: u8,
}

impl Issuers {
    pub(super) fn compile(context: &mut Context<'_>) -> Self {
        let mut issuers = Self::default();
        let parsed = context.parsed;
        for entry in &parsed.issuers {
            let template = template(context, entry);
            let key = &entry.body.key;
            if let Some((first, _)) = issuers.by_key.get(&key.value) {
                context.duplicate(&format!("the key `{}`", key.value), entry.at(key), first.clone());
                continue;
            }
            issuers.by_key.insert(key.value.clone(), (entry.at(key), template));
        }
        issuers
    }

    /// The keys, for suggestions.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.by_key.keys().map(String::as_str)
    }

    /// Whether an issuer has this key, if only one that cannot be used.
    pub(super) fn declares(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    /// The issuer of this key, with the tenant filled in.
    pub(super) fn for_tenant(&self, key: &str, tenant: TenantId) -> Option<TokenIssuer> {
        let (_, template) = self.by_key.get(key)?;
        template.as_ref().map(|template| template.fill(tenant))
    }
}

impl Template {
    fn fill(&self, tenant: TenantId) -> TokenIssuer {
        let tenant = tenant.to_string();
        let fill = |text: &String| text.replace(TENANT, &tenant);
        let keys = match &self.keys {
            KeySource::Discovery(url) => KeySource::Discovery(fill(url)),
            KeySource::KeySetUrl(url) => KeySource::KeySetUrl(fill(url)),
            KeySource::File(path) => KeySource::File(path.clone()),
            KeySource::Inline(text) => KeySource::Inline(Arc::clone(text)),
        };
        TokenIssuer {
            names: self.names.iter().map(fill).collect(),
            authority: Some(fill(&self.authority)),
            keys,
            algorithms: self.algorithms.clone(),
            leeway_s: self.leeway_s,
        }
    }
}

fn template(context: &mut Context<'_>, entry: &Entry<Issuer>) -> Option<Template> {
    refuse_foreign_keys(context, entry);
    let algorithms = algorithms(context, entry);
    let leeway_s = leeway_s(context, entry);
    if entry.body.kind.value == IssuerKind::Demo {
        let base = demo_base(context, entry)?;
        return Some(Template {
            names: vec![format!("{base}/{TENANT}/"), format!("{base}/{TENANT}/v2.0")],
            authority: format!("{base}/{TENANT}"),
            keys: KeySource::Discovery(format!("{base}/{TENANT}/v2.0/.well-known/openid-configuration")),
            algorithms,
            leeway_s,
        });
    }
    let keys = key_source(context, entry);
    let names = names(context, entry);
    let authority = entry.body.authority.as_ref();
    if authority.is_none() {
        context.push(missing(entry, "authority", "the URL that clients are told to sign in at"));
    }
    let authority = authority.and_then(|url| checked_url(context, entry, url));
    Some(Template { names: names?, authority: authority?, keys: keys?, algorithms, leeway_s })
}

fn demo_base(context: &mut Context<'_>, entry: &Entry<Issuer>) -> Option<String> {
    if let Some(base) = &context.options.demo_issuer {
        return Some(base.trim_end_matches('/').to_owned());
    }
    let diagnostic = Diagnostic::error("issuer.demo", "there is no demo issuer in this process");
    let diagnostic = diagnostic.at(entry.at(&entry.body.kind), "only `steward demo` has one");
    context.push(diagnostic.help("give the issuer of your tenants: kind = \"discovery\" with url, names and authority"));
    None
}

/// A key that the kind does not read would look as if it had an effect.
fn refuse_foreign_keys(context: &mut Context<'_>, entry: &Entry<Issuer>) {
    let issuer = &entry.body;
    let kind = issuer.kind.value;
    let by_url = matches!(kind, IssuerKind::Discovery | IssuerKind::Jwks);
    let is_demo = kind == IssuerKind::Demo;
    let foreign = [
        ("url", issuer.url.as_ref().filter(|_| !by_url)),
        ("path", issuer.path.as_ref().filter(|_| kind != IssuerKind::File)),
        ("names", issuer.names.first().filter(|_| is_demo)),
        ("authority", issuer.authority.as_ref().filter(|_| is_demo)),
    ];
    for (key, value) in foreign {
        if let Some(value) = value {
            let diagnostic = Diagnostic::error("issuer.kind", format!("an issuer of this kind has no `{key}`"));
            context.push(diagnostic.at(entry.at(value), "without effect").with(entry.at(&issuer.kind), "because of the kind"));
        }
    }
}

fn key_source(context: &mut Context<'_>, entry: &Entry<Issuer>) -> Option<KeySource> {
    let issuer = &entry.body;
    let (key, value) = match issuer.kind.value {
        IssuerKind::Discovery | IssuerKind::Demo | IssuerKind::Jwks => ("url", &issuer.url),
        IssuerKind::File => ("path", &issuer.path),
    };
    let Some(value) = value else {
        context.push(missing(entry, key, "where the public keys are"));
        return None;
    };
    match issuer.kind.value {
        IssuerKind::Discovery | IssuerKind::Demo => checked_url(context, entry, value).map(KeySource::Discovery),
        IssuerKind::Jwks => checked_url(context, entry, value).map(KeySource::KeySetUrl),
        IssuerKind::File => Some(KeySource::File(context.diagnostics.sources().folder().join(&value.value))),
    }
}

fn names(context: &mut Context<'_>, entry: &Entry<Issuer>) -> Option<Vec<String>> {
    if entry.body.names.is_empty() {
        context.push(missing(entry, "names", "the accepted values of the claim `iss`"));
        return None;
    }
    Some(entry.body.names.iter().map(|name| name.value.clone()).collect())
}

fn algorithms(context: &mut Context<'_>, entry: &Entry<Issuer>) -> Vec<SignatureAlgorithm> {
    let Some(algorithms) = &entry.body.algorithms else {
        return vec![SignatureAlgorithm::Rs256];
    };
    if algorithms.value.is_empty() {
        let diagnostic = Diagnostic::error("issuer.algorithms", "no signature algorithm is accepted");
        context.push(diagnostic.at(entry.at(algorithms), "nobody can sign in").help("leave the key out to accept RS256"));
    }
    algorithms.value.iter().copied().map(SignatureAlgorithm::from).collect()
}

fn leeway_s(context: &mut Context<'_>, entry: &Entry<Issuer>) -> u8 {
    let Some(written) = &entry.body.leeway_s else { return LEEWAY_S };
    match u8::try_from(written.value) {
        Ok(leeway_s) if leeway_s <= LEEWAY_S_MAX => leeway_s,
        Ok(_) | Err(_) => {
            let diagnostic = Diagnostic::error("issuer.leeway", format!("leeway_s is {}; allowed: 0 to {LEEWAY_S_MAX}", written.value));
            context.push(diagnostic.at(entry.at(written), "seconds"));
            LEEWAY_S
        }
    }
}

/// Refuses what is not a URL, and plain `http` beyond this machine: whoever can change the keys on the way can be anybody.
fn checked_url(context: &mut Context<'_>, entry: &Entry<Issuer>, url: &At<String>) -> Option<String> {
    const ANY_TENANT: &str = "00000000-0000-0000-0000-000000000000";
    let problem = match url.value.replace(TENANT, ANY_TENANT).parse::<Uri>() {
        Ok(uri) => match (uri.scheme_str(), uri.host()) {
            (Some("https"), Some(_)) => return Some(url.value.clone()),
            (Some("http"), Some(host)) if is_loopback(host) => return Some(url.value.clone()),
            (Some("http"), Some(_)) => "http is allowed to this machine only; use https".to_owned(),
            (_, _) => "not an absolute https URL".to_owned(),
        },
        Err(cause) => format!("not a URL: {cause}"),
    };
    context.push(Diagnostic::error("issuer.url", format!("`{}` cannot be used", url.value)).at(entry.at(url), problem));
    None
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

fn missing(entry: &Entry<Issuer>, key: &str, meaning: &str) -> Diagnostic {
    let diagnostic = Diagnostic::error("issuer.kind", format!("this issuer needs `{key}`: {meaning}"));
    diagnostic.at(entry.span(), "").with(entry.at(&entry.body.kind), "because of the kind")
}
