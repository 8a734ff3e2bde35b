//! Entries to a directory snapshot: resolves every name, checks every rule, and reports all that is wrong.
//!
//! A snapshot comes out only when nothing was wrong anywhere; there is no half of one.

mod delegations;
mod denies;
mod grants;
mod issuers;
mod lint;
mod people;
mod places;
mod planes;
mod tenants;

use std::str::FromStr;
use std::sync::Arc;

use super::LoadOptions;
use super::diagnostics::{Diagnostic, Diagnostics, Span, closest};
use super::file::At;
use super::parse::{Entry, Parsed};
use crate::delegation::SourceLocation;
use crate::delegation::roles::RoleCatalogue;
use crate::directory::Directory;

/// Everything the parts of the compiler share.
struct Context<'a> {
    parsed: &'a Parsed,
    options: &'a LoadOptions,
    roles: Arc<RoleCatalogue>,
    diagnostics: &'a mut Diagnostics,
}

/// Makes a snapshot, unless `diagnostics` holds an error afterwards.
pub(super) fn compile(parsed: &Parsed, options: &LoadOptions, diagnostics: &mut Diagnostics) -> Option<Directory> {
    let mut context = Context { parsed, options, roles: RoleCatalogue::builtin(), diagnostics };
    let tenants = tenants::Tenants::compile(&mut context);
    let people = people::People::compile(&mut context, &tenants);
    let mut places = places::Places::compile(&mut context, &tenants);
    let planes = planes::compile(&mut context);
    let mut written = grants::assignments(&mut context, &tenants, &people, &places);
    let delegations = delegations::compile(&mut context, &tenants, &people, &places);
    written.extend(delegations.written);
    let denies = denies::compile(&mut context, &tenants, &people, &places);
    lint::check(&mut context, &written, &people);
    context.diagnostics.set_grants(parsed.grants());
    if context.diagnostics.errors() > 0 {
        return None;
    }
    let relations = delegations.list.iter().map(|delegation| (delegation.managing_tenant, delegation.customer)).collect();
    places.place_delegations(&delegations.list);
    places.place_denies(denies);
    let tenant_grants = places.place_grants(written);
    Some(Directory {
        revision: options.revision,
        digest: context.diagnostics.sources().digest(),
        files: context.diagnostics.sources().files().len(),
        roles: context.roles,
        planes: planes?,
        tenants: tenants.into_directory(),
        subscriptions: places.subscriptions,
        management_groups: places.management_groups,
        principals: people.into_directory(),
        delegations: delegations.list,
        relations,
        tenant_grants,
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

    /// Reports a name that leads nowhere, unless a table that may have held it could not be read.
    fn unknown<'n>(&mut self, what: &Unknown<'_>, span: Span, text: &str, known: impl IntoIterator<Item = &'n str>) {
        if !self.parsed.complete(what.tables) {
            return;
        }
        let suggestion = closest(text, known).map(|name| format!("\"{name}\""));
        let mut diagnostic = Diagnostic::error(what.code, format!("unknown {} `{text}`", what.noun)).at(span.clone(), what.label);
        if suggestion.is_none() {
            diagnostic = diagnostic.help(what.help);
        }
        self.push(diagnostic.suggest(span, suggestion));
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
