//! A scope: the place in the tree of tenants, management groups, subscriptions, groups and resources that a grant covers or a request addresses.

use std::fmt;

use crate::ids::SubscriptionId;

/// Where a scope hangs in the tree.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Anchor {
    /// `/`: the caller's home tenant.
    Tenant,
    /// `/providers/Microsoft.Management/managementGroups/{name}`.
    ManagementGroup(Box<str>),
    /// `/subscriptions/{id}`.
    Subscription(SubscriptionId),
}

/// An anchor and the decoded segments below it, in the casing they were written in.
///
/// Comparison is by whole segments and without case: `…/prod` never covers `…/prod2`.
#[derive(Debug, Clone)]
pub struct Scope {
    anchor: Anchor,
    /// Each segment after a slash; none contains one itself.
    below: Box<str>,
}

/// A text that does not name a scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Not absolute, an empty segment, a dot segment, or a character that no id contains.
    #[error("`{0}` is not a resource id; expected `/subscriptions/{{id}}[/resourceGroups/{{name}}[/providers/…]]`")]
    NotAnId(String),
    /// `/subscriptions/x` where `x` is not a GUID.
    #[error("the subscription id `{0}` is not a GUID")]
    SubscriptionId(String),
}

impl Scope {
    /// All that hangs there.
    #[must_use]
    pub fn whole(anchor: Anchor) -> Self {
        Self { anchor, below: Box::default() }
    }

    /// The whole subscription.
    #[must_use]
    pub fn subscription(id: SubscriptionId) -> Self {
        Self::whole(Anchor::Subscription(id))
    }

    /// One resource group of a subscription.
    #[must_use]
    pub fn resource_group(id: SubscriptionId, name: &str) -> Self {
        Self::below_anchor(Anchor::Subscription(id), &["resourceGroups", name])
    }

    /// `segments` are decoded and without slashes.
    fn below_anchor(anchor: Anchor, segments: &[&str]) -> Self {
        let mut below = String::with_capacity(segments.iter().map(|segment| 1 + segment.len()).sum());
        for segment in segments {
            below.push('/');
            below.push_str(segment);
        }
        Self { anchor, below: below.into() }
    }

    /// Reads `/`, `/subscriptions/…` or `/providers/Microsoft.Management/managementGroups/…`.
    ///
    /// # Errors
    /// When the text is not absolute, has an empty or dot segment, or names a subscription by something else than a GUID.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let not_an_id = || ScopeError::NotAnId(text.chars().take(256).collect());
        let rest = text.strip_prefix('/').ok_or_else(not_an_id)?;
        let segments: Vec<&str> = rest.split('/').collect();
        match segments.as_slice() {
            [""] => return Ok(Self::whole(Anchor::Tenant)),
            all if all.iter().any(|segment| !is_plain(segment)) => return Err(not_an_id()),
            _ => {}
        }
        Self::from_segments(&segments)
    }

    /// The scope of decoded path segments, anchored at the deepest of subscription and management group.
    ///
    /// # Errors
    /// When a subscription is named by something else than a GUID.
    pub fn from_segments(segments: &[&str]) -> Result<Self, ScopeError> {
        match segments {
            [first, id, rest @ ..] if first.eq_ignore_ascii_case("subscriptions") => {
                let id = id.parse().map_err(|_cause: crate::ids::NotAGuid| ScopeError::SubscriptionId(id.chars().take(64).collect()))?;
                Ok(Self::below_anchor(Anchor::Subscription(id), rest))
            }
            [providers, namespace, kind, name, rest @ ..]
                if providers.eq_ignore_ascii_case("providers")
                    && namespace.eq_ignore_ascii_case("Microsoft.Management")
                    && kind.eq_ignore_ascii_case("managementGroups") =>
            {
                Ok(Self::below_anchor(Anchor::ManagementGroup((*name).into()), rest))
            }
            rest => Ok(Self::below_anchor(Anchor::Tenant, rest)),
        }
    }

    /// Where the scope hangs.
    #[must_use]
    pub const fn anchor(&self) -> &Anchor {
        &self.anchor
    }

    /// The decoded segments below the anchor, each after a slash.
    #[must_use]
    pub const fn below(&self) -> &str {
        &self.below
    }

    /// The decoded segments below the anchor.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.below.get(1..).into_iter().flat_map(|segments| segments.split('/'))
    }

    /// The subscription that the scope lies in, if it lies in one.
    #[must_use]
    pub const fn subscription_id(&self) -> Option<SubscriptionId> {
        match self.anchor {
            Anchor::Subscription(id) => Some(id),
            Anchor::Tenant | Anchor::ManagementGroup(_) => None,
        }
    }

    /// The resource group that the scope is or lies in.
    #[must_use]
    pub fn resource_group_name(&self) -> Option<&str> {
        let mut segments = self.segments();
        segments.next().filter(|groups| groups.eq_ignore_ascii_case("resourceGroups"))?;
        segments.next()
    }

    /// Whether `other` is this scope or lies below it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let same_anchor = match (&self.anchor, &other.anchor) {
            (Anchor::Tenant, Anchor::Tenant) => true,
            (Anchor::ManagementGroup(mine), Anchor::ManagementGroup(theirs)) => mine.eq_ignore_ascii_case(theirs),
            (Anchor::Subscription(mine), Anchor::Subscription(theirs)) => mine == theirs,
            (Anchor::Tenant | Anchor::ManagementGroup(_) | Anchor::Subscription(_), _) => false,
        };
        let begins_alike = || other.below.get(..self.below.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(&self.below));
        let is_whole_segments = || matches!(other.below.as_bytes().get(self.below.len()), None | Some(b'/'));
        same_anchor && is_whole_segments() && begins_alike()
    }
}

fn is_plain(segment: &str) -> bool {
    let refused = |c: char| c.is_control() || matches!(c, '%' | '\\' | '?' | '#' | ';' | '<' | '>' | '&' | ':');
    !segment.is_empty() && segment != "." && segment != ".." && !segment.chars().any(refused)
}

impl PartialEq for Scope {
    fn eq(&self, other: &Self) -> bool {
        self.below.len() == other.below.len() && self.covers(other)
    }
}

impl Eq for Scope {}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.anchor {
            Anchor::Tenant if self.below.is_empty() => return f.write_str("/"),
            Anchor::Tenant => {}
            Anchor::ManagementGroup(name) => write!(f, "/providers/Microsoft.Management/managementGroups/{name}")?,
            Anchor::Subscription(id) => write!(f, "/subscriptions/{id}")?,
        }
        f.write_str(&self.below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUB: &str = "/subscriptions/8f2c1a10-0000-4000-8000-000000000001";

    #[track_caller]
    fn check(wide: &str, narrow: &str, expected: bool) {
        let covers = Scope::parse(wide).unwrap().covers(&Scope::parse(narrow).unwrap());
        assert_eq!(covers, expected, "{wide} covers {narrow}");
    }

    #[test]
    fn a_scope_covers_itself_and_what_lies_below_by_whole_segments() {
        check(SUB, SUB, true);
        check(SUB, &format!("{SUB}/resourceGroups/prod"), true);
        check(&format!("{SUB}/resourceGroups/prod"), &format!("{SUB}/RESOURCEGROUPS/Prod/providers/A.B/c/d"), true);
        check(&format!("{SUB}/resourceGroups/prod"), &format!("{SUB}/resourceGroups/prod2"), false);
        check(&format!("{SUB}/resourceGroups/prod"), SUB, false);
        check(SUB, "/subscriptions/8f2c1a10-0000-4000-8000-000000000002", false);
        check("/", SUB, false);
    }

    #[test]
    fn only_a_management_group_is_an_anchor_besides_tenant_and_subscription() {
        for (text, expected) in [
            ("/PROVIDERS/microsoft.management/ManagementGroups/mg/providers/A.B/c/d", Anchor::ManagementGroup("mg".into())),
            ("/providers/Microsoft.Support/supportTickets/t", Anchor::Tenant),
            ("/providers/Microsoft.Management/serviceGroups/g", Anchor::Tenant),
            ("/providers/Microsoft.Support/managementGroups/g", Anchor::Tenant),
            ("/x/Microsoft.Management/managementGroups/g", Anchor::Tenant),
        ] {
            assert_eq!(*Scope::parse(text).unwrap().anchor(), expected, "{text}");
        }
    }

    #[test]
    fn ids_print_as_they_were_written() {
        for text in ["/", SUB, "/providers/Microsoft.Management/managementGroups/root", "/providers/Microsoft.Support/operations"] {
            assert_eq!(Scope::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in ["", "subscriptions/x", "/subscriptions/x", "/subscriptions//x", "/a/../b", "/a/./b", "/a%2fb", "/a/b?c"] {
            assert!(Scope::parse(text).is_err(), "{text}");
        }
    }
}
