//! The form that rustc made familiar: file, line, column, the source line, what is wrong under it, and a patch.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Patch as PatchMark, Renderer, Snippet};

use super::{Diagnostic, Diagnostics, Label, Severity};

/// How a terminal wants diagnostics.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// With ANSI colours.
    pub color: bool,
    /// ASCII only, for locales that are not UTF-8.
    pub ascii: bool,
}

impl Diagnostics {
    /// All of them for people, the summary last.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        format!("{}{}\n", self.render_list(style), self.summary())
    }

    /// All of them for people.
    #[must_use]
    pub fn render_list(&self, style: Style) -> String {
        let renderer = if style.color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(if style.ascii { DecorStyle::Ascii } else { DecorStyle::Unicode });
        let mut text = String::new();
        for diagnostic in self.list() {
            text.push_str(&renderer.render(&self.groups(diagnostic)));
            text.push_str("\n\n");
        }
        let hidden = self.errors() + self.warnings() - self.list().len();
        if hidden > 0 {
            text.push_str(&format!("{hidden} more are not shown\n"));
        }
        text
    }

    fn groups<'a>(&'a self, diagnostic: &'a Diagnostic) -> Vec<Group<'a>> {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(&*diagnostic.message).id(diagnostic.code));
        for file in files(diagnostic) {
            group = group.elements(self.snippet(diagnostic, file));
        }
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(&**help));
        }
        std::iter::once(group).chain(self.patch(diagnostic)).collect()
    }

    fn snippet<'a>(&'a self, diagnostic: &'a Diagnostic, file: usize) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
        let here = |label: &&Label| label.span.file == file;
        let primary = diagnostic.primary.iter().filter(here).map(|label| (AnnotationKind::Primary, label));
        let secondary = diagnostic.secondary.iter().filter(here).map(|label| (AnnotationKind::Context, label));
        let labels: Vec<_> = primary.chain(secondary).collect();
        let around = labels.iter().map(|(_, label)| label.span.range.clone()).reduce(hull)?;
        let source = self.sources().files().get(file)?;
        let (line, offset, text) = source.lines(&around);
        let annotation = |(kind, label): (AnnotationKind, &'a Label)| {
            let mark = kind.span(shift(&label.span.range, offset, text.len()));
            if label.text.is_empty() { mark } else { mark.label(&*label.text) }
        };
        Some(Snippet::source(text).line_start(line).path(&*source.path).annotations(labels.into_iter().map(annotation)))
    }

    fn patch<'a>(&'a self, diagnostic: &'a Diagnostic) -> Option<Group<'a>> {
        let patch = diagnostic.patch.as_ref()?;
        let source = self.sources().files().get(patch.span.file)?;
        let (line, offset, text) = source.lines(&patch.span.range);
        let mark = PatchMark::new(shift(&patch.span.range, offset, text.len()), &*patch.replacement);
        let snippet = Snippet::source(text).line_start(line).path(&*source.path).patch(mark);
        Some(Group::with_title(Level::HELP.secondary_title("did you mean")).element(snippet))
    }
}

/// The files a diagnostic touches, that of the primary place first.
fn files(diagnostic: &Diagnostic) -> Vec<usize> {
    let mut files = Vec::new();
    for label in diagnostic.primary.iter().chain(&diagnostic.secondary) {
        if !files.contains(&label.span.file) {
            files.push(label.span.file);
        }
    }
    files
}

fn hull(a: Range<usize>, b: Range<usize>) -> Range<usize> {
    a.start.min(b.start)..a.end.max(b.end)
}

/// The same place counted from `offset`. The renderer panics beyond the end of its text, hence the bound.
fn shift(range: &Range<usize>, offset: usize, length: usize) -> Range<usize> {
    let start = range.start.saturating_sub(offset).min(length);
    start..range.end.saturating_sub(offset).clamp(start, length)
}
