//! Resource ids: scopes, and types with names to paths.

use super::error::{Reason, quoted};
use super::value::same;

/// Characters of the longest resource name.
const NAME_CHARS_MAX: usize = 260;

/// A scope that a deployment can run at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A resource group.
    Group {
        /// GUID of the subscription.
        subscription: String,
        /// Name of the group.
        name: String,
    },
    /// `/providers/Microsoft.Management/managementGroups/{name}`
    ManagementGroup(String),
    /// `/subscriptions/{id}`
    Subscription(String),
    /// The tenant: `/`.
    Tenant,
}

impl Place {
    /// The path of the scope; empty for the tenant.
    pub(super) fn id(&self) -> String {
        match self {
            Self::Tenant => String::new(),
            Self::ManagementGroup(name) => format!("/providers/Microsoft.Management/managementGroups/{name}"),
            Self::Subscription(id) => format!("/subscriptions/{id}"),
            Self::Group { subscription, name } => format!("/subscriptions/{subscription}/resourceGroups/{name}"),
        }
    }

    /// The subscription, if it is in one.
    pub(super) fn subscription(&self) -> Option<&str> {
        match self {
            Self::Group { subscription, .. } | Self::Subscription(subscription) => Some(subscription),
            Self::ManagementGroup(_) | Self::Tenant => None,
        }
    }

    /// Reads the `scope` of a nested deployment.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let segments: Vec<&str> = text.trim_matches('/').split('/').filter(|segment| !segment.is_empty()).collect();
        let is = |a: &str, b: &str| same(a, b);
        match *segments {
            [] => Some(Self::Tenant),
            [s, id] if is(s, "subscriptions") => Some(Self::Subscription(id.to_owned())),
            [s, id, g, name] if is(s, "subscriptions") && is(g, "resourceGroups") => {
                Some(Self::Group { subscription: id.to_owned(), name: name.to_owned() })
            }
            [ns, groups, name] | [_, ns, groups, name]
                if is(ns, "Microsoft.Management")
                    && is(groups, "managementGroups")
                    && (segments.len() == 3 || is(segments.first()?, "providers")) =>
            {
                Some(Self::ManagementGroup(name.to_owned()))
            }
            [..] => None,
        }
    }
}

/// `{scope}/providers/{namespace}/{type}/{name}…`; types and names alternate.
///
/// Resource groups and subscriptions have no provider in their path.
///
/// # Errors
/// When there are not as many names as types, or a name cannot stand in a path.
pub(super) fn resource_id(scope: &str, resource_type: &str, name: &str) -> Result<String, Reason> {
    let resource_type = resource_type.trim_matches('/');
    let (namespace, types) =
        resource_type.split_once('/').ok_or_else(|| shape(resource_type, "a resource type such as `Namespace/type`"))?;
    let (types, names): (Vec<&str>, Vec<&str>) = (types.split('/').collect(), name.split('/').collect());
    if types.len() != names.len() {
        let problem = format!(
            "type `{}` has {} parts after its namespace, so its name needs as many, separated by /, not {}",
            quoted(resource_type),
            types.len(),
            names.len()
        );
        return Err(Reason::Syntax { problem });
    }
    names.iter().chain(&types).chain([&namespace]).try_for_each(|part| check_part(part))?;
    let pairs: String = types.iter().zip(&names).map(|(kind, name)| format!("/{kind}/{name}")).collect();
    let bare = same(namespace, "Microsoft.Resources") && types.first().is_some_and(|first| is_bare(scope, first));
    Ok(if bare { format!("{scope}{pairs}") } else { format!("{scope}/providers/{namespace}{pairs}") })
}

fn is_bare(scope: &str, first: &str) -> bool {
    if same(first, "resourceGroups") {
        scope.starts_with("/subscriptions/") && scope.split('/').count() == 3
    } else {
        same(first, "subscriptions") && scope.is_empty()
    }
}

fn check_part(part: &str) -> Result<(), Reason> {
    let wrong = |c: char| c.is_control() || matches!(c, '<' | '>' | '%' | '&' | ':' | '\\' | '?' | '#');
    let problem = if part.is_empty() {
        "is empty".to_owned()
    } else if part.chars().count() > NAME_CHARS_MAX {
        format!("has more than {NAME_CHARS_MAX} characters")
    } else if part.chars().all(|c| c == '.') {
        "consists of dots".to_owned()
    } else if let Some(c) = part.chars().find(|c| wrong(*c)) {
        format!("contains `{}`", c.escape_default())
    } else {
        return Ok(());
    };
    Err(Reason::Syntax { problem: format!("part of a resource type or name {problem}; names are made of other characters, at least one") })
}

fn shape(_found: &str, expected: &str) -> Reason {
    Reason::Shape { what: "the type of a resource".to_owned(), expected: expected.to_owned(), found: "a text without /" }
}

/// The type in a resource id, `Namespace/type/…`, and the name, `a/b`. Of several providers the last one counts.
pub(super) fn type_and_name(id: &str) -> Option<(String, String)> {
    let lower = id.to_ascii_lowercase();
    let (namespace, pairs) = match lower.rfind("/providers/") {
        Some(at) => id.get(at + "/providers/".len()..)?.split_once('/')?,
        None => ("Microsoft.Resources", id.trim_start_matches('/')),
    };
    let parts: Vec<&str> = pairs.split('/').collect();
    let every_other = |from: usize| parts.iter().skip(from).step_by(2).copied().collect::<Vec<_>>().join("/");
    Some((format!("{namespace}/{}", every_other(0)), every_other(1)))
}
