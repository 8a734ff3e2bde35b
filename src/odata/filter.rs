//! `$filter`: conditions on one entity. Source: OData v3 URL conventions §5.1.2.
//!
//! Null is "unknown": what is computed from it is null, `and`, `or` and `not` reason with three values, and an entity is in the
//! result only if its condition is true. Null equals null and nothing else, and is neither before nor after anything.

use std::cmp::Ordering;

use super::entity::Entity;
use super::error::ODataError;
use super::literal::Cursor;
use super::model::{Column, EdmKind, EntityType, Nearest, shown};
use super::path::of_kind;
use super::query::{FILTER_DEPTH_MAX, FILTER_TERMS_MAX};
use super::value::Value;

/// A condition, checked against a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter(Expression);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    All(Vec<Self>),
    Any(Vec<Self>),
    Call(Function, Vec<Self>),
    Compare(Comparison, Box<Self>, Box<Self>),
    Literal(Value),
    Not(Box<Self>),
    Property(Column),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    NotEqual,
}

const COMPARISONS: [(&str, Comparison); 6] = [
    ("eq", Comparison::Equal),
    ("ge", Comparison::GreaterOrEqual),
    ("gt", Comparison::Greater),
    ("le", Comparison::LessOrEqual),
    ("lt", Comparison::Less),
    ("ne", Comparison::NotEqual),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    EndsWith,
    Length,
    StartsWith,
    SubstringOf,
    ToLower,
    ToUpper,
}

const FUNCTIONS: [(&str, Function); 6] = [
    ("endswith", Function::EndsWith),
    ("length", Function::Length),
    ("startswith", Function::StartsWith),
    ("substringof", Function::SubstringOf),
    ("tolower", Function::ToLower),
    ("toupper", Function::ToUpper),
];

impl Function {
    /// How many texts it takes.
    const fn arguments(self) -> usize {
        match self {
            Self::EndsWith | Self::StartsWith | Self::SubstringOf => 2,
            Self::Length | Self::ToLower | Self::ToUpper => 1,
        }
    }

    const fn kind(self) -> EdmKind {
        match self {
            Self::EndsWith | Self::StartsWith | Self::SubstringOf => EdmKind::Boolean,
            Self::Length => EdmKind::Int32,
            Self::ToLower | Self::ToUpper => EdmKind::String,
        }
    }

    fn of(self, first: &str, second: &str) -> Value {
        match self {
            Self::EndsWith => Value::Boolean(first.ends_with(second)),
            Self::Length => Value::from(first.chars().count() as u64),
            Self::StartsWith => Value::Boolean(first.starts_with(second)),
            // The odd one: the part comes first.
            Self::SubstringOf => Value::Boolean(second.contains(first)),
            Self::ToLower => Value::from(first.to_lowercase()),
            Self::ToUpper => Value::from(first.to_uppercase()),
        }
    }
}

impl Filter {
    /// Reads a decoded condition on entities of a type.
    ///
    /// # Errors
    /// When it cannot be read, is too complicated, names an unknown property or compares what cannot be compared.
    pub fn parse(entity_type: &'static EntityType, text: &str) -> Result<Self, ODataError> {
        let mut parser = Parser { cursor: Cursor::new("$filter", text), entity_type, terms: 0, depth: 0 };
        parser.cursor.blanks();
        let condition = parser.any()?;
        parser.cursor.end()?;
        parser.truth(&condition)?;
        Ok(Self(condition))
    }

    /// Whether the condition is true of an entity of the type it was read for.
    #[must_use]
    pub fn holds(&self, entity: &Entity) -> bool {
        value_of(&self.0, entity) == Value::Boolean(true)
    }

    /// A value that every entity has in this property for which the condition is true; for the caller to look up in an index. Never null.
    #[must_use]
    pub fn required_equal(&self, property: &str) -> Option<&Value> {
        required(&self.0, property)
    }
}

/// As it stands in a URL, not yet percent-encoded; reading it gives the same condition.
impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::fmt::Display for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |parts: &[Self], separator: &str| parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator);
        match self {
            Self::All(parts) => write!(f, "({})", list(parts, " and ")),
            Self::Any(parts) => write!(f, "({})", list(parts, " or ")),
            Self::Call(function, parts) => write!(f, "{}({})", name_of(&FUNCTIONS, *function), list(parts, ",")),
            Self::Compare(comparison, left, right) => write!(f, "({left} {} {right})", name_of(&COMPARISONS, *comparison)),
            Self::Literal(value) => write!(f, "{value}"),
            Self::Not(inner) => write!(f, "not {inner}"),
            Self::Property(column) => f.write_str(column.property.name),
        }
    }
}

fn name_of<T: PartialEq + Copy>(table: &[(&'static str, T)], wanted: T) -> &'static str {
    table.iter().find(|(_, each)| *each == wanted).map_or("", |(name, _)| name)
}

fn value_of(expression: &Expression, entity: &Entity) -> Value {
    match expression {
        Expression::All(parts) => combined(parts, entity, false),
        Expression::Any(parts) => combined(parts, entity, true),
        Expression::Call(function, parts) => called(*function, parts, entity),
        Expression::Compare(comparison, left, right) => compared(*comparison, left, right, entity),
        Expression::Literal(value) => value.clone(),
        Expression::Not(inner) => value_of(inner, entity).as_bool().map(|truth| !truth).into(),
        Expression::Property(column) => entity.at(*column).clone(),
    }
}

/// `and` is decided by one that is false, `or` by one that is true; otherwise one that is null leaves it open.
fn combined(parts: &[Expression], entity: &Entity, deciding: bool) -> Value {
    let mut open = false;
    for part in parts {
        match value_of(part, entity).as_bool() {
            Some(truth) if truth == deciding => return Value::Boolean(deciding),
            Some(_) => {}
            None => open = true,
        }
    }
    if open { Value::Null } else { Value::Boolean(!deciding) }
}

fn called(function: Function, parts: &[Expression], entity: &Entity) -> Value {
    let values: Vec<_> = parts.iter().map(|part| value_of(part, entity)).collect();
    let texts: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
    match texts.as_deref() {
        Some([first]) => function.of(first, ""),
        Some([first, second]) => function.of(first, second),
        Some(_) | None => Value::Null,
    }
}

fn compared(comparison: Comparison, left: &Expression, right: &Expression, entity: &Entity) -> Value {
    // Most comparisons are of a property and a literal, on each entity of a set: they are not worth a copy.
    let (left, right) = (borrowed(left, entity), borrowed(right, entity));
    let ordering = match (left.is_null(), right.is_null()) {
        (true, true) => Some(Ordering::Equal),
        (true, false) | (false, true) => None,
        (false, false) => left.compared(&right),
    };
    let both_null = left.is_null() && right.is_null();
    Value::Boolean(match comparison {
        Comparison::Equal => ordering == Some(Ordering::Equal),
        Comparison::NotEqual => ordering != Some(Ordering::Equal),
        Comparison::Greater => ordering == Some(Ordering::Greater),
        Comparison::Less => ordering == Some(Ordering::Less),
        Comparison::GreaterOrEqual => !both_null && ordering.is_some_and(Ordering::is_ge),
        Comparison::LessOrEqual => !both_null && ordering.is_some_and(Ordering::is_le),
    })
}

fn borrowed<'a>(expression: &'a Expression, entity: &'a Entity) -> std::borrow::Cow<'a, Value> {
    match expression {
        Expression::Literal(value) => std::borrow::Cow::Borrowed(value),
        Expression::Property(column) => std::borrow::Cow::Borrowed(entity.at(*column)),
        Expression::All(_) | Expression::Any(_) | Expression::Call(..) | Expression::Compare(..) | Expression::Not(_) => {
            std::borrow::Cow::Owned(value_of(expression, entity))
        }
    }
}

fn required<'a>(expression: &'a Expression, property: &str) -> Option<&'a Value> {
    match expression {
        Expression::All(parts) => parts.iter().find_map(|part| required(part, property)),
        Expression::Any(parts) => {
            let (first, others) = parts.split_first()?;
            let value = required(first, property)?;
            others.iter().all(|part| required(part, property) == Some(value)).then_some(value)
        }
        Expression::Compare(Comparison::Equal, left, right) => match (&**left, &**right) {
            (Expression::Property(column), Expression::Literal(value)) | (Expression::Literal(value), Expression::Property(column)) => {
                (column.property.name == property && !value.is_null()).then_some(value)
            }
            (_, _) => None,
        },
        Expression::Call(..) | Expression::Compare(..) | Expression::Literal(_) | Expression::Not(_) | Expression::Property(_) => None,
    }
}

fn kind_of(expression: &Expression) -> Option<EdmKind> {
    match expression {
        Expression::All(_) | Expression::Any(_) | Expression::Compare(..) | Expression::Not(_) => Some(EdmKind::Boolean),
        Expression::Call(function, _) => Some(function.kind()),
        Expression::Literal(value) => value.kind(),
        Expression::Property(column) => Some(column.property.kind),
    }
}

struct Parser<'a> {
    cursor: Cursor<'a>,
    entity_type: &'static EntityType,
    terms: usize,
    depth: usize,
}

/// From the loosest to the tightest: `or`, `and`, comparison, `not`, parentheses.
impl Parser<'_> {
    fn any(&mut self) -> Result<Expression, ODataError> {
        self.chain("or", Self::all, Expression::Any)
    }

    fn all(&mut self) -> Result<Expression, ODataError> {
        self.chain("and", Self::comparison, Expression::All)
    }

    fn chain(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Result<Expression, ODataError>,
        made: fn(Vec<Expression>) -> Expression,
    ) -> Result<Expression, ODataError> {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.operator(word) {
            self.gap()?;
            parts.push(part(self)?);
        }
        if parts.len() > 1 {
            parts.iter().try_for_each(|part| self.truth(part))?;
        }
        match parts.pop() {
            Some(only) if parts.is_empty() => Ok(only),
            last => Ok(made(parts.into_iter().chain(last).collect())),
        }
    }

    fn operator(&mut self, word: &str) -> bool {
        self.cursor.blanks();
        self.cursor.eat_word(word)
    }

    fn comparison(&mut self) -> Result<Expression, ODataError> {
        let left = self.term()?;
        self.cursor.blanks();
        let Some((_, comparison)) = COMPARISONS.iter().find(|(name, _)| self.cursor.eat_word(name)) else {
            return Ok(left);
        };
        self.gap()?;
        let right = self.term()?;
        self.comparable(*comparison, left, right)
    }

    fn comparable(&self, comparison: Comparison, left: Expression, right: Expression) -> Result<Expression, ODataError> {
        let (left, right) = match (left, right) {
            (Expression::Property(column), Expression::Literal(value)) => {
                (Expression::Property(column), Expression::Literal(operand(column, value)?))
            }
            (Expression::Literal(value), Expression::Property(column)) => {
                (Expression::Literal(operand(column, value)?), Expression::Property(column))
            }
            other => other,
        };
        let ordered = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        let number = |kind| matches!(kind, EdmKind::Int32 | EdmKind::Int64);
        match (kind_of(&left), kind_of(&right)) {
            (Some(EdmKind::Boolean | EdmKind::Guid), _) | (_, Some(EdmKind::Boolean | EdmKind::Guid)) if ordered => {
                Err(self.cursor.error("truth values and ids before here are only equal or not"))
            }
            (Some(one), Some(another)) if one != another && !(number(one) && number(another)) => {
                Err(self.cursor.error(format!("{} and {} before here cannot be compared", one.name(), another.name())))
            }
            (_, _) => Ok(Expression::Compare(comparison, Box::new(left), Box::new(right))),
        }
    }

    fn term(&mut self) -> Result<Expression, ODataError> {
        self.depth += 1;
        if self.depth > FILTER_DEPTH_MAX {
            return Err(ODataError::FilterTooComplicated);
        }
        let term = self.term_inside()?;
        self.depth -= 1;
        Ok(term)
    }

    fn term_inside(&mut self) -> Result<Expression, ODataError> {
        if self.cursor.eat("(") {
            self.cursor.blanks();
            let inner = self.any()?;
            self.cursor.blanks();
            self.cursor.expect(")")?;
            return Ok(inner);
        }
        if self.cursor.eat_word("not") {
            self.cursor.blanks();
            let inner = self.term()?;
            self.truth(&inner)?;
            return Ok(Expression::Not(Box::new(inner)));
        }
        self.terms += 1;
        if self.terms > FILTER_TERMS_MAX {
            return Err(ODataError::FilterTooComplicated);
        }
        if let Some(value) = self.cursor.literal()? {
            return Ok(Expression::Literal(value));
        }
        let name = self.cursor.peek_word();
        if name.is_empty() {
            return Err(self.cursor.error("expected a property, a function, a value or `(`"));
        }
        let column = self.entity_type.column(name);
        let at =
            self.cursor.error(format!("there is no function `{}`{}", shown(name), Nearest::of(name, FUNCTIONS.iter().map(|each| each.0))));
        self.cursor.word();
        if self.cursor.eat("(") {
            let function = FUNCTIONS.iter().find(|each| each.0 == name).map(|each| each.1);
            return self.call(function.ok_or(at)?);
        }
        column.map(Expression::Property)
    }

    fn call(&mut self, function: Function) -> Result<Expression, ODataError> {
        let mut arguments = Vec::with_capacity(function.arguments());
        for number in 0..function.arguments() {
            self.cursor.blanks();
            if number > 0 {
                self.cursor.expect(",")?;
                self.cursor.blanks();
            }
            let argument = self.term()?;
            if !matches!(kind_of(&argument), None | Some(EdmKind::String)) {
                return Err(self.cursor.error("the argument before here has to be Edm.String"));
            }
            arguments.push(argument);
        }
        self.cursor.blanks();
        self.cursor.expect(")")?;
        Ok(Expression::Call(function, arguments))
    }

    fn gap(&mut self) -> Result<(), ODataError> {
        if self.cursor.blanks() || self.cursor.stands_at("(") { Ok(()) } else { Err(self.cursor.error("expected a blank")) }
    }

    fn truth(&self, expression: &Expression) -> Result<(), ODataError> {
        match kind_of(expression) {
            None | Some(EdmKind::Boolean) => Ok(()),
            Some(kind) => Err(self.cursor.error(format!("what stands before here is {} and no condition", kind.name()))),
        }
    }
}

/// A literal that a column is compared with; null is allowed for every column, and a number that no such column can have as well.
fn operand(column: Column, value: Value) -> Result<Value, ODataError> {
    let number = column.property.kind == EdmKind::Int32 && value.as_int().is_some();
    if value.is_null() || number { Ok(value.fitted(column.property.kind)) } else { of_exact_kind(column, value) }
}

/// Time keeps what is below a millisecond here, so that `gt` means what it says.
fn of_exact_kind(column: Column, value: Value) -> Result<Value, ODataError> {
    if value.kind() == Some(EdmKind::DateTime) && column.property.kind == EdmKind::DateTime { Ok(value) } else { of_kind(column, value) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{ID, MACHINE, machine};
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: bool) {
        let filter = Filter::parse(&MACHINE, text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(filter.holds(&machine()), expected, "{text}");
        assert_eq!(Filter::parse(&MACHINE, &filter.to_string()).as_ref(), Ok(&filter), "{text} was written as {filter}");
    }

    #[track_caller]
    fn refused(text: &str, code: &str, message: &str) {
        let error = Filter::parse(&MACHINE, text).unwrap_err();
        assert_eq!(error.code(), code, "{text}: {error}");
        assert!(error.to_string().contains(message), "{text}: {error}");
    }

    #[track_caller]
    fn requires(text: &str, property: &str, expected: Option<impl Into<Value>>) {
        assert_eq!(Filter::parse(&MACHINE, text).unwrap().required_equal(property).cloned(), expected.map(Into::into), "{text}");
    }

    const NOTHING: Option<&str> = None;

    // The machine: Name `It's web-1`, Cores 4, Disk 2^40, Running true, Created 2026-11-21T08:00:00.250, Owner null.

    #[test]
    fn comparisons_compare_values_of_one_kind() {
        check("Cores eq 4", true);
        check("4 eq Cores", true);
        check("Cores ne 4", false);
        check("Cores gt 3", true);
        check("Cores gt 4", false);
        check("Cores ge 4", true);
        check("Cores lt 5", true);
        check("Cores le 3", false);
        check("Cores lt 99999999999", true);
        check("Disk eq 1099511627776", true);
        check("Disk eq 1099511627776L", true);
        check("Disk gt Cores", true);
        check("Name eq 'It''s web-1'", true);
        check("Name eq 'it''s web-1'", false);
        check("Name gt 'A'", true);
        check(&format!("ID eq guid'{ID}'"), true);
        check(&format!("ID eq guid'{}'", ID.to_uppercase()), true);
        check("Created gt datetime'2026-11-21T08:00:00.2499'", true);
        check("Created le datetime'2026-11-21T08:00'", false);
        check("Running eq true", true);
        check("Running", true);
        check("not Running", false);
        check("Running ne false", true);
    }

    #[test]
    fn and_binds_tighter_than_or_and_not_tightest() {
        check("Cores eq 4 or Cores eq 5 and Cores eq 6", true);
        check("(Cores eq 4 or Cores eq 5) and Cores eq 6", false);
        check("not (Cores eq 4) or Running", true);
        check("not Running and Running", false);
        check(" ( ( Cores eq 4 ) ) ", true);
        check("(Cores eq 4) and(Running)", true);
        check("((Cores eq 4) eq true) eq (1 eq 1)", true);
    }

    #[test]
    fn functions_are_those_of_version_2() {
        check("startswith(Name,'It')", true);
        check("startswith(Name, 'web') eq true", false);
        check("endswith( Name , '-1' )", true);
        check("substringof('web',Name) eq true", true);
        check("substringof(Name,'web')", false);
        check("tolower(Name) eq 'it''s web-1'", true);
        check("endswith(toupper(Name),'WEB-1')", true);
        check("length(Name) eq 10", true);
        check("length(Name) gt length('nine char')", true);
    }

    #[test]
    fn null_is_unknown() {
        check("Owner eq null", true);
        check("null eq Owner", true);
        check("Owner ne null", false);
        check("Owner eq 'anna'", false);
        check("Owner ne 'anna'", true);
        check("Owner gt 'anna'", false);
        check("Owner ge null", false);
        check("not (Owner lt 'anna')", true);
        check("startswith(Owner,'a')", false);
        check("not startswith(Owner,'a')", false);
        check("startswith(Owner,'a') or Running", true);
        check("startswith(Owner,'a') and Running", false);
        check("not (startswith(Owner,'a') and not Running)", true);
        check("tolower(Owner) eq null", true);
        check("ID ne null", true);
        check("null", false);
        check("null eq null", true);
    }

    #[test]
    fn a_filter_that_cannot_be_meant_is_refused() {
        refused("", "InvalidExpression", "character 1");
        refused("Nmae eq 'x'", "UnknownProperty", "did you mean `Name`?");
        refused("Name", "InvalidExpression", "Edm.String and no condition");
        refused("'x'", "InvalidExpression", "no condition");
        refused("Name eq 5", "WrongKind", "`Name` is Edm.String; `5` is not");
        refused("Cores eq '4'", "WrongKind", "`Cores` is Edm.Int32");
        refused("ID eq '00000000-0000-0000-0000-000000000001'", "WrongKind", "Edm.Guid");
        refused(&format!("ID gt guid'{ID}'"), "InvalidExpression", "only equal or not");
        refused("Name eq Cores", "InvalidExpression", "Edm.String and Edm.Int32 before here");
        refused("Name eq 'x' and", "InvalidExpression", "character 16");
        refused("Name eq 'x' Running", "InvalidExpression", "nothing more");
        refused("Name eq'x'", "InvalidExpression", "blank");
        refused("Name EQ 'x'", "InvalidExpression", "nothing more");
        refused("(Running", "InvalidExpression", "`)`");
        refused("contains(Name,'x')", "InvalidExpression", "no function `contains`");
        refused("startwith(Name,'x')", "InvalidExpression", "did you mean `startswith`?");
        refused("startswith(Name)", "InvalidExpression", "`,`");
        refused("length(Cores) eq 1", "InvalidExpression", "Edm.String");
        refused("Name and Running", "InvalidExpression", "no condition");
        refused("not Name", "InvalidExpression", "no condition");
        refused("Cores add 1 eq 5", "InvalidExpression", "nothing more");
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let nested = |depth: usize| format!("{}Running{}", "(".repeat(depth), ")".repeat(depth));
        check(&nested(FILTER_DEPTH_MAX - 1), true);
        refused(&nested(FILTER_DEPTH_MAX), "FilterTooComplicated", "32 levels");
        refused(&"not ".repeat(100_000), "FilterTooComplicated", "");
        check(&vec!["Running"; FILTER_TERMS_MAX].join(" and "), true);
        refused(&vec!["Running"; FILTER_TERMS_MAX + 1].join(" or "), "FilterTooComplicated", "");
    }

    #[test]
    fn a_required_value_is_one_that_every_match_has() {
        requires("Cores eq 4", "Cores", Some(4));
        requires("'x' eq Owner and Running", "Owner", Some("x"));
        requires("Running and (Cores gt 1 and Owner eq 'x')", "Owner", Some("x"));
        requires("Owner eq 'x' or Owner eq 'x' and Running", "Owner", Some("x"));
        requires("Owner eq 'x' or Owner eq 'y'", "Owner", NOTHING);
        requires("Owner eq 'x' or Running", "Owner", NOTHING);
        requires("not (Owner eq 'x')", "Owner", NOTHING);
        requires("Owner ne 'x'", "Owner", NOTHING);
        requires("Owner eq null", "Owner", NOTHING);
        requires("tolower(Owner) eq 'x'", "Owner", NOTHING);
        requires("Cores eq 4", "Owner", NOTHING);
    }

    fn expression() -> impl Strategy<Value = String> {
        let operator = prop::sample::select(vec!["eq", "ne", "gt", "ge", "lt", "le"]);
        let leaf = prop_oneof![
            (prop::sample::select(vec!["Name", "Owner"]), operator.clone(), "[a-z' ]{0,5}")
                .prop_map(|(name, operator, text)| format!("{name} {operator} {}", Value::from(text))),
            (prop::sample::select(vec!["Cores", "Disk"]), operator, any::<i32>())
                .prop_map(|(name, operator, number)| format!("{name} {operator} {number}")),
            (prop::sample::select(vec!["startswith(Name,'", "substringof('a',Owner) eq true and endswith(Owner,'"]), "[a-z]{0,3}")
                .prop_map(|(call, text)| format!("{call}{text}')")),
            Just("Running".to_owned()),
            Just("Owner eq null".to_owned()),
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" and "))),
                prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" or "))),
                inner.prop_map(|part| format!("not ({part})")),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _unread = Filter::parse(&MACHINE, &text).is_ok();
        }

        #[test]
        fn no_mixture_of_words_makes_the_parser_panic(words in prop::collection::vec(prop::sample::select(vec!["not", "and", "or", "(", ")", "Name", "Cores", "eq", "gt", "'x'", "4", "null", "length(", ",", " ", "guid'"]), 0..20)) {
            if let Ok(filter) = Filter::parse(&MACHINE, &words.join(" ")) {
                prop_assert_eq!(Filter::parse(&MACHINE, &filter.to_string()), Ok(filter));
            }
        }

        #[test]
        fn what_is_written_is_read_the_same(text in expression()) {
            let filter = Filter::parse(&MACHINE, &text).unwrap();
            let written = filter.to_string();
            prop_assert_eq!(Filter::parse(&MACHINE, &written), Ok(filter), "{}", written);
        }

        #[test]
        fn an_entity_that_matches_has_every_required_value(text in expression()) {
            let filter = Filter::parse(&MACHINE, &text).unwrap();
            let machine = machine();
            if filter.holds(&machine) {
                for column in MACHINE.columns() {
                    if let Some(value) = filter.required_equal(column.property.name) {
                        prop_assert_eq!(machine.at(column).compared(value), Some(Ordering::Equal), "{}", text);
                    }
                }
            }
        }
    }
}
