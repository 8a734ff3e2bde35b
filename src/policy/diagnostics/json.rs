//! The same for programs: `steward.check/1`. It grows only by adding.

use serde::Serialize;

use super::{Diagnostic, Diagnostics, Label, Severity, Span};
use crate::delegation::SourceLocation;

/// One set of policy files and what is wrong in it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: &'static str,
    folder: String,
    files: usize,
    grants: usize,
    errors: usize,
    warnings: usize,
    diagnostics: Vec<Item<'a>>,
}

#[derive(Debug, Serialize)]
struct Item<'a> {
    code: &'static str,
    severity: Severity,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Place<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related: Vec<Place<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<Suggestion<'a>>,
}

#[derive(Debug, Serialize)]
struct Place<'a> {
    #[serde(flatten)]
    start: SourceLocation,
    end: End,
    label: &'a str,
}

#[derive(Debug, Serialize)]
struct End {
    line: u32,
    column: u32,
}

#[derive(Debug, Serialize)]
struct Suggestion<'a> {
    #[serde(flatten)]
    start: SourceLocation,
    end: End,
    replacement: &'a str,
}

impl Diagnostics {
    /// All of them as one JSON document of schema `steward.check/1`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let report = Report {
            schema: "steward.check/1",
            folder: self.sources().folder().to_string_lossy().into_owned(),
            files: self.sources().files().len(),
            grants: self.grants.unwrap_or_default(),
            errors: self.errors(),
            warnings: self.warnings(),
            diagnostics: self.list().iter().map(|diagnostic| self.item(diagnostic)).collect(),
        };
        serde_json::to_value(report).unwrap_or_default()
    }

    fn item<'a>(&'a self, diagnostic: &'a Diagnostic) -> Item<'a> {
        let place = |label: &'a Label| {
            let (start, end) = self.ends(&label.span)?;
            Some(Place { start, end, label: &label.text })
        };
        let suggestion = diagnostic.patch.as_ref().and_then(|patch| {
            let (start, end) = self.ends(&patch.span)?;
            Some(Suggestion { start, end, replacement: &patch.replacement })
        });
        Item {
            code: diagnostic.code,
            severity: diagnostic.severity,
            message: &diagnostic.message,
            at: diagnostic.primary.as_ref().and_then(place),
            related: diagnostic.secondary.iter().filter_map(place).collect(),
            help: diagnostic.help.as_deref(),
            suggestion,
        }
    }

    fn ends(&self, span: &Span) -> Option<(SourceLocation, End)> {
        let file = self.sources().files().get(span.file)?;
        let end = file.location(span.range.end);
        Some((file.location(span.range.start), End { line: end.line, column: end.column }))
    }
}
