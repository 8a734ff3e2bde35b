use super::resolve::Scoped;
use super::testing::{BARE, MAIN, PAST_DUE, WARNED, World, principal};
use super::{CheckName, Outcome};
use crate::arm::path::CanonicalPath;
use crate::identity::Caller;
use crate::rejection::Rejection;

const GUID: &str = "5f0b7a7e-3c0e-4d7e-9d0e-000000000001";
const VM: &str = "~/resourceGroups/rg-a/providers/Microsoft.Compute/virtualMachines/vm";

fn definition(method: &str) -> String {
    format!("{method} ~/providers/Microsoft.ManagedServices/registrationDefinitions/{GUID}")
}

fn assignment(method: &str) -> String {
    format!("{method} ~/providers/Microsoft.ManagedServices/registrationAssignments/{GUID}")
}

#[test]
fn every_signed_in_caller_may_read_what_providers_there_are_and_nothing_more() {
    let world = World::new();
    for asked in [
        "GET /providers",
        "HEAD /providers",
        "GET /providers/Microsoft.Compute/operations",
        "GET /providers/Microsoft.Authorization/roleDefinitions",
        "POST /batch",
    ] {
        world.check("stranger", asked, "open");
    }
    for asked in [
        "GET /providers/Microsoft.Compute/locations",
        "GET /providers/Microsoft.Compute/locations/west/operations",
        "POST /providers/Microsoft.Compute/operations",
        "GET /providers/Microsoft.Authorization/roleEligibilityScheduleInstances",
    ] {
        world.check("stranger", asked, "delegation.none");
    }
    // Below a tenant's root the same words are somebody's.
    world.check("nobody", "GET ~/providers/Microsoft.Authorization/roleDefinitions", "role.principal");
    world.check("nobody", "GET ~/providers/Microsoft.Compute/operations", "role.principal");
}

#[test]
fn activations_take_no_role_and_everything_beside_them_does() {
    let world = World::new();
    for kind in ["roleAssignmentScheduleInstances", "roleEligibilityScheduleInstances", "roleEligibilitySchedules"] {
        world.check("nobody", &format!("GET ~/providers/Microsoft.Authorization/{kind}"), "oneself");
    }
    world.check("nobody", &format!("PUT ~/providers/Microsoft.Authorization/roleAssignmentScheduleRequests/{GUID}"), "oneself");
    world.check("nobody", "GET ~/providers/Microsoft.Authorization/roleAssignments", "role.principal");
    world.check("nobody", "GET ~/providers/Microsoft.Compute/virtualMachines", "role.principal");
    world.check("stranger", "GET ~/providers/Microsoft.Authorization/roleEligibilitySchedules", "delegation.none");
}

#[test]
fn grants_below_answer_a_list_and_permit_nothing_else_above_them() {
    let world = World::new();
    world.check("in-group", "GET ~/resourceGroups", "below: ~/resourceGroups/rg-a");
    world.check("in-group", "GET ~/providers/Microsoft.Compute/virtualMachines", "below: ~/resourceGroups/rg-a");
    world.check("in-group", &format!("DELETE {VM}"), "grant: Contributor");
    for asked in ["GET ~/providers/Microsoft.Compute", "POST ~/providers/Microsoft.Compute/register", "GET ~/resourceGroups/rg-b"] {
        world.check("in-group", asked, "role.principal");
    }
    world.check("reader", "GET ~/resourceGroups", "grant: Reader");
    world.check("nobody", "GET ~/resourceGroups", "role.principal");
}

#[test]
fn an_operation_is_polled_by_its_starter_with_any_role_and_by_others_with_a_grant_for_it() {
    const POLLED: &str = "GET ~/providers/Microsoft.Compute/locations/west/operations/1";
    let path = CanonicalPath::parse(&POLLED.replace("GET ~", MAIN)).unwrap();
    let started_by = |who| {
        let world = World::new();
        world.operations.remember(&path, Some(principal(who)), world.now);
        world
    };
    let by_remover = started_by("remover");
    by_remover.check("remover", POLLED, "starter");
    by_remover.check("reader", POLLED, "grant: Reader");
    by_remover.check("nobody", POLLED, "role.principal");
    by_remover.check("in-group", POLLED, "role.principal");
    // Others of other tenants are told nothing, whatever they hold.
    by_remover.check("owner", POLLED, "scope.unknown");
    // To poll is not to cancel.
    by_remover.check("remover", &POLLED.replace("GET", "DELETE"), "role.action_missing");
    // Who started nothing needs a grant, as for anything else.
    World::new().check("remover", POLLED, "role.action_missing");
    // A starter that holds nothing any more, or nothing in force, is one of the others.
    started_by("nobody").check("nobody", POLLED, "role.principal");
    started_by("suspended").check("suspended", POLLED, "delegation.suspended");
    started_by("eligible").check("eligible", POLLED, "role.not_active");
}

#[test]
fn an_operation_of_the_gateways_own_may_be_polled_when_the_last_role_is_gone() {
    let world = World::new();
    let polled = format!("GET ~/providers/Microsoft.ManagedServices/operationStatuses/{GUID}");
    world.check("nobody", &polled, "role.principal");
    let scoped = world.resolve(world.caller("nobody"), &polled).unwrap();
    let operation = Some(super::operations::Operation::own(principal("nobody"), world.now));
    let scoped = Scoped { operation, ..scoped };
    assert_eq!(world.verdict(scoped.authorize(&world.context())), "starter");
}

#[test]
fn delegations_are_made_by_their_customer_and_removed_by_it_or_by_who_holds_the_role_for_that() {
    let world = World::new();
    for asked in [definition("PUT"), definition("DELETE"), assignment("PUT"), assignment("DELETE")] {
        world.check("owner", &asked, "grant: Owner");
        // Whoever delegates hands out roles, and may do no more by it than by a role assignment.
        world.check("editor", &asked, "role.action_missing");
    }
    for asked in [definition("PUT"), definition("DELETE"), assignment("PUT")] {
        world.check("nobody", &asked, "role.action_missing");
        world.check("contributor", &asked, "role.action_missing");
        world.check("remover", &asked, "role.action_missing");
    }
    world.check("remover", &assignment("DELETE"), "grant: Managed Services Registration assignment Delete Role");
    // Another of the tenant holds the role for it: that is what the others are told, whatever they hold besides.
    world.check("contributor", &assignment("DELETE"), "role.principal");
    world.check("nobody", &assignment("DELETE"), "role.principal");
    // Where nobody of the tenant holds it, what is missing is the role.
    world.check("reader", &assignment("DELETE").replace('~', WARNED), "role.action_missing");
    // And where nothing is delegated, the delegation.
    world.check("remover", &assignment("DELETE").replace('~', BARE), "delegation.none");
    // Also where the customer's own people hold roles.
    world.check("remover", &assignment("DELETE").replace('~', PAST_DUE), "delegation.none");
    let of_a_group = World::with(
        "[[delegation]]\noffer = \"Past due\"\nmanaging_tenant = \"provider\"\nscopes = [\"past-due/rg-a\"]\n\
         [[delegation.authorization]]\nwho = \"reader\"\nrole = \"Reader\"\n",
    );
    of_a_group.check("reader", &assignment("DELETE").replace('~', PAST_DUE), "delegation.none");
}

#[test]
fn a_denial_names_what_would_help() {
    let world = World::new();
    let hint = |who, asked: &str| {
        let refused = world.authorize(world.caller(who), asked).unwrap_err();
        let Rejection::Denied { hint, .. } = *refused.rejection else { panic!("{:?}", refused.rejection) };
        hint.unwrap_or_default()
    };
    let only_they = "Only principals of Customer itself make and change its delegations.";
    assert_eq!(hint("contributor", &definition("PUT")), only_they);
    assert_eq!(hint("contributor", &assignment("PUT")), only_they);
    assert_eq!(hint("contributor", &assignment("DELETE")), "Held here by remover.");
    // Its own principals are told of roles, and no role that can be delegated hands out roles.
    assert_eq!(hint("editor", &definition("PUT")), "");
    assert_eq!(hint("remover", &definition("DELETE").replace('~', BARE)), only_they);
    assert_eq!(hint("reader", &format!("GET {BARE}/resourceGroups")), "Customer would have to delegate this scope.");
    let own = |name: &str| format!("No delegation is needed here: what is missing is a role assignment in {name} itself.");
    assert_eq!(hint("owner", "POST /subscriptions"), own("Customer"));
    assert_eq!(hint("reader", "POST /subscriptions"), own("Provider"));
    assert_eq!(hint("eligible", &format!("DELETE {VM}")), "`Contributor` is available on request and has to be activated.");
}

#[test]
fn a_grant_is_no_way_around_the_rules_of_a_place() {
    let world = World::new();
    for (asked, expected) in [
        (format!("PUT ~/providers/Microsoft.Authorization/roleDefinitions/{GUID}"), "rule.grants_in_files"),
        (format!("DELETE ~/providers/Microsoft.Authorization/roleDefinitions/{GUID}"), "rule.grants_in_files"),
        (format!("DELETE ~/providers/Microsoft.Authorization/denyAssignments/{GUID}"), "rule.grants_in_files"),
        (format!("GET ~/providers/Microsoft.Authorization/roleDefinitions/{GUID}"), "grant: Owner"),
        (format!("GET ~/providers/Microsoft.Authorization/denyAssignments/{GUID}"), "grant: Owner"),
        (format!("PUT ~/providers/Microsoft.Authorization/roleAssignments/{GUID}"), "grant: Owner"),
    ] {
        world.check("owner", &asked, expected);
    }
}

#[test]
fn guests_of_the_customer_work_there_and_delegate_nothing() {
    let world = World::new();
    let guest = |asked: &str| world.verdict(world.authorize(Caller { guest: true, ..world.caller("owner") }, asked));
    for asked in [definition("PUT"), definition("DELETE"), assignment("PUT"), assignment("DELETE")] {
        assert_eq!(guest(&asked), "rule.guest", "{asked}");
    }
    for asked in [definition("GET"), format!("PUT {VM}")] {
        assert_eq!(guest(&asked), "grant: Owner", "{asked}");
    }
}

#[test]
fn a_subscription_that_is_not_enabled_takes_reads_and_deletes_only() {
    let world = World::new();
    for (subscription, of_writes) in
        [(1, "grant: Owner"), (2, "rule.subscription_state"), (4, "rule.subscription_state"), (5, "rule.subscription_state")]
    {
        let vm = VM.replace('~', &format!("/subscriptions/00000002-0005-4000-8000-00000000000{subscription}"));
        for asked in [format!("GET {vm}"), format!("HEAD {vm}"), format!("DELETE {vm}")] {
            world.check("owner", &asked, "grant: Owner");
        }
        for asked in [format!("PUT {vm}"), format!("PATCH {vm}"), format!("POST {vm}/start")] {
            world.check("owner", &asked, of_writes);
        }
    }
}

#[test]
fn the_evidence_tells_how_far_a_request_came_and_by_which_grant() {
    let world = World::new();
    let checks = [CheckName::Scope, CheckName::Delegation, CheckName::Role, CheckName::Rules];
    let (passed, failed, left) = (Outcome::Pass, Outcome::Fail, Outcome::NotReached);
    let held = |trail: &super::Trail| {
        trail.grants.iter().map(|scored| scored.grant.origin.principal_name.to_string()).collect::<Vec<_>>().join(" ")
    };
    for (who, asked, grants) in [("reader", "GET ~/resourceGroups", "reader"), ("stranger", "GET /providers", "")] {
        let trail = world.authorize(world.caller(who), asked).unwrap().scoped.request.trail;
        assert_eq!((checks.map(|check| trail.outcome(check)), held(&trail)), ([passed; 4], grants.to_owned()), "{who}: {asked}");
    }
    let by_grant = world.authorize(world.caller("reader"), "GET ~/resourceGroups").unwrap().scoped.request.trail;
    let scored = &by_grant.grants[0];
    assert!(scored.principal && scored.scope && scored.action && scored.in_force);
    for (who, asked, outcomes) in [
        ("reader", format!("DELETE {VM}"), [passed, passed, failed, left]),
        ("nobody", format!("DELETE {VM}"), [passed, passed, failed, left]),
        ("reader", format!("GET {BARE}/resourceGroups"), [passed, failed, left, left]),
        ("owner", format!("PUT ~/providers/Microsoft.Authorization/roleDefinitions/{GUID}"), [passed, passed, passed, failed]),
    ] {
        let trail = world.authorize(world.caller(who), &asked).unwrap_err().trail;
        assert_eq!(checks.map(|check| trail.outcome(check)), outcomes, "{who}: {asked}");
    }
}

#[test]
fn of_what_names_scopes_in_its_body_only_known_meanings_pass() {
    let world = World::new();
    world.check("contributor", "POST ~/resourceGroups/rg-a/moveResources", "grant: Contributor");
    world.check("contributor", "POST ~/resourceGroups/rg-a/validateMoveResources", "grant: Contributor");
    world.check("reader", "POST ~/resourceGroups/rg-a/moveResources", "role.action_missing");
    world.check("nobody", "POST /providers/Microsoft.ResourceGraph/resources", "open");
    for asked in [
        "POST ~/resourceGroups/rg-a/providers/Microsoft.Resources/deploymentStacks/s/exportTemplate",
        "PUT ~/resourceGroups/rg-a/providers/Microsoft.Resources/deploymentStacks/s",
        "POST /providers/Microsoft.ResourceGraph/resourcesHistory",
    ] {
        world.check("contributor", asked, "scope.in_body");
    }
}

#[test]
fn a_denial_keeps_the_grants_that_came_nearest() {
    let world = World::new();
    let refused = world.authorize(world.caller("reader"), &format!("PUT {VM}")).unwrap_err();
    let nearest = refused.trail.grants.first().unwrap();
    assert_eq!((nearest.principal, nearest.scope, nearest.action, nearest.in_force), (true, true, false, true));
    assert_eq!(world.directory.roles().role(nearest.grant.role).unwrap().name(), "Reader");
}
