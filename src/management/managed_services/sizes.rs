//! How much a subscription may hold of offers and of what their assignments grant: each was small to send, and is kept, read and listed as a whole.
//!
//! What is over a bound already, for it is older than the bound, may become smaller and not larger.

use crate::delegation::offer::{RegistrationAssignment, RegistrationDefinition};
use crate::directory::Holdings;
use crate::ids::DefinitionId;
use crate::json;
use crate::management::OwnError;

/// Bytes of all offers of one subscription, as they are stored.
const DEFINITIONS_BYTES_MAX: usize = 4 << 20;
/// Authorizations of all assignments in one subscription: those of an offer count at each of its assignments.
const GRANTED_MAX: usize = 40_000;
/// Assignments of one offer: what happens to it happens to all of them at once. Azure has 980 resource groups in a subscription.
const ASSIGNMENTS_OF_ONE_MAX: usize = 1_000;

/// Whether there is room for an offer, with the assignments that it has.
pub(super) fn check_definition(definition: &RegistrationDefinition, held: Option<&Holdings>) -> Result<(), OwnError> {
    let before = held.and_then(|held| held.definitions.get(&definition.name)).map(|one| &*one.body);
    let bytes = Growth { before: before.map_or(0, json::length), now: json::length(definition) };
    bytes.check(definitions_bytes(held), "bytes of registration definitions", DEFINITIONS_BYTES_MAX)?;
    let bound = assignments_of(held, definition.name);
    let granted = Growth { before: before.map_or(0, granted) * bound, now: granted(definition) * bound };
    granted.check(all_granted(held), GRANTED, GRANTED_MAX)
}

/// Whether there is room for an assignment of this offer.
pub(super) fn check_assignment(
    assignment: &RegistrationAssignment,
    definition: &RegistrationDefinition,
    held: Option<&Holdings>,
) -> Result<(), OwnError> {
    let before = offer_of(held, assignment);
    let is_new = before != Some(definition.name);
    let one = Growth { before: 0, now: usize::from(is_new) };
    one.check(assignments_of(held, definition.name), "registration assignments of one registration definition", ASSIGNMENTS_OF_ONE_MAX)?;
    let before = before.and_then(|name| held?.definitions.get(&name)).map_or(0, |one| granted(&one.body));
    Growth { before, now: granted(definition) }.check(all_granted(held), GRANTED, GRANTED_MAX)
}

const GRANTED: &str = "authorizations in its registration assignments";

/// What takes the place of what.
struct Growth {
    before: usize,
    now: usize,
}

impl Growth {
    fn check(&self, held: usize, what: &'static str, max: usize) -> Result<(), OwnError> {
        let count = held.saturating_sub(self.before).saturating_add(self.now);
        if count <= max || self.now <= self.before { Ok(()) } else { Err(OwnError::Over { count, what, max }) }
    }
}

fn definitions_bytes(held: Option<&Holdings>) -> usize {
    held.into_iter().flat_map(|held| held.definitions.values()).map(|one| json::length(&*one.body)).sum()
}

fn granted(definition: &RegistrationDefinition) -> usize {
    definition.authorizations.len() + definition.eligible.len()
}

fn all_granted(held: Option<&Holdings>) -> usize {
    let Some(held) = held else { return 0 };
    let of = |name: &DefinitionId| held.definitions.get(name).map_or(0, |one| granted(&one.body));
    held.assignments.values().map(|one| of(&one.body.definition.name)).sum()
}

fn assignments_of(held: Option<&Holdings>, name: DefinitionId) -> usize {
    let all = held.into_iter().flat_map(|held| held.assignments.values());
    all.filter(|one| one.body.definition.name == name).count()
}

/// The offer that an assignment has until now.
fn offer_of(held: Option<&Holdings>, assignment: &RegistrationAssignment) -> Option<DefinitionId> {
    let key = (assignment.scope.to_string().to_ascii_lowercase().into(), assignment.name);
    held?.assignments.get(&key).map(|one| one.body.definition.name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;
    use crate::directory::Versioned;
    use crate::store::Revision;

    fn stored() -> Value {
        serde_json::from_str(include_str!("../../delegation/offer/stored_v1.json")).unwrap()
    }

    fn guid(number: usize) -> Value {
        format!("50000000-0000-4000-8000-{number:012}").into()
    }

    /// An offer of so many authorizations and one that is eligible, with a description of so many bytes.
    fn definition(number: usize, authorizations: usize, bytes: usize) -> RegistrationDefinition {
        let mut definition = stored()["definition"].take();
        let one = definition["authorizations"][0].clone();
        definition["name"] = guid(number);
        definition["authorizations"] = vec![one; authorizations].into();
        definition["description"] = "x".repeat(bytes).into();
        serde_json::from_value(definition).unwrap()
    }

    fn assignment(number: usize, of: usize) -> RegistrationAssignment {
        let mut assignment = stored()["assignment"].take();
        assignment["name"] = guid(number);
        assignment["definition"]["name"] = guid(of);
        serde_json::from_value(assignment).unwrap()
    }

    fn versioned<T>(body: T) -> Versioned<T> {
        Versioned { revision: Revision(1), body: Arc::new(body) }
    }

    /// Offers, and how many assignments each has.
    fn held(offers: Vec<(RegistrationDefinition, usize)>) -> Holdings {
        let mut held = Holdings::default();
        for (place, (definition, assignments)) in offers.into_iter().enumerate() {
            for number in 0..assignments {
                let mut one = assignment(place * 100_000 + number, 0);
                one.definition = definition.key();
                held.assignments.insert((one.scope.to_string().to_ascii_lowercase().into(), one.name), versioned(one));
            }
            held.definitions.insert(definition.name, versioned(definition));
        }
        held
    }

    #[track_caller]
    fn check(checked: Result<(), OwnError>, expected: Option<(usize, &str)>) {
        let over = checked.err().map(|error| {
            let OwnError::Over { count, what, .. } = error else { panic!("{error}") };
            (count, what)
        });
        assert_eq!(over, expected);
    }

    const BYTES: &str = "bytes of registration definitions";
    const OF_ONE: &str = "registration assignments of one registration definition";

    #[test]
    fn offers_have_so_many_bytes_together() {
        let empty = json::length(&definition(1, 1, 0));
        let held = held(vec![(definition(1, 1, 1_000_000), 0), (definition(2, 1, 2_000_000), 0)]);
        let left = DEFINITIONS_BYTES_MAX - 3_000_000 - 2 * empty;
        check(check_definition(&definition(3, 1, left - empty), Some(&held)), None);
        check(check_definition(&definition(3, 1, left - empty + 1), Some(&held)), Some((DEFINITIONS_BYTES_MAX + 1, BYTES)));
        // One that is replaced counts once.
        check(check_definition(&definition(1, 1, 1_000_000 + left), Some(&held)), None);
        check(check_definition(&definition(1, 1, 1_000_001 + left), Some(&held)), Some((DEFINITIONS_BYTES_MAX + 1, BYTES)));
        check(check_definition(&definition(1, 1, DEFINITIONS_BYTES_MAX - empty), None), None);
        check(check_definition(&definition(1, 1, DEFINITIONS_BYTES_MAX - empty + 1), None), Some((DEFINITIONS_BYTES_MAX + 1, BYTES)));
    }

    #[test]
    fn what_is_over_a_bound_from_before_may_become_smaller_and_no_larger() {
        let held = held(vec![(definition(1, 499, DEFINITIONS_BYTES_MAX), 81)]);
        check(check_definition(&definition(1, 499, DEFINITIONS_BYTES_MAX - 1), Some(&held)), None);
        check(check_definition(&definition(1, 498, DEFINITIONS_BYTES_MAX), Some(&held)), None);
        let larger = json::length(&definition(1, 499, DEFINITIONS_BYTES_MAX + 1));
        check(check_definition(&definition(1, 499, DEFINITIONS_BYTES_MAX + 1), Some(&held)), Some((larger, BYTES)));
        check(check_definition(&definition(1, 500, 0), Some(&held)), Some((81 * 501, GRANTED)));
    }

    #[test]
    fn an_offer_grants_at_each_of_its_assignments() {
        // 80 times 499 and one that is eligible.
        let full = held(vec![(definition(1, 499, 0), 79), (definition(2, 1, 0), 249)]);
        let small = definition(2, 1, 0);
        let large = definition(1, 499, 0);
        check(check_assignment(&assignment(90_000, 2), &small, Some(&full)), None);
        check(check_assignment(&assignment(90_000, 1), &large, Some(&full)), Some((40_498, GRANTED)));
        let full = held(vec![(definition(1, 499, 0), 79), (definition(2, 1, 0), 250)]);
        check(check_assignment(&assignment(90_000, 2), &small, Some(&full)), Some((40_002, GRANTED)));
        // It goes to another offer, or stays where it is.
        check(check_assignment(&assignment(100_000, 1), &large, Some(&full)), Some((40_498, GRANTED)));
        check(check_assignment(&assignment(0, 2), &small, Some(&full)), None);
        check(check_assignment(&assignment(0, 1), &large, Some(&full)), None);
        check(check_definition(&definition(2, 2, 0), Some(&full)), Some((40_250, GRANTED)));
        check(check_definition(&definition(2, 0, 0), Some(&full)), None);
        check(check_definition(&definition(3, 500, 0), Some(&full)), None);
        check(check_assignment(&assignment(90_000, 1), &large, None), None);
    }

    #[test]
    fn an_offer_has_so_many_assignments() {
        let almost = held(vec![(definition(1, 1, 0), ASSIGNMENTS_OF_ONE_MAX - 1), (definition(2, 1, 0), 1)]);
        let one = definition(1, 1, 0);
        check(check_assignment(&assignment(5_000, 1), &one, Some(&almost)), None);
        let full = held(vec![(definition(1, 1, 0), ASSIGNMENTS_OF_ONE_MAX), (definition(2, 1, 0), 1)]);
        check(check_assignment(&assignment(5_000, 1), &one, Some(&full)), Some((1_001, OF_ONE)));
        check(check_assignment(&assignment(100_000, 1), &one, Some(&full)), Some((1_001, OF_ONE)));
        check(check_assignment(&assignment(7, 1), &one, Some(&full)), None);
        check(check_assignment(&assignment(7, 2), &definition(2, 1, 0), Some(&full)), None);
    }
}
