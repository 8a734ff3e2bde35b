//! Every rule for registration definitions and assignments: a request that breaks it, and what the client is told.

#![expect(clippy::unwrap_used, clippy::unwrap_in_result, clippy::indexing_slicing, reason = "a test ends where it cannot go on")]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use steward::arm::scope::Scope;
use steward::clock::Timestamp;
use steward::delegation::offer::{
    AssignmentContext, Bound, DefinitionContext, ManagedServicesVersion, OfferError, PrincipalKind, RegistrationAssignment,
    RegistrationDefinition, assignment_from, check_assignment, check_definition_removal, check_definition_scope, check_definition_update,
    definition_from, parse_filter, read_assignment, read_definition,
};
use steward::delegation::roles::RoleCatalogue;
use steward::ids::{ObjectId, PrincipalId, TenantId};

const HOME: &str = "10000000-0000-4000-8000-00000000000a";
const PROVIDER: &str = "20000000-0000-4000-8000-00000000000b";
const OTHER_PROVIDER: &str = "30000000-0000-4000-8000-00000000000c";
const SUB: &str = "/subscriptions/40000000-0000-4000-8000-000000000001";
const OTHER_SUB: &str = "/subscriptions/40000000-0000-4000-8000-000000000002";
const DEFINITION: &str = "50000000-0000-4000-8000-000000000001";
const OTHER_DEFINITION: &str = "50000000-0000-4000-8000-000000000002";
const ASSIGNMENT: &str = "60000000-0000-4000-8000-000000000001";
const OTHER_ASSIGNMENT: &str = "60000000-0000-4000-8000-000000000002";

const USER: &str = "70000000-0000-4000-8000-000000000001";
const GROUP: &str = "70000000-0000-4000-8000-000000000002";
const ROBOT: &str = "70000000-0000-4000-8000-000000000003";
const APPLICATION: &str = "70000000-0000-4000-8000-000000000004";
const APPROVER: &str = "70000000-0000-4000-8000-000000000005";
const STRANGER: &str = "70000000-0000-4000-8000-000000000006";
const CUSTOMER_ROBOT: &str = "70000000-0000-4000-8000-000000000007";

const OWNER: &str = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635";
const ACCESS_ADMINISTRATOR: &str = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9";
const CONTRIBUTOR: &str = "b24988ac-6180-42a0-ab88-20f7382dd24c";
const READER: &str = "acdd72a7-3385-48ef-bd42-f606fba81ae7";
const BLOB_READER: &str = "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1";
const BACKUP_CONTRIBUTOR: &str = "e5e2a7ff-d759-4cd2-bb51-3152d37e2eb1";
const CUSTOM: &str = "99999999-0000-4000-8000-000000000009";

const CREATE: &str = "InvalidRegistrationDefinitionCreateRequest";
const ASSIGN: &str = "InvalidRegistrationAssignmentCreateRequest";

const CURRENT: ManagedServicesVersion = ManagedServicesVersion::V20221001;
const CLI: ManagedServicesVersion = ManagedServicesVersion::V20190601;
const OWN: ManagedServicesVersion = ManagedServicesVersion::V20261101StewardPreview;

/// The names of all variants, and the name of one. A variant that is missing here does not compile.
macro_rules! rules {
    ($($variant:ident),+ $(,)?) => {
        const RULES: &[&str] = &[$(stringify!($variant)),+];

        fn rule(error: &OfferError) -> &'static str {
            match error {
                $(OfferError::$variant { .. } => stringify!($variant)),+
            }
        }
    };
}

rules![
    ApproverKind,
    ApproverSelf,
    ApproversTooMany,
    AssignedAlready,
    AssignmentScope,
    AuthorizationTwice,
    AuthorizationsMissing,
    BodyNotJson,
    BodyTooLarge,
    DefinitionElsewhere,
    DefinitionIdMalformed,
    DefinitionInUse,
    DefinitionNotFound,
    DefinitionScope,
    DelegatedRoleRefused,
    DelegatedRolesUnexpected,
    DurationMalformed,
    DurationOutOfRange,
    EligibleKind,
    EligiblePolicyDiffers,
    EligibleRole,
    EligibleWithDelegatedRoles,
    EligibleWithoutReader,
    FilterMalformed,
    IdMalformed,
    ListTooLong,
    ManagingTenantChanged,
    ManagingTenantIsOwn,
    MemberTwice,
    MfaUnknown,
    Missing,
    OfferNameTaken,
    PrincipalIsApplication,
    RoleConstrained,
    RoleDataAction,
    RoleIdMalformed,
    RoleNotBuiltin,
    RoleOwner,
    RoleRestricted,
    TermEnded,
    TermOrder,
    TextTooLong,
    TextUnprintable,
    TimeMalformed,
    UnusedDays,
    VersionTooOld,
    VersionUnknown,
    WrongType,
];

fn now() -> Timestamp {
    "2026-11-21T06:00:00Z".parse().unwrap()
}

fn caller() -> PrincipalId {
    PrincipalId { tenant: HOME.parse().unwrap(), object: STRANGER.parse().unwrap() }
}

fn kind(tenant: TenantId, object: ObjectId) -> Option<PrincipalKind> {
    match (tenant.to_string().as_str(), object.to_string().as_str()) {
        (PROVIDER, USER) => Some(PrincipalKind::User),
        (PROVIDER, GROUP | APPROVER) => Some(PrincipalKind::Group),
        (PROVIDER, ROBOT) | (HOME, CUSTOMER_ROBOT) => Some(PrincipalKind::ServicePrincipal),
        (PROVIDER, APPLICATION) => Some(PrincipalKind::Application),
        _ => None,
    }
}

/// What the Azure CLI sends.
fn plain() -> Value {
    json!({ "properties": {
        "registrationDefinitionName": "Night watch",
        "managedByTenantId": PROVIDER,
        "authorizations": [{ "principalId": USER, "roleDefinitionId": READER }],
    } })
}

/// The same with one eligible authorization.
fn eligible() -> Value {
    edit(
        plain(),
        &[(
            "/properties/eligibleAuthorizations",
            json!([{ "principalId": USER, "roleDefinitionId": CONTRIBUTOR, "justInTimeAccessPolicy": {
            "multiFactorAuthProvider": "Azure",
            "maximumActivationDuration": "PT2H",
            "managedByTenantApprovers": [{ "principalId": APPROVER }],
        } }]),
        )],
    )
}

/// Puts values at JSON pointers; a pointer that ends in `-` appends.
fn edit(mut body: Value, edits: &[(&str, Value)]) -> Value {
    for (pointer, value) in edits {
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap();
        match parent.as_array_mut() {
            Some(items) if last == "-" => items.push(value.clone()),
            Some(items) => items[last.parse::<usize>().unwrap()] = value.clone(),
            None => parent[last] = value.clone(),
        }
    }
    body
}

fn context<'a>(
    version: ManagedServicesVersion,
    roles: &'a RoleCatalogue,
    previous: Option<&'a RegistrationDefinition>,
) -> DefinitionContext<'a> {
    DefinitionContext {
        subscription: check_definition_scope(&Scope::parse(SUB).unwrap()).unwrap(),
        home_tenant: HOME.parse().unwrap(),
        name: DEFINITION.parse().unwrap(),
        version,
        roles,
        previous,
        principal_kind: &kind,
        now: now(),
        caller: caller(),
    }
}

fn read(
    version: ManagedServicesVersion,
    body: &Value,
    previous: Option<&RegistrationDefinition>,
) -> Result<RegistrationDefinition, OfferError> {
    definition_from(body, &context(version, &RoleCatalogue::builtin(), previous))
}

/// The refusal of a definition.
#[track_caller]
fn refused(version: ManagedServicesVersion, body: Value, edits: &[(&str, Value)]) -> OfferError {
    read(version, &edit(body, edits), None).unwrap_err()
}

/// The refusal of a definition with this standing authorization beside the plain one.
#[track_caller]
fn refused_role(role: &str, delegated: &[&str]) -> OfferError {
    let authorization = json!({ "principalId": GROUP, "roleDefinitionId": role, "delegatedRoleDefinitionIds": delegated });
    refused(CURRENT, plain(), &[("/properties/authorizations/-", authorization)])
}

fn refused_text(body: &[u8]) -> OfferError {
    read_definition(body, &context(CURRENT, &RoleCatalogue::builtin(), None)).unwrap_err()
}

fn offer(definition: &str, name: &str) -> RegistrationDefinition {
    let body = edit(plain(), &[("/properties/registrationDefinitionName", json!(name))]);
    RegistrationDefinition { name: definition.parse().unwrap(), ..read(CURRENT, &body, None).unwrap() }
}

fn definition_id(subscription: &str, definition: &str) -> Value {
    let id = format!("{subscription}/providers/Microsoft.ManagedServices/registrationDefinitions/{definition}");
    json!({ "properties": { "registrationDefinitionId": id } })
}

fn read_assigned(scope: &str, name: &str, body: &Value) -> Result<RegistrationAssignment, OfferError> {
    let scope = Scope::parse(scope).unwrap();
    assignment_from(body, &AssignmentContext { scope: &scope, name: name.parse().unwrap(), previous: None, now: now(), caller: caller() })
}

fn assigned(scope: &str, name: &str, definition: &str) -> RegistrationAssignment {
    read_assigned(scope, name, &definition_id(SUB, definition)).unwrap()
}

struct Case {
    rule: &'static str,
    error: OfferError,
    status: u16,
    code: &'static str,
    target: Option<&'static str>,
    mentions: &'static [&'static str],
}

/// A rule for definitions that answers 400 with the code for creating them.
fn create(rule: &'static str, error: OfferError, target: &'static str, mentions: &'static [&'static str]) -> Case {
    Case { rule, error, status: 400, code: CREATE, target: Some(target), mentions }
}

/// The same for assignments.
fn assign(rule: &'static str, error: OfferError, mentions: &'static [&'static str]) -> Case {
    let target = Some("properties.registrationDefinitionId");
    Case { rule, error, status: 400, code: ASSIGN, target, mentions }
}

const fn other(
    rule: &'static str,
    error: OfferError,
    (status, code): (u16, &'static str),
    target: Option<&'static str>,
    mentions: &'static [&'static str],
) -> Case {
    Case { rule, error, status, code, target, mentions }
}

fn bodies() -> Vec<Case> {
    let content = (400, "InvalidRequestContent");
    let twice = edit(plain(), &[("/properties/ManagedByTenantID", json!(OTHER_PROVIDER))]);
    let wrong = |edits: &[(&str, Value)]| refused(CURRENT, plain(), edits);
    let line_break = refused(CURRENT, plain(), &[("/properties/registrationDefinitionName", json!("a\nb"))]);
    let turned = refused(CURRENT, plain(), &[("/properties/authorizations/0/principalIdDisplayName", json!("a\u{202e}b"))]);
    vec![
        other("BodyNotJson", refused_text(b"{\"properties\":"), content, None, &["JSON"]),
        other("BodyNotJson", refused_text(b"{\"properties\":\"\xff\"}"), content, None, &["UTF-8"]),
        other("BodyNotJson", refused_text("[".repeat(1_000).as_bytes()), content, None, &["JSON"]),
        other("BodyTooLarge", refused_text(&[b' '; 4 * 1024 * 1024 + 1]), (413, "RequestContentTooLarge"), None, &["4194305", "4194304"]),
        other("WrongType", refused_text(b"[]"), content, None, &["the body is a list", "an object"]),
        other("WrongType", wrong(&[("/properties", json!("x"))]), content, Some("properties"), &["properties is a text"]),
        other("MemberTwice", read(CURRENT, &twice, None).unwrap_err(), content, Some("properties.managedByTenantId"), &["once"]),
        create("Missing", wrong(&[("/properties", json!(null))]), "properties", &["properties is missing"]),
        create("Missing", wrong(&[("/properties/managedByTenantId", json!(null))]), "properties.managedByTenantId", &["required"]),
        create(
            "Missing",
            wrong(&[("/properties/registrationDefinitionName", json!("  "))]),
            "properties.registrationDefinitionName",
            &["properties.registrationDefinitionName is missing"],
        ),
        create(
            "Missing",
            wrong(&[("/properties/authorizations/0/principalId", json!(null))]),
            "properties.authorizations[0].principalId",
            &["authorizations[0].principalId"],
        ),
        create("Missing", wrong(&[("/plan", json!({ "name": "n", "publisher": "p", "product": "q" }))]), "plan.version", &["plan.version"]),
        create(
            "IdMalformed",
            wrong(&[("/properties/authorizations/0/principalId", json!("deniz@ostra.example"))]),
            "properties.authorizations[0].principalId",
            &["`deniz@ostra.example` is not a GUID"],
        ),
        create(
            "IdMalformed",
            wrong(&[("/properties/managedByTenantId", json!("ostra\r\n"))]),
            "properties.managedByTenantId",
            &[r"\u{d}\u{a}"],
        ),
        create(
            "TextTooLong",
            wrong(&[("/properties/registrationDefinitionName", json!("é".repeat(257)))]),
            "properties.registrationDefinitionName",
            &["257", "256"],
        ),
        create("TextTooLong", wrong(&[("/properties/description", json!("x".repeat(4_097)))]), "properties.description", &["4097"]),
        create("TextUnprintable", line_break, "properties.registrationDefinitionName", &["U+000A"]),
        create("TextUnprintable", turned, "properties.authorizations[0].principalIdDisplayName", &["U+202E"]),
        create(
            "ListTooLong",
            wrong(&[("/properties/authorizations", json!(vec![json!({}); 501]))]),
            "properties.authorizations",
            &["501 items", "up to 500"],
        ),
    ]
}

fn tenants_and_scopes() -> Vec<Case> {
    let before = read(CURRENT, &plain(), None).unwrap();
    let moved = edit(plain(), &[("/properties/managedByTenantId", json!(OTHER_PROVIDER))]);
    let scope = |text: &str| check_definition_scope(&Scope::parse(text).unwrap()).unwrap_err();
    let uri = (400, "InvalidRegistrationDefinitionUri");
    vec![
        create(
            "ManagingTenantIsOwn",
            refused(CURRENT, plain(), &[("/properties/managedByTenantId", json!(HOME.to_uppercase()))]),
            "properties.managedByTenantId",
            &[HOME, "service provider"],
        ),
        other(
            "ManagingTenantChanged",
            read(CURRENT, &moved, Some(&before)).unwrap_err(),
            (400, "RegistrationDefinitionInvalidUpdate"),
            Some("properties.managedByTenantId"),
            &[PROVIDER, OTHER_PROVIDER, "another offer name"],
        ),
        other("DefinitionScope", scope("/"), uri, None, &["`/`"]),
        other("DefinitionScope", scope(&format!("{SUB}/resourceGroups/prod")), uri, None, &["resourceGroups/prod", "/subscriptions/{id}"]),
        other("DefinitionScope", scope("/providers/Microsoft.Management/managementGroups/root"), uri, None, &["managementGroups/root"]),
        other(
            "VersionUnknown",
            ManagedServicesVersion::parse("2021-01-01").unwrap_err(),
            (400, "NoRegisteredProviderFound"),
            None,
            &["`2021-01-01`", "2018-06-01-preview, 2019-04-01-preview, 2019-06-01, 2019-09-01", "2022-10-01"],
        ),
        other("FilterMalformed", parse_filter("name eq 'x'").unwrap_err(), (400, "InvalidFilterInQueryString"), None, &["`name eq 'x'`"]),
    ]
}

fn roles() -> Vec<Case> {
    const ROLE: &str = "properties.authorizations[1].roleDefinitionId";
    const DELEGATED: &str = "properties.authorizations[1].delegatedRoleDefinitionIds";
    const FIRST: &str = "properties.authorizations[1].delegatedRoleDefinitionIds[0]";
    const SECOND: &str = "properties.authorizations[1].delegatedRoleDefinitionIds[1]";
    let twice = json!({ "principalId": USER, "roleDefinitionId": READER.to_uppercase() });
    let application = json!({ "principalId": APPLICATION, "roleDefinitionId": READER });
    let delegated = |second| refused_role(ACCESS_ADMINISTRATOR, &[CONTRIBUTOR, second]);
    vec![
        create(
            "AuthorizationsMissing",
            refused(CURRENT, plain(), &[("/properties/authorizations", json!([]))]),
            "properties.authorizations",
            &["principalId", "roleDefinitionId"],
        ),
        create("RoleNotBuiltin", refused_role(CUSTOM, &[]), ROLE, &[CUSTOM, "custom roles"]),
        create("RoleIdMalformed", refused_role("Contributor", &[]), ROLE, &["`Contributor`", "GUID"]),
        create("RoleIdMalformed", refused_role("/providers/Microsoft.Compute/roleDefinitions/x", &[]), ROLE, &["Microsoft.Authorization"]),
        create("RoleOwner", refused_role(OWNER, &[]), ROLE, &["`Owner`", "`*`", "Contributor"]),
        create(
            "RoleDataAction",
            refused_role(BLOB_READER, &[]),
            ROLE,
            &["`Storage Blob Data Reader`", "`Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read`"],
        ),
        create(
            "RoleRestricted",
            refused_role(BACKUP_CONTRIBUTOR, &[]),
            ROLE,
            &["`Storage Account Backup Contributor`", "`Microsoft.Authorization/locks/write`"],
        ),
        create(
            "RoleConstrained",
            refused_role(ACCESS_ADMINISTRATOR, &[]),
            ROLE,
            &["`User Access Administrator`", "`Microsoft.Authorization/*`", "delegatedRoleDefinitionIds"],
        ),
        create("RoleNotBuiltin", delegated(CUSTOM), SECOND, &[CUSTOM]),
        create("RoleIdMalformed", delegated("x"), SECOND, &["`x`"]),
        create("DelegatedRoleRefused", delegated(OWNER), SECOND, &["`Owner`", "`*`", "managed identities"]),
        create(
            "DelegatedRoleRefused",
            delegated(ACCESS_ADMINISTRATOR),
            SECOND,
            &["`User Access Administrator`", "Microsoft.Authorization/*"],
        ),
        create("DelegatedRoleRefused", refused_role(ACCESS_ADMINISTRATOR, &[BACKUP_CONTRIBUTOR]), FIRST, &["locks/write"]),
        create("DelegatedRoleRefused", delegated(BLOB_READER), SECOND, &["blobs/read"]),
        create(
            "DelegatedRolesUnexpected",
            refused_role(CONTRIBUTOR, &[READER]),
            DELEGATED,
            &["`Contributor`", "User Access Administrator"],
        ),
        create("ListTooLong", refused_role(ACCESS_ADMINISTRATOR, &[READER; 101]), DELEGATED, &["101", "100"]),
        create(
            "AuthorizationTwice",
            refused(CURRENT, plain(), &[("/properties/authorizations/-", twice)]),
            "properties.authorizations[1]",
            &[USER, "`Reader`", "properties.authorizations[0]"],
        ),
        create(
            "PrincipalIsApplication",
            refused(CURRENT, plain(), &[("/properties/authorizations/-", application)]),
            "properties.authorizations[1].principalId",
            &[APPLICATION, "service principal", "az ad sp show"],
        ),
    ]
}

fn eligible_principals_and_roles() -> Vec<Case> {
    const ITEM: &str = "/properties/eligibleAuthorizations/0";
    const LIST: &str = "properties.eligibleAuthorizations";
    const PRINCIPAL: &str = "properties.eligibleAuthorizations[0].principalId";
    const ROLE: &str = "properties.eligibleAuthorizations[0].roleDefinitionId";
    let principal = format!("{ITEM}/principalId");
    let role = format!("{ITEM}/roleDefinitionId");
    let with = |version, edits: &[(&str, Value)]| refused(version, eligible(), edits);
    let had_some = read(CURRENT, &eligible(), None).unwrap();
    let no_access = json!([{ "principalId": USER, "roleDefinitionId": ACCESS_ADMINISTRATOR, "delegatedRoleDefinitionIds": [READER] }]);
    let again = eligible()["properties"]["eligibleAuthorizations"][0].clone();
    vec![
        create("VersionTooOld", with(CLI, &[]), LIST, &["2019-06-01", "eligible authorizations", "2020-02-01-preview"]),
        create("VersionTooOld", read(CLI, &plain(), Some(&had_some)).unwrap_err(), LIST, &["eligible", "2020-02-01-preview"]),
        create(
            "EligibleKind",
            with(CURRENT, &[(&principal, json!(ROBOT))]),
            PRINCIPAL,
            &[ROBOT, "a service principal", "users and groups"],
        ),
        create("PrincipalIsApplication", with(OWN, &[(&principal, json!(APPLICATION))]), PRINCIPAL, &[APPLICATION]),
        create("EligibleRole", with(CURRENT, &[(&role, json!(OWNER))]), ROLE, &["`Owner`", "`*`"]),
        create("EligibleRole", with(OWN, &[(&role, json!(ACCESS_ADMINISTRATOR))]), ROLE, &["`User Access Administrator`"]),
        create("RoleDataAction", with(CURRENT, &[(&role, json!(BLOB_READER))]), ROLE, &["`Storage Blob Data Reader`", "blobs/read"]),
        create("RoleRestricted", with(CURRENT, &[(&role, json!(BACKUP_CONTRIBUTOR))]), ROLE, &["locks/write"]),
        create("RoleNotBuiltin", with(CURRENT, &[(&role, json!(CUSTOM))]), ROLE, &[CUSTOM]),
        create(
            "EligibleWithDelegatedRoles",
            with(CURRENT, &[(&format!("{ITEM}/delegatedRoleDefinitionIds"), json!([READER]))]),
            "properties.eligibleAuthorizations[0].delegatedRoleDefinitionIds",
            &["hand on roles"],
        ),
        create("EligibleWithoutReader", with(CURRENT, &[(&principal, json!(GROUP))]), PRINCIPAL, &[GROUP, "Reader"]),
        create("EligibleWithoutReader", with(CURRENT, &[("/properties/authorizations", no_access)]), PRINCIPAL, &[USER, "Reader"]),
        create("EligibleWithoutReader", with(OWN, &[(&principal, json!(GROUP))]), PRINCIPAL, &[GROUP]),
        create(
            "AuthorizationTwice",
            with(CURRENT, &[("/properties/eligibleAuthorizations/-", again)]),
            "properties.eligibleAuthorizations[1]",
            &["`Contributor`", "properties.eligibleAuthorizations[0]"],
        ),
    ]
}

fn policies() -> Vec<Case> {
    const POLICY: &str = "/properties/eligibleAuthorizations/0/justInTimeAccessPolicy";
    const MFA: &str = "properties.eligibleAuthorizations[0].justInTimeAccessPolicy.multiFactorAuthProvider";
    const DURATION: &str = "properties.eligibleAuthorizations[0].justInTimeAccessPolicy.maximumActivationDuration";
    const APPROVERS: &str = "properties.eligibleAuthorizations[0].justInTimeAccessPolicy.managedByTenantApprovers";
    const FIRST: &str = "properties.eligibleAuthorizations[0].justInTimeAccessPolicy.managedByTenantApprovers[0].principalId";
    const CUSTOMER: &str = "properties.eligibleAuthorizations[0].justInTimeAccessPolicy.customerApprovers";
    let with = |version, member: &str, value: Value| refused(version, eligible(), &[(&format!("{POLICY}/{member}"), value)]);
    let approvers = |ids: &[&str]| ids.iter().map(|id| json!({ "principalId": id })).collect::<Value>();
    let differs = [
        ("/properties/authorizations/-", json!({ "principalId": GROUP, "roleDefinitionId": READER })),
        ("/properties/eligibleAuthorizations/-", json!({ "principalId": GROUP, "roleDefinitionId": CONTRIBUTOR })),
    ];
    vec![
        create("MfaUnknown", with(CURRENT, "multiFactorAuthProvider", json!("Sms")), MFA, &["`Sms`", "Azure, None"]),
        create("Missing", with(CURRENT, "multiFactorAuthProvider", json!(null)), MFA, &["multiFactorAuthProvider is missing"]),
        create("DurationMalformed", with(CURRENT, "maximumActivationDuration", json!("2 h")), DURATION, &["`2 h`", "PT30M"]),
        create("DurationMalformed", with(CURRENT, "maximumActivationDuration", json!("PT1H0.5S")), DURATION, &["PT1H0.5S"]),
        create(
            "DurationOutOfRange",
            with(CURRENT, "maximumActivationDuration", json!("PT29M59S")),
            DURATION,
            &["PT29M59S", "PT30M to PT8H"],
        ),
        create("DurationOutOfRange", with(CURRENT, "maximumActivationDuration", json!("PT8H1S")), DURATION, &["PT8H1S"]),
        create("DurationOutOfRange", with(CURRENT, "maximumActivationDuration", json!("-PT1H")), DURATION, &["-PT1H"]),
        create("ApproversTooMany", with(CURRENT, "managedByTenantApprovers", approvers(&[APPROVER; 11])), APPROVERS, &["11", "up to 10"]),
        create("ApproverSelf", with(CURRENT, "managedByTenantApprovers", approvers(&[USER])), FIRST, &[USER, "its own activation"]),
        create("ApproverKind", with(CURRENT, "managedByTenantApprovers", approvers(&[ROBOT])), FIRST, &[ROBOT, "a service principal"]),
        create("ApproverKind", with(OWN, "managedByTenantApprovers", approvers(&[APPLICATION])), FIRST, &["an application object"]),
        create(
            "ApproverKind",
            with(OWN, "customerApprovers", approvers(&[STRANGER, CUSTOMER_ROBOT])),
            "properties.eligibleAuthorizations[0].justInTimeAccessPolicy.customerApprovers[1].principalId",
            &[CUSTOMER_ROBOT],
        ),
        create("VersionTooOld", with(CURRENT, "customerApprovers", approvers(&[STRANGER])), CUSTOMER, &["2026-11-01-steward-preview"]),
        create(
            "EligiblePolicyDiffers",
            refused(CURRENT, eligible(), &differs),
            "properties.eligibleAuthorizations[1].justInTimeAccessPolicy",
            &["properties.eligibleAuthorizations[0].justInTimeAccessPolicy", "`Contributor`", "the same policy"],
        ),
    ]
}

fn terms() -> Vec<Case> {
    const END: &str = "properties.term.notAfter";
    const UNUSED: &str = "properties.term.unusedDays";
    let with = |term: Value| refused(OWN, plain(), &[("/properties/term", term)]);
    let current = refused(CURRENT, plain(), &[("/properties/term", json!({}))]);
    let reversed = json!({ "notBefore": "2027-02-01T00:00:00Z", "notAfter": "2027-02-01T00:00:00Z" });
    let reviewed_late = json!({ "reviewBy": "2027-02-02T00:00:00Z", "notAfter": "2027-02-01T00:00:00Z" });
    let content = (400, "InvalidRequestContent");
    vec![
        create("VersionTooOld", current, "properties.term", &["2022-10-01", "2026-11-01-steward-preview"]),
        create("TermEnded", with(json!({ "notAfter": "2026-11-21T06:00:00Z" })), END, &["2026-11-21T06:00:00Z"]),
        create("TermOrder", with(reversed), END, &["properties.term.notBefore"]),
        create("TermOrder", with(reviewed_late), END, &["properties.term.reviewBy"]),
        create("TimeMalformed", with(json!({ "notAfter": "next year" })), END, &["`next year`", "RFC 3339"]),
        create("UnusedDays", with(json!({ "unusedDays": 0 })), UNUSED, &["is 0", "1 to 730"]),
        create("UnusedDays", with(json!({ "unusedDays": 731 })), UNUSED, &["is 731"]),
        create("UnusedDays", with(json!({ "unusedDays": 1.5 })), UNUSED, &["is 1.5"]),
        other("WrongType", with(json!({ "unusedDays": "90" })), content, Some(UNUSED), &["a number"]),
    ]
}

fn assignments() -> Vec<Case> {
    let group = format!("{SUB}/resourceGroups/prod");
    let (watch, renamed) = (offer(DEFINITION, "Night watch"), offer(OTHER_DEFINITION, "NIGHT WATCH"));
    let mine = assigned(&group, ASSIGNMENT, DEFINITION);
    let second = assigned(&group.to_uppercase().replace("/SUBSCRIPTIONS", "/subscriptions"), OTHER_ASSIGNMENT, DEFINITION);
    let rival = assigned(&group, OTHER_ASSIGNMENT, OTHER_DEFINITION);
    let elsewhere = read_assigned(&group, ASSIGNMENT, &definition_id(OTHER_SUB, DEFINITION)).unwrap();
    let check = |assignment, definition, existing: &[Bound<'_>]| check_assignment(assignment, definition, existing).unwrap_err();
    let malformed = |id: Value| read_assigned(SUB, ASSIGNMENT, &json!({ "properties": { "registrationDefinitionId": id } })).unwrap_err();
    let scope = |text: &str| read_assigned(text, ASSIGNMENT, &definition_id(SUB, DEFINITION)).unwrap_err();
    let taken = &[(&mine, &watch), (&rival, &offer(OTHER_DEFINITION, "Day shift"))];
    let missing = (404, "RegistrationDefinitionNotFound");
    let uri = (400, "InvalidRegistrationAssignmentUri");
    let in_use = (409, "InvalidRegistrationDefinitionDeleteRequest");
    let bound = [mine.clone(), assigned(SUB, OTHER_ASSIGNMENT, DEFINITION), rival.clone()];
    let place = Some("properties.registrationDefinitionId");
    vec![
        other("AssignmentScope", scope("/"), uri, None, &["`/`", "resource group"]),
        other("AssignmentScope", scope("/providers/Microsoft.Management/managementGroups/root"), uri, None, &["managementGroups/root"]),
        other("AssignmentScope", scope(&format!("{group}/providers/Microsoft.Compute/disks/d")), uri, None, &["disks/d"]),
        other("AssignmentScope", scope(&format!("{SUB}/tagNames/x")), uri, None, &["tagNames/x"]),
        assign("Missing", read_assigned(SUB, ASSIGNMENT, &json!({ "properties": {} })).unwrap_err(), &["registrationDefinitionId"]),
        assign("DefinitionIdMalformed", malformed(json!(DEFINITION)), &[DEFINITION, "/subscriptions/{id}/providers"]),
        assign("DefinitionIdMalformed", malformed(json!(format!("{SUB}/providers/A.B/registrationDefinitions/{DEFINITION}"))), &["A.B"]),
        assign("DefinitionElsewhere", check(&elsewhere, Some(&watch), &[]), &["000000000001", "000000000002"]),
        other("DefinitionNotFound", check(&mine, None, &[]), missing, place, &[DEFINITION]),
        other("DefinitionNotFound", check(&mine, Some(&renamed), &[]), missing, place, &[DEFINITION]),
        other("AssignedAlready", check(&second, Some(&watch), &[(&mine, &watch)]), (409, ASSIGN), None, &[ASSIGNMENT, DEFINITION]),
        other("OfferNameTaken", check(&rival, Some(&renamed), &[(&mine, &watch)]), (409, ASSIGN), None, &["`NIGHT WATCH`", DEFINITION]),
        other("OfferNameTaken", check_definition_update(&renamed, taken).unwrap_err(), (409, ASSIGN), None, &["resourceGroups/prod"]),
        other(
            "DefinitionInUse",
            check_definition_removal(watch.key(), &bound).unwrap_err(),
            in_use,
            None,
            &[DEFINITION, "resourceGroups/prod", "2"],
        ),
    ]
}

#[test]
fn every_rule_answers_with_its_status_code_target_and_the_item_at_fault() {
    let tables = [bodies(), tenants_and_scopes(), roles(), eligible_principals_and_roles(), policies(), terms(), assignments()];
    let mut reached = BTreeSet::new();
    for case in tables.into_iter().flatten() {
        let Case { rule: expected, error, status, code, target, mentions } = case;
        let message = error.to_string();
        assert_eq!((rule(&error), error.status(), error.code(), error.target()), (expected, status, code, target), "{message}");
        for mention in mentions {
            assert!(message.contains(mention), "`{message}` does not mention `{mention}`");
        }
        assert!(!message.chars().any(char::is_control) && !message.ends_with('.'), "{message:?}");
        reached.insert(expected);
    }
    assert_eq!(reached, RULES.iter().copied().collect(), "every variant has a case");
}

/// Members with a value of every type that they are not.
#[test]
fn a_member_of_a_wrong_type_is_refused_with_its_path() {
    let eligible = edit(
        eligible(),
        &[
            ("/properties/description", json!("d")),
            ("/properties/term", json!({ "notAfter": "2027-01-01T00:00:00Z" })),
            ("/plan", json!({ "name": "n", "publisher": "p", "product": "q", "version": "1" })),
        ],
    );
    let members = [
        "/properties",
        "/properties/registrationDefinitionName",
        "/properties/description",
        "/properties/managedByTenantId",
        "/properties/authorizations",
        "/properties/authorizations/0",
        "/properties/authorizations/0/principalId",
        "/properties/authorizations/0/principalIdDisplayName",
        "/properties/authorizations/0/roleDefinitionId",
        "/properties/authorizations/0/delegatedRoleDefinitionIds",
        "/properties/eligibleAuthorizations",
        "/properties/eligibleAuthorizations/0",
        "/properties/eligibleAuthorizations/0/justInTimeAccessPolicy",
        "/properties/eligibleAuthorizations/0/justInTimeAccessPolicy/multiFactorAuthProvider",
        "/properties/eligibleAuthorizations/0/justInTimeAccessPolicy/maximumActivationDuration",
        "/properties/eligibleAuthorizations/0/justInTimeAccessPolicy/managedByTenantApprovers",
        "/properties/eligibleAuthorizations/0/justInTimeAccessPolicy/managedByTenantApprovers/0",
        "/plan",
        "/plan/version",
        "/properties/term",
        "/properties/term/notAfter",
    ];
    for member in members {
        let path = member.trim_start_matches('/').replace("/0", "[0]").replace('/', ".");
        for wrong in [json!(true), json!(7)] {
            let error = refused(OWN, eligible.clone(), &[(member, wrong)]);
            assert_eq!((rule(&error), error.target()), ("WrongType", Some(path.as_str())), "{error}");
        }
    }
    let error = read_assigned(SUB, ASSIGNMENT, &json!({ "properties": { "registrationDefinitionId": [] } })).unwrap_err();
    assert_eq!((rule(&error), error.target()), ("WrongType", Some("properties.registrationDefinitionId")));
}

#[test]
fn what_keeps_to_the_rules_is_accepted() {
    let group = json!({ "principalId": GROUP, "roleDefinitionId": READER });
    let robot = [("/properties/eligibleAuthorizations/0/principalId", json!(ROBOT)), ("/properties/authorizations", json!([]))];
    let unlisted = [
        ("/properties/authorizations/0/principalId", json!(STRANGER)),
        ("/properties/eligibleAuthorizations/0/principalId", json!(STRANGER)),
    ];
    let same_role = [
        ("/properties/authorizations/-", group),
        ("/properties/eligibleAuthorizations/-", {
            let first = eligible()["properties"]["eligibleAuthorizations"][0].clone();
            edit(first, &[("/principalId", json!(GROUP))])
        }),
    ];
    let access = [(
        "/properties/authorizations/-",
        json!({
            "principalId": ROBOT, "roleDefinitionId": ACCESS_ADMINISTRATOR, "delegatedRoleDefinitionIds": [CONTRIBUTOR, READER],
        }),
    )];
    let terraform = format!("{SUB}/providers/Microsoft.Authorization/roleDefinitions/{CONTRIBUTOR}");
    let nulls = [
        ("/properties/description", json!(null)),
        ("/properties/eligibleAuthorizations", json!(null)),
        ("/properties/authorizations/0/delegatedRoleDefinitionIds", json!([])),
        ("/properties/provisioningState", json!("Succeeded")),
        ("/properties/somethingNew", json!({ "a": 1 })),
    ];
    let accepted = [
        (CLI, plain(), &[][..]),
        (CLI, plain(), &nulls),
        (CLI, plain(), &access),
        (CLI, plain(), &[("/properties/authorizations/0/roleDefinitionId", json!(terraform))]),
        (CLI, plain(), &[("/properties/authorizations/0/roleDefinitionId", json!(READER.to_uppercase()))]),
        (CURRENT, eligible(), &[]),
        (CURRENT, eligible(), &same_role),
        (CURRENT, eligible(), &unlisted),
        (OWN, eligible(), &robot),
        (OWN, eligible(), &[("/properties/term", json!({ "notAfter": "2027-01-01T00:00:00+01:00", "unusedDays": 90 }))]),
    ];
    for (version, body, edits) in accepted {
        let body = edit(body, edits);
        let definition = read(version, &body, None).unwrap_or_else(|error| panic!("{error}\n{body:#}"));
        assert_eq!((definition.created_by, definition.updated_at), (caller(), now()));
    }
}

#[test]
fn several_offers_and_scopes_stand_side_by_side() {
    let (watch, day) = (offer(DEFINITION, "Night watch"), offer(OTHER_DEFINITION, "Day shift"));
    let (here, there) = (assigned(&format!("{SUB}/resourceGroups/a"), ASSIGNMENT, DEFINITION), assigned(SUB, OTHER_ASSIGNMENT, DEFINITION));
    let beside = assigned(SUB, ASSIGNMENT, OTHER_DEFINITION);
    check_assignment(&here, Some(&watch), &[(&there, &watch), (&beside, &day)]).unwrap();
    check_assignment(&there, Some(&watch), &[(&here, &watch), (&beside, &day), (&there, &watch)]).unwrap();
    check_definition_update(&offer(OTHER_DEFINITION, "Morning shift"), &[(&there, &watch), (&beside, &day)]).unwrap();
    let apart = [(&here, &watch), (&beside, &day)];
    check_definition_update(&offer(OTHER_DEFINITION, "Night watch"), &apart).unwrap();
    check_definition_removal(day.key(), &[here, there]).unwrap();
}

#[test]
fn a_body_of_bytes_is_read_like_a_body_of_json() {
    let definition = read_definition(plain().to_string().as_bytes(), &context(CURRENT, &RoleCatalogue::builtin(), None)).unwrap();
    assert_eq!(definition, read(CURRENT, &plain(), None).unwrap());
    let scope = Scope::parse(SUB).unwrap();
    let assignment = AssignmentContext { scope: &scope, name: ASSIGNMENT.parse().unwrap(), previous: None, now: now(), caller: caller() };
    let read = read_assignment(definition_id(SUB, DEFINITION).to_string().as_bytes(), &assignment).unwrap();
    assert_eq!(read, assigned(SUB, ASSIGNMENT, DEFINITION));
    assert_eq!(read.id(), format!("{SUB}/providers/Microsoft.ManagedServices/registrationAssignments/{ASSIGNMENT}"));
    assert_eq!(read.definition.to_string(), definition_id(SUB, DEFINITION)["properties"]["registrationDefinitionId"]);
}
