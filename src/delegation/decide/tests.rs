use super::*;
use crate::delegation::roles::Permission;
use crate::delegation::{OriginKind, Window};
use crate::ids::{ObjectId, TenantId};

const SUB: &str = "/subscriptions/8f2c1a10-0000-4000-8000-000000000001";
const VM_WRITE: &str = "Microsoft.Compute/virtualMachines/write";
const VM_READ: &str = "Microsoft.Compute/virtualMachines/read";

fn principal(tenant: u8, object: u8) -> PrincipalId {
    PrincipalId { tenant: TenantId::from_bytes([tenant; 16]), object: ObjectId::from_bytes([object; 16]) }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn until(second: i64) -> Window {
    Window::Between { from: None, until: Some(at(second)) }
}

fn here() -> SourceLocation {
    SourceLocation { file: "delegations/a.toml".into(), line: 3, column: 1 }
}

fn grant(who: PrincipalId, role: &str, scope: &str, window: Window) -> Grant {
    let name = format!("principal {:?}", who.object.as_bytes()[0]);
    let kind = OriginKind::Delegation { offer: "support".into(), managing_tenant: who.tenant };
    Grant {
        principal: who,
        role: RoleCatalogue::builtin().by_name(role).unwrap(),
        scope: Arc::new(Scope::parse(&scope.replacen('~', SUB, 1)).unwrap()),
        window: window.into(),
        origin: Arc::new(Origin { kind, principal_name: name.into(), defined_at: here(), through: None }),
    }
}

fn deny(actions: &[&str], scope: &str, excluded: Vec<PrincipalId>) -> DenyAssignment {
    DenyAssignment {
        name: "managed application".into(),
        actions: Permission::new(actions, &[] as &[&str]).unwrap(),
        scope: Scope::parse(&scope.replacen('~', SUB, 1)).unwrap(),
        excluded,
        defined_at: here(),
    }
}

struct World {
    grants: Vec<Grant>,
    denies: Vec<DenyAssignment>,
    principals: Vec<PrincipalId>,
}

const CALLER: (u8, u8) = (1, 1);
const NOW: i64 = 1_000;

/// A caller of tenant 1, object 1, in group 9.
fn world(mut grants: Vec<Grant>) -> World {
    grants.sort_by_key(|grant| grant.principal);
    World { grants, denies: Vec::new(), principals: vec![principal(CALLER.0, CALLER.1), principal(CALLER.0, 9)] }
}

impl World {
    fn question<T>(&self, actions: &[&str], scope: &str, ask: impl FnOnce(&Question<'_>) -> T) -> T {
        let actions: Vec<Action> = actions.iter().map(|action| action.parse().unwrap()).collect();
        let scope = Scope::parse(&scope.replacen('~', SUB, 1)).unwrap();
        ask(&Question { principals: &self.principals, actions: &actions, scope: &scope, now: at(NOW) })
    }

    fn answer(&self, actions: &[&str], scope: &str) -> Result<String, DenyReason> {
        let roles = RoleCatalogue::builtin();
        self.question(actions, scope, |question| match decide(&self.grants, &self.denies, &roles, question) {
            Decision::Permit { grant } => Ok(roles.role(grant.role).unwrap().name().to_owned()),
            Decision::Deny(reason) => Err(reason),
        })
    }

    #[track_caller]
    fn permits(&self, action: &str, scope: &str, role: &str) {
        assert_eq!(self.answer(&[action], scope), Ok(role.to_owned()), "{action} on {scope}");
    }

    #[track_caller]
    fn denies(&self, action: &str, scope: &str, code: &str, message: &str) {
        let reason = self.answer(&[action], scope).unwrap_err();
        assert_eq!((reason.code(), reason.to_string().as_str()), (code, message), "{action} on {scope}");
    }
}

fn me() -> PrincipalId {
    principal(CALLER.0, CALLER.1)
}

#[test]
fn a_grant_permits_on_its_scope_and_below_and_nowhere_else() {
    let world = world(vec![grant(me(), "Contributor", "~/resourceGroups/prod", Window::Standing)]);
    world.permits(VM_WRITE, "~/resourceGroups/prod", "Contributor");
    world.permits(VM_WRITE, "~/resourcegroups/PROD/providers/Microsoft.Compute/virtualMachines/vm", "Contributor");
    let outside = "what is delegated to the caller's tenant does not cover this scope";
    world.denies(VM_WRITE, "~/resourceGroups/prod2", "delegation.none", outside);
    world.denies(VM_WRITE, "~", "delegation.none", outside);
}

#[test]
fn grants_of_principal_and_groups_add_up() {
    let world = world(vec![
        grant(me(), "Reader", "~", Window::Standing),
        grant(principal(1, 9), "Virtual Machine Contributor", "~", Window::Standing),
        grant(principal(1, 2), "Owner", "~", Window::Standing),
    ]);
    world.permits(VM_READ, "~", "Reader");
    world.permits(VM_WRITE, "~", "Virtual Machine Contributor");
    let missing = "no role that the caller holds here permits `Microsoft.Sql/servers/write`";
    world.denies("Microsoft.Sql/servers/write", "~", "role.action_missing", missing);
}

#[test]
fn what_one_role_takes_out_another_may_grant() {
    let assignments = "Microsoft.Authorization/roleAssignments/write";
    let one = world(vec![grant(me(), "Contributor", "~", Window::Standing)]);
    one.denies(assignments, "~", "role.action_missing", &format!("no role that the caller holds here permits `{assignments}`"));
    let both =
        world(vec![grant(me(), "Contributor", "~", Window::Standing), grant(me(), "User Access Administrator", "~", Window::Standing)]);
    both.permits(assignments, "~", "User Access Administrator");
}

/// The caller's grant of User Access Administrator: a delegated one unless another kind is given.
fn access_administrator(kind: Option<OriginKind>, window: Window) -> Grant {
    let mut grant = grant(me(), "User Access Administrator", "~", window);
    if let Some(kind) = kind {
        grant.origin = Arc::new(Origin { kind, ..Origin::clone(&grant.origin) });
    }
    grant
}

#[test]
fn a_delegated_access_administrator_assigns_roles_and_does_nothing_else() {
    let delegated = world(vec![access_administrator(None, Window::Standing)]);
    let own = world(vec![access_administrator(Some(OriginKind::RoleAssignment), Window::Standing)]);
    for (action, is_permitted) in [
        ("Microsoft.Authorization/roleAssignments/write", true),
        ("microsoft.authorization/ROLEASSIGNMENTS/delete", true),
        ("Microsoft.Authorization/roleAssignments/read", true),
        ("Microsoft.Authorization/roleAssignmentScheduleRequests/write", false),
        ("Microsoft.Authorization/roleDefinitions/write", false),
        ("Microsoft.Authorization/locks/delete", false),
        ("Microsoft.Support/supportTickets/write", false),
        (VM_READ, false),
    ] {
        own.permits(action, "~", "User Access Administrator");
        if is_permitted {
            delegated.permits(action, "~", "User Access Administrator");
        } else {
            delegated.denies(action, "~", "role.action_missing", &format!("no role that the caller holds here permits `{action}`"));
        }
        let roles = RoleCatalogue::builtin();
        delegated.question(&[action], "~", |question| {
            let nearest = nearest(&delegated.grants, &roles, question, me().tenant, 1);
            assert_eq!((nearest[0].action, nearest[0].score()), (is_permitted, 3 + u8::from(is_permitted)), "{action}");
        });
    }
}

#[test]
fn what_a_grant_never_permits_is_not_said_to_wait_or_to_be_over() {
    let window = |from, until| Window::Between { from: Some(at(from)), until: Some(at(until)) };
    for window in [window(NOW, NOW + 60), window(NOW + 60, NOW + 120), window(NOW - 60, NOW), Window::Suspended, Window::Eligible] {
        let world = world(vec![access_administrator(None, window), grant(me(), "Tag Contributor", "~", Window::Standing)]);
        world.denies(VM_READ, "~", "role.action_missing", &format!("no role that the caller holds here permits `{VM_READ}`"));
    }
}

#[test]
fn only_a_window_that_is_still_to_open_is_waited_for() {
    let window = |from, until| Window::Between { from: Some(at(from)), until: Some(at(until)) };
    let begins = format!("the grant that permits `{VM_READ}` begins at 1970-01-01T00:17:40Z");
    let ended = |time: &str| format!("the grant that permitted `{VM_READ}` ended at 1970-01-01T{time}Z");
    for (window, code, message) in [
        (window(NOW + 60, NOW + 61), "role.not_active", begins),
        (window(NOW + 60, NOW + 60), "delegation.expired", ended("00:17:40")),
        (window(NOW + 61, NOW + 60), "delegation.expired", ended("00:17:40")),
        (window(NOW - 1, NOW), "delegation.expired", ended("00:16:40")),
    ] {
        let world = world(vec![grant(me(), "Reader", "~", window), grant(me(), "Tag Contributor", "~", Window::Standing)]);
        world.denies(VM_READ, "~", code, &message);
    }
}

#[test]
fn every_action_of_a_request_is_needed() {
    let world = world(vec![grant(me(), "Reader", "~", Window::Standing)]);
    assert_eq!(world.answer(&[VM_READ, "Microsoft.Web/sites/read"], "~"), Ok("Reader".to_owned()));
    assert_eq!(world.answer(&[VM_READ, VM_WRITE], "~").unwrap_err().code(), "role.action_missing");
    assert_eq!(world.answer(&[], "~"), Err(DenyReason::NoDelegation));
}

#[test]
fn the_same_object_id_of_another_tenant_is_somebody_else() {
    let world = world(vec![grant(principal(2, CALLER.1), "Owner", "~", Window::Standing)]);
    world.denies(VM_READ, "~", "delegation.none", "nothing is delegated to the caller's tenant here");
}

#[test]
fn a_deny_assignment_beats_every_grant_but_not_for_the_excluded() {
    let mut world = world(vec![grant(me(), "Owner", "~", Window::Standing)]);
    world.denies = vec![deny(&["*/delete"], "~/resourceGroups/managed", vec![principal(1, 7)])];
    let vm_delete = "Microsoft.Compute/virtualMachines/delete";
    let message = format!("the deny assignment `managed application` forbids `{vm_delete}` here");
    world.denies(vm_delete, "~/resourceGroups/managed", "role.deny_assignment", &message);
    world.permits(VM_WRITE, "~/resourceGroups/managed", "Owner");
    world.permits(vm_delete, "~/resourceGroups/other", "Owner");
    world.principals.push(principal(1, 7));
    world.principals.sort_unstable();
    world.permits(vm_delete, "~/resourceGroups/managed", "Owner");
}

#[test]
fn each_reason_for_a_no_is_told_apart() {
    let other = world(vec![grant(principal(1, 2), "Reader", "~", Window::Standing)]);
    other.denies(VM_READ, "~", "role.principal", "neither the caller nor a group it is in holds a grant here");
    let eligible = world(vec![grant(me(), "Reader", "~", Window::Standing), grant(me(), "Contributor", "~", Window::Eligible)]);
    eligible.denies(VM_WRITE, "~", "role.not_active", &format!("the role that permits `{VM_WRITE}` is eligible and not active"));
    let later = Window::Between { from: Some(at(NOW + 60)), until: None };
    let to_come = world(vec![grant(me(), "Reader", "~", later)]);
    to_come.denies(VM_READ, "~", "role.not_active", &format!("the grant that permits `{VM_READ}` begins at 1970-01-01T00:17:40Z"));
    let expired = world(vec![grant(me(), "Reader", "~", until(NOW - 60)), grant(me(), "Reader", "~", until(NOW))]);
    expired.denies(VM_READ, "~", "delegation.expired", "the delegation ended at 1970-01-01T00:16:40Z");
    let suspended = world(vec![grant(me(), "Reader", "~", Window::Suspended), grant(me(), "Reader", "~", until(NOW))]);
    suspended.denies(VM_READ, "~", "delegation.suspended", "the delegation is suspended");
    let one_expired = world(vec![grant(me(), "Contributor", "~", until(NOW)), grant(me(), "Reader", "~", Window::Standing)]);
    one_expired.denies(
        VM_WRITE,
        "~",
        "delegation.expired",
        &format!("the grant that permitted `{VM_WRITE}` ended at 1970-01-01T00:16:40Z"),
    );
    let one_suspended = world(vec![grant(me(), "Contributor", "~", Window::Suspended), grant(me(), "Reader", "~", Window::Standing)]);
    one_suspended.denies(VM_WRITE, "~", "delegation.suspended", &format!("the grant that permits `{VM_WRITE}` is suspended"));
    let conditional = world(vec![grant(me(), "Key Vault Data Access Administrator", "~", Window::Standing)]);
    let assign = "Microsoft.Authorization/roleAssignments/write";
    conditional.denies(assign, "~", "role.condition", &format!("a role permits `{assign}` only under a condition, which is not evaluated"));
}

#[test]
fn a_reason_carries_what_helps_to_fix_it() {
    let other = world(vec![
        grant(principal(1, 3), "Reader", "~", Window::Standing),
        grant(principal(1, 2), "Reader", "~", Window::Standing),
        grant(principal(1, 2), "Contributor", "~", Window::Standing),
    ]);
    let holders = vec!["principal 2".into(), "principal 3".into()];
    assert_eq!(other.answer(&[VM_READ], "~"), Err(DenyReason::OtherPrincipals { holders }));
    let held = vec![RoleCatalogue::builtin().by_name("Reader").unwrap()];
    let reader = world(vec![grant(me(), "Reader", "~", Window::Standing)]);
    assert_eq!(reader.answer(&[VM_WRITE], "~"), Err(DenyReason::ActionMissing { action: VM_WRITE.parse().unwrap(), held }));
}

#[test]
fn a_window_begins_inclusive_and_ends_exclusive() {
    let window = |from, until| Window::Between { from: Some(at(from)), until: Some(at(until)) };
    world(vec![grant(me(), "Reader", "~", window(NOW, NOW + 1))]).permits(VM_READ, "~", "Reader");
    assert!(world(vec![grant(me(), "Reader", "~", window(NOW - 1, NOW))]).answer(&[VM_READ], "~").is_err());
}

#[test]
fn the_nearest_grants_come_first() {
    let world = world(vec![
        grant(principal(1, 2), "Contributor", "~", Window::Standing),
        grant(me(), "Contributor", "~/resourceGroups/other", Window::Standing),
        grant(me(), "Reader", "~/resourceGroups/other", until(NOW)),
        grant(me(), "Reader", "~", Window::Standing),
        grant(principal(2, 2), "Contributor", "~", Window::Standing),
    ]);
    let roles = RoleCatalogue::builtin();
    world.question(&[VM_WRITE], "~/resourceGroups/prod", |question| {
        let nearest = nearest(&world.grants, &roles, question, me().tenant, 3);
        let ticks: Vec<_> = nearest.iter().map(|one| (one.principal, one.scope, one.action, one.in_force)).collect();
        assert_eq!(ticks, [(true, true, false, true), (true, false, true, true), (false, true, true, true)]);
        assert_eq!(nearest.iter().map(Considered::score).collect::<Vec<_>>(), [3, 3, 3]);
    });
}

#[test]
fn a_list_above_the_grants_shows_the_places_below() {
    let mut world = world(vec![
        grant(me(), "Reader", "~/resourceGroups/one", Window::Standing),
        grant(me(), "Contributor", "~/resourceGroups/one/providers/A.B/c/d", Window::Standing),
        grant(me(), "Reader", "~/resourceGroups/ended", until(NOW)),
        grant(me(), "Tag Contributor", "~/resourceGroups/two", Window::Standing),
        grant(me(), "Reader", "~/resourceGroups/managed", Window::Standing),
        grant(principal(1, 2), "Reader", "~/resourceGroups/three", Window::Standing),
    ]);
    world.denies = vec![deny(&["*"], "~/resourceGroups/managed", Vec::new())];
    let roles = RoleCatalogue::builtin();
    world.question(&[VM_READ], "~", |question| {
        let below = scopes_below(&world.grants, &world.denies, &roles, question);
        assert_eq!(below.iter().map(ToString::to_string).collect::<Vec<_>>(), [format!("{SUB}/resourceGroups/one")]);
    });
}

#[test]
fn own_permissions_are_the_blocks_of_the_roles_in_force() {
    let world = world(vec![
        grant(me(), "Reader", "~", Window::Standing),
        grant(principal(1, 9), "Reader", "~/resourceGroups/prod", Window::Standing),
        grant(me(), "Contributor", "~", Window::Eligible),
        grant(me(), "Key Vault Data Access Administrator", "~", Window::Standing),
    ]);
    let roles = RoleCatalogue::builtin();
    let scope = Scope::parse(&format!("{SUB}/resourceGroups/prod")).unwrap();
    let blocks = permissions(&world.grants, &roles, &world.principals, &scope, at(NOW));
    assert_eq!(blocks.iter().map(|block| block.actions().collect::<Vec<_>>()).collect::<Vec<_>>(), [["*/read"]]);
}

#[test]
fn a_grant_through_a_group_ends_when_the_caller_leaves_it() {
    let mut through = grant(principal(1, 1), "Contributor", "~", Window::Standing);
    through.origin = Arc::new(Origin { through: Some(principal(1, 9).into()), ..Origin::clone(&through.origin) });
    let mut world = world(vec![through, grant(principal(1, 1), "Reader", "~", Window::Standing)]);
    let write = ["Microsoft.Resources/subscriptions/resourceGroups/write"];
    assert!(world.answer(&write, "~/resourceGroups/a").is_ok());
    world.principals.pop();
    assert!(matches!(world.answer(&write, "~/resourceGroups/a"), Err(DenyReason::ActionMissing { .. })));
}
