//! Patterns of actions.

use crate::arm::action::Action;

/// A pattern of actions such as `Microsoft.Compute/*/read`. `*` stands for any run of characters, slashes included; everything
/// else is compared without case. Source: Azure role definitions, "Actions".
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Box<str>,
    key: Box<str>,
}

/// A text that cannot be a pattern of actions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a pattern of actions; expected `*`, or `{{provider}}/{{type}}/{{verb}}` with or without `*`")]
pub struct NotAPattern {
    text: String,
}

impl Pattern {
    /// Reads a pattern; blanks at its ends do not count.
    ///
    /// # Errors
    /// When nothing is left, or when it contains blanks, control characters or no slash and no `*`.
    pub fn parse(text: &str) -> Result<Self, NotAPattern> {
        let trimmed = text.trim();
        let plain = !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_graphic());
        if plain && trimmed.contains(['/', '*']) {
            Ok(Self { text: trimmed.into(), key: trimmed.to_ascii_lowercase().into() })
        } else {
            Err(NotAPattern { text: text.chars().take(128).flat_map(char::escape_default).collect() })
        }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the pattern covers `action`.
    #[must_use]
    pub fn covers(&self, action: &Action) -> bool {
        covers(&self.key, action.key())
    }

    /// The provider in lower case that every covered action has; nothing when the pattern leaves it open.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.key.split_once('/').map(|(namespace, _)| namespace).filter(|namespace| !namespace.contains('*'))
    }

    pub(super) fn has_wildcard(&self) -> bool {
        self.key.contains('*')
    }

    /// Whether both are written alike but for case: nothing is expanded.
    pub(super) fn is_literally(&self, text: &str) -> bool {
        self.key.eq_ignore_ascii_case(text)
    }
}

/// Leftmost matches of the middle pieces are as good as any, because each is followed by a `*`.
fn covers(pattern: &str, key: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(rest) = pieces.next().and_then(|first| key.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        return rest.is_empty();
    };
    let Some(middle) = rest.strip_suffix(last) else {
        return false;
    };
    pieces.try_fold(middle, |rest, piece| rest.split_once(piece).map(|(_, behind)| behind)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, action: &str, expected: bool) {
        let covered = Pattern::parse(pattern).unwrap().covers(&action.parse().unwrap());
        assert_eq!(covered, expected, "{pattern} covers {action}");
    }

    #[test]
    fn a_star_covers_any_run_of_characters() {
        check("*", "Microsoft.Compute/virtualMachines/read", true);
        check("*/read", "Microsoft.Compute/virtualMachines/extensions/read", true);
        check("*/read", "Microsoft.Compute/virtualMachines/write", false);
        check("Microsoft.Compute/*/read", "Microsoft.Compute/virtualMachines/extensions/read", true);
        check("Microsoft.Compute/virtualMachines/*", "Microsoft.Compute/virtualMachines/start/action", true);
        check("Microsoft.Compute/virtual*/start/*", "microsoft.compute/VIRTUALMACHINES/start/action", true);
        check("A.B/*/c/*/read", "A.B/x/c/y/c/z/read", true);
        check("A.B/*/c/*/read", "A.B/x/y/read", false);
        check("A.B/*a*a*/read", "A.B/ba/read", false);
    }

    #[test]
    fn a_provider_is_not_a_prefix_of_another() {
        check("Microsoft.Web/*", "Microsoft.WebPubSub/webPubSub/read", false);
        check("Microsoft.Web/*", "Microsoft.Web/sites/read", true);
    }

    #[test]
    fn the_pieces_around_a_star_do_not_overlap() {
        check("A.B/read*read", "A.B/read", false);
        check("A.B/c/read", "A.B/c/read", true);
        check("A.B/c/rea", "A.B/c/read", false);
        check("Microsoft.Insights/alertRules/", "Microsoft.Insights/alertRules/read", false);
    }

    #[test]
    fn blanks_at_the_ends_do_not_count_and_others_are_refused() {
        check("Microsoft.Network/virtualNetworks/read ", "Microsoft.Network/virtualNetworks/read", true);
        for text in ["", "  ", "a b/read", "read", "A.B/\u{1}/read", "A.B/\u{e9}"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
