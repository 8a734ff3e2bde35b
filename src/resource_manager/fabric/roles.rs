//! User roles: who may use what, and that a role never has what the one above it lacks.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use hyper::StatusCode;

use crate::ids::UserRoleId;
use crate::vmm::{Profile, Quota, UserRole, VmStatus};

use super::connection::Acting;
use super::quota;
use super::refused::{Answer, Refused, problem};
use super::world::{Change, Draft, World};

/// Roles of all stamps together.
pub(super) const ROLES_MAX: usize = 50_000;
/// Roles right under one: nobody takes the room of others.
const CHILDREN_MAX: usize = 50;
/// Characters of a role's name.
const NAME_CHARS_MAX: usize = 256;
/// Source: RFC 5321 §4.5.3.1, the longest address.
const MEMBER_CHARS_MAX: usize = 320;
/// Members, clouds, networks or templates of one role.
const LIST_MAX: usize = 1_000;

/// A role that whoever acts may see: any, or its own and those below it.
pub(super) fn find(world: &World, acting: &Acting, id: UserRoleId) -> Result<Arc<UserRole>, Refused> {
    let found = world.role(id).filter(|role| acting.role().is_none_or(|own| is_within(world, role, own)));
    found.cloned().ok_or_else(|| not_found(id))
}

fn not_found(id: UserRoleId) -> Refused {
    Refused::missing("RoleNotFound", format!("the user role `{id}` is not known here"))
}

/// Whether a role is `top` or somewhere under it.
pub(super) fn is_within(world: &World, role: &UserRole, top: UserRoleId) -> bool {
    let above = std::iter::successors(Some(role), |role| role.parent.and_then(|parent| world.role(parent)).map(Arc::as_ref));
    above.into_iter().any(|role| role.id == top)
}

/// `PUT /roles/{id}`.
pub(super) fn put(draft: &mut Draft, acting: &Acting, id: UserRoleId, role: UserRole) -> Result<Answer, Refused> {
    let world = draft.world();
    if role.id != id {
        return Err(Refused::bad("IdMismatch", format!("the path says `{id}` and the body `{}`", role.id), "Send the same id in both."));
    }
    check_maker(world, acting, &role)?;
    if world.deleted_roles.contains(&id) {
        let message = format!("the user role `{id}` was deleted, and its id is not given again");
        let problem = problem("RoleDeleted", message, "Take a new id.");
        return Err(Refused { status: StatusCode::GONE, problem });
    }
    let existing = world.role(id).cloned();
    if existing.as_ref().is_some_and(|existing| existing.parent != role.parent) {
        let message = format!("the user role `{id}` cannot be put under another one than it was made under");
        return Err(Refused::conflict("ParentFixed", message, "Make a new role."));
    }
    if existing.is_none()
        && let Some(parent) = role.parent
        && world.children(parent).count() >= CHILDREN_MAX
    {
        let message = format!("the user role `{parent}` has {CHILDREN_MAX} roles under it, and no more are allowed");
        return Err(Refused::conflict("TooManyRoles", message, "Delete roles that are no longer needed."));
    }
    if existing.is_none() && world.roles.size() >= ROLES_MAX {
        let message = format!("there are {ROLES_MAX} user roles, and no more are allowed");
        return Err(Refused::conflict("TooManyRoles", message, "Delete roles that are no longer needed."));
    }
    check_shape(&role)?;
    check_references(world, &role)?;
    if let Some(parent) = role.parent {
        check_within(&role, parent_of(world, &role, parent)?)?;
    }
    let below: Vec<_> = match acting {
        // Whoever operates the fabric takes from a role what it has no more, and thereby from those below it.
        Acting::Administrator => narrowed(world, &role),
        Acting::Member(..) => {
            world.children(id).try_for_each(|child| check_within(child, &role))?;
            Vec::new()
        }
    };
    let status = if existing.is_some() { StatusCode::OK } else { StatusCode::CREATED };
    let answer = Answer::json(status, &role);
    if existing.is_none_or(|existing| *existing != role) {
        draft.apply(Change::Role(Arc::new(role)));
    }
    below.into_iter().for_each(|child| draft.apply(Change::Role(Arc::new(child))));
    Ok(answer)
}

/// The roles below one, however deep, that would have more than it, with no more than it.
fn narrowed(world: &World, role: &UserRole) -> Vec<UserRole> {
    let mut narrowed = Vec::new();
    for child in world.children(role.id) {
        let mut within = child.as_ref().clone();
        within.clouds.retain(|cloud| role.clouds.contains(cloud));
        within.networks.retain(|network| role.networks.contains(network));
        within.templates.retain(|template| role.templates.contains(template));
        within.actions.retain(|action| role.actions.contains(action));
        within.quota = Quota {
            virtual_machines: least(within.quota.virtual_machines, role.quota.virtual_machines),
            cores: least(within.quota.cores, role.quota.cores),
            memory_mb: least(within.quota.memory_mb, role.quota.memory_mb),
            storage_gb: least(within.quota.storage_gb, role.quota.storage_gb),
        };
        if within != **child {
            narrowed.extend(self::narrowed(world, &within));
            narrowed.push(within);
        }
    }
    narrowed
}

fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// `DELETE /roles/{id}`.
pub(super) fn delete(draft: &mut Draft, acting: &Acting, id: UserRoleId) -> Result<Answer, Refused> {
    let world = draft.world();
    let existing = world.role(id);
    if let Acting::Member(_, own) = acting
        && existing.is_none_or(|role| role.parent != Some(own.id))
    {
        return Err(not_found(id));
    }
    if let Some(role) = existing {
        check_unused(world, role)?;
        // What it had asked for and never got is nobody's to find any more.
        let leftovers: Vec<_> = world.asked_by(id).map(|machine| machine.vm.id).collect();
        let jobs: Vec<_> = world.jobs_of_role(Some(id)).filter(|job| job.end.is_some()).map(|job| job.number).collect();
        leftovers.into_iter().for_each(|vm| draft.remove_machine(vm, draft.now));
        jobs.into_iter().for_each(|number| draft.apply(Change::JobForgotten(number)));
    }
    if !draft.world().deleted_roles.contains(&id) {
        draft.apply(Change::RoleDeleted(id));
    }
    Ok(Answer::empty())
}

fn check_unused(world: &World, role: &UserRole) -> Result<(), Refused> {
    let owned = world.owned_by(role.id).count();
    let making = world.asked_by(role.id).filter(|machine| machine.vm.status == VmStatus::UnderCreation).count();
    let children = world.children(role.id).count();
    if owned + making + children == 0 {
        return Ok(());
    }
    let message = format!(
        "the user role `{}` ({}) has {owned} machines, {making} that are being made, and {children} roles under it",
        role.name, role.id
    );
    Err(Refused::conflict("RoleInUse", message, "Remove its machines and the roles under it first."))
}

/// The administrator makes any role; a tenant those right under its own.
fn check_maker(world: &World, acting: &Acting, role: &UserRole) -> Result<(), Refused> {
    let Acting::Member(_, own) = acting else { return Ok(()) };
    if role.parent != Some(own.id) || world.role(role.id).is_some_and(|existing| existing.parent != Some(own.id)) {
        return Err(Refused::administrator_only("making or changing a user role that is not right under one's own"));
    }
    if own.profile != Profile::TenantAdmin {
        let message = format!("the user role `{}` ({}) has the profile {:?}", own.name, own.id, own.profile);
        return Err(Refused::forbidden("ProfileNotPermitted", message, "Roles are made under roles with the profile TenantAdmin."));
    }
    Ok(())
}

fn check_shape(role: &UserRole) -> Result<(), Refused> {
    let refused = |message: String| Err(Refused::bad("InvalidRole", message, "Mend the role and send it again."));
    let fits = |text: &str, most: usize| (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if !fits(&role.name, NAME_CHARS_MAX) {
        return refused(format!("`name` does not have 1 to {NAME_CHARS_MAX} printable characters"));
    }
    if !role.members.iter().all(|member| fits(member, MEMBER_CHARS_MAX)) {
        return refused(format!("`members` has one that does not have 1 to {MEMBER_CHARS_MAX} printable characters"));
    }
    let lists = [
        ("members", role.members.len()),
        ("clouds", role.clouds.len()),
        ("networks", role.networks.len()),
        ("templates", role.templates.len()),
        ("actions", role.actions.len()),
    ];
    match lists.into_iter().find(|(_, count)| *count > LIST_MAX) {
        Some((name, count)) => refused(format!("`{name}` has {count} entries; allowed: {LIST_MAX}")),
        None => Ok(()),
    }
}

fn check_references(world: &World, role: &UserRole) -> Result<(), Refused> {
    let unknown = |kind: &str, id: String| {
        Err(Refused::bad(&format!("{kind}NotFound"), format!("the {} `{id}` is not known here", kind.to_lowercase()), "Look at the list."))
    };
    if let Some(id) = role.clouds.iter().find(|id| !world.clouds.contains_key(*id)) {
        return unknown("Cloud", id.to_string());
    }
    if let Some(id) = role.networks.iter().find(|id| !world.networks.contains_key(*id)) {
        return unknown("Network", id.to_string());
    }
    match role.templates.iter().find(|id| !world.templates.contains_key(*id)) {
        Some(id) => unknown("Template", id.to_string()),
        None => Ok(()),
    }
}

fn parent_of<'a>(world: &'a World, role: &UserRole, parent: UserRoleId) -> Result<&'a UserRole, Refused> {
    let refused = |message: String| Refused::bad("ParentNotFound", message, "Name a user role with the profile TenantAdmin.");
    let found = world.role(parent).filter(|found| found.id != role.id);
    let found = found.ok_or_else(|| refused(format!("the parent `{parent}` is not known here")))?;
    if found.profile == Profile::TenantAdmin {
        return Ok(found);
    }
    Err(refused(format!("the parent `{}` ({parent}) has the profile {:?}", found.name, found.profile)))
}

/// Refuses a role with anything that the one above it lacks, and names all of it.
fn check_within(child: &UserRole, parent: &UserRole) -> Result<(), Refused> {
    let mut exceeding = Vec::new();
    if matches!(child.profile, Profile::Administrator | Profile::DelegatedAdmin) {
        exceeding.push(format!("profile {:?}", child.profile));
    }
    lacking(&mut exceeding, "clouds", &child.clouds, &parent.clouds);
    lacking(&mut exceeding, "networks", &child.networks, &parent.networks);
    lacking(&mut exceeding, "templates", &child.templates, &parent.templates);
    lacking(&mut exceeding, "actions", &child.actions, &parent.actions);
    for ((name, child), (_, parent)) in quota::limits(&child.quota).into_iter().zip(quota::limits(&parent.quota)) {
        if let Some(most) = parent.filter(|most| child.is_none_or(|child| child > *most)) {
            let child = child.map_or_else(|| "unlimited".to_owned(), |child| child.to_string());
            exceeding.push(format!("quota `{name}` {child} of {most}"));
        }
    }
    if exceeding.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the user role `{}` ({}) would have more than its parent `{}` ({}): {}",
        child.name,
        child.id,
        parent.name,
        parent.id,
        exceeding.join("; ")
    );
    Err(Refused::conflict("ExceedsParent", message, "Give the parent these first, or take them from the role under it."))
}

fn lacking<T: Ord + Debug>(exceeding: &mut Vec<String>, kind: &str, child: &[T], parent: &[T]) {
    let parent: BTreeSet<&T> = parent.iter().collect();
    let names: Vec<String> = child.iter().filter(|it| !parent.contains(it)).map(|it| format!("`{it:?}`")).collect();
    if !names.is_empty() {
        exceeding.push(format!("{kind} {}", names.join(", ")));
    }
}
