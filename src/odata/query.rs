//! The options of a request, and what they leave of a set. Source: OData v3 URL conventions §5.

use std::cmp::Ordering;

use super::entity::Entity;
use super::error::ODataError;
use super::filter::Filter;
use super::literal::Cursor;
use super::model::{Column, EntitySet, EntityType, Nearest, shown};
use super::path::{Resource, of_kind};
use super::text;
use super::value::Value;

/// Bytes of the longest query.
pub const QUERY_BYTES_MAX: usize = 8 * 1024;
/// Properties, values and calls in a filter.
pub const FILTER_TERMS_MAX: usize = 256;
/// How deep parentheses, functions and `not` can be in each other.
pub const FILTER_DEPTH_MAX: usize = 32;
/// Parts of an order.
pub const ORDER_MAX: usize = 8;
/// The largest `$top`.
pub const TOP_MAX: u32 = 1000;

const OPTIONS: [&str; 9] = ["$filter", "$format", "$inlinecount", "$orderby", "$select", "$skip", "$skiptoken", "$top", "$expand"];

/// The value of `$format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatOption {
    /// `atom`
    Atom,
    /// `json`: as plain `application/json`.
    Json,
    /// `verbosejson`
    VerboseJson,
}

const FORMATS: [(&str, FormatOption); 3] =
    [("atom", FormatOption::Atom), ("json", FormatOption::Json), ("verbosejson", FormatOption::VerboseJson)];

/// Which properties an answer has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Select(Option<Vec<Column>>);

impl Select {
    /// The chosen properties of a type, in its order.
    pub(super) fn columns(&self, entity_type: &EntityType) -> Vec<Column> {
        entity_type.columns().filter(|column| self.0.as_ref().is_none_or(|chosen| chosen.contains(column))).collect()
    }

    /// The chosen properties, as metadata URLs name them; none for all.
    pub(super) fn names(&self) -> Option<String> {
        let chosen = self.0.as_ref()?;
        Some(chosen.iter().map(|column| column.property.name).collect::<Vec<_>>().join(","))
    }
}

/// The checked options of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// `$filter`
    pub filter: Option<Filter>,
    /// `$format`
    pub format: Option<FormatOption>,
    /// `$select`
    pub select: Select,
    count: bool,
    order: Vec<Order>,
    skip: usize,
    top: Option<usize>,
    after: Option<Vec<Value>>,
    options: Vec<(String, String)>,
}

/// One part of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Order {
    column: Column,
    descending: bool,
}

/// What a query leaves of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The entities of this page.
    pub entities: Vec<Entity>,
    /// How many there are on all pages, if that was asked for.
    pub count: Option<u64>,
    /// The query of the next page, without `?`; none on the last one.
    pub next: Option<String>,
}

/// Reads the query of a request for a resource, as it was sent, without `?`. Options without `$` are kept for the caller.
///
/// # Errors
/// When an option is unknown, given twice, misplaced or cannot be read.
pub fn parse(resource: &Resource, query: &str) -> Result<Query, ODataError> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(ODataError::QueryTooLong { length: query.len() });
    }
    let mut read = Query::default();
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    for pair in pairs {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (text::decode_query(name)?, text::decode_query(value)?);
        if read.custom(&name).is_some() {
            return Err(ODataError::GivenTwice { property: shown(&name) });
        }
        read.options.push((name, value));
    }
    for (name, value) in read.options.clone() {
        if name.starts_with('$') {
            read.option(resource, &name, &value)?;
        }
    }
    if let (Some(set), Some((_, token))) = (resource.set(), read.options.iter().find(|option| option.0 == "$skiptoken")) {
        read.after = Some(read.token(set.entity_type, token)?);
    }
    Ok(read)
}

impl Query {
    /// The value of an option, decoded: of one without `$`, for those are the caller's own.
    #[must_use]
    pub fn custom(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|option| option.0 == name).map(|option| &*option.1)
    }

    fn option(&mut self, resource: &Resource, name: &str, value: &str) -> Result<(), ODataError> {
        let unknown = || ODataError::UnknownOption { option: shown(name), nearest: Nearest::of(name, OPTIONS.into_iter()) };
        let option = *OPTIONS.iter().find(|option| **option == name).ok_or_else(unknown)?;
        if option == "$format" {
            self.format = Some(one_of(option, value, &FORMATS)?);
            return Ok(());
        }
        let set = resource.set().filter(|_| applies(option, resource)).ok_or(ODataError::OptionMisplaced { option })?;
        match option {
            "$expand" => return Err(ODataError::NotOffered { what: option.to_owned() }),
            "$filter" => self.filter = Some(Filter::parse(set.entity_type, value)?),
            "$inlinecount" => self.count = one_of(option, value, &[("allpages", true), ("none", false)])?,
            "$orderby" => self.order = order(set.entity_type, value)?,
            "$select" => self.select = select(set.entity_type, value)?,
            "$skip" => self.skip = number(option, value, u32::MAX)?,
            "$top" => self.top = Some(number(option, value, TOP_MAX)?),
            // What it means depends on the order, which may come after it.
            _ => {}
        }
        Ok(())
    }

    /// Reads the place after which a page begins: the values of the last entity before it in all parts of the order.
    fn token(&self, entity_type: &'static EntityType, token: &str) -> Result<Vec<Value>, ODataError> {
        let mut cursor = Cursor::new("$skiptoken", token);
        let mut values = Vec::new();
        for (position, part) in self.whole_order(entity_type).iter().enumerate() {
            if position > 0 {
                cursor.expect(",")?;
            }
            let value = cursor.literal()?.ok_or_else(|| cursor.error("expected a value"))?;
            values.push(of_kind(part.column, value)?);
        }
        cursor.end()?;
        Ok(values)
    }

    /// The order that was asked for, made total by the key.
    fn whole_order(&self, entity_type: &EntityType) -> Vec<Order> {
        let asked = |column: &Column| self.order.iter().any(|part| part.column == *column);
        let key = entity_type.key_columns().filter(|column| !asked(column));
        self.order.iter().copied().chain(key.map(|column| Order { column, descending: false })).collect()
    }

    /// How many entities there are: what `/$count` answers.
    #[must_use]
    pub fn count(&self, entities: impl Iterator<Item = Entity>) -> u64 {
        let left = entities.filter(|entity| self.matches(entity)).count().saturating_sub(self.skip);
        u64::try_from(self.top.map_or(left, |top| left.min(top))).unwrap_or(u64::MAX)
    }

    /// The page that was asked for, of at most `page_max` entities and `bytes_max` bytes of their values; the first is on it in any case.
    ///
    /// Pages are told apart by what stood last on the one before, and not by numbers: what comes or goes meanwhile shifts nothing.
    #[must_use]
    pub fn page(&self, set: &EntitySet, entities: impl Iterator<Item = Entity>, page_max: usize, bytes_max: usize) -> Page {
        let order = self.whole_order(set.entity_type);
        let mut entities: Vec<Entity> = entities.filter(|entity| self.matches(entity)).collect();
        let count = self.count.then_some(u64::try_from(entities.len()).unwrap_or(u64::MAX));
        if let Some(after) = &self.after {
            entities.retain(|entity| against(entity, after, &order) == Ordering::Greater);
        }
        entities.sort_by(|one, another| compared(one, another, &order));
        entities.drain(..self.skip.min(entities.len()));
        entities.truncate(self.top.unwrap_or(usize::MAX));
        let fitting = fitting(&entities, bytes_max).min(page_max);
        let more = entities.len() > fitting;
        entities.truncate(fitting);
        let next = entities.last().filter(|_| more).map(|last| self.next(last, &order, fitting));
        Page { entities, count, next }
    }

    fn matches(&self, entity: &Entity) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.holds(entity))
    }

    fn next(&self, last: &Entity, order: &[Order], shown: usize) -> String {
        let kept = self.options.iter().filter(|(name, _)| !matches!(&**name, "$skip" | "$skiptoken" | "$top"));
        let mut pairs: Vec<_> = kept.cloned().collect();
        if let Some(top) = self.top {
            pairs.push(("$top".to_owned(), top.saturating_sub(shown).to_string()));
        }
        let token: Vec<_> = order.iter().map(|part| last.at(part.column).to_string()).collect();
        pairs.push(("$skiptoken".to_owned(), token.join(",")));
        let written: Vec<_> =
            pairs.iter().map(|(name, value)| format!("{}={}", text::encoded_value(name), text::encoded_value(value))).collect();
        written.join("&")
    }
}

/// How many of the first have so many bytes together at most, and one at least.
fn fitting(entities: &[Entity], bytes_max: usize) -> usize {
    let mut left = bytes_max;
    let fits = |entity: &&Entity| {
        let rest = left.checked_sub(entity.length());
        left = rest.unwrap_or(0);
        rest.is_some()
    };
    entities.iter().take_while(fits).count().max(1)
}

fn applies(option: &str, resource: &Resource) -> bool {
    match resource {
        Resource::Set(_) => true,
        Resource::Count(_) => matches!(option, "$filter" | "$orderby" | "$skip" | "$top"),
        Resource::Entity(..) => matches!(option, "$select" | "$expand"),
        Resource::Metadata | Resource::Property(..) | Resource::PropertyValue(..) | Resource::ServiceDocument => false,
    }
}

fn compared(one: &Entity, another: &Entity, order: &[Order]) -> Ordering {
    let parts = order.iter().map(|part| part.directed(one.at(part.column).order(another.at(part.column))));
    parts.fold(Ordering::Equal, Ordering::then)
}

fn against(entity: &Entity, place: &[Value], order: &[Order]) -> Ordering {
    let parts = order.iter().zip(place).map(|(part, value)| part.directed(entity.at(part.column).order(value)));
    parts.fold(Ordering::Equal, Ordering::then)
}

impl Order {
    const fn directed(self, ordering: Ordering) -> Ordering {
        if self.descending { ordering.reverse() } else { ordering }
    }
}

fn value_refused(option: &'static str, value: &str, allowed: impl Into<String>) -> ODataError {
    ODataError::OptionValue { option, value: shown(value), allowed: allowed.into() }
}

fn one_of<T: Copy>(option: &'static str, value: &str, table: &[(&'static str, T)]) -> Result<T, ODataError> {
    let names = || table.iter().map(|each| each.0).collect::<Vec<_>>().join(", ");
    table.iter().find(|each| each.0 == value).map(|each| each.1).ok_or_else(|| value_refused(option, value, names()))
}

fn number(option: &'static str, value: &str, max: u32) -> Result<usize, ODataError> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| value.parse::<u32>().ok()).flatten().filter(|number| *number <= max);
    number.and_then(|number| usize::try_from(number).ok()).ok_or_else(|| value_refused(option, value, format!("0 to {max}")))
}

fn select(entity_type: &'static EntityType, text: &str) -> Result<Select, ODataError> {
    let mut chosen = Vec::new();
    let mut everything = false;
    for name in text.split(',').map(str::trim) {
        match name {
            "*" => everything = true,
            _ => chosen.push(entity_type.column(name)?),
        }
    }
    Ok(Select((!everything).then_some(chosen)))
}

fn order(entity_type: &'static EntityType, text: &str) -> Result<Vec<Order>, ODataError> {
    let mut order: Vec<Order> = Vec::new();
    let mut cursor = Cursor::new("$orderby", text);
    loop {
        cursor.blanks();
        let name = cursor.word();
        if name.is_empty() {
            return Err(cursor.error("expected a property"));
        }
        let column = entity_type.column(name)?;
        cursor.blanks();
        let descending = cursor.eat_word("desc");
        if !descending {
            cursor.eat_word("asc");
        }
        cursor.blanks();
        if order.iter().any(|part| part.column == column) {
            return Err(ODataError::GivenTwice { property: name.to_owned() });
        }
        order.push(Order { column, descending });
        if order.len() > ORDER_MAX {
            return Err(ODataError::OrderTooLong);
        }
        if cursor.is_at_end() {
            return Ok(order);
        }
        cursor.expect(",")?;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{MACHINE, MODEL, machines};
    use super::super::{path, testing};
    use super::*;

    fn machines_set() -> &'static EntitySet {
        MODEL.set("Machines").unwrap()
    }

    fn read(path: &str, query: &str) -> Result<Query, ODataError> {
        parse(&path::parse(&MODEL, path)?, query)
    }

    fn numbers(page: &Page) -> Vec<i64> {
        page.entities.iter().map(|machine| machine.get("Cores").as_int().unwrap()).collect()
    }

    #[track_caller]
    fn check(query: &str, expected: &[i64]) {
        let page = read("Machines", query).unwrap().page(machines_set(), machines(6), 100, usize::MAX);
        assert_eq!(numbers(&page), expected, "{query}");
        assert_eq!(page.next, None, "{query}");
    }

    #[track_caller]
    fn refused(path: &str, query: &str, code: &str, message: &str) {
        let error = read(path, query).unwrap_err();
        assert_eq!(error.code(), code, "{query}: {error}");
        assert!(error.to_string().contains(message), "{query}: {error}");
    }

    // Names of 1 to 6: a b c a b c. Owners of 2, 4, 6: anna.

    #[test]
    fn options_leave_part_of_a_set() {
        check("", &[1, 2, 3, 4, 5, 6]);
        check("$filter=Name+eq+%27a%27", &[1, 4]);
        check("$filter=Name%20eq%20'a'%20or%20Cores%20gt%205", &[1, 4, 6]);
        check("$top=2", &[1, 2]);
        check("$top=0", &[]);
        check("$skip=4", &[5, 6]);
        check("$skip=9", &[]);
        check("$orderby=Cores desc", &[6, 5, 4, 3, 2, 1]);
        check("$orderby=Name,Cores%20desc", &[4, 1, 5, 2, 6, 3]);
        check("$orderby=Owner", &[1, 3, 5, 2, 4, 6]);
        check("$orderby=Owner desc", &[2, 4, 6, 1, 3, 5]);
        check("%24top=2&$skip=1&$orderby=Name asc , Cores desc", &[1, 5]);
        check("$inlinecount=none&RunAsynchronously=1&", &[1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn options_of_the_caller_are_kept_for_it() {
        let query = read("Machines", "RunAsynchronously=1&api-version=a%26b").unwrap();
        assert_eq!(query.custom("RunAsynchronously"), Some("1"));
        assert_eq!(query.custom("api-version"), Some("a&b"));
    }

    #[test]
    fn the_count_is_of_all_pages() {
        let query = read("Machines", "$inlinecount=allpages&$top=1&$filter=Cores lt 6").unwrap();
        assert_eq!(query.page(machines_set(), machines(6), 100, usize::MAX).count, Some(5));
        assert_eq!(read("Machines/$count", "$filter=Cores lt 6").unwrap().count(machines(6)), 5);
        assert_eq!(read("Machines/$count", "$skip=1&$top=3").unwrap().count(machines(6)), 3);
    }

    #[test]
    fn pages_follow_each_other_without_a_gap() {
        let mut query = "$orderby=Name desc&$filter=substringof(%27%26%27,Owner) ne true&x=%2B&$top=5&$inlinecount=allpages".to_owned();
        let mut seen = Vec::new();
        let mut pages = 0;
        loop {
            let page = read("Machines", &query).unwrap().page(machines_set(), machines(6), 2, usize::MAX);
            assert_eq!(page.count, Some(6));
            seen.extend(numbers(&page));
            pages += 1;
            let Some(next) = page.next else { break };
            assert_eq!(read("Machines", &next).unwrap().custom("x"), Some("+"));
            query = next;
        }
        assert_eq!((seen, pages), (vec![3, 6, 2, 5, 1], 3));
    }

    #[test]
    fn a_page_ends_before_it_has_too_many_bytes_and_has_one_entity_at_least() {
        let length = machines(1).next().unwrap().length();
        let shown = |bytes: usize, query: &str| {
            let page = read("Machines", query).unwrap().page(machines_set(), machines(5), 4, bytes);
            (numbers(&page), page.next)
        };
        let (first, next) = shown(2 * length, "$orderby=Cores&$top=3");
        assert_eq!(first, [1, 2]);
        assert_eq!(shown(2 * length, &next.unwrap()), (vec![3], None));
        for (bytes, expected) in [(0, vec![1]), (length - 1, vec![1]), (usize::MAX, vec![1, 2, 3, 4])] {
            assert_eq!(shown(bytes, "$orderby=Cores").0, expected, "{bytes}");
        }
    }

    #[test]
    fn what_comes_meanwhile_shifts_no_page() {
        let first = read("Machines", "$orderby=Cores desc").unwrap().page(machines_set(), machines(4), 2, usize::MAX);
        let second = read("Machines", &first.next.unwrap()).unwrap().page(machines_set(), machines(9), 2, usize::MAX);
        assert_eq!(numbers(&second), [2, 1]);
        assert_eq!(second.next, None);
    }

    #[test]
    fn only_chosen_properties_are_in_an_answer() {
        let names = |query: &str| {
            read("Machines", query).unwrap().select.columns(&MACHINE).iter().map(|each| each.property.name).collect::<Vec<_>>()
        };
        assert_eq!(names("$select=Name,ID"), ["ID", "Name"]);
        assert_eq!(names("$select=Name, *").len(), 8);
        assert_eq!(names("").len(), 8);
    }

    #[test]
    fn options_that_cannot_be_meant_are_refused() {
        let one = format!("Machines(ID=guid'{}',StampId=guid'{}')", testing::ID, testing::STAMP);
        refused("Machines", "$fliter=x", "UnknownOption", "did you mean `$filter`?");
        refused("Machines", "$search=x", "UnknownOption", "`$search`");
        refused("Machines", "$top=1&$top=2", "GivenTwice", "`$top`");
        refused("Machines", "$top=1001", "InvalidOption", "allowed: 0 to 1000");
        refused("Machines", "$top=-1", "InvalidOption", "0 to 1000");
        refused("Machines", "$top=+1", "InvalidOption", "0 to 1000");
        refused("Machines", "$skip=", "InvalidOption", "0 to 4294967295");
        refused("Machines", "$inlinecount=yes", "InvalidOption", "allpages, none");
        refused("Machines", "$format=xml", "InvalidOption", "atom, json, verbosejson");
        refused("Machines", "$filter=", "InvalidExpression", "character 1");
        refused("Machines", "$filter", "InvalidExpression", "character 1");
        refused("Machines", "$select=Nmae", "UnknownProperty", "did you mean `Name`?");
        refused("Machines", "$select=", "UnknownProperty", "");
        refused("Machines", "$orderby=Name up", "InvalidExpression", "`,`");
        refused("Machines", "$orderby=Name,", "InvalidExpression", "a property");
        refused("Machines", "$orderby=Name,Name desc", "GivenTwice", "`Name`");
        refused("Machines", "$expand=Owner", "NotOffered", "$expand");
        refused("Machines", "$skiptoken=1", "WrongKind", "`ID`");
        refused("Machines", "$orderby=Name&$skiptoken='a',5", "WrongKind", "`ID`");
        refused("Machines", "$orderby=Name&$skiptoken='a'", "InvalidExpression", "`,`");
        refused("Machines", "$filter=%zz", "InvalidEncoding", "");
        refused("Machines/$count", "$select=Name", "OptionMisplaced", "`$select`");
        refused(&one, "$filter=Running", "OptionMisplaced", "`$filter`");
        refused("$metadata", "$top=1", "OptionMisplaced", "`$top`");
        refused("Machines", &format!("x={}", "a".repeat(QUERY_BYTES_MAX)), "QueryTooLong", "8192");
        assert_eq!(read("$metadata", "$format=json").unwrap().format, Some(FormatOption::Json));
    }

    proptest! {
        #[test]
        fn no_query_makes_the_parser_panic(query in any::<String>(), option in prop::sample::select(OPTIONS.to_vec())) {
            let _unread = read("Machines", &query).is_ok();
            let _unread_option = read("Machines", &format!("{option}={query}")).is_ok();
        }

        #[test]
        fn pages_of_any_size_make_the_whole(page_max in 1_usize..7, order in prop::sample::select(vec!["", "&$orderby=Name", "&$orderby=Owner desc,Name desc"])) {
            let all = read("Machines", order).unwrap().page(machines_set(), machines(12), 100, usize::MAX);
            let mut query = order.to_owned();
            let mut seen = Vec::new();
            loop {
                let page = read("Machines", &query).unwrap().page(machines_set(), machines(12), page_max, usize::MAX);
                seen.extend(numbers(&page));
                let Some(next) = page.next else { break };
                query = next;
            }
            prop_assert_eq!(seen, numbers(&all));
        }
    }
}
