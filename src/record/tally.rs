//! Refusals that come faster than they are worth a record each: they are counted, and a summary a minute says how many there were.
//!
//! Otherwise whoever can send requests could push out the records of everybody: strangers need no more than an address, and a tenant its own
//! tokens. What a grant permitted is never counted here: each such request has its record, but for those that visitors, of whom anybody may have
//! many, permit themselves and one another: they have a pace, and half of the room together.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::audit::Log;
use super::entry::{Counted, Record};
use super::segments::Segments;
use super::stored::Evidence;
use super::{Finished, Told};
use crate::clock::Timestamp;
use crate::ids::{RequestId, TenantId};
use crate::pace::{Paces, Rate};
use crate::pipeline::{CheckName, Outcome};

/// Records of requests without a proven caller, all together: so many at once, and in a second.
const STRANGERS_AT_ONCE: u32 = 1_000;
const STRANGERS_PER_S: u32 = 10;
/// Records of refused requests of one home tenant: so many at once, and in a second.
const REFUSED_AT_ONCE: u32 = 1_000;
const REFUSED_PER_S: u32 = 10;
/// Records of what a visitor's tenant asks for of its own, of nobody's and of other visitors': so many at once, and in a second.
const VISITED_AT_ONCE: u32 = 1_000;
const VISITED_PER_S: u32 = 10;
/// From the first request that is counted to the summary.
const SUMMARY_TIME: Duration = Duration::from_secs(60);
/// Summaries in one minute for the logs of customers; what is more of them is counted for the operator's log.
const CUSTOMERS_MAX: usize = 1_024;

/// Summaries in one minute for visitors: anybody may have many of these, and a summary takes as much room as a record.
const VISITORS_MAX: usize = 64;

/// What is counted, by the log that it belongs to and the home tenant of its callers. A tenant's own log has one summary whoever owns what it asked
/// for: more would tell it what exists.
#[derive(Debug)]
pub(super) struct Tally {
    strangers: Rate,
    refused: Rate,
    visited: Rate,
    paces: Paces,
    counts: HashMap<(Log, Option<TenantId>), Count, foldhash::fast::RandomState>,
    /// Those of them that are in another's log than the caller's.
    customers: usize,
    /// Those of them whose callers are visitors.
    visitors: usize,
    since: Option<Instant>,
}

/// What has a pace.
#[derive(Hash)]
enum Of {
    Strangers,
    Refused(TenantId),
    Visited(TenantId),
}

/// The home tenant of the caller, once that was proven.
fn home(evidence: &Evidence<'_>) -> Option<TenantId> {
    evidence.trail().caller.as_deref().map(|caller| caller.principal.tenant)
}

/// Whether it was refused before anything was sent or carried out.
fn is_turned_away(evidence: &Evidence<'_>) -> bool {
    evidence.reason().is_some() && evidence.outcome(CheckName::Forward) == Outcome::NotReached
}

/// Whether a stranger was served with more than an answer: a sign-up, which has a pace of its own.
fn has_made_something(evidence: &Evidence<'_>) -> bool {
    evidence.reason().is_none() && matches!(evidence.status(), 201 | 202)
}

#[derive(Debug)]
struct Count {
    /// The first of them.
    record: Record,
    until: Timestamp,
    requests: u64,
    reasons: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            strangers: Rate::per_second(STRANGERS_AT_ONCE, STRANGERS_PER_S),
            refused: Rate::per_second(REFUSED_AT_ONCE, REFUSED_PER_S),
            visited: Rate::per_second(VISITED_AT_ONCE, VISITED_PER_S),
            paces: Paces::default(),
            counts: HashMap::default(),
            customers: 0,
            visitors: 0,
            since: None,
        }
    }

    /// Whether the request gets no record of its own.
    pub(super) fn is_to_count(&self, evidence: &Evidence<'_>, segments: &Segments, now: Instant) -> bool {
        let trail = evidence.trail();
        let Some(caller) = trail.caller.as_deref() else {
            let is_beyond = || !segments.has_share_for_strangers() || self.paces.take(&Of::Strangers, self.strangers, now).is_err();
            return !has_made_something(evidence) && is_beyond();
        };
        let home = caller.tenant();
        if is_turned_away(evidence) && self.paces.take(&Of::Refused(home), self.refused, now).is_err() {
            return true;
        }
        let is_visitors = |customer: TenantId| customer == home || trail.directory.account(customer).is_some();
        let is_free = caller.standing.is_visitor() && trail.customer.is_none_or(is_visitors);
        let is_in_pace = || self.paces.take(&Of::Visited(home), self.visited, now).is_ok();
        is_free && !(segments.has_share_for_visitors(trail.received) && is_in_pace())
    }

    /// Counts it in the logs that it belongs to.
    pub(super) fn count(&mut self, finished: &Finished, now: Instant) {
        self.since.get_or_insert(now);
        let evidence = Evidence::of(finished);
        match (evidence.logs(), evidence.told()) {
            ((log, None), _) => self.count_in(log, finished, &evidence),
            ((log, Some(home)), told) => {
                self.count_in(log, finished, &evidence);
                let of_home = if told == Told::NoSuchTarget { evidence.without_target() } else { evidence };
                self.count_in(home, finished, &of_home);
            }
        }
    }

    fn count_in(&mut self, log: Log, finished: &Finished, evidence: &Evidence<'_>) {
        let home = home(evidence);
        let is_customers = home.is_some_and(|home| log != Log::Tenant(home));
        let is_visitors = evidence.trail().caller.as_deref().is_some_and(|caller| caller.standing.is_visitor());
        let key = match self.counts.contains_key(&(log, home)) {
            false if is_visitors && self.visitors >= VISITORS_MAX => (Log::Operator, None),
            false if is_customers && self.customers >= CUSTOMERS_MAX => (Log::Operator, home),
            true | false => (log, home),
        };
        let count = self.counts.entry(key).or_insert_with(|| {
            self.customers += usize::from(is_customers);
            self.visitors += usize::from(is_visitors);
            Count::new(if evidence.is_whole() { Record::of(finished) } else { Record::of(finished).without_target() })
        });
        count.add(evidence);
    }

    /// When summaries are due; none while nothing is counted.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + SUMMARY_TIME)
    }

    /// Requests that are counted in no summary yet, once for each log.
    pub(super) fn counted(&self) -> u64 {
        self.counts.values().map(|count| count.requests).sum()
    }

    /// The summaries and their logs, and counts anew.
    pub(super) fn take(&mut self) -> Vec<(Log, Record)> {
        (self.since, self.customers, self.visitors) = (None, 0, 0);
        let mut counts: Vec<_> = self.counts.drain().collect();
        counts.sort_unstable_by_key(|(key, _)| *key);
        counts.into_iter().map(|((log, _), count)| (log, count.summary())).collect()
    }
}

impl Count {
    fn new(record: Record) -> Self {
        Self { record, until: Timestamp::MIN, requests: 0, reasons: BTreeMap::new() }
    }

    fn add(&mut self, evidence: &Evidence<'_>) {
        self.until = self.until.max(evidence.trail().received);
        self.requests += 1;
        if let Some(reason) = evidence.reason() {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }

    /// With an id of its own: whoever asked for something hidden could find the first summary of its owner by the id of the request, and
    /// would find none of what does not exist.
    fn summary(self) -> Record {
        let reasons = self.reasons.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect();
        let counted = Counted { until: format!("{:.3}", self.until), requests: self.requests, reasons };
        Record { id: RequestId::random(), counted: Some(counted), ..self.record }
    }
}
