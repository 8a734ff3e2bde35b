//! Method and path to actions and scope, and patterns of actions.
//!
//! The input is lines: method, path, and then patterns, each behind `+` or, for what is taken out, `-`.

use steward::arm::action::{Action, ActionError, Derived, Kind, Method, derive};
use steward::arm::path::CanonicalPath;
use steward::arm::scope::Scope;
use steward::delegation::roles::{Permission, RoleCatalogue};

/// Patterns of one input.
const PATTERNS_MAX: usize = 8;

pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let (method, path) = (lines.next().unwrap_or_default().parse::<Method>(), lines.next().unwrap_or_default());
    let mut actions = Vec::new();
    if let (Ok(method), Ok(path)) = (method, CanonicalPath::parse(path)) {
        let derived = derive(method, &path);
        in_any_case(method, &path, &derived);
        if let Ok(derived) = derived {
            check(method, &path, &derived);
            actions = derived.actions;
        }
    }
    actions.extend(path.parse::<Action>());
    let patterns: Vec<&str> = lines.take(PATTERNS_MAX).collect();
    check_patterns(&actions, &patterns);
}

fn in_any_case(method: Method, path: &CanonicalPath, derived: &Result<Derived, ActionError>) {
    for text in [path.as_str().to_ascii_uppercase(), path.as_str().to_ascii_lowercase()] {
        let other = derive(method, &CanonicalPath::parse(&text).expect("a canonical path in another case is one"));
        match (derived, &other) {
            (Ok(one), Ok(other)) => assert_eq!(one, other, "{method} {path}"),
            (Err(one), Err(other)) => assert_eq!(std::mem::discriminant(one), std::mem::discriminant(other), "{method} {path}"),
            (_, _) => panic!("{method} {path}: {derived:?}, but {other:?}"),
        }
    }
    let twin = match method {
        Method::Get => Method::Head,
        Method::Put => Method::Patch,
        same @ (Method::Delete | Method::Head | Method::Patch | Method::Post) => same,
    };
    assert_eq!(
        derive(twin, path).ok().map(|derived| derived.actions),
        derived.as_ref().ok().map(|derived| derived.actions.clone()),
        "{path}"
    );
}

fn check(method: Method, path: &CanonicalPath, derived: &Derived) {
    let segments: Vec<&str> = path.segments().collect();
    assert!(!derived.actions.is_empty(), "{method} {path}");
    for (place, action) in derived.actions.iter().enumerate() {
        assert_eq!(action.as_str().parse::<Action>().as_ref(), Ok(action), "{method} {path}");
        let verb = action.key().rsplit('/').next().unwrap_or_default();
        let verbs: &[&str] = match method {
            Method::Get | Method::Head if place == 0 => &["read"],
            // What has the name of something that is done takes the right to do it as well.
            Method::Get | Method::Head => &["read", "action"],
            Method::Put | Method::Patch => &["write"],
            Method::Delete => &["delete"],
            Method::Post => &["action", "read"],
        };
        assert!(verbs.contains(&verb), "{method} {path}: {action}");
    }
    // The scope is where the path leads, or around it: a grant beside it is never enough.
    let whole = Scope::from_segments(&segments).expect("a scope, for there are actions");
    let (around, within) = (derived.scope.to_string().to_lowercase(), whole.to_string().to_lowercase());
    let rest = if around == "/" { Some("/") } else { within.strip_prefix(&*around) };
    assert!(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')), "{method} {path}: {around}");
    assert_eq!(derived.scope.subscription_id(), whole.subscription_id(), "{method} {path}");
    assert_eq!(derived.scope.resource_group_name(), whole.resource_group_name().filter(|_| segments.len() > 3), "{method} {path}");
    check_provider(method, path, derived, &segments);
}

/// The provider is the word behind `providers` that is said to be it, and by the rule the types are every second segment behind.
fn check_provider(method: Method, path: &CanonicalPath, derived: &Derived, segments: &[&str]) {
    let rest = match derived.provider_at {
        None => segments,
        Some(at) => {
            assert!(segments.get(at).is_some_and(|word| word.eq_ignore_ascii_case("providers")), "{method} {path}");
            segments.get(at + 1..).unwrap_or_default()
        }
    };
    let (namespace, block) = match (derived.provider_at, rest) {
        (Some(_), [namespace, block @ ..]) => (namespace.to_ascii_lowercase(), block),
        (_, block) => ("microsoft.resources".to_owned(), block),
    };
    let is_bare_provider = derived.provider_at.is_some() && block.is_empty();
    let expected = if is_bare_provider { "microsoft.resources" } else { &*namespace };
    for action in &derived.actions {
        assert_eq!(action.key().split('/').next(), Some(expected), "{method} {path}: {action}");
    }
    let is_odd = namespace == "microsoft.features";
    if let ([action], false, false) = (derived.actions.as_slice(), is_bare_provider, is_odd) {
        let types: Vec<String> = block.iter().step_by(2).map(|kind| kind.to_ascii_lowercase()).collect();
        let (_, last) = action.key().rsplit_once('/').expect("a verb");
        let by_rule = format!("{namespace}/{}/{last}", types.join("/"));
        // What differs from the rule is a row of a table, and then the rule's own action is not one that a catalogue knows.
        let is_exception = action.key() != by_rule;
        assert!(!is_exception || is_in_the_table(&namespace), "{method} {path}: {action}, by the rule {by_rule}");
    }
    let is_collection = derived.kind == Kind::Collection;
    assert!(!is_collection || matches!(method, Method::Get | Method::Head), "{method} {path}");
}

/// Providers with operations whose actions do not follow from the rule: those of `arm::action::exceptions`.
fn is_in_the_table(namespace: &str) -> bool {
    let table = include_str!("../../../src/arm/action/exceptions.rs").to_ascii_lowercase();
    table.contains(&format!("\"{namespace}\","))
}

fn check_patterns(actions: &[Action], lines: &[&str]) {
    let of = |mark: char| lines.iter().filter_map(|line| line.strip_prefix(mark)).collect::<Vec<_>>();
    let (wanted, taken_out) = (of('+'), of('-'));
    let Ok(block) = Permission::new(&wanted, &taken_out) else { return };
    for action in actions {
        let matches = |pattern: &&str| glob(pattern.trim().to_ascii_lowercase().as_bytes(), action.key().as_bytes());
        let expected = wanted.iter().any(matches) && !taken_out.iter().any(matches);
        assert_eq!(block.permits(action), expected, "{action}: {wanted:?} without {taken_out:?}");
        let all_but = Permission::new(&["*"], &[action.as_str()]).expect("an action is a pattern");
        assert!(!all_but.permits(action), "{action}");
    }
    if let Some(action) = actions.first() {
        check_catalogue(action);
    }
}

/// The index of roles says what asking each of them says. A few are asked: the catalogue has hundreds.
fn check_catalogue(action: &Action) {
    let roles = RoleCatalogue::builtin();
    let granting = roles.granting(action);
    let first = action.key().bytes().map(usize::from).sum::<usize>() % 97;
    for (index, role) in roles.iter().skip(first).step_by(97) {
        assert_eq!(granting.contains(index), role.permits(action), "{} and {action}", role.name());
    }
}

/// By a table of what matches up to where, which knows no cleverness.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for byte in pattern {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match byte {
                b'*' => reached[at] || at > 0 && next[at - 1],
                byte => at > 0 && reached[at - 1] && text[at - 1] == *byte,
            };
        }
        reached = next;
    }
    reached[text.len()]
}
