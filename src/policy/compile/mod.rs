//! Entries to a directory snapshot: resolves every name, checks every rule, and reports all that is wrong.
//!
//! A snapshot comes out only when nothing was wrong anywhere; there is no half of one.

mod delegations;
mod denies;
mod grants;
mod issuers;
mod lint;
mod marketplace;
mod onboarding;
mod people;
mod places;
mod planes;
mod private_cloud;
mod references;
mod tenants;

use std::str::FromStr;
use std::sync::Arc;

use self::people::People;
use self::places::{Place, Places};
use self::references::Who;
use self::tenants::Tenants;
use super::LoadOptions;
use super::diagnostics::{Diagnostic, Diagnostics, Span, closest};
use super::file::At;
use super::parse::{Entry, Parsed};
use crate::delegation::SourceLocation;
use crate::delegation::roles::RoleCatalogue;
use crate::directory::Declared;
use crate::ids::TenantId;

/// Everything the parts of the compiler share. Each part comes after those it refers to; until then they are empty.
struct Context<'a> {
    parsed: &'a Parsed,
    options: &'a LoadOptions,
    roles: &'a RoleCatalogue,
    tenants: &'a Tenants,
    people: &'a People,
    places: &'a Places,
    diagnostics: &'a mut Diagnostics,
}

/// Makes a snapshot, unless `diagnostics` holds an error afterwards.
pub(super) fn compile(parsed: &Parsed, options: &LoadOptions, diagnostics: &mut Diagnostics) -> Option<Declared> {
    let roles = RoleCatalogue::builtin();
    let (tenants, people, places) = (Tenants::default(), People::default(), Places::default());
    let mut context = Context { parsed, options, roles: &roles, tenants: &tenants, people: &people, places: &places, diagnostics };
    let tenants = Tenants::compile(&mut context);
    let mut context = Context { tenants: &tenants, ..context };
    let people = People::compile(&mut context);
    let mut places = Places::compile(&mut context);
    let mut context = Context { people: &people, places: &places, ..context };
    let planes = planes::compile(&mut context);
    let mut grants = grants::assignments(&mut context);
    let onboarding = onboarding::compile(&mut context);
    let delegations = delegations::compile(&mut context, &onboarding, &mut grants);
    let marketplace = marketplace::compile(&mut context);
    let cloud = private_cloud::compile(&mut context);
    let denies = denies::compile(&mut context);
    lint::check(&mut context, &grants);
    context.diagnostics.set_grants(parsed.grants());
    if diagnostics.errors() > 0 {
        return None;
    }
    places.place_delegations(&delegations);
    places.place_denies(denies);
    let tenant_grants = places.place_grants(grants);
    Some(Declared {
        revision: options.revision,
        digest: diagnostics.sources().digest(),
        files: diagnostics.sources().files().len(),
        roles,
        planes: planes?,
        tenants: tenants.into_directory(),
        reach: places::reach(&places.subscriptions),
        subscriptions: places.subscriptions.into_iter().map(|(id, subscription)| (id, Arc::new(subscription))).collect(),
        management_groups: places.management_groups,
        principals: people.into_directory(),
        relations: delegations.iter().map(|delegation| (delegation.managing_tenant, delegation.customer)).collect(),
        places: places::of_delegations(&delegations),
        delegations,
        tenant_grants,
        onboarding,
        marketplace,
        private_cloud: cloud.private_cloud,
        plans: cloud.plans,
        add_ons: cloud.add_ons,
    })
}

impl Context<'_> {
    fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    fn location(&self, span: &Span) -> SourceLocation {
        match self.diagnostics.sources().files().get(span.file) {
            Some(file) => file.location(span.range.start),
            None => SourceLocation { file: "".into(), line: 0, column: 0 },
        }
    }

    /// An id, or a diagnostic about its form.
    fn id<T, B>(&mut self, entry: &Entry<B>, text: &At<String>) -> Option<T>
    where
        T: FromStr<Err: std::fmt::Display>,
    {
        match text.value.parse() {
            Ok(id) => Some(id),
            Err(cause) => {
                self.push(Diagnostic::error("id.form", format!("{cause}")).at(entry.at(text), "not a GUID"));
                None
            }
        }
    }

    /// The tenant of this key or id. `None` has been reported, here or where the tenant is declared.
    fn tenant(&mut self, span: Span, text: &str) -> Option<TenantId> {
        let tenants = self.tenants;
        let known = tenants.known(text);
        if known.is_none() && !tenants.declares(text) {
            let unknown = Unknown {
                code: "tenant.unknown",
                noun: "tenant",
                tables: &["tenant"],
                label: "no [[tenant]] has this key or id",
                help: "declare it with [[tenant]], or use one of the keys declared there",
            };
            self.unknown(&unknown, span, text, || closest(text, tenants.keys()));
        }
        known
    }

    /// The principal of `tenant` that a text names. `None` has been reported.
    fn principal(&mut self, tenant: TenantId, span: Span, text: &str) -> Option<Who> {
        let people = self.people;
        people.resolve(self, tenant, span, text)
    }

    /// The scope that a text names. `None` has been reported.
    fn place(&mut self, span: Span, text: &str) -> Option<Place> {
        let places = self.places;
        places.resolve(self, span, text)
    }

    /// Reports a name that leads nowhere, unless a table that may have held it could not be read.
    fn unknown<'n>(&mut self, what: &Unknown<'_>, span: Span, text: &str, suggest: impl FnOnce() -> Option<&'n str>) {
        if !self.parsed.complete(what.tables) {
            return;
        }
        let diagnostic = Diagnostic::error(what.code, format!("unknown {} `{text}`", what.noun)).at(span.clone(), what.label);
        let meant = if self.diagnostics.may_suggest() { suggest() } else { None };
        self.push(match meant {
            Some(name) => diagnostic.suggest(span, Some(format!("\"{name}\""))),
            None => diagnostic.help(what.help),
        });
    }

    fn duplicate(&mut self, what: &str, span: Span, first: Span) {
        let diagnostic = Diagnostic::error("name.duplicate", format!("{what} is given twice"));
        self.push(diagnostic.at(span, "again here").with(first, "first here"));
    }
}

/// What to say about a kind of name when it leads nowhere.
struct Unknown<'a> {
    code: &'static str,
    noun: &'a str,
    tables: &'a [&'a str],
    label: &'a str,
    help: &'a str,
}

#[cfg(test)]
mod tests;
