//! `[[data_plane]]`: hosts that belong to a resource and are never reachable.

use super::Context;
use crate::arm::planes::{PlaneError, PlaneRule, Planes};
use crate::policy::diagnostics::{Diagnostic, Span};
use crate::policy::file::DataPlane;
use crate::policy::parse::Entry;

/// The rules of a set. `None` has been reported.
pub(super) fn compile(context: &mut Context<'_>) -> Option<Planes> {
    let parsed = context.parsed;
    let mut suffixes = std::collections::HashMap::new();
    let mut rules = Vec::with_capacity(parsed.data_planes.len());
    for entry in &parsed.data_planes {
        if let Some(suffix) = &entry.body.suffix
            && let Some(first) = suffixes.insert(suffix.value.as_str(), entry.at(suffix))
        {
            context.duplicate(&format!("the suffix `{}`", suffix.value), entry.at(suffix), first);
            continue;
        }
        rules.extend(rule(context, entry));
    }
    match Planes::new(rules) {
        Ok(planes) => Some(planes),
        Err(problem) => {
            context.push(Diagnostic::error("plane.rule", problem.to_string()));
            None
        }
    }
}

fn rule(context: &mut Context<'_>, entry: &Entry<DataPlane>) -> Option<PlaneRule> {
    let DataPlane { suffix, pattern, service, hint } = &entry.body;
    let hint = hint.as_deref();
    let (span, rule) = match (suffix, pattern) {
        (Some(suffix), None) => (entry.at(suffix), PlaneRule::suffix(&suffix.value, service, hint)),
        (None, Some(pattern)) => (entry.at(pattern), PlaneRule::pattern(&pattern.value, service, hint)),
        (Some(_), Some(_)) | (None, None) => {
            let diagnostic = Diagnostic::error("plane.rule", "a rule has either `suffix` or `pattern`");
            context.push(diagnostic.at(entry.span(), "one of the two"));
            return None;
        }
    };
    let rule = rule.and_then(|rule| {
        rule.check_against(context.options.management_hosts.iter().map(String::as_str))?;
        Ok(rule)
    });
    rule.map_err(|problem| context.push(refused(&problem, span))).ok()
}

fn refused(problem: &PlaneError, span: Span) -> Diagnostic {
    let detail = std::error::Error::source(problem).map(|cause| cause.to_string()).unwrap_or_default();
    let label = detail.lines().last().map(|line| line.trim_start_matches("error: ").to_owned()).unwrap_or_default();
    Diagnostic::error("plane.rule", problem.to_string()).at(span, label)
}
