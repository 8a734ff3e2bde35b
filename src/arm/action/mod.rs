//! Actions of the management plane, and how a request asks for them.
//!
//! `{provider}/{type}/{verb}`, derived from method and path alone. A request whose shape is not known has no action, and what
//! has no action is refused. Data actions do not exist here.

mod derive;
mod exceptions;
mod invoked;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

pub use derive::{ActionError, Derived, Kind, derive};

/// How much of a refused text an error shows, in characters.
const SHOWN_MAX: usize = 128;

/// An action such as `Microsoft.Compute/virtualMachines/start/action`. Compared without case, printed as it was written.
#[derive(Clone)]
pub struct Action {
    /// As it was written, and then once more in lower case.
    both: Box<str>,
}

/// A text that is not an action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an action; expected `{{provider}}/{{type}}/…/{{read|write|delete|action}}` without wildcards")]
pub struct NotAnAction(String);

impl Action {
    /// The words of an action, which are put between slashes.
    fn of<'w>(words: impl Iterator<Item = &'w str> + Clone) -> Self {
        let length: usize = words.clone().map(|word| word.len() + 1).sum::<usize>().saturating_sub(1);
        let mut both = String::with_capacity(2 * length);
        for (before, word) in words.enumerate() {
            both.extend((before > 0).then_some('/'));
            both.push_str(word);
        }
        both.extend_from_within(..);
        if let Some(key) = both.get_mut(length..) {
            key.make_ascii_lowercase();
        }
        Self { both: both.into() }
    }

    /// The action as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.both.get(..self.both.len() / 2).unwrap_or_default()
    }

    /// The action in lower case: equal for equal actions.
    #[must_use]
    pub fn key(&self) -> &str {
        self.both.get(self.both.len() / 2..).unwrap_or_default()
    }
}

impl FromStr for Action {
    type Err = NotAnAction;

    fn from_str(text: &str) -> Result<Self, NotAnAction> {
        let verb = text.rsplit('/').next().unwrap_or_default();
        let known_verb = ["read", "write", "delete", "action"].iter().any(|known| known.eq_ignore_ascii_case(verb));
        let well_formed = text.contains('/') && text.split('/').all(is_word);
        if known_verb && well_formed { Ok(Self::of(text.split('/'))) } else { Err(NotAnAction(text.chars().take(SHOWN_MAX).collect())) }
    }
}

/// Whether a path segment can be a provider or a type: names with blanks or wildcards can not.
fn is_word(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'$'))
}

impl PartialEq for Action {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Action {}

impl Hash for Action {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The methods of the management plane. Source: Azure Resource Manager RPC, "Proxy API reference".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `DELETE`
    Delete,
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `PATCH`
    Patch,
    /// `POST`
    Post,
    /// `PUT`
    Put,
}

/// A method that the management plane does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the method `{0}` does not exist in the management plane; use GET, HEAD, PUT, PATCH, POST or DELETE")]
pub struct UnknownMethod(String);

impl Method {
    const ALL: [Self; 6] = [Self::Delete, Self::Get, Self::Head, Self::Patch, Self::Post, Self::Put];

    /// The method as HTTP spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

impl FromStr for Method {
    type Err = UnknownMethod;

    /// Methods are case-sensitive. Source: RFC 9110 §9.1.
    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        let known = Self::ALL.into_iter().find(|method| method.as_str() == text);
        known.ok_or_else(|| UnknownMethod(text.chars().take(SHOWN_MAX).collect()))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use super::*;

    #[test]
    fn actions_are_equal_in_any_case_and_print_as_written() {
        let action: Action = "Microsoft.Compute/virtualMachines/Start/ACTION".parse().unwrap();
        let same: Action = "microsoft.compute/VIRTUALMACHINES/start/Action".parse().unwrap();
        let other: Action = "Microsoft.Compute/virtualMachines/Stop/ACTION".parse().unwrap();
        assert_eq!(action, same);
        assert_ne!(action, other);
        let hash = |action: &Action| {
            let mut hasher = DefaultHasher::new();
            action.hash(&mut hasher);
            hasher.finish()
        };
        assert_eq!(hash(&action), hash(&same));
        assert_ne!(hash(&action), hash(&other));
        assert_eq!(action.to_string(), "Microsoft.Compute/virtualMachines/Start/ACTION");
        assert_eq!(format!("{action:?}"), "\"Microsoft.Compute/virtualMachines/Start/ACTION\"");
        assert_eq!(action.key(), "microsoft.compute/virtualmachines/start/action");
    }

    #[test]
    fn what_is_not_an_action_does_not_parse() {
        for text in ["", "read", "*/read", "Microsoft.Compute/virtualMachines", "A.B//read", "A.B/c d/read", "A.B/c/*"] {
            assert!(text.parse::<Action>().is_err(), "{text}");
        }
    }

    #[test]
    fn methods_are_spelled_exactly() {
        for method in Method::ALL {
            assert_eq!(method.as_str().parse(), Ok(method));
        }
        for text in ["get", "OPTIONS", "TRACE", "CONNECT", "MERGE", "", "GET "] {
            assert!(text.parse::<Method>().is_err(), "{text}");
        }
    }
}
