//! What is wrong in policy files, where, and what to do: collected for a whole set, then rendered for people or programs.
//!
//! A code such as `role.unknown` is a promise: scripts and `docs/policies.md` name it. Nothing here reads files.

mod json;
mod render;

use std::ops::Range;

pub use render::Style;

use crate::policy::source::SourceSet;

/// How many diagnostics of one set are kept; the rest are only counted. A person reads a page at a time.
pub const DIAGNOSTICS_MAX: usize = 1_000;

/// Diagnostics of one set after which nothing more is suggested. A misspelled role is compared with every built-in one, and
/// a set with a misspelling in each of its entries must not keep a reload busy.
pub const SUGGESTIONS_MAX: usize = 100;

/// Whether a set with this diagnostic can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but probably means something else.
    Warning,
}

/// A place in one of the files of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Position of the file in its [`SourceSet`].
    pub file: usize,
    /// Bytes, from and until.
    pub range: Range<usize>,
}

/// A place and what is to be said about it.
#[derive(Debug, Clone)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is said; may be empty.
    pub text: String,
}

/// Text that should stand in place of other text.
#[derive(Debug, Clone)]
pub struct Patch {
    /// What is replaced.
    pub span: Span,
    /// By what.
    pub replacement: String,
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Stable name of the rule: `role.unknown`.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// One line, lower case.
    pub message: String,
    /// The place at fault.
    pub primary: Option<Label>,
    /// Other places that explain it.
    pub secondary: Vec<Label>,
    /// What to do.
    pub help: Option<String>,
    /// What was probably meant.
    pub patch: Option<Patch>,
}

impl Diagnostic {
    /// An error without a place.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        let message = in_one_line(message.into());
        Self { code, severity: Severity::Error, message, primary: None, secondary: Vec::new(), help: None, patch: None }
    }

    /// A warning without a place.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// The place at fault, and what is wrong there.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.primary = Some(Label { span, text: text.into() });
        self
    }

    /// Another place that explains the error.
    #[must_use]
    pub fn with(mut self, span: Span, text: impl Into<String>) -> Self {
        self.secondary.push(Label { span, text: text.into() });
        self
    }

    /// What to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// What was probably meant in place of `span`, if anything was.
    #[must_use]
    pub fn suggest(mut self, span: Span, replacement: Option<String>) -> Self {
        self.patch = replacement.map(|replacement| Patch { span, replacement });
        self
    }
}

/// A message quotes names of the files, and a name in quotation marks may hold anything: a line end would look like another message.
fn in_one_line(message: String) -> String {
    if !message.contains(char::is_control) {
        return message;
    }
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    message.chars().map(shown).collect()
}

/// All diagnostics of one set, with the text they point into.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    sources: SourceSet,
    list: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
    /// None for files that grant nothing: a configuration.
    grants: Option<usize>,
}

impl Diagnostics {
    /// None yet, for these policy files.
    #[must_use]
    pub fn new(sources: SourceSet) -> Self {
        Self { sources, grants: Some(0), ..Self::default() }
    }

    /// None yet, for a configuration file, or for none when it could not be read.
    #[must_use]
    pub fn of_configuration(sources: SourceSet) -> Self {
        Self { sources, ..Self::default() }
    }

    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        match diagnostic.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
        if self.list.len() < DIAGNOSTICS_MAX {
            self.list.push(diagnostic);
        }
    }

    /// Whether looking for what was meant is still worth its time.
    pub(crate) const fn may_suggest(&self) -> bool {
        self.list.len() < SUGGESTIONS_MAX
    }

    /// How many grants the files write down, for the summary.
    pub(crate) const fn set_grants(&mut self, grants: usize) {
        self.grants = Some(grants);
    }

    /// Puts them in the order of the files.
    pub(crate) fn sort(&mut self) {
        self.list.sort_by_key(|diagnostic| diagnostic.primary.as_ref().map(|label| (label.span.file, label.span.range.start)));
    }

    /// The first [`DIAGNOSTICS_MAX`] of them.
    #[must_use]
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// The files they are about.
    #[must_use]
    pub const fn sources(&self) -> &SourceSet {
        &self.sources
    }

    /// How many errors there are.
    #[must_use]
    pub const fn errors(&self) -> usize {
        self.errors
    }

    /// How many warnings there are.
    #[must_use]
    pub const fn warnings(&self) -> usize {
        self.warnings
    }

    /// `7 files, 31 grants: 3 errors, 1 warning`; of a configuration `steward.toml: 1 error`.
    #[must_use]
    pub fn summary(&self) -> String {
        let files = self.sources.files();
        let Some(grants) = self.grants else {
            let name = files.first().map(|file| format!("{}: ", file.path)).unwrap_or_default();
            return name + &self.found();
        };
        let (files, grants) = (count(files.len(), "file"), count(grants, "grant"));
        let between = if self.errors + self.warnings == 0 { "," } else { ":" };
        format!("{files}, {grants}{between} {}", self.found())
    }

    /// `3 errors, 1 warning`.
    fn found(&self) -> String {
        match (self.errors, self.warnings) {
            (0, 0) => "no errors".to_owned(),
            (0, warnings) => format!("no errors, {}", count(warnings, "warning")),
            (errors, 0) => count(errors, "error"),
            (errors, warnings) => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
        }
    }
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// What the TOML library says of a value of a wrong type, without the names of Rust's types.
pub(crate) fn in_words(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        return message.replace("wanted string or table", "expected a string");
    };
    let without_width = found.strip_suffix(" as i128").or_else(|| found.strip_suffix(" as u128"));
    let expected = match expected {
        "i64" | "u64" if without_width.is_some() => "a whole number of fewer digits",
        "u64" if found.contains("integer `-") => "a whole number, 0 or more",
        "i64" | "u64" => "a whole number",
        "a sequence" => "a list",
        "path string" => "a string",
        other => other,
    };
    format!("{}, expected {expected}", without_width.unwrap_or(found))
}

/// The name most like `text`, when it is like it enough to be what was meant.
#[must_use]
pub fn closest<'a>(text: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Names of policies are short; Jaro-Winkler favours a common beginning, as typing errors leave it.
    const LIKE_ENOUGH: f64 = 0.84;
    let text = text.to_lowercase();
    let likeness = |name: &'a str| (strsim::jaro_winkler(&text, &name.to_lowercase()), name);
    // Of names that are as like, the first by its letters, and not by the order of some map.
    let best = names.into_iter().map(likeness).max_by(|a, b| a.0.total_cmp(&b.0).then_with(|| b.1.cmp(a.1)));
    best.filter(|(likeness, _)| *likeness >= LIKE_ENOUGH).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, names: &[&str], expected: Option<&str>) {
        assert_eq!(closest(text, names.iter().copied()), expected, "{text}");
    }

    #[test]
    fn only_names_that_are_like_it_are_suggested() {
        let names = ["alder-prod", "alder-dev", "bramble-core"];
        check("alder-porod", &names, Some("alder-prod"));
        for names in [["custom]r", "customer"], ["customer", "custom]r"]] {
            check("custommur", &names, Some("custom]r"));
        }
        check("Alder-Dev", &names, Some("alder-dev"));
        check("granite", &names, None);
        check("", &names, None);
    }

    #[test]
    fn a_message_is_one_line_whatever_it_quotes() {
        assert_eq!(Diagnostic::error("a.b", "unknown `x\nerror: y\u{1b}[0m`").message, r"unknown `x\nerror: y\u{1b}[0m`");
    }

    #[test]
    fn a_wrong_type_is_told_in_words_of_the_file() {
        for (said, told) in [
            ("invalid type: string \"x\", expected u64", "invalid type: string \"x\", expected a whole number"),
            ("invalid type: floating point `1.5`, expected i64", "invalid type: floating point `1.5`, expected a whole number"),
            ("invalid value: integer `-1`, expected u64", "invalid value: integer `-1`, expected a whole number, 0 or more"),
            ("invalid type: integer `1` as i128, expected u64", "invalid type: integer `1`, expected a whole number of fewer digits"),
            ("invalid type: string \"a\", expected a sequence", "invalid type: string \"a\", expected a list"),
            ("invalid type: integer `7`, expected path string", "invalid type: integer `7`, expected a string"),
            ("invalid type: integer `5`, expected a string", "invalid type: integer `5`, expected a string"),
            ("unknown variant `x`, expected `a` or `b`", "unknown variant `x`, expected `a` or `b`"),
            ("wanted string or table", "expected a string"),
        ] {
            assert_eq!(in_words(said), told);
        }
    }

    #[test]
    fn the_summary_of_a_configuration_names_its_file_and_counts_no_grants() {
        let summary = |texts: &[(&str, &str)], errors| {
            let mut diagnostics = Diagnostics::of_configuration(SourceSet::from_texts(std::path::Path::new("conf"), texts));
            (0..errors).for_each(|_| diagnostics.push(Diagnostic::error("a.b", "c")));
            diagnostics.summary()
        };
        assert_eq!(summary(&[("steward.toml", "")], 1), "conf/steward.toml: 1 error");
        assert_eq!(summary(&[("steward.toml", "")], 2), "conf/steward.toml: 2 errors");
        assert_eq!(summary(&[], 1), "1 error");
    }

    #[test]
    fn the_summary_counts_in_words() {
        let summary = |errors, warnings| {
            let mut diagnostics = Diagnostics { grants: Some(31), ..Diagnostics::default() };
            (0..errors).for_each(|_| diagnostics.push(Diagnostic::error("a.b", "c")));
            (0..warnings).for_each(|_| diagnostics.push(Diagnostic::warning("a.b", "c")));
            diagnostics.summary()
        };
        assert_eq!(summary(0, 0), "0 files, 31 grants, no errors");
        assert_eq!(summary(0, 2), "0 files, 31 grants: no errors, 2 warnings");
        assert_eq!(summary(1, 0), "0 files, 31 grants: 1 error");
        assert_eq!(summary(3, 1), "0 files, 31 grants: 3 errors, 1 warning");
    }
}
