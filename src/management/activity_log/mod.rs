//! The activity log: what was done in a subscription, and by whom, from the decision records; and the notices to a managing tenant
//! about what is delegated to it, from the events of delegations.
//!
//! Nothing is read twice: what an event says stands in the record. Who reads a subscription's log needs the right to, as for every
//! list; a notice is shown like the change that it is about. Source of paths, filters and fields: Azure Monitor, Activity Logs and
//! Tenant Activity Logs, 2015-04-01.

mod events;
mod filter;

use hyper::StatusCode;
use serde_json::{Value, json};

use self::events::{Done, FIELDS, Notice};
use self::filter::Filter;
use super::pages::Left;
use super::views::{self, changes};
use super::{Desk, OwnAnswer, OwnError, pages};
use crate::arm::action::Method;
use crate::arm::query;
use crate::arm::scope::{Anchor, Scope};
use crate::clock::Timestamp;
use crate::ids::SubscriptionId;
use crate::pipeline::{Basis, OwnRequest};
use crate::record::{ActivityQuery, Record};
use crate::store::Revision;

/// How far back the log goes when nobody says from when on.
const DAYS_SHOWN: i64 = 90;
/// Notices in one answer.
const NOTICES_SHOWN_MAX: usize = 200;

/// Carries out one request.
pub(super) async fn carry_out(request: &OwnRequest, desk: &Desk<'_>) -> Result<OwnAnswer, OwnError> {
    let path = || request.path.as_str().to_owned();
    let rest: Vec<&str> = request.rest.iter().map(AsRef::as_ref).collect();
    let is_log = matches!(rest.as_slice(), [_kind, name, _values] if name.eq_ignore_ascii_case("management"));
    if !is_log || !request.scope.below().is_empty() {
        return Err(OwnError::ResourceType { path: path() });
    }
    if request.method != Method::Get {
        return Err(OwnError::Method { method: request.method, path: path() });
    }
    let call = Call::new(request, desk)?;
    match request.scope.anchor() {
        Anchor::Subscription(id) => call.of_subscription(*id).await,
        Anchor::Tenant => call.of_tenant(),
        Anchor::ManagementGroup(_) => Err(OwnError::ResourceType { path: path() }),
    }
}

struct Call<'a> {
    request: &'a OwnRequest,
    desk: &'a Desk<'a>,
    filter: Filter,
    from: Timestamp,
    until: Timestamp,
    skip: usize,
    select: Option<Vec<&'static str>>,
}

impl<'a> Call<'a> {
    fn new(request: &'a OwnRequest, desk: &'a Desk<'a>) -> Result<Self, OwnError> {
        let value = |name| query::value(request.query.as_deref().unwrap_or_default(), name);
        let wrong = |name, problem: String| OwnError::Parameter { name, problem };
        let filter = value("$filter").map(|text| Filter::parse(&text)).transpose();
        let filter = filter.map_err(|error| wrong("$filter", error.to_string()))?.unwrap_or_default();
        let page = value("$skipToken").map(|text| page(&text).ok_or_else(|| wrong("$skipToken", "is not one of ours".to_owned())));
        let page = page.transpose()?;
        let now = desk.context.now;
        let days_ago = now.checked_sub(jiff::SignedDuration::from_hours(24 * DAYS_SHOWN)).unwrap_or(Timestamp::MIN);
        // What is added while somebody turns pages must not move them.
        let pinned = page.map_or(now, |(until, _)| until);
        Ok(Self {
            request,
            desk,
            from: filter.from.unwrap_or(days_ago),
            until: filter.until.map_or(pinned, |until| until.min(pinned)),
            skip: page.map_or(0, |(_, skip)| skip),
            select: value("$select").map(|text| select(&text)).transpose()?,
            filter,
        })
    }

    async fn of_subscription(&self, id: SubscriptionId) -> Result<OwnAnswer, OwnError> {
        let directory = &self.desk.context.directory;
        let (filter, known, reader) = (self.filter.clone(), std::sync::Arc::clone(directory), self.request.caller.principal.tenant);
        let readable = self.readable(id);
        let wanted = move |record: &Record| {
            let done = Done::new(record, known.known_to(reader));
            done.is_some_and(|done| readable.iter().any(|scope| scope.covers(done.scope())) && filter.matches(&done.facts()))
        };
        let query = ActivityQuery { subscription: id, from: self.from, until: self.until, skip: self.skip, wanted: Box::new(wanted) };
        let found = self.desk.recorder.activities(query).await?;
        let events = found.records.iter().filter_map(|(place, record)| Some((*place, Done::new(record, directory.known_to(reader))?)));
        let shown = events.map(|(place, done)| (place, self.cut(done.describe(&self.request.authority, directory))));
        Ok(self.answer(shown, found.next))
    }

    /// Where the caller may read the log.
    fn readable(&self, id: SubscriptionId) -> Vec<Scope> {
        match &self.request.basis {
            Basis::GrantsBelow { scopes, .. } => scopes.to_vec(),
            Basis::Grant(_) | Basis::Oneself | Basis::Open | Basis::Starter => vec![Scope::subscription(id)],
        }
    }

    fn of_tenant(&self) -> Result<OwnAnswer, OwnError> {
        let directory = &self.desk.context.directory;
        let view = views::Call::new(self.request, self.desk);
        let mut events: Vec<_> = changes::events_after(directory, Revision::default()).collect();
        events.reverse();
        let mut sight = view.sight();
        let ours = events.into_iter().filter(|event| {
            let event = &event.body;
            event.managing_tenant == self.request.caller.principal.tenant
                && (self.from..=self.until).contains(&event.at)
                && self.filter.matches(&Notice::new(event).facts())
                && sight.sees(event)
        });
        let mut page: Vec<_> = ours.skip(self.skip).take(NOTICES_SHOWN_MAX + 1).collect();
        let next = (page.len() > NOTICES_SHOWN_MAX).then_some(self.skip + NOTICES_SHOWN_MAX);
        page.truncate(NOTICES_SHOWN_MAX);
        let shown =
            page.iter().map(|event| self.cut(Notice::new(&event.body).describe(directory.known_to(self.request.caller.principal.tenant))));
        Ok(self.answer((self.skip..).zip(shown), next))
    }

    /// The fields that were asked for.
    fn cut(&self, event: Value) -> Value {
        match (&self.select, event) {
            (Some(names), Value::Object(mut members)) => {
                members.retain(|name, _| names.contains(&name.as_str()));
                Value::Object(members)
            }
            (_, event) => event,
        }
    }

    /// Events that come with their places in the log, as many as fit on a page; `next` is where the log goes on after all of them.
    fn answer(&self, events: impl Iterator<Item = (usize, Value)>, next: Option<usize>) -> OwnAnswer {
        let (mut value, mut left, mut next) = (Vec::new(), Left::default(), next);
        for (place, event) in events {
            if !left.takes(&event) {
                next = Some(place);
                break;
            }
            value.push(event);
        }
        let mut answer = json!({ "value": value });
        if let (Some(next), Value::Object(members)) = (next, &mut answer) {
            members.insert("nextLink".to_owned(), self.next_link(next).into());
        }
        OwnAnswer { status: StatusCode::OK, body: Some(answer), headers: Vec::new() }
    }

    fn next_link(&self, next: usize) -> String {
        pages::next_link(self.request, &format!("{}.{next}", self.until.as_microsecond()))
    }
}

/// `{microseconds}.{number}`: the last moment of the list, and how much of it was shown.
fn page(text: &str) -> Option<(Timestamp, usize)> {
    let (until, skip) = text.split_once('.')?;
    Some((Timestamp::from_microsecond(until.parse().ok()?).ok()?, skip.parse().ok()?))
}

fn select(text: &str) -> Result<Vec<&'static str>, OwnError> {
    let known = |name: &str| FIELDS.into_iter().find(|field| field.eq_ignore_ascii_case(name.trim()));
    let unknown = |name: &str| OwnError::Parameter { name: "$select", problem: format!("names `{}`, which no event has", name.trim()) };
    text.split(',').map(|name| known(name).ok_or_else(|| unknown(name))).collect()
}
