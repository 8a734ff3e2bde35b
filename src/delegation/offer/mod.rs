//! Offers as `Microsoft.ManagedServices` knows them: registration definitions, and the assignments that bind them to a scope.
//!
//! A request body becomes a typed document ([`read_definition`], [`read_assignment`]) or an [`OfferError`] that says which member is at
//! fault, by which rule and what to do. A document becomes an answer again with `to_arm`. What is stored is the document itself, in
//! snake case; its form grows only by members that may be absent.
//!
//! Pure: no I/O, no clock (`now` is an argument), no log. Nothing here grants anything; see [`Grant`](super::Grant).
//!
//! What a version cannot express it neither drops nor widens: an older version may not replace a definition that has eligible
//! authorizations, and Azure's versions leave our own term and the customer's approvers as they were. A member that limits access is
//! refused by a version that does not know it; other unknown members are ignored, as Azure ignores them.
//!
//! Source: Azure Lighthouse, "Onboard a customer", "Create eligible authorizations", "Tenants, users, and roles"; REST reference of
//! `Microsoft.ManagedServices`, 2022-10-01. Members `term` and `customerApprovers` are our own.

mod answer;
mod assignment;
mod definition;
mod documents;
mod error;
mod filter;
mod json;
mod operations;
mod rules;
mod stored;
mod version;

pub use self::answer::{ArmView, ProvisioningState};
pub use self::assignment::{
    AssignmentContext, Bound, assignment_from, check_assignment, check_definition_removal, check_definition_update, read_assignment,
};
pub use self::definition::{DefinitionContext, check_definition_scope, definition_from, read_definition};
pub use self::documents::{
    Approver, Authorization, DefinitionKey, EligibleAuthorization, JustInTimePolicy, MarketplaceDefinition, Mfa, Plan, PrincipalKind,
    RegistrationAssignment, RegistrationDefinition, Term,
};
pub use self::error::{Document, OfferError, Place};
pub use self::filter::{Filter, parse_filter};
pub use self::operations::operations;
pub use self::rules::check_roles;
pub use self::version::ManagedServicesVersion;

use std::time::Duration;

/// Bytes of a request body, as for every resource. Source: Azure Resource Manager, request limits.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Characters of an offer's name.
pub const OFFER_NAME_MAX: usize = 256;

/// Characters of a display name or of one field of a plan.
pub const NAME_MAX: usize = 256;

/// Characters of a description.
pub const DESCRIPTION_MAX: usize = 4_096;

/// Standing authorizations of one definition, and eligible ones.
pub const AUTHORIZATIONS_MAX: usize = 500;

/// Roles that one authorization may hand on.
pub const DELEGATED_ROLES_MAX: usize = 100;

/// Approvers of one eligible authorization, in either tenant. Source: "Create eligible authorizations".
pub const APPROVERS_MAX: usize = 10;

/// Shortest activation. Source: "Create eligible authorizations".
pub const ACTIVATION_MIN: Duration = Duration::from_secs(30 * 60);

/// Longest activation, and the one where none is given. Source: "Create eligible authorizations".
pub const ACTIVATION_MAX: Duration = Duration::from_secs(8 * 60 * 60);

/// Longest time without use before a delegation may end, in days: two years, as long as a relation of a partner may last.
pub const UNUSED_DAYS_MAX: u16 = 730;

/// Tenants that one filter may name.
pub const FILTER_TENANTS_MAX: usize = 100;

/// The resource type of a definition.
pub const DEFINITION_TYPE: &str = "Microsoft.ManagedServices/registrationDefinitions";

/// The resource type of an assignment.
pub const ASSIGNMENT_TYPE: &str = "Microsoft.ManagedServices/registrationAssignments";

#[cfg(test)]
mod tests;
