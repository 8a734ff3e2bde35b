//! `$filter` of group and resource lists. Source: Resources - List, URI parameters.

use super::operations::normalized;
use super::refusal::Refusal;
use super::resource::Resource;

/// Clauses that all must hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Filter(Vec<Clause>);

#[derive(Debug, PartialEq, Eq)]
struct Clause {
    field: Field,
    value: String,
    holds_if_equal: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Group,
    Location,
    Name,
    ResourceType,
    TagName,
    TagValue,
}

impl Filter {
    /// Reads `field eq 'value' and field ne 'value'…`; the empty text admits everything.
    ///
    /// # Errors
    /// When a clause has another form.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let refused = || Refusal::Filter(text.chars().take(256).collect());
        let mut rest = text.trim();
        let mut clauses = Vec::new();
        while !rest.is_empty() {
            let (clause, after) = clause(rest).ok_or_else(refused)?;
            clauses.push(clause);
            rest = match after.trim_start() {
                "" => "",
                after => {
                    after.get(..4).filter(|word| word.eq_ignore_ascii_case("and ")).and_then(|_| after.get(4..)).ok_or_else(refused)?
                }
            };
        }
        Ok(Self(clauses))
    }

    /// Whether a group or resource passes.
    pub(super) fn admits(&self, resource: &Resource) -> bool {
        let tag = self.0.iter().find(|clause| clause.field == Field::TagName).map(|clause| clause.value.as_str());
        self.0.iter().all(|clause| clause.matches(resource, tag) == clause.holds_if_equal)
    }
}

impl Clause {
    fn matches(&self, resource: &Resource, tag: Option<&str>) -> bool {
        let tags = || resource.stored.document.get("tags").and_then(|tags| tags.as_object());
        let is = |text: &str| text.eq_ignore_ascii_case(&self.value);
        match self.field {
            Field::Group => resource.id().split('/').nth(4).is_some_and(is),
            Field::Location => normalized(resource.text("location")) == normalized(&self.value),
            Field::Name => is(resource.text("name")),
            Field::ResourceType => is(&resource.kind.full),
            Field::TagName => tags().is_some_and(|tags| tags.keys().any(|key| is(key))),
            Field::TagValue => tags().is_some_and(|tags| {
                // Without a tagName clause any tag may carry the value.
                tags.iter().any(|(key, value)| tag.is_none_or(|tag| tag.eq_ignore_ascii_case(key)) && value.as_str() == Some(&self.value))
            }),
        }
    }
}

fn clause(text: &str) -> Option<(Clause, &str)> {
    let (field, rest) = text.trim_start().split_once(' ')?;
    let (operator, rest) = rest.trim_start().split_once(' ')?;
    let mut value = String::new();
    let mut rest = rest.trim_start().strip_prefix('\'')?;
    loop {
        let (piece, after) = rest.split_once('\'')?;
        value.push_str(piece);
        // A doubled quote stands for one. Source: OData 4.01, URL conventions §5.1.1.6.1.
        let Some(more) = after.strip_prefix('\'') else {
            let holds_if_equal = equality(operator)?;
            return Some((Clause { field: field_named(field)?, value, holds_if_equal }, after));
        };
        value.push('\'');
        rest = more;
    }
}

fn equality(operator: &str) -> Option<bool> {
    match operator.to_ascii_lowercase().as_str() {
        "eq" => Some(true),
        "ne" => Some(false),
        _ => None,
    }
}

fn field_named(name: &str) -> Option<Field> {
    match name.to_ascii_lowercase().as_str() {
        "location" => Some(Field::Location),
        "name" => Some(Field::Name),
        "resourcegroup" => Some(Field::Group),
        "resourcetype" => Some(Field::ResourceType),
        "tagname" => Some(Field::TagName),
        "tagvalue" => Some(Field::TagValue),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&[(Field, &str, bool)]>) {
        let parsed = Filter::parse(text).ok().map(|filter| filter.0);
        let parsed: Option<Vec<_>> =
            parsed.as_ref().map(|clauses| clauses.iter().map(|it| (it.field, it.value.as_str(), it.holds_if_equal)).collect());
        assert_eq!(parsed.as_deref(), expected, "{text}");
    }

    #[test]
    fn clauses_are_read_one_by_one() {
        check("", Some(&[]));
        check("resourceType eq 'Microsoft.Compute/disks'", Some(&[(Field::ResourceType, "Microsoft.Compute/disks", true)]));
        check("tagName eq 'a' and tagValue eq 'b and c'", Some(&[(Field::TagName, "a", true), (Field::TagValue, "b and c", true)]));
        check("NAME ne 'it''s'", Some(&[(Field::Name, "it's", false)]));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["name", "name eq", "name eq x", "name eq 'x", "name gt 'x'", "colour eq 'x'", "name eq 'x' or name eq 'y'", "name eq 'x' and"]
        {
            check(text, None);
        }
    }
}
