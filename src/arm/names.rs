//! Rules for the names in a path. Source: Azure Resource Manager, "Naming rules and restrictions for Azure resources".

use super::path::CanonicalPath;

/// Characters of the longest resource group name.
pub const RESOURCE_GROUP_NAME_MAX: usize = 90;

/// Characters of the longest resource name.
pub const RESOURCE_NAME_MAX: usize = 260;

/// A name that no resource can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A resource name with a forbidden character.
    #[error("the resource name `{name}` contains `{character}`; none of < > % & : \\ ? / is allowed")]
    Resource {
        /// The name.
        name: String,
        /// The character at fault.
        character: char,
    },
    /// A resource group name with a forbidden character, or one that ends with a dot.
    #[error("the resource group name `{name}` contains `{character}`; allowed are letters, digits, _ - ( ) and . inside the name")]
    ResourceGroup {
        /// The name.
        name: String,
        /// The character at fault.
        character: char,
    },
    /// A resource group name longer than [`RESOURCE_GROUP_NAME_MAX`].
    #[error("the resource group name has {length} characters; allowed: {RESOURCE_GROUP_NAME_MAX}")]
    ResourceGroupTooLong {
        /// Characters of the name.
        length: usize,
    },
    /// A resource name longer than [`RESOURCE_NAME_MAX`].
    #[error("the resource name has {length} characters; allowed: {RESOURCE_NAME_MAX}")]
    ResourceTooLong {
        /// Characters of the name.
        length: usize,
    },
}

/// Checks every name in the path of a management request.
///
/// # Errors
/// At the first name that is too long or has a forbidden character.
pub fn check(path: &CanonicalPath) -> Result<(), NameError> {
    let mut segments = path.segments();
    let in_subscription = segments.next().is_some_and(|first| first.eq_ignore_ascii_case("subscriptions"));
    let in_group = in_subscription && segments.nth(1).is_some_and(|third| third.eq_ignore_ascii_case("resourceGroups"));
    if in_group && let Some(name) = segments.next() {
        check_resource_group(name)?;
    }
    path.segments().try_for_each(check_resource)
}

fn check_resource_group(name: &str) -> Result<(), NameError> {
    if name.len() > RESOURCE_GROUP_NAME_MAX {
        return Err(NameError::ResourceGroupTooLong { length: name.len() });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '(' | ')' | '.');
    let last_dot = name.ends_with('.').then_some('.');
    match name.chars().find(|c| !allowed(*c)).or(last_dot) {
        Some(character) => Err(NameError::ResourceGroup { name: name.to_owned(), character }),
        None => Ok(()),
    }
}

fn check_resource(name: &str) -> Result<(), NameError> {
    if name.len() > RESOURCE_NAME_MAX {
        return Err(NameError::ResourceTooLong { length: name.len() });
    }
    match name.bytes().find(|byte| is_delimiter(*byte)) {
        Some(byte) => Err(NameError::Resource { name: name.to_owned(), character: char::from(byte) }),
        None => Ok(()),
    }
}

/// What no name contains, but for the slash, which no segment contains.
const fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'<' | b'>' | b'%' | b'&' | b':' | b'\\' | b'?')
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUB: &str = "/subscriptions/8f2c1a10-0000-4000-8000-000000000001";

    #[track_caller]
    fn check_path(path: &str, expected: &Result<(), NameError>) {
        assert_eq!(&check(&CanonicalPath::parse(path).unwrap()), expected, "{path}");
    }

    #[test]
    fn resource_groups_have_short_plain_names() {
        check_path(&format!("{SUB}/resourceGroups/my-rg_(1).x"), &Ok(()));
        check_path(&format!("{SUB}/resourcegroups/{}", "a".repeat(90)), &Ok(()));
        check_path(&format!("{SUB}/resourceGroups/{}", "a".repeat(91)), &Err(NameError::ResourceGroupTooLong { length: 91 }));
        check_path(&format!("{SUB}/resourceGroups/a%20b"), &Err(NameError::ResourceGroup { name: "a b".to_owned(), character: ' ' }));
        check_path(&format!("{SUB}/resourceGroups/a+b"), &Err(NameError::ResourceGroup { name: "a+b".to_owned(), character: '+' }));
    }

    #[test]
    fn resources_have_names_without_delimiters() {
        check_path(&format!("{SUB}/resourceGroups/rg/providers/A.B/c/my%20disk"), &Ok(()));
        for character in ['<', '>', '&', ':'] {
            let name = format!("a{character}b");
            check_path(&format!("{SUB}/providers/A.B/c/{name}"), &Err(NameError::Resource { name, character }));
        }
        check_path(&format!("{SUB}/providers/A.B/c/{}", "a".repeat(260)), &Ok(()));
        check_path(&format!("{SUB}/providers/A.B/c/{}", "a".repeat(261)), &Err(NameError::ResourceTooLong { length: 261 }));
    }

    #[test]
    fn paths_without_names_pass() {
        for path in ["/", "/subscriptions", SUB, "/providers/Microsoft.Support/operations"] {
            check_path(path, &Ok(()));
        }
    }
}
