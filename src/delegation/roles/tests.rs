use super::*;

fn index(name: &str) -> RoleIndex {
    RoleCatalogue::builtin().by_name(name).unwrap()
}

#[test]
fn every_built_in_role_is_classified() {
    let roles = RoleCatalogue::builtin();
    let mut counts = std::collections::BTreeMap::new();
    for (index, _) in roles.iter() {
        let class = match roles.delegable(index) {
            Ok(()) => "delegable",
            Err(NotDelegable::Constrained { .. }) => "constrained",
            Err(NotDelegable::DataAction { .. }) => "data action",
            Err(NotDelegable::Owner { .. }) => "owner",
            Err(NotDelegable::Restricted { .. }) => "restricted",
            Err(NotDelegable::Unknown { .. }) => "unknown",
        };
        *counts.entry(class).or_insert(0) += 1;
    }
    let expected = [("constrained", 1), ("data action", 319), ("delegable", 578), ("owner", 1), ("restricted", 29)];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(roles.len(), 928);
}

#[track_caller]
fn refused(role: &str, message: &str) {
    assert_eq!(RoleCatalogue::builtin().delegable(index(role)).unwrap_err().to_string(), message);
}

#[test]
fn a_refused_role_is_named_with_the_action_at_fault() {
    refused("Owner", "the role `Owner` cannot be delegated; it grants `*`");
    refused(
        "Storage Account Backup Contributor",
        "the role `Storage Account Backup Contributor` has the restricted action `Microsoft.Authorization/locks/write`; \
         roles that change access or locks cannot be delegated",
    );
    refused(
        "Storage Blob Data Reader",
        "the role `Storage Blob Data Reader` has the data action \
         `Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read`; roles with data actions cannot be delegated",
    );
    refused(
        "User Access Administrator",
        "the role `User Access Administrator` can be delegated only together with delegated_role_definition_ids, the roles it may assign",
    );
    assert!(RoleCatalogue::builtin().delegable(RoleIndex(u16::MAX)).is_err());
}

#[track_caller]
fn check(role: &str, action: &str, expected: bool) {
    let roles = RoleCatalogue::builtin();
    let action: Action = action.parse().unwrap();
    let granted = roles.granting(&action).contains(index(role));
    assert_eq!(granted, expected, "{role} grants {action}");
    assert_eq!(roles.role(index(role)).unwrap().permits(&action), expected, "{role} permits {action}");
}

#[test]
fn well_known_roles_grant_what_they_should() {
    check("Contributor", "Microsoft.Compute/virtualMachines/write", true);
    check("Contributor", "Microsoft.Authorization/roleAssignments/write", false);
    check("Contributor", "Microsoft.Authorization/roleAssignments/read", true);
    check("Reader", "Microsoft.Resources/subscriptions/resourceGroups/read", true);
    check("Reader", "Microsoft.Storage/storageAccounts/listKeys/action", false);
    check("Website Contributor", "Microsoft.Web/sites/write", true);
    check("Website Contributor", "Microsoft.WebPubSub/webPubSub/write", false);
    check("Owner", "Microsoft.Authorization/elevateAccess/action", true);
}

#[test]
fn a_data_action_is_not_granted_as_an_action() {
    check("Storage Blob Data Reader", "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read", false);
    check("Storage Blob Data Reader", "Microsoft.Storage/storageAccounts/blobServices/containers/read", true);
}

#[test]
fn a_block_with_a_condition_grants_nothing() {
    check("Key Vault Data Access Administrator", "Microsoft.Authorization/roleAssignments/write", false);
    check("Azure Migrate Owner", "Microsoft.Migrate/moveCollections/read", true);
    check("Azure Migrate Owner", "Microsoft.Authorization/roleAssignments/write", false);
    let roles = RoleCatalogue::builtin();
    let role = roles.role(index("Azure Migrate Owner")).unwrap();
    assert!(role.permits_conditionally(&"Microsoft.Authorization/roleAssignments/write".parse().unwrap()));
    let conditional = roles.iter().filter(|(_, role)| role.permissions().iter().any(|block| block.condition().is_some())).count();
    let several = roles.iter().filter(|(_, role)| role.permissions().len() > 1).count();
    assert_eq!((conditional, several), (29, 16));
}

#[test]
fn roles_are_found_by_id_and_by_name_in_any_case() {
    let roles = RoleCatalogue::builtin();
    let reader = roles.by_id("acdd72a7-3385-48ef-bd42-f606fba81ae7".parse().unwrap()).unwrap();
    assert_eq!(roles.by_name("READER"), Some(reader));
    assert_eq!(roles.role(reader).unwrap().name(), "Reader");
    assert_eq!(roles.by_name("Reeder"), None);
    assert_eq!(roles.suggest("Reeder"), Some("Reader"));
    assert_eq!(roles.suggest("virtual machine contribtor"), Some("Virtual Machine Contributor"));
    assert_eq!(roles.suggest("something else entirely"), None);
    assert_eq!(roles.role(roles.by_id(OWNER).unwrap()).unwrap().name(), "Owner");
    assert_eq!(roles.role(roles.by_id(USER_ACCESS_ADMINISTRATOR).unwrap()).unwrap().name(), "User Access Administrator");
}

#[test]
fn the_narrowest_delegable_roles_are_proposed_first() {
    let roles = RoleCatalogue::builtin();
    let action = "Microsoft.Compute/virtualMachines/start/action".parse().unwrap();
    let granting = roles.granting(&action);
    let proposed = granting.narrowest();
    assert_eq!(proposed.len(), 3);
    assert!(proposed.iter().all(|role| roles.delegable(*role).is_ok() && granting.contains(*role)));
    let names: Vec<_> = proposed.iter().filter_map(|role| roles.role(*role)).map(Role::name).collect();
    assert!(!names.contains(&"Contributor"), "{names:?}");
}

#[test]
fn of_two_roles_with_as_many_patterns_the_one_without_a_star_is_proposed_first() {
    let wide = "role acdd72a7-3385-48ef-bd42-f606fba81ae7 Any\n+ A.B c/*\n";
    let narrow = "role acdd72a7-3385-48ef-bd42-f606fba81ae8 Zero\n+ A.B c/read\n";
    for table in [format!("{wide}{narrow}"), format!("{narrow}{wide}")] {
        let roles = RoleCatalogue::from_table(&table).unwrap();
        let granting = roles.granting(&"A.B/c/read".parse().unwrap());
        let names: Vec<_> = granting.narrowest().iter().filter_map(|role| roles.role(*role)).map(Role::name).collect();
        assert_eq!(names, ["Zero", "Any"]);
    }
}

#[test]
fn an_action_is_remembered() {
    let roles = RoleCatalogue::from_table("role acdd72a7-3385-48ef-bd42-f606fba81ae7 Reader\n+ * read\n").unwrap();
    let action = "A.B/c/read".parse().unwrap();
    let first = roles.granting(&action);
    assert!(Arc::ptr_eq(&first, &roles.granting(&"a.b/C/READ".parse().unwrap())));
    assert!(first.contains(RoleIndex(0)) && !first.contains(RoleIndex(1)));
}

#[test]
fn so_many_actions_are_remembered_and_the_others_answered_alike() {
    let roles = RoleCatalogue::from_table("role acdd72a7-3385-48ef-bd42-f606fba81ae7 Reader\n+ * read\n").unwrap();
    let ask = |number: u32| roles.granting(&format!("A.B/c{number}/read").parse().unwrap());
    (1..65_536).for_each(|number| assert!(ask(number).contains(RoleIndex(0)), "{number}"));
    assert!(Arc::ptr_eq(&ask(65_536), &ask(65_536)), "the last that has room");
    assert!(!Arc::ptr_eq(&ask(65_537), &ask(65_537)), "one more");
    assert!(ask(65_537).contains(RoleIndex(0)));
    assert!(Arc::ptr_eq(&ask(1), &ask(1)));
}

#[test]
fn the_index_agrees_with_every_block_of_every_role() {
    let roles = RoleCatalogue::builtin();
    let literal = roles.iter().flat_map(|(_, role)| role.permissions()).flat_map(Permission::actions).filter_map(|text| text.parse().ok());
    let mut checked = 0;
    for action in literal.step_by(23).collect::<Vec<Action>>() {
        let granting = roles.granting(&action);
        for (index, role) in roles.iter() {
            assert_eq!(granting.contains(index), role.permits(&action), "{} {action}", role.name());
            checked += 1;
        }
    }
    assert!(checked > 100_000, "{checked}");
}

#[test]
fn two_roles_cannot_share_an_id_or_a_name() {
    let first = "role acdd72a7-3385-48ef-bd42-f606fba81ae7 Reader\n";
    for (second, name) in [
        ("role acdd72a7-3385-48ef-bd42-f606fba81ae8 READER\n", "READER"),
        ("role acdd72a7-3385-48ef-bd42-f606fba81ae7 Writer\n", "Writer"),
        (first, "Reader"),
    ] {
        let doubled = RoleCatalogue::from_table(&format!("{first}{second}")).unwrap_err();
        assert_eq!(doubled, TableError::Doubled { name: name.to_owned() }, "{second}");
    }
}

#[test]
fn a_table_without_roles_is_an_empty_catalogue() {
    let sizes = |text: &str| RoleCatalogue::from_table(text).map(|roles| (roles.len(), roles.is_empty()));
    assert_eq!(sizes("# none\n"), Ok((0, true)));
    assert_eq!(sizes("role acdd72a7-3385-48ef-bd42-f606fba81ae7 Reader\n"), Ok((1, false)));
}
