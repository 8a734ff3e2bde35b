//! Documents: stored, answered, read again. The rules are tested in `tests/offer_rules.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::arm::query::ApiVersion;
use crate::arm::scope::Scope;
use crate::delegation::roles::{RoleCatalogue, USER_ACCESS_ADMINISTRATOR};
use crate::ids::{ObjectId, PrincipalId, TenantId};

const OWN: ManagedServicesVersion = ManagedServicesVersion::V20261101StewardPreview;
const CURRENT: ManagedServicesVersion = ManagedServicesVersion::V20221001;
const CLI: ManagedServicesVersion = ManagedServicesVersion::V20190601;

const USER: &str = "70000000-0000-4000-8000-000000000001";
const PROVIDER: &str = "20000000-0000-4000-8000-00000000000b";
const HOME: &str = "10000000-0000-4000-8000-00000000000a";

fn stored() -> Value {
    serde_json::from_str(include_str!("stored_v1.json")).unwrap()
}

fn definition() -> RegistrationDefinition {
    serde_json::from_value(stored()["definition"].clone()).unwrap()
}

fn assignment() -> RegistrationAssignment {
    serde_json::from_value(stored()["assignment"].clone()).unwrap()
}

fn home() -> TenantId {
    HOME.parse().unwrap()
}

fn answer(definition: &RegistrationDefinition, version: ManagedServicesVersion) -> Value {
    let tenant_name = |tenant| (tenant == home()).then(|| Arc::from("Harbour"));
    definition.to_arm(&ArmView { version, home_tenant: home(), tenant_name: &tenant_name }, ProvisioningState::Succeeded)
}

fn read(
    version: ManagedServicesVersion,
    body: &Value,
    previous: Option<&RegistrationDefinition>,
) -> Result<RegistrationDefinition, OfferError> {
    read_with(&RoleCatalogue::builtin(), version, body, previous)
}

fn read_with(
    roles: &RoleCatalogue,
    version: ManagedServicesVersion,
    body: &Value,
    previous: Option<&RegistrationDefinition>,
) -> Result<RegistrationDefinition, OfferError> {
    let before = definition();
    let context = DefinitionContext {
        subscription: before.subscription,
        home_tenant: home(),
        name: before.name,
        version,
        roles,
        previous,
        principal_kind: &|_, _| None,
        now: before.updated_at,
        caller: before.updated_by,
    };
    definition_from(body, &context)
}

#[test]
fn what_was_stored_first_is_still_read_and_stored_alike() {
    assert_eq!(serde_json::to_value(definition()).unwrap(), stored()["definition"]);
    assert_eq!(serde_json::to_value(assignment()).unwrap(), stored()["assignment"]);
}

#[test]
fn a_stored_document_needs_no_member_that_may_be_absent_and_may_have_unknown_ones() {
    let mut text = stored()["definition"].clone();
    for absent in ["description", "eligible", "plan", "term"] {
        text.as_object_mut().unwrap().remove(absent);
    }
    text["added_later"] = json!(1);
    let read: RegistrationDefinition = serde_json::from_value(text).unwrap();
    assert_eq!(read, RegistrationDefinition { description: None, eligible: Vec::new(), plan: None, term: Term::default(), ..definition() });
    let policy: JustInTimePolicy = serde_json::from_value(json!({})).unwrap();
    assert_eq!((policy.duration_max.as_secs(), policy.mfa), (28_800, Mfa::None));
}

#[test]
fn a_stored_scope_or_time_that_is_broken_is_an_error() {
    let mut text = stored();
    text["assignment"]["scope"] = json!("subscriptions/x");
    assert!(serde_json::from_value::<RegistrationAssignment>(text["assignment"].clone()).is_err());
    text["definition"]["term"]["not_after"] = json!("soon");
    assert!(serde_json::from_value::<RegistrationDefinition>(text["definition"].clone()).is_err());
}

#[test]
fn an_answer_by_our_own_version_has_everything() {
    assert_eq!(
        answer(&definition(), OWN),
        json!({
            "properties": {
                "registrationDefinitionName": "Night watch",
                "description": "Somebody is awake.\nAlways.",
                "managedByTenantId": PROVIDER,
                "manageeTenantId": HOME,
                "manageeTenantName": "Harbour",
                "authorizations": [
                    { "principalId": USER, "roleDefinitionId": "acdd72a7-3385-48ef-bd42-f606fba81ae7" },
                    {
                        "principalId": "70000000-0000-4000-8000-000000000003",
                        "principalIdDisplayName": "Remediation",
                        "roleDefinitionId": "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
                        "delegatedRoleDefinitionIds": ["b24988ac-6180-42a0-ab88-20f7382dd24c"],
                    },
                ],
                "eligibleAuthorizations": [{
                    "principalId": USER,
                    "roleDefinitionId": "b24988ac-6180-42a0-ab88-20f7382dd24c",
                    "justInTimeAccessPolicy": {
                        "multiFactorAuthProvider": "Azure",
                        "maximumActivationDuration": "PT1H30M",
                        "managedByTenantApprovers": [
                            { "principalId": "70000000-0000-4000-8000-000000000005", "principalIdDisplayName": "Leads" },
                        ],
                        "customerApprovers": [{ "principalId": "70000000-0000-4000-8000-000000000006" }],
                    },
                }],
                "term": {
                    "notBefore": "2026-12-01T00:00:00Z",
                    "notAfter": "2027-12-01T00:00:00Z",
                    "reviewBy": "2027-06-01T00:00:00Z",
                    "unusedDays": 90,
                },
                "provisioningState": "Succeeded",
            },
            "plan": { "name": "gold", "publisher": "ostra", "product": "watch", "version": "1.0.0" },
            "id": "/subscriptions/40000000-0000-4000-8000-000000000001/providers/Microsoft.ManagedServices/registrationDefinitions/\
                   50000000-0000-4000-8000-000000000001",
            "name": "50000000-0000-4000-8000-000000000001",
            "type": "Microsoft.ManagedServices/registrationDefinitions",
            "systemData": {
                "createdBy": "70000000-0000-4000-8000-000000000006",
                "createdAt": "2026-11-21T06:00:00Z",
                "lastModifiedBy": "70000000-0000-4000-8000-000000000006",
                "lastModifiedAt": "2026-11-21T07:00:00Z",
            },
        })
    );
}

#[test]
fn an_answer_leaves_out_what_its_version_does_not_know() {
    for version in ManagedServicesVersion::ALL {
        let properties = &answer(&definition(), version)["properties"];
        let eligible = &properties["eligibleAuthorizations"];
        let customer_approvers = &eligible[0]["justInTimeAccessPolicy"]["customerApprovers"];
        let known = (!eligible.is_null(), !customer_approvers.is_null(), !properties["term"].is_null());
        let own = version == OWN;
        assert_eq!(known, (version >= ManagedServicesVersion::V20200201Preview, own, own), "{version}");
    }
}

#[test]
fn a_term_that_nothing_ends_is_neither_answered_nor_stored() {
    let open = RegistrationDefinition { term: Term::default(), ..definition() };
    assert_eq!(answer(&open, OWN)["properties"].get("term"), None);
    assert_eq!(serde_json::to_value(&open).unwrap().get("term"), None);
    let reviewed =
        RegistrationDefinition { term: Term { not_before: None, not_after: None, unused_days: None, ..definition().term }, ..open };
    assert_eq!(answer(&reviewed, OWN)["properties"]["term"], json!({ "reviewBy": "2027-06-01T00:00:00Z" }));
    assert_eq!(serde_json::to_value(&reviewed).unwrap()["term"], json!({ "review_by": "2027-06-01T00:00:00Z" }));
}

#[test]
fn a_plan_shows_eligible_authorizations_where_it_has_some_and_the_version_knows_them() {
    let RegistrationDefinition { plan, managing_tenant, authorizations, eligible, .. } = definition();
    let with = MarketplaceDefinition { plan: plan.unwrap(), managing_tenant, authorizations, eligible };
    let without = MarketplaceDefinition { eligible: Vec::new(), ..with.clone() };
    for version in ManagedServicesVersion::ALL {
        let shown = |plan: &MarketplaceDefinition| plan.to_arm(version, "")["properties"].get("eligibleAuthorizations").cloned();
        assert_eq!(shown(&with).is_some(), version != CLI && version >= ManagedServicesVersion::V20200201Preview, "{version}");
        assert_eq!(shown(&without), None, "{version}");
    }
    let properties = with.to_arm(CURRENT, "")["properties"].clone();
    assert_eq!(properties["eligibleAuthorizations"], answer(&definition(), CURRENT)["properties"]["eligibleAuthorizations"]);
}

#[test]
fn an_assignment_is_answered_with_its_definition_only_when_asked() {
    let tenant_name = |_| None;
    let view = ArmView { version: CURRENT, home_tenant: home(), tenant_name: &tenant_name };
    let id = "/subscriptions/40000000-0000-4000-8000-000000000001";
    let definition_id = format!("{id}/providers/Microsoft.ManagedServices/registrationDefinitions/50000000-0000-4000-8000-000000000001");
    let mut expected = json!({
        "properties": { "registrationDefinitionId": definition_id, "provisioningState": "Deleting" },
        "id": format!(
            "{id}/resourceGroups/prod/providers/Microsoft.ManagedServices/registrationAssignments/60000000-0000-4000-8000-000000000001"
        ),
        "name": "60000000-0000-4000-8000-000000000001",
        "type": "Microsoft.ManagedServices/registrationAssignments",
        "systemData": {
            "createdBy": "70000000-0000-4000-8000-000000000006",
            "createdAt": "2026-11-21T06:00:00Z",
            "lastModifiedBy": "70000000-0000-4000-8000-000000000006",
            "lastModifiedAt": "2026-11-21T06:00:00Z",
        },
    });
    assert_eq!(assignment().to_arm(&view, ProvisioningState::Deleting, None), expected);
    expected["properties"]["registrationDefinition"] = definition().to_arm(&view, ProvisioningState::Succeeded);
    assert_eq!(assignment().to_arm(&view, ProvisioningState::Deleting, Some(&definition())), expected);
}

#[test]
fn an_answer_is_a_body_that_reads_to_the_same_document() {
    let read = read(OWN, &answer(&definition(), OWN), Some(&definition())).unwrap();
    assert_eq!(read, definition());
    let body = assignment().to_arm(
        &ArmView { version: OWN, home_tenant: home(), tenant_name: &|_| None },
        ProvisioningState::Succeeded,
        Some(&definition()),
    );
    let context = AssignmentContext {
        scope: &assignment().scope,
        name: assignment().name,
        previous: None,
        now: assignment().created_at,
        caller: assignment().created_by,
    };
    assert_eq!(assignment_from(&body, &context).unwrap(), assignment());
}

#[test]
fn every_duration_in_range_is_written_as_it_is_read() {
    for seconds in (ACTIVATION_MIN.as_secs()..=ACTIVATION_MAX.as_secs()).step_by(61) {
        let mut before = definition();
        before.eligible[0].policy.duration_max = Duration::from_secs(seconds);
        assert_eq!(read(OWN, &answer(&before, OWN), None).unwrap().eligible, before.eligible, "{seconds} s");
    }
}

#[test]
fn an_activation_lasts_from_half_an_hour_to_eight_hours() {
    let read = |duration: Value| {
        let mut body = answer(&definition(), OWN);
        body["properties"]["eligibleAuthorizations"][0]["justInTimeAccessPolicy"]["maximumActivationDuration"] = duration;
        read(OWN, &body, None).map(|read| read.eligible[0].policy.duration_max.as_secs())
    };
    for (text, seconds) in [("PT30M", 1_800), ("PT1800S", 1_800), ("PT8H", 28_800), ("PT480M", 28_800)] {
        assert_eq!(read(json!(text)).unwrap(), seconds, "{text}");
    }
    assert_eq!(read(Value::Null).unwrap(), 28_800, "where none is given");
    for text in ["PT29M59S", "PT1M30S", "PT0S", "-PT1H", "PT8H1S", "PT24H"] {
        let refused = read(json!(text)).unwrap_err();
        assert!(matches!(refused, OfferError::DurationOutOfRange { .. }), "{text}: {refused}");
    }
}

#[test]
fn a_term_may_be_reviewed_until_it_ends() {
    let read = |review_by: &str| {
        let mut offer = definition();
        offer.term.review_by = Some(review_by.parse().unwrap());
        read(OWN, &answer(&offer, OWN), None).map(|read| read.term == offer.term)
    };
    assert_eq!(definition().term.not_after, Some("2027-12-01T00:00:00Z".parse().unwrap()));
    for accepted in ["2027-11-30T23:59:59Z", "2027-12-01T00:00:00Z"] {
        assert!(read(accepted).unwrap(), "{accepted}");
    }
    let late = read("2027-12-01T00:00:01Z").unwrap_err();
    assert_eq!(late.to_string(), "properties.term.notAfter must be later than properties.term.reviewBy");
}

#[test]
fn service_principals_are_told_which_version_they_need() {
    let told = |kind| {
        let refused = OfferError::EligibleKind { at: Place::definition("x"), principal: USER.parse().unwrap(), kind };
        refused.to_string().split_once("; ").unwrap().1.to_owned()
    };
    let rule = "eligible authorizations are for users and groups";
    assert_eq!(told(PrincipalKind::ServicePrincipal), format!("{rule}; service principals need the api-version {OWN}"));
    assert_eq!(told(PrincipalKind::Application), rule);
}

#[test]
fn a_version_that_knows_no_term_and_no_customer_approvers_leaves_them_as_they_were() {
    let before = definition();
    let mut body = answer(&before, CURRENT);
    body["properties"]["registrationDefinitionName"] = json!("Day shift");
    let after = read(CURRENT, &body, Some(&before)).unwrap();
    assert_eq!(after, RegistrationDefinition { offer_name: "Day shift".into(), ..before.clone() });
    let anew = read(CURRENT, &body, None).unwrap();
    assert_eq!((anew.term, anew.eligible[0].policy.customer_approvers.len()), (Term::default(), 0));
    body["properties"]["eligibleAuthorizations"] = json!([]);
    let without = read(CLI, &body, Some(&after)).unwrap_err();
    assert!(matches!(without, OfferError::VersionTooOld { .. }), "{without}");
    assert_eq!(read(CURRENT, &body, Some(&after)).unwrap().eligible, []);
    let ended = read(OWN, &answer(&before, CURRENT), Some(&before)).unwrap();
    assert_eq!(ended.term, Term::default(), "our own version says what it leaves out");
}

#[test]
fn a_term_that_is_over_does_not_stop_a_version_that_cannot_change_it() {
    let mut over = definition();
    over.term.not_after = Some(over.created_at);
    let after = read(CURRENT, &answer(&over, CURRENT), Some(&over)).unwrap();
    assert_eq!(after.term, over.term);
}

#[test]
fn policies_of_one_role_may_differ_in_names_and_order_and_nothing_else() {
    let reader = Authorization { principal: HOME.parse().unwrap(), ..definition().authorizations[0].clone() };
    let approver = |id: &str| Approver { principal: id.parse().unwrap(), display_name: Some("Somebody".into()) };
    let differs = |change: &dyn Fn(&mut JustInTimePolicy)| {
        let mut offer = definition();
        offer.authorizations.push(reader.clone());
        offer.eligible[0].policy.approvers.push(approver(PROVIDER));
        let mut second = EligibleAuthorization { principal: reader.principal, ..offer.eligible[0].clone() };
        change(&mut second.policy);
        offer.eligible.push(second);
        match read(OWN, &answer(&offer, OWN), None) {
            Ok(read) => {
                assert_eq!(read.eligible, offer.eligible);
                false
            }
            Err(OfferError::EligiblePolicyDiffers { .. }) => true,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(!differs(&|_| {}));
    assert!(!differs(&|policy| policy.approvers.reverse()));
    assert!(!differs(&|policy| policy.approvers[0].display_name = None));
    assert!(differs(&|policy| policy.mfa = Mfa::None));
    assert!(differs(&|policy| policy.duration_max = ACTIVATION_MIN));
    assert!(differs(&|policy| policy.approvers.truncate(1)));
    assert!(differs(&|policy| policy.customer_approvers.push(approver(PROVIDER))));
}

#[test]
fn a_reader_reads_everything_and_not_under_a_condition() {
    let mut offer = definition();
    offer.authorizations.truncate(1);
    let contributor = "role b24988ac-6180-42a0-ab88-20f7382dd24c Contributor\n+ * write\n";
    let reader = "role acdd72a7-3385-48ef-bd42-f606fba81ae7 Reader\n";
    for (block, expected) in [
        ("+ * read\n", true),
        ("+ * READ\n", true),
        ("+ *\n", true),
        ("+ * write\n", false),
        ("+ A.B */read\n", false),
        ("+ * read\nwhen @Request[x] StringEquals 'y'\n", false),
        ("+ *\nwhen @Request[x] StringEquals 'y'\n", false),
    ] {
        let roles = RoleCatalogue::from_table(&format!("{reader}{block}{contributor}")).unwrap();
        let read = read_with(&roles, OWN, &answer(&offer, OWN), None);
        let refused = matches!(read, Err(OfferError::EligibleWithoutReader { .. }));
        assert_eq!((read.is_ok(), refused), (expected, !expected), "{block}: {read:?}");
    }
}

#[test]
fn what_is_exactly_as_long_as_a_bound_is_accepted() {
    let mut offer = definition();
    offer.offer_name = "é".repeat(OFFER_NAME_MAX).into();
    offer.description = Some("x".repeat(DESCRIPTION_MAX).into());
    offer.eligible[0].policy.approvers =
        (0..APPROVERS_MAX).map(|_| Approver { principal: ObjectId::random(), display_name: None }).collect();
    let more = (2..AUTHORIZATIONS_MAX).map(|_| Authorization { principal: ObjectId::random(), ..definition().authorizations[0].clone() });
    offer.authorizations.extend(more);
    assert_eq!(read(OWN, &answer(&offer, OWN), None).unwrap(), RegistrationDefinition { created_at: offer.updated_at, ..offer.clone() });
    let mut body = answer(&offer, OWN).to_string().into_bytes();
    body.resize(4_194_304, b' ');
    assert!(json::parse(&body).is_ok());
    body.push(b' ');
    assert!(matches!(json::parse(&body), Err(OfferError::BodyTooLarge { bytes: 4_194_305 })));
}

#[test]
fn who_made_a_definition_stays_when_it_is_replaced() {
    let other = PrincipalId { tenant: home(), object: USER.parse().unwrap() };
    let before = RegistrationDefinition { created_by: other, ..definition() };
    let after = read(OWN, &answer(&before, OWN), Some(&before)).unwrap();
    assert_eq!((after.created_by, after.created_at, after.updated_by), (other, before.created_at, before.updated_by));
}

#[test]
fn all_builtin_roles_are_classified_as_authorizations() {
    let roles = RoleCatalogue::builtin();
    let mut counts = BTreeMap::new();
    for (_, role) in roles.iter() {
        let authorization =
            Authorization { principal: USER.parse().unwrap(), display_name: None, role: role.id(), delegated_roles: vec![] };
        let offer = RegistrationDefinition { authorizations: vec![authorization], eligible: vec![], ..definition() };
        let class = check_roles(&offer, &roles).map_or_else(
            |error| {
                assert!(error.to_string().contains(&format!("`{}`", role.name())), "{error}");
                assert_eq!(error.target(), Some("properties.authorizations[0].roleDefinitionId"));
                format!("{error:?}").split(' ').next().unwrap().to_owned()
            },
            |()| "delegable".to_owned(),
        );
        *counts.entry(class).or_insert(0) += 1;
    }
    let expected = [("RoleConstrained", 1), ("RoleDataAction", 319), ("RoleOwner", 1), ("RoleRestricted", 29), ("delegable", 578)];
    let expected = expected.map(|(class, count)| (class.to_owned(), count));
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn eligible_and_handed_on_roles_are_the_delegable_ones() {
    let roles = RoleCatalogue::builtin();
    let (mut eligible, mut handed_on) = (0, 0);
    for (index, role) in roles.iter() {
        let mut offer = definition();
        offer.eligible[0].role = role.id();
        let is_eligible = check_roles(&offer, &roles).is_ok();
        let mut offer = definition();
        offer.authorizations[1].delegated_roles = vec![role.id()];
        assert_eq!(offer.authorizations[1].role, USER_ACCESS_ADMINISTRATOR);
        let is_handed_on = check_roles(&offer, &roles).is_ok();
        let delegable = roles.delegable(index).is_ok();
        assert_eq!((is_eligible, is_handed_on), (delegable, delegable), "{}", role.name());
        eligible += u32::from(is_eligible);
        handed_on += u32::from(is_handed_on);
    }
    assert_eq!((eligible, handed_on), (578, 578));
}

#[test]
fn a_role_that_gained_data_actions_is_refused_when_the_definition_is_assigned() {
    let table = "role acdd72a7-3385-48ef-bd42-f606fba81ae7 Reader\n+ * read\nd Microsoft.Storage/blobs/read\n";
    let error = match RoleCatalogue::from_table(table) {
        Ok(later) => check_roles(&definition(), &later).unwrap_err(),
        Err(error) => panic!("{error}"),
    };
    assert!(matches!(error, OfferError::RoleDataAction { .. }), "{error}");
}

#[test]
fn every_version_is_one_that_a_query_may_have_and_reads_back() {
    for version in ManagedServicesVersion::ALL {
        let query = format!("$expand=x&api-version={version}");
        let sent = ApiVersion::from_query(&query).unwrap();
        assert_eq!(ManagedServicesVersion::parse(sent.as_str()).unwrap(), version);
        assert_eq!(ManagedServicesVersion::parse(&version.as_str().to_uppercase()).unwrap(), version);
    }
    assert!(ManagedServicesVersion::ALL.is_sorted());
}

#[track_caller]
fn check_filter(text: &str, expected: &[&str]) {
    let found = parse_filter(text).map(|filter| filter.managing_tenants().iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(found.unwrap_or_default(), expected, "{text}");
}

#[test]
fn a_filter_names_tenants_quoted_or_not() {
    check_filter(&format!("managedByTenantId eq '{PROVIDER}'"), &[PROVIDER]);
    check_filter(&format!(" MANAGEDBYTENANTID  EQ  {PROVIDER} "), &[PROVIDER]);
    check_filter(&format!("managedByTenantId in ('{PROVIDER}','{HOME}')"), &[PROVIDER, HOME]);
    check_filter(&format!("managedByTenantId+in+({PROVIDER},+{HOME})"), &[PROVIDER, HOME]);
    check_filter(&format!("managedByTenantId in('{PROVIDER}')"), &[PROVIDER]);
    for refused in [
        "",
        "managedByTenantId",
        "managedByTenantId eq",
        "managedByTenantId eq ''",
        "managedByTenantId in ()",
        &format!("managedByTenantId ne '{PROVIDER}'"),
        &format!("managedByTenantId eq '{PROVIDER}"),
        &format!("managedByTenantId eq'{PROVIDER}'"),
        &format!("managedByTenantId in '{PROVIDER}'"),
        &format!("managedByTenantId eq '{PROVIDER}' or 1 eq 1"),
        &format!("manageeTenantId eq '{PROVIDER}'"),
        &format!("managedByTenantId in ({})", [PROVIDER; FILTER_TENANTS_MAX + 1].join(",")),
    ] {
        check_filter(refused, &[]);
    }
    let filter = parse_filter(&format!("managedByTenantId eq '{PROVIDER}'")).unwrap();
    let moved = RegistrationDefinition { managing_tenant: home(), ..definition() };
    assert_eq!((filter.matches(&definition()), filter.matches(&moved)), (true, false));
}

#[test]
fn the_operations_cover_both_types() {
    let operations = operations();
    let names: Vec<_> = operations["value"].as_array().unwrap().iter().map(|operation| operation["name"].as_str().unwrap()).collect();
    for kind in [DEFINITION_TYPE, ASSIGNMENT_TYPE] {
        for verb in ["read", "write", "delete"] {
            assert!(names.contains(&format!("{kind}/{verb}").as_str()), "{kind}/{verb}");
        }
    }
    assert!(names.iter().all(|name| name.parse::<crate::arm::action::Action>().is_ok()), "{names:?}");
    assert!(names.contains(&"Microsoft.ManagedServices/register/action"));
}

/// Values of a body: likely ones, so that deep rules are reached, and others.
fn any_leaf() -> impl Strategy<Value = Value> {
    let likely = [
        USER,
        PROVIDER,
        HOME,
        "acdd72a7-3385-48ef-bd42-f606fba81ae7",
        "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        "Azure",
        "None",
        "PT8H",
        "P1D",
        "2027-01-01T00:00:00Z",
        "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7",
        "",
    ];
    prop_oneof![
        4 => prop::sample::select(likely.to_vec()).prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
    ]
}

fn any_value() -> impl Strategy<Value = Value> {
    let names = [
        "properties",
        "registrationDefinitionName",
        "managedByTenantId",
        "authorizations",
        "eligibleAuthorizations",
        "principalId",
        "roleDefinitionId",
        "ROLEDEFINITIONID",
        "delegatedRoleDefinitionIds",
        "justInTimeAccessPolicy",
        "term",
        "notAfter",
        "plan",
        "registrationDefinitionId",
    ];
    let name = prop_oneof![9 => prop::sample::select(names.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    any_leaf().prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(name.clone(), inner, 0..6).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

/// The pointers of all values inside `value`.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| pointers(item, &format!("{at}/{index}"), found)),
        Value::Object(members) => members.iter().for_each(|(name, member)| pointers(member, &format!("{at}/{name}"), found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_told_in_one_line(error: &OfferError) -> bool {
    let message = error.to_string();
    message.len() < 4_096 && !message.chars().any(char::is_control) && (400..500).contains(&error.status()) && !error.code().is_empty()
}

/// Either an error that can be told, or a document that survives being stored, answered and read again.
fn check_any(version: ManagedServicesVersion, body: &Value) {
    match read(version, body, None) {
        Err(error) => assert!(is_told_in_one_line(&error), "{error}"),
        Ok(document) => {
            let text = serde_json::to_string(&document).unwrap();
            assert_eq!(serde_json::from_str::<RegistrationDefinition>(&text).unwrap(), document);
            assert_eq!(read(version, &answer(&document, version), None).unwrap(), document);
        }
    }
}

proptest! {
    #[test]
    fn no_body_panics(body in any_value(), version in prop::sample::select(&ManagedServicesVersion::ALL[..])) {
        check_any(version, &body);
        let assignment = assignment();
        let context = AssignmentContext {
            scope: &assignment.scope, name: assignment.name, previous: None, now: assignment.created_at, caller: assignment.created_by,
        };
        if let Err(error) = assignment_from(&body, &context) {
            prop_assert!(is_told_in_one_line(&error), "{}", error);
        }
    }

    #[test]
    fn a_good_body_with_changed_values_is_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any_leaf()), 0..3),
    ) {
        let mut body = answer(&definition(), OWN);
        for (index, value) in changes {
            let mut all = Vec::new();
            pointers(&body, "", &mut all);
            let changed: &String = index.get(&all);
            *body.pointer_mut(changed).unwrap() = value;
        }
        check_any(OWN, &body);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..256), text in any::<String>()) {
        let assignment = assignment();
        let context = AssignmentContext {
            scope: &assignment.scope, name: assignment.name, previous: None, now: assignment.created_at, caller: assignment.created_by,
        };
        prop_assert!(read_assignment(&bytes, &context).is_err());
        prop_assert!(parse_filter(&text).is_err());
        prop_assert!(ManagedServicesVersion::parse(&text).is_err_and(|error| is_told_in_one_line(&error)));
        let scope = Scope::parse(&format!("/{text}")).or_else(|_| Scope::from_segments(&[&text])).unwrap();
        prop_assert!(check_definition_scope(&scope).is_err_and(|error| is_told_in_one_line(&error)));
    }
}
