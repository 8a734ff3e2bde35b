//! Every request of the public facts derives the action, and where it is known the scope, that the resource manager checks.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test panics when it fails, and prints how many requests it has looked at"
)]

use std::collections::BTreeMap;

use steward::arm::action::{Derived, Method, derive};
use steward::arm::path::CanonicalPath;

const REQUESTS: &str = include_str!("data/request-actions.tsv");
const EXCEPTIONS: &str = include_str!("data/exceptions.tsv");
const SUBSCRIPTION: &str = "/subscriptions/11111111-2222-3333-4444-555555555555";
const SHADOWED: &str = "singleton-child-shadowed";

struct Row<'t> {
    class: &'t str,
    method: &'t str,
    path: String,
    action: &'t str,
    /// The scope in `request-actions.tsv`, the action by the rule in `exceptions.tsv`.
    last: Option<&'t str>,
}

fn rows(table: &'static str) -> impl Iterator<Item = Row<'static>> {
    table.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut columns = line.split('\t');
        let mut column = || columns.next().unwrap_or_else(|| panic!("a column is missing in {line}"));
        Row { class: column(), method: column(), path: expand(column()), action: column(), last: columns.next() }
    })
}

fn expand(path: &str) -> String {
    path.strip_prefix('~').map_or_else(|| path.to_owned(), |rest| format!("{SUBSCRIPTION}{rest}"))
}

fn derived(row: &Row<'_>) -> Derived {
    let method: Method = row.method.parse().unwrap();
    let path = CanonicalPath::parse(&row.path).unwrap();
    assert_eq!(path.as_str(), row.path, "a well-formed path is its own canonical form");
    derive(method, &path).unwrap_or_else(|error| panic!("{} {}: {error}", row.method, row.path))
}

fn keys(derived: &Derived) -> Vec<&str> {
    derived.actions.iter().map(|action| action.key()).collect()
}

#[test]
fn every_known_request_derives_its_action_and_scope() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut scopes = 0;
    for row in rows(REQUESTS) {
        let derived = derived(&row);
        let action = row.action.to_ascii_lowercase();
        let required = if row.class == SHADOWED { 2 } else { 1 };
        assert_eq!(keys(&derived).len(), required, "{} {}", row.method, row.path);
        assert_eq!(keys(&derived).last(), Some(&action.as_str()), "{} {}", row.method, row.path);
        if let Some(scope) = row.last {
            assert_eq!(derived.scope.to_string(), expand(scope), "{} {}", row.method, row.path);
            scopes += 1;
        }
        *counts.entry(row.class).or_default() += 1;
    }
    println!("requests that derive the stated action, by class: {counts:?}; with a stated scope: {scopes}");
    assert_eq!((counts["rule"], counts.values().sum::<usize>(), scopes), (1951, 1997, 12));
}

#[test]
fn every_settled_exception_derives_its_action() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows(EXCEPTIONS) {
        let by_rule = row.last.unwrap().to_ascii_lowercase();
        let action = row.action.to_ascii_lowercase();
        let expected = if row.class == SHADOWED { vec![by_rule.as_str(), action.as_str()] } else { vec![action.as_str()] };
        assert_eq!(keys(&derived(&row)), expected, "{} {}", row.method, row.path);
        *counts.entry(row.class).or_default() += 1;
    }
    println!("exceptions that derive the stated action, by class: {counts:?}");
    assert_eq!(counts.values().sum::<usize>(), 87);
}
