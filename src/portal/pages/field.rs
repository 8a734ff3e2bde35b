//! Fields of forms. What was typed stays, and what is wrong stands at the field.

use crate::portal::text::Text;

/// A field.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) hint: &'static str,
    pub(super) kind: Kind,
    pub(super) value: String,
    pub(super) error: Option<Text>,
    pub(super) is_required: bool,
    pub(super) autocomplete: &'static str,
}

/// How a field is filled in.
pub(super) enum Kind {
    /// One line.
    Line,
    /// Several lines of something technical.
    Lines,
    /// One of these.
    Choice(Vec<Choice>),
}

/// Something to choose.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
}

impl Field {
    /// One line that has to be filled in.
    pub(super) fn line(name: &'static str, label: &'static str, hint: &'static str) -> Self {
        Self { name, label, hint, kind: Kind::Line, value: String::new(), error: None, is_required: true, autocomplete: "off" }
    }

    pub(super) fn lines(name: &'static str, label: &'static str, hint: &'static str) -> Self {
        Self { kind: Kind::Lines, ..Self::line(name, label, hint) }
    }

    pub(super) fn choice(name: &'static str, label: &'static str, hint: &'static str, choices: Vec<Choice>) -> Self {
        Self { kind: Kind::Choice(choices), ..Self::line(name, label, hint) }
    }

    pub(super) fn optional(self) -> Self {
        Self { is_required: false, ..self }
    }

    pub(super) fn filled(self, value: &str) -> Self {
        Self { value: value.to_owned(), ..self }
    }

    pub(super) fn completed_as(self, autocomplete: &'static str) -> Self {
        Self { autocomplete, ..self }
    }

    pub(super) fn failed(self, error: Option<Text>) -> Self {
        Self { error, ..self }
    }

    pub(super) const fn choices(&self) -> Option<&Vec<Choice>> {
        match &self.kind {
            Kind::Choice(choices) => Some(choices),
            Kind::Line | Kind::Lines => None,
        }
    }

    pub(super) const fn has_lines(&self) -> bool {
        matches!(self.kind, Kind::Lines)
    }
}
