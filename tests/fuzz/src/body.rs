//! Places that bodies and queries name: what anybody could find in them by searching, the scanner found.
//!
//! The first line is the scope of the request, the rest is its body, or behind a question mark its query.

use serde_json::Value;
use steward::arm::links::{actions_on, in_json, in_query};
use steward::arm::scope::Scope;
use steward::ids::SubscriptionId;

use super::unescaped;

const OWN: &str = "/subscriptions/0f2c1a10-0000-4000-8000-000000000001/resourceGroups/rg/providers/A.B/c/d";

/// How often a careless reader decodes.
const DECODINGS_MAX: usize = 3;

pub(super) fn run(data: &[u8]) {
    let mut halves = data.splitn(2, |byte| *byte == b'\n');
    let (first, text) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    let own = std::str::from_utf8(first).ok().and_then(|first| Scope::parse(first).ok());
    let own = own.unwrap_or_else(|| Scope::parse(OWN).expect("a scope"));
    match text.strip_prefix(b"?").map(std::str::from_utf8) {
        Some(Ok(query)) => check_query(query, &own),
        Some(Err(_)) => {}
        None => check_json(text, &own),
    }
}

fn check_query(query: &str, own: &Scope) {
    let Ok(found) = in_query(query, own) else { return };
    let known = Known { own, found: &found };
    for pair in query.split('&') {
        let pair = pair.replace('+', " ");
        let (name, value) = pair.split_once('=').unwrap_or((&pair, ""));
        known.check_text(name);
        known.check_text(value);
        if name.eq_ignore_ascii_case("subscriptionId") {
            known.check_bare(value);
        }
    }
}

fn check_json(text: &[u8], own: &Scope) {
    let Ok(found) = in_json(text, own) else { return };
    let value: Value = serde_json::from_slice(text).expect("what was scanned is JSON");
    steward::json::strict(text).expect("what was scanned has no name twice");
    let known = Known { own, found: &found };
    known.walk(&value, "");
    for place in &found {
        let needed = actions_on(place);
        assert!(needed.is_none_or(|actions| !actions.is_empty()), "{place}");
        assert!(place != own, "{place} is the request's own");
    }
}

struct Known<'f> {
    own: &'f Scope,
    found: &'f [Scope],
}

impl Known<'_> {
    fn walk(&self, value: &Value, member: &str) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => {
                self.check_text(text);
                if let Some(id) = text.strip_prefix("SubscriptionId=") {
                    self.check_bare(id);
                }
                if member.to_lowercase().contains("subscription") {
                    self.check_bare(text);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.walk(item, member)),
            Value::Object(members) => {
                self.check_pair(members);
                if let (true, Some(id)) = (member.eq_ignore_ascii_case("subscription"), members.get("guid").and_then(Value::as_str)) {
                    self.check_bare(id);
                }
                for (name, value) in members {
                    self.check_text(name);
                    self.walk(value, name);
                }
            }
        }
    }

    /// The value of a pair whose name is that of a subscription's id, whichever of them comes first.
    fn check_pair(&self, members: &serde_json::Map<String, Value>) {
        let is_named = members.get("name").and_then(Value::as_str) == Some("subscriptionId");
        if let Some(id) = members.get("value").and_then(Value::as_str).filter(|_| is_named) {
            self.check_bare(id);
        }
    }

    fn check_text(&self, text: &str) {
        let mut text = text.to_owned();
        for _ in 0..=DECODINGS_MAX {
            self.check_subscriptions(&text);
            self.check_whole(&text);
            text = unescaped(&text);
        }
    }

    /// Every `subscriptions/{id}` is the request's own subscription, or somewhere below it something was found.
    fn check_subscriptions(&self, text: &str) {
        let text = folded(text).to_ascii_lowercase();
        for (at, word) in text.match_indices("subscriptions/") {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            let behind = text.get(at + word.len()..).unwrap_or_default();
            let id: Option<SubscriptionId> = behind.get(..36).and_then(|id| id.parse().ok());
            let goes_on = behind.get(36..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_hexdigit() || c == '-'));
            if let Some(id) = id.filter(|_| !goes_on && !before.is_some_and(|before| before.is_ascii_alphanumeric())) {
                self.check_id(id, &text);
            }
        }
    }

    fn check_bare(&self, text: &str) {
        if let Ok(id) = text.parse() {
            self.check_id(id, text);
        }
    }

    fn check_id(&self, id: SubscriptionId, text: &str) {
        let is_found = self.found.iter().any(|place| place.subscription_id() == Some(id));
        assert!(is_found || self.own.subscription_id() == Some(id), "{id} was not found in {text}");
    }

    /// A text that is an id and nothing else is the request's own place, what that lies in, a part of it, or was found just so.
    fn check_whole(&self, text: &str) {
        let plain = |segment: &str| {
            !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
        };
        let Some(rest) = text.strip_prefix('/') else { return };
        if !rest.split('/').all(plain) {
            return;
        }
        let Ok(place) = Scope::parse(text) else { return };
        let is_anchored =
            place.subscription_id().is_some() || text.to_lowercase().starts_with("/providers/microsoft.management/managementgroups/");
        let (own, named) = (self.own.to_string().to_lowercase(), place.to_string().to_lowercase());
        let lies_around = own.starts_with(&format!("{named}/")) && place.resource_group_name().is_some();
        let is_part = named.starts_with(&format!("{own}/")) && own.split('/').any(|segment| segment == "providers");
        let is_own = own == named || lies_around || is_part;
        assert!(!is_anchored || is_own || self.found.contains(&place), "{place} was not found");
    }
}

/// With one slash wherever there are several, turned or not.
fn folded(text: &str) -> String {
    let mut folded = text.replace('\\', "/");
    while folded.contains("//") {
        folded = folded.replace("//", "/");
    }
    folded
}
