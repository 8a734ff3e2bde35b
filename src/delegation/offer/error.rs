//! Why a document is refused: one variant per rule.

use std::fmt;

use super::{
    APPROVERS_MAX, BODY_BYTES_MAX, FILTER_TENANTS_MAX, ManagedServicesVersion, PrincipalKind, UNUSED_DAYS_MAX, documents::DefinitionKey,
};
use crate::clock::Timestamp;
use crate::ids::{AssignmentId, DefinitionId, ObjectId, RoleId, SubscriptionId, TenantId};

/// How much of a refused text a message shows, in characters.
const SHOWN_MAX: usize = 128;

/// A text of a request as a message may show it: shortened, control characters escaped.
pub(super) fn shown(text: &str) -> String {
    let escape = |c: char| if is_printable(c) { vec![c] } else { c.escape_unicode().collect() };
    text.chars().take(SHOWN_MAX).flat_map(escape).collect()
}

/// Whether a person sees the character where it stands. Marks that turn the writing direction make other text look different.
pub(super) fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// The kind of request that a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// The body of `PUT …/registrationAssignments/{id}`.
    Assignment,
    /// The body of `PUT …/registrationDefinitions/{id}`.
    Definition,
}

/// A member of a body, such as `properties.authorizations[1].roleDefinitionId`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which body.
    pub document: Document,
    /// The way to the member; empty for the whole body.
    pub path: String,
}

impl Place {
    pub(super) const fn root(document: Document) -> Self {
        Self { document, path: String::new() }
    }

    pub(super) fn definition(path: impl Into<String>) -> Self {
        Self { document: Document::Definition, path: path.into() }
    }

    pub(super) fn member(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self { document: self.document, path: format!("{}{dot}{name}", self.path) }
    }

    pub(super) fn item(&self, index: usize) -> Self {
        Self { document: self.document, path: format!("{}[{index}]", self.path) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.path.is_empty() { "the body" } else { &self.path })
    }
}

/// Why a request about offers is refused. The message is for the client: it names the item at fault, the rule and what to do.
///
/// Where the documentation of a variant says nothing else, the code is Azure's for that rule; "our code" marks rules for which
/// Azure's code is not known.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// An approver that is neither a user nor a group. Our code.
    #[error("{at}: the approver `{principal}` is {}; name users or groups", .kind.described())]
    ApproverKind {
        /// Where.
        at: Place,
        /// The approver.
        principal: ObjectId,
        /// What it is.
        kind: PrincipalKind,
    },
    /// A principal that could approve its own activation. Our code.
    #[error("{at}: `{principal}` would approve its own activation; name another approver")]
    ApproverSelf {
        /// Where.
        at: Place,
        /// The principal.
        principal: ObjectId,
    },
    /// More approvers than [`APPROVERS_MAX`]. Our code.
    #[error("{at} has {count} approvers; allowed: up to {APPROVERS_MAX}; name a group instead")]
    ApproversTooMany {
        /// Where.
        at: Place,
        /// How many.
        count: usize,
    },
    /// The definition is assigned to the scope by another assignment. 409; our code.
    #[error(
        "`{scope}` already has the assignment `{assignment}` of the definition `{definition}`; \
         a scope has one assignment of a definition: update that one, or delete it first"
    )]
    AssignedAlready {
        /// The scope.
        scope: String,
        /// The assignment that is there.
        assignment: AssignmentId,
        /// The definition.
        definition: DefinitionId,
    },
    /// An assignment that is not addressed at a subscription or resource group. Our code.
    #[error("`{scope}` cannot be delegated; assign the definition to `/subscriptions/{{id}}` or to a resource group in it")]
    AssignmentScope {
        /// The scope.
        scope: String,
    },
    /// The same role for the same principal twice in one list. Our code.
    #[error("{at}: `{principal}` has the role `{role}` by {first} already; remove one of the two")]
    AuthorizationTwice {
        /// The second one.
        at: Place,
        /// The first one.
        first: String,
        /// The principal.
        principal: ObjectId,
        /// The role.
        role: String,
    },
    /// A definition that would give nobody anything. Our code.
    #[error("{at} is empty; give at least one authorization with principalId and roleDefinitionId")]
    AuthorizationsMissing {
        /// Where.
        at: Place,
    },
    /// Not JSON.
    #[error("the body is not JSON; send one JSON object in UTF-8")]
    BodyNotJson {
        /// Where the text breaks.
        #[source]
        cause: serde_json::Error,
    },
    /// More than [`BODY_BYTES_MAX`].
    #[error("the body has {bytes} bytes; allowed: up to {BODY_BYTES_MAX}")]
    BodyTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The definition lives in another subscription than the scope. Our code.
    #[error(
        "{at}: the definition lives in the subscription `{definition}` and the scope in `{scope}`; \
         create the definition in the subscription of the scope"
    )]
    DefinitionElsewhere {
        /// Where.
        at: Place,
        /// Subscription of the definition.
        definition: SubscriptionId,
        /// Subscription of the scope.
        scope: SubscriptionId,
    },
    /// Not the resource id of a definition. Our code.
    #[error(
        "{at}: `{text}` is not the id of a definition; \
         expected `/subscriptions/{{id}}/providers/Microsoft.ManagedServices/registrationDefinitions/{{guid}}`"
    )]
    DefinitionIdMalformed {
        /// Where.
        at: Place,
        /// What is there.
        text: String,
    },
    /// A definition that cannot be deleted because it is assigned. 409.
    #[error("the definition `{definition}` is assigned to `{scope}`; delete its assignments first, of which there are {count}")]
    DefinitionInUse {
        /// The definition.
        definition: DefinitionId,
        /// One of the scopes.
        scope: String,
        /// How many assignments it has.
        count: usize,
    },
    /// No definition of that id. 404; our code.
    #[error("{at}: there is no definition `{definition}`; create it first")]
    DefinitionNotFound {
        /// Where.
        at: Place,
        /// Its id.
        definition: DefinitionKey,
    },
    /// A definition that is not addressed at a subscription.
    #[error("a definition cannot be made at `{scope}`; make it at `/subscriptions/{{id}}` and assign it to the resource groups")]
    DefinitionScope {
        /// The scope.
        scope: String,
    },
    /// A role that nobody may hand on to managed identities. Our code.
    #[error("{at}: the role `{role}` cannot be handed on to managed identities, because it has the action `{action}`; take it out")]
    DelegatedRoleRefused {
        /// Where.
        at: Place,
        /// Name of the role.
        role: String,
        /// What makes it unfit.
        action: String,
    },
    /// `delegatedRoleDefinitionIds` beside another role than User Access Administrator. Our code.
    #[error("{at}: the role `{role}` cannot assign roles; leave delegatedRoleDefinitionIds out, or use it with User Access Administrator")]
    DelegatedRolesUnexpected {
        /// Where.
        at: Place,
        /// Name of the role.
        role: String,
    },
    /// Not an ISO 8601 duration in whole seconds. Our code.
    #[error("{at}: `{text}` is not a duration; expected ISO 8601 such as PT30M or PT8H")]
    DurationMalformed {
        /// Where.
        at: Place,
        /// What is there.
        text: String,
    },
    /// A duration outside 30 minutes to 8 hours. Our code.
    #[error("{at} is `{text}`; allowed: PT30M to PT8H")]
    DurationOutOfRange {
        /// Where.
        at: Place,
        /// What is there.
        text: String,
    },
    /// An eligible authorization for something that cannot activate it. Our code.
    #[error(
        "{at}: `{principal}` is {}; eligible authorizations are for users and groups{}",
        .kind.described(), robots_hint(*.kind)
    )]
    EligibleKind {
        /// Where.
        at: Place,
        /// The principal.
        principal: ObjectId,
        /// What it is.
        kind: PrincipalKind,
    },
    /// The same role with two policies.
    #[error("{at} differs from {first}; eligible authorizations of the same role, here `{role}`, must have the same policy")]
    EligiblePolicyDiffers {
        /// The second policy.
        at: Place,
        /// The first policy.
        first: String,
        /// Name of the role.
        role: String,
    },
    /// Owner or User Access Administrator on request.
    #[error("{at}: the role `{role}` cannot be eligible, because it has the action `{action}`; choose a role without it")]
    EligibleRole {
        /// Where.
        at: Place,
        /// Name of the role.
        role: String,
        /// What makes it unfit.
        action: String,
    },
    /// `delegatedRoleDefinitionIds` in an eligible authorization. Our code.
    #[error("{at}: an eligible authorization cannot hand on roles; move it to properties.authorizations")]
    EligibleWithDelegatedRoles {
        /// Where.
        at: Place,
    },
    /// A principal that could not see what it may activate. Our code.
    #[error("{at}: `{principal}` has no standing role that reads; add an authorization with the role Reader for the same principal")]
    EligibleWithoutReader {
        /// Where.
        at: Place,
        /// The principal.
        principal: ObjectId,
    },
    /// A filter of another form.
    #[error(
        "the filter `{text}` is not understood; expected managedByTenantId eq '{{tenant id}}' or \
         managedByTenantId in ('{{tenant id}}', …) with at most {FILTER_TENANTS_MAX} ids"
    )]
    FilterMalformed {
        /// The filter.
        text: String,
    },
    /// Not a GUID.
    #[error("{at}: `{text}` is not a GUID; expected the form 00000000-0000-0000-0000-000000000000")]
    IdMalformed {
        /// Where.
        at: Place,
        /// What is there.
        text: String,
    },
    /// A list with more items than we keep. Our code.
    #[error("{at} has {length} items; allowed: up to {max}")]
    ListTooLong {
        /// Where.
        at: Place,
        /// How many it has.
        length: usize,
        /// How many it may have.
        max: usize,
    },
    /// The managing tenant of a definition that exists.
    #[error(
        "{at}: the definition belongs to the managing tenant `{before}` and cannot move to `{wanted}`; \
         create a definition with another offer name"
    )]
    ManagingTenantChanged {
        /// Where.
        at: Place,
        /// The tenant so far.
        before: TenantId,
        /// The tenant in the body.
        wanted: TenantId,
    },
    /// The subscription's own tenant as managing tenant.
    #[error("{at}: `{tenant}` is the tenant of the subscription itself; name the service provider's tenant")]
    ManagingTenantIsOwn {
        /// Where.
        at: Place,
        /// The tenant.
        tenant: TenantId,
    },
    /// One member in two spellings: Azure reads names without case, so either could be meant. Our code.
    #[error("{at} is there twice in different spellings; send it once")]
    MemberTwice {
        /// Where.
        at: Place,
    },
    /// Another second factor than `Azure` and `None`. Our code.
    #[error("{at} is `{text}`; allowed: Azure, None")]
    MfaUnknown {
        /// Where.
        at: Place,
        /// What is there.
        text: String,
    },
    /// A member that has to be there, or a text that must not be blank. Our code.
    #[error("{at} is missing; it is required")]
    Missing {
        /// Where.
        at: Place,
    },
    /// Another definition of the same offer name on the scope. 409; our code.
    #[error(
        "`{scope}` already has an offer `{offer}`, by the definition `{definition}`; \
         update that definition, or give this one another registrationDefinitionName"
    )]
    OfferNameTaken {
        /// The scope.
        scope: String,
        /// Name of the offer.
        offer: String,
        /// The definition that has the name there.
        definition: DefinitionId,
    },
    /// The object id of an application instead of the one of its service principal.
    #[error(
        "{at}: `{principal}` is the object id of an application; use the object id of its service principal, \
         which `az ad sp show --id {{application id}} --query id` prints"
    )]
    PrincipalIsApplication {
        /// Where.
        at: Place,
        /// The id.
        principal: ObjectId,
    },
    /// User Access Administrator without the roles it may hand on.
    #[error(
        "{at}: the role `{role}` is refused for the action `{action}`, unless delegatedRoleDefinitionIds lists the roles \
         that it may assign to managed identities; list them, or choose another role"
    )]
    RoleConstrained {
        /// Where.
        at: Place,
        /// Name of the role.
        role: String,
        /// What makes it unfit.
        action: String,
    },
    /// A role that reaches into a data plane.
    #[error("{at}: the role `{role}` is refused for the data action `{action}`; choose a role without data actions")]
    RoleDataAction {
        /// Where.
        at: Place,
        /// Name of the role.
        role: String,
        /// What makes it unfit.
        action: String,
    },
    /// Neither a GUID nor a resource id of a role definition.
    #[error(
        "{at}: `{text}` is not a role; \
         expected the GUID of a built-in role, or `/…/providers/Microsoft.Authorization/roleDefinitions/{{guid}}`"
    )]
    RoleIdMalformed {
        /// Where.
        at: Place,
        /// What is there.
        text: String,
    },
    /// A custom role, or none at all.
    #[error("{at}: `{role}` is not a built-in role; custom roles cannot be delegated: choose a built-in one")]
    RoleNotBuiltin {
        /// Where.
        at: Place,
        /// Its id.
        role: RoleId,
    },
    /// Owner.
    #[error(
        "{at}: the role `{role}` cannot be delegated, because it has the action `{action}`; choose a narrower role, such as Contributor"
    )]
    RoleOwner {
        /// Where.
        at: Place,
        /// Name of the role.
        role: String,
        /// What makes it unfit.
        action: String,
    },
    /// A role that could change who has access.
    #[error("{at}: the role `{role}` is refused for the action `{action}`, which could change access or locks; choose a role without it")]
    RoleRestricted {
        /// Where.
        at: Place,
        /// Name of the role.
        role: String,
        /// What makes it unfit.
        action: String,
    },
    /// A term that is over before it starts to count. Our code.
    #[error("{at}: `{not_after}` is over, now is `{now}`; give a later end, or delete the assignments to end the delegation")]
    TermEnded {
        /// Where.
        at: Place,
        /// The end.
        not_after: Timestamp,
        /// The present time.
        now: Timestamp,
    },
    /// A term that ends before it begins, or is reviewed after it ended. Our code.
    #[error("{at} must be later than {earlier}")]
    TermOrder {
        /// What is too early.
        at: Place,
        /// What it has to follow.
        earlier: &'static str,
    },
    /// A text with more characters than we keep. Our code.
    #[error("{at} has {length} characters; allowed: up to {max}")]
    TextTooLong {
        /// Where.
        at: Place,
        /// How many it has.
        length: usize,
        /// How many it may have.
        max: usize,
    },
    /// A text that would look like another one. Our code.
    #[error("{at} has the character U+{:04X}, which cannot be seen; take it out", u32::from(*.character))]
    TextUnprintable {
        /// Where.
        at: Place,
        /// The character.
        character: char,
    },
    /// Not a point in time. Our code.
    #[error("{at}: `{text}` is not a time; expected RFC 3339 such as 2027-01-31T00:00:00Z")]
    TimeMalformed {
        /// Where.
        at: Place,
        /// What is there.
        text: String,
    },
    /// Days without use outside the range. Our code.
    #[error("{at} is {found}; allowed: 1 to {UNUSED_DAYS_MAX}")]
    UnusedDays {
        /// Where.
        at: Place,
        /// What is there.
        found: String,
    },
    /// A member that limits access, by an API version that does not know it. Our code.
    #[error("{at}: the api-version {version} does not know {what}; use {since} or later")]
    VersionTooOld {
        /// Where.
        at: Place,
        /// What it does not know.
        what: &'static str,
        /// The version of the request.
        version: ManagedServicesVersion,
        /// The first that knows it.
        since: ManagedServicesVersion,
    },
    /// An API version that we do not speak.
    #[error("the api-version `{version}` is not supported by Microsoft.ManagedServices; supported are {}", supported())]
    VersionUnknown {
        /// The version of the request.
        version: String,
    },
    /// Another JSON type.
    #[error("{at} is {found}; expected {expected}")]
    WrongType {
        /// Where.
        at: Place,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
}

const fn robots_hint(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::ServicePrincipal => "; service principals need the api-version 2026-11-01-steward-preview",
        PrincipalKind::Application | PrincipalKind::Group | PrincipalKind::User => "",
    }
}

fn supported() -> String {
    ManagedServicesVersion::ALL.map(ManagedServicesVersion::as_str).join(", ")
}

const CREATE_ASSIGNMENT: &str = "InvalidRegistrationAssignmentCreateRequest";

impl OfferError {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.answer().0
    }

    /// The code of the error body.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.answer().1
    }

    /// The target of the error body: the member at fault, where one is.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        self.place().map(|place| place.path.as_str()).filter(|path| !path.is_empty())
    }

    fn answer(&self) -> (u16, &'static str) {
        match self {
            Self::AssignedAlready { .. } | Self::OfferNameTaken { .. } => (409, CREATE_ASSIGNMENT),
            Self::AssignmentScope { .. } => (400, "InvalidRegistrationAssignmentUri"),
            Self::BodyNotJson { .. } | Self::MemberTwice { .. } | Self::WrongType { .. } => (400, "InvalidRequestContent"),
            Self::BodyTooLarge { .. } => (413, "RequestContentTooLarge"),
            Self::DefinitionInUse { .. } => (409, "InvalidRegistrationDefinitionDeleteRequest"),
            Self::DefinitionNotFound { .. } => (404, "RegistrationDefinitionNotFound"),
            Self::DefinitionScope { .. } => (400, "InvalidRegistrationDefinitionUri"),
            Self::FilterMalformed { .. } => (400, "InvalidFilterInQueryString"),
            Self::ManagingTenantChanged { .. } => (400, "RegistrationDefinitionInvalidUpdate"),
            Self::VersionUnknown { .. } => (400, "NoRegisteredProviderFound"),
            Self::ApproverKind { at, .. }
            | Self::ApproverSelf { at, .. }
            | Self::ApproversTooMany { at, .. }
            | Self::AuthorizationTwice { at, .. }
            | Self::AuthorizationsMissing { at }
            | Self::DefinitionElsewhere { at, .. }
            | Self::DefinitionIdMalformed { at, .. }
            | Self::DelegatedRoleRefused { at, .. }
            | Self::DelegatedRolesUnexpected { at, .. }
            | Self::DurationMalformed { at, .. }
            | Self::DurationOutOfRange { at, .. }
            | Self::EligibleKind { at, .. }
            | Self::EligiblePolicyDiffers { at, .. }
            | Self::EligibleRole { at, .. }
            | Self::EligibleWithDelegatedRoles { at }
            | Self::EligibleWithoutReader { at, .. }
            | Self::IdMalformed { at, .. }
            | Self::ListTooLong { at, .. }
            | Self::ManagingTenantIsOwn { at, .. }
            | Self::MfaUnknown { at, .. }
            | Self::Missing { at }
            | Self::PrincipalIsApplication { at, .. }
            | Self::RoleConstrained { at, .. }
            | Self::RoleDataAction { at, .. }
            | Self::RoleIdMalformed { at, .. }
            | Self::RoleNotBuiltin { at, .. }
            | Self::RoleOwner { at, .. }
            | Self::RoleRestricted { at, .. }
            | Self::TermEnded { at, .. }
            | Self::TermOrder { at, .. }
            | Self::TextTooLong { at, .. }
            | Self::TextUnprintable { at, .. }
            | Self::TimeMalformed { at, .. }
            | Self::UnusedDays { at, .. }
            | Self::VersionTooOld { at, .. } => (400, create(at.document)),
        }
    }

    const fn place(&self) -> Option<&Place> {
        match self {
            Self::AssignedAlready { .. }
            | Self::AssignmentScope { .. }
            | Self::BodyNotJson { .. }
            | Self::BodyTooLarge { .. }
            | Self::DefinitionInUse { .. }
            | Self::DefinitionScope { .. }
            | Self::FilterMalformed { .. }
            | Self::OfferNameTaken { .. }
            | Self::VersionUnknown { .. } => None,
            Self::ApproverKind { at, .. }
            | Self::ApproverSelf { at, .. }
            | Self::ApproversTooMany { at, .. }
            | Self::AuthorizationTwice { at, .. }
            | Self::AuthorizationsMissing { at }
            | Self::DefinitionElsewhere { at, .. }
            | Self::DefinitionIdMalformed { at, .. }
            | Self::DefinitionNotFound { at, .. }
            | Self::DelegatedRoleRefused { at, .. }
            | Self::DelegatedRolesUnexpected { at, .. }
            | Self::DurationMalformed { at, .. }
            | Self::DurationOutOfRange { at, .. }
            | Self::EligibleKind { at, .. }
            | Self::EligiblePolicyDiffers { at, .. }
            | Self::EligibleRole { at, .. }
            | Self::EligibleWithDelegatedRoles { at }
            | Self::EligibleWithoutReader { at, .. }
            | Self::IdMalformed { at, .. }
            | Self::ListTooLong { at, .. }
            | Self::ManagingTenantChanged { at, .. }
            | Self::ManagingTenantIsOwn { at, .. }
            | Self::MemberTwice { at }
            | Self::MfaUnknown { at, .. }
            | Self::Missing { at }
            | Self::PrincipalIsApplication { at, .. }
            | Self::RoleConstrained { at, .. }
            | Self::RoleDataAction { at, .. }
            | Self::RoleIdMalformed { at, .. }
            | Self::RoleNotBuiltin { at, .. }
            | Self::RoleOwner { at, .. }
            | Self::RoleRestricted { at, .. }
            | Self::TermEnded { at, .. }
            | Self::TermOrder { at, .. }
            | Self::TextTooLong { at, .. }
            | Self::TextUnprintable { at, .. }
            | Self::TimeMalformed { at, .. }
            | Self::UnusedDays { at, .. }
            | Self::VersionTooOld { at, .. }
            | Self::WrongType { at, .. } => Some(at),
        }
    }
}

const fn create(document: Document) -> &'static str {
    match document {
        Document::Assignment => CREATE_ASSIGNMENT,
        Document::Definition => "InvalidRegistrationDefinitionCreateRequest",
    }
}
