//! Delegations in one form for both sides, wherever they are kept.

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::delegation::offer::{RegistrationAssignment, RegistrationDefinition};
use crate::delegation::{RoleIndex, SourceLocation, Window};
use crate::directory::shown::{self, Kept as KeptBy, Shown};
use crate::directory::{self, Acquaintance, Directory, Subscription};
use crate::ids::{ObjectId, PrincipalId, RoleId};

use super::shapes::{Authorization, AuthorizationKind, Delegation, Force, ForceState, Kept, Offer};

/// An offer on a scope.
pub(super) struct Bound<'d> {
    pub(super) assignment: Shown<RegistrationAssignment>,
    pub(super) definition: Shown<RegistrationDefinition>,
    subscription: &'d Subscription,
}

/// All delegations of a subscription.
pub(super) fn bound<'d>(directory: &Directory, subscription: &'d Subscription) -> Vec<Bound<'d>> {
    let definitions = shown::definitions(directory, subscription.id);
    let bind = |assignment: Shown<RegistrationAssignment>| {
        let definition = definitions.iter().find(|known| known.body.name == assignment.body.definition.name)?.clone();
        Some(Bound { assignment, definition, subscription })
    };
    shown::assignments(directory, subscription.id).into_iter().filter_map(bind).collect()
}

impl Bound<'_> {
    pub(super) fn is_resource_group(&self) -> bool {
        self.assignment.body.scope.resource_group_name().is_some()
    }

    pub(super) fn subscription_name(&self) -> Arc<str> {
        Arc::clone(&self.subscription.name)
    }

    pub(super) fn offer(&self) -> Offer {
        Offer {
            name: self.definition.body.offer_name.to_string(),
            registration_definition_id: self.definition.body.key().to_string(),
            version: match &self.definition.kept {
                KeptBy::Agreed(revision) => revision.to_string(),
                KeptBy::Declared(SourceLocation { file, line, .. }) => format!("{file}:{line}"),
            },
        }
    }

    pub(super) fn describe(&self, (directory, known): (&Directory, Acquaintance<'_>), now: Timestamp) -> Delegation {
        Delegation {
            id: self.assignment.body.id(),
            scope: self.assignment.body.scope.to_string(),
            subscription_name: self.subscription.name.to_string(),
            offer: self.definition.body.offer_name.to_string(),
            registration_definition_id: self.definition.body.key().to_string(),
            kept_in: match &self.assignment.kept {
                KeptBy::Agreed(_) => Kept::Store { id: self.assignment.body.id() },
                KeptBy::Declared(location) => file(location),
            },
            authorizations: self.authorizations(Namer { directory, known, now }),
        }
    }

    fn authorizations(&self, namer: Namer<'_>) -> Vec<Authorization> {
        let Namer { directory, now, .. } = namer;
        if let Some(declared) = shown::declaration(directory, self.subscription.id, &self.assignment) {
            return declared.authorizations.iter().map(|one| namer.declared(one)).collect();
        }
        let definition = &self.definition.body;
        let principal = |object| PrincipalId { tenant: definition.managing_tenant, object };
        let (from, until) = (definition.term.not_before, definition.term.not_after);
        let held = directory.registry().holdings(self.subscription.id);
        let lapsed = held.and_then(|held| held.lapsed(&self.assignment.body, definition));
        let standing = definition.authorizations.iter().map(|one| {
            let force = namer.force(lapsed.map_or_else(|| window(from, until), |since| Window::Unused { since }));
            namer.authorization(principal(one.principal), one.display_name.as_deref(), one.role, (AuthorizationKind::Standing, force))
        });
        let eligible = definition.eligible.iter().map(|one| {
            let force = Force { from, until, ..eligible(from, until, now) };
            namer.authorization(principal(one.principal), one.display_name.as_deref(), one.role, (AuthorizationKind::Eligible, force))
        });
        standing.chain(eligible).collect()
    }
}

/// What is eligible counts after an activation, and only while the offer does.
fn eligible(from: Option<Timestamp>, until: Option<Timestamp>, now: Timestamp) -> Force {
    let term = force(window(from, until), now);
    let state = if term.state == ForceState::InForce { ForceState::Eligible } else { term.state };
    Force { state, ..term }
}

const fn window(from: Option<Timestamp>, until: Option<Timestamp>) -> Window {
    match (from, until) {
        (None, None) => Window::Standing,
        (from, until) => Window::Between { from, until },
    }
}

/// The state of a window now.
pub(super) fn force(window: Window, now: Timestamp) -> Force {
    let (from, until) = match window {
        Window::Between { from, until } => (from, until),
        Window::Unused { since } => (None, Some(since)),
        Window::Eligible | Window::Standing | Window::Suspended => (None, None),
    };
    let state = match window {
        Window::Eligible => ForceState::Eligible,
        Window::Suspended => ForceState::Suspended,
        Window::Unused { .. } => ForceState::Unused,
        window if window.contains(now) => ForceState::InForce,
        Window::Between { until: Some(until), .. } if until <= now => ForceState::Expired,
        Window::Between { .. } | Window::Standing => ForceState::NotStarted,
    };
    Force { state, from, until }
}

/// The place in a policy file.
pub(super) fn file(location: &SourceLocation) -> Kept {
    Kept::File { file: location.file.to_string(), line: location.line }
}

/// Where a grant can be changed. A resource id stands where a file would for what is in the store.
pub(super) fn kept(location: &SourceLocation) -> Kept {
    match location.line {
        0 => Kept::Store { id: location.file.to_string() },
        _ => file(location),
    }
}

#[derive(Clone, Copy)]
struct Namer<'d> {
    directory: &'d Directory,
    known: Acquaintance<'d>,
    now: Timestamp,
}

impl Namer<'_> {
    fn force(&self, window: Window) -> Force {
        force(window, self.now)
    }

    fn declared(&self, one: &directory::Authorization) -> Authorization {
        let kind = if one.on_request.is_some() { AuthorizationKind::Eligible } else { AuthorizationKind::Standing };
        let (id, name) = self.role(one.role);
        Authorization {
            principal_id: one.principal.object,
            principal_name: one.origin.principal_name.to_string(),
            role_definition_id: id,
            role_name: name,
            kind,
            force: self.force(*one.window),
        }
    }

    fn authorization(
        &self,
        principal: PrincipalId,
        display_name: Option<&str>,
        role: RoleId,
        (kind, force): (AuthorizationKind, Force),
    ) -> Authorization {
        let role_name = self.directory.roles().by_id(role).map(|index| self.role(index).1);
        Authorization {
            principal_id: principal.object,
            principal_name: display_name.map_or_else(|| principal_name(self.known, principal), str::to_owned),
            role_definition_id: role,
            role_name: role_name.unwrap_or_else(|| role.to_string()),
            kind,
            force,
        }
    }

    fn role(&self, role: RoleIndex) -> (RoleId, String) {
        role_of(self.directory, role)
    }
}

/// The name that the caller is told of a principal; its object id where it has none.
pub(super) fn principal_name(known: Acquaintance<'_>, principal: PrincipalId) -> String {
    known.principal(principal).map_or_else(|| object_name(principal.object), |known| known.name.to_string())
}

fn object_name(object: ObjectId) -> String {
    object.to_string()
}

/// Id and name of a role.
pub(super) fn role_of(directory: &Directory, role: RoleIndex) -> (RoleId, String) {
    let found = directory.roles().role(role);
    found.map_or_else(|| (RoleId::from_bytes([0; 16]), String::new()), |role| (role.id(), role.name().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(window: Window, expected: ForceState) {
        assert_eq!(force(window, at("2026-11-20T12:00:00Z")).state, expected, "{window:?}");
    }

    #[test]
    fn a_state_says_whether_a_window_is_open() {
        let (before, now, after) = (at("2026-11-20T11:00:00Z"), at("2026-11-20T12:00:00Z"), at("2026-11-20T13:00:00Z"));
        check(Window::Standing, ForceState::InForce);
        check(Window::Eligible, ForceState::Eligible);
        check(Window::Suspended, ForceState::Suspended);
        check(Window::Unused { since: before }, ForceState::Unused);
        check(Window::Between { from: Some(before), until: Some(after) }, ForceState::InForce);
        check(Window::Between { from: Some(now), until: None }, ForceState::InForce);
        check(Window::Between { from: None, until: Some(now) }, ForceState::Expired);
        check(Window::Between { from: Some(after), until: None }, ForceState::NotStarted);
        check(Window::Between { from: Some(after), until: Some(before) }, ForceState::Expired);
    }

    #[test]
    fn what_is_eligible_is_so_only_while_the_offer_counts() {
        let now = at("2026-11-20T12:00:00Z");
        assert_eq!(eligible(None, None, now).state, ForceState::Eligible);
        assert_eq!(eligible(None, Some(now), now).state, ForceState::Expired);
    }
}
