//! The built-in roles and what each of them permits.

/// The role definitions of one snapshot.
#[derive(Debug)]
pub struct RoleCatalogue {}

/// One permission block of a role definition: actions minus not-actions.
#[derive(Debug)]
pub struct Permission {}
