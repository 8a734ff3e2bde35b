//! The `$filter` of lists of definitions and assignments.

use super::error::shown;
use super::{FILTER_TENANTS_MAX, OfferError, RegistrationDefinition};
use crate::ids::TenantId;

/// Which offers a list asks for: those of these managing tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    managing_tenants: Vec<TenantId>,
}

impl Filter {
    /// The tenants that it names, in its order.
    #[must_use]
    pub fn managing_tenants(&self) -> &[TenantId] {
        &self.managing_tenants
    }

    /// Whether the list should have the offer.
    #[must_use]
    pub fn matches(&self, definition: &RegistrationDefinition) -> bool {
        self.managing_tenants.contains(&definition.managing_tenant)
    }
}

/// Reads `managedByTenantId eq '{id}'` or `managedByTenantId in ('{id}', …)`, decoded. Ids may stand without quotes, words in any
/// case; a `+` is a blank, for some clients write it so.
///
/// # Errors
/// When the text has another form, an id is not a GUID, or there are none or more than [`FILTER_TENANTS_MAX`].
pub fn parse_filter(text: &str) -> Result<Filter, OfferError> {
    let managing_tenants = tenants(&text.replace('+', " ")).filter(|tenants| (1..=FILTER_TENANTS_MAX).contains(&tenants.len()));
    let managing_tenants = managing_tenants.ok_or_else(|| OfferError::FilterMalformed { text: shown(text) })?;
    Ok(Filter { managing_tenants })
}

fn tenants(text: &str) -> Option<Vec<TenantId>> {
    let rest = word(text, "managedByTenantId")?;
    if let Some(id) = word(rest, "eq") {
        return Some(vec![tenant(id)?]);
    }
    let list = after(rest, "in")?.trim().strip_prefix('(')?.strip_suffix(')')?;
    list.split(',').take(FILTER_TENANTS_MAX + 1).map(tenant).collect()
}

/// What follows a word and a blank.
fn word<'t>(text: &'t str, expected: &str) -> Option<&'t str> {
    after(text, expected).filter(|rest| rest.starts_with(' '))
}

fn after<'t>(text: &'t str, expected: &str) -> Option<&'t str> {
    let (first, rest) = text.trim().split_at_checked(expected.len())?;
    first.eq_ignore_ascii_case(expected).then_some(rest)
}

fn tenant(text: &str) -> Option<TenantId> {
    let text = text.trim();
    let quoted = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    quoted.unwrap_or(text).parse().ok()
}
