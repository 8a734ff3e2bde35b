//! What a sign-up makes of a world that did not know of it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::entity::{self, Account, CloudSubscription, Entity, SignUp};
use super::{Acquaintance, Directory, IssuerOf, Registry, SubscriptionState};
use crate::arm::action::Action;
use crate::arm::scope::Scope;
use crate::clock::Timestamp;
use crate::delegation::decide::{Decision, Question, decide};
use crate::ids::{ObjectId, PrincipalId, SubscriptionId, TenantId};
use crate::policy::{self, LoadOptions};
use crate::store::{Change, Object, Revision, Snapshot, Write};

const DECLARED: TenantId = TenantId::from_bytes([1; 16]);
const ACCOUNT: TenantId = TenantId::from_bytes([2; 16]);
const BEECH: TenantId = TenantId::from_bytes([9; 16]);
const OTHER: TenantId = TenantId::from_bytes([3; 16]);
const CLOUD: SubscriptionId = SubscriptionId::from_bytes([4; 16]);
const FABRIC: SubscriptionId = SubscriptionId::from_bytes([5; 16]);
const ANNA: ObjectId = ObjectId::from_bytes([6; 16]);
const BERT: ObjectId = ObjectId::from_bytes([7; 16]);

fn world(more: &str) -> Directory {
    let text = format!(
        "[[issuer]]\nkey = \"i\"\nkind = \"file\"\npath = \"k\"\nnames = [\"https://declared.example/\"]\nauthority = \"https://declared.example\"\n\
         [[tenant]]\nkey = \"ostra\"\nid = \"{DECLARED}\"\nname = \"Ostra\"\nissuer = \"i\"\n\
         [[subscription]]\nid = \"{FABRIC}\"\nname = \"fabric\"\ntenant = \"ostra\"\n{more}"
    );
    policy::load_texts("test".as_ref(), &[("world.toml", &text)], &LoadOptions::new(Timestamp::UNIX_EPOCH)).unwrap().directory
}

fn account(id: TenantId, issuers: &[&str]) -> Account {
    let issuers: Vec<Value> =
        issuers.iter().map(|name| json!({"name": name, "keys": {"keys": []}, "added_at": "2027-01-01T00:00:00Z"})).collect();
    let account = json!({"id": id, "name": "Juniper", "issuers": issuers, "created_at": "2027-01-01T00:00:00Z",
        "administrator": {"object": ANNA, "name": "Anna", "identity": "anna@juniper.example"}});
    serde_json::from_value(account).unwrap()
}

fn member(tenant: TenantId, object: ObjectId) -> Value {
    json!({"principal": {"tenant": tenant, "object": object}, "name": "M", "identity": "m@juniper.example"})
}

fn cloud(id: SubscriptionId, tenant: TenantId, state: &str) -> CloudSubscription {
    let cloud = json!({"id": id, "tenant": tenant, "name": "juniper-1", "plan": "gold", "state": state,
        "administrator": member(tenant, ANNA), "co_administrators": [member(tenant, BERT)], "created_at": "2027-01-01T00:00:00Z"});
    serde_json::from_value(cloud).unwrap()
}

/// A world and the rows behind it. Each step is checked against a world that is made from scratch.
struct Steps {
    directory: Directory,
    rows: Vec<(entity::Kind, Write)>,
}

impl Steps {
    fn new(directory: Directory) -> Self {
        Self { directory, rows: Vec::new() }
    }

    fn write(&mut self, writes: Vec<Write>) {
        let revision = Revision(self.directory.registry().revision().0 + 1);
        for write in &writes {
            let kind = entity::Kind::of(&write.key).unwrap();
            self.rows.retain(|(known, _)| *known != kind);
            if write.body.is_some() {
                self.rows.push((kind, write.clone()));
            }
        }
        self.directory = self.directory.apply(&Change { revision, at: Timestamp::UNIX_EPOCH, writes }).unwrap();
        let object = |(_, write): &(_, Write)| Object { key: write.key.clone(), revision, body: Arc::clone(write.body.as_ref().unwrap()) };
        let objects = self.rows.iter().map(object).collect();
        let snapshot = Snapshot { epoch: self.directory.registry().epoch(), revision, objects };
        let anew = self.directory.agreeing(Registry::from_snapshot(&snapshot).unwrap());
        assert_eq!(seen(&self.directory), seen(&anew));
    }

    fn put(&mut self, entity: Entity) {
        self.write(vec![entity.into_write()]);
    }
}

/// What can be seen of everything that signed up.
fn seen(directory: &Directory) -> String {
    let tenants = [DECLARED, ACCOUNT, OTHER];
    let mut lines: Vec<String> = Vec::new();
    for tenant in tenants {
        let mut reach: Vec<_> = directory.reach(tenant).map(|subscription| subscription.id).collect();
        reach.sort_unstable();
        let related = tenants.map(|customer| directory.related(tenant, customer));
        let issuers = directory.tenant(tenant).map(|tenant| tenant.issuers.iter().map(|issuer| issuer.names.clone()).collect::<Vec<_>>());
        lines.push(format!("{tenant} {} {issuers:?} {reach:?} {related:?}", directory.account(tenant).is_some()));
    }
    let mut subscriptions: Vec<_> = directory.subscriptions().map(|one| format!("{} {:?} {:?}", one.id, one.state, one.grants)).collect();
    subscriptions.sort_unstable();
    lines.extend(subscriptions);
    lines.push(format!("{:?}", directory.clouds().map(|cloud| cloud.id).collect::<Vec<_>>()));
    lines.push(format!("{:?}", directory.issuer_of("https://juniper.example")));
    lines.join("\n")
}

fn may(directory: &Directory, who: PrincipalId, action: &str) -> bool {
    let Some(subscription) = directory.subscription(CLOUD) else { return false };
    let (actions, scope) = ([action.parse::<Action>().unwrap()], Scope::subscription(CLOUD));
    let question = Question { principals: &[who], actions: &actions, scope: &scope, now: Timestamp::UNIX_EPOCH };
    matches!(decide(&subscription.grants, &subscription.denies, directory.roles(), &question), Decision::Permit { .. })
}

const fn principal(tenant: TenantId, object: ObjectId) -> PrincipalId {
    PrincipalId { tenant, object }
}

#[test]
fn a_sign_up_shows_nothing_and_then_everything_at_once() {
    let mut steps = Steps::new(world(""));
    let before = seen(&steps.directory);
    let (account, cloud) = (account(ACCOUNT, &["https://juniper.example"]), cloud(CLOUD, ACCOUNT, "active"));
    let sign_up = json!({"account": account, "subscription": cloud, "phase": "doing", "started_at": "2027-01-01T00:00:00Z"});
    let sign_up: SignUp = serde_json::from_value(sign_up).unwrap();
    steps.put(Entity::SignUp(Box::new(sign_up)));
    assert_eq!(seen(&steps.directory), before);
    assert_eq!(steps.directory.sign_up(CLOUD).map(|found| found.subscription.tenant), Some(ACCOUNT));
    assert!(!steps.directory.issuer_name_is_free("https://juniper.example", OTHER));
    assert!(steps.directory.issuer_name_is_free("https://juniper.example", ACCOUNT));

    let done = entity::removal(entity::sign_up_key(CLOUD));
    steps.write(vec![Entity::Account(account).into_write(), Entity::CloudSubscription(cloud).into_write(), done]);
    let directory = &steps.directory;
    assert_eq!((directory.sign_ups().count(), directory.clouds_len()), (0, 1));
    assert_eq!(directory.tenant(ACCOUNT).unwrap().issuers[0].names, ["https://juniper.example"]);
    assert_eq!(directory.cloud(CLOUD).unwrap().plan.as_ref(), "gold");
    assert_eq!(directory.reach(ACCOUNT).map(|one| one.id).collect::<Vec<_>>(), [CLOUD]);
    assert!(directory.related(ACCOUNT, ACCOUNT) && !directory.related(DECLARED, ACCOUNT) && !directory.related(OTHER, ACCOUNT));

    steps.write(vec![entity::removal(entity::cloud_subscription_key(CLOUD)), entity::removal(entity::account_key(ACCOUNT))]);
    assert_eq!(seen(&steps.directory), before);
}

#[test]
fn the_administrator_owns_what_was_signed_up_for_and_the_others_contribute() {
    let mut steps = Steps::new(world(""));
    steps.put(Entity::CloudSubscription(cloud(CLOUD, ACCOUNT, "active")));
    let roles = "Microsoft.Authorization/roleAssignments/write";
    let write = "Microsoft.Compute/virtualMachines/write";
    let asked = |directory: &Directory, who| (may(directory, who, roles), may(directory, who, write));
    assert_eq!(asked(&steps.directory, principal(ACCOUNT, ANNA)), (true, true));
    assert_eq!(asked(&steps.directory, principal(ACCOUNT, BERT)), (false, true));
    assert_eq!(asked(&steps.directory, principal(DECLARED, ANNA)), (false, false));
    // Whoever is no principal of the tenant gets nothing by being listed.
    let mut foreign = cloud(CLOUD, ACCOUNT, "active");
    foreign.co_administrators[0].principal.tenant = OTHER;
    steps.put(Entity::CloudSubscription(foreign));
    assert_eq!(asked(&steps.directory, principal(OTHER, BERT)), (false, false));
    assert_eq!(asked(&steps.directory, principal(ACCOUNT, BERT)), (false, false));
}

#[test]
fn what_is_not_active_can_be_read_and_deleted_only() {
    let mut steps = Steps::new(world(""));
    for (state, expected) in
        [("active", SubscriptionState::Enabled), ("suspended", SubscriptionState::Disabled), ("deleting", SubscriptionState::Disabled)]
    {
        steps.put(Entity::CloudSubscription(cloud(CLOUD, ACCOUNT, state)));
        assert_eq!(steps.directory.subscription(CLOUD).unwrap().state, expected, "{state}");
    }
}

#[test]
fn what_was_signed_up_for_can_be_delegated_like_any_subscription() {
    let mut steps = Steps::new(world(""));
    steps.write(vec![
        Entity::Account(account(ACCOUNT, &[])).into_write(),
        Entity::CloudSubscription(cloud(CLOUD, ACCOUNT, "active")).into_write(),
    ]);
    let (operator, definition) = (ObjectId::from_bytes([8; 16]), "00000009-0000-4000-8000-000000000000");
    let who = json!({"tenant": ACCOUNT, "object": ANNA});
    let offer = json!({"subscription": CLOUD, "name": definition, "offer_name": "Run it", "managing_tenant": DECLARED, "eligible": [],
        "authorizations": [{"principal": operator, "display_name": "Operators", "role": "b24988ac-6180-42a0-ab88-20f7382dd24c", "delegated_roles": []}],
        "created_at": "2027-01-01T00:00:00Z", "created_by": who, "updated_at": "2027-01-01T00:00:00Z", "updated_by": who});
    let assignment = json!({"scope": format!("/subscriptions/{CLOUD}"), "name": definition, "created_at": "2027-01-01T00:00:00Z",
        "definition": {"subscription": CLOUD, "name": definition}, "created_by": who});
    steps.put(Entity::Definition(serde_json::from_value(offer).unwrap()));
    steps.put(Entity::Assignment(serde_json::from_value(assignment).unwrap()));
    let directory = &steps.directory;
    assert!(may(directory, principal(DECLARED, operator), "Microsoft.Compute/virtualMachines/write"));
    assert!(directory.related(DECLARED, ACCOUNT));
    assert!(directory.reach(DECLARED).any(|one| one.id == CLOUD));
    assert_eq!(directory.subscription(CLOUD).unwrap().managed_by, [DECLARED]);
    steps.write(vec![entity::removal(entity::cloud_subscription_key(CLOUD))]);
    let directory = &steps.directory;
    assert!(directory.subscription(CLOUD).is_none() && !directory.related(DECLARED, ACCOUNT));
    assert!(!directory.reach(DECLARED).any(|one| one.id == CLOUD));
}

#[test]
fn who_signed_up_is_told_of_nobody_else() {
    let people = format!(
        "[[user]]\nkey = \"anna\"\nobject_id = \"{ANNA}\"\ntenant = \"ostra\"\nname = \"Anna of Ostra\"\n\
         [[tenant]]\nkey = \"beech\"\nid = \"{BEECH}\"\nname = \"Beech\"\n"
    );
    let mut steps = Steps::new(world(&people));
    steps.put(Entity::Account(account(ACCOUNT, &[])));
    let directory = &steps.directory;
    let names = |known: Acquaintance<'_>| {
        let person = known.principal(principal(DECLARED, ANNA)).map(|known| known.name.to_string());
        (known.tenant_name(DECLARED), known.tenant_name(ACCOUNT), person, known.principals().count())
    };
    let (ostra, juniper, anna) = (Some("Ostra".to_owned()), Some("Juniper".to_owned()), Some("Anna of Ostra".to_owned()));
    let everything = (ostra, juniper.clone(), anna, 1);
    for told in [directory.known_to(DECLARED), directory.known_to(BEECH), directory.known_to_operator()] {
        assert_eq!(names(told), everything);
    }
    assert_eq!(names(directory.known_to(ACCOUNT)), (None, juniper, None, 0));
    assert_eq!(names(directory.known_to(OTHER)), (None, None, None, 0), "nobody knows who that is");
    assert!(directory.known_to(ACCOUNT).knows(ACCOUNT) && !directory.known_to(ACCOUNT).knows(DECLARED));
}

#[test]
fn what_the_files_declare_wins_over_what_signed_up() {
    let mut steps = Steps::new(world(""));
    steps.write(vec![
        Entity::Account(account(DECLARED, &["https://juniper.example"])).into_write(),
        Entity::CloudSubscription(cloud(FABRIC, ACCOUNT, "suspended")).into_write(),
    ]);
    let directory = &steps.directory;
    assert_eq!(&*directory.tenant(DECLARED).unwrap().name, "Ostra");
    assert!(directory.account(DECLARED).is_none());
    assert_eq!(directory.issuer_of("https://juniper.example"), IssuerOf::Nobody);
    let fabric = directory.subscription(FABRIC).unwrap();
    assert_eq!((fabric.tenant, fabric.state, fabric.grants.len()), (DECLARED, SubscriptionState::Enabled, 0));
    assert!(directory.cloud(FABRIC).is_none());
    assert_eq!((directory.reach(ACCOUNT).count(), directory.subscriptions().count()), (0, 1));
}

#[test]
fn an_issuer_that_two_accounts_claim_speaks_for_neither_and_a_declared_one_for_its_tenant() {
    let mut steps = Steps::new(world(""));
    let name = "https://juniper.example";
    steps.put(Entity::Account(account(ACCOUNT, &[name])));
    assert_eq!(steps.directory.issuer_of(name), IssuerOf::Tenant(ACCOUNT));
    assert!(steps.directory.issuer_name_is_free(name, ACCOUNT) && !steps.directory.issuer_name_is_free(name, OTHER));
    steps.put(Entity::Account(account(OTHER, &[name])));
    assert_eq!(steps.directory.issuer_of(name), IssuerOf::Contested);
    assert!(!steps.directory.issuer_name_is_free(name, ACCOUNT));
    steps.put(Entity::Account(account(OTHER, &["https://declared.example/"])));
    assert_eq!(steps.directory.issuer_of(name), IssuerOf::Tenant(ACCOUNT));
    // Whoever signed up with it must not keep the declared tenant's people out.
    assert_eq!(steps.directory.issuer_of("https://declared.example/"), IssuerOf::Tenant(DECLARED));
    steps.write(vec![entity::removal(entity::account_key(OTHER))]);
    assert_eq!(steps.directory.issuer_of("https://declared.example/"), IssuerOf::Tenant(DECLARED));
    assert!(!steps.directory.issuer_name_is_free("https://declared.example/", ACCOUNT));
    assert!(steps.directory.issuer_name_is_free("https://nobody.example/", ACCOUNT));
}

const PLANS: &str = r#"
[[private_cloud]]
subscription = "fabric"
sign_up = "invitation"
[[plan]]
key = "gold"
name = "Gold"
visibility = "public"
services = ["virtual_machines"]
clouds = ["North"]
invitation_codes = ["OPEN-SESAME"]
quota = { virtual_machines = 4, cores = 8 }
[[plan]]
key = "bronze"
name = "Bronze"
visibility = "public"
clouds = ["north"]
quota = { virtual_machines = 1 }
[[add_on]]
key = "more"
name = "More"
plans = ["gold"]
services = ["usage"]
quota = { virtual_machines = 10, storage_gb = 5 }
"#;

#[test]
fn a_subscription_may_use_what_its_plan_and_its_add_ons_give_and_nothing_without_a_plan() {
    use super::PlanService::{Usage, VirtualMachines};
    let directory = world(PLANS);
    let entitled = |plan: &str, add_ons: &[&str]| {
        let add_ons = add_ons.iter().map(|key| Box::from(*key)).collect();
        let entitlement = directory.entitlement(&CloudSubscription { plan: plan.into(), add_ons, ..cloud(CLOUD, ACCOUNT, "active") });
        let services: Vec<_> = entitlement.services.iter().copied().collect();
        let quota = entitlement.quota;
        (entitlement.plan.is_some(), services, [quota.virtual_machines, quota.cores], [quota.memory_mb, quota.storage_gb])
    };
    assert_eq!(entitled("gold", &[]), (true, vec![VirtualMachines], [Some(4), Some(8)], [None, None]));
    let more = (true, vec![Usage, VirtualMachines], [Some(14), Some(8)], [None, None]);
    assert_eq!(entitled("gold", &["more"]), more);
    assert_eq!(entitled("gold", &["more", "more", "unknown"]), more);
    assert_eq!(entitled("bronze", &["more"]), (true, vec![], [Some(1), None], [None, None]));
    assert_eq!(entitled("gone", &["more"]), (false, vec![], [Some(0), Some(0)], [Some(0), Some(0)]));
    assert!(directory.plan("gold").unwrap().has_cloud("nORTH"));
}

#[test]
fn a_plan_is_taken_as_its_visibility_and_the_mode_of_sign_up_say() {
    let admits = |mode: &str, visibility: &str| {
        let text = PLANS.replacen("invitation\"", &format!("{mode}\""), 1).replacen(
            "visibility = \"public\"",
            &format!("visibility = \"{visibility}\""),
            1,
        );
        let directory = world(&text);
        let (cloud, plan) = (directory.private_cloud().unwrap(), directory.plan("gold").unwrap());
        [None, Some("OPEN-SESAM"), Some("OPEN-SESAME")].map(|code| cloud.admits(plan, code))
    };
    assert_eq!(admits("open", "public"), [true; 3]);
    assert_eq!(admits("open", "private"), [false, false, true]);
    assert_eq!(admits("invitation", "public"), [false, false, true]);
    assert_eq!(admits("closed", "public"), [false; 3]);
}
