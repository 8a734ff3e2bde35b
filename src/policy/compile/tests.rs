use std::path::Path;

use crate::delegation::{Grant, OriginKind, Window};
use crate::directory::{Directory, KeySource};
use crate::ids::{ObjectId, PrincipalId, SubscriptionId, TenantId};
use crate::policy::diagnostics::{DIAGNOSTICS_MAX, SUGGESTIONS_MAX, Style};
use crate::policy::{LoadOptions, embedded, load_texts};

const WORLD: &str = r#"
[[issuer]]
key = "demo"
kind = "demo"
[[tenant]]
key = "p"
id = "00000001-0000-4000-8000-000000000000"
name = "Provider"
issuer = "demo"
[[tenant]]
key = "c"
id = "00000002-0000-4000-8000-000000000000"
name = "Customer"
[[management_group]]
name = "Top"
tenant = "c"
[[management_group]]
name = "Inner"
tenant = "c"
parent = "top"
[[subscription]]
id = "00000002-0005-4000-8000-000000000001"
name = "inside"
tenant = "c"
management_group = "inner"
[[subscription]]
id = "00000002-0005-4000-8000-000000000002"
name = "outside"
tenant = "c"
[[user]]
key = "own"
object_id = "00000002-0002-4000-8000-000000000001"
tenant = "c"
[[user]]
key = "ann"
object_id = "00000001-0002-4000-8000-000000000001"
tenant = "p"
groups = ["small"]
[[group]]
key = "small"
object_id = "00000001-0004-4000-8000-000000000001"
tenant = "p"
groups = ["large"]
[[group]]
key = "large"
object_id = "00000001-0004-4000-8000-000000000002"
tenant = "p"
members = ["group:small"]
groups = ["small"]
"#;

const INSIDE: &str = "00000002-0005-4000-8000-000000000001";
const OUTSIDE: &str = "00000002-0005-4000-8000-000000000002";

#[track_caller]
fn directory(more: &str) -> Directory {
    let options = LoadOptions::new("2026-11-20T14:00:00Z".parse().unwrap()).with_demo_issuer("https://localhost:8445/");
    let loaded = load_texts(Path::new("p"), &[("a.toml", WORLD), ("b.toml", more)], &options);
    loaded.unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(Style::default()))).directory
}

fn tenant(key: u8) -> TenantId {
    format!("0000000{key}-0000-4000-8000-000000000000").parse().unwrap()
}

fn describe(directory: &Directory, grant: &Grant) -> String {
    let role = directory.roles().role(grant.role).unwrap().name().to_owned();
    format!("{} {role} {} {:?}", grant.origin.principal_name, grant.scope, *grant.window)
}

#[track_caller]
fn check_grants(directory: &Directory, subscription: &str, expected: &[&str]) {
    let id: SubscriptionId = subscription.parse().unwrap();
    let grants: Vec<_> = directory.subscription(id).unwrap().grants.iter().map(|grant| describe(directory, grant)).collect();
    assert_eq!(grants, expected);
}

#[test]
fn what_is_granted_above_holds_in_every_subscription_below() {
    let assignment = |role: &str, scope: &str| format!("[[role_assignment]]\nwho = \"own\"\nrole = \"{role}\"\nscope = \"{scope}\"\n");
    let text = [assignment("Reader", "/") + "tenant = \"c\"\n", assignment("Contributor", "TOP"), assignment("Owner", "inner")].concat();
    let directory = directory(&text);
    let inside = format!("/subscriptions/{INSIDE} Standing");
    check_grants(
        &directory,
        INSIDE,
        &[&format!("own Owner {inside}"), &format!("own Contributor {inside}"), &format!("own Reader {inside}")],
    );
    check_grants(&directory, OUTSIDE, &[&format!("own Reader /subscriptions/{OUTSIDE} Standing")]);
    let on = |name: &str| directory.management_group(name).unwrap().grants.len();
    assert_eq!((on("Top"), on("inner"), directory.tenant_grants(tenant(2)).len()), (2, 3, 1));
    let inside = directory.subscription(INSIDE.parse().unwrap()).unwrap();
    assert_eq!(inside.ancestors.iter().map(|name| &**name).collect::<Vec<_>>(), ["Inner", "Top"]);
    assert!(!directory.related(tenant(1), tenant(2)));
}

#[test]
fn a_delegation_makes_grants_where_it_says_and_relates_the_tenants() {
    let directory = directory(
        r#"
[[delegation]]
offer = "Gold"
managing_tenant = "p"
scopes = ["inside", "outside/rg-a"]
[[delegation.authorization]]
who = "ann"
role = "Reader"
[[delegation.authorization]]
who = "group:small"
role = "Contributor"
until = 2027-01-01
[[delegation.authorization]]
who = "ann"
role = "Contributor"
on_request = { max = "45m", approvers = ["large"] }
[[delegation.authorization]]
who = "group:large"
role = "Tag Contributor"
suspended = true
"#,
    );
    let group = format!("/subscriptions/{OUTSIDE}/resourceGroups/rg-a");
    check_grants(
        &directory,
        OUTSIDE,
        &[
            &format!("ann Reader {group} Standing"),
            &format!("ann Contributor {group} Eligible"),
            &format!("small Contributor {group} Between {{ from: None, until: Some(2027-01-01T00:00:00Z) }}"),
            &format!("large Tag Contributor {group} Suspended"),
        ],
    );
    let inside = directory.subscription(INSIDE.parse().unwrap()).unwrap();
    assert_eq!((inside.grants.len(), inside.managed_by.as_slice()), (4, [tenant(1)].as_slice()));
    assert!(directory.related(tenant(1), tenant(2)) && !directory.related(tenant(2), tenant(1)));
    let reader = inside.grants.iter().find(|grant| *grant.window == Window::Standing).unwrap();
    assert_eq!(reader.origin.kind, OriginKind::Delegation { offer: "Gold".into(), managing_tenant: tenant(1) });
    assert_eq!((&*reader.origin.defined_at.file, reader.origin.defined_at.line, reader.origin.defined_at.column), ("p/b.toml", 6, 1));
}

#[test]
fn a_delegation_is_kept_with_the_way_to_activate_it() {
    let directory = directory(
        r#"
[[delegation]]
offer = "Gold"
managing_tenant = "p"
scopes = ["inside"]
[[delegation.authorization]]
who = "ann"
role = "Reader"
[[delegation.authorization]]
who = "ann"
role = "Contributor"
on_request = { max = "45m", approvers = ["large"] }
"#,
    );
    let [delegation] = directory.delegations() else { panic!("{:?}", directory.delegations()) };
    let on_request = delegation.authorizations[1].on_request.as_ref().unwrap();
    let large = PrincipalId { tenant: tenant(1), object: "00000001-0004-4000-8000-000000000002".parse().unwrap() };
    assert_eq!((on_request.duration_max.as_secs(), on_request.approvers.as_slice()), (45 * 60, [large].as_slice()));
    assert_eq!((delegation.customer, &*delegation.offer), (tenant(2), "Gold"));
}

#[test]
fn membership_holds_through_groups_in_groups_even_in_circles() {
    let directory = directory("");
    let groups = |object: &str| {
        let id = PrincipalId { tenant: tenant(1), object: object.parse().unwrap() };
        directory.principal(id).unwrap().groups.iter().map(ObjectId::to_string).collect::<Vec<_>>()
    };
    let (small, large) = ("00000001-0004-4000-8000-000000000001", "00000001-0004-4000-8000-000000000002");
    assert_eq!(groups("00000001-0002-4000-8000-000000000001"), [small, large]);
}

#[test]
fn the_demo_issuer_has_both_names_for_each_tenant() {
    let directory = directory("");
    let issuer = directory.tenant(tenant(1)).unwrap().issuers.first().unwrap();
    let base = "https://localhost:8445/00000001-0000-4000-8000-000000000000";
    assert_eq!(issuer.names, [format!("{base}/"), format!("{base}/v2.0")]);
    assert_eq!(issuer.authority.as_deref(), Some(base));
    assert_eq!(issuer.keys, KeySource::Discovery(format!("{base}/v2.0/.well-known/openid-configuration")));
    assert_eq!(directory.tenant(tenant(2)).unwrap().issuers, []);
}

#[test]
fn a_deny_is_kept_on_its_subscription() {
    let text = "[[deny_assignment]]\nname = \"frozen\"\nactions = [\"*\"]\nscope = \"inside/rg\"\nexcluded = [\"own\", \"p/ann\"]\n";
    let directory = directory(text);
    let denies = &directory.subscription(INSIDE.parse().unwrap()).unwrap().denies;
    let excluded: Vec<_> = denies[0].excluded.iter().map(|id| id.tenant).collect();
    assert_eq!((denies.len(), &*denies[0].name, excluded), (1, "frozen", vec![tenant(2), tenant(1)]));
}

#[test]
fn a_misspelling_in_every_entry_is_suggested_for_a_while_and_counted_to_the_end() {
    let entry = "[[role_assignment]]\nwho = \"own\"\nrole = \"Readr\"\nscope = \"inside\"\n";
    let text = entry.repeat(DIAGNOSTICS_MAX + 1);
    let options = LoadOptions::new("2026-11-20T14:00:00Z".parse().unwrap()).with_demo_issuer("https://localhost");
    let diagnostics = load_texts(Path::new("p"), &[("a.toml", WORLD), ("b.toml", &text)], &options).unwrap_err();
    let suggested = diagnostics.list().iter().filter(|diagnostic| diagnostic.patch.is_some()).count();
    assert_eq!((suggested, diagnostics.list().len(), diagnostics.errors()), (SUGGESTIONS_MAX, DIAGNOSTICS_MAX, DIAGNOSTICS_MAX + 1));
    assert!(diagnostics.render(Style::default()).contains("1 more are not shown"));
}

#[test]
fn the_demo_world_holds_what_its_stories_need() {
    let options = LoadOptions::new("2026-11-20T14:00:00Z".parse().unwrap()).with_demo_issuer("https://localhost");
    let loaded = load_texts(Path::new("policies"), embedded(), &options).unwrap();
    assert_eq!(loaded.warnings.summary(), "12 files, 28 grants, no errors");
    let directory = loaded.directory;
    let roles_of = |key: &str| {
        let subscriptions = directory.subscriptions().flat_map(|subscription| {
            let theirs =
                subscription.grants.iter().filter(|grant| directory.principal(grant.principal).is_some_and(|who| &*who.key == key));
            theirs.map(|grant| (subscription.name.to_string(), directory.roles().role(grant.role).unwrap().name().to_owned()))
        });
        let mut roles: Vec<_> = subscriptions.collect();
        roles.sort();
        roles
    };
    let on = |names: &[(&str, &str)]| names.iter().map(|(name, role)| ((*name).to_owned(), (*role).to_owned())).collect::<Vec<_>>();
    assert_eq!(roles_of("operator"), on(&[("alder-prod", "Contributor"), ("cedar-fleet", "Contributor")]));
    assert_eq!(roles_of("reader").len(), 7);
    assert_eq!(roles_of("deniz").len(), 8);
    assert_eq!(roles_of("fabric-admin"), on(&[("ostra-fabric", "Contributor")]));
    assert_eq!(roles_of("frida"), on(&[("ostra-fabric", "Reader")]));
    let cloud = directory.private_cloud().unwrap();
    assert_eq!((&*directory.subscription(cloud.subscription).unwrap().name, cloud.tenants_max), ("ostra-fabric", 1000));
    let takes = |key: &str, code| cloud.admits(directory.plan(key).unwrap(), code);
    assert_eq!((takes("gold", None), takes("pilot", None)), (true, false));
    assert_eq!((takes("pilot", Some("WELCOME-PILOT")), takes("pilot", Some("welcome-pilot"))), (true, false));
    assert_eq!(roles_of("member"), on(&[]));
    assert_eq!(roles_of("platform-engineers"), on(&[("bramble-core", "Contributor")]));
    assert_eq!(roles_of("nobody"), on(&[]));
    assert_eq!(roles_of("rival"), on(&[("dune-main", "Contributor")]));
    assert_eq!(roles_of("alder-owner"), on(&[("alder-dev", "Owner"), ("alder-prod", "Owner")]));
}
