//! Delegations as time goes by: whose review is due is told, and what nobody used for as long as its offer says counts no more.
//!
//! What was noticed is written into the store, as one change with the event that tells of it; what follows from it is decided by the
//! snapshot, on every gateway. Every gateway looks: whoever comes second finds nothing left to write. It never takes anything away
//! that was used, never gives anything back, and never touches what stands in policy files.

mod notice;
mod steady;

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::clock::{Clock, Timestamp};
use crate::delegation::OriginKind;
use crate::directory::{Directory, Holdings};
use crate::ids::{AssignmentId, SubscriptionId};
use crate::record::{GrantKey, Recorder};
use crate::state::{ChangeError, State};
use crate::store::Write;
use crate::telemetry;
use notice::{Bound, Known};
use steady::{Look, Seen, Steady};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Changes of one look; the next one goes on.
const CHANGES_MAX: usize = 100;

/// Looks at the terms of all delegations again and again.
#[derive(Debug)]
pub struct Keeper {
    state: Arc<State>,
    recorder: Recorder,
    clock: Clock,
    steady: Steady,
    failed: bool,
}

/// Where a delegation is found: subscription, then scope in lower case and name.
type Place = (SubscriptionId, (Box<str>, AssignmentId));

impl Keeper {
    /// One that has not looked yet. It needs the recorder to know what was used.
    #[must_use]
    pub fn new(state: Arc<State>, recorder: Recorder, clock: Clock) -> Self {
        let steady = Steady::since(at(&clock));
        Self { state, recorder, clock, steady, failed: false }
    }

    /// Looks until `stop` ends. Whoever starts this task awaits its end.
    pub async fn run(mut self, directory: watch::Receiver<Arc<Directory>>, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                () = sleep(LOOK_EVERY) => {}
            }
            let snapshot = Arc::clone(&directory.borrow());
            tokio::select! {
                () = &mut stop => break,
                looked = self.look(&snapshot) => self.note(looked),
            }
        }
    }

    fn note(&mut self, looked: Result<(), ChangeError<Infallible>>) {
        match looked {
            Ok(()) => self.failed = false,
            Err(error) if !self.failed => {
                self.failed = true;
                tracing::warn!(cause = telemetry::chain(&error), "what is due of delegations could not be written; it is tried again");
            }
            Err(_again) => {}
        }
    }

    async fn look(&mut self, directory: &Directory) -> Result<(), ChangeError<Infallible>> {
        let look = at(&self.clock);
        let now = look.now;
        let may_end = self.may_end(look);
        let places = places(directory);
        // Without the records it is not known what was used: nothing may end then.
        let Some(uses) = self.uses(directory, &places).await else { return Ok(()) };
        let known = uses.into_iter().map(|used| Known { used, now, may_end });
        let due = places.iter().zip(known).filter(|(place, known)| !due(directory, place, known).is_empty());
        for (place, known) in due.take(CHANGES_MAX) {
            self.state.change(now, |directory| Ok((due_now(directory, place, &known), ()))).await?;
        }
        Ok(())
    }

    /// Whether the clock can be relied on: what it ends stays ended when the clock is put right.
    fn may_end(&mut self, look: Look) -> bool {
        let seen = self.steady.look(look);
        if let Seen::Step(by) = seen {
            tracing::warn!(by_s = by.as_secs(), "the clock was set; for an hour from now no delegation ends because nobody used it");
        }
        seen == Seen::Proven
    }

    /// When each was last used, as far as this gateway knows.
    async fn uses(&self, directory: &Directory, places: &[Place]) -> Option<Vec<Option<Timestamp>>> {
        let keys: Vec<Vec<GrantKey>> = places.iter().map(|place| keys(directory, place)).collect();
        let asked: Vec<GrantKey> = keys.iter().flatten().cloned().collect();
        if asked.is_empty() {
            return Some(vec![None; places.len()]);
        }
        let mut last = self.recorder.uses(asked).await.ok()?.last.into_iter();
        Some(keys.iter().map(|keys| last.by_ref().take(keys.len()).flatten().max()).collect())
    }
}

fn at(clock: &Clock) -> Look {
    let (now, uptime) = clock.both();
    Look { now, uptime }
}

/// All that may be due: delegations of offers with a term, and what is left of delegations that are gone.
fn places(directory: &Directory) -> Vec<Place> {
    let mut places = Vec::new();
    for (subscription, held) in directory.registry().subscriptions() {
        let keys = held.assignments.keys().chain(held.tenures.keys().filter(|key| !held.assignments.contains_key(key)));
        let concerned = keys.filter(|key| bound(held, key).is_none_or(|bound| bound.is_timed()));
        places.extend(concerned.map(|key| (subscription, key.clone())));
    }
    places
}

fn bound<'h>(held: &'h Holdings, key: &(Box<str>, AssignmentId)) -> Option<Bound<'h>> {
    let assignment = &held.assignments.get(key)?.body;
    let definition = &held.definitions.get(&assignment.definition.name)?.body;
    let tenure = held.tenures.get(key).map(|known| &*known.body);
    Some(Bound { assignment, definition, tenure, is_lapsed: held.lapsed(assignment, definition).is_some() })
}

/// The grants whose use is use of the delegation, where it matters.
fn keys(directory: &Directory, (id, key): &Place) -> Vec<GrantKey> {
    let (Some(held), Some(subscription)) = (directory.registry().holdings(*id), directory.subscription(*id)) else { return Vec::new() };
    let Some(bound) = bound(held, key).filter(Bound::ends_unused) else { return Vec::new() };
    let is_of = |kind: &OriginKind| match kind {
        OriginKind::Delegation { offer, managing_tenant } => {
            *offer == bound.definition.offer_name && *managing_tenant == bound.definition.managing_tenant
        }
        OriginKind::RoleAssignment => false,
    };
    let of_it = subscription.grants.iter().filter(|grant| is_of(&grant.origin.kind) && bound.assignment.scope.covers(&grant.scope));
    of_it.map(|grant| GrantKey::of(grant, directory.roles())).collect()
}

/// What there is to write about one delegation.
fn due(directory: &Directory, (id, key): &Place, known: &Known) -> Vec<Write> {
    let (Some(held), Some(subscription)) = (directory.registry().holdings(*id), directory.subscription(*id)) else { return Vec::new() };
    match bound(held, key) {
        Some(bound) => bound.due(subscription.tenant, known),
        None => notice::leftover(held, key),
    }
}

fn due_now(directory: &Directory, place: &Place, known: &Known) -> Vec<Write> {
    let mut writes = due(directory, place, known);
    let forgotten = notice::forgotten(directory, writes.len());
    writes.extend(forgotten);
    writes
}
