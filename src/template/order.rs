//! Entries of a plan in an order in which each comes after what it depends on. Among those that are ready the first in the template goes first.

use std::collections::BTreeSet;

use super::error::{Reason, TemplateError};
use super::limits;

/// Positions in order.
///
/// # Errors
/// With the names of those that wait for each other.
pub(super) fn order(depends: &[BTreeSet<usize>], labels: &[String], paths: &[String]) -> Result<Vec<usize>, TemplateError> {
    let mut waiting: Vec<usize> = depends.iter().map(BTreeSet::len).collect();
    let mut followers = vec![Vec::new(); depends.len()];
    for (at, needs) in depends.iter().enumerate() {
        for need in needs {
            followers.get_mut(*need).into_iter().for_each(|list| list.push(at));
        }
    }
    let mut ready: BTreeSet<usize> = waiting.iter().enumerate().filter(|(_, count)| **count == 0).map(|(at, _)| at).collect();
    let mut ordered = Vec::with_capacity(depends.len());
    while let Some(at) = ready.pop_first() {
        ordered.push(at);
        for follower in followers.get(at).into_iter().flatten() {
            let Some(count) = waiting.get_mut(*follower) else { continue };
            *count -= 1;
            if *count == 0 {
                ready.insert(*follower);
            }
        }
    }
    let stuck = waiting.iter().position(|count| *count > 0);
    stuck.map_or(Ok(ordered), |start| Err(circle(start, depends, &waiting, labels, paths)))
}

fn circle(start: usize, depends: &[BTreeSet<usize>], waiting: &[usize], labels: &[String], paths: &[String]) -> TemplateError {
    let is_stuck = |at: &usize| waiting.get(*at).is_some_and(|count| *count > 0);
    let mut walk = vec![start];
    // Each one that is stuck waits for another that is stuck, so the walk comes back to where it was.
    let again = loop {
        let here = walk.last().and_then(|at| depends.get(*at)).and_then(|needs| needs.iter().copied().find(is_stuck));
        let Some(next) = here else { break start };
        walk.push(next);
        if walk.iter().rev().skip(1).any(|at| *at == next) {
            break next;
        }
    };
    let ring: Vec<usize> = walk.into_iter().skip_while(|at| *at != again).collect();
    let label = |at: &usize| labels.get(*at).cloned().unwrap_or_default();
    let names = ring.iter().take(limits::QUOTED_MAX).map(label);
    let more = (ring.len() > limits::QUOTED_MAX).then(|| "…".to_owned());
    let path = ring.first().and_then(|at| paths.get(*at)).cloned().unwrap_or_default();
    TemplateError::new(path, Reason::Circle { what: "resources", names: names.chain(more).collect() })
}
