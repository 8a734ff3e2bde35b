//! Paths and their queries: what is judged is what every backend reads.

use steward::arm::names;
use steward::arm::path::{CanonicalPath, PATH_BYTES_MAX, SEGMENTS_MAX};
use steward::arm::query::ApiVersion;
use steward::arm::scope::{Anchor, Scope};

use super::unescaped;

pub(super) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (raw, query) = text.split_once('?').unwrap_or((text, ""));
    if let Ok(path) = CanonicalPath::parse(raw) {
        check(raw, &path);
    }
    if let Ok(version) = ApiVersion::from_query(query) {
        let of_version = |pair: &&str| unescaped(pair.split('=').next().unwrap_or_default()).eq_ignore_ascii_case("api-version");
        assert_eq!(query.split('&').filter(of_version).count(), 1, "{query}");
        assert!(version.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')), "{query}");
        assert_eq!(ApiVersion::new(version.as_str()), Some(version), "{query}");
    }
}

fn check(raw: &str, path: &CanonicalPath) {
    let canonical = path.as_str();
    assert_eq!(CanonicalPath::parse(canonical).as_ref(), Ok(path), "{raw}");
    assert!(canonical.len() <= PATH_BYTES_MAX && path.segments().len() <= SEGMENTS_MAX, "{raw}");
    let segments: Vec<&str> = path.segments().collect();
    for text in [raw, canonical] {
        for decodings in 0..=3 {
            assert_eq!(careless(text, decodings), segments, "{text} decoded {decodings} times");
        }
    }
    for place in 0..segments.len() {
        let (before, behind) = path.split_at(place);
        let whole: Vec<&str> = before.chain(segments.get(place).copied()).chain(behind).collect();
        assert_eq!(whole, segments, "{raw}");
    }
    // Whatever it says of the names, it says so without a panic.
    let _are_names = names::check(path).is_ok();
    if let Ok(scope) = Scope::from_segments(&segments) {
        check_scope(&segments, &scope);
    }
}

/// The segments that a backend reads that decodes so many times, folds slashes, cuts at delimiters, drops parameters and blanks, and resolves dots.
fn careless(text: &str, decodings: usize) -> Vec<String> {
    let mut text = text.to_owned();
    for _ in 0..decodings {
        text = unescaped(&text);
    }
    let text = text.replace('\\', "/");
    // Once decoded, what is left of a delimiter would be one.
    let text = if decodings == 0 { &*text } else { text.split(['?', '#']).next().unwrap_or_default() };
    let mut segments: Vec<String> = Vec::new();
    for segment in text.split('/') {
        // A reader that compares without decoding compares with the name as it has to be written.
        let segment = if decodings == 0 { unescaped(segment) } else { segment.to_owned() };
        let name = segment.split([';', '\0']).next().unwrap_or_default().trim().trim_end_matches('.');
        match name {
            "" if segment == ".." => drop(segments.pop()),
            "" => {}
            name => segments.push(name.to_owned()),
        }
    }
    segments
}

/// A scope is the path's own segments, and covers whole segments only.
fn check_scope(segments: &[&str], scope: &Scope) {
    let anchor: Vec<String> = match scope.anchor() {
        Anchor::Tenant => Vec::new(),
        Anchor::ManagementGroup(name) => ["providers", "Microsoft.Management", "managementGroups", name].map(str::to_owned).into(),
        Anchor::Subscription(id) => vec!["subscriptions".to_owned(), id.to_string()],
    };
    let parts: Vec<&str> = anchor.iter().map(String::as_str).chain(scope.segments()).collect();
    assert_eq!(parts.join("/").to_lowercase(), segments.join("/").to_lowercase());
    assert!(scope.covers(scope) && Scope::whole(scope.anchor().clone()).covers(scope), "{scope}");
    let grown = |suffix: &str| Scope::from_segments(&segments.iter().copied().chain([suffix]).collect::<Vec<_>>()).ok();
    if let Some(below) = grown("x").filter(|below| below.anchor() == scope.anchor()) {
        assert!(scope.covers(&below) && !below.covers(scope), "{scope}");
    }
    if let Some((last, before)) = segments.split_last().filter(|_| !scope.below().is_empty()) {
        let longer = format!("{last}x");
        let sibling = Scope::from_segments(&before.iter().copied().chain([&*longer]).collect::<Vec<_>>());
        assert!(sibling.is_err() || sibling.is_ok_and(|sibling| !scope.covers(&sibling) && !sibling.covers(scope)), "{scope}");
    }
    if let Ok(read) = Scope::parse(&scope.to_string()) {
        assert_eq!(&read, scope);
    }
}
